/* What is read of an endpoint's answer: peers of the right network, a fair sample of too many, and what was wrong. */
#include "check.h"

#include "driver/endpoint_answer.h"

#include <peercache/types.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID    "12D3KooWSUUh61eKwk4zJoLiwzGb3iESh2VEypYY83mJaGwdwEa1"
#define ADDR  "/ip4/192.0.2.1/udp/4001/quic-v1"
#define MANY  5000
#define SEEDS 40

static struct pc_driver_endpoint_answer answer;

static void read_text(const char *text, size_t size, const struct pc_driver_endpoint_network *network,
                      uint64_t seed)
{
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, seed);
    free(answer.peers);
    pc_driver_endpoint_answer_read(pc_bytes_of(text, size), network, &rng, &answer);
    assert_int_equal(answer.count > 0, answer.peers != NULL);
}

static int teardown(void **state)
{
    (void)state;
    free(answer.peers);
    answer.peers = NULL;
    return 0;
}

static void each_row(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name, *version;
        peercache_fetch result;
        size_t count;
        const char *detail;
    } rows[] = {
        { ADDR "\n", NULL, NULL, PEERCACHE_FETCH_OK, 1, "" },
        { ADDR "/p2p/" ID, NULL, NULL, PEERCACHE_FETCH_OK, 1, "" },
        { "{\"peers\":[\"" ADDR "\",\"" ADDR "\"]}", NULL, NULL, PEERCACHE_FETCH_OK, 2, "" },
        /* names, relays and what is private are for the node to judge */
        { "/dns4/a.test/udp/1/quic-v1\n/ip4/10.0.0.1/udp/1/quic-v1\n" ADDR "/p2p/" ID "/p2p-circuit\n", NULL,
          NULL, PEERCACHE_FETCH_OK, 3, "" },
        { "", NULL, NULL, PEERCACHE_FETCH_OK, 0, "no peers in it" },
        { " \n\t", NULL, NULL, PEERCACHE_FETCH_OK, 0, "no peers in it" },
        { "{\"peers\":[]}", NULL, NULL, PEERCACHE_FETCH_OK, 0, "no peers in it" },
        { ADDR "\n/ip4/nowhere\n", NULL, NULL, PEERCACHE_FETCH_OK, 1,
          "1 of 2 addresses are of no use, first: line 2" },
        { "{\"peers\":[1,2]}", NULL, NULL, PEERCACHE_FETCH_OK, 0, "2 of 2 addresses are of no use" },
        { "{\"peers\":[\"" ADDR "\"", NULL, NULL, PEERCACHE_FETCH_RUBBISH, 0, "byte" },
        { "<html></html>", NULL, NULL, PEERCACHE_FETCH_RUBBISH, 0, "line 1" },
        { "{}", NULL, NULL, PEERCACHE_FETCH_RUBBISH, 0, "" },
        { "null", NULL, NULL, PEERCACHE_FETCH_RUBBISH, 0, "" },
        /* the version behind the peers, as the descendants wrote it, and before them */
        { "{\"peers\":[[\"" ID "\",[\"" ADDR "/p2p/" ID "\"]]],\"network_version\":\"1\"}", NULL, "1",
          PEERCACHE_FETCH_OK, 1, "" },
        { "{\"peers\":[[\"" ID "\",[\"" ADDR "/p2p/" ID "\"]]],\"network_version\":\"2\"}", NULL, "1",
          PEERCACHE_FETCH_WRONG_NETWORK, 0, "version \"2\", ours is \"1\"" },
        { "{\"network_version\":\"2\",\"peers\":[[\"" ID "\",[\"" ADDR "/p2p/" ID "\"]]]}", NULL, NULL,
          PEERCACHE_FETCH_OK, 1, "" },
        /* cut short behind it: what it is of matters more */
        { "{\"network_version\":\"2\",\"peers\":[[\"" ID "\",[\"" ADDR, NULL, "1",
          PEERCACHE_FETCH_WRONG_NETWORK, 0, "version \"2\"" },
        /* our own lists */
        { "{\"peercache\":{\"a\":[1],\"network\":\"n\"},\"peers\":[{\"addr\":\"" ADDR "\"}]}", "n", "1",
          PEERCACHE_FETCH_OK, 1, "" },
        { "{\"peercache\":{\"a\":[1],\"network\":\"n\"},\"peers\":[{\"addr\":\"" ADDR "\"}]}", NULL, NULL,
          PEERCACHE_FETCH_OK, 1, "" },
        { "{\"peercache\":{\"a\":[1],\"network\":\"m\"},\"peers\":[{\"addr\":\"" ADDR "\"}]}", "n", NULL,
          PEERCACHE_FETCH_WRONG_NETWORK, 0, "network \"m\", ours is \"n\"" },
        { "{\"peercache\":{\"network\":7},\"peers\":[{\"addr\":\"" ADDR "\"}]}", "n", NULL,
          PEERCACHE_FETCH_OK, 1, "" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct pc_driver_endpoint_network network = { rows[i].name, rows[i].version };
        read_text(rows[i].text, strlen(rows[i].text), &network, 1);
        if (answer.result != rows[i].result || answer.count != rows[i].count ||
            !strstr(answer.detail.text, rows[i].detail) ||
            (answer.detail.text[0] != '\0') !=
                (answer.result != PEERCACHE_FETCH_OK || rows[i].detail[0] != '\0'))
            fail_msg("row %zu: %s, %zu, \"%s\"", i, peercache_fetch_name(answer.result), answer.count,
                     answer.detail.text);
    }
}

static uint16_t port_of(const struct pc_endpoint_peer *peer)
{
    struct pc_ip_port address;
    assert_int_equal(pc_addr_classify(pc_addr_maddr_bytes(&peer->addr), &address), PC_ADDR_QUIC_V1);
    return address.port;
}

/* Each of 5,000 has a chance of 1,024 in 5,000: of 40 samples 8.2, wherever it stands. */
static void of_too_many_each_has_the_same_chance(void **state)
{
    static const struct pc_driver_endpoint_network any = { NULL, NULL };
    unsigned *taken = calloc(MANY + 1, sizeof(*taken));
    char *text = malloc(MANY * 40);
    size_t size = 0, tenths[10] = { 0 };
    (void)state;
    assert_true(taken && text);
    for (unsigned i = 1; i <= MANY; i++)
        size += (size_t)sprintf(text + size, "/ip4/192.0.2.1/udp/%u/quic-v1\n", i);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        read_text(text, size, &any, seed);
        assert_int_equal(answer.count, PC_ENDPOINT_PEERS_MAX);
        assert_non_null(strstr(answer.detail.text, "3976 of 5000 addresses left out"));
        for (size_t i = 0; i < answer.count; i++) {
            uint16_t port = port_of(&answer.peers[i]);
            assert_in_range(port, 1, MANY);
            taken[port]++;
            assert_true(taken[port] <= seed + 1); /* none twice in one sample */
            tenths[(port - 1) * 10 / MANY]++;
        }
    }
    for (size_t i = 0; i < 10; i++) /* 4,096 each; a deviation is 57 */
        assert_in_range(tenths[i], 4096 - 5 * 57, 4096 + 5 * 57);
    /* the same seed, the same sample */
    read_text(text, size, &any, 7);
    uint16_t first = port_of(&answer.peers[0]), last = port_of(&answer.peers[PC_ENDPOINT_PEERS_MAX - 1]);
    read_text(text, size, &any, 7);
    assert_int_equal(port_of(&answer.peers[0]), first);
    assert_int_equal(port_of(&answer.peers[PC_ENDPOINT_PEERS_MAX - 1]), last);
    /* exactly as many as there is room for are all taken, in their order */
    size = 0;
    for (unsigned i = 1; i <= PC_ENDPOINT_PEERS_MAX; i++)
        size += (size_t)sprintf(text + size, "/ip4/192.0.2.1/udp/%u/quic-v1\n", i);
    read_text(text, size, &any, 7);
    assert_string_equal(answer.detail.text, "");
    for (unsigned i = 1; i <= PC_ENDPOINT_PEERS_MAX; i++)
        assert_int_equal(port_of(&answer.peers[i - 1]), i);
    free(text);
    free(taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(each_row, teardown),
        cmocka_unit_test_teardown(of_too_many_each_has_the_same_chance, teardown),
    };
    return cmocka_run_group_tests_name("driver_endpoint_answer", tests, NULL, NULL);
}
