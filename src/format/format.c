/* The formats' names, what each loses, and telling them apart. */
#include "format/format.h"

const char *pc_format_name(enum pc_format format)
{
    static const char *const names[] = {
#define PC_X(name, word) [name] = word,
        PC_FORMATS(PC_X)
#undef PC_X
    };
    size_t index = (size_t)format;
    return index < PC_FORMAT_COUNT ? names[index] : "unknown";
}

int pc_format_from_name(const char *name, enum pc_format *ret_format)
{
    for (unsigned i = PC_FORMAT_UNKNOWN + 1; i < PC_FORMAT_COUNT; i++) {
        if (strcmp(name, pc_format_name((enum pc_format)i)) == 0) {
            *ret_format = (enum pc_format)i;
            return 0;
        }
    }
    return PEERCACHE_ENOTFOUND;
}

const char *pc_format_refusal_name(enum pc_format_refusal refusal)
{
    static const char *const names[] = {
#define PC_X(name, word) [name] = word,
        PC_FORMAT_REFUSALS(PC_X)
#undef PC_X
    };
    size_t index = (size_t)refusal;
    return index < PC_FORMAT_REFUSAL_COUNT ? names[index] : "unknown";
}

#define BUT_ADDRESSES "Everything but the addresses is lost"
#define WITHOUT_ID    "addresses whose peer id is not known are left out"

const char *pc_format_loses(enum pc_format format)
{
    switch (format) {
    case PC_FORMAT_MAP:
        return "Failures by kind, last success and attempt, round-trip times, sources, first seen and state "
               "are lost.";
    case PC_FORMAT_ANT_V0:
        return "Failures by kind, last success and attempt, round-trip times, sources, first seen and state "
               "are lost; " WITHOUT_ID ".";
    case PC_FORMAT_ANT_V1:
    case PC_FORMAT_KUBO:
        return BUT_ADDRESSES "; " WITHOUT_ID ".";
    case PC_FORMAT_ENDPOINT:
    case PC_FORMAT_TEXT:
        return BUT_ADDRESSES ".";
    case PC_FORMAT_UNKNOWN:
    case PC_FORMAT_LIST:
    case PC_FORMAT_COUNT:
        break;
    }
    return "";
}

int pc_format_detect(struct pc_bytes content, enum pc_format *ret_format, struct pc_reason *ret_reason)
{
    static const struct pc_format_options options = { .head_only = true };
    struct pc_format_reader *reader;
    int r = pc_format_reader_new(&options, &reader);
    if (r < 0)
        return r;
    r = pc_format_reader_feed(reader, content);
    enum pc_format format = pc_format_reader_summary(reader)->format;
    if (r == 0 && (format == PC_FORMAT_UNKNOWN || format == PC_FORMAT_TEXT)) { /* in doubt */
        r = pc_format_reader_finish(reader);
        format = pc_format_reader_summary(reader)->format;
        if (r == PEERCACHE_EPARSE)
            r = PEERCACHE_ENOTFOUND;
    }
    if (r == 0)
        *ret_format = format;
    else
        pc_base_reason(ret_reason, "%s", pc_format_reader_errmsg(reader));
    pc_format_reader_free(reader);
    return r;
}
