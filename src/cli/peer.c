/* How a peer is shown, as JSON and as text. */
#include "cli/cache.h"

#include "base/time.h"

#include <stdio.h>

const char *pc_cli_peer_name(const peercache_peer *peer)
{
    return *peer->id ? peer->id : "(id not known)";
}

json_t *pc_cli_time_json(int64_t wall_ms)
{
    char text[PC_RFC3339_BYTES];
    if (wall_ms == 0)
        return json_null();
    pc_base_rfc3339_format(wall_ms, text);
    return json_string(text);
}

const char *pc_cli_time_text(int64_t wall_ms, char ret_text[PC_RFC3339_BYTES])
{
    if (wall_ms == 0)
        return "never";
    pc_base_rfc3339_format(wall_ms, ret_text);
    return ret_text;
}

/* Of how many failures of each kind, those there are. */
static json_t *failures_json(const peercache_addr *a)
{
    json_t *failures = json_object();
    for (int i = 0; i < PEERCACHE_OUTCOME_COUNT; i++)
        if (a->failures[i] && json_object_set_new(failures, peercache_outcome_name((peercache_outcome)i),
                                                  json_integer(a->failures[i])) != 0) {
            json_decref(failures);
            return NULL;
        }
    return failures;
}

static json_t *addr_json(const peercache_addr *a, bool all)
{
    json_t *one =
        json_pack("{s:o,s:I,s:I,s:o,s:o,s:o,s:s}", "addr", pc_cli_json_text(a->addr), "success_count",
                  (json_int_t)a->success_count, "failure_count", (json_int_t)a->failure_count, "last_seen",
                  pc_cli_time_json(a->last_seen_ms), "last_success", pc_cli_time_json(a->last_success_ms),
                  "rtt_ms", a->rtt_ms < 0 ? json_null() : json_integer(a->rtt_ms), "learned_from",
                  peercache_source_name(a->learned_from));
    if (!one || !all)
        return one;
    json_t *more = json_pack("{s:i,s:o,s:o,s:o,s:o}", "score", (int)a->score, "failures", failures_json(a),
                             "first_seen", pc_cli_time_json(a->first_seen_ms), "last_attempt",
                             pc_cli_time_json(a->last_attempt_ms), "rtt_at", pc_cli_time_json(a->rtt_at_ms));
    if (!more || json_object_update_new(one, more) != 0) {
        json_decref(one);
        return NULL;
    }
    return one;
}

json_t *pc_cli_peer_json(const peercache_peer *peer, bool all)
{
    json_t *addrs = json_array();
    for (size_t i = 0; i < peer->addr_count; i++)
        if (json_array_append_new(addrs, addr_json(&peer->addrs[i], all)) != 0) {
            json_decref(addrs);
            return NULL;
        }
    json_t *id = *peer->id ? json_string(peer->id) : json_null();
    if (all)
        return json_pack("{s:o,s:s,s:b,s:o}", "id", id, "state", peercache_state_name(peer->state),
                         "reliable", (int)peer->reliable, "addrs", addrs);
    return json_pack("{s:o,s:s,s:o}", "id", id, "state", peercache_state_name(peer->state), "addrs", addrs);
}

static void addr_text_more(const peercache_addr *a)
{
    char first[PC_RFC3339_BYTES], success[PC_RFC3339_BYTES], attempt[PC_RFC3339_BYTES];
    const char *separator = ": ";
    printf("        score %d, first seen %s, last success %s, last attempt %s\n", a->score,
           pc_cli_time_text(a->first_seen_ms, first), pc_cli_time_text(a->last_success_ms, success),
           pc_cli_time_text(a->last_attempt_ms, attempt));
    if (a->failure_count == 0)
        return;
    printf("        failures");
    for (int i = 0; i < PEERCACHE_OUTCOME_COUNT; i++)
        if (a->failures[i]) {
            printf("%s%u %s", separator, a->failures[i], peercache_outcome_name((peercache_outcome)i));
            separator = ", ";
        }
    printf("%s\n", *separator == ':' ? " of no known kind" : "");
}

void pc_cli_peer_text(const peercache_peer *peer, bool all)
{
    printf("%s  %s\n", pc_cli_peer_name(peer), peercache_state_name(peer->state));
    for (size_t i = 0; i < peer->addr_count; i++) {
        const peercache_addr *a = &peer->addrs[i];
        char addr[PC_CLI_TEXT_BYTES], seen[PC_RFC3339_BYTES];
        printf("    %s\n        %u ok, %u failed, seen %s, ", pc_cli_clean(a->addr, addr), a->success_count,
               a->failure_count, pc_cli_time_text(a->last_seen_ms, seen));
        if (a->rtt_ms >= 0)
            printf("rtt %d ms, ", a->rtt_ms);
        printf("learned from %s\n", peercache_source_name(a->learned_from));
        if (all)
            addr_text_more(a);
    }
}

const char *pc_cli_full_addr(const peercache_candidate *candidate, char ret_addr[PC_CLI_FULL_ADDR_BYTES])
{
    (void)snprintf(ret_addr, PC_CLI_FULL_ADDR_BYTES, "%s%s%s", candidate->addr,
                   *candidate->peer_id ? "/p2p/" : "", candidate->peer_id);
    return ret_addr;
}

int pc_cli_json_element(json_t *value, bool is_first)
{
    if (!value)
        return PEERCACHE_ENOMEM;
    fputs(is_first ? "\n" : ",\n", stdout);
    int written = json_dumpf(value, stdout, JSON_COMPACT);
    json_decref(value);
    return written == 0 && !ferror(stdout) ? 0 : PEERCACHE_EIO;
}
