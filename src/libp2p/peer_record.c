/* Envelopes and peer records: peer_record.h. The strings are those that implementations use; the drafts of the RFCs had
 * others. */
#include "libp2p/peer_record.h"

#include "libp2p/protobuf.h"

#include <assert.h>

/* What is signed begins with it, so that a signature of one purpose is worth nothing for another. */
static const char domain[] = "libp2p-peer-record";
/* The code of a peer record in the multicodec table, as implementations write it. */
static const uint8_t payload_type[] = { 0x03, 0x01 };

#define DOMAIN_BYTES (sizeof(domain) - 1)
/* Domain, type and payload, each behind its length. */
#define SIGNED_MAX_BYTES (PC_PEER_RECORD_MAX_BYTES + 64)

enum envelope_field {
    ENVELOPE_PUBLIC_KEY = 1,
    ENVELOPE_TYPE = 2,
    ENVELOPE_PAYLOAD = 3,
    ENVELOPE_SIGNATURE = 5,
};

enum record_field {
    RECORD_ID = 1,
    RECORD_SEQ = 2,
    RECORD_ADDR = 3, /* a message with the address as its field 1 */
};

#define ADDR_MULTIADDR 1

struct envelope {
    struct pc_bytes public_key;
    struct pc_bytes type;
    struct pc_bytes payload;
    struct pc_bytes signature;
};

static int envelope_decode(struct pc_bytes bytes, struct envelope *ret_envelope)
{
    struct envelope envelope = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
    struct pc_protobuf_field field;
    struct pc_reader r;
    int more;
    if (bytes.size > PC_PEER_RECORD_MAX_BYTES)
        return PEERCACHE_ELIMIT;
    pc_base_reader_init(&r, bytes.data, bytes.size);
    while ((more = pc_libp2p_protobuf_next(&r, &field)) > 0) {
        if (field.wire != PC_PROTOBUF_BYTES)
            continue;
        switch (field.number) {
        case ENVELOPE_PUBLIC_KEY:
            envelope.public_key = field.bytes;
            break;
        case ENVELOPE_TYPE:
            envelope.type = field.bytes;
            break;
        case ENVELOPE_PAYLOAD:
            envelope.payload = field.bytes;
            break;
        case ENVELOPE_SIGNATURE:
            envelope.signature = field.bytes;
            break;
        default:
            break;
        }
    }
    if (more < 0 || !pc_bytes_equal(envelope.type, pc_bytes_of(payload_type, sizeof(payload_type))))
        return PEERCACHE_EPARSE;
    *ret_envelope = envelope;
    return 0;
}

/* The address of an AddressInfo; empty when it has none. EPARSE. */
static int addr_decode(struct pc_bytes message, struct pc_bytes *ret_addr)
{
    struct pc_protobuf_field field;
    struct pc_reader r;
    int more;
    *ret_addr = pc_bytes_of(NULL, 0);
    pc_base_reader_init(&r, message.data, message.size);
    while ((more = pc_libp2p_protobuf_next(&r, &field)) > 0)
        if (field.number == ADDR_MULTIADDR && field.wire == PC_PROTOBUF_BYTES)
            *ret_addr = field.bytes;
    return more;
}

static int addr_add(struct pc_peer_record *record, struct pc_bytes message)
{
    struct pc_bytes addr;
    int result = addr_decode(message, &addr);
    if (result < 0)
        return result;
    if (addr.size == 0)
        return 0;
    if (record->addr_count == PC_IDENTIFY_ADDRS_MAX)
        return PEERCACHE_ELIMIT;
    record->addrs[record->addr_count++] = addr;
    return 0;
}

static int record_decode(struct pc_bytes payload, struct pc_peer_record *ret_record)
{
    struct pc_protobuf_field field;
    struct pc_reader r;
    int more;
    ret_record->id.size = 0;
    ret_record->seq = 0;
    ret_record->addr_count = 0;
    pc_base_reader_init(&r, payload.data, payload.size);
    while ((more = pc_libp2p_protobuf_next(&r, &field)) > 0) {
        int result = 0;
        if (field.number == RECORD_ID && field.wire == PC_PROTOBUF_BYTES)
            result = pc_addr_peer_id_from_bytes(field.bytes, &ret_record->id) ? PEERCACHE_EPARSE : 0;
        else if (field.number == RECORD_SEQ && field.wire == PC_PROTOBUF_VARINT)
            ret_record->seq = field.varint;
        else if (field.number == RECORD_ADDR && field.wire == PC_PROTOBUF_BYTES)
            result = addr_add(ret_record, field.bytes);
        else if (field.number <= RECORD_ADDR)
            result = PEERCACHE_EPARSE;
        if (result < 0)
            return result;
    }
    if (more < 0)
        return more;
    return ret_record->id.size > 0 ? 0 : PEERCACHE_EPARSE;
}

static void write_prefixed(struct pc_writer *w, struct pc_bytes bytes)
{
    pc_base_write_varint(w, bytes.size);
    pc_base_write_bytes(w, bytes.data, bytes.size);
}

/* What is signed (RFC 0002, "Signature Production"). */
static struct pc_bytes to_be_signed(struct pc_bytes payload, uint8_t room[SIGNED_MAX_BYTES])
{
    struct pc_writer w;
    pc_base_writer_init(&w, room, SIGNED_MAX_BYTES);
    write_prefixed(&w, pc_bytes_of(domain, DOMAIN_BYTES));
    write_prefixed(&w, pc_bytes_of(payload_type, sizeof(payload_type)));
    write_prefixed(&w, payload);
    assert(!w.error); /* a payload is within an envelope, whose size is bounded */
    return pc_bytes_of(room, pc_base_writer_size(&w));
}

int pc_libp2p_peer_record_read(struct pc_bytes bytes, struct pc_peer_record *ret_record)
{
    struct envelope envelope;
    int result = envelope_decode(bytes, &envelope);
    return result < 0 ? result : record_decode(envelope.payload, ret_record);
}

int pc_libp2p_peer_record_open(struct pc_bytes bytes, struct pc_peer_record *ret_record)
{
    uint8_t room[SIGNED_MAX_BYTES];
    struct envelope envelope;
    struct pc_peer_id signer;
    int result = envelope_decode(bytes, &envelope);
    if (result == 0)
        result =
            pc_libp2p_verify(envelope.public_key, to_be_signed(envelope.payload, room), envelope.signature);
    if (result == 0)
        result = pc_addr_peer_id_from_public_key(envelope.public_key, &signer);
    if (result == 0)
        result = record_decode(envelope.payload, ret_record);
    if (result < 0)
        return result;
    return pc_addr_peer_id_equal(&signer, &ret_record->id) ? 0 : PEERCACHE_ECRYPTO;
}

static int record_encode(const struct pc_peer_id *id, const struct pc_peer_record *record, uint8_t *ret_data,
                         size_t capacity, size_t *ret_size)
{
    struct pc_writer w;
    pc_base_writer_init(&w, ret_data, capacity);
    pc_libp2p_protobuf_write_bytes(&w, RECORD_ID, pc_addr_peer_id_bytes(id));
    pc_libp2p_protobuf_write_varint(&w, RECORD_SEQ, record->seq);
    for (size_t i = 0; i < record->addr_count; i++) {
        pc_libp2p_protobuf_write_header(&w, RECORD_ADDR,
                                        pc_libp2p_protobuf_bytes_size(ADDR_MULTIADDR, record->addrs[i].size));
        pc_libp2p_protobuf_write_bytes(&w, ADDR_MULTIADDR, record->addrs[i]);
    }
    *ret_size = pc_base_writer_size(&w);
    return w.error;
}

int pc_libp2p_peer_record_seal(const struct pc_identity *identity, const struct pc_peer_record *record,
                               uint8_t *ret_envelope, size_t capacity, size_t *ret_size)
{
    uint8_t payload[PC_PEER_RECORD_MAX_BYTES];
    uint8_t room[SIGNED_MAX_BYTES];
    uint8_t signature[PC_SIGNATURE_MAX_BYTES];
    size_t payload_size, signature_size;
    struct pc_writer w;
    assert(record->addr_count <= PC_IDENTIFY_ADDRS_MAX);
    int result =
        record_encode(pc_libp2p_identity_id(identity), record, payload, sizeof(payload), &payload_size);
    if (result < 0)
        return result;
    result = pc_libp2p_identity_sign(identity, to_be_signed(pc_bytes_of(payload, payload_size), room),
                                     signature, sizeof(signature), &signature_size);
    if (result < 0)
        return result;
    pc_base_writer_init(&w, ret_envelope,
                        capacity < PC_PEER_RECORD_MAX_BYTES ? capacity : PC_PEER_RECORD_MAX_BYTES);
    pc_libp2p_protobuf_write_bytes(&w, ENVELOPE_PUBLIC_KEY, pc_libp2p_identity_public_key(identity));
    pc_libp2p_protobuf_write_bytes(&w, ENVELOPE_TYPE, pc_bytes_of(payload_type, sizeof(payload_type)));
    pc_libp2p_protobuf_write_bytes(&w, ENVELOPE_PAYLOAD, pc_bytes_of(payload, payload_size));
    pc_libp2p_protobuf_write_bytes(&w, ENVELOPE_SIGNATURE, pc_bytes_of(signature, signature_size));
    if (w.error)
        return w.error;
    *ret_size = pc_base_writer_size(&w);
    return 0;
}
