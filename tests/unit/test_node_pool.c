/* The pool of connections (src/node/pool.h), at the seam of wire events: one node, and peers that open to it. */
#include "check.h"

#include "kad_peers.h"

#include "node/internal.h"

#define KAD     "/test/kad/1.0.0"
#define S       PC_US_PER_S
#define INBOUND PC_LIBP2P_INBOUND
#define OWN     500 /* the node's number as a peer */
#define LOW     8
#define HIGH    12

static struct pc_node *node;
static peercache_time now;
static uint64_t dialled;    /* the connection of the last DIAL */
static uint64_t closed[64]; /* CLOSE since the last look */
static size_t closed_count;
static uint64_t kept[64]; /* KEEP that holds */
static size_t kept_count;
static bool dial_opened;
static struct {
    uint64_t connection;
    uint64_t request;
    bool is_ping;
} asked[64]; /* requests of ours that nobody has answered */
static size_t asked_count;

static struct pc_ip_port address_of(unsigned group, unsigned host)
{
    return (struct pc_ip_port){ .family = 4,
                                .port = 4001,
                                .ip = { 51, (uint8_t)group, (uint8_t)(host >> 8), (uint8_t)host } };
}

static struct pc_maddr maddr_of(unsigned group, unsigned host)
{
    struct pc_ip_port at = address_of(group, host);
    struct pc_maddr addr;
    pc_addr_from_ip_port(&at, &addr);
    return addr;
}

static void note_keep(uint64_t connection, bool keep)
{
    for (size_t i = 0; i < kept_count; i++)
        if (kept[i] == connection) {
            assert_false(keep); /* it is told of changes only */
            kept[i] = kept[--kept_count];
            return;
        }
    assert_true(keep);
    kept[kept_count++] = connection;
}

static void take(const struct pc_node_action *action)
{
    if (action->kind == PC_NODE_DIAL)
        dialled = action->connection;
    if (action->kind == PC_NODE_CLOSE && (action->connection != dialled || dial_opened))
        closed[closed_count++] = action->connection;
    if (action->kind == PC_NODE_KEEP)
        note_keep(action->connection, action->keep);
    if (action->kind != PC_NODE_FIND_NODE && action->kind != PC_NODE_PING)
        return;
    asked[asked_count].connection = action->connection;
    asked[asked_count].is_ping = action->kind == PC_NODE_PING;
    asked[asked_count++].request = action->request;
}

static void step(const struct pc_node_event *event)
{
    const struct pc_node_action *actions;
    size_t count = pc_node_step(node, now, event, &actions);
    for (size_t i = 0; i < count; i++)
        take(&actions[i]);
}

static void answer_all(void);

/* Time goes on, and what was due on the way is done. */
static void pass(int64_t us)
{
    int64_t until_us = now.mono_us + us;
    answer_all();
    for (int64_t at_us; (at_us = pc_node_deadline(node)) <= until_us;) {
        now.mono_us = pc_base_time_max(now.mono_us, at_us);
        step(&(struct pc_node_event){ .kind = PC_NODE_TIME });
        answer_all();
    }
    now.mono_us = until_us;
}

/* A node that knows one peer to dial, number `peer`. */
static void make(uint32_t own, bool server, uint32_t peer)
{
    struct pc_node_source source = { .id = kad_id(peer),
                                     .addr = maddr_of(1, peer),
                                     .via = PEERCACHE_VIA_FLAG };
    struct pc_node_options options = {
        .own_id = kad_id(own),
        .kad_protocol = KAD,
        .server = server,
        .mode = PC_NETGROUP_PUBLIC,
        .target = 2, /* so that the dial goes on when the first peer came by itself */
        .min = 1,
        .timeout_us = 10 * S,
        .sources = &source,
        .source_count = 1,
        .connections_low = LOW,
        .connections_high = HIGH,
    };
    now = (peercache_time){ .wall_ms = INT64_C(1700000000000), .mono_us = 5 * S };
    dialled = 0;
    dial_opened = false;
    closed_count = kept_count = asked_count = 0;
    pc_base_rng_init_u64(&options.rng, 3);
    assert_int_equal(pc_node_new(&options, &node), 0);
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    assert_int_not_equal(dialled, 0);
}

static int drop(void **state)
{
    (void)state;
    pc_node_free(node);
    node = NULL;
    return 0;
}

/* A connection opens, of a server of our network or of a client. */
static void opens(uint64_t connection, uint32_t peer, unsigned group, bool is_server)
{
    struct pc_maddr addr = maddr_of(group, peer);
    static struct pc_identify identify;
    dial_opened |= connection == dialled;
    memset(&identify, 0, sizeof(identify));
    identify.protocols[identify.protocol_count++] =
        is_server ? pc_bytes_of(KAD, strlen(KAD)) : pc_bytes_of("/ipfs/id/1.0.0", 14);
    identify.addrs[identify.addr_count++] = pc_addr_maddr_bytes(&addr);
    const struct pc_libp2p_event wire = {
        .kind = PC_LIBP2P_OPENED,
        .connection = connection,
        .id = kad_id(peer),
        .remote = address_of(group, peer),
        .proven_us = 1000,
        .rtt_us = 1000,
        .identify = &identify,
    };
    step(&(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = &wire });
}

static void tell(enum pc_libp2p_event_kind kind, uint64_t connection)
{
    const struct pc_libp2p_event wire = {
        .kind = kind,
        .connection = connection,
        .outcome = PEERCACHE_OK,
        .proven_us = -1,
        .rtt_us = -1,
    };
    step(&(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = &wire });
}

/* All that was asked is answered, and what is asked then. */
static void answer_all(void)
{
    while (asked_count > 0) {
        asked_count--;
        uint64_t connection = asked[asked_count].connection, request = asked[asked_count].request;
        static const struct pc_kad_message nobody = { .type = PC_KAD_FIND_NODE };
        const struct pc_libp2p_event wire = { .kind = PC_LIBP2P_ANSWERED,
                                              .connection = connection,
                                              .request = request,
                                              .proven_us = -1,
                                              .rtt_us = 1000,
                                              .kad = asked[asked_count].is_ping ? NULL : &nobody };
        step(&(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = &wire });
    }
}

static bool was_closed(uint64_t connection)
{
    for (size_t i = 0; i < closed_count; i++)
        if (closed[i] == connection)
            return true;
    return false;
}

static uint64_t used_for(uint32_t peer)
{
    struct pc_peer_id id = kad_id(peer);
    const struct connection *connection = pc_node_pool_find(node, &id);
    return connection ? connection->number : 0;
}

/* The node dials a candidate for its table; returns the connection. */
static uint64_t probes(uint32_t peer)
{
    struct connection *connection = pc_node_connection_new(node, ++node->next_connection, FOR_PROBE);
    assert_non_null(connection);
    connection->id = kad_id(peer);
    connection->addr = maddr_of(1, peer);
    node->probe_count++;
    return connection->number;
}

/* ----- one connection a peer ----- */

/* Both dialled: whichever opens first, at the node with the smaller id and at the other. */
static void both_dial_and_the_smaller_ones_survives(void **state)
{
    for (unsigned i = 0; i < 4; i++) {
        bool we_are_smaller = i & 1;
        bool inbound_first = i & 2;
        uint32_t peer = we_are_smaller ? OWN + 1 : OWN - 1;
        make(OWN, true, 1);
        uint64_t ours = probes(peer);
        if (inbound_first)
            opens(INBOUND | 1, peer, 1, true);
        opens(ours, peer, 1, true);
        struct connection *dialled_one = pc_node_connection_find(node, ours);
        if (!inbound_first && dialled_one->request_count == 0) {
            struct request *request = pc_node_request_new(node, dialled_one, REQUEST_TEST);
            asked[asked_count].connection = ours;
            asked[asked_count].is_ping = true;
            asked[asked_count++].request = request->number;
        }
        if (!inbound_first)
            opens(INBOUND | 1, peer, 1, true);
        assert_int_equal(used_for(peer), we_are_smaller ? ours : INBOUND | 1);
        if (we_are_smaller || !inbound_first) /* something may be under way over it */
            assert_int_equal(closed_count, 0);
        if (we_are_smaller) { /* we did not dial the other: who did has his time to close it */
            pass(PC_POOL_DOUBLE_US - 1);
            assert_int_equal(closed_count, 0);
            pass(1);
            assert_true(was_closed(INBOUND | 1));
        } else { /* ours: as soon as it was answered */
            answer_all();
            assert_true(was_closed(ours));
        }
        assert_int_equal(closed_count, 1);
        assert_int_equal(node->pool.doubles, 1);
        drop(state);
    }
}

/* A peer that was started again does not know of the connection that we have. */
static void who_dials_again_has_lost_the_old_one(void **state)
{
    (void)state;
    make(OWN, true, OWN - 1);
    uint64_t ours = dialled;
    opens(ours, OWN - 1, 1, true);
    answer_all();
    pass(PC_JOIN_DIAL_TIMEOUT_US);
    answer_all();
    opens(INBOUND | 1, OWN - 1, 1, true);
    assert_int_equal(used_for(OWN - 1), INBOUND | 1);
    assert_true(was_closed(ours));

    /* By its own hand twice: the newer, and the older comes back when that is lost at once. */
    opens(INBOUND | 2, OWN - 1, 1, true);
    assert_int_equal(used_for(OWN - 1), INBOUND | 2);
    assert_false(was_closed(INBOUND | 1));
    tell(PC_LIBP2P_CLOSED, INBOUND | 2);
    assert_int_equal(used_for(OWN - 1), INBOUND | 1);
    pass(2 * PC_POOL_DOUBLE_US);
    assert_false(was_closed(INBOUND | 1));
    tell(PC_LIBP2P_CLOSED, INBOUND | 1);
    assert_int_equal(used_for(OWN - 1), 0);
    assert_int_equal(node->pool.open_count, 0);
}

/* Many of one peer go in any order, and none is left behind. */
static void the_last_of_many_is_used(void **state)
{
    static const unsigned orders[][4] = { { 1, 2, 3, 4 }, { 4, 3, 2, 1 }, { 2, 4, 1, 3 }, { 3, 1, 4, 2 } };
    for (size_t order = 0; order < 4; order++) {
        make(OWN, true, 1);
        for (unsigned i = 1; i <= 4; i++)
            opens(INBOUND | i, 77, 1, false);
        assert_int_equal(used_for(77), INBOUND | 4);
        for (unsigned i = 0; i < 4; i++) {
            tell(PC_LIBP2P_CLOSED, INBOUND | orders[order][i]);
            assert_int_equal(used_for(77) != 0, i < 3);
            assert_int_not_equal(used_for(77), INBOUND | orders[order][i]);
        }
        assert_int_equal(node->pool.open_count, 0);
        drop(state);
    }
}

/* ----- marks ----- */

static void above_the_high_mark_crowds_go_first(void **state)
{
    (void)state;
    make(OWN, true, 1);
    /* Three servers of the table, and ten clients, seven of which are of one network; the crowd was used last. */
    for (unsigned i = 0; i < 3; i++)
        opens(INBOUND | i, 100 + i, 10 + i, true);
    pass(S);
    for (unsigned i = 0; i < 3; i++)
        opens(INBOUND | (10 + i), 200 + i, 20 + i, false);
    pass(S);
    for (unsigned i = 0; i < 6; i++)
        opens(INBOUND | (20 + i), 300 + i, 30, false);
    pass(PC_POOL_GRACE_US + S);
    assert_int_equal(closed_count, 0); /* at the mark, not above it */
    opens(INBOUND | 26, 306, 30, false);
    pass(0);
    assert_int_equal(closed_count, 13 - LOW);
    assert_int_equal(node->pool.trimmed, 13 - LOW);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(was_closed(INBOUND | i));
        assert_false(was_closed(INBOUND | (10 + i)));
    }
    assert_false(was_closed(INBOUND | 26)); /* it is young */
    for (unsigned i = 0; i < 5; i++)
        assert_true(was_closed(INBOUND | (20 + i)));
    assert_int_equal(node->pool.open_count, LOW);
}

static void neighbours_go_last(void **state)
{
    (void)state;
    make(OWN, true, 1);
    for (unsigned i = 0; i < LOW; i++)
        opens(INBOUND | i, 100 + i, i, true);
    pass(PC_POOL_KEEP_GAP_US);
    assert_int_equal(kept_count, LOW);         /* all are neighbours in so small a table */
    for (unsigned i = 0; i <= HIGH - LOW; i++) /* a flood, which has no grace against them */
        opens(INBOUND | (50 + i), 200 + i, 100 + i, false);
    assert_int_equal(closed_count, HIGH + 1 - LOW);
    for (unsigned i = 0; i <= HIGH - LOW; i++)
        assert_true(was_closed(INBOUND | (50 + i)));
    for (unsigned i = LOW; i <= HIGH; i++)
        opens(INBOUND | i, 100 + i, i, true);
    pass(PC_POOL_TRIM_GAP_US);
    assert_int_equal(closed_count, 2 * (HIGH + 1 - LOW)); /* for want of others they go too */
    pass(PC_POOL_KEEP_GAP_US);
    assert_int_equal(kept_count, node->pool.open_count);
}

static void ends(enum pc_libp2p_event_kind kind, uint64_t connection, peercache_outcome outcome)
{
    const struct pc_libp2p_event wire = {
        .kind = kind, .connection = connection, .outcome = outcome, .proven_us = -1, .rtt_us = -1
    };
    step(&(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = &wire });
}

/* The connection over which a peer is being tested; 0: it is not. */
static uint64_t test_of(uint32_t peer)
{
    struct pc_peer_id id = kad_id(peer);
    const struct connection *connection = pc_node_connection_find(node, dialled);
    return connection && connection->is_test && pc_addr_peer_id_equal(&connection->id, &id) ? dialled : 0;
}

/* It may be leaving: that is found out at once, and looked into when it has; but not time and again of one that lives. */
static void a_neighbour_that_closes_is_tested(void **state)
{
    (void)state;
    make(OWN, true, 1);
    for (unsigned i = 0; i < LOW; i++)
        opens(INBOUND | i, 100 + i, i, true);
    pass(60 * S);
    assert_int_equal(node->phase, PHASE_LIVING);
    assert_int_equal(kept_count, LOW);

    ends(PC_LIBP2P_CLOSED, INBOUND | 0, PEERCACHE_OK);
    uint64_t test = test_of(100);
    assert_int_not_equal(test, 0);
    kept_count--; /* of a connection that is gone nothing is told */
    kept[0] = kept[kept_count];
    opens(test, 100, 0, true);
    pass(PC_POOL_KEEP_GAP_US);
    ends(PC_LIBP2P_CLOSED, test, PEERCACHE_OK);
    dialled = 0;
    step(&(struct pc_node_event){ .kind = PC_NODE_TIME });
    assert_int_equal(test_of(100), 0);

    ends(PC_LIBP2P_CLOSED, INBOUND | 1, PEERCACHE_TIMEOUT); /* silence: it may be ours */
    assert_int_equal(test_of(101), 0);

    struct pc_peer_id gone = kad_id(102);
    ends(PC_LIBP2P_CLOSED, INBOUND | 2, PEERCACHE_OK);
    assert_int_not_equal(test_of(102), 0);
    ends(PC_LIBP2P_FAILED, dialled, PEERCACHE_REFUSED);
    assert_null(pc_kad_table_find(node->table, &gone));
    assert_true(pc_kad_schedule_due_us(&node->schedule) <= now.mono_us + PC_KAD_SOON_US);
}

/* Over which something of ours is under way, or that was used lately. */
static void what_is_at_work_stays(void **state)
{
    (void)state;
    make(OWN, true, 1);
    for (unsigned i = 0; i < HIGH; i++)
        opens(INBOUND | i, 100 + i, i, false);
    pass(PC_POOL_GRACE_US);
    tell(PC_LIBP2P_ASKED, INBOUND | 0); /* the oldest, and it asks */
    struct pc_peer_id id = kad_id(101);
    struct connection *busy = pc_node_pool_find(node, &id);
    struct request *request = pc_node_request_new(node, busy, REQUEST_TEST);
    assert_non_null(request);
    opens(INBOUND | HIGH, 100 + HIGH, HIGH, false);
    assert_int_equal(closed_count, HIGH + 1 - LOW);
    assert_false(was_closed(INBOUND | 0));
    assert_false(was_closed(INBOUND | 1));
    assert_false(was_closed(INBOUND | HIGH));
}

/* ----- need ----- */

static void a_client_keeps_nobody(void **state)
{
    (void)state;
    make(OWN, false, 1);
    opens(dialled, 1, 1, true);
    pass(2 * PC_POOL_KEEP_GAP_US);
    assert_int_equal(pc_node_table_count(node), 1);
    assert_int_equal(kept_count, 0);
    for (unsigned i = 0; i < 2; i++) { /* one that finds out that it can be reached, and then that it can't */
        node->serves = i == 0;
        pc_node_pool_table_changed(node);
        pass(2 * PC_POOL_KEEP_GAP_US);
        assert_int_equal(kept_count, i == 0);
    }
}

static void a_server_keeps_the_closest(void **state)
{
    (void)state;
    struct pc_peer_id own = kad_id(OWN);
    struct pc_kad_key own_key = pc_kad_key_of_peer(&own);
    const struct pc_kad_entry *closest[PC_KAD_K];
    make(OWN, true, 1);
    for (unsigned i = 0; i < 40; i++) {
        opens(INBOUND | i, 100 + i, i, true);
        pass(PC_POOL_KEEP_GAP_US / 4);
    }
    pass(PC_POOL_KEEP_GAP_US);
    size_t count = pc_kad_table_closest(node->table, &own_key, closest, PC_KAD_K);
    size_t connected = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t number = used_for(kad_number(&closest[i]->id));
        bool is_kept = false;
        for (size_t j = 0; j < kept_count; j++)
            is_kept |= kept[j] == number;
        assert_int_equal(is_kept, number != 0);
        connected += number != 0;
    }
    assert_true(connected > 0);
    assert_int_equal(node->pool.neighbour_count, connected);

    /* One that goes is no neighbour's connection any more. */
    struct pc_peer_id gone = closest[0]->id;
    uint64_t number = used_for(kad_number(&gone));
    pc_node_table_remove(node, &gone);
    pass(PC_POOL_KEEP_GAP_US);
    for (size_t i = 0; number && i < kept_count; i++)
        assert_int_not_equal(kept[i], number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_dial_and_the_smaller_ones_survives),
        cmocka_unit_test_teardown(who_dials_again_has_lost_the_old_one, drop),
        cmocka_unit_test(the_last_of_many_is_used),
        cmocka_unit_test_teardown(above_the_high_mark_crowds_go_first, drop),
        cmocka_unit_test_teardown(neighbours_go_last, drop),
        cmocka_unit_test_teardown(a_neighbour_that_closes_is_tested, drop),
        cmocka_unit_test_teardown(what_is_at_work_stays, drop),
        cmocka_unit_test_teardown(a_client_keeps_nobody, drop),
        cmocka_unit_test_teardown(a_server_keeps_the_closest, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
