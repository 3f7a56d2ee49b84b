/* Continuous bootstrap on virtual time: over days, and trigger by trigger. */
#include "check.h"

#include "kad/schedule.h"
#include "kad_peers.h"

#include <stdlib.h>

#define OWN  7
#define S    PC_US_PER_S
#define HOUR (3600 * S)
#define DAY  (24 * HOUR)

/* A life: the schedule, its table, and time. */
struct life {
    struct pc_kad_schedule schedule;
    struct pc_kad_table *table;
    struct pc_rng rng;
    int64_t now_us;
    uint32_t next_number;
    size_t refreshes;
    struct pc_kad_refresh last;
};

static void life_init(struct life *life, uint64_t seed)
{
    struct pc_kad_table_options options = { .own_id = kad_id(OWN) };
    *life = (struct life){ .now_us = 1000 * S, .next_number = 100 };
    pc_base_rng_init_u64(&life->rng, seed);
    pc_kad_schedule_init(&life->schedule, 0);
    assert_int_equal(pc_kad_table_new(&options, &life->table), 0);
}

static void tell_peers(struct life *life)
{
    pc_kad_schedule_peers(&life->schedule, pc_kad_table_count(life->table), life->now_us);
}

/* New peers are met until the table has so many. */
static void grow_to(struct life *life, size_t count)
{
    while (pc_kad_table_count(life->table) < count) {
        enum pc_kad_place place;
        struct pc_kad_contact contact = kad_contact(life->next_number++, 0);
        assert_int_equal(pc_kad_table_verified(life->table, &contact, life->now_us, &place), 0);
    }
    tell_peers(life);
}

/* Members leave, those farthest from us first, until so many are left. */
static void shrink_to(struct life *life, size_t count)
{
    while (pc_kad_table_count(life->table) > count) {
        struct pc_peer_id id = pc_kad_table_next(life->table, NULL)->id;
        pc_kad_table_remove(life->table, &id);
    }
    tell_peers(life);
}

static int64_t due(const struct life *life)
{
    return pc_kad_schedule_due_us(&life->schedule);
}

/* Wait for the next refresh, and let it take 5 s; returns how long it was waited for. */
static int64_t refresh(struct life *life)
{
    int64_t wait_us = due(life) - life->now_us;
    assert_true(wait_us >= 0); /* never in the past */
    life->now_us += wait_us;
    pc_kad_schedule_begin(&life->schedule, life->now_us);
    pc_kad_schedule_buckets(&life->schedule, life->table, life->now_us, &life->last);
    assert_int_equal(due(life), life->now_us + PC_KAD_REFRESH_MAX_US);
    life->now_us += 5 * S;
    pc_kad_schedule_ended(&life->schedule, &life->rng, life->now_us);
    life->refreshes++;
    return wait_us;
}

/* An eighth more or less. */
static void check_jittered(int64_t wait_us, int64_t expected_us)
{
    assert_in_range(wait_us, expected_us - expected_us / 8, expected_us + expected_us / 8);
}

static void starts_at_once_and_not_before(void **state)
{
    (void)state;
    struct life life;
    life_init(&life, 1);
    assert_int_equal(due(&life), PC_TIME_NEVER);
    grow_to(&life, 3); /* peers that found us first */
    assert_int_equal(due(&life), PC_TIME_NEVER);
    pc_kad_schedule_start(&life.schedule, life.now_us);
    assert_int_equal(due(&life), life.now_us);
    refresh(&life);
    check_jittered(refresh(&life), PC_KAD_PERIOD_MIN_US);
    pc_kad_table_free(life.table);
}

static void first_peer_and_lost_network_are_urgent(void **state)
{
    (void)state;
    struct life life;
    life_init(&life, 2);
    pc_kad_schedule_start(&life.schedule, life.now_us);
    refresh(&life);
    for (unsigned i = 0; i < 9; i++) /* alone: rarer and rarer, and never given up */
        refresh(&life);
    check_jittered(refresh(&life), PC_KAD_LONELY_MAX_US);
    life.now_us += 20 * S;
    grow_to(&life, 1);
    assert_int_equal(due(&life), life.now_us);
    refresh(&life);
    shrink_to(&life, 0); /* within the second after the last one: not at once again */
    assert_int_equal(due(&life), life.now_us + PC_KAD_AT_ONCE_US);
    refresh(&life);
    check_jittered(refresh(&life), 2 * PC_KAD_PERIOD_MIN_US); /* the loneliness begins anew */
    pc_kad_table_free(life.table);
}

static void neighbour_and_thin_table_come_soon(void **state)
{
    (void)state;
    struct life life;
    life_init(&life, 3);
    pc_kad_schedule_start(&life.schedule, life.now_us);
    grow_to(&life, 100);
    refresh(&life);
    assert_true(due(&life) > life.now_us + 100 * S);
    pc_kad_schedule_neighbour_left(&life.schedule, life.now_us);
    assert_int_equal(due(&life), life.now_us + PC_KAD_SOON_US);
    pc_kad_schedule_network_changed(&life.schedule, life.now_us);
    assert_int_equal(due(&life), life.now_us + PC_KAD_AT_ONCE_US);
    refresh(&life);
    pc_kad_schedule_neighbour_left(&life.schedule, life.now_us);
    life.now_us += 60 * S;
    pc_kad_schedule_neighbour_left(&life.schedule, life.now_us); /* long after the last: now */
    assert_int_equal(due(&life), life.now_us);
    refresh(&life);
    assert_true(due(&life) > life.now_us + 100 * S); /* once */

    shrink_to(&life, PC_KAD_K);
    assert_true(due(&life) > life.now_us + PC_KAD_SOON_US);
    shrink_to(&life, PC_KAD_K - 1);
    assert_int_equal(due(&life), life.now_us + PC_KAD_SOON_US);
    /* What happens while one runs is heard when it has ended. */
    life.now_us += PC_KAD_SOON_US;
    pc_kad_schedule_begin(&life.schedule, life.now_us);
    pc_kad_schedule_buckets(&life.schedule, life.table, life.now_us, &life.last);
    pc_kad_schedule_neighbour_left(&life.schedule, life.now_us);
    assert_int_equal(due(&life), life.now_us + PC_KAD_REFRESH_MAX_US);
    pc_kad_schedule_ended(&life.schedule, &life.rng, life.now_us);
    assert_int_equal(due(&life), life.now_us + PC_KAD_SOON_US);
    pc_kad_table_free(life.table);
}

static void period_follows_the_table(void **state)
{
    (void)state;
    struct life life;
    life_init(&life, 4);
    pc_kad_schedule_start(&life.schedule, life.now_us);
    grow_to(&life, 1);
    for (size_t peers = 5; peers <= 180; peers += 5) {
        refresh(&life);
        grow_to(&life, peers);
        check_jittered(due(&life) - life.now_us, (int64_t)peers / 5 * 10 * S);
    }
    /* As it thins while it waits, the wait becomes shorter. */
    int64_t before_us = due(&life);
    shrink_to(&life, 90);
    assert_true(due(&life) - life.now_us <= (before_us - life.now_us) / 2 + 1);
    /* A table larger than any: capped. */
    pc_kad_schedule_peers(&life.schedule, 5120, life.now_us);
    pc_kad_schedule_begin(&life.schedule, life.now_us);
    pc_kad_schedule_buckets(&life.schedule, life.table, life.now_us, &life.last);
    pc_kad_schedule_ended(&life.schedule, &life.rng, life.now_us);
    check_jittered(due(&life) - life.now_us, PC_KAD_PERIOD_MAX_US);
    pc_kad_table_free(life.table);
}

/* Nothing waits longer than the owner wants: full tables, idle networks, lonely nodes. */
static void no_wait_is_longer_than_the_longest(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 3, 40, 200 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct life life;
        struct pc_kad_refresh refresh;
        life_init(&life, 5);
        pc_kad_schedule_init(&life.schedule, 4 * S);
        grow_to(&life, sizes[i]);
        pc_kad_schedule_start(&life.schedule, life.now_us);
        for (int round = 0; round < 200; round++) {
            pc_kad_schedule_begin(&life.schedule, life.now_us);
            pc_kad_schedule_buckets(&life.schedule, life.table, life.now_us, &refresh);
            pc_kad_schedule_ended(&life.schedule, &life.rng, life.now_us);
            int64_t wait_us = pc_kad_schedule_due_us(&life.schedule) - life.now_us;
            assert_in_range(wait_us, 35 * S / 10, 45 * S / 10);
            life.now_us += wait_us;
        }
        pc_kad_table_free(life.table);
    }
}

static void a_refresh_never_told_to_end_does_not_hold_up(void **state)
{
    (void)state;
    struct life life;
    life_init(&life, 5);
    pc_kad_schedule_start(&life.schedule, life.now_us);
    pc_kad_schedule_begin(&life.schedule, life.now_us);
    pc_kad_schedule_buckets(&life.schedule, life.table, life.now_us, &life.last);
    life.now_us = due(&life);
    pc_kad_schedule_begin(&life.schedule, life.now_us);
    pc_kad_schedule_buckets(&life.schedule, life.table, life.now_us, &life.last);
    assert_int_equal(due(&life), life.now_us + PC_KAD_REFRESH_MAX_US);
    pc_kad_table_free(life.table);
}

static bool is_thin(const struct life *life, unsigned bucket)
{
    return pc_kad_table_bucket_count(life->table, bucket) < PC_KAD_K;
}

/* Members of the bucket leave until there are no replacements for them. */
static void make_thin(struct life *life, unsigned bucket)
{
    struct pc_kad_key own_key = kad_key(OWN);
    while (!is_thin(life, bucket)) {
        const struct pc_kad_entry *member = pc_kad_table_next(life->table, NULL);
        while (pc_kad_key_common_prefix(&own_key, &member->key) != bucket)
            member = pc_kad_table_next(life->table, member);
        struct pc_peer_id id = member->id;
        pc_kad_table_remove(life->table, &id);
    }
    tell_peers(life);
}

static void thin_buckets_first_and_the_oldest_first(void **state)
{
    (void)state;
    struct life life;
    life_init(&life, 6);
    pc_kad_schedule_start(&life.schedule, life.now_us);
    refresh(&life);
    assert_int_equal(life.last.bucket_count, 1); /* an empty table: the neighbours are anywhere */
    assert_int_equal(life.last.buckets[0], 0);
    grow_to(&life, 170);
    unsigned edge = pc_kad_table_edge(life.table);
    assert_true(edge >= 4);
    /* Buckets 2 and 3 become thin, so they come before 1. Bucket 0 is full and was refreshed. */
    for (unsigned bucket = 0; bucket <= 3; bucket++)
        assert_int_equal(pc_kad_table_bucket_count(life.table, bucket), PC_KAD_K);
    make_thin(&life, 2);
    make_thin(&life, 3);
    refresh(&life);
    assert_int_equal(life.last.bucket_count, PC_KAD_REFRESH_BUCKETS);
    unsigned nearest = edge;
    while (!is_thin(&life, nearest))
        nearest--;
    assert_int_equal(life.last.buckets[0], nearest); /* all had no turn yet: from our neighbours outwards */
    for (size_t i = 1; i < life.last.bucket_count; i++) {
        assert_int_not_equal(life.last.buckets[i], 0);
        assert_true(is_thin(&life, life.last.buckets[i - 1]) || !is_thin(&life, life.last.buckets[i]));
    }
    pc_kad_table_free(life.table);
}

/* The first of each refresh is, of the thin ones, the one that had its turn longest ago. */
static void among_the_thin_the_oldest_first(void **state)
{
    (void)state;
    struct life life;
    int64_t turn_us[PC_KAD_TARGETS] = { 0 };
    life_init(&life, 8);
    pc_kad_schedule_start(&life.schedule, life.now_us);
    grow_to(&life, 170);
    for (unsigned i = 0; i < 5; i++)
        make_thin(&life, i);
    for (unsigned round = 0; round < 20; round++) {
        unsigned oldest = 0; /* which is thin */
        for (unsigned i = pc_kad_table_edge(life.table); i > 0; i--)
            if (is_thin(&life, i) && (oldest == 0 ? turn_us[i] <= turn_us[0] : turn_us[i] < turn_us[oldest]))
                oldest = i;
        refresh(&life);
        assert_int_equal(life.last.buckets[0], oldest);
        for (size_t i = 0; i < life.last.bucket_count; i++)
            turn_us[life.last.buckets[i]] = life.now_us;
    }
    pc_kad_table_free(life.table);
}

/* Three days of a full table: each bucket that matters is looked into at least every hour and a period. */
static void every_bucket_has_its_turn(void **state)
{
    (void)state;
    struct life life;
    int64_t looked_us[PC_KAD_TARGETS];
    life_init(&life, 7);
    pc_kad_schedule_start(&life.schedule, life.now_us);
    grow_to(&life, 180);
    for (size_t i = 0; i < PC_KAD_TARGETS; i++)
        looked_us[i] = life.now_us;
    unsigned edge = pc_kad_table_edge(life.table);
    while (life.now_us < 3 * DAY) {
        refresh(&life);
        for (size_t i = 0; i < life.last.bucket_count; i++) {
            assert_true(life.last.buckets[i] <= edge);
            looked_us[life.last.buckets[i]] = life.now_us;
        }
        for (unsigned i = 0; i <= edge; i++)
            assert_true(life.now_us - looked_us[i] <= PC_KAD_BUCKET_OLD_US + 2 * PC_KAD_PERIOD_MAX_US);
    }
    pc_kad_table_free(life.table);
}

static size_t refreshes_within(struct life *life, int64_t span_us)
{
    size_t before = life->refreshes;
    int64_t end_us = life->now_us + span_us;
    while (due(life) < end_us)
        assert_true(refresh(life) <= PC_KAD_PERIOD_MAX_US + PC_KAD_PERIOD_MAX_US / 8);
    life->now_us = end_us;
    tell_peers(life);
    return life->refreshes - before;
}

/* A month in the life of a node: busy hours, idle days, a network lost and found again, on several seeds. */
static void a_month(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 110; seed++) {
        struct life life;
        life_init(&life, seed);
        pc_kad_schedule_start(&life.schedule, life.now_us);
        for (size_t peers = 5; peers <= 150;
             peers += 5) { /* the first hour: it fills, every 2 minutes a few */
            grow_to(&life, peers);
            (void)refreshes_within(&life, 120 * S);
        }
        assert_in_range(life.refreshes, 20, 80);
        /* Ten idle days: every 300 to 600 s, an eighth more or less, and 5 s for each. */
        size_t idle = refreshes_within(&life, 10 * DAY);
        assert_in_range(idle, 10 * DAY / (680 * S), 10 * DAY / (267 * S));
        /* Someone comes: it is idle no more, and the period of the table holds. */
        grow_to(&life, 151);
        assert_true(due(&life) - life.now_us <= 300 * S + 300 * S / 8);
        /* Churn for a day, neighbours among it: never more often than every 10 s. */
        size_t before = life.refreshes;
        for (unsigned i = 0; i < 24 * 60; i++) {
            if (pc_base_rng_below(&life.rng, 3) == 0)
                pc_kad_schedule_neighbour_left(&life.schedule, life.now_us);
            shrink_to(&life, 140);
            grow_to(&life, 150);
            (void)refreshes_within(&life, 60 * S);
        }
        assert_in_range(life.refreshes - before, 24 * 60 / 4, 24 * 60);
        /* The network is lost for five days: tried at once, then every 5 minutes at the most, without end. */
        shrink_to(&life, 0);
        assert_in_range(due(&life) - life.now_us, 0, PC_KAD_AT_ONCE_US);
        size_t alone = refreshes_within(&life, 5 * DAY);
        assert_in_range(alone, 5 * DAY / (343 * S), 5 * DAY / (267 * S) + 10);
        grow_to(&life, 1);
        assert_in_range(due(&life) - life.now_us, 0, PC_KAD_AT_ONCE_US);
        pc_kad_table_free(life.table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_at_once_and_not_before),
        cmocka_unit_test(first_peer_and_lost_network_are_urgent),
        cmocka_unit_test(neighbour_and_thin_table_come_soon),
        cmocka_unit_test(period_follows_the_table),
        cmocka_unit_test(no_wait_is_longer_than_the_longest),
        cmocka_unit_test(a_refresh_never_told_to_end_does_not_hold_up),
        cmocka_unit_test(thin_buckets_first_and_the_oldest_first),
        cmocka_unit_test(among_the_thin_the_oldest_first),
        cmocka_unit_test(every_bucket_has_its_turn),
        cmocka_unit_test(a_month),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
