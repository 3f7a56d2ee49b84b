/*
 * Bans: of a peer id, or of a range of IP addresses. Kept as sorted keys, so that asking costs a binary
 * search for the id and one for each length of prefix in use.
 */
#ifndef PC_CACHE_BAN_H
#define PC_CACHE_BAN_H

#include "addr/multiaddr.h"

#define PC_CACHE_BANS_MAX       10000
#define PC_CACHE_BAN_KEY_BYTES  (2 + PC_PEER_ID_MAX_BYTES)
#define PC_CACHE_BAN_TEXT_BYTES 72

/* One ban, as it is kept in a store too: a kind (0 id, 4 or 6 range); of an id its multihash; of a range the
 * length of the prefix and the address, with zeroes behind the prefix. */
struct pc_ban {
    uint8_t size;
    uint8_t bytes[PC_CACHE_BAN_KEY_BYTES];
    int64_t since_ms; /* of no meaning to what it covers */
};

struct pc_bans {
    struct pc_ban *bans; /* sorted */
    size_t count;
    size_t capacity;
    uint64_t prefixes4;    /* which lengths are in use, a bit each, 0 to 32 */
    uint64_t prefixes6[3]; /* 0 to 128 */
};

/* From text: a peer id, an IP address, or a range in CIDR notation (bits behind the prefix are cleared).
 * EPARSE with reason. */
int pc_cache_ban_parse(const char *text, size_t length, struct pc_ban *ret_ban, struct pc_reason *ret_reason);
/* From bytes that a store kept. EPARSE. */
int pc_cache_ban_from_bytes(struct pc_bytes bytes, struct pc_ban *ret_ban);
/* Canonical text; a range of one address without its prefix. */
void pc_cache_ban_format(const struct pc_ban *ban, char ret_text[PC_CACHE_BAN_TEXT_BYTES]);
/* The id it bans; false when it is a range. */
bool pc_cache_ban_id(const struct pc_ban *ban, struct pc_peer_id *ret_id);

void pc_cache_bans_init(struct pc_bans *bans);
void pc_cache_bans_deinit(struct pc_bans *bans);
/* 0 also for one that is in. ENOMEM; ELIMIT. */
int pc_cache_bans_add(struct pc_bans *bans, const struct pc_ban *ban);
/* ENOTFOUND. */
int pc_cache_bans_remove(struct pc_bans *bans, const struct pc_ban *ban);
bool pc_cache_bans_has(const struct pc_bans *bans, const struct pc_ban *ban);
/* Whether this id is banned. */
bool pc_cache_bans_cover_id(const struct pc_bans *bans, const struct pc_peer_id *id);
/* Whether this address, as it is stored, lies in a banned range. */
bool pc_cache_bans_cover_addr(const struct pc_bans *bans, struct pc_bytes addr);

#endif
