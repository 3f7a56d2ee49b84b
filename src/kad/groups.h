/* How many peers of each network group something holds, so that a limit per group costs one look. */
#ifndef PC_KAD_GROUPS_H
#define PC_KAD_GROUPS_H

#include "addr/netgroup.h"
#include "base/map.h"

struct pc_kad_group {
    struct pc_map_node node;
    struct pc_netgroup name;
    uint32_t users; /* who hold a pointer to it */
    uint32_t count; /* the owner's: those that the limit counts */
};

struct pc_kad_groups {
    struct pc_map by_name;
};

/* The secret keeps strangers from choosing groups that collide. */
void pc_kad_groups_init(struct pc_kad_groups *groups, const uint8_t secret[16]);
/* Every group must have been let go. */
void pc_kad_groups_deinit(struct pc_kad_groups *groups);
/* The group of this name, held by the caller until he lets it go. ENOMEM. */
int pc_kad_groups_hold(struct pc_kad_groups *groups, const struct pc_netgroup *name,
                       struct pc_kad_group **ret_group);
void pc_kad_groups_let_go(struct pc_kad_groups *groups, struct pc_kad_group *group);

#endif
