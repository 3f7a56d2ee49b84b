/*
 * The UDP sockets of one node, on uv_poll. Datagrams come and go in batches (recvmmsg, sendmmsg on Linux; one
 * by one elsewhere), each with the local address it came to or leaves from (PKTINFO: answers leave from the
 * address that was asked) and its ECN bits.
 *
 * What the network says of a remote is told at once: on Linux by the error queue (IP_RECVERR): port
 * unreachable is REFUSED, host or net unreachable is UNREACHABLE; everywhere by the errors of sending itself.
 * An ICMP message can be forged: it is a hint. Elsewhere than on Linux a refusal looks like silence.
 *
 *   slot() ─► fill ─► keep() … ─► flush() ─► kernel          kernel ─► received() …, unreachable() …, rest()
 *
 * What the kernel does not take waits here in order and leaves as soon as the socket is writable again.
 */
#ifndef PC_DRIVER_UDP_H
#define PC_DRIVER_UDP_H

#include "base/bytes.h"
#include "libp2p/host.h"

#include <uv.h>

/* And one a family to dial from, and one apart. */
#define PC_DRIVER_UDP_SOCKETS_MAX (PC_LIBP2P_LISTEN_ADDRS_MAX + 4)
#define PC_DRIVER_UDP_QUEUE_MAX   64 /* datagrams that wait to leave */
#define PC_DRIVER_UDP_BATCH       32 /* datagrams of one recvmmsg */
/* Room of a received datagram. A larger one is cut by the kernel and dropped: over any path that exists it
 * can only be a probe for a larger MTU, and that one should fail. */
#define PC_DRIVER_UDP_RECEIVE_BYTES 2048
#define PC_DRIVER_UDP_BUFFER_BYTES  (4 * 1024 * 1024) /* asked of the kernel, which caps it silently */

struct pc_driver_udp;

/* Called on the loop's thread, never from within a call of this room but pc_driver_udp_flush (unreachable
 * only). */
struct pc_driver_udp_handler {
    void *context;
    /* A datagram; valid during the call. */
    void (*received)(void *context, const struct pc_datagram *datagram);
    /* REFUSED or UNREACHABLE; detail in words. */
    void (*unreachable)(void *context, const struct pc_ip_port *remote, peercache_outcome outcome,
                        const char *detail);
    /* A batch of the above is over, or there is room in the queue again: time to decide, and to send. */
    void (*rest)(void *context);
};

/* ENOMEM. The handler is copied, the loop borrowed. */
int pc_driver_udp_new(uv_loop_t *loop, const struct pc_driver_udp_handler *handler,
                      struct pc_driver_udp **ret_udp);
/*
 * Open a socket bound to `address` (port 0: the kernel's choice; all-zero address: any). *ret_bound, may be
 * NULL, is what it is bound to. EIO with the reason; EUNSUPPORTED this machine has no such family; ELIMIT.
 */
int pc_driver_udp_bind(struct pc_driver_udp *udp, const struct pc_ip_port *address,
                       struct pc_ip_port *ret_bound, struct pc_reason *ret_reason);
/*
 * Open a socket of each family that has none to dial the whole network from (one bound to loopback or to a
 * link-local address reaches only those). A machine without IPv6, or without IPv4, is fine. EIO none of both.
 */
int pc_driver_udp_bind_to_dial(struct pc_driver_udp *udp, struct pc_reason *ret_reason);
/* Open a socket of each family that there is, for SOCKET_APART alone: at a free port that nothing else leaves by. EIO. */
int pc_driver_udp_bind_apart(struct pc_driver_udp *udp, struct pc_reason *ret_reason);
/* Begin to receive. EIO. */
int pc_driver_udp_start(struct pc_driver_udp *udp, struct pc_reason *ret_reason);
/* Stop receiving; what waits to leave may still be flushed. */
void pc_driver_udp_stop_receiving(struct pc_driver_udp *udp);

/*
 * The next free place of the queue, data pointing to PC_LIBP2P_DATAGRAM_MAX_BYTES of room and size saying so;
 * NULL when the queue is full (rest() tells when it no longer is). Fill it and keep() it, or leave it.
 */
struct pc_datagram *pc_driver_udp_slot(struct pc_driver_udp *udp);
void pc_driver_udp_keep(struct pc_driver_udp *udp);
/* Give what waits to the kernel. What can't leave at all is dropped (the network may lose datagrams too) and,
 * where that says something of its remote, told as unreachable. */
void pc_driver_udp_flush(struct pc_driver_udp *udp);
/* Since it was made: datagrams received, and given to the kernel. */
void pc_driver_udp_traffic(const struct pc_driver_udp *udp, uint64_t *ret_received, uint64_t *ret_sent);
/* Datagrams that wait. */
size_t pc_driver_udp_waiting(const struct pc_driver_udp *udp);

/* Close the sockets; the loop must run once more before free. NULL does nothing. */
void pc_driver_udp_close(struct pc_driver_udp *udp);
void pc_driver_udp_free(struct pc_driver_udp *udp);

#endif
