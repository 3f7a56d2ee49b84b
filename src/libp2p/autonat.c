/* The messages of AutoNAT v2 in bytes: autonat.h. */
#include "libp2p/autonat.h"

#include "libp2p/protobuf.h"

#include <peercache/types.h>

enum request_field {
    REQUEST_ADDR = 1,
    REQUEST_NONCE = 2,
};

enum response_field {
    RESPONSE_STATUS = 1,
    RESPONSE_ADDR_INDEX = 2,
    RESPONSE_DIAL = 3,
};

enum data_request_field {
    DATA_REQUEST_ADDR_INDEX = 1,
    DATA_REQUEST_BYTES = 2,
};

#define DATA_BYTES      1
#define DIAL_BACK_NONCE 1

/* A field of one of the messages. EPARSE. */
typedef int take_field(struct pc_autonat_message *message, const struct pc_protobuf_field *field);

static int take_request(struct pc_autonat_message *message, const struct pc_protobuf_field *field)
{
    if (field->number == REQUEST_ADDR && field->wire == PC_PROTOBUF_BYTES) {
        if (message->addr_count < PC_AUTONAT_ADDRS_MAX)
            message->addrs[message->addr_count++] = field->bytes;
    } else if (field->number == REQUEST_NONCE && field->wire == PC_PROTOBUF_FIXED64) {
        message->nonce = field->varint;
    } else if (field->number <= REQUEST_NONCE) {
        return PEERCACHE_EPARSE;
    }
    return 0;
}

static int take_number(const struct pc_protobuf_field *field, uint32_t *ret_number)
{
    if (field->wire != PC_PROTOBUF_VARINT || field->varint > UINT32_MAX)
        return PEERCACHE_EPARSE;
    *ret_number = (uint32_t)field->varint;
    return 0;
}

static int take_response(struct pc_autonat_message *message, const struct pc_protobuf_field *field)
{
    switch (field->number) {
    case RESPONSE_STATUS:
        return take_number(field, &message->status);
    case RESPONSE_ADDR_INDEX:
        return take_number(field, &message->addr_index);
    case RESPONSE_DIAL:
        return take_number(field, &message->dial);
    default:
        return 0;
    }
}

static int take_data_request(struct pc_autonat_message *message, const struct pc_protobuf_field *field)
{
    if (field->number == DATA_REQUEST_ADDR_INDEX)
        return take_number(field, &message->addr_index);
    if (field->number == DATA_REQUEST_BYTES) {
        if (field->wire != PC_PROTOBUF_VARINT)
            return PEERCACHE_EPARSE;
        message->data_bytes = field->varint;
    }
    return 0;
}

static int take_data(struct pc_autonat_message *message, const struct pc_protobuf_field *field)
{
    if (field->number == DATA_BYTES) {
        if (field->wire != PC_PROTOBUF_BYTES)
            return PEERCACHE_EPARSE;
        message->data = field->bytes;
    }
    return 0;
}

static int take_fields(struct pc_autonat_message *message, struct pc_bytes bytes, take_field *take)
{
    struct pc_protobuf_field field;
    struct pc_reader r;
    int more;
    pc_base_reader_init(&r, bytes.data, bytes.size);
    while ((more = pc_libp2p_protobuf_next(&r, &field)) > 0)
        if (take(message, &field))
            return PEERCACHE_EPARSE;
    return more;
}

int pc_libp2p_autonat_decode(struct pc_bytes bytes, struct pc_autonat_message *ret_message)
{
    static take_field *const take[] = { [PC_AUTONAT_REQUEST] = take_request,
                                        [PC_AUTONAT_RESPONSE] = take_response,
                                        [PC_AUTONAT_DATA_REQUEST] = take_data_request,
                                        [PC_AUTONAT_DATA] = take_data };
    struct pc_protobuf_field last = { .number = 0 }, field;
    struct pc_reader r;
    int more;
    if (bytes.size > PC_AUTONAT_MESSAGE_BYTES)
        return PEERCACHE_ELIMIT;
    pc_base_reader_init(&r, bytes.data, bytes.size);
    while ((more = pc_libp2p_protobuf_next(&r, &field)) > 0)
        if (field.number <= PC_AUTONAT_DATA)
            last = field; /* of several of a oneof the last counts */
    if (more < 0 || last.number == 0 || last.wire != PC_PROTOBUF_BYTES)
        return PEERCACHE_EPARSE;
    struct pc_autonat_message message = { .kind = (enum pc_autonat_kind)last.number };
    int result = take_fields(&message, last.bytes, take[last.number]);
    if (result == 0)
        *ret_message = message;
    return result;
}

static size_t varint_size(uint32_t number, uint64_t value)
{
    return value == 0 ? 0 : pc_libp2p_protobuf_varint_size(number, value);
}

static void write_varint(struct pc_writer *w, uint32_t number, uint64_t value)
{
    if (value != 0)
        pc_libp2p_protobuf_write_varint(w, number, value);
}

static size_t inner_size(const struct pc_autonat_message *message)
{
    size_t size = 0;
    switch (message->kind) {
    case PC_AUTONAT_REQUEST:
        for (size_t i = 0; i < message->addr_count; i++)
            size += pc_libp2p_protobuf_bytes_size(REQUEST_ADDR, message->addrs[i].size);
        return size + 1 + sizeof(uint64_t); /* the nonce, behind a tag of one byte */
    case PC_AUTONAT_RESPONSE:
        return varint_size(RESPONSE_STATUS, message->status) +
               varint_size(RESPONSE_ADDR_INDEX, message->addr_index) +
               varint_size(RESPONSE_DIAL, message->dial);
    case PC_AUTONAT_DATA_REQUEST:
        return varint_size(DATA_REQUEST_ADDR_INDEX, message->addr_index) +
               varint_size(DATA_REQUEST_BYTES, message->data_bytes);
    case PC_AUTONAT_DATA:
        return pc_libp2p_protobuf_bytes_size(DATA_BYTES, message->data.size);
    }
    return 0;
}

int pc_libp2p_autonat_encode(const struct pc_autonat_message *message, uint8_t *ret_data, size_t capacity,
                             size_t *ret_size)
{
    struct pc_writer w;
    size_t inner = inner_size(message);
    size_t size = pc_libp2p_protobuf_bytes_size(message->kind, inner);
    if (size > PC_AUTONAT_MESSAGE_BYTES)
        return PEERCACHE_ELIMIT;
    pc_base_writer_init(&w, ret_data, capacity);
    pc_base_write_varint(&w, size);
    pc_libp2p_protobuf_write_header(&w, message->kind, inner);
    switch (message->kind) {
    case PC_AUTONAT_REQUEST:
        for (size_t i = 0; i < message->addr_count; i++)
            pc_libp2p_protobuf_write_bytes(&w, REQUEST_ADDR, message->addrs[i]);
        pc_libp2p_protobuf_write_fixed64(&w, REQUEST_NONCE, message->nonce);
        break;
    case PC_AUTONAT_RESPONSE:
        write_varint(&w, RESPONSE_STATUS, message->status);
        write_varint(&w, RESPONSE_ADDR_INDEX, message->addr_index);
        write_varint(&w, RESPONSE_DIAL, message->dial);
        break;
    case PC_AUTONAT_DATA_REQUEST:
        write_varint(&w, DATA_REQUEST_ADDR_INDEX, message->addr_index);
        write_varint(&w, DATA_REQUEST_BYTES, message->data_bytes);
        break;
    case PC_AUTONAT_DATA:
        pc_libp2p_protobuf_write_bytes(&w, DATA_BYTES, message->data);
        break;
    }
    if (w.error)
        return w.error;
    *ret_size = pc_base_writer_size(&w);
    return 0;
}

int pc_libp2p_dial_back_decode(struct pc_bytes message, uint64_t *ret_nonce)
{
    struct pc_protobuf_field field;
    struct pc_reader r;
    uint64_t nonce = 0;
    int more;
    pc_base_reader_init(&r, message.data, message.size);
    while ((more = pc_libp2p_protobuf_next(&r, &field)) > 0) {
        if (field.number != DIAL_BACK_NONCE)
            continue;
        if (field.wire != PC_PROTOBUF_FIXED64)
            return PEERCACHE_EPARSE;
        nonce = field.varint;
    }
    if (more < 0)
        return more;
    *ret_nonce = nonce;
    return 0;
}

int pc_libp2p_dial_back_encode(uint64_t nonce, uint8_t *ret_data, size_t capacity, size_t *ret_size)
{
    struct pc_writer w;
    pc_base_writer_init(&w, ret_data, capacity);
    pc_base_write_varint(&w, 1 + sizeof(nonce));
    pc_libp2p_protobuf_write_fixed64(&w, DIAL_BACK_NONCE, nonce);
    if (w.error)
        return w.error;
    *ret_size = pc_base_writer_size(&w);
    return 0;
}
