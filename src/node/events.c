/* What libp2p tells, led to those who wait for it: dials that end, answers, connections that go. */
#include "node/internal.h"

static void dial_ended(struct pc_node *node, struct connection *connection, peercache_outcome outcome,
                       const char *detail, const struct pc_libp2p_event *wire)
{
    const struct pc_peer_id *proven = wire->id.size ? &wire->id : NULL;
    switch (connection->purpose) {
    case FOR_JOIN:
        pc_node_learn_outcome(node, connection, outcome, proven, wire->rtt_us);
        pc_node_join_dial_ended(node, connection, outcome, detail, proven, wire->rtt_us, wire->proven_us);
        break;
    case FOR_WALK:
        pc_node_learn_outcome(node, connection, outcome, proven, wire->rtt_us);
        pc_node_walk_dial_ended(node, connection, outcome, wire->rtt_us);
        break;
    case FOR_PROBE:
        pc_node_learn_outcome(node, connection, outcome, proven, wire->rtt_us);
        pc_node_probe_ended(node, connection, outcome);
        break;
    case FOR_CRAWL:
        pc_node_learn_outcome(node, connection, outcome, proven, wire->rtt_us);
        pc_node_crawl_dial_ended(node, connection, outcome, detail);
        break;
    case FOR_PING: /* asks whether somebody lives, not whether it is of our network: nothing is learnt */
        if (outcome == PEERCACHE_OK)
            pc_node_ping_opened(node, connection);
        else
            pc_node_ping_ended(node, connection, outcome, detail, -1);
        break;
    case FOR_PEER:
        break;
    }
}

static uint8_t family_of(const struct pc_maddr *addr)
{
    struct pc_ip_port ip_port = { .family = 0 };
    (void)pc_addr_classify(pc_addr_maddr_bytes(addr), &ip_port);
    return ip_port.family;
}

static void opened(struct pc_node *node, const struct pc_libp2p_event *wire)
{
    struct connection *connection = pc_node_connection_find(node, wire->connection);
    bool ours = pc_node_speaks_our_protocol(node, wire->identify);
    bool self = pc_addr_peer_id_equal(&wire->id, &node->options.own_id);
    if (!connection) { /* the peer dialled us; who stops learns of nobody any more, or it would save on and on */
        connection =
            node->phase == PHASE_STOPPING ? NULL : pc_node_connection_new(node, wire->connection, FOR_PEER);
        if (!connection) {
            pc_node_act(node, PC_NODE_CLOSE)->connection = wire->connection;
            return;
        }
        pc_addr_from_ip_port(&wire->remote, &connection->addr);
    }
    if (connection->purpose != FOR_PING && self) {
        dial_ended(node, connection, PEERCACHE_DENIED, "it is this node itself", wire);
        pc_node_connection_cancel(node, connection);
        return;
    }
    if (connection->purpose != FOR_PING && wire->identify)
        pc_node_reach_opened(node, connection, wire);
    if (!ours && !self) { /* also who was a server, and is none any more */
        pc_node_table_remove(node, &wire->id);
        pc_kad_candidates_remove(node->candidates, &wire->id);
    }
    bool counts = connection->purpose == FOR_JOIN || connection->purpose == FOR_WALK ||
                  connection->purpose == FOR_PROBE || connection->purpose == FOR_CRAWL; /* for the cache */
    if (!ours && counts) {
        char detail[PEERCACHE_DETAIL_BYTES];
        struct pc_reason reason;
        pc_base_reason(&reason, "identify does not offer %s", node->kad_protocol);
        memcpy(detail, reason.text, sizeof(detail));
        dial_ended(node, connection, PEERCACHE_PROTOCOL_MISMATCH, detail, wire);
        pc_node_connection_cancel(node, connection);
        return;
    }
    bool cancelled = connection->cancelled;
    /* Learnt under the id that was dialled, which may be unknown; only then the proven one takes its place.
     */
    if (counts)
        pc_node_learn_outcome(node, connection, PEERCACHE_OK, &wire->id, wire->rtt_us);
    pc_node_connection_opened(node, connection, &wire->id);
    connection->rtt_us = wire->rtt_us;
    if (cancelled)
        return;
    if (ours && connection->purpose != FOR_PING)
        pc_node_learn_server(node, connection, wire->identify);
    if (ours && node->crawling)
        pc_node_crawl_met(node, connection, wire->identify);
    switch (connection->purpose) {
    case FOR_JOIN:
        pc_node_join_dial_ended(node, connection, PEERCACHE_OK, "", &wire->id, wire->rtt_us, wire->proven_us);
        break;
    case FOR_WALK:
        pc_node_walk_dial_ended(node, connection, PEERCACHE_OK, wire->rtt_us);
        break;
    case FOR_PROBE:
        pc_node_probe_ended(node, connection, PEERCACHE_OK);
        pc_node_join_verified(node, &wire->id, family_of(&connection->addr));
        break;
    case FOR_CRAWL:
        pc_node_crawl_dial_ended(node, connection, PEERCACHE_OK, "");
        break;
    case FOR_PING:
        pc_node_ping_opened(node, connection);
        break;
    case FOR_PEER:
        if (ours)
            pc_node_join_verified(node, &wire->id, 0);
        break;
    }
    if (ours && node->phase == PHASE_JOINING && !node->report_told)
        pc_node_find_node(node, connection, REQUEST_JOIN);
}

static void request_failed(struct pc_node *node, struct request *request, peercache_outcome outcome,
                           const char *detail)
{
    struct connection *connection = pc_node_connection_find(node, request->connection);
    pc_base_log(node->options.log, PC_LOG_DEBUG, "node", "a request failed: %s: %s",
                peercache_outcome_name(outcome), detail);
    switch (request->kind) {
    case REQUEST_JOIN:
        node->join_requests--;
        break;
    case REQUEST_WALK:
        pc_node_walk_failed(node, &request->id);
        break;
    case REQUEST_TEST:                      /* a connection over which nothing comes is of no use either */
        if (outcome == PEERCACHE_REFUSED) { /* a limit of the peer, which is there to say so */
            pc_node_test_ended(node, &request->id, true);
            break;
        }
        pc_node_test_ended(node, &request->id, false);
        if (connection)
            pc_node_connection_cancel(node, connection);
        break;
    case REQUEST_PING:
        if (connection && !connection->cancelled)
            pc_node_ping_ended(node, connection, outcome, detail, -1);
        break;
    case REQUEST_CRAWL:
        if (connection)
            pc_node_crawl_unanswered(node, connection, outcome, detail);
        break;
    case REQUEST_PROBE:
        pc_node_probe_answered(node, request, connection, PC_LIBP2P_UNDECIDED);
        break;
    }
    /* A peer that breaks the protocol in an answer is not one to remember as good. */
    if (connection && outcome == PEERCACHE_MISBEHAVED && connection->purpose != FOR_PING) {
        if (connection->purpose != FOR_PEER)
            pc_node_learn_outcome(node, connection, PEERCACHE_MISBEHAVED, &connection->id, -1);
        pc_node_table_remove(node, &connection->id);
        pc_node_connection_cancel(node, connection);
    }
    pc_node_request_drop(node, request);
}

/* The connection is gone, and with it what was asked over it. */
void pc_node_connection_gone(struct pc_node *node, struct connection *connection)
{
    if (connection->request_count > 0) {
        for (struct pc_map_node *n = pc_base_map_next(&node->requests, NULL), *next; n; n = next) {
            struct request *request = PC_CONTAINER_OF(n, struct request, by_number);
            next = pc_base_map_next(&node->requests, n);
            if (request->connection == connection->number)
                request_failed(node, request, PEERCACHE_CANCELLED, "the connection is gone");
        }
    }
    pc_node_connection_drop(node, connection);
}

static void answered(struct pc_node *node, const struct pc_libp2p_event *wire)
{
    struct request *request = pc_node_request_find(node, wire->request);
    struct connection *connection = pc_node_connection_find(node, wire->connection);
    if (!request)
        return;
    if (connection) {
        switch (request->kind) {
        case REQUEST_JOIN:
            pc_node_learn_answer(node, connection, wire->kad);
            break;
        case REQUEST_WALK:
            pc_node_learn_answer(node, connection, wire->kad);
            pc_node_walk_answered(node, &request->id, wire->kad);
            break;
        case REQUEST_TEST:
            pc_node_test_ended(node, &request->id, true);
            break;
        case REQUEST_PING:
            pc_node_ping_ended(node, connection, PEERCACHE_OK, "", wire->rtt_us);
            break;
        case REQUEST_CRAWL:
            pc_node_learn_answer(node, connection, wire->kad);
            pc_node_crawl_answered(node, connection, wire->kad);
            break;
        case REQUEST_PROBE:
            pc_node_probe_answered(node, request, connection, wire->probe);
            break;
        }
    }
    if (request->kind == REQUEST_JOIN)
        node->join_requests--;
    pc_node_request_drop(node, request);
}

/* A neighbour that closes what we keep alive may be leaving. One that merely fell silent is left for the next lookup: it is as
 * likely that we are cut off, and the table is not to be emptied for that. */
static void closed(struct pc_node *node, const struct pc_libp2p_event *wire)
{
    struct connection *connection = pc_node_connection_find(node, wire->connection);
    if (!connection)
        return;
    bool may_leave = connection->is_kept && !connection->cancelled && wire->outcome == PEERCACHE_OK;
    struct pc_peer_id id = connection->id;
    pc_node_connection_gone(node, connection);
    if (may_leave && !pc_node_pool_find(node, &id))
        pc_kad_table_doubt(node->table, &id, node->now.mono_us);
}

void pc_node_on_wire(struct pc_node *node, const struct pc_libp2p_event *wire)
{
    struct connection *connection;
    struct request *request;
    switch (wire->kind) {
    case PC_LIBP2P_OPENED:
        opened(node, wire);
        break;
    case PC_LIBP2P_FAILED:
        connection = pc_node_connection_find(node, wire->connection);
        if (connection) {
            if (!connection->cancelled)
                dial_ended(node, connection, wire->outcome, wire->detail, wire);
            pc_node_connection_gone(node, connection);
        }
        break;
    case PC_LIBP2P_CLOSED:
        closed(node, wire);
        break;
    case PC_LIBP2P_ANSWERED:
    case PC_LIBP2P_PROBED:
        answered(node, wire);
        break;
    case PC_LIBP2P_REQUEST_FAILED:
        request = pc_node_request_find(node, wire->request);
        if (request)
            request_failed(node, request, wire->outcome, wire->detail);
        break;
    case PC_LIBP2P_ASKED:
        pc_node_answer(node, wire);
        break;
    case PC_LIBP2P_IDENTIFIED:
        pc_node_on_identified(node, wire);
        break;
    case PC_LIBP2P_DIAL_ASKED:
        pc_node_dial_asked(node, wire);
        break;
    }
}
