/*
 * What a JSON file holds, in memory: the peers in the order of the file, and what the object `peercache` says
 * of them: network, mode, secret, ledger, tombstones, metadata and a counter of changes. Values and their
 * merging only; the text is json_text.h's, the file json_file.c's.
 */
#ifndef PC_STORE_JSON_DOCUMENT_H
#define PC_STORE_JSON_DOCUMENT_H

#include "base/map.h"
#include "cache/bucket.h"
#include "cache/pack.h"
#include "store/store.h"

#define PC_JSON_VERSION        1
#define PC_JSON_LEDGER_MAX     1024              /* writers remembered: they are rewritten by each commit */
#define PC_JSON_TOMBSTONES_MAX 10000             /* the newest are kept */
#define PC_JSON_META_MAX       64                /* keys */
#define PC_JSON_META_MAX_BYTES (8 * 1024 * 1024) /* of all values: twice as much in the file, read whole */
#define PC_JSON_NETWORK_BYTES  128               /* with the NUL */

/* A peer, packed. One whose removal is yet to be told has no addresses. */
struct pc_json_peer {
    struct pc_map_node node;
    struct pc_json_peer *previous, *next; /* in the order of the file */
    int64_t change;                       /* the handle's count when it changed last */
    int64_t success_ms, seen_ms;          /* the latest of its addresses */
    uint32_t bucket;
    struct pc_cache_standing standing;
    uint16_t packed_size;
    uint8_t state;
    /* Of the batch that changed it last: */
    uint8_t added;    /* addresses that came with it */
    bool is_newcomer; /* was not there before */
    bool has_moved;   /* to another bucket, or state, than it was in */
    bool is_promoted; /* was not tried before */
    bool is_trusted;
    uint8_t addr_count;
    uint8_t key_size;
    uint8_t bytes[]; /* key, addresses */
};

struct pc_json_peers {
    struct pc_map by_key;
    struct pc_json_peer *first, *last;
    uint64_t edits; /* grows when one comes or goes */
};

struct pc_json_tombstone {
    struct pc_map_node node;
    struct pc_json_tombstone *previous, *next; /* in the order of the file */
    int64_t removed_ms;
    uint16_t key_size;
    uint16_t addr_size; /* 0: the whole peer */
    uint8_t bytes[];    /* key, addr, and the two sizes again: the key of the map */
};

struct pc_json_writer {
    struct pc_map_node node;
    struct pc_json_writer *previous, *next; /* who committed last stands last */
    uint64_t id;
    uint64_t sequence;
};

struct pc_json_meta {
    struct pc_json_meta *next;
    size_t value_size;
    char *key; /* behind the value */
    uint8_t value[];
};

struct pc_json_document {
    struct pc_json_peers peers;
    struct pc_json_peers gone; /* removed, as records without addresses, until they were told */
    struct pc_map tombstones;
    struct pc_json_tombstone *first_tombstone, *last_tombstone;
    struct pc_map ledger;
    struct pc_json_writer *first_writer, *last_writer;
    struct pc_json_meta *meta; /* a list, a handful */
    struct pc_ban *bans;       /* by their bytes */
    size_t ban_count, ban_capacity;
    int64_t version;
    int64_t change; /* as the file counts */
    enum pc_netgroup_mode mode;
    uint8_t secret[16];
    bool has_secret;
    char network[PC_JSON_NETWORK_BYTES]; /* "": it does not say */
    bool is_plain;                       /* a list without our object: somebody's, in the seed's format */
    uint64_t bad;                        /* entries that are not valid */
    struct pc_reason first_bad;
};

/* Who applies. */
struct pc_json_write {
    int64_t change; /* of the handle */
    int64_t now_ms;
    const struct pc_cache_quota *quota; /* what follows is of deltas only */
    uint32_t addrs_max;                 /* 0: no such cap */
    uint32_t record_max_bytes;          /* 0: no such cap */
    struct pc_store_tally *tally;
};

/* An empty one. `hash_secret` is for its maps. ENOMEM. */
int pc_json_document_new(const uint8_t hash_secret[16], struct pc_json_document **ret_document);
void pc_json_document_free(struct pc_json_document *document);

/* Of the peers. NULL when there is none. */
struct pc_json_peer *pc_json_document_find(const struct pc_json_document *document, struct pc_bytes key);
void pc_json_peer_unpack(const struct pc_json_peer *peer, struct pc_record *ret_record);
/* Merge an address as a file gives it: a new peer, or more of one. ENOMEM. */
int pc_json_document_add(struct pc_json_document *document, const struct pc_peer_id *id,
                         const struct pc_record_addr *addr, const struct pc_json_write *write);
/* Apply one delta: the rule is record.h's. ENOMEM: the document is no longer of use. */
int pc_json_document_apply(struct pc_json_document *document, const struct pc_delta *delta,
                           const struct pc_json_write *write);
/* After the deltas of a batch: what found no place among the tried is new, what found no room goes. ENOMEM. */
int pc_json_document_limit(struct pc_json_document *document, const struct pc_json_write *write);
/* Drop the tombstones older than this. */
void pc_json_document_expire_tombstones(struct pc_json_document *document, int64_t oldest_kept_ms);
/* Keep the newest PC_JSON_TOMBSTONES_MAX. ENOMEM: all are kept. */
int pc_json_document_trim_tombstones(struct pc_json_document *document);
/* `addr` is empty for a whole peer. A later date stays. ENOMEM. */
int pc_json_document_bury(struct pc_json_document *document, struct pc_bytes key, struct pc_bytes addr,
                          int64_t removed_ms);
static inline struct pc_bytes pc_json_tombstone_key(const struct pc_json_tombstone *tombstone)
{
    return pc_bytes_of(tombstone->bytes, tombstone->key_size);
}
static inline struct pc_bytes pc_json_tombstone_addr(const struct pc_json_tombstone *tombstone)
{
    return pc_bytes_of(tombstone->bytes + tombstone->key_size, tombstone->addr_size);
}

/* A value, valid until the next put; data NULL: there is none. */
struct pc_bytes pc_json_document_meta(struct pc_json_document *document, struct pc_bytes key);
/* data NULL: there is none any more. ELIMIT: over PC_STORE_META_… or PC_JSON_META_…; EINVAL: the key is not UTF-8, or holds
 * NUL; ENOMEM. */
int pc_json_document_meta_put(struct pc_json_document *document, struct pc_bytes key, struct pc_bytes value);

/* Each tombstone as the delta that makes it. What visit returned. */
int pc_json_document_visit_removals(const struct pc_json_document *document, pc_store_visit_removal visit,
                                    void *context);

/* Keep a ban as of its since_ms; one that is kept stays as it is. ELIMIT: over PC_CACHE_BANS_MAX; ENOMEM. */
int pc_json_document_ban(struct pc_json_document *document, const struct pc_ban *ban);
/* ENOTFOUND. */
int pc_json_document_unban(struct pc_json_document *document, const struct pc_ban *ban);

/* The last sequence of a writer; 0 when it is not in the ledger. */
uint64_t pc_json_document_sequence(const struct pc_json_document *document, uint64_t writer);
/* Enter it as the last; the one before all others gives way. ENOMEM. */
int pc_json_document_enter(struct pc_json_document *document, uint64_t writer, uint64_t sequence);

/*
 * `fresh` was read from the file where `known` was read from before: peers that are the same keep the change
 * they had, others get `change`, and those of `known` that a tombstone of `fresh` removed are gone with
 * `change`. Returns whether anything differs; ENOMEM.
 */
int pc_json_document_compare(struct pc_json_document *fresh, const struct pc_json_document *known,
                             int64_t change, bool *ret_differs);
/* Forget the removals that were told: those of changes up to this one. */
void pc_json_document_told(struct pc_json_document *document, int64_t change);

#endif
