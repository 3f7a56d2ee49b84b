/* AutoNAT v2: its messages, between two hosts, and with peers that cheat. */
#include "check.h"

#include "raw_peer.h"
#include "sim_network.h"

#include "base/cursor.h"
#include "base/time.h"
#include "libp2p/certificate.h"
#include "libp2p/protobuf.h"
#include "libp2p/protocol.h"

#include <stdlib.h>
#include <string.h>

#define S       PC_US_PER_S
#define WALL_MS INT64_C(1780000000000)

static struct pc_identity *identities[2];

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint8_t seed[32], key[PC_PRIVATE_KEY_MAX_BYTES];
        size_t size;
        memset(seed, (int)i + 1, sizeof(seed));
        assert_int_equal(pc_libp2p_key_generate(seed, key, sizeof(key), &size), 0);
        assert_int_equal(pc_libp2p_identity_new(pc_bytes_of(key, size), WALL_MS, &identities[i], NULL), 0);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        pc_libp2p_identity_free(identities[i]);
    return 0;
}

/* ---- messages ------------------------------------------------------------------------------------------ */

static struct pc_bytes encode(const struct pc_autonat_message *message, uint8_t *room, size_t capacity)
{
    struct pc_bytes inner;
    size_t size, used;
    assert_int_equal(pc_libp2p_autonat_encode(message, room, capacity, &size), 0);
    assert_int_equal(pc_libp2p_frame_decode(pc_bytes_of(room, size), PC_AUTONAT_MESSAGE_BYTES, &inner, &used),
                     1);
    assert_int_equal(used, size);
    return inner;
}

static void messages_round_trip(void **state)
{
    (void)state;
    static uint8_t room[PC_AUTONAT_MESSAGE_BYTES + 16];
    const uint8_t data[PC_AUTONAT_CHUNK_BYTES] = { 7 };
    const struct pc_autonat_message given[] = {
        { .kind = PC_AUTONAT_REQUEST,
          .nonce = UINT64_C(0x0123456789abcdef),
          .addr_count = 2,
          .addrs = { pc_bytes_of("one", 3), pc_bytes_of("three", 5) } },
        { .kind = PC_AUTONAT_RESPONSE,
          .status = PC_AUTONAT_OK,
          .addr_index = 3,
          .dial = PC_AUTONAT_DIAL_BACK_ERROR },
        { .kind = PC_AUTONAT_RESPONSE },
        { .kind = PC_AUTONAT_DATA_REQUEST, .addr_index = 1, .data_bytes = PC_AUTONAT_PAID_BYTES },
        { .kind = PC_AUTONAT_DATA, .data = pc_bytes_of(data, sizeof(data)) },
    };
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        struct pc_autonat_message got;
        assert_int_equal(pc_libp2p_autonat_decode(encode(&given[i], room, sizeof(room)), &got), 0);
        assert_int_equal(got.kind, given[i].kind);
        assert_true(got.nonce == given[i].nonce && got.data_bytes == given[i].data_bytes);
        assert_int_equal(got.status, given[i].status);
        assert_int_equal(got.dial, given[i].dial);
        assert_int_equal(got.addr_index, given[i].addr_index);
        assert_true(pc_bytes_equal(got.data, given[i].data));
        assert_int_equal(got.addr_count, given[i].addr_count);
        for (size_t j = 0; j < got.addr_count; j++)
            assert_true(pc_bytes_equal(got.addrs[j], given[i].addrs[j]));
    }
}

/* By hand from the definitions of the spec. */
static void messages_are_those_of_the_spec(void **state)
{
    (void)state;
    static const uint8_t request[] = { 0x0a, 0x0e, 0x0a, 3, 'a', 'b', 'c', 0x11, 1, 0, 0, 0, 0, 0, 0, 2 };
    static const uint8_t response[] = { 0x12, 5, 0x08, 0xc8, 0x01, 0x18, 0x64 };
    static const uint8_t dial_back[] = { 0x09, 8, 7, 6, 5, 4, 3, 2, 1 };
    struct pc_autonat_message message;
    uint64_t nonce;
    assert_int_equal(pc_libp2p_autonat_decode(pc_bytes_of(request, sizeof(request)), &message), 0);
    assert_int_equal(message.kind, PC_AUTONAT_REQUEST);
    assert_true(message.nonce == UINT64_C(0x0200000000000001));
    assert_true(pc_bytes_equal(message.addrs[0], pc_bytes_of("abc", 3)));
    assert_int_equal(pc_libp2p_autonat_decode(pc_bytes_of(response, sizeof(response)), &message), 0);
    assert_int_equal(message.status, PC_AUTONAT_OK);
    assert_int_equal(message.dial, PC_AUTONAT_DIAL_ERROR);
    assert_int_equal(pc_libp2p_dial_back_decode(pc_bytes_of(dial_back, sizeof(dial_back)), &nonce), 0);
    assert_true(nonce == UINT64_C(0x0102030405060708));
}

static void bad_messages_are_refused(void **state)
{
    (void)state;
    static const uint8_t big[PC_AUTONAT_MESSAGE_BYTES + 1];
    struct pc_autonat_message message;
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        { "", 0 },                                     /* none of the four */
        { "\x0a\x05\x0a", 3 },                         /* cut short */
        { "\x08\x01", 2 },                             /* no message in it */
        { "\x0a\x02\x08\x01", 4 },                     /* an address that is a number */
        { "\x0a\x02\x10\x01", 4 },                     /* a nonce that is a varint */
        { "\x12\x03\x0a\x01\x01", 5 },                 /* a status that is bytes */
        { "\x12\x07\x08\x80\x80\x80\x80\x80\x01", 9 }, /* a status over 32 bits */
        { "\x22\x02\x08\x01", 4 },                     /* data that are a number */
        { "\x2a\x00", 2 },                             /* a fifth kind alone */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(pc_libp2p_autonat_decode(pc_bytes_of(bad[i].bytes, bad[i].size), &message),
                         PEERCACHE_EPARSE);
    assert_int_equal(pc_libp2p_autonat_decode(pc_bytes_of(big, sizeof(big)), &message), PEERCACHE_ELIMIT);
}

/* ---- between two hosts --------------------------------------------------------------------------------- */

/* What the server (node 1) does when it is asked. */
static struct {
    struct pc_ip_port to;
    uint32_t data_bytes;
    bool refuse;
    unsigned asked;
} server;

static void on_dial_asked(struct sim *sim, size_t node, const struct pc_libp2p_event *event)
{
    struct pc_libp2p_host *host = sim->nodes[node].host;
    assert_non_null(event->dial);
    assert_int_equal(event->dial->addr_count, 1);
    assert_true(pc_addr_ip_port_equal(&event->remote, &sim->nodes[0].address));
    server.asked++;
    uint64_t asked = event->asked;
    if (server.refuse)
        assert_int_equal(pc_libp2p_host_refuse_dial(host, sim->now, asked, PC_AUTONAT_DIAL_REFUSED), 0);
    else
        assert_int_equal(pc_libp2p_host_dial_back(host, sim->now, asked, 0, &server.to, server.data_bytes),
                         0);
}

static size_t add_host(struct sim *sim, size_t identity, bool serves)
{
    struct pc_libp2p_options options;
    pc_libp2p_options_init(&options);
    options.identity = identities[identity];
    options.kad_protocol = "/test/kad/1.0.0";
    options.server = serves;
    options.accept_inbound = true;
    pc_base_rng_init_u64(&options.rng, 1000 + identity);
    return sim_add_host(sim, &options, 4);
}

/* A client (node 0) that is connected with a server (node 1) by connection 1. */
static struct sim *new_pair(void)
{
    struct sim *sim = malloc(sizeof(*sim));
    assert_non_null(sim);
    memset(&server, 0, sizeof(server));
    sim_init(sim, 1);
    sim->dial_asked = on_dial_asked;
    (void)add_host(sim, 0, false);
    (void)add_host(sim, 1, true);
    server.to = sim->nodes[0].address;
    assert_int_equal(pc_libp2p_host_dial(sim->nodes[0].host, sim->now, 1, &sim->nodes[1].address, NULL,
                                         sim->now.mono_us + 5 * S),
                     0);
    assert_non_null(sim_run_until(sim, 0, PC_LIBP2P_OPENED, sim->now.mono_us + 5 * S));
    return sim;
}

static void free_sim(struct sim *sim)
{
    sim_deinit(sim);
    free(sim);
}

static uint64_t dials_back(const struct sim *sim)
{
    return pc_libp2p_host_counts(sim->nodes[1].host)->dials_back;
}

static struct sim_event *probe(struct sim *sim, int64_t for_us)
{
    struct pc_maddr own;
    pc_addr_from_ip_port(&server.to, &own);
    assert_int_equal(pc_libp2p_host_probe(sim->nodes[0].host, sim->now, 1, 77, pc_addr_maddr_bytes(&own),
                                          sim->now.mono_us + for_us),
                     0);
    sim_run(sim, sim->now.mono_us + for_us + S);
    struct sim_event *probed = sim_find(sim, 0, PC_LIBP2P_PROBED);
    if (probed)
        assert_int_equal(probed->event.request, 77);
    return probed;
}

static void a_fresh_connection_brings_the_number(void **state)
{
    (void)state;
    struct sim *sim = new_pair();
    struct sim_event *probed = probe(sim, 20 * S);
    assert_non_null(probed);
    assert_int_equal(probed->event.probe, PC_LIBP2P_CAME_BACK);
    assert_int_equal(server.asked, 1);
    assert_int_equal(dials_back(sim), 1);
    /* It came from a port that the client never sent to, and is over. Of it the server's caller hears nothing. */
    for (size_t i = 0; i < sim->event_count; i++) {
        const struct pc_libp2p_event *event = &sim->events[i].event;
        if (sim->events[i].node == 0 && event->kind == PC_LIBP2P_OPENED &&
            (event->connection & PC_LIBP2P_INBOUND))
            assert_int_equal(event->remote.port, sim->nodes[1].address.port + SIM_APART);
        if (sim->events[i].node == 1)
            assert_true(event->kind == PC_LIBP2P_OPENED || event->kind == PC_LIBP2P_DIAL_ASKED);
    }
    assert_int_equal(pc_libp2p_host_connection_count(sim->nodes[1].host), 1);
    free_sim(sim);
}

static void a_dial_elsewhere_is_paid_for_first(void **state)
{
    (void)state;
    struct sim *sim = new_pair();
    server.data_bytes = PC_AUTONAT_PAID_BYTES;
    size_t sent_before = sim->sent_count;
    struct sim_event *probed = probe(sim, 20 * S);
    assert_non_null(probed);
    assert_int_equal(probed->event.probe, PC_LIBP2P_CAME_BACK);
    assert_int_equal(dials_back(sim), 1);
    assert_true(sim->sent_count - sent_before > PC_AUTONAT_PAID_BYTES / PC_LIBP2P_DATAGRAM_MAX_BYTES);
    free_sim(sim);
}

static void who_asks_for_too_much_is_not_paid(void **state)
{
    (void)state;
    struct sim *sim = new_pair();
    server.data_bytes = PC_AUTONAT_PAY_MAX_BYTES + 1;
    assert_null(probe(sim, 20 * S));
    struct sim_event *failed = sim_find(sim, 0, PC_LIBP2P_REQUEST_FAILED);
    assert_non_null(failed);
    assert_int_equal(failed->event.outcome, PEERCACHE_MISBEHAVED);
    assert_int_equal(dials_back(sim), 0);
    free_sim(sim);
}

static void an_address_that_nobody_answers_at_is_cut_off(void **state)
{
    (void)state;
    struct sim *sim = new_pair();
    server.to = sim_address(99, 4);
    struct sim_event *probed = probe(sim, 30 * S);
    assert_non_null(probed);
    assert_int_equal(probed->event.probe, PC_LIBP2P_CUT_OFF);
    assert_int_equal(pc_libp2p_host_connection_count(sim->nodes[1].host), 1);
    free_sim(sim);
}

/* Another node is there: its certificate shows that. */
static void an_address_of_somebody_else_is_cut_off(void **state)
{
    (void)state;
    struct sim *sim = new_pair();
    server.to = sim->nodes[1].address;
    struct sim_event *probed = probe(sim, 30 * S);
    assert_non_null(probed);
    assert_int_equal(probed->event.probe, PC_LIBP2P_CUT_OFF);
    free_sim(sim);
}

static void a_refusal_decides_nothing(void **state)
{
    (void)state;
    struct sim *sim = new_pair();
    server.refuse = true;
    struct sim_event *probed = probe(sim, 20 * S);
    assert_non_null(probed);
    assert_int_equal(probed->event.probe, PC_LIBP2P_UNDECIDED);
    free_sim(sim);
}

static void a_client_dials_nobody_back(void **state)
{
    (void)state;
    struct sim *sim = new_pair();
    assert_int_equal(pc_libp2p_host_announce(sim->nodes[1].host, sim->now, false, NULL, 0), 0);
    assert_null(probe(sim, 20 * S));
    assert_int_equal(sim_find(sim, 0, PC_LIBP2P_REQUEST_FAILED)->event.outcome, PEERCACHE_PROTOCOL_MISMATCH);
    assert_int_equal(server.asked, 0);
    free_sim(sim);
}

static void who_leaves_meanwhile_leaves_nothing_behind(void **state)
{
    (void)state;
    for (int64_t after_us = 0; after_us < 300000; after_us += 10000) {
        struct sim *sim = new_pair();
        struct pc_maddr own;
        server.data_bytes = after_us % 20000 ? 0 : PC_AUTONAT_PAID_BYTES;
        pc_addr_from_ip_port(&server.to, &own);
        assert_int_equal(pc_libp2p_host_probe(sim->nodes[0].host, sim->now, 1, 77, pc_addr_maddr_bytes(&own),
                                              sim->now.mono_us + 20 * S),
                         0);
        sim_run(sim, sim->now.mono_us + after_us);
        pc_libp2p_host_close(sim->nodes[0].host, sim->now, 1, 0);
        sim_run(sim, sim->now.mono_us + 120 * S);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(pc_libp2p_host_connection_count(sim->nodes[i].host), 0);
        free_sim(sim);
    }
}

/* ---- peers that cheat ---------------------------------------------------------------------------------- */

/* A host (node 0) and a raw peer (node 1), who says what the test gives it on streams that the host opens. */
struct meeting {
    struct sim sim;
    struct raw_peer peer;
    uint8_t identify[256];
    size_t identify_size;
    uint8_t say[128];
    size_t say_size;
    uint64_t nonce; /* of the host's request */
};

static void answer(struct raw_peer *peer, struct raw_stream *stream)
{
    struct meeting *m = peer->context;
    bool identifies = memmem(stream->in, stream->in_size, PC_PROTOCOL_IDENTIFY, 14) != NULL;
    if (stream->out_size > 0 || stream->in_size < 20 + 15)
        return;
    if (!identifies && !memmem(stream->in, stream->in_size, PC_PROTOCOL_DIAL, strlen(PC_PROTOCOL_DIAL)))
        return;
    raw_peer_send_line(stream, "/multistream/1.0.0");
    raw_peer_send_line(stream, identifies ? PC_PROTOCOL_IDENTIFY : PC_PROTOCOL_DIAL);
    if (identifies) {
        raw_peer_send(stream, m->identify, m->identify_size);
    } else {
        struct pc_reader r;
        pc_base_reader_init(&r, stream->in + stream->in_size - 8, 8);
        m->nonce = __builtin_bswap64(pc_base_read_u64(&r));
        raw_peer_send(stream, m->say, m->say_size);
    }
    stream->finish = true;
}

static struct meeting *meet(bool peer_is_server)
{
    static struct pc_identify identify;
    struct meeting *m = calloc(1, sizeof(*m));
    assert_non_null(m);
    memset(&server, 0, sizeof(server));
    sim_init(&m->sim, 5);
    m->sim.dial_asked = on_dial_asked;
    (void)add_host(&m->sim, 0, !peer_is_server);
    raw_peer_init(&m->peer, peer_is_server, pc_libp2p_identity_credentials(identities[1]), 6);
    m->peer.context = m;
    m->peer.on_data = answer;
    struct sim_node node = raw_peer_node(&m->peer);
    (void)sim_add_node(&m->sim, &node, 4);
    identify.protocol_count = 1;
    identify.protocols[0] = pc_bytes_of(PC_PROTOCOL_IDENTIFY, 14);
    assert_int_equal(
        pc_libp2p_identify_encode(&identify, m->identify, sizeof(m->identify), &m->identify_size), 0);
    if (peer_is_server)
        assert_int_equal(pc_libp2p_host_dial(m->sim.nodes[0].host, m->sim.now, 1, &m->sim.nodes[1].address,
                                             NULL, m->sim.now.mono_us + 5 * S),
                         0);
    else
        raw_peer_dial(&m->peer, m->sim.now, &m->sim.nodes[0].address);
    assert_non_null(sim_run_until(&m->sim, 0, PC_LIBP2P_OPENED, m->sim.now.mono_us + 5 * S));
    return m;
}

static void part(struct meeting *m)
{
    sim_deinit(&m->sim);
    raw_peer_deinit(&m->peer);
    free(m);
}

static void say(struct meeting *m, const struct pc_autonat_message *message)
{
    assert_int_equal(pc_libp2p_autonat_encode(message, m->say, sizeof(m->say), &m->say_size), 0);
}

static void ask(struct meeting *m)
{
    struct pc_maddr own;
    pc_addr_from_ip_port(&m->sim.nodes[0].address, &own);
    assert_int_equal(pc_libp2p_host_probe(m->sim.nodes[0].host, m->sim.now, 1, 77, pc_addr_maddr_bytes(&own),
                                          m->sim.now.mono_us + 20 * S),
                     0);
    sim_run(&m->sim, m->sim.now.mono_us + S);
}

static void a_server_that_says_it_dialled_is_not_believed(void **state)
{
    (void)state;
    struct meeting *m = meet(true);
    say(m, &(struct pc_autonat_message){
               .kind = PC_AUTONAT_RESPONSE, .status = PC_AUTONAT_OK, .dial = PC_AUTONAT_DIAL_OK });
    ask(m);
    struct sim_event *probed = sim_find(&m->sim, 0, PC_LIBP2P_PROBED);
    assert_non_null(probed);
    assert_int_equal(probed->event.probe, PC_LIBP2P_UNDECIDED);
    part(m);
}

/* The number over the connection that we dialled ourselves proves nothing. */
static void the_number_over_the_old_connection_is_refused(void **state)
{
    (void)state;
    struct meeting *m = meet(true);
    uint8_t bytes[PC_DIAL_BACK_BYTES];
    size_t size;
    ask(m); /* it says nothing yet */
    assert_true(m->nonce != 0);
    assert_int_equal(pc_libp2p_dial_back_encode(m->nonce, bytes, sizeof(bytes), &size), 0);
    struct raw_stream *stream = raw_peer_open(&m->peer, 256);
    assert_non_null(stream);
    raw_peer_send_line(stream, "/multistream/1.0.0");
    raw_peer_send_line(stream, PC_PROTOCOL_DIAL_BACK);
    raw_peer_send(stream, bytes, size);
    stream->finish = true;
    sim_run(&m->sim, m->sim.now.mono_us + S);
    assert_int_equal(m->peer.streams_closed > 0, true);
    assert_null(sim_find(&m->sim, 0, PC_LIBP2P_PROBED));
    part(m);
}

/* What a raw client sends on a stream of dial-request. */
static struct raw_stream *request(struct meeting *m, const struct pc_autonat_message *messages, size_t count)
{
    struct raw_stream *stream = raw_peer_open(&m->peer, 64 * 1024);
    static uint8_t bytes[PC_AUTONAT_MESSAGE_BYTES + 16];
    size_t size;
    assert_non_null(stream);
    raw_peer_send_line(stream, "/multistream/1.0.0");
    raw_peer_send_line(stream, PC_PROTOCOL_DIAL);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pc_libp2p_autonat_encode(&messages[i], bytes, sizeof(bytes), &size), 0);
        raw_peer_send(stream, bytes, size);
    }
    sim_run(&m->sim, m->sim.now.mono_us + S);
    return stream;
}

static void on_victim_asked(struct sim *sim, size_t node, const struct pc_libp2p_event *event)
{
    struct pc_ip_port victim = sim_address(50, 4);
    server.asked++;
    assert_int_equal(pc_libp2p_host_dial_back(sim->nodes[node].host, sim->now, event->asked, 0, &victim,
                                              PC_AUTONAT_PAID_BYTES),
                     0);
}

static void nobody_is_dialled_before_all_is_paid(void **state)
{
    (void)state;
    static const uint8_t data[PC_AUTONAT_CHUNK_BYTES];
    const struct pc_autonat_message part_of_it[] = {
        { .kind = PC_AUTONAT_REQUEST, .nonce = 5, .addr_count = 1, .addrs = { pc_bytes_of("victim", 6) } },
        { .kind = PC_AUTONAT_DATA, .data = pc_bytes_of(data, sizeof(data)) },
        { .kind = PC_AUTONAT_DATA, .data = pc_bytes_of(data, sizeof(data)) },
    };
    struct meeting *m = meet(false);
    m->sim.dial_asked = on_victim_asked;
    struct raw_stream *stream = request(m, part_of_it, 3);
    sim_run(&m->sim, m->sim.now.mono_us + 5 * S);
    assert_int_equal(server.asked, 1);
    assert_int_equal(pc_libp2p_host_counts(m->sim.nodes[0].host)->dials_back, 0);
    uint8_t bytes[PC_AUTONAT_CHUNK_BYTES + 64];
    size_t size;
    for (size_t paid = 2 * sizeof(data); paid < PC_AUTONAT_PAID_BYTES; paid += sizeof(data)) {
        assert_int_equal(pc_libp2p_host_counts(m->sim.nodes[0].host)->dials_back, 0);
        assert_int_equal(pc_libp2p_autonat_encode(&part_of_it[1], bytes, sizeof(bytes), &size), 0);
        raw_peer_send(stream, bytes, size);
        sim_run(&m->sim, m->sim.now.mono_us + S / 10);
    }
    assert_int_equal(pc_libp2p_host_counts(m->sim.nodes[0].host)->dials_back, 1);
    part(m);
}

static void messages_out_of_turn_are_refused(void **state)
{
    (void)state;
    const struct pc_autonat_message wrong[] = {
        { .kind = PC_AUTONAT_DATA, .data = pc_bytes_of("x", 1) },
        { .kind = PC_AUTONAT_RESPONSE, .status = PC_AUTONAT_OK },
        { .kind = PC_AUTONAT_DATA_REQUEST, .data_bytes = 1 },
        { .kind = PC_AUTONAT_REQUEST, .nonce = 5 }, /* no address */
    };
    struct meeting *m = meet(false);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_true(request(m, &wrong[i], 1)->reset);
    assert_int_equal(server.asked, 0);
    assert_null(sim_find(&m->sim, 0, PC_LIBP2P_CLOSED)); /* the connection lives */
    part(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_round_trip),
        cmocka_unit_test(messages_are_those_of_the_spec),
        cmocka_unit_test(bad_messages_are_refused),
        cmocka_unit_test(a_fresh_connection_brings_the_number),
        cmocka_unit_test(a_dial_elsewhere_is_paid_for_first),
        cmocka_unit_test(who_asks_for_too_much_is_not_paid),
        cmocka_unit_test(an_address_that_nobody_answers_at_is_cut_off),
        cmocka_unit_test(an_address_of_somebody_else_is_cut_off),
        cmocka_unit_test(a_refusal_decides_nothing),
        cmocka_unit_test(a_client_dials_nobody_back),
        cmocka_unit_test(who_leaves_meanwhile_leaves_nothing_behind),
        cmocka_unit_test(a_server_that_says_it_dialled_is_not_believed),
        cmocka_unit_test(the_number_over_the_old_connection_is_refused),
        cmocka_unit_test(nobody_is_dialled_before_all_is_paid),
        cmocka_unit_test(messages_out_of_turn_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
