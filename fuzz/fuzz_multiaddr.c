/*
 * The input as the text and as the bytes of a multiaddr. What is accepted has one canonical form: parse,
 * format and parse again agree, and an address that is stored once is stored the same the second time.
 */
#include "addr/netgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Unlike assert, always there: the calls inside are the test. */
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                            \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every function that takes an address of others, valid or not. */
static void use(struct pc_bytes addr)
{
    static const enum pc_netgroup_mode modes[] = { PC_NETGROUP_PUBLIC, PC_NETGROUP_LOCAL };
    struct pc_ip_port ip_port;
    struct pc_maddr head;
    struct pc_peer_id id;
    if (pc_addr_multiaddr_split(addr, &head, &id) == 0 && id.size > 0) {
        char text[PC_PEER_ID_TEXT_BYTES];
        struct pc_peer_id again;
        pc_addr_peer_id_format(&id, text);
        CHECK(pc_addr_peer_id_parse(text, strlen(text), &again, NULL) == 0);
        CHECK(pc_addr_peer_id_equal(&id, &again));
    }
    if (pc_addr_classify(addr, &ip_port) == PC_ADDR_QUIC_V1) {
        struct pc_maddr back;
        struct pc_ip_port again;
        pc_addr_from_ip_port(&ip_port, &back);
        CHECK(pc_addr_classify(pc_addr_maddr_bytes(&back), &again) == PC_ADDR_QUIC_V1);
        CHECK(pc_addr_ip_port_equal(&ip_port, &again));
    }
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct pc_maddr stored;
        struct pc_maddr again;
        struct pc_reason reason;
        (void)pc_addr_netgroup(addr, modes[i]);
        if (pc_addr_storable(addr, modes[i], true, &stored, &reason) != 0)
            continue;
        CHECK(pc_addr_storable(pc_addr_maddr_bytes(&stored), modes[i], true, &again, &reason) == 0);
        CHECK(pc_bytes_equal(pc_addr_maddr_bytes(&stored), pc_addr_maddr_bytes(&again)));
    }
}

static void round_trip(struct pc_bytes addr)
{
    static char text[PC_MULTIADDR_TEXT_BYTES];
    static uint8_t again[PC_MULTIADDR_MAX_BYTES];
    size_t size;
    CHECK(pc_addr_multiaddr_format(addr, text, sizeof(text), NULL) == 0);
    CHECK(pc_addr_multiaddr_parse(text, strlen(text), again, sizeof(again), &size, NULL) == 0);
    CHECK(pc_bytes_equal(addr, pc_bytes_of(again, size)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[PC_MULTIADDR_TEXT_BYTES];
    uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
    size_t parsed_size;
    struct pc_reason reason;
    struct pc_bytes input = pc_bytes_of(data, size);
    if (pc_addr_multiaddr_parse((const char *)data, size, bytes, sizeof(bytes), &parsed_size, &reason) == 0) {
        round_trip(pc_bytes_of(bytes, parsed_size));
        use(pc_bytes_of(bytes, parsed_size));
    }
    if (pc_addr_multiaddr_format(input, text, sizeof(text), &reason) == 0)
        round_trip(input);
    use(input);
    return 0;
}
