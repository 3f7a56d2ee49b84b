/*
 * The text of a config file: lines of the form `key = value`, as of INI files, under [peercache] or no section at all. What the
 * keys mean is the caller's business. Pure: bytes in, calls out.
 */
#ifndef PC_CLI_CONFIG_H
#define PC_CLI_CONFIG_H

#include "base/bytes.h"

#define PC_CLI_CONFIG_MAX_BYTES  (256 * 1024)
#define PC_CLI_CONFIG_LINE_BYTES 196 /* of one line, without its end: what libinih holds, less its own */
#define PC_CLI_CONFIG_SECTION    "peercache"

/* One `key = value`, without the white space around and the comment behind; both valid during the call. 0, or an error with the
 * reason, which ends the parse. */
typedef int (*pc_cli_config_take)(void *context, unsigned line, const char *key, const char *value,
                                  struct pc_reason *ret_reason);

/*
 * Parse a whole file. Lines that begin with # or ; are comments, and so is what stands behind white space and a ;. EPARSE: a line
 * of another form or beginning with white space, a section of another name, a NUL; ELIMIT: a line or the whole is too long; or
 * what `take` returned. Then *ret_line is the line (0: none alone), and the reason says what is wrong with it.
 */
int pc_cli_config_parse(struct pc_bytes text, pc_cli_config_take take, void *context, unsigned *ret_line,
                        struct pc_reason *ret_reason);

#endif
