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
    bool fetch;
    bool resolve;
    uint64_t number; /* of the fetch or the question */
    size_t endpoint;
};

/* What an endpoint does: answers with some of the peers, or fails. */
struct endpoint {
    peercache_fetch result;
    size_t from, to; /* its peers */
    unsigned asked;
    unsigned kept;
    uint8_t breaker[PC_BREAKER_BYTES];
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
    struct endpoint endpoints[2];
    size_t resolves_to; /* the name's peer; SIZE_MAX: no name resolves */
    unsigned questions;
    unsigned kept_joins;
    uint32_t kept_verified;
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
    peercache_join_report report; /* its lists are gone */
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
        .dial_cached = true,
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
    world->resolves_to = SIZE_MAX;
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

/* A fetch or a question to a name server: answered after two latencies. */
static void on_question(const struct pc_node_action *action)
{
    assert_true(world->pending_count < sizeof(world->pending) / sizeof(world->pending[0]));
    assert_true(action->deadline_us > world->now.mono_us);
    struct pending *pending = &world->pending[world->pending_count++];
    memset(pending, 0, sizeof(*pending));
    pending->at_us = world->now.mono_us + 2 * LATENCY_US;
    pending->fetch = action->kind == PC_NODE_FETCH;
    pending->resolve = !pending->fetch;
    pending->number = action->number;
    pending->endpoint = action->endpoint;
    if (pending->fetch)
        world->endpoints[action->endpoint].asked++;
    else
        world->questions++;
}

static void on_cancel(bool fetch, uint64_t number)
{
    for (size_t i = 0; i < world->pending_count; i++)
        if ((fetch ? world->pending[i].fetch : world->pending[i].resolve) &&
            world->pending[i].number == number)
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
        world->report = *event->report;
        assert_true(event->report->peer_count <= event->report->verified); /* fewer: some dialled us */
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
            on_question(&actions[i]);
            break;
        case PC_NODE_CANCEL_FETCH:
        case PC_NODE_CANCEL_RESOLVE:
            on_cancel(actions[i].kind == PC_NODE_CANCEL_FETCH, actions[i].number);
            break;
        case PC_NODE_KEEP_ENDPOINT:
            world->endpoints[actions[i].endpoint].kept++;
            memcpy(world->endpoints[actions[i].endpoint].breaker, actions[i].breaker, PC_BREAKER_BYTES);
            break;
        case PC_NODE_KEEP_JOIN:
            world->kept_joins++;
            world->kept_verified = actions[i].count;
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

static void deliver_fetch(const struct pending *pending)
{
    static struct pc_endpoint_peer peers[PEERS_MAX];
    const struct endpoint *endpoint = &world->endpoints[pending->endpoint];
    struct pc_node_fetched fetched = {
        .number = pending->number, .endpoint = pending->endpoint, .result = endpoint->result, .peers = peers
    };
    for (size_t i = endpoint->from; endpoint->result == PEERCACHE_FETCH_OK && i < endpoint->to; i++)
        peers[fetched.peer_count++] =
            (struct pc_endpoint_peer){ .id = world->peers[i].id, .addr = world->peers[i].addr };
    step(&(struct pc_node_event){ .kind = PC_NODE_FETCHED, .fetched = &fetched });
}

static void deliver_resolved(const struct pending *pending)
{
    bool fails = world->resolves_to == SIZE_MAX;
    const struct pc_node_resolved resolved = { .number = pending->number,
                                               .outcome = fails ? PEERCACHE_DNS_FAILED : PEERCACHE_OK,
                                               .ips = fails ? NULL : &world->peers[world->resolves_to].at,
                                               .ip_count = !fails };
    step(&(struct pc_node_event){ .kind = PC_NODE_RESOLVED, .resolved = &resolved });
}

static void deliver(struct pending *pending)
{
    if (pending->fetch) {
        deliver_fetch(pending);
        return;
    }
    if (pending->resolve) {
        deliver_resolved(pending);
        return;
    }
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
    assert_int_equal(world->code_count[PEERCACHE_UNSUPPORTED], 1);
    assert_int_equal(world->code_count[PEERCACHE_DNS_FAILED], 1);
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
    assert_string_equal(world->cause, "denied");
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

/* ----- sources, endpoints and what goes wrong ----- */

/* Run a node whose cache holds the peers [from, to). */
static void run_with_cache(const struct pc_node_options *options, size_t from, size_t to)
{
    assert_int_equal(pc_node_new(options, &world->node), 0);
    load_peers(from, to);
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    run_until(PC_TIME_NEVER - 1);
}

static void an_empty_cache_is_filled_from_an_endpoint(void **state)
{
    (void)state;
    make_world(40, 0, true);
    struct pc_node_options options = default_options(&self_peer);
    options.mode = PC_NETGROUP_PUBLIC;
    options.endpoint_count = 2;
    world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_HTTP_ERROR };
    world->endpoints[1] = (struct endpoint){ .result = PEERCACHE_FETCH_OK, .from = 0, .to = 20 };
    run(&options);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_int_equal(world->elapsed_us, 4 * LATENCY_US); /* the answer, then a dial */
    assert_int_equal(world->via_count[PEERCACHE_VIA_ENDPOINT], 5);
    assert_int_equal(world->fetched, 2);
    const peercache_join_report *r = &world->report;
    assert_int_equal(r->sources[PEERCACHE_VIA_ENDPOINT].offered, 20);
    assert_int_equal(r->sources[PEERCACHE_VIA_ENDPOINT].verified, 5);
    assert_int_equal(r->endpoint_count, 2);
    assert_int_equal(r->metrics.fetches[PEERCACHE_FETCH_OK], 1);
    assert_int_equal(r->metrics.fetches[PEERCACHE_FETCH_HTTP_ERROR], 1);
    assert_int_equal(r->metrics.first_verified_us, 4 * LATENCY_US);
    assert_int_equal(r->metrics.fifth_verified_us, 4 * LATENCY_US);
    assert_null(r->cause);
    /* All are remembered, as new, from an endpoint. */
    size_t from_endpoint = 0;
    for (size_t i = 0; i < world->last_batch_count; i++)
        from_endpoint += world->last_batch[i].source == PEERCACHE_SOURCE_ENDPOINT;
    assert_int_equal(from_endpoint, 20);
    assert_int_equal(world->kept_joins, 0); /* the cache had no part in it */
}

static void a_good_memory_asks_no_endpoint(void **state)
{
    (void)state;
    make_world(60, 12, true);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source bootstrap = source_of(&world->peers[59]);
    bootstrap.via = PEERCACHE_VIA_ENDPOINT;
    options.mode = PC_NETGROUP_PUBLIC;
    options.endpoint_count = 1;
    options.last_verified = 5;
    options.sources = &bootstrap;
    options.source_count = 1;
    options.walk = false;
    run_with_cache(&options, 0, 40);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_int_equal(world->elapsed_us, 2 * LATENCY_US);
    assert_int_equal(world->endpoints[0].asked, 0);
    assert_int_equal(world->report.sources[PEERCACHE_VIA_ENDPOINT].offered, 0);
    assert_int_equal(world->report.metrics.cache_hits, 5);
    assert_int_equal(world->kept_joins, 1);
    assert_int_equal(world->kept_verified, 5);
}

/* Lesson 14: a stale cache made joining slower than none at all. */
static void a_stale_cache_is_no_slower_than_none(void **state)
{
    (void)state;
    int64_t took_us[2];
    for (int cached = 0; cached < 2; cached++) {
        make_world(100, 0, true);
        struct pc_node_options options = default_options(&self_peer);
        options.mode = PC_NETGROUP_PUBLIC;
        options.endpoint_count = 1;
        options.walk = false;
        world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_OK, .from = 80, .to = 100 };
        for (size_t i = 0; i < 80; i++)
            world->peers[i].habit = SILENT;
        run_with_cache(&options, 0, cached ? 80 : 0);
        assert_int_equal(world->status, PEERCACHE_JOINED);
        took_us[cached] = world->elapsed_us;
        assert_int_equal(world->kept_joins, cached);
        assert_int_equal(world->kept_verified, 0); /* so the next join waits for the cache no longer */
        tear_down(NULL);
    }
    assert_true(took_us[1] <= took_us[0] + 2 * LATENCY_US);
}

static void a_breaker_outlives_the_process(void **state)
{
    (void)state;
    uint8_t breaker[PC_BREAKER_BYTES];
    make_world(1, 0, true);
    struct pc_node_options options = default_options(&self_peer);
    options.once = false;
    options.endpoint_count = 1;
    options.timeout_us = 60 * PC_US_PER_S;
    world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_HTTP_ERROR };
    start(&options);
    run_until(world->now.mono_us + 150 * PC_US_PER_S);
    step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
    run_until(PC_TIME_NEVER - 1);
    assert_string_equal(world->cause, "endpoints_down");
    assert_true(world->endpoints[0].kept >= 5);
    assert_true(world->endpoints[0].asked >= 15); /* five fetches with their retries */
    memcpy(breaker, world->endpoints[0].breaker, sizeof(breaker));
    tear_down(NULL);

    make_world(1, 0, true);
    options.once = true;
    options.timeout_us = 5 * PC_US_PER_S;
    assert_int_equal(pc_node_new(&options, &world->node), 0);
    world->now.wall_ms += 150000;
    step(&(struct pc_node_event){
        .kind = PC_NODE_ENDPOINT, .endpoint = 0, .breaker = pc_bytes_of(breaker, sizeof(breaker)) });
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    run_until(PC_TIME_NEVER - 1);
    assert_int_equal(world->endpoints[0].asked, 0);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    assert_string_equal(world->cause, "endpoints_down");
    assert_true(world->report.endpoints != NULL && world->stopped);
}

/* Lesson 16: one failed round of all endpoints at start, and the node stayed alone for ever. */
static void a_node_that_failed_joins_once_something_answers(void **state)
{
    (void)state;
    make_world(30, 5, true);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.mode = PC_NETGROUP_PUBLIC;
    options.once = false;
    options.endpoint_count = 1;
    options.sources = &source;
    options.source_count = 1;
    world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_REFUSED };
    world->peers[0].habit = SILENT;
    start(&options);
    run_until(world->now.mono_us + 3600 * PC_US_PER_S);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    unsigned rounds = world->join_done_count;
    assert_true(rounds >= 3);
    assert_true(world->endpoints[0].asked < 400); /* its breaker is open most of the time */
    world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_OK, .from = 1, .to = 30 };
    run_until(world->now.mono_us + 2 * 3600 * PC_US_PER_S);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_true(world->join_done_count > rounds);
    assert_true(world->was_walked);
    assert_true(pc_node_table_count(world->node) > 5);
}

/* Lesson of a poisoned cache: all entries of one attacker's group, and wrong identities. */
static void a_poisoned_cache_does_not_keep_us_out(void **state)
{
    (void)state;
    make_world(60, 0, true);
    struct pc_node_options options = default_options(&self_peer);
    options.mode = PC_NETGROUP_PUBLIC;
    options.endpoint_count = 1;
    options.last_verified = 5;
    options.walk = false;
    world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_OK, .from = 50, .to = 60 };
    for (size_t i = 0; i < 50; i++) {
        world->peers[i].habit = IMPOSTOR;
        world->peers[i].at.ip[0] = 66;
        world->peers[i].at.ip[1] = 6;
        world->peers[i].at.ip[3] = (uint8_t)i;
        pc_addr_from_ip_port(&world->peers[i].at, &world->peers[i].addr);
    }
    run_with_cache(&options, 0, 50);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_true(world->elapsed_us <= PC_JOIN_STAGGER_MAX_US + 6 * LATENCY_US);
    /* What lied is out at once: it is removed, not merely marked. */
    size_t removed = 0;
    for (size_t i = 0; i < world->last_batch_count; i++)
        removed += world->last_batch[i].removed_ms > 0;
    assert_true(removed > 0);
    assert_int_equal(removed, world->code_count[PEERCACHE_WRONG_IDENTITY]);

    /* Without anybody honest the report says so. */
    tear_down(NULL);
    make_world(20, 0, true);
    for (size_t i = 0; i < 20; i++)
        world->peers[i].habit = IMPOSTOR;
    options.endpoint_count = 0;
    run_with_cache(&options, 0, 20);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    assert_string_equal(world->cause, "poisoned");
}

static void exclusive_dials_nobody_else(void **state)
{
    (void)state;
    make_world(40, 10, true);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[30]);
    options.mode = PC_NETGROUP_PUBLIC;
    options.sources = &source;
    options.source_count = 1;
    options.exclusive = true;
    options.endpoint_count = 1;
    world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_OK, .from = 0, .to = 20 };
    run_with_cache(&options, 0, 20);
    assert_int_equal(world->status, PEERCACHE_DEGRADED);
    assert_int_equal(world->dials, 1);
    assert_int_equal(world->endpoints[0].asked, 0);
    assert_true(world->was_walked);
}

static void networks_are_allowed_and_denied(void **state)
{
    (void)state;
    static struct pc_join_filter filter;
    for (int allowed = 0; allowed < 2; allowed++) {
        make_world(2, 0, true);
        struct pc_node_options options = default_options(&self_peer);
        struct pc_node_source sources[2];
        options.mode = PC_NETGROUP_PUBLIC;
        world->peers[0].at.ip[0] = 10; /* private */
        pc_addr_from_ip_port(&world->peers[0].at, &world->peers[0].addr);
        memset(&filter, 0, sizeof(filter));
        if (allowed)
            assert_int_equal(pc_join_filter_add(&filter, "10.0.0.0/8", true, NULL), 0);
        assert_int_equal(pc_join_filter_add(&filter, "16.0.0.0/4", false, NULL), 0);
        for (size_t i = 0; i < 2; i++)
            sources[i] = source_of(&world->peers[i]);
        options.sources = sources;
        options.source_count = 2;
        options.filter = &filter;
        run(&options);
        assert_int_equal(world->dials, allowed); /* peers[1] is 21.1.0.1 */
        assert_int_equal(world->verified, allowed);
        size_t stored = 0;
        for (size_t i = 0; i < world->last_batch_count; i++)
            stored += world->last_batch[i].history.success_count > 0;
        assert_int_equal(stored, allowed); /* what is allowed is remembered too */
        if (!allowed)
            assert_string_equal(world->cause, "denied");
        tear_down(NULL);
    }
}

static void a_name_is_resolved_and_dialled(void **state)
{
    (void)state;
    make_world(5, 0, true);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[3]);
    static char name[64];
    (void)snprintf(name, sizeof(name), "/dns4/peer.example/udp/%u/quic-v1", world->peers[3].at.port);
    assert_int_equal(pc_addr_maddr_parse(name, strlen(name), &source.addr, NULL), 0);
    options.mode = PC_NETGROUP_PUBLIC;
    options.sources = &source;
    options.source_count = 1;
    world->resolves_to = 3;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_DEGRADED);
    assert_int_equal(world->questions, 1);
    assert_int_equal(world->via_count[PEERCACHE_VIA_FLAG], 1);
    assert_int_equal(world->report.metrics.first_verified_us, 4 * LATENCY_US);
    assert_int_equal(world->report.local.questions, 1);
    tear_down(NULL);

    make_world(5, 0, true);
    run(&options);
    assert_string_equal(world->cause, "dns_failed");
    assert_int_equal(world->code_count[PEERCACHE_DNS_FAILED], 1);
}

/* No interface: nothing is dialled and nobody is blamed; a route that comes is used at once. */
static void offline_blames_nobody(void **state)
{
    (void)state;
    make_world(30, 5, true);
    struct pc_node_options options = default_options(&self_peer);
    options.mode = PC_NETGROUP_PUBLIC;
    options.once = false;
    assert_int_equal(pc_node_new(&options, &world->node), 0);
    load_peers(0, 20);
    step(&(struct pc_node_event){ .kind = PC_NODE_ROUTES });
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    run_until(world->now.mono_us + 100 * PC_US_PER_S);
    assert_int_equal(world->dials, 0);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    assert_string_equal(world->cause, "offline");
    assert_false(world->report.local.has_ip4 || world->report.local.has_ip6);
    int64_t back_us = world->now.mono_us;
    step(&(struct pc_node_event){ .kind = PC_NODE_ROUTES, .has_ip4 = true });
    run_until(back_us + 4 * LATENCY_US);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
    run_until(PC_TIME_NEVER - 1);
    for (size_t i = 0; i < world->last_batch_count; i++)
        assert_int_equal(world->last_batch[i].history.failure_count, 0);
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
        cmocka_unit_test_teardown(an_empty_cache_is_filled_from_an_endpoint, tear_down),
        cmocka_unit_test_teardown(a_good_memory_asks_no_endpoint, tear_down),
        cmocka_unit_test_teardown(a_stale_cache_is_no_slower_than_none, tear_down),
        cmocka_unit_test_teardown(a_breaker_outlives_the_process, tear_down),
        cmocka_unit_test_teardown(a_node_that_failed_joins_once_something_answers, tear_down),
        cmocka_unit_test_teardown(a_poisoned_cache_does_not_keep_us_out, tear_down),
        cmocka_unit_test_teardown(exclusive_dials_nobody_else, tear_down),
        cmocka_unit_test_teardown(networks_are_allowed_and_denied, tear_down),
        cmocka_unit_test_teardown(a_name_is_resolved_and_dialled, tear_down),
        cmocka_unit_test_teardown(offline_blames_nobody, tear_down),
        cmocka_unit_test_teardown(a_run_repeats_from_its_seed, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
