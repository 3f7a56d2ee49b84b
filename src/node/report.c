/* The lists of a join report: dials copied with their texts, at most PC_NODE_REPORT_MAX. */
#include "node/internal.h"

#include <stdlib.h>

int pc_node_dial_list_add(struct dial_list *list, const peercache_dial *dial)
{
    if (list->count == PC_NODE_REPORT_MAX)
        return PEERCACHE_ELIMIT;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 8;
        peercache_dial *dials = realloc(list->dials, capacity * sizeof(*dials));
        if (!dials)
            return PEERCACHE_ENOMEM;
        list->dials = dials;
        list->capacity = capacity;
    }
    /* One block holds the three texts; it begins with the id, which is what is freed. */
    size_t id_size = strlen(dial->id) + 1, addr_size = strlen(dial->addr) + 1,
           detail_size = strlen(dial->detail) + 1;
    char *texts = malloc(id_size + addr_size + detail_size);
    if (!texts)
        return PEERCACHE_ENOMEM;
    memcpy(texts, dial->id, id_size);
    memcpy(texts + id_size, dial->addr, addr_size);
    memcpy(texts + id_size + addr_size, dial->detail, detail_size);
    peercache_dial *copy = &list->dials[list->count++];
    *copy = *dial;
    copy->id = texts;
    copy->addr = texts + id_size;
    copy->detail = texts + id_size + addr_size;
    return 0;
}

void pc_node_dial_list_clear(struct dial_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        char *texts;
        memcpy(&texts, &list->dials[i].id, sizeof(texts)); /* ours, though the public type says const */
        free(texts);
    }
    free(list->dials);
    *list = (struct dial_list){ 0 };
}
