/*
 * Joining: sources and cached peers are offered to the joiner, its dials are made, each verified peer is
 * asked for our neighbours, which are offered in turn. The report is settled when the target is reached, when
 * every way is exhausted (no dial, no candidate, no question under way), when the time is up, or when a node
 * that lives for one join is stopped: it still owes its report.
 */
#include "node/internal.h"

#include <stdlib.h>

/* A dial that was cut off by the end of the join counts against the peer only if it was silent for this long.
 */
#define CUT_OFF_COUNTS_AFTER_US PC_US_PER_S

static void remember_failure_to_offer(struct pc_node *node, int result)
{
    /* EINVAL: our own id; ELIMIT: more candidates than a join can use. Neither loses anything. */
    if (result == PEERCACHE_ENOMEM)
        pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: a candidate is lost");
}

void pc_node_join_offer(struct pc_node *node, const struct pc_peer_id *id, struct pc_bytes addr,
                        peercache_via via)
{
    struct pc_joiner_candidate candidate = { .via = via };
    if (!node->joiner || node->join_settled)
        return;
    candidate.id = *id;
    if (pc_addr_maddr_from_bytes(addr, &candidate.addr))
        return; /* longer than any address we dial */
    if (pc_addr_classify(addr, &candidate.ip_port) != PC_ADDR_QUIC_V1)
        candidate.ip_port.family = 0;
    remember_failure_to_offer(node, pc_join_offer(node->joiner, &candidate));
}

static void offer_cached(struct pc_node *node)
{
    struct pc_pick *picks = malloc(PC_NODE_CACHE_OFFER_MAX * sizeof(*picks));
    if (!picks) {
        remember_failure_to_offer(node, PEERCACHE_ENOMEM);
        return;
    }
    size_t count =
        pc_cache_set_pick(node->set, &node->rng, node->now.wall_ms, true, picks, PC_NODE_CACHE_OFFER_MAX);
    for (size_t i = 0; i < count; i++)
        pc_node_join_offer(node, &picks[i].id, pc_addr_maddr_bytes(&picks[i].addr), PEERCACHE_VIA_CACHE);
    free(picks);
}

void pc_node_join_begin(struct pc_node *node)
{
    struct pc_joiner_options options = {
        .target = node->options.target,
        .min = node->options.min,
        .timeout_us = node->options.timeout_us,
        .unstalled_max = PC_JOIN_UNSTALLED_MAX,
        .dials_max = PC_JOIN_DIALS_MAX,
        .dial_timeout_us = PC_JOIN_DIAL_TIMEOUT_US,
        .mode = node->options.mode,
    };
    pc_base_rng_bytes(&node->rng, options.secret, sizeof(options.secret));
    node->join_started_us = node->now.mono_us;
    node->rejoin_at_us = PC_TIME_NEVER;
    node->join_settled = false;
    node->report_told = false;
    node->dialed = 0;
    node->failed = 0;
    pc_node_dial_list_clear(&node->verified_dials);
    pc_node_dial_list_clear(&node->failed_dials);
    pc_join_free(node->joiner);
    node->joiner = NULL;
    if (pc_join_new(&options, node->now.mono_us, &node->joiner)) {
        pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: cannot join");
        return; /* the pump settles it as failed */
    }
    for (size_t i = 0; i < node->options.source_count; i++)
        pc_node_join_offer(node, &node->sources[i].id, pc_addr_maddr_bytes(&node->sources[i].addr),
                           node->sources[i].via);
    offer_cached(node);
}

peercache_outcome pc_node_why_not_dialled(const struct pc_node *node,
                                          const struct pc_joiner_candidate *candidate,
                                          const char **ret_detail)
{
    if (candidate->id.size && pc_addr_peer_id_equal(&candidate->id, &node->options.own_id)) {
        *ret_detail = "our own peer id";
        return PEERCACHE_DENIED;
    }
    if (candidate->ip_port.family == 0) {
        struct pc_ip_port unused;
        switch (pc_addr_classify(pc_addr_maddr_bytes(&candidate->addr), &unused)) {
        case PC_ADDR_DNS:
            *ret_detail = "a name to resolve, which this version does not do";
            break;
        case PC_ADDR_RELAY:
            *ret_detail = "a relayed address, which is never dialled";
            break;
        case PC_ADDR_QUIC_V1:
        case PC_ADDR_OTHER:
            *ret_detail = "not an address of QUIC v1 over UDP";
            break;
        }
        return PEERCACHE_UNSUPPORTED;
    }
    switch (pc_addr_scope_of(&candidate->ip_port)) {
    case PC_SCOPE_PUBLIC:
        return PEERCACHE_OK;
    case PC_SCOPE_PRIVATE:
        *ret_detail = "a private, loopback or reserved address, which only local mode dials";
        return node->options.mode == PC_NETGROUP_LOCAL ? PEERCACHE_OK : PEERCACHE_DENIED;
    case PC_SCOPE_UNUSABLE:
        *ret_detail = "an unspecified, multicast or portless address";
        return PEERCACHE_DENIED;
    }
    return PEERCACHE_OK;
}

static void note_failure(struct pc_node *node, const struct connection *connection, peercache_outcome outcome,
                         const char *detail, int64_t proven_us)
{
    const peercache_dial *told =
        pc_node_tell_dial(node, PEERCACHE_NODE_UNJOINED, connection, outcome, detail, -1, proven_us);
    node->failed++;
    if (pc_node_dial_list_add(&node->failed_dials, told) == PEERCACHE_ENOMEM)
        pc_base_log(node->options.log, PC_LOG_ERROR, "node",
                    "out of memory: a failure is missing in the report");
}

static void dial(struct pc_node *node, uint64_t dial_number, const struct pc_joiner_candidate *candidate,
                 int64_t deadline_us)
{
    const char *detail = "";
    peercache_outcome refusal = pc_node_why_not_dialled(node, candidate, &detail);
    struct connection unborn = { .id = candidate->id, .addr = candidate->addr, .via = candidate->via };
    if (refusal != PEERCACHE_OK) {
        note_failure(node, &unborn, refusal, detail, -1);
        pc_join_ended(node->joiner, dial_number, refusal, NULL, -1, node->now.mono_us);
        return;
    }
    struct connection *connection = pc_node_connection_new(node, ++node->next_connection, FOR_JOIN);
    if (!connection) {
        note_failure(node, &unborn, PEERCACHE_CANCELLED, "out of memory", -1);
        pc_join_ended(node->joiner, dial_number, PEERCACHE_CANCELLED, NULL, -1, node->now.mono_us);
        return;
    }
    connection->join_dial = dial_number;
    connection->id = candidate->id;
    connection->addr = candidate->addr;
    connection->via = candidate->via;
    node->dialed++;
    pc_cache_set_attempt(node->set, &connection->id, pc_addr_maddr_bytes(&connection->addr),
                         node->now.wall_ms);
    struct pc_node_action *action = pc_node_act(node, PC_NODE_DIAL);
    action->connection = connection->number;
    action->remote = candidate->ip_port;
    action->id = candidate->id;
    action->deadline_us = deadline_us;
    (void)pc_node_tell_dial(node, PEERCACHE_NODE_DIALING, connection, PEERCACHE_OK, "", -1, -1);
}

void pc_node_join_dial_ended(struct pc_node *node, struct connection *connection, peercache_outcome outcome,
                             const char *detail, const struct pc_peer_id *proven, int64_t rtt_us,
                             int64_t proven_us)
{
    if (node->join_settled) /* it came after the report: the cache has learnt it, nothing else */
        return;
    if (outcome == PEERCACHE_OK) {
        const peercache_dial *told =
            pc_node_tell_dial(node, PEERCACHE_NODE_VERIFIED, connection, outcome, "", rtt_us, proven_us);
        if (pc_node_dial_list_add(&node->verified_dials, told) == PEERCACHE_ENOMEM)
            pc_base_log(node->options.log, PC_LOG_ERROR, "node",
                        "out of memory: a peer is missing in the report");
    } else {
        note_failure(node, connection, outcome, detail, proven_us);
    }
    if (node->joiner)
        pc_join_ended(node->joiner, connection->join_dial, outcome, proven, rtt_us, node->now.mono_us);
}

/* The figures become final. What is still under way is given up. */
static void settle(struct pc_node *node)
{
    uint32_t verified = node->joiner ? pc_join_verified_count(node->joiner) : 0;
    node->join_settled = true;
    node->report = (peercache_join_report){
        .status = verified >= node->options.target ? PEERCACHE_JOINED
                  : verified >= node->options.min  ? PEERCACHE_DEGRADED
                                                   : PEERCACHE_FAILED,
        .cause = node->joiner && pc_join_was_offered_anything(node->joiner) ? NULL : "no_sources",
        .target = node->options.target,
        .verified = verified,
        .dialed = node->dialed,
        .failed = node->failed,
        .elapsed_us = pc_base_time_sub(node->now.mono_us, node->join_started_us),
        .peers = node->verified_dials.dials,
        .peer_count = node->verified_dials.count,
        .failures = node->failed_dials.dials,
        .failure_count = node->failed_dials.count,
    };
    if (verified > 0) /* an inbound peer may have joined us though nothing was given to try */
        node->report.cause = NULL;
}

/* End the dials that nobody waits for any more. With `outcome` other than OK they are failures of this join.
 * False: no room now. */
static bool give_up_dials(struct pc_node *node, peercache_outcome outcome, const char *detail)
{
    for (struct pc_map_node *n = pc_base_map_next(&node->connections, NULL), *next; n; n = next) {
        struct connection *connection = PC_CONTAINER_OF(n, struct connection, by_number);
        next = pc_base_map_next(&node->connections, n);
        if (connection->purpose != FOR_JOIN || connection->open || connection->cancelled)
            continue;
        if (outcome != PEERCACHE_OK) {
            if (!pc_node_has_room(node, 0))
                return false;
            note_failure(node, connection, outcome, detail, -1);
        }
        if (outcome == PEERCACHE_TIMEOUT &&
            node->now.mono_us - connection->started_us >= CUT_OFF_COUNTS_AFTER_US)
            pc_node_learn_outcome(node, connection, PEERCACHE_TIMEOUT, NULL, -1);
        pc_node_connection_cancel(node, connection);
    }
    return true;
}

/* Dial what may be dialled, and see whether the join is over. False: it goes on. */
static bool is_over(struct pc_node *node)
{
    struct pc_joiner_candidate candidate;
    uint64_t number;
    int64_t deadline_us;
    if (node->stop_wanted)
        return give_up_dials(node, PEERCACHE_CANCELLED, "the join was stopped before it ended");
    while (node->joiner && pc_node_has_room(node, 0) &&
           pc_join_next(node->joiner, node->now.mono_us, &number, &candidate, &deadline_us))
        dial(node, number, &candidate, deadline_us);
    switch (node->joiner ? pc_join_phase_at(node->joiner, node->now.mono_us) : PC_JOIN_EXHAUSTED) {
    case PC_JOIN_RUNNING:
        return false;
    case PC_JOIN_EXHAUSTED:
        return node->join_requests == 0 && !node->unfinished;
    case PC_JOIN_JOINED:
        return give_up_dials(node, PEERCACHE_OK, "");
    case PC_JOIN_TIMED_OUT:
        return give_up_dials(node, PEERCACHE_TIMEOUT, "no answer when the time of the join was up");
    }
    return false;
}

void pc_node_join_pump(struct pc_node *node)
{
    if (!node->join_settled) {
        if (!is_over(node))
            return;
        settle(node);
    }
    if (!node->report_told) {
        if (!pc_node_has_room(node, 0))
            return;
        node->report_told = true;
        pc_node_tell(node,
                     &(peercache_node_event){ .kind = PEERCACHE_NODE_JOIN_DONE, .report = &node->report });
        if (node->stop_wanted)
            pc_node_begin_stop(node);
        else
            pc_node_join_end(node);
    }
}
