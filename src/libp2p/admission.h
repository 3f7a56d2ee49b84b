/*
 * Who may become an inbound connection when many ask. A first datagram costs its sender nothing, not even an
 * address of his own; a connection made of it costs us a TLS session until it is given up.
 *
 * An inbound connection is half-open while nothing proves that its client is where it says: from a first
 * datagram without a token until the handshake is done. Those have a limit of their own. Beyond it a new
 * client is sent a Retry, which costs us nothing to keep and him one round trip (RFC 9000 section 8.1.2).
 * Who comes back with the token was there to receive it: he is accepted as long as there is room, and
 * when there is none, the oldest half-open connection makes room for him.
 *
 * A half-open connection that failed counts until its lingering is over, or a flood of broken handshakes
 * would never reach the limit.
 */
#ifndef PC_LIBP2P_ADMISSION_H
#define PC_LIBP2P_ADMISSION_H

#include "libp2p/host_state.h"

/* Of connections_max one part in so many may be half-open; at least one. */
#define PC_LIBP2P_HALF_OPEN_PART 4

/* A client's first datagram came: accept, send a Retry, or refuse. */
void pc_libp2p_admission_initial(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                                 const ngtcp2_pkt_hd *header);
/* Whether there are connections_max. */
bool pc_libp2p_admission_full(const struct pc_libp2p_host *host);
/* The oldest half-open connection is dropped without a word; false: there is none. */
bool pc_libp2p_admission_displace(struct pc_libp2p_host *host);

/* The connection is half-open from now on. */
void pc_libp2p_admission_enter(struct pc_connection *connection);
/* It lingers: it can't be displaced any more, but still counts. Nothing when it is not half-open. */
void pc_libp2p_admission_unlist(struct pc_connection *connection);
/* It is proven, or is being freed. Nothing when it is not half-open. */
void pc_libp2p_admission_leave(struct pc_connection *connection);

#endif
