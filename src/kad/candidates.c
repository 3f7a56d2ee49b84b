#include "kad/candidates.h"

#include <peercache/types.h>

#include <stdlib.h>

struct taken {
    struct pc_kad_key key;
    int64_t until_us;
};

struct bucket {
    size_t count;
    struct pc_kad_entry *entries[PC_KAD_CANDIDATES_PER_BUCKET]; /* oldest first */
    size_t taken_count;
    struct taken taken[PC_KAD_CANDIDATES_TAKEN]; /* a ring: the oldest is written over */
};

struct pc_kad_candidates {
    struct pc_kad_key own_key;
    unsigned group_max;
    struct pc_kad_keys *keys;
    struct bucket *buckets[PC_KAD_BUCKETS]; /* NULL until somebody is offered */
};

int pc_kad_candidates_new(const struct pc_peer_id *own_id, unsigned group_max, struct pc_kad_keys *keys,
                          struct pc_kad_candidates **ret_candidates)
{
    struct pc_kad_candidates *candidates = calloc(1, sizeof(*candidates));
    if (!candidates)
        return PEERCACHE_ENOMEM;
    candidates->own_key = pc_kad_key_of_peer(own_id);
    candidates->group_max = group_max;
    candidates->keys = keys;
    *ret_candidates = candidates;
    return 0;
}

void pc_kad_candidates_free(struct pc_kad_candidates *candidates)
{
    if (!candidates)
        return;
    for (size_t i = 0; i < PC_KAD_BUCKETS; i++) {
        for (size_t j = 0; candidates->buckets[i] && j < candidates->buckets[i]->count; j++)
            free(candidates->buckets[i]->entries[j]);
        free(candidates->buckets[i]);
    }
    free(candidates);
}

static struct pc_kad_entry *take_at(struct bucket *bucket, size_t at)
{
    struct pc_kad_entry *entry = bucket->entries[at];
    bucket->count--;
    memmove(&bucket->entries[at], &bucket->entries[at + 1],
            (bucket->count - at) * sizeof(struct pc_kad_entry *));
    return entry;
}

/* The place of a key in the bucket, or the count. */
static size_t index_of(const struct bucket *bucket, const struct pc_kad_key *key)
{
    size_t i = 0;
    while (i < bucket->count && memcmp(&bucket->entries[i]->key, key, sizeof(*key)) != 0)
        i++;
    return i;
}

static bool was_taken(const struct bucket *bucket, const struct pc_kad_key *key, int64_t now_us)
{
    size_t size =
        bucket->taken_count < PC_KAD_CANDIDATES_TAKEN ? bucket->taken_count : PC_KAD_CANDIDATES_TAKEN;
    for (size_t i = 0; i < size; i++)
        if (memcmp(&bucket->taken[i].key, key, sizeof(*key)) == 0 && now_us < bucket->taken[i].until_us)
            return true;
    return false;
}

/* Whoever gives way to one of this group: the oldest of the group when it has its share, the oldest of all
 * when the bucket is full; the count when nobody must. */
static size_t who_gives_way(const struct pc_kad_candidates *candidates, const struct bucket *bucket,
                            const struct pc_netgroup *group)
{
    size_t of_group = 0;
    size_t oldest = bucket->count;
    for (size_t i = bucket->count; i-- > 0;) {
        if (pc_addr_netgroup_equal(&bucket->entries[i]->group, group)) {
            of_group++;
            oldest = i;
        }
    }
    if (candidates->group_max > 0 && of_group >= candidates->group_max)
        return oldest;
    return bucket->count == PC_KAD_CANDIDATES_PER_BUCKET ? 0 : bucket->count;
}

int pc_kad_candidates_offer(struct pc_kad_candidates *candidates, const struct pc_kad_contact *peer,
                            int64_t now_us)
{
    struct pc_kad_key key = pc_kad_keys_of(candidates->keys, &peer->id);
    unsigned number = pc_kad_key_common_prefix(&candidates->own_key, &key);
    if (peer->id.size == 0 || peer->addr_count == 0 || number == PC_KAD_BUCKETS)
        return 0;
    if (!candidates->buckets[number])
        candidates->buckets[number] = calloc(1, sizeof(*candidates->buckets[number]));
    struct bucket *bucket = candidates->buckets[number];
    if (!bucket)
        return PEERCACHE_ENOMEM;
    if (was_taken(bucket, &key, now_us))
        return 0;
    struct pc_kad_entry *entry = NULL;
    size_t gives_way = index_of(bucket, &key);
    if (gives_way == bucket->count)
        gives_way = who_gives_way(candidates, bucket, &peer->group);
    if (gives_way < bucket->count)
        entry = take_at(bucket, gives_way);
    else
        entry = malloc(sizeof(*entry));
    if (!entry)
        return PEERCACHE_ENOMEM;
    pc_kad_entry_init(entry, peer, &key);
    bucket->entries[bucket->count++] = entry;
    return 0;
}

bool pc_kad_candidates_take(struct pc_kad_candidates *candidates, unsigned bucket_number, int64_t now_us,
                            struct pc_kad_entry *ret_entry)
{
    struct bucket *bucket = candidates->buckets[bucket_number];
    if (!bucket || bucket->count == 0)
        return false;
    struct pc_kad_entry *entry = take_at(bucket, bucket->count - 1);
    struct taken *taken = &bucket->taken[bucket->taken_count++ % PC_KAD_CANDIDATES_TAKEN];
    taken->key = entry->key;
    taken->until_us = pc_base_time_add(now_us, PC_KAD_CANDIDATE_AGAIN_US);
    *ret_entry = *entry;
    free(entry);
    return true;
}

void pc_kad_candidates_remove(struct pc_kad_candidates *candidates, const struct pc_peer_id *id)
{
    struct pc_kad_key key = pc_kad_keys_of(candidates->keys, id);
    unsigned number = pc_kad_key_common_prefix(&candidates->own_key, &key);
    struct bucket *bucket = number < PC_KAD_BUCKETS ? candidates->buckets[number] : NULL;
    size_t at = bucket ? index_of(bucket, &key) : 0;
    if (bucket && at < bucket->count)
        free(take_at(bucket, at));
}

size_t pc_kad_candidates_count(const struct pc_kad_candidates *candidates, unsigned bucket)
{
    return candidates->buckets[bucket] ? candidates->buckets[bucket]->count : 0;
}
