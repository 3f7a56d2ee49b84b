/* All there is to tell of a running node: its own status, and what only its driver knows. */
#ifndef PC_OBSERVE_OBSERVATION_H
#define PC_OBSERVE_OBSERVATION_H

#include "node/status.h"

/* Texts are borrowed. */
struct pc_observation {
    struct pc_node_status node; /* its endpoints with their URLs */
    const char *version;        /* "0.1.0" */
    const char *network;
    int64_t started_ms; /* wall time */
    int64_t uptime_us;
    const char *store_path;    /* "": there is no cache */
    const char *store_problem; /* why it is not healthy or not writable, in words; "" when it is both */
    bool store_is_healthy;
    bool store_is_writable;
    uint64_t resident_bytes;  /* memory of the process; 0: not known */
    uint32_t descriptors;     /* open; 0: not known */
    uint32_t descriptors_max; /* 0: not known */
    uint64_t datagrams_received;
    uint64_t datagrams_sent;
    struct pc_libp2p_counters turned_away; /* by libp2p */
    struct pc_libp2p_counts counts;
};

#endif
