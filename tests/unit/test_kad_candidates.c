#include "check.h"

#include "kad/candidates.h"
#include "kad_peers.h"

#define OWN   7
#define START (1000000 * PC_US_PER_S)

static struct pc_kad_candidates *candidates_new(void)
{
    struct pc_kad_candidates *candidates;
    struct pc_peer_id own_id = kad_id(OWN);
    assert_int_equal(pc_kad_candidates_new(&own_id, PC_KAD_CANDIDATES_PER_GROUP, NULL, &candidates), 0);
    return candidates;
}

static void offer(struct pc_kad_candidates *candidates, uint32_t number, uint32_t group, int64_t now_us)
{
    struct pc_kad_contact contact = kad_contact(number, group);
    assert_int_equal(pc_kad_candidates_offer(candidates, &contact, now_us), 0);
}

/* The number of the next candidate; 0: none. */
static uint32_t take(struct pc_kad_candidates *candidates, unsigned bucket, int64_t now_us)
{
    struct pc_kad_entry entry;
    return pc_kad_candidates_take(candidates, bucket, now_us, &entry) ? kad_number(&entry.id) : 0;
}

static void keep_the_newest_of_each_bucket(void **state)
{
    (void)state;
    struct pc_kad_candidates *candidates = candidates_new();
    uint32_t n[8], other[1];
    kad_in_bucket(OWN, 3, 1000, n, 8);
    kad_in_bucket(OWN, 0, 1000, other, 1);
    for (uint32_t i = 0; i < 7; i++)
        offer(candidates, n[i], i, START);
    offer(candidates, other[0], 0, START);
    assert_int_equal(pc_kad_candidates_count(candidates, 3), PC_KAD_CANDIDATES_PER_BUCKET);
    assert_int_equal(pc_kad_candidates_count(candidates, 0), 1);
    assert_int_equal(pc_kad_candidates_count(candidates, 200), 0);
    offer(candidates, n[3], 3, START); /* again: once, and the newest now */
    assert_int_equal(pc_kad_candidates_count(candidates, 3), PC_KAD_CANDIDATES_PER_BUCKET);
    struct pc_peer_id gone = kad_id(n[5]), own_id = kad_id(OWN), stranger = kad_id(1);
    pc_kad_candidates_remove(candidates, &gone);
    pc_kad_candidates_remove(candidates, &gone);
    pc_kad_candidates_remove(candidates, &own_id);
    pc_kad_candidates_remove(candidates, &stranger);
    assert_int_equal(take(candidates, 3, START), n[3]);
    assert_int_equal(take(candidates, 3, START), n[6]);
    assert_int_equal(take(candidates, 3, START), n[4]);
    assert_int_equal(take(candidates, 3, START), n[2]);
    assert_int_equal(take(candidates, 3, START), 0); /* 0 and 1 were pushed out */
    assert_int_equal(take(candidates, 200, START), 0);
    assert_int_equal(take(candidates, 0, START), other[0]);
    pc_kad_candidates_free(candidates);
    pc_kad_candidates_free(NULL);
}

static void ignore_who_cannot_be_one(void **state)
{
    (void)state;
    struct pc_kad_candidates *candidates = candidates_new();
    struct pc_kad_contact own = kad_contact(OWN, 1), nobody = kad_contact(1000, 1), nowhere = nobody;
    nobody.id.size = 0;
    nowhere.addr_count = 0;
    assert_int_equal(pc_kad_candidates_offer(candidates, &own, START), 0);
    assert_int_equal(pc_kad_candidates_offer(candidates, &nobody, START), 0);
    assert_int_equal(pc_kad_candidates_offer(candidates, &nowhere, START), 0);
    for (unsigned i = 0; i < PC_KAD_BUCKETS; i++)
        assert_int_equal(pc_kad_candidates_count(candidates, i), 0);
    pc_kad_candidates_free(candidates);
}

static void of_one_group_push_out_only_each_other(void **state)
{
    (void)state;
    struct pc_kad_candidates *candidates = candidates_new();
    uint32_t n[60];
    kad_in_bucket(OWN, 1, 1000, n, 60);
    for (uint32_t i = 0; i < 3; i++)
        offer(candidates, n[i], i, START);
    for (uint32_t i = 3; i < 60; i++)
        offer(candidates, n[i], 99, START);
    assert_int_equal(take(candidates, 1, START), n[59]);
    assert_int_equal(take(candidates, 1, START), n[58]);
    for (uint32_t i = 3; i-- > 0;)
        assert_int_equal(take(candidates, 1, START), n[i]);
    assert_int_equal(take(candidates, 1, START), 0);
    pc_kad_candidates_free(candidates);
}

static void taken_rest_for_a_while(void **state)
{
    (void)state;
    struct pc_kad_candidates *candidates = candidates_new();
    uint32_t n[PC_KAD_CANDIDATES_TAKEN + 1];
    kad_in_bucket(OWN, 1, 1000, n, PC_KAD_CANDIDATES_TAKEN + 1);
    offer(candidates, n[0], 0, START);
    assert_int_equal(take(candidates, 1, START), n[0]);
    offer(candidates, n[0], 0, START + PC_KAD_CANDIDATE_AGAIN_US - 1);
    assert_int_equal(take(candidates, 1, START), 0);
    offer(candidates, n[0], 0, START + PC_KAD_CANDIDATE_AGAIN_US);
    assert_int_equal(take(candidates, 1, START + PC_KAD_CANDIDATE_AGAIN_US), n[0]);
    /* So many are remembered and no more. */
    for (uint32_t i = 1; i <= PC_KAD_CANDIDATES_TAKEN; i++) {
        offer(candidates, n[i], i, START + PC_KAD_CANDIDATE_AGAIN_US);
        assert_int_equal(take(candidates, 1, START + PC_KAD_CANDIDATE_AGAIN_US), n[i]);
    }
    offer(candidates, n[1], 1, START + PC_KAD_CANDIDATE_AGAIN_US);
    assert_int_equal(pc_kad_candidates_count(candidates, 1), 0);
    offer(candidates, n[0], 0, START + PC_KAD_CANDIDATE_AGAIN_US);
    assert_int_equal(pc_kad_candidates_count(candidates, 1), 1);
    pc_kad_candidates_free(candidates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keep_the_newest_of_each_bucket),
        cmocka_unit_test(ignore_who_cannot_be_one),
        cmocka_unit_test(of_one_group_push_out_only_each_other),
        cmocka_unit_test(taken_rest_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
