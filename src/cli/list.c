/* peercache list: what the cache holds, peer by peer; never the whole of it in memory. */
#include "cli/commands.h"
#include "cli/session.h"

#include "base/time.h"

#include <peercache/peercache.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct list {
    bool json;
    uint64_t peers, tried, addrs;
};

/* RFC 3339; 0 is never. */
static json_t *time_json(int64_t wall_ms)
{
    char text[PC_RFC3339_BYTES];
    if (wall_ms == 0)
        return json_null();
    pc_base_rfc3339_format(wall_ms, text);
    return json_string(text);
}

static json_t *peer_json(const peercache_peer *peer)
{
    json_t *addrs = json_array();
    for (size_t i = 0; i < peer->addr_count; i++) {
        const peercache_addr *a = &peer->addrs[i];
        json_t *one =
            json_pack("{s:o,s:I,s:I,s:o,s:o,s:o,s:s}", "addr", pc_cli_json_text(a->addr), "success_count",
                      (json_int_t)a->success_count, "failure_count", (json_int_t)a->failure_count,
                      "last_seen", time_json(a->last_seen_ms), "last_success", time_json(a->last_success_ms),
                      "rtt_ms", a->rtt_ms < 0 ? json_null() : json_integer(a->rtt_ms), "learned_from",
                      peercache_source_name(a->learned_from));
        if (json_array_append_new(addrs, one) != 0) {
            json_decref(addrs);
            return NULL;
        }
    }
    return json_pack("{s:o,s:s,s:o}", "id", *peer->id ? json_string(peer->id) : json_null(), "state",
                     peercache_state_name(peer->state), "addrs", addrs);
}

static void addr_text(const peercache_addr *a)
{
    char addr[PC_CLI_TEXT_BYTES], seen[PC_RFC3339_BYTES] = "never";
    if (a->last_seen_ms != 0)
        pc_base_rfc3339_format(a->last_seen_ms, seen);
    printf("    %s\n        %u ok, %u failed, seen %s, ", pc_cli_clean(a->addr, addr), a->success_count,
           a->failure_count, seen);
    if (a->rtt_ms >= 0)
        printf("rtt %d ms, ", a->rtt_ms);
    printf("learned from %s\n", peercache_source_name(a->learned_from));
}

static int visit(void *context, const peercache_peer *peer)
{
    struct list *list = (struct list *)context;
    bool first = list->peers == 0;
    list->peers++;
    list->tried += peer->state == PEERCACHE_TRIED;
    list->addrs += peer->addr_count;
    if (list->json) {
        json_t *one = peer_json(peer);
        if (!one)
            return PEERCACHE_ENOMEM;
        fputs(first ? "\n" : ",\n", stdout);
        int written = json_dumpf(one, stdout, JSON_COMPACT);
        json_decref(one);
        if (ferror(stdout))
            return PEERCACHE_EIO;
        return written == 0 ? 0 : PEERCACHE_ENOMEM;
    }
    printf("%s  %s\n", *peer->id ? peer->id : "(id not known)", peercache_state_name(peer->state));
    for (size_t i = 0; i < peer->addr_count; i++)
        addr_text(&peer->addrs[i]);
    return ferror(stdout) ? PEERCACHE_EIO : 0;
}

static enum pc_cli_exit cache_failed(const struct pc_cli_options *o, const peercache *cache, int error)
{
    const char *why = cache ? peercache_errmsg(cache) : NULL;
    return pc_cli_fail(o->json, pc_cli_error_exit(error), pc_cli_error_code(error), "%s",
                       why && *why ? why : peercache_strerror(error));
}

static enum pc_cli_exit list_open(const struct pc_cli_options *o, const char *path)
{
    enum pc_cli_exit exit = PC_CLI_COULD_NOT;
    struct list list = { .json = o->json };
    peercache *cache = NULL;
    peercache_options *options = peercache_options_new();
    if (!options)
        return pc_cli_fail(o->json, exit, "no_memory", "out of memory");
    peercache_options_set_local(options, o->local);
    peercache_options_set_read_only(options, true);
    int error = peercache_open(path, o->network, options, &cache);
    if (error) {
        exit = cache_failed(o, cache, error);
        goto close_cache;
    }
    if (peercache_warning(cache))
        pc_cli_note("%s", peercache_warning(cache));
    if (o->json)
        putchar('[');
    error = peercache_iterate(cache, visit, &list);
    if (error) {
        /* the array stays open: half an answer must not parse as a whole one */
        exit = cache_failed(&(struct pc_cli_options){ .json = false }, cache, error);
        goto close_cache;
    }
    if (o->json)
        printf("%s]\n", list.peers ? "\n" : "");
    else
        printf("%llu peers (%llu tried, %llu new), %llu addresses in %s\n", (unsigned long long)list.peers,
               (unsigned long long)list.tried, (unsigned long long)(list.peers - list.tried),
               (unsigned long long)list.addrs, path);
    if (pc_cli_flush())
        exit = PC_CLI_DONE;
close_cache:
    peercache_close(cache);
    peercache_options_free(options);
    return exit;
}

enum pc_cli_exit pc_cli_list(const struct pc_cli_options *o)
{
    char path[PC_CLI_PATH_BYTES];
    struct pc_reason reason = { "" };
    struct stat status;

    if (o->no_cache)
        return pc_cli_fail(o->json, PC_CLI_USAGE, "usage", "list: with --no-cache there is nothing to list");
    if (pc_cli_cache_path(o, path, &reason) != 0)
        return pc_cli_fail(o->json, PC_CLI_USAGE, "usage", "%s", reason.text);
    /* no file yet is an empty memory, and looking at it makes none */
    if (stat(path, &status) != 0 && errno == ENOENT) {
        pc_cli_note("there is no cache at %s yet", path);
        printf(o->json ? "[]\n" : "0 peers\n");
        return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
    }
    return list_open(o, path);
}
