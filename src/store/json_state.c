/* What the object `peercache` says besides the peers: removals, bans, metadata, and the ledger of writers. */
#include "base/time.h"
#include "format/json_value.h"
#include "store/json_document.h"
#include <assert.h>
#include <stdlib.h>

/* --- removals --- */

int pc_json_document_visit_removals(const struct pc_json_document *document, pc_store_visit_removal visit,
                                    void *context)
{
    int result = 0;
    for (const struct pc_json_tombstone *t = document->first_tombstone; t && result == 0; t = t->next) {
        struct pc_peer_id id;
        struct pc_delta removal;
        struct pc_bytes key = pc_json_tombstone_key(t);
        pc_cache_key_id(key, &id);
        pc_cache_delta_init(&removal, &id,
                            id.size ? pc_json_tombstone_addr(t) : pc_bytes_of(key.data + 1, key.size - 1));
        removal.removed_ms = t->removed_ms;
        result = visit(context, &removal);
    }
    return result;
}

/* --- bans --- */

static int compare_bans(const struct pc_ban *a, const struct pc_ban *b)
{
    int order = memcmp(a->bytes, b->bytes, a->size < b->size ? a->size : b->size);
    return order ? order : (int)a->size - (int)b->size;
}

/* Its place, or that of the first behind it. */
static size_t place_of_ban(const struct pc_json_document *document, const struct pc_ban *ban, bool *ret_is_in)
{
    size_t low = 0, high = document->ban_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_bans(&document->bans[middle], ban) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_is_in = low < document->ban_count && compare_bans(&document->bans[low], ban) == 0;
    return low;
}

int pc_json_document_ban(struct pc_json_document *document, const struct pc_ban *ban)
{
    bool is_in;
    size_t at = place_of_ban(document, ban, &is_in);
    if (is_in)
        return 0;
    if (document->ban_count >= PC_CACHE_BANS_MAX)
        return PEERCACHE_ELIMIT;
    if (document->ban_count == document->ban_capacity) {
        size_t capacity = document->ban_capacity ? 2 * document->ban_capacity : 8;
        struct pc_ban *larger = realloc(document->bans, capacity * sizeof(*larger));
        if (!larger)
            return PEERCACHE_ENOMEM;
        document->bans = larger;
        document->ban_capacity = capacity;
    }
    memmove(&document->bans[at + 1], &document->bans[at],
            (document->ban_count++ - at) * sizeof(*document->bans));
    document->bans[at] = *ban;
    return 0;
}

int pc_json_document_unban(struct pc_json_document *document, const struct pc_ban *ban)
{
    bool is_in;
    size_t at = place_of_ban(document, ban, &is_in);
    if (!is_in)
        return PEERCACHE_ENOTFOUND;
    memmove(&document->bans[at], &document->bans[at + 1],
            (--document->ban_count - at) * sizeof(*document->bans));
    return 0;
}

/* --- metadata --- */

/* Where the pointer to the value of a key is, or the end. */
static struct pc_json_meta **place_of_meta(struct pc_json_document *document, struct pc_bytes key)
{
    struct pc_json_meta **place = &document->meta;
    while (*place && !pc_bytes_equal(pc_bytes_of((*place)->key, strlen((*place)->key)), key))
        place = &(*place)->next;
    return place;
}

struct pc_bytes pc_json_document_meta(struct pc_json_document *document, struct pc_bytes key)
{
    const struct pc_json_meta *meta = *place_of_meta(document, key);
    return meta ? pc_bytes_of(meta->value, meta->value_size) : pc_bytes_of(NULL, 0);
}

/* Whether there is room for a value of this size where `place` is. */
static bool has_room(const struct pc_json_document *document, const struct pc_json_meta *place, size_t size)
{
    size_t count = place ? 0 : 1;
    for (const struct pc_json_meta *meta = document->meta; meta; meta = meta->next) {
        count++;
        size += meta == place ? 0 : meta->value_size;
    }
    return count <= PC_JSON_META_MAX && size <= PC_JSON_META_MAX_BYTES;
}

static void remove_meta(struct pc_json_document *document, struct pc_bytes key)
{
    struct pc_json_meta **place = place_of_meta(document, key), *gone = *place;
    if (!gone)
        return;
    *place = gone->next;
    free(gone);
}

int pc_json_document_meta_put(struct pc_json_document *document, struct pc_bytes key, struct pc_bytes value)
{
    if (key.size > PC_STORE_META_KEY_MAX_BYTES || value.size > PC_STORE_META_VALUE_MAX_BYTES)
        return PEERCACHE_ELIMIT;
    if (!pc_format_is_utf8(key) || (key.size && memchr(key.data, 0, key.size)))
        return PEERCACHE_EINVAL;
    if (!value.data) {
        remove_meta(document, key);
        return 0;
    }
    struct pc_json_meta **place = place_of_meta(document, key);
    if (!has_room(document, *place, value.size))
        return PEERCACHE_ELIMIT;
    struct pc_json_meta *meta = malloc(sizeof(*meta) + value.size + key.size + 1);
    if (!meta)
        return PEERCACHE_ENOMEM;
    meta->value_size = value.size;
    if (value.size)
        memcpy(meta->value, value.data, value.size);
    meta->key = (char *)meta->value + value.size;
    if (key.size)
        memcpy(meta->key, key.data, key.size);
    meta->key[key.size] = '\0';
    meta->next = *place ? (*place)->next : NULL;
    free(*place);
    *place = meta;
    return 0;
}

/* --- the ledger --- */

static struct pc_json_writer *find_writer(const struct pc_json_document *document, uint64_t id)
{
    struct pc_map_node *node = pc_base_map_find(&document->ledger, pc_bytes_of(&id, sizeof(id)));
    return node ? PC_CONTAINER_OF(node, struct pc_json_writer, node) : NULL;
}

static void unlink_writer(struct pc_json_document *document, struct pc_json_writer *writer)
{
    if (writer->previous)
        writer->previous->next = writer->next;
    else
        document->first_writer = writer->next;
    if (writer->next)
        writer->next->previous = writer->previous;
    else
        document->last_writer = writer->previous;
}

uint64_t pc_json_document_sequence(const struct pc_json_document *document, uint64_t writer)
{
    const struct pc_json_writer *known = find_writer(document, writer);
    return known ? known->sequence : 0;
}

int pc_json_document_enter(struct pc_json_document *document, uint64_t writer, uint64_t sequence)
{
    struct pc_json_writer *entry = find_writer(document, writer);
    if (entry) {
        unlink_writer(document, entry);
    } else {
        entry = calloc(1, sizeof(*entry));
        if (!entry)
            return PEERCACHE_ENOMEM;
        entry->id = writer;
        if (pc_base_map_insert(&document->ledger, &entry->node)) {
            free(entry);
            return PEERCACHE_ENOMEM;
        }
    }
    entry->sequence = sequence > entry->sequence ? sequence : entry->sequence;
    entry->next = NULL;
    entry->previous = document->last_writer;
    if (entry->previous)
        entry->previous->next = entry;
    else
        document->first_writer = entry;
    document->last_writer = entry;
    if (document->ledger.count > PC_JSON_LEDGER_MAX) {
        struct pc_json_writer *oldest = document->first_writer;
        unlink_writer(document, oldest);
        pc_base_map_remove(&document->ledger, &oldest->node);
        free(oldest);
    }
    return 0;
}
