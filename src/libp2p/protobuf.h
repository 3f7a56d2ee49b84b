/*
 * Protobuf's wire format, one field at a time over the byte cursor: nothing is allocated, all is borrowed,
 * and the caller counts before it keeps. (protobuf.dev, "Encoding".) Groups are refused: no message here has
 * them.
 */
#ifndef PC_LIBP2P_PROTOBUF_H
#define PC_LIBP2P_PROTOBUF_H

#include "base/cursor.h"

enum pc_protobuf_wire {
    PC_PROTOBUF_VARINT = 0,
    PC_PROTOBUF_FIXED64 = 1,
    PC_PROTOBUF_BYTES = 2,
    PC_PROTOBUF_FIXED32 = 5,
};

struct pc_protobuf_field {
    uint32_t number;
    enum pc_protobuf_wire wire;
    uint64_t varint;       /* of a VARINT, or the value of a FIXED64; else 0 */
    struct pc_bytes bytes; /* of BYTES, borrowed, else empty; a FIXED32 is skipped */
};

/* The next field. 1 a field; 0 the end of the message; EPARSE cut short, a group, a number of no field. */
int pc_libp2p_protobuf_next(struct pc_reader *r, struct pc_protobuf_field *ret_field);

void pc_libp2p_protobuf_write_varint(struct pc_writer *w, uint32_t number, uint64_t value);
void pc_libp2p_protobuf_write_fixed64(struct pc_writer *w, uint32_t number, uint64_t value);
void pc_libp2p_protobuf_write_bytes(struct pc_writer *w, uint32_t number, struct pc_bytes bytes);
/* The tag and the length of a bytes field whose `size` bytes the caller writes next. */
void pc_libp2p_protobuf_write_header(struct pc_writer *w, uint32_t number, size_t size);
/* What they take. */
size_t pc_libp2p_protobuf_varint_size(uint32_t number, uint64_t value);
size_t pc_libp2p_protobuf_bytes_size(uint32_t number, size_t size);

#endif
