#include "drive_vfs.h"

#include "drive.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define JULIAN_EPOCH_MS (INT64_C(24405875) * 8640000) /* of 1970 */
#define SECTOR_BYTES    4096                          /* as SQLite believes of Unix */

struct vfs_file {
    sqlite3_file base;
    struct drive_handle *handle;
    const char *name; /* SQLite's, as long as the file is open; NULL: it has none */
};

static int last_error;

static struct vfs_file *of(sqlite3_file *base)
{
    return (struct vfs_file *)(void *)base; /* the first member */
}

/* The name on the drive, NULL when the path leads elsewhere. */
static const char *name_of(const char *path)
{
    size_t length = sizeof(DRIVE_DIRECTORY) - 1;
    bool is_ours = drive_entered() && strncmp(path, DRIVE_DIRECTORY "/", length + 1) == 0;
    return is_ours ? path + length + 1 : NULL;
}

static int fail(int error, int code)
{
    last_error = error;
    return code;
}

/* ----- a file ----- */

static int vfs_close(sqlite3_file *base)
{
    drive_close(of(base)->handle);
    return SQLITE_OK;
}

static int vfs_read(sqlite3_file *base, void *data, int size, sqlite3_int64 at)
{
    size_t done = 0;
    int error = drive_read(of(base)->handle, (size_t)at, data, (size_t)size, &done);
    if (error)
        return fail(error, SQLITE_IOERR_READ);
    if (done == (size_t)size)
        return SQLITE_OK;
    memset((char *)data + done, 0, (size_t)size - done);
    return fail(0, SQLITE_IOERR_SHORT_READ);
}

static int vfs_write(sqlite3_file *base, const void *data, int size, sqlite3_int64 at)
{
    const char *from = data;
    size_t left = (size_t)size;
    while (left > 0) {
        size_t done = 0;
        int error = drive_write(of(base)->handle, (size_t)at, from, left, &done);
        if (error == EINTR)
            continue;
        if (error)
            return fail(error, error == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE);
        from += done;
        at += (sqlite3_int64)done;
        left -= done;
    }
    return SQLITE_OK;
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    int error;
    do
        error = drive_truncate(of(base)->handle, (size_t)size);
    while (error == EINTR);
    return error ? fail(error, SQLITE_IOERR_TRUNCATE) : SQLITE_OK;
}

static int vfs_sync(sqlite3_file *base, int flags)
{
    int error = drive_sync(of(base)->handle);
    (void)flags; /* data alone, or all: one to a drive */
    return error ? fail(error, SQLITE_IOERR_FSYNC) : SQLITE_OK;
}

static int vfs_size(sqlite3_file *base, sqlite3_int64 *ret_size)
{
    *ret_size = (sqlite3_int64)of(base)->handle->file->size;
    return SQLITE_OK;
}

/* ----- its locks ----- */

static bool has_level(const struct drive_handle *other, const void *level)
{
    return other->level >= *(const int *)level;
}

static int vfs_lock(sqlite3_file *base, int level)
{
    static const int shared = SQLITE_LOCK_SHARED, reserved = SQLITE_LOCK_RESERVED,
                     pending = SQLITE_LOCK_PENDING;
    struct drive_handle *handle = of(base)->handle;
    if (handle->level >= level)
        return SQLITE_OK;
    if (drive_process_is_dead(handle->process))
        return fail(EIO, SQLITE_IOERR_LOCK);
    if (drive_any_other(handle, has_level, level == SQLITE_LOCK_SHARED ? &pending : &reserved))
        return SQLITE_BUSY;
    if (level == SQLITE_LOCK_EXCLUSIVE && drive_any_other(handle, has_level, &shared)) {
        handle->level = SQLITE_LOCK_PENDING; /* no new readers come */
        return SQLITE_BUSY;
    }
    handle->level = level;
    return SQLITE_OK;
}

static int vfs_unlock(sqlite3_file *base, int level)
{
    struct drive_handle *handle = of(base)->handle;
    handle->level = handle->level < level ? handle->level : level;
    return SQLITE_OK;
}

static int vfs_is_reserved(sqlite3_file *base, int *ret_is)
{
    static const int reserved = SQLITE_LOCK_RESERVED;
    *ret_is = of(base)->handle->level >= reserved || drive_any_other(of(base)->handle, has_level, &reserved);
    return SQLITE_OK;
}

/* ----- its memory ----- */

static int vfs_shm_map(sqlite3_file *base, int number, int bytes, int makes, void volatile **ret_region)
{
    struct drive_handle *handle = of(base)->handle;
    if (drive_process_is_dead(handle->process))
        return fail(EIO, SQLITE_IOERR_SHMMAP);
    *ret_region = drive_map(handle, (size_t)number, (size_t)bytes, makes != 0);
    return SQLITE_OK;
}

static bool has_exclusive(const struct drive_handle *other, const void *mask)
{
    return other->exclusive & *(const uint8_t *)mask;
}

static bool has_any(const struct drive_handle *other, const void *mask)
{
    return (other->exclusive | other->shared) & *(const uint8_t *)mask;
}

static int vfs_shm_lock(sqlite3_file *base, int first, int count, int flags)
{
    struct drive_handle *handle = of(base)->handle;
    uint8_t mask = (uint8_t)(((1U << count) - 1) << first);
    bool is_shared = flags & SQLITE_SHM_SHARED;
    uint8_t *held = is_shared ? &handle->shared : &handle->exclusive;
    if (flags & SQLITE_SHM_UNLOCK) {
        *held &= (uint8_t)~mask;
        return SQLITE_OK;
    }
    if (drive_process_is_dead(handle->process))
        return fail(EIO, SQLITE_IOERR_SHMLOCK);
    if (drive_any_other(handle, is_shared ? has_exclusive : has_any, &mask))
        return SQLITE_BUSY;
    *held |= mask;
    return SQLITE_OK;
}

static void vfs_shm_barrier(sqlite3_file *base)
{
    (void)base; /* one thread */
}

static int vfs_shm_unmap(sqlite3_file *base, int deletes)
{
    (void)deletes; /* nothing of it has a name */
    drive_unmap(of(base)->handle);
    return SQLITE_OK;
}

/* ----- what is asked besides ----- */

static int vfs_control(sqlite3_file *base, int operation, void *argument)
{
    const struct vfs_file *file = of(base);
    switch (operation) {
    case SQLITE_FCNTL_HAS_MOVED:
        *(int *)argument =
            file->name && drive_find(drive_of(file->handle->process), file->name) != file->handle->file;
        return SQLITE_OK;
    case SQLITE_FCNTL_LAST_ERRNO:
        *(int *)argument = last_error;
        return SQLITE_OK;
    default:
        return SQLITE_NOTFOUND;
    }
}

static int vfs_sector_bytes(sqlite3_file *base)
{
    (void)base;
    return SECTOR_BYTES;
}

/* A write that is torn leaves alone what lies beside it. */
static int vfs_characteristics(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_is_reserved,
    .xFileControl = vfs_control,
    .xSectorSize = vfs_sector_bytes,
    .xDeviceCharacteristics = vfs_characteristics,
    .xShmMap = vfs_shm_map,
    .xShmLock = vfs_shm_lock,
    .xShmBarrier = vfs_shm_barrier,
    .xShmUnmap = vfs_shm_unmap,
};

/* ----- the file system ----- */

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *ret_flags)
{
    static const int logs = SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL;
    struct vfs_file *file = of(base);
    const char *name = path ? name_of(path) : NULL;
    unsigned how = path ? 0 : DRIVE_NO_NAME;
    int error;
    (void)vfs;
    base->pMethods = NULL;
    if ((path && !name) || !drive_entered())
        return fail(ENOENT, SQLITE_CANTOPEN);
    how |= flags & SQLITE_OPEN_CREATE ? DRIVE_CREATE : 0;
    how |= flags & SQLITE_OPEN_EXCLUSIVE && flags & SQLITE_OPEN_CREATE ? DRIVE_ANEW : 0;
    do
        error = drive_open(drive_entered(), name, how, 0600, &file->handle);
    while (error == EINTR);
    if (error)
        return fail(error, SQLITE_CANTOPEN);
    file->name = name;
    file->handle->syncs_directory =
        flags & SQLITE_OPEN_CREATE && flags & logs; /* made or found: as on Unix */
    base->pMethods = &methods;
    if (ret_flags)
        *ret_flags = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int syncs_directory)
{
    const char *name = name_of(path);
    (void)vfs;
    int error = name ? drive_unlink(drive_entered(), name) : ENOENT;
    if (error)
        return fail(error, error == ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE);
    error = syncs_directory ? drive_sync_directory(drive_entered()) : 0;
    return error ? fail(error, SQLITE_IOERR_DIR_FSYNC) : SQLITE_OK;
}

/* One without a byte in it is none, as it is to SQLite on Unix. */
static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret_is)
{
    const char *name = name_of(path);
    const struct drive_file *file = name ? drive_find(drive_of(drive_entered()), name) : NULL;
    (void)vfs;
    *ret_is = file && (flags != SQLITE_ACCESS_EXISTS || file->size > 0);
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int capacity, char *ret_path)
{
    size_t size = strlen(path) + 1;
    (void)vfs;
    if (size > (size_t)capacity)
        return fail(ENAMETOOLONG, SQLITE_CANTOPEN);
    memcpy(ret_path, path, size);
    return SQLITE_OK;
}

static int vfs_random(sqlite3_vfs *vfs, int size, char *ret_data)
{
    (void)vfs;
    if (drive_entered())
        drive_random(drive_of(drive_entered()), ret_data, (size_t)size);
    return size;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    if (drive_entered())
        drive_pause(drive_of(drive_entered()), (int64_t)us * 1000);
    return us;
}

static int vfs_time(sqlite3_vfs *vfs, sqlite3_int64 *ret_ms)
{
    (void)vfs;
    *ret_ms = JULIAN_EPOCH_MS + (drive_entered() ? drive_now_ns(drive_of(drive_entered())) / 1000000 : 0);
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *ret_text)
{
    (void)vfs;
    (void)size;
    (void)ret_text;
    return last_error;
}

void drive_vfs_register(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 2,
        .szOsFile = sizeof(struct vfs_file),
        .mxPathname = 512,
        .zName = "drive",
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_random,
        .xSleep = vfs_sleep,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_time,
    };
    if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK)
        abort();
}
