/* The public face of the room: host.h. Maps, timers and the queues out. */
#include "libp2p/host.h"

#include "libp2p/admission.h"
#include "libp2p/connection.h"
#include "libp2p/host_state.h"
#include "libp2p/loose.h"
#include "libp2p/protocol.h"
#include "libp2p/talk.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* TLS 1.3 with the suites, and the groups, that all libp2p implementations have. */
#define PRIORITY                                                                                             \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"                \
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%DISABLE_TLS13_COMPAT_MODE"

#define STREAMS_MAX_LIMIT 1024

void pc_libp2p_options_init(struct pc_libp2p_options *options)
{
    memset(options, 0, sizeof(*options));
    options->agent = "peercache/0.1.0";
    options->connections_max = 1000;
    options->streams_max = 32;
    options->stream_timeout_us = 10 * PC_US_PER_S;
    options->idle_timeout_us = 30 * PC_US_PER_S;
    pc_libp2p_limits_init(&options->limits);
}

static struct pc_bytes cid_key(const struct pc_map_node *node)
{
    const struct pc_connection_cid *entry = PC_CONST_CONTAINER_OF(node, struct pc_connection_cid, node);
    return pc_bytes_of(entry->cid.data, entry->cid.datalen);
}

static struct pc_bytes token_key(const struct pc_map_node *node)
{
    const struct pc_connection_token *entry = PC_CONST_CONTAINER_OF(node, struct pc_connection_token, node);
    return pc_bytes_of(entry->token, sizeof(entry->token));
}

static struct pc_bytes number_key(const struct pc_map_node *node)
{
    const struct pc_connection *connection = PC_CONST_CONTAINER_OF(node, struct pc_connection, number_node);
    return pc_bytes_of(&connection->number, sizeof(connection->number));
}

static struct pc_bytes silent_key(const struct pc_map_node *node)
{
    const struct pc_connection *connection = PC_CONST_CONTAINER_OF(node, struct pc_connection, silent_node);
    return pc_bytes_of(connection->silent_key, sizeof(connection->silent_key));
}

static struct pc_bytes ask_key(const struct pc_map_node *node)
{
    const struct pc_stream *stream = PC_CONST_CONTAINER_OF(node, struct pc_stream, talk.ask);
    return pc_bytes_of(&stream->talk.asked, sizeof(stream->talk.asked));
}

static struct pc_bytes nonce_key(const struct pc_map_node *node)
{
    const struct pc_stream *stream = PC_CONST_CONTAINER_OF(node, struct pc_stream, talk.by_nonce);
    return pc_bytes_of(&stream->talk.nonce, sizeof(stream->talk.nonce));
}

static int copy_text(char *to, size_t capacity, const char *from)
{
    size_t length = from ? strlen(from) : 0;
    if (length == 0 || length >= capacity)
        return PEERCACHE_EINVAL;
    memcpy(to, from, length + 1);
    return 0;
}

int pc_libp2p_host_new(const struct pc_libp2p_options *options, struct pc_libp2p_host **ret_host)
{
    uint8_t secret[16];
    if (!options->identity || options->streams_max == 0 || options->streams_max > STREAMS_MAX_LIMIT ||
        options->connections_max == 0 || options->stream_timeout_us <= 0 || options->idle_timeout_us <= 0)
        return PEERCACHE_EINVAL;
    if (sodium_init() < 0)
        return PEERCACHE_ECRYPTO;
    struct pc_libp2p_host *host = calloc(1, sizeof(*host));
    if (!host)
        return PEERCACHE_ENOMEM;
    host->options = *options;
    if (copy_text(host->kad_protocol, sizeof(host->kad_protocol), options->kad_protocol) ||
        copy_text(host->agent, sizeof(host->agent), options->agent)) {
        free(host);
        return PEERCACHE_EINVAL;
    }
    host->options.kad_protocol = host->kad_protocol;
    host->options.agent = host->agent;
    host->options.accept_inbound = options->accept_inbound || options->server;
    if (gnutls_priority_init(&host->priority, PRIORITY, NULL)) {
        free(host);
        return PEERCACHE_ECRYPTO;
    }
    pc_base_rng_bytes(&host->options.rng, host->secret, sizeof(host->secret));
    pc_base_rng_bytes(&host->options.rng, secret, sizeof(secret));
    pc_base_map_init(&host->cids, cid_key, secret);
    pc_base_map_init(&host->tokens, token_key, secret);
    pc_base_map_init(&host->numbers, number_key, secret);
    pc_base_map_init(&host->silent, silent_key, secret);
    pc_base_map_init(&host->asks, ask_key, secret);
    pc_libp2p_accounts_init(&host->groups, secret);
    pc_libp2p_accounts_init(&host->peers, secret);
    pc_base_map_init(&host->nonces, nonce_key, secret);
    pc_libp2p_quic_memory_init(&host->quic_memory);
    pc_base_heap_init(&host->connection_timers);
    pc_base_heap_init(&host->stream_timers);
    pc_libp2p_loose_init(host);
    *ret_host = host;
    return 0;
}

void pc_libp2p_host_free(struct pc_libp2p_host *host)
{
    if (!host)
        return;
    while (host->connections)
        pc_libp2p_connection_free(host->connections);
    while (host->events_first) {
        struct pc_libp2p_queued *queued = host->events_first;
        host->events_first = queued->next;
        pc_libp2p_queued_free(queued);
    }
    pc_libp2p_queued_free(host->taken);
    pc_libp2p_loose_deinit(host);
    pc_base_map_deinit(&host->cids);
    pc_base_map_deinit(&host->tokens);
    pc_base_map_deinit(&host->numbers);
    pc_base_map_deinit(&host->silent);
    pc_base_map_deinit(&host->asks);
    pc_libp2p_accounts_deinit(&host->groups);
    pc_libp2p_accounts_deinit(&host->peers);
    pc_base_map_deinit(&host->nonces);
    pc_base_heap_deinit(&host->connection_timers);
    pc_base_heap_deinit(&host->stream_timers);
    pc_libp2p_quic_memory_deinit(&host->quic_memory);
    gnutls_priority_deinit(host->priority);
    sodium_memzero(host->secret, sizeof(host->secret));
    free(host);
}

int pc_libp2p_host_set_addrs(struct pc_libp2p_host *host, const struct pc_maddr *addrs, size_t count)
{
    if (count > PC_LIBP2P_LISTEN_ADDRS_MAX)
        return PEERCACHE_ELIMIT;
    if (count > 0)
        memcpy(host->addrs, addrs, count * sizeof(*addrs));
    host->addr_count = count;
    host->record_current = false;
    return 0;
}

static void set_now(struct pc_libp2p_host *host, peercache_time now)
{
    if (!host->started) {
        host->started = true;
        host->origin_us = now.mono_us;
        host->now = now;
    }
    host->now.wall_ms = now.wall_ms;
    host->now.mono_us = pc_base_time_max(host->now.mono_us, now.mono_us);
}

static bool announces(const struct pc_libp2p_host *host, bool server, const struct pc_maddr *addrs,
                      size_t count)
{
    if (host->options.server != server || host->addr_count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!pc_bytes_equal(pc_addr_maddr_bytes(&host->addrs[i]), pc_addr_maddr_bytes(&addrs[i])))
            return false;
    return true;
}

int pc_libp2p_host_announce(struct pc_libp2p_host *host, peercache_time now, bool server,
                            const struct pc_maddr *addrs, size_t count)
{
    struct pc_connection *next;
    set_now(host, now);
    if (announces(host, server, addrs, count))
        return 0;
    int result = pc_libp2p_host_set_addrs(host, addrs, count);
    if (result)
        return result;
    host->options.server = server;
    for (struct pc_connection *connection = host->connections; connection; connection = next) {
        next = connection->next;
        if (connection->state != PC_CONNECTION_PROVEN && connection->state != PC_CONNECTION_OPEN)
            continue; /* one that is proven later is told at once what we are then */
        connection->push_due = true;
        if (!connection->takes_push)
            continue;
        pc_libp2p_identify_push(connection);
        pc_libp2p_connection_settle(connection, 0);
    }
    return 0;
}

const struct pc_libp2p_counts *pc_libp2p_host_counts(const struct pc_libp2p_host *host)
{
    return &host->counts;
}

/* ---- queues -------------------------------------------------------------------------------------------- */

void pc_libp2p_queued_free(struct pc_libp2p_queued *queued)
{
    if (!queued)
        return;
    free(queued->blob);
    free(queued);
}

void pc_libp2p_host_queue_event(struct pc_connection *connection, struct pc_libp2p_queued *queued)
{
    struct pc_libp2p_host *host = connection->host;
    queued->next = NULL;
    if (host->events_last)
        host->events_last->next = queued;
    else
        host->events_first = queued;
    host->events_last = queued;
    queued->owner = connection;
    queued->owner_next = NULL;
    if (connection->events_last)
        connection->events_last->owner_next = queued;
    else
        connection->events_first = queued;
    connection->events_last = queued;
}

/* The first of the queue leaves it. */
static struct pc_libp2p_queued *take_event(struct pc_libp2p_host *host)
{
    struct pc_libp2p_queued *queued = host->events_first;
    if (!queued)
        return NULL;
    host->events_first = queued->next;
    if (!host->events_first)
        host->events_last = NULL;
    if (queued->owner) { /* both queues have one order: it is the first there too */
        queued->owner->events_first = queued->owner_next;
        if (!queued->owner->events_first)
            queued->owner->events_last = NULL;
        queued->owner = NULL;
    }
    return queued;
}

void pc_libp2p_host_wake(struct pc_libp2p_host *host, struct pc_connection *connection)
{
    if (connection->in_sending)
        return;
    connection->in_sending = true;
    connection->sending_next = NULL;
    connection->sending_previous = host->sending_last;
    if (host->sending_last)
        host->sending_last->sending_next = connection;
    else
        host->sending_first = connection;
    host->sending_last = connection;
}

void pc_libp2p_host_unwake(struct pc_libp2p_host *host, struct pc_connection *connection)
{
    if (!connection->in_sending)
        return;
    connection->in_sending = false;
    if (connection->sending_previous)
        connection->sending_previous->sending_next = connection->sending_next;
    else
        host->sending_first = connection->sending_next;
    if (connection->sending_next)
        connection->sending_next->sending_previous = connection->sending_previous;
    else
        host->sending_last = connection->sending_previous;
}

static void decode_identify(struct pc_libp2p_host *host, struct pc_libp2p_queued *queued)
{
    struct pc_peer_record record;
    if (pc_libp2p_identify_decode(queued->message, &host->identify))
        return;
    queued->event.identify = &host->identify;
    if (!queued->record_counts || pc_libp2p_peer_record_read(host->identify.signed_record, &record))
        return;
    host->identify.addr_count = record.addr_count;
    memcpy(host->identify.addrs, record.addrs, record.addr_count * sizeof(record.addrs[0]));
}

/*
 * What an event points to is decoded here, into the host's one room for it. It was decoded before, when it
 * came, to judge it; doing it twice costs less than a decoded copy for each event that waits.
 */
static void decode_event(struct pc_libp2p_host *host, struct pc_libp2p_queued *queued)
{
    struct pc_libp2p_event *event = &queued->event;
    switch (event->kind) {
    case PC_LIBP2P_OPENED:
    case PC_LIBP2P_IDENTIFIED:
        decode_identify(host, queued);
        break;
    case PC_LIBP2P_ANSWERED:
        if (queued->blob && pc_libp2p_kad_decode(queued->message, &host->kad) == 0)
            event->kad = &host->kad;
        break;
    case PC_LIBP2P_ASKED:
        event->key = queued->message;
        break;
    case PC_LIBP2P_DIAL_ASKED:
        if (pc_libp2p_autonat_decode(queued->message, &host->autonat) == 0)
            event->dial = &host->autonat;
        break;
    case PC_LIBP2P_PROBED:
    case PC_LIBP2P_FAILED:
    case PC_LIBP2P_CLOSED:
    case PC_LIBP2P_REQUEST_FAILED:
        break;
    }
}

bool pc_libp2p_host_next_event(struct pc_libp2p_host *host, struct pc_libp2p_event *ret_event)
{
    do {
        pc_libp2p_queued_free(host->taken);
        host->taken = take_event(host);
    } while (host->taken && host->taken->muted);
    if (!host->taken)
        return false;
    decode_event(host, host->taken);
    *ret_event = host->taken->event;
    return true;
}

bool pc_libp2p_host_has_event(const struct pc_libp2p_host *host)
{
    return host->events_first != NULL;
}

/* ---- the calls ----------------------------------------------------------------------------------------- */

static struct pc_connection *by_number(const struct pc_libp2p_host *host, uint64_t number)
{
    struct pc_map_node *node = pc_base_map_find(&host->numbers, pc_bytes_of(&number, sizeof(number)));
    return node ? PC_CONTAINER_OF(node, struct pc_connection, number_node) : NULL;
}

/* The connection that a stateless reset ends: it is known by its last bytes alone. */
static struct pc_connection *reset_by(const struct pc_libp2p_host *host, const struct pc_datagram *datagram)
{
    const size_t size = NGTCP2_STATELESS_RESET_TOKENLEN;
    if (datagram->size < size)
        return NULL;
    struct pc_map_node *node =
        pc_base_map_find(&host->tokens, pc_bytes_of(datagram->data + datagram->size - size, size));
    return node ? PC_CONTAINER_OF(node, struct pc_connection_token, node)->connection : NULL;
}

static void receive_unknown(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                            const ngtcp2_version_cid *ids)
{
    ngtcp2_pkt_hd header;
    bool long_header = datagram->data[0] & 0x80;
    if (!long_header) {
        struct pc_connection *reset = reset_by(host, datagram);
        if (reset)
            pc_libp2p_connection_receive(reset, datagram);
        else
            pc_libp2p_loose_stateless_reset(host, datagram, ids);
        return;
    }
    if (ids->version == 0 || datagram->size < PC_LIBP2P_INITIAL_MIN_BYTES)
        return;
    if (!host->options.accept_inbound) {
        host->counters.shed[PC_SHED_CLIENT]++;
        return;
    }
    if (ids->version != NGTCP2_PROTO_VER_V1) {
        pc_libp2p_loose_version_negotiation(host, datagram, ids);
        return;
    }
    if (ngtcp2_accept(&header, datagram->data, datagram->size) == 0)
        pc_libp2p_admission_initial(host, datagram, &header);
}

void pc_libp2p_host_receive(struct pc_libp2p_host *host, peercache_time now,
                            const struct pc_datagram *datagram)
{
    ngtcp2_version_cid ids;
    set_now(host, now);
    if (datagram->size == 0 || (datagram->remote.family != 4 && datagram->remote.family != 6))
        return;
    int result = ngtcp2_pkt_decode_version_cid(&ids, datagram->data, datagram->size, PC_LIBP2P_CID_BYTES);
    if (result && result != NGTCP2_ERR_VERSION_NEGOTIATION)
        return;
    struct pc_map_node *node = pc_base_map_find(&host->cids, pc_bytes_of(ids.dcid, ids.dcidlen));
    if (node)
        pc_libp2p_connection_receive(PC_CONTAINER_OF(node, struct pc_connection_cid, node)->connection,
                                     datagram);
    else
        receive_unknown(host, datagram, &ids);
}

void pc_libp2p_host_unreachable(struct pc_libp2p_host *host, peercache_time now,
                                const struct pc_ip_port *remote, peercache_outcome outcome,
                                const char *detail)
{
    uint8_t key[PC_SILENT_KEY_BYTES];
    struct pc_map_node *node;
    set_now(host, now);
    pc_libp2p_silent_key(remote, key);
    while ((node = pc_base_map_find(&host->silent, pc_bytes_of(key, sizeof(key)))))
        pc_libp2p_connection_unreachable(PC_CONTAINER_OF(node, struct pc_connection, silent_node), outcome,
                                         detail);
}

void pc_libp2p_host_expire(struct pc_libp2p_host *host, peercache_time now)
{
    struct pc_heap_node *node;
    set_now(host, now);
    while ((node = pc_base_heap_first(&host->stream_timers)) && node->at <= host->now.mono_us) {
        struct pc_stream *stream = PC_CONTAINER_OF(node, struct pc_stream, timer);
        struct pc_connection *connection = stream->connection;
        pc_libp2p_protocol_expire(stream);
        pc_libp2p_connection_settle(connection, 0);
    }
    while ((node = pc_base_heap_first(&host->connection_timers)) && node->at <= host->now.mono_us)
        pc_libp2p_connection_expire(PC_CONTAINER_OF(node, struct pc_connection, timer));
}

int64_t pc_libp2p_host_deadline(const struct pc_libp2p_host *host)
{
    const struct pc_heap_node *connection = pc_base_heap_first(&host->connection_timers);
    const struct pc_heap_node *stream = pc_base_heap_first(&host->stream_timers);
    int64_t at_us =
        pc_base_time_min(connection ? connection->at : PC_TIME_NEVER, stream ? stream->at : PC_TIME_NEVER);
    return at_us >= PC_TIME_NEVER - 1 ? PC_TIME_NEVER : at_us; /* those that are set but never fire */
}

bool pc_libp2p_host_send(struct pc_libp2p_host *host, peercache_time now, struct pc_datagram *datagram)
{
    size_t room = datagram->size;
    set_now(host, now);
    if (room < PC_LIBP2P_DATAGRAM_MAX_BYTES)
        return false;
    if (pc_libp2p_loose_take(host, datagram))
        return true;
    while (host->sending_first) {
        struct pc_connection *connection = host->sending_first;
        datagram->size = PC_LIBP2P_DATAGRAM_MAX_BYTES;
        if (!pc_libp2p_connection_write(connection, datagram))
            continue;                 /* it left the queue, or ended and has a closing packet now */
        if (connection->in_sending) { /* to the end of the queue: all take turns */
            pc_libp2p_host_unwake(host, connection);
            pc_libp2p_host_wake(host, connection);
        }
        return true;
    }
    datagram->size = room;
    return false;
}

int pc_libp2p_host_dial(struct pc_libp2p_host *host, peercache_time now, uint64_t connection,
                        const struct pc_ip_port *remote, const struct pc_peer_id *expected,
                        int64_t deadline_us)
{
    set_now(host, now);
    if ((connection & (PC_LIBP2P_INBOUND | PC_LIBP2P_OUR_DIAL)) || by_number(host, connection) ||
        (remote->family != 4 && remote->family != 6) || remote->port == 0)
        return PEERCACHE_EINVAL;
    if (pc_libp2p_admission_full(host) &&
        !pc_libp2p_admission_make_room(host, pc_libp2p_host_group(host, remote)))
        return PEERCACHE_ELIMIT;
    return pc_libp2p_connection_dial(host, connection, remote, expected, deadline_us);
}

static struct pc_connection *open_by_number(const struct pc_libp2p_host *host, uint64_t number)
{
    struct pc_connection *connection = by_number(host, number);
    return connection && connection->state == PC_CONNECTION_OPEN ? connection : NULL;
}

int pc_libp2p_host_ping(struct pc_libp2p_host *host, peercache_time now, uint64_t connection,
                        uint64_t request, int64_t deadline_us)
{
    uint8_t bytes[PC_PING_BYTES];
    set_now(host, now);
    struct pc_connection *open = open_by_number(host, connection);
    if (!open)
        return PEERCACHE_ENOTFOUND;
    pc_base_rng_bytes(&host->options.rng, bytes, sizeof(bytes));
    return pc_libp2p_connection_request(open, PC_SPEAKS_PING, request, pc_bytes_of(bytes, sizeof(bytes)),
                                        deadline_us);
}

int pc_libp2p_host_find_node(struct pc_libp2p_host *host, peercache_time now, uint64_t connection,
                             uint64_t request, struct pc_bytes key, int64_t deadline_us)
{
    size_t size;
    set_now(host, now);
    struct pc_connection *open = open_by_number(host, connection);
    if (!open)
        return PEERCACHE_ENOTFOUND;
    host->kad.type = PC_KAD_FIND_NODE;
    host->kad.key = key;
    host->kad.peer_count = 0;
    int result = pc_libp2p_kad_encode(&host->kad, host->scratch, sizeof(host->scratch), &size);
    if (result)
        return result;
    return pc_libp2p_connection_request(open, PC_SPEAKS_KAD, request, pc_bytes_of(host->scratch, size),
                                        deadline_us);
}

int pc_libp2p_host_answer(struct pc_libp2p_host *host, peercache_time now, uint64_t asked,
                          const struct pc_kad_peer *peers, size_t count)
{
    set_now(host, now);
    struct pc_map_node *node = pc_base_map_find(&host->asks, pc_bytes_of(&asked, sizeof(asked)));
    if (!node)
        return PEERCACHE_ENOTFOUND;
    struct pc_stream *stream = PC_CONTAINER_OF(node, struct pc_stream, talk.ask);
    struct pc_connection *connection = stream->connection;
    if (stream->talk.protocol != PC_SPEAKS_KAD)
        return PEERCACHE_ENOTFOUND;
    int result = pc_libp2p_protocol_answer(stream, peers, count);
    pc_libp2p_connection_settle(connection, 0);
    return result;
}

int pc_libp2p_host_probe(struct pc_libp2p_host *host, peercache_time now, uint64_t connection,
                         uint64_t request, struct pc_bytes addr, int64_t deadline_us)
{
    set_now(host, now);
    struct pc_connection *open = open_by_number(host, connection);
    return open ? pc_libp2p_autonat_ask(open, request, addr, deadline_us) : PEERCACHE_ENOTFOUND;
}

/* The stream of a DIAL_ASKED that waits for its answer. */
static struct pc_stream *asked_to_dial(const struct pc_libp2p_host *host, uint64_t asked)
{
    struct pc_map_node *node = pc_base_map_find(&host->asks, pc_bytes_of(&asked, sizeof(asked)));
    struct pc_stream *stream = node ? PC_CONTAINER_OF(node, struct pc_stream, talk.ask) : NULL;
    return stream && stream->talk.protocol == PC_SPEAKS_DIAL ? stream : NULL;
}

int pc_libp2p_host_refuse_dial(struct pc_libp2p_host *host, peercache_time now, uint64_t asked,
                               enum pc_autonat_status status)
{
    set_now(host, now);
    struct pc_stream *stream = asked_to_dial(host, asked);
    if (!stream)
        return PEERCACHE_ENOTFOUND;
    struct pc_connection *connection = stream->connection;
    pc_libp2p_autonat_refuse(stream, status);
    pc_libp2p_connection_settle(connection, 0);
    return 0;
}

int pc_libp2p_host_dial_back(struct pc_libp2p_host *host, peercache_time now, uint64_t asked,
                             uint32_t addr_index, const struct pc_ip_port *to, uint32_t data_bytes)
{
    set_now(host, now);
    struct pc_stream *stream = asked_to_dial(host, asked);
    if (!stream)
        return PEERCACHE_ENOTFOUND;
    struct pc_connection *connection = stream->connection;
    int result = pc_libp2p_admission_full(host) ? PEERCACHE_ELIMIT : 0;
    if (result)
        pc_libp2p_autonat_refuse(stream, PC_AUTONAT_REJECTED);
    else
        pc_libp2p_autonat_dial(stream, addr_index, to, data_bytes);
    pc_libp2p_connection_settle(connection, 0);
    return result;
}

void pc_libp2p_host_close(struct pc_libp2p_host *host, peercache_time now, uint64_t connection, uint64_t code)
{
    set_now(host, now);
    struct pc_connection *found = by_number(host, connection);
    if (found)
        pc_libp2p_connection_close(found, code);
}

void pc_libp2p_host_keep(struct pc_libp2p_host *host, peercache_time now, uint64_t connection, bool keep)
{
    set_now(host, now);
    struct pc_connection *open = open_by_number(host, connection);
    if (open)
        pc_libp2p_connection_keep(open, keep);
}

size_t pc_libp2p_host_connection_count(const struct pc_libp2p_host *host)
{
    return host->alive_count + host->farewell_count;
}

const struct pc_libp2p_counters *pc_libp2p_host_counters(const struct pc_libp2p_host *host)
{
    return &host->counters;
}
