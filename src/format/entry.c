/*
 * Entries: an object of `list`, `map` or `ant-v0`, a pair of `ant-v1`, a text of `endpoint`, `kubo` or a
 * line. Each is small by its limits, so jansson may build its tree.
 *
 * Strict in types, lenient in words: a count that is a text refuses its entry, a kind of failure or a source
 * that a later version knows and we don't is passed over. A member that is null counts as missing, and all
 * but the address may be missing.
 */
#include "format/entry.h"

#include "addr/quote.h"
#include "base/basex.h"
#include "base/time.h"

#include <stdlib.h>

#define NS_PER_S  1000000000
#define NS_PER_MS 1000000
#define MS_PER_S  1000

/* --- jansson --- */

/* Longer runs of digits than this are over the range of 64 bits, or may be. */
#define DIGITS_MAX 18

/* Cut every long run of digits outside of strings to nines: over any range that we know, and within
 * jansson's. In place, for it only gets shorter. */
static size_t shorten_numbers(uint8_t *text, size_t size)
{
    size_t to = 0, digits = 0;
    bool in_string = false;
    for (size_t from = 0; from < size; from++) {
        uint8_t c = text[from];
        digits = !in_string && c >= '0' && c <= '9' ? digits + 1 : 0;
        if (digits > DIGITS_MAX) {
            memset(text + to - DIGITS_MAX, '9', DIGITS_MAX);
            continue;
        }
        text[to++] = c;
        if (in_string && c == '\\' && from + 1 < size)
            text[to++] = text[++from];
        else if (c == '"')
            in_string = !in_string;
    }
    return to;
}

static json_t *load(const void *text, size_t size, json_error_t *ret_error)
{
    memset(ret_error, 0, sizeof(*ret_error));
    return json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, ret_error);
}

int pc_format_json_load(struct pc_bytes text, json_t **ret_json, struct pc_reason *ret_reason)
{
    json_error_t error;
    json_t *json = load(text.data, text.size, &error);
    if (!json && json_error_code(&error) == json_error_numeric_overflow) {
        uint8_t *copy = malloc(text.size);
        if (!copy)
            return PEERCACHE_ENOMEM;
        memcpy(copy, text.data, text.size);
        json = load(copy, shorten_numbers(copy, text.size), &error);
        free(copy);
    }
    if (!json) {
        /* Of memory that is out jansson mostly says nothing, and then leaves the code unset too. */
        if (error.text[0] == '\0' || json_error_code(&error) == json_error_out_of_memory ||
            json_error_code(&error) == json_error_unknown)
            return PEERCACHE_ENOMEM;
        /* Its text quotes the input. */
        pc_base_reason(ret_reason, "%s", pc_addr_quote(pc_bytes_of(error.text, strlen(error.text))).text);
        return PEERCACHE_EPARSE;
    }
    *ret_json = json;
    return 0;
}

struct pc_bytes pc_format_string_of(const json_t *json)
{
    return pc_bytes_of(json_string_value(json), json_string_length(json));
}

int pc_format_time_read(const json_t *json, int64_t *ret_wall_ms)
{
    int64_t wall_ms;
    if (json_is_string(json)) {
        if (pc_base_rfc3339_parse(json_string_value(json), json_string_length(json), &wall_ms) < 0)
            return PEERCACHE_EPARSE;
        *ret_wall_ms = pc_base_time_max(wall_ms, 0);
        return 0;
    }
    const json_t *s = json_object_get(json, "secs_since_epoch");
    const json_t *ns = json_object_get(json, "nanos_since_epoch");
    if (!json_is_integer(s) || (ns && !json_is_integer(ns)) || json_integer_value(s) < 0 ||
        json_integer_value(ns) < 0 || json_integer_value(ns) >= NS_PER_S)
        return PEERCACHE_EPARSE;
    if (__builtin_mul_overflow((int64_t)json_integer_value(s), MS_PER_S, &wall_ms))
        wall_ms = INT64_MAX;
    *ret_wall_ms = pc_base_time_add(wall_ms, json_integer_value(ns) / NS_PER_MS);
    return 0;
}

/* --- what a refusal is, until it reaches the sink --- */

struct verdict {
    bool is_refused;
    enum pc_format_refusal refusal;
    struct pc_reason detail;
};

static void refuse(struct verdict *verdict, enum pc_format_refusal refusal, const char *detail)
{
    if (verdict->is_refused)
        return;
    verdict->is_refused = true;
    verdict->refusal = refusal;
    pc_base_reason(&verdict->detail, "%s", detail);
}

static int deliver(const struct verdict *verdict, const struct pc_format_found *found,
                   const struct pc_format_sink *sink)
{
    if (verdict->is_refused)
        return sink->refused(sink->context, verdict->refusal, verdict->detail.text);
    return sink->found(sink->context, found);
}

static int refuse_at_once(const struct pc_format_sink *sink, enum pc_format_refusal refusal,
                          const char *detail)
{
    return sink->refused(sink->context, refusal, detail);
}

/* --- an address --- */

static void found_init(struct pc_format_found *ret_found)
{
    /* The bytes of the address are set with its size. */
    ret_found->id.size = 0;
    ret_found->addr.addr.size = 0;
    pc_cache_history_init(&ret_found->addr.history);
    ret_found->addr.source = PEERCACHE_SOURCE_IMPORT;
    ret_found->addr.source_group.size = 0;
    ret_found->addr.first_seen_ms = 0;
    ret_found->has_state = false;
    ret_found->state = PEERCACHE_NEW;
    ret_found->bucket = 0;
}

/* `owner`, when known, is whose entry this is. */
static void read_addr(struct pc_bytes text, const struct pc_peer_id *owner, struct pc_format_found *found,
                      struct verdict *verdict)
{
    uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
    size_t size;
    struct pc_reason reason = { "" };
    if (text.size == 0) {
        refuse(verdict, PC_FORMAT_NO_ADDRESS, "the address is empty");
        return;
    }
    int r = pc_addr_multiaddr_parse((const char *)text.data, text.size, bytes, sizeof(bytes), &size, &reason);
    if (r < 0) {
        refuse(verdict, r == PEERCACHE_ELIMIT ? PC_FORMAT_TOO_LONG : PC_FORMAT_BAD_MULTIADDR, reason.text);
        return;
    }
    r = pc_addr_multiaddr_split(pc_bytes_of(bytes, size), &found->addr.addr, &found->id);
    if (r == PEERCACHE_ELIMIT)
        refuse(verdict, PC_FORMAT_TOO_LONG, pc_addr_quote(text).text);
    else if (r < 0)
        refuse(verdict, PC_FORMAT_BAD_PEER_ID, pc_addr_quote(text).text);
    else if (found->addr.addr.size == 0)
        refuse(verdict, PC_FORMAT_NO_ADDRESS, "a peer id alone");
    else if (owner && found->id.size && !pc_addr_peer_id_equal(&found->id, owner))
        refuse(verdict, PC_FORMAT_ID_MISMATCH, pc_addr_quote(text).text);
    else if (owner)
        found->id = *owner;
}

static int read_text_addr(struct pc_bytes text, const struct pc_peer_id *owner,
                          const struct pc_format_sink *sink)
{
    struct pc_format_found found;
    struct verdict verdict = { .is_refused = false };
    found_init(&found);
    read_addr(text, owner, &found, &verdict);
    return deliver(&verdict, &found, sink);
}

int pc_format_line_read(struct pc_bytes line, const struct pc_format_sink *sink)
{
    return read_text_addr(line, NULL, sink);
}

/* --- the members of an object --- */

static const json_t *member_of(const json_t *object, const char *name)
{
    const json_t *json = json_object_get(object, name);
    return json_is_null(json) ? NULL : json;
}

static void read_number(const json_t *json, const char *name, uint32_t greatest, uint32_t *number,
                        struct verdict *verdict)
{
    if (!json)
        return;
    if (!json_is_integer(json) || json_integer_value(json) < 0) {
        refuse(verdict, PC_FORMAT_WRONG_TYPE, name);
        return;
    }
    json_int_t value = json_integer_value(json);
    *number = value > greatest ? greatest : (uint32_t)value;
}

static void read_time(const json_t *object, const char *name, int64_t *wall_ms, struct verdict *verdict)
{
    const json_t *json = member_of(object, name);
    if (json && pc_format_time_read(json, wall_ms) < 0)
        refuse(verdict, PC_FORMAT_BAD_TIME, name);
}

/* The place of a word in a list of names; `count` when it is not in it. */
static unsigned word_of(struct pc_bytes word, const char *(*name_of)(unsigned number), unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const char *name = name_of(i);
        if (pc_bytes_equal(word, pc_bytes_of(name, strlen(name))))
            return i;
    }
    return count;
}

static const char *outcome_name(unsigned number)
{
    return peercache_outcome_name((peercache_outcome)number);
}

static const char *source_name(unsigned number)
{
    return peercache_source_name((peercache_source)number);
}

static const char *state_name(unsigned number)
{
    return peercache_state_name((peercache_state)number);
}

/* The number of a word; `count` when there is none or we don't know it. */
static unsigned read_word(const json_t *object, const char *name, const char *(*name_of)(unsigned number),
                          unsigned count, struct verdict *verdict)
{
    const json_t *json = member_of(object, name);
    if (json && !json_is_string(json))
        refuse(verdict, PC_FORMAT_WRONG_TYPE, name);
    return json_is_string(json) ? word_of(pc_format_string_of(json), name_of, count) : count;
}

static void read_failures(const json_t *object, struct pc_history *history, struct verdict *verdict)
{
    const json_t *json = member_of(object, "failures");
    if (!json)
        return;
    if (!json_is_object(json)) {
        refuse(verdict, PC_FORMAT_WRONG_TYPE, "failures");
        return;
    }
    for (unsigned i = 0; i < PEERCACHE_OUTCOME_COUNT; i++)
        read_number(member_of(json, outcome_name(i)), "failures", UINT32_MAX, &history->failures[i], verdict);
}

static void read_source(const json_t *object, struct pc_record_addr *addr, struct verdict *verdict)
{
    unsigned source = read_word(object, "source", source_name, PEERCACHE_SOURCE_COUNT, verdict);
    if (source < PEERCACHE_SOURCE_COUNT)
        addr->source = (peercache_source)source;
    const json_t *json = member_of(object, "source_group");
    if (!json)
        return;
    size_t size = 0;
    if (!json_is_string(json) ||
        pc_base_hex_decode(json_string_value(json), json_string_length(json), addr->source_group.bytes,
                           sizeof(addr->source_group.bytes), &size) < 0)
        refuse(verdict, PC_FORMAT_WRONG_TYPE, "source_group");
    else
        addr->source_group.size = (uint8_t)size;
}

static void read_history(const json_t *object, struct pc_format_found *found, struct verdict *verdict)
{
    struct pc_history *history = &found->addr.history;
    read_number(member_of(object, "success_count"), "success_count", UINT32_MAX, &history->success_count,
                verdict);
    read_number(member_of(object, "failure_count"), "failure_count", UINT32_MAX, &history->failure_count,
                verdict);
    read_time(object, "last_seen", &history->last_seen_ms, verdict);
    read_failures(object, history, verdict);
    read_time(object, "last_success", &history->last_success_ms, verdict);
    read_time(object, "last_attempt", &history->last_attempt_ms, verdict);
    read_number(member_of(object, "rtt_us"), "rtt_us", PC_RTT_UNKNOWN - 1, &history->rtt_us, verdict);
    read_time(object, "rtt_at", &history->rtt_at_ms, verdict);
    read_time(object, "first_seen", &found->addr.first_seen_ms, verdict);
    read_source(object, &found->addr, verdict);
    unsigned state = read_word(object, "state", state_name, PEERCACHE_STATE_COUNT, verdict);
    found->has_state = state < PEERCACHE_STATE_COUNT;
    if (found->has_state)
        found->state = (peercache_state)state;
    read_number(member_of(object, "bucket"), "bucket", UINT32_MAX, &found->bucket, verdict);
}

/* `key`: of map, the address where the object has none; else NULL. */
static int read_object(const json_t *object, const json_t *key, const struct pc_peer_id *owner,
                       const struct pc_format_sink *sink)
{
    struct pc_format_found found;
    struct verdict verdict = { .is_refused = false };
    if (!json_is_object(object))
        return refuse_at_once(sink, PC_FORMAT_WRONG_TYPE, "an entry is no object");
    const json_t *addr = member_of(object, "addr");
    if (!addr)
        addr = key;
    if (!addr)
        return refuse_at_once(sink, PC_FORMAT_NO_ADDRESS, "an entry without addr");
    if (!json_is_string(addr))
        return refuse_at_once(sink, PC_FORMAT_WRONG_TYPE, "addr");
    found_init(&found);
    read_addr(pc_format_string_of(addr), owner, &found, &verdict);
    if (!verdict.is_refused)
        read_history(object, &found, &verdict);
    return deliver(&verdict, &found, sink);
}

/* --- the entries --- */

/* [ID, [address, …]], each a text or an object. */
static int read_peer(const json_t *pair, bool has_objects, const struct pc_format_sink *sink)
{
    const json_t *name = json_array_get(pair, 0);
    const json_t *addrs = json_array_get(pair, 1);
    struct pc_peer_id owner;
    struct pc_reason reason;
    int r = 0;
    if (json_array_size(pair) != 2 || !json_is_string(name) || !json_is_array(addrs))
        return refuse_at_once(sink, PC_FORMAT_WRONG_TYPE, "an entry is no peer id with its addresses");
    if (pc_addr_peer_id_parse(json_string_value(name), json_string_length(name), &owner, &reason) < 0)
        return refuse_at_once(sink, PC_FORMAT_BAD_PEER_ID, reason.text);
    if (json_array_size(addrs) == 0)
        return refuse_at_once(sink, PC_FORMAT_NO_ADDRESS, "a peer without addresses");
    for (size_t i = 0; i < json_array_size(addrs) && r == 0; i++) {
        const json_t *addr = json_array_get(addrs, i);
        if (i >= PC_FORMAT_ADDRS_MAX)
            r = refuse_at_once(sink, PC_FORMAT_TOO_MANY, "beyond what is read of one peer");
        else if (has_objects)
            r = read_object(addr, NULL, &owner, sink);
        else if (json_is_string(addr))
            r = read_text_addr(pc_format_string_of(addr), &owner, sink);
        else
            r = refuse_at_once(sink, PC_FORMAT_WRONG_TYPE, "an address is no text");
    }
    return r;
}

static int read_json(enum pc_format format, const json_t *json, const struct pc_format_sink *sink)
{
    switch (format) {
    case PC_FORMAT_LIST:
        return read_object(json, NULL, NULL, sink);
    case PC_FORMAT_MAP:
        return read_object(json_array_get(json, 1), json_array_get(json, 0), NULL, sink);
    case PC_FORMAT_ANT_V0:
        return read_peer(json, true, sink);
    case PC_FORMAT_ANT_V1:
        return read_peer(json, false, sink);
    case PC_FORMAT_ENDPOINT:
    case PC_FORMAT_KUBO:
        if (!json_is_string(json))
            return refuse_at_once(sink, PC_FORMAT_WRONG_TYPE, "an address is no text");
        return read_text_addr(pc_format_string_of(json), NULL, sink);
    case PC_FORMAT_UNKNOWN:
    case PC_FORMAT_TEXT:
    case PC_FORMAT_COUNT:
        break;
    }
    /* No element before has shown the format, and this one doesn't either. */
    return refuse_at_once(sink, PC_FORMAT_WRONG_TYPE, "an entry of no known format");
}

int pc_format_entry_read(enum pc_format format, struct pc_bytes element, const struct pc_format_sink *sink)
{
    json_t *json;
    struct pc_reason reason;
    int r = pc_format_json_load(element, &json, &reason);
    if (r == PEERCACHE_EPARSE)
        return refuse_at_once(sink, PC_FORMAT_BAD_JSON, reason.text);
    if (r < 0)
        return r;
    r = read_json(format, json, sink);
    json_decref(json);
    return r;
}
