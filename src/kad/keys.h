/*
 * Keys of peers met lately. Each answer names twenty, nearly all of them named before, and several of this room ask for the key of
 * each: with this SHA-256 is computed once for a peer and not at every mention.
 *
 * A slot for each hash of an id, where the newest takes the place of the one before. The hash has no secret: who makes ids that meet in one
 * slot gains that their keys are computed each time, as without this.
 */
#ifndef PC_KAD_KEYS_H
#define PC_KAD_KEYS_H

#include "kad/key.h"

#define PC_KAD_KEYS_SLOTS 512 /* a power of two; more than a table of a network of millions holds */

/* In the caller's storage, zero at first; nothing to free. */
struct pc_kad_keys {
    struct {
        struct pc_peer_id id;
        struct pc_kad_key key;
    } slots[PC_KAD_KEYS_SLOTS];
};

/* The key of a peer, as of pc_kad_key_of_peer. `keys` NULL: computed. */
struct pc_kad_key pc_kad_keys_of(struct pc_kad_keys *keys, const struct pc_peer_id *id);

#endif
