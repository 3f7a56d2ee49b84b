#include "driver/guest.h"

#include <peercache/types.h>

#include <stdlib.h>

struct pc_driver_guest_socket {
    uv_poll_t poll;
    struct pc_driver_guest *guest;
    struct pc_driver_guest_socket *next;
    int fd;
    int events;
};

static struct pc_driver_guest_socket **find(struct pc_driver_guest *guest, int fd)
{
    struct pc_driver_guest_socket **at = &guest->sockets;
    while (*at && (*at)->fd != fd)
        at = &(*at)->next;
    return at;
}

/* ----- what the loop brings ----- */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct pc_driver_guest_socket *socket = poll->data;
    struct pc_driver_guest *guest = socket->guest;
    int fd = socket->fd;
    guest->calls->ready(guest->context, fd, status < 0 ? UV_READABLE | UV_WRITABLE : events);
    if (status == 0 || guest->closing)
        return;
    /* libuv has stopped the handle on the error. Should the library keep the socket, it goes on; the memory of
     * the handle stays until the next round of the loop, but it may no longer be the one of this descriptor. */
    struct pc_driver_guest_socket *kept = *find(guest, fd);
    if (kept == socket && !uv_is_active((uv_handle_t *)&socket->poll))
        (void)uv_poll_start(&socket->poll, socket->events, on_poll);
}

static void on_timer(uv_timer_t *timer)
{
    struct pc_driver_guest *guest = timer->data;
    guest->calls->due(guest->context);
}

static void on_deadline(uv_timer_t *timer)
{
    struct pc_driver_guest *guest = timer->data;
    guest->calls->deadline(guest->context);
}

static void handle_closed(struct pc_driver_guest *guest)
{
    guest->handles--;
    if (guest->closing && guest->handles == 0)
        guest->calls->closed(guest->context);
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct pc_driver_guest_socket *socket = handle->data;
    struct pc_driver_guest *guest = socket->guest;
    free(socket);
    handle_closed(guest);
}

/* ----- sockets ----- */

static void forget(struct pc_driver_guest_socket **at)
{
    struct pc_driver_guest_socket *socket = *at;
    *at = socket->next;
    (void)uv_poll_stop(&socket->poll); /* at once: the descriptor may be closed, and given away again */
    uv_close((uv_handle_t *)&socket->poll, on_socket_closed);
}

static int add(struct pc_driver_guest *guest, int fd, struct pc_driver_guest_socket **ret_socket)
{
    struct pc_driver_guest_socket *socket = malloc(sizeof(*socket));
    if (!socket)
        return PEERCACHE_ENOMEM;
    if (uv_poll_init_socket(guest->loop, &socket->poll, fd) < 0) {
        free(socket);
        return PEERCACHE_EIO;
    }
    socket->poll.data = socket;
    socket->guest = guest;
    socket->fd = fd;
    socket->next = guest->sockets;
    guest->sockets = socket;
    guest->handles++;
    *ret_socket = socket;
    return 0;
}

int pc_driver_guest_watch(struct pc_driver_guest *guest, int fd, int events)
{
    if (guest->closing)
        return 0;
    struct pc_driver_guest_socket **at = find(guest, fd);
    struct pc_driver_guest_socket *socket = *at;
    if (events == 0) {
        if (socket)
            forget(at);
        return 0;
    }
    if (!socket) {
        int result = add(guest, fd, &socket);
        if (result != 0)
            return result;
    }
    socket->events = events;
    return uv_poll_start(&socket->poll, events, on_poll) < 0 ? PEERCACHE_EIO : 0;
}

/* ----- timers ----- */

/* uv counts from when its round began, which may be long ago. */
static void start(uv_timer_t *timer, uv_timer_cb callback, int64_t wait_ms)
{
    uv_update_time(timer->loop);
    (void)uv_timer_start(timer, callback, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

void pc_driver_guest_timer(struct pc_driver_guest *guest, int64_t wait_ms)
{
    if (guest->closing)
        return;
    if (wait_ms < 0)
        (void)uv_timer_stop(&guest->timer);
    else
        start(&guest->timer, on_timer, wait_ms);
}

void pc_driver_guest_deadline(struct pc_driver_guest *guest, int64_t wait_ms)
{
    if (!guest->closing)
        start(&guest->deadline, on_deadline, wait_ms);
}

int64_t pc_driver_guest_left_ms(const struct pc_driver_guest *guest)
{
    return (int64_t)uv_timer_get_due_in(&guest->deadline);
}

/* ----- its life ----- */

void pc_driver_guest_open(struct pc_driver_guest *guest, uv_loop_t *loop,
                          const struct pc_driver_guest_calls *calls, void *context, int64_t deadline_ms)
{
    *guest = (struct pc_driver_guest){ .loop = loop, .calls = calls, .context = context, .handles = 2 };
    (void)uv_timer_init(loop, &guest->timer); /* it can't fail */
    (void)uv_timer_init(loop, &guest->deadline);
    guest->timer.data = guest;
    guest->deadline.data = guest;
    start(&guest->deadline, on_deadline, deadline_ms);
}

void pc_driver_guest_close(struct pc_driver_guest *guest)
{
    if (guest->closing)
        return;
    guest->closing = true;
    while (guest->sockets)
        forget(&guest->sockets);
    uv_close((uv_handle_t *)&guest->timer, on_timer_closed);
    uv_close((uv_handle_t *)&guest->deadline, on_timer_closed);
}
