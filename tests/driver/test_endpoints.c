/* What the node wants fetched, against nginx and a server that breaks the rules, with a cache that processes share. */
#include "net_check.h"

#include "base/time.h"
#include "driver/clock.h"
#include "driver/endpoints.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 20

extern char **environ;

static const char *program; /* this one, for children */

/* What came of one fetch. */
struct reply {
    bool done;
    uint64_t number;
    size_t endpoint;
    peercache_fetch result;
    bool has_date;
    int64_t clock_ahead_ms;
    size_t peer_count;
    struct pc_endpoint_peer peers[PC_ENDPOINT_PEERS_MAX];
};

static struct reply reply;
static struct pc_driver_names *names;
static struct pc_driver_endpoints *endpoints;
static struct pc_store *store;
static struct pc_driver_store_worker *worker;
static bool all_closed;
static char store_path[512];
static size_t again; /* fetched once more from within done */

static void nothing_resolved(void *context, const struct pc_node_resolved *resolved)
{
    (void)context;
    (void)resolved;
}

static void on_done(void *context, const struct pc_node_fetched *fetched)
{
    assert_ptr_equal(context, &reply);
    assert_false(reply.done);
    assert_true(fetched->peer_count <= PC_ENDPOINT_PEERS_MAX);
    assert_true(fetched->peer_count == 0 || fetched->result == PEERCACHE_FETCH_OK ||
                fetched->result == PEERCACHE_FETCH_NOT_MODIFIED);
    reply.number = fetched->number;
    reply.endpoint = fetched->endpoint;
    reply.result = fetched->result;
    reply.has_date = fetched->has_date;
    reply.clock_ahead_ms = fetched->clock_ahead_ms;
    reply.peer_count = fetched->peer_count;
    for (size_t i = 0; i < fetched->peer_count; i++)
        reply.peers[i] = fetched->peers[i];
    reply.done = true;
    if (again > 0) {
        again--;
        reply.done = false;
        assert_int_equal(
            pc_driver_endpoints_fetch(endpoints, fetched->number + 1, fetched->endpoint, PATIENCE_MS), 0);
    }
}

static void on_committed(void *context, int result, const char *text)
{
    (void)context;
    (void)result;
    (void)text;
    fail();
}

static void on_closed(void *context)
{
    assert_ptr_equal(context, &all_closed);
    all_closed = true;
}

/* ----- what is open ----- */

static struct pc_driver_endpoints_options options_of(const char *const *urls, size_t count)
{
    static char ca_file[512];
    (void)snprintf(ca_file, sizeof(ca_file), "%s/ca.pem", told("PLACE"));
    return (struct pc_driver_endpoints_options){
        .loop = &loop,
        .names = names,
        .urls = urls,
        .url_count = count,
        .ca_file = ca_file,
        .done = on_done,
        .context = &reply,
    };
}

static void open_endpoints(const struct pc_driver_endpoints_options *options)
{
    assert_int_equal(pc_driver_endpoints_new(options, &endpoints), 0);
    if (worker) {
        pc_driver_endpoints_load(endpoints, store);
        pc_driver_endpoints_use(endpoints, worker);
    }
}

static void open_one(const char *url)
{
    const struct pc_driver_endpoints_options options = options_of(&url, 1);
    open_endpoints(&options);
}

static void close_endpoints(void)
{
    all_closed = false;
    pc_driver_endpoints_close(endpoints, on_closed, &all_closed);
    assert_false(all_closed);
    if (endpoints)
        run_until(&all_closed);
    endpoints = NULL;
}

/* The cache of one test. */
static struct pc_store *open_cache(const char *name)
{
    struct pc_store *opened = NULL;
    struct pc_reason why = { "" };
    struct pc_store_options options = {
        .network = "test", .mode = PC_NETGROUP_LOCAL, .timeout_ms = 20000, .now_ms = 1
    };
    pid_t pid = getpid();
    memcpy(options.random, &pid, sizeof(pid));
    (void)snprintf(store_path, sizeof(store_path), "%s/%s", told("PLACE"), name);
    if (pc_store_open(store_path, &options, &opened, &why) != 0)
        fail_msg("%s", why.text);
    return opened;
}

static void open_store(const char *name)
{
    store = open_cache(name);
    assert_int_equal(pc_driver_store_worker_new(&loop, &store, NULL, on_committed, NULL, &worker), 0);
}

static void close_store(void)
{
    close_endpoints();
    pc_driver_store_worker_free(worker); /* it must be idle now */
    worker = NULL;
    pc_store_close(store);
    store = NULL;
}

static void open_names(void)
{
    char server[64];
    struct pc_reason why = { "" };
    assert_int_equal(
        pc_driver_names_new(&loop, local("PORT_DNS", server), nothing_resolved, NULL, &names, &why), 0);
}

static int setup(void **state)
{
    memset(&reply, 0, sizeof(reply));
    again = 0;
    int result = net_setup(state);
    open_names();
    return result;
}

static int teardown(void **state)
{
    close_store();
    pc_driver_names_close(names);
    return net_teardown(state);
}

/* ----- one fetch ----- */

static peercache_endpoint_report report(void)
{
    peercache_endpoint_report report = { .url = NULL };
    pc_driver_endpoints_report(endpoints, 0, &report);
    return report;
}

static void begin(uint64_t number, int64_t wait_ms)
{
    reply.done = false;
    assert_int_equal(pc_driver_endpoints_fetch(endpoints, number, 0, wait_ms), 0);
    assert_false(reply.done); /* never within */
}

static void expect_again(peercache_fetch result, const char *word)
{
    static uint64_t number;
    begin(++number, PATIENCE_MS);
    run_until(&reply.done);
    assert_int_equal(reply.number, number);
    peercache_endpoint_report told = report();
    if (reply.result != result || !strstr(told.detail, word))
        fail_msg("%s: %s, \"%s\"", told.url, peercache_fetch_name(reply.result), told.detail);
    assert_string_equal(told.result, peercache_fetch_name(result));
}

static void expect(const char *url, peercache_fetch result, const char *word)
{
    close_endpoints();
    open_one(url);
    expect_again(result, word);
}

/* ----- answers ----- */

static const char *const files[] = { "ant-v0.json", "ant-v1.json", "endpoint-bare.json", "endpoint.json",
                                     "kubo.json",   "list.json",   "list-ours.json",     "map-version.json",
                                     "map.json",    "text.txt" };

static size_t count_lines(const char *file)
{
    char path[512];
    size_t lines = 0;
    (void)snprintf(path, sizeof(path), "%s/%s", told("PLACE"), file);
    FILE *log = fopen(path, "r");
    if (!log)
        return 0;
    for (int c; (c = fgetc(log)) != EOF;)
        lines += c == '\n';
    assert_int_equal(fclose(log), 0);
    return lines;
}

static void each_format_plain_zipped_and_over_tls(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[64];
        size_t count = 0;
        for (int way = 0; way < 3; way++) {
            (void)snprintf(path, sizeof(path), "%s/formats/%s", way == 1 ? "/zipped" : "", files[i]);
            expect(way == 2 ? https("PORT_TLS", path) : http(path), PEERCACHE_FETCH_OK, "");
            if (reply.peer_count == 0)
                fail_msg("%s: nobody", path);
            count = way == 0 ? reply.peer_count : count;
            assert_int_equal(reply.peer_count, count);
            assert_int_equal(report().delivered, count);
            assert_int_equal(report().status, 200);
            assert_false(report().was_shared);
            assert_true(reply.has_date);
            assert_in_range(reply.clock_ahead_ms + 5000, 0, 30000); /* one clock, whole seconds */
        }
    }
}

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    expect(http("/500"), PEERCACHE_FETCH_HTTP_ERROR, "HTTP status 500");
    assert_int_equal(report().status, 500);
    assert_int_equal(report().delivered, 0);
    expect(http("/204"), PEERCACHE_FETCH_HTTP_ERROR, "204");
    expect(http("/304"), PEERCACHE_FETCH_HTTP_ERROR, "304"); /* nothing was asked of the kind */
    expect(http("/cut.json"), PEERCACHE_FETCH_RUBBISH, "byte 5");
    expect(raw("/cut"), PEERCACHE_FETCH_RUBBISH, "");
    expect(raw("/cut-headers"), PEERCACHE_FETCH_RUBBISH, "");
    expect(raw("/garbage"), PEERCACHE_FETCH_RUBBISH, "");
    expect(raw("/reset"), PEERCACHE_FETCH_RUBBISH, "");
    expect(http("/page.html"), PEERCACHE_FETCH_RUBBISH, "line 1");
    expect(http("/as-gzip/not.gz"), PEERCACHE_FETCH_RUBBISH, "");
    expect(http("/rubbish.bin"), PEERCACHE_FETCH_RUBBISH, "over 4194304 bytes");
    expect(http("/zipped/rubbish.bin"), PEERCACHE_FETCH_RUBBISH, "over 4194304 bytes");
    expect(http("/limit.bin"), PEERCACHE_FETCH_RUBBISH, "line 1");
    expect(http("/as-gzip/limit.gz"), PEERCACHE_FETCH_RUBBISH, "line 1"); /* zeroes */
    expect(http("/empty.txt"), PEERCACHE_FETCH_OK, "no peers in it");
    assert_int_equal(reply.peer_count, 0);
    expect(http("/no-peers.json"), PEERCACHE_FETCH_OK, "no peers in it");
    assert_int_equal(report().status, 200);
}

static void what_is_not_reached_is_told(void **state)
{
    (void)state;
    expect(url_of("http", "127.0.0.1", "PORT_CLOSED", "/"), PEERCACHE_FETCH_REFUSED, "refused");
    assert_int_equal(report().status, 0);
    assert_false(reply.has_date);
    expect("http://missing.test/", PEERCACHE_FETCH_DNS_FAILED, "missing.test");
    expect("http://255.255.255.255/", PEERCACHE_FETCH_NO_ROUTE, "255.255.255.255");
    expect(https("PORT_TLS_SELF", "/"), PEERCACHE_FETCH_TLS_FAILED, "certificate");
    expect(https("PORT_TLS_EXPIRED", "/"), PEERCACHE_FETCH_TLS_FAILED, "certificate");
    expect("ftp://127.0.0.1/", PEERCACHE_FETCH_HTTP_ERROR, "\"ftp\"");
    close_endpoints();
    open_one(raw("/silence"));
    begin(7, SHORT_MS);
    run_until(&reply.done);
    assert_int_equal(reply.result, PEERCACHE_FETCH_TIMEOUT);
    assert_non_null(strstr(report().detail, "waiting"));
    begin(8, -1);
    run_until(&reply.done);
    assert_int_equal(reply.result, PEERCACHE_FETCH_TIMEOUT);
}

static void redirects(void **state)
{
    (void)state;
    expect(http("/three"), PEERCACHE_FETCH_OK, "");
    assert_true(reply.peer_count > 0);
    expect(http("/four"), PEERCACHE_FETCH_HTTP_ERROR, "more than 3 redirects");
    expect(https("PORT_TLS", "/to-plain"), PEERCACHE_FETCH_HTTP_ERROR, "from https to http");
    expect(http("/to-file"), PEERCACHE_FETCH_HTTP_ERROR, "\"file\"");
}

static void peers_of_another_network_are_not_taken(void **state)
{
    (void)state;
    char url[512];
    const struct {
        const char *file, *name, *version;
        bool taken;
    } rows[] = {
        { "ant-v0.json", NULL, "1_1.0", true },  { "ant-v0.json", NULL, "1_1.1", false },
        { "ant-v1.json", NULL, "1_1.0", true },  { "ant-v1.json", NULL, "9", false },
        { "list-ours.json", "test", "9", true }, { "list-ours.json", "other", NULL, false },
        { "endpoint.json", "other", "9", true }, /* it does not say */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char path[64];
        close_endpoints();
        (void)snprintf(path, sizeof(path), "/formats/%s", rows[i].file);
        (void)snprintf(url, sizeof(url), "%s", http(path));
        const char *urls[] = { url };
        struct pc_driver_endpoints_options options = options_of(urls, 1);
        options.network.name = rows[i].name;
        options.network.version = rows[i].version;
        open_endpoints(&options);
        if (rows[i].taken) {
            expect_again(PEERCACHE_FETCH_OK, "");
            assert_true(reply.peer_count > 0);
        } else {
            expect_again(PEERCACHE_FETCH_WRONG_NETWORK, "nothing of it is used");
            assert_non_null(strstr(report().detail, rows[i].name ? "\"test\"" : "\"1_1.0\""));
            assert_int_equal(reply.peer_count, 0);
            assert_int_equal(report().delivered, 0);
        }
    }
}

static void of_too_many_a_sample_is_taken(void **state)
{
    (void)state;
    bool has_late = false;
    expect(http("/many.txt"), PEERCACHE_FETCH_OK, "3976 of 5000");
    assert_int_equal(reply.peer_count, PC_ENDPOINT_PEERS_MAX);
    for (size_t i = 0; i < reply.peer_count; i++) {
        assert_int_equal(reply.peers[i].id.size, 0);
        has_late = has_late || reply.peers[i].addr.bytes[3] >= 16; /* 192.0.16.… on: behind the first 4,000 */
    }
    assert_true(has_late);
}

/* ----- conditions ----- */

static void what_was_not_modified_holds(void **state)
{
    (void)state;
    expect(http("/formats/text.txt"), PEERCACHE_FETCH_OK, "");
    struct reply first = reply;
    for (int i = 0; i < 2; i++) {
        expect_again(PEERCACHE_FETCH_NOT_MODIFIED, "");
        assert_int_equal(report().status, 304);
        assert_int_equal(report().delivered, first.peer_count);
        assert_int_equal(reply.peer_count, first.peer_count);
        for (size_t k = 0; k < first.peer_count; k++) {
            assert_true(pc_addr_peer_id_equal(&reply.peers[k].id, &first.peers[k].id));
            assert_true(pc_bytes_equal(pc_addr_maddr_bytes(&reply.peers[k].addr),
                                       pc_addr_maddr_bytes(&first.peers[k].addr)));
        }
    }
    /* without peers it is of no use to hear that they hold */
    expect(http("/no-peers.json"), PEERCACHE_FETCH_OK, "");
    expect_again(PEERCACHE_FETCH_OK, "");
}

/* ----- the end of them ----- */

static const char *moments(size_t index)
{
    switch (index) {
    case 0:
        return http("/limit.bin");
    case 1:
        return url_of("https", "endpoint.test", "PORT_TLS", "/formats/text.txt");
    case 2:
        return http("/many.txt");
    case 3:
        return raw("/drip");
    case 4:
        return "http://silent.odd/";
    default:
        return NULL;
    }
}

static void cancelled_and_closed_at_any_moment(void **state)
{
    (void)state;
    uint64_t number = 0;
    for (int with_store = 0; with_store < 2; with_store++) {
        if (with_store)
            open_store("cancel.db");
        for (size_t n = 0; moments(n); n++) {
            for (int rounds = 0; rounds < 12; rounds++) {
                open_one(moments(n));
                begin(++number, PATIENCE_MS);
                for (int i = 0; i < rounds && !reply.done; i++)
                    (void)uv_run(&loop, n < 3 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
                if (!reply.done && rounds % 2 == 0) {
                    pc_driver_endpoints_cancel(endpoints, number);
                    pc_driver_endpoints_cancel(endpoints, number);
                    begin(++number, PATIENCE_MS); /* another at once */
                    reply.number = 0;
                }
                close_endpoints();
                assert_true(reply.done || reply.number == 0 || rounds % 2 == 1);
            }
        }
    }
}

static void done_may_fetch_again(void **state)
{
    (void)state;
    for (int with_store = 0; with_store < 2; with_store++) {
        if (with_store)
            open_store("again.json");
        open_one(http("/formats/text.txt"));
        again = 3;
        begin(10, PATIENCE_MS);
        run_until(&reply.done);
        assert_int_equal(reply.number, 13);
        assert_int_equal(reply.result, PEERCACHE_FETCH_NOT_MODIFIED); /* one's own answer is not shared */
        close_endpoints();
    }
}

/* Without descriptors it is our fault, and says nothing of the endpoint. */
static void without_means_it_is_cancelled(void **state)
{
    struct rlimit limit;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    open_one(http("/formats/text.txt"));
    const struct rlimit none = { .rlim_cur = 3, .rlim_max = limit.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    begin(1, PATIENCE_MS);
    run_until(&reply.done);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(reply.result, PEERCACHE_FETCH_CANCELLED);
    assert_string_not_equal(report().detail, "");
    expect_again(PEERCACHE_FETCH_OK, "");
}

static void urls_that_are_none(void **state)
{
    (void)state;
    const char *bad = "http://a b/";
    const char *good = "http://127.0.0.1/";
    const char *urls[PC_JOIN_ENDPOINTS_MAX + 1];
    struct pc_driver_endpoints_options options = options_of(&bad, 1);
    assert_int_equal(pc_driver_endpoints_new(&options, &endpoints), PEERCACHE_EINVAL);
    for (size_t i = 0; i < PC_JOIN_ENDPOINTS_MAX + 1; i++)
        urls[i] = good;
    options = options_of(urls, PC_JOIN_ENDPOINTS_MAX + 1);
    assert_int_equal(pc_driver_endpoints_new(&options, &endpoints), PEERCACHE_EINVAL);
    options = options_of(NULL, 0);
    open_endpoints(&options);
    close_endpoints();
    pc_driver_endpoints_close(NULL, on_closed, NULL);
}

/* ----- what is kept ----- */

static void what_is_known_outlives_the_process(void **state)
{
    (void)state;
    static const char *const kinds[] = { "kept.db", "kept.json" };
    for (size_t kind = 0; kind < 2; kind++) {
        char url[512];
        struct pc_breaker breaker;
        struct pc_rng rng;
        uint8_t bytes[PC_BREAKER_BYTES];
        pc_base_rng_init_u64(&rng, 1);
        pc_breaker_init(&breaker);
        pc_breaker_ended(&breaker, PC_BREAKER_FAILURE, true, &rng, 0);
        pc_breaker_save(&breaker, 0, 1, bytes);
        (void)snprintf(url, sizeof(url), "%s", http("/formats/map.json"));
        open_store(kinds[kind]);
        open_one(url);
        assert_int_equal(pc_driver_endpoints_breaker(endpoints, 0).size, 0);
        assert_string_equal(report().result, "");
        expect_again(PEERCACHE_FETCH_OK, "");
        size_t count = reply.peer_count;
        pc_driver_endpoints_keep(endpoints, 0, bytes, 2);
        pc_driver_endpoints_keep(endpoints, 0, bytes, 3);
        close_store();
        open_store(kinds[kind]);
        open_one(url);
        struct pc_bytes kept = pc_driver_endpoints_breaker(endpoints, 0);
        assert_int_equal(kept.size, PC_BREAKER_BYTES);
        assert_memory_equal(kept.data, bytes, kept.size);
        assert_string_equal(report().result, "ok");
        assert_int_equal(report().delivered, count);
        assert_int_equal(report().status, 200);
        pc_driver_endpoints_keep(endpoints, 0, bytes, 4); /* of another life: they add up */
        /* it was answered less than a minute ago: as good as asked */
        expect_again(PEERCACHE_FETCH_OK, "another process");
        assert_int_equal(reply.peer_count, count);
        assert_true(report().was_shared);
        assert_false(reply.has_date);
        /* but one answer is taken once only */
        expect_again(PEERCACHE_FETCH_NOT_MODIFIED, "");
        assert_int_equal(reply.peer_count, count);
        assert_false(report().was_shared);
        close_endpoints();
        struct pc_endpoint_memory memory;
        char key[PC_ENDPOINT_KEY_BYTES];
        static uint8_t value[PC_STORE_META_VALUE_MAX_BYTES];
        size_t size = 0;
        pc_endpoint_memory_key(url, key);
        assert_int_equal(pc_store_meta_get(store, key, value, sizeof(value), &size), 0);
        assert_int_equal(pc_endpoint_memory_read(pc_bytes_of(value, size), &memory), 0);
        assert_int_equal(memory.verified, 7);
        assert_int_equal(memory.result, PEERCACHE_FETCH_NOT_MODIFIED);
        assert_true(memory.lease_until_ms == 0);
        pc_endpoint_memory_deinit(&memory);
        close_store();
    }
}

/* Put a memory of ours into a store. */
static void put_memory(struct pc_store *into, const struct pc_endpoint_memory *memory)
{
    static uint8_t value[PC_ENDPOINT_MEMORY_MAX_BYTES];
    char key[PC_ENDPOINT_KEY_BYTES];
    size_t size = 0;
    pc_endpoint_memory_key(memory->url, key);
    assert_int_equal(pc_endpoint_memory_write(memory, value, sizeof(value), &size), 0);
    assert_int_equal(pc_store_meta_put(into, key, pc_bytes_of(value, size), 20000), 0);
}

static int64_t wall_ms(void)
{
    struct pc_driver_clock clock;
    pc_driver_clock_init(&clock);
    return pc_driver_clock_now(&clock).wall_ms;
}

static int count_key(void *context, const char *key)
{
    (void)key;
    ++*(size_t *)context;
    return 0;
}

static size_t remembered_count(void)
{
    size_t count = 0;
    assert_int_equal(pc_store_meta_keys(store, PC_ENDPOINT_KEY_PREFIX, count_key, &count), 0);
    return count;
}

static bool is_remembered(const char *url)
{
    static uint8_t value[PC_STORE_META_VALUE_MAX_BYTES];
    char key[PC_ENDPOINT_KEY_BYTES];
    size_t size;
    pc_endpoint_memory_key(url, key);
    return pc_store_meta_get(store, key, value, sizeof(value), &size) == 0;
}

/* Of endpoints that were configured once: as many as a JSON file has keys for, the first one used last. */
static void remember_many(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char url[64];
        struct pc_endpoint_memory memory;
        (void)snprintf(url, sizeof(url), "http://%zu.example/", i);
        assert_int_equal(pc_endpoint_memory_init(&memory, url), 0);
        memory.asked_ms = wall_ms() - 1000 * (int64_t)(i + 1);
        put_memory(store, &memory);
    }
}

static void those_of_use_long_ago_are_forgotten(void **state)
{
    (void)state;
    static const char *const kinds[] = { "forgets.db", "forgets.json" };
    for (size_t kind = 0; kind < 2; kind++) {
        open_store(kinds[kind]);
        remember_many(64);
        open_one(http("/formats/map.json"));
        expect_again(PEERCACHE_FETCH_OK, "");
        close_endpoints();
        assert_int_equal(remembered_count(), PC_ENDPOINT_MEMORIES_MAX);
        assert_true(is_remembered(http("/formats/map.json")));
        assert_true(is_remembered("http://0.example/"));
        assert_true(is_remembered("http://38.example/"));
        assert_false(is_remembered("http://39.example/"));
        /* there is no need of room for one that has its own */
        open_one(http("/formats/map.json"));
        expect_again(PEERCACHE_FETCH_OK, "another process");
        close_endpoints();
        assert_int_equal(remembered_count(), PC_ENDPOINT_MEMORIES_MAX);
        assert_true(is_remembered("http://38.example/"));
        /* and as many remain when others come */
        open_one(http("/formats/text.txt"));
        expect_again(PEERCACHE_FETCH_OK, "");
        close_endpoints();
        assert_int_equal(remembered_count(), PC_ENDPOINT_MEMORIES_MAX);
        assert_false(is_remembered("http://38.example/"));
        assert_true(is_remembered("http://37.example/"));
        close_store();
    }
}

static void what_is_malformed_is_as_if_new(void **state)
{
    (void)state;
    char key[PC_ENDPOINT_KEY_BYTES];
    struct pc_endpoint_memory other;
    open_store("malformed.db");
    pc_endpoint_memory_key(http("/formats/map.json"), key);
    assert_int_equal(pc_store_meta_put(store, key, pc_bytes_of("rubbish", 7), 1000), 0);
    expect(http("/formats/map.json"), PEERCACHE_FETCH_OK, "");
    assert_int_equal(report().status, 200);
    close_endpoints(); /* the store is ours again */
    /* of another endpoint, under the key of this one */
    assert_int_equal(pc_endpoint_memory_init(&other, "http://other.test/"), 0);
    static uint8_t value[PC_ENDPOINT_MEMORY_MAX_BYTES];
    size_t size = 0;
    assert_int_equal(pc_endpoint_memory_write(&other, value, sizeof(value), &size), 0);
    assert_int_equal(pc_store_meta_put(store, key, pc_bytes_of(value, size), 1000), 0);
    expect(http("/formats/map.json"), PEERCACHE_FETCH_OK, "");
    assert_string_equal(report().url, http("/formats/map.json"));
    assert_int_equal(report().status, 200);
}

/* Somebody else has said to ask, and does not come back. */
static void another_s_lease_is_not_waited_for_long(void **state)
{
    (void)state;
    struct pc_endpoint_memory memory;
    open_store("lease.db");
    assert_int_equal(pc_endpoint_memory_init(&memory, http("/formats/map.json")), 0);
    memory.lease_until_ms = wall_ms() + PC_ENDPOINT_LEASE_MS;
    memcpy(memory.lease_owner, "somebody", 8);
    put_memory(store, &memory);
    expect(http("/formats/map.json"), PEERCACHE_FETCH_OK, "");
    assert_int_equal(report().status, 200);
    assert_false(report().was_shared);
    close_endpoints();
    /* one that is over, or lies in an impossible future, is not waited for at all: within less than the wait */
    for (int i = 0; i < 2; i++) {
        memory.lease_until_ms = i == 0 ? 1 : INT64_MAX;
        put_memory(store, &memory);
        open_one(http("/formats/map.json"));
        begin(1, PC_ENDPOINT_LEASE_WAIT_MS / 2);
        run_until(&reply.done);
        assert_int_equal(reply.result, PEERCACHE_FETCH_OK);
        close_endpoints();
    }
}

/* A lease is held, and the answer comes while we wait: nothing is asked. */
static void an_answer_that_comes_while_waiting_is_taken(void **state)
{
    (void)state;
    struct pc_endpoint_memory memory;
    const struct pc_ip_port address = { .family = 4, .ip = { 192, 0, 2, 1 }, .port = 4001 };
    struct pc_endpoint_peer peer = { .id = { .size = 0 } };
    open_store("waiting.db");
    assert_int_equal(pc_endpoint_memory_init(&memory, raw("/silence")), 0);
    memory.lease_until_ms = wall_ms() + PC_ENDPOINT_LEASE_MS;
    memcpy(memory.lease_owner, "somebody", 8);
    put_memory(store, &memory);
    open_one(raw("/silence"));
    begin(1, PATIENCE_MS);
    pc_addr_from_ip_port(&address, &peer.addr);
    assert_int_equal(pc_endpoint_memory_set_peers(&memory, &peer, 1), 0);
    memory.answered_ms = wall_ms();
    struct pc_store *of_another = open_cache("waiting.db");
    put_memory(of_another, &memory);
    pc_store_close(of_another);
    pc_endpoint_memory_deinit(&memory);
    run_until(&reply.done);
    assert_int_equal(reply.result, PEERCACHE_FETCH_OK);
    assert_int_equal(reply.peer_count, 1);
    assert_true(report().was_shared);
}

/* What cannot be written is asked for all the same, and nothing is kept. */
static void a_read_only_cache_shares_what_it_has(void **state)
{
    (void)state;
    struct pc_reason why = { "" };
    struct pc_store_options options = { .network = "test", .mode = PC_NETGROUP_LOCAL, .read_only = true };
    open_store("read-only.db");
    expect(http("/formats/map.json"), PEERCACHE_FETCH_OK, "");
    size_t count = reply.peer_count;
    close_store();
    assert_int_equal(pc_store_open(store_path, &options, &store, &why), 0);
    assert_int_equal(pc_driver_store_worker_new(&loop, &store, NULL, on_committed, NULL, &worker), 0);
    expect(http("/formats/map.json"), PEERCACHE_FETCH_OK, "another process");
    assert_int_equal(reply.peer_count, count);
    expect_again(PEERCACHE_FETCH_NOT_MODIFIED, "");
    assert_int_equal(reply.peer_count, count);
    expect_again(PEERCACHE_FETCH_NOT_MODIFIED, ""); /* what could not be kept is not forgotten for that */
}

static void without_a_store_it_is_asked_at_once(void **state)
{
    (void)state;
    assert_int_equal(pc_driver_store_worker_new(&loop, &store, NULL, on_committed, NULL, &worker), 0);
    const char *url = http("/formats/map.json");
    const struct pc_driver_endpoints_options options = options_of(&url, 1);
    assert_int_equal(pc_driver_endpoints_new(&options, &endpoints), 0);
    pc_driver_endpoints_use(endpoints, worker);
    expect_again(PEERCACHE_FETCH_OK, "");
    expect_again(PEERCACHE_FETCH_NOT_MODIFIED, "");
}

/* ----- many processes ----- */

/* In a process of its own: fetch once, with the cache of this name. */
static int child(const char *name, const char *url)
{
    assert_int_equal(uv_loop_init(&loop), 0);
    open_names();
    open_store(name);
    open_one(url);
    begin(1, PATIENCE_MS);
    run_until(&reply.done);
    bool has_peers = reply.result == PEERCACHE_FETCH_OK && reply.peer_count > 0;
    if (!has_peers)
        (void)fprintf(stderr, "%s: %s\n", peercache_fetch_name(reply.result), report().detail);
    close_store();
    pc_driver_names_close(names);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return has_peers ? 0 : 1;
}

static pid_t start_child(const char *name, const char *url)
{
    static char word[] = "child";
    pid_t pid = -1;
    char *arguments[] = { (char *)(uintptr_t)program, word, (char *)(uintptr_t)name, (char *)(uintptr_t)url,
                          NULL };
    assert_int_equal(posix_spawn(&pid, program, NULL, NULL, arguments, environ), 0);
    return pid;
}

static int await_child(pid_t pid)
{
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void many_processes_share_one_fetch(void **state)
{
    (void)state;
    static const char *const kinds[] = { "shared.db", "shared.json" };
    for (size_t kind = 0; kind < 2; kind++) {
        pid_t pids[PROCESSES];
        size_t before = count_lines("access.log");
        for (size_t i = 0; i < PROCESSES; i++)
            pids[i] = start_child(kinds[kind], http("/counted/formats/map.json"));
        for (size_t i = 0; i < PROCESSES; i++)
            assert_int_equal(await_child(pids[i]), 0);
        assert_int_equal(count_lines("access.log") - before, 1);
    }
}

static bool is_leased(const char *url)
{
    static uint8_t value[PC_STORE_META_VALUE_MAX_BYTES];
    struct pc_endpoint_memory memory;
    char key[PC_ENDPOINT_KEY_BYTES];
    size_t size = 0;
    pc_endpoint_memory_key(url, key);
    if (pc_store_meta_get(store, key, value, sizeof(value), &size) != 0)
        return false;
    assert_int_equal(pc_endpoint_memory_read(pc_bytes_of(value, size), &memory), 0);
    bool leased = memory.lease_until_ms > wall_ms();
    pc_endpoint_memory_deinit(&memory);
    return leased;
}

static void a_killed_holder_of_the_lease_is_not_waited_for(void **state)
{
    (void)state;
    char url[512], path[512];
    pid_t others[3];
    (void)snprintf(url, sizeof(url), "%s", raw("/once-allowed"));
    (void)snprintf(path, sizeof(path), "%s/allowed", told("PLACE"));
    open_store("killed.db");
    pid_t pid = start_child("killed.db", url); /* the server is silent to it */
    while (!is_leased(url)) {
        int status;
        assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
        (void)usleep(2000);
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_true(WIFSIGNALED(await_child(pid)));
    assert_true(is_leased(url));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    for (size_t i = 0; i < 3; i++)
        others[i] = start_child("killed.db", url);
    expect(url, PEERCACHE_FETCH_OK, "");
    assert_int_equal(reply.peer_count, 1);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(await_child(others[i]), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 4 && strcmp(argv[1], "child") == 0)
        return child(argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        TEST(each_format_plain_zipped_and_over_tls),
        TEST(what_is_wrong_is_told),
        TEST(what_is_not_reached_is_told),
        TEST(redirects),
        TEST(peers_of_another_network_are_not_taken),
        TEST(of_too_many_a_sample_is_taken),
        TEST(what_was_not_modified_holds),
        TEST(cancelled_and_closed_at_any_moment),
        TEST(done_may_fetch_again),
        TEST(without_means_it_is_cancelled),
        TEST(urls_that_are_none),
        TEST(what_is_known_outlives_the_process),
        TEST(those_of_use_long_ago_are_forgotten),
        TEST(what_is_malformed_is_as_if_new),
        TEST(another_s_lease_is_not_waited_for_long),
        TEST(an_answer_that_comes_while_waiting_is_taken),
        TEST(a_read_only_cache_shares_what_it_has),
        TEST(without_a_store_it_is_asked_at_once),
        TEST(many_processes_share_one_fetch),
        TEST(a_killed_holder_of_the_lease_is_not_waited_for),
    };
    return cmocka_run_group_tests_name("driver_endpoints", tests, NULL, NULL);
}
