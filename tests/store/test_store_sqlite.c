/* What is particular to the SQLite file: damage of every kind, strangers' files, newer schemas. */
#include "conformance.h"

#include "base/rng.h"

#include <glob.h>
#include <grp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOW_MS CONFORMANCE_NOW_MS

static uint8_t *read_whole(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
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

static void write_whole(const char *path, const uint8_t *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static size_t count_aside(void)
{
    char pattern[PC_STORE_PATH_BYTES + 16];
    glob_t found;
    (void)snprintf(pattern, sizeof(pattern), "%s.corrupt-*[0-9]", conformance_path);
    size_t count = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return count;
}

/* A cache of `count` peers, closed. */
static void fill(uint32_t count)
{
    struct pc_store *store = conformance_open(1);
    struct pc_delta *deltas = calloc(count, sizeof(*deltas));
    assert_non_null(deltas);
    for (uint32_t i = 0; i < count; i++)
        deltas[i] = conformance_delta(i, i % 2, NOW_MS - i);
    assert_int_equal(pc_store_commit(store, 1, deltas, count, NOW_MS, 1000), 0);
    free(deltas);
    pc_store_close(store);
}

static int count_one(void *context, const struct pc_record *record)
{
    (void)record;
    ++*(size_t *)context;
    return 0;
}

/* Open what was damaged, read all, write, read again: whatever was done to the file, this works. */
static void use(size_t most)
{
    struct pc_record record;
    struct pc_store *store = conformance_open(3);
    struct pc_delta delta = conformance_delta(5000, 1, NOW_MS);
    if (pc_store_commit(store, 1, &delta, 1, NOW_MS, 1000))
        fail_msg("%s", store->error.text);
    assert_int_equal(conformance_find(store, 5000, &record), 1);
    struct pc_store_query all = { .kind = PC_STORE_ALL };
    size_t count = 0;
    int result = pc_store_query(store, &all, count_one, &count);
    if (result == PEERCACHE_ECORRUPT) { /* told once, when it had begun to read; then it is moved aside */
        count = 0;
        result = pc_store_query(store, &all, count_one, &count);
    }
    if (result)
        fail_msg("%s", store->error.text);
    assert_in_range(count, 0, most + 1);
    pc_store_close(store);
}

static void cut_at_every_512_bytes(void **state)
{
    (void)state;
    size_t size;
    fill(60);
    uint8_t *data = read_whole(conformance_path, &size);
    for (size_t cut = 0; cut < size; cut += 512) {
        write_whole(conformance_path, data, cut);
        use(60);
        assert_in_range(count_aside(), 0, 3);
    }
    free(data);
}

static int visit_nothing(void *context, const struct pc_record *record)
{
    (void)context;
    assert_true(record->addr_count > 0);
    return 0;
}

static void any_byte_flipped(void **state)
{
    (void)state;
    size_t size;
    struct pc_rng rng;
    fill(60);
    uint8_t *data = read_whole(conformance_path, &size);
    pc_base_rng_init_u64(&rng, 4);
    for (size_t round = 0; round < 300; round++) {
        /* Headers and the roots of pages more often than what lies between. */
        size_t at = round % 3 == 0 ? pc_base_rng_below(&rng, 100) : pc_base_rng_below(&rng, size);
        if (round % 3 == 1)
            at = at / 4096 * 4096 + pc_base_rng_below(&rng, 16);
        uint8_t before = data[at];
        data[at] ^= (uint8_t)(1 + pc_base_rng_below(&rng, 255));
        write_whole(conformance_path, data, size);
        data[at] = before;
        struct pc_store_options options = conformance_options(3);
        struct pc_store *store = NULL;
        struct pc_reason reason = { "" };
        int result = pc_store_open(conformance_path, &options, &store, &reason);
        /* A flip in the name of the network, in the mode or in the version is a clear word; else it works. */
        if (result && result != PEERCACHE_ENETWORK)
            fail_msg("byte %zu: %d %s", at, result, reason.text);
        if (result == 0 && !store->read_only) {
            struct pc_store_query all = { .kind = PC_STORE_ALL };
            result = pc_store_query(store, &all, visit_nothing, NULL);
            if (result ==
                PEERCACHE_ECORRUPT) /* told once, when it had begun to read; then it is moved aside */
                result = pc_store_query(store, &all, visit_nothing, NULL);
            if (result)
                fail_msg("byte %zu: reading: %s", at, store->error.text);
            struct pc_delta delta = conformance_delta(5000, 1, NOW_MS);
            if (pc_store_commit(store, 1, &delta, 1, NOW_MS, 1000))
                fail_msg("byte %zu: %s", at, store->error.text);
        }
        pc_store_close(store);
        (void)unlink(conformance_path);
    }
    free(data);
}

/* A corrupt cache file stopped the node from starting (15). */
static void a_corrupt_file_is_moved_aside_and_salvaged(void **state)
{
    (void)state;
    size_t size;
    fill(2000);
    struct pc_store *other = conformance_open(9); /* uses the file while it is moved */
    uint8_t *data = read_whole(conformance_path, &size);
    pc_store_close(other);
    for (size_t at = size / 2; at < size / 2 + 8192; at++)
        data[at] = 0xaa;
    write_whole(conformance_path, data, size);
    free(data);
    struct pc_store *store = conformance_open(3);
    struct pc_delta deltas[200];
    for (uint32_t i = 0; i < 200; i++)
        deltas[i] = conformance_delta(i * 10, 1, NOW_MS);
    assert_int_equal(pc_store_commit(store, 1, deltas, 200, NOW_MS, 1000), 0);
    assert_int_equal(count_aside(), 1);
    assert_non_null(strstr(store->warning.text, "salvaged"));
    assert_in_range(conformance_count(store, PC_STORE_ALL), 500, 2000);
    assert_int_equal(pc_store_check(store), 0);
    pc_store_close(store);
}

static void others_notice_that_a_file_was_moved(void **state)
{
    (void)state;
    struct pc_record record;
    char moved[PC_STORE_PATH_BYTES + 16];
    static const uint8_t garbage[3000] = { 'n', 'o' };
    fill(10);
    struct pc_store *a = conformance_open(1);
    (void)snprintf(moved, sizeof(moved), "%s.elsewhere", conformance_path);
    assert_int_equal(rename(conformance_path, moved), 0);
    write_whole(conformance_path, garbage, sizeof(garbage));
    struct pc_store *b = conformance_open(2); /* finds garbage, moves it aside */
    assert_int_equal(count_aside(), 1);
    struct pc_delta delta = conformance_delta(77, 1, NOW_MS);
    conformance_commit(b, 1, &delta);
    assert_int_equal(conformance_find(a, 77, &record), 1);
    delta = conformance_delta(78, 1, NOW_MS);
    conformance_commit(a, 1, &delta);
    pc_store_close(a); /* must not take the new file's log with it */
    assert_int_equal(conformance_find(b, 78, &record), 1);
    assert_int_equal(conformance_find(b, 77, &record), 1);
    pc_store_close(b);
}

static void at_most_three_are_kept(void **state)
{
    (void)state;
    for (int64_t i = 0; i < 6; i++) {
        static const uint8_t garbage[100] = { 'x' };
        struct pc_store_options options = conformance_options(1);
        struct pc_store *store = NULL;
        options.now_ms = NOW_MS + i;
        write_whole(conformance_path, garbage, sizeof(garbage));
        assert_int_equal(pc_store_open(conformance_path, &options, &store, NULL), 0);
        pc_store_close(store);
    }
    assert_int_equal(count_aside(), 3);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void strangers_files_are_left_untouched(void **state)
{
    (void)state;
    struct pc_reason reason = { "" };
    struct pc_store *store = NULL;
    struct pc_store_options options = conformance_options(1);
    size_t size, size_after;
    run_sql(conformance_path, "CREATE TABLE bookmarks(url TEXT);INSERT INTO bookmarks VALUES('x')");
    uint8_t *before = read_whole(conformance_path, &size);
    assert_int_equal(pc_store_open(conformance_path, &options, &store, &reason), PEERCACHE_EFORMAT);
    assert_non_null(strstr(reason.text, conformance_path));
    uint8_t *after = read_whole(conformance_path, &size_after);
    assert_int_equal(size, size_after);
    assert_memory_equal(before, after, size);
    free(before);
    free(after);
    assert_int_equal(count_aside(), 0);
    assert_int_equal(unlink(conformance_path), 0);

    strcpy(conformance_path + strlen(conformance_path) - 3, ".txt"); /* a text under another name */
    write_whole(conformance_path, (const uint8_t *)"dear diary\n", 11);
    assert_int_equal(pc_store_open(conformance_path, &options, &store, &reason), PEERCACHE_EFORMAT);
    before = read_whole(conformance_path, &size);
    assert_int_equal(size, 11);
    assert_memory_equal(before, "dear diary\n", 11);
    free(before);
    options.is_default_path = true; /* there it is in the way */
    assert_int_equal(pc_store_open(conformance_path, &options, &store, &reason), 0);
    pc_store_close(store);
    assert_int_equal(count_aside(), 1);
}

static void a_newer_schema_opens_read_only(void **state)
{
    (void)state;
    struct pc_record record;
    fill(5);
    run_sql(conformance_path, "PRAGMA user_version=2");
    struct pc_store *store = conformance_open(2);
    assert_true(store->read_only);
    assert_non_null(strstr(store->warning.text, "newer"));
    assert_int_equal(conformance_find(store, 3, &record), 1);
    struct pc_delta delta = conformance_delta(3, 5, NOW_MS);
    conformance_commit(store, 1, &delta);
    assert_int_equal(conformance_find(store, 3, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count, 1);
    pc_store_close(store);
}

static void values_that_are_not_valid_are_left_out(void **state)
{
    (void)state;
    fill(5);
    run_sql(conformance_path,
            "CREATE TEMP TABLE k AS SELECT key,row_number() OVER (ORDER BY key) n FROM peer;"
            "UPDATE peer SET addrs=x'ff' WHERE key=(SELECT key FROM k WHERE n=1);"
            "UPDATE peer SET addrs=addrs||x'00' WHERE key=(SELECT key FROM k WHERE n=2);"
            "UPDATE peer SET addrs=x'' WHERE key=(SELECT key FROM k WHERE n=3);"
            "UPDATE peer SET state=77,bucket=-1 WHERE key=(SELECT key FROM k WHERE n=4);"
            "UPDATE peer SET key=x'0102' WHERE key=(SELECT key FROM k WHERE n=5)");
    struct pc_store *store = conformance_open(2);
    assert_int_equal(conformance_count(store, PC_STORE_ALL),
                     2); /* the second, by its good part, and the fourth */
    assert_int_equal(pc_store_check(store), PEERCACHE_ECORRUPT);
    assert_true(store->error.text[0] != '\0');
    pc_store_close(store);
}

/* Copies made for reading that this user left behind. */
static size_t count_copies(void)
{
    glob_t found;
    size_t count = 0;
    if (glob("/tmp/peercache-??????", 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            struct stat info;
            count += stat(found.gl_pathv[i], &info) == 0 && info.st_uid == geteuid();
        }
    }
    globfree(&found);
    return count;
}

/* What someone sees who may read but not write there: 0 all well, else the number of the step that failed. */
static int read_as_another_user(uint32_t number)
{
    struct pc_store_options options = conformance_options(4);
    struct pc_store *store = NULL;
    struct pc_record record;
    struct pc_delta delta = conformance_delta(number, 5, NOW_MS);
    if (geteuid() == 0 && (setgroups(0, NULL) || setgid(65534) || setuid(65534)))
        return 1;
    if (pc_store_open(conformance_path, &options, &store, NULL))
        return 2;
    if (!store->read_only || !strstr(store->warning.text, "read-only"))
        return 3;
    if (pc_store_commit(store, 1, &delta, 1, NOW_MS, 1000))
        return 4;
    if (conformance_find(store, number, &record) != 1 || record.addrs[0].history.success_count != 1)
        return 5;
    if (pc_store_check(store))
        return 6;
    pc_store_close(store);
    return count_copies() ? 7 : 0;
}

static int in_a_child(int (*work)(uint32_t number), uint32_t number)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(work(number));
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int commit_and_vanish(uint32_t number)
{
    struct pc_store *store = conformance_open(5);
    struct pc_delta delta = conformance_delta(number, 1, NOW_MS);
    conformance_commit(store, 1, &delta);
    return 0; /* without closing: what it wrote is in the log only */
}

static void make_readable(mode_t directory_mode)
{
    char name[PC_STORE_PATH_BYTES + 8];
    static const char *const suffixes[] = { "", "-wal", ".lock" };
    for (size_t i = 0; i < 3; i++) { /* the index of the log (-shm) stays closed to others */
        (void)snprintf(name, sizeof(name), "%s%s", conformance_path, suffixes[i]);
        (void)chmod(name, 0644);
    }
    (void)snprintf(name, sizeof(name), "%s", conformance_path);
    *strrchr(name, '/') = '\0';
    assert_int_equal(chmod(name, directory_mode), 0);
}

static void another_user_reads_a_closed_file(void **state)
{
    (void)state;
    fill(5);
    make_readable(0755);
    if (geteuid()) /* then the directory must say it */
        make_readable(0555);
    int status = in_a_child(read_as_another_user, 3);
    make_readable(0755);
    assert_int_equal(status, 0);
}

/* The log holds news, and may be neither recovered where it is nor ignored. */
static void another_user_reads_what_is_in_the_log_only(void **state)
{
    (void)state;
    size_t size;
    char wal[PC_STORE_PATH_BYTES + 8];
    fill(5);
    assert_int_equal(in_a_child(commit_and_vanish, 77), 0);
    (void)snprintf(wal, sizeof(wal), "%s-wal", conformance_path);
    uint8_t *before = read_whole(wal, &size);
    assert_true(size > 0);
    if (geteuid() == 0) {
        make_readable(0755);
        int status = in_a_child(read_as_another_user, 77);
        assert_int_equal(status, 0);
    }
    size_t size_after;
    uint8_t *after = read_whole(wal, &size_after);
    assert_int_equal(size, size_after);
    assert_memory_equal(before, after, size);
    free(before);
    free(after);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, conformance_setup, conformance_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(cut_at_every_512_bytes),
        CASE(any_byte_flipped),
        CASE(a_corrupt_file_is_moved_aside_and_salvaged),
        CASE(others_notice_that_a_file_was_moved),
        CASE(at_most_three_are_kept),
        CASE(strangers_files_are_left_untouched),
        CASE(a_newer_schema_opens_read_only),
        CASE(values_that_are_not_valid_are_left_out),
        CASE(another_user_reads_a_closed_file),
        CASE(another_user_reads_what_is_in_the_log_only),
    };
    conformance_suffix_set(".db");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
