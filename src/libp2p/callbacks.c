/*
 * ngtcp2's callbacks: cryptography goes to ngtcp2's own helpers, streams to their buffers and protocols. They
 * never end or free a connection: they condemn it, and pc_libp2p_connection_settle() acts when ngtcp2 is
 * back.
 */
#include "libp2p/connection.h"
#include "libp2p/shedding.h"

#include <stdlib.h>

int pc_libp2p_connection_add_cid(struct pc_connection *connection, const ngtcp2_cid *cid)
{
    struct pc_connection_cid *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return PEERCACHE_ENOMEM;
    entry->connection = connection;
    entry->cid = *cid;
    if (pc_base_map_insert(&connection->host->cids, &entry->node)) {
        free(entry);
        return PEERCACHE_ENOMEM;
    }
    entry->next = connection->cids;
    connection->cids = entry;
    return 0;
}

void pc_libp2p_connection_drop_cids(struct pc_connection *connection)
{
    while (connection->cids) {
        struct pc_connection_cid *entry = connection->cids;
        connection->cids = entry->next;
        pc_base_map_remove(&connection->host->cids, &entry->node);
        free(entry);
    }
}

/* The tokens of one connection id, or of all when `token` is NULL. */
static void remove_tokens(struct pc_connection *connection, const uint8_t *token)
{
    struct pc_connection_token **at = &connection->tokens;
    while (*at) {
        struct pc_connection_token *entry = *at;
        if (token && memcmp(entry->token, token, sizeof(entry->token)) != 0) {
            at = &entry->next;
            continue;
        }
        *at = entry->next;
        pc_base_map_remove(&connection->host->tokens, &entry->node);
        free(entry);
    }
}

void pc_libp2p_connection_drop_tokens(struct pc_connection *connection)
{
    remove_tokens(connection, NULL);
}

/* ngtcp2 sends to another connection id of the peer, or no longer does. */
static int dcid_status(ngtcp2_conn *quic, pc_quic_cid_status type, uint64_t sequence, const ngtcp2_cid *cid,
                       const uint8_t *token, void *user_data)
{
    struct pc_connection *connection = user_data;
    struct pc_map *tokens = &connection->host->tokens;
    (void)quic;
    (void)sequence;
    (void)cid;
    if (!token)
        return 0;
    if (type == NGTCP2_CONNECTION_ID_STATUS_TYPE_DEACTIVATE) {
        remove_tokens(connection, token);
        return 0;
    }
    if (pc_base_map_find(tokens, pc_bytes_of(token, NGTCP2_STATELESS_RESET_TOKENLEN)))
        return 0; /* a peer that gives one token twice can be reset on one connection only */
    struct pc_connection_token *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    entry->connection = connection;
    memcpy(entry->token, token, sizeof(entry->token));
    if (pc_base_map_insert(tokens, &entry->node)) {
        free(entry);
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    entry->next = connection->tokens;
    connection->tokens = entry;
    return 0;
}

void pc_libp2p_host_new_cid(struct pc_libp2p_host *host, ngtcp2_cid *ret_cid)
{
    uint8_t bytes[PC_LIBP2P_CID_BYTES];
    do {
        pc_base_rng_bytes(&host->options.rng, bytes, sizeof(bytes));
    } while (pc_base_map_find(&host->cids, pc_bytes_of(bytes, sizeof(bytes)))); /* one in 2^54 with 1000 */
    ngtcp2_cid_init(ret_cid, bytes, sizeof(bytes));
}

static void rand_cb(uint8_t *dest, size_t size, const ngtcp2_rand_ctx *context)
{
    pc_base_rng_bytes(context->native_handle, dest, size);
}

static int get_path_challenge_data(ngtcp2_conn *quic, uint8_t *data, void *user_data)
{
    struct pc_connection *connection = user_data;
    (void)quic;
    pc_base_rng_bytes(&connection->host->options.rng, data, NGTCP2_PATH_CHALLENGE_DATALEN);
    return 0;
}

static int get_new_connection_id(ngtcp2_conn *quic, ngtcp2_cid *cid, uint8_t *token, size_t size,
                                 void *user_data)
{
    struct pc_connection *connection = user_data;
    (void)quic;
    (void)size; /* always ours */
    pc_libp2p_host_new_cid(connection->host, cid);
    if (pc_libp2p_connection_add_cid(connection, cid))
        return NGTCP2_ERR_CALLBACK_FAILURE;
    pc_libp2p_host_reset_token(connection->host, cid->data, cid->datalen, token);
    return 0;
}

static int remove_connection_id(ngtcp2_conn *quic, const ngtcp2_cid *cid, void *user_data)
{
    struct pc_connection *connection = user_data;
    (void)quic;
    for (struct pc_connection_cid **at = &connection->cids; *at; at = &(*at)->next) {
        struct pc_connection_cid *entry = *at;
        if (!ngtcp2_cid_eq(&entry->cid, cid))
            continue;
        *at = entry->next;
        pc_base_map_remove(&connection->host->cids, &entry->node);
        free(entry);
        break;
    }
    return 0;
}

static int recv_crypto_data(ngtcp2_conn *quic, pc_quic_level level, uint64_t offset, const uint8_t *data,
                            size_t size, void *user_data)
{
    struct pc_connection *connection = user_data;
    if (!connection->tls)
        return 0; /* after the handshake only session tickets come, which we never use */
    return ngtcp2_crypto_recv_crypto_data_cb(quic, level, offset, data, size, user_data);
}

/*
 * A peer that leaves out its transport parameters is refused (RFC 9001 section 8.2). GnuTLS does not know
 * that they must be there, and ngtcp2 finds out late: a server would write with its first key of the level
 * APPLICATION what it can't without them, and an assertion of ngtcp2 ends the process. The key of the level
 * before comes to a client ahead of the server's parameters, to a server never ahead of the client's.
 */
static int recv_tx_key(ngtcp2_conn *quic, pc_quic_level level, void *user_data)
{
    struct pc_connection *connection = user_data;
    if (!connection->inbound && level != PC_QUIC_LEVEL_APPLICATION)
        return 0;
    if (ngtcp2_conn_get_remote_transport_params(quic))
        return 0;
    pc_libp2p_connection_condemn(connection, PEERCACHE_MISBEHAVED, "the peer sent no transport parameters");
    return NGTCP2_ERR_CALLBACK_FAILURE;
}

static int handshake_completed(ngtcp2_conn *quic, void *user_data)
{
    struct pc_connection *connection = user_data;
    (void)quic;
    connection->handshaken = true;
    if (connection->inbound)
        connection->confirmed = true; /* the server is sure as soon as it has the client's Finished */
    return 0;
}

static int handshake_confirmed(ngtcp2_conn *quic, void *user_data)
{
    struct pc_connection *connection = user_data;
    (void)quic;
    connection->confirmed = true;
    return 0;
}

static int recv_stateless_reset(ngtcp2_conn *quic, const ngtcp2_pkt_stateless_reset *reset, void *user_data)
{
    struct pc_connection *connection = user_data;
    (void)quic;
    (void)reset;
    connection->reset = true;
    return 0;
}

static int stream_open(ngtcp2_conn *quic, int64_t id, void *user_data)
{
    struct pc_connection *connection = user_data;
    struct pc_libp2p_host *host = connection->host;
    struct pc_stream *stream = pc_libp2p_stream_new(connection, false, id);
    if (!stream)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    pc_libp2p_stream_set_deadline(stream,
                                  pc_base_time_add(host->now.mono_us, host->options.stream_timeout_us));
    if (ngtcp2_conn_set_stream_user_data(quic, id, stream))
        return NGTCP2_ERR_CALLBACK_FAILURE;
    connection->used_us = host->now.mono_us;
    if (!pc_libp2p_shedding_stream(stream))
        pc_libp2p_protocol_shed(stream, PC_LIBP2P_CODE_RESOURCE_LIMIT);
    return 0;
}

static int recv_stream_data(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset,
                            const uint8_t *data, size_t size, void *user_data, void *stream_user_data)
{
    struct pc_stream *stream = stream_user_data;
    (void)quic;
    (void)id;
    (void)offset;
    (void)user_data;
    if (flags & NGTCP2_STREAM_DATA_FLAG_FIN)
        stream->ended = true;
    pc_libp2p_protocol_receive(stream, data, size);
    return 0;
}

static int acked_stream_data_offset(ngtcp2_conn *quic, int64_t id, uint64_t offset, uint64_t size,
                                    void *user_data, void *stream_user_data)
{
    (void)quic;
    (void)id;
    (void)user_data;
    pc_libp2p_stream_acked(stream_user_data, offset + size);
    pc_libp2p_protocol_resume(stream_user_data);
    return 0;
}

static int stream_reset(ngtcp2_conn *quic, int64_t id, uint64_t final_size, uint64_t code, void *user_data,
                        void *stream_user_data)
{
    struct pc_stream *stream = stream_user_data;
    (void)quic;
    (void)id;
    (void)final_size;
    (void)user_data;
    if (!stream) /* reset before anything else of it came: ngtcp2 did not say that it was opened */
        return 0;
    stream->ended = true;
    stream->reset_code = code;
    pc_libp2p_protocol_reset(stream);
    return 0;
}

static int stream_stop_sending(ngtcp2_conn *quic, int64_t id, uint64_t code, void *user_data,
                               void *stream_user_data)
{
    struct pc_stream *stream = stream_user_data;
    (void)quic;
    (void)id;
    (void)user_data;
    if (stream)
        stream->reset_code = code;
    if (stream && (stream->local || stream->talk.state == PC_TALK_ASKED))
        pc_libp2p_protocol_reset(stream);
    return 0;
}

static int stream_close(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t code, void *user_data,
                        void *stream_user_data)
{
    struct pc_stream *stream = stream_user_data;
    (void)flags;
    (void)id;
    (void)code;
    if (!stream) {
        pc_libp2p_connection_fault(user_data);
        ngtcp2_conn_extend_max_streams_bidi(quic, 1);
        return 0;
    }
    if (!stream->local)
        ngtcp2_conn_extend_max_streams_bidi(quic, 1);
    stream->shut = true; /* ngtcp2 knows it no more */
    pc_libp2p_protocol_reset(stream);
    pc_libp2p_stream_free(stream);
    return 0;
}

static int extend_max_local_streams_bidi(ngtcp2_conn *quic, uint64_t streams_max, void *user_data)
{
    struct pc_connection *connection = user_data;
    (void)quic;
    (void)streams_max;
    connection->stream_allowed = true;
    return 0;
}

void pc_libp2p_callbacks_init(ngtcp2_callbacks *callbacks, bool server)
{
    *callbacks = (ngtcp2_callbacks){
        .recv_crypto_data = recv_crypto_data,
        .encrypt = ngtcp2_crypto_encrypt_cb,
        .decrypt = ngtcp2_crypto_decrypt_cb,
        .hp_mask = ngtcp2_crypto_hp_mask_cb,
        .update_key = ngtcp2_crypto_update_key_cb,
        .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
        .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
        .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
        .get_path_challenge_data = get_path_challenge_data,
        .rand = rand_cb,
        .get_new_connection_id = get_new_connection_id,
        .remove_connection_id = remove_connection_id,
        .dcid_status = dcid_status,
        .recv_tx_key = recv_tx_key,
        .handshake_completed = handshake_completed,
        .recv_stateless_reset = recv_stateless_reset,
        .stream_open = stream_open,
        .recv_stream_data = recv_stream_data,
        .acked_stream_data_offset = acked_stream_data_offset,
        .stream_reset = stream_reset,
        .stream_stop_sending = stream_stop_sending,
        .stream_close = stream_close,
        .extend_max_local_streams_bidi = extend_max_local_streams_bidi,
    };
    if (server) {
        callbacks->recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
    } else {
        callbacks->client_initial = ngtcp2_crypto_client_initial_cb;
        callbacks->recv_retry = ngtcp2_crypto_recv_retry_cb;
        callbacks->handshake_confirmed = handshake_confirmed;
    }
}
