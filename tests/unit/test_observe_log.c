/* Levels by room, lines of text and JSON, and texts without addresses. */
#include "check.h"

#include "observe/log.h"
#include "observe/redact.h"

#include <peercache/types.h>

#include <string.h>

static void test_levels(void **state)
{
    struct pc_observe_log_levels levels;
    struct pc_reason reason;
    (void)state;
    pc_observe_log_levels_init(&levels, PC_LOG_WARNING);
    assert_int_equal(pc_observe_log_most(&levels), PC_LOG_WARNING);
    assert_int_equal(pc_observe_log_levels_parse("node=debug,driver=info", &levels, &reason), 0);
    assert_true(pc_observe_log_wants(&levels, PC_LOG_DEBUG, "node"));
    assert_true(pc_observe_log_wants(&levels, PC_LOG_INFO, "driver"));
    assert_false(pc_observe_log_wants(&levels, PC_LOG_DEBUG, "driver"));
    assert_true(pc_observe_log_wants(&levels, PC_LOG_WARNING, "store"));
    assert_false(pc_observe_log_wants(&levels, PC_LOG_INFO, "store"));
    assert_true(pc_observe_log_wants(&levels, PC_LOG_INFO, "no room"));
    assert_false(pc_observe_log_wants(&levels, PC_LOG_DEBUG, "no room"));
    assert_int_equal(pc_observe_log_most(&levels), PC_LOG_DEBUG);
    /* all others, wherever it stands; those named before and not now get it too */
    assert_int_equal(pc_observe_log_levels_parse("libp2p=warning,error", &levels, &reason), 0);
    assert_false(pc_observe_log_wants(&levels, PC_LOG_WARNING, "node"));
    assert_true(pc_observe_log_wants(&levels, PC_LOG_WARNING, "libp2p"));
    assert_int_equal(pc_observe_log_levels_parse("debug", &levels, &reason), 0);
    assert_true(pc_observe_log_wants(&levels, PC_LOG_DEBUG, "cli"));
}

static void test_bad_levels(void **state)
{
    static const char *const bad[] = {
        "",           ",",          "info,",     ",info",      "loud", "node",       "node=",
        "=info",      "nodes=info", "node=loud", "info,debug", "Info", "node =info", "node=info,node=debug",
        "node=info=", " info"
    };
    struct pc_observe_log_levels levels, before;
    (void)state;
    pc_observe_log_levels_init(&levels, PC_LOG_INFO);
    before = levels;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct pc_reason reason = { "" };
        assert_int_equal(pc_observe_log_levels_parse(bad[i], &levels, &reason), PEERCACHE_EPARSE);
        assert_true(strlen(reason.text) > 0);
        assert_memory_equal(&levels, &before, sizeof(levels));
    }
}

static void test_lines(void **state)
{
    struct pc_observe_text text = { 0 };
    struct pc_observe_log_line line = { .wall_ms = INT64_C(1700000000123),
                                        .level = PC_LOG_INFO,
                                        .room = "node",
                                        .text = "dialled \"192.0.2.7:4001\"\x1b[2J\n" };
    (void)state;
    pc_observe_put_log_line(&text, &line);
    assert_string_equal(text.data, "2023-11-14T22:13:20.123Z info node: dialled \"192.0.2.7:4001\"?[2J?\n");
    pc_observe_text_clear(&text);
    line.is_json = true;
    line.redacted = true;
    line.level = PC_LOG_ERROR;
    pc_observe_put_log_line(&text, &line);
    assert_string_equal(text.data,
                        "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"error\",\"room\":\"node\","
                        "\"text\":\"dialled \\u0022x.x.x.x:4001\\u0022\\u001b[2J\\u000a\"}\n");
    line.text = "";
    line.is_json = false;
    pc_observe_put_log_line(&text, &line);
    assert_non_null(strstr(text.data, "}\n2023-11-14T22:13:20.123Z error node: \n"));
    pc_observe_text_deinit(&text);
}

static void test_redacted(void **state)
{
    static const char *const rows[][2] = {
        { "", "" },
        { "nothing here: 12:34:56, 1.2.3, 0.1.0, std::string",
          "nothing here: 12:34:56, 1.2.3, 0.1.0, std::string" },
        { "192.0.2.1", "x.x.x.x" },
        { "from:192.0.2.1:4001: refused", "from:x.x.x.x:4001: refused" },
        { "to 192.0.2.1.", "to x.x.x.x." },
        { "v1.2.3.4", "vx.x.x.x" },
        { "999.1.1.1", "x.x.x.x" },
        { "1.2.3.4.5", "x.x.x.x.5" },
        { "1234.1.1.1", "1234.1.1.1" },
        { "192.0.2.1-192.0.2.2", "x.x.x.x-x.x.x.x" },
        { "/ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
          "/ip4/x.x.x.x/udp/4001/quic-v1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA" },
        { "/ip6/2001:db8::1/udp/4001/quic-v1", "/ip6/x::x/udp/4001/quic-v1" },
        { "[2001:db8::1]:4001", "[x::x]:4001" },
        { "[fe80::1%2]:4001", "[x::x%2]:4001" },
        { "::1 and :: and 1::", "x::x and x::x and x::x" },
        { "peer ::1: gone", "peer x::x: gone" },
        { "addr:2001:db8:0:0:0:0:0:1", "addr:x::x" },
        { "::ffff:192.0.2.1", "x::x" },
        { "64:ff9b::192.0.2.1 is", "x::x is" },
        { "2001:db8:1:2:3:4:5:6,2001:DB8::2", "x::x,x::x" },
        { "/dns4/peer.example/udp/1", "/dns4/x/udp/1" },
        { "/dnsaddr/boot.example", "/dnsaddr/x" },
        { "/dns/192.0.2.1.example.net: no", "/dns/x: no" },
        { "/ip4/192.0.2.1/tcp/4001/tls/sni/192-0-2-1.k51.libp2p.direct/ws",
          "/ip4/x.x.x.x/tcp/4001/tls/sni/x/ws" },
        { "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234", "/onion3/x:1234" },
        { "/dns4//udp", "/dns4//udp" },
        { "/ip4/192.0.2.1/udp/1 via /ip4/192.0.2.2/udp/2", "/ip4/x.x.x.x/udp/1 via /ip4/x.x.x.x/udp/2" },
    };
    struct pc_observe_text text = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        pc_observe_text_clear(&text);
        pc_observe_redact(&text, rows[i][0]);
        assert_string_equal(text.data, rows[i][1]);
    }
    pc_observe_text_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_bad_levels),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_redacted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
