/*
 * A disk that loses its power, below the stores: the functions of libc by which files change are interposed, for our code and
 * for SQLite alike. What was written and not synced may be lost, whole or in sectors of 512 bytes, each by itself; names that
 * were made, moved or taken away are lost from some moment on unless their directory was synced. Memory that was mapped
 * (SQLite's -shm) is gone.
 */
#ifndef TESTS_STORE_POWER_H
#define TESTS_STORE_POWER_H

#include <stdint.h>

#define POWER_LOST 78 /* what the process ends with */

/*
 * From now on files in `directory` are watched: what they are now counts as synced. At the change number `at` (from 1; 0:
 * never) the power is lost: what is left, by the chance of `seed`, is written to the directory `after`, which exists, and the
 * process ends.
 */
void power_arm(const char *directory, const char *after, unsigned at, uint64_t seed);
/* The number of changes since. */
unsigned power_disarm(void);

#endif
