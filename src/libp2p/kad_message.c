/*
 * The Kademlia message (libp2p/specs kad-dht/README.md), as far as finding nodes needs it: type, key, closer
 * peers. Values and providers are passed over unread. Peers beyond those kept are still walked, so that the
 * bound on addresses holds for the whole answer and not only for its beginning.
 */
#include "libp2p/message.h"

#include "libp2p/protobuf.h"

#include <peercache/types.h>

#include <assert.h>
#include <string.h>

enum message_field {
    FIELD_TYPE = 1,
    FIELD_KEY = 2,
    FIELD_CLOSER_PEER = 8,
};

enum peer_field {
    PEER_FIELD_ID = 1,
    PEER_FIELD_ADDR = 2,
};

/* A peer of an answer; its id has size 0 when it was absent or malformed. *addr_total counts every address,
 * those not kept too. EPARSE, ELIMIT. */
static int peer_decode(struct pc_bytes message, size_t *addr_total, struct pc_kad_peer *ret_peer)
{
    struct pc_protobuf_field field;
    struct pc_reader r;
    int more;
    ret_peer->id.size = 0;
    ret_peer->addr_count = 0;
    pc_base_reader_init(&r, message.data, message.size);
    while ((more = pc_libp2p_protobuf_next(&r, &field)) > 0) {
        if (field.number != PEER_FIELD_ID && field.number != PEER_FIELD_ADDR)
            continue;
        if (field.wire != PC_PROTOBUF_BYTES)
            return PEERCACHE_EPARSE;
        if (field.number == PEER_FIELD_ID) {
            if (pc_addr_peer_id_from_bytes(field.bytes, &ret_peer->id) < 0)
                ret_peer->id.size = 0;
            continue;
        }
        if (++*addr_total > PC_KAD_ADDRS_MAX)
            return PEERCACHE_ELIMIT;
        if (ret_peer->addr_count < PC_KAD_PEER_ADDRS_MAX)
            ret_peer->addrs[ret_peer->addr_count++] = field.bytes;
    }
    return more;
}

int pc_libp2p_kad_decode(struct pc_bytes message, struct pc_kad_message *ret_message)
{
    struct pc_kad_message kad; /* large: only what is decoded is written, and copied */
    struct pc_kad_peer beyond; /* walked for its addresses only */
    struct pc_protobuf_field field;
    struct pc_reader r;
    size_t addr_total = 0;
    int more;
    if (message.size > PC_KAD_MESSAGE_MAX_BYTES)
        return PEERCACHE_ELIMIT;
    kad.type = PC_KAD_PUT_VALUE; /* what protobuf leaves out is 0 */
    kad.key = (struct pc_bytes){ NULL, 0 };
    kad.peer_count = 0;
    pc_base_reader_init(&r, message.data, message.size);
    while ((more = pc_libp2p_protobuf_next(&r, &field)) > 0) {
        if (field.number == FIELD_TYPE) {
            if (field.wire != PC_PROTOBUF_VARINT || field.varint > UINT32_MAX)
                return PEERCACHE_EPARSE;
            kad.type = (uint32_t)field.varint;
        } else if (field.number == FIELD_KEY) {
            if (field.wire != PC_PROTOBUF_BYTES)
                return PEERCACHE_EPARSE;
            kad.key = field.bytes;
        } else if (field.number == FIELD_CLOSER_PEER) {
            bool kept = kad.peer_count < PC_KAD_PEERS_MAX;
            struct pc_kad_peer *peer = kept ? &kad.peers[kad.peer_count] : &beyond;
            if (field.wire != PC_PROTOBUF_BYTES)
                return PEERCACHE_EPARSE;
            int decoded = peer_decode(field.bytes, &addr_total, peer);
            if (decoded < 0)
                return decoded;
            if (kept && peer->id.size > 0)
                kad.peer_count++;
        }
    }
    if (more < 0)
        return more;
    ret_message->type = kad.type;
    ret_message->key = kad.key;
    ret_message->peer_count = kad.peer_count;
    memcpy(ret_message->peers, kad.peers, kad.peer_count * sizeof(kad.peers[0]));
    return 0;
}

static size_t peer_size(const struct pc_kad_peer *peer)
{
    size_t size = pc_libp2p_protobuf_bytes_size(PEER_FIELD_ID, peer->id.size);
    for (size_t i = 0; i < peer->addr_count; i++)
        size += pc_libp2p_protobuf_bytes_size(PEER_FIELD_ADDR, peer->addrs[i].size);
    return size;
}

/* Without the length prefix; that of each peer too. */
static size_t message_size(uint32_t type, struct pc_bytes key, const struct pc_kad_peer *peers, size_t count,
                           size_t ret_peer_sizes[PC_KAD_PEERS_MAX])
{
    size_t size = pc_libp2p_protobuf_varint_size(FIELD_TYPE, type);
    if (key.size > 0)
        size += pc_libp2p_protobuf_bytes_size(FIELD_KEY, key.size);
    for (size_t i = 0; i < count; i++) {
        ret_peer_sizes[i] = peer_size(&peers[i]);
        size += pc_libp2p_protobuf_bytes_size(FIELD_CLOSER_PEER, ret_peer_sizes[i]);
    }
    return size;
}

static void write_message(struct pc_writer *w, uint32_t type, struct pc_bytes key,
                          const struct pc_kad_peer *peers, size_t count,
                          const size_t peer_sizes[PC_KAD_PEERS_MAX])
{
    /* The type is written even when it is 0: older readers hold it for required. */
    pc_libp2p_protobuf_write_varint(w, FIELD_TYPE, type);
    if (key.size > 0)
        pc_libp2p_protobuf_write_bytes(w, FIELD_KEY, key);
    for (size_t i = 0; i < count; i++) {
        const struct pc_kad_peer *peer = &peers[i];
        assert(peer->addr_count <= PC_KAD_PEER_ADDRS_MAX);
        pc_libp2p_protobuf_write_header(w, FIELD_CLOSER_PEER, peer_sizes[i]);
        pc_libp2p_protobuf_write_bytes(w, PEER_FIELD_ID, pc_addr_peer_id_bytes(&peer->id));
        for (size_t j = 0; j < peer->addr_count; j++)
            pc_libp2p_protobuf_write_bytes(w, PEER_FIELD_ADDR, peer->addrs[j]);
    }
    assert(!w->error);
}

int pc_libp2p_kad_encode(const struct pc_kad_message *message, uint8_t *ret_data, size_t capacity,
                         size_t *ret_size)
{
    struct pc_writer w;
    size_t peer_sizes[PC_KAD_PEERS_MAX];
    assert(message->peer_count <= PC_KAD_PEERS_MAX);
    size_t size = message_size(message->type, message->key, message->peers, message->peer_count, peer_sizes);
    if (size > PC_KAD_MESSAGE_MAX_BYTES || pc_base_varint_size(size) + size > capacity)
        return PEERCACHE_ELIMIT;
    pc_base_writer_init(&w, ret_data, capacity);
    pc_base_write_varint(&w, size);
    write_message(&w, message->type, message->key, message->peers, message->peer_count, peer_sizes);
    *ret_size = pc_base_writer_size(&w);
    return 0;
}

int pc_libp2p_kad_answer(const struct pc_kad_peer *peers, size_t count,
                         uint8_t *(*room)(void *context, size_t size), void *context)
{
    const struct pc_bytes no_key = { NULL, 0 };
    struct pc_writer w;
    size_t peer_sizes[PC_KAD_PEERS_MAX];
    if (count > PC_KAD_PEERS_MAX)
        return PEERCACHE_ELIMIT;
    size_t size = message_size(PC_KAD_FIND_NODE, no_key, peers, count, peer_sizes);
    if (size > PC_KAD_MESSAGE_MAX_BYTES)
        return PEERCACHE_ELIMIT;
    size_t whole = pc_base_varint_size(size) + size;
    uint8_t *data = room(context, whole);
    if (!data)
        return PEERCACHE_ENOMEM;
    pc_base_writer_init(&w, data, whole);
    pc_base_write_varint(&w, size);
    write_message(&w, PC_KAD_FIND_NODE, no_key, peers, count, peer_sizes);
    return 0;
}
