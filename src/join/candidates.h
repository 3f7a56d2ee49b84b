/*
 * The candidates of one join: those that wait, in the order in which they are to be dialled, those that rest
 * after a failure, and those that were dialled, which are remembered so that none comes twice. Internal to
 * the joiner.
 *
 * Sources have lanes (flag and env one, then cache, endpoint, dht). In a lane stands a heap of groups, and in
 * each group a heap of its candidates: a candidate's key is (via, number of the offer), a group's is (unstalled
 * dials, key of its first candidate), so the first candidate of the first group is the lane's next, and every
 * change costs a logarithm. Nodes stay in their heaps with the key PC_CANDIDATE_BLOCKED while they may not be
 * dialled: a group without candidates, a candidate whose peer is being dialled, or whose family is a black
 * hole. So memory is needed only when a candidate is offered or rests.
 */
#ifndef PC_JOIN_CANDIDATES_H
#define PC_JOIN_CANDIDATES_H

#include "addr/netgroup.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/time.h"
#include "join/joiner.h"

#define PC_CANDIDATE_BLOCKED (PC_TIME_NEVER - 1) /* NEVER itself would take the node out */

enum pc_lane {
    PC_LANE_GIVEN, /* flag and env */
    PC_LANE_CACHE,
    PC_LANE_ENDPOINT,
    PC_LANE_DHT,
    PC_LANE_COUNT,
};
enum pc_lane pc_lane_of(peercache_via via);

struct pc_group {
    struct pc_map_node node; /* in groups, by name */
    struct pc_netgroup name; /* size 0: of those without a group */
    struct {
        struct pc_heap candidates;
        struct pc_heap_node place; /* in waiting_groups of the lane, always */
    } lanes[PC_LANE_COUNT];
    size_t known;       /* candidates of it */
    uint32_t unstalled; /* dials; stays 0 for those without a group */
};

struct pc_candidate_peer {
    struct pc_map_node node; /* in peers, by id */
    struct pc_peer_id id;
    size_t known; /* candidates of it */
    uint32_t dialling;
    bool is_done;             /* verified: rests no more */
    bool race_is_open;        /* the dial under way has been silent for long enough */
    uint8_t last_family;      /* of the dial that began last */
    struct pc_heap_node race; /* in races: when another address may be dialled beside the one under way */
    const struct pc_candidate *raced; /* that may be, though the peer is being dialled */
    size_t waiting_count;
    struct pc_candidate *waiting[PEERCACHE_ADDRS_PER_PEER];
};

struct pc_candidate {
    struct pc_map_node node;   /* in known, by key; there until the end of the join at least */
    struct pc_heap_node place; /* in the heap of its group, while it waits */
    struct pc_heap_node rest;  /* in resting, after a failure */
    struct pc_group *group;
    struct pc_candidate_peer *peer; /* NULL when its id is not known */
    int64_t rank;                   /* via and number of the offer */
    struct pc_ip_port ip_port;
    peercache_via via;
    uint32_t failures; /* in a row */
    uint32_t endpoints;
    bool is_dialled; /* now */
    uint16_t key_size;
    uint8_t key[]; /* size of the id, id, address: what makes two candidates the same */
};

struct pc_candidates {
    enum pc_netgroup_mode mode;
    struct pc_map known;
    struct pc_map peers;
    struct pc_map groups;
    struct pc_heap waiting_groups[PC_LANE_COUNT];
    struct pc_heap resting;
    struct pc_heap races;
    size_t waiting_count;
    size_t waiting_by_lane[PC_LANE_COUNT];
    size_t known_by_lane[PC_LANE_COUNT];
    uint32_t offers;
    bool is_blocked[2]; /* families IPv4, IPv6 */
};

void pc_candidates_init(struct pc_candidates *set, enum pc_netgroup_mode mode, const uint8_t secret[16]);
void pc_candidates_deinit(struct pc_candidates *set);
/* Known already: 0, see pc_join_offer. ELIMIT, ENOMEM as pc_join_offer. */
int pc_candidates_add(struct pc_candidates *set, const struct pc_joiner_candidate *offered);
/* NULL: not known. */
struct pc_candidate *pc_candidates_find(const struct pc_candidates *set,
                                        const struct pc_joiner_candidate *offered);
/* It waits, rests, or is being dialled. */
bool pc_candidates_is_open(const struct pc_candidate *candidate);
/* The lane's next and its key; NULL with BLOCKED when none may be dialled. */
struct pc_candidate *pc_candidates_first(const struct pc_candidates *set, enum pc_lane lane,
                                         int64_t *ret_key);
/* It is dialled: it waits no longer. Other addresses of its peer wait, till race_at_us at least. */
void pc_candidates_dial(struct pc_candidates *set, struct pc_candidate *candidate, int64_t race_at_us);
/* Its dial ended: the peer's other addresses may be dialled. */
void pc_candidates_dial_ended(struct pc_candidates *set, struct pc_candidate *candidate);
/* The group's count of unstalled dials. */
void pc_candidates_count_dial(struct pc_candidates *set, struct pc_group *group, bool more);
/* After a failure: it waits again from at_us on. ENOMEM: it does not. */
int pc_candidates_rest(struct pc_candidates *set, struct pc_candidate *candidate, int64_t at_us);
/* What rested until now waits again, and races that are due begin. */
void pc_candidates_wake(struct pc_candidates *set, int64_t now_us);
/* When the first rest or race is over. */
int64_t pc_candidates_wake_at(const struct pc_candidates *set);
/* No more addresses of this peer are to be dialled. */
void pc_candidates_peer_done(struct pc_candidates *set, const struct pc_peer_id *id);
/* Walks all: for the rare change of a black hole. */
void pc_candidates_block_family(struct pc_candidates *set, uint8_t family, bool is_blocked);
/* Whoever rests need not any longer. */
void pc_candidates_wake_all(struct pc_candidates *set);
/* Nobody is done. Forget those that neither wait nor rest nor are being dialled, so that they may be offered again; of
 * a source that fills more than half of its room also those that wait and rest, but for the given ones: so new ones
 * always have room in the next join. */
void pc_candidates_forget_dialled(struct pc_candidates *set);
void pc_candidates_give_out(const struct pc_candidate *candidate, struct pc_joiner_candidate *ret_candidate);

#endif
