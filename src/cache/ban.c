#include "cache/ban.h"

#include "addr/ip_text.h"

#include <peercache/types.h>

#include <stdlib.h>

enum {
    KIND_ID = 0,
    KIND_IP4 = 4,
    KIND_IP6 = 6,
};

#define RANGE_HEAD_BYTES 2
#define FIRST_CAPACITY   16

static size_t ip_bytes(uint8_t kind)
{
    return kind == KIND_IP4 ? PC_IP4_BYTES : PC_IP6_BYTES;
}

static void range_of(uint8_t kind, const uint8_t *ip, uint8_t prefix, struct pc_ban *ret_ban)
{
    ret_ban->size = (uint8_t)(RANGE_HEAD_BYTES + ip_bytes(kind));
    ret_ban->bytes[0] = kind;
    ret_ban->bytes[1] = prefix;
    for (size_t i = 0; i < ip_bytes(kind); i++) {
        size_t whole = 8 * i;
        unsigned mask = prefix >= whole + 8 ? 0xff : prefix <= whole ? 0 : 0xff00u >> (prefix - whole);
        ret_ban->bytes[RANGE_HEAD_BYTES + i] = (uint8_t)(ip[i] & mask);
    }
}

static int parse_range(struct pc_bytes text, struct pc_ban *ret_ban)
{
    uint8_t ip[PC_IP6_BYTES];
    const uint8_t *slash = text.size ? memchr(text.data, '/', text.size) : NULL;
    size_t length = slash ? (size_t)(slash - text.data) : text.size;
    if (pc_addr_ip_parse(pc_bytes_of(text.data, length), ip))
        return PEERCACHE_EPARSE;
    uint8_t kind = pc_addr_ip_is_mapped(ip) ? KIND_IP4 : KIND_IP6;
    uint64_t prefix = 8 * ip_bytes(kind);
    if (slash && pc_addr_decimal_parse(pc_bytes_of(slash + 1, text.size - length - 1), prefix, &prefix))
        return PEERCACHE_EPARSE;
    range_of(kind, kind == KIND_IP4 ? ip + PC_IP6_BYTES - PC_IP4_BYTES : ip, (uint8_t)prefix, ret_ban);
    return 0;
}

int pc_cache_ban_parse(const char *text, size_t length, struct pc_ban *ret_ban, struct pc_reason *ret_reason)
{
    struct pc_peer_id id;
    ret_ban->since_ms = 0;
    if (parse_range(pc_bytes_of(text, length), ret_ban) == 0)
        return 0;
    if (pc_addr_peer_id_parse(text, length, &id, NULL)) {
        pc_base_reason(ret_reason, "neither a peer id nor an address or range like 203.0.113.0/24");
        return PEERCACHE_EPARSE;
    }
    ret_ban->bytes[0] = KIND_ID;
    memcpy(ret_ban->bytes + 1, id.bytes, id.size);
    ret_ban->size = (uint8_t)(1 + id.size);
    return 0;
}

int pc_cache_ban_from_bytes(struct pc_bytes bytes, struct pc_ban *ret_ban)
{
    struct pc_peer_id id;
    ret_ban->since_ms = 0;
    if (bytes.size < RANGE_HEAD_BYTES || bytes.size > sizeof(ret_ban->bytes))
        return PEERCACHE_EPARSE;
    if (bytes.data[0] == KIND_ID) {
        if (pc_addr_peer_id_from_bytes(pc_bytes_of(bytes.data + 1, bytes.size - 1), &id))
            return PEERCACHE_EPARSE;
        memcpy(ret_ban->bytes, bytes.data, bytes.size);
        ret_ban->size = (uint8_t)bytes.size;
        return 0;
    }
    if ((bytes.data[0] != KIND_IP4 && bytes.data[0] != KIND_IP6) ||
        bytes.size != RANGE_HEAD_BYTES + ip_bytes(bytes.data[0]) ||
        bytes.data[1] > 8 * ip_bytes(bytes.data[0]))
        return PEERCACHE_EPARSE;
    range_of(bytes.data[0], bytes.data + RANGE_HEAD_BYTES, bytes.data[1], ret_ban);
    return 0;
}

bool pc_cache_ban_id(const struct pc_ban *ban, struct pc_peer_id *ret_id)
{
    if (ban->bytes[0] != KIND_ID)
        return false;
    ret_id->size = (uint8_t)(ban->size - 1);
    memcpy(ret_id->bytes, ban->bytes + 1, ret_id->size);
    return true;
}

void pc_cache_ban_format(const struct pc_ban *ban, char ret_text[PC_CACHE_BAN_TEXT_BYTES])
{
    struct pc_peer_id id;
    struct pc_writer w;
    uint8_t kind = ban->bytes[0];
    if (pc_cache_ban_id(ban, &id)) {
        pc_addr_peer_id_format(&id, ret_text);
        return;
    }
    pc_base_writer_init(&w, ret_text, PC_CACHE_BAN_TEXT_BYTES);
    if (kind == KIND_IP4)
        pc_addr_ip4_write(&w, ban->bytes + RANGE_HEAD_BYTES);
    else
        pc_addr_ip6_write(&w, ban->bytes + RANGE_HEAD_BYTES);
    if (ban->bytes[1] != 8 * ip_bytes(kind)) {
        pc_base_write_u8(&w, '/');
        pc_addr_decimal_write(&w, ban->bytes[1]);
    }
    pc_base_write_u8(&w, 0);
}

void pc_cache_bans_init(struct pc_bans *bans)
{
    memset(bans, 0, sizeof(*bans));
}

void pc_cache_bans_deinit(struct pc_bans *bans)
{
    free(bans->bans);
    pc_cache_bans_init(bans);
}

static int compare(const struct pc_ban *a, const struct pc_ban *b)
{
    size_t common = a->size < b->size ? a->size : b->size;
    int order = memcmp(a->bytes, b->bytes, common);
    return order ? order : (int)a->size - (int)b->size;
}

/* Where it is, or belongs. */
static size_t place_of(const struct pc_bans *bans, const struct pc_ban *ban, bool *ret_found)
{
    size_t low = 0, high = bans->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&bans->bans[middle], ban) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = low < bans->count && compare(&bans->bans[low], ban) == 0;
    return low;
}

/* Lengths stay marked when the last ban of one goes: asking then costs one search more. */
static void mark_prefix(struct pc_bans *bans, const struct pc_ban *ban)
{
    uint8_t prefix = ban->bytes[1];
    if (ban->bytes[0] == KIND_IP4)
        bans->prefixes4 |= UINT64_C(1) << prefix;
    else if (ban->bytes[0] == KIND_IP6)
        bans->prefixes6[prefix / 64] |= UINT64_C(1) << (prefix % 64);
}

int pc_cache_bans_add(struct pc_bans *bans, const struct pc_ban *ban)
{
    bool found;
    size_t at = place_of(bans, ban, &found);
    if (found)
        return 0;
    if (bans->count >= PC_CACHE_BANS_MAX)
        return PEERCACHE_ELIMIT;
    if (bans->count == bans->capacity) {
        size_t capacity = bans->capacity ? 2 * bans->capacity : FIRST_CAPACITY;
        struct pc_ban *grown = realloc(bans->bans, capacity * sizeof(*grown));
        if (!grown)
            return PEERCACHE_ENOMEM;
        bans->bans = grown;
        bans->capacity = capacity;
    }
    memmove(&bans->bans[at + 1], &bans->bans[at], (bans->count - at) * sizeof(*ban));
    bans->bans[at] = *ban;
    bans->count++;
    mark_prefix(bans, ban);
    return 0;
}

int pc_cache_bans_remove(struct pc_bans *bans, const struct pc_ban *ban)
{
    bool found;
    size_t at = place_of(bans, ban, &found);
    if (!found)
        return PEERCACHE_ENOTFOUND;
    bans->count--;
    memmove(&bans->bans[at], &bans->bans[at + 1], (bans->count - at) * sizeof(*ban));
    return 0;
}

bool pc_cache_bans_has(const struct pc_bans *bans, const struct pc_ban *ban)
{
    bool found;
    (void)place_of(bans, ban, &found);
    return found;
}

bool pc_cache_bans_cover_id(const struct pc_bans *bans, const struct pc_peer_id *id)
{
    struct pc_ban ban;
    bool found = false;
    if (bans->count == 0 || id->size == 0)
        return false;
    ban.bytes[0] = KIND_ID;
    memcpy(ban.bytes + 1, id->bytes, id->size);
    ban.size = (uint8_t)(1 + id->size);
    (void)place_of(bans, &ban, &found);
    return found;
}

static bool covers_ip(const struct pc_bans *bans, uint8_t kind, const uint8_t *ip)
{
    struct pc_ban ban;
    bool found = false;
    for (size_t prefix = 0; prefix <= 8 * ip_bytes(kind) && !found; prefix++) {
        uint64_t marked =
            kind == KIND_IP4 ? bans->prefixes4 >> prefix : bans->prefixes6[prefix / 64] >> (prefix % 64);
        if (!(marked & 1))
            continue;
        range_of(kind, ip, (uint8_t)prefix, &ban);
        (void)place_of(bans, &ban, &found);
    }
    return found;
}

bool pc_cache_bans_cover_addr(const struct pc_bans *bans, struct pc_bytes addr)
{
    struct pc_multiaddr_part part;
    if (bans->count == 0)
        return false;
    while (pc_addr_multiaddr_next(&addr, &part) == 1) {
        if (part.code == PC_MA_IP6ZONE)
            continue;
        if (part.code == PC_MA_IP4)
            return covers_ip(bans, KIND_IP4, part.value.data);
        if (part.code == PC_MA_IP6)
            return covers_ip(bans, KIND_IP6, part.value.data);
        return false;
    }
    return false;
}
