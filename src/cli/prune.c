/* peercache prune: the whole cache once, in bounded steps. */
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/value.h"

#include <stdio.h>

#define STEP_PEERS 10000

struct pruning {
    const struct pc_cli_options *options;
    struct pc_cli_progress progress;
    peercache_pruned sum;
    uint64_t shown;
};

static int visit(void *context, const peercache_peer *peer, uint32_t policy)
{
    struct pruning *pruning = (struct pruning *)context;
    bool is_first = pruning->shown++ == 0;
    pc_cli_progress_end(&pruning->progress);
    if (pruning->options->json)
        return pc_cli_json_element(
            json_pack("{s:o,s:o,s:s}", "id", *peer->id ? json_string(peer->id) : json_null(), "addr",
                      peer->addr_count ? pc_cli_json_text(peer->addrs[0].addr) : json_null(), "policy",
                      pc_cli_policy_name(policy)),
            is_first);
    char addr[PC_CLI_TEXT_BYTES];
    printf("%s  %s  %s\n", pc_cli_policy_name(policy), pc_cli_peer_name(peer),
           peer->addr_count ? pc_cli_clean(peer->addrs[0].addr, addr) : "");
    return ferror(stdout) ? PEERCACHE_EIO : 0;
}

static int prune_all(struct pc_cli_cache *cache, struct pruning *pruning)
{
    const struct pc_cli_options *o = cache->options;
    peercache_pruned *sum = &pruning->sum;
    while (!sum->done) {
        peercache_pruned step = { 0 };
        int error = peercache_prune(cache->cache, o->policies, o->dry_run, STEP_PEERS, cache->now, visit,
                                    pruning, &step);
        if (error)
            return error;
        sum->looked_at += step.looked_at;
        sum->unreliable += step.unreliable;
        sum->stale += step.stale;
        sum->capacity += step.capacity;
        sum->banned += step.banned;
        sum->done = step.done;
        pc_cli_progress_at(&pruning->progress, sum->looked_at);
    }
    return 0;
}

static enum pc_cli_exit prune_and_tell(struct pc_cli_cache *cache)
{
    const struct pc_cli_options *o = cache->options;
    struct pruning pruning = { .options = o };
    const peercache_pruned *sum = &pruning.sum;
    bool saved = false;
    pc_cli_progress_init(&pruning.progress, "pruning", "peers looked at", 0);
    if (o->json)
        printf("{\"removed\":[");
    cache->is_answering = true;
    int error = prune_all(cache, &pruning);
    pc_cli_progress_end(&pruning.progress);
    if (error)
        return pc_cli_cache_failed(cache, error);
    enum pc_cli_exit exit = pc_cli_cache_save(cache, &saved);
    if (exit)
        return exit;
    saved = saved && !o->dry_run;
    unsigned long long count = sum->unreliable + sum->stale + sum->capacity + sum->banned;
    if (o->json)
        printf("%s],\"looked_at\":%llu,\"unreliable\":%llu,\"stale\":%llu,\"capacity\":%llu,\"banned\":%llu,"
               "\"dry_run\":%s,\"saved\":%s}\n",
               pruning.shown ? "\n" : "", (unsigned long long)sum->looked_at,
               (unsigned long long)sum->unreliable, (unsigned long long)sum->stale,
               (unsigned long long)sum->capacity, (unsigned long long)sum->banned,
               o->dry_run ? "true" : "false", saved ? "true" : "false");
    else
        printf("%llu of %llu peers %s: %llu unreliable, %llu stale, %llu over capacity, %llu banned%s\n",
               count, (unsigned long long)sum->looked_at, o->dry_run ? "would be removed" : "removed",
               (unsigned long long)sum->unreliable, (unsigned long long)sum->stale,
               (unsigned long long)sum->capacity, (unsigned long long)sum->banned,
               saved || o->dry_run ? "" : "; nothing saved");
    return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}

enum pc_cli_exit pc_cli_prune(const struct pc_cli_options *options)
{
    struct pc_cli_cache cache;
    enum pc_cli_exit exit =
        pc_cli_cache_open(&cache, options, options->dry_run ? PC_CLI_LOOK : PC_CLI_CHANGE);
    if (!exit)
        exit = prune_and_tell(&cache);
    pc_cli_cache_close(&cache);
    return exit;
}
