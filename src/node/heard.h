/*
 * Addresses heard of lately, judged once. Each answer names twenty peers, nearly all of them named a moment before with the same
 * addresses: whether an address may be stored and dialled, and what group it is of, follows from its bytes and the node's options alone.
 *
 * Two slots for each hash of an address; a third that comes takes the place of the one that was news longer ago. The hash has no secret: who
 * makes addresses that meet gains that they are judged each time.
 */
#ifndef PC_NODE_HEARD_H
#define PC_NODE_HEARD_H

#include "addr/multiaddr.h"
#include "addr/netgroup.h"
#include "addr/peer_id.h"

#define PC_NODE_HEARD_SLOTS 256 /* a power of two; in pairs */

struct pc_node_heard {
    struct pc_maddr
        addr; /* in its normal form; when it may not be stored, as it was told. Size 0: an empty slot */
    bool may_be_stored;        /* and dialled when others name it */
    bool may_be_offered;       /* to a join */
    struct pc_ip_port ip_port; /* family 0: it is no address of QUIC */
    struct pc_netgroup group;

    /* For whom the cache has taken it in: while the cache has lost nothing since, it is not told again within a minute. */
    struct pc_peer_id id;
    int64_t at_ms;
    uint64_t losses;
    /* And that peer was found to be in the table and in a lookup, when those were these; 0: not. */
    uint64_t table_version;
    uint64_t lookup_number;
};

struct pc_node_hearing {
    struct pc_node_heard slots[PC_NODE_HEARD_SLOTS];
    struct pc_node_heard other; /* what has no slot: an address that is not told in its normal form */
};

#endif
