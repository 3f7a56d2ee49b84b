/*
 * Names are peercache_…, units are base units (seconds, bytes), counters end in _total. What is not known has no
 * sample: a gauge that says 0 for "never" would draw a wrong line. No name of a peer, an address or a path is a
 * label: those would grow without end, and are nobody's business here.
 */
#include "observe/metrics.h"

#include "base/time.h"
#include "kad/table.h"

#include <assert.h>
#include <inttypes.h>

static void family(struct pc_observe_text *text, const char *name, const char *type, const char *help)
{
    pc_observe_put(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void sample(struct pc_observe_text *text, const char *name, const char *label, const char *word,
                   uint64_t value)
{
    pc_observe_put(text, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, word, value);
}

static void one(struct pc_observe_text *text, const char *name, const char *type, const char *help,
                uint64_t value)
{
    family(text, name, type, help);
    pc_observe_put(text, "%s %" PRIu64 "\n", name, value);
}

static void counter(struct pc_observe_text *text, const char *name, const char *help, uint64_t value)
{
    one(text, name, "counter", help, value);
}

static void gauge(struct pc_observe_text *text, const char *name, const char *help, uint64_t value)
{
    one(text, name, "gauge", help, value);
}

/* Below 0 it is not known. */
static void gauge_us(struct pc_observe_text *text, const char *name, const char *help, int64_t us)
{
    family(text, name, "gauge", help);
    if (us < 0)
        return;
    pc_observe_put(text, "%s ", name);
    pc_observe_put_us(text, us, PC_US_PER_S);
    pc_observe_put(text, "\n");
}

static int64_t us_of_ms(int64_t ms)
{
    int64_t us;
    return __builtin_mul_overflow(ms, 1000, &us) ? INT64_MAX : us;
}

static void put_standing(const struct pc_node_status *node, struct pc_observe_text *text)
{
    static const char name[] = "peercache_join_status";
    family(text, name, "gauge", "How the node stands to its network: 1 for the one state that holds.");
    for (unsigned i = 0; i < PC_NODE_STANDING_COUNT; i++)
        sample(text, name, "state", pc_node_standing_name((enum pc_node_standing)i), i == node->standing);
    gauge(text, "peercache_verified_peers", "Peers verified in this round of joining.", node->verified);
    gauge(text, "peercache_target_peers", "Verified peers at which joining is done.", node->target);
    gauge_us(text, "peercache_first_verified_seconds",
             "From the start of this round of joining until one peer was verified.",
             node->join.first_verified_us);
    gauge_us(text, "peercache_fifth_verified_seconds",
             "From the start of this round of joining until five peers were verified.",
             node->join.fifth_verified_us);
}

static void put_dials(const struct pc_join_metrics *join, struct pc_observe_text *text)
{
    static const char offered[] = "peercache_candidates_total";
    static const char begun[] = "peercache_dials_total";
    static const char ended[] = "peercache_dials_ended_total";
    family(text, offered, "counter", "Candidates offered to joining, by where they came from.");
    for (unsigned via = 0; via < PEERCACHE_VIA_COUNT; via++)
        sample(text, offered, "via", peercache_via_name((peercache_via)via), join->offered[via]);
    counter(text, "peercache_candidates_refused_total",
            "Candidates refused for a network that may not be dialled.", join->refused_offers);
    counter(text, "peercache_candidates_lost_total", "Candidates over a limit, or for which memory was out.",
            join->lost_offers);
    family(text, begun, "counter", "Dials of joining that were begun.");
    for (unsigned via = 0; via < PEERCACHE_VIA_COUNT; via++)
        sample(text, begun, "via", peercache_via_name((peercache_via)via), join->dials[via]);
    family(text, ended, "counter", "Dials of joining that ended, by their outcome; ok is verified.");
    for (unsigned via = 0; via < PEERCACHE_VIA_COUNT; via++)
        for (unsigned outcome = 0; outcome < PEERCACHE_OUTCOME_COUNT; outcome++)
            pc_observe_put(text, "%s{via=\"%s\",outcome=\"%s\"} %" PRIu64 "\n", ended,
                           peercache_via_name((peercache_via)via),
                           peercache_outcome_name((peercache_outcome)outcome), join->ended[via][outcome]);
    counter(text, "peercache_dials_given_up_total", "Dials of joining given up before they ended.",
            join->given_up);
    counter(text, "peercache_cache_hits_total", "Dials to peers of the cache that verified them.",
            join->cache_hits);
    counter(text, "peercache_cache_misses_total", "Dials to peers of the cache that failed.",
            join->cache_misses);
    counter(text, "peercache_join_rounds_total", "Rounds of joining that were begun.", join->rounds);
}

static void put_endpoints(const struct pc_node_status *node, struct pc_observe_text *text)
{
    static const char fetches[] = "peercache_fetches_total";
    static const char endpoints[] = "peercache_endpoints";
    family(text, fetches, "counter", "Attempts to fetch an endpoint that ended, by their result.");
    for (unsigned i = 0; i < PEERCACHE_FETCH_COUNT; i++)
        sample(text, fetches, "result", peercache_fetch_name((peercache_fetch)i), node->join.fetches[i]);
    family(text, endpoints, "gauge", "Endpoints by the state of their circuit breaker.");
    for (unsigned state = PC_BREAKER_CLOSED; state <= PC_BREAKER_HALF_OPEN; state++) {
        const char *word = pc_breaker_state_name((enum pc_breaker_state)state);
        uint64_t count = 0;
        for (size_t i = 0; i < node->endpoint_count; i++)
            count += strcmp(node->endpoints[i].breaker, word) == 0;
        sample(text, endpoints, "state", word, count);
    }
    counter(text, "peercache_breaker_transitions_total", "Changes of state of all circuit breakers.",
            node->join.breaker_transitions);
    counter(text, "peercache_name_questions_total", "Questions to name servers that ended.",
            node->join.questions);
    counter(text, "peercache_name_questions_failed_total", "Questions to name servers that failed.",
            node->join.questions_failed);
}

static void put_reach(const struct pc_node_status *node, struct pc_observe_text *text)
{
    static const char name[] = "peercache_reachability";
    family(text, name, "gauge",
           "Whether the node can be reached from outside: 1 for the one state that holds.");
    for (unsigned i = 0; i < PC_REACHABILITY_COUNT; i++)
        sample(text, name, "state", pc_reachability_name((enum pc_reachability)i), i == node->reachability);
    gauge(text, "peercache_serves", "1 when the node announces that it serves.", node->is_server);
    gauge(text, "peercache_announced_addresses", "Addresses that the node announces.", node->announced_count);
}

static void put_signed(const struct pc_libp2p_counts *counts, struct pc_observe_text *text)
{
    static const char pushes[] = "peercache_identify_pushes_total";
    static const char records[] = "peercache_peer_records_total";
    family(text, pushes, "counter",
           "Identify pushes: sent to peers, received of them, and refused as too many.");
    sample(text, pushes, "kind", "sent", counts->pushes_sent);
    sample(text, pushes, "kind", "received", counts->pushes_received);
    sample(text, pushes, "kind", "refused", counts->pushes_refused);
    family(text, records, "counter",
           "Signed peer records received: good, bad, and older than one seen before.");
    sample(text, records, "kind", "good", counts->records_good);
    sample(text, records, "kind", "bad", counts->records_bad);
    sample(text, records, "kind", "stale", counts->records_stale);
    counter(text, "peercache_dials_back_total", "Dials for peers who asked whether they can be reached.",
            counts->dials_back);
}

static void put_wire(const struct pc_node_status *node, struct pc_observe_text *text)
{
    static const char connections[] = "peercache_connections";
    family(text, connections, "gauge", "Connections: open ones by who dialled, and those being dialled.");
    sample(text, connections, "state", "outbound", node->outbound);
    sample(text, connections, "state", "inbound", node->inbound);
    sample(text, connections, "state", "dialing", node->dialing);
    static const char closed[] = "peercache_connections_closed_total";
    family(text, closed, "counter",
           "Connections that the pool closed: above the high mark, and second ones to a peer.");
    sample(text, closed, "reason", "mark", node->trimmed);
    sample(text, closed, "reason", "double", node->doubles);
    gauge(text, "peercache_requests", "Requests to peers under way.", node->requests);
    gauge_us(text, "peercache_last_answer_age_seconds",
             "Since a peer that was dialled last gave a sign of life.", node->answered_ago_us);
}

static void put_turned_away(const struct pc_libp2p_counters *counters, struct pc_observe_text *text)
{
    static const char shed[] = "peercache_shed_total";
    family(text, shed, "counter", "What peers wanted and did not get, by the limit it was over.");
    for (unsigned i = 0; i < PC_SHED_COUNT; i++)
        sample(text, shed, "reason", pc_libp2p_shed_name((enum pc_libp2p_shed)i), counters->shed[i]);
    counter(text, "peercache_retries_sent_total",
            "Clients asked to show that they are where they say, before they get a connection.",
            counters->retries);
    gauge(text, "peercache_inbound_streams", "Streams open that peers opened.", counters->streams);
    gauge(text, "peercache_buffered_bytes", "Bytes on streams that somebody has yet to read.",
          counters->buffered_bytes);
}

static void put_table(const struct pc_node_status *node, struct pc_observe_text *text)
{
    static const char buckets[] = "peercache_table_buckets";
    uint64_t partial = 0, full = 0;
    for (size_t i = 0; i < PC_NODE_TABLE_BUCKETS; i++) {
        full += node->buckets[i] >= PC_KAD_K;
        partial += node->buckets[i] > 0 && node->buckets[i] < PC_KAD_K;
    }
    gauge(text, "peercache_table_peers", "Peers in the routing table.", node->table_count);
    family(text, buckets, "gauge",
           "Buckets of the routing table that hold a peer, by whether there is room.");
    sample(text, buckets, "state", "partial", partial);
    sample(text, buckets, "state", "full", full);
}

static void put_cache(const struct pc_observation *observation, struct pc_observe_text *text)
{
    static const char peers[] = "peercache_cache_peers";
    const struct pc_node_status *node = &observation->node;
    family(text, peers, "gauge", "Peers of the cache in memory.");
    sample(text, peers, "state", "new", node->fresh);
    sample(text, peers, "state", "tried", node->tried);
    gauge(text, "peercache_cache_unsaved_changes", "Changes that are not saved yet.", node->pending);
    gauge(text, "peercache_cache_save_failed", "1 when the last attempt to save failed.", node->save_failed);
    gauge_us(text, "peercache_cache_last_success_timestamp_seconds",
             "When a peer of the cache was verified last.",
             node->last_success_ms > 0 ? us_of_ms(node->last_success_ms) : -1);
    if (observation->store_path[0] == '\0')
        return;
    gauge(text, "peercache_store_healthy", "1 when the cache on disk can be read.",
          observation->store_is_healthy);
    gauge(text, "peercache_store_writable", "1 when the cache on disk can be written.",
          observation->store_is_writable);
}

static void put_process(const struct pc_observation *observation, struct pc_observe_text *text)
{
    static const char info[] = "peercache_build_info";
    family(text, info, "gauge", "Always 1; the version is the label.");
    sample(text, info, "version", observation->version, 1);
    gauge_us(text, "peercache_start_time_seconds", "When the node was started, since 1970 in UTC.",
             us_of_ms(observation->started_ms));
    counter(text, "peercache_datagrams_received_total", "UDP datagrams received.",
            observation->datagrams_received);
    counter(text, "peercache_datagrams_sent_total", "UDP datagrams sent.", observation->datagrams_sent);
    if (observation->resident_bytes > 0)
        gauge(text, "peercache_resident_memory_bytes", "Memory of the process that is resident.",
              observation->resident_bytes);
    if (observation->descriptors > 0)
        gauge(text, "peercache_open_descriptors", "File descriptors that the process has open.",
              observation->descriptors);
    if (observation->descriptors_max > 0)
        gauge(text, "peercache_max_descriptors", "File descriptors that the process may have open.",
              observation->descriptors_max);
}

void pc_observe_metrics(const struct pc_observation *observation, struct pc_observe_text *text)
{
    put_process(observation, text);
    put_standing(&observation->node, text);
    put_dials(&observation->node.join, text);
    put_endpoints(&observation->node, text);
    put_wire(&observation->node, text);
    put_turned_away(&observation->turned_away, text);
    put_reach(&observation->node, text);
    put_signed(&observation->counts, text);
    put_table(&observation->node, text);
    put_cache(observation, text);
}
