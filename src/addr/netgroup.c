/*
 * Groups, scopes and the rule of what is stored. A transition address (6to4, Teredo, NAT64, mapped) counts as
 * the IPv4 address inside: whoever owns one IPv4 address owns them all.
 * Ranges: IANA IPv4 and IPv6 special-purpose address registries (RFC 6890).
 */
#include "addr/netgroup.h"

#include "addr/ip_text.h"
#include "addr/leading_ip.h"
#include "addr/protocol.h"
#include "addr/quote.h"

#include <peercache/types.h>

struct range {
    uint8_t family;
    uint8_t bits; /* of the prefix */
    uint8_t prefix[12];
    enum pc_addr_scope scope;
};

/* The first that fits decides; what fits none is public. */
static const struct range ranges[] = {
    { 4, 8, { 0 }, PC_SCOPE_UNUSABLE },                         /* "this network", the unspecified address */
    { 4, 8, { 10 }, PC_SCOPE_PRIVATE },                         /* RFC 1918 */
    { 4, 10, { 100, 64 }, PC_SCOPE_PRIVATE },                   /* RFC 6598, shared by carriers */
    { 4, 8, { 127 }, PC_SCOPE_PRIVATE },                        /* loopback */
    { 4, 16, { 169, 254 }, PC_SCOPE_PRIVATE },                  /* link-local */
    { 4, 12, { 172, 16 }, PC_SCOPE_PRIVATE },                   /* RFC 1918 */
    { 4, 24, { 192, 0, 0 }, PC_SCOPE_PRIVATE },                 /* IETF protocol assignments */
    { 4, 24, { 192, 0, 2 }, PC_SCOPE_PRIVATE },                 /* documentation */
    { 4, 16, { 192, 168 }, PC_SCOPE_PRIVATE },                  /* RFC 1918 */
    { 4, 15, { 198, 18 }, PC_SCOPE_PRIVATE },                   /* benchmarks */
    { 4, 24, { 198, 51, 100 }, PC_SCOPE_PRIVATE },              /* documentation */
    { 4, 24, { 203, 0, 113 }, PC_SCOPE_PRIVATE },               /* documentation */
    { 4, 4, { 224 }, PC_SCOPE_UNUSABLE },                       /* multicast */
    { 4, 4, { 240 }, PC_SCOPE_UNUSABLE },                       /* reserved, and broadcast */
    { 6, 48, { 0, 0x64, 0xff, 0x9b, 0, 1 }, PC_SCOPE_PRIVATE }, /* NAT64 within one network (RFC 8215) */
    { 6, 64, { 0x01, 0 }, PC_SCOPE_UNUSABLE },                  /* discarded (RFC 6666) */
    { 6, 48, { 0x20, 0x01, 0, 2 }, PC_SCOPE_PRIVATE },          /* benchmarks */
    { 6, 32, { 0x20, 0x01, 0x0d, 0xb8 }, PC_SCOPE_PRIVATE },    /* documentation */
    { 6, 20, { 0x3f, 0xff }, PC_SCOPE_PRIVATE },                /* documentation */
    { 6, 7, { 0xfc }, PC_SCOPE_PRIVATE },                       /* RFC 4193 */
    { 6, 10, { 0xfe, 0x80 }, PC_SCOPE_PRIVATE },                /* link-local */
    { 6, 10, { 0xfe, 0xc0 }, PC_SCOPE_PRIVATE },                /* site-local, given up */
    { 6, 8, { 0xff }, PC_SCOPE_UNUSABLE },                      /* multicast */
};

static const uint8_t loopback6[PC_IP6_BYTES] = { [15] = 1 };

static bool has_prefix(const uint8_t *ip, const uint8_t *prefix, unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned left = bits % 8;
    for (unsigned i = 0; i < whole; i++) { /* most differ in the first */
        if (ip[i] != prefix[i])
            return false;
    }
    return left == 0 || (ip[whole] ^ prefix[whole]) >> (8 - left) == 0;
}

/* The IPv4 address inside a transition address. */
static bool inner_ip4(const struct pc_ip_port *address, uint8_t ret_ip[PC_IP4_BYTES])
{
    static const uint8_t to_4[] = { 0x20, 0x02 };
    static const uint8_t teredo[] = { 0x20, 0x01, 0, 0 };
    static const uint8_t nat64[12] = { 0, 0x64, 0xff, 0x9b };
    const uint8_t *ip = address->ip;
    if (address->family != 6)
        return false;
    if (has_prefix(ip, to_4, 16)) {
        memcpy(ret_ip, ip + 2, PC_IP4_BYTES);
        return true;
    }
    if (has_prefix(ip, nat64, 96) || pc_addr_ip_is_mapped(ip)) {
        memcpy(ret_ip, ip + 12, PC_IP4_BYTES);
        return true;
    }
    if (has_prefix(ip, teredo, 32)) { /* the client's address is written inverted (RFC 4380) */
        for (size_t i = 0; i < PC_IP4_BYTES; i++)
            ret_ip[i] = (uint8_t)~ip[12 + i];
        return true;
    }
    return false;
}

struct pc_netgroup pc_addr_netgroup_of_ip_port(const struct pc_ip_port *address, enum pc_netgroup_mode mode)
{
    struct pc_netgroup group = { 0 };
    struct pc_ip_port plain;
    uint8_t ip4[PC_IP4_BYTES];
    struct pc_writer w;
    if (address->family == 0)
        return group;
    pc_addr_ip_port_set(address->family, address->ip, address->port, &plain);
    pc_base_writer_init(&w, group.bytes, sizeof(group.bytes));
    switch (mode) {
    case PC_NETGROUP_LOCAL:
        pc_base_write_u8(&w, plain.family);
        pc_base_write_bytes(&w, plain.ip, plain.family == 4 ? PC_IP4_BYTES : PC_IP6_BYTES);
        pc_base_write_u16(&w, plain.port);
        break;
    case PC_NETGROUP_PUBLIC:
        if (inner_ip4(&plain, ip4))
            pc_addr_ip_port_set(4, ip4, plain.port, &plain);
        pc_base_write_u8(&w, plain.family);
        pc_base_write_bytes(&w, plain.ip, plain.family == 4 ? 2 : 4);
        break;
    }
    group.size = (uint8_t)pc_base_writer_size(&w);
    return group;
}

/* The network of hidden services that an address begins with, as the first byte of its groups, which is
 * neither of the families 4 and 6; 0: none. The first byte of the key or hash goes to *ret_key. */
static uint8_t hidden_network(struct pc_bytes addr, uint8_t *ret_key)
{
    struct pc_multiaddr_part part;
    if (pc_addr_multiaddr_next(&addr, &part) <= 0 || part.value.size == 0)
        return 0;
    *ret_key = part.value.data[0];
    if (part.code == PC_MA_ONION || part.code == PC_MA_ONION3)
        return 't';
    if (part.code == PC_MA_GARLIC32 || part.code == PC_MA_GARLIC64)
        return 'i';
    return 0;
}

static bool is_relayed(struct pc_bytes addr)
{
    struct pc_multiaddr_part part;
    bool found = false;
    int result;
    while ((result = pc_addr_multiaddr_next(&addr, &part)) > 0)
        found = found || part.code == PC_MA_P2P_CIRCUIT;
    return result == 0 && found;
}

struct pc_netgroup pc_addr_netgroup(struct pc_bytes addr, enum pc_netgroup_mode mode)
{
    struct pc_netgroup group = { 0 };
    struct pc_leading_ip leading;
    uint8_t key;
    if (pc_addr_is_plain_ip4(addr) && pc_addr_leading_ip(addr, &leading) == 0)
        return pc_addr_netgroup_of_ip_port(&leading.address, mode);
    bool is_ip = pc_addr_leading_ip(addr, &leading) == 0;
    /* A relayed address lies in the relay's network, not in the peer's, which is not known. */
    if (is_relayed(is_ip ? leading.rest : addr))
        return group;
    if (is_ip)
        return pc_addr_netgroup_of_ip_port(&leading.address, mode);
    uint8_t network = hidden_network(addr, &key);
    if (network != 0)
        group = (struct pc_netgroup){ 2, { network, key >> 4 } };
    return group;
}

/* Whether an IPv4 address may be in one of the ranges, by its first byte: nearly all of peers may not. */
static bool may_be_special(uint8_t first)
{
    switch (first) {
    case 0:
    case 10:
    case 100:
    case 127:
    case 169:
    case 172:
    case 192:
    case 198:
    case 203:
        return true;
    default:
        return first >= 224;
    }
}

static enum pc_addr_scope scope_of_ip(const struct pc_ip_port *address)
{
    static const uint8_t compatible[12] = { 0 }; /* IPv4-compatible, given up; the unspecified address */
    if (address->family == 6 && has_prefix(address->ip, compatible, 96))
        return memcmp(address->ip, loopback6, PC_IP6_BYTES) == 0 ? PC_SCOPE_PRIVATE : PC_SCOPE_UNUSABLE;
    if (address->family == 4 && !may_be_special(address->ip[0]))
        return PC_SCOPE_PUBLIC;
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (ranges[i].family == address->family && has_prefix(address->ip, ranges[i].prefix, ranges[i].bits))
            return ranges[i].scope;
    }
    return PC_SCOPE_PUBLIC;
}

enum pc_addr_scope pc_addr_scope_of(const struct pc_ip_port *address)
{
    uint8_t ip4[PC_IP4_BYTES];
    struct pc_ip_port inner;
    if (address->family == 0 || address->port == 0)
        return PC_SCOPE_UNUSABLE;
    if (!inner_ip4(address, ip4))
        return scope_of_ip(address);
    pc_addr_ip_port_set(4, ip4, address->port, &inner);
    return scope_of_ip(&inner);
}

/* Names go into JSON, logs and terminals later on. */
static bool is_printable(struct pc_bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    }
    return true;
}

/* What is not stored wherever it stands in an address, and why. */
static const struct {
    uint32_t code;
    const char *reason;
} never_stored[] = {
    { PC_MA_P2P_CIRCUIT, "a relay address" },
    { PC_MA_UNIX, "a socket of one machine (unix)" },
    { PC_MA_MEMORY, "a place within one process (memory)" },
    { PC_MA_IPCIDR, "a range of addresses (ipcidr)" },
    { PC_MA_PLAINTEXTV2, "a transport that proves nobody's id (plaintextv2)" },
};

/* NULL: it may be stored. */
static const char *refusal_of(uint32_t code)
{
    for (size_t i = 0; i < sizeof(never_stored) / sizeof(never_stored[0]); i++) {
        if (never_stored[i].code == code)
            return never_stored[i].reason;
    }
    return NULL;
}

/* What the parts alone say: 0 and whether a name stands first, or the refusal. *addr becomes what stands before
 * its closing /p2p/ID, or several of them. */
static int judge_parts(struct pc_bytes *addr, bool *ret_is_name, struct pc_reason *ret_reason)
{
    struct pc_bytes rest = *addr;
    struct pc_multiaddr_part part;
    bool is_name = false;
    size_t kept = 0;
    int result;
    while ((result = pc_addr_multiaddr_next(&rest, &part)) > 0) {
        const struct pc_value_type *type = pc_addr_protocol_by_code(part.code)->value;
        const char *refusal = refusal_of(part.code);
        if (refusal) {
            pc_base_reason(ret_reason, "%s", refusal);
            return PEERCACHE_EUNSUPPORTED;
        }
        if (type && type->is_name && !is_printable(part.value)) {
            pc_base_reason(ret_reason, "the name %s is not printable ASCII", pc_addr_quote(part.value).text);
            return PEERCACHE_EUNSUPPORTED;
        }
        is_name = is_name || (pc_addr_is_dns(part.code) && part.whole.data == addr->data);
        if (part.code != PC_MA_P2P)
            kept = addr->size - rest.size;
    }
    if (result != 0) {
        pc_base_reason(ret_reason, "malformed");
        return result;
    }
    addr->size = kept;
    *ret_is_name = is_name;
    return 0;
}

/* What the IP and port say: 0 or the refusal. */
static int judge_ip(const struct pc_leading_ip *leading, enum pc_netgroup_mode mode,
                    struct pc_reason *ret_reason)
{
    char text[PC_IP_PORT_TEXT_BYTES];
    if (leading->transport == 0) {
        pc_base_reason(ret_reason, "no transport behind the IP address");
        return PEERCACHE_EUNSUPPORTED;
    }
    if (leading->zone.size > 0 && !pc_addr_ip_is_link_local(&leading->address) &&
        leading->address.family == 6) {
        pc_addr_ip_port_format(&leading->address, text);
        pc_base_reason(ret_reason, "a zone before %s, which is not link-local", text);
        return PEERCACHE_EUNSUPPORTED;
    }
    switch (pc_addr_scope_of(&leading->address)) {
    case PC_SCOPE_PUBLIC:
        return 0;
    case PC_SCOPE_PRIVATE:
        if (mode == PC_NETGROUP_LOCAL)
            return 0;
        pc_addr_ip_port_format(&leading->address, text);
        pc_base_reason(ret_reason, "%s is a private address", text);
        return PEERCACHE_EUNSUPPORTED;
    case PC_SCOPE_UNUSABLE:
        pc_addr_ip_port_format(&leading->address, text);
        pc_base_reason(ret_reason, "%s is an unspecified, multicast or reserved address, or port 0", text);
        return PEERCACHE_EUNSUPPORTED;
    }
    return PEERCACHE_EUNSUPPORTED;
}

/* Write an address anew: IPv4-mapped IPv6 as IPv4 (a zone before it means nothing then). */
static int write_normal(const struct pc_leading_ip *leading, struct pc_maddr *ret_addr)
{
    struct pc_maddr addr = { 0 };
    struct pc_writer w;
    bool is_ip4 = leading->address.family == 4;
    pc_base_writer_init(&w, addr.bytes, sizeof(addr.bytes));
    if (leading->zone.size > 0 && !is_ip4) {
        pc_base_write_varint(&w, PC_MA_IP6ZONE);
        pc_base_write_varint(&w, leading->zone.size);
        pc_base_write_bytes(&w, leading->zone.data, leading->zone.size);
    }
    pc_base_write_varint(&w, is_ip4 ? PC_MA_IP4 : PC_MA_IP6);
    pc_base_write_bytes(&w, leading->address.ip, is_ip4 ? PC_IP4_BYTES : PC_IP6_BYTES);
    pc_base_write_bytes(&w, leading->rest.data, leading->rest.size);
    if (w.error)
        return w.error;
    addr.size = (uint16_t)pc_base_writer_size(&w);
    *ret_addr = addr;
    return 0;
}

int pc_addr_storable(struct pc_bytes addr, enum pc_netgroup_mode mode, bool names_allowed,
                     struct pc_maddr *ret_addr, struct pc_reason *ret_reason)
{
    struct pc_leading_ip leading;
    bool is_name = false;
    uint8_t key;
    int result;
    if (pc_addr_is_plain_ip4(addr) && pc_addr_leading_ip(addr, &leading) == 0) { /* its parts are fine */
        result = judge_ip(&leading, mode, ret_reason);
        return result != 0 ? result : write_normal(&leading, ret_addr);
    }
    result = judge_parts(&addr, &is_name, ret_reason);
    if (result != 0)
        return result;
    if (is_name) {
        if (!names_allowed) {
            pc_base_reason(ret_reason, "a DNS name that is not from configuration");
            return PEERCACHE_EUNSUPPORTED;
        }
        result = pc_addr_maddr_from_bytes(addr, ret_addr);
    } else if (hidden_network(addr, &key) != 0) {
        result = pc_addr_maddr_from_bytes(addr, ret_addr);
    } else if (pc_addr_leading_ip(addr, &leading) != 0) {
        pc_base_reason(ret_reason, "begins with no IP address, DNS name or hidden service");
        return PEERCACHE_EUNSUPPORTED;
    } else {
        result = judge_ip(&leading, mode, ret_reason);
        if (result != 0)
            return result;
        result = write_normal(&leading, ret_addr);
    }
    if (result == PEERCACHE_ELIMIT)
        pc_base_reason(ret_reason, "longer than %d bytes", PC_MADDR_MAX_BYTES);
    return result;
}
