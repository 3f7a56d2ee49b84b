#include "observe/text.h"

#include "base/time.h"
#include "format/json_value.h"

#include <peercache/types.h>

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_BYTES 1024

void pc_observe_text_deinit(struct pc_observe_text *text)
{
    free(text->data);
    *text = (struct pc_observe_text){ 0 };
}

void pc_observe_text_clear(struct pc_observe_text *text)
{
    text->size = 0;
    text->error = 0;
    if (text->data)
        text->data[0] = '\0';
}

/* Room for so many more bytes and the NUL. */
static bool reserve(struct pc_observe_text *text, size_t size)
{
    if (text->error)
        return false;
    if (size > PC_OBSERVE_TEXT_MAX_BYTES - text->size) {
        text->error = PEERCACHE_ELIMIT;
        return false;
    }
    if (text->size + size < text->capacity)
        return true;
    size_t capacity = text->capacity ? text->capacity : FIRST_BYTES;
    while (capacity <= text->size + size)
        capacity *= 2;
    char *data = realloc(text->data, capacity);
    if (!data) {
        text->error = PEERCACHE_ENOMEM;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void pc_observe_put_bytes(struct pc_observe_text *text, struct pc_bytes bytes)
{
    if (!reserve(text, bytes.size))
        return;
    if (bytes.size > 0)
        memcpy(text->data + text->size, bytes.data, bytes.size);
    text->size += bytes.size;
    text->data[text->size] = '\0';
}

void pc_observe_put(struct pc_observe_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(size >= 0);
    if (!reserve(text, (size_t)size))
        return;
    va_start(args, format);
    (void)vsnprintf(text->data + text->size, (size_t)size + 1, format, args);
    va_end(args);
    text->size += (size_t)size;
}

void pc_observe_put_json(struct pc_observe_text *text, const char *string)
{
    const struct pc_bytes all = pc_bytes_of(string, strlen(string));
    bool is_utf8 = pc_format_is_utf8(all);
    size_t plain = 0; /* what stands before here is put */
    pc_observe_put(text, "\"");
    for (size_t i = 0; i < all.size; i++) {
        uint8_t c = all.data[i];
        bool is_odd = c >= 0x80 && !is_utf8;
        if (c >= ' ' && c != '"' && c != '\\' && c != 0x7f && !is_odd)
            continue;
        pc_observe_put_bytes(text, pc_bytes_of(all.data + plain, i - plain));
        pc_observe_put(text, is_odd ? "?" : "\\u%04x", (unsigned)c);
        plain = i + 1;
    }
    pc_observe_put_bytes(text, pc_bytes_of(all.data + plain, all.size - plain));
    pc_observe_put(text, "\"");
}

void pc_observe_put_us(struct pc_observe_text *text, int64_t us, int64_t unit_us)
{
    const char *sign = us < 0 ? "-" : "";
    uint64_t size = us < 0 ? -(uint64_t)us : (uint64_t)us;
    uint64_t unit = (uint64_t)unit_us;
    assert(unit_us == PC_US_PER_MS || unit_us == PC_US_PER_S);
    pc_observe_put(text, "%s%" PRIu64 ".%0*" PRIu64, sign, size / unit, unit_us == PC_US_PER_MS ? 3 : 6,
                   size % unit);
}
