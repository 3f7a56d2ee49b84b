#include "cli/session.h"

#include "cli/join_report.h"
#include "cli/log.h"

#include "store/store.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Dials shown by -v; a walk of a large network would else bury what matters. The report counts them all. */
#define TIMELINE_DIALS_MAX 200

int pc_cli_cache_path(const struct pc_cli_options *options, char ret_path[PC_CLI_PATH_BYTES],
                      struct pc_reason *ret_reason)
{
    if (options->no_cache) {
        ret_path[0] = '\0';
        return 0;
    }
    if (options->cache) {
        if (strlen(options->cache) >= PC_CLI_PATH_BYTES) {
            pc_base_reason(ret_reason, "--cache: the path is longer than %d bytes", PC_CLI_PATH_BYTES - 1);
            return PEERCACHE_ELIMIT;
        }
        memcpy(ret_path, options->cache, strlen(options->cache) + 1);
        return 0;
    }
    struct pc_store_environment environment = {
        .state_directory = getenv("STATE_DIRECTORY"),
        .xdg_state_home = getenv("XDG_STATE_HOME"),
        .home = getenv("HOME"),
    };
    if (!environment.home || !*environment.home) {
        // cppcheck-suppress getpwuidCalled ; this program has one thread yet
        const struct passwd *user = getpwuid(getuid());
        environment.home = user ? user->pw_dir : NULL;
    }
    int error =
        pc_store_default_path(&environment, options->network, options->local, ret_path, PC_CLI_PATH_BYTES);
    if (error)
        pc_base_reason(ret_reason,
                       "there is no default place for the cache (%s); give --cache PATH or --no-cache",
                       error == PEERCACHE_ENOTFOUND ? "no home directory" : peercache_strerror(error));
    return error;
}

enum pc_cli_exit pc_cli_session_refused(const struct pc_cli_session *session, int error, const char *flag)
{
    const char *why = peercache_node_options_errmsg(session->node_options);
    return pc_cli_fail(session->options->json, pc_cli_error_exit(error),
                       error == PEERCACHE_ENOMEM ? "no_memory" : "usage", "%s: %s", flag,
                       why && *why ? why : peercache_strerror(error));
}

enum pc_cli_exit pc_cli_session_init(struct pc_cli_session *session, const struct pc_cli_options *options,
                                     bool with_cache)
{
    struct pc_reason reason = { "" };
    char flag[PC_CLI_TEXT_BYTES], where[PC_CLI_WHERE_BYTES];
    int error;

    *session = (struct pc_cli_session){ .options = options,
                                        .logs = options->log || options->log_levels || options->redact };
    peercache_node_options *o = session->node_options = peercache_node_options_new();
    if (!o)
        return pc_cli_fail(options->json, PC_CLI_COULD_NOT, "no_memory", "out of memory");
    error = pc_cli_log_begin(options, o);
    if (error)
        return pc_cli_session_refused(session, error,
                                      pc_cli_options_where(options, "log-level", options->log_levels, where));
    peercache_node_options_set_local(o, options->local);
    peercache_node_options_set_handle_signals(o, true);
    error = peercache_node_options_set_network(o, options->network);
    if (error)
        return pc_cli_session_refused(session, error,
                                      pc_cli_options_where(options, "network", options->network, where));
    if (options->kad_protocol) {
        error = peercache_node_options_set_kad_protocol(o, options->kad_protocol);
        if (error)
            return pc_cli_session_refused(
                session, error, pc_cli_options_where(options, "kad-protocol", options->kad_protocol, where));
    }
    if (with_cache) {
        error = pc_cli_cache_path(options, session->cache, &reason);
        if (error)
            return pc_cli_fail(options->json, PC_CLI_USAGE, "usage", "%s", reason.text);
    }
    if (*session->cache) {
        error = peercache_node_options_set_cache(o, session->cache);
        if (error)
            return pc_cli_session_refused(session, error, "--cache");
    }
    for (size_t i = 0; i < options->listen_count; i++) {
        (void)snprintf(flag, sizeof(flag), "%s '%.512s'",
                       pc_cli_options_where(options, "listen", options->listens[i], where),
                       options->listens[i]);
        error = peercache_node_options_add_listen(o, options->listens[i]);
        if (error)
            return pc_cli_session_refused(session, error, flag);
    }
    for (size_t i = 0; i < options->announce_count; i++) {
        (void)snprintf(flag, sizeof(flag), "%s '%.512s'",
                       pc_cli_options_where(options, "announce", options->announces[i], where),
                       options->announces[i]);
        error = peercache_node_options_add_announce(o, options->announces[i]);
        if (error)
            return pc_cli_session_refused(session, error, flag);
    }
    return PC_CLI_DONE;
}

/* One line of the timeline: milliseconds since the start, what, whom. */
static void timeline_dial(struct pc_cli_session *session, const char *what, const peercache_dial *dial)
{
    char at[PC_CLI_MS_BYTES], rtt[PC_CLI_MS_BYTES], addr[PC_CLI_TEXT_BYTES], detail[PC_CLI_TEXT_BYTES];
    if (session->shown == TIMELINE_DIALS_MAX) {
        session->left_out++;
        return;
    }
    session->shown++;
    fprintf(stderr, "%9s ms  %-9s %s", pc_cli_ms(dial->elapsed_us, at), what, pc_cli_clean(dial->addr, addr));
    if (dial->code != PEERCACHE_OK)
        fprintf(stderr, "  %s: %s", peercache_outcome_name(dial->code), pc_cli_clean(dial->detail, detail));
    else if (dial->rtt_us >= 0)
        fprintf(stderr, "  rtt %s ms", pc_cli_ms(dial->rtt_us, rtt));
    fprintf(stderr, "  (%s)\n", peercache_via_name(dial->via));
}

static void more_dials(const struct pc_cli_session *session)
{
    if (session->left_out)
        fprintf(stderr, "%9s     …         %u more lines of dials\n", "", session->left_out);
}

static void timeline(struct pc_cli_session *session, const peercache_node_event *event)
{
    char at[PC_CLI_MS_BYTES], text[PC_CLI_TEXT_BYTES], answer[PC_CLI_TEXT_BYTES];
    switch (event->kind) {
    case PEERCACHE_NODE_LISTENING:
        fprintf(stderr, "%9s     %-9s %s\n", "", "listening", pc_cli_clean(event->addr, text));
        break;
    case PEERCACHE_NODE_DIALING:
        timeline_dial(session, "dial", event->dial);
        break;
    case PEERCACHE_NODE_VERIFIED:
        timeline_dial(session, "verified", event->dial);
        break;
    case PEERCACHE_NODE_UNJOINED:
        timeline_dial(session, "failed", event->dial);
        break;
    case PEERCACHE_NODE_JOIN_DONE:
        more_dials(session);
        session->shown = TIMELINE_DIALS_MAX; /* what is dialled later is the walk: counted, not listed */
        fprintf(stderr, "%9s ms  %-9s %u of %u verified, %u dialled, %u failed\n",
                pc_cli_ms(event->report->elapsed_us, at), peercache_join_status_name(event->report->status),
                event->report->verified, event->report->target, event->report->dialed, event->report->failed);
        break;
    case PEERCACHE_NODE_WALKED:
        fprintf(stderr, "%9s     %-9s met %u on the way to our own id\n", "", "walked", event->count);
        break;
    case PEERCACHE_NODE_STOPPED:
        fprintf(stderr, "%9s     %-9s %s\n", "", "stopped", event->saved ? "cache saved" : "nothing saved");
        break;
    case PEERCACHE_NODE_FETCHED:
        fprintf(stderr, "%9s     %-9s %s", "", "fetched", pc_cli_clean(event->endpoint->url, text));
        fprintf(stderr, "  %s\n", pc_cli_clean(pc_cli_endpoint_answer(event->endpoint, answer), text));
        break;
    case PEERCACHE_NODE_CRAWLED:
        timeline_dial(session, event->dial->code == PEERCACHE_OK ? "crawled" : "failed", event->dial);
        break;
    case PEERCACHE_NODE_CRAWL_DONE:
        more_dials(session);
        break;
    case PEERCACHE_NODE_PONG:
    case PEERCACHE_NODE_FOUND:
    case PEERCACHE_NODE_WARNING:
        break; /* the commands tell these, -v or not */
    }
}

static void on_event(void *context, const peercache_node_event *event)
{
    struct pc_cli_session *session = (struct pc_cli_session *)context;
    if (session->options->verbose)
        timeline(session, event);
    if (event->kind == PEERCACHE_NODE_WARNING && !session->logs) /* the log has it already */
        pc_cli_note("%s", event->text);
    if (event->kind == PEERCACHE_NODE_STOPPED)
        session->saved = event->saved;
    session->on_event(session, event);
}

/* Why a node could not be made or run, as the command's end. */
static enum pc_cli_exit node_failed(struct pc_cli_session *session, int error)
{
    const char *why = session->node ? peercache_node_errmsg(session->node) : NULL;
    return pc_cli_fail(session->options->json, pc_cli_error_exit(error), pc_cli_error_code(error), "%s",
                       why && *why ? why : peercache_strerror(error));
}

enum pc_cli_exit pc_cli_session_open(struct pc_cli_session *session)
{
    int error = peercache_node_new(session->node_options, &session->node);
    if (error)
        return node_failed(session, error);
    peercache_node_on_event(session->node, on_event, session);
    return PC_CLI_DONE;
}

enum pc_cli_exit pc_cli_session_run(struct pc_cli_session *session)
{
    int error = peercache_node_run(session->node);
    return error ? node_failed(session, error) : PC_CLI_DONE;
}

void pc_cli_session_deinit(struct pc_cli_session *session)
{
    peercache_node_free(session->node);
    peercache_node_options_free(session->node_options);
    session->node = NULL;
    session->node_options = NULL;
}
