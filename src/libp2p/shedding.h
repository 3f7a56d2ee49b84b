/*
 * What connections weigh, and who goes first when it is too much (limits.h has the limits).
 *
 * Greedy is who asks over its rate, slow is who does not read what it asked for. Both are one measure of a connection, its greed:
 *
 *   requests over its rate, halved every ten seconds  +  kilobytes that are buffered on its streams
 *
 * Rates: a peer that has more than half of its burst to spend may spend the last token of its group and of the host; one that is
 * at it leaves the second half of those to the others. Who has been over its rate PC_GREED_MAX times is closed.
 *
 * Memory: over the peer's limit its connection is closed. Over the group's, or that of the host, the connection that buffers more is
 * closed when it holds more than the average of them; the modest stay. All those below the average hold less than the limit
 * together, so there is never more than twice as much.
 *
 * Places: when a newcomer finds the host full, of some connections the greediest makes room for it, else one of the most crowded
 * group when that has two more than the newcomer's. Looked at are PC_SHEDDING_LOOK at a time, in turn: a flood of newcomers costs the same
 * with any number of connections. Those that the caller keeps (pc_libp2p_host_keep) and those that we dialled stay.
 */
#ifndef PC_LIBP2P_SHEDDING_H
#define PC_LIBP2P_SHEDDING_H

#include "libp2p/connection.h"

#define PC_SHEDDING_LOOK 64
#define PC_GREED_MAX     1000 /* requests over the rate */
#define PC_GREED_LEAST   64   /* greed below it is no reason to go */
#define PC_GREED_HALF_US (10 * PC_US_PER_S)
#define PC_GREED_UNIT    1024 /* bytes buffered that weigh like a request */

/* A stream of the peer was opened: counted. False: it is over a limit. */
bool pc_libp2p_shedding_stream(struct pc_stream *stream);
/* It is freed; nothing when it was not counted. */
void pc_libp2p_shedding_stream_gone(struct pc_stream *stream);
/* The peer asks something. False: over a rate; the stream is to be reset. May condemn the connection. */
bool pc_libp2p_shedding_request(struct pc_connection *connection);
/* So many bytes more, or less, are buffered. May condemn the connection. */
void pc_libp2p_shedding_buffered(struct pc_connection *connection, size_t size);
void pc_libp2p_shedding_unbuffered(struct pc_connection *connection, size_t size);
/* The connection has proven its id: it counts for the peer from now on. May condemn it. ENOMEM. */
int pc_libp2p_shedding_proven(struct pc_connection *connection);
/* It is gone for the caller. */
void pc_libp2p_shedding_departed(struct pc_connection *connection);
/* Whether there is one that would go for a newcomer of a group with so many connections. */
bool pc_libp2p_shedding_has_room(struct pc_libp2p_host *host, uint32_t group_connections);
/* One goes so that a newcomer of a group with so many connections has a place. False: nobody deserves it more. */
bool pc_libp2p_shedding_make_room(struct pc_libp2p_host *host, uint32_t group_connections);

#endif
