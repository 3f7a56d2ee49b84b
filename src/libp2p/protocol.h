/*
 * What is spoken on a stream: multistream-select and then identify, its push, ping, Kademlia FIND_NODE or AutoNAT v2, as the one
 * who opened it and as the one who was asked (libp2p/specs connections, identify, ping, kad-dht).
 *
 *              local                                       remote
 *   start ─► HEADER ─► SELECT ─► TALK ─► DONE     open ─► HEADER ─► SELECT ─┬─► TALK ◄──► ASKED
 *              the other's  its echo    the answer                ▲ "na"  └┘    └─► DONE ◄──┘
 *              header       of ours
 *
 * Every state but DONE may end in DONE: reset, deadline, a fault. A local stream sends header, protocol and
 * request in one flight and reads the echoes afterwards. In DONE nothing is expected: what still comes is
 * thrown away, without giving credit for more.
 */
#ifndef PC_LIBP2P_PROTOCOL_H
#define PC_LIBP2P_PROTOCOL_H

#include "base/fsm.h"
#include "base/map.h"
#include "libp2p/host.h"

#define PC_PING_BYTES 32
#define PC_PING_BACKLOG_BYTES                                                                                \
    1024 /* echoes that the peer did not acknowledge yet; honest pings come in turn */
#define PC_KAD_BACKLOG_BYTES                                                                                 \
    (64 * 1024) /* answers that the peer did not acknowledge yet: with more the next request waits */
#define PC_KAD_REQUEST_BYTES                                                                                 \
    4096 /* a FIND_NODE we are asked; its key is a peer id, its length is below 50     \
                                */
#define PC_PROPOSALS_MAX      8 /* protocols that one stream may try */

#define PC_PROTOCOL_IDENTIFY  "/ipfs/id/1.0.0"
#define PC_PROTOCOL_PING      "/ipfs/ping/1.0.0"
#define PC_PROTOCOL_PUSH      "/ipfs/id/push/1.0.0"
#define PC_PROTOCOL_DIAL      "/libp2p/autonat/2/dial-request"
#define PC_PROTOCOL_DIAL_BACK "/libp2p/autonat/2/dial-back"

#define PC_PUSH_MAX_BYTES     16000 /* of a peer: with its length within PC_STREAM_REMOTE_WINDOW */
#define PC_PUSHES_AT_ONCE     4
#define PC_PUSHES_PER_S       1

enum pc_protocol {
    PC_SPEAKS_NOTHING,
    PC_SPEAKS_IDENTIFY,
    PC_SPEAKS_PING,
    PC_SPEAKS_KAD,
    PC_SPEAKS_PUSH,
    PC_SPEAKS_DIAL,      /* AutoNAT v2: a request to dial */
    PC_SPEAKS_DIAL_BACK, /* and what the fresh connection brings */
    PC_SPEAKS_COUNT,
};

enum pc_talk_state {
    PC_TALK_HEADER,
    PC_TALK_SELECT,
    PC_TALK_TALK,
    PC_TALK_ASKED,
    PC_TALK_DONE,
};

struct pc_stream;
struct pc_libp2p_queued;

struct pc_talk {
    unsigned state;
    enum pc_protocol protocol;
    struct pc_libp2p_queued *result; /* of a ping or find_node of ours: the event that will end it */
    int64_t started_us;              /* of such a ping */
    uint8_t ping[PC_PING_BYTES];
    unsigned proposals;
    struct pc_map_node ask; /* in the host's `asks` while ASKED */
    uint64_t asked;

    /* of AutoNAT (autonat.h) */
    uint64_t nonce;
    struct pc_map_node by_nonce; /* in the host's `nonces` when `nonce_listed`: a request of ours */
    bool nonce_listed;
    bool came_back;      /* of ours: the fresh connection brought the number */
    bool paid;           /* of ours: data was sent; of the peer's: its request has come */
    uint32_t addr_index; /* of the peer's: what is dialled */
    uint64_t owed_bytes; /* data that it has to send before */
    struct pc_ip_port dial_to;
};

/* Begin as the opener; `result` becomes the talk's, NULL for identify and its push. ENOMEM: `result` stays the caller's.
 */
int pc_libp2p_protocol_start(struct pc_stream *stream, enum pc_protocol protocol, struct pc_bytes request,
                             struct pc_libp2p_queued *result);
/* Bytes came, or the end of them (`ended` of the stream is set before). */
void pc_libp2p_protocol_receive(struct pc_stream *stream, const uint8_t *data, size_t size);
/* The peer reset the stream, or our deadline for it passed, or it is gone. */
void pc_libp2p_protocol_reset(struct pc_stream *stream);
void pc_libp2p_protocol_expire(struct pc_stream *stream);
void pc_libp2p_protocol_gone(struct pc_stream *stream);
/* The peer took bytes: a request that waited for that is looked at. */
void pc_libp2p_protocol_resume(struct pc_stream *stream);
/* Over a limit: what was begun on the stream ends, and it is reset with this code. It is no fault. */
void pc_libp2p_protocol_shed(struct pc_stream *stream, uint64_t code);
/* The caller's answer to an ASKED. ENOMEM, ELIMIT. */
int pc_libp2p_protocol_answer(struct pc_stream *stream, const struct pc_kad_peer *peers, size_t count);

#endif
