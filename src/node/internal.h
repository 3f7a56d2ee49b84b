/* What the files of this room share: the node's state. Nobody outside includes it. */
#ifndef PC_NODE_INTERNAL_H
#define PC_NODE_INTERNAL_H

#include "base/map.h"
#include "base/time.h"
#include "cache/set.h"
#include "kad/candidates.h"
#include "kad/lookup.h"
#include "kad/schedule.h"
#include "kad/table.h"
#include "kad/targets.h"
#include "node/heard.h"
#include "node/node.h"
#include "node/pool.h"
#include "node/reach.h"

enum node_phase {
    PHASE_IDLE,
    PHASE_JOINING,
    PHASE_WALKING,
    PHASE_LIVING,
    PHASE_PINGING,
    PHASE_CRAWLING,
    PHASE_STOPPING,
    PHASE_STOPPED,
};

enum connection_purpose {
    FOR_JOIN,
    FOR_WALK,
    FOR_PING,
    FOR_CRAWL,
    FOR_PROBE, /* a candidate of the table, a member that is tested, a feeler */
    FOR_PEER,  /* it dialled us */
};

struct connection {
    struct pc_map_node by_number;
    struct pc_map_node
        by_id; /* in the map of open connections when `indexed`: the one of its peer that is used */
    bool indexed;
    struct connection *sibling; /* another open one of its peer, which is not used */
    bool is_double;             /* it is such: pool.h */
    bool is_neighbour;          /* of a neighbour in the table */
    bool is_kept;               /* as the host was told last */
    int64_t double_until_us;
    struct connection *double_previous;
    struct connection *double_next;
    struct connection *cancelled_previous; /* when `cancelled` */
    struct connection *cancelled_next;
    int64_t opened_us;
    int64_t used_us; /* asked over, by either side */
    bool open;
    bool is_test;              /* FOR_PROBE: of a member, who leaves the table when it fails */
    bool was_failing;          /* FOR_PROBE: of the cache, where its last dial had failed */
    bool dials_back;           /* for those who ask (AutoNAT) */
    int64_t dial_back_next_us; /* when the peer may ask us to */
    bool cancelled;            /* to be closed by the pump: nobody waits for it any more */
    uint64_t number;
    struct pc_number_bytes key; /* of by_number */
    enum connection_purpose purpose;
    uint64_t join_dial;   /* FOR_JOIN */
    size_t request_count; /* under way */
    struct pc_peer_id id;
    struct pc_maddr addr;
    peercache_via via;
    int64_t started_us;
    int64_t rtt_us;              /* once it is open; -1: not measured */
    struct pc_kad_entry *target; /* FOR_WALK while dialling: the peer with its addresses; owned */
    uint8_t target_addr;         /* the address of it that is being dialled */
};

enum request_kind {
    REQUEST_JOIN,
    REQUEST_WALK,
    REQUEST_PING,
    REQUEST_CRAWL,
    REQUEST_TEST,  /* a ping of a member of the table */
    REQUEST_PROBE, /* to be dialled */
};

struct request {
    struct pc_map_node by_number;
    uint64_t number;
    struct pc_number_bytes key; /* of by_number */
    uint64_t connection;
    enum request_kind kind;
    struct pc_peer_id id;
    struct pc_ip_port probed; /* PROBE */
};

/* One dial as the application is told of it, with room for its texts. */
struct told_dial {
    peercache_dial dial;
    char id[PEERCACHE_PEER_ID_TEXT_BYTES];
    char addr[PEERCACHE_ADDR_TEXT_BYTES];
    char detail[PEERCACHE_DETAIL_BYTES];
};

/* A dial of the joining plan, and the connection it has become. */
struct join_dial {
    uint64_t dial;
    uint64_t connection;
};

/* What is known of an endpoint beside its plan. */
struct kept_endpoint {
    bool has_breaker; /* as it was kept: to be given to the plan when that is made */
    uint8_t breaker[PC_BREAKER_BYTES];
    uint32_t transitions; /* of the breaker when it was kept last */
    uint32_t failures;
    uint32_t verified;
    uint64_t source; /* which it is, for the cache: of its URL */
};

struct crawling;

struct dial_list {
    peercache_dial *dials; /* with texts of their own, freed one by one */
    size_t count;
    size_t capacity;
};

struct pc_node {
    unsigned phase; /* enum node_phase */
    struct pc_node_options options;
    char *kad_protocol;
    struct pc_node_source *sources;
    struct pc_rng rng;
    peercache_time now;

    struct pc_cache_set *set;
    struct pc_kad_keys keys; /* for table, candidates and lookups */
    struct pc_node_hearing hearing;
    struct pc_kad_table *table;
    struct pc_map connections; /* by number */
    struct pc_map open_by_id;
    struct pc_map requests;
    uint64_t next_connection;
    uint64_t next_request;
    struct connection *cancelled_first; /* connections marked so */
    struct pc_node_pool pool;

    struct pc_maddr own_addrs[PC_LIBP2P_LISTEN_ADDRS_MAX];
    size_t own_addr_count;
    size_t own_addrs_told;
    struct pc_maddr announce[PC_LIBP2P_LISTEN_ADDRS_MAX]; /* of the options */
    size_t announce_count;
    bool announce_due; /* what is to be announced may have changed */
    bool serves;       /* as the host was told last, and the addresses */
    struct pc_maddr announced[PC_LIBP2P_LISTEN_ADDRS_MAX];
    size_t announced_count;

    struct pc_reach *reach; /* NULL: it is not asked whether we can be reached */
    uint64_t reach_version; /* as of which the following is */
    enum pc_reachability reachability;
    struct pc_maddr agreed[PC_REACH_ADDRS_MAX];
    size_t agreed_count;
    struct pc_maddr probed; /* what this step's PROBE borrows */
    int64_t dial_back_credit_us;
    int64_t dial_back_at_us;

    /* joining */
    struct pc_join_plan *plan; /* from START on; NULL: memory was out */
    struct pc_join_filter filter;
    uint64_t join_round;               /* of the plan's rounds, the one that is reported */
    struct pc_join_metrics round_base; /* as it began */
    struct join_dial join_dials[PC_JOIN_DIALS_MAX];
    size_t join_dial_count;
    struct kept_endpoint kept_endpoints[PC_JOIN_ENDPOINTS_MAX];
    peercache_endpoint_report endpoint_reports[PC_JOIN_ENDPOINTS_MAX];
    bool has_ip4;
    bool has_ip6;
    int64_t newest_success_ms; /* of all that was loaded, or verified since; 0: never */
    int64_t join_started_us;
    size_t join_requests; /* FIND_NODE under way that may bring candidates */
    bool join_asking;     /* the plan knows that there are any */
    bool report_told;     /* of this round, at least once */
    bool stop_wanted;     /* STOP came within a join whose report is owed: told first */
    uint32_t dialed;
    uint32_t failed;
    struct dial_list verified_dials;
    struct dial_list failed_dials;
    peercache_join_report report;
    int64_t rejoin_at_us;
    int64_t rejoin_pause_us;

    int64_t answered_at_us; /* when a peer that we dialled last gave a sign of life, whichever */

    /* walking */
    struct pc_kad_lookup *lookup;
    uint64_t lookup_number;        /* which one it is, from 1 */
    struct pc_peer_id walk_target; /* the preimage that is asked for: our own id, or a target */
    int64_t walk_deadline_us;
    struct pc_kad_refresh refresh; /* what is looked up after our own id */
    size_t refreshed_buckets;      /* of them */

    /* finding: finding.c */
    struct pc_peer_id finds[PC_NODE_FINDS_MAX];
    size_t find_count;
    bool is_finding; /* the walk is for finds[0] */
    bool is_found;
    struct pc_maddr found_addr; /* of its last dial, or where it was found */
    peercache_outcome find_outcome;
    const char *find_detail;
    int64_t found_rtt_us;

    /* tending the table */
    struct pc_kad_schedule schedule;
    struct pc_kad_targets targets;
    struct pc_kad_candidates *candidates;
    size_t probe_count;
    bool wants_candidates;
    bool wants_deep_candidates; /* also of the buckets beyond our neighbours */
    int64_t feeler_at_us;
    unsigned recalls_wanted;
    bool recall_begins;
    bool came_back; /* one of the cache that had failed was reached again */

    /* pinging */
    uint32_t pings_sent;
    uint32_t pings_ended;
    int64_t ping_at_us;
    uint64_t ping_connection;

    struct crawling *crawling; /* crawling.h; NULL: it does not */

    /* saving: saving.c */
    bool commit_wanted; /* now, as long as batches are full; at the stop until nothing is pending */
    bool take_in_wanted;
    bool save_asked; /* SAVED is owed */
    bool has_news;   /* that are saved once the pause since the last save is over */
    bool commit_out;
    bool committed_any;
    bool commit_failed;
    uint32_t stop_tries;    /* to save, at the stop, while others held the store */
    int64_t commit_at_us;   /* on schedule */
    int64_t commit_from_us; /* not sooner, of news */
    bool stopped_told;

    /* the actions of this step */
    struct pc_node_action actions[PC_NODE_ACTIONS_MAX];
    size_t action_count;
    struct told_dial tells[PC_NODE_TELLS_MAX];
    size_t tell_count;
    char warning[PEERCACHE_DETAIL_BYTES + 64];
    struct pc_kad_peer answer[PC_KAD_K];
    bool unfinished; /* the pump ran out of room: step again at once */
};

void pc_node_move(struct pc_node *node, enum node_phase next);

/* actions.c */
/* Room for an action beside `spare` others? When not, the pump goes on in the next step. */
bool pc_node_has_room(struct pc_node *node, size_t spare);
struct pc_node_action *pc_node_act(struct pc_node *node, enum pc_node_action_kind kind);
/* An event for the application; it must have been made sure that there is room. */
void pc_node_tell(struct pc_node *node, const peercache_node_event *event);
/* Tell of a dial, and return what was told, valid during this step. */
const peercache_dial *pc_node_tell_dial(struct pc_node *node, peercache_node_event_kind kind,
                                        const struct connection *connection, peercache_outcome code,
                                        const char *detail, int64_t rtt_us, int64_t proven_us);
void pc_node_warn(struct pc_node *node, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* connection.c */
struct connection *pc_node_connection_find(struct pc_node *node, uint64_t number);
struct connection *pc_node_connection_new(struct pc_node *node, uint64_t number,
                                          enum connection_purpose purpose);
void pc_node_connection_opened(struct pc_node *node, struct connection *connection,
                               const struct pc_peer_id *id);
void pc_node_connection_drop(struct pc_node *node, struct connection *connection);
/* Mark for the pump to close. */
void pc_node_connection_cancel(struct pc_node *node, struct connection *connection);
struct request *pc_node_request_new(struct pc_node *node, struct connection *connection,
                                    enum request_kind kind);
struct request *pc_node_request_find(struct pc_node *node, uint64_t number);
void pc_node_request_drop(struct pc_node *node, struct request *request);
/* Ask for the closest to our own id (JOIN), or to what is looked up (WALK). */
void pc_node_find_node(struct pc_node *node, struct connection *connection, enum request_kind kind);

/* announcing.c */
/* What is to be announced now: whether it serves, and where. */
bool pc_node_announcement(const struct pc_node *node, struct pc_maddr ret_addrs[PC_LIBP2P_LISTEN_ADDRS_MAX],
                          size_t *ret_count);
void pc_node_announce_pump(struct pc_node *node);
void pc_node_own_addr(struct pc_node *node, const struct pc_maddr *addr);
bool pc_node_is_among(const struct pc_maddr *addr, const struct pc_maddr *addrs, size_t count);
void pc_node_disown_addr(struct pc_node *node, const struct pc_maddr *addr);
void pc_node_listens(struct pc_node *node, const struct pc_maddr *addrs, size_t count);
void pc_node_on_identified(struct pc_node *node, const struct pc_libp2p_event *wire);

/* reaching.c */
/* A connection has opened: what the peer says of us. */
void pc_node_reach_opened(struct pc_node *node, struct connection *connection,
                          const struct pc_libp2p_event *wire);
/* The dials among this step's actions. */
void pc_node_reach_sent(struct pc_node *node);
/* A probe ended; the connection it went over may be gone. */
void pc_node_probe_answered(struct pc_node *node, const struct request *request,
                            const struct connection *connection, enum pc_libp2p_probe probe);
void pc_node_reach_pump(struct pc_node *node);
size_t pc_node_reach_proven(const struct pc_node *node,
                            struct pc_maddr ret_addrs[PC_LIBP2P_LISTEN_ADDRS_MAX]);

/* dialing_back.c */
void pc_node_dial_asked(struct pc_node *node, const struct pc_libp2p_event *wire);

/* joining.c */
void pc_node_join_begin(struct pc_node *node);
void pc_node_join_pump(struct pc_node *node);
void pc_node_join_dial_ended(struct pc_node *node, struct connection *connection, peercache_outcome outcome,
                             const char *detail, const struct pc_peer_id *proven, int64_t rtt_us,
                             int64_t proven_us);
/* Whether what is learnt still matters to a report. */
bool pc_node_join_is_open(const struct pc_node *node);
/* Whether it may be dialled from here; who may not is not offered. `endpoint`: which one it came from, when via
 * is ENDPOINT. */
bool pc_node_join_offer(struct pc_node *node, const struct pc_peer_id *id, const struct pc_maddr *addr,
                        peercache_via via, size_t endpoint);
/* The same of an address that was heard of, from an answer. */
void pc_node_join_offer_heard(struct pc_node *node, const struct pc_peer_id *id,
                              const struct pc_node_heard *heard);
/* By another way than a dial of the join; `family` of the address that we reached, 0: it dialled us. */
void pc_node_join_verified(struct pc_node *node, const struct pc_peer_id *id, uint8_t family);
void pc_node_join_fetched(struct pc_node *node, const struct pc_node_fetched *fetched, uint32_t usable);
void pc_node_join_resolved(struct pc_node *node, const struct pc_node_resolved *resolved);
void pc_node_join_routes(struct pc_node *node, bool has_ip4, bool has_ip6);
/* Why a candidate is not dialled at all: the outcome and a detail, or OK. */
peercache_outcome pc_node_why_not_dialled(const struct pc_node *node,
                                          const struct pc_joiner_candidate *candidate,
                                          const char **ret_detail);

/* report.c */
int pc_node_dial_list_add(struct dial_list *list, const peercache_dial *dial);
void pc_node_dial_list_clear(struct dial_list *list);
peercache_join_status pc_node_join_status(const struct pc_node *node, uint32_t verified);
/* What the pure node knows of an endpoint; its owner adds what it knows. */
void pc_node_report_endpoint(const struct pc_node *node, size_t index, peercache_endpoint_report *ret_report);
void pc_node_join_report(struct pc_node *node);

/* fetching.c */
void pc_node_on_fetched(struct pc_node *node, const struct pc_node_fetched *fetched);
void pc_node_keep_endpoints(struct pc_node *node);

/* walking.c */
void pc_node_walk_begin(struct pc_node *node, int64_t deadline_us);
void pc_node_walk_pump(struct pc_node *node);
/* The lookup for a peer that is to be found. */
void pc_node_walk_to(struct pc_node *node, const struct pc_peer_id *target, int64_t deadline_us);
void pc_node_walk_dial_ended(struct pc_node *node, struct connection *connection, peercache_outcome outcome,
                             int64_t rtt_us);
void pc_node_walk_answered(struct pc_node *node, const struct pc_peer_id *id,
                           const struct pc_kad_message *kad);
void pc_node_walk_failed(struct pc_node *node, const struct pc_peer_id *id);
void pc_node_walk_end(struct pc_node *node);

/* finding.c */
void pc_node_on_find(struct pc_node *node, const struct pc_peer_id *id);
/* Begin with the next, if one waits. */
bool pc_node_find_begin(struct pc_node *node);
/* Is it the one to be found, and there? */
bool pc_node_find_asked(struct pc_node *node, const struct pc_kad_entry *entry);
bool pc_node_find_dial_ended(struct pc_node *node, const struct connection *connection,
                             peercache_outcome outcome, int64_t rtt_us);
/* Its walk is over. There must be room for a tell. */
void pc_node_find_end(struct pc_node *node, bool timed_out);

/* tending.c */
void pc_node_tend_begin(struct pc_node *node);
/* Dial up to so many of the cache that are not in the table. */
void pc_node_recall(struct pc_node *node, unsigned most);
/* Every cached peer is a candidate for its bucket. */
void pc_node_recall_all(struct pc_node *node);
void pc_node_tend_pump(struct pc_node *node);
int64_t pc_node_tend_deadline(const struct pc_node *node);
void pc_node_probe_ended(struct pc_node *node, struct connection *connection, peercache_outcome outcome);
void pc_node_test_ended(struct pc_node *node, const struct pc_peer_id *id, bool answered);
void pc_node_offer_candidate(struct pc_node *node, const struct pc_peer_id *id, const struct pc_maddr *addrs,
                             size_t addr_count);
/* A member is gone, or foreign: one that is none is left alone. */
void pc_node_table_remove(struct pc_node *node, const struct pc_peer_id *id);
/* Somebody came or left. */
void pc_node_table_changed(struct pc_node *node);

/* heard.c */
/* An address that a peer told of, judged; valid until the next is heard. */
struct pc_node_heard *pc_node_hear(struct pc_node *node, struct pc_bytes addr);
/* Hand one that may be stored to the cache, unless it was handed over just now. */
void pc_node_remember_heard(struct pc_node *node, const struct pc_peer_id *id, struct pc_node_heard *heard,
                            const struct pc_netgroup *teller);

/* Whether the peer is in the table; whether the lookup under way has it, or let it give way to nearer ones: in either case there is nothing
 * new in it, and while neither changes that is known by a look at the address it was told with. */
bool pc_node_heard_of_member(struct pc_node *node, const struct pc_peer_id *id, struct pc_node_heard *heard);
bool pc_node_lookup_has_heard(struct pc_node *node, const struct pc_peer_id *id, struct pc_node_heard *heard);

/* learning.c */
/* A dial of ours ended: the cache counts it. */
void pc_node_learn_outcome(struct pc_node *node, const struct connection *connection,
                           peercache_outcome outcome, const struct pc_peer_id *proven, int64_t rtt_us);
/* A verified server of our protocol: its announced addresses and its place in the table. */
void pc_node_learn_server(struct pc_node *node, const struct connection *connection,
                          const struct pc_identify *identify);
/* Peers that `teller` told of, each handed to the join or the lookup by the caller too. */
void pc_node_learn_answer(struct pc_node *node, const struct connection *teller,
                          const struct pc_kad_message *kad);
/* Whether an address may be stored, and so dialled when others name it: 0 and its normal form, or why not. */
int pc_node_storable(const struct pc_node *node, struct pc_bytes addr, struct pc_maddr *ret_addr);
/* 0: the cache has it. */
int pc_node_remember(struct pc_node *node, const struct pc_peer_id *id, const struct pc_maddr *addr,
                     peercache_source source, const struct pc_netgroup *teller);
/* Something answered us: failures held back until then count. */
void pc_node_answered(struct pc_node *node);
/* Whether identify names the protocol; whether that of our network. */
bool pc_node_names(const struct pc_identify *identify, const char *protocol);
bool pc_node_speaks_our_protocol(const struct pc_node *node, const struct pc_identify *identify);
void pc_node_answer(struct pc_node *node, const struct pc_libp2p_event *asked);

/* pinging.c */
void pc_node_ping_begin(struct pc_node *node);
void pc_node_ping_pump(struct pc_node *node);
void pc_node_ping_opened(struct pc_node *node, struct connection *connection);
void pc_node_ping_ended(struct pc_node *node, struct connection *connection, peercache_outcome outcome,
                        const char *detail, int64_t rtt_us);

/* crawling.c; all but _new only of a node that crawls */
int pc_node_crawl_new(struct pc_node *node, const uint8_t secret[16]);
void pc_node_crawl_free(struct crawling *crawling);
void pc_node_crawl_begin(struct pc_node *node);
void pc_node_crawl_pump(struct pc_node *node);
int64_t pc_node_crawl_deadline(const struct pc_node *node);
/* A server of our protocol has opened, whatever it was dialled for. */
void pc_node_crawl_met(struct pc_node *node, const struct connection *connection,
                       const struct pc_identify *identify);
void pc_node_crawl_dial_ended(struct pc_node *node, struct connection *connection, peercache_outcome outcome,
                              const char *detail);
void pc_node_crawl_answered(struct pc_node *node, struct connection *connection,
                            const struct pc_kad_message *kad);
void pc_node_crawl_unanswered(struct pc_node *node, struct connection *connection, peercache_outcome outcome,
                              const char *detail);
/* Whether a report is owed before the node may stop; it ends then. */
bool pc_node_crawl_stop(struct pc_node *node);

/* events.c */
void pc_node_on_wire(struct pc_node *node, const struct pc_libp2p_event *wire);
/* The connection is gone, and with it what was asked over it. */
void pc_node_connection_gone(struct pc_node *node, struct connection *connection);

/* saving.c */
void pc_node_save_begin(struct pc_node *node);
/* Something is known that the cache does not have: it is saved soon. */
void pc_node_save_news(struct pc_node *node);
/* The owner wants all that is known saved now, members of the table too, and to be told. */
void pc_node_save_asked(struct pc_node *node);
/* All that is known is to be saved now, one more time whatever failed before. */
void pc_node_save_at_stop(struct pc_node *node);
void pc_node_on_committed(struct pc_node *node, const struct pc_node_event *event);
void pc_node_save_pump(struct pc_node *node);
int64_t pc_node_save_deadline(const struct pc_node *node);
/* Nothing is under way, and nothing is left that could be saved. */
bool pc_node_is_saved(const struct pc_node *node);

/* node.c */
void pc_node_join_end(struct pc_node *node);
void pc_node_after_walk(struct pc_node *node);
void pc_node_live(struct pc_node *node);
void pc_node_begin_stop(struct pc_node *node);
/* A pause of `us` give or take an eighth, so that many nodes don't act in step. */
int64_t pc_node_jittered(struct pc_node *node, int64_t us);

#endif
