/* What is heard from others: their peers' addresses, judged, and handed to the cache when they are news. heard.h. */
#include "node/internal.h"

static size_t slot_of(struct pc_bytes addr)
{
    size_t size = addr.size < 8 ? addr.size : 8;
    uint64_t first = pc_bytes_number(addr); /* of IPv4 the address, */
    uint64_t last = pc_bytes_number(pc_bytes_of(addr.data + addr.size - size, size)); /* and its port */
    return ((first ^ last << 1) * UINT64_C(0x9E3779B97F4A7C15)) >> 48 & (PC_NODE_HEARD_SLOTS - 1);
}

static void judge(const struct pc_node *node, struct pc_bytes addr, struct pc_node_heard *ret_heard)
{
    struct pc_joiner_candidate candidate;
    const char *unused;
    ret_heard->id.size = 0;
    ret_heard->at_ms = 0;
    ret_heard->table_version = ret_heard->lookup_number = 0;
    ret_heard->may_be_stored = pc_node_storable(node, addr, &ret_heard->addr) == 0;
    if (!ret_heard->may_be_stored) {
        ret_heard->addr.size = (uint16_t)addr.size;
        memcpy(ret_heard->addr.bytes, addr.data, addr.size);
        return;
    }
    struct pc_bytes normal = pc_addr_maddr_bytes(&ret_heard->addr);
    candidate = (struct pc_joiner_candidate){ .addr = ret_heard->addr, .via = PEERCACHE_VIA_DHT };
    if (pc_addr_classify(normal, &candidate.ip_port) != PC_ADDR_QUIC_V1)
        candidate.ip_port.family = 0;
    ret_heard->ip_port = candidate.ip_port;
    ret_heard->may_be_offered = pc_node_why_not_dialled(node, &candidate, &unused) == PEERCACHE_OK;
    ret_heard->group = pc_addr_netgroup(normal, node->options.mode);
}

struct pc_node_heard *pc_node_hear(struct pc_node *node, struct pc_bytes addr)
{
    static const struct pc_node_heard malformed;
    struct pc_node_hearing *hearing = &node->hearing;
    if (addr.size == 0 || addr.size > PC_MADDR_MAX_BYTES) {
        hearing->other = malformed;
        return &hearing->other;
    }
    size_t at = slot_of(addr);
    struct pc_node_heard *slot = &hearing->slots[at], *other = &hearing->slots[at ^ 1];
    if (pc_bytes_equal(pc_addr_maddr_bytes(&slot->addr), addr))
        return slot;
    if (pc_bytes_equal(pc_addr_maddr_bytes(&other->addr), addr))
        return other;
    judge(node, addr, &hearing->other);
    if (!pc_bytes_equal(pc_addr_maddr_bytes(&hearing->other.addr), addr))
        return &hearing->other;
    if (other->at_ms < slot->at_ms)
        slot = other;
    *slot = hearing->other;
    return slot;
}

void pc_node_remember_heard(struct pc_node *node, const struct pc_peer_id *id, struct pc_node_heard *heard,
                            const struct pc_netgroup *teller)
{
    int64_t now_ms = node->now.wall_ms;
    if (now_ms >= heard->at_ms && pc_base_time_sub(now_ms, heard->at_ms) < PC_CACHE_HEARD_AGAIN_MS &&
        heard->losses == pc_cache_set_losses(node->set) && pc_addr_peer_id_equal(&heard->id, id))
        return;
    heard->id.size = 0;
    heard->table_version = heard->lookup_number = 0;
    if (pc_node_remember(node, id, &heard->addr, PEERCACHE_SOURCE_DHT, teller))
        return;
    heard->id = *id;
    heard->at_ms = now_ms;
    heard->losses = pc_cache_set_losses(node->set);
}

bool pc_node_heard_of_member(struct pc_node *node, const struct pc_peer_id *id, struct pc_node_heard *heard)
{
    uint64_t version = pc_kad_table_version(node->table);
    bool is_same = pc_addr_peer_id_equal(&heard->id, id);
    if (is_same && heard->table_version == version)
        return true;
    if (!pc_kad_table_find(node->table, id))
        return false;
    if (is_same)
        heard->table_version = version;
    return true;
}

bool pc_node_lookup_has_heard(struct pc_node *node, const struct pc_peer_id *id, struct pc_node_heard *heard)
{
    bool is_same = pc_addr_peer_id_equal(&heard->id, id);
    if (is_same && heard->lookup_number == node->lookup_number)
        return true;
    if (!pc_kad_lookup_knows(node->lookup, id))
        return false;
    if (is_same)
        heard->lookup_number = node->lookup_number;
    return true;
}
