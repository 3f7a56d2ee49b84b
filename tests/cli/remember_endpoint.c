/*
 * For the tests of endpoints: write what a node would remember of an endpoint into a local cache of ipfs.
 *
 *   remember_endpoint CACHE URL RESULT STATUS DETAIL FAILURES AGO_MS [MULTIADDR...]
 *
 * FAILURES in a row its breaker has seen; all of it AGO_MS milliseconds ago. RESULT "rubbish bytes" writes what can't be
 * read, "asked now" takes the lease.
 *
 *   remember_endpoint CACHE URL older AGO_MS
 *
 * Let what a node has remembered be older by so much, as if it had waited that long: no test can.
 */
#include "driver/clock.h"
#include "join/endpoint_memory.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int result, const char *what)
{
    if (result == 0)
        return;
    fprintf(stderr, "remember_endpoint: %s: %s\n", what, peercache_strerror(result));
    exit(1);
}

static void add_peers(struct pc_endpoint_memory *memory, char **texts, size_t count)
{
    struct pc_endpoint_peer *peers = calloc(count, sizeof(*peers));
    check(peers ? 0 : PEERCACHE_ENOMEM, "peers");
    for (size_t i = 0; i < count; i++) {
        uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
        size_t size;
        check(pc_addr_multiaddr_parse(texts[i], strlen(texts[i]), bytes, sizeof(bytes), &size, NULL),
              texts[i]);
        check(pc_addr_multiaddr_split(pc_bytes_of(bytes, size), &peers[i].addr, &peers[i].id), texts[i]);
    }
    check(pc_endpoint_memory_set_peers(memory, peers, count), "peers");
    free(peers);
}

static void fail_often(struct pc_endpoint_memory *memory, int failures, int64_t wall_ms)
{
    const uint8_t seed[PC_RNG_SEED_BYTES] = { 1 };
    struct pc_rng rng;
    struct pc_breaker breaker;
    pc_base_rng_init(&rng, seed);
    pc_breaker_init(&breaker);
    for (int i = 0; i < failures; i++) {
        pc_breaker_asked(&breaker, 0);
        pc_breaker_ended(&breaker, PC_BREAKER_FAILURE, true, &rng, 0);
    }
    pc_breaker_save(&breaker, 0, wall_ms, memory->breaker);
    memory->has_breaker = true;
}

static void fill(struct pc_endpoint_memory *memory, char **argv, int64_t now_ms)
{
    int64_t then_ms = now_ms - atoll(argv[7]);
    const uint8_t owner[PC_ENDPOINT_OWNER_BYTES] = { 1 };
    fail_often(memory, atoi(argv[6]), then_ms);
    memory->asked_ms = then_ms;
    if (strcmp(argv[3], "asked now") == 0) {
        (void)pc_endpoint_memory_take_lease(memory, owner, PC_ENDPOINT_LEASE_MS, now_ms);
        return;
    }
    memory->ended_ms = then_ms;
    memory->status = (uint16_t)atoi(argv[4]);
    pc_endpoint_memory_set_detail(memory, argv[5]);
    for (int i = 0; i < PEERCACHE_FETCH_COUNT; i++)
        if (strcmp(argv[3], peercache_fetch_name((peercache_fetch)i)) == 0)
            memory->result = (peercache_fetch)i;
}

static void make_older(struct pc_endpoint_memory *memory, int64_t older_ms, int64_t now_ms)
{
    struct pc_breaker breaker;
    int64_t *const times_ms[] = { &memory->asked_ms, &memory->ended_ms, &memory->answered_ms };
    for (size_t i = 0; i < sizeof(times_ms) / sizeof(times_ms[0]); i++)
        if (*times_ms[i] != 0) /* 0: never */
            *times_ms[i] -= older_ms;
    if (!memory->has_breaker)
        return;
    check(pc_breaker_load(pc_bytes_of(memory->breaker, sizeof(memory->breaker)), 0, now_ms + older_ms,
                          &breaker),
          "breaker");
    pc_breaker_save(&breaker, 0, now_ms, memory->breaker);
}

int main(int argc, char **argv)
{
    static uint8_t bytes[PC_STORE_META_VALUE_MAX_BYTES];
    char key[PC_ENDPOINT_KEY_BYTES];
    struct pc_driver_clock clock;
    struct pc_endpoint_memory memory;
    struct pc_store *store = NULL;
    struct pc_reason reason = { "" };
    size_t size = 0;
    bool older = argc == 5 && strcmp(argv[3], "older") == 0;
    if (argc < 8 && !older)
        return 2;
    pc_driver_clock_init(&clock);
    int64_t now_ms = pc_driver_clock_now(&clock).wall_ms;
    pc_endpoint_memory_key(argv[2], key);
    struct pc_store_options options = {
        .network = "ipfs", .mode = PC_NETGROUP_LOCAL, .timeout_ms = 10000, .now_ms = now_ms, .random = { 7 }
    };
    check(pc_store_open(argv[1], &options, &store, &reason), reason.text);
    if (older) {
        check(pc_store_meta_get(store, key, bytes, sizeof(bytes), &size), "get");
        check(pc_endpoint_memory_read(pc_bytes_of(bytes, size), &memory), "read");
        make_older(&memory, atoll(argv[4]), now_ms);
    } else {
        check(pc_endpoint_memory_init(&memory, argv[2]), argv[2]);
        fill(&memory, argv, now_ms);
    }
    if (argc > 8) {
        add_peers(&memory, argv + 8, (size_t)argc - 8);
        memory.answered_ms = memory.ended_ms;
    }
    check(pc_endpoint_memory_write(&memory, bytes, sizeof(bytes), &size), "write");
    if (strcmp(argv[3], "rubbish bytes") == 0)
        size /= 2;
    check(pc_store_meta_put(store, key, pc_bytes_of(bytes, size), 10000), "put");
    pc_store_close(store);
    pc_endpoint_memory_deinit(&memory);
    return 0;
}
