/* peercache: the command. Finds the command's row, parses its flags, runs it. */
#include "cli/commands.h"
#include "cli/near.h"
#include "cli/output.h"

#include <peercache/peercache.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct pc_cli_command table[] = {
    { "join", "", "Join the network, remember it, and report", &pc_cli_flags_join, 0, 0, 0, pc_cli_join },
    { "run", "", "Run a node that listens, answers and keeps learning", &pc_cli_flags_run, 0, 0, 0,
      pc_cli_run },
    { "list", "", "List the peers of the cache", &pc_cli_flags_cache, 0, 0, 0, pc_cli_list },
    { "show", "PEER_ID", "Show all that the cache knows of one peer", &pc_cli_flags_cache, 1, 1, 0,
      pc_cli_show },
    { "add", "MULTIADDR...", "Add peers to the cache", &pc_cli_flags_cache, 1, SIZE_MAX, SIZE_MAX,
      pc_cli_add },
    { "report", "MULTIADDR success|failure", "Tell the cache what became of a dial", &pc_cli_flags_report, 2,
      2, 1, pc_cli_report },
    { "remove", "PEER_ID...", "Forget peers", &pc_cli_flags_cache, 1, SIZE_MAX, 0, pc_cli_remove },
    { "ban", "PEER_ID|CIDR...", "Forget peers or ranges of addresses, and never add them again",
      &pc_cli_flags_ban, 0, SIZE_MAX, 0, pc_cli_ban },
    { "unban", "PEER_ID|CIDR...", "Lift bans", &pc_cli_flags_cache, 1, SIZE_MAX, 0, pc_cli_unban },
    { "pick", "", "Pick the peers to dial now", &pc_cli_flags_pick, 0, 0, 0, pc_cli_pick },
    { "prune", "", "Remove peers that are not worth keeping", &pc_cli_flags_prune, 0, 0, 0, pc_cli_prune },
    { "import", "FILE|-", "Take in peers from a file of any known format", &pc_cli_flags_import, 1, 1, 0,
      pc_cli_import },
    { "export", "", "Write the cache in any known format", &pc_cli_flags_export, 0, 0, 0, pc_cli_export },
    { "stats", "", "Count what the cache holds", &pc_cli_flags_cache, 0, 0, 0, pc_cli_stats },
    { "check", "", "Look the cache file over for damage", &pc_cli_flags_check, 0, 0, 0, pc_cli_check },
    { "endpoints", "", "List the endpoints, how they answered, and when they may be asked again",
      &pc_cli_flags_endpoints, 0, 0, 0, pc_cli_endpoints },
    { "crawl", "", "Walk the whole DHT, count and time its peers, and remember them", &pc_cli_flags_crawl, 0,
      0, 0, pc_cli_crawl },
    { "ping", "MULTIADDR", "Dial one peer and ping it", &pc_cli_flags_ping, 1, 1, 1, pc_cli_ping },
    { "find", "PEER_ID...", "Find peers of the network by their ids", &pc_cli_flags_find, 1, PC_CLI_FINDS_MAX,
      0, pc_cli_find },
    { "id", "", "Print the peer id of a key file, made when missing", &pc_cli_flags_id, 0, 0, 0, pc_cli_id },
    { "multiaddr", "[MULTIADDR]...", "Check multiaddrs, given or one a line on standard input",
      &pc_cli_flags_shared, 0, SIZE_MAX, 0, pc_cli_multiaddr },
    { "demo", "", "Join, lose and rejoin a local network of real nodes", &pc_cli_flags_demo, 0, 0, 0,
      pc_cli_demo },
};
static const size_t table_count = sizeof(table) / sizeof(table[0]);

static void help(void)
{
    printf("usage: peercache COMMAND [FLAGS]\n\n"
           "Joins a libp2p network, remembers the peers it met, and rejoins from memory.\n\ncommands:\n");
    for (size_t i = 0; i < table_count; i++)
        printf("  %-10s %s\n", table[i].name, table[i].summary);
    printf("\nFlags of a command: peercache COMMAND --help. Version: peercache --version.\n");
}

/* The flags are not parsed yet, or are wrong; an error still comes in the form asked for. */
static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

static enum pc_cli_exit unknown_command(const char *given, bool json)
{
    const char *near = NULL;
    size_t near_distance = PC_CLI_NEAR + 1;
    if (*given == '-')
        return pc_cli_fail(json, PC_CLI_USAGE, "usage",
                           "unknown flag '%.64s' before the command; usage: peercache COMMAND [FLAGS]",
                           given);
    for (size_t i = 0; i < table_count; i++) {
        size_t distance = pc_cli_distance(given, table[i].name);
        if (distance < near_distance && distance < strlen(table[i].name)) {
            near = table[i].name;
            near_distance = distance;
        }
    }
    if (near)
        return pc_cli_fail(json, PC_CLI_USAGE, "usage", "unknown command '%.64s'; did you mean '%s'?", given,
                           near);
    return pc_cli_fail(json, PC_CLI_USAGE, "usage", "unknown command '%.64s'; 'peercache --help' lists them",
                       given);
}

/*
 * A standard descriptor that was closed before us would be given to the next file or socket that is opened:
 * a message would be written into it, and libuv refuses to close one of these numbers. So its place is taken,
 * opened the wrong way round: using it still fails as if it were closed.
 */
static bool keep_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) !=
            fd) /* it takes the lowest free one */
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    bool json = wants_json(argc, argv);

    if (!keep_standard_descriptors())
        return (int)pc_cli_fail(json, PC_CLI_COULD_NOT, "io",
                                "a standard descriptor is closed, and /dev/null can't take its place: %s",
                                strerror(errno));
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of writing, not a death in mid-save */
    if (argc < 2)
        return (int)pc_cli_fail(json, PC_CLI_USAGE, "usage",
                                "no command given; 'peercache --help' lists them");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        help();
        return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("peercache %s\n", peercache_version());
        return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
    }
    for (size_t i = 0; i < table_count; i++) {
        struct pc_cli_options options;
        struct pc_reason reason = { "" };
        if (strcmp(argv[1], table[i].name) != 0)
            continue;
        int error = pc_cli_options_parse(&table[i], argc - 1, argv + 1, &options, &reason);
        if (error == PEERCACHE_ENOMEM)
            return (int)pc_cli_fail(json, pc_cli_error_exit(error), pc_cli_error_code(error), "%s",
                                    *reason.text ? reason.text : peercache_strerror(error));
        if (error)
            return (int)pc_cli_fail(json, PC_CLI_USAGE, "usage", "%s", reason.text);
        enum pc_cli_exit exit = PC_CLI_DONE;
        if (options.help) {
            pc_cli_options_help(&table[i]);
            exit = pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
        } else {
            exit = table[i].run(&options);
        }
        pc_cli_options_deinit(&options);
        return (int)exit;
    }
    return (int)unknown_command(argv[1], json);
}
