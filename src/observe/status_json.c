/* A member of the object is a line. What is not known is null; counts and times in milliseconds are numbers. */
#include "observe/status_json.h"

#include "base/time.h"

#include <inttypes.h>

#define MEMBER(name) ",\n\"" name "\":"

/* null when empty */
static void put_word(struct pc_observe_text *text, const char *word)
{
    if (word[0] == '\0')
        pc_observe_put(text, "null");
    else
        pc_observe_put_json(text, word);
}

static const char *truth(bool is)
{
    return is ? "true" : "false";
}

/* null below 0 */
static void put_ms(struct pc_observe_text *text, int64_t us)
{
    if (us < 0)
        pc_observe_put(text, "null");
    else
        pc_observe_put_us(text, us, PC_US_PER_MS);
}

/* null when it is 0, for never */
static void put_time(struct pc_observe_text *text, int64_t wall_ms)
{
    char date[PC_RFC3339_BYTES];
    pc_base_rfc3339_format(wall_ms, date);
    put_word(text, wall_ms > 0 ? date : "");
}

/* null when it is 0, for not known */
static void put_known(struct pc_observe_text *text, uint64_t number)
{
    if (number == 0)
        pc_observe_put(text, "null");
    else
        pc_observe_put(text, "%" PRIu64, number);
}

static void put_addrs(const struct pc_node_status *node, const struct pc_maddr *addrs, size_t count,
                      struct pc_observe_text *text)
{
    char addr[PC_MULTIADDR_TEXT_BYTES];
    const char *before = "";
    pc_observe_put(text, "[");
    for (size_t i = 0; i < count; i++) {
        if (pc_addr_format_with_id(pc_addr_maddr_bytes(&addrs[i]), &node->id, addr, sizeof(addr)))
            continue;
        pc_observe_put(text, "%s", before);
        pc_observe_put_json(text, addr);
        before = ",";
    }
    pc_observe_put(text, "]");
}

/* Where it listens, and what it tells its peers. */
static void put_addresses(const struct pc_node_status *node, struct pc_observe_text *text)
{
    pc_observe_put(text, MEMBER("reachability") "\"%s\"" MEMBER("serves") "%s",
                   pc_reachability_name(node->reachability), truth(node->is_server));
    pc_observe_put(text, MEMBER("addresses"));
    put_addrs(node, node->own_addrs, node->own_addr_count, text);
    pc_observe_put(text, MEMBER("announced"));
    put_addrs(node, node->announced, node->announced_count, text);
}

static const char *mode_of(const struct pc_node_status *node)
{
    if (node->is_automatic)
        return "auto";
    return node->is_server ? "server" : "client";
}

static void put_dials(const struct pc_join_metrics *join, struct pc_observe_text *text)
{
    pc_observe_put(text, ",\"dials\":{");
    for (unsigned via = 0; via < PEERCACHE_VIA_COUNT; via++) {
        pc_observe_put(text, "%s\"%s\":{\"offered\":%" PRIu64 ",\"begun\":%" PRIu64, via ? "," : "",
                       peercache_via_name((peercache_via)via), join->offered[via], join->dials[via]);
        for (unsigned outcome = 0; outcome < PEERCACHE_OUTCOME_COUNT; outcome++)
            if (join->ended[via][outcome] > 0)
                pc_observe_put(text, ",\"%s\":%" PRIu64, peercache_outcome_name((peercache_outcome)outcome),
                               join->ended[via][outcome]);
        pc_observe_put(text, "}");
    }
    pc_observe_put(text, "},\"fetches\":{");
    const char *before = "";
    for (unsigned i = 0; i < PEERCACHE_FETCH_COUNT; i++) {
        if (join->fetches[i] == 0)
            continue;
        pc_observe_put(text, "%s\"%s\":%" PRIu64, before, peercache_fetch_name((peercache_fetch)i),
                       join->fetches[i]);
        before = ",";
    }
    pc_observe_put(text, "}");
}

static void put_join(const struct pc_node_status *node, struct pc_observe_text *text)
{
    const struct pc_join_metrics *join = &node->join;
    pc_observe_put(text, MEMBER("join") "{\"target\":%" PRIu32 ",\"min\":%" PRIu32 ",\"verified\":%" PRIu32,
                   node->target, node->min, node->verified);
    pc_observe_put(text, ",\"cause\":");
    put_word(text, node->cause);
    pc_observe_put(text, ",\"next_step\":");
    put_word(text, node->next_step);
    pc_observe_put(text, ",\"rounds\":%" PRIu64 ",\"first_verified_ms\":", join->rounds);
    put_ms(text, join->first_verified_us);
    pc_observe_put(text, ",\"fifth_verified_ms\":");
    put_ms(text, join->fifth_verified_us);
    pc_observe_put(text, ",\"cache_hits\":%" PRIu64 ",\"cache_misses\":%" PRIu64, join->cache_hits,
                   join->cache_misses);
    pc_observe_put(text, ",\"name_questions\":%" PRIu64 ",\"name_questions_failed\":%" PRIu64,
                   join->questions, join->questions_failed);
    put_dials(join, text);
    pc_observe_put(text, "}");
}

static void put_endpoints(const struct pc_node_status *node, struct pc_observe_text *text)
{
    pc_observe_put(text, MEMBER("endpoints") "[");
    for (size_t i = 0; i < node->endpoint_count; i++) {
        const peercache_endpoint_report *endpoint = &node->endpoints[i];
        pc_observe_put(text, "%s{\"url\":", i ? "," : "");
        put_word(text, endpoint->url);
        pc_observe_put(text, ",\"breaker\":\"%s\",\"result\":", endpoint->breaker);
        put_word(text, endpoint->result);
        pc_observe_put(text,
                       ",\"delivered\":%" PRIu32 ",\"verified\":%" PRIu32 ",\"next_try_ms\":%" PRId64 "}",
                       endpoint->delivered, endpoint->verified, endpoint->next_try_ms);
    }
    pc_observe_put(text, "]");
}

static void put_turned_away(const struct pc_libp2p_counters *counters, struct pc_observe_text *text)
{
    pc_observe_put(text, MEMBER("turned_away") "{\"retries_sent\":%" PRIu64, counters->retries);
    for (unsigned i = 0; i < PC_SHED_COUNT; i++)
        pc_observe_put(text, ",\"%s\":%" PRIu64, pc_libp2p_shed_name((enum pc_libp2p_shed)i),
                       counters->shed[i]);
    pc_observe_put(text, "}");
}

static void put_table(const struct pc_node_status *node, struct pc_observe_text *text)
{
    const char *before = "";
    pc_observe_put(text, MEMBER("table") "{\"peers\":%zu,\"buckets\":[", node->table_count);
    for (size_t i = 0; i < PC_NODE_TABLE_BUCKETS; i++) {
        if (node->buckets[i] == 0)
            continue;
        pc_observe_put(text, "%s{\"shared_bits\":%zu,\"peers\":%u}", before, i, node->buckets[i]);
        before = ",";
    }
    pc_observe_put(text, "]}");
}

static void put_cache(const struct pc_observation *observation, struct pc_observe_text *text)
{
    const struct pc_node_status *node = &observation->node;
    bool has_store = observation->store_path[0] != '\0';
    pc_observe_put(text, MEMBER("cache") "{\"new\":%zu,\"tried\":%zu,\"unsaved_changes\":%zu", node->fresh,
                   node->tried, node->pending);
    pc_observe_put(text, ",\"is_saving\":%s,\"save_failed\":%s,\"last_success\":", truth(node->is_saving),
                   truth(node->save_failed));
    put_time(text, node->last_success_ms);
    pc_observe_put(text, "}" MEMBER("store"));
    if (!has_store) {
        pc_observe_put(text, "null");
        return;
    }
    pc_observe_put(text, "{\"path\":");
    put_word(text, observation->store_path);
    pc_observe_put(text,
                   ",\"is_healthy\":%s,\"is_writable\":%s,\"problem\":", truth(observation->store_is_healthy),
                   truth(observation->store_is_writable));
    put_word(text, observation->store_problem);
    pc_observe_put(text, "}");
}

static void put_process(const struct pc_observation *observation, struct pc_observe_text *text)
{
    pc_observe_put(text,
                   MEMBER("traffic") "{\"datagrams_received\":%" PRIu64 ",\"datagrams_sent\":%" PRIu64 "}",
                   observation->datagrams_received, observation->datagrams_sent);
    pc_observe_put(text, MEMBER("process") "{\"resident_bytes\":");
    put_known(text, observation->resident_bytes);
    pc_observe_put(text, ",\"descriptors\":");
    put_known(text, observation->descriptors);
    pc_observe_put(text, ",\"descriptors_max\":");
    put_known(text, observation->descriptors_max);
    pc_observe_put(text, "}");
}

void pc_observe_status_json(const struct pc_observation *observation, struct pc_observe_text *text)
{
    const struct pc_node_status *node = &observation->node;
    char id[PC_PEER_ID_TEXT_BYTES];
    pc_addr_peer_id_format(&node->id, id);
    pc_observe_put(text, "{\n\"status\":\"%s\"" MEMBER("phase") "\"%s\"" MEMBER("mode") "\"%s\"",
                   pc_node_standing_name(node->standing), node->phase, mode_of(node));
    pc_observe_put(text, MEMBER("id"));
    put_word(text, id);
    pc_observe_put(text, MEMBER("network"));
    put_word(text, observation->network);
    pc_observe_put(text, MEMBER("version"));
    put_word(text, observation->version);
    pc_observe_put(text, MEMBER("started"));
    put_time(text, observation->started_ms);
    pc_observe_put(text, MEMBER("uptime_ms"));
    put_ms(text, observation->uptime_us);
    put_addresses(node, text);
    put_join(node, text);
    put_endpoints(node, text);
    pc_observe_put(text,
                   MEMBER("connections") "{\"outbound\":%zu,\"inbound\":%zu,\"dialing\":%zu,\"requests\":%zu,"
                                         "\"closed_over_mark\":%" PRIu64 ",\"closed_doubles\":%" PRIu64 ","
                                         "\"last_answer_age_ms\":",
                   node->outbound, node->inbound, node->dialing, node->requests, node->trimmed,
                   node->doubles);
    put_ms(text, node->answered_ago_us);
    pc_observe_put(text, "}");
    pc_observe_put(text, MEMBER("load") "{\"inbound_streams\":%zu,\"buffered_bytes\":%zu}",
                   observation->turned_away.streams, observation->turned_away.buffered_bytes);
    put_turned_away(&observation->turned_away, text);
    put_table(node, text);
    put_cache(observation, text);
    put_process(observation, text);
    pc_observe_put(text, "\n}\n");
}
