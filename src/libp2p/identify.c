/* The identify message (libp2p/specs identify/README.md). A field that may stand once and stands twice: the
 * last counts, as protobuf says. */
#include "libp2p/message.h"

#include "libp2p/protobuf.h"

#include <peercache/types.h>

#include <assert.h>

enum identify_field {
    FIELD_PUBLIC_KEY = 1,
    FIELD_LISTEN_ADDR = 2,
    FIELD_PROTOCOL = 3,
    FIELD_OBSERVED_ADDR = 4,
    FIELD_PROTOCOL_VERSION = 5,
    FIELD_AGENT = 6,
    FIELD_SIGNED_RECORD = 8,
};

/* One more of a list. ELIMIT. */
static int list_add(struct pc_bytes *list, size_t *count, size_t max, struct pc_bytes item)
{
    if (*count == max)
        return PEERCACHE_ELIMIT;
    list[(*count)++] = item;
    return 0;
}

/* Take in one field of bytes; fields of later versions are passed over. */
static int field_take(struct pc_identify *identify, uint32_t number, struct pc_bytes bytes)
{
    switch (number) {
    case FIELD_PUBLIC_KEY:
        identify->public_key = bytes;
        return 0;
    case FIELD_LISTEN_ADDR:
        return list_add(identify->addrs, &identify->addr_count, PC_IDENTIFY_ADDRS_MAX, bytes);
    case FIELD_PROTOCOL:
        return list_add(identify->protocols, &identify->protocol_count, PC_IDENTIFY_PROTOCOLS_MAX, bytes);
    case FIELD_OBSERVED_ADDR:
        identify->observed_addr = bytes;
        return 0;
    case FIELD_PROTOCOL_VERSION:
        identify->protocol_version = bytes;
        return 0;
    case FIELD_AGENT:
        identify->agent = bytes;
        return 0;
    case FIELD_SIGNED_RECORD:
        identify->signed_record = bytes;
        return 0;
    default:
        return 0;
    }
}

int pc_libp2p_identify_decode(struct pc_bytes message, struct pc_identify *ret_identify)
{
    struct pc_identify identify = { .addr_count = 0 };
    struct pc_protobuf_field field;
    struct pc_reader r;
    int more;
    if (message.size > PC_IDENTIFY_MAX_BYTES)
        return PEERCACHE_ELIMIT;
    pc_base_reader_init(&r, message.data, message.size);
    while ((more = pc_libp2p_protobuf_next(&r, &field)) > 0) {
        if (field.wire != PC_PROTOBUF_BYTES) {
            if (field.number <= FIELD_AGENT)
                return PEERCACHE_EPARSE;
            continue;
        }
        int taken = field_take(&identify, field.number, field.bytes);
        if (taken < 0)
            return taken;
    }
    if (more < 0)
        return more;
    *ret_identify = identify;
    return 0;
}

/* What an optional field takes: nothing when it is empty. */
static size_t optional_size(uint32_t number, struct pc_bytes bytes)
{
    return bytes.size > 0 ? pc_libp2p_protobuf_bytes_size(number, bytes.size) : 0;
}

static void optional_write(struct pc_writer *w, uint32_t number, struct pc_bytes bytes)
{
    if (bytes.size > 0)
        pc_libp2p_protobuf_write_bytes(w, number, bytes);
}

static size_t message_size(const struct pc_identify *identify)
{
    size_t size = optional_size(FIELD_PUBLIC_KEY, identify->public_key) +
                  optional_size(FIELD_OBSERVED_ADDR, identify->observed_addr) +
                  optional_size(FIELD_PROTOCOL_VERSION, identify->protocol_version) +
                  optional_size(FIELD_AGENT, identify->agent) +
                  optional_size(FIELD_SIGNED_RECORD, identify->signed_record);
    for (size_t i = 0; i < identify->addr_count; i++)
        size += pc_libp2p_protobuf_bytes_size(FIELD_LISTEN_ADDR, identify->addrs[i].size);
    for (size_t i = 0; i < identify->protocol_count; i++)
        size += pc_libp2p_protobuf_bytes_size(FIELD_PROTOCOL, identify->protocols[i].size);
    return size;
}

int pc_libp2p_identify_encode(const struct pc_identify *identify, uint8_t *ret_data, size_t capacity,
                              size_t *ret_size)
{
    struct pc_writer w;
    assert(identify->addr_count <= PC_IDENTIFY_ADDRS_MAX);
    assert(identify->protocol_count <= PC_IDENTIFY_PROTOCOLS_MAX);
    size_t size = message_size(identify);
    if (size > PC_IDENTIFY_MAX_BYTES || pc_base_varint_size(size) + size > capacity)
        return PEERCACHE_ELIMIT;
    pc_base_writer_init(&w, ret_data, capacity);
    pc_base_write_varint(&w, size);
    optional_write(&w, FIELD_PUBLIC_KEY, identify->public_key);
    for (size_t i = 0; i < identify->addr_count; i++)
        pc_libp2p_protobuf_write_bytes(&w, FIELD_LISTEN_ADDR, identify->addrs[i]);
    for (size_t i = 0; i < identify->protocol_count; i++)
        pc_libp2p_protobuf_write_bytes(&w, FIELD_PROTOCOL, identify->protocols[i]);
    optional_write(&w, FIELD_OBSERVED_ADDR, identify->observed_addr);
    optional_write(&w, FIELD_PROTOCOL_VERSION, identify->protocol_version);
    optional_write(&w, FIELD_AGENT, identify->agent);
    optional_write(&w, FIELD_SIGNED_RECORD, identify->signed_record);
    assert(!w.error);
    *ret_size = pc_base_writer_size(&w);
    return 0;
}
