/* What a node gives to others who look for peers: records for an endpoint's answer. */
#ifndef PC_NODE_SHARE_H
#define PC_NODE_SHARE_H

#include "node/node.h"

#define PC_NODE_SHARE_MAX 1000 /* peers of one answer */

/*
 * Visit up to `count` peers (PC_NODE_SHARE_MAX at most): the node itself first, when it is a server and has an
 * address that others may store; then peers of the working set, those that were verified last first, then those
 * that were only heard of, the last heard of first. Peers known by address only are left out. What is given is
 * valid during the call. ENOMEM; other than 0 from `visit` stops and is returned. Walks the whole working set.
 */
int pc_node_share(const struct pc_node *node, size_t count,
                  int (*visit)(void *context, const struct pc_record *record), void *context);

#endif
