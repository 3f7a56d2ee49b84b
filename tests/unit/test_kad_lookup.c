/* One lookup, step by step. Whole networks are in test_kad_network.c. */
#include "check.h"

#include "base/rng.h"
#include "kad/lookup.h"
#include "kad_peers.h"

#include <peercache/types.h>

#include <stdlib.h>
#include <string.h>

#define OWN 0
#define S   PC_US_PER_S

static struct pc_kad_lookup *lookup_of(unsigned alpha, unsigned beta, unsigned group_max)
{
    struct pc_kad_lookup *lookup;
    struct pc_kad_lookup_options options = {
        .target = pc_kad_key_of(pc_bytes_of("t", 1)),
        .own_id = kad_id(OWN),
        .alpha = alpha,
        .beta = beta,
        .group_max = group_max,
        .request_timeout_us = PC_KAD_REQUEST_TIMEOUT_US,
    };
    assert_int_equal(pc_kad_lookup_new(&options, &lookup), 0);
    return lookup;
}

static void add(struct pc_kad_lookup *lookup, uint32_t number, uint32_t group)
{
    struct pc_kad_contact contact = kad_contact(number, group);
    assert_int_equal(pc_kad_lookup_add(lookup, &contact), 0);
}

/* The number of the next to be asked; 0: none. */
static uint32_t next(struct pc_kad_lookup *lookup, int64_t now_us)
{
    const struct pc_kad_entry *entry = pc_kad_lookup_next(lookup, now_us);
    return entry ? kad_number(&entry->id) : 0;
}

static uint32_t overdue(struct pc_kad_lookup *lookup, int64_t now_us)
{
    const struct pc_kad_entry *entry = pc_kad_lookup_overdue(lookup, now_us);
    return entry ? kad_number(&entry->id) : 0;
}

static void answered(struct pc_kad_lookup *lookup, uint32_t number, const struct pc_kad_contact *peers,
                     size_t count)
{
    struct pc_peer_id id = kad_id(number);
    assert_int_equal(pc_kad_lookup_answered(lookup, &id, peers, count), 0);
}

static void failed(struct pc_kad_lookup *lookup, uint32_t number)
{
    struct pc_peer_id id = kad_id(number);
    pc_kad_lookup_failed(lookup, &id);
}

static int by_distance(const void *a, const void *b)
{
    struct pc_kad_key target = pc_kad_key_of(pc_bytes_of("t", 1));
    struct pc_kad_key left = kad_key(*(const uint32_t *)a), right = kad_key(*(const uint32_t *)b);
    return pc_kad_key_compare(&target, &left, &right);
}

/* The numbers from `first` on, nearest to the target first. */
static void nearest_first(uint32_t first, uint32_t *ret_numbers, size_t count)
{
    for (uint32_t i = 0; i < count; i++)
        ret_numbers[i] = first + i;
    qsort(ret_numbers, count, sizeof(ret_numbers[0]), by_distance);
}

static void options_are_checked(void **state)
{
    (void)state;
    struct pc_kad_lookup *lookup = NULL;
    struct pc_kad_lookup_options options = { .alpha = 0, .beta = 20, .request_timeout_us = 1 };
    assert_int_equal(pc_kad_lookup_new(&options, &lookup), PEERCACHE_EINVAL);
    options.alpha = 3;
    options.beta = 0;
    assert_int_equal(pc_kad_lookup_new(&options, &lookup), PEERCACHE_EINVAL);
    options.beta = 3;
    options.request_timeout_us = 0;
    assert_int_equal(pc_kad_lookup_new(&options, &lookup), PEERCACHE_EINVAL);
    assert_null(lookup);
    pc_kad_lookup_free(NULL);
}

static void asks_nearest_first_and_alpha_at_once(void **state)
{
    (void)state;
    struct pc_kad_lookup *lookup = lookup_of(3, 4, 0);
    uint32_t n[19];
    nearest_first(1, n, 19);
    assert_true(pc_kad_lookup_done(lookup)); /* nobody to ask */
    assert_int_equal(next(lookup, 0), 0);
    for (uint32_t i = 0; i < 20; i++) { /* 0 is ourselves */
        add(lookup, i, 1);
        add(lookup, i, 2); /* known: ignored */
    }
    struct pc_kad_contact nobody = { .id.size = 0 };
    assert_int_equal(pc_kad_lookup_add(lookup, &nobody), 0);
    assert_false(pc_kad_lookup_done(lookup));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(next(lookup, 0), n[i]);
    assert_int_equal(next(lookup, 0), 0);
    for (size_t i = 3; i < 19; i++) { /* an answer of somebody not asked frees nothing, and tells nothing */
        struct pc_kad_contact told = kad_contact(1000, 1);
        answered(lookup, n[i], &told, 1);
        failed(lookup, n[i]);
    }
    assert_int_equal(next(lookup, 0), 0);
    failed(lookup, n[1]);
    answered(lookup, n[1], NULL, 0); /* too late: it has failed */
    assert_int_equal(pc_kad_lookup_answered_count(lookup), 0);
    assert_int_equal(next(lookup, 0), n[3]);
    assert_int_equal(next(lookup, 0), 0);
    answered(lookup, n[0], NULL, 0);
    answered(lookup, n[0], NULL, 0);
    assert_int_equal(pc_kad_lookup_answered_count(lookup), 1);
    assert_int_equal(next(lookup, 0), n[4]);
    assert_int_equal(next(lookup, 0), 0);
    assert_int_equal(pc_kad_lookup_request_count(lookup), 5);
    pc_kad_lookup_free(lookup);
}

/* Done exactly when the beta nearest that did not fail have answered; farther ones are not waited for. */
static void ends_with_the_beta_closest(void **state)
{
    (void)state;
    uint32_t n[10];
    nearest_first(1, n, 10);
    struct pc_kad_lookup *lookup = lookup_of(5, 3, 0);
    const struct pc_kad_entry *closest[10];
    for (uint32_t i = 1; i <= 10; i++)
        add(lookup, i, 1);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(next(lookup, 0), n[i]);
    answered(lookup, n[0], NULL, 0);
    answered(lookup, n[4], NULL, 0);
    answered(lookup, n[2], NULL, 0);
    assert_false(pc_kad_lookup_done(lookup)); /* three answered, not the three nearest */
    failed(lookup, n[1]);
    assert_false(pc_kad_lookup_done(lookup)); /* now the fourth is of the three nearest */
    answered(lookup, n[3], NULL, 0);
    assert_true(pc_kad_lookup_done(lookup));
    assert_int_equal(next(lookup, 0), 0);
    assert_int_equal(pc_kad_lookup_closest(lookup, closest, 10), 4);
    assert_int_equal(kad_number(&closest[0]->id), n[0]);
    assert_int_equal(kad_number(&closest[1]->id), n[2]);
    assert_int_equal(kad_number(&closest[2]->id), n[3]);
    assert_int_equal(kad_number(&closest[3]->id), n[4]);
    assert_int_equal(pc_kad_lookup_closest(lookup, closest, 2), 2);
    pc_kad_lookup_free(lookup);

    lookup = lookup_of(3, 2, 0);
    for (uint32_t i = 1; i <= 10; i++)
        add(lookup, i, 1);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(next(lookup, 0), n[i]);
    answered(lookup, n[0], NULL, 0);
    assert_false(pc_kad_lookup_done(lookup));
    answered(lookup, n[1], NULL, 0);
    assert_true(pc_kad_lookup_done(lookup)); /* exactly beta, with one more under way */
    pc_kad_lookup_free(lookup);
}

static void overdue_is_told_once_and_the_lookup_goes_on(void **state)
{
    (void)state;
    uint32_t n[10];
    nearest_first(1, n, 10);
    struct pc_kad_lookup *lookup = lookup_of(2, 3, 0);
    const int64_t timeout_us = PC_KAD_REQUEST_TIMEOUT_US;
    for (uint32_t i = 1; i <= 10; i++)
        add(lookup, i, 1);
    assert_int_equal(pc_kad_lookup_deadline_us(lookup), PC_TIME_NEVER);
    assert_int_equal(next(lookup, 100), n[0]);
    assert_int_equal(next(lookup, 200), n[1]);
    assert_int_equal(next(lookup, 200), 0);
    assert_int_equal(pc_kad_lookup_deadline_us(lookup), 100 + timeout_us);
    assert_int_equal(overdue(lookup, 99 + timeout_us), 0);
    assert_int_equal(overdue(lookup, 100 + timeout_us), n[0]);
    assert_int_equal(overdue(lookup, 100 + timeout_us), 0);
    assert_int_equal(next(lookup, 100 + timeout_us), n[2]); /* its slot is free */
    assert_int_equal(overdue(lookup, 200 + timeout_us), n[1]);
    assert_int_equal(next(lookup, 200 + timeout_us), n[3]);
    answered(lookup, n[2], NULL, 0);
    answered(lookup, n[3], NULL, 0);
    /* A late answer counts, with what it tells; a late failure is one. */
    struct pc_kad_contact told = kad_contact(50, 1);
    answered(lookup, n[0], &told, 1);
    assert_int_equal(pc_kad_lookup_answered_count(lookup), 3);
    failed(lookup, n[1]);
    answered(lookup, n[1], NULL, 0);
    assert_int_equal(pc_kad_lookup_answered_count(lookup), 3);
    const struct pc_kad_entry *closest[3];
    assert_int_equal(pc_kad_lookup_closest(lookup, closest, 3), 3);
    assert_int_equal(kad_number(&closest[0]->id), n[0]);
    pc_kad_lookup_free(lookup);
}

static void ends_though_nobody_ever_answers(void **state)
{
    (void)state;
    struct pc_kad_lookup *lookup = lookup_of(PC_KAD_ALPHA, PC_KAD_BETA, 0);
    const struct pc_kad_entry *closest[1];
    int64_t now_us = 0;
    size_t asked = 0, told = 0;
    for (uint32_t i = 1; i <= 1000; i++)
        add(lookup, i, 1);
    while (!pc_kad_lookup_done(lookup)) {
        while (next(lookup, now_us))
            asked++;
        assert_true(pc_kad_lookup_deadline_us(lookup) > now_us);
        now_us = pc_kad_lookup_deadline_us(lookup);
        while (overdue(lookup, now_us))
            told++;
    }
    assert_int_equal(asked, PC_KAD_LOOKUP_MAX_REQUESTS);
    assert_int_equal(told, PC_KAD_LOOKUP_MAX_REQUESTS);
    assert_int_equal(now_us, (PC_KAD_LOOKUP_MAX_REQUESTS / PC_KAD_ALPHA + 1) * PC_KAD_REQUEST_TIMEOUT_US);
    assert_int_equal(next(lookup, now_us), 0);
    assert_int_equal(pc_kad_lookup_closest(lookup, closest, 1), 0);
    pc_kad_lookup_free(lookup);
}

/* Each tells of thousands of fresh names: it ends all the same. */
static void ends_under_a_flood(void **state)
{
    (void)state;
    static struct pc_kad_contact junk[10000];
    for (unsigned junk_answers = 0; junk_answers < 2; junk_answers++) {
        struct pc_kad_lookup *lookup = lookup_of(PC_KAD_ALPHA, PC_KAD_BETA, 0);
        uint32_t fresh = 2, number;
        size_t requests = 0;
        add(lookup, 1, 1);
        for (; (number = next(lookup, 0)); requests++) {
            size_t count = requests < 20 ? 10000 : 50;
            if (!junk_answers && requests > 0) {
                failed(lookup, number);
                continue;
            }
            for (size_t i = 0; i < count; i++)
                junk[i] = kad_contact(fresh++, 1);
            answered(lookup, number, junk, count);
        }
        assert_true(pc_kad_lookup_done(lookup));
        if (junk_answers)
            assert_in_range(requests, PC_KAD_BETA, 200);
        else
            assert_int_equal(requests, 1 + PC_KAD_K); /* of 10,000 only the k closest were considered */
        pc_kad_lookup_free(lookup);
    }
}

static void of_an_answer_the_k_closest_are_considered(void **state)
{
    (void)state;
    struct pc_kad_lookup *lookup = lookup_of(1, 1000, 0);
    static struct pc_kad_contact told[3 * 300 + 2];
    uint32_t n[300];
    nearest_first(10, n, 300);
    for (size_t i = 0; i < 900; i++) /* each thrice, in no order */
        told[i] = kad_contact(10 + (uint32_t)(i * 7 % 300), 1);
    told[900] = kad_contact(OWN, 1);
    told[901].id.size = 0;
    add(lookup, 1, 1);
    assert_int_equal(next(lookup, 0), 1);
    answered(lookup, 1, told, 902);
    for (size_t i = 0; i < PC_KAD_K; i++) {
        assert_int_equal(next(lookup, 0), n[i]);
        failed(lookup, n[i]);
    }
    assert_int_equal(next(lookup, 0), 0);
    assert_true(pc_kad_lookup_done(lookup));
    pc_kad_lookup_free(lookup);
}

static void a_group_has_its_share(void **state)
{
    (void)state;
    struct pc_kad_lookup *lookup = lookup_of(1, 1000, 3);
    uint32_t crowd[200];
    nearest_first(100, crowd, 200);
    for (uint32_t i = 0; i < 100; i++) /* first the far ones: those nearer take their places */
        add(lookup, crowd[199 - i], 7);
    for (uint32_t i = 1; i <= 10; i++)
        add(lookup, i, 100 + i);
    for (uint32_t i = 0; i < 100; i++)
        add(lookup, crowd[i], 7);
    size_t of_crowd = 0, others = 0;
    for (uint32_t number; (number = next(lookup, 0));) {
        if (number < 100) {
            others++;
        } else {
            assert_int_equal(number, crowd[of_crowd]);
            of_crowd++;
        }
        if (of_crowd == 1) /* whoever was asked counts, failed or not */
            failed(lookup, number);
        else
            answered(lookup, number, NULL, 0);
        add(lookup, crowd[10 + of_crowd], 7);
    }
    assert_int_equal(of_crowd, 3);
    assert_int_equal(others, 10);
    pc_kad_lookup_free(lookup);
}

/* At the bound the farthest that wait give way, so that the nearest of all told of are remembered. */
static void keeps_the_nearest_at_its_bound(void **state)
{
    (void)state;
    enum { TOLD = 3000 };
    static uint32_t n[TOLD];
    struct pc_kad_lookup *lookup = lookup_of(1, TOLD, 0);
    nearest_first(1, n, TOLD);
    for (uint32_t i = 1; i <= TOLD; i++)
        add(lookup, i, i);
    add(lookup, n[TOLD - 1], 1); /* displaces nobody */
    for (size_t i = 0; i < PC_KAD_LOOKUP_MAX_REQUESTS; i++) {
        assert_int_equal(next(lookup, 0), n[i]);
        answered(lookup, n[i], NULL, 0);
    }
    assert_int_equal(next(lookup, 0), 0);
    assert_true(pc_kad_lookup_done(lookup));
    pc_kad_lookup_free(lookup);
}

static void lookups_run_side_by_side(void **state)
{
    (void)state;
    struct pc_kad_lookup *one = lookup_of(2, 2, 0), *other = lookup_of(2, 2, 0);
    uint32_t n[4];
    nearest_first(1, n, 4);
    for (uint32_t i = 1; i <= 4; i++) {
        add(one, i, 1);
        add(other, i, 1);
    }
    assert_int_equal(next(one, 0), n[0]);
    assert_int_equal(next(other, 0), n[0]);
    failed(one, n[0]);
    answered(other, n[0], NULL, 0);
    assert_int_equal(pc_kad_lookup_answered_count(one), 0);
    assert_int_equal(pc_kad_lookup_answered_count(other), 1);
    pc_kad_lookup_free(one);
    assert_int_equal(next(other, 0), n[1]);
    pc_kad_lookup_free(other);
}

static bool knows(const struct pc_kad_lookup *lookup, uint32_t number)
{
    struct pc_peer_id id = kad_id(number);
    return pc_kad_lookup_knows(lookup, &id);
}

/* Who gave way to nearer ones has no place any more, whatever became of them: so who was known once need not be told of again. */
static void who_gave_way_stays_out(void **state)
{
    (void)state;
    enum { NUMBERS = 2000 };
    unsigned gave_way = 0, told_again = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct pc_kad_lookup *lookup = lookup_of(3, 20, seed % 2 ? 5 : 0);
        bool was_known[NUMBERS] = { false };
        uint32_t asked[300];
        size_t asked_count = 0;
        struct pc_rng rng;
        pc_base_rng_init_u64(&rng, seed);
        for (int64_t now_us = 0; now_us < 6000; now_us++) {
            uint32_t number = 1 + (uint32_t)pc_base_rng_below(&rng, NUMBERS - 1), chosen;
            bool is_out = was_known[number] && !knows(lookup, number);
            switch (pc_base_rng_below(&rng, 40)) {
            case 0:
                chosen = next(lookup, now_us);
                if (chosen)
                    asked[asked_count++] = chosen;
                break;
            case 1:
                if (asked_count > 0)
                    answered(lookup, asked[--asked_count], NULL, 0);
                break;
            case 2:
                if (asked_count > 0)
                    failed(lookup, asked[--asked_count]);
                break;
            default:
                add(lookup, number, number % 60);
                assert_true(!is_out || !knows(lookup, number));
                told_again += is_out;
                was_known[number] = was_known[number] || knows(lookup, number);
            }
        }
        for (uint32_t i = 1; i < NUMBERS; i++)
            gave_way += was_known[i] && !knows(lookup, i);
        pc_kad_lookup_free(lookup);
    }
    assert_true(gave_way > 100 && told_again > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_gave_way_stays_out),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(asks_nearest_first_and_alpha_at_once),
        cmocka_unit_test(ends_with_the_beta_closest),
        cmocka_unit_test(overdue_is_told_once_and_the_lookup_goes_on),
        cmocka_unit_test(ends_though_nobody_ever_answers),
        cmocka_unit_test(ends_under_a_flood),
        cmocka_unit_test(of_an_answer_the_k_closest_are_considered),
        cmocka_unit_test(a_group_has_its_share),
        cmocka_unit_test(keeps_the_nearest_at_its_bound),
        cmocka_unit_test(lookups_run_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
