#include "driver/http_listen.h"

#include <peercache/types.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#define BACKLOG       256
#define LOCK_PAUSE_MS 5
#define LOCK_PAUSES   1000 /* 5 s: who holds the lock of a directory needs it for a moment only */

_Static_assert(PC_DRIVER_HTTP_PATH_BYTES <= sizeof(((struct sockaddr_un *)0)->sun_path), "a path fits");

/* ----- places ----- */

int pc_driver_http_place_parse(const char *text, struct pc_driver_http_place *ret_place,
                               struct pc_reason *ret_reason)
{
    static const char scheme[] = "unix:";
    const size_t scheme_length = sizeof(scheme) - 1;
    struct pc_driver_http_place place = { 0 };
    if (strncmp(text, scheme, scheme_length) != 0) {
        if (pc_addr_ip_port_parse(text, PC_IP_PORT_REQUIRED, &place.address) != 0) {
            pc_base_reason(ret_reason,
                           "\"%.80s\" is no place to serve HTTP at (127.0.0.1:9100, [::1]:9100 or unix:PATH)",
                           text);
            return PEERCACHE_EPARSE;
        }
        *ret_place = place;
        return 0;
    }
    size_t length = strlen(text + scheme_length);
    if (length == 0 || text[scheme_length + length - 1] == '/') {
        pc_base_reason(ret_reason, "\"%.80s\" names no socket file", text);
        return PEERCACHE_EPARSE;
    }
    if (length >= sizeof(place.path)) {
        pc_base_reason(ret_reason, "the path of a socket has %zu bytes at most", sizeof(place.path) - 1);
        return PEERCACHE_ELIMIT;
    }
    memcpy(place.path, text + scheme_length, length);
    *ret_place = place;
    return 0;
}

void pc_driver_http_place_format(const struct pc_driver_http_place *place,
                                 char ret_text[PC_DRIVER_HTTP_PLACE_BYTES])
{
    if (place->address.family != 0)
        pc_addr_ip_port_format(&place->address, ret_text);
    else
        (void)snprintf(ret_text, PC_DRIVER_HTTP_PLACE_BYTES, "unix:%s", place->path);
}

bool pc_driver_http_place_is_local(const struct pc_driver_http_place *place)
{
    static const uint8_t loopback6[16] = { [15] = 1 };
    switch (place->address.family) {
    case 4:
        return place->address.ip[0] == 127;
    case 6:
        return memcmp(place->address.ip, loopback6, sizeof(loopback6)) == 0;
    default: /* a number, no list of ours: a socket file */
        return true;
    }
}

/* ----- sockets ----- */

static int fail(struct pc_reason *reason, const struct pc_driver_http_place *place, const char *what,
                int error)
{
    char text[PC_DRIVER_HTTP_PLACE_BYTES];
    pc_driver_http_place_format(place, text);
    pc_base_reason(reason, "HTTP cannot be served at %s: %s%s%s", text, what, error ? ": " : "",
                   error ? uv_strerror(-error) : "");
    switch (error) {
    case EADDRINUSE:
        return PEERCACHE_EBUSY;
    case EACCES:
    case EPERM:
        return PEERCACHE_EPERM;
    default:
        return PEERCACHE_EIO;
    }
}

static int open_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static socklen_t to_sockaddr(const struct pc_ip_port *address, struct sockaddr_storage *ret_where)
{
    struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = htons(address->port) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(address->port) };
    memcpy(&in4.sin_addr, address->ip, sizeof(in4.sin_addr));
    memcpy(&in6.sin6_addr, address->ip, sizeof(in6.sin6_addr));
    memset(ret_where, 0, sizeof(*ret_where));
    if (address->family == 4)
        memcpy(ret_where, &in4, sizeof(in4));
    else
        memcpy(ret_where, &in6, sizeof(in6));
    return address->family == 4 ? sizeof(in4) : sizeof(in6);
}

/* The port is at the same place in both families. */
static uint16_t bound_port(int fd)
{
    struct sockaddr_storage where = { 0 };
    struct sockaddr_in in4;
    socklen_t size = sizeof(where);
    (void)getsockname(fd, (struct sockaddr *)&where, &size); /* of a bound socket it cannot fail */
    memcpy(&in4, &where, sizeof(in4));
    return ntohs(in4.sin_port);
}

static int listen_at_address(struct pc_driver_http_socket *socket, struct pc_reason *reason)
{
    struct sockaddr_storage where;
    struct pc_ip_port *address = &socket->place.address;
    socklen_t size = to_sockaddr(address, &where);
    const int on = 1;
    socket->fd = open_socket(where.ss_family);
    if (socket->fd < 0)
        return fail(reason, &socket->place, "no socket", errno);
    if (setsockopt(socket->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (address->family == 6 && setsockopt(socket->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
        bind(socket->fd, (struct sockaddr *)&where, size) != 0 || listen(socket->fd, BACKLOG) != 0)
        return fail(reason, &socket->place, "it cannot be listened on", errno);
    address->port = bound_port(socket->fd);
    return 0;
}

/* ----- socket files ----- */

/* Whether somebody listens at a socket file; not at all when it is gone by now. */
static bool is_answered(const struct sockaddr_un *where)
{
    int fd = open_socket(AF_UNIX);
    if (fd < 0)
        return true; /* not known: it is left alone */
    int result = connect(fd, (const struct sockaddr *)where, sizeof(*where));
    bool is_dead = result != 0 && (errno == ECONNREFUSED || errno == ENOENT);
    (void)close(fd);
    return !is_dead;
}

/* Make the place free: take away what a dead process of ours left there. */
static int make_room(const struct pc_driver_http_place *place, const struct sockaddr_un *where,
                     struct pc_reason *reason)
{
    struct stat found;
    if (lstat(place->path, &found) != 0)
        return errno == ENOENT ? 0 : fail(reason, place, "it cannot be looked at", errno);
    if (!S_ISSOCK(found.st_mode))
        return fail(reason, place, "there is a file that is no socket", EPERM);
    if (found.st_uid != geteuid())
        return fail(reason, place, "the socket there is another user's", EPERM);
    if (is_answered(where))
        return fail(reason, place, "somebody listens there", EADDRINUSE);
    if (unlink(place->path) != 0)
        return fail(reason, place, "the old socket cannot be removed", errno);
    return 0;
}

static int bind_file(struct pc_driver_http_socket *socket, struct pc_reason *reason)
{
    struct pc_driver_http_place *place = &socket->place;
    struct sockaddr_un where = { .sun_family = AF_UNIX };
    struct stat made;
    memcpy(where.sun_path, place->path, sizeof(place->path));
    int result = make_room(place, &where, reason);
    if (result != 0)
        return result;
    /* On Linux the file has the mode that the socket had before: nobody else gets in, not even for a moment. */
    if (fchmod(socket->fd, S_IRUSR | S_IWUSR) != 0 ||
        bind(socket->fd, (struct sockaddr *)&where, sizeof(where)) != 0)
        return fail(reason, place, "it cannot be made", errno);
    if (lstat(place->path, &made) != 0)
        return fail(reason, place, "it cannot be looked at", errno);
    socket->device = made.st_dev;
    socket->inode = made.st_ino;
    if (chmod(place->path, S_IRUSR | S_IWUSR) != 0 || listen(socket->fd, BACKLOG) != 0) {
        result = fail(reason, place, "it cannot be listened on", errno);
        pc_driver_http_unlink(socket);
    }
    return result;
}

/* Many nodes may begin at once with their sockets in one directory: each has its turn. */
static bool lock_in_turn(int directory)
{
    for (unsigned pauses = 0; flock(directory, LOCK_EX | LOCK_NB) != 0;) {
        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK || pauses++ == LOCK_PAUSES)
            return false;
        uv_sleep(LOCK_PAUSE_MS);
    }
    return true;
}

static int listen_at_file(struct pc_driver_http_socket *socket, struct pc_reason *reason)
{
    char path[PC_DRIVER_HTTP_PATH_BYTES];
    struct pc_driver_http_place *place = &socket->place;
    int result;
    memcpy(path, place->path, sizeof(path));
    int directory = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return fail(reason, place, "its directory cannot be opened", errno);
    if (!lock_in_turn(directory)) {
        if (errno == EWOULDBLOCK) {
            (void)fail(reason, place, "another process holds its directory locked", 0);
            result = PEERCACHE_EBUSY;
        } else {
            result = fail(reason, place, "its directory cannot be locked", errno);
        }
        (void)close(directory);
        return result;
    }
    socket->fd = open_socket(AF_UNIX);
    if (socket->fd < 0)
        result = fail(reason, place, "no socket", errno);
    else
        result = bind_file(socket, reason);
    (void)close(directory); /* and the lock with it */
    return result;
}

int pc_driver_http_listen(const struct pc_driver_http_place *place, struct pc_driver_http_socket *ret_socket,
                          struct pc_reason *ret_reason)
{
    struct pc_driver_http_socket socket = { .fd = -1, .place = *place };
    int result = place->address.family != 0 ? listen_at_address(&socket, ret_reason)
                                            : listen_at_file(&socket, ret_reason);
    if (result != 0) {
        if (socket.fd >= 0)
            (void)close(socket.fd);
        return result;
    }
    *ret_socket = socket;
    return 0;
}

void pc_driver_http_unlink(const struct pc_driver_http_socket *socket)
{
    struct stat found;
    if (socket->place.address.family == 0 && lstat(socket->place.path, &found) == 0 &&
        found.st_dev == socket->device && found.st_ino == socket->inode)
        (void)unlink(socket->place.path); /* one that stays is replaced by the next to listen there */
}
