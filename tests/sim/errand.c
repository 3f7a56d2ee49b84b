/*
 * What takes its time outside of the network of peers: endpoints, names, and the disk. One is under way or not; its end is
 * decided when it comes, and told to the process if that still lives and is awake.
 */
#include "world.h"

#include <stdlib.h>

#define LOOK_AGAIN_US MINUTES(1) /* so old an endpoint's list of peers gets */
#define SEEDS         3          /* machines that every endpoint names, whether they live or not */
#define NAMED_MAX     50

static const char *const habit_words[ENDPOINT_HABITS] = { "ok",      "slow",    "http error", "refused",
                                                          "timeout", "rubbish", "lies" };

static struct errand *begin(struct machine *machine, enum errand_kind kind, int64_t at_us)
{
    struct errand *errand = world_alloc(sizeof(*errand));
    errand->life.kind = HAPPENS_ERRAND;
    pc_base_heap_node_init(&errand->life.due);
    errand->kind = kind;
    errand->machine = machine;
    errand->next = machine->errands;
    if (machine->errands)
        machine->errands->before = errand;
    machine->errands = errand;
    world_schedule(machine->world, &errand->life, at_us);
    return errand;
}

static void end(struct errand *errand)
{
    if (errand->before)
        errand->before->next = errand->next;
    else
        errand->machine->errands = errand->next;
    if (errand->next)
        errand->next->before = errand->before;
    world_forget(errand->machine->world, &errand->life);
    free(errand->deltas);
    free(errand);
}

/* ----- endpoints ----- */

void errand_fetch(struct machine *machine, const struct pc_node_action *action)
{
    static const int64_t after_ms[ENDPOINT_HABITS] = { 250, 4000, 300, 60, 0, 350, 250 };
    struct world *world = machine->world;
    int64_t deadline_us = machine_world_time(machine, action->deadline_us);
    enum endpoint_habit habit = world->endpoints[action->endpoint].habit;
    int64_t at_us = world->now_us + after_ms[habit] * PC_US_PER_MS + (int64_t)world_below(world, 150000);
    if (habit == ENDPOINT_HANGS)
        at_us = deadline_us;
    struct errand *errand = begin(machine, ERRAND_FETCH, pc_base_time_min(at_us, deadline_us));
    errand->number = action->number;
    errand->endpoint = action->endpoint;
    errand->deadline_us = deadline_us;
    world->figures.fetches += machine->counts;
}

static void name(struct endpoint *endpoint, const struct pc_peer_id *id, const struct pc_maddr *addr)
{
    endpoint->peers[endpoint->peer_count++] = (struct pc_endpoint_peer){ .id = *id, .addr = *addr };
}

static const struct machine *draw(struct world *world, enum persona persona)
{
    for (size_t tries = 0; tries < 60; tries++) {
        const struct machine *machine = world->machines[world_below(world, world->machine_count)];
        if ((persona == HONEST ? machine->persona == HONEST || machine->persona == MODEL
                               : machine->persona == persona) &&
            machine_answers(machine))
            return machine;
    }
    return NULL;
}

/* An endpoint crawls now and then: some of those who answer then, the attacker's by their share. */
static void look(struct world *world, struct endpoint *endpoint)
{
    if (endpoint->looked_us >= 0 && world->now_us - endpoint->looked_us < LOOK_AGAIN_US)
        return;
    endpoint->looked_us = world->now_us;
    endpoint->peer_count = 0;
    for (size_t i = 0; i < SEEDS && i < world->machine_count; i++)
        name(endpoint, &world->machines[i]->id, &world->machines[i]->addrs[0]);
    while (endpoint->peer_count < NAMED_MAX) {
        bool hostile = world_below(world, 100) < world->attacker_percent;
        const struct machine *machine = draw(world, hostile ? ATTACKER : HONEST);
        if (!machine)
            return;
        name(endpoint, &machine->id, &machine->addrs[0]);
    }
}

static void lie(struct world *world, struct endpoint *endpoint)
{
    struct pc_ip_port at;
    struct pc_peer_id id;
    struct pc_maddr addr;
    endpoint->looked_us = -1;
    endpoint->peer_count = 0;
    while (endpoint->peer_count < NAMED_MAX) {
        place_dead(world, &id, &at);
        pc_addr_from_ip_port(&at, &addr);
        name(endpoint, &id, &addr);
    }
}

static void fetched(struct errand *errand)
{
    static struct pc_endpoint_peer peers[64]; /* a copy: the step may fetch again */
    struct machine *machine = errand->machine;
    struct world *world = machine->world;
    struct endpoint *endpoint = &world->endpoints[errand->endpoint];
    struct pc_node_fetched told = { .number = errand->number, .endpoint = errand->endpoint, .peers = peers };
    switch (endpoint->habit) {
    case ENDPOINT_WELL:
    case ENDPOINT_SLOW:
        look(world, endpoint);
        told.has_date = true;
        told.clock_ahead_ms = machine->wall_ahead_ms;
        break;
    case ENDPOINT_LIES:
        lie(world, endpoint);
        break;
    case ENDPOINT_FAILS:
        told.result = PEERCACHE_FETCH_HTTP_ERROR;
        break;
    case ENDPOINT_REFUSES:
        told.result = PEERCACHE_FETCH_REFUSED;
        break;
    case ENDPOINT_HANGS:
        told.result = PEERCACHE_FETCH_TIMEOUT;
        break;
    case ENDPOINT_RUBBISH:
        told.result = PEERCACHE_FETCH_RUBBISH;
        break;
    case ENDPOINT_HABITS:
        break;
    }
    if (world->now_us >= errand->deadline_us)
        told.result = PEERCACHE_FETCH_TIMEOUT;
    if (told.result == PEERCACHE_FETCH_OK) {
        told.peer_count = endpoint->peer_count;
        memcpy(peers, endpoint->peers, endpoint->peer_count * sizeof(peers[0]));
    }
    trace_add(&world->trace, &(struct trace_line){ .at_us = world->now_us,
                                                   .kind = TRACE_FETCH,
                                                   .a = machine->number,
                                                   .b = TRACE_NOBODY,
                                                   .n = (int64_t)errand->endpoint,
                                                   .m = (int64_t)told.peer_count,
                                                   .text = habit_words[endpoint->habit] });
    end(errand);
    machine_step(machine, &(struct pc_node_event){ .kind = PC_NODE_FETCHED, .fetched = &told });
}

/* ----- names ----- */

void errand_resolve(struct machine *machine, const struct pc_node_action *action)
{
    struct world *world = machine->world;
    int64_t deadline_us = machine_world_time(machine, action->question.deadline_us);
    int64_t at_us = world->now_us + 15000 + (int64_t)world_below(world, 60000);
    struct errand *errand = begin(machine, ERRAND_RESOLVE,
                                  world->names_fail ? deadline_us : pc_base_time_min(at_us, deadline_us));
    errand->number = action->number;
    errand->question = action->question.type;
    world->figures.questions += machine->counts;
}

/* One name, with one address: that of the first machine. */
static void resolved(struct errand *errand)
{
    struct machine *machine = errand->machine;
    struct world *world = machine->world;
    struct pc_ip_port at = world->machines[0]->places[0];
    struct pc_node_resolved told = { .number = errand->number,
                                     .outcome = world->names_fail ? PEERCACHE_DNS_FAILED : PEERCACHE_OK,
                                     .ips = &at };
    if (told.outcome == PEERCACHE_OK && errand->question == PC_RECORD_A)
        told.ip_count = 1;
    trace_add(&world->trace, &(struct trace_line){ .at_us = world->now_us,
                                                   .kind = TRACE_NAME,
                                                   .a = machine->number,
                                                   .b = TRACE_NOBODY,
                                                   .outcome = told.outcome });
    end(errand);
    machine_step(machine, &(struct pc_node_event){ .kind = PC_NODE_RESOLVED, .resolved = &told });
}

void errand_cancel(struct machine *machine, enum errand_kind kind, uint64_t number)
{
    for (struct errand *errand = machine->errands; errand; errand = errand->next)
        if (errand->kind == kind && errand->number == number) {
            end(errand);
            return;
        }
}

/* ----- the disk ----- */

void errand_commit(struct machine *machine, const struct pc_node_action *action)
{
    struct world *world = machine->world;
    int64_t takes_us = 1000 + (int64_t)world_below(world, 20000);
    if (world_one_in(world, 100))
        takes_us = SECONDS(2);
    for (const struct errand *errand = machine->errands; errand; errand = errand->next)
        if (errand->kind == ERRAND_COMMIT)
            world_fail(world, machine, "a commit is asked for while one is under way");
    struct errand *errand = begin(machine, ERRAND_COMMIT, world->now_us + takes_us);
    errand->delta_count = action->delta_count;
    errand->deltas = world_alloc(action->delta_count * sizeof(*action->deltas));
    memcpy(errand->deltas, action->deltas, action->delta_count * sizeof(*action->deltas));
    errand->now_ms = machine->clock.wall_ms;
    errand->sequence = machine->sequence + 1;
}

static bool planted(const struct world *world, const char *fault)
{
    return world->options.fault && strcmp(world->options.fault, fault) == 0;
}

/* It reaches the disk, which is a model. */
static void write_out(struct errand *errand)
{
    struct machine *machine = errand->machine;
    struct world *world = machine->world;
    bool fresh = errand->sequence > machine->disk->sequence;
    if (planted(world, "lose") && world_one_in(world, 5))
        machine->disk->sequence = errand->sequence; /* acknowledged, and not written */
    else
        (void)disk_commit(machine->disk, errand->sequence, errand->deltas, errand->delta_count,
                          errand->now_ms);
    if (!fresh)
        return;
    if (machine->counts) {
        world->figures.commits++;
        world->figures.bytes_written += disk_size_of(errand->deltas, errand->delta_count);
    }
    if (!machine->disk->audit)
        return;
    audit_count(machine->disk->audit, machine->disk, errand->deltas, errand->delta_count, errand->now_ms);
    const char *wrong =
        audit_applied(machine->disk->audit, machine->disk, errand->deltas, errand->delta_count);
    if (wrong)
        world_fail(world, machine, "%s", wrong);
}

static int commit_to_model(struct errand *errand, const char **ret_text)
{
    struct world *world = errand->machine->world;
    bool fails = world_one_in(world, world->disk_fails_one_in);
    if (!fails || world_one_in(world, 2)) /* some that fail had reached the disk all the same */
        write_out(errand);
    *ret_text = fails ? "no space left (simulated)" : NULL;
    return fails ? PEERCACHE_EFULL : 0;
}

static int commit_to_host(const struct errand *errand, const char **ret_text)
{
    struct machine *machine = errand->machine;
    bool is_new = false;
    int result = host_commit(machine, errand, ret_text, &is_new);
    machine->world->figures.commits += machine->counts && is_new;
    return result;
}

static void committed(struct errand *errand)
{
    struct machine *machine = errand->machine;
    struct world *world = machine->world;
    const char *text = NULL;
    int result = machine->host ? commit_to_host(errand, &text) : commit_to_model(errand, &text);
    if (result == 0 || planted(world, "double"))
        machine->sequence = errand->sequence;
    trace_add(&world->trace, &(struct trace_line){ .at_us = world->now_us,
                                                   .kind = TRACE_COMMIT,
                                                   .a = machine->number,
                                                   .b = TRACE_NOBODY,
                                                   .n = (int64_t)errand->delta_count,
                                                   .text = result ? "failed" : "acknowledged" });
    end(errand);
    machine_step(machine,
                 &(struct pc_node_event){ .kind = PC_NODE_COMMITTED, .result = result, .text = text });
}

const struct errand *errand_find_commit(const struct machine *machine)
{
    const struct errand *errand = machine->errands;
    while (errand && errand->kind != ERRAND_COMMIT)
        errand = errand->next;
    return errand;
}

void errand_take_in(struct machine *machine)
{
    struct world *world = machine->world;
    if (!machine->host)
        return;
    for (const struct errand *errand = machine->errands; errand; errand = errand->next)
        if (errand->kind == ERRAND_TAKE_IN)
            return; /* which has not looked yet */
    (void)begin(machine, ERRAND_TAKE_IN, world->now_us + 1000 + (int64_t)world_below(world, 20000));
}

static void took_in(struct errand *errand)
{
    struct machine *machine = errand->machine;
    end(errand);
    host_take_in(machine);
}

/* ----- their end ----- */

void errand_happens(struct errand *errand)
{
    if (errand->machine->is_asleep)
        return; /* told when it wakes */
    switch (errand->kind) {
    case ERRAND_FETCH:
        fetched(errand);
        break;
    case ERRAND_RESOLVE:
        resolved(errand);
        break;
    case ERRAND_COMMIT:
        committed(errand);
        break;
    case ERRAND_TAKE_IN:
        took_in(errand);
        break;
    }
}

void errand_wake_all(struct machine *machine)
{
    int64_t soon_us = machine->world->now_us + 5000;
    for (struct errand *errand = machine->errands; errand; errand = errand->next) {
        if (errand->kind != ERRAND_COMMIT)
            errand->deadline_us = soon_us; /* whatever was answered went to nobody */
        world_schedule(machine->world, &errand->life, soon_us);
    }
}

void errand_drop_all(struct machine *machine)
{
    while (machine->errands) {
        struct errand *errand = machine->errands;
        if (errand->kind == ERRAND_COMMIT && !machine->host && machine->node &&
            world_one_in(machine->world, 2))
            write_out(errand); /* on its way, and it got there, though nobody was told */
        end(errand);
    }
}
