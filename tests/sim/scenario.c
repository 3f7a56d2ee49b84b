/* The scenarios: each a row of the table at the end, and what it does to its world. */
#include "world.h"

#define CLIENT_PERCENT 20
#define HIDDEN_PERCENT 10

/* ----- what they have in common ----- */

static void script(struct world *world, const char *text)
{
    trace_add(&world->trace, &(struct trace_line){ .at_us = world->now_us,
                                                   .kind = TRACE_SCRIPT,
                                                   .a = TRACE_NOBODY,
                                                   .b = TRACE_NOBODY,
                                                   .text = text });
}

static void add_endpoints(struct world *world, size_t count)
{
    for (size_t i = 0; i < count; i++)
        world->endpoints[world->endpoint_count++] =
            (struct endpoint){ .habit = ENDPOINT_WELL, .looked_us = -1 };
}

/* The first three are servers that anybody reaches; of the others some are clients, some behind a NAT and don't know it. */
static struct machine *add_one(struct world *world)
{
    bool is_seed = world->machine_count < 3;
    bool is_server = is_seed || world_below(world, 100) >= CLIENT_PERCENT;
    bool is_hidden = !is_server || (!is_seed && world_below(world, 100) < HIDDEN_PERCENT);
    struct machine *machine = machine_add(world, HONEST, is_server, is_hidden);
    machine->is_auto = !is_seed && world->auto_percent > 0 && world_below(world, 100) < world->auto_percent;
    machine->is_server &= !machine->is_auto;
    return machine;
}

static size_t small_part(const struct world *world, size_t percent, size_t least)
{
    size_t count = world->options.node_count * percent / 100;
    return count < least ? least : count;
}

/* So many machines that start within some time, the first three at once. */
static void add_network(struct world *world, size_t count, int64_t within_us, bool churns)
{
    for (size_t i = 0; i < count; i++) {
        struct machine *machine = add_one(world);
        int64_t at_us = i < 3 ? (int64_t)i * 1000 : (int64_t)world_below(world, (uint64_t)within_us);
        if (!churns || i < 3) {
            life_plan(machine, LIFE_START, world->now_us + at_us);
        } else {
            life_churn(machine, within_us);
        }
    }
}

/* Places at which something is wrong, that endpoints and neighbours tell of all the same. */
static void add_oddities(struct world *world, size_t each)
{
    static const enum persona odd[] = { SILENT, IMPOSTOR, FOREIGN, MUTE };
    for (size_t i = 0; i < 4 * each; i++)
        (void)machine_add(world, odd[i % 4], true, false);
}

static void on_each(struct world *world, void (*act)(struct machine *machine))
{
    size_t count = world->machine_count;
    for (size_t i = 0; i < count; i++)
        if (world->machines[i]->persona == HONEST)
            act(world->machines[i]);
}

static void set_habits(struct world *world, uint64_t habit)
{
    for (size_t i = 0; i < world->endpoint_count; i++)
        world->endpoints[i].habit = (enum endpoint_habit)habit;
    check_disturbed(world);
    script(world, habit == ENDPOINT_WELL ? "the endpoints are well" : "the endpoints no longer serve");
}

static int64_t share(const struct world *world, unsigned percent)
{
    return world->options.length_us / 100 * percent;
}

/* ----- cold start ----- */

static void cold_start(struct world *world)
{
    add_endpoints(world, 2);
    add_network(world, world->options.node_count, MINUTES(1), false);
}

/* ----- mass restart ----- */

static void kill_and_restart(struct machine *machine)
{
    struct world *world = machine->world;
    if (machine->number % 2 == 0)
        life_kill(machine);
    else
        life_stop(machine);
    life_plan(machine, LIFE_START, world->now_us + SECONDS(60) + (int64_t)world_below(world, SECONDS(5)));
}

static void everybody_restarts(struct world *world, uint64_t unused)
{
    (void)unused;
    script(world, "everybody goes down, half of them killed");
    world->names_fail = true;
    set_habits(world, ENDPOINT_REFUSES);
    on_each(world, kill_and_restart);
}

static void mass_restart(struct world *world)
{
    cold_start(world);
    world_at(world, share(world, 50), everybody_restarts, 0);
}

/* ----- rolling upgrade ----- */

static void upgrade(struct world *world, uint64_t number)
{
    struct machine *machine = world->machines[number];
    machine->restarts = true;
    machine->restart_us = SECONDS(20);
    life_stop(machine);
    if (number + 1 < world->options.node_count)
        world_at(world, world->now_us + share(world, 50) / (int64_t)world->options.node_count, upgrade,
                 number + 1);
}

static void rolling_upgrade(struct world *world)
{
    cold_start(world);
    world_at(world, share(world, 30), upgrade, 0);
}

/* ----- an old cache ----- */

/* Of a hundred that were there, how many still are as they were. */
static unsigned left_after(uint64_t days)
{
    return days <= 1 ? 62 : days <= 7 ? 41 : 14;
}

static void comes_back(struct world *world, uint64_t number)
{
    life_start(world->machines[number]);
}

/* While a tenth sleeps the world goes on: of the others many leave for good, and new ones come. */
static void years_pass(struct world *world, uint64_t unused)
{
    size_t count = world->machine_count, awake = count - small_part(world, 10, 4);
    (void)unused;
    script(world, "time passes: caches get old");
    for (size_t i = 0; i < count; i++) {
        struct machine *machine = world->machines[i];
        if (i >= awake) {
            life_kill(machine);
            world_at(world, world->now_us + MINUTES(30) + SECONDS(i - awake), comes_back, i);
            continue;
        }
        machine->counts = false;
        if (world_below(world, 100) < left_after(world->options.scenario->argument))
            continue;
        life_kill(machine);
        place_new_id(world, machine);
        place_move(world, machine);
        life_forget(machine);
        life_plan(machine, LIFE_START, world->now_us + SECONDS(world_below(world, 600)));
    }
    /* Their clocks show that much time has passed; nobody waits for it. */
    for (size_t i = 0; i < count; i++)
        world->machines[i]->wall_ahead_ms += (int64_t)world->options.scenario->argument * 86400000;
}

/* Who comes back finds no endpoint: it has its cache alone. */
static void endpoints_leave(struct world *world, uint64_t unused)
{
    (void)unused;
    world->names_fail = true;
    set_habits(world, ENDPOINT_REFUSES);
    world->figures.lives = world->figures.lives_joined = world->figures.lives_at_five = 0;
    world->figures.first_us.count = world->figures.fifth_us.count = 0;
    world->figures.dials = world->figures.dials_failed = world->figures.fetches = 0;
}

static void old_cache(struct world *world)
{
    cold_start(world);
    world_at(world, share(world, 40), years_pass, 0);
    world_at(world, share(world, 40) + MINUTES(29), endpoints_leave, 0);
}

/* ----- split and heal ----- */

static void cut(struct world *world, uint64_t how)
{
    static const char *const words[] = { "the network is whole", "one side no longer hears the other",
                                         "the network is in two" };
    world->cut[0][1] = how >= 1;
    world->cut[1][0] = how >= 2;
    check_disturbed(world);
    script(world, words[how]);
}

static void split_heal(struct world *world)
{
    cold_start(world);
    for (size_t i = 0; i < world->machine_count; i++)
        world->machines[i]->side = i % 3 == 1;
    world_at(world, share(world, 20), cut, 2);
    world_at(world, share(world, 50), cut, 0);
    world_at(world, share(world, 65), cut, 1);
    world_at(world, share(world, 80), cut, 0);
}

/* ----- the endpoints die ----- */

static void worsen(struct world *world, uint64_t round)
{
    static const enum endpoint_habit habits[] = { ENDPOINT_SLOW,    ENDPOINT_FAILS, ENDPOINT_HANGS,
                                                  ENDPOINT_RUBBISH, ENDPOINT_LIES,  ENDPOINT_REFUSES };
    world->endpoints[round % world->endpoint_count].habit = habits[round / 2 % 6];
    world->names_fail = round >= 4;
    check_disturbed(world);
    script(world, "an endpoint gets worse");
    if (round < 11)
        world_at(world, world->now_us + share(world, 6), worsen, round + 1);
}

static void endpoints_die(struct world *world)
{
    add_endpoints(world, 3);
    add_network(world, world->options.node_count, MINUTES(20), true);
    add_oddities(world, small_part(world, 3, 1));
    world_at(world, share(world, 20), worsen, 0);
}

/* ----- laptops ----- */

static void roam(struct world *world, uint64_t number)
{
    struct machine *machine = world->machines[number];
    if (machine->is_asleep) {
        if (world_one_in(world, 3))
            life_jump(machine, (int64_t)world_below(world, 7200000) - 3600000);
        life_wake(machine, world_one_in(world, 2));
        world_at(world, world->now_us + MINUTES(5 + world_below(world, 240)), roam, number);
        return;
    }
    life_sleep(machine);
    world_at(world, world->now_us + SECONDS(5 + world_below(world, 36000)), roam, number);
}

static void add_laptops(struct world *world, size_t one_in)
{
    for (size_t i = 3; i < world->machine_count; i += one_in) {
        world->machines[i]->is_laptop = true;
        world_at(world, MINUTES(10 + world_below(world, 120)), roam, i);
    }
}

static void laptop(struct world *world)
{
    cold_start(world);
    add_laptops(world, 3);
}

/* ----- a crowd of newcomers ----- */

static void crowd(struct world *world, uint64_t unused)
{
    size_t count = world->options.node_count - world->options.node_count / 4;
    (void)unused;
    script(world, "a crowd comes");
    for (size_t i = 0; i < count; i++) {
        struct machine *machine = add_one(world);
        life_plan(machine, LIFE_START, world->now_us + (int64_t)world_below(world, SECONDS(60)));
    }
}

static void flash_crowd(struct world *world)
{
    add_endpoints(world, 2);
    add_network(world, small_part(world, 25, 5), MINUTES(1), false);
    world_at(world, share(world, 50), crowd, 0);
}

/* ----- hostile peers ----- */

static void add_hostile(struct world *world, enum persona persona, size_t count)
{
    for (size_t i = 0; i < count;
         i++) { /* one after the other: both draw lots, and the order of arguments is no order */
        struct machine *machine = machine_add(world, persona, true, false);
        life_plan(machine, LIFE_MEET, MINUTES(5) + (int64_t)world_below(world, MINUTES(5)));
    }
}

static void flood(struct world *world)
{
    world->working_set_max = 400;
    add_endpoints(world, 2);
    add_network(world, world->options.node_count, MINUTES(10), true);
    add_hostile(world, FLOODER, 1);
}

/* He holds so many of a hundred addresses that anybody tells of, from four groups. */
static void attacker(struct world *world)
{
    size_t percent = world->options.scenario->argument;
    world->attacker_percent = (unsigned)percent;
    add_endpoints(world, 2);
    add_network(world, world->options.node_count, MINUTES(10), true);
    add_hostile(world, ATTACKER, world->options.node_count * percent / (100 - percent) + 1);
}

/* ----- who finds out by himself whether he can be reached ----- */

static void reach(struct world *world)
{
    world->tells_observed = true;
    world->auto_percent = 90;
    add_endpoints(world, 2);
    add_network(world, world->options.node_count, MINUTES(10), true);
    add_laptops(world, 5);
    add_hostile(world, ATTACKER, small_part(world, 5, 1));
}

/* ----- long lives ----- */

static void month(struct world *world)
{
    world->disk_fails_one_in = 200;
    add_endpoints(world, 2);
    add_network(world, world->options.node_count, MINUTES(30), true);
    add_oddities(world, small_part(world, 5, 1));
}

static void model_turns(struct world *world, uint64_t number)
{
    struct machine *machine = world->machines[number];
    machine->is_up = !machine->is_up;
    if (machine->is_up && world_one_in(world, 5))
        place_move(world, machine);
    if (machine->is_up && world_one_in(world, 8))
        place_new_id(world, machine);
    machine->life_count++;
    int64_t days = machine->is_core ? (machine->is_up ? 200 : 2) : 30;
    world_at(world, world->now_us + HOURS(1 + world_below(world, (uint64_t)days)), model_turns, number);
}

/* One node of ours, the last machine, among models that come and go. */
static void year(struct world *world)
{
    add_endpoints(world, 2);
    for (size_t i = 0; i + 1 < world->options.node_count; i++) {
        struct machine *machine = machine_add(world, MODEL, true, false);
        machine->is_core = i % 3 == 0;
        machine->is_up = i % 2 == 0;
        world_at(world, HOURS(1 + world_below(world, 40)), model_turns, i);
    }
    struct machine *ours = machine_add(world, HONEST, true, false);
    ours->is_core = ours->churns = true;
    life_plan(ours, LIFE_START, SECONDS(1));
}

/* ----- everything at once ----- */

static void mischief(struct world *world, uint64_t round)
{
    uint64_t number;
    switch (world_below(world, 6)) {
    case 0:
        cut(world, world_below(world, 3));
        break;
    case 1:
        set_habits(world, world_below(world, ENDPOINT_HABITS));
        break;
    case 2:
        world->names_fail = !world->names_fail;
        break;
    case 3:
        number = world_below(world, world->machine_count);
        life_jump(world->machines[number], (int64_t)world_below(world, 172800000) - 86400000);
        break;
    default:
        roam(world, world_below(world, world->options.node_count));
        break;
    }
    world_at(world, world->now_us + SECONDS(30 + world_below(world, 600)), mischief, round + 1);
}

static void chaos(struct world *world)
{
    world->disk_fails_one_in = 5;
    world->kill_one_in = 3000;
    world->working_set_max = 300;
    add_endpoints(world, 3);
    add_network(world, world->options.node_count, MINUTES(10), true);
    add_oddities(world, small_part(world, 5, 1));
    add_hostile(world, FLOODER, 1);
    add_hostile(world, ATTACKER, small_part(world, 10, 1));
    for (size_t i = 0; i < world->machine_count; i++)
        world->machines[i]->side = i % 3 == 1;
    world_at(world, MINUTES(5), mischief, 0);
}

const struct scenario scenarios[] = {
    { "cold-start", "a whole network starts within a minute", 1000, MINUTES(20), 40, MINUTES(8), cold_start,
      0 },
    { "mass-restart", "everybody at once, from the cache; no endpoint serves", 500, MINUTES(40), 24,
      MINUTES(24), mass_restart, 0 },
    { "rolling-upgrade", "one after the other stops and starts", 300, HOURS(4), 16, MINUTES(24),
      rolling_upgrade, 0 },
    { "old-cache-day", "a cache one day old; no endpoint serves", 200, HOURS(3), 12, MINUTES(75), old_cache,
      1 },
    { "old-cache-week", "a week old", 200, HOURS(3), 12, MINUTES(75), old_cache, 7 },
    { "old-cache-quarter", "three months old", 200, HOURS(3), 12, MINUTES(75), old_cache, 90 },
    { "split-heal", "in two for hours, whole, deaf on one side, whole", 200, HOURS(10), 16, MINUTES(60),
      split_heal, 0 },
    { "endpoints-die", "the endpoints get worse and worse", 100, HOURS(24), 14, MINUTES(70), endpoints_die,
      0 },
    { "laptop", "a third of all sleep, roam, and set their clocks", 100, HOURS(48), 12, HOURS(3), laptop, 0 },
    { "flash-crowd", "three newcomers for each that is there", 1000, MINUTES(20), 40, MINUTES(10),
      flash_crowd, 0 },
    { "flood", "one talker that floods with dead addresses", 60, HOURS(24), 14, MINUTES(40), flood, 0 },
    { "attacker-10", "an attacker holds a tenth of what is told", 100, HOURS(24), 14, MINUTES(40), attacker,
      10 },
    { "attacker-50", "half of it", 100, HOURS(24), 12, MINUTES(40), attacker, 50 },
    { "attacker-90", "nine tenths", 50, HOURS(24), 8, MINUTES(40), attacker, 90 },
    { "reach", "all but a few find out by themselves whether they can serve", 100, HOURS(24), 16, MINUTES(90),
      reach, 0 },
    { "month", "plain life with churn", 30, DAYS(30), 10, HOURS(4), month, 0 },
    { "week", "the same of a large network", 100, DAYS(7), 10, HOURS(2), month, 0 },
    { "year", "one node among models", 200, DAYS(365), 40, HOURS(12), year, 0 },
    { "chaos", "everything at once", 30, HOURS(6), 10, MINUTES(90), chaos, 0 },
};
const size_t scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);

const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < scenario_count; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    return NULL;
}
