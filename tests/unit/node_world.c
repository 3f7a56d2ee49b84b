#include "node_world.h"

struct world *world;

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

struct pc_node_options default_options(const struct peer *self)
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
struct peer self_peer;

void make_world(size_t count, size_t degree, bool public_addresses)
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

struct pc_node_source source_of(const struct peer *peer)
{
    struct pc_node_source source = { .id = peer->id, .addr = peer->addr, .via = PEERCACHE_VIA_FLAG };
    return source;
}

struct pending *push(int64_t delay_us, enum pc_libp2p_event_kind kind, uint64_t connection, struct peer *peer)
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
    if (end->find_node) /* our own id, or a target of a refresh in the form of one */
        assert_in_range(action->key.size, 34, 38);
    if (peer->habit == LIAR) {
        end->event.kind = PC_LIBP2P_REQUEST_FAILED;
        end->event.outcome = PEERCACHE_MISBEHAVED;
    }
    if (peer->habit == MUTE || peer->habit == SILENT) { /* the latter since it was opened */
        assert_true(action->deadline_us >= world->now.mono_us);
        end->at_us = action->deadline_us;
        end->event.kind = PC_LIBP2P_REQUEST_FAILED;
        end->event.outcome = PEERCACHE_TIMEOUT;
    }
}

/* Who is asked to dial us back does, and says what came of it. */
static void on_probe(const struct pc_node_action *action)
{
    struct peer *peer = peer_of_connection(action->connection);
    assert_non_null(peer);
    assert_int_equal(action->addr_count, 1);
    world->probed = action->addrs[0];
    world->probes++;
    struct pending *end = push(LATENCY_US, PC_LIBP2P_PROBED, action->connection, peer);
    end->event.request = action->request;
    end->event.probe = world->probe;
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

/* What is told of each source adds up to what is told of all. A later report of one round may come while dials are under
 * way, which are in the total alone. */
static void check_sums(const peercache_join_report *r)
{
    uint32_t dialed = 0, failed = 0;
    for (int via = 0; via < PEERCACHE_VIA_COUNT; via++) {
        const peercache_source_report *source = &r->sources[via];
        uint32_t ended = 0;
        for (int code = 0; code < PEERCACHE_OUTCOME_COUNT; code++) {
            bool refused =
                code == PEERCACHE_DNS_FAILED || code == PEERCACHE_UNSUPPORTED || code == PEERCACHE_DENIED;
            ended += refused ? 0 : source->ended[code];
            failed += code == PEERCACHE_OK || code == PEERCACHE_CANCELLED ? 0 : source->ended[code];
        }
        assert_int_equal(source->dialed, ended);
        assert_int_equal(source->verified, source->ended[PEERCACHE_OK]);
        dialed += source->dialed;
    }
    for (size_t i = 0; i < r->failure_count; i++)
        failed += r->failures[i].code == PEERCACHE_CANCELLED;
    if (r->failure_count < 1000)
        assert_int_equal(failed, r->failed);
    if (r->status == PEERCACHE_JOINED || world->join_done_count == 1)
        assert_int_equal(dialed, r->dialed);
    else
        assert_true(dialed <= r->dialed);
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
        check_sums(event->report);
        break;
    case PEERCACHE_NODE_WALKED:
        world->was_walked = true;
        world->walked = event->count;
        break;
    case PEERCACHE_NODE_PONG:
        world->pongs++;
        world->code_count[event->dial->code]++;
        break;
    case PEERCACHE_NODE_FOUND:
        assert_in_range(world->found, 0, 99);
        world->found_code[world->found] = event->dial->code;
        (void)snprintf(world->found_addr[world->found++], PEERCACHE_ADDR_TEXT_BYTES, "%s", event->dial->addr);
        break;
    case PEERCACHE_NODE_FETCHED:
        world->fetched++;
        break;
    case PEERCACHE_NODE_WARNING:
        world->warnings++;
        break;
    case PEERCACHE_NODE_CRAWLED:
        assert_true(event->dial->addr[0] == '/' && event->dial->id[0] != '\0');
        assert_true(event->dial->code != PEERCACHE_OK || event->dial->rtt_us == LATENCY_US);
        world->crawled++;
        world->code_count[event->dial->code]++;
        world->crawl = *event->crawl;
        break;
    case PEERCACHE_NODE_CRAWL_DONE:
        assert_false(world->crawl_done);
        world->crawl_done = true;
        world->crawl = *event->crawl;
        if (event->crawl->agent_count > 0)
            (void)snprintf(world->agent, sizeof(world->agent), "%s", event->crawl->agents[0].text);
        break;
    case PEERCACHE_NODE_STOPPED:
        world->stopped = true;
        world->saved = event->saved;
        break;
    }
}

void step(const struct pc_node_event *event)
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
        case PC_NODE_PROBE:
            on_probe(&actions[i]);
            break;
        case PC_NODE_DIAL_BACK:
            world->dialled_back = actions[i].remote;
            world->data_bytes = actions[i].data_bytes;
            world->dials_back++;
            break;
        case PC_NODE_REFUSE_DIAL:
            world->refusal = actions[i].status;
            world->refusals++;
            break;
        case PC_NODE_ANNOUNCE:
            world->serves = actions[i].is_server;
            world->announced_count = actions[i].addr_count;
            memcpy(world->announced, actions[i].addrs, actions[i].addr_count * sizeof(*actions[i].addrs));
            world->announcements++;
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
        case PC_NODE_KEEP:
            world->kept_alive += actions[i].keep ? 1 : -1;
            break;
        case PC_NODE_KEEP_JOIN:
            world->kept_joins++;
            world->kept_verified = actions[i].count;
            break;
        case PC_NODE_COMMIT:
            assert_false(world->commit_out);
            world->commit_out = true;
            world->commits++;
            assert_in_range(actions[i].delta_count, 1, 1000);
            if (world->committed + actions[i].delta_count <= sizeof(world->deltas) / sizeof(world->deltas[0]))
                memcpy(&world->deltas[world->committed], actions[i].deltas,
                       actions[i].delta_count * sizeof(struct pc_delta));
            world->committed += actions[i].delta_count;
            memcpy(world->last_batch, actions[i].deltas, actions[i].delta_count * sizeof(struct pc_delta));
            world->last_batch_count = actions[i].delta_count;
            for (size_t j = 0; j < actions[i].delta_count; j++)
                world->blamed += actions[i].deltas[j].history.failure_count;
            break;
        case PC_NODE_TAKE_IN:
            world->taken_in++;
            break;
        case PC_NODE_SAVED:
            assert_false(world->commit_out); /* all of it is on the disk, or failed */
            world->saved_told++;
            world->saved_result = actions[i].result;
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
        identify.agent = pc_bytes_of("test/1", strlen("test/1"));
        if (world->peers_dial_back)
            identify.protocols[identify.protocol_count++] =
                pc_bytes_of(PC_PROTOCOL_DIAL, strlen(PC_PROTOCOL_DIAL));
        identify.observed_addr = pc_addr_maddr_bytes(&world->observed);
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

void run_until(int64_t until_us)
{
    uint64_t steps = 0;
    while (!world->stopped && happen(until_us))
        assert_true(++steps < 200000); /* a node that spins is a bug */
}

void start(const struct pc_node_options *options)
{
    assert_int_equal(pc_node_new(options, &world->node), 0);
    step(&(struct pc_node_event){ .kind = PC_NODE_LISTENING, .addr = pc_addr_maddr_bytes(&self_peer.addr) });
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
}

void run(const struct pc_node_options *options)
{
    start(options);
    run_until(PC_TIME_NEVER - 1);
    assert_true(world->stopped);
}

int tear_down(void **state)
{
    (void)state;
    if (world) {
        pc_node_free(world->node);
        free(world);
        world = NULL;
    }
    return 0;
}

void load_peers(size_t from, size_t to)
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

/* Run a node whose cache holds the peers [from, to). */
void run_with_cache(const struct pc_node_options *options, size_t from, size_t to)
{
    assert_int_equal(pc_node_new(options, &world->node), 0);
    load_peers(from, to);
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    run_until(PC_TIME_NEVER - 1);
}
