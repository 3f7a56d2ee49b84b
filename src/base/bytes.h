/* A borrowed run of bytes, and the text of a reason. */
#ifndef PC_BASE_BYTES_H
#define PC_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct pc_bytes {
    const uint8_t *data;
    size_t size;
};

static inline struct pc_bytes pc_bytes_of(const void *data, size_t size)
{
    return (struct pc_bytes){ (const uint8_t *)data, size };
}

static inline bool pc_bytes_equal(struct pc_bytes a, struct pc_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* The first eight bytes as a little-endian number; of fewer, as if zeroes followed. */
static inline uint64_t pc_bytes_number(struct pc_bytes bytes)
{
    uint64_t number = 0;
    const uint8_t *b = bytes.data;
    if (bytes.size >= 8) /* one load: a loop would be eight */
        return (uint64_t)b[7] << 56 | (uint64_t)b[6] << 48 | (uint64_t)b[5] << 40 | (uint64_t)b[4] << 32 |
               (uint64_t)b[3] << 24 | (uint64_t)b[2] << 16 | (uint64_t)b[1] << 8 | b[0];
    for (size_t i = bytes.size; i-- > 0;)
        number = number << 8 | b[i];
    return number;
}

/* A number as bytes that are the same on every machine, little-endian: the key of a map, whose order they decide. */
struct pc_number_bytes {
    uint8_t bytes[8];
};

static inline struct pc_number_bytes pc_number_bytes_of(uint64_t number)
{
    struct pc_number_bytes key;
    for (size_t i = 0; i < sizeof(key.bytes); i++)
        key.bytes[i] = (uint8_t)(number >> (8 * i));
    return key;
}

/* Why something was refused, in words, with what and where. Filled by snprintf, always closed by NUL. */
struct pc_reason {
    char text[192];
};

/* Write a reason; NULL is accepted and does nothing. */
void pc_base_reason(struct pc_reason *ret_reason, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
