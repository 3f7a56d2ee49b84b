/* peercache report: what became of a dial that somebody else made. */
#include "cli/cache.h"
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

/* The words of the command line, as an outcome. */
static enum pc_cli_exit outcome_of(const struct pc_cli_options *o, peercache_outcome_report *ret_report)
{
    const char *word = o->arguments[1];
    bool is_success = strcmp(word, "success") == 0;
    if (!is_success && strcmp(word, "failure") != 0)
        return pc_cli_fail(o->json, PC_CLI_USAGE, "usage",
                           "report: '%.64s' is neither success nor failure; usage: peercache %s %s", word,
                           o->command->name, o->command->arguments);
    if (is_success && o->code != PEERCACHE_OK)
        return pc_cli_fail(o->json, PC_CLI_USAGE, "usage", "report: --code is of a failure");
    if (!is_success && (o->rtt_ms || o->unverified))
        return pc_cli_fail(o->json, PC_CLI_USAGE, "usage", "report: %s is of a success",
                           o->rtt_ms ? "--rtt" : "--unverified");
    ret_report->outcome = is_success ? PEERCACHE_OK : o->code == PEERCACHE_OK ? PEERCACHE_TIMEOUT : o->code;
    ret_report->count = o->times;
    ret_report->rtt_ms = o->rtt_ms ? (int32_t)o->rtt_ms : -1;
    ret_report->unverified = o->unverified;
    return PC_CLI_DONE;
}

static enum pc_cli_exit report_one(struct pc_cli_cache *cache, const peercache_outcome_report *report)
{
    const struct pc_cli_options *o = cache->options;
    peercache_candidate candidate;
    peercache_peer known;
    bool saved = false;
    int error = peercache_candidate_parse(cache->cache, o->arguments[0], &candidate);
    if (error)
        return pc_cli_cache_failed(cache, error);
    /* what is only on disk is taken into memory, where the report finds it */
    error = peercache_find(cache->cache, *candidate.peer_id ? candidate.peer_id : candidate.addr, &known);
    if (error && error != PEERCACHE_ENOTFOUND)
        return pc_cli_cache_failed(cache, error);
    error = peercache_report_more(cache->cache, &candidate, report, cache->now);
    if (error == PEERCACHE_ENOTFOUND)
        return pc_cli_fail(o->json, PC_CLI_COULD_NOT, "not_found",
                           "%.512s is not in the cache; only a success adds it", o->arguments[0]);
    if (error)
        return pc_cli_cache_failed(cache, error);
    enum pc_cli_exit exit = pc_cli_cache_save(cache, &saved);
    if (exit)
        return exit;
    if (o->json)
        return pc_cli_json_print(json_pack("{s:s,s:I,s:b}", "outcome",
                                           peercache_outcome_name(report->outcome), "count",
                                           (json_int_t)report->count, "saved", (int)saved))
                   ? PC_CLI_DONE
                   : PC_CLI_COULD_NOT;
    printf("%s%s\n", report->outcome == PEERCACHE_OK ? "success" : "failure",
           saved ? " reported" : " not saved");
    return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}

enum pc_cli_exit pc_cli_report(const struct pc_cli_options *options)
{
    struct pc_cli_cache cache = { 0 };
    peercache_outcome_report report = PEERCACHE_REPORT_INIT(PEERCACHE_OK);
    enum pc_cli_exit exit = outcome_of(options, &report);
    if (!exit)
        exit = pc_cli_cache_open(&cache, options, PC_CLI_MAKE);
    if (!exit)
        exit = report_one(&cache, &report);
    pc_cli_cache_close(&cache);
    return exit;
}
