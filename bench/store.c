/*
 * The stores: open a cache of 1,500 peers and pick 10; commits of one delta and of 1,000, one process.
 *
 * A figure is the median of its rounds.
 */
#include "store/store.h"
#include "base/time.h"
#include "cache/set.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NOW_MS INT64_C(1760000000000)
#define PEERS  1500
#define ROUNDS 21
#define BATCH  1000

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
    (void)fprintf(stderr, "bench_store: %s\n", what);
    exit(1);
}

static void make_delta(uint32_t number, struct pc_delta *ret_delta)
{
    char text[64];
    struct pc_maddr addr;
    struct pc_peer_id id = { .size = 38, .bytes = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 } };
    for (size_t i = 0; i < 32; i++)
        id.bytes[6 + i] = (uint8_t)(number * 2654435761U >> (i % 4 * 8) ^ i * 37);
    (void)snprintf(text, sizeof(text), "/ip4/%u.%u.7.%u/udp/4001/quic-v1", 20 + number % 60,
                   number / 60 % 256, number % 251);
    require(pc_addr_maddr_parse(text, strlen(text), &addr, NULL) == 0, "an address");
    pc_cache_delta_init(ret_delta, &id, pc_addr_maddr_bytes(&addr));
    ret_delta->history.success_count = number % 3;
    ret_delta->history.last_seen_ms = NOW_MS - number;
    ret_delta->history.last_success_ms = number % 3 ? NOW_MS - number : 0;
    ret_delta->history.last_attempt_ms = NOW_MS - number / 2;
    ret_delta->history.rtt_us = 20000 + number;
    ret_delta->history.rtt_at_ms = NOW_MS - number;
    ret_delta->first_seen_ms = NOW_MS - 100000;
    ret_delta->source = PEERCACHE_SOURCE_DHT;
}

static struct pc_store *open_store(const char *path, uint8_t seed)
{
    struct pc_store_options options = {
        .network = "bench", .timeout_ms = 5000, .now_ms = NOW_MS, .random = { seed }
    };
    struct pc_store *store = NULL;
    struct pc_reason reason = { "" };
    require(pc_store_open(path, &options, &store, &reason) == 0, reason.text);
    return store;
}

static int load(void *context, const struct pc_record *record)
{
    return pc_cache_set_load(context, record, NOW_MS);
}

static int by_value(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static int64_t open_and_pick_us(const char *path)
{
    int64_t times[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        struct pc_cache_set_options options = { .peers_max = PC_CACHE_SET_DEFAULT_PEERS };
        const struct pc_store_query best = { .kind = PC_STORE_BEST, .count = PC_CACHE_SET_DEFAULT_PEERS };
        struct pc_cache_set *set = NULL;
        struct pc_pick picks[10];
        struct pc_rng rng;
        pc_base_rng_init_u64(&rng, i);
        int64_t before_us = monotonic_us();
        struct pc_store *store = open_store(path, 2);
        require(pc_cache_set_new(&options, &set) == 0, "a working set");
        require(pc_store_query(store, &best, load, set) == 0, store->error.text);
        require(pc_cache_set_pick(set, &rng, NOW_MS, true, picks, 10) == 10, "ten picks");
        times[i] = monotonic_us() - before_us;
        pc_cache_set_free(set);
        pc_store_close(store);
    }
    qsort(times, ROUNDS, sizeof(times[0]), by_value);
    return times[ROUNDS / 2];
}

/* Commits of `size` deltas each, a second's worth; returns deltas a second. */
static int64_t deltas_per_s(const char *path, size_t size)
{
    struct pc_delta *deltas = calloc(size, sizeof(*deltas));
    struct pc_store *store = open_store(path, (uint8_t)(3 + (size > 1))); /* another writer each time */
    uint64_t commits = 0;
    require(deltas != NULL, "memory");
    int64_t begin_us = monotonic_us(), took_us = 0;
    do {
        for (size_t i = 0; i < size; i++)
            make_delta((uint32_t)(commits * size + i) % PEERS, &deltas[i]);
        require(pc_store_commit(store, ++commits, deltas, size, NOW_MS, 1000) == 0, store->error.text);
        took_us = monotonic_us() - begin_us;
    } while (took_us < PC_US_PER_S);
    pc_store_close(store);
    free(deltas);
    return (int64_t)(commits * size) * PC_US_PER_S / took_us;
}

static void measure(const char *directory, const char *name)
{
    char path[128], lock_path[160];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    struct pc_delta *deltas = calloc(PEERS, sizeof(*deltas));
    require(deltas != NULL, "memory");
    for (uint32_t i = 0; i < PEERS; i++)
        make_delta(i, &deltas[i]);
    struct pc_store *store = open_store(path, 1);
    require(pc_store_commit(store, 1, deltas, PEERS, NOW_MS, 1000) == 0, store->error.text);
    pc_store_close(store);
    free(deltas);
    int64_t pick_us = open_and_pick_us(path);
    int64_t one_per_s = deltas_per_s(path, 1), batch_per_s = deltas_per_s(path, BATCH);
    (void)printf(
        "%-11s open %d peers and pick 10: %lld us; commits of 1 delta: %lld/s; of %d: %lld deltas/s\n", name,
        PEERS, (long long)pick_us, (long long)one_per_s, BATCH, (long long)batch_per_s);
    static const char *const suffixes[] = { "", ".lock", ".lock-queue" };
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        (void)snprintf(lock_path, sizeof(lock_path), "%s%s", path, suffixes[i]);
        (void)unlink(lock_path);
    }
}

int main(void)
{
    char directory[] = "/tmp/peercache-bench-XXXXXX";
    require(mkdtemp(directory) != NULL, "a directory");
    measure(directory, "peers.db");
    measure(directory, "peers.json");
    return rmdir(directory) != 0;
}
