/* peercache show: all that the cache knows of one peer. */
#include "cli/cache.h"
#include "cli/commands.h"

static enum pc_cli_exit show_one(struct pc_cli_cache *cache)
{
    const struct pc_cli_options *o = cache->options;
    peercache_peer peer;
    int error = peercache_find(cache->cache, o->arguments[0], &peer);
    if (error == PEERCACHE_ENOTFOUND)
        return pc_cli_fail(o->json, PC_CLI_COULD_NOT, "not_found", "%.512s is not in the cache",
                           o->arguments[0]);
    if (error)
        return pc_cli_cache_failed(cache, error);
    if (o->json)
        return pc_cli_json_print(pc_cli_peer_json(&peer, true)) ? PC_CLI_DONE : PC_CLI_COULD_NOT;
    pc_cli_peer_text(&peer, true);
    return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}

enum pc_cli_exit pc_cli_show(const struct pc_cli_options *options)
{
    struct pc_cli_cache cache;
    enum pc_cli_exit exit = pc_cli_cache_open(&cache, options, PC_CLI_LOOK);
    if (!exit)
        exit = show_one(&cache);
    pc_cli_cache_close(&cache);
    return exit;
}
