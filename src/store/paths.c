#include "store/paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#define ASIDE_TRIES 1000 /* names tried for one file moved aside: one a millisecond */

int pc_store_path_fail(int error, const char *path, const char *what, struct pc_reason *ret_reason)
{
    pc_base_reason(ret_reason, "%s: %s: %s", path, what, strerror(error));
    switch (error) {
    case EACCES:
    case EPERM:
        return PEERCACHE_EPERM;
    case EROFS:
        return PEERCACHE_EREADONLY;
    case ENOSPC:
    case EDQUOT:
        return PEERCACHE_EFULL;
    case ENOENT:
        return PEERCACHE_ENOTFOUND;
    case ENAMETOOLONG:
        return PEERCACHE_ELIMIT;
    case ENOTDIR:
        return PEERCACHE_EFORMAT;
    default:
        return PEERCACHE_EIO;
    }
}

bool pc_store_path_ends_with(const char *path, const char *suffix)
{
    size_t length = strlen(path), end = strlen(suffix);
    return length >= end && strcmp(path + length - end, suffix) == 0;
}

int pc_store_path_with(const char *path, const char *suffix, char ret_path[PC_STORE_PATH_BYTES])
{
    size_t length = strlen(path), end = strlen(suffix);
    if (length + end >= PC_STORE_PATH_BYTES)
        return PEERCACHE_ELIMIT;
    memmove(ret_path, path, length);
    memcpy(ret_path + length, suffix, end + 1);
    return 0;
}

/* The directories on the way to a file, those missing made. */
static int make_directories(const char *path, struct pc_reason *ret_reason)
{
    char directory[PC_STORE_PATH_BYTES];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t length = (size_t)(slash - path);
        memcpy(directory, path, length);
        directory[length] = '\0';
        if (mkdir(directory, 0700) == 0 || errno == EEXIST)
            continue;
        int error = errno;
        struct stat info; /* one that is there on a file system we can't write is well */
        if (stat(directory, &info) == 0 && S_ISDIR(info.st_mode))
            continue;
        return pc_store_path_fail(error, directory, "can't make the directory", ret_reason);
    }
    return 0;
}

int pc_store_path_resolve(const char *path, bool read_only, char ret_path[PC_STORE_PATH_BYTES],
                          bool *ret_was_link, struct pc_reason *ret_reason)
{
    char directory[PC_STORE_PATH_BYTES];
    struct stat info;
    bool was_link = lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
    if (strlen(path) >= sizeof(directory))
        return pc_store_path_fail(ENAMETOOLONG, path, "the path", ret_reason);
    if (stat(path, &info) == 0) {
        if (!S_ISREG(info.st_mode)) {
            pc_base_reason(ret_reason, "%s: is %s, not a file", path,
                           S_ISDIR(info.st_mode) ? "a directory" : "a device or socket");
            return PEERCACHE_EFORMAT;
        }
        char *real = realpath(path, NULL);
        if (!real)
            return pc_store_path_fail(errno, path, "can't follow", ret_reason);
        if (strlen(real) >= PC_STORE_PATH_BYTES) {
            free(real);
            return pc_store_path_fail(ENAMETOOLONG, path, "the path", ret_reason);
        }
        memcpy(ret_path, real, strlen(real) + 1);
        free(real);
        if (access(ret_path, R_OK))
            return pc_store_path_fail(errno, path, "can't read", ret_reason);
        *ret_was_link = was_link;
        return 0;
    }
    int error = errno;
    if (was_link) {
        pc_base_reason(ret_reason, "%s: a symbolic link that leads to no file", path);
        return PEERCACHE_EFORMAT;
    }
    if (error != ENOENT)
        return pc_store_path_fail(error, path, "can't open", ret_reason);
    if (!read_only) {
        int result = make_directories(path, ret_reason);
        if (result)
            return result;
    }
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t length = slash ? (size_t)(slash - path) : 0;
    if (name[0] == '\0') {
        pc_base_reason(ret_reason, "%s: names a directory", path);
        return PEERCACHE_EFORMAT;
    }
    memcpy(directory, path, length);
    directory[length] = '\0';
    char *real = realpath(length ? directory : slash ? "/" : ".", NULL);
    if (!real)
        return pc_store_path_fail(errno, path, "can't enter its directory", ret_reason);
    int written = snprintf(ret_path, PC_STORE_PATH_BYTES, "%s/%s", strcmp(real, "/") ? real : "", name);
    free(real);
    if (written < 0 || written >= PC_STORE_PATH_BYTES)
        return pc_store_path_fail(ENAMETOOLONG, path, "the path", ret_reason);
    *ret_was_link = false;
    return 0;
}

enum pc_store_file pc_store_path_look(const char *path)
{
    struct stat info;
    if (stat(path, &info))
        return PC_STORE_FILE_MISSING;
    if ((info.st_mode & 0222) == 0 || access(path, W_OK))
        return PC_STORE_FILE_READ_ONLY;
    return PC_STORE_FILE_WRITABLE;
}

static void directory_of(const char *path, char ret_directory[PC_STORE_PATH_BYTES])
{
    size_t length = (size_t)(strrchr(path, '/') - path); /* resolved: there is one */
    length = length ? length : 1;
    memcpy(ret_directory, path, length);
    ret_directory[length] = '\0';
}

bool pc_store_path_is_remote(const char *path)
{
    /* statfs(2): NFS, SMB and its two successors, AFS (two), Coda, Ceph, Lustre, NCP. Not FUSE and 9P, which
     * mostly are of this machine. */
    static const uint32_t remote[] = { 0x6969,     0x517b,     0xff534d42, 0xfe534d42, 0x5346414f,
                                       0x6b414653, 0x73757245, 0x00c36400, 0x0bd00bd0, 0x564c };
    char at[PC_STORE_PATH_BYTES];
    struct statfs info;
    if (strlen(path) >= sizeof(at))
        return false;
    memcpy(at, path, strlen(path) + 1);
    while (statfs(at, &info)) { /* what is not there yet will be where its directory is */
        char *slash = strrchr(at, '/');
        if (errno != ENOENT || strcmp(at, "/") == 0 || strcmp(at, ".") == 0)
            return false;
        if (slash)
            slash[slash == at] = '\0';
        else
            memcpy(at, ".", 2);
    }
    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++)
        if ((uint32_t)info.f_type == remote[i])
            return true;
    return false;
}

mode_t pc_store_path_mode(const char *path)
{
    char directory[PC_STORE_PATH_BYTES];
    struct stat info;
    directory_of(path, directory);
    return stat(directory, &info) == 0 && info.st_mode & S_ISGID ? 0660 : 0600;
}

/* The time in a name <base>.corrupt-<digits>; -1 for any other, companions included. */
static int64_t time_of_aside(const char *name, const char *base)
{
    static const char mark[] = ".corrupt-";
    size_t length = strlen(base);
    if (strncmp(name, base, length) || strncmp(name + length, mark, sizeof(mark) - 1))
        return -1;
    const char *digits = name + length + sizeof(mark) - 1;
    size_t count = strspn(digits, "0123456789");
    return count && count <= 18 && digits[count] == '\0' ? strtoll(digits, NULL, 10) : -1;
}

/* What was moved aside from this path before. */
struct asides {
    size_t count;
    int64_t oldest_ms; /* INT64_MAX and -1 when there is none */
    int64_t newest_ms;
};

static bool find_asides(const char *path, struct asides *ret_asides)
{
    char directory[PC_STORE_PATH_BYTES];
    const char *base = strrchr(path, '/') + 1;
    directory_of(path, directory);
    *ret_asides = (struct asides){ 0, INT64_MAX, -1 };
    DIR *entries = opendir(directory);
    if (!entries)
        return false;
    for (const struct dirent *entry = readdir(entries); entry; entry = readdir(entries)) {
        int64_t at_ms = time_of_aside(entry->d_name, base);
        if (at_ms < 0)
            continue;
        ret_asides->count++;
        if (at_ms < ret_asides->oldest_ms)
            ret_asides->oldest_ms = at_ms;
        if (at_ms > ret_asides->newest_ms)
            ret_asides->newest_ms = at_ms;
    }
    (void)closedir(entries);
    return true;
}

/* Keep the newest three. What can't be removed stays: it harms nobody. */
static void forget_old(const char *path, const char *const *suffixes)
{
    struct asides asides;
    while (find_asides(path, &asides) && asides.count > PC_STORE_CORRUPT_KEPT) {
        char aside[PC_STORE_PATH_BYTES + 64], companion[PC_STORE_PATH_BYTES + 128];
        (void)snprintf(aside, sizeof(aside), "%s.corrupt-%lld", path, (long long)asides.oldest_ms);
        for (const char *const *suffix = suffixes; *suffix; suffix++) {
            (void)snprintf(companion, sizeof(companion), "%s%s", aside, *suffix);
            (void)unlink(companion);
        }
        if (unlink(aside))
            return;
    }
}

/* Newer than all that lie there, also when the clock stands or was set back: the file moved now is still to be
 * read, and must not be the oldest of four. */
static int64_t time_to_name(const char *path, int64_t now_ms)
{
    struct asides asides;
    int64_t at_ms = now_ms < 0 ? 0 : now_ms;
    return find_asides(path, &asides) && asides.newest_ms >= at_ms ? asides.newest_ms + 1 : at_ms;
}

int pc_store_path_move_aside(const char *path, const char *const *suffixes, int64_t now_ms,
                             char ret_moved[PC_STORE_PATH_BYTES], struct pc_reason *ret_reason)
{
    char suffix[64];
    int64_t at_ms = time_to_name(path, now_ms);
    int tries = 0;
    do {
        (void)snprintf(suffix, sizeof(suffix), ".corrupt-%lld", (long long)at_ms + tries);
        if (pc_store_path_with(path, suffix, ret_moved))
            return pc_store_path_fail(ENAMETOOLONG, path, "can't move aside", ret_reason);
        if (renameat2(AT_FDCWD, path, AT_FDCWD, ret_moved, RENAME_NOREPLACE) == 0)
            break;
        if (errno == EINVAL) { /* a file system that can't: look first; we hold the lock */
            struct stat info;
            if (lstat(ret_moved, &info) && rename(path, ret_moved) == 0)
                break;
        }
        if (errno != EEXIST && errno != EINVAL)
            return pc_store_path_fail(errno, path, "can't move aside", ret_reason);
    } while (++tries < ASIDE_TRIES);
    if (tries == ASIDE_TRIES)
        return pc_store_path_fail(EEXIST, path, "can't move aside", ret_reason);
    for (const char *const *companion = suffixes; *companion; companion++) {
        char from[PC_STORE_PATH_BYTES], to[PC_STORE_PATH_BYTES];
        if (pc_store_path_with(path, *companion, from) || pc_store_path_with(ret_moved, *companion, to))
            return pc_store_path_fail(ENAMETOOLONG, path, "can't move aside", ret_reason);
        if (rename(from, to) && errno != ENOENT)
            return pc_store_path_fail(errno, from, "can't move aside", ret_reason);
    }
    forget_old(path, suffixes);
    return 0;
}
