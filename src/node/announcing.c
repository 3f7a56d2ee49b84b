/*
 * What the node says of itself: whether it serves, and at which addresses. The host is told when that changes, and tells
 * our peers (identify-push); what peers tell of themselves in the same way is taken in here too.
 */
#include "node/internal.h"

#include "libp2p/protocol.h"

bool pc_node_announcement(const struct pc_node *node, struct pc_maddr ret_addrs[PC_LIBP2P_LISTEN_ADDRS_MAX],
                          size_t *ret_count)
{
    const struct pc_maddr *addrs = node->announce_count > 0 ? node->announce : node->own_addrs;
    *ret_count = node->options.automatic ? pc_node_reach_proven(node, ret_addrs) : 0;
    if (!node->options.server)
        return *ret_count > 0;
    *ret_count = node->announce_count > 0 ? node->announce_count : node->own_addr_count;
    memcpy(ret_addrs, addrs, *ret_count * sizeof(*addrs));
    return true;
}

static bool is_told(const struct pc_node *node, bool serves, const struct pc_maddr *addrs, size_t count)
{
    if (node->serves != serves || node->announced_count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!pc_bytes_equal(pc_addr_maddr_bytes(&node->announced[i]), pc_addr_maddr_bytes(&addrs[i])))
            return false;
    return true;
}

void pc_node_announce_pump(struct pc_node *node)
{
    struct pc_maddr addrs[PC_LIBP2P_LISTEN_ADDRS_MAX];
    size_t count;
    if (!node->announce_due || !pc_node_has_room(node, 0))
        return;
    node->announce_due = false;
    bool serves = pc_node_announcement(node, addrs, &count);
    if (is_told(node, serves, addrs, count))
        return;
    if (node->options.automatic && serves != node->serves)
        pc_base_log(node->options.log, PC_LOG_INFO, "node", serves ? "serves from now on" : "serves no more");
    node->serves = serves;
    pc_node_pool_table_changed(node); /* a server has connections that it needs */
    node->announced_count = count;
    memcpy(node->announced, addrs, count * sizeof(*addrs));
    struct pc_node_action *action = pc_node_act(node, PC_NODE_ANNOUNCE);
    action->is_server = serves;
    action->addrs = node->announced;
    action->addr_count = count;
}

/* ---- our own addresses --------------------------------------------------------------------------------- */

/* It is ours: no peer is looked for there, whatever id others give it. */
void pc_node_own_addr(struct pc_node *node, const struct pc_maddr *addr)
{
    int result = pc_cache_set_own_addr(node->set, pc_addr_maddr_bytes(addr));
    if (result)
        pc_base_log(node->options.log, PC_LOG_ERROR, "node", "an address of ours may be remembered: %s",
                    peercache_strerror(result));
}

bool pc_node_is_among(const struct pc_maddr *addr, const struct pc_maddr *addrs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (pc_bytes_equal(pc_addr_maddr_bytes(addr), pc_addr_maddr_bytes(&addrs[i])))
            return true;
    return false;
}

/* Unless it is ours in another way too. */
void pc_node_disown_addr(struct pc_node *node, const struct pc_maddr *addr)
{
    if (!pc_node_is_among(addr, node->announce, node->announce_count))
        pc_cache_set_disown_addr(node->set, pc_addr_maddr_bytes(addr));
}

void pc_node_listens(struct pc_node *node, const struct pc_maddr *addrs, size_t count)
{
    size_t kept = 0, told = 0;
    node->announce_due = true;
    for (size_t i = 0; i < node->own_addr_count; i++) {
        if (!pc_node_is_among(&node->own_addrs[i], addrs, count)) {
            if (!pc_node_is_among(&node->own_addrs[i], node->agreed, node->agreed_count))
                pc_node_disown_addr(node, &node->own_addrs[i]);
            continue;
        }
        told += i < node->own_addrs_told;
        node->own_addrs[kept++] = node->own_addrs[i];
    }
    node->own_addr_count = kept;
    node->own_addrs_told = told; /* they are told in order: the told ones are the first */
    for (size_t i = 0; i < count && node->own_addr_count < PC_LIBP2P_LISTEN_ADDRS_MAX; i++) {
        if (pc_node_is_among(&addrs[i], node->own_addrs, node->own_addr_count))
            continue;
        node->own_addrs[node->own_addr_count++] = addrs[i];
        pc_node_own_addr(node, &addrs[i]);
    }
}

/* ---- what peers push ----------------------------------------------------------------------------------- */

/*
 * A list that is empty is one that the peer does not speak of. Who says that it no longer serves leaves the table; who
 * serves, and says so or is known to, may have come to other addresses.
 */
void pc_node_on_identified(struct pc_node *node, const struct pc_libp2p_event *wire)
{
    const struct pc_identify *identify = wire->identify;
    struct connection *connection = pc_node_connection_find(node, wire->connection);
    if (!connection || connection->cancelled || connection->purpose == FOR_PING || !identify)
        return;
    if (identify->protocol_count > 0)
        connection->dials_back = pc_node_names(identify, PC_PROTOCOL_DIAL);
    if (identify->protocol_count > 0 && !pc_node_speaks_our_protocol(node, identify)) {
        pc_node_table_remove(node, &connection->id);
        return;
    }
    if (identify->protocol_count > 0 || pc_kad_table_find(node->table, &connection->id))
        pc_node_learn_server(node, connection, identify);
}
