/* Certificates of libp2p made to order for tests, the wrong kinds above all. */
#ifndef TESTS_CERTIFICATE_MAKER_H
#define TESTS_CERTIFICATE_MAKER_H

#include "libp2p/identity.h"

#include <gnutls/abstract.h>

#define MADE_CERTIFICATE_MAX_BYTES 8192

/* All zero, but for the host, is a right certificate: P-256, valid 2000 to 2050. */
struct certificate_recipe {
    const struct pc_identity *host;
    gnutls_pk_algorithm_t kind;      /* of the certificate's key; 0: ECDSA */
    unsigned bits;                   /* 0: P-256 */
    gnutls_sign_algorithm_t sign;    /* 0: ECDSA with SHA-256 */
    struct pc_bytes algorithm;       /* DER of what `sign` is called; empty: ECDSA with SHA-256 */
    struct pc_bytes other_algorithm; /* within the signed part, when not the same */
    const char *not_before;          /* NULL: "000101000000Z"; 13 characters UTCTime, else GeneralizedTime */
    const char *not_after;           /* NULL: "20500101000000Z" */
    const char *prefix;              /* what the host key signs first; NULL: the right one */
    struct pc_bytes host_key;        /* the claimed one; empty: the host's */
    uint8_t version;                 /* 0: version 3 */
    bool no_version;
    bool no_extensions; /* not even the list */
    bool no_libp2p;
    bool two_libp2p;
    bool critical_libp2p;
    bool unknown_plain;
    bool unknown_critical;
    bool explicit_not_critical; /* writes the default, which DER forbids */
    bool unique_id;
    bool bad_self_signature;
    bool bad_host_signature;
    bool unused_bits; /* in the signature's bit string */
    bool trailing_in_extension;
    bool trailing_in_certificate; /* after the signature, within the outer sequence */
};

/* Bytes of the certificate. Asserts that all of it worked. */
size_t certificate_make(const struct certificate_recipe *recipe, uint8_t data[MADE_CERTIFICATE_MAX_BYTES]);

#endif
