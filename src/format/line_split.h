/* Lines of a text that comes in pieces of any size, each under a limit. */
#ifndef PC_FORMAT_LINE_SPLIT_H
#define PC_FORMAT_LINE_SPLIT_H

#include "format/format.h"

struct pc_line {
    struct pc_bytes text; /* without the white space around it; of one that is too long the beginning */
    bool is_too_long;
    uint64_t size;   /* in the document, white space included */
    uint64_t offset; /* of its first byte, white space included */
    uint64_t line;
};

struct pc_line_split {
    int (*visit)(void *context, const struct pc_line *line); /* other than 0 ends and is returned */
    void *context;
    uint64_t offset, line; /* of the line at hand */
    uint64_t size;         /* of it so far, kept or not */
    uint8_t *buffer;       /* PC_FORMAT_LINE_MAX_BYTES, made when a line first spans pieces */
};

/* Lines end in LF (or CRLF: CR is white space); the last need not. Every line is visited, blank ones too. */
int pc_format_lines_feed(struct pc_line_split *split, struct pc_bytes piece);
int pc_format_lines_finish(struct pc_line_split *split);
void pc_format_lines_deinit(struct pc_line_split *split);

#endif
