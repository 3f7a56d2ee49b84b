/*
 * Those who have no node: models of honest servers, attackers, a flooder, and addresses at which something is wrong. They
 * answer from the world's own knowledge, which no real peer has.
 */
#include "libp2p/protocol.h"

#include "world.h"

#define TOLD_MAX      PC_KAD_K
#define MEET_EVERY_US SECONDS(20)

static void tell(struct pc_kad_peer *peers, size_t *count, const struct pc_peer_id *id,
                 const struct pc_maddr *addr)
{
    struct pc_kad_peer *peer = &peers[(*count)++];
    peer->id = *id;
    peer->addr_count = 1;
    peer->addrs[0] = pc_addr_maddr_bytes(addr);
}

/* Some of those that live and are of a kind; nearest ones would need all keys, and chance serves as well. */
static size_t some(struct world *world, enum persona persona, const struct machine *except,
                   struct pc_kad_peer *peers, size_t most)
{
    size_t count = 0;
    for (size_t tries = 0; tries < 4 * most && count < most; tries++) {
        const struct machine *machine = world->machines[world_below(world, world->machine_count)];
        bool told = machine == except || machine->persona != persona || !machine_answers(machine);
        for (size_t i = 0; i < count && !told; i++)
            told = pc_addr_peer_id_equal(&peers[i].id, &machine->id);
        if (!told)
            tell(peers, &count, &machine->id, &machine->addrs[0]);
    }
    return count;
}

/* Of a model: the closest to the key of those that live, as a server with a good table would. */
static size_t closest(struct world *world, const struct machine *except, struct pc_bytes key,
                      struct pc_kad_peer *peers)
{
    const struct machine *best[TOLD_MAX];
    struct pc_kad_key keys[TOLD_MAX];
    struct pc_kad_key target = pc_kad_key_of(key);
    size_t count = 0;
    for (size_t i = 0; i < world->machine_count; i++) {
        const struct machine *machine = world->machines[i];
        if (machine == except || machine->persona != MODEL || !machine->is_up || machine->is_hidden)
            continue;
        size_t at = count;
        while (at > 0 && pc_kad_key_compare(&target, &machine->key, &keys[at - 1]) < 0)
            at--;
        if (at == TOLD_MAX)
            continue;
        size_t moved = (count < TOLD_MAX ? count : TOLD_MAX - 1) - at;
        memmove(&keys[at + 1], &keys[at], moved * sizeof(keys[0]));
        memmove(&best[at + 1], &best[at], moved * sizeof(best[0]));
        keys[at] = machine->key;
        best[at] = machine;
        count += count < TOLD_MAX;
    }
    size_t told = 0;
    for (size_t i = 0; i < count; i++)
        tell(peers, &told, &best[i]->id, &best[i]->addrs[0]);
    return told;
}

static size_t flood(struct world *world, struct pc_kad_peer *peers, struct pc_maddr *addrs)
{
    size_t count = 0;
    while (count < TOLD_MAX) {
        struct pc_ip_port at;
        struct pc_peer_id id;
        place_dead(world, &id, &at);
        pc_addr_from_ip_port(&at, &addrs[count]);
        tell(peers, &count, &id, &addrs[count]);
    }
    return count;
}

void puppet_answer(struct machine *puppet, struct question *request)
{
    struct world *world = puppet->world;
    static struct pc_kad_peer peers[TOLD_MAX];
    struct pc_maddr addrs[TOLD_MAX];
    size_t count = 0;
    if (request->kind != QUESTION_FIND)
        return;
    switch (puppet->persona) {
    case MODEL:
        count = closest(world, puppet, request->key, peers);
        break;
    case ATTACKER:
        count = some(world, ATTACKER, puppet, peers, TOLD_MAX);
        break;
    case FLOODER:
        count = flood(world, peers, addrs);
        break;
    case HONEST:
    case SILENT:
    case IMPOSTOR:
    case FOREIGN:
    case MUTE:
        break;
    }
    net_answer_peers(request, peers, count);
}

void puppet_identify(const struct machine *puppet, struct pc_identify *ret_identify)
{
    static const char kad[] = WORLD_KAD, other[] = "/other/kad/1.0.0", dial[] = PC_PROTOCOL_DIAL;
    ret_identify->protocols[ret_identify->protocol_count++] = puppet->persona == FOREIGN
                                                                  ? pc_bytes_of(other, sizeof(other) - 1)
                                                                  : pc_bytes_of(kad, sizeof(kad) - 1);
    if (puppet->world->tells_observed && puppet->persona == ATTACKER) /* and lies of it: reach.c */
        ret_identify->protocols[ret_identify->protocol_count++] = pc_bytes_of(dial, sizeof(dial) - 1);
    ret_identify->addrs[ret_identify->addr_count++] = pc_addr_maddr_bytes(&puppet->addrs[0]);
}

/* Attackers and flooders come to others by themselves, to be known. */
void puppet_meet(struct machine *puppet)
{
    struct world *world = puppet->world;
    struct machine *whom = world->machines[world_below(world, world->machine_count)];
    if (whom->persona == HONEST)
        net_meet(puppet, whom);
    life_plan(puppet, LIFE_MEET, world->now_us + MEET_EVERY_US + (int64_t)world_below(world, MEET_EVERY_US));
}
