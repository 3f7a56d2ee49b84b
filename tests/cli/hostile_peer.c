/*
 * Peers that mean no good, for test_hostile_net.py: many of them in one process, each with an id and a socket of its own.
 *
 *   hostile_peer HABIT TARGET SECONDS COUNT IP…
 *
 * TARGET is IP:PORT/ID, ID "-" when any will do. The peers sit at the IPs in turn, at any port, and act for so many seconds (60 at most), then the
 * program ends. It says "ID PORT" of its first peer on the first line when all are there, and on the last line as JSON what they met.
 *
 *   churn    connect, close, connect again
 *   stall    begin handshakes, answer Retries, and say no more
 *   ask      32 questions at a time, without a pause
 *   mute     ask as that, and acknowledge nothing of what comes
 *   pose     servers of the network, that tell of each other
 *   boast    a server whose answers have 10,000 peers
 *   foreign  a server of another network
 *
 * A TARGET of "-": they dial nobody and are there to be dialled.
 */
#include "base/time.h"
#include "libp2p/connection.h"
#include "libp2p/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KAD         "/ipfs/kad/1.0.0"
#define OTHER_KAD   "/other/kad/1.0.0"
#define COUNT_MAX   2000
#define SECONDS_MAX 60
#define IN_FLIGHT   32
#define BOASTS      10000
#define TOLD        20
#define PENDING_MAX 32 /* dials at once of those who mean to get in: their own work is what they wait for */
#define AGAIN_US    (PC_US_PER_S / 2) /* until a peer that was refused tries once more */

enum habit {
    CHURN,
    STALL,
    ASK,
    MUTE,
    POSE,
    BOAST,
    FOREIGN,
};
static const char *const habits[] = { "churn", "stall", "ask", "mute", "pose", "boast", "foreign" };

struct actor {
    int fd;
    struct pc_identity *identity;
    struct pc_libp2p_host *host;
    struct pc_maddr addr;
    uint16_t port;
    uint64_t connection; /* 0: none */
    bool opened;
    int64_t dial_at_us;
};

static enum habit habit;
static bool dials;
static struct actor *actors;
static size_t actor_count;
static struct pc_ip_port target;
static struct pc_peer_id target_id;
static uint64_t next_number, next_request;
static size_t pending; /* dials that have not ended */
static unsigned long dialled, opened, failed, closed, answered, refused, asked;
static uint8_t *boast; /* a framed answer */
static size_t boast_size;
static volatile sig_atomic_t ended;

_Noreturn static void die(const char *what)
{
    (void)fprintf(stderr, "hostile_peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

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

/* ----- peers ----- */

static void open_actor(struct actor *actor, const char *ip, size_t number)
{
    uint8_t seed[32], key[PC_PRIVATE_KEY_MAX_BYTES];
    size_t key_size;
    struct pc_libp2p_options options;
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof(address);
    struct pc_ip_port self = { .family = 4 };

    actor->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (inet_pton(AF_INET, ip, &address.sin_addr) != 1 || actor->fd < 0 ||
        bind(actor->fd, (struct sockaddr *)&address, sizeof(address)) ||
        getsockname(actor->fd, (struct sockaddr *)&address, &size))
        die(ip);
    actor->port = ntohs(address.sin_port);
    self.port = actor->port;
    memcpy(self.ip, &address.sin_addr, 4);
    pc_addr_from_ip_port(&self, &actor->addr);

    randombytes_buf(seed, sizeof(seed));
    if (pc_libp2p_key_generate(seed, key, sizeof(key), &key_size) ||
        pc_libp2p_identity_new(pc_bytes_of(key, key_size), clock_now().wall_ms, &actor->identity, NULL))
        die("identity");
    pc_libp2p_options_init(&options);
    options.identity = actor->identity;
    options.kad_protocol = habit == FOREIGN ? OTHER_KAD : KAD;
    options.agent = "hostile";
    options.server = habit == POSE || habit == BOAST || habit == FOREIGN;
    pc_base_rng_init_u64(&options.rng, number * 2654435761U ^ (uint64_t)clock_now().mono_us);
    if (pc_libp2p_host_new(&options, &actor->host) || pc_libp2p_host_set_addrs(actor->host, &actor->addr, 1))
        die("host");
}

static void dial(struct actor *actor, peercache_time now)
{
    actor->connection = ++next_number;
    actor->opened = false;
    if (pc_libp2p_host_dial(actor->host, now, actor->connection, &target, target_id.size ? &target_id : NULL,
                            now.mono_us + 5 * PC_US_PER_S)) {
        actor->connection = 0;
        actor->dial_at_us = now.mono_us + AGAIN_US;
        return;
    }
    dialled++;
    pending++;
}

static void ask(struct actor *actor, peercache_time now)
{
    uint8_t key[32];
    randombytes_buf(key, sizeof(key));
    (void)pc_libp2p_host_find_node(actor->host, now, actor->connection, ++next_request,
                                   pc_bytes_of(key, sizeof(key)), now.mono_us + 5 * PC_US_PER_S);
}

/* ----- what they answer ----- */

static void put_varint(uint8_t **at, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        *(*at)++ = (uint8_t)(value | 128);
    *(*at)++ = (uint8_t)value;
}

/* Message{type = FIND_NODE, closerPeers = 10,000 × Peer{id, addrs}}, with its length before it. */
static void make_boast(void)
{
    const size_t peer_size = 2 + 38 + 2 + 11;
    uint8_t *body = malloc(2 + BOASTS * (2 + peer_size));
    boast = malloc(10 + 2 + BOASTS * (2 + peer_size));
    if (!body || !boast)
        die("memory");
    uint8_t *at = body;
    *at++ = 1 << 3;
    *at++ = 4;
    for (uint32_t i = 0; i < BOASTS; i++) {
        *at++ = 8 << 3 | 2;
        put_varint(&at, peer_size);
        *at++ = 1 << 3 | 2;
        *at++ = 38;
        memcpy(at, "\x00\x24\x08\x01\x12\x20", 6);
        randombytes_buf(at + 6, 32);
        at += 38;
        *at++ = 2 << 3 | 2;
        *at++ = 11; /* /ip4/51.x.x.x/udp/4001/quic-v1 */
        memcpy(at, "\x04\x33\x00\x00\x01\x91\x02\x0f\xa1\xcd\x03", 11);
        memcpy(at + 2, &i, 2);
        at += 11;
    }
    uint8_t *framed = boast;
    put_varint(&framed, (uint64_t)(at - body));
    memcpy(framed, body, (size_t)(at - body));
    boast_size = (size_t)(framed - boast) + (size_t)(at - body);
    free(body);
}

/* Around the door of the house, which lets nobody answer so much. */
static void answer_boasting(struct actor *actor, uint64_t number)
{
    struct pc_map_node *node = pc_base_map_find(&actor->host->asks, pc_bytes_of(&number, sizeof(number)));
    if (!node)
        return;
    struct pc_stream *stream = PC_CONTAINER_OF(node, struct pc_stream, talk.ask);
    (void)pc_libp2p_stream_send(stream, pc_bytes_of(boast, boast_size));
}

/* Others of us, so that who asks has somebody to dial. */
static void answer_posing(struct actor *actor, peercache_time now, uint64_t number)
{
    struct pc_kad_peer peers[TOLD];
    for (size_t i = 0; i < TOLD; i++) {
        const struct actor *other = &actors[randombytes_uniform((uint32_t)actor_count)];
        peers[i] = (struct pc_kad_peer){ .id = *pc_libp2p_identity_id(other->identity), .addr_count = 1 };
        peers[i].addrs[0] = pc_addr_maddr_bytes(&other->addr);
    }
    (void)pc_libp2p_host_answer(actor->host, now, number, peers, TOLD);
}

static void on_opened(struct actor *actor, peercache_time now, const struct pc_libp2p_event *event)
{
    if (event->connection & PC_LIBP2P_INBOUND)
        return;
    opened++;
    pending--;
    actor->opened = true;
    if (habit == CHURN) {
        pc_libp2p_host_close(actor->host, now, event->connection, 0);
        actor->connection = 0;
        actor->dial_at_us = now.mono_us;
    }
    for (unsigned i = 0; (habit == ASK || habit == MUTE) && i < IN_FLIGHT; i++)
        ask(actor, now);
}

static void take(struct actor *actor, peercache_time now, const struct pc_libp2p_event *event)
{
    switch (event->kind) {
    case PC_LIBP2P_OPENED:
        on_opened(actor, now, event);
        break;
    case PC_LIBP2P_FAILED:
    case PC_LIBP2P_CLOSED:
        *(event->kind == PC_LIBP2P_FAILED ? &failed : &closed) += 1;
        pending -= event->kind == PC_LIBP2P_FAILED; /* of a dial */
        if (event->connection == actor->connection) {
            actor->connection = 0;
            actor->dial_at_us = now.mono_us + AGAIN_US;
        }
        break;
    case PC_LIBP2P_ANSWERED:
    case PC_LIBP2P_REQUEST_FAILED:
        *(event->kind == PC_LIBP2P_ANSWERED ? &answered : &refused) += 1;
        if (actor->opened && actor->connection != 0)
            ask(actor, now);
        break;
    case PC_LIBP2P_ASKED:
        asked++;
        if (habit == BOAST)
            answer_boasting(actor, event->asked);
        else
            answer_posing(actor, now, event->asked);
        break;
    case PC_LIBP2P_IDENTIFIED:
    case PC_LIBP2P_PROBED:
    case PC_LIBP2P_DIAL_ASKED: /* is left without an answer */
        break;
    }
}

/* ----- the loop ----- */

/* Which datagrams a peer lets come to it. */
static bool listens_to(const struct actor *actor, const uint8_t *data)
{
    if (habit == STALL)
        return (data[0] & 0xf0) == 0xf0; /* Retries alone */
    return habit != MUTE || !actor->opened;
}

static void receive_all(struct actor *actor)
{
    uint8_t bytes[2048];
    struct sockaddr_in from;
    socklen_t from_size = sizeof(from);
    ssize_t size;
    while ((size = recvfrom(actor->fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &from_size)) > 0) {
        struct pc_datagram datagram = { .data = bytes, .size = (size_t)size };
        datagram.remote = (struct pc_ip_port){ .family = 4, .port = ntohs(from.sin_port) };
        memcpy(datagram.remote.ip, &from.sin_addr, 4);
        if (listens_to(actor, bytes))
            pc_libp2p_host_receive(actor->host, clock_now(), &datagram);
    }
}

static void send_all(struct actor *actor)
{
    uint8_t bytes[PC_LIBP2P_DATAGRAM_MAX_BYTES];
    struct pc_datagram datagram = { .data = bytes, .size = sizeof(bytes) };
    while (pc_libp2p_host_send(actor->host, clock_now(), &datagram)) {
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(datagram.remote.port) };
        memcpy(&to.sin_addr, datagram.remote.ip, 4);
        if (sendto(actor->fd, bytes, datagram.size, 0, (struct sockaddr *)&to, sizeof(to)) < 0 &&
            errno != EAGAIN && errno != ECONNREFUSED && errno != EPERM)
            die("sendto");
        datagram = (struct pc_datagram){ .data = bytes, .size = sizeof(bytes) };
    }
}

static bool may_dial(const struct actor *actor)
{
    return dials && actor->connection == 0 && (habit == STALL || pending < PENDING_MAX);
}

static void serve(struct actor *actor)
{
    struct pc_libp2p_event event;
    peercache_time now = clock_now();
    if (pc_libp2p_host_deadline(actor->host) <= now.mono_us)
        pc_libp2p_host_expire(actor->host, now);
    while (pc_libp2p_host_next_event(actor->host, &event))
        take(actor, now, &event);
    if (may_dial(actor) && now.mono_us >= actor->dial_at_us)
        dial(actor, now);
    send_all(actor);
}

static int64_t due_us(const struct actor *actor)
{
    int64_t at_us = pc_libp2p_host_deadline(actor->host);
    return may_dial(actor) ? pc_base_time_min(at_us, actor->dial_at_us) : at_us;
}

static void act(int64_t until_us)
{
    struct pollfd *polls = calloc(actor_count, sizeof(*polls));
    if (!polls)
        die("memory");
    for (size_t i = 0; i < actor_count; i++)
        polls[i] = (struct pollfd){ .fd = actors[i].fd, .events = POLLIN };
    while (!ended && clock_now().mono_us < until_us) {
        int64_t at_us = until_us;
        for (size_t i = 0; i < actor_count; i++) {
            if (polls[i].revents)
                receive_all(&actors[i]);
            if (polls[i].revents || due_us(&actors[i]) <= clock_now().mono_us)
                serve(&actors[i]);
            at_us = pc_base_time_min(at_us, due_us(&actors[i]));
        }
        int64_t wait_us = pc_base_time_max(at_us - clock_now().mono_us, 0);
        if (poll(polls, actor_count, (int)((wait_us + 999) / 1000)) < 0 && errno != EINTR)
            die("poll");
    }
    free(polls);
}

/* ----- the command line ----- */

static bool parse_target(const char *text)
{
    char ip[INET_ADDRSTRLEN + 1] = "";
    const char *colon = strchr(text, ':'), *slash = strchr(text, '/');
    if (!colon || !slash || colon > slash || (size_t)(colon - text) >= sizeof(ip))
        return false;
    memcpy(ip, text, (size_t)(colon - text));
    target.family = 4;
    target.port = (uint16_t)atoi(colon + 1);
    if (inet_pton(AF_INET, ip, target.ip) != 1)
        return false;
    return strcmp(slash + 1, "-") == 0 ||
           pc_addr_peer_id_parse(slash + 1, strlen(slash + 1), &target_id, NULL) == 0;
}

static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    size_t kind = 0;
    if (argc < 6 || sodium_init() < 0)
        die("usage: hostile_peer HABIT TARGET SECONDS COUNT IP...");
    while (kind < sizeof(habits) / sizeof(habits[0]) && strcmp(habits[kind], argv[1]) != 0)
        kind++;
    habit = (enum habit)kind;
    int seconds = atoi(argv[3]);
    actor_count = (size_t)atoi(argv[4]);
    dials = strcmp(argv[2], "-") != 0;
    if (kind == sizeof(habits) / sizeof(habits[0]) || (dials && !parse_target(argv[2])) || seconds < 1 ||
        seconds > SECONDS_MAX || actor_count < 1 || actor_count > COUNT_MAX)
        die("arguments");
    (void)signal(SIGTERM, on_signal);
    (void)signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    if (habit == BOAST)
        make_boast();
    actors = calloc(actor_count, sizeof(*actors));
    if (!actors)
        die("memory");
    for (size_t i = 0; i < actor_count; i++)
        open_actor(&actors[i], argv[5 + i % (size_t)(argc - 5)], i);

    char id[PC_PEER_ID_TEXT_BYTES];
    pc_addr_peer_id_format(pc_libp2p_identity_id(actors[0].identity), id);
    printf("%s %u\n", id, actors[0].port);
    (void)fflush(stdout);
    act(clock_now().mono_us + seconds * PC_US_PER_S);
    printf("{\"dialled\":%lu,\"opened\":%lu,\"failed\":%lu,\"closed\":%lu,\"answered\":%lu,\"refused\":%lu,"
           "\"asked\":%lu}\n",
           dialled, opened, failed, closed, answered, refused, asked);
    for (size_t i = 0; i < actor_count; i++) {
        pc_libp2p_host_free(actors[i].host);
        pc_libp2p_identity_free(actors[i].identity);
        (void)close(actors[i].fd);
    }
    free(actors);
    free(boast);
    return 0;
}
