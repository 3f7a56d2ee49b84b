/* The formats as the descendants write them, told apart by content, fed in any pieces and cut anywhere. */
#include "check.h"
#include "format_trace.h"

#include "base/time.h"

#include <stdlib.h>

static const struct pc_format_options by_content = { .format = PC_FORMAT_UNKNOWN };

static const struct {
    const char *name;
    enum pc_format format;
    uint64_t entries;
    uint64_t accepted;
    uint64_t rejected;
    size_t items;
    const char *last_updated; /* NULL: none */
    const char *network_version;
} samples[] = {
    { "list.json", PC_FORMAT_LIST, 4, 4, 0, 4, "2024-11-26T08:00:00.000Z", NULL },
    { "list-ours.json", PC_FORMAT_LIST, 3, 3, 0, 2, "2026-01-31T12:00:00.000Z", NULL },
    { "map.json", PC_FORMAT_MAP, 4, 4, 0, 4, "2024-11-26T07:22:28.498Z", NULL },
    { "map-version.json", PC_FORMAT_MAP, 2, 2, 0, 2, "2024-11-26T07:22:28.498Z", NULL },
    { "ant-v0.json", PC_FORMAT_ANT_V0, 4, 7, 0, 4, "2025-01-01T00:06:40.118Z", "1_1.0" },
    { "ant-v1.json", PC_FORMAT_ANT_V1, 4, 8, 0, 4, "2025-04-07T04:26:40.000Z", "1_1.0" },
    { "endpoint.json", PC_FORMAT_ENDPOINT, 4, 4, 0, 4, "2025-01-01T02:29:59.500Z", NULL },
    { "endpoint-bare.json", PC_FORMAT_ENDPOINT, 1, 1, 0, 1, NULL, NULL },
    { "text.txt", PC_FORMAT_TEXT, 5, 4, 1, 4, NULL, NULL },
    { "kubo.json", PC_FORMAT_KUBO, 4, 4, 0, 4, NULL, NULL },
};

static void check_head(const struct pc_format_summary *summary, size_t i)
{
    char text[PC_RFC3339_BYTES];
    assert_int_equal(summary->format, samples[i].format);
    assert_int_equal(summary->entries, samples[i].entries);
    assert_int_equal(summary->has_last_updated, samples[i].last_updated != NULL);
    if (samples[i].last_updated) {
        pc_base_rfc3339_format(summary->last_updated_ms, text);
        assert_string_equal(text, samples[i].last_updated);
    }
    assert_int_equal(summary->has_network_version, samples[i].network_version != NULL);
    assert_string_equal(summary->network_version,
                        samples[i].network_version ? samples[i].network_version : "");
}

static void samples_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct pc_bytes document = format_vector(samples[i].name);
        struct format_trace trace;
        format_trace_init(&trace);
        format_trace_read(&trace, &by_content, document, 0, NULL);
        assert_string_equal(trace.error, "");
        check_head(&trace.summary, i);
        assert_int_equal(trace.summary.accepted, samples[i].accepted);
        assert_int_equal(trace.summary.rejected, samples[i].rejected);
        assert_int_equal(trace.item_count, samples[i].items);
        format_trace_deinit(&trace);
        format_free(document);
    }
}

/* With the format named, and with any other. */
static void samples_are_only_what_they_are(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct pc_bytes document = format_vector(samples[i].name);
        for (unsigned f = PC_FORMAT_UNKNOWN + 1; f < PC_FORMAT_COUNT; f++) {
            struct pc_format_options options = { .format = (enum pc_format)f };
            struct format_trace trace;
            format_trace_init(&trace);
            format_trace_read(&trace, &options, document, 0, NULL);
            if (f == samples[i].format) {
                assert_int_equal(trace.result, 0);
                assert_int_equal(trace.summary.accepted, samples[i].accepted);
            } else {
                assert_int_equal(trace.result, f == PC_FORMAT_TEXT ? 0 : PEERCACHE_EFORMAT);
                assert_int_equal(trace.summary.accepted, 0);
            }
            format_trace_deinit(&trace);
        }
        format_free(document);
    }
}

static void head_pass_gives_the_head_and_no_record(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct pc_format_options options = { .head_only = true };
        struct pc_bytes document = format_vector(samples[i].name);
        struct format_trace trace;
        format_trace_init(&trace);
        format_trace_read(&trace, &options, document, 3, NULL);
        assert_int_equal(trace.result, 0);
        check_head(&trace.summary, i);
        assert_int_equal(trace.summary.read, 0);
        assert_string_equal(format_trace_text(&trace), "");
        assert_int_equal(trace.summary.has_own, strcmp(samples[i].name, "list-ours.json") == 0);
        assert_int_equal(trace.own[0] != '\0', trace.summary.has_own);
        format_trace_deinit(&trace);
        format_free(document);
    }
}

static void detection_is_by_content(void **state)
{
    (void)state;
    struct pc_reason reason;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct pc_bytes document = format_vector(samples[i].name);
        enum pc_format format = PC_FORMAT_UNKNOWN;
        assert_int_equal(pc_format_detect(document, &format, &reason), 0);
        assert_int_equal(format, samples[i].format);
        format_free(document);
    }
    static const struct {
        const char *beginning;
        int result;
        enum pc_format format;
    } cases[] = {
        { "", 0, PC_FORMAT_TEXT },
        { " \r\n", 0, PC_FORMAT_TEXT },
        { "# nothing yet\n", 0, PC_FORMAT_TEXT },
        { "/ip4/1.2.3.4/u", 0, PC_FORMAT_TEXT },
        { "oops\n/ip4/1.2.3.4", 0, PC_FORMAT_TEXT },
        { "hello world\n", PEERCACHE_EFORMAT, 0 },
        { "<html>\n/ip4/1.2.3.4", PEERCACHE_EFORMAT, 0 },
        { "\x1f\x8b\x08", PEERCACHE_EFORMAT, 0 },
        { "[\"/ip4/1.2.3.4/udp/1/quic-v1\"]", PEERCACHE_EFORMAT, 0 },
        { "\xef\xbb", PEERCACHE_EFORMAT, 0 },
        { "\xef\xbb\xbf {\"peers\":[\"\"", 0, PC_FORMAT_ENDPOINT },
        { "{", PEERCACHE_ENOTFOUND, 0 },
        { "{\"peers\":[", PEERCACHE_ENOTFOUND, 0 },
        { "{\"peers\":[{}", 0, PC_FORMAT_LIST },
        { "{\"peers\":[[]", 0, PC_FORMAT_ANT_V1 },
        { "{\"peers\":{\"a\":{}", 0, PC_FORMAT_MAP },
        { "{\"peers\":{\"a\":[]", 0, PC_FORMAT_ANT_V0 },
        { "{\"peers\":[]}", 0, PC_FORMAT_ENDPOINT },
        { "{\"peers\":[],\"metadata\":{}}", 0, PC_FORMAT_ENDPOINT },
        { "{\"peers\":[],\"last_updated\":\"\"}", 0, PC_FORMAT_LIST },
        { "{\"peercache\":{},\"peers\":[]}", 0, PC_FORMAT_LIST },
        { "{\"peers\":[],\"cache_version\":\"1\",\"last_updated\":\"\"}", 0, PC_FORMAT_ANT_V1 },
        { "{\"peers\":{}}", 0, PC_FORMAT_MAP },
        { "{\"peers\":{},\"network_version\":\"1\"}", 0, PC_FORMAT_ANT_V0 },
        { "{\"Bootstrap\":null}", 0, PC_FORMAT_KUBO },
        { "{\"Bootstrap\":[]}", 0, PC_FORMAT_KUBO },
        { "{\"\\u0070eers\":[\"/", PEERCACHE_ENOTFOUND, 0 },
        { "{\"\\u0070eers\":[\"/\"", 0, PC_FORMAT_ENDPOINT },
        { "{}", PEERCACHE_EFORMAT, 0 },
        { "{\"a\":1}", PEERCACHE_EFORMAT, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum pc_format format = PC_FORMAT_UNKNOWN;
        struct pc_bytes beginning = pc_bytes_of(cases[i].beginning, strlen(cases[i].beginning));
        int r = pc_format_detect(beginning, &format, &reason);
        if (r != cases[i].result || format != cases[i].format)
            print_message("# case %zu: %s\n", i, cases[i].beginning);
        assert_int_equal(r, cases[i].result);
        assert_int_equal(format, cases[i].format);
        if (r != 0)
            assert_true(reason.text[0] != '\0');
    }
}

static void known_entries_in_full(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *line;
    } cases[] = {
        { "list.json",
          "/ip4/159.90.7.14/udp/12001/quic-v1/p2p/12D3KooWGvJefshRmywWffyockn5DfYwLvULU1LsbvumhbkMfurp "
          "id:38 2/1 seen:1732274430123 success:0 attempt:0 rtt:4294967295@0 first:0 import()\n" },
        { "list.json",
          "/ip6/2a01:4f8:c0c:1234::1/udp/4001/quic-v1 id:0 0/4 seen:1732522087000 success:0 attempt:0 "
          "rtt:4294967295@0 first:0 import()\n" },
        { "list-ours.json",
          " 5/3 seen:1767323045678 success:1767323045678 attempt:1767409445678 "
          "rtt:23456@1767323045678 first:1764547200000 dht(042ed5) timeout:2 refused:1 tried "
          "bucket:17\n" },
        { "map.json", " 3/6 seen:1732600003123 success:0 " },
        { "ant-v0.json", " 2/2 seen:1735000022005 success:0 " },
        { "text.txt", "- line 5, entry 3 (byte 226): bad_multiaddr: " },
        { "kubo.json",
          "/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN id:34 0/0 " },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pc_bytes document = format_vector(cases[i].name);
        struct format_trace trace;
        format_trace_init(&trace);
        format_trace_read(&trace, &by_content, document, 0, NULL);
        if (!strstr(format_trace_text(&trace), cases[i].line))
            print_message("# %s", format_trace_text(&trace));
        assert_non_null(strstr(format_trace_text(&trace), cases[i].line));
        format_trace_deinit(&trace);
        format_free(document);
    }
}

static void newest_first_stays_the_order(void **state)
{
    (void)state;
    static const char *const order[] = { "udp/12010", "udp/12011", "udp/12006", "udp/12007",
                                         "udp/12018", "udp/12019", "udp/12002", "udp/12003" };
    struct pc_bytes document = format_vector("ant-v1.json");
    struct format_trace trace;
    format_trace_init(&trace);
    format_trace_read(&trace, &by_content, document, 0, NULL);
    const char *at = format_trace_text(&trace);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        at = strstr(at, order[i]);
        assert_non_null(at);
    }
    assert_string_equal(trace.summary.cache_version, "1");
    format_trace_deinit(&trace);
    format_free(document);
}

static void own_object_comes_as_it_stands(void **state)
{
    (void)state;
    struct pc_bytes document = format_vector("list-ours.json");
    for (size_t piece_bytes = 0; piece_bytes < 3; piece_bytes++) {
        struct format_trace trace;
        format_trace_init(&trace);
        format_trace_read(&trace, &by_content, document, piece_bytes, NULL);
        assert_string_equal(trace.own, "{\"version\":1,\"network\":\"test\",\"local\":false,\"secret\":"
                                       "\"000102030405060708090a0b0c0d0e0f\"}");
        format_trace_deinit(&trace);
    }
    format_free(document);
}

static void assert_same(struct format_trace *a, struct format_trace *b)
{
    assert_int_equal(a->result, b->result);
    assert_string_equal(a->error, b->error);
    assert_string_equal(format_trace_text(a), format_trace_text(b));
    assert_int_equal(a->item_count, b->item_count);
    assert_string_equal(a->own, b->own);
    assert_int_equal(a->summary.format, b->summary.format);
    assert_int_equal(a->summary.entries, b->summary.entries);
    assert_int_equal(a->summary.read, b->summary.read);
}

static void pieces_of_any_size_give_the_same(void **state)
{
    (void)state;
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, 1);
    for (size_t i = 0; i < format_vector_count; i++) {
        struct pc_bytes document = format_vector(format_vector_names[i]);
        struct format_trace whole;
        format_trace_init(&whole);
        format_trace_read(&whole, &by_content, document, 0, NULL);
        for (size_t n = 0; n < 30; n++) {
            struct format_trace pieces;
            format_trace_init(&pieces);
            format_trace_read(&pieces, &by_content, document, 1 + n, n < 10 ? NULL : &rng);
            assert_same(&whole, &pieces);
            format_trace_deinit(&pieces);
        }
        format_trace_deinit(&whole);
        format_free(document);
    }
}

/* A document cut at any byte gives what is before the cut and says that it is cut; a text can't know. */
static void cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < format_vector_count; i++) {
        struct pc_bytes document = format_vector(format_vector_names[i]);
        struct format_trace whole;
        format_trace_init(&whole);
        format_trace_read(&whole, &by_content, document, 0, NULL);
        for (size_t size = 0; size < document.size; size++) {
            struct format_trace cut, bytes;
            format_trace_init(&cut);
            format_trace_init(&bytes);
            format_trace_read(&cut, &by_content, pc_bytes_of(document.data, size), 0, NULL);
            format_trace_read(&bytes, &by_content, pc_bytes_of(document.data, size), 1, NULL);
            assert_same(&cut, &bytes);
            if (whole.summary.format != PC_FORMAT_TEXT && size > 0) {
                const char *text = format_trace_text(&cut);
                assert_int_equal(cut.result, PEERCACHE_EPARSE);
                assert_non_null(strstr(cut.error, "cut short"));
                assert_memory_equal(text, format_trace_text(&whole), strlen(text));
            } else if (size != 1 && size != 2) { /* a cut byte order mark is no text */
                assert_int_equal(cut.result, 0);
            }
            format_trace_deinit(&bytes);
            format_trace_deinit(&cut);
        }
        format_trace_deinit(&whole);
        format_free(document);
    }
}

static void names_lead_back(void **state)
{
    (void)state;
    enum pc_format format;
    for (unsigned i = PC_FORMAT_UNKNOWN + 1; i < PC_FORMAT_COUNT; i++) {
        assert_int_equal(pc_format_from_name(pc_format_name((enum pc_format)i), &format), 0);
        assert_int_equal(format, i);
        assert_int_equal(pc_format_loses((enum pc_format)i)[0] == '\0', i == PC_FORMAT_LIST);
    }
    assert_int_equal(pc_format_from_name("unknown", &format), PEERCACHE_ENOTFOUND);
    assert_int_equal(pc_format_from_name("", &format), PEERCACHE_ENOTFOUND);
    assert_int_equal(pc_format_from_name("LIST", &format), PEERCACHE_ENOTFOUND);
    assert_string_equal(pc_format_refusal_name(PC_FORMAT_TOO_MANY), "too_many_addresses");
    assert_string_equal(pc_format_refusal_name(PC_FORMAT_DNS_NAME), "dns_name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_read),
        cmocka_unit_test(samples_are_only_what_they_are),
        cmocka_unit_test(head_pass_gives_the_head_and_no_record),
        cmocka_unit_test(detection_is_by_content),
        cmocka_unit_test(known_entries_in_full),
        cmocka_unit_test(newest_first_stays_the_order),
        cmocka_unit_test(own_object_comes_as_it_stands),
        cmocka_unit_test(pieces_of_any_size_give_the_same),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(names_lead_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
