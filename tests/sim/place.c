/*
 * Where machines are: regions with their delays, addresses with their groups, and which addresses are nobody's.
 *
 * IPv4 addresses of machines are A.B.C.D with A from 23 to 62, where A.B is one of 640 groups and low ones are had more
 * often, as big providers are. Dead addresses have A from 84 to 98, and a port that follows from the rest, so that it can be
 * told of any whether the world has given it out.
 */
#include "world.h"

#include <stdlib.h>

#define REGIONS   6
#define GROUPS    640
#define DEAD_FROM 84
#define DEAD_TO   98

/* One way in milliseconds, between western and eastern America, Europe, South America, east Asia, Oceania. */
static const uint16_t one_way_ms[REGIONS][REGIONS] = {
    { 12, 35, 72, 88, 64, 75 },   { 35, 10, 42, 60, 95, 105 },  { 72, 42, 9, 98, 118, 140 },
    { 88, 60, 98, 14, 150, 155 }, { 64, 95, 118, 150, 20, 62 }, { 75, 105, 140, 155, 62, 11 },
};

/* Of so many hundred machines. */
static const uint8_t region_share[REGIONS] = { 18, 22, 34, 6, 15, 5 };

/* What is added to a delay, in 64ths of it: sixteen equally likely steps, the last one a queue somewhere. */
static const uint8_t jitter[16] = { 0, 1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 13, 17, 24, 40, 110 };

#define LOST_ONE_IN  80 /* a packet is lost on the way and sent again */
#define LOST_LEAST   SECONDS(1) / 5
#define LOST_MORE_US 900000

static struct pc_bytes place_key(const struct pc_map_node *n)
{
    const struct place *place = PC_CONST_CONTAINER_OF(n, struct place, node);
    return pc_bytes_of(place->key, place->key_size);
}

static struct pc_bytes link_key(const struct pc_map_node *n)
{
    const struct link_end *end = PC_CONST_CONTAINER_OF(n, struct link_end, by_number);
    return pc_bytes_of(end->key, sizeof(end->key));
}

void place_maps_init(struct world *world)
{
    static const uint8_t secret[16] = { 1 };
    pc_base_map_init(&world->places, place_key, secret);
    pc_base_map_init(&world->links, link_key, secret);
}

void place_maps_free(struct world *world)
{
    for (struct pc_map_node *n = pc_base_map_next(&world->places, NULL), *next; n; n = next) {
        next = pc_base_map_next(&world->places, n);
        free(PC_CONTAINER_OF(n, struct place, node));
    }
    pc_base_map_deinit(&world->places);
    pc_base_map_deinit(&world->links);
}

static uint8_t key_of(const struct pc_ip_port *at, uint8_t ret_key[24])
{
    uint8_t size = at->family == 4 ? 4 : 16;
    memcpy(ret_key, at->ip, size);
    ret_key[size] = (uint8_t)(at->port >> 8);
    ret_key[size + 1] = (uint8_t)at->port;
    return (uint8_t)(size + 2);
}

static struct place *find(const struct world *world, const struct pc_ip_port *at)
{
    uint8_t key[24];
    uint8_t size = key_of(at, key);
    struct pc_map_node *found = pc_base_map_find(&world->places, pc_bytes_of(key, size));
    return found ? PC_CONTAINER_OF(found, struct place, node) : NULL;
}

struct machine *place_find(const struct world *world, const struct pc_ip_port *at, bool *ret_was_used)
{
    const struct place *place = find(world, at);
    *ret_was_used = place != NULL;
    return place ? place->machine : NULL;
}

static uint16_t dead_port(const struct pc_ip_port *at)
{
    return (uint16_t)(2000 + (at->ip[0] * 31 + at->ip[1] * 131 + at->ip[2] * 17 + at->ip[3] * 7) % 40000);
}

bool place_is_known(const struct world *world, const struct pc_ip_port *at)
{
    if (at->family == 4 && at->ip[0] >= DEAD_FROM && at->ip[0] <= DEAD_TO)
        return at->port == dead_port(at);
    return find(world, at) != NULL;
}

void place_dead(struct world *world, struct pc_peer_id *ret_id, struct pc_ip_port *ret_at)
{
    uint64_t number = world->silent_made++;
    uint64_t spread = number * UINT64_C(2654435761) % UINT64_C(4294967296);
    *ret_at = (struct pc_ip_port){ .family = 4 };
    ret_at->ip[0] = (uint8_t)(DEAD_FROM + spread % (DEAD_TO - DEAD_FROM + 1));
    ret_at->ip[1] = (uint8_t)(spread >> 8);
    ret_at->ip[2] = (uint8_t)(spread >> 16);
    ret_at->ip[3] = (uint8_t)(number % 255);
    ret_at->port = dead_port(ret_at);
    place_id_of(UINT64_C(1) << 48 | number, ret_id);
}

void place_id_of(uint64_t number, struct pc_peer_id *ret_id)
{
    static const uint8_t head[] = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 }; /* an Ed25519 key as its own hash */
    uint64_t state = number * UINT64_C(0x9E3779B97F4A7C15) + 1;
    *ret_id = (struct pc_peer_id){ .size = 38 };
    memcpy(ret_id->bytes, head, sizeof(head));
    for (size_t i = 0; i < 32; i++) {
        if (i < 8) { /* the number itself, so that two never are the same */
            ret_id->bytes[6 + i] = (uint8_t)(number >> (8 * i));
            continue;
        }
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ret_id->bytes[6 + i] = (uint8_t)(state >> 24);
    }
}

void place_new_id(struct world *world, struct machine *machine)
{
    (void)world;
    place_id_of((uint64_t)machine->number << 16 | machine->id_count++, &machine->id);
    machine->key = pc_kad_key_of_peer(&machine->id);
}

static void leave(struct world *world, struct machine *machine)
{
    for (size_t i = 0; i < machine->place_count; i++) {
        struct place *place = find(world, &machine->places[i]);
        if (place && place->machine == machine)
            place->machine = NULL;
    }
}

static void settle(struct world *world, struct machine *machine, const struct pc_ip_port *at)
{
    struct place *place = find(world, at);
    if (!place) {
        place = world_alloc(sizeof(*place));
        place->key_size = key_of(at, place->key);
        if (pc_base_map_insert(&world->places, &place->node))
            exit(2);
    }
    place->machine = machine;
}

static uint8_t draw_region(struct world *world)
{
    uint64_t at = world_below(world, 100);
    uint8_t region = 0;
    while (at >= region_share[region])
        at -= region_share[region++];
    return region;
}

/* Few groups for who buys them in bulk; else the lower of two draws. */
static uint64_t draw_group(struct world *world, const struct machine *machine)
{
    if (machine->persona == ATTACKER || machine->persona == FLOODER)
        return 600 + machine->number % 4;
    uint64_t a = world_below(world, 600), b = world_below(world, 600);
    return a < b ? a : b;
}

void place_move(struct world *world, struct machine *machine)
{
    struct pc_ip_port *at = &machine->places[0];
    bool used;
    leave(world, machine);
    if (machine->place_count == 0) {
        machine->region = draw_region(world);
        machine->place_count = machine->persona == HONEST && machine->number % 5 == 4 ? 2 : 1;
    }
    do {
        uint64_t group = draw_group(world, machine);
        *at = (struct pc_ip_port){ .family = 4, .port = 4001 };
        at->ip[0] = (uint8_t)(23 + group % 40);
        at->ip[1] = (uint8_t)(group / 40);
        at->ip[2] = (uint8_t)world_below(world, 256);
        at->ip[3] = (uint8_t)(1 + world_below(world, 254));
        (void)place_find(world, at, &used);
    } while (used && world_below(world, 20) > 0); /* an address is had again by another, now and then */
    settle(world, machine, at);
    pc_addr_from_ip_port(at, &machine->addrs[0]);
    if (machine->place_count < 2)
        return;
    struct pc_ip_port *at6 = &machine->places[1];
    *at6 = (struct pc_ip_port){ .family = 6, .port = 4001, .ip = { 0x2a, 0x01 } };
    at6->ip[2] = at->ip[0];
    at6->ip[3] = at->ip[1];
    for (size_t i = 8; i < 16; i++)
        at6->ip[i] = (uint8_t)world_below(world, 256);
    settle(world, machine, at6);
    pc_addr_from_ip_port(at6, &machine->addrs[1]);
}

int64_t place_delay_us(struct world *world, const struct machine *from, const struct machine *to)
{
    uint64_t lot = pc_base_rng_u64(&world->rng);
    int64_t base_us = (int64_t)one_way_ms[from->region][to->region] * PC_US_PER_MS;
    int64_t us = base_us + base_us * jitter[lot & 15] / 64 + (int64_t)(lot >> 4 & 1023);
    if ((lot >> 16 & 0xffff) * LOST_ONE_IN < 0x10000)
        us += LOST_LEAST + (int64_t)((lot >> 32) % LOST_MORE_US);
    return us;
}
