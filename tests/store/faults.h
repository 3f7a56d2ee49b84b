/*
 * Faults below the stores: the calls by which a file changes (open for writing, write, pwrite, sync, rename,
 * truncate, unlink, change of mode) are counted while armed, and the one of a given number fails or ends the
 * process. The functions of libc are interposed by those of faults.c, for our code and for SQLite alike.
 */
#ifndef TESTS_STORE_FAULTS_H
#define TESTS_STORE_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

enum fault {
    FAULT_NONE,      /* count only */
    FAULT_STOP,      /* the process ends before the call */
    FAULT_STOP_HALF, /* the process ends in the call: half of a write is done, anything else not */
    FAULT_SHORT,     /* half of a write is done and said so */
    FAULT_EINTR,     /* this call only */
    FAULT_EIO,       /* this call and all after it */
    FAULT_ENOSPC,    /* this call and all after it that need room */
    FAULT_EIO_ONCE,
};

#define FAULT_STOPPED 77 /* what the process ends with */

/* From now on the call number `at` (from 1) fails. */
void faults_arm(enum fault fault, unsigned at);
/* The number of calls since armed. */
unsigned faults_disarm(void);
/* Since armed: a rename of a file whose writes were not synced was seen, or a rename whose directory was not
 * synced after it. */
bool faults_saw_unsynced(void);

#endif
