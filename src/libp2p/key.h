/*
 * Host keys of the four kinds (libp2p/specs peer-ids/peer-ids.md): Ed25519 by libsodium, secp256k1 by
 * libsecp256k1, RSA and ECDSA by GnuTLS. The protobuf of a key is read in its one deterministic form only:
 * a peer id is a hash over it.
 */
#ifndef PC_LIBP2P_KEY_H
#define PC_LIBP2P_KEY_H

#include "libp2p/identity.h"

#include <gnutls/abstract.h>

/* RSA keys outside are refused: below is weak, above costs too much time to check. */
#define PC_RSA_BITS_MIN           2048
#define PC_RSA_BITS_MAX           8192
#define PC_RSA_EXPONENT_MAX_BYTES 4 /* a long exponent makes checking as slow as signing */

struct pc_host_key {
    enum pc_key_type type;
    uint8_t secret[64];                          /* Ed25519: seed and public key; secp256k1: 32 bytes */
    gnutls_privkey_t privkey;                    /* RSA, ECDSA; else NULL */
    uint8_t public_key[PC_PUBLIC_KEY_MAX_BYTES]; /* protobuf */
    size_t public_key_size;
};

/* From a private key's protobuf. EPARSE malformed; EUNSUPPORTED a type, size or curve we cannot sign with;
 * ELIMIT; ECRYPTO; ENOMEM. To be freed with _deinit when it succeeded. */
int pc_libp2p_host_key_init(struct pc_bytes private_key, struct pc_host_key *ret_key,
                            struct pc_reason *ret_reason);
/* Wipes it. An all-zero key is accepted. */
void pc_libp2p_host_key_deinit(struct pc_host_key *key);
struct pc_bytes pc_libp2p_host_key_public(const struct pc_host_key *key);
/* ELIMIT, ECRYPTO, ENOMEM. */
int pc_libp2p_host_key_sign(const struct pc_host_key *key, struct pc_bytes message, uint8_t *ret_signature,
                            size_t capacity, size_t *ret_size);

/* Import a SubjectPublicKeyInfo into an initialised key, if it is of a kind, size and curve whose check has a
 * bounded cost. EPARSE malformed; EUNSUPPORTED; ENOMEM. */
int pc_libp2p_pubkey_import(gnutls_pubkey_t pubkey, struct pc_bytes spki);

/* The result code of a GnuTLS call: 0, ENOMEM, or `otherwise`. */
int pc_libp2p_gnutls_result(int result, int otherwise);

/* GnuTLS takes bytes it only reads as if it would write them. */
static inline gnutls_datum_t pc_libp2p_datum(struct pc_bytes bytes)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } data = { .in = bytes.data };
    return (gnutls_datum_t){ data.out, (unsigned)bytes.size };
}

#endif
