/*
 * The node: join, kad and cache at work behind one step function. An event in, actions out; pure.
 *
 *   START, LISTENING, LOADED, ENDPOINT,              ┌──────────────┐   DIAL, CLOSE, PING, FIND_NODE, ANSWER,
 *   WIRE, FETCHED, RESOLVED, ROUTES,              ─► │ pc_node_step │ ─► FETCH, RESOLVE, CANCEL…, COMMIT,
 *   TIME, COMMITTED, SAVE, RECALL, LISTENS, STOP     └──────────────┘   TAKE_IN, SAVED, KEEP…, ANNOUNCE, TELL, STOPPED
 *
 * The life of a node:
 *
 *   idle ──START──► joining ──report settled──► walking ──lookup done──► living ──STOP──► stopping ──►
 * stopped │          ▲                                                  │ │          └───────────── nobody
 * left (server) ───────────────┘ └─(ping asked)─► pinging ──last answer──► stopping
 *
 * With `once` a node goes from joining (or walking) straight to stopping; one that crawls goes from joining to crawling,
 * and stops when that is over. STOP is taken in every state.
 *
 * Everything that could be many in one step (dials, closes, requests) is done by a pump that stops when the
 * action array is full and goes on in the next step: pc_node_deadline() is then now.
 */
#ifndef PC_NODE_NODE_H
#define PC_NODE_NODE_H

#include "addr/multiaddr.h"
#include "addr/netgroup.h"
#include "base/log.h"
#include "base/rng.h"
#include "cache/record.h"
#include "join/endpoint_memory.h"
#include "join/plan.h"
#include "kad/table.h"
#include "libp2p/host.h"

#include <peercache/node.h>

#define PC_NODE_ACTIONS_MAX        64
#define PC_NODE_TELLS_MAX          16 /* of them TELL of a dial or an address of ours, whose texts are kept */
#define PC_NODE_PEERS_MAX          256  /* given by flags */
#define PC_NODE_REPORT_MAX         1000 /* dials listed in a report, of either kind */
#define PC_NODE_CACHE_OFFER_MAX    1024 /* cached candidates offered to one join */
#define PC_NODE_REQUEST_TIMEOUT_US (5 * PC_US_PER_S)
#define PC_NODE_WALK_MAX_US        (60 * PC_US_PER_S) /* of one lookup of a living node */
#define PC_NODE_PROBES_MAX         8                  /* dials under way for the table and for feelers */
#define PC_NODE_FEELER_EVERY_US    (120 * PC_US_PER_S)
#define PC_NODE_TARGET_HASHES                                                                                \
    512 /* tried by a refresh until every bucket it may want has a target: 150 µs or so */
#define PC_NODE_TARGET_RENEWALS 64 /* from then on */
#define PC_NODE_COMMIT_FIRST_US (30 * PC_US_PER_S)
#define PC_NODE_COMMIT_EVERY_US (3600 * PC_US_PER_S)
#define PC_NODE_COMMIT_PAUSE_US (300 * PC_US_PER_S) /* between saves that only news asks for */
#define PC_NODE_FINDS_MAX       64                  /* peers to be found, one after the other */
#define PC_NODE_STOP_TRIES      3  /* more to save, when others hold the store as the node stops */
#define PC_NODE_RECALLS         4  /* of the cache, dialled for the table after each refresh */
#define PC_NODE_RECALLS_ALONE   48 /* the same, after a join that found nobody: no refresh follows */
#define PC_NODE_REJOIN_FIRST_US (5 * PC_US_PER_S)
#define PC_NODE_REJOIN_MAX_US   (300 * PC_US_PER_S)
#define PC_NODE_PROBE_TIMEOUT_US                                                                             \
    (40 * PC_US_PER_S)                         /* a server may dial for 15 s, and wait for 30 KB of data */
#define PC_NODE_DIALS_BACK_BURST   10          /* for peers who ask: so many at once */
#define PC_NODE_DIAL_BACK_EVERY_US PC_US_PER_S /* and then one in so long */
#define PC_NODE_DIAL_BACK_PEER_US  (5 * PC_US_PER_S) /* between two of one peer */
#define PC_NODE_PING_EVERY_US      PC_US_PER_S

struct pc_node_source {
    char text[PEERCACHE_ADDR_TEXT_BYTES]; /* as given, for the report */
    struct pc_peer_id id;
    struct pc_maddr addr;
    peercache_via via;
};

struct pc_node_options {
    struct pc_peer_id own_id;
    const char *kad_protocol; /* copied */
    bool server;              /* serves from the start */
    bool automatic; /* serves as long as it can be reached (reach.h); not with `server`, nor in local mode */
    /* Announced in place of the addresses it listens on; copied. At most PC_LIBP2P_LISTEN_ADDRS_MAX. */
    const struct pc_maddr *announce;
    size_t announce_count;
    bool once;
    bool walk;
    bool save; /* COMMIT is asked for; false: what is learnt stays in memory */
    enum pc_netgroup_mode mode;
    uint32_t target;
    uint32_t min;
    int64_t timeout_us;
    const struct pc_node_source
        *sources; /* copied; those via ENDPOINT are bootstrap peers, which wait for the
                                             cache as endpoints do */
    size_t source_count;
    size_t endpoint_count;            /* ≤ PC_JOIN_ENDPOINTS_MAX; they are told by their index */
    const uint64_t *endpoint_sources; /* of each a number of its own, that of its URL; copied */
    bool dial_cached;
    bool exclusive;                      /* only `sources` via FLAG and ENV are dialled */
    const struct pc_join_filter *filter; /* copied; NULL: none */
    uint32_t last_verified;              /* peers from the cache that the last join verified (KEEP_JOIN) */
    uint32_t ping_count;                 /* not 0: ping sources[0] instead of joining */
    uint32_t crawl_concurrency;          /* not 0: crawl after the join, so many peers at once, and stop */
    int64_t crawl_timeout_us;            /* of join and crawl; NEVER */
    uint32_t
        connections_low; /* marks of the pool (pool.h), low <= high; a high one of 0: the defaults of both */
    uint32_t connections_high;
    uint32_t bucket_group_max; /* of the routing table (kad/table.h); 0: the default */
    uint32_t table_group_max;
    uint32_t peers_max;        /* of the working set; 0: PC_CACHE_SET_DEFAULT_PEERS */
    int64_t save_period_us;    /* 0: PC_NODE_COMMIT_EVERY_US */
    int64_t refresh_period_us; /* at most so long between refreshes of the table; 0: as it is filled */
    uint8_t secret[16];        /* of the store, or random */
    struct pc_rng rng;         /* copied */
    const struct pc_log *log;  /* borrowed */
};

struct pc_node;

int pc_node_new(const struct pc_node_options *options, struct pc_node **ret_node);
void pc_node_free(struct pc_node *node);

enum pc_node_event_kind {
    PC_NODE_START,     /* `is_part`: the store has more than was loaded */
    PC_NODE_LISTENING, /* `addr`: an address we can be reached at, /ip/udp/quic-v1; before START */
    PC_NODE_LOADED,    /* `record`: of the store; before START or at any later time */
    PC_NODE_BANNED,    /* `ban`: of the store; before START or at any later time */
    PC_NODE_ENDPOINT,  /* `endpoint`, `breaker`: its breaker as KEEP_ENDPOINT gave it; before START */
    PC_NODE_ROUTES,    /* `has_ip4`, `has_ip6`: before START what there is, later that the network changed */
    PC_NODE_FETCHED,   /* `fetched`: the end of a FETCH that was not cancelled */
    PC_NODE_RESOLVED,  /* `resolved`: the end of a RESOLVE that was not cancelled */
    PC_NODE_WIRE,      /* `wire`: what libp2p tells */
    PC_NODE_TIME,      /* the deadline came */
    PC_NODE_COMMITTED, /* `result` of the one COMMIT under way; `text` says why it failed */
    PC_NODE_FIND,      /* `id`: a peer to be found, told as FOUND; only while pc_node_may_find */
    PC_NODE_STOP,
    PC_NODE_SAVE,   /* all that is known is to be committed now; answered by SAVED */
    PC_NODE_RECALL, /* the cached peers are to be offered to the buckets that they would fill */
    PC_NODE_LISTENS, /* `addrs`: all addresses we can be reached at from now on, in place of those told before */
};

/* How a fetch ended. Peers only with OK and NOT_MODIFIED (those of the answer that still holds). */
struct pc_node_fetched {
    uint64_t number;
    size_t endpoint;
    peercache_fetch result;
    const struct pc_endpoint_peer *peers;
    size_t peer_count;
    bool has_date;
    int64_t clock_ahead_ms; /* our clock, of the answer's Date */
};

struct pc_node_resolved {
    uint64_t number;
    peercache_outcome outcome;    /* OK, or why not */
    const struct pc_ip_port *ips; /* of A and AAAA records */
    size_t ip_count;
    const struct pc_bytes *texts; /* of TXT records */
    size_t text_count;
};

struct pc_node_event {
    enum pc_node_event_kind kind;
    struct pc_bytes addr;
    const struct pc_maddr *addrs;
    size_t addr_count;
    const struct pc_record *record;
    const struct pc_ban *ban;
    const struct pc_libp2p_event *wire;
    const struct pc_peer_id *id;
    const struct pc_node_fetched *fetched;
    const struct pc_node_resolved *resolved;
    size_t endpoint;
    struct pc_bytes breaker;
    bool has_ip4;
    bool has_ip6;
    bool is_part;
    int result;
    const char *text;
};

enum pc_node_action_kind {
    PC_NODE_DIAL,           /* connection, remote, id (size 0: any), deadline_us */
    PC_NODE_CLOSE,          /* connection */
    PC_NODE_PING,           /* connection, request, deadline_us */
    PC_NODE_FIND_NODE,      /* connection, request, key, deadline_us */
    PC_NODE_ANSWER,         /* asked, peers */
    PC_NODE_FETCH,          /* number, endpoint, deadline_us; answered by FETCHED */
    PC_NODE_RESOLVE,        /* number, question, deadline_us; answered by RESOLVED */
    PC_NODE_CANCEL_FETCH,   /* number; not answered */
    PC_NODE_CANCEL_RESOLVE, /* number; not answered */
    PC_NODE_KEEP_ENDPOINT,  /* endpoint, breaker, count (its peers that verified): to be kept; not answered */
    PC_NODE_KEEP_JOIN, /* count: peers from the cache that this join verified; to be kept, not answered */
    PC_NODE_COMMIT,    /* deltas; one at a time, answered by COMMITTED */
    PC_NODE_TAKE_IN,   /* what others committed is wanted, told as BANNED and LOADED; not answered */
    PC_NODE_TELL,      /* event: for the application */
    PC_NODE_KEEP,      /* connection, keep: whether it is needed; not answered */
    PC_NODE_SAVED,     /* result: of every SAVE so far; 0 also when there is nothing to save to */
    PC_NODE_STOPPED,   /* the last action; nothing may be stepped afterwards */
    PC_NODE_PROBE,     /* connection, request, addrs (one), deadline_us: to be dialled there (AutoNAT) */
    PC_NODE_DIAL_BACK, /* asked, remote, count (which of the addresses), data_bytes (that are owed before) */
    PC_NODE_REFUSE_DIAL, /* asked, status */
    PC_NODE_ANNOUNCE,    /* is_server, addrs: what we are from now on; at first a client without addresses */
};

struct pc_node_action {
    enum pc_node_action_kind kind;
    uint64_t connection;
    uint64_t request;
    uint64_t asked;
    uint64_t number;
    size_t endpoint;
    uint32_t count;
    bool keep;
    uint8_t breaker[PC_BREAKER_BYTES];
    struct pc_name_question question;
    struct pc_ip_port remote;
    struct pc_peer_id id;
    int64_t deadline_us;
    struct pc_bytes key;
    const struct pc_kad_peer *peers;
    size_t peer_count;
    uint32_t data_bytes;
    enum pc_autonat_status status;
    bool is_server;
    const struct pc_maddr *addrs;
    size_t addr_count;
    int result;
    const struct pc_delta *deltas;
    size_t delta_count;
    peercache_node_event event;
};

/*
 * One step. *ret_actions is owned by the node, valid until the next step. Returns how many actions there are.
 * Running out of memory loses a candidate or a memory, never the node: it is logged and the step goes on.
 */
size_t pc_node_step(struct pc_node *node, peercache_time now, const struct pc_node_event *event,
                    const struct pc_node_action **ret_actions);
/* mono_us at which a TIME event is due; PC_TIME_NEVER when none. */
int64_t pc_node_deadline(const struct pc_node *node);

/* There is room for one more FIND. */
bool pc_node_may_find(const struct pc_node *node);

/* What status text and tests look at. */
size_t pc_node_table_count(const struct pc_node *node);
/* The routing table, to be read until the next step. */
const struct pc_kad_table *pc_node_table(const struct pc_node *node);
size_t pc_node_cache_count(const struct pc_node *node);

#endif
