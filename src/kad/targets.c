#include "kad/targets.h"

#define SHA2_256     0x12 /* multicodec */
#define DIGEST_BYTES 32

void pc_kad_targets_init(struct pc_kad_targets *targets, const struct pc_peer_id *own_id, struct pc_rng *rng)
{
    memset(targets, 0, sizeof(*targets));
    targets->own_key = pc_kad_key_of_peer(own_id);
    targets->missing = (UINT32_C(1) << PC_KAD_TARGETS) - 1;
    targets->next.size = 2 + DIGEST_BYTES;
    targets->next.bytes[0] = SHA2_256;
    targets->next.bytes[1] = DIGEST_BYTES;
    pc_base_rng_bytes(rng, targets->next.bytes + 2, DIGEST_BYTES);
}

/* Count on in the last bytes: as good as random once hashed. */
static void advance(struct pc_peer_id *preimage)
{
    for (size_t i = preimage->size; i-- > 2 && ++preimage->bytes[i] == 0;)
        ;
}

/* Bits of the buckets that have targets, up to the deepest one asked for. */
static uint32_t bits_to(unsigned deepest)
{
    return deepest < PC_KAD_TARGETS ? (UINT32_C(2) << deepest) - 1 : (UINT32_C(1) << PC_KAD_TARGETS) - 1;
}

void pc_kad_targets_step(struct pc_kad_targets *targets, uint32_t hashes, unsigned deepest)
{
    for (uint32_t old = bits_to(deepest); old && hashes > 0; hashes--, advance(&targets->next)) {
        struct pc_kad_key key = pc_kad_key_of_peer(&targets->next);
        unsigned bucket = pc_kad_key_common_prefix(&targets->own_key, &key);
        if (bucket >= PC_KAD_TARGETS)
            continue;
        targets->found[bucket] = targets->next;
        targets->missing &= ~(UINT32_C(1) << bucket);
        old &= ~(UINT32_C(1) << bucket);
    }
}

bool pc_kad_targets_reach(const struct pc_kad_targets *targets, unsigned deepest)
{
    return (targets->missing & bits_to(deepest)) == 0;
}

bool pc_kad_targets_get(const struct pc_kad_targets *targets, unsigned bucket,
                        struct pc_peer_id *ret_preimage)
{
    if (bucket >= PC_KAD_TARGETS || (targets->missing & UINT32_C(1) << bucket))
        return false;
    *ret_preimage = targets->found[bucket];
    return true;
}
