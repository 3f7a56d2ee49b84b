/* What endpoints bring: their peers are learnt as new, each endpoint one source, and offered to the join. */
#include "node/internal.h"

/* Endpoints are told apart by their place in the list; no network has a group of this shape. */
static struct pc_netgroup group_of(const struct pc_node *node, size_t endpoint)
{
    struct pc_netgroup group = { .size = 2 + sizeof(struct pc_number_bytes), .bytes = { 'e' } };
    struct pc_number_bytes source = pc_number_bytes_of(node->kept_endpoints[endpoint].source);
    memcpy(group.bytes + 2, source.bytes, sizeof(source.bytes));
    return group;
}

/* Take in one peer; whether it may be dialled. */
static bool take(struct pc_node *node, size_t endpoint, const struct pc_endpoint_peer *named,
                 const struct pc_netgroup *group)
{
    struct pc_maddr addr;
    if (pc_node_storable(node, pc_addr_maddr_bytes(&named->addr), &addr))
        return false; /* relayed, private, a name: neither stored nor dialled */
    (void)pc_node_remember(node, &named->id, &addr, PEERCACHE_SOURCE_ENDPOINT, group);
    return pc_node_join_offer(node, &named->id, &addr, PEERCACHE_VIA_ENDPOINT, endpoint);
}

void pc_node_on_fetched(struct pc_node *node, const struct pc_node_fetched *fetched)
{
    const struct pc_netgroup group = group_of(node, fetched->endpoint);
    uint32_t usable = 0;
    if (!node->plan)
        return;
    for (size_t i = 0; i < fetched->peer_count; i++)
        usable += take(node, fetched->endpoint, &fetched->peers[i], &group);
    pc_node_join_fetched(node, fetched, usable);
    bool answered = fetched->result == PEERCACHE_FETCH_OK || fetched->result == PEERCACHE_FETCH_NOT_MODIFIED;
    /* An answer over TCP shows that we are not cut off; it says nothing of a family that is a black hole. */
    if (answered)
        pc_node_answered(node);
    peercache_endpoint_report *report = &node->endpoint_reports[fetched->endpoint];
    pc_node_report_endpoint(node, fetched->endpoint, report);
    pc_node_tell(node, &(peercache_node_event){ .kind = PEERCACHE_NODE_FETCHED,
                                                .count = (uint32_t)fetched->endpoint,
                                                .endpoint = report });
}

/* The breakers whose state has changed, to be kept for the next start. */
void pc_node_keep_endpoints(struct pc_node *node)
{
    for (size_t i = 0; node->plan && !node->options.exclusive && i < node->options.endpoint_count; i++) {
        const struct pc_endpoint *endpoint = pc_plan_endpoint(node->plan, i);
        const struct pc_breaker *breaker = &endpoint->breaker;
        struct kept_endpoint *kept = &node->kept_endpoints[i];
        bool verified = node->report_told && endpoint->verified != kept->verified; /* not at each one */
        if (breaker->transitions == kept->transitions && breaker->failures == kept->failures && !verified)
            continue;
        if (!pc_node_has_room(node, 0))
            return;
        kept->transitions = breaker->transitions;
        kept->failures = breaker->failures;
        kept->verified = endpoint->verified;
        struct pc_node_action *action = pc_node_act(node, PC_NODE_KEEP_ENDPOINT);
        action->endpoint = i;
        action->count = endpoint->verified;
        pc_plan_save_breaker(node->plan, i, node->now.wall_ms, action->breaker);
    }
}
