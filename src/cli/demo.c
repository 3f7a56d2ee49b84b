/*
 * peercache demo: the main job on a local network of real nodes, each a process of its own with its own key
 * and UDP port.
 *
 *   first node ─listens─► other nodes ─joined and walked─► cold client ─► kill ─all dead─► warm client ─► end
 *
 * Every step waits for an event (a line, an exit), never for a time; timers only bound the whole. All
 * children are ended by their pid in every case, a signal to the demo included, and the directory of the
 * cache goes.
 */
#include "cli/child.h"
#include "cli/commands.h"
#include "cli/session.h"

#include <peercache/peercache.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STORY_MAX_MS   9000 /* then it has failed */
#define GRACE_MAX_MS   500  /* from SIGTERM to SIGKILL at the end */
#define NETWORK_MAX_MS 5000 /* nodes that have not walked by then are done without, if all listen */
#define ID_LETTERS     8    /* of a peer id in the timeline */
#define DIAL_MARK      " ms  dial      " /* as the timeline of -v writes it */

enum phase {
    PHASE_FIRST, /* the first node starts */
    PHASE_NODES, /* the others start, join through it and walk */
    PHASE_COLD,  /* a fresh client joins through the first node */
    PHASE_KILL,  /* the first and a third of the others die */
    PHASE_WARM,  /* a new client joins from the cache alone */
    PHASE_END,   /* all that is left is ended */
};

struct node {
    struct pc_cli_child child; /* first: a child's node */
    struct demo *demo;
    char addr[PEERCACHE_ADDR_TEXT_BYTES]; /* full multiaddr; "" until it listens */
    bool ready;                           /* its own join and walk are over */
    bool killed;
    char last_error[256]; /* last line on its standard error */
};

struct client {
    struct pc_cli_child child; /* first: a child's client */
    struct demo *demo;
    json_t *report;
    char dial[PC_CLI_TEXT_BYTES]; /* the line of the first of the dials that began together */
    uint32_t dials;               /* how many they are; 0: none to be told */
    int64_t process_us;           /* from its start to its exit */
};

struct demo {
    uv_loop_t loop;
    uv_timer_t deadline, network_deadline;
    uv_signal_t signals[3];
    const struct pc_cli_options *options;
    enum phase phase;
    struct node *nodes;
    uint32_t node_count, started, listening, ready, killed, killed_left;
    struct client cold, warm;
    char directory[PC_CLI_PATH_BYTES];
    char cache[PC_CLI_PATH_BYTES];
    uint64_t remembered;
    int64_t began_us;
    bool good;
    struct pc_reason why; /* it failed; the first reason */
};

__attribute__((format(printf, 2, 3))) static void say(const struct demo *demo, const char *format, ...)
{
    va_list args;
    if (demo->options->json)
        return;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

static int64_t elapsed_ms(const struct demo *demo)
{
    return ((int64_t)(uv_hrtime() / 1000) - demo->began_us) / 1000;
}

static void close_handle(uv_handle_t *handle)
{
    if (handle->data && !uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Nothing runs any more: let the loop end. */
static void close_when_empty(struct demo *demo)
{
    for (uint32_t i = 0; i < demo->node_count; i++)
        if (demo->nodes[i].child.running)
            return;
    if (demo->cold.child.running || demo->warm.child.running)
        return;
    for (uint32_t i = 0; i < demo->node_count; i++)
        pc_cli_child_close_outputs(&demo->nodes[i].child);
    close_handle((uv_handle_t *)&demo->deadline);
    close_handle((uv_handle_t *)&demo->network_deadline);
    for (size_t i = 0; i < sizeof(demo->signals) / sizeof(demo->signals[0]); i++)
        close_handle((uv_handle_t *)&demo->signals[i]);
}

static void signal_all(struct demo *demo, int signal_number)
{
    for (uint32_t i = 0; i < demo->node_count; i++)
        pc_cli_child_signal(&demo->nodes[i].child, signal_number);
    pc_cli_child_signal(&demo->cold.child, signal_number);
    pc_cli_child_signal(&demo->warm.child, signal_number);
}

static void on_grace_over(uv_timer_t *timer)
{
    signal_all((struct demo *)timer->data, SIGKILL);
}

static void end(struct demo *demo)
{
    if (demo->phase == PHASE_END)
        return;
    demo->phase = PHASE_END;
    signal_all(demo, SIGTERM);
    if (demo->deadline.data) /* else it failed before there was a timer, and a child */
        (void)uv_timer_start(&demo->deadline, on_grace_over, GRACE_MAX_MS, 0);
    close_when_empty(demo);
}

__attribute__((format(printf, 2, 3))) static void fail(struct demo *demo, const char *format, ...)
{
    va_list args;
    if (demo->phase == PHASE_END)
        return;
    va_start(args, format);
    (void)vsnprintf(demo->why.text, sizeof(demo->why.text), format, args);
    va_end(args);
    end(demo);
}

/* -- the clients ------------------------------------------------------------------------------------------
 */

/* A line of the client's timeline, the peer id in it cut to its end, by which people tell ids apart. */
static void say_shortened(const struct demo *demo, const char *line)
{
    char clean[PC_CLI_TEXT_BYTES];
    const char *id = strstr(pc_cli_clean(line, clean), "/p2p/");
    size_t length = id ? strcspn(id + 5, " ") : 0;
    if (length > ID_LETTERS)
        say(demo, "  %.*s…%s", (int)(id + 5 - clean), clean, id + 5 + length - ID_LETTERS);
    else
        say(demo, "  %s", clean);
}

/* Dials that began together are one line: "3.34 ms  dial  10 peers (dht)". */
static void dials_say(struct client *client)
{
    const char *rest = strstr(client->dial, DIAL_MARK);
    if (client->dials > 1 && rest)
        say(client->demo, "  %.*s%s%u peers  %s", (int)(rest - client->dial), client->dial, DIAL_MARK,
            client->dials, strrchr(client->dial, '('));
    else if (client->dials == 1)
        say_shortened(client->demo, client->dial);
    client->dials = 0;
}

static bool began_together(const char *a, const char *b)
{
    const char *a_mark = strstr(a, DIAL_MARK), *b_mark = strstr(b, DIAL_MARK);
    const char *a_via = strrchr(a, '('), *b_via = strrchr(b, '(');
    return a_mark && b_mark && a_via && b_via && a_mark - a == b_mark - b &&
           strncmp(a, b, (size_t)(a_mark - a)) == 0 && strcmp(a_via, b_via) == 0;
}

static void on_client_line(struct pc_cli_child *child, int output, const char *line)
{
    struct client *client = (struct client *)(void *)child;
    if (output == 0) {
        if (!client->report)
            client->report = json_loads(line, 0, NULL);
        return;
    }
    if (client->dials && began_together(client->dial, line)) {
        client->dials++;
        return;
    }
    dials_say(client);
    if (strstr(line, DIAL_MARK) && strrchr(line, '(') && strlen(line) < sizeof(client->dial)) {
        (void)snprintf(client->dial, sizeof(client->dial), "%s", line);
        client->dials = 1;
    } else
        say_shortened(client->demo, line);
}

static void client_start(struct demo *demo, struct client *client, const char *peer,
                         void (*on_done)(struct pc_cli_child *))
{
    const char *arguments[] = { "peercache", "join",      "--local", "--cache", demo->cache, "--json",
                                "-v",        "--timeout", "3s",      "--peer",  peer,        NULL };
    if (!peer)
        arguments[9] = NULL;
    client->demo = demo;
    client->child.on_line = on_client_line;
    client->child.on_done = on_done;
    int error = pc_cli_child_start(&client->child, &demo->loop, arguments);
    if (error)
        fail(demo, "the client can't be started: %s", uv_strerror(error));
}

/* What both joins must show. NULL: nothing is wrong. */
static const char *client_fault(struct client *client)
{
    const char *status = json_string_value(json_object_get(client->report, "status"));
    dials_say(client);
    client->process_us = client->child.exited_us - client->child.started_us;
    if (!status)
        return "gave no report";
    if (strcmp(status, "joined") != 0 && strcmp(status, "degraded") != 0)
        return "could not join";
    if (client->child.exit_status != 0)
        return "joined but did not exit with 0";
    if (json_array_size(json_object_get(client->report, "peers")) == 0)
        return "names no verified peer";
    return NULL;
}

static bool was_killed(const struct demo *demo, const char *id)
{
    for (uint32_t i = 0; i < demo->node_count; i++) {
        const char *node_id = strrchr(demo->nodes[i].addr, '/');
        if (demo->nodes[i].killed && node_id && strcmp(node_id + 1, id) == 0)
            return true;
    }
    return false;
}

/* The rejoin is real: every peer came from memory (or from those who did), and none of them is dead. */
static const char *warm_fault(struct demo *demo)
{
    const json_t *peers = json_object_get(demo->warm.report, "peers");
    const char *fault = client_fault(&demo->warm);
    for (size_t i = 0; !fault && i < json_array_size(peers); i++) {
        const json_t *peer = json_array_get(peers, i);
        const char *id = json_string_value(json_object_get(peer, "id"));
        const char *via = json_string_value(json_object_get(peer, "via"));
        if (!id || !via || (strcmp(via, "cache") != 0 && strcmp(via, "dht") != 0))
            fault = "has a peer from elsewhere than its memory";
        else if (was_killed(demo, id))
            fault = "claims to have verified a peer that is dead";
    }
    return fault;
}

static void on_warm_done(struct pc_cli_child *child)
{
    struct demo *demo = ((struct client *)(void *)child)->demo;
    if (demo->phase == PHASE_END) {
        close_when_empty(demo);
        return;
    }
    const char *fault = warm_fault(demo);
    if (fault) {
        fail(demo, "the rejoining client %s", fault);
        return;
    }
    demo->good = true;
    end(demo);
}

/* -- the killing ------------------------------------------------------------------------------------------
 */

static int count_visit(void *context, const peercache_peer *peer)
{
    (void)peer;
    ++*(uint64_t *)context;
    return 0;
}

static int count_remembered(struct demo *demo)
{
    peercache *cache = NULL;
    peercache_options *options = peercache_options_new();
    if (!options)
        return PEERCACHE_ENOMEM;
    peercache_options_set_local(options, true);
    peercache_options_set_read_only(options, true);
    int error = peercache_open(demo->cache, "ipfs", options, &cache);
    if (!error)
        error = peercache_iterate(cache, count_visit, &demo->remembered);
    peercache_close(cache);
    peercache_options_free(options);
    return error;
}

static void on_killed(struct demo *demo)
{
    if (demo->phase != PHASE_KILL || demo->killed_left > 0)
        return;
    demo->phase = PHASE_WARM;
    say(demo, "\nwarm: a new process, no --peer, only the cache");
    client_start(demo, &demo->warm, NULL, on_warm_done);
}

static void kill_some(struct demo *demo)
{
    demo->phase = PHASE_KILL;
    demo->killed = demo->killed_left = 1 + (demo->node_count - 1) / 3;
    say(demo, "\nkilled: the first peer and %u of the other %u", demo->killed - 1, demo->node_count - 1);
    /* the first, and every third of the others */
    for (uint32_t i = 0, left = demo->killed; i < demo->node_count && left > 0; i++)
        if (i % 3 == 0) {
            demo->nodes[i].killed = true;
            pc_cli_child_signal(&demo->nodes[i].child, SIGKILL);
            left--;
        }
}

static void on_cold_done(struct pc_cli_child *child)
{
    struct demo *demo = ((struct client *)(void *)child)->demo;
    if (demo->phase == PHASE_END) {
        close_when_empty(demo);
        return;
    }
    const char *fault = client_fault(&demo->cold);
    if (fault) {
        fail(demo, "the fresh client %s", fault);
        return;
    }
    if (!json_is_true(json_object_get(demo->cold.report, "saved"))) {
        fail(demo, "the fresh client did not save its cache");
        return;
    }
    int error = count_remembered(demo);
    if (error) {
        fail(demo, "the cache of the fresh client can't be read: %s", peercache_strerror(error));
        return;
    }
    kill_some(demo);
}

/* -- the nodes --------------------------------------------------------------------------------------------
 */

static void node_start(struct demo *demo, struct node *node);

static void start_cold(struct demo *demo)
{
    if (demo->phase != PHASE_NODES)
        return;
    demo->phase = PHASE_COLD;
    (void)uv_timer_stop(&demo->network_deadline);
    say(demo, "network up after %lld ms: %u nodes listen, %u of %u joined through the first and walked",
        (long long)elapsed_ms(demo), demo->listening, demo->ready, demo->node_count - 1);
    say(demo, "\ncold: a fresh client that knows one peer\n  %s", demo->nodes[0].addr);
    client_start(demo, &demo->cold, demo->nodes[0].addr, on_cold_done);
}

static void on_network_deadline(uv_timer_t *timer)
{
    struct demo *demo = (struct demo *)timer->data;
    if (demo->phase > PHASE_NODES)
        return;
    if (demo->listening < demo->node_count)
        fail(demo, "only %u of %u nodes listen after %d ms", demo->listening, demo->node_count,
             NETWORK_MAX_MS);
    else
        start_cold(demo);
}

static void node_listens(struct node *node, const char *addr)
{
    struct demo *demo = node->demo;
    if (*node->addr || !addr || strlen(addr) >= sizeof(node->addr))
        return;
    (void)snprintf(node->addr, sizeof(node->addr), "%s", addr);
    demo->listening++;
    if (demo->phase != PHASE_FIRST)
        return;
    demo->phase = PHASE_NODES;
    for (uint32_t i = 1; i < demo->node_count && demo->phase == PHASE_NODES; i++)
        node_start(demo, &demo->nodes[i]);
}

static void on_node_line(struct pc_cli_child *child, int output, const char *line)
{
    struct node *node = (struct node *)(void *)child;
    struct demo *demo = node->demo;
    if (output == 1) {
        char clean[PC_CLI_TEXT_BYTES];
        (void)snprintf(node->last_error, sizeof(node->last_error), "%s", pc_cli_clean(line, clean));
        return;
    }
    json_t *object = json_loads(line, 0, NULL);
    const char *event = json_string_value(json_object_get(object, "event"));
    if (event && strcmp(event, "listening") == 0)
        node_listens(node, json_string_value(json_object_get(object, "addr")));
    if (event && strcmp(event, "walked") == 0 && !node->ready && node != &demo->nodes[0]) {
        node->ready = true;
        demo->ready++;
    }
    json_decref(object);
    if (demo->phase == PHASE_NODES && demo->ready == demo->node_count - 1)
        start_cold(demo);
}

static void on_node_done(struct pc_cli_child *child)
{
    struct node *node = (struct node *)(void *)child;
    struct demo *demo = node->demo;
    if (node->killed && demo->killed_left > 0)
        demo->killed_left--;
    else if (demo->phase != PHASE_END)
        fail(demo, "node %u ended on its own (%lld): %.100s", (unsigned)(node - demo->nodes),
             (long long)child->exit_status, node->last_error);
    on_killed(demo);
    if (demo->phase == PHASE_END)
        close_when_empty(demo);
}

static void node_start(struct demo *demo, struct node *node)
{
    const char *arguments[] = { "peercache",  "run",      "--local",
                                "--no-cache", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1",
                                "--json",     "--peer",   demo->nodes[0].addr,
                                NULL };
    if (node == &demo->nodes[0])
        arguments[7] = NULL;
    node->demo = demo;
    node->child.on_line = on_node_line;
    node->child.on_done = on_node_done;
    int error = pc_cli_child_start(&node->child, &demo->loop, arguments);
    if (error)
        fail(demo, "a node can't be started: %s", uv_strerror(error));
}

/* -- the whole --------------------------------------------------------------------------------------------
 */

static void on_deadline(uv_timer_t *timer)
{
    struct demo *demo = (struct demo *)timer->data;
    static const char *const phases[] = { "the first node started",  "the network came up",
                                          "the fresh client joined", "the killed nodes died",
                                          "the client rejoined",     "the end" };
    fail(demo, "not done after %d ms: it ran out before %s", STORY_MAX_MS, phases[demo->phase]);
}

static void on_signal(uv_signal_t *signal_handle, int signal_number)
{
    fail((struct demo *)signal_handle->data, "interrupted by signal %d", signal_number);
}

static bool directory_make(struct demo *demo)
{
    const char *temporary = getenv("TMPDIR");
    int length = snprintf(demo->directory, sizeof(demo->directory), "%s/peercache-demo-XXXXXX",
                          temporary && *temporary ? temporary : "/tmp");
    errno = ENAMETOOLONG;
    if (length < 0 || (size_t)length + sizeof("/peers.db") > sizeof(demo->directory) ||
        !mkdtemp(demo->directory)) {
        demo->directory[0] = '\0'; /* nothing to remove */
        return false;
    }
    memcpy(demo->cache, demo->directory, (size_t)length);
    memcpy(demo->cache + length, "/peers.db", sizeof("/peers.db"));
    return true;
}

/* The directory holds the files of one cache and nothing else. */
static void directory_remove(const char *path)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;
    if (!directory) {
        pc_cli_note("can't open %s to remove it: %s", path, strerror(errno));
        return;
    }
    while ((entry = readdir(directory)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(dirfd(directory), entry->d_name, 0) != 0)
            pc_cli_note("can't remove %s/%s: %s", path, entry->d_name, strerror(errno));
    closedir(directory);
    if (rmdir(path) != 0)
        pc_cli_note("can't remove %s: %s", path, strerror(errno));
}

/* "cold: 5 peers verified in 31.2 ms (process 48 ms), 8 dials, 0 failed; …" */
static void closing_line(const char *name, const struct client *client, const char *rest)
{
    char ms[PC_CLI_MS_BYTES], process[PC_CLI_MS_BYTES];
    const json_t *r = client->report;
    printf("%s %d peers verified in %s ms (process %s ms), %d dialled, %d failed; %s\n", name,
           (int)json_integer_value(json_object_get(r, "verified")),
           pc_cli_ms((int64_t)(json_number_value(json_object_get(r, "elapsed_ms")) * 1000), ms),
           pc_cli_ms(client->process_us, process), (int)json_integer_value(json_object_get(r, "dialed")),
           (int)json_integer_value(json_object_get(r, "failed")), rest);
}

static enum pc_cli_exit tell(struct demo *demo)
{
    char rest[PC_CLI_TEXT_BYTES];
    if (!demo->good)
        return pc_cli_fail(demo->options->json, PC_CLI_COULD_NOT, "demo_failed", "demo: %s", demo->why.text);
    if (demo->options->json)
        return pc_cli_json_print(json_pack("{s:s,s:I,s:I,s:I,s:O,s:O}", "status", "rejoined", "nodes",
                                           (json_int_t)demo->node_count, "killed", (json_int_t)demo->killed,
                                           "remembered", (json_int_t)demo->remembered, "cold",
                                           demo->cold.report, "warm", demo->warm.report))
                   ? PC_CLI_DONE
                   : PC_CLI_COULD_NOT;
    printf("\n");
    (void)snprintf(rest, sizeof(rest), "one peer given, %llu remembered",
                   (unsigned long long)demo->remembered);
    closing_line("cold:", &demo->cold, rest);
    (void)snprintf(rest, sizeof(rest), "none given, %u of %u nodes dead", demo->killed, demo->node_count);
    closing_line("warm:", &demo->warm, rest);
    return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}

static int handles_init(struct demo *demo)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
    int error = uv_timer_init(&demo->loop, &demo->deadline);
    if (error)
        return error;
    demo->deadline.data = demo;
    error = uv_timer_init(&demo->loop, &demo->network_deadline);
    if (error)
        return error;
    demo->network_deadline.data = demo;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        error = uv_signal_init(&demo->loop, &demo->signals[i]);
        if (error)
            return error;
        demo->signals[i].data = demo;
        error = uv_signal_start(&demo->signals[i], on_signal, numbers[i]);
        if (error)
            return error;
    }
    error = uv_timer_start(&demo->deadline, on_deadline, STORY_MAX_MS, 0);
    return error ? error : uv_timer_start(&demo->network_deadline, on_network_deadline, NETWORK_MAX_MS, 0);
}

static enum pc_cli_exit demo_run(struct demo *demo)
{
    int error = uv_loop_init(&demo->loop);
    if (error)
        return pc_cli_fail(demo->options->json, PC_CLI_COULD_NOT, "io", "no event loop: %s",
                           uv_strerror(error));
    error = handles_init(demo);
    if (error)
        fail(demo, "timers and signals: %s", uv_strerror(error));
    else if (!directory_make(demo))
        fail(demo, "no temporary directory can be made: %s", strerror(errno));
    else
        node_start(demo, &demo->nodes[0]);
    (void)uv_run(&demo->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&demo->loop); /* busy only if a handle was forgotten, which the leak checker tells */
    if (*demo->directory)
        directory_remove(demo->directory);
    return tell(demo);
}

enum pc_cli_exit pc_cli_demo(const struct pc_cli_options *options)
{
    struct demo demo = { .options = options, .node_count = options->nodes };
    demo.began_us = (int64_t)(uv_hrtime() / 1000);
    demo.nodes = (struct node *)calloc(demo.node_count, sizeof(*demo.nodes));
    if (!demo.nodes)
        return pc_cli_fail(options->json, PC_CLI_COULD_NOT, "no_memory", "out of memory");
    say(&demo, "%u nodes on 127.0.0.1, each a process with its own key and UDP port, speaking QUIC",
        demo.node_count);
    enum pc_cli_exit exit = demo_run(&demo);
    json_decref(demo.cold.report);
    json_decref(demo.warm.report);
    free(demo.nodes);
    return exit;
}
