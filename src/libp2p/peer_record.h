/*
 * The signed peer record of identify (libp2p/specs RFC 0002 and 0003): a peer's addresses with a sequence number, in an
 * envelope that its host key signed. So an address is known to come from the peer itself, whoever hands it on. That it is
 * true is not said.
 */
#ifndef PC_LIBP2P_PEER_RECORD_H
#define PC_LIBP2P_PEER_RECORD_H

#include "libp2p/identity.h"
#include "libp2p/message.h"

#define PC_PEER_RECORD_MAX_BYTES 8192 /* an envelope; what go-libp2p sends at most */

struct pc_peer_record {
    struct pc_peer_id id;
    uint64_t seq; /* newer records have a higher one; it is no time */
    size_t addr_count;
    struct pc_bytes addrs[PC_IDENTIFY_ADDRS_MAX]; /* borrowed, not checked to be addresses */
};

/* The envelope of a record of ours; its id is not looked at: it is the identity's. ELIMIT; ECRYPTO; ENOMEM. */
int pc_libp2p_peer_record_seal(const struct pc_identity *identity, const struct pc_peer_record *record,
                               uint8_t *ret_envelope, size_t capacity, size_t *ret_size);
/* Check an envelope, its signature before the record is looked at, and that the record is its signer's. EPARSE malformed,
 * or of something else than a peer record; ECRYPTO the signature does not hold, or the record names another peer;
 * EUNSUPPORTED the kind of key; ELIMIT; ENOMEM. */
int pc_libp2p_peer_record_open(struct pc_bytes envelope, struct pc_peer_record *ret_record);
/* The record of an envelope that was opened before. EPARSE, ELIMIT. */
int pc_libp2p_peer_record_read(struct pc_bytes envelope, struct pc_peer_record *ret_record);

#endif
