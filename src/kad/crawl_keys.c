/*
 * A binary tree in an array: the prefix of n bits with value v is at place 2^n + v, so its parent, the prefix a bit
 * shorter, is at half of that.
 */
#include "kad/crawl_keys.h"

#include <peercache/types.h>

#include <stdlib.h>

#define SHA2_256     0x12 /* multicodec */
#define DIGEST_BYTES 32

int pc_kad_crawl_keys_init(struct pc_kad_crawl_keys *keys, struct pc_rng *rng)
{
    *keys = (struct pc_kad_crawl_keys){ 0 };
    keys->found = calloc(UINT32_C(2) << PC_KAD_CRAWL_LEVELS, sizeof(*keys->found));
    if (!keys->found)
        return PEERCACHE_ENOMEM;
    keys->next.size = 2 + DIGEST_BYTES;
    keys->next.bytes[0] = SHA2_256;
    keys->next.bytes[1] = DIGEST_BYTES;
    pc_base_rng_bytes(rng, keys->next.bytes + 2, DIGEST_BYTES);
    return 0;
}

void pc_kad_crawl_keys_deinit(struct pc_kad_crawl_keys *keys)
{
    free(keys->found);
    keys->found = NULL;
}

static struct pc_peer_id preimage_of(const struct pc_kad_crawl_keys *keys, uint32_t counter)
{
    struct pc_peer_id preimage = keys->next;
    for (unsigned i = 0; i < sizeof(counter); i++)
        preimage.bytes[preimage.size - 1 - i] = (uint8_t)(counter >> 8 * i);
    return preimage;
}

/* The first 16 bits and a 1 before them: the place of the longest prefix. */
static uint32_t leaf_of(const struct pc_kad_key *key)
{
    return UINT32_C(1) << 16 | (uint32_t)key->bytes[0] << 8 | key->bytes[1];
}
_Static_assert(PC_KAD_CRAWL_LEVELS == 16, "the prefixes are those of two bytes");

void pc_kad_crawl_keys_step(struct pc_kad_crawl_keys *keys, uint32_t hashes)
{
    for (; hashes > 0; hashes--) {
        if (++keys->counter == 0)
            keys->counter = 1; /* round once: those of before come again */
        struct pc_peer_id preimage = preimage_of(keys, keys->counter);
        struct pc_kad_key key = pc_kad_key_of_peer(&preimage);
        for (uint32_t place = leaf_of(&key); place > 1; place /= 2)
            keys->found[place] = keys->counter;
    }
}

bool pc_kad_crawl_keys_get(struct pc_kad_crawl_keys *keys, const struct pc_kad_key *own, unsigned level,
                           struct pc_peer_id *ret_preimage)
{
    if (level >= PC_KAD_CRAWL_LEVELS)
        return false;
    /* The bits that both share, and the next one turned over. */
    uint32_t place = (leaf_of(own) >> (PC_KAD_CRAWL_LEVELS - 1 - level)) ^ 1;
    for (uint32_t tried = 0; keys->found[place] == 0; tried++) {
        if (tried == PC_KAD_CRAWL_HASHES_MAX)
            return false;
        pc_kad_crawl_keys_step(keys, 1);
    }
    *ret_preimage = preimage_of(keys, keys->found[place]);
    return true;
}
