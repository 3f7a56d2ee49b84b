/*
 * 64 processes that commit at once, on each kind of store, beside one process that makes as many commits alone; and
 * beside the floor, which is what the file system or SQLite takes for the bare writing of one commit.
 *
 * Each commit has two deltas, of the process's own peer and of one that all raise. A wait is the time of one commit
 * call; all begin together and make one commit after another, so that 63 wait at any moment.
 */
#include "store/store.h"

#include "base/time.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOW_MS     INT64_C(1760000000000)
#define PROCESSES  64
#define ROUNDS     3 /* of which the best total counts */
#define PATH_BYTES 128

static char directory[] = "/tmp/peercache-bench-XXXXXX";

struct waits {
    int64_t longest_us;
    int64_t sum_us;
};

static int64_t monotonic_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * PC_US_PER_S + now.tv_nsec / 1000;
}

static void require(bool held, const char *what)
{
    if (held)
        return;
    (void)fprintf(stderr, "bench_many: %s\n", what);
    exit(1);
}

static struct pc_delta delta_of(uint32_t number)
{
    char text[64];
    struct pc_maddr addr;
    struct pc_delta delta;
    struct pc_peer_id id = { .size = 38, .bytes = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 } };
    for (size_t i = 0; i < 32; i++)
        id.bytes[6 + i] = (uint8_t)(number * 2654435761U >> (i % 4 * 8) ^ i * 37);
    (void)snprintf(text, sizeof(text), "/ip4/%u.%u.7.%u/udp/4001/quic-v1", 20 + number % 60,
                   number / 60 % 256, number % 251);
    require(pc_addr_maddr_parse(text, strlen(text), &addr, NULL) == 0, "an address");
    pc_cache_delta_init(&delta, &id, pc_addr_maddr_bytes(&addr));
    delta.history.success_count = 1;
    delta.history.last_seen_ms = NOW_MS;
    delta.history.last_success_ms = NOW_MS;
    delta.first_seen_ms = NOW_MS;
    delta.source = PEERCACHE_SOURCE_DHT;
    return delta;
}

static struct pc_store *open_store(const char *path, uint32_t number)
{
    struct pc_store_options options = { .network = "bench",
                                        .timeout_ms = 60000,
                                        .now_ms = NOW_MS,
                                        .random = { (uint8_t)number },
                                        .writer_id = 1 + number };
    struct pc_store *store = NULL;
    struct pc_reason reason = { "" };
    require(pc_store_open(path, &options, &store, &reason) == 0, reason.text);
    return store;
}

static void fill(const char *path, uint32_t peers)
{
    struct pc_delta *deltas = calloc(peers, sizeof(*deltas));
    require(deltas != NULL, "memory");
    for (uint32_t i = 0; i < peers; i++)
        deltas[i] = delta_of(i);
    struct pc_store *store = open_store(path, 1000);
    require(pc_store_commit(store, 1, deltas, peers, NOW_MS, 1000) == 0, store->error.text);
    pc_store_close(store);
    free(deltas);
}

static struct waits commit_many(struct pc_store *store, uint32_t number, uint32_t commits)
{
    struct waits waits = { 0, 0 };
    for (uint32_t i = 1; i <= commits; i++) {
        const struct pc_delta deltas[] = { delta_of(number), delta_of(PROCESSES) };
        int64_t before_us = monotonic_us();
        require(pc_store_commit(store, i, deltas, 2, NOW_MS, 60000) == 0, store->error.text);
        int64_t took_us = monotonic_us() - before_us;
        waits.longest_us = pc_base_time_max(waits.longest_us, took_us);
        waits.sum_us += took_us;
    }
    return waits;
}

/* Until the last of them has made its commits; what they wait is in *ret_waits. */
static int64_t run_processes(const char *path, uint32_t processes, uint32_t commits_each,
                             struct waits *ret_waits)
{
    int ready[2], start[2], done[2];
    char byte = 0;
    pid_t pids[PROCESSES];
    struct waits *all =
        mmap(NULL, PROCESSES * sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(all != MAP_FAILED && pipe(ready) == 0 && pipe(start) == 0 && pipe(done) == 0, "pipes");
    (void)fflush(NULL);
    for (uint32_t i = 0; i < processes; i++) {
        pids[i] = fork();
        require(pids[i] >= 0, "fork");
        if (pids[i])
            continue;
        (void)close(start[1]);
        struct pc_store *store = open_store(path, i);
        require(write(ready[1], &byte, 1) == 1, "a pipe");
        require(read(start[0], &byte, 1) == 0, "the start"); /* its end: all are let go at once */
        all[i] = commit_many(store, i, commits_each);
        require(write(done[1], &byte, 1) == 1, "a pipe");
        pc_store_close(store);
        _exit(0);
    }
    for (uint32_t i = 0; i < processes; i++)
        require(read(ready[0], &byte, 1) == 1, "a process");
    (void)close(ready[1]);
    (void)close(done[1]);
    int64_t begin_us = monotonic_us();
    (void)close(start[1]);
    for (uint32_t i = 0; i < processes; i++)
        require(read(done[0], &byte, 1) == 1, "a process ended early");
    int64_t took_us = monotonic_us() - begin_us;
    *ret_waits = (struct waits){ 0, 0 };
    for (uint32_t i = 0; i < processes; i++) {
        int status = 0;
        require(waitpid(pids[i], &status, 0) == pids[i] && status == 0, "a process failed");
        ret_waits->longest_us = pc_base_time_max(ret_waits->longest_us, all[i].longest_us);
        ret_waits->sum_us += all[i].sum_us;
    }
    (void)close(ready[0]);
    (void)close(start[0]);
    (void)close(done[0]);
    require(munmap(all, PROCESSES * sizeof(*all)) == 0, "memory");
    return took_us;
}

/* What a save of so many bytes takes without us: write, sync, rename, sync of the directory. */
static int64_t file_floor_us(const char *path, uint32_t commits)
{
    char temporary[PATH_BYTES + 8];
    struct stat info;
    require(stat(path, &info) == 0, path);
    char *bytes = calloc(1, (size_t)info.st_size);
    (void)snprintf(temporary, sizeof(temporary), "%s.floor", path);
    int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(bytes && at >= 0, "the directory");
    int64_t begin_us = monotonic_us();
    for (uint32_t i = 0; i < commits; i++) {
        int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        require(fd >= 0 && write(fd, bytes, (size_t)info.st_size) == info.st_size && fsync(fd) == 0 &&
                    close(fd) == 0 && rename(temporary, path) == 0 && fsync(at) == 0,
                "the floor");
    }
    int64_t took_us = monotonic_us() - begin_us;
    (void)close(at);
    free(bytes);
    return took_us;
}

/* What SQLite takes for two updates of a row in a transaction, in the same mode. */
static int64_t sqlite_floor_us(uint32_t commits)
{
    char path[PATH_BYTES];
    sqlite3 *db = NULL;
    sqlite3_stmt *statements[4] = { NULL };
    static const char *const texts[] = { "BEGIN IMMEDIATE", "UPDATE peer SET addrs=?2 WHERE key=?1",
                                         "UPDATE peer SET addrs=?2 WHERE key=?1", "COMMIT" };
    static const char setup[] =
        "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA wal_autocheckpoint=4000;"
        "CREATE TABLE peer(key BLOB PRIMARY KEY,addrs BLOB)WITHOUT ROWID;"
        "INSERT INTO peer VALUES(x'01',zeroblob(80)),(x'02',zeroblob(80))";
    (void)snprintf(path, sizeof(path), "%s/floor-%lld.db", directory, (long long)monotonic_us());
    require(sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, setup, NULL, NULL, NULL) == SQLITE_OK,
            "SQLite");
    for (size_t i = 0; i < 4; i++)
        require(sqlite3_prepare_v2(db, texts[i], -1, &statements[i], NULL) == SQLITE_OK, "SQLite");
    int64_t begin_us = monotonic_us();
    for (uint32_t i = 0; i < commits; i++)
        for (size_t s = 0; s < 4; s++) {
            if (s == 1 || s == 2) {
                const uint8_t key = (uint8_t)s;
                (void)sqlite3_bind_blob(statements[s], 1, &key, 1, SQLITE_TRANSIENT);
                (void)sqlite3_bind_zeroblob(statements[s], 2, 80);
            }
            require(sqlite3_step(statements[s]) == SQLITE_DONE, "SQLite");
            (void)sqlite3_reset(statements[s]);
        }
    int64_t took_us = monotonic_us() - begin_us;
    for (size_t i = 0; i < 4; i++)
        (void)sqlite3_finalize(statements[i]);
    (void)sqlite3_close(db);
    return took_us;
}

static void measure(const char *name, uint32_t peers, uint32_t commits_each)
{
    char path[PATH_BYTES];
    struct waits waits, alone;
    int64_t best_us = INT64_MAX, best_alone_us = INT64_MAX;
    struct waits best_waits = { 0, 0 };
    bool is_json = strstr(name, ".json") != NULL;
    uint32_t total = PROCESSES * commits_each;
    for (int round = 0; round < ROUNDS; round++) {
        (void)snprintf(path, sizeof(path), "%s/%u-%d-%s", directory, peers, round, name);
        fill(path, peers);
        int64_t alone_us = run_processes(path, 1, total, &alone);
        best_alone_us = pc_base_time_min(best_alone_us, alone_us);
        (void)snprintf(path, sizeof(path), "%s/%u-%d-many-%s", directory, peers, round, name);
        fill(path, peers);
        int64_t took_us = run_processes(path, PROCESSES, commits_each, &waits);
        if (took_us < best_us) {
            best_us = took_us;
            best_waits = waits;
        }
    }
    int64_t floor_us = is_json ? file_floor_us(path, total / 8) * 8 : sqlite_floor_us(total);
    (void)printf("  %-10s %5u peers, %6u commits: 64 processes %7.2f s, one alone %7.2f s (ratio %.2f), "
                 "floor %6.2f s; "
                 "wait: longest %lld ms, mean %lld ms\n",
                 name, peers, total, (double)best_us / 1e6, (double)best_alone_us / 1e6,
                 (double)best_us / (double)best_alone_us, (double)floor_us / 1e6,
                 (long long)best_waits.longest_us / 1000, (long long)(best_waits.sum_us / total / 1000));
    (void)fflush(stdout);
}

int main(void)
{
    char rm[PATH_BYTES];
    require(mkdtemp(directory) != NULL, "a directory");
    (void)printf("64 processes that commit at once (target: ratio 2, longest wait 500 ms):\n");
    measure("peers.db", PROCESSES + 1, 500);
    measure("peers.db", 1500, 500);
    measure("peers.json", PROCESSES + 1, 100);
    measure("peers.json", 1500, 25);
    (void)snprintf(rm, sizeof(rm), "rm -rf %s", directory);
    return system(rm) ? 1 : 0;
}
