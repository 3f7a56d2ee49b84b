/*
 * Any bytes as the body of an endpoint's answer: read to an end with one of the results of the header, the same each time, and
 * what is taken of it is within the limits, is remembered and comes back.
 */
#include "driver/endpoint_answer.h"

#include <peercache/types.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held)
{
    if (!held)
        abort();
}

static void read_answer(struct pc_bytes body, const struct pc_driver_endpoint_network *network,
                        struct pc_driver_endpoint_answer *ret_answer)
{
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, 1);
    pc_driver_endpoint_answer_read(body, network, &rng, ret_answer);
}

static void check(const struct pc_driver_endpoint_answer *answer)
{
    require(answer->result == PEERCACHE_FETCH_OK || answer->result == PEERCACHE_FETCH_RUBBISH ||
            answer->result == PEERCACHE_FETCH_WRONG_NETWORK);
    require((answer->peers != NULL) == (answer->count > 0));
    require(answer->count == 0 || answer->result == PEERCACHE_FETCH_OK);
    require(answer->count > 0 || answer->detail.text[0] != '\0');
    require(answer->count <= PC_ENDPOINT_PEERS_MAX);
    for (size_t i = 0; i < answer->count; i++)
        require(answer->peers[i].addr.size > 0 && answer->peers[i].addr.size <= PC_MADDR_MAX_BYTES);
}

/* As it goes to the cache, for the other processes of the host. */
static void remember(const struct pc_driver_endpoint_answer *answer)
{
    static uint8_t bytes[PC_ENDPOINT_MEMORY_MAX_BYTES];
    struct pc_endpoint_memory memory, again;
    size_t size;
    require(pc_endpoint_memory_init(&memory, "http://a.example/") == 0);
    require(pc_endpoint_memory_set_peers(&memory, answer->peers, answer->count) == 0);
    pc_endpoint_memory_set_detail(&memory, answer->detail.text);
    require(pc_endpoint_memory_write(&memory, bytes, sizeof(bytes), &size) == 0);
    require(pc_endpoint_memory_read(pc_bytes_of(bytes, size), &again) == 0);
    require(again.peer_count == memory.peer_count);
    require(strcmp(again.detail, memory.detail) == 0);
    pc_endpoint_memory_deinit(&again);
    pc_endpoint_memory_deinit(&memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pc_driver_endpoint_network any, ours = { .name = "ipfs", .version = "1_1.0" };
    struct pc_driver_endpoint_answer answer, again, of_ours;
    read_answer(pc_bytes_of(data, size), &any, &answer);
    check(&answer);
    remember(&answer);
    read_answer(pc_bytes_of(data, size), &any, &again);
    require(again.result == answer.result && again.count == answer.count);
    for (size_t i = 0; i < answer.count; i++)
        require(pc_bytes_equal(pc_addr_maddr_bytes(&answer.peers[i].addr),
                               pc_addr_maddr_bytes(&again.peers[i].addr)));
    read_answer(pc_bytes_of(data, size), &ours, &of_ours);
    check(&of_ours);
    require(of_ours.result == answer.result || of_ours.result == PEERCACHE_FETCH_WRONG_NETWORK);
    free(of_ours.peers);
    free(again.peers);
    free(answer.peers);
    return 0;
}
