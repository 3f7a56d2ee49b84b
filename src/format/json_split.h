/*
 * Cuts one JSON document into pieces without holding it: see json_split.c.
 */
#ifndef PC_FORMAT_JSON_SPLIT_H
#define PC_FORMAT_JSON_SPLIT_H

#include "format/format.h"

/* What to do with the value of a member of the top object. */
enum pc_json_wish {
    PC_JSON_SKIP,
    PC_JSON_KEEP, /* give it as one piece */
    PC_JSON_OPEN, /* give its elements; a value that has none (a number, a text) comes as with KEEP */
};

struct pc_json_piece {
    bool is_element;  /* of an opened value; else the value of a member */
    bool is_member;   /* an element of an object: the text is [KEY,VALUE] */
    uint8_t first;    /* the first byte of the value: '{', '[', '"', or of a number or a word */
    bool is_too_long; /* over the limit; the size is 0 */
    uint8_t *text;    /* the visitor may write to it */
    size_t size;      /* 0 where the limit was 0 */
    struct pc_format_place place;
};

struct pc_json_visitor {
    /* The name, in its quotation marks; it may be written to. The wish comes back with the limit of what is
     * kept of the value, or of each element; 0: nothing is kept. */
    int (*member)(void *context, uint8_t *name, size_t size, enum pc_json_wish *ret_wish,
                  size_t *ret_limit_bytes);
    int (*piece)(void *context, const struct pc_json_piece *piece);
    void *context;
};

struct pc_json_split {
    struct pc_json_visitor visitor;
    unsigned state;
    unsigned level;         /* 1 in the top object, 2 in an opened value */
    bool is_object[3];      /* by level */
    enum pc_json_wish wish; /* of the member at hand */
    size_t limit_bytes;     /* of pieces */
    /* Within a value */
    unsigned nest;           /* arrays and objects open in it */
    uint64_t nest_is_object; /* a bit each, the innermost lowest */
    bool in_string, in_scalar, is_escaped;
    uint8_t first;
    struct pc_format_place place; /* of the piece at hand */
    uint64_t entries;
    /* Where we are */
    uint64_t base, line; /* the offset of `data` in the document */
    const uint8_t *data;
    size_t size, at;
    /* What is being kept: data from `run` on, behind what the buffer holds */
    bool is_keeping, is_too_long;
    size_t run, kept, kept_max, capacity;
    uint8_t *buffer;
    struct pc_reason error;
};

void pc_format_json_init(struct pc_json_split *split, const struct pc_json_visitor *visitor);
void pc_format_json_deinit(struct pc_json_split *split);
/* Behind what came before, at the given offset and line. EPARSE, ELIMIT, ENOMEM, or what the visitor
 * returned; the text is in split->error ("" for the visitor's). Not to be called again after an error. */
int pc_format_json_feed(struct pc_json_split *split, struct pc_bytes piece);
int pc_format_json_finish(struct pc_json_split *split);
/* Say in split->error what is wrong where the splitter is; returns `error`. */
int pc_format_json_fail(struct pc_json_split *split, int error, const char *what);

#endif
