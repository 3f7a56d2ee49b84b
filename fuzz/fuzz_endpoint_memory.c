/* Any bytes as what is remembered of an endpoint: what is accepted is within its limits and writes the same bytes. */
#include "join/endpoint_memory.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held)
{
    if (!held)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t written[PC_ENDPOINT_MEMORY_MAX_BYTES];
    struct pc_endpoint_memory memory;
    size_t written_size;
    int r = pc_endpoint_memory_read(pc_bytes_of(data, size), &memory);
    require(r == 0 || r == PEERCACHE_EPARSE);
    if (r != 0)
        return 0;
    require(memory.peer_count <= PC_ENDPOINT_PEERS_MAX);
    require(pc_endpoint_memory_write(&memory, written, sizeof(written), &written_size) == 0);
    require(pc_bytes_equal(pc_bytes_of(written, written_size), pc_bytes_of(data, size)));
    /* nothing of it trips what is made of it */
    require(pc_endpoint_memory_take_lease(&memory, memory.lease_owner, PC_ENDPOINT_LEASE_MS, 1));
    (void)pc_endpoint_memory_may_share(&memory, 0, memory.answered_ms);
    require(pc_endpoint_memory_drop_lease(&memory, memory.lease_owner));
    pc_endpoint_memory_deinit(&memory);
    return 0;
}
