/*
 * The object `peercache` of an exported list: of which network it is, and what belongs to no peer: the bans and the
 * dates of removals. With it a list can be opened as a cache, as a JSON file.
 */
#ifndef PC_LIBRARY_OWN_H
#define PC_LIBRARY_OWN_H

#include "library/internal.h"

#define PC_LIBRARY_SECRET_BYTES 16

/*
 * Its JSON text, to be freed. Its secret, in which the buckets of the list are told, is another one, derived from
 * that of the cache: who is given an export shall not learn the buckets. ENOMEM, and errors of the store, with the
 * text.
 */
int pc_library_own_write(peercache *cache, uint8_t ret_secret[PC_LIBRARY_SECRET_BYTES], char **ret_text);

/*
 * Take bans and removals of such an object into the cache, merged with what is there: a ban that is kept stays as it
 * is, of two removals the later counts. EPARSE it is not whole, ENETWORK, EVERSION, ELIMIT over PC_CACHE_BANS_MAX,
 * ENOMEM, errors of the store, with the text.
 */
int pc_library_own_take(peercache *cache, struct pc_bytes json);

#endif
