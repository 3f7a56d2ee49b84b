/* The resolver against a real name server, and against one that breaks the rules. */
#include "net_check.h"

#include "base/time.h"

#include <peercache/types.h>

#include <stdio.h>
#include <stdlib.h>

struct reply {
    bool done;
    struct pc_driver_resolved resolved;
    struct pc_ip_port addresses[2 * PC_DRIVER_RESOLVE_FAMILY_MAX];
    char texts[PC_DRIVER_RESOLVE_TEXTS_MAX][PC_DRIVER_RESOLVE_TEXT_MAX_BYTES + 1];
};

static void on_done(void *context, const struct pc_driver_resolved *resolved)
{
    struct reply *reply = context;
    assert_false(reply->done);
    reply->done = true;
    reply->resolved = *resolved;
    assert_true(resolved->address_count <= 2 * PC_DRIVER_RESOLVE_FAMILY_MAX);
    assert_true(resolved->text_count <= PC_DRIVER_RESOLVE_TEXTS_MAX);
    for (size_t i = 0; i < resolved->address_count; i++)
        reply->addresses[i] = resolved->addresses[i];
    for (size_t i = 0; i < resolved->text_count; i++)
        (void)snprintf(reply->texts[i], sizeof(reply->texts[i]), "%s", resolved->texts[i]);
    assert_true((resolved->kind == PC_DRIVER_RESOLVE_OK) ==
                (resolved->address_count + resolved->text_count > 0));
    assert_true((resolved->kind == PC_DRIVER_RESOLVE_OK) == (resolved->detail.text[0] == '\0'));
}

static struct reply reply;

static struct pc_driver_query *begin(enum pc_driver_resolve_what what, const char *name, int64_t deadline_ms)
{
    struct pc_driver_query *query;
    memset(&reply, 0, sizeof(reply));
    assert_int_equal(pc_driver_resolve(resolver, what, name, deadline_ms, on_done, &reply, &query), 0);
    assert_false(reply.done); /* never within */
    return query;
}

static void expect(enum pc_driver_resolve_what what, const char *name, enum pc_driver_resolve_kind kind,
                   const char *word)
{
    (void)begin(what, name, PATIENCE_MS);
    run_until(&reply.done);
    if (reply.resolved.kind != kind || !strstr(reply.resolved.detail.text, word))
        fail_msg("%s: kind %d, \"%s\"", name, (int)reply.resolved.kind, reply.resolved.detail.text);
    assert_true(reply.resolved.elapsed_us < PATIENCE_MS * PC_US_PER_MS);
}

static void assert_address(size_t index, const char *text)
{
    char found[PC_IP_PORT_TEXT_BYTES];
    assert_true(index < reply.resolved.address_count);
    pc_addr_ip_port_format(&reply.addresses[index], found);
    assert_string_equal(found, text);
}

static bool has_text(const char *text)
{
    for (size_t i = 0; i < reply.resolved.text_count; i++)
        if (strcmp(reply.texts[i], text) == 0)
            return true;
    return false;
}

/* Ask the odd one itself from here on. */
static void ask_odd(void)
{
    char server[64];
    close_all();
    open_all(local("PORT_DNS_ODD", server), NULL);
}

/* ----- what is found ----- */

static void addresses_of_each_family(void **state)
{
    (void)state;
    expect(PC_DRIVER_RESOLVE_IP, "both.test", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.address_count, 2);
    assert_address(0, "[2001:db8::1]:0");
    assert_address(1, "192.0.2.1:0");
    expect(PC_DRIVER_RESOLVE_IP4, "both.test", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.address_count, 1);
    assert_address(0, "192.0.2.1:0");
    expect(PC_DRIVER_RESOLVE_IP6, "both.test", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.address_count, 1);
    assert_address(0, "[2001:db8::1]:0");
    expect(PC_DRIVER_RESOLVE_IP, "four.test", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.address_count, 1);
    assert_address(0, "127.0.0.1:0");
    expect(PC_DRIVER_RESOLVE_IP, "six.test", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.address_count, 1);
    assert_address(0, "[2001:db8::6]:0");
    expect(PC_DRIVER_RESOLVE_IP, "alias.test", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.address_count, 2);
    expect(PC_DRIVER_RESOLVE_IP, "BOTH.Test.", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.address_count, 2);
}

static void texts_with_their_strings_joined(void **state)
{
    (void)state;
    expect(PC_DRIVER_RESOLVE_TXT, "_dnsaddr.boot.test", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.text_count, 3);
    assert_true(has_text("dnsaddr=/ip4/192.0.2.1/udp/4001/quic-v1"));
    assert_true(has_text("dnsaddr=/ip6/2001:db8::1/udp/4001/quic-v1"));
    assert_true(has_text("unrelated"));
    expect(PC_DRIVER_RESOLVE_TXT, "joined.test", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.text_count, 1);
    assert_string_equal(reply.texts[0], "dnsaddr=/ip4/192.0.2.1/udp/4001/quic-v1");
    expect(PC_DRIVER_RESOLVE_TXT, "empty.test", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.text_count, 1);
    assert_string_equal(reply.texts[0], "");
}

/* 40 texts of 200 bytes fit no datagram. */
static void what_is_large_comes_over_tcp(void **state)
{
    (void)state;
    expect(PC_DRIVER_RESOLVE_TXT, "big.test", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.text_count, 40);
    assert_int_equal(reply.resolved.left_out, 0);
    for (size_t i = 0; i < 40; i++) {
        char start[64];
        bool found = false;
        (void)snprintf(start, sizeof(start), "dnsaddr=/ip4/192.0.2.%zu/udp/4001/quic-v1/p2p/QQQ", i);
        for (size_t k = 0; k < 40; k++)
            found = found || strncmp(reply.texts[k], start, strlen(start)) == 0;
        assert_true(found);
    }
}

static void limits(void **state)
{
    (void)state;
    expect(PC_DRIVER_RESOLVE_TXT, "many.test", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.text_count, PC_DRIVER_RESOLVE_TEXTS_MAX);
    assert_int_equal(reply.resolved.left_out, 100 - PC_DRIVER_RESOLVE_TEXTS_MAX);
    expect(PC_DRIVER_RESOLVE_IP, "crowd.test", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.address_count, PC_DRIVER_RESOLVE_FAMILY_MAX);
    assert_int_equal(reply.resolved.left_out, 30 - PC_DRIVER_RESOLVE_FAMILY_MAX);
    ask_odd();
    expect(PC_DRIVER_RESOLVE_TXT, "long-text.odd", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(strlen(reply.texts[0]), PC_DRIVER_RESOLVE_TEXT_MAX_BYTES);
    expect(PC_DRIVER_RESOLVE_TXT, "longer-text.odd", PC_DRIVER_RESOLVE_FAILED, "nothing usable");
    assert_int_equal(reply.resolved.left_out, 1);
    expect(PC_DRIVER_RESOLVE_TXT, "nul-text.odd", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.text_count, 1);
    assert_string_equal(reply.texts[0], "abc");
    assert_int_equal(reply.resolved.left_out, 1);
}

static void localhost_and_addresses(void **state)
{
    (void)state;
    const char *const names[] = { "localhost", "LocalHost.", "a.localhost" };
    for (size_t i = 0; i < 3; i++) {
        expect(PC_DRIVER_RESOLVE_IP, names[i], PC_DRIVER_RESOLVE_OK, "");
        assert_int_equal(reply.resolved.address_count, 2);
        assert_address(0, "[::1]:0");
        assert_address(1, "127.0.0.1:0");
        expect(PC_DRIVER_RESOLVE_TXT, names[i], PC_DRIVER_RESOLVE_NOT_FOUND, names[i]);
    }
    expect(PC_DRIVER_RESOLVE_IP, "notlocalhost", PC_DRIVER_RESOLVE_REFUSED, "");
    expect(PC_DRIVER_RESOLVE_IP6, "localhost", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.address_count, 1);
    expect(PC_DRIVER_RESOLVE_IP4, "localhost", PC_DRIVER_RESOLVE_OK, "");
    assert_address(0, "127.0.0.1:0");
    expect(PC_DRIVER_RESOLVE_IP, "192.0.2.77", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.address_count, 1);
    assert_address(0, "192.0.2.77:0");
}

/* ----- what is not ----- */

static void no_such_name_and_no_such_record(void **state)
{
    (void)state;
    expect(PC_DRIVER_RESOLVE_IP, "missing.test", PC_DRIVER_RESOLVE_NOT_FOUND, "missing.test: no such name");
    expect(PC_DRIVER_RESOLVE_TXT, "missing.test", PC_DRIVER_RESOLVE_NOT_FOUND, "no such name");
    expect(PC_DRIVER_RESOLVE_IP6, "four.test", PC_DRIVER_RESOLVE_NOT_FOUND, "no record of this kind");
    expect(PC_DRIVER_RESOLVE_IP4, "six.test", PC_DRIVER_RESOLVE_NOT_FOUND, "no record of this kind");
    expect(PC_DRIVER_RESOLVE_TXT, "both.test", PC_DRIVER_RESOLVE_NOT_FOUND, "no record of this kind");
}

static void no_name_at_all(void **state)
{
    (void)state;
    char longest[PC_DRIVER_RESOLVE_NAME_MAX + 2];
    const char *const bad[] = { "", " ", "a b", "a\n", "\x7f", "\xc3\xbc", "a\\046b", "a..b", ".a" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect(PC_DRIVER_RESOLVE_TXT, bad[i], PC_DRIVER_RESOLVE_FAILED, "");
        expect(PC_DRIVER_RESOLVE_IP, bad[i], PC_DRIVER_RESOLVE_FAILED, "");
    }
    memset(longest, 'a', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    expect(PC_DRIVER_RESOLVE_IP, longest, PC_DRIVER_RESOLVE_FAILED, "no domain name");
    longest[70] = '\0'; /* one label */
    expect(PC_DRIVER_RESOLVE_TXT, longest, PC_DRIVER_RESOLVE_FAILED, "");
}

static void servers_that_refuse_and_fail(void **state)
{
    char server[64];
    (void)state;
    expect(PC_DRIVER_RESOLVE_IP, "elsewhere.example", PC_DRIVER_RESOLVE_REFUSED, "refused the question");
    expect(PC_DRIVER_RESOLVE_IP, "servfail.odd", PC_DRIVER_RESOLVE_FAILED, "SERVFAIL"); /* through dnsmasq */
    expect(PC_DRIVER_RESOLVE_TXT, "servfail.odd", PC_DRIVER_RESOLVE_FAILED, "SERVFAIL");
    close_all();
    open_all(local("PORT_CLOSED", server), NULL);
    expect(PC_DRIVER_RESOLVE_IP, "both.test", PC_DRIVER_RESOLVE_REFUSED, "no name server could be reached");
    expect(PC_DRIVER_RESOLVE_TXT, "both.test", PC_DRIVER_RESOLVE_REFUSED, "no name server could be reached");
}

/* The kernel says no before anything was sent (here to a broadcast, as without any network to all): told at once, not
 * once the time is up, and not as silence. */
static void servers_that_cannot_be_asked(void **state)
{
    (void)state;
    close_all();
    open_all("255.255.255.255", NULL);
    expect(PC_DRIVER_RESOLVE_IP, "both.test", PC_DRIVER_RESOLVE_REFUSED, "no name server could be reached");
    expect(PC_DRIVER_RESOLVE_TXT, "both.test", PC_DRIVER_RESOLVE_REFUSED, "no name server could be reached");
}

static void silence(void **state)
{
    char server[64];
    (void)state;
    close_all();
    open_all(local("PORT_DNS_SILENT", server), NULL);
    (void)begin(PC_DRIVER_RESOLVE_IP, "both.test", SHORT_MS);
    run_until(&reply.done);
    assert_int_equal(reply.resolved.kind, PC_DRIVER_RESOLVE_TIMEOUT);
    assert_non_null(strstr(reply.resolved.detail.text, "silent"));
    assert_in_range(reply.resolved.elapsed_us, SHORT_MS * PC_US_PER_MS - 1000, 5 * SHORT_MS * PC_US_PER_MS);
    (void)begin(PC_DRIVER_RESOLVE_TXT, "both.test", 0);
    run_until(&reply.done);
    assert_int_equal(reply.resolved.kind, PC_DRIVER_RESOLVE_TIMEOUT);
}

static void one_family_is_enough(void **state)
{
    (void)state;
    ask_odd();
    expect(PC_DRIVER_RESOLVE_IP, "a-only.odd", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.address_count, 1);
    assert_address(0, "192.0.2.9:0");
    assert_in_range(reply.resolved.elapsed_us, PC_DRIVER_RESOLVE_GRACE_MS * PC_US_PER_MS - 1000,
                    5 * PC_DRIVER_RESOLVE_GRACE_MS * PC_US_PER_MS);
    /* and the grace is never longer than the deadline */
    (void)begin(PC_DRIVER_RESOLVE_IP, "a-only.odd", PC_DRIVER_RESOLVE_GRACE_MS / 3);
    run_until(&reply.done);
    assert_int_equal(reply.resolved.kind, PC_DRIVER_RESOLVE_OK);
    assert_true(reply.resolved.elapsed_us < PC_DRIVER_RESOLVE_GRACE_MS * PC_US_PER_MS);
    expect(PC_DRIVER_RESOLVE_IP, "a-and-servfail.odd", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.address_count, 1);
    expect(PC_DRIVER_RESOLVE_IP, "nothing-and-servfail.odd", PC_DRIVER_RESOLVE_FAILED, "SERVFAIL");
}

static void broken_answers(void **state)
{
    (void)state;
    const char *const broken[] = { "garbage.odd",      "short.odd",      "wrong-id.odd", "truncated.odd",
                                   "self-pointer.odd", "cut-record.odd", "cut-text.odd" };
    ask_odd();
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        for (int what = PC_DRIVER_RESOLVE_IP; what <= PC_DRIVER_RESOLVE_TXT; what++) {
            (void)begin((enum pc_driver_resolve_what)what, broken[i], SHORT_MS);
            run_until(&reply.done);
            assert_int_not_equal(reply.resolved.kind, PC_DRIVER_RESOLVE_OK);
        }
    }
}

static void what_is_no_server(void **state)
{
    (void)state;
    const char *const bad[] = { "",
                                "name.test",
                                "1.2.3",
                                "127.0.0.1:",
                                "127.0.0.1:0",
                                "127.0.0.1:65536",
                                "127.0.0.1:x",
                                "127.0.0.1,127.0.0.2",
                                "127.0.0.1 ",
                                "[::1",
                                "[::1]x",
                                ":53",
                                "127.0.0.1:53:53",
                                "[127.0.0.1]:53",
                                "]:53",
                                "[]:53",
                                "fe80::1%1" };
    const char *const good[] = { "127.0.0.1", "127.0.0.1:5353", "::1", "[::1]", "[::1]:5353" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct pc_driver_resolver *none = NULL;
        struct pc_reason why = { "" };
        if (pc_driver_resolver_new(&loop, bad[i], &none, &why) != PEERCACHE_EPARSE)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_null(none);
        assert_non_null(strstr(why.text, "no address of a name server"));
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct pc_driver_resolver *one;
        assert_int_equal(pc_driver_resolver_new(&loop, good[i], &one, NULL), 0);
        pc_driver_resolver_close(one);
    }
    pc_driver_resolver_close(NULL);
}

static void a_server_over_ipv6(void **state)
{
    char server[64];
    (void)state;
    if (!has_ip6())
        skip();
    (void)snprintf(server, sizeof(server), "[::1]:%s", told("PORT_DNS"));
    close_all();
    open_all(server, NULL);
    expect(PC_DRIVER_RESOLVE_IP, "both.test", PC_DRIVER_RESOLVE_OK, "");
    assert_int_equal(reply.resolved.address_count, 2);
}

/* ----- many, and the end of them ----- */

struct tally {
    size_t done;
    size_t kinds[PC_DRIVER_RESOLVE_CANCELLED + 1];
    bool all;
    size_t wanted;
};

static void on_tally(void *context, const struct pc_driver_resolved *resolved)
{
    struct tally *tally = context;
    tally->kinds[resolved->kind]++;
    tally->all = ++tally->done == tally->wanted;
}

static void many_at_once_and_not_more(void **state)
{
    (void)state;
    struct tally tally = { .wanted = PC_DRIVER_RESOLVE_QUERIES_MAX };
    struct pc_driver_query *query;
    for (size_t i = 0; i < PC_DRIVER_RESOLVE_QUERIES_MAX; i++)
        assert_int_equal(pc_driver_resolve(resolver, i % 2 ? PC_DRIVER_RESOLVE_TXT : PC_DRIVER_RESOLVE_IP,
                                           i % 2 ? "big.test" : "both.test", PATIENCE_MS, on_tally, &tally,
                                           &query),
                         0);
    assert_int_equal(
        pc_driver_resolve(resolver, PC_DRIVER_RESOLVE_IP, "both.test", 1, on_tally, &tally, &query),
        PEERCACHE_ELIMIT);
    run_until(&tally.all);
    assert_int_equal(tally.kinds[PC_DRIVER_RESOLVE_OK], PC_DRIVER_RESOLVE_QUERIES_MAX);
    expect(PC_DRIVER_RESOLVE_IP, "both.test", PC_DRIVER_RESOLVE_OK, "");
}

/* After each number of rounds of the loop: over UDP, over TCP, in silence. */
static void cancelled_at_any_moment(void **state)
{
    (void)state;
    const char *const names[] = { "both.test", "big.test", "silent.odd", "no name" };
    size_t cancelled = 0;
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        for (int rounds = 0; rounds < 12; rounds++) {
            struct pc_driver_query *query = begin(PC_DRIVER_RESOLVE_TXT, names[n], SHORT_MS);
            for (int i = 0; i < rounds && !reply.done; i++)
                (void)uv_run(&loop, rounds % 2 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
            if (reply.done)
                continue;
            pc_driver_resolve_cancel(query);
            pc_driver_resolve_cancel(query);
            assert_false(reply.done);
            run_until(&reply.done);
            cancelled += reply.resolved.kind == PC_DRIVER_RESOLVE_CANCELLED; /* or the answer was there */
            assert_true(n != 2 || rounds % 2 == 1 || reply.resolved.kind == PC_DRIVER_RESOLVE_CANCELLED);
        }
    }
    assert_true(cancelled >= 8);
}

static void closed_at_any_moment(void **state)
{
    (void)state;
    for (int rounds = 0; rounds < 10; rounds++) {
        char server[64];
        struct tally tally = { .wanted = 4 };
        struct pc_driver_query *query;
        const char *const names[] = { "both.test", "big.test", "silent.odd", "missing.test" };
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(pc_driver_resolve(resolver, PC_DRIVER_RESOLVE_TXT, names[i], PATIENCE_MS,
                                               on_tally, &tally, &query),
                             0);
        for (int i = 0; i < rounds; i++)
            (void)uv_run(&loop, UV_RUN_NOWAIT);
        close_all();
        assert_int_equal(tally.done, 4);
        open_all(local("PORT_DNS", server), NULL);
    }
}

static void asked_again_from_done(void *context, const struct pc_driver_resolved *resolved)
{
    struct pc_driver_query *query;
    (void)context;
    assert_int_equal(resolved->kind, PC_DRIVER_RESOLVE_OK);
    assert_int_equal(pc_driver_resolve(resolver, PC_DRIVER_RESOLVE_TXT, "joined.test", PATIENCE_MS, on_done,
                                       &reply, &query),
                     0);
}

static void done_may_ask_again(void **state)
{
    struct pc_driver_query *query;
    (void)state;
    memset(&reply, 0, sizeof(reply));
    assert_int_equal(pc_driver_resolve(resolver, PC_DRIVER_RESOLVE_IP, "both.test", PATIENCE_MS,
                                       asked_again_from_done, NULL, &query),
                     0);
    run_until(&reply.done);
    assert_int_equal(reply.resolved.kind, PC_DRIVER_RESOLVE_OK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(addresses_of_each_family),
        TEST(texts_with_their_strings_joined),
        TEST(what_is_large_comes_over_tcp),
        TEST(limits),
        TEST(localhost_and_addresses),
        TEST(no_such_name_and_no_such_record),
        TEST(no_name_at_all),
        TEST(servers_that_refuse_and_fail),
        TEST(servers_that_cannot_be_asked),
        TEST(silence),
        TEST(one_family_is_enough),
        TEST(broken_answers),
        TEST(what_is_no_server),
        TEST(a_server_over_ipv6),
        TEST(many_at_once_and_not_more),
        TEST(cancelled_at_any_moment),
        TEST(closed_at_any_moment),
        TEST(done_may_ask_again),
    };
    return cmocka_run_group_tests_name("driver_resolve", tests, NULL, NULL);
}
