/*
 * A server with many connections: what one costs in memory and idle, and how many FIND_NODE it answers for a second of
 * processor time over connections that are open.
 *
 *   serve SWARM [--nodes N] [--connections N] [--seconds N] [--idle SECONDS] [--load CONNECTIONS:IN_FLIGHT]
 *   serve --server PID MULTIADDR --kad-protocol NAME [--connections N] ...
 *
 * (`--load`: that one alone, to be profiled; the server's process is named so. 0:1 is none: the connections alone.
 * `--server`: a server that runs already, whosever it is; then there is neither network nor server of ours.)
 *
 * Three processes: a small network of ours (the program SWARM), so that there are real peers to tell of; the server, a
 * node of that network as any program would run it (the whole driver), which is what is measured, with its limits on
 * peers and requests lifted; and this one, which asks: hosts of libp2p without a node above them, each a peer of its own with
 * one connection. A server's processor time is that of all threads of its process: ours has one.
 *
 * Beside it the floor of the same run: what GnuTLS takes to open a packet as large as a request comes in and to seal
 * one as large as an answer, and what the kernel takes to receive and send them; no server of QUIC does without.
 */
#include "addr/multiaddr.h"
#include "base/time.h"
#include "driver/loop.h"
#include "libp2p/host_state.h"

#include "floor.h"
#include "process.h"

#include <peercache/node.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PROTOCOL_BYTES  64
#define NETWORK_NODES   "60"
#define REQUEST_US      (5 * PC_US_PER_S)
#define BATCH           32
#define CONNECTIONS_MAX 4000
#define IDLE_US         (300 * PC_US_PER_S) /* none ends while it is measured, however slow the machine */

struct arguments {
    const char *swarm; /* NULL: a server is given */
    const char *nodes;
    pid_t server_pid; /* 0: one of ours is started */
    const char *server_addr;
    const char *kad_protocol; /* of the server given */
    size_t connections;
    int64_t seconds;
    int64_t idle_s;
    size_t load_connections; /* 0: all loads */
    size_t load_in_flight;
};

static peercache_time clock_now(void)
{
    struct timespec wall, mono;
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    (void)clock_gettime(CLOCK_MONOTONIC, &mono);
    return (peercache_time){
        .wall_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000,
        .mono_us = (int64_t)mono.tv_sec * PC_US_PER_S + mono.tv_nsec / 1000,
    };
}

/* ---- the network, and the server in it ----------------------------------------------------------------- */

struct network {
    pid_t pid;
    char protocol[PROTOCOL_BYTES];
    char peers[16][PEERCACHE_ADDR_TEXT_BYTES];
    size_t peer_count;
};

static void read_network(FILE *from, struct network *network)
{
    char line[PEERCACHE_ADDR_TEXT_BYTES + 32];
    while (fgets(line, sizeof(line), from)) {
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "holding") == 0)
            return;
        if (strncmp(line, "kad-protocol ", 13) == 0)
            (void)snprintf(network->protocol, sizeof(network->protocol), "%.63s", line + 13);
        if (strncmp(line, "bootstrap ", 10) == 0 && network->peer_count < 16)
            (void)snprintf(network->peers[network->peer_count++], sizeof(network->peers[0]), "%.511s",
                           line + 10);
    }
    die("the network", "it ended early");
}

static void start_network(const char *program, const char *nodes, struct network *network)
{
    int out[2];
    require(pipe(out) == 0, "a pipe");
    network->pid = fork();
    require(network->pid >= 0, "fork");
    if (network->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(out[1], STDOUT_FILENO);
        (void)close(out[0]);
        (void)close(out[1]);
        (void)execl(program, program, "--nodes", nodes, "--processes", "1", "--limit", "40", "--hold", "3600",
                    "--quiet", (char *)NULL);
        die(program, strerror(errno));
    }
    (void)close(out[1]);
    FILE *from = fdopen(out[0], "r");
    require(from != NULL, "a pipe");
    read_network(from, network);
    (void)fclose(from);
}

struct server {
    pid_t pid;
    struct pc_ip_port at;
    bool given; /* runs already, and goes on when it is measured */
};

struct telling {
    int to;
    struct server server;
};

static void on_event(void *context, const peercache_node_event *event)
{
    struct telling *telling = context;
    if (event->kind == PEERCACHE_NODE_WALKED) /* its table is filled */
        require(write(telling->to, &telling->server, sizeof(telling->server)) == sizeof(telling->server),
                "a pipe");
}

/* In a process of its own. */
_Noreturn static void run_server(const struct network *network, int to)
{
    peercache_node *node = NULL;
    peercache_node_options *options = peercache_node_options_new();
    require(options != NULL, "options");
    peercache_node_options_set_mode(options, PEERCACHE_MODE_SERVER);
    peercache_node_options_set_local(options, true);
    if (peercache_node_options_set_connections(options, CONNECTIONS_MAX, CONNECTIONS_MAX) != 0 ||
        peercache_node_options_set_network(options, "swarm") != 0 ||
        peercache_node_options_set_kad_protocol(options, network->protocol) != 0)
        die("options", peercache_node_options_errmsg(options));
    for (size_t i = 0; i < network->peer_count; i++)
        if (peercache_node_options_add_peer(options, network->peers[i]) != 0)
            die("options", peercache_node_options_errmsg(options));
    if (peercache_node_new(options, &node) != 0)
        die("the server", node ? peercache_node_errmsg(node) : "out of memory");
    /* One asker holds thousands of connections and asks as fast as it can: what the limits are there to stop. */
    node->wire.host->options.connections_max = CONNECTIONS_MAX;
    node->wire.host->options.idle_timeout_us = IDLE_US;
    node->wire.host->options.unused_timeout_us = IDLE_US;
    node->wire.host->options.limits =
        (struct pc_libp2p_limits){ .half_open = CONNECTIONS_MAX }; /* 0: no limit */
    struct telling telling = { .to = to, .server = { .at = node->listening[0] } };
    peercache_node_on_event(node, on_event, &telling);
    (void)peercache_node_run(node);
    exit(0);
}

static void start_server(const struct network *network, struct server *ret_server)
{
    int told[2];
    require(pipe(told) == 0, "a pipe");
    pid_t pid = fork();
    require(pid >= 0, "fork");
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)prctl(PR_SET_NAME, "server");
        (void)close(told[0]);
        run_server(network, told[1]);
    }
    (void)close(told[1]);
    require(read(told[0], ret_server, sizeof(*ret_server)) == sizeof(*ret_server), "the server");
    (void)close(told[0]);
    ret_server->pid = pid;
}

static void find_server(pid_t pid, const char *text, struct server *ret_server)
{
    struct pc_maddr whole, addr;
    struct pc_peer_id id;
    *ret_server = (struct server){ .pid = pid, .given = true };
    if (pc_addr_maddr_parse(text, strlen(text), &whole, NULL) != 0 ||
        pc_addr_multiaddr_split(pc_addr_maddr_bytes(&whole), &addr, &id) != 0 ||
        pc_addr_classify(pc_addr_maddr_bytes(&addr), &ret_server->at) != PC_ADDR_QUIC_V1 ||
        ret_server->at.family != 4)
        die(text, "expected /ip4/ADDRESS/udp/PORT/quic-v1");
}

static void open_server(const struct network *network, const struct arguments *arguments,
                        struct server *ret_server)
{
    if (arguments->server_pid > 0)
        find_server(arguments->server_pid, arguments->server_addr, ret_server);
    else
        start_server(network, ret_server);
}

static void close_server(const struct server *server)
{
    if (!server->given)
        end_process(server->pid);
}

/* ---- who asks ------------------------------------------------------------------------------------------ */

#define CONNECTION 1 /* the number of each asker's only one */

struct asker {
    int fd;
    uint16_t port;
    struct pc_identity *identity;
    struct pc_libp2p_host *host;
};

struct askers {
    struct pc_ip_port server;
    size_t count;
    struct asker *each;
    struct pollfd *fds;
    size_t open;
    size_t failed;
    uint64_t requests;
    uint64_t answered;
    uint64_t peers; /* told of in the answers */
    bool ask_again;
};

static void open_asker(struct asker *asker, const char *protocol)
{
    uint8_t seed[32], key[PC_PRIVATE_KEY_MAX_BYTES];
    size_t key_size;
    struct pc_libp2p_options options;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    const int buffer_bytes = 4 << 20;
    asker->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    require(asker->fd >= 0 && bind(asker->fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                getsockname(asker->fd, (struct sockaddr *)&address, &size) == 0,
            "a socket");
    (void)setsockopt(asker->fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
    asker->port = ntohs(address.sin_port);
    randombytes_buf(seed, sizeof(seed));
    require(pc_libp2p_key_generate(seed, key, sizeof(key), &key_size) == 0 &&
                pc_libp2p_identity_new(pc_bytes_of(key, key_size), clock_now().wall_ms, &asker->identity,
                                       NULL) == 0,
            "an identity");
    pc_libp2p_options_init(&options);
    options.identity = asker->identity;
    options.kad_protocol = protocol;
    options.agent = "bench";
    options.connections_max = CONNECTIONS_MAX;
    options.limits = (struct pc_libp2p_limits){ 0 };
    options.idle_timeout_us = IDLE_US;
    pc_base_rng_init(&options.rng, seed);
    require(pc_libp2p_host_new(&options, &asker->host) == 0, "a host");
}

static void open_askers(struct askers *askers, const char *protocol, const struct pc_ip_port *server,
                        size_t count)
{
    *askers = (struct askers){ .server = *server, .count = count };
    askers->each = calloc(count, sizeof(*askers->each));
    askers->fds = calloc(count, sizeof(*askers->fds));
    require(askers->each && askers->fds, "memory");
    for (size_t i = 0; i < count; i++) {
        open_asker(&askers->each[i], protocol);
        askers->fds[i] = (struct pollfd){ .fd = askers->each[i].fd, .events = POLLIN };
    }
}

static void close_askers(struct askers *askers)
{
    for (size_t i = 0; i < askers->count; i++) {
        pc_libp2p_host_free(askers->each[i].host);
        pc_libp2p_identity_free(askers->each[i].identity);
        (void)close(askers->each[i].fd);
    }
    free(askers->each);
    free(askers->fds);
}

static void send_all(const struct askers *askers, struct asker *asker)
{
    static uint8_t bytes[BATCH][PC_LIBP2P_DATAGRAM_MAX_BYTES];
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(askers->server.port) };
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    memcpy(&to.sin_addr, askers->server.ip, 4);
    for (unsigned count = BATCH; count == BATCH;) {
        for (count = 0; count < BATCH; count++) {
            struct pc_datagram datagram = { .data = bytes[count], .size = sizeof(bytes[count]) };
            if (!pc_libp2p_host_send(asker->host, clock_now(), &datagram))
                break;
            parts[count] = (struct iovec){ bytes[count], datagram.size };
            messages[count].msg_hdr = (struct msghdr){
                .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &parts[count], .msg_iovlen = 1
            };
        }
        if (count > 0) /* what the kernel does not take is lost, and sent again */
            (void)sendmmsg(asker->fd, messages, count, 0);
    }
}

static void receive_all(const struct askers *askers, struct asker *asker)
{
    static uint8_t bytes[BATCH][2048];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){ bytes[i], sizeof(bytes[i]) };
            messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
        }
        int got = recvmmsg(asker->fd, messages, BATCH, 0, NULL);
        for (int i = 0; i < got; i++) {
            struct pc_datagram datagram = {
                .local = { .family = 4, .ip = { 127, 0, 0, 1 }, .port = asker->port },
                .remote = askers->server,
                .data = bytes[i],
                .size = messages[i].msg_len,
            };
            pc_libp2p_host_receive(asker->host, clock_now(), &datagram);
        }
        if (got < BATCH)
            return;
    }
}

static void ask(struct askers *askers, struct asker *asker)
{
    uint8_t key[38] = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 };
    peercache_time now = clock_now();
    uint64_t request = ++askers->requests;
    memcpy(key + 6, &request, sizeof(request)); /* another each time */
    if (pc_libp2p_host_find_node(asker->host, now, CONNECTION, request, pc_bytes_of(key, sizeof(key)),
                                 now.mono_us + REQUEST_US) != 0)
        askers->failed++;
}

static void take_events(struct askers *askers, struct asker *asker)
{
    struct pc_libp2p_event event;
    while (pc_libp2p_host_next_event(asker->host, &event)) {
        if (event.kind == PC_LIBP2P_OPENED) {
            askers->open++;
        } else if (event.kind == PC_LIBP2P_ANSWERED) {
            askers->answered++;
            askers->peers += event.kad ? event.kad->peer_count : 0;
            if (askers->ask_again)
                ask(askers, asker);
        } else if (event.kind == PC_LIBP2P_FAILED || event.kind == PC_LIBP2P_CLOSED ||
                   event.kind == PC_LIBP2P_REQUEST_FAILED) {
            if (askers->failed++ == 0)
                (void)fprintf(stderr, "serve: %s\n", event.detail);
        }
    }
}

static void turn(struct askers *askers)
{
    int64_t at_us = clock_now().mono_us + 100000;
    for (size_t i = 0; i < askers->count; i++) {
        send_all(askers, &askers->each[i]);
        at_us = pc_base_time_min(at_us, pc_libp2p_host_deadline(askers->each[i].host));
    }
    const struct timespec wait = { .tv_nsec = (long)pc_base_time_max(at_us - clock_now().mono_us, 0) * 1000 };
    (void)ppoll(askers->fds, askers->count, &wait, NULL);
    for (size_t i = 0; i < askers->count; i++) {
        struct asker *asker = &askers->each[i];
        if (askers->fds[i].revents & POLLIN)
            receive_all(askers, asker);
        if (pc_libp2p_host_deadline(asker->host) <= clock_now().mono_us)
            pc_libp2p_host_expire(asker->host, clock_now());
        take_events(askers, asker);
    }
}

/* Have the connections of the first so many open, some at a time. */
static void connect_to(struct askers *askers, size_t count)
{
    for (size_t dialed = askers->open; askers->open < count; turn(askers)) {
        for (; dialed < count && dialed < askers->open + 20; dialed++) {
            peercache_time now = clock_now();
            require(pc_libp2p_host_dial(askers->each[dialed].host, now, CONNECTION, &askers->server, NULL,
                                        now.mono_us + 20 * PC_US_PER_S) == 0,
                    "a dial");
        }
        if (askers->failed > 0)
            die("a connection", "it failed");
    }
}

static void stay(struct askers *askers, int64_t us)
{
    int64_t until_us = clock_now().mono_us + us;
    while (clock_now().mono_us < until_us)
        turn(askers);
}

/* ---- the figures --------------------------------------------------------------------------------------- */

static void measure_connections(const struct network *network, const struct arguments *arguments)
{
    enum { WARM = 20 };
    struct askers askers;
    struct server server;
    open_server(network, arguments, &server);
    open_askers(&askers, network->protocol, &server.at, arguments->connections + WARM);
    connect_to(&askers, WARM);
    stay(&askers, PC_US_PER_S);
    long before_kb = resident_kb(server.pid);
    connect_to(&askers, arguments->connections + WARM);
    stay(&askers, 3 * PC_US_PER_S); /* what handshakes leave to be acknowledged */
    long after_kb = resident_kb(server.pid);
    int64_t before_us = cpu_us(server.pid), begun_us = clock_now().mono_us;
    stay(&askers, arguments->idle_s * PC_US_PER_S);
    double idle = (double)(cpu_us(server.pid) - before_us) / (double)(clock_now().mono_us - begun_us);
    (void)printf(
        "%zu connections: %.1f KB each (target 64), idle for %lld s: %.2f %% of a core (target 1)%s\n",
        arguments->connections, (double)(after_kb - before_kb) / (double)arguments->connections,
        (long long)arguments->idle_s, idle * 100, askers.failed > 0 ? ", some were closed" : "");
    (void)fflush(stdout);
    close_askers(&askers);
    close_server(&server);
}

static void measure_answers(const struct network *network, const struct arguments *arguments,
                            size_t connections, size_t in_flight)
{
    struct askers askers;
    struct server server;
    open_server(network, arguments, &server);
    open_askers(&askers, network->protocol, &server.at, connections);
    connect_to(&askers, connections);
    askers.ask_again = true;
    for (size_t i = 0; i < connections; i++)
        for (size_t j = 0; j < in_flight; j++)
            ask(&askers, &askers.each[i]);
    stay(&askers, PC_US_PER_S / 2);
    uint64_t answered = askers.answered, peers = askers.peers;
    int64_t before_us = cpu_us(server.pid), own_us = own_cpu_us(), begun_us = clock_now().mono_us;
    stay(&askers, arguments->seconds * PC_US_PER_S);
    int64_t took_us = clock_now().mono_us - begun_us, spent_us = cpu_us(server.pid) - before_us;
    own_us = own_cpu_us() - own_us;
    answered = askers.answered - answered;
    peers = askers.peers - peers;
    (void)printf(
        "%5zu connections, %3zu in flight on each: %7.0f answers a core-second (%5.1f us each; who asks "
        "%5.1f us), %7.0f a second, %4.1f peers an answer, %zu failed\n",
        connections, in_flight, (double)answered * 1e6 / (double)spent_us,
        (double)spent_us / (double)answered, (double)own_us / (double)answered,
        (double)answered * 1e6 / (double)took_us, (double)peers / (double)answered, askers.failed);
    (void)fflush(stdout);
    close_askers(&askers);
    close_server(&server);
}

static bool parse_one(const char *name, const char *value, struct arguments *arguments)
{
    if (strcmp(name, "--nodes") == 0)
        arguments->nodes = value;
    else if (strcmp(name, "--connections") == 0)
        arguments->connections = strtoul(value, NULL, 10);
    else if (strcmp(name, "--seconds") == 0)
        arguments->seconds = strtol(value, NULL, 10);
    else if (strcmp(name, "--idle") == 0)
        arguments->idle_s = strtol(value, NULL, 10);
    else if (strcmp(name, "--kad-protocol") == 0)
        arguments->kad_protocol = value;
    else if (strcmp(name, "--load") == 0)
        return sscanf(value, "%zu:%zu", &arguments->load_connections, &arguments->load_in_flight) == 2;
    else
        return false;
    return true;
}

static void parse(int argc, char **argv, struct arguments *ret_arguments)
{
    bool good = true;
    *ret_arguments =
        (struct arguments){ .nodes = NETWORK_NODES, .connections = 1000, .seconds = 3, .idle_s = 10 };
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            ret_arguments->swarm = argv[i];
        } else if (strcmp(argv[i], "--server") == 0 && i + 2 < argc) {
            ret_arguments->server_pid = (pid_t)strtol(argv[i + 1], NULL, 10);
            ret_arguments->server_addr = argv[i + 2];
            i += 2;
        } else if (i + 1 < argc && parse_one(argv[i], argv[i + 1], ret_arguments)) {
            i++;
        } else {
            good = false;
        }
    }
    const bool given = ret_arguments->server_pid > 0;
    if (!good || given == (ret_arguments->swarm != NULL) || given != (ret_arguments->kad_protocol != NULL) ||
        ret_arguments->seconds < 1 || ret_arguments->connections < 1 ||
        ret_arguments->connections > CONNECTIONS_MAX - 100)
        die("usage", "serve SWARM [--nodes N] | --server PID MULTIADDR --kad-protocol NAME [--connections N] "
                     "[--seconds N] [--idle SECONDS] [--load CONNECTIONS:IN_FLIGHT]");
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    struct network network = { 0 };
    static const struct {
        size_t connections, in_flight;
    } loads[] = { { 1, 1 }, { 1, 16 }, { 4, 16 }, { 16, 32 }, { 100, 1 }, { 500, 1 } };
    parse(argc, argv, &arguments);
    require(sodium_init() >= 0, "libsodium");
    if (arguments.swarm)
        start_network(arguments.swarm, arguments.nodes, &network);
    else
        (void)snprintf(network.protocol, sizeof(network.protocol), "%.63s", arguments.kad_protocol);
    if (arguments.load_connections > 0) {
        measure_answers(&network, &arguments, arguments.load_connections, arguments.load_in_flight);
    } else {
        for (size_t i = 0; arguments.load_in_flight == 0 && i < sizeof(loads) / sizeof(loads[0]); i++)
            measure_answers(&network, &arguments, loads[i].connections, loads[i].in_flight);
        measure_connections(&network, &arguments);
        (void)printf("floor of an answer: cryptography %.2f us, kernel %.2f us (%d datagrams a call)\n",
                     floor_crypto_us(110, 1250), floor_kernel_us(150, 1290), FLOOR_BATCH);
    }
    if (network.pid > 0)
        end_process(network.pid);
    return 0;
}
