#include "node/wire.h"

#include "base/time.h"

#include <assert.h>
#include <stdio.h>

/*
 * A dial or request that could not even be begun (out of memory, too many connections) ends as an event like
 * any other, after this step. There are never more such ends waiting than dials and requests that a node has
 * under way before any of them was answered: far fewer than the queue holds.
 */
static void queue_failure(struct pc_wire *wire, const struct pc_node_action *action, int result)
{
    assert(wire->failure_count < PC_WIRE_FAILURES_MAX);
    size_t place = (wire->failure_first + wire->failure_count++) % PC_WIRE_FAILURES_MAX;
    wire->failures[place] = (struct pc_wire_failure){
        .connection = action->connection,
        .request = action->request,
        .result = result,
    };
}

static bool next_failure(struct pc_wire *wire, struct pc_libp2p_event *ret_event)
{
    if (wire->failure_count == 0)
        return false;
    const struct pc_wire_failure *failure = &wire->failures[wire->failure_first];
    *ret_event = (struct pc_libp2p_event){
        .kind = failure->request ? PC_LIBP2P_REQUEST_FAILED : PC_LIBP2P_FAILED,
        .connection = failure->connection,
        .request = failure->request,
        .outcome = PEERCACHE_CANCELLED,
        .proven_us = -1,
        .rtt_us = -1,
    };
    (void)snprintf(ret_event->detail, sizeof(ret_event->detail), "not begun: %s",
                   peercache_strerror(failure->result));
    wire->failure_first = (wire->failure_first + 1) % PC_WIRE_FAILURES_MAX;
    wire->failure_count--;
    return true;
}

static void apply(struct pc_wire *wire, peercache_time now, const struct pc_node_action *action)
{
    int result = 0;
    switch (action->kind) {
    case PC_NODE_DIAL:
        result = pc_libp2p_host_dial(wire->host, now, action->connection, &action->remote,
                                     action->id.size ? &action->id : NULL, action->deadline_us);
        break;
    case PC_NODE_CLOSE:
        pc_libp2p_host_close(wire->host, now, action->connection, 0);
        break;
    case PC_NODE_PING:
        result =
            pc_libp2p_host_ping(wire->host, now, action->connection, action->request, action->deadline_us);
        break;
    case PC_NODE_FIND_NODE:
        result = pc_libp2p_host_find_node(wire->host, now, action->connection, action->request, action->key,
                                          action->deadline_us);
        break;
    case PC_NODE_ANSWER:
        /* The stream may be gone, which is no fault. */
        (void)pc_libp2p_host_answer(wire->host, now, action->asked, action->peers, action->peer_count);
        break;
    case PC_NODE_PROBE:
        result = pc_libp2p_host_probe(wire->host, now, action->connection, action->request,
                                      pc_addr_maddr_bytes(&action->addrs[0]), action->deadline_us);
        break;
    case PC_NODE_DIAL_BACK: /* as with an answer: and over a limit of the host it refuses by itself */
        (void)pc_libp2p_host_dial_back(wire->host, now, action->asked, action->count, &action->remote,
                                       action->data_bytes);
        break;
    case PC_NODE_REFUSE_DIAL:
        (void)pc_libp2p_host_refuse_dial(wire->host, now, action->asked, action->status);
        break;
    case PC_NODE_ANNOUNCE:
        /* Within the host's bound, which is the node's too. */
        (void)pc_libp2p_host_announce(wire->host, now, action->is_server, action->addrs, action->addr_count);
        break;
    case PC_NODE_KEEP:
        pc_libp2p_host_keep(wire->host, now, action->connection, action->keep);
        break;
    case PC_NODE_STOPPED:
        wire->stopped = true;
        wire->edge(wire->context, action);
        break;
    case PC_NODE_FETCH:
    case PC_NODE_RESOLVE:
    case PC_NODE_CANCEL_FETCH:
    case PC_NODE_CANCEL_RESOLVE:
    case PC_NODE_KEEP_ENDPOINT:
    case PC_NODE_KEEP_JOIN:
    case PC_NODE_COMMIT:
    case PC_NODE_TAKE_IN:
    case PC_NODE_SAVED:
    case PC_NODE_TELL:
        wire->edge(wire->context, action);
        break;
    }
    if (result)
        queue_failure(wire, action, result);
}

static void step(struct pc_wire *wire, peercache_time now, const struct pc_node_event *event)
{
    const struct pc_node_action *actions;
    size_t count = pc_node_step(wire->node, now, event, &actions);
    for (size_t i = 0; i < count; i++)
        apply(wire, now, &actions[i]);
}

void pc_node_wire_run(struct pc_wire *wire, peercache_time now, const struct pc_node_event *event)
{
    struct pc_libp2p_event told;
    if (wire->stopped)
        return;
    if (event)
        step(wire, now, event);
    if (pc_libp2p_host_deadline(wire->host) <= now.mono_us)
        pc_libp2p_host_expire(wire->host, now);
    while (!wire->stopped) {
        if (next_failure(wire, &told) || pc_libp2p_host_next_event(wire->host, &told))
            step(wire, now, &(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = &told });
        else if (pc_node_deadline(wire->node) <= now.mono_us)
            step(wire, now, &(struct pc_node_event){ .kind = PC_NODE_TIME });
        else
            break;
    }
}

int64_t pc_node_wire_deadline(const struct pc_wire *wire)
{
    if (wire->stopped)
        return pc_libp2p_host_deadline(wire->host);
    return pc_base_time_min(pc_libp2p_host_deadline(wire->host), pc_node_deadline(wire->node));
}
