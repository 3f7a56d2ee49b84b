/*
 * The routing table: 256 buckets by shared prefix with our own key, at most k peers each, least recently seen
 * first. (Maymounkov and Mazières, Kademlia, 2002; libp2p/specs kad-dht.) Pure: the caller owns connections
 * and time. Diversity limits per group and test-before-evict come with the living node; the bucket refuses
 * when full until then.
 */
#ifndef PC_KAD_TABLE_H
#define PC_KAD_TABLE_H

#include "addr/multiaddr.h"
#include "kad/key.h"

#define PC_KAD_K              20
#define PC_KAD_ADDRS_PER_PEER 4

struct pc_kad_entry {
    struct pc_peer_id id;
    struct pc_kad_key key;
    uint8_t addr_count;
    struct pc_maddr addrs[PC_KAD_ADDRS_PER_PEER];
    int64_t last_seen_us;
};

/* Set the addresses; those beyond PC_KAD_ADDRS_PER_PEER are left out. */
void pc_kad_entry_set_addrs(struct pc_kad_entry *entry, const struct pc_maddr *addrs, size_t addr_count);

struct pc_kad_table;

int pc_kad_table_new(const struct pc_peer_id *own_id, struct pc_kad_table **ret_table);
void pc_kad_table_free(struct pc_kad_table *table);
/*
 * A verified server of our protocol, seen now. Moves it to the fresh end when it is in; its addresses are
 * replaced. 0 in the table; ELIMIT its bucket is full; EINVAL our own id, or none; ENOMEM.
 */
int pc_kad_table_seen(struct pc_kad_table *table, const struct pc_peer_id *id, const struct pc_maddr *addrs,
                      size_t addr_count, int64_t now_us);
/* Take a peer out; one that is not in is left alone. */
void pc_kad_table_remove(struct pc_kad_table *table, const struct pc_peer_id *id);
size_t pc_kad_table_count(const struct pc_kad_table *table);
/* Up to `count` entries closest to target, nearest first; pointers valid until the table changes. Returns how
 * many. */
size_t pc_kad_table_closest(const struct pc_kad_table *table, const struct pc_kad_key *target,
                            const struct pc_kad_entry **ret_entries, size_t count);

#endif
