/* One entry of a document, alone: what it says of which addresses. */
#ifndef PC_FORMAT_ENTRY_H
#define PC_FORMAT_ENTRY_H

#include "format/format.h"
#include "format/json_value.h"

/* An address as an entry gives it. */
struct pc_format_found {
    struct pc_peer_id id;
    struct pc_record_addr addr;
    bool has_state;
    peercache_state state;
    uint32_t bucket;
};

/* Where an entry's addresses go, each to one of the two; other than 0 ends the entry and is returned. */
struct pc_format_sink {
    int (*found)(void *context, const struct pc_format_found *found);
    int (*refused)(void *context, enum pc_format_refusal refusal, const char *detail);
    void *context;
};

/* The text of one element of a document of this format (not TEXT), of a member of an object as [NAME,VALUE].
 * The bytes are written to. What the sink returned. */
int pc_format_entry_read(enum pc_format format, uint8_t *element, size_t size,
                         const struct pc_format_sink *sink);
/* A multiaddr in text, the whole of a line. As above. */
int pc_format_line_read(struct pc_bytes line, const struct pc_format_sink *sink);

#endif
