/* What is particular to the JSON file: whose JSON it is, plain lists, temporaries, layout, modes. */
#include "conformance.h"

#include "format/format.h"
#include "store/json_document.h"

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define NOW_MS CONFORMANCE_NOW_MS
#define ID     "12D3KooWGRYZDHBembyGJQqQ6WgLqJWYNjnECJwGBnkmkS9dZC6b"

static char *read_text(void)
{
    FILE *file = fopen(conformance_path, "rb");
    static char text[65536];
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    assert_int_equal(fclose(file), 0);
    text[size] = '\0';
    return text;
}

static void write_text(const char *text)
{
    FILE *file = fopen(conformance_path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static size_t count_like(const char *pattern)
{
    char text[PC_STORE_PATH_BYTES + 32];
    glob_t found;
    (void)snprintf(text, sizeof(text), "%s%s", conformance_path, pattern);
    size_t count = glob(text, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return count;
}

static int find(struct pc_store *store, const char *id, struct pc_record *ret_record);

static int keep(void *context, const struct pc_record *record)
{
    *(struct pc_record *)context = *record;
    return 1;
}

static int find(struct pc_store *store, const char *id, struct pc_record *ret_record)
{
    struct pc_store_query query = { .kind = PC_STORE_BY_ID };
    assert_int_equal(pc_addr_peer_id_parse(id, strlen(id), &query.id, NULL), 0);
    return pc_store_query(store, &query, keep, ret_record);
}

/* Other programs' JSON, whole and cut, and what is no JSON but known. */
static void strangers_files_are_refused_untouched(void **state)
{
    (void)state;
    static const char *const texts[] = {
        /* ant's two, an endpoint's answer, a map, kubo's configuration, contacts as text */
        "{\"peers\":{\"" ID "\":[{\"addr\":\"/ip4/20.0.0.1/udp/1/quic-v1/p2p/" ID "\",\"success_count\":1,"
        "\"failure_count\":0,\"last_seen\":{\"secs_since_epoch\":1,\"nanos_since_epoch\":0}}]},"
        "\"last_updated\":{\"secs_since_epoch\":1,\"nanos_since_epoch\":0},\"network_version\":\"1_1.0\"}",
        "{\"peers\":[[\"" ID "\",[\"/ip4/20.0.0.1/udp/1/quic-v1/p2p/" ID "\"]]],\"cache_version\":\"1\"}",
        "{\"peers\":[\"/ip4/20.0.0.1/udp/1/quic-v1/p2p/" ID "\"],\"metadata\":{}}",
        "{\"peers\":{\"/ip4/20.0.0.1/udp/1/quic-v1\":{\"addr\":\"/ip4/20.0.0.1/udp/1/quic-v1\"}}}",
        "{\"Identity\":{\"PeerID\":\"x\"},\"Bootstrap\":[\"/ip4/20.0.0.1/udp/1/quic-v1/p2p/" ID "\"]}",
        "/ip4/20.0.0.1/udp/1/quic-v1/p2p/" ID "\n",
        /* anything */
        "{}",
        "[]",
        "[1,2,3]",
        "null",
        "\"text\"",
        "17",
        "{\"name\":\"left-pad\",\"version\":\"1.0.0\"}",
        "{\"peers\":7}",
        "{\"peers\":null}",
        "{\"network_version\":7,\"peers\":[]}",
        "{\"peers\":[],\"peers\":[]}",
        "{\"peercache\":7}",
        "{\"compilerOptions\":{\"strict\":true}}",
        "{\"peers\":[{\"addr\":\"/ip4/20.0.0.1/udp/1/quic-v1\"}],\"network_version\":\"other\"}",
        "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
        /* cut short, but it showed what it is */
        "{\"peers\":[[\"" ID "\",[\"/ip4/20.0.0.1/udp/1/quic-v1/p2p/" ID "\"]],[\"",
        "SQLite format 3\001 is not in place here",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct pc_store_options options = conformance_options(1);
        struct pc_store *store = NULL;
        struct pc_reason reason = { "" };
        bool is_sqlite = i == sizeof(texts) / sizeof(texts[0]) - 1;
        if (is_sqlite) {
            FILE *file = fopen(conformance_path, "wb");
            assert_non_null(file);
            assert_int_equal(fwrite("SQLite format 3", 1, 16, file), 16);
            assert_int_equal(fclose(file), 0);
        } else {
            write_text(texts[i]);
        }
        int result = pc_store_open(conformance_path, &options, &store, &reason);
        if (result != PEERCACHE_EFORMAT)
            fail_msg("%s: %d %s", texts[i], result, reason.text);
        assert_non_null(strstr(reason.text, conformance_path));
        if (i <= 5) /* peers are in it */
            assert_non_null(strstr(reason.text, "import it"));
        if (!is_sqlite)
            assert_string_equal(read_text(), texts[i]);
        options.read_only = true;
        assert_int_equal(pc_store_open(conformance_path, &options, &store, NULL), PEERCACHE_EFORMAT);
        assert_int_equal(count_like(".corrupt-*"), 0);
        assert_int_equal(unlink(conformance_path), 0);
    }
}

/* A seed's cache is its owner's own: its counts stay. */
static void a_plain_list_is_taken_over_with_its_counts(void **state)
{
    (void)state;
    struct pc_record record;
    write_text("{\"last_updated\":\"2025-01-01T00:00:00Z\",\"peers\":[\n"
               " {\"addr\":\"/ip4/20.1.2.3/udp/4001/quic-v1/p2p/" ID
               "\",\"last_seen\":\"2025-01-02T00:00:00Z\","
               "\"success_count\":2,\"failure_count\":1},\n"
               " {\"addr\":\"/ip4/20.1.2.4/udp/4001/quic-v1\",\"last_seen\":\"2025-01-02T00:00:00Z\","
               "\"success_count\":0,\"failure_count\":7},\n"
               " {\"addr\":\"/dns4/example.org/udp/4001/quic-v1\"},\n"
               " {\"addr\":\"/ip4/20.1.2.5/udp/4001/quic-v1/p2p/" ID "/p2p-circuit\"}\n]}\n");
    struct pc_store *store = conformance_open(1);
    assert_int_equal(find(store, ID, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count, 2);
    assert_int_equal(record.addrs[0].history.failure_count, 1);
    assert_true(record.addrs[0].history.last_seen_ms == INT64_C(1735776000000));
    assert_int_equal(record.state, PEERCACHE_TRIED);
    assert_int_equal(conformance_count(store, PC_STORE_ALL), 3);
    assert_non_null(strstr(store->warning.text, "1 entries")); /* the relay */
    struct pc_delta delta = conformance_delta(5, 1, NOW_MS);
    conformance_commit(store, 1, &delta);
    pc_store_close(store);
    store = conformance_open(2);
    assert_string_equal(store->warning.text, "");
    assert_int_equal(conformance_count(store, PC_STORE_ALL), 4);
    assert_int_equal(find(store, ID, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count, 2);
    /* The seed's rule. */
    assert_true(record.addrs[0].history.success_count > record.addrs[0].history.failure_count);
    pc_store_close(store);
}

/* Old readers take what they know of it. */
static void what_we_write_is_the_seeds_list(void **state)
{
    (void)state;
    struct pc_store *store = conformance_open(1);
    struct pc_delta delta = conformance_delta(3, 2, NOW_MS);
    conformance_commit(store, 1, &delta);
    pc_store_close(store);
    json_error_t error;
    json_t *json = json_load_file(conformance_path, 0, &error);
    assert_non_null(json);
    assert_true(json_is_string(json_object_get(json, "last_updated")));
    const json_t *peers = json_object_get(json, "peers"), *entry = json_array_get(peers, 0);
    assert_int_equal(json_array_size(peers), 1);
    assert_non_null(strstr(json_string_value(json_object_get(entry, "addr")), "/quic-v1/p2p/"));
    assert_string_equal(json_string_value(json_object_get(entry, "last_seen")), "2025-10-09T08:53:20.000Z");
    assert_int_equal(json_integer_value(json_object_get(entry, "success_count")), 2);
    assert_int_equal(json_integer_value(json_object_get(entry, "failure_count")), 2);
    const json_t *own = json_object_get(json, "peercache");
    assert_int_equal(json_integer_value(json_object_get(own, "version")), 1);
    assert_string_equal(json_string_value(json_object_get(own, "network")), "test");
    json_decref(json);
}

/* Merging through a hash map lost the age order (3). */
static void the_order_of_the_file_stays(void **state)
{
    (void)state;
    struct pc_store *store = conformance_open(1);
    static const uint32_t order[] = { 5, 3, 9, 1, 7 };
    for (uint32_t i = 0; i < 5; i++) {
        struct pc_delta delta = conformance_delta(order[i], 1, NOW_MS);
        conformance_commit(store, i + 1, &delta);
    }
    struct pc_delta again = conformance_delta(9, 1, NOW_MS);
    conformance_commit(store, 6, &again);
    pc_store_close(store);
    const char *text = read_text();
    for (uint32_t i = 0; i < 5; i++) {
        char addr[32];
        (void)snprintf(addr, sizeof(addr), "20.%u.7.0/", order[i]);
        text = strstr(text, addr);
        assert_non_null(text);
    }
}

static void a_newer_version_opens_read_only(void **state)
{
    (void)state;
    struct pc_record record;
    struct pc_store *store = conformance_open(1);
    struct pc_delta delta = conformance_delta(3, 1, NOW_MS);
    conformance_commit(store, 1, &delta);
    struct pc_store *side_by_side = conformance_open(5);
    pc_store_close(store);
    char *text = read_text();
    char *version = strstr(text, "\"version\":1");
    assert_non_null(version);
    version[10] = '2';
    write_text(text);
    for (int i = 0; i < 2; i++) { /* opened anew, and already open when the newer program wrote it */
        store = i ? side_by_side : conformance_open(2);
        conformance_commit(store, 1, &delta);
        assert_true(store->read_only);
        assert_non_null(strstr(store->warning.text, "newer"));
        assert_int_equal(conformance_find(store, 3, &record), 1);
        assert_int_equal(record.addrs[0].history.success_count, 1);
        assert_int_equal(pc_store_meta_put(store, "x", pc_bytes_of("y", 1), 100), 0);
        pc_store_close(store);
    }
    assert_non_null(strstr(read_text(), "\"version\":2"));
    char *ledger = strstr(read_text(), "\"ledger\":[");
    assert_non_null(ledger);
    ledger[9] = '7'; /* another form than ours */
    write_text(read_text());
    struct pc_store_options options = conformance_options(3);
    char *damaged = read_text();
    memcpy(strstr(damaged, "\"ledger\""), "\"LEDGER\"", 8);
    write_text(damaged);
    assert_int_equal(pc_store_open(conformance_path, &options, &store, NULL), PEERCACHE_EVERSION);
    assert_int_equal(count_like(".corrupt-*"), 0);
}

static void touch(const char *suffix)
{
    char path[PC_STORE_PATH_BYTES + 64];
    (void)snprintf(path, sizeof(path), "%s%s", conformance_path, suffix);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
}

static void temporaries_left_behind_are_swept_and_nothing_else(void **state)
{
    (void)state;
    char held[PC_STORE_PATH_BYTES + 64];
    touch(".tmp-0123456789abcdef");
    touch(".tmp-0123456789abcdef0"); /* not our pattern */
    touch(".tmp-0123456789abcdeg");
    touch(".tmp-");
    touch(".tmp-fedcba9876543210");
    (void)snprintf(held, sizeof(held), "%s.tmp-fedcba9876543210", conformance_path);
    int fd = open(held, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0); /* somebody writes it */
    pc_store_close(conformance_open(1));
    assert_int_equal(count_like(".tmp-*"), 4);
    assert_int_equal(access(held, F_OK), 0);
    assert_int_equal(close(fd), 0);
    struct pc_store *store = conformance_open(1);
    assert_int_equal(count_like(".tmp-*"), 3);
    touch(".tmp-0123456789abcdef"); /* also while a handle is at work */
    for (uint32_t i = 0; i < 64; i++) {
        struct pc_delta delta = conformance_delta(1, 1, NOW_MS);
        conformance_commit(store, i + 1, &delta);
    }
    assert_int_equal(count_like(".tmp-*"), 3);
    pc_store_close(store);
}

static void at_most_three_corrupt_files_are_kept(void **state)
{
    (void)state;
    for (int64_t i = 0; i < 6; i++) {
        struct pc_store_options options = conformance_options(1);
        struct pc_store *store = NULL;
        options.now_ms = NOW_MS + i;
        write_text("dear diary\n");
        assert_int_equal(pc_store_open(conformance_path, &options, &store, NULL), 0);
        assert_non_null(strstr(store->warning.text, ".corrupt-"));
        pc_store_close(store);
    }
    assert_int_equal(count_like(".corrupt-*"), 3);
}

static void one_bad_entry_costs_one_peer(void **state)
{
    (void)state;
    struct pc_store *store = conformance_open(1);
    for (uint32_t i = 0; i < 10; i++) {
        struct pc_delta delta = conformance_delta(i, 1, NOW_MS);
        conformance_commit(store, i + 1, &delta);
    }
    pc_store_close(store);
    char *text = read_text();
    memcpy(strstr(text, "/ip4/20.5.7.0"), "/ip4/20.5.7.X", 13); /* still JSON */
    write_text(text);
    store = conformance_open(2);
    assert_string_equal(store->warning.text, "");
    assert_int_equal(conformance_count(store, PC_STORE_ALL), 9);
    assert_int_equal(pc_store_check(store), PEERCACHE_ECORRUPT);
    assert_non_null(strstr(store->error.text, "bad_multiaddr"));
    pc_store_close(store);
    text = read_text();
    *strstr(text, "\"failure_count\"") = 'x'; /* no longer JSON */
    write_text(text);
    store = conformance_open(3);
    assert_non_null(strstr(store->warning.text, "8 peers salvaged"));
    assert_int_equal(pc_store_check(store), 0);
    struct pc_delta delta = conformance_delta(9, 1, NOW_MS);
    store->writer_id = 0; /* the ledger was salvaged too */
    pc_store_close(store);
    struct pc_store_options options = conformance_options(1); /* the first writer, as it was */
    assert_int_equal(pc_store_open(conformance_path, &options, &store, NULL), 0);
    conformance_commit(store, 10, &delta);
    struct pc_record record;
    assert_int_equal(conformance_find(store, 9, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count, 1);
    pc_store_close(store);
}

static void a_cut_list_of_the_seed_gives_what_stands_before_the_cut(void **state)
{
    (void)state;
    struct pc_record record;
    write_text(
        "{\"last_updated\":\"2025-01-01T00:00:00Z\",\"peers\":[ { \"success_count\":2, \"failure_count\":1,"
        " \"addr\":\"/ip4/20.1.2.3/udp/4001/quic-v1/p2p/" ID "\"}, {\"succ");
    struct pc_store *store = conformance_open(1);
    assert_non_null(strstr(store->warning.text, "1 peers salvaged"));
    assert_int_equal(find(store, ID, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count, 2);
    pc_store_close(store);
}

/* The file as its owner set it, also after it was replaced. */
static void the_mode_of_the_file_stays(void **state)
{
    (void)state;
    struct stat info;
    struct pc_store *store = conformance_open(1);
    struct pc_delta delta = conformance_delta(1, 1, NOW_MS);
    assert_int_equal(chmod(conformance_path, 0644), 0);
    conformance_commit(store, 1, &delta);
    assert_int_equal(stat(conformance_path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0644);
    assert_int_equal(chmod(conformance_path, 0444), 0); /* while it is open */
    conformance_commit(store, 2, &delta);
    assert_true(store->read_only);
    struct pc_record record;
    assert_int_equal(conformance_find(store, 1, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count, 1);
    pc_store_close(store);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, conformance_setup, conformance_teardown)

static struct pc_store *open_small(uint8_t seed)
{
    struct pc_store_options options = conformance_options(seed);
    struct pc_store *store = NULL;
    options.peers_max = 40;
    assert_int_equal(pc_store_open(conformance_path, &options, &store, NULL), 0);
    return store;
}

static void assert_counts(struct pc_store *store, uint64_t fresh, uint64_t tried, uint64_t refused)
{
    uint64_t counts[PEERCACHE_STATE_COUNT];
    assert_int_equal(pc_store_count(store, counts), 0);
    assert_int_equal(counts[PEERCACHE_NEW], fresh);
    assert_int_equal(counts[PEERCACHE_TRIED], tried);
    assert_int_equal(store->tally.refused, refused);
}

static void no_more_than_its_room_is_kept(void **state)
{
    (void)state;
    static struct pc_delta deltas[200];
    struct pc_store *store = open_small(1);
    for (uint32_t i = 0; i < 200; i++)
        deltas[i] = conformance_delta(i, i % 2, NOW_MS);
    assert_int_equal(pc_store_commit(store, 1, deltas, 200, NOW_MS, 1000), 0);
    assert_counts(store, 20, 20, 160); /* half of the room is for the tried */
    assert_int_equal(store->tally.added, 40);
    assert_int_equal(pc_store_commit(store, 1, deltas, 200, NOW_MS, 1000), 0); /* counted once */
    assert_int_equal(store->tally.added, 40);
    pc_store_close(store);
    store = open_small(2);
    assert_counts(store, 20, 20, 0);
    for (uint32_t i = 0; i < 100; i++) { /* the quota of the tried doesn't bind them, the room of all does */
        deltas[i] = conformance_delta(300 + i, 1, NOW_MS);
        deltas[i].trusted = true;
        deltas[i].state = PEERCACHE_TRIED;
    }
    assert_int_equal(pc_store_commit(store, 1, deltas, 100, NOW_MS, 1000), 0);
    assert_counts(store, 0, 40, 80);
    pc_store_close(store);
}

struct seen_bans {
    size_t count;
    char first[PC_CACHE_BAN_TEXT_BYTES];
    int64_t first_since_ms;
};

static int see_ban(void *context, const struct pc_ban *ban)
{
    struct seen_bans *seen = context;
    if (seen->count++ == 0) {
        pc_cache_ban_format(ban, seen->first);
        seen->first_since_ms = ban->since_ms;
    }
    return 0;
}

static void bans_are_kept_by_others_and_by_a_repair(void **state)
{
    (void)state;
    static const char *const texts[] = { "2001:db8::/32", "1.2.3.4", "10.0.0.0/8" };
    struct pc_ban bans[3];
    struct pc_store *store = conformance_open(1), *other = conformance_open(2);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pc_cache_ban_parse(texts[i], strlen(texts[i]), &bans[i], NULL), 0);
        bans[i].since_ms = NOW_MS + (int64_t)i;
    }
    assert_int_equal(pc_store_ban_put(store, bans, 3, 1000), 0);
    bans[1].since_ms += 77; /* of one that is kept the date stays */
    assert_int_equal(pc_store_ban_put(store, &bans[1], 1, 1000), 0);
    bans[2].since_ms = 0;
    assert_int_equal(pc_store_ban_put(other, &bans[2], 1, 1000), 0);
    assert_int_equal(pc_store_ban_put(store, &bans[2], 1, 1000), PEERCACHE_ENOTFOUND);
    for (int repaired = 0; repaired < 2; repaired++) {
        struct seen_bans seen = { .count = 0 };
        assert_int_equal(pc_store_bans(store, see_ban, &seen), 0);
        assert_int_equal(seen.count, 2);
        assert_string_equal(seen.first, "1.2.3.4");
        assert_true(seen.first_since_ms == NOW_MS + 1);
        assert_int_equal(pc_store_repair(other, 1000), 0);
    }
    pc_store_close(other);
    pc_store_close(store);
}

static void the_metadata_has_its_room(void **state)
{
    (void)state;
    size_t size = 0;
    char key[8];
    uint8_t *value = calloc(1, PC_STORE_META_VALUE_MAX_BYTES);
    assert_non_null(value);
    struct pc_store *store = conformance_open(1);
    const struct pc_bytes large = pc_bytes_of(value, PC_STORE_META_VALUE_MAX_BYTES);
    const int fitting = PC_JSON_META_MAX_BYTES / PC_STORE_META_VALUE_MAX_BYTES;
    for (int i = 0; i < fitting + 1; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(pc_store_meta_put(store, key, large, 1000), i < fitting ? 0 : PEERCACHE_ELIMIT);
    }
    assert_int_equal(pc_store_meta_put(store, "k0", large, 1000), 0); /* in its own place there is room */
    pc_store_close(store);
    store = conformance_open(2);
    assert_int_equal(pc_store_meta_get(store, "k31", value, PC_STORE_META_VALUE_MAX_BYTES, &size), 0);
    assert_int_equal(size, PC_STORE_META_VALUE_MAX_BYTES);
    for (int i = 0; i < PC_JSON_META_MAX + 1; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(pc_store_meta_put(store, key, pc_bytes_of("v", 1), 1000),
                         i < PC_JSON_META_MAX ? 0 : PEERCACHE_ELIMIT);
    }
    pc_store_close(store);
    free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(strangers_files_are_refused_untouched),
        CASE(a_plain_list_is_taken_over_with_its_counts),
        CASE(what_we_write_is_the_seeds_list),
        CASE(the_order_of_the_file_stays),
        CASE(a_newer_version_opens_read_only),
        CASE(temporaries_left_behind_are_swept_and_nothing_else),
        CASE(at_most_three_corrupt_files_are_kept),
        CASE(one_bad_entry_costs_one_peer),
        CASE(no_more_than_its_room_is_kept),
        CASE(bans_are_kept_by_others_and_by_a_repair),
        CASE(a_cut_list_of_the_seed_gives_what_stands_before_the_cut),
        CASE(the_mode_of_the_file_stays),
        CASE(the_metadata_has_its_room),
    };
    conformance_suffix_set(".json");
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
