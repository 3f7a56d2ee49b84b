#include "drive.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX   64
#define CHANGES_MAX 1024 /* of names, between two syncs of the directory */

struct naming {
    char name[DRIVE_NAME_BYTES];
    struct drive_file *file;
};

/* The names as they are at one time. */
struct names {
    struct naming list[NAMES_MAX];
    size_t count;
};

/* In one step: `from`, when not empty, is gone; `to`, when not empty, is the file. */
struct renaming {
    char from[DRIVE_NAME_BYTES];
    char to[DRIVE_NAME_BYTES];
    struct drive_file *file;
};

/* The memory of a file as it was when a process died that used it: others live, and the dead one may still write there. */
struct memento {
    struct memento *next;
    struct drive_file *file;
    size_t size;
    uint8_t bytes[];
};

struct drive_process {
    struct drive_process *next;
    struct drive *drive;
    bool is_dead;
    struct memento *mementos;
};

struct drive {
    struct pc_rng rng;
    int64_t now_ns;
    uint64_t inodes;
    struct drive_file *files;
    struct drive_handle *handles;
    struct drive_process *processes;
    struct names seen, synced;
    struct renaming since[CHANGES_MAX];
    size_t since_count;
    size_t used, room; /* bytes */
    uint32_t syncs_dropped_one_in;
    struct drive_counts counts;

    bool armed;
    enum drive_fault fault;
    unsigned fault_at;
    unsigned changes;
    bool renamed_unsynced, directory_unsynced;
};

static struct drive_process *entered;

static void *need(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

/* ----- names ----- */

static struct naming *find_naming(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->list[i].name, name) == 0)
            return (struct naming *)(uintptr_t)&names->list[i]; /* the list is the caller's */
    return NULL;
}

static void copy_name(char to[DRIVE_NAME_BYTES], const char *name)
{
    size_t size = strlen(name) + 1;
    if (size > DRIVE_NAME_BYTES)
        abort();
    memcpy(to, name, size);
}

static void apply_renaming(struct names *names, const struct renaming *renaming)
{
    struct naming *naming = renaming->from[0] ? find_naming(names, renaming->from) : NULL;
    if (naming)
        *naming = names->list[--names->count];
    if (!renaming->to[0])
        return;
    naming = find_naming(names, renaming->to);
    if (!naming) {
        if (names->count == NAMES_MAX)
            abort();
        naming = &names->list[names->count++];
        copy_name(naming->name, renaming->to);
    }
    naming->file = renaming->file;
}

static bool has_name(const struct drive *drive, const struct drive_file *file)
{
    for (size_t i = 0; i < drive->seen.count; i++)
        if (drive->seen.list[i].file == file)
            return true;
    for (size_t i = 0; i < drive->synced.count; i++)
        if (drive->synced.list[i].file == file)
            return true;
    for (size_t i = 0; i < drive->since_count; i++)
        if (drive->since[i].file == file)
            return true;
    return false;
}

/* ----- files ----- */

static void forget_changes(struct drive_file *file)
{
    while (file->changes) {
        struct drive_change *change = file->changes;
        file->changes = change->next;
        free(change->data);
        free(change);
    }
    file->last = &file->changes;
}

static void free_regions(struct drive_file *file)
{
    for (size_t i = 0; i < file->region_count; i++)
        free(file->regions[i]);
    free(file->regions);
    file->regions = NULL;
    file->region_count = 0;
}

static void free_file(struct drive *drive, struct drive_file *file)
{
    drive->used -= file->size;
    forget_changes(file);
    free_regions(file);
    free(file->bytes);
    free(file->synced);
    free(file);
}

/* Files that have no name, were lost with none, and are not open. */
static void sweep(struct drive *drive)
{
    for (struct drive_file **at = &drive->files; *at;) {
        struct drive_file *file = *at;
        bool is_used = has_name(drive, file);
        for (const struct drive_handle *handle = drive->handles; handle && !is_used; handle = handle->next)
            is_used = handle->file == file;
        if (is_used) {
            at = &file->next;
            continue;
        }
        *at = file->next;
        free_file(drive, file);
    }
}

static void resize(uint8_t **bytes, size_t *size, size_t *capacity, size_t to)
{
    if (to > *capacity) {
        size_t room = *capacity ? *capacity : 4096;
        while (room < to)
            room *= 2;
        *bytes = need(realloc(*bytes, room));
        *capacity = room;
    }
    if (to > *size)
        memset(*bytes + *size, 0, to - *size);
    *size = to;
}

static void resize_seen(struct drive *drive, struct drive_file *file, size_t to)
{
    drive->used = drive->used - file->size + to;
    resize(&file->bytes, &file->size, &file->capacity, to);
}

static void touch(struct drive *drive, struct drive_file *file)
{
    file->changed_ns = ++drive->now_ns;
}

static struct drive_file *new_file(struct drive *drive, uint32_t mode)
{
    struct drive_file *file = need(calloc(1, sizeof(*file)));
    file->inode = ++drive->inodes;
    file->mode = mode;
    file->last = &file->changes;
    file->next = drive->files;
    drive->files = file;
    touch(drive, file);
    return file;
}

static void add_change(struct drive_file *file, size_t at, const void *data, size_t size)
{
    struct drive_change *change = need(calloc(1, sizeof(*change)));
    change->at = at;
    change->size = size;
    if (data) {
        change->data = need(malloc(size));
        memcpy(change->data, data, size);
    }
    *file->last = change;
    file->last = &change->next;
}

/* A write that was on its way: each of its sectors got there or not. */
static void write_sectors(struct drive *drive, struct drive_file *file, const struct drive_change *change,
                          bool whole)
{
    for (size_t done = 0, part; done < change->size; done += part) {
        size_t at = change->at + done;
        part = DRIVE_SECTOR_BYTES - at % DRIVE_SECTOR_BYTES;
        part = part < change->size - done ? part : change->size - done;
        if (!whole && pc_base_rng_below(&drive->rng, 2) == 0)
            continue;
        if (at + part > file->synced_size)
            resize(&file->synced, &file->synced_size, &file->synced_capacity, at + part);
        memcpy(file->synced + at, change->data + done, part);
    }
}

static void write_through(struct drive *drive, struct drive_file *file, const struct drive_change *change,
                          bool whole)
{
    if (change->data)
        write_sectors(drive, file, change, whole);
    else
        resize(&file->synced, &file->synced_size, &file->synced_capacity, change->size);
}

static void sync_file(struct drive *drive, struct drive_file *file)
{
    for (const struct drive_change *change = file->changes; change; change = change->next)
        write_through(drive, file, change, true);
    forget_changes(file);
}

static void sync_names(struct drive *drive)
{
    drive->synced = drive->seen;
    drive->since_count = 0;
    sweep(drive);
}

/* ----- the drive ----- */

struct drive *drive_new(uint64_t seed)
{
    struct drive *drive = need(calloc(1, sizeof(*drive)));
    pc_base_rng_init_u64(&drive->rng, seed);
    return drive;
}

void drive_free(struct drive *drive)
{
    if (!drive)
        return;
    assert(!drive->processes && !drive->handles);
    drive->seen.count = drive->synced.count = drive->since_count = 0;
    sweep(drive);
    free(drive);
}

struct drive *drive_copy(const struct drive *drive)
{
    struct drive *copy = drive_new(drive->inodes);
    copy->now_ns = drive->now_ns;
    for (size_t i = 0; i < drive->seen.count; i++) {
        const struct drive_file *from = drive->seen.list[i].file;
        struct drive_file *file = new_file(copy, from->mode);
        struct renaming naming = { .file = file };
        copy_name(naming.to, drive->seen.list[i].name);
        apply_renaming(&copy->seen, &naming);
        resize_seen(copy, file, from->size);
        if (from->size > 0)
            memcpy(file->bytes, from->bytes, from->size);
        resize(&file->synced, &file->synced_size, &file->synced_capacity, from->size);
        if (from->size > 0)
            memcpy(file->synced, from->bytes, from->size);
    }
    copy->synced = copy->seen;
    return copy;
}

void drive_set_capacity(struct drive *drive, size_t bytes)
{
    drive->room = bytes;
}

size_t drive_used(const struct drive *drive)
{
    return drive->used;
}

void drive_drop_syncs(struct drive *drive, uint32_t one_in)
{
    drive->syncs_dropped_one_in = one_in;
}

void drive_set_time(struct drive *drive, int64_t now_ms)
{
    if (now_ms * 1000000 > drive->now_ns)
        drive->now_ns = now_ms * 1000000;
}

int64_t drive_now_ns(const struct drive *drive)
{
    return drive->now_ns;
}

void drive_pause(struct drive *drive, int64_t ns)
{
    drive->now_ns += ns;
}

void drive_random(struct drive *drive, void *ret_data, size_t size)
{
    pc_base_rng_bytes(&drive->rng, ret_data, size);
}

struct drive_counts drive_counts(const struct drive *drive)
{
    return drive->counts;
}

void drive_arm(struct drive *drive, enum drive_fault fault, unsigned at)
{
    drive->armed = true;
    drive->fault = fault;
    drive->fault_at = at;
    drive->changes = 0;
    drive->renamed_unsynced = drive->directory_unsynced = false;
}

unsigned drive_disarm(struct drive *drive)
{
    drive->armed = false;
    return drive->changes;
}

bool drive_saw_unsynced(const struct drive *drive)
{
    return drive->renamed_unsynced || drive->directory_unsynced;
}

/* Nothing of a file, everything, or by lot for each write. */
static void lose_unsynced(struct drive *drive, struct drive_file *file)
{
    uint64_t mood = pc_base_rng_below(&drive->rng, 4);
    for (const struct drive_change *change = file->changes; change; change = change->next) {
        uint64_t lot = mood < 2 ? mood : pc_base_rng_below(&drive->rng, 3);
        if (lot > 0)
            write_through(drive, file, change, lot == 1);
    }
    forget_changes(file);
    resize_seen(drive, file, file->synced_size);
    if (file->size > 0)
        memcpy(file->bytes, file->synced, file->size);
}

void drive_lose_power(struct drive *drive)
{
    size_t kept = drive->since_count;
    if (kept > 0 && pc_base_rng_below(&drive->rng, 3) > 0)
        kept = (size_t)pc_base_rng_below(&drive->rng, kept + 1);
    drive->armed = false;
    for (struct drive_process *process = drive->processes; process; process = process->next)
        process->is_dead = true;
    for (size_t i = 0; i < kept; i++) /* names reach the disk in their order */
        apply_renaming(&drive->synced, &drive->since[i]);
    drive->since_count = 0;
    drive->seen = drive->synced;
    for (struct drive_file *file = drive->files; file; file = file->next)
        lose_unsynced(drive, file);
    sweep(drive);
}

/* ----- processes ----- */

struct drive_process *drive_process_begin(struct drive *drive)
{
    struct drive_process *process = need(calloc(1, sizeof(*process)));
    for (const struct drive_process *other = drive->processes; other; other = other->next)
        assert(!other->is_dead);
    process->drive = drive;
    process->next = drive->processes;
    drive->processes = process;
    return process;
}

static bool is_mapped_by_another(const struct drive_handle *handle)
{
    for (const struct drive_handle *other = handle->process->drive->handles; other; other = other->next)
        if (other != handle && other->file == handle->file && other->is_mapped && !other->process->is_dead)
            return true;
    return false;
}

static void remember_regions(struct drive_process *process, struct drive_file *file)
{
    size_t size = file->region_count * file->region_bytes;
    struct memento *memento = need(malloc(sizeof(*memento) + size));
    memento->file = file;
    memento->size = size;
    for (size_t i = 0; i < file->region_count; i++)
        memcpy(memento->bytes + i * file->region_bytes, file->regions[i], file->region_bytes);
    memento->next = process->mementos;
    process->mementos = memento;
}

void drive_process_kill(struct drive_process *process)
{
    if (process->is_dead)
        return;
    process->is_dead = true;
    for (const struct drive_handle *handle = process->drive->handles; handle; handle = handle->next)
        if (handle->process == process && handle->is_mapped && is_mapped_by_another(handle))
            remember_regions(process, handle->file);
}

bool drive_process_is_dead(const struct drive_process *process)
{
    return process->is_dead;
}

void drive_process_end(struct drive_process *process)
{
    if (!process)
        return;
    struct drive_process **at = &process->drive->processes;
    for (const struct drive_handle *handle = process->drive->handles; handle; handle = handle->next)
        assert(handle->process != process);
    while (process->mementos) {
        struct memento *memento = process->mementos;
        const struct drive_file *file = memento->file;
        assert(file->region_count * file->region_bytes == memento->size); /* nobody else came between */
        for (size_t i = 0; i < file->region_count; i++)
            memcpy(file->regions[i], memento->bytes + i * file->region_bytes, file->region_bytes);
        process->mementos = memento->next;
        free(memento);
    }
    while (*at != process)
        at = &(*at)->next;
    *at = process->next;
    if (entered == process)
        entered = NULL;
    free(process);
}

struct drive_process *drive_enter(struct drive_process *process)
{
    struct drive_process *before = entered;
    entered = process;
    return before;
}

struct drive_process *drive_entered(void)
{
    return entered;
}

struct drive *drive_of(const struct drive_process *process)
{
    return process->drive;
}

/* ----- what becomes of a change ----- */

enum verdict { DONE, FAILS, HALF_DONE };

#define NEEDS_ROOM 1U
#define IS_WRITE   2U

/* *ret_error: why it fails. */
static enum verdict judge_armed(struct drive_process *process, unsigned what, int *ret_error)
{
    struct drive *drive = process->drive;
    bool is_it = drive->changes == drive->fault_at;
    switch (drive->fault) {
    case DRIVE_COUNTS:
        return DONE;
    case DRIVE_KILL:
        drive_process_kill(process);
        return FAILS;
    case DRIVE_KILL_HALF:
        if (what & IS_WRITE)
            return HALF_DONE;
        drive_process_kill(process);
        return FAILS;
    case DRIVE_POWER:
        drive_lose_power(drive);
        return FAILS;
    case DRIVE_SHORT:
        return is_it && what & IS_WRITE ? HALF_DONE : DONE;
    case DRIVE_EINTR:
        *ret_error = EINTR;
        return is_it ? FAILS : DONE;
    case DRIVE_EIO_ONCE:
        return is_it ? FAILS : DONE;
    case DRIVE_EIO:
        return FAILS;
    case DRIVE_ENOSPC:
        *ret_error = ENOSPC;
        return what & NEEDS_ROOM ? FAILS : DONE;
    }
    return DONE;
}

static enum verdict judge(struct drive_process *process, unsigned what, int *ret_error)
{
    struct drive *drive = process->drive;
    *ret_error = EIO;
    if (process->is_dead)
        return FAILS;
    if (!drive->armed || ++drive->changes < drive->fault_at)
        return DONE;
    enum verdict verdict = judge_armed(process, what, ret_error);
    drive->counts.failures += verdict == FAILS;
    return verdict;
}

/* 0, or why the change fails. */
static int may_change(struct drive_process *process, unsigned what)
{
    int error;
    return judge(process, what, &error) == FAILS ? error : 0;
}

/* ----- calls ----- */

static void change_names(struct drive *drive, const char *from, const char *to, struct drive_file *file)
{
    if (drive->since_count == CHANGES_MAX)
        abort();
    struct renaming *renaming = &drive->since[drive->since_count++];
    copy_name(renaming->from, from);
    copy_name(renaming->to, to);
    renaming->file = file;
    apply_renaming(&drive->seen, renaming);
}

const struct drive_file *drive_find(const struct drive *drive, const char *name)
{
    const struct naming *naming = find_naming(&drive->seen, name);
    return naming ? naming->file : NULL;
}

const char *drive_name(const struct drive *drive, size_t number)
{
    return number < drive->seen.count ? drive->seen.list[number].name : NULL;
}

int drive_open(struct drive_process *process, const char *name, unsigned how, uint32_t mode,
               struct drive_handle **ret_handle)
{
    struct drive *drive = process->drive;
    bool is_nameless = how & DRIVE_NO_NAME;
    const struct naming *naming = is_nameless ? NULL : find_naming(&drive->seen, name);
    struct drive_file *file = naming ? naming->file : NULL;
    if (process->is_dead)
        return EIO;
    if (file && how & DRIVE_ANEW)
        return EEXIST;
    if (!file && !(how & (DRIVE_CREATE | DRIVE_NO_NAME)))
        return ENOENT;
    int error = !file && !is_nameless ? may_change(process, NEEDS_ROOM) : 0;
    if (error)
        return error;
    if (!file) {
        file = new_file(drive, mode);
        if (!is_nameless)
            change_names(drive, "", name, file);
    }
    struct drive_handle *handle = need(calloc(1, sizeof(*handle)));
    handle->process = process;
    handle->file = file;
    handle->is_nameless = is_nameless;
    handle->next = drive->handles;
    drive->handles = handle;
    if (how & DRIVE_CUT && file->size > 0) {
        error = drive_truncate(handle, 0);
        if (error) {
            drive_close(handle);
            return error;
        }
    }
    *ret_handle = handle;
    return 0;
}

void drive_close(struct drive_handle *handle)
{
    struct drive *drive = handle->process->drive;
    struct drive_handle **at = &drive->handles;
    if (handle->is_mapped)
        drive_unmap(handle);
    while (*at != handle)
        at = &(*at)->next;
    *at = handle->next;
    free(handle);
    sweep(drive);
}

int drive_read(struct drive_handle *handle, size_t at, void *ret_data, size_t size, size_t *ret_read)
{
    const struct drive_file *file = handle->file;
    if (handle->process->is_dead)
        return EIO;
    size_t left = at < file->size ? file->size - at : 0;
    *ret_read = left < size ? left : size;
    if (*ret_read > 0)
        memcpy(ret_data, file->bytes + at, *ret_read);
    return 0;
}

/* How much of a write there is room for. */
static size_t fitting(const struct drive *drive, const struct drive_file *file, size_t at, size_t size)
{
    size_t end = at + size;
    if (drive->room == 0 || end <= file->size || drive->used + (end - file->size) <= drive->room)
        return size;
    size_t free_bytes = drive->room > drive->used ? drive->room - drive->used : 0;
    size_t most = file->size + free_bytes;
    return most > at ? most - at : 0;
}

int drive_write(struct drive_handle *handle, size_t at, const void *data, size_t size, size_t *ret_written)
{
    struct drive *drive = handle->process->drive;
    struct drive_file *file = handle->file;
    int error;
    enum verdict verdict = judge(handle->process, NEEDS_ROOM | IS_WRITE, &error);
    if (verdict == FAILS)
        return error;
    if (verdict == HALF_DONE && size > 1)
        size /= 2;
    size_t fits = fitting(drive, file, at, size);
    if (fits == 0 && size > 0) {
        drive->counts.failures++;
        return ENOSPC;
    }
    if (fits > 0) {
        if (at + fits > file->size)
            resize_seen(drive, file, at + fits);
        memcpy(file->bytes + at, data, fits);
        if (!handle->is_nameless)
            add_change(file, at, data, fits);
        touch(drive, file);
    }
    drive->counts.bytes_written += fits;
    *ret_written = fits;
    if (verdict == HALF_DONE && drive->fault == DRIVE_KILL_HALF) {
        drive_process_kill(handle->process);
        return EIO;
    }
    return 0;
}

int drive_truncate(struct drive_handle *handle, size_t size)
{
    struct drive_file *file = handle->file;
    int error = may_change(handle->process, NEEDS_ROOM);
    if (error)
        return error;
    resize_seen(handle->process->drive, file, size);
    add_change(file, 0, NULL, size);
    touch(handle->process->drive, file);
    return 0;
}

/* Whether this sync is one that does nothing. */
static bool is_dropped(struct drive *drive)
{
    drive->counts.syncs++;
    return drive->syncs_dropped_one_in && pc_base_rng_below(&drive->rng, drive->syncs_dropped_one_in) == 0;
}

int drive_sync(struct drive_handle *handle)
{
    struct drive *drive = handle->process->drive;
    int error = may_change(handle->process, NEEDS_ROOM);
    if (error)
        return error;
    if (!is_dropped(drive))
        sync_file(drive, handle->file);
    if (!handle->syncs_directory)
        return 0;
    handle->syncs_directory = false;
    return drive_sync_directory(handle->process);
}

int drive_sync_directory(struct drive_process *process)
{
    int error = may_change(process, NEEDS_ROOM);
    if (error)
        return error;
    process->drive->directory_unsynced = false;
    if (!is_dropped(process->drive))
        sync_names(process->drive);
    return 0;
}

int drive_chmod(struct drive_handle *handle, uint32_t mode)
{
    int error = may_change(handle->process, 0);
    if (error)
        return error;
    handle->file->mode = mode;
    return 0;
}

int drive_rename(struct drive_process *process, const char *from, const char *to, bool may_replace)
{
    struct drive *drive = process->drive;
    if (process->is_dead)
        return EIO;
    const struct naming *naming = find_naming(&drive->seen, from);
    if (!naming)
        return ENOENT;
    if (!may_replace && find_naming(&drive->seen, to))
        return EEXIST;
    int error = may_change(process, NEEDS_ROOM);
    if (error)
        return error;
    drive->renamed_unsynced |= naming->file->changes != NULL;
    drive->directory_unsynced = true;
    change_names(drive, from, to, naming->file);
    return 0;
}

int drive_unlink(struct drive_process *process, const char *name)
{
    struct drive *drive = process->drive;
    if (process->is_dead)
        return EIO;
    if (!find_naming(&drive->seen, name))
        return ENOENT;
    int error = may_change(process, 0);
    if (error)
        return error;
    change_names(drive, name, "", NULL);
    sweep(drive);
    return 0;
}

/* ----- what several have of one file ----- */

bool drive_any_other(const struct drive_handle *handle,
                     bool (*is_in_the_way)(const struct drive_handle *other, const void *context),
                     const void *context)
{
    for (const struct drive_handle *other = handle->process->drive->handles; other; other = other->next)
        if (other != handle && other->file == handle->file && !other->process->is_dead &&
            is_in_the_way(other, context))
            return true;
    return false;
}

static bool has_flock(const struct drive_handle *other, const void *lock)
{
    return other->flock != DRIVE_UNLOCKED &&
           (other->flock == DRIVE_EXCLUSIVE || *(const int *)lock == DRIVE_EXCLUSIVE);
}

int drive_flock(struct drive_handle *handle, int lock)
{
    if (handle->process->is_dead)
        return EIO;
    if (lock != DRIVE_UNLOCKED && drive_any_other(handle, has_flock, &lock))
        return EWOULDBLOCK;
    handle->flock = lock;
    return 0;
}

uint8_t *drive_map(struct drive_handle *handle, size_t number, size_t bytes, bool makes)
{
    struct drive_file *file = handle->file;
    handle->is_mapped = true;
    file->region_bytes = bytes;
    while (number >= file->region_count && makes) {
        file->regions = need(realloc(file->regions, (file->region_count + 1) * sizeof(file->regions[0])));
        file->regions[file->region_count++] = need(calloc(1, bytes));
    }
    return number < file->region_count ? file->regions[number] : NULL;
}

void drive_unmap(struct drive_handle *handle)
{
    bool is_used = false;
    handle->is_mapped = false;
    handle->shared = handle->exclusive = 0;
    for (const struct drive_handle *other = handle->process->drive->handles; other; other = other->next)
        is_used |= other->is_mapped && other->file == handle->file;
    if (!is_used)
        free_regions(handle->file);
}
