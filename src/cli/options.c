#include "cli/options.h"

#include "cli/near.h"
#include "cli/option_sources.h"
#include "cli/option_table.h"
#include "cli/value.h"

#include <peercache/peercache.h>

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include <stdio.h>

/* One row a flag: `letter` is its short form, 0 for none. Two flags may have one word, where no command takes
 * both. */
#define FLAG_LIST(X)                                                                                         \
    X(FLAG_PEER, "peer", 0, "MULTIADDR", "dial this peer first; may be given up to 256 times")               \
    X(FLAG_ENDPOINT, "endpoint", 0, "URL",                                                                   \
      "ask here too for peers, when the cache does not serve; up to 32")                                     \
    X(FLAG_NO_ENDPOINTS, "no-endpoints", 0, NULL, "use no endpoint and no bootstrap peer of the network")    \
    X(FLAG_NO_ENV, "no-env", 0, NULL, "pass over the peers in PEERCACHE_PEERS")                              \
    X(FLAG_EXCLUSIVE, "exclusive", 0, NULL, "dial the given peers only: no cache, nobody that others name")  \
    X(FLAG_NEW_NETWORK, "new-network", 0, NULL, "begin a network: dial nobody to join")                      \
    X(FLAG_IGNORE_CACHE, "ignore-cache", 0, NULL,                                                            \
      "don't dial peers of the cache; what is met is kept there")                                            \
    X(FLAG_ALLOW, "allow", 0, "CIDR", "may be dialled though it is private; may be given several times")     \
    X(FLAG_DENY, "deny", 0, "CIDR", "may not be dialled; the longest prefix decides")                        \
    X(FLAG_RESOLVER, "resolver", 0, "ADDRESS", "ask this name server: 192.0.2.1, 192.0.2.1:5353, [::1]:53")  \
    X(FLAG_CA_FILE, "ca-file", 0, "FILE", "certificates (PEM) that https endpoints must be signed by")       \
    X(FLAG_FIRST, "first", 0, NULL, "older name of --new-network")                                           \
    X(FLAG_CONTACTS, "network-contacts-url", 0, "URLS", "older name of --endpoint; a comma-separated list")  \
    X(FLAG_TARGET, "target-peers", 0, "N", "stop joining at so many verified peers (default 5)")             \
    X(FLAG_MIN, "min-peers", 0, "N", "fewer verified peers are a failure (default 1)")                       \
    X(FLAG_TIMEOUT, "timeout", 0, "DURATION", "for the whole join: 10s, 500ms, 2m (default 10s)")            \
    X(FLAG_NO_SAVE, "no-save", 0, NULL, "write nothing to the cache")                                        \
    X(FLAG_NO_WALK, "no-walk", 0, NULL, "don't look our own id up after joining")                            \
    X(FLAG_MODE, "mode", 0, "MODE", "auto (default): serve once it can be reached; server; or client")       \
    X(FLAG_ANNOUNCE, "announce", 0, "MULTIADDR", "announce this and not what is listened on; up to 16")      \
    X(FLAG_LISTEN, "listen", 0, "MULTIADDR", "listen here, /ip4/…/udp/…/quic-v1; port 0 takes a free one")   \
    X(FLAG_KEY, "key", 0, "FILE", "private key, libp2p protobuf; made (mode 0600) when missing")             \
    X(FLAG_SAVE_PERIOD, "save-period", 0, "DURATION",                                                        \
      "save to the cache this often: 60m, 10s (default 60m)")                                                \
    X(FLAG_REFRESH_PERIOD, "refresh-period", 0, "DURATION",                                                  \
      "refresh the routing table at least this often (default: as it needs)")                                \
    X(FLAG_CONNECTIONS_LOW, "connections-low", 0, "N",                                                       \
      "close idle connections down to so many (default 256)")                                                \
    X(FLAG_CONNECTIONS_HIGH, "connections-high", 0, "N", "when there are more than these (default 384)")     \
    X(FLAG_CONNECTIONS_IDLE, "connections-idle", 0, "DURATION",                                              \
      "close what is not used for so long (default 60s)")                                                    \
    X(FLAG_GROUP_BUCKET, "group-per-bucket", 0, "N", "peers of a network group in a bucket (default 2)")     \
    X(FLAG_GROUP_TABLE, "group-per-table", 0, "N", "and in the whole routing table (default 3)")             \
    X(FLAG_HTTP, "http", 0, "ADDRESS", "serve metrics, health and peers: 127.0.0.1:PORT or unix:PATH")       \
    X(FLAG_LOG, "log", 0, "FORM", "log on standard error as text or json")                                   \
    X(FLAG_LOG_LEVEL, "log-level", 0, "LEVELS", "such as debug or node=debug,driver=info (default info)")    \
    X(FLAG_REDACT, "redact", 0, NULL, "log without the addresses of peers")                                  \
    X(FLAG_CONCURRENCY, "concurrency", 0, "N", "peers dialled and asked at once, 1 to 500 (default 50)")     \
    X(FLAG_CRAWL_TIMEOUT, "timeout", 0, "DURATION", "end with what there is by then (default none)")         \
    X(FLAG_COUNT, "count", 0, "N", "pings to send, a second apart (default 4)")                              \
    X(FLAG_NODES, "nodes", 0, "N", "nodes of the demo network, 3 to 100 (default 40)")                       \
    X(FLAG_TIMES, "count", 0, "N", "so many dials ended like this (default 1)")                              \
    X(FLAG_RTT, "rtt", 0, "DURATION", "of a success: its round-trip time, such as 12ms")                     \
    X(FLAG_CODE, "code", 0, "CODE", "of a failure: what became of the dial (default timeout)")               \
    X(FLAG_UNVERIFIED, "unverified", 0, NULL, "of a success: a good sign, no proof; only last_seen moves")   \
    X(FLAG_NUMBER, "number", 'n', "N", "pick so many at most (default 10); also -n")                         \
    X(FLAG_EXPLAIN, "explain", 0, NULL, "say of each peer why it was chosen or passed over")                 \
    X(FLAG_SEED, "seed", 0, "N", "choose from this seed: on the same cache the same ones")                   \
    X(FLAG_POLICY, "policy", 0, "POLICY", "unreliable, stale or capacity; may be repeated (default all)")    \
    X(FLAG_DRY_RUN, "dry-run", 0, NULL, "remove nothing, only tell")                                         \
    X(FLAG_FORMAT, "format", 0, "FORMAT", "list, map, ant-v0, ant-v1, endpoint, text or kubo")               \
    X(FLAG_TRUST, "trust", 0, NULL, "believe its counts, times, states and sources, and admit DNS names")    \
    X(FLAG_OUTPUT, "output", 'o', "FILE", "write here and not to standard output; also -o")                  \
    X(FLAG_REPAIR, "repair", 0, NULL, "rebuild a damaged file from what can be read of it")                  \
    X(FLAG_BANNED, "list", 0, NULL, "list the bans")                                                         \
    X(FLAG_MAX_PEERS, "max-peers", 0, "N", "peers kept at most, 1 to 10000000 (default 10000)")              \
    X(FLAG_CACHE, "cache", 0, "PATH", "the cache file (default: see peercache(1), FILES)")                   \
    X(FLAG_NO_CACHE, "no-cache", 0, NULL, "neither read nor write a cache")                                  \
    X(FLAG_NETWORK, "network", 0, "NAME", "the network to join (default ipfs)")                              \
    X(FLAG_LOCAL, "local", 0, NULL, "admit loopback and private addresses, each ip:port its own group")      \
    X(FLAG_KAD_PROTOCOL, "kad-protocol", 0, "NAME", "Kademlia protocol, such as /ipfs/kad/1.0.0")            \
    X(FLAG_CONFIG, "config", 0, "FILE", "options from this file too, see peercache.conf(5)")                 \
    X(FLAG_PRINT_CONFIG, "print-config", 0, NULL, "print each option, its value and its origin, and end")    \
    X(FLAG_JSON, "json", 0, NULL, "print JSON")                                                              \
    X(FLAG_VERBOSE, "verbose", 'v', NULL, "tell on standard error what happens, with times; also -v")        \
    X(FLAG_HELP, "help", 'h', NULL, "print this; also -h")

enum flag {
#define X(name, word, letter, value, text) name,
    FLAG_LIST(X)
#undef X
        FLAG_COUNT_OF
};

static const struct pc_cli_option_row flag_rows[FLAG_COUNT_OF] = {
#define X(name, word, letter, value, text) { word, letter, value, text },
    FLAG_LIST(X)
#undef X
};

_Static_assert(FLAG_COUNT_OF <= PC_CLI_SETTING_OPTIONS_MAX, "a set of flags is 64 bits");
#define BIT(flag)   (UINT64_C(1) << (flag))
#define BITS_OUTPUT (BIT(FLAG_JSON) | BIT(FLAG_VERBOSE) | BIT(FLAG_HELP))
#define BITS_SHARED                                                                                          \
    (BIT(FLAG_CACHE) | BIT(FLAG_NO_CACHE) | BIT(FLAG_NETWORK) | BIT(FLAG_LOCAL) | BIT(FLAG_KAD_PROTOCOL) |   \
     BIT(FLAG_CONFIG) | BITS_OUTPUT)

#define BITS_CACHE     (BITS_SHARED | BIT(FLAG_MAX_PEERS))

#define BITS_DIAL      (BIT(FLAG_ALLOW) | BIT(FLAG_DENY) | BIT(FLAG_RESOLVER))
#define BITS_ENDPOINTS (BIT(FLAG_ENDPOINT) | BIT(FLAG_CONTACTS) | BIT(FLAG_NO_ENDPOINTS))
/* Where peers to join through come from, and which may be dialled. */
#define BITS_SOURCES                                                                                         \
    (BITS_DIAL | BITS_ENDPOINTS | BIT(FLAG_PEER) | BIT(FLAG_NO_ENV) | BIT(FLAG_EXCLUSIVE) |                  \
     BIT(FLAG_NEW_NETWORK) | BIT(FLAG_FIRST) | BIT(FLAG_IGNORE_CACHE) | BIT(FLAG_CA_FILE) |                  \
     BIT(FLAG_MAX_PEERS))

#define BITS_LOG (BIT(FLAG_LOG) | BIT(FLAG_LOG_LEVEL) | BIT(FLAG_REDACT))

const uint64_t pc_cli_flags_shared = BITS_SHARED;
const uint64_t pc_cli_flags_join = BITS_SHARED | BITS_SOURCES | BIT(FLAG_TARGET) | BIT(FLAG_MIN) |
                                   BIT(FLAG_TIMEOUT) | BIT(FLAG_NO_SAVE) | BIT(FLAG_NO_WALK) | BITS_LOG;
const uint64_t pc_cli_flags_run = BITS_SHARED | BITS_SOURCES | BIT(FLAG_MODE) | BIT(FLAG_ANNOUNCE) |
                                  BIT(FLAG_LISTEN) | BIT(FLAG_KEY) | BIT(FLAG_HTTP) | BIT(FLAG_SAVE_PERIOD) |
                                  BIT(FLAG_REFRESH_PERIOD) | BITS_LOG | BIT(FLAG_CONNECTIONS_LOW) |
                                  BIT(FLAG_CONNECTIONS_HIGH) | BIT(FLAG_CONNECTIONS_IDLE) |
                                  BIT(FLAG_GROUP_BUCKET) | BIT(FLAG_GROUP_TABLE) | BIT(FLAG_PRINT_CONFIG);
const uint64_t pc_cli_flags_crawl =
    BITS_SHARED | (BITS_SOURCES & ~(BIT(FLAG_EXCLUSIVE) | BIT(FLAG_NEW_NETWORK) | BIT(FLAG_FIRST))) |
    BIT(FLAG_CONCURRENCY) | BIT(FLAG_CRAWL_TIMEOUT) | BIT(FLAG_NO_SAVE) | BIT(FLAG_FORMAT) |
    BIT(FLAG_OUTPUT) | BITS_LOG;
const uint64_t pc_cli_flags_ping = BITS_SHARED | BITS_DIAL | BIT(FLAG_COUNT);
const uint64_t pc_cli_flags_find = BITS_SHARED | BITS_SOURCES | BIT(FLAG_TARGET) | BIT(FLAG_MIN) |
                                   BIT(FLAG_TIMEOUT) | BIT(FLAG_NO_SAVE) | BITS_LOG;
const uint64_t pc_cli_flags_endpoints = BITS_SHARED | BITS_ENDPOINTS;
const uint64_t pc_cli_flags_id = BITS_SHARED | BIT(FLAG_KEY);
const uint64_t pc_cli_flags_demo = BITS_OUTPUT | BIT(FLAG_NODES);
const uint64_t pc_cli_flags_cache = BITS_CACHE;
const uint64_t pc_cli_flags_report =
    BITS_CACHE | BIT(FLAG_TIMES) | BIT(FLAG_RTT) | BIT(FLAG_CODE) | BIT(FLAG_UNVERIFIED);
const uint64_t pc_cli_flags_ban = BITS_CACHE | BIT(FLAG_BANNED);
const uint64_t pc_cli_flags_pick = BITS_CACHE | BIT(FLAG_NUMBER) | BIT(FLAG_EXPLAIN) | BIT(FLAG_SEED);
const uint64_t pc_cli_flags_prune = BITS_CACHE | BIT(FLAG_POLICY) | BIT(FLAG_DRY_RUN);
const uint64_t pc_cli_flags_import = BITS_CACHE | BIT(FLAG_FORMAT) | BIT(FLAG_TRUST);
const uint64_t pc_cli_flags_export = BITS_CACHE | BIT(FLAG_FORMAT) | BIT(FLAG_OUTPUT);
const uint64_t pc_cli_flags_check = BITS_CACHE | BIT(FLAG_REPAIR);

/* What may be given more than once: a higher layer replaces the whole list, a repeated key of a file adds to it, a variable has
 * its parts between commas. */
#define BITS_LISTS                                                                                           \
    (BIT(FLAG_PEER) | BIT(FLAG_LISTEN) | BIT(FLAG_ANNOUNCE) | BIT(FLAG_ENDPOINT) | BIT(FLAG_CONTACTS) |      \
     BIT(FLAG_ALLOW) | BIT(FLAG_DENY) | BIT(FLAG_POLICY))

/* What a config file and the environment may set: all that a node can be told, but for what belongs to one call of the command,
 * and for older names. The other flags ask for one thing that a command does. */
uint64_t pc_cli_options_settable(void)
{
    return (pc_cli_flags_join | pc_cli_flags_run) &
           ~(BIT(FLAG_HELP) | BIT(FLAG_CONFIG) | BIT(FLAG_PRINT_CONFIG) | BIT(FLAG_FIRST) |
             BIT(FLAG_CONTACTS));
}

/* Values that hold where nothing is given, as they would be written. */
#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF(number)
static const struct {
    enum flag flag;
    const char *value;
} defaults[] = {
    { FLAG_NETWORK, "ipfs" },
    { FLAG_MODE, "auto" },
    { FLAG_TARGET, TEXT(PC_CLI_TARGET_DEFAULT) },
    { FLAG_MIN, TEXT(PC_CLI_MIN_DEFAULT) },
    { FLAG_TIMEOUT, PC_CLI_TIMEOUT_DEFAULT },
    { FLAG_CONNECTIONS_LOW, TEXT(PC_CLI_CONNECTIONS_LOW) },
    { FLAG_CONNECTIONS_HIGH, TEXT(PC_CLI_CONNECTIONS_HIGH) },
    { FLAG_CONNECTIONS_IDLE, PC_CLI_CONNECTIONS_IDLE },
    { FLAG_GROUP_BUCKET, TEXT(PC_CLI_GROUP_PER_BUCKET) },
    { FLAG_GROUP_TABLE, TEXT(PC_CLI_GROUP_PER_TABLE) },
    { FLAG_CONCURRENCY, TEXT(PC_CLI_AT_ONCE_DEFAULT) },
    { FLAG_COUNT, TEXT(PC_CLI_COUNT_DEFAULT) },
    { FLAG_NODES, TEXT(PC_CLI_DEMO_NODES_DEFAULT) },
    { FLAG_TIMES, "1" },
    { FLAG_NUMBER, TEXT(PC_CLI_PICK_DEFAULT) },
    { FLAG_MAX_PEERS, TEXT(PEERCACHE_MAX_PEERS_DEFAULT) },
};

static int text_check(enum flag flag, const char *text, struct pc_reason *ret_reason)
{
    if (*text)
        return 0;
    pc_base_reason(ret_reason, "--%s: the %s is empty", flag_rows[flag].word, flag_rows[flag].value);
    return PEERCACHE_EINVAL;
}

static int list_add(enum flag flag, const char *value, const char **list, size_t capacity, size_t *count,
                    struct pc_reason *ret_reason)
{
    if (*count == capacity) {
        pc_base_reason(ret_reason, "--%s: given more than %zu times", flag_rows[flag].word, capacity);
        return PEERCACHE_EINVAL;
    }
    int error = text_check(flag, value, ret_reason);
    if (error)
        return error;
    list[(*count)++] = value;
    return 0;
}

static int multiaddrs_add(enum flag flag, const char *value, const char **list, size_t capacity,
                          size_t *count, struct pc_reason *ret_reason)
{
    char where[32];
    (void)snprintf(where, sizeof(where), "--%s", flag_rows[flag].word);
    int error = pc_cli_multiaddr_check(where, value, ret_reason);
    return error ? error : list_add(flag, value, list, capacity, count, ret_reason);
}

const struct pc_cli_option_row *pc_cli_option_row(unsigned option)
{
    return option < FLAG_COUNT_OF ? &flag_rows[option] : NULL;
}

bool pc_cli_option_is_list(unsigned option)
{
    return BITS_LISTS & BIT(option);
}

static int flag_take(struct pc_cli_options *o, enum flag flag, const char *value,
                     struct pc_reason *ret_reason)
{
    const char *word = flag_rows[flag].word;
    switch (flag) {
    case FLAG_PEER:
        return multiaddrs_add(flag, value, o->peers, PC_CLI_PEERS_MAX, &o->peer_count, ret_reason);
    case FLAG_LISTEN:
        return multiaddrs_add(flag, value, o->listens, PC_CLI_LISTENS_MAX, &o->listen_count, ret_reason);
    case FLAG_ANNOUNCE:
        return multiaddrs_add(flag, value, o->announces, PC_CLI_LISTENS_MAX, &o->announce_count, ret_reason);
    case FLAG_MODE:
        return pc_cli_mode_parse(value, &o->mode, ret_reason);
    case FLAG_ENDPOINT:
        return list_add(flag, value, o->endpoints, PC_CLI_ENDPOINTS_MAX, &o->endpoint_count, ret_reason);
    case FLAG_CONTACTS:
        return list_add(flag, value, o->contacts, PC_CLI_ENDPOINTS_MAX, &o->contact_count, ret_reason);
    case FLAG_ALLOW:
        return list_add(flag, value, o->allowed, PC_CLI_RANGES_MAX, &o->allowed_count, ret_reason);
    case FLAG_DENY:
        return list_add(flag, value, o->denied, PC_CLI_RANGES_MAX, &o->denied_count, ret_reason);
    case FLAG_NO_ENDPOINTS:
        return pc_cli_truth_parse(word, value, &o->no_endpoints, ret_reason);
    case FLAG_NO_ENV:
        return pc_cli_truth_parse(word, value, &o->no_env, ret_reason);
    case FLAG_EXCLUSIVE:
        return pc_cli_truth_parse(word, value, &o->exclusive, ret_reason);
    case FLAG_NEW_NETWORK:
    case FLAG_FIRST:
        return pc_cli_truth_parse(word, value, &o->new_network, ret_reason);
    case FLAG_IGNORE_CACHE:
        return pc_cli_truth_parse(word, value, &o->ignore_cache, ret_reason);
    case FLAG_RESOLVER:
        o->resolver = value;
        return text_check(flag, value, ret_reason);
    case FLAG_CONNECTIONS_LOW:
        return pc_cli_number_parse(word, value, 1, PC_CLI_CONNECTIONS_MAX, &o->connections_low, ret_reason);
    case FLAG_CONNECTIONS_HIGH:
        return pc_cli_number_parse(word, value, 1, PC_CLI_CONNECTIONS_MAX, &o->connections_high, ret_reason);
    case FLAG_CONNECTIONS_IDLE:
        return pc_cli_duration_parse(word, value, &o->connections_idle_ms, ret_reason);
    case FLAG_GROUP_BUCKET:
        return pc_cli_number_parse(word, value, 1, PC_CLI_GROUP_MAX, &o->group_per_bucket, ret_reason);
    case FLAG_GROUP_TABLE:
        return pc_cli_number_parse(word, value, 1, PC_CLI_GROUP_MAX, &o->group_per_table, ret_reason);
    case FLAG_HTTP:
        o->http = value;
        return text_check(flag, value, ret_reason);
    case FLAG_LOG:
        return pc_cli_log_form_parse(value, &o->log, ret_reason);
    case FLAG_LOG_LEVEL:
        o->log_levels = value;
        return text_check(flag, value, ret_reason);
    case FLAG_REDACT:
        return pc_cli_truth_parse(word, value, &o->redact, ret_reason);
    case FLAG_CA_FILE:
        o->ca_file = value;
        return text_check(flag, value, ret_reason);
    case FLAG_TARGET:
        return pc_cli_number_parse(word, value, 1, PC_CLI_TARGET_MAX, &o->target, ret_reason);
    case FLAG_MIN:
        return pc_cli_number_parse(word, value, 1, PC_CLI_TARGET_MAX, &o->min, ret_reason);
    case FLAG_COUNT:
        return pc_cli_number_parse(word, value, 1, PC_CLI_COUNT_MAX, &o->count, ret_reason);
    case FLAG_NODES:
        return pc_cli_number_parse(word, value, PC_CLI_DEMO_NODES_MIN, PC_CLI_DEMO_NODES_MAX, &o->nodes,
                                   ret_reason);
    case FLAG_TIMEOUT:
        return pc_cli_duration_parse(word, value, &o->timeout_ms, ret_reason);
    case FLAG_CONCURRENCY:
        return pc_cli_number_parse(word, value, 1, PC_CLI_AT_ONCE_MAX, &o->concurrency, ret_reason);
    case FLAG_CRAWL_TIMEOUT:
        return pc_cli_duration_parse(word, value, &o->crawl_timeout_ms, ret_reason);
    case FLAG_SAVE_PERIOD:
        return pc_cli_duration_parse(word, value, &o->save_period_ms, ret_reason);
    case FLAG_REFRESH_PERIOD:
        return pc_cli_duration_parse(word, value, &o->refresh_period_ms, ret_reason);
    case FLAG_TIMES:
        return pc_cli_number_parse(word, value, 1, UINT32_MAX, &o->times, ret_reason);
    case FLAG_RTT:
        return pc_cli_duration_parse(word, value, &o->rtt_ms, ret_reason);
    case FLAG_CODE:
        return pc_cli_code_parse(value, &o->code, ret_reason);
    case FLAG_UNVERIFIED:
        return pc_cli_truth_parse(word, value, &o->unverified, ret_reason);
    case FLAG_NUMBER:
        return pc_cli_number_parse(word, value, 1, PEERCACHE_PICK_MAX, &o->number, ret_reason);
    case FLAG_EXPLAIN:
        return pc_cli_truth_parse(word, value, &o->explain, ret_reason);
    case FLAG_SEED:
        o->has_seed = true;
        return pc_cli_number_parse(word, value, 0, UINT32_MAX, &o->seed, ret_reason);
    case FLAG_POLICY:
        return pc_cli_policy_parse(value, &o->policies, ret_reason);
    case FLAG_DRY_RUN:
        return pc_cli_truth_parse(word, value, &o->dry_run, ret_reason);
    case FLAG_FORMAT:
        return pc_cli_format_parse(value, &o->format, ret_reason);
    case FLAG_TRUST:
        return pc_cli_truth_parse(word, value, &o->trust, ret_reason);
    case FLAG_OUTPUT:
        o->output = value;
        return text_check(flag, value, ret_reason);
    case FLAG_REPAIR:
        return pc_cli_truth_parse(word, value, &o->repair, ret_reason);
    case FLAG_BANNED:
        return pc_cli_truth_parse(word, value, &o->list_bans, ret_reason);
    case FLAG_MAX_PEERS:
        return pc_cli_number_parse(word, value, 1, PEERCACHE_MAX_PEERS_LIMIT, &o->max_peers, ret_reason);
    case FLAG_CACHE:
        o->cache = value;
        return text_check(flag, value, ret_reason);
    case FLAG_CONFIG:
        return text_check(flag, value, ret_reason); /* it was read before */
    case FLAG_PRINT_CONFIG:
        return pc_cli_truth_parse(word, value, &o->print_config, ret_reason);
    case FLAG_KEY:
        o->key = value;
        return text_check(flag, value, ret_reason);
    case FLAG_NETWORK:
        o->network = value;
        return pc_cli_network_check(value, ret_reason);
    case FLAG_KAD_PROTOCOL:
        o->kad_protocol = value;
        return pc_cli_kad_protocol_check(value, ret_reason);
    case FLAG_NO_SAVE:
        return pc_cli_truth_parse(word, value, &o->no_save, ret_reason);
    case FLAG_NO_WALK:
        return pc_cli_truth_parse(word, value, &o->no_walk, ret_reason);
    case FLAG_NO_CACHE:
        return pc_cli_truth_parse(word, value, &o->no_cache, ret_reason);
    case FLAG_LOCAL:
        return pc_cli_truth_parse(word, value, &o->local, ret_reason);
    case FLAG_JSON:
        return pc_cli_truth_parse(word, value, &o->json, ret_reason);
    case FLAG_VERBOSE:
        return pc_cli_truth_parse(word, value, &o->verbose, ret_reason);
    case FLAG_HELP:
        return pc_cli_truth_parse(word, value, &o->help, ret_reason);
    case FLAG_COUNT_OF:
        break;
    }
    return PEERCACHE_EINVAL;
}

static void unknown_flag(const struct pc_cli_command *command, const char *given,
                         struct pc_reason *ret_reason)
{
    const char *near = NULL;
    size_t near_distance = PC_CLI_NEAR + 1;
    char name[33];
    size_t length = strcspn(given, "=");
    (void)snprintf(name, sizeof(name), "%.*s", (int)(length < 32 ? length : 32), given);
    const char *word = name + strspn(name, "-");
    for (size_t i = 0; i < FLAG_COUNT_OF; i++) {
        if (strcmp(word, flag_rows[i].word) == 0) {
            pc_base_reason(ret_reason, "%s takes no flag '%s'; see 'peercache %s --help'", command->name,
                           name, command->name);
            return;
        }
        size_t distance = pc_cli_distance(word, flag_rows[i].word);
        if (*command->flags & BIT(i) && distance < near_distance && strlen(word) > PC_CLI_NEAR) {
            near = flag_rows[i].word;
            near_distance = distance;
        }
    }
    if (near)
        pc_base_reason(ret_reason, "unknown flag '%s'; did you mean '--%s'?", name, near);
    else
        pc_base_reason(ret_reason, "unknown flag '%s'; see 'peercache %s --help'", name, command->name);
}

/* Older names are the same option. */
static unsigned first_name(unsigned option)
{
    return option == FLAG_FIRST ? FLAG_NEW_NETWORK : option == FLAG_CONTACTS ? FLAG_ENDPOINT : option;
}

static const struct pc_cli_setting *find_on(const struct pc_cli_settings *settings, enum flag flag)
{
    const struct pc_cli_setting *found = pc_cli_settings_find(settings, flag);
    bool is_on = true; /* what has a value, is */
    if (found && !flag_rows[flag].value)
        (void)pc_cli_truth_parse(found->name, found->value, &is_on, NULL); /* it was checked */
    return is_on ? found : NULL;
}

/*
 * Settings that exclude each other. What forbids something stays until it is itself said not to hold (--exclusive=no): so nobody
 * who is dialled by a flag opens what a file had closed. Over what a lower layer says it holds, as any setting does.
 */
static int contradictions_check(struct pc_cli_settings *settings, struct pc_reason *ret_reason)
{
    static const struct {
        enum flag forbids;
        enum flag other;
        bool both_forbid;
    } pairs[] = {
        { FLAG_NO_CACHE, FLAG_CACHE, false },
        { FLAG_NO_ENDPOINTS, FLAG_ENDPOINT, false },
        { FLAG_NO_ENDPOINTS, FLAG_CONTACTS, false },
        { FLAG_NEW_NETWORK, FLAG_PEER, false },
        { FLAG_NEW_NETWORK, FLAG_ENDPOINT, false },
        { FLAG_NEW_NETWORK, FLAG_CONTACTS, false },
        { FLAG_NEW_NETWORK, FLAG_EXCLUSIVE, true },
        { FLAG_FIRST, FLAG_PEER, false },
        { FLAG_FIRST, FLAG_ENDPOINT, false },
        { FLAG_FIRST, FLAG_CONTACTS, false },
        { FLAG_FIRST, FLAG_EXCLUSIVE, true },
        { FLAG_EXCLUSIVE, FLAG_ENDPOINT, false },
        { FLAG_EXCLUSIVE, FLAG_CONTACTS, false },
        { FLAG_REDACT, FLAG_VERBOSE, false }, /* whose timeline is of addresses */
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        const struct pc_cli_setting *one = find_on(settings, pairs[i].forbids);
        const struct pc_cli_setting *other = find_on(settings, pairs[i].other);
        char where[PC_CLI_WHERE_BYTES], other_where[PC_CLI_WHERE_BYTES];
        if (!one || !other)
            continue;
        if (one->layer > other->layer && !pairs[i].both_forbid) {
            pc_cli_settings_drop(settings, pairs[i].other);
            continue;
        }
        pc_base_reason(ret_reason, "%.80s and %.80s exclude each other",
                       pc_cli_setting_where(settings, one, where),
                       pc_cli_setting_where(settings, other, other_where));
        return PEERCACHE_EINVAL;
    }
    return 0;
}

/* What only the whole line shows. */
static int line_check(const struct pc_cli_options *o, struct pc_reason *ret_reason)
{
    const struct pc_cli_command *command = o->command;
    if (o->argument_count < command->arguments_min) {
        const char *name = command->arguments;
        for (size_t i = 0; i < o->argument_count; i++) /* the first of those left */
            name = strchr(name, ' ') ? strchr(name, ' ') + 1 : name;
        pc_base_reason(ret_reason, "%s: the %.*s is missing; usage: peercache %s %s", command->name,
                       (int)strcspn(name, " ."), name, command->name, command->arguments);
        return PEERCACHE_EINVAL;
    }
    if (o->argument_count > command->arguments_max) {
        pc_base_reason(ret_reason, "%s: unexpected argument '%.80s'; usage: peercache %s %s", command->name,
                       o->arguments[command->arguments_max], command->name, command->arguments);
        return PEERCACHE_EINVAL;
    }
    for (size_t i = 0; i < command->multiaddrs && i < o->argument_count; i++) {
        int error = pc_cli_multiaddr_check(command->name, o->arguments[i], ret_reason);
        if (error)
            return error;
    }
    if (o->min > o->target) {
        pc_base_reason(ret_reason, "--min-peers %u is more than --target-peers %u", o->min, o->target);
        return PEERCACHE_EINVAL;
    }
    if (o->connections_low > o->connections_high) {
        pc_base_reason(ret_reason, "--connections-low %u is more than --connections-high %u",
                       o->connections_low, o->connections_high);
        return PEERCACHE_EINVAL;
    }
    if (o->group_per_bucket > o->group_per_table) {
        pc_base_reason(ret_reason, "--group-per-bucket %u is more than --group-per-table %u",
                       o->group_per_bucket, o->group_per_table);
        return PEERCACHE_EINVAL;
    }
    return 0;
}

#define FIRST_VALUE 256 /* what getopt returns for a long flag; above every letter */

/* The flag that getopt speaks of, by its number or its letter. */
static enum flag flag_of(int value)
{
    int flag = value - FIRST_VALUE;
    if (value < FIRST_VALUE)
        for (flag = 0; flag < FLAG_COUNT_OF - 1; flag++)
            if (flag_rows[flag].letter == value)
                break;
    return (enum flag)flag;
}

/* What getopt is to know of a command: its flags with their values. What may be set elsewhere too may also be said not to hold. */
struct getopt_table {
    struct option rows[FLAG_COUNT_OF + 1];
    char letters[2 * FLAG_COUNT_OF + 2];
};

static void getopt_table_init(const struct pc_cli_command *command, struct getopt_table *table)
{
    size_t row_count = 0, letter_count = 1;
    memset(table, 0, sizeof(*table));
    table->letters[0] = ':'; /* a missing value is told apart from an unknown flag */
    for (int i = 0; i < FLAG_COUNT_OF; i++) {
        const struct pc_cli_option_row *row = &flag_rows[i];
        if (!(*command->flags & BIT(i)))
            continue;
        int takes = row->value                           ? required_argument
                    : pc_cli_options_settable() & BIT(i) ? optional_argument
                                                         : no_argument;
        table->rows[row_count++] = (struct option){ row->word, takes, NULL, FIRST_VALUE + i };
        if (row->letter)
            table->letters[letter_count++] = row->letter;
        if (row->letter && row->value)
            table->letters[letter_count++] = ':';
    }
}

static void flag_refused(const struct pc_cli_command *command, int value, const char *given,
                         struct pc_reason *ret_reason)
{
    char letter[3] = { '-', (char)optopt, '\0' };
    if (value == ':')
        pc_base_reason(ret_reason, "%s: its %s is missing", given, flag_rows[flag_of(optopt)].value);
    else if (optopt >= FIRST_VALUE)
        pc_base_reason(ret_reason, "--%s takes no value: '%.80s'", flag_rows[optopt - FIRST_VALUE].word,
                       given);
    else
        unknown_flag(command, optopt ? letter : given, ret_reason);
}

/* The flags of the line. */
static int read_flags(struct pc_cli_options *o, int argc, char **argv, struct pc_reason *ret_reason)
{
    struct getopt_table table;
    struct pc_cli_options checked = {
        0
    }; /* takes every value, so that what is wrong is said in the order of the line */
    int value;
    getopt_table_init(o->command, &table);
    optind = 0; /* also resets what GNU getopt remembers of another line */
    opterr = 0;
    while (!checked.help && (value = getopt_long(argc, argv, table.letters, table.rows, NULL)) != -1) {
        const char *given = argv[optind > 0 ? optind - 1 : 0];
        if (value == ':' || value == '?') {
            flag_refused(o->command, value, given, ret_reason);
            return PEERCACHE_EINVAL;
        }
        enum flag flag = flag_of(value);
        const char *text = optarg ? optarg : "yes";
        int error = flag_take(&checked, flag, text, ret_reason);
        if (!error)
            error = pc_cli_settings_add(&o->settings, flag, PC_CLI_FLAG, 0, flag_rows[flag].word,
                                        pc_bytes_of(text, strlen(text)), ret_reason);
        if (error)
            return error;
    }
    o->help = checked.help;
    o->arguments = argv + optind;
    o->argument_count = (size_t)(argc - optind);
    return 0;
}

static int read_defaults(struct pc_cli_options *o, struct pc_reason *ret_reason)
{
    int error = 0;
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]) && !error; i++)
        error = pc_cli_settings_add(&o->settings, defaults[i].flag, PC_CLI_DEFAULT, 0,
                                    flag_rows[defaults[i].flag].word,
                                    pc_bytes_of(defaults[i].value, strlen(defaults[i].value)), ret_reason);
    return error;
}

/* The file that is asked for by flag, or else by variable. NULL: none. */
static const char *config_of(const struct pc_cli_options *o)
{
    const struct pc_cli_setting *given = pc_cli_settings_find(&o->settings, FLAG_CONFIG);
    const char *variable = *o->command->flags & BIT(FLAG_CONFIG) ? getenv(PC_CLI_ENV_CONFIG) : NULL;
    return given ? given->value : variable && *variable ? variable : NULL;
}

/* Give each option what holds of it. */
static int take_all(struct pc_cli_options *o, struct pc_reason *ret_reason)
{
    int error = 0;
    pc_cli_settings_settle(&o->settings, first_name);
    error = contradictions_check(&o->settings, ret_reason);
    for (size_t i = 0; i < o->settings.count && !error; i++)
        if (o->settings.all[i].holds)
            error = flag_take(o, o->settings.all[i].option, o->settings.all[i].value, ret_reason);
    return error;
}

int pc_cli_options_parse(const struct pc_cli_command *command, int argc, char **argv,
                         struct pc_cli_options *ret_options, struct pc_reason *ret_reason)
{
    struct pc_cli_options o = { .command = command, .code = PEERCACHE_OK };
    int error = read_flags(&o, argc, argv, ret_reason);
    if (!error && !o.help) {
        o.settings.file = config_of(&o);
        error = read_defaults(&o, ret_reason);
        if (!error && o.settings.file)
            error = pc_cli_options_read_file(&o, ret_reason);
        if (!error)
            error = pc_cli_options_read_environment(&o, ret_reason);
        if (!error)
            error = take_all(&o, ret_reason);
        if (!error)
            error = line_check(&o, ret_reason);
    }
    if (error) {
        pc_cli_settings_deinit(&o.settings);
        return error;
    }
    *ret_options = o;
    return 0;
}

void pc_cli_options_deinit(struct pc_cli_options *options)
{
    pc_cli_settings_deinit(&options->settings);
}

int pc_cli_option_take(struct pc_cli_options *options, unsigned option, const char *value,
                       struct pc_reason *ret_reason)
{
    return flag_take(options, option, value, ret_reason);
}

const char *pc_cli_options_where(const struct pc_cli_options *options, const char *word, const char *value,
                                 char ret_where[PC_CLI_WHERE_BYTES])
{
    for (size_t i = 0; i < options->settings.count; i++) {
        const struct pc_cli_setting *s = &options->settings.all[i];
        if (value ? s->value == value : s->holds && strcmp(flag_rows[s->option].word, word) == 0)
            return pc_cli_setting_where(&options->settings, s, ret_where);
    }
    (void)snprintf(ret_where, PC_CLI_WHERE_BYTES, "--%s", word);
    return ret_where;
}

void pc_cli_options_help(const struct pc_cli_command *command)
{
    printf("usage: peercache %s%s%s [FLAGS]\n%s.\n\nflags:\n", command->name, *command->arguments ? " " : "",
           command->arguments, command->summary);
    for (int i = 0; i < FLAG_COUNT_OF; i++) {
        char left[40];
        if (!(*command->flags & BIT(i)))
            continue;
        (void)snprintf(left, sizeof(left), "--%s%s%s", flag_rows[i].word, flag_rows[i].value ? " " : "",
                       flag_rows[i].value ? flag_rows[i].value : "");
        printf("  %-27s %s\n", left, flag_rows[i].text);
    }
    printf("\nExit status: 0 done, 1 could not, 2 wrong usage. The manual: man peercache\n");
}
