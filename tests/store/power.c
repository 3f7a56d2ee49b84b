/* See power.h. The names are as the libraries call them: with this set, open would be another name for open64. */
#undef _FILE_OFFSET_BITS

#include "power.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPORT      __attribute__((visibility("default")))
#define FDS_MAX     1024
#define FILES_MAX   256
#define NAMES_MAX   256
#define CHANGES_MAX 512
#define SECTOR      512

/* A write, or (data NULL) that the file was cut or made longer. */
struct change {
    struct change *next;
    off_t at;
    size_t size;
    uint8_t *data;
};

struct file {
    uint8_t *synced;
    size_t synced_size;
    struct change *changes; /* since, in their order */
    struct change **last;
};

/* A name gets a file, or (file -1) none. */
struct naming {
    char name[128];
    int file;
};

static bool armed;
static char watched[4096];
static char image[4096];
static unsigned changes, lost_at;
static uint64_t chance_state;
static struct file files[FILES_MAX];
static int file_count;
static int file_of_fd[FDS_MAX]; /* one more, 0: none */
static bool is_directory[FDS_MAX];
static struct naming names_synced[NAMES_MAX], names_now[NAMES_MAX], names_since[CHANGES_MAX];
static size_t synced_count, now_count, since_count;

typedef ssize_t (*write_fn)(int fd, const void *data, size_t size);
typedef ssize_t (*pwrite_fn)(int fd, const void *data, size_t size, off_t at);
typedef int (*fd_fn)(int fd);
typedef int (*truncate_fn)(int fd, off_t size);
typedef int (*rename_fn)(const char *from, const char *to);
typedef int (*path_fn)(const char *path);
typedef int (*open_fn)(const char *path, int flags, ...);

/* The function that ours hides. */
#define REAL(name, type)                                                                                     \
    static type real;                                                                                        \
    if (!real)                                                                                               \
    *(void **)&real = dlsym(RTLD_NEXT, name)

static void need(bool is_so)
{
    if (!is_so)
        abort();
}

static uint64_t chance(uint64_t bound)
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    chance_state ^= chance_state << 17;
    return chance_state % bound;
}

/* ----- names ----- */

/* The name within the watched directory, NULL when it lies elsewhere. */
static const char *name_of(const char *path)
{
    size_t length = strlen(watched);
    if (!armed || strncmp(path, watched, length) != 0 || path[length] != '/' ||
        strchr(path + length + 1, '/'))
        return NULL;
    return path + length + 1;
}

static int find_name(const struct naming *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].file;
    return -1;
}

static void set_name(struct naming *names, size_t *count, const char *name, int file)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(names[i].name, name) == 0) {
            names[i].file = file;
            return;
        }
    need(*count < NAMES_MAX);
    (void)snprintf(names[*count].name, sizeof(names[0].name), "%s", name);
    names[(*count)++].file = file;
}

static void change_name(const char *name, int file)
{
    set_name(names_now, &now_count, name, file);
    need(since_count < CHANGES_MAX);
    (void)snprintf(names_since[since_count].name, sizeof(names_since[0].name), "%s", name);
    names_since[since_count++].file = file;
}

/* ----- files ----- */

static int new_file(void)
{
    need(file_count < FILES_MAX);
    files[file_count] = (struct file){ .last = &files[file_count].changes };
    return file_count++;
}

static void forget_changes(struct file *file)
{
    while (file->changes) {
        struct change *change = file->changes;
        file->changes = change->next;
        free(change->data);
        free(change);
    }
    file->last = &file->changes;
}

/* What it is now is what it stays. */
static void take_synced(struct file *file, int fd)
{
    char path[64];
    struct stat info;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    bool was_armed = armed;
    armed = false;
    int again = open(path, O_RDONLY);
    need(again >= 0 && fstat(again, &info) == 0);
    forget_changes(file);
    free(file->synced);
    file->synced_size = (size_t)info.st_size;
    file->synced = malloc(file->synced_size + 1);
    need(file->synced && pread(again, file->synced, file->synced_size, 0) == (ssize_t)file->synced_size);
    (void)close(again);
    armed = was_armed;
}

static void add_change(int file, off_t at, const void *data, size_t size)
{
    struct change *change = calloc(1, sizeof(*change));
    need(change != NULL);
    change->at = at;
    change->size = size;
    if (data) {
        change->data = malloc(size + 1);
        need(change->data != NULL);
        memcpy(change->data, data, size);
    }
    *files[file].last = change;
    files[file].last = &change->next;
}

/* ----- the loss of power ----- */

static void resize(uint8_t **bytes, size_t *size, size_t to)
{
    uint8_t *grown = realloc(*bytes, to + 1);
    need(grown != NULL);
    if (to > *size)
        memset(grown + *size, 0, to - *size);
    *bytes = grown;
    *size = to;
}

/* A write that was on its way: each of its sectors got there or not. */
static void write_some(uint8_t **bytes, size_t *size, const struct change *change, bool whole)
{
    size_t done = 0;
    while (done < change->size) {
        size_t at = (size_t)change->at + done;
        size_t part = SECTOR - at % SECTOR;
        if (part > change->size - done)
            part = change->size - done;
        if (whole || chance(2) == 0) {
            if (at + part > *size)
                resize(bytes, size, at + part);
            memcpy(*bytes + at, change->data + done, part);
        }
        done += part;
    }
}

static void leave_file(const struct file *file, const char *name)
{
    char path[8192];
    size_t size = file->synced_size;
    uint8_t *bytes = malloc(size + 1);
    unsigned mood = (unsigned)chance(4); /* nothing, everything, or by lot for each */
    need(bytes != NULL);
    if (size > 0)
        memcpy(bytes, file->synced, size);
    for (const struct change *change = file->changes; change; change = change->next) {
        unsigned lot = mood == 0 ? 0 : mood == 1 ? 1 : (unsigned)chance(3);
        if (lot == 0)
            continue;
        if (change->data)
            write_some(&bytes, &size, change, lot == 1);
        else
            resize(&bytes, &size, change->size);
    }
    (void)snprintf(path, sizeof(path), "%s/%s", image, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    need(fd >= 0 && write(fd, bytes, size) == (ssize_t)size && close(fd) == 0);
    free(bytes);
}

static void lose_power(void)
{
    size_t kept = chance(3) == 0 ? since_count : (size_t)chance(since_count + 1);
    armed = false;
    for (size_t i = 0; i < kept; i++) /* names reach the disk in their order */
        set_name(names_synced, &synced_count, names_since[i].name, names_since[i].file);
    for (size_t i = 0; i < synced_count; i++) {
        const char *name = names_synced[i].name;
        size_t length = strlen(name);
        if (names_synced[i].file >= 0 && (length < 4 || strcmp(name + length - 4, "-shm") != 0))
            leave_file(&files[names_synced[i].file], name);
    }
    _exit(POWER_LOST);
}

/* Before each change. */
static void count_change(void)
{
    if (++changes == lost_at)
        lose_power();
}

void power_arm(const char *directory, const char *after, unsigned at, uint64_t seed)
{
    DIR *entries = opendir(directory);
    struct dirent *entry;
    need(entries != NULL);
    (void)snprintf(watched, sizeof(watched), "%s", directory);
    (void)snprintf(image, sizeof(image), "%s", after);
    changes = 0;
    lost_at = at;
    chance_state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    while ((entry = readdir(entries)) != NULL) {
        char path[8192];
        struct stat info;
        (void)snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        if (stat(path, &info) != 0 || !S_ISREG(info.st_mode))
            continue;
        int fd = open(path, O_RDONLY);
        int file = new_file();
        need(fd >= 0);
        take_synced(&files[file], fd);
        (void)close(fd);
        set_name(names_now, &now_count, entry->d_name, file);
        set_name(names_synced, &synced_count, entry->d_name, file);
    }
    (void)closedir(entries);
    armed = true;
}

unsigned power_disarm(void)
{
    armed = false;
    return changes;
}

/* ----- what is interposed ----- */

static int file_at(int fd)
{
    return armed && fd >= 0 && fd < FDS_MAX ? file_of_fd[fd] - 1 : -1;
}

EXPORT ssize_t write(int fd, const void *data, size_t size);
EXPORT ssize_t write(int fd, const void *data, size_t size)
{
    REAL("write", write_fn);
    int file = file_at(fd);
    if (file < 0)
        return real(fd, data, size);
    off_t at = lseek(fd, 0, SEEK_CUR);
    count_change();
    ssize_t written = real(fd, data, size);
    if (written > 0)
        add_change(file, at, data, (size_t)written);
    return written;
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off_t at);
EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off_t at)
{
    REAL("pwrite64", pwrite_fn);
    int file = file_at(fd);
    if (file < 0)
        return real(fd, data, size, at);
    count_change();
    ssize_t written = real(fd, data, size, at);
    if (written > 0)
        add_change(file, at, data, (size_t)written);
    return written;
}

EXPORT int ftruncate64(int fd, off_t size);
EXPORT int ftruncate64(int fd, off_t size)
{
    REAL("ftruncate64", truncate_fn);
    int file = file_at(fd);
    if (file >= 0)
        count_change();
    int result = real(fd, size);
    if (file >= 0 && result == 0)
        add_change(file, 0, NULL, (size_t)size);
    return result;
}

static int sync_file(fd_fn real, int fd)
{
    int file = file_at(fd);
    bool directory = armed && fd >= 0 && fd < FDS_MAX && is_directory[fd];
    if (file >= 0 || directory)
        count_change();
    int result = real(fd);
    if (result != 0)
        return result;
    if (file >= 0)
        take_synced(&files[file], fd);
    if (directory) {
        memcpy(names_synced, names_now, sizeof(names_now));
        synced_count = now_count;
        since_count = 0;
    }
    return 0;
}

EXPORT int fsync(int fd);
EXPORT int fsync(int fd)
{
    REAL("fsync", fd_fn);
    return sync_file(real, fd);
}

EXPORT int fdatasync(int fd);
EXPORT int fdatasync(int fd)
{
    REAL("fdatasync", fd_fn);
    return sync_file(real, fd);
}

EXPORT int rename(const char *from, const char *to);
EXPORT int rename(const char *from, const char *to)
{
    REAL("rename", rename_fn);
    const char *old = name_of(from), *new = name_of(to);
    if (old || new)
        count_change();
    int result = real(from, to);
    if (result == 0 && old && new) {
        int file = find_name(names_now, now_count, old);
        /* One step: either both are seen or neither, so the new name goes last and the old one is a naming before it. */
        change_name(new, file);
        set_name(names_now, &now_count, old, -1);
    }
    return result;
}

EXPORT int unlink(const char *path);
EXPORT int unlink(const char *path)
{
    REAL("unlink", path_fn);
    const char *name = name_of(path);
    if (name)
        count_change();
    int result = real(path);
    if (result == 0 && name)
        change_name(name, -1);
    return result;
}

static int open_watched(open_fn real, const char *path, int flags, mode_t mode)
{
    const char *name = name_of(path);
    bool existed = name && find_name(names_now, now_count, name) >= 0;
    if (name && !existed && flags & O_CREAT)
        count_change();
    int fd = real(path, flags, mode);
    if (!armed || fd < 0 || fd >= FDS_MAX)
        return fd;
    file_of_fd[fd] = 0;
    is_directory[fd] = strcmp(path, watched) == 0;
    if (!name)
        return fd;
    int file = find_name(names_now, now_count, name);
    if (file < 0) {
        file = new_file();
        change_name(name, file);
    }
    if (flags & O_TRUNC)
        add_change(file, 0, NULL, 0);
    file_of_fd[fd] = file + 1;
    return fd;
}

EXPORT int open(const char *path, int flags, ...);
EXPORT int open(const char *path, int flags, ...)
{
    REAL("open", open_fn);
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(arguments, int) : 0;
    va_end(arguments);
    return open_watched(real, path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...);
EXPORT int open64(const char *path, int flags, ...)
{
    REAL("open64", open_fn);
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(arguments, int) : 0;
    va_end(arguments);
    return open_watched(real, path, flags, mode);
}
