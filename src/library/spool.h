/*
 * A document that comes once, from a pipe perhaps, and is read twice: what was read is kept, a small one in
 * memory, a larger one in a temporary file without a name.
 */
#ifndef PC_LIBRARY_SPOOL_H
#define PC_LIBRARY_SPOOL_H

#include "base/bytes.h"

#include <peercache/peercache.h>

#include <stdio.h>

#define PC_LIBRARY_SPOOL_MEMORY_BYTES (256 * 1024)
#define PC_LIBRARY_PIECE_BYTES        (64 * 1024)

struct pc_library_spool {
    peercache_read read;
    void *context;
    bool is_at_end; /* of what `read` gives */
    bool is_again;  /* what was kept is being read */
    size_t memory_size, memory_at;
    FILE *file; /* NULL: all is in memory */
    uint8_t memory[PC_LIBRARY_SPOOL_MEMORY_BYTES];
    uint8_t piece[PC_LIBRARY_PIECE_BYTES];
};

/* ENOMEM. */
int pc_library_spool_new(peercache_read read, void *context, struct pc_library_spool **ret_spool);
void pc_library_spool_free(struct pc_library_spool *spool);
/* The next piece, valid until the next call; empty at the end. EIO the temporary file; or what `read`
 * returned. */
int pc_library_spool_next(struct pc_library_spool *spool, struct pc_bytes *ret_piece);
/* From the beginning, once; what is read from now on is not kept any more. EIO. */
int pc_library_spool_again(struct pc_library_spool *spool);

#endif
