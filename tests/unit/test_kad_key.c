#include "check.h"

#include "kad/key.h"

#include <string.h>

static void key_is_sha256_of_the_id(void **state)
{
    (void)state;
    static const uint8_t abc[32] = { /* FIPS 180-2, appendix B.1 */
                                     0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                     0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                     0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad
    };
    struct pc_kad_key key = pc_kad_key_of(pc_bytes_of("abc", 3));
    assert_memory_equal(key.bytes, abc, sizeof(abc));
    struct pc_peer_id id = { .size = 3, .bytes = { 'a', 'b', 'c', 'd' } }; /* what follows is no part of it */
    key = pc_kad_key_of_peer(&id);
    assert_memory_equal(key.bytes, abc, sizeof(abc));
}

static void key_distance_is_xor_big_endian(void **state)
{
    (void)state;
    struct pc_kad_key zero = { { 0 } }, high = { { 0x80 } }, low = { { 0 } }, target = { { 0xc0 } };
    low.bytes[31] = 1;
    assert_true(pc_kad_key_compare(&zero, &low, &high) < 0);
    assert_true(pc_kad_key_compare(&zero, &high, &low) > 0);
    assert_true(pc_kad_key_compare(&zero, &zero, &low) < 0);
    assert_true(pc_kad_key_compare(&target, &high, &low) < 0); /* 0x40… against 0xc0… */
    assert_int_equal(pc_kad_key_compare(&target, &low, &low), 0);

    assert_int_equal(pc_kad_key_common_prefix(&zero, &zero), 256);
    assert_int_equal(pc_kad_key_common_prefix(&zero, &low), 255);
    assert_int_equal(pc_kad_key_common_prefix(&zero, &high), 0);
    for (unsigned bit = 0; bit < 256; bit++) {
        struct pc_kad_key key = zero;
        key.bytes[bit / 8] = (uint8_t)(0x80 >> (bit % 8));
        key.bytes[31] |= bit < 248 ? 0x55 : 0; /* what comes after does not matter */
        assert_int_equal(pc_kad_key_common_prefix(&zero, &key), bit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_is_sha256_of_the_id),
        cmocka_unit_test(key_distance_is_xor_big_endian),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
