/*
 * node_step on virtual time, against a small network simulated at the seam above the wire: what is dialled
 * opens, refuses or stays silent after a latency, what is asked is answered from each peer's own neighbours.
 */
#include "check.h"

#include "base/time.h"
#include "node/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEERS_MAX  600
#define LATENCY_US 20000
#define KAD        "/test/kad/1.0.0"

enum habit {
    LIVES,
    SILENT,
    REFUSES,
    FOREIGN,  /* of another network */
    IMPOSTOR, /* proves another id */
    LIAR,     /* breaks the protocol when asked */
    MUTE,     /* opens, and never answers */
};

struct peer {
    struct pc_peer_id id;
    struct pc_ip_port at;
    struct pc_maddr addr;
    enum habit habit;
    size_t neighbours[20];
    size_t neighbour_count;
};

struct pending {
    int64_t at_us;
    struct pc_libp2p_event event;
    struct peer *peer;
    bool find_node;
    bool cancelled;
};

struct world {
    struct pc_node *node;
    peercache_time now;
    struct peer peers[PEERS_MAX];
    size_t peer_count;
    struct pending pending[4096];
    size_t pending_count;
    struct {
        uint64_t number;
        struct peer *peer;
    } open[PEERS_MAX];
    size_t open_count;
    bool commit_out;
    int commit_result;
    size_t committed; /* deltas */
    struct pc_delta last_batch[1000];
    size_t last_batch_count;
    /* what was told */
    bool done;
    peercache_join_status status;
    char cause[32];
    uint32_t verified, dialed, failed;
    int64_t elapsed_us;
    unsigned via_count[PEERCACHE_VIA_COUNT];
    unsigned code_count[PEERCACHE_OUTCOME_COUNT];
    unsigned join_done_count;
    uint32_t walked;
    bool was_walked;
    unsigned warnings;
    unsigned fetched;
    unsigned pongs;
    bool stopped, saved;
    unsigned closes;
    unsigned dials;
    size_t answer_count;
    bool answer_holds_asker;
    struct pc_peer_id asker;
    unsigned listening;
    size_t most_under_way;
    uint64_t steps;
    uint64_t stop_at_step; /* 0: never */
};

static struct world *world;

static void make_peer(struct peer *peer, uint32_t number, bool public_address)
{
    static const uint8_t head[] = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 };
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, 1000 + number);
    memset(peer, 0, sizeof(*peer));
    peer->id.size = 38;
    memcpy(peer->id.bytes, head, sizeof(head));
    pc_base_rng_bytes(&rng, peer->id.bytes + sizeof(head), 32);
    peer->at = (struct pc_ip_port){ .family = 4, .port = (uint16_t)(10000 + number) };
    if (public_address) {
        peer->at.ip[0] = (uint8_t)(20 + number % 100);
        peer->at.ip[1] = (uint8_t)(number / 100 + 1);
        peer->at.ip[3] = 1;
    } else {
        peer->at.ip[0] = 127;
        peer->at.ip[3] = 1;
    }
    pc_addr_from_ip_port(&peer->at, &peer->addr);
}

static struct pc_node_options default_options(const struct peer *self)
{
    struct pc_node_options options = {
        .own_id = self->id,
        .kad_protocol = KAD,
        .once = true,
        .walk = true,
        .save = true,
        .mode = PC_NETGROUP_LOCAL,
        .target = 5,
        .min = 1,
        .timeout_us = 10 * PC_US_PER_S,
    };
    pc_base_rng_init_u64(&options.rng, 5);
    return options;
}

/* A world of `count` peers, each knowing some others; peer 0 is not the node, whose id is that of number
 * 9999. */
static struct peer self_peer;

static void make_world(size_t count, size_t degree, bool public_addresses)
{
    struct pc_rng rng;
    free(world);
    world = calloc(1, sizeof(*world));
    assert_non_null(world);
    pc_base_rng_init_u64(&rng, 77);
    make_peer(&self_peer, 9999, public_addresses);
    world->now = (peercache_time){ .wall_ms = INT64_C(1700000000000), .mono_us = 1000 };
    world->peer_count = count;
    for (size_t i = 0; i < count; i++) {
        make_peer(&world->peers[i], (uint32_t)i, public_addresses);
        for (size_t j = 0; j < degree; j++)
            world->peers[i].neighbours[world->peers[i].neighbour_count++] = pc_base_rng_below(&rng, count);
    }
}

static struct pc_node_source source_of(const struct peer *peer)
{
    struct pc_node_source source = { .id = peer->id, .addr = peer->addr, .via = PEERCACHE_VIA_FLAG };
    return source;
}

static struct pending *push(int64_t delay_us, enum pc_libp2p_event_kind kind, uint64_t connection,
                            struct peer *peer)
{
    assert_true(world->pending_count < 4096);
    struct pending *pending = &world->pending[world->pending_count++];
    *pending = (struct pending){ .at_us = world->now.mono_us + delay_us, .peer = peer };
    pending->event =
        (struct pc_libp2p_event){ .kind = kind, .connection = connection, .proven_us = -1, .rtt_us = -1 };
    return pending;
}

static struct peer *peer_at(const struct pc_ip_port *at)
{
    for (size_t i = 0; i < world->peer_count; i++)
        if (pc_addr_ip_port_equal(&world->peers[i].at, at))
            return &world->peers[i];
    return NULL;
}

static struct peer *peer_of_connection(uint64_t number)
{
    for (size_t i = 0; i < world->open_count; i++)
        if (world->open[i].number == number)
            return world->open[i].peer;
    return NULL;
}

static void on_dial(const struct pc_node_action *action)
{
    struct peer *peer = peer_at(&action->remote);
    struct pending *end;
    int64_t until_deadline = action->deadline_us - world->now.mono_us;
    world->dials++;
    assert_true(until_deadline >= 0);
    if (!peer || peer->habit == SILENT) {
        end = push(until_deadline, PC_LIBP2P_FAILED, action->connection, peer);
        end->event.outcome = PEERCACHE_TIMEOUT;
    } else if (peer->habit == REFUSES) {
        end = push(LATENCY_US, PC_LIBP2P_FAILED, action->connection, peer);
        end->event.outcome = PEERCACHE_REFUSED;
    } else if (peer->habit == IMPOSTOR) {
        end = push(LATENCY_US, PC_LIBP2P_FAILED, action->connection, peer);
        end->event.outcome = PEERCACHE_WRONG_IDENTITY;
    } else {
        end = push(2 * LATENCY_US, PC_LIBP2P_OPENED, action->connection, peer);
        end->event.id = peer->id;
        end->event.remote = peer->at;
        end->event.rtt_us = LATENCY_US;
        end->event.proven_us = LATENCY_US;
    }
    size_t under_way = 0;
    for (size_t i = 0; i < world->pending_count; i++)
        if (!world->pending[i].cancelled && !world->pending[i].event.request)
            under_way++;
    if (under_way > world->most_under_way)
        world->most_under_way = under_way;
}

static void on_request(const struct pc_node_action *action)
{
    struct peer *peer = peer_of_connection(action->connection);
    assert_non_null(peer);
    struct pending *end = push(LATENCY_US, PC_LIBP2P_ANSWERED, action->connection, peer);
    end->event.request = action->request;
    end->event.rtt_us = LATENCY_US;
    end->find_node = action->kind == PC_NODE_FIND_NODE;
    if (end->find_node)
        assert_true(pc_bytes_equal(action->key, pc_addr_peer_id_bytes(&self_peer.id)));
    if (peer->habit == LIAR) {
        end->event.kind = PC_LIBP2P_REQUEST_FAILED;
        end->event.outcome = PEERCACHE_MISBEHAVED;
    }
    if (peer->habit == MUTE) {
        assert_true(action->deadline_us >= world->now.mono_us);
        end->at_us = action->deadline_us;
        end->event.kind = PC_LIBP2P_REQUEST_FAILED;
        end->event.outcome = PEERCACHE_TIMEOUT;
    }
}

static void on_close(uint64_t connection)
{
    world->closes++;
    for (size_t i = 0; i < world->pending_count; i++)
        if (world->pending[i].event.connection == connection)
            world->pending[i].cancelled = true;
}

static void on_tell(const peercache_node_event *event)
{
    switch (event->kind) {
    case PEERCACHE_NODE_LISTENING:
        world->listening++;
        break;
    case PEERCACHE_NODE_DIALING:
        assert_true(event->dial->addr[0] == '/');
        break;
    case PEERCACHE_NODE_VERIFIED:
        world->via_count[event->dial->via]++;
        assert_int_equal(event->dial->rtt_us, LATENCY_US);
        break;
    case PEERCACHE_NODE_UNJOINED:
        world->code_count[event->dial->code]++;
        break;
    case PEERCACHE_NODE_JOIN_DONE:
        world->done = true;
        world->join_done_count++;
        world->status = event->report->status;
        (void)snprintf(world->cause, sizeof(world->cause), "%s",
                       event->report->cause ? event->report->cause : "");
        world->verified = event->report->verified;
        world->dialed = event->report->dialed;
        world->failed = event->report->failed;
        world->elapsed_us = event->report->elapsed_us;
        assert_int_equal(event->report->peer_count, event->report->verified);
        for (size_t i = 0; i < event->report->failure_count; i++)
            assert_true(strlen(event->report->failures[i].addr) > 0);
        break;
    case PEERCACHE_NODE_WALKED:
        world->was_walked = true;
        world->walked = event->count;
        break;
    case PEERCACHE_NODE_PONG:
        world->pongs++;
        world->code_count[event->dial->code]++;
        break;
    case PEERCACHE_NODE_FETCHED:
        world->fetched++;
        break;
    case PEERCACHE_NODE_WARNING:
        world->warnings++;
        break;
    case PEERCACHE_NODE_STOPPED:
        world->stopped = true;
        world->saved = event->saved;
        break;
    }
}

static void step(const struct pc_node_event *event)
{
    const struct pc_node_action *actions;
    bool ended = false;
    size_t count = pc_node_step(world->node, world->now, event, &actions);
    assert_in_range(count, 0, PC_NODE_ACTIONS_MAX);
    world->steps++;
    for (size_t i = 0; i < count; i++) {
        assert_false(ended);
        switch (actions[i].kind) {
        case PC_NODE_DIAL:
            on_dial(&actions[i]);
            break;
        case PC_NODE_CLOSE:
            on_close(actions[i].connection);
            break;
        case PC_NODE_PING:
        case PC_NODE_FIND_NODE:
            on_request(&actions[i]);
            break;
        case PC_NODE_ANSWER:
            world->answer_count = actions[i].peer_count;
            for (size_t j = 0; j < actions[i].peer_count; j++)
                if (pc_addr_peer_id_equal(&actions[i].peers[j].id, &world->asker))
                    world->answer_holds_asker = true;
            break;
        case PC_NODE_FETCH:
        case PC_NODE_RESOLVE:
        case PC_NODE_CANCEL_FETCH:
        case PC_NODE_CANCEL_RESOLVE:
        case PC_NODE_KEEP_ENDPOINT:
        case PC_NODE_KEEP_JOIN:
            break;
        case PC_NODE_COMMIT:
            assert_false(world->commit_out);
            world->commit_out = true;
            world->committed += actions[i].delta_count;
            assert_in_range(actions[i].delta_count, 1, 1000);
            memcpy(world->last_batch, actions[i].deltas, actions[i].delta_count * sizeof(struct pc_delta));
            world->last_batch_count = actions[i].delta_count;
            break;
        case PC_NODE_TELL:
            on_tell(&actions[i].event);
            break;
        case PC_NODE_STOPPED:
            ended = true;
            break;
        }
    }
    assert_true(ended == world->stopped);
}

static void deliver(struct pending *pending)
{
    static struct pc_identify identify;
    static struct pc_kad_message kad;
    struct peer *peer = pending->peer;
    struct pc_libp2p_event event = pending->event;
    if (event.kind == PC_LIBP2P_OPENED) {
        memset(&identify, 0, sizeof(identify));
        const char *protocol = peer->habit == FOREIGN ? "/other/kad/1.0.0" : KAD;
        identify.protocols[identify.protocol_count++] = pc_bytes_of(protocol, strlen(protocol));
        identify.addrs[identify.addr_count++] = pc_addr_maddr_bytes(&peer->addr);
        event.identify = &identify;
        world->open[world->open_count].number = event.connection;
        world->open[world->open_count++].peer = peer;
    }
    if (event.kind == PC_LIBP2P_ANSWERED && pending->find_node) {
        memset(&kad, 0, sizeof(kad));
        for (size_t i = 0; i < peer->neighbour_count; i++) {
            struct peer *neighbour = &world->peers[peer->neighbours[i]];
            kad.peers[i].id = neighbour->id;
            kad.peers[i].addr_count = 1;
            kad.peers[i].addrs[0] = pc_addr_maddr_bytes(&neighbour->addr);
        }
        kad.peer_count = peer->neighbour_count;
        event.kad = &kad;
    }
    step(&(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = &event });
}

/* One thing that happens: whatever is due first. False when nothing ever will. */
static bool happen(int64_t until_us)
{
    if (world->stop_at_step && world->steps >= world->stop_at_step) {
        world->stop_at_step = 0;
        step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
        return true;
    }
    if (world->commit_out) {
        world->commit_out = false;
        step(&(struct pc_node_event){
            .kind = PC_NODE_COMMITTED, .result = world->commit_result, .text = "disk" });
        return true;
    }
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < world->pending_count; i++)
        if (!world->pending[i].cancelled &&
            (first == SIZE_MAX || world->pending[i].at_us < world->pending[first].at_us))
            first = i;
    int64_t wire_at = first == SIZE_MAX ? PC_TIME_NEVER : world->pending[first].at_us;
    int64_t deadline = pc_node_deadline(world->node);
    int64_t at = pc_base_time_min(wire_at, deadline);
    if (at > until_us)
        return false;
    if (at > world->now.mono_us) {
        world->now.wall_ms += (at - world->now.mono_us) / 1000;
        world->now.mono_us = at;
    }
    if (deadline <= wire_at) {
        step(&(struct pc_node_event){ .kind = PC_NODE_TIME });
    } else {
        struct pending pending = world->pending[first];
        world->pending[first] = world->pending[--world->pending_count];
        deliver(&pending);
    }
    return true;
}

static void run_until(int64_t until_us)
{
    uint64_t steps = 0;
    while (!world->stopped && happen(until_us))
        assert_true(++steps < 200000); /* a node that spins is a bug */
}

static void start(const struct pc_node_options *options)
{
    assert_int_equal(pc_node_new(options, &world->node), 0);
    step(&(struct pc_node_event){ .kind = PC_NODE_LISTENING, .addr = pc_addr_maddr_bytes(&self_peer.addr) });
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
}

static void run(const struct pc_node_options *options)
{
    start(options);
    run_until(PC_TIME_NEVER - 1);
    assert_true(world->stopped);
}

static int tear_down(void **state)
{
    (void)state;
    if (world) {
        pc_node_free(world->node);
        free(world);
        world = NULL;
    }
    return 0;
}

static void nothing_to_try_is_no_sources(void **state)
{
    (void)state;
    make_world(1, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    run(&options);
    assert_true(world->done);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    assert_string_equal(world->cause, "no_sources");
    assert_int_equal(world->dials, 0);
    assert_int_equal(world->listening, 1);
    assert_false(world->saved); /* nothing was there to save */
}

static void one_peer_is_enough_to_join_and_walk(void **state)
{
    (void)state;
    make_world(40, 12, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.sources = &source;
    options.source_count = 1;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_string_equal(world->cause, "");
    assert_int_equal(world->verified, 5);
    assert_int_equal(world->via_count[PEERCACHE_VIA_FLAG], 1);
    assert_int_equal(world->via_count[PEERCACHE_VIA_DHT], 4);
    /* One round trip to prove, one to verify, one to ask, two for the next. */
    assert_int_equal(world->elapsed_us, 5 * LATENCY_US);
    assert_true(world->was_walked);
    assert_in_range(world->walked, 20, 40);
    assert_true(world->saved);
    assert_in_range(pc_node_cache_count(world->node), 35, 40);
    assert_int_equal(world->failed, 0);
}

static void no_walk_stops_after_the_report(void **state)
{
    (void)state;
    make_world(40, 12, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.sources = &source;
    options.source_count = 1;
    options.walk = false;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_false(world->was_walked);
    assert_true(world->saved);
}

static void a_network_of_three_is_degraded_and_ends_when_exhausted(void **state)
{
    (void)state;
    make_world(3, 3, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.sources = &source;
    options.source_count = 1;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_DEGRADED);
    assert_true(world->elapsed_us < PC_US_PER_S);
}

static void silent_peers_are_timeouts_when_time_is_up(void **state)
{
    (void)state;
    make_world(3, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source sources[3];
    for (size_t i = 0; i < 3; i++) {
        world->peers[i].habit = SILENT;
        sources[i] = source_of(&world->peers[i]);
    }
    options.sources = sources;
    options.source_count = 3;
    options.timeout_us = 2 * PC_US_PER_S;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    assert_int_equal(world->code_count[PEERCACHE_TIMEOUT], 3);
    assert_int_equal(world->failed, 3);
    assert_int_equal(world->elapsed_us, 2 * PC_US_PER_S);
    /* Nobody answered at all: the fault may be ours, no failure is counted, but the attempts are. */
    for (size_t i = 0; i < world->last_batch_count; i++)
        assert_int_equal(world->last_batch[i].history.failure_count, 0);
}

static void failures_keep_their_code_and_others_go_on(void **state)
{
    (void)state;
    make_world(30, 6, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source sources[9];
    memset(sources, 0, sizeof(sources));
    world->peers[20].habit = REFUSES;
    world->peers[21].habit = FOREIGN;
    world->peers[22].habit = IMPOSTOR;
    world->peers[23].habit = SILENT;
    for (size_t i = 0; i < 30; i++) /* nobody tells of the bad ones, so that each is met once */
        for (size_t j = 0; j < world->peers[i].neighbour_count; j++)
            world->peers[i].neighbours[j] %= 20;
    for (size_t i = 0; i < 4; i++)
        sources[i] = source_of(&world->peers[20 + i]);
    sources[4] = source_of(&self_peer);
    static const char dnsaddr[] = "/dnsaddr/bootstrap.example.org";
    assert_int_equal(pc_addr_maddr_parse(dnsaddr, strlen(dnsaddr), &sources[5].addr, NULL), 0);
    static const char tcp[] = "/ip4/127.0.0.1/tcp/4001";
    assert_int_equal(pc_addr_maddr_parse(tcp, strlen(tcp), &sources[6].addr, NULL), 0);
    static const char zero[] = "/ip4/0.0.0.0/udp/4001/quic-v1";
    assert_int_equal(pc_addr_maddr_parse(zero, strlen(zero), &sources[7].addr, NULL), 0);
    sources[8] = source_of(&world->peers[1]);
    options.sources = sources;
    options.source_count = 9;
    options.target = 12;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_int_equal(world->code_count[PEERCACHE_REFUSED], 1);
    assert_int_equal(world->code_count[PEERCACHE_PROTOCOL_MISMATCH], 1);
    assert_int_equal(world->code_count[PEERCACHE_WRONG_IDENTITY], 1);
    assert_int_equal(world->code_count[PEERCACHE_UNSUPPORTED], 2);
    assert_int_equal(world->code_count[PEERCACHE_DENIED], 2);
    /* Neither the foreign peer nor we ourselves are remembered. */
    for (size_t i = 0; i < world->last_batch_count; i++) {
        const struct pc_delta *delta = &world->last_batch[i];
        assert_false(pc_addr_peer_id_equal(&delta->id, &self_peer.id));
        if (pc_addr_peer_id_equal(&delta->id, &world->peers[21].id))
            assert_int_equal(delta->history.success_count, 0);
    }
}

static void loopback_is_denied_without_local_mode(void **state)
{
    (void)state;
    make_world(1, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.sources = &source;
    options.source_count = 1;
    options.mode = PC_NETGROUP_PUBLIC;
    run(&options);
    assert_int_equal(world->code_count[PEERCACHE_DENIED], 1);
    assert_int_equal(world->dials, 0);
    assert_string_equal(world->cause, "");
}

static void load_peers(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        struct pc_record record = { .id = world->peers[i].id, .state = PEERCACHE_TRIED, .addr_count = 1 };
        record.addrs[0].addr = world->peers[i].addr;
        record.addrs[0].history.success_count = 3;
        record.addrs[0].history.last_seen_ms = world->now.wall_ms - 60000;
        record.addrs[0].history.last_success_ms = world->now.wall_ms - 60000;
        record.addrs[0].history.rtt_us = PC_RTT_UNKNOWN;
        record.addrs[0].source = PEERCACHE_SOURCE_DHT;
        step(&(struct pc_node_event){ .kind = PC_NODE_LOADED, .record = &record });
    }
}

static void a_loaded_cache_joins_without_sources(void **state)
{
    (void)state;
    make_world(60, 12, true);
    struct pc_node_options options = default_options(&self_peer);
    options.mode = PC_NETGROUP_PUBLIC;
    for (size_t i = 0; i < 20; i++)
        world->peers[i].habit = i % 2 ? REFUSES : SILENT;
    assert_int_equal(pc_node_new(&options, &world->node), 0);
    load_peers(0, 40);
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    run_until(PC_TIME_NEVER - 1);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_true(world->via_count[PEERCACHE_VIA_CACHE] > 0);
    assert_int_equal(world->via_count[PEERCACHE_VIA_FLAG], 0);
    assert_true(world->elapsed_us < 2 * PC_US_PER_S); /* the silent ones hold nobody up */
    assert_in_range(world->most_under_way, 1, 128 + 10);
    assert_true(world->saved);
}

static void silence_counts_when_others_answered_meanwhile(void **state)
{
    (void)state;
    make_world(3, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source sources[3];
    for (size_t i = 0; i < 3; i++) {
        world->peers[i].habit = i == 0 ? LIVES : SILENT;
        sources[i] = source_of(&world->peers[i]);
    }
    options.sources = sources;
    options.source_count = 3;
    options.timeout_us = 2 * PC_US_PER_S;
    assert_int_equal(pc_node_new(&options, &world->node), 0);
    load_peers(1, 3); /* only who is remembered can be counted against */
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    run_until(PC_TIME_NEVER - 1);
    assert_int_equal(world->status, PEERCACHE_DEGRADED);
    size_t failures = 0;
    for (size_t i = 0; i < world->last_batch_count; i++)
        failures += world->last_batch[i].history.failure_count;
    assert_int_equal(failures, 2);
}

static void a_live_cache_joins_in_two_round_trips(void **state)
{
    (void)state;
    make_world(60, 12, true);
    struct pc_node_options options = default_options(&self_peer);
    options.mode = PC_NETGROUP_PUBLIC;
    assert_int_equal(pc_node_new(&options, &world->node), 0);
    load_peers(0, 40);
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    run_until(PC_TIME_NEVER - 1);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    /* One to prove, one to verify; a join through one peer needs five, see above. */
    assert_int_equal(world->elapsed_us, 2 * LATENCY_US);
}

static void dials_under_way_are_given_up_at_the_target(void **state)
{
    (void)state;
    make_world(10, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source sources[10];
    for (size_t i = 0; i < 10; i++) {
        world->peers[i].habit = i < 5 ? LIVES : SILENT;
        sources[i] = source_of(&world->peers[i]);
    }
    options.sources = sources;
    options.source_count = 10;
    options.walk = false;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_int_equal(world->dialed, 10);
    assert_int_equal(world->failed, 0); /* given up is not failed */
    assert_int_equal(world->closes, 10);
}

static void a_liar_is_closed_and_the_join_goes_on(void **state)
{
    (void)state;
    make_world(20, 10, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source sources[2];
    world->peers[0].habit = LIAR;
    sources[0] = source_of(&world->peers[0]);
    sources[1] = source_of(&world->peers[1]);
    options.sources = sources;
    options.source_count = 2;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_true(world->was_walked);
}

static void a_question_without_answer_ends_with_the_join(void **state)
{
    (void)state;
    make_world(1, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    world->peers[0].habit = MUTE;
    options.sources = &source;
    options.source_count = 1;
    options.timeout_us = PC_US_PER_S;
    int64_t began = world->now.mono_us;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_DEGRADED);
    assert_int_equal(world->elapsed_us, PC_US_PER_S);
    assert_int_equal(world->now.mono_us - began, PC_US_PER_S); /* the walk's question too */
}

static void a_failed_commit_warns_and_is_not_saved(void **state)
{
    (void)state;
    make_world(20, 10, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.sources = &source;
    options.source_count = 1;
    world->commit_result = PEERCACHE_EFULL;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_true(world->warnings >= 1);
    assert_false(world->saved);
}

static void no_save_commits_nothing(void **state)
{
    (void)state;
    make_world(20, 10, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.sources = &source;
    options.source_count = 1;
    options.save = false;
    run(&options);
    assert_int_equal(world->committed, 0);
    assert_false(world->saved);
}

static void five_hundred_sources_stay_within_the_limits(void **state)
{
    (void)state;
    static struct pc_node_source sources[500];
    make_world(500, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    for (size_t i = 0; i < 500; i++) {
        world->peers[i].habit = i == 499 ? LIVES : REFUSES;
        sources[i] = source_of(&world->peers[i]);
    }
    options.sources = sources;
    options.source_count = 500;
    run(&options);
    assert_int_equal(world->verified, 1);
    assert_int_equal(world->failed, 499);
    assert_int_equal(world->code_count[PEERCACHE_REFUSED], 499);
    assert_in_range(world->most_under_way, 1, 10); /* nobody stalls */
}

static void a_server_learns_from_inbound_peers_and_answers(void **state)
{
    (void)state;
    make_world(40, 12, false);
    struct pc_node_options options = default_options(&self_peer);
    options.server = true;
    options.once = false;
    start(&options);
    run_until(world->now.mono_us + PC_US_PER_S);
    assert_string_equal(world->cause, "no_sources");
    struct pending *inbound = push(0, PC_LIBP2P_OPENED, PC_LIBP2P_INBOUND | 1, &world->peers[7]);
    inbound->event.id = world->peers[7].id;
    inbound->event.remote = world->peers[7].at;
    run_until(world->now.mono_us + 5 * PC_US_PER_S);
    /* Its first peer is a lonely node's way in: it looked itself up through it. */
    assert_true(world->was_walked);
    assert_in_range(pc_node_table_count(world->node), 13, 40);
    struct pc_libp2p_event asked = {
        .kind = PC_LIBP2P_ASKED,
        .connection = PC_LIBP2P_INBOUND | 1,
        .asked = 1,
        .id = world->peers[7].id,
        .key = pc_addr_peer_id_bytes(&world->peers[3].id),
    };
    world->asker = asked.id;
    step(&(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = &asked });
    assert_in_range(world->answer_count, 12, PC_KAD_PEERS_MAX);
    assert_false(world->answer_holds_asker);
    step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
    run_until(PC_TIME_NEVER - 1);
    assert_true(world->stopped);
    assert_true(world->saved);
}

static void a_lonely_server_tries_again(void **state)
{
    (void)state;
    make_world(20, 10, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.server = true;
    options.once = false;
    options.sources = &source;
    options.source_count = 1;
    world->peers[0].habit = REFUSES;
    start(&options);
    run_until(world->now.mono_us + 60 * PC_US_PER_S);
    assert_in_range(world->join_done_count, 2, 8);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    world->peers[0].habit = LIVES;
    run_until(world->now.mono_us + 400 * PC_US_PER_S);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    uint64_t steps = world->steps;
    run_until(world->now.mono_us + 3600 * PC_US_PER_S);
    assert_true(world->steps - steps < 2000); /* an hour of a node at rest */
    step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
    run_until(PC_TIME_NEVER - 1);
    assert_true(world->stopped);
}

static void stop_is_taken_at_every_step(void **state)
{
    (void)state;
    for (uint64_t at = 2; at < 120; at++) {
        make_world(40, 12, false);
        struct pc_node_options options = default_options(&self_peer);
        struct pc_node_source sources[3] = { source_of(&world->peers[0]), source_of(&world->peers[1]),
                                             source_of(&world->peers[2]) };
        world->peers[1].habit = SILENT;
        options.sources = sources;
        options.source_count = 3;
        world->stop_at_step = at;
        run(&options);
        assert_int_equal(world->join_done_count, 1); /* the report of the one join is owed, whatever comes */
        pc_node_free(world->node);
        world->node = NULL;
    }
}

static void a_join_that_is_stopped_reports_what_it_has(void **state)
{
    (void)state;
    make_world(40, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source sources[40];
    for (size_t i = 0; i < 40; i++) { /* more dials under way than one step has room to tell of */
        world->peers[i].habit = i == 0 ? LIVES : SILENT;
        sources[i] = source_of(&world->peers[i]);
    }
    options.sources = sources;
    options.source_count = 40;
    start(&options);
    run_until(3 * PC_US_PER_S);
    assert_false(world->done);
    int64_t began = world->now.mono_us;
    step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
    run_until(PC_TIME_NEVER - 1);
    assert_true(world->stopped && world->saved);
    assert_int_equal(world->now.mono_us, began);
    assert_int_equal(world->join_done_count, 1);
    assert_int_equal(world->status, PEERCACHE_DEGRADED);
    assert_int_equal(world->verified, 1);
    assert_int_equal(world->dialed, 1 + world->code_count[PEERCACHE_CANCELLED]);
    assert_true(world->code_count[PEERCACHE_CANCELLED] > PC_NODE_TELLS_MAX);
}

static void pings_are_a_second_apart(void **state)
{
    (void)state;
    make_world(1, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    world->peers[0].habit = FOREIGN; /* a ping asks for life, not for our network */
    options.sources = &source;
    options.source_count = 1;
    options.ping_count = 3;
    int64_t began = world->now.mono_us;
    run(&options);
    assert_int_equal(world->pongs, 3);
    assert_int_equal(world->code_count[PEERCACHE_OK], 3);
    assert_int_equal(world->now.mono_us - began, 2 * PC_US_PER_S + 3 * LATENCY_US);
}

static void ping_of_a_closed_port_ends_at_once(void **state)
{
    (void)state;
    make_world(1, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    world->peers[0].habit = REFUSES;
    options.sources = &source;
    options.source_count = 1;
    options.ping_count = 3;
    run(&options);
    assert_int_equal(world->pongs, 1);
    assert_int_equal(world->code_count[PEERCACHE_REFUSED], 1);
}

static void a_run_repeats_from_its_seed(void **state)
{
    (void)state;
    int64_t elapsed[2];
    uint64_t steps[2];
    for (size_t i = 0; i < 2; i++) {
        make_world(100, 12, false);
        struct pc_node_options options = default_options(&self_peer);
        struct pc_node_source source = source_of(&world->peers[0]);
        options.sources = &source;
        options.source_count = 1;
        run(&options);
        elapsed[i] = world->now.mono_us;
        steps[i] = world->steps;
        pc_node_free(world->node);
        world->node = NULL;
    }
    assert_true(elapsed[0] == elapsed[1]);
    assert_true(steps[0] == steps[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_to_try_is_no_sources, tear_down),
        cmocka_unit_test_teardown(one_peer_is_enough_to_join_and_walk, tear_down),
        cmocka_unit_test_teardown(no_walk_stops_after_the_report, tear_down),
        cmocka_unit_test_teardown(a_network_of_three_is_degraded_and_ends_when_exhausted, tear_down),
        cmocka_unit_test_teardown(silent_peers_are_timeouts_when_time_is_up, tear_down),
        cmocka_unit_test_teardown(silence_counts_when_others_answered_meanwhile, tear_down),
        cmocka_unit_test_teardown(failures_keep_their_code_and_others_go_on, tear_down),
        cmocka_unit_test_teardown(loopback_is_denied_without_local_mode, tear_down),
        cmocka_unit_test_teardown(a_loaded_cache_joins_without_sources, tear_down),
        cmocka_unit_test_teardown(a_live_cache_joins_in_two_round_trips, tear_down),
        cmocka_unit_test_teardown(dials_under_way_are_given_up_at_the_target, tear_down),
        cmocka_unit_test_teardown(a_liar_is_closed_and_the_join_goes_on, tear_down),
        cmocka_unit_test_teardown(a_question_without_answer_ends_with_the_join, tear_down),
        cmocka_unit_test_teardown(a_failed_commit_warns_and_is_not_saved, tear_down),
        cmocka_unit_test_teardown(no_save_commits_nothing, tear_down),
        cmocka_unit_test_teardown(five_hundred_sources_stay_within_the_limits, tear_down),
        cmocka_unit_test_teardown(a_server_learns_from_inbound_peers_and_answers, tear_down),
        cmocka_unit_test_teardown(a_lonely_server_tries_again, tear_down),
        cmocka_unit_test_teardown(stop_is_taken_at_every_step, tear_down),
        cmocka_unit_test_teardown(a_join_that_is_stopped_reports_what_it_has, tear_down),
        cmocka_unit_test_teardown(pings_are_a_second_apart, tear_down),
        cmocka_unit_test_teardown(ping_of_a_closed_port_ends_at_once, tear_down),
        cmocka_unit_test_teardown(a_run_repeats_from_its_seed, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
