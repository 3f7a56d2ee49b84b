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

/* Why something was refused, in words, with what and where. Filled by snprintf, always closed by NUL. */
struct pc_reason {
    char text[192];
};

/* Write a reason; NULL is accepted and does nothing. */
void pc_base_reason(struct pc_reason *ret_reason, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
