/* multistream-select, ping and FIND_NODE on one stream: protocol.h. identify is in talk_identify.c. */
#include "libp2p/protocol.h"

#include "libp2p/connection.h"
#include "libp2p/shedding.h"
#include "libp2p/stream.h"
#include "libp2p/talk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static const uint32_t moves[] = {
    [PC_TALK_HEADER] = PC_FSM_TO(PC_TALK_SELECT) | PC_FSM_TO(PC_TALK_DONE),
    [PC_TALK_SELECT] = PC_FSM_TO(PC_TALK_TALK) | PC_FSM_TO(PC_TALK_DONE),
    [PC_TALK_TALK] = PC_FSM_TO(PC_TALK_ASKED) | PC_FSM_TO(PC_TALK_DONE),
    [PC_TALK_ASKED] = PC_FSM_TO(PC_TALK_TALK) | PC_FSM_TO(PC_TALK_DONE),
    [PC_TALK_DONE] = 0,
};

const char *pc_libp2p_protocol_name(const struct pc_libp2p_host *host, enum pc_protocol protocol)
{
    switch (protocol) {
    case PC_SPEAKS_IDENTIFY:
        return PC_PROTOCOL_IDENTIFY;
    case PC_SPEAKS_PING:
        return PC_PROTOCOL_PING;
    case PC_SPEAKS_KAD:
        return host->kad_protocol;
    case PC_SPEAKS_PUSH:
        return PC_PROTOCOL_PUSH;
    case PC_SPEAKS_DIAL:
        return PC_PROTOCOL_DIAL;
    case PC_SPEAKS_DIAL_BACK:
        return PC_PROTOCOL_DIAL_BACK;
    case PC_SPEAKS_NOTHING:
    case PC_SPEAKS_COUNT:
        break;
    }
    return "";
}

bool pc_libp2p_protocol_spoken(const struct pc_libp2p_host *host, enum pc_protocol protocol)
{
    switch (protocol) {
    case PC_SPEAKS_IDENTIFY:
    case PC_SPEAKS_PING:
    case PC_SPEAKS_PUSH:
        return true;
    case PC_SPEAKS_KAD: /* a client that named it would be put into routing tables */
    case PC_SPEAKS_DIAL:
        return host->options.server;
    case PC_SPEAKS_DIAL_BACK: /* comes over inbound connections */
        return host->options.accept_inbound;
    case PC_SPEAKS_NOTHING:
    case PC_SPEAKS_COUNT:
        break;
    }
    return false;
}

/* The end of a stream's work: what still comes is thrown away, until the deadline shuts it. */
void pc_libp2p_talk_done(struct pc_stream *stream)
{
    struct pc_libp2p_host *host = pc_libp2p_talk_host(stream);
    if (stream->talk.asked) {
        pc_base_map_remove(&host->asks, &stream->talk.ask);
        stream->talk.asked = 0;
    }
    if (stream->talk.nonce_listed)
        pc_base_map_remove(&host->nonces, &stream->talk.by_nonce);
    stream->talk.nonce_listed = false;
    free(pc_libp2p_stream_take(stream));
    pc_base_fsm_move(moves, &stream->talk.state, PC_TALK_DONE);
    pc_libp2p_stream_set_deadline(stream,
                                  pc_base_time_add(host->now.mono_us, host->options.stream_timeout_us));
}

void pc_libp2p_talk_done_well(struct pc_stream *stream)
{
    pc_libp2p_stream_finish(stream);
    pc_libp2p_talk_done(stream);
}

/* The result of a ping or find_node of ours. */
struct pc_libp2p_event *pc_libp2p_talk_deliver(struct pc_stream *stream, enum pc_libp2p_event_kind kind)
{
    struct pc_libp2p_queued *result = stream->talk.result;
    stream->talk.result = NULL;
    result->event.kind = kind;
    pc_libp2p_host_queue_event(stream->connection, result);
    return &result->event;
}

static void request_failed(struct pc_stream *stream, peercache_outcome outcome, const char *why)
{
    if (!stream->talk.result)
        return;
    struct pc_libp2p_event *event = pc_libp2p_talk_deliver(stream, PC_LIBP2P_REQUEST_FAILED);
    event->outcome = outcome;
    (void)snprintf(event->detail, sizeof(event->detail), "%s", why);
}

/*
 * The talk fails. Ours: the request has failed, and without identify the whole connection. The peer's: it is
 * reset, and counted.
 */
void pc_libp2p_talk_fail(struct pc_stream *stream, peercache_outcome outcome, const char *why)
{
    struct pc_connection *connection = stream->connection;
    if (!stream->local)
        pc_libp2p_connection_fault(connection);
    else if (stream->talk.protocol == PC_SPEAKS_IDENTIFY)
        pc_libp2p_connection_condemn(connection, outcome, "identify: %s", why);
    else if (stream->talk.protocol == PC_SPEAKS_DIAL_BACK)
        pc_libp2p_connection_condemn(connection, outcome, "dial back: %s", why);
    request_failed(stream, outcome, why);
    pc_libp2p_talk_done(stream);
    pc_libp2p_stream_shut(stream, PC_STREAM_CODE_FAULT);
}

void pc_libp2p_protocol_shed(struct pc_stream *stream, uint64_t code)
{
    pc_libp2p_talk_done(stream);
    pc_libp2p_stream_shut(stream, code);
}

/* A request came: false, and the stream is reset, when that is one too many. */
static bool may_ask(struct pc_stream *stream)
{
    if (pc_libp2p_shedding_request(stream->connection))
        return true;
    pc_libp2p_protocol_shed(stream, PC_LIBP2P_CODE_RATE_LIMITED);
    return false;
}

const char *pc_libp2p_talk_why(int result)
{
    return result == PEERCACHE_ELIMIT ? "a message over its limit" : "a malformed message";
}

/* Out of memory is our fault, not the peer's: the connection goes, the rest lives. */
void pc_libp2p_talk_out_of_memory(struct pc_stream *stream)
{
    pc_libp2p_connection_condemn(stream->connection, PEERCACHE_CANCELLED, "out of memory");
}

/* ---- ping ---------------------------------------------------------------------------------------------- */

static bool ping_answered(struct pc_stream *stream)
{
    if (stream->size < PC_PING_BYTES)
        return false;
    if (memcmp(stream->data, stream->talk.ping, PC_PING_BYTES) != 0) {
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, "a ping came back with other bytes");
        return true;
    }
    int64_t now_us = pc_libp2p_talk_host(stream)->now.mono_us;
    struct pc_libp2p_event *event = pc_libp2p_talk_deliver(stream, PC_LIBP2P_ANSWERED);
    event->rtt_us = now_us - stream->talk.started_us;
    pc_libp2p_talk_done_well(stream);
    return true;
}

/* The peer is at work on the stream: it may take its time again. */
static void renew(struct pc_stream *stream)
{
    struct pc_libp2p_host *host = pc_libp2p_talk_host(stream);
    stream->connection->used_us = host->now.mono_us;
    pc_libp2p_stream_set_deadline(stream,
                                  pc_base_time_add(host->now.mono_us, host->options.stream_timeout_us));
}

static bool ping_asked(struct pc_stream *stream)
{
    if (stream->size < PC_PING_BYTES)
        return false;
    if (stream->held > PC_PING_BACKLOG_BYTES) {
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, "pings without end");
        return true;
    }
    if (!may_ask(stream))
        return true;
    if (pc_libp2p_stream_send(stream, pc_bytes_of(stream->data, PC_PING_BYTES))) {
        pc_libp2p_talk_out_of_memory(stream);
        return false;
    }
    pc_libp2p_stream_consume(stream, PC_PING_BYTES);
    renew(stream);
    return true;
}

/* ---- FIND_NODE ----------------------------------------------------------------------------------------- */

static bool find_node_answered(struct pc_stream *stream)
{
    struct pc_libp2p_host *host = pc_libp2p_talk_host(stream);
    struct pc_bytes message;
    size_t used;
    int result = pc_libp2p_frame_decode(pc_bytes_of(stream->data, stream->size), PC_KAD_MESSAGE_MAX_BYTES,
                                        &message, &used);
    if (result == 0)
        return false;
    if (result > 0)
        result = pc_libp2p_kad_decode(message, &host->kad);
    if (result < 0) {
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, pc_libp2p_talk_why(result));
        return true;
    }
    if (host->kad.type != PC_KAD_FIND_NODE) {
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, "an answer of another type");
        return true;
    }
    stream->talk.result->message = message; /* decoded once more when the event is taken: it borrows */
    stream->talk.result->blob = pc_libp2p_stream_take(stream);
    (void)pc_libp2p_talk_deliver(stream, PC_LIBP2P_ANSWERED);
    pc_libp2p_talk_done_well(stream);
    return true;
}

static struct pc_libp2p_queued *new_asked(struct pc_stream *stream, enum pc_libp2p_event_kind kind,
                                          struct pc_bytes bytes)
{
    struct pc_connection *connection = stream->connection;
    struct pc_libp2p_queued *queued = calloc(1, sizeof(*queued));
    uint8_t *copy = malloc(bytes.size ? bytes.size : 1);
    if (!queued || !copy) {
        free(queued);
        free(copy);
        return NULL;
    }
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    queued->blob = copy;
    queued->message = pc_bytes_of(copy, bytes.size);
    queued->event.kind = kind;
    queued->event.connection = connection->number;
    queued->event.id = connection->id;
    queued->event.remote = connection->remote;
    queued->event.rtt_us = -1;
    queued->event.proven_us = -1;
    return queued;
}

void pc_libp2p_talk_wait(struct pc_stream *stream)
{
    pc_base_fsm_move(moves, &stream->talk.state, PC_TALK_ASKED);
    renew(stream);
}

bool pc_libp2p_talk_asked(struct pc_stream *stream, enum pc_libp2p_event_kind kind, struct pc_bytes bytes)
{
    struct pc_libp2p_host *host = pc_libp2p_talk_host(stream);
    struct pc_libp2p_queued *queued = new_asked(stream, kind, bytes);
    if (!queued)
        return false;
    stream->talk.asked = ++host->next_ask;
    if (pc_base_map_insert(&host->asks, &stream->talk.ask)) {
        stream->talk.asked = 0;
        pc_libp2p_queued_free(queued);
        return false;
    }
    queued->event.asked = stream->talk.asked;
    pc_libp2p_host_queue_event(stream->connection, queued);
    pc_libp2p_talk_wait(stream);
    return true;
}

static bool find_node_asked(struct pc_stream *stream)
{
    struct pc_libp2p_host *host = pc_libp2p_talk_host(stream);
    struct pc_bytes message;
    size_t used;
    int result = pc_libp2p_frame_decode(pc_bytes_of(stream->data, stream->size), PC_KAD_REQUEST_BYTES,
                                        &message, &used);
    if (result == 0)
        return false;
    if (result > 0 && !may_ask(stream))
        return true;
    if (result > 0)
        result = pc_libp2p_kad_decode(message, &host->kad);
    if (result < 0) {
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, pc_libp2p_talk_why(result));
        return true;
    }
    if (host->kad.type != PC_KAD_FIND_NODE) { /* honest peers ask for values and providers: no fault */
        pc_libp2p_talk_done(stream);
        pc_libp2p_stream_shut(stream, PC_STREAM_CODE_FAULT);
        return true;
    }
    if (!pc_libp2p_talk_asked(stream, PC_LIBP2P_ASKED, host->kad.key)) {
        pc_libp2p_talk_out_of_memory(stream);
        return false;
    }
    pc_libp2p_stream_consume(stream, used);
    return true;
}

/* ---- multistream-select -------------------------------------------------------------------------------- */

static bool line_is(struct pc_bytes line, const char *text)
{
    return pc_bytes_equal(line, pc_bytes_of(text, strlen(text)));
}

static int send_line(struct pc_stream *stream, const char *text)
{
    uint8_t line[PC_LIBP2P_TEXT_BYTES + 8];
    size_t size;
    int result = pc_libp2p_multistream_encode(text, line, sizeof(line), &size);
    if (result)
        return result;
    return pc_libp2p_stream_send(stream, pc_bytes_of(line, size));
}

/* The answer to our own proposal. */
static void proposal_answered(struct pc_stream *stream, struct pc_bytes line)
{
    if (line_is(line, pc_libp2p_protocol_name(pc_libp2p_talk_host(stream), stream->talk.protocol)))
        pc_base_fsm_move(moves, &stream->talk.state, PC_TALK_TALK);
    else if (line_is(line, "na"))
        pc_libp2p_talk_fail(stream, PEERCACHE_PROTOCOL_MISMATCH, "the peer does not speak the protocol");
    else
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED,
                            "multistream-select answered with another protocol");
}

/* A proposal of the peer: echoed, or "na" and it may try another. */
static void proposed(struct pc_stream *stream, struct pc_bytes line)
{
    struct pc_libp2p_host *host = pc_libp2p_talk_host(stream);
    struct pc_talk *talk = &stream->talk;
    for (unsigned i = PC_SPEAKS_NOTHING + 1; i < PC_SPEAKS_COUNT; i++) {
        enum pc_protocol protocol = (enum pc_protocol)i;
        if (pc_libp2p_protocol_spoken(host, protocol) &&
            line_is(line, pc_libp2p_protocol_name(host, protocol)))
            talk->protocol = protocol;
    }
    if (send_line(stream, talk->protocol == PC_SPEAKS_NOTHING
                              ? "na"
                              : pc_libp2p_protocol_name(host, talk->protocol))) {
        pc_libp2p_talk_out_of_memory(stream);
        return;
    }
    if (talk->protocol == PC_SPEAKS_NOTHING) {
        if (++talk->proposals >= PC_PROPOSALS_MAX)
            pc_libp2p_talk_fail(stream, PEERCACHE_PROTOCOL_MISMATCH, "too many proposals");
        return;
    }
    pc_base_fsm_move(moves, &talk->state, PC_TALK_TALK);
    /* A stream of pings or of FIND_NODE may have many requests, each counted when it comes; the others are one. */
    if (talk->protocol != PC_SPEAKS_PING && talk->protocol != PC_SPEAKS_KAD && !may_ask(stream))
        return;
    if (talk->protocol == PC_SPEAKS_IDENTIFY)
        pc_libp2p_identify_answer(stream);
}

static bool read_line(struct pc_stream *stream)
{
    struct pc_bytes line;
    size_t used;
    int result = pc_libp2p_multistream_decode(pc_bytes_of(stream->data, stream->size), &line, &used);
    if (result == 0)
        return false;
    if (result < 0 && stream->talk.proposals > 0) {
        /* After "na": a request that was pipelined behind the proposal. A reset could overtake the "na". */
        pc_libp2p_connection_fault(stream->connection);
        pc_libp2p_talk_done_well(stream);
        return true;
    }
    if (result < 0) {
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED,
                            result == PEERCACHE_ELIMIT ? "a multistream-select line over its limit"
                                                       : "a malformed multistream-select line");
        return true;
    }
    if (stream->talk.state == PC_TALK_HEADER) {
        if (!line_is(line, PC_MULTISTREAM_PROTOCOL)) {
            pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, "no multistream-select header");
            return true;
        }
        pc_base_fsm_move(moves, &stream->talk.state, PC_TALK_SELECT);
        if (!stream->local && send_line(stream, PC_MULTISTREAM_PROTOCOL)) {
            pc_libp2p_talk_out_of_memory(stream);
            return false;
        }
    } else if (stream->local) {
        proposal_answered(stream, line);
    } else {
        proposed(stream, line);
    }
    if (stream->talk.state != PC_TALK_DONE) /* else the buffer is gone already */
        pc_libp2p_stream_consume(stream, used);
    return true;
}

/* ---- the stream's talk --------------------------------------------------------------------------------- */

/* A slow reader: it is asked nothing of us until it has read what it asked for. */
static bool is_backlogged(const struct pc_stream *stream)
{
    return !stream->local && stream->talk.protocol == PC_SPEAKS_KAD && stream->talk.state == PC_TALK_TALK &&
           stream->held > PC_KAD_BACKLOG_BYTES;
}

static bool read_message(struct pc_stream *stream)
{
    if (is_backlogged(stream))
        return false;
    switch (stream->talk.protocol) {
    case PC_SPEAKS_IDENTIFY:
        return pc_libp2p_identify_answered(stream); /* a remote one is DONE at once */
    case PC_SPEAKS_PING:
        return stream->local ? ping_answered(stream) : ping_asked(stream);
    case PC_SPEAKS_KAD:
        return stream->local ? find_node_answered(stream) : find_node_asked(stream);
    case PC_SPEAKS_PUSH:
        if (!stream->local)
            return pc_libp2p_identify_pushed(stream);
        pc_libp2p_talk_done(stream); /* it is not answered */
        return true;
    case PC_SPEAKS_DIAL:
        return stream->local ? pc_libp2p_autonat_answered(stream) : pc_libp2p_autonat_asked(stream);
    case PC_SPEAKS_DIAL_BACK:
        return stream->local ? pc_libp2p_dial_back_answered(stream) : pc_libp2p_dial_back_came(stream);
    case PC_SPEAKS_NOTHING:
    case PC_SPEAKS_COUNT:
        break;
    }
    assert(false);
    return false;
}

/* One step; false: nothing to do until more comes. */
static bool step(struct pc_stream *stream)
{
    if (stream->connection->condemned)
        return false;
    switch ((enum pc_talk_state)stream->talk.state) {
    case PC_TALK_HEADER:
    case PC_TALK_SELECT:
        return read_line(stream);
    case PC_TALK_TALK:
        return read_message(stream);
    case PC_TALK_ASKED:
    case PC_TALK_DONE:
        break;
    }
    return false;
}

static void proceed(struct pc_stream *stream)
{
    while (step(stream))
        ;
    if (!stream->ended || stream->connection->condemned || is_backlogged(stream))
        return;
    switch ((enum pc_talk_state)stream->talk.state) {
    case PC_TALK_HEADER:
    case PC_TALK_SELECT:
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, "the stream ended within multistream-select");
        break;
    case PC_TALK_TALK:
        if (!stream->local && stream->size == 0)
            pc_libp2p_talk_done_well(stream); /* no further request */
        else
            pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED,
                                "the stream ended before the message was whole");
        break;
    case PC_TALK_ASKED: /* the answer is owed first */
    case PC_TALK_DONE:
        break;
    }
}

/* What a stream may hold at most: two lines, and the largest message of its protocol with its length. */
static size_t receive_limit(const struct pc_stream *stream)
{
    const size_t lines = 2 * (PC_MULTISTREAM_LINE_MAX_BYTES + 2) + 4;
    if (!stream->local)
        return PC_STREAM_REMOTE_WINDOW;
    switch (stream->talk.protocol) {
    case PC_SPEAKS_IDENTIFY:
        return lines + PC_IDENTIFY_MAX_BYTES;
    case PC_SPEAKS_KAD:
        return lines + PC_KAD_MESSAGE_MAX_BYTES;
    case PC_SPEAKS_PING:
        return lines + PC_PING_BYTES;
    case PC_SPEAKS_DIAL:
        return lines + PC_AUTONAT_MESSAGE_BYTES;
    case PC_SPEAKS_DIAL_BACK:
        return lines + PC_DIAL_BACK_BYTES;
    case PC_SPEAKS_PUSH:
    case PC_SPEAKS_NOTHING:
    case PC_SPEAKS_COUNT:
        break;
    }
    return lines;
}

void pc_libp2p_talk_resume(struct pc_stream *stream)
{
    pc_base_fsm_move(moves, &stream->talk.state, PC_TALK_TALK);
    renew(stream);
    proceed(stream); /* what follows may be there already */
}

void pc_libp2p_protocol_receive(struct pc_stream *stream, const uint8_t *data, size_t size)
{
    if (stream->talk.state == PC_TALK_DONE) {
        pc_libp2p_stream_discard(stream, size);
        return;
    }
    int result = pc_libp2p_stream_append(stream, data, size, receive_limit(stream));
    if (result == PEERCACHE_ENOMEM) {
        pc_libp2p_talk_out_of_memory(stream);
    } else if (result) {
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, "more bytes than its protocol allows");
        pc_libp2p_stream_discard(stream, size);
    } else {
        proceed(stream);
    }
}

int pc_libp2p_protocol_start(struct pc_stream *stream, enum pc_protocol protocol, struct pc_bytes request,
                             struct pc_libp2p_queued *result)
{
    uint8_t lines[2 * (PC_LIBP2P_TEXT_BYTES + 8)];
    size_t header = 0;
    size_t proposal = 0;
    int failed = pc_libp2p_multistream_encode(PC_MULTISTREAM_PROTOCOL, lines, sizeof(lines), &header);
    if (!failed)
        failed = pc_libp2p_multistream_encode(pc_libp2p_protocol_name(pc_libp2p_talk_host(stream), protocol),
                                              lines + header, sizeof(lines) - header, &proposal);
    if (failed)
        return failed;
    uint8_t *room = pc_libp2p_stream_send_room(stream, header + proposal + request.size);
    if (!room)
        return PEERCACHE_ENOMEM;
    memcpy(room, lines, header + proposal);
    if (request.size > 0)
        memcpy(room + header + proposal, request.data, request.size);
    stream->talk.protocol = protocol;
    stream->talk.started_us = pc_libp2p_talk_host(stream)->now.mono_us;
    if (protocol == PC_SPEAKS_DIAL && pc_libp2p_autonat_started(stream, request))
        return PEERCACHE_ENOMEM;
    stream->talk.result = result;
    if (protocol == PC_SPEAKS_PING)
        memcpy(stream->talk.ping, request.data, PC_PING_BYTES);
    return 0;
}

/* What a reset means: a limit that it came upon is no fault of the peer. */
static peercache_outcome reset_outcome(const struct pc_stream *stream, peercache_outcome otherwise)
{
    return stream->reset_code == PC_LIBP2P_CODE_RATE_LIMITED ||
                   stream->reset_code == PC_LIBP2P_CODE_RESOURCE_LIMIT
               ? PEERCACHE_REFUSED
               : otherwise;
}

void pc_libp2p_protocol_reset(struct pc_stream *stream)
{
    switch ((enum pc_talk_state)stream->talk.state) {
    case PC_TALK_HEADER:
    case PC_TALK_SELECT:
        /* One who does not speak the protocol may stumble over the request behind it before its "na". */
        pc_libp2p_talk_fail(
            stream,
            reset_outcome(stream, stream->talk.result ? PEERCACHE_PROTOCOL_MISMATCH : PEERCACHE_MISBEHAVED),
            "the peer reset the stream within multistream-select");
        break;
    case PC_TALK_TALK:
    case PC_TALK_ASKED:
        if (stream->local) {
            pc_libp2p_talk_fail(stream, reset_outcome(stream, PEERCACHE_MISBEHAVED),
                                "the peer reset the stream");
        } else { /* it wants no answer any more */
            pc_libp2p_talk_done(stream);
            pc_libp2p_stream_shut(stream, PC_STREAM_CODE_DONE);
        }
        break;
    case PC_TALK_DONE:
        break;
    }
}

void pc_libp2p_protocol_expire(struct pc_stream *stream)
{
    if (stream->talk.state != PC_TALK_DONE)
        pc_libp2p_talk_fail(stream, PEERCACHE_TIMEOUT, "no whole answer in time");
    pc_libp2p_stream_set_deadline(stream, PC_TIME_NEVER);
    pc_libp2p_stream_shut(stream, PC_STREAM_CODE_DONE);
}

void pc_libp2p_protocol_resume(struct pc_stream *stream)
{
    if (!stream->local && stream->talk.state == PC_TALK_TALK)
        proceed(stream);
}

void pc_libp2p_protocol_gone(struct pc_stream *stream)
{
    request_failed(stream, PEERCACHE_CANCELLED, "the connection is gone");
}

static uint8_t *answer_room(void *context, size_t size)
{
    return pc_libp2p_stream_send_room(context, size);
}

int pc_libp2p_protocol_answer(struct pc_stream *stream, const struct pc_kad_peer *peers, size_t count)
{
    struct pc_libp2p_host *host = pc_libp2p_talk_host(stream);
    int result = pc_libp2p_kad_answer(peers, count, answer_room, stream);
    if (result)
        return result;
    pc_base_map_remove(&host->asks, &stream->talk.ask);
    stream->talk.asked = 0;
    pc_libp2p_talk_resume(stream);
    return 0;
}
