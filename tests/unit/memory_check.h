/* For tests in which memory fails: a call that says so is made again, as its caller would. */
#ifndef TESTS_UNIT_MEMORY_CHECK_H
#define TESTS_UNIT_MEMORY_CHECK_H

#include "check.h"
#include "failing_memory.h"

#include <peercache/types.h>

/* Once more when memory was out: one allocation fails, so the second time works. */
#define AGAIN(ret_result, call)                                                                              \
    do {                                                                                                     \
        (ret_result) = (call);                                                                               \
        if ((ret_result) == PEERCACHE_ENOMEM)                                                                \
            (ret_result) = (call);                                                                           \
    } while (0)

#define MUST(call)                                                                                           \
    do {                                                                                                     \
        int must_result;                                                                                     \
        AGAIN(must_result, call);                                                                            \
        if (must_result)                                                                                     \
            fail_msg("allocation %u: %s: %d", failing_memory_number(), #call, must_result);                  \
    } while (0)

/* What must hold whichever allocation failed. */
#define HOLDS(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            fail_msg("allocation %u: %s", failing_memory_number(), #condition);                              \
    } while (0)

#endif
