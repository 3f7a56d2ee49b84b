#include "cli/option_sources.h"

#include "cli/config.h"
#include "cli/near.h"
#include "cli/option_table.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *pc_cli_option_variable(unsigned option, char ret_name[PC_CLI_VARIABLE_BYTES])
{
    (void)snprintf(ret_name, PC_CLI_VARIABLE_BYTES, "PEERCACHE_%s", pc_cli_option_row(option)->word);
    for (char *c = ret_name; *c; c++)
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    return ret_name;
}

/* What is wrong with a value, without the flag that the sentence begins with. */
static const char *without_flag(unsigned option, const struct pc_reason *reason)
{
    const char *word = pc_cli_option_row(option)->word;
    size_t size = strlen(word);
    bool begins = strncmp(reason->text, "--", 2) == 0 && strncmp(reason->text + 2, word, size) == 0 &&
                  strncmp(reason->text + 2 + size, ": ", 2) == 0;
    return begins ? reason->text + size + 4 : reason->text;
}

/* ----- the file ----- */

struct file {
    struct pc_cli_options *options;
    struct pc_cli_options
        checked; /* takes every value of the file, also those that the command does not take */
    unsigned line_of[PC_CLI_SETTING_OPTIONS_MAX]; /* where each was given; 0: nowhere yet */
};

static void unknown_key(const char *key, struct pc_reason *ret_reason)
{
    const struct pc_cli_option_row *row;
    const char *near = NULL;
    size_t near_distance = PC_CLI_NEAR + 1;
    for (unsigned i = 0; (row = pc_cli_option_row(i)) != NULL; i++) {
        size_t distance = pc_cli_distance(key, row->word);
        if (distance == 0) {
            pc_base_reason(ret_reason, "'%.32s' is a flag alone, and no option of a file", key);
            return;
        }
        if (pc_cli_options_settable() & UINT64_C(1) << i && distance < near_distance &&
            strlen(key) > PC_CLI_NEAR) {
            near = row->word;
            near_distance = distance;
        }
    }
    if (near)
        pc_base_reason(ret_reason, "unknown option '%.32s'; did you mean '%s'?", key, near);
    else
        pc_base_reason(ret_reason, "unknown option '%.32s'; see peercache.conf(5)", key);
}

static int key_find(const char *key, unsigned *ret_option, struct pc_reason *ret_reason)
{
    const struct pc_cli_option_row *row;
    for (unsigned i = 0; (row = pc_cli_option_row(i)) != NULL; i++)
        if (pc_cli_options_settable() & UINT64_C(1) << i && strcmp(row->word, key) == 0) {
            *ret_option = i;
            return 0;
        }
    unknown_key(key, ret_reason);
    return PEERCACHE_EINVAL;
}

static int on_value(void *context, unsigned line, const char *key, const char *value,
                    struct pc_reason *ret_reason)
{
    struct file *file = context;
    struct pc_reason why = { "" };
    unsigned option = 0;
    int error = key_find(key, &option, ret_reason);
    if (error)
        return error;
    if (file->line_of[option] && !pc_cli_option_is_list(option)) {
        pc_base_reason(ret_reason, "%s: given in line %u already", key, file->line_of[option]);
        return PEERCACHE_EINVAL;
    }
    file->line_of[option] = line;
    error = pc_cli_option_take(&file->checked, option, value, &why);
    if (error) {
        pc_base_reason(ret_reason, "%s: %s", key, without_flag(option, &why));
        return error;
    }
    if (!(*file->options->command->flags & UINT64_C(1) << option))
        return 0; /* of another command, which may share the file */
    return pc_cli_settings_add(&file->options->settings, option, PC_CLI_FILE, line, key,
                               pc_bytes_of(value, strlen(value)), ret_reason);
}

/* Read it whole, whatever it is; a pipe too. One byte over the limit shows that it is over. */
static int read_whole(const char *path, uint8_t *ret_bytes, size_t capacity, size_t *ret_size,
                      struct pc_reason *ret_reason)
{
    size_t size = 0;
    ssize_t got = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && size < capacity && (got = read(fd, ret_bytes + size, capacity - size)) != 0) {
        if (got < 0 && errno != EINTR)
            break;
        size += got > 0 ? (size_t)got : 0;
    }
    int error = errno;
    if (fd >= 0)
        (void)close(fd);
    if (got < 0) {
        pc_base_reason(ret_reason, "%.96s: %s", path, strerror(error));
        return PEERCACHE_EIO;
    }
    *ret_size = size;
    return 0;
}

int pc_cli_options_read_file(struct pc_cli_options *options, struct pc_reason *ret_reason)
{
    const char *path = options->settings.file;
    struct pc_reason why = { "" };
    size_t size = 0;
    unsigned line = 0;
    struct file *file = calloc(1, sizeof(*file));
    uint8_t *bytes = malloc(PC_CLI_CONFIG_MAX_BYTES + 1);
    int error = PEERCACHE_ENOMEM;
    if (!file || !bytes) {
        pc_base_reason(ret_reason, "out of memory");
        goto free_both;
    }
    file->options = options;
    error = read_whole(path, bytes, PC_CLI_CONFIG_MAX_BYTES + 1, &size, ret_reason);
    if (error)
        goto free_both;
    error = pc_cli_config_parse(pc_bytes_of(bytes, size), on_value, file, &line, &why);
    if (error && line > 0)
        pc_base_reason(ret_reason, "%.64s: line %u: %s", path, line, why.text);
    else if (error)
        pc_base_reason(ret_reason, "%.96s: %s", path, why.text);
free_both:
    free(bytes);
    free(file);
    return error;
}

/* ----- the environment ----- */

static int take_variable(struct pc_cli_options *options, struct pc_cli_options *checked, unsigned option,
                         const char *name, struct pc_bytes value, struct pc_reason *ret_reason)
{
    struct pc_reason why = { "" };
    int error =
        pc_cli_settings_add(&options->settings, option, PC_CLI_ENVIRONMENT, 0, name, value, ret_reason);
    if (error)
        return error;
    error =
        pc_cli_option_take(checked, option, options->settings.all[options->settings.count - 1].value, &why);
    if (error)
        pc_base_reason(ret_reason, "%s: %s", name, without_flag(option, &why));
    return error;
}

/* A list has its parts between commas; white space around them and empty parts are passed over. */
static int take_list(struct pc_cli_options *options, struct pc_cli_options *checked, unsigned option,
                     const char *name, const char *value, struct pc_reason *ret_reason)
{
    static const char blanks[] = " \t\r\n";
    int error = 0;
    while (*value && !error) {
        value += strspn(value, blanks);
        size_t size = strcspn(value, ","), part = size;
        while (part > 0 && strchr(blanks, value[part - 1]))
            part--;
        if (part > 0)
            error = take_variable(options, checked, option, name, pc_bytes_of(value, part), ret_reason);
        value += size + (value[size] ? 1 : 0);
    }
    return error;
}

int pc_cli_options_read_environment(struct pc_cli_options *options, struct pc_reason *ret_reason)
{
    const uint64_t flags = *options->command->flags & pc_cli_options_settable();
    struct pc_cli_options checked = { 0 };
    int error = 0;
    for (unsigned i = 0; pc_cli_option_row(i) && !error; i++) {
        char name[PC_CLI_VARIABLE_BYTES];
        const char *value = flags & UINT64_C(1) << i ? getenv(pc_cli_option_variable(i, name)) : NULL;
        if (!value || !*value)
            continue;
        if (strcmp(name, PC_CLI_ENV_PEER) == 0) {
            pc_base_reason(ret_reason,
                           PC_CLI_ENV_PEER ": peers of the environment are those of " PC_CLI_ENV_PEERS);
            return PEERCACHE_EINVAL;
        }
        if (pc_cli_option_is_list(i))
            error = take_list(options, &checked, i, name, value, ret_reason);
        else
            error = take_variable(options, &checked, i, name, pc_bytes_of(value, strlen(value)), ret_reason);
    }
    return error;
}
