#include "raw_peer.h"

#include "check.h"

#include "base/time.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-X25519:%DISABLE_TLS13_COMPAT_MODE"

static ngtcp2_tstamp ts_of(const struct raw_peer *peer)
{
    return (uint64_t)peer->now.mono_us * NGTCP2_MICROSECONDS + 1;
}

static ngtcp2_conn *get_quic(ngtcp2_crypto_conn_ref *reference)
{
    return ((struct raw_peer *)reference->user_data)->quic;
}

static void rand_cb(uint8_t *dest, size_t size, const ngtcp2_rand_ctx *context)
{
    pc_base_rng_bytes(context->native_handle, dest, size);
}

static int new_cid(ngtcp2_conn *quic, ngtcp2_cid *cid, uint8_t *token, size_t size, void *user_data)
{
    struct raw_peer *peer = user_data;
    (void)quic;
    cid->datalen = size;
    pc_base_rng_bytes(&peer->rng, cid->data, size);
    memset(token, 9, NGTCP2_STATELESS_RESET_TOKENLEN);
    return 0;
}

static struct raw_stream *stream_by_id(struct raw_peer *peer, int64_t id)
{
    for (size_t i = 0; i < RAW_STREAMS_MAX; i++) {
        if (peer->streams[i] && peer->streams[i]->id == id)
            return peer->streams[i];
    }
    return NULL;
}

static struct raw_stream *stream_new(struct raw_peer *peer, int64_t id, size_t capacity)
{
    for (size_t i = 0; i < RAW_STREAMS_MAX; i++) {
        if (peer->streams[i])
            continue;
        struct raw_stream *stream = calloc(1, sizeof(*stream));
        assert_non_null(stream);
        stream->id = id;
        stream->out = malloc(capacity);
        assert_non_null(stream->out);
        stream->out_capacity = capacity;
        return peer->streams[i] = stream;
    }
    fail_msg("more streams than a raw peer has");
    return NULL;
}

static int handshake_completed(ngtcp2_conn *quic, void *user_data)
{
    struct raw_peer *peer = user_data;
    (void)quic;
    peer->handshaken = true;
    return 0;
}

static int stream_open(ngtcp2_conn *quic, int64_t id, void *user_data)
{
    (void)quic;
    (void)stream_new(user_data, id, 1 << 20);
    return 0;
}

static int recv_stream_data(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset,
                            const uint8_t *data, size_t size, void *user_data, void *stream_user_data)
{
    struct raw_peer *peer = user_data;
    struct raw_stream *stream = stream_by_id(peer, id);
    (void)quic;
    (void)offset;
    (void)stream_user_data;
    size_t room = sizeof(stream->in) - stream->in_size;
    if (size > 0)
        memcpy(stream->in + stream->in_size, data, size < room ? size : room);
    stream->in_size += size < room ? size : room;
    if (flags & NGTCP2_STREAM_DATA_FLAG_FIN)
        stream->in_ended = true;
    if (peer->on_data)
        peer->on_data(peer, stream);
    return 0;
}

static int stream_reset(ngtcp2_conn *quic, int64_t id, uint64_t final_size, uint64_t code, void *user_data,
                        void *stream_user_data)
{
    (void)quic;
    (void)final_size;
    (void)code;
    (void)stream_user_data;
    stream_by_id(user_data, id)->reset = true;
    return 0;
}

static int stream_close(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t code, void *user_data,
                        void *stream_user_data)
{
    struct raw_peer *peer = user_data;
    (void)flags;
    (void)code;
    (void)stream_user_data;
    for (size_t i = 0; i < RAW_STREAMS_MAX; i++) {
        struct raw_stream *stream = peer->streams[i];
        if (!stream || stream->id != id)
            continue;
        stream->closed = true;
        peer->streams_closed++;
        if (!ngtcp2_conn_is_local_stream(quic, id))
            ngtcp2_conn_extend_max_streams_bidi(quic, 1);
        if (peer->on_close) {
            peer->streams[i] = NULL; /* its place is free */
            peer->on_close(peer, stream);
            free(stream->out);
            free(stream);
        }
    }
    return 0;
}

void raw_peer_init(struct raw_peer *peer, bool server, gnutls_certificate_credentials_t credentials,
                   uint64_t seed)
{
    memset(peer, 0, sizeof(*peer));
    peer->server = server;
    peer->credentials = credentials;
    peer->alpn = "libp2p";
    peer->streams_allowed = 100;
    pc_base_rng_init_u64(&peer->rng, seed);
}

void raw_peer_deinit(struct raw_peer *peer)
{
    for (size_t i = 0; i < RAW_STREAMS_MAX; i++) {
        if (peer->streams[i])
            free(peer->streams[i]->out);
        free(peer->streams[i]);
    }
    ngtcp2_conn_del(peer->quic);
    if (peer->tls)
        gnutls_deinit(peer->tls);
}

static void start(struct raw_peer *peer, const ngtcp2_pkt_hd *header, const struct pc_ip_port *remote)
{
    ngtcp2_callbacks callbacks = {
        .client_initial = peer->server ? NULL : ngtcp2_crypto_client_initial_cb,
        .recv_client_initial = peer->server ? ngtcp2_crypto_recv_client_initial_cb : NULL,
        .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
        .handshake_completed = handshake_completed,
        .encrypt = ngtcp2_crypto_encrypt_cb,
        .decrypt = ngtcp2_crypto_decrypt_cb,
        .hp_mask = ngtcp2_crypto_hp_mask_cb,
        .recv_stream_data = recv_stream_data,
        .stream_open = stream_open,
        .stream_close = stream_close,
        .stream_reset = stream_reset,
        .recv_retry = peer->server ? NULL : ngtcp2_crypto_recv_retry_cb,
        .rand = rand_cb,
        .get_new_connection_id = new_cid,
        .update_key = ngtcp2_crypto_update_key_cb,
        .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
        .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
        .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
        .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
    };
    struct sockaddr_in self = { .sin_family = AF_INET };
    ngtcp2_path path = { { (struct sockaddr *)&self, sizeof(self) },
                         { (struct sockaddr *)&self, sizeof(self) },
                         NULL };
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_cid scid = { .datalen = 8 };
    ngtcp2_cid dcid = { .datalen = 16 };
    peer->remote = *remote;
    pc_base_rng_bytes(&peer->rng, scid.data, scid.datalen);
    pc_base_rng_bytes(&peer->rng, dcid.data, dcid.datalen);
    ngtcp2_settings_default(&settings);
    settings.initial_ts = ts_of(peer);
    settings.rand_ctx.native_handle = &peer->rng;
    settings.no_pmtud = 1;
    ngtcp2_transport_params_default(&params);
    params.initial_max_data = 1 << 30;
    params.initial_max_stream_data_bidi_local = 1 << 24;
    params.initial_max_stream_data_bidi_remote = 1 << 24;
    params.initial_max_streams_bidi = peer->streams_allowed;
    params.max_idle_timeout = 300 * NGTCP2_SECONDS;
    if (peer->server) {
        pc_quic_set_original_dcid(&params, &header->dcid);
        assert_int_equal(ngtcp2_conn_server_new(&peer->quic, &header->scid, &scid, &path, header->version,
                                                &callbacks, &settings, &params, NULL, peer),
                         0);
    } else {
        assert_int_equal(ngtcp2_conn_client_new(&peer->quic, &dcid, &scid, &path, NGTCP2_PROTO_VER_V1,
                                                &callbacks, &settings, &params, NULL, peer),
                         0);
    }
    assert_int_equal(gnutls_init(&peer->tls, (peer->server ? GNUTLS_SERVER : GNUTLS_CLIENT) |
                                                 GNUTLS_NO_TICKETS | GNUTLS_NO_END_OF_EARLY_DATA |
                                                 GNUTLS_NONBLOCK),
                     0);
    assert_int_equal(gnutls_priority_set_direct(peer->tls, PRIORITY, NULL), 0);
    assert_int_equal(peer->server ? ngtcp2_crypto_gnutls_configure_server_session(peer->tls)
                                  : ngtcp2_crypto_gnutls_configure_client_session(peer->tls),
                     0);
    peer->reference = (ngtcp2_crypto_conn_ref){ get_quic, peer };
    gnutls_session_set_ptr(peer->tls, &peer->reference);
    assert_int_equal(gnutls_credentials_set(peer->tls, GNUTLS_CRD_CERTIFICATE, peer->credentials), 0);
    if (peer->alpn) {
        gnutls_datum_t alpn = { (unsigned char *)(uintptr_t)peer->alpn, (unsigned)strlen(peer->alpn) };
        assert_int_equal(gnutls_alpn_set_protocols(peer->tls, &alpn, 1, 0), 0);
    }
    if (peer->server)
        gnutls_certificate_server_set_request(peer->tls, GNUTLS_CERT_REQUEST);
    ngtcp2_conn_set_tls_native_handle(peer->quic, peer->tls);
}

void raw_peer_dial(struct raw_peer *peer, peercache_time now, const struct pc_ip_port *to)
{
    peer->now = now;
    start(peer, NULL, to);
}

struct raw_stream *raw_peer_open(struct raw_peer *peer, size_t capacity)
{
    int64_t id;
    int result = ngtcp2_conn_open_bidi_stream(peer->quic, &id, NULL);
    if (result == NGTCP2_ERR_STREAM_ID_BLOCKED)
        return NULL;
    assert_int_equal(result, 0);
    return stream_new(peer, id, capacity);
}

void raw_peer_send(struct raw_stream *stream, const void *data, size_t size)
{
    assert_true(size <= stream->out_capacity - stream->out_size);
    memcpy(stream->out + stream->out_size, data, size);
    stream->out_size += size;
}

void raw_peer_send_line(struct raw_stream *stream, const char *line)
{
    uint8_t data[512];
    size_t size;
    assert_int_equal(pc_libp2p_multistream_encode(line, data, sizeof(data), &size), 0);
    raw_peer_send(stream, data, size);
}

void raw_peer_reset(struct raw_peer *peer, struct raw_stream *stream)
{
    stream->sent = stream->out_size;
    assert_int_equal(pc_quic_stream_shutdown(peer->quic, stream->id, 0), 0);
}

static void fail_with(struct raw_peer *peer, int result)
{
    if (result == NGTCP2_ERR_CRYPTO) { /* it says so, as a peer does */
        peer->alerting = true;
        return;
    }
    peer->over = true;
    if (result == NGTCP2_ERR_DRAINING) {
        peer->closed_by_peer = true;
        pc_quic_peer_close(peer->quic, &peer->close_application, &peer->close_code);
    }
}

static void receive(void *context, peercache_time now, const struct pc_datagram *datagram)
{
    struct raw_peer *peer = context;
    struct sockaddr_in self = { .sin_family = AF_INET };
    ngtcp2_path path = { { (struct sockaddr *)&self, sizeof(self) },
                         { (struct sockaddr *)&self, sizeof(self) },
                         NULL };
    ngtcp2_pkt_info info = { 0 };
    bool before = peer->handshaken;
    peer->now = now;
    if (peer->over)
        return;
    if (!peer->quic) {
        ngtcp2_pkt_hd header;
        if (ngtcp2_accept(&header, datagram->data, datagram->size))
            return;
        start(peer, &header, &datagram->remote);
    }
    int result = ngtcp2_conn_read_pkt(peer->quic, &path, &info, datagram->data, datagram->size, ts_of(peer));
    if (result)
        fail_with(peer, result);
    else if (!before && peer->handshaken && peer->on_handshake)
        peer->on_handshake(peer);
}

static bool send_datagram(void *context, peercache_time now, struct pc_datagram *datagram)
{
    struct raw_peer *peer = context;
    ngtcp2_pkt_info info;
    ngtcp2_path_storage storage;
    peer->now = now;
    if (peer->over || !peer->quic)
        return false;
    ngtcp2_path_storage_zero(&storage);
    datagram->remote = peer->remote;
    if (peer->closing || peer->alerting) {
        pc_quic_close close;
        if (peer->closing)
            pc_quic_close_application(&close, peer->close_code);
        else
            pc_quic_close_alert(&close, ngtcp2_conn_get_tls_alert(peer->quic));
        ngtcp2_ssize written = ngtcp2_conn_write_connection_close(peer->quic, &storage.path, &info,
                                                                  datagram->data, 1452, &close, ts_of(peer));
        assert_true(written > 0);
        datagram->size = (size_t)written;
        peer->over = true;
        return true;
    }
    for (size_t i = 0; i <= RAW_STREAMS_MAX; i++) {
        struct raw_stream *stream = i < RAW_STREAMS_MAX ? peer->streams[i] : NULL;
        if (i < RAW_STREAMS_MAX &&
            (!stream || stream->closed ||
             (stream->sent == stream->out_size && stream->finish == stream->finish_sent)))
            continue;
        ngtcp2_vec vector = { 0 };
        ngtcp2_ssize taken = -1;
        if (stream)
            vector = (ngtcp2_vec){ stream->out + stream->sent, stream->out_size - stream->sent };
        ngtcp2_ssize size = ngtcp2_conn_writev_stream(
            peer->quic, &storage.path, &info, datagram->data, 1452, &taken,
            stream ? NGTCP2_WRITE_STREAM_FLAG_MORE | (stream->finish ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0) : 0,
            stream ? stream->id : -1, vector.len ? &vector : NULL, vector.len ? 1 : 0, ts_of(peer));
        if (stream && taken >= 0) {
            stream->sent += (size_t)taken;
            if (stream->finish && stream->sent == stream->out_size)
                stream->finish_sent = true;
        }
        if (size == NGTCP2_ERR_WRITE_MORE || size == NGTCP2_ERR_STREAM_DATA_BLOCKED ||
            size == NGTCP2_ERR_STREAM_SHUT_WR || size == NGTCP2_ERR_STREAM_NOT_FOUND)
            continue;
        if (size < 0)
            fail_with(peer, (int)size);
        datagram->size = size > 0 ? (size_t)size : 0;
        return size > 0;
    }
    return false;
}

static void expire(void *context, peercache_time now)
{
    struct raw_peer *peer = context;
    peer->now = now;
    int result = ngtcp2_conn_handle_expiry(peer->quic, ts_of(peer));
    if (result)
        fail_with(peer, result);
}

static int64_t deadline(void *context)
{
    struct raw_peer *peer = context;
    if (!peer->quic || peer->over)
        return PC_TIME_NEVER;
    ngtcp2_tstamp expiry = ngtcp2_conn_get_expiry(peer->quic);
    return expiry == UINT64_MAX ? PC_TIME_NEVER : (int64_t)(expiry / NGTCP2_MICROSECONDS + 1);
}

void raw_peer_close(struct raw_peer *peer, uint64_t code)
{
    peer->closing = true;
    peer->close_code = code;
}

struct sim_node raw_peer_node(struct raw_peer *peer)
{
    return (struct sim_node){
        .context = peer, .receive = receive, .send = send_datagram, .expire = expire, .deadline = deadline
    };
}
