/* What a node tells of itself and shares with others, through a life of a few events. */
#include "check.h"

#include "kad/table.h"
#include "node/share.h"
#include "node/status.h"

#include <string.h>

#define KAD "/test/kad/1.0.0"

static struct pc_node *node;
static struct pc_node_status status;
static peercache_time now;
static const struct pc_node_action *actions;
static size_t action_count;

static struct pc_peer_id id_of(uint32_t number)
{
    struct pc_peer_id id = { .size = 38, .bytes = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 } };
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, number);
    pc_base_rng_bytes(&rng, id.bytes + 6, 32);
    return id;
}

static struct pc_maddr addr_of(uint16_t port)
{
    struct pc_maddr addr;
    pc_addr_from_ip_port(&(struct pc_ip_port){ .family = 4, .ip = { 127, 0, 0, 1 }, .port = port }, &addr);
    return addr;
}

static void step(const struct pc_node_event *event)
{
    action_count = pc_node_step(node, now, event, &actions);
}

static const struct pc_node_action *action_of(enum pc_node_action_kind kind)
{
    for (size_t i = 0; i < action_count; i++)
        if (actions[i].kind == kind)
            return &actions[i];
    return NULL;
}

static void look(void)
{
    pc_node_status_of(node, now, &status);
}

static void make(size_t source_count, size_t endpoint_count)
{
    static struct pc_node_source sources[3];
    struct pc_node_options options = {
        .own_id = id_of(0),
        .kad_protocol = KAD,
        .server = true,
        .save = true,
        .mode = PC_NETGROUP_LOCAL,
        .dial_cached = true,
        .target = 2,
        .min = 1,
        .timeout_us = 10 * PC_US_PER_S,
        .sources = sources,
        .source_count = source_count,
        .endpoint_count = endpoint_count,
    };
    for (uint16_t i = 0; i < 3; i++)
        sources[i] = (struct pc_node_source){ .id = id_of(1U + i),
                                              .addr = addr_of((uint16_t)(4001 + i)),
                                              .via = PEERCACHE_VIA_FLAG };
    status = (struct pc_node_status){ 0 };
    pc_base_rng_init_u64(&options.rng, 3);
    now = (peercache_time){ .wall_ms = INT64_C(1700000000000), .mono_us = 5000000 };
    assert_int_equal(pc_node_new(&options, &node), 0);
}

static int drop(void **state)
{
    (void)state;
    pc_node_free(node);
    node = NULL;
    return 0;
}

/* A connection opens: one that we dialled, or (by its number) an inbound one. */
static void opens(uint64_t connection, uint32_t peer, uint16_t port)
{
    static struct pc_identify identify;
    const struct pc_maddr addr = addr_of(port);
    memset(&identify, 0, sizeof(identify));
    identify.protocols[identify.protocol_count++] = pc_bytes_of(KAD, strlen(KAD));
    identify.addrs[identify.addr_count++] = pc_addr_maddr_bytes(&addr);
    const struct pc_libp2p_event wire = {
        .kind = PC_LIBP2P_OPENED,
        .connection = connection,
        .id = id_of(peer),
        .remote = { .family = 4, .ip = { 127, 0, 0, 1 }, .port = port },
        .proven_us = 1000,
        .rtt_us = 1000,
        .identify = &identify,
    };
    step(&(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = &wire });
}

static void fails(uint64_t connection)
{
    const struct pc_libp2p_event wire = { .kind = PC_LIBP2P_FAILED,
                                          .connection = connection,
                                          .outcome = PEERCACHE_REFUSED,
                                          .proven_us = -1,
                                          .rtt_us = -1 };
    step(&(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = &wire });
}

static void test_before_start(void **state)
{
    (void)state;
    make(1, 1);
    struct pc_maddr own = addr_of(4000);
    step(&(struct pc_node_event){ .kind = PC_NODE_LISTENING, .addr = pc_addr_maddr_bytes(&own) });
    look();
    struct pc_peer_id id = id_of(0);
    assert_string_equal(status.phase, "idle");
    assert_int_equal(status.standing, PC_NODE_IDLE);
    assert_string_equal(pc_node_standing_name(status.standing), "idle");
    assert_true(pc_addr_peer_id_equal(&status.id, &id));
    assert_true(status.is_server);
    assert_int_equal(status.own_addr_count, 1);
    assert_memory_equal(&status.own_addrs[0], &own, sizeof(own.size) + own.size);
    assert_int_equal(status.target, 2);
    assert_int_equal(status.min, 1);
    assert_false(status.has_report);
    assert_string_equal(status.cause, "");
    assert_string_equal(status.next_step, "");
    assert_int_equal(status.join.first_verified_us, -1);
    assert_int_equal(status.endpoint_count, 0); /* there is no plan yet */
    assert_int_equal(status.answered_ago_us, -1);
    assert_int_equal(status.tried + status.fresh, 0);
}

static void test_through_a_join(void **state)
{
    (void)state;
    make(3, 0);
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    uint64_t numbers[3];
    size_t dials = 0;
    for (size_t i = 0; i < action_count; i++)
        if (actions[i].kind == PC_NODE_DIAL)
            numbers[dials++] = actions[i].connection;
    assert_int_equal(dials, 3);
    look();
    assert_string_equal(status.phase, "joining");
    assert_int_equal(status.standing, PC_NODE_JOINING);
    assert_int_equal(status.dialing, 3);
    assert_int_equal(status.outbound, 0);
    assert_int_equal(status.join.dials[PEERCACHE_VIA_FLAG], 3);

    now.mono_us += 2000;
    fails(numbers[2]);
    opens(numbers[0], 1, 4001);
    now.mono_us += 500;
    look();
    assert_int_equal(status.standing, PC_NODE_JOINING);
    assert_int_equal(status.verified, 1);
    assert_int_equal(status.dialing, 1);
    assert_int_equal(status.outbound, 1);
    assert_int_equal(status.requests, 1); /* it is asked for our neighbours */
    assert_int_equal(status.answered_ago_us, 500);
    assert_int_equal(status.join.first_verified_us, 2000);
    assert_int_equal(status.join.ended[PEERCACHE_VIA_FLAG][PEERCACHE_REFUSED], 1);
    assert_int_equal(status.tried, 1);

    opens(numbers[1], 2, 4002);
    look();
    assert_int_equal(status.standing, PC_NODE_JOINED);
    assert_true(status.has_report);
    assert_string_equal(status.cause, "");
    opens(PC_LIBP2P_INBOUND | 1, 9, 4009);
    look();
    assert_int_equal(status.outbound, 2);
    assert_int_equal(status.inbound, 1);
    assert_int_equal(status.dialing, 0);
    assert_int_equal(status.table_count, 3);
    size_t sum = 0;
    for (size_t i = 0; i < PC_NODE_TABLE_BUCKETS; i++)
        sum += status.buckets[i];
    assert_int_equal(sum, 3);
    struct pc_peer_id first = id_of(1), own = id_of(0);
    struct pc_kad_key a = pc_kad_key_of_peer(&own), b = pc_kad_key_of_peer(&first);
    assert_true(status.buckets[pc_kad_key_common_prefix(&a, &b)] > 0);
    assert_int_equal(status.tried, 2);
    assert_int_equal(status.fresh, 1); /* who dialled us is only heard of */
    assert_int_equal(status.last_success_ms, now.wall_ms);

    step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
    look();
    assert_string_equal(status.phase, "stopping");
    assert_int_equal(status.standing, PC_NODE_STOPPING);
    assert_true(status.is_saving);
    assert_true(status.pending > 0);
}

static void test_degraded(void **state)
{
    (void)state;
    make(2, 0);
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    uint64_t first = action_of(PC_NODE_DIAL)->connection;
    opens(first, 1, 4001);
    fails(first + 1);
    const struct pc_kad_message nobody = { 0 };
    const struct pc_libp2p_event answered = {
        .kind = PC_LIBP2P_ANSWERED, .connection = first, .request = 1, .rtt_us = -1, .kad = &nobody
    };
    step(&(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = &answered });
    look();
    assert_int_equal(status.standing, PC_NODE_DEGRADED);
    assert_string_equal(status.cause, "too_few");
    assert_true(strlen(status.next_step) > 0);
}

static void test_failed_with_endpoints(void **state)
{
    (void)state;
    make(0, 2);
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    for (int round = 0; round < 40 && !status.has_report; round++) {
        for (size_t i = 0; i < action_count; i++)
            if (actions[i].kind == PC_NODE_FETCH) {
                const struct pc_node_fetched fetched = { .number = actions[i].number,
                                                         .endpoint = actions[i].endpoint,
                                                         .result = PEERCACHE_FETCH_HTTP_ERROR };
                step(&(struct pc_node_event){ .kind = PC_NODE_FETCHED, .fetched = &fetched });
                i = SIZE_MAX; /* these are other actions */
            }
        now.mono_us = pc_node_deadline(node);
        step(&(struct pc_node_event){ .kind = PC_NODE_TIME });
        look();
    }

    assert_int_equal(status.standing, PC_NODE_FAILED);
    assert_string_equal(status.cause, "endpoints_down");
    assert_int_equal(status.endpoint_count, 2);
    assert_string_equal(status.endpoints[0].breaker, "closed");
    assert_string_equal(status.endpoints[0].result, "http_error");
    assert_string_equal(status.endpoints[0].url, "");
    assert_true(status.join.fetches[PEERCACHE_FETCH_HTTP_ERROR] >= 2);
}

/* ----- sharing ----- */

struct visited {
    struct pc_peer_id ids[PC_NODE_SHARE_MAX];
    size_t count;
    size_t stop_at;
};

static int visit(void *context, const struct pc_record *record)
{
    struct visited *visited = context;
    if (visited->count == visited->stop_at)
        return PEERCACHE_EIO;
    assert_true(record->addr_count > 0);
    visited->ids[visited->count++] = record->id;
    return 0;
}

static void load(uint32_t number, int64_t success_ms, int64_t seen_ms)
{
    struct pc_record record;
    struct pc_peer_id id = id_of(number);
    pc_cache_record_init(&record, &id);
    record.addr_count = 1;
    record.state = success_ms ? PEERCACHE_TRIED : PEERCACHE_NEW;
    record.addrs[0] = (struct pc_record_addr){ .addr = addr_of((uint16_t)(10000 + number)) };
    pc_cache_history_init(&record.addrs[0].history);
    record.addrs[0].history.success_count = success_ms != 0;
    record.addrs[0].history.last_success_ms = success_ms;
    record.addrs[0].history.last_seen_ms = seen_ms;
    step(&(struct pc_node_event){ .kind = PC_NODE_LOADED, .record = &record });
}

static void test_shares_the_best_first(void **state)
{
    struct visited visited = { .stop_at = SIZE_MAX };
    (void)state;
    make(0, 0);
    struct pc_maddr own = addr_of(4000);
    step(&(struct pc_node_event){ .kind = PC_NODE_LISTENING, .addr = pc_addr_maddr_bytes(&own) });
    /* number 10 the oldest success to 19 the newest, then heard of 20 to 29 */
    for (uint32_t i = 0; i < 10; i++) {
        load(20 + i, 0, now.wall_ms - 1000 + i);
        load(10 + (7 * i) % 10, now.wall_ms - 100000 + (7 * i) % 10, now.wall_ms - 100000);
    }
    assert_int_equal(pc_node_share(node, 16, visit, &visited), 0);
    assert_int_equal(visited.count, 16);
    for (size_t i = 0; i < 16; i++) {
        struct pc_peer_id id = id_of(i == 0 ? 0 : i <= 10 ? 20 - (uint32_t)i : 29 - (uint32_t)(i - 11));
        assert_true(pc_addr_peer_id_equal(&visited.ids[i], &id));
    }
    visited = (struct visited){ .stop_at = SIZE_MAX };
    assert_int_equal(pc_node_share(node, SIZE_MAX, visit, &visited), 0);
    assert_int_equal(visited.count, 21);
    visited = (struct visited){ .stop_at = 3 };
    assert_int_equal(pc_node_share(node, 16, visit, &visited), PEERCACHE_EIO);
    assert_int_equal(visited.count, 3);
    visited = (struct visited){ .stop_at = SIZE_MAX };
    assert_int_equal(pc_node_share(node, 0, visit, &visited), 0);
    assert_int_equal(visited.count, 0);
}

static void test_shares_itself_when_it_serves(void **state)
{
    struct visited visited = { .stop_at = SIZE_MAX };
    (void)state;
    make(0, 0);
    assert_int_equal(pc_node_share(node, 10, visit, &visited), 0);
    assert_int_equal(visited.count, 0); /* it has no address yet */
    struct pc_maddr own = addr_of(4000);
    step(&(struct pc_node_event){ .kind = PC_NODE_LISTENING, .addr = pc_addr_maddr_bytes(&own) });
    assert_int_equal(pc_node_share(node, 10, visit, &visited), 0);
    assert_int_equal(visited.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_before_start, drop),
        cmocka_unit_test_teardown(test_through_a_join, drop),
        cmocka_unit_test_teardown(test_degraded, drop),
        cmocka_unit_test_teardown(test_failed_with_endpoints, drop),
        cmocka_unit_test_teardown(test_shares_the_best_first, drop),
        cmocka_unit_test_teardown(test_shares_itself_when_it_serves, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
