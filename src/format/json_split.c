/*
 * Cuts one JSON document into pieces: the values of the members of its top object, or the elements of such a
 * value one by one. A file of a million peers is one value; a parser that builds trees would hold it whole.
 * So this walk finds only where a piece begins and ends, whatever the sizes in which the document comes, and
 * json_value.c judges each piece that somebody wants. Bounded: the piece at hand (under its limit), and one
 * bit a level of nesting.
 *
 * Of JSON (RFC 8259) it knows strings, so that a bracket within one is none; brackets, which must match; and
 * the commas and colons of the two levels it walks itself. What is inside a piece is judged by whoever parses
 * it, and what is inside a skipped value by nobody. Control characters outside of white space, and any within
 * a string, are refused at once: they stand in no JSON, and most of what is no JSON at all ends there.
 *
 *             ┌────────────────── , ──────────────────────┐
 *             ▼                                           │
 *   START ► FIRST ► KEY ► COLON ► VALUE ► IN_VALUE ►─── AFTER ──► END
 *             │                     ▲ │                   ▲ ▲
 *             │   (of an array)     │ └── opened: FIRST   │ │
 *             ├─────────────────────┘                     │ │
 *             └──── } or ] of an opened value ────────────┘ └─ } or ] of an opened value
 *
 * NEXT is FIRST behind a comma, where nothing may close. The one walk of this room over bytes by index
 * instead of through a cursor: pieces of any size end anywhere, and each byte is looked at once, by one loop.
 */
#include "format/json_split.h"

#include "base/fsm.h"

#include <inttypes.h>
#include <stdlib.h>

enum state {
    START,    /* before the top object */
    FIRST,    /* behind { or [ of a level */
    NEXT,     /* behind a comma */
    KEY,      /* within the name of a member */
    COLON,    /* behind the name */
    VALUE,    /* behind the colon */
    IN_VALUE, /* within a value */
    AFTER,    /* behind a value */
    END,      /* behind the top object */
};

static const uint32_t allowed[] = {
    [START] = PC_FSM_TO(FIRST),
    [FIRST] = PC_FSM_TO(KEY) | PC_FSM_TO(FIRST) | PC_FSM_TO(IN_VALUE) | PC_FSM_TO(AFTER) | PC_FSM_TO(END),
    [NEXT] = PC_FSM_TO(KEY) | PC_FSM_TO(IN_VALUE),
    [KEY] = PC_FSM_TO(COLON),
    [COLON] = PC_FSM_TO(VALUE),
    [VALUE] = PC_FSM_TO(FIRST) | PC_FSM_TO(IN_VALUE),
    [IN_VALUE] = PC_FSM_TO(AFTER),
    [AFTER] = PC_FSM_TO(NEXT) | PC_FSM_TO(AFTER) | PC_FSM_TO(END),
    [END] = 0,
};

#define BUFFER_FIRST_BYTES 1024

void pc_format_json_init(struct pc_json_split *split, const struct pc_json_visitor *visitor)
{
    memset(split, 0, sizeof(*split));
    split->visitor = *visitor;
    split->state = START;
    split->line = 1;
}

void pc_format_json_deinit(struct pc_json_split *split)
{
    free(split->buffer);
    split->buffer = NULL;
}

int pc_format_json_fail(struct pc_json_split *split, int error, const char *what)
{
    pc_base_reason(&split->error, "line %" PRIu64 ", byte %" PRIu64 ": %s", split->line,
                   split->base + split->at, what);
    return error;
}

static void move(struct pc_json_split *split, enum state next)
{
    pc_base_fsm_move(allowed, &split->state, next);
}

/* --- keeping --- */

static int append(struct pc_json_split *split, const uint8_t *data, size_t size)
{
    if (split->is_too_long || size == 0)
        return 0;
    if (size > split->kept_max - split->kept) {
        split->is_too_long = true;
        return 0;
    }
    if (size > split->capacity - split->kept) {
        size_t capacity = split->capacity ? split->capacity : BUFFER_FIRST_BYTES;
        while (capacity < split->kept + size)
            capacity *= 2;
        uint8_t *buffer = realloc(split->buffer, capacity);
        if (!buffer)
            return pc_format_json_fail(split, PEERCACHE_ENOMEM, "out of memory");
        split->buffer = buffer;
        split->capacity = capacity;
    }
    memcpy(split->buffer + split->kept, data, size);
    split->kept += size;
    return 0;
}

static void keep_begin(struct pc_json_split *split, size_t limit_bytes)
{
    split->is_keeping = limit_bytes > 0;
    split->is_too_long = false;
    split->kept = 0;
    split->kept_max = limit_bytes;
    split->run = split->at;
}

/* Up to here. */
static int keep_flush(struct pc_json_split *split)
{
    if (!split->is_keeping)
        return 0;
    int r = append(split, split->data + split->run, split->at - split->run);
    split->run = split->at;
    return r;
}

static int keep_end(struct pc_json_split *split)
{
    int r = keep_flush(split);
    split->is_keeping = false;
    return r;
}

/* --- the walk --- */

static bool is_white(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void skip_white(struct pc_json_split *split)
{
    while (split->at < split->size && is_white(split->data[split->at]))
        split->line += split->data[split->at++] == '\n';
}

/* Moves behind the closing quotation mark when it is there: *ret_closed. */
static int walk_string(struct pc_json_split *split, bool *ret_closed)
{
    const uint8_t *data = split->data;
    size_t at = split->at;
    *ret_closed = false;
    while (at < split->size) {
        uint8_t c = data[at];
        if (c < ' ') {
            split->at = at;
            return pc_format_json_fail(split, PEERCACHE_EPARSE, "a control character within a string");
        }
        at++;
        if (split->is_escaped) {
            split->is_escaped = false;
        } else if (c == '\\') {
            split->is_escaped = true;
        } else if (c == '"') {
            *ret_closed = true;
            break;
        }
    }
    split->at = at;
    return 0;
}

static struct pc_format_place here(const struct pc_json_split *split)
{
    return (struct pc_format_place){ split->base + split->at, split->line,
                                     split->level == 2 ? split->entries : 0 };
}

static int piece_begin(struct pc_json_split *split)
{
    if (split->level == 2 && ++split->entries > PC_FORMAT_ENTRIES_MAX)
        return pc_format_json_fail(split, PEERCACHE_ELIMIT, "more entries than one document may hold");
    split->place = here(split);
    return 0;
}

static int piece_end(struct pc_json_split *split)
{
    bool is_member = split->level == 2 && split->is_object[2];
    int r = keep_end(split);
    if (r == 0 && is_member && split->limit_bytes)
        r = append(split, (const uint8_t *)"]", 1);
    if (r < 0)
        return r;
    move(split, AFTER);
    if (split->wish == PC_JSON_SKIP)
        return 0;
    bool is_kept = split->limit_bytes > 0;
    struct pc_json_piece piece = {
        .is_element = split->level == 2,
        .is_member = is_member,
        .first = split->first,
        .is_too_long = is_kept && split->is_too_long,
        .text = split->buffer,
        .size = is_kept && !split->is_too_long ? split->kept : 0,
        .place = split->place,
    };
    return split->visitor.piece(split->visitor.context, &piece);
}

static int open_level(struct pc_json_split *split, bool is_object)
{
    split->level++;
    split->is_object[split->level] = is_object;
    split->at++;
    move(split, FIRST);
    return 0;
}

static int close_level(struct pc_json_split *split)
{
    if ((split->data[split->at] == '}') != split->is_object[split->level])
        return pc_format_json_fail(split, PEERCACHE_EPARSE, "a bracket closes what another kind opened");
    split->at++;
    split->level--;
    move(split, split->level == 0 ? END : AFTER);
    return 0;
}

static int key_begin(struct pc_json_split *split)
{
    if (split->data[split->at] != '"')
        return pc_format_json_fail(split, PEERCACHE_EPARSE, "expected a name in quotation marks");
    int r = 0;
    if (split->level == 1) {
        keep_begin(split, PC_FORMAT_MEMBER_MAX_BYTES);
    } else {
        r = piece_begin(split);
        keep_begin(split, split->limit_bytes);
        if (r == 0 && split->is_keeping)
            r = append(split, (const uint8_t *)"[", 1);
    }
    split->at++;
    move(split, KEY);
    return r;
}

static int key_end(struct pc_json_split *split)
{
    int r = keep_flush(split);
    move(split, COLON);
    if (r < 0 || split->level == 2)
        return r;
    split->is_keeping = false;
    if (split->is_too_long)
        return pc_format_json_fail(split, PEERCACHE_ELIMIT, "a name is too long");
    split->limit_bytes = 0;
    return split->visitor.member(split->visitor.context, split->buffer, split->kept, &split->wish,
                                 &split->limit_bytes);
}

static int value_begin(struct pc_json_split *split)
{
    uint8_t c = split->data[split->at];
    if (c == ',' || c == ':' || c == ']' || c == '}' || c < ' ')
        return pc_format_json_fail(split, PEERCACHE_EPARSE, "expected a value");
    if (split->level == 1 && split->wish == PC_JSON_OPEN && (c == '{' || c == '['))
        return open_level(split, c == '{');
    int r = 0;
    if (split->level == 1 || !split->is_object[2]) {
        r = piece_begin(split);
        keep_begin(split, split->limit_bytes);
    } else if (split->is_keeping) { /* behind the name */
        r = append(split, (const uint8_t *)",", 1);
        split->run = split->at;
    }
    split->first = c;
    split->nest = 0;
    split->in_string = false;
    split->in_scalar = c != '{' && c != '[' && c != '"';
    move(split, IN_VALUE);
    return r;
}

static int nest_open(struct pc_json_split *split, bool is_object)
{
    if (split->level + split->nest >= PC_FORMAT_DEPTH_MAX)
        return pc_format_json_fail(split, PEERCACHE_ELIMIT, "nested too deeply");
    split->nest++;
    split->nest_is_object = split->nest_is_object << 1 | is_object;
    return 0;
}

static int nest_close(struct pc_json_split *split, bool is_object)
{
    if ((split->nest_is_object & 1) != is_object)
        return pc_format_json_fail(split, PEERCACHE_EPARSE, "a bracket closes what another kind opened");
    split->nest--;
    split->nest_is_object >>= 1;
    return 0;
}

/* A number or a word ends before what can't belong to it. */
static int walk_scalar(struct pc_json_split *split)
{
    for (; split->at < split->size; split->at++) {
        uint8_t c = split->data[split->at];
        if (is_white(c) || c == ',' || c == ']' || c == '}')
            return piece_end(split);
        if (c < ' ' || c == '"' || c == '[' || c == '{' || c == ':')
            return pc_format_json_fail(split, PEERCACHE_EPARSE, "not a value");
    }
    return 0;
}

static int walk_value(struct pc_json_split *split)
{
    int r = 0;
    if (split->in_scalar)
        return walk_scalar(split);
    while (split->at < split->size && r == 0) {
        if (split->in_string) {
            bool closed;
            r = walk_string(split, &closed);
            split->in_string = !closed;
            if (r == 0 && closed && split->nest == 0)
                return piece_end(split);
            continue;
        }
        uint8_t c = split->data[split->at];
        switch (c) {
        case '"':
            split->in_string = true;
            break;
        case '{':
        case '[':
            r = nest_open(split, c == '{');
            break;
        case '}':
        case ']':
            r = nest_close(split, c == '}');
            if (r == 0 && split->nest == 0) {
                split->at++;
                return piece_end(split);
            }
            break;
        case '\n':
            split->line++;
            break;
        default:
            if (c < ' ' && !is_white(c))
                r = pc_format_json_fail(split, PEERCACHE_EPARSE, "a control character");
        }
        if (r == 0)
            split->at++;
    }
    return r;
}

/* One step behind white space; at least one byte is there. */
static int step(struct pc_json_split *split)
{
    uint8_t c = split->data[split->at];
    switch ((enum state)split->state) {
    case START:
        if (c != '{')
            return pc_format_json_fail(split, PEERCACHE_EPARSE, "expected '{'");
        return open_level(split, true);
    case FIRST:
        if (c == '}' || c == ']')
            return close_level(split);
        return split->is_object[split->level] ? key_begin(split) : value_begin(split);
    case NEXT:
        return split->is_object[split->level] ? key_begin(split) : value_begin(split);
    case COLON:
        if (c != ':')
            return pc_format_json_fail(split, PEERCACHE_EPARSE, "expected ':'");
        split->at++;
        move(split, VALUE);
        return 0;
    case VALUE:
        return value_begin(split);
    case AFTER:
        if (c == '}' || c == ']')
            return close_level(split);
        if (c != ',')
            return pc_format_json_fail(split, PEERCACHE_EPARSE, "expected ',' or a closing bracket");
        split->at++;
        move(split, NEXT);
        return 0;
    case END:
        return pc_format_json_fail(split, PEERCACHE_EPARSE, "something follows behind the JSON document");
    case KEY: {
        bool closed;
        int r = walk_string(split, &closed);
        return r == 0 && closed ? key_end(split) : r;
    }
    case IN_VALUE:
        return walk_value(split);
    }
    return 0;
}

int pc_format_json_feed(struct pc_json_split *split, struct pc_bytes piece)
{
    int r = 0;
    split->data = piece.data;
    split->size = piece.size;
    split->at = 0;
    split->run = 0;
    while (r == 0 && split->at < split->size) {
        if (split->state != KEY && split->state != IN_VALUE) {
            /* Between a name and its value nothing is kept of the white space. */
            skip_white(split);
            if (split->at == split->size)
                break;
        }
        r = step(split);
    }
    if (r == 0 && (split->state == KEY || split->state == IN_VALUE))
        r = keep_flush(split);
    split->base += split->at;
    split->at = 0;
    return r;
}

int pc_format_json_finish(struct pc_json_split *split)
{
    if (split->state == END)
        return 0;
    return pc_format_json_fail(split, PEERCACHE_EPARSE, "the document is cut short");
}
