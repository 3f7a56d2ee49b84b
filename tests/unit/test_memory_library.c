/*
 * Failure of every allocation under the public face, with a cache of each kind behind it: each call works or says that
 * memory is out, and who asks again gets what he would have got; afterwards the cache is what it is without a failure.
 */
#include "check.h"
#include "failing_memory.h"

#include <peercache/peercache.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PEERS    12
#define EXPORTED (64 * 1024)

static const peercache_time now = { .wall_ms = INT64_C(1760000000000) };
static char directory[64];

#define MUST(call)                                                                                           \
    do {                                                                                                     \
        int must_result = (call);                                                                            \
        if (must_result == PEERCACHE_ENOMEM)                                                                 \
            must_result = (call);                                                                            \
        if (must_result)                                                                                     \
            fail_msg("allocation %u: %s: %d %s", failing_memory_number(), #call, must_result,                \
                     peercache_errmsg(cache));                                                               \
    } while (0)

struct text {
    char data[EXPORTED];
    size_t size, at;
};

static int write_text(void *context, const void *data, size_t size)
{
    struct text *text = context;
    assert_true(text->size + size < sizeof(text->data));
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = '\0';
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

static int open_anew(const char *path, peercache **cache)
{
    peercache_options *options = peercache_options_new();
    const uint8_t seed[32] = { 1 };
    if (!options)
        return PEERCACHE_ENOMEM;
    peercache_options_set_seed(options, seed);
    peercache_close(*cache); /* of the first try */
    int result = peercache_open(path, "test", options, cache);
    peercache_options_free(options);
    return result;
}

static int export_anew(peercache *cache, peercache_format format, struct text *text)
{
    text->size = text->at = 0;
    return peercache_export(cache, format, now, write_text, text, NULL);
}

static int import_anew(peercache *cache, bool trust, struct text *text)
{
    peercache_imported imported;
    text->at = 0;
    return peercache_import(cache, PEERCACHE_FORMAT_ANY, trust, now, read_text, text, &imported);
}

static int see_why(void *context, const peercache_explanation *explanation)
{
    (void)context;
    return explanation->why[0] == '\0';
}

static int see_peer(void *context, const peercache_peer *peer)
{
    *(size_t *)context += peer->addr_count;
    return 0;
}

static int see_ban(void *context, const char *text, int64_t since_ms)
{
    (void)context;
    return text[0] == '\0' || since_ms <= 0;
}

static int pick_and_explain(peercache *cache, peercache_candidate *picked, size_t *count)
{
    static const uint8_t seed[32] = { 2 };
    peercache_filter *filter = peercache_filter_new();
    if (!filter)
        return PEERCACHE_ENOMEM;
    peercache_filter_set_seed(filter, seed);
    int result = peercache_filter_leave_out(filter, "/ip4/20.1.7.7/udp/4001/quic-v1");
    if (result == 0)
        result = peercache_pick(cache, now, filter, picked, PEERS, count);
    if (result == 0)
        result = peercache_explain(cache, now, filter, 3, see_why, NULL);
    peercache_filter_free(filter);
    return result;
}

/* A removal that could not be committed waits, and is one all the same. */
static int remove_or_removed(peercache *cache, const char *peer, bool *is_again)
{
    int result = peercache_remove(cache, peer, now);
    bool was_again = *is_again;
    *is_again = true;
    return was_again && result == PEERCACHE_ENOTFOUND ? 0 : result;
}

static void cycle(const char *path, struct text *document, peercache **ret_cache)
{
    peercache *cache = NULL;
    peercache_candidate picked[PEERS];
    peercache_peer peer;
    peercache_stats stats;
    peercache_pruned pruned;
    static struct text scratch;
    size_t count = 0, seen = 0;
    bool is_removed = false;
    MUST(open_anew(path, &cache));
    MUST(import_anew(cache, true, document));
    for (unsigned i = 1; i <= PEERS; i++) {
        char addr[64];
        (void)snprintf(addr, sizeof(addr), "/ip4/20.%u.7.7/udp/4001/quic-v1", i);
        MUST(peercache_add(cache, addr, PEERCACHE_SOURCE_FLAG, now));
    }
    MUST(pick_and_explain(cache, picked, &count));
    assert_true(count > 0);
    for (unsigned i = 1; i <= PEERS; i++) {
        char addr[64];
        peercache_candidate candidate;
        (void)snprintf(addr, sizeof(addr), "/ip4/20.%u.7.7/udp/4001/quic-v1", i);
        MUST(peercache_candidate_parse(cache, addr, &candidate));
        MUST(peercache_report(cache, &candidate, i % 2 ? PEERCACHE_OK : PEERCACHE_REFUSED, 7, now));
    }
    MUST(peercache_flush(cache, 5000));
    MUST(peercache_refresh(cache));
    MUST(peercache_ban(cache, "20.12.0.0/16", now));
    MUST(peercache_ban(cache, "12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu", now));
    MUST(peercache_unban(cache, "20.12.0.0/16"));
    MUST(peercache_bans(cache, see_ban, NULL));
    MUST(remove_or_removed(cache, "/ip4/20.3.7.7/udp/4001/quic-v1", &is_removed));
    MUST(peercache_find(cache, "/ip4/20.4.7.7/udp/4001/quic-v1", &peer));
    MUST(peercache_iterate(cache, see_peer, &seen));
    MUST(peercache_get_stats(cache, &stats));
    MUST(peercache_prune(cache, PEERCACHE_PRUNE_STALE, false, 1000, now, NULL, NULL, &pruned));
    MUST(export_anew(cache, PEERCACHE_FORMAT_LIST, &scratch));
    MUST(import_anew(cache, false, &scratch));
    MUST(peercache_check(cache, false, now));
    *ret_cache = cache;
}

/* The numbers of the buckets are struck out: they are under a secret that is drawn for each export. */
static void without_buckets(struct text *text)
{
    for (char *at = text->data; (at = strstr(at, "\"bucket\":"));)
        for (at += strlen("\"bucket\":"); *at >= '0' && *at <= '9';)
            memmove(at, at + 1, strlen(at));
}

static void remove_files(void)
{
    DIR *entries = opendir(directory);
    for (const struct dirent *e = entries ? readdir(entries) : NULL; e; e = readdir(entries)) {
        char path[512];
        (void)snprintf(path, sizeof(path), "%s/%s", directory, e->d_name);
        (void)unlink(path);
    }
    if (entries)
        (void)closedir(entries);
}

static void survives(const char *name)
{
    static struct text document, expected, after;
    char path[128];
    memset(&document, 0, sizeof(document));
    (void)write_text(
        &document,
        "{\"peers\":[{\"addr\":\"/ip4/30.1.1.1/tcp/1\",\"last_seen\":\"2025-01-01T00:00:00Z\","
        "\"success_count\":3,\"failure_count\":1}]}",
        strlen("{\"peers\":[{\"addr\":\"/ip4/30.1.1.1/tcp/1\",\"last_seen\":\"2025-01-01T00:00:00Z\","
               "\"success_count\":3,\"failure_count\":1}]}"));
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name ? name : "");
    expected.size = 0;
    failing_memory_first();
    do {
        peercache *cache = NULL;
        failing_memory_arm();
        cycle(name ? path : NULL, &document, &cache);
        failing_memory_disarm();
        assert_int_equal(export_anew(cache, PEERCACHE_FORMAT_LIST, &after), 0);
        peercache_close(cache);
        remove_files();
        without_buckets(&after);
        const char *peers = strstr(after.data, "\"peers\"");
        assert_non_null(peers);
        if (expected.size == 0)
            expected = after;
        else if (strcmp(peers, strstr(expected.data, "\"peers\"")))
            fail_msg("allocation %u left another state behind:\n%s", failing_memory_number(), peers);
    } while (failing_memory_next());
    print_message("# %u allocations of a cycle\n", failing_memory_count());
}

static void in_memory(void **state)
{
    (void)state;
    survives(NULL);
}

static void on_a_json_file(void **state)
{
    (void)state;
    survives("peers.json");
}

/* Most are SQLite's own. */
static void on_sqlite(void **state)
{
    (void)state;
    survives("peers.db");
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "%s/peercache-test-XXXXXX",
                   access("/dev/shm", W_OK | X_OK) ? "/tmp" : "/dev/shm");
    return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    remove_files();
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(on_a_json_file, setup, teardown),
        cmocka_unit_test_setup_teardown(on_sqlite, setup, teardown),
    };
    return failing_memory_hook_sqlite() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
