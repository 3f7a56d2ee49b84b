/* node_step on virtual time: a node of mode auto serves while it can be reached, and dials back for others when it serves. */
#include "node_world.h"

#include "node/share.h"
#include "node/status.h"

#define MINUTE (60 * PC_US_PER_S)

static const struct pc_ip_port own = { .family = 4, .ip = { 198, 41, 0, 4 }, .port = 4001 };

static void live(bool automatic)
{
    make_world(40, 8, true);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.mode = PC_NETGROUP_PUBLIC;
    options.server = !automatic;
    options.automatic = automatic;
    options.once = false;
    options.sources = &source;
    options.source_count = 1;
    pc_addr_from_ip_port(&own, &world->observed);
    world->peers_dial_back = true;
    world->probe = PC_LIBP2P_CAME_BACK;
    start(&options);
}

static void stop(void)
{
    step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
    run_until(PC_TIME_NEVER - 1);
    assert_true(world->stopped);
}

static enum pc_reachability reachability(void)
{
    static struct pc_node_status status;
    pc_node_status_of(world->node, world->now, &status);
    assert_int_equal(status.is_server, world->serves);
    assert_int_equal(status.announced_count, world->announced_count);
    return status.reachability;
}

static void it_serves_where_a_fresh_connection_came_through(void **state)
{
    (void)state;
    live(true);
    assert_int_equal(world->announcements, 0); /* a client without addresses, as at first */
    run_until(world->now.mono_us + MINUTE);
    assert_true(world->serves);
    assert_int_equal(world->announcements, 1);
    assert_int_equal(world->announced_count, 1);
    assert_true(
        pc_bytes_equal(pc_addr_maddr_bytes(&world->announced[0]), pc_addr_maddr_bytes(&world->observed)));
    assert_true(pc_bytes_equal(pc_addr_maddr_bytes(&world->probed), pc_addr_maddr_bytes(&world->observed)));
    assert_int_equal(reachability(), PC_REACH_PUBLIC);
    stop();
}

static void behind_a_nat_it_stays_a_client(void **state)
{
    (void)state;
    live(true);
    world->probe = PC_LIBP2P_CUT_OFF;
    run_until(world->now.mono_us + 10 * MINUTE);
    assert_int_equal(world->probes, PC_REACH_FAILURES);
    assert_int_equal(world->announcements, 0);
    assert_false(world->serves);
    assert_int_equal(reachability(), PC_REACH_PRIVATE);
    run_until(world->now.mono_us + 24 * 60 * MINUTE);
    assert_in_range(world->probes, PC_REACH_FAILURES + 1, 3 * 24 * 2 + 10);
    assert_int_equal(world->announcements, 0);
    stop();
}

static void it_serves_no_more_when_it_is_cut_off(void **state)
{
    (void)state;
    live(true);
    run_until(world->now.mono_us + MINUTE);
    assert_true(world->serves);
    world->probe = PC_LIBP2P_CUT_OFF;
    run_until(world->now.mono_us + 2 * 60 * MINUTE);
    assert_false(world->serves);
    assert_int_equal(world->announced_count, 0);
    assert_int_equal(world->announcements, 2);
    world->probe = PC_LIBP2P_CAME_BACK;
    run_until(world->now.mono_us + 2 * 60 * MINUTE);
    assert_true(world->serves);
    stop();
}

static void a_change_of_the_network_is_tried_at_once(void **state)
{
    (void)state;
    live(true);
    run_until(world->now.mono_us + MINUTE);
    assert_true(world->serves);
    world->probe = PC_LIBP2P_CUT_OFF;
    step(&(struct pc_node_event){ .kind = PC_NODE_ROUTES, .has_ip4 = true });
    run_until(world->now.mono_us + MINUTE);
    assert_false(world->serves);
    stop();
}

/* One who dials us though we never sent to it. No peer dials back here. */
static void come_in(uint64_t number, struct peer *peer)
{
    struct pending *inbound = push(0, PC_LIBP2P_OPENED, PC_LIBP2P_INBOUND | number, peer);
    inbound->event.id = peer->id;
    inbound->event.remote = peer->at;
    run_until(world->now.mono_us + PC_US_PER_S);
}

static void a_stranger_who_came_unasked_proves_it_too(void **state)
{
    (void)state;
    live(true);
    world->peers_dial_back = false;
    run_until(world->now.mono_us + 5 * MINUTE);
    assert_int_equal(world->probes, 0);
    assert_false(world->serves);
    struct peer known = world->peers[0], stranger = world->peers[39];
    known.at.port = 55555;
    come_in(1, &known); /* a host that we dialled, from another port */
    assert_false(world->serves);
    stranger.at.ip[0] = 150;
    stranger.id.bytes[20] ^= 1;
    come_in(2, &stranger);
    assert_true(world->serves);
    stop();
}

static void where_peers_see_us_differently_nothing_is_tried(void **state)
{
    (void)state;
    live(true);
    world->observed.size = 0;
    run_until(world->now.mono_us + 10 * MINUTE);
    assert_int_equal(world->probes, 0);
    assert_int_equal(world->announcements, 0);
    assert_int_equal(reachability(), PC_REACH_UNKNOWN);
    stop();
}

static void a_server_serves_and_only_tells_whether_it_can_be_reached(void **state)
{
    (void)state;
    live(false);
    world->probe = PC_LIBP2P_CUT_OFF;
    assert_true(world->serves);
    run_until(world->now.mono_us + 10 * MINUTE);
    assert_true(world->serves);
    assert_int_equal(reachability(), PC_REACH_PRIVATE);
    stop();
}

/* ---- own addresses ------------------------------------------------------------------------------------- */

static int no_own(void *context, const struct pc_record *record)
{
    (void)context;
    for (size_t i = 0; i < record->addr_count; i++)
        if (pc_bytes_equal(pc_addr_maddr_bytes(&record->addrs[i].addr),
                           pc_addr_maddr_bytes(&world->observed)) &&
            !pc_addr_peer_id_equal(&record->id, &self_peer.id))
            return PEERCACHE_EINVAL;
    return 0;
}

/* Others name a peer at the address that is ours, as a node that had another identity there before. */
static void where_we_are_no_other_peer_is_remembered(void **state)
{
    (void)state;
    live(true);
    struct peer *old = &world->peers[30];
    run_until(world->now.mono_us + MINUTE);
    assert_true(world->serves);
    static struct pc_identify identify;
    memset(&identify, 0, sizeof(identify));
    identify.protocols[identify.protocol_count++] = pc_bytes_of(KAD, strlen(KAD));
    identify.addrs[identify.addr_count++] = pc_addr_maddr_bytes(&world->observed);
    assert_true(world->open_count > 0);
    step(&(struct pc_node_event){ .kind = PC_NODE_WIRE,
                                  .wire = &(struct pc_libp2p_event){ .kind = PC_LIBP2P_IDENTIFIED,
                                                                     .connection = world->open[0].number,
                                                                     .id = world->open[0].peer->id,
                                                                     .identify = &identify } });
    old->at = own;
    pc_addr_from_ip_port(&own, &old->addr);
    run_until(world->now.mono_us + 60 * MINUTE);
    assert_int_equal(pc_node_share(world->node, PC_NODE_SHARE_MAX, no_own, NULL), 0);
    stop();
}

/* ---- dialling back ------------------------------------------------------------------------------------- */

static void ask_to_dial(struct peer *peer, uint64_t number, const struct pc_ip_port *addrs, size_t count)
{
    struct pc_autonat_message dial = { .kind = PC_AUTONAT_REQUEST, .nonce = 5, .addr_count = count };
    struct pc_maddr maddrs[4];
    for (size_t i = 0; i < count; i++) {
        pc_addr_from_ip_port(&addrs[i], &maddrs[i]);
        dial.addrs[i] = pc_addr_maddr_bytes(&maddrs[i]);
    }
    step(&(struct pc_node_event){ .kind = PC_NODE_WIRE,
                                  .wire = &(struct pc_libp2p_event){ .kind = PC_LIBP2P_DIAL_ASKED,
                                                                     .connection = PC_LIBP2P_INBOUND | number,
                                                                     .asked = 9,
                                                                     .id = peer->id,
                                                                     .remote = peer->at,
                                                                     .dial = &dial } });
}

static void who_asks_is_dialled_back(void **state)
{
    (void)state;
    live(false);
    struct peer *peer = &world->peers[20];
    come_in(1, peer);
    struct pc_ip_port private = { .family = 4, .ip = { 192, 168, 1, 1 }, .port = 4001 };
    struct pc_ip_port elsewhere = { .family = 4, .ip = { 150, 1, 1, 1 }, .port = 4001 };
    struct pc_ip_port here = peer->at;
    here.port = 777;

    ask_to_dial(peer, 1, (struct pc_ip_port[]){ private, here }, 2); /* the first that may be dialled */
    assert_int_equal(world->dials_back, 1);
    assert_true(pc_addr_ip_port_equal(&world->dialled_back, &here));
    assert_int_equal(world->data_bytes, 0);

    ask_to_dial(peer, 1, &here, 1); /* too soon */
    assert_int_equal(world->refusal, PC_AUTONAT_REJECTED);
    world->now.mono_us += PC_NODE_DIAL_BACK_PEER_US;
    ask_to_dial(peer, 1, &elsewhere, 1);
    assert_int_equal(world->dials_back, 2);
    assert_int_equal(world->data_bytes, PC_AUTONAT_PAID_BYTES); /* a stranger is not dialled for nothing */

    world->now.mono_us += PC_NODE_DIAL_BACK_PEER_US;
    ask_to_dial(peer, 1, &private, 1);
    assert_int_equal(world->refusal, PC_AUTONAT_DIAL_REFUSED);
    ask_to_dial(peer, 1, &own, 1); /* us ourselves */
    assert_int_equal(world->refusal, PC_AUTONAT_DIAL_REFUSED);
    ask_to_dial(peer, 77, &here, 1); /* over a connection that is gone */
    assert_int_equal(world->refusal, PC_AUTONAT_REJECTED);
    assert_int_equal(world->dials_back, 2);
    stop();
}

static void many_who_ask_are_dialled_at_a_rate(void **state)
{
    (void)state;
    live(false);
    run_until(world->now.mono_us + MINUTE);
    for (uint64_t i = 0; i < 30; i++) {
        struct pending *inbound = push(0, PC_LIBP2P_OPENED, PC_LIBP2P_INBOUND | i, &world->peers[i]);
        inbound->event.id = world->peers[i].id;
        inbound->event.remote = world->peers[i].at;
    }
    run_until(world->now.mono_us + PC_US_PER_S);
    for (uint64_t i = 0; i < 30; i++)
        ask_to_dial(&world->peers[i], i, &world->peers[i].at, 1);
    assert_int_equal(world->dials_back, PC_NODE_DIALS_BACK_BURST);
    assert_int_equal(world->refusals, 30 - PC_NODE_DIALS_BACK_BURST);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(it_serves_where_a_fresh_connection_came_through, tear_down),
        cmocka_unit_test_teardown(behind_a_nat_it_stays_a_client, tear_down),
        cmocka_unit_test_teardown(it_serves_no_more_when_it_is_cut_off, tear_down),
        cmocka_unit_test_teardown(a_change_of_the_network_is_tried_at_once, tear_down),
        cmocka_unit_test_teardown(a_stranger_who_came_unasked_proves_it_too, tear_down),
        cmocka_unit_test_teardown(where_peers_see_us_differently_nothing_is_tried, tear_down),
        cmocka_unit_test_teardown(a_server_serves_and_only_tells_whether_it_can_be_reached, tear_down),
        cmocka_unit_test_teardown(where_we_are_no_other_peer_is_remembered, tear_down),
        cmocka_unit_test_teardown(who_asks_is_dialled_back, tear_down),
        cmocka_unit_test_teardown(many_who_ask_are_dialled_at_a_rate, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
