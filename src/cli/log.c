#include "cli/log.h"

#include "cli/output.h"
#include "driver/clock.h"
#include "observe/log.h"

#include <stdio.h>

static struct log {
    bool is_json;
    bool is_redacted;
    struct pc_driver_clock clock;
    struct pc_observe_text line; /* of the last, for its memory; the process has one log */
} log_of_process;

static enum pc_log_level level_of(peercache_log_level level)
{
    switch (level) {
    case PEERCACHE_LOG_ERROR:
        return PC_LOG_ERROR;
    case PEERCACHE_LOG_WARNING:
        return PC_LOG_WARNING;
    case PEERCACHE_LOG_INFO:
        return PC_LOG_INFO;
    case PEERCACHE_LOG_DEBUG:
        break;
    }
    return PC_LOG_DEBUG;
}

/* A line that cannot be written is lost: there is nowhere else to say so. */
static void write_line(void *context, peercache_log_level level, const char *room, const char *text)
{
    struct log *log = context;
    const struct pc_observe_log_line line = {
        .is_json = log->is_json,
        .redacted = log->is_redacted,
        .wall_ms = pc_driver_clock_now(&log->clock).wall_ms,
        .level = level_of(level),
        .room = room,
        .text = text,
    };
    pc_observe_text_clear(&log->line);
    pc_observe_put_log_line(&log->line, &line);
    (void)fputs(log->line.error ? "peercache: out of memory: a line of the log is lost\n" : log->line.data,
                stderr);
}

static void write_note(bool is_error, const char *text)
{
    write_line(&log_of_process, is_error ? PEERCACHE_LOG_ERROR : PEERCACHE_LOG_INFO, "cli", text);
}

int pc_cli_log_begin(const struct pc_cli_options *options, peercache_node_options *node_options)
{
    struct log *log = &log_of_process;
    if (!options->log && !options->log_levels && !options->redact)
        return 0;
    int result = peercache_node_options_set_log(node_options, options->log_levels, write_line, log);
    if (result != 0)
        return result;
    log->is_json = options->log == PC_CLI_LOG_JSON;
    log->is_redacted = options->redact;
    pc_driver_clock_init(&log->clock);
    pc_cli_notes_to(write_note);
    return 0;
}
