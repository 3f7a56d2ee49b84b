/*
 * How processes come and go: starts from the disk, graceful stops, kills, sleep, new addresses and ids; and churn, with
 * sessions as they were measured in such networks: half of the newcomers are gone after two hours, a core stays for days.
 */
#include "world.h"

#include <stdlib.h>

#define CORE_PERCENT 25

/* Minutes that a session lasts, sixteen equally likely steps (drawn evenly between one and the next). */
static const uint32_t session_min[17] = { 2,   7,   14,  22,  34,  48,  66,   90,  120,
                                          160, 215, 300, 430, 640, 960, 1500, 3000 };
/* And that a machine is off in between. */
static const uint32_t off_min[17] = { 1,   2,   5,   10,  20,  35,   60,   100, 150,
                                      220, 320, 460, 620, 800, 1000, 1400, 2400 };
/* Of those who stay: days, in hours. */
static const uint32_t core_hours[17] = { 12,  24,  40,  60,  80,  100, 120, 150, 180,
                                         220, 260, 320, 400, 500, 640, 800, 1200 };
/* How much longer machines are off by the hour of their day, in 16ths: at night people switch them off. */
static const uint8_t night[24] = { 28, 34, 38, 40, 38, 32, 26, 20, 16, 14, 13, 12,
                                   12, 12, 12, 12, 12, 11, 10, 10, 11, 13, 17, 22 };
static const int8_t region_hours[6] = { -8, -5, 1, -3, 8, 10 };

static int64_t draw(struct world *world, const uint32_t table[17], int64_t unit_us)
{
    uint64_t at = world_below(world, 16);
    int64_t low_us = table[at] * unit_us, high_us = table[at + 1] * unit_us;
    return low_us + (int64_t)world_below(world, (uint64_t)(high_us - low_us) + 1);
}

static void say(const struct machine *machine, enum trace_kind kind, int64_t n, int64_t m)
{
    trace_add(&machine->world->trace, &(struct trace_line){ .at_us = machine->world->now_us,
                                                            .kind = kind,
                                                            .a = machine->number,
                                                            .b = TRACE_NOBODY,
                                                            .n = n,
                                                            .m = m,
                                                            .at = machine->places[0] });
}

void life_plan(struct machine *machine, enum life_step next, int64_t at_us)
{
    machine->next_step = next;
    world_schedule(machine->world, &machine->life, at_us);
}

/* ----- starting ----- */

static void load(void *context, const struct pc_record *record)
{
    struct machine *machine = context;
    machine_step(machine, &(struct pc_node_event){ .kind = PC_NODE_LOADED, .record = record });
}

/* From the model. Whether there is more than that. */
static bool load_all(struct machine *machine)
{
    size_t loaded = disk_load(machine->disk, WORLD_LOAD_MAX, load, machine);
    return loaded < machine->disk->peers.count;
}

/* The options of production, but for a smaller working set. */
static void make_node(struct machine *machine)
{
    struct world *world = machine->world;
    uint64_t endpoint_sources[WORLD_ENDPOINTS_MAX];
    struct pc_node_source boot = { .via = PEERCACHE_VIA_ENDPOINT };
    for (size_t i = 0; i < WORLD_ENDPOINTS_MAX; i++)
        endpoint_sources[i] = 1000 + i;
    struct pc_node_options options = {
        .own_id = machine->id,
        .kad_protocol = WORLD_KAD,
        .server = machine->is_server,
        .automatic = machine->is_auto,
        .walk = true,
        .save = machine->keeps_cache,
        .mode = PC_NETGROUP_PUBLIC,
        .dial_cached = true,
        .target = 5,
        .min = 1,
        .timeout_us = SECONDS(10),
        .endpoint_count = machine->uses_endpoints ? world->endpoint_count : 0,
        .endpoint_sources = endpoint_sources,
        .last_verified = machine->last_verified,
        .peers_max = world->working_set_max,
    };
    if (machine->uses_endpoints && world->endpoint_count > 0 && machine->number % 3 == 0 &&
        pc_addr_maddr_parse("/dns4/boot.sim.example/udp/4001/quic-v1", 39, &boot.addr, NULL) == 0) {
        options.sources = &boot;
        options.source_count = 1;
    }
    pc_base_rng_init_u64(&options.rng, pc_base_rng_u64(&world->rng));
    for (size_t i = 0; i < sizeof(options.secret); i++)
        options.secret[i] = (uint8_t)(machine->number >> (8 * (i % 4)));
    if (pc_node_new(&options, &machine->node))
        exit(2);
}

static bool lost_its_place(const struct machine *machine)
{
    bool used;
    return place_find(machine->world, &machine->places[0], &used) != machine;
}

void life_start(struct machine *machine)
{
    struct world *world = machine->world;
    if (machine->node)
        return;
    if (lost_its_place(machine))
        place_move(world, machine);
    machine->life_count++;
    machine->started_us = world->now_us;
    machine->disturbed_us = world->now_us;
    machine->alone_since_us = world->now_us;
    machine->walking_since_us = PC_TIME_NEVER;
    machine->joined = machine->served = false;
    machine->announced_count = 0;
    machine->first_verified_us = machine->fifth_verified_us = -1;
    machine->is_stopping = false;
    machine->clock = (peercache_time){ INT64_MIN, INT64_MIN };
    machine->sequence = 0;
    if (!machine->host) {
        machine->disk->writer++;
        machine->disk->sequence = 0;
    }
    world->figures.lives += machine->counts;
    make_node(machine);
    size_t known = machine->host ? host_start(machine) : machine->disk->peers.count;
    say(machine, TRACE_START, machine->life_count, (int64_t)known);
    bool has_public = machine->is_server || (machine->is_auto && !machine->is_hidden);
    for (size_t i = 0; has_public && i < machine->place_count; i++)
        machine_step(machine, &(struct pc_node_event){ .kind = PC_NODE_LISTENING,
                                                       .addr = pc_addr_maddr_bytes(&machine->addrs[i]) });
    bool has_more = machine->host ? host_load(machine) : load_all(machine);
    for (size_t i = 0; machine->uses_endpoints && i < world->endpoint_count; i++)
        if (machine->has_breaker[i])
            machine_step(machine, &(struct pc_node_event){
                                      .kind = PC_NODE_ENDPOINT,
                                      .endpoint = i,
                                      .breaker = pc_bytes_of(machine->breakers[i], PC_BREAKER_BYTES) });
    machine_step(machine, &(struct pc_node_event){
                              .kind = PC_NODE_ROUTES, .has_ip4 = true, .has_ip6 = machine->place_count > 1 });
    machine_step(machine, &(struct pc_node_event){ .kind = PC_NODE_START, .is_part = has_more });
}

/* ----- ending ----- */

static void gone(struct machine *machine)
{
    struct world *world = machine->world;
    world->node_us += world->now_us - machine->started_us;
    net_drop_all(machine, false);
    errand_drop_all(machine);
    pc_node_free(machine->node);
    machine->node = NULL;
    machine->is_server &= !machine->is_auto;
    machine->is_asleep = false;
    machine->stale_count = 0;
    machine->alone_since_us = PC_TIME_NEVER;
    world_forget(world, &machine->timer);
}

void life_stop(struct machine *machine)
{
    if (!machine->node || machine->is_asleep || machine->is_stopping)
        return;
    say(machine, TRACE_STOP, 0, 0);
    machine->is_stopping = true;
    machine_step(machine, &(struct pc_node_event){ .kind = PC_NODE_STOP });
}

void life_stopped(struct machine *machine)
{
    check_stopped(machine);
    if (machine->host)
        host_stop(machine);
    say(machine, TRACE_STOPPED, 0, 0);
    gone(machine);
    if (machine->restarts) {
        machine->restarts = false;
        life_plan(machine, LIFE_START, machine->world->now_us + machine->restart_us);
    }
}

/* The others there; they are there again soon. */
void life_power_went(struct world *world)
{
    world->power_went = false;
    for (size_t i = 0; i < world->machine_count; i++) {
        struct machine *other = world->machines[i];
        if (!other->node || !host_had_no_power(other))
            continue;
        say(other, TRACE_POWER, 0, 0);
        world->figures.kills++;
        host_abandon(other);
        gone(other);
        life_plan(other, LIFE_START, world->now_us + SECONDS(5 + world_below(world, 60)));
    }
}

void life_kill(struct machine *machine)
{
    if (!machine->node || host_had_no_power(machine))
        return;
    say(machine, TRACE_KILL, 0, 0);
    machine->world->figures.kills++;
    bool power_went = machine->host && host_kill(machine, errand_find_commit(machine));
    if (power_went)
        say(machine, TRACE_POWER, 0, 0);
    machine->world->power_went |= power_went;
    gone(machine);
}

/* ----- sleeping ----- */

void life_sleep(struct machine *machine)
{
    if (!machine->node || machine->is_asleep || machine->is_stopping)
        return;
    say(machine, TRACE_SLEEP, 0, 0);
    machine->is_asleep = true;
    machine->slept_us = machine->world->now_us;
    net_drop_all(machine, true);
    world_forget(machine->world, &machine->timer);
}

/* The monotonic clock stood still; all connections are dead, of which the process hears now. */
void life_wake(struct machine *machine, bool moved)
{
    struct world *world = machine->world;
    if (!machine->node || !machine->is_asleep)
        return;
    say(machine, TRACE_WAKE, 0, 0);
    machine->is_asleep = false;
    machine->mono_behind_us += world->now_us - machine->slept_us;
    machine->disturbed_us = world->now_us;
    if (machine->alone_since_us != PC_TIME_NEVER)
        machine->alone_since_us = world->now_us;
    if (machine->walking_since_us != PC_TIME_NEVER)
        machine->walking_since_us = world->now_us;
    if (moved) {
        place_move(world, machine);
        say(machine, TRACE_MOVE, 0, 0);
    }
    size_t count = machine->stale_count;
    machine->stale_count = 0;
    machine->is_waking = true;
    for (size_t i = 0; i < count && machine->node; i++) {
        const struct pc_libp2p_event event = {
            .kind = machine->stale[i].was_open ? PC_LIBP2P_CLOSED : PC_LIBP2P_FAILED,
            .connection = machine->stale[i].number,
            .outcome = PEERCACHE_TIMEOUT,
            .proven_us = -1,
            .rtt_us = -1,
        };
        machine_step(machine, &(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = &event });
    }
    machine->is_waking = false;
    if (machine->node)
        errand_wake_all(machine);
    if (moved && machine->node && machine->is_auto && !machine->is_hidden)
        machine_step(machine, &(struct pc_node_event){ .kind = PC_NODE_LISTENS,
                                                       .addrs = machine->addrs,
                                                       .addr_count = machine->place_count });
    if (moved && machine->node)
        machine_step(machine, &(struct pc_node_event){ .kind = PC_NODE_ROUTES,
                                                       .has_ip4 = true,
                                                       .has_ip6 = machine->place_count > 1 });
    if (machine->node)
        machine_step(machine, &(struct pc_node_event){ .kind = PC_NODE_TIME });
}

/* The clock is the host's. */
void life_jump(struct machine *machine, int64_t wall_ms)
{
    struct world *world = machine->world;
    for (size_t i = 0; i < world->machine_count; i++) {
        struct machine *one = world->machines[i];
        if (one == machine || (machine->host && one->host == machine->host))
            one->wall_ahead_ms += wall_ms;
    }
    say(machine, TRACE_CLOCK, wall_ms, 0);
}

/* ----- churn ----- */

static int64_t session_us(struct machine *machine)
{
    struct world *world = machine->world;
    return machine->is_core ? draw(world, core_hours, HOURS(1)) : draw(world, session_min, MINUTES(1));
}

static int64_t off_us(struct machine *machine)
{
    struct world *world = machine->world;
    if (machine->is_core)
        return MINUTES(1 + world_below(world, 10));
    int64_t hour = world->now_us / HOURS(1) + region_hours[machine->region] + 24;
    return draw(world, off_min, MINUTES(1)) * night[hour % 24] / 16;
}

void life_churn(struct machine *machine, int64_t within_us)
{
    struct world *world = machine->world;
    machine->churns = true;
    machine->is_core = world_below(world, 100) < CORE_PERCENT;
    life_plan(machine, LIFE_START, world->now_us + (int64_t)world_below(world, (uint64_t)within_us + 1));
}

void life_forget(struct machine *machine)
{
    if (machine->host)
        host_clear(machine);
    else
        disk_clear(machine->disk);
}

/* Between two sessions: most come back as they were, some at a new address, some as another. */
static void come_back_as(struct machine *machine)
{
    uint64_t lot = world_below(machine->world, 100);
    if (machine->is_core)
        return;
    if (lot < 15) {
        place_move(machine->world, machine);
        say(machine, TRACE_MOVE, 0, 0);
    } else if (lot < 25) {
        place_new_id(machine->world, machine);
    } else if (lot < 30) { /* a fresh installation */
        place_new_id(machine->world, machine);
        place_move(machine->world, machine);
        life_forget(machine);
        machine->last_verified = 0;
    }
}

static void end_session(struct machine *machine)
{
    struct world *world = machine->world;
    if (machine->is_asleep)
        life_wake(machine, false);
    if (world_one_in(world, 2))
        life_kill(machine);
    else
        life_stop(machine);
    life_plan(machine, LIFE_START, world->now_us + off_us(machine));
}

void life_happen(struct machine *machine)
{
    struct world *world = machine->world;
    enum life_step next = machine->next_step;
    machine->next_step = LIFE_NOTHING;
    switch (next) {
    case LIFE_NOTHING:
        break;
    case LIFE_START:
        if (machine->node) { /* it is still stopping */
            life_plan(machine, LIFE_START, world->now_us + SECONDS(10));
            break;
        }
        if (machine->churns && machine->life_count > 0)
            come_back_as(machine);
        life_start(machine);
        if (machine->churns && machine->node) { /* lots are drawn one by one: arguments have no order */
            enum life_step end = world_one_in(world, 2) ? LIFE_STOP : LIFE_KILL;
            life_plan(machine, end, world->now_us + session_us(machine));
        }
        break;
    case LIFE_STOP:
    case LIFE_KILL:
        if (machine->churns)
            end_session(machine);
        else if (next == LIFE_STOP)
            life_stop(machine);
        else
            life_kill(machine);
        break;
    case LIFE_SLEEP:
        life_sleep(machine);
        break;
    case LIFE_WAKE:
        life_wake(machine, false);
        break;
    case LIFE_MEET:
        puppet_meet(machine);
        break;
    }
}
