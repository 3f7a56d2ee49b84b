/*
 * What a command is told, by flags, environment and config file, parsed once for all commands: a table of options, and for each
 * command the set of those it takes. Flags win over the environment, that over the file, that over defaults; of an option that
 * may be given several times the whole list is that of one of them. Whatever is wrong is said in one sentence that names what and
 * where, before anything is opened or dialled (exit 2).
 */
#ifndef PC_CLI_OPTIONS_H
#define PC_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "cli/settings.h"

#include <peercache/node.h>
#include <peercache/peercache.h>

#define PC_CLI_PEERS_MAX          256     /* --peer */
#define PC_CLI_LISTENS_MAX        16      /* --listen, --announce */
#define PC_CLI_ENDPOINTS_MAX      32      /* --endpoint, --network-contacts-url */
#define PC_CLI_RANGES_MAX         256     /* --allow, --deny */
#define PC_CLI_TARGET_MAX         1000    /* --target-peers, --min-peers */
#define PC_CLI_FINDS_MAX          64      /* ids of find */
#define PC_CLI_COUNT_MAX          1000000 /* --count */
#define PC_CLI_AT_ONCE_MAX        500     /* --concurrency */
#define PC_CLI_DEMO_NODES_MIN     3
#define PC_CLI_DEMO_NODES_MAX     100
#define PC_CLI_TARGET_DEFAULT     5
#define PC_CLI_MIN_DEFAULT        1
#define PC_CLI_TIMEOUT_DEFAULT    "10s"
#define PC_CLI_COUNT_DEFAULT      4
#define PC_CLI_AT_ONCE_DEFAULT    50
#define PC_CLI_DEMO_NODES_DEFAULT 40
#define PC_CLI_PICK_DEFAULT       10
#define PC_CLI_CONNECTIONS_MAX    100000 /* --connections-low, --connections-high */
#define PC_CLI_CONNECTIONS_LOW    256    /* defaults */
#define PC_CLI_CONNECTIONS_HIGH   384
#define PC_CLI_CONNECTIONS_IDLE   "60s"
#define PC_CLI_GROUP_MAX          5120 /* --group-per-bucket, --group-per-table */
#define PC_CLI_GROUP_PER_BUCKET   2
#define PC_CLI_GROUP_PER_TABLE    3

/* What every command ends with. */
enum pc_cli_exit {
    PC_CLI_DONE = 0,
    PC_CLI_COULD_NOT = 1,
    PC_CLI_USAGE = 2,
};

enum pc_cli_log_form {
    PC_CLI_LOG_NONE, /* not given */
    PC_CLI_LOG_TEXT,
    PC_CLI_LOG_JSON,
};

/* The environment variable with peers to join through, comma-separated: they come beside those of `peer`. */
#define PC_CLI_ENV_PEERS "PEERCACHE_PEERS"
#define PC_CLI_ENV_PEER  "PEERCACHE_PEER" /* which is refused: one name is enough */
/* The one that names a config file. */
#define PC_CLI_ENV_CONFIG "PEERCACHE_CONFIG"

/* Texts are those of `settings`. */
struct pc_cli_options {
    const struct pc_cli_command *command; /* the row of main.c */
    struct pc_cli_settings settings;      /* all that was given, and where */
    bool json;
    bool verbose;
    bool help;
    bool local;
    const char *cache; /* NULL: the default path */
    bool no_cache;
    bool no_save;
    bool no_walk;
    const char *network;
    const char *kad_protocol; /* NULL: that of the network's description */
    const char *key;          /* NULL: none given */
    const char *peers[PC_CLI_PEERS_MAX];
    size_t peer_count;
    const char *listens[PC_CLI_LISTENS_MAX];
    size_t listen_count;
    peercache_mode mode; /* of run */
    const char *announces[PC_CLI_LISTENS_MAX];
    size_t announce_count;
    const char *endpoints[PC_CLI_ENDPOINTS_MAX];
    size_t endpoint_count;
    const char *contacts[PC_CLI_ENDPOINTS_MAX]; /* each a comma-separated list of endpoints */
    size_t contact_count;
    const char *allowed[PC_CLI_RANGES_MAX]; /* CIDR */
    size_t allowed_count;
    const char *denied[PC_CLI_RANGES_MAX];
    size_t denied_count;
    bool no_endpoints;
    bool no_env;
    bool exclusive;
    bool new_network;
    bool ignore_cache;
    const char *resolver; /* NULL: those of the system */
    const char *http;     /* NULL: not served */
    enum pc_cli_log_form log;
    const char *log_levels; /* NULL: none given */
    bool redact;
    const char *ca_file; /* NULL: what the system trusts */
    uint32_t target;
    uint32_t min;
    uint32_t timeout_ms;
    uint32_t concurrency;
    uint32_t crawl_timeout_ms;  /* 0: none */
    uint32_t save_period_ms;    /* 0: not given */
    uint32_t refresh_period_ms; /* 0: not given */
    uint32_t connections_low;
    uint32_t connections_high;
    uint32_t connections_idle_ms;
    uint32_t group_per_bucket;
    uint32_t group_per_table;
    uint32_t count;
    uint32_t nodes;
    uint32_t times;         /* of report: --count */
    uint32_t rtt_ms;        /* 0: none given */
    peercache_outcome code; /* OK: none given */
    bool unverified;
    uint32_t number; /* of pick */
    bool explain;
    bool has_seed;
    uint32_t seed;
    uint32_t policies; /* PEERCACHE_PRUNE_… bits; 0: none given */
    bool dry_run;
    peercache_format format; /* ANY: none given */
    bool trust;
    const char *output; /* NULL: standard output */
    bool repair;
    bool list_bans;
    uint32_t max_peers;
    bool print_config;
    char *const *arguments; /* what is no flag */
    size_t argument_count;
};

struct pc_cli_command {
    const char *name;
    const char *arguments; /* for the usage line */
    const char *summary;
    const uint64_t *flags; /* one of the sets below */
    size_t arguments_min;
    size_t arguments_max;
    size_t multiaddrs; /* so many of the first ones are multiaddrs, looked at before anything is opened */
    enum pc_cli_exit (*run)(const struct pc_cli_options *options);
};

/* Sets of flags, for the table of commands. */
extern const uint64_t pc_cli_flags_shared; /* what every command takes */
extern const uint64_t pc_cli_flags_join;
extern const uint64_t pc_cli_flags_run;
extern const uint64_t pc_cli_flags_crawl;
extern const uint64_t pc_cli_flags_ping;
extern const uint64_t pc_cli_flags_find;
extern const uint64_t pc_cli_flags_id;
extern const uint64_t pc_cli_flags_demo;  /* alone, without the shared ones */
extern const uint64_t pc_cli_flags_cache; /* what every command on the cache takes */
extern const uint64_t pc_cli_flags_report;
extern const uint64_t pc_cli_flags_ban;
extern const uint64_t pc_cli_flags_pick;
extern const uint64_t pc_cli_flags_prune;
extern const uint64_t pc_cli_flags_import;
extern const uint64_t pc_cli_flags_export;
extern const uint64_t pc_cli_flags_check;
extern const uint64_t pc_cli_flags_endpoints;

/*
 * Parse what follows the command's name, the environment and the config file. Not 0: wrong usage, or a file that can't be read,
 * and the reason is the sentence. After --help the rest is not looked at.
 */
int pc_cli_options_parse(const struct pc_cli_command *command, int argc, char **argv,
                         struct pc_cli_options *ret_options, struct pc_reason *ret_reason);
void pc_cli_options_deinit(struct pc_cli_options *options);
/* How an error names the option `word`: where `value`, a text of `options`, was given; NULL: where what holds was. Returns
 * ret_where. */
const char *pc_cli_options_where(const struct pc_cli_options *options, const char *word, const char *value,
                                 char ret_where[PC_CLI_WHERE_BYTES]);
/* The usage and the flags of a command, on standard output. */
void pc_cli_options_help(const struct pc_cli_command *command);

#endif
