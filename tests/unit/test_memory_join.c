/*
 * Failure of every allocation in the joining plan. An offer that says so is made again; what the plan does by itself without
 * memory (trying a candidate again, a question to a name server) may be lost, never the join.
 */
#include "memory_check.h"

#include "base/time.h"
#include "join/endpoint_memory.h"
#include "join/plan.h"

#include <stdio.h>
#include <string.h>

#define CACHED    24
#define STEPS_MAX 4000

static struct pc_joiner_candidate candidate_of(const char *text, uint8_t number, peercache_via via)
{
    struct pc_joiner_candidate candidate = { .via = via };
    if (number > 0)
        candidate.id = (struct pc_peer_id){ .size = 38, .bytes = { 0, 36, 8, 1, 18, 32, number } };
    assert_int_equal(pc_addr_maddr_parse(text, strlen(text), &candidate.addr, NULL), 0);
    (void)pc_addr_classify(pc_addr_maddr_bytes(&candidate.addr), &candidate.ip_port);
    return candidate;
}

static struct pc_joiner_candidate numbered(uint8_t number, peercache_via via)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "/ip4/20.%u.7.7/udp/4001/quic-v1", number);
    return candidate_of(text, number, via);
}

/* An action that waits for its end. */
struct pending {
    struct pc_plan_action action;
    int64_t at_us;
};

struct run {
    struct pc_join_plan *plan;
    int64_t now_us;
    struct pending pending[64];
    size_t count;
    unsigned lost;
};

static void drop(struct run *run, enum pc_plan_action_kind kind, uint64_t number)
{
    for (size_t i = 0; i < run->count; i++)
        if (run->pending[i].action.kind == kind && run->pending[i].action.number == number)
            run->pending[i--] = run->pending[--run->count];
}

static int tell(struct run *run, const struct pc_plan_event *event)
{
    struct pc_plan_action actions[16];
    size_t count;
    int result = pc_plan_step(run->plan, event, run->now_us, actions, 16, &count);
    for (size_t i = 0; i < count; i++) {
        switch (actions[i].kind) {
        case PC_PLAN_DIAL:
        case PC_PLAN_FETCH:
        case PC_PLAN_RESOLVE:
            HOLDS(run->count < 64);
            run->pending[run->count++] = (struct pending){ actions[i], run->now_us + 20000 };
            break;
        case PC_PLAN_CANCEL_DIAL:
            drop(run, PC_PLAN_DIAL, actions[i].number);
            break;
        case PC_PLAN_CANCEL_FETCH:
            drop(run, PC_PLAN_FETCH, actions[i].number);
            break;
        case PC_PLAN_CANCEL_RESOLVE:
            drop(run, PC_PLAN_RESOLVE, actions[i].number);
            break;
        case PC_PLAN_LOST:
            run->lost++;
            break;
        }
    }
    return result;
}

static void offer(struct run *run, const struct pc_joiner_candidate *candidate)
{
    const struct pc_plan_event event = { .kind = PC_PLAN_OFFERED, .candidate = candidate };
    MUST(tell(run, &event));
}

/* Of four dials three fail. */
static void end_dial(struct run *run, const struct pc_plan_action *action)
{
    const struct pc_plan_event event = { .kind = PC_PLAN_DIAL_ENDED,
                                         .number = action->number,
                                         .outcome = action->candidate.ip_port.ip[1] % 4 ? PEERCACHE_REFUSED
                                                                                        : PEERCACHE_OK,
                                         .rtt_us = 20000 };
    (void)tell(run, &event);
}

static void end_fetch(struct run *run, const struct pc_plan_action *action)
{
    struct pc_plan_event event = { .kind = PC_PLAN_FETCHED, .number = action->number };
    if (action->endpoint == 0) {
        event.fetch = PEERCACHE_FETCH_HTTP_ERROR;
    } else {
        for (uint8_t number = 101; number < 109; number++) {
            struct pc_joiner_candidate candidate = numbered(number, PEERCACHE_VIA_ENDPOINT);
            offer(run, &candidate);
            event.fetch_usable++;
        }
    }
    (void)tell(run, &event);
}

static void end_question(struct run *run, const struct pc_plan_action *action)
{
    static const char text[] = "dnsaddr=/ip4/20.204.7.7/udp/4001/quic-v1";
    const struct pc_ip_port ip = { .family = 4, .ip = { 20, 200, 7, 7 } };
    const struct pc_bytes texts[] = { pc_bytes_of((const uint8_t *)text, sizeof(text) - 1) };
    struct pc_plan_event event = { .kind = PC_PLAN_RESOLVED, .number = action->number };
    if (action->question.type == PC_RECORD_AAAA) {
        event.outcome = PEERCACHE_DNS_FAILED;
    } else if (action->question.type == PC_RECORD_A) {
        event.ips = &ip;
        event.ip_count = 1;
    } else {
        event.texts = texts;
        event.text_count = 1;
    }
    (void)tell(run, &event);
}

static bool happen(struct run *run)
{
    size_t first = run->count;
    int64_t at_us = pc_plan_deadline(run->plan);
    for (size_t i = 0; i < run->count; i++)
        if (run->pending[i].at_us < at_us) {
            first = i;
            at_us = run->pending[i].at_us;
        }
    if (at_us == PC_TIME_NEVER)
        return false;
    run->now_us = pc_base_time_max(at_us, run->now_us);
    if (first == run->count) {
        (void)tell(run, &(struct pc_plan_event){ .kind = PC_PLAN_TIME });
        return true;
    }
    struct pc_plan_action action = run->pending[first].action;
    run->pending[first] = run->pending[--run->count];
    if (action.kind == PC_PLAN_DIAL)
        end_dial(run, &action);
    else if (action.kind == PC_PLAN_FETCH)
        end_fetch(run, &action);
    else
        end_question(run, &action);
    return true;
}

static void offer_all(struct run *run)
{
    struct pc_joiner_candidate other = candidate_of("/ip4/20.1.7.7/tcp/4001", 90, PEERCACHE_VIA_FLAG);
    struct pc_joiner_candidate name = candidate_of("/dns/a.example/udp/4001/quic-v1", 0, PEERCACHE_VIA_FLAG);
    struct pc_joiner_candidate names = candidate_of("/dnsaddr/b.example", 0, PEERCACHE_VIA_FLAG);
    offer(run, &other);
    offer(run, &name);
    offer(run, &names);
    for (uint8_t number = 1; number <= CACHED; number++) {
        struct pc_joiner_candidate candidate = numbered(number, PEERCACHE_VIA_CACHE);
        offer(run, &candidate);
    }
}

/* The target is reached, with what two rounds give; then the peers are lost and it begins again. */
static void a_join_survives_it(void **state)
{
    (void)state;
    failing_memory_first();
    do {
        struct run run = { .now_us = 1000 };
        struct pc_joiner_candidate bootstrap = numbered(208, PEERCACHE_VIA_ENDPOINT);
        const struct pc_plan_options options = { .joiner = { .target = 6,
                                                             .min = 1,
                                                             .timeout_us = 60 * PC_US_PER_S,
                                                             .unstalled_max = PC_JOIN_UNSTALLED_MAX,
                                                             .dials_max = 32,
                                                             .dial_timeout_us = PC_US_PER_S,
                                                             .race_us = PC_JOIN_RACE_US,
                                                             .tries_again = true,
                                                             .secret = { 4 } },
                                                 .memory = { .candidates = CACHED },
                                                 .endpoint_count = 2,
                                                 .bootstrap = &bootstrap,
                                                 .bootstrap_count = 1 };
        failing_memory_arm();
        MUST(pc_plan_new(&options, run.now_us, &run.plan));
        for (int round = 0; round < 2; round++) {
            unsigned steps = 0;
            offer_all(&run);
            while (pc_plan_phase(run.plan) != PC_JOIN_JOINED && happen(&run))
                HOLDS(++steps < STEPS_MAX);
            HOLDS(pc_plan_phase(run.plan) == PC_JOIN_JOINED);
            (void)tell(&run, &(struct pc_plan_event){ .kind = PC_PLAN_AGAIN });
        }
        failing_memory_disarm();
        pc_plan_free(run.plan);
    } while (failing_memory_next());
    assert_true(failing_memory_count() > CACHED);
}

static void the_memory_of_an_endpoint_survives_it(void **state)
{
    (void)state;
    static uint8_t bytes[PC_ENDPOINT_MEMORY_MAX_BYTES];
    failing_memory_first();
    do {
        struct pc_endpoint_memory memory, again;
        struct pc_endpoint_peer peers[2];
        size_t size;
        for (uint8_t i = 0; i < 2; i++) {
            struct pc_joiner_candidate candidate = numbered((uint8_t)(i + 1), PEERCACHE_VIA_ENDPOINT);
            peers[i] = (struct pc_endpoint_peer){ .id = candidate.id, .addr = candidate.addr };
        }
        failing_memory_arm();
        MUST(pc_endpoint_memory_init(&memory, "http://a.example/peers"));
        MUST(pc_endpoint_memory_set_peers(&memory, peers, 1));
        MUST(pc_endpoint_memory_set_peers(&memory, peers, 2));
        MUST(pc_endpoint_memory_write(&memory, bytes, sizeof(bytes), &size));
        MUST(pc_endpoint_memory_read(pc_bytes_of(bytes, size), &again));
        failing_memory_disarm();
        HOLDS(again.peer_count == 2 && pc_addr_peer_id_equal(&again.peers[1].id, &peers[1].id));
        pc_endpoint_memory_deinit(&again);
        pc_endpoint_memory_deinit(&memory);
    } while (failing_memory_next());
    assert_int_equal(failing_memory_count(), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_join_survives_it),
        cmocka_unit_test(the_memory_of_an_endpoint_survives_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
