#include "check.h"

#include "kad/keys.h"
#include "kad_peers.h"

static void expect_key(struct pc_kad_keys *keys, const struct pc_peer_id *id)
{
    struct pc_kad_key key = pc_kad_keys_of(keys, id), computed = pc_kad_key_of_peer(id);
    assert_memory_equal(&key, &computed, sizeof(key));
}

/* Of more peers than have a slot, and of each again: those that met in one, and those that are still there. */
static void they_are_the_keys_of_the_peers(void **state)
{
    static struct pc_kad_keys keys;
    (void)state;
    for (unsigned round = 0; round < 3; round++)
        for (uint32_t number = 0; number < 3 * PC_KAD_KEYS_SLOTS; number++) {
            struct pc_peer_id id = kad_id(number);
            expect_key(&keys, &id);
            expect_key(&keys, &id);
        }
}

/* Ids that begin alike, of every length, and none: a slot that nobody has is not its own. */
static void no_id_is_taken_for_another(void **state)
{
    static struct pc_kad_keys keys;
    (void)state;
    for (unsigned round = 0; round < 2; round++)
        for (uint8_t size = 0; size <= PC_PEER_ID_MAX_BYTES; size++) {
            struct pc_peer_id id = { .size = size };
            expect_key(&keys, &id);
            if (size > 0)
                id.bytes[size - 1] = 1;
            expect_key(&keys, &id);
        }
}

static void without_a_store_they_are_computed(void **state)
{
    struct pc_peer_id id = kad_id(7);
    (void)state;
    expect_key(NULL, &id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_the_keys_of_the_peers),
        cmocka_unit_test(no_id_is_taken_for_another),
        cmocka_unit_test(without_a_store_they_are_computed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
