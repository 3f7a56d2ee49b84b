/*
 * One UDP socket: opening it with all that QUIC wants of the kernel, and datagrams in and out in batches.
 * What is Linux only (recvmmsg, sendmmsg, the error queue) stands behind #ifdef here and nowhere else.
 */
#ifndef PC_DRIVER_SOCKET_H
#define PC_DRIVER_SOCKET_H

#include "base/bytes.h"
#include "libp2p/host.h"

#define PC_DRIVER_SOCKET_BATCH_MAX 64

/* Open, not blocking, and bind. EUNSUPPORTED no such family here; EIO; both with the reason. */
int pc_driver_socket_open(const struct pc_ip_port *address, int *ret_fd, struct pc_ip_port *ret_bound,
                          struct pc_reason *ret_reason);

/*
 * Receive up to `count` datagrams into the room that each has (data, size). Sets remote, local (family 0 when
 * the kernel did not say), ecn, size; a datagram that was cut has size 0. Returns how many, or a negative
 * errno: EAGAIN none is there; any other is a pending error of an earlier datagram, and now cleared.
 */
int pc_driver_socket_receive(int fd, struct pc_datagram *datagrams, size_t count);

/*
 * Send in order. Returns how many left (at least one), or the negative errno of the first: EAGAIN wait for
 * writable; any other may also be a pending error of an earlier datagram, and is then cleared.
 */
int pc_driver_socket_send(int fd, struct pc_datagram *const *datagrams, size_t count);

/* What the network said of a remote. */
struct pc_driver_socket_error {
    struct pc_ip_port remote;
    peercache_outcome outcome; /* REFUSED or UNREACHABLE */
    char detail[PEERCACHE_DETAIL_BYTES];
};
/* The next from the error queue: 1 *ret_error is filled, 0 one that says nothing of a remote, negative: none
 * is left (always, where the system has no such queue). */
int pc_driver_socket_next_error(int fd, struct pc_driver_socket_error *ret_error);

#endif
