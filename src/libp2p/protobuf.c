#include "libp2p/protobuf.h"

#include <peercache/types.h>

#define FIELD_NUMBER_MAX ((UINT64_C(1) << 29) - 1)

static uint64_t tag_of(uint32_t number, enum pc_protobuf_wire wire)
{
    return (uint64_t)number << 3 | wire;
}

int pc_libp2p_protobuf_next(struct pc_reader *r, struct pc_protobuf_field *ret_field)
{
    if (!r->error && pc_base_reader_left(r) == 0)
        return 0;
    uint64_t tag = pc_base_read_varint_any(r);
    uint64_t number = tag >> 3;
    struct pc_protobuf_field field = { .varint = 0 };
    switch (tag & 7) {
    case PC_PROTOBUF_VARINT:
        field.wire = PC_PROTOBUF_VARINT;
        field.varint = pc_base_read_varint_any(r);
        break;
    case PC_PROTOBUF_FIXED64:
        field.wire = PC_PROTOBUF_FIXED64;
        field.varint = __builtin_bswap64(pc_base_read_u64(r)); /* the cursor's are big-endian, these little */
        break;
    case PC_PROTOBUF_BYTES: {
        uint64_t size = pc_base_read_varint_any(r);
        field.wire = PC_PROTOBUF_BYTES;
        field.bytes = pc_base_read_bytes(r, size);
        break;
    }
    case PC_PROTOBUF_FIXED32:
        field.wire = PC_PROTOBUF_FIXED32;
        (void)pc_base_read_u32(r);
        break;
    default: /* a group, or no wire type at all */
        return PEERCACHE_EPARSE;
    }
    if (r->error || number == 0 || number > FIELD_NUMBER_MAX)
        return PEERCACHE_EPARSE;
    field.number = (uint32_t)number;
    *ret_field = field;
    return 1;
}

void pc_libp2p_protobuf_write_varint(struct pc_writer *w, uint32_t number, uint64_t value)
{
    pc_base_write_varint(w, tag_of(number, PC_PROTOBUF_VARINT));
    pc_base_write_varint(w, value);
}

void pc_libp2p_protobuf_write_fixed64(struct pc_writer *w, uint32_t number, uint64_t value)
{
    pc_base_write_varint(w, tag_of(number, PC_PROTOBUF_FIXED64));
    pc_base_write_u64(w, __builtin_bswap64(value));
}

void pc_libp2p_protobuf_write_header(struct pc_writer *w, uint32_t number, size_t size)
{
    pc_base_write_varint(w, tag_of(number, PC_PROTOBUF_BYTES));
    pc_base_write_varint(w, size);
}

void pc_libp2p_protobuf_write_bytes(struct pc_writer *w, uint32_t number, struct pc_bytes bytes)
{
    pc_libp2p_protobuf_write_header(w, number, bytes.size);
    pc_base_write_bytes(w, bytes.data, bytes.size);
}

size_t pc_libp2p_protobuf_varint_size(uint32_t number, uint64_t value)
{
    return pc_base_varint_size(tag_of(number, PC_PROTOBUF_VARINT)) + pc_base_varint_size(value);
}

size_t pc_libp2p_protobuf_bytes_size(uint32_t number, size_t size)
{
    return pc_base_varint_size(tag_of(number, PC_PROTOBUF_BYTES)) + pc_base_varint_size(size) + size;
}
