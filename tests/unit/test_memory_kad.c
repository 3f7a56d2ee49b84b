/*
 * Failure of every allocation in the Kademlia room, and in the heap and the map below it. Who is told that memory is out
 * and asks again gets what he would have got the first time.
 */
#include "memory_check.h"

#include "base/heap.h"
#include "base/map.h"
#include "kad/candidates.h"
#include "kad/crawl.h"
#include "kad/lookup.h"
#include "kad/table.h"
#include "kad_peers.h"

#define OWN   1
#define PEERS 60

/* ---- base ---- */

#define NODES 40

struct keyed {
    struct pc_map_node node;
    uint32_t key;
};

static struct pc_bytes key_of(const struct pc_map_node *node)
{
    const struct keyed *keyed = PC_CONST_CONTAINER_OF(node, struct keyed, node);
    return pc_bytes_of((const uint8_t *)&keyed->key, sizeof(keyed->key));
}

static void a_map_survives_it(void **state)
{
    (void)state;
    static const uint8_t secret[16] = { 3 };
    failing_memory_first();
    do {
        struct keyed nodes[NODES];
        struct pc_map map;
        pc_base_map_init(&map, key_of, secret);
        failing_memory_arm();
        for (uint32_t i = 0; i < NODES; i++) {
            nodes[i].key = i;
            MUST(pc_base_map_insert(&map, &nodes[i].node));
        }
        failing_memory_disarm();
        HOLDS(map.count == NODES);
        for (uint32_t i = 0; i < NODES; i++)
            HOLDS(pc_base_map_find(&map, pc_bytes_of((const uint8_t *)&i, sizeof(i))) == &nodes[i].node);
        pc_base_map_deinit(&map);
    } while (failing_memory_next());
    assert_true(failing_memory_count() > 1);
}

static void a_heap_survives_it(void **state)
{
    (void)state;
    failing_memory_first();
    do {
        struct pc_heap_node nodes[NODES];
        struct pc_heap heap;
        pc_base_heap_init(&heap);
        failing_memory_arm();
        for (int i = 0; i < NODES; i++) {
            pc_base_heap_node_init(&nodes[i]);
            MUST(pc_base_heap_set(&heap, &nodes[i], (i * 7) % NODES));
        }
        failing_memory_disarm();
        for (int i = 0; i < NODES; i++) { /* 7 and 40 have no factor in common: each time is there once */
            struct pc_heap_node *first = pc_base_heap_first(&heap);
            HOLDS(first && first->at == i);
            pc_base_heap_remove(&heap, first);
        }
        pc_base_heap_deinit(&heap);
    } while (failing_memory_next());
    assert_true(failing_memory_count() > 1);
}

/* ---- kad ---- */

static void fill(struct pc_kad_table *table)
{
    for (uint32_t i = 0; i < PEERS; i++) {
        struct pc_kad_contact peer = kad_contact(100 + i, i / 2);
        enum pc_kad_place place;
        MUST(pc_kad_table_verified(table, &peer, 1000 + i, &place));
    }
    for (uint32_t i = 0; i < PEERS; i += 9) { /* some have moved to another network */
        struct pc_kad_contact peer = kad_contact(100 + i, 1000 + i);
        enum pc_kad_place place;
        MUST(pc_kad_table_verified(table, &peer, 2000 + i, &place));
    }
    for (uint32_t i = 0; i < PEERS; i += 7) {
        struct pc_peer_id id = kad_id(100 + i);
        pc_kad_table_remove(table, &id);
    }
}

static uint64_t sum_of(const struct pc_kad_table *table)
{
    uint64_t sum = pc_kad_table_count(table);
    for (const struct pc_kad_entry *at = pc_kad_table_next(table, NULL); at;
         at = pc_kad_table_next(table, at))
        sum += (uint64_t)kad_number(&at->id) * (at->group.bytes[1] * 256U + at->group.bytes[2] + 1);
    return sum;
}

static void a_table_survives_it(void **state)
{
    (void)state;
    uint64_t expected = 0;
    failing_memory_first();
    do {
        struct pc_kad_table *table = NULL;
        const struct pc_kad_table_options options = {
            .own_id = kad_id(OWN), .bucket_group_max = 2, .table_group_max = 3, .secret = { 5 }
        };
        failing_memory_arm();
        MUST(pc_kad_table_new(&options, &table));
        fill(table);
        failing_memory_disarm();
        expected = expected ? expected : sum_of(table);
        HOLDS(sum_of(table) == expected);
        pc_kad_table_free(table);
    } while (failing_memory_next());
    assert_true(failing_memory_count() > PEERS);
}

static void candidates_survive_it(void **state)
{
    (void)state;
    uint64_t expected = 0;
    failing_memory_first();
    do {
        const struct pc_peer_id own = kad_id(OWN);
        struct pc_kad_candidates *candidates = NULL;
        struct pc_kad_entry taken;
        uint64_t sum = 1;
        failing_memory_arm();
        MUST(pc_kad_candidates_new(&own, 2, NULL, &candidates));
        for (uint32_t i = 0; i < PEERS; i++) {
            struct pc_kad_contact peer = kad_contact(100 + i, i / 3);
            MUST(pc_kad_candidates_offer(candidates, &peer, 1000 + i));
        }
        for (unsigned bucket = 0; bucket < PC_KAD_BUCKETS; bucket++)
            while (pc_kad_candidates_take(candidates, bucket, 3000, &taken))
                sum += (uint64_t)kad_number(&taken.id) * (bucket + 1);
        failing_memory_disarm();
        expected = expected ? expected : sum;
        HOLDS(sum == expected);
        pc_kad_candidates_free(candidates);
    } while (failing_memory_next());
    assert_true(failing_memory_count() > PC_KAD_CANDIDATES_PER_BUCKET);
}

/* Each that is asked answers with the next four; some fail, one is overdue. ENOMEM of an answer is news lost, not asked for
 * again: the lookup goes on with what it has. */
static void look_up(struct pc_kad_lookup *lookup)
{
    int64_t now_us = 0;
    for (uint32_t i = 0; i < 4; i++) {
        struct pc_kad_contact peer = kad_contact(100 + i, i);
        MUST(pc_kad_lookup_add(lookup, &peer));
    }
    while (!pc_kad_lookup_done(lookup)) {
        const struct pc_kad_entry *asked = pc_kad_lookup_next(lookup, now_us);
        if (!asked) {
            now_us = pc_kad_lookup_deadline_us(lookup);
            HOLDS(now_us != PC_TIME_NEVER && pc_kad_lookup_overdue(lookup, now_us));
            continue;
        }
        const struct pc_peer_id id = asked->id;
        uint32_t number = kad_number(&id);
        struct pc_kad_contact told[4];
        for (uint32_t i = 0; i < 4; i++)
            told[i] = kad_contact(100 + (number - 100 + 4 + i) % PEERS, number % PEERS + i);
        if (number % 5 == 4)
            pc_kad_lookup_failed(lookup, &id);
        else if (number % 11 != 10) {
            int result = pc_kad_lookup_answered(lookup, &id, told, 4);
            HOLDS(result == 0 || result == PEERCACHE_ENOMEM);
        }
    }
}

static void a_lookup_survives_it(void **state)
{
    (void)state;
    failing_memory_first();
    do {
        struct pc_kad_lookup *lookup = NULL;
        const struct pc_kad_lookup_options options = { .target = kad_key(7),
                                                       .own_id = kad_id(OWN),
                                                       .alpha = 3,
                                                       .beta = 20,
                                                       .request_timeout_us = PC_US_PER_S,
                                                       .secret = { 6 } };
        failing_memory_arm();
        MUST(pc_kad_lookup_new(&options, &lookup));
        look_up(lookup);
        failing_memory_disarm();
        const struct pc_kad_entry *closest[20];
        HOLDS(pc_kad_lookup_closest(lookup, closest, 20) >= 18);
        pc_kad_lookup_free(lookup);
    } while (failing_memory_next());
    assert_true(failing_memory_count() > PEERS);
}

/* Each peer tells of the next four at the same port and another address. */
static struct pc_kad_crawl_told told_of(uint32_t number, struct pc_ip_port *room)
{
    *room = (struct pc_ip_port){ .family = 4, .ip = { 20, (uint8_t)number, 7, 7 }, .port = 4001 };
    return (struct pc_kad_crawl_told){ .id = kad_id(100 + number), .addrs = room, .addr_count = 1 };
}

static void visit(struct pc_kad_crawl *crawl, const struct pc_peer_id *id)
{
    uint32_t number = kad_number(id) - 100;
    struct pc_peer_id key;
    int result = pc_kad_crawl_opened(crawl, id);
    HOLDS(result == 0 || result == PEERCACHE_ENOMEM); /* then it has ended */
    while (result == 0 && pc_kad_crawl_ask(crawl, id, &key)) {
        struct pc_kad_crawl_told told[4];
        struct pc_ip_port addrs[4];
        for (uint32_t i = 0; i < 4; i++)
            told[i] = told_of((number + i + 1) % PEERS, &addrs[i]);
        int answered = pc_kad_crawl_answered(crawl, id, told, 4);
        HOLDS(answered == 0 || answered == PEERCACHE_ENOMEM);
    }
}

static void a_crawl_survives_it(void **state)
{
    (void)state;
    failing_memory_first();
    do {
        struct pc_kad_crawl *crawl = NULL;
        struct pc_kad_crawl_dial dial;
        struct pc_ip_port addr;
        struct pc_rng rng;
        pc_base_rng_init_u64(&rng, 3);
        const struct pc_kad_crawl_options options = {
            .own_id = kad_id(OWN), .concurrency = 4, .peers_max = 1000, .group_max = 100, .rng = &rng
        };
        const struct pc_kad_crawl_told first = told_of(0, &addr);
        failing_memory_arm();
        MUST(pc_kad_crawl_new(&options, &crawl));
        MUST(pc_kad_crawl_add(crawl, &first));
        while (pc_kad_crawl_next(crawl, &dial)) {
            if (kad_number(&dial.id) % 6 == 5)
                (void)pc_kad_crawl_failed(crawl, &dial.id, PEERCACHE_TIMEOUT, false);
            else
                visit(crawl, &dial.id);
        }
        failing_memory_disarm();
        HOLDS(pc_kad_crawl_done(crawl));
        const struct pc_kad_crawl_counts *counts = pc_kad_crawl_counts(crawl);
        HOLDS(counts->known >= 1 && counts->waiting == 0 && counts->under_way == 0);
        pc_kad_crawl_free(crawl);
    } while (failing_memory_next());
    assert_true(failing_memory_count() > PEERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_survives_it),    cmocka_unit_test(a_heap_survives_it),
        cmocka_unit_test(a_table_survives_it),  cmocka_unit_test(candidates_survive_it),
        cmocka_unit_test(a_lookup_survives_it), cmocka_unit_test(a_crawl_survives_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
