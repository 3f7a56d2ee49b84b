/* What every cmocka test includes, in the order cmocka wants it. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

/*
 * End a case that this machine can't run, loudly; in CI that is a failure. Not cmocka's skip(), which says "not ok" in
 * TAP and so counts as a failure everywhere.
 */
#define CHECK_CANNOT_RUN(why)                                                                                \
    do {                                                                                                     \
        if (getenv("CI"))                                                                                    \
            fail_msg("may not be left out in CI: %s", why);                                                  \
        printf("# LEFT OUT: %s: %s\n", __func__, why);                                                       \
        return;                                                                                              \
    } while (0)

#endif
