/* Saturating time arithmetic on int64: adding to "never" stays never. Units are the caller's, named in its
 * variables. */
#ifndef PC_BASE_TIME_H
#define PC_BASE_TIME_H

#include <stddef.h>
#include <stdint.h>

#define PC_TIME_NEVER INT64_MAX

#define PC_US_PER_MS  INT64_C(1000)
#define PC_US_PER_S   INT64_C(1000000)

static inline int64_t pc_base_time_add(int64_t at, int64_t delta)
{
    int64_t sum;
    if (at == PC_TIME_NEVER)
        return PC_TIME_NEVER;
    if (__builtin_add_overflow(at, delta, &sum))
        return delta > 0 ? INT64_MAX : INT64_MIN;
    return sum;
}

static inline int64_t pc_base_time_sub(int64_t later, int64_t earlier)
{
    int64_t difference;
    if (__builtin_sub_overflow(later, earlier, &difference))
        return later > earlier ? INT64_MAX : INT64_MIN;
    return difference;
}

static inline int64_t pc_base_time_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t pc_base_time_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* RFC 3339 in UTC with milliseconds, "2026-01-31T12:00:00.000Z"; years 0 to 9999, else clamped. 25 bytes. */
#define PC_RFC3339_BYTES 25
void pc_base_rfc3339_format(int64_t wall_ms, char ret_text[PC_RFC3339_BYTES]);
/* A date-time of RFC 3339, the whole of the text: any offset; any number of digits of a fraction, cut to
 * milliseconds; a leap second is the first second of the next day. EPARSE: anything else, also a date that
 * does not exist. */
int pc_base_rfc3339_parse(const char *text, size_t length, int64_t *ret_wall_ms);

#endif
