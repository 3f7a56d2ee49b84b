#include "cli/output.h"

#include "base/time.h"

#include <peercache/types.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The word and the exit code of every error. */
#define CODE_LIST(X)                                                                                         \
    X(PEERCACHE_EINVAL, "invalid_argument", PC_CLI_USAGE)                                                    \
    X(PEERCACHE_ENOMEM, "no_memory", PC_CLI_COULD_NOT)                                                       \
    X(PEERCACHE_EPARSE, "malformed", PC_CLI_USAGE)                                                           \
    X(PEERCACHE_ELIMIT, "over_limit", PC_CLI_USAGE)                                                          \
    X(PEERCACHE_ENOTFOUND, "not_found", PC_CLI_USAGE)                                                        \
    X(PEERCACHE_EIO, "io", PC_CLI_COULD_NOT)                                                                 \
    X(PEERCACHE_EBUSY, "busy", PC_CLI_COULD_NOT)                                                             \
    X(PEERCACHE_EREADONLY, "read_only", PC_CLI_COULD_NOT)                                                    \
    X(PEERCACHE_ECORRUPT, "corrupt", PC_CLI_COULD_NOT)                                                       \
    X(PEERCACHE_EFORMAT, "wrong_format", PC_CLI_USAGE)                                                       \
    X(PEERCACHE_ENETWORK, "wrong_network", PC_CLI_USAGE)                                                     \
    X(PEERCACHE_EVERSION, "newer_version", PC_CLI_COULD_NOT)                                                 \
    X(PEERCACHE_EFULL, "no_space", PC_CLI_COULD_NOT)                                                         \
    X(PEERCACHE_EPERM, "permission", PC_CLI_USAGE)                                                           \
    X(PEERCACHE_ECRYPTO, "crypto", PC_CLI_COULD_NOT)                                                         \
    X(PEERCACHE_EPROTO, "protocol", PC_CLI_COULD_NOT)                                                        \
    X(PEERCACHE_EUNSUPPORTED, "unsupported", PC_CLI_USAGE)                                                   \
    X(PEERCACHE_ESTATE, "state", PC_CLI_COULD_NOT)

const char *pc_cli_error_code(int error)
{
    switch (error) {
#define X(name, word, exit)                                                                                  \
    case name:                                                                                               \
        return word;
        CODE_LIST(X)
#undef X
    }
    return "unknown";
}

enum pc_cli_exit pc_cli_error_exit(int error)
{
    switch (error) {
#define X(name, word, exit)                                                                                  \
    case name:                                                                                               \
        return exit;
        CODE_LIST(X)
#undef X
    }
    return PC_CLI_COULD_NOT;
}

const char *pc_cli_clean(const char *text, char ret_text[PC_CLI_TEXT_BYTES])
{
    size_t i = 0;
    for (; i < PC_CLI_TEXT_BYTES - 1 && text[i]; i++)
        ret_text[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    ret_text[i] = '\0';
    return ret_text;
}

const char *pc_cli_ms(int64_t us, char ret_text[PC_CLI_MS_BYTES])
{
    long long value = us < 0 ? 0 : us;
    if (value < 10 * PC_US_PER_MS) /* two decimals */
        (void)snprintf(ret_text, PC_CLI_MS_BYTES, "%lld.%02lld", value / 1000, value % 1000 / 10);
    else if (value < 1000 * PC_US_PER_MS)
        (void)snprintf(ret_text, PC_CLI_MS_BYTES, "%lld.%lld", value / 1000, value % 1000 / 100);
    else
        (void)snprintf(ret_text, PC_CLI_MS_BYTES, "%lld", value / 1000);
    return ret_text;
}

const char *pc_cli_roughly(int64_t ms, char ret_text[PC_CLI_ROUGHLY_BYTES])
{
    int64_t seconds = (ms + 999) / 1000;
    if (seconds < 120)
        (void)snprintf(ret_text, PC_CLI_ROUGHLY_BYTES, "%lld s", (long long)seconds);
    else if (seconds < 7200)
        (void)snprintf(ret_text, PC_CLI_ROUGHLY_BYTES, "%lld min", (long long)((seconds + 59) / 60));
    else
        (void)snprintf(ret_text, PC_CLI_ROUGHLY_BYTES, "%lld h", (long long)((seconds + 3599) / 3600));
    return ret_text;
}

bool pc_cli_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    fprintf(stderr, "peercache: standard output can't be written: %s\n", strerror(errno));
    return false;
}

json_t *pc_cli_json_text(const char *text)
{
    char clean[PC_CLI_TEXT_BYTES];
    if (!text)
        return json_null();
    json_t *value = json_string(text);
    if (value)
        return value;
    (void)pc_cli_clean(text, clean);
    for (char *c = clean; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    return json_string(clean);
}

json_t *pc_cli_json_ms(int64_t us)
{
    return us < 0 ? json_null() : json_real((double)us / 1000.0);
}

bool pc_cli_json_print(json_t *value)
{
    /* ten digits: microseconds of more than an hour, and none of the noise of binary fractions */
    bool made = value != NULL;
    bool written =
        made && json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(10)) == 0;
    json_decref(value);
    if (!written) {
        fprintf(stderr, "peercache: %s\n", made ? "standard output can't be written" : "out of memory");
        return false;
    }
    putchar('\n');
    return pc_cli_flush();
}

static void (*notes_to)(bool is_error, const char *text);

void pc_cli_notes_to(void (*write)(bool is_error, const char *text))
{
    notes_to = write;
}

static void say(bool is_error, const char *text)
{
    char clean[PC_CLI_TEXT_BYTES];
    if (notes_to)
        notes_to(is_error, text);
    else
        fprintf(stderr, "peercache: %s\n", pc_cli_clean(text, clean));
}

void pc_cli_note(const char *format, ...)
{
    char text[PC_CLI_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    say(false, text);
}

enum pc_cli_exit pc_cli_fail(bool json, enum pc_cli_exit exit, const char *code, const char *format, ...)
{
    char text[PC_CLI_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    say(true, text);
    if (json)
        (void)pc_cli_json_print(
            json_pack("{s:{s:s,s:o}}", "error", "code", code, "detail", pc_cli_json_text(text)));
    return exit;
}
