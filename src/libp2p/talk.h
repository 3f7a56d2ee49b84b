/* What the protocols on a stream share (protocol.h): how a talk ends, and how its result is told. */
#ifndef PC_LIBP2P_TALK_H
#define PC_LIBP2P_TALK_H

#include "libp2p/connection.h"
#include "libp2p/stream.h"

static inline struct pc_libp2p_host *pc_libp2p_talk_host(const struct pc_stream *stream)
{
    return stream->connection->host;
}

/* The end of a stream's work: what still comes is thrown away, until the deadline shuts it. */
void pc_libp2p_talk_done(struct pc_stream *stream);
/* And nothing more is sent on it. */
void pc_libp2p_talk_done_well(struct pc_stream *stream);
/* The talk fails. Ours: the request has failed, and without identify the whole connection. The peer's: it is reset, and
 * counted. */
void pc_libp2p_talk_fail(struct pc_stream *stream, peercache_outcome outcome, const char *why);
/* Out of memory is our fault, not the peer's: the connection goes, the rest lives. */
void pc_libp2p_talk_out_of_memory(struct pc_stream *stream);
/* Why a decoder refused, in words. */
const char *pc_libp2p_talk_why(int result);
/* The name of a protocol, and whether this host answers to it now. */
const char *pc_libp2p_protocol_name(const struct pc_libp2p_host *host, enum pc_protocol protocol);
bool pc_libp2p_protocol_spoken(const struct pc_libp2p_host *host, enum pc_protocol protocol);

/* talk_identify.c. Answer the peer's question; take in its answer to ours, or what it pushes: false, not whole yet. */
void pc_libp2p_identify_answer(struct pc_stream *stream);
bool pc_libp2p_identify_answered(struct pc_stream *stream);
bool pc_libp2p_identify_pushed(struct pc_stream *stream);

#endif
