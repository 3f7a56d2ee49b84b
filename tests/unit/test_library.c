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
    assert_int_equal(peercache_pick(cache, now, NULL, picked, 4, &count), 0);
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
    assert_int_equal(peercache_pick(cache, now, NULL, picked, 1, &count), 0);
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
        assert_int_equal(peercache_add(cache, cases[i].addr, PEERCACHE_SOURCE_DHT, now), cases[i].result);
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
    assert_int_equal(peercache_pick(cache, now, NULL, &candidate, 1, &count), PEERCACHE_ESTATE);
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
    assert_int_equal(peercache_pick(b, now, NULL, &picked, 1, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(peercache_remove(a, ID_1, now), 0);
    /* What b still holds and reports, without having heard, does not bring it back. */
    assert_int_equal(peercache_report(b, &picked, PEERCACHE_REFUSED, -1, now), 0);
    assert_int_equal(peercache_flush(b, 1000), 0);
    peercache_peer peers[4] = { 0 };
    assert_int_equal(peercache_iterate(a, keep, peers), 0);
    assert_int_equal(peers[0].addr_count, 0);
    assert_int_equal(peercache_refresh(b), 0);
    assert_int_equal(peercache_pick(b, now, NULL, &picked, 1, &count), 0);
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
    assert_int_equal(peercache_pick(cache, now, NULL, &picked, 1, &count), 0);
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
            int result = peercache_add(cache, addr, PEERCACHE_SOURCE_DHT, now);
            assert_true(result == 0 || result == PEERCACHE_ELIMIT);
        }
        assert_int_equal(peercache_pick(cache, now, NULL, picked[run], 20, &count), 0);
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

static int count_peer(void *context, const peercache_peer *peer)
{
    (void)peer;
    ++*(int *)context;
    return 0;
}

static void add_numbered(peercache *cache, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        char addr[64];
        (void)snprintf(addr, sizeof(addr), "/ip4/%u.%u.7.7/%s", 20 + i / 256, i % 256,
                       i % 2 ? "udp/4001/quic-v1" : "tcp/4001");
        assert_int_equal(peercache_add(cache, addr, PEERCACHE_SOURCE_DHT, now), 0);
    }
}

/* One who tells of many is not heard for a while, whatever he names; another still is. */
static void a_teller_has_his_share(void **state)
{
    (void)state;
    static const char one[] = "/ip4/99.1.1.1/udp/4001/quic-v1", other[] = "/ip4/98.1.1.1/udp/4001/quic-v1";
    peercache *cache = open_cache(NULL);
    unsigned told = 0;
    int result = 0;
    assert_int_equal(peercache_add_from(cache, one, PEERCACHE_SOURCE_DHT, "nobody", now), PEERCACHE_EPARSE);
    assert_int_equal(peercache_add_from(cache, one, PEERCACHE_SOURCE_DHT, NULL, now), PEERCACHE_EINVAL);
    while (result == 0 && told < 100000) {
        char addr[64];
        (void)snprintf(addr, sizeof(addr), "/ip4/%u.%u.7.7/udp/4001/quic-v1", 20 + told / 256 % 60,
                       told % 256);
        result = peercache_add_from(cache, addr, PEERCACHE_SOURCE_DHT, one, now);
        told += result == 0;
    }
    assert_int_equal(result, PEERCACHE_ELIMIT);
    assert_true(told > 0);
    assert_int_equal(
        peercache_add_from(cache, "/ip4/97.1.7.7/udp/1/quic-v1", PEERCACHE_SOURCE_DHT, other, now), 0);
    peercache_close(cache);
}

static void a_filter_says_what_can_be_dialled(void **state)
{
    (void)state;
    peercache_candidate picked[50], again[50];
    size_t count = 0, repeated = 0;
    const uint8_t seed[32] = { 9 };
    peercache *cache = open_cache(NULL);
    peercache_filter *filter = peercache_filter_new();
    add_numbered(cache, 0, 40);
    assert_int_equal(peercache_filter_set_dialable(filter, 0, PEERCACHE_FAMILY_ANY), PEERCACHE_EINVAL);
    assert_int_equal(peercache_filter_set_dialable(filter, PEERCACHE_TRANSPORT_QUIC_V1, 1024),
                     PEERCACHE_EINVAL);
    assert_int_equal(peercache_filter_set_dialable(filter, PEERCACHE_TRANSPORT_QUIC_V1, PEERCACHE_FAMILY_ANY),
                     0);
    assert_int_equal(peercache_filter_leave_out(filter, "/ip4/20.1.7.7/udp/4001/quic-v1"), 0);
    assert_int_equal(peercache_filter_leave_out(filter, "nonsense"), PEERCACHE_EPARSE);
    peercache_filter_set_seed(filter, seed);
    assert_int_equal(peercache_pick(cache, now, filter, picked, 50, &count), 0);
    assert_int_equal(count, 19);
    for (size_t i = 0; i < count; i++) {
        assert_non_null(strstr(picked[i].addr, "quic-v1"));
        assert_string_not_equal(picked[i].addr, "/ip4/20.1.7.7/udp/4001/quic-v1");
    }
    assert_int_equal(peercache_pick(cache, now, filter, again, 50, &repeated), 0);
    assert_int_equal(repeated, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(picked[i].addr, again[i].addr);
    assert_int_equal(peercache_filter_set_dialable(filter, PEERCACHE_TRANSPORT_ANY, PEERCACHE_FAMILY_IP6), 0);
    assert_int_equal(peercache_pick(cache, now, filter, again, 50, &count), 0);
    assert_int_equal(count, 0);
    peercache_filter_free(filter);
    peercache_close(cache);
}

struct explained {
    peercache_candidate picked[5];
    size_t chosen, told;
};

static int check_explained(void *context, const peercache_explanation *explanation)
{
    struct explained *e = context;
    assert_true(explanation->why[0] != '\0');
    if (explanation->chosen) {
        assert_true(e->chosen == e->told); /* the chosen ones first */
        assert_string_equal(explanation->candidate.addr, e->picked[e->chosen++].addr);
    } else {
        assert_non_null(strstr(explanation->why, "passed over"));
    }
    e->told++;
    return 0;
}

static void explain_tells_the_very_pick(void **state)
{
    (void)state;
    struct explained e = { .chosen = 0 };
    size_t count = 0;
    const uint8_t seed[32] = { 3 };
    peercache *cache = open_cache(NULL);
    peercache_filter *filter = peercache_filter_new();
    peercache_filter_set_seed(filter, seed);
    add_numbered(cache, 0, 200);
    assert_int_equal(peercache_pick(cache, now, filter, e.picked, 5, &count), 0);
    assert_int_equal(count, 5);
    assert_int_equal(peercache_explain(cache, now, filter, 5, check_explained, &e), 0);
    assert_int_equal(e.chosen, 5);
    assert_int_equal(e.told, 200); /* each peer */
    peercache_filter_free(filter);
    peercache_close(cache);
}

static void report_more_tells_counts_and_unverified_signs(void **state)
{
    (void)state;
    peercache_peer peer;
    peercache_candidate candidate;
    const peercache_time later = { .wall_ms = now.wall_ms + 1000 };
    peercache *cache = open_cache(path);
    const char *addr = "/ip4/20.1.1.1/udp/4001/quic-v1/p2p/" ID_1;
    assert_int_equal(peercache_add(cache, addr, PEERCACHE_SOURCE_FLAG, now), 0);
    assert_int_equal(peercache_candidate_parse(cache, addr, &candidate), 0);
    peercache_outcome_report report = PEERCACHE_REPORT_INIT(PEERCACHE_TIMEOUT);
    report.count = 3;
    assert_int_equal(peercache_report_more(cache, &candidate, &report, now), 0);
    report = (peercache_outcome_report)PEERCACHE_REPORT_INIT(PEERCACHE_OK);
    report.unverified = true;
    assert_int_equal(peercache_report_more(cache, &candidate, &report, later), 0);
    assert_int_equal(peercache_find(cache, ID_1, &peer), 0);
    assert_int_equal(peer.state, PEERCACHE_NEW);
    assert_int_equal(peer.addrs[0].success_count, 0);
    assert_int_equal(peer.addrs[0].failure_count, 3);
    assert_int_equal(peer.addrs[0].failures[PEERCACHE_TIMEOUT], 3);
    assert_true(peer.addrs[0].last_seen_ms == later.wall_ms);
    report.count = 0;
    assert_int_equal(peercache_report_more(cache, &candidate, &report, now), PEERCACHE_EINVAL);
    assert_int_equal(peercache_find(cache, ID_2, &peer), PEERCACHE_ENOTFOUND);
    assert_int_equal(peercache_find(cache, "??", &peer), PEERCACHE_EPARSE);
    peercache_close(cache);
}

static int keep_text(void *context, const char *text, int64_t since_ms)
{
    assert_true(since_ms > 0);
    (void)strcat(context, text);
    (void)strcat(context, " ");
    return 0;
}

static void bans_last_and_cover_what_comes(void **state)
{
    (void)state;
    char text[256] = "";
    size_t count = 0;
    int peers = 0;
    peercache_candidate picked[4];
    peercache *cache = open_cache(path), *other = open_cache(path);
    const char *addr = "/ip4/20.1.1.1/udp/4001/quic-v1/p2p/" ID_1, *near = "/ip4/20.1.200.1/udp/1/quic-v1";
    assert_int_equal(peercache_add(cache, addr, PEERCACHE_SOURCE_FLAG, now), 0);
    assert_int_equal(peercache_add(cache, near, PEERCACHE_SOURCE_FLAG, now), 0);
    assert_int_equal(peercache_flush(cache, 1000), 0);
    assert_int_equal(peercache_refresh(other), 0);
    assert_int_equal(peercache_ban(cache, "20.1.77.1/16", now), 0);
    assert_int_equal(peercache_ban(cache, ID_2, now), 0);
    assert_int_equal(peercache_ban(cache, "20.1.1.1/33", now), PEERCACHE_EPARSE);
    assert_int_equal(peercache_bans(cache, keep_text, text), 0);
    assert_string_equal(text, ID_2 " 20.1.0.0/16 ");
    assert_int_equal(peercache_add(cache, near, PEERCACHE_SOURCE_FLAG, now), PEERCACHE_EPERM);
    assert_int_equal(
        peercache_add(cache, "/ip4/20.2.1.1/udp/1/quic-v1/p2p/" ID_2, PEERCACHE_SOURCE_FLAG, now),
        PEERCACHE_EPERM);
    assert_int_equal(peercache_iterate(cache, count_peer, &peers), 0);
    assert_int_equal(peers, 0);
    assert_int_equal(peercache_refresh(other), 0); /* others hear of it */
    assert_int_equal(peercache_pick(other, now, NULL, picked, 4, &count), 0);
    assert_int_equal(count, 0);
    peercache_close(other);
    peercache_close(cache);
    cache = open_cache(path);
    assert_int_equal(peercache_pick(cache, now, NULL, picked, 4, &count), 0);
    assert_int_equal(count, 0);
    assert_int_equal(peercache_unban(cache, "20.1.0.0/16"), 0);
    assert_int_equal(peercache_unban(cache, "20.1.0.0/16"), PEERCACHE_ENOTFOUND);
    assert_int_equal(peercache_iterate(cache, count_peer, &peers), 0);
    assert_int_equal(peers, 2);
    peercache_close(cache);
}

static void prune_by_policy_in_bounded_steps(void **state)
{
    (void)state;
    peercache_pruned pruned;
    int peers = 0;
    const peercache_time much_later = { .wall_ms = now.wall_ms + PEERCACHE_RETENTION_DEFAULT_MS + 1000 };
    peercache *cache = open_cache(path);
    add_numbered(cache, 0, 600);
    for (unsigned i = 0; i < 10; i++) {
        char addr[64];
        peercache_candidate candidate;
        (void)snprintf(addr, sizeof(addr), "/ip4/20.%u.7.7/udp/4001/quic-v1", 2 * i + 1);
        assert_int_equal(peercache_candidate_parse(cache, addr, &candidate), 0);
        assert_int_equal(peercache_report(cache, &candidate, PEERCACHE_REFUSED, -1, now), 0);
    }
    assert_int_equal(peercache_prune(cache, PEERCACHE_PRUNE_ALL, true, 10000, now, NULL, NULL, &pruned), 0);
    assert_true(pruned.done && pruned.looked_at == 600 && pruned.unreliable == 10 && pruned.stale == 0);
    uint64_t gone = 0;
    size_t steps = 0;
    do {
        assert_int_equal(
            peercache_prune(cache, PEERCACHE_PRUNE_UNRELIABLE, false, 100, now, NULL, NULL, &pruned), 0);
        assert_true(pruned.looked_at <= 100);
        gone += pruned.unreliable;
        steps++;
    } while (!pruned.done && steps < 20);
    assert_int_equal(gone, 10);
    assert_in_range(steps, 6, 8);
    assert_int_equal(peercache_iterate(cache, count_peer, &peers), 0);
    assert_int_equal(peers, 590);
    assert_int_equal(peercache_prune(cache, 0, false, 10000, much_later, NULL, NULL, &pruned), 0);
    assert_int_equal(pruned.stale, 590);
    assert_int_equal(peercache_prune(cache, 8, false, 1, now, NULL, NULL, &pruned), PEERCACHE_EINVAL);
    assert_int_equal(peercache_prune(cache, 0, false, 0, now, NULL, NULL, &pruned), PEERCACHE_EINVAL);
    peercache_close(cache);
}

static void a_lower_cap_is_reached_by_pruning(void **state)
{
    (void)state;
    peercache_pruned pruned;
    int peers = 0;
    peercache *cache = open_cache(path);
    add_numbered(cache, 0, 600);
    peercache_close(cache);
    peercache_options *options = peercache_options_new();
    assert_int_equal(peercache_options_set_max_peers(options, 200), 0);
    assert_int_equal(peercache_open(path, "test", options, &cache), 0);
    assert_int_equal(peercache_prune(cache, PEERCACHE_PRUNE_CAPACITY, false, 1000, now, NULL, NULL, &pruned),
                     0);
    assert_int_equal(pruned.capacity, 400);
    assert_int_equal(peercache_iterate(cache, count_peer, &peers), 0);
    assert_int_equal(peers, 200);
    peercache_close(cache);
    peercache_options_free(options);
}

struct text {
    char data[65536];
    size_t size, at;
};

static int write_text(void *context, const void *data, size_t size)
{
    struct text *text = context;
    assert_true(text->size + size < sizeof(text->data));
    memcpy(text->data + text->size, data, size);
    text->size += size;
    return 0;
}

static int read_text(void *context, void *ret_data, size_t capacity, size_t *ret_size)
{
    struct text *text = context;
    *ret_size = text->size - text->at < capacity ? text->size - text->at : capacity;
    memcpy(ret_data, text->data + text->at, *ret_size);
    text->at += *ret_size;
    return 0;
}

/* A copy for comparing: the numbers of buckets are struck out, and the text is closed. */
static void without_buckets(struct text *text)
{
    text->data[text->size] = '\0';
    for (char *at = text->data; (at = strstr(at, "\"bucket\":"));)
        for (at += strlen("\"bucket\":"); *at >= '0' && *at <= '9';)
            memmove(at, at + 1, strlen(at));
    text->size = strlen(text->data);
}

static void a_trusted_import_of_our_export_is_the_same_cache(void **state)
{
    (void)state;
    static struct text first, second;
    char copy[160];
    peercache_imported imported;
    peercache_candidate picked[30];
    size_t count = 0;
    first.size = second.size = first.at = 0;
    peercache *cache = open_cache(path);
    add_numbered(cache, 0, 60);
    assert_int_equal(peercache_pick(cache, now, NULL, picked, 30, &count), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(
            peercache_report(cache, &picked[i], i % 3 ? PEERCACHE_OK : PEERCACHE_TIMEOUT, 12, now), 0);
    assert_int_equal(peercache_export(cache, PEERCACHE_FORMAT_LIST, now, write_text, &first, NULL), 0);
    peercache_close(cache);
    (void)snprintf(copy, sizeof(copy), "%s/copy.db", directory);
    cache = open_cache(copy);
    assert_int_equal(peercache_import(cache, PEERCACHE_FORMAT_ANY, true, now, read_text, &first, &imported),
                     0);
    assert_int_equal(imported.format, PEERCACHE_FORMAT_LIST);
    assert_int_equal(imported.accepted, 60);
    assert_int_equal(imported.rejected, 0);
    assert_int_equal(peercache_export(cache, PEERCACHE_FORMAT_LIST, now, write_text, &second, NULL), 0);
    without_buckets(&first); /* which are under the secret of each file */
    without_buckets(&second);
    /* the object before the peers has a secret of its own in each */
    assert_string_equal(strstr(first.data, "\"peers\""), strstr(second.data, "\"peers\""));
    second.at = second.size = 0;
    assert_int_equal(peercache_export(cache, PEERCACHE_FORMAT_LIST, now, write_text, &second, NULL), 0);
    assert_int_equal(
        peercache_import(cache, PEERCACHE_FORMAT_LIST, false, now, read_text, &second, &imported), 0);
    assert_int_equal(imported.merged, 60);
    assert_int_equal(imported.accepted, 0);
    peercache_stats stats;
    assert_int_equal(peercache_get_stats(cache, &stats), 0);
    assert_int_equal(stats.peers, 60);
    assert_int_equal(stats.addresses, 60);
    assert_int_equal(stats.groups, 60);
    assert_int_equal(stats.tried_peers, 20);
    assert_string_equal(stats.store, "sqlite");
    assert_true(stats.size_bytes > 4096 && stats.last_updated_ms == now.wall_ms);
    peercache_close(cache);
    for (const char *const *suffix =
             (const char *const[]){ "", "-wal", "-shm", ".lock", ".lock-queue", NULL };
         *suffix; suffix++) {
        char file[256];
        (void)snprintf(file, sizeof(file), "%s%s", copy, *suffix);
        (void)unlink(file);
    }
}

static void an_untrusted_import_is_new_and_within_its_quota(void **state)
{
    (void)state;
    static struct text text;
    peercache_imported imported;
    peercache_peer peer;
    text.at = 0;
    text.size =
        (size_t)snprintf(text.data, sizeof(text.data),
                         "{\"last_updated\":\"2025-01-01T00:00:00Z\",\"peers\":["
                         "{\"addr\":\"/ip4/20.1.1.1/udp/4001/quic-v1/p2p/" ID_1
                         "\",\"last_seen\":\"2025-01-01T00:00:00Z\",\"success_count\":9,\"failure_count\":0},"
                         "{\"addr\":\"/dns4/a.example/tcp/1\",\"last_seen\":\"2025-01-01T00:00:00Z\","
                         "\"success_count\":1,\"failure_count\":0}");
    for (unsigned i = 0; i < 300; i++) /* of one group: its share of one source is one bucket */
        text.size +=
            (size_t)snprintf(text.data + text.size, sizeof(text.data) - text.size,
                             ",{\"addr\":\"/ip4/30.1.%u.1/tcp/1\",\"last_seen\":\"2025-01-01T00:00:00Z\","
                             "\"success_count\":1,\"failure_count\":0}",
                             i % 256 + i / 256);
    text.size += (size_t)snprintf(text.data + text.size, sizeof(text.data) - text.size, "]}");
    peercache *cache = open_cache(path);
    assert_int_equal(peercache_import(cache, PEERCACHE_FORMAT_ANY, false, now, read_text, &text, &imported),
                     0);
    assert_int_equal(imported.read, 302);
    assert_int_equal(imported.read, imported.accepted + imported.merged + imported.rejected);
    assert_in_range(imported.accepted, 2, 21);
    assert_int_equal(imported.reason_count, 2);
    assert_string_equal(imported.reasons[0].reason, "dns_name");
    assert_string_equal(imported.reasons[1].reason, "over_quota");
    assert_int_equal(peercache_find(cache, ID_1, &peer), 0);
    assert_int_equal(peer.state, PEERCACHE_NEW);
    assert_int_equal(peer.addrs[0].success_count, 0);
    assert_int_equal(peer.addrs[0].learned_from, PEERCACHE_SOURCE_IMPORT);
    assert_int_equal(peercache_check(cache, false, now), 0);
    peercache_close(cache);
}

/* 4: memory cleared after a flush lost updates of peers not in memory. */
static void news_of_peers_not_in_memory_reach_the_file(void **state)
{
    (void)state;
    peercache_candidate candidate;
    peercache_peer peer;
    peercache *cache = open_cache(path);
    add_numbered(cache, 0, 2000);
    peercache_close(cache);
    cache = open_cache(path); /* holds a part */
    unsigned failed = 0;
    for (unsigned i = 1; i < 200; i += 2) {
        char addr[64];
        (void)snprintf(addr, sizeof(addr), "/ip4/20.%u.7.7/udp/4001/quic-v1", i);
        assert_int_equal(peercache_candidate_parse(cache, addr, &candidate), 0);
        assert_int_equal(peercache_report(cache, &candidate, PEERCACHE_REFUSED, -1, now), 0);
    }
    peercache_close(cache);
    cache = open_cache(path);
    for (unsigned i = 1; i < 200; i += 2) {
        char addr[64];
        (void)snprintf(addr, sizeof(addr), "/ip4/20.%u.7.7/udp/4001/quic-v1", i);
        assert_int_equal(peercache_find(cache, addr, &peer), 0);
        failed += peer.addrs[0].failure_count;
    }
    assert_int_equal(failed, 100);
    peercache_close(cache);
}

static int see_nothing(void *context, const peercache_explanation *explanation)
{
    (void)context, (void)explanation;
    return 0;
}

/* Other languages hand over what they have: no pointer that is missing brings the host down. */
static void a_missing_pointer_is_an_error_and_no_crash(void **state)
{
    (void)state;
    static const uint8_t seed[32];
    peercache_candidate candidate;
    peercache_outcome_report report = PEERCACHE_REPORT_INIT(PEERCACHE_OK);
    peercache_peer peer;
    peercache_stats stats;
    peercache_pruned pruned;
    peercache_imported imported;
    peercache_format format;
    static struct text text;
    size_t count = 77;
    peercache *cache = open_cache(NULL);
    peercache *const handles[] = { NULL, cache };
    assert_int_equal(peercache_candidate_parse(cache, "/ip4/20.1.1.1/tcp/1", &candidate), 0);
    for (size_t i = 0; i < 2; i++) { /* of no handle, and of one */
        peercache *handle = handles[i];
        assert_int_equal(peercache_add(handle, NULL, PEERCACHE_SOURCE_FLAG, now), PEERCACHE_EINVAL);
        assert_int_equal(peercache_add_from(handle, "/ip4/20.1.1.1/tcp/1", PEERCACHE_SOURCE_DHT, NULL, now),
                         PEERCACHE_EINVAL);
        assert_int_equal(peercache_candidate_parse(handle, NULL, &candidate), PEERCACHE_EINVAL);
        assert_int_equal(peercache_candidate_parse(handle, "/ip4/20.1.1.1/tcp/1", NULL), PEERCACHE_EINVAL);
        assert_int_equal(peercache_report(handle, NULL, PEERCACHE_OK, 1, now), PEERCACHE_EINVAL);
        assert_int_equal(peercache_report_more(handle, &candidate, NULL, now), PEERCACHE_EINVAL);
        assert_int_equal(peercache_pick(handle, now, NULL, NULL, 3, &count), PEERCACHE_EINVAL);
        assert_int_equal(peercache_pick(handle, now, NULL, &candidate, 1, NULL), PEERCACHE_EINVAL);
        assert_int_equal(peercache_explain(handle, now, NULL, 1, NULL, NULL), PEERCACHE_EINVAL);
        assert_int_equal(peercache_iterate(handle, NULL, NULL), PEERCACHE_EINVAL);
        assert_int_equal(peercache_find(handle, NULL, &peer), PEERCACHE_EINVAL);
        assert_int_equal(peercache_find(handle, ID_1, NULL), PEERCACHE_EINVAL);
        assert_int_equal(peercache_get_stats(handle, NULL), PEERCACHE_EINVAL);
        assert_int_equal(peercache_remove(handle, NULL, now), PEERCACHE_EINVAL);
        assert_int_equal(peercache_ban(handle, NULL, now), PEERCACHE_EINVAL);
        assert_int_equal(peercache_unban(handle, NULL), PEERCACHE_EINVAL);
        assert_int_equal(peercache_bans(handle, NULL, NULL), PEERCACHE_EINVAL);
        assert_int_equal(peercache_prune(handle, 0, true, 1, now, NULL, NULL, NULL), PEERCACHE_EINVAL);
        assert_int_equal(peercache_import(handle, PEERCACHE_FORMAT_ANY, false, now, NULL, NULL, &imported),
                         PEERCACHE_EINVAL);
        assert_int_equal(peercache_import(handle, PEERCACHE_FORMAT_ANY, false, now, read_text, &text, NULL),
                         PEERCACHE_EINVAL);
        assert_int_equal(peercache_export(handle, PEERCACHE_FORMAT_LIST, now, NULL, NULL, NULL),
                         PEERCACHE_EINVAL);
    }
    assert_int_equal(count, 77);
    assert_int_equal(peercache_report_more(NULL, &candidate, &report, now), PEERCACHE_EINVAL);
    assert_int_equal(peercache_explain(NULL, now, NULL, 1, see_nothing, NULL), PEERCACHE_EINVAL);
    assert_int_equal(peercache_get_stats(NULL, &stats), PEERCACHE_EINVAL);
    assert_int_equal(peercache_prune(NULL, 0, true, 1, now, NULL, NULL, &pruned), PEERCACHE_EINVAL);
    assert_int_equal(peercache_flush(NULL, 1), PEERCACHE_EINVAL);
    assert_int_equal(peercache_refresh(NULL), PEERCACHE_EINVAL);
    assert_int_equal(peercache_check(NULL, true, now), PEERCACHE_EINVAL);
    assert_int_equal(peercache_open(NULL, "test", NULL, NULL), PEERCACHE_EINVAL);
    assert_string_equal(peercache_errmsg(NULL), "");
    assert_null(peercache_warning(NULL));
    assert_false(peercache_is_read_only(NULL));
    assert_int_equal(peercache_format_from_name(NULL, &format), PEERCACHE_EINVAL);
    assert_int_equal(peercache_format_from_name("list", NULL), PEERCACHE_EINVAL);
    peercache_options_set_local(NULL, true);
    peercache_options_set_read_only(NULL, true);
    peercache_options_set_create(NULL, true);
    peercache_options_set_seed_rule(NULL, true);
    peercache_options_set_seed(NULL, seed);
    assert_int_equal(peercache_options_set_max_peers(NULL, 1), PEERCACHE_EINVAL);
    assert_int_equal(peercache_options_set_max_addrs(NULL, 1), PEERCACHE_EINVAL);
    assert_int_equal(peercache_options_set_max_record_bytes(NULL, 4096), PEERCACHE_EINVAL);
    assert_int_equal(peercache_options_set_retention_ms(NULL, PEERCACHE_RETENTION_MIN_MS), PEERCACHE_EINVAL);
    assert_int_equal(peercache_options_set_source_limit(NULL, 1, 1), PEERCACHE_EINVAL);
    assert_int_equal(peercache_options_set_total_limit(NULL, 1, 1), PEERCACHE_EINVAL);
    assert_int_equal(peercache_options_set_prune_interval_ms(NULL, 1), PEERCACHE_EINVAL);
    assert_int_equal(peercache_filter_set_dialable(NULL, 1, 1), PEERCACHE_EINVAL);
    assert_int_equal(peercache_filter_leave_out(NULL, ID_1), PEERCACHE_EINVAL);
    peercache_filter_set_seed(NULL, seed);
    peercache_filter *filter = peercache_filter_new();
    peercache_filter_set_seed(filter, NULL);
    assert_int_equal(peercache_filter_leave_out(filter, NULL), PEERCACHE_EINVAL);
    peercache_filter_free(filter);
    peercache_filter_free(NULL);
    peercache_options_free(NULL);
    peercache_close(NULL);
    peercache_close(cache);
}

/* The time given to flush is that of the whole call, not of each batch in it. */
static void flush_keeps_its_time_and_the_rest_pending(void **state)
{
    (void)state;
    int calls = 0, result, peers = 0;
    peercache *cache = open_cache(path);
    add_numbered(cache, 0, 2500); /* three batches */
    while ((result = peercache_flush(cache, 0)) == PEERCACHE_EBUSY) {
        char left[64];
        calls++;
        (void)snprintf(left, sizeof(left), "%d news are still pending", 2500 - 1000 * calls);
        assert_non_null(strstr(peercache_errmsg(cache), left));
    }
    assert_int_equal(result, 0);
    assert_int_equal(calls, 2);
    assert_int_equal(peercache_iterate(cache, count_peer, &peers), 0);
    assert_int_equal(peers, 2500);
    peercache_close(cache);
}

static void what_does_not_exist_is_not_made(void **state)
{
    (void)state;
    peercache *cache = NULL;
    peercache_options *options = peercache_options_new();
    peercache_options_set_create(options, false);
    assert_int_equal(peercache_open(path, "test", options, &cache), PEERCACHE_ENOTFOUND);
    assert_int_equal(access(path, F_OK), -1);
    peercache_close(cache);
    assert_int_equal(peercache_options_set_max_addrs(options, 9), PEERCACHE_EINVAL);
    assert_int_equal(peercache_options_set_max_record_bytes(options, 255), PEERCACHE_EINVAL);
    assert_int_equal(peercache_options_set_retention_ms(options, 1), PEERCACHE_EINVAL);
    assert_int_equal(peercache_options_set_source_limit(options, 1, 0), PEERCACHE_EINVAL);
    assert_int_equal(peercache_options_set_prune_interval_ms(options, -1), PEERCACHE_EINVAL);
    peercache_options_free(options);
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
        CASE(a_teller_has_his_share),
        CASE(a_filter_says_what_can_be_dialled),
        CASE(explain_tells_the_very_pick),
        CASE(report_more_tells_counts_and_unverified_signs),
        CASE(bans_last_and_cover_what_comes),
        CASE(prune_by_policy_in_bounded_steps),
        CASE(a_lower_cap_is_reached_by_pruning),
        CASE(a_trusted_import_of_our_export_is_the_same_cache),
        CASE(an_untrusted_import_is_new_and_within_its_quota),
        CASE(news_of_peers_not_in_memory_reach_the_file),
        CASE(flush_keeps_its_time_and_the_rest_pending),
        CASE(a_missing_pointer_is_an_error_and_no_crash),
        CASE(what_does_not_exist_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
