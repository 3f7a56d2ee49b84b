/*
 * Whether we can be reached from outside, and at which addresses. Pure: what peers say and what was tried goes in, what is
 * to be tried next and what holds comes out.
 *
 *                 PC_REACH_GROUPS networks                    a fresh connection came through
 *   seen at ──────► see us at it: AGREED ──── probe, ──────────► PROVEN ──── PC_REACH_FAILURES probes in a row fail,
 *                   │   ▲                     or a stranger        ▲  │      no new proof in PC_REACH_PROOF_US,
 *   announced ──────┘   └────────── LOST ◄─────────────────────────┼──┘      or the networks agree on another one
 *                                    └───────── probe ─────────────┘
 *
 * Each network group has one voice for each family, the last that was heard: who changes address is noticed by the voices
 * that move. A probe is AutoNAT v2's: a peer dials us from a port we never sent to. A stranger is one who dialled us though
 * we had sent nothing to its IP lately, so that no NAT can have let it in for our sake.
 */
#ifndef PC_NODE_REACH_H
#define PC_NODE_REACH_H

#include "addr/netgroup.h"
#include "base/time.h"

#define PC_REACH_GROUPS     3  /* networks that must see us at one address: two liars are not enough */
#define PC_REACH_VOICES_MAX 64 /* of each family; beyond it the oldest is forgotten */
#define PC_REACH_ADDRS_MAX  8  /* agreed on at once */
#define PC_REACH_FAILURES   3  /* in a row: one server may be the one who is cut off */
/* So many voices, and no three for one address: a NAT that gives each peer another port. */
#define PC_REACH_SCATTERED  8

#define PC_REACH_PROBE_US   PC_US_PER_S       /* from agreement to the first probe */
#define PC_REACH_RETRY_US   (5 * PC_US_PER_S) /* after a probe that failed */
#define PC_REACH_ASK_US     (60 * PC_US_PER_S) /* after one that decided nothing, or when nobody could be asked */
#define PC_REACH_RECHECK_US (30 * 60 * PC_US_PER_S)
#define PC_REACH_PROOF_US   (4 * PC_REACH_RECHECK_US)

/* IPs that we dialled: so many of the last, and for so long. NATs keep a way open for two to five minutes (RFC 4787). */
#define PC_REACH_SENT_MAX 1024
#define PC_REACH_SENT_US  (10 * 60 * PC_US_PER_S)

#define PC_REACHABILITIES(X)                                                                                 \
    X(PC_REACH_UNKNOWN, "unknown") /* not tried, or not enough said */                                       \
    X(PC_REACH_PRIVATE, "private") /* tried, and nothing comes through */                                    \
    X(PC_REACH_PUBLIC, "public")   /* an address is proven */

enum pc_reachability {
#define PC_X(name, word) name,
    PC_REACHABILITIES(PC_X)
#undef PC_X
        PC_REACHABILITY_COUNT
};
/* "public"; "unknown" outside of the list. */
const char *pc_reachability_name(enum pc_reachability reachability);

enum pc_reach_verdict {
    PC_REACH_CAME_THROUGH,
    PC_REACH_CUT_OFF,
    PC_REACH_UNDECIDED, /* the server refused, was gone, or lied */
};

struct pc_reach_voice {
    struct pc_netgroup group;
    struct pc_ip_port addr;
    uint64_t heard; /* in the order of hearing; 0: none */
};

struct pc_reach_place {
    struct pc_ip_port addr;
    bool announced; /* by the operator: agreed on without peers */
    bool probing;
    bool lost;                                       /* probes failed */
    unsigned failures;                               /* in a row */
    struct pc_netgroup failed_by[PC_REACH_FAILURES]; /* whose they were */
    int64_t probe_at_us;
    int64_t proven_until_us; /* PC_TIME_NEVER is never used: INT64_MIN, it is not proven */
};

struct pc_reach {
    uint64_t version;                                     /* grows with each change of places and proofs */
    struct pc_reach_voice voices[2][PC_REACH_VOICES_MAX]; /* of IPv4, of IPv6 */
    uint64_t heard;
    struct pc_reach_place places[PC_REACH_ADDRS_MAX];
    size_t place_count;
    struct {
        struct pc_ip_port to; /* port 0 */
        int64_t at_us;
    } sent[PC_REACH_SENT_MAX]; /* a ring */
    size_t sent_next;
    int64_t blind_until_us; /* more was dialled than is remembered: until then nobody is a stranger */
};

void pc_reach_init(struct pc_reach *reach);
/* An address that the operator gave: to be proven like one that peers agree on. ELIMIT. */
int pc_reach_announced(struct pc_reach *reach, const struct pc_ip_port *addr, int64_t now_us);
/* A peer of this group sees us at this address, which others could dial. */
void pc_reach_seen_at(struct pc_reach *reach, const struct pc_ip_port *addr, const struct pc_netgroup *by,
                      int64_t now_us);
/* We dialled this remote. */
void pc_reach_sent(struct pc_reach *reach, const struct pc_ip_port *to, int64_t now_us);
/* One who dialled us, from this remote, says that it found us at this address. True: it is a stranger, and the address is
 * agreed on and so proven. */
bool pc_reach_dialled(struct pc_reach *reach, const struct pc_ip_port *addr, const struct pc_ip_port *from,
                      int64_t now_us);
/* The address that is due to be probed; NULL: none. Valid until the next call. To be followed by _probing, or by _no_server. */
const struct pc_reach_place *pc_reach_due(const struct pc_reach *reach, int64_t now_us);
/* A probe of it has begun; it ends in _probed. */
void pc_reach_probing(struct pc_reach *reach, const struct pc_ip_port *addr);
/* Nobody is there to ask. */
void pc_reach_no_server(struct pc_reach *reach, const struct pc_ip_port *addr, int64_t now_us);
/* Whether a server of this group has failed already in this row: another one says more. */
bool pc_reach_failed_by(const struct pc_reach_place *place, const struct pc_netgroup *group);
void pc_reach_probed(struct pc_reach *reach, const struct pc_ip_port *addr, const struct pc_netgroup *server,
                     enum pc_reach_verdict verdict, int64_t now_us);
/* What peers said was of another network: they are to say it again. What is proven is tried anew. */
void pc_reach_network_changed(struct pc_reach *reach, int64_t now_us);
/* Proofs that are too old are none. */
void pc_reach_expire(struct pc_reach *reach, int64_t now_us);
/* When a probe is due or a proof gets too old; PC_TIME_NEVER. */
int64_t pc_reach_deadline(const struct pc_reach *reach);

enum pc_reachability pc_reach_state(const struct pc_reach *reach);
bool pc_reach_is_proven(const struct pc_reach_place *place);

#endif
