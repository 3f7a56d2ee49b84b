#include "library/spool.h"

#include <assert.h>
#include <stdlib.h>

int pc_library_spool_new(peercache_read read, void *context, struct pc_library_spool **ret_spool)
{
    struct pc_library_spool *spool = malloc(sizeof(*spool)); /* the buffers need no zeroes */
    if (!spool)
        return PEERCACHE_ENOMEM;
    spool->read = read;
    spool->context = context;
    spool->is_at_end = spool->is_again = false;
    spool->memory_size = spool->memory_at = 0;
    spool->file = NULL;
    *ret_spool = spool;
    return 0;
}

void pc_library_spool_free(struct pc_library_spool *spool)
{
    if (spool && spool->file)
        (void)fclose(spool->file); /* and with it the file is gone */
    free(spool);
}

static int keep(struct pc_library_spool *spool, struct pc_bytes piece)
{
    if (!spool->file && piece.size <= sizeof(spool->memory) - spool->memory_size) {
        memcpy(spool->memory + spool->memory_size, piece.data, piece.size);
        spool->memory_size += piece.size;
        return 0;
    }
    if (!spool->file)
        spool->file = tmpfile();
    return spool->file && fwrite(piece.data, 1, piece.size, spool->file) == piece.size ? 0 : PEERCACHE_EIO;
}

/* What was kept; empty when all of it was given. */
static int next_kept(struct pc_library_spool *spool, struct pc_bytes *ret_piece)
{
    size_t size = 0;
    if (spool->memory_at < spool->memory_size) {
        *ret_piece = pc_bytes_of(spool->memory, spool->memory_size);
        spool->memory_at = spool->memory_size;
        return 0;
    }
    if (spool->file) {
        size = fread(spool->piece, 1, sizeof(spool->piece), spool->file);
        if (size == 0 && ferror(spool->file))
            return PEERCACHE_EIO;
    }
    *ret_piece = pc_bytes_of(spool->piece, size);
    return 0;
}

int pc_library_spool_next(struct pc_library_spool *spool, struct pc_bytes *ret_piece)
{
    size_t size = 0;
    int result = spool->is_again ? next_kept(spool, ret_piece) : 0;
    if (result || (spool->is_again && ret_piece->size))
        return result;
    if (!spool->is_at_end) {
        result = spool->read(spool->context, spool->piece, sizeof(spool->piece), &size);
        if (result)
            return result;
        if (size > sizeof(spool->piece))
            return PEERCACHE_EINVAL;
        spool->is_at_end = size == 0;
    }
    *ret_piece = pc_bytes_of(spool->piece, size);
    return size && !spool->is_again ? keep(spool, *ret_piece) : 0;
}

int pc_library_spool_again(struct pc_library_spool *spool)
{
    assert(!spool->is_again);
    spool->is_again = true;
    return spool->file && (fflush(spool->file) != 0 || fseeko(spool->file, 0, SEEK_SET) != 0) ? PEERCACHE_EIO
                                                                                              : 0;
}
