/*
 * One ordered worker of a store: commits run one after another on uv's thread pool, at most one at a time, so
 * that the loop never blocks on a disk or a lock. While it works the store belongs to it: nothing else may
 * call the store until it is idle.
 */
#ifndef PC_DRIVER_STORE_WORKER_H
#define PC_DRIVER_STORE_WORKER_H

#include "store/store.h"

#include <uv.h>

/* Commits that may wait behind the one under way. */
#define PC_DRIVER_COMMITS_WAITING_MAX 8

struct pc_driver_store_worker;

/* On the loop's thread, in the order of the commits. `text` is the reason of a failure, "" for none; valid
 * during the call. */
typedef void (*pc_driver_committed)(void *context, int result, const char *text);

/* Loop and store are borrowed. ENOMEM. */
int pc_driver_store_worker_new(uv_loop_t *loop, struct pc_store *store, pc_driver_committed done,
                               void *context, struct pc_driver_store_worker **ret_worker);
/* Commit these deltas, which are copied. ENOMEM; ELIMIT too many wait; EIO the pool took none. After a
 * failure `done` is not called for it. */
int pc_driver_store_worker_commit(struct pc_driver_store_worker *worker, const struct pc_delta *deltas,
                                  size_t count, int64_t now_ms);
/* Nothing is under way and nothing waits. */
bool pc_driver_store_worker_idle(const struct pc_driver_store_worker *worker);
/* It must be idle: run the loop until it is. NULL does nothing. */
void pc_driver_store_worker_free(struct pc_driver_store_worker *worker);

#endif
