/* The object `peercache` of an exported list. */
#ifndef PC_LIBRARY_OWN_H
#define PC_LIBRARY_OWN_H

#include "library/internal.h"

/*
 * Its JSON text, to be freed: of which network the list is; and with it the list can be opened as a cache, as a
 * JSON file. Its secret is another one, derived from that of the cache: who is given an export shall not learn
 * the buckets. NULL: memory is out.
 */
char *pc_library_own_text(peercache *cache, uint8_t ret_secret[16]);

#endif
