/*
 * A node of the network within a program: it joins on a thread of its own, while the program does other things, and
 * remembers whom it met. (peercache_node_start_on does the same within your libuv loop.)
 *
 *     cc node.c $(pkg-config --cflags --libs peercache-net) -o node
 *     ./node peers.db /ip4/127.0.0.1/udp/4001/quic-v1/p2p/12D3KooW…      first start: somebody to begin with
 *     ./node peers.db                                                    later ones: from memory
 */
#include <peercache/node.h>

#include <stdio.h>

/* On the node's thread; what the event points to is valid here only. */
static void on_event(void *context, const peercache_node_event *event)
{
    (void)context;
    if (event->kind == PEERCACHE_NODE_VERIFIED)
        printf("met %s\n", event->dial->addr);
    if (event->kind == PEERCACHE_NODE_JOIN_DONE && event->report->next_step[0])
        fprintf(stderr, "node: %s\n", event->report->next_step);
    if (event->kind == PEERCACHE_NODE_STOPPED)
        printf("%s\n", event->saved ? "saved" : "not saved");
}

/* NULL: something was refused, and has been told. */
static peercache_node *make_node(const char *cache, char **peers, int peer_count)
{
    peercache_node_options *options = peercache_node_options_new();
    peercache_node *node = NULL;
    if (!options) {
        fprintf(stderr, "node: out of memory\n");
        return NULL;
    }
    peercache_node_options_set_mode(options, PEERCACHE_MODE_AUTO);
    peercache_node_options_set_local(options,
                                     true); /* to be tried on one machine; leave it out for the world */
    int error = peercache_node_options_set_cache(options, cache);
    for (int i = 0; i < peer_count && !error; i++)
        error = peercache_node_options_add_peer(options, peers[i]);
    if (error) {
        fprintf(stderr, "node: %s\n", peercache_node_options_errmsg(options));
    } else if (peercache_node_new(options, &node)) {
        fprintf(stderr, "node: %s\n", node ? peercache_node_errmsg(node) : "out of memory");
        peercache_node_free(node);
        node = NULL;
    }
    peercache_node_options_free(options);
    return node;
}

int main(int argc, char **argv)
{
    peercache_join_status status = PEERCACHE_FAILED;
    if (argc < 2) {
        fprintf(stderr, "usage: node CACHE [MULTIADDR...]\n");
        return 2;
    }
    peercache_node *node = make_node(argv[1], argv + 2, argc - 2);
    if (!node)
        return 2;
    peercache_node_on_event(node, on_event, NULL);
    int error = peercache_node_start(node);
    if (error)
        fprintf(stderr, "node: %s\n", peercache_node_errmsg(node));
    else if (peercache_node_wait_joined(node, 15000, &status) == 0)
        printf("%s\n", peercache_join_status_name(status));
    /* … here the program does what it is there for … */
    peercache_node_stop(node);
    if (!error)
        (void)peercache_node_wait_stopped(node);
    peercache_node_free(node);
    return status == PEERCACHE_FAILED;
}
