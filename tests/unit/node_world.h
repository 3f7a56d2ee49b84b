/*
 * A small network for tests of node_step, on virtual time, simulated at the seam above the wire: what is dialled opens,
 * refuses or stays silent after a latency, what is asked is answered from each peer's own neighbours.
 */
#ifndef TESTS_NODE_WORLD_H
#define TESTS_NODE_WORLD_H

#include "check.h"

#include "base/time.h"
#include "libp2p/protocol.h"
#include "node/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEERS_MAX  600
#define LATENCY_US 20000
#define KAD        "/test/kad/1.0.0"

enum habit {
    LIVES,
    SILENT,
    REFUSES,
    FOREIGN,  /* of another network */
    IMPOSTOR, /* proves another id */
    LIAR,     /* breaks the protocol when asked */
    MUTE,     /* opens, and never answers */
};

struct peer {
    struct pc_peer_id id;
    struct pc_ip_port at;
    struct pc_maddr addr;
    enum habit habit;
    size_t neighbours[20];
    size_t neighbour_count;
};

struct pending {
    int64_t at_us;
    struct pc_libp2p_event event;
    struct peer *peer;
    bool find_node;
    bool cancelled;
    bool fetch;
    bool resolve;
    uint64_t number; /* of the fetch or the question */
    size_t endpoint;
};

/* What an endpoint does: answers with some of the peers, or fails. */
struct endpoint {
    peercache_fetch result;
    size_t from, to; /* its peers */
    unsigned asked;
    unsigned kept;
    uint8_t breaker[PC_BREAKER_BYTES];
};

struct world {
    struct pc_node *node;
    peercache_time now;
    struct peer peers[PEERS_MAX];
    size_t peer_count;
    struct pending pending[4096];
    size_t pending_count;
    struct {
        uint64_t number;
        struct peer *peer;
    } open[PEERS_MAX];
    size_t open_count;
    struct endpoint endpoints[2];
    size_t resolves_to; /* the name's peer; SIZE_MAX: no name resolves */
    unsigned questions;
    unsigned kept_joins;
    int kept_alive; /* connections that libp2p was told to keep */
    uint32_t kept_verified;
    bool commit_out;
    int commit_result;
    unsigned commits;
    unsigned taken_in;
    unsigned saved_told; /* SAVED */
    int saved_result;
    size_t committed; /* deltas */
    uint32_t blamed;  /* failures in them */
    struct pc_delta last_batch[1000];
    size_t last_batch_count;
    struct pc_delta deltas[2000]; /* of all commits, the first; `committed` is how many there were */
    /* what was told */
    bool done;
    peercache_join_status status;
    char cause[32];
    uint32_t verified, dialed, failed;
    int64_t elapsed_us;
    peercache_join_report report; /* its lists are gone */
    unsigned via_count[PEERCACHE_VIA_COUNT];
    unsigned code_count[PEERCACHE_OUTCOME_COUNT];
    unsigned join_done_count;
    uint32_t walked;
    bool was_walked;
    unsigned warnings;
    unsigned fetched;
    unsigned found;
    peercache_outcome found_code[100];
    char found_addr[100][PEERCACHE_ADDR_TEXT_BYTES];
    unsigned pongs;
    unsigned crawled;
    bool crawl_done;
    peercache_crawl_report crawl; /* its lists are gone */
    char agent[64];               /* the most frequent */
    bool stopped, saved;
    unsigned closes;
    unsigned dials;
    size_t answer_count;
    bool answer_holds_asker;
    struct pc_peer_id asker;
    unsigned listening;
    struct pc_maddr observed; /* where all peers see us; empty: they don't say */
    bool peers_dial_back;
    enum pc_libp2p_probe probe; /* what comes of each probe */
    unsigned probes;
    struct pc_maddr probed; /* the last */
    struct pc_ip_port dialled_back;
    uint32_t data_bytes;
    unsigned dials_back;
    enum pc_autonat_status refusal;
    unsigned refusals;
    bool serves; /* as announced last */
    unsigned announcements;
    size_t announced_count;
    struct pc_maddr announced[PC_LIBP2P_LISTEN_ADDRS_MAX];
    size_t most_under_way;
    uint64_t steps;
    uint64_t stop_at_step; /* 0: never */
};

extern struct world *world;   /* NULL: none */
extern struct peer self_peer; /* the node under test, in no world's list */

/* Of a client that lives for one join, in local mode. */
struct pc_node_options default_options(const struct peer *self);
void make_world(size_t count, size_t degree, bool public_addresses);
struct pc_node_source source_of(const struct peer *peer);
struct pending *push(int64_t delay_us, enum pc_libp2p_event_kind kind, uint64_t connection,
                     struct peer *peer);
void step(const struct pc_node_event *event);
void run_until(int64_t until_us);
void start(const struct pc_node_options *options);
void run(const struct pc_node_options *options);
int tear_down(void **state);
void load_peers(size_t from, size_t to);
void run_with_cache(const struct pc_node_options *options, size_t from, size_t to);

#endif
