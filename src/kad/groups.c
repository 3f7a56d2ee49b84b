#include "kad/groups.h"

#include <peercache/types.h>

#include <assert.h>
#include <stdlib.h>

static struct pc_bytes bytes_of(const struct pc_netgroup *name)
{
    return pc_bytes_of(name->bytes, name->size);
}

static struct pc_bytes name_of(const struct pc_map_node *node)
{
    return bytes_of(&PC_CONST_CONTAINER_OF(node, struct pc_kad_group, node)->name);
}

void pc_kad_groups_init(struct pc_kad_groups *groups, const uint8_t secret[16])
{
    pc_base_map_init(&groups->by_name, name_of, secret);
}

void pc_kad_groups_deinit(struct pc_kad_groups *groups)
{
    assert(groups->by_name.count == 0);
    pc_base_map_deinit(&groups->by_name);
}

int pc_kad_groups_hold(struct pc_kad_groups *groups, const struct pc_netgroup *name,
                       struct pc_kad_group **ret_group)
{
    struct pc_map_node *found = pc_base_map_find(&groups->by_name, bytes_of(name));
    struct pc_kad_group *group = found ? PC_CONTAINER_OF(found, struct pc_kad_group, node) : NULL;
    if (!group) {
        group = calloc(1, sizeof(*group));
        if (!group)
            return PEERCACHE_ENOMEM;
        group->name = *name;
        if (pc_base_map_insert(&groups->by_name, &group->node)) {
            free(group);
            return PEERCACHE_ENOMEM;
        }
    }
    group->users++;
    *ret_group = group;
    return 0;
}

void pc_kad_groups_let_go(struct pc_kad_groups *groups, struct pc_kad_group *group)
{
    assert(group->users > 0);
    if (--group->users > 0)
        return;
    pc_base_map_remove(&groups->by_name, &group->node);
    free(group);
}
