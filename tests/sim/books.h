/*
 * The books of a real cache on a simulated drive: which batches it may have lost when the power goes, and whether what is left
 * is the first so many of them, whole. Beside the sums of all (disk.h) stand those of what must be left, and the batches since.
 *
 *   sums that must be left ── batch ── batch ── batch ──► sums of all
 *
 * The JSON file must keep what it acknowledged, SQLite what it had when it was closed last (store.h).
 */
#ifndef TESTS_SIM_BOOKS_H
#define TESTS_SIM_BOOKS_H

#include "disk.h"

struct batch;

struct books {
    struct audit *left; /* what must be */
    struct batch *first, **last;
    size_t count;
};

void books_init(struct books *books);
void books_deinit(struct books *books);
void books_clear(struct books *books);
/*
 * A batch was given to the store at `now_ms`, which acknowledged it, or whether it is on the disk is to be found: it is whole or not at
 * all. `disk` is what was read since. NULL, or what is wrong; *ret_is_there.
 */
const char *books_committed(struct books *books, struct disk *disk, const struct pc_delta *deltas,
                            size_t count, int64_t now_ms, bool is_acknowledged, bool *ret_is_there);
/* All that is there stays from now on, whatever happens. */
void books_settle(struct books *books);
/* The power went, in the midst of a batch or (count 0) of none, and `disk` is what is left: its sums become what they are.
 * NULL, or what is wrong. */
const char *books_power_went(struct books *books, struct disk *disk, const struct pc_delta *deltas,
                             size_t count, int64_t now_ms);

#endif
