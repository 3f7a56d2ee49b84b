/*
 * The Kademlia room: what FIND_NODE costs before it is a message (hash the key, find the 20 closest), what a
 * verified peer costs, and the search for targets. Figures are of processor time, and read, not asserted.
 */
#include "base/rng.h"
#include "kad/table.h"
#include "kad/targets.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS  5 /* the least counts: the machine is shared */
#define LOOKUPS 200000
#define ASKED   1024 /* keys asked for, in turn */

static double cpu_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct pc_peer_id id_of(uint32_t number)
{
    struct pc_peer_id id = { .size = 38, .bytes = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 } };
    memcpy(id.bytes + 6, &number, sizeof(number));
    return id;
}

static struct pc_kad_table *table_of(uint32_t network)
{
    struct pc_kad_table *table;
    struct pc_kad_table_options options = { .own_id = id_of(UINT32_MAX) };
    struct pc_maddr addr = { .size = 1, .bytes = { 1 } };
    if (pc_kad_table_new(&options, &table))
        exit(1);
    for (uint32_t i = 0; i < network; i++) {
        enum pc_kad_place place;
        struct pc_kad_contact contact = { id_of(i), { 0 }, &addr, 1 };
        if (pc_kad_table_verified(table, &contact, i, &place))
            exit(1);
    }
    return table;
}

/* The least of some rounds, for one. */
static double closest_us(const struct pc_kad_table *table, bool with_hash, size_t *ret_found)
{
    static struct pc_peer_id asked[ASKED];
    static struct pc_kad_key keys[ASKED];
    double least = 1e9;
    for (uint32_t i = 0; i < ASKED; i++) {
        asked[i] = id_of(i * 7919);
        keys[i] = pc_kad_key_of_peer(&asked[i]);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        double start = cpu_us();
        size_t found = 0;
        for (uint32_t i = 0; i < LOOKUPS; i++) {
            const struct pc_kad_entry *entries[PC_KAD_K];
            struct pc_kad_key hashed = keys[i % ASKED];
            if (with_hash)
                hashed = pc_kad_key_of_peer(&asked[i % ASKED]);
            found += pc_kad_table_closest(table, &hashed, entries, PC_KAD_K);
        }
        double took = (cpu_us() - start) / LOOKUPS;
        least = took < least ? took : least;
        *ret_found = found / LOOKUPS;
    }
    return least;
}

static void bench_table(uint32_t network)
{
    size_t before = mallinfo2().uordblks, found;
    double start = cpu_us();
    struct pc_kad_table *table = table_of(network);
    double filled = (cpu_us() - start) / network;
    size_t bytes = mallinfo2().uordblks - before;
    double bare = closest_us(table, false, &found), hashed = closest_us(table, true, &found);
    printf("  network of %7u: %3zu in the table (%4zu KB), verified %5.2f us, %zu closest %5.2f us, with the "
           "key's hash %5.2f us\n",
           network, pc_kad_table_count(table), bytes / 1024, filled, found, bare, hashed);
    pc_kad_table_free(table);
}

static void bench_targets(void)
{
    double least = 1e9, total = 0;
    for (uint32_t round = 0; round < 4 * ROUNDS; round++) {
        struct pc_kad_targets targets;
        struct pc_rng rng;
        struct pc_peer_id own_id = id_of(round);
        pc_base_rng_init_u64(&rng, round);
        double start = cpu_us();
        pc_kad_targets_init(&targets, &own_id, &rng);
        while (!pc_kad_targets_reach(&targets, PC_KAD_TARGETS - 1))
            pc_kad_targets_step(&targets, 1000, PC_KAD_TARGETS - 1);
        double took = cpu_us() - start;
        total += took;
        least = took < least ? took : least;
    }
    printf("  targets of 16 buckets: %.1f ms on average (least %.1f ms)\n", total / (4 * ROUNDS) / 1e3,
           least / 1e3);
}

int main(void)
{
    printf("the routing table:\n");
    bench_table(100);
    bench_table(1000);
    bench_table(10000);
    bench_table(1000000);
    bench_targets();
    return 0;
}
