/*
 * The lock of a store: flock on <path>.lock, which is never removed or renamed (a lock taken on an inode that
 * a rename replaces guards nothing). flock and not fcntl locks, which vanish when any descriptor of the file
 * closes. Waiting retries with growing pauses up to the deadline and reads the monotonic clock for it: the
 * one exception to "no clock, no waiting".
 *
 * Who finds it held queues: it locks the byte of <path>.lock-queue whose number is the moment at which it asked, by an
 * OFD lock (fcntl, of the open file description: it vanishes with its process and not with another descriptor). Who
 * has nobody before it is the head, and alone tries the lock; when it has it, it gives its byte back. So who comes
 * first is served first, and whoever just released comes last. The queue is for fairness only: the lock is the flock.
 */
#ifndef PC_STORE_LOCK_H
#define PC_STORE_LOCK_H

#include "base/bytes.h"

#include <sys/types.h>

struct pc_store_lock {
    int fd;       /* -1: closed */
    int queue_fd; /* -1: none; then it goes without */
};

void pc_store_lock_init(struct pc_store_lock *lock);
/* Opens the lock file, made with `mode` when it is missing; one that is open already stays. Never follows a
 * link. `read_only`: only one that is there, for a shared lock. EPERM, EIO, EFULL, EREADONLY, ENOTFOUND. */
int pc_store_lock_open(struct pc_store_lock *lock, const char *path, mode_t mode, bool read_only,
                       struct pc_reason *ret_reason);
/* A moment so far from now on the monotonic clock, and what is left until it, 0 when it is past: how work of
 * several steps keeps to one time for all of them. */
int64_t pc_store_deadline_us(uint32_t timeout_ms);
uint32_t pc_store_left_ms(int64_t deadline_us);
/* EBUSY after timeout_ms, with the reason. */
int pc_store_lock_take(struct pc_store_lock *lock, bool shared, uint32_t timeout_ms,
                       struct pc_reason *ret_reason);
void pc_store_lock_release(struct pc_store_lock *lock);
void pc_store_lock_close(struct pc_store_lock *lock);

#endif
