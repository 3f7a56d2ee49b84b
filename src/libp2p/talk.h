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
/* The result of a request of ours is told. */
struct pc_libp2p_event *pc_libp2p_talk_deliver(struct pc_stream *stream, enum pc_libp2p_event_kind kind);
/* The peer asks what the caller is to answer: an event with a copy of the bytes, and the talk waits. False: memory. */
bool pc_libp2p_talk_asked(struct pc_stream *stream, enum pc_libp2p_event_kind kind, struct pc_bytes bytes);
/* It goes on, and what was asked is not answered yet; it waits again. */
void pc_libp2p_talk_resume(struct pc_stream *stream);
void pc_libp2p_talk_wait(struct pc_stream *stream);
/* Why a decoder refused, in words. */
const char *pc_libp2p_talk_why(int result);
/* The name of a protocol, and whether this host answers to it now. */
const char *pc_libp2p_protocol_name(const struct pc_libp2p_host *host, enum pc_protocol protocol);
bool pc_libp2p_protocol_spoken(const struct pc_libp2p_host *host, enum pc_protocol protocol);

/* talk_identify.c. Answer the peer's question; take in its answer to ours, or what it pushes: false, not whole yet. */
void pc_libp2p_identify_answer(struct pc_stream *stream);
bool pc_libp2p_identify_answered(struct pc_stream *stream);
bool pc_libp2p_identify_pushed(struct pc_stream *stream);

/* talk_autonat.c. Ask to be dialled at an address; a request of ours, which begins so, is answered. ENOMEM, ELIMIT. */
int pc_libp2p_autonat_ask(struct pc_connection *connection, uint64_t request, struct pc_bytes addr,
                          int64_t deadline_us);
int pc_libp2p_autonat_started(struct pc_stream *stream, struct pc_bytes request);
bool pc_libp2p_autonat_answered(struct pc_stream *stream);
/* A fresh connection brings the number. */
bool pc_libp2p_dial_back_came(struct pc_stream *stream);
/* A peer asks, and the caller's answer to that. */
bool pc_libp2p_autonat_asked(struct pc_stream *stream);
void pc_libp2p_autonat_refuse(struct pc_stream *stream, enum pc_autonat_status status);
void pc_libp2p_autonat_dial(struct pc_stream *stream, uint32_t addr_index, const struct pc_ip_port *to,
                            uint32_t data_bytes);
/* The fresh connection that we dialled is proven; the number was taken there; it has ended. */
void pc_libp2p_autonat_connected(struct pc_connection *connection);
bool pc_libp2p_dial_back_answered(struct pc_stream *stream);
void pc_libp2p_autonat_dial_ended(struct pc_connection *connection);

#endif
