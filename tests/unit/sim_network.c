#include "sim_network.h"

#include "check.h"

#include "base/time.h"

#define SIM_SOCKET 7

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sim_init(struct sim *sim, uint64_t seed)
{
    memset(sim, 0, sizeof(*sim));
    sim->now = (peercache_time){ .wall_ms = INT64_C(1780000000000), .mono_us = 5000 };
    sim->delay_us = 10000;
    pc_base_rng_init_u64(&sim->rng, seed);
}

void sim_deinit(struct sim *sim)
{
    for (size_t i = 0; i < sim->node_count; i++)
        pc_libp2p_host_free(sim->nodes[i].host);
    while (sim->flights) {
        struct sim_flight *flight = sim->flights;
        sim->flights = flight->next;
        free(flight);
    }
}

struct pc_ip_port sim_address(size_t node, uint8_t family)
{
    struct pc_ip_port address = { .family = family, .port = 4001 };
    if (family == 4) {
        address.ip[0] = 10;
        address.ip[2] = (uint8_t)((node + 1) >> 8);
        address.ip[3] = (uint8_t)(node + 1);
    } else {
        address.ip[0] = 0xfd;
        address.ip[14] = (uint8_t)((node + 1) >> 8);
        address.ip[15] = (uint8_t)(node + 1);
    }
    return address;
}

size_t sim_add_node(struct sim *sim, const struct sim_node *node, uint8_t family)
{
    assert_true(sim->node_count < SIM_NODES_MAX);
    sim->nodes[sim->node_count] = *node;
    sim->nodes[sim->node_count].address = sim_address(sim->node_count, family);
    return sim->node_count++;
}

size_t sim_add_host(struct sim *sim, const struct pc_libp2p_options *options, uint8_t family)
{
    struct sim_node node = { .host = NULL };
    assert_int_equal(pc_libp2p_host_new(options, &node.host), 0);
    return sim_add_node(sim, &node, family);
}

static bool chance(struct sim *sim, unsigned percent)
{
    return percent > 0 && pc_base_rng_below(&sim->rng, 100) < percent;
}

static void fly(struct sim *sim, struct sim_flight *flight, int64_t delay_us)
{
    struct sim_flight **at = &sim->flights;
    flight->at_us = sim->now.mono_us + delay_us;
    while (*at && (*at)->at_us <= flight->at_us)
        at = &(*at)->next;
    flight->next = *at;
    *at = flight;
}

void sim_inject(struct sim *sim, const struct pc_ip_port *from, const struct pc_ip_port *to,
                const uint8_t *data, size_t size)
{
    struct sim_flight *flight = calloc(1, sizeof(*flight));
    assert_non_null(flight);
    assert_true(size <= sizeof(flight->data));
    flight->from = *from;
    flight->to = *to;
    flight->size = size;
    memcpy(flight->data, data, size);
    fly(sim, flight, sim->delay_us);
}

static void transmit(struct sim *sim, const struct sim_flight *flight)
{
    sim->sent_count++;
    if (sim->tap)
        sim->tap(sim, sim->tap_context, flight);
    if (sim->swallows && sim->swallows(sim, sim->swallows_context, flight))
        return;
    unsigned copies = chance(sim, sim->loss_percent) ? 0 : chance(sim, sim->double_percent) ? 2 : 1;
    for (unsigned i = 0; i < copies; i++) {
        struct sim_flight *copy = malloc(sizeof(*copy));
        assert_non_null(copy);
        *copy = *flight;
        if (chance(sim, sim->truncate_percent))
            copy->size = (size_t)pc_base_rng_below(&sim->rng, copy->size) + 1;
        if (chance(sim, sim->damage_percent))
            copy->data[pc_base_rng_below(&sim->rng, copy->size)] ^=
                (uint8_t)(1 + pc_base_rng_below(&sim->rng, 255));
        int64_t delay_us = chance(sim, sim->reorder_percent) ? 2 * sim->delay_us : sim->delay_us;
        if (sim->jitter_us > 0)
            delay_us += (int64_t)pc_base_rng_below(&sim->rng, (uint64_t)sim->jitter_us);
        fly(sim, copy, delay_us);
    }
}

static void copy_event(struct sim *sim, size_t node, const struct pc_libp2p_event *event)
{
    assert_true(sim->event_count < SIM_EVENTS_MAX);
    struct sim_event *kept = &sim->events[sim->event_count++];
    memset(kept, 0, sizeof(*kept));
    kept->node = node;
    kept->at_us = sim->now.mono_us;
    kept->event = *event;
    if (event->identify) {
        const struct pc_identify *identify = event->identify;
        kept->protocol_count = identify->protocol_count;
        for (size_t i = 0; i < identify->protocol_count && i < 8; i++)
            (void)snprintf(kept->protocols[i], sizeof(kept->protocols[i]), "%.*s",
                           (int)identify->protocols[i].size, (const char *)identify->protocols[i].data);
        (void)snprintf(kept->agent, sizeof(kept->agent), "%.*s", (int)identify->agent.size,
                       (const char *)identify->agent.data);
        kept->addr_count = identify->addr_count;
        assert_true(identify->observed_addr.size <= sizeof(kept->observed_bytes));
        if (identify->observed_addr.size > 0)
            memcpy(kept->observed_bytes, identify->observed_addr.data, identify->observed_addr.size);
        kept->observed = pc_bytes_of(kept->observed_bytes, identify->observed_addr.size);
    }
    if (event->kad) {
        kept->peer_count = event->kad->peer_count;
        if (kept->peer_count > 0) {
            kept->first_peer = event->kad->peers[0].id;
            kept->first_peer_addr_count = event->kad->peers[0].addr_count;
        }
    }
    if (event->key.size > 0 && event->key.size <= sizeof(kept->key))
        memcpy(kept->key, event->key.data, event->key.size);
    kept->key_size = event->key.size;
}

static const struct pc_ip_port *outside(const struct sim_node *node)
{
    return node->seen_as.family ? &node->seen_as : &node->address;
}

static void take_events(struct sim *sim, size_t index)
{
    struct sim_node *node = &sim->nodes[index];
    struct pc_libp2p_event event;
    uint64_t asked[256];
    size_t asked_count = 0;
    while (node->host && pc_libp2p_host_next_event(node->host, &event)) {
        copy_event(sim, index, &event);
        if (event.kind == PC_LIBP2P_DIAL_ASKED && sim->dial_asked)
            sim->dial_asked(sim, index, &event);
        if (event.kind == PC_LIBP2P_ASKED && !sim->leave_unanswered) {
            assert_true(asked_count < 256);
            asked[asked_count++] = event.asked;
        }
        if (asked_count > 0 && event.kind == PC_LIBP2P_ASKED)
            (void)pc_libp2p_host_answer(node->host, sim->now, asked[--asked_count], sim->answer,
                                        sim->answer_count);
    }
}

static void send_all(struct sim *sim, size_t index)
{
    struct sim_node *node = &sim->nodes[index];
    for (;;) {
        struct sim_flight flight = { .from = *outside(node) };
        struct pc_datagram datagram = { .data = flight.data, .size = sizeof(flight.data) };
        bool sent = node->host ? pc_libp2p_host_send(node->host, sim->now, &datagram)
                               : node->send && node->send(node->context, sim->now, &datagram);
        if (!sent)
            break;
        assert_true(datagram.size > 0 && datagram.size <= PC_LIBP2P_DATAGRAM_MAX_BYTES);
        if (datagram.local.family) { /* an inbound connection answers from where it was asked */
            assert_true(pc_addr_ip_port_equal(&datagram.local, &node->address));
            assert_int_equal(datagram.socket, SIM_SOCKET);
        } else if (node->host && datagram.socket == PC_LIBP2P_SOCKET_APART) {
            flight.from.port += SIM_APART;
        } else if (node->host) {
            assert_int_equal(datagram.socket, PC_LIBP2P_SOCKET_ANY);
        }
        flight.to = datagram.remote;
        flight.size = datagram.size;
        transmit(sim, &flight);
    }
}

static void drain(struct sim *sim, size_t index)
{
    do {
        take_events(sim, index);
        send_all(sim, index);
    } while (sim->nodes[index].host && pc_libp2p_host_has_event(sim->nodes[index].host));
}

static int64_t node_deadline(const struct sim_node *node)
{
    if (node->host)
        return pc_libp2p_host_deadline(node->host);
    return node->deadline ? node->deadline(node->context) : PC_TIME_NEVER;
}

static void deliver(struct sim *sim)
{
    struct sim_flight *flight = sim->flights;
    sim->flights = flight->next;
    for (size_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        struct pc_ip_port apart = node->address;
        apart.port += SIM_APART;
        bool is_apart = pc_addr_ip_port_equal(&apart, &flight->to);
        if (!is_apart && !pc_addr_ip_port_equal(outside(node), &flight->to))
            continue;
        struct pc_datagram datagram = { .socket = SIM_SOCKET,
                                        .local = is_apart ? apart : node->address,
                                        .remote = flight->from,
                                        .data = flight->data,
                                        .size = flight->size };
        if (node->host)
            pc_libp2p_host_receive(node->host, sim->now, &datagram);
        else if (node->receive)
            node->receive(node->context, sim->now, &datagram);
        drain(sim, i);
    }
    free(flight);
}

/* One thing happens: true, unless the next lies at or after until_us. */
static bool step(struct sim *sim, int64_t until_us)
{
    int64_t next_us = sim->flights ? sim->flights->at_us : PC_TIME_NEVER;
    for (size_t i = 0; i < sim->node_count; i++)
        next_us = pc_base_time_min(next_us, node_deadline(&sim->nodes[i]));
    if (next_us >= until_us)
        return false;
    if (next_us > sim->now.mono_us) {
        sim->now.wall_ms += (next_us - sim->now.mono_us) / 1000;
        sim->now.mono_us = next_us;
    }
    if (sim->flights && sim->flights->at_us <= sim->now.mono_us) {
        deliver(sim);
        return true;
    }
    for (size_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        if (node_deadline(node) > sim->now.mono_us)
            continue;
        if (node->host)
            pc_libp2p_host_expire(node->host, sim->now);
        else if (node->expire)
            node->expire(node->context, sim->now);
        drain(sim, i);
        assert_true(node_deadline(node) > sim->now.mono_us); /* else time would stand still */
    }
    return true;
}

static void drain_all(struct sim *sim)
{
    for (size_t i = 0; i < sim->node_count; i++)
        drain(sim, i);
}

void sim_run(struct sim *sim, int64_t until_us)
{
    drain_all(sim);
    while (step(sim, until_us))
        ;
    sim->now.mono_us = pc_base_time_max(sim->now.mono_us, until_us);
}

struct sim_event *sim_find(struct sim *sim, size_t node, enum pc_libp2p_event_kind kind)
{
    for (size_t i = 0; i < sim->event_count; i++) {
        if (sim->events[i].node == node && sim->events[i].event.kind == kind)
            return &sim->events[i];
    }
    return NULL;
}

struct sim_event *sim_run_until(struct sim *sim, size_t node, enum pc_libp2p_event_kind kind,
                                int64_t until_us)
{
    size_t seen = sim->event_count;
    drain_all(sim);
    do {
        for (; seen < sim->event_count; seen++) {
            if (sim->events[seen].node == node && sim->events[seen].event.kind == kind)
                return &sim->events[seen];
        }
    } while (step(sim, until_us));
    return NULL;
}
