/*
 * peercache export: the cache in any known format, to standard output or a file. A file is written beside its
 * place under another name and then put there whole, so that nobody ever sees half of it.
 */
#include "cli/cache.h"
#include "cli/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct target {
    FILE *file;
    int error_number; /* of writing; 0: none */
    uint64_t written_bytes;
    struct pc_cli_progress progress;
    char path[PC_CLI_PATH_BYTES];      /* "" for standard output */
    char temporary[PC_CLI_PATH_BYTES]; /* "" when it is written in place: standard output, a pipe, a device */
};

static int write_some(void *context, const void *data, size_t size)
{
    struct target *target = (struct target *)context;
    if (fwrite(data, 1, size, target->file) != size) {
        target->error_number = errno;
        return PEERCACHE_EIO;
    }
    target->written_bytes += size;
    pc_cli_progress_at(&target->progress, target->written_bytes);
    return 0;
}

/* Open the file of -o, or a temporary beside it. 0 or an errno. */
static int target_open(struct target *target, const char *output)
{
    struct stat status;
    char *real = realpath(output, NULL); /* a link stays a link: what it leads to is replaced */
    const char *path = real ? real : output;
    int fd = -1;
    errno = 0;
    if (strlen(path) + sizeof(".XXXXXX") > sizeof(target->path))
        errno = ENAMETOOLONG;
    else {
        (void)snprintf(target->path, sizeof(target->path), "%s", path);
        if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
            fd = S_ISDIR(status.st_mode) ? (errno = EISDIR, -1) : open(path, O_WRONLY | O_CLOEXEC);
        else {
            (void)snprintf(target->temporary, sizeof(target->temporary), "%s.XXXXXX", path);
            fd = mkostemp(target->temporary, O_CLOEXEC); /* mode 0600: addresses are private data */
            if (fd < 0)
                target->temporary[0] = '\0';
        }
    }
    target->file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    int error_number = errno;
    if (fd >= 0 && !target->file) {
        close(fd);
        if (*target->temporary)
            (void)unlink(target->temporary); /* best effort: the failure to be told is the first */
    }
    free(real);
    return target->file ? 0 : error_number;
}

/* Everything is on disk and in its place. 0 or an errno. */
static int target_finish(struct target *target)
{
    int error_number = 0;
    if (fflush(target->file) != 0 || (*target->temporary && fsync(fileno(target->file)) != 0))
        error_number = errno;
    if (fclose(target->file) != 0 && !error_number)
        error_number = errno;
    target->file = NULL;
    if (!error_number && *target->temporary && rename(target->temporary, target->path) != 0)
        error_number = errno;
    if (!error_number)
        target->temporary[0] = '\0';
    return error_number;
}

static void target_deinit(struct target *target)
{
    if (target->file && *target->path)
        (void)fclose(target->file); /* it is given up */
    if (*target->temporary)
        (void)unlink(target->temporary); /* best effort */
}

static enum pc_cli_exit write_failed(const struct pc_cli_options *o, const char *where, int error_number)
{
    return pc_cli_fail(o->json && o->output, PC_CLI_COULD_NOT, error_number == ENOSPC ? "no_space" : "io",
                       "%s: can't be written: %s", where, strerror(error_number));
}

static enum pc_cli_exit export_to(struct pc_cli_cache *cache, struct target *target)
{
    const struct pc_cli_options *o = cache->options;
    peercache_format format = o->format == PEERCACHE_FORMAT_ANY ? PEERCACHE_FORMAT_LIST : o->format;
    const char *where = o->output ? o->output : "standard output";
    uint64_t left_out = 0;
    pc_cli_progress_init(&target->progress, "exporting", "bytes", 0);
    cache->is_answering = !o->output;
    int error = peercache_export(cache->cache, format, cache->now, write_some, target, &left_out);
    pc_cli_progress_end(&target->progress);
    if (target->error_number)
        return write_failed(o, where, target->error_number);
    if (error)
        return pc_cli_cache_failed(cache, error);
    int error_number = o->output ? target_finish(target) : 0;
    if (error_number)
        return write_failed(o, where, error_number);
    if (left_out)
        pc_cli_note("%llu addresses were left out: %s", (unsigned long long)left_out,
                    peercache_format_loses(format));
    if (!o->output)
        return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
    if (o->json)
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
    struct target target = { .file = stdout };
    enum pc_cli_exit exit = pc_cli_cache_open(&cache, options, PC_CLI_LOOK);
    int error_number = !exit && options->output ? target_open(&target, options->output) : 0;
    if (error_number)
        exit = pc_cli_fail(options->json, PC_CLI_USAGE, "io", "%.512s: can't be written: %s", options->output,
                           strerror(error_number));
    if (!exit)
        exit = export_to(&cache, &target);
    target_deinit(&target);
    pc_cli_cache_close(&cache);
    return exit;
}
