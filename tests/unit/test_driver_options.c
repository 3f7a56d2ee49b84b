/* The options of a node: what each setter takes, and the sentence that it refuses with. */
#include "check.h"

#include "driver/options.h"

#include <string.h>

#define PEER_ID "12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8"
#define PEER    "/ip4/192.0.2.1/udp/4001/quic-v1/p2p/" PEER_ID

static peercache_node_options *options;

static int setup(void **state)
{
    (void)state;
    options = peercache_node_options_new();
    return options ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    peercache_node_options_free(options);
    return 0;
}

static void refused(int result, int expected, const char *sentence)
{
    const char *said = peercache_node_options_errmsg(options);
    assert_int_equal(result, expected);
    if (!strstr(said, sentence))
        fail_msg("\"%s\" lacks \"%s\"", said, sentence);
}

static void peers_of_a_flag_and_of_the_environment(void **state)
{
    (void)state;
    assert_int_equal(peercache_node_options_add_peer(options, PEER), 0);
    assert_int_equal(peercache_node_options_add_env_peers(options, " , /dnsaddr/a.example/p2p/" PEER_ID
                                                                   ",,\t" PEER "\r\n,"),
                     0);
    assert_int_equal(options->source_count, 3);
    assert_int_equal(options->sources[0].via, PEERCACHE_VIA_FLAG);
    assert_int_equal(options->sources[1].via, PEERCACHE_VIA_ENV);
    assert_string_equal(options->sources[1].text, "/dnsaddr/a.example/p2p/" PEER_ID);
    assert_string_equal(options->sources[2].text, PEER);
    assert_int_equal(peercache_node_options_add_env_peers(options, ""), 0);
    assert_int_equal(options->source_count, 3);
}

static void a_list_of_peers_is_taken_whole_or_not(void **state)
{
    char long_part[PEERCACHE_ADDR_TEXT_BYTES + 100];
    (void)state;
    refused(peercache_node_options_add_env_peers(options, PEER ", /ip4/300.0.0.1/udp/1/quic-v1"),
            PEERCACHE_EPARSE, "\"/ip4/300.0.0.1/udp/1/quic-v1\" cannot be dialled");
    assert_int_equal(options->source_count, 0);
    refused(peercache_node_options_add_env_peers(options, "/p2p/" PEER_ID), PEERCACHE_EPARSE,
            "a peer id without an address");
    memset(long_part, 'x', sizeof(long_part) - 1);
    long_part[sizeof(long_part) - 1] = '\0';
    refused(peercache_node_options_add_env_peers(options, long_part), PEERCACHE_EPARSE, "is too long");
    refused(peercache_node_options_add_env_peers(options, NULL), PEERCACHE_EPARSE, "no multiaddr");
    refused(peercache_node_options_add_peer(options, NULL), PEERCACHE_EPARSE, "no multiaddr");
}

static void peers_have_one_limit(void **state)
{
    (void)state;
    for (int i = 0; i < PC_NODE_PEERS_MAX - 1; i++)
        assert_int_equal(peercache_node_options_add_peer(options, PEER), 0);
    refused(peercache_node_options_add_env_peers(options, PEER "," PEER), PEERCACHE_ELIMIT,
            "more than 256 peers are given");
    assert_int_equal(options->source_count, PC_NODE_PEERS_MAX - 1);
    assert_int_equal(peercache_node_options_add_env_peers(options, PEER), 0);
    refused(peercache_node_options_add_peer(options, PEER), PEERCACHE_ELIMIT,
            "more than 256 peers are given");
}

static void endpoints(void **state)
{
    static const struct {
        const char *url;
        const char *sentence;
    } bad[] = {
        { "ftp://a.example/peers", "the scheme \"ftp\" is not fetched" },
        { "file:///etc/passwd", "cannot be asked" },
        { "a.example", "cannot be asked" },
        { "https://", "cannot be asked" },
        { "http://a.example:0/", "the port of the URL is none" },
        { "https://user:word@a.example/", "no user or password" },
        { "https://user@a.example/", "no user or password" },
        { "https://a.example/\xc3\xa4", "written as %XX" },
        { "", "cannot be asked" },
    };
    char url[PC_DRIVER_FETCH_URL_MAX_BYTES + 2];
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(peercache_node_options_add_endpoint(options, bad[i].url), PEERCACHE_EPARSE, bad[i].sentence);
    refused(peercache_node_options_add_endpoint(options, NULL), PEERCACHE_EPARSE, "no URL");
    size_t head = (size_t)snprintf(url, sizeof(url), "https://a.example/");
    memset(url + head, 'x', sizeof(url) - head);
    url[sizeof(url) - 1] = '\0';
    refused(peercache_node_options_add_endpoint(options, url), PEERCACHE_EPARSE, "over 2048 bytes");
    assert_int_equal(options->endpoint_count, 0);
    url[sizeof(url) - 2] = '\0'; /* the longest */
    assert_int_equal(peercache_node_options_add_endpoint(options, url), 0);
    assert_string_equal(options->endpoints[0], url);
    for (int i = 1; i < PC_JOIN_ENDPOINTS_MAX; i++)
        assert_int_equal(peercache_node_options_add_endpoint(options, "http://[2001:db8::1]:8080/peers?n=1"),
                         0);
    refused(peercache_node_options_add_endpoint(options, "http://a.example/"), PEERCACHE_ELIMIT,
            "more than 32 endpoints are given");
}

static void described_sources_depend_on_local_until_set(void **state)
{
    (void)state;
    assert_true(pc_driver_options_described(options));
    peercache_node_options_set_local(options, true);
    assert_false(pc_driver_options_described(options));
    peercache_node_options_set_described_sources(options, true);
    assert_true(pc_driver_options_described(options));
    peercache_node_options_set_local(options, false);
    peercache_node_options_set_described_sources(options, false);
    assert_false(pc_driver_options_described(options));
}

static void switches(void **state)
{
    (void)state;
    assert_true(options->dial_cached);
    assert_false(options->exclusive);
    peercache_node_options_set_dial_cached(options, false);
    peercache_node_options_set_exclusive(options, true);
    assert_false(options->dial_cached);
    assert_true(options->exclusive);
}

static void networks(void **state)
{
    struct pc_ip_port inside = { .family = 4, .ip = { 10, 1, 2, 3 } };
    struct pc_ip_port denied = { .family = 4, .ip = { 10, 9, 2, 3 } };
    (void)state;
    assert_int_equal(peercache_node_options_allow(options, "10.0.0.0/8"), 0);
    assert_int_equal(peercache_node_options_deny(options, "10.9.0.0/16"), 0);
    assert_int_equal(pc_join_filter_judge(&options->filter, &inside), PC_FILTER_ALLOWED);
    assert_int_equal(pc_join_filter_judge(&options->filter, &denied), PC_FILTER_DENIED);
    refused(peercache_node_options_allow(options, "ten"), PEERCACHE_EPARSE, "'ten': not a network");
    refused(peercache_node_options_deny(options, "10.0.0.0/33"), PEERCACHE_EPARSE, "the prefix is not");
    refused(peercache_node_options_deny(options, "10.0.0.1/8"), PEERCACHE_EPARSE, "beyond the prefix");
    refused(peercache_node_options_deny(options, NULL), PEERCACHE_EPARSE, "no network");
    for (int i = 2; i < PC_JOIN_FILTER_MAX; i++)
        assert_int_equal(peercache_node_options_deny(options, "192.0.2.0/24"), 0);
    refused(peercache_node_options_allow(options, "fd00::/8"), PEERCACHE_ELIMIT, "more than 256 networks");
}

static void the_name_server(void **state)
{
    (void)state;
    assert_string_equal(options->resolver, "");
    assert_int_equal(peercache_node_options_set_resolver(options, "192.0.2.1"), 0);
    assert_string_equal(options->resolver, "192.0.2.1:53");
    assert_int_equal(peercache_node_options_set_resolver(options, "[2001:db8::1]:5353"), 0);
    refused(peercache_node_options_set_resolver(options, "dns.example"), PEERCACHE_EPARSE,
            "\"dns.example\" is no address of a name server");
    assert_string_equal(options->resolver, "[2001:db8::1]:5353");
    assert_int_equal(peercache_node_options_set_resolver(options, NULL), 0);
    assert_string_equal(options->resolver, "");
}

static void paths(void **state)
{
    char path[PC_STORE_PATH_BYTES + 1];
    (void)state;
    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    refused(peercache_node_options_set_cache(options, ""), PEERCACHE_EINVAL,
            "the path of the cache is empty");
    refused(peercache_node_options_set_cache(options, path), PEERCACHE_EINVAL,
            "the path of the cache is over 4095 bytes");
    refused(peercache_node_options_set_ca_file(options, ""), PEERCACHE_EINVAL,
            "the path of the certificates is empty");
    refused(peercache_node_options_set_ca_file(options, path), PEERCACHE_EINVAL,
            "the path of the certificates is over 4095 bytes");
    path[PC_STORE_PATH_BYTES - 1] = '\0';
    assert_int_equal(peercache_node_options_set_cache(options, path), 0);
    assert_int_equal(peercache_node_options_set_ca_file(options, path), 0);
    assert_true(options->has_cache);
    assert_string_equal(options->cache, path);
    assert_string_equal(options->ca_file, path);
    assert_int_equal(peercache_node_options_set_cache(options, NULL), 0);
    assert_int_equal(peercache_node_options_set_ca_file(options, NULL), 0);
    assert_false(options->has_cache);
    assert_string_equal(options->ca_file, "");
}

static void keep_text(void *context, peercache_log_level level, const char *room, const char *text)
{
    (void)context;
    (void)level;
    (void)room;
    (void)text;
}

static void what_is_shown(void **state)
{
    (void)state;
    assert_false(options->has_http);
    refused(peercache_node_options_set_http(options, "localhost:80"), PEERCACHE_EPARSE, "localhost:80");
    assert_false(options->has_http);
    assert_int_equal(peercache_node_options_set_http(options, "[::1]:9090"), 0);
    assert_true(options->has_http);
    assert_int_equal(options->http.address.port, 9090);
    assert_int_equal(peercache_node_options_set_http(options, NULL), 0);
    assert_false(options->has_http);

    assert_null(options->log_write);
    refused(peercache_node_options_set_log(options, "node=loud", keep_text, NULL), PEERCACHE_EPARSE, "loud");
    assert_null(options->log_write);
    assert_int_equal(peercache_node_options_set_log(options, "node=debug", keep_text, NULL), 0);
    assert_ptr_equal(options->log_write, keep_text);
    assert_true(pc_observe_log_wants(&options->log_levels, PC_LOG_DEBUG, "node"));
    assert_true(pc_observe_log_wants(&options->log_levels, PC_LOG_INFO, "driver"));
    assert_false(pc_observe_log_wants(&options->log_levels, PC_LOG_DEBUG, "driver"));
    assert_int_equal(peercache_node_options_set_log(options, NULL, NULL, NULL), 0);
    assert_null(options->log_write);
}

static void numbers(void **state)
{
    (void)state;
    assert_int_equal(options->max_peers, 10000);
    assert_int_equal(peercache_node_options_set_max_peers(options, 1), 0);
    assert_int_equal(peercache_node_options_set_max_peers(options, 10000000), 0);
    refused(peercache_node_options_set_max_peers(options, 0), PEERCACHE_EINVAL,
            "0 peers at most: it must be 1 to 10000000");
    refused(peercache_node_options_set_max_peers(options, 10000001), PEERCACHE_EINVAL, "it must be 1 to");
    assert_int_equal(options->max_peers, 10000000);
    refused(peercache_node_options_set_target(options, 3, 4), PEERCACHE_EINVAL, "target 3 and minimum 4");
    refused(peercache_node_options_set_timeout(options, 0), PEERCACHE_EINVAL, "a timeout of 0 ms");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(peers_of_a_flag_and_of_the_environment),
        CASE(a_list_of_peers_is_taken_whole_or_not),
        CASE(peers_have_one_limit),
        CASE(endpoints),
        CASE(described_sources_depend_on_local_until_set),
        CASE(switches),
        CASE(networks),
        CASE(the_name_server),
        CASE(paths),
        CASE(what_is_shown),
        CASE(numbers),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
