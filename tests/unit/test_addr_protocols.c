/* The protocols that we don't dial ourselves: what is valid and canonical, compared with go-multiaddr. */
#include "check.h"

#include "multiaddr_rows.h"

#include "addr/multiaddr.h"
#include "addr/protocol.h"

#include <peercache/types.h>

#include <string.h>

#define ONION     "timaq4ygg2iegci7"
#define ONION3    "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd"
#define ONION3_IN "VWW6YBAL4BD7SZMGNCYRUUCPGFKQAHZDDI37KTCEO3AH7NGMCOPNPYYD"
#define A13       "aaaaaaaaaaaaa"
#define C48       "cccccccccccccccccccccccccccccccccccccccccccccccc"
#define ZEROES_32 "0000000000000000000000000000000000000000000000000000000000000000"

static const struct valid_multiaddr valid[] = {
    { "/ip4/1.2.3.0/ipcidr/24", NULL, "04010203002b18" },
    { "/ipcidr/255", NULL, "2bff" },
    { "/ipcidr/000", "/ipcidr/0", "2b00" },
    { "/ip4/1.2.3.4/dccp/1", NULL, "0401020304210001" },
    { "/ip4/1.2.3.4/sctp/65535", NULL, "04010203048401ffff" },
    { "/ip4/1.2.3.4/udp/1/utp", NULL, "040102030491020001ae02" },
    { "/ip4/1.2.3.4/udp/1/udt", NULL, "040102030491020001ad02" },
    { "/unix/a", NULL, "9003022f61" },
    { "/unix/run/peer.sock", NULL, "90030e2f72756e2f706565722e736f636b" },
    { "/unix//a", NULL, "9003032f2f61" },
    { "/unix/a//b/", "/unix/a//b", "9003052f612f2f62" },
    { "/unix/%2f\x1b\xff", NULL, "9003062f2532661bff" },
    { "/ip4/1.2.3.4/unix/a/tcp/80/p2p/x", NULL, "040102030490030f2f612f7463702f38302f7032702f78" },
    { "/onion/" ONION ":1234", NULL, "bc039a18087306369043091f04d2" },
    { "/onion/TIMAq4YGG2IEGCI7:65535", "/onion/" ONION ":65535", "bc039a18087306369043091fffff" },
    { "/onion/timaq4yg\r\ng2iegci7:0080", "/onion/" ONION ":80", "bc039a18087306369043091f0050" },
    { "/onion3/" ONION3 ":1234", NULL,
      "bd03adadec040be047f9658668b11a504f3155001f231a37f54c4476c07fb4cc139ed7e30304d2" },
    { "/onion3/" ONION3_IN ":1/http", "/onion3/" ONION3 ":1/http", NULL },
    { "/garlic32/" A13 A13 A13 A13, NULL, "bf0320" ZEROES_32 },
    { "/garlic32/" A13 A13 A13 A13 "====", "/garlic32/" A13 A13 A13 A13, "bf0320" ZEROES_32 },
    { "/garlic32/" A13 A13 A13 "aaaaaaaaaaaa7", "/garlic32/" A13 A13 A13 "aaaaaaaaaaaaq", NULL }, /* bits */
    { "/garlic32/" C48 "cccccccc", NULL,
      "bf032310842108421084210842108421084210842108421084210842108421084210842108"
      "42" },
    { "/garlic32/" C48 "ccccccccca", NULL, NULL },
    { "/garlic32/cccccccc\n\r\n\n\n\n\n\n" C48, "/garlic32/cccccccc" C48, NULL },
    { "/ip4/1.2.3.4/tcp/443/tls/sni/example.com/ws", NULL, NULL },
    { "/tls/sni/example.com/http", NULL, "c003c1030b6578616d706c652e636f6de003" },
    { "/ip4/1.2.3.4/tcp/1/noise", NULL, "0401020304060001c603" },
    { "/ip4/1.2.3.4/tcp/1/plaintextv2", NULL, "0401020304060001e1d8c103" },
    { "/https", NULL, "bb03" },
    { "/http/http-path/a", NULL, "e003e1030161" },
    { "/http-path/a%2Fb/http", NULL, "e10303612f62e003" },
    { "/http-path/a%2fb+c", "/http-path/a%2Fb+c", "e10305612f622063" },
    { "/http-path/%61%7E%20!", "/http-path/a~+%21", "e10304617e2021" },
    { "/http-path/%C3%a9%00", "/http-path/%C3%A9%00", "e10303c3a900" },
    { "/http-path/\x01\xc3\xa9", "/http-path/%01%C3%A9", "e1030301c3a9" },
    { "/http-path/AZaz09-_.~", NULL, "e1030a415a617a30392d5f2e7e" },
    { "/webrtc", NULL, "9902" },
    { "/p2p-webrtc-direct", NULL, "9402" },
    { "/memory/0", NULL, "89060000000000000000" },
    { "/memory/18446744073709551615", NULL, "8906ffffffffffffffff" },
    { "/memory/0042/http", "/memory/42/http", "8906000000000000002ae003" },
};

static void valid_text(void **state)
{
    (void)state;
    check_valid_multiaddrs(valid, sizeof(valid) / sizeof(valid[0]));
}

#define NO_ONION  " is not the key of an onion service, ':' and a port (1 to 65535)"
#define NO_ONION3 " is not the key of a v3 onion service, ':' and a port (1 to 65535)"
#define NO_GARLIC " is not the hash of an I2P destination in base32"
#define NO_PATH   " is not a path in percent-encoding"
#define NO_MEMORY " is not a number of 64 bits"
#define NO_PREFIX " is not the size of a prefix (0 to 255)"

static void invalid_text(void **state)
{
    (void)state;
    static const struct invalid_multiaddr rows[] = {
        { "/ipcidr", "ipcidr: the value is missing" },
        { "/ipcidr/256", "ipcidr: \"256\"" NO_PREFIX },
        { "/ipcidr//tcp/1", "ipcidr: \"\"" NO_PREFIX },
        { "/ipcidr/-1", "ipcidr: \"-1\"" NO_PREFIX },
        { "/dccp/65536", "dccp: \"65536\" is not a port (0 to 65535)" },
        { "/sctp", "sctp: the value is missing" },
        { "/sctp/x", "sctp: \"x\" is not a port (0 to 65535)" },
        { "/utp/1", "\"1\" is not a known protocol" },
        { "/unix", "unix: the value is missing" },
        { "/unix/", "unix: the value is missing" },
        { "/unix//", "unix: the value is missing" },
        { "/onion/" ONION, "onion: \"" ONION "\"" NO_ONION },
        { "/onion/" ONION ":", "onion: \"" ONION ":\"" NO_ONION },
        { "/onion/" ONION ":0", "onion: \"" ONION ":0\"" NO_ONION },
        { "/onion/" ONION ":65536", "onion: \"" ONION ":65536\"" NO_ONION },
        { "/onion/" ONION ":80:80", "onion: \"" ONION ":80:80\"" NO_ONION },
        { "/onion/" ONION ":-1", "onion: \"" ONION ":-1\"" NO_ONION },
        { "/onion/" ONION ".onion:80", "onion: \"" ONION ".onion:80\"" NO_ONION },
        { "/onion/timaq4ygg2iegci:80", "onion: \"timaq4ygg2iegci:80\"" NO_ONION },
        { "/onion/timaq4ygg2iegci=:80", "onion: \"timaq4ygg2iegci=:80\"" NO_ONION },
        { "/onion/timaq4ygg2iegci77:80", "onion: \"timaq4ygg2iegci77:80\"" NO_ONION },
        { "/onion/timaq4ygg2iegci1:80", "onion: \"timaq4ygg2iegci1:80\"" NO_ONION },
        /* a long s and a dotless i, which some would take for the capitals S and I */
        { "/onion/t\xc4\xb1maq4ygg2iegci7:80", "onion: \"t??maq4ygg2iegci7:80\"" NO_ONION },
        { "/onion/t\xc5\xbfmaq4ygg2iegci7:80", "onion: \"t??maq4ygg2iegci7:80\"" NO_ONION },
        { "/onion/:80", "onion: \":80\"" NO_ONION },
        { "/onion//tcp/1", "onion: \"\"" NO_ONION },
        { "/onion3/" ONION ":80", "onion3: \"" ONION ":80\"" NO_ONION3 },
        { "/onion3/" ONION3 ":0", "onion3: \"" ONION3 ":0\"" NO_ONION3 },
        { "/onion3/" ONION3, "onion3: \"" ONION3 "\"" NO_ONION3 },
        /* go-multiaddr takes these and makes up the bytes that are missing */
        { "/onion3/" C48 "a=======:9", "onion3: \"" C48 "a=======:9\"" NO_ONION3 },
        { "/onion3/" C48 "\n\n\n\n\n\n\n\n:9", "onion3: \"" C48 "????????:9\"" NO_ONION3 },
        { "/onion3/" C48 "\nccccccccc:9", "onion3: \"" C48 "?ccccccccc:9\"" NO_ONION3 },
        { "/onion3/" C48 "\ncccccccc:9", "onion3: \"" C48 "?cccccccc:9\"" NO_ONION3 },
        { "/onion3/" C48 C48 ":9", "onion3: \"" C48 "cccccccccccc\"..." NO_ONION3 },
        { "/garlic32/" C48, "garlic32: \"" C48 "\"" NO_GARLIC },
        { "/garlic32/" C48 "ccccccc", "garlic32: \"" C48 "ccccccc\"" NO_GARLIC }, /* 34 bytes */
        { "/garlic32/" A13 A13 A13 "aaaaaaaaaaaaaa",
          "garlic32: \"" A13 A13 A13 "aaaaaaaaaaaaaa\"" NO_GARLIC },
        { "/garlic32/" A13 A13 A13 "Aaaaaaaaaaaaa", "garlic32: \"" A13 A13 A13 "Aaaaaaaaaaaaa\"" NO_GARLIC },
        { "/garlic32/" A13 A13 A13 A13 "=====", "garlic32: \"" A13 A13 A13 A13 "=====\"" NO_GARLIC },
        { "/garlic64/AAAA", "garlic64: \"AAAA\" is not an I2P destination in base64" },
        { "/sni//tcp/1", "sni: \"\" is not a domain name" },
        { "/http-path", "http-path: the value is missing" },
        { "/http-path//http", "http-path: \"\"" NO_PATH },
        { "/http-path/%", "http-path: \"%\"" NO_PATH },
        { "/http-path/a%4", "http-path: \"a%4\"" NO_PATH },
        { "/http-path/%0g", "http-path: \"%0g\"" NO_PATH },
        { "/http-path/%g0", "http-path: \"%g0\"" NO_PATH },
        { "/http-path/%%41", "http-path: \"%%41\"" NO_PATH },
        { "/http-path/a/b", "\"b\" is not a known protocol" },
        { "/memory", "memory: the value is missing" },
        { "/memory/18446744073709551616", "memory: \"18446744073709551616\"" NO_MEMORY },
        { "/memory/99999999999999999999999", "memory: \"99999999999999999999999\"" NO_MEMORY },
        { "/memory/a", "memory: \"a\"" NO_MEMORY },
        { "/plaintextv1", "\"plaintextv1\" is not a known protocol" },
    };
    check_invalid_multiaddrs(rows, sizeof(rows) / sizeof(rows[0]));
}

static void invalid_bytes(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "2b",
        "21",
        "210001ff", /* something behind */
        "8401ff",
        "9003",
        "900300",
        "9003012f",
        "900302612f", /* not absolute */
        "9003036162"
        "63",
        "9003042f612f2f",   /* a slash at the end */
        "9003032f6100",     /* a NUL */
        "9003022f6104",     /* a part behind the path, cut short */
        "9003022f61e003",   /* and a whole one */
        "9003022f6190032f", /* and another path */
        "bc039a18087306369043091f",
        "bc039a18087306369043091f00",
        "bc039a18087306369043091f0000", /* port 0 */
        "bd03adadec040be047f9658668b11a504f3155001f231a37f54c4476c07fb4cc139ed7e303",
        "bd03adadec040be047f9658668b11a504f3155001f231a37f54c4476c07fb4cc139ed7e3030000",
        "bf0300",
        "bf031f00000000000000000000000000000000000000000000000000000000000000",
        "bf032100" ZEROES_32,
        "bf03220000" ZEROES_32,
        "bf0323" ZEROES_32,
        "be0320" ZEROES_32,
        "c10300",
        "c103012f", /* a slash in a name */
        "c1030100",
        "e10300",
        "e1030261",
        "8906ffffffffffffff",
        "e1d8c18300", /* plaintextv2, not in the shortest form */
    };
    check_invalid_multiaddr_bytes(rows, sizeof(rows) / sizeof(rows[0]));
}

static void mutations_round_trip(void **state)
{
    (void)state;
    check_mutated_multiaddrs(valid, sizeof(valid) / sizeof(valid[0]), 40000, 8000);
}

/* Of full destinations, whose text is longer than a line: 386 bytes are 514 digits and two of padding. */
static void full_i2p_destinations(void **state)
{
    (void)state;
    static const struct {
        size_t digits;
        const char *tail;
        bool is_valid;
    } rows[] = {
        { 512, "~-==", false }, /* 385 bytes */
        { 512, "~-8=", true },  /* 386: 3 digits are 2 bytes */
        { 512, "~-9=", true },  /* a padding bit is set */
        { 516, "", true },           { 516, "~-==", true },
        { 512, "~-8", false }, /* no padding, or too little, too much, within */
        { 516, "~-=", false },       { 516, "~-8==", false },
        { 516, "====", false },      { 516, "~=8=", false },
        { 516, "~-8=~", false },     { 516, "~-8=\r\n", true },
        { 516, "\n~-\n=\n=", true }, { 516, "~~+~", false },
        { 516, "~~ ~", false },      { 516, "~", false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[600] = "/garlic64/";
        char again[600];
        uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
        uint8_t bytes_again[PC_MULTIADDR_MAX_BYTES];
        size_t size = 77;
        size_t size_again;
        memset(text + 10, 'A', rows[i].digits);
        (void)strcat(text, rows[i].tail);
        int result = pc_addr_multiaddr_parse(text, strlen(text), bytes, sizeof(bytes), &size, NULL);
        if (result != (rows[i].is_valid ? 0 : PEERCACHE_EPARSE))
            fail_msg("%s: %d", rows[i].tail, result);
        if (result != 0)
            continue;
        assert_int_equal(pc_addr_multiaddr_format(pc_bytes_of(bytes, size), again, sizeof(again), NULL), 0);
        assert_int_equal(strlen(again) % 4, 10 % 4);
        assert_int_equal(pc_addr_multiaddr_parse(again, strlen(again), bytes_again, sizeof(bytes_again),
                                                 &size_again, NULL),
                         0);
        assert_int_equal(size_again, size);
        assert_memory_equal(bytes_again, bytes, size);
    }
}

/* The row of a protocol is found by its name and by its code, and each code has one name. */
static void names_and_codes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t code;
    } rows[] = {
        { "ip4", 4 },
        { "tcp", 6 },
        { "dccp", 33 },
        { "ip6", 41 },
        { "ip6zone", 42 },
        { "ipcidr", 43 },
        { "dns", 53 },
        { "dns4", 54 },
        { "dns6", 55 },
        { "dnsaddr", 56 },
        { "sctp", 132 },
        { "udp", 273 },
        { "webrtc-direct", 280 },
        { "p2p-webrtc-direct", 276 },
        { "webrtc", 281 },
        { "p2p-circuit", 290 },
        { "udt", 301 },
        { "utp", 302 },
        { "unix", 400 },
        { "p2p", 421 },
        { "https", 443 },
        { "onion", 444 },
        { "onion3", 445 },
        { "garlic64", 446 },
        { "garlic32", 447 },
        { "tls", 448 },
        { "sni", 449 },
        { "noise", 454 },
        { "quic", 460 },
        { "quic-v1", 461 },
        { "webtransport", 465 },
        { "certhash", 466 },
        { "ws", 477 },
        { "wss", 478 },
        { "http", 480 },
        { "http-path", 481 },
        { "memory", 777 },
        { "plaintextv2", 7367777 },
    };
    const size_t count = sizeof(rows) / sizeof(rows[0]);
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        struct pc_bytes name = pc_bytes_of(rows[i].name, strlen(rows[i].name));
        const struct pc_protocol *protocol = pc_addr_protocol_by_code(rows[i].code);
        assert_non_null(protocol);
        assert_string_equal(protocol->name, rows[i].name);
        assert_ptr_equal(pc_addr_protocol_by_name(name), protocol);
        assert_null(pc_addr_protocol_by_name(pc_bytes_of(rows[i].name, strlen(rows[i].name) + 1)));
    }
    for (uint64_t code = 0; code < 100000; code++)
        found += pc_addr_protocol_by_code(code) != NULL;
    assert_int_equal(found, count - 1); /* plaintextv2 lies beyond */
    assert_null(pc_addr_protocol_by_code(4 + (UINT64_C(1) << 32)));
}

/* A path is the end: nothing is split off it, and no id goes behind it. */
static void a_path_ends_the_address(void **state)
{
    (void)state;
    const char *text = "/unix/a/p2p/12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV";
    struct pc_maddr addr;
    struct pc_maddr head;
    struct pc_peer_id id;
    struct pc_multiaddr_part part;
    char again[256];
    assert_int_equal(pc_addr_maddr_parse(text, strlen(text), &addr, NULL), 0);
    assert_int_equal(pc_addr_multiaddr_split(pc_addr_maddr_bytes(&addr), &head, &id), 0);
    assert_int_equal(id.size, 0);
    assert_int_equal(head.size, addr.size);
    assert_int_equal(pc_addr_format_with_id(pc_addr_maddr_bytes(&addr), &id, again, sizeof(again)), 0);
    assert_string_equal(again, text);
    assert_int_equal(pc_addr_peer_id_parse(text + 12, strlen(text + 12), &id, NULL), 0);
    assert_int_equal(pc_addr_format_with_id(pc_addr_maddr_bytes(&addr), &id, again, sizeof(again)),
                     PEERCACHE_EPARSE);
    struct pc_bytes rest = pc_addr_maddr_bytes(&addr);
    assert_int_equal(pc_addr_multiaddr_next(&rest, &part), 1);
    assert_int_equal(part.code, PC_MA_UNIX);
    assert_int_equal(part.value.size, strlen(text) - 5);
    assert_int_equal(pc_addr_multiaddr_next(&rest, &part), 0);
}

/* In a text that is given with its length a NUL is a character like any other: not one of a name or a path,
 * but one that percent-encoding can show. */
static void a_nul_within_the_text(void **state)
{
    (void)state;
    uint8_t bytes[64];
    size_t size;
    assert_int_equal(pc_addr_multiaddr_parse("/unix/a\0b", 9, bytes, sizeof(bytes), &size, NULL),
                     PEERCACHE_EPARSE);
    assert_int_equal(pc_addr_multiaddr_parse("/sni/a\0b", 8, bytes, sizeof(bytes), &size, NULL),
                     PEERCACHE_EPARSE);
    assert_int_equal(pc_addr_multiaddr_parse("/memory/1\0", 10, bytes, sizeof(bytes), &size, NULL),
                     PEERCACHE_EPARSE);
    assert_int_equal(pc_addr_multiaddr_parse("/http-path/a\0", 13, bytes, sizeof(bytes), &size, NULL), 0);
    char text[64];
    assert_int_equal(pc_addr_multiaddr_format(pc_bytes_of(bytes, size), text, sizeof(text), NULL), 0);
    assert_string_equal(text, "/http-path/a%00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_text),
        cmocka_unit_test(invalid_text),
        cmocka_unit_test(invalid_bytes),
        cmocka_unit_test(mutations_round_trip),
        cmocka_unit_test(full_i2p_destinations),
        cmocka_unit_test(names_and_codes),
        cmocka_unit_test(a_path_ends_the_address),
        cmocka_unit_test(a_nul_within_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
