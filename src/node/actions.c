/* The bounded array of actions, and what the application is told. */
#include "node/internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

bool pc_node_has_room(struct pc_node *node, size_t spare)
{
    /* A step of the pump takes at most one tell, and one action beside it. */
    if (node->action_count + 2 + spare <= PC_NODE_ACTIONS_MAX &&
        node->tell_count + 1 + spare <= PC_NODE_TELLS_MAX)
        return true;
    node->unfinished = true;
    return false;
}

struct pc_node_action *pc_node_act(struct pc_node *node, enum pc_node_action_kind kind)
{
    assert(node->action_count < PC_NODE_ACTIONS_MAX);
    struct pc_node_action *action = &node->actions[node->action_count++];
    *action = (struct pc_node_action){ .kind = kind };
    return action;
}

void pc_node_tell(struct pc_node *node, const peercache_node_event *event)
{
    pc_node_act(node, PC_NODE_TELL)->event = *event;
}

const peercache_dial *pc_node_tell_dial(struct pc_node *node, peercache_node_event_kind kind,
                                        const struct connection *connection, peercache_outcome code,
                                        const char *detail, int64_t rtt_us, int64_t proven_us)
{
    assert(node->tell_count < PC_NODE_TELLS_MAX);
    struct told_dial *told = &node->tells[node->tell_count++];
    _Static_assert(PEERCACHE_PEER_ID_TEXT_BYTES >= PC_PEER_ID_TEXT_BYTES, "a peer id fits its public text");
    pc_addr_peer_id_format(&connection->id, told->id);
    if (pc_addr_format_with_id(pc_addr_maddr_bytes(&connection->addr), &connection->id, told->addr,
                               sizeof(told->addr)))
        told->addr[0] = '\0';
    (void)snprintf(told->detail, sizeof(told->detail), "%s", detail);
    told->dial = (peercache_dial){
        .id = told->id,
        .addr = told->addr,
        .via = connection->via,
        .code = code,
        .detail = told->detail,
        .rtt_us = rtt_us,
        .proven_us = proven_us,
        .elapsed_us = pc_base_time_sub(node->now.mono_us, node->join_started_us),
    };
    pc_node_tell(node, &(peercache_node_event){ .kind = kind, .dial = &told->dial });
    return &told->dial;
}

void pc_node_warn(struct pc_node *node, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(node->warning, sizeof(node->warning), format, args);
    va_end(args);
    pc_base_log(node->options.log, PC_LOG_WARNING, "node", "%s", node->warning);
    if (pc_node_has_room(node, 0))
        pc_node_tell(node, &(peercache_node_event){ .kind = PEERCACHE_NODE_WARNING, .text = node->warning });
}
