#include "driver/notify.h"

#include <peercache/types.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

void pc_driver_notify_init(struct pc_driver_notify *notify)
{
    *notify = (struct pc_driver_notify){ .fd = -1 };
}

/* A path, or @ and a name that is in no file system: there the first byte is a NUL, and none ends it. */
static int address_of(struct pc_driver_notify *notify, const char *socket, struct pc_reason *ret_reason)
{
    size_t size = strlen(socket);
    bool is_abstract = socket[0] == '@';
    if ((socket[0] != '/' && !is_abstract) || size < 2) {
        pc_base_reason(ret_reason, "NOTIFY_SOCKET '%.64s' is neither a path nor an abstract name (@)",
                       socket);
        return PEERCACHE_EUNSUPPORTED;
    }
    if (size >= sizeof(notify->address.sun_path)) {
        pc_base_reason(ret_reason, "NOTIFY_SOCKET is longer than %zu bytes",
                       sizeof(notify->address.sun_path) - 1);
        return PEERCACHE_ELIMIT;
    }
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, socket, size);
    if (is_abstract)
        notify->address.sun_path[0] = '\0';
    notify->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (is_abstract ? 0 : 1));
    return 0;
}

/* Digits alone, at most 18 of them, and not 0. */
static bool number_of(const char *text, int64_t *ret_number)
{
    int64_t number = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18 || text[digits] != '\0')
        return false;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (text[i] - '0');
    *ret_number = number;
    return number > 0;
}

/* The watchdog of another process of the unit is none of ours. */
static int watchdog_of(struct pc_driver_notify *notify,
                       const struct pc_driver_notify_environment *environment, long own_pid,
                       struct pc_reason *ret_reason)
{
    int64_t pid = own_pid;
    if (!environment->watchdog_usec || !*environment->watchdog_usec)
        return 0;
    if (environment->watchdog_pid && *environment->watchdog_pid &&
        number_of(environment->watchdog_pid, &pid) && pid != own_pid)
        return 0;
    if (number_of(environment->watchdog_usec, &notify->watchdog_us))
        return 0;
    notify->watchdog_us = 0;
    pc_base_reason(ret_reason, "WATCHDOG_USEC '%.32s' is no time", environment->watchdog_usec);
    return PEERCACHE_EINVAL;
}

int pc_driver_notify_open(struct pc_driver_notify *notify,
                          const struct pc_driver_notify_environment *environment, long own_pid,
                          struct pc_reason *ret_reason)
{
    const struct timeval wait = { .tv_sec = PC_DRIVER_NOTIFY_WAIT_MS / 1000,
                                  .tv_usec = PC_DRIVER_NOTIFY_WAIT_MS % 1000 * 1000 };
    pc_driver_notify_init(notify);
    if (!environment->socket || !*environment->socket)
        return 0;
    int result = address_of(notify, environment->socket, ret_reason);
    if (result == 0)
        result = watchdog_of(notify, environment, own_pid, ret_reason);
    if (result != 0)
        return result;
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify->fd < 0 || setsockopt(notify->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) != 0) {
        pc_base_reason(ret_reason, "no socket to tell the service manager by: %s", strerror(errno));
        pc_driver_notify_close(notify);
        return PEERCACHE_EIO;
    }
    return 0;
}

int pc_driver_notify_send(const struct pc_driver_notify *notify, const char *text, bool waits,
                          struct pc_reason *ret_reason)
{
    ssize_t sent;
    if (notify->fd < 0)
        return 0;
    do
        sent = sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL | (waits ? 0 : MSG_DONTWAIT),
                      (const struct sockaddr *)&notify->address, notify->address_size);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return 0;
    int error = errno;
    pc_base_reason(ret_reason, "the service manager can't be told: %s", strerror(error));
    return error == EAGAIN ? PEERCACHE_EBUSY : PEERCACHE_EIO;
}

void pc_driver_notify_close(struct pc_driver_notify *notify)
{
    if (notify->fd >= 0)
        (void)close(notify->fd);
    pc_driver_notify_init(notify);
}
