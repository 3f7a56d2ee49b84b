#include "store/lock.h"

#include "base/time.h"

#include <peercache/types.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FIRST_PAUSE_US 200
#define MAX_PAUSE_US   10000

void pc_store_lock_init(struct pc_store_lock *lock)
{
    lock->fd = -1;
}

int pc_store_lock_open(struct pc_store_lock *lock, const char *path, mode_t mode, bool read_only,
                       struct pc_reason *ret_reason)
{
    int fd = -1;
    if (lock->fd >= 0)
        return 0;
    if (!read_only) {
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd >= 0 && mode & 060 && fchmod(fd, mode)) { /* for the group, whatever the umask */
            pc_base_reason(ret_reason, "%s: %s", path, strerror(errno));
            close(fd);
            return PEERCACHE_EIO;
        }
    }
    if (fd < 0 && (read_only || errno == EEXIST))
        fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
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
    return 0;
}

static int64_t monotonic_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail with this clock */
    return (int64_t)now.tv_sec * PC_US_PER_S + now.tv_nsec / 1000;
}

int pc_store_lock_take(struct pc_store_lock *lock, bool shared, uint32_t timeout_ms,
                       struct pc_reason *ret_reason)
{
    int64_t deadline_us = monotonic_us() + (int64_t)timeout_ms * PC_US_PER_MS;
    int64_t pause_us = FIRST_PAUSE_US;
    while (flock(lock->fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB)) {
        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK) {
            pc_base_reason(ret_reason, "the lock: %s", strerror(errno));
            return PEERCACHE_EIO;
        }
        int64_t left_us = deadline_us - monotonic_us();
        if (left_us <= 0) {
            pc_base_reason(ret_reason, "another process held the lock for %u ms", timeout_ms);
            return PEERCACHE_EBUSY;
        }
        int64_t sleep_us = pc_base_time_min(pause_us, left_us);
        const struct timespec pause = { .tv_sec = 0, .tv_nsec = (long)sleep_us * 1000 };
        (void)nanosleep(&pause, NULL); /* woken early: it looks again earlier */
        pause_us = pc_base_time_min(pause_us * 2, MAX_PAUSE_US);
    }
    return 0;
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
    lock->fd = -1;
}
