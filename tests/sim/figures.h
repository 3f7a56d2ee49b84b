/* What a run shows, in integers. */
#ifndef TESTS_SIM_FIGURES_H
#define TESTS_SIM_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct samples {
    int64_t *values;
    size_t count;
    size_t capacity;
};

void samples_add(struct samples *samples, int64_t value);
void samples_deinit(struct samples *samples);
/* The value below which so many of a hundred lie; -1 when there is none. Sorts. */
int64_t samples_percentile(struct samples *samples, unsigned percent);

struct figures {
    uint64_t lives;          /* joins tried: processes started */
    uint64_t lives_joined;   /* of them, with one verified peer at least */
    uint64_t lives_at_five;  /* with the target */
    uint64_t rejoins;        /* joins beyond the first of a life */
    struct samples first_us; /* from the start of a process */
    struct samples fifth_us;
    struct samples served_us; /* of those who find out by themselves that they can serve */
    uint64_t dials;
    uint64_t dials_failed;
    uint64_t fetches;
    uint64_t questions;
    uint64_t commits;
    uint64_t bytes_written;
    uint64_t syncs;    /* of a real store: of its files and their directory */
    uint64_t taken_in; /* records of others, from a shared cache */
    uint64_t kills;
    uint64_t requests;
    uint64_t requests_failed;

    /* looked at now and then */
    uint64_t autos;           /* who find out by themselves whether they can serve */
    uint64_t autos_right;     /* of them, that do what they should */
    uint64_t neighbours_true; /* of those who are the closest and live */
    uint64_t neighbours_held; /* of them, in the table */
    uint64_t picks;
    uint64_t picks_alive;
    uint64_t picks_of_attacker;
    uint64_t table_entries;
    uint64_t table_of_attacker;
};

void figures_deinit(struct figures *figures);

struct world;
struct machine;
/* After a step of a process that has fewer than five verified peers: has it more now? */
void figures_verified(struct machine *machine);
/* Look at tables and caches of all who run. */
void figures_look(struct world *world);
void figures_print(struct world *world, FILE *out);

#endif
