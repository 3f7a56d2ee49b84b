/* peercache stats: what the cache holds, in numbers. */
#include "cli/cache.h"
#include "cli/commands.h"

#include "base/time.h"

#include <stdio.h>

static enum pc_cli_exit stats_print(struct pc_cli_cache *cache)
{
    const struct pc_cli_options *o = cache->options;
    peercache_stats s;
    char updated[PC_RFC3339_BYTES] = "never";
    int error = peercache_get_stats(cache->cache, &s);
    if (error)
        return pc_cli_cache_failed(cache, error);
    const char *store = cache->missing ? "none" : s.store;
    if (o->json)
        return pc_cli_json_print(json_pack(
                   "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:o,s:I,s:o,s:s}", "peers", (json_int_t)s.peers,
                   "addresses", (json_int_t)s.addresses, "tried", (json_int_t)s.tried_peers, "new",
                   (json_int_t)s.new_peers, "reliable", (json_int_t)s.reliable, "groups",
                   (json_int_t)s.groups, "banned", (json_int_t)s.banned, "store", store, "path",
                   pc_cli_json_text(cache->path), "size_bytes", (json_int_t)s.size_bytes, "last_updated",
                   pc_cli_time_json(s.last_updated_ms), "network", o->network))
                   ? PC_CLI_DONE
                   : PC_CLI_COULD_NOT;
    if (s.last_updated_ms)
        pc_base_rfc3339_format(s.last_updated_ms, updated);
    printf("peers         %llu (%llu tried, %llu new; %llu reliable)\n", (unsigned long long)s.peers,
           (unsigned long long)s.tried_peers, (unsigned long long)s.new_peers,
           (unsigned long long)s.reliable);
    printf("addresses     %llu in %llu groups\n", (unsigned long long)s.addresses,
           (unsigned long long)s.groups);
    printf("bans          %llu\n", (unsigned long long)s.banned);
    printf("store         %s, %llu bytes, %s\n", store, (unsigned long long)s.size_bytes, cache->path);
    printf("last updated  %s\n", updated);
    return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}

enum pc_cli_exit pc_cli_stats(const struct pc_cli_options *options)
{
    struct pc_cli_cache cache;
    enum pc_cli_exit exit = pc_cli_cache_open(&cache, options, PC_CLI_LOOK);
    if (!exit)
        exit = stats_print(&cache);
    pc_cli_cache_close(&cache);
    return exit;
}
