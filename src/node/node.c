/* The node's step function: events to their phase, then the pump. See node.h for the life of a node. */
#include "node/internal.h"

#include "base/fsm.h"

#include <peercache/peercache.h>

#include <assert.h>
#include <stdlib.h>

static const uint32_t allowed_moves[] = {
    [PHASE_IDLE] = PC_FSM_TO(PHASE_JOINING) | PC_FSM_TO(PHASE_PINGING) | PC_FSM_TO(PHASE_STOPPING),
    [PHASE_JOINING] = PC_FSM_TO(PHASE_WALKING) | PC_FSM_TO(PHASE_LIVING) | PC_FSM_TO(PHASE_CRAWLING) |
                      PC_FSM_TO(PHASE_STOPPING),
    [PHASE_WALKING] = PC_FSM_TO(PHASE_LIVING) | PC_FSM_TO(PHASE_STOPPING),
    [PHASE_LIVING] = PC_FSM_TO(PHASE_JOINING) | PC_FSM_TO(PHASE_WALKING) | PC_FSM_TO(PHASE_STOPPING),
    [PHASE_PINGING] = PC_FSM_TO(PHASE_STOPPING),
    [PHASE_CRAWLING] = PC_FSM_TO(PHASE_STOPPING),
    [PHASE_STOPPING] = PC_FSM_TO(PHASE_STOPPED),
    [PHASE_STOPPED] = 0,
};

void pc_node_move(struct pc_node *node, enum node_phase next)
{
    pc_base_fsm_move(allowed_moves, &node->phase, next);
}

static struct pc_bytes connection_number_key(const struct pc_map_node *n)
{
    const struct connection *connection = PC_CONST_CONTAINER_OF(n, struct connection, by_number);
    return pc_bytes_of(connection->key.bytes, sizeof(connection->key.bytes));
}

static struct pc_bytes connection_id_key(const struct pc_map_node *n)
{
    const struct connection *connection = PC_CONST_CONTAINER_OF(n, struct connection, by_id);
    return pc_addr_peer_id_bytes(&connection->id);
}

static struct pc_bytes request_number_key(const struct pc_map_node *n)
{
    const struct request *request = PC_CONST_CONTAINER_OF(n, struct request, by_number);
    return pc_bytes_of(request->key.bytes, sizeof(request->key.bytes));
}

int pc_node_new(const struct pc_node_options *options, struct pc_node **ret_node)
{
    if (options->endpoint_count > PC_JOIN_ENDPOINTS_MAX ||
        options->announce_count > PC_LIBP2P_LISTEN_ADDRS_MAX)
        return PEERCACHE_EINVAL;
    struct pc_node *node = calloc(1, sizeof(*node));
    if (!node)
        return PEERCACHE_ENOMEM;
    uint8_t secret[16];
    int result = PEERCACHE_ENOMEM;
    node->options = *options;
    node->rng = options->rng;
    pc_base_rng_bytes(&node->rng, secret, sizeof(secret));
    pc_base_map_init(&node->connections, connection_number_key, secret);
    pc_base_map_init(&node->open_by_id, connection_id_key, secret);
    pc_base_map_init(&node->requests, request_number_key, secret);
    node->phase = PHASE_IDLE;
    node->answered_at_us = INT64_MIN;
    node->rejoin_at_us = PC_TIME_NEVER;
    node->rejoin_pause_us = PC_NODE_REJOIN_FIRST_US;
    node->walk_deadline_us = PC_TIME_NEVER;
    node->feeler_at_us = PC_TIME_NEVER;
    pc_node_pool_init(&node->pool, &options->own_id);
    if (options->connections_high == 0) {
        node->options.connections_low = PC_POOL_LOW;
        node->options.connections_high = PC_POOL_HIGH;
    }
    pc_kad_schedule_init(&node->schedule, options->refresh_period_us);
    pc_kad_targets_init(&node->targets, &options->own_id, &node->rng);
    node->ping_at_us = PC_TIME_NEVER;
    node->commit_at_us = PC_TIME_NEVER;
    node->commit_from_us = INT64_MIN;
    node->has_ip4 = true;
    node->has_ip6 = true;
    if (options->filter)
        node->filter = *options->filter;
    node->options.filter = NULL;
    for (size_t i = 0; i < options->endpoint_count; i++)
        node->kept_endpoints[i].source = options->endpoint_sources ? options->endpoint_sources[i] : i;
    node->options.endpoint_sources = NULL;
    if (options->announce_count > 0)
        memcpy(node->announce, options->announce, options->announce_count * sizeof(*options->announce));
    node->announce_count = options->announce_count;
    node->options.announce = NULL;

    node->kad_protocol = strdup(options->kad_protocol);
    node->sources = calloc(options->source_count + 1, sizeof(*node->sources));
    if (!node->kad_protocol || !node->sources)
        goto free_node;
    if (options->source_count > 0)
        memcpy(node->sources, options->sources, options->source_count * sizeof(*node->sources));
    node->options.sources = node->sources;
    node->options.kad_protocol = node->kad_protocol;

    struct pc_cache_set_options set_options = {
        .peers_max = options->peers_max ? options->peers_max : PC_CACHE_SET_DEFAULT_PEERS,
        .mode = options->mode,
        .own_id = options->own_id,
        .memory_only = !options->save,
        .source_limit = { PEERCACHE_SOURCE_BURST_DEFAULT, PEERCACHE_SOURCE_PER_MIN_DEFAULT },
        .total_limit = { PEERCACHE_TOTAL_BURST_DEFAULT, PEERCACHE_TOTAL_PER_MIN_DEFAULT },
    };
    for (size_t i = 0; i < node->filter.count; i++)
        set_options.admits_private |= node->filter.networks[i].allowed;
    memcpy(set_options.secret, options->secret, sizeof(set_options.secret));
    result = pc_cache_set_new(&set_options, &node->set);
    if (result)
        goto free_node;
    struct pc_kad_table_options table_options = {
        .own_id = options->own_id,
        .bucket_group_max = options->bucket_group_max ? options->bucket_group_max : PC_KAD_BUCKET_GROUP_MAX,
        .table_group_max = options->table_group_max ? options->table_group_max : PC_KAD_TABLE_GROUP_MAX,
        .keys = &node->keys,
    };
    memcpy(table_options.secret, secret, sizeof(table_options.secret));
    result = pc_kad_table_new(&table_options, &node->table);
    if (result)
        goto free_node;
    if (options->automatic || (options->server && options->mode == PC_NETGROUP_PUBLIC)) {
        result = PEERCACHE_ENOMEM;
        node->reach = malloc(sizeof(*node->reach));
        if (!node->reach)
            goto free_node;
        pc_reach_init(node->reach);
    }
    result =
        pc_kad_candidates_new(&options->own_id, PC_KAD_CANDIDATES_PER_GROUP, &node->keys, &node->candidates);
    if (result)
        goto free_node;
    if (options->crawl_concurrency > 0) {
        node->options.once = true;
        result = pc_node_crawl_new(node, secret);
        if (result)
            goto free_node;
    }
    node->dial_back_credit_us = PC_NODE_DIALS_BACK_BURST * PC_NODE_DIAL_BACK_EVERY_US;
    node->announce_due = true;
    for (size_t i = 0; i < node->announce_count; i++)
        pc_node_own_addr(node, &node->announce[i]);
    *ret_node = node;
    return 0;

free_node:
    pc_node_free(node);
    return result;
}

void pc_node_free(struct pc_node *node)
{
    if (!node)
        return;
    for (struct pc_map_node *n = pc_base_map_next(&node->requests, NULL), *next; n; n = next) {
        next = pc_base_map_next(&node->requests, n);
        pc_node_request_drop(node, PC_CONTAINER_OF(n, struct request, by_number));
    }
    for (struct pc_map_node *n = pc_base_map_next(&node->connections, NULL), *next; n; n = next) {
        next = pc_base_map_next(&node->connections, n);
        pc_node_connection_drop(node, PC_CONTAINER_OF(n, struct connection, by_number));
    }
    pc_base_map_deinit(&node->requests);
    pc_base_map_deinit(&node->open_by_id);
    pc_base_map_deinit(&node->connections);
    pc_node_dial_list_clear(&node->verified_dials);
    pc_node_dial_list_clear(&node->failed_dials);
    pc_plan_free(node->plan);
    pc_kad_lookup_free(node->lookup);
    pc_node_crawl_free(node->crawling);
    pc_kad_candidates_free(node->candidates);
    pc_kad_table_free(node->table);
    pc_cache_set_free(node->set);
    free(node->reach);
    free(node->sources);
    free(node->kad_protocol);
    free(node);
}

int64_t pc_node_jittered(struct pc_node *node, int64_t us)
{
    int64_t spread = us / 4;
    return us - spread / 2 + (int64_t)pc_base_rng_below(&node->rng, (uint64_t)spread + 1);
}

/* Who lost all its peers joins again, unless the plan of the join tries by itself. */
static void schedule_rejoin(struct pc_node *node)
{
    if (pc_kad_table_count(node->table) > 0 && node->plan) { /* there is none where memory was out */
        node->rejoin_pause_us = PC_NODE_REJOIN_FIRST_US;
        node->rejoin_at_us = PC_TIME_NEVER;
        return;
    }
    if (node->rejoin_at_us != PC_TIME_NEVER)
        return;
    if (node->options.source_count == 0 && node->options.endpoint_count == 0 &&
        pc_cache_set_count(node->set) == 0)
        return; /* nobody to ask: the first peer that finds us is our way in */
    if (node->plan && pc_plan_deadline(node->plan) != PC_TIME_NEVER)
        return;
    node->rejoin_at_us = pc_base_time_add(node->now.mono_us, pc_node_jittered(node, node->rejoin_pause_us));
    node->rejoin_pause_us = pc_base_time_min(2 * node->rejoin_pause_us, PC_NODE_REJOIN_MAX_US);
}

void pc_node_live(struct pc_node *node)
{
    pc_node_move(node, PHASE_LIVING);
    schedule_rejoin(node);
}

void pc_node_begin_stop(struct pc_node *node)
{
    if (node->phase == PHASE_STOPPING || node->phase == PHASE_STOPPED)
        return;
    if (node->phase == PHASE_JOINING && node->options.once && !node->report_told) {
        node->stop_wanted = true; /* the pump tells what came of the join, and stops then */
        return;
    }
    if (node->crawling && pc_node_crawl_stop(node))
        return;
    pc_node_move(node, PHASE_STOPPING);
    pc_node_save_at_stop(node);
    for (struct pc_map_node *n = pc_base_map_next(&node->connections, NULL); n;
         n = pc_base_map_next(&node->connections, n))
        pc_node_connection_cancel(node, PC_CONTAINER_OF(n, struct connection, by_number));
}

static void begin_refresh(struct pc_node *node)
{
    pc_kad_schedule_begin(&node->schedule, node->now.mono_us);
    node->refresh.bucket_count = 0; /* chosen once we know how near our neighbours are */
    pc_node_recall(node, PC_NODE_RECALLS);
    node->refreshed_buckets = 0;
    pc_node_move(node, PHASE_WALKING);
    pc_node_walk_begin(node, pc_base_time_add(node->now.mono_us, PC_NODE_WALK_MAX_US));
}

void pc_node_join_end(struct pc_node *node)
{
    bool anybody = node->report.verified > 0;
    pc_node_save_news(node);
    if (node->crawling) {
        pc_node_move(node, PHASE_CRAWLING);
        pc_node_crawl_begin(node);
    } else if (node->options.walk && anybody && !node->options.once) {
        begin_refresh(node);
    } else if (node->options.walk && anybody) {
        pc_node_move(node, PHASE_WALKING);
        pc_node_walk_begin(node, pc_base_time_add(node->join_started_us, node->options.timeout_us));
    } else if (node->options.once) {
        pc_node_begin_stop(node);
    } else {
        pc_node_live(node);
    }
}

void pc_node_after_walk(struct pc_node *node)
{
    pc_node_save_news(node);
    if (node->options.once) {
        pc_node_begin_stop(node);
        return;
    }
    pc_kad_schedule_ended(&node->schedule, &node->rng, node->now.mono_us);
    pc_node_live(node);
}

static void on_listening(struct pc_node *node, struct pc_bytes addr)
{
    if (node->own_addr_count == PC_LIBP2P_LISTEN_ADDRS_MAX ||
        pc_addr_maddr_from_bytes(addr, &node->own_addrs[node->own_addr_count]))
        return;
    pc_node_own_addr(node, &node->own_addrs[node->own_addr_count++]);
    node->announce_due = true;
}

static void on_loaded(struct pc_node *node, const struct pc_record *record)
{
    for (size_t i = 0; i < record->addr_count; i++)
        node->newest_success_ms =
            pc_base_time_max(node->newest_success_ms, record->addrs[i].history.last_success_ms);
    if (pc_cache_set_load(node->set, record, node->now.wall_ms) == PEERCACHE_ENOMEM)
        pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: a cached peer is not used");
}

static void on_endpoint(struct pc_node *node, const struct pc_node_event *event)
{
    assert(event->endpoint < node->options.endpoint_count && event->breaker.size == PC_BREAKER_BYTES);
    struct kept_endpoint *kept = &node->kept_endpoints[event->endpoint];
    kept->has_breaker = true;
    memcpy(kept->breaker, event->breaker.data, sizeof(kept->breaker));
}

static void pump_cancelled(struct pc_node *node)
{
    while (node->cancelled_first && pc_node_has_room(node, 0)) {
        struct connection *connection = node->cancelled_first;
        pc_node_act(node, PC_NODE_CLOSE)->connection = connection->number;
        pc_node_connection_gone(node, connection);
    }
}

static void pump_stop(struct pc_node *node)
{
    if (!pc_node_is_saved(node) || node->cancelled_first || node->unfinished || !pc_node_has_room(node, 0))
        return;
    pc_node_tell(node, &(peercache_node_event){ .kind = PEERCACHE_NODE_STOPPED,
                                                .saved = node->committed_any && !node->commit_failed });
    pc_node_act(node, PC_NODE_STOPPED);
    pc_node_move(node, PHASE_STOPPED);
}

static void pump_living(struct pc_node *node)
{
    schedule_rejoin(node);
    if (node->now.mono_us >= node->rejoin_at_us) {
        pc_node_move(node, PHASE_JOINING);
        pc_node_join_begin(node);
    } else if (pc_kad_table_count(node->table) > 0 &&
               node->now.mono_us >= pc_kad_schedule_due_us(&node->schedule)) {
        begin_refresh(node);
    } else if (!pc_node_find_begin(node)) {
        pc_node_tend_pump(node);
    }
}

static void tell_own_addrs(struct pc_node *node)
{
    for (; node->own_addrs_told < node->own_addr_count; node->own_addrs_told++) {
        if (!pc_node_has_room(node, 0))
            return;
        struct told_dial *told = &node->tells[node->tell_count++];
        if (pc_addr_format_with_id(pc_addr_maddr_bytes(&node->own_addrs[node->own_addrs_told]),
                                   &node->options.own_id, told->addr, sizeof(told->addr)))
            continue;
        pc_node_tell(node, &(peercache_node_event){ .kind = PEERCACHE_NODE_LISTENING, .addr = told->addr });
    }
}

static bool is_at_work(const struct pc_node *node)
{
    return node->phase == PHASE_JOINING || node->phase == PHASE_WALKING || node->phase == PHASE_LIVING;
}

static void pump(struct pc_node *node)
{
    pump_cancelled(node);
    if (node->phase != PHASE_IDLE) {
        tell_own_addrs(node);
        pc_node_reach_pump(node);
        pc_node_announce_pump(node);
    }
    /* Not a switch: one phase may lead to the next in the same step. */
    if (node->phase == PHASE_LIVING)
        pump_living(node);
    if (node->phase == PHASE_JOINING ||
        (!node->options.once && (node->phase == PHASE_WALKING || node->phase == PHASE_LIVING)))
        pc_node_join_pump(node);
    if (node->phase == PHASE_WALKING)
        pc_node_walk_pump(node);
    if (node->phase == PHASE_PINGING)
        pc_node_ping_pump(node);
    if (node->phase == PHASE_CRAWLING)
        pc_node_crawl_pump(node);
    if (is_at_work(node))
        pc_node_pool_pump(node);
    pump_cancelled(node);
    pc_node_keep_endpoints(node);
    pc_node_save_pump(node);
    if (node->phase == PHASE_STOPPING)
        pump_stop(node);
}

/* What the operator announces is to be proven, where it is asked at all whether we can be reached. */
static void begin_reach(struct pc_node *node)
{
    struct pc_ip_port addr;
    for (size_t i = 0; node->reach && i < node->announce_count; i++)
        if (pc_addr_classify(pc_addr_maddr_bytes(&node->announce[i]), &addr) == PC_ADDR_QUIC_V1 &&
            pc_reach_announced(node->reach, &addr, node->now.mono_us))
            pc_node_warn(node, "more than %d addresses are announced: the others are not tried",
                         PC_REACH_ADDRS_MAX);
}

static void start(struct pc_node *node)
{
    if (node->phase != PHASE_IDLE)
        return;
    begin_reach(node);
    pc_node_save_begin(node);
    pc_node_tend_begin(node);
    if (node->options.ping_count > 0) {
        pc_node_move(node, PHASE_PINGING);
        pc_node_ping_begin(node);
    } else {
        pc_node_move(node, PHASE_JOINING);
        pc_node_join_begin(node);
    }
}

/* Inside the node time never goes back, whatever the edge gives. */
static void set_now(struct pc_node *node, peercache_time now)
{
    node->now.mono_us = pc_base_time_max(node->now.mono_us, now.mono_us);
    node->now.wall_ms = now.wall_ms;
}

size_t pc_node_step(struct pc_node *node, peercache_time now, const struct pc_node_event *event,
                    const struct pc_node_action **ret_actions)
{
    /* What a peer asks changes nothing that the pump looks at; a busy server is asked far oftener than it acts. */
    bool only_asked = event->kind == PC_NODE_WIRE && event->wire->kind == PC_LIBP2P_ASKED;
    set_now(node, now);
    node->action_count = 0;
    node->tell_count = 0;
    node->unfinished = only_asked && node->unfinished;
    assert(node->phase != PHASE_STOPPED);
    switch (event->kind) {
    case PC_NODE_START:
        pc_cache_set_part(node->set, event->is_part);
        start(node);
        break;
    case PC_NODE_LISTENING:
        on_listening(node, event->addr);
        break;
    case PC_NODE_LOADED:
        on_loaded(node, event->record);
        break;
    case PC_NODE_BANNED:
        if (pc_cache_set_ban(node->set, event->ban, 1))
            pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: a ban is not heeded");
        break;
    case PC_NODE_ENDPOINT:
        on_endpoint(node, event);
        break;
    case PC_NODE_ROUTES:
        pc_node_join_routes(node, event->has_ip4, event->has_ip6);
        pc_kad_schedule_network_changed(&node->schedule, node->now.mono_us);
        if (node->reach)
            pc_reach_network_changed(node->reach, node->now.mono_us);
        break;
    case PC_NODE_FETCHED:
        if (node->phase != PHASE_STOPPING)
            pc_node_on_fetched(node, event->fetched);
        break;
    case PC_NODE_RESOLVED:
        pc_node_join_resolved(node, event->resolved);
        break;
    case PC_NODE_WIRE:
        pc_node_on_wire(node, event->wire);
        break;
    case PC_NODE_TIME:
        break;
    case PC_NODE_COMMITTED:
        pc_node_on_committed(node, event);
        break;
    case PC_NODE_FIND:
        pc_node_on_find(node, event->id);
        break;
    case PC_NODE_SAVE:
        pc_node_save_asked(node);
        break;
    case PC_NODE_RECALL:
        pc_node_recall_all(node);
        break;
    case PC_NODE_STOP:
        pc_node_begin_stop(node);
        break;
    case PC_NODE_LISTENS:
        pc_node_listens(node, event->addrs, event->addr_count);
        break;
    }
    if (!only_asked)
        pump(node);
    pc_node_reach_sent(node);
    *ret_actions = node->actions;
    return node->action_count;
}

int64_t pc_node_deadline(const struct pc_node *node)
{
    int64_t at = PC_TIME_NEVER;
    if (node->unfinished)
        return node->now.mono_us;
    switch ((enum node_phase)node->phase) {
    case PHASE_JOINING:
        break;
    case PHASE_WALKING:
        at = node->walk_deadline_us;
        break;
    case PHASE_LIVING:
        if (node->find_count > 0)
            return node->now.mono_us; /* it begins with the next step */
        at = pc_base_time_min(node->rejoin_at_us, pc_node_tend_deadline(node));
        if (pc_kad_table_count(node->table) > 0)
            at = pc_base_time_min(at, pc_kad_schedule_due_us(&node->schedule));
        break;
    case PHASE_PINGING:
        at = node->ping_at_us;
        break;
    case PHASE_CRAWLING:
        at = pc_node_crawl_deadline(node);
        break;
    case PHASE_IDLE:
    case PHASE_STOPPING:
    case PHASE_STOPPED:
        return PC_TIME_NEVER;
    }
    if (node->reach)
        at = pc_base_time_min(at, pc_reach_deadline(node->reach));
    if (node->plan && pc_node_join_is_open(node))
        at = pc_base_time_min(at, pc_plan_deadline(node->plan));
    if (is_at_work(node))
        at = pc_base_time_min(at, pc_node_pool_deadline(node));
    return pc_base_time_min(at, pc_node_save_deadline(node));
}

const struct pc_kad_table *pc_node_table(const struct pc_node *node)
{
    return node->table;
}

size_t pc_node_table_count(const struct pc_node *node)
{
    return pc_kad_table_count(node->table);
}

size_t pc_node_cache_count(const struct pc_node *node)
{
    return pc_cache_set_count(node->set);
}
