/*
 * Writing: the head, each record as it comes, the tail, through one buffer. The head stands before the peers
 * in every format, so that whoever reads knows what he has before the first of them. An entry is a line, so
 * that people can read the file and compare two.
 *
 * Our own `list` is the seed's with optional members in each entry (those that say something) and the object
 * `peercache`: last_success, last_attempt, first_seen, rtt_at (RFC 3339), rtt_us, failures (an object of
 * counts by outcome), source, source_group (hex), state, bucket. "Never" is left out where it may be; the
 * seed's last_seen must be there, and is 1970 then.
 */
#include "format/format.h"

#include "base/basex.h"
#include "base/time.h"
#include "format/json_value.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BUFFER_BYTES    65536
#define ADDR_TEXT_BYTES PC_MULTIADDR_TEXT_BYTES

struct pc_format_writer {
    enum pc_format format;
    int (*write)(void *context, struct pc_bytes bytes);
    void *context;
    int error; /* the first */
    uint64_t left_out;
    bool has_entries;
    size_t size; /* in the buffer */
    uint8_t buffer[BUFFER_BYTES];
    char addr_text[ADDR_TEXT_BYTES]; /* of the address at hand */
};

/* --- bytes --- */

static void flush(struct pc_format_writer *w)
{
    if (!w->error && w->size)
        w->error = w->write(w->context, pc_bytes_of(w->buffer, w->size));
    w->size = 0;
}

static void put_bytes(struct pc_format_writer *w, const void *data, size_t size)
{
    const uint8_t *from = data;
    while (size > 0) {
        if (w->size == sizeof(w->buffer))
            flush(w);
        size_t room = sizeof(w->buffer) - w->size;
        size_t part = size < room ? size : room;
        memcpy(w->buffer + w->size, from, part);
        w->size += part;
        from += part;
        size -= part;
    }
}

static void put(struct pc_format_writer *w, const char *text)
{
    put_bytes(w, text, strlen(text));
}

static void put_number(struct pc_format_writer *w, uint64_t number)
{
    char digits[24];
    put_bytes(w, digits, (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, number));
}

/* A JSON string of UTF-8. */
static void put_string(struct pc_format_writer *w, const char *text)
{
    put(w, "\"");
    for (const char *from = text; *from;) {
        size_t plain = 0;
        while ((unsigned char)from[plain] >= ' ' && from[plain] != '"' && from[plain] != '\\')
            plain++;
        put_bytes(w, from, plain);
        from += plain;
        if (*from) {
            char escaped[8];
            (void)snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned)(unsigned char)*from++);
            put(w, escaped);
        }
    }
    put(w, "\"");
}

static void put_rfc3339(struct pc_format_writer *w, int64_t wall_ms)
{
    char text[PC_RFC3339_BYTES];
    pc_base_rfc3339_format(wall_ms, text);
    put_string(w, text);
}

static void put_system_time(struct pc_format_writer *w, int64_t wall_ms)
{
    uint64_t ms = wall_ms > 0 ? (uint64_t)wall_ms : 0;
    put(w, "{\"secs_since_epoch\":");
    put_number(w, ms / 1000);
    put(w, ",\"nanos_since_epoch\":");
    put_number(w, ms % 1000 * 1000000);
    put(w, "}");
}

static bool is_utf8(const char *text)
{
    return pc_format_is_utf8(pc_bytes_of(text, strlen(text)));
}

/* --- entries --- */

static void begin_entry(struct pc_format_writer *w)
{
    put(w, w->has_entries ? ",\n" : "\n");
    w->has_entries = true;
}

static bool is_plain_line(const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ')
            return false;
    return length > 0 && text[length - 1] != ' ';
}

/* The text of an address, in w->addr_text; whether the format can hold it. */
static bool prepare_addr(struct pc_format_writer *w, const struct pc_record *record, size_t i)
{
    bool fits = pc_addr_format_with_id(pc_addr_maddr_bytes(&record->addrs[i].addr), &record->id, w->addr_text,
                                       sizeof(w->addr_text)) == 0 &&
                (w->format == PC_FORMAT_TEXT ? is_plain_line(w->addr_text) : is_utf8(w->addr_text));
    w->left_out += !fits;
    return fits;
}

static void put_counts(struct pc_format_writer *w, const struct pc_history *history)
{
    put(w, ",\"success_count\":");
    put_number(w, history->success_count);
    put(w, ",\"failure_count\":");
    put_number(w, history->failure_count);
}

static void put_time_member(struct pc_format_writer *w, const char *name, int64_t wall_ms)
{
    if (wall_ms == 0)
        return;
    put(w, name);
    put_rfc3339(w, wall_ms);
}

static void put_failures(struct pc_format_writer *w, const struct pc_history *history)
{
    const char *before = ",\"failures\":{";
    for (unsigned i = 0; i < PEERCACHE_OUTCOME_COUNT; i++) {
        if (history->failures[i] == 0)
            continue;
        put(w, before);
        put_string(w, peercache_outcome_name((peercache_outcome)i));
        put(w, ":");
        put_number(w, history->failures[i]);
        before = ",";
    }
    if (before[1] == '\0')
        put(w, "}");
}

static void put_source(struct pc_format_writer *w, const struct pc_record_addr *addr)
{
    char hex[2 * sizeof(addr->source_group.bytes) + 1];
    put(w, ",\"source\":");
    put_string(w, peercache_source_name(addr->source));
    if (addr->source_group.size == 0)
        return;
    int r = pc_base_hex_encode(addr->source_group.bytes, addr->source_group.size, hex, sizeof(hex));
    assert(r == 0);
    (void)r;
    put(w, ",\"source_group\":");
    put_string(w, hex);
}

static void put_list_entry(struct pc_format_writer *w, const struct pc_record *record, size_t i)
{
    const struct pc_record_addr *addr = &record->addrs[i];
    const struct pc_history *history = &addr->history;
    begin_entry(w);
    put(w, "{\"addr\":");
    put_string(w, w->addr_text);
    put(w, ",\"last_seen\":");
    put_rfc3339(w, history->last_seen_ms);
    put_counts(w, history);
    put_failures(w, history);
    put_time_member(w, ",\"last_success\":", history->last_success_ms);
    put_time_member(w, ",\"last_attempt\":", history->last_attempt_ms);
    if (history->rtt_us != PC_RTT_UNKNOWN) {
        put(w, ",\"rtt_us\":");
        put_number(w, history->rtt_us);
    }
    put_time_member(w, ",\"rtt_at\":", history->rtt_at_ms);
    put_time_member(w, ",\"first_seen\":", addr->first_seen_ms);
    put_source(w, addr);
    put(w, ",\"state\":");
    put_string(w, peercache_state_name(record->state));
    put(w, ",\"bucket\":");
    put_number(w, record->bucket);
    put(w, "}");
}

/* What map and ant-v0 have of an address. */
static void put_plain_object(struct pc_format_writer *w, const struct pc_history *history)
{
    put(w, "{\"addr\":");
    put_string(w, w->addr_text);
    put_counts(w, history);
    put(w, ",\"last_seen\":");
    put_system_time(w, history->last_seen_ms);
    put(w, "}");
}

/* ant-v0 and ant-v1: a peer with its addresses. */
static void put_peer(struct pc_format_writer *w, const struct pc_record *record)
{
    char id[PC_PEER_ID_TEXT_BYTES];
    bool is_v0 = w->format == PC_FORMAT_ANT_V0;
    bool has_addrs = false;
    pc_addr_peer_id_format(&record->id, id);
    for (size_t i = 0; i < record->addr_count; i++) {
        if (!prepare_addr(w, record, i))
            continue;
        if (!has_addrs) {
            begin_entry(w);
            put(w, is_v0 ? "" : "[");
            put_string(w, id);
        }
        put(w, has_addrs ? "," : is_v0 ? ":[" : ",[");
        has_addrs = true;
        if (is_v0)
            put_plain_object(w, &record->addrs[i].history);
        else
            put_string(w, w->addr_text);
    }
    if (has_addrs)
        put(w, is_v0 ? "]" : "]]");
}

static void put_addr(struct pc_format_writer *w, const struct pc_record *record, size_t i)
{
    switch (w->format) {
    case PC_FORMAT_LIST:
        put_list_entry(w, record, i);
        return;
    case PC_FORMAT_MAP:
        begin_entry(w);
        put_string(w, w->addr_text);
        put(w, ":");
        put_plain_object(w, &record->addrs[i].history);
        return;
    case PC_FORMAT_ENDPOINT:
    case PC_FORMAT_KUBO:
        begin_entry(w);
        put_string(w, w->addr_text);
        return;
    case PC_FORMAT_TEXT:
        put(w, w->addr_text);
        put(w, "\n");
        return;
    case PC_FORMAT_ANT_V0:
    case PC_FORMAT_ANT_V1:
    case PC_FORMAT_UNKNOWN:
    case PC_FORMAT_COUNT:
        break;
    }
    assert(false); /* those are written by peer */
}

static bool needs_id(enum pc_format format)
{
    return format == PC_FORMAT_ANT_V0 || format == PC_FORMAT_ANT_V1 || format == PC_FORMAT_KUBO;
}

int pc_format_writer_record(struct pc_format_writer *w, const struct pc_record *record)
{
    if (record->id.size == 0 && needs_id(w->format)) {
        w->left_out += record->addr_count;
    } else if (w->format == PC_FORMAT_ANT_V0 || w->format == PC_FORMAT_ANT_V1) {
        put_peer(w, record);
    } else {
        for (size_t i = 0; i < record->addr_count; i++)
            if (prepare_addr(w, record, i))
                put_addr(w, record, i);
    }
    return w->error;
}

/* --- head and tail --- */

static void put_network_version(struct pc_format_writer *w, const char *network_version)
{
    if (!network_version)
        return;
    put(w, ",\n\"network_version\":");
    put_string(w, network_version);
}

static void put_metadata(struct pc_format_writer *w, const struct pc_format_writer_options *options)
{
    put(w, "{\n\"metadata\":{\"last_updated\":");
    put_rfc3339(w, options->last_updated_ms);
    if (options->description) {
        put(w, ",\"description\":");
        put_string(w, options->description);
    }
    put(w, "},\n\"peers\":[");
}

static void put_head(struct pc_format_writer *w, const struct pc_format_writer_options *options)
{
    switch (w->format) {
    case PC_FORMAT_LIST:
        put(w, "{\n\"last_updated\":");
        put_rfc3339(w, options->last_updated_ms);
        if (options->own.size) {
            put(w, ",\n\"peercache\":");
            put_bytes(w, options->own.data, options->own.size);
        }
        put(w, ",\n\"peers\":[");
        return;
    case PC_FORMAT_MAP:
    case PC_FORMAT_ANT_V0:
    case PC_FORMAT_ANT_V1:
        put(w, "{\n\"last_updated\":");
        put_system_time(w, options->last_updated_ms);
        if (w->format != PC_FORMAT_MAP)
            put_network_version(w, options->network_version);
        if (w->format == PC_FORMAT_ANT_V1)
            put(w, ",\n\"cache_version\":\"1\"");
        put(w, w->format == PC_FORMAT_ANT_V1 ? ",\n\"peers\":[" : ",\n\"peers\":{");
        return;
    case PC_FORMAT_ENDPOINT:
        put_metadata(w, options);
        return;
    case PC_FORMAT_KUBO:
        put(w, "{\n\"Bootstrap\":[");
        return;
    case PC_FORMAT_TEXT:
    case PC_FORMAT_UNKNOWN:
    case PC_FORMAT_COUNT:
        break;
    }
}

int pc_format_writer_new(const struct pc_format_writer_options *options, struct pc_format_writer **ret_writer)
{
    assert(options->format > PC_FORMAT_UNKNOWN && options->format < PC_FORMAT_COUNT);
    if ((options->network_version && !is_utf8(options->network_version)) ||
        (options->description && !is_utf8(options->description)))
        return PEERCACHE_EINVAL;
    struct pc_format_writer *w = malloc(sizeof(*w));
    if (!w)
        return PEERCACHE_ENOMEM;
    w->format = options->format;
    w->write = options->write;
    w->context = options->context;
    w->error = 0;
    w->left_out = 0;
    w->has_entries = false;
    w->size = 0;
    put_head(w, options);
    if (w->error) {
        int r = w->error;
        free(w);
        return r;
    }
    *ret_writer = w;
    return 0;
}

void pc_format_writer_free(struct pc_format_writer *writer)
{
    free(writer);
}

int pc_format_writer_end(struct pc_format_writer *w)
{
    bool is_object = w->format == PC_FORMAT_MAP || w->format == PC_FORMAT_ANT_V0;
    if (w->format != PC_FORMAT_TEXT)
        put(w, is_object ? "\n}\n}\n" : "\n]\n}\n");
    flush(w);
    return w->error;
}

uint64_t pc_format_writer_left_out(const struct pc_format_writer *writer)
{
    return writer->left_out;
}
