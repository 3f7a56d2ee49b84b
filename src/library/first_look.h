/* The first look at a document that is to be imported: of which network is it? */
#ifndef PC_LIBRARY_FIRST_LOOK_H
#define PC_LIBRARY_FIRST_LOOK_H

#include "library/internal.h"
#include "library/spool.h"

#include "format/format.h"

/*
 * Read a document as far as it takes to know its network: to the end, for the descendants wrote it behind the
 * peers; of our own lists only their head. ENETWORK: another one than that of the cache, with the text. Errors
 * of the reader, with its text; of the spool.
 */
int pc_library_first_look(peercache *cache, enum pc_format format, struct pc_library_spool *spool);

#endif
