#include "check.h"

#include "cache/bucket.h"
#include "cache/dialable.h"
#include "cache/pack.h"
#include "cache/set.h"

#include <stdio.h>
#include <stdlib.h>

#define HOUR_MS INT64_C(3600000)
#define DAY_MS  (24 * HOUR_MS)
#define NOW_MS  INT64_C(1760000000000)

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
    struct pc_reason reason;
    if (pc_addr_maddr_parse(text, strlen(text), &addr, &reason))
        fail_msg("%s: %s", text, reason.text);
    return addr;
}

/* A public QUIC address; each 256 numbers are one /16 group. */
/* An address that is alone in its group, of up to 15,360. */
#define LONE(number) ((number)*256)

static struct pc_maddr quic_of(uint32_t number)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "/ip4/%u.%u.7.%u/udp/4001/quic-v1", 20 + (number >> 16) % 60,
                   (number >> 8) & 255, number & 255);
    return addr_of(text);
}

static struct pc_cache_set *set_new(uint32_t peers_max)
{
    struct pc_cache_set *set;
    const struct pc_cache_set_options options = { .peers_max = peers_max,
                                                  .mode = PC_NETGROUP_PUBLIC,
                                                  .secret = { 1, 2, 3 } };
    assert_int_equal(pc_cache_set_new(&options, &set), 0);
    return set;
}

static void add(struct pc_cache_set *set, uint32_t id, uint32_t addr, int64_t now_ms)
{
    struct pc_peer_id peer = id_of(id);
    struct pc_maddr maddr = quic_of(addr);
    struct pc_reason reason = { "" };
    if (pc_cache_set_add(set, &peer, pc_addr_maddr_bytes(&maddr), false, PEERCACHE_SOURCE_DHT, NULL, now_ms,
                         &reason))
        fail_msg("%s", reason.text);
}

static int report(struct pc_cache_set *set, uint32_t id, uint32_t addr, peercache_outcome outcome,
                  uint32_t rtt_us, int64_t now_ms)
{
    struct pc_peer_id peer = id_of(id);
    struct pc_maddr maddr = quic_of(addr);
    return pc_cache_set_report(set, &peer, pc_addr_maddr_bytes(&maddr), outcome, &peer, rtt_us,
                               PEERCACHE_SOURCE_DHT, now_ms);
}

static const struct pc_record *find(const struct pc_cache_set *set, uint32_t id)
{
    struct pc_peer_id peer = id_of(id);
    return pc_cache_set_find(set, &peer);
}

/* Commit everything that waits onto records kept by the test, as a store would. */
static void commit_onto(struct pc_cache_set *set, struct pc_record *record, int64_t now_ms)
{
    const struct pc_delta *deltas;
    size_t count;
    while ((count = pc_cache_set_take(set, &deltas, 7))) {
        for (size_t i = 0; i < count; i++)
            if (pc_addr_peer_id_equal(&deltas[i].id, &record->id))
                (void)pc_cache_record_apply(record, &deltas[i], now_ms);
        assert_int_equal(pc_cache_set_settle(set, true), 0);
    }
}

static void assert_records_equal(const struct pc_record *a, const struct pc_record *b)
{
    assert_int_equal(a->addr_count, b->addr_count);
    assert_int_equal(a->state, b->state);
    for (size_t i = 0; i < a->addr_count; i++) {
        const struct pc_record_addr *x = &a->addrs[i], *y = &b->addrs[i];
        assert_true(pc_bytes_equal(pc_addr_maddr_bytes(&x->addr), pc_addr_maddr_bytes(&y->addr)));
        assert_int_equal(x->history.success_count, y->history.success_count);
        assert_int_equal(x->history.failure_count, y->history.failure_count);
        assert_memory_equal(x->history.failures, y->history.failures, sizeof(x->history.failures));
        assert_true(x->history.last_seen_ms == y->history.last_seen_ms);
        assert_true(x->history.last_success_ms == y->history.last_success_ms);
        assert_true(x->history.last_attempt_ms == y->history.last_attempt_ms);
        assert_true(x->history.rtt_us == y->history.rtt_us && x->history.rtt_at_ms == y->history.rtt_at_ms);
        assert_true(x->first_seen_ms == y->first_seen_ms);
        assert_int_equal(x->source, y->source);
        assert_true(pc_addr_netgroup_equal(&x->source_group, &y->source_group));
    }
}

static struct pc_delta random_delta(struct pc_rng *rng, const struct pc_peer_id *id, bool tombstones)
{
    struct pc_delta d;
    struct pc_maddr addr = quic_of((uint32_t)pc_base_rng_below(rng, 6));
    pc_cache_delta_init(&d, id, pc_addr_maddr_bytes(&addr));
    if (tombstones && pc_base_rng_below(rng, 6) == 0) {
        d.removed_ms = 1 + (int64_t)pc_base_rng_below(rng, 40);
        if (pc_base_rng_below(rng, 3) == 0)
            d.addr.size = 0;
        return d;
    }
    d.history.last_seen_ms = (int64_t)pc_base_rng_below(rng, 40);
    d.first_seen_ms = (int64_t)pc_base_rng_below(rng, 5);
    d.source = (peercache_source)pc_base_rng_below(rng, PEERCACHE_SOURCE_COUNT);
    d.source_group = (struct pc_netgroup){ .size = 2, .bytes = { (uint8_t)pc_base_rng_below(rng, 3), 1 } };
    switch (pc_base_rng_below(rng, 4)) {
    case 0:
        d.history.success_count =
            pc_base_rng_below(rng, 50) ? (uint32_t)pc_base_rng_below(rng, 3) : UINT32_MAX - 1;
        d.history.last_success_ms = (int64_t)pc_base_rng_below(rng, 40);
        d.history.rtt_us = (uint32_t)pc_base_rng_below(rng, 5);
        d.history.rtt_at_ms = (int64_t)pc_base_rng_below(rng, 4);
        break;
    case 1:
        d.history.failure_count = 1;
        d.history.failures[1 + pc_base_rng_below(rng, 7)] = 1;
        d.history.last_attempt_ms = (int64_t)pc_base_rng_below(rng, 60); /* also in the future: now is 50 */
        break;
    default:
        break;
    }
    return d;
}

/* Any order, and any grouping of neighbours of one address into one delta, gives the same record. */
static void merge_is_commutative_and_associative(void **state)
{
    (void)state;
    struct pc_rng rng;
    struct pc_delta deltas[30];
    struct pc_record one, two;
    const struct pc_peer_id id = id_of(1);
    pc_base_rng_init_u64(&rng, 11);
    for (size_t round = 0; round < 2000; round++) {
        bool tombstones = round % 2;
        size_t count = 1 + pc_base_rng_below(&rng, 30);
        pc_cache_record_init(&one, &id);
        pc_cache_record_init(&two, &id);
        for (size_t i = 0; i < count; i++) {
            deltas[i] = random_delta(&rng, &id, tombstones);
            if (!tombstones)
                (void)pc_cache_record_apply(&one, &deltas[i], 50);
        }
        if (tombstones) { /* the rule in one sentence: there is what was seen after the latest tombstone */
            for (size_t a = 0; a < 6; a++) {
                struct pc_maddr addr = quic_of((uint32_t)a);
                int64_t seen_ms = -1, removed_ms = 0;
                for (size_t i = 0; i < count; i++) {
                    bool same =
                        pc_bytes_equal(pc_addr_maddr_bytes(&deltas[i].addr), pc_addr_maddr_bytes(&addr));
                    if (deltas[i].removed_ms > removed_ms && (same || deltas[i].addr.size == 0))
                        removed_ms = deltas[i].removed_ms;
                    if (!deltas[i].removed_ms && same && deltas[i].history.last_seen_ms > seen_ms)
                        seen_ms = deltas[i].history.last_seen_ms;
                }
                /* Tombstones are kept beside the record by the store: each delta meets the one known so far.
                 */
                pc_cache_record_init(&two, &id);
                int64_t known_ms = 0;
                for (size_t i = 0; i < count; i++) {
                    struct pc_delta d = deltas[i];
                    if (d.addr.size &&
                        !pc_bytes_equal(pc_addr_maddr_bytes(&d.addr), pc_addr_maddr_bytes(&addr)))
                        continue;
                    known_ms = d.removed_ms > known_ms ? d.removed_ms : known_ms;
                    d.removed_ms = known_ms;
                    (void)pc_cache_record_apply(&two, &d, 50);
                }
                assert_int_equal(two.addr_count, seen_ms >= 0 && (removed_ms == 0 || seen_ms > removed_ms));
            }
            continue;
        }
        for (size_t i = count; i > 1; i--) { /* shuffle */
            size_t j = pc_base_rng_below(&rng, i);
            struct pc_delta swap = deltas[i - 1];
            deltas[i - 1] = deltas[j];
            deltas[j] = swap;
        }
        for (size_t i = 0; i < count; i++) { /* coalesce some */
            size_t j = i + 1;
            while (
                j < count && pc_base_rng_below(&rng, 2) &&
                pc_bytes_equal(pc_addr_maddr_bytes(&deltas[i].addr), pc_addr_maddr_bytes(&deltas[j].addr))) {
                pc_cache_delta_merge(&deltas[i], &deltas[j]);
                j++;
            }
            (void)pc_cache_record_apply(&two, &deltas[i], 50);
            i = j - 1;
        }
        assert_records_equal(&one, &two);
    }
}

static void counters_saturate_and_never_reset(void **state)
{
    (void)state;
    struct pc_history a, b;
    pc_cache_history_init(&a);
    pc_cache_history_init(&b);
    a.success_count = UINT32_MAX - 1;
    b.success_count = 5;
    a.failures[PEERCACHE_TIMEOUT] = UINT32_MAX;
    b.failures[PEERCACHE_TIMEOUT] = 1;
    pc_cache_history_merge(&a, &b);
    assert_true(a.success_count == UINT32_MAX);
    assert_true(a.failures[PEERCACHE_TIMEOUT] == UINT32_MAX);
}

static void the_future_is_clamped_to_now(void **state)
{
    (void)state;
    const struct pc_peer_id id = id_of(1);
    const struct pc_maddr addr = quic_of(1);
    struct pc_record record;
    struct pc_delta delta;
    pc_cache_record_init(&record, &id);
    pc_cache_delta_init(&delta, &id, pc_addr_maddr_bytes(&addr));
    delta.history.last_seen_ms = INT64_MAX;
    delta.history.last_attempt_ms = INT64_MIN;
    delta.history.rtt_at_ms = INT64_MAX;
    delta.first_seen_ms = INT64_MAX;
    assert_true(pc_cache_record_apply(&record, &delta, NOW_MS));
    assert_true(record.addrs[0].history.last_seen_ms == NOW_MS);
    assert_true(record.addrs[0].history.rtt_at_ms == NOW_MS);
    assert_true(record.addrs[0].history.last_attempt_ms == 0);
    assert_true(record.addrs[0].first_seen_ms == NOW_MS);
}

static void the_ninth_address_replaces_the_least_useful(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(100);
    for (uint32_t i = 0; i < 8; i++)
        add(set, 1, i, NOW_MS + i);
    assert_int_equal(report(set, 1, 0, PEERCACHE_OK, 1000, NOW_MS + 8), 0);
    add(set, 1, 8, NOW_MS + 9); /* newer than 1, the oldest without a success */
    const struct pc_record *record = find(set, 1);
    struct pc_record copy = *record;
    assert_int_equal(record->addr_count, 8);
    struct pc_maddr zero = quic_of(0), one = quic_of(1), eight = quic_of(8);
    assert_non_null(pc_cache_record_find(&copy, pc_addr_maddr_bytes(&zero)));
    assert_null(pc_cache_record_find(&copy, pc_addr_maddr_bytes(&one)));
    assert_non_null(pc_cache_record_find(&copy, pc_addr_maddr_bytes(&eight)));
    pc_cache_set_free(set);
}

static struct pc_history history(uint32_t successes, uint32_t failures, int64_t success_age_ms,
                                 int64_t attempt_age_ms)
{
    struct pc_history h;
    pc_cache_history_init(&h);
    h.success_count = successes;
    h.failure_count = failures;
    h.last_success_ms = successes ? NOW_MS - success_age_ms : 0;
    h.last_seen_ms = h.last_success_ms;
    h.last_attempt_ms = NOW_MS - attempt_age_ms;
    return h;
}

static void score_orders_what_it_promises(void **state)
{
    (void)state;
    struct pc_history never = history(0, 0, 0, NOW_MS);
    never.last_seen_ms = NOW_MS; /* heard of this moment */
    struct pc_history mixed = history(3, 3, 2 * DAY_MS, DAY_MS);
    struct pc_history mixed_now = history(1, 1, HOUR_MS, 0);
    struct pc_history long_ago = history(1, 0, 365 * DAY_MS, 365 * DAY_MS);
    struct pc_history steady = history(30, 2, HOUR_MS, HOUR_MS);
    struct pc_history dead = history(0, 5, 0, HOUR_MS);
    assert_true(pc_cache_score(&mixed, NOW_MS) > pc_cache_score(&never, NOW_MS));
    assert_true(pc_cache_score(&mixed_now, NOW_MS) > pc_cache_score(&never, NOW_MS));
    assert_true(pc_cache_score(&steady, NOW_MS) > pc_cache_score(&mixed, NOW_MS));
    assert_true(pc_cache_score(&steady, NOW_MS) > pc_cache_score(&long_ago, NOW_MS));
    assert_true(pc_cache_score(&never, NOW_MS) > pc_cache_score(&dead, NOW_MS));
    struct pc_history fast = steady, slow = steady;
    fast.rtt_us = 20000;
    slow.rtt_us = 900000;
    assert_true(pc_cache_score(&fast, NOW_MS) > pc_cache_score(&slow, NOW_MS));
    struct pc_history extreme = history(UINT32_MAX, UINT32_MAX, 0, 0);
    extreme.rtt_us = 0;
    assert_in_range(pc_cache_score(&extreme, NOW_MS), 0, 1000);
    assert_in_range(pc_cache_score(&extreme, INT64_MAX), 0, 1000);
    extreme.failure_count = 0;
    assert_in_range(pc_cache_score(&extreme, INT64_MIN), 900, 1000);
}

static void packing_loses_nothing(void **state)
{
    (void)state;
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, 5);
    for (size_t round = 0; round < 5000; round++) {
        struct pc_record_addr in, out;
        uint8_t bytes[PC_CACHE_PACKED_ADDR_MAX_BYTES];
        struct pc_writer w;
        struct pc_reader r;
        memset(&in, 0, sizeof(in));
        memset(&out, 0, sizeof(out));
        unsigned bits = (unsigned)pc_base_rng_below(&rng, 64);
        in.addr.size = (uint16_t)(1 + pc_base_rng_below(&rng, PC_MADDR_MAX_BYTES));
        pc_base_rng_bytes(&rng, in.addr.bytes, in.addr.size);
        in.source = (peercache_source)pc_base_rng_below(&rng, PEERCACHE_SOURCE_COUNT);
        in.source_group.size = (uint8_t)pc_base_rng_below(&rng, 20);
        pc_base_rng_bytes(&rng, in.source_group.bytes, in.source_group.size);
        int64_t *times[] = { &in.first_seen_ms, &in.history.last_seen_ms, &in.history.last_success_ms,
                             &in.history.last_attempt_ms, &in.history.rtt_at_ms };
        for (size_t i = 0; i < 5; i++)
            if (pc_base_rng_below(&rng, 3))
                *times[i] = (int64_t)(pc_base_rng_u64(&rng) >> 1 >> bits % 63);
        for (size_t i = 0; i < PEERCACHE_OUTCOME_COUNT; i++)
            if (pc_base_rng_below(&rng, 2))
                in.history.failures[i] = (uint32_t)pc_base_rng_u64(&rng);
        in.history.success_count = (uint32_t)(pc_base_rng_u64(&rng) >> bits);
        in.history.rtt_us = pc_base_rng_below(&rng, 2) ? PC_RTT_UNKNOWN : (uint32_t)pc_base_rng_u64(&rng);
        pc_base_writer_init(&w, bytes, sizeof(bytes));
        pc_cache_pack_addr(&w, &in);
        pc_base_reader_init(&r, bytes, pc_base_writer_size(&w));
        assert_true(pc_cache_unpack_addr(&r, &out));
        assert_int_equal(pc_base_reader_left(&r), 0);
        assert_memory_equal(&in.addr, &out.addr, sizeof(in.addr));
        assert_memory_equal(&in.history, &out.history, sizeof(in.history));
        assert_memory_equal(&in.source_group, &out.source_group, sizeof(in.source_group));
        assert_true(in.source == out.source && in.first_seen_ms == out.first_seen_ms);
    }
}

static void add_refuses_what_is_never_stored(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "/ip4/127.0.0.1/udp/4001/quic-v1",
        "/ip4/10.0.0.1/udp/4001/quic-v1",
        "/ip4/0.0.0.0/udp/4001/quic-v1",
        "/ip4/224.0.0.1/udp/4001/quic-v1",
        "/dns4/example.org/udp/4001/quic-v1",
        "/ip4/20.0.0.1/udp/4001/quic-v1/p2p/12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu/p2p-circuit",
    };
    struct pc_cache_set *set = set_new(10);
    struct pc_peer_id id = id_of(1);
    struct pc_reason reason;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct pc_maddr addr = addr_of(refused[i]);
        reason.text[0] = '\0';
        assert_int_equal(pc_cache_set_add(set, &id, pc_addr_maddr_bytes(&addr), false, PEERCACHE_SOURCE_DHT,
                                          NULL, NOW_MS, &reason),
                         PEERCACHE_EUNSUPPORTED);
        assert_true(reason.text[0] != '\0');
    }
    assert_int_equal(pc_cache_set_count(set), 0);
    assert_int_equal(pc_cache_set_pending(set), 0);
    struct pc_maddr name = addr_of("/dns4/example.org/udp/4001/quic-v1");
    assert_int_equal(pc_cache_set_add(set, &id, pc_addr_maddr_bytes(&name), true, PEERCACHE_SOURCE_FLAG, NULL,
                                      NOW_MS, &reason),
                     0);
    pc_cache_set_free(set);
}

static void our_own_id_and_addresses_stay_out(void **state)
{
    (void)state;
    struct pc_cache_set *set;
    struct pc_cache_set_options options = { .peers_max = 1000, .own_id = id_of(9) };
    struct pc_reason reason;
    struct pc_maddr addr = quic_of(LONE(1));
    assert_int_equal(pc_cache_set_new(&options, &set), 0);
    assert_int_equal(pc_cache_set_add(set, &options.own_id, pc_addr_maddr_bytes(&addr), false,
                                      PEERCACHE_SOURCE_DHT, NULL, NOW_MS, &reason),
                     PEERCACHE_EINVAL);
    for (uint32_t i = 1; i <= 6; i++) /* 1, 3 and 5 at our address, under former ids of ours */
        add(set, i, LONE(i % 2 ? 1 : i), NOW_MS);
    assert_int_equal(report(set, 5, LONE(1), PEERCACHE_OK, 1, NOW_MS), 0);
    assert_int_equal(pc_cache_set_own_addr(set, pc_addr_maddr_bytes(&addr)), 0);
    assert_int_equal(pc_cache_set_count(set), 3);
    assert_null(find(set, 1));
    assert_null(find(set, 5));
    struct pc_record record = *find(set, 2);
    struct pc_peer_id id = id_of(1);
    assert_int_equal(pc_cache_set_add(set, &id, pc_addr_maddr_bytes(&addr), false, PEERCACHE_SOURCE_DHT, NULL,
                                      NOW_MS + 1, &reason),
                     PEERCACHE_EINVAL);
    record.addrs[0].addr = addr; /* nor from the store */
    record.id = id;
    assert_int_equal(pc_cache_set_load(set, &record, NOW_MS), 0);
    assert_null(find(set, 1));
    pc_cache_set_free(set);
}

static void failures_are_held_until_something_answers(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(10);
    add(set, 1, 1, NOW_MS);
    add(set, 2, 2, NOW_MS);
    assert_int_equal(report(set, 1, 1, PEERCACHE_TIMEOUT, PC_RTT_UNKNOWN, NOW_MS + 5), 0);
    assert_int_equal(find(set, 1)->addrs[0].history.failure_count, 0);
    assert_true(find(set, 1)->addrs[0].history.last_attempt_ms == NOW_MS + 5);
    assert_true(find(set, 1)->addrs[0].history.last_seen_ms == NOW_MS); /* a failure is no sighting */
    assert_int_equal(report(set, 2, 2, PEERCACHE_OK, 1000, NOW_MS + 6), 0);
    assert_int_equal(find(set, 1)->addrs[0].history.failure_count, 1);
    assert_int_equal(find(set, 1)->addrs[0].history.failures[PEERCACHE_TIMEOUT], 1);
    assert_int_equal(report(set, 1, 1, PEERCACHE_UNREACHABLE, PC_RTT_UNKNOWN, NOW_MS + 7), 0);
    pc_cache_set_drop_held(set);
    assert_int_equal(pc_cache_set_answered(set, NOW_MS + 8), 0);
    assert_int_equal(find(set, 1)->addrs[0].history.failure_count, 1);
    assert_int_equal(report(set, 1, 1, PEERCACHE_REFUSED, PC_RTT_UNKNOWN, NOW_MS + 9), 0);
    assert_int_equal(find(set, 1)->addrs[0].history.failure_count, 2);
    assert_int_equal(report(set, 1, 1, PEERCACHE_CANCELLED, PC_RTT_UNKNOWN, NOW_MS + 9), 0);
    assert_int_equal(find(set, 1)->addrs[0].history.failure_count, 2);
    assert_int_equal(report(set, 3, 3, PEERCACHE_REFUSED, PC_RTT_UNKNOWN, NOW_MS), PEERCACHE_ENOTFOUND);
    assert_int_equal(report(set, 1, 1, PEERCACHE_OUTCOME_COUNT, PC_RTT_UNKNOWN, NOW_MS), PEERCACHE_EINVAL);
    for (uint32_t i = 0; i < PC_CACHE_HELD_MAX + 3; i++)
        assert_int_equal(report(set, 1, 1, PEERCACHE_TIMEOUT, PC_RTT_UNKNOWN, NOW_MS + 10), 0);
    assert_int_equal(pc_cache_set_answered(set, NOW_MS + 11), 0);
    assert_int_equal(find(set, 1)->addrs[0].history.failure_count, 2 + PC_CACHE_HELD_MAX);
    pc_cache_set_free(set);
}

static void failures_of_one_family_are_dropped_alone(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(10);
    struct pc_reason reason;
    struct pc_maddr v6;
    const struct pc_peer_id six = id_of(6);
    static const char text[] = "/ip6/2a01:4f8::1/udp/4001/quic-v1";
    assert_int_equal(pc_addr_maddr_parse(text, strlen(text), &v6, NULL), 0);
    add(set, 1, 1, NOW_MS);
    assert_int_equal(pc_cache_set_add(set, &six, pc_addr_maddr_bytes(&v6), false, PEERCACHE_SOURCE_DHT, NULL,
                                      NOW_MS, &reason),
                     0);
    for (int i = 0; i < PC_CACHE_HELD_MAX + 7; i++) { /* so that the ring has gone round */
        assert_int_equal(report(set, 1, 1, PEERCACHE_TIMEOUT, PC_RTT_UNKNOWN, NOW_MS + 5), 0);
        assert_int_equal(pc_cache_set_report(set, &six, pc_addr_maddr_bytes(&v6), PEERCACHE_TIMEOUT, NULL,
                                             PC_RTT_UNKNOWN, PEERCACHE_SOURCE_DHT, NOW_MS + 5),
                         0);
    }
    pc_cache_set_drop_held_of(set, 6);
    assert_int_equal(pc_cache_set_answered(set, NOW_MS + 6), 0);
    assert_int_equal(find(set, 1)->addrs[0].history.failure_count, PC_CACHE_HELD_MAX / 2);
    assert_int_equal(pc_cache_set_find(set, &six)->addrs[0].history.failure_count, 0);
    pc_cache_set_free(set);
}

static void wrong_identity_takes_the_address_out(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(10);
    add(set, 1, 1, NOW_MS);
    add(set, 1, 2, NOW_MS);
    assert_int_equal(report(set, 1, 1, PEERCACHE_WRONG_IDENTITY, PC_RTT_UNKNOWN, NOW_MS + 1), 0);
    assert_int_equal(find(set, 1)->addr_count, 1);
    assert_int_equal(report(set, 1, 2, PEERCACHE_PROTOCOL_MISMATCH, PC_RTT_UNKNOWN, NOW_MS + 1), 0);
    assert_null(find(set, 1));
    add(set, 1, 1, NOW_MS + 1); /* seen in that moment, so later than what was removed */
    struct pc_record record;
    struct pc_peer_id id = id_of(1);
    pc_cache_record_init(&record, &id);
    commit_onto(set, &record, NOW_MS + 2);
    assert_int_equal(record.addr_count, 1);
    pc_cache_set_free(set);
}

static void success_makes_a_peer_tried_and_adds_it(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(10);
    assert_int_equal(report(set, 1, 1, PEERCACHE_OK, 12345, NOW_MS), 0);
    const struct pc_record *record = find(set, 1);
    assert_non_null(record);
    assert_int_equal(record->state, PEERCACHE_TRIED);
    assert_int_equal(record->addrs[0].history.rtt_us, 12345);
    assert_true(record->addrs[0].history.last_success_ms == NOW_MS);
    assert_true(record->addrs[0].history.last_seen_ms == NOW_MS);
    pc_cache_set_free(set);
}

static void an_address_without_id_becomes_its_peer(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(10);
    struct pc_maddr addr = quic_of(1);
    struct pc_peer_id proven = id_of(1);
    static const struct pc_peer_id nobody;
    assert_int_equal(pc_cache_set_add(set, NULL, pc_addr_maddr_bytes(&addr), false, PEERCACHE_SOURCE_FLAG,
                                      NULL, NOW_MS, NULL),
                     0);
    assert_int_equal(pc_cache_set_count(set), 1);
    assert_int_equal(pc_cache_set_report(set, &nobody, pc_addr_maddr_bytes(&addr), PEERCACHE_REFUSED, NULL,
                                         PC_RTT_UNKNOWN, PEERCACHE_SOURCE_FLAG, NOW_MS + 1),
                     0);
    assert_non_null(pc_cache_set_find_addr(set, pc_addr_maddr_bytes(&addr)));
    assert_int_equal(pc_cache_set_report(set, &nobody, pc_addr_maddr_bytes(&addr), PEERCACHE_OK, &proven,
                                         2000, PEERCACHE_SOURCE_FLAG, NOW_MS + 2),
                     0);
    assert_int_equal(pc_cache_set_count(set), 1);
    assert_null(pc_cache_set_find_addr(set, pc_addr_maddr_bytes(&addr)));
    const struct pc_record *record = find(set, 1);
    assert_non_null(record);
    assert_int_equal(record->addrs[0].history.success_count, 1);
    assert_int_equal(record->addrs[0].history.failure_count, 1);
    assert_int_equal(record->addrs[0].source, PEERCACHE_SOURCE_FLAG);
    const struct pc_delta *deltas;
    assert_int_equal(pc_cache_set_take(set, &deltas, 10), 1);
    assert_int_equal(deltas[0].history.failure_count, 1);
    assert_true(pc_addr_peer_id_equal(&deltas[0].proven_id, &proven));
    pc_cache_set_free(set);
}

static void deltas_coalesce_and_a_failed_batch_comes_again(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(1000);
    const struct pc_delta *deltas, *again;
    for (uint32_t i = 0; i < 50; i++)
        add(set, i, LONE(i), NOW_MS);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(report(set, 3, LONE(3), PEERCACHE_OK, 1000 + i, NOW_MS + i), 0);
    assert_int_equal(pc_cache_set_pending(set), 50);
    assert_int_equal(pc_cache_set_take(set, &deltas, 20), 20);
    assert_int_equal(deltas[3].history.success_count, 10);
    assert_int_equal(deltas[3].history.rtt_us, 1009);
    assert_int_equal(pc_cache_set_take(set, &again, 20), 0); /* one at a time */
    assert_int_equal(report(set, 3, LONE(3), PEERCACHE_OK, 1, NOW_MS + 20), 0);
    assert_int_equal(pc_cache_set_settle(set, false), 0);
    assert_int_equal(pc_cache_set_settle(set, false), PEERCACHE_ESTATE);
    assert_int_equal(pc_cache_set_take(set, &again, 1), 20);
    assert_int_equal(again[3].history.success_count, 10); /* the very batch, without what came since */
    assert_int_equal(pc_cache_set_settle(set, true), 0);
    assert_int_equal(pc_cache_set_pending(set), 31);
    assert_int_equal(pc_cache_set_take(set, &deltas, 1000), 31);
    assert_int_equal(deltas[30].history.success_count, 1);
    assert_int_equal(pc_cache_set_settle(set, true), 0);
    assert_int_equal(pc_cache_set_pending(set), 0);
    assert_int_equal(pc_cache_set_take(set, &deltas, 1000), 0);
    pc_cache_set_free(set);
}

/* Updates made while a batch is under way, or for peers no longer in memory, are not lost (4). */
/* Counts told and counts that reached the store, of one address of one peer. */
struct told {
    uint32_t successes, failures;
    uint32_t stored_successes, stored_failures;
};
#define CROWD       200
#define CROWD_ADDRS 2

static void store_deltas(struct told told[CROWD][CROWD_ADDRS], const struct pc_delta *deltas, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t id = deltas[i].id.bytes[6];
        struct pc_maddr second = quic_of(LONE(id) + 1);
        bool is_second = pc_bytes_equal(pc_addr_maddr_bytes(&deltas[i].addr), pc_addr_maddr_bytes(&second));
        told[id][is_second].stored_successes += deltas[i].history.success_count;
        told[id][is_second].stored_failures += deltas[i].history.failure_count;
        assert_int_equal(deltas[i].history.failures[PEERCACHE_REFUSED], deltas[i].history.failure_count);
    }
}

/* More peers than have room: they are displaced, forgotten and come again while news of them waits. */
static void what_waits_stays_whole_while_peers_come_and_go(void **state)
{
    (void)state;
    static struct told told[CROWD][CROWD_ADDRS];
    struct pc_cache_set *set = set_new(40);
    const struct pc_delta *deltas;
    struct pc_rng rng;
    size_t displaced = 0, count;
    pc_base_rng_init_u64(&rng, 11);
    for (uint32_t i = 0; i < 30000; i++) {
        uint32_t id = (uint32_t)pc_base_rng_below(&rng, CROWD), which = i % CROWD_ADDRS;
        struct pc_peer_id peer = id_of(id);
        struct pc_maddr addr = quic_of(LONE(id) + which);
        switch (pc_base_rng_below(&rng, 8)) {
        case 0:
        case 1:
            (void)pc_cache_set_add(set, &peer, pc_addr_maddr_bytes(&addr), false, PEERCACHE_SOURCE_DHT, NULL,
                                   NOW_MS + i, NULL);
            break;
        case 2: {
            int result = report(set, id, LONE(id) + which, PEERCACHE_OK, 1000, NOW_MS + i);
            assert_true(result == 0 ||
                        result == PEERCACHE_ELIMIT); /* no room: told to the store all the same */
            told[id][which].successes++;
            break;
        }
        case 3:
        case 4:
        case 5:
            if (report(set, id, LONE(id) + which, PEERCACHE_REFUSED, PC_RTT_UNKNOWN, NOW_MS + i) == 0)
                told[id][which].failures++;
            break;
        case 6:
            displaced += find(set, id) != NULL;
            pc_cache_set_unload(set, &peer);
            break;
        default:
            count = pc_cache_set_take(set, &deltas, 1 + pc_base_rng_below(&rng, 3));
            if (count == 0)
                break;
            bool committed = pc_base_rng_below(&rng, 2);
            if (committed)
                store_deltas(told, deltas, count);
            assert_int_equal(pc_cache_set_settle(set, committed), 0);
        }
    }
    assert_true(displaced > 100);
    while ((count = pc_cache_set_take(set, &deltas, PC_CACHE_BATCH_MAX))) {
        store_deltas(told, deltas, count);
        assert_int_equal(pc_cache_set_settle(set, true), 0);
    }
    assert_int_equal(pc_cache_set_pending(set), 0);
    for (uint32_t id = 0; id < CROWD; id++)
        for (size_t which = 0; which < CROWD_ADDRS; which++) {
            assert_int_equal(told[id][which].stored_successes, told[id][which].successes);
            assert_int_equal(told[id][which].stored_failures, told[id][which].failures);
        }
    pc_cache_set_free(set);
}

/* It reached the store, though nobody was told: what is read there has it. */
static void what_failed_is_not_laid_over_what_may_have_it(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(10);
    const struct pc_delta *deltas;
    add(set, 1, 1, NOW_MS);
    assert_int_equal(report(set, 1, 1, PEERCACHE_OK, 1, NOW_MS + 1), 0);
    struct pc_record stored = *find(set, 1);
    assert_int_equal(pc_cache_set_take(set, &deltas, 10), 1);
    assert_int_equal(pc_cache_set_settle(set, false), 0);
    assert_int_equal(report(set, 1, 1, PEERCACHE_OK, 1, NOW_MS + 2), 0); /* one waiting */
    for (int i = 0; i < 2; i++) { /* before it is tried again, and while it is */
        assert_int_equal(pc_cache_set_load(set, &stored, NOW_MS + 3), 0);
        assert_int_equal(find(set, 1)->addrs[0].history.success_count, 2);
        assert_int_equal(pc_cache_set_take(set, &deltas, 10), i == 0 ? 1 : 0);
    }
    assert_int_equal(pc_cache_set_settle(set, true), 0);
    stored.addrs[0].history.success_count = 101; /* others' too */
    assert_int_equal(pc_cache_set_load(set, &stored, NOW_MS + 4), 0);
    assert_int_equal(find(set, 1)->addrs[0].history.success_count, 102);
    pc_cache_set_free(set);
}

static void what_is_pending_is_laid_over_what_is_loaded(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(10);
    struct pc_record stored;
    const struct pc_delta *deltas;
    add(set, 1, 1, NOW_MS);
    stored = *find(set, 1);
    stored.addrs[0].history.success_count = 100; /* others' */
    assert_int_equal(pc_cache_set_take(set, &deltas, 10), 1);
    assert_int_equal(pc_cache_set_settle(set, true), 0);
    assert_int_equal(report(set, 1, 1, PEERCACHE_OK, 1, NOW_MS + 1), 0);
    assert_int_equal(pc_cache_set_take(set, &deltas, 10), 1);            /* one under way */
    assert_int_equal(report(set, 1, 1, PEERCACHE_OK, 1, NOW_MS + 2), 0); /* one waiting */
    assert_int_equal(pc_cache_set_load(set, &stored, NOW_MS + 3), 0);
    assert_int_equal(find(set, 1)->addrs[0].history.success_count, 102);
    struct pc_peer_id id = id_of(1);
    pc_cache_set_unload(set, &id);
    assert_null(find(set, 1));
    assert_int_equal(pc_cache_set_pending(set), 2);
    pc_cache_set_free(set);
}

static void remove_leaves_a_tombstone(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(10);
    struct pc_peer_id id = id_of(1);
    struct pc_record stored;
    const struct pc_delta *deltas;
    add(set, 1, 1, NOW_MS);
    add(set, 1, 2, NOW_MS);
    stored = *find(set, 1);
    assert_int_equal(pc_cache_set_remove(set, &id, NOW_MS), 0);
    assert_int_equal(pc_cache_set_count(set), 0);
    assert_int_equal(pc_cache_set_load(set, &stored, NOW_MS), 0); /* an old copy does not bring it back */
    assert_int_equal(pc_cache_set_count(set), 0);
    assert_int_equal(pc_cache_set_take(set, &deltas, 10), 1);
    assert_true(deltas[0].removed_ms == NOW_MS);
    assert_int_equal(deltas[0].addr.size, 0);
    pc_cache_set_free(set);
}

/* Flooding with untested peers does not evict the proven ones (18). */
static void a_flood_of_new_peers_displaces_no_tried_one(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(400);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(report(set, i, LONE(i), PEERCACHE_OK, 1000, NOW_MS), 0);
        for (int f = 0; f < 3; f++) /* a mixed history */
            assert_int_equal(report(set, i, LONE(i), PEERCACHE_REFUSED, PC_RTT_UNKNOWN, NOW_MS), 0);
    }
    bool was_tried[100];
    size_t tried = 0, refused = 0;
    for (uint32_t i = 0; i < 100; i++)
        tried += was_tried[i] = find(set, i)->state == PEERCACHE_TRIED;
    assert_in_range(tried, 80, 100); /* the others met a full bucket */
    for (uint32_t i = 1000; i < 20000; i++) {
        struct pc_peer_id id = id_of(i);
        struct pc_maddr addr = quic_of(i);
        refused += pc_cache_set_add(set, &id, pc_addr_maddr_bytes(&addr), false, PEERCACHE_SOURCE_DHT, NULL,
                                    NOW_MS + i, NULL) == PEERCACHE_ELIMIT;
    }
    assert_in_range(refused, 1, 19000);
    size_t kept = pc_cache_set_count(set);
    assert_in_range(kept, 101, 400); /* the flood is of 75 groups, each of which has one bucket */
    for (uint32_t i = 0; i < 100; i++)
        assert_true(was_tried[i] == (find(set, i) && find(set, i)->state == PEERCACHE_TRIED));
    struct pc_record walked;
    size_t count = 0;
    for (const struct pc_record *r = pc_cache_set_next(set, NULL); r; r = pc_cache_set_next(set, &walked)) {
        walked = *r;
        count++;
    }
    assert_int_equal(count, kept);
    pc_cache_set_free(set);
}

static void a_set_full_of_verified_ones_refuses_new_ones(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(20);
    struct pc_peer_id id = id_of(99);
    struct pc_maddr addr = quic_of(99 * 256);
    uint32_t in = 0, tried = 0;
    for (uint32_t i = 0; i < 40; i++)
        in += report(set, i, i * 256, PEERCACHE_OK, 1000, NOW_MS) == 0;
    for (uint32_t i = 0; i < 40; i++)
        tried += find(set, i) && find(set, i)->state == PEERCACHE_TRIED;
    assert_int_equal(pc_cache_set_count(set), 20);
    assert_in_range(in, 20, 40);
    assert_int_equal(tried, 10); /* half the room; the others wait for a place among the new */
    assert_int_equal(pc_cache_set_add(set, &id, pc_addr_maddr_bytes(&addr), false, PEERCACHE_SOURCE_DHT, NULL,
                                      NOW_MS, NULL),
                     PEERCACHE_ELIMIT);
    assert_int_equal(pc_cache_set_count(set), 20);
    pc_cache_set_free(set);
}

static void pick_prefers_the_alive_and_keeps_a_share_for_new_ones(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(10000);
    struct pc_rng rng;
    struct pc_pick picks[16], again[16];
    for (uint32_t i = 0; i < 300; i++) {
        add(set, i, i * 256, NOW_MS - DAY_MS);
        if (i < 50)
            assert_int_equal(report(set, i, i * 256, PEERCACHE_OK, 1000, NOW_MS), 0);
        else if (i < 100)
            for (int f = 0; f < 4; f++)
                assert_int_equal(report(set, i, i * 256, PEERCACHE_REFUSED, 1000, NOW_MS - DAY_MS), 0);
    }
    pc_base_rng_init_u64(&rng, 1);
    assert_int_equal(pc_cache_set_pick(set, &rng, NOW_MS, true, picks, 16), 16);
    size_t tried = 0;
    for (size_t i = 0; i < 16; i++) {
        tried += picks[i].state == PEERCACHE_TRIED;
        assert_true(picks[i].state == PEERCACHE_TRIED || picks[i].score > 150);
        for (size_t j = 0; j < i; j++)
            assert_false(pc_addr_peer_id_equal(&picks[i].id, &picks[j].id));
    }
    assert_int_equal(tried, 14); /* one in eight is new */
    assert_int_equal(picks[0].state, PEERCACHE_TRIED);
    pc_base_rng_init_u64(&rng, 1);
    assert_int_equal(pc_cache_set_pick(set, &rng, NOW_MS, true, again, 16), 16);
    assert_memory_equal(picks, again, sizeof(picks));
    pc_base_rng_init_u64(&rng, 2);
    assert_int_equal(pc_cache_set_pick(set, &rng, NOW_MS, true, again, 16), 16);
    assert_memory_not_equal(picks, again, sizeof(picks));
    assert_int_equal(pc_cache_set_pick(set, &rng, NOW_MS, true, again, 0), 0);
    pc_cache_set_free(set);
}

static void pick_spreads_over_groups(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(10000);
    struct pc_rng rng;
    struct pc_pick picks[10];
    for (uint32_t i = 0; i < 80; i++)                        /* one group of eighty with the best scores */
        (void)report(set, i, i, PEERCACHE_OK, 1000, NOW_MS); /* some find no room */
    for (uint32_t i = 0; i < 10; i++)                        /* ten others, a little worse */
        assert_int_equal(report(set, 100 + i, (i + 1) * 256, PEERCACHE_OK, 200000, NOW_MS), 0);
    pc_base_rng_init_u64(&rng, 1);
    assert_int_equal(pc_cache_set_pick(set, &rng, NOW_MS, true, picks, 10), 10);
    size_t crowded = 0;
    for (size_t i = 0; i < 10; i++)
        crowded += picks[i].addr.bytes[2] == 0; /* the second byte of the IPv4 address */
    assert_in_range(crowded, 1, 3);
    pc_cache_set_free(set);
}

static void an_address_says_what_it_is_dialled_by(void **state)
{
    (void)state;
    static const struct {
        const char *addr;
        uint32_t transport, family;
    } rows[] = {
        { "/ip4/20.1.1.1/udp/1/quic-v1", PEERCACHE_TRANSPORT_QUIC_V1, PEERCACHE_FAMILY_IP4 },
        { "/ip6/2600::1/udp/1/quic", PEERCACHE_TRANSPORT_QUIC, PEERCACHE_FAMILY_IP6 },
        { "/ip6zone/eth0/ip6/fe80::1/tcp/1", PEERCACHE_TRANSPORT_TCP, PEERCACHE_FAMILY_IP6 },
        { "/dns/a.example/tcp/443/tls/ws", PEERCACHE_TRANSPORT_WEBSOCKET, PEERCACHE_FAMILY_DNS },
        { "/dns4/a.example/tcp/443/wss", PEERCACHE_TRANSPORT_WEBSOCKET, PEERCACHE_FAMILY_DNS },
        { "/dns6/a.example/tcp/443/tls", PEERCACHE_TRANSPORT_TCP, PEERCACHE_FAMILY_DNS },
        { "/dnsaddr/a.example", PEERCACHE_TRANSPORT_OTHER, PEERCACHE_FAMILY_DNS },
        { "/ip4/20.1.1.1/udp/1/quic-v1/webtransport/certhash/uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ",
          PEERCACHE_TRANSPORT_WEBTRANSPORT, PEERCACHE_FAMILY_IP4 },
        { "/ip4/20.1.1.1/udp/1/webrtc-direct", PEERCACHE_TRANSPORT_WEBRTC, PEERCACHE_FAMILY_IP4 },
        { "/ip4/20.1.1.1/udp/1", PEERCACHE_TRANSPORT_OTHER, PEERCACHE_FAMILY_IP4 },
        { "/ip4/20.1.1.1/udp/1/utp", PEERCACHE_TRANSPORT_OTHER, PEERCACHE_FAMILY_IP4 },
        { "/unix/a", PEERCACHE_TRANSPORT_OTHER, PEERCACHE_FAMILY_OTHER },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
        size_t size;
        assert_int_equal(
            pc_addr_multiaddr_parse(rows[i].addr, strlen(rows[i].addr), bytes, sizeof(bytes), &size, NULL),
            0);
        struct pc_dialable dialable = pc_cache_dialable_of(pc_bytes_of(bytes, size));
        if (dialable.transport != rows[i].transport || dialable.family != rows[i].family)
            fail_msg("%s: transport %u, family %u", rows[i].addr, dialable.transport, dialable.family);
    }
}

static void pick_rotates_and_finds_the_few_dialable(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(10000);
    struct pc_rng rng;
    struct pc_pick picks[4];
    struct pc_reason reason;
    for (uint32_t i = 0; i < 1000; i++) {
        char text[64];
        struct pc_peer_id id = id_of(i);
        (void)snprintf(text, sizeof(text), "/ip4/%u.%u.7.7/tcp/4001", 21 + (i >> 8), i & 255);
        struct pc_maddr addr = addr_of(text);
        assert_int_equal(pc_cache_set_add(set, &id, pc_addr_maddr_bytes(&addr), false, PEERCACHE_SOURCE_DHT,
                                          NULL, NOW_MS, &reason),
                         0);
    }
    add(set, 5000, 1, NOW_MS);
    add(set, 5001, 2, NOW_MS);
    pc_base_rng_init_u64(&rng, 1);
    assert_int_equal(pc_cache_set_pick(set, &rng, NOW_MS, true, picks, 4), 2);
    assert_int_equal(pc_cache_set_pick(set, &rng, NOW_MS, false, picks, 4), 4);
    struct pc_peer_id id = id_of(5000);
    struct pc_maddr addr = quic_of(1);
    pc_cache_set_attempt(set, &id, pc_addr_maddr_bytes(&addr), NOW_MS);
    assert_int_equal(pc_cache_set_pick(set, &rng, NOW_MS + 1, true, picks, 1), 1);
    id = id_of(5001);
    assert_true(pc_addr_peer_id_equal(&picks[0].id, &id));
    pc_cache_set_free(set);
}

/* How often within a day one is dialled that answered last at its begin, by whoever dials only the rested. */
static void who_fails_is_left_alone_longer_and_longer(void **state)
{
    (void)state;
    static const struct pc_pick_filter rested = { .quic_only = true, .rested = true };
    struct pc_cache_set *set = set_new(10);
    struct pc_peer_id id = id_of(1);
    struct pc_maddr addr = quic_of(1);
    struct pc_rng rng;
    unsigned dials = 0, in_first_hour = 0;
    pc_base_rng_init_u64(&rng, 1);
    add(set, 1, 1, NOW_MS - DAY_MS);
    assert_int_equal(report(set, 1, 1, PEERCACHE_OK, 1000, NOW_MS), 0);
    for (int64_t now_ms = NOW_MS + 60000; now_ms <= NOW_MS + DAY_MS; now_ms += 60000) {
        struct pc_pick pick;
        size_t count;
        assert_int_equal(pc_cache_set_pick_filtered(set, &rng, now_ms, &rested, &pick, 1, &count), 0);
        assert_int_equal(count == 0, pc_cache_rests(&find(set, 1)->addrs[0], now_ms));
        if (count == 0)
            continue;
        pc_cache_set_attempt(set, &id, pc_addr_maddr_bytes(&addr), now_ms);
        assert_int_equal(report(set, 1, 1, PEERCACHE_TIMEOUT, PC_RTT_UNKNOWN, now_ms), 0);
        dials++;
        in_first_hour += now_ms <= NOW_MS + HOUR_MS;
    }
    assert_in_range(in_first_hour, 10, 20);
    assert_in_range(dials - in_first_hour, 23, 40); /* in the end once an hour */
    int64_t now_ms = NOW_MS + DAY_MS;
    assert_int_equal(report(set, 1, 1, PEERCACHE_OK, 1000, now_ms), 0);
    assert_false(pc_cache_rests(&find(set, 1)->addrs[0], now_ms)); /* it is back */
    struct pc_pick pick;
    pc_cache_set_attempt(set, &id, pc_addr_maddr_bytes(&addr), now_ms + HOUR_MS);
    assert_true(pc_cache_rests(&find(set, 1)->addrs[0], now_ms + HOUR_MS + 1));
    assert_int_equal(pc_cache_set_pick(set, &rng, now_ms + HOUR_MS + 1, true, &pick, 1),
                     1); /* who asks for all has all */
    pc_cache_set_free(set);
}

static void memory_only_keeps_no_deltas(void **state)
{
    (void)state;
    struct pc_cache_set *set;
    struct pc_cache_set_options options = { .peers_max = 10, .memory_only = true, .count_at_once = true };
    assert_int_equal(pc_cache_set_new(&options, &set), 0);
    add(set, 1, 1, NOW_MS);
    assert_int_equal(report(set, 1, 1, PEERCACHE_TIMEOUT, PC_RTT_UNKNOWN, NOW_MS), 0);
    assert_int_equal(find(set, 1)->addrs[0].history.failure_count, 1);
    assert_int_equal(pc_cache_set_pending(set), 0);
    pc_cache_set_free(set);
    pc_cache_set_free(NULL);
}

static int64_t seen_of(struct pc_cache_set *set, uint32_t id, uint32_t addr)
{
    struct pc_peer_id peer = id_of(id);
    struct pc_maddr maddr = quic_of(addr);
    const struct pc_record *found = pc_cache_set_find(set, &peer);
    for (size_t i = 0; found && i < found->addr_count; i++)
        if (pc_bytes_equal(pc_addr_maddr_bytes(&found->addrs[i].addr), pc_addr_maddr_bytes(&maddr)))
            return found->addrs[i].history.last_seen_ms;
    return -1;
}

/* Each answer names who was named a moment before: that is news once a minute. */
static void what_is_told_again_at_once_is_no_news(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_new(100);
    const struct pc_delta *deltas;
    add(set, 1, LONE(1), NOW_MS);
    assert_int_equal(pc_cache_set_take(set, &deltas, 10), 1);
    assert_int_equal(pc_cache_set_settle(set, true), 0);
    add(set, 1, LONE(1), NOW_MS + PC_CACHE_HEARD_AGAIN_MS - 1);
    assert_int_equal(seen_of(set, 1, LONE(1)), NOW_MS);
    assert_int_equal(pc_cache_set_pending(set), 0);
    add(set, 1, LONE(2), NOW_MS + PC_CACHE_HEARD_AGAIN_MS - 1); /* another address of it is */
    assert_int_equal(pc_cache_set_pending(set), 1);
    add(set, 1, LONE(1), NOW_MS + PC_CACHE_HEARD_AGAIN_MS);
    assert_int_equal(seen_of(set, 1, LONE(1)), NOW_MS + PC_CACHE_HEARD_AGAIN_MS);
    assert_int_equal(pc_cache_set_pending(set), 2);
    struct pc_peer_id peer = id_of(1); /* who was removed is told of anew */
    assert_int_equal(pc_cache_set_remove(set, &peer, NOW_MS + PC_CACHE_HEARD_AGAIN_MS + 1), 0);
    add(set, 1, LONE(1), NOW_MS + PC_CACHE_HEARD_AGAIN_MS + 2);
    assert_int_equal(seen_of(set, 1, LONE(1)), NOW_MS + PC_CACHE_HEARD_AGAIN_MS + 2);
    pc_cache_set_free(set);
}

/* While the count of losses stands, all that was taken in is in: whoever gave way, was removed, banned or moved counts. */
static void no_loss_goes_uncounted(void **state)
{
    (void)state;
    static const uint64_t one_in[] = { 40, 200, 1000 };
    enum { ROUNDS = 40000, KEPT = 512 };
    struct {
        uint32_t id, addr;
        uint64_t losses;
    } kept[KEPT] = { { 0 } };
    struct pc_cache_set *set = set_new(40);
    struct pc_rng rng;
    unsigned looked = 0;
    pc_base_rng_init_u64(&rng, 7);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t era = i / 1000 % 3; /* busy; addresses go; peers have all that they may have */
        uint32_t id = 1 + (uint32_t)pc_base_rng_below(&rng, era == 0 ? 60 : 5),
                 addr = LONE((uint32_t)pc_base_rng_below(&rng, 12) * 60 + id);
        struct pc_peer_id peer = id_of(id);
        struct pc_maddr maddr = quic_of(addr);
        struct pc_bytes bytes = pc_addr_maddr_bytes(&maddr);
        int64_t now_ms = NOW_MS + (int64_t)i * 5000;
        switch (pc_base_rng_below(&rng, one_in[era])) {
        case 0:
            (void)pc_cache_set_remove(set, &peer, now_ms);
            break;
        case 1:
            (void)pc_cache_set_report(set, &peer, bytes, PEERCACHE_OK, &peer, 1000, PEERCACHE_SOURCE_DHT,
                                      now_ms);
            break;
        case 2:
            (void)pc_cache_set_report(set, &peer, bytes, PEERCACHE_WRONG_IDENTITY, NULL, PC_RTT_UNKNOWN,
                                      PEERCACHE_SOURCE_DHT, now_ms);
            break;
        case 3:
            (void)pc_cache_set_report(set, &peer, bytes, PEERCACHE_REFUSED, NULL, PC_RTT_UNKNOWN,
                                      PEERCACHE_SOURCE_DHT, now_ms);
            break;
        case 4:
            pc_cache_set_unload(set, &peer);
            break;
        default:
            if (pc_cache_set_add(set, &peer, bytes, false, PEERCACHE_SOURCE_DHT, NULL, now_ms, NULL) == 0 &&
                seen_of(set, id, addr) >= 0) {
                kept[i % KEPT].id = id;
                kept[i % KEPT].addr = addr;
                kept[i % KEPT].losses = pc_cache_set_losses(set);
            }
        }
        for (size_t j = 0; j < KEPT; j++) {
            if (kept[j].id == 0 || kept[j].losses != pc_cache_set_losses(set))
                continue;
            assert_true(seen_of(set, kept[j].id, kept[j].addr) >= 0);
            looked++;
        }
    }
    assert_true(looked > ROUNDS);
    struct pc_ban ban;
    uint64_t losses = pc_cache_set_losses(set);
    assert_int_equal(pc_cache_ban_parse("20.0.0.0/6", 10, &ban, NULL), 0);
    assert_int_equal(pc_cache_set_ban(set, &ban, 1), 0);
    assert_true(pc_cache_set_losses(set) != losses);
    pc_cache_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_again_at_once_is_no_news),
        cmocka_unit_test(no_loss_goes_uncounted),
        cmocka_unit_test(merge_is_commutative_and_associative),
        cmocka_unit_test(counters_saturate_and_never_reset),
        cmocka_unit_test(the_future_is_clamped_to_now),
        cmocka_unit_test(the_ninth_address_replaces_the_least_useful),
        cmocka_unit_test(score_orders_what_it_promises),
        cmocka_unit_test(packing_loses_nothing),
        cmocka_unit_test(add_refuses_what_is_never_stored),
        cmocka_unit_test(our_own_id_and_addresses_stay_out),
        cmocka_unit_test(failures_are_held_until_something_answers),
        cmocka_unit_test(failures_of_one_family_are_dropped_alone),
        cmocka_unit_test(wrong_identity_takes_the_address_out),
        cmocka_unit_test(success_makes_a_peer_tried_and_adds_it),
        cmocka_unit_test(an_address_without_id_becomes_its_peer),
        cmocka_unit_test(deltas_coalesce_and_a_failed_batch_comes_again),
        cmocka_unit_test(what_waits_stays_whole_while_peers_come_and_go),
        cmocka_unit_test(what_is_pending_is_laid_over_what_is_loaded),
        cmocka_unit_test(what_failed_is_not_laid_over_what_may_have_it),
        cmocka_unit_test(remove_leaves_a_tombstone),
        cmocka_unit_test(a_flood_of_new_peers_displaces_no_tried_one),
        cmocka_unit_test(a_set_full_of_verified_ones_refuses_new_ones),
        cmocka_unit_test(pick_prefers_the_alive_and_keeps_a_share_for_new_ones),
        cmocka_unit_test(pick_spreads_over_groups),
        cmocka_unit_test(an_address_says_what_it_is_dialled_by),
        cmocka_unit_test(pick_rotates_and_finds_the_few_dialable),
        cmocka_unit_test(who_fails_is_left_alone_longer_and_longer),
        cmocka_unit_test(memory_only_keeps_no_deltas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
