/*
 * What join, run and ping share: a node made of the command line's flags, its timeline on standard error
 * (-v), and its warnings.
 */
#ifndef PC_CLI_SESSION_H
#define PC_CLI_SESSION_H

#include "cli/options.h"
#include "cli/output.h"

#include <peercache/node.h>

#define PC_CLI_PATH_BYTES 4096

/* Where the cache is: --cache, or the default path of the network; "" with --no-cache. ENOTFOUND there is no
 * home directory to put it in; ELIMIT; the reason says what to do. */
int pc_cli_cache_path(const struct pc_cli_options *options, char ret_path[PC_CLI_PATH_BYTES],
                      struct pc_reason *ret_reason);

struct pc_cli_session {
    const struct pc_cli_options *options;
    char cache[PC_CLI_PATH_BYTES]; /* "" for none */
    peercache_node_options *node_options;
    peercache_node *node;
    /* the command's own look at each event; after the timeline */
    void (*on_event)(struct pc_cli_session *session, const peercache_node_event *event);
    bool logs;         /* there is a log, see log.h */
    bool saved;        /* of STOPPED */
    uint32_t shown;    /* dials shown in the timeline */
    uint32_t left_out; /* dials that were too many for it */
};

/*
 * Begin: the options of the node with all shared flags, --listen, the cache (when `with_cache`) and the
 * signals. The command sets what is its own on session->node_options. Not PC_CLI_DONE: it was said why; deinit
 * in any case.
 */
enum pc_cli_exit pc_cli_session_init(struct pc_cli_session *session, const struct pc_cli_options *options,
                                     bool with_cache);
/* Add what a node joins through: the peers of flags and environment, endpoints, and all of add_ranges. As init. */
enum pc_cli_exit pc_cli_session_add_sources(struct pc_cli_session *session);
/* The endpoints alone, and whether those of the description are used. */
enum pc_cli_exit pc_cli_session_add_endpoints(struct pc_cli_session *session);
/* What may be dialled: --allow, --deny; and --resolver. */
enum pc_cli_exit pc_cli_session_add_ranges(struct pc_cli_session *session);
/* Make the node: opens sockets and cache, dials nothing. */
enum pc_cli_exit pc_cli_session_open(struct pc_cli_session *session);
/* Run until the node stops. */
enum pc_cli_exit pc_cli_session_run(struct pc_cli_session *session);
void pc_cli_session_deinit(struct pc_cli_session *session);
/* Say that a setter of the node's options refused, and return the exit code. */
enum pc_cli_exit pc_cli_session_refused(const struct pc_cli_session *session, int error, const char *flag);

#endif
