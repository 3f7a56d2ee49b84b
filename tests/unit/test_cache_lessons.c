/*
 * What went wrong in the systems before this one, each with its number in the order of the story. Those of the file and
 * of several processes (1, 2, 3, 4, 6, 11, 13, 15) are in test_library_lessons.c, those of joining (8, 9, 10, 14, 16, and
 * the jitter of 7) with join, node and driver.
 */
#include "check.h"

#include "cache/bucket.h"
#include "cache/set.h"

#include <stdio.h>

#define NOW_MS INT64_C(1760000000000)
#define DAY_MS INT64_C(86400000)

static struct pc_peer_id id_of(uint32_t number)
{
    struct pc_peer_id id = { .size = 38, .bytes = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 } };
    for (size_t i = 0; i < 4; i++)
        id.bytes[6 + i] = (uint8_t)(number >> (8 * i));
    return id;
}

static struct pc_maddr addr_of(const char *text)
{
    struct pc_maddr addr;
    assert_int_equal(pc_addr_maddr_parse(text, strlen(text), &addr, NULL), 0);
    return addr;
}

static struct pc_maddr quic_of(uint32_t number)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "/ip4/%u.%u.7.7/udp/4001/quic-v1", 20 + number / 256, number % 256);
    return addr_of(text);
}

static struct pc_cache_set *set_new(uint32_t peers_max)
{
    struct pc_cache_set *set;
    const struct pc_cache_set_options options = { .peers_max = peers_max, .count_at_once = true };
    assert_int_equal(pc_cache_set_new(&options, &set), 0);
    return set;
}

static int add_text(struct pc_cache_set *set, uint32_t id, const char *text, int64_t now_ms)
{
    struct pc_peer_id peer = id_of(id);
    struct pc_maddr addr = addr_of(text);
    return pc_cache_set_add(set, &peer, pc_addr_maddr_bytes(&addr), false, PEERCACHE_SOURCE_DHT, NULL, now_ms,
                            NULL);
}

static int add(struct pc_cache_set *set, uint32_t id, int64_t now_ms)
{
    struct pc_peer_id peer = id_of(id);
    struct pc_maddr addr = quic_of(id);
    return pc_cache_set_add(set, &peer, pc_addr_maddr_bytes(&addr), false, PEERCACHE_SOURCE_DHT, NULL, now_ms,
                            NULL);
}

static int report(struct pc_cache_set *set, uint32_t id, peercache_outcome outcome, uint32_t count,
                  int64_t now_ms)
{
    struct pc_peer_id peer = id_of(id);
    struct pc_maddr addr = quic_of(id);
    const struct pc_cache_report all = { .outcome = outcome, .count = count, .rtt_us = PC_RTT_UNKNOWN };
    return pc_cache_set_report_more(set, &peer, pc_addr_maddr_bytes(&addr), &all, now_ms);
}

static const struct pc_record *find(const struct pc_cache_set *set, uint32_t id)
{
    struct pc_peer_id peer = id_of(id);
    return pc_cache_set_find(set, &peer);
}

/* Merging totals doubled the counts: what is loaded again after its commit counts once. */
static void lesson_3_counts_are_not_doubled(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(100);
    const struct pc_delta *deltas;
    assert_int_equal(add(set, 1, NOW_MS), 0);
    assert_int_equal(report(set, 1, PEERCACHE_OK, 3, NOW_MS), 0);
    struct pc_record stored = *find(set, 1); /* as the store has it once this is committed */
    assert_int_equal(pc_cache_set_take(set, &deltas, 10), 1);
    assert_int_equal(pc_cache_set_settle(set, true), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pc_cache_set_load(set, &stored, NOW_MS), 0);
    assert_int_equal(find(set, 1)->addrs[0].history.success_count, 3);
    assert_int_equal(pc_cache_set_pending(set), 0);
    pc_cache_set_free(set);
}

/* Memory was cleared after a flush: what came while the batch was out is still there and still pending. */
static void lesson_4_updates_during_a_flush_are_kept(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(100);
    const struct pc_delta *deltas;
    assert_int_equal(add(set, 1, NOW_MS), 0);
    assert_int_equal(pc_cache_set_take(set, &deltas, 10), 1);
    assert_int_equal(report(set, 1, PEERCACHE_OK, 1, NOW_MS + 1), 0);
    assert_int_equal(pc_cache_set_settle(set, true), 0);
    assert_int_equal(find(set, 1)->addrs[0].history.success_count, 1);
    assert_int_equal(pc_cache_set_take(set, &deltas, 10), 1);
    assert_int_equal(deltas[0].history.success_count, 1);
    pc_cache_set_free(set);
}

/* Failures counted only on connections that had succeeded, and a rate cut to an integer gave no order at all. */
static void lesson_5_failures_count_and_order_dead_peers_last(void **state)
{
    (void)state;
    struct pc_history h[4];
    int32_t score[4];
    for (uint32_t i = 0; i < 4; i++) { /* 3 of 4, 2 of 4, 1 of 4, 0 of 4 */
        pc_cache_history_init(&h[i]);
        h[i].success_count = 3 - i;
        h[i].failure_count = 1 + i;
        h[i].last_success_ms = i < 3 ? NOW_MS - DAY_MS : 0;
        h[i].last_attempt_ms = NOW_MS - 1000;
        score[i] = pc_cache_score(&h[i], NOW_MS);
        assert_true(i == 0 || score[i] < score[i - 1]);
    }
    struct pc_cache_set *set = set_new(100);
    assert_int_equal(add(set, 1, NOW_MS), 0);
    assert_int_equal(report(set, 1, PEERCACHE_REFUSED, 1, NOW_MS), 0); /* never succeeded */
    assert_int_equal(find(set, 1)->addrs[0].history.failure_count, 1);
    pc_cache_set_free(set);
}

/* A removed peer came back from another process's memory; one that is seen anew may. */
static void lesson_6_a_removed_peer_stays_removed(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(100);
    struct pc_peer_id id = id_of(1);
    assert_int_equal(add(set, 1, NOW_MS), 0);
    struct pc_record old = *find(set, 1);
    assert_int_equal(pc_cache_set_remove(set, &id, NOW_MS + 10), 0);
    assert_int_equal(pc_cache_set_load(set, &old, NOW_MS + 20), 0);
    assert_null(find(set, 1));
    assert_int_equal(add(set, 1, NOW_MS + 20), 0);
    assert_non_null(find(set, 1));
    pc_cache_set_free(set);
}

/* Counters overflowed, and were reset. */
static void lesson_7_counters_stop_at_their_end(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(100);
    assert_int_equal(add(set, 1, NOW_MS), 0);
    assert_int_equal(report(set, 1, PEERCACHE_OK, UINT32_MAX, NOW_MS), 0);
    assert_int_equal(report(set, 1, PEERCACHE_OK, 5, NOW_MS), 0);
    assert_int_equal(report(set, 1, PEERCACHE_REFUSED, UINT32_MAX, NOW_MS), 0);
    assert_int_equal(report(set, 1, PEERCACHE_REFUSED, 1, NOW_MS), 0);
    assert_true(find(set, 1)->addrs[0].history.success_count == UINT32_MAX);
    assert_true(find(set, 1)->addrs[0].history.failure_count == UINT32_MAX);
    pc_cache_set_free(set);
}

/* Relay addresses as direct ones, our own address dialled, IPv4-mapped ones that have no route. */
static void lesson_12_relays_ourselves_and_mapped_addresses(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(100);
    struct pc_maddr own = addr_of("/ip4/20.9.9.9/udp/4001/quic-v1");
    assert_int_equal(
        add_text(set, 1,
                 "/ip4/20.1.1.1/udp/1/quic-v1/p2p/12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu"
                 "/p2p-circuit",
                 NOW_MS),
        PEERCACHE_EUNSUPPORTED);
    assert_int_equal(add_text(set, 2, "/ip4/20.9.9.9/udp/4001/quic-v1", NOW_MS), 0);
    assert_int_equal(pc_cache_set_own_addr(set, pc_addr_maddr_bytes(&own)), 0);
    assert_null(find(set, 2));
    assert_int_equal(add_text(set, 2, "/ip6/::ffff:20.9.9.9/udp/4001/quic-v1", NOW_MS), PEERCACHE_EINVAL);
    assert_int_equal(add_text(set, 3, "/ip6/::ffff:20.8.8.8/udp/4001/quic-v1", NOW_MS), 0);
    struct pc_maddr plain = addr_of("/ip4/20.8.8.8/udp/4001/quic-v1");
    assert_true(
        pc_bytes_equal(pc_addr_maddr_bytes(&find(set, 3)->addrs[0].addr), pc_addr_maddr_bytes(&plain)));
    pc_cache_set_free(set);
}

/* IPv6 was dropped by address clean-up. */
static void lesson_13_ipv6_is_kept(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(100);
    assert_int_equal(add_text(set, 1, "/ip6/2a00:1450:4001:81b::200e/udp/4001/quic-v1", NOW_MS), 0);
    assert_int_equal(add_text(set, 1, "/ip4/20.1.1.1/udp/4001/quic-v1", NOW_MS), 0);
    assert_int_equal(find(set, 1)->addr_count, 2);
    pc_cache_set_free(set);
}

/* Unbounded addresses per peer, out of memory after ten days: the cap holds, the useful ones stay. */
static void lesson_17_addresses_of_a_peer_are_bounded(void **state)
{
    (void)state;
    struct pc_cache_set *set;
    const struct pc_cache_set_options options = { .peers_max = 100,
                                                  .addrs_max = 3,
                                                  .record_max_bytes = 4096 };
    assert_int_equal(pc_cache_set_new(&options, &set), 0);
    for (uint32_t i = 0; i < 5000; i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "/ip4/20.1.%u.%u/udp/4001/quic-v1", i / 256, i % 256);
        (void)add_text(set, 1, text, NOW_MS + i);
        assert_true(find(set, 1)->addr_count <= 3);
    }
    assert_true(pc_cache_set_pending(set) <= PC_CACHE_PENDING_PER_PEER);
    pc_cache_set_free(set);
}

/* Flooding with untested peers evicted the proven ones, for an untested one scored higher than a mixed history. */
static void lesson_18_a_flood_of_untested_evicts_no_mixed_history(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(1000);
    size_t tried = 0;
    bool was_tried[100];
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(add(set, i, NOW_MS), 0);
        assert_int_equal(report(set, i, PEERCACHE_OK, 1, NOW_MS), 0);
        assert_int_equal(report(set, i, PEERCACHE_REFUSED, 5, NOW_MS), 0);
    }
    for (uint32_t i = 0; i < 100; i++)
        tried += was_tried[i] = find(set, i)->state == PEERCACHE_TRIED;
    assert_true(tried > 90);
    for (uint32_t i = 1000; i < 12000; i++)
        (void)add(set, i, NOW_MS + DAY_MS);
    for (uint32_t i = 0; i < 100; i++)
        if (was_tried[i])
            assert_int_equal(find(set, i)->state, PEERCACHE_TRIED);
    pc_cache_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lesson_3_counts_are_not_doubled),
        cmocka_unit_test(lesson_4_updates_during_a_flush_are_kept),
        cmocka_unit_test(lesson_5_failures_count_and_order_dead_peers_last),
        cmocka_unit_test(lesson_6_a_removed_peer_stays_removed),
        cmocka_unit_test(lesson_7_counters_stop_at_their_end),
        cmocka_unit_test(lesson_12_relays_ourselves_and_mapped_addresses),
        cmocka_unit_test(lesson_13_ipv6_is_kept),
        cmocka_unit_test(lesson_17_addresses_of_a_peer_are_bounded),
        cmocka_unit_test(lesson_18_a_flood_of_untested_evicts_no_mixed_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
