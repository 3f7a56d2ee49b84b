/*
 * peercache crawl: join as a client, walk the whole DHT, tell what was found, and remember it. The answer is the report; with
 * --format it is the peers, and the report goes where it is in nobody's way.
 */
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/crawl_report.h"
#include "cli/output_file.h"
#include "cli/session.h"

#include "driver/clock.h"
#include "driver/options.h"
#include "format/format.h"

#include <stdlib.h>
#include <string.h>

#define FOUND_FIRST 256 /* room of the first allocation */

/* A peer that answered, and where it did. */
struct found {
    struct pc_peer_id id;
    struct pc_ip_port at;
    int64_t rtt_us; /* -1: not measured */
    int64_t seen_ms;
};

struct crawl {
    struct pc_cli_session session; /* first: an event's session is its crawl */
    struct pc_cli_output_file output;
    struct pc_cli_progress progress;
    struct pc_driver_clock clock;
    bool wants_peers; /* --format or -o without --json */
    struct found *found;
    size_t found_count;
    size_t found_room;
    bool reported;
    bool is_out_of_memory; /* a part of the answer is missing */
    uint32_t alive;
    json_t *json; /* the report, to be printed once `saved` is known */
    peercache_join_status join_status;
    char cause[64]; /* why the join failed; "" */
    char next_step[512];
};

/* ----- what the node tells ----- */

static bool keep(struct crawl *crawl, const struct found *found)
{
    if (crawl->found_count == crawl->found_room) {
        size_t room = crawl->found_room ? crawl->found_room * 2 : FOUND_FIRST;
        struct found *more = realloc(crawl->found, room * sizeof(*more));
        if (!more)
            return false;
        crawl->found = more;
        crawl->found_room = room;
    }
    crawl->found[crawl->found_count++] = *found;
    return true;
}

static void note_found(struct crawl *crawl, const peercache_dial *dial)
{
    struct pc_node_source source;
    struct pc_reason unused;
    struct found found = { .rtt_us = dial->rtt_us, .seen_ms = pc_driver_clock_now(&crawl->clock).wall_ms };
    if (pc_driver_source_parse(dial->addr, &source, &unused) != 0 ||
        pc_addr_classify(pc_addr_maddr_bytes(&source.addr), &found.at) != PC_ADDR_QUIC_V1)
        return; /* what was dialled is an address of QUIC */
    found.id = source.id;
    if (!keep(crawl, &found))
        crawl->is_out_of_memory = true;
}

static void note_join(struct crawl *crawl, const peercache_join_report *report)
{
    crawl->join_status = report->status;
    (void)snprintf(crawl->cause, sizeof(crawl->cause), "%s", report->cause ? report->cause : "");
    (void)snprintf(crawl->next_step, sizeof(crawl->next_step), "%s",
                   report->next_step ? report->next_step : "");
}

/* Where the readable report goes: the peers may be on standard output. */
static FILE *report_file(const struct crawl *crawl)
{
    return crawl->wants_peers && !crawl->session.options->output ? stderr : stdout;
}

static void note_report(struct crawl *crawl, const peercache_crawl_report *report)
{
    crawl->reported = true;
    crawl->alive = report->alive;
    pc_cli_progress_end(&crawl->progress);
    if (crawl->session.options->json) {
        crawl->json = pc_cli_crawl_report_json(report);
        crawl->is_out_of_memory |= !crawl->json;
    } else {
        pc_cli_crawl_report_text(report, report_file(crawl));
    }
}

static void on_event(struct pc_cli_session *session, const peercache_node_event *event)
{
    struct crawl *crawl = (struct crawl *)(void *)session;
    if (event->kind == PEERCACHE_NODE_JOIN_DONE) {
        note_join(crawl, event->report);
        session->shown = session->left_out = 0; /* -v lists the first of the crawl too */
    }
    if (event->kind == PEERCACHE_NODE_CRAWL_DONE)
        note_report(crawl, event->crawl);
    if (event->kind != PEERCACHE_NODE_CRAWLED)
        return;
    const peercache_crawl_report *r = event->crawl;
    if (crawl->wants_peers && event->dial->code == PEERCACHE_OK)
        note_found(crawl, event->dial);
    pc_cli_progress_say(&crawl->progress, "known %u, dialled %u, alive %u, %.0f a second", r->known,
                        r->dialed, r->alive, pc_cli_crawl_rate(r));
}

/* ----- the peers in a format ----- */

static int write_bytes(void *context, struct pc_bytes bytes)
{
    return pc_cli_output_file_write(context, bytes.data, bytes.size);
}

static void record_of(const struct found *found, struct pc_record *ret_record)
{
    struct pc_record_addr *addr = &ret_record->addrs[0];
    pc_cache_record_init(ret_record, &found->id);
    *addr = (struct pc_record_addr){ .source = PEERCACHE_SOURCE_DHT, .first_seen_ms = found->seen_ms };
    pc_addr_from_ip_port(&found->at, &addr->addr);
    pc_cache_history_init(&addr->history);
    addr->history.success_count = 1;
    addr->history.last_seen_ms = addr->history.last_success_ms = addr->history.last_attempt_ms =
        found->seen_ms;
    if (found->rtt_us >= 0 && found->rtt_us < PC_RTT_UNKNOWN) {
        addr->history.rtt_us = (uint32_t)found->rtt_us;
        addr->history.rtt_at_ms = found->seen_ms;
    }
    ret_record->addr_count = 1;
    ret_record->state = PEERCACHE_TRIED;
}

static int write_peers(struct crawl *crawl)
{
    const struct pc_cli_options *o = crawl->session.options;
    struct pc_format_writer *writer = NULL;
    struct pc_format_writer_options options = {
        .format = PC_FORMAT_LIST,
        .write = write_bytes,
        .context = &crawl->output,
        .last_updated_ms = pc_driver_clock_now(&crawl->clock).wall_ms,
        .network_version = o->network,
    };
    if (o->format != PEERCACHE_FORMAT_ANY)
        (void)pc_format_from_name(peercache_format_name(o->format),
                                  &options.format); /* it was looked up by name */
    int result = pc_format_writer_new(&options, &writer);
    for (size_t i = 0; i < crawl->found_count && result == 0; i++) {
        struct pc_record record;
        record_of(&crawl->found[i], &record);
        result = pc_format_writer_record(writer, &record);
    }
    if (result == 0)
        result = pc_format_writer_end(writer);
    pc_format_writer_free(writer);
    return result;
}

/* ----- the end ----- */

static json_t *complete_json(struct crawl *crawl)
{
    json_t *report = crawl->json;
    crawl->json = NULL;
    json_t *join =
        json_pack("{s:s,s:o,s:o}", "status", peercache_join_status_name(crawl->join_status), "cause",
                  *crawl->cause ? pc_cli_json_text(crawl->cause) : json_null(), "next_step",
                  *crawl->next_step ? pc_cli_json_text(crawl->next_step) : json_null());
    if (report && (json_object_set_new(report, "join", join) != 0 ||
                   json_object_set_new(report, "saved", json_boolean(crawl->session.saved)) != 0)) {
        json_decref(report);
        report = NULL;
    }
    return report;
}

static enum pc_cli_exit write_json(struct crawl *crawl)
{
    json_t *report = complete_json(crawl);
    if (!crawl->output.name)
        return pc_cli_json_print(report) ? PC_CLI_DONE : PC_CLI_COULD_NOT;
    char *text = report ? json_dumps(report, JSON_COMPACT | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(report);
    if (!text)
        return pc_cli_fail(true, PC_CLI_COULD_NOT, "no_memory", "out of memory");
    int error = pc_cli_output_file_write(&crawl->output, text, strlen(text));
    if (!error)
        error = pc_cli_output_file_write(&crawl->output, "\n", 1);
    free(text);
    return error ? pc_cli_output_file_failed(&crawl->output, true)
                 : pc_cli_output_file_finish(&crawl->output, true);
}

static enum pc_cli_exit write_text(struct crawl *crawl)
{
    FILE *file = report_file(crawl);
    if (crawl->session.saved)
        fprintf(file, "saved to %s\n", crawl->session.cache);
    if (crawl->alive == 0 && *crawl->cause)
        pc_cli_note("nobody answered; likely cause: %s. %s", crawl->cause, crawl->next_step);
    if (crawl->wants_peers) {
        int error = write_peers(crawl);
        if (crawl->output.error_number)
            return pc_cli_output_file_failed(&crawl->output, false);
        if (error)
            return pc_cli_fail(false, pc_cli_error_exit(error), pc_cli_error_code(error), "the peers: %s",
                               peercache_strerror(error));
        enum pc_cli_exit exit = pc_cli_output_file_finish(&crawl->output, false);
        if (exit)
            return exit;
    }
    return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}

static enum pc_cli_exit begin(struct crawl *crawl, const struct pc_cli_options *o)
{
    enum pc_cli_exit exit = pc_cli_session_init(&crawl->session, o, true);
    if (!exit)
        exit = pc_cli_session_add_sources(&crawl->session);
    if (exit)
        return exit;
    peercache_node_options *n = crawl->session.node_options;
    peercache_node_options_set_save(n, !o->no_save);
    int error = peercache_node_options_set_crawl(n, o->concurrency, o->crawl_timeout_ms);
    if (error)
        return pc_cli_session_refused(&crawl->session, error, "--concurrency");
    crawl->session.on_event = on_event;
    pc_driver_clock_init(&crawl->clock);
    pc_cli_progress_init(&crawl->progress, "crawling", "peers", 0);
    if (o->verbose || crawl->session.logs)
        crawl->progress.is_terminal = false; /* one of them writes there */
    exit = pc_cli_output_file_open(&crawl->output, o->output, o->json);
    return exit ? exit : pc_cli_session_open(&crawl->session);
}

static enum pc_cli_exit crawl_with(struct crawl *crawl, const struct pc_cli_options *o)
{
    if (o->json && o->format != PEERCACHE_FORMAT_ANY)
        return pc_cli_fail(true, PC_CLI_USAGE, "usage",
                           "--json is the report and --format the peers: one of them is the answer");
    crawl->wants_peers = !o->json && (o->format != PEERCACHE_FORMAT_ANY || o->output);
    enum pc_cli_exit exit = begin(crawl, o);
    if (!exit)
        exit = pc_cli_session_run(&crawl->session);
    pc_cli_progress_end(&crawl->progress);
    if (exit)
        return exit;
    if (!crawl->reported)
        return pc_cli_fail(o->json, PC_CLI_COULD_NOT, "state", "stopped before the crawl had begun");
    if (crawl->is_out_of_memory)
        return pc_cli_fail(o->json, PC_CLI_COULD_NOT, "no_memory", "out of memory");
    exit = o->json ? write_json(crawl) : write_text(crawl);
    if (exit)
        return exit;
    return crawl->alive > 0 ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}

enum pc_cli_exit pc_cli_crawl(const struct pc_cli_options *options)
{
    struct crawl crawl = { 0 };
    enum pc_cli_exit exit = crawl_with(&crawl, options);
    json_decref(crawl.json);
    free(crawl.found);
    pc_cli_output_file_deinit(&crawl.output);
    pc_cli_session_deinit(&crawl.session);
    return exit;
}
