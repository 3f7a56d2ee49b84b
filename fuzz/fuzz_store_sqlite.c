/* Any bytes as the file of a SQLite store: opened for reading where it is, then for writing; no crash, no hang, and
 * what is written is there. */
#include "store/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOW_MS INT64_C(1760000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held)
{
    if (!held)
        abort();
}

static int count_one(void *context, const struct pc_record *record)
{
    ++*(size_t *)context;
    require(record->addr_count <= PEERCACHE_ADDRS_PER_PEER); /* none: removed */
    return 0;
}

/* In memory where there is such a place. */
static void make_directory(char *ret_directory, size_t capacity)
{
    (void)snprintf(ret_directory, capacity, "/dev/shm/peercache-fuzz-XXXXXX");
    if (mkdtemp(ret_directory))
        return;
    (void)snprintf(ret_directory, capacity, "/tmp/peercache-fuzz-XXXXXX");
    require(mkdtemp(ret_directory) != NULL);
}

static void remove_directory(const char *directory)
{
    DIR *entries = opendir(directory);
    require(entries != NULL);
    for (const struct dirent *e = readdir(entries); e; e = readdir(entries))
        if (e->d_name[0] != '.')
            (void)unlinkat(dirfd(entries), e->d_name, 0);
    (void)closedir(entries);
    require(rmdir(directory) == 0);
}

static void use(struct pc_store *store)
{
    struct pc_store_query query = { .kind = PC_STORE_ALL };
    struct pc_delta delta;
    struct pc_peer_id id = { .size = 34, .bytes = { 0x12, 0x20, 7 } };
    static const uint8_t addr[] = {
        4, 20, 0, 0, 1, 0x91, 2, 0x0f, 0xa1, 0xcd, 3
    }; /* /ip4/20.0.0.1/udp/4001/quic-v1 */
    size_t count = 0;
    (void)pc_store_query(store, &query, count_one, &count);
    query.kind = PC_STORE_BEST;
    query.count = 100;
    (void)pc_store_query(store, &query, count_one, &count);
    pc_cache_delta_init(&delta, &id, pc_bytes_of(addr, sizeof(addr)));
    delta.history.success_count = 1;
    delta.history.last_seen_ms = NOW_MS;
    (void)pc_store_commit(store, 1, &delta, 1, NOW_MS, 100);
    (void)pc_store_check(store);
    query.kind = PC_STORE_CHANGED;
    (void)pc_store_query(store, &query, count_one, &count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char directory[64], path[96];
    struct pc_store *store = NULL;
    struct pc_store_options options = {
        .network = "test", .timeout_ms = 100, .now_ms = NOW_MS, .random = { 1 }
    };
    make_directory(directory, sizeof(directory));
    (void)snprintf(path, sizeof(path), "%s/fuzz.db", directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    require(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0);
    for (int i = 0; i < 2; i++) {
        options.read_only = i == 0;
        if (pc_store_open(path, &options, &store, NULL) == 0) {
            use(store);
            pc_store_close(store);
        }
    }
    remove_directory(directory);
    return 0;
}
