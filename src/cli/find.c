/* peercache find: ask the network where peers are, by their ids, and prove it by a dial. */
#include "cli/commands.h"
#include "cli/join_report.h"
#include "cli/session.h"

#include "addr/peer_id.h"

#include <stdio.h>
#include <string.h>

struct find {
    struct pc_cli_session session; /* first: an event's session is its find */
    bool joined;                   /* or not: it was told */
    peercache_join_status status;
    size_t asked, ended, found;
    enum pc_cli_exit exit; /* of what went wrong in an event */
    json_t *json;
};

static void ask(struct find *find)
{
    const struct pc_cli_options *o = find->session.options;
    for (; find->asked < o->argument_count && find->exit == PC_CLI_DONE; find->asked++) {
        int error = peercache_node_find_peer(find->session.node, o->arguments[find->asked]);
        if (error)
            find->exit = pc_cli_fail(o->json, pc_cli_error_exit(error), pc_cli_error_code(error), "%s: %s",
                                     o->arguments[find->asked], peercache_strerror(error));
    }
    if (find->exit != PC_CLI_DONE)
        peercache_node_stop(find->session.node);
}

static void tell_json(struct find *find, const peercache_dial *dial)
{
    json_t *one = dial->code == PEERCACHE_OK
                      ? json_pack("{s:s,s:o,s:o}", "id", dial->id, "addr", pc_cli_json_text(dial->addr),
                                  "rtt_ms", pc_cli_json_ms(dial->rtt_us))
                      : json_pack("{s:s,s:s,s:o}", "id", dial->id, "code", peercache_outcome_name(dial->code),
                                  "detail", pc_cli_json_text(dial->detail));
    if (json_array_append_new(find->json, one) != 0)
        pc_cli_note("out of memory: a peer is missing in the report");
}

static void tell_text(const peercache_dial *dial)
{
    char text[PC_CLI_TEXT_BYTES];
    if (dial->code == PEERCACHE_OK)
        printf("%s\n", pc_cli_clean(dial->addr, text));
    else
        pc_cli_note("%s: %s: %s", dial->id, peercache_outcome_name(dial->code), dial->detail);
    fflush(stdout); /* the next may take a while */
}

static void on_event(struct pc_cli_session *session, const peercache_node_event *event)
{
    struct find *find = (struct find *)(void *)session;
    if (event->kind == PEERCACHE_NODE_JOIN_DONE && !find->joined) {
        find->joined = true;
        find->status = event->report->status;
        if (find->status != PEERCACHE_FAILED) {
            ask(find);
            return;
        }
        if (event->report->cause)
            pc_cli_note("likely cause: %s. %s", event->report->cause,
                        event->report->next_step ? event->report->next_step : "");
        peercache_node_stop(session->node);
    }
    if (event->kind != PEERCACHE_NODE_FOUND)
        return;
    find->ended++;
    find->found += event->dial->code == PEERCACHE_OK;
    if (session->options->json)
        tell_json(find, event->dial);
    else
        tell_text(event->dial);
    if (find->ended == session->options->argument_count)
        peercache_node_stop(session->node);
}

static enum pc_cli_exit ids_check(const struct pc_cli_options *o)
{
    for (size_t i = 0; i < o->argument_count; i++) {
        struct pc_peer_id id;
        struct pc_reason reason = { "" };
        if (pc_addr_peer_id_parse(o->arguments[i], strlen(o->arguments[i]), &id, &reason))
            return pc_cli_fail(o->json, PC_CLI_USAGE, "usage", "find: %s", reason.text);
    }
    return PC_CLI_DONE;
}

static enum pc_cli_exit open_node(struct find *find, const struct pc_cli_options *o)
{
    enum pc_cli_exit exit = pc_cli_session_init(&find->session, o, true);
    if (!exit)
        exit = pc_cli_session_add_sources(&find->session);
    if (exit)
        return exit;
    peercache_node_options *n = find->session.node_options;
    peercache_node_options_set_save(n, !o->no_save);
    peercache_node_options_set_walk(n, false); /* the search is the walk */
    int error = peercache_node_options_set_target(n, o->target, o->min);
    if (error)
        return pc_cli_session_refused(&find->session, error, "--target-peers");
    error = peercache_node_options_set_timeout(n, o->timeout_ms);
    if (error)
        return pc_cli_session_refused(&find->session, error, "--timeout");
    find->session.on_event = on_event;
    return pc_cli_session_open(&find->session);
}

static enum pc_cli_exit find_with(struct find *find, const struct pc_cli_options *o)
{
    find->json = json_array();
    if (!find->json)
        return pc_cli_fail(o->json, PC_CLI_COULD_NOT, "no_memory", "out of memory");
    enum pc_cli_exit exit = ids_check(o);
    if (!exit)
        exit = open_node(find, o);
    if (!exit)
        exit = pc_cli_session_run(&find->session);
    if (!exit)
        exit = find->exit;
    if (exit)
        return exit;
    if (!find->joined)
        return pc_cli_fail(o->json, PC_CLI_COULD_NOT, "state", "stopped before the join was over");
    if (find->status == PEERCACHE_FAILED)
        return pc_cli_fail(o->json, PC_CLI_COULD_NOT, "state", "the network could not be joined");
    if (o->json) {
        json_t *json = find->json;
        find->json = NULL; /* printing drops it */
        if (!pc_cli_json_print(json))
            return PC_CLI_COULD_NOT;
    }
    return find->found == o->argument_count ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}

enum pc_cli_exit pc_cli_find(const struct pc_cli_options *options)
{
    struct find find = { 0 };
    enum pc_cli_exit exit = find_with(&find, options);
    json_decref(find.json);
    pc_cli_session_deinit(&find.session);
    return exit;
}
