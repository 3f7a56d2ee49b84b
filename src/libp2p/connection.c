/* One QUIC connection: connection.h. (RFC 9000, 9001, 9002.) */
#include "libp2p/connection.h"

#include "base/fsm.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* A timer that is set but never fires: the node stays in the heap, so that setting it again can't fail. */
#define FAR (PC_TIME_NEVER - 1)

static const uint32_t moves[] = {
    [PC_CONNECTION_SILENT] = PC_FSM_TO(PC_CONNECTION_HANDSHAKING) | PC_FSM_TO(PC_CONNECTION_LINGERING),
    [PC_CONNECTION_HANDSHAKING] = PC_FSM_TO(PC_CONNECTION_PROVEN) | PC_FSM_TO(PC_CONNECTION_LINGERING),
    [PC_CONNECTION_PROVEN] = PC_FSM_TO(PC_CONNECTION_OPEN) | PC_FSM_TO(PC_CONNECTION_LINGERING),
    [PC_CONNECTION_OPEN] = PC_FSM_TO(PC_CONNECTION_LINGERING),
    [PC_CONNECTION_LINGERING] = 0,
};

/* ---- addresses and paths ------------------------------------------------------------------------------- */

union address {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
};

static ngtcp2_socklen to_sockaddr(const struct pc_ip_port *from, union address *ret_address)
{
    memset(ret_address, 0, sizeof(*ret_address));
    if (from->family == 4) {
        ret_address->ip4.sin_family = AF_INET;
        ret_address->ip4.sin_port = htons(from->port);
        memcpy(&ret_address->ip4.sin_addr, from->ip, 4);
        return sizeof(ret_address->ip4);
    }
    ret_address->ip6.sin6_family = AF_INET6;
    ret_address->ip6.sin6_port = htons(from->port);
    ret_address->ip6.sin6_scope_id = from->scope_id;
    memcpy(&ret_address->ip6.sin6_addr, from->ip, 16);
    return sizeof(ret_address->ip6);
}

static void from_sockaddr(const ngtcp2_addr *from, struct pc_ip_port *ret_address)
{
    union address address;
    memset(ret_address, 0, sizeof(*ret_address));
    memset(&address, 0, sizeof(address));
    memcpy(&address, from->addr, from->addrlen < sizeof(address) ? from->addrlen : sizeof(address));
    if (address.any.sa_family == AF_INET) {
        ret_address->family = 4;
        ret_address->port = ntohs(address.ip4.sin_port);
        memcpy(ret_address->ip, &address.ip4.sin_addr, 4);
    } else {
        ret_address->family = 6;
        ret_address->port = ntohs(address.ip6.sin6_port);
        ret_address->scope_id = address.ip6.sin6_scope_id;
        memcpy(ret_address->ip, &address.ip6.sin6_addr, 16);
    }
}

struct path {
    union address local;
    union address remote;
    ngtcp2_path quic;
};

/*
 * The path of a datagram. For a dial the kernel chooses the local address, so it is the same unspecified one
 * for all its datagrams, and no change of route looks like a migration. For an inbound connection it is
 * the address that was asked; the number of the socket goes with it, so that answers leave by it.
 */
static void path_init(struct path *path, bool inbound, const struct pc_ip_port *local,
                      const struct pc_ip_port *remote, uint32_t socket)
{
    struct pc_ip_port unspecified = { .family = remote->family };
    path->quic.local.addr = &path->local.any;
    path->quic.local.addrlen = to_sockaddr(inbound && local->family ? local : &unspecified, &path->local);
    path->quic.remote.addr = &path->remote.any;
    path->quic.remote.addrlen = to_sockaddr(remote, &path->remote);
    path->quic.user_data = (void *)(uintptr_t)(inbound ? socket : PC_LIBP2P_SOCKET_ANY);
}

/* Where a datagram of this path leaves from and goes to. */
static void path_out(const struct pc_connection *connection, const ngtcp2_path *path,
                     struct pc_datagram *datagram)
{
    datagram->socket = PC_LIBP2P_SOCKET_ANY;
    datagram->local = (struct pc_ip_port){ 0 };
    if (connection->inbound) {
        static const uint8_t none[16];
        datagram->socket = (uint32_t)(uintptr_t)path->user_data;
        from_sockaddr(&path->local, &datagram->local);
        if (memcmp(datagram->local.ip, none, sizeof(none)) == 0)
            datagram->local = (struct pc_ip_port){ 0 };
    }
    from_sockaddr(&path->remote, &datagram->remote);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static void set_timer(struct pc_connection *connection, int64_t at_us)
{
    int result = pc_base_heap_set(&connection->host->connection_timers, &connection->timer,
                                  pc_base_time_min(at_us, FAR));
    assert(result == 0); /* the node is inside since the connection was made */
    (void)result;
}

static void unlist_silent(struct pc_connection *connection)
{
    struct pc_map *silent = &connection->host->silent;
    if (!connection->silent_listed)
        return;
    connection->silent_listed = false;
    struct pc_bytes key = pc_bytes_of(connection->silent_key, sizeof(connection->silent_key));
    struct pc_connection *first =
        PC_CONTAINER_OF(pc_base_map_find(silent, key), struct pc_connection, silent_node);
    if (first != connection) {
        struct pc_connection *before = first;
        while (before->silent_next != connection)
            before = before->silent_next;
        before->silent_next = connection->silent_next;
        return;
    }
    pc_base_map_remove(silent, &first->silent_node);
    if (first->silent_next) {
        int result = pc_base_map_insert(silent, &first->silent_next->silent_node);
        assert(result == 0); /* in the place of the one just removed */
        (void)result;
    }
}

static int list_silent(struct pc_connection *connection)
{
    struct pc_map *silent = &connection->host->silent;
    pc_libp2p_silent_key(&connection->remote, connection->silent_key);
    struct pc_map_node *node =
        pc_base_map_find(silent, pc_bytes_of(connection->silent_key, sizeof(connection->silent_key)));
    if (node) {
        struct pc_connection *first = PC_CONTAINER_OF(node, struct pc_connection, silent_node);
        connection->silent_next = first->silent_next;
        first->silent_next = connection;
    } else if (pc_base_map_insert(silent, &connection->silent_node)) {
        return PEERCACHE_ENOMEM;
    }
    connection->silent_listed = true;
    return 0;
}

void pc_libp2p_silent_key(const struct pc_ip_port *remote, uint8_t ret_key[PC_SILENT_KEY_BYTES])
{
    memset(ret_key, 0, PC_SILENT_KEY_BYTES);
    ret_key[0] = remote->family;
    memcpy(ret_key + 1, &remote->port, sizeof(remote->port));
    memcpy(ret_key + 3, remote->ip, remote->family == 4 ? 4 : 16);
}

/* What only a living connection has. */
static void drop_quic(struct pc_connection *connection)
{
    while (connection->streams)
        pc_libp2p_stream_free(connection->streams);
    pc_libp2p_connection_drop_tokens(connection);
    ngtcp2_conn_del(connection->quic);
    connection->quic = NULL;
    if (connection->tls)
        gnutls_deinit(connection->tls);
    connection->tls = NULL;
    pc_libp2p_queued_free(connection->opened);
    pc_libp2p_queued_free(connection->final);
    connection->opened = NULL;
    connection->final = NULL;
}

static struct pc_connection *connection_new(struct pc_libp2p_host *host, uint64_t number, bool inbound,
                                            const struct pc_ip_port *remote)
{
    struct pc_connection *connection = calloc(1, sizeof(*connection));
    if (!connection)
        return NULL;
    pc_base_heap_node_init(&connection->timer);
    connection->host = host;
    connection->number = number;
    connection->inbound = inbound;
    connection->state = inbound ? PC_CONNECTION_HANDSHAKING : PC_CONNECTION_SILENT;
    connection->remote = *remote;
    connection->started_us = host->now.mono_us;
    connection->deadline_us = PC_TIME_NEVER;
    connection->proven_us = -1;
    connection->fault_credit_us = PC_CONNECTION_FAULTS * PC_US_PER_S;
    connection->fault_at_us = host->now.mono_us;
    connection->final = calloc(1, sizeof(*connection->final));
    if (!connection->final || pc_base_map_insert(&host->numbers, &connection->number_node)) {
        free(connection->final);
        free(connection);
        return NULL;
    }
    connection->next = host->connections;
    if (connection->next)
        connection->next->previous = connection;
    host->connections = connection;
    host->alive_count++;
    return connection;
}

/* It is no more for the caller: no number, no hints. */
static void depart(struct pc_connection *connection)
{
    struct pc_libp2p_host *host = connection->host;
    unlist_silent(connection);
    pc_base_map_remove(&host->numbers, &connection->number_node);
    host->alive_count--;
    pc_base_fsm_move(moves, &connection->state, PC_CONNECTION_LINGERING);
}

void pc_libp2p_connection_free(struct pc_connection *connection)
{
    struct pc_libp2p_host *host = connection->host;
    if (connection->state != PC_CONNECTION_LINGERING)
        depart(connection);
    drop_quic(connection);
    if (connection->farewell_due)
        host->farewell_count--;
    pc_libp2p_host_unwake(host, connection);
    pc_base_heap_remove(&host->connection_timers, &connection->timer);
    pc_libp2p_connection_drop_cids(connection);
    if (connection->next)
        connection->next->previous = connection->previous;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        host->connections = connection->next;
    free(connection->farewell);
    free(connection);
}

/* ---- the end of one ------------------------------------------------------------------------------------ */

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
    path_out(connection, &storage.path, &where);
    connection->farewell_local = where.local;
    connection->farewell_socket = where.socket;
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
    depart(connection);
    drop_quic(connection);
    if (!heard && !connection->farewell) {
        pc_libp2p_connection_free(connection);
        return;
    }
    set_timer(connection,
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
    pc_libp2p_host_queue_event(host, final);
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
               code == NGTCP2_CONNECTION_REFUSED || code == NGTCP2_APPLICATION_ERROR) {
        pc_libp2p_connection_condemn(connection, PEERCACHE_REFUSED,
                                     "the peer refused the connection (%s %llu)",
                                     application ? "application code" : "transport code", shown);
    } else {
        pc_libp2p_connection_condemn(connection, PEERCACHE_MISBEHAVED,
                                     "the peer closed with transport error %llu", shown);
    }
}

static void condemn_for(struct pc_connection *connection, int result)
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

/* Say why to the peer, then to the caller. */
static void end(struct pc_connection *connection, int result)
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
        pc_quic_close_application(&close, connection->outcome == PEERCACHE_TIMEOUT ? 0 : PC_CLOSE_CODE_FAULT);
    tell_end(connection);
    linger(connection, silent ? NULL : &close);
}

void pc_libp2p_connection_close(struct pc_connection *connection, uint64_t code)
{
    pc_quic_close close;
    pc_quic_close_application(&close, code);
    linger(connection, &close);
}

void pc_libp2p_connection_unreachable(struct pc_connection *connection, peercache_outcome outcome,
                                      const char *detail)
{
    if (connection->state != PC_CONNECTION_SILENT)
        return;
    pc_libp2p_connection_condemn(connection, outcome, "%s", detail);
    end(connection, 0);
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

/* ---- its course ---------------------------------------------------------------------------------------- */

void pc_libp2p_connection_identified(struct pc_connection *connection, struct pc_bytes message)
{
    struct pc_libp2p_queued *opened = calloc(1, sizeof(*opened));
    uint8_t *copy = malloc(message.size ? message.size : 1);
    if (!opened || !copy) {
        free(opened);
        free(copy);
        pc_libp2p_connection_condemn(connection, PEERCACHE_CANCELLED, "out of memory");
        return;
    }
    if (message.size > 0)
        memcpy(copy, message.data, message.size);
    opened->blob = copy;
    opened->message = pc_bytes_of(copy, message.size);
    connection->opened = opened;
}

static void ask_identify(struct pc_connection *connection)
{
    struct pc_libp2p_host *host = connection->host;
    struct pc_stream *stream = pc_libp2p_stream_new(connection, true, -1);
    if (!stream || pc_libp2p_protocol_start(stream, PC_SPEAKS_IDENTIFY, (struct pc_bytes){ NULL, 0 }, NULL)) {
        pc_libp2p_connection_condemn(connection, PEERCACHE_CANCELLED, "out of memory");
        return;
    }
    if (connection->inbound) /* a dial has its own deadline */
        pc_libp2p_stream_set_deadline(stream,
                                      pc_base_time_add(host->now.mono_us, host->options.stream_timeout_us));
    connection->stream_allowed = true;
}

/* Streams that waited for the peer's leave are opened; those that were given up meanwhile are dropped. */
static void open_waiting(struct pc_connection *connection)
{
    struct pc_stream *next;
    connection->stream_allowed = false;
    for (struct pc_stream *stream = connection->streams; stream; stream = next) {
        int64_t id;
        next = stream->next;
        if (stream->id >= 0)
            continue;
        if (stream->shut) {
            pc_libp2p_stream_free(stream);
            continue;
        }
        int result = ngtcp2_conn_open_bidi_stream(connection->quic, &id, stream);
        if (result == NGTCP2_ERR_STREAM_ID_BLOCKED)
            return; /* the callback says when there is room */
        if (result) {
            pc_libp2p_connection_condemn(connection, PEERCACHE_CANCELLED, "out of memory");
            return;
        }
        pc_libp2p_stream_opened(stream, id);
    }
}

static void become_proven(struct pc_connection *connection)
{
    if (!pc_libp2p_tls_accepted(connection))
        return;
    pc_base_fsm_move(moves, &connection->state, PC_CONNECTION_PROVEN);
    connection->proven_us = connection->host->now.mono_us - connection->started_us;
    ask_identify(connection);
}

static void become_open(struct pc_connection *connection)
{
    struct pc_libp2p_queued *opened = connection->opened;
    connection->opened = NULL;
    pc_base_fsm_move(moves, &connection->state, PC_CONNECTION_OPEN);
    connection->deadline_us = PC_TIME_NEVER;
    opened->event.kind = PC_LIBP2P_OPENED;
    opened->event.connection = connection->number;
    opened->event.outcome = PEERCACHE_OK;
    opened->event.id = connection->id;
    opened->event.remote = connection->remote;
    opened->event.proven_us = connection->proven_us;
    opened->event.rtt_us = pc_quic_smoothed_rtt_us(connection->quic);
    pc_libp2p_host_queue_event(connection->host, opened);
}

void pc_libp2p_connection_settle(struct pc_connection *connection, int result)
{
    if (result)
        condemn_for(connection, result);
    if (!connection->condemned && connection->handshaken && connection->state == PC_CONNECTION_HANDSHAKING)
        become_proven(connection);
    if (!connection->condemned && connection->stream_allowed)
        open_waiting(connection);
    if (!connection->condemned && connection->confirmed && connection->opened &&
        connection->state == PC_CONNECTION_PROVEN)
        become_open(connection);
    if (connection->condemned) {
        end(connection, result);
        return;
    }
    if (connection->confirmed && connection->tls && connection->state >= PC_CONNECTION_PROVEN) {
        gnutls_deinit(connection->tls); /* tens of kilobytes; keys live on in ngtcp2's contexts */
        connection->tls = NULL;
        ngtcp2_conn_set_tls_native_handle(connection->quic, NULL);
    }
    pc_libp2p_host_wake(connection->host, connection);
}

int pc_libp2p_connection_request(struct pc_connection *connection, enum pc_protocol protocol,
                                 uint64_t request, struct pc_bytes message, int64_t deadline_us)
{
    struct pc_libp2p_queued *result = calloc(1, sizeof(*result));
    struct pc_stream *stream = result ? pc_libp2p_stream_new(connection, true, -1) : NULL;
    if (!stream || pc_libp2p_protocol_start(stream, protocol, message, result)) {
        pc_libp2p_stream_free(stream);
        free(result);
        return PEERCACHE_ENOMEM;
    }
    result->event.connection = connection->number;
    result->event.request = request;
    result->event.id = connection->id;
    result->event.remote = connection->remote;
    result->event.proven_us = -1;
    result->event.rtt_us = -1;
    pc_libp2p_stream_set_deadline(stream, deadline_us);
    connection->stream_allowed = true;
    pc_libp2p_connection_settle(connection, 0);
    return 0;
}

/* ---- datagrams and time -------------------------------------------------------------------------------- */

static void settings_init(struct pc_connection *connection, ngtcp2_settings *settings,
                          ngtcp2_transport_params *params)
{
    struct pc_libp2p_host *host = connection->host;
    ngtcp2_settings_default(settings);
    settings->initial_ts = pc_libp2p_host_ts(host);
    settings->rand_ctx.native_handle = &host->options.rng;
    settings->no_pmtud = 1; /* our messages are small; probing costs two of seven packets of a handshake */
    settings->handshake_timeout = connection->inbound ? PC_CONNECTION_HANDSHAKE_US * NGTCP2_MICROSECONDS
                                                      : UINT64_MAX; /* a dial has its own deadline */
    ngtcp2_transport_params_default(params);
    params->initial_max_data = PC_CONNECTION_WINDOW;
    params->initial_max_stream_data_bidi_local = PC_STREAM_LOCAL_WINDOW;
    params->initial_max_stream_data_bidi_remote = PC_STREAM_REMOTE_WINDOW;
    params->initial_max_streams_bidi = host->options.streams_max;
    params->max_idle_timeout = (uint64_t)host->options.idle_timeout_us * NGTCP2_MICROSECONDS;
    params->active_connection_id_limit = PC_CONNECTION_CID_LIMIT;
}

int pc_libp2p_connection_dial(struct pc_libp2p_host *host, uint64_t number, const struct pc_ip_port *remote,
                              const struct pc_peer_id *expected, int64_t deadline_us)
{
    ngtcp2_callbacks callbacks;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    struct path path;
    ngtcp2_cid source;
    ngtcp2_cid destination;
    struct pc_connection *connection = connection_new(host, number, false, remote);
    if (!connection)
        return PEERCACHE_ENOMEM;
    if (expected)
        connection->expected = *expected;
    connection->deadline_us = deadline_us;
    settings_init(connection, &settings, &params);
    pc_libp2p_callbacks_init(&callbacks, false);
    path_init(&path, false, NULL, remote, PC_LIBP2P_SOCKET_ANY);
    pc_libp2p_host_new_cid(host, &source);
    destination.datalen = 18;
    pc_base_rng_bytes(&host->options.rng, destination.data, destination.datalen);
    if (pc_base_heap_set(&host->connection_timers, &connection->timer, FAR) ||
        pc_libp2p_connection_add_cid(connection, &source) || list_silent(connection) ||
        ngtcp2_conn_client_new(&connection->quic, &destination, &source, &path.quic, NGTCP2_PROTO_VER_V1,
                               &callbacks, &settings, &params, NULL, connection) ||
        pc_libp2p_tls_new(connection)) {
        pc_libp2p_connection_free(connection);
        return PEERCACHE_ENOMEM;
    }
    pc_libp2p_host_wake(host, connection);
    return 0;
}

static int read_datagram(struct pc_connection *connection, const struct pc_datagram *datagram)
{
    struct path path;
    ngtcp2_pkt_info info = { .ecn = datagram->ecn };
    path_init(&path, connection->inbound, &datagram->local, &datagram->remote, datagram->socket);
    return ngtcp2_conn_read_pkt(connection->quic, &path.quic, &info, datagram->data, datagram->size,
                                pc_libp2p_host_ts(connection->host));
}

void pc_libp2p_connection_accept(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                                 const ngtcp2_pkt_hd *header)
{
    ngtcp2_callbacks callbacks;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    struct path path;
    ngtcp2_cid source;
    struct pc_connection *connection =
        connection_new(host, PC_LIBP2P_INBOUND | host->next_inbound++, true, &datagram->remote);
    if (!connection)
        return; /* the client will ask again */
    settings_init(connection, &settings, &params);
    pc_libp2p_callbacks_init(&callbacks, true);
    path_init(&path, true, &datagram->local, &datagram->remote, datagram->socket);
    pc_libp2p_host_new_cid(host, &source);
    pc_quic_set_original_dcid(&params, &header->dcid);
    params.stateless_reset_token_present = 1;
    pc_libp2p_host_reset_token(host, source.data, source.datalen, params.stateless_reset_token);
    if (pc_base_heap_set(&host->connection_timers, &connection->timer, FAR) ||
        pc_libp2p_connection_add_cid(connection, &source) ||
        pc_libp2p_connection_add_cid(connection, &header->dcid) ||
        ngtcp2_conn_server_new(&connection->quic, &header->scid, &source, &path.quic, header->version,
                               &callbacks, &settings, &params, NULL, connection) ||
        pc_libp2p_tls_new(connection)) {
        pc_libp2p_connection_free(connection);
        return;
    }
    int result = read_datagram(connection, datagram);
    if (result == NGTCP2_ERR_DROP_CONN || result == NGTCP2_ERR_RETRY)
        pc_libp2p_connection_free(connection); /* not a client's first packet after all */
    else
        pc_libp2p_connection_settle(connection, result);
}

void pc_libp2p_connection_receive(struct pc_connection *connection, const struct pc_datagram *datagram)
{
    struct pc_libp2p_host *host = connection->host;
    if (connection->state == PC_CONNECTION_LINGERING) {
        uint32_t asked = ++connection->farewell_asked;
        if (connection->farewell && !connection->farewell_due && (asked & (asked - 1)) == 0) {
            connection->farewell_due = true; /* the 1st, 2nd, 4th, 8th … are answered */
            host->farewell_count++;
            pc_libp2p_host_wake(host, connection);
        }
        return;
    }
    if (!connection->inbound && !pc_addr_ip_port_equal(&connection->remote, &datagram->remote))
        return; /* a server does not move (RFC 9000 section 9) */
    if (connection->state == PC_CONNECTION_SILENT) {
        pc_base_fsm_move(moves, &connection->state, PC_CONNECTION_HANDSHAKING);
        unlist_silent(connection);
    }
    int result = read_datagram(connection, datagram);
    for (struct pc_stream *stream = connection->streams; stream; stream = stream->next)
        pc_libp2p_stream_unblock(stream);
    pc_libp2p_connection_settle(connection, result);
}

static bool deadline_passed(const struct pc_connection *connection)
{
    return connection->host->now.mono_us >= connection->deadline_us;
}

static void condemn_late(struct pc_connection *connection)
{
    switch ((enum pc_connection_state)connection->state) {
    case PC_CONNECTION_SILENT:
        pc_libp2p_connection_condemn(connection, PEERCACHE_TIMEOUT, "no answer");
        break;
    case PC_CONNECTION_HANDSHAKING:
        pc_libp2p_connection_condemn(connection, PEERCACHE_TIMEOUT, "the handshake was not done in time");
        break;
    case PC_CONNECTION_PROVEN:
        pc_libp2p_connection_condemn(connection, PEERCACHE_TIMEOUT,
                                     connection->opened ? "the handshake was not confirmed in time"
                                                        : "identify was not answered in time");
        break;
    case PC_CONNECTION_OPEN:
    case PC_CONNECTION_LINGERING:
        break;
    }
}

void pc_libp2p_connection_expire(struct pc_connection *connection)
{
    set_timer(connection, FAR); /* set again when it has nothing more to send */
    if (connection->state == PC_CONNECTION_LINGERING) {
        pc_libp2p_connection_free(connection);
        return;
    }
    int result = 0;
    if (deadline_passed(connection))
        condemn_late(connection);
    else
        result = ngtcp2_conn_handle_expiry(connection->quic, pc_libp2p_host_ts(connection->host));
    pc_libp2p_connection_settle(connection, result);
}

/*
 * One packet from the streams that have something to write, or what ngtcp2 has to say itself. Returns its
 * bytes, 0 none, or ngtcp2's error.
 *
 * There is no pacing on purpose: without ngtcp2_conn_update_pkt_tx_time() ngtcp2 sends as the congestion
 * window allows. What we send is small (the largest answer is about the initial window, the burst that
 * RFC 9002 section 7.7 permits), and a paced flight of the handshake would be late by a part of the round
 * trip.
 */
static ngtcp2_ssize write_packet(struct pc_connection *connection, ngtcp2_path *path, ngtcp2_pkt_info *info,
                                 uint8_t *data, size_t capacity)
{
    for (;;) {
        ngtcp2_vec vectors[PC_STREAM_VECTORS];
        struct pc_stream *stream = connection->write_first;
        bool finish = false;
        size_t count = stream ? pc_libp2p_stream_pending(stream, vectors, &finish) : 0;
        uint32_t flags = (stream ? NGTCP2_WRITE_STREAM_FLAG_MORE : NGTCP2_WRITE_STREAM_FLAG_NONE) |
                         (finish ? NGTCP2_WRITE_STREAM_FLAG_FIN : NGTCP2_WRITE_STREAM_FLAG_NONE);
        ngtcp2_ssize taken = -1;
        ngtcp2_ssize size = ngtcp2_conn_writev_stream(
            connection->quic, path, info, data, capacity, &taken, flags, stream ? stream->id : -1,
            count > 0 ? vectors : NULL, count, pc_libp2p_host_ts(connection->host));
        if (stream && taken >= 0) {
            size_t offered = 0;
            for (size_t i = 0; i < count; i++)
                offered += vectors[i].len;
            pc_libp2p_stream_written(stream, (size_t)taken, finish && (size_t)taken == offered);
        }
        if (size >= 0)
            return size;
        if (size == NGTCP2_ERR_WRITE_MORE)
            continue;
        if (stream && (size == NGTCP2_ERR_STREAM_DATA_BLOCKED || size == NGTCP2_ERR_STREAM_SHUT_WR ||
                       size == NGTCP2_ERR_STREAM_NOT_FOUND)) {
            pc_libp2p_stream_block(stream); /* shut and gone ones are freed when ngtcp2 closes them */
            continue;
        }
        return size;
    }
}

bool pc_libp2p_connection_write(struct pc_connection *connection, struct pc_datagram *datagram)
{
    struct pc_libp2p_host *host = connection->host;
    if (connection->state == PC_CONNECTION_LINGERING) {
        pc_libp2p_host_unwake(host, connection);
        if (!connection->farewell_due)
            return false;
        connection->farewell_due = false;
        host->farewell_count--;
        datagram->socket = connection->farewell_socket;
        datagram->local = connection->farewell_local;
        datagram->remote = connection->remote;
        datagram->ecn = 0;
        datagram->size = connection->farewell_size;
        memcpy(datagram->data, connection->farewell, connection->farewell_size);
        return true;
    }
    ngtcp2_path_storage storage;
    ngtcp2_pkt_info info = { 0 };
    ngtcp2_path_storage_zero(&storage);
    ngtcp2_ssize size = write_packet(connection, &storage.path, &info, datagram->data, datagram->size);
    if (size < 0) {
        pc_libp2p_connection_settle(connection, (int)size);
        return false;
    }
    if (size == 0) {
        pc_libp2p_host_unwake(host, connection);
        int64_t expiry_us = pc_libp2p_host_from_ts(host, ngtcp2_conn_get_expiry(connection->quic));
        set_timer(connection, pc_base_time_min(expiry_us, connection->deadline_us));
        return false;
    }
    path_out(connection, &storage.path, datagram);
    datagram->ecn = (uint8_t)info.ecn;
    datagram->size = (size_t)size;
    return true;
}
