/*
 * What goes into the hash of a run: all that a node is told, and all that it wants, as numbers. Texts are left out, which are
 * for people, and the contents of identify, which are the machine's own.
 */
#include "world.h"

/* Eight bytes at a time: byte by byte it was a tenth of all that a run took. */
static uint64_t number_of(struct pc_bytes bytes)
{
    uint64_t number = bytes.size;
    size_t at = 0;
    for (; at + 8 <= bytes.size; at += 8)
        number = (number ^ pc_bytes_number(pc_bytes_of(bytes.data + at, 8))) * UINT64_C(0x9E3779B97F4A7C15);
    for (; at < bytes.size; at++)
        number = (number ^ bytes.data[at]) * UINT64_C(0x100000001B3);
    return number ^ number >> 32;
}

static uint64_t number_of_place(const struct pc_ip_port *at)
{
    return number_of(pc_bytes_of(at->ip, sizeof(at->ip))) ^ (uint64_t)at->port << 8 ^ at->family;
}

static void hash_peer(struct world *world, const struct pc_peer_id *id)
{
    world_mix(world, number_of(pc_addr_peer_id_bytes(id)));
}

static void hash_addr(struct world *world, const struct pc_maddr *addr)
{
    world_mix(world, number_of(pc_addr_maddr_bytes(addr)));
}

static void hash_kad_peer(struct world *world, const struct pc_kad_peer *peer)
{
    hash_peer(world, &peer->id);
    for (size_t i = 0; i < peer->addr_count; i++)
        world_mix(world, number_of(peer->addrs[i]));
}

static void hash_history(struct world *world, const struct pc_history *history)
{
    world_mix(world, (uint64_t)history->success_count << 32 | history->failure_count);
    for (size_t i = 0; history->failure_count > 0 && i < PEERCACHE_OUTCOME_COUNT; i++)
        world_mix(world, history->failures[i]);
    world_mix(world, (uint64_t)history->last_seen_ms);
    world_mix(world, (uint64_t)history->last_success_ms);
    world_mix(world, (uint64_t)history->last_attempt_ms);
    world_mix(world, (uint64_t)history->rtt_at_ms);
    world_mix(world, history->rtt_us);
}

static void hash_record(struct world *world, const struct pc_record *record)
{
    hash_peer(world, &record->id);
    world_mix(world, (uint64_t)record->state << 8 | record->addr_count);
    for (size_t i = 0; i < record->addr_count; i++) {
        hash_addr(world, &record->addrs[i].addr);
        hash_history(world, &record->addrs[i].history);
        world_mix(world, (uint64_t)record->addrs[i].source);
        world_mix(world, (uint64_t)record->addrs[i].first_seen_ms);
    }
}

static void hash_delta(struct world *world, const struct pc_delta *delta)
{
    hash_peer(world, &delta->id);
    hash_peer(world, &delta->proven_id);
    hash_addr(world, &delta->addr);
    hash_history(world, &delta->history);
    world_mix(world, (uint64_t)delta->source << 8 | (uint64_t)delta->only_if_known);
    world_mix(world, number_of(pc_bytes_of(delta->source_group.bytes, delta->source_group.size)));
    world_mix(world, (uint64_t)delta->first_seen_ms);
    world_mix(world, (uint64_t)delta->removed_ms);
}

static void hash_wire(struct world *world, const struct pc_libp2p_event *wire)
{
    world_mix(world, (uint64_t)wire->kind << 16 | (uint64_t)wire->probe << 8 | (uint64_t)wire->outcome);
    world_mix(world, wire->connection);
    world_mix(world, wire->request);
    world_mix(world, wire->asked);
    world_mix(world, (uint64_t)wire->rtt_us);
    hash_peer(world, &wire->id);
    world_mix(world, number_of_place(&wire->remote));
    world_mix(world, number_of(wire->key));
    for (size_t i = 0; wire->kad && i < wire->kad->peer_count; i++)
        hash_kad_peer(world, &wire->kad->peers[i]);
}

static void hash_fetched(struct world *world, const struct pc_node_fetched *fetched)
{
    world_mix(world, fetched->number);
    world_mix(world, (uint64_t)fetched->result << 32 | fetched->peer_count);
    world_mix(world, (uint64_t)fetched->clock_ahead_ms);
    for (size_t i = 0; i < fetched->peer_count; i++) {
        hash_peer(world, &fetched->peers[i].id);
        hash_addr(world, &fetched->peers[i].addr);
    }
}

void hash_event(struct machine *machine, const struct pc_node_event *event, peercache_time now)
{
    struct world *world = machine->world;
    world_mix(world, (uint64_t)now.mono_us);
    world_mix(world, (uint64_t)now.wall_ms);
    world_mix(world, (uint64_t)machine->number << 8 | (uint64_t)event->kind);
    switch (event->kind) {
    case PC_NODE_LOADED:
        hash_record(world, event->record);
        break;
    case PC_NODE_WIRE:
        hash_wire(world, event->wire);
        break;
    case PC_NODE_FETCHED:
        hash_fetched(world, event->fetched);
        break;
    case PC_NODE_RESOLVED:
        world_mix(world, event->resolved->number);
        world_mix(world, (uint64_t)event->resolved->outcome);
        for (size_t i = 0; i < event->resolved->ip_count; i++)
            world_mix(world, number_of_place(&event->resolved->ips[i]));
        break;
    case PC_NODE_COMMITTED:
        world_mix(world, (uint64_t)(int64_t)event->result);
        break;
    case PC_NODE_ROUTES:
        world_mix(world, (uint64_t)event->has_ip4 << 1 | (uint64_t)event->has_ip6);
        break;
    case PC_NODE_LISTENING:
        world_mix(world, number_of(event->addr));
        break;
    case PC_NODE_LISTENS:
        for (size_t i = 0; i < event->addr_count; i++)
            hash_addr(world, &event->addrs[i]);
        break;
    case PC_NODE_ENDPOINT:
        world_mix(world, event->endpoint);
        world_mix(world, number_of(event->breaker));
        break;
    case PC_NODE_START:
    case PC_NODE_BANNED:
    case PC_NODE_TIME:
    case PC_NODE_FIND:
    case PC_NODE_SAVE:
    case PC_NODE_RECALL:
    case PC_NODE_STOP:
        break;
    }
}

void hash_action(struct world *world, const struct pc_node_action *action)
{
    world_mix(world, UINT64_C(0xACE0) + (uint64_t)action->kind);
    world_mix(world, action->connection ^ action->request << 20 ^ action->number << 40 ^ action->asked);
    world_mix(world, (uint64_t)action->deadline_us);
    switch (action->kind) {
    case PC_NODE_DIAL:
        hash_peer(world, &action->id);
        world_mix(world, number_of_place(&action->remote));
        break;
    case PC_NODE_FIND_NODE:
        world_mix(world, number_of(action->key));
        break;
    case PC_NODE_ANSWER:
        for (size_t i = 0; i < action->peer_count; i++)
            hash_kad_peer(world, &action->peers[i]);
        break;
    case PC_NODE_COMMIT:
        for (size_t i = 0; i < action->delta_count; i++)
            hash_delta(world, &action->deltas[i]);
        break;
    case PC_NODE_TELL:
        world_mix(world, (uint64_t)action->event.kind << 32 | action->event.count);
        break;
    case PC_NODE_FETCH:
    case PC_NODE_CANCEL_FETCH:
        world_mix(world, action->endpoint);
        break;
    case PC_NODE_KEEP_ENDPOINT:
        world_mix(world, (uint64_t)action->endpoint << 32 | action->count);
        world_mix(world, number_of(pc_bytes_of(action->breaker, sizeof(action->breaker))));
        break;
    case PC_NODE_SAVED:
        world_mix(world, (uint64_t)(int64_t)action->result);
        break;
    case PC_NODE_CLOSE:
    case PC_NODE_PING:
    case PC_NODE_RESOLVE:
    case PC_NODE_CANCEL_RESOLVE:
    case PC_NODE_KEEP_JOIN:
    case PC_NODE_TAKE_IN:
    case PC_NODE_PROBE:
    case PC_NODE_STOPPED:
        break;
    case PC_NODE_DIAL_BACK:
    case PC_NODE_REFUSE_DIAL:
        world_mix(world, (uint64_t)action->status << 32 | action->data_bytes);
        break;
    case PC_NODE_KEEP:
        world_mix(world, action->keep);
        break;
    case PC_NODE_ANNOUNCE:
        world_mix(world, (uint64_t)action->is_server << 32 | action->addr_count);
        for (size_t i = 0; i < action->addr_count; i++)
            hash_addr(world, &action->addrs[i]);
        break;
    }
}
