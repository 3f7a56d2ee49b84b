#include "base/cursor.h"

#include <endian.h>

/* What is there, to be turned by the caller; zeroes on error. */
static void read_raw(struct pc_reader *r, void *ret_raw, size_t size)
{
    struct pc_bytes bytes = pc_base_read_bytes(r, size);
    if (bytes.size)
        memcpy(ret_raw, bytes.data, bytes.size);
}

uint16_t pc_base_read_u16(struct pc_reader *r)
{
    uint16_t raw = 0;
    read_raw(r, &raw, sizeof(raw));
    return be16toh(raw);
}

uint32_t pc_base_read_u32(struct pc_reader *r)
{
    uint32_t raw = 0;
    read_raw(r, &raw, sizeof(raw));
    return be32toh(raw);
}

uint64_t pc_base_read_u64(struct pc_reader *r)
{
    uint64_t raw = 0;
    read_raw(r, &raw, sizeof(raw));
    return be64toh(raw);
}

/* Of `bytes_max` bytes at most; *ret_last is the one that closed it. By hand, for the working set reads little
 * else. */
static uint64_t read_leb128(struct pc_reader *r, unsigned bytes_max, uint8_t *ret_last)
{
    const uint8_t *at = r->at;
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 7 * bytes_max && at < r->end; shift += 7) {
        uint8_t byte = *at++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_last = byte;
            r->at = at;
            return v;
        }
    }
    pc_base_reader_fail(r);
    return 0;
}

uint64_t pc_base_read_varint(struct pc_reader *r)
{
    uint8_t last = 0;
    const uint8_t *first = r->at;
    uint64_t v = read_leb128(r, 9, &last);
    if (last == 0 && !r->error && r->at - first > 1)
        pc_base_reader_fail(r); /* a closing zero: not the shortest form */
    return r->error ? 0 : v;
}

uint64_t pc_base_read_varint_any(struct pc_reader *r)
{
    uint8_t last;
    return read_leb128(r, 10, &last);
}

void pc_base_writer_init(struct pc_writer *w, void *data, size_t capacity)
{
    w->start = data;
    w->at = data;
    w->end = w->start + capacity;
    w->error = 0;
}

void pc_base_write_u16(struct pc_writer *w, uint16_t v)
{
    uint16_t raw = htobe16(v);
    pc_base_write_bytes(w, &raw, sizeof(raw));
}

void pc_base_write_u32(struct pc_writer *w, uint32_t v)
{
    uint32_t raw = htobe32(v);
    pc_base_write_bytes(w, &raw, sizeof(raw));
}

void pc_base_write_u64(struct pc_writer *w, uint64_t v)
{
    uint64_t raw = htobe64(v);
    pc_base_write_bytes(w, &raw, sizeof(raw));
}

void pc_base_write_varint(struct pc_writer *w, uint64_t v)
{
    uint8_t *at = w->at;
    if (w->error)
        return;
    for (; v >= 0x80 && at < w->end; v >>= 7)
        *at++ = (uint8_t)(v | 0x80);
    if (at == w->end) { /* what was written of it lies behind w->at and says nothing */
        w->error = PEERCACHE_ELIMIT;
        return;
    }
    *at++ = (uint8_t)v;
    w->at = at;
}
