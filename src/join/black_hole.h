/*
 * Black holes: a family (IPv4, IPv6), or all UDP, through which nothing comes, whoever is dialled. Dials into
 * one are wasted, and their failures say nothing of the peers.
 *
 * A family is one after PC_HOLE_DIALS of its dials in a row ended in silence or without a way there, while the
 * other family or an endpoint answered. All UDP is one when every family that was tried is, and only an
 * endpoint (TCP) answered. Dials to cached peers are no evidence as long as the other family has not answered
 * too: a stale cache looks just the same. One dial is let through now and then; any answer closes the hole.
 *
 *   fine ──silent dials, something else answers──► hole ──any answer, the network changed──► fine
 */
#ifndef PC_JOIN_BLACK_HOLE_H
#define PC_JOIN_BLACK_HOLE_H

#include "base/time.h"

#include <peercache/types.h>

#define PC_HOLE_DIALS          20
#define PC_HOLE_PROBE_FIRST_US (5 * PC_US_PER_S)
#define PC_HOLE_PROBE_CAP_US   (300 * PC_US_PER_S)

struct pc_hole {
    unsigned state;        /* enum pc_hole_state */
    uint32_t silent;       /* dials in a row of any source */
    uint32_t silent_fresh; /* of them not from the cache */
    bool answered;         /* ever, since the network changed */
    int64_t probe_at_us;
    int64_t probe_wait_us;
};

enum pc_hole_state {
    PC_HOLE_FINE,
    PC_HOLE_HOLE,
};

struct pc_black_holes {
    struct pc_hole families[2]; /* IPv4, IPv6 */
    bool endpoint_answered;
};

void pc_black_holes_init(struct pc_black_holes *holes);
/* A dial of this family (4 or 6) ended. True: what may be dialled has changed. */
bool pc_black_holes_ended(struct pc_black_holes *holes, uint8_t family, peercache_via via,
                          peercache_outcome outcome, int64_t now_us);
/* An endpoint answered, over TCP. True as above. */
bool pc_black_holes_endpoint_answered(struct pc_black_holes *holes, int64_t now_us);
/* Forget all. */
void pc_black_holes_network_changed(struct pc_black_holes *holes);
bool pc_black_holes_is_hole(const struct pc_black_holes *holes, uint8_t family);
/* Every family that was tried is a hole, and one was. */
bool pc_black_holes_is_udp(const struct pc_black_holes *holes);
/* When one dial of the family may be let through; ≤ now while it is fine. */
int64_t pc_black_holes_ready_at(const struct pc_black_holes *holes, uint8_t family);
/* That dial is made: the next one waits, each time longer. */
void pc_black_holes_probed(struct pc_black_holes *holes, uint8_t family, int64_t now_us);

#endif
