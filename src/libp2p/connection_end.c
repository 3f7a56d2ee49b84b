/*
 * The end of a connection: what a failure means as an outcome, the closing packet, and lingering
 * (connection.h).
 */
#include "libp2p/connection.h"

#include "libp2p/path.h"
#include "libp2p/talk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void pc_libp2p_connection_condemn(struct pc_connection *connection, peercache_outcome outcome,
                                  const char *format, ...)
{
    va_list args;
    if (connection->condemned)
        return;
    connection->condemned = true;
    connection->outcome = outcome;
    va_start(args, format);
    (void)vsnprintf(connection->detail, sizeof(connection->detail), format, args);
    va_end(args);
}

/* Keep the closing packet; none when there is nothing to say it with. */
static void write_farewell(struct pc_connection *connection, const pc_quic_close *close)
{
    uint8_t packet[PC_LIBP2P_DATAGRAM_MAX_BYTES];
    ngtcp2_path_storage storage;
    ngtcp2_pkt_info info = { 0 };
    struct pc_datagram where = { 0 };
    ngtcp2_path_storage_zero(&storage);
    ngtcp2_ssize size =
        ngtcp2_conn_write_connection_close(connection->quic, &storage.path, &info, packet, sizeof(packet),
                                           close, pc_libp2p_host_ts(connection->host));
    if (size <= 0)
        return; /* nothing was sent before, or no keys yet: the peer knows of nothing to close */
    connection->farewell = malloc((size_t)size);
    if (!connection->farewell)
        return; /* the peer will find out by its idle timeout */
    memcpy(connection->farewell, packet, (size_t)size);
    connection->farewell_size = (size_t)size;
    pc_libp2p_path_out(connection->inbound, &storage.path, &where);
    connection->farewell_local = where.local;
    connection->farewell_socket = connection->dials_back ? PC_LIBP2P_SOCKET_APART : where.socket;
    connection->remote = where.remote;
}

/* The objects go, the connection ids stay for three probe timeouts. Frees it when there is no point in that.
 */
static void linger(struct pc_connection *connection, const pc_quic_close *close)
{
    struct pc_libp2p_host *host = connection->host;
    bool heard = connection->state != PC_CONNECTION_SILENT;
    int64_t linger_us = (int64_t)(3 * ngtcp2_conn_get_pto(connection->quic) / NGTCP2_MICROSECONDS);
    if (close)
        write_farewell(connection, close);
    pc_libp2p_connection_depart(connection);
    if (!heard && !connection->farewell) {
        pc_libp2p_connection_free(connection);
        return;
    }
    if (host->lingering_count > host->options.connections_max)
        linger_us = PC_CONNECTION_LINGER_MIN_US; /* a courtesy, so it has its limit */
    pc_libp2p_connection_set_timer(
        connection,
        pc_base_time_add(host->now.mono_us, pc_base_time_min(linger_us, PC_CONNECTION_LINGER_MAX_US)));
    if (connection->farewell) {
        connection->farewell_due = true;
        host->farewell_count++;
        pc_libp2p_host_wake(host, connection);
    }
}

static void tell_end(struct pc_connection *connection)
{
    struct pc_libp2p_host *host = connection->host;
    bool open = connection->state == PC_CONNECTION_OPEN;
    struct pc_libp2p_queued *final = connection->final;
    for (struct pc_stream *stream = connection->streams; stream; stream = stream->next)
        pc_libp2p_protocol_gone(stream);
    if (connection->dials_back) {
        pc_libp2p_autonat_dial_ended(connection);
        return;
    }
    if (!open && connection->inbound) { /* nobody was told of it */
        pc_base_log(host->options.log, PC_LOG_DEBUG, "libp2p", "inbound connection ended: %s: %s",
                    peercache_outcome_name(connection->outcome), connection->detail);
        return;
    }
    connection->final = NULL;
    final->event = (struct pc_libp2p_event){
        .kind = open ? PC_LIBP2P_CLOSED : PC_LIBP2P_FAILED,
        .connection = connection->number,
        .outcome = connection->outcome,
        .id = connection->id,
        .remote = connection->remote,
        .proven_us = connection->proven_us,
        .rtt_us = -1,
    };
    memcpy(final->event.detail, connection->detail, sizeof(final->event.detail));
    pc_libp2p_host_queue_event(connection, final);
}

/* The peer closed: what that means depends on how far we were. */
static void condemn_closed_by_peer(struct pc_connection *connection)
{
    bool application = false;
    uint64_t code = 0;
    bool open = connection->state == PC_CONNECTION_OPEN;
    if (connection->reset) {
        pc_libp2p_connection_condemn(connection, open ? PEERCACHE_OK : PEERCACHE_REFUSED,
                                     "the peer forgot the connection (stateless reset)");
        return;
    }
    pc_quic_peer_close(connection->quic, &application, &code);
    unsigned long long shown = code;
    if (!application && code >= NGTCP2_CRYPTO_ERROR && code <= NGTCP2_CRYPTO_ERROR + 0xff) {
        const char *name = gnutls_alert_get_name((gnutls_alert_description_t)(code & 0xff));
        pc_libp2p_connection_condemn(connection, PEERCACHE_TLS_FAILED, "the peer refused the handshake: %s",
                                     name ? name : "unknown TLS alert");
    } else if (open && (application || code == NGTCP2_NO_ERROR)) {
        pc_libp2p_connection_condemn(connection, PEERCACHE_OK, "closed by the peer (code %llu)", shown);
    } else if (application || code == NGTCP2_NO_ERROR || code == NGTCP2_INTERNAL_ERROR ||
               code == NGTCP2_CONNECTION_REFUSED || code == NGTCP2_APPLICATION_ERROR ||
               code == NGTCP2_INVALID_TOKEN) { /* we were too slow for a busy server: no fault of its */
        pc_libp2p_connection_condemn(connection, PEERCACHE_REFUSED,
                                     "the peer refused the connection (%s %llu)",
                                     application ? "application code" : "transport code", shown);
    } else {
        pc_libp2p_connection_condemn(connection, PEERCACHE_MISBEHAVED,
                                     "the peer closed with transport error %llu", shown);
    }
}

void pc_libp2p_connection_condemn_for(struct pc_connection *connection, int result)
{
    switch (result) {
    case NGTCP2_ERR_DRAINING:
        condemn_closed_by_peer(connection);
        break;
    case NGTCP2_ERR_CRYPTO: {
        const char *name =
            gnutls_alert_get_name((gnutls_alert_description_t)ngtcp2_conn_get_tls_alert(connection->quic));
        pc_libp2p_connection_condemn(connection, PEERCACHE_TLS_FAILED, "the TLS handshake failed: %s",
                                     name ? name : "no alert");
        break;
    }
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
    case NGTCP2_ERR_VERSION_NEGOTIATION_FAILURE:
        pc_libp2p_connection_condemn(connection, PEERCACHE_PROTOCOL_MISMATCH,
                                     "the peer does not speak QUIC version 1");
        break;
    case NGTCP2_ERR_IDLE_CLOSE:
        pc_libp2p_connection_condemn(connection, PEERCACHE_TIMEOUT, "idle for too long");
        break;
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
        pc_libp2p_connection_condemn(connection, PEERCACHE_TIMEOUT, "the handshake took too long");
        break;
    case NGTCP2_ERR_NOMEM:
    case NGTCP2_ERR_CALLBACK_FAILURE: /* ours fail only so */
        pc_libp2p_connection_condemn(connection, PEERCACHE_CANCELLED, "out of memory");
        break;
    default:
        pc_libp2p_connection_condemn(connection, PEERCACHE_MISBEHAVED, "QUIC: %s", ngtcp2_strerror(result));
        break;
    }
}

static uint64_t close_code(const struct pc_connection *connection)
{
    if (connection->close_code > 0)
        return connection->close_code;
    return connection->outcome == PEERCACHE_TIMEOUT || connection->outcome == PEERCACHE_OK
               ? 0
               : PC_CLOSE_CODE_FAULT;
}

/* Say why to the peer, then to the caller. */
void pc_libp2p_connection_end(struct pc_connection *connection, int result)
{
    pc_quic_close close;
    bool silent = connection->state == PC_CONNECTION_SILENT || result == NGTCP2_ERR_DRAINING ||
                  result == NGTCP2_ERR_IDLE_CLOSE || result == NGTCP2_ERR_HANDSHAKE_TIMEOUT ||
                  result == NGTCP2_ERR_DROP_CONN || result == NGTCP2_ERR_RECV_VERSION_NEGOTIATION ||
                  result == NGTCP2_ERR_VERSION_NEGOTIATION_FAILURE;
    if (result == NGTCP2_ERR_CRYPTO)
        pc_quic_close_alert(&close, ngtcp2_conn_get_tls_alert(connection->quic));
    else if (result)
        pc_quic_close_library(&close, result);
    else
        pc_quic_close_application(&close, close_code(connection));
    tell_end(connection);
    linger(connection, silent ? NULL : &close);
}

void pc_libp2p_connection_close(struct pc_connection *connection, uint64_t code)
{
    pc_quic_close close;
    for (struct pc_libp2p_queued *queued = connection->events_first; queued; queued = queued->owner_next)
        queued->muted = true;
    pc_quic_close_application(&close, code);
    linger(connection, &close);
}

void pc_libp2p_connection_unreachable(struct pc_connection *connection, peercache_outcome outcome,
                                      const char *detail)
{
    if (connection->state != PC_CONNECTION_SILENT)
        return;
    pc_libp2p_connection_condemn(connection, outcome, "%s", detail);
    pc_libp2p_connection_end(connection, 0);
}

void pc_libp2p_connection_fault(struct pc_connection *connection)
{
    int64_t now_us = connection->host->now.mono_us;
    int64_t credit_us =
        pc_base_time_add(connection->fault_credit_us, pc_base_time_sub(now_us, connection->fault_at_us));
    credit_us = pc_base_time_min(credit_us, PC_CONNECTION_FAULTS * PC_US_PER_S) - PC_US_PER_S;
    connection->fault_credit_us = credit_us;
    connection->fault_at_us = now_us;
    if (credit_us < 0)
        pc_libp2p_connection_condemn(connection, PEERCACHE_MISBEHAVED,
                                     "too many streams that came to nothing");
}
