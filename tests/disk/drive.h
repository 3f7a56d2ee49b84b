/*
 * A drive: a simulated disk of one directory, in memory. The real stores run on it: their own calls through drive_libc.h,
 * SQLite's through drive_vfs.h.
 *
 *   write, truncate          ──► what is read  ──── sync of the file ──────► what is left when the power goes
 *   create, rename, unlink   ──► names as seen ──── sync of the directory ──► names left
 *
 * Who has no power loses what was not synced: each write whole, not at all, or some of its sectors; names from some change on.
 * Who is only killed loses nothing but its locks and mapped memory: what it wrote is the system's.
 *
 * A process on the drive is whose calls they are. One that is dead may call on, as a store does that is closed in its place;
 * nothing of that reaches the drive. So a kill or a loss of power in the midst of a call needs no process of its own: the call
 * fails, and all after it.
 *
 * What happens is decided by the generator it was given, and by nothing else. One thread.
 */
#ifndef TESTS_DISK_DRIVE_H
#define TESTS_DISK_DRIVE_H

#include "base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DRIVE_DIRECTORY    "/simulated-drive" /* paths below it are of the drive of whoever has entered */
#define DRIVE_NAME_BYTES   128
#define DRIVE_SECTOR_BYTES 512
#define DRIVE_LOCKS        8 /* of mapped memory, as SQLite has them */

/* Armed for the change of a given number: a file made, written, cut, synced, renamed, removed, or given another mode. */
enum drive_fault {
    DRIVE_COUNTS,    /* nothing; changes are counted */
    DRIVE_KILL,      /* the process is dead before the change */
    DRIVE_KILL_HALF, /* in the midst of it: half of a write is done, anything else not */
    DRIVE_POWER,     /* no power before the change: all processes are dead */
    DRIVE_SHORT,     /* half of a write is done and said so */
    DRIVE_EINTR,     /* this change alone */
    DRIVE_EIO_ONCE,
    DRIVE_EIO,    /* this one and all after it */
    DRIVE_ENOSPC, /* this one, and all after it that need room */
};

/* A write since the last sync, or (data NULL) that the size was set. */
struct drive_change {
    struct drive_change *next;
    size_t at;
    size_t size;
    uint8_t *data;
};

struct drive_file {
    struct drive_file *next;
    uint64_t inode;
    uint32_t mode;
    int64_t changed_ns;
    uint8_t *bytes; /* as it is read */
    size_t size, capacity;
    uint8_t *synced;
    size_t synced_size, synced_capacity;
    struct drive_change *changes, **last;
    uint8_t **regions; /* memory that its users map */
    size_t region_count, region_bytes;
};

/* What is open. */
struct drive_handle {
    struct drive_handle *next;
    struct drive_process *process;
    struct drive_file *file;
    size_t position;      /* of calls that have one */
    bool syncs_directory; /* its first sync is one of its directory too */
    bool is_nameless;
    enum { DRIVE_UNLOCKED, DRIVE_SHARED, DRIVE_EXCLUSIVE } flock;
    int level;                 /* of SQLite's locks on the file */
    bool is_mapped;            /* it uses the file's regions */
    uint8_t shared, exclusive; /* SQLite's locks on them */
};

struct drive_counts {
    uint64_t bytes_written;
    uint64_t syncs;    /* of files and of the directory */
    uint64_t failures; /* calls that failed: armed faults and a full drive */
};

struct drive;
struct drive_process;

struct drive *drive_new(uint64_t seed);
/* Its processes have ended. NULL does nothing. */
void drive_free(struct drive *drive);
/* Another with what can be read on this one now, to be looked at: nothing of that changes this one. */
struct drive *drive_copy(const struct drive *drive);
/* How many bytes there is room for; 0: no bound. */
void drive_set_capacity(struct drive *drive, size_t bytes);
size_t drive_used(const struct drive *drive);
/* One of so many syncs does nothing, and says it did: a drive that lies. 0: none. */
void drive_drop_syncs(struct drive *drive, uint32_t one_in);
/* The wall clock, in milliseconds; a pause that somebody makes moves it on. */
void drive_set_time(struct drive *drive, int64_t now_ms);
struct drive_counts drive_counts(const struct drive *drive);

/* From now on the change of number `at`, from 1, fails so. */
void drive_arm(struct drive *drive, enum drive_fault fault, unsigned at);
/* How many changes there were since. */
unsigned drive_disarm(struct drive *drive);
/* Since armed: a file was renamed whose writes were not synced, or a rename is not followed by a sync of the directory. */
bool drive_saw_unsynced(const struct drive *drive);
/* All processes are dead, and what was not synced is lost, by lot. */
void drive_lose_power(struct drive *drive);

/* ----- processes ----- */

/* None that is dead may be left. */
struct drive_process *drive_process_begin(struct drive *drive);
void drive_process_kill(struct drive_process *process);
bool drive_process_is_dead(const struct drive_process *process);
/* All that it had open is closed. NULL does nothing. */
void drive_process_end(struct drive_process *process);
/* Whose calls by path follow, and whose time it is; NULL: nobody's. Returns who had entered before. */
struct drive_process *drive_enter(struct drive_process *process);
struct drive_process *drive_entered(void);
struct drive *drive_of(const struct drive_process *process);

/* ----- calls: 0 or an errno ----- */

#define DRIVE_CREATE  1U
#define DRIVE_ANEW    2U /* with CREATE: it must not be there */
#define DRIVE_CUT     4U
#define DRIVE_NO_NAME 8U /* gone when it is closed; `name` is ignored */

int drive_open(struct drive_process *process, const char *name, unsigned how, uint32_t mode,
               struct drive_handle **ret_handle);
void drive_close(struct drive_handle *handle);
int drive_read(struct drive_handle *handle, size_t at, void *ret_data, size_t size, size_t *ret_read);
/* *ret_written is less than `size` when the drive is full, or as armed. */
int drive_write(struct drive_handle *handle, size_t at, const void *data, size_t size, size_t *ret_written);
int drive_truncate(struct drive_handle *handle, size_t size);
int drive_sync(struct drive_handle *handle);
int drive_chmod(struct drive_handle *handle, uint32_t mode);
int drive_sync_directory(struct drive_process *process);
int drive_rename(struct drive_process *process, const char *from, const char *to, bool may_replace);
int drive_unlink(struct drive_process *process, const char *name);
/* EWOULDBLOCK: somebody else has it. */
int drive_flock(struct drive_handle *handle, int lock);

/* NULL: there is no such file. */
const struct drive_file *drive_find(const struct drive *drive, const char *name);
/* The names, one by one; NULL behind the last. */
const char *drive_name(const struct drive *drive, size_t number);
int64_t drive_now_ns(const struct drive *drive);
void drive_pause(struct drive *drive, int64_t ns);
void drive_random(struct drive *drive, void *ret_data, size_t size);
/* What others that live have of the file: calls `each` for every such handle. */
bool drive_any_other(const struct drive_handle *handle,
                     bool (*is_in_the_way)(const struct drive_handle *other, const void *context),
                     const void *context);
/* A region of the file's memory, made when it is not there and `makes`; NULL: it is not there. The handle uses them from now
 * on; when nobody does, they are gone. */
uint8_t *drive_map(struct drive_handle *handle, size_t number, size_t bytes, bool makes);
void drive_unmap(struct drive_handle *handle);

#endif
