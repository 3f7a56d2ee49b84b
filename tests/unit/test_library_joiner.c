/* The public joiner, through the shared library as others see it. */
#include "check.h"

#include <peercache/joiner.h>

#include <string.h>

#define ID_A "QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN"

static peercache_time at(int64_t mono_us)
{
    return (peercache_time){ .wall_ms = 1700000000000 + mono_us / 1000, .mono_us = mono_us };
}

static peercache_joiner *joiner_of(peercache_joiner_options *options)
{
    peercache_joiner *joiner = NULL;
    assert_int_equal(peercache_joiner_new(options, at(0), &joiner), 0);
    peercache_joiner_options_free(options);
    return joiner;
}

static void options_and_offers_are_checked(void **state)
{
    (void)state;
    peercache_joiner_options *options = peercache_joiner_options_new();
    assert_non_null(options);
    assert_int_equal(peercache_joiner_options_set_target(options, 0, 0), PEERCACHE_EINVAL);
    assert_int_equal(peercache_joiner_options_set_target(options, 5, 6), PEERCACHE_EINVAL);
    assert_int_equal(peercache_joiner_options_set_target(options, 1001, 1), PEERCACHE_EINVAL);
    assert_int_equal(peercache_joiner_options_set_timeout_ms(options, 0), PEERCACHE_EINVAL);
    assert_int_equal(peercache_joiner_options_set_endpoints(options, 33), PEERCACHE_EINVAL);
    assert_int_equal(peercache_joiner_options_set_endpoints(options, 2), 0);
    assert_int_equal(peercache_joiner_options_deny(options, "10.0.0.0/33"), PEERCACHE_EPARSE);
    assert_int_equal(peercache_joiner_options_deny(options, "10.0.0.0/8"), 0);
    assert_int_equal(peercache_joiner_options_allow(options, "10.1.0.0/16"), 0);
    peercache_joiner *joiner = joiner_of(options);
    static const struct {
        const char *addr;
        peercache_via via;
        size_t endpoint;
        int result;
    } rows[] = {
        { "", PEERCACHE_VIA_FLAG, 0, PEERCACHE_EPARSE },
        { "1.2.3.4:4001", PEERCACHE_VIA_FLAG, 0, PEERCACHE_EPARSE },
        { "/p2p/" ID_A, PEERCACHE_VIA_FLAG, 0, PEERCACHE_EPARSE },
        { "/ip4/8.8.8.8/udp/4001/quic-v1", (peercache_via)99, 0, PEERCACHE_EINVAL },
        { "/ip4/8.8.8.8/udp/4001/quic-v1", PEERCACHE_VIA_ENDPOINT, 2, PEERCACHE_EINVAL },
        { "/ip4/10.2.3.4/tcp/4001", PEERCACHE_VIA_FLAG, 0, PEERCACHE_EPERM },
        { "/ip4/10.2.3.4/udp/4001/quic-v1/p2p/" ID_A, PEERCACHE_VIA_FLAG, 0, PEERCACHE_EPERM },
        { "/ip4/10.1.3.4/udp/4001/quic-v1/p2p/" ID_A, PEERCACHE_VIA_ENDPOINT, 1, 0 },
        { "/ip4/8.8.8.8/tcp/4001", PEERCACHE_VIA_DHT, 0, 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(peercache_joiner_offer(joiner, rows[i].addr, rows[i].via, rows[i].endpoint, at(0)),
                         rows[i].result);
    peercache_joiner_action action;
    assert_int_equal(peercache_joiner_dial_ended(joiner, 1, PEERCACHE_OK, "x", -1, at(0)), PEERCACHE_EPARSE);
    assert_int_equal(peercache_joiner_dial_ended(joiner, 1, (peercache_outcome)99, NULL, -1, at(0)),
                     PEERCACHE_EINVAL);
    assert_int_equal(peercache_joiner_dial_ended(joiner, 77, PEERCACHE_OK, ID_A, -1, at(0)), 0); /* ignored */
    assert_int_equal(peercache_joiner_fetched(joiner, 1, (peercache_fetch)99, 0, 0, at(0)), PEERCACHE_EINVAL);
    assert_int_equal(peercache_joiner_resolved(joiner, 1, (peercache_outcome)-1, NULL, 0, at(0)),
                     PEERCACHE_EINVAL);
    assert_int_equal(peercache_joiner_verified_inbound(joiner, "", at(0)), PEERCACHE_EPARSE);
    assert_int_equal(peercache_joiner_verified(joiner), 0);
    bool seen[3] = { false };
    size_t fetches = 0, dials = 0;
    while (peercache_joiner_next(joiner, at(1), &action)) {
        assert_true(action.deadline_us > 1);
        if (action.kind == PEERCACHE_JOINER_FETCH)
            seen[action.endpoint] = ++fetches;
        else if (++dials == 1)
            assert_string_equal(action.addr, "/ip4/10.1.3.4/udp/4001/quic-v1");
        else
            assert_string_equal(action.addr, "/ip4/8.8.8.8/tcp/4001");
        assert_string_equal(action.peer_id, dials == 1 ? ID_A : "");
    }
    assert_int_equal(dials, 2);
    assert_int_equal(fetches, 2);
    assert_true(seen[0] && seen[1]);
    peercache_joiner_free(joiner);
    peercache_joiner_free(NULL);
    peercache_joiner_options_free(NULL);
}

static void name_endpoint_and_dial_lead_to_joined(void **state)
{
    (void)state;
    peercache_joiner_options *options = peercache_joiner_options_new();
    assert_int_equal(peercache_joiner_options_set_target(options, 2, 1), 0);
    assert_int_equal(peercache_joiner_options_set_endpoints(options, 1), 0);
    peercache_joiner *joiner = joiner_of(options);
    peercache_joiner_action action;
    const char *step;
    assert_int_equal(peercache_joiner_offer(joiner, "/dnsaddr/a.example", PEERCACHE_VIA_FLAG, 0, at(0)), 0);
    assert_int_equal(peercache_joiner_deadline_us(joiner), 0); /* something is to be done now */
    assert_int_equal(peercache_joiner_next(joiner, at(0), &action), 1);
    assert_int_equal(action.kind, PEERCACHE_JOINER_RESOLVE);
    assert_int_equal(action.record, PEERCACHE_RECORD_TXT);
    assert_string_equal(action.name, "_dnsaddr.a.example");
    uint64_t question = action.number;
    assert_int_equal(peercache_joiner_next(joiner, at(0), &action), 1);
    assert_int_equal(action.kind, PEERCACHE_JOINER_FETCH);
    uint64_t fetch = action.number;
    assert_int_equal(peercache_joiner_next(joiner, at(0), &action), 0);
    assert_true(peercache_joiner_deadline_us(joiner) > 0);
    const char *const texts[] = { "rubbish", "dnsaddr=/ip4/8.8.8.8/udp/4001/quic-v1/p2p/" ID_A };
    assert_int_equal(peercache_joiner_resolved(joiner, question, PEERCACHE_OK, texts, 2, at(10)), 0);
    assert_int_equal(peercache_joiner_next(joiner, at(10), &action), 1);
    assert_int_equal(action.kind, PEERCACHE_JOINER_DIAL);
    assert_string_equal(action.addr, "/ip4/8.8.8.8/udp/4001/quic-v1");
    assert_string_equal(action.peer_id, ID_A);
    assert_int_equal(peercache_joiner_dial_ended(joiner, action.number, PEERCACHE_OK, NULL, 20, at(20000)),
                     0);
    assert_int_equal(peercache_joiner_verified(joiner), 1);
    assert_string_equal(peercache_joiner_cause(joiner, &step), "too_few");
    assert_int_equal(
        peercache_joiner_offer(joiner, "/ip4/9.9.9.9/udp/1/quic-v1", PEERCACHE_VIA_ENDPOINT, 0, at(30000)),
        0);
    assert_int_equal(peercache_joiner_fetched(joiner, fetch, PEERCACHE_FETCH_OK, 1, 0, at(30000)), 0);
    assert_int_equal(peercache_joiner_next(joiner, at(30000), &action), 1);
    assert_int_equal(action.via, PEERCACHE_VIA_ENDPOINT);
    assert_int_equal(peercache_joiner_dial_ended(joiner, action.number, PEERCACHE_OK,
                                                 "QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa", 20,
                                                 at(40000)),
                     0);
    assert_int_equal(peercache_joiner_phase_now(joiner), PEERCACHE_JOINER_JOINED);
    assert_string_equal(peercache_joiner_cause(joiner, NULL), "none");
    assert_int_equal(peercache_joiner_next(joiner, at(40000), &action), 0);
    peercache_joiner_again(joiner, at(50000));
    assert_int_equal(peercache_joiner_verified(joiner), 0);
    assert_int_equal(peercache_joiner_phase_now(joiner), PEERCACHE_JOINER_RUNNING);
    peercache_joiner_free(joiner);
}

static void nothing_to_try_says_so_and_breakers_are_kept(void **state)
{
    (void)state;
    peercache_joiner *joiner = joiner_of(peercache_joiner_options_new());
    peercache_joiner_action action;
    const char *step = NULL;
    uint8_t bytes[PEERCACHE_BREAKER_BYTES];
    assert_int_equal(peercache_joiner_next(joiner, at(0), &action), 0);
    assert_int_equal(peercache_joiner_phase_now(joiner), PEERCACHE_JOINER_EXHAUSTED);
    assert_string_equal(peercache_joiner_cause(joiner, &step), "no_sources");
    assert_non_null(strstr(step, "--peer"));
    assert_true(peercache_joiner_deadline_us(joiner) == INT64_MAX);
    assert_int_equal(peercache_joiner_save_breaker(joiner, 0, at(0), bytes), PEERCACHE_EINVAL);
    assert_true(peercache_joiner_failure_counts(joiner, 4));
    peercache_joiner_network_changed(joiner, false, false, at(1));
    assert_false(peercache_joiner_failure_counts(joiner, 4));
    peercache_joiner_free(joiner);

    peercache_joiner_options *options = peercache_joiner_options_new();
    assert_int_equal(peercache_joiner_options_set_endpoints(options, 1), 0);
    peercache_joiner_options_set_keep_trying(options, true);
    joiner = joiner_of(options);
    int64_t now_us = 0;
    for (unsigned failures = 0; failures < 5;) { /* rubbish needs no retry: five fetches open it */
        while (!peercache_joiner_next(joiner, at(now_us), &action)) {
            now_us = peercache_joiner_deadline_us(joiner);
            assert_true(now_us < INT64_MAX);
        }
        assert_int_equal(action.kind, PEERCACHE_JOINER_FETCH);
        assert_int_equal(
            peercache_joiner_fetched(joiner, action.number, PEERCACHE_FETCH_RUBBISH, 0, 0, at(now_us)), 0);
        failures++;
    }
    assert_int_equal(peercache_joiner_save_breaker(joiner, 0, at(now_us), bytes), 0);
    peercache_joiner_free(joiner);
    options = peercache_joiner_options_new();
    assert_int_equal(peercache_joiner_options_set_endpoints(options, 1), 0);
    joiner = joiner_of(options);
    assert_int_equal(peercache_joiner_load_breaker(joiner, 1, bytes, at(now_us)), PEERCACHE_EINVAL);
    assert_int_equal(peercache_joiner_load_breaker(joiner, 0, bytes, at(now_us)), 0);
    assert_int_equal(peercache_joiner_next(joiner, at(0), &action), 0); /* open: not asked */
    bytes[0] = 77;
    assert_int_equal(peercache_joiner_load_breaker(joiner, 0, bytes, at(now_us)), PEERCACHE_EPARSE);
    peercache_joiner_free(joiner);
}

/* With `exclusive` nobody is dialled whom only a cache or an endpoint names. */
static void exclusive_dials_the_given_alone(void **state)
{
    (void)state;
    static const uint8_t secret[16] = { 5 };
    for (int exclusive = 0; exclusive < 2; exclusive++) {
        peercache_joiner_options *options = peercache_joiner_options_new();
        peercache_joiner_action action;
        size_t dials = 0;
        assert_non_null(options);
        peercache_joiner_options_set_exclusive(options, exclusive);
        peercache_joiner_options_set_local(options, true);
        peercache_joiner_options_set_memory(options, 1, 1000, 1);
        peercache_joiner_options_set_secret(options, secret);
        assert_int_equal(peercache_joiner_options_set_timeout_ms(options, 1000), 0);
        peercache_joiner *joiner = joiner_of(options);
        (void)peercache_joiner_offer(joiner, "/ip4/127.0.0.1/udp/1/quic-v1", PEERCACHE_VIA_CACHE, 0, at(0));
        assert_int_equal(
            peercache_joiner_offer(joiner, "/ip4/127.0.0.1/udp/2/quic-v1", PEERCACHE_VIA_FLAG, 0, at(0)), 0);
        while (peercache_joiner_next(joiner, at(0), &action))
            dials += action.kind == PEERCACHE_JOINER_DIAL;
        assert_int_equal(dials, exclusive ? 1 : 2);
        peercache_joiner_free(joiner);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_offers_are_checked),
        cmocka_unit_test(name_endpoint_and_dial_lead_to_joined),
        cmocka_unit_test(nothing_to_try_says_so_and_breakers_are_kept),
        cmocka_unit_test(exclusive_dials_the_given_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
