/*
 * What a service manager is told: datagrams of lines VARIABLE=VALUE to the socket that NOTIFY_SOCKET names, as of sd_notify(3).
 * A protocol of one datagram needs no library.
 */
#ifndef PC_DRIVER_NOTIFY_H
#define PC_DRIVER_NOTIFY_H

#include "base/bytes.h"

#include <sys/socket.h>
#include <sys/un.h>

#define PC_DRIVER_NOTIFY_WAIT_MS                                                                             \
    1000 /* for a manager that is slow to read; it is waited for only where told so */

/* What the manager put into our environment; each NULL when it is not there. */
struct pc_driver_notify_environment {
    const char *socket;        /* NOTIFY_SOCKET */
    const char *watchdog_usec; /* WATCHDOG_USEC */
    const char *watchdog_pid;  /* WATCHDOG_PID */
};

struct pc_driver_notify {
    int fd; /* -1: nobody is to be told */
    struct sockaddr_un address;
    socklen_t address_size;
    int64_t watchdog_us; /* a sign of life is expected within; 0: none is */
};

/* Nobody is to be told; close is then allowed. */
void pc_driver_notify_init(struct pc_driver_notify *notify);
/* A missing or empty socket: 0, and nobody is told. EUNSUPPORTED: neither a path nor (@) an abstract name; ELIMIT: it is too
 * long; EINVAL: the watchdog's time is none; EIO: no socket. The reason has it. */
int pc_driver_notify_open(struct pc_driver_notify *notify,
                          const struct pc_driver_notify_environment *environment, long own_pid,
                          struct pc_reason *ret_reason);
/* Send one datagram. `waits`: up to PC_DRIVER_NOTIFY_WAIT_MS while the manager's queue is full, else EBUSY at once. EIO with the
 * reason. To nobody: 0. */
int pc_driver_notify_send(const struct pc_driver_notify *notify, const char *text, bool waits,
                          struct pc_reason *ret_reason);
void pc_driver_notify_close(struct pc_driver_notify *notify);

#endif
