/*
 * Joining: the joining plan (join/plan.h) at work. What happens is told to it, and what it wants is done one
 * action at a time, as there is room: dials, fetches, questions, and giving them up. Each verified peer is asked
 * for our neighbours, which are offered to the plan in turn.
 *
 * A node that lives for one join reports when the target is reached, when every way is exhausted, when the time
 * is up, or when it is stopped: it still owes its report. One that lives on reports as soon as nothing more can
 * be done at once, and lets the plan go on behind its back: it reports again when the status has changed, and at
 * the end of each further round.
 */
#include "node/internal.h"

#include <stdlib.h>

/* A dial that was cut off by the end of the join counts against the peer only if it was silent for this long.
 */
#define CUT_OFF_COUNTS_AFTER_US PC_US_PER_S

/* ----- telling the plan ----- */

/* Events are told without room for actions; the pump asks for them. */
static int tell_plan(struct pc_node *node, const struct pc_plan_event *event)
{
    size_t none;
    return pc_plan_step(node->plan, event, node->now.mono_us, NULL, 0, &none);
}

bool pc_node_join_is_open(const struct pc_node *node)
{
    return node->plan && !(node->options.once && node->report_told);
}

/* The joiner's own refusals are no loss: more candidates than a join can use. */
static void offer(struct pc_node *node, const struct pc_joiner_candidate *candidate)
{
    const struct pc_plan_event event = { .kind = PC_PLAN_OFFERED, .candidate = candidate };
    if (tell_plan(node, &event) == PEERCACHE_ENOMEM)
        pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: a candidate is lost");
}

static struct pc_joiner_candidate candidate_of(const struct pc_peer_id *id, const struct pc_maddr *addr,
                                               peercache_via via)
{
    struct pc_joiner_candidate candidate = { .id = *id, .addr = *addr, .via = via };
    if (pc_addr_classify(pc_addr_maddr_bytes(addr), &candidate.ip_port) != PC_ADDR_QUIC_V1)
        candidate.ip_port.family = 0;
    return candidate;
}

bool pc_node_join_offer(struct pc_node *node, const struct pc_peer_id *id, const struct pc_maddr *addr,
                        peercache_via via, size_t endpoint)
{
    const char *unused;
    struct pc_joiner_candidate candidate = candidate_of(id, addr, via);
    candidate.endpoints = via == PEERCACHE_VIA_ENDPOINT ? UINT32_C(1) << endpoint : 0;
    if (pc_node_why_not_dialled(node, &candidate, &unused) != PEERCACHE_OK)
        return false;
    if (pc_node_join_is_open(node))
        offer(node, &candidate);
    return true;
}

void pc_node_join_offer_heard(struct pc_node *node, const struct pc_peer_id *id,
                              const struct pc_node_heard *heard)
{
    if (!heard->may_be_offered || !pc_node_join_is_open(node) ||
        pc_plan_counts_in_vain(node->plan, PEERCACHE_VIA_DHT, node->now.mono_us))
        return;
    const struct pc_joiner_candidate candidate = {
        .id = *id, .addr = heard->addr, .ip_port = heard->ip_port, .via = PEERCACHE_VIA_DHT
    };
    offer(node, &candidate);
}

/* ----- beginning ----- */

/* Of the cache, the best to dial now; those that may not be dialled from here are left where they are. */
static size_t pick_cached(struct pc_node *node, struct pc_pick **ret_picks)
{
    *ret_picks = NULL;
    if (!node->options.dial_cached || node->options.exclusive)
        return 0;
    *ret_picks = malloc(PC_NODE_CACHE_OFFER_MAX * sizeof(**ret_picks));
    if (!*ret_picks) {
        pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: the cache is not used");
        return 0;
    }
    return pc_cache_set_pick(node->set, &node->rng, node->now.wall_ms, true, *ret_picks,
                             PC_NODE_CACHE_OFFER_MAX);
}

static void offer_cached_addr(struct pc_node *node, const struct pc_peer_id *id, const struct pc_maddr *addr)
{
    const char *unused;
    struct pc_joiner_candidate candidate = candidate_of(id, addr, PEERCACHE_VIA_CACHE);
    if (pc_node_why_not_dialled(node, &candidate, &unused) == PEERCACHE_OK)
        offer(node, &candidate);
}

/* The best address of each peer, and after all of those the others: they are raced with it, and all there is when its
 * family has no route here. */
static void offer_cached(struct pc_node *node, const struct pc_pick *picks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        offer_cached_addr(node, &picks[i].id, &picks[i].addr);
    for (size_t i = 0; i < count; i++) {
        const struct pc_record *record =
            picks[i].id.size > 0 ? pc_cache_set_find(node->set, &picks[i].id) : NULL;
        for (size_t j = 0; record && record->addr_count > 1 && j < record->addr_count; j++)
            if (!pc_bytes_equal(pc_addr_maddr_bytes(&record->addrs[j].addr),
                                pc_addr_maddr_bytes(&picks[i].addr)))
                offer_cached_addr(node, &picks[i].id, &record->addrs[j].addr);
    }
}

/* What the plan is made of besides options: bootstrap peers are the sources via endpoint. */
static int make_plan(struct pc_node *node, uint32_t cached_count)
{
    const struct pc_node_options *given = &node->options;
    struct pc_plan_options options = {
        .joiner = { .target = given->target,
                    .min = given->min,
                    .timeout_us = given->timeout_us,
                    .unstalled_max = PC_JOIN_UNSTALLED_MAX,
                    .dials_max = PC_JOIN_DIALS_MAX,
                    .dial_timeout_us = PC_JOIN_DIAL_TIMEOUT_US,
                    .mode = given->mode,
                    .race_us = PC_JOIN_RACE_US,
                    .race_private_us = PC_JOIN_RACE_PRIVATE_US,
                    .tries_again = !given->once },
        .memory = { .candidates = cached_count,
                    .age_ms = pc_base_time_sub(node->now.wall_ms, node->newest_success_ms),
                    .last_verified = given->last_verified },
        .endpoint_count = given->endpoint_count,
        .exclusive = given->exclusive,
        /* No filter: whom it denies of the given peers is to be told as a failure, see dial(); others are
         * not offered. */
    };
    struct pc_joiner_candidate *bootstrap = calloc(given->source_count + 1, sizeof(*bootstrap));
    if (!bootstrap)
        return PEERCACHE_ENOMEM;
    for (size_t i = 0; i < given->source_count && options.bootstrap_count < PC_JOIN_BOOTSTRAP_MAX; i++)
        if (node->sources[i].via == PEERCACHE_VIA_ENDPOINT) {
            bootstrap[options.bootstrap_count++] =
                candidate_of(&node->sources[i].id, &node->sources[i].addr, PEERCACHE_VIA_ENDPOINT);
        }
    options.bootstrap = bootstrap;
    pc_base_rng_bytes(&node->rng, options.joiner.secret, sizeof(options.joiner.secret));
    int result = pc_plan_new(&options, node->now.mono_us, &node->plan);
    free(bootstrap);
    return result;
}

static void tell_routes(struct pc_node *node)
{
    const struct pc_plan_event event = { .kind = PC_PLAN_NETWORK_CHANGED,
                                         .has_ip4 = node->has_ip4,
                                         .has_ip6 = node->has_ip6 };
    (void)tell_plan(node, &event); /* fails for offers only, as all below */
}

/* The plan as it was left: breakers, and what this machine lacks. */
static void restore_plan(struct pc_node *node)
{
    for (size_t i = 0; i < node->options.endpoint_count && !node->options.exclusive; i++) {
        struct kept_endpoint *kept = &node->kept_endpoints[i];
        if (kept->has_breaker &&
            pc_plan_load_breaker(node->plan, i, pc_bytes_of(kept->breaker, sizeof(kept->breaker)),
                                 node->now.wall_ms))
            pc_base_log(node->options.log, PC_LOG_WARNING, "node",
                        "the remembered state of endpoint %zu is malformed: it begins anew", i);
    }
    if (!node->has_ip4 || !node->has_ip6)
        tell_routes(node);
}

static void begin_round(struct pc_node *node, const struct pc_pick *picks, size_t count)
{
    pc_plan_metrics(node->plan, &node->round_base);
    node->join_round = node->round_base.rounds;
    node->join_started_us = node->now.mono_us;
    node->rejoin_at_us = PC_TIME_NEVER;
    node->report_told = false;
    node->dialed = 0;
    node->failed = 0;
    pc_node_dial_list_clear(&node->verified_dials);
    pc_node_dial_list_clear(&node->failed_dials);
    for (size_t i = 0; i < node->options.source_count; i++)
        if (node->sources[i].via != PEERCACHE_VIA_ENDPOINT) {
            struct pc_joiner_candidate candidate =
                candidate_of(&node->sources[i].id, &node->sources[i].addr, node->sources[i].via);
            offer(node, &candidate);
        }
    offer_cached(node, picks, count);
}

void pc_node_join_begin(struct pc_node *node)
{
    struct pc_pick *picks;
    if (node->plan) { /* the peers are lost: another round, which the pump begins */
        const struct pc_plan_event again = { .kind = PC_PLAN_AGAIN };
        (void)tell_plan(node, &again);
        return;
    }
    node->report_told = false;
    node->join_started_us = node->now.mono_us;
    size_t count = pick_cached(node, &picks);
    if (make_plan(node, (uint32_t)count)) {
        pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: cannot join");
    } else {
        restore_plan(node);
        begin_round(node, picks, count);
    }
    free(picks); /* without a plan the pump reports that the join failed */
}

/* The plan has begun another round by itself, or was told to. */
static void heed_round(struct pc_node *node)
{
    struct pc_pick *picks;
    if (pc_plan_rounds(node->plan) == node->join_round)
        return;
    size_t count = pick_cached(node, &picks);
    begin_round(node, picks, count);
    free(picks);
}

/* ----- dialling ----- */

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
            *ret_detail = "a name that is no host name";
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
    switch (pc_join_filter_judge(&node->filter, &candidate->ip_port)) {
    case PC_FILTER_DENIED:
        *ret_detail = "of a network that may not be dialled (--deny)";
        return PEERCACHE_DENIED;
    case PC_FILTER_ALLOWED:
    case PC_FILTER_SILENT:
        break;
    }
    switch (pc_addr_scope_of(&candidate->ip_port)) {
    case PC_SCOPE_PUBLIC:
        return PEERCACHE_OK;
    case PC_SCOPE_PRIVATE:
        *ret_detail = "a private, loopback or reserved address, which only local mode or --allow lets dial";
        return node->options.mode == PC_NETGROUP_LOCAL ||
                       pc_join_filter_judge(&node->filter, &candidate->ip_port) == PC_FILTER_ALLOWED
                   ? PEERCACHE_OK
                   : PEERCACHE_DENIED;
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

static void tell_dial_ended(struct pc_node *node, uint64_t dial_number, peercache_outcome outcome,
                            const struct pc_peer_id *proven, int64_t rtt_us)
{
    const struct pc_plan_event event = {
        .kind = PC_PLAN_DIAL_ENDED, .number = dial_number, .outcome = outcome, .id = proven, .rtt_us = rtt_us
    };
    (void)tell_plan(node, &event);
}

/* Which connection a dial of the plan has become. At most PC_JOIN_DIALS_MAX are under way. */
static struct join_dial *find_dial(struct pc_node *node, uint64_t dial_number)
{
    for (size_t i = 0; i < node->join_dial_count; i++)
        if (node->join_dials[i].dial == dial_number)
            return &node->join_dials[i];
    return NULL;
}

static void forget_dial(struct pc_node *node, uint64_t dial_number)
{
    struct join_dial *dial = find_dial(node, dial_number);
    if (dial)
        *dial = node->join_dials[--node->join_dial_count];
}

static void refuse(struct pc_node *node, const struct pc_plan_action *wanted, peercache_outcome outcome,
                   const char *detail)
{
    const struct pc_joiner_candidate *candidate = &wanted->candidate;
    struct connection unborn = { .id = candidate->id, .addr = candidate->addr, .via = candidate->via };
    note_failure(node, &unborn, outcome, detail, -1);
    if (wanted->kind == PC_PLAN_DIAL)
        tell_dial_ended(node, wanted->number, outcome, NULL, -1);
}

static void dial(struct pc_node *node, const struct pc_plan_action *wanted)
{
    const struct pc_joiner_candidate *candidate = &wanted->candidate;
    const char *detail = "";
    peercache_outcome refusal = pc_node_why_not_dialled(node, candidate, &detail);
    if (refusal != PEERCACHE_OK) {
        refuse(node, wanted, refusal, detail);
        return;
    }
    struct connection *connection = NULL;
    if (node->join_dial_count < PC_JOIN_DIALS_MAX)
        connection = pc_node_connection_new(node, ++node->next_connection, FOR_JOIN);
    if (!connection) {
        node->dialed++; /* the plan counts it too */
        refuse(node, wanted, PEERCACHE_CANCELLED, "out of memory");
        return;
    }
    node->join_dials[node->join_dial_count++] = (struct join_dial){ wanted->number, connection->number };
    connection->join_dial = wanted->number;
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
    action->deadline_us = wanted->deadline_us;
    (void)pc_node_tell_dial(node, PEERCACHE_NODE_DIALING, connection, PEERCACHE_OK, "", -1, -1);
}

/* A dial that nobody waits for any more. Cut off by the end of the time it is a failure of this join. */
static void cancel_dial(struct pc_node *node, uint64_t dial_number)
{
    const struct join_dial *dial = find_dial(node, dial_number);
    struct connection *connection = dial ? pc_node_connection_find(node, dial->connection) : NULL;
    forget_dial(node, dial_number);
    if (!connection || connection->open || connection->cancelled)
        return;
    if (pc_plan_phase(node->plan) == PC_JOIN_TIMED_OUT)
        note_failure(node, connection, PEERCACHE_TIMEOUT, "no answer when the time of the join was up", -1);
    if (pc_base_time_sub(node->now.mono_us, connection->started_us) >= CUT_OFF_COUNTS_AFTER_US)
        pc_node_learn_outcome(node, connection, PEERCACHE_TIMEOUT, NULL, -1);
    pc_node_connection_cancel(node, connection);
}

void pc_node_join_dial_ended(struct pc_node *node, struct connection *connection, peercache_outcome outcome,
                             const char *detail, const struct pc_peer_id *proven, int64_t rtt_us,
                             int64_t proven_us)
{
    forget_dial(node, connection->join_dial);
    if (!pc_node_join_is_open(node)) /* it came after the report: the cache has learnt it, nothing else */
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
    tell_dial_ended(node, connection->join_dial, outcome, proven, rtt_us);
}

void pc_node_join_verified(struct pc_node *node, const struct pc_peer_id *id, uint8_t family)
{
    const struct pc_plan_event event = { .kind = PC_PLAN_VERIFIED, .id = id, .family = family };
    if (pc_node_join_is_open(node))
        (void)tell_plan(node, &event);
}

/* ----- what the edge brings ----- */

void pc_node_join_fetched(struct pc_node *node, const struct pc_node_fetched *fetched, uint32_t usable)
{
    const struct pc_plan_event event = { .kind = PC_PLAN_FETCHED,
                                         .number = fetched->number,
                                         .fetch = fetched->result,
                                         .fetch_usable = usable,
                                         .fetch_has_date = fetched->has_date,
                                         .clock_ahead_ms = fetched->clock_ahead_ms };
    if (pc_node_join_is_open(node))
        (void)tell_plan(node, &event);
}

void pc_node_join_resolved(struct pc_node *node, const struct pc_node_resolved *resolved)
{
    const struct pc_plan_event event = { .kind = PC_PLAN_RESOLVED,
                                         .number = resolved->number,
                                         .outcome = resolved->outcome,
                                         .ips = resolved->ips,
                                         .ip_count = resolved->ip_count,
                                         .texts = resolved->texts,
                                         .text_count = resolved->text_count };
    if (pc_node_join_is_open(node))
        (void)tell_plan(node, &event);
}

void pc_node_join_routes(struct pc_node *node, bool has_ip4, bool has_ip6)
{
    node->has_ip4 = has_ip4;
    node->has_ip6 = has_ip6;
    if (!has_ip4 && !has_ip6)
        pc_cache_set_drop_held(node->set); /* what failed says nothing of the peers */
    if (node->plan)
        tell_routes(node);
}

/* ----- the pump ----- */

static void act(struct pc_node *node, const struct pc_plan_action *wanted)
{
    struct pc_node_action *action;
    switch (wanted->kind) {
    case PC_PLAN_DIAL:
        dial(node, wanted);
        break;
    case PC_PLAN_FETCH:
        action = pc_node_act(node, PC_NODE_FETCH);
        action->number = wanted->number;
        action->endpoint = wanted->endpoint;
        action->deadline_us = wanted->deadline_us;
        break;
    case PC_PLAN_RESOLVE:
        action = pc_node_act(node, PC_NODE_RESOLVE);
        action->number = wanted->number;
        action->question = wanted->question;
        action->deadline_us = wanted->deadline_us;
        break;
    case PC_PLAN_CANCEL_DIAL:
        cancel_dial(node, wanted->number);
        break;
    case PC_PLAN_CANCEL_FETCH:
        pc_node_act(node, PC_NODE_CANCEL_FETCH)->number = wanted->number;
        break;
    case PC_PLAN_CANCEL_RESOLVE:
        pc_node_act(node, PC_NODE_CANCEL_RESOLVE)->number = wanted->number;
        break;
    case PC_PLAN_LOST:
        refuse(node, wanted, wanted->outcome,
               wanted->outcome == PEERCACHE_DNS_FAILED ? "the name was not resolved"
                                                       : "the name leads to no address of QUIC v1 over UDP");
        break;
    }
}

static void tell_asking(struct pc_node *node)
{
    const struct pc_plan_event event = { .kind = PC_PLAN_ASKING, .asking = node->join_requests > 0 };
    if (node->join_asking == event.asking)
        return;
    node->join_asking = event.asking;
    (void)tell_plan(node, &event);
}

/* Do what the plan wants. False: there was not room for all of it. */
static bool pump_plan(struct pc_node *node)
{
    static const struct pc_plan_event time = { .kind = PC_PLAN_TIME };
    struct pc_plan_action wanted;
    size_t count = 1;
    tell_asking(node);
    /* A round that the plan begins by itself it begins here, before it wants anything that counts as of it. */
    (void)tell_plan(node, &time);
    heed_round(node);
    while (pc_node_has_room(node, 0)) {
        (void)pc_plan_step(node->plan, &time, node->now.mono_us, &wanted, 1, &count);
        if (count == 0)
            return true;
        act(node, &wanted);
    }
    return false;
}

/* End the dials that nobody waits for any more: the node is stopped. False: no room now. */
static bool give_up_dials(struct pc_node *node)
{
    while (node->join_dial_count > 0) {
        if (!pc_node_has_room(node, 0))
            return false;
        uint64_t number = node->join_dials[0].dial;
        struct connection *connection = pc_node_connection_find(node, node->join_dials[0].connection);
        forget_dial(node, number);
        if (!connection || connection->open || connection->cancelled)
            continue;
        note_failure(node, connection, PEERCACHE_CANCELLED, "the join was stopped before it ended", -1);
        tell_dial_ended(node, number, PEERCACHE_CANCELLED, NULL, -1);
        pc_node_connection_cancel(node, connection);
    }
    return true;
}

/* Whether there is something to report: the round is over, or, of a node that lives on, nothing more can be done
 * at once, or the status has changed since. */
static bool owes_report(const struct pc_node *node)
{
    if (!node->plan || node->stop_wanted)
        return !node->report_told;
    if (node->report_told)
        return !node->options.once &&
               pc_node_join_status(node, pc_plan_verified_count(node->plan)) != node->report.status;
    switch (pc_plan_phase(node->plan)) {
    case PC_JOIN_JOINED:
    case PC_JOIN_TIMED_OUT:
    case PC_JOIN_EXHAUSTED:
        return true;
    case PC_JOIN_RUNNING:
        break;
    }
    return !node->options.once && pc_plan_rests(node->plan);
}

void pc_node_join_pump(struct pc_node *node)
{
    if (node->plan && !(node->stop_wanted ? give_up_dials(node) : pump_plan(node)))
        return;
    if (!owes_report(node) || !pc_node_has_room(node, 2))
        return;
    pc_node_join_report(node);
    if (node->report.verified == 0 && pc_kad_table_count(node->table) == 0)
        pc_node_recall(node, PC_NODE_RECALLS_ALONE);
    if (node->phase != PHASE_JOINING)
        return;
    if (node->stop_wanted)
        pc_node_begin_stop(node);
    else
        pc_node_join_end(node);
}
