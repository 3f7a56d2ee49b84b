/* Defaults and names: limits.h. */
#include "libp2p/limits.h"

void pc_libp2p_limits_init(struct pc_libp2p_limits *limits)
{
    *limits = (struct pc_libp2p_limits){
        .connections_per_group = PC_LIMIT_CONNECTIONS_PER_GROUP,
        .connections_per_peer = PC_LIMIT_CONNECTIONS_PER_PEER,
        .half_open_per_group = PC_LIMIT_HALF_OPEN_PER_GROUP,
        .handshakes = { PC_LIMIT_HANDSHAKES_PER_S, PC_LIMIT_HANDSHAKES_BURST },
        .handshakes_per_group = { PC_LIMIT_GROUP_HANDSHAKES_PER_S, PC_LIMIT_GROUP_HANDSHAKES_BURST },
        .streams = PC_LIMIT_STREAMS,
        .streams_per_group = PC_LIMIT_STREAMS_PER_GROUP,
        .streams_per_peer = PC_LIMIT_STREAMS_PER_PEER,
        .requests = { PC_LIMIT_REQUESTS_PER_S, PC_LIMIT_REQUESTS_BURST },
        .requests_per_group = { PC_LIMIT_GROUP_REQUESTS_PER_S, PC_LIMIT_GROUP_REQUESTS_BURST },
        .requests_per_peer = { PC_LIMIT_PEER_REQUESTS_PER_S, PC_LIMIT_PEER_REQUESTS_BURST },
        .memory_bytes = PC_LIMIT_MEMORY_BYTES,
        .memory_per_group_bytes = PC_LIMIT_MEMORY_PER_GROUP_BYTES,
        .memory_per_peer_bytes = PC_LIMIT_MEMORY_PER_PEER_BYTES,
    };
}

const char *pc_libp2p_shed_name(enum pc_libp2p_shed shed)
{
    switch (shed) {
#define PC_X(name, word)                                                                                     \
    case name:                                                                                               \
        return word;
        PC_LIBP2P_SHEDS(PC_X)
#undef PC_X
    case PC_SHED_COUNT:
        break;
    }
    return "unknown";
}
