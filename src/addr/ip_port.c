/* IP address and port: where datagrams go, and what an address is to us. */
#include "addr/ip_text.h"
#include "addr/leading_ip.h"
#include "addr/multiaddr.h"

#include <peercache/types.h>

#include <assert.h>

bool pc_addr_ip_port_equal(const struct pc_ip_port *a, const struct pc_ip_port *b)
{
    if (a->family != b->family)
        return false;
    if (a->family == 0)
        return true;
    return a->port == b->port && a->scope_id == b->scope_id &&
           memcmp(a->ip, b->ip, a->family == 4 ? PC_IP4_BYTES : PC_IP6_BYTES) == 0;
}

void pc_addr_ip_port_format(const struct pc_ip_port *address, char ret_text[PC_IP_PORT_TEXT_BYTES])
{
    struct pc_writer w;
    pc_base_writer_init(&w, ret_text, PC_IP_PORT_TEXT_BYTES);
    if (address->family == 0) {
        pc_base_write_bytes(&w, "none", sizeof("none"));
        return;
    }
    if (address->family == 4) {
        pc_addr_ip4_write(&w, address->ip);
    } else {
        pc_base_write_u8(&w, '[');
        pc_addr_ip6_write(&w, address->ip);
        if (address->scope_id != 0) {
            pc_base_write_u8(&w, '%');
            pc_addr_decimal_write(&w, address->scope_id);
        }
        pc_base_write_u8(&w, ']');
    }
    pc_base_write_u8(&w, ':');
    pc_addr_decimal_write(&w, address->port);
    pc_base_write_u8(&w, '\0');
    assert(w.error == 0); /* 39 of IPv6, 11 of the scope, 8 of the port and brackets, the NUL */
}

int pc_addr_ip_port_parse(const char *text, int32_t default_port, struct pc_ip_port *ret_address)
{
    uint8_t ip[PC_IP6_BYTES];
    uint64_t port = (uint64_t)default_port;
    struct pc_bytes host = pc_bytes_of(text, strlen(text));
    const char *colon = strrchr(text, ':');
    bool brackets = text[0] == '[';
    if (colon && (brackets ? colon[-1] == ']' : strchr(text, ':') == colon)) {
        if (pc_addr_decimal_parse(pc_bytes_of(colon + 1, strlen(colon + 1)), UINT16_MAX, &port) != 0)
            return PEERCACHE_EPARSE;
        host.size = (size_t)(colon - text);
    }
    if (port > UINT16_MAX)
        return PEERCACHE_EPARSE; /* none, and it is required */
    if (brackets) {
        if (host.size < 2 || text[host.size - 1] != ']')
            return PEERCACHE_EPARSE;
        host = pc_bytes_of(text + 1, host.size - 2);
    }
    struct pc_ip_port address;
    if (pc_addr_ip_parse(host, ip) != 0)
        return PEERCACHE_EPARSE;
    pc_addr_ip_port_set(6, ip, (uint16_t)port, &address);
    if (brackets && address.family != 6)
        return PEERCACHE_EPARSE;
    *ret_address = address;
    return 0;
}

void pc_addr_ip_port_set(uint8_t family, const uint8_t *ip, uint16_t port, struct pc_ip_port *ret_ip_port)
{
    struct pc_ip_port address = { .family = family, .port = port };
    if (family == 6 && pc_addr_ip_is_mapped(ip)) {
        address.family = 4;
        ip += PC_IP6_BYTES - PC_IP4_BYTES;
    }
    memcpy(address.ip, ip, address.family == 4 ? PC_IP4_BYTES : PC_IP6_BYTES);
    *ret_ip_port = address;
}

bool pc_addr_ip_is_link_local(const struct pc_ip_port *address)
{
    return address->family == 6 && address->ip[0] == 0xfe && (address->ip[1] & 0xc0) == 0x80;
}

void pc_addr_from_ip_port(const struct pc_ip_port *address, struct pc_maddr *ret_addr)
{
    struct pc_maddr addr = { 0 };
    struct pc_ip_port plain = { 0 };
    struct pc_writer w;
    if (address->family != 0)
        pc_addr_ip_port_set(address->family, address->ip, address->port, &plain);
    pc_base_writer_init(&w, addr.bytes, sizeof(addr.bytes));
    if (plain.family == 6 && address->scope_id != 0) {
        char zone[16];
        struct pc_writer digits;
        pc_base_writer_init(&digits, zone, sizeof(zone));
        pc_addr_decimal_write(&digits, address->scope_id);
        pc_base_write_varint(&w, PC_MA_IP6ZONE);
        pc_base_write_varint(&w, pc_base_writer_size(&digits));
        pc_base_write_bytes(&w, zone, pc_base_writer_size(&digits));
    }
    if (plain.family != 0) {
        pc_base_write_varint(&w, plain.family == 4 ? PC_MA_IP4 : PC_MA_IP6);
        pc_base_write_bytes(&w, plain.ip, plain.family == 4 ? PC_IP4_BYTES : PC_IP6_BYTES);
        pc_base_write_varint(&w, PC_MA_UDP);
        pc_base_write_u16(&w, plain.port);
        pc_base_write_varint(&w, PC_MA_QUIC_V1);
    }
    assert(w.error == 0);
    addr.size = (uint16_t)pc_base_writer_size(&w);
    *ret_addr = addr;
}

int pc_addr_leading_ip(struct pc_bytes addr, struct pc_leading_ip *ret_leading)
{
    struct pc_leading_ip leading = { 0 };
    struct pc_multiaddr_part part;
    if (pc_addr_is_plain_ip4(addr)) {
        pc_addr_ip_port_set(4, addr.data + 1, (uint16_t)(addr.data[7] << 8 | addr.data[8]), &leading.address);
        leading.rest = pc_bytes_of(addr.data + 5, addr.size - 5);
        leading.transport = PC_MA_UDP;
        leading.above = pc_bytes_of(addr.data + 9, addr.size - 9);
        *ret_leading = leading;
        return 0;
    }
    if (pc_addr_multiaddr_next(&addr, &part) <= 0)
        return PEERCACHE_ENOTFOUND;
    if (part.code == PC_MA_IP6ZONE) {
        leading.zone = part.value;
        if (pc_addr_multiaddr_next(&addr, &part) <= 0 || part.code != PC_MA_IP6)
            return PEERCACHE_ENOTFOUND;
    }
    if (part.code != PC_MA_IP4 && part.code != PC_MA_IP6)
        return PEERCACHE_ENOTFOUND;
    pc_addr_ip_port_set(part.code == PC_MA_IP4 ? 4 : 6, part.value.data, 0, &leading.address);
    leading.rest = addr;
    if (pc_addr_multiaddr_next(&addr, &part) > 0 && pc_addr_has_port(part.code)) {
        struct pc_reader r;
        pc_base_reader_init(&r, part.value.data, part.value.size);
        leading.transport = part.code;
        leading.address.port = pc_base_read_u16(&r);
        leading.above = addr;
    }
    *ret_leading = leading;
    return 0;
}

/* A number as from_ip_port writes it, so that each scope has one address. */
static bool scope_of_zone(struct pc_bytes zone, uint32_t *ret_scope_id)
{
    uint64_t scope_id;
    if (zone.data[0] == '0' || pc_addr_decimal_parse(zone, UINT32_MAX, &scope_id) != 0)
        return false;
    *ret_scope_id = (uint32_t)scope_id;
    return true;
}

enum pc_addr_kind pc_addr_classify(struct pc_bytes addr, struct pc_ip_port *ret_ip_port)
{
    struct pc_bytes rest = addr;
    struct pc_multiaddr_part part;
    struct pc_leading_ip leading;
    bool is_name = false;
    bool is_relayed = false;
    int result;
    *ret_ip_port = (struct pc_ip_port){ 0 };
    if (pc_addr_is_plain_ip4(addr)) {
        (void)pc_addr_leading_ip(addr, &leading); /* it begins with an IP */
        *ret_ip_port = leading.address;
        return PC_ADDR_QUIC_V1;
    }
    while ((result = pc_addr_multiaddr_next(&rest, &part)) > 0) {
        bool is_first = part.whole.data == addr.data;
        is_relayed = is_relayed || part.code == PC_MA_P2P_CIRCUIT;
        is_name = is_name || (is_first && pc_addr_is_dns(part.code));
    }
    if (result != 0)
        return PC_ADDR_OTHER;
    if (is_relayed)
        return PC_ADDR_RELAY;
    if (is_name)
        return PC_ADDR_DNS;
    if (pc_addr_leading_ip(addr, &leading) != 0 || leading.transport != PC_MA_UDP ||
        pc_addr_multiaddr_next(&leading.above, &part) <= 0 || part.code != PC_MA_QUIC_V1 ||
        leading.above.size > 0)
        return PC_ADDR_OTHER;
    if (leading.zone.size > 0 && (!pc_addr_ip_is_link_local(&leading.address) ||
                                  !scope_of_zone(leading.zone, &leading.address.scope_id)))
        return PC_ADDR_OTHER;
    *ret_ip_port = leading.address;
    return PC_ADDR_QUIC_V1;
}
