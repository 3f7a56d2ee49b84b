/*
 * A machine and the steps of its process: the edge that in production is the driver. It gives the node its time and events,
 * does what the node wants, and steps it again as long as its deadline is now.
 */
#include "world.h"

#include <stdlib.h>

#define SPINS_MAX 4096 /* steps at one moment, after which a timer is said to be in the past */

static void init_happening(struct happening *happening, enum happening_kind kind)
{
    happening->kind = kind;
    pc_base_heap_node_init(&happening->due);
}

struct machine *machine_add(struct world *world, enum persona persona, bool is_server, bool is_hidden)
{
    struct machine *machine = world_alloc(sizeof(*machine));
    if (world->machine_count == world->machine_max) {
        world->machine_max = world->machine_max ? 2 * world->machine_max : 64;
        world->machines =
            realloc(world->machines, world->machine_max * sizeof(struct machine *)); /* NOLINT: ends below */
        if (!world->machines)
            exit(2);
    }
    init_happening(&machine->timer, HAPPENS_TIMER);
    init_happening(&machine->life, HAPPENS_LIFE);
    machine->number = (uint32_t)world->machine_count;
    machine->world = world;
    machine->persona = persona;
    machine->is_server = is_server;
    machine->is_hidden = is_hidden;
    machine->is_watched = world->options.checks_all || machine->number % 16 == 0;
    machine->uses_endpoints = true;
    machine->counts = persona == HONEST;
    machine->keeps_cache = true;
    machine->alone_since_us = PC_TIME_NEVER;
    machine->mono_behind_us = -(int64_t)world_below(world, (uint64_t)DAYS(20)); /* up for some time already */
    if (persona == HONEST && world->options.disk != HOST_MODEL) {
        host_settle(machine);
        machine->disk = host_disk(machine->host);
        machine->is_watched = machine->disk->audit != NULL;
    } else {
        machine->disk = world_alloc(sizeof(*machine->disk));
        disk_init(machine->disk);
        if (machine->is_watched && persona == HONEST)
            machine->disk->audit = audit_new();
    }
    place_new_id(world, machine);
    world->machines[world->machine_count++] = machine;
    place_move(world, machine);
    return machine;
}

void machine_free(struct machine *machine)
{
    net_drop_all(machine, false);
    errand_drop_all(machine);
    pc_node_free(machine->node);
    world_forget(machine->world, &machine->timer);
    world_forget(machine->world, &machine->life);
    if (machine->host) {
        host_abandon(machine);
        host_free(machine->host);
    } else {
        disk_deinit(machine->disk);
        free(machine->disk);
    }
    free(machine->stale);
    free(machine);
}

int64_t machine_wall_ms(const struct machine *machine)
{
    return WORLD_EPOCH_MS + machine->world->now_us / 1000 + machine->wall_ahead_ms;
}

/* As driver/clock.c: neither clock of a process goes back. */
peercache_time machine_now(struct machine *machine)
{
    int64_t mono_us = machine->world->now_us - machine->mono_behind_us;
    int64_t wall_ms = machine_wall_ms(machine);
    machine->clock.mono_us = pc_base_time_max(machine->clock.mono_us, mono_us);
    machine->clock.wall_ms = pc_base_time_max(machine->clock.wall_ms, wall_ms);
    return machine->clock;
}

int64_t machine_world_time(const struct machine *machine, int64_t mono_us)
{
    return pc_base_time_add(mono_us, machine->mono_behind_us);
}

bool machine_answers(const struct machine *machine)
{
    if (machine->is_asleep || machine->is_hidden)
        return false;
    switch (machine->persona) {
    case HONEST:
        return machine->node && machine->is_server && !machine->is_stopping;
    case MODEL:
        return machine->is_up;
    case ATTACKER:
    case FLOODER:
        return true;
    case SILENT:
    case IMPOSTOR:
    case FOREIGN:
    case MUTE:
        break;
    }
    return false;
}

/* ----- what the node wants ----- */

/* As peercache_join_status_name(), which the driver's room has. */
static const char *status_word(peercache_join_status status)
{
    switch (status) {
    case PEERCACHE_JOINED:
        return "joined";
    case PEERCACHE_DEGRADED:
        return "degraded";
    case PEERCACHE_FAILED:
        break;
    }
    return "failed";
}

static void on_tell(struct machine *machine, const peercache_node_event *event)
{
    struct world *world = machine->world;
    struct figures *figures = &world->figures;
    struct trace_line line = { .at_us = world->now_us, .a = machine->number, .b = TRACE_NOBODY };
    switch (event->kind) {
    case PEERCACHE_NODE_JOIN_DONE:
        line.kind = TRACE_JOINED;
        line.n = event->report->verified;
        line.text = status_word(event->report->status);
        figures->rejoins += machine->counts && machine->joined;
        machine->joined = true;
        trace_add(&world->trace, &line);
        break;
    case PEERCACHE_NODE_WALKED:
        line.kind = TRACE_WALKED;
        line.n = event->count;
        trace_add(&world->trace, &line);
        break;
    case PEERCACHE_NODE_WARNING:
        line.kind = TRACE_WARNING;
        trace_add(&world->trace, &line);
        break;
    case PEERCACHE_NODE_LISTENING:
    case PEERCACHE_NODE_DIALING:
    case PEERCACHE_NODE_VERIFIED:
    case PEERCACHE_NODE_UNJOINED:
    case PEERCACHE_NODE_FETCHED:
    case PEERCACHE_NODE_PONG:
    case PEERCACHE_NODE_STOPPED:
    case PEERCACHE_NODE_CRAWLED:
    case PEERCACHE_NODE_CRAWL_DONE:
    case PEERCACHE_NODE_FOUND:
        break;
    }
}

/* True: the process has ended. */
static bool act(struct machine *machine, const struct pc_node_action *action)
{
    hash_action(machine->world, action);
    switch (action->kind) {
    case PC_NODE_DIAL:
        check_dial(machine, action);
        net_dial(machine, action);
        break;
    case PC_NODE_CLOSE:
        net_close(machine, action->connection);
        break;
    case PC_NODE_PING:
    case PC_NODE_FIND_NODE:
    case PC_NODE_PROBE:
        net_ask(machine, action);
        break;
    case PC_NODE_ANSWER:
        net_answer(machine, action);
        break;
    case PC_NODE_FETCH:
        errand_fetch(machine, action);
        break;
    case PC_NODE_RESOLVE:
        errand_resolve(machine, action);
        break;
    case PC_NODE_CANCEL_FETCH:
        errand_cancel(machine, ERRAND_FETCH, action->number);
        break;
    case PC_NODE_CANCEL_RESOLVE:
        errand_cancel(machine, ERRAND_RESOLVE, action->number);
        break;
    case PC_NODE_KEEP_ENDPOINT:
        memcpy(machine->breakers[action->endpoint], action->breaker, PC_BREAKER_BYTES);
        machine->has_breaker[action->endpoint] = true;
        break;
    case PC_NODE_KEEP:
        net_keep(machine, action->connection, action->keep);
        break;
    case PC_NODE_SAVED:
        check_saved(machine, action->result);
        break;
    case PC_NODE_TAKE_IN:
        errand_take_in(machine);
        break;
    case PC_NODE_ANNOUNCE:
        reach_announce(machine, action);
        break;
    case PC_NODE_DIAL_BACK:
        reach_dial_back(machine, action);
        break;
    case PC_NODE_REFUSE_DIAL:
        reach_refuse(machine, action);
        break;
    case PC_NODE_KEEP_JOIN:
        machine->last_verified = action->count;
        break;
    case PC_NODE_COMMIT:
        errand_commit(machine, action);
        break;
    case PC_NODE_TELL:
        on_tell(machine, &action->event);
        break;
    case PC_NODE_STOPPED:
        return true;
    }
    return false;
}

/* One step. False: the process is gone. */
static bool step(struct machine *machine, const struct pc_node_event *event)
{
    const struct pc_node_action *actions;
    peercache_time now = machine_now(machine);
    bool ended = false;
    machine->world->step_count++;
    machine->steps++;
    hash_event(machine, event, now);
    check_before(machine, event);
    size_t count = pc_node_step(machine->node, now, event, &actions);
    check_after(machine, event, actions, count);
    if (machine->counts && machine->fifth_verified_us < 0)
        figures_verified(machine);
    for (size_t i = 0; i < count; i++)
        ended |= act(machine, &actions[i]);
    return !ended;
}

void machine_step(struct machine *machine, const struct pc_node_event *event)
{
    static const struct pc_node_event time = { .kind = PC_NODE_TIME };
    struct world *world = machine->world;
    if (!machine->node || host_had_no_power(machine)) /* killed a moment ago, or dead */
        return;
    if (!step(machine, event)) {
        life_stopped(machine);
        return;
    }
    for (size_t spins = 0; pc_node_deadline(machine->node) <= machine->clock.mono_us; spins++) {
        if (spins == SPINS_MAX) {
            world_fail(world, machine, "a timer is in the past, step after step");
            return;
        }
        if (!step(machine, &time)) {
            life_stopped(machine);
            return;
        }
    }
    int64_t deadline_us = pc_node_deadline(machine->node);
    world_schedule(world, &machine->timer,
                   deadline_us == PC_TIME_NEVER ? PC_TIME_NEVER : machine_world_time(machine, deadline_us));
    if (world_one_in(world, world->kill_one_in) && machine->node && !machine->is_stopping) {
        life_kill(machine);
        life_plan(machine, LIFE_START, world->now_us + SECONDS(1 + world_below(world, 20)));
    }
}

void machine_timer(struct machine *machine)
{
    if (machine_runs(machine))
        machine_step(machine, &(struct pc_node_event){ .kind = PC_NODE_TIME });
}
