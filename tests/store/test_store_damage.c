/*
 * Damage of every kind to the file of a store, for each kind of store: a byte flipped, the file cut, replaced
 * by what it can't be, before it is opened and while it is in use. No crash, no hang, a clear word, and the
 * work goes on.
 */
#include "conformance.h"

#include "base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW_MS     CONFORMANCE_NOW_MS
#define PEERS      6
#define HUGE_BYTES (INT64_C(3) << 30) /* sparse: it takes no room */
#define DEEP_BYTES 200000

static const char *suffix;

static uint8_t *read_whole(size_t *ret_size)
{
    FILE *file = fopen(conformance_path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *ret_size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(*ret_size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *ret_size, file), *ret_size);
    assert_int_equal(fclose(file), 0);
    return data;
}

static void write_whole(const uint8_t *data, size_t size)
{
    FILE *file = fopen(conformance_path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
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

static void fill(void)
{
    struct pc_store *store = conformance_open(1);
    struct pc_delta deltas[PEERS];
    for (uint32_t i = 0; i < PEERS; i++)
        deltas[i] = conformance_delta(i, i % 2, NOW_MS - i);
    assert_int_equal(pc_store_commit(store, 1, deltas, PEERS, NOW_MS, 1000), 0);
    pc_store_close(store);
}

static int visit_nothing(void *context, const struct pc_record *record)
{
    ++*(size_t *)context;
    assert_true(record->addr_count > 0);
    return 0;
}

/* Read all and write; ECORRUPT may be told once, when reading had begun. Returns how many were there. */
static size_t use(struct pc_store *store, const char *what, size_t at)
{
    struct pc_store_query all = { .kind = PC_STORE_ALL };
    struct pc_record record;
    size_t count = 0;
    int result = pc_store_query(store, &all, visit_nothing, &count);
    if (result == PEERCACHE_ECORRUPT) {
        count = 0;
        result = pc_store_query(store, &all, visit_nothing, &count);
    }
    if (result)
        fail_msg("%s %zu: reading: %s", what, at, store->error.text);
    if (store->read_only)
        return count;
    struct pc_delta delta = conformance_delta(5000, 1, NOW_MS);
    if (pc_store_commit(store, 1, &delta, 1, NOW_MS, 1000))
        fail_msg("%s %zu: %s", what, at, store->error.text);
    /* A flip in a key of an index is no damage that SQLite sees, but it may search past what stands behind. */
    bool may_miss = strcmp(suffix, ".db") == 0 && strcmp(what, "byte") == 0;
    if (conformance_find(store, 5000, &record) != 1 && !may_miss)
        fail_msg("%s %zu: what was committed is not there", what, at);
    return count;
}

static void forget_the_rest(void)
{
    char pattern[PC_STORE_PATH_BYTES + 4];
    glob_t found;
    (void)snprintf(pattern, sizeof(pattern), "%s*", conformance_path);
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            if (unlink(found.gl_pathv[i]))
                assert_int_equal(rmdir(found.gl_pathv[i]), 0);
    globfree(&found);
}

static void any_byte_flipped(void **state)
{
    (void)state;
    size_t size, refused = 0, aside = 0;
    struct pc_rng rng;
    fill();
    uint8_t *data = read_whole(&size);
    size_t stride = size / (strcmp(suffix, ".json") ? 9000 : 2500) +
                    1; /* every byte of a JSON file, a sample of SQLite's */
    pc_base_rng_init_u64(&rng, 4);
    for (size_t at = 0; at < size; at += stride) {
        uint8_t before = data[at];
        data[at] ^= (uint8_t)(1 + pc_base_rng_below(&rng, 255));
        write_whole(data, size);
        struct pc_store_options options = conformance_options(3);
        struct pc_store *store = NULL;
        struct pc_reason reason = { "" };
        int result = pc_store_open(conformance_path, &options, &store, &reason);
        /* In the name of the network, in the mode or in the version: a clear word. */
        if (result && result != PEERCACHE_ENETWORK && result != PEERCACHE_EVERSION)
            fail_msg("byte %zu: %d %s", at, result, reason.text);
        refused += result != 0;
        if (result == 0) {
            size_t count = use(store, "byte", at);
            /* Of JSON one entry may be lost; all only with the words that say whose it is. */
            if (strcmp(suffix, ".json") == 0 && count < PEERS - 1) {
                const uint8_t *own = memmem(data, size, "\"peercache\"", 11);
                const uint8_t *secret = memmem(data, size, "\"secret\"", 8);
                if (own && secret && (data + at < own || data + at > secret + 11))
                    fail_msg("byte %zu (%02x to %02x): %zu peers are left: %s", at, before, data[at], count,
                             store->warning.text);
            }
        }
        data[at] = before;
        pc_store_close(store);
        aside += count_like(".corrupt-*[0-9]");
        forget_the_rest();
    }
    print_message("# %zu bytes, %zu refused, %zu moved aside\n", size / stride, refused, aside);
    free(data);
}

static void cut_at_any_length(void **state)
{
    (void)state;
    size_t size, last = 0;
    fill();
    uint8_t *data = read_whole(&size);
    for (size_t cut = 0; cut < size; cut += size / (strcmp(suffix, ".json") ? 150 : 1200) + 1) {
        write_whole(data, cut);
        struct pc_store *store = conformance_open(3);
        size_t count = use(store, "cut", cut);
        assert_in_range(count, 0, PEERS);
        if (strcmp(suffix, ".json") == 0) /* what was whole before the cut is there */
            assert_true(count >= last);
        last = count;
        pc_store_close(store);
        forget_the_rest();
    }
    free(data);
}

static void random_bytes_are_moved_aside(void **state)
{
    (void)state;
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, 5);
    for (size_t round = 0; round < 40; round++) {
        uint8_t data[5000];
        pc_base_rng_bytes(&rng, data, sizeof(data));
        write_whole(data, 1 + pc_base_rng_below(&rng, sizeof(data)));
        struct pc_store *store = conformance_open(3);
        assert_non_null(strstr(store->warning.text, "moved aside"));
        assert_int_equal(use(store, "random", round), 0);
        pc_store_close(store);
        assert_int_equal(count_like(".corrupt-*[0-9]"), 1);
        forget_the_rest();
    }
}

/* The one moved aside last is read after the rest are forgotten; it must not be the one forgotten. */
static void moved_aside_often_at_one_time(void **state)
{
    (void)state;
    fill();
    for (size_t round = 0; round < 8; round++) {
        struct pc_store_options options = conformance_options(3);
        struct pc_store *store = NULL;
        options.now_ms = round < 5 ? NOW_MS : NOW_MS - 1000; /* also when the clock was set back */
        assert_int_equal(pc_store_open(conformance_path, &options, &store, NULL), 0);
        assert_int_equal(pc_store_repair(store, 1000), 0);
        size_t count = 0;
        struct pc_store_query all = { .kind = PC_STORE_ALL };
        assert_int_equal(pc_store_query(store, &all, visit_nothing, &count), 0);
        assert_int_equal(count, PEERS);
        pc_store_close(store);
        assert_int_equal(count_like(".corrupt-*[0-9]"), round < 3 ? round + 1 : 3);
    }
}

/* What may stand where the cache was. */
static void put_directory(void)
{
    assert_int_equal(mkdir(conformance_path, 0700), 0);
}

static void put_link(void)
{
    char elsewhere[PC_STORE_PATH_BYTES + 16];
    (void)snprintf(elsewhere, sizeof(elsewhere), "%s.target", conformance_path);
    int fd = open(elsewhere, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "not yours", 9), 9);
    assert_int_equal(close(fd), 0);
    assert_int_equal(symlink(elsewhere, conformance_path), 0);
}

static void put_huge(void)
{
    int fd = open(conformance_path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, HUGE_BYTES), 0);
    assert_int_equal(close(fd), 0);
}

static void put_deep(void)
{
    uint8_t *data = malloc(DEEP_BYTES);
    assert_non_null(data);
    memset(data, '[', DEEP_BYTES);
    memcpy(data, "{\"a\":", 5);
    write_whole(data, DEEP_BYTES);
    free(data);
}

static void put_random(void)
{
    static const uint8_t data[] = { 0xff, 1, 2, 3, 4, 5, 6, 7, 0x80, 0x90, 'x' };
    write_whole(data, sizeof(data));
}

static void put_empty(void)
{
    write_whole((const uint8_t *)"", 0);
}

static void (*const puts_there[])(void) = {
    put_directory, put_link, put_huge, put_deep, put_random, put_empty
};

static void take_away(void)
{
    if (unlink(conformance_path) && errno != ENOENT)
        assert_int_equal(rmdir(conformance_path), 0);
}

/* Moved away and another thing put there while handles use it: a word or new work, and when the thing is gone
 * the handles go on. */
static void replaced_while_in_use(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(puts_there) / sizeof(puts_there[0]); i++) {
        fill();
        struct pc_store *a = conformance_open(1), *b = conformance_open(2);
        struct pc_delta delta = conformance_delta(100, 1, NOW_MS);
        struct pc_record record;
        struct stat before, after;
        size_t count = 0;
        struct pc_store_query all = { .kind = PC_STORE_ALL };
        take_away();
        puts_there[i]();
        assert_int_equal(stat(conformance_path, &before), 0);
        int read_result = pc_store_query(a, &all, visit_nothing, &count);
        int result = pc_store_commit(b, 1, &delta, 1, NOW_MS, 1000);
        if (read_result)
            assert_non_null(strstr(a->error.text, conformance_path));
        if (result) {
            assert_non_null(strstr(b->error.text, conformance_path));
            assert_int_equal(stat(conformance_path, &after), 0); /* it is left as it was */
            assert_int_equal(before.st_ino, after.st_ino);
            assert_int_equal(before.st_size, after.st_size);
            take_away();
            conformance_commit(b, 1, &delta);
        }
        assert_int_equal(conformance_find(a, 100, &record), 1);
        assert_int_equal(record.addrs[0].history.success_count, 1);
        pc_store_close(a);
        pc_store_close(b);
        struct pc_store *c = conformance_open(4);
        assert_int_equal(conformance_find(c, 100, &record), 1);
        pc_store_close(c);
        forget_the_rest();
    }
}

/* What stands there when it is opened. */
static void found_at_open(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(puts_there) / sizeof(puts_there[0]); i++) {
        struct pc_store_options options = conformance_options(3);
        struct pc_store *store = NULL;
        struct pc_reason reason = { "" };
        puts_there[i]();
        int result = pc_store_open(conformance_path, &options, &store, &reason);
        if (result)
            assert_non_null(strstr(reason.text, conformance_path));
        else
            assert_in_range(use(store, "found", i), 0, 0);
        pc_store_close(store);
        if (puts_there[i] == put_link) { /* what it leads to is nobody's of ours */
            char text[32] = "";
            char elsewhere[PC_STORE_PATH_BYTES + 16];
            (void)snprintf(elsewhere, sizeof(elsewhere), "%s.target", conformance_path);
            FILE *file = fopen(elsewhere, "r");
            assert_non_null(file);
            assert_non_null(fgets(text, sizeof(text), file));
            assert_int_equal(fclose(file), 0);
            assert_string_equal(text, "not yours");
        }
        forget_the_rest();
    }
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, conformance_setup, conformance_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(any_byte_flipped),
        CASE(cut_at_any_length),
        CASE(random_bytes_are_moved_aside),
        CASE(moved_aside_often_at_one_time),
        CASE(replaced_while_in_use),
        CASE(found_at_open),
    };
    suffix = argc > 1 ? argv[1] : ".json";
    conformance_suffix_set(suffix);
    conformance_use_memory();
    return cmocka_run_group_tests_name(suffix, tests, NULL, NULL);
}
