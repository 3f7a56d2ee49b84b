#include "on_drive.h"

#include "conformance.h"

#include "../disk/drive_vfs.h"

#include <stdio.h>

struct drive *on_drive;

void on_drive_begin(const char *suffix)
{
    drive_vfs_register();
    (void)snprintf(conformance_path, sizeof(conformance_path), DRIVE_DIRECTORY "/cache%s", suffix);
}

void on_drive_end(void)
{
    drive_process_end(drive_entered());
    drive_free(on_drive);
    on_drive = NULL;
}

void on_drive_fresh(uint64_t seed)
{
    on_drive_end();
    on_drive = drive_new(seed);
    on_drive_process();
}

void on_drive_process(void)
{
    drive_process_end(drive_entered());
    (void)drive_enter(drive_process_begin(on_drive));
}

bool on_drive_is_dead(void)
{
    return drive_process_is_dead(drive_entered());
}

struct pc_store *on_drive_open(uint8_t seed)
{
    struct pc_store_options options = conformance_options(seed);
    struct pc_store *store = NULL;
    struct pc_reason reason = { "" };
    if (pc_store_open(conformance_path, &options, &store, &reason) && !on_drive_is_dead())
        fail_msg("%s", reason.text);
    return store;
}

size_t on_drive_temporaries(void)
{
    const char *name;
    size_t count = 0;
    for (size_t i = 0; (name = drive_name(on_drive, i)) != NULL; i++)
        count += strstr(name, ".tmp-") != NULL;
    return count;
}
