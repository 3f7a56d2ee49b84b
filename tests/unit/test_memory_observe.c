/*
 * Failure of every allocation in what is told over HTTP and in the log: a request has its answer or is told 500, and a
 * text that has not all says so.
 */
#include "memory_check.h"

#include "observe_check.h"

#include "observe/answer.h"
#include "observe/log.h"
#include "observe/redact.h"

#include <string.h>

#define PEERS 30

static struct pc_observation observed;
static struct pc_record peers[PEERS];

static void look(void *context, struct pc_observation *ret_observation)
{
    (void)context;
    *ret_observation = observed;
}

static int each_peer(void *context, size_t count, int (*visit)(void *, const struct pc_record *),
                     void *visit_context)
{
    int result = 0;
    (void)context;
    for (size_t i = 0; i < PEERS && i < count && result == 0; i++)
        result = visit(visit_context, &peers[i]);
    return result;
}

static const struct pc_observe_source source = {
    .look = look, .each_peer = each_peer, .network_version = "1_1.0", .now_ms = INT64_C(1700000000000)
};

static void ask_in_every_way(const struct pc_observe_request *request)
{
    struct pc_observe_answer expected, answer;
    pc_observe_answer(request, &source, &expected);
    failing_memory_first();
    do {
        failing_memory_arm();
        pc_observe_answer(request, &source, &answer);
        failing_memory_disarm();
        if (answer.status == expected.status) {
            HOLDS(answer.body.error == 0 && answer.body.size == expected.body.size);
            HOLDS(strcmp(answer.body.data, expected.body.data) == 0);
            HOLDS(strcmp(answer.etag, expected.etag) == 0);
        } else {
            HOLDS(answer.status == 500 && answer.etag[0] == '\0');
            HOLDS(answer.content_type != NULL);
        }
        pc_observe_text_deinit(&answer.body);
    } while (failing_memory_next());
    assert_true(failing_memory_count() > 0);
    pc_observe_text_deinit(&expected.body);
}

static void answers_survive_it(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "/healthz",
        "/readyz",
        "/metrics",
        "/status.json",
        "/peers",
        "/peers?format=list",
        "/peers?format=ant-v0",
        "/bootstrap_cache.json",
        "/nothing",
    };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        const struct pc_observe_request request = { .target = targets[i] };
        ask_in_every_way(&request);
    }
}

static void texts_survive_it(void **state)
{
    (void)state;
    static const char said[] =
        "dial of /ip4/192.0.2.7/udp/4001/quic-v1 and of /ip6/2001:db8::7/udp/1/quic-v1, and "
        "/dns4/a.example/udp/4001/quic-v1, which are long enough to need more room than the "
        "first that is taken, once they are written with all that stands before them on a line";
    for (int way = 0; way < 4; way++) {
        const struct pc_observe_log_line line = {
            .is_json = way & 1, .redacted = way & 2, .wall_ms = 1000, .room = "node", .text = said
        };
        struct pc_observe_text expected = { 0 };
        pc_observe_put_log_line(&expected, &line);
        assert_int_equal(expected.error, 0);
        failing_memory_first();
        do {
            struct pc_observe_text text = { 0 };
            failing_memory_arm();
            pc_observe_put_log_line(&text, &line);
            failing_memory_disarm();
            HOLDS(text.error == 0 || text.error == PEERCACHE_ENOMEM);
            bool is_told = text.error == 0 && !strstr(text.data, "(out of memory)");
            HOLDS(!is_told || strcmp(text.data, expected.data) == 0);
            HOLDS(text.error || is_told || line.redacted); /* what was to be redacted is left out */
            pc_observe_text_deinit(&text);
        } while (failing_memory_next());
        assert_true(failing_memory_count() > 0);
        pc_observe_text_deinit(&expected);
    }
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
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_survive_it),
        cmocka_unit_test(texts_survive_it),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
