#include "failing_memory.h"

#include <stdatomic.h>
#include <stdlib.h>

#define ALLOCATIONS_MAX 1000000 /* of one cycle; more is a loop */

static bool armed, failed;
static bool *watched;           /* set along with `failed` */
static atomic_uint allocations; /* other threads have theirs too */
static unsigned failing;

static bool fails(void)
{
    if (!armed || atomic_fetch_add(&allocations, 1) + 1 != failing)
        return false;
    failed = true;
    if (watched)
        *watched = true;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

void failing_memory_first(void)
{
    failing = 1;
}

void failing_memory_turn(unsigned number, bool *ret_failed)
{
    failing = number;
    watched = ret_failed;
}

void failing_memory_arm(void)
{
    allocations = 0;
    failed = false;
    armed = true;
}

void failing_memory_disarm(void)
{
    armed = false;
}

unsigned failing_memory_number(void)
{
    return failing;
}

unsigned failing_memory_count(void)
{
    return allocations;
}

bool failing_memory_next(void)
{
    if (failing >= ALLOCATIONS_MAX)
        abort();
    failing++;
    return failed;
}

#ifdef FAILING_MEMORY_SQLITE
#include <sqlite3.h>

static sqlite3_mem_methods sqlite_memory;

static void *sqlite_malloc(int size)
{
    return fails() ? NULL : sqlite_memory.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size)
{
    return fails() ? NULL : sqlite_memory.xRealloc(old, size);
}

bool failing_memory_hook_sqlite(void)
{
    sqlite3_mem_methods methods;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory))
        return false;
    methods = sqlite_memory;
    methods.xMalloc = sqlite_malloc;
    methods.xRealloc = sqlite_realloc;
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == 0 &&
           sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) == 0;
}
#endif
