/* The joining plan, see plan.h: what is said to one of its parts that another should hear goes through here. */
#include "join/plan.h"

#include "join/backoff.h"

#include <assert.h>
#include <stdlib.h>

struct pc_join_plan {
    struct pc_plan_options options;
    struct pc_join_filter filter;
    struct pc_joiner_candidate *bootstrap;
    bool bootstrap_offered; /* in this round */
    bool asking;
    struct pc_joiner *joiner;
    struct pc_names *names;
    struct pc_endpoints endpoints;
    struct pc_rng rng;
    int64_t now_us;
    int64_t began_us;
    int64_t ends_us;
    int64_t stagger_ends_us;
    int64_t again_at_us; /* NEVER: not by itself */
    int64_t round_wait_us;
    int64_t peer_answered_at_us; /* or a name server; INT64_MIN: never */
    bool has_timed_out;
    bool may_have_more; /* the last step filled all that its caller had room for */
    bool is_out_of_routes;
    bool has_date;
    int64_t clock_ahead_ms;
    struct pc_join_facts facts; /* counts of this round */
    struct pc_join_metrics metrics;
};

static void begin_round(struct pc_join_plan *plan)
{
    plan->began_us = plan->now_us;
    plan->ends_us = pc_base_time_add(plan->now_us, plan->options.joiner.timeout_us);
    plan->again_at_us = PC_TIME_NEVER;
    plan->has_timed_out = false;
    plan->bootstrap_offered = plan->options.exclusive || plan->options.bootstrap_count == 0;
    plan->facts = (struct pc_join_facts){ .target = plan->options.joiner.target,
                                          .min = plan->options.joiner.min,
                                          .endpoints = (uint32_t)plan->endpoints.count };
    plan->metrics.first_verified_us = -1;
    plan->metrics.fifth_verified_us = -1;
    plan->metrics.rounds++;
}

static int copy_bootstrap(struct pc_join_plan *plan)
{
    size_t size = plan->options.bootstrap_count * sizeof(*plan->bootstrap);
    if (size == 0)
        return 0;
    plan->bootstrap = malloc(size);
    if (!plan->bootstrap)
        return PEERCACHE_ENOMEM;
    memcpy(plan->bootstrap, plan->options.bootstrap, size);
    plan->options.bootstrap = plan->bootstrap;
    return 0;
}

int pc_plan_new(const struct pc_plan_options *options, int64_t now_us, struct pc_join_plan **ret_plan)
{
    if (options->endpoint_count > PC_JOIN_ENDPOINTS_MAX || options->bootstrap_count > PC_JOIN_BOOTSTRAP_MAX)
        return PEERCACHE_EINVAL;
    struct pc_join_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return PEERCACHE_ENOMEM;
    plan->options = *options;
    if (options->filter)
        plan->filter = *options->filter;
    plan->options.filter = NULL;
    int result = copy_bootstrap(plan);
    if (!result)
        result = pc_join_new(&options->joiner, now_us, &plan->joiner);
    if (!result)
        result = pc_names_new(options->joiner.tries_again, &plan->names);
    if (result) {
        pc_plan_free(plan);
        return result;
    }
    pc_endpoints_init(&plan->endpoints, options->exclusive ? 0 : options->endpoint_count,
                      options->joiner.tries_again);
    uint8_t seed[PC_RNG_SEED_BYTES] = { 1 }; /* another stream than the joiner's */
    memcpy(seed + 1, options->joiner.secret, sizeof(options->joiner.secret));
    pc_base_rng_init(&plan->rng, seed);
    plan->now_us = now_us;
    plan->peer_answered_at_us = INT64_MIN;
    plan->stagger_ends_us = pc_base_time_add(now_us, pc_join_stagger_us(&options->memory));
    begin_round(plan);
    *ret_plan = plan;
    return 0;
}

void pc_plan_free(struct pc_join_plan *plan)
{
    if (!plan)
        return;
    pc_join_free(plan->joiner);
    pc_names_free(plan->names);
    free(plan->bootstrap);
    free(plan);
}

/* Whether peers or name servers answered lately, or an endpoint other than this one (count: any). */
static bool others_answer(const struct pc_join_plan *plan, size_t endpoint)
{
    if (plan->peer_answered_at_us != INT64_MIN &&
        pc_base_time_sub(plan->now_us, plan->peer_answered_at_us) <= PC_JOIN_ANSWER_FRESH_US)
        return true;
    return pc_endpoints_others_answer(&plan->endpoints, endpoint, plan->now_us);
}

static bool is_over(const struct pc_join_plan *plan)
{
    return plan->has_timed_out || pc_join_phase_at(plan->joiner, plan->now_us) == PC_JOIN_JOINED ||
           pc_join_phase_at(plan->joiner, plan->now_us) == PC_JOIN_TIMED_OUT;
}

/* The cache had its time, or has nothing left to do with it, nor have the peers it led to. */
static bool stagger_is_over(const struct pc_join_plan *plan)
{
    return plan->now_us >= plan->stagger_ends_us ||
           (!plan->asking && pc_join_phase_at(plan->joiner, plan->now_us) == PC_JOIN_EXHAUSTED);
}

/* More peers of endpoints are of use. */
static bool may_fetch(const struct pc_join_plan *plan)
{
    return !is_over(plan) && stagger_is_over(plan) &&
           pc_join_waiting_of(plan->joiner, PEERCACHE_VIA_ENDPOINT) < 2 * (size_t)plan->options.joiner.target;
}

static void note_verified(struct pc_join_plan *plan)
{
    uint32_t count = pc_join_verified_count(plan->joiner);
    int64_t took_us = pc_base_time_sub(plan->now_us, plan->began_us);
    if (count >= 1 && plan->metrics.first_verified_us < 0)
        plan->metrics.first_verified_us = took_us;
    if (count >= PC_JOIN_FIFTH && plan->metrics.fifth_verified_us < 0)
        plan->metrics.fifth_verified_us = took_us;
    if (count >= plan->options.joiner.min)
        plan->round_wait_us = 0;
}

/* What is known of it already counts for the endpoints that name it, without another dial. */
static void judge_known(struct pc_join_plan *plan, const struct pc_joiner_candidate *candidate)
{
    enum pc_join_fate fate =
        candidate->endpoints ? pc_join_fate_of(plan->joiner, candidate) : PC_JOIN_UNKNOWN;
    for (size_t i = 0; i < plan->endpoints.count; i++)
        if (candidate->endpoints >> i & 1 && (fate == PC_JOIN_FAILED || fate == PC_JOIN_VERIFIED))
            pc_endpoints_known(&plan->endpoints, i, fate == PC_JOIN_VERIFIED);
}

static int offer(struct pc_join_plan *plan, const struct pc_joiner_candidate *candidate)
{
    bool is_given = candidate->via == PEERCACHE_VIA_FLAG || candidate->via == PEERCACHE_VIA_ENV;
    struct pc_ip_port unused;
    int result;
    if (plan->options.exclusive && !is_given)
        return 0;
    plan->metrics.offered[candidate->via]++;
    plan->facts.offered++;
    if (candidate->ip_port.family != 0 &&
        pc_join_filter_judge(&plan->filter, &candidate->ip_port) == PC_FILTER_DENIED) {
        plan->metrics.refused_offers++;
        plan->facts.refused_offers++;
        return PEERCACHE_EPERM;
    }
    judge_known(plan, candidate);
    if (candidate->ip_port.family == 0 &&
        pc_addr_classify(pc_addr_maddr_bytes(&candidate->addr), &unused) == PC_ADDR_DNS)
        result = pc_names_add(plan->names, candidate);
    else
        result = pc_join_offer(plan->joiner, candidate);
    plan->metrics.lost_offers += result == PEERCACHE_ELIMIT || result == PEERCACHE_ENOMEM;
    return result;
}

/* What is refused here is counted by offer. */
static void offer_bootstrap(struct pc_join_plan *plan)
{
    if (plan->bootstrap_offered || is_over(plan) || !stagger_is_over(plan))
        return;
    plan->bootstrap_offered = true;
    for (size_t i = 0; i < plan->options.bootstrap_count; i++)
        (void)offer(plan, &plan->bootstrap[i]);
}

static bool peer_answered(peercache_outcome outcome)
{
    switch (outcome) {
    case PEERCACHE_OK:
    case PEERCACHE_REFUSED:
    case PEERCACHE_TLS_FAILED:
    case PEERCACHE_WRONG_IDENTITY:
    case PEERCACHE_PROTOCOL_MISMATCH:
    case PEERCACHE_MISBEHAVED:
        return true;
    case PEERCACHE_TIMEOUT:
    case PEERCACHE_UNREACHABLE:
    case PEERCACHE_DNS_FAILED:
    case PEERCACHE_UNSUPPORTED:
    case PEERCACHE_DENIED:
    case PEERCACHE_CANCELLED:
    case PEERCACHE_OUTCOME_COUNT:
        break;
    }
    return false;
}

static void count_end(struct pc_join_plan *plan, peercache_via via, peercache_outcome outcome)
{
    plan->metrics.ended[via][outcome]++;
    if (via == PEERCACHE_VIA_CACHE && outcome == PEERCACHE_OK)
        plan->metrics.cache_hits++;
    else if (via == PEERCACHE_VIA_CACHE && outcome != PEERCACHE_CANCELLED)
        plan->metrics.cache_misses++;
}

static void dial_ended(struct pc_join_plan *plan, uint64_t number, peercache_outcome outcome,
                       const struct pc_peer_id *id, int64_t rtt_us)
{
    struct pc_joiner_candidate candidate;
    if (!pc_join_dial_of(plan->joiner, number, &candidate))
        return;
    if (peer_answered(outcome))
        plan->peer_answered_at_us = plan->now_us;
    count_end(plan, candidate.via, outcome);
    plan->facts.ended[outcome]++;
    plan->facts.dials++;
    for (size_t i = 0; i < plan->endpoints.count; i++)
        if (candidate.endpoints >> i & 1)
            pc_endpoints_dialled(&plan->endpoints, i, outcome, others_answer(plan, i), &plan->rng,
                                 plan->now_us);
    pc_join_ended(plan->joiner, number, outcome, id, rtt_us, plan->now_us);
    note_verified(plan);
}

static void fetch_ended(struct pc_join_plan *plan, uint64_t number, peercache_fetch result, uint32_t usable)
{
    uint64_t answered_before = plan->facts.fetches_answered;
    size_t index = 0;
    while (index < plan->endpoints.count && (plan->endpoints.endpoints[index].phase != PC_ENDPOINT_ASKED ||
                                             plan->endpoints.endpoints[index].fetch != number))
        index++;
    if (index == plan->endpoints.count)
        return;
    pc_endpoints_ended(&plan->endpoints, number, result, usable, others_answer(plan, index), &plan->rng,
                       plan->now_us);
    plan->metrics.fetches[result]++;
    plan->facts.fetches++;
    plan->facts.fetches_answered += plan->endpoints.endpoints[index].answered_at_us == plan->now_us;
    plan->facts.fetches_ok +=
        (result == PEERCACHE_FETCH_OK || result == PEERCACHE_FETCH_NOT_MODIFIED) && usable > 0;
    plan->facts.fetches_wrong_network += result == PEERCACHE_FETCH_WRONG_NETWORK;
    plan->facts.fetches_dns_failed += result == PEERCACHE_FETCH_DNS_FAILED;
    if (plan->facts.fetches_answered > answered_before)
        pc_join_endpoint_answered(plan->joiner, plan->now_us);
}

static void resolved(struct pc_join_plan *plan, const struct pc_plan_event *event)
{
    struct pc_joiner_candidate candidate;
    uint64_t number = event->number;
    /* What is refused here is counted by offer; its name's other addresses are none the worse for it. */
    for (size_t i = 0; event->outcome == PEERCACHE_OK && i < event->ip_count; i++)
        if (pc_names_take_ip(plan->names, number, &event->ips[i], &candidate))
            (void)offer(plan, &candidate);
    for (size_t i = 0; event->outcome == PEERCACHE_OK && i < event->text_count; i++)
        if (pc_names_take_text(plan->names, number, event->texts[i], &candidate))
            (void)offer(plan, &candidate);
    bool failed = event->outcome != PEERCACHE_OK;
    if (!pc_names_ended(plan->names, number, failed, &plan->rng, plan->now_us))
        return;
    plan->metrics.questions++;
    plan->metrics.questions_failed += failed;
    plan->facts.names++;
    plan->facts.names_failed += failed;
    if (!failed)
        plan->peer_answered_at_us = plan->now_us;
}

static void again(struct pc_join_plan *plan)
{
    pc_join_again(plan->joiner, plan->now_us);
    pc_endpoints_again(&plan->endpoints, plan->now_us);
    pc_names_again(plan->names, plan->now_us);
    plan->stagger_ends_us = plan->now_us;
    begin_round(plan);
}

static void network_changed(struct pc_join_plan *plan, const struct pc_plan_event *event)
{
    plan->peer_answered_at_us = INT64_MIN;
    plan->is_out_of_routes = !event->has_ip4 && !event->has_ip6;
    plan->round_wait_us = 0;
    pc_join_set_route(plan->joiner, 4, event->has_ip4, plan->now_us);
    pc_join_set_route(plan->joiner, 6, event->has_ip6, plan->now_us);
    pc_join_network_changed(plan->joiner, plan->now_us);
    pc_endpoints_network_changed(&plan->endpoints, plan->now_us);
    pc_names_again(plan->names, plan->now_us);
    if (plan->again_at_us != PC_TIME_NEVER)
        again(plan);
}

/* Between two rounds somebody may be there after all, and no other is needed. */
static void verified(struct pc_join_plan *plan, const struct pc_plan_event *event)
{
    plan->peer_answered_at_us = plan->now_us;
    if (event->family)
        pc_join_reached(plan->joiner, event->family, plan->now_us);
    pc_join_verified_inbound(plan->joiner, event->id);
    note_verified(plan);
    if (pc_join_verified_count(plan->joiner) >= plan->options.joiner.min)
        plan->again_at_us = PC_TIME_NEVER;
}

static void note_clock(struct pc_join_plan *plan, int64_t ahead_ms)
{
    /* The one that agrees best with us: an endpoint whose own clock is wrong must not accuse ours. */
    int64_t distance = ahead_ms < 0 ? pc_base_time_sub(0, ahead_ms) : ahead_ms;
    int64_t before = plan->clock_ahead_ms < 0 ? -plan->clock_ahead_ms : plan->clock_ahead_ms;
    if (!plan->has_date || distance < before)
        plan->clock_ahead_ms = ahead_ms < 0 ? -distance : distance;
    plan->has_date = true;
}

static int take(struct pc_join_plan *plan, const struct pc_plan_event *event)
{
    switch (event->kind) {
    case PC_PLAN_TIME:
        break;
    case PC_PLAN_OFFERED:
        return offer(plan, event->candidate);
    case PC_PLAN_DIAL_ENDED:
        dial_ended(plan, event->number, event->outcome, event->id, event->rtt_us);
        break;
    case PC_PLAN_VERIFIED:
        verified(plan, event);
        break;
    case PC_PLAN_FETCHED:
        if (event->fetch_has_date)
            note_clock(plan, event->clock_ahead_ms);
        fetch_ended(plan, event->number, event->fetch, event->fetch_usable);
        break;
    case PC_PLAN_RESOLVED:
        resolved(plan, event);
        break;
    case PC_PLAN_ASKING:
        plan->asking = event->asking;
        break;
    case PC_PLAN_NETWORK_CHANGED:
        network_changed(plan, event);
        break;
    case PC_PLAN_AGAIN:
        again(plan);
        break;
    }
    return 0;
}

/* End what its caller did not end in time, or what nobody waits for any more. */
static bool next_cancel(struct pc_join_plan *plan, struct pc_plan_action *ret_action)
{
    uint64_t number;
    peercache_via via;
    bool over = is_over(plan);
    if (pc_join_overdue(plan->joiner, plan->now_us, &number)) {
        plan->metrics.overdue++;
        dial_ended(plan, number, PEERCACHE_TIMEOUT, NULL, -1);
        *ret_action = (struct pc_plan_action){ .kind = PC_PLAN_CANCEL_DIAL, .number = number };
        return true;
    }
    if (pc_join_next_cancel(plan->joiner, plan->now_us, &number, &via)) {
        /* Cut off by the end of the time it failed, though too soon perhaps to say anything: no fact of the cause. */
        count_end(plan, via,
                  pc_plan_phase(plan) == PC_JOIN_TIMED_OUT ? PEERCACHE_TIMEOUT : PEERCACHE_CANCELLED);
        plan->metrics.given_up++;
        *ret_action = (struct pc_plan_action){ .kind = PC_PLAN_CANCEL_DIAL, .number = number };
        return true;
    }
    bool is_overdue = pc_endpoints_overdue(&plan->endpoints, plan->now_us, &number);
    if (is_overdue || (over && pc_endpoints_under_way(&plan->endpoints, &number))) {
        plan->metrics.overdue += is_overdue;
        fetch_ended(plan, number, is_overdue ? PEERCACHE_FETCH_TIMEOUT : PEERCACHE_FETCH_CANCELLED, 0);
        *ret_action = (struct pc_plan_action){ .kind = PC_PLAN_CANCEL_FETCH, .number = number };
        return true;
    }
    is_overdue = pc_names_overdue(plan->names, plan->now_us, &number);
    if (is_overdue || (over && pc_names_under_way(plan->names, &number))) {
        struct pc_plan_event event = { .number = number, .outcome = PEERCACHE_TIMEOUT };
        plan->metrics.overdue += is_overdue;
        if (is_overdue)
            resolved(plan, &event);
        else
            (void)pc_names_ended(plan->names, number, false, &plan->rng, plan->now_us);
        *ret_action = (struct pc_plan_action){ .kind = PC_PLAN_CANCEL_RESOLVE, .number = number };
        return true;
    }
    return false;
}

/* A name that gave nobody to dial: its candidate failed, without a dial. */
static bool next_lost(struct pc_join_plan *plan, struct pc_plan_action *ret_action)
{
    bool failed;
    struct pc_joiner_candidate candidate;
    if (!pc_names_next_lost(plan->names, &candidate, &failed))
        return false;
    *ret_action = (struct pc_plan_action){ .kind = PC_PLAN_LOST,
                                           .candidate = candidate,
                                           .outcome = failed ? PEERCACHE_DNS_FAILED : PEERCACHE_UNSUPPORTED };
    plan->metrics.ended[candidate.via][ret_action->outcome]++;
    plan->facts.dials++;
    plan->facts.ended[ret_action->outcome]++;
    return true;
}

static bool next_action(struct pc_join_plan *plan, struct pc_plan_action *ret_action)
{
    if (next_cancel(plan, ret_action))
        return true;
    memset(ret_action, 0, sizeof(*ret_action));
    if (is_over(plan))
        return false;
    if (next_lost(plan, ret_action))
        return true;
    offer_bootstrap(plan);
    if (pc_names_next(plan->names, plan->now_us, &ret_action->question)) {
        ret_action->kind = PC_PLAN_RESOLVE;
        ret_action->number = ret_action->question.number;
        ret_action->deadline_us = ret_action->question.deadline_us;
        return true;
    }
    if (may_fetch(plan) && pc_endpoints_next(&plan->endpoints, plan->now_us, &ret_action->endpoint,
                                             &ret_action->number, &ret_action->deadline_us)) {
        ret_action->kind = PC_PLAN_FETCH;
        return true;
    }
    pc_join_expect(plan->joiner, PEERCACHE_VIA_ENDPOINT,
                   pc_endpoints_expected_until(&plan->endpoints) > plan->now_us);
    if (!pc_join_next(plan->joiner, plan->now_us, &ret_action->number, &ret_action->candidate,
                      &ret_action->deadline_us))
        return false;
    ret_action->kind = PC_PLAN_DIAL;
    plan->metrics.dials[ret_action->candidate.via]++;
    return true;
}

/* After the time, or when nothing is left to do: the next round, for as long as the node lives. */
static void settle(struct pc_join_plan *plan)
{
    if (plan->now_us >= plan->ends_us && pc_join_phase_at(plan->joiner, plan->now_us) != PC_JOIN_JOINED)
        plan->has_timed_out = true;
    if (!plan->has_timed_out || !plan->options.joiner.tries_again || plan->again_at_us != PC_TIME_NEVER ||
        pc_join_verified_count(plan->joiner) >= plan->options.joiner.min)
        return;
    plan->round_wait_us = pc_join_backoff_decorrelated(&plan->rng, PC_JOIN_ROUND_FIRST_US,
                                                       PC_JOIN_ROUND_CAP_US, plan->round_wait_us);
    plan->again_at_us = pc_base_time_add(plan->now_us, plan->round_wait_us);
}

int pc_plan_step(struct pc_join_plan *plan, const struct pc_plan_event *event, int64_t now_us,
                 struct pc_plan_action *ret_actions, size_t capacity, size_t *ret_count)
{
    size_t count = 0;
    plan->now_us = pc_base_time_max(plan->now_us, now_us);
    if (event->kind == PC_PLAN_OFFERED && capacity == 0 && plan->again_at_us > plan->now_us) {
        /* One of the many of an answer: the rest is for the step that asks for actions. */
        plan->may_have_more = true;
        *ret_count = 0;
        return take(plan, event);
    }
    if (plan->again_at_us <= plan->now_us)
        again(plan);
    settle(plan);
    int result = take(plan, event);
    while (count < capacity && next_action(plan, &ret_actions[count]))
        count++;
    plan->may_have_more = count == capacity;
    settle(plan);
    *ret_count = count;
    return result;
}

bool pc_plan_counts_in_vain(struct pc_join_plan *plan, peercache_via via, int64_t now_us)
{
    plan->now_us = pc_base_time_max(plan->now_us, now_us);
    if (plan->options.exclusive || plan->again_at_us <= plan->now_us ||
        pc_join_phase_at(plan->joiner, plan->now_us) != PC_JOIN_JOINED)
        return false;
    plan->metrics.offered[via]++;
    plan->facts.offered++;
    pc_join_note_offered(plan->joiner);
    return true;
}

enum pc_join_phase pc_plan_phase(const struct pc_join_plan *plan)
{
    if (plan->has_timed_out)
        return PC_JOIN_TIMED_OUT;
    enum pc_join_phase phase = pc_join_phase_at(plan->joiner, plan->now_us);
    if (phase != PC_JOIN_EXHAUSTED)
        return phase;
    bool tries_again =
        plan->options.joiner.tries_again && (pc_join_was_offered_anything(plan->joiner) ||
                                             plan->endpoints.count > 0 || pc_names_count(plan->names) > 0);
    return tries_again || plan->asking || !plan->bootstrap_offered ||
                   pc_names_may_come(plan->names, plan->ends_us) ||
                   pc_endpoints_may_come(&plan->endpoints, plan->ends_us)
               ? PC_JOIN_RUNNING
               : PC_JOIN_EXHAUSTED;
}

int64_t pc_plan_deadline(const struct pc_join_plan *plan)
{
    if (plan->may_have_more)
        return plan->now_us;
    if (is_over(plan))
        return pc_base_time_max(plan->again_at_us, plan->now_us);
    if (pc_plan_phase(plan) == PC_JOIN_EXHAUSTED)
        return PC_TIME_NEVER;
    int64_t at = pc_base_time_min(plan->ends_us, pc_join_deadline(plan->joiner));
    at = pc_base_time_min(at, pc_join_overdue_at(plan->joiner));
    at = pc_base_time_min(at, pc_endpoints_deadline(&plan->endpoints, may_fetch(plan)));
    at = pc_base_time_min(at, pc_names_deadline(plan->names, true));
    int64_t expected_until_us = pc_endpoints_expected_until(&plan->endpoints);
    if (expected_until_us > plan->now_us)
        at = pc_base_time_min(at, expected_until_us);
    if (!stagger_is_over(plan) && (plan->endpoints.count > 0 || !plan->bootstrap_offered))
        at = pc_base_time_min(at, plan->stagger_ends_us);
    return pc_base_time_max(at, plan->now_us);
}

bool pc_plan_rests(const struct pc_join_plan *plan)
{
    uint64_t unused;
    if (is_over(plan))
        return true;
    return !plan->may_have_more && !plan->asking && plan->bootstrap_offered && pc_join_rests(plan->joiner) &&
           !pc_endpoints_under_way(&plan->endpoints, &unused) &&
           !pc_endpoints_may_come(&plan->endpoints, pc_base_time_add(plan->now_us, PC_JOIN_REST_US)) &&
           !pc_names_may_come(plan->names, pc_base_time_add(plan->now_us, 1));
}

bool pc_plan_is_hole(const struct pc_join_plan *plan, uint8_t family)
{
    return pc_join_is_hole(plan->joiner, family);
}

uint32_t pc_plan_verified_count(const struct pc_join_plan *plan)
{
    return pc_join_verified_count(plan->joiner);
}

bool pc_plan_failure_counts(const struct pc_join_plan *plan, uint8_t family)
{
    return !plan->is_out_of_routes && !pc_join_is_hole(plan->joiner, family);
}

void pc_plan_facts(const struct pc_join_plan *plan, struct pc_join_facts *ret_facts)
{
    *ret_facts = plan->facts;
    ret_facts->verified = pc_join_verified_count(plan->joiner);
    ret_facts->waiting = (uint32_t)pc_join_waiting_count(plan->joiner);
    ret_facts->udp_is_hole = pc_join_is_udp_hole(plan->joiner);
    ret_facts->has_no_route = plan->is_out_of_routes;
    ret_facts->has_clock = plan->has_date;
    ret_facts->clock_ahead_ms = plan->clock_ahead_ms;
}

uint64_t pc_plan_rounds(const struct pc_join_plan *plan)
{
    return plan->metrics.rounds;
}

void pc_plan_metrics(const struct pc_join_plan *plan, struct pc_join_metrics *ret_metrics)
{
    *ret_metrics = plan->metrics;
    for (size_t i = 0; i < plan->endpoints.count; i++)
        ret_metrics->breaker_transitions += plan->endpoints.endpoints[i].breaker.transitions;
}

const struct pc_endpoint *pc_plan_endpoint(const struct pc_join_plan *plan, size_t index)
{
    assert(index < plan->endpoints.count);
    return &plan->endpoints.endpoints[index];
}

void pc_plan_save_breaker(const struct pc_join_plan *plan, size_t index, int64_t wall_ms,
                          uint8_t ret_bytes[PC_BREAKER_BYTES])
{
    assert(index < plan->endpoints.count);
    pc_breaker_save(&plan->endpoints.endpoints[index].breaker, plan->now_us, wall_ms, ret_bytes);
}

int pc_plan_load_breaker(struct pc_join_plan *plan, size_t index, struct pc_bytes bytes, int64_t wall_ms)
{
    assert(index < plan->endpoints.count);
    return pc_breaker_load(bytes, plan->now_us, wall_ms, &plan->endpoints.endpoints[index].breaker);
}
