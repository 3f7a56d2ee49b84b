/*
 * Failure of every allocation in the pure rooms. Who is told that memory is out and asks again gets what he would have
 * got the first time: nothing was half done.
 */
#include "memory_check.h"

#include "cache/set.h"
#include "format/format.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW_MS INT64_C(1760000000000)
#define PEERS  24
#define ID     "12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu"

/* ---- addr ---- */

static void addresses_take_no_memory(void **state)
{
    (void)state;
    static const char *const texts[] = {
        ("/ip4/20.1.1.1/udp/4001/quic-v1/p2p/" ID),
        "/dns4/a.example/tcp/443/wss",
        "/unix/a/b",
        "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
        "/ip4/300.1.1.1",
        "/ip6/2600::1/udp/1/quic-v1/webtransport/certhash/uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ",
    };
    failing_memory_first();
    failing_memory_arm();
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
        char text[PC_MULTIADDR_TEXT_BYTES];
        struct pc_maddr addr;
        struct pc_peer_id id;
        struct pc_reason reason;
        size_t size;
        if (pc_addr_multiaddr_parse(texts[i], strlen(texts[i]), bytes, sizeof(bytes), &size, &reason))
            continue;
        assert_int_equal(pc_addr_multiaddr_format(pc_bytes_of(bytes, size), text, sizeof(text), NULL), 0);
        assert_int_equal(pc_addr_multiaddr_split(pc_bytes_of(bytes, size), &addr, &id), 0);
        (void)pc_addr_netgroup(pc_addr_maddr_bytes(&addr), PC_NETGROUP_PUBLIC);
    }
    failing_memory_disarm();
    assert_int_equal(failing_memory_count(), 0);
}

/* ---- cache ---- */

static struct pc_peer_id id_of(unsigned number)
{
    struct pc_peer_id id = { .size = 38, .bytes = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20, (uint8_t)number } };
    return id;
}

static struct pc_maddr addr_of(unsigned number, unsigned port)
{
    char text[64];
    struct pc_maddr addr;
    (void)snprintf(text, sizeof(text), "/ip4/20.%u.7.7/udp/%u/quic-v1", number, port);
    assert_int_equal(pc_addr_maddr_parse(text, strlen(text), &addr, NULL), 0);
    return addr;
}

static int count_explained(void *context, const struct pc_explanation *explanation)
{
    *(size_t *)context += explanation->why.text[0] != '\0';
    return 0;
}

static void learn(struct pc_cache_set *set)
{
    static const struct pc_peer_id nobody;
    for (unsigned i = 1; i <= PEERS; i++) {
        struct pc_peer_id id = id_of(i);
        for (unsigned port = 1; port <= 1 + i % 3; port++) {
            struct pc_maddr addr = addr_of(i, port);
            MUST(pc_cache_set_add(set, &id, pc_addr_maddr_bytes(&addr), false, PEERCACHE_SOURCE_DHT, NULL,
                                  NOW_MS, NULL));
        }
    }
    for (unsigned i = 1; i <= PEERS; i++) {
        struct pc_peer_id id = id_of(i);
        struct pc_maddr addr = addr_of(i, 1);
        peercache_outcome outcome = i % 4 == 0 ? PEERCACHE_TIMEOUT : PEERCACHE_OK;
        MUST(pc_cache_set_report(set, &id, pc_addr_maddr_bytes(&addr), outcome, NULL, 1000 * i,
                                 PEERCACHE_SOURCE_DHT, NOW_MS + 1));
    }
    struct pc_maddr bare = addr_of(200, 1), stranger = addr_of(201, 1);
    struct pc_peer_id proven = id_of(200), met = id_of(201);
    MUST(pc_cache_set_add(set, &nobody, pc_addr_maddr_bytes(&bare), false, PEERCACHE_SOURCE_DHT, NULL, NOW_MS,
                          NULL));
    MUST(pc_cache_set_report(set, &nobody, pc_addr_maddr_bytes(&bare), PEERCACHE_OK, &proven, 5,
                             PEERCACHE_SOURCE_DHT, NOW_MS + 2));
    MUST(pc_cache_set_report(set, &met, pc_addr_maddr_bytes(&stranger), PEERCACHE_OK, &met, 5,
                             PEERCACHE_SOURCE_DHT, NOW_MS + 2));
}

static void forget(struct pc_cache_set *set)
{
    struct pc_ban bans[3];
    static const char *const texts[] = { "20.3.0.0/16", "20.5.7.7", ID };
    struct pc_peer_id gone = id_of(7);
    struct pc_maddr own = addr_of(9, 1);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pc_cache_ban_parse(texts[i], strlen(texts[i]), &bans[i], NULL), 0);
    MUST(pc_cache_set_ban(set, bans, 3));
    MUST(pc_cache_set_remove(set, &gone, NOW_MS + 3));
    MUST(pc_cache_set_own_addr(set, pc_addr_maddr_bytes(&own)));
}

static void look(struct pc_cache_set *set)
{
    struct pc_pick picks[8];
    struct pc_rng rng;
    const uint8_t seed[PC_RNG_SEED_BYTES] = { 4 };
    size_t count = 0, explained = 0;
    int result;
    pc_base_rng_init(&rng, seed);
    MUST(pc_cache_set_pick_filtered(set, &rng, NOW_MS + 4, NULL, picks, 8, &count));
    assert_int_equal(count, 8);
    result = pc_cache_set_explain(set, &rng, NOW_MS + 4, NULL, 8, count_explained, &explained);
    if (result == PEERCACHE_ENOMEM) {
        explained = 0;
        result = pc_cache_set_explain(set, &rng, NOW_MS + 4, NULL, 8, count_explained, &explained);
    }
    assert_int_equal(result, 0);
    assert_int_equal(explained, pc_cache_set_count(set));
}

/* All that the set has to tell, added up so that no order matters but each value does. What it holds in memory may be
 * less after a failure: of a peer whose news could not be kept it forgets all, so as to count nothing twice. */
static uint64_t digest_of(struct pc_cache_set *set)
{
    const struct pc_delta *deltas;
    uint64_t digest = 0;
    for (size_t count; (count = pc_cache_set_take(set, &deltas, PC_CACHE_BATCH_MAX)) > 0;) {
        for (size_t i = 0; i < count; i++)
            digest += (deltas[i].id.bytes[6] + 1U) *
                      (13 + deltas[i].history.success_count * 17 + deltas[i].history.failure_count * 19 +
                       (deltas[i].removed_ms ? 23 : 0) + deltas[i].addr.size);
        assert_int_equal(pc_cache_set_settle(set, true), 0);
    }
    assert_int_equal(pc_cache_set_pending(set), 0);
    return digest;
}

static void a_working_set_survives_it(void **state)
{
    (void)state;
    uint64_t expected = 0;
    failing_memory_first();
    do {
        struct pc_cache_set *set = NULL;
        const struct pc_cache_set_options options = { .peers_max = 1000, .count_at_once = true };
        failing_memory_arm();
        MUST(pc_cache_set_new(&options, &set));
        learn(set);
        look(set);
        forget(set);
        const struct pc_delta *deltas;
        if (pc_cache_set_take(set, &deltas, 10)) /* a commit that failed: the batch comes again */
            assert_int_equal(pc_cache_set_settle(set, false), 0);
        failing_memory_disarm();
        uint64_t digest = digest_of(set);
        expected = expected ? expected : digest;
        if (failing_memory_number() ==
            1) { /* the first turn fails in new: all else is as without a failure */
            assert_true(pc_cache_set_count(set) > PEERS / 2);
        }
        if (digest != expected)
            fail_msg("allocation %u left another state behind", failing_memory_number());
        pc_cache_set_free(set);
    } while (failing_memory_next());
    print_message("# %u allocations of a cycle\n", failing_memory_count());
}

/* ---- format ---- */

struct seen {
    size_t records, addrs;
    uint64_t digest;
    struct pc_format_writer *writer;
};

static int see_record(void *context, const struct pc_format_item *item)
{
    struct seen *seen = context;
    seen->records++;
    for (size_t i = 0; i < item->record.addr_count; i++, seen->addrs++)
        for (size_t k = 0; k < item->record.addrs[i].addr.size; k++)
            seen->digest = seen->digest * 31 + item->record.addrs[i].addr.bytes[k];
    return seen->writer ? pc_format_writer_record(seen->writer, &item->record) : 0;
}

static int see_own(void *context, struct pc_bytes json)
{
    ((struct seen *)context)->digest += json.size;
    return 0;
}

static int read_once(struct pc_bytes document, struct seen *ret_seen, struct pc_format_writer *writer)
{
    struct pc_format_reader *reader;
    *ret_seen = (struct seen){ .writer = writer };
    const struct pc_format_options options = {
        .visitor = { .record = see_record, .own = see_own, .context = ret_seen }
    };
    int result = pc_format_reader_new(&options, &reader);
    if (result)
        return result;
    for (size_t at = 0; at < document.size && result == 0; at += 100) /* in pieces, so that buffers grow */
        result = pc_format_reader_feed(
            reader, pc_bytes_of(document.data + at, document.size - at < 100 ? document.size - at : 100));
    if (result == 0)
        result = pc_format_reader_finish(reader);
    if (result == PEERCACHE_ENOMEM)
        assert_non_null(strstr(pc_format_reader_errmsg(reader), "out of memory"));
    pc_format_reader_free(reader);
    return result;
}

static struct pc_bytes load(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/formats/%s", getenv("VECTORS"), name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s", path);
    uint8_t *data = malloc(1 << 20);
    assert_non_null(data);
    size_t size = fread(data, 1, 1 << 20, file);
    assert_true(size > 0 && size < 1 << 20);
    (void)fclose(file);
    return pc_bytes_of(data, size);
}

static const char *const documents[] = { "list.json",   "list-ours.json", "map.json",  "ant-v0.json",
                                         "ant-v1.json", "endpoint.json",  "kubo.json", "text.txt" };

static void readers_survive_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        struct pc_bytes document = load(documents[i]);
        struct seen seen, expected;
        assert_int_equal(read_once(document, &expected, NULL), 0);
        assert_true(expected.records > 0);
        failing_memory_first();
        do {
            failing_memory_arm();
            MUST(read_once(document, &seen, NULL));
            failing_memory_disarm();
            assert_int_equal(seen.records, expected.records);
            assert_int_equal(seen.addrs, expected.addrs);
            assert_true(seen.digest == expected.digest);
        } while (failing_memory_next());
        assert_true(failing_memory_count() > 0);
        free((void *)(uintptr_t)document.data);
    }
}

static int count_bytes(void *context, struct pc_bytes bytes)
{
    *(size_t *)context += bytes.size;
    return 0;
}

static int write_once(struct pc_bytes document, enum pc_format format, size_t *ret_bytes)
{
    struct pc_format_writer *writer;
    struct seen seen;
    const struct pc_format_writer_options options = { .format = format,
                                                      .write = count_bytes,
                                                      .context = ret_bytes,
                                                      .network_version = "test",
                                                      .description = "x" };
    *ret_bytes = 0;
    int result = pc_format_writer_new(&options, &writer);
    if (result)
        return result;
    result = read_once(document, &seen, writer);
    if (result == 0)
        result = pc_format_writer_end(writer);
    pc_format_writer_free(writer);
    return result;
}

static void writers_survive_it(void **state)
{
    (void)state;
    struct pc_bytes document = load("list-ours.json");
    for (unsigned format = PC_FORMAT_UNKNOWN + 1; format < PC_FORMAT_COUNT; format++) {
        size_t bytes, expected;
        assert_int_equal(write_once(document, (enum pc_format)format, &expected), 0);
        failing_memory_first();
        do {
            failing_memory_arm();
            MUST(write_once(document, (enum pc_format)format, &bytes));
            failing_memory_disarm();
            assert_int_equal(bytes, expected);
        } while (failing_memory_next());
    }
    free((void *)(uintptr_t)document.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_take_no_memory),
        cmocka_unit_test(a_working_set_survives_it),
        cmocka_unit_test(readers_survive_it),
        cmocka_unit_test(writers_survive_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
