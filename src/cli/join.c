/* peercache join: join, tell what came of it and, when nothing did, the likely cause and the next step. */
#include "cli/commands.h"
#include "cli/join_report.h"
#include "cli/session.h"

#include "driver/options.h"

#include <stdio.h>

struct join {
    struct pc_cli_session session; /* first: an event's session is its join */
    bool reported;
    peercache_join_status status;
    uint32_t target, verified, failed;
    int64_t elapsed_us;
    uint32_t met; /* by the walk */
    bool walked;
    json_t *json; /* the report, to be printed once `saved` is known */
};

static void on_event(struct pc_cli_session *session, const peercache_node_event *event)
{
    struct join *join = (struct join *)(void *)session;
    const peercache_join_report *r = event->report;
    if (event->kind == PEERCACHE_NODE_WALKED) {
        join->walked = true;
        join->met = event->count;
        return;
    }
    if (event->kind != PEERCACHE_NODE_JOIN_DONE || join->reported)
        return;
    join->reported = true;
    join->status = r->status;
    join->target = r->target;
    join->verified = r->verified;
    join->failed = r->failed;
    join->elapsed_us = r->elapsed_us;
    if (session->options->json) {
        join->json = pc_cli_join_report_json(r, true);
    } else {
        pc_cli_join_report_text(r);
        fflush(stdout); /* the walk may take a while; what is settled is shown */
    }
}

/* "joined: 5 of 5 peers verified in 12.3 ms, 2 failed; met 31 more; saved to PATH" */
static void closing_line(const struct join *join)
{
    char ms[PC_CLI_MS_BYTES];
    printf("%s: %u of %u peers verified in %s ms, %u failed", peercache_join_status_name(join->status),
           join->verified, join->target, pc_cli_ms(join->elapsed_us, ms), join->failed);
    if (join->walked)
        printf("; the walk met %u", join->met);
    if (join->session.saved)
        printf("; saved to %s\n", join->session.cache);
    else
        printf("; nothing saved\n");
}

static enum pc_cli_exit join_with(struct join *join, const struct pc_cli_options *o)
{
    enum pc_cli_exit exit = pc_cli_session_init(&join->session, o, true);
    if (exit)
        return exit;
    exit = pc_cli_session_add_sources(&join->session);
    if (exit)
        return exit;
    peercache_node_options *n = join->session.node_options;
    if (o->exclusive && n->source_count == 0)
        return pc_cli_fail(
            o->json, PC_CLI_USAGE, "usage",
            "--exclusive dials the given peers alone, and none is given: add --peer or " PC_CLI_ENV_PEERS);
    peercache_node_options_set_once(n, true);
    peercache_node_options_set_save(n, !o->no_save);
    peercache_node_options_set_walk(n, !o->no_walk);
    int error = peercache_node_options_set_target(n, o->target, o->min);
    if (error)
        return pc_cli_session_refused(&join->session, error, "--target-peers");
    error = peercache_node_options_set_timeout(n, o->timeout_ms);
    if (error)
        return pc_cli_session_refused(&join->session, error, "--timeout");
    join->session.on_event = on_event;
    exit = pc_cli_session_open(&join->session);
    if (exit)
        return exit;
    exit = pc_cli_session_run(&join->session);
    if (exit)
        return exit;
    if (!join->reported)
        return pc_cli_fail(o->json, PC_CLI_COULD_NOT, "state", "stopped before the join was over");
    if (o->json) {
        json_t *report = join->json;
        join->json = NULL; /* printing drops it */
        if (report && json_object_set_new(report, "saved", json_boolean(join->session.saved)) != 0) {
            json_decref(report);
            report = NULL;
        }
        if (!pc_cli_json_print(report))
            return PC_CLI_COULD_NOT;
    } else {
        closing_line(join);
        if (!pc_cli_flush())
            return PC_CLI_COULD_NOT;
    }
    return join->status == PEERCACHE_FAILED ? PC_CLI_COULD_NOT : PC_CLI_DONE;
}

enum pc_cli_exit pc_cli_join(const struct pc_cli_options *options)
{
    struct join join = { 0 };
    enum pc_cli_exit exit = join_with(&join, options);
    json_decref(join.json);
    pc_cli_session_deinit(&join.session);
    return exit;
}
