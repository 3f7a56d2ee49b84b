/* The report of a join, and of one endpoint, as JSON and as text; the manual has its form. */
#ifndef PC_CLI_JOIN_REPORT_H
#define PC_CLI_JOIN_REPORT_H

#include "cli/output.h"

#include <peercache/node.h>

/* The whole report; without `dials` the peers and failures, which may be many, are left out. NULL when memory is out. */
json_t *pc_cli_join_report_json(const peercache_join_report *report, bool dials);
/* On standard output: short when joined, else with all that helps to find out why not. */
void pc_cli_join_report_text(const peercache_join_report *report);

/* With what only a join knows (asked, shared), or without. */
json_t *pc_cli_endpoint_json(const peercache_endpoint_report *endpoint, bool in_join);
/* "ok 200: 12 peers", "http_error 503: the server is down": how asking it ended. */
const char *pc_cli_endpoint_answer(const peercache_endpoint_report *endpoint,
                                   char ret_text[PC_CLI_TEXT_BYTES]);

#endif
