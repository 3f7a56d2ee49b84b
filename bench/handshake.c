/*
 * Handshakes over real sockets on loopback: one after another, 50 in flight, CPU time of each side, memory of
 * a connection; beside the cryptographic floor of the same machine in the same run.
 *
 * A child process is the server, so that the operating system accounts for each side apart. A handshake
 * counts once it is OPENED: proven, confirmed and identified, as a join counts it. The floor is what no
 * implementation of libp2p's TLS can do without, measured with the same libraries: a side makes an X25519 key
 * and derives a secret, signs its CertificateVerify (P-256), checks the peer's (P-256), the self-signature of
 * its certificate (P-256) and the signature of its host key (Ed25519).
 */
#include "base/time.h"
#include "libp2p/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/abstract.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KAD             "/bench/kad/1.0.0"
#define DIAL_TIMEOUT_US (5 * PC_US_PER_S)

_Noreturn static void die(const char *what)
{
    (void)fprintf(stderr, "handshake: %s: %s\n", what, strerror(errno));
    exit(1);
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

static int64_t cpu_us(int who)
{
    struct rusage usage;
    (void)getrusage(who, &usage);
    return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * PC_US_PER_S + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

struct side {
    int fd;
    struct pc_identity *identity;
    struct pc_libp2p_host *host;
};

static void open_side(struct side *side, bool server, uint16_t *ret_port)
{
    uint8_t seed[32], key[PC_PRIVATE_KEY_MAX_BYTES];
    size_t key_size;
    struct pc_libp2p_options options;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    const int buffer_bytes = 4 << 20;

    side->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (side->fd < 0 || bind(side->fd, (struct sockaddr *)&address, sizeof(address)) ||
        getsockname(side->fd, (struct sockaddr *)&address, &size))
        die("socket");
    (void)setsockopt(side->fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
    *ret_port = ntohs(address.sin_port);

    randombytes_buf(seed, sizeof(seed));
    if (pc_libp2p_key_generate(seed, key, sizeof(key), &key_size) ||
        pc_libp2p_identity_new(pc_bytes_of(key, key_size), clock_now().wall_ms, &side->identity, NULL))
        die("identity");
    pc_libp2p_options_init(&options);
    options.identity = side->identity;
    options.kad_protocol = KAD;
    options.agent = "bench";
    options.server = server;
    options.connections_max = 100000;
    options.limits = (struct pc_libp2p_limits){ 0 }; /* the rate is what is measured */
    randombytes_buf(seed, sizeof(seed));
    pc_base_rng_init(&options.rng, seed);
    if (pc_libp2p_host_new(&options, &side->host))
        die("host");
}

static void close_side(struct side *side)
{
    pc_libp2p_host_free(side->host);
    pc_libp2p_identity_free(side->identity);
    (void)close(side->fd);
}

static void send_all(struct side *side)
{
    uint8_t bytes[PC_LIBP2P_DATAGRAM_MAX_BYTES];
    for (;;) {
        struct pc_datagram datagram = { .data = bytes, .size = sizeof(bytes) };
        if (!pc_libp2p_host_send(side->host, clock_now(), &datagram))
            return;
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(datagram.remote.port) };
        memcpy(&to.sin_addr, datagram.remote.ip, 4);
        if (sendto(side->fd, datagram.data, datagram.size, 0, (struct sockaddr *)&to, sizeof(to)) < 0 &&
            errno != EAGAIN)
            die("sendto");
    }
}

/* Wait for datagrams or a timer, and serve them. */
static void turn(struct side *side, uint16_t port)
{
    uint8_t bytes[2048];
    int64_t deadline = pc_libp2p_host_deadline(side->host);
    int64_t wait_us = deadline == PC_TIME_NEVER ? 100000 : deadline - clock_now().mono_us;
    struct pollfd poll_fd = { .fd = side->fd, .events = POLLIN };
    struct timespec wait = { 0 };
    if (wait_us > 0) {
        wait.tv_sec = (time_t)(wait_us / PC_US_PER_S);
        wait.tv_nsec = (long)(wait_us % PC_US_PER_S) * 1000;
    }
    (void)ppoll(&poll_fd, 1, &wait, NULL);
    for (unsigned burst = 0; burst < 64; burst++) {
        struct sockaddr_in from;
        socklen_t size = sizeof(from);
        ssize_t got = recvfrom(side->fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &size);
        if (got < 0)
            break;
        struct pc_datagram datagram = {
            .local = { .family = 4, .ip = { 127, 0, 0, 1 }, .port = port },
            .remote = { .family = 4, .port = ntohs(from.sin_port) },
            .data = bytes,
            .size = (size_t)got,
        };
        memcpy(datagram.remote.ip, &from.sin_addr, 4);
        pc_libp2p_host_receive(side->host, clock_now(), &datagram);
    }
    pc_libp2p_host_expire(side->host, clock_now());
    send_all(side);
}

static void serve(struct side *side, uint16_t port)
{
    struct pc_libp2p_event event;
    for (;;) {
        turn(side, port);
        while (pc_libp2p_host_next_event(side->host, &event))
            ;
        send_all(side);
    }
}

static int compare_i64(const void *a, const void *b)
{
    int64_t left, right;
    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return left < right ? -1 : left > right;
}

struct figures {
    int64_t wall_us;
    int64_t client_cpu_us;
    int64_t proven_us; /* medians */
    int64_t opened_us;
};

static struct figures dial_many(struct side *side, uint16_t port, uint16_t server_port, size_t count,
                                size_t in_flight, bool close_each)
{
    const struct pc_ip_port server = { .family = 4, .ip = { 127, 0, 0, 1 }, .port = server_port };
    static uint64_t number;
    int64_t *proven = calloc(count, sizeof(*proven)), *opened = calloc(count, sizeof(*opened));
    int64_t *started = calloc(count, sizeof(*started));
    if (!proven || !opened || !started)
        die("memory");
    uint64_t first = number + 1;
    size_t begun = 0, ended = 0;
    int64_t wall = clock_now().mono_us, cpu = cpu_us(RUSAGE_SELF);
    while (ended < count) {
        struct pc_libp2p_event event;
        while (begun < count && begun - ended < in_flight) {
            peercache_time now = clock_now();
            started[begun++] = now.mono_us;
            if (pc_libp2p_host_dial(side->host, now, ++number, &server, NULL, now.mono_us + DIAL_TIMEOUT_US))
                die("dial");
        }
        send_all(side);
        turn(side, port);
        while (pc_libp2p_host_next_event(side->host, &event)) {
            if (event.connection < first)
                continue;
            if (event.kind == PC_LIBP2P_FAILED) {
                (void)fprintf(stderr, "handshake: failed: %s\n", event.detail);
                exit(1);
            }
            if (event.kind != PC_LIBP2P_OPENED)
                continue;
            proven[ended] = event.proven_us;
            opened[ended++] = clock_now().mono_us - started[event.connection - first];
            if (close_each)
                pc_libp2p_host_close(side->host, clock_now(), event.connection, 0);
        }
        send_all(side);
    }
    struct figures figures = {
        .wall_us = clock_now().mono_us - wall,
        .client_cpu_us = cpu_us(RUSAGE_SELF) - cpu,
    };
    qsort(proven, count, sizeof(*proven), compare_i64);
    qsort(opened, count, sizeof(*opened), compare_i64);
    figures.proven_us = proven[count / 2];
    figures.opened_us = opened[count / 2];
    free(proven);
    free(opened);
    free(started);
    return figures;
}

/* CPU time of one side's cryptography, in nanoseconds. */
static int64_t crypto_floor_ns(void)
{
    enum { ROUNDS = 500 };
    static const uint8_t message[130] = "what is signed";
    const gnutls_datum_t data = { (unsigned char *)(uintptr_t)message, sizeof(message) };
    gnutls_privkey_t p256;
    gnutls_pubkey_t p256_public;
    gnutls_datum_t signature;
    uint8_t public_key[32], secret_key[64], ed25519_signature[64], x_public[32], x_secret[32], shared[32];
    if (gnutls_privkey_init(&p256) || gnutls_pubkey_init(&p256_public) ||
        gnutls_privkey_generate(p256, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) ||
        gnutls_pubkey_import_privkey(p256_public, p256, 0, 0))
        die("P-256");
    (void)crypto_sign_keypair(public_key, secret_key);
    (void)crypto_sign_detached(ed25519_signature, NULL, message, sizeof(message), secret_key);
    int64_t began = cpu_us(RUSAGE_SELF);
    for (int i = 0; i < ROUNDS; i++) {
        (void)crypto_box_keypair(x_public, x_secret);
        if (crypto_scalarmult(shared, x_secret, x_public) ||
            gnutls_privkey_sign_data2(p256, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, 0, &data, &signature) ||
            gnutls_pubkey_verify_data2(p256_public, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, 0, &data,
                                       &signature) ||
            gnutls_pubkey_verify_data2(p256_public, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, 0, &data,
                                       &signature) ||
            crypto_sign_verify_detached(ed25519_signature, message, sizeof(message), public_key))
            die("cryptography");
        gnutls_free(signature.data);
    }
    int64_t spent_us = cpu_us(RUSAGE_SELF) - began;
    gnutls_privkey_deinit(p256);
    gnutls_pubkey_deinit(p256_public);
    return spent_us * 1000 / ROUNDS;
}

/* CPU time of the server process so far, in microseconds: utime and stime of /proc/PID/stat in clock ticks.
 */
static int64_t server_cpu_us(pid_t pid)
{
    char path[64], text[1024];
    unsigned long long user = 0, kernel = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file) {
        unsigned long long on_cpu_ns;
        int got = fscanf(file, "%llu", &on_cpu_ns);
        (void)fclose(file);
        if (got == 1)
            return (int64_t)(on_cpu_ns / 1000);
    }
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (!file || !fgets(text, sizeof(text), file))
        die(path);
    (void)fclose(file);
    const char *after_name = strrchr(text, ')');
    if (!after_name ||
        sscanf(after_name, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &kernel) != 2)
        die(path);
    return (int64_t)((user + kernel) * (unsigned long long)PC_US_PER_S /
                     (unsigned long long)sysconf(_SC_CLK_TCK));
}

static long resident_kb(pid_t pid)
{
    char path[64];
    long total, resident;
    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%ld %ld", &total, &resident) != 2)
        die(path);
    (void)fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void report(const char *name, const struct figures *figures, size_t count, int64_t server_us,
                   int64_t floor_ns)
{
    double client = (double)figures->client_cpu_us / (double)count,
           server = (double)server_us / (double)count;
    double floor_us = (double)floor_ns / 1000;
    (void)printf("%-18s %8.0f /s  proven %6.2f ms  opened %6.2f ms  cpu client %5.0f us (%.1f x floor)"
                 "  server %5.0f us (%.1f x floor)\n",
                 name, (double)count * 1e6 / (double)figures->wall_us, (double)figures->proven_us / 1000,
                 (double)figures->opened_us / 1000, client, client / floor_us, server, server / floor_us);
}

int main(int argc, char **argv)
{
    struct side server, client;
    uint16_t server_port, client_port;
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    if (sodium_init() < 0 || count == 0 || count > 100000)
        die("usage: handshake [COUNT]");
    int64_t floor_ns = crypto_floor_ns();
    (void)printf("cryptographic floor (X25519, P-256, Ed25519): %lld us of CPU a side\n",
                 (long long)floor_ns / 1000);

    open_side(&server, true, &server_port);
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        serve(&server, server_port);
    close_side(&server);
    open_side(&client, false, &client_port);
    (void)dial_many(&client, client_port, server_port, 50, 1, true); /* warm-up: connections 1 to 50 */

    /* Memory: resident pages of each process before and after connections that stay
     * open; before anything else has made the heap grow. */
    long client_before = resident_kb(getpid()), server_before = resident_kb(pid);
    size_t kept = count < 500 ? count : 500;
    (void)dial_many(&client, client_port, server_port, kept, 20, false);
    long client_after = resident_kb(getpid()), server_after = resident_kb(pid);
    for (uint64_t number = 51; number <= 50 + kept; number++)
        pc_libp2p_host_close(client.host, clock_now(), number, 0);
    (void)printf("memory a connection, %zu open: client %.1f KB, server %.1f KB resident\n", kept,
                 (double)(client_after - client_before) / (double)kept,
                 (double)(server_after - server_before) / (double)kept);

    static const struct {
        const char *name;
        size_t in_flight;
    } runs[] = { { "one after another", 1 }, { "50 in flight", 50 } };
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        int64_t cpu_before = server_cpu_us(pid);
        struct figures figures = dial_many(&client, client_port, server_port, count, runs[i].in_flight, true);
        report(runs[i].name, &figures, count, server_cpu_us(pid) - cpu_before, floor_ns);
    }

    close_side(&client);
    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, NULL, 0);
    return 0;
}
