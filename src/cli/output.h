/*
 * What all commands print with: JSON, errors with their closed code, texts made safe for a terminal, and
 * durations. Standard output holds the answer, standard error everything else.
 */
#ifndef PC_CLI_OUTPUT_H
#define PC_CLI_OUTPUT_H

#include "cli/options.h"

#include <jansson.h>

/* The code of an error in JSON: the word of a PEERCACHE_E…, "unknown" outside of the list. */
const char *pc_cli_error_code(int error);
/* The exit code of an error: what the user can only mend by another command line (a path, a name, a malformed
 * text) is wrong usage. */
enum pc_cli_exit pc_cli_error_exit(int error);

/*
 * Say why the command ends: `peercache: detail` on standard error and, with `json`,
 * {"error":{"code","detail"}} on standard output. Returns `exit`.
 */
enum pc_cli_exit pc_cli_fail(bool json, enum pc_cli_exit exit, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Where remarks and the reasons of pc_cli_fail go from now on; NULL: to standard error. */
void pc_cli_notes_to(void (*write)(bool is_error, const char *text));
/* A remark. */
void pc_cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Print a value and a newline on standard output, flush, and drop the reference. False: it could not be
 * written, or value is NULL (memory was out); said on standard error. */
bool pc_cli_json_print(json_t *value);
/* A JSON string of any text: bytes that are no UTF-8 become '?'. NULL becomes null. */
json_t *pc_cli_json_text(const char *text);
/* Milliseconds of microseconds as a number with three decimals; null below 0. */
json_t *pc_cli_json_ms(int64_t us);

/* Copy a text for a terminal: control characters become '?'. Returns ret_text. */
#define PC_CLI_TEXT_BYTES 1024
const char *pc_cli_clean(const char *text, char ret_text[PC_CLI_TEXT_BYTES]);
/* "0.84", "12.3", "1250": milliseconds as people read them. */
#define PC_CLI_MS_BYTES 32
const char *pc_cli_ms(int64_t us, char ret_text[PC_CLI_MS_BYTES]);

/* "12 s", "3 min", "5 h": roughly how long, rounded up. */
#define PC_CLI_ROUGHLY_BYTES 32
const char *pc_cli_roughly(int64_t ms, char ret_text[PC_CLI_ROUGHLY_BYTES]);

/* Standard output was written whole: false, and said on standard error, when not (a full disk, a closed
 * pipe). */
bool pc_cli_flush(void);

#endif
