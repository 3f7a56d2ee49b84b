/*
 * Memory for ngtcp2's objects, a pool a host.
 *
 * ngtcp2 takes its small objects from chunks of 4 to 12 KB, of which a connection with a few streams uses the
 * beginning only: about 80 KB are asked for and half of that is ever touched. From the general heap these
 * chunks come in places that a TLS handshake has used before, so they cost memory whole. Here chunks of one
 * size lie together in slabs of fresh pages and are reused for the same size only: what is not touched stays
 * untouched, and costs address space instead of memory.
 */
#ifndef PC_LIBP2P_QUIC_MEMORY_H
#define PC_LIBP2P_QUIC_MEMORY_H

#include <ngtcp2/ngtcp2.h>
#include <stddef.h>

#define PC_QUIC_MEMORY_CLASSES 16 /* different sizes that are pooled; further ones go to the heap */

struct pc_quic_slab;
struct pc_quic_block;

struct pc_quic_memory {
    ngtcp2_mem functions; /* for ngtcp2 */
    struct pc_quic_slab *slabs;
    struct {
        size_t size;
        struct pc_quic_block *unused;
    } classes[PC_QUIC_MEMORY_CLASSES];
};

/* The pool must not be moved afterwards. */
void pc_libp2p_quic_memory_init(struct pc_quic_memory *memory);
/* When all that was taken from it is given back. */
void pc_libp2p_quic_memory_deinit(struct pc_quic_memory *memory);

#endif
