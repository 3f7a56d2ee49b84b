/*
 * Whether a machine can be reached, found out by itself (node/reach.h): who is asked dials it over a fresh connection. Of a
 * machine behind a NAT that never comes through, so it may never say that it serves. Attackers say that it did not.
 */
#include "world.h"

/* As libp2p/talk_autonat.c: how long a server tries. */
#define DIAL_BACK_US SECONDS(6)

static void judge(struct question *request, enum pc_libp2p_probe probe, int64_t after_us)
{
    request->is_judged = true;
    request->probe = probe;
    request->probe_us = after_us;
}

void reach_ask(struct machine *server, struct question *request)
{
    struct world *world = server->world;
    const struct machine *asker = request->link->ends[request->from].machine;
    const struct link_end *here = &request->link->ends[1 - request->from];
    if (server->persona != HONEST) {
        judge(request, PC_LIBP2P_CUT_OFF, SECONDS(1));
        return;
    }
    const struct pc_autonat_message dial = { .kind = PC_AUTONAT_REQUEST,
                                             .addr_count = 1,
                                             .addrs = { pc_addr_maddr_bytes(&request->probed) } };
    const struct pc_libp2p_event event = { .kind = PC_LIBP2P_DIAL_ASKED,
                                           .connection = here->number,
                                           .asked = ++server->inbound_count,
                                           .id = asker->id,
                                           .remote = asker->places[request->link->remote.family == 6],
                                           .dial = &dial,
                                           .proven_us = -1,
                                           .rtt_us = -1 };
    world->asking = request;
    machine_step(server, &(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = &event });
    world->asking = NULL;
}

static struct question *asked(struct machine *server)
{
    struct question *request = server->world->asking;
    if (request && request->kind == QUESTION_PROBE && !request->is_judged && net_far(request) == server)
        return request;
    world_fail(server->world, server, "it judges a probe that nobody asked for");
    return NULL;
}

void reach_dial_back(struct machine *server, const struct pc_node_action *action)
{
    struct world *world = server->world;
    struct question *request = asked(server);
    bool used;
    if (!request)
        return;
    const struct machine *asker = request->link->ends[request->from].machine;
    const struct machine *there = place_find(world, &action->remote, &used);
    int64_t trip_us = place_delay_us(world, server, asker) + place_delay_us(world, asker, server);
    int64_t owed_us = action->data_bytes > 0 ? trip_us : 0;
    bool comes = there == asker && !asker->is_hidden &&
                 (action->remote.family == 4 || server->place_count > 1) &&
                 net_passes(world, server, asker) && net_passes(world, asker, server);
    judge(request, comes ? PC_LIBP2P_CAME_BACK : PC_LIBP2P_CUT_OFF,
          owed_us + (comes ? 2 * trip_us : DIAL_BACK_US));
}

void reach_refuse(struct machine *server, const struct pc_node_action *action)
{
    struct question *request = asked(server);
    (void)action;
    if (request)
        judge(request, PC_LIBP2P_UNDECIDED, 0);
}

void reach_announce(struct machine *machine, const struct pc_node_action *action)
{
    struct world *world = machine->world;
    if (!machine->is_auto)
        return; /* what it is was set when it was made */
    if (action->is_server && machine->is_hidden) {
        world_fail(world, machine, "it says that it serves, and nobody can reach it");
        return;
    }
    if (action->is_server != machine->is_server)
        trace_add(&world->trace,
                  &(struct trace_line){ .at_us = world->now_us,
                                        .kind = action->is_server ? TRACE_SERVES : TRACE_SERVES_NOT,
                                        .a = machine->number,
                                        .b = TRACE_NOBODY });
    machine->is_server = action->is_server;
    machine->announced_count = action->addr_count;
    for (size_t i = 0; i < action->addr_count; i++)
        machine->announced[i] = action->addrs[i];
    if (action->is_server && !machine->served)
        samples_add(&world->figures.served_us, world->now_us - machine->started_us);
    machine->served |= action->is_server;
    net_push(machine);
}
