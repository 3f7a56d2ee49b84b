/*
 * The joining plan on virtual time, with a small simulated network: peers that are live, silent or refusing,
 * endpoints that are healthy, slow or down. The bound of the design as a table, and rules that hold whatever
 * happens.
 */
#include "check.h"

#include "join/plan.h"

#include <string.h>

#define ROUND_TRIP_US (100 * PC_US_PER_MS)
#define CACHED        1500
#define FIRST_FRESH   100000U /* ids of peers that endpoints give */
#define FRESH         20
#define FIRST_GIVEN   200000U
#define PENDING_MAX   512
#define RUN_US        (60 * PC_US_PER_S)

enum endpoint_kind { NONE, HEALTHY, SLOW, DOWN };

struct pending {
    int64_t at_us;
    struct pc_plan_action action;
};

struct sim {
    struct pc_join_plan *plan;
    unsigned dead_percent; /* of cached peers */
    bool refusing;         /* the dead ones; else silent */
    enum endpoint_kind endpoint;
    unsigned fresh_dead_percent;
    int64_t now_us;
    size_t pending_count;
    struct pending pending[PENDING_MAX];
    size_t dials, fetches, cancels;
    size_t under_way;
};

static struct pc_joiner_candidate candidate_of(uint32_t peer, peercache_via via)
{
    struct pc_joiner_candidate c;
    memset(&c, 0, sizeof(c));
    c.id = (struct pc_peer_id){ .size = 38, .bytes = { 0, 36, 8, 1, 18, 32 } };
    memcpy(c.id.bytes + 6, &peer, sizeof(peer));
    uint32_t spread = peer * 2654435761U;
    const uint8_t addr[] = { 4,
                             (uint8_t)(11 + spread % 89),
                             (uint8_t)(spread >> 8),
                             (uint8_t)(peer >> 8),
                             (uint8_t)peer,
                             0x91,
                             0x02,
                             0x0f,
                             0xa1,
                             0xcd,
                             0x03 };
    memcpy(c.addr.bytes, addr, sizeof(addr));
    c.addr.size = sizeof(addr);
    c.ip_port.family = 4;
    memcpy(c.ip_port.ip, addr + 1, 4);
    c.ip_port.port = 4001;
    c.via = via;
    return c;
}

static uint32_t peer_of(const struct pc_joiner_candidate *candidate)
{
    uint32_t peer;
    memcpy(&peer, candidate->id.bytes + 6, sizeof(peer));
    return peer;
}

static bool is_dead(const struct sim *sim, uint32_t peer)
{
    if (peer >= FIRST_GIVEN)
        return false;
    if (peer >= FIRST_FRESH)
        return peer * 37 % 100 < sim->fresh_dead_percent;
    return peer * 61 % 100 < sim->dead_percent; /* 61 and 100 have no common factor: exact in each hundred */
}

static void later(struct sim *sim, const struct pc_plan_action *action, int64_t at_us)
{
    assert_true(sim->pending_count < PENDING_MAX);
    sim->pending[sim->pending_count++] = (struct pending){ at_us, *action };
}

static void take_out(struct sim *sim, enum pc_plan_action_kind kind, uint64_t number)
{
    for (size_t i = 0; i < sim->pending_count; i++) {
        if (sim->pending[i].action.kind == kind && sim->pending[i].action.number == number) {
            sim->pending[i] = sim->pending[--sim->pending_count];
            return;
        }
    }
    fail_msg("the plan cancels what is not under way");
}

static void act(struct sim *sim, const struct pc_plan_action *action)
{
    int64_t at_us = sim->now_us + ROUND_TRIP_US;
    switch (action->kind) {
    case PC_PLAN_DIAL:
        sim->dials++;
        sim->under_way++;
        assert_true(sim->under_way <= PC_JOIN_DIALS_MAX);
        assert_true(action->deadline_us > sim->now_us);
        if (is_dead(sim, peer_of(&action->candidate)) && !sim->refusing)
            at_us = action->deadline_us;
        later(sim, action, at_us);
        break;
    case PC_PLAN_FETCH:
        sim->fetches++;
        assert_int_equal(action->deadline_us, sim->now_us + PC_JOIN_FETCH_TIMEOUT_US);
        later(sim, action, sim->now_us + (sim->endpoint == SLOW ? 5 * PC_US_PER_S : 3 * ROUND_TRIP_US));
        break;
    case PC_PLAN_RESOLVE:
        fail_msg("no names here");
        break;
    case PC_PLAN_CANCEL_DIAL:
        sim->under_way--;
        sim->cancels++;
        take_out(sim, PC_PLAN_DIAL, action->number);
        break;
    case PC_PLAN_CANCEL_FETCH:
        sim->cancels++;
        take_out(sim, PC_PLAN_FETCH, action->number);
        break;
    case PC_PLAN_CANCEL_RESOLVE:
    case PC_PLAN_LOST:
        fail_msg("no names here");
        break;
    }
}

/* One event, and all actions that follow, three at a time. */
static int tell(struct sim *sim, const struct pc_plan_event *event)
{
    struct pc_plan_action actions[3];
    const struct pc_plan_event time = { .kind = PC_PLAN_TIME };
    size_t count;
    int result = pc_plan_step(sim->plan, event, sim->now_us, actions, 3, &count);
    for (;;) {
        for (size_t i = 0; i < count; i++)
            act(sim, &actions[i]);
        if (count < 3)
            break;
        assert_int_equal(pc_plan_deadline(sim->plan), sim->now_us);
        assert_int_equal(pc_plan_step(sim->plan, &time, sim->now_us, actions, 3, &count), 0);
    }
    return result;
}

/* The peers that endpoints give. */
static void offer_fresh(struct sim *sim, peercache_via via, uint32_t endpoints)
{
    for (uint32_t i = 0; i < FRESH; i++) {
        struct pc_joiner_candidate c = candidate_of(FIRST_FRESH + i, via);
        const struct pc_plan_event offered = { .kind = PC_PLAN_OFFERED, .candidate = &c };
        c.endpoints = endpoints;
        tell(sim, &offered);
    }
}

static void finish(struct sim *sim, const struct pending *pending)
{
    struct pc_plan_event event = { .number = pending->action.number, .rtt_us = -1 };
    if (pending->action.kind == PC_PLAN_DIAL) {
        bool dead = is_dead(sim, peer_of(&pending->action.candidate));
        sim->under_way--;
        event.kind = PC_PLAN_DIAL_ENDED;
        event.outcome = !dead ? PEERCACHE_OK : sim->refusing ? PEERCACHE_REFUSED : PEERCACHE_TIMEOUT;
        event.rtt_us = dead ? -1 : ROUND_TRIP_US;
        tell(sim, &event);
        return;
    }
    event.kind = PC_PLAN_FETCHED;
    event.fetch = PEERCACHE_FETCH_REFUSED;
    if (sim->endpoint != DOWN) {
        event.fetch = PEERCACHE_FETCH_OK;
        event.fetch_usable = FRESH;
        offer_fresh(sim, PEERCACHE_VIA_ENDPOINT, 1U << pending->action.endpoint);
    }
    tell(sim, &event);
}

static void begin(struct sim *sim, const struct pc_plan_options *options, uint32_t cached)
{
    assert_int_equal(pc_plan_new(options, 0, &sim->plan), 0);
    for (uint32_t peer = 1; peer <= cached; peer++) {
        struct pc_joiner_candidate c = candidate_of(peer, PEERCACHE_VIA_CACHE);
        struct pc_plan_event event = { .kind = PC_PLAN_OFFERED, .candidate = &c };
        tell(sim, &event);
    }
}

/* Run until it is over. The time it took; PC_TIME_NEVER when it did not join. */
static int64_t run(struct sim *sim)
{
    const struct pc_plan_event time = { .kind = PC_PLAN_TIME };
    unsigned idle = 0;
    tell(sim, &time);
    while (pc_plan_phase(sim->plan) == PC_JOIN_RUNNING) {
        size_t first = sim->pending_count;
        int64_t at_us = pc_plan_deadline(sim->plan);
        assert_true(at_us >= sim->now_us); /* never in the past */
        for (size_t i = 0; i < sim->pending_count; i++) {
            if (sim->pending[i].at_us <= at_us) {
                at_us = sim->pending[i].at_us;
                first = i;
            }
        }
        assert_true(at_us != PC_TIME_NEVER); /* always an end or a deadline */
        idle = at_us > sim->now_us ? 0 : idle + 1;
        assert_true(idle < 2000); /* and no busy waiting */
        sim->now_us = at_us;
        if (first == sim->pending_count) {
            tell(sim, &time);
            continue;
        }
        struct pending pending = sim->pending[first];
        sim->pending[first] = sim->pending[--sim->pending_count];
        finish(sim, &pending);
    }
    return pc_plan_phase(sim->plan) == PC_JOIN_JOINED ? sim->now_us : PC_TIME_NEVER;
}

static struct pc_plan_options options_of(size_t endpoints)
{
    return (struct pc_plan_options){
        .joiner = { .target = 5,
                    .min = 1,
                    .timeout_us = RUN_US,
                    .unstalled_max = PC_JOIN_UNSTALLED_MAX,
                    .dials_max = PC_JOIN_DIALS_MAX,
                    .dial_timeout_us = PC_JOIN_DIAL_TIMEOUT_US,
                    .race_us = PC_JOIN_RACE_US,
                    .race_private_us = PC_JOIN_RACE_PRIVATE_US,
                    .secret = { 1, 2, 3 } },
        .endpoint_count = endpoints,
    };
}

/* The whole table: any cache, any endpoints. */
static void the_bound_holds_in_every_cell(void **state)
{
    (void)state;
    static const unsigned dead_percents[] = { 0, 50, 90, 99, 100 };
    static const unsigned fresh_dead[] = { 0, 50 };
    static struct sim sim;
    for (int kind = NONE; kind <= DOWN; kind++) {
        for (size_t fresh = 0; fresh < 2; fresh++) {
            struct pc_plan_options options = options_of(kind != NONE);
            memset(&sim, 0, sizeof(sim));
            sim.endpoint = (enum endpoint_kind)kind;
            sim.fresh_dead_percent = fresh_dead[fresh];
            begin(&sim, &options, 0);
            int64_t without_us = run(&sim);
            pc_plan_free(sim.plan);
            for (size_t dead = 0; dead < 5; dead++) {
                for (int mode = 0; mode < 8; mode++) {
                    options.memory = (struct pc_join_memory){ CACHED, 0, mode & 1 ? 5 : 0 };
                    int64_t stagger_us = pc_join_stagger_us(&options.memory);
                    memset(&sim, 0, sizeof(sim));
                    sim.endpoint = (enum endpoint_kind)kind;
                    sim.fresh_dead_percent = fresh_dead[fresh];
                    sim.dead_percent = dead_percents[dead];
                    sim.refusing = mode & 2;
                    begin(&sim, &options, CACHED);
                    if (mode & 4) /* those that the endpoint names are cached too, behind all others */
                        offer_fresh(&sim, PEERCACHE_VIA_CACHE, 0);
                    int64_t with_us = run(&sim);
                    if (without_us != PC_TIME_NEVER)
                        assert_true(with_us <= without_us + stagger_us + ROUND_TRIP_US);
                    if (without_us != PC_TIME_NEVER && stagger_us == 0)
                        assert_true(with_us <= without_us + without_us / 20);
                    if (dead_percents[dead] < 100)
                        assert_true(with_us < 25 * PC_US_PER_S); /* 128 at a time, 5 s each */
                    if (dead_percents[dead] == 0)
                        assert_int_equal(with_us, ROUND_TRIP_US); /* nothing slows a good memory */
                    pc_plan_free(sim.plan);
                }
            }
        }
    }
}

/* Far more silent cached peers than may be dialled at once: a fresh one that comes late is dialled at once. */
static void silent_peers_starve_nobody(void **state)
{
    (void)state;
    static struct sim sim;
    static const peercache_via vias[] = { PEERCACHE_VIA_FLAG, PEERCACHE_VIA_ENDPOINT, PEERCACHE_VIA_DHT };
    for (size_t which = 0; which < 3; which++) {
        for (int64_t at_us = 100000; at_us < 6 * PC_US_PER_S; at_us += 777777) {
            struct pc_plan_options options = options_of(0);
            const struct pc_plan_event time = { .kind = PC_PLAN_TIME };
            memset(&sim, 0, sizeof(sim));
            sim.dead_percent = 100;
            begin(&sim, &options, CACHED);
            while (pc_plan_deadline(sim.plan) <= at_us) {
                sim.now_us = pc_plan_deadline(sim.plan);
                tell(&sim, &time);
                for (size_t i = 0; i < sim.pending_count; i++) {
                    if (sim.pending[i].at_us > sim.now_us)
                        continue;
                    struct pending pending = sim.pending[i];
                    sim.pending[i] = sim.pending[--sim.pending_count];
                    finish(&sim, &pending);
                    i = SIZE_MAX;
                }
            }
            sim.now_us = at_us;
            for (uint32_t i = 0; i < 5; i++) {
                struct pc_joiner_candidate c = candidate_of(FIRST_GIVEN + i, vias[which]);
                const struct pc_plan_event offered = { .kind = PC_PLAN_OFFERED, .candidate = &c };
                assert_int_equal(tell(&sim, &offered), 0);
            }
            int64_t joined_us = run(&sim);
            /* At most a stall for a given peer, which has a share only; one round trip for fresh ones. */
            int64_t wait_us = vias[which] == PEERCACHE_VIA_FLAG ? PC_JOIN_STALL_FIRST_US : ROUND_TRIP_US;
            assert_true(joined_us <= at_us + wait_us + ROUND_TRIP_US);
            pc_plan_free(sim.plan);
        }
    }
}

/* The node lives on: after a failed round another one, the waits growing and never in the past. */
static void it_tries_again_for_ever(void **state)
{
    (void)state;
    static struct sim sim;
    struct pc_plan_options options = options_of(1);
    const struct pc_plan_event time = { .kind = PC_PLAN_TIME };
    struct pc_join_metrics metrics;
    memset(&sim, 0, sizeof(sim));
    sim.endpoint = DOWN;
    sim.dead_percent = 100;
    options.joiner.tries_again = true;
    begin(&sim, &options, 20);
    for (unsigned round = 0; round < 20; round++) {
        assert_true(run(&sim) == PC_TIME_NEVER);
        assert_int_equal(pc_plan_phase(sim.plan), PC_JOIN_TIMED_OUT);
        assert_int_equal(sim.under_way, 0);
        int64_t at_us = pc_plan_deadline(sim.plan);
        assert_true(at_us > sim.now_us && at_us <= sim.now_us + PC_JOIN_ROUND_CAP_US);
        sim.now_us = at_us;
        tell(&sim, &time);
        assert_int_equal(pc_plan_phase(sim.plan), PC_JOIN_RUNNING);
    }
    pc_plan_metrics(sim.plan, &metrics);
    assert_int_equal(metrics.rounds, 21);
    assert_int_equal(metrics.cache_hits, 0);
    assert_true(metrics.breaker_transitions > 0);
    assert_true(metrics.dials[PEERCACHE_VIA_CACHE] > 60);
    assert_true(sim.fetches > 15 && sim.fetches < 60); /* the breaker holds it back */
    sim.endpoint = HEALTHY;                            /* it is repaired: the next probe finds out */
    for (unsigned round = 0; round < 300 && pc_plan_phase(sim.plan) != PC_JOIN_JOINED; round++) {
        if (run(&sim) != PC_TIME_NEVER)
            break;
        sim.now_us = pc_plan_deadline(sim.plan);
        tell(&sim, &time);
    }
    assert_int_equal(pc_plan_phase(sim.plan), PC_JOIN_JOINED);
    assert_int_equal(pc_plan_endpoint(sim.plan, 0)->breaker.state, PC_BREAKER_CLOSED);
    pc_plan_free(sim.plan);
}

/* Between two rounds peers dial us: each counts once, and with enough of them there is no other round. */
static void who_comes_between_rounds_counts(void **state)
{
    (void)state;
    static struct sim sim;
    struct pc_plan_options options = options_of(1);
    struct pc_join_metrics metrics;
    memset(&sim, 0, sizeof(sim));
    sim.endpoint = DOWN;
    sim.dead_percent = 100;
    options.joiner.tries_again = true;
    options.joiner.min = 2;
    begin(&sim, &options, 20);
    assert_true(run(&sim) == PC_TIME_NEVER);
    assert_int_equal(pc_plan_phase(sim.plan), PC_JOIN_TIMED_OUT);
    size_t fetches = sim.fetches;
    for (uint32_t i = 0; i < 12; i++) {
        const struct pc_joiner_candidate stranger = candidate_of(FIRST_GIVEN + i / 2, PEERCACHE_VIA_FLAG);
        const struct pc_plan_event verified = { .kind = PC_PLAN_VERIFIED, .id = &stranger.id };
        tell(&sim, &verified);
        assert_int_equal(pc_plan_verified_count(sim.plan),
                         i / 2 + 1 < 5 ? i / 2 + 1 : 5); /* up to the target */
        assert_true((pc_plan_deadline(sim.plan) == PC_TIME_NEVER) == (i / 2 + 1 >= 2));
    }
    pc_plan_metrics(sim.plan, &metrics);
    assert_int_equal(metrics.rounds, 1);
    assert_int_equal(sim.fetches, fetches);
    pc_plan_free(sim.plan);
}

static void an_endpoint_is_spared_when_the_cache_serves(void **state)
{
    (void)state;
    static struct sim sim;
    struct pc_plan_options options = options_of(3);
    options.memory = (struct pc_join_memory){ CACHED, 3600 * 1000, 5 };
    memset(&sim, 0, sizeof(sim));
    sim.endpoint = HEALTHY;
    begin(&sim, &options, CACHED);
    assert_int_equal(run(&sim), ROUND_TRIP_US);
    assert_int_equal(sim.fetches, 0);
    pc_plan_free(sim.plan);
    /* An empty cache waits for nothing, though it was good last time. */
    memset(&sim, 0, sizeof(sim));
    sim.endpoint = HEALTHY;
    begin(&sim, &options, 0);
    assert_int_equal(run(&sim), 4 * ROUND_TRIP_US);
    pc_plan_free(sim.plan);
}

static void exclusive_uses_given_peers_only(void **state)
{
    (void)state;
    static struct sim sim;
    struct pc_plan_options options = options_of(3);
    options.exclusive = true;
    memset(&sim, 0, sizeof(sim));
    begin(&sim, &options, 30);
    struct pc_joiner_candidate given = candidate_of(FIRST_GIVEN, PEERCACHE_VIA_ENV);
    struct pc_joiner_candidate met = candidate_of(FIRST_FRESH, PEERCACHE_VIA_DHT);
    struct pc_plan_event event = { .kind = PC_PLAN_OFFERED, .candidate = &given };
    assert_int_equal(tell(&sim, &event), 0);
    event.candidate = &met;
    assert_int_equal(tell(&sim, &event), 0);
    assert_true(run(&sim) == PC_TIME_NEVER);
    assert_int_equal(pc_plan_phase(sim.plan), PC_JOIN_EXHAUSTED);
    assert_int_equal(sim.dials, 1);
    assert_int_equal(sim.fetches, 0);
    assert_int_equal(pc_plan_verified_count(sim.plan), 1);
    pc_plan_free(sim.plan);
}

static void denied_networks_are_not_dialled(void **state)
{
    (void)state;
    static struct sim sim;
    static struct pc_join_filter filter;
    struct pc_plan_options options = options_of(0);
    struct pc_join_facts facts;
    assert_int_equal(pc_join_filter_add(&filter, "0.0.0.0/0", false, NULL), 0);
    options.filter = &filter;
    memset(&sim, 0, sizeof(sim));
    begin(&sim, &options, 0);
    struct pc_joiner_candidate c = candidate_of(1, PEERCACHE_VIA_FLAG);
    struct pc_plan_event event = { .kind = PC_PLAN_OFFERED, .candidate = &c };
    assert_int_equal(tell(&sim, &event), PEERCACHE_EPERM);
    assert_true(run(&sim) == PC_TIME_NEVER);
    pc_plan_facts(sim.plan, &facts);
    assert_int_equal(pc_join_diagnose(&facts), PC_CAUSE_DENIED);
    pc_plan_free(sim.plan);
}

/* Nobody ever tells how anything ended: everything is given up by itself. */
static void a_mute_caller_hangs_nothing(void **state)
{
    (void)state;
    struct pc_plan_options options = options_of(4);
    const struct pc_plan_event time = { .kind = PC_PLAN_TIME };
    struct pc_join_plan *plan;
    struct pc_plan_action action;
    size_t count, steps = 0;
    int64_t now_us = 0;
    assert_int_equal(pc_plan_new(&options, 0, &plan), 0);
    struct pc_joiner_candidate name = { .via = PEERCACHE_VIA_FLAG };
    static const char text[] = "/dns/a.example/udp/4001/quic-v1";
    assert_int_equal(pc_addr_maddr_parse(text, strlen(text), &name.addr, NULL), 0);
    for (uint32_t i = 0; i < 20; i++) {
        struct pc_joiner_candidate c = candidate_of(i + 1, PEERCACHE_VIA_CACHE);
        const struct pc_plan_event offered = { .kind = PC_PLAN_OFFERED, .candidate = i ? &c : &name };
        pc_plan_step(plan, &offered, now_us, NULL, 0, &count);
    }
    int64_t begun[3] = { 0 };
    while (pc_plan_phase(plan) == PC_JOIN_RUNNING) {
        assert_true(++steps < 5000);
        pc_plan_step(plan, &time, now_us, &action, 1, &count);
        if (count && action.kind <= PC_PLAN_RESOLVE)
            begun[action.kind]++;
        else if (count && action.kind != PC_PLAN_LOST)
            begun[action.kind - PC_PLAN_CANCEL_DIAL]--;
        assert_true(begun[PC_PLAN_FETCH] <= PC_JOIN_FETCHES_MAX);
        assert_true(begun[PC_PLAN_RESOLVE] <= PC_NAMES_AT_ONCE_MAX);
        assert_true(pc_plan_deadline(plan) >= now_us);
        if (pc_plan_deadline(plan) != PC_TIME_NEVER)
            now_us = pc_plan_deadline(plan);
    }
    assert_true(now_us <= RUN_US);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(begun[i], 0);
    struct pc_join_facts facts;
    pc_plan_facts(plan, &facts);
    assert_int_equal(pc_join_diagnose(&facts), PC_CAUSE_DNS_FAILED);
    pc_plan_free(plan);
}

/* A name leads to both families of one peer: raced, and the loser is cancelled. */
static void names_are_resolved_and_families_raced(void **state)
{
    (void)state;
    struct pc_plan_options options = options_of(0);
    const struct pc_plan_event time = { .kind = PC_PLAN_TIME };
    struct pc_join_plan *plan;
    struct pc_plan_action actions[8];
    size_t count;
    assert_int_equal(pc_plan_new(&options, 0, &plan), 0);
    struct pc_joiner_candidate name = candidate_of(7, PEERCACHE_VIA_FLAG);
    static const char text[] = "/dns/a.example/udp/4001/quic-v1";
    assert_int_equal(pc_addr_maddr_parse(text, strlen(text), &name.addr, NULL), 0);
    name.ip_port.family = 0;
    struct pc_plan_event event = { .kind = PC_PLAN_OFFERED, .candidate = &name };
    assert_int_equal(pc_plan_step(plan, &event, 0, actions, 8, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(actions[0].kind, PC_PLAN_RESOLVE);
    assert_string_equal(actions[0].question.name, "a.example");
    assert_int_equal(actions[0].question.type, PC_RECORD_AAAA);
    assert_int_equal(actions[1].question.type, PC_RECORD_A);
    assert_int_equal(pc_plan_phase(plan), PC_JOIN_RUNNING);
    const struct pc_ip_port ips[] = { { .family = 6, .ip = { 0x2a, 1 } },
                                      { .family = 4, .ip = { 8, 8, 8, 8 } } };
    event = (struct pc_plan_event){
        .kind = PC_PLAN_RESOLVED, .number = actions[0].number, .ips = ips, .ip_count = 2
    };
    uint64_t second = actions[1].number;
    pc_plan_step(plan, &event, 1000, actions, 8, &count); /* the A in an answer to AAAA is not looked at */
    assert_int_equal(count, 1);
    assert_int_equal(actions[0].kind, PC_PLAN_DIAL);
    assert_int_equal(actions[0].candidate.ip_port.family, 6);
    assert_int_equal(actions[0].candidate.ip_port.port, 4001);
    assert_int_equal(peer_of(&actions[0].candidate), 7);
    uint64_t six = actions[0].number;
    event.number = second;
    pc_plan_step(plan, &event, 2000, actions, 8, &count);
    assert_int_equal(count, 0);
    assert_int_equal(pc_plan_deadline(plan), 1000 + PC_JOIN_RACE_US);
    pc_plan_step(plan, &time, 1000 + PC_JOIN_RACE_US - 1, actions, 8, &count);
    assert_int_equal(count, 0);
    pc_plan_step(plan, &time, 1000 + PC_JOIN_RACE_US, actions, 8, &count);
    assert_int_equal(count, 1);
    assert_int_equal(actions[0].candidate.ip_port.family, 4);
    event = (struct pc_plan_event){ .kind = PC_PLAN_DIAL_ENDED, .number = actions[0].number, .rtt_us = 5000 };
    pc_plan_step(plan, &event, 300000, actions, 8, &count);
    assert_int_equal(count, 1);
    assert_int_equal(actions[0].kind, PC_PLAN_CANCEL_DIAL);
    assert_int_equal(actions[0].number, six);
    assert_int_equal(pc_plan_verified_count(plan), 1);
    pc_plan_free(plan);
}

/* Bootstrap peers wait as endpoints do, are offered once a round, and not to who is exclusive. */
static void bootstrap_peers_wait_for_the_cache(void **state)
{
    (void)state;
    static struct sim sim;
    const struct pc_plan_event time = { .kind = PC_PLAN_TIME };
    struct pc_joiner_candidate bootstrap[5];
    struct pc_join_metrics metrics;
    for (uint32_t i = 0; i < 5; i++)
        bootstrap[i] = candidate_of(FIRST_GIVEN + i, PEERCACHE_VIA_ENDPOINT);
    for (int kind = 0; kind < 3; kind++) {
        struct pc_plan_options options = options_of(0);
        options.bootstrap = bootstrap;
        options.bootstrap_count = 5;
        options.memory = (struct pc_join_memory){ CACHED, 0, kind == 0 ? 0 : 2 };
        options.exclusive = kind == 2;
        memset(&sim, 0, sizeof(sim));
        sim.dead_percent = 100;
        begin(&sim, &options, CACHED);
        int64_t joined_us = run(&sim);
        pc_plan_metrics(sim.plan, &metrics);
        assert_int_equal(metrics.offered[PEERCACHE_VIA_ENDPOINT], kind == 2 ? 0 : 5);
        if (kind == 2)
            assert_int_equal(joined_us, PC_TIME_NEVER);
        else /* the stagger, one round trip for a slot, one for the dial */
            assert_in_range(joined_us, kind * 200000 + ROUND_TRIP_US, kind * 200000 + 2 * ROUND_TRIP_US);
        pc_plan_free(sim.plan);
    }
    /* A memory that serves spares them. */
    struct pc_plan_options options = options_of(0);
    options.bootstrap = bootstrap;
    options.bootstrap_count = 5;
    options.memory = (struct pc_join_memory){ CACHED, 0, 5 };
    memset(&sim, 0, sizeof(sim));
    begin(&sim, &options, CACHED);
    assert_int_equal(run(&sim), ROUND_TRIP_US);
    pc_plan_metrics(sim.plan, &metrics);
    assert_int_equal(metrics.offered[PEERCACHE_VIA_ENDPOINT], 0);
    tell(&sim, &time);
    pc_plan_free(sim.plan);
}

/* An endpoint that names only whom the cache knew, and who was dialled in vain, has failed. */
static void an_endpoint_of_dead_peers_fails(void **state)
{
    (void)state;
    static struct sim sim;
    for (int lives = 0; lives < 2; lives++) {
        struct pc_plan_options options = options_of(1);
        options.memory = (struct pc_join_memory){ FRESH, 0, 3 };
        options.joiner.target = 30; /* not reached */
        memset(&sim, 0, sizeof(sim));
        sim.endpoint = HEALTHY;
        sim.refusing = true;
        sim.fresh_dead_percent = lives ? 50 : 100;
        begin(&sim, &options, 0);
        offer_fresh(&sim, PEERCACHE_VIA_CACHE, 0);
        (void)run(&sim);
        const struct pc_endpoint *endpoint = pc_plan_endpoint(sim.plan, 0);
        assert_int_equal(sim.fetches, 1);
        assert_int_equal(sim.dials, FRESH); /* nobody twice */
        assert_int_equal(endpoint->breaker.failures, lives ? 0 : 1);
        assert_int_equal(endpoint->verified > 0, lives);
        pc_plan_free(sim.plan);
    }
}

/* While peers are asked for others, the stagger stands and the join is not over. */
static void who_asks_is_not_exhausted(void **state)
{
    (void)state;
    static struct sim sim;
    struct pc_plan_options options = options_of(1);
    const struct pc_plan_event time = { .kind = PC_PLAN_TIME };
    struct pc_plan_event asking = { .kind = PC_PLAN_ASKING, .asking = true };
    options.memory = (struct pc_join_memory){ 2, 0, 5 };
    memset(&sim, 0, sizeof(sim));
    sim.endpoint = HEALTHY;
    begin(&sim, &options, 2);
    tell(&sim, &asking);
    while (sim.pending_count > 0) {
        struct pending pending = sim.pending[--sim.pending_count];
        sim.now_us = ROUND_TRIP_US;
        finish(&sim, &pending);
    }
    assert_int_equal(pc_plan_verified_count(sim.plan), 2);
    assert_int_equal(pc_plan_phase(sim.plan), PC_JOIN_RUNNING);
    assert_false(pc_plan_rests(sim.plan));
    assert_int_equal(sim.fetches, 0);
    assert_int_equal(pc_plan_deadline(sim.plan), PC_JOIN_STAGGER_MAX_US);
    asking.asking = false; /* nobody named others: endpoints need not wait any longer */
    tell(&sim, &asking);
    tell(&sim, &time);
    assert_int_equal(sim.fetches, 1);
    pc_plan_free(sim.plan);
}

/* Who lives on is told of peers by every answer: once it has joined they are counted, and change nothing. */
static void offers_in_vain_are_counted(void **state)
{
    (void)state;
    static struct sim sim;
    struct pc_plan_options options = options_of(0);
    struct pc_join_metrics before, after;
    memset(&sim, 0, sizeof(sim));
    begin(&sim, &options, 10);
    assert_false(
        pc_plan_counts_in_vain(sim.plan, PEERCACHE_VIA_DHT, sim.now_us)); /* this one is to be offered */
    (void)run(&sim);
    assert_int_equal(pc_plan_phase(sim.plan), PC_JOIN_JOINED);
    pc_plan_metrics(sim.plan, &before);
    int64_t deadline_us = pc_plan_deadline(sim.plan);
    assert_true(pc_plan_counts_in_vain(sim.plan, PEERCACHE_VIA_DHT, sim.now_us));
    pc_plan_metrics(sim.plan, &after);
    assert_int_equal(after.offered[PEERCACHE_VIA_DHT], before.offered[PEERCACHE_VIA_DHT] + 1);
    assert_int_equal(pc_plan_deadline(sim.plan), deadline_us);
    pc_plan_free(sim.plan);
}

/* A name that gives nobody is a failure of its source, told once. */
static void a_name_without_addresses_is_lost(void **state)
{
    (void)state;
    struct pc_plan_options options = options_of(0);
    struct pc_plan_action actions[8];
    struct pc_join_plan *plan;
    struct pc_join_metrics metrics;
    size_t count;
    static const char text[] = "/dns4/a.example/udp/4001/quic-v1";
    for (int fails = 0; fails < 2; fails++) {
        struct pc_joiner_candidate name = candidate_of(7, PEERCACHE_VIA_FLAG);
        assert_int_equal(pc_addr_maddr_parse(text, strlen(text), &name.addr, NULL), 0);
        name.ip_port.family = 0;
        assert_int_equal(pc_plan_new(&options, 0, &plan), 0);
        struct pc_plan_event event = { .kind = PC_PLAN_OFFERED, .candidate = &name };
        assert_int_equal(pc_plan_step(plan, &event, 0, actions, 8, &count), 0);
        assert_int_equal(count, 1);
        event = (struct pc_plan_event){ .kind = PC_PLAN_RESOLVED,
                                        .number = actions[0].number,
                                        .outcome = fails ? PEERCACHE_DNS_FAILED : PEERCACHE_OK };
        assert_int_equal(pc_plan_step(plan, &event, 1, NULL, 0, &count), 0);
        assert_int_equal(pc_plan_phase(plan), PC_JOIN_RUNNING); /* it is yet to be told */
        const struct pc_plan_event time = { .kind = PC_PLAN_TIME };
        assert_int_equal(pc_plan_step(plan, &time, 1, actions, 8, &count), 0);
        assert_int_equal(count, 1);
        assert_int_equal(actions[0].kind, PC_PLAN_LOST);
        assert_int_equal(actions[0].outcome, fails ? PEERCACHE_DNS_FAILED : PEERCACHE_UNSUPPORTED);
        assert_int_equal(peer_of(&actions[0].candidate), 7);
        assert_int_equal(pc_plan_phase(plan), PC_JOIN_EXHAUSTED);
        assert_int_equal(pc_plan_step(plan, &time, 1, actions, 8, &count), 0);
        assert_int_equal(count, 0);
        pc_plan_metrics(plan, &metrics);
        assert_int_equal(
            metrics.ended[PEERCACHE_VIA_FLAG][fails ? PEERCACHE_DNS_FAILED : PEERCACHE_UNSUPPORTED], 1);
        pc_plan_free(plan);
    }
}

/* What is under way, by kind, as a random caller sees it. */
struct held {
    size_t count[3];
    struct pc_plan_action actions[3][PC_JOIN_DIALS_MAX];
};

static void hold(struct held *held, const struct pc_plan_action *action, int64_t now_us)
{
    static const size_t caps[] = { PC_JOIN_DIALS_MAX, PC_JOIN_FETCHES_MAX, PC_NAMES_AT_ONCE_MAX };
    if (action->kind <= PC_PLAN_RESOLVE) {
        assert_true(held->count[action->kind] < caps[action->kind]);
        assert_true(action->deadline_us > now_us);
        held->actions[action->kind][held->count[action->kind]++] = *action;
        return;
    }
    if (action->kind == PC_PLAN_LOST) /* nothing is under way for it */
        return;
    size_t kind = action->kind - PC_PLAN_CANCEL_DIAL, i = 0;
    while (i < held->count[kind] && held->actions[kind][i].number != action->number)
        i++;
    assert_true(i < held->count[kind]); /* only what is under way is cancelled */
    held->actions[kind][i] = held->actions[kind][--held->count[kind]];
}

/* One random event of a caller who tells the truth about what is under way, most of the time. */
static struct pc_plan_event random_event(struct pc_rng *rng, struct held *held, struct pc_joiner_candidate *c)
{
    static const struct pc_ip_port ips[] = { { .family = 4, .ip = { 9, 9, 9, 9 } },
                                             { .family = 6, .ip = { 0x2a } } };
    static const char text[] = "/dns/a.example/udp/4001/quic-v1";
    struct pc_plan_event event = { .kind = PC_PLAN_TIME, .rtt_us = -1, .ips = ips, .ip_count = 2 };
    uint64_t dice = pc_base_rng_below(rng, 100);
    if (dice < 40) {
        *c = candidate_of(1 + (uint32_t)pc_base_rng_below(rng, 3000),
                          (peercache_via)pc_base_rng_below(rng, 5));
        c->endpoints = (uint32_t)pc_base_rng_below(rng, 16);
        if (dice == 0) {
            assert_int_equal(pc_addr_maddr_parse(text, strlen(text), &c->addr, NULL), 0);
            c->ip_port.family = 0;
        }
        event.kind = PC_PLAN_OFFERED;
        event.candidate = c;
    } else if (dice < 90) {
        static const enum pc_plan_event_kind ends[] = { PC_PLAN_DIAL_ENDED, PC_PLAN_FETCHED,
                                                        PC_PLAN_RESOLVED };
        size_t kind = dice < 80 ? 0 : dice < 85 ? 1 : 2;
        event.kind = ends[kind];
        event.number = pc_base_rng_below(rng, 1000); /* most likely nothing of ours */
        if (held->count[kind] > 0) {
            size_t which = pc_base_rng_below(rng, held->count[kind]);
            event.number = held->actions[kind][which].number;
            held->actions[kind][which] = held->actions[kind][--held->count[kind]];
        } else {
            event.number += 1000000;
        }
        event.outcome = (peercache_outcome)(pc_base_rng_below(rng, 30) ? 1 + pc_base_rng_below(rng, 11) : 0);
        event.fetch = (peercache_fetch)pc_base_rng_below(rng, PEERCACHE_FETCH_COUNT);
        event.fetch_usable = (uint32_t)pc_base_rng_below(rng, 3);
    } else if (dice == 91) {
        event.kind = PC_PLAN_ASKING;
        event.asking = pc_base_rng_below(rng, 2);
    } else if (dice == 90) {
        event.kind = PC_PLAN_NETWORK_CHANGED;
        event.has_ip4 = pc_base_rng_below(rng, 4);
        event.has_ip6 = pc_base_rng_below(rng, 4);
    }
    return event;
}

static void rules_hold_under_random_events(void **state)
{
    (void)state;
    struct pc_rng rng;
    static struct held held;
    pc_base_rng_init_u64(&rng, 4);
    for (unsigned run = 0; run < 60; run++) {
        struct pc_plan_options options = options_of(4);
        struct pc_join_plan *plan;
        int64_t now_us = 0;
        options.joiner.target = 50;
        options.joiner.tries_again = run % 2;
        options.memory = (struct pc_join_memory){ 100, 0, run % 7 };
        memset(&held, 0, sizeof(held));
        assert_int_equal(pc_plan_new(&options, 0, &plan), 0);
        for (unsigned steps = 0; steps < 3000; steps++) {
            struct pc_plan_action actions[4];
            struct pc_joiner_candidate c;
            size_t count;
            struct pc_plan_event event = random_event(&rng, &held, &c);
            enum pc_join_phase before = pc_plan_phase(plan);
            int result = pc_plan_step(plan, &event, now_us - (int64_t)pc_base_rng_below(&rng, 2), actions,
                                      pc_base_rng_below(&rng, 5), &count);
            assert_true(result == 0 || (event.kind == PC_PLAN_OFFERED && result == PEERCACHE_ELIMIT));
            for (size_t i = 0; i < count; i++) {
                assert_true(before != PC_JOIN_JOINED || actions[i].kind >= PC_PLAN_CANCEL_DIAL);
                hold(&held, &actions[i], now_us);
            }
            int64_t deadline_us = pc_plan_deadline(plan);
            assert_true(deadline_us >= now_us - 1); /* of the latest time that it knows */
            assert_true(deadline_us != PC_TIME_NEVER || pc_plan_phase(plan) != PC_JOIN_RUNNING);
            now_us += (int64_t)pc_base_rng_below(&rng, run % 3 ? 2000 : 200000);
        }
        pc_plan_free(plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bound_holds_in_every_cell),
        cmocka_unit_test(silent_peers_starve_nobody),
        cmocka_unit_test(it_tries_again_for_ever),
        cmocka_unit_test(who_comes_between_rounds_counts),
        cmocka_unit_test(an_endpoint_is_spared_when_the_cache_serves),
        cmocka_unit_test(exclusive_uses_given_peers_only),
        cmocka_unit_test(denied_networks_are_not_dialled),
        cmocka_unit_test(a_mute_caller_hangs_nothing),
        cmocka_unit_test(names_are_resolved_and_families_raced),
        cmocka_unit_test(bootstrap_peers_wait_for_the_cache),
        cmocka_unit_test(an_endpoint_of_dead_peers_fails),
        cmocka_unit_test(who_asks_is_not_exhausted),
        cmocka_unit_test(offers_in_vain_are_counted),
        cmocka_unit_test(a_name_without_addresses_is_lost),
        cmocka_unit_test(rules_hold_under_random_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
