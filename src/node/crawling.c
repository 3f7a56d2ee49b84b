/*
 * Crawling: a node that has joined dials everyone whom the members of the DHT tell of, and asks each for its whole routing
 * table (kad/crawl.h decides whom and what). It is a client, so nobody takes it into a table of his own; a peer
 * that was asked all is left at once. What it meets enters the cache as it does by any other way. It ends when nobody is
 * left, when its time is up or when it is stopped, with a report of all that is known by then; who is being dialled at
 * that moment is not blamed for it.
 */
#include "node/crawling.h"

#include "node/internal.h"

#include <stdlib.h>

#define RTTS_FIRST 256 /* room of the first allocation */

static void out_of_memory(const struct pc_node *node, const char *what)
{
    pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: %s", what);
}

int pc_node_crawl_new(struct pc_node *node, const uint8_t secret[16])
{
    const struct pc_kad_crawl_options options = {
        .own_id = node->options.own_id,
        .mode = node->options.mode,
        .concurrency = node->options.crawl_concurrency,
        .peers_max = PC_KAD_CRAWL_PEERS_MAX,
        .group_max =
            node->options.mode == PC_NETGROUP_LOCAL ? PC_KAD_CRAWL_GROUP_MAX_LOCAL : PC_KAD_CRAWL_GROUP_MAX,
        .rng = &node->rng,
    };
    struct crawling *crawling = calloc(1, sizeof(*crawling));
    if (!crawling)
        return PEERCACHE_ENOMEM;
    int result = pc_kad_crawl_new(&options, &crawling->frontier);
    if (result) {
        free(crawling);
        return result;
    }
    pc_node_tally_init(&crawling->agents, secret);
    pc_node_tally_init(&crawling->protocols, secret);
    crawling->ends_us = PC_TIME_NEVER;
    node->crawling = crawling;
    return 0;
}

void pc_node_crawl_free(struct crawling *crawling)
{
    if (!crawling)
        return;
    pc_kad_crawl_free(crawling->frontier);
    pc_node_tally_deinit(&crawling->agents);
    pc_node_tally_deinit(&crawling->protocols);
    free(crawling->rtts_us);
    free(crawling);
}

/* ----- whom to take in ----- */

/* Why an address is not dialled, or OK and where it leads. */
static peercache_outcome judge(const struct pc_node *node, const struct pc_peer_id *id,
                               const struct pc_maddr *addr, struct pc_ip_port *ret_where)
{
    struct pc_joiner_candidate candidate = { .id = *id, .addr = *addr, .via = PEERCACHE_VIA_DHT };
    const char *unused;
    if (pc_addr_classify(pc_addr_maddr_bytes(addr), &candidate.ip_port) != PC_ADDR_QUIC_V1)
        return PEERCACHE_UNSUPPORTED;
    *ret_where = candidate.ip_port;
    if (!(candidate.ip_port.family == 4 ? node->has_ip4 : node->has_ip6))
        return PEERCACHE_UNREACHABLE;
    return pc_node_why_not_dialled(node, &candidate, &unused);
}

/* Add an address to what is told of a peer, or why it is of no use here. */
static void tell_of(const struct pc_node *node, struct pc_kad_crawl_told *told,
                    struct pc_ip_port places[PC_KAD_CRAWL_ADDRS], const struct pc_maddr *addr)
{
    if (told->addr_count == PC_KAD_CRAWL_ADDRS)
        return;
    peercache_outcome refusal = judge(node, &told->id, addr, &places[told->addr_count]);
    if (refusal == PEERCACHE_OK)
        told->addr_count++;
    else
        told->refusal = refusal;
}

static void take_in(struct pc_node *node, const struct pc_kad_crawl_told *told)
{
    if (pc_kad_crawl_add(node->crawling->frontier, told))
        out_of_memory(node, "a peer is not crawled");
}

static void take_in_addr(struct pc_node *node, const struct pc_peer_id *id, const struct pc_maddr *addr)
{
    struct pc_ip_port places[PC_KAD_CRAWL_ADDRS];
    struct pc_kad_crawl_told told = { .id = *id, .addrs = places, .refusal = PEERCACHE_UNSUPPORTED };
    tell_of(node, &told, places, addr);
    if (told.addr_count > 0) /* given names are no peers yet */
        take_in(node, &told);
}

static void take_in_cached(struct pc_node *node)
{
    if (!node->options.dial_cached || node->options.exclusive)
        return;
    struct pc_pick *picks = malloc(PC_NODE_CACHE_OFFER_MAX * sizeof(*picks));
    if (!picks) {
        out_of_memory(node, "the cache is not used");
        return;
    }
    size_t count =
        pc_cache_set_pick(node->set, &node->rng, node->now.wall_ms, true, picks, PC_NODE_CACHE_OFFER_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct pc_record *record =
            picks[i].id.size > 0 ? pc_cache_set_find(node->set, &picks[i].id) : NULL;
        for (size_t j = 0; record && j < record->addr_count; j++)
            take_in_addr(node, &record->id, &record->addrs[j].addr);
    }
    free(picks);
}

void pc_node_crawl_begin(struct pc_node *node)
{
    node->crawling->ends_us = pc_base_time_add(node->join_started_us, node->options.crawl_timeout_us);
    for (size_t i = 0; i < node->options.source_count; i++)
        if (node->sources[i].id.size > 0)
            take_in_addr(node, &node->sources[i].id, &node->sources[i].addr);
    take_in_cached(node); /* whom the join verified is known since it opened */
}

/* ----- telling ----- */

static void count(struct pc_node *node)
{
    const struct pc_kad_crawl_counts *counts = pc_kad_crawl_counts(node->crawling->frontier);
    peercache_crawl_report *report = &node->crawling->report;
    report->known = counts->known;
    report->left_out = counts->left_out;
    report->dialed = counts->dialed;
    report->alive = counts->alive;
    report->silent = counts->silent;
    report->waiting = counts->waiting;
    report->under_way = counts->under_way;
    memcpy(report->ended, counts->ended, sizeof(report->ended));
    report->questions = counts->questions;
    report->answers = counts->answers;
    report->elapsed_us = pc_base_time_sub(node->now.mono_us, node->join_started_us);
}

/* A peer has ended. */
static void tell_crawled(struct pc_node *node, const struct connection *connection, peercache_outcome outcome,
                         const char *detail)
{
    const peercache_dial *told = pc_node_tell_dial(node, PEERCACHE_NODE_CRAWLED, connection, outcome, detail,
                                                   connection->open ? connection->rtt_us : -1, -1);
    (void)told;
    count(node);
    node->actions[node->action_count - 1].event.crawl = &node->crawling->report;
}

static int by_size(const void *a, const void *b)
{
    const uint32_t *one = a, *other = b;
    return *one < *other ? -1 : *one > *other;
}

/* The one below which so many percent of all are; -1: there is none. */
static int64_t percentile(const struct crawling *crawling, size_t percent)
{
    if (crawling->rtt_count == 0)
        return -1;
    return crawling->rtts_us[(crawling->rtt_count - 1) * percent / 100];
}

static void report(struct pc_node *node)
{
    struct crawling *crawling = node->crawling;
    peercache_crawl_report *report = &crawling->report;
    count(node);
    if (crawling->rtt_count > 0)
        qsort(crawling->rtts_us, crawling->rtt_count, sizeof(*crawling->rtts_us), by_size);
    report->rtt_count = (uint32_t)crawling->rtt_count;
    report->rtt_min_us = percentile(crawling, 0);
    report->rtt_median_us = percentile(crawling, 50);
    report->rtt_90th_us = percentile(crawling, 90);
    report->rtt_95th_us = percentile(crawling, 95);
    report->rtt_99th_us = percentile(crawling, 99);
    report->rtt_max_us = percentile(crawling, 100);
    if (pc_node_tally_list(&crawling->agents, &report->agents, &report->agent_count) ||
        pc_node_tally_list(&crawling->protocols, &report->protocols, &report->protocol_count))
        out_of_memory(node, "agents and protocols are missing in the report");
    report->other_agents = crawling->agents.others;
    report->other_protocols = crawling->protocols.others;
}

/* ----- dialling and asking ----- */

static void visit_ended(struct pc_node *node, struct connection *connection, peercache_outcome outcome,
                        const char *detail)
{
    tell_crawled(node, connection, outcome, detail);
    pc_node_connection_cancel(node, connection);
}

static void ask(struct pc_node *node, struct connection *connection)
{
    struct pc_peer_id key;
    if (!pc_kad_crawl_ask(node->crawling->frontier, &connection->id, &key)) {
        visit_ended(node, connection, PEERCACHE_OK, "");
        return;
    }
    struct request *request = pc_node_request_new(node, connection, REQUEST_CRAWL);
    if (!request) {
        out_of_memory(node, "a peer is not asked");
        pc_node_crawl_unanswered(node, connection, PEERCACHE_CANCELLED, "out of memory");
        return;
    }
    struct pc_node_action *action = pc_node_act(node, PC_NODE_FIND_NODE);
    action->connection = connection->number;
    action->request = request->number;
    action->id = key; /* its bytes, as long as the action lives */
    action->key = pc_addr_peer_id_bytes(&action->id);
    action->deadline_us = pc_base_time_add(node->now.mono_us, PC_NODE_REQUEST_TIMEOUT_US);
}

/* The connection's peer is there: ask for all that it knows. */
static void visit(struct pc_node *node, struct connection *connection)
{
    int result = pc_kad_crawl_opened(node->crawling->frontier, &connection->id);
    if (result == 0) {
        ask(node, connection);
    } else if (result == PEERCACHE_ENOMEM) {
        out_of_memory(node, "a peer is not asked");
        visit_ended(node, connection, PEERCACHE_OK, "");
    }
}

static void dial(struct pc_node *node, const struct pc_kad_crawl_dial *wanted)
{
    struct connection *connection = pc_node_pool_find(node, &wanted->id);
    if (connection && !connection->cancelled) { /* since the join */
        visit(node, connection);
        return;
    }
    connection = pc_node_connection_new(node, ++node->next_connection, FOR_CRAWL);
    if (!connection) {
        struct connection unborn = { .id = wanted->id, .via = PEERCACHE_VIA_DHT };
        pc_addr_from_ip_port(&wanted->addr, &unborn.addr);
        out_of_memory(node, "a peer is not dialled");
        if (pc_kad_crawl_failed(node->crawling->frontier, &wanted->id, PEERCACHE_CANCELLED, true))
            tell_crawled(node, &unborn, PEERCACHE_CANCELLED, "out of memory");
        return;
    }
    connection->id = wanted->id;
    connection->via = PEERCACHE_VIA_DHT;
    pc_addr_from_ip_port(&wanted->addr, &connection->addr);
    pc_cache_set_attempt(node->set, &connection->id, pc_addr_maddr_bytes(&connection->addr),
                         node->now.wall_ms);
    struct pc_node_action *action = pc_node_act(node, PC_NODE_DIAL);
    action->connection = connection->number;
    action->remote = wanted->addr;
    action->id = wanted->id;
    action->deadline_us = pc_base_time_add(node->now.mono_us, PC_JOIN_DIAL_TIMEOUT_US);
}

void pc_node_crawl_dial_ended(struct pc_node *node, struct connection *connection, peercache_outcome outcome,
                              const char *detail)
{
    if (node->crawling->told)
        return;
    if (outcome == PEERCACHE_OK) {
        visit(node, connection);
        return;
    }
    bool is_final = outcome == PEERCACHE_PROTOCOL_MISMATCH || outcome == PEERCACHE_DENIED;
    if (pc_kad_crawl_failed(node->crawling->frontier, &connection->id, outcome, is_final))
        tell_crawled(node, connection, outcome, detail);
}

void pc_node_crawl_answered(struct pc_node *node, struct connection *connection,
                            const struct pc_kad_message *kad)
{
    struct pc_kad_crawl_told told[PC_KAD_PEERS_MAX];
    struct pc_ip_port places[PC_KAD_PEERS_MAX][PC_KAD_CRAWL_ADDRS];
    size_t told_count = node->options.exclusive ? 0 : kad->peer_count; /* nobody but those given is dialled */
    if (node->crawling->told)
        return;
    for (size_t i = 0; i < told_count; i++) {
        told[i] = (struct pc_kad_crawl_told){ .id = kad->peers[i].id,
                                              .addrs = places[i],
                                              .refusal = PEERCACHE_UNSUPPORTED };
        for (size_t j = 0; j < kad->peers[i].addr_count; j++) {
            struct pc_maddr addr;
            if (pc_node_storable(node, kad->peers[i].addrs[j], &addr) == 0)
                tell_of(node, &told[i], places[i], &addr);
        }
    }
    if (pc_kad_crawl_answered(node->crawling->frontier, &connection->id, told, told_count))
        out_of_memory(node, "a peer is not crawled");
    ask(node, connection);
}

void pc_node_crawl_unanswered(struct pc_node *node, struct connection *connection, peercache_outcome outcome,
                              const char *detail)
{
    if (node->crawling->told || !pc_kad_crawl_unanswered(node->crawling->frontier, &connection->id, outcome))
        return;
    bool misbehaved = outcome == PEERCACHE_MISBEHAVED;
    visit_ended(node, connection, misbehaved ? outcome : PEERCACHE_OK, misbehaved ? detail : "");
}

static void note_rtt(struct pc_node *node, int64_t rtt_us)
{
    struct crawling *crawling = node->crawling;
    if (rtt_us < 0)
        return;
    if (crawling->rtt_count == crawling->rtt_room) {
        size_t room = crawling->rtt_room ? crawling->rtt_room * 2 : RTTS_FIRST;
        uint32_t *rtts = realloc(crawling->rtts_us, room * sizeof(*rtts));
        if (!rtts) {
            out_of_memory(node, "a round-trip time is not counted");
            return;
        }
        crawling->rtts_us = rtts;
        crawling->rtt_room = room;
    }
    crawling->rtts_us[crawling->rtt_count++] = rtt_us < UINT32_MAX ? (uint32_t)rtt_us : UINT32_MAX;
}

void pc_node_crawl_met(struct pc_node *node, const struct connection *connection,
                       const struct pc_identify *identify)
{
    struct crawling *crawling = node->crawling;
    if (crawling->told)
        return;
    take_in_addr(node, &connection->id, &connection->addr);
    if (!pc_kad_crawl_first_met(crawling->frontier, &connection->id))
        return;
    note_rtt(node, connection->rtt_us);
    pc_node_tally_add(&crawling->agents, identify->agent);
    for (size_t i = 0; i < identify->protocol_count; i++)
        pc_node_tally_add(&crawling->protocols, identify->protocols[i]);
}

/* ----- the pump ----- */

bool pc_node_crawl_stop(struct pc_node *node)
{
    if (node->crawling->told || node->phase == PHASE_IDLE)
        return false;
    node->crawling->stopped = true; /* the pump tells what there is, and stops then */
    if (node->phase == PHASE_JOINING)
        pc_node_move(node, PHASE_CRAWLING);
    return true;
}

static void crawl_end(struct pc_node *node, peercache_crawl_end end)
{
    struct crawling *crawling = node->crawling;
    crawling->told = true;
    crawling->report.end = end;
    report(node);
    pc_node_tell(node,
                 &(peercache_node_event){ .kind = PEERCACHE_NODE_CRAWL_DONE, .crawl = &crawling->report });
    pc_node_begin_stop(node);
}

void pc_node_crawl_pump(struct pc_node *node)
{
    struct crawling *crawling = node->crawling;
    struct pc_kad_crawl_dial wanted;
    bool timed_out = node->now.mono_us >= crawling->ends_us;
    while (!timed_out && !crawling->stopped && pc_node_has_room(node, 0) &&
           pc_kad_crawl_next(crawling->frontier, &wanted))
        dial(node, &wanted);
    if (crawling->stopped || timed_out || pc_kad_crawl_done(crawling->frontier)) {
        if (pc_node_has_room(node, 0))
            crawl_end(node, crawling->stopped ? PEERCACHE_CRAWL_STOPPED
                            : timed_out       ? PEERCACHE_CRAWL_TIMED_OUT
                                              : PEERCACHE_CRAWL_COMPLETE);
    }
}

int64_t pc_node_crawl_deadline(const struct pc_node *node)
{
    return node->crawling->ends_us;
}
