/*
 * A node of which nothing is run but its HTTP: serve_http PLACE CONNECTION_MS PEERS. It prints where it serves, and each
 * time it reads a line "?" how many connections and descriptors are open; the end of its input ends it. What cannot be
 * served is said as "error CODE TEXT", with status 1.
 */
#include "driver/http_server.h"

#include "driver/clock.h"
#include "node/share.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct pc_node *node;
static struct pc_driver_http_server *server;
static struct pc_driver_clock wall;
static uv_loop_t loop;
static uv_poll_t input;

static void look(void *context, struct pc_observation *ret_observation)
{
    (void)context;
    *ret_observation = (struct pc_observation){
        .version = "0.1.0", .network = "test", .store_path = "", .store_problem = ""
    };
    pc_node_status_of(node, pc_driver_clock_now(&wall), &ret_observation->node);
}

static int each_peer(void *context, size_t count, int (*visit)(void *, const struct pc_record *),
                     void *visit_context)
{
    (void)context;
    return pc_node_share(node, count, visit, visit_context);
}

static void answer(void *context, const struct pc_observe_request *request,
                   struct pc_observe_answer *ret_answer)
{
    const struct pc_observe_source source = { .look = look,
                                              .each_peer = each_peer,
                                              .now_ms = pc_driver_clock_now(&wall).wall_ms };
    (void)context;
    pc_observe_answer(request, &source, ret_answer);
}

static void step(const struct pc_node_event *event)
{
    const struct pc_node_action *actions;
    (void)pc_node_step(node, pc_driver_clock_now(&wall), event, &actions);
}

static struct pc_peer_id id_of(struct pc_rng *rng)
{
    struct pc_peer_id id = { .size = 38, .bytes = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 } };
    pc_base_rng_bytes(rng, id.bytes + 6, 32);
    return id;
}

static void load(struct pc_rng *rng, uint32_t number)
{
    struct pc_record record;
    struct pc_peer_id id = id_of(rng);
    const struct pc_ip_port where = { .family = 4,
                                      .ip = { 127, 1, (uint8_t)(number >> 8), (uint8_t)number },
                                      .port = 4001 };
    pc_cache_record_init(&record, &id);
    record.addr_count = 1;
    record.addrs[0] = (struct pc_record_addr){ .source = PEERCACHE_SOURCE_DHT };
    pc_addr_from_ip_port(&where, &record.addrs[0].addr);
    pc_cache_history_init(&record.addrs[0].history);
    record.addrs[0].history.last_seen_ms = 1;
    step(&(struct pc_node_event){ .kind = PC_NODE_LOADED, .record = &record });
}

static int make_node(uint32_t peers)
{
    struct pc_rng rng;
    struct pc_maddr own;
    pc_base_rng_init_u64(&rng, 1);
    struct pc_node_options options = { .own_id = id_of(&rng),
                                       .kad_protocol = "/test/kad/1.0.0",
                                       .server = true,
                                       .mode = PC_NETGROUP_LOCAL,
                                       .target = 5,
                                       .min = 1,
                                       .timeout_us = 1000000,
                                       .rng = rng };
    int result = pc_node_new(&options, &node);
    if (result != 0)
        return result;
    pc_addr_from_ip_port(&(struct pc_ip_port){ .family = 4, .ip = { 127, 0, 0, 1 }, .port = 4001 }, &own);
    step(&(struct pc_node_event){ .kind = PC_NODE_LISTENING, .addr = pc_addr_maddr_bytes(&own) });
    for (uint32_t i = 0; i < peers; i++)
        load(&rng, i);
    return 0;
}

static size_t count_descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}

static void on_input(uv_poll_t *poll, int status, int events)
{
    char text[64];
    (void)events;
    ssize_t size = status == 0 ? read(STDIN_FILENO, text, sizeof(text)) : 0;
    if (size > 0) {
        printf("%zu %zu\n", pc_driver_http_server_connections(server), count_descriptors());
        (void)fflush(stdout);
        return;
    }
    pc_driver_http_server_close(server);
    server = NULL;
    uv_close((uv_handle_t *)poll, NULL);
}

int main(int argc, char **argv)
{
    struct pc_driver_http_options options = { .answer = answer };
    struct pc_reason reason = { "" };
    char text[PC_DRIVER_HTTP_PLACE_BYTES];
    if (argc != 4)
        return 2;
    pc_driver_clock_init(&wall);
    options.connection_ms = atoi(argv[2]);
    int result = uv_loop_init(&loop);
    if (result == 0)
        result = make_node((uint32_t)atoi(argv[3]));
    if (result == 0)
        result = pc_driver_http_place_parse(argv[1], &options.place, &reason);
    if (result == 0)
        result = pc_driver_http_server_new(&loop, &options, &server, &reason);
    if (result == 0) {
        pc_driver_http_place_format(pc_driver_http_server_place(server), text);
        printf("%s\n", text);
        (void)fflush(stdout);
        (void)uv_poll_init(&loop, &input, STDIN_FILENO);
        (void)uv_poll_start(&input, UV_READABLE, on_input);
        (void)uv_run(&loop, UV_RUN_DEFAULT);
    } else {
        printf("error %d %s\n", result, reason.text);
        (void)uv_run(&loop, UV_RUN_DEFAULT);
    }
    pc_node_free(node);
    int busy = uv_loop_close(&loop);
    return result != 0 || busy != 0;
}
