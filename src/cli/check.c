/* peercache check: the whole file, looked over; with --repair made whole again. */
#include "cli/cache.h"
#include "cli/commands.h"

#include <stdio.h>

static enum pc_cli_exit check_file(struct pc_cli_cache *cache)
{
    const struct pc_cli_options *o = cache->options;
    char clean[PC_CLI_TEXT_BYTES];
    if (cache->missing)
        return pc_cli_fail(o->json, PC_CLI_COULD_NOT, "not_found", "there is nothing to check");
    /* a file that could not even be read was moved aside by open, which says so */
    const char *done = o->repair ? peercache_warning(cache->cache) : NULL;
    bool repaired = done && !peercache_is_read_only(cache->cache);
    int error = peercache_check(cache->cache, o->repair, cache->now);
    if (error)
        return pc_cli_cache_failed(cache, error);
    if (o->repair && *peercache_errmsg(cache->cache)) {
        repaired = true;
        done = peercache_errmsg(cache->cache);
    }
    if (o->json)
        return pc_cli_json_print(json_pack("{s:b,s:b,s:o,s:b}", "ok", 1, "repaired", (int)repaired, "detail",
                                           pc_cli_json_text(done), "saved", (int)repaired))
                   ? PC_CLI_DONE
                   : PC_CLI_COULD_NOT;
    printf("%s: %s\n", cache->path, repaired ? pc_cli_clean(done, clean) : "ok");
    return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}

enum pc_cli_exit pc_cli_check(const struct pc_cli_options *options)
{
    struct pc_cli_cache cache;
    enum pc_cli_exit exit = pc_cli_cache_open(&cache, options, options->repair ? PC_CLI_CHANGE : PC_CLI_LOOK);
    if (!exit)
        exit = check_file(&cache);
    pc_cli_cache_close(&cache);
    return exit;
}
