/*
 * What went wrong in the systems before this one, each with its number in the order of the story: what concerns the
 * file and the processes on it, through the public face, for each kind of store (the name's end is the argument). What
 * memory alone shows is in test_cache_lessons.c; joining has its own in the tests of join, node and driver.
 */
#include "check.h"

#include <peercache/peercache.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAY_MS  (INT64_C(24) * 3600 * 1000)
#define SAVES   100
#define WRITERS 4

static const peercache_time now = { .wall_ms = INT64_C(1760000000000) };
static const char *suffix;
static char directory[64];
static char path[128];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "/tmp/peercache-test-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/peers%s", directory, suffix);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    DIR *entries = opendir(directory);
    for (const struct dirent *e = entries ? readdir(entries) : NULL; e; e = readdir(entries)) {
        char file[512];
        (void)snprintf(file, sizeof(file), "%s/%s", directory, e->d_name);
        (void)unlink(file);
    }
    if (entries)
        (void)closedir(entries);
    return rmdir(directory);
}

static peercache *open_network(const char *network)
{
    static const uint8_t seed[32] = { 3 };
    peercache *cache = NULL;
    peercache_options *options = peercache_options_new();
    assert_non_null(options);
    peercache_options_set_seed(options, seed); /* which addresses find a place is no matter of luck */
    assert_int_equal(peercache_options_set_max_peers(options, 100000), 0);
    if (peercache_open(path, network, options, &cache))
        fail_msg("%s", peercache_errmsg(cache));
    peercache_options_free(options);
    return cache;
}

static void name_addr(unsigned number, char ret_addr[64])
{
    (void)snprintf(ret_addr, 64, "/ip4/20.%u.7.7/udp/%u/quic-v1", number % 250, 4000 + number / 250);
}

static void add(peercache *cache, unsigned number)
{
    char addr[64];
    name_addr(number, addr);
    assert_int_equal(peercache_add(cache, addr, PEERCACHE_SOURCE_FLAG, now), 0);
}

static int report(peercache *cache, unsigned number, peercache_outcome outcome, peercache_time when)
{
    char addr[64];
    peercache_candidate candidate;
    name_addr(number, addr);
    int result = peercache_candidate_parse(cache, addr, &candidate);
    return result ? result : peercache_report(cache, &candidate, outcome, 5, when);
}

static void find(peercache *cache, unsigned number, peercache_peer *ret_peer)
{
    char addr[64];
    name_addr(number, addr);
    if (peercache_find(cache, addr, ret_peer))
        fail_msg("%s", peercache_errmsg(cache));
}

static uint64_t peers_in(peercache *cache)
{
    peercache_stats stats;
    if (peercache_get_stats(cache, &stats))
        fail_msg("%s", peercache_errmsg(cache));
    return stats.peers;
}

static bool is_json(void)
{
    return strcmp(suffix, ".json") == 0;
}

/* A child that does this; how many of them failed is what wait_for says. */
static pid_t in_child(int (*work)(unsigned number), unsigned number)
{
    pid_t child = fork();
    if (child == 0)
        _exit(work(number)); /* of the test's own memory nothing is to be freed twice */
    assert_true(child > 0);
    return child;
}

static void wait_for(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- 1 ---- */

static int read_while_others_write(unsigned number)
{
    peercache_options *options = peercache_options_new();
    int failed = options == NULL;
    (void)number;
    for (unsigned i = 0; i < SAVES && !failed; i++) {
        peercache *cache = NULL;
        peercache_stats stats;
        peercache_options_set_read_only(options, true);
        failed = peercache_open(path, "test", options, &cache) || peercache_get_stats(cache, &stats) ||
                 stats.peers == 0;
        if (failed)
            (void)fprintf(stderr, "%s\n", peercache_errmsg(cache));
        peercache_close(cache);
    }
    peercache_options_free(options);
    return failed;
}

/* A file truncated before its lock was taken: readers saw an empty file. */
static void lesson_1_readers_never_see_an_empty_file(void **state)
{
    (void)state;
    peercache *cache = open_network("test");
    add(cache, 1);
    assert_int_equal(peercache_flush(cache, 5000), 0);
    pid_t reader = in_child(read_while_others_write, 0);
    for (unsigned i = 2; i < 2 + SAVES; i++) {
        add(cache, i);
        assert_int_equal(peercache_flush(cache, 5000), 0);
    }
    wait_for(reader);
    peercache_close(cache);
}

/* A lock taken on the inode that the rename replaces. */
static void lesson_1_the_lock_is_no_file_that_is_replaced(void **state)
{
    (void)state;
    char lock[160];
    struct stat first, later, file, file_later;
    (void)snprintf(lock, sizeof(lock), "%s.lock", path);
    peercache *cache = open_network("test");
    add(cache, 1);
    assert_int_equal(peercache_flush(cache, 5000), 0);
    assert_int_equal(stat(lock, &first) | stat(path, &file), 0);
    int held = open(path, O_RDONLY | O_CLOEXEC); /* so that its number is not given again */
    assert_true(held >= 0);
    add(cache, 2);
    assert_int_equal(peercache_flush(cache, 5000), 0);
    assert_int_equal(stat(lock, &later) | stat(path, &file_later), 0);
    assert_true(first.st_ino == later.st_ino);
    assert_true((file.st_ino != file_later.st_ino) == is_json()); /* SQLite's is never replaced */
    (void)close(held);
    peercache_close(cache);
}

/* ---- 2 ---- */

/* A temporary in another file system: the rename fails. Writing in place instead: a crash in mid-write loses all. */
static void lesson_2_a_save_is_made_beside_and_never_in_place(void **state)
{
    (void)state;
    char before[65536], after[65536], events[4096];
    bool came_by_rename = false;
    peercache *cache = open_network("test");
    add(cache, 1);
    assert_int_equal(peercache_flush(cache, 5000), 0);
    int old = open(path, O_RDONLY | O_CLOEXEC), watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    ssize_t size = pread(old, before, sizeof(before), 0);
    assert_true(old >= 0 && watch >= 0 && size > 0);
    assert_true(inotify_add_watch(watch, directory, IN_MOVED_FROM | IN_MOVED_TO) >= 0);
    add(cache, 2);
    assert_int_equal(peercache_flush(cache, 5000), 0);
    if (is_json()) {
        uint32_t from = 0;
        ssize_t length = read(watch, events, sizeof(events));
        for (ssize_t at = 0; at < length;) {
            struct inotify_event event;
            memcpy(&event, events + at, sizeof(event));
            from = event.mask & IN_MOVED_FROM ? event.cookie : from;
            came_by_rename |= event.mask & IN_MOVED_TO && event.cookie == from;
            at += (ssize_t)(sizeof(event) + event.len);
        }
        assert_true(came_by_rename); /* from this very directory */
    }
    /* Whoever has the old file open still has all of it: JSON's is another inode, SQLite's grew in its log. */
    assert_int_equal(pread(old, after, sizeof(after), 0), size);
    assert_memory_equal(before, after, (size_t)size);
    (void)close(watch);
    (void)close(old);
    peercache_close(cache);
}

/* ---- 3 ---- */

static int count_ten(unsigned number)
{
    int failed = 0;
    (void)number;
    for (unsigned i = 0; i < 10 && !failed; i++) {
        peercache *cache = NULL;
        failed = peercache_open(path, "test", NULL, &cache) || report(cache, 1, PEERCACHE_OK, now) ||
                 peercache_flush(cache, 20000);
        if (failed)
            (void)fprintf(stderr, "%s\n", peercache_errmsg(cache));
        peercache_close(cache);
    }
    return failed;
}

/* Read, merge and write not under one lock: updates of other processes lost. */
static void lesson_3_updates_of_other_processes_add_up(void **state)
{
    (void)state;
    pid_t writers[WRITERS];
    peercache_peer peer;
    peercache *cache = open_network("test");
    add(cache, 1);
    peercache_close(cache);
    for (unsigned i = 0; i < WRITERS; i++)
        writers[i] = in_child(count_ten, i);
    for (unsigned i = 0; i < WRITERS; i++)
        wait_for(writers[i]);
    cache = open_network("test");
    find(cache, 1, &peer);
    assert_int_equal(peer.addrs[0].success_count, 10 * WRITERS);
    peercache_close(cache);
}

/* Merging through a hash map: the age order lost. In ours an age is a date of each address, and no order says it. */
static void lesson_3_ages_survive_merging(void **state)
{
    (void)state;
    peercache *cache = open_network("test");
    for (unsigned i = 0; i < 50; i++) {
        const peercache_time then = { .wall_ms = now.wall_ms - (50 - (int64_t)i) * DAY_MS };
        char addr[64];
        name_addr(i, addr);
        assert_int_equal(peercache_add(cache, addr, PEERCACHE_SOURCE_FLAG, then), 0);
        if (i % 7 == 0)
            assert_int_equal(peercache_flush(cache, 5000), 0);
    }
    peercache_close(cache);
    cache = open_network("test");
    peercache *other = open_network("test");
    assert_int_equal(report(other, 3, PEERCACHE_OK, now), 0);
    peercache_close(other);
    assert_int_equal(peercache_refresh(cache), 0);
    for (unsigned i = 0; i < 50; i++) {
        peercache_peer peer;
        find(cache, i, &peer);
        assert_true(peer.addrs[0].first_seen_ms == now.wall_ms - (50 - (int64_t)i) * DAY_MS);
    }
    peercache_close(cache);
}

/* ---- 4 ---- */

/* Memory cleared after a flush: updates for peers not in memory were lost. */
static void lesson_4_news_of_peers_not_in_memory_are_kept(void **state)
{
    (void)state;
    enum { ALL = 1500 };
    unsigned counted = 0;
    peercache *cache = open_network("test");
    for (unsigned i = 0; i < ALL; i++)
        add(cache, i);
    peercache_close(cache);
    cache = open_network("test"); /* takes a part of them into memory */
    peercache_stats stats;
    assert_int_equal(peercache_get_stats(cache, &stats), 0);
    assert_true(stats.in_memory < ALL);
    for (unsigned i = 0; i < ALL; i += 10)
        assert_int_equal(report(cache, i, PEERCACHE_REFUSED, now), 0);
    assert_int_equal(peercache_flush(cache, 20000), 0);
    for (unsigned i = 5; i < ALL;
         i += 10) /* and what is told after a flush counts like what was told before */
        assert_int_equal(report(cache, i, PEERCACHE_REFUSED, now), 0);
    peercache_close(cache);
    cache = open_network("test");
    for (unsigned i = 0; i < ALL; i += 5) {
        peercache_peer peer;
        find(cache, i, &peer);
        counted += peer.addrs[0].failure_count;
    }
    assert_int_equal(counted, ALL / 5);
    peercache_close(cache);
}

/* ---- 6 ---- */

/* Expiry by age emptied caches after a quiet day; nor does a quiet month, by schedule. */
static void lesson_6_a_quiet_month_empties_no_cache(void **state)
{
    (void)state;
    peercache *cache = open_network("test");
    for (unsigned i = 0; i < 40; i++)
        add(cache, i);
    assert_int_equal(peercache_flush(cache, 5000), 0);
    for (int day = 1; day <= 120; day++) {
        const peercache_time later = { .wall_ms = now.wall_ms + day * DAY_MS };
        peercache_candidate picked;
        size_t count;
        assert_int_equal(peercache_pick(cache, later, NULL, &picked, 1, &count), 0); /* the time moves on */
        assert_int_equal(peercache_flush(cache, 5000), 0);
    }
    assert_int_equal(peers_in(cache), 40);
    peercache_close(cache);
}

/* No expiry kept dead peers for ever. */
static void lesson_6_dead_peers_go_by_schedule(void **state)
{
    (void)state;
    peercache *cache = open_network("test");
    for (unsigned i = 0; i < 40; i++)
        add(cache, i);
    for (int hour = 0; hour < 30; hour++) {
        const peercache_time later = { .wall_ms = now.wall_ms + hour * (DAY_MS / 24 + 1) };
        for (unsigned i = 0; i < 20 && hour < 5; i++)
            assert_int_equal(report(cache, i, PEERCACHE_REFUSED, later), 0);
        assert_int_equal(report(cache, 30, PEERCACHE_OK, later), 0); /* the time moves on */
        assert_int_equal(peercache_flush(cache, 5000), 0);
    }
    assert_int_equal(peers_in(cache), 20);
    peercache_close(cache);
}

/* A removed peer came back from another process's memory. */
static void lesson_6_a_removed_peer_stays_away(void **state)
{
    (void)state;
    char addr[64];
    peercache_peer peer;
    peercache *cache = open_network("test");
    add(cache, 1);
    assert_int_equal(peercache_flush(cache, 5000), 0);
    peercache *other = open_network("test"); /* has it in memory */
    name_addr(1, addr);
    assert_int_equal(peercache_remove(cache, addr, now), 0);
    assert_int_equal(report(other, 1, PEERCACHE_REFUSED, now), 0);
    peercache_close(other);
    assert_int_equal(peercache_find(cache, addr, &peer), PEERCACHE_ENOTFOUND);
    peercache_close(cache);
}

/* ---- 11 ---- */

/* No flush at shutdown, so short-lived clients remembered nothing. */
static void lesson_11_closing_remembers(void **state)
{
    (void)state;
    peercache_peer peer;
    peercache *cache = open_network("test");
    add(cache, 1);
    assert_int_equal(report(cache, 1, PEERCACHE_OK, now), 0);
    peercache_close(cache);
    cache = open_network("test");
    find(cache, 1, &peer);
    assert_int_equal(peer.state, PEERCACHE_TRIED);
    peercache_close(cache);
}

/* ---- 13 ---- */

/* Peers of another network kept. */
static void lesson_13_another_networks_cache_is_not_used(void **state)
{
    (void)state;
    peercache *cache = open_network("test"), *other = NULL;
    add(cache, 1);
    peercache_close(cache);
    assert_int_equal(peercache_open(path, "elsewhere", NULL, &other), PEERCACHE_ENETWORK);
    assert_non_null(strstr(peercache_errmsg(other), "test"));
    peercache_close(other);
    cache = open_network("test");
    assert_int_equal(peers_in(cache), 1);
    peercache_close(cache);
}

/* ---- 15 ---- */

/* A corrupt cache file stopped the node from starting, in a restart loop. */
static void lesson_15_a_corrupt_file_stops_nobody(void **state)
{
    (void)state;
    static const char rubbish[] = "\x7f\x45\x4c\x46 this was a cache, once";
    for (int restart = 0; restart < 3; restart++) {
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        for (int i = 0; i < 500; i++)
            assert_int_equal(fwrite(rubbish, sizeof(rubbish), 1, file), 1);
        assert_int_equal(fclose(file), 0);
        peercache *cache = open_network("test");
        assert_non_null(strstr(peercache_warning(cache), "moved aside"));
        add(cache, 1);
        peercache_close(cache);
        cache = open_network("test");
        assert_null(peercache_warning(cache));
        assert_int_equal(peers_in(cache), 1);
        peercache_close(cache);
    }
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(lesson_1_readers_never_see_an_empty_file),
        CASE(lesson_1_the_lock_is_no_file_that_is_replaced),
        CASE(lesson_2_a_save_is_made_beside_and_never_in_place),
        CASE(lesson_3_updates_of_other_processes_add_up),
        CASE(lesson_3_ages_survive_merging),
        CASE(lesson_4_news_of_peers_not_in_memory_are_kept),
        CASE(lesson_6_a_quiet_month_empties_no_cache),
        CASE(lesson_6_dead_peers_go_by_schedule),
        CASE(lesson_6_a_removed_peer_stays_away),
        CASE(lesson_11_closing_remembers),
        CASE(lesson_13_another_networks_cache_is_not_used),
        CASE(lesson_15_a_corrupt_file_stops_nobody),
    };
    suffix = argc > 1 ? argv[1] : ".db";
    return cmocka_run_group_tests_name(suffix, tests, NULL, NULL);
}
