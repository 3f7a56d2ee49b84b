#include "check.h"

#include "addr/netgroup.h"

#include <peercache/types.h>

#include <string.h>

#define ONION      "timaq4ygg2iegci7"
#define ONION_LIKE "tzzzzzzzzzzzzzzz" /* the first four bits are the same */
#define ONION3     "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd"
#define ONION3_T   "tww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd"
#define GARLIC32   "tiqdbugxyzu7lhrwyqjvpqjhwkbtc2yaaaaaaaaaaaaaaaaaaaaa"

#define ID         "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC"

static struct pc_maddr maddr(const char *text)
{
    struct pc_maddr addr = { 0 };
    struct pc_reason reason = { "" };
    if (pc_addr_maddr_parse(text, strlen(text), &addr, &reason) != 0)
        fail_msg("%s: %s", text, reason.text);
    return addr;
}

static struct pc_netgroup group_of(const char *text, enum pc_netgroup_mode mode)
{
    struct pc_maddr addr = maddr(text);
    return pc_addr_netgroup(pc_addr_maddr_bytes(&addr), mode);
}

static void public_groups(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        bool same;
    } rows[] = {
        { "/ip4/1.2.3.4/udp/1/quic-v1", "/ip4/1.2.255.9/tcp/2/ws", true },
        { "/ip4/1.2.3.4/udp/1", "/ip4/1.3.3.4/udp/1", false },
        { "/ip6/2a00:1:2::1/udp/1", "/ip6/2a00:1:ffff::/tcp/9", true },
        { "/ip6/2a00:1:2::1/udp/1", "/ip6/2a00:2:2::1/udp/1", false },
        { "/ip6/102::1/udp/1", "/ip4/1.2.0.0/udp/1", false },
        /* the IPv4 inside: mapped, 6to4, NAT64, Teredo (inverted) */
        { "/ip6/::ffff:1.2.3.4/udp/1", "/ip4/1.2.9.9/udp/1", true },
        { "/ip6/2002:102:304::1/udp/1", "/ip4/1.2.9.9/udp/1", true },
        { "/ip6/64:ff9b::1.2.3.4/udp/1", "/ip4/1.2.9.9/udp/1", true },
        { "/ip6/2001:0:4136:e378:8000:63bf:fefd:fcfb/udp/1", "/ip4/1.2.9.9/udp/1", true },
        { "/ip6/2001:0:1:2:3:4:fefd:fcfb/udp/1", "/ip6/2001:0:5:6:7:8:fefc:fcfb/udp/1", false },
        { "/ip6/2001:1:4136:e378:8000:63bf:fefd:fcfb/udp/1", "/ip4/1.2.9.9/udp/1", false },
        { "/ip6/64:ff9b::1:0:102:304/udp/1", "/ip4/1.2.9.9/udp/1", false },
        { "/ip6zone/x/ip6/fe80::1/udp/1", "/ip6/fe80::2/udp/1", true },
        { "/ip4/1.2.3.4", "/ip4/1.2.3.4/udp/7", true },
        { "/ip4/1.2.3.4/sctp/1", "/ip4/1.2.9.9/dccp/1", true },
        /* hidden services: the network and four bits of the key */
        { "/onion/" ONION ":80", "/onion/" ONION ":81/http", true },
        { "/onion/" ONION ":80", "/onion/" ONION_LIKE ":80", true },
        { "/onion/" ONION ":80", "/onion3/" ONION3_T ":80", true },
        { "/onion3/" ONION3 ":80", "/onion3/" ONION3_T ":80", false },
        { "/garlic32/" GARLIC32, "/garlic32/" GARLIC32 "aaaa", true },
        { "/garlic32/" GARLIC32, "/onion/" ONION ":80", false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pc_netgroup a = group_of(rows[i].a, PC_NETGROUP_PUBLIC);
        struct pc_netgroup b = group_of(rows[i].b, PC_NETGROUP_PUBLIC);
        assert_int_not_equal(a.size, 0);
        assert_int_not_equal(b.size, 0);
        if (pc_addr_netgroup_equal(&a, &b) != rows[i].same)
            fail_msg("%s, %s", rows[i].a, rows[i].b);
    }
}

static void local_groups(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        bool same;
    } rows[] = {
        { "/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/udp/2/quic-v1", false },
        { "/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.2/udp/1/quic-v1", false },
        { "/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/udp/1/quic", true },
        { "/ip4/127.0.0.1/udp/256", "/ip4/127.0.0.1/udp/1", false },
        { "/ip6/::1/udp/1", "/ip6/::1/udp/2", false },
        { "/ip6/::1/udp/1", "/ip6/::2/udp/1", false },
        { "/ip6/::1/udp/1", "/ip6/::1/tcp/1", true },
        { "/ip6/::ffff:127.0.0.1/udp/1", "/ip4/127.0.0.1/udp/1", true },
        { "/ip6/2002:7f00:1::/udp/1", "/ip4/127.0.0.1/udp/1", false },
        { "/ip4/127.0.0.1/sctp/1", "/ip4/127.0.0.1/sctp/2", false },
        { "/ip4/127.0.0.1/dccp/1", "/ip4/127.0.0.1/dccp/2", false },
        { "/onion/" ONION ":80", "/onion/" ONION_LIKE ":81", true },
        { "/onion3/" ONION3 ":80", "/onion3/" ONION3_T ":80", false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pc_netgroup a = group_of(rows[i].a, PC_NETGROUP_LOCAL);
        struct pc_netgroup b = group_of(rows[i].b, PC_NETGROUP_LOCAL);
        assert_int_not_equal(a.size, 0);
        if (pc_addr_netgroup_equal(&a, &b) != rows[i].same)
            fail_msg("%s, %s", rows[i].a, rows[i].b);
    }
}

static void no_group(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "/dns4/example.com/udp/1/quic-v1",
        "/dnsaddr/example.com",
        "/udp/1/quic-v1",
        "/p2p/" ID,
        "/ip4/1.2.3.4/udp/1/quic-v1/p2p/" ID "/p2p-circuit",
        "/ip6zone/x",
        "/unix/t",
        "/memory/8358680908399640576",
        "/http-path/t",
        "/sni/t",
        "/noise/onion/" ONION ":80",
        "/onion3/" ONION3 ":80/p2p/" ID "/p2p-circuit",
    };
    struct pc_ip_port none = { 0 };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(group_of(texts[i], PC_NETGROUP_PUBLIC).size, 0);
        assert_int_equal(group_of(texts[i], PC_NETGROUP_LOCAL).size, 0);
    }
    assert_int_equal(pc_addr_netgroup(pc_bytes_of("\x04\x01", 2), PC_NETGROUP_PUBLIC).size, 0);
    assert_int_equal(pc_addr_netgroup_of_ip_port(&none, PC_NETGROUP_LOCAL).size, 0);
}

/* The first and last of each range, and their neighbours. */
static void scopes(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        enum pc_addr_scope scope;
    } rows[] = {
        { "/ip4/0.0.0.0", PC_SCOPE_UNUSABLE },
        { "/ip4/0.255.255.255", PC_SCOPE_UNUSABLE },
        { "/ip4/1.0.0.0", PC_SCOPE_PUBLIC },
        { "/ip4/9.255.255.255", PC_SCOPE_PUBLIC },
        { "/ip4/10.0.0.0", PC_SCOPE_PRIVATE },
        { "/ip4/10.255.255.255", PC_SCOPE_PRIVATE },
        { "/ip4/11.0.0.0", PC_SCOPE_PUBLIC },
        { "/ip4/100.63.255.255", PC_SCOPE_PUBLIC },
        { "/ip4/100.64.0.0", PC_SCOPE_PRIVATE },
        { "/ip4/100.127.255.255", PC_SCOPE_PRIVATE },
        { "/ip4/100.128.0.0", PC_SCOPE_PUBLIC },
        { "/ip4/127.0.0.1", PC_SCOPE_PRIVATE },
        { "/ip4/127.255.255.255", PC_SCOPE_PRIVATE },
        { "/ip4/128.0.0.0", PC_SCOPE_PUBLIC },
        { "/ip4/169.254.0.1", PC_SCOPE_PRIVATE },
        { "/ip4/169.255.0.1", PC_SCOPE_PUBLIC },
        { "/ip4/172.15.255.255", PC_SCOPE_PUBLIC },
        { "/ip4/172.16.0.0", PC_SCOPE_PRIVATE },
        { "/ip4/172.31.255.255", PC_SCOPE_PRIVATE },
        { "/ip4/172.32.0.0", PC_SCOPE_PUBLIC },
        { "/ip4/192.0.0.1", PC_SCOPE_PRIVATE },
        { "/ip4/192.0.1.1", PC_SCOPE_PUBLIC },
        { "/ip4/192.0.2.1", PC_SCOPE_PRIVATE },
        { "/ip4/192.167.255.255", PC_SCOPE_PUBLIC },
        { "/ip4/192.168.0.0", PC_SCOPE_PRIVATE },
        { "/ip4/192.169.0.0", PC_SCOPE_PUBLIC },
        { "/ip4/198.17.255.255", PC_SCOPE_PUBLIC },
        { "/ip4/198.18.0.0", PC_SCOPE_PRIVATE },
        { "/ip4/198.19.255.255", PC_SCOPE_PRIVATE },
        { "/ip4/198.20.0.0", PC_SCOPE_PUBLIC },
        { "/ip4/198.51.100.7", PC_SCOPE_PRIVATE },
        { "/ip4/203.0.113.7", PC_SCOPE_PRIVATE },
        { "/ip4/223.255.255.255", PC_SCOPE_PUBLIC },
        { "/ip4/224.0.0.1", PC_SCOPE_UNUSABLE },
        { "/ip4/239.255.255.255", PC_SCOPE_UNUSABLE },
        { "/ip4/240.0.0.1", PC_SCOPE_UNUSABLE },
        { "/ip4/255.255.255.255", PC_SCOPE_UNUSABLE },
        { "/ip6/::", PC_SCOPE_UNUSABLE },
        { "/ip6/::1", PC_SCOPE_PRIVATE },
        { "/ip6/::2", PC_SCOPE_UNUSABLE },
        { "/ip6/::1:0:0:1", PC_SCOPE_PUBLIC },
        { "/ip6/100::1", PC_SCOPE_UNUSABLE },
        { "/ip6/100:0:0:1::1", PC_SCOPE_PUBLIC },
        { "/ip6/2001:2::1", PC_SCOPE_PRIVATE },
        { "/ip6/2001:db8::1", PC_SCOPE_PRIVATE },
        { "/ip6/2001:db9::1", PC_SCOPE_PUBLIC },
        { "/ip6/3fff:fff::1", PC_SCOPE_PRIVATE },
        { "/ip6/3fff:1000::1", PC_SCOPE_PUBLIC },
        { "/ip6/fbff::1", PC_SCOPE_PUBLIC },
        { "/ip6/fc00::", PC_SCOPE_PRIVATE },
        { "/ip6/fdff::1", PC_SCOPE_PRIVATE },
        { "/ip6/fe00::1", PC_SCOPE_PUBLIC },
        { "/ip6/fe80::1", PC_SCOPE_PRIVATE },
        { "/ip6/febf::1", PC_SCOPE_PRIVATE },
        { "/ip6/fec0::1", PC_SCOPE_PRIVATE },
        { "/ip6/ff02::1", PC_SCOPE_UNUSABLE },
        { "/ip6/2a00::1", PC_SCOPE_PUBLIC },
        { "/ip6/::ffff:10.0.0.1", PC_SCOPE_PRIVATE },
        { "/ip6/::ffff:8.8.8.8", PC_SCOPE_PUBLIC },
        { "/ip6/::ffff:0.0.0.0", PC_SCOPE_UNUSABLE },
        { "/ip6/2002:a00:1::1", PC_SCOPE_PRIVATE },
        { "/ip6/2002:808:808::1", PC_SCOPE_PUBLIC },
        { "/ip6/64:ff9b::10.0.0.1", PC_SCOPE_PRIVATE },
        { "/ip6/64:ff9b::8.8.8.8", PC_SCOPE_PUBLIC },
        { "/ip6/64:ff9b:1::1", PC_SCOPE_PRIVATE },
        { "/ip6/2001::f5ff:fffe", PC_SCOPE_PRIVATE }, /* Teredo of 10.0.0.1 */
        { "/ip6/2001::f7f7:f7f7", PC_SCOPE_PUBLIC },  /* Teredo of 8.8.8.8 */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[128];
        struct pc_ip_port address;
        (void)strcat(strcpy(text, rows[i].ip), "/udp/1/quic-v1");
        struct pc_maddr addr = maddr(text);
        assert_int_equal(pc_addr_classify(pc_addr_maddr_bytes(&addr), &address), PC_ADDR_QUIC_V1);
        if (pc_addr_scope_of(&address) != rows[i].scope)
            fail_msg("%s", rows[i].ip);
        address.port = 0;
        assert_int_equal(pc_addr_scope_of(&address), PC_SCOPE_UNUSABLE);
    }
    assert_int_equal(pc_addr_scope_of(&(struct pc_ip_port){ .port = 1 }), PC_SCOPE_UNUSABLE);
}

static void what_is_stored(void **state)
{
    (void)state;
    enum { PUBLIC = 1, LOCAL = 2, NAMES = 4 }; /* refused unless one of them is set; 0: never stored */
    static const struct {
        const char *text;
        unsigned stored_in; /* a set of modes, with NAMES: only when names are allowed */
        const char *normal; /* NULL: as the text */
        const char *reason; /* of a refusal, or a part of it */
    } rows[] = {
        { "/ip4/1.2.3.4/udp/1/quic-v1", PUBLIC | LOCAL, NULL, NULL },
        { "/ip4/1.2.3.4/udp/1/quic-v1/p2p/" ID, PUBLIC | LOCAL, "/ip4/1.2.3.4/udp/1/quic-v1", NULL },
        { "/ip4/1.2.3.4/tcp/1/p2p/" ID "/p2p/" ID, PUBLIC | LOCAL, "/ip4/1.2.3.4/tcp/1", NULL },
        { "/ip4/1.2.3.4/udp/1/quic-v1/p2p/11", PUBLIC | LOCAL, "/ip4/1.2.3.4/udp/1/quic-v1", NULL },
        { "/ip4/1.2.3.4/tcp/1/tls/ws", PUBLIC | LOCAL, NULL, NULL },
        { "/ip4/1.2.3.4/udp/1/quic-v1/webtransport/certhash/uAAH_", PUBLIC | LOCAL, NULL, NULL },
        { "/ip6/::ffff:1.2.3.4/tcp/1/ws/p2p/" ID, PUBLIC | LOCAL, "/ip4/1.2.3.4/tcp/1/ws", NULL },
        { "/ip6/2a00::1/udp/1/quic-v1", PUBLIC | LOCAL, NULL, NULL },
        { "/ip4/127.0.0.1/udp/1/quic-v1", LOCAL, NULL, "127.0.0.1:1 is a private address" },
        { "/ip4/192.168.1.1/tcp/1", LOCAL, NULL, "192.168.1.1:1 is a private address" },
        { "/ip6/::1/udp/1/quic-v1", LOCAL, NULL, "[::1]:1 is a private address" },
        { "/ip6/::ffff:10.0.0.1/udp/1/quic-v1", LOCAL, "/ip4/10.0.0.1/udp/1/quic-v1", "private" },
        { "/ip6zone/2/ip6/fe80::1/udp/1/quic-v1", LOCAL, NULL, "private" },
        { "/ip6zone/eth0/ip6/fe80::1/udp/1/quic-v1", LOCAL, NULL, "private" },
        { "/ip6zone/eth0/ip6/::ffff:1.2.3.4/udp/1", PUBLIC | LOCAL, "/ip4/1.2.3.4/udp/1", NULL },
        { "/ip6zone/2/ip6/2a00::1/udp/1/quic-v1", 0, NULL, "not link-local" },
        { "/ip6zone/a\x1b[1m/ip6/fe80::1/udp/1/quic-v1", 0, NULL,
          "the name \"a?[1m\" is not printable ASCII" },
        { "/ip4/0.0.0.0/udp/1/quic-v1", 0, NULL, "0.0.0.0:1 is an unspecified" },
        { "/ip6/::/udp/1/quic-v1", 0, NULL, "unspecified" },
        { "/ip6/::ffff:0.0.0.0/udp/1/quic-v1", 0, NULL, "unspecified" },
        { "/ip4/224.0.0.1/udp/1/quic-v1", 0, NULL, "multicast" },
        { "/ip6/ff02::1/udp/1/quic-v1", 0, NULL, "multicast" },
        { "/ip4/1.2.3.4/udp/0/quic-v1", 0, NULL, "port 0" },
        { "/ip4/1.2.3.4", 0, NULL, "no transport" },
        { "/ip4/1.2.3.4/p2p/" ID, 0, NULL, "no transport" },
        { "/ip4/1.2.3.4/quic-v1", 0, NULL, "no transport" },
        { "/p2p/" ID, 0, NULL, "begins with no IP address" },
        { "/udp/1/quic-v1", 0, NULL, "begins with no IP address" },
        { "/ip6zone/x/ip4/1.2.3.4/udp/1", 0, NULL, "begins with no IP address" },
        { "/ip4/1.2.3.4/udp/1/quic-v1/p2p/" ID "/p2p-circuit", 0, NULL, "a relay address" },
        { "/ip4/1.2.3.4/udp/1/quic-v1/p2p/" ID "/p2p-circuit/p2p/" ID, 0, NULL, "a relay address" },
        { "/dns4/a/tcp/1/p2p/" ID "/p2p-circuit", 0, NULL, "a relay address" },
        { "/dns4/example.com/tcp/443/wss/p2p/" ID, PUBLIC | LOCAL | NAMES, "/dns4/example.com/tcp/443/wss",
          "a DNS name" },
        { "/dnsaddr/bootstrap.libp2p.io", PUBLIC | LOCAL | NAMES, NULL, "a DNS name" },
        { "/ip4/1.2.3.4/sctp/1/noise", PUBLIC | LOCAL, NULL, NULL },
        { "/ip4/10.2.3.4/dccp/1", LOCAL, NULL, "10.2.3.4:1 is a private address" },
        { "/ip4/1.2.3.4/dccp/0", 0, NULL, "port 0" },
        { "/ip4/1.2.3.4/udp/1/utp", PUBLIC | LOCAL, NULL, NULL },
        { "/ip4/1.2.3.4/tcp/443/tls/sni/a.b/http/http-path/%00%1B", PUBLIC | LOCAL, NULL, NULL },
        { "/ip4/1.2.3.4/tcp/443/tls/sni/a\x1b/http", 0, NULL, "the name \"a?\" is not printable ASCII" },
        { "/sni/a.b/tcp/443", 0, NULL, "begins with no IP address" },
        { "/onion/" ONION ":80/p2p/" ID, PUBLIC | LOCAL, "/onion/" ONION ":80", NULL },
        { "/onion3/" ONION3 ":80/http", PUBLIC | LOCAL, NULL, NULL },
        { "/garlic32/" GARLIC32, PUBLIC | LOCAL, NULL, NULL },
        { "/onion3/" ONION3 ":80/p2p/" ID "/p2p-circuit/p2p/" ID, 0, NULL, "a relay address" },
        { "/noise/onion3/" ONION3 ":80", 0, NULL, "begins with no IP address, DNS name or hidden service" },
        { "/onion3/" ONION3 ":80/memory/1", 0, NULL, "one process" },
        { "/unix/run/a.sock", 0, NULL, "a socket of one machine" },
        { "/unix/\x1b", 0, NULL, "a socket of one machine" },
        { "/ip4/1.2.3.4/tcp/1/unix/a", 0, NULL, "a socket of one machine" },
        { "/memory/7", 0, NULL, "a place within one process" },
        { "/dns/a/tcp/1/memory/7", 0, NULL, "a place within one process" },
        { "/ip4/1.2.3.0/ipcidr/24", 0, NULL, "a range of addresses" },
        { "/ip4/1.2.3.0/tcp/80/ipcidr/24", 0, NULL, "a range of addresses" },
        { "/ip4/1.2.3.4/tcp/1/plaintextv2", 0, NULL, "proves nobody's id" },
        { "/dns/a/tcp/1/plaintextv2/p2p/" ID, 0, NULL, "proves nobody's id" },
        { "/dns/a b/tcp/1", 0, NULL, "printable" },
        { "/dns/a\xc3\xa9/tcp/1", 0, NULL, "printable" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pc_maddr addr = maddr(rows[i].text);
        for (unsigned names = 0; names < 2; names++) {
            for (unsigned mode = PUBLIC; mode <= LOCAL; mode++) {
                struct pc_maddr stored = { .size = 77 };
                struct pc_reason reason = { "" };
                char text[512];
                bool expected = (rows[i].stored_in & mode) != 0 && (!(rows[i].stored_in & NAMES) || names);
                int result = pc_addr_storable(pc_addr_maddr_bytes(&addr),
                                              mode == LOCAL ? PC_NETGROUP_LOCAL : PC_NETGROUP_PUBLIC,
                                              names != 0, &stored, &reason);
                if (result != (expected ? 0 : PEERCACHE_EUNSUPPORTED))
                    fail_msg("%s: %d %s", rows[i].text, result, reason.text);
                if (!expected) {
                    assert_int_equal(stored.size, 77);
                    if (!strstr(reason.text, rows[i].reason))
                        fail_msg("%s: %s", rows[i].text, reason.text);
                    continue;
                }
                assert_int_equal(
                    pc_addr_multiaddr_format(pc_addr_maddr_bytes(&stored), text, sizeof(text), NULL), 0);
                assert_string_equal(text, rows[i].normal ? rows[i].normal : rows[i].text);
            }
        }
    }
}

static void malformed_or_too_long_is_not_stored(void **state)
{
    (void)state;
    static const char *const malformed[] = { "\x04\x01", "\x04\x01\x02\x03\x04\xff", "\x7f" };
    uint8_t bytes[400] = { 4, 1, 2, 3, 4, 6, 0, 80 };
    struct pc_maddr stored = { .size = 77 };
    struct pc_reason reason;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        assert_int_equal(pc_addr_storable(pc_bytes_of(malformed[i], strlen(malformed[i])), PC_NETGROUP_LOCAL,
                                          true, &stored, &reason),
                         PEERCACHE_EPARSE);
    assert_int_equal(pc_addr_storable(pc_bytes_of(NULL, 0), PC_NETGROUP_LOCAL, true, &stored, &reason),
                     PEERCACHE_EUNSUPPORTED);
    for (size_t i = 8; i < sizeof(bytes); i += 2)
        memcpy(bytes + i, "\xcd\x03", 2);
    assert_int_equal(pc_addr_storable(pc_bytes_of(bytes, PC_MADDR_MAX_BYTES + 2), PC_NETGROUP_PUBLIC, false,
                                      &stored, &reason),
                     PEERCACHE_ELIMIT);
    assert_string_equal(reason.text, "longer than 246 bytes");
    assert_int_equal(stored.size, 77);
    assert_int_equal(
        pc_addr_storable(pc_bytes_of(bytes, PC_MADDR_MAX_BYTES), PC_NETGROUP_PUBLIC, false, &stored, &reason),
        0);
    /* A full destination of I2P: valid, in a group, too long. */
    uint8_t destination[4 + 386] = { 0xbe, 0x03, 0x82, 0x03, 0x90 };
    struct pc_bytes garlic64 = pc_bytes_of(destination, sizeof(destination));
    struct pc_netgroup group = pc_addr_netgroup(garlic64, PC_NETGROUP_PUBLIC);
    struct pc_netgroup expected = group_of("/garlic32/" GARLIC32, PC_NETGROUP_PUBLIC);
    assert_true(pc_addr_netgroup_equal(&group, &expected));
    stored.size = 77;
    assert_int_equal(pc_addr_storable(garlic64, PC_NETGROUP_LOCAL, true, &stored, &reason), PEERCACHE_ELIMIT);
    assert_int_equal(stored.size, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_groups),  cmocka_unit_test(local_groups),
        cmocka_unit_test(no_group),       cmocka_unit_test(scopes),
        cmocka_unit_test(what_is_stored), cmocka_unit_test(malformed_or_too_long_is_not_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
