/*
 * Buckets exist while they hold somebody. A bucket keeps its members in the order in which they were seen, and
 * beside each the first 64 bits in which its keys can differ: most comparisons of distances end there, so that
 * the closest are found without touching the peers themselves.
 *
 * When a member is to be tested is kept in one heap: a silence after its last answer, or at once when a
 * newcomer waits for its place or it seems to leave.
 */
#include "kad/table.h"

#include "base/heap.h"
#include "kad/groups.h"

#include <peercache/types.h>

#include <assert.h>
#include <stdlib.h>

#define WORDS (PC_KAD_BUCKETS / 64)
#define NO_TEST                                                                                              \
    (PC_TIME_NEVER - 1) /* NEVER itself would take the node out, and coming back may need memory */

struct node {
    struct pc_kad_entry entry;
    struct pc_heap_node test;
    int64_t tested_us; /* when a test was given out last; INT64_MIN: never */
    struct pc_kad_group *group;
    bool is_member;
};

struct bucket {
    size_t count;
    size_t replacement_count;
    uint64_t heads[PC_KAD_K];                       /* of the members' keys */
    struct node *members[PC_KAD_K];                 /* seen least recently first */
    struct node *replacements[PC_KAD_REPLACEMENTS]; /* oldest first */
};

struct pc_kad_table {
    struct pc_kad_table_options options;
    struct pc_kad_key own_key;
    size_t count;
    uint64_t version;
    struct pc_kad_groups groups;
    struct pc_heap tests;
    uint64_t in_use[WORDS]; /* which buckets have members; the first bucket is the highest bit of the first */
    struct bucket
        *buckets[PC_KAD_BUCKETS]; /* [i]: keys share exactly i leading bits with ours; NULL: empty */
};

/* All keys of a bucket are alike before the byte in which they differ from ours. */
static uint64_t head_of(const struct pc_kad_key *key, unsigned bucket)
{
    unsigned first = bucket / 8;
    return pc_kad_key_word(key, first < sizeof(key->bytes) - 8 ? first : sizeof(key->bytes) - 8);
}

int pc_kad_table_new(const struct pc_kad_table_options *options, struct pc_kad_table **ret_table)
{
    struct pc_kad_table *table = calloc(1, sizeof(*table));
    if (!table)
        return PEERCACHE_ENOMEM;
    table->options = *options;
    table->version = 1;
    table->own_key = pc_kad_key_of_peer(&options->own_id);
    pc_kad_groups_init(&table->groups, options->secret);
    pc_base_heap_init(&table->tests);
    *ret_table = table;
    return 0;
}

static void node_free(struct pc_kad_table *table, struct node *node)
{
    pc_base_heap_remove(&table->tests, &node->test);
    if (node->is_member)
        node->group->count--;
    pc_kad_groups_let_go(&table->groups, node->group);
    free(node);
}

void pc_kad_table_free(struct pc_kad_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < PC_KAD_BUCKETS; i++) {
        struct bucket *bucket = table->buckets[i];
        if (!bucket)
            continue;
        for (size_t j = 0; j < bucket->count; j++)
            node_free(table, bucket->members[j]);
        for (size_t j = 0; j < bucket->replacement_count; j++)
            node_free(table, bucket->replacements[j]);
        free(bucket);
    }
    pc_kad_groups_deinit(&table->groups);
    pc_base_heap_deinit(&table->tests);
    free(table);
}

static int node_new(struct pc_kad_table *table, const struct pc_kad_contact *peer,
                    const struct pc_kad_key *key, struct node **ret_node)
{
    struct node *node = malloc(sizeof(*node));
    if (!node)
        return PEERCACHE_ENOMEM;
    if (pc_kad_groups_hold(&table->groups, &peer->group, &node->group))
        goto free_node;
    pc_base_heap_node_init(&node->test);
    if (pc_base_heap_set(&table->tests, &node->test, NO_TEST))
        goto let_group_go;
    node->tested_us = INT64_MIN;
    node->is_member = false;
    pc_kad_entry_init(&node->entry, peer, key);
    *ret_node = node;
    return 0;

let_group_go:
    pc_kad_groups_let_go(&table->groups, node->group);
free_node:
    free(node);
    return PEERCACHE_ENOMEM;
}

/* A node never leaves the heap of tests, so that setting its time needs no memory. */
static void set_test(struct pc_kad_table *table, struct node *node, int64_t at_us)
{
    int result = pc_base_heap_set(&table->tests, &node->test, pc_base_time_min(at_us, NO_TEST));
    assert(result == 0);
    (void)result;
}

static size_t member_of(const struct bucket *bucket, uint64_t head, const struct pc_kad_key *key)
{
    size_t i = 0;
    while (i < bucket->count &&
           (bucket->heads[i] != head || memcmp(&bucket->members[i]->entry.key, key, sizeof(*key)) != 0))
        i++;
    return i;
}

static size_t index_of(struct node *const *nodes, size_t count, const struct pc_kad_key *key)
{
    size_t i = 0;
    while (i < count && memcmp(&nodes[i]->entry.key, key, sizeof(*key)) != 0)
        i++;
    return i;
}

static struct node *take_at(struct node **nodes, size_t *count, size_t at)
{
    struct node *node = nodes[at];
    (*count)--;
    memmove(&nodes[at], &nodes[at + 1], (*count - at) * sizeof(struct node *));
    return node;
}

static struct node *member_take(struct bucket *bucket, size_t at)
{
    memmove(&bucket->heads[at], &bucket->heads[at + 1], (bucket->count - at - 1) * sizeof(bucket->heads[0]));
    return take_at(bucket->members, &bucket->count, at);
}

static void member_put_last(struct bucket *bucket, unsigned number, struct node *node)
{
    assert(bucket->count < PC_KAD_K);
    bucket->heads[bucket->count] = head_of(&node->entry.key, number);
    bucket->members[bucket->count++] = node;
}

/* Where a key is, if it is in. */
struct place {
    unsigned number;
    struct bucket *bucket; /* NULL: there is none */
    size_t member;         /* index; the count of members when it is none */
    size_t replacement;
};

static struct place place_of(const struct pc_kad_table *table, const struct pc_kad_key *key)
{
    struct place place = { .number = pc_kad_key_common_prefix(&table->own_key, key) };
    if (place.number == PC_KAD_BUCKETS)
        return place; /* ourselves */
    place.bucket = table->buckets[place.number];
    if (place.bucket) {
        place.member = member_of(place.bucket, head_of(key, place.number), key);
        place.replacement = index_of(place.bucket->replacements, place.bucket->replacement_count, key);
    }
    return place;
}

static bool is_member(const struct place *place)
{
    return place->bucket && place->member < place->bucket->count;
}

static bool is_replacement(const struct place *place)
{
    return place->bucket && place->replacement < place->bucket->replacement_count;
}

static void join_members(struct pc_kad_table *table, unsigned number, struct node *node)
{
    struct bucket *bucket = table->buckets[number];
    member_put_last(bucket, number, node);
    node->is_member = true;
    node->group->count++;
    table->count++;
    table->version++;
    table->in_use[number / 64] |= UINT64_C(1) << (63 - number % 64);
    set_test(table, node, pc_base_time_add(node->entry.last_answered_us, PC_KAD_TEST_SILENT_US));
}

static bool table_is_crowded(const struct pc_kad_table *table, const struct pc_kad_group *group)
{
    return table->options.table_group_max > 0 && group->count >= table->options.table_group_max;
}

static bool bucket_is_crowded(const struct pc_kad_table *table, const struct bucket *bucket,
                              const struct pc_kad_group *group)
{
    uint32_t count = 0;
    for (size_t i = 0; i < bucket->count; i++)
        count += bucket->members[i]->group == group;
    for (size_t i = 0; i < bucket->replacement_count; i++)
        count += bucket->replacements[i]->group == group;
    return table->options.bucket_group_max > 0 && count >= table->options.bucket_group_max;
}

/* After somebody left: the newest replacement whose group the table has room for; an empty bucket goes. */
static void settle(struct pc_kad_table *table, unsigned number)
{
    struct bucket *bucket = table->buckets[number];
    for (size_t i = bucket->replacement_count; i > 0 && bucket->count < PC_KAD_K; i--)
        if (!table_is_crowded(table, bucket->replacements[i - 1]->group))
            join_members(table, number, take_at(bucket->replacements, &bucket->replacement_count, i - 1));
    if (bucket->count > 0)
        return;
    table->in_use[number / 64] &= ~(UINT64_C(1) << (63 - number % 64));
    if (bucket->replacement_count > 0)
        return;
    free(bucket);
    table->buckets[number] = NULL;
}

/* Take a peer out; who takes its place is for settle(). */
static void leave(struct pc_kad_table *table, const struct place *place)
{
    struct bucket *bucket = place->bucket;
    if (is_member(place)) {
        table->count--;
        table->version++;
        node_free(table, member_take(bucket, place->member));
    } else if (is_replacement(place)) {
        node_free(table, take_at(bucket->replacements, &bucket->replacement_count, place->replacement));
    }
}

/* The member seen least recently is asked whether it lives, unless it has just answered or is being asked. */
static void test_first(struct pc_kad_table *table, struct bucket *bucket, int64_t now_us)
{
    struct node *first = bucket->members[0];
    if (now_us >= pc_base_time_add(first->entry.last_answered_us, PC_KAD_TEST_FRESH_US) &&
        now_us >= pc_base_time_add(first->tested_us, PC_KAD_TEST_AGAIN_US))
        set_test(table, first, now_us);
}

/* Members nearer to us than a key of this bucket. */
static size_t count_nearer(const struct pc_kad_table *table, unsigned number, const struct pc_kad_key *key)
{
    const struct bucket *bucket = table->buckets[number];
    size_t nearer = 0;
    for (unsigned i = number + 1; i < PC_KAD_BUCKETS; i++)
        nearer += pc_kad_table_bucket_count(table, i);
    for (size_t i = 0; i < bucket->count; i++)
        nearer += pc_kad_key_compare(&table->own_key, &bucket->members[i]->entry.key, key) < 0;
    return nearer;
}

static size_t farthest_member(const struct pc_kad_table *table, const struct bucket *bucket)
{
    size_t farthest = 0;
    for (size_t i = 1; i < bucket->count; i++)
        if (pc_kad_key_compare(&table->own_key, &bucket->members[i]->entry.key,
                               &bucket->members[farthest]->entry.key) > 0)
            farthest = i;
    return farthest;
}

/* The replacement nearest to us whose group the table has room for; the count when there is none. */
static size_t nearest_replacement(const struct pc_kad_table *table, const struct bucket *bucket)
{
    size_t nearest = bucket->replacement_count;
    for (size_t i = 0; i < bucket->replacement_count; i++) {
        const struct node *node = bucket->replacements[i];
        if (!table_is_crowded(table, node->group) &&
            (nearest == bucket->replacement_count ||
             pc_kad_key_compare(&table->own_key, &node->entry.key,
                                &bucket->replacements[nearest]->entry.key) < 0))
            nearest = i;
    }
    return nearest;
}

/*
 * Neighbours before elders: a replacement that is one of the k closest to us changes places with the member of its
 * bucket that is farthest from us, which is none (k are nearer). Only the bucket at the edge can have such: all deeper
 * ones have room, and all others are farther than k members.
 */
static void prefer_neighbours(struct pc_kad_table *table)
{
    unsigned number = pc_kad_table_edge(table);
    struct bucket *bucket = table->buckets[number];
    while (bucket && bucket->count == PC_KAD_K) {
        size_t at = nearest_replacement(table, bucket);
        if (at == bucket->replacement_count ||
            count_nearer(table, number, &bucket->replacements[at]->entry.key) >= PC_KAD_K)
            return;
        struct node *neighbour = take_at(bucket->replacements, &bucket->replacement_count, at);
        struct node *elder = member_take(bucket, farthest_member(table, bucket));
        elder->is_member = false;
        elder->group->count--;
        table->count--;
        table->version++;
        set_test(table, elder, NO_TEST);
        bucket->replacements[bucket->replacement_count++] = elder;
        join_members(table, number, neighbour);
    }
}

static enum pc_kad_place place_newcomer(struct pc_kad_table *table, unsigned number, struct node *node,
                                        int64_t now_us)
{
    struct bucket *bucket = table->buckets[number];
    if (table_is_crowded(table, node->group) || bucket_is_crowded(table, bucket, node->group)) {
        node_free(table, node);
        return PC_KAD_CROWDED;
    }
    if (bucket->count < PC_KAD_K) {
        join_members(table, number, node);
        return PC_KAD_MEMBER;
    }
    if (bucket->replacement_count == PC_KAD_REPLACEMENTS)
        node_free(table, take_at(bucket->replacements, &bucket->replacement_count, 0));
    bucket->replacements[bucket->replacement_count++] = node;
    test_first(table, bucket, now_us);
    return PC_KAD_REPLACEMENT;
}

static int ensure_bucket(struct pc_kad_table *table, unsigned number)
{
    if (!table->buckets[number])
        table->buckets[number] = calloc(1, sizeof(*table->buckets[number]));
    return table->buckets[number] ? 0 : PEERCACHE_ENOMEM;
}

int pc_kad_table_verified(struct pc_kad_table *table, const struct pc_kad_contact *peer, int64_t now_us,
                          enum pc_kad_place *ret_place)
{
    struct pc_kad_key key = pc_kad_keys_of(table->options.keys, &peer->id);
    struct place place = place_of(table, &key);
    if (peer->id.size == 0 || place.number == PC_KAD_BUCKETS)
        return PEERCACHE_EINVAL;
    if (is_member(&place)) {
        struct node *member = place.bucket->members[place.member];
        if (pc_addr_netgroup_equal(&member->entry.group, &peer->group)) {
            pc_kad_entry_update(&member->entry, peer);
            pc_kad_table_answered(table, &peer->id, now_us);
            *ret_place = PC_KAD_MEMBER;
            return 0;
        }
    }
    struct node *node;
    if (ensure_bucket(table, place.number))
        return PEERCACHE_ENOMEM;
    if (node_new(table, peer, &key, &node)) {
        settle(table, place.number); /* a bucket made for nobody */
        return PEERCACHE_ENOMEM;
    }
    node->entry.last_seen_us = now_us;
    node->entry.last_answered_us = now_us;
    leave(table, &place); /* as a member of another group, or as a replacement that comes again */
    enum pc_kad_place found = place_newcomer(table, place.number, node, now_us);
    settle(table, place.number);
    prefer_neighbours(table);
    if (found != PC_KAD_CROWDED) /* else it is gone */
        found = node->is_member ? PC_KAD_MEMBER : PC_KAD_REPLACEMENT;
    *ret_place = found;
    return 0;
}

static struct node *see(struct pc_kad_table *table, const struct pc_peer_id *id, int64_t now_us)
{
    struct pc_kad_key key = pc_kad_keys_of(table->options.keys, id);
    struct place place = place_of(table, &key);
    struct node *node = NULL;
    if (is_member(&place)) {
        node = member_take(place.bucket, place.member);
        member_put_last(place.bucket, place.number, node);
    } else if (is_replacement(&place)) {
        node = place.bucket->replacements[place.replacement];
    }
    if (node)
        node->entry.last_seen_us = now_us;
    return node;
}

void pc_kad_table_seen(struct pc_kad_table *table, const struct pc_peer_id *id, int64_t now_us)
{
    (void)see(table, id, now_us);
}

void pc_kad_table_answered(struct pc_kad_table *table, const struct pc_peer_id *id, int64_t now_us)
{
    struct node *node = see(table, id, now_us);
    if (!node)
        return;
    node->entry.last_answered_us = now_us;
    if (node->is_member)
        set_test(table, node, pc_base_time_add(now_us, PC_KAD_TEST_SILENT_US));
}

void pc_kad_table_remove(struct pc_kad_table *table, const struct pc_peer_id *id)
{
    struct pc_kad_key key = pc_kad_keys_of(table->options.keys, id);
    struct place place = place_of(table, &key);
    if (!is_member(&place) && !is_replacement(&place))
        return;
    leave(table, &place);
    settle(table, place.number);
    prefer_neighbours(table);
}

void pc_kad_table_doubt(struct pc_kad_table *table, const struct pc_peer_id *id, int64_t now_us)
{
    struct pc_kad_key key = pc_kad_keys_of(table->options.keys, id);
    struct place place = place_of(table, &key);
    if (!is_member(&place))
        return;
    struct node *member = place.bucket->members[place.member];
    if (now_us >= pc_base_time_add(member->tested_us, PC_KAD_TEST_DOUBT_US))
        set_test(table, member, now_us);
}

int64_t pc_kad_table_test_at_us(const struct pc_kad_table *table)
{
    const struct pc_heap_node *first = pc_base_heap_first(&table->tests);
    return first && first->at < NO_TEST ? first->at : PC_TIME_NEVER;
}

const struct pc_kad_entry *pc_kad_table_next_test(struct pc_kad_table *table, int64_t now_us)
{
    if (pc_kad_table_test_at_us(table) > now_us)
        return NULL;
    struct node *node = PC_CONTAINER_OF(pc_base_heap_first(&table->tests), struct node, test);
    node->tested_us = now_us;
    set_test(table, node, pc_base_time_add(now_us, PC_KAD_TEST_AGAIN_US));
    return &node->entry;
}

const struct pc_kad_entry *pc_kad_table_find(const struct pc_kad_table *table, const struct pc_peer_id *id)
{
    struct pc_kad_key key = pc_kad_keys_of(table->options.keys, id);
    struct place place = place_of(table, &key);
    return is_member(&place) ? &place.bucket->members[place.member]->entry : NULL;
}

const struct pc_kad_entry *pc_kad_table_next(const struct pc_kad_table *table,
                                             const struct pc_kad_entry *before)
{
    unsigned number = 0;
    size_t at = 0;
    if (before) {
        struct place place = place_of(table, &before->key);
        assert(is_member(&place));
        number = place.number;
        at = place.member + 1;
    }
    for (; number < PC_KAD_BUCKETS; number++, at = 0)
        if (table->buckets[number] && at < table->buckets[number]->count)
            return &table->buckets[number]->members[at]->entry;
    return NULL;
}

size_t pc_kad_table_count(const struct pc_kad_table *table)
{
    return table->count;
}

uint64_t pc_kad_table_version(const struct pc_kad_table *table)
{
    return table->version;
}

size_t pc_kad_table_bucket_count(const struct pc_kad_table *table, unsigned bucket)
{
    return table->buckets[bucket] ? table->buckets[bucket]->count : 0;
}

unsigned pc_kad_table_edge(const struct pc_kad_table *table)
{
    size_t deeper = 0;
    for (unsigned word = WORDS; word-- > 0;) {
        for (uint64_t left = table->in_use[word]; left; left &= left - 1) {
            unsigned number = word * 64 + 63 - (unsigned)__builtin_ctzll(left);
            deeper += table->buckets[number]->count;
            if (deeper >= PC_KAD_K)
                return number;
        }
    }
    return 0;
}

bool pc_kad_table_is_neighbour(const struct pc_kad_table *table, const struct pc_peer_id *id)
{
    struct pc_kad_key key = pc_kad_keys_of(table->options.keys, id);
    struct place place = place_of(table, &key);
    return is_member(&place) && count_nearer(table, place.number, &key) < PC_KAD_K;
}

/* The bucket's members, nearest to target first; returns how many, at most `count`. */
static size_t bucket_closest(const struct pc_kad_table *table, unsigned number,
                             const struct pc_kad_key *target, const struct pc_kad_entry **ret_entries,
                             size_t count)
{
    const struct bucket *bucket = table->buckets[number];
    const struct pc_kad_entry *sorted[PC_KAD_K];
    uint64_t distances[PC_KAD_K];
    uint64_t target_head = head_of(target, number);
    for (size_t i = 0; i < bucket->count; i++) {
        const struct pc_kad_entry *entry = &bucket->members[i]->entry;
        uint64_t distance = bucket->heads[i] ^ target_head;
        size_t at = i;
        for (; at > 0 && distance <= distances[at - 1]; at--) {
            if (distance == distances[at - 1] &&
                pc_kad_key_compare(target, &entry->key, &sorted[at - 1]->key) > 0)
                break;
            sorted[at] = sorted[at - 1];
            distances[at] = distances[at - 1];
        }
        sorted[at] = entry;
        distances[at] = distance;
    }
    size_t size = bucket->count < count ? bucket->count : count;
    for (size_t i = 0; i < size; i++)
        ret_entries[i] = sorted[i];
    return size;
}

/*
 * Whole buckets are ordered by distance, so only those that are needed are looked at. Let d = own key XOR
 * target. A peer of bucket i differs from us first at bit i; its distance to the target has the bits of d
 * before i, and at i the opposite of d's. All deeper buckets have d's own bit there. So where d has a 1,
 * bucket i is nearer than all deeper ones; where it has a 0, it is farther than all of them: first the ones
 * going down, then the zeroes coming back up.
 */
size_t pc_kad_table_closest(const struct pc_kad_table *table, const struct pc_kad_key *target,
                            const struct pc_kad_entry **ret_entries, size_t count)
{
    size_t found = 0;
    uint64_t coming_back[WORDS];
    for (unsigned word = 0; word < WORDS; word++) {
        uint64_t d = pc_kad_key_word(&table->own_key, word * 8) ^ pc_kad_key_word(target, word * 8);
        coming_back[word] = table->in_use[word] & ~d;
        for (uint64_t left = table->in_use[word] & d; left && found < count;) {
            unsigned bit = (unsigned)__builtin_clzll(left);
            left &= ~(UINT64_C(1) << (63 - bit));
            found += bucket_closest(table, word * 64 + bit, target, ret_entries + found, count - found);
        }
    }
    for (unsigned word = WORDS; word-- > 0;) {
        for (uint64_t left = coming_back[word]; left && found < count; left &= left - 1) {
            unsigned bit = 63 - (unsigned)__builtin_ctzll(left);
            found += bucket_closest(table, word * 64 + bit, target, ret_entries + found, count - found);
        }
    }
    return found;
}
