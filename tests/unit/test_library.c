/* The public face, through the shared library and its installed headers only. */
#include "check.h"

#include <peercache/peercache.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID_1 "12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu"
#define ID_2 "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"

static const peercache_time now = { .wall_ms = INT64_C(1760000000000) };
static char directory[64];
static char path[128];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "/tmp/peercache-test-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/peers.db", directory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char file[256];
    static const char *const suffixes[] = { "", "-wal", "-shm", ".lock", ".lock-queue" };
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        (void)snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
        (void)unlink(file);
    }
    return rmdir(directory);
}

static peercache *open_cache(const char *file)
{
    peercache *cache = NULL;
    if (peercache_open(file, "test", NULL, &cache))
        fail_msg("%s", peercache_errmsg(cache));
    return cache;
}

static int keep(void *context, const peercache_peer *peer)
{
    peercache_peer *peers = context;
    size_t i = 0;
    while (peers[i].addr_count)
        i++;
    peers[i] = *peer;
    return 0;
}

static void what_was_reported_is_there_after_a_restart(void **state)
{
    (void)state;
    peercache_candidate picked[4];
    size_t count = 0;
    peercache *cache = open_cache(path);
    assert_null(peercache_warning(cache));
    assert_int_equal(
        peercache_add(cache, "/ip4/20.1.1.1/udp/4001/quic-v1/p2p/" ID_1, PEERCACHE_SOURCE_FLAG, now), 0);
    assert_int_equal(peercache_add(cache, "/ip4/20.2.1.1/tcp/4001/p2p/" ID_2, PEERCACHE_SOURCE_DHT, now), 0);
    assert_int_equal(peercache_pick(cache, now, picked, 4, &count), 0);
    assert_int_equal(count, 2);
    size_t quic = strcmp(picked[0].peer_id, ID_1) ? 1 : 0;
    assert_string_equal(picked[quic].addr, "/ip4/20.1.1.1/udp/4001/quic-v1");
    assert_int_equal(peercache_report(cache, &picked[quic], PEERCACHE_OK, 37, now), 0);
    assert_int_equal(peercache_report(cache, &picked[!quic], PEERCACHE_TIMEOUT, -1, now), 0);
    peercache_close(cache); /* short-lived clients remember too (11) */

    cache = open_cache(path);
    peercache_peer peers[4] = { 0 };
    assert_int_equal(peercache_iterate(cache, keep, peers), 0);
    assert_string_equal(peers[0].id, ID_1); /* an identity multihash sorts before a SHA-256 one */
    assert_int_equal(peers[0].state, PEERCACHE_TRIED);
    assert_int_equal(peers[0].addrs[0].success_count, 1);
    assert_int_equal(peers[0].addrs[0].rtt_ms, 37);
    assert_true(peers[0].addrs[0].last_success_ms == now.wall_ms);
    assert_int_equal(peers[0].addrs[0].learned_from, PEERCACHE_SOURCE_FLAG);
    assert_string_equal(peers[1].id, ID_2);
    assert_int_equal(peers[1].state, PEERCACHE_NEW);
    assert_int_equal(peers[1].addrs[0].failure_count, 1); /* also of one that never succeeded (5) */
    assert_int_equal(peercache_pick(cache, now, picked, 1, &count), 0);
    assert_string_equal(picked[0].peer_id, ID_1);
    assert_int_equal(picked[0].rtt_ms, 37);
    peercache_close(cache);
}

static void bad_input_is_refused_with_a_text(void **state)
{
    (void)state;
    peercache *cache = open_cache(NULL);
    static const struct {
        const char *addr;
        int result;
    } cases[] = {
        { "", PEERCACHE_EPARSE },
        { "/ip4/300.1.1.1/udp/1/quic-v1", PEERCACHE_EPARSE },
        { "/ip4/20.1.1.1/udp/1/quic-v1/p2p/xyz", PEERCACHE_EPARSE },
        { "/ip4/127.0.0.1/udp/1/quic-v1", PEERCACHE_EUNSUPPORTED },
        { "/dns4/example.org/udp/1/quic-v1", PEERCACHE_EUNSUPPORTED },
        { "/ip4/20.1.1.1/udp/1/quic-v1/p2p/" ID_1 "/p2p-circuit/p2p/" ID_2, PEERCACHE_EUNSUPPORTED },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(peercache_add(cache, cases[i].addr, PEERCACHE_SOURCE_FLAG, now), cases[i].result);
        assert_true(peercache_errmsg(cache)[0] != '\0');
    }
    assert_int_equal(peercache_add(cache, "/ip4/20.1.1.1/udp/1/quic-v1", (peercache_source)77, now),
                     PEERCACHE_EINVAL);
    peercache_candidate stranger = { .addr = "/ip4/20.1.1.1/udp/1/quic-v1" };
    assert_int_equal(peercache_report(cache, &stranger, PEERCACHE_REFUSED, -1, now), PEERCACHE_ENOTFOUND);
    assert_int_equal(peercache_report(cache, &stranger, (peercache_outcome)77, -1, now), PEERCACHE_EINVAL);
    assert_int_equal(peercache_remove(cache, "xyz", now), PEERCACHE_EPARSE);
    assert_int_equal(peercache_remove(cache, ID_1, now), PEERCACHE_ENOTFOUND);
    peercache_close(cache);
}

static void a_failed_open_gives_a_handle_to_ask(void **state)
{
    (void)state;
    peercache *cache = NULL;
    size_t count = 7;
    peercache_candidate candidate;
    assert_int_equal(peercache_open(directory, "test", NULL, &cache), PEERCACHE_EFORMAT);
    assert_non_null(cache);
    assert_non_null(strstr(peercache_errmsg(cache), directory));
    assert_int_equal(peercache_pick(cache, now, &candidate, 1, &count), PEERCACHE_ESTATE);
    assert_int_equal(count, 7);
    assert_int_equal(peercache_flush(cache, 0), PEERCACHE_ESTATE);
    peercache_close(cache);
    assert_int_equal(peercache_open(NULL, "", NULL, &cache), PEERCACHE_EINVAL);
    peercache_close(cache);
    peercache_close(NULL);
    peercache_close(open_cache(path));
    assert_int_equal(peercache_open(path, "other", NULL, &cache), PEERCACHE_ENETWORK);
    assert_non_null(strstr(peercache_errmsg(cache), "other"));
    peercache_close(cache);
}

static void two_handles_share_and_removal_reaches_both(void **state)
{
    (void)state;
    peercache *a = open_cache(path), *b = open_cache(path);
    peercache_candidate picked;
    size_t count = 0;
    const char *addr = "/ip4/20.1.1.1/udp/4001/quic-v1/p2p/" ID_1;
    assert_int_equal(peercache_add(a, addr, PEERCACHE_SOURCE_FLAG, now), 0);
    assert_int_equal(peercache_flush(a, 1000), 0);
    assert_int_equal(peercache_refresh(b), 0);
    assert_int_equal(peercache_pick(b, now, &picked, 1, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(peercache_remove(a, ID_1, now), 0);
    /* What b still holds and reports, without having heard, does not bring it back. */
    assert_int_equal(peercache_report(b, &picked, PEERCACHE_REFUSED, -1, now), 0);
    assert_int_equal(peercache_flush(b, 1000), 0);
    peercache_peer peers[4] = { 0 };
    assert_int_equal(peercache_iterate(a, keep, peers), 0);
    assert_int_equal(peers[0].addr_count, 0);
    assert_int_equal(peercache_refresh(b), 0);
    assert_int_equal(peercache_pick(b, now, &picked, 1, &count), 0);
    assert_int_equal(count, 0);
    peercache_close(a);
    peercache_close(b);
}

static void read_only_changes_nothing(void **state)
{
    (void)state;
    size_t count = 0;
    peercache_candidate picked;
    peercache *cache = open_cache(path);
    assert_int_equal(
        peercache_add(cache, "/ip4/20.1.1.1/udp/4001/quic-v1/p2p/" ID_1, PEERCACHE_SOURCE_FLAG, now), 0);
    peercache_close(cache);
    assert_int_equal(chmod(path, 0400), 0);
    cache = open_cache(path);
    assert_true(peercache_is_read_only(cache));
    assert_non_null(strstr(peercache_warning(cache), "read-only"));
    assert_int_equal(
        peercache_add(cache, "/ip4/20.3.1.1/udp/4001/quic-v1/p2p/" ID_2, PEERCACHE_SOURCE_FLAG, now), 0);
    assert_int_equal(peercache_pick(cache, now, &picked, 1, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(peercache_report(cache, &picked, PEERCACHE_OK, 1, now), 0);
    assert_int_equal(peercache_remove(cache, ID_1, now), 0);
    assert_int_equal(peercache_flush(cache, 100), 0);
    peercache_peer peers[4] = { 0 };
    assert_int_equal(peercache_iterate(cache, keep, peers), 0);
    assert_string_equal(peers[0].id, ID_1);
    assert_int_equal(peers[0].addrs[0].success_count, 0);
    assert_int_equal(peers[1].addr_count, 0);
    peercache_close(cache);
}

static int stop_at_first(void *context, const peercache_peer *peer)
{
    (void)peer;
    ++*(int *)context;
    return 42;
}

static void in_memory_and_under_a_seed_runs_repeat(void **state)
{
    (void)state;
    peercache_candidate picked[2][20];
    size_t count = 0;
    const uint8_t seed[32] = { 5 };
    peercache_options *options = peercache_options_new();
    assert_non_null(options);
    assert_int_equal(peercache_options_set_max_peers(options, 0), PEERCACHE_EINVAL);
    assert_int_equal(peercache_options_set_max_peers(options, 10000001), PEERCACHE_EINVAL);
    assert_int_equal(peercache_options_set_max_peers(options, 100), 0);
    peercache_options_set_local(options, true);
    peercache_options_set_seed(options, seed);
    for (size_t run = 0; run < 2; run++) {
        peercache *cache = NULL;
        memset(picked[run], 0, sizeof(picked[run]));
        assert_int_equal(peercache_open(NULL, "test", options, &cache), 0);
        for (unsigned i = 0; i < 200; i++) {
            char addr[64];
            (void)snprintf(addr, sizeof(addr), "/ip4/127.0.0.1/udp/%u/quic-v1", 1000 + i);
            assert_int_equal(peercache_add(cache, addr, PEERCACHE_SOURCE_DHT, now), 0);
        }
        assert_int_equal(peercache_pick(cache, now, picked[run], 20, &count), 0);
        assert_int_equal(count, 20);
        assert_string_equal(picked[run][0].peer_id, "");
        int visits = 0;
        assert_int_equal(peercache_iterate(cache, stop_at_first, &visits), 42);
        assert_int_equal(visits, 1);
        peercache_close(cache);
    }
    for (size_t i = 0; i < 20; i++)
        assert_string_equal(picked[0][i].addr, picked[1][i].addr);
    peercache_options_free(options);
    assert_true(strlen(peercache_version()) >= 5);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_reported_is_there_after_a_restart),
        CASE(bad_input_is_refused_with_a_text),
        CASE(a_failed_open_gives_a_handle_to_ask),
        CASE(two_handles_share_and_removal_reaches_both),
        CASE(read_only_changes_nothing),
        CASE(in_memory_and_under_a_seed_runs_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
