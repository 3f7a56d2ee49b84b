/*
 * A network of hosts in memory with virtual time: datagrams take `delay_us`, and may be lost, doubled,
 * reordered, cut short or damaged, all from one seed. Time jumps to the next arrival or timer.
 */
#ifndef TESTS_SIM_NETWORK_H
#define TESTS_SIM_NETWORK_H

#include "base/rng.h"
#include "libp2p/host.h"

#define SIM_NODES_MAX    256
#define SIM_EVENTS_MAX   4096
#define SIM_DATAGRAM_MAX 2048
#define SIM_APART        1000 /* the socket apart has the port that is so much higher */

/* Whatever speaks datagrams: a host, or a bad peer made by a test. */
struct sim_node {
    struct pc_ip_port address;
    struct pc_ip_port seen_as;   /* behind a NAT, as others see it; family 0: the address itself */
    struct pc_libp2p_host *host; /* NULL: the functions below */
    void *context;
    void (*receive)(void *context, peercache_time now, const struct pc_datagram *datagram);
    bool (*send)(void *context, peercache_time now, struct pc_datagram *datagram);
    void (*expire)(void *context, peercache_time now);
    int64_t (*deadline)(void *context);
};

/* An event with what it pointed to copied out. */
struct sim_event {
    size_t node;
    int64_t at_us;
    struct pc_libp2p_event event;
    size_t protocol_count; /* of identify */
    char protocols[8][64];
    char agent[64];
    size_t addr_count;
    struct pc_bytes observed; /* bytes in observed_bytes */
    uint8_t observed_bytes[64];
    size_t peer_count; /* of kad */
    struct pc_peer_id first_peer;
    size_t first_peer_addr_count;
    uint8_t key[64];
    size_t key_size;
};

struct sim_flight {
    struct sim_flight *next;
    int64_t at_us;
    struct pc_ip_port from;
    struct pc_ip_port to;
    size_t size;
    uint8_t data[SIM_DATAGRAM_MAX];
};

struct sim {
    peercache_time now;
    struct pc_rng rng;
    int64_t delay_us;
    unsigned loss_percent;
    unsigned double_percent;
    unsigned truncate_percent;
    unsigned damage_percent;
    unsigned reorder_percent;
    int64_t jitter_us; /* at most so much is added to each delay */
    /* Whether a datagram is swallowed on its way, such as by a network that is down; NULL: none is. */
    bool (*swallows)(struct sim *sim, void *context, const struct sim_flight *flight);
    void *swallows_context;
    struct sim_node nodes[SIM_NODES_MAX];
    size_t node_count;
    struct sim_event events[SIM_EVENTS_MAX];
    size_t event_count;
    struct sim_flight *flights; /* by time, then by order of sending */
    size_t sent_count;
    /* Sees each datagram before it flies; may send others through sim_inject. */
    void (*tap)(struct sim *sim, void *context, const struct sim_flight *flight);
    void *tap_context;
    /* Answers FIND_NODE at once when set. */
    const struct pc_kad_peer *answer;
    size_t answer_count;
    bool leave_unanswered;
    /* Answers a request to be dialled when set. */
    void (*dial_asked)(struct sim *sim, size_t node, const struct pc_libp2p_event *event);
};

void sim_init(struct sim *sim, uint64_t seed);
void sim_deinit(struct sim *sim); /* frees hosts and datagrams */
/* A host at 10.0.0.n (or fd00::n) port 4001; n is its number plus one. */
size_t sim_add_host(struct sim *sim, const struct pc_libp2p_options *options, uint8_t family);
size_t sim_add_node(struct sim *sim, const struct sim_node *node, uint8_t family);
struct pc_ip_port sim_address(size_t node, uint8_t family);
/* A datagram from nowhere, as it is, after the usual delay. */
void sim_inject(struct sim *sim, const struct pc_ip_port *from, const struct pc_ip_port *to,
                const uint8_t *data, size_t size);
/* Until no event, datagram or timer is left before `until_us`. */
void sim_run(struct sim *sim, int64_t until_us);
/* Until an event of the kind is told to the node; NULL when time is up. */
struct sim_event *sim_run_until(struct sim *sim, size_t node, enum pc_libp2p_event_kind kind,
                                int64_t until_us);
/* The first event of the kind of a node, NULL when there is none. */
struct sim_event *sim_find(struct sim *sim, size_t node, enum pc_libp2p_event_kind kind);

#endif
