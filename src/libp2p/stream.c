/* A stream's buffers and its place in the lists of its connection: stream.h. */
#include "libp2p/stream.h"

#include "libp2p/connection.h"
#include "libp2p/shedding.h"

#include <assert.h>
#include <stdlib.h>

/* A timer that is set but never fires: the node stays in the heap, so that setting it again can't fail. */
#define FAR (PC_TIME_NEVER - 1)

struct pc_stream *pc_libp2p_stream_new(struct pc_connection *connection, bool local, int64_t id)
{
    struct pc_stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return NULL;
    pc_base_heap_node_init(&stream->timer);
    if (pc_base_heap_set(&connection->host->stream_timers, &stream->timer, FAR)) {
        free(stream);
        return NULL;
    }
    stream->connection = connection;
    stream->local = local;
    stream->id = id;
    stream->next = connection->streams;
    if (stream->next)
        stream->next->previous = stream;
    connection->streams = stream;
    return stream;
}

static void unqueue_write(struct pc_stream *stream)
{
    struct pc_connection *connection = stream->connection;
    struct pc_stream *before = NULL;
    if (!stream->write_queued)
        return;
    for (struct pc_stream *s = connection->write_first; s != stream; s = s->write_next)
        before = s; /* at most the connection's streams, which are few */
    if (before)
        before->write_next = stream->write_next;
    else
        connection->write_first = stream->write_next;
    if (connection->write_last == stream)
        connection->write_last = before;
    stream->write_next = NULL;
    stream->write_queued = false;
}

static void queue_write(struct pc_stream *stream)
{
    struct pc_connection *connection = stream->connection;
    if (!stream->write_queued && stream->id >= 0 && !stream->blocked) {
        stream->write_queued = true;
        if (connection->write_last)
            connection->write_last->write_next = stream;
        else
            connection->write_first = stream;
        connection->write_last = stream;
    }
    pc_libp2p_host_wake(connection->host, connection);
}

void pc_libp2p_stream_free(struct pc_stream *stream)
{
    if (!stream)
        return;
    struct pc_connection *connection = stream->connection;
    unqueue_write(stream);
    pc_base_heap_remove(&connection->host->stream_timers, &stream->timer);
    if (stream->talk.asked)
        pc_base_map_remove(&connection->host->asks, &stream->talk.ask);
    if (stream->talk.nonce_listed)
        pc_base_map_remove(&connection->host->nonces, &stream->talk.by_nonce);
    if (stream->next)
        stream->next->previous = stream->previous;
    if (stream->previous)
        stream->previous->next = stream->next;
    else
        connection->streams = stream->next;
    while (stream->chunks) {
        struct pc_chunk *chunk = stream->chunks;
        stream->chunks = chunk->next;
        free(chunk);
    }
    pc_libp2p_shedding_unbuffered(connection, stream->held + stream->capacity);
    pc_libp2p_shedding_stream_gone(stream);
    pc_libp2p_queued_free(stream->talk.result);
    free(stream->data);
    free(stream);
}

uint8_t *pc_libp2p_stream_send_room(struct pc_stream *stream, size_t size)
{
    struct pc_connection *connection = stream->connection;
    struct pc_chunk *chunk = malloc(sizeof(*chunk) + size);
    if (!chunk)
        return NULL;
    assert(!stream->finish);
    chunk->next = NULL;
    chunk->size = size;
    if (stream->chunks_last)
        stream->chunks_last->next = chunk;
    else
        stream->chunks = chunk;
    stream->chunks_last = chunk;
    if (!stream->cursor) {
        stream->cursor = chunk;
        stream->cursor_at = 0;
    }
    stream->held += size;
    pc_libp2p_shedding_buffered(connection, size);
    queue_write(stream);
    return chunk->data;
}

int pc_libp2p_stream_send(struct pc_stream *stream, struct pc_bytes data)
{
    uint8_t *room = pc_libp2p_stream_send_room(stream, data.size);
    if (!room)
        return PEERCACHE_ENOMEM;
    memcpy(room, data.data, data.size);
    return 0;
}

void pc_libp2p_stream_finish(struct pc_stream *stream)
{
    if (stream->finish || stream->shut)
        return;
    stream->finish = true;
    queue_write(stream);
}

void pc_libp2p_stream_shut(struct pc_stream *stream, uint64_t code)
{
    struct pc_connection *connection = stream->connection;
    if (stream->shut)
        return;
    stream->shut = true;
    unqueue_write(stream);
    if (stream->id < 0) {
        connection->stream_allowed = true; /* it is swept where waiting streams are opened */
        return;
    }
    if (!connection->quic)
        return;
    int result = pc_quic_stream_shutdown(connection->quic, stream->id, code);
    if (result == NGTCP2_ERR_NOMEM)
        pc_libp2p_connection_condemn(connection, PEERCACHE_CANCELLED, "out of memory");
    pc_libp2p_host_wake(connection->host, connection);
}

void pc_libp2p_stream_set_deadline(struct pc_stream *stream, int64_t at_us)
{
    int result = pc_base_heap_set(&stream->connection->host->stream_timers, &stream->timer,
                                  pc_base_time_min(at_us, FAR));
    assert(result == 0); /* the node is inside since the stream was made */
    (void)result;
}

void pc_libp2p_stream_unblock(struct pc_stream *stream)
{
    if (!stream->blocked)
        return;
    stream->blocked = false;
    if (pc_libp2p_stream_has_pending(stream))
        queue_write(stream);
}

/* Credit for the connection, and for the stream when `stream_too`. */
static void give_credit(struct pc_stream *stream, size_t size, bool stream_too)
{
    ngtcp2_conn *quic = stream->connection->quic;
    if (!quic || size == 0)
        return;
    ngtcp2_conn_extend_max_offset(quic, size);
    if (stream_too && !stream->shut && stream->id >= 0 &&
        ngtcp2_conn_extend_max_stream_offset(quic, stream->id, size) == NGTCP2_ERR_NOMEM)
        pc_libp2p_connection_condemn(stream->connection, PEERCACHE_CANCELLED, "out of memory");
}

int pc_libp2p_stream_append(struct pc_stream *stream, const uint8_t *data, size_t size, size_t limit)
{
    if (size > limit || stream->size > limit - size)
        return PEERCACHE_ELIMIT;
    if (stream->size + size > stream->capacity) {
        size_t capacity = stream->capacity ? stream->capacity : 128;
        while (capacity < stream->size + size)
            capacity *= 2;
        uint8_t *grown = realloc(stream->data, capacity);
        if (!grown)
            return PEERCACHE_ENOMEM;
        pc_libp2p_shedding_buffered(stream->connection, capacity - stream->capacity);
        stream->data = grown;
        stream->capacity = capacity;
    }
    if (size > 0)
        memcpy(stream->data + stream->size, data, size);
    stream->size += size;
    if (stream->local)
        give_credit(stream, size, true);
    return 0;
}

void pc_libp2p_stream_consume(struct pc_stream *stream, size_t size)
{
    assert(size <= stream->size);
    stream->size -= size;
    if (stream->size > 0)
        memmove(stream->data, stream->data + size, stream->size);
    if (!stream->local)
        give_credit(stream, size, true);
}

uint8_t *pc_libp2p_stream_take(struct pc_stream *stream)
{
    uint8_t *data = stream->data;
    if (!stream->local)
        give_credit(stream, stream->size, false);
    pc_libp2p_shedding_unbuffered(stream->connection, stream->capacity);
    stream->data = NULL;
    stream->size = 0;
    stream->capacity = 0;
    return data;
}

void pc_libp2p_stream_discard(struct pc_stream *stream, size_t size)
{
    give_credit(stream, size, false);
}

bool pc_libp2p_stream_has_pending(const struct pc_stream *stream)
{
    return !stream->shut && (stream->cursor || (stream->finish && !stream->finish_written));
}

size_t pc_libp2p_stream_pending(const struct pc_stream *stream, ngtcp2_vec vectors[PC_STREAM_VECTORS],
                                bool *ret_finish)
{
    size_t count = 0;
    size_t at = stream->cursor_at;
    struct pc_chunk *chunk = stream->cursor;
    for (; chunk && count < PC_STREAM_VECTORS; chunk = chunk->next) {
        vectors[count].base = chunk->data + at;
        vectors[count].len = chunk->size - at;
        count++;
        at = 0;
    }
    *ret_finish = stream->finish && !chunk;
    return count;
}

void pc_libp2p_stream_written(struct pc_stream *stream, size_t size, bool finish)
{
    while (stream->cursor && size >= stream->cursor->size - stream->cursor_at) {
        size -= stream->cursor->size - stream->cursor_at;
        stream->cursor = stream->cursor->next;
        stream->cursor_at = 0;
    }
    if (stream->cursor)
        stream->cursor_at += size;
    if (finish && !stream->cursor)
        stream->finish_written = true;
    if (!pc_libp2p_stream_has_pending(stream))
        unqueue_write(stream);
}

void pc_libp2p_stream_block(struct pc_stream *stream)
{
    stream->blocked = true;
    unqueue_write(stream);
}

void pc_libp2p_stream_opened(struct pc_stream *stream, int64_t id)
{
    stream->id = id;
    if (pc_libp2p_stream_has_pending(stream))
        queue_write(stream);
}

void pc_libp2p_stream_acked(struct pc_stream *stream, uint64_t end)
{
    while (stream->chunks && stream->chunks != stream->cursor &&
           stream->chunks_offset + stream->chunks->size <= end) {
        struct pc_chunk *chunk = stream->chunks;
        stream->chunks_offset += chunk->size;
        stream->held -= chunk->size;
        pc_libp2p_shedding_unbuffered(stream->connection, chunk->size);
        stream->chunks = chunk->next;
        if (!stream->chunks)
            stream->chunks_last = NULL;
        free(chunk);
    }
}
