/*
 * A network of many nodes of ours on one machine: real sockets on loopback, real QUIC, the driver's own loop, several
 * nodes a process. Measured: until all have joined, until every routing table holds its true neighbours (the k = 20 that
 * are closest to its own id of all nodes there are), and what that takes in processor time and memory.
 *
 *   swarm [--nodes N] [--processes N] [--joining N] [--limit SECONDS] [--hold SECONDS] [--quiet]
 *
 * The nodes are made first, so that all ids are known and truth can be computed; then each process starts its nodes in
 * turn, at most so many `joining` at once. The first few are the way in of all others, who know nothing else. With
 * --hold the network stays for so long after that, and the ways in are printed as `bootstrap MULTIADDR`, for whoever
 * wants to crawl it or to join it.
 *
 * What several processes count together is in memory that they share.
 */
#include "base/time.h"
#include "driver/loop.h"
#include "kad/table.h"

#include <peercache/node.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#define KAD_PROTOCOL  "/swarm/kad/1.0.0"
#define NODES_MAX     10000
#define PROCESSES_MAX 64
#define WAYS_IN       10 /* nodes that the others are told of, */
#define TOLD          5  /* each of so many */
/* Marks of each node's pool: of 1,000 nodes at most some 10 GB. With fewer a refresh dials again whom it had just let go. */
#define CONNECTIONS_LOW  128
#define CONNECTIONS_HIGH 160
#define IDLE_MS          600000

#define LOOK_EVERY_MS    250 /* at all tables */

struct arguments {
    size_t nodes;
    size_t processes;
    size_t joining; /* at once, in one process */
    int64_t limit_s;
    int64_t hold_s;
    bool quiet;
};

/* One node, as all processes see it. */
struct seat {
    struct pc_peer_id id;
    struct pc_kad_key key;
    char addr[PEERCACHE_ADDR_TEXT_BYTES];
};

/* What a process counts of its own nodes. */
struct tally {
    atomic_size_t joined;
    atomic_size_t held;  /* true neighbours in tables */
    atomic_size_t exact; /* tables that hold all of theirs */
    atomic_size_t members;
    atomic_size_t connections;
};

struct shared {
    pthread_barrier_t barrier;
    atomic_bool stop;
    struct tally tallies[PROCESSES_MAX];
    struct seat seats[];
};

struct member {
    struct worker *worker;
    peercache_node *node;
    size_t seat;
    bool joined;
    uint16_t neighbours[PC_KAD_K]; /* seats of the true ones */
};

struct worker {
    struct shared *shared;
    const struct arguments *arguments;
    size_t number;
    uv_loop_t loop;
    uv_timer_t look;
    struct member *members;
    size_t count;
    size_t started;
    size_t joining;
    size_t stopped;
};

_Noreturn static void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "swarm: %s: %s\n", what, why);
    exit(1);
}

static void require(bool held, const char *what)
{
    if (!held)
        die(what, strerror(errno));
}

static int64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * PC_US_PER_S + now.tv_nsec / 1000;
}

/* ---- one process of nodes ------------------------------------------------------------------------------ */

static void start_more(struct worker *worker);

static void on_event(void *context, const peercache_node_event *event)
{
    struct member *member = context;
    struct worker *worker = member->worker;
    if (event->kind == PEERCACHE_NODE_JOIN_DONE) {
        bool joined = event->report->status != PEERCACHE_FAILED;
        if (joined && !member->joined) {
            member->joined = true;
            worker->joining--;
            worker->shared->tallies[worker->number].joined++;
        }
    } else if (event->kind == PEERCACHE_NODE_LISTENING) {
        struct seat *seat = &worker->shared->seats[member->seat];
        (void)snprintf(seat->addr, sizeof(seat->addr), "%s", event->addr);
    } else if (event->kind == PEERCACHE_NODE_STOPPED) {
        worker->stopped++;
    }
}

/* The ways in are told of the first of them, all others of some of the ways in. */
static void make_member(struct worker *worker, struct member *member)
{
    struct shared *shared = worker->shared;
    peercache_node_options *options = peercache_node_options_new();
    require(options != NULL, "options");
    peercache_node_options_set_mode(options, PEERCACHE_MODE_SERVER);
    peercache_node_options_set_local(options, true);
    int result = peercache_node_options_set_network(options, "swarm");
    if (result == 0)
        result = peercache_node_options_set_kad_protocol(options, KAD_PROTOCOL);
    if (result == 0)
        result = peercache_node_options_set_connections(options, CONNECTIONS_LOW, CONNECTIONS_HIGH);
    if (result == 0)
        result = peercache_node_options_set_connection_idle(options, IDLE_MS);
    if (result == 0 && member->seat > 0)
        result = peercache_node_options_set_target(options, member->seat < WAYS_IN ? 1 : TOLD, 1);
    if (result == 0 && member->seat > 0 && member->seat < WAYS_IN)
        result = peercache_node_options_add_peer(options, shared->seats[0].addr);
    for (size_t i = 0; member->seat >= WAYS_IN && i < TOLD && result == 0; i++)
        result = peercache_node_options_add_peer(options, shared->seats[(member->seat + i) % WAYS_IN].addr);
    if (result != 0)
        die("options", peercache_node_options_errmsg(options));
    if (peercache_node_new(options, &member->node) != 0)
        die("a node", member->node ? peercache_node_errmsg(member->node) : "out of memory");
    peercache_node_options_free(options);
    peercache_node_on_event(member->node, on_event, member);
    struct seat *seat = &shared->seats[member->seat];
    struct pc_maddr addr;
    seat->id = *pc_libp2p_identity_id(member->node->identity);
    seat->key = pc_kad_key_of_peer(&seat->id);
    pc_addr_from_ip_port(&member->node->listening[0], &addr);
    require(pc_addr_format_with_id(pc_addr_maddr_bytes(&addr), &seat->id, seat->addr, sizeof(seat->addr)) ==
                0,
            "an address");
}

/* Those of the range that are this process's: seats are dealt in turn. */
static void make_members(struct worker *worker, size_t from, size_t to)
{
    for (size_t i = from; i < to && i < worker->arguments->nodes; i++) {
        if (i % worker->arguments->processes != worker->number)
            continue;
        struct member *member = &worker->members[worker->count++];
        *member = (struct member){ .worker = worker, .seat = i };
        make_member(worker, member);
    }
    (void)pthread_barrier_wait(&worker->shared->barrier);
}

/* The k seats closest to that of the member, nearest first. */
static void find_truth(const struct worker *worker, struct member *member)
{
    const struct seat *seats = worker->shared->seats;
    const struct pc_kad_key *own = &seats[member->seat].key;
    size_t count = 0;
    for (size_t i = 0; i < worker->arguments->nodes; i++) {
        if (i == member->seat)
            continue;
        size_t at = count < PC_KAD_K ? count++ : PC_KAD_K;
        for (; at > 0 && pc_kad_key_compare(own, &seats[i].key, &seats[member->neighbours[at - 1]].key) < 0;
             at--)
            if (at < PC_KAD_K)
                member->neighbours[at] = member->neighbours[at - 1];
        if (at < PC_KAD_K)
            member->neighbours[at] = (uint16_t)i;
    }
}

static size_t true_neighbours(const struct worker *worker)
{
    size_t others = worker->arguments->nodes - 1;
    return others < PC_KAD_K ? others : PC_KAD_K;
}

static size_t count_held(const struct worker *worker, const struct member *member)
{
    const struct pc_kad_table *table = pc_node_table(member->node->wire.node);
    size_t held = 0;
    for (size_t i = 0; i < true_neighbours(worker); i++)
        held += pc_kad_table_find(table, &worker->shared->seats[member->neighbours[i]].id) != NULL;
    return held;
}

static void on_look(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    struct tally *tally = &worker->shared->tallies[worker->number];
    size_t held = 0, exact = 0, connections = 0, members = 0;
    if (worker->shared->stop) {
        uv_stop(&worker->loop);
        return;
    }
    start_more(worker);
    for (size_t i = 0; i < worker->started; i++) {
        const struct member *member = &worker->members[i];
        size_t of_this = count_held(worker, member);
        held += of_this;
        exact += of_this == true_neighbours(worker);
        members += pc_kad_table_count(pc_node_table(member->node->wire.node));
        connections += pc_libp2p_host_connection_count(member->node->wire.host);
    }
    tally->held = held;
    tally->exact = exact;
    tally->members = members;
    tally->connections = connections;
}

static void start_more(struct worker *worker)
{
    while (worker->started < worker->count && worker->joining < worker->arguments->joining) {
        struct member *member = &worker->members[worker->started++];
        worker->joining++;
        if (peercache_node_start_on(member->node, &worker->loop) != 0)
            die("a node", peercache_node_errmsg(member->node));
        if (member->seat == 0) { /* the first of all has nobody to join */
            member->joined = true;
            worker->joining--;
            worker->shared->tallies[worker->number].joined++;
        }
    }
}

static void work(struct shared *shared, const struct arguments *arguments, size_t number)
{
    struct worker worker = { .shared = shared, .arguments = arguments, .number = number };
    worker.members = calloc(arguments->nodes, sizeof(*worker.members));
    require(worker.members && uv_loop_init(&worker.loop) == 0, "a loop");
    make_members(&worker, 0, 1);
    make_members(&worker, 1, WAYS_IN);
    make_members(&worker, WAYS_IN, arguments->nodes);
    for (size_t i = 0; i < worker.count; i++)
        find_truth(&worker, &worker.members[i]);
    (void)pthread_barrier_wait(&shared->barrier);
    (void)uv_timer_init(&worker.loop, &worker.look);
    worker.look.data = &worker;
    (void)uv_timer_start(&worker.look, on_look, LOOK_EVERY_MS, LOOK_EVERY_MS);
    start_more(&worker);
    (void)uv_run(&worker.loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < worker.started; i++)
        peercache_node_stop(worker.members[i].node);
    while (worker.stopped < worker.started)
        (void)uv_run(&worker.loop, UV_RUN_ONCE);
    for (size_t i = 0; i < worker.count; i++)
        peercache_node_free(worker.members[i].node);
    uv_close((uv_handle_t *)&worker.look, NULL);
    (void)uv_run(&worker.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&worker.loop);
    free(worker.members);
}

/* ---- all of them --------------------------------------------------------------------------------------- */

static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) { /* where it is too low, a node says so */
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

struct sum {
    size_t joined, held, exact, members, connections;
};

static struct sum sum_of(const struct shared *shared, size_t processes)
{
    struct sum sum = { 0 };
    for (size_t i = 0; i < processes; i++) {
        const struct tally *tally = &shared->tallies[i];
        sum.joined += tally->joined;
        sum.held += tally->held;
        sum.exact += tally->exact;
        sum.members += tally->members;
        sum.connections += tally->connections;
    }
    return sum;
}

static long resident_mb(const pid_t *pids, size_t count)
{
    long sum = 0;
    for (size_t i = 0; i < count; i++) {
        char path[64];
        long total = 0, resident = 0;
        (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pids[i]);
        FILE *file = fopen(path, "r");
        if (!file)
            continue;
        if (fscanf(file, "%ld %ld", &total, &resident) == 2)
            sum += resident;
        (void)fclose(file);
    }
    return sum * (sysconf(_SC_PAGESIZE) / 1024) / 1024;
}

static void check_children(const pid_t *pids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (waitpid(pids[i], NULL, WNOHANG) == 0)
            continue;
        for (size_t j = 0; j < count; j++)
            if (j != i)
                (void)kill(pids[j], SIGKILL);
        die("a process ended early", "see above");
    }
}

static void show(const char *when, int64_t since_us, const struct sum *sum, size_t wanted, long mb)
{
    (void)printf(
        "%-12s %6.1f s  joined %5zu  true neighbours held %6.2f %%  exact tables %5zu  members a table "
        "%5.1f  connections a node %5.1f  %ld MB\n",
        when, (double)since_us / 1e6, sum->joined, (double)sum->held * 100 / (double)wanted, sum->exact,
        sum->joined ? (double)sum->members / (double)sum->joined : 0.0,
        sum->joined ? (double)sum->connections / (double)sum->joined : 0.0, mb);
    (void)fflush(stdout);
}

static void watch(struct shared *shared, const struct arguments *arguments, const pid_t *pids)
{
    size_t others = arguments->nodes - 1;
    size_t wanted = arguments->nodes * (others < PC_KAD_K ? others : PC_KAD_K);
    int64_t begun_us = now_us(), shown_us = begun_us;
    bool all_joined = false;
    long peak_mb = 0;
    for (;;) {
        struct timespec pause = { .tv_nsec = LOOK_EVERY_MS * 1000000L };
        (void)nanosleep(&pause, NULL);
        check_children(pids, arguments->processes);
        struct sum sum = sum_of(shared, arguments->processes);
        int64_t since_us = now_us() - begun_us;
        long mb = resident_mb(pids, arguments->processes);
        peak_mb = mb > peak_mb ? mb : peak_mb;
        if (sum.joined == arguments->nodes && !all_joined) {
            all_joined = true;
            show("all joined:", since_us, &sum, wanted, mb);
        }
        bool done = all_joined && sum.exact == arguments->nodes;
        if (done || since_us > arguments->limit_s * PC_US_PER_S) {
            show(done ? "all exact:" : "time is up:", since_us, &sum, wanted, peak_mb);
            return;
        }
        if (!arguments->quiet && now_us() - shown_us > 10 * PC_US_PER_S) {
            shown_us = now_us();
            show("", since_us, &sum, wanted, mb);
        }
    }
}

static void hold(const struct shared *shared, const struct arguments *arguments, const pid_t *pids)
{
    (void)printf("kad-protocol " KAD_PROTOCOL "\n");
    for (size_t i = 0; i < WAYS_IN && i < arguments->nodes; i++)
        (void)printf("bootstrap %s\n", shared->seats[i].addr);
    (void)printf("holding\n");
    (void)fflush(stdout);
    int64_t until_us = now_us() + arguments->hold_s * PC_US_PER_S;
    while (now_us() < until_us) {
        struct pollfd none = { .fd = -1 };
        (void)poll(&none, 1, 1000);
        check_children(pids, arguments->processes);
    }
}

static bool take_argument(struct arguments *arguments, const char *name, const char *value)
{
    char *end;
    long number = value ? strtol(value, &end, 10) : -1;
    if (number < 0 || *end != '\0')
        return false;
    if (strcmp(name, "--nodes") == 0 && number >= 2 && number <= NODES_MAX)
        arguments->nodes = (size_t)number;
    else if (strcmp(name, "--processes") == 0 && number >= 1 && number <= PROCESSES_MAX)
        arguments->processes = (size_t)number;
    else if (strcmp(name, "--joining") == 0 && number >= 1)
        arguments->joining = (size_t)number;
    else if (strcmp(name, "--limit") == 0)
        arguments->limit_s = number;
    else if (strcmp(name, "--hold") == 0)
        arguments->hold_s = number;
    else
        return false;
    return true;
}

static void parse(int argc, char **argv, struct arguments *ret_arguments)
{
    *ret_arguments = (struct arguments){ .nodes = 1000, .processes = 2, .joining = 8, .limit_s = 240 };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quiet") == 0)
            ret_arguments->quiet = true;
        else if (take_argument(ret_arguments, argv[i], i + 1 < argc ? argv[i + 1] : NULL))
            i++;
        else
            die("usage", "swarm [--nodes N] [--processes N] [--joining N] [--limit SECONDS] [--hold SECONDS] "
                         "[--quiet]");
    }
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    pthread_barrierattr_t attributes;
    pid_t pids[PROCESSES_MAX];
    parse(argc, argv, &arguments);
    allow_descriptors();
    struct shared *shared = mmap(NULL, sizeof(*shared) + arguments.nodes * sizeof(struct seat),
                                 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(shared != MAP_FAILED, "memory");
    (void)pthread_barrierattr_init(&attributes);
    (void)pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    require(pthread_barrier_init(&shared->barrier, &attributes, (unsigned)arguments.processes + 1) == 0,
            "a barrier");
    int64_t begun_us = now_us();
    (void)fflush(NULL);
    for (size_t i = 0; i < arguments.processes; i++) {
        pids[i] = fork();
        require(pids[i] >= 0, "fork");
        if (pids[i] == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody is left over */
            work(shared, &arguments, i);
            exit(0);
        }
    }
    for (int i = 0; i < 4; i++)
        (void)pthread_barrier_wait(&shared->barrier);
    (void)printf("%zu nodes in %zu processes, made in %.1f s\n", arguments.nodes, arguments.processes,
                 (double)(now_us() - begun_us) / 1e6);
    watch(shared, &arguments, pids);
    if (arguments.hold_s > 0)
        hold(shared, &arguments, pids);
    shared->stop = true;
    struct rusage usage;
    for (size_t i = 0; i < arguments.processes; i++)
        require(waitpid(pids[i], NULL, 0) == pids[i], "a process");
    (void)getrusage(RUSAGE_CHILDREN, &usage);
    (void)printf("processor time %.1f s\n",
                 (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    return 0;
}
