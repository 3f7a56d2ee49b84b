/* Peers by number, for the tests of the Kademlia room. */
#ifndef TESTS_KAD_PEERS_H
#define TESTS_KAD_PEERS_H

#include "kad/entry.h"

#include <string.h>

/* An Ed25519-shaped id of a number: identity multihash of 36 bytes of key protobuf. */
static inline struct pc_peer_id kad_id(uint32_t number)
{
    struct pc_peer_id id = { .size = 38, .bytes = { 0, 36, 8, 1, 18, 32 } };
    memcpy(id.bytes + 6, &number, sizeof(number));
    return id;
}

static inline uint32_t kad_number(const struct pc_peer_id *id)
{
    uint32_t number;
    memcpy(&number, id->bytes + 6, sizeof(number));
    return number;
}

static inline struct pc_kad_key kad_key(uint32_t number)
{
    struct pc_peer_id id = kad_id(number);
    return pc_kad_key_of_peer(&id);
}

/* An IPv4 /16 by number. */
static inline struct pc_netgroup kad_group(uint32_t number)
{
    return (struct pc_netgroup){ 3, { 4, (uint8_t)(number >> 8), (uint8_t)number } };
}

static inline struct pc_maddr kad_addr(uint8_t mark)
{
    return (struct pc_maddr){ .size = 1, .bytes = { mark } };
}

/* With one address. */
static inline struct pc_kad_contact kad_contact(uint32_t number, uint32_t group)
{
    static const struct pc_maddr addr = { .size = 1, .bytes = { 1 } };
    return (struct pc_kad_contact){ kad_id(number), kad_group(group), &addr, 1 };
}

/* The first numbers from `from` on whose ids share exactly `shared` bits with own's. */
static inline void kad_in_bucket(uint32_t own, unsigned shared, uint32_t from, uint32_t *ret_numbers,
                                 size_t count)
{
    struct pc_kad_key own_key = kad_key(own);
    for (size_t found = 0; found < count; from++) {
        struct pc_kad_key key = kad_key(from);
        if (pc_kad_key_common_prefix(&own_key, &key) == shared)
            ret_numbers[found++] = from;
    }
}

#endif
