#include "cli/crawl_report.h"

#include "base/time.h"

#define LISTED_MAX 20 /* agents, and protocols, in the readable report; the JSON has them all */

double pc_cli_crawl_rate(const peercache_crawl_report *report)
{
    uint32_t ended = report->known - report->waiting - report->under_way;
    return report->elapsed_us > 0 ? ended * (double)PC_US_PER_S / (double)report->elapsed_us : 0;
}

/* ----- for people ----- */

static void failures_text(const peercache_crawl_report *report, FILE *file)
{
    const char *before = "  failed     ";
    for (int code = 0; code < PEERCACHE_OUTCOME_COUNT; code++)
        if (code != PEERCACHE_OK && report->ended[code] > 0) {
            fprintf(file, "%s%u %s", before, report->ended[code],
                    peercache_outcome_name((peercache_outcome)code));
            before = ", ";
        }
    if (*before == ',')
        fputc('\n', file);
}

static void round_trips_text(const peercache_crawl_report *report, FILE *file)
{
    char min[PC_CLI_MS_BYTES], median[PC_CLI_MS_BYTES], most[PC_CLI_MS_BYTES], p90[PC_CLI_MS_BYTES],
        p95[PC_CLI_MS_BYTES], p99[PC_CLI_MS_BYTES];
    if (report->rtt_count == 0)
        return;
    fprintf(file, "  round trip min %s, median %s, 90%% %s, 95%% %s, 99%% %s, max %s ms (of %u)\n",
            pc_cli_ms(report->rtt_min_us, min), pc_cli_ms(report->rtt_median_us, median),
            pc_cli_ms(report->rtt_90th_us, p90), pc_cli_ms(report->rtt_95th_us, p95),
            pc_cli_ms(report->rtt_99th_us, p99), pc_cli_ms(report->rtt_max_us, most), report->rtt_count);
}

static void counted_text(const char *what, const peercache_counted *list, size_t count, uint32_t others,
                         FILE *file)
{
    char text[PC_CLI_TEXT_BYTES];
    uint64_t more = others;
    if (count > 0)
        fprintf(file, "%s:\n", what);
    for (size_t i = 0; i < count; i++) {
        if (i < LISTED_MAX)
            fprintf(file, "  %7u  %s\n", list[i].count,
                    *list[i].text ? pc_cli_clean(list[i].text, text) : "(says nothing)");
        else
            more += list[i].count;
    }
    if (more > 0)
        fprintf(file, "  %7llu  others\n", (unsigned long long)more);
}

static const char *end_text(peercache_crawl_end end)
{
    switch (end) {
    case PEERCACHE_CRAWL_COMPLETE:
        return "nobody is left to ask";
    case PEERCACHE_CRAWL_TIMED_OUT:
        return "the time was up";
    case PEERCACHE_CRAWL_STOPPED:
        return "it was stopped";
    }
    return "";
}

void pc_cli_crawl_report_text(const peercache_crawl_report *report, FILE *file)
{
    char seconds[PC_CLI_MS_BYTES];
    fprintf(file, "crawled %u peers in %s ms, %.0f a second: %s\n", report->known,
            pc_cli_ms(report->elapsed_us, seconds), pc_cli_crawl_rate(report), end_text(report->end));
    fprintf(file, "  dialled    %u, alive %u", report->dialed, report->alive);
    if (report->silent > 0)
        fprintf(file, ", of them %u left a question unanswered", report->silent);
    fputc('\n', file);
    failures_text(report, file);
    if (report->waiting + report->under_way > 0)
        fprintf(file, "  not ended  %u waiting, %u under way\n", report->waiting, report->under_way);
    if (report->left_out > 0)
        fprintf(file, "  passed over for a limit %u times\n", report->left_out);
    round_trips_text(report, file);
    counted_text("agents", report->agents, report->agent_count, report->other_agents, file);
    counted_text("protocols", report->protocols, report->protocol_count, report->other_protocols, file);
}

/* ----- JSON ----- */

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *failed_json(const peercache_crawl_report *report)
{
    json_t *failed = json_object();
    for (int code = 0; code < PEERCACHE_OUTCOME_COUNT && failed; code++)
        if (code != PEERCACHE_OK && report->ended[code] > 0 &&
            json_object_set_new(failed, peercache_outcome_name((peercache_outcome)code),
                                number(report->ended[code])) != 0) {
            json_decref(failed);
            failed = NULL;
        }
    return failed;
}

static json_t *counted_json(const char *word, const peercache_counted *list, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count && array; i++)
        if (json_array_append_new(array, json_pack("{s:o,s:o}", word, pc_cli_json_text(list[i].text), "count",
                                                   number(list[i].count))) != 0) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

static json_t *round_trips_json(const peercache_crawl_report *report)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "count", number(report->rtt_count), "min",
                     pc_cli_json_ms(report->rtt_min_us), "median", pc_cli_json_ms(report->rtt_median_us),
                     "p90", pc_cli_json_ms(report->rtt_90th_us), "p95", pc_cli_json_ms(report->rtt_95th_us),
                     "p99", pc_cli_json_ms(report->rtt_99th_us), "max", pc_cli_json_ms(report->rtt_max_us));
}

json_t *pc_cli_crawl_report_json(const peercache_crawl_report *report)
{
    return json_pack("{s:s,s:b,s:o,s:f,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}",
                     "end", peercache_crawl_end_name(report->end), "complete",
                     (int)(report->end == PEERCACHE_CRAWL_COMPLETE && report->left_out == 0), "elapsed_ms",
                     pc_cli_json_ms(report->elapsed_us), "peers_per_s", pc_cli_crawl_rate(report), "known",
                     number(report->known), "dialed", number(report->dialed), "alive", number(report->alive),
                     "answered", number(report->ended[PEERCACHE_OK]), "silent", number(report->silent),
                     "failed", failed_json(report), "waiting", number(report->waiting), "under_way",
                     number(report->under_way), "left_out", number(report->left_out), "questions",
                     number(report->questions), "answers", number(report->answers), "rtt_ms",
                     round_trips_json(report), "agents",
                     counted_json("agent", report->agents, report->agent_count), "other_agents",
                     number(report->other_agents), "protocols",
                     counted_json("protocol", report->protocols, report->protocol_count), "other_protocols",
                     number(report->other_protocols));
}
