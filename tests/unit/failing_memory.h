/*
 * Failure of every allocation in turn. Our own calls of malloc, calloc, realloc and strdup are wrapped by the linker
 * (build with failing_memory_link_args), SQLite's by its own hook.
 *
 *     failing_memory_first();
 *     do {
 *         … make what is needed
 *         failing_memory_arm();
 *         … the work, each call made again when it says that memory is out
 *         failing_memory_disarm();
 *         … look at what came of it
 *     } while (failing_memory_next());
 */
#ifndef TESTS_UNIT_FAILING_MEMORY_H
#define TESTS_UNIT_FAILING_MEMORY_H

#include <stdbool.h>

/* SQLite's allocations fail too; before anything uses it. */
bool failing_memory_hook_sqlite(void);

void failing_memory_first(void);
/* It is the turn of this one (≥ 1); *ret_failed becomes true when it fails, at any later time. */
void failing_memory_turn(unsigned number, bool *ret_failed);
/* From now on the one allocation whose turn it is fails. */
void failing_memory_arm(void);
void failing_memory_disarm(void);
/* Which one fails. */
unsigned failing_memory_number(void);
/* How many were asked for while armed. */
unsigned failing_memory_count(void);
/* Whether the work went so far that the one failed: then the turn is that of the next. */
bool failing_memory_next(void);

#endif
