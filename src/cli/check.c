/* peercache check: the whole file, looked over; with --repair made whole again. */
#include "cli/cache.h"
#include "cli/commands.h"

#include "store/store.h"

#include <sodium.h>
#include <stdio.h>

static enum pc_cli_exit tell(const struct pc_cli_cache *cache, const char *done)
{
    const struct pc_cli_options *o = cache->options;
    char clean[PC_CLI_TEXT_BYTES];
    if (o->json)
        return pc_cli_json_print(json_pack("{s:b,s:b,s:o,s:b}", "ok", 1, "repaired", done != NULL, "detail",
                                           pc_cli_json_text(done), "saved", done != NULL))
                   ? PC_CLI_DONE
                   : PC_CLI_COULD_NOT;
    printf("%s: %s\n", cache->path, done ? pc_cli_clean(done, clean) : "ok");
    return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}

static enum pc_cli_exit check_file(struct pc_cli_cache *cache)
{
    const struct pc_cli_options *o = cache->options;
    const char *done = NULL;
    if (cache->missing)
        return pc_cli_fail(o->json, PC_CLI_COULD_NOT, "not_found", "there is nothing to check");
    int error = peercache_check(cache->cache, o->repair, cache->now);
    if (error)
        return pc_cli_cache_failed(cache, error);
    if (o->repair && !peercache_is_read_only(cache->cache)) {
        /* a file that could not even be read was moved aside by open, which warned of it */
        const char *by_check = peercache_errmsg(cache->cache);
        done = *by_check ? by_check : peercache_warning(cache->cache);
    }
    return tell(cache, done);
}

/* A file too damaged to be opened, under a name that open leaves alone: --repair is the leave to move it. */
static enum pc_cli_exit repair_unopened(struct pc_cli_cache *cache)
{
    const struct pc_cli_options *o = cache->options;
    struct pc_reason done = { "" };
    struct pc_store *store = NULL;
    struct pc_store_options options = {
        .network = o->network,
        .mode = o->local ? PC_NETGROUP_LOCAL : PC_NETGROUP_PUBLIC,
        .is_default_path = true,
        .no_create = true,
        .timeout_ms = PC_CLI_SAVE_TIMEOUT_MS,
        .now_ms = cache->now.wall_ms,
        .peers_max = o->max_peers,
    };
    randombytes_buf(options.random, sizeof(options.random));
    int error = pc_store_open(cache->path, &options, &store, &done);
    if (!error) {
        error = store->warning.text[0] ? 0 : pc_store_repair(store, PC_CLI_SAVE_TIMEOUT_MS);
        done = error ? store->error : store->warning;
    }
    pc_store_close(store);
    if (error)
        return pc_cli_fail(o->json, pc_cli_error_exit(error), pc_cli_error_code(error), "%s",
                           *done.text ? done.text : peercache_strerror(error));
    return tell(cache, done.text);
}

enum pc_cli_exit pc_cli_check(const struct pc_cli_options *options)
{
    struct pc_cli_cache cache;
    enum pc_cli_exit exit = pc_cli_cache_open(&cache, options, options->repair ? PC_CLI_REPAIR : PC_CLI_LOOK);
    if (!exit)
        exit = cache.is_corrupt ? repair_unopened(&cache) : check_file(&cache);
    pc_cli_cache_close(&cache);
    return exit;
}
