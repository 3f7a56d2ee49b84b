/* peercache export: the cache in any known format, to standard output or a file. */
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/output_file.h"

struct target {
    struct pc_cli_output_file file;
    struct pc_cli_progress progress;
};

static int write_some(void *context, const void *data, size_t size)
{
    struct target *target = (struct target *)context;
    int result = pc_cli_output_file_write(&target->file, data, size);
    if (result == 0)
        pc_cli_progress_at(&target->progress, target->file.written_bytes);
    return result;
}

static enum pc_cli_exit export_to(struct pc_cli_cache *cache, struct target *target)
{
    const struct pc_cli_options *o = cache->options;
    peercache_format format = o->format == PEERCACHE_FORMAT_ANY ? PEERCACHE_FORMAT_LIST : o->format;
    uint64_t left_out = 0;
    pc_cli_progress_init(&target->progress, "exporting", "bytes", 0);
    cache->is_answering = !o->output;
    int error = peercache_export(cache->cache, format, cache->now, write_some, target, &left_out);
    pc_cli_progress_end(&target->progress);
    if (target->file.error_number)
        return pc_cli_output_file_failed(&target->file, o->json && o->output);
    if (error)
        return pc_cli_cache_failed(cache, error);
    enum pc_cli_exit exit = pc_cli_output_file_finish(&target->file, o->json && o->output);
    if (exit)
        return exit;
    if (left_out)
        pc_cli_note("%llu addresses were left out: %s", (unsigned long long)left_out,
                    peercache_format_loses(format));
    if (o->json && o->output)
        return pc_cli_json_print(json_pack("{s:s,s:o,s:I,s:b}", "format", peercache_format_name(format),
                                           "file", pc_cli_json_text(o->output), "left_out",
                                           (json_int_t)left_out, "saved", 1))
                   ? PC_CLI_DONE
                   : PC_CLI_COULD_NOT;
    return PC_CLI_DONE;
}

enum pc_cli_exit pc_cli_export(const struct pc_cli_options *options)
{
    struct pc_cli_cache cache;
    struct target target = { 0 };
    enum pc_cli_exit exit = pc_cli_cache_open(&cache, options, PC_CLI_LOOK);
    if (!exit)
        exit = pc_cli_output_file_open(&target.file, options->output, options->json);
    if (!exit)
        exit = export_to(&cache, &target);
    pc_cli_output_file_deinit(&target.file);
    pc_cli_cache_close(&cache);
    return exit;
}
