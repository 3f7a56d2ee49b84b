#include "check.h"

#include "multiaddr_rows.h"

#include "addr/multiaddr.h"
#include "base/basex.h"
#include "base/rng.h"

#include <peercache/types.h>

#include <string.h>

static int parse(const char *text, uint8_t *ret_bytes, size_t *ret_size, struct pc_reason *ret_reason)
{
    return pc_addr_multiaddr_parse(text, strlen(text), ret_bytes, PC_MULTIADDR_MAX_BYTES, ret_size,
                                   ret_reason);
}

void check_valid_multiaddrs(const struct valid_multiaddr *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
        uint8_t again[PC_MULTIADDR_MAX_BYTES];
        size_t size = 0;
        size_t size_again = 0;
        char text[PC_MULTIADDR_TEXT_BYTES];
        char hex[2 * PC_MULTIADDR_MAX_BYTES + 1];
        struct pc_reason reason = { "" };
        if (parse(rows[i].text, bytes, &size, &reason) != 0)
            fail_msg("%s: %s", rows[i].text, reason.text);
        assert_int_equal(pc_addr_multiaddr_format(pc_bytes_of(bytes, size), text, sizeof(text), &reason), 0);
        assert_string_equal(text, rows[i].canonical ? rows[i].canonical : rows[i].text);
        if (rows[i].hex) {
            assert_int_equal(pc_base_hex_encode(bytes, size, hex, sizeof(hex)), 0);
            assert_string_equal(hex, rows[i].hex);
        }
        assert_int_equal(parse(text, again, &size_again, &reason), 0);
        assert_int_equal(size_again, size);
        assert_memory_equal(again, bytes, size);
        /* Room for exactly so much, and for one byte less. */
        assert_int_equal(pc_addr_multiaddr_parse(text, strlen(text), again, size, &size_again, NULL), 0);
        assert_int_equal(pc_addr_multiaddr_parse(text, strlen(text), again, size - 1, &size_again, &reason),
                         PEERCACHE_ELIMIT);
        size_t length = strlen(text);
        struct pc_bytes addr = pc_bytes_of(bytes, size);
        assert_int_equal(pc_addr_multiaddr_format(addr, text, length + 1, NULL), 0);
        assert_int_equal(pc_addr_multiaddr_format(addr, text, length, &reason), PEERCACHE_ELIMIT);
        assert_int_equal(pc_addr_multiaddr_format(addr, text, 0, &reason), PEERCACHE_ELIMIT);
    }
}

void check_invalid_multiaddrs(const struct invalid_multiaddr *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
        size_t size = 77;
        struct pc_reason reason = { "" };
        int result = parse(rows[i].text, bytes, &size, &reason);
        if (result != PEERCACHE_EPARSE)
            fail_msg("%s: %d", rows[i].text, result);
        assert_int_equal(size, 77);
        assert_string_equal(reason.text, rows[i].reason);
    }
}

void check_invalid_multiaddr_bytes(const char *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t bytes[64];
        size_t size;
        char text[256];
        struct pc_maddr addr = { .size = 77 };
        struct pc_reason reason = { "" };
        assert_int_equal(pc_base_hex_decode(rows[i], strlen(rows[i]), bytes, sizeof(bytes), &size), 0);
        if (pc_addr_multiaddr_format(pc_bytes_of(bytes, size), text, sizeof(text), &reason) !=
            PEERCACHE_EPARSE)
            fail_msg("%s", rows[i]);
        assert_true(strlen(reason.text) > 0);
        assert_int_equal(pc_addr_maddr_from_bytes(pc_bytes_of(bytes, size), &addr), PEERCACHE_EPARSE);
        assert_int_equal(addr.size, 77);
    }
}

void check_mutated_multiaddrs(const struct valid_multiaddr *rows, size_t count, size_t rounds, size_t least)
{
    static char text[PC_MULTIADDR_TEXT_BYTES];
    static char again[PC_MULTIADDR_TEXT_BYTES];
    struct pc_rng rng;
    size_t still_valid = 0;
    pc_base_rng_init_u64(&rng, 7);
    for (size_t round = 0; round < rounds; round++) {
        const char *start = rows[pc_base_rng_below(&rng, count)].text;
        uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
        uint8_t bytes_again[PC_MULTIADDR_MAX_BYTES];
        size_t size = 0;
        size_t size_again = 0;
        bool in_text = round % 2 == 0;
        size_t changes = 1 + pc_base_rng_below(&rng, 3);
        (void)strcpy(text, start);
        if (!in_text)
            assert_int_equal(parse(text, bytes, &size, NULL), 0);
        for (size_t i = 0; i < changes; i++) {
            if (in_text)
                text[pc_base_rng_below(&rng, strlen(start))] = "0129afz:./%="[pc_base_rng_below(&rng, 12)];
            else
                bytes[pc_base_rng_below(&rng, size)] ^= (uint8_t)(1u << pc_base_rng_below(&rng, 8));
        }
        if (in_text ? parse(text, bytes, &size, NULL) != 0
                    : pc_addr_multiaddr_format(pc_bytes_of(bytes, size), text, sizeof(text), NULL) != 0)
            continue;
        still_valid++;
        assert_int_equal(pc_addr_multiaddr_format(pc_bytes_of(bytes, size), text, sizeof(text), NULL), 0);
        assert_int_equal(parse(text, bytes_again, &size_again, NULL), 0);
        assert_int_equal(size_again, size);
        assert_memory_equal(bytes_again, bytes, size);
        assert_int_equal(pc_addr_multiaddr_format(pc_bytes_of(bytes_again, size), again, sizeof(again), NULL),
                         0);
        assert_string_equal(again, text);
    }
    assert_in_range(still_valid, least, rounds);
}
