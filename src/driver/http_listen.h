/*
 * Where HTTP is served, and the socket for it: IP:PORT, or unix:PATH.
 *
 * A socket file is made for its owner alone (0600). One that a dead process left behind is replaced; one that somebody
 * answers at, a file that is no socket, and one of another user are refused. The look and the binding are one for all
 * processes that go this way: they hold a lock on the directory for that moment.
 */
#ifndef PC_DRIVER_HTTP_LISTEN_H
#define PC_DRIVER_HTTP_LISTEN_H

#include "addr/multiaddr.h"
#include "base/bytes.h"

#define PC_DRIVER_HTTP_PATH_BYTES  108 /* of a socket file, as the system has it; the NUL included */
#define PC_DRIVER_HTTP_PLACE_BYTES (PC_DRIVER_HTTP_PATH_BYTES + sizeof("unix:"))

struct pc_driver_http_place {
    struct pc_ip_port address;            /* family 0: a socket file */
    char path[PC_DRIVER_HTTP_PATH_BYTES]; /* "": an address */
};

/* EPARSE neither; ELIMIT a path that is too long; with the reason. Names are not resolved. */
int pc_driver_http_place_parse(const char *text, struct pc_driver_http_place *ret_place,
                               struct pc_reason *ret_reason);
/* As it was parsed from. */
void pc_driver_http_place_format(const struct pc_driver_http_place *place,
                                 char ret_text[PC_DRIVER_HTTP_PLACE_BYTES]);
/* Whether only this machine can reach it. */
bool pc_driver_http_place_is_local(const struct pc_driver_http_place *place);

struct pc_driver_http_socket {
    int fd;                            /* listening, not blocking */
    struct pc_driver_http_place place; /* with the port that the system chose when 0 was asked for */
    uint64_t device, inode;            /* of the socket file */
};
/* EIO the system refuses; EBUSY somebody listens there; EPERM a file there that is not ours to replace; with the reason. */
int pc_driver_http_listen(const struct pc_driver_http_place *place, struct pc_driver_http_socket *ret_socket,
                          struct pc_reason *ret_reason);
/* Remove the socket file, unless it is another by now. The descriptor is the owner's. */
void pc_driver_http_unlink(const struct pc_driver_http_socket *socket);

#endif
