/* Between the public list of formats and that of the format room. */
#ifndef PC_LIBRARY_FORMAT_H
#define PC_LIBRARY_FORMAT_H

#include "format/format.h"

#include <peercache/peercache.h>

/* ANY becomes UNKNOWN. EINVAL: it is none of the list. */
int pc_library_format_of(peercache_format format, enum pc_format *ret_format);

#endif
