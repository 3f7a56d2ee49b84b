/* Processes, their calls, what becomes of a call, and what several have of one file. */
#include "drive_state.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct drive_process *entered;

/* ----- processes ----- */

struct drive_process *drive_process_begin(struct drive *drive)
{
    struct drive_process *process = drive_need(calloc(1, sizeof(*process)));
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
    struct memento *memento = drive_need(malloc(sizeof(*memento) + size));
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

int drive_open(struct drive_process *process, const char *name, unsigned how, uint32_t mode,
               struct drive_handle **ret_handle)
{
    struct drive *drive = process->drive;
    bool is_nameless = how & DRIVE_NO_NAME;
    const struct naming *naming = is_nameless ? NULL : drive_find_naming(&drive->seen, name);
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
        file = drive_new_file(drive, mode);
        if (!is_nameless)
            drive_change_names(drive, "", name, file);
    }
    struct drive_handle *handle = drive_need(calloc(1, sizeof(*handle)));
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
    drive_sweep(drive);
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
            drive_resize(drive, file, at + fits);
        memcpy(file->bytes + at, data, fits);
        if (!handle->is_nameless)
            drive_add_change(file, at, data, fits);
        drive_touch(drive, file);
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
    drive_resize(handle->process->drive, file, size);
    drive_add_change(file, 0, NULL, size);
    drive_touch(handle->process->drive, file);
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
        drive_sync_file(drive, handle->file);
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
        drive_sync_names(process->drive);
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
    const struct naming *naming = drive_find_naming(&drive->seen, from);
    if (!naming)
        return ENOENT;
    if (!may_replace && drive_find_naming(&drive->seen, to))
        return EEXIST;
    int error = may_change(process, NEEDS_ROOM);
    if (error)
        return error;
    drive->renamed_unsynced |= naming->file->changes != NULL;
    drive->directory_unsynced = true;
    drive_change_names(drive, from, to, naming->file);
    return 0;
}

int drive_unlink(struct drive_process *process, const char *name)
{
    struct drive *drive = process->drive;
    if (process->is_dead)
        return EIO;
    if (!drive_find_naming(&drive->seen, name))
        return ENOENT;
    int error = may_change(process, 0);
    if (error)
        return error;
    drive_change_names(drive, name, "", NULL);
    drive_sweep(drive);
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
        file->regions =
            drive_need(realloc(file->regions, (file->region_count + 1) * sizeof(file->regions[0])));
        file->regions[file->region_count++] = drive_need(calloc(1, bytes));
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
        drive_free_regions(handle->file);
}
