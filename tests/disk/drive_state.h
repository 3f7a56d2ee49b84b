/* The inside of a drive: its state (drive.c), and what calls of processes do with it (drive_calls.c). */
#ifndef TESTS_DISK_DRIVE_STATE_H
#define TESTS_DISK_DRIVE_STATE_H

#include "drive.h"

#define NAMES_MAX 64

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
    struct renaming *since; /* the directory was synced */
    size_t since_count, since_room;
    size_t used, room; /* bytes */
    uint32_t syncs_dropped_one_in;
    struct drive_counts counts;

    bool armed;
    enum drive_fault fault;
    unsigned fault_at;
    unsigned changes;
    bool renamed_unsynced, directory_unsynced;
};

/* Not NULL, or the program ends. */
void *drive_need(void *memory);
/* NULL: there is no such name. */
struct naming *drive_find_naming(const struct names *names, const char *name);
/* In one step, seen at once and synced with the directory: `from` is gone, `to` is the file; either may be empty. */
void drive_change_names(struct drive *drive, const char *from, const char *to, struct drive_file *file);
/* Free the files that have no name, were lost with none, and are not open. */
void drive_sweep(struct drive *drive);
/* The size as it is seen. */
void drive_resize(struct drive *drive, struct drive_file *file, size_t to);
/* Its time of change. */
void drive_touch(struct drive *drive, struct drive_file *file);
struct drive_file *drive_new_file(struct drive *drive, uint32_t mode);
/* What is to be lost or kept: a write, or (data NULL) that the size was set. */
void drive_add_change(struct drive_file *file, size_t at, const void *data, size_t size);
void drive_sync_file(struct drive *drive, struct drive_file *file);
void drive_sync_names(struct drive *drive);
void drive_free_regions(struct drive_file *file);

#endif
