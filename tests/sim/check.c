/*
 * What must hold at every step, of whom is watched; and of all now and then.
 *
 * - no acknowledged count is lost or doubled: disk.h, at each commit and when a process ends
 * - tried is never displaced by new: where a step only told of peers, no tried one is gone
 * - limits are kept: actions, dials at once, members of one group in the table, what is remembered
 * - no timer and no deadline is in the past
 * - who is alone, though there is a way into the network, is not alone for long
 * - a lookup ends
 * - nothing is read that was not written: what a process dials, the world has given out
 *
 * It looks into the node's rooms, which nobody else outside may.
 */
#include "cache/set_internal.h"
#include "node/internal.h"

#include "world.h"

#define WALK_MOST_US    ((1 + PC_KAD_REFRESH_BUCKETS) * PC_NODE_WALK_MAX_US + SECONDS(5))
#define DIALS_MOST      (PC_JOIN_DIALS_MAX + PC_NODE_PROBES_MAX + 2 * PC_KAD_ALPHA)
#define CONNECTIONS_MAX 1000
#define REQUESTS_MAX    2000
#define PENDING_MOST    40000
/* Rounds of a join are at most 300 s apart, an eighth more or less, and endpoints wait an hour and an eighth at most. */
#define ALONE_CACHE_US    MINUTES(25)
#define ALONE_ENDPOINT_US MINUTES(80)

void check_disturbed(struct world *world)
{
    for (size_t i = 0; i < world->machine_count; i++)
        world->machines[i]->disturbed_us = world->now_us;
}

/* ----- every step ----- */

static size_t tried_count(const struct machine *machine)
{
    return machine->node->set->tables[PEERCACHE_TRIED].count;
}

void check_before(struct machine *machine, const struct pc_node_event *event)
{
    (void)event;
    machine->tried_before = tried_count(machine);
    machine->table_before = pc_kad_table_count(machine->node->table);
}

/* Whether the event can do no more than tell of peers. */
static bool only_tells(const struct pc_node_event *event)
{
    switch (event->kind) {
    case PC_NODE_WIRE:
        return event->wire->kind == PC_LIBP2P_ANSWERED || event->wire->kind == PC_LIBP2P_ASKED;
    case PC_NODE_COMMITTED:
    case PC_NODE_LISTENING:
        return true;
    case PC_NODE_START:
    case PC_NODE_LOADED:
    case PC_NODE_BANNED:
    case PC_NODE_ENDPOINT:
    case PC_NODE_ROUTES:
    case PC_NODE_FETCHED: /* what was held back counts then, and who failed may give way */
    case PC_NODE_RESOLVED:
    case PC_NODE_TIME:
    case PC_NODE_FIND:
    case PC_NODE_SAVE:
    case PC_NODE_RECALL:
    case PC_NODE_LISTENS:
    case PC_NODE_STOP:
        break;
    }
    return false;
}

static void check_memory(struct machine *machine)
{
    const struct pc_node *node = machine->node;
    struct world *world = machine->world;
    if (node->connections.count > CONNECTIONS_MAX || node->requests.count > REQUESTS_MAX)
        world_fail(world, machine, "%zu connections and %zu requests are kept", node->connections.count,
                   node->requests.count);
    if (pc_cache_set_count(node->set) > world->working_set_max)
        world_fail(world, machine, "the working set holds %zu peers", pc_cache_set_count(node->set));
    if (pc_cache_set_pending(node->set) > PENDING_MOST || node->set->held_count > PC_CACHE_HELD_MAX)
        world_fail(world, machine, "%zu changes are pending", pc_cache_set_pending(node->set));
    if (node->failed_dials.count > PC_NODE_REPORT_MAX || node->verified_dials.count > PC_NODE_REPORT_MAX)
        world_fail(world, machine, "a report grows without end");
}

static void check_limits(struct machine *machine)
{
    const struct pc_node *node = machine->node;
    if (node->join_dial_count > PC_JOIN_DIALS_MAX || node->probe_count > PC_NODE_PROBES_MAX)
        world_fail(machine->world, machine, "%zu dials of a join and %zu probes at once",
                   node->join_dial_count, node->probe_count);
}

/* At most so many of one group in the table and in a bucket. Quadratic in the table, which is small. */
static void check_groups(struct machine *machine)
{
    const struct pc_kad_table *table = machine->node->table;
    for (const struct pc_kad_entry *a = pc_kad_table_next(table, NULL); a; a = pc_kad_table_next(table, a)) {
        size_t in_table = 0, in_bucket = 0;
        unsigned bucket = pc_kad_key_common_prefix(&machine->key, &a->key);
        for (const struct pc_kad_entry *b = pc_kad_table_next(table, NULL); b;
             b = pc_kad_table_next(table, b)) {
            if (!pc_addr_netgroup_equal(&a->group, &b->group))
                continue;
            in_table++;
            in_bucket += pc_kad_key_common_prefix(&machine->key, &b->key) == bucket;
        }
        if (in_table > PC_KAD_TABLE_GROUP_MAX || in_bucket > PC_KAD_BUCKET_GROUP_MAX)
            world_fail(machine->world, machine, "%zu of one group in the table, %zu in a bucket", in_table,
                       in_bucket);
    }
}

static void check_walk(struct machine *machine)
{
    const struct pc_node *node = machine->node;
    int64_t now_us = machine->world->now_us;
    if (node->phase != PHASE_WALKING) {
        machine->walking_since_us = PC_TIME_NEVER;
        return;
    }
    if (machine->walking_since_us == PC_TIME_NEVER)
        machine->walking_since_us = now_us;
    if (now_us - machine->walking_since_us > WALK_MOST_US)
        world_fail(machine->world, machine, "a walk does not end");
    if (node->lookup && !node->unfinished && machine->clock.mono_us >= node->walk_deadline_us)
        world_fail(machine->world, machine, "a lookup is over its time");
}

static void check_actions(struct machine *machine, const struct pc_node_action *actions, size_t count)
{
    size_t tells = 0;
    bool stopped = false;
    for (size_t i = 0; i < count; i++) {
        bool timed = actions[i].kind == PC_NODE_DIAL || actions[i].kind == PC_NODE_PING ||
                     actions[i].kind == PC_NODE_FIND_NODE || actions[i].kind == PC_NODE_FETCH ||
                     actions[i].kind == PC_NODE_RESOLVE;
        if (timed && actions[i].deadline_us < machine->clock.mono_us)
            world_fail(machine->world, machine, "a deadline is in the past");
        if (stopped)
            world_fail(machine->world, machine, "it acts after it has stopped");
        tells += actions[i].kind == PC_NODE_TELL && (actions[i].event.dial || actions[i].event.addr);
        stopped = actions[i].kind == PC_NODE_STOPPED;
    }
    if (count > PC_NODE_ACTIONS_MAX || tells > PC_NODE_TELLS_MAX)
        world_fail(machine->world, machine, "%zu actions, %zu of them tell", count, tells);
}

void check_after(struct machine *machine, const struct pc_node_event *event,
                 const struct pc_node_action *actions, size_t count)
{
    bool is_alone = pc_kad_table_count(machine->node->table) == 0;
    if (!is_alone)
        machine->alone_since_us = PC_TIME_NEVER;
    else if (machine->alone_since_us == PC_TIME_NEVER)
        machine->alone_since_us = machine->world->now_us;
    if (only_tells(event) && tried_count(machine) < machine->tried_before)
        world_fail(machine->world, machine, "a tried peer gave way to what was only heard of");
    check_actions(machine, actions, count);
    check_walk(machine);
    check_limits(machine);
    check_memory(machine);
    if (machine->is_watched && pc_kad_table_count(machine->node->table) > machine->table_before)
        check_groups(machine);
}

void check_dial(struct machine *machine, const struct pc_node_action *action)
{
    struct world *world = machine->world;
    if (machine->dialling >= DIALS_MOST)
        world_fail(world, machine, "%zu dials at once", machine->dialling + 1);
    if (!place_is_known(world, &action->remote))
        world_fail(world, machine, "it dials an address that nobody ever had");
    if (machine->disk->audit && action->id.size > 0)
        audit_line(machine->disk->audit, &action->id, &action->remote)->true_dials++;
}

/* ----- now and then ----- */

static bool could_dial(const struct machine *machine, const struct pc_record *record)
{
    const struct world *world = machine->world;
    for (size_t i = 0; i < record->addr_count; i++) {
        struct pc_ip_port at;
        bool used;
        if (pc_addr_classify(pc_addr_maddr_bytes(&record->addrs[i].addr), &at) != PC_ADDR_QUIC_V1 ||
            at.family != 4)
            continue;
        const struct machine *there = place_find(world, &at, &used);
        if (there && there != machine && machine_answers(there) &&
            pc_addr_peer_id_equal(&there->id, &record->id) && net_passes(world, machine, there) &&
            net_passes(world, there, machine) &&
            (there->persona == MODEL || there->alone_since_us == PC_TIME_NEVER))
            return true;
    }
    return false;
}

static bool knows_somebody(const struct machine *machine)
{
    struct pc_cache_set *set = machine->node->set;
    for (const struct pc_record *record = pc_cache_set_next(set, NULL); record;
         record = pc_cache_set_next(set, record))
        if (could_dial(machine, record))
            return true;
    return false;
}

static bool has_an_endpoint(const struct machine *machine)
{
    const struct world *world = machine->world;
    bool serves = false, somebody = false;
    for (size_t i = 0; machine->uses_endpoints && i < world->endpoint_count; i++)
        serves |= world->endpoints[i].habit == ENDPOINT_WELL;
    for (size_t i = 0; serves && !somebody && i < world->machine_count; i++) {
        const struct machine *there = world->machines[i];
        somebody = there != machine && machine_answers(there) &&
                   (there->persona == HONEST || there->persona == MODEL) &&
                   net_passes(world, machine, there) && net_passes(world, there, machine);
    }
    return somebody;
}

static void check_joined(struct machine *machine)
{
    struct world *world = machine->world;
    if (machine->alone_since_us == PC_TIME_NEVER)
        return;
    int64_t alone_us = world->now_us - pc_base_time_max(machine->alone_since_us, machine->disturbed_us);
    if ((alone_us > ALONE_CACHE_US && knows_somebody(machine)) ||
        (alone_us > ALONE_ENDPOINT_US && has_an_endpoint(machine)))
        world_fail(world, machine, "alone for %d minutes, though there is a way in",
                   (int)(alone_us / MINUTES(1)));
}

static void check_disk(struct machine *machine)
{
    if (!machine->disk->audit)
        return;
    if (machine->host)
        host_look(machine);
    const char *wrong = audit_compare_all(machine->disk->audit, machine->disk);
    if (wrong)
        world_fail(machine->world, machine, "%s", wrong);
}

void check_all(struct world *world)
{
    for (size_t i = 0; i < world->machine_count; i++) {
        struct machine *machine = world->machines[i];
        if (!machine_runs(machine))
            continue;
        check_joined(machine);
        check_groups(machine);
        check_disk(machine);
    }
}

/* Another process removed it since this one began, which has not heard, or could not heed it: what is read while nobody knows whether
 * the last batch is on the disk is left aside. The clock of one that stands still, for the host's was set back, dates what it sees
 * after that. */
static bool is_removed(const struct machine *machine, const struct pc_record *record, size_t at)
{
    struct pc_ip_port place;
    if (!machine->host ||
        pc_addr_classify(pc_addr_maddr_bytes(&record->addrs[at].addr), &place) != PC_ADDR_QUIC_V1)
        return false;
    int64_t removed_ms = audit_line(machine->disk->audit, &record->id, &place)->removed_ms;
    int64_t age_ms = (machine->world->now_us - machine->started_us) / 1000;
    return removed_ms > 0 && (removed_ms >= machine_wall_ms(machine) - age_ms ||
                              machine->clock.wall_ms > machine_wall_ms(machine));
}

static void check_kept_peer(struct machine *machine, const struct pc_record *record)
{
    struct pc_record kept;
    bool is_there = disk_find(machine->disk, &record->id, &kept);
    for (size_t i = 0; i < record->addr_count; i++) {
        const struct pc_record_addr *known = &record->addrs[i];
        const struct pc_record_addr *addr =
            is_there ? pc_cache_record_find(&kept, pc_addr_maddr_bytes(&known->addr)) : NULL;
        uint32_t count = addr ? addr->history.success_count : 0;
        if (count < known->history.success_count && !is_removed(machine, record, i) &&
            !(is_there && kept.addr_count == PEERCACHE_ADDRS_PER_PEER))
            world_fail(machine->world, machine,
                       "%u successes of an address are known, and %u are on the disk",
                       known->history.success_count, count);
    }
}

/* All that it knows is on its disk. */
static void check_kept(struct machine *machine)
{
    struct pc_cache_set *set = machine->node->set;
    if (pc_cache_set_pending(set) > 0)
        world_fail(machine->world, machine, "%zu changes are not saved", pc_cache_set_pending(set));
    if (!machine->is_watched)
        return;
    for (const struct pc_record *record = pc_cache_set_next(set, NULL); record;
         record = pc_cache_set_next(set, record))
        if (record->id.size > 0 && record->state == PEERCACHE_TRIED)
            check_kept_peer(machine, record);
}

void check_stopped(struct machine *machine)
{
    check_disk(machine);
    if (machine->keeps_cache && !machine->node->commit_failed)
        check_kept(machine);
}

void check_saved(struct machine *machine, int result)
{
    check_disk(machine);
    if (result == 0)
        check_kept(machine);
}
