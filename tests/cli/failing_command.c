/*
 * The whole command with memory that fails: linked into a copy of it, this runs it once for each allocation of our own code
 * that it makes, as a child, in which that one fails, until one goes through without.
 *
 *   FAILING_EACH    without it the copy behaves like the original
 *   FAILING_BEFORE  a command of the shell before each run, for the same beginning
 *   FAILING_STOP    what a line of its output holds when it is to be told to stop (SIGTERM)
 *
 * Prints a line for each run: the number of the allocation, what wait() said of it, and the last line of what it said.
 */
#include "../unit/failing_memory.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNS_MAX   100000
#define PATIENCE_S 60 /* more is a hang */

static bool *reached;

/* What a child says, line by line; the last one stays. */
static void listen_to(FILE *said, pid_t child, char *ret_last, size_t capacity)
{
    const char *stop = getenv("FAILING_STOP");
    char *line = NULL;
    size_t room = 0;
    ret_last[0] = '\0';
    while (getline(&line, &room, said) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '\0')
            (void)snprintf(ret_last, capacity, "%s", line);
        if (stop && strstr(line, stop))
            (void)kill(child, SIGTERM);
    }
    free(line);
}

/* Returns in the child only: there, the allocation whose number it is fails from now on. */
static int run_child(unsigned number, char *ret_last, size_t capacity)
{
    int ends[2], status = -1;
    if (pipe(ends))
        abort();
    pid_t child = fork();
    if (child < 0)
        abort();
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)alarm(PATIENCE_S);
        failing_memory_turn(number, reached);
        (void)atexit(failing_memory_disarm); /* a compiler's counters are written after, and cannot bear it */
        failing_memory_arm();
        return -1;
    }
    (void)close(ends[1]);
    FILE *said = fdopen(ends[0], "r");
    if (!said)
        abort();
    listen_to(said, child, ret_last, capacity);
    (void)fclose(said);
    if (waitpid(child, &status, 0) != child)
        abort();
    return status;
}

__attribute__((constructor)) static void fail_each(void)
{
    const char *before = getenv("FAILING_BEFORE");
    char last[512];
    if (!getenv("FAILING_EACH"))
        return;
    reached = mmap(NULL, sizeof(*reached), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (reached == MAP_FAILED)
        abort();
    for (unsigned number = 1; number < RUNS_MAX; number++) {
        *reached = false;
        if (before && system(before) != 0)
            abort();
        int status = run_child(number, last, sizeof(last));
        if (status == -1)
            return;
        (void)printf("%u %d %d %s\n", number, status, *reached, last);
        (void)fflush(stdout);
        if (!*reached)
            _exit(0);
    }
    abort();
}
