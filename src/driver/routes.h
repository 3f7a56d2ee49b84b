/*
 * Which families of addresses this machine has, and when its network changes. An address counts when its interface is up
 * and has a carrier, and it leads further than this machine and its cable: not loopback, not link-local; in local mode those
 * count too.
 */
#ifndef PC_DRIVER_ROUTES_H
#define PC_DRIVER_ROUTES_H

#include "base/bytes.h"

#include <uv.h>

#define PC_DRIVER_ROUTES_QUIET_MS                                                                            \
    250 /* changes come in bursts: so long after the first of one it is looked at them all */

/* EIO with the reason: the system does not tell. */
int pc_driver_routes_now(bool local, bool *ret_has_ip4, bool *ret_has_ip6, struct pc_reason *ret_reason);

struct pc_driver_routes;

/* On the loop's thread, when the addresses of the interfaces, or those that we would send from, are others than before. */
typedef void (*pc_driver_routes_changed)(void *context, bool has_ip4, bool has_ip6);

/* Watch, by netlink on Linux. EUNSUPPORTED with the reason: not on this system, nothing is watched; EIO; ENOMEM. */
int pc_driver_routes_watch(uv_loop_t *loop, bool local, pc_driver_routes_changed changed, void *context,
                           struct pc_driver_routes **ret_routes, struct pc_reason *ret_reason);
/* As of the last look: that of watch, or of the last change. */
void pc_driver_routes_families(const struct pc_driver_routes *routes, bool *ret_has_ip4, bool *ret_has_ip6);
/* `changed` is called no more; the loop must run for it to go. NULL does nothing. */
void pc_driver_routes_close(struct pc_driver_routes *routes);

#endif
