/* What pick and explain share. */
#ifndef PC_CACHE_PICK_H
#define PC_CACHE_PICK_H

#include "cache/set_internal.h"

struct pc_drawn {
    const struct pc_cache_peer *peer;
    uint64_t group;
    uint64_t source_group; /* 0: none */
    int32_t score;
    int32_t rank;
    uint32_t order;         /* in which it was drawn: decides between equals */
    uint32_t group_before;  /* better ones of its group */
    uint32_t source_before; /* better ones from its source */
    uint8_t lot;
    uint8_t addr;
    uint8_t state;
    bool failed_lately;
    bool is_contested;
    bool chosen;
};

/* Draw, rank, spread, choose: those drawn, by rank, the chosen ones marked. The caller frees. ENOMEM. */
int pc_cache_pick_run(struct pc_cache_set *set, struct pc_rng *rng, int64_t now_ms,
                      const struct pc_pick_filter *filter, size_t count, struct pc_drawn **ret_drawn,
                      size_t *ret_total);
bool pc_cache_pick_leaves_out(const struct pc_pick_filter *filter, const struct pc_cache_peer *peer);
bool pc_cache_pick_is_eligible(struct pc_bytes addr, const struct pc_pick_filter *filter);
void pc_cache_pick_give(const struct pc_cache_peer *peer, uint8_t addr, int32_t score,
                        struct pc_pick *ret_pick);

#endif
