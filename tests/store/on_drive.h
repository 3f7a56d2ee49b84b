/* The stores of tests on a simulated drive (tests/disk): one drive for each test, and on it one process at a time. */
#ifndef TESTS_STORE_ON_DRIVE_H
#define TESTS_STORE_ON_DRIVE_H

#include "../disk/drive.h"

#include "store/store.h"

extern struct drive *on_drive;

/* The program's first: SQLite and conformance_path, with this end, are of the drive from now on. */
void on_drive_begin(const char *suffix);
/* Another drive, empty, whose chance is of this seed, in the place of the one before. */
void on_drive_fresh(uint64_t seed);
/* A process begins and enters; the one before ends. */
void on_drive_process(void);
/* Nobody is on the drive any more, and there is none. */
void on_drive_end(void);
/* Whether the process that has entered is dead. */
bool on_drive_is_dead(void);
/* As conformance_open, but NULL when the process died in it. */
struct pc_store *on_drive_open(uint8_t seed);
/* How many temporary files of a store lie there. */
size_t on_drive_temporaries(void);

#endif
