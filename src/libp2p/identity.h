/*
 * A node's identity: the host key (libp2p/specs peer-ids: Ed25519, secp256k1, ECDSA, RSA) and the TLS
 * certificate that carries it (libp2p/specs tls/tls.md). Made once, shared by all connections of a host.
 */
#ifndef PC_LIBP2P_IDENTITY_H
#define PC_LIBP2P_IDENTITY_H

#include "addr/peer_id.h"
#include "base/bytes.h"

#include <peercache/types.h>

/* Of the protobuf in peer-ids.md. */
enum pc_key_type {
    PC_KEY_RSA = 0,
    PC_KEY_ED25519 = 1,
    PC_KEY_SECP256K1 = 2,
    PC_KEY_ECDSA = 3,
};

#define PC_PRIVATE_KEY_MAX_BYTES 8192 /* protobuf; RSA 8192 bits is 4.7 KB */
#define PC_PUBLIC_KEY_MAX_BYTES  4096
#define PC_SIGNATURE_MAX_BYTES   1024
#define PC_CERTIFICATE_MAX_BYTES 16384 /* of a peer; with RSA keys of 8192 bits twice it is about 5 KB */

struct pc_identity;

/* A private key's protobuf with a fresh Ed25519 key from 32 bytes of randomness. 68 bytes. ELIMIT. */
int pc_libp2p_key_generate(const uint8_t seed[32], uint8_t *ret_protobuf, size_t capacity, size_t *ret_size);
/*
 * Identity from a private key's protobuf; makes the certificate, valid around `wall_ms`.
 * EPARSE malformed; EUNSUPPORTED a key type, size or curve we cannot sign with; ELIMIT the protobuf is over
 * the bound; EINVAL wall_ms lies before 1970 or after the year 9000; ECRYPTO; ENOMEM.
 */
int pc_libp2p_identity_new(struct pc_bytes private_key, int64_t wall_ms, struct pc_identity **ret_identity,
                           struct pc_reason *ret_reason);
void pc_libp2p_identity_free(struct pc_identity *identity);
const struct pc_peer_id *pc_libp2p_identity_id(const struct pc_identity *identity);
/* The public key's protobuf, borrowed. */
struct pc_bytes pc_libp2p_identity_public_key(const struct pc_identity *identity);
/* The GnuTLS credentials (gnutls_certificate_credentials_t) of both roles, borrowed. */
void *pc_libp2p_identity_credentials(const struct pc_identity *identity);
/* DER of the certificate, borrowed. */
struct pc_bytes pc_libp2p_identity_certificate(const struct pc_identity *identity);

/* Sign with the host key. ELIMIT, ECRYPTO, ENOMEM. */
int pc_libp2p_identity_sign(const struct pc_identity *identity, struct pc_bytes message,
                            uint8_t *ret_signature, size_t capacity, size_t *ret_size);
/* Check a signature made by the key of a public key protobuf. ECRYPTO it does not match; EPARSE the key is
 * malformed; EUNSUPPORTED a kind of key we don't check (RSA below 2048 or above 8192 bits, an exponent over
 * 32 bits, a curve other than P-256, P-384, P-521); ELIMIT the key or the signature is over its bound;
 * ENOMEM. */
int pc_libp2p_verify(struct pc_bytes public_key, struct pc_bytes message, struct pc_bytes signature);

/*
 * What a peer's certificate proves. Checks all of tls.md: exactly the one certificate given, self-signed,
 * valid at wall_ms, the libp2p extension present, no other critical extension unknown, the host key's
 * signature over "libp2p-tls-handshake:" and the certificate's key. EPARSE malformed, or without the
 * extension; ECRYPTO a signature or the validity time does not hold; EUNSUPPORTED a critical extension, a
 * signature algorithm or a kind of key; ELIMIT a part is over its bound; ENOMEM. The reason says which.
 */
int pc_libp2p_certificate_verify(struct pc_bytes der, int64_t wall_ms, struct pc_peer_id *ret_id,
                                 struct pc_reason *ret_reason);

#endif
