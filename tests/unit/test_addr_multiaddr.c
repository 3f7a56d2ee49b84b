#include "check.h"

#include "multiaddr_rows.h"

#include "addr/multiaddr.h"
#include "base/basex.h"

#include <peercache/types.h>

#include <stdio.h>
#include <string.h>

#define ID   "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC"
#define ID2  "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV"
#define HASH "uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g"

static int parse(const char *text, uint8_t *ret_bytes, size_t *ret_size, struct pc_reason *ret_reason)
{
    return pc_addr_multiaddr_parse(text, strlen(text), ret_bytes, PC_MULTIADDR_MAX_BYTES, ret_size,
                                   ret_reason);
}

static struct pc_maddr maddr(const char *text)
{
    struct pc_maddr addr = { 0 };
    struct pc_reason reason = { "" };
    if (pc_addr_maddr_parse(text, strlen(text), &addr, &reason) != 0)
        fail_msg("%s: %s", text, reason.text);
    return addr;
}

static const struct valid_multiaddr valid[] = {
    { "/ip4/127.0.0.1/udp/1234", NULL, "047f000001910204d2" },
    { "/ip4/127.0.0.1/tcp/4321", NULL, "047f0000010610e1" },
    { "/ip4/127.0.0.1/udp/1234/ip4/127.0.0.1/tcp/4321", NULL, "047f000001910204d2047f0000010610e1" },
    { "/ip4/1.2.3.4/udp/4001/quic-v1", NULL, "040102030491020fa1cd03" },
    { "/ip4/1.2.3.4/udp/4001/quic", NULL, "040102030491020fa1cc03" },
    { "/ip4/0.0.0.0", NULL, "0400000000" },
    { "/ip4/255.255.255.255", NULL, "04ffffffff" },
    { "/ip4/1.2.3.4/tcp/80/", "/ip4/1.2.3.4/tcp/80", NULL },
    { "/ip4/1.2.3.4/tcp/80////", "/ip4/1.2.3.4/tcp/80", NULL },
    { "/ip4/::ffff:1.2.3.4", "/ip4/1.2.3.4", NULL },
    { "/ip4/::ffff:102:304", "/ip4/1.2.3.4", NULL },
    { "/ip6/1.2.3.4", "/ip6/::ffff:1.2.3.4", NULL },
    { "/ip6/::", NULL, "2900000000000000000000000000000000" },
    { "/ip6/::1", NULL, "2900000000000000000000000000000001" },
    { "/ip6/2601:9:4f81:9700:803e:ca65:66e8:c21/udp/1234/quic-v1", NULL,
      "29260100094f819700803eca6566e80c21910204d2cd03" },
    { "/ip6/2001:DB8:0:0:8:800:200C:417A", "/ip6/2001:db8::8:800:200c:417a", NULL },
    { "/ip6/0001:0:0:0:0:0:0:0000", "/ip6/1::", NULL },
    { "/ip6/1:2:3:4:5:6:7::", "/ip6/1:2:3:4:5:6:7:0", NULL },
    { "/ip6/::2:3:4:5:6:7:8", "/ip6/0:2:3:4:5:6:7:8", NULL },
    { "/ip6/1:0:0:2:0:0:0:3", "/ip6/1:0:0:2::3", NULL },
    { "/ip6/1:0:0:2:3:0:0:4", "/ip6/1::2:3:0:0:4", NULL },
    { "/ip6/::1.2.3.4", "/ip6/::102:304", NULL },
    { "/ip6/64:ff9b::1.2.3.4", "/ip6/64:ff9b::102:304", NULL },
    { "/ip6/1:2:3:4:5:6:1.2.3.4", "/ip6/1:2:3:4:5:6:102:304", NULL },
    { "/ip6/::FFFF:1.2.3.4", "/ip6/::ffff:1.2.3.4", NULL },
    { "/ip6zone/x/ip6/fe80::1/udp/1234/quic-v1", NULL, NULL },
    { "/ip6zone/x%y/ip6/fe80::1", NULL,
      "2a03782579"
      "29fe800000000000000000000000000001" },
    { "/ip6zone/x", NULL, NULL },
    { "/udp/0", NULL, "91020000" },
    { "/tcp/65535", NULL, "06ffff" },
    { "/tcp/000000000000000080", "/tcp/80", NULL },
    { "/dns/example.com/tcp/443/wss", NULL, "350b6578616d706c652e636f6d0601bbde03" },
    { "/dns4/a/udp/1/quic-v1", NULL, NULL },
    { "/dns6/a b\xff", NULL, NULL }, /* go-multiaddr asks nothing of a name but that it has no slash */
    { "/dnsaddr/bootstrap.libp2p.io/p2p/" ID, NULL, NULL },
    { "/ipfs/" ID, "/p2p/" ID, NULL },
    { "/p2p/k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl7", "/p2p/" ID, NULL },
    { "/p2p/bafzbeigvf25ytwc3akrijfecaotc74udrhcxzh2cx3we5qqnw5vgrei4bm", "/p2p/" ID, NULL },
    { "/p2p/k51qzi5uqu5dhb6l8spkdx7yxafegfkee5by8h7lmjh2ehc2sgg34z7c15vzqs", "/p2p/" ID2, NULL },
    { "/p2p/11", NULL, "a503020000" }, /* an identity multihash of nothing */
    { "/ip4/1.2.3.4/tcp/1/p2p/" ID "/p2p-circuit/p2p/" ID2, NULL, NULL },
    { "/ip4/1.2.3.4/udp/1/quic-v1/webtransport/certhash/" HASH "/certhash/" HASH, NULL, NULL },
    { "/certhash/b2uaraocy6yrdblb4sfptaddgimjmmpy", "/certhash/u1QEQOFj2IjCsPJFfMAxmQxLGPw", NULL },
    { "/certhash/zQmbWTwYGcmdyK9CYfNBcfs9nhZs17a6FQ4Y8oea278xx41", "/certhash/" HASH, NULL },
    { "/certhash/f0001ff", "/certhash/uAAH_", "d203030001ff" },
    { "/certhash/UAAH_", "/certhash/uAAH_", NULL },
    { "/ip4/1.2.3.4/udp/9/webrtc-direct", NULL, NULL },
    { "/ip4/1.2.3.4/tcp/9/tls/ws", NULL, NULL },
    { "/quic-v1/quic-v1", NULL, "cd03cd03" },
    { "/p2p-circuit", NULL, "a202" },
};

static void valid_text(void **state)
{
    (void)state;
    check_valid_multiaddrs(valid, sizeof(valid) / sizeof(valid[0]));
}

static void invalid_text(void **state)
{
    (void)state;
    static const struct invalid_multiaddr rows[] = {
        { "", "the address is empty" },
        { "/", "the address is empty" },
        { "///", "the address is empty" },
        { "ip4/1.2.3.4", "\"ip4/1.2.3.4\" does not begin with '/'" },
        { " /ip4/1.2.3.4", "\" /ip4/1.2.3.4\" does not begin with '/'" },
        { "//ip4/1.2.3.4", "\"\" is not a known protocol" },
        { "/ip4/1.2.3.4//tcp/1", "\"\" is not a known protocol" },
        { "/IP4/1.2.3.4", "\"IP4\" is not a known protocol" },
        { "/ip", "\"ip\" is not a known protocol" },
        { "/ip4", "ip4: the value is missing" },
        { "/ip4/", "ip4: the value is missing" },
        { "/ip4//tcp/1", "ip4: \"\" is not an IPv4 address" },
        { "/ip4/300.1.1.1", "ip4: \"300.1.1.1\" is not an IPv4 address" },
        { "/ip4/01.2.3.4", "ip4: \"01.2.3.4\" is not an IPv4 address" },
        { "/ip4/1.2.3.00", "ip4: \"1.2.3.00\" is not an IPv4 address" },
        { "/ip4/1.2.3", "ip4: \"1.2.3\" is not an IPv4 address" },
        { "/ip4/1.2.3.4.5", "ip4: \"1.2.3.4.5\" is not an IPv4 address" },
        { "/ip4/1.2.3.", "ip4: \"1.2.3.\" is not an IPv4 address" },
        { "/ip4/1.2.3.4 ", "ip4: \"1.2.3.4 \" is not an IPv4 address" },
        { "/ip4/1.2.3.0x4", "ip4: \"1.2.3.0x4\" is not an IPv4 address" },
        { "/ip4/::1", "ip4: \"::1\" is not an IPv4 address" },
        { "/ip4/4294967297.2.3.4", "ip4: \"4294967297.2.3.4\" is not an IPv4 address" },
        { "/ip6", "ip6: the value is missing" },
        { "/ip6/:", "ip6: \":\" is not an IPv6 address" },
        { "/ip6/:::", "ip6: \":::\" is not an IPv6 address" },
        { "/ip6/1::2::3", "ip6: \"1::2::3\" is not an IPv6 address" },
        { "/ip6/1:2:3:4:5:6:7", "ip6: \"1:2:3:4:5:6:7\" is not an IPv6 address" },
        { "/ip6/1:2:3:4:5:6:7:", "ip6: \"1:2:3:4:5:6:7:\" is not an IPv6 address" },
        { "/ip6/1:2:3:4:5:6:7:8:9", "ip6: \"1:2:3:4:5:6:7:8:9\" is not an IPv6 address" },
        { "/ip6/1:2:3:4:5:6:7:8::", "ip6: \"1:2:3:4:5:6:7:8::\" is not an IPv6 address" },
        { "/ip6/::1:2:3:4:5:6:7:8", "ip6: \"::1:2:3:4:5:6:7:8\" is not an IPv6 address" },
        { "/ip6/:1:2:3:4:5:6:7", "ip6: \":1:2:3:4:5:6:7\" is not an IPv6 address" },
        { "/ip6/12345::", "ip6: \"12345::\" is not an IPv6 address" },
        { "/ip6/g::", "ip6: \"g::\" is not an IPv6 address" },
        { "/ip6/::1.2.3", "ip6: \"::1.2.3\" is not an IPv6 address" },
        { "/ip6/::01.2.3.4", "ip6: \"::01.2.3.4\" is not an IPv6 address" },
        { "/ip6/::1.2.3.4:5", "ip6: \"::1.2.3.4:5\" is not an IPv6 address" },
        { "/ip6/1:2:3:4:5:1.2.3.4", "ip6: \"1:2:3:4:5:1.2.3.4\" is not an IPv6 address" },
        { "/ip6/1:2:3:4:5:6:7:1.2.3.4", "ip6: \"1:2:3:4:5:6:7:1.2.3.4\" is not an IPv6 address" },
        { "/ip6/1:2:3:4:5:6::1.2.3.4", "ip6: \"1:2:3:4:5:6::1.2.3.4\" is not an IPv6 address" },
        { "/ip6/fe80::1%eth0", "ip6: \"fe80::1%eth0\" is not an IPv6 address" },
        { "/ip6zone", "ip6zone: the value is missing" },
        { "/ip6zone//ip6/fe80::1", "ip6zone: \"\" is not an IPv6 zone" },
        { "/tcp/65536", "tcp: \"65536\" is not a port (0 to 65535)" },
        { "/udp/-1", "udp: \"-1\" is not a port (0 to 65535)" },
        { "/udp/+1", "udp: \"+1\" is not a port (0 to 65535)" },
        { "/udp/1_0", "udp: \"1_0\" is not a port (0 to 65535)" },
        { "/udp/0x1", "udp: \"0x1\" is not a port (0 to 65535)" },
        { "/udp//quic", "udp: \"\" is not a port (0 to 65535)" },
        { "/udp/99999999999999999999999", "udp: \"99999999999999999999999\" is not a port (0 to 65535)" },
        { "/quic-v1/65536", "\"65536\" is not a known protocol" },
        { "/dns//tcp/1", "dns: \"\" is not a domain name" },
        { "/dnsaddr", "dnsaddr: the value is missing" },
        { "/p2p", "p2p: the value is missing" },
        { "/p2p/tcp", "p2p: \"tcp\" is not a peer id" },
        { "/ipfs/tcp", "p2p: \"tcp\" is not a peer id" },
        { "/p2p/QmxoHT6iViN5xAjoz1VZ553cL31U9F94ht3QvWR1FrEbZY",
          "p2p: \"QmxoHT6iViN5xAjoz1VZ553cL31U9F94ht3QvWR1FrEbZY\" is not a peer id" },
        { "/p2p/bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
          "p2p: \"bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi\" is not a peer id" },
        { "/certhash", "certhash: the value is missing" },
        { "/certhash/u", "certhash: \"u\" is not a multihash in multibase" },
        { "/certhash/b2uaraocy6yrdblb4sfptaddgimjmmp",
          "certhash: \"b2uaraocy6yrdblb4sfptaddgimjmmp\" is not a multihash in multibase" },
        { "/certhash/EiDDq4_x", "certhash: \"EiDDq4_x\" is not a multihash in multibase" },
        { "/ip4/1.2.3.4/shs/1", "\"shs\" is not a known protocol" },
    };
    check_invalid_multiaddrs(rows, sizeof(rows) / sizeof(rows[0]));
    uint8_t bytes[64];
    size_t size;
    assert_int_equal(pc_addr_multiaddr_parse("/dns/a\0b", 8, bytes, sizeof(bytes), &size, NULL),
                     PEERCACHE_EPARSE);
    assert_int_equal(pc_addr_multiaddr_parse("/ip4/1.2.3.4\0", 13, bytes, sizeof(bytes), &size, NULL),
                     PEERCACHE_EPARSE);
}

static void invalid_bytes(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "00",                   /* no such protocol */
        "8400",                 /* ip4, not in the shortest form */
        "ffffffffffffffffff01", /* a code without end */
        "047f0000",             /* cut short */
        "0400000000"
        "ff", /* something behind */
        "06ff",
        "91",
        "9102ff",
        "3500", /* an empty name */
        "3503"
        "612f62", /* a slash in a name */
        "3502"
        "6100", /* a NUL in a name */
        "3505"
        "61", /* longer than what is there */
        "358100"
        "61", /* a length not in the shortest form */
        "35ffffffffffffffff7f"
        "61",
        "2a00",
        "2a01"
        "2f",
        "a50300",
        "a50301"
        "00",
        "a50302"
        "1200", /* SHA-256 of nothing */
        "a50303"
        "0000ff", /* something behind the multihash */
        "a50304"
        "13020102", /* a function that peer ids don't use */
        "d203"
        "00",
        "d20301"
        "00",
        "d20303"
        "000201",
        "d20304"
        "80000101",
        "bb02", /* no such protocol */
    };
    check_invalid_multiaddr_bytes(rows, sizeof(rows) / sizeof(rows[0]));
}

static void limits(void **state)
{
    (void)state;
    static char text[PC_MULTIADDR_TEXT_BYTES];
    static uint8_t bytes[PC_MULTIADDR_MAX_BYTES + 64];
    char id[300] = "/p2p/";
    uint8_t identity[PC_P2P_VALUE_MAX_BYTES] = { 0, PC_P2P_VALUE_MAX_BYTES - 2, 7 };
    size_t size = 0;
    struct pc_maddr addr;
    struct pc_reason reason;
    /* The longest p2p value, and one byte more. */
    assert_int_equal(pc_base_base58_encode(identity, sizeof(identity), id + 5, sizeof(id) - 5), 0);
    assert_int_equal(parse(id, bytes, &size, NULL), 0);
    assert_int_equal(size, 4 + sizeof(identity));
    bytes[2] = 0x81;
    bytes[3] = 0x01;
    bytes[5]++;
    assert_int_equal(pc_addr_multiaddr_format(pc_bytes_of(bytes, size + 1), text, sizeof(text), NULL),
                     PEERCACHE_EPARSE);
    /* The longest address of all, of the protocol whose text is longest for its bytes. */
    for (size_t i = 0; i < PC_MULTIADDR_MAX_BYTES; i += 2)
        memcpy(bytes + i, "\x94\x02", 2);
    assert_int_equal(
        pc_addr_multiaddr_format(pc_bytes_of(bytes, PC_MULTIADDR_MAX_BYTES), text, sizeof(text), NULL), 0);
    assert_int_equal(pc_addr_multiaddr_parse(text, strlen(text), bytes, sizeof(bytes), &size, NULL), 0);
    assert_int_equal(size, PC_MULTIADDR_MAX_BYTES);
    (void)strcat(text, "/ws");
    assert_int_equal(pc_addr_multiaddr_parse(text, strlen(text), bytes, sizeof(bytes), &size, &reason),
                     PEERCACHE_ELIMIT);
    assert_string_equal(reason.text, "the address is longer than 2048 bytes");
    assert_int_equal(
        pc_addr_multiaddr_format(pc_bytes_of(bytes, PC_MULTIADDR_MAX_BYTES + 2), text, sizeof(text), NULL),
        PEERCACHE_ELIMIT);
    /* A name that is too long by itself. */
    memset(text, 'a', 4096);
    memcpy(text, "/dns/", 5);
    text[4096] = '\0';
    assert_int_equal(parse(text, bytes, &size, &reason), PEERCACHE_ELIMIT);
    memset(text + 5, '1', 4091);
    memcpy(text, "/p2p/", 5);
    assert_int_equal(parse(text, bytes, &size, &reason), PEERCACHE_EPARSE);
    /* The value type. */
    memset(text, 'a', 4 + 1 + PC_MADDR_MAX_BYTES);
    memcpy(text, "/dns/", 5);
    text[5 + PC_MADDR_MAX_BYTES - 3] = '\0'; /* code 1, length 2 */
    assert_int_equal(pc_addr_maddr_parse(text, strlen(text), &addr, NULL), 0);
    assert_int_equal(addr.size, PC_MADDR_MAX_BYTES);
    (void)strcat(text, "a");
    assert_int_equal(pc_addr_maddr_parse(text, strlen(text), &addr, &reason), PEERCACHE_ELIMIT);
    assert_int_equal(parse(text, bytes, &size, NULL), 0);
    assert_int_equal(pc_addr_maddr_from_bytes(pc_bytes_of(bytes, size), &addr), PEERCACHE_ELIMIT);
}

static void parts_one_by_one(void **state)
{
    (void)state;
    struct pc_maddr addr = maddr("/ip4/1.2.3.4/udp/4001/quic-v1/p2p/11");
    struct pc_bytes rest = pc_addr_maddr_bytes(&addr);
    struct pc_multiaddr_part part;
    assert_int_equal(pc_addr_multiaddr_next(&rest, &part), 1);
    assert_int_equal(part.code, PC_MA_IP4);
    assert_int_equal(part.value.size, 4);
    assert_int_equal(part.whole.size, 5);
    assert_int_equal(pc_addr_multiaddr_next(&rest, &part), 1);
    assert_int_equal(part.code, PC_MA_UDP);
    assert_memory_equal(part.value.data, "\x0f\xa1", 2);
    assert_int_equal(pc_addr_multiaddr_next(&rest, &part), 1);
    assert_int_equal(part.code, PC_MA_QUIC_V1);
    assert_int_equal(part.value.size, 0);
    assert_int_equal(pc_addr_multiaddr_next(&rest, &part), 1);
    assert_int_equal(part.code, PC_MA_P2P);
    assert_int_equal(part.value.size, 2);
    assert_int_equal(part.whole.size, 5);
    assert_int_equal(pc_addr_multiaddr_next(&rest, &part), 0);
    rest = pc_bytes_of("\x04\x01", 2);
    assert_int_equal(pc_addr_multiaddr_next(&rest, &part), PEERCACHE_EPARSE);
    assert_int_equal(rest.size, 2);
}

static void split_and_join(void **state)
{
    (void)state;
    static const struct {
        const char *whole;
        const char *addr; /* NULL: empty */
        const char *id;
    } rows[] = {
        { "/ip4/1.2.3.4/udp/1/quic-v1/p2p/" ID, "/ip4/1.2.3.4/udp/1/quic-v1", ID },
        { "/ip4/1.2.3.4/udp/1/quic-v1", "/ip4/1.2.3.4/udp/1/quic-v1", "" },
        { "/p2p/" ID2, NULL, ID2 },
        { "/ip4/1.2.3.4/tcp/1/p2p/" ID "/p2p-circuit", "/ip4/1.2.3.4/tcp/1/p2p/" ID "/p2p-circuit", "" },
        { "/p2p/" ID "/p2p-circuit/p2p/" ID2, "/p2p/" ID "/p2p-circuit", ID2 },
        { "/p2p/" ID "/p2p/" ID2, "/p2p/" ID, ID2 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pc_maddr whole = maddr(rows[i].whole);
        struct pc_maddr addr = { .size = 1 };
        struct pc_peer_id id;
        char text[512];
        assert_int_equal(pc_addr_multiaddr_split(pc_addr_maddr_bytes(&whole), &addr, &id), 0);
        if (rows[i].addr) {
            struct pc_maddr expected = maddr(rows[i].addr);
            assert_true(pc_bytes_equal(pc_addr_maddr_bytes(&addr), pc_addr_maddr_bytes(&expected)));
        } else {
            assert_int_equal(addr.size, 0);
        }
        pc_addr_peer_id_format(&id, text);
        assert_string_equal(text, rows[i].id);
        assert_int_equal(pc_addr_format_with_id(pc_addr_maddr_bytes(&addr), &id, text, sizeof(text)), 0);
        assert_string_equal(text, rows[i].whole);
        size_t length = strlen(text);
        assert_int_equal(pc_addr_format_with_id(pc_addr_maddr_bytes(&addr), &id, text, length),
                         PEERCACHE_ELIMIT);
    }
    struct pc_maddr nobody = maddr("/ip4/1.2.3.4/tcp/1/p2p/11");
    struct pc_maddr addr = { .size = 9 };
    struct pc_peer_id id = { .size = 9 };
    assert_int_equal(pc_addr_multiaddr_split(pc_addr_maddr_bytes(&nobody), &addr, &id), PEERCACHE_EPARSE);
    assert_int_equal(pc_addr_multiaddr_split(pc_bytes_of("\x04", 1), &addr, &id), PEERCACHE_EPARSE);
    assert_int_equal(addr.size, 9);
    assert_int_equal(id.size, 9);
    assert_int_equal(pc_addr_format_with_id(pc_bytes_of("\x04", 1), &id, (char[16]){ 0 }, 16),
                     PEERCACHE_EPARSE);
}

static void kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum pc_addr_kind kind;
        const char *ip_port;
    } rows[] = {
        { "/ip4/192.0.2.1/udp/4001/quic-v1", PC_ADDR_QUIC_V1, "192.0.2.1:4001" },
        { "/ip6/2001:db8::1/udp/4001/quic-v1", PC_ADDR_QUIC_V1, "[2001:db8::1]:4001" },
        { "/ip6/::ffff:192.0.2.1/udp/4001/quic-v1", PC_ADDR_QUIC_V1, "192.0.2.1:4001" },
        { "/ip6zone/2/ip6/fe80::1/udp/1/quic-v1", PC_ADDR_QUIC_V1, "[fe80::1%2]:1" },
        { "/ip6zone/4294967295/ip6/fe80::1/udp/1/quic-v1", PC_ADDR_QUIC_V1, "[fe80::1%4294967295]:1" },
        { "/ip6zone/4294967296/ip6/fe80::1/udp/1/quic-v1", PC_ADDR_OTHER, "none" },
        { "/ip6zone/02/ip6/fe80::1/udp/1/quic-v1", PC_ADDR_OTHER, "none" },
        { "/ip6zone/eth0/ip6/fe80::1/udp/1/quic-v1", PC_ADDR_OTHER, "none" },
        { "/ip6zone/2/ip6/2001:db8::1/udp/1/quic-v1", PC_ADDR_OTHER, "none" },
        { "/ip6zone/2/ip4/1.2.3.4/udp/1/quic-v1", PC_ADDR_OTHER, "none" },
        { "/ip4/1.2.3.4/udp/1/quic", PC_ADDR_OTHER, "none" },
        { "/ip4/1.2.3.4/tcp/1/quic-v1", PC_ADDR_OTHER, "none" },
        { "/ip4/1.2.3.4/udp/1", PC_ADDR_OTHER, "none" },
        { "/ip4/1.2.3.4/udp/1/quic-v1/webtransport", PC_ADDR_OTHER, "none" },
        { "/ip4/1.2.3.4/udp/1/quic-v1/p2p/" ID, PC_ADDR_OTHER, "none" },
        { "/udp/1/quic-v1", PC_ADDR_OTHER, "none" },
        { "/dns/a/udp/1/quic-v1", PC_ADDR_DNS, "none" },
        { "/dns4/a", PC_ADDR_DNS, "none" },
        { "/dns6/a", PC_ADDR_DNS, "none" },
        { "/dnsaddr/a", PC_ADDR_DNS, "none" },
        { "/ip4/1.2.3.4/dns/a", PC_ADDR_OTHER, "none" },
        { "/dns/a/udp/1/quic-v1/p2p/" ID "/p2p-circuit", PC_ADDR_RELAY, "none" },
        { "/ip4/1.2.3.4/udp/1/quic-v1/p2p-circuit", PC_ADDR_RELAY, "none" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pc_maddr addr = maddr(rows[i].text);
        struct pc_ip_port ip_port = { .family = 9 };
        char text[PC_IP_PORT_TEXT_BYTES];
        if (pc_addr_classify(pc_addr_maddr_bytes(&addr), &ip_port) != rows[i].kind)
            fail_msg("%s", rows[i].text);
        pc_addr_ip_port_format(&ip_port, text);
        assert_string_equal(text, rows[i].ip_port);
        if (rows[i].kind != PC_ADDR_QUIC_V1)
            continue;
        struct pc_maddr back;
        struct pc_ip_port again;
        pc_addr_from_ip_port(&ip_port, &back);
        assert_int_equal(pc_addr_classify(pc_addr_maddr_bytes(&back), &again), PC_ADDR_QUIC_V1);
        assert_true(pc_addr_ip_port_equal(&again, &ip_port));
        again.port++;
        assert_false(pc_addr_ip_port_equal(&again, &ip_port));
    }
    struct pc_ip_port none = { 0 };
    struct pc_maddr addr = { .size = 9 };
    pc_addr_from_ip_port(&none, &addr);
    assert_int_equal(addr.size, 0);
    assert_int_equal(pc_addr_classify(pc_bytes_of("\x04", 1), &none), PC_ADDR_OTHER);
    assert_int_equal(pc_addr_classify(pc_bytes_of(NULL, 0), &none), PC_ADDR_OTHER);
}

static void mutations_round_trip(void **state)
{
    (void)state;
    check_mutated_multiaddrs(valid, sizeof(valid) / sizeof(valid[0]), 60000, 6000);
}

/* text, default port, what comes of it; NULL: EPARSE */
static void ip_port_from_text(void **state)
{
    static const struct {
        const char *text;
        int32_t default_port;
        const char *ip_port;
    } rows[] = {
        { "192.0.2.1:4001", PC_IP_PORT_REQUIRED, "192.0.2.1:4001" },
        { "192.0.2.1:0", PC_IP_PORT_REQUIRED, "192.0.2.1:0" },
        { "192.0.2.1:65535", 53, "192.0.2.1:65535" },
        { "[2001:DB8::1]:4001", PC_IP_PORT_REQUIRED, "[2001:db8::1]:4001" },
        { "192.0.2.1", 53, "192.0.2.1:53" },
        { "2001:db8::1", 53, "[2001:db8::1]:53" },
        { "[2001:db8::1]", 0, "[2001:db8::1]:0" },
        { "[::ffff:192.0.2.1]:1", 53, NULL }, /* brackets are of IPv6 */
        { "192.0.2.1", PC_IP_PORT_REQUIRED, NULL },
        { "2001:db8::1", PC_IP_PORT_REQUIRED, NULL },
        { "[2001:db8::1]", PC_IP_PORT_REQUIRED, NULL },
        { "192.0.2.1:65536", 53, NULL },
        { "192.0.2.1:", 53, NULL },
        { "192.0.2.1:+1", 53, NULL },
        { "192.0.2.1: 1", 53, NULL },
        { "192.0.2.1:1:2", 53, NULL },
        { "[192.0.2.1]:1", 53, NULL },
        { "[2001:db8::1]1", 53, NULL },
        { "[2001:db8::1", 53, NULL },
        { "2001:db8::1]:1", 53, NULL },
        { "[]:1", 53, NULL },
        { "[", 53, NULL },
        { ":1", 53, NULL },
        { "", 53, NULL },
        { "localhost:1", 53, NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pc_ip_port address = { .family = 9 };
        char text[PC_IP_PORT_TEXT_BYTES];
        int result = pc_addr_ip_port_parse(rows[i].text, rows[i].default_port, &address);
        if (result != (rows[i].ip_port ? 0 : PEERCACHE_EPARSE))
            fail_msg("%s", rows[i].text);
        if (result != 0) {
            assert_int_equal(address.family, 9);
            continue;
        }
        pc_addr_ip_port_format(&address, text);
        assert_string_equal(text, rows[i].ip_port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_text),
        cmocka_unit_test(ip_port_from_text),
        cmocka_unit_test(invalid_text),
        cmocka_unit_test(invalid_bytes),
        cmocka_unit_test(limits),
        cmocka_unit_test(parts_one_by_one),
        cmocka_unit_test(split_and_join),
        cmocka_unit_test(kinds),
        cmocka_unit_test(mutations_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
