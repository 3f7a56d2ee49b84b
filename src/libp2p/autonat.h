/*
 * AutoNAT v2 (libp2p/specs autonat/autonat-v2.md): a peer is asked to dial an address of ours over a fresh connection, and to
 * bring back a number there. So we know that the address can be reached, and need not believe it.
 *
 *   client                                        server
 *     │ ── dial-request: addresses, nonce ─────────► │
 *     │ ◄─ data request ──────────────────────────── │  only when the address is of another IP than the one it sees:
 *     │ ── data, 4 KB a message ───────────────────► │  who wants a stranger dialled pays for it
 *     │ ◄═ a fresh connection, dial-back: nonce ════ │  from a port that the client never sent to
 *     │ ◄─ response ──────────────────────────────── │
 */
#ifndef PC_LIBP2P_AUTONAT_H
#define PC_LIBP2P_AUTONAT_H

#include "base/bytes.h"

#define PC_AUTONAT_ADDRS_MAX     32   /* of a request; further ones are ignored */
#define PC_AUTONAT_MESSAGE_BYTES 8192 /* a request of 32 long addresses, or 4 KB of data */
#define PC_AUTONAT_CHUNK_BYTES   4096 /* of data in one message */
#define PC_AUTONAT_PAID_BYTES                                                                                \
    30000 /* what a server asks for: more than a handshake costs it and its victim */
#define PC_AUTONAT_PAY_MAX_BYTES 100000 /* what a client is ready to send */
#define PC_DIAL_BACK_BYTES       64     /* a dial-back message, or its answer */

enum pc_autonat_kind { /* the field numbers of Message */
                       PC_AUTONAT_REQUEST = 1,
                       PC_AUTONAT_RESPONSE = 2,
                       PC_AUTONAT_DATA_REQUEST = 3,
                       PC_AUTONAT_DATA = 4,
};

enum pc_autonat_status {
    PC_AUTONAT_INTERNAL_ERROR = 0,
    PC_AUTONAT_REJECTED = 100,     /* over a limit of the server */
    PC_AUTONAT_DIAL_REFUSED = 101, /* no address that it would dial */
    PC_AUTONAT_OK = 200,
};

enum pc_autonat_dial {
    PC_AUTONAT_DIAL_UNUSED = 0,
    PC_AUTONAT_DIAL_ERROR = 100,
    PC_AUTONAT_DIAL_BACK_ERROR = 101, /* connected, but the number could not be brought */
    PC_AUTONAT_DIAL_OK = 200,
};

struct pc_autonat_message {
    enum pc_autonat_kind kind;
    uint64_t nonce; /* REQUEST */
    size_t addr_count;
    struct pc_bytes addrs[PC_AUTONAT_ADDRS_MAX]; /* borrowed, not checked to be addresses */
    uint32_t status;                             /* RESPONSE: also numbers that we don't know */
    uint32_t dial;
    uint32_t addr_index;  /* RESPONSE, DATA_REQUEST */
    uint64_t data_bytes;  /* DATA_REQUEST */
    struct pc_bytes data; /* DATA */
};

/* Unprefixed. EPARSE malformed, or none of the four; ELIMIT. */
int pc_libp2p_autonat_decode(struct pc_bytes message, struct pc_autonat_message *ret_message);
/* With the length prefix. ELIMIT. */
int pc_libp2p_autonat_encode(const struct pc_autonat_message *message, uint8_t *ret_data, size_t capacity,
                             size_t *ret_size);
/* The message of the fresh connection. EPARSE. */
int pc_libp2p_dial_back_decode(struct pc_bytes message, uint64_t *ret_nonce);
/* With the length prefix. ELIMIT. */
int pc_libp2p_dial_back_encode(uint64_t nonce, uint8_t *ret_data, size_t capacity, size_t *ret_size);

#endif
