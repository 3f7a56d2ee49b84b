/* The names as the libraries call them: with this set, open would be another name for open64. */
#undef _FILE_OFFSET_BITS

#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static enum fault fault;
static unsigned fault_at;
static unsigned calls;
static bool armed;
static int unsynced_fd = -1; /* written to since its last sync */
static bool renamed_unsynced;
static bool directory_unsynced;

void faults_arm(enum fault kind, unsigned at)
{
    fault = kind;
    fault_at = at;
    calls = 0;
    unsynced_fd = -1;
    renamed_unsynced = directory_unsynced = false;
    armed = true;
}

unsigned faults_disarm(void)
{
    armed = false;
    return calls;
}

bool faults_saw_unsynced(void)
{
    return renamed_unsynced || directory_unsynced;
}

enum verdict {
    GO,
    FAIL,
    HALF,
};

/* What becomes of this call; errno is set for FAIL. */
static enum verdict judge(bool needs_room, bool is_write)
{
    if (!armed)
        return GO;
    calls++;
    if (fault == FAULT_NONE || calls < fault_at)
        return GO;
    bool is_it = calls == fault_at;
    switch (fault) {
    case FAULT_NONE:
        return GO;
    case FAULT_STOP:
        _exit(FAULT_STOPPED);
    case FAULT_STOP_HALF:
        if (is_write)
            return HALF;
        _exit(FAULT_STOPPED);
    case FAULT_SHORT:
        return is_it && is_write ? HALF : GO;
    case FAULT_EINTR:
        errno = EINTR;
        return is_it ? FAIL : GO;
    case FAULT_EIO_ONCE:
        errno = EIO;
        return is_it ? FAIL : GO;
    case FAULT_EIO:
        errno = EIO;
        return FAIL;
    case FAULT_ENOSPC:
        errno = ENOSPC;
        return needs_room ? FAIL : GO;
    }
    return GO;
}

/* The function that ours hides. */
#define REAL(name, type)                                                                                     \
    static type real;                                                                                        \
    if (!real)                                                                                               \
    *(void **)&real = dlsym(RTLD_NEXT, name)

typedef ssize_t (*write_fn)(int fd, const void *data, size_t size);
typedef ssize_t (*pwrite_fn)(int fd, const void *data, size_t size, off_t at);
typedef int (*fd_fn)(int fd);
typedef int (*truncate_fn)(int fd, off_t size);
typedef int (*rename_fn)(const char *from, const char *to);
typedef int (*path_fn)(const char *path);
typedef int (*mode_fn)(int fd, mode_t mode);
typedef int (*open_fn)(const char *path, int flags, ...);

EXPORT ssize_t write(int fd, const void *data, size_t size);
EXPORT ssize_t write(int fd, const void *data, size_t size)
{
    REAL("write", write_fn);
    enum verdict verdict = judge(true, true);
    if (verdict == FAIL)
        return -1;
    if (armed)
        unsynced_fd = fd;
    if (verdict == GO)
        return real(fd, data, size);
    ssize_t written = real(fd, data, size > 1 ? size / 2 : size);
    if (fault == FAULT_STOP_HALF)
        _exit(FAULT_STOPPED);
    return written;
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off_t at);
EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off_t at)
{
    REAL("pwrite64", pwrite_fn);
    enum verdict verdict = judge(true, true);
    if (verdict == FAIL)
        return -1;
    if (verdict == GO)
        return real(fd, data, size, at);
    ssize_t written = real(fd, data, size > 1 ? size / 2 : size, at);
    if (fault == FAULT_STOP_HALF)
        _exit(FAULT_STOPPED);
    return written;
}

EXPORT int fsync(int fd);
EXPORT int fsync(int fd)
{
    REAL("fsync", fd_fn);
    struct stat info;
    if (judge(true, false) != GO)
        return -1;
    if (armed && fd == unsynced_fd)
        unsynced_fd = -1;
    if (armed && fstat(fd, &info) == 0 && S_ISDIR(info.st_mode))
        directory_unsynced = false;
    return real(fd);
}

EXPORT int fdatasync(int fd);
EXPORT int fdatasync(int fd)
{
    REAL("fdatasync", fd_fn);
    return judge(true, false) == GO ? real(fd) : -1;
}

EXPORT int ftruncate64(int fd, off_t size);
EXPORT int ftruncate64(int fd, off_t size)
{
    REAL("ftruncate64", truncate_fn);
    return judge(true, false) == GO ? real(fd, size) : -1;
}

EXPORT int rename(const char *from, const char *to);
EXPORT int rename(const char *from, const char *to)
{
    REAL("rename", rename_fn);
    if (judge(true, false) != GO)
        return -1;
    renamed_unsynced |= armed && unsynced_fd >= 0;
    directory_unsynced |= armed;
    return real(from, to);
}

EXPORT int unlink(const char *path);
EXPORT int unlink(const char *path)
{
    REAL("unlink", path_fn);
    return judge(false, false) == GO ? real(path) : -1;
}

EXPORT int fchmod(int fd, mode_t mode);
EXPORT int fchmod(int fd, mode_t mode)
{
    REAL("fchmod", mode_fn);
    return judge(false, false) == GO ? real(fd, mode) : -1;
}

static int open_counted(open_fn real, const char *path, int flags, mode_t mode)
{
    if (flags & (O_CREAT | O_DIRECTORY) && judge((flags & O_CREAT) != 0, false) != GO)
        return -1;
    return real(path, flags, mode);
}

EXPORT int open(const char *path, int flags, ...);
EXPORT int open(const char *path, int flags, ...)
{
    REAL("open", open_fn);
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(arguments, int) : 0;
    va_end(arguments);
    return open_counted(real, path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...);
EXPORT int open64(const char *path, int flags, ...)
{
    REAL("open64", open_fn);
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(arguments, int) : 0;
    va_end(arguments);
    return open_counted(real, path, flags, mode);
}
