/* Any bytes as an identify message: what is accepted can be written, in no more bytes, and reads the same. */
#include "libp2p/message.h"

#include <peercache/types.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held)
{
    if (!held)
        abort();
}

static void require_same(const struct pc_bytes *a, size_t a_count, const struct pc_bytes *b, size_t b_count)
{
    require(a_count == b_count);
    for (size_t i = 0; i < a_count; i++)
        require(pc_bytes_equal(a[i], b[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t encoded[PC_IDENTIFY_MAX_BYTES + 3];
    struct pc_identify a, b;
    struct pc_bytes message;
    size_t encoded_size, used;
    int r = pc_libp2p_identify_decode(pc_bytes_of(data, size), &a);
    require(r == 0 || r == PEERCACHE_EPARSE || r == PEERCACHE_ELIMIT);
    if (r < 0)
        return 0;
    require(pc_libp2p_identify_encode(&a, encoded, sizeof(encoded), &encoded_size) == 0);
    require(pc_libp2p_frame_decode(pc_bytes_of(encoded, encoded_size), size, &message, &used) == 1);
    require(used == encoded_size);
    require(pc_libp2p_identify_decode(message, &b) == 0);
    require(pc_bytes_equal(a.public_key, b.public_key));
    require(pc_bytes_equal(a.agent, b.agent));
    require(pc_bytes_equal(a.protocol_version, b.protocol_version));
    require(pc_bytes_equal(a.observed_addr, b.observed_addr));
    require_same(a.addrs, a.addr_count, b.addrs, b.addr_count);
    require_same(a.protocols, a.protocol_count, b.protocols, b.protocol_count);
    return 0;
}
