#include "observe_check.h"

#include "check.h"

#include "base/rng.h"

struct pc_peer_id example_id(uint32_t number)
{
    struct pc_peer_id id = { .size = 38, .bytes = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 } };
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, number);
    pc_base_rng_bytes(&rng, id.bytes + 6, 32);
    return id;
}

struct pc_maddr example_addr(uint32_t number)
{
    struct pc_maddr addr;
    const struct pc_ip_port where = { .family = 4,
                                      .ip = { 198, 51, 100, (uint8_t)number },
                                      .port = (uint16_t)(4000 + number) };
    pc_addr_from_ip_port(&where, &addr);
    return addr;
}

static void example_join(struct pc_join_metrics *join)
{
    uint64_t number = 1000;
    join->first_verified_us = 20500;
    join->fifth_verified_us = 1234567;
    for (unsigned via = 0; via < PEERCACHE_VIA_COUNT; via++) {
        join->offered[via] = number++;
        join->dials[via] = number++;
        for (unsigned outcome = 0; outcome < PEERCACHE_OUTCOME_COUNT; outcome++)
            join->ended[via][outcome] = number++;
    }
    join->ended[PEERCACHE_VIA_DHT][PEERCACHE_DENIED] = 0;
    join->refused_offers = number++;
    join->lost_offers = number++;
    join->given_up = number++;
    join->cache_hits = number++;
    join->cache_misses = number++;
    for (unsigned i = 0; i < PEERCACHE_FETCH_COUNT; i++)
        join->fetches[i] = number++;
    join->fetches[PEERCACHE_FETCH_CANCELLED] = 0;
    join->breaker_transitions = number++;
    join->questions = number++;
    join->questions_failed = number++;
    join->rounds = number++;
}

void example_observation(struct pc_observation *ret_observation)
{
    *ret_observation = (struct pc_observation){
        .node = { .phase = "living",
                  .standing = PC_NODE_DEGRADED,
                  .id = example_id(1),
                  .is_server = true,
                  .own_addrs = { example_addr(1), example_addr(2) },
                  .own_addr_count = 2,
                  .is_automatic = true,
                  .reachability = PC_REACH_PUBLIC,
                  .announced = { example_addr(2) },
                  .announced_count = 1,
                  .target = 5,
                  .min = 1,
                  .verified = 3,
                  .endpoint_count = 3,
                  .endpoints = { { .url = "https://one.example/peers",
                                   .result = "ok",
                                   .breaker = "closed",
                                   .delivered = 40,
                                   .verified = 2 },
                                 { .url = "https://two.example/\"x\"",
                                   .result = "timeout",
                                   .breaker = "open",
                                   .next_try_ms = 59000 },
                                 { .url = "https://three.example/",
                                   .result = "",
                                   .breaker = "closed",
                                   .next_try_ms = -1 } },
                  .has_report = true,
                  .cause = "too_few",
                  .next_step = "Wait.",
                  .outbound = 11,
                  .inbound = 12,
                  .dialing = 13,
                  .requests = 14,
                  .trimmed = 21,
                  .doubles = 22,
                  .answered_ago_us = 2500000,
                  .table_count = 45,
                  .buckets = { [0] = 20, [1] = 20, [9] = 5 },
                  .tried = 300,
                  .fresh = 700,
                  .pending = 15,
                  .is_saving = true,
                  .last_success_ms = INT64_C(1700000000123) },
        .version = "0.1.0",
        .network = "ipfs",
        .started_ms = INT64_C(1699990000456),
        .uptime_us = INT64_C(10000000789),
        .store_path = "/var/lib/peercache/ipfs/peers.db",
        .store_problem = "read-only file system",
        .store_is_healthy = true,
        .resident_bytes = 33554432,
        .descriptors = 16,
        .descriptors_max = 1024,
        .datagrams_received = 123456,
        .datagrams_sent = 654321,
        .counts = { .pushes_sent = 41,
                    .pushes_received = 42,
                    .pushes_refused = 43,
                    .records_good = 44,
                    .records_bad = 45,
                    .records_stale = 46,
                    .dials_back = 47 },
    };
    for (unsigned i = 0; i < PC_SHED_COUNT; i++)
        ret_observation->turned_away.shed[i] = 2000 + i;
    ret_observation->turned_away.retries = 1999;
    ret_observation->turned_away.streams = 17;
    ret_observation->turned_away.buffered_bytes = 18000;
    example_join(&ret_observation->node.join);
}

char *read_vector(const char *name)
{
    char path[1024];
    const char *vectors = getenv("VECTORS");
    assert_non_null(vectors);
    (void)snprintf(path, sizeof(path), "%s/%s", vectors, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("no %s", path);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    (void)fclose(file);
    return text;
}
