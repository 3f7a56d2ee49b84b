/*
 * AutoNAT v2 on streams (autonat.h), as the one who asks and as the one who dials back. Whether and where to dial back is
 * the caller's to say; its dial is a connection of the host's own, of which the caller hears nothing.
 */
#include "libp2p/talk.h"

#include "base/cursor.h"

#include <assert.h>
#include <stdlib.h>

#define DIAL_BACK_US                                                                                         \
    (6 * PC_US_PER_S) /* for the fresh connection and its one message: two losses are survived */

static int send_message(struct pc_stream *stream, const struct pc_autonat_message *message)
{
    uint8_t data[PC_AUTONAT_CHUNK_BYTES + 64];
    size_t size;
    int result = pc_libp2p_autonat_encode(message, data, sizeof(data), &size);
    return result ? result : pc_libp2p_stream_send(stream, pc_bytes_of(data, size));
}

/* The next message, in the host's room for it: 1; 0 not yet; or the talk has failed, below 0. */
static int next_message(struct pc_stream *stream, struct pc_bytes *ret_bytes, size_t *ret_used)
{
    struct pc_libp2p_host *host = pc_libp2p_talk_host(stream);
    int result = pc_libp2p_frame_decode(pc_bytes_of(stream->data, stream->size), PC_AUTONAT_MESSAGE_BYTES,
                                        ret_bytes, ret_used);
    if (result == 0)
        return 0;
    if (result > 0)
        result = pc_libp2p_autonat_decode(*ret_bytes, &host->autonat);
    if (result < 0) {
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, pc_libp2p_talk_why(result));
        return result;
    }
    return 1;
}

/* ---- asking -------------------------------------------------------------------------------------------- */

int pc_libp2p_autonat_ask(struct pc_connection *connection, uint64_t request, struct pc_bytes addr,
                          int64_t deadline_us)
{
    struct pc_libp2p_host *host = connection->host;
    struct pc_autonat_message message = { .kind = PC_AUTONAT_REQUEST, .addr_count = 1, .addrs = { addr } };
    size_t size;
    pc_base_rng_bytes(&host->options.rng, &message.nonce, sizeof(message.nonce));
    int result = pc_libp2p_autonat_encode(&message, host->scratch, sizeof(host->scratch), &size);
    if (result)
        return result;
    return pc_libp2p_connection_request(connection, PC_SPEAKS_DIAL, request, pc_bytes_of(host->scratch, size),
                                        deadline_us);
}

int pc_libp2p_autonat_started(struct pc_stream *stream, struct pc_bytes request)
{
    struct pc_reader r;
    assert(request.size > sizeof(stream->talk.nonce)); /* it ends in the nonce, little-endian */
    pc_base_reader_init(&r, request.data + request.size - sizeof(stream->talk.nonce),
                        sizeof(stream->talk.nonce));
    stream->talk.nonce = __builtin_bswap64(pc_base_read_u64(&r));
    if (pc_base_map_insert(&pc_libp2p_talk_host(stream)->nonces, &stream->talk.by_nonce))
        return PEERCACHE_ENOMEM;
    stream->talk.nonce_listed = true;
    return 0;
}

static void pay(struct pc_stream *stream, uint64_t bytes)
{
    static const uint8_t nothing[PC_AUTONAT_CHUNK_BYTES];
    struct pc_autonat_message message = { .kind = PC_AUTONAT_DATA };
    while (bytes > 0) {
        size_t chunk = bytes < sizeof(nothing) ? (size_t)bytes : sizeof(nothing);
        message.data = pc_bytes_of(nothing, chunk);
        if (send_message(stream, &message)) {
            pc_libp2p_talk_out_of_memory(stream);
            return;
        }
        bytes -= chunk;
    }
}

/* What came of it. That the number came back counts, whatever the server says of that. */
static enum pc_libp2p_probe verdict_of(const struct pc_stream *stream,
                                       const struct pc_autonat_message *response)
{
    if (stream->talk.came_back)
        return PC_LIBP2P_CAME_BACK;
    if (response->status == PC_AUTONAT_OK && response->addr_index == 0 &&
        response->dial == PC_AUTONAT_DIAL_ERROR)
        return PC_LIBP2P_CUT_OFF;
    return PC_LIBP2P_UNDECIDED;
}

bool pc_libp2p_autonat_answered(struct pc_stream *stream)
{
    const struct pc_autonat_message *message = &pc_libp2p_talk_host(stream)->autonat;
    struct pc_bytes bytes;
    size_t used;
    int result = next_message(stream, &bytes, &used);
    if (result <= 0)
        return result < 0;
    switch (message->kind) {
    case PC_AUTONAT_RESPONSE:
        stream->talk.result->event.probe = verdict_of(stream, message);
        pc_libp2p_talk_deliver(stream, PC_LIBP2P_PROBED);
        pc_libp2p_talk_done_well(stream);
        return true;
    case PC_AUTONAT_DATA_REQUEST:
        if (stream->talk.paid || message->addr_index != 0 || message->data_bytes > PC_AUTONAT_PAY_MAX_BYTES)
            break;
        stream->talk.paid = true;
        pay(stream, message->data_bytes);
        pc_libp2p_stream_consume(stream, used);
        return true;
    case PC_AUTONAT_REQUEST:
    case PC_AUTONAT_DATA:
        break;
    }
    pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, "a message out of turn, or a dial that costs too much");
    return true;
}

/* The fresh connection: inbound, and begun after we had asked. */
static struct pc_stream *asked_with(struct pc_stream *stream, uint64_t nonce)
{
    struct pc_map_node *node =
        pc_base_map_find(&pc_libp2p_talk_host(stream)->nonces, pc_bytes_of(&nonce, sizeof(nonce)));
    struct pc_stream *asked = node ? PC_CONTAINER_OF(node, struct pc_stream, talk.by_nonce) : NULL;
    const struct pc_connection *fresh = stream->connection;
    return asked && fresh->inbound && fresh->started_us >= asked->talk.started_us ? asked : NULL;
}

bool pc_libp2p_dial_back_came(struct pc_stream *stream)
{
    static const uint8_t ok[] = { 0 }; /* an empty message: the status is 0, which protobuf leaves out */
    struct pc_bytes message;
    uint64_t nonce;
    size_t used;
    int result =
        pc_libp2p_frame_decode(pc_bytes_of(stream->data, stream->size), PC_DIAL_BACK_BYTES, &message, &used);
    if (result == 0)
        return false;
    if (result > 0)
        result = pc_libp2p_dial_back_decode(message, &nonce);
    struct pc_stream *asked = result < 0 ? NULL : asked_with(stream, nonce);
    if (!asked) {
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, "a dial back that nobody asked for");
        return true;
    }
    asked->talk.came_back = true;
    if (pc_libp2p_stream_send(stream, pc_bytes_of(ok, sizeof(ok)))) {
        pc_libp2p_talk_out_of_memory(stream);
        return false;
    }
    pc_libp2p_talk_done_well(stream);
    return true;
}

/* ---- being asked --------------------------------------------------------------------------------------- */

static bool request_came(struct pc_stream *stream, struct pc_bytes bytes, size_t used)
{
    stream->talk.nonce = pc_libp2p_talk_host(stream)->autonat.nonce;
    stream->talk.paid = true;
    if (!pc_libp2p_talk_asked(stream, PC_LIBP2P_DIAL_ASKED, bytes)) {
        pc_libp2p_talk_out_of_memory(stream);
        return false;
    }
    pc_libp2p_stream_consume(stream, used);
    return true;
}

static void respond(struct pc_stream *stream, enum pc_autonat_status status, enum pc_autonat_dial dial)
{
    const struct pc_autonat_message message = {
        .kind = PC_AUTONAT_RESPONSE,
        .status = status,
        .dial = dial,
        .addr_index = status == PC_AUTONAT_OK ? stream->talk.addr_index : 0,
    };
    if (send_message(stream, &message))
        pc_libp2p_talk_out_of_memory(stream);
    else
        pc_libp2p_talk_done_well(stream);
}

static void begin_dial(struct pc_stream *stream)
{
    struct pc_libp2p_host *host = pc_libp2p_talk_host(stream);
    int64_t until_us = pc_base_time_add(host->now.mono_us, DIAL_BACK_US);
    int result = pc_libp2p_connection_dial_back(host, &stream->talk.dial_to, &stream->connection->id,
                                                stream->talk.asked, until_us);
    if (result) {
        respond(stream, PC_AUTONAT_INTERNAL_ERROR, PC_AUTONAT_DIAL_UNUSED);
        return;
    }
    host->counts.dials_back++;
    /* It is answered by the end of that connection. */
    pc_libp2p_stream_set_deadline(stream, pc_base_time_add(until_us, host->options.stream_timeout_us));
}

/* What is paid; what is over is let pass. */
static bool data_came(struct pc_stream *stream, struct pc_bytes data, size_t used)
{
    if (data.size == 0 || data.size > PC_AUTONAT_CHUNK_BYTES) {
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, "data of no or too many bytes");
        return true;
    }
    stream->talk.owed_bytes -= data.size < stream->talk.owed_bytes ? data.size : stream->talk.owed_bytes;
    pc_libp2p_stream_consume(stream, used);
    if (stream->talk.owed_bytes == 0) {
        pc_libp2p_talk_wait(stream);
        begin_dial(stream);
    }
    return true;
}

bool pc_libp2p_autonat_asked(struct pc_stream *stream)
{
    const struct pc_autonat_message *message = &pc_libp2p_talk_host(stream)->autonat;
    struct pc_bytes bytes;
    size_t used;
    int result = next_message(stream, &bytes, &used);
    if (result <= 0)
        return result < 0;
    if (message->kind == PC_AUTONAT_REQUEST && !stream->talk.paid && message->addr_count > 0)
        return request_came(stream, bytes, used);
    if (message->kind == PC_AUTONAT_DATA && stream->talk.owed_bytes > 0)
        return data_came(stream, message->data, used);
    pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, "a message out of turn");
    return true;
}

void pc_libp2p_autonat_refuse(struct pc_stream *stream, enum pc_autonat_status status)
{
    respond(stream, status, PC_AUTONAT_DIAL_UNUSED);
}

void pc_libp2p_autonat_dial(struct pc_stream *stream, uint32_t addr_index, const struct pc_ip_port *to,
                            uint32_t data_bytes)
{
    const struct pc_autonat_message message = { .kind = PC_AUTONAT_DATA_REQUEST,
                                                .addr_index = addr_index,
                                                .data_bytes = data_bytes };
    stream->talk.addr_index = addr_index;
    stream->talk.dial_to = *to;
    stream->talk.owed_bytes = data_bytes;
    if (data_bytes == 0) {
        begin_dial(stream);
        return;
    }
    if (send_message(stream, &message)) {
        pc_libp2p_talk_out_of_memory(stream);
        return;
    }
    pc_libp2p_talk_resume(stream);
}

/* ---- the fresh connection of ours ---------------------------------------------------------------------- */

static struct pc_stream *asker_of(const struct pc_connection *connection)
{
    struct pc_map_node *node = pc_base_map_find(
        &connection->host->asks, pc_bytes_of(&connection->dials_back, sizeof(connection->dials_back)));
    return node ? PC_CONTAINER_OF(node, struct pc_stream, talk.ask) : NULL;
}

void pc_libp2p_autonat_connected(struct pc_connection *connection)
{
    const struct pc_stream *asker = asker_of(connection);
    uint8_t message[PC_DIAL_BACK_BYTES];
    size_t size;
    if (!asker) {
        pc_libp2p_connection_condemn(connection, PEERCACHE_CANCELLED, "who asked for it is gone");
        return;
    }
    int result = pc_libp2p_dial_back_encode(asker->talk.nonce, message, sizeof(message), &size);
    assert(result == 0); /* it has room */
    (void)result;
    struct pc_stream *stream = pc_libp2p_stream_new(connection, true, -1);
    if (!stream || pc_libp2p_protocol_start(stream, PC_SPEAKS_DIAL_BACK, pc_bytes_of(message, size), NULL)) {
        pc_libp2p_connection_condemn(connection, PEERCACHE_CANCELLED, "out of memory");
        return;
    }
    pc_libp2p_stream_finish(stream);
    connection->stream_allowed = true;
}

bool pc_libp2p_dial_back_answered(struct pc_stream *stream)
{
    struct pc_bytes message;
    size_t used;
    int result =
        pc_libp2p_frame_decode(pc_bytes_of(stream->data, stream->size), PC_DIAL_BACK_BYTES, &message, &used);
    if (result == 0)
        return false;
    if (result < 0) {
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, pc_libp2p_talk_why(result));
        return true;
    }
    stream->connection->brought = true;
    pc_libp2p_connection_condemn(stream->connection, PEERCACHE_OK, "dialled back");
    pc_libp2p_talk_done(stream);
    return true;
}

void pc_libp2p_autonat_dial_ended(struct pc_connection *connection)
{
    struct pc_stream *asker = asker_of(connection);
    if (!asker || asker->connection == connection)
        return;
    struct pc_connection *asking = asker->connection;
    respond(asker, PC_AUTONAT_OK,
            connection->brought                         ? PC_AUTONAT_DIAL_OK
            : connection->state == PC_CONNECTION_PROVEN ? PC_AUTONAT_DIAL_BACK_ERROR
                                                        : PC_AUTONAT_DIAL_ERROR);
    pc_libp2p_connection_settle(asking, 0);
}
