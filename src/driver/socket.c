/* See socket.h. RFC 3542 (IPV6_PKTINFO), RFC 9000 sections 14 (no fragments) and 13.4 (ECN), ip(7), ipv6(7).
 */
#ifdef __APPLE__
#define __APPLE_USE_RFC_3542
#endif

#include "driver/socket.h"

#include "driver/udp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/errqueue.h>
#endif

#define ECN_MASK 3 /* of the traffic class: RFC 3168 */

/* Room for the control messages of one datagram: pktinfo, traffic class, on Linux an extended error. */
struct control {
    _Alignas(struct cmsghdr) uint8_t bytes[256];
};

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* ----- addresses ----- */

static socklen_t address_of(const struct pc_ip_port *from, union address *ret_address)
{
    memset(ret_address, 0, sizeof(*ret_address));
    if (from->family == 4) {
        ret_address->in.sin_family = AF_INET;
        ret_address->in.sin_port = htons(from->port);
        memcpy(&ret_address->in.sin_addr, from->ip, 4);
        return sizeof(ret_address->in);
    }
    ret_address->in6.sin6_family = AF_INET6;
    ret_address->in6.sin6_port = htons(from->port);
    ret_address->in6.sin6_scope_id = from->scope_id;
    memcpy(&ret_address->in6.sin6_addr, from->ip, 16);
    return sizeof(ret_address->in6);
}

static struct pc_ip_port ip_port_of(const union address *from)
{
    struct pc_ip_port to = { 0 };
    if (from->any.sa_family == AF_INET) {
        to.family = 4;
        to.port = ntohs(from->in.sin_port);
        memcpy(to.ip, &from->in.sin_addr, 4);
    } else if (from->any.sa_family == AF_INET6) {
        to.family = 6;
        to.port = ntohs(from->in6.sin6_port);
        to.scope_id = from->in6.sin6_scope_id;
        memcpy(to.ip, &from->in6.sin6_addr, 16);
    }
    return to;
}

/* ----- opening ----- */

static int set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value));
}

/* What must be: without PKTINFO answers of a host with several addresses leave from the wrong one. */
static int set_needed(int fd, uint8_t family)
{
    if (family == 6) {
        if (set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) != 0)
            return -1;
        return set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    }
#ifdef IP_PKTINFO
    return set(fd, IPPROTO_IP, IP_PKTINFO, 1);
#else
    return 0;
#endif
}

/* What makes it better where the system has it; a system without is served all the same. */
static void set_wanted(int fd, uint8_t family)
{
    (void)set(fd, SOL_SOCKET, SO_RCVBUF, PC_DRIVER_UDP_BUFFER_BYTES);
    (void)set(fd, SOL_SOCKET, SO_SNDBUF, PC_DRIVER_UDP_BUFFER_BYTES);
    if (family == 6) {
        (void)set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
#ifdef IPV6_DONTFRAG
        (void)set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
#endif
#ifdef __linux__
        /* PROBE: never fragment, and don't believe ICMP about the path's MTU; QUIC finds it out itself. */
        (void)set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
        (void)set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
#endif
        return;
    }
    (void)set(fd, IPPROTO_IP, IP_RECVTOS, 1);
#ifdef __linux__
    (void)set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    (void)set(fd, IPPROTO_IP, IP_RECVERR, 1);
#elif defined(IP_DONTFRAG)
    (void)set(fd, IPPROTO_IP, IP_DONTFRAG, 1);
#endif
}

static int prepare(int fd, const struct pc_ip_port *address, struct pc_ip_port *ret_bound)
{
    union address at;
    socklen_t size = address_of(address, &at);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return -1;
    if (set_needed(fd, address->family) != 0)
        return -1;
    set_wanted(fd, address->family);
    if (bind(fd, &at.any, size) != 0)
        return -1;
    size = sizeof(at);
    if (getsockname(fd, &at.any, &size) != 0)
        return -1;
    *ret_bound = ip_port_of(&at);
    return 0;
}

int pc_driver_socket_open(const struct pc_ip_port *address, int *ret_fd, struct pc_ip_port *ret_bound,
                          struct pc_reason *ret_reason)
{
    char text[PC_IP_PORT_TEXT_BYTES];
    struct pc_ip_port bound;
    int fd = socket(address->family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    if (fd >= 0 && prepare(fd, address, &bound) == 0) {
        *ret_fd = fd;
        *ret_bound = bound;
        return 0;
    }
    int error = errno;
    if (fd >= 0)
        (void)close(fd);
    pc_addr_ip_port_format(address, text);
    pc_base_reason(ret_reason, "no UDP socket on %s: %s", text, uv_strerror(-error));
    /* A kernel without IPv6 has no such family; one with IPv6 switched off has no such address. */
    bool any = true;
    for (size_t i = 0; i < sizeof(address->ip); i++)
        any = any && address->ip[i] == 0;
    if (error == EAFNOSUPPORT || (any && error == EADDRNOTAVAIL))
        return PEERCACHE_EUNSUPPORTED;
    return PEERCACHE_EIO;
}

/* ----- control messages ----- */

static bool is_link_local(const struct pc_ip_port *address)
{
    return address->family == 6 && address->ip[0] == 0xfe && (address->ip[1] & 0xc0) == 0x80;
}

static void read_control(struct msghdr *message, struct pc_datagram *datagram)
{
    struct in6_pktinfo info6;
    int traffic_class;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            memcpy(&info6, CMSG_DATA(c), sizeof(info6));
            datagram->local.family = 6;
            memcpy(datagram->local.ip, &info6.ipi6_addr, 16);
            if (is_link_local(&datagram->local))
                datagram->local.scope_id = (uint32_t)info6.ipi6_ifindex;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
            memcpy(&traffic_class, CMSG_DATA(c), sizeof(traffic_class));
            datagram->ecn = (uint8_t)(traffic_class & ECN_MASK);
#ifdef IP_PKTINFO
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            datagram->local.family = 4;
            memcpy(datagram->local.ip, &info.ipi_addr, 4);
#endif
        } else if (c->cmsg_level == IPPROTO_IP &&
                   (c->cmsg_type == IP_TOS ||
                    c->cmsg_type == IP_RECVTOS)) { /* Linux says TOS, others RECVTOS */
            datagram->ecn = (uint8_t)(*CMSG_DATA(c) & ECN_MASK);
        }
    }
}

static struct cmsghdr *put_control(struct msghdr *message, struct cmsghdr *at, int level, int type,
                                   const void *data, size_t size)
{
    at->cmsg_level = level;
    at->cmsg_type = type;
    at->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(at), data, size);
    message->msg_controllen += CMSG_SPACE(size);
    return (struct cmsghdr *)(void *)((uint8_t *)at + CMSG_SPACE(size));
}

/* Fill a message for sending; `iov`, `to` and `control` are its memory. */
static void write_message(const struct pc_datagram *datagram, struct msghdr *ret_message, struct iovec *iov,
                          union address *to, struct control *control)
{
    struct cmsghdr *at = (struct cmsghdr *)(void *)control->bytes;
    memset(ret_message, 0, sizeof(*ret_message));
    iov->iov_base = datagram->data;
    iov->iov_len = datagram->size;
    ret_message->msg_iov = iov;
    ret_message->msg_iovlen = 1;
    ret_message->msg_name = to;
    ret_message->msg_namelen = address_of(&datagram->remote, to);
    memset(control, 0, sizeof(*control));
    ret_message->msg_control = control;
    ret_message->msg_controllen = 0;
    if (datagram->local.family == 6) {
        struct in6_pktinfo info = { .ipi6_ifindex = datagram->local.scope_id };
        memcpy(&info.ipi6_addr, datagram->local.ip, 16);
        at = put_control(ret_message, at, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
#ifdef IP_PKTINFO
    if (datagram->local.family == 4) {
        struct in_pktinfo info = { 0 };
        memcpy(&info.ipi_spec_dst, datagram->local.ip, 4);
        at = put_control(ret_message, at, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    }
#endif
    if (datagram->ecn & ECN_MASK) {
        int traffic_class = datagram->ecn & ECN_MASK;
        if (datagram->remote.family == 6)
            (void)put_control(ret_message, at, IPPROTO_IPV6, IPV6_TCLASS, &traffic_class,
                              sizeof(traffic_class));
        else
            (void)put_control(ret_message, at, IPPROTO_IP, IP_TOS, &traffic_class, sizeof(traffic_class));
    }
    if (ret_message->msg_controllen == 0)
        ret_message->msg_control = NULL;
}

static void prepare_to_receive(struct pc_datagram *datagram, struct msghdr *ret_message, struct iovec *iov,
                               union address *from, struct control *control)
{
    memset(ret_message, 0, sizeof(*ret_message));
    iov->iov_base = datagram->data;
    iov->iov_len = datagram->size;
    ret_message->msg_iov = iov;
    ret_message->msg_iovlen = 1;
    ret_message->msg_name = from;
    ret_message->msg_namelen = sizeof(*from);
    ret_message->msg_control = control;
    ret_message->msg_controllen = sizeof(*control);
}

static void received(struct pc_datagram *datagram, struct msghdr *message, size_t size,
                     const union address *from)
{
    datagram->size = message->msg_flags & MSG_TRUNC ? 0 : size;
    datagram->remote = ip_port_of(from);
    datagram->local = (struct pc_ip_port){ 0 };
    datagram->ecn = 0;
    read_control(message, datagram);
}

/* ----- batches ----- */

#ifdef __linux__

int pc_driver_socket_receive(int fd, struct pc_datagram *datagrams, size_t count)
{
    struct mmsghdr messages[PC_DRIVER_SOCKET_BATCH_MAX];
    struct iovec iov[PC_DRIVER_SOCKET_BATCH_MAX];
    union address from[PC_DRIVER_SOCKET_BATCH_MAX];
    struct control control[PC_DRIVER_SOCKET_BATCH_MAX];
    int got;
    if (count > PC_DRIVER_SOCKET_BATCH_MAX)
        count = PC_DRIVER_SOCKET_BATCH_MAX;
    for (size_t i = 0; i < count; i++)
        prepare_to_receive(&datagrams[i], &messages[i].msg_hdr, &iov[i], &from[i], &control[i]);
    do
        got = recvmmsg(fd, messages, (unsigned)count, 0, NULL);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    for (int i = 0; i < got; i++)
        received(&datagrams[i], &messages[i].msg_hdr, messages[i].msg_len, &from[i]);
    return got;
}

int pc_driver_socket_send(int fd, struct pc_datagram *const *datagrams, size_t count)
{
    struct mmsghdr messages[PC_DRIVER_SOCKET_BATCH_MAX];
    struct iovec iov[PC_DRIVER_SOCKET_BATCH_MAX];
    union address to[PC_DRIVER_SOCKET_BATCH_MAX];
    struct control control[PC_DRIVER_SOCKET_BATCH_MAX];
    int sent;
    if (count > PC_DRIVER_SOCKET_BATCH_MAX)
        count = PC_DRIVER_SOCKET_BATCH_MAX;
    for (size_t i = 0; i < count; i++)
        write_message(datagrams[i], &messages[i].msg_hdr, &iov[i], &to[i], &control[i]);
    do
        sent = sendmmsg(fd, messages, (unsigned)count, 0);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

#else

int pc_driver_socket_receive(int fd, struct pc_datagram *datagrams, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        struct msghdr message;
        struct iovec iov;
        union address from;
        struct control control;
        ssize_t size;
        prepare_to_receive(&datagrams[i], &message, &iov, &from, &control);
        do
            size = recvmsg(fd, &message, 0);
        while (size < 0 && errno == EINTR);
        if (size < 0)
            break;
        received(&datagrams[i], &message, (size_t)size, &from);
    }
    return i > 0 ? (int)i : -errno;
}

int pc_driver_socket_send(int fd, struct pc_datagram *const *datagrams, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        struct msghdr message;
        struct iovec iov;
        union address to;
        struct control control;
        ssize_t size;
        write_message(datagrams[i], &message, &iov, &to, &control);
        do
            size = sendmsg(fd, &message, 0);
        while (size < 0 && errno == EINTR);
        if (size < 0)
            break;
    }
    return i > 0 ? (int)i : -errno;
}

#endif

/* ----- what the network says ----- */

#ifdef __linux__

/* Whether the error says something of its remote, and what. */
static bool judge(const struct sock_extended_err *error, struct pc_driver_socket_error *ret_error)
{
    if (error->ee_origin != SO_EE_ORIGIN_ICMP && error->ee_origin != SO_EE_ORIGIN_ICMP6)
        return false; /* of this machine: sending has told it already */
    switch (error->ee_errno) {
    case ECONNREFUSED:
        ret_error->outcome = PEERCACHE_REFUSED;
        (void)snprintf(ret_error->detail, sizeof(ret_error->detail),
                       "the host answers that nothing listens on this port (ICMP port unreachable)");
        return true;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENONET:
    case ENOPROTOOPT:
    case EACCES:
        ret_error->outcome = PEERCACHE_UNREACHABLE;
        (void)snprintf(ret_error->detail, sizeof(ret_error->detail), "%s (ICMP type %u code %u)",
                       uv_strerror(-(int)error->ee_errno), error->ee_type, error->ee_code);
        return true;
    }
    return false; /* too big, malformed: QUIC copes with loss */
}

int pc_driver_socket_next_error(int fd, struct pc_driver_socket_error *ret_error)
{
    struct pc_driver_socket_error told;
    struct sock_extended_err error;
    struct msghdr message;
    union address to;
    struct control control;
    ssize_t size;
    memset(&message, 0, sizeof(message));
    memset(&to, 0, sizeof(to));
    message.msg_name = &to;
    message.msg_namelen = sizeof(to);
    message.msg_control = &control;
    message.msg_controllen = sizeof(control);
    do
        size = recvmsg(fd, &message, MSG_ERRQUEUE);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return -errno;
    told.remote = ip_port_of(&to);
    if (told.remote.family == 0)
        return 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
            !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
            continue;
        memcpy(&error, CMSG_DATA(c), sizeof(error));
        if (!judge(&error, &told))
            return 0;
        *ret_error = told;
        return 1;
    }
    return 0;
}

#else

int pc_driver_socket_next_error(int fd, struct pc_driver_socket_error *ret_error)
{
    (void)fd;
    (void)ret_error;
    return -EAGAIN;
}

#endif
