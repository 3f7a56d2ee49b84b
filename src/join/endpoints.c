/*
 * See endpoints.h. Of one endpoint:
 *
 *           next                failure, retries left
 *   idle ──────────► asked ──────────────────────────► retrying
 *    ▲                │ ▲                                 │ its wait is over
 *    └───the end──────┘ └─────────────────────────────────┘
 */
#include "join/endpoints.h"

#include "base/fsm.h"
#include "join/backoff.h"

static const uint32_t allowed[] = {
    [PC_ENDPOINT_IDLE] = PC_FSM_TO(PC_ENDPOINT_ASKED),
    [PC_ENDPOINT_ASKED] = PC_FSM_TO(PC_ENDPOINT_IDLE) | PC_FSM_TO(PC_ENDPOINT_RETRYING),
    [PC_ENDPOINT_RETRYING] = PC_FSM_TO(PC_ENDPOINT_ASKED),
};

void pc_endpoints_init(struct pc_endpoints *endpoints, size_t count, bool asks_again)
{
    assert(count <= PC_JOIN_ENDPOINTS_MAX);
    memset(endpoints, 0, sizeof(*endpoints));
    endpoints->count = count;
    endpoints->asks_again = asks_again;
    for (size_t i = 0; i < count; i++) {
        pc_breaker_init(&endpoints->endpoints[i].breaker);
        endpoints->endpoints[i].is_judged = true;
        endpoints->endpoints[i].ask_at_us = INT64_MIN;
        endpoints->endpoints[i].answered_at_us = INT64_MIN;
    }
}

/* When its next attempt may begin. */
static int64_t ready_at(const struct pc_endpoints *endpoints, const struct pc_endpoint *endpoint)
{
    switch ((enum pc_endpoint_phase)endpoint->phase) {
    case PC_ENDPOINT_IDLE:
        if (endpoint->was_asked && !endpoints->asks_again)
            return PC_TIME_NEVER;
        return pc_base_time_max(endpoint->ask_at_us, pc_breaker_ready_at(&endpoint->breaker));
    case PC_ENDPOINT_RETRYING:
        return endpoint->ask_at_us;
    case PC_ENDPOINT_ASKED:
        break;
    }
    return PC_TIME_NEVER;
}

bool pc_endpoints_next(struct pc_endpoints *endpoints, int64_t now_us, size_t *ret_index, uint64_t *ret_fetch,
                       int64_t *ret_deadline_us)
{
    struct pc_endpoint *best = NULL;
    if (endpoints->under_way == PC_JOIN_FETCHES_MAX)
        return false;
    for (size_t i = 0; i < endpoints->count; i++) {
        struct pc_endpoint *endpoint = &endpoints->endpoints[i];
        if (ready_at(endpoints, endpoint) > now_us)
            continue;
        if (!best || endpoint->breaker.failures < best->breaker.failures ||
            (endpoint->breaker.failures == best->breaker.failures && endpoint->fetches < best->fetches))
            best = endpoint;
    }
    if (!best)
        return false;
    if (best->phase == PC_ENDPOINT_IDLE) {
        pc_breaker_asked(&best->breaker, now_us);
        best->attempts = 0;
        best->was_asked = true;
    }
    pc_base_fsm_move(allowed, &best->phase, PC_ENDPOINT_ASKED);
    best->attempts++;
    best->known_failed = 0;
    best->known_verified = 0;
    best->fetch = ++endpoints->last_fetch;
    best->deadline_us = pc_base_time_add(now_us, PC_JOIN_FETCH_TIMEOUT_US);
    endpoints->under_way++;
    *ret_index = (size_t)(best - endpoints->endpoints);
    *ret_fetch = best->fetch;
    *ret_deadline_us = best->deadline_us;
    return true;
}

static bool is_answer(peercache_fetch result)
{
    switch (result) {
    case PEERCACHE_FETCH_OK:
    case PEERCACHE_FETCH_NOT_MODIFIED:
    case PEERCACHE_FETCH_HTTP_ERROR:
    case PEERCACHE_FETCH_RUBBISH:
    case PEERCACHE_FETCH_WRONG_NETWORK:
    case PEERCACHE_FETCH_TLS_FAILED:
    case PEERCACHE_FETCH_REFUSED:
        return true;
    case PEERCACHE_FETCH_TIMEOUT:
    case PEERCACHE_FETCH_DNS_FAILED:
    case PEERCACHE_FETCH_NO_ROUTE:
    case PEERCACHE_FETCH_CANCELLED:
    case PEERCACHE_FETCH_COUNT:
        break;
    }
    return false;
}

/* Whether the same question a moment later may have another answer. */
static bool is_worth_a_retry(peercache_fetch result)
{
    return result == PEERCACHE_FETCH_HTTP_ERROR || result == PEERCACHE_FETCH_REFUSED ||
           result == PEERCACHE_FETCH_TIMEOUT || result == PEERCACHE_FETCH_DNS_FAILED ||
           result == PEERCACHE_FETCH_TLS_FAILED;
}

static enum pc_breaker_verdict verdict_of(peercache_fetch result, uint32_t usable)
{
    switch (result) {
    case PEERCACHE_FETCH_OK:
    case PEERCACHE_FETCH_NOT_MODIFIED: /* useless peers do not become useful by staying the same */
        return usable > 0 ? PC_BREAKER_SUCCESS : PC_BREAKER_FAILURE;
    case PEERCACHE_FETCH_HTTP_ERROR:
    case PEERCACHE_FETCH_RUBBISH:
    case PEERCACHE_FETCH_WRONG_NETWORK:
    case PEERCACHE_FETCH_TLS_FAILED:
    case PEERCACHE_FETCH_REFUSED:
        return PC_BREAKER_FAILURE;
    case PEERCACHE_FETCH_TIMEOUT:
    case PEERCACHE_FETCH_DNS_FAILED: /* most likely our name server: as silence */
        return PC_BREAKER_SILENCE;
    case PEERCACHE_FETCH_NO_ROUTE:
    case PEERCACHE_FETCH_CANCELLED:
    case PEERCACHE_FETCH_COUNT:
        break;
    }
    return PC_BREAKER_NOTHING;
}

static void fetch_ended(struct pc_endpoint *endpoint, enum pc_breaker_verdict verdict, uint32_t usable,
                        bool others_answer, struct pc_rng *rng, int64_t now_us)
{
    pc_base_fsm_move(allowed, &endpoint->phase, PC_ENDPOINT_IDLE);
    endpoint->fetches++;
    endpoint->breaker_before = endpoint->breaker;
    pc_breaker_ended(&endpoint->breaker, verdict, others_answer, rng, now_us);
    endpoint->is_judged = true;
    if (verdict != PC_BREAKER_SUCCESS) {
        endpoint->wait_us = pc_join_backoff_decorrelated(rng, PC_JOIN_FETCH_BACKOFF_US,
                                                         PC_JOIN_FETCH_BACKOFF_CAP_US, endpoint->wait_us);
        endpoint->ask_at_us = pc_base_time_add(now_us, endpoint->wait_us);
        return;
    }
    endpoint->wait_us = 0;
    endpoint->ask_at_us = pc_base_time_add(now_us, pc_join_backoff_lengthened(rng, PC_JOIN_FETCH_AGAIN_US));
    if (usable > 0) {
        endpoint->is_judged = endpoint->known_verified > 0;
        endpoint->delivered += usable;
        endpoint->batch = usable;
        endpoint->batch_failed = endpoint->known_failed;
        endpoint->batch_silent = 0;
    }
}

size_t pc_endpoints_ended(struct pc_endpoints *endpoints, uint64_t fetch, peercache_fetch result,
                          uint32_t usable, bool others_answer, struct pc_rng *rng, int64_t now_us)
{
    size_t index = 0;
    while (index < endpoints->count && (endpoints->endpoints[index].phase != PC_ENDPOINT_ASKED ||
                                        endpoints->endpoints[index].fetch != fetch))
        index++;
    if (index == endpoints->count)
        return index;
    struct pc_endpoint *endpoint = &endpoints->endpoints[index];
    endpoints->under_way--;
    endpoint->last_result = result;
    if (is_answer(result))
        endpoint->answered_at_us = now_us;
    if (is_worth_a_retry(result) && endpoint->attempts <= PC_JOIN_FETCH_RETRIES) {
        pc_base_fsm_move(allowed, &endpoint->phase, PC_ENDPOINT_RETRYING);
        endpoint->wait_us = pc_join_backoff_decorrelated(rng, PC_JOIN_FETCH_RETRY_FIRST_US,
                                                         PC_JOIN_FETCH_RETRY_CAP_US, endpoint->wait_us);
        endpoint->ask_at_us = pc_base_time_add(now_us, endpoint->wait_us);
        return index;
    }
    enum pc_breaker_verdict verdict = verdict_of(result, usable);
    /* All that it names is known to be dead, and that is not for want of a network here. */
    if (verdict == PC_BREAKER_SUCCESS && usable > 0 && endpoint->known_failed >= usable && others_answer)
        verdict = PC_BREAKER_FAILURE;
    fetch_ended(endpoint, verdict, usable, others_answer, rng, now_us);
    return index;
}

void pc_endpoints_known(struct pc_endpoints *endpoints, size_t index, bool is_verified)
{
    assert(index < endpoints->count);
    if (is_verified) {
        endpoints->endpoints[index].known_verified++;
        endpoints->endpoints[index].verified++;
    } else {
        endpoints->endpoints[index].known_failed++;
    }
}

void pc_endpoints_dialled(struct pc_endpoints *endpoints, size_t index, peercache_outcome outcome,
                          bool others_answer, struct pc_rng *rng, int64_t now_us)
{
    assert(index < endpoints->count);
    struct pc_endpoint *endpoint = &endpoints->endpoints[index];
    if (outcome == PEERCACHE_OK) {
        endpoint->verified++;
        endpoint->is_judged = true;
        return;
    }
    if (outcome == PEERCACHE_CANCELLED || endpoint->is_judged)
        return;
    endpoint->batch_failed++;
    if (outcome == PEERCACHE_TIMEOUT || outcome == PEERCACHE_UNREACHABLE)
        endpoint->batch_silent++;
    if (endpoint->batch_failed < endpoint->batch)
        return;
    endpoint->is_judged = true;
    if (endpoint->phase != PC_ENDPOINT_IDLE || endpoint->breaker_before.state == PC_BREAKER_OPEN ||
        (endpoint->batch_silent == endpoint->batch_failed && !others_answer))
        return;
    uint32_t transitions = endpoint->breaker.transitions;
    endpoint->breaker = endpoint->breaker_before;
    endpoint->breaker.transitions = transitions;
    pc_breaker_ended(&endpoint->breaker, PC_BREAKER_FAILURE, others_answer, rng, now_us);
}

bool pc_endpoints_overdue(const struct pc_endpoints *endpoints, int64_t now_us, uint64_t *ret_fetch)
{
    for (size_t i = 0; i < endpoints->count; i++) {
        const struct pc_endpoint *endpoint = &endpoints->endpoints[i];
        if (endpoint->phase == PC_ENDPOINT_ASKED && endpoint->deadline_us <= now_us) {
            *ret_fetch = endpoint->fetch;
            return true;
        }
    }
    return false;
}

bool pc_endpoints_under_way(const struct pc_endpoints *endpoints, uint64_t *ret_fetch)
{
    return pc_endpoints_overdue(endpoints, PC_TIME_NEVER, ret_fetch);
}

int64_t pc_endpoints_expected_until(const struct pc_endpoints *endpoints)
{
    int64_t until_us = INT64_MIN;
    for (size_t i = 0; i < endpoints->count; i++) {
        const struct pc_endpoint *endpoint = &endpoints->endpoints[i];
        if (endpoint->phase == PC_ENDPOINT_ASKED)
            until_us = pc_base_time_max(
                until_us,
                pc_base_time_add(endpoint->deadline_us, PC_JOIN_FETCH_SOON_US - PC_JOIN_FETCH_TIMEOUT_US));
    }
    return until_us;
}

int64_t pc_endpoints_deadline(const struct pc_endpoints *endpoints, bool may_begin)
{
    int64_t at = PC_TIME_NEVER;
    for (size_t i = 0; i < endpoints->count; i++) {
        const struct pc_endpoint *endpoint = &endpoints->endpoints[i];
        if (endpoint->phase == PC_ENDPOINT_ASKED)
            at = pc_base_time_min(at, endpoint->deadline_us);
        else if (may_begin && endpoints->under_way < PC_JOIN_FETCHES_MAX)
            at = pc_base_time_min(at, ready_at(endpoints, endpoint));
    }
    return at;
}

bool pc_endpoints_may_come(const struct pc_endpoints *endpoints, int64_t until_us)
{
    for (size_t i = 0; i < endpoints->count; i++)
        if (endpoints->endpoints[i].phase == PC_ENDPOINT_ASKED ||
            ready_at(endpoints, &endpoints->endpoints[i]) < until_us)
            return true;
    return false;
}

void pc_endpoints_again(struct pc_endpoints *endpoints, int64_t now_us)
{
    for (size_t i = 0; i < endpoints->count; i++) {
        struct pc_endpoint *endpoint = &endpoints->endpoints[i];
        endpoint->was_asked = false;
        if (endpoint->phase == PC_ENDPOINT_IDLE && endpoint->breaker.failures == 0)
            endpoint->ask_at_us = pc_base_time_min(endpoint->ask_at_us, now_us);
    }
}

void pc_endpoints_network_changed(struct pc_endpoints *endpoints, int64_t now_us)
{
    for (size_t i = 0; i < endpoints->count; i++) {
        struct pc_endpoint *endpoint = &endpoints->endpoints[i];
        pc_breaker_network_changed(&endpoint->breaker, now_us);
        if (endpoint->phase != PC_ENDPOINT_ASKED)
            endpoint->ask_at_us = pc_base_time_min(endpoint->ask_at_us, now_us);
        endpoint->was_asked = false;
        endpoint->wait_us = 0;
        endpoint->answered_at_us = INT64_MIN;
    }
}

bool pc_endpoints_others_answer(const struct pc_endpoints *endpoints, size_t index, int64_t now_us)
{
    for (size_t i = 0; i < endpoints->count; i++)
        if (i != index && endpoints->endpoints[i].answered_at_us != INT64_MIN &&
            pc_base_time_sub(now_us, endpoints->endpoints[i].answered_at_us) <= PC_JOIN_ANSWER_FRESH_US)
            return true;
    return false;
}
