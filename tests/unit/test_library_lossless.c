/*
 * Our own list is lossless: a random cache, exported and imported with trust into an empty one, is the same cache,
 * whatever kind of store is behind either. The state is compared below the public face, record by record, with what
 * the face doesn't show: microseconds, groups of sources, tombstones. Only the buckets differ, under another secret.
 */
#include "check.h"

#include "base/rng.h"
#include "cache/set.h"
#include "store/store.h"

#include <peercache/peercache.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOW_MS  INT64_C(1760000000000)
#define DAY_MS  (INT64_C(24) * 3600 * 1000)
#define PEERS   40
#define ROUNDS  6
#define DELTAS  300
#define REMOVED 12
#define BANS    9

static char directory[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "/tmp/peercache-test-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    DIR *entries = opendir(directory);
    for (const struct dirent *e = entries ? readdir(entries) : NULL; e; e = readdir(entries)) {
        char path[512];
        (void)snprintf(path, sizeof(path), "%s/%s", directory, e->d_name);
        (void)unlink(path);
    }
    if (entries)
        (void)closedir(entries);
    return rmdir(directory);
}

/* ---- A random cache ---- */

static uint32_t below(struct pc_rng *rng, uint32_t bound)
{
    return (uint32_t)pc_base_rng_below(rng, bound);
}

/* Small mostly, now and then at the end of its range. */
static uint32_t draw_count(struct pc_rng *rng)
{
    return below(rng, 40) == 0 ? UINT32_MAX - below(rng, 2) : below(rng, 5);
}

static int64_t draw_ms(struct pc_rng *rng)
{
    return below(rng, 4) ? NOW_MS - (int64_t)pc_base_rng_below(rng, (uint64_t)(60 * DAY_MS)) : 0;
}

static struct pc_peer_id draw_id(struct pc_rng *rng)
{
    struct pc_peer_id id = { .size = 38, .bytes = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 } };
    id.bytes[6] = (uint8_t)(1 + below(rng, PEERS));
    if (below(rng, 6) == 0)
        id.size = 0;
    return id;
}

static void draw_addr(struct pc_rng *rng, const struct pc_peer_id *id, struct pc_maddr *ret_addr)
{
    char text[96];
    struct pc_reason reason = { "" };
    unsigned peer = id->size ? id->bytes[6] : 200 + below(rng, 20), number = 1 + below(rng, 10);
    uint32_t kind = below(rng, 3);
    if (kind == 0)
        (void)snprintf(text, sizeof(text), "/ip4/20.%u.1.%u/udp/4001/quic-v1", peer, number);
    else if (kind == 1)
        (void)snprintf(text, sizeof(text), "/ip6/2600:%x::%x/tcp/4001", peer, number);
    else
        (void)snprintf(text, sizeof(text), "/dns4/n%u-%u.example/tcp/443/wss", peer, number);
    if (pc_addr_maddr_parse(text, strlen(text), ret_addr, &reason))
        fail_msg("%s", reason.text);
}

static struct pc_delta draw_delta(struct pc_rng *rng)
{
    struct pc_delta delta;
    struct pc_maddr addr;
    struct pc_peer_id id = draw_id(rng);
    draw_addr(rng, &id, &addr);
    pc_cache_delta_init(&delta, &id, pc_addr_maddr_bytes(&addr));
    struct pc_history *history = &delta.history;
    history->success_count = below(rng, 2) ? draw_count(rng) : 0;
    history->failure_count = draw_count(rng);
    for (size_t i = 1; i < PEERCACHE_OUTCOME_COUNT; i++)
        history->failures[i] = below(rng, 3) ? 0 : draw_count(rng);
    history->last_seen_ms = draw_ms(rng);
    history->last_success_ms = history->success_count ? draw_ms(rng) : 0;
    history->last_attempt_ms = draw_ms(rng);
    if (below(rng, 2)) {
        history->rtt_us = below(rng, 9) ? below(rng, 5000000) : PC_RTT_UNKNOWN - 1;
        history->rtt_at_ms = draw_ms(rng);
    }
    delta.first_seen_ms = draw_ms(rng);
    delta.source = (peercache_source)below(rng, PEERCACHE_SOURCE_COUNT);
    if (below(rng, 2))
        delta.source_group = pc_addr_netgroup(pc_addr_maddr_bytes(&addr), PC_NETGROUP_PUBLIC);
    return delta;
}

/* A removal of a peer, of one address of it, or of one known by address only. */
static struct pc_delta draw_removal(struct pc_rng *rng)
{
    struct pc_delta delta = draw_delta(rng);
    int64_t removed_ms = NOW_MS - (int64_t)below(rng, 1000000);
    struct pc_peer_id id = delta.id;
    struct pc_maddr addr = delta.addr;
    bool is_whole = id.size && below(rng, 2);
    pc_cache_delta_init(&delta, &id, is_whole ? pc_bytes_of(NULL, 0) : pc_addr_maddr_bytes(&addr));
    delta.removed_ms = removed_ms;
    return delta;
}

static void draw_ban(struct pc_rng *rng, struct pc_ban *ret_ban)
{
    char text[64];
    if (below(rng, 2))
        (void)snprintf(text, sizeof(text), "20.%u.0.0/%u", 1 + below(rng, PEERS), 16 + below(rng, 17));
    else
        (void)snprintf(text, sizeof(text), "2600:%x::/%u", 1 + below(rng, PEERS), 32 + below(rng, 97));
    assert_int_equal(pc_cache_ban_parse(text, strlen(text), ret_ban, NULL), 0);
    ret_ban->since_ms = NOW_MS - (int64_t)below(rng, 1000000);
}

static struct pc_store *open_store(const char *path)
{
    const struct pc_store_options options = {
        .network = "test", .timeout_ms = 5000, .now_ms = NOW_MS, .random = { 1 }
    };
    struct pc_store *store = NULL;
    struct pc_reason reason = { "" };
    if (pc_store_open(path, &options, &store, &reason))
        fail_msg("%s", reason.text);
    return store;
}

static void make_cache(struct pc_rng *rng, const char *path)
{
    struct pc_store *store = open_store(path);
    struct pc_ban bans[BANS];
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        static struct pc_delta deltas[DELTAS];
        for (size_t i = 0; i < DELTAS; i++)
            deltas[i] = i < REMOVED ? draw_removal(rng) : draw_delta(rng);
        assert_int_equal(pc_store_commit(store, round, deltas, DELTAS, NOW_MS, 5000), 0);
    }
    for (size_t i = 0; i < BANS; i++)
        draw_ban(rng, &bans[i]);
    assert_int_equal(pc_store_ban_put(store, bans, BANS, 5000), 0);
    pc_store_close(store);
}

/* ---- Its state as text, a line each, sorted ---- */

struct state {
    char *lines[8 * 1024];
    size_t count;
    size_t removals, bans, tried, without_id;
    struct pc_bans covered;
};

static void put_line(struct state *state, const char *line)
{
    assert_true(state->count < sizeof(state->lines) / sizeof(state->lines[0]));
    state->lines[state->count] = strdup(line);
    assert_non_null(state->lines[state->count++]);
}

static int put_record(void *context, const struct pc_record *record)
{
    struct state *state = context;
    struct pc_record visible = *record;
    char id[PC_PEER_ID_TEXT_BYTES], addr[PC_MULTIADDR_TEXT_BYTES], line[4096];
    if (!pc_cache_bans_filter(&state->covered, &visible))
        return 0;
    pc_addr_peer_id_format(&visible.id, id);
    state->tried += visible.state == PEERCACHE_TRIED;
    state->without_id += visible.id.size == 0;
    for (size_t i = 0; i < visible.addr_count; i++) {
        const struct pc_record_addr *a = &visible.addrs[i];
        const struct pc_history *h = &a->history;
        assert_int_equal(pc_addr_multiaddr_format(pc_addr_maddr_bytes(&a->addr), addr, sizeof(addr), NULL),
                         0);
        int at = snprintf(
            line, sizeof(line), "%s %s %d: %u/%u seen %lld ok %lld try %lld rtt %u at %lld first %lld %d ",
            id, addr, (int)visible.state, h->success_count, h->failure_count, (long long)h->last_seen_ms,
            (long long)h->last_success_ms, (long long)h->last_attempt_ms, h->rtt_us, (long long)h->rtt_at_ms,
            (long long)a->first_seen_ms, (int)a->source);
        for (size_t k = 0; k < PEERCACHE_OUTCOME_COUNT; k++)
            at += snprintf(line + at, sizeof(line) - (size_t)at, "%u,", h->failures[k]);
        for (size_t k = 0; k < a->source_group.size; k++)
            at += snprintf(line + at, sizeof(line) - (size_t)at, "%02x", a->source_group.bytes[k]);
        put_line(state, line);
    }
    return 0;
}

static int put_removal(void *context, const struct pc_delta *removal)
{
    struct state *state = context;
    char id[PC_PEER_ID_TEXT_BYTES], addr[PC_MULTIADDR_TEXT_BYTES] = "", line[4096];
    pc_addr_peer_id_format(&removal->id, id);
    if (removal->addr.size)
        assert_int_equal(
            pc_addr_multiaddr_format(pc_addr_maddr_bytes(&removal->addr), addr, sizeof(addr), NULL), 0);
    (void)snprintf(line, sizeof(line), "removed %s %s %lld", id, addr, (long long)removal->removed_ms);
    state->removals++;
    put_line(state, line);
    return 0;
}

static int put_ban(void *context, const struct pc_ban *ban)
{
    struct state *state = context;
    char text[PC_CACHE_BAN_TEXT_BYTES], line[128];
    pc_cache_ban_format(ban, text);
    (void)snprintf(line, sizeof(line), "banned %s %lld", text, (long long)ban->since_ms);
    state->bans++;
    put_line(state, line);
    return pc_cache_bans_add(&state->covered, ban);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void read_state(const char *path, struct state *ret_state)
{
    static const struct pc_store_query all = { .kind = PC_STORE_ALL };
    struct pc_store *store = open_store(path);
    memset(ret_state, 0, sizeof(*ret_state));
    pc_cache_bans_init(&ret_state->covered);
    assert_int_equal(pc_store_bans(store, put_ban, ret_state), 0);
    assert_int_equal(pc_store_removals(store, put_removal, ret_state), 0);
    assert_int_equal(pc_store_query(store, &all, put_record, ret_state), 0);
    pc_store_close(store);
    qsort(ret_state->lines, ret_state->count, sizeof(ret_state->lines[0]), compare_lines);
}

static void free_state(struct state *state)
{
    for (size_t i = 0; i < state->count; i++)
        free(state->lines[i]);
    pc_cache_bans_deinit(&state->covered);
}

static void assert_same_state(const struct state *a, const struct state *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++)
        assert_string_equal(a->lines[i], b->lines[i]);
    assert_int_equal(a->count, b->count);
}

/* ---- The way there ---- */

struct text {
    char *data;
    size_t size, at;
};

static int write_text(void *context, const void *data, size_t size)
{
    struct text *text = context;
    text->data = realloc(text->data, text->size + size);
    assert_non_null(text->data);
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

static peercache *open_cache(const char *path)
{
    peercache *cache = NULL;
    if (peercache_open(path, "test", NULL, &cache))
        fail_msg("%s", peercache_errmsg(cache));
    return cache;
}

static const peercache_time now = { .wall_ms = NOW_MS };

static void export_to(const char *path, struct text *text)
{
    uint64_t left_out = 77;
    peercache *cache = open_cache(path);
    if (peercache_export(cache, PEERCACHE_FORMAT_LIST, now, write_text, text, &left_out))
        fail_msg("%s", peercache_errmsg(cache));
    assert_int_equal(left_out, 0);
    peercache_close(cache);
}

static void import_from(const char *path, bool trust, struct text *text, peercache_imported *ret_imported)
{
    peercache *cache = open_cache(path);
    text->at = 0;
    if (peercache_import(cache, PEERCACHE_FORMAT_ANY, trust, now, read_text, text, ret_imported))
        fail_msg("%s", peercache_errmsg(cache));
    peercache_close(cache);
}

static void name_file(char *ret_path, size_t capacity, const char *name, unsigned number, const char *suffix)
{
    (void)snprintf(ret_path, capacity, "%s/%s%u%s", directory, name, number, suffix);
}

static void our_list_is_lossless(const char *from_suffix, const char *to_suffix)
{
    static struct state before, after;
    for (unsigned seed = 1; seed <= 4; seed++) {
        struct pc_rng rng;
        struct text text = { NULL, 0, 0 };
        peercache_imported imported;
        char from[128], to[128];
        const uint8_t bytes[PC_RNG_SEED_BYTES] = { (uint8_t)seed };
        pc_base_rng_init(&rng, bytes);
        name_file(from, sizeof(from), "from", seed, from_suffix);
        name_file(to, sizeof(to), "to", seed, to_suffix);
        make_cache(&rng, from);
        export_to(from, &text);
        import_from(to, true, &text, &imported);
        assert_int_equal(imported.rejected, 0);
        assert_int_equal(imported.merged, 0);
        read_state(from, &before);
        read_state(to, &after);
        assert_same_state(&before, &after);
        /* and the random cache had something of everything */
        assert_true(before.removals > 10 && before.bans > 3 && before.tried > 5 && before.without_id > 0);
        import_from(to, true, &text, &imported); /* once more: nothing counts twice, nothing changes */
        assert_int_equal(imported.accepted, 0);
        free_state(&after);
        read_state(to, &after);
        assert_same_state(&before, &after);
        free_state(&before);
        free_state(&after);
        free(text.data);
    }
}

static void from_sqlite_to_sqlite(void **state)
{
    (void)state;
    our_list_is_lossless(".db", ".db");
}

static void from_sqlite_to_json(void **state)
{
    (void)state;
    our_list_is_lossless(".db", ".json");
}

static void from_json_to_sqlite(void **state)
{
    (void)state;
    our_list_is_lossless(".json", ".db");
}

/* The list is itself a JSON file: under such a name it opens as the same cache. */
static void an_exported_list_is_a_cache(void **state)
{
    (void)state;
    static struct state before, after;
    struct pc_rng rng;
    struct text text = { NULL, 0, 0 };
    char from[128], to[128];
    const uint8_t bytes[PC_RNG_SEED_BYTES] = { 9 };
    pc_base_rng_init(&rng, bytes);
    name_file(from, sizeof(from), "from", 9, ".db");
    name_file(to, sizeof(to), "to", 9, ".json");
    make_cache(&rng, from);
    export_to(from, &text);
    FILE *file = fopen(to, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text.data, 1, text.size, file), text.size);
    assert_int_equal(fclose(file), 0);
    read_state(from, &before);
    read_state(to, &after);
    assert_same_state(&before, &after);
    free_state(&before);
    free_state(&after);
    free(text.data);
}

/* Whoever hands us a list could else make us forget, or never dial, whom he likes. */
static void without_trust_bans_and_removals_are_ignored(void **state)
{
    (void)state;
    static struct state before, after;
    struct pc_rng rng;
    struct text text = { NULL, 0, 0 };
    peercache_imported imported;
    char from[128], to[128];
    const uint8_t bytes[PC_RNG_SEED_BYTES] = { 11 };
    pc_base_rng_init(&rng, bytes);
    name_file(from, sizeof(from), "from", 11, ".db");
    name_file(to, sizeof(to), "to", 11, ".db");
    make_cache(&rng, from);
    export_to(from, &text);
    read_state(from, &before);
    assert_true(before.removals > 0 && before.bans > 0);
    import_from(to, false, &text, &imported);
    assert_true(imported.accepted > 0);
    read_state(to, &after);
    assert_int_equal(after.removals, 0);
    assert_int_equal(after.bans, 0);
    assert_int_equal(after.tried, 0);
    free_state(&before);
    free_state(&after);
    free(text.data);
}

/* In memory there is nobody from whose memory a peer could come back, so no removals are kept; the rest is. */
static int count_ban(void *context, const char *peer_id_or_cidr, int64_t since_ms)
{
    assert_true(peer_id_or_cidr[0] && since_ms > 0);
    ++*(size_t *)context;
    return 0;
}

static void a_cache_in_memory_takes_bans_and_removals(void **state)
{
    (void)state;
    static struct state before;
    struct pc_rng rng;
    struct text text = { NULL, 0, 0 };
    peercache_imported imported;
    char from[128];
    size_t bans = 0;
    const uint8_t bytes[PC_RNG_SEED_BYTES] = { 12 };
    pc_base_rng_init(&rng, bytes);
    name_file(from, sizeof(from), "from", 12, ".db");
    make_cache(&rng, from);
    export_to(from, &text);
    read_state(from, &before);
    peercache *cache = open_cache(NULL);
    assert_int_equal(peercache_import(cache, PEERCACHE_FORMAT_ANY, true, now, read_text, &text, &imported),
                     0);
    assert_int_equal(imported.rejected, 0);
    assert_int_equal(imported.accepted, before.count - before.bans - before.removals);
    assert_int_equal(peercache_bans(cache, count_ban, &bans), 0);
    assert_int_equal(bans, before.bans);
    peercache_close(cache);
    free_state(&before);
    free(text.data);
}

static void a_damaged_object_of_a_trusted_list_is_an_error(void **state)
{
    (void)state;
    static const char *const objects[] = {
        "{\"version\":1,\"network\":\"test\",\"mode\":\"public\",\"secret\":"
        "\"00112233445566778899aabbccddeeff\","
        "\"change\":0,\"ledger\":[],\"tombstones\":[{\"peer\":\"x\",\"removed\":\"2025-01-01T00:00:00Z\"}]}",
        "{\"version\":1,\"network\":\"test\",\"mode\":\"public\",\"secret\":"
        "\"00112233445566778899aabbccddeeff\","
        "\"change\":0,\"ledger\":[],\"tombstones\":[],\"bans\":[[\"20.1.0.0/40\",1]]}",
    };
    char path[128], list[1024];
    name_file(path, sizeof(path), "to", 1, ".db");
    for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
        peercache_imported imported;
        struct text text = { list, 0, 0 };
        text.size = (size_t)snprintf(list, sizeof(list), "{\"peercache\":%s,\"peers\":[]}", objects[i]);
        peercache *cache = open_cache(path);
        assert_int_equal(
            peercache_import(cache, PEERCACHE_FORMAT_ANY, true, now, read_text, &text, &imported),
            PEERCACHE_EPARSE);
        assert_non_null(strstr(peercache_errmsg(cache), "peercache is damaged"));
        text.at = 0;
        assert_int_equal(
            peercache_import(cache, PEERCACHE_FORMAT_ANY, false, now, read_text, &text, &imported), 0);
        peercache_close(cache);
    }
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(from_sqlite_to_sqlite),
        CASE(from_sqlite_to_json),
        CASE(from_json_to_sqlite),
        CASE(an_exported_list_is_a_cache),
        CASE(without_trust_bans_and_removals_are_ignored),
        CASE(a_cache_in_memory_takes_bans_and_removals),
        CASE(a_damaged_object_of_a_trusted_list_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
