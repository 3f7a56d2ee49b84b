/*
 * The log of a command that runs a node: lines on standard error, of the node's rooms and, of the room cli, all that the
 * command would otherwise say there itself (but the timeline of -v).
 */
#ifndef PC_CLI_LOG_H
#define PC_CLI_LOG_H

#include "cli/options.h"

#include <peercache/node.h>

/* Log as the flags say, from now until the command ends: the node made of these options, and pc_cli_note. Without a flag of
 * the log it does nothing. EPARSE with the reason on the node's options. */
int pc_cli_log_begin(const struct pc_cli_options *options, peercache_node_options *node_options);

#endif
