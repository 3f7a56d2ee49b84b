/*
 * Families and changes of the network, in a network namespace of our own: a pair of interfaces, joined by a cable, is all
 * there is.
 */
#include "check.h"

#include "driver/routes.h"

#include <peercache/types.h>

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

static bool has_namespace;
static uv_loop_t loop;
static struct pc_driver_routes *routes;
static unsigned changes;
static bool changed, has_ip4, has_ip6;

/* A file of /proc that says who we are in a namespace of users. */
static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_put = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        (void)close(fd);
    return is_put;
}

static bool enter_namespace(void)
{
    char map[64];
    unsigned user = getuid();
    if (unshare(CLONE_NEWNET) == 0)
        return true;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return false;
    (void)snprintf(map, sizeof(map), "0 %u 1", user); /* ip must find itself the owner of this namespace */
    return put("/proc/self/uid_map", map);
}

static void ip(const char *arguments)
{
    char command[256];
    (void)snprintf(command, sizeof(command), "PATH=$PATH:/usr/sbin:/sbin ip %s", arguments);
    if (system(command) != 0) /* NOLINT: it is a test, and what it runs is written here */
        fail_msg("%s", command);
}

static void on_changed(void *context, bool ip4, bool ip6)
{
    assert_ptr_equal(context, &loop);
    changes++;
    changed = true;
    has_ip4 = ip4;
    has_ip6 = ip6;
}

/* At once, or a little later: the kernel finds out about a carrier in its own time. */
static void expect_now(bool local, bool ip4, bool ip6)
{
    struct pc_reason why;
    bool now_ip4 = !ip4, now_ip6 = !ip6;
    for (int tries = 0; tries < 5000 && (now_ip4 != ip4 || now_ip6 != ip6); tries++) {
        if (tries > 0)
            (void)usleep(2000);
        assert_int_equal(pc_driver_routes_now(local, &now_ip4, &now_ip6, &why), 0);
    }
    assert_int_equal(now_ip4, ip4);
    assert_int_equal(now_ip6, ip6);
}

/* Wait for a change, and that it leads here; others may be told before. */
static void expect_change(bool ip4, bool ip6)
{
    do {
        changed = false;
        while (!changed)
            assert_int_not_equal(uv_run(&loop, UV_RUN_ONCE), 0);
    } while (has_ip4 != ip4 || has_ip6 != ip6);
    expect_now(false, ip4, ip6);
}

static int setup(void **state)
{
    (void)state;
    if (!has_namespace)
        return 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    ip("link add v0 type veth peer name v1");
    changes = 0;
    return 0;
}

static void watch(bool local)
{
    struct pc_reason why = { "" };
    if (pc_driver_routes_watch(&loop, local, on_changed, &loop, &routes, &why) != 0)
        fail_msg("%s", why.text);
}

static int teardown(void **state)
{
    (void)state;
    if (!has_namespace)
        return 0;
    pc_driver_routes_close(routes);
    routes = NULL;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    ip("link del v0");
    return 0;
}

#define NEEDS_NAMESPACE()                                                                                    \
    do {                                                                                                     \
        if (!has_namespace)                                                                                  \
            CHECK_CANNOT_RUN("this system allows no network namespace");                                     \
    } while (0)

static void what_counts_as_a_way_out(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    expect_now(false, false, false);
    expect_now(true, false, false); /* loopback is down too */
    ip("link set lo up");
    expect_now(false, false, false);
    expect_now(true, true, true);
    ip("link set lo down");
    ip("addr add 192.0.2.1/24 dev v0");
    expect_now(false, false, false); /* the interface is down */
    ip("link set v0 up");
    expect_now(false, false, false); /* and there is nobody at the other end of the cable */
    ip("link set v1 up");
    expect_now(false, true, false); /* IPv6: link-local only */
    expect_now(true, true, true);
    ip("addr add 2001:db8:1::1/64 dev v0 nodad");
    expect_now(false, true, true);
    ip("addr del 192.0.2.1/24 dev v0");
    expect_now(false, false, true);
    ip("addr add 169.254.1.1/16 dev v0"); /* link-local */
    expect_now(false, false, true);
    ip("link set v1 down");
    expect_now(false, false, false);
}

static void changes_are_told(void **state)
{
    bool ip4 = true, ip6 = true;
    (void)state;
    NEEDS_NAMESPACE();
    watch(false);
    pc_driver_routes_families(routes, &ip4, &ip6);
    assert_false(ip4 || ip6);
    ip("link set v0 up");
    ip("link set v1 up");
    ip("addr add 192.0.2.1/24 dev v0");
    expect_change(true, false);
    pc_driver_routes_families(routes, &ip4, &ip6);
    assert_true(ip4 && !ip6);
    ip("addr add 2001:db8:1::1/64 dev v0 nodad");
    expect_change(true, true);
    ip("link set v1 down"); /* the cable is pulled */
    expect_change(false, false);
    ip("link set v1 up");
    expect_change(true, true);
    ip("addr del 192.0.2.1/24 dev v0");
    expect_change(false, true);
}

static void on_enough(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
    uv_close((uv_handle_t *)timer, NULL);
}

/* Run the loop until whatever was told to the watch so far has been looked at. */
static void settle(void)
{
    uv_timer_t timer;
    bool is_enough = false;
    assert_int_equal(uv_timer_init(&loop, &timer), 0);
    timer.data = &is_enough;
    uv_update_time(&loop);
    assert_int_equal(uv_timer_start(&timer, on_enough, 3 * PC_DRIVER_ROUTES_QUIET_MS, 0), 0);
    while (!is_enough)
        (void)uv_run(&loop, UV_RUN_ONCE);
    (void)uv_run(&loop, UV_RUN_NOWAIT); /* the timer is gone */
}

static void a_burst_is_told_once_and_what_changes_nothing_never(void **state)
{
    char command[64];
    (void)state;
    NEEDS_NAMESPACE();
    ip("link set v0 addrgenmode none"); /* no addresses of its own accord, which come when they like */
    ip("link set v1 addrgenmode none");
    ip("link set v0 up");
    ip("link set v1 up");
    ip("addr add 198.51.100.1/24 dev v0");
    expect_now(false, true, false); /* it has a carrier */
    watch(false);
    for (int i = 1; i <= 20; i++) {
        (void)snprintf(command, sizeof(command), "addr add 192.0.2.%d/24 dev v0", i);
        ip(command);
    }
    settle();
    assert_int_equal(changes, 1);
    assert_true(has_ip4);
    ip("link set v0 mtu 1400");
    ip("route add 203.0.113.128/25 via 192.0.2.9");
    ip("addr add 192.0.2.99/24 dev v0");
    ip("addr del 192.0.2.99/24 dev v0");
    settle();
    assert_int_equal(changes, 1);
    /* the same addresses, but another one to leave from */
    ip("route add default via 192.0.2.9 src 192.0.2.7");
    settle();
    assert_int_equal(changes, 2);
    ip("route change default via 192.0.2.9 src 192.0.2.8");
    settle();
    assert_int_equal(changes, 3);
}

static void closed_while_it_waits(void **state)
{
    (void)state;
    NEEDS_NAMESPACE();
    watch(true);
    ip("link set v0 up");
    ip("addr add 192.0.2.1/24 dev v0");
    (void)uv_run(&loop, UV_RUN_NOWAIT); /* the message is there, and it waits for more */
    /* teardown closes it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_counts_as_a_way_out, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_burst_is_told_once_and_what_changes_nothing_never, setup, teardown),
        cmocka_unit_test_setup_teardown(closed_while_it_waits, setup, teardown),
    };
    has_namespace = enter_namespace();
    return cmocka_run_group_tests_name("driver_routes", tests, NULL, NULL);
}
