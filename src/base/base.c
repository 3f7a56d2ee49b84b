/* Small parts of the ground floor: reasons, log, RFC 3339, and the names of the public lists. */
#include "base/bytes.h"
#include "base/log.h"
#include "base/time.h"

#include <peercache/types.h>

#include <stdarg.h>
#include <stdio.h>

void pc_base_reason(struct pc_reason *ret_reason, const char *format, ...)
{
    va_list args;
    if (!ret_reason)
        return;
    va_start(args, format);
    (void)vsnprintf(ret_reason->text, sizeof(ret_reason->text), format, args);
    va_end(args);
}

void pc_base_log(const struct pc_log *log, enum pc_log_level level, const char *room, const char *format, ...)
{
    char text[512];
    va_list args;
    if (!log || !log->write || level > log->level)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    log->write(log->context, level, room, text);
}

/* Civil date from days since 1970: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
void pc_base_rfc3339_format(int64_t wall_ms, char ret_text[PC_RFC3339_BYTES])
{
    const int64_t first_ms = INT64_C(-62167219200000); /* 0000-01-01T00:00:00Z */
    const int64_t last_ms = INT64_C(253402300799999);  /* 9999-12-31T23:59:59.999Z */
    int64_t ms = wall_ms < first_ms ? first_ms : wall_ms > last_ms ? last_ms : wall_ms;
    int64_t days = ms / 86400000;
    int64_t rest = ms % 86400000;
    if (rest < 0) {
        rest += 86400000;
        days--;
    }
    days += 719468; /* days from 0000-03-01 to 1970-01-01 */
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned day_of_era = (unsigned)(days - era * 146097);
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    unsigned year = (unsigned)((int64_t)year_of_era + era * 400 + (month <= 2 ? 1 : 0));
    char text[64];
    (void)snprintf(text, sizeof(text), "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year, month, day,
                   (unsigned)(rest / 3600000), (unsigned)(rest / 60000 % 60), (unsigned)(rest / 1000 % 60),
                   (unsigned)(rest % 1000));
    memcpy(ret_text, text, PC_RFC3339_BYTES - 1);
    ret_text[PC_RFC3339_BYTES - 1] = '\0';
}

const char *peercache_strerror(int result)
{
    switch (result) {
    case 0:
        return "success";
#define PC_X(name, number, text)                                                                             \
    case number:                                                                                             \
        return text;
        PEERCACHE_ERROR_LIST(PC_X)
#undef PC_X
    }
    return "unknown error";
}

/* Lists come from outside as numbers, so a number outside of them gets a word too. */
#define PC_NAME_FUNCTION(function, type, list)                                                               \
    const char *function(type value)                                                                         \
    {                                                                                                        \
        static const char *const names[] = { list(PC_WORD) };                                                \
        size_t index = (size_t)value;                                                                        \
        return index < sizeof(names) / sizeof(names[0]) ? names[index] : "unknown";                          \
    }
#define PC_WORD(name, word) word,

PC_NAME_FUNCTION(peercache_outcome_name, peercache_outcome, PEERCACHE_OUTCOME_LIST)
PC_NAME_FUNCTION(peercache_source_name, peercache_source, PEERCACHE_SOURCE_LIST)
PC_NAME_FUNCTION(peercache_via_name, peercache_via, PEERCACHE_VIA_LIST)
PC_NAME_FUNCTION(peercache_state_name, peercache_state, PEERCACHE_STATE_LIST)
