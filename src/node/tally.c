#include "node/tally.h"

#include <stdlib.h>
#include <string.h>

struct counted {
    struct pc_map_node by_text;
    uint32_t count;
    size_t size;
    char text[PC_TALLY_TEXT_BYTES];
};

static struct pc_bytes text_of(const struct pc_map_node *node)
{
    const struct counted *counted = PC_CONST_CONTAINER_OF(node, struct counted, by_text);
    return pc_bytes_of(counted->text, counted->size);
}

void pc_node_tally_init(struct pc_tally *tally, const uint8_t secret[16])
{
    *tally = (struct pc_tally){ 0 };
    pc_base_map_init(&tally->by_text, text_of, secret);
}

void pc_node_tally_deinit(struct pc_tally *tally)
{
    for (struct pc_map_node *n = pc_base_map_next(&tally->by_text, NULL), *next; n; n = next) {
        next = pc_base_map_next(&tally->by_text, n);
        pc_base_map_remove(&tally->by_text, n);
        free(PC_CONTAINER_OF(n, struct counted, by_text));
    }
    pc_base_map_deinit(&tally->by_text);
    free(tally->list);
    tally->list = NULL;
}

static struct counted *make(struct pc_tally *tally, const char *text, size_t size)
{
    struct counted *counted = tally->by_text.count < PC_TALLY_TEXTS_MAX ? calloc(1, sizeof(*counted)) : NULL;
    if (!counted)
        return NULL;
    memcpy(counted->text, text, size);
    counted->size = size;
    if (pc_base_map_insert(&tally->by_text, &counted->by_text)) {
        free(counted);
        return NULL;
    }
    return counted;
}

void pc_node_tally_add(struct pc_tally *tally, struct pc_bytes text)
{
    char clean[PC_TALLY_TEXT_BYTES];
    size_t size = text.size < sizeof(clean) - 1 ? text.size : sizeof(clean) - 1;
    for (size_t i = 0; i < size; i++)
        clean[i] = text.data[i] == '\0' ? '?' : (char)text.data[i];
    struct pc_map_node *found = pc_base_map_find(&tally->by_text, pc_bytes_of(clean, size));
    struct counted *counted =
        found ? PC_CONTAINER_OF(found, struct counted, by_text) : make(tally, clean, size);
    if (counted)
        counted->count++;
    else
        tally->others++;
}

static int most_first(const void *a, const void *b)
{
    const peercache_counted *one = a, *other = b;
    if (one->count != other->count)
        return one->count > other->count ? -1 : 1;
    return strcmp(one->text, other->text);
}

int pc_node_tally_list(struct pc_tally *tally, const peercache_counted **ret_list, size_t *ret_count)
{
    size_t count = 0;
    peercache_counted *list = calloc(tally->by_text.count + 1, sizeof(*list));
    if (!list)
        return PEERCACHE_ENOMEM;
    for (struct pc_map_node *n = pc_base_map_next(&tally->by_text, NULL); n;
         n = pc_base_map_next(&tally->by_text, n)) {
        const struct counted *counted = PC_CONTAINER_OF(n, struct counted, by_text);
        list[count++] = (peercache_counted){ counted->text, counted->count };
    }
    qsort(list, count, sizeof(*list), most_first);
    free(tally->list);
    tally->list = list;
    *ret_list = list;
    *ret_count = count;
    return 0;
}
