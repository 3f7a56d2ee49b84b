/* Signed peer records, and identify-push: between two hosts, and of a peer that breaks the rules. */
#include "check.h"

#include "raw_peer.h"
#include "sim_network.h"

#include "base/cursor.h"
#include "base/time.h"
#include "libp2p/certificate.h"
#include "libp2p/peer_record.h"
#include "libp2p/protocol.h"

#include <stdlib.h>
#include <string.h>

#define S       PC_US_PER_S
#define WALL_MS INT64_C(1780000000000)

static struct pc_identity *identities[3];

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
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
    for (size_t i = 0; i < 3; i++)
        pc_libp2p_identity_free(identities[i]);
    return 0;
}

static struct pc_maddr addr_of(uint8_t last)
{
    struct pc_maddr addr;
    pc_addr_from_ip_port(&(struct pc_ip_port){ .family = 4, .ip = { 192, 0, 2, last }, .port = 4001 }, &addr);
    return addr;
}

/* ---- records ------------------------------------------------------------------------------------------- */

static struct pc_bytes seal(size_t identity, uint64_t seq, uint8_t last,
                            uint8_t room[PC_PEER_RECORD_MAX_BYTES])
{
    struct pc_peer_record record = { .seq = seq, .addr_count = 1 };
    struct pc_maddr addr = addr_of(last);
    size_t size;
    record.addrs[0] = pc_addr_maddr_bytes(&addr);
    assert_int_equal(
        pc_libp2p_peer_record_seal(identities[identity], &record, room, PC_PEER_RECORD_MAX_BYTES, &size), 0);
    return pc_bytes_of(room, size);
}

static void a_record_is_opened_as_it_was_sealed(void **state)
{
    (void)state;
    uint8_t room[PC_PEER_RECORD_MAX_BYTES];
    struct pc_bytes envelope = seal(1, UINT64_C(0x8000000000000001), 7, room);
    struct pc_peer_record record, read;
    struct pc_maddr addr = addr_of(7);
    assert_int_equal(pc_libp2p_peer_record_open(envelope, &record), 0);
    assert_int_equal(pc_libp2p_peer_record_read(envelope, &read), 0);
    assert_true(pc_addr_peer_id_equal(&record.id, pc_libp2p_identity_id(identities[1])));
    assert_true(record.seq == UINT64_C(0x8000000000000001) && read.seq == record.seq);
    assert_int_equal(record.addr_count, 1);
    assert_true(pc_bytes_equal(record.addrs[0], pc_addr_maddr_bytes(&addr)));
}

/* Wherever a bit turns over the record is refused, unless it is in a byte that nothing reads. */
static void a_record_that_was_touched_is_refused(void **state)
{
    (void)state;
    uint8_t room[PC_PEER_RECORD_MAX_BYTES];
    struct pc_bytes envelope = seal(1, 5, 7, room);
    struct pc_peer_record record;
    for (size_t i = 0; i < envelope.size; i++) {
        room[i] ^= 0x10;
        assert_true(pc_libp2p_peer_record_open(envelope, &record) < 0);
        room[i] ^= 0x10;
        assert_true(pc_libp2p_peer_record_open(pc_bytes_of(room, i), &record) < 0);
    }
    assert_int_equal(pc_libp2p_peer_record_open(envelope, &record), 0);
}

/* One who signs with its own key what names another peer. */
static void a_record_of_somebody_else_is_refused(void **state)
{
    (void)state;
    uint8_t room[PC_PEER_RECORD_MAX_BYTES], forged[PC_PEER_RECORD_MAX_BYTES];
    struct pc_bytes envelope = seal(1, 5, 7, room);
    const struct pc_peer_id *signer = pc_libp2p_identity_id(identities[1]);
    const struct pc_peer_id *other = pc_libp2p_identity_id(identities[2]);
    struct pc_peer_record record;
    uint8_t *at = memmem(room, envelope.size, signer->bytes, signer->size);
    assert_non_null(at);
    assert_int_equal(signer->size, other->size);
    memcpy(at, other->bytes, other->size); /* and sign again what it says now */
    uint8_t message[PC_PEER_RECORD_MAX_BYTES], signature[PC_SIGNATURE_MAX_BYTES];
    size_t payload_at = (size_t)(at - room) - 2, signature_size;
    size_t payload_size = room[payload_at - 1];
    struct pc_writer w;
    pc_base_writer_init(&w, message, sizeof(message));
    pc_base_write_varint(&w, 18);
    pc_base_write_bytes(&w, "libp2p-peer-record", 18);
    pc_base_write_bytes(&w, "\x02\x03\x01", 3);
    pc_base_write_varint(&w, payload_size);
    pc_base_write_bytes(&w, room + payload_at, payload_size);
    assert_int_equal(pc_libp2p_identity_sign(identities[1], pc_bytes_of(message, pc_base_writer_size(&w)),
                                             signature, sizeof(signature), &signature_size),
                     0);
    size_t before = payload_at + payload_size;
    memcpy(forged, room, before);
    memcpy(forged + before, "\x2a\x40", 2);
    memcpy(forged + before + 2, signature, signature_size);
    assert_int_equal(pc_libp2p_peer_record_open(pc_bytes_of(forged, before + 2 + signature_size), &record),
                     PEERCACHE_ECRYPTO);
}

static void a_record_over_its_bound_is_refused(void **state)
{
    (void)state;
    static uint8_t big[PC_PEER_RECORD_MAX_BYTES + 1];
    struct pc_peer_record record = { .addr_count = PC_IDENTIFY_ADDRS_MAX };
    uint8_t room[PC_PEER_RECORD_MAX_BYTES];
    size_t size = 999;
    assert_int_equal(pc_libp2p_peer_record_open(pc_bytes_of(big, sizeof(big)), &record), PEERCACHE_ELIMIT);
    for (size_t i = 0; i < PC_IDENTIFY_ADDRS_MAX; i++)
        record.addrs[i] = pc_bytes_of(big, 128);
    assert_int_equal(pc_libp2p_peer_record_seal(identities[0], &record, room, sizeof(room), &size),
                     PEERCACHE_ELIMIT);
    assert_int_equal(size, 999);
}

/* ---- between two hosts --------------------------------------------------------------------------------- */

static size_t add_host(struct sim *sim, size_t identity, bool server)
{
    struct pc_libp2p_options options;
    pc_libp2p_options_init(&options);
    options.identity = identities[identity];
    options.kad_protocol = "/test/kad/1.0.0";
    options.server = server;
    options.accept_inbound = true;
    pc_base_rng_init_u64(&options.rng, 1000 + identity);
    return sim_add_host(sim, &options, 4);
}

static struct sim *new_pair(bool server)
{
    struct sim *sim = malloc(sizeof(*sim));
    assert_non_null(sim);
    sim_init(sim, 1);
    (void)add_host(sim, 0, false);
    (void)add_host(sim, 1, server);
    return sim;
}

static void free_sim(struct sim *sim)
{
    sim_deinit(sim);
    free(sim);
}

static const struct pc_libp2p_counts *counts_of(const struct sim *sim, size_t node)
{
    return pc_libp2p_host_counts(sim->nodes[node].host);
}

static void announce(struct sim *sim, size_t node, bool server, uint8_t last)
{
    struct pc_maddr addr = addr_of(last);
    assert_int_equal(pc_libp2p_host_announce(sim->nodes[node].host, sim->now, server, &addr, 1), 0);
}

static struct sim_event *open_pair(struct sim *sim)
{
    assert_int_equal(pc_libp2p_host_dial(sim->nodes[0].host, sim->now, 1, &sim->nodes[1].address, NULL,
                                         sim->now.mono_us + 5 * S),
                     0);
    struct sim_event *opened = sim_run_until(sim, 0, PC_LIBP2P_OPENED, sim->now.mono_us + 5 * S);
    assert_non_null(opened);
    sim_run(sim, sim->now.mono_us + S);
    return opened;
}

static void a_change_is_pushed_to_the_one_who_dialled_and_to_the_one_who_was(void **state)
{
    (void)state;
    struct sim *sim = new_pair(false);
    announce(sim, 1, false, 1);
    struct sim_event *opened = open_pair(sim);
    assert_int_equal(opened->protocol_count, 4); /* no kad */
    assert_int_equal(counts_of(sim, 0)->records_good, 1);
    assert_int_equal(counts_of(sim, 1)->records_good, 1);

    announce(sim, 1, true, 2);
    struct sim_event *told = sim_run_until(sim, 0, PC_LIBP2P_IDENTIFIED, sim->now.mono_us + S);
    assert_non_null(told);
    assert_int_equal(told->event.connection, 1);
    assert_int_equal(told->protocol_count, 6);
    assert_string_equal(told->protocols[2], "/test/kad/1.0.0");
    assert_int_equal(told->addr_count, 1);

    announce(sim, 0, true, 3);
    told = sim_run_until(sim, 1, PC_LIBP2P_IDENTIFIED, sim->now.mono_us + S);
    assert_non_null(told);
    assert_true(told->event.connection & PC_LIBP2P_INBOUND);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(counts_of(sim, i)->pushes_sent, 1);
        assert_int_equal(counts_of(sim, i)->pushes_received, 1);
        assert_int_equal(counts_of(sim, i)->records_good, 2);
        assert_int_equal(counts_of(sim, i)->records_stale, 0);
    }
    /* What is no change is not pushed. */
    announce(sim, 0, true, 3);
    sim_run(sim, sim->now.mono_us + S);
    assert_int_equal(counts_of(sim, 0)->pushes_sent, 1);
    free_sim(sim);
}

static void a_change_while_the_handshake_goes_on_is_not_lost(void **state)
{
    (void)state;
    for (int64_t after_us = 0; after_us < 200000; after_us += 5000) {
        struct sim *sim = new_pair(false);
        announce(sim, 1, false, 1);
        assert_int_equal(pc_libp2p_host_dial(sim->nodes[0].host, sim->now, 1, &sim->nodes[1].address, NULL,
                                             sim->now.mono_us + 5 * S),
                         0);
        sim_run(sim, sim->now.mono_us + after_us);
        announce(sim, 1, true, 2);
        sim_run(sim, sim->now.mono_us + 2 * S);
        const struct sim_event *last = NULL;
        for (size_t i = 0; i < sim->event_count; i++)
            if (sim->events[i].node == 0 && (sim->events[i].event.kind == PC_LIBP2P_OPENED ||
                                             sim->events[i].event.kind == PC_LIBP2P_IDENTIFIED))
                last = &sim->events[i];
        assert_non_null(last);
        assert_int_equal(last->protocol_count, 6); /* the last that it heard is what holds */
        free_sim(sim);
    }
}

static void who_pushes_too_often_is_not_heard(void **state)
{
    (void)state;
    struct sim *sim = new_pair(true);
    (void)open_pair(sim);
    for (uint8_t i = 0; i < 20; i++) {
        announce(sim, 1, true, i + 1);
        sim_run(sim, sim->now.mono_us + S / 100);
    }
    sim_run(sim, sim->now.mono_us + S / 2);
    assert_int_equal(counts_of(sim, 1)->pushes_sent, 20);
    assert_int_equal(counts_of(sim, 0)->pushes_received, PC_PUSHES_AT_ONCE);
    assert_int_equal(counts_of(sim, 0)->pushes_refused, 20 - PC_PUSHES_AT_ONCE);
    sim_run(sim, sim->now.mono_us + PC_US_PER_S); /* idle connections are still there */
    announce(sim, 1, true, 40);
    sim_run(sim, sim->now.mono_us + S);
    assert_int_equal(counts_of(sim, 0)->pushes_received, PC_PUSHES_AT_ONCE + 1);
    free_sim(sim);
}

/* ---- a peer that breaks the rules ---------------------------------------------------------------------- */

/* A host (node 0) that is dialled by a raw peer, which answers identify with `identify`. */
struct meeting {
    struct sim sim;
    struct raw_peer peer;
    uint8_t identify[PC_IDENTIFY_MAX_BYTES];
    size_t identify_size;
};

static void answer_identify(struct raw_peer *peer, struct raw_stream *stream)
{
    struct meeting *m = peer->context;
    if (stream->out_size > 0 || !memmem(stream->in, stream->in_size, PC_PROTOCOL_IDENTIFY, 14))
        return;
    raw_peer_send_line(stream, "/multistream/1.0.0");
    raw_peer_send_line(stream, PC_PROTOCOL_IDENTIFY);
    raw_peer_send(stream, m->identify, m->identify_size);
    stream->finish = true;
}

/* An identify with two addresses of its own beside a record, or without one. */
static void say(struct meeting *m, struct pc_bytes record)
{
    static struct pc_identify identify;
    struct pc_maddr plain[] = { addr_of(101), addr_of(102) };
    memset(&identify, 0, sizeof(identify));
    identify.signed_record = record;
    for (size_t i = 0; i < 2; i++)
        identify.addrs[identify.addr_count++] = pc_addr_maddr_bytes(&plain[i]);
    identify.protocols[identify.protocol_count++] = pc_bytes_of(PC_PROTOCOL_IDENTIFY, 14);
    assert_int_equal(
        pc_libp2p_identify_encode(&identify, m->identify, sizeof(m->identify), &m->identify_size), 0);
}

static struct meeting *meet(struct pc_bytes record)
{
    struct meeting *m = calloc(1, sizeof(*m));
    assert_non_null(m);
    sim_init(&m->sim, 5);
    (void)add_host(&m->sim, 0, true);
    raw_peer_init(&m->peer, false, pc_libp2p_identity_credentials(identities[1]), 6);
    m->peer.context = m;
    m->peer.on_data = answer_identify;
    struct sim_node node = raw_peer_node(&m->peer);
    (void)sim_add_node(&m->sim, &node, 4);
    say(m, record);
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

/* Push what is in `identify`, and the event that came of it; NULL: none. */
static struct sim_event *push(struct meeting *m)
{
    size_t before = m->sim.event_count;
    struct raw_stream *stream = raw_peer_open(&m->peer, m->identify_size + 128);
    assert_non_null(stream);
    raw_peer_send_line(stream, "/multistream/1.0.0");
    raw_peer_send_line(stream, PC_PROTOCOL_PUSH);
    raw_peer_send(stream, m->identify, m->identify_size);
    stream->finish = true;
    sim_run(&m->sim, m->sim.now.mono_us + S);
    return m->sim.event_count > before ? &m->sim.events[before] : NULL;
}

static void addresses_of_a_good_record_count_alone(void **state)
{
    (void)state;
    uint8_t room[PC_PEER_RECORD_MAX_BYTES];
    struct meeting *m = meet(seal(1, 5, 7, room));
    assert_int_equal(sim_find(&m->sim, 0, PC_LIBP2P_OPENED)->addr_count, 1);
    assert_int_equal(counts_of(&m->sim, 0)->records_good, 1);
    part(m);
}

static void a_bad_record_is_ignored_and_counted(void **state)
{
    (void)state;
    uint8_t room[PC_PEER_RECORD_MAX_BYTES];
    struct pc_bytes envelope = seal(1, 5, 7, room);
    room[envelope.size - 1] ^= 1; /* of the signature */
    struct meeting *m = meet(envelope);
    assert_int_equal(sim_find(&m->sim, 0, PC_LIBP2P_OPENED)->addr_count, 2); /* those beside it */
    assert_int_equal(counts_of(&m->sim, 0)->records_bad, 1);
    assert_int_equal(counts_of(&m->sim, 0)->records_good, 0);

    say(m, seal(2, 5, 7, room)); /* good, and of another peer */
    struct sim_event *told = push(m);
    assert_non_null(told);
    assert_int_equal(told->event.kind, PC_LIBP2P_IDENTIFIED);
    assert_int_equal(told->addr_count, 2);
    assert_int_equal(counts_of(&m->sim, 0)->records_bad, 2);
    part(m);
}

static void an_older_record_is_ignored_and_counted(void **state)
{
    (void)state;
    uint8_t room[PC_PEER_RECORD_MAX_BYTES];
    struct meeting *m = meet(seal(1, 5, 7, room));
    say(m, seal(1, 4, 8, room));
    assert_int_equal(push(m)->addr_count, 2);
    assert_int_equal(counts_of(&m->sim, 0)->records_stale, 1);
    say(m, seal(1, 6, 8, room));
    assert_int_equal(push(m)->addr_count, 1);
    assert_int_equal(counts_of(&m->sim, 0)->records_stale, 1);
    part(m);
}

static void a_push_that_is_malformed_or_too_long_is_refused(void **state)
{
    (void)state;
    struct meeting *m = meet(pc_bytes_of(NULL, 0));
    m->identify[1] = 0x0b; /* a group */
    assert_null(push(m));
    memset(m->identify, 0, sizeof(m->identify));
    memcpy(m->identify, "\x81\x7d", 2); /* 16,001 */
    m->identify_size = 2;
    assert_null(push(m));
    assert_int_equal(counts_of(&m->sim, 0)->pushes_received, 0);
    assert_null(sim_find(&m->sim, 0, PC_LIBP2P_CLOSED)); /* the connection lives */
    say(m, pc_bytes_of(NULL, 0));
    assert_non_null(push(m));
    part(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_opened_as_it_was_sealed),
        cmocka_unit_test(a_record_that_was_touched_is_refused),
        cmocka_unit_test(a_record_of_somebody_else_is_refused),
        cmocka_unit_test(a_record_over_its_bound_is_refused),
        cmocka_unit_test(a_change_is_pushed_to_the_one_who_dialled_and_to_the_one_who_was),
        cmocka_unit_test(a_change_while_the_handshake_goes_on_is_not_lost),
        cmocka_unit_test(who_pushes_too_often_is_not_heard),
        cmocka_unit_test(addresses_of_a_good_record_count_alone),
        cmocka_unit_test(a_bad_record_is_ignored_and_counted),
        cmocka_unit_test(an_older_record_is_ignored_and_counted),
        cmocka_unit_test(a_push_that_is_malformed_or_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
