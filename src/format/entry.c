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

#define NS_PER_S  1000000000
#define NS_PER_MS 1000000
#define MS_PER_S  1000

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

enum entry_member {
    ADDR,
    SUCCESS_COUNT,
    FAILURE_COUNT,
    LAST_SEEN,
    FAILURES,
    LAST_SUCCESS,
    LAST_ATTEMPT,
    RTT_US,
    RTT_AT,
    FIRST_SEEN,
    SOURCE,
    SOURCE_GROUP,
    STATE,
    BUCKET,
    ENTRY_MEMBER_COUNT,
};

static const char *member_name(unsigned number)
{
    static const char *const names[ENTRY_MEMBER_COUNT] = {
        [ADDR] = "addr",
        [SUCCESS_COUNT] = "success_count",
        [FAILURE_COUNT] = "failure_count",
        [LAST_SEEN] = "last_seen",
        [FAILURES] = "failures",
        [LAST_SUCCESS] = "last_success",
        [LAST_ATTEMPT] = "last_attempt",
        [RTT_US] = "rtt_us",
        [RTT_AT] = "rtt_at",
        [FIRST_SEEN] = "first_seen",
        [SOURCE] = "source",
        [SOURCE_GROUP] = "source_group",
        [STATE] = "state",
        [BUCKET] = "bucket",
    };
    return names[number];
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

/* The place of a word in a list of names; `count` when it is not in it. */
static unsigned word_of(struct pc_bytes word, const char *(*name_of)(unsigned number), unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const char *name = name_of(i);
        if (strlen(name) == word.size && memcmp(name, word.data, word.size) == 0)
            return i;
    }
    return count;
}

static void refuse_type(struct pc_value *value, const char *name, struct verdict *verdict)
{
    pc_format_value_skip(value);
    refuse(verdict, PC_FORMAT_WRONG_TYPE, name);
}

static void read_number(struct pc_value *value, const char *name, uint32_t greatest, uint32_t *number,
                        struct verdict *verdict)
{
    int64_t read;
    if (pc_format_value_kind(value) != '0')
        refuse_type(value, name, verdict);
    else if (!pc_format_value_integer(value, &read) || read < 0)
        refuse(verdict, PC_FORMAT_WRONG_TYPE, name);
    else
        *number = read > greatest ? greatest : (uint32_t)read;
}

static void read_time(struct pc_value *value, const char *name, int64_t *wall_ms, struct verdict *verdict)
{
    if (pc_format_value_time(value, wall_ms) < 0)
        refuse(verdict, PC_FORMAT_BAD_TIME, name);
}

/* The number of a word; `count` when we don't know it. */
static unsigned read_word(struct pc_value *value, const char *name, const char *(*name_of)(unsigned number),
                          unsigned count, struct verdict *verdict)
{
    if (pc_format_value_kind(value) == '"')
        return word_of(pc_format_value_string(value), name_of, count);
    refuse_type(value, name, verdict);
    return count;
}

static void read_failures(struct pc_value *value, struct pc_history *history, struct verdict *verdict)
{
    if (pc_format_value_kind(value) != '{') {
        refuse_type(value, "failures", verdict);
        return;
    }
    pc_format_value_enter(value);
    while (pc_format_value_next(value)) {
        unsigned outcome = word_of(pc_format_value_name(value), outcome_name, PEERCACHE_OUTCOME_COUNT);
        if (outcome < PEERCACHE_OUTCOME_COUNT)
            read_number(value, "failures", UINT32_MAX, &history->failures[outcome], verdict);
        else
            pc_format_value_skip(value);
    }
}

static void read_group(struct pc_value *value, struct pc_netgroup *group, struct verdict *verdict)
{
    size_t size;
    if (pc_format_value_kind(value) != '"') {
        refuse_type(value, "source_group", verdict);
        return;
    }
    struct pc_bytes hex = pc_format_value_string(value);
    if (pc_base_hex_decode((const char *)hex.data, hex.size, group->bytes, sizeof(group->bytes), &size) < 0)
        refuse(verdict, PC_FORMAT_WRONG_TYPE, "source_group");
    else
        group->size = (uint8_t)size;
}

static void read_member(struct pc_value *value, enum entry_member member, const struct pc_peer_id *owner,
                        struct pc_format_found *found, struct verdict *verdict)
{
    struct pc_record_addr *addr = &found->addr;
    struct pc_history *history = &addr->history;
    const char *name = member_name(member);
    unsigned word;
    switch (member) {
    case ADDR:
        if (pc_format_value_kind(value) == '"')
            read_addr(pc_format_value_string(value), owner, found, verdict);
        else
            refuse_type(value, name, verdict);
        return;
    case SUCCESS_COUNT:
        read_number(value, name, UINT32_MAX, &history->success_count, verdict);
        return;
    case FAILURE_COUNT:
        read_number(value, name, UINT32_MAX, &history->failure_count, verdict);
        return;
    case LAST_SEEN:
        read_time(value, name, &history->last_seen_ms, verdict);
        return;
    case FAILURES:
        read_failures(value, history, verdict);
        return;
    case LAST_SUCCESS:
        read_time(value, name, &history->last_success_ms, verdict);
        return;
    case LAST_ATTEMPT:
        read_time(value, name, &history->last_attempt_ms, verdict);
        return;
    case RTT_US:
        read_number(value, name, PC_RTT_UNKNOWN - 1, &history->rtt_us, verdict);
        return;
    case RTT_AT:
        read_time(value, name, &history->rtt_at_ms, verdict);
        return;
    case FIRST_SEEN:
        read_time(value, name, &addr->first_seen_ms, verdict);
        return;
    case SOURCE:
        word = read_word(value, name, source_name, PEERCACHE_SOURCE_COUNT, verdict);
        if (word < PEERCACHE_SOURCE_COUNT)
            addr->source = (peercache_source)word;
        return;
    case SOURCE_GROUP:
        read_group(value, &addr->source_group, verdict);
        return;
    case STATE:
        word = read_word(value, name, state_name, PEERCACHE_STATE_COUNT, verdict);
        found->has_state = word < PEERCACHE_STATE_COUNT;
        if (found->has_state)
            found->state = (peercache_state)word;
        return;
    case BUCKET:
        read_number(value, name, UINT32_MAX, &found->bucket, verdict);
        return;
    case ENTRY_MEMBER_COUNT:
        break;
    }
    pc_format_value_skip(value);
}

/* `key`: of map, the address where the object has none; else empty. */
static int read_object(struct pc_value *value, struct pc_bytes key, const struct pc_peer_id *owner,
                       const struct pc_format_sink *sink)
{
    struct pc_format_found found;
    struct verdict verdict = { .is_refused = false };
    unsigned seen = 0;
    if (pc_format_value_kind(value) != '{') {
        pc_format_value_skip(value);
        return refuse_at_once(sink, PC_FORMAT_WRONG_TYPE, "an entry is no object");
    }
    found_init(&found);
    pc_format_value_enter(value);
    while (pc_format_value_next(value)) {
        unsigned member = word_of(pc_format_value_name(value), member_name, ENTRY_MEMBER_COUNT);
        if (member == ENTRY_MEMBER_COUNT || pc_format_value_kind(value) == 'n') {
            pc_format_value_skip(value);
            continue;
        }
        if (seen & 1U << member)
            refuse(&verdict, PC_FORMAT_BAD_JSON, "a member stands twice");
        seen |= 1U << member;
        read_member(value, (enum entry_member)member, owner, &found, &verdict);
    }
    if (!(seen & 1U << ADDR) && key.data)
        read_addr(key, owner, &found, &verdict);
    else if (!(seen & 1U << ADDR))
        refuse(&verdict, PC_FORMAT_NO_ADDRESS, "an entry without addr");
    return deliver(&verdict, &found, sink);
}

/* --- the entries --- */

static int read_address(struct pc_value *value, const struct pc_peer_id *owner,
                        const struct pc_format_sink *sink)
{
    if (pc_format_value_kind(value) == '"')
        return read_text_addr(pc_format_value_string(value), owner, sink);
    pc_format_value_skip(value);
    return refuse_at_once(sink, PC_FORMAT_WRONG_TYPE, "an address is no text");
}

static int read_addresses(struct pc_value *value, bool are_objects, const struct pc_peer_id *owner,
                          const struct pc_format_sink *sink)
{
    size_t count = 0;
    int r = 0;
    pc_format_value_enter(value);
    while (r == 0 && pc_format_value_next(value)) {
        if (++count > PC_FORMAT_ADDRS_MAX) {
            pc_format_value_skip(value);
            r = refuse_at_once(sink, PC_FORMAT_TOO_MANY, "beyond what is read of one peer");
        } else if (are_objects) {
            r = read_object(value, pc_bytes_of(NULL, 0), owner, sink);
        } else {
            r = read_address(value, owner, sink);
        }
    }
    return r == 0 && count == 0 ? refuse_at_once(sink, PC_FORMAT_NO_ADDRESS, "a peer without addresses") : r;
}

/* How many elements an array has. */
static size_t count_of(struct pc_value value)
{
    size_t count = 0;
    pc_format_value_enter(&value);
    for (; pc_format_value_next(&value); count++)
        pc_format_value_skip(&value);
    return count;
}

/* [ID, [address, …]], each a text or an object. */
static int read_peer(struct pc_value *value, bool has_objects, const struct pc_format_sink *sink)
{
    static const char wrong[] = "an entry is no peer id with its addresses";
    struct pc_peer_id owner;
    struct pc_reason reason;
    if (pc_format_value_kind(value) != '[' || count_of(*value) != 2)
        return refuse_at_once(sink, PC_FORMAT_WRONG_TYPE, wrong);
    pc_format_value_enter(value);
    (void)pc_format_value_next(value);
    if (pc_format_value_kind(value) != '"')
        return refuse_at_once(sink, PC_FORMAT_WRONG_TYPE, wrong);
    struct pc_bytes name = pc_format_value_string(value);
    (void)pc_format_value_next(value);
    if (pc_format_value_kind(value) != '[')
        return refuse_at_once(sink, PC_FORMAT_WRONG_TYPE, wrong);
    if (pc_addr_peer_id_parse((const char *)name.data, name.size, &owner, &reason) < 0)
        return refuse_at_once(sink, PC_FORMAT_BAD_PEER_ID, reason.text);
    return read_addresses(value, has_objects, &owner, sink);
}

/* [ADDR, {…}] */
static int read_keyed(struct pc_value *value, const struct pc_format_sink *sink)
{
    pc_format_value_enter(value);
    (void)pc_format_value_next(value);
    struct pc_bytes key = pc_format_value_string(value);
    (void)pc_format_value_next(value);
    return read_object(value, key, NULL, sink);
}

int pc_format_entry_read(enum pc_format format, uint8_t *element, size_t size,
                         const struct pc_format_sink *sink)
{
    struct pc_reason reason;
    struct pc_value value = pc_format_value_of(element, size);
    if (pc_format_value_check(element, size, &reason) < 0)
        return refuse_at_once(sink, PC_FORMAT_BAD_JSON, reason.text);
    switch (format) {
    case PC_FORMAT_LIST:
        return read_object(&value, pc_bytes_of(NULL, 0), NULL, sink);
    case PC_FORMAT_MAP:
        return read_keyed(&value, sink);
    case PC_FORMAT_ANT_V0:
        return read_peer(&value, true, sink);
    case PC_FORMAT_ANT_V1:
        return read_peer(&value, false, sink);
    case PC_FORMAT_ENDPOINT:
    case PC_FORMAT_KUBO:
        return read_address(&value, NULL, sink);
    case PC_FORMAT_UNKNOWN:
    case PC_FORMAT_TEXT:
    case PC_FORMAT_COUNT:
        break;
    }
    /* No element before has shown the format, and this one doesn't either. */
    return refuse_at_once(sink, PC_FORMAT_WRONG_TYPE, "an entry of no known format");
}
