/*
 * The worker of a store: commits and other jobs on it, in the order in which they were asked for and one at a time, on uv's
 * thread pool, so that the loop never blocks on a disk or a lock. The store belongs to the worker until it is idle: nothing
 * else may call it.
 *
 * A commit that failed may have reached the disk all the same. So its sequence number is kept for the next
 * one, which must be the same batch again: the ledger then counts it once.
 */
#ifndef PC_DRIVER_STORE_WORKER_H
#define PC_DRIVER_STORE_WORKER_H

#include "store/store.h"

#include <uv.h>

struct pc_driver_store_worker;

/* On the loop's thread, once a commit. `text` is the reason of a failure, "" for none; valid
 * during the call. */
typedef void (*pc_driver_committed)(void *context, int result, const char *text);

/*
 * On a thread of the pool, before a commit: a store that could only be read (or not at all) when it was opened, for
 * its lock was held or the disk was full, is opened for writing. 0 and *store is it; or why not, and *store as it was.
 */
typedef int (*pc_driver_reopen)(void *context, struct pc_store **store, int64_t now_ms,
                                struct pc_reason *ret_reason);

/* Loop and *store, which the worker may replace by `reopen` (NULL: it is open for writing), are borrowed. ENOMEM. */
int pc_driver_store_worker_new(uv_loop_t *loop, struct pc_store **store, pc_driver_reopen reopen,
                               pc_driver_committed done, void *context,
                               struct pc_driver_store_worker **ret_worker);
/* On the loop's thread, with the context of commits, each time the last job has been done. NULL: nobody. */
void pc_driver_store_worker_on_idle(struct pc_driver_store_worker *worker, void (*idle)(void *context));
/* Commit these deltas, which are copied. ENOMEM; ESTATE one is under way, or waits for jobs before it; EIO the pool took
 * none. After a failure `done` is not called for it. */
int pc_driver_store_worker_commit(struct pc_driver_store_worker *worker, const struct pc_delta *deltas,
                                  size_t count, int64_t now_ms);

/* A piece of work on the store. The memory is the caller's, and must stay until `done`. */
struct pc_driver_store_job {
    /* On a thread of the pool. store: NULL when it could not be opened so far. */
    void (*work)(void *context, struct pc_store *store);
    /* On the loop's thread, once; it may ask for more. 0: `work` was called; EIO: it was not, the pool took it not. */
    void (*done)(void *context, int result);
    void *context;
    struct pc_driver_store_job *next; /* the worker's */
};
/* Do it when what was asked for before is done. EIO: the pool takes none, `done` is not called. */
int pc_driver_store_worker_do(struct pc_driver_store_worker *worker, struct pc_driver_store_job *job);

/* Nothing is under way, and nothing waits. */
bool pc_driver_store_worker_idle(const struct pc_driver_store_worker *worker);
/* It must be idle: run the loop until it is. NULL does nothing. */
void pc_driver_store_worker_free(struct pc_driver_store_worker *worker);

#endif
