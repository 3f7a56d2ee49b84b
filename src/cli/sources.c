/* Where a node that joins has its peers from: flags and environment, into the options of the node. */
#include "cli/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum pc_cli_exit refused(const struct pc_cli_session *session, int error, const char *flag)
{
    return error ? pc_cli_session_refused(session, error, flag) : PC_CLI_DONE;
}

static int add_all(peercache_node_options *options, const char *const *texts, size_t count,
                   int (*add)(peercache_node_options *options, const char *text))
{
    int error = 0;
    for (size_t i = 0; i < count && !error; i++)
        error = add(options, texts[i]);
    return error;
}

/* A comma-separated list of URLs, as the older flag takes it. */
static int contacts_add(peercache_node_options *options, const char *list)
{
    int error = 0;
    char *copy = strdup(list);
    char *next = copy;
    if (!copy)
        return PEERCACHE_ENOMEM;
    for (char *url = strsep(&next, ","); url && !error; url = strsep(&next, ","))
        error = peercache_node_options_add_endpoint(options, url);
    free(copy);
    return error;
}

enum pc_cli_exit pc_cli_session_add_endpoints(struct pc_cli_session *session)
{
    const struct pc_cli_options *o = session->options;
    peercache_node_options *n = session->node_options;
    enum pc_cli_exit exit =
        refused(session, add_all(n, o->endpoints, o->endpoint_count, peercache_node_options_add_endpoint),
                "--endpoint");
    if (!exit)
        exit = refused(session, add_all(n, o->contacts, o->contact_count, contacts_add),
                       "--network-contacts-url");
    if (o->no_endpoints)
        peercache_node_options_set_described_sources(n, false);
    return exit;
}

enum pc_cli_exit pc_cli_session_add_ranges(struct pc_cli_session *session)
{
    const struct pc_cli_options *o = session->options;
    peercache_node_options *n = session->node_options;
    enum pc_cli_exit exit =
        refused(session, add_all(n, o->allowed, o->allowed_count, peercache_node_options_allow), "--allow");
    if (!exit)
        exit =
            refused(session, add_all(n, o->denied, o->denied_count, peercache_node_options_deny), "--deny");
    if (!exit && o->resolver)
        exit = refused(session, peercache_node_options_set_resolver(n, o->resolver), "--resolver");
    return exit;
}

static enum pc_cli_exit add_certificates(struct pc_cli_session *session)
{
    const struct pc_cli_options *o = session->options;
    if (!o->ca_file)
        return PC_CLI_DONE;
    if (access(o->ca_file, R_OK) != 0) /* said now, and not by each fetch */
        return pc_cli_fail(o->json, PC_CLI_USAGE, "usage", "--ca-file: %.200s: %s", o->ca_file,
                           strerror(errno));
    return refused(session, peercache_node_options_set_ca_file(session->node_options, o->ca_file),
                   "--ca-file");
}

static enum pc_cli_exit add_peers(struct pc_cli_session *session)
{
    const struct pc_cli_options *o = session->options;
    peercache_node_options *n = session->node_options;
    const char *env = o->no_env || o->new_network ? NULL : getenv(PC_CLI_ENV_PEERS);
    enum pc_cli_exit exit =
        refused(session, add_all(n, o->peers, o->peer_count, peercache_node_options_add_peer), "--peer");
    if (!exit && env)
        exit = refused(session, peercache_node_options_add_env_peers(n, env), PC_CLI_ENV_PEERS);
    return exit;
}

enum pc_cli_exit pc_cli_session_add_sources(struct pc_cli_session *session)
{
    const struct pc_cli_options *o = session->options;
    peercache_node_options *n = session->node_options;
    enum pc_cli_exit exit = add_peers(session);
    if (!exit)
        exit = pc_cli_session_add_endpoints(session);
    if (!exit)
        exit = pc_cli_session_add_ranges(session);
    if (!exit)
        exit = add_certificates(session);
    if (!exit)
        exit = refused(session, peercache_node_options_set_max_peers(n, o->max_peers), "--max-peers");
    if (o->new_network)
        peercache_node_options_set_described_sources(n, false);
    peercache_node_options_set_dial_cached(n, !o->new_network && !o->ignore_cache);
    peercache_node_options_set_exclusive(n, o->exclusive);
    return exit;
}
