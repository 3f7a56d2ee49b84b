/* node_step on virtual time: a node that lives on tends its routing table. */
#include "node_world.h"

#include "kad/table.h"
#include "node/status.h"

static void live_among(size_t peers, size_t degree, bool public_addresses)
{
    make_world(peers, degree, public_addresses);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.mode = public_addresses ? PC_NETGROUP_PUBLIC : PC_NETGROUP_LOCAL;
    options.server = true;
    options.once = false;
    options.sources = &source;
    options.source_count = 1;
    start(&options);
}

static void stop(void)
{
    step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
    run_until(PC_TIME_NEVER - 1);
    assert_true(world->stopped);
}

/* Lookups of our own id and of targets, and the candidates that answers tell of, fill the table. */
static void the_table_fills(void **state)
{
    (void)state;
    live_among(300, 12, false);
    run_until(world->now.mono_us + 600 * PC_US_PER_S);
    /* 150 are in bucket 0 and 75 in bucket 1, of which 20 each find room; then 37, 19, 9 … */
    assert_in_range(pc_node_table_count(world->node), 80, 150);
    stop();
}

/* One network cannot hold the table: three of it at most. */
static void no_group_holds_the_table(void **state)
{
    (void)state;
    make_world(100, 12, true);
    for (size_t i = 1; i < 100; i++) { /* all but the first in one /16 */
        world->peers[i].at.ip[0] = 66;
        world->peers[i].at.ip[1] = 6;
        world->peers[i].at.ip[3] = (uint8_t)i;
        pc_addr_from_ip_port(&world->peers[i].at, &world->peers[i].addr);
    }
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.mode = PC_NETGROUP_PUBLIC;
    options.server = true;
    options.once = false;
    options.sources = &source;
    options.source_count = 1;
    start(&options);
    run_until(world->now.mono_us + 600 * PC_US_PER_S);
    assert_in_range(pc_node_table_count(world->node), 2, 1 + PC_KAD_TABLE_GROUP_MAX);
    stop();
}

/* Members that fall silent are found out by tests and leave; those that live stay. */
static void who_falls_silent_leaves_the_table(void **state)
{
    (void)state;
    live_among(60, 12, false);
    run_until(world->now.mono_us + 300 * PC_US_PER_S);
    size_t before = pc_node_table_count(world->node);
    assert_in_range(before, 40, 60);
    for (size_t i = 0; i < 60; i += 2)
        world->peers[i].habit = SILENT;
    run_until(world->now.mono_us + 3 * 3600 * PC_US_PER_S);
    assert_in_range(pc_node_table_count(world->node), 20, 30);
    stop();
}

/* Lesson 16, of a node that had joined: all are gone, and it finds its way back by itself. */
static void a_node_that_lost_all_joins_again(void **state)
{
    (void)state;
    live_among(40, 8, false);
    run_until(world->now.mono_us + 300 * PC_US_PER_S);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    for (size_t i = 0; i < 40; i++)
        world->peers[i].habit = SILENT;
    run_until(world->now.mono_us + 6 * 3600 * PC_US_PER_S);
    assert_int_equal(pc_node_table_count(world->node), 0);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    for (size_t i = 0; i < 40; i++)
        world->peers[i].habit = LIVES;
    run_until(world->now.mono_us + 1800 * PC_US_PER_S);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_true(pc_node_table_count(world->node) > 20);
    stop();
}

/* Nearly all of the cache are gone for good, and so are all that the endpoint names, so that it looks as if UDP did not get
 * through: the one that comes back is found. */
static void one_of_many_that_comes_back_is_found(void **state)
{
    (void)state;
    make_world(200, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    options.server = true;
    options.once = false;
    options.endpoint_count = 1;
    world->endpoints[0] = (struct endpoint){ .from = 0, .to = 40 };
    for (size_t i = 0; i < 200; i++)
        world->peers[i].habit = SILENT;
    assert_int_equal(pc_node_new(&options, &world->node), 0);
    load_peers(40, 200);
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    run_until(world->now.mono_us + 3600 * PC_US_PER_S);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    world->peers[137].habit = LIVES;
    run_until(world->now.mono_us + 3600 * PC_US_PER_S);
    assert_int_equal(world->status, PEERCACHE_DEGRADED);
    assert_int_equal(pc_node_table_count(world->node), 1);
    stop();
}

/* Who was found while the given peer could not be reached may know nobody else. */
static void an_island_finds_the_peer_that_was_given(void **state)
{
    (void)state;
    make_world(12, 0, false);
    for (size_t i = 4; i < 12; i++)
        world->peers[0].neighbours[world->peers[0].neighbour_count++] = i;
    world->peers[0].habit = SILENT;
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.server = true;
    options.once = false;
    options.sources = &source;
    options.source_count = 1;
    options.refresh_period_us = 60 * PC_US_PER_S;
    start(&options);
    for (size_t i = 1; i < 4; i++) {
        struct pending *inbound = push(0, PC_LIBP2P_OPENED, PC_LIBP2P_INBOUND | i, &world->peers[i]);
        inbound->event.id = world->peers[i].id;
        inbound->event.remote = world->peers[i].at;
    }
    run_until(world->now.mono_us + 600 * PC_US_PER_S);
    assert_int_equal(world->status, PEERCACHE_DEGRADED);
    assert_int_equal(pc_node_table_count(world->node), 3);
    world->peers[0].habit = LIVES;
    run_until(world->now.mono_us + 2 * 70 * PC_US_PER_S);
    assert_int_equal(pc_node_table_count(world->node), 12);
    stop();
}

/* Of another network nobody in the table may be within reach: that is found out at once, and not in ten minutes. */
static void another_network_is_looked_at_at_once(void **state)
{
    (void)state;
    live_among(40, 8, false);
    int64_t until_us = world->now.mono_us + 3 * 3600 * PC_US_PER_S;
    run_until(until_us);
    assert_true(pc_node_table_count(world->node) > 20);
    world->was_walked = false;
    run_until(until_us += 60 * PC_US_PER_S);
    assert_false(world->was_walked); /* in a quiet network it is not yet time */
    step(&(struct pc_node_event){ .kind = PC_NODE_ROUTES, .has_ip4 = true });
    run_until(until_us += 5 * PC_US_PER_S);
    assert_true(world->was_walked);
    stop();
}

/* What a peer says of itself unasked: that it serves no more, or that it has moved. */
static void pushes_move_peers_of_the_table(void **state)
{
    (void)state;
    live_among(40, 8, false);
    run_until(world->now.mono_us + 600 * PC_US_PER_S);
    size_t before = pc_node_table_count(world->node);
    assert_true(before > 20 && world->open_count > 0);

    struct peer *peer = world->open[0].peer;
    static struct pc_identify identify;
    struct pc_libp2p_event wire = { .kind = PC_LIBP2P_IDENTIFIED,
                                    .connection = world->open[0].number,
                                    .id = peer->id,
                                    .identify = &identify };
    struct pc_node_event event = { .kind = PC_NODE_WIRE, .wire = &wire };
    memset(&identify, 0, sizeof(identify));
    identify.protocols[identify.protocol_count++] = pc_bytes_of("/ipfs/id/1.0.0", 14);
    step(&event);
    assert_int_equal(pc_node_table_count(world->node), before - 1);

    identify.protocol_count = 0; /* of a peer that is not in the table addresses alone say nothing */
    identify.addrs[identify.addr_count++] = pc_addr_maddr_bytes(&peer->addr);
    step(&event);
    assert_int_equal(pc_node_table_count(world->node), before - 1);

    identify.protocols[identify.protocol_count++] = pc_bytes_of(KAD, strlen(KAD));
    step(&event);
    assert_int_equal(pc_node_table_count(world->node), before);
    stop();
}

/* A member comes by itself, and names our protocol no more. */
static void a_member_that_comes_as_a_client_leaves_the_table(void **state)
{
    (void)state;
    static struct pc_identify identify;
    live_among(40, 8, false);
    run_until(world->now.mono_us + 600 * PC_US_PER_S);
    size_t before = pc_node_table_count(world->node);
    struct peer *peer = world->open[0].peer;
    assert_non_null(pc_kad_table_find(pc_node_table(world->node), &peer->id));
    struct pc_libp2p_event wire = { .kind = PC_LIBP2P_OPENED,
                                    .connection = UINT64_C(1) << 40,
                                    .id = peer->id,
                                    .remote = peer->at,
                                    .rtt_us = -1,
                                    .proven_us = -1,
                                    .identify = &identify };
    memset(&identify, 0, sizeof(identify));
    identify.protocols[identify.protocol_count++] = pc_bytes_of("/ipfs/id/1.0.0", 14);
    step(&(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = &wire });
    assert_int_equal(pc_node_table_count(world->node), before - 1);
    assert_null(pc_kad_table_find(pc_node_table(world->node), &peer->id));
    stop();
}

/* Two dial each other, as when a cut heals, and only one of the dials comes through. */
static void who_dials_us_while_we_dial_in_vain_stays_in_the_table(void **state)
{
    (void)state;
    make_world(2, 0, false);
    world->peers[0].neighbours[world->peers[0].neighbour_count++] = 1;
    world->peers[1].habit = SILENT;
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.server = true;
    options.once = false;
    options.sources = &source;
    options.source_count = 1;
    options.target = 1;
    start(&options);
    run_until(world->now.mono_us + PC_US_PER_S);
    assert_int_equal(pc_node_table_count(world->node), 1);
    assert_true(world->pending_count > 0); /* the other is being dialled */
    struct pending *inbound = push(0, PC_LIBP2P_OPENED, PC_LIBP2P_INBOUND | 1, &world->peers[1]);
    inbound->event.id = world->peers[1].id;
    inbound->event.remote = world->peers[1].at;
    run_until(world->now.mono_us + PC_US_PER_S);
    assert_int_equal(pc_node_table_count(world->node), 2);
    run_until(world->now.mono_us + 10 * PC_US_PER_S);
    assert_int_equal(pc_node_table_count(world->node), 2);
    stop();
}

/* The host is told what is to be announced when the node starts and when it changes, and never else. */
static void changes_of_what_it_listens_on_are_announced(void **state)
{
    (void)state;
    live_among(40, 8, false);
    assert_true(world->serves);
    assert_int_equal(world->announcements, 1);
    struct pc_maddr addrs[2] = { world->peers[38].addr, world->peers[39].addr };
    struct pc_node_event event = { .kind = PC_NODE_LISTENS, .addrs = addrs, .addr_count = 2 };
    unsigned told = world->listening;
    step(&event);
    assert_int_equal(world->announcements, 2);
    assert_int_equal(world->announced_count, 2);
    assert_int_equal(world->listening, told + 2);
    step(&event);
    assert_int_equal(world->announcements, 2);
    event.addrs = &addrs[1];
    event.addr_count = 1;
    step(&event);
    assert_int_equal(world->announcements, 3);
    assert_int_equal(world->announced_count, 1);
    assert_true(pc_bytes_equal(pc_addr_maddr_bytes(&world->announced[0]), pc_addr_maddr_bytes(&addrs[1])));
    assert_int_equal(world->listening, told + 2); /* what the application knows already is not told again */
    run_until(world->now.mono_us + 600 * PC_US_PER_S);
    assert_int_equal(world->announcements, 3);
    stop();
}

/* The numbers of the first `count` peers that are in bucket 0. */
static void in_bucket_0(size_t *ret_peers, size_t count)
{
    struct pc_kad_key own = pc_kad_key_of_peer(&self_peer.id);
    for (size_t i = 0, found = 0; found < count; i++) {
        assert_true(i < world->peer_count);
        struct pc_kad_key key = pc_kad_key_of_peer(&world->peers[i].id);
        if (pc_kad_key_common_prefix(&own, &key) == 0)
            ret_peers[found++] = i;
    }
}

/* A node that knows 21 peers, all of bucket 0: one finds no place there. */
static void live_with_a_full_bucket(const size_t *peers)
{
    struct pc_node_options options = default_options(&self_peer);
    struct peer *first = &world->peers[peers[0]];
    struct pc_node_source source = source_of(first);
    options.mode = PC_NETGROUP_PUBLIC;
    options.server = true;
    options.once = false;
    options.sources = &source;
    options.source_count = 1;
    for (size_t i = 1; i <= PC_KAD_K; i++)
        first->neighbours[first->neighbour_count++] = peers[i];
    start(&options);
    run_until(world->now.mono_us + 60 * PC_US_PER_S);
    assert_int_equal(pc_node_table_count(world->node), PC_KAD_K);
}

static void push_without_our_protocol(size_t peer)
{
    static struct pc_identify identify;
    struct pc_libp2p_event wire = { .kind = PC_LIBP2P_IDENTIFIED, .identify = &identify };
    for (size_t i = 0; i < world->open_count; i++)
        if (world->open[i].peer == &world->peers[peer])
            wire.connection = world->open[i].number;
    assert_true(wire.connection != 0);
    wire.id = world->peers[peer].id;
    memset(&identify, 0, sizeof(identify));
    identify.protocols[identify.protocol_count++] = pc_bytes_of("/ipfs/id/1.0.0", 14);
    step(&(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = &wire });
}

/* Who serves no more does not come in later, for a member that leaves. */
static void a_replacement_that_serves_no_more_is_forgotten(void **state)
{
    (void)state;
    size_t peers[PC_KAD_K + 1], replacement = SIZE_MAX, member = SIZE_MAX;
    make_world(100, 0, true);
    in_bucket_0(peers, PC_KAD_K + 1);
    live_with_a_full_bucket(peers);
    for (size_t i = 0; i <= PC_KAD_K; i++)
        if (pc_kad_table_find(pc_node_table(world->node), &world->peers[peers[i]].id))
            member = peers[i];
        else
            replacement = peers[i];
    assert_true(replacement != SIZE_MAX && member != SIZE_MAX);
    push_without_our_protocol(replacement);
    assert_int_equal(pc_node_table_count(world->node), PC_KAD_K);
    push_without_our_protocol(member);
    assert_int_equal(pc_node_table_count(world->node), PC_KAD_K - 1);
    stop();
}

/* A peer that the cache has only heard of is dialled now and then, also where the table has no room for it, so that it
 * becomes tried or sinks. */
static void feelers_find_out_who_of_the_new_lives(void **state)
{
    (void)state;
    size_t peers[80];
    struct pc_node_status before, after;
    make_world(300, 0, true);
    in_bucket_0(peers, 80);
    live_with_a_full_bucket(peers);
    for (size_t i = 30; i < 80; i++) {
        struct pc_record record = { .id = world->peers[peers[i]].id,
                                    .state = PEERCACHE_NEW,
                                    .addr_count = 1 };
        record.addrs[0].addr = world->peers[peers[i]].addr;
        record.addrs[0].history.last_seen_ms = world->now.wall_ms - 60000;
        record.addrs[0].history.rtt_us = PC_RTT_UNKNOWN;
        step(&(struct pc_node_event){ .kind = PC_NODE_LOADED, .record = &record });
    }
    pc_node_status_of(world->node, world->now, &before);
    run_until(world->now.mono_us + 3600 * PC_US_PER_S);
    pc_node_status_of(world->node, world->now, &after);
    assert_in_range(after.tried - before.tried, 15, 35); /* one in two minutes, while there are new ones */
    stop();
}

/* What was learnt is saved and what others learnt is taken in: at first news, after half a minute, then every period; news
 * that come in between wait for the pause. */
static void saves_on_schedule_and_rarely_for_news(void **state)
{
    (void)state;
    make_world(200, 12, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.server = true;
    options.once = false;
    options.sources = &source;
    options.source_count = 1;
    options.refresh_period_us = 10 * PC_US_PER_S; /* walks bring news all the time */
    start(&options);
    int64_t started_us = world->now.mono_us;
    run_until(started_us + 25 * PC_US_PER_S);
    assert_in_range(world->commits, 1, 2); /* of the join */
    assert_int_equal(world->taken_in, 1);
    run_until(started_us + 35 * PC_US_PER_S);
    assert_int_equal(world->taken_in, 2);
    unsigned first = world->commits;
    run_until(started_us + 3600 * PC_US_PER_S);
    assert_in_range(world->commits - first, 8, 15); /* one in 5 min */
    assert_in_range(world->taken_in, world->commits - 2, world->commits + 1);
    unsigned taken_in = world->taken_in;
    stop();
    assert_true(world->saved);
    assert_int_equal(world->taken_in, taken_in); /* who leaves has no use for it */
}

static void the_save_period_is_kept_without_news(void **state)
{
    (void)state;
    make_world(10, 4, false);
    struct pc_node_options options = default_options(&self_peer);
    options.server = true;
    options.once = false;
    options.save_period_us = 100 * PC_US_PER_S;
    start(&options); /* alone: there is never anything to save */
    run_until(world->now.mono_us + 3000 * PC_US_PER_S);
    assert_int_equal(world->commits, 0);
    assert_in_range(world->taken_in, 26, 36);
    stop();
    assert_false(world->saved);
}

/* The network falls into two halves, long enough for each to forget the other, and heals: nobody tells us of the others,
 * but the cache remembers them. */
static void who_was_cut_off_is_found_again(void **state)
{
    (void)state;
    make_world(30, 8, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.server = true;
    options.once = false;
    options.sources = &source;
    options.source_count = 1;
    options.refresh_period_us = 60 * PC_US_PER_S;
    start(&options);
    run_until(world->now.mono_us + 600 * PC_US_PER_S);
    assert_int_equal(pc_node_table_count(world->node), 30);
    for (size_t i = 0; i < 30; i++) {
        size_t kept = 0;
        for (size_t j = 0; j < world->peers[i].neighbour_count; j++)
            if (world->peers[i].neighbours[j] % 2 == 0)
                world->peers[i].neighbours[kept++] = world->peers[i].neighbours[j];
        world->peers[i].neighbour_count = kept;
        world->peers[i].habit = i % 2 == 0 ? LIVES : SILENT;
    }
    run_until(world->now.mono_us + 4 * 3600 * PC_US_PER_S);
    assert_int_equal(pc_node_table_count(world->node), 15);
    for (size_t i = 0; i < 30; i++)
        world->peers[i].habit = LIVES;
    run_until(world->now.mono_us + 2 * 70 * PC_US_PER_S);
    assert_in_range(pc_node_table_count(world->node), 15 + PC_NODE_RECALLS, 30);
    run_until(world->now.mono_us + 600 * PC_US_PER_S);
    assert_int_equal(pc_node_table_count(world->node), 30);
    stop();
}

/* Of the cache come first: whoever is told of, and silent, does not keep those waiting. */
static void cached_peers_come_before_those_told_of(void **state)
{
    (void)state;
    make_world(60, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    struct pc_node_status status;
    for (size_t i = 1; i <= 20; i++) {
        world->peers[0].neighbours[world->peers[0].neighbour_count++] = i;
        world->peers[i].habit = SILENT;
    }
    options.server = true;
    options.once = false;
    options.sources = &source;
    options.source_count = 1;
    options.target = 1;
    start(&options);
    int64_t until_us = world->now.mono_us;
    while (!world->was_walked)
        run_until(until_us += PC_US_PER_S / 10);
    load_peers(30, 50); /* as another process has saved them */
    do {
        run_until(until_us += PC_US_PER_S / 10);
        pc_node_status_of(world->node, world->now, &status);
    } while (strcmp(status.phase, "living") != 0);
    assert_in_range(pc_node_table_count(world->node), 1, 1 + PC_NODE_RECALLS);
    run_until(until_us + PC_US_PER_S);
    assert_int_equal(pc_node_table_count(world->node), 1 + PC_NODE_RECALLS);
    stop();
}

/* The lookups of a refresh follow one another at once, also where nothing else happens that would step the node. */
static void a_refresh_in_a_quiet_network_is_soon_over(void **state)
{
    (void)state;
    live_among(2, 1, false);
    int64_t until_us = world->now.mono_us;
    unsigned walking = 0;
    for (int i = 0; i < 50; i++) {
        struct pc_node_status status;
        run_until(until_us += 7 * PC_US_PER_S);
        pc_node_status_of(world->node, world->now, &status);
        walking += strcmp(status.phase, "walking") == 0;
    }
    assert_in_range(walking, 0, 5); /* it is caught at it now and then */
    stop();
}

static void find(size_t peer)
{
    assert_true(pc_node_may_find(world->node));
    step(&(struct pc_node_event){ .kind = PC_NODE_FIND, .id = &world->peers[peer].id });
}

/* Peers far away are found by their ids alone, one after the other, whatever their network; who is gone, or nobody knows,
 * is told too. Nothing else comes to a halt meanwhile. */
static void peers_are_found_by_their_ids(void **state)
{
    (void)state;
    make_world(100, 20, false);
    world->peers[70].habit = FOREIGN;
    world->peers[71].habit = REFUSES;
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.server = true;
    options.once = false;
    options.sources = &source;
    options.source_count = 1;
    start(&options);
    struct pc_peer_id nobody = world->peers[7].id;
    nobody.bytes[20] ^= 1;
    for (size_t i = 60; i < 70; i++) /* asked for before it has joined */
        find(i);
    find(70);
    find(71);
    step(&(struct pc_node_event){ .kind = PC_NODE_FIND, .id = &nobody });
    run_until(world->now.mono_us + 900 * PC_US_PER_S);
    assert_int_equal(world->found, 13);
    for (size_t i = 0; i < 11; i++) {
        char expected[PEERCACHE_ADDR_TEXT_BYTES];
        assert_int_equal(pc_addr_format_with_id(pc_addr_maddr_bytes(&world->peers[60 + i].addr),
                                                &world->peers[60 + i].id, expected, sizeof(expected)),
                         0);
        assert_int_equal(world->found_code[i], PEERCACHE_OK);
        assert_string_equal(world->found_addr[i], expected);
    }
    assert_int_equal(world->found_code[11], PEERCACHE_REFUSED);
    assert_int_equal(world->found_code[12], PEERCACHE_UNREACHABLE);
    assert_true(pc_node_table_count(world->node) > 60);
    for (size_t i = 0; i < PC_NODE_FINDS_MAX; i++) {
        assert_true(pc_node_may_find(world->node));
        step(&(struct pc_node_event){ .kind = PC_NODE_FIND, .id = &nobody });
    }
    assert_false(pc_node_may_find(world->node));
    stop(); /* which ends them untold */
    assert_int_equal(world->found, 13);
}

/* A day of a node at rest: it asks rarely, and never spins. */
static void a_quiet_day_costs_little(void **state)
{
    (void)state;
    live_among(30, 8, false);
    run_until(world->now.mono_us + 3600 * PC_US_PER_S);
    uint64_t steps = world->steps;
    unsigned dials = world->dials;
    run_until(world->now.mono_us + 24 * INT64_C(3600) * PC_US_PER_S);
    print_message("# a quiet day: %llu steps, %u dials\n", (unsigned long long)(world->steps - steps),
                  world->dials - dials);
    assert_true(world->steps - steps < 100000);
    assert_true(world->dials - dials < 3000);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_table_fills, tear_down),
        cmocka_unit_test_teardown(no_group_holds_the_table, tear_down),
        cmocka_unit_test_teardown(who_falls_silent_leaves_the_table, tear_down),
        cmocka_unit_test_teardown(a_node_that_lost_all_joins_again, tear_down),
        cmocka_unit_test_teardown(one_of_many_that_comes_back_is_found, tear_down),
        cmocka_unit_test_teardown(an_island_finds_the_peer_that_was_given, tear_down),
        cmocka_unit_test_teardown(another_network_is_looked_at_at_once, tear_down),
        cmocka_unit_test_teardown(pushes_move_peers_of_the_table, tear_down),
        cmocka_unit_test_teardown(a_member_that_comes_as_a_client_leaves_the_table, tear_down),
        cmocka_unit_test_teardown(who_dials_us_while_we_dial_in_vain_stays_in_the_table, tear_down),
        cmocka_unit_test_teardown(changes_of_what_it_listens_on_are_announced, tear_down),
        cmocka_unit_test_teardown(a_replacement_that_serves_no_more_is_forgotten, tear_down),
        cmocka_unit_test_teardown(feelers_find_out_who_of_the_new_lives, tear_down),
        cmocka_unit_test_teardown(saves_on_schedule_and_rarely_for_news, tear_down),
        cmocka_unit_test_teardown(the_save_period_is_kept_without_news, tear_down),
        cmocka_unit_test_teardown(who_was_cut_off_is_found_again, tear_down),
        cmocka_unit_test_teardown(cached_peers_come_before_those_told_of, tear_down),
        cmocka_unit_test_teardown(a_refresh_in_a_quiet_network_is_soon_over, tear_down),
        cmocka_unit_test_teardown(peers_are_found_by_their_ids, tear_down),
        cmocka_unit_test_teardown(a_quiet_day_costs_little, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
