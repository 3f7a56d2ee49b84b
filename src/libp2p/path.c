/* Addresses to ngtcp2's paths and back: path.h. */
#include "libp2p/path.h"

#include <string.h>

static ngtcp2_socklen to_sockaddr(const struct pc_ip_port *from, union pc_socket_address *ret_address)
{
    memset(ret_address, 0, sizeof(*ret_address));
    if (from->family == 4) {
        ret_address->ip4.sin_family = AF_INET;
        ret_address->ip4.sin_port = htons(from->port);
        memcpy(&ret_address->ip4.sin_addr, from->ip, 4);
        return sizeof(ret_address->ip4);
    }
    ret_address->ip6.sin6_family = AF_INET6;
    ret_address->ip6.sin6_port = htons(from->port);
    ret_address->ip6.sin6_scope_id = from->scope_id;
    memcpy(&ret_address->ip6.sin6_addr, from->ip, 16);
    return sizeof(ret_address->ip6);
}

static void from_sockaddr(const ngtcp2_addr *from, struct pc_ip_port *ret_address)
{
    union pc_socket_address address;
    memset(ret_address, 0, sizeof(*ret_address));
    memset(&address, 0, sizeof(address));
    memcpy(&address, from->addr, from->addrlen < sizeof(address) ? from->addrlen : sizeof(address));
    if (address.any.sa_family == AF_INET) {
        ret_address->family = 4;
        ret_address->port = ntohs(address.ip4.sin_port);
        memcpy(ret_address->ip, &address.ip4.sin_addr, 4);
    } else {
        ret_address->family = 6;
        ret_address->port = ntohs(address.ip6.sin6_port);
        ret_address->scope_id = address.ip6.sin6_scope_id;
        memcpy(ret_address->ip, &address.ip6.sin6_addr, 16);
    }
}

void pc_libp2p_path_init(struct pc_path *path, bool inbound, const struct pc_ip_port *local,
                         const struct pc_ip_port *remote, uint32_t socket)
{
    struct pc_ip_port unspecified = { .family = remote->family };
    path->quic.local.addr = &path->local.any;
    path->quic.local.addrlen = to_sockaddr(inbound && local->family ? local : &unspecified, &path->local);
    path->quic.remote.addr = &path->remote.any;
    path->quic.remote.addrlen = to_sockaddr(remote, &path->remote);
    path->quic.user_data = (void *)(uintptr_t)(inbound ? socket : PC_LIBP2P_SOCKET_ANY);
}

void pc_libp2p_path_out(bool inbound, const ngtcp2_path *path, struct pc_datagram *datagram)
{
    datagram->socket = PC_LIBP2P_SOCKET_ANY;
    datagram->local = (struct pc_ip_port){ 0 };
    if (inbound) {
        static const uint8_t none[16];
        datagram->socket = (uint32_t)(uintptr_t)path->user_data;
        from_sockaddr(&path->local, &datagram->local);
        if (memcmp(datagram->local.ip, none, sizeof(none)) == 0)
            datagram->local = (struct pc_ip_port){ 0 };
    }
    from_sockaddr(&path->remote, &datagram->remote);
}
