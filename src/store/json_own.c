/*
 * Our object `peercache`, to and from a document. Strict where the merging rests on it (network, secret,
 * ledger, tombstones): a member that is not what it should be makes the object not whole. Members that we
 * don't know are passed over.
 */
#include "store/json_text.h"

#include "base/basex.h"
#include "base/time.h"
#include "format/json_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_CAPACITY 4096

const char *pc_json_mode_name(enum pc_netgroup_mode mode)
{
    return mode == PC_NETGROUP_LOCAL ? "local" : "public";
}

static int fail(struct pc_reason *ret_reason, const char *member)
{
    pc_base_reason(ret_reason, "its object peercache is damaged: %s", member);
    return PEERCACHE_ECORRUPT;
}

static bool is_word(struct pc_bytes text, const char *word)
{
    return pc_bytes_equal(text, pc_bytes_of(word, strlen(word)));
}

/* --- writing: a text that grows; memory that is out sticks --- */

struct text {
    char *data; /* NULL: memory was out */
    size_t size, capacity;
};

static void put(struct text *text, const void *data, size_t size)
{
    if (text->data && text->size + size + 1 > text->capacity) {
        size_t capacity = 2 * (text->size + size + 1);
        char *larger = realloc(text->data, capacity);
        if (!larger)
            free(text->data);
        text->data = larger;
        text->capacity = capacity;
    }
    if (!text->data)
        return;
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = '\0';
}

static void put_text(struct text *text, const char *words)
{
    put(text, words, strlen(words));
}

static void put_number(struct text *text, uint64_t number)
{
    char digits[24];
    put(text, digits, (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, number));
}

/* A JSON string of UTF-8. */
static void put_string(struct text *text, const char *words)
{
    put_text(text, "\"");
    for (; *words; words++) {
        char escaped[8];
        if ((unsigned char)*words >= ' ' && *words != '"' && *words != '\\')
            put(text, words, 1);
        else
            put(text, escaped,
                (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned)(unsigned char)*words));
    }
    put_text(text, "\"");
}

static void put_hex(struct text *text, const uint8_t *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    char piece[512];
    put_text(text, "\"");
    for (size_t i = 0, length = 0; i < size; i++) {
        piece[length++] = digits[data[i] >> 4];
        piece[length++] = digits[data[i] & 15];
        if (length == sizeof(piece) || i + 1 == size) {
            put(text, piece, length);
            length = 0;
        }
    }
    put_text(text, "\"");
}

/* Up to the secret, what salvage looks for. */
static void put_head(struct text *text, const char *network, enum pc_netgroup_mode mode)
{
    put_text(text, "{\"version\":");
    put_number(text, PC_JSON_VERSION);
    put_text(text, ",\"network\":");
    put_string(text, network);
    put_text(text, ",\"mode\":");
    put_string(text, pc_json_mode_name(mode));
    put_text(text, ",\"secret\":");
}

static void put_ledger(struct text *text, const struct pc_json_document *document)
{
    put_text(text, ",\"ledger\":[");
    for (const struct pc_json_writer *writer = document->first_writer; writer; writer = writer->next) {
        uint8_t id[8];
        for (size_t i = 0; i < sizeof(id); i++)
            id[i] = (uint8_t)(writer->id >> (56 - 8 * i));
        put_text(text, writer->previous ? ",[" : "[");
        put_hex(text, id, sizeof(id));
        put_text(text, ",");
        put_number(text, writer->sequence > INT64_MAX ? INT64_MAX : writer->sequence);
        put_text(text, "]");
    }
    put_text(text, "]");
}

static void put_tombstone(struct text *text, const struct pc_json_tombstone *tombstone, char *addr_text)
{
    char id_text[PC_PEER_ID_TEXT_BYTES], removed[PC_RFC3339_BYTES];
    struct pc_bytes key = pc_json_tombstone_key(tombstone), addr = pc_json_tombstone_addr(tombstone);
    struct pc_peer_id id;
    pc_cache_key_id(key, &id);
    if (id.size == 0)
        addr = pc_bytes_of(key.data + 1, key.size - 1);
    /* One that no text can be made of, or no UTF-8, is not kept: nor was its address. */
    if (addr.size && (pc_addr_multiaddr_format(addr, addr_text, PC_MULTIADDR_TEXT_BYTES, NULL) ||
                      !pc_format_is_utf8(pc_bytes_of(addr_text, strlen(addr_text)))))
        return;
    put_text(text, text->data && text->data[text->size - 1] == '[' ? "{" : ",{");
    if (id.size) {
        pc_addr_peer_id_format(&id, id_text);
        put_text(text, "\"peer\":");
        put_string(text, id_text);
        put_text(text, ",");
    }
    if (addr.size) {
        put_text(text, "\"addr\":");
        put_string(text, addr_text);
        put_text(text, ",");
    }
    pc_base_rfc3339_format(tombstone->removed_ms, removed);
    put_text(text, "\"removed\":");
    put_string(text, removed);
    put_text(text, "}");
}

static void put_bans(struct text *text, const struct pc_json_document *document)
{
    put_text(text, ",\"bans\":[");
    for (size_t i = 0; i < document->ban_count; i++) {
        char ban_text[PC_CACHE_BAN_TEXT_BYTES];
        pc_cache_ban_format(&document->bans[i], ban_text);
        put_text(text, i ? ",[" : "[");
        put_string(text, ban_text);
        put_text(text, ",");
        put_number(text, (uint64_t)document->bans[i].since_ms);
        put_text(text, "]");
    }
    put_text(text, "]");
}

char *pc_json_own_write(const struct pc_json_document *document)
{
    struct text text = { .data = malloc(FIRST_CAPACITY), .capacity = FIRST_CAPACITY };
    char *addr_text = malloc(PC_MULTIADDR_TEXT_BYTES);
    if (!addr_text) {
        free(text.data);
        return NULL;
    }
    put_head(&text, document->network, document->mode);
    put_hex(&text, document->secret, sizeof(document->secret));
    put_text(&text, ",\"change\":");
    put_number(&text, (uint64_t)document->change);
    put_ledger(&text, document);
    put_text(&text, ",\"tombstones\":[");
    for (const struct pc_json_tombstone *t = document->first_tombstone; t; t = t->next)
        put_tombstone(&text, t, addr_text);
    put_text(&text, "],\"meta\":{");
    for (const struct pc_json_meta *meta = document->meta; meta; meta = meta->next) {
        put_string(&text, meta->key);
        put_text(&text, ":");
        put_hex(&text, meta->value, meta->value_size);
        put_text(&text, meta->next ? "," : "");
    }
    put_text(&text, "}");
    if (document->ban_count)
        put_bans(&text, document);
    put_text(&text, "}");
    free(addr_text);
    return text.data;
}

/* --- reading --- */

/* A text of hex, as many bytes as it must have. */
static bool read_hex(struct pc_value *value, uint8_t *ret_data, size_t size)
{
    size_t got = 0;
    if (pc_format_value_kind(value) != '"')
        return false;
    struct pc_bytes hex = pc_format_value_string(value);
    return pc_base_hex_decode((const char *)hex.data, hex.size, ret_data, size, &got) == 0 && got == size;
}

static bool read_count(struct pc_value *value, int64_t *ret_number)
{
    return pc_format_value_kind(value) == '0' && pc_format_value_integer(value, ret_number) &&
           *ret_number >= 0;
}

static int read_ledger(struct pc_value *value, struct pc_json_document *document,
                       struct pc_reason *ret_reason)
{
    if (pc_format_value_kind(value) != '[')
        return fail(ret_reason, "ledger");
    pc_format_value_enter(value);
    while (pc_format_value_next(value)) {
        uint8_t bytes[8];
        uint64_t id = 0;
        int64_t sequence = 0;
        if (pc_format_value_kind(value) != '[')
            return fail(ret_reason, "ledger");
        pc_format_value_enter(value);
        if (!pc_format_value_next(value) || !read_hex(value, bytes, sizeof(bytes)) ||
            !pc_format_value_next(value) || !read_count(value, &sequence) || pc_format_value_next(value))
            return fail(ret_reason, "ledger");
        for (size_t i = 0; i < sizeof(bytes); i++)
            id = id << 8 | bytes[i];
        int result = pc_json_document_enter(document, id, (uint64_t)sequence);
        if (result)
            return result;
    }
    return 0;
}

static bool read_tombstone_members(struct pc_value *value, struct pc_peer_id *id, struct pc_maddr *addr,
                                   int64_t *removed_ms)
{
    bool has_time = false;
    pc_format_value_enter(value);
    while (pc_format_value_next(value)) {
        struct pc_bytes name = pc_format_value_name(value);
        bool is_text = pc_format_value_kind(value) == '"';
        if (is_word(name, "removed")) {
            has_time = pc_format_value_time(value, removed_ms) == 0;
        } else if (is_word(name, "peer") || is_word(name, "addr")) {
            struct pc_bytes text = is_text ? pc_format_value_string(value) : pc_bytes_of("", 0);
            int result = is_word(name, "peer")
                             ? pc_addr_peer_id_parse((const char *)text.data, text.size, id, NULL)
                             : pc_addr_maddr_parse((const char *)text.data, text.size, addr, NULL);
            if (result)
                return false;
        } else {
            pc_format_value_skip(value);
        }
    }
    return has_time && (id->size || addr->size);
}

static int read_tombstones(struct pc_value *value, struct pc_json_document *document,
                           struct pc_reason *ret_reason)
{
    if (pc_format_value_kind(value) != '[')
        return fail(ret_reason, "tombstones");
    pc_format_value_enter(value);
    while (pc_format_value_next(value)) {
        struct pc_peer_id id = { .size = 0 };
        struct pc_maddr addr = { .size = 0 };
        struct pc_cache_key key;
        int64_t removed_ms = 0;
        if (pc_format_value_kind(value) != '{' || !read_tombstone_members(value, &id, &addr, &removed_ms))
            return fail(ret_reason, "tombstones");
        pc_cache_key_of(&id, pc_addr_maddr_bytes(&addr), &key);
        int result =
            pc_json_document_bury(document, pc_cache_key_bytes(&key),
                                  id.size ? pc_addr_maddr_bytes(&addr) : pc_bytes_of(NULL, 0), removed_ms);
        if (result)
            return result;
    }
    return pc_json_document_trim_tombstones(document);
}

static int read_meta(struct pc_value *value, struct pc_json_document *document, struct pc_reason *ret_reason)
{
    if (pc_format_value_kind(value) != '{')
        return fail(ret_reason, "meta");
    pc_format_value_enter(value);
    while (pc_format_value_next(value)) {
        struct pc_bytes key = pc_format_value_name(value);
        if (pc_format_value_kind(value) != '"')
            return fail(ret_reason, "meta");
        struct pc_bytes hex = pc_format_value_string(value);
        size_t size = 0;
        uint8_t *bytes = malloc(hex.size / 2 + 1);
        if (!bytes)
            return PEERCACHE_ENOMEM;
        int result = pc_base_hex_decode((const char *)hex.data, hex.size, bytes, hex.size / 2 + 1, &size);
        if (result == 0)
            result = pc_json_document_meta_put(document, key, pc_bytes_of(bytes, size));
        free(bytes);
        if (result)
            return result == PEERCACHE_ENOMEM ? result : fail(ret_reason, "meta");
    }
    return 0;
}

static int read_bans(struct pc_value *value, struct pc_json_document *document, struct pc_reason *ret_reason)
{
    if (pc_format_value_kind(value) != '[')
        return fail(ret_reason, "bans");
    pc_format_value_enter(value);
    while (pc_format_value_next(value)) {
        struct pc_ban ban;
        if (pc_format_value_kind(value) != '[')
            return fail(ret_reason, "bans");
        pc_format_value_enter(value);
        if (!pc_format_value_next(value) || pc_format_value_kind(value) != '"')
            return fail(ret_reason, "bans");
        struct pc_bytes text = pc_format_value_string(value);
        if (pc_cache_ban_parse((const char *)text.data, text.size, &ban, NULL) ||
            !pc_format_value_next(value) || !read_count(value, &ban.since_ms) || pc_format_value_next(value))
            return fail(ret_reason, "bans");
        int result = pc_json_document_ban(document, &ban);
        if (result)
            return result == PEERCACHE_ENOMEM ? result : fail(ret_reason, "bans");
    }
    return 0;
}

/* What the members of the object say of whose it is; a bit each of those that were there. */
enum seen {
    SEEN_VERSION = 1,
    SEEN_NETWORK = 2,
    SEEN_MODE = 4,
    SEEN_LEDGER = 8,
    SEEN_TOMBSTONES = 16,
    SEEN_CHANGE = 32,
    SEEN_ALL = 63,
};

struct identity {
    char network[PC_JSON_NETWORK_BYTES];
    bool is_local;
    unsigned seen;
};

static bool read_network(struct pc_value *value, struct identity *identity)
{
    struct pc_bytes text =
        pc_format_value_kind(value) == '"' ? pc_format_value_string(value) : pc_bytes_of("", 0);
    if (text.size == 0 || text.size >= PC_JSON_NETWORK_BYTES)
        return false;
    memcpy(identity->network, text.data, text.size);
    identity->network[text.size] = '\0';
    identity->seen |= SEEN_NETWORK;
    return true;
}

static bool read_mode(struct pc_value *value, struct identity *identity)
{
    struct pc_bytes text =
        pc_format_value_kind(value) == '"' ? pc_format_value_string(value) : pc_bytes_of("", 0);
    identity->is_local = is_word(text, "local");
    identity->seen |= SEEN_MODE;
    return identity->is_local || is_word(text, "public");
}

static int read_member(struct pc_value *value, struct pc_bytes name, struct pc_json_document *document,
                       struct identity *identity, struct pc_reason *ret_reason)
{
    int64_t number = 0;
    if (is_word(name, "version")) {
        if (!read_count(value, &number) || number == 0)
            return fail(ret_reason, "version");
        document->version = number;
        identity->seen |= SEEN_VERSION;
    } else if (is_word(name, "change")) {
        if (!read_count(value, &number))
            return fail(ret_reason, "change");
        document->change = number < INT64_MAX ? number : 0;
        identity->seen |= SEEN_CHANGE;
    } else if (is_word(name, "network")) {
        return read_network(value, identity) ? 0 : fail(ret_reason, "network");
    } else if (is_word(name, "mode")) {
        return read_mode(value, identity) ? 0 : fail(ret_reason, "mode");
    } else if (is_word(name, "secret")) {
        document->has_secret = read_hex(value, document->secret, sizeof(document->secret));
        return document->has_secret ? 0 : fail(ret_reason, "secret");
    } else if (is_word(name, "ledger")) {
        identity->seen |= SEEN_LEDGER;
        return read_ledger(value, document, ret_reason);
    } else if (is_word(name, "tombstones")) {
        identity->seen |= SEEN_TOMBSTONES;
        return read_tombstones(value, document, ret_reason);
    } else if (is_word(name, "meta")) {
        return read_meta(value, document, ret_reason);
    } else if (is_word(name, "bans")) {
        return read_bans(value, document, ret_reason);
    } else {
        pc_format_value_skip(value);
    }
    return 0;
}

/* Whose it is decides before what is damaged. */
static int judge_identity(const struct identity *identity, const struct pc_json_wanted *wanted,
                          struct pc_json_document *document, struct pc_reason *ret_reason)
{
    const unsigned both = SEEN_NETWORK | SEEN_MODE;
    if ((identity->seen & both) != both)
        return 0;
    const char *mode = identity->is_local ? "local" : "public";
    if (strcmp(identity->network, wanted->network) || strcmp(mode, pc_json_mode_name(wanted->mode))) {
        pc_base_reason(ret_reason, "the cache of network \"%.40s\" (%s), not of \"%.40s\" (%s)",
                       identity->network, mode, wanted->network, pc_json_mode_name(wanted->mode));
        return PEERCACHE_ENETWORK;
    }
    memcpy(document->network, identity->network, sizeof(document->network));
    document->mode = wanted->mode;
    return 0;
}

static int read_members(struct pc_value *value, const struct pc_json_wanted *wanted,
                        struct pc_json_document *document, struct pc_reason *ret_reason)
{
    struct identity identity = { .seen = 0 };
    int result = 0;
    if (pc_format_value_kind(value) != '{')
        return fail(ret_reason, "it is no object");
    pc_format_value_enter(value);
    while (result == 0 && pc_format_value_next(value)) {
        struct pc_bytes name = pc_format_value_name(value);
        result = read_member(value, name, document, &identity, ret_reason);
    }
    int identified = judge_identity(&identity, wanted, document, ret_reason);
    if (identified || result)
        return identified ? identified : result;
    if (!wanted->is_import && (identity.seen != SEEN_ALL || !document->has_secret))
        return fail(ret_reason, "a member is missing");
    return 0;
}

int pc_json_own_read(struct pc_bytes text, const struct pc_json_wanted *wanted,
                     struct pc_json_document *document, struct pc_reason *ret_reason)
{
    struct pc_reason reason = { "" };
    if (pc_format_value_check(text.data, text.size, &reason))
        return fail(ret_reason, reason.text);
    uint8_t *copy = malloc(text.size); /* strings are decoded where they stand */
    if (!copy)
        return PEERCACHE_ENOMEM;
    memcpy(copy, text.data, text.size);
    struct pc_value value = pc_format_value_of(copy, text.size);
    int result = read_members(&value, wanted, document, ret_reason);
    free(copy);
    if (result == PEERCACHE_ECORRUPT && document->version > PC_JSON_VERSION)
        return PEERCACHE_EVERSION; /* another form, which we can't read */
    return result;
}

int pc_json_own_salvage(struct pc_bytes text, const struct pc_json_wanted *wanted,
                        struct pc_json_document *document)
{
    struct text head = { .data = malloc(FIRST_CAPACITY), .capacity = FIRST_CAPACITY };
    size_t size = 0;
    put_head(&head, wanted->network, wanted->mode);
    put_text(&head, "\"");
    if (!head.data)
        return PEERCACHE_ENOMEM;
    bool is_ours = text.size >= head.size && memcmp(text.data, head.data, head.size) == 0;
    free(head.data);
    if (!is_ours)
        return PEERCACHE_ECORRUPT;
    size_t hex = 2 * sizeof(document->secret);
    document->has_secret = text.size - head.size >= hex &&
                           pc_base_hex_decode((const char *)text.data + head.size, hex, document->secret,
                                              sizeof(document->secret), &size) == 0;
    document->mode = wanted->mode;
    memcpy(document->network, wanted->network, strlen(wanted->network) + 1);
    return 0;
}
