#include "check.h"

#include "base/rng.h"
#include "kad/table.h"
#include "kad_peers.h"

#include <peercache/types.h>

#include <stdlib.h>
#include <string.h>

#define OWN   7
#define S     PC_US_PER_S
#define START (1000000 * S)

static struct pc_kad_table *table_of(uint32_t own, uint32_t bucket_group_max, uint32_t table_group_max)
{
    struct pc_kad_table *table;
    struct pc_kad_table_options options = { kad_id(own), bucket_group_max, table_group_max, { 0 }, NULL };
    assert_int_equal(pc_kad_table_new(&options, &table), 0);
    return table;
}

static enum pc_kad_place verified(struct pc_kad_table *table, uint32_t number, uint32_t group, int64_t now_us)
{
    enum pc_kad_place place;
    struct pc_kad_contact contact = kad_contact(number, group);
    assert_int_equal(pc_kad_table_verified(table, &contact, now_us, &place), 0);
    return place;
}

static const struct pc_kad_entry *find(const struct pc_kad_table *table, uint32_t number)
{
    struct pc_peer_id id = kad_id(number);
    return pc_kad_table_find(table, &id);
}

static void answered(struct pc_kad_table *table, uint32_t number, int64_t now_us)
{
    struct pc_peer_id id = kad_id(number);
    pc_kad_table_answered(table, &id, now_us);
}

static void take_out(struct pc_kad_table *table, uint32_t number)
{
    struct pc_peer_id id = kad_id(number);
    pc_kad_table_remove(table, &id);
}

/* k peers of the given bucket, each of a group of its own: then no bucket before it holds a neighbour of ours. */
static void surround(struct pc_kad_table *table, unsigned bucket)
{
    uint32_t n[PC_KAD_K];
    kad_in_bucket(OWN, bucket, 1000, n, PC_KAD_K);
    for (uint32_t i = 0; i < PC_KAD_K; i++)
        assert_int_equal(verified(table, n[i], 5000 + i, START), PC_KAD_MEMBER);
}

static void refuses_our_own_id_and_none(void **state)
{
    (void)state;
    struct pc_kad_table *table = table_of(OWN, 0, 0);
    struct pc_kad_contact contact = kad_contact(OWN, 1);
    enum pc_kad_place place = PC_KAD_CROWDED;
    assert_int_equal(pc_kad_table_verified(table, &contact, START, &place), PEERCACHE_EINVAL);
    contact.id.size = 0;
    assert_int_equal(pc_kad_table_verified(table, &contact, START, &place), PEERCACHE_EINVAL);
    assert_int_equal(place, PC_KAD_CROWDED); /* untouched */
    struct pc_kad_key own_key = kad_key(OWN);
    const struct pc_kad_entry *entry;
    answered(table, OWN, START);
    answered(table, 99, START); /* strangers don't come in by answering */
    take_out(table, OWN);
    take_out(table, 99);
    assert_int_equal(pc_kad_table_count(table), 0);
    assert_int_equal(pc_kad_table_closest(table, &own_key, &entry, 1), 0);
    assert_null(pc_kad_table_next(table, NULL));
    assert_null(pc_kad_table_next_test(table, PC_TIME_NEVER - 1));
    assert_int_equal(pc_kad_table_test_at_us(table), PC_TIME_NEVER);
    pc_kad_table_free(table);
    pc_kad_table_free(NULL);
}

static void remembers_addresses_and_times(void **state)
{
    (void)state;
    struct pc_kad_table *table = table_of(OWN, 0, 0);
    struct pc_maddr addrs[PC_KAD_ADDRS_PER_PEER + 2];
    enum pc_kad_place place;
    for (uint8_t i = 0; i < PC_KAD_ADDRS_PER_PEER + 2; i++)
        addrs[i] = kad_addr(i);
    struct pc_kad_contact contact = { kad_id(1), kad_group(1), addrs, PC_KAD_ADDRS_PER_PEER + 2 };
    assert_int_equal(pc_kad_table_verified(table, &contact, START, &place), 0);
    const struct pc_kad_entry *entry = find(table, 1);
    struct pc_kad_key key = kad_key(1);
    assert_int_equal(entry->addr_count, PC_KAD_ADDRS_PER_PEER);
    assert_int_equal(entry->last_seen_us, START);
    assert_int_equal(entry->last_answered_us, START);
    assert_memory_equal(entry->key.bytes, key.bytes, 32);

    pc_kad_table_seen(table, &contact.id, START + 5 * S);
    entry = find(table, 1);
    assert_int_equal(entry->last_seen_us, START + 5 * S);
    assert_int_equal(entry->last_answered_us, START);
    answered(table, 1, START + 9 * S);
    entry = find(table, 1);
    assert_int_equal(entry->last_seen_us, START + 9 * S);
    assert_int_equal(entry->last_answered_us, START + 9 * S);
    assert_true(pc_kad_table_is_useful(entry, START + 9 * S + PC_KAD_TEST_SILENT_US));
    assert_false(pc_kad_table_is_useful(entry, START + 9 * S + PC_KAD_TEST_SILENT_US + 1));

    contact.addrs = addrs + 4;
    contact.addr_count = 1;
    assert_int_equal(pc_kad_table_verified(table, &contact, START + 11 * S, &place), 0);
    assert_int_equal(place, PC_KAD_MEMBER);
    entry = find(table, 1);
    assert_int_equal(pc_kad_table_count(table), 1);
    assert_int_equal(entry->addr_count, 1);
    assert_int_equal(entry->addrs[0].bytes[0], 4);
    assert_int_equal(entry->last_answered_us, START + 11 * S);
    pc_kad_table_free(table);
}

/* Kademlia's rule: who has lived long keeps the place, a newcomer waits for one that dies. */
static void full_bucket_tests_the_least_recently_seen(void **state)
{
    (void)state;
    struct pc_kad_table *table = table_of(OWN, 0, 0);
    uint32_t n[PC_KAD_K + 9];
    kad_in_bucket(OWN, 2, 1000, n, PC_KAD_K + 9);
    surround(table, 6);
    for (uint32_t i = 0; i < PC_KAD_K; i++)
        assert_int_equal(verified(table, n[i], i, START + i), PC_KAD_MEMBER);
    int64_t now_us = START + 1000 * S;
    assert_null(pc_kad_table_next_test(table, now_us));

    answered(table, n[0], now_us); /* so n[1] is the one seen least recently */
    assert_int_equal(verified(table, n[20], 20, now_us), PC_KAD_REPLACEMENT);
    assert_null(find(table, n[20]));
    assert_int_equal(pc_kad_table_test_at_us(table), now_us);
    const struct pc_kad_entry *test = pc_kad_table_next_test(table, now_us);
    assert_int_equal(kad_number(&test->id), n[1]);
    assert_null(pc_kad_table_next_test(table, now_us)); /* given out once */

    /* It answers: it stays, seen last, and the newcomer goes on waiting. Another one tests the next. */
    answered(table, n[1], now_us);
    assert_null(pc_kad_table_next_test(table, now_us));
    assert_int_equal(verified(table, n[21], 21, now_us), PC_KAD_REPLACEMENT);
    test = pc_kad_table_next_test(table, now_us);
    assert_int_equal(kad_number(&test->id), n[2]);
    /* While its test is under way a flood of newcomers tests nobody again. */
    for (uint32_t i = 22; i < 26; i++)
        assert_int_equal(verified(table, n[i], i, now_us), PC_KAD_REPLACEMENT);
    assert_null(pc_kad_table_next_test(table, now_us));

    /* It fails: the newest of those who wait takes its place. The oldest (n[20]) was pushed out meanwhile. */
    take_out(table, n[2]);
    assert_null(find(table, n[2]));
    assert_non_null(find(table, n[25]));
    assert_int_equal(pc_kad_table_bucket_count(table, 2), PC_KAD_K);
    take_out(table, n[24]); /* a replacement found dead waits no longer */
    for (uint32_t i = 3; i < 6; i++)
        take_out(table, n[i]);
    assert_non_null(find(table, n[23]));
    assert_non_null(find(table, n[22]));
    assert_non_null(find(table, n[21]));
    assert_int_equal(pc_kad_table_bucket_count(table, 2), PC_KAD_K);
    take_out(table, n[6]);
    assert_int_equal(pc_kad_table_bucket_count(table, 2), PC_KAD_K - 1);
    assert_null(find(table, n[20]));
    assert_int_equal(verified(table, n[26], 26, now_us), PC_KAD_MEMBER);
    pc_kad_table_free(table);
}

static void a_replacement_that_comes_again_is_the_newest(void **state)
{
    (void)state;
    struct pc_kad_table *table = table_of(OWN, 0, 0);
    uint32_t n[PC_KAD_K + 3];
    surround(table, 6);
    kad_in_bucket(OWN, 1, 1000, n, PC_KAD_K + 3);
    for (uint32_t i = 0; i < PC_KAD_K + 3; i++)
        verified(table, n[i], i, START);
    assert_int_equal(verified(table, n[20], 20, START), PC_KAD_REPLACEMENT);
    take_out(table, n[0]);
    assert_non_null(find(table, n[20]));
    take_out(table, n[1]);
    take_out(table, n[2]);
    assert_int_equal(pc_kad_table_bucket_count(table, 1), PC_KAD_K);
    take_out(table, n[3]); /* it was in once, not twice */
    assert_int_equal(pc_kad_table_bucket_count(table, 1), PC_KAD_K - 1);
    pc_kad_table_free(table);
}

static void just_answered_is_not_tested_for_a_newcomer(void **state)
{
    (void)state;
    struct pc_kad_table *table = table_of(OWN, 0, 0);
    uint32_t n[PC_KAD_K + 2];
    surround(table, 6);
    kad_in_bucket(OWN, 0, 1000, n, PC_KAD_K + 2);
    for (uint32_t i = 0; i < PC_KAD_K; i++)
        verified(table, n[i], i, START);
    assert_int_equal(verified(table, n[20], 20, START + PC_KAD_TEST_FRESH_US - 1), PC_KAD_REPLACEMENT);
    assert_null(pc_kad_table_next_test(table, START + PC_KAD_TEST_FRESH_US - 1));
    assert_int_equal(verified(table, n[21], 21, START + PC_KAD_TEST_FRESH_US), PC_KAD_REPLACEMENT);
    assert_non_null(pc_kad_table_next_test(table, START + PC_KAD_TEST_FRESH_US));
    pc_kad_table_free(table);
}

static void the_silent_are_tested_and_a_test_forgotten_comes_again(void **state)
{
    (void)state;
    struct pc_kad_table *table = table_of(OWN, 0, 0);
    verified(table, 1, 1, START);
    verified(table, 2, 2, START + 10 * S);
    struct pc_peer_id first = kad_id(1);
    pc_kad_table_seen(table, &first, START + 1000 * S); /* asks, but does it answer? */
    int64_t due_us = START + PC_KAD_TEST_SILENT_US;
    assert_int_equal(pc_kad_table_test_at_us(table), due_us);
    assert_null(pc_kad_table_next_test(table, due_us - 1));
    assert_int_equal(kad_number(&pc_kad_table_next_test(table, due_us)->id), 1);
    assert_null(pc_kad_table_next_test(table, due_us));
    assert_int_equal(kad_number(&pc_kad_table_next_test(table, due_us + 10 * S)->id), 2);
    answered(table, 2, due_us + 11 * S);
    assert_int_equal(pc_kad_table_test_at_us(table), due_us + PC_KAD_TEST_AGAIN_US);
    assert_int_equal(kad_number(&pc_kad_table_next_test(table, due_us + PC_KAD_TEST_AGAIN_US)->id), 1);
    take_out(table, 1);
    assert_int_equal(pc_kad_table_test_at_us(table), due_us + 11 * S + PC_KAD_TEST_SILENT_US);
    pc_kad_table_free(table);
}

static void groups_have_their_share_of_bucket_and_table(void **state)
{
    (void)state;
    struct pc_kad_table *table = table_of(OWN, PC_KAD_BUCKET_GROUP_MAX, PC_KAD_TABLE_GROUP_MAX);
    uint32_t n[30], deeper[4];
    surround(table, 6);
    kad_in_bucket(OWN, 0, 1000, n, 30);
    kad_in_bucket(OWN, 1, 1000, deeper, 4);
    assert_int_equal(verified(table, n[0], 5, START), PC_KAD_MEMBER);
    assert_int_equal(verified(table, n[1], 5, START), PC_KAD_MEMBER);
    assert_int_equal(verified(table, n[2], 5, START), PC_KAD_CROWDED);
    assert_int_equal(verified(table, deeper[0], 5, START), PC_KAD_MEMBER);
    assert_int_equal(verified(table, deeper[1], 5, START), PC_KAD_CROWDED); /* the fourth in the table */
    assert_int_equal(verified(table, deeper[2], 6, START), PC_KAD_MEMBER);
    assert_int_equal(pc_kad_table_count(table), PC_KAD_K + 4);
    /* One that leaves makes room for its group. */
    take_out(table, n[0]);
    assert_int_equal(verified(table, deeper[1], 5, START), PC_KAD_MEMBER);
    assert_int_equal(verified(table, n[2], 5, START), PC_KAD_CROWDED);
    /* A member that moves into a crowded group loses its place; one that moves elsewhere keeps it. */
    assert_int_equal(verified(table, deeper[2], 5, START), PC_KAD_CROWDED);
    assert_null(find(table, deeper[2]));
    assert_int_equal(verified(table, n[1], 9, START), PC_KAD_MEMBER);
    assert_int_equal(pc_kad_table_count(table), PC_KAD_K + 3);
    assert_int_equal(verified(table, n[2], 5, START), PC_KAD_MEMBER);

    /* The places of those who wait are shared as well, and whoever takes a place is counted anew. */
    for (uint32_t i = 3; pc_kad_table_bucket_count(table, 0) < PC_KAD_K; i++)
        assert_int_equal(verified(table, n[i], 100 + i, START), PC_KAD_MEMBER);
    assert_int_equal(verified(table, n[25], 7, START), PC_KAD_REPLACEMENT);
    assert_int_equal(verified(table, n[26], 8, START), PC_KAD_REPLACEMENT);
    assert_int_equal(verified(table, n[27], 8, START), PC_KAD_REPLACEMENT);
    assert_int_equal(verified(table, n[28], 8, START), PC_KAD_CROWDED);
    for (uint32_t i = 0; i < 3; i++) { /* group 8 fills its share of the table elsewhere */
        uint32_t other;
        kad_in_bucket(OWN, 2 + i, 5000, &other, 1);
        assert_int_equal(verified(table, other, 8, START), PC_KAD_MEMBER);
    }
    take_out(table, n[3]);
    assert_non_null(find(table, n[25]));
    assert_null(find(table, n[26]));
    assert_null(find(table, n[27]));
    pc_kad_table_free(table);
}

/* Local mode: each ip:port is a group of its own, so the limits refuse nobody. Without a limit one group may
 * fill all. */
static void groups_of_one_and_no_limit(void **state)
{
    (void)state;
    uint32_t n[PC_KAD_K];
    kad_in_bucket(OWN, 0, 1000, n, PC_KAD_K);
    struct pc_kad_table *table = table_of(OWN, PC_KAD_BUCKET_GROUP_MAX, PC_KAD_TABLE_GROUP_MAX);
    struct pc_kad_table *unlimited = table_of(OWN, 0, 0);
    for (uint16_t i = 0; i < PC_KAD_K; i++) {
        struct pc_ip_port address = { .family = 4, .ip = { 127, 0, 0, 1 }, .port = (uint16_t)(4000 + i) };
        struct pc_kad_contact contact = kad_contact(n[i], 0);
        enum pc_kad_place place;
        contact.group = pc_addr_netgroup_of_ip_port(&address, PC_NETGROUP_LOCAL);
        assert_int_equal(pc_kad_table_verified(table, &contact, START, &place), 0);
        assert_int_equal(place, PC_KAD_MEMBER);
        contact.group = pc_addr_netgroup_of_ip_port(&address, PC_NETGROUP_PUBLIC);
        assert_int_equal(pc_kad_table_verified(unlimited, &contact, START, &place), 0);
        assert_int_equal(place, PC_KAD_MEMBER);
    }
    pc_kad_table_free(table);
    pc_kad_table_free(unlimited);
}

static void neighbours_are_the_k_closest(void **state)
{
    (void)state;
    struct pc_rng rng;
    struct pc_kad_table *table = table_of(OWN, 0, 0);
    struct pc_kad_key own_key = kad_key(OWN);
    pc_base_rng_init_u64(&rng, 3);
    assert_int_equal(pc_kad_table_edge(table), 0);
    for (uint32_t round = 0; round < 400; round++) {
        const struct pc_kad_entry *closest[PC_KAD_K];
        verified(table, 100 + (uint32_t)pc_base_rng_below(&rng, 2000), 0, START);
        if (round % 3 == 0)
            take_out(table, 100 + (uint32_t)pc_base_rng_below(&rng, 2000));
        size_t count = pc_kad_table_closest(table, &own_key, closest, PC_KAD_K);
        size_t neighbours = 0;
        for (const struct pc_kad_entry *e = NULL; (e = pc_kad_table_next(table, e));)
            neighbours += pc_kad_table_is_neighbour(table, &e->id);
        assert_int_equal(neighbours, count);
        for (size_t i = 0; i < count; i++)
            assert_true(pc_kad_table_is_neighbour(table, &closest[i]->id));
        unsigned edge = count == PC_KAD_K ? pc_kad_key_common_prefix(&own_key, &closest[count - 1]->key) : 0;
        assert_int_equal(pc_kad_table_edge(table), edge);
    }
    struct pc_peer_id stranger = kad_id(1), own_id = kad_id(OWN);
    assert_false(pc_kad_table_is_neighbour(table, &stranger));
    assert_false(pc_kad_table_is_neighbour(table, &own_id));
    pc_kad_table_free(table);
}

/* Of all that were ever verified the k closest are in, whatever the order they came in. */
static void neighbours_go_before_elders(void **state)
{
    (void)state;
    struct pc_rng rng;
    struct pc_kad_key own_key = kad_key(OWN);
    uint32_t displaced = 0;
    pc_base_rng_init_u64(&rng, 5);
    for (uint32_t round = 0; round < 20; round++) {
        struct pc_kad_table *table = table_of(OWN, 0, 0);
        uint32_t nearest[PC_KAD_K], count = 0;
        for (uint32_t i = 0; i < 500; i++) {
            uint32_t number = 100 + (uint32_t)pc_base_rng_below(&rng, 100000);
            if (find(table, number))
                continue;
            struct pc_kad_key key = kad_key(number);
            size_t full = pc_kad_table_bucket_count(table, pc_kad_key_common_prefix(&own_key, &key));
            displaced += verified(table, number, 0, START) == PC_KAD_MEMBER && full == PC_KAD_K;
            uint32_t at = count < PC_KAD_K ? count++ : PC_KAD_K;
            for (; at > 0; at--) {
                struct pc_kad_key before = kad_key(nearest[at - 1]);
                if (pc_kad_key_compare(&own_key, &key, &before) >= 0)
                    break;
                if (at < PC_KAD_K)
                    nearest[at] = nearest[at - 1];
            }
            if (at < PC_KAD_K)
                nearest[at] = number;
        }
        const struct pc_kad_entry *closest[PC_KAD_K];
        assert_int_equal(pc_kad_table_closest(table, &own_key, closest, PC_KAD_K), count);
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(kad_number(&closest[i]->id), nearest[i]);
        pc_kad_table_free(table);
    }
    assert_true(displaced > 20);
}

/* A neighbour that leaves makes one more of the bucket at the edge a neighbour: of those who wait the nearest. */
static void the_nearest_who_waits_follows_a_neighbour(void **state)
{
    (void)state;
    struct pc_kad_key own_key = kad_key(OWN);
    struct pc_kad_table *table = table_of(OWN, 0, 0);
    uint32_t near[PC_KAD_K], edge[2 * PC_KAD_K];
    kad_in_bucket(OWN, 5, 1000, near, PC_KAD_K);
    for (uint32_t i = 0; i < PC_KAD_K; i++)
        verified(table, near[i], 0, START);
    kad_in_bucket(OWN, 2, 1000, edge, 2 * PC_KAD_K);
    uint32_t nearest = edge[0];
    for (uint32_t i = 1; i < 2 * PC_KAD_K; i++) {
        struct pc_kad_key key = kad_key(edge[i]), best = kad_key(nearest);
        if (pc_kad_key_compare(&own_key, &key, &best) < 0)
            nearest = edge[i];
    }
    for (uint32_t i = 0; i < 2 * PC_KAD_K; i++)
        if (edge[i] != nearest && pc_kad_table_bucket_count(table, 2) < PC_KAD_K)
            assert_int_equal(verified(table, edge[i], 0, START), PC_KAD_MEMBER);
    assert_int_equal(verified(table, nearest, 0, START), PC_KAD_REPLACEMENT);
    take_out(table, near[0]);
    assert_non_null(find(table, nearest));
    assert_int_equal(pc_kad_table_bucket_count(table, 2), PC_KAD_K);
    assert_int_equal(pc_kad_table_count(table), 2 * PC_KAD_K - 1);
    pc_kad_table_free(table);
}

static struct pc_kad_key sort_target;

static int by_distance(const void *a, const void *b)
{
    const struct pc_kad_entry *const *left = a, *const *right = b;
    return pc_kad_key_compare(&sort_target, &(*left)->key, &(*right)->key);
}

static void check_closest(const struct pc_kad_table *table, const struct pc_kad_key *target, size_t count)
{
    static const struct pc_kad_entry *sorted[2000], *found[2000];
    size_t in = 0;
    for (const struct pc_kad_entry *e = NULL; (e = pc_kad_table_next(table, e));)
        sorted[in++] = e;
    assert_int_equal(in, pc_kad_table_count(table));
    sort_target = *target;
    qsort(sorted, in, sizeof(sorted[0]), by_distance);
    size_t expected = count < in ? count : in;
    assert_int_equal(pc_kad_table_closest(table, target, found, count), expected);
    for (size_t i = 0; i < expected; i++)
        assert_ptr_equal(found[i], sorted[i]);
}

static void closest_agrees_with_brute_force(void **state)
{
    (void)state;
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, 11);
    for (unsigned round = 0; round < 40; round++) {
        uint32_t own = (uint32_t)pc_base_rng_u64(&rng), any = 0;
        struct pc_kad_table *table = table_of(own, 0, 0);
        for (size_t i = pc_base_rng_below(&rng, 1200); i > 0; i--)
            verified(table, any = (uint32_t)pc_base_rng_u64(&rng), 0, START);
        for (unsigned lookup = 0; lookup < 30; lookup++) {
            struct pc_kad_key target = kad_key(own);
            if (lookup % 3 == 0) /* anywhere; our own key; near ours down to a random bit; a member's */
                pc_base_rng_bytes(&rng, target.bytes, sizeof(target.bytes));
            else if (lookup % 3 == 1)
                pc_base_rng_bytes(&rng, target.bytes + 1, sizeof(target.bytes) - 1);
            if (lookup % 5 == 4)
                target = kad_key(any);
            check_closest(table, &target, pc_base_rng_below(&rng, lookup % 2 ? 25 : 700));
        }
        pc_kad_table_free(table);
    }
}

#define PEERS  600
#define GROUPS 60

/* What the limits allow, counted the slow way. */
static void count_slowly(const struct pc_kad_table *table, uint32_t number, const struct pc_netgroup *group,
                         size_t *ret_bucket, size_t *ret_of_group_in_bucket, size_t *ret_of_group)
{
    struct pc_kad_key own_key = kad_key(OWN), key = kad_key(number);
    unsigned bucket = pc_kad_key_common_prefix(&own_key, &key);
    *ret_bucket = *ret_of_group_in_bucket = *ret_of_group = 0;
    for (const struct pc_kad_entry *e = NULL; (e = pc_kad_table_next(table, e));) {
        bool same_bucket = pc_kad_key_common_prefix(&own_key, &e->key) == bucket;
        bool same_group = pc_addr_netgroup_equal(&e->group, group);
        *ret_bucket += same_bucket;
        *ret_of_group_in_bucket += same_bucket && same_group;
        *ret_of_group += same_group;
    }
    assert_int_equal(pc_kad_table_bucket_count(table, bucket), *ret_bucket);
}

/* Whatever happens: no limit is passed, nobody is in twice, and only who was removed or moved into a crowded
 * group leaves. */
static void random_lives_keep_the_rules(void **state)
{
    (void)state;
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, 21);
    struct pc_kad_table *table = table_of(OWN, PC_KAD_BUCKET_GROUP_MAX, PC_KAD_TABLE_GROUP_MAX);
    int64_t now_us = START;
    size_t placed[3] = { 0 }, tests = 0;
    for (unsigned step = 0; step < 30000; step++) {
        now_us += (int64_t)pc_base_rng_below(&rng, 5 * S);
        uint32_t number = 100 + (uint32_t)pc_base_rng_below(&rng, PEERS);
        uint32_t group = (number * 7 + (pc_base_rng_below(&rng, 50) == 0)) % GROUPS; /* a few move */
        struct pc_netgroup name = kad_group(group);
        const struct pc_kad_entry *before = find(table, number);
        bool was_in = before != NULL, same_group = was_in && pc_addr_netgroup_equal(&before->group, &name);
        size_t count = pc_kad_table_count(table), in_its_bucket, of_group_in_bucket, of_group;
        count_slowly(table, number, &name, &in_its_bucket, &of_group_in_bucket, &of_group);
        switch (pc_base_rng_below(&rng, 4)) {
        case 0:
            take_out(table, number);
            assert_null(find(table, number));
            assert_true(pc_kad_table_count(table) == count ||
                        (was_in && pc_kad_table_count(table) == count - 1));
            break;
        case 1: {
            const struct pc_kad_entry *test = pc_kad_table_next_test(table, now_us);
            if (!test)
                break;
            tests++;
            number = kad_number(&test->id);
            if (pc_base_rng_below(&rng, 3) == 0)
                take_out(table, number);
            else
                answered(table, number, now_us);
            break;
        }
        default: {
            enum pc_kad_place place = verified(table, number, group, now_us);
            placed[place]++;
            assert_int_equal(find(table, number) != NULL, place == PC_KAD_MEMBER);
            if (same_group)
                assert_int_equal(place, PC_KAD_MEMBER);
            else if (of_group_in_bucket >= PC_KAD_BUCKET_GROUP_MAX || of_group >= PC_KAD_TABLE_GROUP_MAX)
                assert_int_equal(place, PC_KAD_CROWDED);
            else if (!was_in && in_its_bucket == PC_KAD_K && place == PC_KAD_MEMBER)
                assert_true(pc_kad_table_is_neighbour(table, &find(table, number)->id));
            count_slowly(table, number, &name, &in_its_bucket, &of_group_in_bucket, &of_group);
            assert_true(in_its_bucket <= PC_KAD_K);
            assert_true(of_group_in_bucket <= PC_KAD_BUCKET_GROUP_MAX);
            assert_true(of_group <= PC_KAD_TABLE_GROUP_MAX);
        }
        }
        if (step % 500 == 0) {
            struct pc_kad_key target;
            pc_base_rng_bytes(&rng, target.bytes, sizeof(target.bytes));
            check_closest(table, &target, PC_KAD_K);
        }
    }
    /* All of it happened. */
    assert_true(placed[PC_KAD_MEMBER] > 100 && placed[PC_KAD_REPLACEMENT] > 100 &&
                placed[PC_KAD_CROWDED] > 100);
    assert_true(tests > 100);
    pc_kad_table_free(table);
}

/* Whoever comes, leaves, is displaced or loses its place: while the version stands, the members are the same. */
static void no_change_of_members_goes_unversioned(void **state)
{
    (void)state;
    enum { NUMBERS = 300 };
    struct pc_kad_table *table = table_of(0, 4, 20);
    struct pc_rng rng;
    bool was_in[NUMBERS] = { false };
    uint64_t version = pc_kad_table_version(table);
    unsigned changes = 0, rests = 0;
    assert_true(version > 0);
    pc_base_rng_init_u64(&rng, 5);
    for (int64_t now_us = 1; now_us < 20000; now_us++) {
        uint32_t number = 1 + (uint32_t)pc_base_rng_below(&rng, NUMBERS - 1);
        if (pc_base_rng_below(&rng, 5) == 0)
            take_out(table, number);
        else
            (void)verified(table, number, (uint32_t)pc_base_rng_below(&rng, 40), now_us);
        bool stands = pc_kad_table_version(table) == version;
        for (uint32_t i = 1; i < NUMBERS; i++) {
            bool is_in = find(table, i) != NULL;
            assert_true(!stands || is_in == was_in[i]);
            changes += is_in != was_in[i];
            was_in[i] = is_in;
        }
        rests += stands;
        version = pc_kad_table_version(table);
    }
    assert_true(changes > 1000 && rests > 1000);
    pc_kad_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_change_of_members_goes_unversioned),
        cmocka_unit_test(refuses_our_own_id_and_none),
        cmocka_unit_test(remembers_addresses_and_times),
        cmocka_unit_test(full_bucket_tests_the_least_recently_seen),
        cmocka_unit_test(a_replacement_that_comes_again_is_the_newest),
        cmocka_unit_test(just_answered_is_not_tested_for_a_newcomer),
        cmocka_unit_test(the_silent_are_tested_and_a_test_forgotten_comes_again),
        cmocka_unit_test(groups_have_their_share_of_bucket_and_table),
        cmocka_unit_test(groups_of_one_and_no_limit),
        cmocka_unit_test(neighbours_are_the_k_closest),
        cmocka_unit_test(neighbours_go_before_elders),
        cmocka_unit_test(the_nearest_who_waits_follows_a_neighbour),
        cmocka_unit_test(closest_agrees_with_brute_force),
        cmocka_unit_test(random_lives_keep_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
