#include "driver/listen.h"

#include <peercache/types.h>

#include <arpa/inet.h>
#include <uv.h>

static bool is_any(const struct pc_ip_port *address)
{
    static const uint8_t zero[16];
    return memcmp(address->ip, zero, address->family == 6 ? 16 : 4) == 0;
}

static struct pc_ip_port of_interface(const uv_interface_address_t *interface, uint16_t port)
{
    struct pc_ip_port address = { .port = port };
    if (interface->address.address4.sin_family == AF_INET) {
        address.family = 4;
        memcpy(address.ip, &interface->address.address4.sin_addr, 4);
    } else if (interface->address.address6.sin6_family == AF_INET6) {
        address.family = 6;
        memcpy(address.ip, &interface->address.address6.sin6_addr, 16);
    }
    return address;
}

static bool is_link_local(const struct pc_ip_port *address)
{
    if (address->family == 4)
        return address->ip[0] == 169 && address->ip[1] == 254; /* RFC 3927 */
    return address->ip[0] == 0xfe && (address->ip[1] & 0xc0) == 0x80;
}

int pc_driver_listen_expand(const struct pc_ip_port *bound, bool local, struct pc_ip_port *addresses,
                            size_t capacity, size_t *count, struct pc_reason *ret_reason)
{
    uv_interface_address_t *interfaces = NULL;
    int interface_count = 0;
    if (!is_any(bound)) {
        if (*count < capacity)
            addresses[(*count)++] = *bound;
        return 0;
    }
    int result = uv_interface_addresses(&interfaces, &interface_count);
    if (result != 0) {
        pc_base_reason(ret_reason, "the interfaces' addresses cannot be listed: %s", uv_strerror(result));
        return PEERCACHE_EIO;
    }
    for (int i = 0; i < interface_count && *count < capacity; i++) {
        struct pc_ip_port address = of_interface(&interfaces[i], bound->port);
        if (address.family != bound->family || is_link_local(&address) ||
            (interfaces[i].is_internal && !local))
            continue;
        addresses[(*count)++] = address;
    }
    uv_free_interface_addresses(interfaces, interface_count);
    return 0;
}
