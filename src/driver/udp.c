/*
 * See udp.h. Two traps of the kernel shape this file. First, with IP_RECVERR an ICMP error of any remote is
 * also kept as the socket's pending error and comes out of the next send or receive, whomever that is for; so
 * an error of sending is believed only when it comes again after the error queue was emptied. Second, libuv
 * stops a poll handle when the error queue fills (status UV_EBADF); it is started again once that is read.
 */
#include "driver/udp.h"

#include "driver/socket.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RECEIVE_ROUNDS 4  /* batches a callback, so that timers and the other sockets have their turn */
#define ERRORS_MAX     64 /* read from the error queue a callback, for the same reason */
#define SEND_RETRIES   3  /* of one datagram, as errors of others may come in between */

enum reach { /* what can be reached from the address a socket is bound to */
             REACH_ANY,
             REACH_LOOPBACK,
             REACH_LINK_LOCAL,
             REACH_OTHER,
};

struct udp_socket {
    struct pc_driver_udp *udp;
    uv_poll_t poll;
    int fd;
    struct pc_ip_port bound;
    enum reach reach;
    bool apart; /* for SOCKET_APART alone */
    int polled; /* the events asked of uv */
    bool blocked;
};

struct slot {
    struct pc_datagram datagram;
    uint32_t leaves_by; /* index of the socket */
    uint8_t data[PC_LIBP2P_DATAGRAM_MAX_BYTES];
};

static_assert(PC_DRIVER_UDP_QUEUE_MAX <= PC_DRIVER_SOCKET_BATCH_MAX, "one batch takes the whole queue");
static_assert(PC_DRIVER_UDP_QUEUE_MAX <= UINT8_MAX, "slots are counted in bytes");

struct pc_driver_udp {
    uv_loop_t *loop;
    struct pc_driver_udp_handler handler;
    size_t socket_count;
    struct udp_socket sockets[PC_DRIVER_UDP_SOCKETS_MAX];
    bool receiving;
    uint64_t received_total;
    uint64_t sent_total;
    /* The queue: queued[] holds slots in the order they were kept, free[] the others. */
    size_t queued_count;
    uint8_t queued[PC_DRIVER_UDP_QUEUE_MAX];
    size_t free_count;
    uint8_t free[PC_DRIVER_UDP_QUEUE_MAX];
    struct slot slots[PC_DRIVER_UDP_QUEUE_MAX];
    uint8_t received[PC_DRIVER_UDP_BATCH][PC_DRIVER_UDP_RECEIVE_BYTES];
};

static void on_poll(uv_poll_t *poll, int status, int events);

/* ----- making ----- */

int pc_driver_udp_new(uv_loop_t *loop, const struct pc_driver_udp_handler *handler,
                      struct pc_driver_udp **ret_udp)
{
    struct pc_driver_udp *udp = calloc(1, sizeof(*udp));
    if (!udp)
        return PEERCACHE_ENOMEM;
    udp->loop = loop;
    udp->handler = *handler;
    udp->free_count = PC_DRIVER_UDP_QUEUE_MAX;
    for (size_t i = 0; i < PC_DRIVER_UDP_QUEUE_MAX; i++)
        udp->free[i] = (uint8_t)(PC_DRIVER_UDP_QUEUE_MAX - 1 - i);
    *ret_udp = udp;
    return 0;
}

static enum reach reach_of(const struct pc_ip_port *address)
{
    static const uint8_t zero[16];
    static const uint8_t loopback6[16] = { [15] = 1 };
    size_t size = address->family == 6 ? 16 : 4;
    if (memcmp(address->ip, zero, size) == 0)
        return REACH_ANY;
    if (address->family == 6 ? memcmp(address->ip, loopback6, 16) == 0 : address->ip[0] == 127)
        return REACH_LOOPBACK;
    if (address->family == 6 && address->ip[0] == 0xfe && (address->ip[1] & 0xc0) == 0x80)
        return REACH_LINK_LOCAL;
    return REACH_OTHER;
}

int pc_driver_udp_bind(struct pc_driver_udp *udp, const struct pc_ip_port *address,
                       struct pc_ip_port *ret_bound, struct pc_reason *ret_reason)
{
    struct udp_socket *socket = &udp->sockets[udp->socket_count];
    int result;
    if (udp->socket_count == PC_DRIVER_UDP_SOCKETS_MAX) {
        pc_base_reason(ret_reason, "more than %d sockets", PC_DRIVER_UDP_SOCKETS_MAX);
        return PEERCACHE_ELIMIT;
    }
    result = pc_driver_socket_open(address, &socket->fd, &socket->bound, ret_reason);
    if (result != 0)
        return result;
    result = uv_poll_init(udp->loop, &socket->poll, socket->fd);
    if (result < 0) {
        (void)close(socket->fd);
        pc_base_reason(ret_reason, "a UDP socket cannot be polled: %s", uv_strerror(result));
        return PEERCACHE_EIO;
    }
    socket->udp = udp;
    socket->poll.data = socket;
    socket->reach = reach_of(&socket->bound);
    udp->socket_count++;
    if (ret_bound)
        *ret_bound = socket->bound;
    return 0;
}

int pc_driver_udp_bind_to_dial(struct pc_driver_udp *udp, struct pc_reason *ret_reason)
{
    for (uint8_t family = 4; family <= 6; family = (uint8_t)(family + 2)) {
        struct pc_ip_port any = { .family = family };
        bool covered = false;
        for (size_t i = 0; i < udp->socket_count; i++) {
            const struct udp_socket *socket = &udp->sockets[i];
            covered = covered || (socket->bound.family == family &&
                                  (socket->reach == REACH_ANY || socket->reach == REACH_OTHER));
        }
        if (covered)
            continue;
        int result = pc_driver_udp_bind(udp, &any, NULL, ret_reason);
        if (result != 0 && result != PEERCACHE_EUNSUPPORTED)
            return result;
    }
    /* The reason is then that of the family tried last. */
    return udp->socket_count > 0 ? 0 : PEERCACHE_EIO;
}

int pc_driver_udp_bind_apart(struct pc_driver_udp *udp, struct pc_reason *ret_reason)
{
    for (uint8_t family = 4; family <= 6; family = (uint8_t)(family + 2)) {
        struct pc_ip_port any = { .family = family };
        int result = pc_driver_udp_bind(udp, &any, NULL, ret_reason);
        if (result == 0)
            udp->sockets[udp->socket_count - 1].apart = true;
        else if (result != PEERCACHE_EUNSUPPORTED)
            return result;
    }
    return 0;
}

/* ----- polling ----- */

static int poll_for(struct udp_socket *socket)
{
    int wanted = (socket->udp->receiving ? UV_READABLE : 0) | (socket->blocked ? UV_WRITABLE : 0);
    int result = 0;
    if (wanted == socket->polled)
        return 0;
    if (wanted != 0)
        result = uv_poll_start(&socket->poll, wanted, on_poll);
    else
        (void)uv_poll_stop(&socket->poll);
    socket->polled = result == 0 ? wanted : 0;
    return result;
}

int pc_driver_udp_start(struct pc_driver_udp *udp, struct pc_reason *ret_reason)
{
    udp->receiving = true;
    for (size_t i = 0; i < udp->socket_count; i++) {
        int result = poll_for(&udp->sockets[i]);
        if (result != 0) {
            pc_base_reason(ret_reason, "a UDP socket cannot be polled: %s", uv_strerror(result));
            return PEERCACHE_EIO;
        }
    }
    return 0;
}

void pc_driver_udp_stop_receiving(struct pc_driver_udp *udp)
{
    udp->receiving = false;
    for (size_t i = 0; i < udp->socket_count; i++)
        (void)poll_for(&udp->sockets[i]); /* asking for less cannot fail */
}

/* Read the error queue; what is left after ERRORS_MAX comes with the next callback. */
static void tell_errors(struct udp_socket *socket)
{
    struct pc_driver_udp_handler *handler = &socket->udp->handler;
    struct pc_driver_socket_error error;
    for (int i = 0; i < ERRORS_MAX; i++) {
        int result = pc_driver_socket_next_error(socket->fd, &error);
        if (result < 0)
            return;
        if (result == 1)
            handler->unreachable(handler->context, &error.remote, error.outcome, error.detail);
    }
}

static void receive(struct udp_socket *socket)
{
    struct pc_driver_udp *udp = socket->udp;
    struct pc_datagram batch[PC_DRIVER_UDP_BATCH];
    for (int round = 0; round < RECEIVE_ROUNDS; round++) {
        for (size_t i = 0; i < PC_DRIVER_UDP_BATCH; i++)
            batch[i] = (struct pc_datagram){ .socket = (uint32_t)(socket - udp->sockets),
                                             .data = udp->received[i],
                                             .size = PC_DRIVER_UDP_RECEIVE_BYTES };
        int got = pc_driver_socket_receive(socket->fd, batch, PC_DRIVER_UDP_BATCH);
        if (got == -EAGAIN || got == -EWOULDBLOCK)
            return;
        if (got < 0)
            continue; /* the pending error of a datagram sent; the error queue tells whose */
        for (int i = 0; i < got; i++) {
            if (batch[i].size == 0)
                continue; /* empty or cut: no QUIC packet */
            if (batch[i].local.family != 0)
                batch[i].local.port = socket->bound.port;
            udp->received_total++;
            udp->handler.received(udp->handler.context, &batch[i]);
        }
        if (got < PC_DRIVER_UDP_BATCH)
            return;
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct udp_socket *socket = poll->data;
    struct pc_driver_udp *udp = socket->udp;
    bool stopped_by_uv = status < 0;
    if (stopped_by_uv) {
        socket->polled = 0;
        tell_errors(socket);
    }
    if (udp->receiving && (stopped_by_uv || events & UV_READABLE))
        receive(socket);
    if (socket->blocked && (stopped_by_uv || events & UV_WRITABLE)) {
        socket->blocked = false;
        pc_driver_udp_flush(udp);
    }
    (void)poll_for(socket); /* it has been polled before, so it can be */
    udp->handler.rest(udp->handler.context);
}

/* ----- sending ----- */

/* How well a socket serves a remote; 0: not at all. */
static int fitness(const struct udp_socket *socket, const struct pc_ip_port *remote)
{
    if (socket->bound.family != remote->family)
        return 0;
    if (socket->reach == reach_of(remote))
        return 3;
    if (socket->reach == REACH_ANY)
        return 2;
    return socket->reach == REACH_OTHER ? 1 : 0;
}

/* The socket a datagram leaves by; socket_count when there is none. */
static uint32_t route(const struct pc_driver_udp *udp, const struct pc_datagram *datagram)
{
    uint32_t best = (uint32_t)udp->socket_count;
    int best_fitness = 0;
    bool apart = datagram->socket == PC_LIBP2P_SOCKET_APART;
    if (datagram->socket < udp->socket_count &&
        udp->sockets[datagram->socket].bound.family == datagram->remote.family)
        return datagram->socket;
    for (uint32_t i = 0; i < udp->socket_count; i++) {
        int fit = udp->sockets[i].apart == apart ? fitness(&udp->sockets[i], &datagram->remote) : 0;
        if (fit > best_fitness) {
            best = i;
            best_fitness = fit;
        }
    }
    return best;
}

struct pc_datagram *pc_driver_udp_slot(struct pc_driver_udp *udp)
{
    if (udp->free_count == 0)
        return NULL;
    struct slot *slot = &udp->slots[udp->free[udp->free_count - 1]];
    slot->datagram = (struct pc_datagram){ .socket = PC_LIBP2P_SOCKET_ANY,
                                           .data = slot->data,
                                           .size = sizeof(slot->data) };
    return &slot->datagram;
}

void pc_driver_udp_keep(struct pc_driver_udp *udp)
{
    assert(udp->free_count > 0);
    uint8_t index = udp->free[--udp->free_count];
    udp->slots[index].leaves_by = route(udp, &udp->slots[index].datagram);
    udp->queued[udp->queued_count++] = index;
}

void pc_driver_udp_traffic(const struct pc_driver_udp *udp, uint64_t *ret_received, uint64_t *ret_sent)
{
    *ret_received = udp->received_total;
    *ret_sent = udp->sent_total;
}

size_t pc_driver_udp_waiting(const struct pc_driver_udp *udp)
{
    return udp->queued_count;
}

/* A datagram that can't leave: what does that say of its remote? */
static void refuse(struct pc_driver_udp *udp, const struct pc_datagram *datagram, int error)
{
    char detail[PEERCACHE_DETAIL_BYTES];
    switch (error) {
    case ECONNREFUSED: /* another's: its own can't be known before it left */
    case EMSGSIZE:     /* over the link's MTU: a probe that fails, as it should */
    case ENOBUFS:      /* the device's queue is full and dropped it */
    case ENOMEM:
        return;
    }
    (void)snprintf(detail, sizeof(detail), "nothing can be sent there: %s", uv_strerror(-error));
    udp->handler.unreachable(udp->handler.context, &datagram->remote, PEERCACHE_UNREACHABLE, detail);
}

/* Send in order what is given, all of one socket. Returns how many were dealt with; fewer: it blocks. */
static size_t send_all(struct udp_socket *socket, struct pc_datagram *const *datagrams, size_t count)
{
    size_t done = 0;
    int retries = 0;
    while (done < count) {
        int result = pc_driver_socket_send(socket->fd, datagrams + done, count - done);
        if (result == -EAGAIN || result == -EWOULDBLOCK)
            break;
        if (result > 0) {
            done += (size_t)result;
            socket->udp->sent_total += (uint64_t)result;
            retries = 0;
            continue;
        }
        tell_errors(socket);
        if (retries++ < SEND_RETRIES)
            continue;
        refuse(socket->udp, datagrams[done], -result);
        done++;
        retries = 0;
    }
    return done;
}

void pc_driver_udp_flush(struct pc_driver_udp *udp)
{
    struct pc_datagram *mine[PC_DRIVER_UDP_QUEUE_MAX];
    bool done[PC_DRIVER_UDP_QUEUE_MAX] = { false };
    uint8_t place[PC_DRIVER_UDP_QUEUE_MAX];
    size_t left = 0;
    for (uint32_t s = 0; s <= udp->socket_count; s++) {
        size_t count = 0;
        for (size_t i = 0; i < udp->queued_count; i++) {
            struct slot *slot = &udp->slots[udp->queued[i]];
            if (slot->leaves_by == s) {
                place[count] = (uint8_t)i;
                mine[count++] = &slot->datagram;
            }
        }
        size_t sent = count;
        if (s == udp->socket_count) {
            for (size_t i = 0; i < count; i++)
                refuse(udp, mine[i], EAFNOSUPPORT);
        } else if (count > 0) {
            struct udp_socket *socket = &udp->sockets[s];
            sent = socket->blocked ? 0 : send_all(socket, mine, count);
            socket->blocked = sent < count;
            (void)poll_for(socket); /* it has been polled before, so it can be */
        }
        for (size_t i = 0; i < sent; i++)
            done[place[i]] = true;
    }
    for (size_t i = 0; i < udp->queued_count; i++) {
        if (done[i])
            udp->free[udp->free_count++] = udp->queued[i];
        else
            udp->queued[left++] = udp->queued[i];
    }
    udp->queued_count = left;
}

/* ----- the end ----- */

void pc_driver_udp_close(struct pc_driver_udp *udp)
{
    if (!udp)
        return;
    for (size_t i = 0; i < udp->socket_count; i++) {
        uv_close((uv_handle_t *)&udp->sockets[i].poll, NULL);
        (void)close(udp->sockets[i].fd);
    }
    udp->socket_count = 0;
    udp->queued_count = 0;
}

void pc_driver_udp_free(struct pc_driver_udp *udp)
{
    free(udp);
}
