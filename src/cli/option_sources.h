/* Where options come from beside the flags: the environment and the config file, into the settings. */
#ifndef PC_CLI_OPTION_SOURCES_H
#define PC_CLI_OPTION_SOURCES_H

#include "cli/options.h"

/* The file of options->settings. Every value in it is checked, and those that the command takes are kept. Not 0: it can't be
 * read, or something in it is wrong; the reason names file, line and key. */
int pc_cli_options_read_file(struct pc_cli_options *options, struct pc_reason *ret_reason);
/* The variables of the options that the command takes; an empty one is none. EINVAL; the reason names the variable. */
int pc_cli_options_read_environment(struct pc_cli_options *options, struct pc_reason *ret_reason);

#endif
