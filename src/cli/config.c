/*
 * See config.h. libinih splits the lines; it is given them one at a time, so that what it would pass over in silence (a line
 * cut at its buffer, one that continues the last, an empty section) is looked at before, and each value has its line.
 */
#include "cli/config.h"

#include <peercache/types.h>

#include <ini.h>

struct parsing {
    struct pc_bytes text;
    size_t at;
    unsigned line; /* that was given last */
    pc_cli_config_take take;
    void *context;
    int result;
    struct pc_reason *reason;
};

static int refuse(struct parsing *parsing, int result, const char *why)
{
    parsing->result = result;
    pc_base_reason(parsing->reason, "%s", why);
    return result;
}

/* What libinih would not tell. */
static int look_at_line(struct parsing *parsing, struct pc_bytes line)
{
    static const char section[] = "[" PC_CLI_CONFIG_SECTION "]";
    const char *text = (const char *)line.data;
    if (memchr(text, '\0', line.size))
        return refuse(parsing, PEERCACHE_EPARSE, "no text: it has a NUL");
    if (line.size > PC_CLI_CONFIG_LINE_BYTES)
        return refuse(parsing, PEERCACHE_ELIMIT, "longer than 196 characters");
    size_t blank = 0;
    while (blank < line.size && strchr(" \t\r\v\f", text[blank])) /* what libinih takes for white space */
        blank++;
    if (blank > 0 && blank < line.size && !strchr(";#", text[blank]))
        return refuse(parsing, PEERCACHE_EPARSE, "it begins with white space");
    if (line.size > 0 && text[0] == '[' &&
        (line.size < sizeof(section) - 1 || memcmp(text, section, sizeof(section) - 1) != 0))
        return refuse(parsing, PEERCACHE_EPARSE,
                      "unknown section; options stand under "
                      "[" PC_CLI_CONFIG_SECTION "]"
                      " or no section");
    return 0;
}

/* The next line for libinih, as of fgets. NULL: there is none, or it was refused. */
static char *next_line(char *ret_line, int capacity, void *context)
{
    struct parsing *parsing = context;
    struct pc_bytes rest = { parsing->text.data + parsing->at, parsing->text.size - parsing->at };
    if (parsing->result != 0 || rest.size == 0)
        return NULL;
    const uint8_t *end = memchr(rest.data, '\n', rest.size);
    struct pc_bytes line = { rest.data, end ? (size_t)(end - rest.data) : rest.size };
    static const uint8_t mark[] = { 0xef, 0xbb, 0xbf }; /* of UTF-8, before the first line */
    parsing->line++;
    parsing->at += line.size + (end ? 1 : 0);
    if (parsing->line == 1 && line.size >= sizeof(mark) && memcmp(line.data, mark, sizeof(mark)) == 0)
        line = pc_bytes_of(line.data + sizeof(mark), line.size - sizeof(mark));
    if (look_at_line(parsing, line) != 0)
        return NULL;
    if (line.size + 2 > (size_t)capacity) { /* of a libinih that holds less than Debian's */
        (void)refuse(parsing, PEERCACHE_ELIMIT, "too long for this libinih");
        return NULL;
    }
    memcpy(ret_line, line.data, line.size);
    memcpy(ret_line + line.size, "\n", 2);
    return ret_line;
}

static int on_value(void *context, const char *section, const char *key, const char *value)
{
    struct parsing *parsing = context;
    (void)section;
    if (parsing->result == 0)
        parsing->result =
            parsing->take(parsing->context, parsing->line, key, value ? value : "", parsing->reason);
    return parsing->result == 0;
}

int pc_cli_config_parse(struct pc_bytes text, pc_cli_config_take take, void *context, unsigned *ret_line,
                        struct pc_reason *ret_reason)
{
    struct parsing parsing = { .text = text, .take = take, .context = context, .reason = ret_reason };
    if (text.size > PC_CLI_CONFIG_MAX_BYTES) {
        *ret_line = 0;
        return refuse(&parsing, PEERCACHE_ELIMIT, "over 256 KiB");
    }
    int bad_line = ini_parse_stream(next_line, &parsing, on_value, &parsing);
    if (parsing.result == 0 && bad_line != 0) {
        (void)refuse(&parsing, bad_line < 0 ? PEERCACHE_ENOMEM : PEERCACHE_EPARSE,
                     bad_line < 0 ? "out of memory" : "not of the form key = value");
        parsing.line = bad_line < 0 ? 0 : (unsigned)bad_line;
    }
    if (parsing.result != 0)
        *ret_line = parsing.line;
    return parsing.result;
}
