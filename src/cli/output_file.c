#include "cli/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int pc_cli_output_file_write(struct pc_cli_output_file *output, const void *data, size_t size)
{
    if (fwrite(data, 1, size, output->file) != size) {
        output->error_number = errno;
        return PEERCACHE_EIO;
    }
    output->written_bytes += size;
    return 0;
}

/* Open the file, or a temporary beside it. 0 or an errno. */
static int open_file(struct pc_cli_output_file *output, const char *name)
{
    struct stat status;
    char *real = realpath(name, NULL); /* a link stays a link: what it leads to is replaced */
    const char *path = real ? real : name;
    int fd = -1;
    errno = 0;
    if (strlen(path) + sizeof(".XXXXXX") > sizeof(output->path))
        errno = ENAMETOOLONG;
    else {
        (void)snprintf(output->path, sizeof(output->path), "%s", path);
        if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
            fd = S_ISDIR(status.st_mode) ? (errno = EISDIR, -1) : open(path, O_WRONLY | O_CLOEXEC);
        else {
            (void)snprintf(output->temporary, sizeof(output->temporary), "%s.XXXXXX", path);
            fd = mkostemp(output->temporary, O_CLOEXEC); /* mode 0600: addresses are private data */
            if (fd < 0)
                output->temporary[0] = '\0';
        }
    }
    output->file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    int error_number = errno;
    if (fd >= 0 && !output->file) {
        close(fd);
        if (*output->temporary)
            (void)unlink(output->temporary); /* best effort: the failure to be told is the first */
        output->temporary[0] = '\0';
    }
    free(real);
    return output->file ? 0 : error_number;
}

enum pc_cli_exit pc_cli_output_file_open(struct pc_cli_output_file *output, const char *name, bool json)
{
    *output = (struct pc_cli_output_file){ .file = stdout, .name = name };
    int error_number = name ? open_file(output, name) : 0;
    if (error_number)
        return pc_cli_fail(json, PC_CLI_USAGE, "io", "%.512s: can't be written: %s", name,
                           strerror(error_number));
    return PC_CLI_DONE;
}

enum pc_cli_exit pc_cli_output_file_failed(const struct pc_cli_output_file *output, bool json)
{
    return pc_cli_fail(json, PC_CLI_COULD_NOT, output->error_number == ENOSPC ? "no_space" : "io",
                       "%s: can't be written: %s", output->name ? output->name : "standard output",
                       strerror(output->error_number));
}

enum pc_cli_exit pc_cli_output_file_finish(struct pc_cli_output_file *output, bool json)
{
    int error_number = 0;
    if (!output->name)
        return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
    if (fflush(output->file) != 0 || (*output->temporary && fsync(fileno(output->file)) != 0))
        error_number = errno;
    if (fclose(output->file) != 0 && !error_number)
        error_number = errno;
    output->file = NULL;
    if (!error_number && *output->temporary && rename(output->temporary, output->path) != 0)
        error_number = errno;
    if (!error_number)
        output->temporary[0] = '\0';
    output->error_number = error_number;
    return error_number ? pc_cli_output_file_failed(output, json) : PC_CLI_DONE;
}

void pc_cli_output_file_deinit(struct pc_cli_output_file *output)
{
    if (output->file && output->name)
        (void)fclose(output->file); /* it is given up */
    if (*output->temporary)
        (void)unlink(output->temporary); /* best effort */
}
