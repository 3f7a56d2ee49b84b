/* A peer as this room knows it: who it is, where it is in the key space and in the network, how to dial it. */
#ifndef PC_KAD_ENTRY_H
#define PC_KAD_ENTRY_H

#include "addr/multiaddr.h"
#include "addr/netgroup.h"
#include "kad/key.h"

#define PC_KAD_K              20
#define PC_KAD_BUCKETS        256
#define PC_KAD_ADDRS_PER_PEER 4

/*
 * A peer as it is told of: by identify, in an answer, from the cache. Borrowed for one call.
 *
 * `group` is what the limits count. For a verified peer it is that of the address at which it was proven (the
 * one dialled, or the one it came from), never of what it says of itself. Peers without a group count as one.
 */
struct pc_kad_contact {
    struct pc_peer_id id;
    struct pc_netgroup group;
    const struct pc_maddr *addrs; /* best first; those beyond PC_KAD_ADDRS_PER_PEER are left out */
    size_t addr_count;
};

struct pc_kad_entry {
    struct pc_peer_id id;
    struct pc_kad_key key;
    struct pc_netgroup group;
    uint8_t addr_count;
    struct pc_maddr addrs[PC_KAD_ADDRS_PER_PEER];
    int64_t last_seen_us;     /* any sign of life of a verified peer; 0: only told of */
    int64_t last_answered_us; /* to a request of ours; 0: never */
};

/* Of this contact, never seen. */
void pc_kad_entry_init(struct pc_kad_entry *entry, const struct pc_kad_contact *contact,
                       const struct pc_kad_key *key);
/* Its group and addresses are these now. */
void pc_kad_entry_update(struct pc_kad_entry *entry, const struct pc_kad_contact *contact);
/* The entry as a contact, borrowing from it. */
struct pc_kad_contact pc_kad_entry_contact(const struct pc_kad_entry *entry);

#endif
