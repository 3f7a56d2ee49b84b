/* What a crawl found, for people and as JSON. */
#ifndef PC_CLI_CRAWL_REPORT_H
#define PC_CLI_CRAWL_REPORT_H

#include "cli/output.h"

#include <peercache/node.h>

#include <stdio.h>

/* Peers a second that have ended so far. */
double pc_cli_crawl_rate(const peercache_crawl_report *report);
/* To this file: standard output, or standard error when the answer is another. */
void pc_cli_crawl_report_text(const peercache_crawl_report *report, FILE *file);
/* Without what only the end of the node shows. NULL: out of memory. */
json_t *pc_cli_crawl_report_json(const peercache_crawl_report *report);

#endif
