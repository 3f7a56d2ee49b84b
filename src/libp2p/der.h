/*
 * ASN.1 DER (ITU-T X.690), as much of it as an X.509 certificate needs: elements of one-byte tags, read with
 * the sticky-error cursor. Strict: definite lengths in their shortest form only, at most 65535 bytes.
 */
#ifndef PC_LIBP2P_DER_H
#define PC_LIBP2P_DER_H

#include "base/cursor.h"

enum pc_der_tag {
    PC_DER_BOOLEAN = 0x01,
    PC_DER_INTEGER = 0x02,
    PC_DER_BIT_STRING = 0x03,
    PC_DER_OCTET_STRING = 0x04,
    PC_DER_OID = 0x06,
    PC_DER_UTC_TIME = 0x17,
    PC_DER_GENERALIZED_TIME = 0x18,
    PC_DER_SEQUENCE = 0x30,
    PC_DER_CONTEXT_0 = 0xa0, /* constructed, context-specific */
    PC_DER_CONTEXT_3 = 0xa3,
};

/* The contents of the next element, which must have this tag; EPARSE sticks to the reader otherwise. */
struct pc_bytes pc_libp2p_der_read(struct pc_reader *r, enum pc_der_tag tag);
/* The next element with its tag and length. */
struct pc_bytes pc_libp2p_der_read_whole(struct pc_reader *r, enum pc_der_tag tag);
/* A bit string of whole bytes. */
struct pc_bytes pc_libp2p_der_read_bits(struct pc_reader *r);
/* UTCTime or GeneralizedTime as RFC 5280 4.1.2.5 has them (seconds, Z): seconds since 1970. */
int64_t pc_libp2p_der_read_time(struct pc_reader *r);
/* Whether the next element has this tag; false at the end. */
bool pc_libp2p_der_next_is(const struct pc_reader *r, enum pc_der_tag tag);
/* Read so far without error, and nothing left. */
bool pc_libp2p_der_done(const struct pc_reader *r);

/* Bytes of an element with `size` bytes of contents; size at most 65535. */
size_t pc_libp2p_der_size(size_t size);
/* An element's tag and length; the contents are the caller's to write. */
void pc_libp2p_der_write_header(struct pc_writer *w, enum pc_der_tag tag, size_t size);

#endif
