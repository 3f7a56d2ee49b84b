/* Bad input: what refuses an entry, what ends the reading, and what the words for it are. */
#include "check.h"
#include "format_trace.h"

#include <stdlib.h>

#define ID   "12D3KooWGvJefshRmywWffyockn5DfYwLvULU1LsbvumhbkMfurp"
#define ID2  "QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN"
#define ADDR "/ip4/203.0.113.7/udp/4001/quic-v1"

static const struct pc_format_options by_content = { .format = PC_FORMAT_UNKNOWN };

/* One refused entry between two good ones: the good ones come. */
static const struct {
    const char *entry;
    enum pc_format_refusal refusal;
    const char *words; /* in the text of the rejection */
} bad_list_entries[] = {
    { "{\"addr\":\"" ADDR "\",}", PC_FORMAT_BAD_JSON, "line 2, entry 2 (byte 56): bad_json: " },
    { "{\"addr\":\"" ADDR "\",\"success_count\":NaN}", PC_FORMAT_BAD_JSON, "expected a value" },
    { "{\"addr\":\"" ADDR "\",\"success_count\":+1}", PC_FORMAT_BAD_JSON, "" },
    { "{\"addr\":\"" ADDR "\",\"success_count\":0x1}", PC_FORMAT_BAD_JSON, "" },
    { "{\"addr\":\"" ADDR "\",\"x\":Infinity}", PC_FORMAT_BAD_JSON, "" },
    { "{\"addr\":\"" ADDR "\",\"addr\":\"" ADDR "\"}", PC_FORMAT_BAD_JSON, "twice" },
    { "{\"addr\":\"\xff\xfe\"}", PC_FORMAT_BAD_JSON, "UTF-8" },
    { "{\"addr\":\"\\u0000\"}", PC_FORMAT_BAD_JSON, "" },
    { "{\"addr\":\"\\ud800\"}", PC_FORMAT_BAD_JSON, "" },
    { "{\"addr\" \"" ADDR "\"}", PC_FORMAT_BAD_JSON, "" },
    { "tru", PC_FORMAT_BAD_JSON, "" },
    { "1", PC_FORMAT_WRONG_TYPE, "an entry is no object" },
    { "null", PC_FORMAT_WRONG_TYPE, "" },
    { "[]", PC_FORMAT_WRONG_TYPE, "" },
    { "\"" ADDR "\"", PC_FORMAT_WRONG_TYPE, "" },
    { "{}", PC_FORMAT_NO_ADDRESS, "" },
    { "{\"addr\":null}", PC_FORMAT_NO_ADDRESS, "" },
    { "{\"addr\":\"\"}", PC_FORMAT_NO_ADDRESS, "" },
    { "{\"addr\":\"/p2p/" ID "\"}", PC_FORMAT_NO_ADDRESS, "" },
    { "{\"addr\":7}", PC_FORMAT_WRONG_TYPE, "addr" },
    { "{\"addr\":\"hello\"}", PC_FORMAT_BAD_MULTIADDR, "" },
    { "{\"addr\":\"/ip4/1.2.3.4.5/udp/1/quic-v1\"}", PC_FORMAT_BAD_MULTIADDR, "" },
    { "{\"addr\":\"" ADDR "/p2p/12D3\"}", PC_FORMAT_BAD_MULTIADDR, "" },
    { "{\"addr\":\"" ADDR "\",\"success_count\":\"1\"}", PC_FORMAT_WRONG_TYPE, "success_count" },
    { "{\"addr\":\"" ADDR "\",\"success_count\":-1}", PC_FORMAT_WRONG_TYPE, "success_count" },
    { "{\"addr\":\"" ADDR "\",\"failure_count\":1.0}", PC_FORMAT_WRONG_TYPE, "failure_count" },
    { "{\"addr\":\"" ADDR "\",\"failure_count\":[]}", PC_FORMAT_WRONG_TYPE, "failure_count" },
    { "{\"addr\":\"" ADDR "\",\"failures\":3}", PC_FORMAT_WRONG_TYPE, "failures" },
    { "{\"addr\":\"" ADDR "\",\"failures\":{\"timeout\":true}}", PC_FORMAT_WRONG_TYPE, "failures" },
    { "{\"addr\":\"" ADDR "\",\"source\":3}", PC_FORMAT_WRONG_TYPE, "source" },
    { "{\"addr\":\"" ADDR "\",\"source_group\":\"0g\"}", PC_FORMAT_WRONG_TYPE, "source_group" },
    { "{\"addr\":\"" ADDR "\",\"source_group\":\"000000000000000000000000000000000000000000\"}",
      PC_FORMAT_WRONG_TYPE, "source_group" },
    { "{\"addr\":\"" ADDR "\",\"state\":{}}", PC_FORMAT_WRONG_TYPE, "state" },
    { "{\"addr\":\"" ADDR "\",\"bucket\":\"1\"}", PC_FORMAT_WRONG_TYPE, "bucket" },
    { "{\"addr\":\"" ADDR "\",\"last_seen\":\"yesterday\"}", PC_FORMAT_BAD_TIME, "last_seen" },
    { "{\"addr\":\"" ADDR "\",\"last_seen\":1700000000}", PC_FORMAT_BAD_TIME, "last_seen" },
    { "{\"addr\":\"" ADDR "\",\"last_seen\":{\"secs_since_epoch\":-1,\"nanos_since_epoch\":0}}",
      PC_FORMAT_BAD_TIME, "last_seen" },
    { "{\"addr\":\"" ADDR "\",\"last_seen\":{\"secs_since_epoch\":1,\"nanos_since_epoch\":1000000000}}",
      PC_FORMAT_BAD_TIME, "last_seen" },
    { "{\"addr\":\"" ADDR "\",\"last_seen\":{\"nanos_since_epoch\":1}}", PC_FORMAT_BAD_TIME, "last_seen" },
    { "{\"addr\":\"" ADDR "\",\"rtt_at\":\"2026-02-30T00:00:00Z\"}", PC_FORMAT_BAD_TIME, "rtt_at" },
};

static void bad_entries_are_refused_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_list_entries) / sizeof(bad_list_entries[0]); i++) {
        char document[1024];
        struct format_trace trace;
        (void)snprintf(document, sizeof(document), "{\"peers\":[{\"addr\":\"%s\"},\n%s,\n{\"addr\":\"%s\"}]}",
                       ADDR, bad_list_entries[i].entry, ADDR);
        format_trace_init(&trace);
        format_trace_read_text(&trace, document);
        if (trace.result != 0 || trace.summary.reasons[bad_list_entries[i].refusal] != 1)
            print_message("# %s\n# %s%s\n", document, format_trace_text(&trace), trace.error);
        assert_int_equal(trace.result, 0);
        assert_int_equal(trace.summary.format, PC_FORMAT_LIST);
        assert_int_equal(trace.summary.accepted, 2);
        assert_int_equal(trace.summary.rejected, 1);
        assert_int_equal(trace.summary.reasons[bad_list_entries[i].refusal], 1);
        assert_int_equal(trace.summary.first.refusal, bad_list_entries[i].refusal);
        assert_int_equal(trace.summary.first.place.line, 2);
        assert_int_equal(trace.summary.first.place.entry, 2);
        assert_int_equal(trace.summary.first.place.offset, strchr(document, '\n') - document + 1);
        if (!strstr(trace.summary.first.text.text, bad_list_entries[i].words))
            print_message("# %s\n", trace.summary.first.text.text);
        assert_non_null(
            strstr(trace.summary.first.text.text, pc_format_refusal_name(bad_list_entries[i].refusal)));
        if (!strstr(trace.summary.first.text.text, bad_list_entries[i].words))
            print_message("# %s\n", trace.summary.first.text.text);
        assert_non_null(strstr(trace.summary.first.text.text, bad_list_entries[i].words));
        format_trace_deinit(&trace);
    }
}

/* Whole documents: the error, words in its text, and what came before it. */
static const struct {
    const char *document;
    int result;
    const char *words;
    uint64_t accepted;
    uint64_t rejected;
} documents[] = {
    { "{\"peers\":[\"" ADDR "\"]} x", PEERCACHE_EPARSE, "line 1, byte 48: something follows", 1, 0 },
    { "{\"peers\":[\"" ADDR "\"]}{}", PEERCACHE_EPARSE, "something follows", 1, 0 },
    { "{\"peers\":[\"" ADDR "\"}}", PEERCACHE_EPARSE, "closes what another kind opened", 1, 0 },
    { "{\"peers\":[\"" ADDR "\",]}", PEERCACHE_EPARSE, "expected a value", 1, 0 },
    { "{\"peers\":[,\"" ADDR "\"]}", PEERCACHE_EPARSE, "expected a value", 0, 0 },
    { "{\"peers\":[\"" ADDR "\" \"" ADDR "\"]}", PEERCACHE_EPARSE, "expected ','", 1, 0 },
    { "{\"peers\":[\"" ADDR "\"],}", PEERCACHE_EPARSE, "expected a name", 1, 0 },
    { "{\"peers\":[\"a\nb\"]}", PEERCACHE_EPARSE, "control character within a string", 0, 0 },
    { "{\"peers\":[\"" ADDR "\",\n\x01]}", PEERCACHE_EPARSE, "line 2, byte 47", 1, 0 },
    { "{\"peers\":[{\x01}]}", PEERCACHE_EPARSE, "a control character", 0, 0 },
    { "{\"peers\":[1[]]}", PEERCACHE_EPARSE, "not a value", 0, 0 },
    { "{peers:[]}", PEERCACHE_EPARSE, "expected a name", 0, 0 },
    { "{'peers':[]}", PEERCACHE_EPARSE, "expected a name", 0, 0 },
    { "{\"peers\" []}", PEERCACHE_EPARSE, "expected ':'", 0, 0 },
    { "{\"peers\":[],\"peers\":[]}", PEERCACHE_EPARSE, "twice: peers", 0, 0 },
    { "{\"network_version\":\"1\",\"network_version\":\"2\",\"peers\":[]}", PEERCACHE_EPARSE, "twice", 0, 0 },
    { "{\"peers\":[\"" ADDR "\"],\"\\u0070eers\":[]}", PEERCACHE_EPARSE, "twice", 1, 0 },
    { "{\"\xff\":1,\"peers\":[]}", PEERCACHE_EPARSE, "UTF-8", 0, 0 },
    { "{\"peers\":[],\"Bootstrap\":[]}", PEERCACHE_EFORMAT, "both", 0, 0 },
    { "{\"peers\":7}", PEERCACHE_EFORMAT, "neither an array nor an object", 0, 0 },
    { "{\"peers\":null}", PEERCACHE_EFORMAT, "peers", 0, 0 },
    { "{\"peers\":\"" ADDR "\"}", PEERCACHE_EFORMAT, "peers", 0, 0 },
    { "{\"Bootstrap\":{}}", 0, "", 0, 0 },
    { "{\"Bootstrap\":{\"a\":1}}", PEERCACHE_EFORMAT, "Bootstrap is no array", 0, 0 },
    { "{\"Bootstrap\":\"" ADDR "\"}", PEERCACHE_EFORMAT, "Bootstrap is no array", 0, 0 },
    { "{\"Bootstrap\":[\"auto\"]}", 0, "", 0, 1 },
    { "{\"last_updated\":\"2026-01-01T00:00:00Z\"}", PEERCACHE_EFORMAT, "without peers and Bootstrap", 0, 0 },
    { "{\"network_version\":7,\"peers\":[\"" ADDR "\"]}", PEERCACHE_EPARSE,
      "network_version is no short text", 0, 0 },
    { "{\"network_version\":null,\"peers\":[]}", PEERCACHE_EPARSE, "network_version", 0, 0 },
    { "{\"network_version\":\"a\\nb\",\"peers\":[]}", PEERCACHE_EPARSE, "network_version", 0, 0 },
    { "{\"network_version\":\"1234567890123456789012345678901234567890123456789012345678901234\",\"peers\":[]"
      "}",
      PEERCACHE_EPARSE, "network_version", 0, 0 },
    { "{\"network_version\":tru,\"peers\":[]}", PEERCACHE_EPARSE, "line 1, byte 19", 0, 0 },
    { "{\"cache_version\":1,\"peers\":[]}", PEERCACHE_EPARSE, "cache_version", 0, 0 },
    { "{\"peercache\":[],\"peers\":[]}", PEERCACHE_EPARSE, "peercache is no object", 0, 0 },
    { "{\"peercache\":{\"a\":},\"peers\":[]}", PEERCACHE_EPARSE, "line 1, byte 13", 0, 0 },
    { "{\"last_updated\":\"some day\",\"peers\":[{\"addr\":\"" ADDR "\"}]}", 0, "", 1, 0 },
    { "{\"peers\":[7,\"" ADDR "\"]}", 0, "", 1, 1 },
    { "{\"x\":[[{\"peers\":[\"}\"]}]],\"y\":-1.5e3,\"z\":\"\\\"]\\\\\",\"peers\":[\"" ADDR "\"]}", 0, "", 1,
      0 },
    /* map */
    { "{\"peers\":{\"" ADDR "\":{}}}", 0, "", 1, 0 },
    { "{\"peers\":{\"" ADDR "\":{\"addr\":\"/ip4/203.0.113.8/tcp/1\"},\"x\":7,\"y\":{}}}", 0, "", 1, 2 },
    { "{\"peers\":{\"a\":{},}}", PEERCACHE_EPARSE, "expected a name", 0, 1 },
    { "{\"peers\":{\"a\"}}", PEERCACHE_EPARSE, "expected ':'", 0, 0 },
    { "{\"peers\":{\"a\":{}]}", PEERCACHE_EPARSE, "closes what another", 0, 1 },
    /* ant-v0 */
    { "{\"peers\":{\"" ID "\":[{\"addr\":\"" ADDR "\"},{\"addr\":\"" ADDR "/p2p/" ID2 "\"}]}}", 0, "", 1, 1 },
    { "{\"peers\":{\"" ID "\":[],\"not an id\":[{\"addr\":\"" ADDR "\"}],\"" ID2 "\":7}}", 0, "", 0, 3 },
    { "{\"peers\":{\"" ID "\":[7,[],{},{\"addr\":\"" ADDR "\"}]}}", 0, "", 1, 3 },
    /* ant-v1 */
    { "{\"peers\":[[\"" ID "\",[\"" ADDR "\",\"" ADDR "\"]]]}", 0, "", 2, 0 },
    { "{\"peers\":[[\"" ID "\",[\"" ADDR "\"],1],[\"" ID "\"],[],[7,[]],[\"" ID "\",7],[\"" ID "\",[7]]]}", 0,
      "", 0, 6 },
    /* text */
    { "\n \t\r\n# /comment\n" ADDR "\r\n  " ADDR "/p2p/" ID " \n/oops\n/p2p/" ID "\n" ADDR "\tx", 0, "", 2,
      3 },
    { "oops\n" ADDR "\nno\x01\n", 0, "", 1, 2 },
    { "oops\n[1]\n", PEERCACHE_EFORMAT, "line 2, byte 5: neither", 0, 1 },
    { "\"" ADDR "\"", PEERCACHE_EFORMAT, "neither", 0, 0 },
    { "SQLite format 3\x10\x01", PEERCACHE_EFORMAT, "neither", 0, 0 },
    { "\xef\xbb\xbf\xef\xbb\xbf{}", PEERCACHE_EFORMAT, "neither", 0, 0 },
    { "\xef{\"peers\":[]}", PEERCACHE_EFORMAT, "neither", 0, 0 },
    { "\xef\xbb\xbf\n{\"peers\":[\"" ADDR "\"]}", 0, "", 1, 0 },
};

static void bad_documents_say_what_and_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        struct format_trace trace, bytes;
        struct pc_bytes document = pc_bytes_of(documents[i].document, strlen(documents[i].document));
        format_trace_init(&trace);
        format_trace_init(&bytes);
        format_trace_read(&trace, &by_content, document, 0, NULL);
        format_trace_read(&bytes, &by_content, document, 1, NULL);
        if (trace.result != documents[i].result || !strstr(trace.error, documents[i].words) ||
            trace.summary.accepted != documents[i].accepted ||
            trace.summary.rejected != documents[i].rejected)
            print_message("# %s\n# %d %s\n# %s\n", documents[i].document, trace.result, trace.error,
                          format_trace_text(&trace));
        assert_int_equal(trace.result, documents[i].result);
        assert_non_null(strstr(trace.error, documents[i].words));
        assert_int_equal(trace.summary.accepted, documents[i].accepted);
        assert_int_equal(trace.summary.rejected, documents[i].rejected);
        assert_string_equal(format_trace_text(&trace), format_trace_text(&bytes));
        assert_string_equal(trace.error, bytes.error);
        format_trace_deinit(&bytes);
        format_trace_deinit(&trace);
    }
}

/* --- limits --- */

/* head, `count` times `part`, tail */
static struct pc_bytes repeated(const char *head, const char *part, size_t count, const char *tail)
{
    size_t part_size = strlen(part);
    size_t size = strlen(head) + count * part_size + strlen(tail);
    char *text = malloc(size + 1);
    assert_non_null(text);
    char *at = stpcpy(text, head);
    for (size_t i = 0; i < count; i++)
        at = mempcpy(at, part, part_size);
    (void)stpcpy(at, tail);
    return pc_bytes_of(text, size);
}

static void check_limit(const char *head, const char *part, size_t count, const char *tail, int result,
                        uint64_t accepted, enum pc_format_refusal refusal, uint64_t refused)
{
    static const size_t piece_sizes[] = { 0, 1, 1000 };
    struct pc_bytes document = repeated(head, part, count, tail);
    for (size_t i = 0; i < sizeof(piece_sizes) / sizeof(piece_sizes[0]); i++) {
        struct format_trace trace;
        format_trace_init(&trace);
        format_trace_read(&trace, &by_content, document, piece_sizes[i], NULL);
        assert_int_equal(trace.result, result);
        assert_int_equal(trace.summary.accepted, accepted);
        assert_int_equal(trace.summary.reasons[refusal], refused);
        assert_int_equal(trace.summary.rejected, refused);
        format_trace_deinit(&trace);
    }
    format_free(document);
}

static void limits_hold_at_their_edges(void **state)
{
    (void)state;
    /* Depth: the object, the array and 30 more make 32. */
    check_limit("{\"peers\":[\"" ADDR "\",", "[", 100000, "", PEERCACHE_ELIMIT, 1, PC_FORMAT_WRONG_TYPE, 0);
    check_limit("{\"x\":", "[", PC_FORMAT_DEPTH_MAX - 1,
                "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],\"peers\":[\"" ADDR "\"]}", 0, 1, PC_FORMAT_WRONG_TYPE, 0);
    check_limit("{\"x\":", "[", PC_FORMAT_DEPTH_MAX, "]", PEERCACHE_ELIMIT, 0, PC_FORMAT_WRONG_TYPE, 0);
    /* An element, at the limit and over it. */
    check_limit("{\"peers\":[\"" ADDR "\",\"", "a", PC_FORMAT_ELEMENT_MAX_BYTES - 2, "\"]}", 0, 1,
                PC_FORMAT_BAD_MULTIADDR, 1);
    check_limit("{\"peers\":[\"" ADDR "\",\"", "a", PC_FORMAT_ELEMENT_MAX_BYTES - 1, "\"]}", 0, 1,
                PC_FORMAT_TOO_LONG, 1);
    check_limit("{\"peers\":{\"", "a", PC_FORMAT_ELEMENT_MAX_BYTES, "\":{},\"" ADDR "\":{}}}", 0, 1,
                PC_FORMAT_TOO_LONG, 1);
    /* A name of the head, and what stands in the head. */
    check_limit("{\"", "a", PC_FORMAT_MEMBER_MAX_BYTES, "\":1}", PEERCACHE_ELIMIT, 0, PC_FORMAT_TOO_LONG, 0);
    check_limit("{\"metadata\":{\"description\":\"", "a", PC_FORMAT_MEMBER_MAX_BYTES,
                "\"},\"peers\":[\"" ADDR "\"]}", 0, 1, PC_FORMAT_TOO_LONG, 0);
    check_limit("{\"network_version\":\"", "a", PC_FORMAT_MEMBER_MAX_BYTES, "\",\"peers\":[\"" ADDR "\"]}",
                PEERCACHE_ELIMIT, 0, PC_FORMAT_TOO_LONG, 0);
    /* Addresses of a peer. */
    check_limit("{\"peers\":[[\"" ID "\",[\"" ADDR "\"", ",\"" ADDR "\"", PC_FORMAT_ADDRS_MAX - 1, "]]]}", 0,
                PC_FORMAT_ADDRS_MAX, PC_FORMAT_TOO_MANY, 0);
    check_limit("{\"peers\":{\"" ID "\":[{\"addr\":\"" ADDR "\"}", ",{\"addr\":\"" ADDR "\"}",
                PC_FORMAT_ADDRS_MAX + 2, "]}}", 0, PC_FORMAT_ADDRS_MAX, PC_FORMAT_TOO_MANY, 3);
    /* A line, at the limit and over it. */
    check_limit(ADDR "\n", "a", PC_FORMAT_LINE_MAX_BYTES, "\n" ADDR, 0, 2, PC_FORMAT_BAD_MULTIADDR, 1);
    check_limit(ADDR "\n", "a", PC_FORMAT_LINE_MAX_BYTES + 1, "\n" ADDR, 0, 2, PC_FORMAT_TOO_LONG, 1);
    check_limit("", ADDR "\n", 1, "", 0, 1, PC_FORMAT_TOO_LONG, 0);
    /* One that does not end: of a device, of a sparse file. */
    check_limit(ADDR "\n", "a", PC_FORMAT_LINE_SKIP_MAX_BYTES, "\n" ADDR, 0, 2, PC_FORMAT_TOO_LONG, 1);
    check_limit(ADDR "\n", "a", PC_FORMAT_LINE_SKIP_MAX_BYTES + 1, "\n" ADDR, PEERCACHE_ELIMIT, 1,
                PC_FORMAT_TOO_LONG, 0);
    check_limit("", "a", PC_FORMAT_DOUBT_MAX_BYTES, "\n" ADDR, 0, 1, PC_FORMAT_TOO_LONG, 1);
    check_limit("", "/", PC_FORMAT_DOUBT_MAX_BYTES + 1, "\n" ADDR, PEERCACHE_EFORMAT, 0, PC_FORMAT_TOO_LONG,
                0);
    /* An address longer than we keep, in bytes and in parts. */
    check_limit(ADDR "\n/dns4/", "a", PC_MADDR_MAX_BYTES, "/tcp/1\n", 0, 1, PC_FORMAT_TOO_LONG, 1);
}

/* The head only of: head, `count` times `part`, tail. */
static int feed_long(const char *head, const char *part, uint64_t count, const char *tail,
                     struct pc_format_summary *ret_summary)
{
    enum { PARTS_AT_ONCE = 10000 };
    struct pc_format_options options = { .head_only = true };
    struct pc_format_reader *reader;
    struct pc_bytes piece = repeated("", part, PARTS_AT_ONCE, "");
    assert_int_equal(count % PARTS_AT_ONCE, 0);
    assert_int_equal(pc_format_reader_new(&options, &reader), 0);
    int r = pc_format_reader_feed(reader, pc_bytes_of(head, strlen(head)));
    for (uint64_t i = 0; i < count && r == 0; i += PARTS_AT_ONCE)
        r = pc_format_reader_feed(reader, piece);
    if (r == 0)
        r = pc_format_reader_feed(reader, pc_bytes_of(tail, strlen(tail)));
    if (r == 0)
        r = pc_format_reader_finish(reader);
    *ret_summary = *pc_format_reader_summary(reader);
    pc_format_reader_free(reader);
    format_free(piece);
    return r;
}

static void long_documents_end_somewhere(void **state)
{
    (void)state;
    struct pc_format_summary summary;
    assert_int_equal(feed_long("{\"peers\":[1", ",1", PC_FORMAT_ENTRIES_MAX, "]}", &summary),
                     PEERCACHE_ELIMIT);
    assert_int_equal(summary.entries, PC_FORMAT_ENTRIES_MAX);
    assert_int_equal(feed_long("/\n", "/\n", PC_FORMAT_ENTRIES_MAX, "", &summary), PEERCACHE_ELIMIT);
    assert_int_equal(summary.entries, PC_FORMAT_ENTRIES_MAX);
    assert_int_equal(feed_long("", "/\n", PC_FORMAT_ENTRIES_MAX, "", &summary), 0);
    assert_int_equal(summary.entries, PC_FORMAT_ENTRIES_MAX);
    /* The object of our own: 20 bytes a part. */
    assert_int_equal(
        feed_long("{\"peercache\":{\"a\":[1", ",\"sixteen letters!\"", 1600000, "]},\"peers\":[]}", &summary),
        0);
    assert_true(summary.has_own);
    assert_int_equal(
        feed_long("{\"peercache\":{\"a\":[1", ",\"sixteen letters!\"", 1800000, "]},\"peers\":[]}", &summary),
        PEERCACHE_ELIMIT);
    /* What is skipped has no limit. */
    assert_int_equal(feed_long("{\"x\":[1", ",\"sixteen letters!\"", 1800000, "],\"peers\":[]}", &summary),
                     0);
    assert_false(summary.has_own);
}

static void text_stays_in_doubt_for_a_while_only(void **state)
{
    (void)state;
    struct pc_bytes document = repeated("", "sixteen letters\n", 2 * PC_FORMAT_DOUBT_MAX_BYTES / 16, ADDR);
    struct pc_format_options text = { .format = PC_FORMAT_TEXT };
    struct format_trace trace;
    format_trace_init(&trace);
    format_trace_read(&trace, &by_content, document, 0, NULL);
    assert_int_equal(trace.result, PEERCACHE_EFORMAT);
    assert_int_equal(trace.summary.rejected, PC_FORMAT_DOUBT_MAX_BYTES / 16);
    format_trace_deinit(&trace);
    format_trace_init(&trace);
    format_trace_read(&trace, &text, document, 0, NULL);
    assert_int_equal(trace.result, 0);
    assert_int_equal(trace.summary.accepted, 1);
    format_trace_deinit(&trace);
    format_free(document);
}

/* --- numbers and times --- */

static void check_value(const char *member, const char *words)
{
    char document[512];
    struct format_trace trace;
    (void)snprintf(document, sizeof(document), "{\"peers\":[{\"addr\":\"%s\",%s}]}", ADDR, member);
    format_trace_init(&trace);
    format_trace_read_text(&trace, document);
    if (!strstr(format_trace_text(&trace), words))
        print_message("# %s\n# %s", document, format_trace_text(&trace));
    assert_non_null(strstr(format_trace_text(&trace), words));
    format_trace_deinit(&trace);
}

static void numbers_over_range_saturate(void **state)
{
    (void)state;
    check_value("\"success_count\":4294967295", " 4294967295/0 ");
    check_value("\"success_count\":4294967296", " 4294967295/0 ");
    check_value("\"success_count\":9223372036854775808", " 4294967295/0 ");
    check_value("\"failure_count\":123456789012345678901234567890,\"x\":[-1e3,12345678901234567890.5]",
                " 0/4294967295 ");
    check_value("\"failure_count\":3,\"x\":\"\\\"12345678901234567890\",\"y\":99999999999999999999", " 0/3 ");
    check_value("\"failure_count\":-99999999999999999999", "wrong_type");
    check_value("\"failure_count\":99999999999999999999.5", "wrong_type");
    check_value("\"rtt_us\":4294967295", " rtt:4294967294@0 ");
    check_value("\"failures\":{\"timeout\":99999999999,\"of a later version\":1}", " timeout:4294967295\n");
    check_value("\"last_seen\":{\"secs_since_epoch\":9223372036854775807,\"nanos_since_epoch\":999999999}",
                " seen:9223372036854775807 ");
    check_value("\"last_seen\":{\"secs_since_epoch\":99999999999999999999,\"nanos_since_epoch\":0}",
                " seen:9223372036854775807 ");
    check_value("\"last_seen\":{\"secs_since_epoch\":1700000000}", " seen:1700000000000 ");
    check_value("\"last_seen\":\"1969-12-31T23:59:59Z\"", " seen:0 ");
    check_value("\"last_seen\":\"9999-12-31T23:59:59.999999999Z\"", " seen:253402300799999 ");
    check_value("\"source\":\"of a later version\",\"state\":\"of a later version\",\"bucket\":5",
                " import()\n");
}

/* --- the visitor --- */

struct refusing {
    struct pc_format_reader *reader;
    size_t shown;
};

static int refuse_every_other(void *context, const struct pc_format_item *item)
{
    struct refusing *refusing = context;
    for (size_t i = 0; i < item->record.addr_count; i++) {
        if (refusing->shown++ % 2 == 0)
            continue;
        assert_int_equal(pc_format_reader_refuse(refusing->reader, item, i, PC_FORMAT_DNS_NAME, "a name"), 0);
    }
    return 0;
}

static void the_visitor_refuses(void **state)
{
    (void)state;
    struct refusing refusing = { NULL, 0 };
    struct pc_bytes document = format_vector("ant-v0.json");
    struct pc_format_options options = { .visitor = { .record = refuse_every_other, .context = &refusing } };
    assert_int_equal(pc_format_reader_new(&options, &refusing.reader), 0);
    assert_int_equal(pc_format_reader_feed(refusing.reader, document), 0);
    assert_int_equal(pc_format_reader_finish(refusing.reader), 0);
    const struct pc_format_summary *summary = pc_format_reader_summary(refusing.reader);
    assert_int_equal(summary->read, 7);
    assert_int_equal(summary->accepted, 4);
    assert_int_equal(summary->rejected, 3);
    assert_int_equal(summary->reasons[PC_FORMAT_DNS_NAME], 3);
    assert_int_equal(summary->first.place.entry, 2);
    assert_non_null(strstr(summary->first.text.text, "dns_name: a name"));
    pc_format_reader_free(refusing.reader);
    format_free(document);
}

static int stop_at_rejection(void *context, const struct pc_format_rejection *rejection)
{
    (void)context;
    assert_int_equal(rejection->refusal, PC_FORMAT_BAD_MULTIADDR);
    return 77;
}

static void the_visitor_stops(void **state)
{
    (void)state;
    struct pc_format_reader *reader;
    struct pc_bytes document = format_vector("text.txt");
    struct pc_format_options options = { .visitor = { .rejected = stop_at_rejection } };
    assert_int_equal(pc_format_reader_new(&options, &reader), 0);
    assert_int_equal(pc_format_reader_feed(reader, document), 77);
    assert_int_equal(pc_format_reader_feed(reader, document), 77);
    assert_int_equal(pc_format_reader_finish(reader), 77);
    assert_int_equal(pc_format_reader_summary(reader)->accepted, 2);
    pc_format_reader_free(reader);
    format_free(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_entries_are_refused_alone),
        cmocka_unit_test(bad_documents_say_what_and_where),
        cmocka_unit_test(limits_hold_at_their_edges),
        cmocka_unit_test(long_documents_end_somewhere),
        cmocka_unit_test(text_stays_in_doubt_for_a_while_only),
        cmocka_unit_test(numbers_over_range_saturate),
        cmocka_unit_test(the_visitor_refuses),
        cmocka_unit_test(the_visitor_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
