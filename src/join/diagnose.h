/*
 * Why a join failed, from counted facts alone: one cause of a closed list, and the next step to take. The
 * order of the list is the order of the tests: what stands above explains what stands below it.
 */
#ifndef PC_JOIN_DIAGNOSE_H
#define PC_JOIN_DIAGNOSE_H

#include <peercache/types.h>

/* name, word, next step */
#define PC_CAUSE_LIST(X)                                                                                     \
    X(PC_CAUSE_NONE, "none", "")                                                                             \
    X(PC_CAUSE_NO_SOURCES, "no_sources",                                                                     \
      "There is nobody to ask: give a peer (--peer) or an endpoint (--endpoint), or run where the cache "    \
      "has peers.")                                                                                          \
    X(PC_CAUSE_DENIED, "denied",                                                                             \
      "Every address is forbidden here: check --allow and --deny, and use --local for private addresses.")   \
    X(PC_CAUSE_UNSUPPORTED, "unsupported",                                                                   \
      "No address can be dialled: give addresses with /udp/PORT/quic-v1.")                                   \
    X(PC_CAUSE_OFFLINE, "offline",                                                                           \
      "Nothing at all answers: check the network connection; joining goes on once it is back.")              \
    X(PC_CAUSE_DNS_FAILED, "dns_failed",                                                                     \
      "No name resolves: check the name server, or give one with --resolver.")                               \
    X(PC_CAUSE_CLOCK_WRONG, "clock_wrong",                                                                   \
      "This machine's clock is wrong, so that certificates look invalid: set it.")                           \
    X(PC_CAUSE_WRONG_NETWORK, "wrong_network",                                                               \
      "Those who answer belong to another network: check the network's name and protocols.")                 \
    X(PC_CAUSE_POISONED, "poisoned",                                                                         \
      "The addresses lead to others than they claim: add a peer you trust (--peer) or a trusted endpoint.")  \
    X(PC_CAUSE_UDP_BLOCKED, "udp_blocked",                                                                   \
      "Web requests get through and UDP does not: ask for outgoing UDP in the firewall.")                    \
    X(PC_CAUSE_HANDSHAKES_FAIL, "handshakes_fail",                                                           \
      "Peers answer and no handshake succeeds: something in between interferes, or their version is "        \
      "another.")                                                                                            \
    X(PC_CAUSE_ENDPOINTS_DOWN, "endpoints_down",                                                             \
      "No endpoint gave usable peers: see 'peercache endpoints', or give another with --endpoint.")          \
    X(PC_CAUSE_ALL_STALE, "all_stale",                                                                       \
      "All known peers are gone: give a fresh one with --peer, or an endpoint with --endpoint.")             \
    X(PC_CAUSE_TOO_FEW, "too_few", "Some peers were found, fewer than wanted: wait, or ask for fewer.")      \
    X(PC_CAUSE_TIMED_OUT, "timed_out", "The time was too short to try everyone: give more with --timeout.")

enum pc_cause {
#define PC_X(name, word, step) name,
    PC_CAUSE_LIST(PC_X)
#undef PC_X
        PC_CAUSE_COUNT
};

/* A clock that is this far off makes certificates look expired or not yet valid. */
#define PC_JOIN_CLOCK_WRONG_MS (3600 * INT64_C(1000))

/* What was counted in one join. */
struct pc_join_facts {
    uint32_t target;
    uint32_t min;
    uint32_t verified;
    uint32_t offered;        /* candidates, of all sources */
    uint32_t refused_offers; /* of them denied by the lists of networks */
    uint32_t dials;          /* ended ones */
    uint32_t ended[PEERCACHE_OUTCOME_COUNT];
    uint32_t waiting;   /* never tried when it ended */
    uint32_t endpoints; /* configured */
    uint32_t fetches;   /* ended ones */
    uint32_t fetches_ok;
    uint32_t fetches_answered; /* with anything at all, refusals included */
    uint32_t fetches_wrong_network;
    uint32_t fetches_dns_failed;
    uint32_t names; /* resolutions that ended */
    uint32_t names_failed;
    bool udp_is_hole;
    bool has_no_route;      /* the caller knows of no way out, of either family */
    bool has_clock;         /* an endpoint told its time */
    int64_t clock_ahead_ms; /* ours, of the Date of endpoints; 0 when not known */
};

/* NONE at the target; TOO_FEW from the minimum on; else why it failed. */
enum pc_cause pc_join_diagnose(const struct pc_join_facts *facts);
/* "no_sources"; NULL outside the list. */
const char *pc_cause_name(enum pc_cause cause);
/* The sentence on the next step to take; NULL outside the list. */
const char *pc_cause_next_step(enum pc_cause cause);

#endif
