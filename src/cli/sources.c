/* Where a node that joins has its peers from: flags and environment, into the options of the node. */
#include "cli/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* `word` is the option that `value` is of. */
static enum pc_cli_exit refused(const struct pc_cli_session *session, int error, const char *word,
                                const char *value)
{
    char where[PC_CLI_WHERE_BYTES];
    return error ? pc_cli_session_refused(session, error,
                                          pc_cli_options_where(session->options, word, value, where))
                 : PC_CLI_DONE;
}

static enum pc_cli_exit add_all(struct pc_cli_session *session, const char *word, const char *const *texts,
                                size_t count, int (*add)(peercache_node_options *options, const char *text))
{
    enum pc_cli_exit exit = PC_CLI_DONE;
    for (size_t i = 0; i < count && !exit; i++)
        exit = refused(session, add(session->node_options, texts[i]), word, texts[i]);
    return exit;
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
    enum pc_cli_exit exit =
        add_all(session, "endpoint", o->endpoints, o->endpoint_count, peercache_node_options_add_endpoint);
    if (!exit)
        exit = add_all(session, "network-contacts-url", o->contacts, o->contact_count, contacts_add);
    if (o->no_endpoints)
        peercache_node_options_set_described_sources(session->node_options, false);
    return exit;
}

enum pc_cli_exit pc_cli_session_add_ranges(struct pc_cli_session *session)
{
    const struct pc_cli_options *o = session->options;
    enum pc_cli_exit exit =
        add_all(session, "allow", o->allowed, o->allowed_count, peercache_node_options_allow);
    if (!exit)
        exit = add_all(session, "deny", o->denied, o->denied_count, peercache_node_options_deny);
    if (!exit && o->resolver)
        exit = refused(session, peercache_node_options_set_resolver(session->node_options, o->resolver),
                       "resolver", o->resolver);
    return exit;
}

static enum pc_cli_exit add_certificates(struct pc_cli_session *session)
{
    const struct pc_cli_options *o = session->options;
    if (!o->ca_file)
        return PC_CLI_DONE;
    char where[PC_CLI_WHERE_BYTES];
    if (access(o->ca_file, R_OK) != 0) /* said now, and not by each fetch */
        return pc_cli_fail(o->json, PC_CLI_USAGE, "usage", "%s: %.200s: %s",
                           pc_cli_options_where(o, "ca-file", o->ca_file, where), o->ca_file,
                           strerror(errno));
    return refused(session, peercache_node_options_set_ca_file(session->node_options, o->ca_file), "ca-file",
                   o->ca_file);
}

static enum pc_cli_exit add_peers(struct pc_cli_session *session)
{
    const struct pc_cli_options *o = session->options;
    const char *env = o->no_env || o->new_network ? NULL : getenv(PC_CLI_ENV_PEERS);
    enum pc_cli_exit exit =
        add_all(session, "peer", o->peers, o->peer_count, peercache_node_options_add_peer);
    int error = !exit && env ? peercache_node_options_add_env_peers(session->node_options, env) : 0;
    return error ? pc_cli_session_refused(session, error, PC_CLI_ENV_PEERS) : exit;
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
        exit = refused(session, peercache_node_options_set_max_peers(n, o->max_peers), "max-peers", NULL);
    if (o->new_network)
        peercache_node_options_set_described_sources(n, false);
    peercache_node_options_set_dial_cached(n, !o->new_network && !o->ignore_cache);
    peercache_node_options_set_exclusive(n, o->exclusive);
    return exit;
}
