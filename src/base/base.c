/* Small parts of the ground floor: reasons, log, and the names of the public lists. */
#include "base/bytes.h"
#include "base/log.h"

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
PC_NAME_FUNCTION(peercache_fetch_name, peercache_fetch, PEERCACHE_FETCH_LIST)
PC_NAME_FUNCTION(peercache_state_name, peercache_state, PEERCACHE_STATE_LIST)
