#include "cli/join_report.h"

#include "cli/cache.h"

#include "base/time.h"

#include <stdio.h>
#include <string.h>

#define FAILURES_SHOWN_MAX 20 /* in the readable report; the JSON has them all */

/* ----- JSON ----- */

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* "" is none. */
static json_t *text_or_null(const char *text)
{
    return text && *text ? pc_cli_json_text(text) : json_null();
}

/* Add a member, whose reference is taken; once memory was out, *object is NULL and stays it. */
static void add(json_t **object, const char *key, json_t *value)
{
    if (!*object) {
        json_decref(value);
    } else if (json_object_set_new(*object, key, value) != 0) {
        json_decref(*object);
        *object = NULL;
    }
}

static json_t *dial_json(const peercache_dial *dial, bool failed)
{
    json_t *id = text_or_null(dial->id);
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

static json_t *sources_json(const peercache_source_report *sources)
{
    json_t *all = json_object();
    for (int via = 0; via < PEERCACHE_VIA_COUNT; via++) {
        const peercache_source_report *s = &sources[via];
        json_t *failed = json_object();
        for (int code = 0; code < PEERCACHE_OUTCOME_COUNT; code++)
            if (code != PEERCACHE_OK && s->ended[code] > 0)
                add(&failed, peercache_outcome_name((peercache_outcome)code), number(s->ended[code]));
        add(&all, peercache_via_name((peercache_via)via),
            json_pack("{s:o,s:o,s:o,s:o}", "offered", number(s->offered), "dialed", number(s->dialed),
                      "verified", number(s->verified), "failed", failed));
    }
    return all;
}

json_t *pc_cli_endpoint_json(const peercache_endpoint_report *e, bool in_join)
{
    json_t *one =
        json_pack("{s:o,s:o,s:o,s:o,s:s,s:o,s:o,s:o}", "url", pc_cli_json_text(e->url), "result",
                  text_or_null(e->result), "status", e->status > 0 ? json_integer(e->status) : json_null(),
                  "detail", text_or_null(e->detail), "breaker", e->breaker, "delivered", number(e->delivered),
                  "verified", number(e->verified), "next_try_ms",
                  e->next_try_ms < 0 ? json_null() : json_integer((json_int_t)e->next_try_ms));
    if (in_join) {
        add(&one, "asked", json_boolean(e->was_asked));
        add(&one, "shared", json_boolean(e->was_shared));
    }
    return one;
}

static json_t *endpoints_json(const peercache_endpoint_report *endpoints, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count && array; i++)
        if (json_array_append_new(array, pc_cli_endpoint_json(&endpoints[i], true)) != 0) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

static json_t *local_json(const peercache_local_report *local)
{
    json_t *holes = json_array();
    if (local->ip4_is_hole)
        (void)json_array_append_new(holes, json_string("ip4"));
    if (local->ip6_is_hole)
        (void)json_array_append_new(holes, json_string("ip6"));
    return json_pack("{s:b,s:b,s:o,s:{s:o,s:o},s:o,s:o,s:o}", "ip4", (int)local->has_ip4, "ip6",
                     (int)local->has_ip6, "holes", holes, "dns", "questions", number(local->questions),
                     "failed", number(local->questions_failed), "clock_ahead_ms",
                     local->has_clock ? json_integer((json_int_t)local->clock_ahead_ms) : json_null(),
                     "descriptors", number(local->descriptors), "descriptors_max",
                     local->descriptors_max > 0 ? number(local->descriptors_max) : json_null());
}

static bool has_cache(const peercache_cache_report *cache)
{
    return cache->path && *cache->path;
}

static json_t *cache_json(const peercache_cache_report *cache)
{
    if (!has_cache(cache))
        return json_null();
    return json_pack("{s:o,s:b,s:b,s:o,s:o,s:o,s:o}", "path", pc_cli_json_text(cache->path), "healthy",
                     (int)cache->is_healthy, "writable", (int)cache->is_writable, "problem",
                     text_or_null(cache->problem), "tried", number(cache->tried), "new", number(cache->fresh),
                     "last_success", pc_cli_time_json(cache->last_success_ms));
}

/* Dials of each source: how many there were, and by how they ended. */
static json_t *dial_metrics_json(const peercache_join_metrics *metrics)
{
    json_t *all = json_object();
    for (int via = 0; via < PEERCACHE_VIA_COUNT; via++) {
        json_t *ended = json_object();
        for (int code = 0; code < PEERCACHE_OUTCOME_COUNT; code++)
            if (metrics->ended[via][code] > 0)
                add(&ended, peercache_outcome_name((peercache_outcome)code),
                    number(metrics->ended[via][code]));
        add(&all, peercache_via_name((peercache_via)via),
            json_pack("{s:o,s:o}", "begun", number(metrics->dials[via]), "ended", ended));
    }
    return all;
}

static json_t *fetch_metrics_json(const peercache_join_metrics *metrics)
{
    json_t *all = json_object();
    for (int result = 0; result < PEERCACHE_FETCH_COUNT; result++)
        if (metrics->fetches[result] > 0)
            add(&all, peercache_fetch_name((peercache_fetch)result), number(metrics->fetches[result]));
    return all;
}

static json_t *metrics_json(const peercache_join_metrics *m)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "first_verified_ms",
                     pc_cli_json_ms(m->first_verified_us), "fifth_verified_ms",
                     pc_cli_json_ms(m->fifth_verified_us), "dials", dial_metrics_json(m), "cache_hits",
                     number(m->cache_hits), "cache_misses", number(m->cache_misses), "fetches",
                     fetch_metrics_json(m), "breaker_transitions", number(m->breaker_transitions),
                     "questions", number(m->questions), "questions_failed", number(m->questions_failed),
                     "rounds", number(m->rounds));
}

json_t *pc_cli_join_report_json(const peercache_join_report *r, bool dials)
{
    json_t *report =
        json_pack("{s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "status", peercache_join_status_name(r->status),
                  "cause", text_or_null(r->cause), "next_step", text_or_null(r->next_step), "target",
                  number(r->target), "verified", number(r->verified), "dialed", number(r->dialed), "failed",
                  number(r->failed), "elapsed_ms", pc_cli_json_ms(r->elapsed_us));
    if (dials) {
        add(&report, "peers", dials_json(r->peers, r->peer_count, false));
        add(&report, "failures", dials_json(r->failures, r->failure_count, true));
    }
    add(&report, "sources", sources_json(r->sources));
    add(&report, "endpoints", endpoints_json(r->endpoints, r->endpoint_count));
    add(&report, "local", local_json(&r->local));
    add(&report, "cache", cache_json(&r->cache));
    add(&report, "metrics", metrics_json(&r->metrics));
    return report;
}

/* ----- text ----- */

static void verified_text(const peercache_join_report *r)
{
    char ms[PC_CLI_MS_BYTES], rtt[PC_CLI_MS_BYTES], addr[PC_CLI_TEXT_BYTES];
    if (r->peer_count > 0)
        printf("verified\n");
    for (size_t i = 0; i < r->peer_count; i++)
        printf("%9s ms  %s  rtt %s ms  (%s)\n", pc_cli_ms(r->peers[i].elapsed_us, ms),
               pc_cli_clean(r->peers[i].addr, addr),
               r->peers[i].rtt_us < 0 ? "?" : pc_cli_ms(r->peers[i].rtt_us, rtt),
               peercache_via_name(r->peers[i].via));
}

static void failed_text(const peercache_join_report *r)
{
    char ms[PC_CLI_MS_BYTES], addr[PC_CLI_TEXT_BYTES], detail[PC_CLI_TEXT_BYTES];
    if (r->failure_count > 0)
        printf("failed\n");
    for (size_t i = 0; i < r->failure_count && i < FAILURES_SHOWN_MAX; i++)
        printf("%9s ms  %s  %s: %s  (%s)\n", pc_cli_ms(r->failures[i].elapsed_us, ms),
               pc_cli_clean(r->failures[i].addr, addr), peercache_outcome_name(r->failures[i].code),
               pc_cli_clean(r->failures[i].detail, detail), peercache_via_name(r->failures[i].via));
    if (r->failed > FAILURES_SHOWN_MAX)
        printf("%9s     … and %u more; --json lists them\n", "", r->failed - FAILURES_SHOWN_MAX);
}

static void sources_text(const peercache_join_report *r)
{
    printf("sources\n");
    for (int via = 0; via < PEERCACHE_VIA_COUNT; via++) {
        const peercache_source_report *s = &r->sources[via];
        const char *before = "; ";
        if (s->offered == 0 && s->dialed == 0)
            continue;
        printf("  %-9s %u offered, %u dialled, %u verified", peercache_via_name((peercache_via)via),
               s->offered, s->dialed, s->verified);
        for (int code = 0; code < PEERCACHE_OUTCOME_COUNT; code++) {
            if (code == PEERCACHE_OK || s->ended[code] == 0)
                continue;
            printf("%s%u %s", before, s->ended[code], peercache_outcome_name((peercache_outcome)code));
            before = ", ";
        }
        printf("\n");
    }
    if (r->sources[PEERCACHE_VIA_FLAG].offered == 0 && r->sources[PEERCACHE_VIA_ENV].offered == 0)
        printf("  no peer was given (--peer, PEERCACHE_PEERS)\n");
}

const char *pc_cli_endpoint_answer(const peercache_endpoint_report *e, char ret_text[PC_CLI_TEXT_BYTES])
{
    char status[16] = "", peers[32] = "";
    bool has_peers =
        e->result && (strcmp(e->result, peercache_fetch_name(PEERCACHE_FETCH_OK)) == 0 ||
                      strcmp(e->result, peercache_fetch_name(PEERCACHE_FETCH_NOT_MODIFIED)) == 0);
    const char *detail = e->detail ? e->detail : "";
    if (!e->result || !*e->result)
        return e->was_asked ? "asked, no answer yet" : "not asked";
    if (e->status > 0)
        (void)snprintf(status, sizeof(status), " %d", e->status);
    if (has_peers)
        (void)snprintf(peers, sizeof(peers), ": %u peer%s", e->delivered, e->delivered == 1 ? "" : "s");
    (void)snprintf(ret_text, PC_CLI_TEXT_BYTES, "%s%s%s%s%.400s%s", e->result, status, peers,
                   *detail ? ": " : "", detail, e->was_shared ? " (shared by another process)" : "");
    return ret_text;
}

static void endpoints_text(const peercache_join_report *r)
{
    char url[PC_CLI_TEXT_BYTES], answer[PC_CLI_TEXT_BYTES], clean[PC_CLI_TEXT_BYTES],
        wait[PC_CLI_ROUGHLY_BYTES];
    if (r->endpoint_count > 0)
        printf("endpoints\n");
    for (size_t i = 0; i < r->endpoint_count; i++) {
        const peercache_endpoint_report *e = &r->endpoints[i];
        printf("  %s  %s; %u verified, breaker %s", pc_cli_clean(e->url, url),
               pc_cli_clean(pc_cli_endpoint_answer(e, answer), clean), e->verified, e->breaker);
        if (e->next_try_ms > 0)
            printf(", asked again in %s", pc_cli_roughly(e->next_try_ms, wait));
        printf("\n");
    }
}

static const char *family_text(bool has, bool is_hole)
{
    return !has ? "none" : is_hole ? "yes, but dials vanish" : "yes";
}

static void local_text(const peercache_local_report *local)
{
    char ahead[PC_CLI_ROUGHLY_BYTES];
    int64_t off_ms = local->clock_ahead_ms < 0 ? -local->clock_ahead_ms : local->clock_ahead_ms;
    printf("this machine\n  IPv4 %s, IPv6 %s", family_text(local->has_ip4, local->ip4_is_hole),
           family_text(local->has_ip6, local->ip6_is_hole));
    if (local->questions > 0)
        printf("; %u of %u questions to name servers failed", local->questions_failed, local->questions);
    if (local->has_clock)
        printf("; clock %s %s the endpoints'", pc_cli_roughly(off_ms, ahead),
               local->clock_ahead_ms < 0 ? "behind" : "ahead of");
    if (local->descriptors_max > 0)
        printf("; %u of %u descriptors", local->descriptors, local->descriptors_max);
    printf("\n");
}

static void cache_text(const peercache_cache_report *cache)
{
    char path[PC_CLI_TEXT_BYTES], problem[PC_CLI_TEXT_BYTES], last[PC_RFC3339_BYTES];
    printf("cache\n");
    if (!has_cache(cache)) {
        printf("  none\n");
        return;
    }
    printf("  %s: %llu tried, %llu new, last success %s", pc_cli_clean(cache->path, path),
           (unsigned long long)cache->tried, (unsigned long long)cache->fresh,
           pc_cli_time_text(cache->last_success_ms, last));
    if (cache->problem && *cache->problem)
        printf("; %s: %s", !cache->is_healthy ? "damaged" : "not writable",
               pc_cli_clean(cache->problem, problem));
    printf("\n");
}

void pc_cli_join_report_text(const peercache_join_report *r)
{
    verified_text(r);
    if (r->status != PEERCACHE_JOINED) {
        failed_text(r);
        sources_text(r);
        endpoints_text(r);
        local_text(&r->local);
        cache_text(&r->cache);
    }
    if (r->cause && *r->cause)
        printf("likely cause: %s (peercache(1), CAUSES)\n", r->cause);
    if (r->next_step && *r->next_step)
        printf("next step: %s\n", r->next_step);
}
