/* Walks over the peers of a JSON file, for its queries. */
#include "base/time.h"
#include "format/json_value.h"
#include "store/json_file.h"
#include "store/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BEST_NEW_SHARE 4 /* of the best one in so many is new */

int pc_json_by_key(const void *a, const void *b)
{
    const struct pc_json_peer *left = *(struct pc_json_peer *const *)a;
    const struct pc_json_peer *right = *(struct pc_json_peer *const *)b;
    size_t common = left->key_size < right->key_size ? left->key_size : right->key_size;
    if (left->bytes[0] != right->bytes[0]) /* those without id come last */
        return left->bytes[0] == PC_CACHE_KEY_ID ? -1 : 1;
    int order = memcmp(left->bytes, right->bytes, common);
    return order ? order : (left->key_size > right->key_size) - (left->key_size < right->key_size);
}

int pc_json_by_use(const void *a, const void *b)
{
    const struct pc_json_peer *left = *(struct pc_json_peer *const *)a;
    const struct pc_json_peer *right = *(struct pc_json_peer *const *)b;
    if (left->state != right->state)
        return (left->state < right->state) - (left->state > right->state);
    if (left->success_ms != right->success_ms)
        return (left->success_ms < right->success_ms) - (left->success_ms > right->success_ms);
    if (left->seen_ms != right->seen_ms)
        return (left->seen_ms < right->seen_ms) - (left->seen_ms > right->seen_ms);
    return pc_json_by_key(a, b);
}

static int visit_peer(const struct pc_json_peer *peer, pc_store_visit visit, void *context)
{
    struct pc_record record;
    pc_json_peer_unpack(peer, &record);
    return visit(context, &record);
}

int pc_json_visit_sorted(struct pc_json_store *store, size_t count,
                         int (*order)(const void *a, const void *b), pc_store_visit visit, void *context)
{
    const struct pc_json_peers *peers = &store->document->peers;
    size_t peer_count = peers->by_key.count, at = 0;
    int result = 0;
    if (peer_count == 0)
        return 0;
    struct pc_json_peer **sorted = malloc(peer_count * sizeof(*sorted));
    if (!sorted)
        return PEERCACHE_ENOMEM;
    for (struct pc_json_peer *peer = peers->first; peer; peer = peer->next)
        sorted[at++] = peer;
    qsort(sorted, peer_count, sizeof(*sorted), order);
    /* Of as many tried as there may be, the best, then the best of the new: the tried stand before them. */
    size_t tried = 0, left = peer_count < count ? peer_count : count;
    while (order == pc_json_by_use && tried < peer_count && sorted[tried]->state == PEERCACHE_TRIED)
        tried++;
    size_t fresh = peer_count - tried;
    size_t wanted = left / BEST_NEW_SHARE < fresh ? left - left / BEST_NEW_SHARE : left - fresh;
    wanted = left == peer_count || wanted > tried ? tried : wanted;
    for (size_t i = 0; i < wanted && result == 0; i++)
        result = visit_peer(sorted[i], visit, context);
    for (size_t i = tried; i < tried + left - wanted && result == 0; i++)
        result = visit_peer(sorted[i], visit, context);
    free(sorted);
    return result;
}

int pc_json_visit_changed(struct pc_json_store *store, pc_store_visit visit, void *context)
{
    const struct pc_json_document *document = store->document;
    int result = 0;
    for (const struct pc_json_peer *peer = document->peers.first; peer && result == 0; peer = peer->next)
        if (peer->change > store->seen_change)
            result = visit_peer(peer, visit, context);
    for (const struct pc_json_peer *peer = document->gone.first; peer && result == 0; peer = peer->next)
        if (peer->change > store->seen_change &&
            !pc_json_document_find(document, pc_bytes_of(peer->bytes, peer->key_size)))
            result = visit_peer(peer, visit, context);
    return result;
}

int pc_json_visit_one(struct pc_json_store *store, const struct pc_store_query *query, pc_store_visit visit,
                      void *context)
{
    struct pc_cache_key key;
    pc_cache_key_of(&query->id, pc_addr_maddr_bytes(&query->addr), &key);
    const struct pc_json_peer *peer = pc_json_document_find(store->document, pc_cache_key_bytes(&key));
    return peer ? visit_peer(peer, visit, context) : 0;
}

static bool is_behind(const struct pc_json_peer *peer, const struct pc_cache_key *key)
{
    if (peer->bytes[0] != key->bytes[0])
        return peer->bytes[0] == PC_CACHE_KEY_ADDR;
    int order = memcmp(peer->bytes, key->bytes, peer->key_size < key->size ? peer->key_size : key->size);
    return order ? order > 0 : peer->key_size > key->size;
}

/* The order was of peers that may be gone. */
void pc_json_forget_order(struct pc_json_store *store)
{
    free(store->order);
    store->order = NULL;
}

/* The order stays while no peer comes or goes, so that a walk sorts once. */
int pc_json_visit_after(struct pc_json_store *store, const struct pc_store_query *query, pc_store_visit visit,
                        void *context)
{
    const struct pc_json_peers *peers = &store->document->peers;
    const size_t count = peers->by_key.count;
    size_t at = 0, high = count;
    int result = 0;
    if (store->order && store->order_edits != peers->edits)
        pc_json_forget_order(store);
    if (!store->order) {
        store->order = malloc((count + 1) * sizeof(struct pc_json_peer *));
        if (!store->order)
            return PEERCACHE_ENOMEM;
        for (struct pc_json_peer *peer = peers->first; peer; peer = peer->next)
            store->order[at++] = peer;
        qsort(store->order, count, sizeof(struct pc_json_peer *), pc_json_by_key);
        store->order_edits = peers->edits;
        at = 0;
    }
    if (query->id.size || query->addr.size) {
        struct pc_cache_key key;
        pc_cache_key_of(&query->id, pc_addr_maddr_bytes(&query->addr), &key);
        while (at < high) {
            size_t middle = at + (high - at) / 2;
            if (is_behind(store->order[middle], &key))
                high = middle;
            else
                at = middle + 1;
        }
    }
    for (size_t given = 0; at < count && given < query->count && result == 0; at++, given++)
        result = visit_peer(store->order[at], visit, context);
    return result;
}
