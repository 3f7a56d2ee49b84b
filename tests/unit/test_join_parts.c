/* The nouns of the joining plan, one by one: breaker, backoff, black holes, endpoints, names, networks, causes. */
#include "check.h"

#include "join/backoff.h"
#include "join/black_hole.h"
#include "join/diagnose.h"
#include "join/endpoints.h"
#include "join/filter.h"
#include "join/names.h"
#include "join/stagger.h"

#include <stdio.h>
#include <string.h>

#define SECOND PC_US_PER_S

static struct pc_rng rng_of(uint64_t seed)
{
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, seed);
    return rng;
}

static void fail_times(struct pc_breaker *breaker, unsigned times, struct pc_rng *rng, int64_t now_us)
{
    for (unsigned i = 0; i < times; i++) {
        assert_true(pc_breaker_ready_at(breaker) <= now_us);
        pc_breaker_asked(breaker, now_us);
        pc_breaker_ended(breaker, PC_BREAKER_FAILURE, true, rng, now_us);
    }
}

static void breaker_opens_probes_and_closes(void **state)
{
    (void)state;
    struct pc_rng rng = rng_of(1);
    struct pc_breaker breaker;
    int64_t now_us = 1000;
    pc_breaker_init(&breaker);
    fail_times(&breaker, 4, &rng, now_us);
    assert_int_equal(breaker.state, PC_BREAKER_CLOSED);
    pc_breaker_ended(&breaker, PC_BREAKER_SUCCESS, true, &rng, now_us); /* in a row means in a row */
    fail_times(&breaker, 4, &rng, now_us);
    assert_int_equal(breaker.state, PC_BREAKER_CLOSED);
    fail_times(&breaker, 1, &rng, now_us);
    assert_int_equal(breaker.state, PC_BREAKER_OPEN);
    int64_t wait_us = PC_BREAKER_WAIT_US;
    for (unsigned probe = 0; probe < 12; probe++) {
        int64_t at_us = pc_breaker_ready_at(&breaker);
        assert_in_range(at_us - now_us, wait_us, wait_us + wait_us / 8);
        now_us = at_us;
        pc_breaker_asked(&breaker, now_us);
        assert_int_equal(breaker.state, PC_BREAKER_HALF_OPEN);
        assert_true(pc_breaker_ready_at(&breaker) == PC_TIME_NEVER); /* one probe */
        pc_breaker_ended(&breaker, PC_BREAKER_FAILURE, true, &rng, now_us);
        wait_us = 2 * wait_us < PC_BREAKER_WAIT_CAP_US ? 2 * wait_us : PC_BREAKER_WAIT_CAP_US;
    }
    assert_int_equal(wait_us, PC_BREAKER_WAIT_CAP_US);
    now_us = pc_breaker_ready_at(&breaker);
    pc_breaker_asked(&breaker, now_us);
    pc_breaker_ended(&breaker, PC_BREAKER_SUCCESS, true, &rng, now_us);
    assert_int_equal(breaker.state, PC_BREAKER_CLOSED);
    fail_times(&breaker, 5, &rng, now_us); /* and from the beginning */
    assert_in_range(pc_breaker_ready_at(&breaker) - now_us, PC_BREAKER_WAIT_US, PC_BREAKER_WAIT_US * 9 / 8);
    pc_breaker_network_changed(&breaker, now_us);
    assert_int_equal(pc_breaker_ready_at(&breaker), now_us);
}

static void breaker_counts_what_says_something(void **state)
{
    (void)state;
    struct pc_rng rng = rng_of(2);
    struct pc_breaker breaker;
    pc_breaker_init(&breaker);
    for (unsigned i = 0; i < 100; i++) {
        pc_breaker_ended(&breaker, PC_BREAKER_NOTHING, true, &rng, 0);
        pc_breaker_ended(&breaker, PC_BREAKER_SILENCE, false, &rng, 0);
    }
    assert_int_equal(breaker.state, PC_BREAKER_CLOSED);
    assert_int_equal(breaker.failures, 0);
    for (unsigned i = 0; i < 5; i++)
        pc_breaker_ended(&breaker, PC_BREAKER_SILENCE, true, &rng, 0);
    assert_int_equal(breaker.state, PC_BREAKER_OPEN);
    /* A probe that showed nothing: the same wait again, not doubled, and not stuck. */
    int64_t at_us = pc_breaker_ready_at(&breaker);
    pc_breaker_asked(&breaker, at_us);
    pc_breaker_ended(&breaker, PC_BREAKER_SILENCE, false, &rng, at_us);
    assert_int_equal(breaker.state, PC_BREAKER_OPEN);
    assert_in_range(pc_breaker_ready_at(&breaker) - at_us, PC_BREAKER_WAIT_US, PC_BREAKER_WAIT_US * 9 / 8);
    assert_int_equal(breaker.transitions, 3);
}

static void breaker_survives_a_restart(void **state)
{
    (void)state;
    struct pc_rng rng = rng_of(3);
    struct pc_breaker breaker, loaded;
    uint8_t bytes[PC_BREAKER_BYTES];
    const int64_t wall_ms = INT64_C(1700000000000);
    pc_breaker_init(&breaker);
    fail_times(&breaker, 3, &rng, 0);
    pc_breaker_save(&breaker, 0, wall_ms, bytes);
    assert_int_equal(pc_breaker_load(pc_bytes_of(bytes, sizeof(bytes)), 77, wall_ms + 5, &loaded), 0);
    assert_int_equal(loaded.failures, 3);
    fail_times(&loaded, 2, &rng, 0);
    assert_int_equal(loaded.state, PC_BREAKER_OPEN);

    fail_times(&breaker, 2, &rng, 0);
    int64_t wait_us = pc_breaker_ready_at(&breaker);
    pc_breaker_save(&breaker, 10 * SECOND, wall_ms, bytes);
    /* 20 s later in another process, whose monotonic clock is another. */
    assert_int_equal(pc_breaker_load(pc_bytes_of(bytes, sizeof(bytes)), 5, wall_ms + 20000, &loaded), 0);
    assert_int_equal(loaded.state, PC_BREAKER_OPEN);
    assert_in_range(pc_breaker_ready_at(&loaded), 5 + wait_us - 30 * SECOND - 1000,
                    5 + wait_us - 30 * SECOND);
    /* The clock was set back by a year: it waits no longer than it would have. */
    assert_int_equal(
        pc_breaker_load(pc_bytes_of(bytes, sizeof(bytes)), 0, wall_ms - INT64_C(31536000000), &loaded), 0);
    assert_true(pc_breaker_ready_at(&loaded) <= PC_BREAKER_WAIT_US * 9 / 8);
    assert_int_equal(pc_breaker_load(pc_bytes_of(bytes, sizeof(bytes)), 9, INT64_MAX, &loaded), 0);
    assert_int_equal(pc_breaker_ready_at(&loaded), 9);
    /* A probe that died with its process. */
    pc_breaker_asked(&breaker, wait_us);
    pc_breaker_save(&breaker, wait_us, wall_ms, bytes);
    assert_int_equal(pc_breaker_load(pc_bytes_of(bytes, sizeof(bytes)), 3, wall_ms, &loaded), 0);
    assert_int_equal(loaded.state, PC_BREAKER_OPEN);
    assert_int_equal(pc_breaker_ready_at(&loaded), 3);
}

static void bad_breakers_are_refused(void **state)
{
    (void)state;
    struct pc_rng rng = rng_of(4);
    struct pc_breaker breaker, untouched;
    uint8_t bytes[PC_BREAKER_BYTES], bad[PC_BREAKER_BYTES + 1] = { 0 };
    pc_breaker_init(&breaker);
    fail_times(&breaker, 5, &rng, 0);
    pc_breaker_save(&breaker, 0, 1, bytes);
    memset(&untouched, 0x5a, sizeof(untouched));
    struct pc_breaker before = untouched;
    for (size_t size = 0; size <= sizeof(bad); size++) {
        if (size == sizeof(bytes))
            continue;
        memcpy(bad, bytes, size < sizeof(bytes) ? size : sizeof(bytes));
        assert_int_equal(pc_breaker_load(pc_bytes_of(bad, size), 0, 0, &untouched), PEERCACHE_EPARSE);
    }
    static const struct {
        size_t at;
        uint8_t value;
    } spoils[] = { { 0, 2 }, { 1, 2 }, { 1, 9 }, { 2, 1 }, { 5, 5 }, { 6, 0x80 }, { 6, 1 }, { 1, 0 } };
    for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        memcpy(bad, bytes, sizeof(bytes));
        bad[spoils[i].at] = spoils[i].value;
        assert_int_equal(pc_breaker_load(pc_bytes_of(bad, sizeof(bytes)), 0, 0, &untouched),
                         PEERCACHE_EPARSE);
    }
    assert_memory_equal(&untouched, &before, sizeof(before));
}

static void waits_stay_within_their_bounds(void **state)
{
    (void)state;
    struct pc_rng rng = rng_of(5);
    int64_t wait_us = 0, longest_us = 0;
    for (unsigned i = 0; i < 10000; i++) {
        int64_t next_us = pc_join_backoff_decorrelated(&rng, SECOND, 300 * SECOND, wait_us);
        int64_t from_us = wait_us > SECOND ? wait_us : SECOND;
        assert_in_range(next_us, SECOND, from_us > 100 * SECOND ? 300 * SECOND : 3 * from_us);
        wait_us = next_us;
        longest_us = wait_us > longest_us ? wait_us : longest_us;
    }
    assert_true(longest_us > 250 * SECOND);
    for (uint32_t failures = 1; failures < 40; failures++) {
        int64_t middle_us = (5 + (int64_t)failures * failures) * SECOND;
        middle_us = middle_us < 300 * SECOND ? middle_us : 300 * SECOND;
        for (unsigned i = 0; i < 50; i++)
            assert_in_range(pc_join_backoff_squared(&rng, failures), middle_us * 7 / 8 - 1,
                            middle_us * 9 / 8 + 1);
    }
    assert_in_range(pc_join_backoff_squared(&rng, UINT32_MAX), 262 * SECOND, 338 * SECOND);
    assert_int_equal(pc_join_backoff_lengthened(&rng, 0), 0);
    static const struct {
        struct pc_join_memory memory;
        int64_t stagger_us;
    } staggers[] = {
        { { 0, 0, 5 }, 0 },
        { { 10, 0, 0 }, 0 },
        { { 10, PC_JOIN_CACHE_OLD_MS + 1, 5 }, 0 },
        { { 10, INT64_MAX, 5 }, 0 },
        { { 10, 0, 2 }, 200000 },
        { { 10, PC_JOIN_CACHE_OLD_MS, 5 }, 500000 },
        { { 10, 0, UINT32_MAX }, 500000 },
    };
    for (size_t i = 0; i < sizeof(staggers) / sizeof(staggers[0]); i++)
        assert_int_equal(pc_join_stagger_us(&staggers[i].memory), staggers[i].stagger_us);
}

static void many_end(struct pc_black_holes *holes, uint8_t family, peercache_via via,
                     peercache_outcome outcome, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        pc_black_holes_ended(holes, family, via, outcome, 0);
}

static void black_holes_need_evidence(void **state)
{
    (void)state;
    struct pc_black_holes holes;
    pc_black_holes_init(&holes);
    /* Silence alone may be a stale cache, or no network: no hole. */
    many_end(&holes, 6, PEERCACHE_VIA_CACHE, PEERCACHE_TIMEOUT, 1000);
    many_end(&holes, 4, PEERCACHE_VIA_CACHE, PEERCACHE_TIMEOUT, 1000);
    assert_false(pc_black_holes_is_hole(&holes, 4) || pc_black_holes_is_hole(&holes, 6));
    /* An endpoint answers: the cache may still be stale. */
    assert_false(pc_black_holes_endpoint_answered(&holes, 0));
    many_end(&holes, 4, PEERCACHE_VIA_ENDPOINT, PEERCACHE_UNREACHABLE, PC_HOLE_DIALS - 1);
    assert_false(pc_black_holes_is_hole(&holes, 4));
    assert_true(pc_black_holes_ended(&holes, 4, PEERCACHE_VIA_FLAG, PEERCACHE_TIMEOUT, 0));
    assert_true(pc_black_holes_is_hole(&holes, 4));
    assert_false(pc_black_holes_is_udp(&holes)); /* IPv6 was tried and is not one yet */
    many_end(&holes, 6, PEERCACHE_VIA_DHT, PEERCACHE_TIMEOUT, PC_HOLE_DIALS);
    assert_true(pc_black_holes_is_udp(&holes));
    /* Probes, further and further apart. */
    int64_t at_us = 0, wait_us = PC_HOLE_PROBE_FIRST_US;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(pc_black_holes_ready_at(&holes, 4) - at_us, wait_us);
        at_us = pc_black_holes_ready_at(&holes, 4);
        pc_black_holes_probed(&holes, 4, at_us);
        wait_us = 2 * wait_us < PC_HOLE_PROBE_CAP_US ? 2 * wait_us : PC_HOLE_PROBE_CAP_US;
    }
    /* Any answer closes it. */
    assert_true(pc_black_holes_ended(&holes, 4, PEERCACHE_VIA_CACHE, PEERCACHE_WRONG_IDENTITY, 0));
    assert_false(pc_black_holes_is_hole(&holes, 4) || pc_black_holes_is_udp(&holes));
    assert_true(pc_black_holes_is_hole(&holes, 6));
    pc_black_holes_network_changed(&holes);
    assert_false(pc_black_holes_is_hole(&holes, 6));
    /* One family answers, the other never: no endpoint is needed. */
    many_end(&holes, 4, PEERCACHE_VIA_CACHE, PEERCACHE_OK, 1);
    many_end(&holes, 6, PEERCACHE_VIA_CACHE, PEERCACHE_TIMEOUT, PC_HOLE_DIALS);
    assert_true(pc_black_holes_is_hole(&holes, 6));
    assert_false(pc_black_holes_is_udp(&holes));
    /* What we did not send says nothing. */
    pc_black_holes_network_changed(&holes);
    many_end(&holes, 4, PEERCACHE_VIA_CACHE, PEERCACHE_OK, 1);
    many_end(&holes, 6, PEERCACHE_VIA_FLAG, PEERCACHE_CANCELLED, 100);
    many_end(&holes, 6, PEERCACHE_VIA_FLAG, PEERCACHE_DENIED, 100);
    assert_false(pc_black_holes_is_hole(&holes, 6));
}

static uint64_t ask(struct pc_endpoints *endpoints, int64_t now_us, size_t *ret_index)
{
    uint64_t fetch = 0;
    int64_t deadline_us;
    if (!pc_endpoints_next(endpoints, now_us, ret_index, &fetch, &deadline_us))
        return 0;
    assert_int_equal(deadline_us, now_us + PC_JOIN_FETCH_TIMEOUT_US);
    return fetch;
}

static void three_endpoints_at_once_and_two_retries(void **state)
{
    (void)state;
    struct pc_rng rng = rng_of(6);
    static struct pc_endpoints endpoints;
    size_t index;
    pc_endpoints_init(&endpoints, 5, false);
    for (uint64_t fetch = 1; fetch <= 3; fetch++) {
        assert_int_equal(ask(&endpoints, 0, &index), fetch);
        assert_int_equal(index, fetch - 1);
    }
    assert_int_equal(ask(&endpoints, 0, &index), 0);
    assert_int_equal(pc_endpoints_deadline(&endpoints, true), PC_JOIN_FETCH_TIMEOUT_US);
    /* A retry waits, and lets another begin. */
    assert_int_equal(pc_endpoints_ended(&endpoints, 1, PEERCACHE_FETCH_HTTP_ERROR, 0, true, &rng, 0), 0);
    assert_int_equal(endpoints.endpoints[0].breaker.failures, 0);
    assert_int_equal(ask(&endpoints, 0, &index), 4);
    assert_int_equal(index, 3);
    assert_int_equal(pc_endpoints_ended(&endpoints, 1, PEERCACHE_FETCH_OK, 5, true, &rng, 0),
                     5); /* ended already */
    /* Rubbish needs no retry, and is a failure though its status was 200; so is an answer without peers. */
    pc_endpoints_ended(&endpoints, 2, PEERCACHE_FETCH_RUBBISH, 0, true, &rng, 0);
    pc_endpoints_ended(&endpoints, 3, PEERCACHE_FETCH_OK, 0, true, &rng, 0);
    assert_int_equal(endpoints.endpoints[1].breaker.failures, 1);
    assert_int_equal(endpoints.endpoints[2].breaker.failures, 1);
    assert_int_equal(ask(&endpoints, 0, &index), 5);
    pc_endpoints_ended(&endpoints, 5, PEERCACHE_FETCH_NO_ROUTE, 0, true, &rng, 0);
    assert_int_equal(endpoints.endpoints[4].breaker.failures, 0);
    pc_endpoints_ended(&endpoints, 4, PEERCACHE_FETCH_OK, 7, true, &rng, 0);
    /* Two retries, then one failure for all three. */
    int64_t now_us = 0;
    for (unsigned retry = 1; retry <= 2; retry++) {
        int64_t at_us = pc_endpoints_deadline(&endpoints, true);
        assert_in_range(at_us - now_us, PC_JOIN_FETCH_RETRY_FIRST_US, PC_JOIN_FETCH_RETRY_CAP_US);
        assert_true(pc_endpoints_may_come(&endpoints, at_us + 1));
        now_us = at_us;
        uint64_t fetch = ask(&endpoints, now_us, &index);
        assert_int_equal(index, 0);
        pc_endpoints_ended(&endpoints, fetch, PEERCACHE_FETCH_REFUSED, 0, true, &rng, now_us);
    }
    assert_int_equal(endpoints.endpoints[0].breaker.failures, 1);
    assert_false(pc_endpoints_may_come(&endpoints, PC_TIME_NEVER)); /* all were asked in this round */
    assert_true(pc_endpoints_deadline(&endpoints, true) == PC_TIME_NEVER);
    pc_endpoints_again(&endpoints, now_us);
    assert_true(pc_endpoints_may_come(&endpoints, PC_TIME_NEVER));
}

/* What has not changed is as good or bad as it was. */
static void what_holds_still_may_be_of_no_use(void **state)
{
    (void)state;
    struct pc_rng rng = rng_of(8);
    static struct pc_endpoints endpoints;
    size_t index;
    pc_endpoints_init(&endpoints, 2, false);
    for (uint32_t usable = 0; usable < 2; usable++) {
        uint64_t fetch = ask(&endpoints, 0, &index);
        assert_int_equal(index, usable);
        pc_endpoints_ended(&endpoints, fetch, PEERCACHE_FETCH_NOT_MODIFIED, usable, true, &rng, 0);
        assert_int_equal(endpoints.endpoints[index].breaker.failures, usable == 0);
    }
}

/* A round that begins between a fetch and its retry has asked too. */
static void a_retry_is_asked_in_its_round(void **state)
{
    (void)state;
    struct pc_rng rng = rng_of(9);
    static struct pc_endpoints endpoints;
    size_t index;
    pc_endpoints_init(&endpoints, 1, true);
    pc_endpoints_ended(&endpoints, ask(&endpoints, 0, &index), PEERCACHE_FETCH_REFUSED, 0, true, &rng, 0);
    pc_endpoints_again(&endpoints, 0);
    assert_false(endpoints.endpoints[0].was_asked);
    assert_int_equal(ask(&endpoints, pc_endpoints_deadline(&endpoints, true), &index), 2);
    assert_true(endpoints.endpoints[0].was_asked);
}

/* An answer is judged by what becomes of its peers. */
static void peers_that_never_verify_are_a_failure(void **state)
{
    (void)state;
    struct pc_rng rng = rng_of(7);
    static struct pc_endpoints endpoints;
    size_t index;
    int64_t now_us = 0;
    pc_endpoints_init(&endpoints, 1, true);
    for (unsigned round = 1; round <= PC_BREAKER_FAILURES_MAX; round++) {
        uint64_t fetch = ask(&endpoints, now_us, &index);
        pc_endpoints_ended(&endpoints, fetch, PEERCACHE_FETCH_OK, 3, true, &rng, now_us);
        for (unsigned i = 0; i < 3; i++)
            pc_endpoints_dialled(&endpoints, 0, i ? PEERCACHE_TIMEOUT : PEERCACHE_WRONG_IDENTITY, false, &rng,
                                 now_us);
        if (round < PC_BREAKER_FAILURES_MAX)
            assert_int_equal(endpoints.endpoints[0].breaker.failures, round);
        now_us += 100 * SECOND;
    }
    assert_int_equal(endpoints.endpoints[0].breaker.state, PC_BREAKER_OPEN);
    /* The probe's peers are no better: the wait doubles. */
    now_us = pc_endpoints_deadline(&endpoints, true);
    pc_endpoints_ended(&endpoints, ask(&endpoints, now_us, &index), PEERCACHE_FETCH_OK, 1, true, &rng,
                       now_us);
    assert_int_equal(endpoints.endpoints[0].breaker.state, PC_BREAKER_CLOSED);
    pc_endpoints_dialled(&endpoints, 0, PEERCACHE_TIMEOUT, true, &rng, now_us);
    assert_int_equal(endpoints.endpoints[0].breaker.state, PC_BREAKER_OPEN);
    assert_int_equal(endpoints.endpoints[0].breaker.wait_us, 2 * PC_BREAKER_WAIT_US);
    /* One that verifies lets the success stand; silence while nothing answers does too. */
    for (unsigned round = 0; round < 2; round++) {
        now_us = pc_endpoints_deadline(&endpoints, true);
        pc_endpoints_ended(&endpoints, ask(&endpoints, now_us, &index), PEERCACHE_FETCH_OK, 2, true, &rng,
                           now_us);
        pc_endpoints_dialled(&endpoints, 0, round ? PEERCACHE_TIMEOUT : PEERCACHE_OK, false, &rng, now_us);
        pc_endpoints_dialled(&endpoints, 0, PEERCACHE_TIMEOUT, false, &rng, now_us);
        assert_int_equal(endpoints.endpoints[0].breaker.state, PC_BREAKER_CLOSED);
        assert_int_equal(endpoints.endpoints[0].breaker.failures, 0);
    }
    assert_int_equal(endpoints.endpoints[0].verified, 1);
}

static struct pc_joiner_candidate named(const char *text)
{
    struct pc_joiner_candidate c = { .via = PEERCACHE_VIA_FLAG };
    uint8_t bytes[256];
    size_t size;
    assert_int_equal(pc_addr_multiaddr_parse(text, strlen(text), bytes, sizeof(bytes), &size, NULL), 0);
    assert_int_equal(pc_addr_multiaddr_split(pc_bytes_of(bytes, size), &c.addr, &c.id), 0);
    return c;
}

static bool take_text(struct pc_names *names, uint64_t question, const char *text,
                      struct pc_joiner_candidate *ret_candidate)
{
    return pc_names_take_text(names, question, pc_bytes_of(text, strlen(text)), ret_candidate);
}

#define ID_A "QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN"
#define ID_B "QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa"

static void dnsaddr_leads_to_addresses_of_its_peer(void **state)
{
    (void)state;
    struct pc_rng rng = rng_of(8);
    struct pc_names *names;
    struct pc_name_question question;
    struct pc_joiner_candidate root = named("/dnsaddr/bootstrap.example/p2p/" ID_A), found;
    assert_int_equal(pc_names_new(false, &names), 0);
    assert_int_equal(pc_names_add(names, &root), 0);
    assert_int_equal(pc_names_add(names, &root), 0);
    assert_int_equal(pc_names_count(names), 1);
    assert_true(pc_names_next(names, 5, &question));
    assert_string_equal(question.name, "_dnsaddr.bootstrap.example");
    assert_int_equal(question.type, PC_RECORD_TXT);
    assert_int_equal(question.deadline_us, 5 + PC_NAMES_TIMEOUT_US);
    uint64_t first = question.number;
    static const char *const useless[] = {
        "",
        "dnsaddr=",
        "v=spf1 -all",
        "dnsaddr=/ip4/1.2.3.4/udp/4001/quic-v1/p2p/" ID_B, /* somebody else */
        "dnsaddr=/ip4/1.2.3.4/udp/4001/quic-v1",           /* nobody in particular */
        "dnsaddr=/ip4/1.2.3.4/tcp/4001/p2p/" ID_A,         /* nothing we dial */
        "dnsaddr=/ip4/1.2.3.4/udp/99999/quic-v1/p2p/" ID_A,
        "dnsaddr=/ip4/1.2.3/udp/4001",
        "DNSADDR=/ip4/1.2.3.4/udp/4001/quic-v1/p2p/" ID_A,
        "dnsaddr=/dns4/bad name/udp/4001/quic-v1/p2p/" ID_A,
        "dnsaddr=/dnsaddr/x.example/tcp/1/p2p/" ID_A,
    };
    for (size_t i = 0; i < sizeof(useless) / sizeof(useless[0]); i++)
        assert_false(take_text(names, first, useless[i], &found));
    assert_false(pc_names_next(names, 5, &question));
    assert_true(take_text(names, first, "dnsaddr=/ip4/1.2.3.4/udp/4001/quic-v1/p2p/" ID_A, &found));
    assert_int_equal(found.ip_port.port, 4001);
    assert_true(pc_addr_peer_id_equal(&found.id, &root.id));
    assert_false(take_text(names, first, "dnsaddr=/dns6/six.example/udp/9/quic-v1/p2p/" ID_A, &found));
    assert_true(pc_names_next(names, 5, &question));
    assert_string_equal(question.name, "six.example");
    assert_int_equal(question.type, PC_RECORD_AAAA);
    const struct pc_ip_port four = { .family = 4, .ip = { 1, 2, 3, 4 } },
                            six = { .family = 6, .ip = { 0x2a } };
    assert_false(pc_names_take_ip(names, question.number, &four, &found));
    assert_false(pc_names_take_ip(names, first, &six, &found));
    assert_true(pc_names_take_ip(names, question.number, &six, &found));
    assert_int_equal(found.ip_port.family, 6);
    assert_int_equal(found.ip_port.port, 9);
    assert_true(pc_names_ended(names, question.number, false, &rng, 6));
    assert_false(pc_names_ended(names, question.number, false, &rng, 6));
    assert_true(pc_names_may_come(names, 7));
    assert_true(pc_names_ended(names, first, false, &rng, 6));
    assert_false(pc_names_may_come(names, PC_TIME_NEVER)); /* found, and not asked again */
    pc_names_free(names);
}

/* A name server that leads on for ever is followed for a while. */
static void names_are_bounded(void **state)
{
    (void)state;
    struct pc_rng rng = rng_of(9);
    struct pc_names *names;
    struct pc_name_question question;
    struct pc_joiner_candidate root = named("/dnsaddr/0.example"), found;
    char text[256];
    size_t asked = 0, candidates = 0;
    assert_int_equal(pc_names_new(false, &names), 0);
    assert_int_equal(pc_names_add(names, &root), 0);
    while (pc_names_next(names, 0, &question)) {
        asked++;
        for (unsigned i = 0; i < 50; i++) {
            snprintf(text, sizeof(text), "dnsaddr=/dnsaddr/%zu-%u.example/p2p/" ID_A, asked, i);
            assert_false(take_text(names, question.number, text, &found));
            snprintf(text, sizeof(text), "dnsaddr=/ip4/9.9.%zu.%u/udp/4001/quic-v1/p2p/" ID_A, asked, i);
            candidates += take_text(names, question.number, text, &found);
        }
        assert_true(pc_names_ended(names, question.number, false, &rng, 0));
    }
    assert_int_equal(asked, PC_NAMES_ASKED_MAX);
    assert_int_equal(candidates, PC_NAMES_FOUND_MAX);
    pc_names_free(names);

    /* A chain ends at its depth. */
    assert_int_equal(pc_names_new(false, &names), 0);
    assert_int_equal(pc_names_add(names, &root), 0);
    for (asked = 0; pc_names_next(names, 0, &question); asked++) {
        assert_false(take_text(names, question.number, "dnsaddr=/dnsaddr/0.example/p2p/" ID_A, &found));
        assert_true(pc_names_ended(names, question.number, false, &rng, 0));
    }
    assert_int_equal(asked, PC_NAMES_DEPTH_MAX);
    /* Eight at once, 64 in all; what is no name is refused. */
    struct pc_joiner_candidate bad = named("/ip4/1.2.3.4/udp/1/quic-v1");
    assert_int_equal(pc_names_add(names, &bad), PEERCACHE_EUNSUPPORTED);
    for (unsigned i = 1; i < PC_NAMES_MAX; i++) {
        snprintf(text, sizeof(text), "/dns/%u.example/udp/4001/quic-v1", i);
        root = named(text);
        assert_int_equal(pc_names_add(names, &root), 0);
    }
    root = named("/dns/one-too-many.example/udp/4001/quic-v1");
    assert_int_equal(pc_names_add(names, &root), PEERCACHE_ELIMIT);
    for (asked = 0; pc_names_next(names, 0, &question); asked++)
        assert_true(question.type != PC_RECORD_TXT);
    assert_int_equal(asked, PC_NAMES_AT_ONCE_MAX);
    assert_int_equal(pc_names_deadline(names, true), PC_NAMES_TIMEOUT_US);
    pc_names_free(names);
}

static void failed_names_are_asked_again(void **state)
{
    (void)state;
    struct pc_rng rng = rng_of(10);
    struct pc_names *names;
    struct pc_name_question question;
    struct pc_joiner_candidate root = named("/dns4/a.example/udp/4001/quic-v1");
    int64_t now_us = 0, longest_us = 0;
    assert_int_equal(pc_names_new(true, &names), 0);
    assert_int_equal(pc_names_add(names, &root), 0);
    for (unsigned i = 0; i < 200; i++) {
        assert_true(pc_names_next(names, now_us, &question));
        assert_true(pc_names_ended(names, question.number, false, &rng, now_us));
        int64_t at_us = pc_names_deadline(names, true);
        assert_in_range(at_us - now_us, PC_NAMES_BACKOFF_US, PC_NAMES_BACKOFF_CAP_US);
        assert_false(pc_names_next(names, at_us - 1, &question));
        longest_us = at_us - now_us > longest_us ? at_us - now_us : longest_us;
        now_us = at_us;
    }
    assert_true(longest_us > 60 * SECOND);
    pc_names_free(names);
}

static void longest_prefix_decides(void **state)
{
    (void)state;
    static struct pc_join_filter filter;
    struct pc_reason reason;
    memset(&filter, 0, sizeof(filter));
    static const char *const bad[] = { "",
                                       "/8",
                                       "10.0.0.0/33",
                                       "10.0.0.0/-1",
                                       "10.0.0.0/",
                                       "10.0.0.0/08",
                                       "10.0.0.1/8",
                                       "10.0.0/8",
                                       "::/129",
                                       "fd00::1/8",
                                       "abc",
                                       "10.0.0.0/8/8",
                                       "10.0.0.0 /8",
                                       "::1%lo/128",
                                       "1.2.3.4/tcp/5" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(pc_join_filter_add(&filter, bad[i], true, &reason), PEERCACHE_EPARSE);
        assert_true(strlen(reason.text) > 10);
    }
    assert_int_equal(filter.count, 0);
    assert_int_equal(pc_join_filter_add(&filter, "0.0.0.0/0", false, NULL), 0);
    assert_int_equal(pc_join_filter_add(&filter, "10.0.0.0/8", true, NULL), 0);
    assert_int_equal(pc_join_filter_add(&filter, "10.128.0.0/9", false, NULL), 0);
    assert_int_equal(pc_join_filter_add(&filter, "10.200.1.2", true, NULL), 0);
    assert_int_equal(pc_join_filter_add(&filter, "fd00::/8", true, NULL), 0);
    assert_int_equal(pc_join_filter_add(&filter, "fd00::/8", false, NULL), 0);
    static const struct {
        struct pc_ip_port address;
        enum pc_filter_verdict verdict;
    } rows[] = {
        { { .family = 4, .ip = { 8, 8, 8, 8 } }, PC_FILTER_DENIED },
        { { .family = 4, .ip = { 10, 127, 255, 255 } }, PC_FILTER_ALLOWED },
        { { .family = 4, .ip = { 10, 128, 0, 0 } }, PC_FILTER_DENIED },
        { { .family = 4, .ip = { 10, 200, 1, 2 } }, PC_FILTER_ALLOWED },
        { { .family = 4, .ip = { 10, 200, 1, 3 } }, PC_FILTER_DENIED },
        { { .family = 6, .ip = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 1, 1 } },
          PC_FILTER_ALLOWED },
        { { .family = 6, .ip = { 0xfd, 1 } }, PC_FILTER_DENIED },
        { { .family = 6, .ip = { 0x20, 1 } }, PC_FILTER_SILENT },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(pc_join_filter_judge(&filter, &rows[i].address), rows[i].verdict);
    while (filter.count < PC_JOIN_FILTER_MAX)
        assert_int_equal(pc_join_filter_add(&filter, "::1/128", false, NULL), 0);
    assert_int_equal(pc_join_filter_add(&filter, "::1/128", false, NULL), PEERCACHE_ELIMIT);
}

static void every_cause_has_its_facts(void **state)
{
    (void)state;
#define F(...)                                                                                               \
    {                                                                                                        \
        .target = 5, .min = 1, __VA_ARGS__                                                                   \
    }
    static const struct {
        enum pc_cause cause;
        struct pc_join_facts facts;
    } rows[] = {
        { PC_CAUSE_NONE, F(.verified = 5) },
        { PC_CAUSE_TOO_FEW, F(.verified = 1, .dials = 9, .ended = { 1, 8 }) },
        { PC_CAUSE_NO_SOURCES, F(.offered = 0) },
        { PC_CAUSE_DENIED, F(.offered = 3, .refused_offers = 3) },
        { PC_CAUSE_DENIED, F(.offered = 3, .dials = 3, .ended = { [PEERCACHE_DENIED] = 3 }) },
        { PC_CAUSE_UNSUPPORTED, F(.offered = 2, .dials = 2, .ended = { [PEERCACHE_UNSUPPORTED] = 2 }) },
        { PC_CAUSE_OFFLINE, F(.offered = 2, .dials = 2, .ended = { [PEERCACHE_UNREACHABLE] = 2 }) },
        { PC_CAUSE_OFFLINE, F(.offered = 2, .has_no_route = true, .waiting = 2) },
        { PC_CAUSE_OFFLINE,
          F(.offered = 2, .dials = 2, .ended = { [PEERCACHE_TIMEOUT] = 2 }, .endpoints = 1, .fetches = 3) },
        { PC_CAUSE_DNS_FAILED, F(.offered = 1, .names = 2, .names_failed = 2) },
        { PC_CAUSE_DNS_FAILED, F(.endpoints = 1, .fetches = 3, .fetches_dns_failed = 3) },
        { PC_CAUSE_CLOCK_WRONG, F(.endpoints = 1, .fetches = 3, .fetches_answered = 3,
                                  .clock_ahead_ms = -PC_JOIN_CLOCK_WRONG_MS - 1) },
        { PC_CAUSE_WRONG_NETWORK,
          F(.offered = 4, .dials = 4, .ended = { [PEERCACHE_PROTOCOL_MISMATCH] = 4 }) },
        { PC_CAUSE_WRONG_NETWORK,
          F(.endpoints = 1, .fetches = 1, .fetches_answered = 1, .fetches_wrong_network = 1) },
        { PC_CAUSE_POISONED,
          F(.offered = 4, .dials = 4,
            .ended = { [PEERCACHE_WRONG_IDENTITY] = 3, [PEERCACHE_PROTOCOL_MISMATCH] = 1 }) },
        { PC_CAUSE_HANDSHAKES_FAIL, F(.offered = 4, .dials = 4, .ended = { [PEERCACHE_TLS_FAILED] = 4 }) },
        { PC_CAUSE_UDP_BLOCKED, F(.offered = 4, .dials = 4, .ended = { [PEERCACHE_TIMEOUT] = 4 },
                                  .endpoints = 1, .fetches = 1, .fetches_ok = 1, .fetches_answered = 1) },
        { PC_CAUSE_ENDPOINTS_DOWN, F(.endpoints = 2, .fetches = 6, .fetches_answered = 6) },
        { PC_CAUSE_ALL_STALE, F(.offered = 9, .dials = 9, .ended = { [PEERCACHE_TIMEOUT] = 9 }) },
        { PC_CAUSE_ALL_STALE, F(.offered = 9, .dials = 9, .ended = { [PEERCACHE_REFUSED] = 9 }) },
        { PC_CAUSE_TIMED_OUT,
          F(.offered = 9, .dials = 5, .ended = { [PEERCACHE_TIMEOUT] = 5 }, .waiting = 4) },
    };
#undef F
    bool seen[PC_CAUSE_COUNT] = { false };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_string_equal(pc_cause_name(pc_join_diagnose(&rows[i].facts)), pc_cause_name(rows[i].cause));
        seen[rows[i].cause] = true;
    }
    for (unsigned cause = 0; cause < PC_CAUSE_COUNT; cause++) {
        assert_true(seen[cause]);
        assert_true(cause == PC_CAUSE_NONE || strlen(pc_cause_next_step((enum pc_cause)cause)) > 20);
    }
    assert_null(pc_cause_name(PC_CAUSE_COUNT));
    assert_null(pc_cause_next_step(PC_CAUSE_COUNT));
    assert_string_equal(peercache_fetch_name(PEERCACHE_FETCH_COUNT), "unknown");
    assert_string_equal(peercache_fetch_name(PEERCACHE_FETCH_WRONG_NETWORK), "wrong_network");
    assert_string_equal(pc_breaker_state_name(PC_BREAKER_HALF_OPEN), "half_open");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(breaker_opens_probes_and_closes),
        cmocka_unit_test(breaker_counts_what_says_something),
        cmocka_unit_test(breaker_survives_a_restart),
        cmocka_unit_test(bad_breakers_are_refused),
        cmocka_unit_test(waits_stay_within_their_bounds),
        cmocka_unit_test(black_holes_need_evidence),
        cmocka_unit_test(three_endpoints_at_once_and_two_retries),
        cmocka_unit_test(what_holds_still_may_be_of_no_use),
        cmocka_unit_test(a_retry_is_asked_in_its_round),
        cmocka_unit_test(peers_that_never_verify_are_a_failure),
        cmocka_unit_test(dnsaddr_leads_to_addresses_of_its_peer),
        cmocka_unit_test(names_are_bounded),
        cmocka_unit_test(failed_names_are_asked_again),
        cmocka_unit_test(longest_prefix_decides),
        cmocka_unit_test(every_cause_has_its_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
