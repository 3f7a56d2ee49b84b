/*
 * peercache run: a node until SIGINT or SIGTERM. Standard output has the full multiaddrs it listens on, one a line, and
 * nothing else; with --json every event is one object a line, so that a program can follow it.
 */
#include "cli/commands.h"
#include "cli/join_report.h"
#include "cli/key_file.h"
#include "cli/print_config.h"
#include "cli/session.h"

#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

/* Where to listen when nothing is said: every interface, or only this machine in local mode; any free port.
 */
static const char listen_local[] = "/ip4/127.0.0.1/udp/0/quic-v1";
static const char listen_ip4[] = "/ip4/0.0.0.0/udp/0/quic-v1";
static const char listen_ip6[] = "/ip6/::/udp/0/quic-v1";

/* Print one event: its name, and what else there is of it. The references are taken. */
static void print_event(const char *name, json_t *more)
{
    json_t *event = json_pack("{s:s}", "event", name);
    if (!more || !event || json_object_update_new(event, more) != 0) {
        json_decref(event);
        event = NULL;
    }
    (void)pc_cli_json_print(event);
}

static void event_json(const struct pc_cli_session *session, const peercache_node_event *event)
{
    switch (event->kind) {
    case PEERCACHE_NODE_LISTENING:
        (void)pc_cli_json_print(
            json_pack("{s:s,s:o}", "event", "listening", "addr", pc_cli_json_text(event->addr)));
        break;
    case PEERCACHE_NODE_JOIN_DONE:
        print_event("join", pc_cli_join_report_json(event->report, false));
        break;
    case PEERCACHE_NODE_FETCHED:
        print_event("fetch", pc_cli_endpoint_json(event->endpoint, true));
        break;
    case PEERCACHE_NODE_WALKED:
        (void)pc_cli_json_print(json_pack("{s:s,s:I}", "event", "walked", "met", (json_int_t)event->count));
        break;
    case PEERCACHE_NODE_WARNING:
        (void)pc_cli_json_print(
            json_pack("{s:s,s:o}", "event", "warning", "detail", pc_cli_json_text(event->text)));
        break;
    case PEERCACHE_NODE_STOPPED:
        (void)pc_cli_json_print(json_pack("{s:s,s:b}", "event", "stopped", "saved", (int)session->saved));
        break;
    case PEERCACHE_NODE_DIALING:
    case PEERCACHE_NODE_VERIFIED:
    case PEERCACHE_NODE_UNJOINED:
    case PEERCACHE_NODE_PONG:
    case PEERCACHE_NODE_CRAWLED:
    case PEERCACHE_NODE_CRAWL_DONE:
    case PEERCACHE_NODE_FOUND:
        break; /* too many for a record; -v tells them */
    }
}

/* What came of a join; -v told the figures already. */
static void note_join(const peercache_join_report *r, bool verbose)
{
    char ms[PC_CLI_MS_BYTES];
    if (!verbose)
        pc_cli_note("%s: %u of %u peers verified in %s ms, %u failed", peercache_join_status_name(r->status),
                    r->verified, r->target, pc_cli_ms(r->elapsed_us, ms), r->failed);
    if (r->cause && *r->cause)
        pc_cli_note("likely cause: %s. %s", r->cause, r->next_step ? r->next_step : "");
}

static void on_event(struct pc_cli_session *session, const peercache_node_event *event)
{
    char text[PC_CLI_TEXT_BYTES];
    if (session->options->json) {
        event_json(session, event);
        return;
    }
    if (event->kind == PEERCACHE_NODE_LISTENING) {
        printf("%s\n", pc_cli_clean(event->addr, text));
        fflush(stdout); /* who waits for it through a pipe has it at once */
    }
    if (event->kind == PEERCACHE_NODE_JOIN_DONE)
        note_join(event->report, session->options->verbose);
    if (event->kind == PEERCACHE_NODE_FETCHED && !session->options->verbose)
        pc_cli_note("asked %.300s: %s", event->endpoint->url, pc_cli_endpoint_answer(event->endpoint, text));
    if (event->kind == PEERCACHE_NODE_STOPPED && !session->options->verbose)
        pc_cli_note(session->saved ? "stopped; saved to %s" : "stopped; nothing saved", session->cache);
}

static enum pc_cli_exit listen_default(struct pc_cli_session *session)
{
    peercache_node_options *n = session->node_options;
    int error;
    if (session->options->local)
        error = peercache_node_options_add_listen(n, listen_local);
    else {
        error = peercache_node_options_add_listen(n, listen_ip4);
        if (!error &&
            access("/proc/self/net/if_inet6", F_OK) == 0) /* a kernel without IPv6 has no such file */
            error = peercache_node_options_add_listen(n, listen_ip6);
    }
    return error ? pc_cli_session_refused(session, error, "the default address to listen on") : PC_CLI_DONE;
}

static enum pc_cli_exit key_take(struct pc_cli_session *session)
{
    const struct pc_cli_options *o = session->options;
    uint8_t key[PC_PRIVATE_KEY_MAX_BYTES];
    char flag[PC_CLI_TEXT_BYTES];
    struct pc_reason reason = { "" };
    size_t size;
    bool made;
    int error = pc_cli_key_load_or_make(o->key, key, &size, &made, &reason);
    if (error)
        return pc_cli_fail(o->json, pc_cli_error_exit(error), pc_cli_error_code(error), "%s", reason.text);
    if (made)
        pc_cli_note("made a new key in %s", o->key);
    error = peercache_node_options_set_key(session->node_options, key, size);
    sodium_memzero(key, sizeof(key));
    (void)snprintf(flag, sizeof(flag), "--key %s", o->key);
    return error ? pc_cli_session_refused(session, error, flag) : PC_CLI_DONE;
}

static enum pc_cli_exit periods_take(struct pc_cli_session *session)
{
    const struct pc_cli_options *o = session->options;
    char where[PC_CLI_WHERE_BYTES];
    int error = 0;
    if (o->save_period_ms)
        error = peercache_node_options_set_save_period(session->node_options, o->save_period_ms);
    if (error)
        return pc_cli_session_refused(session, error, pc_cli_options_where(o, "save-period", NULL, where));
    if (o->refresh_period_ms)
        error = peercache_node_options_set_refresh_period(session->node_options, o->refresh_period_ms);
    return error ? pc_cli_session_refused(session, error,
                                          pc_cli_options_where(o, "refresh-period", NULL, where))
                 : PC_CLI_DONE;
}

/* Where, for the port may have been chosen by the system. */
static void tell_http(const struct pc_cli_session *session)
{
    const char *place = peercache_node_http(session->node);
    if (session->options->json)
        (void)pc_cli_json_print(json_pack("{s:s,s:o}", "event", "http", "addr", pc_cli_json_text(place)));
    else
        pc_cli_note("serving HTTP at %s", place);
}

/* How many connections, and how many peers of one network group. */
static enum pc_cli_exit bounds_set(struct pc_cli_session *session)
{
    const struct pc_cli_options *o = session->options;
    peercache_node_options *n = session->node_options;
    char where[PC_CLI_WHERE_BYTES];
    int error = peercache_node_options_set_connections(n, o->connections_low, o->connections_high);
    if (error)
        return pc_cli_session_refused(session, error,
                                      pc_cli_options_where(o, "connections-high", NULL, where));
    error = peercache_node_options_set_connection_idle(n, o->connections_idle_ms);
    if (error)
        return pc_cli_session_refused(session, error,
                                      pc_cli_options_where(o, "connections-idle", NULL, where));
    error = peercache_node_options_set_table_groups(n, o->group_per_bucket, o->group_per_table);
    return error ? pc_cli_session_refused(session, error,
                                          pc_cli_options_where(o, "group-per-table", NULL, where))
                 : PC_CLI_DONE;
}

/* All that is checked of the options without opening anything. */
static enum pc_cli_exit take_options(struct pc_cli_session *session, const struct pc_cli_options *o)
{
    char where[PC_CLI_WHERE_BYTES];
    enum pc_cli_exit exit = pc_cli_session_init(session, o, true);
    if (!exit)
        exit = pc_cli_session_add_sources(session);
    if (!exit)
        exit = bounds_set(session);
    if (!exit)
        exit = periods_take(session);
    int error = !exit && o->http ? peercache_node_options_set_http(session->node_options, o->http) : 0;
    return error ? pc_cli_session_refused(session, error, pc_cli_options_where(o, "http", o->http, where))
                 : exit;
}

static enum pc_cli_exit run_with(struct pc_cli_session *session, const struct pc_cli_options *o)
{
    enum pc_cli_exit exit = take_options(session, o);
    if (exit || o->print_config)
        return exit ? exit : pc_cli_print_config(session);
    session->on_event = on_event;
    peercache_node_options_set_mode(session->node_options, o->mode);
    peercache_node_options_set_notify(session->node_options, true);
    if (o->key)
        exit = key_take(session);
    if (!exit && o->listen_count == 0 && o->mode != PEERCACHE_MODE_CLIENT)
        exit = listen_default(session);
    if (!exit)
        exit = pc_cli_session_open(session);
    if (!exit && o->http)
        tell_http(session);
    if (!exit)
        exit = pc_cli_session_run(session);
    return exit;
}

enum pc_cli_exit pc_cli_run(const struct pc_cli_options *options)
{
    struct pc_cli_session session;
    enum pc_cli_exit exit = run_with(&session, options);
    pc_cli_session_deinit(&session);
    return exit;
}
