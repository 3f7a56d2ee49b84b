/*
 * The processes of a benchmark: what one takes, and how it ends. A benchmark that cannot go on says why and exits with 1.
 */
#ifndef PC_BENCH_PROCESS_H
#define PC_BENCH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

_Noreturn void die(const char *what, const char *why);
/* Dies with the text of errno unless it held. */
void require(bool held, const char *what);

/* Processor time of this process. */
int64_t own_cpu_us(void);
/* Processor time of another process, of all its threads, those that ended too. */
int64_t cpu_us(pid_t pid);
/* Memory resident of it. */
long resident_kb(pid_t pid);
/* Kills a child and waits for it. */
void end_process(pid_t pid);

#endif
