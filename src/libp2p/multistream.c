/*
 * multistream-select's lines and the length prefix that all messages on streams share (libp2p/specs
 * connections; multiformats unsigned-varint). Decoding takes what has arrived so far and starts anew each
 * time: a length is at most three bytes, so nothing is gained by remembering where it was.
 */
#include "libp2p/message.h"

#include "base/cursor.h"

#include <peercache/types.h>

int pc_libp2p_frame_decode(struct pc_bytes data, size_t limit, struct pc_bytes *ret_message, size_t *ret_used)
{
    struct pc_reader r;
    size_t length_bytes_max = pc_base_varint_size(limit);
    size_t length_bytes = 1;
    pc_base_reader_init(&r, data.data, data.size);
    while (pc_base_read_u8(&r) & 0x80) {
        if (++length_bytes > length_bytes_max)
            return PEERCACHE_ELIMIT; /* said before the length ends: an endless one is not waited for */
    }
    if (r.error)
        return 0;
    pc_base_reader_init(&r, data.data, data.size);
    uint64_t length = pc_base_read_varint(&r);
    if (r.error)
        return PEERCACHE_EPARSE; /* not the shortest form */
    if (length > limit)
        return PEERCACHE_ELIMIT;
    if (pc_base_reader_left(&r) < length)
        return 0;
    *ret_message = pc_base_read_bytes(&r, length);
    *ret_used = data.size - pc_base_reader_left(&r);
    return 1;
}

int pc_libp2p_multistream_decode(struct pc_bytes data, struct pc_bytes *ret_line, size_t *ret_used)
{
    struct pc_bytes line;
    size_t used;
    int r = pc_libp2p_frame_decode(data, PC_MULTISTREAM_LINE_MAX_BYTES, &line, &used);
    if (r <= 0)
        return r;
    if (line.size == 0 || line.data[line.size - 1] != '\n')
        return PEERCACHE_EPARSE;
    *ret_line = pc_bytes_of(line.data, line.size - 1);
    *ret_used = used;
    return 1;
}

int pc_libp2p_multistream_encode(const char *protocol, uint8_t *ret_data, size_t capacity, size_t *ret_size)
{
    struct pc_writer w;
    size_t length = strlen(protocol);
    if (length + 1 > PC_MULTISTREAM_LINE_MAX_BYTES)
        return PEERCACHE_ELIMIT;
    if (pc_base_varint_size(length + 1) + length + 1 > capacity)
        return PEERCACHE_ELIMIT;
    pc_base_writer_init(&w, ret_data, capacity);
    pc_base_write_varint(&w, length + 1);
    pc_base_write_bytes(&w, protocol, length);
    pc_base_write_u8(&w, '\n');
    *ret_size = pc_base_writer_size(&w);
    return 0;
}
