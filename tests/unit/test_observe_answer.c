/* Requests in, answers out: the paths, readiness in words, and the peers as an endpoint's documents. */
#include "check.h"

#include "observe_check.h"

#include "observe/answer.h"

#include <peercache/types.h>

#include <string.h>

#define PEERS 3

static struct pc_observation observed;
static struct pc_record peers[PEERS];
static int peers_fail;
static unsigned looks;
static struct pc_observe_answer answer;

static void look(void *context, struct pc_observation *ret_observation)
{
    (void)context;
    looks++;
    *ret_observation = observed;
}

static int each_peer(void *context, size_t count, int (*visit)(void *, const struct pc_record *),
                     void *visit_context)
{
    int result = peers_fail;
    (void)context;
    assert_int_equal(count, PC_OBSERVE_PEERS_MAX);
    for (size_t i = 0; i < PEERS && result == 0; i++)
        result = visit(visit_context, &peers[i]);
    return result;
}

static struct pc_observe_source source = {
    .look = look, .each_peer = each_peer, .network_version = "1_1.0", .now_ms = INT64_C(1700000000000)
};

static void ask_with(const char *target, const char *cache_version, const char *if_none_match)
{
    const struct pc_observe_request request = { .target = target,
                                                .cache_version = cache_version,
                                                .if_none_match = if_none_match };
    pc_observe_text_deinit(&answer.body);
    pc_observe_answer(&request, &source, &answer);
    assert_int_equal(answer.body.error, 0);
}

static void ask(const char *target)
{
    ask_with(target, NULL, NULL);
}

static int prepare(void **state)
{
    (void)state;
    example_observation(&observed);
    for (uint32_t i = 0; i < PEERS; i++) {
        struct pc_peer_id id = example_id(10 + i);
        pc_cache_record_init(&peers[i], &id);
        peers[i].addr_count = 1;
        peers[i].addrs[0] = (struct pc_record_addr){ .addr = example_addr(10 + i) };
        pc_cache_history_init(&peers[i].addrs[0].history);
    }
    peers_fail = 0;
    looks = 0;
    return 0;
}

static int drop(void **state)
{
    (void)state;
    pc_observe_text_deinit(&answer.body);
    return 0;
}

static void test_alive(void **state)
{
    (void)state;
    ask("/healthz");
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body.data, "ok\n");
    assert_string_equal(answer.content_type, "text/plain; charset=utf-8");
    assert_string_equal(answer.cache_control, "no-store");
    assert_int_equal(looks, 0); /* it needs nothing of the node */
}

static void test_ready(void **state)
{
    static const struct {
        enum pc_node_standing standing;
        const char *cause, *next_step;
        unsigned status;
        const char *body;
    } rows[] = {
        { PC_NODE_IDLE, "", "", 503, "idle\n" },
        { PC_NODE_JOINING, "", "", 503, "joining\n" },
        { PC_NODE_JOINED, "", "", 200, "joined: 3 of 5 peers verified\n" },
        { PC_NODE_DEGRADED, "too_few", "Wait.", 200, "degraded: 3 of 5 peers verified\n" },
        { PC_NODE_FAILED, "offline", "Look.", 503, "failed: offline: Look.\n" },
        { PC_NODE_JOINING, "offline", "Look.", 503, "joining: offline: Look.\n" },
        { PC_NODE_STOPPING, "", "", 503, "stopping\n" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        observed.node.standing = rows[i].standing;
        observed.node.cause = rows[i].cause;
        observed.node.next_step = rows[i].next_step;
        ask("/readyz");
        assert_int_equal(answer.status, rows[i].status);
        assert_string_equal(answer.body.data, rows[i].body);
    }
}

static void test_views(void **state)
{
    (void)state;
    ask("/metrics");
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(strstr(answer.body.data, "# TYPE peercache_dials_total counter\n"));
    ask("/status.json?pretty");
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.content_type, "application/json");
    ask("http://node.example:9100/healthz");
    assert_string_equal(answer.body.data, "ok\n");
}

static void test_no_such_path(void **state)
{
    static const char *const targets[] = { "/",         "",         "*",           "healthz",   "/healthz/",
                                           "//healthz", "/Healthz", "/metrics%20", "/peers/x",  "http://",
                                           "http://x",  "?",        "/%2e%2e/x",   "/healthz#x" };
    (void)state;
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        ask(targets[i]);
        assert_int_equal(answer.status, 404);
        assert_non_null(strstr(answer.body.data, "/healthz\n"));
        assert_non_null(strstr(answer.body.data, "/bootstrap_cache.json\n"));
    }
}

/* Whoever fetches it reads every peer that was given. */
static void assert_read_back(const struct pc_observe_text *body, enum pc_format format)
{
    const struct pc_format_options options = { .format = PC_FORMAT_UNKNOWN };
    struct pc_format_reader *reader;
    assert_int_equal(pc_format_reader_new(&options, &reader), 0);
    assert_int_equal(pc_format_reader_feed(reader, pc_bytes_of(body->data, body->size)), 0);
    assert_int_equal(pc_format_reader_finish(reader), 0);
    const struct pc_format_summary *summary = pc_format_reader_summary(reader);
    assert_int_equal(summary->format, format);
    assert_int_equal(summary->accepted, PEERS);
    assert_int_equal(summary->rejected, 0);
    pc_format_reader_free(reader);
}

static void test_formats(void **state)
{
    char target[64], addr[512];
    struct pc_peer_id id = example_id(11);
    struct pc_maddr maddr = example_addr(11);
    (void)state;
    assert_int_equal(pc_addr_format_with_id(pc_addr_maddr_bytes(&maddr), &id, addr, sizeof(addr)), 0);
    for (unsigned i = PC_FORMAT_UNKNOWN + 1; i < PC_FORMAT_COUNT; i++) {
        (void)snprintf(target, sizeof(target), "/peers?format=%s", pc_format_name((enum pc_format)i));
        ask(target);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.cache_control, "public, max-age=60");
        assert_non_null(strstr(answer.body.data, addr));
        assert_read_back(&answer.body, (enum pc_format)i);
        assert_string_equal(answer.content_type,
                            i == PC_FORMAT_TEXT ? "text/plain; charset=utf-8" : "application/json");
    }
    ask("/peers");
    assert_int_equal(strncmp(answer.body.data, "{\n\"metadata\":", 13), 0);
}

static void test_bad_formats(void **state)
{
    static const char *const targets[] = { "/peers?format=",
                                           "/peers?format=unknown",
                                           "/peers?format=TEXT",
                                           "/peers?format=text&",
                                           "/peers?format",
                                           "/peers?n=5",
                                           "/peers?format=0123456789012345678901234567890123456789" };
    (void)state;
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        ask(targets[i]);
        assert_int_equal(answer.status, 400);
        assert_string_equal(answer.etag, "");
    }
    ask("/peers?format=json");
    assert_string_equal(answer.body.data,
                        "no such format; there are:\nlist\nmap\nant-v0\nant-v1\nendpoint\ntext\nkubo\n");
}

static void test_bootstrap(void **state)
{
    (void)state;
    ask("/bootstrap_cache.json");
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.vary, "Cache-Version");
    assert_non_null(strstr(answer.body.data, "\"network_version\":\"1_1.0\",\n\"peers\":{"));
    ask_with("/bootstrap_cache.json", "1", NULL);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.vary, "Cache-Version");
    assert_non_null(strstr(answer.body.data, "\"cache_version\":\"1\",\n\"peers\":["));
    ask_with("/bootstrap_cache.json", "2", NULL);
    assert_int_equal(answer.status, 406);
    source.network_version = NULL;
    ask("/bootstrap_cache.json");
    source.network_version = "1_1.0";
    assert_null(strstr(answer.body.data, "network_version"));
}

static void test_etag(void **state)
{
    char etag[PC_OBSERVE_ETAG_BYTES], list[200];
    (void)state;
    ask("/peers?format=text");
    memcpy(etag, answer.etag, sizeof(etag));
    assert_int_equal(strlen(etag), 36);
    assert_int_equal(strncmp(etag, "W/\"", 3), 0);
    source.now_ms += 60000; /* another date in a document of the same peers */
    ask_with("/peers?format=text", NULL, etag);
    assert_int_equal(answer.status, 304);
    assert_int_equal(answer.body.size, 0);
    assert_string_equal(answer.etag, etag);
    assert_string_equal(answer.cache_control, "public, max-age=60");
    (void)snprintf(list, sizeof(list), "\"other\", %s, W/\"more\"",
                   etag + 2); /* the strong form compares too */
    ask_with("/peers?format=text", NULL, list);
    assert_int_equal(answer.status, 304);
    ask_with("/peers?format=text", NULL, "*");
    assert_int_equal(answer.status, 304);
    ask_with("/peers?format=text", NULL, "\"other\"");
    assert_int_equal(answer.status, 200);
    ask_with("/peers?format=endpoint", NULL, etag);
    assert_int_equal(answer.status, 200); /* of another format */

    /* A success changes what list tells, and not what text does. */
    ask("/peers?format=list");
    char list_etag[PC_OBSERVE_ETAG_BYTES];
    memcpy(list_etag, answer.etag, sizeof(list_etag));
    peers[0].addrs[0].history.success_count = 9;
    ask_with("/peers?format=text", NULL, etag);
    assert_int_equal(answer.status, 304);
    ask_with("/peers?format=list", NULL, list_etag);
    assert_int_equal(answer.status, 200);
    peers[1].addrs[0].addr = example_addr(99);
    ask_with("/peers?format=text", NULL, etag);
    assert_int_equal(answer.status, 200);
}

static void test_failures(void **state)
{
    (void)state;
    peers_fail = PEERCACHE_ENOMEM;
    ask("/peers");
    assert_int_equal(answer.status, 500);
    assert_string_equal(answer.body.data, "the peers cannot be told: out of memory\n");
    assert_string_equal(answer.etag, "");
    assert_string_equal(answer.cache_control, "no-store");
    peers_fail = 0;
    source.network_version = "\xff";
    ask("/bootstrap_cache.json");
    source.network_version = "1_1.0";
    assert_int_equal(answer.status, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alive, prepare, drop),
        cmocka_unit_test_setup_teardown(test_ready, prepare, drop),
        cmocka_unit_test_setup_teardown(test_views, prepare, drop),
        cmocka_unit_test_setup_teardown(test_no_such_path, prepare, drop),
        cmocka_unit_test_setup_teardown(test_formats, prepare, drop),
        cmocka_unit_test_setup_teardown(test_bad_formats, prepare, drop),
        cmocka_unit_test_setup_teardown(test_bootstrap, prepare, drop),
        cmocka_unit_test_setup_teardown(test_etag, prepare, drop),
        cmocka_unit_test_setup_teardown(test_failures, prepare, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
