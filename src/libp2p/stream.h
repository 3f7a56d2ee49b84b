/*
 * One QUIC stream: a send buffer as a list of chunks, which do not move until they are acknowledged (ngtcp2
 * keeps pointers to them), a receive buffer with a limit, a deadline, and where its protocol stands
 * (protocol.h).
 *
 * Flow control: on a stream that we opened, credit is given back as bytes arrive, since the answer is bounded
 * by the limit of its message. On a stream that the peer opened, only as bytes are consumed, so that its
 * window bounds what it can make us keep.
 */
#ifndef PC_LIBP2P_STREAM_H
#define PC_LIBP2P_STREAM_H

#include "libp2p/host_state.h"
#include "libp2p/protocol.h"

#define PC_STREAM_LOCAL_WINDOW  (64 * 1024) /* what the peer may send ahead on streams that we opened */
#define PC_STREAM_REMOTE_WINDOW (16 * 1024) /* and on its own: the largest request is far below */
#define PC_STREAM_CODE_DONE     0
#define PC_STREAM_CODE_FAULT    1

struct pc_chunk {
    struct pc_chunk *next;
    size_t size;
    uint8_t data[];
};

struct pc_stream {
    struct pc_connection *connection;
    struct pc_stream *previous;
    struct pc_stream *next; /* of the connection's streams */
    struct pc_stream *write_next;
    bool write_queued;
    bool blocked; /* by flow control, until the peer says something */
    bool local;   /* we opened it */
    int64_t id;   /* -1: waits until the peer allows one more stream */
    struct pc_heap_node timer;

    struct pc_chunk *chunks; /* not acknowledged yet, oldest first */
    struct pc_chunk *chunks_last;
    struct pc_chunk *cursor; /* the first that is not wholly written; NULL: all are */
    size_t cursor_at;        /* bytes of it that are */
    uint64_t chunks_offset;  /* of chunks->data[0] in the stream */
    size_t held;             /* bytes of all chunks */
    bool finish;             /* FIN after the last chunk */
    bool finish_written;
    bool shut;           /* reset by us */
    bool counted;        /* shedding.h */
    uint64_t reset_code; /* of the peer */

    uint8_t *data; /* received, not consumed yet */
    size_t size;
    size_t capacity;
    bool ended; /* the peer's FIN, or its reset */

    struct pc_talk talk;
};

/* A new stream of the connection, not known to ngtcp2 yet. NULL: memory. */
struct pc_stream *pc_libp2p_stream_new(struct pc_connection *connection, bool local, int64_t id);
/* Out of all lists, maps and heaps; NULL does nothing. */
void pc_libp2p_stream_free(struct pc_stream *stream);
/* Send a copy of the bytes. ENOMEM. */
int pc_libp2p_stream_send(struct pc_stream *stream, struct pc_bytes data);
/* Send room of `size` bytes that the caller fills at once. NULL: memory. */
uint8_t *pc_libp2p_stream_send_room(struct pc_stream *stream, size_t size);
/* FIN after what was sent. */
void pc_libp2p_stream_finish(struct pc_stream *stream);
/* Both directions end at once (RESET_STREAM, STOP_SENDING). */
void pc_libp2p_stream_shut(struct pc_stream *stream, uint64_t code);
/* Deadline of the stream, PC_TIME_NEVER for none. */
void pc_libp2p_stream_set_deadline(struct pc_stream *stream, int64_t at_us);

/* Bytes came. ENOMEM; ELIMIT more than `limit` would be kept. */
int pc_libp2p_stream_append(struct pc_stream *stream, const uint8_t *data, size_t size, size_t limit);
/* The first `size` bytes of the receive buffer are done with. */
void pc_libp2p_stream_consume(struct pc_stream *stream, size_t size);
/* The whole receive buffer becomes the caller's, who frees it. */
uint8_t *pc_libp2p_stream_take(struct pc_stream *stream);
/* Bytes came that nobody wants: the peer may send no more on this stream, but on others. */
void pc_libp2p_stream_discard(struct pc_stream *stream, size_t size);

#define PC_STREAM_VECTORS 8
/* What is to be written next: number of vectors, and whether FIN follows them. */
size_t pc_libp2p_stream_pending(const struct pc_stream *stream, ngtcp2_vec vectors[PC_STREAM_VECTORS],
                                bool *ret_finish);
bool pc_libp2p_stream_has_pending(const struct pc_stream *stream);
/* `size` of these bytes were written, and FIN. */
void pc_libp2p_stream_written(struct pc_stream *stream, size_t size, bool finish);
/* Flow control lets nothing more through; unblock to try again. */
void pc_libp2p_stream_block(struct pc_stream *stream);
void pc_libp2p_stream_unblock(struct pc_stream *stream);
/* The peer allows the stream that waited: its id. */
void pc_libp2p_stream_opened(struct pc_stream *stream, int64_t id);
/* All below the offset `end` was acknowledged. */
void pc_libp2p_stream_acked(struct pc_stream *stream, uint64_t end);

#endif
