#include "store/lock.h"

#include "base/time.h"

#include <peercache/types.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_SUFFIX "-queue"

/* How long to sleep between two looks. The head looks often, for there is one at a time; the others seldom while
 * nothing moves: dozens of them may not take the processor from the holder. */
#define FIRST_PAUSE_US     50
#define HEAD_PAUSE_US      200
#define QUEUE_PAUSE_US     2000
#define QUEUE_PAUSE_MAX_US 8000

/* Looks without a sleep in between, which is never shorter than a commit to SQLite: of the head, and of whoever is
 * about to be it. */
#define LOOKS_AT_ONCE 20

/* Nothing moved for so long: who stands first may be a process that was stopped. The others try past it. */
#define STALL_US 250000

void pc_store_lock_init(struct pc_store_lock *lock)
{
    lock->fd = -1;
    lock->queue_fd = -1;
}

/* -1 with errno set. */
static int open_or_make(const char *path, mode_t mode, bool read_only)
{
    int fd = -1;
    if (!read_only) {
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd >= 0 && mode & 060 && fchmod(fd, mode)) { /* for the group, whatever the umask */
            int error = errno;
            (void)close(fd);
            errno = error;
            return -1;
        }
    }
    if (fd < 0 && (read_only || errno == EEXIST))
        fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return fd;
}

int pc_store_lock_open(struct pc_store_lock *lock, const char *path, mode_t mode, bool read_only,
                       struct pc_reason *ret_reason)
{
    if (lock->fd >= 0)
        return 0;
    int fd = open_or_make(path, mode, read_only);
    if (fd < 0) {
        int error = errno;
        pc_base_reason(ret_reason, "%s: %s", path, strerror(error));
        switch (error) {
        case EACCES:
        case EPERM:
            return PEERCACHE_EPERM;
        case EROFS:
            return PEERCACHE_EREADONLY;
        case ENOENT:
            return PEERCACHE_ENOTFOUND;
        case ENOSPC:
        case EDQUOT:
            return PEERCACHE_EFULL;
        default:
            return PEERCACHE_EIO;
        }
    }
    lock->fd = fd;
    char queue_path[PATH_MAX];
    if (snprintf(queue_path, sizeof(queue_path), "%s" QUEUE_SUFFIX, path) < (int)sizeof(queue_path))
        lock->queue_fd = open_or_make(queue_path, mode, read_only); /* only less fair without it */
    return 0;
}

static int64_t monotonic_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail with this clock */
    return (int64_t)now.tv_sec * PC_US_PER_S + now.tv_nsec / 1000;
}

int64_t pc_store_deadline_us(uint32_t timeout_ms)
{
    return monotonic_us() + (int64_t)timeout_ms * PC_US_PER_MS;
}

uint32_t pc_store_left_ms(int64_t deadline_us)
{
    int64_t left_us = deadline_us - monotonic_us();
    return left_us > 0 ? (uint32_t)((left_us + PC_US_PER_MS - 1) / PC_US_PER_MS) : 0;
}

/* One look: 1 taken, 0 held by another, -1 with errno. */
static int try_lock(int fd, int operation)
{
    while (flock(fd, operation | LOCK_NB)) {
        if (errno == EWOULDBLOCK)
            return 0;
        if (errno != EINTR)
            return -1;
    }
    return 1;
}

/* Woken early: it looks again earlier. */
static void sleep_until(int64_t wake_us, int64_t deadline_us)
{
    int64_t sleep_us = pc_base_time_max(pc_base_time_min(wake_us, deadline_us) - monotonic_us(), 0);
    if (sleep_us == 0) {
        (void)sched_yield();
        return;
    }
    const struct timespec pause = { .tv_sec = 0, .tv_nsec = (long)sleep_us * 1000 };
    (void)nanosleep(&pause, NULL);
}

/* --- the queue --- */

static struct flock bytes_of(short type, int64_t from, int64_t count)
{
    return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = from, .l_len = count };
}

/* Queue up: the moment at which this one asked. -1: there are no such locks here; then it goes without. */
static int64_t enqueue(int fd, int64_t now_us)
{
    for (int64_t asked_us = now_us;; asked_us++) { /* two in the same microsecond */
        struct flock mine = bytes_of(F_WRLCK, asked_us, 1);
        if (fcntl(fd, F_OFD_SETLK, &mine) == 0)
            return asked_us;
        if (errno != EAGAIN && errno != EACCES)
            return -1;
    }
}

/* The moment at which somebody asked who comes before, of those who are there the first as a rule; or `asked_us`:
 * there is nobody. */
static int64_t first_before(int fd, int64_t asked_us)
{
    struct flock before = bytes_of(F_WRLCK, 0, asked_us);
    if (fcntl(fd, F_OFD_GETLK, &before) || before.l_type == F_UNLCK)
        return asked_us;
    return before.l_start;
}

static void dequeue(int fd, int64_t asked_us)
{
    struct flock mine = bytes_of(F_UNLCK, asked_us, 1);
    (void)fcntl(fd, F_OFD_SETLK, &mine); /* of a lock we hold: can't fail */
}

/* Where one stands. */
struct turn {
    int64_t asked_us; /* the byte that is ours */
    int64_t first_us; /* of the first; -1: not looked yet */
    int64_t moved_us; /* when that changed last */
    int64_t pause_us;
    int looks; /* since then */
};

static bool may_try(int fd, struct turn *turn, int64_t now_us)
{
    int64_t first_us = first_before(fd, turn->asked_us);
    if (first_us != turn->first_us) {
        turn->first_us = first_us;
        turn->moved_us = now_us;
        turn->pause_us = FIRST_PAUSE_US;
        turn->looks = 0;
    }
    return first_us == turn->asked_us || now_us - turn->moved_us >= STALL_US;
}

/* Where all are served in their turn, and come back to ask again, the first is served about as long before this one
 * as it asked before this one: half of that is slept. While nothing moves, the pauses grow. */
static int64_t next_pause_us(struct turn *turn)
{
    if (turn->asked_us - turn->first_us < FIRST_PAUSE_US && turn->looks++ < LOOKS_AT_ONCE)
        return 0;
    bool is_head = turn->first_us == turn->asked_us;
    int64_t pause_us = turn->pause_us;
    int64_t rest_us = pc_base_time_min((turn->asked_us - turn->first_us) / 2, QUEUE_PAUSE_MAX_US);
    turn->pause_us = pc_base_time_min(2 * pause_us, is_head ? HEAD_PAUSE_US : QUEUE_PAUSE_US);
    return pc_base_time_max(pause_us, rest_us);
}

/* --- the lock --- */

/* In its turn, as try_lock; 0: not before the deadline. */
static int wait_in_queue(const struct pc_store_lock *lock, int operation, int64_t asked_us,
                         int64_t deadline_us)
{
    struct turn turn = { .asked_us = asked_us, .first_us = -1 };
    int64_t now_us = monotonic_us();
    int taken = 0;
    while (!(may_try(lock->queue_fd, &turn, now_us) && (taken = try_lock(lock->fd, operation))) &&
           now_us < deadline_us) {
        sleep_until(now_us + next_pause_us(&turn), deadline_us);
        now_us = monotonic_us();
    }
    return taken;
}

/* As above, where there is no queue. */
static int wait_alone(int fd, int operation, int64_t deadline_us)
{
    int64_t pause_us = FIRST_PAUSE_US, now_us;
    int taken;
    while ((taken = try_lock(fd, operation)) == 0 && (now_us = monotonic_us()) < deadline_us) {
        sleep_until(now_us + pause_us, deadline_us);
        pause_us = pc_base_time_min(2 * pause_us, QUEUE_PAUSE_MAX_US);
    }
    return taken;
}

static int take(const struct pc_store_lock *lock, int operation, int64_t deadline_us)
{
    if (lock->queue_fd < 0)
        return wait_alone(lock->fd, operation, deadline_us);
    if (first_before(lock->queue_fd, INT64_MAX) == INT64_MAX) { /* nobody waits */
        int taken = try_lock(lock->fd, operation);
        if (taken)
            return taken;
    }
    int64_t asked_us = enqueue(lock->queue_fd, monotonic_us());
    if (asked_us < 0)
        return wait_alone(lock->fd, operation, deadline_us);
    int taken = wait_in_queue(lock, operation, asked_us, deadline_us);
    int error = errno;
    dequeue(lock->queue_fd, asked_us);
    errno = error;
    return taken;
}

int pc_store_lock_take(struct pc_store_lock *lock, bool shared, uint32_t timeout_ms,
                       struct pc_reason *ret_reason)
{
    int taken = take(lock, shared ? LOCK_SH : LOCK_EX, pc_store_deadline_us(timeout_ms));
    if (taken > 0)
        return 0;
    if (taken == 0) {
        pc_base_reason(ret_reason, "another process held the lock for %u ms", timeout_ms);
        return PEERCACHE_EBUSY;
    }
    pc_base_reason(ret_reason, "the lock: %s", strerror(errno));
    return PEERCACHE_EIO;
}

void pc_store_lock_release(struct pc_store_lock *lock)
{
    if (lock->fd >= 0)
        (void)flock(lock->fd, LOCK_UN); /* of a lock we hold: can't fail */
}

void pc_store_lock_close(struct pc_store_lock *lock)
{
    if (lock->fd >= 0)
        (void)close(lock->fd); /* nothing was written through it */
    if (lock->queue_fd >= 0)
        (void)close(lock->queue_fd);
    lock->fd = -1;
    lock->queue_fd = -1;
}
