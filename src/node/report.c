/* The lists of a join report: dials copied with their texts, at most PC_NODE_REPORT_MAX. */
#include "node/internal.h"

#include <stdlib.h>

int pc_node_dial_list_add(struct dial_list *list, const peercache_dial *dial)
{
    if (list->count == PC_NODE_REPORT_MAX)
        return PEERCACHE_ELIMIT;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 8;
        peercache_dial *dials = realloc(list->dials, capacity * sizeof(*dials));
        if (!dials)
            return PEERCACHE_ENOMEM;
        list->dials = dials;
        list->capacity = capacity;
    }
    /* One block holds the three texts; it begins with the id, which is what is freed. */
    size_t id_size = strlen(dial->id) + 1, addr_size = strlen(dial->addr) + 1,
           detail_size = strlen(dial->detail) + 1;
    char *texts = malloc(id_size + addr_size + detail_size);
    if (!texts)
        return PEERCACHE_ENOMEM;
    memcpy(texts, dial->id, id_size);
    memcpy(texts + id_size, dial->addr, addr_size);
    memcpy(texts + id_size + addr_size, dial->detail, detail_size);
    peercache_dial *copy = &list->dials[list->count++];
    *copy = *dial;
    copy->id = texts;
    copy->addr = texts + id_size;
    copy->detail = texts + id_size + addr_size;
    return 0;
}

void pc_node_dial_list_clear(struct dial_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        char *texts;
        memcpy(&texts, &list->dials[i].id, sizeof(texts)); /* ours, though the public type says const */
        free(texts);
    }
    free(list->dials);
    *list = (struct dial_list){ 0 };
}

peercache_join_status pc_node_join_status(const struct pc_node *node, uint32_t verified)
{
    return verified >= node->options.target ? PEERCACHE_JOINED
           : verified >= node->options.min  ? PEERCACHE_DEGRADED
                                            : PEERCACHE_FAILED;
}

/* Candidates that ended so were never dialled. */
static bool is_refusal(unsigned outcome)
{
    return outcome == PEERCACHE_DNS_FAILED || outcome == PEERCACHE_UNSUPPORTED || outcome == PEERCACHE_DENIED;
}

/* What was counted in this round alone. */
static void report_sources(const struct pc_join_metrics *now, const struct pc_join_metrics *before,
                           peercache_source_report ret_sources[PEERCACHE_VIA_COUNT])
{
    for (unsigned via = 0; via < PEERCACHE_VIA_COUNT; via++) {
        peercache_source_report *source = &ret_sources[via];
        source->offered = (uint32_t)(now->offered[via] - before->offered[via]);
        for (unsigned outcome = 0; outcome < PEERCACHE_OUTCOME_COUNT; outcome++) {
            source->ended[outcome] = (uint32_t)(now->ended[via][outcome] - before->ended[via][outcome]);
            source->dialed += is_refusal(outcome) ? 0 : source->ended[outcome];
        }
        source->verified = source->ended[PEERCACHE_OK];
    }
}

static void report_metrics(const struct pc_join_metrics *counted, peercache_join_metrics *ret_metrics)
{
    peercache_join_metrics metrics = {
        .first_verified_us = counted->first_verified_us,
        .fifth_verified_us = counted->fifth_verified_us,
        .cache_hits = counted->cache_hits,
        .cache_misses = counted->cache_misses,
        .breaker_transitions = counted->breaker_transitions,
        .questions = counted->questions,
        .questions_failed = counted->questions_failed,
        .rounds = counted->rounds,
    };
    memcpy(metrics.dials, counted->dials, sizeof(metrics.dials));
    memcpy(metrics.ended, counted->ended, sizeof(metrics.ended));
    memcpy(metrics.fetches, counted->fetches, sizeof(metrics.fetches));
    *ret_metrics = metrics;
}

void pc_node_report_endpoint(const struct pc_node *node, size_t index, peercache_endpoint_report *ret_report)
{
    const struct pc_endpoint *endpoint = pc_plan_endpoint(node->plan, index);
    int64_t ready_at_us = pc_base_time_max(endpoint->ask_at_us, pc_breaker_ready_at(&endpoint->breaker));
    int64_t wait_us = pc_base_time_sub(ready_at_us, node->now.mono_us);
    *ret_report = (peercache_endpoint_report){
        .url = "",
        .was_asked = endpoint->was_asked,
        .result = endpoint->was_asked ? peercache_fetch_name(endpoint->last_result) : "",
        .detail = "",
        .delivered = endpoint->batch,
        .verified = endpoint->verified,
        .breaker = pc_breaker_state_name((enum pc_breaker_state)endpoint->breaker.state),
        .next_try_ms = endpoint->phase == PC_ENDPOINT_ASKED ? -1
                       : wait_us > 0                        ? wait_us / 1000
                                                            : 0,
    };
}

/* Of a node without a plan, for which memory was out, only the counts. */
static void report_plan(struct pc_node *node, peercache_join_report *report)
{
    struct pc_join_facts facts;
    struct pc_join_metrics metrics;
    pc_plan_facts(node->plan, &facts);
    pc_plan_metrics(node->plan, &metrics);
    enum pc_cause cause = pc_join_diagnose(&facts);
    report->verified = facts.verified;
    if (cause != PC_CAUSE_NONE) {
        report->cause = pc_cause_name(cause);
        report->next_step = pc_cause_next_step(cause);
    }
    report_sources(&metrics, &node->round_base, report->sources);
    report_metrics(&metrics, &report->metrics);
    report->endpoint_count = node->options.exclusive ? 0 : node->options.endpoint_count;
    for (size_t i = 0; i < report->endpoint_count; i++)
        pc_node_report_endpoint(node, i, &node->endpoint_reports[i]);
    report->endpoints = node->endpoint_reports;
    report->local = (peercache_local_report){
        .has_ip4 = node->has_ip4,
        .has_ip6 = node->has_ip6,
        .ip4_is_hole = pc_plan_is_hole(node->plan, 4),
        .ip6_is_hole = pc_plan_is_hole(node->plan, 6),
        .questions = facts.names,
        .questions_failed = facts.names_failed,
        .has_clock = facts.has_clock,
        .clock_ahead_ms = facts.clock_ahead_ms,
    };
    /* Where no cached peer was dialled, the join shows nothing of what the cache is worth. */
    if (metrics.dials[PEERCACHE_VIA_CACHE] > node->round_base.dials[PEERCACHE_VIA_CACHE])
        pc_node_act(node, PC_NODE_KEEP_JOIN)->count =
            (uint32_t)(metrics.cache_hits - node->round_base.cache_hits);
}

/* The figures as they are now, told to the application. There must be room for two actions and a tell. */
void pc_node_join_report(struct pc_node *node)
{
    peercache_join_report *report = &node->report;
    *report = (peercache_join_report){
        .next_step = "",
        .target = node->options.target,
        .dialed = node->dialed,
        .failed = node->failed,
        .elapsed_us = pc_base_time_sub(node->now.mono_us, node->join_started_us),
        .peers = node->verified_dials.dials,
        .peer_count = node->verified_dials.count,
        .failures = node->failed_dials.dials,
        .failure_count = node->failed_dials.count,
        .cache = { .path = "", .problem = "", .last_success_ms = node->newest_success_ms },
        .metrics = { .first_verified_us = -1, .fifth_verified_us = -1 },
    };
    if (node->plan)
        report_plan(node, report);
    report->status = pc_node_join_status(node, report->verified);
    node->report_told = true;
    pc_node_tell(node, &(peercache_node_event){ .kind = PEERCACHE_NODE_JOIN_DONE, .report = report });
}
