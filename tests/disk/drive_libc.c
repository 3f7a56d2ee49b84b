/*
 * A drive as the stores' own code sees it: the functions of libc that src/store calls, in the place of libc's by the linker
 * (wrapped.args). What concerns paths below DRIVE_DIRECTORY, and descriptors and streams that were opened there, goes to the
 * drive of whoever has entered; all else to libc. The names are those of a 64-bit off_t.
 *
 * Locks between byte ranges (fcntl) there are none, as on some file systems: the queue before a store's lock does without.
 */
#include "drive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define FD_FIRST     (1 << 20) /* more than the system gives out */
#define FDS_MAX      4096
#define LISTINGS_MAX 4

/* What a descriptor is of. */
struct slot {
    struct drive_process *process; /* NULL: free */
    struct drive_handle *handle;   /* NULL: the directory */
};

/* What an open directory gives, as it was when it was opened. */
struct listing {
    bool is_open;
    int fd;
    size_t next, count;
    char (*names)[DRIVE_NAME_BYTES];
    struct dirent entry;
};

static struct slot slots[FDS_MAX];
static struct listing listings[LISTINGS_MAX];

/* ----- paths and descriptors ----- */

static bool is_directory(const char *path)
{
    return strcmp(path, DRIVE_DIRECTORY) == 0;
}

static bool is_ours(const char *path)
{
    size_t length = sizeof(DRIVE_DIRECTORY) - 1;
    return strncmp(path, DRIVE_DIRECTORY, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static const char *name_of(const char *path)
{
    return path + sizeof(DRIVE_DIRECTORY);
}

static int fail(int error)
{
    errno = error;
    return -1;
}

static int done(int error)
{
    return error ? fail(error) : 0;
}

/* Whether somebody who lives has entered; else errno is set. */
static bool lives(void)
{
    const struct drive_process *process = drive_entered();
    if (process && !drive_process_is_dead(process))
        return true;
    errno = process ? EIO : ENOENT;
    return false;
}

static struct slot *slot_of(int fd)
{
    bool is_one = fd >= FD_FIRST && fd < FD_FIRST + FDS_MAX && slots[fd - FD_FIRST].process;
    return is_one ? &slots[fd - FD_FIRST] : NULL;
}

static int new_fd(struct drive_handle *handle)
{
    int at = 0;
    while (at < FDS_MAX && slots[at].process)
        at++;
    if (at == FDS_MAX)
        abort();
    slots[at] = (struct slot){ drive_entered(), handle };
    return FD_FIRST + at;
}

static void tell_file(const struct drive_file *file, struct stat *ret_info)
{
    memset(ret_info, 0, sizeof(*ret_info));
    ret_info->st_dev = 1;
    ret_info->st_uid = geteuid();
    ret_info->st_gid = getegid();
    ret_info->st_nlink = 1;
    if (!file) {
        ret_info->st_mode = S_IFDIR | 0700;
        return;
    }
    ret_info->st_ino = file->inode;
    ret_info->st_mode = S_IFREG | (file->mode & 0777);
    ret_info->st_size = (off_t)file->size;
    ret_info->st_mtim.tv_sec = file->changed_ns / 1000000000;
    ret_info->st_mtim.tv_nsec = file->changed_ns % 1000000000;
    ret_info->st_ctim = ret_info->st_mtim;
}

/* The file of a path, NULL of the directory. False: errno is set. */
static bool find(const char *path, const struct drive_file **ret_file)
{
    *ret_file = NULL;
    if (!lives())
        return false;
    if (is_directory(path))
        return true;
    *ret_file = drive_find(drive_of(drive_entered()), name_of(path));
    if (!*ret_file)
        errno = ENOENT;
    return *ret_file != NULL;
}

static int stat_path(const char *path, struct stat *ret_info)
{
    const struct drive_file *file;
    if (!find(path, &file))
        return -1;
    tell_file(file, ret_info);
    return 0;
}

static int open_path(const char *path, int flags, mode_t mode)
{
    struct drive_handle *handle = NULL;
    unsigned how = (flags & O_CREAT ? DRIVE_CREATE : 0) | (flags & O_EXCL ? DRIVE_ANEW : 0) |
                   (flags & O_TRUNC ? DRIVE_CUT : 0);
    if (!lives())
        return -1;
    if (!is_directory(path)) {
        if (!(flags & O_CREAT))
            how &= ~DRIVE_ANEW;
        int error = drive_open(drive_entered(), name_of(path), how, mode, &handle);
        if (error)
            return fail(error);
    }
    return new_fd(handle);
}

/* ----- in the place of libc's: files ----- */

/* The function of libc, and ours in its place. */
#define WRAP(result, name, ...)                                                                              \
    result __real_##name(__VA_ARGS__);                                                                       \
    result __wrap_##name(__VA_ARGS__);                                                                       \
    result __wrap_##name(__VA_ARGS__)

static mode_t mode_of(int flags, va_list arguments)
{
    return flags & O_CREAT ? (mode_t)va_arg(arguments, int) : 0;
}

WRAP(int, open64, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return is_ours(path) ? open_path(path, flags, mode) : __real_open64(path, flags, mode);
}

WRAP(int, openat64, int directory, const char *name, int flags, ...)
{
    char path[sizeof(DRIVE_DIRECTORY) + DRIVE_NAME_BYTES] = DRIVE_DIRECTORY "/";
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    if (!slot_of(directory))
        return __real_openat64(directory, name, flags, mode);
    if (strlen(name) >= DRIVE_NAME_BYTES)
        return fail(ENAMETOOLONG);
    memcpy(path + sizeof(DRIVE_DIRECTORY), name, strlen(name) + 1);
    return open_path(path, flags, mode);
}

WRAP(int, close, int fd)
{
    struct slot *slot = slot_of(fd);
    if (!slot)
        return __real_close(fd);
    if (slot->handle)
        drive_close(slot->handle);
    slot->process = NULL;
    return 0;
}

WRAP(ssize_t, read, int fd, void *ret_data, size_t size)
{
    size_t count = 0;
    const struct slot *slot = slot_of(fd);
    if (!slot)
        return __real_read(fd, ret_data, size);
    int error =
        slot->handle ? drive_read(slot->handle, slot->handle->position, ret_data, size, &count) : EISDIR;
    if (error)
        return fail(error);
    slot->handle->position += count;
    return (ssize_t)count;
}

WRAP(ssize_t, write, int fd, const void *data, size_t size)
{
    size_t count = 0;
    const struct slot *slot = slot_of(fd);
    if (!slot)
        return __real_write(fd, data, size);
    int error = slot->handle ? drive_write(slot->handle, slot->handle->position, data, size, &count) : EISDIR;
    if (error)
        return fail(error);
    slot->handle->position += count;
    return (ssize_t)count;
}

WRAP(off_t, lseek64, int fd, off_t to, int whence)
{
    const struct slot *slot = slot_of(fd);
    if (!slot)
        return __real_lseek64(fd, to, whence);
    size_t from = whence == SEEK_CUR   ? slot->handle->position
                  : whence == SEEK_END ? slot->handle->file->size
                                       : 0;
    slot->handle->position = from + (size_t)to;
    return (off_t)slot->handle->position;
}

WRAP(int, fsync, int fd)
{
    const struct slot *slot = slot_of(fd);
    if (!slot)
        return __real_fsync(fd);
    return done(slot->handle ? drive_sync(slot->handle) : drive_sync_directory(slot->process));
}

WRAP(int, fchmod, int fd, mode_t mode)
{
    const struct slot *slot = slot_of(fd);
    return slot ? done(drive_chmod(slot->handle, mode)) : __real_fchmod(fd, mode);
}

WRAP(int, fchown, int fd, uid_t owner, gid_t group)
{
    return slot_of(fd) ? 0 : __real_fchown(fd, owner, group);
}

WRAP(int, fstat64, int fd, struct stat *ret_info)
{
    const struct slot *slot = slot_of(fd);
    if (!slot)
        return __real_fstat64(fd, ret_info);
    if (drive_process_is_dead(slot->process))
        return fail(EIO);
    tell_file(slot->handle ? slot->handle->file : NULL, ret_info);
    return 0;
}

WRAP(int, flock, int fd, int operation)
{
    const struct slot *slot = slot_of(fd);
    if (!slot)
        return __real_flock(fd, operation);
    return done(drive_flock(slot->handle, operation & LOCK_UN   ? DRIVE_UNLOCKED
                                          : operation & LOCK_SH ? DRIVE_SHARED
                                                                : DRIVE_EXCLUSIVE));
}

WRAP(int, fcntl64, int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return slot_of(fd) ? fail(EINVAL) : __real_fcntl64(fd, command, argument);
}

/* ----- names ----- */

WRAP(int, stat64, const char *path, struct stat *ret_info)
{
    return is_ours(path) ? stat_path(path, ret_info) : __real_stat64(path, ret_info);
}

WRAP(int, lstat64, const char *path, struct stat *ret_info)
{
    return is_ours(path) ? stat_path(path, ret_info) : __real_lstat64(path, ret_info);
}

WRAP(int, statfs64, const char *path, struct statfs *ret_info)
{
    const struct drive_file *file;
    if (!is_ours(path))
        return __real_statfs64(path, ret_info);
    memset(ret_info, 0, sizeof(*ret_info));
    return find(path, &file) ? 0 : -1;
}

WRAP(int, access, const char *path, int mode)
{
    const struct drive_file *file;
    if (!is_ours(path))
        return __real_access(path, mode);
    if (!find(path, &file))
        return -1;
    return file && mode & W_OK && !(file->mode & 0222) ? fail(EACCES) : 0;
}

WRAP(int, mkdir, const char *path, mode_t mode)
{
    if (!is_ours(path))
        return __real_mkdir(path, mode);
    return fail(is_directory(path) ? EEXIST : EPERM);
}

WRAP(char *, realpath, const char *path, char *ret_path)
{
    const struct drive_file *file;
    if (!is_ours(path))
        return __real_realpath(path, ret_path);
    return find(path, &file) ? strdup(path) : NULL;
}

WRAP(int, rename, const char *from, const char *to)
{
    if (!is_ours(from))
        return __real_rename(from, to);
    return lives() ? done(drive_rename(drive_entered(), name_of(from), name_of(to), true)) : -1;
}

WRAP(int, renameat2, int from_directory, const char *from, int to_directory, const char *to, unsigned flags)
{
    if (!is_ours(from))
        return __real_renameat2(from_directory, from, to_directory, to, flags);
    bool may_replace = !(flags & RENAME_NOREPLACE);
    return lives() ? done(drive_rename(drive_entered(), name_of(from), name_of(to), may_replace)) : -1;
}

WRAP(int, unlink, const char *path)
{
    if (!is_ours(path))
        return __real_unlink(path);
    return lives() ? done(drive_unlink(drive_entered(), name_of(path))) : -1;
}

WRAP(int, unlinkat, int directory, const char *name, int flags)
{
    const struct slot *slot = slot_of(directory);
    return slot ? done(drive_unlink(slot->process, name)) : __real_unlinkat(directory, name, flags);
}

/* ----- the directory ----- */

static struct listing *listing_of(DIR *directory)
{
    for (size_t i = 0; i < LISTINGS_MAX; i++)
        if ((void *)directory == &listings[i])
            return &listings[i];
    return NULL;
}

WRAP(DIR *, opendir, const char *path)
{
    struct listing *listing = listings;
    const char *name;
    if (!is_ours(path))
        return __real_opendir(path);
    int fd = open_path(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return NULL;
    while (listing->is_open)
        if (++listing == listings + LISTINGS_MAX)
            abort();
    *listing = (struct listing){ .is_open = true, .fd = fd };
    while ((name = drive_name(drive_of(drive_entered()), listing->count)) != NULL) {
        listing->names =
            realloc(listing->names, (listing->count + 1) * sizeof(listing->names[0])); /* NOLINT */
        if (!listing->names)
            abort();
        memcpy(listing->names[listing->count++], name, strlen(name) + 1);
    }
    return (DIR *)(void *)listing;
}

WRAP(struct dirent *, readdir64, DIR *directory)
{
    struct listing *listing = listing_of(directory);
    if (!listing)
        return __real_readdir64(directory);
    if (listing->next == listing->count)
        return NULL;
    memcpy(listing->entry.d_name, listing->names[listing->next], strlen(listing->names[listing->next]) + 1);
    listing->next++;
    return &listing->entry;
}

WRAP(int, dirfd, DIR *directory)
{
    const struct listing *listing = listing_of(directory);
    return listing ? listing->fd : __real_dirfd(directory);
}

WRAP(int, closedir, DIR *directory)
{
    struct listing *listing = listing_of(directory);
    if (!listing)
        return __real_closedir(directory);
    free(listing->names);
    listing->is_open = false;
    return __wrap_close(listing->fd);
}

/* ----- time: it passes for who waits ----- */

WRAP(int, clock_gettime, clockid_t clock, struct timespec *ret_now)
{
    if (!drive_entered())
        return __real_clock_gettime(clock, ret_now);
    int64_t now_ns = drive_now_ns(drive_of(drive_entered()));
    *ret_now = (struct timespec){ .tv_sec = now_ns / 1000000000, .tv_nsec = now_ns % 1000000000 };
    return 0;
}

WRAP(int, nanosleep, const struct timespec *pause, struct timespec *ret_left)
{
    if (!drive_entered())
        return __real_nanosleep(pause, ret_left);
    drive_pause(drive_of(drive_entered()), (int64_t)pause->tv_sec * 1000000000 + pause->tv_nsec);
    return 0;
}
