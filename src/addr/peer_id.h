/*
 * Peer ids: the multihash of a public key (libp2p/specs peer-ids). Identity multihash for keys of at most 42
 * bytes of protobuf (Ed25519, secp256k1), else SHA-256 (RSA, ECDSA).
 */
#ifndef PC_ADDR_PEER_ID_H
#define PC_ADDR_PEER_ID_H

#include "base/bytes.h"

#define PC_PEER_ID_MAX_BYTES    44 /* identity multihash of 42 bytes: code, length, key */
#define PC_PEER_ID_TEXT_BYTES   64 /* base58 of 44 bytes is at most 61 characters; the NUL */
#define PC_PUBLIC_KEY_MAX_BYTES 4096

/*
 * A multiaddr's /p2p/ value may be an identity multihash of any length: go-multiaddr has it so. Ours has this
 * bound, because base58 is quadratic.
 */
#define PC_P2P_VALUE_MAX_BYTES 128

struct pc_peer_id {
    uint8_t size; /* 0: not known */
    uint8_t bytes[PC_PEER_ID_MAX_BYTES];
};

/* From the bytes of a multihash. EPARSE: not a SHA-256 multihash of 32 bytes or an identity one of 1 to 42.
 */
int pc_addr_peer_id_from_bytes(struct pc_bytes multihash, struct pc_peer_id *ret_id);
/* From a public key's protobuf as libp2p signs it. EPARSE: empty. ELIMIT: over PC_PUBLIC_KEY_MAX_BYTES. */
int pc_addr_peer_id_from_public_key(struct pc_bytes protobuf, struct pc_peer_id *ret_id);
/* From text: base58 (Qm…, 12D3…, 16Uiu2…) or a CIDv1 of codec libp2p-key in any multibase, such as base32
 * (b…), base36 (k…) or base58 (z…). EPARSE with reason. */
int pc_addr_peer_id_parse(const char *text, size_t length, struct pc_peer_id *ret_id,
                          struct pc_reason *ret_reason);
/* Canonical text: base58 of the multihash; "" for one that is not known. */
void pc_addr_peer_id_format(const struct pc_peer_id *id, char ret_text[PC_PEER_ID_TEXT_BYTES]);
/* As a CIDv1 in base36 (the other modern text); "" for one that is not known. ELIMIT: over `capacity`. */
int pc_addr_peer_id_format_cid(const struct pc_peer_id *id, char *ret_text, size_t capacity);

/* A /p2p/ value: a SHA-256 multihash of 32 bytes or an identity one that fits PC_P2P_VALUE_MAX_BYTES. */
bool pc_addr_p2p_value_is_valid(struct pc_bytes multihash);
/* Its text (as of peer ids above) to bytes. EPARSE. */
int pc_addr_p2p_value_parse(struct pc_bytes text, uint8_t ret_multihash[PC_P2P_VALUE_MAX_BYTES],
                            size_t *ret_size);

static inline struct pc_bytes pc_addr_peer_id_bytes(const struct pc_peer_id *id)
{
    return pc_bytes_of(id->bytes, id->size);
}

static inline bool pc_addr_peer_id_equal(const struct pc_peer_id *a, const struct pc_peer_id *b)
{
    return pc_bytes_equal(pc_addr_peer_id_bytes(a), pc_addr_peer_id_bytes(b));
}

#endif
