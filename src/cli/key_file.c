#include "cli/key_file.h"

#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096

static int file_error(const char *path, const char *what, int number, struct pc_reason *ret_reason)
{
    pc_base_reason(ret_reason, "key file %.120s: %s: %s", path, what, strerror(number));
    return number == EACCES || number == EPERM || number == EROFS ? PEERCACHE_EPERM : PEERCACHE_EIO;
}

/* ENOTFOUND when there is no file. */
static int key_read(const char *path, uint8_t ret_key[PC_PRIVATE_KEY_MAX_BYTES], size_t *ret_size,
                    struct pc_reason *ret_reason)
{
    struct stat status;
    size_t size = 0;
    int error = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* nonblocking: a FIFO must not hang us */
    if (fd < 0 && errno == ENOENT)
        return PEERCACHE_ENOTFOUND;
    if (fd < 0)
        return file_error(path, "can't be opened", errno, ret_reason);
    if (fstat(fd, &status) != 0) {
        error = file_error(path, "can't be read", errno, ret_reason);
        goto close_file;
    }
    if (!S_ISREG(status.st_mode)) {
        pc_base_reason(ret_reason, "key file %.120s: is %s", path,
                       S_ISDIR(status.st_mode) ? "a directory" : "no regular file");
        error = PEERCACHE_EFORMAT;
        goto close_file;
    }
    if (status.st_size < 1 || status.st_size > PC_PRIVATE_KEY_MAX_BYTES) {
        pc_base_reason(ret_reason, "key file %.120s: is %s", path,
                       status.st_size < 1 ? "empty" : "too large");
        error = PEERCACHE_EFORMAT;
        goto close_file;
    }
    while (size < PC_PRIVATE_KEY_MAX_BYTES) {
        ssize_t got = read(fd, ret_key + size, PC_PRIVATE_KEY_MAX_BYTES - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            error = file_error(path, "can't be read", errno, ret_reason);
            goto close_file;
        }
        if (got == 0)
            break;
        size += (size_t)got;
    }
    if (status.st_mode & (S_IRWXG | S_IRWXO))
        pc_cli_note("key file %s can be read by others; chmod 600 it", path);
    *ret_size = size;
close_file:
    close(fd);
    return error;
}

/* The directories above the file, 0700 where they are missing. */
static int directories_make(const char *path, struct pc_reason *ret_reason)
{
    char directory[PATH_BYTES];
    (void)snprintf(directory, sizeof(directory), "%s", path);
    for (char *slash = strchr(directory + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(directory, 0700) != 0 && errno != EEXIST)
            return file_error(path, "its directory can't be made", errno, ret_reason);
        *slash = '/';
    }
    return 0;
}

static int write_whole(int fd, const uint8_t *data, size_t size)
{
    for (size_t written = 0; written < size;) {
        ssize_t got = write(fd, data + written, size - written);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        written += (size_t)got;
    }
    return fsync(fd);
}

/* Write the key aside and link it into place; EEXIST there is success: another process was first. */
static int key_write(const char *path, const uint8_t *key, size_t size, struct pc_reason *ret_reason)
{
    char aside[PATH_BYTES + 32];
    int error = 0;
    (void)snprintf(aside, sizeof(aside), "%s.new-%08x", path, randombytes_random());
    int fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return file_error(path, "can't be made", errno, ret_reason);
    /* the mode again, in case of a default ACL; the umask can only have taken bits away */
    if (fchmod(fd, 0600) != 0 || write_whole(fd, key, size) != 0)
        error = file_error(path, "can't be written", errno, ret_reason);
    if (close(fd) != 0 && !error)
        error = file_error(path, "can't be written", errno, ret_reason);
    if (!error && link(aside, path) != 0 && errno != EEXIST)
        error = file_error(path, "can't be made", errno, ret_reason);
    if (unlink(aside) != 0 && !error)
        error = file_error(path, "its temporary file can't be removed", errno, ret_reason);
    return error;
}

int pc_cli_key_load_or_make(const char *path, uint8_t ret_key[PC_PRIVATE_KEY_MAX_BYTES], size_t *ret_size,
                            bool *ret_made, struct pc_reason *ret_reason)
{
    uint8_t seed[32], fresh[128], found[PC_PRIVATE_KEY_MAX_BYTES];
    size_t fresh_size = 0, found_size = 0;
    bool made = false;
    int error;

    if (strlen(path) >= PATH_BYTES) {
        pc_base_reason(ret_reason, "key file: the path is longer than %d bytes", PATH_BYTES - 1);
        return PEERCACHE_EINVAL;
    }
    if (sodium_init() < 0) {
        pc_base_reason(ret_reason, "there is no source of randomness");
        return PEERCACHE_EIO;
    }
    error = key_read(path, found, &found_size, ret_reason);
    if (error == PEERCACHE_ENOTFOUND) {
        randombytes_buf(seed, sizeof(seed));
        error = pc_libp2p_key_generate(seed, fresh, sizeof(fresh), &fresh_size);
        if (!error)
            error = directories_make(path, ret_reason);
        if (!error)
            error = key_write(path, fresh, fresh_size, ret_reason);
        if (!error) /* read back what is there now, ours or that of a process that was first */
            error = key_read(path, found, &found_size, ret_reason);
        made = !error && found_size == fresh_size && sodium_memcmp(found, fresh, fresh_size) == 0;
        if (error == PEERCACHE_ENOTFOUND)
            pc_base_reason(ret_reason, "key file %.120s: vanished", path);
    }
    if (!error) {
        memcpy(ret_key, found, found_size);
        *ret_size = found_size;
        *ret_made = made;
    }
    sodium_memzero(seed, sizeof(seed));
    sodium_memzero(fresh, sizeof(fresh));
    sodium_memzero(found, sizeof(found));
    return error;
}
