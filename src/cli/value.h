/* The values of flags, each with the sentence that says what is wrong with it. `flag` is the flag's word, without the
 * dashes. All return 0, or EINVAL with the reason. */
#ifndef PC_CLI_VALUE_H
#define PC_CLI_VALUE_H

#include "cli/options.h"

#include <peercache/peercache.h>

#define PC_CLI_TIMEOUT_MAX_MS 3600000

/* A whole number, digits alone. */
int pc_cli_number_parse(const char *flag, const char *text, uint32_t min, uint32_t max, uint32_t *ret_number,
                        struct pc_reason *ret_reason);
/* yes, no, true, false, on, off, 1, 0, in letters of either case. */
int pc_cli_truth_parse(const char *flag, const char *text, bool *ret_truth, struct pc_reason *ret_reason);
/* "10s", "500ms", "2m", "1h": digits and a unit, 1 ms to PC_CLI_TIMEOUT_MAX_MS. */
int pc_cli_duration_parse(const char *flag, const char *text, uint32_t *ret_ms, struct pc_reason *ret_reason);
/* Looked at before anything is opened, so that its reason is the first thing said. `where` names what it is of. */
int pc_cli_multiaddr_check(const char *where, const char *text, struct pc_reason *ret_reason);
int pc_cli_network_check(const char *name, struct pc_reason *ret_reason);
int pc_cli_kad_protocol_check(const char *name, struct pc_reason *ret_reason);
/* The code of a failed dial. */
int pc_cli_code_parse(const char *text, peercache_outcome *ret_outcome, struct pc_reason *ret_reason);
/* "auto", "server" or "client". */
int pc_cli_mode_parse(const char *text, peercache_mode *ret_mode, struct pc_reason *ret_reason);
/* "text" or "json". */
int pc_cli_log_form_parse(const char *text, enum pc_cli_log_form *ret_form, struct pc_reason *ret_reason);
/* Adds its PEERCACHE_PRUNE_… bit. */
int pc_cli_policy_parse(const char *text, uint32_t *ret_policies, struct pc_reason *ret_reason);
int pc_cli_format_parse(const char *text, peercache_format *ret_format, struct pc_reason *ret_reason);

/* The word of one PEERCACHE_PRUNE_… bit; "banned" for 0, as prune tells it. */
const char *pc_cli_policy_name(uint32_t policy);

#endif
