/* Any bytes as a Kademlia message: what is accepted can be written and reads the same. */
#include "libp2p/message.h"

#include <peercache/types.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held)
{
    if (!held)
        abort();
}

static void require_same(const struct pc_kad_message *a, const struct pc_kad_message *b)
{
    require(a->type == b->type);
    require(pc_bytes_equal(a->key, b->key));
    require(a->peer_count == b->peer_count);
    for (size_t i = 0; i < a->peer_count; i++) {
        const struct pc_kad_peer *one = &a->peers[i], *other = &b->peers[i];
        require(one->id.size > 0 && pc_addr_peer_id_equal(&one->id, &other->id));
        require(one->addr_count == other->addr_count);
        for (size_t j = 0; j < one->addr_count; j++)
            require(pc_bytes_equal(one->addrs[j], other->addrs[j]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t encoded[PC_KAD_MESSAGE_MAX_BYTES + 3];
    struct pc_kad_message a, b;
    struct pc_bytes message;
    size_t encoded_size, used;
    int r = pc_libp2p_kad_decode(pc_bytes_of(data, size), &a);
    require(r == 0 || r == PEERCACHE_EPARSE || r == PEERCACHE_ELIMIT);
    if (r < 0)
        return 0;
    r = pc_libp2p_kad_encode(&a, encoded, sizeof(encoded), &encoded_size);
    if (r == PEERCACHE_ELIMIT) {
        /* A type that was left out is written, in at most 6 bytes; nothing else grows. */
        require(size > PC_KAD_MESSAGE_MAX_BYTES - 6);
        return 0;
    }
    require(r == 0);
    require(pc_libp2p_frame_decode(pc_bytes_of(encoded, encoded_size), size + 6, &message, &used) == 1);
    require(used == encoded_size);
    require(pc_libp2p_kad_decode(message, &b) == 0);
    require_same(&a, &b);
    return 0;
}
