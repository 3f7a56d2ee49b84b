#include "check.h"

#include "base/rng.h"
#include "base/time.h"
#include "join/candidates.h"
#include "join/joiner.h"

#include <string.h>

/* A dial as it was given out. */
struct given {
    uint64_t dial;
    struct pc_joiner_candidate candidate;
    int64_t deadline_us;
};

static struct pc_joiner *joiner_with(uint32_t target, int64_t timeout_us)
{
    struct pc_joiner_options options = {
        .target = target,
        .min = 1,
        .timeout_us = timeout_us,
        .unstalled_max = PC_JOIN_UNSTALLED_MAX,
        .dials_max = PC_JOIN_DIALS_MAX,
        .dial_timeout_us = PC_JOIN_DIAL_TIMEOUT_US,
        .mode = PC_NETGROUP_PUBLIC,
        .secret = { 1, 2, 3 },
    };
    struct pc_joiner *joiner = NULL;
    assert_int_equal(pc_join_new(&options, 0, &joiner), 0);
    return joiner;
}

static struct pc_peer_id id_of(uint32_t number)
{
    struct pc_peer_id id = { .size = 38, .bytes = { 0, 36, 8, 1, 18, 32 } };
    memcpy(id.bytes + 6, &number, sizeof(number));
    return id;
}

static uint32_t peer_of(const struct given *given)
{
    uint32_t number;
    memcpy(&number, given->candidate.id.bytes + 6, sizeof(number));
    return number;
}

/* Peer 0: its id is not known. The group is the first two bytes of the address, the host the others. */
static struct pc_joiner_candidate candidate_of(uint32_t peer, uint16_t group, uint16_t host,
                                               peercache_via via)
{
    struct pc_joiner_candidate c;
    memset(&c, 0, sizeof(c));
    if (peer)
        c.id = id_of(peer);
    const uint8_t ip[4] = { (uint8_t)(group >> 8), (uint8_t)group, (uint8_t)(host >> 8), (uint8_t)host };
    c.ip_port.family = 4;
    memcpy(c.ip_port.ip, ip, sizeof(ip));
    c.ip_port.port = 4001;
    const uint8_t addr[] = { 4, ip[0], ip[1], ip[2], ip[3], 0x91, 0x02, 0x0f, 0xa1, 0xcd, 0x03 };
    memcpy(c.addr.bytes, addr, sizeof(addr));
    c.addr.size = sizeof(addr);
    c.via = via;
    return c;
}

static int offer(struct pc_joiner *joiner, uint32_t peer, uint16_t group, uint16_t host, peercache_via via)
{
    struct pc_joiner_candidate c = candidate_of(peer, group, host, via);
    return pc_join_offer(joiner, &c);
}

static bool next(struct pc_joiner *joiner, int64_t now_us, struct given *ret_given)
{
    return pc_join_next(joiner, now_us, &ret_given->dial, &ret_given->candidate, &ret_given->deadline_us);
}

static void expect_none(struct pc_joiner *joiner, int64_t now_us)
{
    struct given given;
    assert_false(next(joiner, now_us, &given));
}

/* The next dial must be of this peer; returns its number. */
static uint64_t expect_peer(struct pc_joiner *joiner, int64_t now_us, uint32_t peer)
{
    struct given given;
    assert_true(next(joiner, now_us, &given));
    assert_int_equal(peer_of(&given), peer);
    return given.dial;
}

static void end(struct pc_joiner *joiner, uint64_t dial, peercache_outcome outcome, int64_t now_us)
{
    pc_join_ended(joiner, dial, outcome, NULL, -1, now_us);
}

static size_t take_all(struct pc_joiner *joiner, int64_t now_us)
{
    struct given given;
    size_t count = 0;
    while (next(joiner, now_us, &given))
        count++;
    return count;
}

static void options_are_checked(void **state)
{
    (void)state;
    const struct pc_joiner_options good = {
        .target = 5, .min = 1, .timeout_us = 1, .unstalled_max = 10, .dials_max = 128, .dial_timeout_us = 1
    };
    struct pc_joiner_options bad[9];
    for (size_t i = 0; i < 9; i++)
        bad[i] = good;
    bad[0].min = 0;
    bad[1].min = 6;
    bad[2].target = PC_JOIN_TARGET_MAX + 1;
    bad[3].timeout_us = 0;
    bad[4].dial_timeout_us = -1;
    bad[5].unstalled_max = 0;
    bad[6].unstalled_max = 129;
    bad[7].dials_max = PC_JOIN_DIALS_MAX + 1;
    bad[8].target = 0;
    struct pc_joiner *joiner = NULL;
    for (size_t i = 0; i < 9; i++)
        assert_int_equal(pc_join_new(&bad[i], 0, &joiner), PEERCACHE_EINVAL);
    assert_null(joiner);
    assert_int_equal(pc_join_new(&good, 0, &joiner), 0);
    pc_join_free(joiner);
    pc_join_free(NULL);
}

static void nothing_offered_is_exhausted(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(5, 1000);
    expect_none(joiner, 0);
    assert_int_equal(pc_join_phase_at(joiner, 0), PC_JOIN_EXHAUSTED);
    assert_false(pc_join_was_offered_anything(joiner));
    assert_true(pc_join_deadline(joiner) == PC_TIME_NEVER);
    assert_int_equal(offer(joiner, 1, 1, 1, PEERCACHE_VIA_FLAG), 0);
    assert_true(pc_join_was_offered_anything(joiner));
    assert_int_equal(pc_join_phase_at(joiner, 0), PC_JOIN_RUNNING);
    pc_join_free(joiner);
}

static void order_is_by_via_then_as_offered(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(5, PC_US_PER_S);
    static const struct {
        peercache_via via;
        uint32_t peer;
    } offered[] = {
        { PEERCACHE_VIA_DHT, 8 },   { PEERCACHE_VIA_ENDPOINT, 6 }, { PEERCACHE_VIA_CACHE, 4 },
        { PEERCACHE_VIA_ENV, 1 },   { PEERCACHE_VIA_FLAG, 2 },     { PEERCACHE_VIA_ENV, 3 },
        { PEERCACHE_VIA_CACHE, 5 }, { PEERCACHE_VIA_ENDPOINT, 7 }, { PEERCACHE_VIA_DHT, 9 },
    };
    for (uint16_t i = 0; i < 9; i++)
        assert_int_equal(offer(joiner, offered[i].peer, (uint16_t)(100 + i), 1, offered[i].via), 0);
    for (uint32_t peer = 1; peer <= 9; peer++)
        assert_int_equal(expect_peer(joiner, 0, peer), peer); /* numbers count from 1 as well */
    expect_none(joiner, 0);
    pc_join_free(joiner);
}

static void candidate_is_given_out_whole(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(5, 60 * PC_US_PER_S);
    struct pc_joiner_candidate named = { .id = id_of(7), .via = PEERCACHE_VIA_ENV };
    struct given given;
    named.addr.size = PC_MADDR_MAX_BYTES; /* the largest there is; no ip:port */
    memset(named.addr.bytes, 0xab, sizeof(named.addr.bytes));
    struct pc_joiner_candidate known = candidate_of(0, 5, 6, PEERCACHE_VIA_CACHE);
    assert_int_equal(pc_join_offer(joiner, &known), 0);
    assert_int_equal(pc_join_offer(joiner, &named), 0);
    assert_true(next(joiner, 1000, &given));
    assert_int_equal(given.candidate.ip_port.family, 0);
    assert_int_equal(given.candidate.via, PEERCACHE_VIA_ENV);
    assert_true(pc_addr_peer_id_equal(&given.candidate.id, &named.id));
    assert_int_equal(given.candidate.addr.size, named.addr.size);
    assert_memory_equal(given.candidate.addr.bytes, named.addr.bytes, named.addr.size);
    assert_true(given.deadline_us == 1000 + PC_JOIN_DIAL_TIMEOUT_US);
    end(joiner, given.dial, PEERCACHE_UNSUPPORTED, 1000);
    assert_true(next(joiner, 58 * PC_US_PER_S, &given));
    assert_int_equal(given.candidate.id.size, 0);
    assert_int_equal(given.candidate.ip_port.port, 4001);
    assert_memory_equal(given.candidate.ip_port.ip, known.ip_port.ip, 16);
    assert_memory_equal(given.candidate.addr.bytes, known.addr.bytes, known.addr.size);
    assert_true(given.deadline_us == 60 * PC_US_PER_S); /* the join ends before the dial would */
    pc_join_free(joiner);
}

static void same_candidate_is_dialled_once(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(5, PC_US_PER_S);
    assert_int_equal(offer(joiner, 1, 1, 1, PEERCACHE_VIA_CACHE), 0);
    assert_int_equal(offer(joiner, 1, 1, 1, PEERCACHE_VIA_FLAG), 0);
    assert_int_equal(offer(joiner, 0, 1, 1, PEERCACHE_VIA_DHT), 0); /* no id: not the same */
    uint64_t dial = expect_peer(joiner, 0, 1);
    struct given given;
    assert_true(next(joiner, 0, &given));
    assert_int_equal(given.candidate.id.size, 0);
    assert_int_equal(offer(joiner, 1, 1, 1, PEERCACHE_VIA_CACHE), 0);
    expect_none(joiner, 0);
    end(joiner, dial, PEERCACHE_REFUSED, 5);
    assert_int_equal(offer(joiner, 1, 1, 1, PEERCACHE_VIA_CACHE), 0);
    expect_none(joiner, 5);
    end(joiner, given.dial, PEERCACHE_REFUSED, 5);
    assert_int_equal(pc_join_phase_at(joiner, 5), PC_JOIN_EXHAUSTED);
    end(joiner, dial, PEERCACHE_OK, 6); /* it has ended already */
    end(joiner, 77, PEERCACHE_OK, 6);   /* never given out */
    assert_int_equal(pc_join_verified_count(joiner), 0);
    pc_join_free(joiner);
}

static void ten_unstalled_dials_and_stalls_free_slots(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(5, 60 * PC_US_PER_S);
    for (uint16_t i = 1; i <= 40; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_CACHE), 0);
    struct given given;
    assert_true(next(joiner, 0, &given));
    assert_int_equal(take_all(joiner, 100000), 9);
    assert_true(pc_join_deadline(joiner) == PC_JOIN_STALL_FIRST_US);
    expect_none(joiner, PC_JOIN_STALL_FIRST_US - 1);
    /* One has stalled and frees its slot; it stays under way, and its end frees nothing twice. */
    assert_int_equal(take_all(joiner, PC_JOIN_STALL_FIRST_US), 1);
    assert_int_equal(pc_join_dials_under_way(joiner, NULL, 0), 11);
    end(joiner, given.dial, PEERCACHE_TIMEOUT, PC_JOIN_STALL_FIRST_US);
    expect_none(joiner, PC_JOIN_STALL_FIRST_US);
    assert_true(pc_join_deadline(joiner) == 100000 + PC_JOIN_STALL_FIRST_US);
    assert_int_equal(take_all(joiner, 100000 + PC_JOIN_STALL_FIRST_US), 9);
    /* The end of one that is not stalled frees a slot at once. */
    end(joiner, 20, PEERCACHE_REFUSED, 100001 + PC_JOIN_STALL_FIRST_US);
    assert_int_equal(take_all(joiner, 100001 + PC_JOIN_STALL_FIRST_US), 1);
    pc_join_free(joiner);
}

static void stall_follows_the_median_round_trip(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(1000, 60 * PC_US_PER_S);
    static const struct {
        int64_t rtt_us;
        int64_t stall_us;
    } steps[] = {
        { 40000, 120000 }, { 60000, 120000 }, { 50000, 150000 },
        { -1, 150000 },    { 0, 120000 },     { 50001, 150000 },
    };
    for (uint16_t i = 1; i <= 600; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_CACHE), 0);
    uint64_t last = take_all(joiner, 0);
    assert_int_equal(last, 10);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        pc_join_ended(joiner, last, PEERCACHE_OK, NULL, steps[i].rtt_us, 0);
        assert_int_equal(take_all(joiner, 0), 1);
        last++;
        assert_true(pc_join_deadline(joiner) == steps[i].stall_us);
    }
    for (size_t i = 0; i < PC_JOIN_RTT_SAMPLES; i++) { /* a network nearby: never under the floor */
        pc_join_ended(joiner, last, PEERCACHE_OK, NULL, 200, 0);
        assert_int_equal(take_all(joiner, 0), 1);
        last++;
    }
    assert_true(pc_join_deadline(joiner) == PC_JOIN_STALL_MIN_US);
    for (size_t i = 0; i < PC_JOIN_RTT_SAMPLES; i++) { /* nonsense overflows nothing */
        pc_join_ended(joiner, last, PEERCACHE_OK, NULL, INT64_MAX, 0);
        assert_int_equal(take_all(joiner, 0), 1);
        last++;
    }
    assert_true(pc_join_deadline(joiner) == 60 * PC_US_PER_S);
    pc_join_free(joiner);
}

/* A longer median does not bring a stalled dial back among those that count. */
static void stalled_stays_stalled(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(100, 60 * PC_US_PER_S);
    for (uint16_t i = 1; i <= 40; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_CACHE), 0);
    assert_int_equal(take_all(joiner, 0), 10);
    assert_int_equal(take_all(joiner, PC_JOIN_STALL_FIRST_US), 10);
    pc_join_ended(joiner, 1, PEERCACHE_OK, NULL, PC_US_PER_S, PC_JOIN_STALL_FIRST_US);
    expect_none(joiner, PC_JOIN_STALL_FIRST_US);
    for (uint64_t dial = 11; dial <= 20; dial++)
        end(joiner, dial, PEERCACHE_REFUSED, PC_JOIN_STALL_FIRST_US);
    assert_int_equal(take_all(joiner, PC_JOIN_STALL_FIRST_US), 10);
    pc_join_free(joiner);
}

static void never_more_than_128_dials(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(5, 60 * PC_US_PER_S);
    for (uint16_t i = 1; i <= 500; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_CACHE), 0);
    size_t given = 0;
    int64_t now_us = 0;
    for (; given < PC_JOIN_DIALS_MAX; now_us += PC_JOIN_STALL_FIRST_US) {
        assert_true(now_us < 30 * PC_US_PER_S);
        given += take_all(joiner, now_us);
    }
    assert_int_equal(given, PC_JOIN_DIALS_MAX);
    uint64_t dials[PC_JOIN_DIALS_MAX + 1] = { 0 };
    assert_int_equal(pc_join_dials_under_way(joiner, dials, 3), PC_JOIN_DIALS_MAX);
    assert_int_equal(dials[2], 3);
    assert_int_equal(dials[3], 0);
    now_us -= PC_JOIN_STALL_FIRST_US; /* 8 of 128 are not stalled; two more, and no stall can help any more */
    end(joiner, 64, PEERCACHE_TIMEOUT, now_us);
    end(joiner, 65, PEERCACHE_TIMEOUT, now_us);
    assert_int_equal(take_all(joiner, now_us), 2);
    assert_true(pc_join_deadline(joiner) == 60 * PC_US_PER_S);
    expect_none(joiner, now_us + PC_JOIN_STALL_FIRST_US);
    assert_int_equal(pc_join_dials_under_way(joiner, dials, PC_JOIN_DIALS_MAX + 1), PC_JOIN_DIALS_MAX);
    for (uint64_t i = 0; i < PC_JOIN_DIALS_MAX; i++)
        assert_int_equal(dials[i], i < 63 ? i + 1 : i + 3);
    pc_join_free(joiner);
}

static void timeout_ends_it(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(2, PC_US_PER_S);
    for (uint16_t i = 1; i <= 3; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_CACHE), 0);
    uint64_t one = expect_peer(joiner, 0, 1), two = expect_peer(joiner, 0, 2);
    assert_true(pc_join_deadline(joiner) == PC_US_PER_S);
    assert_int_equal(pc_join_phase_at(joiner, PC_US_PER_S - 1), PC_JOIN_RUNNING);
    end(joiner, one, PEERCACHE_OK, PC_US_PER_S - 1);
    assert_int_equal(pc_join_phase_at(joiner, PC_US_PER_S), PC_JOIN_TIMED_OUT);
    expect_none(joiner, PC_US_PER_S);
    end(joiner, two, PEERCACHE_OK, PC_US_PER_S); /* too late */
    struct pc_peer_id late = id_of(9);
    pc_join_verified_inbound(joiner, &late);
    assert_int_equal(offer(joiner, 4, 4, 4, PEERCACHE_VIA_FLAG), 0);
    expect_none(joiner, PC_US_PER_S + 1);
    assert_int_equal(pc_join_verified_count(joiner), 1);
    assert_int_equal(pc_join_dials_under_way(joiner, NULL, 0), 0);
    assert_int_equal(pc_join_phase_at(joiner, PC_US_PER_S + 1), PC_JOIN_TIMED_OUT);
    assert_true(pc_join_deadline(joiner) == PC_TIME_NEVER);
    pc_join_free(joiner);
}

static void exhaustion_needs_no_timeout_and_a_candidate_lifts_it(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(5, PC_US_PER_S);
    assert_int_equal(offer(joiner, 1, 1, 1, PEERCACHE_VIA_CACHE), 0);
    uint64_t dial = expect_peer(joiner, 0, 1);
    assert_int_equal(pc_join_phase_at(joiner, 0), PC_JOIN_RUNNING); /* nothing waits, one is under way */
    end(joiner, dial, PEERCACHE_TIMEOUT, 10);
    assert_int_equal(pc_join_phase_at(joiner, 10), PC_JOIN_EXHAUSTED);
    assert_int_equal(offer(joiner, 2, 2, 1, PEERCACHE_VIA_DHT), 0);
    assert_int_equal(pc_join_phase_at(joiner, 20), PC_JOIN_RUNNING);
    end(joiner, expect_peer(joiner, 20, 2), PEERCACHE_OK, 30);
    assert_int_equal(pc_join_phase_at(joiner, 30), PC_JOIN_EXHAUSTED);
    assert_int_equal(pc_join_verified_count(joiner), 1);
    pc_join_free(joiner);
}

static void the_last_missing_peer_is_not_dialled_ten_at_a_time(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(5, 60 * PC_US_PER_S);
    struct given given[10];
    for (uint16_t i = 1; i <= 60; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_CACHE), 0);
    for (size_t i = 0; i < 10; i++)
        assert_true(next(joiner, 0, &given[i]));
    expect_none(joiner, 0);
    /* Four of four live: one is missing, two dials are enough, and six are under way. */
    for (size_t i = 0; i < 4; i++)
        end(joiner, given[i].dial, PEERCACHE_OK, 1000);
    expect_none(joiner, 1000);
    /* Four of eight: 2 x 1 x 9 / 5 = 3 may be under way, and two are. */
    for (size_t i = 4; i < 8; i++)
        end(joiner, given[i].dial, PEERCACHE_REFUSED, 1000);
    assert_int_equal(take_all(joiner, 1000), 1);
    /* Dead ones make it try more at a time again, up to all that are allowed. */
    struct given last;
    for (size_t i = 8; i < 10; i++)
        end(joiner, given[i].dial, PEERCACHE_REFUSED, 1000);
    for (unsigned round = 0; round < 20; round++) {
        assert_true(next(joiner, 1000, &last));
        end(joiner, last.dial, PEERCACHE_REFUSED, 1000);
    }
    assert_int_equal(take_all(joiner, 1000), 9); /* and the one of before */
    pc_join_free(joiner);
}

static void target_ends_it(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(3, PC_US_PER_S);
    for (uint16_t i = 1; i <= 20; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_CACHE), 0);
    assert_int_equal(take_all(joiner, 0), 10);
    struct pc_peer_id other = id_of(55);
    end(joiner, 3, PEERCACHE_OK, 5);
    pc_join_ended(joiner, 4, PEERCACHE_WRONG_IDENTITY, &other, 4, 5); /* proven, but not whom we dialled */
    pc_join_ended(joiner, 5, PEERCACHE_PROTOCOL_MISMATCH, &other, 4, 5);
    end(joiner, 6, PEERCACHE_OK, 5);
    assert_int_equal(pc_join_verified_count(joiner), 2);
    assert_int_equal(pc_join_phase_at(joiner, 5), PC_JOIN_RUNNING);
    end(joiner, 1, PEERCACHE_OK, 6);
    assert_int_equal(pc_join_phase_at(joiner, 6), PC_JOIN_JOINED);
    expect_none(joiner, 6);
    assert_true(pc_join_deadline(joiner) == PC_TIME_NEVER);
    end(joiner, 2, PEERCACHE_OK, 7);
    assert_int_equal(pc_join_verified_count(joiner), 3);
    assert_int_equal(pc_join_phase_at(joiner, 2 * PC_US_PER_S), PC_JOIN_JOINED); /* it stays so */
    uint64_t dials[PC_JOIN_DIALS_MAX];
    assert_int_equal(pc_join_dials_under_way(joiner, dials, PC_JOIN_DIALS_MAX), 4);
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(dials[i], 7 + i);
        end(joiner, dials[i], PEERCACHE_CANCELLED, 8);
    }
    assert_int_equal(pc_join_dials_under_way(joiner, NULL, 0), 0);
    pc_join_free(joiner);
}

static void inbound_counts_once(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(4, PC_US_PER_S);
    struct pc_peer_id one = id_of(1), two = id_of(2), three = id_of(3), stranger = id_of(99),
                      none = { .size = 0 };
    for (uint16_t i = 1; i <= 3; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_CACHE), 0);
    assert_int_equal(offer(joiner, 0, 9, 9, PEERCACHE_VIA_CACHE), 0);
    uint64_t dial = expect_peer(joiner, 0, 1);
    pc_join_verified_inbound(joiner, &stranger);
    pc_join_verified_inbound(joiner, &stranger);
    pc_join_verified_inbound(joiner, &none);
    assert_int_equal(pc_join_verified_count(joiner), 1);
    pc_join_verified_inbound(joiner, &one); /* while we dial it */
    pc_join_verified_inbound(joiner, &two); /* while it waits: dialled no more */
    end(joiner, dial, PEERCACHE_OK, 1);
    assert_int_equal(pc_join_verified_count(joiner), 3);
    expect_peer(joiner, 1, 3);
    struct given given;
    assert_true(next(joiner, 1, &given));
    expect_none(joiner, 1);
    assert_int_equal(offer(joiner, 99, 7, 7, PEERCACHE_VIA_FLAG), 0); /* verified: no need */
    expect_none(joiner, 1);
    pc_join_ended(joiner, given.dial, PEERCACHE_OK, &two, 5, 1); /* the unknown one was peer 2 */
    assert_int_equal(pc_join_verified_count(joiner), 3);
    pc_join_verified_inbound(joiner, &three);
    assert_int_equal(pc_join_phase_at(joiner, 1), PC_JOIN_JOINED);
    pc_join_free(joiner);

    joiner = joiner_with(1, PC_US_PER_S); /* a target reached by inbound alone, before anything is offered */
    pc_join_verified_inbound(joiner, &one);
    assert_int_equal(pc_join_phase_at(joiner, 0), PC_JOIN_JOINED);
    pc_join_free(joiner);

    joiner = joiner_with(2, PC_US_PER_S); /* the last candidate is verified by inbound */
    assert_int_equal(offer(joiner, 1, 1, 1, PEERCACHE_VIA_CACHE), 0);
    pc_join_verified_inbound(joiner, &one);
    assert_int_equal(pc_join_phase_at(joiner, 0), PC_JOIN_EXHAUSTED);
    pc_join_free(joiner);
}

static void unknown_id_is_counted_by_the_proven_one(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(3, PC_US_PER_S);
    struct pc_peer_id one = id_of(1);
    assert_int_equal(offer(joiner, 0, 1, 1, PEERCACHE_VIA_FLAG), 0);
    assert_int_equal(offer(joiner, 0, 2, 1, PEERCACHE_VIA_FLAG), 0);
    assert_int_equal(offer(joiner, 0, 3, 1, PEERCACHE_VIA_FLAG), 0);
    assert_int_equal(offer(joiner, 1, 4, 1, PEERCACHE_VIA_CACHE), 0);
    struct given given;
    for (uint64_t i = 1; i <= 3; i++)
        assert_true(next(joiner, 0, &given)); /* all at once: they may be three peers */
    pc_join_ended(joiner, 1, PEERCACHE_OK, &one, 100, 1);
    pc_join_ended(joiner, 2, PEERCACHE_OK, &one, 100, 1);
    pc_join_ended(joiner, 3, PEERCACHE_OK, NULL, 100, 1); /* nothing proven, nothing counted */
    assert_int_equal(pc_join_verified_count(joiner), 1);
    expect_none(joiner, 1); /* the one of the cache is the same peer */
    pc_join_free(joiner);
}

static void second_address_after_a_failure_never_after_success(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(5, PC_US_PER_S);
    assert_int_equal(offer(joiner, 1, 1, 1, PEERCACHE_VIA_CACHE), 0);
    assert_int_equal(offer(joiner, 1, 2, 2, PEERCACHE_VIA_CACHE), 0);
    assert_int_equal(offer(joiner, 2, 1, 3, PEERCACHE_VIA_CACHE), 0);
    uint64_t one = expect_peer(joiner, 0, 1);
    uint64_t two = expect_peer(joiner, 0, 2); /* the blocked address hides nobody of any group */
    assert_int_equal(offer(joiner, 1, 3, 3, PEERCACHE_VIA_FLAG), 0); /* offered while it is dialled */
    expect_none(joiner, 0);
    assert_int_equal(pc_join_phase_at(joiner, 0), PC_JOIN_RUNNING);
    expect_none(joiner, PC_JOIN_STALL_FIRST_US); /* a stalled dial is still a dial of this peer */
    end(joiner, one, PEERCACHE_REFUSED, PC_JOIN_STALL_FIRST_US);
    struct given given;
    assert_true(next(joiner, PC_JOIN_STALL_FIRST_US, &given));
    assert_int_equal(given.candidate.ip_port.ip[3], 3); /* flag before cache */
    expect_none(joiner, PC_JOIN_STALL_FIRST_US);
    end(joiner, given.dial, PEERCACHE_OK, PC_JOIN_STALL_FIRST_US);
    expect_none(joiner, PC_JOIN_STALL_FIRST_US);
    assert_int_equal(offer(joiner, 1, 4, 4, PEERCACHE_VIA_FLAG), 0);
    expect_none(joiner, PC_JOIN_STALL_FIRST_US);
    end(joiner, two, PEERCACHE_REFUSED, PC_JOIN_STALL_FIRST_US);
    assert_int_equal(pc_join_phase_at(joiner, PC_JOIN_STALL_FIRST_US), PC_JOIN_EXHAUSTED);
    pc_join_free(joiner);
}

static void addresses_of_one_peer_are_bounded(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(5, PC_US_PER_S);
    for (uint16_t i = 0; i < PEERCACHE_ADDRS_PER_PEER; i++)
        assert_int_equal(offer(joiner, 1, i, 1, PEERCACHE_VIA_DHT), 0);
    assert_int_equal(offer(joiner, 1, 100, 1, PEERCACHE_VIA_DHT), PEERCACHE_ELIMIT);
    assert_int_equal(offer(joiner, 1, 0, 1, PEERCACHE_VIA_DHT), 0); /* known */
    assert_int_equal(offer(joiner, 2, 100, 1, PEERCACHE_VIA_DHT), 0);
    for (size_t i = 0; i < PEERCACHE_ADDRS_PER_PEER; i++) {
        struct given given;
        assert_true(next(joiner, 0, &given));
        assert_int_equal(peer_of(&given), 1);
        assert_int_equal(given.candidate.ip_port.ip[1], i);
        end(joiner, given.dial, PEERCACHE_UNREACHABLE, 0);
    }
    assert_int_equal(offer(joiner, 1, 100, 1, PEERCACHE_VIA_DHT), 0); /* room again */
    end(joiner, expect_peer(joiner, 0, 2), PEERCACHE_UNREACHABLE, 0);
    expect_peer(joiner, 0, 1);
    pc_join_free(joiner);
}

static void one_group_does_not_starve_others(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(5, 60 * PC_US_PER_S);
    for (uint16_t i = 1; i <= 1000; i++) /* a flood of one group, before and above everybody else */
        assert_int_equal(offer(joiner, i, 1, i, PEERCACHE_VIA_FLAG), 0);
    for (uint16_t i = 1; i <= 6; i++)
        assert_int_equal(offer(joiner, 2000U + i, (uint16_t)(100 + i), 1, PEERCACHE_VIA_DHT), 0);
    uint64_t first = expect_peer(joiner, 0, 1);
    for (uint16_t i = 1; i <= 6; i++)
        expect_peer(joiner, 0, 2000U + i);
    for (uint16_t i = 2; i <= 4; i++) /* now nobody else waits */
        expect_peer(joiner, 0, i);
    expect_none(joiner, 0);
    /* Two new groups come; slots that get free are theirs, as the flood has dials that are not stalled. */
    assert_int_equal(offer(joiner, 3001, 300, 1, PEERCACHE_VIA_DHT), 0);
    assert_int_equal(offer(joiner, 3002, 300, 2, PEERCACHE_VIA_DHT), 0);
    assert_int_equal(offer(joiner, 3003, 301, 1, PEERCACHE_VIA_DHT), 0);
    for (uint64_t dial = first; dial < first + 4; dial++)
        end(joiner, dial, PEERCACHE_REFUSED, 10);
    expect_peer(joiner, 10, 3001);
    expect_peer(joiner, 10, 3003);
    /* Of groups with as many dials the one with the fewer goes first: the flood has three, 300 has one. */
    expect_peer(joiner, 10, 3002);
    pc_join_free(joiner);
}

/* When a group's dial has stalled, the group may have another though others wait. */
static void stalled_dial_frees_its_group(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(5, 60 * PC_US_PER_S);
    assert_int_equal(offer(joiner, 1, 1, 1, PEERCACHE_VIA_FLAG), 0);
    assert_int_equal(offer(joiner, 2, 1, 2, PEERCACHE_VIA_FLAG), 0);
    expect_peer(joiner, 0, 1);
    for (uint16_t i = 0; i < 30; i++)
        assert_int_equal(offer(joiner, 10U + i, (uint16_t)(10 + i), 1, PEERCACHE_VIA_CACHE), 0);
    for (uint16_t i = 0; i < 9; i++)
        expect_peer(joiner, 1, 10U + i);
    expect_none(joiner, 1);
    expect_peer(joiner, PC_JOIN_STALL_FIRST_US, 2);
    pc_join_free(joiner);
}

/* In local mode each ip:port is its own group: none waits behind another port of the same host. */
static void local_mode_tells_ports_apart(void **state)
{
    (void)state;
    for (int mode = PC_NETGROUP_PUBLIC; mode <= PC_NETGROUP_LOCAL; mode++) {
        struct pc_joiner_options options = { .target = 5,
                                             .min = 1,
                                             .timeout_us = PC_US_PER_S,
                                             .unstalled_max = 10,
                                             .dials_max = 10,
                                             .dial_timeout_us = 1,
                                             .mode = (enum pc_netgroup_mode)mode };
        struct pc_joiner *joiner;
        assert_int_equal(pc_join_new(&options, 0, &joiner), 0);
        for (uint8_t i = 0; i < 2; i++) {
            struct pc_joiner_candidate c = candidate_of(i + 1U, 127 << 8, 1, PEERCACHE_VIA_FLAG);
            c.ip_port.port = (uint16_t)(c.ip_port.port + i);
            c.addr.bytes[8] = (uint8_t)(c.addr.bytes[8] + i);
            assert_int_equal(pc_join_offer(joiner, &c), 0);
        }
        assert_int_equal(offer(joiner, 3, 10 << 8, 1, PEERCACHE_VIA_CACHE), 0);
        expect_peer(joiner, 0, 1);
        expect_peer(joiner, 0, mode == PC_NETGROUP_LOCAL ? 2 : 3);
        pc_join_free(joiner);
    }
}

/* Names have no group: they come in their order, and hold nobody back. */
static void names_come_in_their_order(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(5, 60 * PC_US_PER_S);
    for (uint8_t i = 1; i <= 15; i++) {
        struct pc_joiner_candidate name = { .id = id_of(i),
                                            .addr = { 2, { 56, i } },
                                            .via = PEERCACHE_VIA_FLAG };
        assert_int_equal(pc_join_offer(joiner, &name), 0);
    }
    assert_int_equal(offer(joiner, 100, 1, 1, PEERCACHE_VIA_CACHE), 0);
    assert_int_equal(offer(joiner, 101, 1, 2, PEERCACHE_VIA_CACHE), 0);
    for (uint64_t i = 1; i <= 5; i++)
        assert_int_equal(expect_peer(joiner, 0, (uint32_t)i), i);
    for (uint64_t i = 1; i <= 5; i++)
        end(joiner, i, PEERCACHE_UNSUPPORTED, 0);
    for (uint32_t i = 6; i <= 15; i++) /* ended at once, as the contract says, so none takes a slot */
        end(joiner, expect_peer(joiner, 0, i), PEERCACHE_UNSUPPORTED, 0);
    expect_peer(joiner, 0, 100);
    expect_peer(joiner, 0, 101);
    expect_none(joiner, 0);
    pc_join_free(joiner);
}

static void candidates_are_bounded(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(5, 60 * PC_US_PER_S);
    uint32_t peer = 1;
    for (; peer <= PC_JOIN_CANDIDATES_MAX; peer++)
        assert_int_equal(offer(joiner, peer, (uint16_t)(peer % 50), (uint16_t)peer, PEERCACHE_VIA_DHT), 0);
    assert_int_equal(offer(joiner, peer, 1, 1, PEERCACHE_VIA_DHT), PEERCACHE_ELIMIT);
    assert_int_equal(offer(joiner, 1, 1, 1, PEERCACHE_VIA_DHT), 0); /* known ones are no news */
    struct given given;
    assert_true(next(joiner, 0, &given));
    end(joiner, given.dial, PEERCACHE_REFUSED, 0);
    assert_int_equal(offer(joiner, peer, 1, 1, PEERCACHE_VIA_DHT), PEERCACHE_ELIMIT); /* it is remembered */
    /* Whatever others name, the other sources have room. */
    assert_int_equal(offer(joiner, peer, 1, 1, PEERCACHE_VIA_ENDPOINT), 0);
    assert_int_equal(offer(joiner, peer + 1, 1, 1, PEERCACHE_VIA_CACHE), 0);
    assert_int_equal(offer(joiner, peer + 2, 1, 1, PEERCACHE_VIA_ENV), 0);
    /* One of the cache's that a crowded source names stays where it is. */
    assert_int_equal(offer(joiner, peer + 1, 1, 1, PEERCACHE_VIA_DHT), 0);
    assert_int_equal(pc_join_waiting_of(joiner, PEERCACHE_VIA_CACHE), 1);
    pc_join_free(joiner);
}

/* A node that fails for hours: what failed in vain leaves room for what is new, and no memory behind. */
static void dead_candidates_leave_room_in_the_next_join(void **state)
{
    (void)state;
    static const uint8_t secret[16] = { 1 };
    struct pc_candidates set;
    struct pc_joiner_candidate offered;
    uint32_t peer = 1;
    pc_candidates_init(&set, PC_NETGROUP_PUBLIC, secret);
    for (unsigned round = 0; round < 6; round++) {
        for (unsigned i = 0; i < 1024; i++, peer++) {
            int64_t key;
            offered = candidate_of(peer, (uint16_t)peer, 1, PEERCACHE_VIA_CACHE);
            assert_int_equal(pc_candidates_add(&set, &offered), 0);
            struct pc_candidate *first = pc_candidates_first(&set, PC_LANE_CACHE, &key);
            pc_candidates_dial(&set, first, PC_TIME_NEVER);
            pc_candidates_dial_ended(&set, first);
            assert_int_equal(pc_candidates_rest(&set, first, 300 * PC_US_PER_S), 0);
        }
        pc_candidates_forget_dialled(&set);
        assert_true(set.known_by_lane[PC_LANE_CACHE] <= PC_JOIN_CANDIDATES_MAX / 2);
        assert_int_equal(set.known.count, set.known_by_lane[PC_LANE_CACHE]);
        assert_int_equal(set.peers.count, set.known.count);
        assert_int_equal(set.groups.count, set.known.count);
        assert_int_equal(set.waiting_groups[PC_LANE_CACHE].count, set.known.count);
        assert_int_equal(set.resting.count, set.known.count);
    }
    /* A given one stays, however many there are, and so does one that is being dialled. */
    for (unsigned i = 0; i < PC_JOIN_CANDIDATES_MAX; i++, peer++) {
        offered = candidate_of(peer, (uint16_t)peer, 1, PEERCACHE_VIA_FLAG);
        assert_int_equal(pc_candidates_add(&set, &offered), 0);
    }
    int64_t key;
    pc_candidates_dial(&set, pc_candidates_first(&set, PC_LANE_GIVEN, &key), PC_TIME_NEVER);
    pc_candidates_forget_dialled(&set);
    assert_int_equal(set.known_by_lane[PC_LANE_GIVEN], PC_JOIN_CANDIDATES_MAX);
    assert_int_equal(set.waiting_by_lane[PC_LANE_GIVEN], PC_JOIN_CANDIDATES_MAX - 1);
    pc_candidates_deinit(&set);
}

/* Random events against the rules, told again by the test's own bookkeeping. */
static void rules_hold_under_random_events(void **state)
{
    (void)state;
    enum { PEERS = 200, LIVE_MAX = PC_JOIN_DIALS_MAX };
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, 21);
    for (unsigned run = 0; run < 30; run++) {
        struct pc_joiner *joiner = joiner_with(50, 20 * PC_US_PER_S);
        static struct given live[LIVE_MAX];
        size_t live_count = 0, dialled = 0;
        bool dialling[PEERS + 1] = { false }, done[PEERS + 1] = { false };
        static bool seen[PEERS + 1][256];
        memset(seen, 0, sizeof(seen));
        uint32_t verified = 0;
        int64_t now_us = 0;
        while (pc_join_phase_at(joiner, now_us) == PC_JOIN_RUNNING || dialled == 0) {
            for (unsigned i = 0; i < 4; i++) {
                uint32_t peer = 1 + (uint32_t)pc_base_rng_below(&rng, PEERS);
                uint8_t host = (uint8_t)pc_base_rng_below(&rng, 12);
                peercache_via via = (peercache_via)pc_base_rng_below(&rng, PEERCACHE_VIA_COUNT);
                int result = offer(joiner, peer, (uint16_t)(peer % 17), host, via);
                assert_true(result == 0 || result == PEERCACHE_ELIMIT);
            }
            struct given given;
            while (next(joiner, now_us, &given)) {
                uint32_t peer = peer_of(&given);
                uint8_t host = given.candidate.ip_port.ip[3];
                assert_false(dialling[peer]);
                assert_false(done[peer]);
                assert_false(seen[peer][host]);
                assert_int_equal(given.dial, ++dialled);
                seen[peer][host] = true;
                dialling[peer] = true;
                assert_true(live_count < LIVE_MAX);
                live[live_count++] = given;
            }
            now_us += (int64_t)pc_base_rng_below(&rng, 60000);
            for (uint64_t ends = pc_base_rng_below(&rng, 4); ends > 0 && live_count > 0; ends--) {
                size_t which = pc_base_rng_below(&rng, live_count);
                struct given ended = live[which];
                live[which] = live[--live_count];
                bool ok = pc_base_rng_below(&rng, 10) == 0;
                bool counts = pc_join_phase_at(joiner, now_us) == PC_JOIN_RUNNING;
                pc_join_ended(joiner, ended.dial, ok ? PEERCACHE_OK : PEERCACHE_TIMEOUT, NULL,
                              (int64_t)pc_base_rng_below(&rng, 50000) - 100, now_us);
                dialling[peer_of(&ended)] = false;
                done[peer_of(&ended)] |= ok;
                verified += ok && counts;
            }
            assert_int_equal(pc_join_verified_count(joiner), verified);
            assert_int_equal(pc_join_dials_under_way(joiner, NULL, 0), live_count);
        }
        assert_true(dialled > 50);
        pc_join_free(joiner);
    }
}

/* Given peers fill the slots before anything else comes; a slot that gets free is the newcomer's share. */
static void each_source_keeps_a_share(void **state)
{
    (void)state;
    static const peercache_via late[] = { PEERCACHE_VIA_CACHE, PEERCACHE_VIA_ENDPOINT, PEERCACHE_VIA_DHT };
    struct pc_joiner *joiner = joiner_with(5, 60 * PC_US_PER_S);
    for (uint16_t i = 1; i <= 100; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_FLAG), 0);
    assert_int_equal(take_all(joiner, 0), 10);
    for (uint16_t i = 0; i < 3; i++)
        assert_int_equal(offer(joiner, 500U + i, (uint16_t)(500 + i), 1, late[i]), 0);
    for (uint64_t dial = 1; dial <= 3; dial++)
        end(joiner, dial, PEERCACHE_REFUSED, 10);
    for (uint32_t i = 0; i < 3; i++)
        expect_peer(joiner, 10, 500 + i);
    expect_none(joiner, 10);
    pc_join_free(joiner);
    /* While both wait from the start, the last slot is kept for the one that comes last in the order. */
    joiner = joiner_with(5, 60 * PC_US_PER_S);
    for (uint16_t i = 1; i <= 100; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_FLAG), 0);
    for (uint16_t i = 200; i <= 300; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_DHT), 0);
    for (uint32_t i = 1; i <= 9; i++)
        expect_peer(joiner, 0, i);
    expect_peer(joiner, 0, 200);
    pc_join_free(joiner);
}

static void cache_leaves_half_to_those_expected(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(5, 60 * PC_US_PER_S);
    for (uint16_t i = 1; i <= 100; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_CACHE), 0);
    pc_join_expect(joiner, PEERCACHE_VIA_ENDPOINT, true);
    assert_int_equal(take_all(joiner, 0), 5);
    for (uint16_t i = 200; i < 220; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_ENDPOINT), 0);
    for (uint32_t i = 200; i < 205; i++)
        expect_peer(joiner, 0, i);
    expect_none(joiner, 0);
    pc_join_expect(joiner, PEERCACHE_VIA_ENDPOINT, false);
    pc_join_free(joiner);
}

/* A second address comes after everybody's first, and only when the first is silent for long enough. */
static void a_race_holds_nobody_back(void **state)
{
    (void)state;
    struct pc_joiner_options options = { .target = 5,
                                         .min = 1,
                                         .timeout_us = 60 * PC_US_PER_S,
                                         .unstalled_max = 3,
                                         .dials_max = 128,
                                         .dial_timeout_us = PC_JOIN_DIAL_TIMEOUT_US,
                                         .race_us = PC_JOIN_RACE_US,
                                         .race_private_us = PC_JOIN_RACE_PRIVATE_US };
    struct pc_joiner *joiner;
    uint64_t number;
    peercache_via via;
    assert_int_equal(pc_join_new(&options, 0, &joiner), 0);
    assert_int_equal(offer(joiner, 1, 0x0801, 1, PEERCACHE_VIA_FLAG), 0);
    assert_int_equal(offer(joiner, 1, 0x0802, 1, PEERCACHE_VIA_FLAG), 0);
    uint64_t one = expect_peer(joiner, 0, 1);
    expect_none(joiner, PC_JOIN_RACE_US - 1);
    assert_true(pc_join_deadline(joiner) == PC_JOIN_RACE_US);
    assert_int_equal(offer(joiner, 2, 0x0803, 1, PEERCACHE_VIA_DHT), 0);
    expect_peer(joiner, PC_JOIN_RACE_US, 2);
    uint64_t raced = expect_peer(joiner, PC_JOIN_RACE_US, 1);
    expect_none(joiner, PC_JOIN_RACE_US);
    assert_false(pc_join_next_cancel(joiner, PC_JOIN_RACE_US, &number, &via));
    end(joiner, one, PEERCACHE_OK, PC_JOIN_RACE_US);
    assert_true(pc_join_next_cancel(joiner, PC_JOIN_RACE_US, &number, &via));
    assert_int_equal(number, raced);
    assert_int_equal(via, PEERCACHE_VIA_FLAG);
    assert_false(pc_join_next_cancel(joiner, PC_JOIN_RACE_US, &number, &via));
    assert_int_equal(pc_join_verified_count(joiner), 1);
    pc_join_free(joiner);
    /* On a private network after 30 ms. */
    assert_int_equal(pc_join_new(&options, 0, &joiner), 0);
    assert_int_equal(offer(joiner, 1, 0x0a01, 1, PEERCACHE_VIA_FLAG), 0);
    assert_int_equal(offer(joiner, 1, 0x0a02, 1, PEERCACHE_VIA_FLAG), 0);
    expect_peer(joiner, 0, 1);
    expect_none(joiner, PC_JOIN_RACE_PRIVATE_US - 1);
    expect_peer(joiner, PC_JOIN_RACE_PRIVATE_US, 1);
    pc_join_free(joiner);
}

static struct pc_joiner *joiner_that_tries_again(uint32_t target)
{
    struct pc_joiner_options options = { .target = target,
                                         .min = 1,
                                         .timeout_us = PC_TIME_NEVER,
                                         .unstalled_max = 10,
                                         .dials_max = 128,
                                         .dial_timeout_us = PC_JOIN_DIAL_TIMEOUT_US,
                                         .tries_again = true };
    struct pc_joiner *joiner;
    assert_int_equal(pc_join_new(&options, 0, &joiner), 0);
    return joiner;
}

static void failed_addresses_rest_longer_each_time(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_that_tries_again(5);
    assert_int_equal(offer(joiner, 1, 1, 1, PEERCACHE_VIA_CACHE), 0);
    assert_int_equal(offer(joiner, 2, 2, 1, PEERCACHE_VIA_CACHE), 0);
    int64_t now_us = 0, before_us = 0;
    uint64_t impostor = 0, dial = expect_peer(joiner, 0, 1);
    impostor = expect_peer(joiner, 0, 2);
    end(joiner, impostor, PEERCACHE_WRONG_IDENTITY, 0); /* out at once, never again */
    for (int64_t failures = 1; failures <= 30; failures++) {
        end(joiner, dial, PEERCACHE_TIMEOUT, now_us);
        assert_int_equal(pc_join_phase_at(joiner, now_us), PC_JOIN_RUNNING);
        int64_t at_us = pc_join_deadline(joiner), wait_us = at_us - now_us;
        int64_t middle_us = (5 + failures * failures) * PC_US_PER_S;
        middle_us = middle_us < 300 * PC_US_PER_S ? middle_us : 300 * PC_US_PER_S;
        assert_in_range(wait_us, middle_us * 7 / 8, middle_us * 9 / 8);
        assert_true(failures > 10 || failures < 3 || wait_us > before_us);
        expect_none(joiner, at_us - 1);
        before_us = wait_us;
        now_us = at_us;
        dial = expect_peer(joiner, now_us, 1);
        expect_none(joiner, now_us);
    }
    /* Another network: at once, and from the beginning. */
    end(joiner, dial, PEERCACHE_TIMEOUT, now_us);
    expect_none(joiner, now_us);
    pc_join_network_changed(joiner, now_us);
    dial = expect_peer(joiner, now_us, 1);
    end(joiner, dial, PEERCACHE_TIMEOUT, now_us);
    assert_true(pc_join_deadline(joiner) - now_us <= 7 * PC_US_PER_S);
    /* Verified meanwhile by dialling us: it rests for good. */
    struct pc_peer_id one = id_of(1);
    pc_join_verified_inbound(joiner, &one);
    expect_none(joiner, now_us + 60 * PC_US_PER_S);
    assert_int_equal(pc_join_phase_at(joiner, now_us + 60 * PC_US_PER_S), PC_JOIN_EXHAUSTED);
    pc_join_free(joiner);
}

static void a_black_hole_is_probed_only(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_that_tries_again(50);
    struct given given;
    for (uint16_t i = 1; i <= 60; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_ENDPOINT), 0);
    pc_join_endpoint_answered(joiner, 0);
    size_t dials = 0;
    for (; next(joiner, 0, &given); dials++)
        end(joiner, given.dial, PEERCACHE_TIMEOUT, 0);
    assert_int_equal(dials, 20);
    assert_true(pc_join_is_hole(joiner, 4) && pc_join_is_udp_hole(joiner));
    assert_int_equal(pc_join_phase_at(joiner, 0), PC_JOIN_RUNNING);
    assert_true(pc_join_deadline(joiner) == 5 * PC_US_PER_S);
    expect_none(joiner, 5 * PC_US_PER_S - 1);
    assert_true(next(joiner, 5 * PC_US_PER_S, &given));
    expect_none(joiner, 5 * PC_US_PER_S);
    end(joiner, given.dial, PEERCACHE_OK, 6 * PC_US_PER_S);
    assert_false(pc_join_is_hole(joiner, 4));
    assert_int_equal(take_all(joiner, 6 * PC_US_PER_S), 10);
    pc_join_free(joiner);
    /* Or somebody else reached a peer. */
    joiner = joiner_that_tries_again(50);
    for (uint16_t i = 1; i <= 60; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_ENDPOINT), 0);
    pc_join_endpoint_answered(joiner, 0);
    while (next(joiner, 0, &given))
        end(joiner, given.dial, PEERCACHE_TIMEOUT, 0);
    assert_true(pc_join_is_hole(joiner, 4));
    pc_join_reached(joiner, 4, 0);
    assert_false(pc_join_is_hole(joiner, 4));
    assert_true(next(joiner, 0, &given));
    pc_join_free(joiner);
    /* Who does not try again does not wait for it: the join is over, and its cause known. */
    joiner = joiner_with(50, 600 * PC_US_PER_S);
    for (uint16_t i = 1; i <= 60; i++)
        assert_int_equal(offer(joiner, i, i, 1, PEERCACHE_VIA_ENDPOINT), 0);
    pc_join_endpoint_answered(joiner, 0);
    while (next(joiner, 0, &given))
        end(joiner, given.dial, PEERCACHE_TIMEOUT, 0);
    assert_int_equal(pc_join_phase_at(joiner, 0), PC_JOIN_EXHAUSTED);
    assert_true(pc_join_is_udp_hole(joiner));
    pc_join_free(joiner);
    /* A family without a route is not dialled at all. */
    joiner = joiner_with(5, 60 * PC_US_PER_S);
    assert_int_equal(offer(joiner, 1, 1, 1, PEERCACHE_VIA_FLAG), 0);
    pc_join_set_route(joiner, 4, false, 0);
    expect_none(joiner, 0);
    assert_int_equal(pc_join_phase_at(joiner, 0), PC_JOIN_EXHAUSTED);
    pc_join_set_route(joiner, 4, true, 5);
    assert_int_equal(pc_join_phase_at(joiner, 5), PC_JOIN_RUNNING);
    expect_peer(joiner, 5, 1);
    pc_join_free(joiner);
}

static void another_join_begins_with_what_is_known(void **state)
{
    (void)state;
    struct pc_joiner *joiner = joiner_with(1, PC_US_PER_S);
    assert_int_equal(offer(joiner, 1, 1, 1, PEERCACHE_VIA_CACHE), 0);
    assert_int_equal(offer(joiner, 2, 2, 1, PEERCACHE_VIA_CACHE), 0);
    uint64_t one = expect_peer(joiner, 0, 1);
    end(joiner, one, PEERCACHE_OK, 10);
    assert_int_equal(pc_join_phase_at(joiner, 10), PC_JOIN_JOINED);
    pc_join_again(joiner, 2 * PC_US_PER_S);
    assert_int_equal(pc_join_phase_at(joiner, 2 * PC_US_PER_S), PC_JOIN_RUNNING);
    assert_int_equal(pc_join_verified_count(joiner), 0);
    assert_true(pc_join_deadline(joiner) == 3 * PC_US_PER_S);
    expect_peer(joiner, 2 * PC_US_PER_S, 2);
    expect_none(joiner, 2 * PC_US_PER_S);
    assert_int_equal(offer(joiner, 1, 1, 1, PEERCACHE_VIA_CACHE), 0); /* it may be offered again */
    expect_peer(joiner, 2 * PC_US_PER_S, 1);
    pc_join_free(joiner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(nothing_offered_is_exhausted),
        cmocka_unit_test(order_is_by_via_then_as_offered),
        cmocka_unit_test(candidate_is_given_out_whole),
        cmocka_unit_test(same_candidate_is_dialled_once),
        cmocka_unit_test(ten_unstalled_dials_and_stalls_free_slots),
        cmocka_unit_test(stall_follows_the_median_round_trip),
        cmocka_unit_test(stalled_stays_stalled),
        cmocka_unit_test(never_more_than_128_dials),
        cmocka_unit_test(timeout_ends_it),
        cmocka_unit_test(exhaustion_needs_no_timeout_and_a_candidate_lifts_it),
        cmocka_unit_test(the_last_missing_peer_is_not_dialled_ten_at_a_time),
        cmocka_unit_test(target_ends_it),
        cmocka_unit_test(inbound_counts_once),
        cmocka_unit_test(unknown_id_is_counted_by_the_proven_one),
        cmocka_unit_test(second_address_after_a_failure_never_after_success),
        cmocka_unit_test(addresses_of_one_peer_are_bounded),
        cmocka_unit_test(one_group_does_not_starve_others),
        cmocka_unit_test(stalled_dial_frees_its_group),
        cmocka_unit_test(local_mode_tells_ports_apart),
        cmocka_unit_test(names_come_in_their_order),
        cmocka_unit_test(candidates_are_bounded),
        cmocka_unit_test(dead_candidates_leave_room_in_the_next_join),
        cmocka_unit_test(rules_hold_under_random_events),
        cmocka_unit_test(each_source_keeps_a_share),
        cmocka_unit_test(cache_leaves_half_to_those_expected),
        cmocka_unit_test(a_race_holds_nobody_back),
        cmocka_unit_test(failed_addresses_rest_longer_each_time),
        cmocka_unit_test(a_black_hole_is_probed_only),
        cmocka_unit_test(another_join_begins_with_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
