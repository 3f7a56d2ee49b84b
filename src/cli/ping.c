/* peercache ping: dial one peer, prove who it is, and time its answers. */
#include "cli/commands.h"
#include "cli/session.h"

#include "base/time.h"

#include <stdio.h>
#include <string.h>

struct ping {
    struct pc_cli_session session; /* first: an event's session is its ping */
    uint32_t asked, answered;
    int64_t least_us, most_us, sum_us;
    char id[PEERCACHE_PEER_ID_TEXT_BYTES];
    json_t *pings;
};

static void note_id(struct ping *ping, const peercache_dial *dial)
{
    if (dial->id && *dial->id)
        (void)snprintf(ping->id, sizeof(ping->id), "%s", dial->id);
}

static void on_event(struct pc_cli_session *session, const peercache_node_event *event)
{
    struct ping *ping = (struct ping *)(void *)session;
    const peercache_dial *dial = event->dial;
    char ms[PC_CLI_MS_BYTES], text[PC_CLI_TEXT_BYTES];
    if (event->kind == PEERCACHE_NODE_VERIFIED)
        note_id(ping, dial);
    if (event->kind != PEERCACHE_NODE_PONG)
        return;
    note_id(ping, dial);
    ping->asked++;
    if (dial->code == PEERCACHE_OK) {
        ping->least_us = ping->answered ? pc_base_time_min(ping->least_us, dial->rtt_us) : dial->rtt_us;
        ping->most_us = ping->answered ? pc_base_time_max(ping->most_us, dial->rtt_us) : dial->rtt_us;
        ping->sum_us += dial->rtt_us;
        ping->answered++;
    }
    if (session->options->json) {
        json_t *one = dial->code == PEERCACHE_OK
                          ? json_pack("{s:o}", "rtt_ms", pc_cli_json_ms(dial->rtt_us))
                          : json_pack("{s:s,s:o}", "code", peercache_outcome_name(dial->code), "detail",
                                      pc_cli_json_text(dial->detail));
        if (json_array_append_new(ping->pings, one) != 0)
            pc_cli_note("out of memory: a ping is missing in the report");
    } else {
        if (dial->code == PEERCACHE_OK)
            printf("pong from %s: %s ms\n", ping->id, pc_cli_ms(dial->rtt_us, ms));
        else
            printf("no pong: %s: %s\n", peercache_outcome_name(dial->code), pc_cli_clean(dial->detail, text));
        fflush(stdout); /* the next is a second away */
    }
}

static bool report(struct ping *ping)
{
    const struct pc_cli_options *o = ping->session.options;
    char least[PC_CLI_MS_BYTES], mean[PC_CLI_MS_BYTES], most[PC_CLI_MS_BYTES];
    int64_t mean_us = ping->answered ? ping->sum_us / ping->answered : -1;
    if (o->json) {
        json_t *pings = ping->pings;
        json_t *id = *ping->id ? json_string(ping->id) : json_null();
        ping->pings = NULL; /* the pack takes it, also when it fails */
        return pc_cli_json_print(json_pack(
            "{s:o,s:o,s:I,s:I,s:{s:o,s:o,s:o},s:o}", "addr", pc_cli_json_text(o->arguments[0]), "id", id,
            "sent", (json_int_t)ping->asked, "answered", (json_int_t)ping->answered, "rtt_ms", "min",
            pc_cli_json_ms(ping->answered ? ping->least_us : -1), "mean", pc_cli_json_ms(mean_us), "max",
            pc_cli_json_ms(ping->answered ? ping->most_us : -1), "pings", pings));
    }
    if (ping->answered)
        printf("%u sent, %u answered; min %s, mean %s, max %s ms\n", ping->asked, ping->answered,
               pc_cli_ms(ping->least_us, least), pc_cli_ms(mean_us, mean), pc_cli_ms(ping->most_us, most));
    else
        printf("%u sent, none answered\n", ping->asked);
    return pc_cli_flush();
}

static enum pc_cli_exit ping_with(struct ping *ping, const struct pc_cli_options *o)
{
    /* a look at one peer changes no memory unless one is named */
    enum pc_cli_exit exit = pc_cli_session_init(&ping->session, o, o->cache != NULL);
    if (exit)
        return exit;
    exit = pc_cli_session_add_ranges(&ping->session);
    if (exit)
        return exit;
    ping->session.on_event = on_event;
    ping->pings = json_array();
    if (!ping->pings)
        return pc_cli_fail(o->json, PC_CLI_COULD_NOT, "no_memory", "out of memory");
    exit = pc_cli_session_open(&ping->session);
    if (exit)
        return exit;
    int error = peercache_node_set_ping(ping->session.node, o->arguments[0], o->count);
    if (error)
        return pc_cli_fail(o->json, pc_cli_error_exit(error), "usage", "%s: %s", o->arguments[0],
                           peercache_node_errmsg(ping->session.node));
    exit = pc_cli_session_run(&ping->session);
    if (exit)
        return exit;
    if (!report(ping))
        return PC_CLI_COULD_NOT;
    return ping->answered ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}

enum pc_cli_exit pc_cli_ping(const struct pc_cli_options *options)
{
    struct ping ping = { 0 };
    enum pc_cli_exit exit = ping_with(&ping, options);
    json_decref(ping.pings);
    pc_cli_session_deinit(&ping.session);
    return exit;
}
