/*
 * What a log sink (base/log.h) makes of what the rooms say: who may say how much, and a line of text or of JSON.
 *
 *   2026-11-23T12:00:00.000Z info node: a request failed
 *   {"time":"2026-11-23T12:00:00.000Z","level":"info","room":"node","text":"a request failed"}
 */
#ifndef PC_OBSERVE_LOG_H
#define PC_OBSERVE_LOG_H

#include "base/log.h"
#include "observe/text.h"

#define PC_OBSERVE_LOG_ROOMS 13

struct pc_observe_log_levels {
    enum pc_log_level rooms[PC_OBSERVE_LOG_ROOMS]; /* in the order of the floors */
};

/* "error", "warning", "info", "debug". */
const char *pc_observe_log_level_name(enum pc_log_level level);
/* The same level for all. */
void pc_observe_log_levels_init(struct pc_observe_log_levels *ret_levels, enum pc_log_level level);
/*
 * "debug", or "node=debug,driver=info", or both: a level without a room is that of all rooms not named, wherever it
 * stands. What is not named keeps the level that *levels has. EPARSE with the reason: an empty part, no such level or
 * room, one named twice; *levels is untouched then.
 */
int pc_observe_log_levels_parse(const char *text, struct pc_observe_log_levels *levels,
                                struct pc_reason *ret_reason);
/* The highest of all: the `level` of struct pc_log. */
enum pc_log_level pc_observe_log_most(const struct pc_observe_log_levels *levels);
/* Whether what a room says is to be written; of a room that is none, as of the driver. */
bool pc_observe_log_wants(const struct pc_observe_log_levels *levels, enum pc_log_level level,
                          const char *room);

struct pc_observe_log_line {
    bool is_json;
    bool redacted; /* without the addresses of peers (redact.h) */
    int64_t wall_ms;
    enum pc_log_level level;
    const char *room;
    const char *text;
};
/* Put a line with its newline. Control characters become '?', and escapes in JSON. */
void pc_observe_put_log_line(struct pc_observe_text *text, const struct pc_observe_log_line *line);

#endif
