/* The two addresses of a datagram as ngtcp2 wants them. */
#ifndef PC_LIBP2P_PATH_H
#define PC_LIBP2P_PATH_H

#include "libp2p/host.h"

#include <netinet/in.h>
#include <ngtcp2/ngtcp2.h>

union pc_socket_address {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
};

/* `quic` points into it: it must not be moved. */
struct pc_path {
    union pc_socket_address local;
    union pc_socket_address remote;
    ngtcp2_path quic;
};

/*
 * The path of a datagram. For a dial the kernel chooses the local address, so it is the same unspecified one
 * for all its datagrams, and no change of route looks like a migration. For an inbound connection it is
 * the address that was asked; the number of the socket goes with it, so that answers leave by it.
 */
void pc_libp2p_path_init(struct pc_path *path, bool inbound, const struct pc_ip_port *local,
                         const struct pc_ip_port *remote, uint32_t socket);
/* Where a datagram of this path leaves from and goes to. */
void pc_libp2p_path_out(bool inbound, const ngtcp2_path *path, struct pc_datagram *datagram);

#endif
