/*
 * Saving: a temporary in the same directory under a random name, written whole, synced, renamed over the
 * file, the directory synced. A process that is killed leaves at most a temporary behind, which the next
 * sweeps: each writer holds a flock on its temporary too, so that one whose flock is free is nobody's.
 */
#include "store/json_file.h"
#include "store/paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#define MARK       ".tmp-"
#define HEX_DIGITS 16 /* of the random name */

void pc_json_let_go(struct pc_json_store *store)
{
    if (store->held.fd >= 0)
        (void)close(store->held.fd); /* it was only read, or synced before */
    store->held.fd = -1;
}

static void directory_of(const char *path, char ret_directory[PC_STORE_PATH_BYTES])
{
    size_t length = (size_t)(strrchr(path, '/') - path); /* resolved: there is one */
    length = length ? length : 1;
    memcpy(ret_directory, path, length);
    ret_directory[length] = '\0';
}

struct output {
    int fd;
    size_t size;
    int error; /* an errno, of a write */
};

static int write_all(void *context, struct pc_bytes bytes)
{
    struct output *output = context;
    output->size += bytes.size;
    if (output->size > PC_JSON_FILE_MAX_BYTES)
        return PEERCACHE_ELIMIT;
    while (bytes.size > 0) {
        ssize_t written = write(output->fd, bytes.data, bytes.size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            output->error = written < 0 ? errno : EIO;
            return PEERCACHE_EIO;
        }
        bytes = pc_bytes_of(bytes.data + written, bytes.size - (size_t)written);
    }
    return 0;
}

static int sync_whole(int fd)
{
    int result;
    do
        result = fsync(fd);
    while (result && errno == EINTR);
    return result;
}

static int open_again(const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static int rename_over(const char *from, const char *to)
{
    int result;
    do
        result = rename(from, to);
    while (result && errno == EINTR);
    return result;
}

static int sync_directory(const char *path)
{
    char directory[PC_STORE_PATH_BYTES];
    directory_of(path, directory);
    int fd = open_again(directory, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return -1;
    int result = sync_whole(fd);
    int error = errno;
    (void)close(fd);
    errno = error;
    return result && error == EINVAL ? 0 : result; /* EINVAL: a file system that has nothing to sync there */
}

/* As the file that is there has it; its group too, or nobody's. */
static int set_mode(int fd, const char *path)
{
    struct stat info, made;
    mode_t mode = pc_store_path_mode(path);
    if (fstat(fd, &made))
        return -1;
    if (stat(path, &info) == 0) {
        mode = info.st_mode & 0777;
        if (info.st_gid != made.st_gid && fchown(fd, (uid_t)-1, info.st_gid))
            mode &= ~(mode_t)070;
    }
    return (made.st_mode & 0777) == mode ? 0 : fchmod(fd, mode);
}

static int fail(struct pc_json_store *store, int error, const char *what)
{
    return pc_store_path_fail(error, store->head.path, what, &store->head.error);
}

static int make_temporary(struct pc_json_store *store, char ret_path[PC_STORE_PATH_BYTES], int *ret_fd)
{
    char suffix[sizeof(MARK) + HEX_DIGITS];
    (void)snprintf(suffix, sizeof(suffix), MARK "%016llx", (unsigned long long)pc_base_rng_u64(&store->rng));
    if (pc_store_path_with(store->head.path, suffix, ret_path))
        return fail(store, ENAMETOOLONG, "can't save");
    int fd = open_again(ret_path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(store, errno, "can't make a file beside it");
    (void)flock(fd, LOCK_EX | LOCK_NB); /* nobody else knows it; where there are no locks nobody sweeps it */
    *ret_fd = fd;
    return 0;
}

static int fill_temporary(struct pc_json_store *store, int fd, const struct pc_json_document *document)
{
    struct output output = { .fd = fd };
    int result = pc_json_write(document, store->now_ms, write_all, &output);
    if (result == PEERCACHE_EIO)
        return fail(store, output.error, "can't write");
    if (result == PEERCACHE_ELIMIT)
        pc_base_reason(&store->head.error, "%s: over the %zu MB that a JSON cache may have", store->head.path,
                       PC_JSON_FILE_MAX_BYTES / 1024 / 1024);
    if (result == PEERCACHE_ENOMEM)
        pc_base_reason(&store->head.error, "%s: can't save: out of memory", store->head.path);
    if (result)
        return result;
    if (set_mode(fd, store->head.path))
        return fail(store, errno, "can't set the mode of the new file");
    return sync_whole(fd) ? fail(store, errno, "can't sync") : 0;
}

int pc_json_sync(struct pc_json_store *store)
{
    if (store->is_unsynced && sync_directory(store->head.path))
        return fail(store, errno, "can't sync its directory");
    store->is_unsynced = false;
    return 0;
}

int pc_json_save(struct pc_json_store *store, const struct pc_json_document *document)
{
    char temporary[PC_STORE_PATH_BYTES];
    int fd = -1;
    int result = make_temporary(store, temporary, &fd);
    if (result)
        return result;
    result = fill_temporary(store, fd, document);
    if (result == 0 && rename_over(temporary, store->head.path))
        result = fail(store, errno, "can't put the new file in its place");
    if (result) {
        (void)unlink(temporary); /* else it is swept */
        (void)close(fd);         /* what was written is of no use */
        return result;
    }
    pc_json_let_go(store);
    store->is_unsynced = true;
    result = pc_json_sync(store);
    if (result == 0 && fstat(fd, &store->held.info))
        result = fail(store, errno, "can't look at the new file");
    if (result) {
        (void)close(fd); /* read anew next time */
        return result;
    }
    (void)flock(fd, LOCK_UN); /* of a lock we hold: can't fail */
    store->held.fd = fd;
    return 0;
}

static bool is_temporary(const char *name, const char *base)
{
    size_t length = strlen(base);
    if (strncmp(name, base, length) || strncmp(name + length, MARK, sizeof(MARK) - 1))
        return false;
    const char *digits = name + length + sizeof(MARK) - 1;
    return strspn(digits, "0123456789abcdef") == HEX_DIGITS && digits[HEX_DIGITS] == '\0';
}

/* Nobody holds it: its writer is dead. */
static bool is_left(int directory, const char *name)
{
    struct stat info;
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool left = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0;
    (void)close(fd);
    return left;
}

void pc_json_sweep(const struct pc_json_store *store)
{
    char directory[PC_STORE_PATH_BYTES];
    const char *base = strrchr(store->head.path, '/') + 1;
    directory_of(store->head.path, directory);
    DIR *entries = opendir(directory);
    if (!entries)
        return; /* it harms nobody that one stays */
    for (const struct dirent *entry = readdir(entries); entry; entry = readdir(entries))
        if (is_temporary(entry->d_name, base) && is_left(dirfd(entries), entry->d_name))
            (void)unlinkat(dirfd(entries), entry->d_name, 0);
    (void)closedir(entries);
}
