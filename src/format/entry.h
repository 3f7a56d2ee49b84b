/* One entry of a document, alone: what it says of which addresses. */
#ifndef PC_FORMAT_ENTRY_H
#define PC_FORMAT_ENTRY_H

#include "format/json_split.h"

#include <jansson.h>

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

/* The text of one element of a document of this format (not TEXT). ENOMEM, or what the sink returned. */
int pc_format_entry_read(enum pc_format format, struct pc_bytes element, const struct pc_format_sink *sink);
/* A multiaddr in text, the whole of a line. As above. */
int pc_format_line_read(struct pc_bytes line, const struct pc_format_sink *sink);

/* jansson's reading of a piece; integers over its range become the greatest it holds. EPARSE with reason;
 * ENOMEM. The caller owns *ret_json. */
int pc_format_json_load(struct pc_bytes text, json_t **ret_json, struct pc_reason *ret_reason);
/* RFC 3339 or {"secs_since_epoch","nanos_since_epoch"}; before 1970 is 0. EPARSE. */
int pc_format_time_read(const json_t *json, int64_t *ret_wall_ms);
/* The text of a JSON string, borrowed from it. */
struct pc_bytes pc_format_string_of(const json_t *json);

#endif
