/*
 * Connections and questions between machines.
 *
 *   DIALLING ─arrives─► ENDING ─► told FAILED                        OPEN ─nothing for 30 s─► told CLOSED at both ends
 *           └─────────► OPENING ─► dialler told OPENED ─► GREETING ─► OPEN ─one end goes──► CLOSING ─► the other is told
 *
 * A dial takes two round trips (QUIC's handshake, then identify), what it finds is decided when it arrives; a question takes
 * one. What is lost on the way is sent again, which only takes longer; where nothing passes, the deadline ends it. A process
 * that was killed leaves its peers to find out by the silence.
 */
#include "libp2p/protocol.h"

#include "world.h"

#include <stdlib.h>

static struct machine *far_of(const struct link *link, int end)
{
    return link->ends[1 - end].machine;
}

static void say(const struct machine *machine, enum trace_kind kind, const struct machine *other,
                const struct pc_ip_port *at, peercache_outcome outcome, int64_t n)
{
    trace_add(&machine->world->trace, &(struct trace_line){ .at_us = machine->world->now_us,
                                                            .kind = kind,
                                                            .a = machine->number,
                                                            .b = other ? other->number : TRACE_NOBODY,
                                                            .outcome = outcome,
                                                            .n = n,
                                                            .at = *at });
}

bool net_passes(const struct world *world, const struct machine *from, const struct machine *to)
{
    return !from->is_asleep && !to->is_asleep && !world->cut[from->side][to->side];
}

/* ----- links and their ends ----- */

static void end_key(const struct machine *machine, uint64_t number, uint8_t ret_key[12])
{
    for (size_t i = 0; i < 4; i++)
        ret_key[i] = (uint8_t)(machine->number >> (8 * i));
    for (size_t i = 0; i < 8; i++)
        ret_key[4 + i] = (uint8_t)(number >> (8 * i));
}

static uint64_t hash_of(const struct machine *machine, uint64_t number)
{
    uint64_t hash = (number ^ (uint64_t)machine->number << 32) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

static struct link_end *find_end(const struct machine *machine, uint64_t number)
{
    uint8_t key[12];
    end_key(machine, number, key);
    struct pc_map_node *found = pc_base_map_find_hashed(&machine->world->links, pc_bytes_of(key, sizeof(key)),
                                                        hash_of(machine, number));
    return found ? PC_CONTAINER_OF(found, struct link_end, by_number) : NULL;
}

static int end_of(const struct link *link, const struct machine *machine)
{
    return link->ends[0].machine == machine ? 0 : 1;
}

static void attach(struct link *link, int which, struct machine *machine, uint64_t number)
{
    struct link_end *end = &link->ends[which];
    end->link = link;
    end->machine = machine;
    end->number = number;
    end_key(machine, number, end->key);
    if (pc_base_map_insert_hashed(&machine->world->links, &end->by_number, hash_of(machine, number)))
        exit(2);
    end->before = NULL;
    end->next = machine->links;
    if (machine->links)
        machine->links->ends[end_of(machine->links, machine)].before = link;
    machine->links = link;
}

static void drop_request(struct question *request)
{
    struct world *world = request->link->ends[request->from].machine->world;
    struct link_end *end = &request->link->ends[request->from];
    if (request->before)
        request->before->next = request->next;
    else
        end->requests = request->next;
    if (request->next)
        request->next->before = request->before;
    world_forget(world, &request->life);
    free(request->answer);
    free(request);
}

static void detach(struct link *link, int which)
{
    struct link_end *end = &link->ends[which];
    struct machine *machine = end->machine;
    if (!machine)
        return;
    while (end->requests)
        drop_request(end->requests);
    pc_base_map_remove(&machine->world->links, &end->by_number);
    if (end->before)
        end->before->ends[end_of(end->before, machine)].next = end->next;
    else
        machine->links = end->next;
    if (end->next)
        end->next->ends[end_of(end->next, machine)].before = end->before;
    if (which == 0 && !end->is_told)
        machine->dialling--;
    end->machine = NULL;
}

static void free_link(struct world *world, struct link *link)
{
    detach(link, 0);
    detach(link, 1);
    world_forget(world, &link->life);
    free(link);
}

/* ----- dialling ----- */

static void tell(struct machine *machine, const struct pc_libp2p_event *event)
{
    machine_step(machine, &(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = event });
}

static struct link *new_link(struct world *world)
{
    struct link *link = world_alloc(sizeof(*link));
    link->life.kind = HAPPENS_LINK;
    pc_base_heap_node_init(&link->life.due);
    link->began_us = link->last_us = world->now_us;
    return link;
}

static void end_dial(struct link *link, peercache_outcome outcome, int64_t at_us)
{
    struct world *world = link->ends[0].machine->world;
    link->state = LINK_ENDING;
    link->outcome = at_us < link->deadline_us ? outcome : PEERCACHE_TIMEOUT;
    world_schedule(world, &link->life,
                   pc_base_time_max(world->now_us, pc_base_time_min(at_us, link->deadline_us)));
}

void net_dial(struct machine *machine, const struct pc_node_action *action)
{
    struct world *world = machine->world;
    struct link *link = new_link(world);
    bool used;
    attach(link, 0, machine, action->connection);
    machine->dialling++;
    world->figures.dials += machine->counts;
    link->remote = action->remote;
    link->expected = action->id;
    link->deadline_us = machine_world_time(machine, action->deadline_us);
    link->callee = place_find(world, &action->remote, &used);
    if (action->remote.family == 6 && machine->place_count < 2) {
        end_dial(link, PEERCACHE_UNREACHABLE, world->now_us + 200);
        return;
    }
    if (!link->callee || !net_passes(world, machine, link->callee)) {
        end_dial(link, PEERCACHE_TIMEOUT, link->deadline_us);
        return;
    }
    int64_t there_us = place_delay_us(world, machine, link->callee);
    link->trip_us = 2 * there_us;
    link->state = LINK_DIALLING;
    world_schedule(world, &link->life, world->now_us + there_us);
}

/* What an address gives that is reached: nothing, a refusal, or a host. */
static peercache_outcome find_out(const struct link *link)
{
    const struct machine *caller = link->ends[0].machine;
    const struct machine *callee = link->callee;
    bool used;
    if (place_find(caller->world, &link->remote, &used) != callee ||
        !net_passes(caller->world, callee, caller) || callee->is_hidden || callee->persona == SILENT)
        return PEERCACHE_TIMEOUT;
    if (callee->persona == MODEL && !callee->is_up)
        return PEERCACHE_TIMEOUT;
    if (callee == caller)
        return link->expected.size > 0 ? PEERCACHE_WRONG_IDENTITY : PEERCACHE_REFUSED;
    if (callee->persona == HONEST &&
        (!callee->node || callee->is_stopping || !(callee->is_server || callee->is_auto)))
        return callee->number % 4 == 0 ? PEERCACHE_REFUSED
                                       : PEERCACHE_TIMEOUT; /* most hosts drop in silence */
    if (callee->persona == IMPOSTOR ||
        (link->expected.size > 0 && !pc_addr_peer_id_equal(&link->expected, &callee->id)))
        return PEERCACHE_WRONG_IDENTITY;
    return PEERCACHE_OK;
}

static void arrive(struct link *link)
{
    struct world *world = link->ends[0].machine->world;
    peercache_outcome outcome = find_out(link);
    int64_t answered_us = link->began_us + link->trip_us;
    if (outcome == PEERCACHE_TIMEOUT) {
        end_dial(link, outcome, link->deadline_us);
    } else if (outcome != PEERCACHE_OK) {
        end_dial(link, outcome, answered_us);
    } else if (link->began_us + 2 * link->trip_us >= link->deadline_us) {
        end_dial(link, PEERCACHE_TIMEOUT, link->deadline_us);
    } else {
        link->callee_life = link->callee->life_count;
        link->state = LINK_OPENING;
        world_schedule(world, &link->life, link->began_us + 2 * link->trip_us);
    }
}

static struct pc_libp2p_event event_of(enum pc_libp2p_event_kind kind, const struct link_end *end)
{
    return (struct pc_libp2p_event){ .kind = kind, .connection = end->number, .proven_us = -1, .rtt_us = -1 };
}

static void say_where(const struct machine *machine, struct pc_identify *identify)
{
    size_t count = machine->is_auto ? machine->announced_count : machine->place_count;
    const struct pc_maddr *addrs = machine->is_auto ? machine->announced : machine->addrs;
    for (size_t i = 0; i < count; i++)
        identify->addrs[identify->addr_count++] = pc_addr_maddr_bytes(&addrs[i]);
}

const struct pc_identify *net_identify(const struct machine *machine, const struct pc_ip_port *sees)
{
    static const char kad[] = WORLD_KAD, ping[] = PC_PROTOCOL_PING, dial[] = PC_PROTOCOL_DIAL;
    static struct pc_identify said; /* large */
    static struct pc_maddr observed;
    said.protocol_count = 0;
    said.addr_count = 0;
    said.observed_addr = (struct pc_bytes){ NULL, 0 };
    if (machine->persona != HONEST) {
        puppet_identify(machine, &said);
        return &said;
    }
    if (machine->world->tells_observed) {
        pc_addr_from_ip_port(sees, &observed);
        said.observed_addr = pc_addr_maddr_bytes(&observed);
        said.protocols[said.protocol_count++] = pc_bytes_of(ping, sizeof(ping) - 1);
        if (machine->is_server)
            said.protocols[said.protocol_count++] = pc_bytes_of(dial, sizeof(dial) - 1);
    }
    if (machine->is_server) {
        said.protocols[said.protocol_count++] = pc_bytes_of(kad, sizeof(kad) - 1);
        say_where(machine, &said);
    }
    return &said;
}

static void fail_dial(struct link *link)
{
    struct machine *machine = link->ends[0].machine;
    struct world *world = machine->world;
    struct pc_libp2p_event event = event_of(PC_LIBP2P_FAILED, &link->ends[0]);
    event.outcome = link->outcome;
    event.remote = link->remote;
    if (link->outcome == PEERCACHE_WRONG_IDENTITY) {
        event.id = link->callee->id;
        if (link->callee->persona == IMPOSTOR)
            place_id_of(UINT64_C(1) << 49 | link->callee->number, &event.id);
        event.proven_us = link->trip_us;
    }
    world->figures.dials_failed += machine->counts;
    say(machine, TRACE_DIAL, link->callee, &link->remote, link->outcome, 0);
    free_link(world, link);
    tell(machine, &event);
}

static bool callee_lives(const struct link *link)
{
    const struct machine *callee = link->callee;
    if (callee->life_count != link->callee_life || (callee->persona == MODEL && !callee->is_up))
        return false;
    return callee->persona != HONEST || (callee->node && !callee->is_stopping);
}

static void note_success(const struct machine *machine, const struct link *link, const struct pc_peer_id *id)
{
    struct audit_line *line = audit_line(machine->disk->audit, id, &link->remote);
    line->true_success++;
    line->true_dials += link->expected.size == 0; /* that dial was of an address alone */
}

static bool names_kad(const struct pc_identify *identify)
{
    static const char kad[] = WORLD_KAD;
    for (size_t i = 0; i < identify->protocol_count; i++)
        if (pc_bytes_equal(identify->protocols[i], pc_bytes_of(kad, sizeof(kad) - 1)))
            return true;
    return false;
}

static void open_at_dialler(struct link *link)
{
    struct machine *machine = link->ends[0].machine;
    struct world *world = machine->world;
    if (!callee_lives(link) || !net_passes(world, link->callee, machine) ||
        !net_passes(world, machine, link->callee)) {
        end_dial(link, PEERCACHE_TIMEOUT, link->deadline_us);
        return;
    }
    struct pc_libp2p_event event = event_of(PC_LIBP2P_OPENED, &link->ends[0]);
    const struct pc_identify *said = net_identify(link->callee, &machine->places[link->remote.family == 6]);
    event.id = link->callee->id;
    event.remote = link->remote;
    event.proven_us = link->trip_us;
    event.rtt_us = link->trip_us;
    event.identify = said;
    attach(link, 1, link->callee, PC_LIBP2P_INBOUND | ++link->callee->inbound_count);
    machine->dialling--;
    link->ends[0].is_told = true;
    link->last_us = world->now_us;
    link->state = LINK_GREETING;
    world_schedule(world, &link->life, world->now_us + link->trip_us / 2);
    say(machine, TRACE_DIAL, link->callee, &link->remote, PEERCACHE_OK, 0);
    if (machine->disk->audit && names_kad(said) && link->callee->persona != FOREIGN)
        note_success(machine, link, &event.id);
    tell(machine, &event); /* it may close it at once */
}

static void open_at_callee(struct link *link)
{
    struct machine *callee = link->ends[1].machine, *caller = link->ends[0].machine;
    struct world *world = callee->world;
    link->state = LINK_OPEN;
    link->ends[1].is_told = true;
    world_schedule(world, &link->life, link->last_us + WORLD_IDLE_US);
    if (callee->persona != HONEST)
        return;
    struct pc_libp2p_event event = event_of(PC_LIBP2P_OPENED, &link->ends[1]);
    event.id = caller->id;
    event.remote = caller->places[link->remote.family == 6 ? 1 : 0];
    event.rtt_us = link->trip_us;
    event.identify = net_identify(caller, &link->remote);
    say(callee, TRACE_INBOUND, caller, &event.remote, PEERCACHE_OK, 0);
    tell(callee, &event);
}

/* ----- closing ----- */

/* This end goes. The other is told when it hears of it, or when it has heard nothing for too long. */
static void leave(struct link *link, int which, bool politely)
{
    struct machine *machine = link->ends[which].machine, *other = far_of(link, which);
    struct world *world = machine->world;
    bool was_dialling =
        link->state == LINK_DIALLING || link->state == LINK_ENDING || link->state == LINK_OPENING;
    bool known = other && link->ends[1 - which].is_told;
    if (was_dialling || !known) {
        free_link(world, link);
        return;
    }
    bool hears = politely && net_passes(world, machine, other);
    int64_t at_us = hears ? world->now_us + place_delay_us(world, machine, other)
                          : pc_base_time_max(link->last_us + WORLD_IDLE_US, world->now_us);
    detach(link, which);
    link->outcome = hears ? PEERCACHE_OK : PEERCACHE_TIMEOUT;
    link->state = LINK_CLOSING;
    world_schedule(world, &link->life, at_us);
}

void net_close(struct machine *machine, uint64_t number)
{
    struct link_end *end = find_end(machine, number);
    if (!end)
        return; /* it went meanwhile */
    leave(end->link, end == &end->link->ends[0] ? 0 : 1, true);
}

void net_keep(struct machine *machine, uint64_t number, bool keep)
{
    struct link_end *end = find_end(machine, number);
    if (end)
        end->keeps = keep;
}

/* Whether one of the ends breaks the silence, and the other hears it. */
static bool is_kept(const struct link *link)
{
    const struct machine *a = link->ends[0].machine, *b = link->ends[1].machine;
    if (b->persona == MODEL && !b->is_up)
        return false;
    return (link->ends[0].keeps || link->ends[1].keeps) && net_passes(a->world, a, b) &&
           net_passes(b->world, b, a);
}

/* Tell what is left of it, at one end or both. */
static void close_at(struct machine *machine, uint64_t number, peercache_outcome outcome)
{
    const struct pc_libp2p_event event = {
        .kind = PC_LIBP2P_CLOSED, .connection = number, .outcome = outcome, .proven_us = -1, .rtt_us = -1
    };
    if (machine->persona == HONEST && machine_runs(machine))
        tell(machine, &event);
}

static void close_link(struct link *link)
{
    struct machine *machines[2] = { link->ends[0].machine, link->ends[1].machine };
    const uint64_t numbers[2] = { link->ends[0].number, link->ends[1].number };
    peercache_outcome outcome = link->state == LINK_CLOSING ? link->outcome : PEERCACHE_TIMEOUT;
    struct world *world = (machines[0] ? machines[0] : machines[1])->world;
    const uint32_t lives[2] = { machines[0] ? machines[0]->life_count : 0,
                                machines[1] ? machines[1]->life_count : 0 };
    free_link(world, link);
    for (int i = 0; i < 2; i++)
        if (machines[i] && machines[i]->life_count == lives[i])
            close_at(machines[i], numbers[i], outcome);
}

void net_drop_all(struct machine *machine, bool remember)
{
    struct link *link;
    while ((link = machine->links) != NULL) {
        int which = end_of(link, machine);
        if (remember && (which == 0 || link->ends[which].is_told) && machine->stale_count < WORLD_STALE_MAX) {
            if (!machine->stale)
                machine->stale = world_alloc(WORLD_STALE_MAX * sizeof(*machine->stale));
            machine->stale[machine->stale_count++] =
                (struct stale){ link->ends[which].number, link->ends[which].is_told };
        }
        leave(link, which, false);
    }
}

void net_link_happens(struct link *link)
{
    switch (link->state) {
    case LINK_DIALLING:
        arrive(link);
        break;
    case LINK_ENDING:
        fail_dial(link);
        break;
    case LINK_OPENING:
        open_at_dialler(link);
        break;
    case LINK_GREETING:
        open_at_callee(link);
        break;
    case LINK_OPEN: {
        struct world *world = link->ends[0].machine->world;
        if (is_kept(link))
            link->last_us = world->now_us;
        if (link->last_us + WORLD_IDLE_US > world->now_us)
            world_schedule(world, &link->life, link->last_us + WORLD_IDLE_US);
        else
            close_link(link);
        break;
    }
    case LINK_CLOSING:
        close_link(link);
        break;
    }
}

/* ----- questions ----- */

static void fail_request(struct question *request, peercache_outcome outcome, int64_t at_us)
{
    struct world *world = request->link->ends[request->from].machine->world;
    request->fails = true;
    request->outcome = outcome;
    world_schedule(world, &request->life,
                   pc_base_time_max(world->now_us, pc_base_time_min(at_us, request->deadline_us)));
}

static enum question_kind kind_of(const struct pc_node_action *action)
{
    return action->kind == PC_NODE_FIND_NODE ? QUESTION_FIND
           : action->kind == PC_NODE_PROBE   ? QUESTION_PROBE
                                             : QUESTION_PING;
}

static struct question *new_request(struct link_end *end, enum question_kind kind)
{
    struct question *request = world_alloc(sizeof(*request));
    request->life.kind = HAPPENS_REQUEST;
    pc_base_heap_node_init(&request->life.due);
    request->link = end->link;
    request->from = end == &end->link->ends[0] ? 0 : 1;
    request->kind = kind;
    request->began_us = end->machine->world->now_us;
    request->next = end->requests;
    if (end->requests)
        end->requests->before = request;
    end->requests = request;
    return request;
}

struct machine *net_far(const struct question *request)
{
    return far_of(request->link, request->from);
}

void net_push(struct machine *machine)
{
    struct world *world = machine->world;
    for (struct link *link = machine->links; link; link = link->ends[end_of(link, machine)].next) {
        int which = end_of(link, machine);
        const struct machine *other = far_of(link, which);
        if (!other || !link->ends[1 - which].is_told) /* it hears of it when it opens */
            continue;
        struct question *push = new_request(&link->ends[which], QUESTION_PUSH);
        push->deadline_us = PC_TIME_NEVER;
        world_schedule(world, &push->life, world->now_us + place_delay_us(world, machine, other));
    }
}

void net_ask(struct machine *machine, const struct pc_node_action *action)
{
    struct world *world = machine->world;
    struct link_end *end = find_end(machine, action->connection);
    if (!end && machine->is_waking)
        return;                  /* it hears of that connection's end next, and forgets what it asked */
    if (!end || !end->is_told) { /* the node would have been told of its end before this step */
        world_fail(world, machine, "it asks over a connection that is not open");
        return;
    }
    struct link *link = end->link;
    struct question *request = new_request(end, kind_of(action));
    request->number = action->request;
    request->deadline_us = machine_world_time(machine, action->deadline_us);
    world->figures.requests += machine->counts;
    if (request->kind == QUESTION_FIND) {
        memcpy(request->key_bytes, action->key.data, action->key.size);
        request->key = pc_bytes_of(request->key_bytes, action->key.size);
    }
    if (request->kind == QUESTION_PROBE)
        request->probed = action->addrs[0];
    struct machine *other = far_of(link, request->from);
    if (!other || !net_passes(world, machine, other)) {
        fail_request(request, PEERCACHE_TIMEOUT, request->deadline_us);
        return;
    }
    link->last_us = world->now_us;
    world_schedule(world, &request->life, world->now_us + place_delay_us(world, machine, other));
}

/* The question has come: it is answered at once, by the node or, a ping, by its libp2p. */
static void ask_at_callee(struct question *request)
{
    struct link *link = request->link;
    struct machine *asker = link->ends[request->from].machine, *callee = far_of(link, request->from);
    struct world *world = asker->world;
    bool is_served = request->kind == QUESTION_FIND || request->kind == QUESTION_PROBE;
    if (is_served && callee && callee->persona == HONEST && !callee->is_server) {
        fail_request(request, PEERCACHE_PROTOCOL_MISMATCH, world->now_us + link->trip_us / 2);
        return;
    }
    if (!callee || !net_passes(world, callee, asker) || callee->persona == MUTE ||
        (callee->persona == MODEL && !callee->is_up) ||
        (callee->persona == HONEST && !machine_runs(callee))) {
        fail_request(request, PEERCACHE_TIMEOUT, request->deadline_us);
        return;
    }
    link->last_us = world->now_us;
    if (request->kind == QUESTION_PROBE) {
        reach_ask(callee, request);
        if (!request->is_judged) {
            fail_request(request, PEERCACHE_TIMEOUT, request->deadline_us);
            return;
        }
    } else if (callee->persona != HONEST) {
        puppet_answer(callee, request);
    } else if (request->kind == QUESTION_FIND) {
        struct pc_libp2p_event event = event_of(PC_LIBP2P_ASKED, &link->ends[1 - request->from]);
        event.asked = ++callee->inbound_count;
        event.id = asker->id;
        event.key = request->key;
        world->asking = request;
        tell(callee, &event);
        world->asking = NULL;
        if (!request->answer) {
            fail_request(request, PEERCACHE_TIMEOUT, request->deadline_us);
            return;
        }
    }
    int64_t at_us = world->now_us + request->probe_us + place_delay_us(world, callee, asker);
    request->is_back = true;
    if (at_us > request->deadline_us)
        fail_request(request, PEERCACHE_TIMEOUT, request->deadline_us);
    else
        world_schedule(world, &request->life, at_us);
}

void net_answer(struct machine *machine, const struct pc_node_action *action)
{
    struct question *request = machine->world->asking;
    if (!request || request->kind != QUESTION_FIND || net_far(request) != machine) {
        world_fail(machine->world, machine, "it answers what nobody asked");
        return;
    }
    net_answer_peers(request, action->peers, action->peer_count);
}

/* Peers as bytes: they are the node's, and gone after its step. */
void net_answer_peers(struct question *request, const struct pc_kad_peer *peers, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += 2u + peers[i].id.size;
        for (size_t j = 0; j < peers[i].addr_count; j++)
            size += 1 + peers[i].addrs[j].size;
    }
    free(request->answer);
    request->answer = world_alloc(size + 1);
    request->answer_peers = count;
    uint8_t *at = request->answer;
    for (size_t i = 0; i < count; i++) {
        *at++ = peers[i].id.size;
        memcpy(at, peers[i].id.bytes, peers[i].id.size);
        at += peers[i].id.size;
        *at++ = (uint8_t)peers[i].addr_count;
        for (size_t j = 0; j < peers[i].addr_count; j++) {
            *at++ = (uint8_t)peers[i].addrs[j].size;
            memcpy(at, peers[i].addrs[j].data, peers[i].addrs[j].size);
            at += peers[i].addrs[j].size;
        }
    }
    request->answer_size = size;
}

static void decode(const struct question *request, struct pc_kad_message *ret_kad)
{
    const uint8_t *at = request->answer;
    ret_kad->type = PC_KAD_FIND_NODE;
    ret_kad->key = pc_bytes_of(request->key_bytes, request->key.size);
    ret_kad->peer_count = request->answer_peers;
    for (size_t i = 0; i < request->answer_peers; i++) {
        struct pc_kad_peer *peer = &ret_kad->peers[i];
        peer->id.size = *at++;
        memcpy(peer->id.bytes, at, peer->id.size);
        at += peer->id.size;
        peer->addr_count = *at++;
        for (size_t j = 0; j < peer->addr_count; j++) {
            peer->addrs[j] = pc_bytes_of(at + 1, *at);
            at += 1 + *at;
        }
    }
}

static enum pc_libp2p_event_kind answer_kind(const struct question *request)
{
    if (request->fails)
        return PC_LIBP2P_REQUEST_FAILED;
    return request->kind == QUESTION_PROBE ? PC_LIBP2P_PROBED : PC_LIBP2P_ANSWERED;
}

static enum trace_kind trace_of(const struct question *request)
{
    if (request->fails)
        return TRACE_NO_ANSWER;
    switch (request->kind) {
    case QUESTION_FIND:
        return TRACE_ANSWER;
    case QUESTION_PROBE:
        return request->probe == PC_LIBP2P_CAME_BACK ? TRACE_CAME_BACK
               : request->probe == PC_LIBP2P_CUT_OFF ? TRACE_CUT_OFF
                                                     : TRACE_UNDECIDED;
    case QUESTION_PING:
    case QUESTION_PUSH:
        break;
    }
    return TRACE_PONG;
}

static void hear_push(struct question *push)
{
    const struct link *link = push->link;
    const struct machine *machine = link->ends[push->from].machine;
    struct machine *other = net_far(push);
    struct pc_libp2p_event event = event_of(PC_LIBP2P_IDENTIFIED, &link->ends[1 - push->from]);
    drop_request(push);
    if (!other || other->persona != HONEST || !machine_runs(other) ||
        !net_passes(machine->world, machine, other))
        return;
    event.id = machine->id;
    event.identify = net_identify(machine, &other->places[0]);
    tell(other, &event);
}

void net_request_happens(struct question *request)
{
    static struct pc_kad_message kad; /* large; valid during the step */
    if (request->kind == QUESTION_PUSH) {
        hear_push(request);
        return;
    }
    if (!request->is_back && !request->fails) {
        ask_at_callee(request);
        return;
    }
    struct link *link = request->link;
    struct machine *asker = link->ends[request->from].machine;
    struct machine *other = far_of(link, request->from);
    struct pc_libp2p_event event = event_of(answer_kind(request), &link->ends[request->from]);
    struct question kept = *request; /* its answer is read during the step */
    event.request = request->number;
    event.outcome = request->outcome;
    event.probe = request->probe;
    if (!request->fails) {
        event.rtt_us = asker->world->now_us - request->began_us;
        if (request->answer) {
            decode(&kept, &kad);
            event.kad = &kad;
        }
        link->last_us = asker->world->now_us;
    }
    asker->world->figures.requests_failed += request->fails && asker->counts;
    say(asker, trace_of(request), other, &link->remote, request->outcome, (int64_t)request->answer_peers);
    request->answer = NULL;
    drop_request(request);
    if (asker->persona == HONEST)
        tell(asker, &event);
    free(kept.answer);
}

/* ----- puppets that dial ----- */

void net_meet(struct machine *puppet, struct machine *whom)
{
    struct world *world = puppet->world;
    if (!machine_answers(whom) || !net_passes(world, puppet, whom))
        return;
    struct link *link = new_link(world);
    attach(link, 0, puppet, ++puppet->inbound_count);
    link->ends[0].is_told = true;
    link->callee = whom;
    link->remote = whom->places[0];
    link->trip_us = 2 * place_delay_us(world, puppet, whom);
    attach(link, 1, whom, PC_LIBP2P_INBOUND | ++whom->inbound_count);
    link->state = LINK_GREETING;
    world_schedule(world, &link->life, world->now_us + 2 * link->trip_us);
}
