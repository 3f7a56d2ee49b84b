/* peercache list: what the cache holds, peer by peer; never the whole of it in memory. */
#include "cli/cache.h"
#include "cli/commands.h"

#include <stdio.h>

struct list {
    bool json;
    uint64_t peers, tried, addrs;
};

static int visit(void *context, const peercache_peer *peer)
{
    struct list *list = (struct list *)context;
    bool is_first = list->peers == 0;
    list->peers++;
    list->tried += peer->state == PEERCACHE_TRIED;
    list->addrs += peer->addr_count;
    if (list->json)
        return pc_cli_json_element(pc_cli_peer_json(peer, false), is_first);
    pc_cli_peer_text(peer, false);
    return ferror(stdout) ? PEERCACHE_EIO : 0;
}

static enum pc_cli_exit list_all(struct pc_cli_cache *cache)
{
    struct list list = { .json = cache->options->json };
    if (list.json)
        putchar('[');
    cache->is_answering = true;
    int error = peercache_iterate(cache->cache, visit, &list);
    if (error)
        return pc_cli_cache_failed(cache, error);
    if (list.json)
        printf("%s]\n", list.peers ? "\n" : "");
    else if (cache->missing)
        printf("0 peers\n");
    else
        printf("%llu peer%s (%llu tried, %llu new), %llu address%s in %s\n", (unsigned long long)list.peers,
               list.peers == 1 ? "" : "s", (unsigned long long)list.tried,
               (unsigned long long)(list.peers - list.tried), (unsigned long long)list.addrs,
               list.addrs == 1 ? "" : "es", cache->path);
    return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}

enum pc_cli_exit pc_cli_list(const struct pc_cli_options *options)
{
    struct pc_cli_cache cache;
    enum pc_cli_exit exit = pc_cli_cache_open(&cache, options, PC_CLI_LOOK);
    if (!exit)
        exit = list_all(&cache);
    pc_cli_cache_close(&cache);
    return exit;
}
