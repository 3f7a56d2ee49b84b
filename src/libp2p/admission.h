/*
 * Who may become an inbound connection when many ask. A first datagram costs its sender nothing, not even an
 * address of his own; a connection made of it costs us a TLS session until it is given up.
 *
 * An inbound connection is half-open until its client is proven: from its first datagram until the handshake is done. Of
 * those that came without a token nothing proves that they are where they say; they are taken on trust, and have limits of their
 * own. Beyond them a new client is sent a Retry, which costs us nothing to keep and him one round trip (RFC 9000 section
 * 8.1.2). Who comes back with the token was there to receive it: he is accepted as long as there is room, and
 * when there is none, the oldest connection on trust makes room for him, or who is greedier than he (shedding.h).
 *
 * An attacker with addresses of his own answers Retries as well. So his group has limits too: on connections, on those that are
 * half-open, and on handshakes a second, for each costs us a millisecond whatever comes of it. What was taken on trust may
 * have at most half of either, so that who borrows a group's addresses shuts nobody of it out:
 *
 *                               no token                      a token of ours
 *   connections of the group    refused                       refused
 *   half-open of the group      half the limit, then Retry    the limit, then dropped
 *   handshakes of the group     half the burst, then Retry    the burst, then dropped
 *   handshakes in all           half the burst, then Retry    the burst, then dropped
 *   half-open in all            the limit, then Retry         -
 *   connections in all          Retry or refused              room is made, or refused
 *
 * Dropped is what will soon have a place: its client comes again by itself, in a second at the first time.
 *
 * A half-open connection that failed counts until its lingering is over, or a flood of broken handshakes
 * would never reach the limit.
 */
#ifndef PC_LIBP2P_ADMISSION_H
#define PC_LIBP2P_ADMISSION_H

#include "libp2p/host_state.h"

/* Of connections_max one part in so many may be half-open on trust, unless limits.half_open says; at least one. */
#define PC_LIBP2P_HALF_OPEN_PART 4

/* A client's first datagram came: accept, send a Retry, refuse or drop. */
void pc_libp2p_admission_initial(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                                 const ngtcp2_pkt_hd *header);
/* Whether there are connections_max. */
bool pc_libp2p_admission_full(const struct pc_libp2p_host *host);
/* One goes for a newcomer of this group (NULL: one of which there is nothing yet): the oldest on trust without a word, else who is
 * greedier. False: there is none. */
bool pc_libp2p_admission_make_room(struct pc_libp2p_host *host, const struct pc_account *group);

/* The connection, an inbound one, is half-open from now on. */
void pc_libp2p_admission_enter(struct pc_connection *connection, bool on_trust);
/* It lingers: it can't be displaced any more, but still counts. Nothing when it is not half-open. */
void pc_libp2p_admission_unlist(struct pc_connection *connection);
/* It is proven, or is being freed. Nothing when it is not half-open. */
void pc_libp2p_admission_leave(struct pc_connection *connection);

#endif
