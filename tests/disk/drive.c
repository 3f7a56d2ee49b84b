/* Files, names, and what is left of both when the power goes. */
#include "drive_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void *drive_need(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

/* ----- names ----- */

struct naming *drive_find_naming(const struct names *names, const char *name)
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
    struct naming *naming = renaming->from[0] ? drive_find_naming(names, renaming->from) : NULL;
    if (naming)
        *naming = names->list[--names->count];
    if (!renaming->to[0])
        return;
    naming = drive_find_naming(names, renaming->to);
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

void drive_change_names(struct drive *drive, const char *from, const char *to, struct drive_file *file)
{
    if (drive->since_count == drive->since_room) {
        drive->since_room = drive->since_room ? 2 * drive->since_room : 8;
        drive->since = drive_need(realloc(drive->since, drive->since_room * sizeof(drive->since[0])));
    }
    struct renaming *renaming = &drive->since[drive->since_count++];
    copy_name(renaming->from, from);
    copy_name(renaming->to, to);
    renaming->file = file;
    apply_renaming(&drive->seen, renaming);
}

const struct drive_file *drive_find(const struct drive *drive, const char *name)
{
    const struct naming *naming = drive_find_naming(&drive->seen, name);
    return naming ? naming->file : NULL;
}

const char *drive_name(const struct drive *drive, size_t number)
{
    return number < drive->seen.count ? drive->seen.list[number].name : NULL;
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

void drive_free_regions(struct drive_file *file)
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
    drive_free_regions(file);
    free(file->bytes);
    free(file->synced);
    free(file);
}

/* Files that have no name, were lost with none, and are not open. */
void drive_sweep(struct drive *drive)
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
        *bytes = drive_need(realloc(*bytes, room));
        *capacity = room;
    }
    if (to > *size)
        memset(*bytes + *size, 0, to - *size);
    *size = to;
}

void drive_resize(struct drive *drive, struct drive_file *file, size_t to)
{
    drive->used = drive->used - file->size + to;
    resize(&file->bytes, &file->size, &file->capacity, to);
}

void drive_touch(struct drive *drive, struct drive_file *file)
{
    file->changed_ns = ++drive->now_ns;
}

struct drive_file *drive_new_file(struct drive *drive, uint32_t mode)
{
    struct drive_file *file = drive_need(calloc(1, sizeof(*file)));
    file->inode = ++drive->inodes;
    file->mode = mode;
    file->last = &file->changes;
    file->next = drive->files;
    drive->files = file;
    drive_touch(drive, file);
    return file;
}

void drive_add_change(struct drive_file *file, size_t at, const void *data, size_t size)
{
    struct drive_change *change = drive_need(calloc(1, sizeof(*change)));
    change->at = at;
    change->size = size;
    if (data) {
        change->data = drive_need(malloc(size));
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

void drive_sync_file(struct drive *drive, struct drive_file *file)
{
    for (const struct drive_change *change = file->changes; change; change = change->next)
        write_through(drive, file, change, true);
    forget_changes(file);
}

void drive_sync_names(struct drive *drive)
{
    drive->synced = drive->seen;
    drive->since_count = 0;
    drive_sweep(drive);
}

/* ----- the drive ----- */

struct drive *drive_new(uint64_t seed)
{
    struct drive *drive = drive_need(calloc(1, sizeof(*drive)));
    pc_base_rng_init_u64(&drive->rng, seed);
    return drive;
}

void drive_free(struct drive *drive)
{
    if (!drive)
        return;
    assert(!drive->processes && !drive->handles);
    drive->seen.count = drive->synced.count = drive->since_count = 0;
    drive_sweep(drive);
    free(drive->since);
    free(drive);
}

struct drive *drive_copy(const struct drive *drive)
{
    struct drive *copy = drive_new(drive->inodes);
    copy->now_ns = drive->now_ns;
    for (size_t i = 0; i < drive->seen.count; i++) {
        const struct drive_file *from = drive->seen.list[i].file;
        struct drive_file *file = drive_new_file(copy, from->mode);
        struct renaming naming = { .file = file };
        copy_name(naming.to, drive->seen.list[i].name);
        apply_renaming(&copy->seen, &naming);
        drive_resize(copy, file, from->size);
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
    drive_resize(drive, file, file->synced_size);
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
    drive_sweep(drive);
}
