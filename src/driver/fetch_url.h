/* Which URLs are fetched, and where a redirect may lead. */
#ifndef PC_DRIVER_FETCH_URL_H
#define PC_DRIVER_FETCH_URL_H

#include "base/bytes.h"
#include "driver/resolve.h"

#include <curl/curl.h>

#define PC_DRIVER_FETCH_HOST_BYTES (PC_DRIVER_RESOLVE_NAME_MAX + 1)

struct pc_driver_fetch_url {
    CURLU *curl;
    bool https;
    bool literal; /* the host is an IP address: nothing to resolve */
    uint16_t port;
    char host[PC_DRIVER_FETCH_HOST_BYTES]; /* as libcurl has it, IPv6 in brackets */
};

/* Parse one from the user. EPARSE with the reason: no URL, not http or https, no host that can be asked for. ENOMEM. */
int pc_driver_fetch_url_init(struct pc_driver_fetch_url *url, const char *text, struct pc_reason *ret_reason);
/* Whether it will do for an endpoint: one that init takes, of visible ASCII alone, and without a user or password, for it
 * is shown in reports and kept in the cache. EPARSE with the reason; ENOMEM. */
int pc_driver_fetch_url_check_endpoint(const char *text, struct pc_reason *ret_reason);
/* Move to where a redirect leads, relative to where we are. EPARSE with the reason: it may not lead there; the URL is
 * then unusable. ENOMEM. */
int pc_driver_fetch_url_redirect(struct pc_driver_fetch_url *url, const char *location,
                                 struct pc_reason *ret_reason);
/* One that was never filled is fine, when it is all zero. */
void pc_driver_fetch_url_deinit(struct pc_driver_fetch_url *url);

#endif
