/*
 * Randomness as a value: a ChaCha20 key stream (RFC 8439) under a 32-byte seed. Fit for connection ids and
 * tokens when the seed comes from the operating system, and the same on every machine when it comes from a
 * test.
 */
#ifndef PC_BASE_RNG_H
#define PC_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

#define PC_RNG_SEED_BYTES 32

struct pc_rng {
    uint8_t key[PC_RNG_SEED_BYTES];
    uint64_t block; /* number of the next block of the key stream */
    uint8_t buffer[512];
    size_t used; /* bytes of buffer given out */
};

void pc_base_rng_init(struct pc_rng *rng, const uint8_t seed[PC_RNG_SEED_BYTES]);
/* For tests: the seed is a number. */
void pc_base_rng_init_u64(struct pc_rng *rng, uint64_t seed);
void pc_base_rng_bytes(struct pc_rng *rng, void *ret_data, size_t size);
uint64_t pc_base_rng_u64(struct pc_rng *rng);
/* Uniform in [0, bound), without bias; bound > 0. */
uint64_t pc_base_rng_below(struct pc_rng *rng, uint64_t bound);

#endif
