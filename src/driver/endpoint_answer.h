/*
 * The body of an endpoint's answer, read: its peers, in whatever known format, or why there are none. It may be large, and
 * takes a while: not for the loop's thread.
 */
#ifndef PC_DRIVER_ENDPOINT_ANSWER_H
#define PC_DRIVER_ENDPOINT_ANSWER_H

#include "base/rng.h"
#include "join/endpoint_memory.h"

/* Whose peers are wanted. */
struct pc_driver_endpoint_network {
    const char *name;    /* as our own lists say it; NULL: any */
    const char *version; /* as ant-v0 and ant-v1 say it; NULL: any */
};

struct pc_driver_endpoint_answer {
    peercache_fetch result;  /* OK, RUBBISH or WRONG_NETWORK; CANCELLED: memory was out */
    struct pc_reason detail; /* what is wrong and where; of OK what was left out, "" when nothing was */
    struct pc_endpoint_peer *peers; /* to be freed; OK only */
    size_t count;                   /* at most PC_ENDPOINT_PEERS_MAX */
};

/*
 * An answer that does not say its network is taken. Of more peers than there is room for a fair sample is kept: which, the
 * generator decides. Addresses are as they stand there, whatever they are good for.
 */
void pc_driver_endpoint_answer_read(struct pc_bytes body, const struct pc_driver_endpoint_network *network,
                                    struct pc_rng *rng, struct pc_driver_endpoint_answer *ret_answer);

#endif
