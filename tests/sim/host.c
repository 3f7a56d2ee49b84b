#include "host.h"

#include "store/store.h"

#include "../disk/drive.h"
#include "../disk/drive_vfs.h"
#include "world.h"

#include <sqlite3.h>
#include <stdlib.h>

#define CHANGES_OF_SQLITE 24 /* a fault strikes at one of the first so many of a call */
#define CHANGES_OF_JSON   6
#define OFF_ONE_IN        3 /* hosts that nobody uses, when somebody starts there: their power went meanwhile */
#define ROOM_LEFT_MAX     40000   /* bytes, on a drive that fills up */
#define PEERS_MAX         1000000 /* in large buckets, out of which little falls: the sums don't know of that */
#define LIES_ONE_IN       1       /* syncs, of a drive with that defect */

struct host {
    struct drive *drive;
    struct disk disk;
    struct books books;
    size_t machines;
    size_t running;
};

/* Records that were read, to be told when the store is no longer at it: who is told may be killed by it. */
struct taken {
    struct pc_record *records;
    size_t count, room;
};

static bool has_fault(const struct world *world, const char *fault)
{
    return world->options.fault && strcmp(world->options.fault, fault) == 0;
}

static bool is_json(const struct world *world)
{
    return world->options.disk == HOST_JSON;
}

static const char *path_of(const struct world *world)
{
    return is_json(world) ? DRIVE_DIRECTORY "/peers.json" : DRIVE_DIRECTORY "/peers.db";
}

void host_begin(void)
{
    drive_vfs_register();
    sqlite3_randomness(
        0, NULL); /* a run repeats, also when it is not the program's first: drawn anew from the drive */
}

struct disk *host_disk(struct host *host)
{
    return &host->disk;
}

static void make_drive(struct machine *machine)
{
    struct host *host = machine->host;
    host->drive = drive_new(pc_base_rng_u64(&machine->world->rng));
    if (has_fault(machine->world, "sync"))
        drive_drop_syncs(host->drive, LIES_ONE_IN);
}

void host_settle(struct machine *machine)
{
    struct world *world = machine->world;
    struct host *last = world->last_host;
    if (last && last->machines < world->options.shared_by) {
        machine->host = last;
        last->machines++;
        return;
    }
    struct host *host = world_alloc(sizeof(*host));
    world->last_host = machine->host = host;
    host->machines = 1;
    disk_init(&host->disk);
    make_drive(machine);
    if (machine->is_watched || world->options.shared_by > 1) {
        host->disk.audit = audit_new();
        books_init(&host->books);
    }
}

void host_free(struct host *host)
{
    if (--host->machines > 0)
        return;
    drive_free(host->drive);
    books_deinit(&host->books);
    disk_deinit(&host->disk);
    free(host);
}

void host_clear(struct machine *machine)
{
    struct host *host = machine->host;
    if (host->machines > 1)
        return;
    disk_clear(&host->disk);
    books_clear(&host->books);
    drive_free(host->drive);
    make_drive(machine);
}

/* ----- calls of a store ----- */

static void enter(struct machine *machine)
{
    struct host *host = machine->host;
    drive_set_time(host->drive, machine_now(machine).wall_ms);
    (void)drive_enter(machine->process);
}

static void leave(struct machine *machine, struct drive_counts before)
{
    struct host *host = machine->host;
    struct figures *figures = &machine->world->figures;
    (void)drive_disarm(host->drive);
    drive_set_capacity(host->drive, 0);
    (void)drive_enter(NULL);
    figures->bytes_written +=
        machine->counts ? drive_counts(host->drive).bytes_written - before.bytes_written : 0;
    figures->syncs += machine->counts ? drive_counts(host->drive).syncs - before.syncs : 0;
}

static unsigned draw_change(struct world *world)
{
    return 1 + (unsigned)world_below(world, is_json(world) ? CHANGES_OF_JSON : CHANGES_OF_SQLITE);
}

/* One of the next changes fails, or there is little room; of all calls one in so many. */
static void plan_fault(struct machine *machine)
{
    static const enum drive_fault faults[] = { DRIVE_EIO_ONCE, DRIVE_EIO, DRIVE_ENOSPC, DRIVE_EINTR,
                                               DRIVE_SHORT };
    struct world *world = machine->world;
    struct drive *drive = machine->host->drive;
    if (!world_one_in(world, world->disk_fails_one_in))
        return;
    uint64_t lot = world_below(world, sizeof(faults) / sizeof(faults[0]) + 1);
    if (lot < sizeof(faults) / sizeof(faults[0]))
        drive_arm(drive, faults[lot], draw_change(world));
    else
        drive_set_capacity(drive, drive_used(drive) + 1 + (size_t)world_below(world, ROOM_LEFT_MAX));
}

static int open_store(struct machine *machine, struct pc_reason *ret_reason)
{
    struct world *world = machine->world;
    struct pc_store_options options = { .network = "sim",
                                        .mode = PC_NETGROUP_PUBLIC,
                                        .timeout_ms = PC_STORE_LOCK_TIMEOUT_MS,
                                        .peers_max = PEERS_MAX,
                                        .now_ms = machine_now(machine).wall_ms };
    pc_base_rng_bytes(&world->rng, options.random, sizeof(options.random));
    int result = pc_store_open(path_of(world), &options, &machine->store, ret_reason);
    if (result == 0 && machine->store->warning.text[0])
        world_fail(world, machine, "the cache is opened with a warning: %s", machine->store->warning.text);
    if (result == PEERCACHE_ECORRUPT || result == PEERCACHE_EFORMAT)
        world_fail(world, machine, "the cache does not open: %s", ret_reason->text);
    return result;
}

/* ----- what is there ----- */

static int take(void *context, const struct pc_record *record)
{
    struct taken *taken = context;
    if (taken->count == taken->room) {
        taken->room = taken->room ? 2 * taken->room : 64;
        taken->records =
            realloc(taken->records, taken->room * sizeof(taken->records[0])); /* NOLINT: ends below */
        if (!taken->records)
            exit(2);
    }
    taken->records[taken->count++] = *record;
    return 0;
}

static int put_on_disk(void *context, const struct pc_record *record)
{
    disk_put(context, record);
    return 0;
}

static void read_back(struct machine *machine, struct pc_store *store)
{
    static const struct pc_store_query all = { .kind = PC_STORE_ALL };
    struct host *host = machine->host;
    disk_empty(&host->disk);
    if (pc_store_query(store, &all, put_on_disk, &host->disk))
        world_fail(machine->world, machine, "the cache can't be read: %s", store->error.text);
    else if (store->warning.text[0])
        world_fail(machine->world, machine, "the cache was found damaged: %s", store->warning.text);
}

/* By somebody who opens a copy of the drive: nobody who lives is disturbed, and what a kill or the loss of power left must be a
 * cache that opens. */
static void read_copy(struct machine *machine)
{
    struct world *world = machine->world;
    struct drive *copy = drive_copy(machine->host->drive);
    struct drive_process *process = drive_process_begin(copy);
    struct pc_store *store = NULL;
    struct pc_reason reason = { "" };
    struct pc_store_options options = { .network = "sim", .mode = PC_NETGROUP_PUBLIC, .random = { 1 } };
    (void)drive_enter(process);
    if (pc_store_open(path_of(world), &options, &store, &reason)) {
        world_fail(world, machine, "the cache does not open: %s", reason.text);
    } else {
        read_back(machine, store);
        if (!world->failed && pc_store_check(store))
            world_fail(world, machine, "the cache is not whole: %s", store->error.text);
    }
    pc_store_close(store);
    drive_process_end(process);
    drive_free(copy);
}

void host_look(struct machine *machine)
{
    if (!machine->store || !machine->host->disk.audit)
        return;
    enter(machine);
    struct drive_counts before = drive_counts(machine->host->drive);
    read_back(machine, machine->store);
    leave(machine, before);
}

/* The power goes, in the midst of a commit or (NULL) of none. */
static void lose_power(struct machine *machine, const struct errand *open)
{
    struct host *host = machine->host;
    const char *wrong = NULL;
    drive_lose_power(host->drive);
    if (!host->disk.audit || machine->world->failed)
        return;
    read_copy(machine);
    if (!machine->world->failed)
        wrong = books_power_went(&host->books, &host->disk, open ? open->deltas : NULL,
                                 open ? open->delta_count : 0, open ? open->now_ms : 0);
    if (wrong)
        world_fail(machine->world, machine, "the power went: %s", wrong);
}

/* ----- a process ----- */

size_t host_start(struct machine *machine)
{
    struct pc_reason reason = { "" };
    uint64_t counts[PEERCACHE_STATE_COUNT] = { 0 };
    if (machine->host->running++ == 0 && world_one_in(machine->world, OFF_ONE_IN))
        lose_power(machine, NULL);
    machine->process = drive_process_begin(machine->host->drive);
    machine->found_sequence = 0;
    struct drive_counts before = drive_counts(machine->host->drive);
    enter(machine);
    plan_fault(machine);
    if (open_store(machine, &reason) == 0 && pc_store_count(machine->store, counts))
        counts[PEERCACHE_NEW] = counts[PEERCACHE_TRIED] = 0;
    leave(machine, before);
    return (size_t)(counts[PEERCACHE_NEW] + counts[PEERCACHE_TRIED]);
}

/* Read and tell. Whether the store has more than that. */
static bool tell(struct machine *machine, const struct pc_store_query *query, size_t *ret_count)
{
    struct taken taken = { 0 };
    bool has_more = false;
    *ret_count = 0;
    if (!machine->store)
        return false;
    struct drive_counts before = drive_counts(machine->host->drive);
    enter(machine);
    if (pc_store_query(machine->store, query, take, &taken))
        world_fail(machine->world, machine, "the cache can't be read: %s", machine->store->error.text);
    has_more = machine->store->has_more;
    leave(machine, before);
    for (size_t i = 0; i < taken.count; i++)
        machine_step(machine, &(struct pc_node_event){ .kind = PC_NODE_LOADED, .record = &taken.records[i] });
    *ret_count = taken.count;
    free(taken.records);
    return has_more;
}

bool host_had_no_power(const struct machine *machine)
{
    return machine->process && drive_process_is_dead(machine->process);
}

bool host_load(struct machine *machine)
{
    size_t count;
    return tell(machine, &(struct pc_store_query){ .kind = PC_STORE_BEST, .count = WORLD_LOAD_MAX }, &count);
}

void host_take_in(struct machine *machine)
{
    struct world *world = machine->world;
    size_t count = 0;
    uint32_t life = machine->life_count;
    (void)tell(machine, &(struct pc_store_query){ .kind = PC_STORE_CHANGED }, &count);
    if (count == 0 || life != machine->life_count)
        return;
    world->figures.taken_in += machine->counts ? count : 0;
    trace_add(&world->trace, &(struct trace_line){ .at_us = world->now_us,
                                                   .kind = TRACE_TAKE_IN,
                                                   .a = machine->number,
                                                   .b = TRACE_NOBODY,
                                                   .n = (int64_t)count });
}

/* After a commit, of whom is watched: what does the disk hold? */
static bool account(struct machine *machine, const struct errand *errand, bool is_acknowledged)
{
    struct host *host = machine->host;
    bool is_there = is_acknowledged;
    if (errand->sequence <= machine->found_sequence) /* it was there when it failed, and is not there twice */
        return false;
    if (host->disk.audit) {
        const char *wrong = books_committed(&host->books, &host->disk, errand->deltas, errand->delta_count,
                                            errand->now_ms, is_acknowledged, &is_there);
        if (wrong)
            world_fail(machine->world, machine, "%s", wrong);
    }
    if (is_there)
        machine->found_sequence = errand->sequence;
    return is_there;
}

/* Somebody else has the lock, for longer than anybody waits. */
static struct drive_handle *hold_lock(struct machine *machine, struct drive_process **ret_holder)
{
    struct drive_handle *handle = NULL;
    *ret_holder = drive_process_begin(machine->host->drive);
    const char *name = is_json(machine->world) ? "peers.json.lock" : "peers.db.lock";
    if (drive_open(*ret_holder, name, DRIVE_CREATE, 0600, &handle) || drive_flock(handle, DRIVE_EXCLUSIVE))
        abort();
    return handle;
}

static int commit_now(struct machine *machine, const struct errand *errand, struct pc_reason *ret_reason)
{
    int result = machine->store ? 0 : open_store(machine, ret_reason);
    if (result)
        return result;
    if (has_fault(machine->world, "lose") && world_one_in(machine->world, 5))
        return 0; /* acknowledged, and not written */
    result = pc_store_commit(machine->store, errand->sequence, errand->deltas, errand->delta_count,
                             errand->now_ms, PC_STORE_LOCK_TIMEOUT_MS);
    if (result)
        *ret_reason = machine->store->error;
    return result;
}

int host_commit(struct machine *machine, const struct errand *errand, const char **ret_text, bool *ret_is_new)
{
    static struct pc_reason reason;
    struct world *world = machine->world;
    struct host *host = machine->host;
    struct drive_process *holder = NULL;
    struct drive_handle *held = NULL;
    struct drive_counts before = drive_counts(host->drive);
    if (world->disk_fails_one_in && world_one_in(world, 10 * (uint64_t)world->disk_fails_one_in))
        held = hold_lock(machine, &holder);
    reason.text[0] = '\0';
    enter(machine);
    plan_fault(machine);
    int result = commit_now(machine, errand, &reason);
    leave(machine, before);
    if (held)
        drive_close(held);
    drive_process_end(holder);
    if (result == 0 && held)
        world_fail(world, machine, "a commit does not wait for the lock");
    host_look(machine);
    *ret_is_new = !world->failed && account(machine, errand, result == 0);
    if (result == 0 && is_json(world) && host->disk.audit)
        books_settle(&host->books);
    *ret_text = reason.text;
    return result;
}

/* ----- its end ----- */

static void close_store(struct machine *machine)
{
    (void)drive_enter(machine->process);
    pc_store_close(machine->store);
    machine->store = NULL;
    drive_process_end(machine->process); /* nobody has entered any more */
    machine->process = NULL;
    machine->host->running--;
}

void host_stop(struct machine *machine)
{
    struct host *host = machine->host;
    struct drive_counts before = drive_counts(host->drive);
    bool was_open = machine->store != NULL;
    enter(machine);
    plan_fault(machine);
    close_store(machine);
    leave(machine, before);
    if (was_open && host->disk.audit && drive_counts(host->drive).failures == before.failures)
        books_settle(&host->books);
}

void host_abandon(struct machine *machine)
{
    if (!machine->process)
        return;
    drive_process_kill(machine->process);
    close_store(machine);
}

/* It dies in the midst of its commit, or the host does, or just after it. */
static void commit_to_the_end(struct machine *machine, const struct errand *errand, bool has_power)
{
    struct pc_reason reason = { "" };
    struct host *host = machine->host;
    struct drive_counts before = drive_counts(host->drive);
    enum drive_fault fault = !has_power                        ? DRIVE_POWER
                             : world_one_in(machine->world, 2) ? DRIVE_KILL
                                                               : DRIVE_KILL_HALF;
    drive_arm(host->drive, fault, draw_change(machine->world));
    enter(machine);
    (void)commit_now(machine, errand, &reason); /* nobody is told */
    leave(machine, before);
}

bool host_kill(struct machine *machine, const struct errand *under_way)
{
    struct host *host = machine->host;
    struct world *world = machine->world;
    bool has_power = world_one_in(world, 2);
    const struct errand *open = under_way && world_one_in(world, 2) ? under_way : NULL;
    if (open)
        commit_to_the_end(machine, open, has_power);
    bool is_power_gone = !has_power && drive_process_is_dead(machine->process);
    drive_process_kill(machine->process);
    close_store(machine);
    if (open && open->sequence <= machine->found_sequence)
        open = NULL; /* it was there before */
    if (!is_power_gone && host->disk.audit && !world->failed) {
        read_copy(machine);
        if (open && !world->failed)
            (void)account(machine, open, false);
        open = NULL;
    }
    if (!has_power)
        lose_power(machine, open);
    return !has_power;
}
