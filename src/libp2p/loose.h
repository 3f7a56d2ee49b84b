/*
 * Datagrams of no connection: version negotiation, stateless resets, Retries, refusals. Nothing is kept of
 * whom they answer, all are shorter than what they answer, and they are limited in number: nobody is flooded
 * by our hand. One that is over a limit, or finds no memory, is not sent, which its asker survives.
 */
#ifndef PC_LIBP2P_LOOSE_H
#define PC_LIBP2P_LOOSE_H

#include "libp2p/host_state.h"
#include "libp2p/ngtcp2_compat.h"

#define PC_LIBP2P_LOOSE_MAX  256 /* that wait to be sent */
#define PC_LIBP2P_LOOSE_RATE 100 /* a second, Retries aside */
/*
 * Retries a second. What holds honest clients off is the rate itself: above it each of them has only a share
 * of what is left. So it is high, half a gigabit of first datagrams, and bounds what they cost: at some
 * 2.5 us each an eighth of a core (a connection costs 300 us).
 */
#define PC_LIBP2P_RETRY_RATE 50000
/* A token is good for so long: for the round trip it was sent for, and two losses after it (1 and 3 s). */
#define PC_LIBP2P_RETRY_VALID_US (10 * PC_US_PER_S)

/* The secret of tokens made of the host's. */
void pc_libp2p_loose_init(struct pc_libp2p_host *host);
void pc_libp2p_loose_deinit(struct pc_libp2p_host *host);
/* The next to be sent; false: none. */
bool pc_libp2p_loose_take(struct pc_libp2p_host *host, struct pc_datagram *datagram);

/* Each answers `datagram`. */
void pc_libp2p_loose_version_negotiation(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                                         const ngtcp2_version_cid *ids);
void pc_libp2p_loose_stateless_reset(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                                     const ngtcp2_version_cid *ids);
/* Come again with this token, so that we know you are where you say (RFC 9000 section 8.1.2). */
void pc_libp2p_loose_retry(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                           const ngtcp2_pkt_hd *header);
/* No connection: `code` is NGTCP2_CONNECTION_REFUSED or NGTCP2_INVALID_TOKEN. */
void pc_libp2p_loose_refusal(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                             const ngtcp2_pkt_hd *header, uint64_t code);

/* What the token of an Initial says. */
enum pc_retry_token {
    PC_RETRY_TOKEN_NONE,    /* none, or one that no Retry of ours can have had */
    PC_RETRY_TOKEN_VALID,   /* ours, for this address and connection id, and not too old */
    PC_RETRY_TOKEN_INVALID, /* looks like ours and is not valid: its client can't be sent another Retry */
};
/* *ret_original is set when VALID: the connection id that the client chose before the Retry. */
enum pc_retry_token pc_libp2p_loose_check_token(const struct pc_libp2p_host *host,
                                                const struct pc_datagram *datagram,
                                                const ngtcp2_pkt_hd *header, ngtcp2_cid *ret_original);

#endif
