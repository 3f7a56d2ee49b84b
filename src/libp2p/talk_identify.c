/*
 * identify and identify-push on a stream (libp2p/specs identify/README.md): what we say of ourselves, asked or not, and what
 * peers say of themselves. Our addresses go out signed (peer_record.h), and those of a peer's signed record count for more
 * than those beside it.
 */
#include "libp2p/peer_record.h"
#include "libp2p/talk.h"

#include <stdlib.h>

/* ---- ours ---------------------------------------------------------------------------------------------- */

/* The envelope of our addresses, made anew when they changed. Without one (no memory) they go out unsigned. */
static struct pc_bytes own_record(struct pc_libp2p_host *host)
{
    if (!host->record_current) {
        struct pc_peer_record record = { .addr_count = host->addr_count };
        uint64_t wall_ms = host->now.wall_ms > 0 ? (uint64_t)host->now.wall_ms : 0;
        for (size_t i = 0; i < host->addr_count; i++)
            record.addrs[i] = pc_addr_maddr_bytes(&host->addrs[i]);
        /* The time, so that it grows over restarts too; and more than the last one, should the clock go back. */
        host->record_seq = wall_ms > host->record_seq ? wall_ms : host->record_seq + 1;
        record.seq = host->record_seq;
        int result = pc_libp2p_peer_record_seal(host->options.identity, &record, host->record,
                                                sizeof(host->record), &host->record_size);
        if (result) {
            pc_base_log(host->options.log, PC_LOG_WARNING, "libp2p", "our addresses go out unsigned: %s",
                        peercache_strerror(result));
            return pc_bytes_of(NULL, 0);
        }
        host->record_current = true;
    }
    return pc_bytes_of(host->record, host->record_size);
}

/* What is said to this peer, in the host's scratch. ELIMIT. */
static int encode_own(struct pc_connection *connection, struct pc_bytes *ret_message)
{
    struct pc_libp2p_host *host = connection->host;
    struct pc_identify *identify = &host->identify;
    struct pc_maddr observed;
    size_t size;
    memset(identify, 0, sizeof(*identify));
    identify->public_key = pc_libp2p_identity_public_key(host->options.identity);
    identify->agent = pc_bytes_of(host->agent, strlen(host->agent));
    identify->protocol_version = pc_bytes_of("ipfs/0.1.0", 10);
    pc_addr_from_ip_port(&connection->remote, &observed);
    identify->observed_addr = pc_addr_maddr_bytes(&observed);
    identify->signed_record = own_record(host);
    for (size_t i = 0; i < host->addr_count; i++)
        identify->addrs[identify->addr_count++] = pc_addr_maddr_bytes(&host->addrs[i]);
    for (unsigned i = PC_SPEAKS_NOTHING + 1; i < PC_SPEAKS_COUNT; i++) {
        if (!pc_libp2p_protocol_spoken(host, (enum pc_protocol)i))
            continue;
        const char *name = pc_libp2p_protocol_name(host, (enum pc_protocol)i);
        identify->protocols[identify->protocol_count++] = pc_bytes_of(name, strlen(name));
    }
    int result = pc_libp2p_identify_encode(identify, host->scratch, sizeof(host->scratch), &size);
    if (result == 0)
        *ret_message = pc_bytes_of(host->scratch, size);
    return result;
}

void pc_libp2p_identify_answer(struct pc_stream *stream)
{
    struct pc_bytes message;
    if (encode_own(stream->connection, &message)) {
        pc_libp2p_talk_fail(stream, PEERCACHE_CANCELLED, "our own identify is over the limit");
        return;
    }
    if (pc_libp2p_stream_send(stream, message)) {
        pc_libp2p_talk_out_of_memory(stream);
        return;
    }
    pc_libp2p_talk_done_well(stream);
}

void pc_libp2p_identify_push(struct pc_connection *connection)
{
    struct pc_libp2p_host *host = connection->host;
    struct pc_bytes message;
    connection->push_due = false;
    if (encode_own(connection, &message))
        return;
    struct pc_stream *stream = pc_libp2p_stream_new(connection, true, -1);
    if (!stream || pc_libp2p_protocol_start(stream, PC_SPEAKS_PUSH, message, NULL)) {
        pc_libp2p_connection_condemn(connection, PEERCACHE_CANCELLED, "out of memory");
        return;
    }
    pc_libp2p_stream_finish(stream);
    pc_libp2p_stream_set_deadline(stream,
                                  pc_base_time_add(host->now.mono_us, host->options.stream_timeout_us));
    connection->stream_allowed = true;
    host->counts.pushes_sent++;
}

/* ---- the peer's ---------------------------------------------------------------------------------------- */

/* Whether the signed record is to be used: it is the peer's own, and not older than one that was seen. */
static bool record_counts(struct pc_connection *connection, const struct pc_identify *identify)
{
    struct pc_libp2p_counts *counts = &connection->host->counts;
    struct pc_peer_record record;
    if (identify->signed_record.size == 0)
        return false;
    int result = pc_libp2p_peer_record_open(identify->signed_record, &record);
    if (result == 0 && !pc_addr_peer_id_equal(&record.id, &connection->id))
        result = PEERCACHE_ECRYPTO;
    if (result) {
        if (result != PEERCACHE_ENOMEM)
            counts->records_bad++;
        pc_base_log(connection->host->options.log, PC_LOG_DEBUG, "libp2p",
                    "a signed peer record is ignored: %s", peercache_strerror(result));
        return false;
    }
    if (record.seq < connection->record_seq) {
        counts->records_stale++;
        return false;
    }
    connection->record_seq = record.seq;
    counts->records_good++;
    return true;
}

/* The event of a whole message, its kind not set yet. NULL: memory. */
static struct pc_libp2p_queued *queued_of(struct pc_connection *connection, struct pc_bytes message,
                                          const struct pc_identify *identify)
{
    struct pc_libp2p_queued *queued = calloc(1, sizeof(*queued));
    uint8_t *copy = malloc(message.size ? message.size : 1);
    if (!queued || !copy) {
        free(queued);
        free(copy);
        return NULL;
    }
    if (message.size > 0)
        memcpy(copy, message.data, message.size);
    queued->blob = copy;
    queued->message = pc_bytes_of(copy, message.size);
    queued->record_counts = record_counts(connection, identify);
    return queued;
}

static bool names(const struct pc_identify *identify, const char *protocol)
{
    for (size_t i = 0; i < identify->protocol_count; i++)
        if (pc_bytes_equal(identify->protocols[i], pc_bytes_of(protocol, strlen(protocol))))
            return true;
    return false;
}

/* A whole message is in the stream's buffer, and the host's identify is what it says: 1; 0 not yet; or the talk has
 * failed, below 0. */
static int read_message(struct pc_stream *stream, size_t limit, struct pc_bytes *ret_message)
{
    struct pc_libp2p_host *host = pc_libp2p_talk_host(stream);
    struct pc_peer_id id;
    size_t used;
    int result = pc_libp2p_frame_decode(pc_bytes_of(stream->data, stream->size), limit, ret_message, &used);
    if (result == 0)
        return 0;
    if (result > 0)
        result = pc_libp2p_identify_decode(*ret_message, &host->identify);
    if (result < 0) {
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, pc_libp2p_talk_why(result));
        return result;
    }
    if (host->identify.public_key.size > 0 &&
        (pc_addr_peer_id_from_public_key(host->identify.public_key, &id) ||
         !pc_addr_peer_id_equal(&id, &stream->connection->id))) {
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, "a public key other than that of the certificate");
        return PEERCACHE_EPROTO;
    }
    return 1;
}

bool pc_libp2p_identify_answered(struct pc_stream *stream)
{
    struct pc_connection *connection = stream->connection;
    const struct pc_identify *identify = &connection->host->identify;
    struct pc_bytes message;
    int result = read_message(stream, PC_IDENTIFY_MAX_BYTES, &message);
    if (result <= 0)
        return result < 0;
    struct pc_libp2p_queued *opened = queued_of(connection, message, identify);
    if (!opened) {
        pc_libp2p_talk_out_of_memory(stream);
        return false;
    }
    pc_libp2p_queued_free(connection->opened);
    connection->opened = opened;
    connection->takes_push = names(identify, PC_PROTOCOL_PUSH);
    if (connection->push_due && connection->takes_push)
        pc_libp2p_identify_push(connection);
    pc_libp2p_talk_done_well(stream);
    return true;
}

/* Pushes are for changes, which are rare: a peer has a few at once, and then one a second. */
static bool push_allowed(struct pc_connection *connection)
{
    const struct pc_libp2p_rate rate = { PC_PUSHES_PER_S, PC_PUSHES_AT_ONCE };
    return pc_libp2p_rate_take(&connection->push_bucket, rate, connection->host->now.mono_us);
}

bool pc_libp2p_identify_pushed(struct pc_stream *stream)
{
    struct pc_connection *connection = stream->connection;
    struct pc_libp2p_counts *counts = &connection->host->counts;
    const struct pc_identify *identify = &connection->host->identify;
    struct pc_bytes message;
    int result = read_message(stream, PC_PUSH_MAX_BYTES, &message);
    if (result <= 0)
        return result < 0;
    if (!push_allowed(connection)) {
        counts->pushes_refused++;
        pc_libp2p_talk_fail(stream, PEERCACHE_MISBEHAVED, "too many pushes");
        return true;
    }
    struct pc_libp2p_queued *pushed = queued_of(connection, message, identify);
    if (!pushed) {
        pc_libp2p_talk_out_of_memory(stream);
        return false;
    }
    counts->pushes_received++;
    if (identify->protocol_count > 0)
        connection->takes_push = names(identify, PC_PROTOCOL_PUSH);
    pc_libp2p_connection_pushed(connection, pushed);
    pc_libp2p_talk_done_well(stream);
    return true;
}
