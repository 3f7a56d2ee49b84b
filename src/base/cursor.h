/*
 * Byte cursors whose first error sticks: later reads give zeroes, later writes do nothing, and the caller
 * checks once. All parsing goes through them. Integers are big-endian; varints are the unsigned LEB128 of the
 * multiformats spec (at most 9 bytes, 63 bits, shortest form only).
 */
#ifndef PC_BASE_CURSOR_H
#define PC_BASE_CURSOR_H

#include "base/bytes.h"

#include <peercache/types.h>

struct pc_reader {
    const uint8_t *at;
    const uint8_t *end;
    int error; /* 0 or PEERCACHE_EPARSE */
};

static inline void pc_base_reader_init(struct pc_reader *r, const void *data, size_t size)
{
    static const uint8_t nothing[1];
    r->at = data ? data : nothing;
    r->end = r->at + (data ? size : 0);
    r->error = 0;
}
static inline size_t pc_base_reader_left(const struct pc_reader *r)
{
    return (size_t)(r->end - r->at);
}
/* Fail once for all: nothing is left to read. */
static inline void pc_base_reader_fail(struct pc_reader *r)
{
    r->error = PEERCACHE_EPARSE;
    r->at = r->end;
}
static inline uint8_t pc_base_read_u8(struct pc_reader *r)
{
    if (r->at < r->end) /* after an error nothing is left */
        return *r->at++;
    pc_base_reader_fail(r);
    return 0;
}
uint16_t pc_base_read_u16(struct pc_reader *r);
uint32_t pc_base_read_u32(struct pc_reader *r);
uint64_t pc_base_read_u64(struct pc_reader *r);
/* A multiformats varint. Errors: cut short, over 9 bytes, not the shortest form. */
uint64_t pc_base_read_varint(struct pc_reader *r);
/* A protobuf varint: up to 10 bytes, any form. */
uint64_t pc_base_read_varint_any(struct pc_reader *r);
/* `size` bytes, borrowed from the input; { NULL, 0 } on error. */
static inline struct pc_bytes pc_base_read_bytes(struct pc_reader *r, size_t size)
{
    if (r->error || pc_base_reader_left(r) < size) {
        pc_base_reader_fail(r);
        return pc_bytes_of(NULL, 0);
    }
    r->at += size;
    return pc_bytes_of(r->at - size, size);
}

struct pc_writer {
    uint8_t *start;
    uint8_t *at;
    uint8_t *end;
    int error; /* 0 or PEERCACHE_ELIMIT */
};

void pc_base_writer_init(struct pc_writer *w, void *data, size_t capacity);
static inline size_t pc_base_writer_size(const struct pc_writer *w)
{
    return (size_t)(w->at - w->start);
}
static inline void pc_base_write_bytes(struct pc_writer *w, const void *data, size_t size)
{
    if (w->error || (size_t)(w->end - w->at) < size) {
        w->error = PEERCACHE_ELIMIT;
        return;
    }
    if (size > 0)
        memcpy(w->at, data, size);
    w->at += size;
}
static inline void pc_base_write_u8(struct pc_writer *w, uint8_t v)
{
    pc_base_write_bytes(w, &v, 1);
}
void pc_base_write_u16(struct pc_writer *w, uint16_t v);
void pc_base_write_u32(struct pc_writer *w, uint32_t v);
void pc_base_write_u64(struct pc_writer *w, uint64_t v);
void pc_base_write_varint(struct pc_writer *w, uint64_t v);
/* Bytes of the varint of v, 1 to 10. */
static inline size_t pc_base_varint_size(uint64_t v)
{
    return (size_t)(64 - __builtin_clzll(v | 1) + 6) / 7; /* seven bits a byte, and 0 has one */
}

#endif
