/*
 * Lookups in whole networks of 1,000 and 10,000 nodes, in virtual time. A node knows what Kademlia lets it
 * know: of each of its buckets up to k peers, picked at random, the dead ones too. Hostile nodes answer only
 * with ids of their owner, made for the target. Requests and times are printed.
 */
#include "check.h"

#include "base/rng.h"
#include "kad/lookup.h"
#include "kad_peers.h"

#include <stdlib.h>
#include <string.h>

#define SYBILS      60
#define SYBIL_BITS  14 /* that each shares with the target: nearer than any of 10,000 honest nodes */
#define FIRST_SYBIL 1000000
#define HOSTILE     60000 /* the group of all that the attacker has */
#define KNOWN_MAX   600   /* by one node */

struct node {
    struct pc_kad_key key;
    bool is_dead;
    bool is_late; /* answers only after the deadline */
    bool is_hostile;
    uint32_t group;
    uint16_t known_count;
    uint16_t *known; /* indices */
};

struct network {
    size_t size;
    struct node *nodes; /* by key; the number of a node is its index and 1 */
    struct pc_peer_id *ids;
    uint32_t sybils[SYBILS]; /* numbers */
    struct pc_rng rng;
};

struct keyed {
    struct pc_kad_key key;
    struct pc_peer_id id;
};

static int by_key(const void *a, const void *b)
{
    return memcmp(((const struct keyed *)a)->key.bytes, ((const struct keyed *)b)->key.bytes, 32);
}

static bool bit_of(const struct pc_kad_key *key, unsigned bit)
{
    return key->bytes[bit / 8] & 0x80 >> bit % 8;
}

/* Up to k of [low, high), at random. */
static void know_some_of(struct network *network, struct node *node, size_t low, size_t high)
{
    size_t count = high - low < PC_KAD_K ? high - low : PC_KAD_K;
    size_t stride = (high - low) / PC_KAD_K ? (high - low) / PC_KAD_K : 1;
    for (size_t i = 0; i < count; i++) /* one of each of k stretches: never the same twice */
        node->known[node->known_count++] =
            (uint16_t)(low + i * stride + pc_base_rng_below(&network->rng, stride));
}

static void fill_table(struct network *network, size_t index)
{
    uint16_t known[KNOWN_MAX];
    struct node *node = &network->nodes[index];
    size_t low = 0, high = network->size;
    node->known = known;
    for (unsigned bit = 0; high - low > 1; bit++) {
        size_t a = low, b = high; /* where the bit becomes 1 */
        while (a < b) {
            size_t middle = a + (b - a) / 2;
            if (bit_of(&network->nodes[middle].key, bit))
                b = middle;
            else
                a = middle + 1;
        }
        bool is_high = bit_of(&node->key, bit);
        know_some_of(network, node, is_high ? low : a, is_high ? a : high);
        assert_true(node->known_count <= KNOWN_MAX - PC_KAD_K);
        low = is_high ? a : low;
        high = is_high ? high : a;
    }
    node->known = malloc(node->known_count * sizeof(known[0]));
    assert_non_null(node->known);
    memcpy(node->known, known, node->known_count * sizeof(known[0]));
}

static void network_init(struct network *network, size_t size, unsigned dead_percent,
                         unsigned hostile_percent, uint64_t seed)
{
    struct keyed *keyed = calloc(size, sizeof(*keyed));
    pc_base_rng_init_u64(&network->rng, seed);
    network->size = size;
    network->nodes = calloc(size, sizeof(*network->nodes));
    network->ids = calloc(size, sizeof(*network->ids));
    assert_true(keyed && network->nodes && network->ids);
    for (size_t i = 0; i < size; i++) {
        keyed[i].id = kad_id((uint32_t)(i + 1));
        keyed[i].key = pc_kad_key_of_peer(&keyed[i].id);
    }
    qsort(keyed, size, sizeof(*keyed), by_key);
    for (size_t i = 0; i < size; i++) {
        struct node *node = &network->nodes[i];
        network->ids[i] = keyed[i].id;
        node->key = keyed[i].key;
        node->is_dead = pc_base_rng_below(&network->rng, 100) < dead_percent;
        node->is_late = dead_percent > 0 && pc_base_rng_below(&network->rng, 50) == 0;
        node->is_hostile = pc_base_rng_below(&network->rng, 100) < hostile_percent;
        node->group = node->is_hostile ? HOSTILE : (uint32_t)pc_base_rng_below(&network->rng, 5000);
    }
    free(keyed);
    for (size_t i = 0; i < size; i++)
        fill_table(network, i);
}

static void network_deinit(struct network *network)
{
    for (size_t i = 0; i < network->size; i++)
        free(network->nodes[i].known);
    free(network->nodes);
    free(network->ids);
}

/* The attacker makes ids until he has enough that are nearer to the target than honest ones. */
static void make_sybils(struct network *network, const struct pc_kad_key *target)
{
    size_t made = 0;
    for (uint32_t number = FIRST_SYBIL; made < SYBILS; number++) {
        struct pc_kad_key key = kad_key(number);
        if (pc_kad_key_common_prefix(target, &key) >= SYBIL_BITS)
            network->sybils[made++] = number;
    }
}

/* The index of a node; the size of the network for a sybil. */
static size_t index_of(const struct network *network, const struct pc_kad_entry *entry)
{
    size_t low = 0, high = network->size;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(network->nodes[middle].key.bytes, entry->key.bytes, 32) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < network->size && memcmp(network->nodes[low].key.bytes, entry->key.bytes, 32) == 0
               ? low
               : network->size;
}

/* Put a node among the k nearest found so far. */
static size_t keep_nearest(const struct network *network, const struct pc_kad_key *target, size_t node,
                           size_t *nearest, size_t count)
{
    size_t at = count;
    while (at > 0 &&
           pc_kad_key_compare(target, &network->nodes[node].key, &network->nodes[nearest[at - 1]].key) < 0)
        at--;
    if (at == PC_KAD_K)
        return count;
    if (count < PC_KAD_K)
        count++;
    memmove(&nearest[at + 1], &nearest[at], (count - at - 1) * sizeof(nearest[0]));
    nearest[at] = node;
    return count;
}

static struct pc_kad_contact contact_of(const struct network *network, size_t node)
{
    struct pc_kad_contact contact = kad_contact(0, network->nodes[node].group);
    contact.id = network->ids[node];
    return contact;
}

static size_t answer_of(const struct network *network, size_t index, const struct pc_kad_key *target,
                        struct pc_kad_contact ret_contacts[SYBILS])
{
    size_t nearest[PC_KAD_K], count = 0;
    if (index == network->size || network->nodes[index].is_hostile) {
        for (size_t i = 0; i < SYBILS; i++)
            ret_contacts[i] = kad_contact(network->sybils[i], HOSTILE);
        return SYBILS;
    }
    const struct node *node = &network->nodes[index];
    for (size_t i = 0; i < node->known_count; i++)
        count = keep_nearest(network, target, node->known[i], nearest, count);
    for (size_t i = 0; i < count; i++)
        ret_contacts[i] = contact_of(network, nearest[i]);
    return count;
}

struct flight {
    struct pc_peer_id id;
    size_t node;
    int64_t answer_at_us; /* NEVER: it is dead */
    bool is_overdue;
};

struct flights {
    size_t count;
    size_t in_time; /* not overdue */
    struct flight flights[PC_KAD_LOOKUP_MAX_REQUESTS];
};

static void ask(struct network *network, struct flights *flights, const struct pc_kad_entry *entry,
                int64_t now_us)
{
    struct flight *flight = &flights->flights[flights->count++];
    flight->id = entry->id;
    flight->node = index_of(network, entry);
    flight->is_overdue = false;
    bool is_dead = flight->node < network->size && network->nodes[flight->node].is_dead;
    bool is_late = flight->node < network->size && network->nodes[flight->node].is_late;
    int64_t rtt_us = 20000 + (int64_t)pc_base_rng_below(&network->rng, 280000);
    flight->answer_at_us =
        is_dead ? PC_TIME_NEVER : now_us + rtt_us + (is_late ? PC_KAD_REQUEST_TIMEOUT_US : 0);
    assert_true(++flights->in_time <= PC_KAD_ALPHA);
}

static struct flight *first_to_land(struct flights *flights)
{
    struct flight *first = NULL;
    for (size_t i = 0; i < flights->count; i++)
        if (!first || flights->flights[i].answer_at_us < first->answer_at_us)
            first = &flights->flights[i];
    return first;
}

static void give_up(struct flights *flights, const struct pc_kad_entry *entry)
{
    assert_non_null(entry);
    for (size_t i = 0; i < flights->count; i++)
        flights->flights[i].is_overdue |= pc_addr_peer_id_equal(&flights->flights[i].id, &entry->id);
    flights->in_time--;
}

/* Run to the end; returns the virtual time it took. */
static int64_t run(struct network *network, struct pc_kad_lookup *lookup, const struct pc_kad_key *target)
{
    struct flights flights = { 0 };
    int64_t now_us = 0;
    for (;;) {
        for (const struct pc_kad_entry *entry; (entry = pc_kad_lookup_next(lookup, now_us));)
            ask(network, &flights, entry, now_us);
        if (pc_kad_lookup_done(lookup))
            return now_us;
        struct flight *landing = first_to_land(&flights);
        assert_non_null(landing);
        int64_t deadline_us = pc_kad_lookup_deadline_us(lookup);
        if (deadline_us <= landing->answer_at_us) {
            assert_true(deadline_us < PC_TIME_NEVER);
            now_us = deadline_us;
            give_up(&flights, pc_kad_lookup_overdue(lookup, now_us));
            continue;
        }
        struct pc_kad_contact contacts[SYBILS];
        size_t count = answer_of(network, landing->node, target, contacts);
        now_us = landing->answer_at_us;
        assert_int_equal(pc_kad_lookup_answered(lookup, &landing->id, contacts, count), 0);
        flights.in_time -= !landing->is_overdue;
        *landing = flights.flights[--flights.count];
    }
}

/* What one lookup came to. */
struct outcome {
    size_t requests;
    int64_t took_us;
    size_t found;                                 /* of k */
    const struct pc_kad_entry *entries[PC_KAD_K]; /* until the lookup is freed */
    size_t sybils;
};

static struct pc_kad_lookup *look_up(struct network *network, const struct pc_kad_key *target, unsigned beta,
                                     unsigned group_max, struct outcome *ret_outcome)
{
    struct pc_kad_lookup *lookup;
    struct pc_kad_lookup_options options = {
        .target = *target,
        .own_id = kad_id(0),
        .alpha = PC_KAD_ALPHA,
        .beta = beta,
        .group_max = group_max,
        .request_timeout_us = PC_KAD_REQUEST_TIMEOUT_US,
    };
    assert_int_equal(pc_kad_lookup_new(&options, &lookup), 0);
    for (size_t seeds = 0; seeds < 5;) {
        size_t node = pc_base_rng_below(&network->rng, network->size);
        struct pc_kad_contact contact = contact_of(network, node);
        if (network->nodes[node].is_dead || network->nodes[node].is_hostile)
            continue;
        assert_int_equal(pc_kad_lookup_add(lookup, &contact), 0);
        seeds++;
    }
    ret_outcome->took_us = run(network, lookup, target);
    ret_outcome->requests = pc_kad_lookup_request_count(lookup);
    ret_outcome->found = pc_kad_lookup_closest(lookup, ret_outcome->entries, PC_KAD_K);
    ret_outcome->sybils = 0;
    for (size_t i = 0; i < ret_outcome->found; i++) {
        size_t node = index_of(network, ret_outcome->entries[i]);
        ret_outcome->sybils += node == network->size || network->nodes[node].is_hostile;
    }
    return lookup;
}

static bool holds(const struct network *network, const struct outcome *outcome, size_t node)
{
    for (size_t i = 0; i < outcome->found; i++)
        if (index_of(network, outcome->entries[i]) == node)
            return true;
    return false;
}

/* The k closest nodes, the dead included or not; hostile ones never. */
static size_t true_closest(const struct network *network, const struct pc_kad_key *target, bool dead_too,
                           size_t ret_nodes[PC_KAD_K])
{
    size_t count = 0;
    for (size_t i = 0; i < network->size; i++)
        if (!network->nodes[i].is_hostile && (dead_too || !network->nodes[i].is_dead))
            count = keep_nearest(network, target, i, ret_nodes, count);
    return count;
}

struct tally {
    size_t lookups;
    size_t requests;
    size_t requests_most;
    size_t right; /* of the true k closest */
    int64_t took_us;
};

static void count_in(struct tally *tally, const struct network *network, const struct outcome *outcome,
                     const size_t *nodes, size_t count)
{
    tally->lookups++;
    tally->requests += outcome->requests;
    tally->took_us += outcome->took_us;
    if (tally->requests_most < outcome->requests)
        tally->requests_most = outcome->requests;
    for (size_t i = 0; i < count; i++)
        tally->right += holds(network, outcome, nodes[i]);
}

static void print(const struct tally *tally, size_t size, const char *what)
{
    printf(
        "# %zu nodes, %s: %zu requests a lookup (most %zu), %zu of 100 of the closest live found, %lld ms\n",
        size, what, tally->requests / tally->lookups, tally->requests_most,
        tally->right * 100 / (tally->lookups * PC_KAD_K),
        (long long)(tally->took_us / 1000 / (int64_t)tally->lookups));
}

static const size_t sizes[] = { 1000, 10000 };

#define LOOKUPS 25

static void finds_exactly_the_k_closest(void **state)
{
    (void)state;
    for (size_t s = 0; s < 2; s++) {
        struct network network;
        struct tally tally = { 0 }, quick = { 0 };
        network_init(&network, sizes[s], 0, 0, 31 + s);
        for (size_t i = 0; i < LOOKUPS; i++) {
            struct pc_kad_key target;
            struct outcome outcome;
            size_t nodes[PC_KAD_K];
            pc_base_rng_bytes(&network.rng, target.bytes, sizeof(target.bytes));
            assert_int_equal(true_closest(&network, &target, true, nodes), PC_KAD_K);
            struct pc_kad_lookup *lookup = look_up(&network, &target, PC_KAD_BETA, 0, &outcome);
            assert_int_equal(outcome.found, PC_KAD_K);
            for (size_t j = 0; j < PC_KAD_K; j++)
                assert_int_equal(index_of(&network, outcome.entries[j]), nodes[j]);
            assert_true(outcome.requests < 100); /* far from asking everyone */
            count_in(&tally, &network, &outcome, nodes, PC_KAD_K);
            pc_kad_lookup_free(lookup);

            lookup = look_up(&network, &target, PC_KAD_BETA_REFRESH, 0, &outcome);
            assert_int_equal(index_of(&network, outcome.entries[0]), nodes[0]);
            assert_true(outcome.requests < 60);
            count_in(&quick, &network, &outcome, nodes, PC_KAD_K);
            pc_kad_lookup_free(lookup);
        }
        print(&tally, sizes[s], "all alive");
        print(&quick, sizes[s], "all alive, beta 3");
        network_deinit(&network);
    }
}

/* Answers of 20 hold dead ones, so nobody may have told of the last few of the 20 closest that live: but of
 * the 20 closest of all, those that live are found. One in 50 answers too late; who does may be missed. */
static void finds_those_that_live_among_the_dead(void **state)
{
    (void)state;
    for (size_t s = 0; s < 2; s++) {
        struct network network;
        struct tally tally = { 0 };
        network_init(&network, sizes[s], 30, 0, 41 + s);
        for (size_t i = 0; i < LOOKUPS; i++) {
            struct pc_kad_key target;
            struct outcome outcome;
            size_t nodes[PC_KAD_K];
            pc_base_rng_bytes(&network.rng, target.bytes, sizeof(target.bytes));
            struct pc_kad_lookup *lookup = look_up(&network, &target, PC_KAD_BETA, 0, &outcome);
            assert_int_equal(outcome.found, PC_KAD_K);
            assert_true(outcome.requests < 150);
            true_closest(&network, &target, true, nodes);
            for (size_t j = 0; j < PC_KAD_K; j++)
                if (!network.nodes[nodes[j]].is_late)
                    assert_int_equal(holds(&network, &outcome, nodes[j]), !network.nodes[nodes[j]].is_dead);
            true_closest(&network, &target, false, nodes);
            count_in(&tally, &network, &outcome, nodes, PC_KAD_K);
            pc_kad_lookup_free(lookup);
        }
        print(&tally, sizes[s], "30 % dead");
        network_deinit(&network);
    }
}

/*
 * One node in ten belongs to an attacker, who answers every request with ids of his own alone, made to be
 * nearer to the target than any honest one. All of it lies in one network. Without a limit he has the
 * whole result; with one he has the places that a group may have, and the honest closest have the rest.
 */
static void an_attacker_gets_no_more_than_his_groups_share(void **state)
{
    (void)state;
    for (size_t s = 0; s < 2; s++) {
        struct network network;
        struct tally limited = { 0 }, unlimited = { 0 };
        network_init(&network, sizes[s], 0, 10, 51 + s);
        for (size_t i = 0; i < LOOKUPS; i++) {
            static struct pc_kad_key target;
            struct outcome outcome;
            size_t nodes[PC_KAD_K];
            if (i % 5 == 0) {
                pc_base_rng_bytes(&network.rng, target.bytes, sizeof(target.bytes));
                make_sybils(&network, &target);
            }
            true_closest(&network, &target, true, nodes);
            struct pc_kad_lookup *lookup =
                look_up(&network, &target, PC_KAD_BETA, PC_KAD_LOOKUP_GROUP_MAX, &outcome);
            assert_int_equal(outcome.found, PC_KAD_K);
            assert_true(outcome.sybils <= PC_KAD_LOOKUP_GROUP_MAX);
            for (size_t j = 0; j < PC_KAD_K - PC_KAD_LOOKUP_GROUP_MAX; j++)
                assert_true(holds(&network, &outcome, nodes[j]));
            assert_true(outcome.requests < 100);
            count_in(&limited, &network, &outcome, nodes, PC_KAD_K);
            pc_kad_lookup_free(lookup);

            lookup = look_up(&network, &target, PC_KAD_BETA, 0, &outcome);
            count_in(&unlimited, &network, &outcome, nodes, PC_KAD_K);
            assert_int_equal(outcome.sybils, PC_KAD_K);
            pc_kad_lookup_free(lookup);
        }
        print(&limited, sizes[s], "10 % hostile, at most 5 of a group");
        print(&unlimited, sizes[s], "10 % hostile, no limit");
        network_deinit(&network);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_exactly_the_k_closest),
        cmocka_unit_test(finds_those_that_live_among_the_dead),
        cmocka_unit_test(an_attacker_gets_no_more_than_his_groups_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
