#include "base/rng.h"

#include <sodium.h>
#include <string.h>

#define BLOCK_BYTES 64 /* of ChaCha20 */

void pc_base_rng_init(struct pc_rng *rng, const uint8_t seed[PC_RNG_SEED_BYTES])
{
    memcpy(rng->key, seed, PC_RNG_SEED_BYTES);
    rng->block = 0;
    rng->used = sizeof(rng->buffer);
}

void pc_base_rng_init_u64(struct pc_rng *rng, uint64_t seed)
{
    uint8_t bytes[PC_RNG_SEED_BYTES] = { 0 };
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(seed >> (8 * i));
    pc_base_rng_init(rng, bytes);
}

void pc_base_rng_bytes(struct pc_rng *rng, void *ret_data, size_t size)
{
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    uint8_t *at = ret_data;
    while (size > 0) {
        if (rng->used == sizeof(rng->buffer)) {
            memset(rng->buffer, 0, sizeof(rng->buffer));
            crypto_stream_chacha20_xor_ic(rng->buffer, rng->buffer, sizeof(rng->buffer), nonce, rng->block,
                                          rng->key);
            rng->block += sizeof(rng->buffer) / BLOCK_BYTES;
            rng->used = 0;
        }
        size_t part = sizeof(rng->buffer) - rng->used;
        if (part > size)
            part = size;
        memcpy(at, rng->buffer + rng->used, part);
        rng->used += part;
        at += part;
        size -= part;
    }
}

uint64_t pc_base_rng_u64(struct pc_rng *rng)
{
    uint8_t bytes[8];
    uint64_t v = 0;
    pc_base_rng_bytes(rng, bytes, sizeof(bytes));
    for (size_t i = 0; i < 8; i++) /* little-endian by hand: the same number on every machine */
        v |= (uint64_t)bytes[i] << (8 * i);
    return v;
}

uint64_t pc_base_rng_below(struct pc_rng *rng, uint64_t bound)
{
    uint64_t unfair = (0 - bound) % bound; /* 2^64 mod bound: what is below it would be too likely */
    uint64_t v;
    do
        v = pc_base_rng_u64(rng);
    while (v < unfair);
    return v % bound;
}
