/* The public names of the formats: those of the format room, and "any". */
#include "library/format.h"

#include <assert.h>

static_assert((int)PEERCACHE_FORMAT_ANY == (int)PC_FORMAT_UNKNOWN &&
                  (int)PEERCACHE_FORMAT_LIST == (int)PC_FORMAT_LIST &&
                  (int)PEERCACHE_FORMAT_MAP == (int)PC_FORMAT_MAP &&
                  (int)PEERCACHE_FORMAT_ANT_V0 == (int)PC_FORMAT_ANT_V0 &&
                  (int)PEERCACHE_FORMAT_ANT_V1 == (int)PC_FORMAT_ANT_V1 &&
                  (int)PEERCACHE_FORMAT_ENDPOINT == (int)PC_FORMAT_ENDPOINT &&
                  (int)PEERCACHE_FORMAT_TEXT == (int)PC_FORMAT_TEXT &&
                  (int)PEERCACHE_FORMAT_KUBO == (int)PC_FORMAT_KUBO &&
                  (int)PEERCACHE_FORMAT_KUBO + 1 == (int)PC_FORMAT_COUNT,
              "both lists are one");

static bool is_known(peercache_format format)
{
    return (unsigned)format < PC_FORMAT_COUNT;
}

const char *peercache_format_name(peercache_format format)
{
    if (format == PEERCACHE_FORMAT_ANY)
        return "any";
    return is_known(format) ? pc_format_name((enum pc_format)format) : "unknown";
}

int peercache_format_from_name(const char *name, peercache_format *ret_format)
{
    enum pc_format format;
    if (!name || !ret_format)
        return PEERCACHE_EINVAL;
    int result = pc_format_from_name(name, &format);
    if (result == 0)
        *ret_format = (peercache_format)format;
    return result;
}

const char *peercache_format_loses(peercache_format format)
{
    return is_known(format) ? pc_format_loses((enum pc_format)format) : "";
}

int pc_library_format_of(peercache_format format, enum pc_format *ret_format)
{
    if (!is_known(format))
        return PEERCACHE_EINVAL;
    *ret_format = (enum pc_format)format;
    return 0;
}
