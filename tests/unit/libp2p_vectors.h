/* The test vectors of libp2p/specs: keys and certificates. */
#ifndef TESTS_LIBP2P_VECTORS_H
#define TESTS_LIBP2P_VECTORS_H

#include "libp2p/identity.h"

#define VECTOR_NOW_MS       INT64_C(1790000000000) /* 2026-09-21: all certificates are valid then */
#define VECTOR_KIND_COUNT   4
#define VECTOR_CERTIFICATES 4 /* the last one is not to be accepted */

extern const char *const vector_kinds[VECTOR_KIND_COUNT];

/* The bytes of one key: "ECDSA private key", "rsa public key"… Asserts that it is there. */
size_t key_vector(const char *wanted, uint8_t *data, size_t capacity);
/* The n-th certificate, and its peer id's text. */
size_t certificate_vector(unsigned n, uint8_t *data, size_t capacity, char *ret_id, size_t id_capacity);
/* The identity of one private key. */
struct pc_identity *identity_of_vector(const char *kind);

#endif
