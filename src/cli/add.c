/* peercache add: peers that the user names. */
#include "cli/cache.h"
#include "cli/commands.h"

#include <stdio.h>

static enum pc_cli_exit add_all(struct pc_cli_cache *cache, json_t *refused)
{
    const struct pc_cli_options *o = cache->options;
    size_t added = 0;
    bool saved = false;
    for (size_t i = 0; i < o->argument_count; i++) {
        int error = peercache_add(cache->cache, o->arguments[i], PEERCACHE_SOURCE_FLAG, cache->now);
        if (error == 0) {
            added++;
            continue;
        }
        if (error == PEERCACHE_ENOMEM)
            return pc_cli_cache_failed(cache, error);
        pc_cli_note("%.512s: %s", o->arguments[i], peercache_errmsg(cache->cache));
        json_t *one =
            json_pack("{s:o,s:s,s:o}", "addr", pc_cli_json_text(o->arguments[i]), "code",
                      pc_cli_error_code(error), "detail", pc_cli_json_text(peercache_errmsg(cache->cache)));
        if (json_array_append_new(refused, one) != 0)
            return pc_cli_cache_failed(cache, PEERCACHE_ENOMEM);
    }
    enum pc_cli_exit exit = pc_cli_cache_save(cache, &saved);
    if (exit)
        return exit;
    exit = added == o->argument_count ? PC_CLI_DONE : PC_CLI_COULD_NOT;
    if (o->json)
        return pc_cli_json_print(json_pack("{s:I,s:O,s:b}", "added", (json_int_t)added, "refused", refused,
                                           "saved", (int)saved))
                   ? exit
                   : PC_CLI_COULD_NOT;
    printf("%zu of %zu added%s\n", added, o->argument_count, saved ? "" : "; nothing saved");
    return pc_cli_flush() ? exit : PC_CLI_COULD_NOT;
}

enum pc_cli_exit pc_cli_add(const struct pc_cli_options *options)
{
    struct pc_cli_cache cache;
    json_t *refused = json_array();
    enum pc_cli_exit exit = pc_cli_cache_open(&cache, options, PC_CLI_MAKE);
    if (!exit)
        exit = add_all(&cache, refused);
    json_decref(refused);
    pc_cli_cache_close(&cache);
    return exit;
}
