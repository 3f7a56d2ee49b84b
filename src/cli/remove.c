/* peercache remove, ban and unban: each of the names given, in order; what one of them lacks does not keep the
 * others from being done. */
#include "cli/cache.h"
#include "cli/commands.h"

#include <stdio.h>

struct verb {
    const char *done;    /* "removed" */
    const char *unknown; /* what ENOTFOUND means */
    int (*act)(peercache *cache, const char *name, peercache_time now);
};

static int unban(peercache *cache, const char *name, peercache_time now)
{
    (void)now;
    return peercache_unban(cache, name);
}

static const struct verb removing = { "removed", "not in the cache", peercache_remove };
static const struct verb banning = { "banned", "not found", peercache_ban };
static const struct verb unbanning = { "unbanned", "not banned", unban };

static enum pc_cli_exit act_on_all(struct pc_cli_cache *cache, const struct verb *verb, json_t *missing)
{
    const struct pc_cli_options *o = cache->options;
    size_t done = 0;
    bool saved = false;
    for (size_t i = 0; i < o->argument_count; i++) {
        int error = verb->act(cache->cache, o->arguments[i], cache->now);
        if (error && error != PEERCACHE_ENOTFOUND)
            return pc_cli_cache_failed(cache, error);
        if (error) {
            pc_cli_note("%.512s: %s", o->arguments[i], verb->unknown);
            if (json_array_append_new(missing, pc_cli_json_text(o->arguments[i])) != 0)
                return pc_cli_cache_failed(cache, PEERCACHE_ENOMEM);
        } else
            done++;
    }
    enum pc_cli_exit exit = pc_cli_cache_save(cache, &saved);
    if (exit)
        return exit;
    exit = done == o->argument_count ? PC_CLI_DONE : PC_CLI_COULD_NOT;
    if (o->json)
        return pc_cli_json_print(json_pack("{s:I,s:O,s:b}", verb->done, (json_int_t)done, "not_found",
                                           missing, "saved", (int)saved))
                   ? exit
                   : PC_CLI_COULD_NOT;
    printf("%zu of %zu %s%s\n", done, o->argument_count, verb->done, saved ? "" : "; nothing saved");
    return pc_cli_flush() ? exit : PC_CLI_COULD_NOT;
}

static enum pc_cli_exit run(const struct pc_cli_options *options, const struct verb *verb,
                            enum pc_cli_access access)
{
    struct pc_cli_cache cache;
    json_t *missing = json_array();
    enum pc_cli_exit exit = pc_cli_cache_open(&cache, options, access);
    if (!exit)
        exit = act_on_all(&cache, verb, missing);
    json_decref(missing);
    pc_cli_cache_close(&cache);
    return exit;
}

struct bans {
    bool json;
    size_t count;
};

static int visit_ban(void *context, const char *name, int64_t since_ms)
{
    struct bans *bans = (struct bans *)context;
    bool is_first = bans->count++ == 0;
    if (bans->json)
        return pc_cli_json_element(
            json_pack("{s:s,s:o}", "banned", name, "since", pc_cli_time_json(since_ms)), is_first);
    printf("%s\n", name);
    return ferror(stdout) ? PEERCACHE_EIO : 0;
}

static enum pc_cli_exit list_bans(const struct pc_cli_options *options)
{
    struct pc_cli_cache cache;
    struct bans bans = { .json = options->json };
    enum pc_cli_exit exit = pc_cli_cache_open(&cache, options, PC_CLI_LOOK);
    if (!exit) {
        if (bans.json)
            putchar('[');
        cache.is_answering = true;
        int error = peercache_bans(cache.cache, visit_ban, &bans);
        if (error)
            exit = pc_cli_cache_failed(&cache, error);
        else if (bans.json)
            printf("%s]\n", bans.count ? "\n" : "");
        if (!exit && !pc_cli_flush())
            exit = PC_CLI_COULD_NOT;
    }
    pc_cli_cache_close(&cache);
    return exit;
}

enum pc_cli_exit pc_cli_remove(const struct pc_cli_options *options)
{
    return run(options, &removing, PC_CLI_CHANGE);
}

enum pc_cli_exit pc_cli_ban(const struct pc_cli_options *options)
{
    if (options->list_bans && options->argument_count)
        return pc_cli_fail(options->json, PC_CLI_USAGE, "usage", "ban: --list takes no argument: '%.64s'",
                           options->arguments[0]);
    if (options->list_bans)
        return list_bans(options);
    if (options->argument_count == 0)
        return pc_cli_fail(options->json, PC_CLI_USAGE, "usage",
                           "ban: the PEER_ID|CIDR is missing; usage: peercache ban PEER_ID|CIDR...");
    return run(options, &banning, PC_CLI_MAKE);
}

enum pc_cli_exit pc_cli_unban(const struct pc_cli_options *options)
{
    return run(options, &unbanning, PC_CLI_CHANGE);
}
