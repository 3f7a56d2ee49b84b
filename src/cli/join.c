/* peercache join: join, tell what came of it and, when nothing did, the likely cause and the next step. */
#include "cli/commands.h"
#include "cli/session.h"

#include "driver/options.h"

#include <stdio.h>
#include <string.h>

#define FAILURES_SHOWN_MAX 20 /* in the readable report; the JSON has them all */

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

static json_t *dial_json(const peercache_dial *dial, bool failed)
{
    json_t *id = dial->id && *dial->id ? json_string(dial->id) : json_null();
    if (!failed)
        return json_pack("{s:o,s:o,s:s,s:o,s:o}", "id", id, "addr", pc_cli_json_text(dial->addr), "via",
                         peercache_via_name(dial->via), "rtt_ms", pc_cli_json_ms(dial->rtt_us), "elapsed_ms",
                         pc_cli_json_ms(dial->elapsed_us));
    return json_pack("{s:o,s:o,s:s,s:s,s:o,s:o}", "addr", pc_cli_json_text(dial->addr), "id", id, "via",
                     peercache_via_name(dial->via), "code", peercache_outcome_name(dial->code), "detail",
                     pc_cli_json_text(dial->detail), "elapsed_ms", pc_cli_json_ms(dial->elapsed_us));
}

static json_t *dials_json(const peercache_dial *dials, size_t count, bool failed)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count && array; i++)
        if (json_array_append_new(array, dial_json(&dials[i], failed)) != 0) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

/* `saved` is false until the node stopped and told. */
static json_t *report_json(const peercache_join_report *r)
{
    return json_pack(
        "{s:s,s:o,s:I,s:I,s:I,s:I,s:o,s:b,s:o,s:o}", "status", peercache_join_status_name(r->status), "cause",
        pc_cli_json_text(r->cause), "target", (json_int_t)r->target, "verified", (json_int_t)r->verified,
        "dialed", (json_int_t)r->dialed, "failed", (json_int_t)r->failed, "elapsed_ms",
        pc_cli_json_ms(r->elapsed_us), "saved", 0, "peers", dials_json(r->peers, r->peer_count, false),
        "failures", dials_json(r->failures, r->failure_count, true));
}

/* The failure most dials ended with, and how many did. */
static peercache_outcome commonest(const peercache_join_report *r, size_t *ret_count)
{
    size_t counts[PEERCACHE_OUTCOME_COUNT] = { 0 };
    peercache_outcome best = PEERCACHE_OK;
    for (size_t i = 0; i < r->failure_count; i++)
        if (r->failures[i].code < PEERCACHE_OUTCOME_COUNT)
            counts[r->failures[i].code]++;
    for (int i = 0; i < PEERCACHE_OUTCOME_COUNT; i++)
        if (counts[i] > counts[best])
            best = (peercache_outcome)i;
    *ret_count = counts[best];
    return best;
}

/* The likely cause of dials that ended so, and what to do next. */
static void hint(const struct pc_cli_options *o, peercache_outcome outcome)
{
    const char *cause = NULL, *next = NULL;
    switch (outcome) {
    case PEERCACHE_TIMEOUT:
        cause = "nobody answered: wrong addresses, peers that are gone, or a firewall that drops UDP";
        next = "check that UDP leaves this network, or give the address of a peer known to run with --peer";
        break;
    case PEERCACHE_REFUSED:
        cause = "the hosts are there but nothing listens on those ports: the peers stopped or moved";
        next = "check that they run, or ask for their current multiaddrs";
        break;
    case PEERCACHE_UNREACHABLE:
        cause = "there is no way to those addresses from here";
        next = "check that this machine is online and has the address family (IPv4, IPv6) they need";
        break;
    case PEERCACHE_TLS_FAILED:
        cause = "what answers there is no libp2p peer, or its certificate is not valid now";
        next = "check the port, and the clock of both machines";
        break;
    case PEERCACHE_WRONG_IDENTITY:
        cause = "other peers live at those addresses now than the ids say";
        next = "ask for the peers' current multiaddrs; without /p2p/ID any peer there is accepted";
        break;
    case PEERCACHE_PROTOCOL_MISMATCH:
        cause = "those peers run, but speak another network";
        next = "check --network and --kad-protocol";
        break;
    case PEERCACHE_MISBEHAVED:
        cause = "those peers broke the protocol";
        next = "run again with -v to see how, and try other peers";
        break;
    case PEERCACHE_DNS_FAILED:
        cause = "the names did not resolve";
        next = "check the names and this machine's name server";
        break;
    case PEERCACHE_UNSUPPORTED:
        cause = "those addresses are of kinds that this version can't dial";
        next = "give addresses of the form /ip4|ip6/ADDRESS/udp/PORT/quic-v1[/p2p/ID]";
        break;
    case PEERCACHE_DENIED:
        cause =
            o->local
                ? "nobody can be dialled there: unspecified, multicast, without a port, or this node itself"
                : "those addresses are loopback, private or reserved";
        next = o->local ? "give other addresses" : "add --local if that is meant";
        break;
    case PEERCACHE_CANCELLED:
        cause = "the join was stopped before the dials ended";
        next = "give it more time with --timeout";
        break;
    case PEERCACHE_OK:
    case PEERCACHE_OUTCOME_COUNT:
        return;
    }
    printf("likely cause: %s\nnext step: %s\n", cause, next);
}

static void hint_no_sources(const struct join *join)
{
    const char *cache = join->session.cache;
    if (*cache)
        printf("likely cause: there was nobody to dial: no --peer, and the cache %s holds no peers\n", cache);
    else
        printf("likely cause: there was nobody to dial: no --peer, and no cache\n");
    printf("next step: give the multiaddr of a peer you know with --peer\n");
}

static void report_text(const struct join *join, const peercache_join_report *r)
{
    char ms[PC_CLI_MS_BYTES], rtt[PC_CLI_MS_BYTES], addr[PC_CLI_TEXT_BYTES], detail[PC_CLI_TEXT_BYTES];
    size_t count = 0;
    if (r->peer_count) {
        printf("verified\n");
        for (size_t i = 0; i < r->peer_count; i++)
            printf("%9s ms  %s  rtt %s ms  (%s)\n", pc_cli_ms(r->peers[i].elapsed_us, ms),
                   pc_cli_clean(r->peers[i].addr, addr),
                   r->peers[i].rtt_us < 0 ? "?" : pc_cli_ms(r->peers[i].rtt_us, rtt),
                   peercache_via_name(r->peers[i].via));
    }
    if (r->failure_count) {
        printf("failed\n");
        for (size_t i = 0; i < r->failure_count && i < FAILURES_SHOWN_MAX; i++)
            printf("%9s ms  %s  %s: %s  (%s)\n", pc_cli_ms(r->failures[i].elapsed_us, ms),
                   pc_cli_clean(r->failures[i].addr, addr), peercache_outcome_name(r->failures[i].code),
                   pc_cli_clean(r->failures[i].detail, detail), peercache_via_name(r->failures[i].via));
        if (r->failed > FAILURES_SHOWN_MAX)
            printf("%9s     … and %u more; --json lists them\n", "", r->failed - FAILURES_SHOWN_MAX);
    }
    if (r->status == PEERCACHE_FAILED) {
        peercache_outcome outcome = commonest(r, &count);
        if (r->cause && strcmp(r->cause, "no_sources") == 0)
            hint_no_sources(join);
        else if (count)
            hint(join->session.options, outcome);
        else if (r->verified)
            printf("likely cause: fewer peers answered than --min-peers asks for\n"
                   "next step: give more of them with --peer, or more time with --timeout\n");
    }
    fflush(stdout); /* the walk may take a while; what is settled is shown */
}

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
    if (session->options->json)
        join->json = report_json(r);
    else
        report_text(join, r);
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
