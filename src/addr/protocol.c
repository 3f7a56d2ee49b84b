#include "addr/protocol.h"

#include "addr/ip_text.h"
#include "addr/multiaddr.h"
#include "addr/multihash.h"
#include "base/basex.h"

#include <peercache/types.h>

#include <assert.h>

static bool any_is_valid(struct pc_bytes value)
{
    (void)value;
    return true;
}

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

static int port_read(struct pc_bytes text, struct pc_writer *value)
{
    uint32_t port;
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

/* Names of hosts and zones are any bytes but '/', which would end the part, and NUL, which would end the
 * text. */
static bool name_is_valid(struct pc_bytes value)
{
    return value.size > 0 && !memchr(value.data, '/', value.size) && !memchr(value.data, '\0', value.size);
}

static int name_read(struct pc_bytes text, struct pc_writer *value)
{
    pc_base_write_bytes(value, text.data, text.size);
    return 0;
}

static void name_write(struct pc_bytes value, struct pc_writer *text)
{
    pc_base_write_bytes(text, value.data, value.size);
}

static int p2p_read(struct pc_bytes text, struct pc_writer *value)
{
    uint8_t multihash[PC_P2P_VALUE_MAX_BYTES];
    size_t size;
    if (pc_addr_p2p_value_parse(text, multihash, &size) != 0)
        return PEERCACHE_EPARSE;
    pc_base_write_bytes(value, multihash, size);
    return 0;
}

static void p2p_write(struct pc_bytes value, struct pc_writer *text)
{
    char base58[2 * PC_P2P_VALUE_MAX_BYTES];
    int result = pc_base_base58_encode(value.data, value.size, base58, sizeof(base58));
    assert(result == 0); /* a valid value is within the bound */
    (void)result;
    pc_base_write_bytes(text, base58, strlen(base58));
}

static bool certhash_is_valid(struct pc_bytes value)
{
    struct pc_multihash multihash;
    return pc_addr_multihash_read(value, &multihash) == 0;
}

static int certhash_read(struct pc_bytes text, struct pc_writer *value)
{
    uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
    size_t size;
    int result = pc_base_multibase_decode((const char *)text.data, text.size, bytes, sizeof(bytes), &size);
    if (result != 0)
        return result;
    pc_base_write_bytes(value, bytes, size);
    return 0;
}

static void certhash_write(struct pc_bytes value, struct pc_writer *text)
{
    char base64[4 * PC_MULTIADDR_MAX_BYTES / 3 + 4];
    int result = pc_base_base64url_encode(value.data, value.size, base64, sizeof(base64));
    assert(result == 0); /* no value is longer than an address */
    (void)result;
    pc_base_write_u8(text, 'u');
    pc_base_write_bytes(text, base64, strlen(base64));
}

#define ROW_PLAIN(name, code)                                                                                \
    {                                                                                                        \
        name, code, PC_PROTOCOL_NO_VALUE, 0, false, NULL, NULL, NULL, NULL                                   \
    }
#define ROW_NAME(name, code, what)                                                                           \
    {                                                                                                        \
        name, code, PC_PROTOCOL_PREFIXED, 0, true, what, name_read, name_write, name_is_valid                \
    }
#define ROW_PORT(name, code)                                                                                 \
    {                                                                                                        \
        name, code, PC_PROTOCOL_FIXED, 2, false, "a port (0 to 65535)", port_read, port_write, any_is_valid  \
    }

static const struct pc_protocol protocols[] = {
    { "ip4", PC_MA_IP4, PC_PROTOCOL_FIXED, PC_IP4_BYTES, false, "an IPv4 address", ip4_read, ip4_write,
      any_is_valid },
    { "ip6", PC_MA_IP6, PC_PROTOCOL_FIXED, PC_IP6_BYTES, false, "an IPv6 address", ip6_read, ip6_write,
      any_is_valid },
    ROW_NAME("ip6zone", PC_MA_IP6ZONE, "an IPv6 zone"),
    ROW_PORT("udp", PC_MA_UDP),
    ROW_PORT("tcp", PC_MA_TCP),
    ROW_PLAIN("quic-v1", PC_MA_QUIC_V1),
    ROW_PLAIN("quic", PC_MA_QUIC),
    { "p2p", PC_MA_P2P, PC_PROTOCOL_PREFIXED, 0, false, "a peer id", p2p_read, p2p_write,
      pc_addr_p2p_value_is_valid },
    ROW_PLAIN("p2p-circuit", PC_MA_P2P_CIRCUIT),
    ROW_PLAIN("webtransport", PC_MA_WEBTRANSPORT),
    { "certhash", PC_MA_CERTHASH, PC_PROTOCOL_PREFIXED, 0, false, "a multihash in multibase", certhash_read,
      certhash_write, certhash_is_valid },
    ROW_PLAIN("webrtc-direct", PC_MA_WEBRTC_DIRECT),
    ROW_PLAIN("tls", PC_MA_TLS),
    ROW_PLAIN("ws", PC_MA_WS),
    ROW_PLAIN("wss", PC_MA_WSS),
    ROW_NAME("dns", PC_MA_DNS, "a domain name"),
    ROW_NAME("dns4", PC_MA_DNS4, "a domain name"),
    ROW_NAME("dns6", PC_MA_DNS6, "a domain name"),
    ROW_NAME("dnsaddr", PC_MA_DNSADDR, "a domain name"),
};

/* Names that were given up, still understood. */
static const struct {
    const char *name;
    const char *today;
} old_names[] = {
    { "ipfs", "p2p" },
};

static bool text_is(struct pc_bytes text, const char *wanted)
{
    return pc_bytes_equal(text, pc_bytes_of(wanted, strlen(wanted)));
}

const struct pc_protocol *pc_addr_protocol_by_name(struct pc_bytes name)
{
    for (size_t i = 0; i < sizeof(old_names) / sizeof(old_names[0]); i++) {
        if (text_is(name, old_names[i].name))
            name = pc_bytes_of(old_names[i].today, strlen(old_names[i].today));
    }
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (text_is(name, protocols[i].name))
            return &protocols[i];
    }
    return NULL;
}

const struct pc_protocol *pc_addr_protocol_by_code(uint64_t code)
{
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (protocols[i].code == code)
            return &protocols[i];
    }
    return NULL;
}
