/* peercache import: peers from a file of any known format, or from standard input. */
#include "cli/cache.h"
#include "cli/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct source {
    FILE *file;
    const char *name;
    int error_number; /* of reading; 0: none */
    uint64_t read_bytes;
    struct pc_cli_progress progress;
};

static int read_some(void *context, void *ret_data, size_t capacity, size_t *ret_size)
{
    struct source *source = (struct source *)context;
    errno = 0;
    *ret_size = fread(ret_data, 1, capacity, source->file);
    if (*ret_size == 0 && ferror(source->file)) {
        source->error_number = errno ? errno : EIO;
        return PEERCACHE_EIO;
    }
    source->read_bytes += *ret_size;
    pc_cli_progress_at(&source->progress, source->read_bytes);
    return 0;
}

static json_t *reasons_json(const peercache_imported *imported)
{
    json_t *reasons = json_object();
    for (size_t i = 0; i < imported->reason_count; i++)
        if (json_object_set_new(reasons, imported->reasons[i].reason,
                                json_integer((json_int_t)imported->reasons[i].count)) != 0) {
            json_decref(reasons);
            return NULL;
        }
    return reasons;
}

static bool tell(const struct pc_cli_options *o, const peercache_imported *imported, bool saved)
{
    if (o->json)
        return pc_cli_json_print(
            json_pack("{s:s,s:I,s:I,s:I,s:I,s:o,s:b}", "format", peercache_format_name(imported->format),
                      "read", (json_int_t)imported->read, "accepted", (json_int_t)imported->accepted,
                      "merged", (json_int_t)imported->merged, "rejected", (json_int_t)imported->rejected,
                      "reasons", reasons_json(imported), "saved", (int)saved));
    printf("%s: %llu addresses read, %llu accepted, %llu merged, %llu rejected%s\n",
           peercache_format_name(imported->format), (unsigned long long)imported->read,
           (unsigned long long)imported->accepted, (unsigned long long)imported->merged,
           (unsigned long long)imported->rejected, saved ? "" : "; nothing saved");
    for (size_t i = 0; i < imported->reason_count; i++)
        printf("    %s  %llu\n", imported->reasons[i].reason, (unsigned long long)imported->reasons[i].count);
    return pc_cli_flush();
}

static enum pc_cli_exit import_from(struct pc_cli_cache *cache, struct source *source)
{
    const struct pc_cli_options *o = cache->options;
    peercache_imported imported = { 0 };
    struct stat status;
    bool saved = false;
    bool is_sized = fstat(fileno(source->file), &status) == 0 && S_ISREG(status.st_mode);
    if (is_sized == false && S_ISDIR(status.st_mode))
        return pc_cli_fail(o->json, PC_CLI_USAGE, "wrong_format", "%s: a directory", source->name);
    pc_cli_progress_init(&source->progress, "importing", "bytes", is_sized ? (uint64_t)status.st_size : 0);
    int error = peercache_import(cache->cache, o->format, o->trust, cache->now, read_some, source, &imported);
    pc_cli_progress_end(&source->progress);
    if (source->error_number)
        return pc_cli_fail(o->json, PC_CLI_COULD_NOT, "io", "%s: can't be read: %s", source->name,
                           strerror(source->error_number));
    if (error) {
        const char *why = peercache_errmsg(cache->cache);
        return pc_cli_fail(o->json, pc_cli_error_exit(error), pc_cli_error_code(error), "%s: %s%s",
                           source->name, *why ? why : peercache_strerror(error),
                           error == PEERCACHE_ENETWORK ? " (--network NAME imports for another)" : "");
    }
    if (imported.rejected)
        pc_cli_note("%s: %llu of %llu addresses rejected, the first: %s", source->name,
                    (unsigned long long)imported.rejected, (unsigned long long)imported.read,
                    imported.first_rejected);
    enum pc_cli_exit exit = pc_cli_cache_save(cache, &saved);
    if (exit)
        return exit;
    if (!tell(o, &imported, saved))
        return PC_CLI_COULD_NOT;
    /* a file of which nothing was of use is no success */
    return imported.read && imported.rejected == imported.read ? PC_CLI_COULD_NOT : PC_CLI_DONE;
}

enum pc_cli_exit pc_cli_import(const struct pc_cli_options *options)
{
    struct pc_cli_cache cache = { .options = options };
    const char *name = options->arguments[0];
    bool is_standard = strcmp(name, "-") == 0;
    struct source source = { .file = is_standard ? stdin : fopen(name, "rb"),
                             .name = is_standard ? "standard input" : name };
    if (!source.file)
        return pc_cli_fail(options->json, PC_CLI_USAGE,
                           pc_cli_error_code(errno == ENOENT ? PEERCACHE_ENOTFOUND : PEERCACHE_EIO),
                           "%.512s: %s", name, strerror(errno));
    enum pc_cli_exit exit = pc_cli_cache_open(&cache, options, PC_CLI_MAKE);
    if (!exit)
        exit = import_from(&cache, &source);
    pc_cli_cache_close(&cache);
    if (!is_standard)
        (void)fclose(source.file); /* only read from */
    return exit;
}
