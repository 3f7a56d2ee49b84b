/* The addresses a socket can be reached at: its own, or those of the machine's interfaces when it is bound to
 * 0.0.0.0 or ::. */
#ifndef PC_DRIVER_LISTEN_H
#define PC_DRIVER_LISTEN_H

#include "addr/multiaddr.h"
#include "base/bytes.h"

/*
 * Append those of `bound` to addresses[*count], up to `capacity`; what is more is left out. Loopback ones of
 * interfaces only when `local`, link-local ones never (they mean nothing elsewhere). EIO the interfaces can't
 * be listed, with the reason.
 */
int pc_driver_listen_expand(const struct pc_ip_port *bound, bool local, struct pc_ip_port *addresses,
                            size_t capacity, size_t *count, struct pc_reason *ret_reason);

#endif
