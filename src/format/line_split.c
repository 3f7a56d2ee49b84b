#include "format/line_split.h"

#include <stdlib.h>

static bool is_white(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct pc_bytes trim(struct pc_bytes text)
{
    while (text.size && is_white(text.data[0]))
        text = pc_bytes_of(text.data + 1, text.size - 1);
    while (text.size && is_white(text.data[text.size - 1]))
        text.size--;
    return text;
}

static int visit(struct pc_line_split *split, struct pc_bytes text)
{
    struct pc_line line = { trim(text), split->size > PC_FORMAT_LINE_MAX_BYTES, split->size, split->offset,
                            split->line };
    return split->visit(split->context, &line);
}

/* A part of a line that is not whole in one piece. */
static int keep(struct pc_line_split *split, struct pc_bytes part)
{
    if (!split->buffer && !(split->buffer = malloc(PC_FORMAT_LINE_MAX_BYTES)))
        return PEERCACHE_ENOMEM;
    if (split->size < PC_FORMAT_LINE_MAX_BYTES && part.size) {
        size_t room = PC_FORMAT_LINE_MAX_BYTES - (size_t)split->size;
        memcpy(split->buffer + split->size, part.data, part.size < room ? part.size : room);
    }
    split->size += part.size;
    return 0;
}

static struct pc_bytes held(const struct pc_line_split *split)
{
    return pc_bytes_of(split->buffer, split->size < PC_FORMAT_LINE_MAX_BYTES ? (size_t)split->size
                                                                             : PC_FORMAT_LINE_MAX_BYTES);
}

static int end_line(struct pc_line_split *split, struct pc_bytes part)
{
    int r = 0;
    if (split->size > 0) {
        r = keep(split, part);
        part = held(split);
    } else {
        split->size = part.size;
        if (part.size > PC_FORMAT_LINE_MAX_BYTES)
            part.size = PC_FORMAT_LINE_MAX_BYTES;
    }
    return r < 0 ? r : visit(split, part);
}

int pc_format_lines_feed(struct pc_line_split *split, struct pc_bytes piece)
{
    int r = 0;
    while (piece.size > 0 && r == 0) {
        const uint8_t *end = memchr(piece.data, '\n', piece.size);
        if (!end)
            return keep(split, piece);
        struct pc_bytes part = pc_bytes_of(piece.data, (size_t)(end - piece.data));
        r = end_line(split, part);
        split->offset += split->size + 1;
        split->line++;
        split->size = 0;
        piece = pc_bytes_of(end + 1, piece.size - part.size - 1);
    }
    return r;
}

int pc_format_lines_finish(struct pc_line_split *split)
{
    return split->size > 0 ? end_line(split, pc_bytes_of(NULL, 0)) : 0;
}

void pc_format_lines_deinit(struct pc_line_split *split)
{
    free(split->buffer);
    split->buffer = NULL;
}
