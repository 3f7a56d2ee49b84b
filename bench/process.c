/* What the processes of a benchmark take, and how one ends: process.h. */
#include "process.h"

#include "base/time.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

_Noreturn void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

void require(bool held, const char *what)
{
    if (!held)
        die(what, strerror(errno));
}

int64_t own_cpu_us(void)
{
    struct timespec spent;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (int64_t)spent.tv_sec * PC_US_PER_S + spent.tv_nsec / 1000;
}

int64_t cpu_us(pid_t pid)
{
    clockid_t clock;
    struct timespec spent;
    errno = clock_getcpuclockid(pid, &clock);
    require(errno == 0 && clock_gettime(clock, &spent) == 0, "the server's processor time");
    return (int64_t)spent.tv_sec * PC_US_PER_S + spent.tv_nsec / 1000;
}

long resident_kb(pid_t pid)
{
    char path[64];
    long total = 0, resident = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "r");
    require(file && fscanf(file, "%ld %ld", &total, &resident) == 2, path);
    (void)fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

void end_process(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}
