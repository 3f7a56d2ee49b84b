/*
 * peercache-sim: run a scenario and print its figures and its hash, or the story of a failure. See world.h and
 * docs/simulation.md.
 */
#include "world.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define STORY_LINES 60
#define NODES_MIN   4

static const char usage_text[] =
    "usage: peercache-sim SCENARIO [options]\n"
    "       peercache-sim --list\n"
    "\n"
    "  --seed N      the one source of all chance (default 1)\n"
    "  --seeds N     so many seeds, from --seed on; the first failure ends it, or is bisected\n"
    "  --nodes N     machines\n"
    "  --days D      simulated days; --hours and --minutes add to them\n"
    "  --small       the size that `make test` runs\n"
    "  --events N    end after so many happenings\n"
    "  --check-all   check every machine at every step, not every sixteenth\n"
    "  --trace FILE  the whole story; - is standard output\n"
    "  --bisect      find the smallest network and the shortest run that still fail\n"
    "  --disk KIND   model (default); sqlite or json: the real store, on a simulated drive\n"
    "  --shared N    so many machines have one cache together, on one host; with a real store\n"
    "  --fault NAME  plant a defect (lose, double, sync), to see it found\n";

struct arguments {
    struct world_options options;
    uint64_t seeds;
    bool bisects;
};

static uint64_t number_of(const char *text)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-') {
        (void)fprintf(stderr, "peercache-sim: not a number: %s\n", text);
        exit(2);
    }
    return number;
}

static void list(void)
{
    for (size_t i = 0; i < scenario_count; i++)
        printf("%-20s %5zu nodes, %6" PRId64 " min  %s\n", scenarios[i].name, scenarios[i].node_count,
               scenarios[i].length_us / MINUTES(1), scenarios[i].what);
}

static const char *const fault_names[] = { "lose", "double", "sync" };

static const char *fault_of(const char *text)
{
    for (size_t i = 0; i < sizeof(fault_names) / sizeof(fault_names[0]); i++)
        if (strcmp(fault_names[i], text) == 0)
            return fault_names[i];
    (void)fprintf(stderr, "peercache-sim: no such fault: %s\n", text);
    exit(2);
}

static const char *const disk_names[] = { "model", "sqlite", "json" };

static enum host_disk disk_of(const char *text)
{
    for (size_t i = 0; i < sizeof(disk_names) / sizeof(disk_names[0]); i++)
        if (strcmp(disk_names[i], text) == 0)
            return (enum host_disk)i;
    (void)fprintf(stderr, "peercache-sim: no such disk: %s\n", text);
    exit(2);
}

static void print_command(const struct world_options *options, FILE *out)
{
    (void)fprintf(out, "peercache-sim %s --seed %" PRIu64 " --nodes %zu --minutes %" PRId64,
                  options->scenario->name, options->seed, options->node_count,
                  options->length_us / MINUTES(1));
    if (options->events_max)
        (void)fprintf(out, " --events %" PRIu64, options->events_max);
    if (options->checks_all)
        (void)fprintf(out, " --check-all");
    if (options->disk != HOST_MODEL)
        (void)fprintf(out, " --disk %s", disk_names[options->disk]);
    if (options->shared_by > 1)
        (void)fprintf(out, " --shared %zu", options->shared_by);
    if (options->fault)
        (void)fprintf(out, " --fault %s", options->fault);
    (void)fprintf(out, "\n");
}

static uint32_t broken_at(const struct world *world)
{
    return world->trace.ring[(world->trace.count - 1) % TRACE_RING].a;
}

static void tell_failure(const struct world *world)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "BROKEN: %s\n\n", world->failure);
    trace_tell(&world->trace, broken_at(world), STORY_LINES, stderr);
    (void)fprintf(stderr, "\nafter %" PRIu64 " happenings of: ", world->event_count);
    print_command(&world->options, stderr);
}

/* One run. Whether an invariant broke; what it showed is printed when `out` is given. */
static bool run(const struct world_options *options, FILE *out, uint64_t *ret_events)
{
    clock_t began = clock();
    struct world *world = world_new(options);
    world_run(world);
    bool failed = world->failed;
    if (ret_events)
        *ret_events = world->event_count;
    if (out) {
        print_command(options, out);
        figures_print(world, out);
        (void)fprintf(out, "%-28s %" PRIu64 " happenings, %" PRIu64 " steps of nodes\n", "simulated",
                      world->event_count, world->step_count);
        int64_t cpu_ms = (int64_t)(clock() - began) * 1000 / CLOCKS_PER_SEC;
        int64_t hours = world->node_us / HOURS(1);
        (void)fprintf(out, "%-28s %" PRId64 " node-hours in %" PRId64 " ms of CPU: %" PRId64 " a second\n",
                      "speed", hours, cpu_ms, cpu_ms ? hours * 1000 / cpu_ms : 0);
        (void)fprintf(out, "%-28s %016" PRIx64 "\n", "hash", world->hash);
    }
    if (failed && out)
        tell_failure(world);
    world_free(world);
    return failed;
}

static bool fails_with(struct world_options options, size_t nodes, uint64_t *ret_events)
{
    options.node_count = nodes;
    bool failed = run(&options, NULL, ret_events);
    printf("%zu nodes: %s\n", nodes, failed ? "broken" : "holds");
    return failed;
}

/* The smallest network that still fails, then the run up to the happening that broke it. A smaller network is another network: that
 * one holds says nothing of those below it. So after halves, which find a small one soon, each below it is tried. */
static int bisect(struct world_options options, uint64_t seeds)
{
    uint64_t events = 0;
    options.checks_all = true; /* the earliest moment, not the next look */
    options.trace_path = NULL;
    for (; seeds > 0 && !run(&options, NULL, &events); seeds--)
        options.seed++;
    if (seeds == 0) {
        printf("nothing is broken\n");
        return 0;
    }
    size_t fails = options.node_count, passes = NODES_MIN - 1;
    while (fails - passes > 1 && fails > passes) {
        size_t between = passes + (fails - passes) / 2;
        *(fails_with(options, between, &events) ? &fails : &passes) = between;
    }
    size_t smallest = NODES_MIN;
    while (smallest < fails && !fails_with(options, smallest, &events))
        smallest++;
    fails = smallest;
    options.node_count = fails;
    (void)run(&options, NULL, &events);
    options.events_max = events;
    printf("smallest network %zu nodes, shortest run %" PRIu64 " happenings\n", fails, events);
    return run(&options, stdout, NULL) ? 1 : 2;
}

static struct arguments parse(int argc, char **argv)
{
    enum {
        SEED = 1,
        SEEDS,
        NODES,
        DAYS_,
        HOURS_,
        MINUTES_,
        SMALL,
        EVENTS,
        CHECK_ALL,
        TRACE,
        BISECT,
        DISK,
        SHARED,
        FAULT,
        LIST,
        HELP
    };
    static const struct option known[] = {
        { "seed", 1, NULL, SEED },   { "seeds", 1, NULL, SEEDS },   { "nodes", 1, NULL, NODES },
        { "days", 1, NULL, DAYS_ },  { "hours", 1, NULL, HOURS_ },  { "minutes", 1, NULL, MINUTES_ },
        { "small", 0, NULL, SMALL }, { "events", 1, NULL, EVENTS }, { "check-all", 0, NULL, CHECK_ALL },
        { "trace", 1, NULL, TRACE }, { "bisect", 0, NULL, BISECT }, { "fault", 1, NULL, FAULT },
        { "disk", 1, NULL, DISK },   { "shared", 1, NULL, SHARED }, { "list", 0, NULL, LIST },
        { "help", 0, NULL, HELP },   { NULL, 0, NULL, 0 },
    };
    struct arguments arguments = { .options = { .seed = 1, .shared_by = 1 }, .seeds = 1 };
    struct world_options *options = &arguments.options;
    bool small = false;
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case SEED:
            options->seed = number_of(optarg);
            break;
        case SEEDS:
            arguments.seeds = number_of(optarg);
            break;
        case NODES:
            options->node_count = number_of(optarg);
            break;
        case DAYS_:
            options->length_us += DAYS(number_of(optarg));
            break;
        case HOURS_:
            options->length_us += HOURS(number_of(optarg));
            break;
        case MINUTES_:
            options->length_us += MINUTES(number_of(optarg));
            break;
        case SMALL:
            small = true;
            break;
        case EVENTS:
            options->events_max = number_of(optarg);
            break;
        case CHECK_ALL:
            options->checks_all = true;
            break;
        case TRACE:
            options->trace_path = optarg;
            break;
        case BISECT:
            arguments.bisects = true;
            break;
        case DISK:
            options->disk = disk_of(optarg);
            break;
        case SHARED:
            options->shared_by = number_of(optarg);
            break;
        case FAULT:
            options->fault = fault_of(optarg);
            break;
        case LIST:
            list();
            exit(0);
        case HELP:
            (void)fputs(usage_text, stdout);
            exit(0);
        default:
            (void)fputs(usage_text, stderr);
            exit(2);
        }
    }
    if (optind + 1 != argc) {
        (void)fprintf(stderr, "peercache-sim: one scenario is to be named\n%s", usage_text);
        exit(2);
    }
    options->scenario = scenario_find(argv[optind]);
    if (!options->scenario) {
        (void)fprintf(stderr, "peercache-sim: no such scenario: %s; --list tells them\n", argv[optind]);
        exit(2);
    }
    if (options->node_count == 0)
        options->node_count = small ? options->scenario->small_count : options->scenario->node_count;
    if (options->length_us == 0)
        options->length_us = small ? options->scenario->small_us : options->scenario->length_us;
    options->checks_all |= small;
    if (options->node_count < NODES_MIN || options->length_us == 0) {
        (void)fprintf(stderr, "peercache-sim: four nodes at least, and some time\n");
        exit(2);
    }
    if (options->shared_by == 0 || (options->shared_by > 1 && options->disk == HOST_MODEL)) {
        (void)fprintf(stderr,
                      "peercache-sim: a model is nobody else's; --shared is of --disk sqlite or json\n");
        exit(2);
    }
    if (options->fault && strcmp(options->fault, "sync") == 0 && options->disk == HOST_MODEL) {
        (void)fprintf(stderr,
                      "peercache-sim: a model syncs nothing; --fault sync is of --disk sqlite or json\n");
        exit(2);
    }
    return arguments;
}

int main(int argc, char **argv)
{
    struct arguments arguments = parse(argc, argv);
    if (arguments.bisects)
        return bisect(arguments.options, arguments.seeds);
    if (arguments.seeds == 1)
        return run(&arguments.options, stdout, NULL) ? 1 : 0;
    for (uint64_t i = 0; i < arguments.seeds; i++) {
        if (run(&arguments.options, NULL, NULL)) {
            (void)run(&arguments.options, stdout, NULL); /* again, to tell it: it repeats */
            return 1;
        }
        arguments.options.seed++;
    }
    printf("%" PRIu64 " seeds of %s hold\n", arguments.seeds, arguments.options.scenario->name);
    return 0;
}
