/* Multihash: a hash that says which function made it: varint code, varint length, digest
 * (multiformats/multihash). */
#ifndef PC_ADDR_MULTIHASH_H
#define PC_ADDR_MULTIHASH_H

#include "base/bytes.h"

/* The functions that a peer id may use (multicodec table.csv). */
#define PC_MULTIHASH_IDENTITY 0x00
#define PC_MULTIHASH_SHA2_256 0x12

struct pc_multihash {
    uint64_t code;
    struct pc_bytes digest;
};

/* EPARSE: cut short, longer than it says, or a varint not in its shortest form. Any code is accepted. */
int pc_addr_multihash_read(struct pc_bytes bytes, struct pc_multihash *ret_multihash);

#endif
