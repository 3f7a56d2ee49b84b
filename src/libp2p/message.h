/*
 * The messages on streams, in bytes: multistream-select lines, identify and Kademlia protobufs (libp2p/specs
 * connections, identify, kad-dht). Decoders borrow from the input and are strict about limits: what is over
 * one is PEERCACHE_ELIMIT, what is malformed PEERCACHE_EPARSE.
 */
#ifndef PC_LIBP2P_MESSAGE_H
#define PC_LIBP2P_MESSAGE_H

#include "addr/multiaddr.h"
#include "base/bytes.h"

/* multistream-select: varint length, text, newline. */
#define PC_MULTISTREAM_LINE_MAX_BYTES 1024 /* text and newline */
#define PC_MULTISTREAM_PROTOCOL       "/multistream/1.0.0"
/* One line with its length before it. ELIMIT. */
int pc_libp2p_multistream_encode(const char *protocol, uint8_t *ret_data, size_t capacity, size_t *ret_size);
/* 1 a whole line: *ret_line without newline, *ret_used bytes taken; 0 more is needed; EPARSE; ELIMIT. */
int pc_libp2p_multistream_decode(struct pc_bytes data, struct pc_bytes *ret_line, size_t *ret_used);

/* A length-prefixed message. 1 whole, 0 more is needed, EPARSE, ELIMIT the length is over `limit`. */
int pc_libp2p_frame_decode(struct pc_bytes data, size_t limit, struct pc_bytes *ret_message,
                           size_t *ret_used);

#define PC_IDENTIFY_MAX_BYTES     16384 /* go-libp2p sends up to 8 KiB of signed record besides */
#define PC_IDENTIFY_ADDRS_MAX     64
#define PC_IDENTIFY_PROTOCOLS_MAX 128

/* What a stranger says of himself: borrowed bytes, not checked to be keys, text or addresses. */
struct pc_identify {
    struct pc_bytes public_key;
    struct pc_bytes agent;
    struct pc_bytes protocol_version;
    struct pc_bytes observed_addr;
    struct pc_bytes signed_record; /* an envelope (peer_record.h) */
    size_t addr_count;
    struct pc_bytes addrs[PC_IDENTIFY_ADDRS_MAX];
    size_t protocol_count;
    struct pc_bytes protocols[PC_IDENTIFY_PROTOCOLS_MAX];
};
/* Unprefixed protobuf. Addresses and protocols beyond the bounds are ELIMIT. */
int pc_libp2p_identify_decode(struct pc_bytes message, struct pc_identify *ret_identify);
/* With the length prefix. ELIMIT. */
int pc_libp2p_identify_encode(const struct pc_identify *identify, uint8_t *ret_data, size_t capacity,
                              size_t *ret_size);

#define PC_KAD_MESSAGE_MAX_BYTES 262144
#define PC_KAD_PEERS_MAX                                                                                     \
    20 /* closer peers that are read; k of the spec; further ones are ignored up to the message bound */
#define PC_KAD_PEER_ADDRS_MAX 32   /* addresses read of one peer */
#define PC_KAD_ADDRS_MAX      2000 /* addresses in one whole answer; beyond it is ELIMIT */

struct pc_kad_peer {
    struct pc_peer_id id;
    size_t addr_count;
    struct pc_bytes addrs[PC_KAD_PEER_ADDRS_MAX];
};
enum pc_kad_message_type {
    PC_KAD_PUT_VALUE = 0,
    PC_KAD_GET_VALUE = 1,
    PC_KAD_ADD_PROVIDER = 2,
    PC_KAD_GET_PROVIDERS = 3,
    PC_KAD_FIND_NODE = 4,
    PC_KAD_PING = 5,
};
struct pc_kad_message {
    uint32_t type;
    struct pc_bytes key;
    size_t peer_count;
    struct pc_kad_peer peers[PC_KAD_PEERS_MAX];
};
/* Unprefixed. Peers whose id is absent or malformed are skipped; addresses are borrowed bytes, not checked.
 */
int pc_libp2p_kad_decode(struct pc_bytes message, struct pc_kad_message *ret_message);
/* With the length prefix. ELIMIT. */
int pc_libp2p_kad_encode(const struct pc_kad_message *message, uint8_t *ret_data, size_t capacity,
                         size_t *ret_size);
/* The answer to a FIND_NODE, with the length prefix, written once into room of just its size that is asked for; NULL from
 * `room`: ENOMEM. ELIMIT more than PC_KAD_PEERS_MAX peers, or over the bound of a message: no room was asked for. */
int pc_libp2p_kad_answer(const struct pc_kad_peer *peers, size_t count,
                         uint8_t *(*room)(void *context, size_t size), void *context);

#endif
