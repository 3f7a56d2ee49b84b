/* What the files of the working set share. */
#ifndef PC_CACHE_SET_INTERNAL_H
#define PC_CACHE_SET_INTERNAL_H

#include "cache/pending.h"
#include "cache/set.h"

/* A peer as kept: its key, then its addresses packed. */
struct pc_cache_peer {
    struct pc_map_node node;
    uint32_t index; /* in the table of its state */
    uint32_t bucket;
    uint16_t packed_size;
    uint16_t packed_capacity;
    uint8_t key_size;
    uint8_t state;
    uint8_t addr_count;
    uint8_t bytes[];
};

/* The peers of one state, in no order, without gaps: what is drawn from by lot. */
struct pc_cache_table {
    struct pc_cache_peer **peers;
    size_t count;
    size_t capacity;
};

struct pc_cache_held {
    struct pc_peer_id id;
    struct pc_maddr addr;
    peercache_outcome outcome;
    int64_t at_ms;
};

struct pc_cache_set {
    struct pc_cache_set_options options;
    int64_t now_ms; /* the latest that was given */
    struct pc_map by_key;
    struct pc_cache_table tables[PEERCACHE_STATE_COUNT];
    struct pc_rng lots; /* for whom to displace; from the store's secret, so that runs repeat */

    struct pc_pending_table waiting;
    struct pc_pending_table out; /* the batch given out, or to be given out again */
    struct pc_delta *batch;      /* out, unpacked; NULL when there is none */
    size_t batch_count;
    bool batch_is_out;

    struct pc_cache_held *held; /* a ring */
    size_t held_first;
    size_t held_count;

    struct pc_maddr own_addrs[PC_CACHE_OWN_ADDRS_MAX];
    size_t own_addr_count;

    struct pc_record *found;  /* what find gave out last */
    struct pc_record *walked; /* what next gave out last */
};

static inline struct pc_bytes pc_cache_peer_key(const struct pc_cache_peer *peer)
{
    return pc_bytes_of(peer->bytes, peer->key_size);
}
void pc_cache_peer_unpack(const struct pc_cache_peer *peer, struct pc_record *ret_record);

#endif
