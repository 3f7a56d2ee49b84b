#include "store/lock.h"

#include "base/time.h"

#include <peercache/types.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_SUFFIX   "-queue"

#define FIRST_PAUSE_US 50
#define HEAD_PAUSE_US  200 /* the longest of the one at the head: there is one at a time */

/* The longest of the others, by how long they have waited: who has waited longer looks oftener, but dozens of
 * them may not take the processor from the holder. */
static const struct {
    int64_t waited_us;
    int64_t pause_us;
} queue_pauses[] = { { 100000, 8000 }, { 400000, 4000 }, { 1000000, 2000 }, { INT64_MAX, 1000 } };

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

static int64_t longest_pause(int64_t waited_us, bool is_head)
{
    size_t i = 0;
    while (waited_us > queue_pauses[i].waited_us)
        i++;
    return is_head ? HEAD_PAUSE_US : queue_pauses[i].pause_us;
}

/* Look until taken, or until the deadline: 0. */
static int wait_for(int fd, int operation, bool is_head, int64_t begin_us, int64_t deadline_us)
{
    int64_t pause_us = FIRST_PAUSE_US;
    int taken;
    while ((taken = try_lock(fd, operation)) == 0) {
        int64_t now_us = monotonic_us();
        if (now_us >= deadline_us)
            return 0;
        pause_us = pc_base_time_min(pause_us, longest_pause(now_us - begin_us, is_head));
        int64_t sleep_us = pc_base_time_min(pause_us, deadline_us - now_us);
        const struct timespec pause = { .tv_sec = 0, .tv_nsec = (long)sleep_us * 1000 };
        (void)nanosleep(&pause, NULL); /* woken early: it looks again earlier */
        pause_us *= 2;
    }
    return taken;
}

int pc_store_lock_take(struct pc_store_lock *lock, bool shared, uint32_t timeout_ms,
                       struct pc_reason *ret_reason)
{
    int64_t begin_us = monotonic_us();
    int64_t deadline_us = begin_us + (int64_t)timeout_ms * PC_US_PER_MS;
    int taken = 1;
    if (lock->queue_fd >= 0)
        taken = wait_for(lock->queue_fd, LOCK_EX, false, begin_us, deadline_us);
    bool is_head = lock->queue_fd >= 0 && taken > 0;
    if (taken) /* without a queue, by a failure of it too: the lock itself is what counts */
        taken = wait_for(lock->fd, shared ? LOCK_SH : LOCK_EX, is_head, begin_us, deadline_us);
    int error = errno;
    if (is_head)
        (void)flock(lock->queue_fd, LOCK_UN); /* of a lock we hold: can't fail */
    if (taken > 0)
        return 0;
    if (taken == 0) {
        pc_base_reason(ret_reason, "another process held the lock for %u ms", timeout_ms);
        return PEERCACHE_EBUSY;
    }
    pc_base_reason(ret_reason, "the lock: %s", strerror(error));
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
