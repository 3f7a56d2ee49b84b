/*
 * Peers that break the rules, one at a time, as the one who is dialled and as the one who dials. Each must be
 * told by its outcome, and the host must go on.
 */
#include "check.h"

#include "raw_peer.h"
#include "sim_network.h"

#include "base/cursor.h"
#include "base/time.h"
#include "libp2p/certificate.h"

#include <stdlib.h>
#include <string.h>

#define S       PC_US_PER_S
#define WALL_MS INT64_C(1780000000000)
#define YEAR_MS (INT64_C(365) * 86400 * 1000)

static struct pc_identity *good;
static struct pc_identity *peer_identity;
static struct pc_host_key peer_key;

static struct pc_bytes private_key(uint8_t fill, uint8_t *room, size_t capacity)
{
    uint8_t seed[32];
    size_t size;
    memset(seed, fill, sizeof(seed));
    assert_int_equal(pc_libp2p_key_generate(seed, room, capacity, &size), 0);
    return pc_bytes_of(room, size);
}

static int set_up(void **state)
{
    uint8_t room[PC_PRIVATE_KEY_MAX_BYTES];
    (void)state;
    assert_int_equal(pc_libp2p_identity_new(private_key(1, room, sizeof(room)), WALL_MS, &good, NULL), 0);
    assert_int_equal(
        pc_libp2p_identity_new(private_key(2, room, sizeof(room)), WALL_MS, &peer_identity, NULL), 0);
    assert_int_equal(pc_libp2p_host_key_init(private_key(2, room, sizeof(room)), &peer_key, NULL), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pc_libp2p_host_key_deinit(&peer_key);
    pc_libp2p_identity_free(peer_identity);
    pc_libp2p_identity_free(good);
    return 0;
}

/* One good host (node 0) and one raw peer (node 1). */
struct meeting {
    struct sim sim;
    struct raw_peer peer;
    int64_t start_us;
    /* What the raw peer says on a stream that the host opened, once it has seen the two lines. */
    const char *header; /* NULL: nothing */
    const char *protocol;
    uint8_t *say;
    size_t say_size;
    bool finish;
    bool reset;
    int64_t said_on;          /* the stream that was answered last */
    struct pc_bytes only_for; /* the protocol the rule is for; others are treated well */
    uint8_t identify[2048];
    size_t identify_size;
};

static void make_identify(struct meeting *m, struct pc_bytes public_key)
{
    struct pc_identify *identify = calloc(1, sizeof(*identify));
    assert_non_null(identify);
    identify->public_key = public_key;
    identify->agent = pc_bytes_of("raw", 3);
    identify->protocols[identify->protocol_count++] = pc_bytes_of("/ipfs/id/1.0.0", 14);
    assert_int_equal(pc_libp2p_identify_encode(identify, m->identify, sizeof(m->identify), &m->identify_size),
                     0);
    free(identify);
}

/* The last line the host sent before its request: "\x0f/ipfs/id/1.0.0\n" and so on. */
static bool asked_for(const struct raw_stream *stream, const char *protocol)
{
    return memmem(stream->in, stream->in_size, protocol, strlen(protocol)) != NULL;
}

static void answer_stream(struct raw_peer *peer, struct raw_stream *stream)
{
    struct meeting *m = peer->context;
    if (stream->out_size > 0 || stream->id == m->said_on)
        return;
    if (m->only_for.size > 0 && asked_for(stream, "/ipfs/id/1.0.0")) { /* identify is answered well */
        raw_peer_send_line(stream, "/multistream/1.0.0");
        raw_peer_send_line(stream, "/ipfs/id/1.0.0");
        raw_peer_send(stream, m->identify, m->identify_size);
        stream->finish = true;
        return;
    }
    m->said_on = stream->id;
    if (m->reset) {
        raw_peer_reset(peer, stream);
        return;
    }
    if (m->header)
        raw_peer_send_line(stream, m->header);
    if (m->protocol)
        raw_peer_send_line(stream, m->protocol);
    if (m->say_size > 0)
        raw_peer_send(stream, m->say, m->say_size);
    stream->finish = m->finish;
}

static void host_options(struct pc_libp2p_options *options, bool server)
{
    pc_libp2p_options_init(options);
    options->identity = good;
    options->kad_protocol = "/test/kad/1.0.0";
    options->server = server;
    pc_base_rng_init_u64(&options->rng, 77);
}

static gnutls_certificate_credentials_t peer_credentials(void)
{
    return pc_libp2p_identity_credentials(peer_identity);
}

static struct meeting *meeting_new(bool peer_is_server, gnutls_certificate_credentials_t credentials)
{
    struct meeting *m = calloc(1, sizeof(*m));
    struct pc_libp2p_options options;
    assert_non_null(m);
    sim_init(&m->sim, 5);
    host_options(&options, !peer_is_server);
    (void)sim_add_host(&m->sim, &options, 4);
    raw_peer_init(&m->peer, peer_is_server, credentials, 6);
    m->peer.context = m;
    m->peer.on_data = answer_stream;
    struct sim_node node = raw_peer_node(&m->peer);
    (void)sim_add_node(&m->sim, &node, 4);
    m->header = "/multistream/1.0.0";
    m->protocol = "/ipfs/id/1.0.0";
    m->said_on = -1;
    m->start_us = m->sim.now.mono_us;
    make_identify(m, pc_libp2p_identity_public_key(peer_identity));
    return m;
}

static void meeting_free(struct meeting *m)
{
    sim_deinit(&m->sim);
    raw_peer_deinit(&m->peer);
    free(m);
}

static struct pc_libp2p_host *host_of(struct meeting *m)
{
    return m->sim.nodes[0].host;
}

/* Dial the raw peer; how it ended. */
static const struct pc_libp2p_event *dial(struct meeting *m, int64_t for_us)
{
    assert_int_equal(pc_libp2p_host_dial(host_of(m), m->sim.now, 1, &m->sim.nodes[1].address,
                                         pc_libp2p_identity_id(peer_identity), m->sim.now.mono_us + for_us),
                     0);
    sim_run(&m->sim, m->sim.now.mono_us + for_us + S);
    assert_true(m->sim.event_count > 0);
    return &m->sim.events[0].event;
}

static void check_failed(struct meeting *m, int64_t for_us, peercache_outcome outcome, const char *detail)
{
    const struct pc_libp2p_event *event = dial(m, for_us);
    assert_int_equal(m->sim.event_count, 1);
    assert_int_equal(event->kind, PC_LIBP2P_FAILED);
    assert_int_equal(event->outcome, outcome);
    if (!strstr(event->detail, detail))
        fail_msg("\"%s\" does not say \"%s\"", event->detail, detail);
    sim_run(&m->sim, m->sim.now.mono_us + 10 * S);
    assert_int_equal(pc_libp2p_host_connection_count(host_of(m)), 0);
    assert_true(pc_libp2p_host_deadline(host_of(m)) == PC_TIME_NEVER);
    meeting_free(m);
}

/* ---- who it is ------------------------------------------------------------------------------------------
 */

static void a_good_raw_peer_is_opened(void **state)
{
    (void)state;
    struct meeting *m = meeting_new(true, peer_credentials());
    m->say = m->identify;
    m->say_size = m->identify_size;
    m->finish = true;
    const struct pc_libp2p_event *event = dial(m, S);
    assert_int_equal(event->kind, PC_LIBP2P_OPENED);
    assert_true(pc_addr_peer_id_equal(&event->id, pc_libp2p_identity_id(peer_identity)));
    meeting_free(m);
}

static gnutls_pcert_st two[2];
static gnutls_privkey_t key_of_first;

/* GnuTLS leaves out what it thinks is no chain, unless it is handed over so. */
static int give_two(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
                    const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **ret_chain,
                    unsigned *ret_count, gnutls_privkey_t *ret_key)
{
    (void)session;
    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    *ret_chain = two;
    *ret_count = 2;
    *ret_key = key_of_first;
    return 0;
}

static gnutls_certificate_credentials_t two_certificates_new(void)
{
    gnutls_certificate_credentials_t credentials;
    gnutls_x509_crt_t certificate;
    gnutls_x509_privkey_t key;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pc_libp2p_certificate_new(&peer_key, WALL_MS, &certificate, &key), 0);
        assert_int_equal(gnutls_pcert_import_x509(&two[i], certificate, 0), 0);
        if (i == 0) {
            assert_int_equal(gnutls_privkey_init(&key_of_first), 0);
            assert_int_equal(gnutls_privkey_import_x509(key_of_first, key, GNUTLS_PRIVKEY_IMPORT_COPY), 0);
        }
        gnutls_x509_crt_deinit(certificate);
        gnutls_x509_privkey_deinit(key);
    }
    assert_int_equal(gnutls_certificate_allocate_credentials(&credentials), 0);
    gnutls_certificate_set_retrieve_function2(credentials, give_two);
    return credentials;
}

static void two_certificates_free(gnutls_certificate_credentials_t credentials)
{
    gnutls_certificate_free_credentials(credentials);
    gnutls_privkey_deinit(key_of_first);
    for (size_t i = 0; i < 2; i++)
        gnutls_pcert_deinit(&two[i]);
}

static void two_certificates(void **state)
{
    (void)state;
    gnutls_certificate_credentials_t credentials = two_certificates_new();
    check_failed(meeting_new(true, credentials), 5 * S, PEERCACHE_TLS_FAILED, "2 certificates");
    two_certificates_free(credentials);
}

static gnutls_certificate_credentials_t credentials_of_time(int64_t wall_ms)
{
    gnutls_certificate_credentials_t credentials;
    gnutls_x509_crt_t certificate;
    gnutls_x509_privkey_t key;
    assert_int_equal(gnutls_certificate_allocate_credentials(&credentials), 0);
    assert_int_equal(pc_libp2p_certificate_new(&peer_key, wall_ms, &certificate, &key), 0);
    assert_int_equal(gnutls_certificate_set_x509_key(credentials, &certificate, 1, key), 0);
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
    return credentials;
}

static void certificates_out_of_their_time(void **state)
{
    (void)state;
    gnutls_certificate_credentials_t later = credentials_of_time(WALL_MS + YEAR_MS);
    check_failed(meeting_new(true, later), 5 * S, PEERCACHE_TLS_FAILED, "certificate: ");
    gnutls_certificate_free_credentials(later);

    gnutls_certificate_credentials_t now = credentials_of_time(WALL_MS);
    struct meeting *m = meeting_new(true, now);
    m->sim.now.wall_ms = WALL_MS + 101 * YEAR_MS; /* expired: only the caller's clock says so */
    check_failed(m, 5 * S, PEERCACHE_TLS_FAILED, "certificate: ");
    gnutls_certificate_free_credentials(now);
}

static void certificates_without_libp2p(void **state)
{
    (void)state;
    gnutls_certificate_credentials_t credentials;
    gnutls_x509_crt_t certificate;
    gnutls_x509_privkey_t key;
    assert_int_equal(gnutls_certificate_allocate_credentials(&credentials), 0);
    assert_int_equal(gnutls_x509_privkey_init(&key), 0);
    assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                                  GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
                     0);
    assert_int_equal(gnutls_x509_crt_init(&certificate), 0);
    assert_int_equal(gnutls_x509_crt_set_version(certificate, 3), 0);
    assert_int_equal(gnutls_x509_crt_set_serial(certificate, "\1", 1), 0);
    assert_int_equal(gnutls_x509_crt_set_activation_time(certificate, WALL_MS / 1000 - 3600), 0);
    assert_int_equal(gnutls_x509_crt_set_expiration_time(certificate, WALL_MS / 1000 + 3600), 0);
    assert_int_equal(gnutls_x509_crt_set_key(certificate, key), 0);
    assert_int_equal(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0), 0);
    assert_int_equal(gnutls_certificate_set_x509_key(credentials, &certificate, 1, key), 0);
    check_failed(meeting_new(true, credentials), 5 * S, PEERCACHE_TLS_FAILED, "certificate: ");
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
    gnutls_certificate_free_credentials(credentials);
}

static void no_certificate(void **state)
{
    (void)state;
    gnutls_certificate_credentials_t none;
    assert_int_equal(gnutls_certificate_allocate_credentials(&none), 0);
    check_failed(meeting_new(true, none), 5 * S, PEERCACHE_TLS_FAILED, "the peer refused the handshake");
    gnutls_certificate_free_credentials(none);
}

static void no_alpn(void **state)
{
    (void)state;
    struct meeting *m = meeting_new(true, peer_credentials());
    m->peer.alpn = NULL;
    check_failed(m, 5 * S, PEERCACHE_TLS_FAILED, "ALPN");
}

static void another_alpn(void **state)
{
    (void)state;
    struct meeting *m = meeting_new(true, peer_credentials());
    m->peer.alpn = "h3";
    check_failed(m, 5 * S, PEERCACHE_TLS_FAILED, "");
}

/* ---- identify -------------------------------------------------------------------------------------------
 */

static void identify_says_na(void **state)
{
    (void)state;
    struct meeting *m = meeting_new(true, peer_credentials());
    m->protocol = "na";
    check_failed(m, 5 * S, PEERCACHE_PROTOCOL_MISMATCH, "identify: ");
}

static void identify_is_never_answered(void **state)
{
    (void)state;
    struct meeting *m = meeting_new(true, peer_credentials());
    m->protocol = NULL;
    check_failed(m, 5 * S, PEERCACHE_TIMEOUT, "identify was not answered");
}

static void identify_is_of_another_key(void **state)
{
    (void)state;
    struct meeting *m = meeting_new(true, peer_credentials());
    make_identify(m, pc_libp2p_identity_public_key(good));
    m->say = m->identify;
    m->say_size = m->identify_size;
    check_failed(m, 5 * S, PEERCACHE_MISBEHAVED, "public key");
}

static void identify_is_reset(void **state)
{
    (void)state;
    struct meeting *m = meeting_new(true, peer_credentials());
    m->reset = true;
    check_failed(m, 5 * S, PEERCACHE_MISBEHAVED, "reset");
}

static void identify_is_cut_short(void **state)
{
    (void)state;
    for (size_t size = 0; size < 60; size += 7) {
        struct meeting *m = meeting_new(true, peer_credentials());
        m->say = m->identify;
        m->say_size = size;
        m->finish = true;
        check_failed(m, 5 * S, PEERCACHE_MISBEHAVED, "ended before");
    }
}

static void check_identify_bytes(const uint8_t *bytes, size_t size, const char *protocol, const char *detail)
{
    struct meeting *m = meeting_new(true, peer_credentials());
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    m->protocol = protocol;
    m->say = copy;
    m->say_size = size;
    check_failed(m, 5 * S, PEERCACHE_MISBEHAVED, detail);
    free(copy);
}

static void identify_is_oversized_malformed_or_endless(void **state)
{
    (void)state;
    static uint8_t endless[400000];
    const uint8_t oversized[] = { 0xff, 0xff, 0x07, 1, 2, 3 };
    const uint8_t malformed[] = { 3, 0x0a, 0x7f, 1 };
    const uint8_t no_end[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    check_identify_bytes(oversized, sizeof(oversized), "/ipfs/id/1.0.0", "over its limit");
    check_identify_bytes(malformed, sizeof(malformed), "/ipfs/id/1.0.0", "malformed");
    check_identify_bytes(no_end, sizeof(no_end), "/ipfs/id/1.0.0", "identify: ");
    memset(endless, 0xfe, sizeof(endless));
    endless[1] = 0x7f; /* a length of 16,382 and then bytes without end */
    check_identify_bytes(endless, sizeof(endless), "/ipfs/id/1.0.0", "identify: ");
    check_identify_bytes((const uint8_t *)"hello", 5, "/no/such", "another protocol");
}

static void multistream_is_garbage(void **state)
{
    (void)state;
    static uint8_t endless[200000];
    memset(endless, 'x', sizeof(endless));
    endless[0] = 0xff;
    endless[1] = 0x07; /* 1023 bytes, none of them the end of a line */
    struct meeting *m = meeting_new(true, peer_credentials());
    m->header = NULL;
    m->protocol = NULL;
    m->say = endless;
    m->say_size = sizeof(endless);
    check_failed(m, 5 * S, PEERCACHE_MISBEHAVED, "multistream-select");
    m = meeting_new(true, peer_credentials());
    m->header = "/multistream/9.9.9";
    check_failed(m, 5 * S, PEERCACHE_MISBEHAVED, "header");
}

/* One byte a second: still at it when the deadline comes. */
static void identify_trickles(void **state)
{
    (void)state;
    struct meeting *m = meeting_new(true, peer_credentials());
    m->said_on = 0; /* the script says nothing, this test does */
    assert_int_equal(
        pc_libp2p_host_dial(host_of(m), m->sim.now, 1, &m->sim.nodes[1].address, NULL, m->start_us + 20 * S),
        0);
    uint8_t lines[64] = "\x13/multistream/1.0.0\n\x0f/ipfs/id/1.0.0\n";
    for (size_t i = 0; i < 30; i++) {
        sim_run(&m->sim, m->sim.now.mono_us + S);
        if (m->peer.streams[0] && !m->peer.over)
            raw_peer_send(m->peer.streams[0], lines + i, 1);
    }
    assert_int_equal(m->sim.event_count, 1);
    assert_int_equal(m->sim.events[0].event.outcome, PEERCACHE_TIMEOUT);
    assert_int_equal(m->sim.events[0].at_us - m->start_us, 20 * S);
    meeting_free(m);
}

static void close_at_handshake(struct raw_peer *peer)
{
    raw_peer_close(peer, 42);
}

static void the_peer_refuses_by_policy(void **state)
{
    (void)state;
    struct meeting *m = meeting_new(true, peer_credentials());
    m->peer.on_handshake = close_at_handshake;
    check_failed(m, 5 * S, PEERCACHE_REFUSED, "42");
}

static void closing_after_opening_is_no_failure(void **state)
{
    (void)state;
    struct meeting *m = meeting_new(true, peer_credentials());
    m->say = m->identify;
    m->say_size = m->identify_size;
    assert_int_equal(dial(m, S)->kind, PC_LIBP2P_OPENED);
    raw_peer_close(&m->peer, 7);
    sim_run(&m->sim, m->sim.now.mono_us + S);
    assert_int_equal(m->sim.event_count, 2);
    assert_int_equal(m->sim.events[1].event.kind, PC_LIBP2P_CLOSED);
    assert_int_equal(m->sim.events[1].event.outcome, PEERCACHE_OK);
    assert_non_null(strstr(m->sim.events[1].event.detail, "7"));
    meeting_free(m);
}

/* ---- answers --------------------------------------------------------------------------------------------
 */

/* After a good identify, one request is answered with these bytes. */
static void check_request(bool ping, const uint8_t *bytes, size_t size, bool finish,
                          peercache_outcome outcome, const char *detail)
{
    struct meeting *m = meeting_new(true, peer_credentials());
    struct pc_libp2p_host *host = host_of(m);
    const char *protocol = ping ? "/ipfs/ping/1.0.0" : "/test/kad/1.0.0";
    m->only_for = pc_bytes_of(protocol, strlen(protocol));
    m->protocol = protocol;
    m->say = malloc(size + 1);
    assert_non_null(m->say);
    memcpy(m->say, bytes, size);
    m->say_size = size;
    m->finish = finish;
    assert_int_equal(dial(m, S)->kind, PC_LIBP2P_OPENED);
    if (ping)
        assert_int_equal(pc_libp2p_host_ping(host, m->sim.now, 1, 3, m->sim.now.mono_us + 5 * S), 0);
    else
        assert_int_equal(pc_libp2p_host_find_node(host, m->sim.now, 1, 3, pc_bytes_of("key", 3),
                                                  m->sim.now.mono_us + 5 * S),
                         0);
    sim_run(&m->sim, m->sim.now.mono_us + 6 * S);
    assert_int_equal(m->sim.event_count, 2);
    const struct pc_libp2p_event *event = &m->sim.events[1].event;
    assert_int_equal(event->kind, PC_LIBP2P_REQUEST_FAILED);
    assert_int_equal(event->request, 3);
    assert_int_equal(event->outcome, outcome);
    if (!strstr(event->detail, detail))
        fail_msg("\"%s\" does not say \"%s\"", event->detail, detail);
    assert_int_equal(pc_libp2p_host_connection_count(host), 1); /* it lives on */
    free(m->say);
    meeting_free(m);
}

static void pings_answered_badly(void **state)
{
    (void)state;
    uint8_t other[32] = { 0 };
    check_request(true, other, sizeof(other), false, PEERCACHE_MISBEHAVED, "other bytes");
    check_request(true, other, 5, true, PEERCACHE_MISBEHAVED, "ended before");
    check_request(true, other, 5, false, PEERCACHE_TIMEOUT, "in time");
}

static void find_nodes_answered_badly(void **state)
{
    (void)state;
    const uint8_t oversized[] = { 0x81, 0x80, 0x10 };
    const uint8_t malformed[] = { 4, 0x42, 0x7f, 1, 1 };
    const uint8_t another_type[] = { 2, 0x08, 0x05 };
    check_request(false, oversized, sizeof(oversized), false, PEERCACHE_MISBEHAVED, "over its limit");
    check_request(false, malformed, sizeof(malformed), false, PEERCACHE_MISBEHAVED, "malformed");
    check_request(false, another_type, sizeof(another_type), false, PEERCACHE_MISBEHAVED, "another type");
    check_request(false, malformed, 2, true, PEERCACHE_MISBEHAVED, "ended before");
    check_request(false, malformed, 0, false, PEERCACHE_TIMEOUT, "in time");
}

static void ten_thousand_addresses_in_one_answer(void **state)
{
    (void)state;
    static uint8_t answer[262144 + 8];
    static const uint8_t addr[] = { 4, 10, 0, 0, 1, 0x91, 0x02, 0x0f, 0xa1, 0xcd, 0x03 };
    struct pc_writer peer;
    struct pc_writer w;
    static uint8_t body[200000];
    struct pc_bytes id = pc_addr_peer_id_bytes(pc_libp2p_identity_id(peer_identity));
    pc_base_writer_init(&peer, body, sizeof(body));
    pc_base_write_u8(&peer, 0x0a);
    pc_base_write_varint(&peer, id.size);
    pc_base_write_bytes(&peer, id.data, id.size);
    for (size_t i = 0; i < 10000; i++) {
        pc_base_write_u8(&peer, 0x12);
        pc_base_write_varint(&peer, sizeof(addr));
        pc_base_write_bytes(&peer, addr, sizeof(addr));
    }
    size_t size = pc_base_writer_size(&peer);
    pc_base_writer_init(&w, answer, sizeof(answer));
    pc_base_write_varint(&w, 2 + 1 + pc_base_varint_size(size) + size);
    pc_base_write_u8(&w, 0x08);
    pc_base_write_u8(&w, PC_KAD_FIND_NODE);
    pc_base_write_u8(&w, 0x42);
    pc_base_write_varint(&w, size);
    pc_base_write_bytes(&w, body, size);
    assert_int_equal(w.error, 0);
    check_request(false, answer, pc_base_writer_size(&w), false, PEERCACHE_MISBEHAVED, "over its limit");
}

/* As large as an honest answer can be: it comes through the flow control of stream and connection. */
static void the_largest_answer_comes_through(void **state)
{
    (void)state;
    static uint8_t answer[PC_KAD_MESSAGE_MAX_BYTES];
    static uint8_t addr[240];
    struct pc_kad_message *message = calloc(1, sizeof(*message));
    struct meeting *m = meeting_new(true, peer_credentials());
    assert_non_null(message);
    memset(addr, 1, sizeof(addr));
    message->type = PC_KAD_FIND_NODE;
    message->peer_count = PC_KAD_PEERS_MAX;
    for (size_t i = 0; i < PC_KAD_PEERS_MAX; i++) {
        message->peers[i].id = *pc_libp2p_identity_id(peer_identity);
        message->peers[i].addr_count = PC_KAD_PEER_ADDRS_MAX;
        for (size_t j = 0; j < PC_KAD_PEER_ADDRS_MAX; j++)
            message->peers[i].addrs[j] = pc_bytes_of(addr, sizeof(addr));
    }
    assert_int_equal(pc_libp2p_kad_encode(message, answer, sizeof(answer), &m->say_size), 0);
    assert_true(m->say_size > 150000);
    m->only_for = pc_bytes_of("x", 1);
    m->protocol = "/test/kad/1.0.0";
    m->say = answer;
    assert_int_equal(dial(m, S)->kind, PC_LIBP2P_OPENED);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(pc_libp2p_host_find_node(host_of(m), m->sim.now, 1, i, pc_bytes_of("key", 3),
                                                  m->sim.now.mono_us + 5 * S),
                         0);
        sim_run(&m->sim, m->sim.now.mono_us + 5 * S);
        assert_int_equal(m->sim.event_count, 2 + i);
        assert_int_equal(m->sim.events[1 + i].event.kind, PC_LIBP2P_ANSWERED);
        assert_int_equal(m->sim.events[1 + i].peer_count, PC_KAD_PEERS_MAX);
        assert_int_equal(m->sim.events[1 + i].first_peer_addr_count, PC_KAD_PEER_ADDRS_MAX);
    }
    free(message);
    meeting_free(m);
}

/* ---- those who dial us ----------------------------------------------------------------------------------
 */

static struct meeting *dialled_new(gnutls_certificate_credentials_t credentials)
{
    struct meeting *m = meeting_new(false, credentials);
    m->say = m->identify;
    m->say_size = m->identify_size;
    m->only_for = pc_bytes_of("x", 1); /* identify is answered well, nothing else is asked */
    return m;
}

static void dial_us(struct meeting *m)
{
    raw_peer_dial(&m->peer, m->sim.now, &m->sim.nodes[0].address);
    sim_run(&m->sim, m->sim.now.mono_us + S);
}

static void open_us(struct meeting *m)
{
    dial_us(m);
    assert_false(m->peer.over);
    assert_int_equal(m->sim.event_count, 1);
    assert_int_equal(m->sim.events[0].event.kind, PC_LIBP2P_OPENED);
}

static void check_refused_us(struct meeting *m, uint64_t code)
{
    dial_us(m);
    assert_int_equal(m->sim.event_count, 0); /* nobody is told of it */
    assert_true(m->peer.closed_by_peer);
    assert_false(m->peer.close_application);
    if (code)
        assert_int_equal(m->peer.close_code, code);
    assert_true(m->peer.close_code >= 0x100 && m->peer.close_code < 0x200); /* a TLS alert */
    assert_int_equal(pc_libp2p_host_connection_count(host_of(m)), 0);
    meeting_free(m);
}

static void clients_without_identity_are_refused(void **state)
{
    (void)state;
    gnutls_certificate_credentials_t none;
    assert_int_equal(gnutls_certificate_allocate_credentials(&none), 0);
    check_refused_us(dialled_new(none), 0);
    gnutls_certificate_free_credentials(none);

    gnutls_certificate_credentials_t chain = two_certificates_new();
    check_refused_us(dialled_new(chain), 0);
    two_certificates_free(chain);

    struct meeting *m = dialled_new(peer_credentials());
    m->peer.alpn = NULL;
    check_refused_us(m, 0);
    m = dialled_new(peer_credentials());
    m->peer.alpn = "h3";
    check_refused_us(m, 0x100 + 120);

    gnutls_certificate_credentials_t later = credentials_of_time(WALL_MS + YEAR_MS);
    check_refused_us(dialled_new(later), 0);
    gnutls_certificate_free_credentials(later);
}

static void inbound_peers_must_answer_identify(void **state)
{
    (void)state;
    struct meeting *m = dialled_new(peer_credentials());
    m->only_for = pc_bytes_of(NULL, 0);
    m->protocol = NULL;
    m->say_size = 0;
    dial_us(m);
    assert_int_equal(pc_libp2p_host_connection_count(host_of(m)), 1);
    sim_run(&m->sim, m->sim.now.mono_us + 11 * S); /* the stream timeout */
    assert_int_equal(pc_libp2p_host_connection_count(host_of(m)), 0);
    assert_int_equal(m->sim.event_count, 0);
    assert_true(m->peer.closed_by_peer);
    meeting_free(m);
}

static void unknown_protocols_get_na(void **state)
{
    (void)state;
    struct meeting *m = dialled_new(peer_credentials());
    open_us(m);
    struct raw_stream *stream = raw_peer_open(&m->peer, 4096);
    raw_peer_send_line(stream, "/multistream/1.0.0");
    raw_peer_send_line(stream, "/no/such/1.0.0");
    sim_run(&m->sim, m->sim.now.mono_us + S);
    static const char first[] = "\x13/multistream/1.0.0\n\x03na\n";
    assert_int_equal(stream->in_size, sizeof(first) - 1);
    assert_memory_equal(stream->in, first, sizeof(first) - 1);
    raw_peer_send_line(stream, "/ipfs/ping/1.0.0");
    uint8_t ping[32];
    memset(ping, 0x5a, sizeof(ping));
    for (size_t i = 0; i < 3; i++) { /* repeatedly on one stream */
        raw_peer_send(stream, ping, sizeof(ping));
        sim_run(&m->sim, m->sim.now.mono_us + S);
        size_t expected = sizeof(first) - 1 + 18 + 32 * (i + 1);
        assert_int_equal(stream->in_size, expected);
        assert_memory_equal(stream->in + expected - 32, ping, 32);
    }
    stream->finish = true;
    sim_run(&m->sim, m->sim.now.mono_us + S);
    assert_true(stream->in_ended);
    meeting_free(m);
}

static void find_node_request(struct raw_stream *stream, const char *key)
{
    uint8_t request[64];
    size_t length = strlen(key);
    request[0] = (uint8_t)(4 + length);
    request[1] = 0x08;
    request[2] = PC_KAD_FIND_NODE;
    request[3] = 0x12;
    request[4] = (uint8_t)length;
    memcpy(request + 5, key, length);
    raw_peer_send(stream, request, 5 + length);
}

static void several_requests_on_one_stream(void **state)
{
    (void)state;
    struct meeting *m = dialled_new(peer_credentials());
    open_us(m);
    struct raw_stream *stream = raw_peer_open(&m->peer, 4096);
    raw_peer_send_line(stream, "/multistream/1.0.0");
    raw_peer_send_line(stream, "/test/kad/1.0.0");
    find_node_request(stream, "first");
    find_node_request(stream, "second");
    find_node_request(stream, "third");
    stream->finish = true;
    sim_run(&m->sim, m->sim.now.mono_us + S);
    assert_int_equal(m->sim.event_count, 4);
    const char *keys[] = { "first", "second", "third" };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(m->sim.events[1 + i].event.kind, PC_LIBP2P_ASKED);
        assert_int_equal(m->sim.events[1 + i].key_size, strlen(keys[i]));
        assert_memory_equal(m->sim.events[1 + i].key, keys[i], strlen(keys[i]));
    }
    assert_true(stream->in_ended);
    assert_false(stream->reset);
    meeting_free(m);
}

static void other_kad_messages_are_reset(void **state)
{
    (void)state;
    struct meeting *m = dialled_new(peer_credentials());
    const uint8_t get_value[] = { 2, 0x08, PC_KAD_GET_VALUE };
    open_us(m);
    struct raw_stream *stream = raw_peer_open(&m->peer, 4096);
    raw_peer_send_line(stream, "/multistream/1.0.0");
    raw_peer_send_line(stream, "/test/kad/1.0.0");
    raw_peer_send(stream, get_value, sizeof(get_value));
    sim_run(&m->sim, m->sim.now.mono_us + S);
    assert_true(stream->reset);
    assert_int_equal(m->sim.event_count, 1);
    assert_int_equal(pc_libp2p_host_connection_count(host_of(m)), 1);
    meeting_free(m);
}

static void slow_streams_are_reset(void **state)
{
    (void)state;
    struct meeting *m = dialled_new(peer_credentials());
    open_us(m);
    struct raw_stream *silent = raw_peer_open(&m->peer, 4096);
    struct raw_stream *half = raw_peer_open(&m->peer, 4096);
    raw_peer_send(silent, "\x13", 1);
    raw_peer_send_line(half, "/multistream/1.0.0");
    raw_peer_send_line(half, "/test/kad/1.0.0");
    raw_peer_send(half, "\x20", 1);
    sim_run(&m->sim, m->sim.now.mono_us + 9 * S);
    assert_false(silent->reset);
    sim_run(&m->sim, m->sim.now.mono_us + 2 * S);
    assert_true(silent->reset);
    assert_true(half->reset);
    assert_int_equal(m->sim.event_count, 1);
    meeting_free(m);
}

static void check_thrown_out(struct meeting *m)
{
    struct sim_event *closed = sim_find(&m->sim, 0, PC_LIBP2P_CLOSED);
    assert_non_null(closed);
    assert_int_equal(closed->event.outcome, PEERCACHE_MISBEHAVED);
    assert_true(m->peer.closed_by_peer);
    assert_int_equal(pc_libp2p_host_connection_count(host_of(m)), 0);
    meeting_free(m);
}

static void open_again(struct raw_peer *peer, struct raw_stream *stream)
{
    struct raw_stream *fresh = raw_peer_open(peer, 64);
    (void)stream;
    if (fresh) {
        raw_peer_send(fresh, "x", 1);
        raw_peer_reset(peer, fresh);
    }
}

/* Ten thousand streams, each reset as soon as it is opened, as fast as credit for them comes. */
static void floods_of_streams_end_the_connection(void **state)
{
    (void)state;
    struct meeting *m = dialled_new(peer_credentials());
    open_us(m);
    m->peer.on_close = open_again;
    for (size_t round = 0; round < 10000 && !m->peer.over; round++) {
        struct raw_stream *stream = raw_peer_open(&m->peer, 64);
        if (stream)
            raw_peer_send(stream, "\1x", 2); /* not a line of multistream-select */
        sim_run(&m->sim, m->sim.now.mono_us + 1000);
    }
    check_thrown_out(m);
}

static void endless_data_is_not_kept(void **state)
{
    (void)state;
    static uint8_t junk[60000];
    struct meeting *m = dialled_new(peer_credentials());
    memset(junk, 0xfe, sizeof(junk));
    open_us(m);
    struct raw_stream *stream = raw_peer_open(&m->peer, sizeof(junk) + 64);
    raw_peer_send_line(stream, "/multistream/1.0.0");
    raw_peer_send_line(stream, "/test/kad/1.0.0");
    raw_peer_send(stream, "\xff\x1f", 2); /* a message of 4,095 bytes, and it goes on */
    raw_peer_send(stream, junk, sizeof(junk));
    sim_run(&m->sim, m->sim.now.mono_us + S);
    assert_true(stream->reset);
    assert_true(stream->sent <= 16384 + 64); /* flow control held it */
    assert_int_equal(pc_libp2p_host_connection_count(host_of(m)), 1);
    meeting_free(m);
}

/* Pings without end and without waiting: more echoes pile up than are taken. */
static void endless_pings_are_reset(void **state)
{
    (void)state;
    static uint8_t pings[200000];
    struct meeting *m = dialled_new(peer_credentials());
    open_us(m);
    struct raw_stream *stream = raw_peer_open(&m->peer, sizeof(pings) + 64);
    raw_peer_send_line(stream, "/multistream/1.0.0");
    raw_peer_send_line(stream, "/ipfs/ping/1.0.0");
    raw_peer_send(stream, pings, sizeof(pings));
    sim_run(&m->sim, m->sim.now.mono_us + S);
    assert_true(stream->reset);
    assert_true(stream->in_size < 4096);
    assert_int_equal(pc_libp2p_host_connection_count(host_of(m)), 1);
    meeting_free(m);
}

/* What comes after identify was answered is not kept, and the stream does not stay for ever. */
static void data_behind_an_identify_request_is_thrown_away(void **state)
{
    (void)state;
    static uint8_t junk[100000];
    struct meeting *m = dialled_new(peer_credentials());
    open_us(m);
    struct raw_stream *stream = raw_peer_open(&m->peer, sizeof(junk) + 64);
    raw_peer_send_line(stream, "/multistream/1.0.0");
    raw_peer_send_line(stream, "/ipfs/id/1.0.0");
    raw_peer_send(stream, junk, sizeof(junk));
    sim_run(&m->sim, m->sim.now.mono_us + S);
    assert_true(stream->in_ended);
    assert_true(stream->sent <= 16384 + 64);
    sim_run(&m->sim, m->sim.now.mono_us + 11 * S);
    assert_true(stream->closed);
    assert_int_equal(pc_libp2p_host_connection_count(host_of(m)), 1);
    meeting_free(m);
}

/* What was thrown away is given back to the window of the connection: others go on. */
static void wasted_streams_do_not_use_up_the_window(void **state)
{
    (void)state;
    static uint8_t junk[16000];
    struct meeting *m = dialled_new(peer_credentials());
    memset(junk, 0xfe, sizeof(junk));
    open_us(m);
    for (size_t i = 0; i < 60; i++) { /* together a megabyte, eight windows */
        struct raw_stream *stream = raw_peer_open(&m->peer, sizeof(junk) + 64);
        assert_non_null(stream);
        raw_peer_send_line(stream, "/multistream/1.0.0");
        raw_peer_send_line(stream, i % 2 ? "/ipfs/id/1.0.0" : "/test/kad/1.0.0");
        raw_peer_send(stream, junk, sizeof(junk));
        stream->finish = true;
        sim_run(&m->sim, m->sim.now.mono_us + S);
    }
    struct raw_stream *stream = raw_peer_open(&m->peer, sizeof(junk));
    raw_peer_send_line(stream, "/multistream/1.0.0");
    raw_peer_send_line(stream, "/ipfs/ping/1.0.0");
    raw_peer_send(stream, junk, 32);
    sim_run(&m->sim, m->sim.now.mono_us + S);
    assert_int_equal(stream->in_size, 20 + 18 + 32);
    meeting_free(m);
}

static void endless_proposals_are_reset(void **state)
{
    (void)state;
    struct meeting *m = dialled_new(peer_credentials());
    open_us(m);
    struct raw_stream *stream = raw_peer_open(&m->peer, 65536);
    raw_peer_send_line(stream, "/multistream/1.0.0");
    for (size_t i = 0; i < 1000; i++)
        raw_peer_send_line(stream, "/no/such/1.0.0");
    sim_run(&m->sim, m->sim.now.mono_us + S);
    assert_true(stream->reset || stream->closed);
    assert_true(stream->in_size < 20 + 4 * 10);
    meeting_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_raw_peer_is_opened),
        cmocka_unit_test(two_certificates),
        cmocka_unit_test(certificates_out_of_their_time),
        cmocka_unit_test(certificates_without_libp2p),
        cmocka_unit_test(no_certificate),
        cmocka_unit_test(no_alpn),
        cmocka_unit_test(another_alpn),
        cmocka_unit_test(identify_says_na),
        cmocka_unit_test(identify_is_never_answered),
        cmocka_unit_test(identify_is_of_another_key),
        cmocka_unit_test(identify_is_reset),
        cmocka_unit_test(identify_is_cut_short),
        cmocka_unit_test(identify_is_oversized_malformed_or_endless),
        cmocka_unit_test(multistream_is_garbage),
        cmocka_unit_test(identify_trickles),
        cmocka_unit_test(the_peer_refuses_by_policy),
        cmocka_unit_test(closing_after_opening_is_no_failure),
        cmocka_unit_test(pings_answered_badly),
        cmocka_unit_test(find_nodes_answered_badly),
        cmocka_unit_test(ten_thousand_addresses_in_one_answer),
        cmocka_unit_test(clients_without_identity_are_refused),
        cmocka_unit_test(inbound_peers_must_answer_identify),
        cmocka_unit_test(unknown_protocols_get_na),
        cmocka_unit_test(several_requests_on_one_stream),
        cmocka_unit_test(other_kad_messages_are_reset),
        cmocka_unit_test(slow_streams_are_reset),
        cmocka_unit_test(floods_of_streams_end_the_connection),
        cmocka_unit_test(endless_data_is_not_kept),
        cmocka_unit_test(endless_pings_are_reset),
        cmocka_unit_test(data_behind_an_identify_request_is_thrown_away),
        cmocka_unit_test(the_largest_answer_comes_through),
        cmocka_unit_test(wasted_streams_do_not_use_up_the_window),
        cmocka_unit_test(endless_proposals_are_reset),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
