#include "check.h"

#include "base/rng.h"
#include "kad/lookup.h"
#include "kad/table.h"

#include <peercache/types.h>

#include <stdlib.h>
#include <string.h>

/* An Ed25519-shaped id of a number: identity multihash of 36 bytes of key protobuf. */
static struct pc_peer_id id_of(uint32_t number)
{
    struct pc_peer_id id = { .size = 38, .bytes = { 0, 36, 8, 1, 18, 32 } };
    memcpy(id.bytes + 6, &number, sizeof(number));
    return id;
}

static uint32_t number_of(const struct pc_peer_id *id)
{
    uint32_t number;
    memcpy(&number, id->bytes + 6, sizeof(number));
    return number;
}

static struct pc_maddr addr_of(uint8_t mark)
{
    struct pc_maddr addr = { .size = 1, .bytes = { mark } };
    return addr;
}

static void key_is_sha256_of_the_id(void **state)
{
    (void)state;
    static const uint8_t abc[32] = { /* FIPS 180-2, appendix B.1 */
                                     0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                     0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                     0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad
    };
    struct pc_kad_key key = pc_kad_key_of(pc_bytes_of("abc", 3));
    assert_memory_equal(key.bytes, abc, sizeof(abc));
    struct pc_peer_id id = { .size = 3, .bytes = { 'a', 'b', 'c', 'd' } }; /* what follows is no part of it */
    key = pc_kad_key_of_peer(&id);
    assert_memory_equal(key.bytes, abc, sizeof(abc));
}

static void key_distance_is_xor_big_endian(void **state)
{
    (void)state;
    struct pc_kad_key zero = { { 0 } }, high = { { 0x80 } }, low = { { 0 } }, target = { { 0xc0 } };
    low.bytes[31] = 1;
    assert_true(pc_kad_key_compare(&zero, &low, &high) < 0);
    assert_true(pc_kad_key_compare(&zero, &high, &low) > 0);
    assert_true(pc_kad_key_compare(&zero, &zero, &low) < 0);
    assert_true(pc_kad_key_compare(&target, &high, &low) < 0); /* 0x40… against 0xc0… */
    assert_int_equal(pc_kad_key_compare(&target, &low, &low), 0);

    assert_int_equal(pc_kad_key_common_prefix(&zero, &zero), 256);
    assert_int_equal(pc_kad_key_common_prefix(&zero, &low), 255);
    assert_int_equal(pc_kad_key_common_prefix(&zero, &high), 0);
    for (unsigned bit = 0; bit < 256; bit++) {
        struct pc_kad_key key = zero;
        key.bytes[bit / 8] = (uint8_t)(0x80 >> (bit % 8));
        key.bytes[31] |= bit < 248 ? 0x55 : 0; /* what comes after does not matter */
        assert_int_equal(pc_kad_key_common_prefix(&zero, &key), bit);
    }
}

/* The n-th number whose id shares exactly `shared` bits with our own. */
static uint32_t number_in_bucket(const struct pc_peer_id *own_id, unsigned shared, unsigned n)
{
    struct pc_kad_key own_key = pc_kad_key_of_peer(own_id);
    for (uint32_t number = 1000000;; number++) {
        struct pc_peer_id id = id_of(number);
        struct pc_kad_key key = pc_kad_key_of_peer(&id);
        if (pc_kad_key_common_prefix(&own_key, &key) == shared && n-- == 0)
            return number;
    }
}

static void table_full_bucket_refuses(void **state)
{
    (void)state;
    struct pc_kad_table *table;
    struct pc_peer_id own_id = id_of(0);
    assert_int_equal(pc_kad_table_new(&own_id, &table), 0);
    struct pc_peer_id ids[PC_KAD_K + 1];
    for (unsigned i = 0; i <= PC_KAD_K; i++)
        ids[i] = id_of(number_in_bucket(&own_id, 2, i));
    for (unsigned i = 0; i < PC_KAD_K; i++)
        assert_int_equal(pc_kad_table_seen(table, &ids[i], NULL, 0, i), 0);
    assert_int_equal(pc_kad_table_seen(table, &ids[PC_KAD_K], NULL, 0, 99), PEERCACHE_ELIMIT);
    assert_int_equal(pc_kad_table_count(table), PC_KAD_K);
    /* One that is in may come again, another bucket has room, and a place made free is given. */
    assert_int_equal(pc_kad_table_seen(table, &ids[3], NULL, 0, 100), 0);
    struct pc_peer_id other = id_of(number_in_bucket(&own_id, 1, 0));
    assert_int_equal(pc_kad_table_seen(table, &other, NULL, 0, 101), 0);
    pc_kad_table_remove(table, &ids[5]);
    pc_kad_table_remove(table, &ids[5]);
    pc_kad_table_remove(table, &own_id);
    assert_int_equal(pc_kad_table_count(table), PC_KAD_K);
    assert_int_equal(pc_kad_table_seen(table, &ids[PC_KAD_K], NULL, 0, 102), 0);
    assert_int_equal(pc_kad_table_count(table), PC_KAD_K + 1);
    pc_kad_table_free(table);
    pc_kad_table_free(NULL);
}

static void table_refuses_our_own_id_and_none(void **state)
{
    (void)state;
    struct pc_kad_table *table;
    struct pc_peer_id own_id = id_of(0), none = { .size = 0 };
    assert_int_equal(pc_kad_table_new(&own_id, &table), 0);
    assert_int_equal(pc_kad_table_seen(table, &own_id, NULL, 0, 1), PEERCACHE_EINVAL);
    assert_int_equal(pc_kad_table_seen(table, &none, NULL, 0, 1), PEERCACHE_EINVAL);
    assert_int_equal(pc_kad_table_count(table), 0);
    const struct pc_kad_entry *entry;
    struct pc_kad_key own_key = pc_kad_key_of_peer(&own_id);
    assert_int_equal(pc_kad_table_closest(table, &own_key, &entry, 1), 0);
    pc_kad_table_free(table);
}

static void table_replaces_addresses_and_time(void **state)
{
    (void)state;
    struct pc_kad_table *table;
    struct pc_peer_id own_id = id_of(0), id = id_of(1);
    struct pc_kad_key key = pc_kad_key_of_peer(&id);
    struct pc_maddr addrs[PC_KAD_ADDRS_PER_PEER + 2];
    const struct pc_kad_entry *entry;
    for (uint8_t i = 0; i < PC_KAD_ADDRS_PER_PEER + 2; i++)
        addrs[i] = addr_of(i);
    assert_int_equal(pc_kad_table_new(&own_id, &table), 0);
    assert_int_equal(pc_kad_table_seen(table, &id, addrs, PC_KAD_ADDRS_PER_PEER + 2, 7), 0);
    assert_int_equal(pc_kad_table_closest(table, &key, &entry, 1), 1);
    assert_int_equal(entry->addr_count, PC_KAD_ADDRS_PER_PEER);
    assert_int_equal(entry->last_seen_us, 7);
    assert_memory_equal(entry->key.bytes, key.bytes, 32);
    assert_int_equal(pc_kad_table_seen(table, &id, addrs + 4, 1, 9), 0);
    assert_int_equal(pc_kad_table_count(table), 1);
    assert_int_equal(pc_kad_table_closest(table, &key, &entry, 1), 1);
    assert_int_equal(entry->addr_count, 1);
    assert_int_equal(entry->addrs[0].bytes[0], 4);
    assert_int_equal(entry->last_seen_us, 9);
    pc_kad_table_free(table);
}

static struct pc_kad_key sort_target;

static int by_distance(const void *a, const void *b)
{
    const struct pc_kad_entry *const *left = a, *const *right = b;
    return pc_kad_key_compare(&sort_target, &(*left)->key, &(*right)->key);
}

static void table_closest_agrees_with_brute_force(void **state)
{
    (void)state;
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, 11);
    for (unsigned round = 0; round < 40; round++) {
        struct pc_kad_table *table;
        struct pc_peer_id own_id = id_of((uint32_t)pc_base_rng_u64(&rng));
        struct pc_kad_key own_key = pc_kad_key_of_peer(&own_id);
        static struct pc_kad_entry model[600];
        static const struct pc_kad_entry *sorted[600], *found[700];
        size_t in = 0, per_bucket[257] = { 0 };
        assert_int_equal(pc_kad_table_new(&own_id, &table), 0);
        size_t offered = pc_base_rng_below(&rng, 600);
        for (size_t i = 0; i < offered; i++) {
            struct pc_kad_entry *entry = &model[in];
            entry->id = id_of((uint32_t)pc_base_rng_u64(&rng));
            entry->key = pc_kad_key_of_peer(&entry->id);
            size_t *filled = &per_bucket[pc_kad_key_common_prefix(&own_key, &entry->key)];
            int expected = *filled < PC_KAD_K ? 0 : PEERCACHE_ELIMIT;
            assert_int_equal(pc_kad_table_seen(table, &entry->id, NULL, 0, 1), expected);
            if (expected == 0) {
                sorted[in++] = entry;
                (*filled)++;
            }
        }
        assert_int_equal(pc_kad_table_count(table), in);
        for (unsigned lookup = 0; lookup < 30; lookup++) {
            struct pc_kad_key target = own_key;
            if (lookup % 3 == 0) /* anywhere; our own key; near ours down to a random bit */
                pc_base_rng_bytes(&rng, target.bytes, sizeof(target.bytes));
            else if (lookup % 3 == 1)
                pc_base_rng_bytes(&rng, target.bytes + 1, sizeof(target.bytes) - 1);
            if (lookup % 5 == 4 && in > 0)
                target = model[pc_base_rng_below(&rng, in)].key;
            size_t count = pc_base_rng_below(&rng, lookup % 2 ? 25 : 700);
            sort_target = target;
            qsort(sorted, in, sizeof(sorted[0]), by_distance);
            size_t expected = count < in ? count : in;
            assert_int_equal(pc_kad_table_closest(table, &target, found, count), expected);
            for (size_t i = 0; i < expected; i++)
                assert_true(pc_addr_peer_id_equal(&found[i]->id, &sorted[i]->id));
        }
        pc_kad_table_free(table);
    }
}

static void lookup_asks_nearest_first_and_alpha_at_once(void **state)
{
    (void)state;
    struct pc_kad_lookup *lookup;
    struct pc_peer_id own_id = id_of(0);
    struct pc_kad_key target = pc_kad_key_of(pc_bytes_of("t", 1));
    assert_int_equal(pc_kad_lookup_new(&target, &own_id, 0, 20, &lookup), PEERCACHE_EINVAL);
    assert_int_equal(pc_kad_lookup_new(&target, &own_id, 3, 0, &lookup), PEERCACHE_EINVAL);
    assert_int_equal(pc_kad_lookup_new(&target, &own_id, 3, 4, &lookup), 0);
    assert_true(pc_kad_lookup_done(lookup)); /* nobody to ask */
    assert_null(pc_kad_lookup_next(lookup));
    struct pc_maddr addrs[2] = { addr_of(1), addr_of(2) };
    for (uint32_t i = 0; i < 20; i++) { /* 0 is ourselves */
        struct pc_peer_id id = id_of(i);
        assert_int_equal(pc_kad_lookup_add(lookup, &id, addrs, 2), 0);
        assert_int_equal(pc_kad_lookup_add(lookup, &id, addrs, 1), 0); /* known: ignored */
    }
    assert_false(pc_kad_lookup_done(lookup));
    struct pc_peer_id none = { .size = 0 };
    assert_int_equal(pc_kad_lookup_add(lookup, &none, NULL, 0), 0);
    struct pc_kad_entry asked[3];
    for (size_t i = 0; i < 3; i++) {
        const struct pc_kad_entry *entry = pc_kad_lookup_next(lookup);
        assert_non_null(entry);
        assert_int_equal(entry->addr_count, 2);
        asked[i] = *entry;
        if (i > 0)
            assert_true(pc_kad_key_compare(&target, &asked[i - 1].key, &entry->key) < 0);
    }
    assert_null(pc_kad_lookup_next(lookup));
    for (uint32_t i = 0; i < 20; i++) { /* an answer of somebody not asked frees nothing */
        struct pc_peer_id id = id_of(i);
        if (!pc_addr_peer_id_equal(&id, &asked[0].id) && !pc_addr_peer_id_equal(&id, &asked[1].id) &&
            !pc_addr_peer_id_equal(&id, &asked[2].id)) {
            pc_kad_lookup_answered(lookup, &id);
            pc_kad_lookup_failed(lookup, &id);
        }
    }
    assert_null(pc_kad_lookup_next(lookup));
    pc_kad_lookup_failed(lookup, &asked[1].id);
    pc_kad_lookup_answered(lookup, &asked[1].id); /* too late: it has failed */
    assert_int_equal(pc_kad_lookup_answered_count(lookup), 0);
    assert_non_null(pc_kad_lookup_next(lookup));
    assert_null(pc_kad_lookup_next(lookup));
    pc_kad_lookup_answered(lookup, &asked[0].id);
    pc_kad_lookup_answered(lookup, &asked[0].id);
    assert_int_equal(pc_kad_lookup_answered_count(lookup), 1);
    assert_non_null(pc_kad_lookup_next(lookup));
    assert_null(pc_kad_lookup_next(lookup));
    pc_kad_lookup_free(lookup);
    pc_kad_lookup_free(NULL);
}

/* Done exactly when the beta nearest that did not fail have answered; farther ones are not waited for. */
static void lookup_ends_with_the_beta_closest(void **state)
{
    (void)state;
    struct pc_kad_lookup *lookup;
    struct pc_peer_id own_id = id_of(0);
    struct pc_kad_key target = pc_kad_key_of(pc_bytes_of("t", 1));
    assert_int_equal(pc_kad_lookup_new(&target, &own_id, 5, 3, &lookup), 0);
    for (uint32_t i = 1; i <= 10; i++) {
        struct pc_peer_id id = id_of(i);
        assert_int_equal(pc_kad_lookup_add(lookup, &id, NULL, 0), 0);
    }
    const struct pc_kad_entry *asked[5], *closest[10];
    for (size_t i = 0; i < 5; i++)
        asked[i] = pc_kad_lookup_next(lookup);
    pc_kad_lookup_answered(lookup, &asked[0]->id);
    pc_kad_lookup_answered(lookup, &asked[4]->id);
    pc_kad_lookup_answered(lookup, &asked[2]->id);
    assert_false(pc_kad_lookup_done(lookup)); /* three answered, not the three nearest */
    pc_kad_lookup_failed(lookup, &asked[1]->id);
    assert_false(pc_kad_lookup_done(lookup)); /* now the fourth is of the three nearest */
    pc_kad_lookup_answered(lookup, &asked[3]->id);
    assert_true(pc_kad_lookup_done(lookup));
    assert_null(pc_kad_lookup_next(lookup));
    assert_int_equal(pc_kad_lookup_closest(lookup, closest, 10), 4);
    assert_ptr_equal(closest[0], asked[0]);
    assert_ptr_equal(closest[1], asked[2]);
    assert_ptr_equal(closest[2], asked[3]);
    assert_ptr_equal(closest[3], asked[4]);
    assert_int_equal(pc_kad_lookup_closest(lookup, closest, 2), 2);
    pc_kad_lookup_free(lookup);

    assert_int_equal(pc_kad_lookup_new(&target, &own_id, 3, 2, &lookup), 0);
    for (uint32_t i = 1; i <= 10; i++) {
        struct pc_peer_id id = id_of(i);
        assert_int_equal(pc_kad_lookup_add(lookup, &id, NULL, 0), 0);
    }
    for (size_t i = 0; i < 3; i++)
        asked[i] = pc_kad_lookup_next(lookup);
    pc_kad_lookup_answered(lookup, &asked[0]->id);
    assert_false(pc_kad_lookup_done(lookup));
    pc_kad_lookup_answered(lookup, &asked[1]->id);
    assert_true(pc_kad_lookup_done(lookup)); /* exactly beta, with one more under way */
    pc_kad_lookup_free(lookup);
}

#define NODES 500

/* Each node's table is filled with everyone, in a random order; a stale one holds the dead too. */
struct network {
    struct pc_kad_table *tables[NODES];
    bool stale;
    bool dead[NODES];
    struct pc_kad_entry model[NODES];
};

static void network_init(struct network *network, struct pc_rng *rng, unsigned dead_percent, bool stale)
{
    memset(network, 0, sizeof(*network));
    network->stale = stale;
    for (uint32_t i = 0; i < NODES; i++) {
        network->model[i].id = id_of(i + 1);
        network->model[i].key = pc_kad_key_of_peer(&network->model[i].id);
        network->dead[i] = pc_base_rng_below(rng, 100) < dead_percent;
        assert_int_equal(pc_kad_table_new(&network->model[i].id, &network->tables[i]), 0);
    }
    for (uint32_t i = 0; i < NODES; i++) {
        uint32_t first = (uint32_t)pc_base_rng_below(rng, NODES);
        for (uint32_t j = 0; j < NODES; j++) {
            uint32_t other = (first + j * 7) % NODES; /* everyone: 7 and 500 are coprime */
            if (network->dead[other] && !stale)
                continue;
            int result = pc_kad_table_seen(network->tables[i], &network->model[other].id, NULL, 0, 1);
            assert_true(result == 0 || result == PEERCACHE_ELIMIT || result == PEERCACHE_EINVAL);
        }
    }
}

static void network_deinit(struct network *network)
{
    for (uint32_t i = 0; i < NODES; i++)
        pc_kad_table_free(network->tables[i]);
}

/* Run to the end, answers in random order; returns how many requests there were. */
static size_t run_lookup(struct network *network, struct pc_rng *rng, struct pc_kad_lookup *lookup,
                         const struct pc_peer_id *own_id, const struct pc_kad_key *target, unsigned alpha)
{
    struct pc_peer_id under_way[64];
    size_t under_way_count = 0, requests = 0;
    bool asked[NODES + 1] = { false };
    for (;;) {
        for (const struct pc_kad_entry *entry; (entry = pc_kad_lookup_next(lookup));) {
            assert_false(pc_addr_peer_id_equal(&entry->id, own_id));
            assert_false(asked[number_of(&entry->id)]);
            asked[number_of(&entry->id)] = true;
            under_way[under_way_count++] = entry->id;
            assert_true(under_way_count <= alpha);
            requests++;
        }
        if (under_way_count == 0 || pc_kad_lookup_done(lookup))
            break;
        size_t which = pc_base_rng_below(rng, under_way_count);
        struct pc_peer_id id = under_way[which];
        under_way[which] = under_way[--under_way_count];
        uint32_t node = number_of(&id) - 1;
        if (network->dead[node]) {
            pc_kad_lookup_failed(lookup, &id);
            continue;
        }
        const struct pc_kad_entry *answer[PC_KAD_K];
        size_t count = pc_kad_table_closest(network->tables[node], target, answer, PC_KAD_K);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(pc_kad_lookup_add(lookup, &answer[i]->id, answer[i]->addrs, 0), 0);
        for (size_t i = 0; i < 3; i++) { /* and a few of whatever state: some will fail */
            const struct pc_peer_id *other = &network->model[pc_base_rng_below(rng, NODES)].id;
            assert_int_equal(pc_kad_lookup_add(lookup, other, NULL, 0), 0);
        }
        pc_kad_lookup_answered(lookup, &id);
    }
    assert_true(pc_kad_lookup_done(lookup));
    return requests;
}

static void lookup_finds_the_closest_live_nodes(void **state)
{
    (void)state;
    struct pc_rng rng;
    static struct network network;
    pc_base_rng_init_u64(&rng, 5);
    for (unsigned round = 0; round < 7; round++) {
        network_init(&network, &rng, round % 4 * 15, round >= 4);
        for (unsigned attempt = 0; attempt < 25; attempt++) {
            struct pc_kad_lookup *lookup;
            struct pc_kad_key target;
            uint32_t own = (uint32_t)pc_base_rng_below(&rng, NODES);
            struct pc_peer_id own_id = network.model[own].id;
            pc_base_rng_bytes(&rng, target.bytes, sizeof(target.bytes));
            if (attempt % 2)
                target = network.model[own].key; /* our own neighbourhood */
            unsigned alpha = attempt % 3 ? PC_KAD_ALPHA : 3;
            assert_int_equal(pc_kad_lookup_new(&target, &own_id, alpha, PC_KAD_BETA, &lookup), 0);
            for (size_t seeds = 0; seeds < 3;) {
                uint32_t seed = (uint32_t)pc_base_rng_below(&rng, NODES);
                if (network.dead[seed] || seed == own)
                    continue;
                assert_int_equal(pc_kad_lookup_add(lookup, &network.model[seed].id, NULL, 0), 0);
                seeds++;
            }
            size_t requests = run_lookup(&network, &rng, lookup, &own_id, &target, alpha);
            assert_true(requests < 200); /* far from asking everyone */

            const struct pc_kad_entry *live[NODES], *found[PC_KAD_K];
            size_t live_count = 0;
            for (uint32_t i = 0; i < NODES; i++)
                if (!network.dead[i] && i != own)
                    live[live_count++] = &network.model[i];
            sort_target = target;
            qsort(live, live_count, sizeof(live[0]), by_distance);
            assert_int_equal(pc_kad_lookup_closest(lookup, found, PC_KAD_K), PC_KAD_K);
            /* Where answers of 20 hold dead ones, nobody may have told of the last few: the nearest are
             * found. */
            size_t sure = network.stale ? PC_KAD_K / 2 : PC_KAD_K;
            for (size_t i = 0; i < PC_KAD_K; i++) {
                assert_false(network.dead[number_of(&found[i]->id) - 1]);
                if (i < sure)
                    assert_int_equal(number_of(&found[i]->id), number_of(&live[i]->id));
            }
            pc_kad_lookup_free(lookup);
        }
        network_deinit(&network);
    }
}

static void lookup_ends_when_all_fail(void **state)
{
    (void)state;
    struct pc_rng rng;
    static struct network network;
    pc_base_rng_init_u64(&rng, 6);
    network_init(&network, &rng, 100, true);
    struct pc_kad_lookup *lookup;
    struct pc_peer_id own_id = id_of(0);
    struct pc_kad_key target = pc_kad_key_of_peer(&own_id);
    assert_int_equal(pc_kad_lookup_new(&target, &own_id, PC_KAD_ALPHA, PC_KAD_BETA, &lookup), 0);
    for (uint32_t i = 0; i < NODES; i++)
        assert_int_equal(pc_kad_lookup_add(lookup, &network.model[i].id, NULL, 0), 0);
    assert_int_equal(run_lookup(&network, &rng, lookup, &own_id, &target, PC_KAD_ALPHA), NODES);
    const struct pc_kad_entry *found[PC_KAD_K];
    assert_int_equal(pc_kad_lookup_closest(lookup, found, PC_KAD_K), 0);
    assert_int_equal(pc_kad_lookup_answered_count(lookup), 0);
    pc_kad_lookup_free(lookup);
    network_deinit(&network);
}

/* Everyone answers with thousands of fresh junk peers: it ends all the same, and never asks more than the
 * bound. */
static void lookup_ends_under_a_flood(void **state)
{
    (void)state;
    for (unsigned junk_answers = 0; junk_answers < 2; junk_answers++) {
        struct pc_kad_lookup *lookup;
        struct pc_peer_id own_id = id_of(0), seed = id_of(1);
        struct pc_kad_key target = pc_kad_key_of_peer(&own_id);
        assert_int_equal(pc_kad_lookup_new(&target, &own_id, PC_KAD_ALPHA, PC_KAD_BETA, &lookup), 0);
        assert_int_equal(pc_kad_lookup_add(lookup, &seed, NULL, 0), 0);
        uint32_t fresh = 2;
        size_t requests = 0;
        for (const struct pc_kad_entry *entry; (entry = pc_kad_lookup_next(lookup)); requests++) {
            struct pc_peer_id id = entry->id;
            for (size_t i = 0; i < (requests < 20 ? 5000 : 50); i++) {
                struct pc_peer_id junk = id_of(fresh++);
                assert_int_equal(pc_kad_lookup_add(lookup, &junk, NULL, 0), 0);
            }
            if (junk_answers || requests == 0)
                pc_kad_lookup_answered(lookup, &id);
            else
                pc_kad_lookup_failed(lookup, &id);
        }
        assert_true(pc_kad_lookup_done(lookup));
        if (junk_answers)
            assert_in_range(requests, PC_KAD_BETA, 200);
        else
            assert_int_equal(requests, PC_KAD_LOOKUP_MAX_PEERS);
        pc_kad_lookup_free(lookup);
    }
}

/* At the bound the farthest that wait give way, so that the nearest of all told of are remembered. */
static void lookup_keeps_the_nearest_at_its_bound(void **state)
{
    (void)state;
    enum { TOLD = 3000 };
    struct pc_kad_lookup *lookup;
    struct pc_peer_id own_id = id_of(0);
    struct pc_kad_key target = pc_kad_key_of(pc_bytes_of("t", 1));
    static struct pc_kad_entry model[TOLD];
    static const struct pc_kad_entry *sorted[TOLD];
    assert_int_equal(pc_kad_lookup_new(&target, &own_id, 1, TOLD, &lookup), 0);
    for (uint32_t i = 0; i < TOLD; i++) {
        model[i].id = id_of(i + 1);
        model[i].key = pc_kad_key_of_peer(&model[i].id);
        sorted[i] = &model[i];
        assert_int_equal(pc_kad_lookup_add(lookup, &model[i].id, NULL, 0), 0);
    }
    sort_target = target;
    qsort(sorted, TOLD, sizeof(sorted[0]), by_distance);
    assert_int_equal(pc_kad_lookup_add(lookup, &sorted[TOLD - 1]->id, NULL, 0), 0); /* displaces nobody */
    size_t given = 0;
    for (const struct pc_kad_entry *entry; (entry = pc_kad_lookup_next(lookup)); given++) {
        struct pc_peer_id id = entry->id;
        assert_true(given < TOLD && pc_addr_peer_id_equal(&id, &sorted[given]->id));
        pc_kad_lookup_answered(lookup, &id);
    }
    assert_int_equal(given, PC_KAD_LOOKUP_MAX_PEERS);
    assert_true(pc_kad_lookup_done(lookup));
    pc_kad_lookup_free(lookup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_is_sha256_of_the_id),
        cmocka_unit_test(key_distance_is_xor_big_endian),
        cmocka_unit_test(table_full_bucket_refuses),
        cmocka_unit_test(table_refuses_our_own_id_and_none),
        cmocka_unit_test(table_replaces_addresses_and_time),
        cmocka_unit_test(table_closest_agrees_with_brute_force),
        cmocka_unit_test(lookup_asks_nearest_first_and_alpha_at_once),
        cmocka_unit_test(lookup_ends_with_the_beta_closest),
        cmocka_unit_test(lookup_finds_the_closest_live_nodes),
        cmocka_unit_test(lookup_ends_when_all_fail),
        cmocka_unit_test(lookup_ends_under_a_flood),
        cmocka_unit_test(lookup_keeps_the_nearest_at_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
