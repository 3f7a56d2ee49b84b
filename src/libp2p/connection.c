/* One QUIC connection: connection.h. (RFC 9000, 9001, 9002.) */
#include "libp2p/connection.h"

#include "base/fsm.h"
#include "libp2p/admission.h"
#include "libp2p/path.h"
#include "libp2p/shedding.h"
#include "libp2p/talk.h"

#include <assert.h>
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

/* ---- life ---------------------------------------------------------------------------------------------- */

void pc_libp2p_connection_set_timer(struct pc_connection *connection, int64_t at_us)
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
    pc_libp2p_queued_free(connection->pushed);
    pc_libp2p_queued_free(connection->final);
    connection->opened = NULL;
    connection->pushed = NULL;
    connection->final = NULL;
}

static struct pc_netgroup group_of(const struct pc_libp2p_host *host, const struct pc_ip_port *remote)
{
    return pc_addr_netgroup_of_ip_port(remote, host->options.mode);
}

struct pc_account *pc_libp2p_host_group(struct pc_libp2p_host *host, const struct pc_ip_port *remote)
{
    struct pc_netgroup group = group_of(host, remote);
    return pc_libp2p_accounts_find(&host->groups, pc_bytes_of(group.bytes, group.size));
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
    connection->over_at_us = host->now.mono_us;
    connection->used_us = host->now.mono_us;
    struct pc_netgroup group = group_of(host, remote);
    connection->push_bucket.at_us = host->now.mono_us;
    connection->final = calloc(1, sizeof(*connection->final));
    connection->group =
        pc_libp2p_accounts_hold(&host->groups, pc_bytes_of(group.bytes, group.size), host->now.mono_us);
    if (!connection->final || !connection->group ||
        pc_base_map_insert(&host->numbers, &connection->number_node)) {
        pc_libp2p_accounts_let_go(&host->groups, connection->group, host->now.mono_us);
        free(connection->final);
        free(connection);
        return NULL;
    }
    connection->group->connections += inbound;
    connection->next = host->connections;
    if (connection->next)
        connection->next->previous = connection;
    host->connections = connection;
    host->alive_count++;
    return connection;
}

void pc_libp2p_connection_depart(struct pc_connection *connection)
{
    struct pc_libp2p_host *host = connection->host;
    unlist_silent(connection);
    pc_base_map_remove(&host->numbers, &connection->number_node);
    host->alive_count--;
    host->lingering_count++;
    pc_libp2p_admission_unlist(connection);
    while (connection->events_first) { /* they are still told */
        connection->events_first->owner = NULL;
        connection->events_first = connection->events_first->owner_next;
    }
    connection->events_last = NULL;
    pc_base_fsm_move(moves, &connection->state, PC_CONNECTION_LINGERING);
    drop_quic(connection);
    pc_libp2p_shedding_departed(connection);
}

void pc_libp2p_connection_free(struct pc_connection *connection)
{
    struct pc_libp2p_host *host = connection->host;
    if (connection->state != PC_CONNECTION_LINGERING)
        pc_libp2p_connection_depart(connection);
    pc_libp2p_admission_leave(connection);
    host->lingering_count--;
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
    if (host->hand == connection)
        host->hand = connection->next;
    pc_libp2p_accounts_let_go(&host->groups, connection->group, host->now.mono_us);
    free(connection->farewell);
    free(connection);
}

/* ---- its course ---------------------------------------------------------------------------------------- */

void pc_libp2p_connection_pushed(struct pc_connection *connection, struct pc_libp2p_queued *pushed)
{
    pushed->event.kind = PC_LIBP2P_IDENTIFIED;
    pushed->event.connection = connection->number;
    pushed->event.id = connection->id;
    pushed->event.remote = connection->remote;
    pushed->event.proven_us = -1;
    pushed->event.rtt_us = -1;
    if (connection->state == PC_CONNECTION_OPEN) {
        pc_libp2p_host_queue_event(connection, pushed);
        return;
    }
    pc_libp2p_queued_free(connection->pushed); /* the newest counts */
    connection->pushed = pushed;
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
    pc_libp2p_admission_leave(connection);
    if (pc_libp2p_shedding_proven(connection))
        pc_libp2p_connection_condemn(connection, PEERCACHE_CANCELLED, "out of memory");
    if (connection->condemned)
        return;
    connection->proven_us = connection->host->now.mono_us - connection->started_us;
    if (connection->dials_back)
        pc_libp2p_autonat_connected(connection);
    else
        ask_identify(connection);
}

/* When it will have been unused for too long, if nothing is asked until then. */
static int64_t unused_at_us(const struct pc_connection *connection)
{
    int64_t timeout_us = connection->host->options.unused_timeout_us;
    return timeout_us > 0 ? pc_base_time_add(connection->used_us, timeout_us) : PC_TIME_NEVER;
}

void pc_libp2p_connection_keep(struct pc_connection *connection, bool keep)
{
    if (connection->kept == keep)
        return;
    connection->kept = keep;
    connection->used_us = connection->host->now.mono_us; /* who is needed no more still has its time */
    uint64_t after_us = PC_CONNECTION_KEEP_ALIVE_US;
    uint64_t idle_us = (uint64_t)connection->host->options.idle_timeout_us;
    const ngtcp2_transport_params *theirs = ngtcp2_conn_get_remote_transport_params(connection->quic);
    if (theirs && theirs->max_idle_timeout > 0 && theirs->max_idle_timeout / NGTCP2_MICROSECONDS < idle_us)
        idle_us = theirs->max_idle_timeout / NGTCP2_MICROSECONDS;
    if (after_us > idle_us / 2)
        after_us = idle_us / 2;
    pc_quic_set_keep_alive(connection->quic, keep ? after_us * NGTCP2_MICROSECONDS : 0);
    pc_libp2p_host_wake(connection->host, connection); /* its timer is another now */
}

static void become_open(struct pc_connection *connection)
{
    struct pc_libp2p_queued *opened = connection->opened;
    connection->opened = NULL;
    pc_base_fsm_move(moves, &connection->state, PC_CONNECTION_OPEN);
    connection->used_us = connection->host->now.mono_us;
    connection->deadline_us = unused_at_us(connection);
    opened->event.kind = PC_LIBP2P_OPENED;
    opened->event.connection = connection->number;
    opened->event.outcome = PEERCACHE_OK;
    opened->event.id = connection->id;
    opened->event.remote = connection->remote;
    opened->event.proven_us = connection->proven_us;
    opened->event.rtt_us = pc_quic_smoothed_rtt_us(connection->quic);
    pc_libp2p_host_queue_event(connection, opened);
    if (connection->pushed)
        pc_libp2p_host_queue_event(connection, connection->pushed);
    connection->pushed = NULL;
}

void pc_libp2p_connection_settle(struct pc_connection *connection, int result)
{
    if (result)
        pc_libp2p_connection_condemn_for(connection, result);
    if (!connection->condemned && connection->handshaken && connection->state == PC_CONNECTION_HANDSHAKING)
        become_proven(connection);
    if (!connection->condemned && connection->stream_allowed)
        open_waiting(connection);
    if (!connection->condemned && connection->confirmed && connection->opened &&
        connection->state == PC_CONNECTION_PROVEN)
        become_open(connection);
    if (connection->condemned) {
        pc_libp2p_connection_end(connection, result);
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
    connection->used_us = connection->host->now.mono_us;
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

/* Of a new ngtcp2 connection: when memory is out, it leaves a pointer to what it has freed again. */
static int made_or_none(struct pc_connection *connection, int result)
{
    if (result)
        connection->quic = NULL;
    return result;
}

static int dial(struct pc_libp2p_host *host, uint64_t number, uint64_t dials_back,
                const struct pc_ip_port *remote, const struct pc_peer_id *expected, int64_t deadline_us)
{
    ngtcp2_callbacks callbacks;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    struct pc_path path;
    ngtcp2_cid source;
    ngtcp2_cid destination;
    struct pc_connection *connection = connection_new(host, number, false, remote);
    if (!connection)
        return PEERCACHE_ENOMEM;
    connection->dials_back = dials_back;
    if (expected)
        connection->expected = *expected;
    connection->deadline_us = deadline_us;
    settings_init(connection, &settings, &params);
    pc_libp2p_callbacks_init(&callbacks, false);
    pc_libp2p_path_init(&path, false, NULL, remote, PC_LIBP2P_SOCKET_ANY);
    pc_libp2p_host_new_cid(host, &source);
    destination.datalen = 18;
    pc_base_rng_bytes(&host->options.rng, destination.data, destination.datalen);
    if (pc_base_heap_set(&host->connection_timers, &connection->timer, FAR) ||
        pc_libp2p_connection_add_cid(connection, &source) || list_silent(connection) ||
        made_or_none(connection, ngtcp2_conn_client_new(&connection->quic, &destination, &source, &path.quic,
                                                        NGTCP2_PROTO_VER_V1, &callbacks, &settings, &params,
                                                        &host->quic_memory.functions, connection)) ||
        pc_libp2p_tls_new(connection)) {
        pc_libp2p_connection_free(connection);
        return PEERCACHE_ENOMEM;
    }
    pc_libp2p_host_wake(host, connection);
    return 0;
}

int pc_libp2p_connection_dial(struct pc_libp2p_host *host, uint64_t number, const struct pc_ip_port *remote,
                              const struct pc_peer_id *expected, int64_t deadline_us)
{
    return dial(host, number, 0, remote, expected, deadline_us);
}

int pc_libp2p_connection_dial_back(struct pc_libp2p_host *host, const struct pc_ip_port *remote,
                                   const struct pc_peer_id *expected, uint64_t asked, int64_t deadline_us)
{
    if ((remote->family != 4 && remote->family != 6) || remote->port == 0)
        return PEERCACHE_EINVAL;
    return dial(host, PC_LIBP2P_OUR_DIAL | ++host->next_dial_back, asked, remote, expected, deadline_us);
}

static int read_datagram(struct pc_connection *connection, const struct pc_datagram *datagram)
{
    struct pc_path path;
    ngtcp2_pkt_info info = { .ecn = datagram->ecn };
    pc_libp2p_path_init(&path, connection->inbound, &datagram->local, &datagram->remote, datagram->socket);
    return ngtcp2_conn_read_pkt(connection->quic, &path.quic, &info, datagram->data, datagram->size,
                                pc_libp2p_host_ts(connection->host));
}

void pc_libp2p_connection_accept(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                                 const ngtcp2_pkt_hd *header, const ngtcp2_cid *retried)
{
    ngtcp2_callbacks callbacks;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    struct pc_path path;
    ngtcp2_cid source;
    struct pc_connection *connection =
        connection_new(host, PC_LIBP2P_INBOUND | host->next_inbound++, true, &datagram->remote);
    if (!connection)
        return; /* the client will ask again */
    settings_init(connection, &settings, &params);
    pc_libp2p_callbacks_init(&callbacks, true);
    pc_libp2p_path_init(&path, true, &datagram->local, &datagram->remote, datagram->socket);
    pc_libp2p_host_new_cid(host, &source);
    pc_quic_set_original_dcid(&params, retried ? retried : &header->dcid);
    if (retried) { /* the client holds us to both ids, so that nobody else can have sent the Retry */
        params.retry_scid = header->dcid;
        params.retry_scid_present = 1;
        pc_quic_set_retry_token(&settings, pc_quic_token(header));
    }
    pc_libp2p_admission_enter(connection, !retried);
    params.stateless_reset_token_present = 1;
    pc_libp2p_host_reset_token(host, source.data, source.datalen, params.stateless_reset_token);
    if (pc_base_heap_set(&host->connection_timers, &connection->timer, FAR) ||
        pc_libp2p_connection_add_cid(connection, &source) ||
        pc_libp2p_connection_add_cid(connection, &header->dcid) ||
        made_or_none(connection, ngtcp2_conn_server_new(&connection->quic, &header->scid, &source, &path.quic,
                                                        header->version, &callbacks, &settings, &params,
                                                        &host->quic_memory.functions, connection)) ||
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

/* Whether a stream is at work; each of those has a deadline. */
static bool is_asked_or_asking(const struct pc_connection *connection)
{
    for (const struct pc_stream *stream = connection->streams; stream; stream = stream->next)
        if (stream->talk.state != PC_TALK_DONE)
            return true;
    return false;
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
        if (connection->kept || is_asked_or_asking(connection))
            connection->used_us = connection->host->now.mono_us;
        connection->deadline_us = unused_at_us(connection);
        if (deadline_passed(connection))
            pc_libp2p_connection_condemn(connection, PEERCACHE_TIMEOUT, "unused for too long");
        break;
    case PC_CONNECTION_LINGERING:
        break;
    }
}

void pc_libp2p_connection_expire(struct pc_connection *connection)
{
    pc_libp2p_connection_set_timer(connection, FAR); /* set again when it has nothing more to send */
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
        pc_libp2p_connection_set_timer(connection, pc_base_time_min(expiry_us, connection->deadline_us));
        return false;
    }
    pc_libp2p_path_out(connection->inbound, &storage.path, datagram);
    if (connection->dials_back)
        datagram->socket = PC_LIBP2P_SOCKET_APART;
    datagram->ecn = (uint8_t)info.ecn;
    datagram->size = (size_t)size;
    return true;
}
