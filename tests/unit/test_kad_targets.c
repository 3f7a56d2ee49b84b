#include "check.h"

#include "kad/targets.h"
#include "kad_peers.h"

#include <string.h>

#define DEEPEST (PC_KAD_TARGETS - 1)

/* Every bucket up to 15 gets a target that lies in it, in steps of bounded work; it has the form of an id. */
static void they_lie_in_their_buckets(void **state)
{
    (void)state;
    for (uint32_t own = 1; own <= 3; own++) {
        struct pc_kad_targets targets;
        struct pc_rng rng;
        struct pc_peer_id own_id = kad_id(own), target, parsed;
        struct pc_kad_key own_key = kad_key(own);
        pc_base_rng_init_u64(&rng, own);
        pc_kad_targets_init(&targets, &own_id, &rng);
        assert_false(pc_kad_targets_get(&targets, 0, &target));
        unsigned long hashes = 0;
        for (; !pc_kad_targets_reach(&targets, DEEPEST); hashes += 1000) {
            /* a search that takes 2^16 on average needs 16 times that once in 9 million lives */
            assert_true(hashes < 16 * 65536);
            pc_kad_targets_step(&targets, 1000, DEEPEST);
        }
        printf("# targets: %lu hashes\n", hashes);
        for (unsigned i = 0; i < PC_KAD_TARGETS; i++) {
            assert_true(pc_kad_targets_get(&targets, i, &target));
            struct pc_kad_key key = pc_kad_key_of(pc_addr_peer_id_bytes(&target));
            assert_int_equal(pc_kad_key_common_prefix(&own_key, &key), i);
            assert_int_equal(pc_addr_peer_id_from_bytes(pc_addr_peer_id_bytes(&target), &parsed), 0);
        }
        assert_false(pc_kad_targets_get(&targets, PC_KAD_TARGETS, &target));
        assert_false(pc_kad_targets_get(&targets, 255, &target));

        /* Further steps renew the large buckets, and keep the others. */
        struct pc_peer_id before[PC_KAD_TARGETS];
        memcpy(before, targets.found, sizeof(before));
        pc_kad_targets_step(&targets, 64, DEEPEST);
        assert_false(pc_addr_peer_id_equal(&before[0], &targets.found[0]));
        assert_true(pc_kad_targets_reach(&targets, DEEPEST));
        for (unsigned i = 0; i < PC_KAD_TARGETS; i++) {
            struct pc_kad_key key = pc_kad_key_of_peer(&targets.found[i]);
            assert_int_equal(pc_kad_key_common_prefix(&own_key, &key), i);
        }
    }
}

/* Who has nobody in the deep buckets tries no more than the others need: each gets a new target, and then it ends. */
static void it_ends_with_the_deepest_that_is_wanted(void **state)
{
    (void)state;
    for (uint32_t own = 1; own <= 20; own++) {
        struct pc_kad_targets targets;
        struct pc_rng rng;
        struct pc_peer_id own_id = kad_id(own), before[3];
        pc_base_rng_init_u64(&rng, own);
        pc_kad_targets_init(&targets, &own_id, &rng);
        assert_false(pc_kad_targets_reach(&targets, 0));
        pc_kad_targets_step(&targets, 100000, 2);
        assert_true(pc_kad_targets_reach(&targets, 2));
        assert_false(pc_kad_targets_reach(&targets, DEEPEST)); /* 65,536 hashes and not 8 */
        memcpy(before, targets.found, sizeof(before));
        pc_kad_targets_step(&targets, 100000, 2);
        for (unsigned i = 0; i <= 2; i++)
            assert_false(pc_addr_peer_id_equal(&before[i], &targets.found[i]));
        memcpy(before, targets.found, sizeof(before));
        pc_kad_targets_step(&targets, 0, 2);
        assert_memory_equal(before, targets.found, sizeof(before));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_ends_with_the_deepest_that_is_wanted),
        cmocka_unit_test(they_lie_in_their_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
