/*
 * What the two QUIC targets share: hosts that are the same at each run (but for GnuTLS, whose randomness is
 * its own), and an input read as a list of steps.
 */
#ifndef FUZZ_QUIC_HOST_H
#define FUZZ_QUIC_HOST_H

#include "base/bytes.h"
#include "libp2p/host.h"

#include <ngtcp2/ngtcp2.h>

/*
 * A step: a byte for its kind (modulo QUIC_STEP_KINDS), two bytes of length (big-endian), the bytes; a length
 * beyond the end means up to the end.
 */
enum quic_step_kind {
    QUIC_STEP_DATAGRAM, /* from the address of the peer */
    QUIC_STEP_STRANGER, /* from another; its first byte numbers it */
    QUIC_STEP_WAIT,     /* the length is milliseconds, and there are no bytes */
    QUIC_STEP_INITIAL,  /* frames, to be sealed into an Initial of the peer */
    QUIC_STEP_RETRY,    /* the same with the token of a Retry; to a client: the token, in a Retry */
    QUIC_STEP_KINDS,
};

struct quic_step {
    enum quic_step_kind kind;
    size_t length; /* as it was given */
    struct pc_bytes bytes;
};

#define QUIC_STEPS_MAX    64 /* further ones are ignored: an input has to end soon */
#define QUIC_DATAGRAM_MAX 2048
#define QUIC_PEER         1 /* number of the peer's address */
#define QUIC_HOST         2 /* of the host's */

struct quic_run {
    struct pc_libp2p_host *host;
    peercache_time now;
    uint32_t number; /* of the next Initial */
    /* Shown each datagram that the host sends; may be NULL. */
    void (*seen)(struct quic_run *run, struct pc_bytes datagram);
    ngtcp2_cid key_cid; /* whose keys Initials have */
    ngtcp2_cid dcid;    /* of the Initials of the peer */
    ngtcp2_cid scid;
    uint8_t token[256]; /* of the last Retry */
    size_t token_size;
};

void quic_require(bool held);
bool quic_next_step(struct pc_bytes *input, struct quic_step *ret_step);

/* A host of an identity and randomness that never change. */
struct pc_libp2p_host *quic_host_new(bool server, uint32_t connections_max);
struct pc_ip_port quic_address(uint8_t number);
void quic_run_init(struct quic_run *run, struct pc_libp2p_host *host);
/* A datagram comes, in memory of its size; then all that the host has to say is taken. */
void quic_give(struct quic_run *run, uint8_t from, struct pc_bytes bytes);
void quic_drain(struct quic_run *run);
void quic_wait(struct quic_run *run, int64_t for_us);
/* So many datagrams of a real handshake go to and fro, those of `client` first. */
void quic_exchange(struct quic_run *client, struct quic_run *server, unsigned count);
/* In the end nothing is left alive and no timer set. Frees the host. */
void quic_end(struct quic_run *run);
/* Frames in an Initial of version 1 with the run's ids, padded to 1200 bytes; no token when it has no size. */
size_t quic_seal_initial(struct quic_run *run, bool client, struct pc_bytes token, struct pc_bytes frames,
                         uint8_t data[QUIC_DATAGRAM_MAX]);

#endif
