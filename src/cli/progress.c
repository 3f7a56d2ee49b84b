#include "cli/cache.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define FIRST_AFTER_US 300000 /* what is over by then needs none */
#define EVERY_US       100000

void pc_cli_progress_init(struct pc_cli_progress *progress, const char *doing, const char *what,
                          uint64_t total)
{
    *progress = (struct pc_cli_progress){
        .doing = doing, .what = what, .total = total, .is_terminal = isatty(STDERR_FILENO) == 1
    };
    pc_driver_clock_init(&progress->clock);
    if (progress->is_terminal)
        progress->began_us = pc_driver_clock_now(&progress->clock).mono_us;
}

/* Whether the line is to be renewed now. */
static bool is_due(struct pc_cli_progress *progress)
{
    if (!progress->is_terminal)
        return false;
    int64_t now_us = pc_driver_clock_now(&progress->clock).mono_us;
    if (now_us - progress->began_us < FIRST_AFTER_US || now_us - progress->shown_us < EVERY_US)
        return false;
    progress->shown_us = now_us;
    progress->is_shown = true;
    return true;
}

void pc_cli_progress_at(struct pc_cli_progress *progress, uint64_t done)
{
    if (!is_due(progress))
        return;
    if (progress->total)
        fprintf(stderr, "\rpeercache: %s: %llu of %llu %s (%llu %%)\033[K", progress->doing,
                (unsigned long long)done, (unsigned long long)progress->total, progress->what,
                (unsigned long long)(done < progress->total ? done * 100 / progress->total : 100));
    else
        fprintf(stderr, "\rpeercache: %s: %llu %s\033[K", progress->doing, (unsigned long long)done,
                progress->what);
    fflush(stderr);
}

void pc_cli_progress_say(struct pc_cli_progress *progress, const char *format, ...)
{
    va_list args;
    if (!is_due(progress))
        return;
    fprintf(stderr, "\rpeercache: %s: ", progress->doing);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fputs("\033[K", stderr);
    fflush(stderr);
}

void pc_cli_progress_end(struct pc_cli_progress *progress)
{
    if (progress->is_shown)
        fputs("\r\033[K", stderr);
    progress->is_shown = false;
}
