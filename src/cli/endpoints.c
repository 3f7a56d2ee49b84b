/*
 * peercache endpoints: those of the network's description, those given, and those that the cache remembers, with what it
 * remembers of each. Nothing is asked, and nothing changes.
 */
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/join_report.h"
#include "cli/session.h"

#include "driver/options.h"
#include "join/endpoint_memory.h"
#include "store/store.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_TIMEOUT_MS 2000

enum origin {
    FROM_FLAG,
    FROM_NETWORK,
    FROM_CACHE,
};
static const char *const origin_names[] = { "flag", "network", "cache" };

struct row {
    enum origin origin;
    struct pc_endpoint_memory memory; /* of one never asked: the URL alone */
    uint32_t verified;                /* of the peers of its last answer */
};

struct listing {
    struct pc_cli_session session;
    struct pc_store *store; /* NULL: no cache */
    peercache_time now;
    struct row *rows;
    size_t count, room;
    size_t configured; /* rows that are not only remembered: the first ones */
    char **keys;       /* of all that is remembered */
    size_t key_count, key_room;
};

static enum pc_cli_exit out_of_memory(const struct listing *listing)
{
    return pc_cli_fail(listing->session.options->json, PC_CLI_COULD_NOT, "no_memory", "out of memory");
}

/* ----- which there are ----- */

/* Takes what `memory` owns, also when it fails. ENOMEM. */
static int row_add(struct listing *listing, enum origin origin, struct pc_endpoint_memory *memory)
{
    if (listing->count == listing->room) {
        size_t room = listing->room > 0 ? listing->room * 2 : 8;
        struct row *rows = realloc(listing->rows, room * sizeof(*rows));
        if (!rows) {
            pc_endpoint_memory_deinit(memory);
            return PEERCACHE_ENOMEM;
        }
        listing->rows = rows;
        listing->room = room;
    }
    listing->rows[listing->count++] = (struct row){ .origin = origin, .memory = *memory };
    return 0;
}

/* Compared with the configured ones alone, of which there are few: each key of the cache is another. */
static bool is_configured(const struct listing *listing, const char *url)
{
    for (size_t i = 0; i < listing->configured; i++)
        if (strcmp(listing->rows[i].memory.url, url) == 0)
            return true;
    return false;
}

static int configured_add(struct listing *listing, enum origin origin, const char *url)
{
    struct pc_endpoint_memory memory;
    if (is_configured(listing, url))
        return 0;
    int result = pc_endpoint_memory_init(&memory, url);
    if (result == 0)
        result = row_add(listing, origin, &memory);
    listing->configured = listing->count;
    return result;
}

static enum pc_cli_exit add_given(struct listing *listing)
{
    const struct peercache_node_options *n = listing->session.node_options;
    int result = 0;
    for (size_t i = 0; i < n->endpoint_count && result == 0; i++)
        result = configured_add(listing, FROM_FLAG, n->endpoints[i]);
    return result ? out_of_memory(listing) : PC_CLI_DONE;
}

/* As the node takes them: with a protocol of its own a network needs no description, and what is described of another
 * protocol's network is of no use. */
static enum pc_cli_exit add_described(struct listing *listing)
{
    const struct pc_cli_options *o = listing->session.options;
    struct pc_driver_network_dirs dirs;
    struct pc_reason reason = { "" };
    if (!pc_driver_options_described(listing->session.node_options))
        return PC_CLI_DONE;
    struct pc_driver_network *network = malloc(sizeof(*network));
    if (!network)
        return out_of_memory(listing);
    pc_driver_network_dirs_of_environment(&dirs);
    int result = pc_driver_network_find(o->network, &dirs, network, &reason);
    if (o->kad_protocol && (result || strcmp(network->kad_protocol, o->kad_protocol) != 0)) {
        network->endpoint_count = 0;
        result = 0;
    }
    if (result) {
        free(network);
        return pc_cli_fail(o->json, pc_cli_error_exit(result), pc_cli_error_code(result), "%s", reason.text);
    }
    for (size_t i = 0; i < network->endpoint_count && result == 0; i++)
        result = configured_add(listing, FROM_NETWORK, network->endpoints[i]);
    free(network);
    return result ? out_of_memory(listing) : PC_CLI_DONE;
}

/* ----- what is remembered ----- */

static enum pc_cli_exit open_store(struct listing *listing)
{
    const struct pc_cli_options *o = listing->session.options;
    struct pc_reason reason = { "" };
    struct pc_store_options options = {
        .network = o->network,
        .mode = o->local ? PC_NETGROUP_LOCAL : PC_NETGROUP_PUBLIC,
        .read_only = true,
        .timeout_ms = LOCK_TIMEOUT_MS,
        .now_ms = listing->now.wall_ms,
    };
    if (!*listing->session.cache || pc_cli_cache_is_missing(listing->session.cache))
        return PC_CLI_DONE;
    randombytes_buf(options.random, sizeof(options.random));
    int result = pc_store_open(listing->session.cache, &options, &listing->store, &reason);
    if (result)
        return pc_cli_fail(o->json, pc_cli_error_exit(result), pc_cli_error_code(result), "%s",
                           *reason.text ? reason.text : peercache_strerror(result));
    if (*listing->store->warning.text)
        pc_cli_note("%s", listing->store->warning.text);
    return PC_CLI_DONE;
}

static enum pc_cli_exit store_failed(const struct listing *listing, int error)
{
    const char *why = listing->store->error.text;
    return pc_cli_fail(listing->session.options->json, pc_cli_error_exit(error), pc_cli_error_code(error),
                       "%s", *why ? why : peercache_strerror(error));
}

/* ENOTFOUND: nothing is remembered, or nothing that can be read. */
static int memory_load(struct listing *listing, const char *key, struct pc_endpoint_memory *ret_memory)
{
    size_t size = 0;
    uint8_t *bytes = malloc(PC_ENDPOINT_MEMORY_MAX_BYTES);
    if (!bytes)
        return PEERCACHE_ENOMEM;
    int result = pc_store_meta_get(listing->store, key, bytes, PC_ENDPOINT_MEMORY_MAX_BYTES, &size);
    if (result == 0)
        result = pc_endpoint_memory_read(pc_bytes_of(bytes, size), ret_memory);
    free(bytes);
    if (result != PEERCACHE_EPARSE && result != PEERCACHE_ELIMIT)
        return result;
    pc_cli_note("what the cache remembers under %s can't be read, and is passed over", key);
    return PEERCACHE_ENOTFOUND;
}

static int row_load(struct listing *listing, struct row *row)
{
    char key[PC_ENDPOINT_KEY_BYTES];
    struct pc_endpoint_memory memory;
    pc_endpoint_memory_key(row->memory.url, key);
    int result = memory_load(listing, key, &memory);
    if (result)
        return result == PEERCACHE_ENOTFOUND ? 0 : result;
    pc_endpoint_memory_deinit(&row->memory);
    row->memory = memory;
    return 0;
}

static int on_key(void *context, const char *key)
{
    struct listing *listing = context;
    if (listing->key_count == listing->key_room) {
        size_t room = listing->key_room > 0 ? listing->key_room * 2 : 8;
        char **keys = realloc(listing->keys, room * sizeof(*keys));
        if (!keys)
            return PEERCACHE_ENOMEM;
        listing->keys = keys;
        listing->key_room = room;
    }
    char *copy = strdup(key);
    if (!copy)
        return PEERCACHE_ENOMEM;
    listing->keys[listing->key_count++] = copy;
    return 0;
}

static int add_remembered(struct listing *listing)
{
    int result = pc_store_meta_keys(listing->store, PC_ENDPOINT_KEY_PREFIX, on_key, listing);
    for (size_t i = 0; i < listing->key_count && result == 0; i++) {
        struct pc_endpoint_memory memory;
        if (is_configured(listing, listing->keys[i] + strlen(PC_ENDPOINT_KEY_PREFIX)))
            continue; /* its row is there, and loaded */
        result = memory_load(listing, listing->keys[i], &memory);
        if (result == 0 && is_configured(listing, memory.url))
            pc_endpoint_memory_deinit(&memory); /* of a long URL only the memory says which it is */
        else if (result == 0)
            result = row_add(listing, FROM_CACHE, &memory);
        else if (result == PEERCACHE_ENOTFOUND)
            result = 0;
    }
    return result;
}

static int on_record(void *context, const struct pc_record *record)
{
    bool *ever_verified = context;
    for (unsigned i = 0; i < record->addr_count; i++)
        *ever_verified = *ever_verified || record->addrs[i].history.last_success_ms > 0;
    return 0;
}

/* Which of its peers the cache knows to have verified, whoever dialled them. */
static int count_verified(struct listing *listing, struct row *row)
{
    for (size_t i = 0; i < row->memory.peer_count; i++) {
        const struct pc_endpoint_peer *peer = &row->memory.peers[i];
        struct pc_store_query query = { .kind = PC_STORE_BY_ID, .id = peer->id };
        bool ever_verified = false;
        if (peer->id.size == 0)
            query.addr = peer->addr;
        int result = pc_store_query(listing->store, &query, on_record, &ever_verified);
        if (result)
            return result;
        row->verified += ever_verified;
    }
    return 0;
}

static enum pc_cli_exit load(struct listing *listing)
{
    int result = 0;
    if (!listing->store)
        return PC_CLI_DONE;
    for (size_t i = 0; i < listing->configured && result == 0; i++)
        result = row_load(listing, &listing->rows[i]);
    if (result == 0)
        result = add_remembered(listing);
    for (size_t i = 0; i < listing->count && result == 0; i++)
        result = count_verified(listing, &listing->rows[i]);
    return result ? store_failed(listing, result) : PC_CLI_DONE;
}

/* ----- how they are shown ----- */

static peercache_endpoint_report report_of(const struct listing *listing, const struct row *row)
{
    const struct pc_endpoint_memory *memory = &row->memory;
    struct pc_breaker breaker;
    pc_breaker_init(&breaker);
    if (memory->has_breaker) /* what can't be read is as if new */
        (void)pc_breaker_load(pc_bytes_of(memory->breaker, sizeof(memory->breaker)), listing->now.mono_us,
                              listing->now.wall_ms, &breaker);
    int64_t wait_us = pc_base_time_sub(pc_breaker_ready_at(&breaker), listing->now.mono_us);
    bool is_asked = memory->lease_until_ms > listing->now.wall_ms;
    return (peercache_endpoint_report){
        .url = memory->url,
        .result = memory->ended_ms > 0 ? peercache_fetch_name(memory->result) : "",
        .status = memory->status,
        .detail = memory->detail,
        .delivered = (uint32_t)memory->peer_count,
        .verified = row->verified,
        .breaker = pc_breaker_state_name((enum pc_breaker_state)breaker.state),
        .next_try_ms = is_asked      ? -1
                       : wait_us > 0 ? (wait_us + PC_US_PER_MS - 1) / PC_US_PER_MS
                                     : 0,
    };
}

static json_t *row_json(const struct listing *listing, const struct row *row)
{
    const peercache_endpoint_report report = report_of(listing, row);
    json_t *one = pc_cli_endpoint_json(&report, false);
    json_t *more = json_pack("{s:s,s:o,s:o}", "from", origin_names[row->origin], "last_asked",
                             pc_cli_time_json(row->memory.asked_ms), "last_answer",
                             pc_cli_time_json(row->memory.answered_ms));
    if (!one || !more || json_object_update(one, more) != 0) {
        json_decref(one);
        one = NULL;
    }
    json_decref(more);
    return one;
}

static bool print_json(const struct listing *listing)
{
    json_t *array = json_array();
    for (size_t i = 0; i < listing->count && array; i++)
        if (json_array_append_new(array, row_json(listing, &listing->rows[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    return pc_cli_json_print(array);
}

static void row_text(const struct listing *listing, const struct row *row)
{
    const struct pc_endpoint_memory *memory = &row->memory;
    const peercache_endpoint_report report = report_of(listing, row);
    char answer[PC_CLI_TEXT_BYTES], clean[PC_CLI_TEXT_BYTES], time[PC_RFC3339_BYTES],
        wait[PC_CLI_ROUGHLY_BYTES];
    printf("%s  (%s)\n", memory->url, origin_names[row->origin]);
    printf("    %s; last asked %s", report.breaker, pc_cli_time_text(memory->asked_ms, time));
    if (memory->ended_ms > 0)
        printf(": %s", pc_cli_clean(pc_cli_endpoint_answer(&report, answer), clean));
    printf("\n");
    if (memory->answered_ms > 0)
        printf("    %u peer%s of %s, %u of them ever verified\n", report.delivered,
               report.delivered == 1 ? "" : "s", pc_cli_time_text(memory->answered_ms, time),
               report.verified);
    if (report.next_try_ms < 0)
        printf("    is asked now\n");
    else if (report.next_try_ms > 0)
        printf("    may be asked again in %s\n", pc_cli_roughly(report.next_try_ms, wait));
}

static bool print_text(const struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++)
        row_text(listing, &listing->rows[i]);
    printf("%zu endpoints\n", listing->count);
    return pc_cli_flush();
}

static enum pc_cli_exit list_endpoints(struct listing *listing, const struct pc_cli_options *o)
{
    struct pc_driver_clock clock;
    enum pc_cli_exit exit = pc_cli_session_init(&listing->session, o, true);
    if (!exit)
        exit = pc_cli_session_add_endpoints(&listing->session);
    if (exit)
        return exit;
    pc_driver_clock_init(&clock);
    listing->now = pc_driver_clock_now(&clock);
    exit = add_given(listing);
    if (!exit)
        exit = add_described(listing);
    if (!exit)
        exit = open_store(listing);
    if (!exit)
        exit = load(listing);
    if (exit)
        return exit;
    return (o->json ? print_json(listing) : print_text(listing)) ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}

enum pc_cli_exit pc_cli_endpoints(const struct pc_cli_options *options)
{
    struct listing listing = { .store = NULL };
    enum pc_cli_exit exit = list_endpoints(&listing, options);
    for (size_t i = 0; i < listing.count; i++)
        pc_endpoint_memory_deinit(&listing.rows[i].memory);
    for (size_t i = 0; i < listing.key_count; i++)
        free(listing.keys[i]);
    free(listing.rows);
    free(listing.keys);
    pc_store_close(listing.store);
    pc_cli_session_deinit(&listing.session);
    return exit;
}
