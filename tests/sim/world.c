#include "world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

#define LOOK_EVERY_US MINUTES(10)
#define ASK_EVERY_US  MINUTES(1)

struct script {
    struct happening life;
    void (*act)(struct world *world, uint64_t argument);
    uint64_t argument;
};

void *world_alloc(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory) {
        (void)fprintf(stderr, "peercache-sim: out of memory\n");
        exit(2);
    }
    return memory;
}

void world_schedule(struct world *world, struct happening *happening, int64_t at_us)
{
    if (at_us < world->now_us)
        world_fail(world, NULL, "the simulator plans something in the past");
    if (pc_base_heap_set(&world->queue, &happening->due, pc_base_time_max(at_us, world->now_us))) {
        (void)fprintf(stderr, "peercache-sim: out of memory\n");
        exit(2);
    }
}

void world_forget(struct world *world, struct happening *happening)
{
    pc_base_heap_remove(&world->queue, &happening->due);
}

void world_at(struct world *world, int64_t at_us, void (*act)(struct world *world, uint64_t argument),
              uint64_t argument)
{
    struct script *script = world_alloc(sizeof(*script));
    script->life.kind = HAPPENS_SCRIPT;
    pc_base_heap_node_init(&script->life.due);
    script->act = act;
    script->argument = argument;
    world_schedule(world, &script->life, at_us);
}

uint64_t world_below(struct world *world, uint64_t bound)
{
    return pc_base_rng_below(&world->rng, bound);
}

bool world_one_in(struct world *world, uint64_t count)
{
    return count > 0 && world_below(world, count) == 0;
}

void world_fail(struct world *world, const struct machine *machine, const char *format, ...)
{
    if (world->failed)
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(world->failure, sizeof(world->failure), format, args);
    va_end(args);
    world->failed = true;
    world->over = true;
    trace_add(&world->trace, &(struct trace_line){ .at_us = world->now_us,
                                                   .kind = TRACE_BROKEN,
                                                   .a = machine ? machine->number : TRACE_NOBODY,
                                                   .b = TRACE_NOBODY,
                                                   .text = world->failure });
}

/* Now and then: who runs is checked whole, and looked at for the figures once it has settled. */
static void look(struct world *world, uint64_t round)
{
    check_all(world);
    if (round % 6 == 0 || world->options.length_us <= HOURS(6))
        figures_look(world);
    world_at(world, world->now_us + LOOK_EVERY_US, look, round + 1);
}

/* As an application does that saves all, and counts on it. */
static void ask_to_save(struct world *world, uint64_t unused)
{
    struct machine *machine = world->machines[world_below(world, world->machine_count)];
    (void)unused;
    if (machine->host && machine_runs(machine) && !machine->is_stopping)
        machine_step(machine, &(struct pc_node_event){ .kind = PC_NODE_SAVE });
    world_at(world, world->now_us + ASK_EVERY_US, ask_to_save, 0);
}

struct world *world_new(const struct world_options *options)
{
    struct world *world = world_alloc(sizeof(*world));
    world->options = *options;
    pc_base_rng_init_u64(&world->rng, options->seed);
    pc_base_heap_init(&world->queue);
    world->working_set_max = 2000;
    if (options->disk != HOST_MODEL) {
        host_begin();
        world_at(world, ASK_EVERY_US, ask_to_save, 0);
    }
    place_maps_init(world);
    trace_init(&world->trace, options->trace_path);
    world_at(world, LOOK_EVERY_US, look, 1);
    options->scenario->begin(world);
    return world;
}

static void happen(struct world *world, struct happening *happening)
{
    struct script *script;
    switch (happening->kind) {
    case HAPPENS_TIMER:
        machine_timer(PC_CONTAINER_OF(happening, struct machine, timer));
        break;
    case HAPPENS_LIFE:
        life_happen(PC_CONTAINER_OF(happening, struct machine, life));
        break;
    case HAPPENS_LINK:
        net_link_happens(PC_CONTAINER_OF(happening, struct link, life));
        break;
    case HAPPENS_REQUEST:
        net_request_happens(PC_CONTAINER_OF(happening, struct question, life));
        break;
    case HAPPENS_ERRAND:
        errand_happens(PC_CONTAINER_OF(happening, struct errand, life));
        break;
    case HAPPENS_SCRIPT:
        script = PC_CONTAINER_OF(happening, struct script, life);
        script->act(world, script->argument);
        free(script);
        break;
    }
}

void world_run(struct world *world)
{
    while (!world->over) {
        struct pc_heap_node *first = pc_base_heap_first(&world->queue);
        if (!first || first->at > world->options.length_us)
            break;
        if (world->options.events_max && world->event_count >= world->options.events_max)
            break;
        assert(first->at >= world->now_us);
        world->now_us = first->at;
        world->event_count++;
        pc_base_heap_remove(&world->queue, first);
        happen(world, PC_CONTAINER_OF(first, struct happening, due));
        if (world->power_went)
            life_power_went(world);
    }
    if (!world->failed && !world->options.events_max)
        world->now_us = world->options.length_us;
    for (size_t i = 0; i < world->machine_count; i++)
        if (world->machines[i]->node)
            world->node_us += world->now_us - world->machines[i]->started_us;
}

void world_free(struct world *world)
{
    struct pc_heap_node *first;
    if (!world)
        return;
    for (size_t i = 0; i < world->machine_count; i++)
        machine_free(world->machines[i]);
    while ((first = pc_base_heap_first(&world->queue)) != NULL) { /* what is left are scripts */
        struct happening *happening = PC_CONTAINER_OF(first, struct happening, due);
        assert(happening->kind == HAPPENS_SCRIPT);
        pc_base_heap_remove(&world->queue, first);
        free(PC_CONTAINER_OF(happening, struct script, life));
    }
    pc_base_heap_deinit(&world->queue);
    place_maps_free(world);
    figures_deinit(&world->figures);
    trace_deinit(&world->trace);
    free(world->machines);
    free(world);
}
