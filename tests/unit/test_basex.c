#include "check.h"

#include "base/basex.h"
#include "base/rng.h"

#include <peercache/types.h>

#include <string.h>

typedef int encoder(const uint8_t *, size_t, char *, size_t);
typedef int decoder(const char *, size_t, uint8_t *, size_t, size_t *);

static const struct pair {
    encoder *encode;
    decoder *decode;
} pairs[] = {
    { pc_base_hex_encode, pc_base_hex_decode },
    { pc_base_base32_encode, pc_base_base32_decode },
    { pc_base_base36_encode, pc_base_base36_decode },
    { pc_base_base58_encode, pc_base_base58_decode },
    { pc_base_base64url_encode, pc_base_base64url_decode },
    { pc_base_base64i2p_encode, pc_base_base64i2p_decode },
};

/* RFC 4648 section 10; draft-msporny-base58-03; multibase's own test vectors for base36. */
static void known_texts(void **state)
{
    (void)state;
    static const struct {
        encoder *encode;
        decoder *decode;
        const char *data;
        size_t size;
        const char *text;
    } rows[] = {
        { pc_base_hex_encode, pc_base_hex_decode, "", 0, "" },
        { pc_base_hex_encode, pc_base_hex_decode, "foobar", 6, "666f6f626172" },
        { pc_base_base32_encode, pc_base_base32_decode, "f", 1, "my" },
        { pc_base_base32_encode, pc_base_base32_decode, "fo", 2, "mzxq" },
        { pc_base_base32_encode, pc_base_base32_decode, "foo", 3, "mzxw6" },
        { pc_base_base32_encode, pc_base_base32_decode, "foob", 4, "mzxw6yq" },
        { pc_base_base32_encode, pc_base_base32_decode, "fooba", 5, "mzxw6ytb" },
        { pc_base_base32_encode, pc_base_base32_decode, "foobar", 6, "mzxw6ytboi" },
        { pc_base_base64url_encode, pc_base_base64url_decode, "f", 1, "Zg" },
        { pc_base_base64url_encode, pc_base_base64url_decode, "fo", 2, "Zm8" },
        { pc_base_base64url_encode, pc_base_base64url_decode, "foobar", 6, "Zm9vYmFy" },
        { pc_base_base64url_encode, pc_base_base64url_decode, "\xfb\xff\xfe", 3, "-__-" },
        { pc_base_base58_encode, pc_base_base58_decode, "Hello World!", 12, "2NEpo7TZRRrLZSi2U" },
        { pc_base_base58_encode, pc_base_base58_decode, "\x00\x00\x28\x7f\xb4\xcd", 6, "11233QC4" },
        { pc_base_base58_encode, pc_base_base58_decode, "\x00\x00", 2, "11" },
        { pc_base_base36_encode, pc_base_base36_decode, "yes mani !", 10, "2lcpzo5yikidynfl" },
        { pc_base_base36_encode, pc_base_base36_decode, "\x00yes mani !", 11, "02lcpzo5yikidynfl" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[64];
        uint8_t data[64];
        size_t size = 99;
        assert_int_equal(rows[i].encode((const uint8_t *)rows[i].data, rows[i].size, text, sizeof(text)), 0);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(rows[i].decode(text, strlen(text), data, sizeof(data), &size), 0);
        assert_int_equal(size, rows[i].size);
        assert_memory_equal(data, rows[i].data, size);
    }
}

static void wrong_texts(void **state)
{
    (void)state;
    static const struct {
        decoder *decode;
        const char *text;
    } rows[] = {
        { pc_base_hex_decode, "0" },
        { pc_base_hex_decode, "0g" },
        { pc_base_hex_decode, "00 " },
        { pc_base_base32_decode, "m" },
        { pc_base_base32_decode, "mzx" },
        { pc_base_base32_decode, "mzxw6y" },
        { pc_base_base32_decode, "mz" },
        { pc_base_base32_decode, "my======" },
        { pc_base_base32_decode, "m1" },
        { pc_base_base32_decode, "mz\nxq" },
        { pc_base_base36_decode, "a-b" },
        { pc_base_base36_decode, " ab" },
        { pc_base_base58_decode, "0" },
        { pc_base_base58_decode, "O" },
        { pc_base_base58_decode, "I" },
        { pc_base_base58_decode, "l" },
        { pc_base_base58_decode, "2NEpo7 " },
        { pc_base_base64url_decode, "Z" },
        { pc_base_base64url_decode, "Zh" },
        { pc_base_base64url_decode, "Zg==" },
        { pc_base_base64url_decode, "+/+/" },
        { pc_base_base64url_decode, "Zm9vY" },
        { pc_base_multibase_decode, "" },
        { pc_base_multibase_decode, "x00" },
        { pc_base_multibase_decode, "f0" },
        { pc_base_multibase_decode, "f0\n0" },
        { pc_base_multibase_decode, "b1" },
        { pc_base_multibase_decode, "cmy" },
        { pc_base_multibase_decode, "cmy=====" },
        { pc_base_multibase_decode, "cmyf=====" },
        { pc_base_multibase_decode, "uZ" },
        { pc_base_multibase_decode, "uZg==" },
        { pc_base_multibase_decode, "UZg" },
        { pc_base_multibase_decode, "UZg=A" },
        { pc_base_multibase_decode, "U====" },
        { pc_base_multibase_decode, "M-_-_" },
        { pc_base_multibase_decode, "z0" },
        { pc_base_multibase_decode, "02" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t data[64];
        size_t size = 99;
        assert_int_equal(rows[i].decode(rows[i].text, strlen(rows[i].text), data, sizeof(data), &size),
                         PEERCACHE_EPARSE);
        assert_int_equal(size, 99);
    }
    uint8_t data[4];
    size_t size;
    assert_int_equal(pc_base_hex_decode("00\00000", 5, data, sizeof(data), &size), PEERCACHE_EPARSE);
    assert_int_equal(pc_base_base58_decode("2\xff", 2, data, sizeof(data), &size), PEERCACHE_EPARSE);
}

static void either_case(void **state)
{
    (void)state;
    uint8_t data[16];
    size_t size;
    assert_int_equal(pc_base_hex_decode("fFaB", 4, data, sizeof(data), &size), 0);
    assert_memory_equal(data, "\xff\xab", 2);
    assert_int_equal(pc_base_base32_decode("MzXw6", 5, data, sizeof(data), &size), 0);
    assert_memory_equal(data, "foo", 3);
    assert_int_equal(pc_base_base36_decode("2LCPZO5yikidynfl", 16, data, sizeof(data), &size), 0);
    assert_memory_equal(data, "yes mani !", 10);
}

/* The multibase specification's test vectors ("yes mani !"), and what we forgive as go-multibase does. */
static void multibase_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *data;
    } rows[] = {
        { "001111001011001010111001100100000011011010110000101101110011010010010000000100001", "yes mani !" },
        { "01111001011001010111001100100000011011010110000101101110011010010010000000100001", "yes mani !" },
        { "f796573206d616e692021", "yes mani !" },
        { "F796573206D616E692021", "yes mani !" },
        { "bpfsxgidnmfxgsibb", "yes mani !" },
        { "BPFSXGIDNMFXGSIBB", "yes mani !" },
        { "vf5in683dc5n6i811", "yes mani !" },
        { "VF5IN683DC5N6I811", "yes mani !" },
        { "cpfsxgidnmfxgsibb", "yes mani !" },
        { "tf5in683dc5n6i811", "yes mani !" },
        { "k2lcpzo5yikidynfl", "yes mani !" },
        { "K2LCPZO5YIKIDYNFL", "yes mani !" },
        { "z7paNL19xttacUY", "yes mani !" },
        { "Z7Pznk19XTTzBtx", "yes mani !" },
        { "meWVzIG1hbmkgIQ", "yes mani !" },
        { "MeWVzIG1hbmkgIQ==", "yes mani !" },
        { "ueWVzIG1hbmkgIQ", "yes mani !" },
        { "UeWVzIG1hbmkgIQ==", "yes mani !" },
        { "cmy======", "f" },
        { "Cmzxw6===", "foo" },
        { "bmz", "f" },            /* a padding bit is set */
        { "bmzxw6ytbm", "fooba" }, /* one character left over */
        { "uZh", "f" },
        { "uZ\r\nm8", "fo" },
        { "U\nZm8=\n", "fo" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t data[64];
        size_t size = 0;
        assert_int_equal(
            pc_base_multibase_decode(rows[i].text, strlen(rows[i].text), data, sizeof(data), &size), 0);
        assert_int_equal(size, strlen(rows[i].data));
        assert_memory_equal(data, rows[i].data, size);
    }
}

/* Base32 and base64 as I2P writes them; the vectors of RFC 4648 in its digits. */
static void i2p_texts(void **state)
{
    (void)state;
    static const struct {
        decoder *decode;
        const char *text;
        const char *data; /* NULL: refused */
    } rows[] = {
        { pc_base_base64i2p_decode, "", "" },
        { pc_base_base64i2p_decode, "Zg==", "f" },
        { pc_base_base64i2p_decode, "Zm8=", "fo" },
        { pc_base_base64i2p_decode, "Zm9v", "foo" },
        { pc_base_base64i2p_decode, "-~~-", "\xfb\xff\xfe" },
        { pc_base_base64i2p_decode, "\nZ\rh=\n=\n", "f" },
        { pc_base_base64i2p_decode, "Zg", NULL },
        { pc_base_base64i2p_decode, "Zg=", NULL },
        { pc_base_base64i2p_decode, "Zg===", NULL },
        { pc_base_base64i2p_decode, "Z===", NULL },
        { pc_base_base64i2p_decode, "====", NULL },
        { pc_base_base64i2p_decode, "Zg=A", NULL },
        { pc_base_base64i2p_decode, "Zm8=Zm8=", NULL },
        { pc_base_base64i2p_decode, "+//+", NULL },
        { pc_base_base64i2p_decode, "-__-", NULL },
        { pc_base_base32i2p_decode, "", "" },
        { pc_base_base32i2p_decode, "my", "f" },
        { pc_base_base32i2p_decode, "mz", "f" },
        { pc_base_base32i2p_decode, "my==", "f" },
        { pc_base_base32i2p_decode, "my======", "f" },
        { pc_base_base32i2p_decode, "mzxw6ytb", "fooba" },
        { pc_base_base32i2p_decode, "mzxw6\n\n\n\n\n\n\n\nytb", "fooba" },
        { pc_base_base32i2p_decode, "\nmy=====\n",
          NULL }, /* complete at 8 with the line ends: one '=' is missing */
        { pc_base_base32i2p_decode, "my\n", NULL },
        { pc_base_base32i2p_decode, "MY", NULL },
        { pc_base_base32i2p_decode, "m", NULL },
        { pc_base_base32i2p_decode, "mzx", NULL },
        { pc_base_base32i2p_decode, "mzxw6y", NULL },
        { pc_base_base32i2p_decode, "my=m", NULL },
        { pc_base_base32i2p_decode, "my=======", NULL },
        { pc_base_base32i2p_decode, "m1", NULL },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t data[64];
        size_t size = 99;
        int result = rows[i].decode(rows[i].text, strlen(rows[i].text), data, sizeof(data), &size);
        if (result != (rows[i].data ? 0 : PEERCACHE_EPARSE))
            fail_msg("%s: %d", rows[i].text, result);
        assert_int_equal(size, rows[i].data ? strlen(rows[i].data) : 99);
        if (rows[i].data)
            assert_memory_equal(data, rows[i].data, size);
    }
}

static void random_round_trips(void **state)
{
    (void)state;
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, 1);
    for (size_t round = 0; round < 4000; round++) {
        const struct pair *pair = &pairs[round % (sizeof(pairs) / sizeof(pairs[0]))];
        uint8_t data[PC_BASE_BASEX_MAX_BYTES];
        uint8_t again[PC_BASE_BASEX_MAX_BYTES];
        char text[2 * PC_BASE_BASEX_MAX_BYTES + 1];
        size_t size = pc_base_rng_below(&rng, sizeof(data) + 1);
        size_t zeros = pc_base_rng_below(&rng, 4);
        size_t size_again = 0;
        pc_base_rng_bytes(&rng, data, size);
        memset(data, 0, zeros < size ? zeros : size);
        assert_int_equal(pair->encode(data, size, text, sizeof(text)), 0);
        size_t length = strlen(text);
        assert_int_equal(pair->decode(text, length, again, size, &size_again), 0);
        assert_int_equal(size_again, size);
        assert_memory_equal(again, data, size);
        /* One byte less of room on either side is too little. */
        assert_int_equal(pair->encode(data, size, text, length), PEERCACHE_ELIMIT);
        if (size > 0)
            assert_int_equal(pair->decode(text, length, again, size - 1, &size_again), PEERCACHE_ELIMIT);
    }
}

static void positional_bases_are_bounded(void **state)
{
    (void)state;
    static char text[100000];
    uint8_t data[PC_BASE_BASEX_MAX_BYTES + 1] = { 0 };
    size_t size;
    assert_int_equal(pc_base_base58_encode(data, sizeof(data), text, sizeof(text)), PEERCACHE_ELIMIT);
    assert_int_equal(pc_base_base36_encode(data, sizeof(data), text, sizeof(text)), PEERCACHE_ELIMIT);
    memset(text, 'z', sizeof(text));
    assert_int_equal(pc_base_base58_decode(text, sizeof(text), data, sizeof(data), &size), PEERCACHE_EPARSE);
    memset(text, '1', sizeof(text));
    assert_int_equal(pc_base_base58_decode(text, sizeof(text), data, sizeof(data), &size), PEERCACHE_EPARSE);
    assert_int_equal(pc_base_base58_decode(text, PC_BASE_BASEX_MAX_BYTES, data, sizeof(data), &size), 0);
    assert_int_equal(size, PC_BASE_BASEX_MAX_BYTES);
    /* The largest number of that many bytes still fits. */
    memset(data, 0xff, sizeof(data));
    assert_int_equal(pc_base_base36_encode(data, PC_BASE_BASEX_MAX_BYTES, text, sizeof(text)), 0);
    assert_int_equal(pc_base_base36_decode(text, strlen(text), data, sizeof(data), &size), 0);
    assert_int_equal(size, PC_BASE_BASEX_MAX_BYTES);
    assert_int_equal(data[0], 0xff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts),
        cmocka_unit_test(wrong_texts),
        cmocka_unit_test(either_case),
        cmocka_unit_test(multibase_texts),
        cmocka_unit_test(i2p_texts),
        cmocka_unit_test(random_round_trips),
        cmocka_unit_test(positional_bases_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
