/* What becomes of a node's reachability, in virtual time: what peers say, what probes bring, who comes unasked. */
#include "check.h"

#include "node/reach.h"

#include <peercache/types.h>

#include <string.h>

#define S PC_US_PER_S

static struct pc_reach reach;
static int64_t now_us;

static int begin(void **state)
{
    (void)state;
    pc_reach_init(&reach);
    now_us = 1000 * S;
    return 0;
}

static struct pc_ip_port at(uint8_t a, uint8_t b, uint16_t port)
{
    return (struct pc_ip_port){ .family = 4, .ip = { a, b, 1, 1 }, .port = port };
}

static struct pc_netgroup group_of(uint8_t a, uint8_t b)
{
    struct pc_ip_port address = at(a, b, 4001);
    return pc_addr_netgroup_of_ip_port(&address, PC_NETGROUP_PUBLIC);
}

static void seen(const struct pc_ip_port *addr, uint8_t by)
{
    struct pc_netgroup group = group_of(by, 0);
    pc_reach_seen_at(&reach, addr, &group, now_us);
}

static void agree(const struct pc_ip_port *addr)
{
    for (uint8_t by = 11; by < 11 + PC_REACH_GROUPS; by++)
        seen(addr, by);
}

/* The next probe when it is due, and what came of it. */
static void probe(const struct pc_ip_port *addr, uint8_t server, enum pc_reach_verdict verdict)
{
    struct pc_netgroup group = group_of(server, 0);
    now_us = pc_base_time_max(now_us, pc_reach_deadline(&reach));
    pc_reach_expire(&reach, now_us);
    const struct pc_reach_place *due = pc_reach_due(&reach, now_us);
    assert_non_null(due);
    assert_true(pc_addr_ip_port_equal(&due->addr, addr));
    pc_reach_probing(&reach, addr);
    const struct pc_reach_place *next = pc_reach_due(&reach, now_us);
    assert_true(!next || !pc_addr_ip_port_equal(&next->addr, addr)); /* one probe of it at a time */
    pc_reach_probed(&reach, addr, &group, verdict, now_us);
}

static void make_public(const struct pc_ip_port *addr)
{
    agree(addr);
    probe(addr, 21, PC_REACH_CAME_THROUGH);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_PUBLIC);
}

static void three_networks_must_agree(void **state)
{
    (void)state;
    struct pc_ip_port own = at(45, 1, 4001);
    assert_true(pc_reach_deadline(&reach) == PC_TIME_NEVER);
    for (int i = 0; i < 20; i++) { /* one that says it often is one */
        seen(&own, 11);
        seen(&own, 12);
    }
    assert_int_equal(reach.place_count, 0);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_UNKNOWN);
    seen(&own, 13);
    assert_int_equal(reach.place_count, 1);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_UNKNOWN); /* agreed on is not proven */
    assert_int_equal(pc_reach_deadline(&reach) - now_us, PC_REACH_PROBE_US);
}

static void a_probe_that_came_through_proves(void **state)
{
    (void)state;
    struct pc_ip_port own = at(45, 1, 4001);
    agree(&own);
    probe(&own, 21, PC_REACH_UNDECIDED);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_UNKNOWN);
    assert_int_equal(pc_reach_deadline(&reach) - now_us, PC_REACH_ASK_US);
    probe(&own, 22, PC_REACH_CAME_THROUGH);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_PUBLIC);
    assert_int_equal(pc_reach_deadline(&reach) - now_us, PC_REACH_RECHECK_US);
}

static void three_failures_in_a_row_and_it_is_private(void **state)
{
    (void)state;
    struct pc_ip_port own = at(45, 1, 4001);
    agree(&own);
    probe(&own, 21, PC_REACH_CUT_OFF);
    probe(&own, 22, PC_REACH_CUT_OFF);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_UNKNOWN);
    struct pc_netgroup asked = group_of(22, 0), other = group_of(23, 0);
    assert_true(pc_reach_failed_by(&reach.places[0], &asked));
    assert_false(pc_reach_failed_by(&reach.places[0], &other));
    probe(&own, 23, PC_REACH_CUT_OFF);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_PRIVATE);
    assert_int_equal(pc_reach_deadline(&reach) - now_us, PC_REACH_RECHECK_US);
    probe(&own, 24, PC_REACH_CAME_THROUGH); /* somebody opened the port */
    assert_int_equal(pc_reach_state(&reach), PC_REACH_PUBLIC);
}

static void what_was_proven_is_lost_by_failures_alone_in_a_row(void **state)
{
    (void)state;
    struct pc_ip_port own = at(45, 1, 4001);
    make_public(&own);
    for (int i = 0; i < 5; i++) { /* a server now and then that cannot reach us is its own fault */
        probe(&own, 22, PC_REACH_CUT_OFF);
        probe(&own, 23, PC_REACH_CUT_OFF);
        probe(&own, 24, PC_REACH_CAME_THROUGH);
        assert_int_equal(pc_reach_state(&reach), PC_REACH_PUBLIC);
    }
    for (uint8_t server = 22; server < 22 + PC_REACH_FAILURES; server++)
        probe(&own, server, PC_REACH_CUT_OFF);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_PRIVATE);
}

static void a_proof_that_nobody_renews_is_none_in_the_end(void **state)
{
    (void)state;
    struct pc_ip_port own = at(45, 1, 4001);
    make_public(&own);
    int64_t proven_us = now_us;
    unsigned asked = 0;
    while (pc_reach_state(&reach) == PC_REACH_PUBLIC) {
        now_us = pc_reach_deadline(&reach);
        pc_reach_expire(&reach, now_us);
        if (pc_reach_due(&reach, now_us))
            pc_reach_no_server(&reach, &own, now_us);
        assert_true(++asked < 1000);
    }
    assert_int_equal(now_us - proven_us, PC_REACH_PROOF_US);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_UNKNOWN);
}

static void another_address_is_noticed(void **state)
{
    (void)state;
    struct pc_ip_port own = at(45, 1, 4001), next = at(46, 1, 4001);
    make_public(&own);
    seen(&next, 11);
    seen(&next, 12);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_PUBLIC); /* two are not enough to unseat it */
    seen(&next, 13);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_UNKNOWN);
    assert_int_equal(reach.place_count, 1);
    probe(&next, 22, PC_REACH_CAME_THROUGH);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_PUBLIC);
}

static void two_addresses_and_two_families_live_side_by_side(void **state)
{
    (void)state;
    struct pc_ip_port own = at(45, 1, 4001), second = at(46, 1, 4001);
    struct pc_ip_port six = { .family = 6, .ip = { 0x2a, 1, 2, 3 }, .port = 4001 };
    make_public(&own);
    for (uint8_t by = 31; by < 31 + PC_REACH_GROUPS; by++)
        seen(&second, by);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_PUBLIC);
    agree(&six); /* by those who see us at `own`: a voice each family */
    assert_int_equal(reach.place_count, 3);
    probe(&second, 21, PC_REACH_CAME_THROUGH);
    probe(&six, 21, PC_REACH_CAME_THROUGH);
    for (size_t i = 0; i < 3; i++)
        assert_true(pc_reach_is_proven(&reach.places[i]));
}

static void a_stranger_proves_and_nobody_else(void **state)
{
    (void)state;
    struct pc_ip_port own = at(45, 1, 4001), other = at(45, 1, 4002);
    struct pc_ip_port known = at(61, 1, 4001), stranger = at(62, 1, 4001);
    assert_false(pc_reach_dialled(&reach, &own, &stranger, now_us)); /* not agreed on */
    agree(&own);
    pc_reach_sent(&reach, &known, now_us);
    known.port = 50000; /* another port of a host that we dialled: a NAT may let it in */
    assert_false(pc_reach_dialled(&reach, &own, &known, now_us));
    assert_false(pc_reach_dialled(&reach, &other, &stranger, now_us));
    assert_int_equal(pc_reach_state(&reach), PC_REACH_UNKNOWN);
    assert_true(pc_reach_dialled(&reach, &own, &stranger, now_us));
    assert_int_equal(pc_reach_state(&reach), PC_REACH_PUBLIC);
}

static void who_was_dialled_long_ago_is_a_stranger_again(void **state)
{
    (void)state;
    struct pc_ip_port own = at(45, 1, 4001), known = at(61, 1, 4001);
    agree(&own);
    pc_reach_sent(&reach, &known, now_us);
    assert_false(pc_reach_dialled(&reach, &own, &known, now_us + PC_REACH_SENT_US - 1));
    assert_true(pc_reach_dialled(&reach, &own, &known, now_us + PC_REACH_SENT_US));
}

static void more_dials_than_are_remembered_leave_no_strangers(void **state)
{
    (void)state;
    struct pc_ip_port own = at(45, 1, 4001), stranger = at(62, 1, 4001);
    agree(&own);
    for (unsigned i = 0; i <= PC_REACH_SENT_MAX; i++) {
        struct pc_ip_port to = at(70, (uint8_t)(i >> 8), 4001);
        to.ip[3] = (uint8_t)i;
        pc_reach_sent(&reach, &to, now_us);
    }
    assert_false(pc_reach_dialled(&reach, &own, &stranger, now_us));
    now_us += PC_REACH_SENT_US;
    assert_true(pc_reach_dialled(&reach, &own, &stranger, now_us));
}

static void a_port_for_each_peer_is_private(void **state)
{
    (void)state;
    for (uint8_t by = 0; by < PC_REACH_SCATTERED; by++) {
        struct pc_ip_port own = at(45, 1, 4001 + by);
        assert_int_equal(pc_reach_state(&reach), PC_REACH_UNKNOWN);
        seen(&own, 100 + by);
    }
    assert_int_equal(pc_reach_state(&reach), PC_REACH_PRIVATE);
    assert_int_equal(reach.place_count, 0);
}

static void an_announced_address_is_proven_before_it_counts(void **state)
{
    (void)state;
    struct pc_ip_port own = at(45, 1, 4001), seen_at = at(45, 1, 999);
    assert_int_equal(pc_reach_announced(&reach, &own, now_us), 0);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_UNKNOWN);
    agree(&seen_at);
    assert_int_equal(reach.place_count, 2);
    probe(&own, 21, PC_REACH_CAME_THROUGH);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_PUBLIC);
    pc_reach_network_changed(&reach, now_us);
    assert_int_equal(reach.place_count, 1); /* what peers said of the other network is gone */
    assert_int_equal(pc_reach_state(&reach), PC_REACH_PUBLIC);
    assert_int_equal(pc_reach_deadline(&reach) - now_us, PC_REACH_PROBE_US); /* and this is tried at once */
}

static void everything_has_its_bound(void **state)
{
    (void)state;
    for (unsigned port = 1; port < 40; port++) { /* a flood of agreements */
        struct pc_ip_port own = at(45, 1, (uint16_t)port);
        for (uint8_t by = 0; by < PC_REACH_GROUPS; by++)
            seen(&own, (uint8_t)(1 + port * PC_REACH_GROUPS + by));
    }
    assert_in_range(reach.place_count, 1, PC_REACH_ADDRS_MAX);
    for (uint16_t port = 1; port <= PC_REACH_ADDRS_MAX; port++) {
        struct pc_ip_port own = at(44, 1, port);
        (void)pc_reach_announced(&reach, &own, now_us);
    }
    assert_int_equal(reach.place_count, PC_REACH_ADDRS_MAX);
    struct pc_ip_port one_more = at(44, 2, 1);
    assert_int_equal(pc_reach_announced(&reach, &one_more, now_us), PEERCACHE_ELIMIT);
}

static void a_probe_of_a_place_that_went_is_forgotten(void **state)
{
    (void)state;
    struct pc_ip_port own = at(45, 1, 4001), next = at(46, 1, 4001);
    struct pc_netgroup group = group_of(21, 0);
    agree(&own);
    pc_reach_probing(&reach, &own);
    agree(&next);
    pc_reach_probed(&reach, &own, &group, PC_REACH_CAME_THROUGH, now_us);
    assert_int_equal(pc_reach_state(&reach), PC_REACH_UNKNOWN);
    assert_int_equal(reach.place_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(three_networks_must_agree, begin),
        cmocka_unit_test_setup(a_probe_that_came_through_proves, begin),
        cmocka_unit_test_setup(three_failures_in_a_row_and_it_is_private, begin),
        cmocka_unit_test_setup(what_was_proven_is_lost_by_failures_alone_in_a_row, begin),
        cmocka_unit_test_setup(a_proof_that_nobody_renews_is_none_in_the_end, begin),
        cmocka_unit_test_setup(another_address_is_noticed, begin),
        cmocka_unit_test_setup(two_addresses_and_two_families_live_side_by_side, begin),
        cmocka_unit_test_setup(a_stranger_proves_and_nobody_else, begin),
        cmocka_unit_test_setup(who_was_dialled_long_ago_is_a_stranger_again, begin),
        cmocka_unit_test_setup(more_dials_than_are_remembered_leave_no_strangers, begin),
        cmocka_unit_test_setup(a_port_for_each_peer_is_private, begin),
        cmocka_unit_test_setup(an_announced_address_is_proven_before_it_counts, begin),
        cmocka_unit_test_setup(everything_has_its_bound, begin),
        cmocka_unit_test_setup(a_probe_of_a_place_that_went_is_forgotten, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
