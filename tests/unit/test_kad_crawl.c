/*
 * Crawls of whole networks without a network: nodes know of each of their buckets up to k peers, the dead ones too, and
 * answer with the k closest that they know. Some are dead, some lie.
 */
#include "check.h"

#include "kad/crawl.h"
#include "kad_peers.h"

#include <stdlib.h>

#define SELF        4000000
#define FIRST_SYBIL 2000000 /* numbers from here on are an attacker's */
#define KNOWN_MAX   600
#define CONCURRENCY 50

enum habit {
    ANSWERS,
    DEAD,
    MUTE,      /* opens, and answers nothing */
    MALFORMED, /* opens, and breaks the protocol */
    SYBIL,     /* answers with new ids of its owner, who all live */
};

struct node {
    uint32_t number;
    struct pc_kad_key key;
    enum habit habit;
    unsigned dials;
    bool met;
    uint16_t known_count;
    uint16_t known[KNOWN_MAX]; /* indices */
};

static struct node *nodes; /* by key */
static size_t node_count;
static struct pc_rng rng;
static uint32_t next_sybil;
static unsigned sybil_dials;

/* A network group for every 40 of them, so 25 groups in 1,000 nodes; the attacker's are all in one. */
static struct pc_ip_port addr_of(uint32_t number)
{
    struct pc_ip_port addr = { .family = 4, .ip = { 20, 0, 0, 0 }, .port = 4001 };
    addr.ip[1] = (uint8_t)(number / 40);
    if (number >= FIRST_SYBIL)
        addr.ip[0] = 66, addr.ip[1] = 66;
    addr.ip[2] = (uint8_t)(number >> 8);
    addr.ip[3] = (uint8_t)number;
    return addr;
}

static int by_key(const void *a, const void *b)
{
    return memcmp(((const struct node *)a)->key.bytes, ((const struct node *)b)->key.bytes, 32);
}

/* Of each bucket k at random, or all; nodes are sorted by key, so a bucket is a stretch of them. */
static void fill_table(struct node *node)
{
    size_t in_bucket[PC_KAD_BUCKETS] = { 0 };
    for (size_t i = 0; i < node_count; i++) { /* reservoir sampling, a bucket each */
        unsigned bucket = pc_kad_key_common_prefix(&node->key, &nodes[i].key);
        if (&nodes[i] == node)
            continue;
        size_t seen = in_bucket[bucket]++;
        if (seen < PC_KAD_K) {
            node->known[node->known_count++] = (uint16_t)i;
            assert_true(node->known_count < KNOWN_MAX);
            continue;
        }
        size_t at = pc_base_rng_below(&rng, seen + 1);
        for (size_t j = 0; at < PC_KAD_K && j < node->known_count; j++)
            if (pc_kad_key_common_prefix(&node->key, &nodes[node->known[j]].key) == bucket && at-- == 0) {
                node->known[j] = (uint16_t)i;
                break;
            }
    }
}

static void make_network(size_t count, unsigned dead_percent)
{
    pc_base_rng_init_u64(&rng, count + dead_percent);
    node_count = count;
    next_sybil = FIRST_SYBIL;
    sybil_dials = 0;
    nodes = calloc(count, sizeof(*nodes));
    assert_non_null(nodes);
    for (size_t i = 0; i < count; i++) {
        nodes[i].number = (uint32_t)i + 1;
        nodes[i].key = kad_key(nodes[i].number);
    }
    qsort(nodes, count, sizeof(*nodes), by_key);
    for (size_t i = 0; i < count; i++) {
        nodes[i].habit = pc_base_rng_below(&rng, 100) < dead_percent ? DEAD : ANSWERS;
        fill_table(&nodes[i]);
    }
}

static int drop_network(void **state)
{
    (void)state;
    free(nodes);
    nodes = NULL;
    return 0;
}

static struct node *node_of(const struct pc_peer_id *id)
{
    struct node wanted = { .key = pc_kad_key_of_peer(id) };
    return bsearch(&wanted, nodes, node_count, sizeof(*nodes), by_key);
}

static struct pc_kad_crawl *make_crawl(uint32_t peers_max, uint32_t group_max)
{
    struct pc_kad_crawl *crawl;
    const struct pc_kad_crawl_options options = {
        .own_id = kad_id(SELF),
        .mode = PC_NETGROUP_PUBLIC,
        .concurrency = CONCURRENCY,
        .peers_max = peers_max,
        .group_max = group_max,
        .rng = &rng,
    };
    assert_int_equal(pc_kad_crawl_new(&options, &crawl), 0);
    return crawl;
}

static void add(struct pc_kad_crawl *crawl, uint32_t number, const struct pc_ip_port *addr)
{
    const struct pc_kad_crawl_told told = { kad_id(number), addr, addr ? 1 : 0, PEERCACHE_UNSUPPORTED };
    assert_int_equal(pc_kad_crawl_add(crawl, &told), 0);
}

/* The k closest to the key that the node knows. */
static size_t closest_known(const struct node *node, const struct pc_peer_id *preimage,
                            uint32_t ret_numbers[PC_KAD_K])
{
    struct pc_kad_key target = pc_kad_key_of_peer(preimage);
    const struct node *best[PC_KAD_K];
    size_t count = 0;
    for (size_t i = 0; i < node->known_count; i++) {
        const struct node *known = &nodes[node->known[i]];
        size_t at = count;
        while (at > 0 && pc_kad_key_compare(&target, &known->key, &best[at - 1]->key) < 0)
            at--;
        if (at == PC_KAD_K)
            continue;
        count += count < PC_KAD_K;
        memmove(&best[at + 1], &best[at], (count - at - 1) * sizeof(best[0]));
        best[at] = known;
    }
    for (size_t i = 0; i < count; i++)
        ret_numbers[i] = best[i]->number;
    return count;
}

static void answer(struct pc_kad_crawl *crawl, const struct pc_peer_id *id, const struct pc_peer_id *key)
{
    struct pc_kad_crawl_told told[PC_KAD_K];
    struct pc_ip_port addrs[PC_KAD_K];
    uint32_t numbers[PC_KAD_K];
    const struct node *node = node_of(id);
    size_t count = PC_KAD_K;
    if (node && node->habit == ANSWERS)
        count = closest_known(node, key, numbers);
    else
        for (size_t i = 0; i < count; i++)
            numbers[i] = next_sybil++;
    for (size_t i = 0; i < count; i++) {
        addrs[i] = addr_of(numbers[i]);
        told[i] = (struct pc_kad_crawl_told){ kad_id(numbers[i]), &addrs[i], 1, PEERCACHE_OK };
    }
    assert_int_equal(pc_kad_crawl_answered(crawl, id, told, count), 0);
}

/* All that a peer is asked. */
static void visit(struct pc_kad_crawl *crawl, const struct pc_peer_id *id, enum habit habit)
{
    struct pc_peer_id key;
    struct pc_kad_key own = pc_kad_key_of_peer(id);
    assert_int_equal(pc_kad_crawl_opened(crawl, id), 0);
    assert_true(pc_kad_crawl_first_met(crawl, id));
    assert_false(pc_kad_crawl_first_met(crawl, id));
    for (unsigned level = 0; pc_kad_crawl_ask(crawl, id, &key); level++) {
        struct pc_kad_key asked = pc_kad_key_of_peer(&key);
        assert_int_equal(pc_kad_key_common_prefix(&own, &asked), level);
        if (habit == MUTE || habit == MALFORMED) {
            assert_true(
                pc_kad_crawl_unanswered(crawl, id, habit == MUTE ? PEERCACHE_TIMEOUT : PEERCACHE_MISBEHAVED));
            assert_false(pc_kad_crawl_ask(crawl, id, &key));
            return;
        }
        answer(crawl, id, &key);
    }
}

/* Until it is done; how many were under way at most. */
static void run(struct pc_kad_crawl *crawl)
{
    struct pc_kad_crawl_dial dials[CONCURRENCY + 1];
    const struct pc_kad_crawl_counts *counts = pc_kad_crawl_counts(crawl);
    while (!pc_kad_crawl_done(crawl)) {
        size_t count = 0;
        while (pc_kad_crawl_next(crawl, &dials[count]))
            count++;
        assert_true(count > 0 && count <= CONCURRENCY);
        assert_int_equal(counts->under_way, count);
        for (size_t i = 0; i < count; i++) {
            struct node *node = node_of(&dials[i].id);
            enum habit habit = node ? node->habit : SYBIL;
            struct pc_ip_port right = addr_of(kad_number(&dials[i].id));
            if (node)
                node->dials++;
            else
                sybil_dials++;
            if (habit == DEAD || !pc_addr_ip_port_equal(&right, &dials[i].addr)) {
                (void)pc_kad_crawl_failed(crawl, &dials[i].id, PEERCACHE_TIMEOUT, false);
                continue;
            }
            if (node)
                node->met = true;
            visit(crawl, &dials[i].id, habit);
        }
    }
    uint32_t ended = 0;
    for (unsigned i = 0; i < PEERCACHE_OUTCOME_COUNT; i++)
        ended += counts->ended[i];
    assert_int_equal(ended, counts->known);
    assert_int_equal(counts->under_way, 0);
}

static size_t count_of(enum habit habit)
{
    size_t count = 0;
    for (size_t i = 0; i < node_count; i++)
        count += nodes[i].habit == habit;
    return count;
}

static void check_all_living_are_met(void)
{
    for (size_t i = 0; i < node_count; i++) {
        assert_true(nodes[i].dials <= 1);
        assert_int_equal(nodes[i].met, nodes[i].habit != DEAD);
    }
}

static void test_finds_everyone(void **state)
{
    (void)state;
    make_network(1000, 0);
    struct pc_kad_crawl *crawl = make_crawl(PC_KAD_CRAWL_PEERS_MAX, PC_KAD_CRAWL_GROUP_MAX);
    struct pc_ip_port addr = addr_of(1);
    add(crawl, 1, &addr);
    run(crawl);
    const struct pc_kad_crawl_counts *counts = pc_kad_crawl_counts(crawl);
    check_all_living_are_met();
    assert_int_equal(counts->known, 1000);
    assert_int_equal(counts->alive, 1000);
    assert_int_equal(counts->ended[PEERCACHE_OK], 1000);
    assert_int_equal(counts->left_out, 0);
    assert_int_equal(counts->answers, counts->questions);
    /* log2(1000 / 20) is 5.6 */
    print_message("# %.1f questions a peer\n", (double)counts->questions / 1000);
    assert_true(counts->questions < 8 * 1000);
    pc_kad_crawl_free(crawl);
}

static void test_finds_all_who_live_among_dead_ones(void **state)
{
    (void)state;
    make_network(1200, 33);
    size_t dead = count_of(DEAD);
    struct pc_kad_crawl *crawl = make_crawl(PC_KAD_CRAWL_PEERS_MAX, PC_KAD_CRAWL_GROUP_MAX);
    size_t first = 0;
    while (nodes[first].habit == DEAD)
        first++;
    struct pc_ip_port addr = addr_of(nodes[first].number);
    add(crawl, nodes[first].number, &addr);
    run(crawl);
    const struct pc_kad_crawl_counts *counts = pc_kad_crawl_counts(crawl);
    check_all_living_are_met();
    assert_int_equal(counts->alive, 1200 - dead);
    assert_int_equal(counts->dialed, counts->known);
    assert_int_equal(counts->ended[PEERCACHE_TIMEOUT], counts->known - counts->alive);
    assert_true(counts->known > 1150); /* dead ones that somebody still knows */
    pc_kad_crawl_free(crawl);
}

/* Alone among dead ones, so all that is known then is what it told. */
static void test_reads_a_table_whole(void **state)
{
    (void)state;
    make_network(1200, 100);
    for (size_t i = 0; i < node_count; i += 40) {
        nodes[i].habit = ANSWERS;
        struct pc_kad_crawl *crawl = make_crawl(PC_KAD_CRAWL_PEERS_MAX, PC_KAD_CRAWL_GROUP_MAX);
        struct pc_ip_port addr = addr_of(nodes[i].number);
        add(crawl, nodes[i].number, &addr);
        run(crawl);
        assert_int_equal(pc_kad_crawl_counts(crawl)->known, nodes[i].known_count + 1);
        assert_true(pc_kad_crawl_counts(crawl)->questions <= 11);
        pc_kad_crawl_free(crawl);
        nodes[i].habit = DEAD;
    }
}

static void test_a_small_network_takes_two_questions_a_peer(void **state)
{
    (void)state;
    make_network(12, 0);
    struct pc_kad_crawl *crawl = make_crawl(PC_KAD_CRAWL_PEERS_MAX, PC_KAD_CRAWL_GROUP_MAX);
    struct pc_ip_port addr = addr_of(5);
    add(crawl, 5, &addr);
    run(crawl);
    check_all_living_are_met();
    assert_true(pc_kad_crawl_counts(crawl)->questions <= 2 * 12);
    pc_kad_crawl_free(crawl);
}

static void test_an_endless_liar_ends(void **state)
{
    (void)state;
    make_network(1000, 0);
    for (size_t i = 0; i < node_count; i += 20)
        nodes[i].habit = SYBIL;
    struct pc_kad_crawl *crawl = make_crawl(10000, 500);
    size_t first = 1;
    struct pc_ip_port addr = addr_of(nodes[first].number);
    add(crawl, nodes[first].number, &addr);
    run(crawl);
    const struct pc_kad_crawl_counts *counts = pc_kad_crawl_counts(crawl);
    check_all_living_are_met();
    assert_int_equal(sybil_dials, 500); /* the group of the attacker */
    assert_int_equal(counts->known, 1500);
    assert_true(counts->left_out > 0);
    assert_true(counts->questions <= UINT64_C(1500) * PC_KAD_CRAWL_LEVELS);
    pc_kad_crawl_free(crawl);
}

/* One whose own address is in one network and whose lies lead everywhere. */
static void test_one_group_tells_of_a_quarter_at_most(void **state)
{
    (void)state;
    make_network(1, 0);
    struct pc_kad_crawl *crawl = make_crawl(400, 400);
    struct pc_peer_id key;
    struct pc_kad_crawl_dial dial;
    uint32_t number = 100000;
    for (uint32_t liar = 0; liar < 3; liar++) {
        struct pc_ip_port at = addr_of(FIRST_SYBIL + liar);
        add(crawl, FIRST_SYBIL + liar, &at);
        assert_true(pc_kad_crawl_next(crawl, &dial));
        assert_int_equal(kad_number(&dial.id), FIRST_SYBIL + liar);
        assert_int_equal(pc_kad_crawl_opened(crawl, &dial.id), 0);
        while (pc_kad_crawl_ask(crawl, &dial.id, &key)) {
            struct pc_kad_crawl_told told[PC_KAD_K];
            struct pc_ip_port addrs[PC_KAD_K];
            for (size_t i = 0; i < PC_KAD_K; i++, number++) {
                addrs[i] = (struct pc_ip_port){ 4, { 70, (uint8_t)number, 1, 1 }, 1, 0 };
                told[i] = (struct pc_kad_crawl_told){ kad_id(number), &addrs[i], 1, PEERCACHE_OK };
            }
            assert_int_equal(pc_kad_crawl_answered(crawl, &dial.id, told, PC_KAD_K), 0);
        }
        while (pc_kad_crawl_next(crawl, &dial))
            assert_true(pc_kad_crawl_failed(crawl, &dial.id, PEERCACHE_TIMEOUT, false));
    }
    assert_int_equal(pc_kad_crawl_counts(crawl)->known, 3 + 100);
    pc_kad_crawl_free(crawl);
}

static void test_the_silent_and_the_malformed_end(void **state)
{
    (void)state;
    make_network(500, 0);
    for (size_t i = 0; i < node_count; i += 5)
        nodes[i].habit = i % 2 ? MUTE : MALFORMED;
    struct pc_kad_crawl *crawl = make_crawl(PC_KAD_CRAWL_PEERS_MAX, PC_KAD_CRAWL_GROUP_MAX);
    struct pc_ip_port addr = addr_of(nodes[1].number);
    add(crawl, nodes[1].number, &addr);
    run(crawl);
    const struct pc_kad_crawl_counts *counts = pc_kad_crawl_counts(crawl);
    check_all_living_are_met();
    assert_int_equal(counts->silent, 100);
    assert_int_equal(counts->ended[PEERCACHE_MISBEHAVED], 50);
    assert_int_equal(counts->ended[PEERCACHE_OK], 450);
    pc_kad_crawl_free(crawl);
}

static void test_addresses_are_tried_in_turn_and_new_ones_revive(void **state)
{
    (void)state;
    make_network(1, 0);
    struct pc_kad_crawl *crawl = make_crawl(100, 100);
    struct pc_kad_crawl_dial dial;
    struct pc_ip_port addrs[] = { addr_of(40), addr_of(80), addr_of(120) };
    struct pc_kad_crawl_told told = { kad_id(7), addrs, 2, PEERCACHE_OK };
    assert_int_equal(pc_kad_crawl_add(crawl, &told), 0);
    for (int i = 0; i < 2; i++) {
        assert_true(pc_kad_crawl_next(crawl, &dial));
        assert_true(pc_addr_ip_port_equal(&dial.addr, &addrs[i]));
        assert_false(pc_kad_crawl_next(crawl, &dial)); /* one address at a time */
        assert_int_equal(pc_kad_crawl_failed(crawl, &told.id, PEERCACHE_TIMEOUT, false), i == 1);
    }
    assert_true(pc_kad_crawl_done(crawl));
    assert_int_equal(pc_kad_crawl_counts(crawl)->dialed, 1);
    assert_int_equal(pc_kad_crawl_counts(crawl)->ended[PEERCACHE_TIMEOUT], 1);

    assert_int_equal(pc_kad_crawl_add(crawl, &told), 0); /* nothing new in it */
    assert_true(pc_kad_crawl_done(crawl));
    told.addr_count = 3;
    assert_int_equal(pc_kad_crawl_add(crawl, &told), 0);
    assert_int_equal(pc_kad_crawl_counts(crawl)->ended[PEERCACHE_TIMEOUT], 0);
    assert_true(pc_kad_crawl_next(crawl, &dial));
    assert_true(pc_addr_ip_port_equal(&dial.addr, &addrs[2]));
    assert_true(pc_kad_crawl_failed(crawl, &told.id, PEERCACHE_PROTOCOL_MISMATCH, true));
    struct pc_ip_port another = addr_of(160);
    add(crawl, 7, &another); /* of another network wherever it is */
    assert_true(pc_kad_crawl_done(crawl));
    assert_int_equal(pc_kad_crawl_counts(crawl)->known, 1);
    assert_int_equal(pc_kad_crawl_counts(crawl)->ended[PEERCACHE_PROTOCOL_MISMATCH], 1);

    for (uint32_t i = 0; i < 20; i++) { /* no endless list of addresses either */
        struct pc_ip_port one = addr_of(1000 + i);
        add(crawl, 8, &one);
    }
    for (int i = 0; i < PC_KAD_CRAWL_ADDRS; i++) {
        assert_true(pc_kad_crawl_next(crawl, &dial));
        assert_int_equal(pc_kad_crawl_failed(crawl, &dial.id, PEERCACHE_REFUSED, false),
                         i == PC_KAD_CRAWL_ADDRS - 1);
    }
    assert_true(pc_kad_crawl_done(crawl));
    pc_kad_crawl_free(crawl);
}

static void test_one_without_an_address_waits_to_be_told_of_elsewhere(void **state)
{
    (void)state;
    make_network(1, 0);
    struct pc_kad_crawl *crawl = make_crawl(100, 100);
    struct pc_kad_crawl_dial dial;
    struct pc_ip_port addr = addr_of(9);
    add(crawl, 9, NULL);
    assert_true(pc_kad_crawl_done(crawl));
    assert_int_equal(pc_kad_crawl_counts(crawl)->ended[PEERCACHE_UNSUPPORTED], 1);
    assert_int_equal(pc_kad_crawl_counts(crawl)->dialed, 0);
    add(crawl, 9, &addr);
    assert_int_equal(pc_kad_crawl_counts(crawl)->ended[PEERCACHE_UNSUPPORTED], 0);
    assert_true(pc_kad_crawl_next(crawl, &dial));
    visit(crawl, &dial.id, MUTE);
    assert_true(pc_kad_crawl_done(crawl));
    pc_kad_crawl_free(crawl);
}

static void test_groups_take_turns(void **state)
{
    (void)state;
    make_network(1, 0);
    struct pc_kad_crawl *crawl = make_crawl(1000, 1000);
    struct pc_kad_crawl_dial dial;
    for (uint32_t i = 0; i < 100; i++) { /* of one group */
        struct pc_ip_port addr = addr_of(FIRST_SYBIL + i);
        add(crawl, FIRST_SYBIL + i, &addr);
    }
    for (uint32_t i = 1; i <= 3; i++) { /* of one each */
        struct pc_ip_port addr = addr_of(40 * i);
        add(crawl, 40 * i, &addr);
    }
    unsigned others = 0;
    for (int i = 0; i < 4; i++) {
        assert_true(pc_kad_crawl_next(crawl, &dial));
        others += kad_number(&dial.id) < FIRST_SYBIL;
    }
    assert_int_equal(others, 3);
    pc_kad_crawl_free(crawl);
}

static void test_ignores_nonsense(void **state)
{
    (void)state;
    make_network(1, 0);
    struct pc_kad_crawl *crawl = make_crawl(100, 100);
    struct pc_kad_crawl_dial dial;
    struct pc_peer_id key, stranger = kad_id(77);
    struct pc_ip_port addr = addr_of(1);
    struct pc_kad_crawl_told told[3] = {
        { .id.size = 0 },                         /* nobody */
        { kad_id(SELF), &addr, 1, PEERCACHE_OK }, /* ourselves */
        { kad_id(1), &addr, 1, PEERCACHE_OK },    /* the one who answers */
    };
    struct pc_kad_crawl_options bad = { .rng = &rng };
    assert_int_equal(pc_kad_crawl_new(&bad, &crawl), PEERCACHE_EINVAL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pc_kad_crawl_add(crawl, &told[i]), 0);
    assert_int_equal(pc_kad_crawl_counts(crawl)->known, 0);
    assert_true(pc_kad_crawl_done(crawl));
    add(crawl, 1, &addr);
    assert_false(pc_kad_crawl_first_met(crawl, &stranger));
    assert_int_equal(pc_kad_crawl_opened(crawl, &stranger), PEERCACHE_ENOTFOUND);
    assert_int_equal(pc_kad_crawl_opened(crawl, &told[2].id), PEERCACHE_ENOTFOUND); /* not dialled yet */
    assert_false(pc_kad_crawl_ask(crawl, &told[2].id, &key));
    assert_false(pc_kad_crawl_failed(crawl, &stranger, PEERCACHE_TIMEOUT, false));
    assert_false(pc_kad_crawl_unanswered(crawl, &told[2].id, PEERCACHE_TIMEOUT));
    assert_int_equal(pc_kad_crawl_answered(crawl, &told[2].id, told, 3), 0); /* nobody asked */
    assert_true(pc_kad_crawl_next(crawl, &dial));
    assert_int_equal(pc_kad_crawl_opened(crawl, &dial.id), 0);
    assert_true(pc_kad_crawl_ask(crawl, &dial.id, &key));
    assert_int_equal(pc_kad_crawl_answered(crawl, &dial.id, told, 3), 0);
    assert_true(pc_kad_crawl_ask(crawl, &dial.id, &key));
    assert_int_equal(pc_kad_crawl_answered(crawl, &dial.id, told, 3), 0); /* the same again */
    assert_false(pc_kad_crawl_ask(crawl, &dial.id, &key));
    assert_int_equal(pc_kad_crawl_counts(crawl)->known, 1);
    assert_true(pc_kad_crawl_done(crawl));
    pc_kad_crawl_free(crawl);
    pc_kad_crawl_free(NULL);
}

static void test_keys_lie_in_every_bucket(void **state)
{
    (void)state;
    struct pc_kad_crawl_keys keys;
    struct pc_peer_id preimage, before = { .size = 0 };
    pc_base_rng_init_u64(&rng, 1);
    assert_int_equal(pc_kad_crawl_keys_init(&keys, &rng), 0);
    for (uint32_t number = 1; number <= 40; number++) {
        struct pc_kad_key own = kad_key(number);
        for (unsigned level = 0; level < PC_KAD_CRAWL_LEVELS; level++) {
            assert_true(pc_kad_crawl_keys_get(&keys, &own, level, &preimage));
            struct pc_kad_key key = pc_kad_key_of_peer(&preimage);
            assert_int_equal(pc_kad_key_common_prefix(&own, &key), level);
        }
        assert_false(pc_kad_crawl_keys_get(&keys, &own, PC_KAD_CRAWL_LEVELS, &preimage));
    }
    /* Another key of the same bucket, after a few more hashes. */
    struct pc_kad_key own = kad_key(1);
    assert_true(pc_kad_crawl_keys_get(&keys, &own, 0, &before));
    pc_kad_crawl_keys_step(&keys, 64);
    assert_true(pc_kad_crawl_keys_get(&keys, &own, 0, &preimage));
    assert_false(pc_addr_peer_id_equal(&before, &preimage));
    pc_kad_crawl_keys_deinit(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_finds_everyone, drop_network),
        cmocka_unit_test_teardown(test_finds_all_who_live_among_dead_ones, drop_network),
        cmocka_unit_test_teardown(test_reads_a_table_whole, drop_network),
        cmocka_unit_test_teardown(test_a_small_network_takes_two_questions_a_peer, drop_network),
        cmocka_unit_test_teardown(test_an_endless_liar_ends, drop_network),
        cmocka_unit_test_teardown(test_one_group_tells_of_a_quarter_at_most, drop_network),
        cmocka_unit_test_teardown(test_the_silent_and_the_malformed_end, drop_network),
        cmocka_unit_test_teardown(test_addresses_are_tried_in_turn_and_new_ones_revive, drop_network),
        cmocka_unit_test_teardown(test_one_without_an_address_waits_to_be_told_of_elsewhere, drop_network),
        cmocka_unit_test_teardown(test_groups_take_turns, drop_network),
        cmocka_unit_test_teardown(test_ignores_nonsense, drop_network),
        cmocka_unit_test(test_keys_lie_in_every_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
