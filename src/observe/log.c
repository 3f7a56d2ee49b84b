#include "observe/log.h"

#include "base/cursor.h"
#include "base/time.h"
#include "observe/redact.h"

#include <peercache/types.h>

static const char *const room_names[PC_OBSERVE_LOG_ROOMS] = {
    "base",  "addr",    "cache", "kad",     "format", "join", "libp2p",
    "store", "library", "node",  "observe", "driver", "cli",
};
#define ROOM_DRIVER 11

const char *pc_observe_log_level_name(enum pc_log_level level)
{
    switch (level) {
    case PC_LOG_ERROR:
        return "error";
    case PC_LOG_WARNING:
        return "warning";
    case PC_LOG_INFO:
        return "info";
    case PC_LOG_DEBUG:
        return "debug";
    }
    return "unknown";
}

/* ----- levels ----- */

void pc_observe_log_levels_init(struct pc_observe_log_levels *ret_levels, enum pc_log_level level)
{
    for (size_t i = 0; i < PC_OBSERVE_LOG_ROOMS; i++)
        ret_levels->rooms[i] = level;
}

static bool is(struct pc_bytes bytes, const char *word)
{
    return pc_bytes_equal(bytes, pc_bytes_of(word, strlen(word)));
}

static bool level_of(struct pc_bytes word, enum pc_log_level *ret_level)
{
    for (unsigned level = PC_LOG_ERROR; level <= PC_LOG_DEBUG; level++)
        if (is(word, pc_observe_log_level_name((enum pc_log_level)level))) {
            *ret_level = (enum pc_log_level)level;
            return true;
        }
    return false;
}

/* PC_OBSERVE_LOG_ROOMS: there is none of this name. */
static size_t room_of(struct pc_bytes word)
{
    size_t i = 0;
    while (i < PC_OBSERVE_LOG_ROOMS && !is(word, room_names[i]))
        i++;
    return i;
}

struct parse {
    struct pc_observe_log_levels levels;
    bool named[PC_OBSERVE_LOG_ROOMS + 1]; /* the last: the level without a room */
    enum pc_log_level others;
    struct pc_reason *reason;
};

static int refuse(struct parse *parse, const char *what, struct pc_bytes word)
{
    int length = (int)(word.size < 40 ? word.size : 40);
    pc_base_reason(parse->reason,
                   "%s \"%.*s\" (a level: error, warning, info, debug; or node=debug,driver=info)", what,
                   length, (const char *)word.data);
    return PEERCACHE_EPARSE;
}

static int take_part(struct parse *parse, struct pc_bytes part)
{
    const uint8_t *sign = part.size > 0 ? memchr(part.data, '=', part.size) : NULL;
    struct pc_bytes room = pc_bytes_of(part.data, sign ? (size_t)(sign - part.data) : 0);
    struct pc_bytes word = sign ? pc_bytes_of(sign + 1, part.size - room.size - 1) : part;
    enum pc_log_level level;
    size_t index = sign ? room_of(room) : PC_OBSERVE_LOG_ROOMS;
    if (sign && index == PC_OBSERVE_LOG_ROOMS)
        return refuse(parse, "no such room:", room);
    if (!level_of(word, &level))
        return refuse(parse, "no such level:", word);
    if (parse->named[index])
        return refuse(parse, "named twice:", part);
    parse->named[index] = true;
    if (sign)
        parse->levels.rooms[index] = level;
    else
        parse->others = level;
    return 0;
}

int pc_observe_log_levels_parse(const char *text, struct pc_observe_log_levels *levels,
                                struct pc_reason *ret_reason)
{
    struct parse parse = { .levels = *levels, .reason = ret_reason };
    struct pc_reader r;
    int result = 0;
    pc_base_reader_init(&r, text, strlen(text));
    for (bool more = true; more && result == 0;) {
        const uint8_t *comma = memchr(r.at, ',', pc_base_reader_left(&r));
        more = comma != NULL;
        result = take_part(&parse,
                           pc_base_read_bytes(&r, more ? (size_t)(comma - r.at) : pc_base_reader_left(&r)));
        if (more)
            (void)pc_base_read_u8(&r);
    }
    if (result != 0)
        return result;
    for (size_t i = 0; parse.named[PC_OBSERVE_LOG_ROOMS] && i < PC_OBSERVE_LOG_ROOMS; i++)
        if (!parse.named[i])
            parse.levels.rooms[i] = parse.others;
    *levels = parse.levels;
    return 0;
}

enum pc_log_level pc_observe_log_most(const struct pc_observe_log_levels *levels)
{
    enum pc_log_level most = PC_LOG_ERROR;
    for (size_t i = 0; i < PC_OBSERVE_LOG_ROOMS; i++)
        most = levels->rooms[i] > most ? levels->rooms[i] : most;
    return most;
}

bool pc_observe_log_wants(const struct pc_observe_log_levels *levels, enum pc_log_level level,
                          const char *room)
{
    size_t index = room_of(pc_bytes_of(room, strlen(room)));
    return level <= levels->rooms[index < PC_OBSERVE_LOG_ROOMS ? index : ROOM_DRIVER];
}

/* ----- lines ----- */

/* One line on a terminal. */
static void put_plain(struct pc_observe_text *text, const char *from)
{
    size_t begin = text->size;
    pc_observe_put(text, "%s", from);
    for (size_t i = begin; i < text->size; i++)
        if ((unsigned char)text->data[i] < ' ' || text->data[i] == 0x7f)
            text->data[i] = '?';
}

void pc_observe_put_log_line(struct pc_observe_text *text, const struct pc_observe_log_line *line)
{
    struct pc_observe_text redacted = { 0 };
    const char *said = line->text;
    char date[PC_RFC3339_BYTES];
    pc_base_rfc3339_format(line->wall_ms, date);
    if (line->redacted) {
        pc_observe_redact(&redacted, said);
        said = redacted.error ? "(out of memory)" : redacted.data;
    }
    if (line->is_json) {
        pc_observe_put(text, "{\"time\":\"%s\",\"level\":\"%s\",\"room\":", date,
                       pc_observe_log_level_name(line->level));
        pc_observe_put_json(text, line->room);
        pc_observe_put(text, ",\"text\":");
        pc_observe_put_json(text, said);
        pc_observe_put(text, "}\n");
    } else {
        pc_observe_put(text, "%s %s ", date, pc_observe_log_level_name(line->level));
        put_plain(text, line->room);
        pc_observe_put(text, ": ");
        put_plain(text, said);
        pc_observe_put(text, "\n");
    }
    pc_observe_text_deinit(&redacted);
}
