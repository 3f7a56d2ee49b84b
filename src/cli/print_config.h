/* What holds of each option of a command, and where it came from: `run --print-config`. */
#ifndef PC_CLI_PRINT_CONFIG_H
#define PC_CLI_PRINT_CONFIG_H

#include "cli/session.h"

/* Print it, as a config file or with --json as one object. The session is made, with its path of the cache. */
enum pc_cli_exit pc_cli_print_config(const struct pc_cli_session *session);

#endif
