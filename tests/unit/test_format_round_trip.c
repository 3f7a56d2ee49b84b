/* Random records out and in again, in every format: what each carries comes back, and memory stays bounded.
 */
#include "check.h"
#include "format_trace.h"

#include <malloc.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(HAS_ASAN)
/* Of sanitizer/allocator_interface.h, which not every compiler brings. */
size_t __sanitizer_get_current_allocated_bytes(void);
#define allocated_bytes __sanitizer_get_current_allocated_bytes
#else
static size_t allocated_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}
#endif

#define RECORD_COUNT 300
#define RELAY        "12D3KooWGvJefshRmywWffyockn5DfYwLvULU1LsbvumhbkMfurp"

static const struct pc_format_options by_content = { .format = PC_FORMAT_UNKNOWN };

/* --- random records --- */

static void random_id(struct pc_rng *rng, struct pc_peer_id *ret_id)
{
    static const uint8_t ed25519[] = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 };
    static const uint8_t sha256[] = { 0x12, 0x20 };
    bool is_long = pc_base_rng_below(rng, 2) == 0;
    size_t head = is_long ? sizeof(ed25519) : sizeof(sha256);
    memcpy(ret_id->bytes, is_long ? ed25519 : sha256, head);
    pc_base_rng_bytes(rng, ret_id->bytes + head, 32);
    ret_id->size = (uint8_t)(head + 32);
}

static void random_addr(struct pc_rng *rng, unsigned port, struct pc_maddr *ret_addr)
{
    static const char *const shapes[] = {
        "/ip4/203.0.%u.%u/udp/%u/quic-v1",
        "/ip4/198.51.%u.%u/tcp/%u",
        "/ip6/2001:db8::%u:%u/udp/%u/quic-v1",
        "/dns4/a%u.b%u.example/tcp/%u/wss",
        ("/ip4/192.0.%u.%u/udp/%u/quic-v1/p2p/" RELAY "/p2p-circuit"),
    };
    char text[256];
    const char *shape = shapes[pc_base_rng_below(rng, sizeof(shapes) / sizeof(shapes[0]))];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(text, sizeof(text), shape, (unsigned)pc_base_rng_below(rng, 250),
                   (unsigned)pc_base_rng_below(rng, 250), 1000 + port);
#pragma GCC diagnostic pop
    assert_int_equal(pc_addr_maddr_parse(text, strlen(text), ret_addr, NULL), 0);
}

static int64_t random_time(struct pc_rng *rng)
{
    return pc_base_rng_below(rng, 3) == 0 ? 0 : (int64_t)pc_base_rng_below(rng, UINT64_C(253402300800000));
}

static uint32_t random_count(struct pc_rng *rng)
{
    static const uint32_t counts[] = { 0, 1, 7, UINT32_MAX - 1, UINT32_MAX };
    return counts[pc_base_rng_below(rng, sizeof(counts) / sizeof(counts[0]))];
}

static void random_record_addr(struct pc_rng *rng, unsigned port, struct pc_record_addr *ret_addr)
{
    struct pc_history *history = &ret_addr->history;
    memset(ret_addr, 0, sizeof(*ret_addr));
    random_addr(rng, port, &ret_addr->addr);
    pc_cache_history_init(history);
    history->success_count = random_count(rng);
    history->failure_count = random_count(rng);
    for (size_t i = 1; i < PEERCACHE_OUTCOME_COUNT; i++)
        history->failures[i] = pc_base_rng_below(rng, 2) ? random_count(rng) : 0;
    history->last_seen_ms = random_time(rng);
    history->last_success_ms = random_time(rng);
    history->last_attempt_ms = random_time(rng);
    if (pc_base_rng_below(rng, 2))
        history->rtt_us = (uint32_t)pc_base_rng_below(rng, PC_RTT_UNKNOWN);
    history->rtt_at_ms = random_time(rng);
    ret_addr->source = (peercache_source)pc_base_rng_below(rng, PEERCACHE_SOURCE_COUNT);
    ret_addr->source_group.size = (uint8_t)pc_base_rng_below(rng, sizeof(ret_addr->source_group.bytes) + 1);
    pc_base_rng_bytes(rng, ret_addr->source_group.bytes, ret_addr->source_group.size);
    ret_addr->first_seen_ms = random_time(rng);
}

static struct pc_record *random_records(uint64_t seed)
{
    struct pc_rng rng;
    struct pc_record *records = calloc(RECORD_COUNT, sizeof(*records));
    assert_non_null(records);
    pc_base_rng_init_u64(&rng, seed);
    for (size_t i = 0; i < RECORD_COUNT; i++) {
        struct pc_record *record = &records[i];
        bool has_id = pc_base_rng_below(&rng, 5) > 0;
        if (has_id)
            random_id(&rng, &record->id);
        record->state = (peercache_state)pc_base_rng_below(&rng, PEERCACHE_STATE_COUNT);
        record->bucket = (uint32_t)pc_base_rng_u64(&rng);
        record->addr_count = has_id ? (uint8_t)pc_base_rng_below(&rng, PEERCACHE_ADDRS_PER_PEER + 1) : 1;
        for (unsigned k = 0; k < record->addr_count; k++)
            random_record_addr(&rng, k, &record->addrs[k]);
    }
    return records;
}

/* --- what each format carries --- */

static bool carries_history(enum pc_format format)
{
    return format == PC_FORMAT_MAP || format == PC_FORMAT_ANT_V0;
}

static bool carries_without_id(enum pc_format format)
{
    return format != PC_FORMAT_ANT_V0 && format != PC_FORMAT_ANT_V1 && format != PC_FORMAT_KUBO;
}

/* The record as it comes back. */
static void strip(enum pc_format format, struct pc_record *record)
{
    if (format == PC_FORMAT_LIST)
        return;
    record->state = PEERCACHE_NEW;
    record->bucket = 0;
    if (record->id.size == 0 && !carries_without_id(format))
        record->addr_count = 0;
    for (size_t i = 0; i < record->addr_count; i++) {
        struct pc_record_addr *addr = &record->addrs[i];
        struct pc_history before = addr->history;
        pc_cache_history_init(&addr->history);
        if (carries_history(format)) {
            addr->history.success_count = before.success_count;
            addr->history.failure_count = before.failure_count;
            addr->history.last_seen_ms = before.last_seen_ms;
        }
        addr->source = PEERCACHE_SOURCE_IMPORT;
        addr->source_group.size = 0;
        addr->first_seen_ms = 0;
    }
}

static struct pc_format_writer_options writer_options(enum pc_format format)
{
    static const char own[] = "{\"network\":\"n\",\"tombstones\":[[1,2],{}]}";
    return (struct pc_format_writer_options){
        .format = format,
        .last_updated_ms = INT64_C(1767323045678),
        .network_version = "7_2.1",
        .description = "a \"quoted\" text\\ with \x01 and \xc3\xa4",
        .own = format == PC_FORMAT_LIST ? pc_bytes_of(own, sizeof(own) - 1) : pc_bytes_of(NULL, 0),
    };
}

static void check_written(enum pc_format format, struct pc_record *records)
{
    struct pc_format_writer_options options = writer_options(format);
    struct format_trace expected, got;
    uint64_t left_out, without_id = 0;
    size_t item_count = 0;
    struct pc_bytes document = format_write(&options, records, RECORD_COUNT, &left_out);
    format_trace_init(&expected);
    format_trace_init(&got);
    for (size_t i = 0; i < RECORD_COUNT; i++) {
        without_id += records[i].id.size == 0;
        strip(format, &records[i]);
        format_trace_record(&expected, &records[i], format == PC_FORMAT_LIST);
        item_count += records[i].addr_count > 0;
    }
    format_trace_read(&got, &by_content, document, 0, NULL);
    assert_string_equal(got.error, "");
    assert_int_equal(got.summary.format, format);
    assert_string_equal(format_trace_text(&got), format_trace_text(&expected));
    assert_int_equal(left_out, carries_without_id(format) ? 0 : without_id);
    if (format == PC_FORMAT_LIST || format == PC_FORMAT_ANT_V0 || format == PC_FORMAT_ANT_V1)
        assert_int_equal(got.item_count, item_count);
    if (format == PC_FORMAT_LIST)
        assert_string_equal(got.own, "{\"network\":\"n\",\"tombstones\":[[1,2],{}]}");
    bool has_date = format != PC_FORMAT_TEXT && format != PC_FORMAT_KUBO;
    assert_int_equal(got.summary.has_last_updated, has_date);
    assert_int_equal(got.summary.last_updated_ms, has_date ? options.last_updated_ms : 0);
    bool has_version = format == PC_FORMAT_ANT_V0 || format == PC_FORMAT_ANT_V1;
    assert_string_equal(got.summary.network_version, has_version ? "7_2.1" : "");
    format_trace_deinit(&got);
    format_trace_deinit(&expected);
    format_free(document);
}

static void round_trips(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        for (unsigned f = PC_FORMAT_UNKNOWN + 1; f < PC_FORMAT_COUNT; f++) {
            struct pc_record *records = random_records(seed);
            check_written((enum pc_format)f, records);
            free(records);
        }
    }
}

static void nothing_written_is_read_as_nothing(void **state)
{
    (void)state;
    for (unsigned f = PC_FORMAT_UNKNOWN + 1; f < PC_FORMAT_COUNT; f++) {
        struct pc_format_writer_options options = writer_options((enum pc_format)f);
        struct format_trace trace;
        struct pc_bytes document = format_write(&options, NULL, 0, NULL);
        format_trace_init(&trace);
        format_trace_read(&trace, &by_content, document, 0, NULL);
        assert_int_equal(trace.result, 0);
        assert_int_equal(trace.summary.format, f);
        assert_int_equal(trace.summary.read, 0);
        format_trace_deinit(&trace);
        format_free(document);
    }
}

/* A zone may hold any bytes: one that is no UTF-8 fits a line and no JSON, one with a line end the reverse.
 */
static void what_a_format_cannot_hold_is_left_out(void **state)
{
    (void)state;
    static const char *const addrs[] = {
        "/ip6zone/a\xff/ip6/fe80::1/udp/1/quic-v1",
        "/ip6zone/a\nb/ip6/fe80::1/udp/1/quic-v1",
        "/ip6zone/a\"\\b/ip6/fe80::1/udp/1/quic-v1",
    };
    static const struct {
        enum pc_format format;
        uint64_t left_out;
    } cases[] = {
        { PC_FORMAT_LIST, 1 }, { PC_FORMAT_MAP, 1 },      { PC_FORMAT_ANT_V0, 1 }, { PC_FORMAT_ANT_V1, 1 },
        { PC_FORMAT_TEXT, 1 }, { PC_FORMAT_ENDPOINT, 1 }, { PC_FORMAT_KUBO, 1 },
    };
    struct pc_rng rng;
    struct pc_record record;
    pc_base_rng_init_u64(&rng, 3);
    memset(&record, 0, sizeof(record));
    random_id(&rng, &record.id);
    for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
        struct pc_record_addr *addr = &record.addrs[record.addr_count++];
        pc_cache_history_init(&addr->history);
        assert_int_equal(pc_addr_maddr_parse(addrs[i], strlen(addrs[i]), &addr->addr, NULL), 0);
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pc_format_writer_options options = writer_options(cases[i].format);
        struct format_trace trace;
        uint64_t left_out;
        struct pc_bytes document = format_write(&options, &record, 1, &left_out);
        assert_int_equal(left_out, cases[i].left_out);
        format_trace_init(&trace);
        format_trace_read(&trace, &by_content, document, 0, NULL);
        assert_int_equal(trace.result, 0);
        assert_int_equal(trace.summary.accepted, record.addr_count - left_out);
        assert_int_equal(trace.summary.rejected, 0);
        format_trace_deinit(&trace);
        format_free(document);
    }
}

/* The head of our own files is known at the first record. */
static int expect_head(void *context, const struct pc_format_item *item)
{
    struct pc_format_reader **reader = context;
    const struct pc_format_summary *summary = pc_format_reader_summary(*reader);
    (void)item;
    assert_true(summary->has_last_updated);
    if (summary->format == PC_FORMAT_LIST)
        assert_true(summary->has_own);
    else
        assert_string_equal(summary->network_version, "7_2.1");
    return -1000;
}

static void head_stands_before_the_peers(void **state)
{
    (void)state;
    static const enum pc_format formats[] = { PC_FORMAT_LIST, PC_FORMAT_ANT_V0, PC_FORMAT_ANT_V1 };
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct pc_record *records = random_records(1);
        struct pc_format_writer_options options = writer_options(formats[i]);
        struct pc_bytes document = format_write(&options, records, RECORD_COUNT, NULL);
        struct pc_format_reader *reader;
        struct pc_format_options read_options = { .visitor = { .record = expect_head, .context = &reader } };
        assert_int_equal(pc_format_reader_new(&read_options, &reader), 0);
        assert_int_equal(pc_format_reader_feed(reader, document), -1000);
        assert_int_equal(pc_format_reader_finish(reader), -1000);
        assert_true(pc_format_reader_summary(reader)->accepted > 0);
        pc_format_reader_free(reader);
        format_free(document);
        free(records);
    }
}

struct failing {
    size_t calls;
    size_t fail_at;
};

static int write_and_fail(void *context, struct pc_bytes bytes)
{
    struct failing *failing = context;
    (void)bytes;
    return ++failing->calls == failing->fail_at ? PEERCACHE_EFULL : 0;
}

static void a_failing_sink_is_told_and_not_asked_again(void **state)
{
    (void)state;
    struct pc_record *records = random_records(2);
    for (size_t fail_at = 1; fail_at < 4; fail_at++) {
        struct failing failing = { 0, fail_at };
        struct pc_format_writer_options options = writer_options(PC_FORMAT_LIST);
        struct pc_format_writer *writer;
        int r = 0;
        options.write = write_and_fail;
        options.context = &failing;
        assert_int_equal(pc_format_writer_new(&options, &writer), 0);
        for (size_t i = 0; i < RECORD_COUNT; i++)
            r = pc_format_writer_record(writer, &records[i]);
        assert_int_equal(r, PEERCACHE_EFULL);
        assert_int_equal(pc_format_writer_end(writer), PEERCACHE_EFULL);
        assert_int_equal(failing.calls, fail_at);
        pc_format_writer_free(writer);
    }
    free(records);
    struct failing at_once = { 0, 1 };
    struct pc_format_writer_options options = writer_options(PC_FORMAT_LIST);
    struct pc_format_writer *writer;
    uint8_t *own = malloc(1 << 20);
    assert_non_null(own);
    memset(own, ' ', 1 << 20);
    options.own = pc_bytes_of(own, 1 << 20);
    options.write = write_and_fail;
    options.context = &at_once;
    assert_int_equal(pc_format_writer_new(&options, &writer), PEERCACHE_EFULL);
    free(own);
}

static void texts_that_are_no_utf8_are_refused(void **state)
{
    (void)state;
    struct pc_format_writer *writer;
    struct pc_format_writer_options options = writer_options(PC_FORMAT_ENDPOINT);
    options.description = "\xff";
    assert_int_equal(pc_format_writer_new(&options, &writer), PEERCACHE_EINVAL);
    options = writer_options(PC_FORMAT_ANT_V1);
    options.network_version = "\xc3";
    assert_int_equal(pc_format_writer_new(&options, &writer), PEERCACHE_EINVAL);
}

/* --- memory --- */

#define STREAM_ENTRIES   200000
#define STREAM_MAX_BYTES (512 * 1024)

struct stream {
    struct pc_format_reader *reader;
    size_t before_bytes;
    size_t peak_bytes;
    uint64_t items;
};

static int watch_memory(void *context, const struct pc_format_item *item)
{
    struct stream *stream = context;
    size_t bytes = allocated_bytes();
    if (bytes > stream->peak_bytes)
        stream->peak_bytes = bytes;
    stream->items += item->record.addr_count;
    return 0;
}

static int feed_reader(void *context, struct pc_bytes bytes)
{
    struct stream *stream = context;
    return pc_format_reader_feed(stream->reader, bytes);
}

/* The writer feeds the reader: 200,000 entries never are in memory together. */
static void a_long_stream_needs_little_memory(void **state)
{
    (void)state;
    static const enum pc_format formats[] = { PC_FORMAT_LIST };
    for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++) {
        struct pc_rng rng;
        struct stream stream = { .before_bytes = allocated_bytes() };
        struct pc_format_options options = { .visitor = { .record = watch_memory, .context = &stream } };
        struct pc_format_writer_options out = writer_options(formats[f]);
        struct pc_format_writer *writer;
        struct pc_record record;
        pc_base_rng_init_u64(&rng, 9);
        out.write = feed_reader;
        out.context = &stream;
        assert_int_equal(pc_format_reader_new(&options, &stream.reader), 0);
        assert_int_equal(pc_format_writer_new(&out, &writer), 0);
        memset(&record, 0, sizeof(record));
        record.addr_count = 1;
        random_record_addr(&rng, 1, &record.addrs[0]);
        for (size_t i = 0; i < STREAM_ENTRIES; i++) {
            random_id(&rng, &record.id);
            assert_int_equal(pc_format_writer_record(writer, &record), 0);
        }
        assert_int_equal(pc_format_writer_end(writer), 0);
        assert_int_equal(pc_format_reader_finish(stream.reader), 0);
        pc_format_writer_free(writer);
        pc_format_reader_free(stream.reader);
        assert_int_equal(stream.items, STREAM_ENTRIES);
        assert_true(stream.peak_bytes > stream.before_bytes);
        assert_in_range(stream.peak_bytes - stream.before_bytes, 1, STREAM_MAX_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(nothing_written_is_read_as_nothing),
        cmocka_unit_test(what_a_format_cannot_hold_is_left_out),
        cmocka_unit_test(head_stands_before_the_peers),
        cmocka_unit_test(a_failing_sink_is_told_and_not_asked_again),
        cmocka_unit_test(texts_that_are_no_utf8_are_refused),
        cmocka_unit_test(a_long_stream_needs_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
