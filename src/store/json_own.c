/*
 * Our object `peercache`, to and from a document. Strict where the merging rests on it (network, secret,
 * ledger, tombstones): a member that is not what it should be makes the object not whole.
 */
#include "store/json_text.h"

#include "base/basex.h"
#include "base/time.h"
#include "format/entry.h"

#include <stdio.h>
#include <stdlib.h>

#define WRITER_HEX_BYTES 17

const char *pc_json_mode_name(enum pc_netgroup_mode mode)
{
    return mode == PC_NETGROUP_LOCAL ? "local" : "public";
}

/* RFC 3629: shortest form, no surrogates, up to U+10FFFF. */
bool pc_json_is_utf8(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        unsigned char c = *at++;
        unsigned more = c < 0x80 ? 0 : c < 0xc2 ? 9 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : 9;
        if (more == 9 || (c == 0xe0 && *at < 0xa0) || (c == 0xed && *at > 0x9f) ||
            (c == 0xf0 && *at < 0x90) || (c == 0xf4 && *at > 0x8f))
            return false;
        for (; more; more--)
            if ((*at++ & 0xc0) != 0x80)
                return false;
    }
    return true;
}

static int fail(struct pc_reason *ret_reason, const char *member)
{
    pc_base_reason(ret_reason, "its object peercache is damaged: %s", member);
    return PEERCACHE_ECORRUPT;
}

/* --- reading --- */

static int read_identity(const json_t *own, const struct pc_json_wanted *wanted,
                         struct pc_json_document *document, struct pc_reason *ret_reason)
{
    const char *network = json_string_value(json_object_get(own, "network"));
    const char *mode = json_string_value(json_object_get(own, "mode"));
    const json_t *secret = json_object_get(own, "secret");
    size_t size = 0;
    if (!network || network[0] == '\0' || strlen(network) >= PC_JSON_NETWORK_BYTES)
        return fail(ret_reason, "network");
    if (!mode || (strcmp(mode, "local") && strcmp(mode, "public")))
        return fail(ret_reason, "mode");
    if (strcmp(network, wanted->network) || strcmp(mode, pc_json_mode_name(wanted->mode))) {
        pc_base_reason(ret_reason, "the cache of network \"%.40s\" (%s), not of \"%.40s\" (%s)", network,
                       mode, wanted->network, pc_json_mode_name(wanted->mode));
        return PEERCACHE_ENETWORK;
    }
    if (!json_is_string(secret) ||
        pc_base_hex_decode(json_string_value(secret), json_string_length(secret), document->secret,
                           sizeof(document->secret), &size) ||
        size != sizeof(document->secret))
        return fail(ret_reason, "secret");
    memcpy(document->network, network, strlen(network) + 1);
    document->mode = wanted->mode;
    document->has_secret = true;
    return 0;
}

int pc_json_own_salvage(struct pc_bytes text, const struct pc_json_wanted *wanted,
                        struct pc_json_document *document)
{
    char head[PC_JSON_NETWORK_BYTES * 6 + 96]; /* a character makes six at most: \u001f */
    json_t *name = json_string(wanted->network);
    char *quoted = name ? json_dumps(name, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    size_t size = 0;
    json_decref(name);
    if (!quoted)
        return PEERCACHE_ENOMEM;
    int length = snprintf(head, sizeof(head), "{\"version\":%d,\"network\":%s,\"mode\":\"%s\",\"secret\":\"",
                          PC_JSON_VERSION, quoted, pc_json_mode_name(wanted->mode));
    free(quoted);
    if (length < 0 || (size_t)length >= sizeof(head) || text.size < (size_t)length ||
        memcmp(text.data, head, (size_t)length))
        return PEERCACHE_ECORRUPT;
    size_t hex = 2 * sizeof(document->secret);
    document->has_secret = text.size - (size_t)length >= hex &&
                           pc_base_hex_decode((const char *)text.data + length, hex, document->secret,
                                              sizeof(document->secret), &size) == 0;
    document->mode = wanted->mode;
    memcpy(document->network, wanted->network, strlen(wanted->network) + 1);
    return 0;
}

static int read_ledger(const json_t *own, struct pc_json_document *document, struct pc_reason *ret_reason)
{
    const json_t *ledger = json_object_get(own, "ledger");
    if (!json_is_array(ledger))
        return fail(ret_reason, "ledger");
    for (size_t i = 0; i < json_array_size(ledger); i++) {
        const json_t *entry = json_array_get(ledger, i);
        const json_t *writer = json_array_get(entry, 0), *sequence = json_array_get(entry, 1);
        uint8_t bytes[8];
        uint64_t id = 0;
        size_t size = 0;
        if (!json_is_string(writer) || !json_is_integer(sequence) || json_integer_value(sequence) < 0 ||
            pc_base_hex_decode(json_string_value(writer), json_string_length(writer), bytes, sizeof(bytes),
                               &size) ||
            size != sizeof(bytes))
            return fail(ret_reason, "ledger");
        for (size_t j = 0; j < sizeof(bytes); j++)
            id = id << 8 | bytes[j];
        int result = pc_json_document_enter(document, id, (uint64_t)json_integer_value(sequence));
        if (result)
            return result;
    }
    return 0;
}

static int read_tombstone(const json_t *entry, struct pc_json_document *document,
                          struct pc_reason *ret_reason)
{
    const json_t *peer = json_object_get(entry, "peer"), *addr = json_object_get(entry, "addr");
    struct pc_peer_id id = { .size = 0 };
    struct pc_maddr maddr = { .size = 0 };
    struct pc_cache_key key;
    int64_t removed_ms = 0;
    if (pc_format_time_read(json_object_get(entry, "removed"), &removed_ms) || (!peer && !addr) ||
        (peer && (!json_is_string(peer) ||
                  pc_addr_peer_id_parse(json_string_value(peer), json_string_length(peer), &id, NULL))) ||
        (addr && (!json_is_string(addr) ||
                  pc_addr_maddr_parse(json_string_value(addr), json_string_length(addr), &maddr, NULL))) ||
        (!peer && maddr.size == 0))
        return fail(ret_reason, "tombstones");
    pc_cache_key_of(&id, pc_addr_maddr_bytes(&maddr), &key);
    return pc_json_document_bury(document, pc_cache_key_bytes(&key),
                                 peer ? pc_addr_maddr_bytes(&maddr) : pc_bytes_of(NULL, 0), removed_ms);
}

static int read_tombstones(const json_t *own, struct pc_json_document *document, struct pc_reason *ret_reason)
{
    const json_t *tombstones = json_object_get(own, "tombstones");
    int result = json_is_array(tombstones) ? 0 : fail(ret_reason, "tombstones");
    for (size_t i = 0; i < json_array_size(tombstones) && result == 0; i++)
        result = read_tombstone(json_array_get(tombstones, i), document, ret_reason);
    return result ? result : pc_json_document_trim_tombstones(document);
}

int pc_json_own_read(struct pc_bytes text, const struct pc_json_wanted *wanted,
                     struct pc_json_document *document, struct pc_reason *ret_reason)
{
    json_t *own = NULL;
    struct pc_reason reason = { "" };
    int result = pc_format_json_load(text, &own, &reason);
    if (result)
        return result == PEERCACHE_EPARSE ? fail(ret_reason, reason.text) : result;
    int64_t version = json_integer_value(json_object_get(own, "version"));
    int64_t change = json_integer_value(json_object_get(own, "change"));
    if (version < 1 || change < 0) {
        result = fail(ret_reason, version < 1 ? "version" : "change");
    } else {
        document->version = version;
        document->change = change;
    }
    if (result == 0)
        result = read_identity(own, wanted, document, ret_reason);
    if (result == 0)
        result = read_ledger(own, document, ret_reason);
    if (result == 0)
        result = read_tombstones(own, document, ret_reason);
    const json_t *meta = json_object_get(own, "meta");
    if (result == 0 && meta && !json_is_object(meta))
        result = fail(ret_reason, "meta");
    if (result == 0 && meta)
        document->meta = json_incref(json_object_get(own, "meta"));
    if (result == PEERCACHE_ECORRUPT && document->version > PC_JSON_VERSION)
        result = PEERCACHE_EVERSION; /* another form, which we can't read */
    json_decref(own);
    return result;
}

/* --- writing --- */

/* Sets a member and gives the value up; false: memory is out. */
static bool set(json_t *object, const char *name, json_t *value)
{
    return value && json_object_set_new(object, name, value) == 0;
}

static bool append(json_t *array, json_t *value)
{
    return value && json_array_append_new(array, value) == 0;
}

static bool put_ledger(json_t *own, const struct pc_json_document *document)
{
    json_t *ledger = json_array();
    bool well = set(own, "ledger", ledger);
    for (const struct pc_json_writer *writer = document->first_writer; well && writer;
         writer = writer->next) {
        char hex[WRITER_HEX_BYTES];
        json_t *entry = json_array();
        (void)snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)writer->id);
        json_int_t sequence = writer->sequence > INT64_MAX ? INT64_MAX : (json_int_t)writer->sequence;
        well =
            append(ledger, entry) && append(entry, json_string(hex)) && append(entry, json_integer(sequence));
    }
    return well;
}

static bool put_tombstone(json_t *tombstones, const struct pc_json_tombstone *tombstone, char *text)
{
    char removed[PC_RFC3339_BYTES];
    struct pc_peer_id id;
    struct pc_bytes key = pc_json_tombstone_key(tombstone), addr = pc_json_tombstone_addr(tombstone);
    json_t *entry = json_object();
    bool well = append(tombstones, entry);
    pc_cache_key_id(key, &id);
    if (id.size) {
        char id_text[PC_PEER_ID_TEXT_BYTES];
        pc_addr_peer_id_format(&id, id_text);
        well = well && set(entry, "peer", json_string(id_text));
    } else {
        addr = pc_bytes_of(key.data + 1, key.size - 1);
    }
    if (addr.size && pc_addr_multiaddr_format(addr, text, PC_MULTIADDR_TEXT_BYTES, NULL) == 0)
        well = well && set(entry, "addr", json_string(text));
    pc_base_rfc3339_format(tombstone->removed_ms, removed);
    return well && set(entry, "removed", json_string(removed));
}

static bool put_tombstones(json_t *own, const struct pc_json_document *document)
{
    json_t *tombstones = json_array();
    char *text = malloc(PC_MULTIADDR_TEXT_BYTES);
    bool well = set(own, "tombstones", tombstones) && text;
    for (const struct pc_json_tombstone *t = document->first_tombstone; well && t; t = t->next)
        well = put_tombstone(tombstones, t, text);
    free(text);
    return well;
}

char *pc_json_own_write(const struct pc_json_document *document)
{
    char secret[2 * sizeof(document->secret) + 1];
    char *text = NULL;
    json_t *own = json_object();
    /* Text and buffer fit each other. */
    (void)pc_base_hex_encode(document->secret, sizeof(document->secret), secret, sizeof(secret));
    if (own && set(own, "version", json_integer(PC_JSON_VERSION)) &&
        set(own, "network", json_string(document->network)) &&
        set(own, "mode", json_string(pc_json_mode_name(document->mode))) &&
        set(own, "secret", json_string(secret)) && set(own, "change", json_integer(document->change)) &&
        put_ledger(own, document) && put_tombstones(own, document) &&
        (!document->meta || json_object_set(own, "meta", document->meta) == 0))
        text = json_dumps(own, JSON_COMPACT);
    json_decref(own);
    return text;
}

/* --- metadata --- */

int pc_json_meta_get(const struct pc_json_document *document, const char *key, uint8_t *ret_value,
                     size_t capacity, size_t *ret_size)
{
    const json_t *value = json_object_get(document->meta, key);
    if (!json_is_string(value))
        return PEERCACHE_ENOTFOUND;
    if (json_string_length(value) / 2 > capacity)
        return PEERCACHE_ELIMIT;
    /* Hex that is no hex is as good as not there. */
    return pc_base_hex_decode(json_string_value(value), json_string_length(value), ret_value, capacity,
                              ret_size)
               ? PEERCACHE_ENOTFOUND
               : 0;
}

int pc_json_meta_put(struct pc_json_document *document, const char *key, struct pc_bytes value)
{
    if (strlen(key) > PC_JSON_META_KEY_MAX_BYTES || value.size > PC_JSON_META_VALUE_MAX_BYTES)
        return PEERCACHE_ELIMIT;
    if (!pc_json_is_utf8(key))
        return PEERCACHE_EINVAL;
    if (!document->meta)
        document->meta = json_object();
    char *hex = malloc(2 * value.size + 1);
    int result = document->meta && hex ? 0 : PEERCACHE_ENOMEM;
    if (result == 0)
        result = pc_base_hex_encode(value.data, value.size, hex, 2 * value.size + 1);
    if (result == 0 && !set(document->meta, key, json_string(hex)))
        result = PEERCACHE_ENOMEM;
    free(hex);
    return result;
}
