#include "cli/cache.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int options_new(const struct pc_cli_options *o, enum pc_cli_access access,
                       peercache_options **ret_options)
{
    peercache_options *options = peercache_options_new();
    if (!options)
        return PEERCACHE_ENOMEM;
    peercache_options_set_local(options, o->local);
    peercache_options_set_read_only(options, access == PC_CLI_LOOK);
    peercache_options_set_create(options, access == PC_CLI_MAKE);
    int error = peercache_options_set_max_peers(options, o->max_peers);
    if (error) {
        peercache_options_free(options);
        return error;
    }
    *ret_options = options;
    return 0;
}

bool pc_cli_cache_is_missing(const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 || errno != ENOENT)
        return false;
    pc_cli_note("there is no cache at %s yet", path);
    return true;
}

static bool is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

enum pc_cli_exit pc_cli_cache_open(struct pc_cli_cache *cache, const struct pc_cli_options *o,
                                   enum pc_cli_access access)
{
    struct pc_reason reason = { "" };
    struct pc_driver_clock clock;
    peercache_options *options = NULL;

    *cache = (struct pc_cli_cache){ .options = o };
    pc_driver_clock_init(&clock);
    cache->now = pc_driver_clock_now(&clock);
    if (o->no_cache)
        return pc_cli_fail(o->json, PC_CLI_USAGE, "usage", "%s: with --no-cache there is no cache to work on",
                           o->command->name);
    if (pc_cli_cache_path(o, cache->path, &reason) != 0)
        return pc_cli_fail(o->json, PC_CLI_USAGE, "usage", "%s", reason.text);
    /* no file yet is an empty memory, and looking at it makes none */
    cache->missing = access != PC_CLI_MAKE && pc_cli_cache_is_missing(cache->path);
    int error = options_new(o, access, &options);
    if (!error)
        error = peercache_open(cache->missing ? NULL : cache->path, o->network, options, &cache->cache);
    if (error == PEERCACHE_ENOTFOUND && access == PC_CLI_LOOK) { /* a file without anything in it */
        pc_cli_note("%s", peercache_errmsg(cache->cache));
        peercache_close(cache->cache);
        cache->missing = true;
        error = peercache_open(NULL, o->network, options, &cache->cache);
    }
    peercache_options_free(options);
    cache->is_corrupt = access == PC_CLI_REPAIR && error == PEERCACHE_ECORRUPT;
    if (cache->is_corrupt)
        return PC_CLI_DONE;
    if (error == PEERCACHE_EFORMAT && is_file(cache->path) &&
        !strstr(peercache_errmsg(cache->cache), "import"))
        return pc_cli_fail(
            o->json, pc_cli_error_exit(error), pc_cli_error_code(error),
            "%s: no cache, and left as it is; if it holds peers, 'peercache import' takes them in",
            peercache_errmsg(cache->cache));
    if (error == PEERCACHE_ECORRUPT)
        return pc_cli_fail(o->json, pc_cli_error_exit(error), pc_cli_error_code(error),
                           "%s; 'peercache check --repair' moves it aside and keeps what can be read of it",
                           peercache_errmsg(cache->cache));
    if (error)
        return pc_cli_cache_failed(cache, error);
    if (peercache_warning(cache->cache))
        pc_cli_note("%s", peercache_warning(cache->cache));
    return PC_CLI_DONE;
}

enum pc_cli_exit pc_cli_cache_save(struct pc_cli_cache *cache, bool *ret_saved)
{
    int error = peercache_flush(cache->cache, PC_CLI_SAVE_TIMEOUT_MS);
    if (error)
        return pc_cli_cache_failed(cache, error);
    *ret_saved = !cache->missing && !peercache_is_read_only(cache->cache);
    return PC_CLI_DONE;
}

enum pc_cli_exit pc_cli_cache_failed(const struct pc_cli_cache *cache, int error)
{
    const char *why = peercache_errmsg(cache->cache);
    if (ferror(stdout) && !pc_cli_flush()) /* which says so */
        return PC_CLI_COULD_NOT;
    return pc_cli_fail(cache->options->json && !cache->is_answering, pc_cli_error_exit(error),
                       pc_cli_error_code(error), "%s", *why ? why : peercache_strerror(error));
}

void pc_cli_cache_close(struct pc_cli_cache *cache)
{
    peercache_close(cache->cache);
    cache->cache = NULL;
}
