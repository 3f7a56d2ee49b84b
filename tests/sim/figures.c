#include "figures.h"

#include "node/internal.h"

#include "world.h"

#include <inttypes.h>
#include <stdlib.h>

#define LOOKED_AT_MOST 120 /* machines, each time */
#define SETTLED_US     MINUTES(10)
#define PICKS          10

void samples_add(struct samples *samples, int64_t value)
{
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity ? 2 * samples->capacity : 256;
        int64_t *values = realloc(samples->values, samples->capacity * sizeof(*values));
        if (!values)
            exit(2);
        samples->values = values;
    }
    samples->values[samples->count++] = value;
}

void samples_deinit(struct samples *samples)
{
    free(samples->values);
}

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int64_t samples_percentile(struct samples *samples, unsigned percent)
{
    if (samples->count == 0)
        return -1;
    qsort(samples->values, samples->count, sizeof(*samples->values), by_value);
    size_t at = samples->count * percent / 100;
    return samples->values[at < samples->count ? at : samples->count - 1];
}

void figures_deinit(struct figures *figures)
{
    samples_deinit(&figures->first_us);
    samples_deinit(&figures->fifth_us);
    samples_deinit(&figures->served_us);
}

/* ----- looking ----- */

void figures_verified(struct machine *machine)
{
    const struct pc_node *node = machine->node;
    struct figures *figures = &machine->world->figures;
    uint32_t verified = node->plan ? pc_plan_verified_count(node->plan) : 0;
    int64_t since_us = machine->world->now_us - machine->started_us;
    if (verified >= 1 && machine->first_verified_us < 0) {
        machine->first_verified_us = since_us;
        figures->lives_joined++;
        samples_add(&figures->first_us, since_us);
    }
    if (verified >= 5) {
        machine->fifth_verified_us = since_us;
        figures->lives_at_five++;
        samples_add(&figures->fifth_us, since_us);
    }
}

/* Of those that live and can be reached from here, the closest to it: how many has it in its table? */
static void look_at_neighbours(struct world *world, const struct machine *machine)
{
    const struct machine *best[PC_KAD_K];
    size_t count = 0;
    for (size_t i = 0; i < world->machine_count; i++) {
        const struct machine *other = world->machines[i];
        bool honest = other->persona == HONEST || other->persona == MODEL;
        if (other == machine || !honest || !machine_answers(other) || !net_passes(world, machine, other) ||
            !net_passes(world, other, machine))
            continue;
        size_t at = count;
        while (at > 0 && pc_kad_key_compare(&machine->key, &other->key, &best[at - 1]->key) < 0)
            at--;
        if (at == PC_KAD_K)
            continue;
        size_t moved = (count < PC_KAD_K ? count : PC_KAD_K - 1) - at;
        memmove(&best[at + 1], &best[at], moved * sizeof(best[0]));
        best[at] = other;
        count += count < PC_KAD_K;
    }
    for (size_t i = 0; i < count; i++)
        world->figures.neighbours_held += pc_kad_table_find(machine->node->table, &best[i]->id) != NULL;
    world->figures.neighbours_true += count;
}

static void look_at_picks(struct world *world, const struct machine *machine)
{
    struct pc_pick picks[PICKS];
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, 1 + machine->number);
    size_t count = pc_cache_set_pick(machine->node->set, &rng, machine->clock.wall_ms, true, picks, PICKS);
    for (size_t i = 0; i < count; i++) {
        struct pc_ip_port at;
        bool used;
        (void)pc_addr_classify(pc_addr_maddr_bytes(&picks[i].addr), &at);
        const struct machine *there = place_find(world, &at, &used);
        bool lives = there && machine_answers(there) && pc_addr_peer_id_equal(&there->id, &picks[i].id);
        world->figures.picks_alive += lives;
        world->figures.picks_of_attacker += there && there->persona == ATTACKER;
    }
    world->figures.picks += count;
}

static void look_at_table(struct world *world, const struct machine *machine)
{
    const struct pc_kad_table *table = machine->node->table;
    for (const struct pc_kad_entry *entry = pc_kad_table_next(table, NULL); entry;
         entry = pc_kad_table_next(table, entry)) {
        struct pc_ip_port at;
        bool used;
        (void)pc_addr_classify(pc_addr_maddr_bytes(&entry->addrs[0]), &at);
        const struct machine *there = place_find(world, &at, &used);
        world->figures.table_entries++;
        world->figures.table_of_attacker += there && there->persona == ATTACKER;
    }
}

void figures_look(struct world *world)
{
    size_t counting = 0, number = 0;
    for (size_t i = 0; i < world->machine_count; i++)
        counting += world->machines[i]->counts;
    size_t stride = 1 + counting / LOOKED_AT_MOST;
    for (size_t i = 0; i < world->machine_count; i++) {
        const struct machine *machine = world->machines[i];
        if (!machine->counts || number++ % stride > 0)
            continue;
        if (!machine_runs(machine) || world->now_us - machine->started_us < SETTLED_US)
            continue;
        world->figures.autos += machine->is_auto;
        world->figures.autos_right += machine->is_auto && machine->is_server == !machine->is_hidden;
        look_at_neighbours(world, machine);
        look_at_picks(world, machine);
        look_at_table(world, machine);
    }
}

/* ----- telling ----- */

static void print_share(FILE *out, const char *name, uint64_t part, uint64_t whole)
{
    if (whole == 0) {
        (void)fprintf(out, "%-28s none\n", name);
        return;
    }
    uint64_t per_mille = part * 1000 / whole;
    (void)fprintf(out, "%-28s %" PRIu64 ".%" PRIu64 " %% (%" PRIu64 " of %" PRIu64 ")\n", name,
                  per_mille / 10, per_mille % 10, part, whole);
}

static void print_times(FILE *out, const char *name, struct samples *samples)
{
    (void)fprintf(out, "%-28s", name);
    if (samples->count == 0) {
        (void)fprintf(out, " never\n");
        return;
    }
    (void)fprintf(out, " median %" PRId64 " ms, 95th %" PRId64 " ms, worst %" PRId64 " ms\n",
                  samples_percentile(samples, 50) / 1000, samples_percentile(samples, 95) / 1000,
                  samples_percentile(samples, 100) / 1000);
}

void figures_print(struct world *world, FILE *out)
{
    struct figures *f = &world->figures;
    print_share(out, "joins made of those tried", f->lives_joined, f->lives);
    print_share(out, "with five verified", f->lives_at_five, f->lives);
    (void)fprintf(out, "%-28s %" PRIu64 "\n", "joined again", f->rejoins);
    print_times(out, "to 1 verified peer", &f->first_us);
    print_times(out, "to 5 verified peers", &f->fifth_us);
    print_share(out, "dials wasted", f->dials_failed, f->dials);
    print_share(out, "questions unanswered", f->requests_failed, f->requests);
    (void)fprintf(out, "%-28s %" PRIu64 "\n", "endpoint requests", f->fetches);
    bool is_model = world->options.disk == HOST_MODEL;
    (void)fprintf(out, "%-28s %" PRIu64 " in %" PRIu64 " commits\n",
                  is_model ? "bytes to disk (news, packed)" : "bytes to disk", f->bytes_written, f->commits);
    if (!is_model)
        (void)fprintf(out, "%-28s %" PRIu64 "\n%-28s %" PRIu64 "\n", "syncs", f->syncs, "taken in of others",
                      f->taken_in);
    print_share(out, "true neighbours in tables", f->neighbours_held, f->neighbours_true);
    print_share(out, "picked peers that live", f->picks_alive, f->picks);
    print_share(out, "picks of the attacker's", f->picks_of_attacker, f->picks);
    print_share(out, "tables the attacker's", f->table_of_attacker, f->table_entries);
    (void)fprintf(out, "%-28s %" PRIu64 "\n", "processes killed", f->kills);
    if (f->autos == 0)
        return;
    print_times(out, "to serving", &f->served_us);
    print_share(out, "modes found right", f->autos_right, f->autos);
}
