/* Real sockets on loopback. Only "the kernel takes no more" is made by hand: loopback never says it. */
#include "check.h"

#include "driver/clock.h"
#include "driver/socket.h"
#include "driver/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_US 5000000

#ifdef __linux__
static const bool tells_refusals = true;
#else
static const bool tells_refusals = false; /* a refusal looks like silence */
#endif

struct side {
    struct pc_driver_udp *udp;
    struct pc_ip_port bound;
    uint32_t received;
    uint32_t out_of_order;
    struct pc_datagram last; /* data is not kept */
    uint8_t last_data[64];
    uint32_t ecn_seen[4];
    uint32_t told;
    struct pc_ip_port told_remote;
    peercache_outcome told_outcome;
    uint32_t rests;
};

static uv_loop_t loop;
static struct side a;
static struct side b;

/* ----- the kernel under test control ----- */

static int sends_until_full = -1; /* calls that still reach the kernel; -1: all */
static int full_for;              /* then so many calls find it full */
static bool one_by_one;           /* the kernel takes one of each batch */

int __real_pc_driver_socket_send(int fd, struct pc_datagram *const *datagrams, size_t count);
int __wrap_pc_driver_socket_send(int fd, struct pc_datagram *const *datagrams, size_t count);

int __wrap_pc_driver_socket_send(int fd, struct pc_datagram *const *datagrams, size_t count)
{
    if (sends_until_full == 0 && full_for > 0) {
        full_for--;
        if (full_for == 0)
            sends_until_full = -1;
        return -EAGAIN;
    }
    if (sends_until_full > 0)
        sends_until_full--;
    return __real_pc_driver_socket_send(fd, datagrams, one_by_one ? 1 : count);
}

/* ----- two sides ----- */

static void on_received(void *context, const struct pc_datagram *datagram)
{
    struct side *side = context;
    uint32_t number;
    if (datagram->size >= sizeof(number)) {
        memcpy(&number, datagram->data, sizeof(number));
        if (number != side->received)
            side->out_of_order++;
    }
    side->last = *datagram;
    memcpy(side->last_data, datagram->data,
           datagram->size < sizeof(side->last_data) ? datagram->size : sizeof(side->last_data));
    side->ecn_seen[datagram->ecn]++;
    side->received++;
}

static void on_unreachable(void *context, const struct pc_ip_port *remote, peercache_outcome outcome,
                           const char *detail)
{
    struct side *side = context;
    assert_true(detail[0] != '\0');
    side->told++;
    side->told_remote = *remote;
    side->told_outcome = outcome;
}

static void on_rest(void *context)
{
    ((struct side *)context)->rests++;
}

static struct pc_ip_port v4(uint8_t last, uint16_t port)
{
    return (struct pc_ip_port){ .family = 4, .ip = { 127, 0, 0, last }, .port = port };
}

static struct pc_ip_port v6(uint16_t port)
{
    return (struct pc_ip_port){ .family = 6, .ip = { [15] = 1 }, .port = port };
}

static void side_init(struct side *side)
{
    const struct pc_driver_udp_handler handler = { side, on_received, on_unreachable, on_rest };
    memset(side, 0, sizeof(*side));
    assert_int_equal(pc_driver_udp_new(&loop, &handler, &side->udp), 0);
}

static int side_bind(struct side *side, struct pc_ip_port address)
{
    struct pc_reason why = { "" };
    int result = pc_driver_udp_bind(side->udp, &address, &side->bound, &why);
    if (result != 0)
        assert_true(why.text[0] != '\0');
    else
        assert_int_equal(pc_driver_udp_start(side->udp, &why), 0);
    return result;
}

static int setup(void **state)
{
    (void)state;
    sends_until_full = -1;
    full_for = 0;
    one_by_one = false;
    assert_int_equal(uv_loop_init(&loop), 0);
    side_init(&a);
    side_init(&b);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pc_driver_udp_close(a.udp);
    pc_driver_udp_close(b.udp);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    pc_driver_udp_free(a.udp);
    pc_driver_udp_free(b.udp);
    return 0;
}

static int64_t now_us(void)
{
    struct pc_driver_clock clock;
    pc_driver_clock_init(&clock);
    return pc_driver_clock_now(&clock).mono_us;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Run the loop until the condition holds; fails when it never does. */
#define RUN_UNTIL(condition)                                                                                 \
    do {                                                                                                     \
        int64_t give_up_us = now_us() + PATIENCE_US;                                                         \
        static uv_timer_t tick; /* wakes the loop, so that the patience is looked at */                      \
        uv_timer_init(&loop, &tick);                                                                         \
        uv_timer_start(&tick, on_tick, 1, 1);                                                                \
        while (!(condition) && now_us() < give_up_us)                                                        \
            uv_run(&loop, UV_RUN_ONCE);                                                                      \
        uv_close((uv_handle_t *)&tick, NULL);                                                                \
        uv_run(&loop, UV_RUN_NOWAIT);                                                                        \
        assert_true(condition);                                                                              \
    } while (0)

static void run_for(int64_t us)
{
    int64_t end_us = now_us() + us;
    RUN_UNTIL(now_us() >= end_us);
}

static bool queue_from(struct side *side, uint32_t by, struct pc_ip_port local, struct pc_ip_port remote,
                       uint32_t number, uint8_t ecn)
{
    struct pc_datagram *slot = pc_driver_udp_slot(side->udp);
    if (!slot)
        return false;
    assert_int_equal(slot->size, PC_LIBP2P_DATAGRAM_MAX_BYTES);
    memcpy(slot->data, &number, sizeof(number));
    memset(slot->data + sizeof(number), 0x5a, 1196);
    slot->size = 1200;
    slot->socket = by;
    slot->local = local;
    slot->remote = remote;
    slot->ecn = ecn;
    pc_driver_udp_keep(side->udp);
    return true;
}

static bool queue(struct side *side, struct pc_ip_port remote, uint32_t number)
{
    return queue_from(side, PC_LIBP2P_SOCKET_ANY, (struct pc_ip_port){ 0 }, remote, number, 0);
}

static void send_one(struct side *side, struct pc_ip_port remote, uint32_t number)
{
    assert_true(queue(side, remote, number));
    pc_driver_udp_flush(side->udp);
}

/* ----- tests ----- */

static void exchange(struct pc_ip_port at_a, struct pc_ip_port at_b)
{
    uint32_t sent_a = 0;
    uint32_t sent_b = 0;
    const struct pc_ip_port any = { 0 };
    assert_int_equal(side_bind(&a, at_a), 0);
    assert_int_equal(side_bind(&b, at_b), 0);
    while (sent_a < 1000 || sent_b < 1000) {
        /* No more on the way than the kernel's receive buffer surely holds. */
        while (sent_a < 1000 && sent_a < b.received + 40 &&
               queue_from(&a, PC_LIBP2P_SOCKET_ANY, any, b.bound, sent_a, (uint8_t)(sent_a % 4)))
            sent_a++;
        while (sent_b < 1000 && sent_b < a.received + 40 &&
               queue_from(&b, PC_LIBP2P_SOCKET_ANY, any, a.bound, sent_b, (uint8_t)(sent_b % 4)))
            sent_b++;
        pc_driver_udp_flush(a.udp);
        pc_driver_udp_flush(b.udp);
        uint32_t before = a.received + b.received;
        RUN_UNTIL(a.received + b.received > before);
    }
    RUN_UNTIL(a.received == 1000 && b.received == 1000);
    assert_int_equal(a.out_of_order, 0);
    assert_int_equal(b.out_of_order, 0);
    assert_int_equal(a.last.size, 1200);
    assert_memory_equal(a.last.remote.ip, b.bound.ip, 16);
    assert_int_equal(a.last.remote.port, b.bound.port);
    assert_int_equal(a.last.remote.family, b.bound.family);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(a.ecn_seen[i], 250);
        assert_int_equal(b.ecn_seen[i], 250);
    }
    assert_true(a.rests > 0 && a.told == 0 && b.told == 0);
}

static void a_thousand_datagrams_both_ways(void **state)
{
    (void)state;
    exchange(v4(1, 0), v4(1, 0));
}

static bool has_ipv6(void)
{
    struct pc_ip_port address = v6(0);
    struct pc_ip_port bound;
    int fd;
    if (pc_driver_socket_open(&address, &fd, &bound, NULL) != 0)
        return false;
    close(fd);
    return true;
}

static void a_thousand_datagrams_both_ways_over_ipv6(void **state)
{
    (void)state;
    if (!has_ipv6())
        CHECK_CANNOT_RUN("no IPv6 here");
    exchange(v6(0), v6(0));
}

static void answers_leave_from_the_address_asked(void **state)
{
    (void)state;
    assert_int_equal(side_bind(&a, (struct pc_ip_port){ .family = 4 }), 0);
    assert_int_equal(side_bind(&b, v4(1, 0)), 0);
    for (uint8_t last = 2; last < 5; last++) {
        send_one(&b, v4(last, a.bound.port), a.received);
        uint32_t before = b.received;
        RUN_UNTIL(a.received == before + 1);
        assert_int_equal(a.last.local.family, 4);
        assert_memory_equal(a.last.local.ip, v4(last, 0).ip, 4);
        assert_int_equal(a.last.local.port, a.bound.port);
        assert_true(queue_from(&a, a.last.socket, a.last.local, a.last.remote, b.received, 0));
        pc_driver_udp_flush(a.udp);
        RUN_UNTIL(b.received == before + 1);
        assert_memory_equal(b.last.remote.ip, v4(last, 0).ip, 4);
        assert_int_equal(b.last.remote.port, a.bound.port);
    }
}

static void ipv6_tells_the_address_asked_and_takes_no_ipv4(void **state)
{
    (void)state;
    if (!has_ipv6())
        CHECK_CANNOT_RUN("no IPv6 here");
    assert_int_equal(side_bind(&a, (struct pc_ip_port){ .family = 6 }), 0);
    assert_int_equal(side_bind(&b, v6(0)), 0);
    send_one(&b, v6(a.bound.port), 0);
    RUN_UNTIL(a.received == 1);
    assert_int_equal(a.last.local.family, 6);
    assert_memory_equal(a.last.local.ip, v6(0).ip, 16);
    assert_true(queue_from(&a, a.last.socket, a.last.local, a.last.remote, 0, 0));
    pc_driver_udp_flush(a.udp);
    RUN_UNTIL(b.received == 1);
    /* The same port of IPv4 is free: the socket is IPv6 only. */
    assert_int_equal(side_bind(&b, (struct pc_ip_port){ .family = 4, .port = a.bound.port }), 0);
}

static struct pc_ip_port closed_port(void)
{
    const struct pc_ip_port address = v4(1, 0);
    struct pc_ip_port bound;
    int fd;
    assert_int_equal(pc_driver_socket_open(&address, &fd, &bound, NULL), 0);
    close(fd);
    return bound;
}

static void a_closed_port_is_refused_at_once_again_and_again(void **state)
{
    (void)state;
    if (!tells_refusals)
        CHECK_CANNOT_RUN("no IPv6 here");
    struct pc_ip_port nobody = closed_port();
    assert_int_equal(side_bind(&a, (struct pc_ip_port){ .family = 4 }), 0);
    assert_int_equal(side_bind(&b, v4(1, 0)), 0);
    for (uint32_t i = 0; i < 5; i++) {
        int64_t start_us = now_us();
        send_one(&a, nobody, 0);
        RUN_UNTIL(a.told == i + 1);
        assert_true(now_us() - start_us < 100000); /* in truth some tens of microseconds */
        assert_int_equal(a.told_outcome, PEERCACHE_REFUSED);
        assert_memory_equal(a.told_remote.ip, nobody.ip, 4);
        assert_int_equal(a.told_remote.port, nobody.port);
        /* and the socket goes on receiving */
        send_one(&b, v4(1, a.bound.port), i);
        RUN_UNTIL(a.received == i + 1);
    }
}

static void a_refusal_is_never_blamed_on_another(void **state)
{
    (void)state;
    if (!tells_refusals)
        CHECK_CANNOT_RUN("no IPv6 here");
    struct pc_ip_port nobody = closed_port();
    assert_int_equal(side_bind(&a, v4(1, 0)), 0);
    assert_int_equal(side_bind(&b, v4(1, 0)), 0);
    for (uint32_t i = 0; i < 50; i++) {
        /* On loopback the refusal of the first is pending when the second is sent. */
        assert_true(queue(&a, nobody, 0));
        assert_true(queue(&a, b.bound, i));
        pc_driver_udp_flush(a.udp);
        send_one(&a, nobody, 0);
    }
    RUN_UNTIL(b.received == 50 && a.told == 100);
    assert_int_equal(b.out_of_order, 0);
    assert_int_equal(a.told_outcome, PEERCACHE_REFUSED);
    assert_int_equal(a.told_remote.port, nobody.port);
    assert_int_equal(pc_driver_udp_waiting(a.udp), 0);
}

static void what_cannot_be_sent_is_unreachable_and_the_rest_goes_on(void **state)
{
    (void)state;
    const struct pc_ip_port broadcast = { .family = 4, .ip = { 255, 255, 255, 255 }, .port = 4001 };
    assert_int_equal(side_bind(&a, v4(1, 0)), 0);
    assert_int_equal(side_bind(&b, v4(1, 0)), 0);
    assert_true(queue(&a, b.bound, 0));
    assert_true(queue_from(&a, 0, (struct pc_ip_port){ 0 }, broadcast, 0, 0)); /* not permitted */
    assert_true(queue(&a, v6(4001), 0));                                       /* no socket of the family */
    assert_true(queue(&a, b.bound, 1));
    pc_driver_udp_flush(a.udp);
    assert_int_equal(pc_driver_udp_waiting(a.udp), 0);
    assert_int_equal(a.told, 2);
    assert_int_equal(a.told_outcome, PEERCACHE_UNREACHABLE);
    assert_int_equal(a.told_remote.family, 6);
    RUN_UNTIL(b.received == 2);
    assert_int_equal(b.out_of_order, 0);
}

/* In a network namespace of its own, where not even loopback is up, there is no way anywhere. */
static void no_route_is_unreachable(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0 && unshare(CLONE_NEWNET) != 0)
            _exit(77);
        struct pc_reason why;
        struct pc_ip_port there = { .family = 4, .ip = { 192, 0, 2, 1 }, .port = 4001 };
        if (pc_driver_udp_bind_to_dial(a.udp, &why) != 0 || pc_driver_udp_start(a.udp, &why) != 0)
            _exit(1);
        (void)queue(&a, there, 0);
        pc_driver_udp_flush(a.udp);
        _exit(a.told == 1 && a.told_outcome == PEERCACHE_UNREACHABLE && a.told_remote.port == 4001 ? 0 : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        CHECK_CANNOT_RUN("this system allows no network namespace");
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_full_kernel_keeps_the_order(void **state)
{
    (void)state;
    assert_int_equal(side_bind(&a, v4(1, 0)), 0);
    assert_int_equal(side_bind(&b, v4(1, 0)), 0);
    one_by_one = true;
    sends_until_full = 10;
    full_for = 3;
    uint32_t sent = 0;
    while (queue(&a, b.bound, sent))
        sent++;
    assert_int_equal(sent, PC_DRIVER_UDP_QUEUE_MAX);
    pc_driver_udp_flush(a.udp);
    assert_int_equal(pc_driver_udp_waiting(a.udp), PC_DRIVER_UDP_QUEUE_MAX - 10);
    assert_int_equal(full_for, 2);
    pc_driver_udp_flush(a.udp); /* it is not asked again before it says that it is writable */
    assert_int_equal(full_for, 2);
    /* What comes later waits behind. */
    for (int i = 0; i < 10; i++)
        assert_true(queue(&a, b.bound, sent++));
    assert_false(queue(&a, b.bound, 0));
    uint32_t rests = a.rests;
    RUN_UNTIL(pc_driver_udp_waiting(a.udp) == 0);
    assert_true(a.rests > rests); /* room again: told */
    RUN_UNTIL(b.received == sent);
    assert_int_equal(b.out_of_order, 0);
    assert_int_equal(full_for, 0);
}

static void cut_and_empty_datagrams_are_dropped(void **state)
{
    (void)state;
    static uint8_t large[PC_DRIVER_UDP_RECEIVE_BYTES + 1];
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    assert_int_equal(side_bind(&a, v4(1, 0)), 0);
    to.sin_port = htons(a.bound.port);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(sendto(fd, large, sizeof(large), 0, (struct sockaddr *)&to, sizeof(to)), sizeof(large));
    assert_int_equal(sendto(fd, large, 0, 0, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(sendto(fd, large, sizeof(large) - 1, 0, (struct sockaddr *)&to, sizeof(to)),
                     sizeof(large) - 1);
    close(fd);
    RUN_UNTIL(a.received == 1);
    run_for(2000);
    assert_int_equal(a.received, 1);
    assert_int_equal(a.last.size, PC_DRIVER_UDP_RECEIVE_BYTES);
}

static void the_best_socket_is_chosen(void **state)
{
    (void)state;
    struct pc_reason why;
    assert_int_equal(side_bind(&b, v4(1, 0)), 0);
    assert_int_equal(side_bind(&a, v4(3, 0)), 0);
    struct pc_ip_port loopback = a.bound;
    /* Loopback reaches only itself, so there is one more to dial from; but to loopback ours is used. */
    assert_int_equal(pc_driver_udp_bind_to_dial(a.udp, &why), 0);
    send_one(&a, b.bound, 0);
    RUN_UNTIL(b.received == 1);
    assert_int_equal(b.last.remote.port, loopback.port);
    assert_memory_equal(b.last.remote.ip, loopback.ip, 4);
}

static void an_address_in_use_or_not_ours_is_told(void **state)
{
    (void)state;
    struct pc_reason why = { "" };
    assert_int_equal(side_bind(&a, v4(1, 0)), 0);
    struct pc_ip_port taken = a.bound;
    assert_int_equal(pc_driver_udp_bind(b.udp, &taken, NULL, &why), PEERCACHE_EIO);
    assert_non_null(strstr(why.text, "127.0.0.1"));
    const struct pc_ip_port foreign = { .family = 4, .ip = { 198, 51, 100, 7 } };
    assert_int_equal(pc_driver_udp_bind(b.udp, &foreign, NULL, &why), PEERCACHE_EIO);
    assert_non_null(strstr(why.text, "198.51.100.7"));
}

static void the_number_of_sockets_has_a_limit(void **state)
{
    (void)state;
    struct pc_ip_port any = v4(1, 0);
    struct pc_reason why = { "" };
    for (int i = 0; i < PC_DRIVER_UDP_SOCKETS_MAX; i++)
        assert_int_equal(pc_driver_udp_bind(a.udp, &any, NULL, &why), 0);
    assert_int_equal(pc_driver_udp_bind(a.udp, &any, NULL, &why), PEERCACHE_ELIMIT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_thousand_datagrams_both_ways),
        TEST(a_thousand_datagrams_both_ways_over_ipv6),
        TEST(answers_leave_from_the_address_asked),
        TEST(ipv6_tells_the_address_asked_and_takes_no_ipv4),
        TEST(a_closed_port_is_refused_at_once_again_and_again),
        TEST(a_refusal_is_never_blamed_on_another),
        TEST(what_cannot_be_sent_is_unreachable_and_the_rest_goes_on),
        TEST(no_route_is_unreachable),
        TEST(a_full_kernel_keeps_the_order),
        TEST(cut_and_empty_datagrams_are_dropped),
        TEST(the_best_socket_is_chosen),
        TEST(an_address_in_use_or_not_ours_is_told),
        TEST(the_number_of_sockets_has_a_limit),
    };
    return cmocka_run_group_tests_name("driver_udp", tests, NULL, NULL);
}
