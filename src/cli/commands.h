/* The commands, one file each: parsed options in, exit code out. */
#ifndef PC_CLI_COMMANDS_H
#define PC_CLI_COMMANDS_H

#include "cli/options.h"

enum pc_cli_exit pc_cli_join(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_run(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_list(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_crawl(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_ping(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_find(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_id(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_multiaddr(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_add(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_report(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_show(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_remove(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_ban(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_unban(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_pick(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_prune(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_import(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_export(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_stats(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_check(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_endpoints(const struct pc_cli_options *options);
enum pc_cli_exit pc_cli_demo(const struct pc_cli_options *options);

#endif
