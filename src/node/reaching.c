/*
 * Finding out whether we can be reached (reach.h): what peers say of our address, who comes unasked, and who is asked to dial
 * us. A client, and a node in local mode, has no need of it.
 */
#include "node/internal.h"

#include "libp2p/protocol.h"

/* The address of ours that a peer says it sees, when others could dial it. */
static bool observed_of(const struct pc_node *node, const struct pc_identify *identify,
                        struct pc_ip_port *ret_addr)
{
    struct pc_maddr addr;
    return identify->observed_addr.size > 0 && pc_node_storable(node, identify->observed_addr, &addr) == 0 &&
           pc_addr_classify(pc_addr_maddr_bytes(&addr), ret_addr) == PC_ADDR_QUIC_V1;
}

/* Whether a connection that we dialled leads to this IP: it keeps a way through a NAT open. */
static bool is_connected(const struct pc_node *node, const struct pc_ip_port *remote)
{
    for (const struct pc_map_node *n = pc_base_map_next(&node->connections, NULL); n;
         n = pc_base_map_next(&node->connections, n)) {
        const struct connection *connection = PC_CONST_CONTAINER_OF(n, struct connection, by_number);
        struct pc_ip_port to;
        if (connection->purpose != FOR_PEER &&
            pc_addr_classify(pc_addr_maddr_bytes(&connection->addr), &to) == PC_ADDR_QUIC_V1 &&
            to.family == remote->family && memcmp(to.ip, remote->ip, sizeof(to.ip)) == 0)
            return true;
    }
    return false;
}

void pc_node_reach_opened(struct pc_node *node, struct connection *connection,
                          const struct pc_libp2p_event *wire)
{
    struct pc_netgroup group = pc_addr_netgroup_of_ip_port(&wire->remote, node->options.mode);
    struct pc_ip_port own;
    connection->dials_back = pc_node_names(wire->identify, PC_PROTOCOL_DIAL);
    if (!node->reach || !observed_of(node, wire->identify, &own))
        return;
    pc_reach_seen_at(node->reach, &own, &group, node->now.mono_us);
    if (connection->purpose == FOR_PEER && !is_connected(node, &wire->remote) &&
        pc_reach_dialled(node->reach, &own, &wire->remote, node->now.mono_us))
        pc_base_log(node->options.log, PC_LOG_DEBUG, "node", "reachable: a stranger dialled us");
}

void pc_node_reach_sent(struct pc_node *node)
{
    for (size_t i = 0; node->reach && i < node->action_count; i++)
        if (node->actions[i].kind == PC_NODE_DIAL || node->actions[i].kind == PC_NODE_DIAL_BACK)
            pc_reach_sent(node->reach, &node->actions[i].remote, node->now.mono_us);
}

/* Addresses that peers agree on are ours: no peer is looked for there. */
static void keep_own(struct pc_node *node)
{
    struct pc_maddr addrs[PC_REACH_ADDRS_MAX];
    size_t count = node->reach->place_count;
    for (size_t i = 0; i < count; i++)
        pc_addr_from_ip_port(&node->reach->places[i].addr, &addrs[i]);
    for (size_t i = 0; i < node->agreed_count; i++)
        if (!pc_node_is_among(&node->agreed[i], addrs, count) &&
            !pc_node_is_among(&node->agreed[i], node->own_addrs, node->own_addr_count))
            pc_node_disown_addr(node, &node->agreed[i]);
    for (size_t i = 0; i < count; i++)
        if (!pc_node_is_among(&addrs[i], node->agreed, node->agreed_count))
            pc_node_own_addr(node, &addrs[i]);
    memcpy(node->agreed, addrs, count * sizeof(*addrs));
    node->agreed_count = count;
}

/* ---- probes -------------------------------------------------------------------------------------------- */

static struct pc_netgroup group_of(const struct pc_node *node, const struct connection *connection)
{
    return pc_addr_netgroup(pc_addr_maddr_bytes(&connection->addr), node->options.mode);
}

/* One of those who can be asked, by chance; those of networks that have not failed in this row come first. */
static struct connection *choose_server(struct pc_node *node, const struct pc_reach_place *place)
{
    struct connection *chosen = NULL;
    bool chosen_is_new = false;
    uint64_t seen = 0;
    for (struct pc_map_node *n = pc_base_map_next(&node->connections, NULL); n;
         n = pc_base_map_next(&node->connections, n)) {
        struct connection *connection = PC_CONTAINER_OF(n, struct connection, by_number);
        if (!connection->open || connection->cancelled || !connection->dials_back ||
            connection->purpose == FOR_PING)
            continue;
        struct pc_netgroup group = group_of(node, connection);
        bool is_new = !pc_reach_failed_by(place, &group);
        if (chosen_is_new && !is_new)
            continue;
        if (is_new && !chosen_is_new)
            seen = 0; /* those before do not count any more */
        chosen_is_new = is_new;
        if (pc_base_rng_below(&node->rng, ++seen) == 0)
            chosen = connection;
    }
    return chosen;
}

static bool probe(struct pc_node *node, const struct pc_reach_place *place)
{
    struct connection *connection = choose_server(node, place);
    struct request *request = connection ? pc_node_request_new(node, connection, REQUEST_PROBE) : NULL;
    if (!request)
        return false;
    request->probed = place->addr;
    pc_addr_from_ip_port(&place->addr, &node->probed);
    pc_reach_probing(node->reach, &request->probed);
    struct pc_node_action *action = pc_node_act(node, PC_NODE_PROBE);
    action->connection = connection->number;
    action->request = request->number;
    action->addrs = &node->probed;
    action->addr_count = 1;
    action->deadline_us = pc_base_time_add(node->now.mono_us, PC_NODE_PROBE_TIMEOUT_US);
    return true;
}

/* One in a step, as the action borrows its address; where another is due, the next step is at once. */
static void probe_due(struct pc_node *node)
{
    const struct pc_reach_place *place;
    while ((place = pc_reach_due(node->reach, node->now.mono_us)) != NULL && pc_node_has_room(node, 0)) {
        if (probe(node, place))
            return;
        pc_reach_no_server(node->reach, &place->addr, node->now.mono_us);
    }
}

static enum pc_reach_verdict verdict_of(enum pc_libp2p_probe probe)
{
    switch (probe) {
    case PC_LIBP2P_CAME_BACK:
        return PC_REACH_CAME_THROUGH;
    case PC_LIBP2P_CUT_OFF:
        return PC_REACH_CUT_OFF;
    case PC_LIBP2P_UNDECIDED:
        break;
    }
    return PC_REACH_UNDECIDED;
}

void pc_node_probe_answered(struct pc_node *node, const struct request *request,
                            const struct connection *connection, enum pc_libp2p_probe probe)
{
    struct pc_netgroup group = { .size = 0 };
    char text[PC_IP_PORT_TEXT_BYTES];
    enum pc_reach_verdict verdict = verdict_of(probe);
    if (connection)
        group = group_of(node, connection);
    pc_addr_ip_port_format(&request->probed, text);
    pc_base_log(node->options.log, PC_LOG_DEBUG, "node", "a peer dialled us at %s: %s", text,
                verdict == PC_REACH_CAME_THROUGH ? "it came through"
                : verdict == PC_REACH_CUT_OFF    ? "it could not"
                                                 : "nothing is known");
    pc_reach_probed(node->reach, &request->probed, &group, verdict, node->now.mono_us);
}

void pc_node_reach_pump(struct pc_node *node)
{
    enum pc_reachability state;
    if (!node->reach)
        return;
    pc_reach_expire(node->reach, node->now.mono_us);
    probe_due(node);
    if (node->reach_version == node->reach->version)
        return;
    node->reach_version = node->reach->version;
    node->announce_due = true;
    keep_own(node);
    state = pc_reach_state(node->reach);
    if (state != node->reachability)
        pc_base_log(node->options.log, PC_LOG_INFO, "node", "reachability: %s", pc_reachability_name(state));
    node->reachability = state;
}

size_t pc_node_reach_proven(const struct pc_node *node, struct pc_maddr ret_addrs[PC_LIBP2P_LISTEN_ADDRS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; node->reach && i < node->reach->place_count; i++)
        if (pc_reach_is_proven(&node->reach->places[i]))
            pc_addr_from_ip_port(&node->reach->places[i].addr, &ret_addrs[count++]);
    return count;
}
