/* Values that are numbers of a fixed size: IP addresses, ports, and the like. */
#include "addr/ip_text.h"
#include "addr/protocol.h"

#include <peercache/types.h>

/* IPv4 may be written as IPv4-mapped IPv6, and the other way round: go-multiaddr takes both. */
static int ip4_read(struct pc_bytes text, struct pc_writer *value)
{
    uint8_t ip[PC_IP6_BYTES];
    if (pc_addr_ip_parse(text, ip) != 0 || !pc_addr_ip_is_mapped(ip))
        return PEERCACHE_EPARSE;
    pc_base_write_bytes(value, ip + PC_IP6_BYTES - PC_IP4_BYTES, PC_IP4_BYTES);
    return 0;
}

static void ip4_write(struct pc_bytes value, struct pc_writer *text)
{
    pc_addr_ip4_write(text, value.data);
}

static int ip6_read(struct pc_bytes text, struct pc_writer *value)
{
    uint8_t ip[PC_IP6_BYTES];
    if (pc_addr_ip_parse(text, ip) != 0)
        return PEERCACHE_EPARSE;
    pc_base_write_bytes(value, ip, sizeof(ip));
    return 0;
}

static void ip6_write(struct pc_bytes value, struct pc_writer *text)
{
    pc_addr_ip6_write(text, value.data);
}

/* go-multiaddr lets a prefix be longer than any address: the address it belongs to is another part. */
static int prefix_size_read(struct pc_bytes text, struct pc_writer *value)
{
    uint64_t bits;
    if (pc_addr_decimal_parse(text, UINT8_MAX, &bits) != 0)
        return PEERCACHE_EPARSE;
    pc_base_write_u8(value, (uint8_t)bits);
    return 0;
}

static void prefix_size_write(struct pc_bytes value, struct pc_writer *text)
{
    pc_addr_decimal_write(text, value.data[0]);
}

static int port_read(struct pc_bytes text, struct pc_writer *value)
{
    uint64_t port;
    if (pc_addr_decimal_parse(text, UINT16_MAX, &port) != 0)
        return PEERCACHE_EPARSE;
    pc_base_write_u16(value, (uint16_t)port);
    return 0;
}

static void port_write(struct pc_bytes value, struct pc_writer *text)
{
    struct pc_reader r;
    pc_base_reader_init(&r, value.data, value.size);
    pc_addr_decimal_write(text, pc_base_read_u16(&r));
}

static int memory_read(struct pc_bytes text, struct pc_writer *value)
{
    uint64_t number;
    if (pc_addr_decimal_parse(text, UINT64_MAX, &number) != 0)
        return PEERCACHE_EPARSE;
    pc_base_write_u64(value, number);
    return 0;
}

static void memory_write(struct pc_bytes value, struct pc_writer *text)
{
    struct pc_reader r;
    pc_base_reader_init(&r, value.data, value.size);
    pc_addr_decimal_write(text, pc_base_read_u64(&r));
}

const struct pc_value_type pc_addr_value_ip4 = {
    .what = "an IPv4 address",
    .size_bytes = PC_IP4_BYTES,
    .read = ip4_read,
    .write = ip4_write,
};

const struct pc_value_type pc_addr_value_ip6 = {
    .what = "an IPv6 address",
    .size_bytes = PC_IP6_BYTES,
    .read = ip6_read,
    .write = ip6_write,
};

const struct pc_value_type pc_addr_value_prefix_size = {
    .what = "the size of a prefix (0 to 255)",
    .size_bytes = 1,
    .read = prefix_size_read,
    .write = prefix_size_write,
};

const struct pc_value_type pc_addr_value_port = {
    .what = "a port (0 to 65535)",
    .size_bytes = 2,
    .read = port_read,
    .write = port_write,
};

const struct pc_value_type pc_addr_value_memory = {
    .what = "a number of 64 bits",
    .size_bytes = 8,
    .read = memory_read,
    .write = memory_write,
};
