/*
 * Dialling back for peers who ask (AutoNAT v2, libp2p/autonat.h): of the addresses that they give the first one that may be
 * dialled from here, and no other. Who asks for an IP that it does not come from sends data for it first, so that nobody
 * gains by having strangers dialled; and all of it has a rate, for each peer and for all.
 */
#include "node/internal.h"

/* Whether this address may be dialled for a peer, and where it is. */
static bool may_dial(const struct pc_node *node, const struct pc_peer_id *id, struct pc_bytes addr,
                     struct pc_ip_port *ret_to)
{
    struct pc_joiner_candidate candidate = { .id = *id, .via = PEERCACHE_VIA_DHT };
    const char *unused;
    if (pc_node_storable(node, addr, &candidate.addr) ||
        pc_addr_classify(pc_addr_maddr_bytes(&candidate.addr), &candidate.ip_port) != PC_ADDR_QUIC_V1 ||
        (candidate.ip_port.family == 4 ? !node->has_ip4 : !node->has_ip6) ||
        pc_cache_set_is_own_addr(node->set, pc_addr_maddr_bytes(&candidate.addr)) ||
        pc_node_why_not_dialled(node, &candidate, &unused) != PEERCACHE_OK)
        return false;
    *ret_to = candidate.ip_port;
    return true;
}

static bool rate_allows(struct pc_node *node, struct connection *connection)
{
    int64_t now_us = node->now.mono_us;
    int64_t credit_us =
        pc_base_time_add(node->dial_back_credit_us, pc_base_time_sub(now_us, node->dial_back_at_us));
    node->dial_back_credit_us =
        pc_base_time_min(credit_us, PC_NODE_DIALS_BACK_BURST * PC_NODE_DIAL_BACK_EVERY_US);
    node->dial_back_at_us = now_us;
    if (node->dial_back_credit_us < PC_NODE_DIAL_BACK_EVERY_US || now_us < connection->dial_back_next_us)
        return false;
    node->dial_back_credit_us -= PC_NODE_DIAL_BACK_EVERY_US;
    connection->dial_back_next_us = pc_base_time_add(now_us, PC_NODE_DIAL_BACK_PEER_US);
    return true;
}

static void refuse(struct pc_node *node, uint64_t asked, enum pc_autonat_status status)
{
    struct pc_node_action *action = pc_node_act(node, PC_NODE_REFUSE_DIAL);
    action->asked = asked;
    action->status = status;
}

void pc_node_dial_asked(struct pc_node *node, const struct pc_libp2p_event *wire)
{
    struct connection *connection = pc_node_connection_find(node, wire->connection);
    struct pc_ip_port to;
    uint32_t i = 0;
    if (!connection || connection->cancelled || !wire->dial || node->phase == PHASE_STOPPING) {
        refuse(node, wire->asked, PC_AUTONAT_REJECTED);
        return;
    }
    while (i < wire->dial->addr_count && !may_dial(node, &wire->id, wire->dial->addrs[i], &to))
        i++;
    if (i == wire->dial->addr_count) {
        refuse(node, wire->asked, PC_AUTONAT_DIAL_REFUSED);
        return;
    }
    if (!rate_allows(node, connection)) {
        refuse(node, wire->asked, PC_AUTONAT_REJECTED);
        return;
    }
    bool seen_there = to.family == wire->remote.family && memcmp(to.ip, wire->remote.ip, sizeof(to.ip)) == 0;
    struct pc_node_action *action = pc_node_act(node, PC_NODE_DIAL_BACK);
    action->asked = wire->asked;
    action->count = i;
    action->remote = to;
    action->data_bytes = seen_there ? 0 : PC_AUTONAT_PAID_BYTES;
}
