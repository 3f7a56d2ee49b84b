/* CIDR lists, see filter.h. The IP is read by the table of multiaddr: one parser of addresses is enough. */
#include "join/filter.h"

#include "base/cursor.h"

#include <stdio.h>

#define TEXT_MAX 64

static int refuse(struct pc_reason *ret_reason, const char *text, const char *why)
{
    pc_base_reason(ret_reason, "'%.60s': %s", text, why);
    return PEERCACHE_EPARSE;
}

/* 0 to 128, digits only. -1: anything else. */
static int prefix_of(const char *text)
{
    int bits = 0;
    if (text[0] == '\0' || strlen(text) > 3 || (text[0] == '0' && text[1] != '\0'))
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        bits = bits * 10 + (*text - '0');
    }
    return bits;
}

static bool has_bits_beyond(const struct pc_cidr *network, size_t size)
{
    for (size_t bit = network->prefix_bits; bit < 8 * size; bit++)
        if (network->ip[bit / 8] & (0x80 >> (bit % 8)))
            return true;
    return false;
}

int pc_join_filter_add(struct pc_join_filter *filter, const char *text, bool allowed,
                       struct pc_reason *ret_reason)
{
    char name[TEXT_MAX + 8];
    uint8_t bytes[32];
    size_t size;
    const char *slash = strchr(text, '/');
    size_t ip_length = slash ? (size_t)(slash - text) : strlen(text);
    struct pc_multiaddr_part part;
    struct pc_cidr network = { .allowed = allowed };
    if (ip_length == 0 || ip_length > TEXT_MAX)
        return refuse(ret_reason, text, "not a network such as 10.0.0.0/8 or fd00::/8");
    bool is_v6 = memchr(text, ':', ip_length) != NULL;
    int length = snprintf(name, sizeof(name), "/ip%c/%.*s", is_v6 ? '6' : '4', (int)ip_length, text);
    if (pc_addr_multiaddr_parse(name, (size_t)length, bytes, sizeof(bytes), &size, NULL))
        return refuse(ret_reason, text, "not a network such as 10.0.0.0/8 or fd00::/8");
    struct pc_bytes rest = pc_bytes_of(bytes, size);
    if (pc_addr_multiaddr_next(&rest, &part) != 1 || rest.size != 0)
        return refuse(ret_reason, text, "not a network such as 10.0.0.0/8 or fd00::/8");
    network.family = is_v6 ? 6 : 4;
    memcpy(network.ip, part.value.data, part.value.size);
    int bits = slash ? prefix_of(slash + 1) : (int)part.value.size * 8;
    if (bits < 0 || bits > (int)part.value.size * 8)
        return refuse(ret_reason, text, "the prefix is not a number of bits of this address");
    network.prefix_bits = (uint8_t)bits;
    if (has_bits_beyond(&network, part.value.size))
        return refuse(ret_reason, text, "bits are set beyond the prefix");
    if (filter->count == PC_JOIN_FILTER_MAX) {
        pc_base_reason(ret_reason, "more than %d networks", PC_JOIN_FILTER_MAX);
        return PEERCACHE_ELIMIT;
    }
    filter->networks[filter->count++] = network;
    return 0;
}

static bool holds(const struct pc_cidr *network, uint8_t family, const uint8_t *ip)
{
    size_t whole = network->prefix_bits / 8;
    unsigned left = network->prefix_bits % 8;
    if (network->family != family || memcmp(network->ip, ip, whole) != 0)
        return false;
    return left == 0 || ((network->ip[whole] ^ ip[whole]) >> (8 - left)) == 0;
}

enum pc_filter_verdict pc_join_filter_judge(const struct pc_join_filter *filter,
                                            const struct pc_ip_port *address)
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    uint8_t family = address->family;
    const uint8_t *ip = address->ip;
    const struct pc_cidr *best = NULL;
    if (family == 6 && memcmp(ip, mapped, sizeof(mapped)) == 0) {
        family = 4;
        ip += sizeof(mapped);
    }
    for (size_t i = 0; i < filter->count; i++) {
        const struct pc_cidr *network = &filter->networks[i];
        if (!holds(network, family, ip))
            continue;
        if (!best || network->prefix_bits > best->prefix_bits ||
            (network->prefix_bits == best->prefix_bits && !network->allowed))
            best = network;
    }
    if (!best)
        return PC_FILTER_SILENT;
    return best->allowed ? PC_FILTER_ALLOWED : PC_FILTER_DENIED;
}
