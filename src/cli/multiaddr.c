/* peercache multiaddr: check multiaddrs, given as arguments or one a line on standard input. */
#include "cli/commands.h"
#include "cli/output.h"

#include "addr/multiaddr.h"
#include "base/basex.h"

#include <peercache/types.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* One output line an input line, whatever is in it. False when it was an error. */
static bool check(const char *text, size_t length, bool json)
{
    uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
    char canonical[PC_MULTIADDR_TEXT_BYTES], hex[2 * PC_MULTIADDR_MAX_BYTES + 1], clean[PC_CLI_TEXT_BYTES];
    struct pc_reason reason = { "" };
    size_t size = 0;
    int error = pc_addr_multiaddr_parse(text, length, bytes, sizeof(bytes), &size, &reason);
    if (!error)
        error = pc_addr_multiaddr_format(pc_bytes_of(bytes, size), canonical, sizeof(canonical), &reason);
    if (!error)
        error = pc_base_hex_encode(bytes, size, hex, sizeof(hex));
    const char *why = *reason.text ? reason.text : peercache_strerror(error);
    if (json)
        (void)pc_cli_json_print(
            error ? json_pack("{s:s,s:s,s:o}", "status", "error", "code", pc_cli_error_code(error), "detail",
                              pc_cli_json_text(why))
                  : json_pack("{s:s,s:s,s:s}", "status", "ok", "addr", canonical, "hex", hex));
    else if (error)
        printf("error %s\n", pc_cli_clean(why, clean));
    else {
        /* a name may hold control characters: one line stays one line, and the hex has them all */
        for (char *c = canonical; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                *c = '?';
        printf("ok %s %s\n", canonical, hex);
    }
    return !error;
}

/* A line is held in a buffer of twice what a multiaddr may have; the rest of a longer one is read over, and
 * the codec refuses what is held for its length. */
static bool check_input(bool json)
{
    char line[2 * PC_MULTIADDR_TEXT_BYTES];
    size_t length = 0;
    bool all = true;
    int c;
    do {
        c = getchar();
        if (c == '\n' || (c == EOF && length > 0)) {
            if (length > 0 && line[length - 1] == '\r')
                length--;
            all = check(line, length, json) && all;
            length = 0;
        } else if (c != EOF && length < sizeof(line))
            line[length++] = (char)c;
    } while (c != EOF);
    return all;
}

enum pc_cli_exit pc_cli_multiaddr(const struct pc_cli_options *o)
{
    bool all = true;
    for (size_t i = 0; i < o->argument_count; i++)
        all = check(o->arguments[i], strlen(o->arguments[i]), o->json) && all;
    if (o->argument_count == 0)
        all = check_input(o->json);
    if (ferror(stdin))
        return pc_cli_fail(o->json, PC_CLI_COULD_NOT, "io", "standard input can't be read: %s",
                           strerror(errno));
    if (!pc_cli_flush())
        return PC_CLI_COULD_NOT;
    return all ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}
