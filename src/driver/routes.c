/*
 * See routes.h. Netlink only says that something has happened; what there is now is looked at anew, so that no message need
 * be understood, and one that was lost does no harm. While a burst is waited out nothing is received: however many messages
 * there are (a router with all the routes of the Internet has thousands in a second), it is looked four times a second at
 * most.
 */
#include "driver/routes.h"

#include <peercache/types.h>

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#endif

/* One address; all of its bytes are set, so that it can be compared as they stand. */
struct address {
    char interface[IF_NAMESIZE]; /* "": the one that we would send from */
    uint8_t family;              /* 4 or 6 */
    uint8_t ip[16];
};

struct look {
    bool has_ip4, has_ip6;
    size_t count, capacity;
    struct address *addresses; /* sorted */
};

static void look_deinit(struct look *look)
{
    free(look->addresses);
    *look = (struct look){ .addresses = NULL };
}

static bool add(struct look *look, const char *interface, const struct sockaddr *from)
{
    struct address address;
    memset(&address, 0, sizeof(address));
    if (look->count == look->capacity) {
        size_t capacity = look->capacity > 0 ? 2 * look->capacity : 16;
        struct address *larger = realloc(look->addresses, capacity * sizeof(*larger));
        if (!larger)
            return false;
        look->addresses = larger;
        look->capacity = capacity;
    }
    (void)strncpy(address.interface, interface, sizeof(address.interface) - 1);
    if (from->sa_family == AF_INET) {
        address.family = 4;
        memcpy(address.ip, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
    } else {
        address.family = 6;
        memcpy(address.ip, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, 16);
    }
    look->addresses[look->count++] = address;
    return true;
}

static bool leads_further(const struct sockaddr *from)
{
    if (from->sa_family == AF_INET) {
        uint32_t ip = ntohl(((const struct sockaddr_in *)(const void *)from)->sin_addr.s_addr);
        return ip >> 24 != 127 && ip >> 16 != 0xa9fe; /* 169.254/16 */
    }
    const struct in6_addr *ip = &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
    return !IN6_IS_ADDR_LOOPBACK(ip) && !IN6_IS_ADDR_LINKLOCAL(ip);
}

/* From which address a datagram to far away would leave. Nothing is sent: connecting a UDP socket only looks the route up.
 * Of IPv6 it tells also when an address has been found to be ours alone, and can be used. */
static bool add_source(struct look *look, const struct sockaddr *to, socklen_t size)
{
    struct sockaddr_storage from = { .ss_family = AF_UNSPEC };
    socklen_t from_size = sizeof(from);
    bool added = true;
    int fd = socket(to->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true; /* no such family */
    if (connect(fd, to, size) == 0 && getsockname(fd, (struct sockaddr *)&from, &from_size) == 0)
        added = add(look, "", (const struct sockaddr *)&from);
    (void)close(fd);
    return added;
}

static bool add_sources(struct look *look)
{
    /* addresses for documentation: no host has them, so that the way to them is that of everything */
    struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(9) };
    struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
    (void)inet_pton(AF_INET, "203.0.113.1", &to4.sin_addr);
    (void)inet_pton(AF_INET6, "2001:db8::1", &to6.sin6_addr);
    return add_source(look, (const struct sockaddr *)&to4, sizeof(to4)) &&
           add_source(look, (const struct sockaddr *)&to6, sizeof(to6));
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct address));
}

static int look_now(bool local, struct look *ret_look, struct pc_reason *ret_reason)
{
    struct ifaddrs *all;
    struct look look = { .addresses = NULL };
    bool fits = true;
    if (getifaddrs(&all) != 0) {
        pc_base_reason(ret_reason, "the addresses of this machine can't be read: %s", uv_strerror(-errno));
        return PEERCACHE_EIO;
    }
    for (const struct ifaddrs *one = all; one && fits; one = one->ifa_next) {
        const unsigned up = IFF_UP | IFF_RUNNING;
        if (!one->ifa_addr || (one->ifa_flags & up) != up ||
            (one->ifa_addr->sa_family != AF_INET && one->ifa_addr->sa_family != AF_INET6))
            continue;
        bool counts = local || leads_further(one->ifa_addr);
        look.has_ip4 = look.has_ip4 || (counts && one->ifa_addr->sa_family == AF_INET);
        look.has_ip6 = look.has_ip6 || (counts && one->ifa_addr->sa_family == AF_INET6);
        fits = add(&look, one->ifa_name, one->ifa_addr);
    }
    freeifaddrs(all);
    if (!fits || !add_sources(&look)) {
        look_deinit(&look);
        pc_base_reason(ret_reason, "out of memory");
        return PEERCACHE_ENOMEM;
    }
    if (look.count > 0)
        qsort(look.addresses, look.count, sizeof(*look.addresses), compare);
    *ret_look = look;
    return 0;
}

static bool is_same(const struct look *a, const struct look *b)
{
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->addresses, b->addresses, a->count * sizeof(*a->addresses)) == 0);
}

int pc_driver_routes_now(bool local, bool *ret_has_ip4, bool *ret_has_ip6, struct pc_reason *ret_reason)
{
    struct look look;
    int result = look_now(local, &look, ret_reason);
    if (result != 0)
        return result;
    *ret_has_ip4 = look.has_ip4;
    *ret_has_ip6 = look.has_ip6;
    look_deinit(&look);
    return 0;
}

/* ----- the watch ----- */

struct pc_driver_routes {
    bool local;
    pc_driver_routes_changed changed;
    void *context;
    struct look look;
    int fd;
    uv_poll_t poll;
    uv_timer_t quiet;
    unsigned handles; /* open */
};

void pc_driver_routes_families(const struct pc_driver_routes *routes, bool *ret_has_ip4, bool *ret_has_ip6)
{
    *ret_has_ip4 = routes->look.has_ip4;
    *ret_has_ip6 = routes->look.has_ip6;
}

#ifdef __linux__

static void on_message(uv_poll_t *poll, int status, int events);

/* What waits is read and forgotten; ENOBUFS, messages that were lost, too. */
static void drain(int fd)
{
    char buffer[8192];
    while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) >= 0 || errno == ENOBUFS || errno == EINTR)
        ;
}

static void on_quiet(uv_timer_t *timer)
{
    struct pc_driver_routes *routes = timer->data;
    struct look look;
    struct pc_reason why;
    drain(routes->fd);
    (void)uv_poll_start(&routes->poll, UV_READABLE, on_message); /* fails for none that is open */
    if (look_now(routes->local, &look, &why) != 0) {
        (void)uv_timer_start(timer, on_quiet, PC_DRIVER_ROUTES_QUIET_MS,
                             0); /* memory is out: a little later */
        return;
    }
    if (is_same(&look, &routes->look)) {
        look_deinit(&look);
        return;
    }
    look_deinit(&routes->look);
    routes->look = look;
    routes->changed(routes->context, look.has_ip4, look.has_ip6);
}

static void on_message(uv_poll_t *poll, int status, int events)
{
    struct pc_driver_routes *routes = poll->data;
    (void)status; /* an error of the socket is a lost message */
    (void)events;
    (void)uv_poll_stop(poll);
    (void)uv_timer_start(&routes->quiet, on_quiet, PC_DRIVER_ROUTES_QUIET_MS, 0);
}

static int open_netlink(struct pc_reason *ret_reason)
{
    const struct sockaddr_nl groups = {
        .nl_family = AF_NETLINK,
        .nl_groups =
            RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
    };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&groups, sizeof(groups)) == 0)
        return fd;
    pc_base_reason(ret_reason, "changes of the network are not told (netlink): %s", uv_strerror(-errno));
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

int pc_driver_routes_watch(uv_loop_t *loop, bool local, pc_driver_routes_changed changed, void *context,
                           struct pc_driver_routes **ret_routes, struct pc_reason *ret_reason)
{
    struct pc_driver_routes *routes = calloc(1, sizeof(*routes));
    if (!routes) {
        pc_base_reason(ret_reason, "out of memory");
        return PEERCACHE_ENOMEM;
    }
    *routes = (struct pc_driver_routes){ .local = local, .changed = changed, .context = context };
    routes->fd = open_netlink(ret_reason); /* before the first look, so that nothing is missed between */
    int result = routes->fd < 0 ? PEERCACHE_EIO : look_now(local, &routes->look, ret_reason);
    if (result == 0 && uv_poll_init(loop, &routes->poll, routes->fd) != 0) {
        pc_base_reason(ret_reason, "changes of the network are not watched: the loop takes no more");
        result = PEERCACHE_EIO;
    }
    if (result != 0) {
        look_deinit(&routes->look);
        if (routes->fd >= 0)
            (void)close(routes->fd);
        free(routes);
        return result;
    }
    (void)uv_timer_init(loop, &routes->quiet); /* cannot fail */
    routes->poll.data = routes;
    routes->quiet.data = routes;
    routes->handles = 2;
    (void)uv_poll_start(&routes->poll, UV_READABLE, on_message);
    *ret_routes = routes;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct pc_driver_routes *routes = handle->data;
    if (--routes->handles > 0)
        return;
    (void)close(routes->fd);
    look_deinit(&routes->look);
    free(routes);
}

void pc_driver_routes_close(struct pc_driver_routes *routes)
{
    if (!routes)
        return;
    uv_close((uv_handle_t *)&routes->poll, on_closed);
    uv_close((uv_handle_t *)&routes->quiet, on_closed);
}

#else

int pc_driver_routes_watch(uv_loop_t *loop, bool local, pc_driver_routes_changed changed, void *context,
                           struct pc_driver_routes **ret_routes, struct pc_reason *ret_reason)
{
    (void)loop;
    (void)local;
    (void)changed;
    (void)context;
    (void)ret_routes;
    pc_base_reason(ret_reason, "changes of the network are not noticed on this system");
    return PEERCACHE_EUNSUPPORTED;
}

void pc_driver_routes_close(struct pc_driver_routes *routes)
{
    assert(!routes); /* there can be none */
    (void)routes;
}

#endif
