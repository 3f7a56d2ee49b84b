#include "conformance.h"

#include "cache/set.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOW_MS CONFORMANCE_NOW_MS

char conformance_path[PC_STORE_PATH_BYTES];
static char directory[64];
static const char *chosen_suffix = ".db";

static const char *root = "/tmp";

void conformance_use_memory(void)
{
    if (access("/dev/shm", W_OK | X_OK) == 0)
        root = "/dev/shm";
}

void conformance_suffix_set(const char *suffix)
{
    chosen_suffix = suffix;
}

int conformance_setup(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "%s/peercache-test-XXXXXX", root);
    if (!mkdtemp(directory))
        return -1;
    (void)snprintf(conformance_path, sizeof(conformance_path), "%s/cache%s", directory, chosen_suffix);
    return 0;
}

int conformance_teardown(void **state)
{
    (void)state;
    DIR *entries = opendir(directory);
    for (const struct dirent *e = entries ? readdir(entries) : NULL; e; e = readdir(entries)) {
        char path[512];
        (void)snprintf(path, sizeof(path), "%s/%s", directory, e->d_name);
        (void)unlink(path);
        (void)rmdir(path);
    }
    if (entries)
        (void)closedir(entries);
    return rmdir(directory);
}

struct pc_store_options conformance_options(uint8_t seed)
{
    return (struct pc_store_options){ .network = "test",
                                      .mode = PC_NETGROUP_PUBLIC,
                                      .timeout_ms = 5000,
                                      .now_ms = NOW_MS,
                                      .random = { seed, 1 } };
}

struct pc_store *conformance_open(uint8_t seed)
{
    struct pc_store_options options = conformance_options(seed);
    struct pc_store *store = NULL;
    struct pc_reason reason = { "" };
    if (pc_store_open(conformance_path, &options, &store, &reason))
        fail_msg("%s", reason.text);
    return store;
}

struct pc_peer_id conformance_id(uint32_t number)
{
    struct pc_peer_id id = { .size = 38, .bytes = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 } };
    for (size_t i = 0; i < 4; i++)
        id.bytes[6 + i] = (uint8_t)(number >> (8 * (3 - i)));
    return id;
}

static struct pc_maddr addr_of(uint32_t number)
{
    char text[64];
    struct pc_maddr addr;
    (void)snprintf(text, sizeof(text), "/ip4/%u.%u.7.%u/udp/4001/quic-v1", 20 + (number >> 8) % 60,
                   number & 255, number >> 16 & 255);
    assert_int_equal(pc_addr_maddr_parse(text, strlen(text), &addr, NULL), 0);
    return addr;
}

struct pc_delta conformance_delta(uint32_t number, uint32_t successes, int64_t seen_ms)
{
    struct pc_delta delta;
    struct pc_peer_id id = conformance_id(number);
    struct pc_maddr addr = addr_of(number);
    pc_cache_delta_init(&delta, &id, pc_addr_maddr_bytes(&addr));
    delta.history.success_count = successes;
    delta.history.last_seen_ms = seen_ms;
    delta.history.last_success_ms = successes ? seen_ms : 0;
    delta.history.failures[PEERCACHE_TIMEOUT] = 2;
    delta.history.failure_count = 2;
    delta.first_seen_ms = 1000;
    delta.source = PEERCACHE_SOURCE_DHT;
    delta.source_group = (struct pc_netgroup){ .size = 3, .bytes = { 4, 5, (uint8_t)number } };
    return delta;
}

void conformance_commit(struct pc_store *store, uint64_t sequence, const struct pc_delta *delta)
{
    if (pc_store_commit(store, sequence, delta, 1, NOW_MS, 5000))
        fail_msg("%s", store->error.text);
}

static int keep(void *context, const struct pc_record *record)
{
    *(struct pc_record *)context = *record;
    return 1;
}

int conformance_find(struct pc_store *store, uint32_t number, struct pc_record *ret_record)
{
    struct pc_store_query query = { .kind = PC_STORE_BY_ID, .id = conformance_id(number) };
    int result = pc_store_query(store, &query, keep, ret_record);
    if (result < 0)
        fail_msg("%s", store->error.text);
    return result;
}

static int count_one(void *context, const struct pc_record *record)
{
    (void)record;
    ++*(size_t *)context;
    return 0;
}

size_t conformance_count(struct pc_store *store, enum pc_store_query_kind kind)
{
    struct pc_store_query query = { .kind = kind, .count = 1000000 };
    size_t count = 0;
    if (pc_store_query(store, &query, count_one, &count))
        fail_msg("%s", store->error.text);
    return count;
}

static void what_is_committed_is_read_back_whole(void **state)
{
    (void)state;
    struct stat info;
    struct pc_record record;
    struct pc_store *store = conformance_open(1);
    struct pc_delta delta = conformance_delta(7, 3, NOW_MS - 5);
    delta.history.rtt_us = 12345;
    delta.history.rtt_at_ms = NOW_MS - 6;
    delta.history.last_attempt_ms = NOW_MS - 4;
    conformance_commit(store, 1, &delta);
    uint8_t secret[16];
    memcpy(secret, store->secret, 16);
    pc_store_close(store);
    assert_int_equal(stat(conformance_path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    store = conformance_open(2);
    assert_memory_equal(store->secret, secret, 16);
    assert_string_equal(store->warning.text, "");
    assert_int_equal(conformance_find(store, 7, &record), 1);
    assert_int_equal(record.state, PEERCACHE_TRIED);
    assert_int_equal(record.addr_count, 1);
    const struct pc_record_addr *addr = &record.addrs[0];
    assert_true(pc_bytes_equal(pc_addr_maddr_bytes(&addr->addr), pc_addr_maddr_bytes(&delta.addr)));
    assert_memory_equal(&addr->history, &delta.history, sizeof(delta.history));
    assert_int_equal(addr->source, PEERCACHE_SOURCE_DHT);
    assert_true(addr->first_seen_ms == 1000);
    assert_true(pc_addr_netgroup_equal(&addr->source_group, &delta.source_group));
    assert_int_equal(conformance_find(store, 8, &record), 0);
    assert_int_equal(pc_store_check(store), 0);
    pc_store_close(store);
}

/* Merging totals doubled the counts (3): a commit that is retried counts once, another adds. */
static void a_retried_commit_counts_once(void **state)
{
    (void)state;
    struct pc_record record;
    struct pc_store *store = conformance_open(1), *other = conformance_open(2);
    struct pc_delta delta = conformance_delta(1, 3, NOW_MS);
    conformance_commit(store, 1, &delta);
    conformance_commit(store, 1, &delta);
    conformance_commit(other, 1, &delta);
    conformance_commit(store, 2, &delta);
    conformance_commit(store, 1, &delta);
    assert_int_equal(conformance_find(other, 1, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count, 9);
    assert_int_equal(record.addrs[0].history.failure_count, 6);
    pc_store_close(store);
    pc_store_close(other);
}

static int check_ascending(void *context, const struct pc_record *record)
{
    uint32_t *expected = context;
    struct pc_peer_id id = conformance_id(*expected);
    assert_true(pc_addr_peer_id_equal(&record->id, &id));
    *expected += 1;
    return 0;
}

struct sample {
    size_t count, tried;
};

static int count_sample(void *context, const struct pc_record *record)
{
    struct sample *sample = context;
    sample->count++;
    sample->tried += record->state == PEERCACHE_TRIED;
    return 0;
}

static void best_is_a_sample_and_all_come_in_their_order(void **state)
{
    (void)state;
    struct pc_store *store = conformance_open(1);
    for (uint32_t i = 0; i < 20; i++) { /* 0 to 9 new, 10 to 19 tried; the higher the later */
        struct pc_delta delta = conformance_delta(i, i >= 10, NOW_MS - 1000 + i);
        conformance_commit(store, i + 1, &delta);
    }
    struct sample sample = { 0, 0 };
    struct pc_store_query query = { .kind = PC_STORE_BEST, .count = 8 };
    assert_int_equal(pc_store_query(store, &query, count_sample, &sample), 0);
    assert_in_range(sample.count, 1, 8);
    assert_in_range(sample.tried, 1, 6); /* three of four */
    sample = (struct sample){ 0, 0 };
    query.count = 20;
    assert_int_equal(pc_store_query(store, &query, count_sample, &sample), 0);
    assert_int_equal(sample.count, 20);
    assert_int_equal(sample.tried, 10);
    query.kind = PC_STORE_ALL;
    uint32_t expected = 0;
    assert_int_equal(pc_store_query(store, &query, check_ascending, &expected), 0);
    assert_int_equal(expected, 20);
    query.kind = PC_STORE_AFTER; /* in pieces */
    query.count = 7;
    query.id = conformance_id(4);
    expected = 5;
    assert_int_equal(pc_store_query(store, &query, check_ascending, &expected), 0);
    assert_int_equal(expected, 12);
    query.id = conformance_id(19);
    assert_int_equal(pc_store_query(store, &query, check_ascending, &expected), 0);
    assert_int_equal(expected, 12);
    pc_store_close(store);
}

static int keep_all_addrs(void *context, const struct pc_record *record)
{
    int *removed = context;
    *removed += record->addr_count == 0 ? 1 : 100;
    return 0;
}

/* A handle that was told the time long ago reads what another one has seen since, and writes it again as it was. */
static void what_others_saw_since_keeps_its_date(void **state)
{
    (void)state;
    const int64_t later_ms = NOW_MS + 3600000;
    struct pc_store *early = conformance_open(1), *late = conformance_open(2);
    struct pc_delta own = conformance_delta(1, 1, NOW_MS), theirs = conformance_delta(2, 1, later_ms);
    struct pc_record record;
    conformance_commit(early, 1, &own);
    assert_int_equal(pc_store_commit(late, 1, &theirs, 1, later_ms, 5000), 0);
    assert_int_equal(conformance_find(early, 2, &record), 1);
    assert_int_equal(record.addrs[0].history.last_seen_ms, later_ms);
    own.history.last_seen_ms = later_ms;
    assert_int_equal(pc_store_commit(early, 2, &own, 1, later_ms, 5000), 0);
    assert_int_equal(conformance_find(late, 2, &record), 1);
    assert_int_equal(record.addrs[0].history.last_seen_ms, later_ms);
    assert_int_equal(record.addrs[0].history.last_success_ms, later_ms);
    pc_store_close(early);
    pc_store_close(late);
}

static void others_changes_are_told_once(void **state)
{
    (void)state;
    struct pc_store *a = conformance_open(1), *b = conformance_open(2);
    struct pc_delta one = conformance_delta(1, 1, NOW_MS), two = conformance_delta(2, 0, NOW_MS);
    conformance_commit(a, 1, &one);
    assert_int_equal(conformance_count(a, PC_STORE_BEST), 1);
    assert_int_equal(conformance_count(b, PC_STORE_BEST), 1);
    conformance_commit(a, 2, &one);
    assert_int_equal(conformance_count(a, PC_STORE_CHANGED), 0); /* its own */
    assert_int_equal(conformance_count(b, PC_STORE_CHANGED), 1);
    assert_int_equal(conformance_count(b, PC_STORE_CHANGED), 0);
    conformance_commit(b, 1, &two);
    struct pc_delta gone;
    pc_cache_delta_init(&gone, &one.id, pc_bytes_of(NULL, 0));
    gone.removed_ms = NOW_MS;
    conformance_commit(b, 2, &gone);
    int told = 0;
    struct pc_store_query query = { .kind = PC_STORE_CHANGED };
    assert_int_equal(pc_store_query(a, &query, keep_all_addrs, &told), 0);
    assert_int_equal(told, 101); /* one changed, one removed */
    pc_store_close(a);
    pc_store_close(b);
}

/* A removed peer came back from another process's memory (6). */
static void a_removed_peer_stays_removed(void **state)
{
    (void)state;
    struct pc_record record;
    struct pc_store *a = conformance_open(1), *b = conformance_open(2);
    struct pc_delta delta = conformance_delta(1, 1, NOW_MS - 10), gone;
    conformance_commit(a, 1, &delta);
    pc_cache_delta_init(&gone, &delta.id, pc_bytes_of(NULL, 0));
    gone.removed_ms = NOW_MS - 5;
    conformance_commit(a, 2, &gone);
    assert_int_equal(conformance_find(b, 1, &record), 0);
    delta.history.last_seen_ms = NOW_MS - 5;
    conformance_commit(b, 1, &delta); /* from memory */
    assert_int_equal(conformance_find(a, 1, &record), 0);
    delta.history.last_seen_ms = NOW_MS - 4;
    conformance_commit(b, 2, &delta); /* seen anew */
    assert_int_equal(conformance_find(a, 1, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count, 1);
    gone.addr = delta.addr; /* the address only, which was all there was */
    gone.removed_ms = NOW_MS - 3;
    conformance_commit(a, 3, &gone);
    conformance_commit(b, 3, &delta);
    assert_int_equal(conformance_find(a, 1, &record), 0);
    pc_store_close(a);
    pc_store_close(b);
}

/* A clock was ahead when a peer was removed, and was set back. */
static void a_removal_of_the_future_is_of_just_before_now(void **state)
{
    (void)state;
    const int64_t ahead_ms = NOW_MS + 36000000;
    struct pc_record record;
    struct pc_store *ahead = conformance_open(1), *store = conformance_open(2);
    struct pc_delta delta = conformance_delta(1, 1, NOW_MS), other = conformance_delta(2, 1, ahead_ms);
    struct pc_delta gone[2];
    pc_cache_delta_init(&gone[0], &delta.id, pc_bytes_of(NULL, 0));
    pc_cache_delta_init(&gone[1], &other.id, pc_addr_maddr_bytes(&other.addr));
    gone[0].removed_ms = gone[1].removed_ms = ahead_ms - 1;
    assert_int_equal(pc_store_commit(ahead, 1, gone, 2, ahead_ms, 5000), 0);
    assert_int_equal(pc_store_commit(ahead, 2, &other, 1, ahead_ms, 5000), 0); /* met again at once */
    pc_store_close(ahead);
    conformance_commit(store, 1, &delta);
    assert_int_equal(conformance_find(store, 1, &record), 1);
    delta.history.last_seen_ms = NOW_MS - 1; /* before it */
    delta.id = other.id;
    delta.addr = other.addr;
    conformance_commit(store, 2, &delta);
    assert_int_equal(conformance_find(store, 2, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count,
                     1);             /* of those that were seen after it, all is kept */
    gone[1].removed_ms = NOW_MS - 1; /* and a removal now is of what was seen by that clock too */
    conformance_commit(store, 3, &gone[1]);
    assert_int_equal(conformance_find(store, 2, &record), 0);
    pc_store_close(store);
}

/* Who commits may have been told the time a while ago: what others wrote since is no work of a wrong clock. */
static void who_knows_an_earlier_time_takes_nothing_back(void **state)
{
    (void)state;
    const int64_t later_ms = NOW_MS + 600000;
    struct pc_record record;
    struct pc_store *early = conformance_open(1), *late = conformance_open(2);
    struct pc_delta old = conformance_delta(1, 1, NOW_MS), fresh = conformance_delta(2, 1, later_ms), gone;
    pc_cache_delta_init(&gone, &old.id, pc_bytes_of(NULL, 0));
    gone.removed_ms = later_ms;
    assert_int_equal(pc_store_commit(late, 1, &gone, 1, later_ms, 5000), 0);
    conformance_commit(early, 1, &old);
    assert_int_equal(conformance_find(late, 1, &record), 0);
    assert_int_equal(pc_store_commit(late, 2, &fresh, 1, later_ms, 5000), 0);
    pc_cache_delta_init(&gone, &fresh.id, pc_bytes_of(NULL, 0));
    gone.removed_ms = NOW_MS - 3600000;
    conformance_commit(early, 2, &gone);
    assert_int_equal(conformance_find(late, 2, &record), 1);
    pc_store_close(early);
    pc_store_close(late);
}

static void an_address_without_id_moves_to_its_peer(void **state)
{
    (void)state;
    struct pc_record record;
    struct pc_store *store = conformance_open(1);
    struct pc_delta delta = conformance_delta(1, 0, NOW_MS - 10);
    struct pc_peer_id proven = delta.id;
    delta.id.size = 0;
    conformance_commit(store, 1, &delta);
    assert_int_equal(conformance_count(store, PC_STORE_ALL), 1);
    struct pc_delta proof = conformance_delta(1, 1, NOW_MS);
    proof.id.size = 0;
    proof.proven_id = proven;
    conformance_commit(store, 2, &proof);
    conformance_commit(store, 3, &delta); /* late news of the address as it was known before */
    assert_int_equal(conformance_count(store, PC_STORE_ALL), 1);
    assert_int_equal(conformance_find(store, 1, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count, 1);
    assert_int_equal(record.addrs[0].history.failure_count, 4);
    pc_store_close(store);
}

static int open_error(struct pc_store_options *options, const char *path, struct pc_reason *ret_reason)
{
    struct pc_store *store = NULL;
    int result = pc_store_open(path, options, &store, ret_reason);
    pc_store_close(store);
    return result;
}

static void another_network_or_mode_is_refused(void **state)
{
    (void)state;
    struct pc_reason reason = { "" };
    struct pc_store_options options = conformance_options(1);
    pc_store_close(conformance_open(1));
    options.network = "other";
    assert_int_equal(open_error(&options, conformance_path, &reason), PEERCACHE_ENETWORK);
    assert_non_null(strstr(reason.text, "\"test\""));
    assert_non_null(strstr(reason.text, conformance_path));
    options.network = "test";
    options.mode = PC_NETGROUP_LOCAL;
    assert_int_equal(open_error(&options, conformance_path, &reason), PEERCACHE_ENETWORK);
    options.network = "";
    assert_int_equal(open_error(&options, conformance_path, &reason), PEERCACHE_EINVAL);
}

static void wrong_paths_are_refused_with_a_sentence(void **state)
{
    (void)state;
    struct pc_reason reason = { "" };
    struct pc_store_options options = conformance_options(1);
    assert_int_equal(open_error(&options, directory, &reason), PEERCACHE_EFORMAT);
    assert_non_null(strstr(reason.text, "directory"));
    assert_non_null(strstr(reason.text, directory));
    assert_int_equal(symlink("nowhere", conformance_path), 0);
    assert_int_equal(open_error(&options, conformance_path, &reason), PEERCACHE_EFORMAT);
    assert_int_equal(unlink(conformance_path), 0);
    options.no_create = true;
    assert_int_equal(open_error(&options, conformance_path, &reason), PEERCACHE_ENOTFOUND);
    assert_int_equal(open_error(&options, "", &reason), PEERCACHE_EINVAL);
}

static void a_link_is_followed_to_its_file(void **state)
{
    (void)state;
    char link_path[PC_STORE_PATH_BYTES + 8];
    struct stat info;
    struct pc_record record;
    (void)snprintf(link_path, sizeof(link_path), "%s/link", directory);
    pc_store_close(conformance_open(1));
    assert_int_equal(symlink(conformance_path, link_path), 0);
    struct pc_store_options options = conformance_options(2);
    struct pc_store *by_link = NULL, *by_name = conformance_open(3);
    assert_int_equal(pc_store_open(link_path, &options, &by_link, NULL), 0);
    struct pc_delta delta = conformance_delta(1, 1, NOW_MS);
    conformance_commit(by_link, 1, &delta);
    assert_int_equal(conformance_find(by_name, 1, &record), 1);
    pc_store_close(by_link);
    pc_store_close(by_name);
    assert_int_equal(lstat(link_path, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
}

static void without_a_write_bit_nothing_changes(void **state)
{
    (void)state;
    struct pc_record record;
    struct pc_store *store = conformance_open(1);
    struct pc_delta delta = conformance_delta(1, 1, NOW_MS);
    conformance_commit(store, 1, &delta);
    pc_store_close(store);
    assert_int_equal(chmod(conformance_path, 0400), 0);
    store = conformance_open(2);
    assert_true(store->read_only);
    assert_non_null(strstr(store->warning.text, "read-only"));
    assert_non_null(strstr(store->warning.text, conformance_path));
    conformance_commit(store, 1, &delta);
    assert_int_equal(conformance_find(store, 1, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count, 1);
    pc_store_close(store);
}

#define WRITERS 8
#define COMMITS 100

/* Each writer raises its own peer and a common one, and says in shared memory what was acknowledged. */
static void write_until_killed(uint32_t writer, volatile uint32_t *acknowledged)
{
    struct pc_store_options options = conformance_options((uint8_t)(10 + writer));
    struct pc_store *store = NULL;
    options.timeout_ms = 20000;
    if (pc_store_open(conformance_path, &options, &store, NULL))
        _exit(1);
    for (uint32_t i = 1; i <= COMMITS; i++) {
        struct pc_delta deltas[2] = { conformance_delta(writer, 1, NOW_MS),
                                      conformance_delta(99, 1, NOW_MS) };
        if (pc_store_commit(store, i, deltas, 2, NOW_MS, 20000))
            _exit(2);
        *acknowledged = i;
    }
    _exit(0); /* without closing */
}

static void eight_writers_some_killed_lose_nothing_acknowledged(void **state)
{
    (void)state;
    pid_t pids[WRITERS];
    volatile uint32_t *acknowledged =
        mmap(NULL, WRITERS * sizeof(uint32_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(acknowledged != MAP_FAILED);
    for (uint32_t i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            write_until_killed(i, &acknowledged[i]);
    }
    for (uint32_t i = 0; i < WRITERS; i += 3) { /* three of them, in the middle of their work */
        while (acknowledged[i] < COMMITS / 4)
            (void)usleep(500);
        assert_int_equal(kill(pids[i], SIGKILL), 0);
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        int status = 0;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        if (i % 3)
            assert_int_equal(status, 0);
    }
    struct pc_store *store = conformance_open(1);
    struct pc_record record;
    uint32_t total = 0;
    for (uint32_t i = 0; i < WRITERS; i++) {
        assert_int_equal(conformance_find(store, i, &record), 1);
        /* The one under way when it was killed may be there or not. */
        uint32_t count = record.addrs[0].history.success_count;
        assert_in_range(count, acknowledged[i], acknowledged[i] + (i % 3 == 0));
        total += count;
    }
    assert_int_equal(conformance_find(store, 99, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count, total); /* both deltas of a batch, or none */
    assert_int_equal(pc_store_check(store), 0);
    assert_string_equal(store->warning.text, "");
    pc_store_close(store);
    assert_int_equal(munmap((void *)(uintptr_t)acknowledged, WRITERS * sizeof(uint32_t)), 0);
}

/* Processes that exit without closing: what they committed is there, and the next goes on. */
static void what_a_process_commits_outlives_it_unclosed(void **state)
{
    (void)state;
    struct pc_record record;
    for (uint32_t i = 1; i <= 5; i++) {
        int status = 0;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct pc_store *store = conformance_open((uint8_t)i);
            struct pc_delta delta = conformance_delta(1, 1, NOW_MS);
            _exit(pc_store_commit(store, 1, &delta, 1, NOW_MS, 1000) ? 1 : 0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    struct pc_store *store = conformance_open(9);
    assert_string_equal(store->warning.text, "");
    assert_int_equal(conformance_find(store, 1, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count, 5);
    pc_store_close(store);
}

/* The seed's reliability: two successes and a failure. */
static void two_successes_and_a_failure_are_reliable(void **state)
{
    (void)state;
    struct pc_record record;
    struct pc_store *store = conformance_open(1);
    struct pc_delta delta = conformance_delta(1, 0, NOW_MS);
    delta.history.failure_count = delta.history.failures[PEERCACHE_TIMEOUT] = 0;
    for (uint64_t i = 1; i <= 3; i++) {
        delta.history.success_count = i < 3;
        delta.history.failure_count = delta.history.failures[PEERCACHE_TIMEOUT] = i == 3;
        conformance_commit(store, i, &delta);
    }
    pc_store_close(store);
    store = conformance_open(2);
    assert_int_equal(conformance_find(store, 1, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count, 2);
    assert_int_equal(record.addrs[0].history.failure_count, 1);
    assert_true(record.addrs[0].history.success_count > record.addrs[0].history.failure_count);
    pc_store_close(store);
}

#define OTHER_USER 12345

/* In a child under another user and, maybe, the group of the directory: 0, or what open said. */
static int commit_as_another(gid_t group, uint8_t seed)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct pc_store_options options = conformance_options(seed);
        struct pc_store *store = NULL;
        struct pc_reason reason = { "" };
        struct pc_delta delta = conformance_delta(1, 1, NOW_MS);
        (void)umask(077);
        if (setgroups(0, NULL) || setgid(group) || setuid(OTHER_USER))
            _exit(100);
        int result = pc_store_open(conformance_path, &options, &store, &reason);
        if (result && !strstr(reason.text, conformance_path))
            _exit(101);
        if (result == 0 && (store->read_only || pc_store_commit(store, 1, &delta, 1, NOW_MS, 1000)))
            _exit(102);
        pc_store_close(store);
        _exit(-result);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Nodes under several users share a setgid directory; anywhere else another user gets a clear error. */
static void users_share_a_setgid_directory_only(void **state)
{
    (void)state;
    struct pc_record record;
    struct stat info;
    const gid_t group = 23456;
    if (geteuid())
        skip();
    assert_int_equal(chmod(directory, 0755), 0);
    pc_store_close(conformance_open(1));
    assert_int_equal(commit_as_another(group, 2), -PEERCACHE_EPERM);
    char lock_path[PC_STORE_PATH_BYTES + 16];
    static const char *const made[] = { "", ".lock", ".lock-queue", "-wal", "-shm" };
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        (void)snprintf(lock_path, sizeof(lock_path), "%s%s", conformance_path, made[i]);
        (void)unlink(lock_path);
    }
    assert_int_equal(chown(directory, 0, group), 0);
    assert_int_equal(chmod(directory, 02770), 0);
    struct pc_delta delta = conformance_delta(1, 1, NOW_MS);
    struct pc_store *store = conformance_open(3);
    conformance_commit(store, 1, &delta);
    assert_int_equal(commit_as_another(group, 4), 0);
    conformance_commit(store, 2, &delta);
    assert_int_equal(commit_as_another(group, 5), 0);
    assert_int_equal(conformance_find(store, 1, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count, 4);
    pc_store_close(store);
    assert_int_equal(stat(conformance_path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0660);
    assert_int_equal(info.st_gid, group);
}

static void a_held_lock_is_a_clear_error(void **state)
{
    (void)state;
    struct pc_store *a = conformance_open(1), *b = conformance_open(2);
    char lock_path[PC_STORE_PATH_BYTES + 8];
    struct pc_delta delta = conformance_delta(1, 1, NOW_MS);
    (void)snprintf(lock_path, sizeof(lock_path), "%s.lock", conformance_path);
    struct pc_record record;
    pid_t holder = fork();
    if (holder == 0)
        _exit(execlp("flock", "flock", lock_path, "sleep", "0.6", (char *)NULL));
    int result = 0;
    for (uint64_t i = 1; i < 200 && result == 0; i++) {
        result = pc_store_commit(b, i, &delta, 1, NOW_MS, 20);
        (void)usleep(1000);
    }
    assert_int_equal(result, PEERCACHE_EBUSY);
    assert_non_null(strstr(b->error.text, conformance_path));
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    assert_int_equal(conformance_find(a, 1, &record) >= 0, 1);
    conformance_commit(b, 1000, &delta);
    pc_store_close(a);
    pc_store_close(b);
}

static void meta_is_kept(void **state)
{
    (void)state;
    uint8_t value[8];
    size_t size = 0;
    struct pc_store *store = conformance_open(1);
    assert_int_equal(pc_store_meta_get(store, "x", value, sizeof(value), &size), PEERCACHE_ENOTFOUND);
    assert_int_equal(pc_store_meta_put(store, "x", pc_bytes_of("abc", 3), 1000), 0);
    assert_int_equal(pc_store_meta_get(store, "x", value, 2, &size), PEERCACHE_ELIMIT);
    pc_store_close(store);
    store = conformance_open(1);
    assert_int_equal(pc_store_meta_get(store, "x", value, sizeof(value), &size), 0);
    assert_int_equal(size, 3);
    assert_memory_equal(value, "abc", 3);
    pc_store_close(store);
}

static void meta_may_be_long(void **state)
{
    (void)state;
    char key[PC_STORE_META_KEY_MAX_BYTES + 2];
    size_t size = 0;
    uint8_t *value = malloc(PC_STORE_META_VALUE_MAX_BYTES + 1);
    uint8_t *read = malloc(PC_STORE_META_VALUE_MAX_BYTES);
    assert_true(value && read);
    memset(key, 'k', sizeof(key));
    key[sizeof(key) - 1] = '\0';
    for (size_t i = 0; i <= PC_STORE_META_VALUE_MAX_BYTES; i++)
        value[i] = (uint8_t)(i * 7 + i / 256);
    struct pc_store *store = conformance_open(1);
    assert_int_equal(pc_store_meta_put(store, key, pc_bytes_of("abc", 3), 1000), PEERCACHE_ELIMIT);
    assert_non_null(strstr(store->error.text, conformance_path));
    key[sizeof(key) - 2] = '\0';
    assert_int_equal(
        pc_store_meta_put(store, key, pc_bytes_of(value, PC_STORE_META_VALUE_MAX_BYTES + 1), 1000),
        PEERCACHE_ELIMIT);
    assert_non_null(strstr(store->error.text, conformance_path));
    assert_int_equal(pc_store_meta_get(store, key, read, PC_STORE_META_VALUE_MAX_BYTES, &size),
                     PEERCACHE_ENOTFOUND);
    assert_int_equal(pc_store_meta_put(store, "none", pc_bytes_of(NULL, 0), 1000), 0);
    assert_int_equal(pc_store_meta_put(store, key, pc_bytes_of(value, PC_STORE_META_VALUE_MAX_BYTES), 1000),
                     0);
    pc_store_close(store);
    store = conformance_open(2);
    assert_int_equal(pc_store_meta_get(store, key, read, PC_STORE_META_VALUE_MAX_BYTES, &size), 0);
    assert_int_equal(size, PC_STORE_META_VALUE_MAX_BYTES);
    assert_memory_equal(read, value, size);
    assert_int_equal(pc_store_meta_get(store, "none", read, 0, &size), 0);
    assert_int_equal(size, 0);
    pc_store_close(store);
    free(value);
    free(read);
}

/* Sets a bit for each of "a:1", "a:2", "a:3", "b:1", and stops after `left` of them. */
struct keys_seen {
    unsigned bits;
    unsigned left;
};

static int see_key(void *context, const char *key)
{
    static const char *const keys[] = { "a:1", "a:2", "a:3", "b:1" };
    struct keys_seen *seen = context;
    for (unsigned i = 0; i < 4; i++)
        if (strcmp(key, keys[i]) == 0) {
            assert_false(seen->bits & 1u << i);
            seen->bits |= 1u << i;
        }
    return --seen->left == 0 ? PEERCACHE_ESTATE : 0;
}

static unsigned keys_of(struct pc_store *store, const char *prefix)
{
    struct keys_seen seen = { .left = 100 };
    assert_int_equal(pc_store_meta_keys(store, prefix, see_key, &seen), 0);
    return seen.bits;
}

static void meta_keys_are_told(void **state)
{
    (void)state;
    struct pc_store *store = conformance_open(1);
    assert_int_equal(keys_of(store, ""), 0);
    assert_int_equal(pc_store_meta_put(store, "a:1", pc_bytes_of("x", 1), 1000), 0);
    assert_int_equal(pc_store_meta_put(store, "b:1", pc_bytes_of("x", 1), 1000), 0);
    struct pc_store *other = conformance_open(2);
    assert_int_equal(pc_store_meta_put(other, "a:2", pc_bytes_of("x", 1), 1000), 0);
    assert_int_equal(pc_store_meta_put(other, "a:1", pc_bytes_of("y", 1), 1000), 0);
    pc_store_close(other);
    assert_int_equal(keys_of(store, "a:"), 3);
    assert_int_equal(keys_of(store, "a:2"), 2);
    assert_int_equal(keys_of(store, "b"), 8);
    assert_int_equal(keys_of(store, "a%"), 0); /* no pattern */
    assert_int_equal(keys_of(store, ""), 11);
    struct keys_seen first = { .left = 1 };
    assert_int_equal(pc_store_meta_keys(store, "a:", see_key, &first), PEERCACHE_ESTATE);
    assert_true(first.bits == 1 || first.bits == 2);
    assert_int_equal(pc_store_meta_put(store, "a:3", pc_bytes_of("x", 1), 1000),
                     0); /* nothing is left open */
    pc_store_close(store);
    struct pc_store_options options = conformance_options(3);
    options.read_only = true;
    assert_int_equal(pc_store_open(conformance_path, &options, &store, NULL), 0);
    assert_int_equal(keys_of(store, "a:"), 7);
    pc_store_close(store);
}

/* Adds one to a number, at most `max` times. */
struct raise {
    uint64_t number, max;
    unsigned calls;
    bool is_new;
};

static bool raise_number(void *context, struct pc_bytes value, struct pc_bytes *ret_value)
{
    struct raise *raise = context;
    raise->calls++;
    raise->is_new = value.data == NULL;
    raise->number = 0;
    if (value.size == sizeof(raise->number))
        memcpy(&raise->number, value.data, value.size);
    if (raise->number >= raise->max)
        return false;
    raise->number++;
    *ret_value = pc_bytes_of(&raise->number, sizeof(raise->number));
    return true;
}

static uint64_t number_of(struct pc_store *store)
{
    uint64_t number = 0;
    size_t size = 0;
    assert_int_equal(pc_store_meta_get(store, "number", (uint8_t *)&number, sizeof(number), &size), 0);
    assert_int_equal(size, sizeof(number));
    return number;
}

static void meta_is_changed_by_what_it_was(void **state)
{
    (void)state;
    struct raise raise = { .max = 3 };
    struct pc_store *a = conformance_open(1);
    struct pc_store *b = conformance_open(2);
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(pc_store_meta_update(i % 2 ? a : b, "number", raise_number, &raise, 1000), 0);
        assert_int_equal(raise.calls, i + 1);
        assert_int_equal(raise.is_new, i == 0);
        assert_int_equal(number_of(i % 2 ? b : a), i < 3 ? i + 1 : 3);
    }
    pc_store_close(a);
    pc_store_close(b);
    struct pc_store_options options = conformance_options(3);
    options.read_only = true;
    raise.max = 100;
    assert_int_equal(pc_store_open(conformance_path, &options, &a, NULL), 0);
    assert_int_equal(pc_store_meta_update(a, "number", raise_number, &raise, 1000), 0);
    assert_int_equal(raise.number, 4); /* it was asked, and saw what there is */
    assert_int_equal(number_of(a), 3);
    assert_int_equal(pc_store_meta_update(a, "other", raise_number, &raise, 1000), 0);
    assert_true(raise.is_new);
    pc_store_close(a);
}

static bool end_value(void *context, struct pc_bytes value, struct pc_bytes *ret_value)
{
    *(bool *)context = value.data != NULL;
    *ret_value = pc_bytes_of(NULL, 0);
    return true;
}

static void meta_can_be_no_more(void **state)
{
    (void)state;
    uint8_t value[8];
    size_t size;
    bool was_there = false;
    struct pc_store *store = conformance_open(1);
    struct pc_store *other = conformance_open(2);
    assert_int_equal(pc_store_meta_put(store, "a:1", pc_bytes_of("x", 1), 1000), 0);
    assert_int_equal(pc_store_meta_put(store, "a:2", pc_bytes_of("", 0), 1000), 0);
    assert_int_equal(pc_store_meta_put(store, "a:3", pc_bytes_of("z", 1), 1000), 0);
    assert_int_equal(pc_store_meta_update(other, "a:2", end_value, &was_there, 1000), 0);
    assert_true(was_there);
    assert_int_equal(pc_store_meta_get(store, "a:2", value, sizeof(value), &size), PEERCACHE_ENOTFOUND);
    assert_int_equal(pc_store_meta_update(store, "a:2", end_value, &was_there, 1000), 0);
    assert_false(was_there);
    assert_int_equal(keys_of(store, "a:"), 5);
    assert_int_equal(keys_of(other, "a:"), 5);
    pc_store_close(store);
    pc_store_close(other);
    struct pc_store_options options = conformance_options(3);
    options.read_only = true;
    assert_int_equal(pc_store_open(conformance_path, &options, &store, NULL), 0);
    assert_int_equal(pc_store_meta_update(store, "a:1", end_value, &was_there, 1000), 0);
    assert_int_equal(keys_of(store, "a:"), 5);
    pc_store_close(store);
}

static void no_change_of_meta_is_lost(void **state)
{
    (void)state;
    pid_t pids[WRITERS];
    for (uint32_t i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            struct pc_store_options options = conformance_options((uint8_t)(10 + i));
            struct raise raise = { .max = UINT64_MAX };
            struct pc_store *store = NULL;
            options.timeout_ms = 20000;
            if (pc_store_open(conformance_path, &options, &store, NULL))
                _exit(1);
            for (uint32_t n = 0; n < COMMITS; n++)
                if (pc_store_meta_update(store, "number", raise_number, &raise, 20000) ||
                    raise.calls != n + 1)
                    _exit(2);
            _exit(0);
        }
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        int status = 0;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    struct pc_store *store = conformance_open(1);
    assert_int_equal(number_of(store), WRITERS * COMMITS);
    pc_store_close(store);
}

static void the_file_taken_away_is_made_anew(void **state)
{
    (void)state;
    struct pc_record record;
    struct pc_store *store = conformance_open(1);
    struct pc_delta delta = conformance_delta(1, 1, NOW_MS);
    conformance_commit(store, 1, &delta);
    assert_int_equal(unlink(conformance_path), 0);
    delta = conformance_delta(2, 1, NOW_MS);
    conformance_commit(store, 2, &delta);
    assert_int_equal(conformance_find(store, 2, &record), 1);
    pc_store_close(store);
    store = conformance_open(2);
    assert_int_equal(conformance_find(store, 2, &record), 1);
    assert_int_equal(conformance_find(store, 1, &record), 0);
    pc_store_close(store);
}

static void the_default_path_follows_the_environment(void **state)
{
    (void)state;
    char path[PC_STORE_PATH_BYTES];
    struct pc_store_environment e = { .home = "/home/u" };
    assert_int_equal(pc_store_default_path(&e, "ipfs", false, path, sizeof(path)), 0);
    assert_string_equal(path, "/home/u/.local/state/peercache/ipfs/peers.db");
    e.xdg_state_home = "/x";
    assert_int_equal(pc_store_default_path(&e, "ipfs", true, path, sizeof(path)), 0);
    assert_string_equal(path, "/x/peercache/ipfs-local/peers.db");
    e.state_directory = "/var/lib/a:/var/lib/b";
    assert_int_equal(pc_store_default_path(&e, "ipfs", false, path, sizeof(path)), 0);
    assert_string_equal(path, "/var/lib/a/ipfs/peers.db");
    assert_int_equal(pc_store_default_path(&e, "ipfs", false, path, 5), PEERCACHE_ELIMIT);
    assert_int_equal(pc_store_default_path(&e, "../x", false, path, sizeof(path)), PEERCACHE_EINVAL);
    struct pc_store_environment none = { .xdg_state_home = "relative" };
    assert_int_equal(pc_store_default_path(&none, "ipfs", false, path, sizeof(path)), PEERCACHE_ENOTFOUND);
}

static struct pc_store *open_for(uint32_t peers_max)
{
    struct pc_store_options options = conformance_options(1);
    struct pc_store *store = NULL;
    struct pc_reason reason = { "" };
    options.peers_max = peers_max;
    if (pc_store_open(conformance_path, &options, &store, &reason))
        fail_msg("%s", reason.text);
    return store;
}

/* So many in one batch, of which the first are tried. */
static void commit_many(struct pc_store *store, uint64_t sequence, uint32_t from, uint32_t tried,
                        uint32_t count)
{
    static struct pc_delta deltas[PC_CACHE_BATCH_MAX];
    assert_true(count <= PC_CACHE_BATCH_MAX);
    for (uint32_t i = 0; i < count; i++)
        deltas[i] = conformance_delta(from + i, i < tried, NOW_MS - 1000);
    if (pc_store_commit(store, sequence, deltas, count, NOW_MS, 5000))
        fail_msg("%s", store->error.text);
}

/* A file that was made for few gets more buckets when it is opened for many; for few again, it holds what it has, and whoever
 * comes takes the place of another. Who was met stays throughout. */
static void a_cache_grows_and_is_full(void **state)
{
    (void)state;
    struct pc_store *store = open_for(100);
    commit_many(store, 1, 0, 30, 500);
    assert_in_range(conformance_count(store, PC_STORE_ALL), 60, 100);
    pc_store_close(store);

    store = open_for(20000);
    for (uint32_t batch = 0; batch < 4; batch++)
        commit_many(store, 2 + batch, 1000 + 1000 * batch, 0, 1000);
    size_t many = conformance_count(store, PC_STORE_ALL);
    assert_in_range(many, 2000, 4100);
    pc_store_close(store);

    store = open_for(100);
    commit_many(store, 6, 6000, 10, 500);
    assert_in_range(conformance_count(store, PC_STORE_ALL), 40, many);
    struct pc_record record;
    for (uint32_t i = 0; i < 30; i++)
        assert_int_equal(conformance_find(store, i, &record), 1);
    for (uint32_t i = 6000; i < 6010; i++)
        assert_int_equal(conformance_find(store, i, &record), 1);
    assert_int_equal(pc_store_check(store), 0);
    pc_store_close(store);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, conformance_setup, conformance_teardown)

int conformance_run(const char *suffix)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_committed_is_read_back_whole),
        CASE(a_retried_commit_counts_once),
        CASE(best_is_a_sample_and_all_come_in_their_order),
        CASE(others_changes_are_told_once),
        CASE(what_others_saw_since_keeps_its_date),
        CASE(a_removed_peer_stays_removed),
        CASE(a_removal_of_the_future_is_of_just_before_now),
        CASE(who_knows_an_earlier_time_takes_nothing_back),
        CASE(an_address_without_id_moves_to_its_peer),
        CASE(another_network_or_mode_is_refused),
        CASE(wrong_paths_are_refused_with_a_sentence),
        CASE(a_link_is_followed_to_its_file),
        CASE(without_a_write_bit_nothing_changes),
        CASE(eight_writers_some_killed_lose_nothing_acknowledged),
        CASE(what_a_process_commits_outlives_it_unclosed),
        CASE(two_successes_and_a_failure_are_reliable),
        CASE(users_share_a_setgid_directory_only),
        CASE(a_held_lock_is_a_clear_error),
        CASE(meta_is_kept),
        CASE(meta_may_be_long),
        CASE(meta_keys_are_told),
        CASE(meta_is_changed_by_what_it_was),
        CASE(meta_can_be_no_more),
        CASE(no_change_of_meta_is_lost),
        CASE(the_file_taken_away_is_made_anew),
        CASE(a_cache_grows_and_is_full),
        CASE(the_default_path_follows_the_environment),
    };
    conformance_suffix_set(suffix);
    return cmocka_run_group_tests_name(suffix, tests, NULL, NULL);
}
