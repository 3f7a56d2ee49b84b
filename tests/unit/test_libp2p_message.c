#include "check.h"

#include "libp2p/message.h"
#include "libp2p/protobuf.h"

#include "base/rng.h"

#include <peercache/types.h>

#include <stdlib.h>
#include <string.h>

static struct pc_bytes text(const char *s)
{
    return pc_bytes_of(s, strlen(s));
}

/* ---- multistream-select and frames ---- */

static void lines_round_trip(void **state)
{
    (void)state;
    static const uint8_t na[] = { 3, 'n', 'a', '\n' }; /* the example of the spec */
    uint8_t data[64];
    struct pc_bytes line;
    size_t size, used;
    assert_int_equal(pc_libp2p_multistream_encode("na", data, sizeof(data), &size), 0);
    assert_int_equal(size, sizeof(na));
    assert_memory_equal(data, na, sizeof(na));
    assert_int_equal(pc_libp2p_multistream_encode(PC_MULTISTREAM_PROTOCOL, data, sizeof(data), &size), 0);
    assert_int_equal(size, 20);
    data[size] = 0x80; /* what follows is left alone */
    assert_int_equal(pc_libp2p_multistream_decode(pc_bytes_of(data, size + 1), &line, &used), 1);
    assert_int_equal(used, size);
    assert_true(pc_bytes_equal(line, text(PC_MULTISTREAM_PROTOCOL)));
}

static void lines_come_byte_by_byte(void **state)
{
    (void)state;
    const char *const lines[] = { PC_MULTISTREAM_PROTOCOL, "/ipfs/id/1.0.0", "", "na" };
    uint8_t stream[2048];
    char long_line[PC_MULTISTREAM_LINE_MAX_BYTES];
    size_t stream_size = 0, size, at = 0, line_at = 0;
    memset(long_line, 'x', sizeof(long_line) - 1);
    long_line[sizeof(long_line) - 1] = '\0';
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(
            pc_libp2p_multistream_encode(lines[i], stream + stream_size, sizeof(stream) - stream_size, &size),
            0);
        stream_size += size;
    }
    assert_int_equal(
        pc_libp2p_multistream_encode(long_line, stream + stream_size, sizeof(stream) - stream_size, &size),
        0);
    stream_size += size;
    for (size_t arrived = 0; arrived <= stream_size; arrived++) {
        struct pc_bytes line;
        size_t used = 12345;
        int r = pc_libp2p_multistream_decode(pc_bytes_of(stream + at, arrived - at), &line, &used);
        assert_true(r >= 0);
        if (r == 0) {
            assert_int_equal(used, 12345);
            continue;
        }
        assert_true(pc_bytes_equal(line, text(line_at < 4 ? lines[line_at] : long_line)));
        at += used;
        line_at++;
        assert_int_equal(at, arrived); /* as soon as it is whole, not later */
    }
    assert_int_equal(line_at, 5);
    assert_int_equal(at, stream_size);
}

static int decode_line(const void *data, size_t size)
{
    struct pc_bytes line = { NULL, 999 };
    size_t used = 999;
    int r = pc_libp2p_multistream_decode(pc_bytes_of(data, size), &line, &used);
    if (r <= 0) {
        assert_int_equal(line.size, 999);
        assert_int_equal(used, 999);
    }
    return r;
}

static void bad_lines_are_refused(void **state)
{
    (void)state;
    uint8_t data[PC_MULTISTREAM_LINE_MAX_BYTES + 8];
    assert_int_equal(decode_line(NULL, 0), 0);
    assert_int_equal(decode_line("\x00", 1), PEERCACHE_EPARSE);         /* no newline */
    assert_int_equal(decode_line("\x02na", 3), PEERCACHE_EPARSE);       /* no newline */
    assert_int_equal(decode_line("\x83\x00na\n", 5), PEERCACHE_EPARSE); /* not the shortest form */
    assert_int_equal(decode_line("\x80\x08", 2), 0);                    /* 1024 */
    assert_int_equal(decode_line("\x81\x08", 2), PEERCACHE_ELIMIT); /* 1025, though nothing of it is there */
    assert_int_equal(decode_line("\x80", 1), 0);
    assert_int_equal(decode_line("\x80\x80", 2), PEERCACHE_ELIMIT); /* an endless length ends here */
    memset(data, 0xff, sizeof(data));
    assert_int_equal(decode_line(data, sizeof(data)), PEERCACHE_ELIMIT);
    memset(data, 'x', sizeof(data)); /* a length of 120, and text without an end */
    assert_int_equal(decode_line(data, 100), 0);
    assert_int_equal(decode_line(data, sizeof(data)), PEERCACHE_EPARSE);
}

static void long_lines_are_not_written(void **state)
{
    (void)state;
    char line[PC_MULTISTREAM_LINE_MAX_BYTES + 1];
    uint8_t data[PC_MULTISTREAM_LINE_MAX_BYTES + 8];
    size_t size = 999;
    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    assert_int_equal(pc_libp2p_multistream_encode(line, data, sizeof(data), &size), PEERCACHE_ELIMIT);
    assert_int_equal(pc_libp2p_multistream_encode("na", data, 3, &size), PEERCACHE_ELIMIT);
    assert_int_equal(size, 999);
    line[sizeof(line) - 2] = '\0';
    assert_int_equal(pc_libp2p_multistream_encode(line, data, sizeof(data), &size), 0);
    assert_int_equal(size, PC_MULTISTREAM_LINE_MAX_BYTES + 2);
}

static void frames(void **state)
{
    (void)state;
    const uint8_t data[] = { 3, 'a', 'b', 'c', 0, 5 };
    struct pc_bytes message = { NULL, 0 };
    size_t used = 0;
    assert_int_equal(pc_libp2p_frame_decode(pc_bytes_of(data, 6), 3, &message, &used), 1);
    assert_int_equal(used, 4);
    assert_true(pc_bytes_equal(message, text("abc")));
    assert_int_equal(pc_libp2p_frame_decode(pc_bytes_of(data, 6), 2, &message, &used), PEERCACHE_ELIMIT);
    assert_int_equal(pc_libp2p_frame_decode(pc_bytes_of(data, 3), 3, &message, &used), 0);
    assert_int_equal(pc_libp2p_frame_decode(pc_bytes_of(data + 4, 2), 3, &message, &used), 1);
    assert_int_equal(message.size, 0);
    assert_int_equal(used, 1);
    /* the largest length that fits the largest limit of ours: 262144 is 80 80 10 */
    assert_int_equal(
        pc_libp2p_frame_decode(pc_bytes_of("\x80\x80\x10", 3), PC_KAD_MESSAGE_MAX_BYTES, &message, &used), 0);
    assert_int_equal(
        pc_libp2p_frame_decode(pc_bytes_of("\x81\x80\x10", 3), PC_KAD_MESSAGE_MAX_BYTES, &message, &used),
        PEERCACHE_ELIMIT);
    assert_int_equal(
        pc_libp2p_frame_decode(pc_bytes_of("\x80\x80\x80", 3), PC_KAD_MESSAGE_MAX_BYTES, &message, &used),
        PEERCACHE_ELIMIT);
}

/* ---- protobuf ---- */

static void fields_of_every_wire_type(void **state)
{
    (void)state;
    static const uint8_t data[] = { 0x08, 0xac, 0x02,                           /* 1: 300 */
                                    0x11, 1,    2,    3,    4,    5, 6, 7, 8,   /* 2: 64 bits */
                                    0x1a, 2,    'h',  'i',                      /* 3: "hi" */
                                    0xfd, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3, 4 }; /* 2^29 - 1: 32 bits */
    struct pc_protobuf_field field;
    struct pc_reader r;
    pc_base_reader_init(&r, data, sizeof(data));
    assert_int_equal(pc_libp2p_protobuf_next(&r, &field), 1);
    assert_int_equal(field.number, 1);
    assert_int_equal(field.wire, PC_PROTOBUF_VARINT);
    assert_int_equal(field.varint, 300);
    assert_int_equal(field.bytes.size, 0);
    assert_int_equal(pc_libp2p_protobuf_next(&r, &field), 1);
    assert_int_equal(field.number, 2);
    assert_int_equal(field.wire, PC_PROTOBUF_FIXED64);
    assert_int_equal(pc_libp2p_protobuf_next(&r, &field), 1);
    assert_int_equal(field.number, 3);
    assert_true(pc_bytes_equal(field.bytes, text("hi")));
    assert_int_equal(field.varint, 0);
    assert_int_equal(pc_libp2p_protobuf_next(&r, &field), 1);
    assert_int_equal(field.number, (1 << 29) - 1);
    assert_int_equal(field.wire, PC_PROTOBUF_FIXED32);
    assert_int_equal(pc_libp2p_protobuf_next(&r, &field), 0);
    assert_int_equal(pc_libp2p_protobuf_next(&r, &field), 0);
}

static int first_field(const void *data, size_t size)
{
    struct pc_protobuf_field field = { .number = 999 };
    struct pc_reader r;
    pc_base_reader_init(&r, data, size);
    int result = pc_libp2p_protobuf_next(&r, &field);
    if (result <= 0)
        assert_int_equal(field.number, 999);
    return result;
}

static void bad_fields_are_refused(void **state)
{
    (void)state;
    assert_int_equal(first_field("\x08", 1), PEERCACHE_EPARSE);      /* no value */
    assert_int_equal(first_field("\x08\x80", 2), PEERCACHE_EPARSE);  /* cut varint */
    assert_int_equal(first_field("\x0a\x02x", 3), PEERCACHE_EPARSE); /* cut bytes */
    assert_int_equal(first_field("\x09\1\2\3\4\5\6\7", 8), PEERCACHE_EPARSE);
    assert_int_equal(first_field("\x0d\1\2\3", 4), PEERCACHE_EPARSE);
    assert_int_equal(first_field("\x00\x01", 2), PEERCACHE_EPARSE);                 /* field 0 */
    assert_int_equal(first_field("\x0b\x0c", 2), PEERCACHE_EPARSE);                 /* a group */
    assert_int_equal(first_field("\x0e\x01", 2), PEERCACHE_EPARSE);                 /* no wire type */
    assert_int_equal(first_field("\x80\x80\x80\x80\x10\x01", 6), PEERCACHE_EPARSE); /* 2^29 */
    /* a length of 2^64 - 1 */
    assert_int_equal(first_field("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 12), PEERCACHE_EPARSE);
}

/* ---- identify ---- */

static void identify_same(const struct pc_identify *a, const struct pc_identify *b)
{
    assert_true(pc_bytes_equal(a->public_key, b->public_key));
    assert_true(pc_bytes_equal(a->agent, b->agent));
    assert_true(pc_bytes_equal(a->protocol_version, b->protocol_version));
    assert_true(pc_bytes_equal(a->observed_addr, b->observed_addr));
    assert_int_equal(a->addr_count, b->addr_count);
    for (size_t i = 0; i < a->addr_count; i++)
        assert_true(pc_bytes_equal(a->addrs[i], b->addrs[i]));
    assert_int_equal(a->protocol_count, b->protocol_count);
    for (size_t i = 0; i < a->protocol_count; i++)
        assert_true(pc_bytes_equal(a->protocols[i], b->protocols[i]));
}

static struct pc_identify identify_sample(void)
{
    struct pc_identify identify = { .public_key = text("key"),
                                    .agent = text("peercache/0.1.0"),
                                    .protocol_version = text("ipfs/0.1.0"),
                                    .observed_addr = text("\x04\x7f\x01\x01\x01"),
                                    .addr_count = PC_IDENTIFY_ADDRS_MAX,
                                    .protocol_count = PC_IDENTIFY_PROTOCOLS_MAX };
    static const char *const words[] = { "one", "", "three", "/ipfs/kad/1.0.0" };
    for (size_t i = 0; i < identify.addr_count; i++)
        identify.addrs[i] = text(words[i % 4]);
    for (size_t i = 0; i < identify.protocol_count; i++)
        identify.protocols[i] = text(words[(i + 1) % 4]);
    return identify;
}

static void identify_round_trips(void **state)
{
    (void)state;
    const struct pc_identify empty = { .addr_count = 0 }, full = identify_sample();
    const struct pc_identify *const samples[] = { &empty, &full };
    for (size_t i = 0; i < 2; i++) {
        uint8_t data[4096], small[4096];
        struct pc_identify decoded;
        struct pc_bytes message;
        size_t size, used, untouched = 999;
        assert_int_equal(pc_libp2p_identify_encode(samples[i], data, sizeof(data), &size), 0);
        assert_int_equal(
            pc_libp2p_frame_decode(pc_bytes_of(data, size), PC_IDENTIFY_MAX_BYTES, &message, &used), 1);
        assert_int_equal(used, size);
        assert_int_equal(pc_libp2p_identify_decode(message, &decoded), 0);
        identify_same(samples[i], &decoded);
        for (size_t capacity = 0; capacity < size; capacity++)
            assert_int_equal(pc_libp2p_identify_encode(samples[i], small, capacity, &untouched),
                             PEERCACHE_ELIMIT);
        assert_int_equal(untouched, 999);
        assert_int_equal(pc_libp2p_identify_encode(samples[i], small, size, &used), 0);
    }
}

/* By hand after the spec's field numbers, in an order of its own, with fields of other versions between. */
static void identify_of_another_writer(void **state)
{
    (void)state;
    static const uint8_t data[] = { 0x32, 1,    'a',           /* agentVersion */
                                    0x42, 3,    'r', 'e', 'c', /* signedPeerRecord */
                                    0x1a, 2,    '/', 'x',      /* protocols */
                                    0x0a, 1,    'k',           /* publicKey */
                                    0x12, 2,    4,   1,        /* listenAddrs */
                                    0x22, 1,    'o',           /* observedAddr */
                                    0x2a, 1,    'v',           /* protocolVersion */
                                    0x78, 0x05,                /* a number under 15 */
                                    0x12, 1,    9,             /* listenAddrs */
                                    0x32, 2,    'a', 'b' };    /* agentVersion again: the last counts */
    struct pc_identify identify;
    assert_int_equal(pc_libp2p_identify_decode(pc_bytes_of(data, sizeof(data)), &identify), 0);
    assert_true(pc_bytes_equal(identify.agent, text("ab")));
    assert_true(pc_bytes_equal(identify.public_key, text("k")));
    assert_true(pc_bytes_equal(identify.observed_addr, text("o")));
    assert_true(pc_bytes_equal(identify.protocol_version, text("v")));
    assert_int_equal(identify.protocol_count, 1);
    assert_true(pc_bytes_equal(identify.protocols[0], text("/x")));
    assert_int_equal(identify.addr_count, 2);
    assert_true(pc_bytes_equal(identify.addrs[0], text("\x04\x01")));
    assert_true(identify.addrs[0].data > data && identify.addrs[0].data < data + sizeof(data)); /* borrowed */
}

/* `count` fields of `number` with `size` bytes each. */
static size_t repeat_field(uint8_t *data, size_t capacity, uint32_t number, size_t size, size_t count)
{
    static const uint8_t zeroes[64];
    struct pc_writer w;
    pc_base_writer_init(&w, data, capacity);
    for (size_t i = 0; i < count; i++)
        pc_libp2p_protobuf_write_bytes(&w, number, pc_bytes_of(zeroes, size));
    assert_int_equal(w.error, 0);
    return pc_base_writer_size(&w);
}

static int identify_try(const uint8_t *data, size_t size)
{
    struct pc_identify identify;
    memset(&identify, 0x5a, sizeof(identify));
    int r = pc_libp2p_identify_decode(pc_bytes_of(data, size), &identify);
    if (r < 0)
        for (size_t i = 0; i < sizeof(identify); i++)
            assert_int_equal(((const uint8_t *)&identify)[i], 0x5a); /* untouched */
    return r;
}

static void identify_limits(void **state)
{
    (void)state;
    static uint8_t data[PC_IDENTIFY_MAX_BYTES + 1];
    size_t size = repeat_field(data, sizeof(data), 2, 6, PC_IDENTIFY_ADDRS_MAX);
    assert_int_equal(identify_try(data, size), 0);
    size = repeat_field(data, sizeof(data), 2, 0, PC_IDENTIFY_ADDRS_MAX + 1);
    assert_int_equal(identify_try(data, size), PEERCACHE_ELIMIT);
    size = repeat_field(data, sizeof(data), 3, 6, PC_IDENTIFY_PROTOCOLS_MAX);
    assert_int_equal(identify_try(data, size), 0);
    size = repeat_field(data, sizeof(data), 3, 0, PC_IDENTIFY_PROTOCOLS_MAX + 1);
    assert_int_equal(identify_try(data, size), PEERCACHE_ELIMIT);
    size = repeat_field(data, sizeof(data), 2, 0, 8000); /* thousands in few bytes */
    assert_int_equal(identify_try(data, size), PEERCACHE_ELIMIT);
    size = repeat_field(data, sizeof(data), 9, 62, 256); /* 16 KB of unknown fields */
    assert_int_equal(size, PC_IDENTIFY_MAX_BYTES);
    assert_int_equal(identify_try(data, size), 0);
    assert_int_equal(identify_try(data, size + 1), PEERCACHE_ELIMIT);
    assert_int_equal(identify_try((const uint8_t *)"\x10\x01", 2),
                     PEERCACHE_EPARSE); /* an address as a number */
    assert_int_equal(identify_try((const uint8_t *)"\x12\x05x", 3), PEERCACHE_EPARSE);
}

static void identify_too_large_to_write(void **state)
{
    (void)state;
    static uint8_t data[2 * PC_IDENTIFY_MAX_BYTES], big[PC_IDENTIFY_MAX_BYTES];
    struct pc_identify identify = { .public_key = pc_bytes_of(big, sizeof(big) - 3) };
    struct pc_identify decoded;
    size_t size;
    assert_int_equal(pc_libp2p_identify_encode(&identify, data, sizeof(data), &size), 0);
    assert_int_equal(size, PC_IDENTIFY_MAX_BYTES + 3); /* the prefix of a full message is 3 bytes */
    assert_int_equal(pc_libp2p_identify_decode(pc_bytes_of(data + 3, size - 3), &decoded), 0);
    identify.public_key.size++;
    assert_int_equal(pc_libp2p_identify_encode(&identify, data, sizeof(data), &size), PEERCACHE_ELIMIT);
}

/* ---- Kademlia ---- */

static struct pc_peer_id id_of(uint8_t n)
{
    struct pc_peer_id id = { .size = 34, .bytes = { 0x12, 0x20, n, 1, 2, 3 } }; /* SHA-256 multihash */
    return id;
}

static void kad_same(const struct pc_kad_message *a, const struct pc_kad_message *b)
{
    assert_int_equal(a->type, b->type);
    assert_true(pc_bytes_equal(a->key, b->key));
    assert_int_equal(a->peer_count, b->peer_count);
    for (size_t i = 0; i < a->peer_count; i++) {
        assert_true(pc_addr_peer_id_equal(&a->peers[i].id, &b->peers[i].id));
        assert_int_equal(a->peers[i].addr_count, b->peers[i].addr_count);
        for (size_t j = 0; j < a->peers[i].addr_count; j++)
            assert_true(pc_bytes_equal(a->peers[i].addrs[j], b->peers[i].addrs[j]));
    }
}

static void kad_round_trips(void **state)
{
    (void)state;
    static struct pc_kad_message samples[3], decoded;
    static uint8_t data[65536], small[65536];
    samples[0] = (struct pc_kad_message){ .type = PC_KAD_FIND_NODE, .key = text("some key") };
    samples[1] = (struct pc_kad_message){ .type = PC_KAD_PUT_VALUE };
    samples[2] = (struct pc_kad_message){ .type = PC_KAD_FIND_NODE, .peer_count = PC_KAD_PEERS_MAX };
    for (size_t i = 0; i < PC_KAD_PEERS_MAX; i++) {
        struct pc_kad_peer *peer = &samples[2].peers[i];
        peer->id = id_of((uint8_t)i);
        peer->addr_count = i == 0 ? PC_KAD_PEER_ADDRS_MAX : i % 3;
        for (size_t j = 0; j < peer->addr_count; j++)
            peer->addrs[j] = text(j % 2 ? "/an address" : "");
    }
    for (size_t i = 0; i < 3; i++) {
        struct pc_bytes message;
        size_t size, used, untouched = 999;
        assert_int_equal(pc_libp2p_kad_encode(&samples[i], data, sizeof(data), &size), 0);
        assert_int_equal(
            pc_libp2p_frame_decode(pc_bytes_of(data, size), PC_KAD_MESSAGE_MAX_BYTES, &message, &used), 1);
        assert_int_equal(used, size);
        assert_int_equal(pc_libp2p_kad_decode(message, &decoded), 0);
        kad_same(&samples[i], &decoded);
        for (size_t capacity = 0; capacity < size; capacity++)
            assert_int_equal(pc_libp2p_kad_encode(&samples[i], small, capacity, &untouched),
                             PEERCACHE_ELIMIT);
        assert_int_equal(untouched, 999);
        assert_int_equal(pc_libp2p_kad_encode(&samples[i], small, size, &used), 0);
    }
}

static void kad_too_large_to_write(void **state)
{
    (void)state;
    static uint8_t data[2 * PC_KAD_MESSAGE_MAX_BYTES], key[PC_KAD_MESSAGE_MAX_BYTES];
    static struct pc_kad_message message;
    size_t size;
    message = (struct pc_kad_message){ .type = PC_KAD_FIND_NODE, .key = pc_bytes_of(key, sizeof(key) - 6) };
    assert_int_equal(pc_libp2p_kad_encode(&message, data, sizeof(data), &size), 0);
    message.key.size++;
    assert_int_equal(pc_libp2p_kad_encode(&message, data, sizeof(data), &size), PEERCACHE_ELIMIT);
}

/* A peer with `addr_count` addresses of `addr_size` bytes as a field of an answer. */
static void write_peer(struct pc_writer *w, uint32_t number, struct pc_bytes id, size_t addr_size,
                       size_t addr_count)
{
    static const uint8_t zeroes[64];
    size_t size = pc_libp2p_protobuf_bytes_size(1, id.size) +
                  addr_count * pc_libp2p_protobuf_bytes_size(2, addr_size) +
                  pc_libp2p_protobuf_varint_size(3, 1);
    pc_libp2p_protobuf_write_header(w, number, size);
    pc_libp2p_protobuf_write_bytes(w, 1, id);
    for (size_t i = 0; i < addr_count; i++)
        pc_libp2p_protobuf_write_bytes(w, 2, pc_bytes_of(zeroes, addr_size));
    pc_libp2p_protobuf_write_varint(w, 3, 1); /* the connection type, which we do not read */
    assert_int_equal(w->error, 0);
}

static uint8_t kad_room[PC_KAD_MESSAGE_MAX_BYTES + 1];
static struct pc_kad_message kad_decoded;

static int kad_try(struct pc_bytes message)
{
    memset(&kad_decoded, 0x5a, sizeof(kad_decoded));
    int r = pc_libp2p_kad_decode(message, &kad_decoded);
    if (r < 0)
        for (size_t i = 0; i < sizeof(kad_decoded); i++)
            assert_int_equal(((const uint8_t *)&kad_decoded)[i], 0x5a); /* untouched */
    return r;
}

static int kad_try_written(const struct pc_writer *w)
{
    return kad_try(pc_bytes_of(w->start, pc_base_writer_size(w)));
}

static void kad_of_another_writer(void **state)
{
    (void)state;
    struct pc_peer_id good = id_of(1);
    struct pc_writer w;
    pc_base_writer_init(&w, kad_room, sizeof(kad_room));
    pc_libp2p_protobuf_write_bytes(&w, 3, text("a record"));
    write_peer(&w, 9, pc_addr_peer_id_bytes(&good), 8, 3); /* a provider */
    write_peer(&w, 8, text("no multihash"), 8, 3);
    write_peer(&w, 8, text(""), 8, 3);
    write_peer(&w, 8, pc_addr_peer_id_bytes(&good), 8, 40);
    pc_libp2p_protobuf_write_bytes(&w, 8, text("")); /* a peer of nothing */
    pc_libp2p_protobuf_write_bytes(&w, 2, text("key"));
    pc_libp2p_protobuf_write_varint(&w, 10, 0);
    pc_libp2p_protobuf_write_varint(&w, 1, PC_KAD_FIND_NODE);
    assert_int_equal(kad_try_written(&w), 0);
    assert_int_equal(kad_decoded.type, PC_KAD_FIND_NODE);
    assert_true(pc_bytes_equal(kad_decoded.key, text("key")));
    assert_int_equal(kad_decoded.peer_count, 1);
    assert_true(pc_addr_peer_id_equal(&kad_decoded.peers[0].id, &good));
    assert_int_equal(kad_decoded.peers[0].addr_count, PC_KAD_PEER_ADDRS_MAX);
}

/* The first 20 good ones are kept; bad ones between take no place. */
static void kad_keeps_the_first_peers(void **state)
{
    (void)state;
    struct pc_writer w;
    pc_base_writer_init(&w, kad_room, sizeof(kad_room));
    for (size_t i = 0; i < 100; i++) {
        struct pc_peer_id id = id_of((uint8_t)i);
        write_peer(&w, 8, text("bad"), 6, 1);
        write_peer(&w, 8, pc_addr_peer_id_bytes(&id), 6, 2);
    }
    assert_int_equal(kad_try_written(&w), 0);
    assert_int_equal(kad_decoded.type, PC_KAD_PUT_VALUE);
    assert_int_equal(kad_decoded.peer_count, PC_KAD_PEERS_MAX);
    for (size_t i = 0; i < PC_KAD_PEERS_MAX; i++) {
        assert_int_equal(kad_decoded.peers[i].id.bytes[2], i);
        assert_int_equal(kad_decoded.peers[i].addr_count, 2);
    }
}

static void kad_bounds_the_addresses(void **state)
{
    (void)state;
    struct pc_peer_id id = id_of(1);
    struct pc_writer w;
    /* ten thousand in one peer */
    pc_base_writer_init(&w, kad_room, sizeof(kad_room));
    write_peer(&w, 8, pc_addr_peer_id_bytes(&id), 8, 10000);
    assert_int_equal(kad_try_written(&w), PEERCACHE_ELIMIT);
    /* ten thousand over five hundred peers, most of which are not kept */
    pc_base_writer_init(&w, kad_room, sizeof(kad_room));
    for (size_t i = 0; i < 500; i++)
        write_peer(&w, 8, pc_addr_peer_id_bytes(&id), 8, 20);
    assert_int_equal(kad_try_written(&w), PEERCACHE_ELIMIT);
    /* ten thousand in peers without a good id */
    pc_base_writer_init(&w, kad_room, sizeof(kad_room));
    for (size_t i = 0; i < 500; i++)
        write_peer(&w, 8, text("bad"), 8, 20);
    assert_int_equal(kad_try_written(&w), PEERCACHE_ELIMIT);
    /* the bound itself, and one beyond */
    pc_base_writer_init(&w, kad_room, sizeof(kad_room));
    write_peer(&w, 8, pc_addr_peer_id_bytes(&id), 8, PC_KAD_ADDRS_MAX - 1);
    write_peer(&w, 8, pc_addr_peer_id_bytes(&id), 8, 1);
    assert_int_equal(kad_try_written(&w), 0);
    assert_int_equal(kad_decoded.peer_count, 2);
    write_peer(&w, 8, pc_addr_peer_id_bytes(&id), 8, 1);
    assert_int_equal(kad_try_written(&w), PEERCACHE_ELIMIT);
}

static void kad_refuses_what_is_malformed(void **state)
{
    (void)state;
    memset(kad_room, 0, sizeof(kad_room));
    assert_int_equal(kad_try(pc_bytes_of(kad_room, sizeof(kad_room))), PEERCACHE_ELIMIT);
    assert_int_equal(kad_try(pc_bytes_of(kad_room, sizeof(kad_room) - 1)), PEERCACHE_EPARSE);
    assert_int_equal(kad_try(text("")), 0);
    assert_int_equal(kad_try(text("\x08")), PEERCACHE_EPARSE);
    assert_int_equal(kad_try(text("\x0a\x01x")), PEERCACHE_EPARSE); /* type as bytes */
    assert_int_equal(kad_try(text("\x08\xff\xff\xff\xff\x0f")), 0);
    assert_int_equal(kad_decoded.type, UINT32_MAX);
    assert_int_equal(kad_try(text("\x08\x80\x80\x80\x80\x10")), PEERCACHE_EPARSE); /* 2^32 */
    assert_int_equal(kad_try(text("\x10\x01")), PEERCACHE_EPARSE);                 /* key as a number */
    assert_int_equal(kad_try(text("\x40\x01")), PEERCACHE_EPARSE);                 /* peer as a number */
    assert_int_equal(kad_try(text("\x42\x05\x0a\x01x")), PEERCACHE_EPARSE);        /* peer cut short */
    assert_int_equal(kad_try(text("\x42\x03\x0a\x07x")), PEERCACHE_EPARSE);        /* id beyond the peer */
    assert_int_equal(kad_try(text("\x42\x02\x08\x01")), PEERCACHE_EPARSE);         /* id as a number */
    assert_int_equal(kad_try(text("\x42\x02\x10\x01")), PEERCACHE_EPARSE);         /* address as a number */
}

/* ---- any bytes ---- */

/* All that a decoder hands out lies within what it was given. */
static void assert_within(struct pc_bytes part, struct pc_bytes whole)
{
    if (part.size > 0)
        assert_true(part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static void decode_all(struct pc_bytes message)
{
    struct pc_identify identify;
    struct pc_bytes part;
    size_t used;
    int r = pc_libp2p_identify_decode(message, &identify);
    assert_true(r == 0 || r == PEERCACHE_EPARSE || r == PEERCACHE_ELIMIT);
    if (r == 0) {
        assert_within(identify.public_key, message);
        assert_within(identify.agent, message);
        assert_true(identify.addr_count <= PC_IDENTIFY_ADDRS_MAX);
        assert_true(identify.protocol_count <= PC_IDENTIFY_PROTOCOLS_MAX);
        for (size_t i = 0; i < identify.addr_count; i++)
            assert_within(identify.addrs[i], message);
    }
    r = pc_libp2p_kad_decode(message, &kad_decoded);
    assert_true(r == 0 || r == PEERCACHE_EPARSE || r == PEERCACHE_ELIMIT);
    if (r == 0) {
        assert_within(kad_decoded.key, message);
        assert_true(kad_decoded.peer_count <= PC_KAD_PEERS_MAX);
        for (size_t i = 0; i < kad_decoded.peer_count; i++) {
            assert_true(kad_decoded.peers[i].addr_count <= PC_KAD_PEER_ADDRS_MAX);
            for (size_t j = 0; j < kad_decoded.peers[i].addr_count; j++)
                assert_within(kad_decoded.peers[i].addrs[j], message);
        }
    }
    r = pc_libp2p_multistream_decode(message, &part, &used);
    assert_true(r == 0 || r == 1 || r == PEERCACHE_EPARSE || r == PEERCACHE_ELIMIT);
    if (r == 1) {
        assert_within(part, message);
        assert_true(used <= message.size);
    }
}

static void any_bytes_are_borne(void **state)
{
    (void)state;
    static uint8_t samples[2][65536];
    static struct pc_kad_message kad;
    struct pc_identify identify = identify_sample();
    size_t sizes[2];
    struct pc_rng rng;
    kad = (struct pc_kad_message){ .type = PC_KAD_FIND_NODE, .key = text("key"), .peer_count = 3 };
    for (size_t i = 0; i < 3; i++)
        kad.peers[i] =
            (struct pc_kad_peer){ .id = id_of((uint8_t)i), .addr_count = 1, .addrs = { text("addr") } };
    assert_int_equal(pc_libp2p_identify_encode(&identify, samples[0], sizeof(samples[0]), &sizes[0]), 0);
    assert_int_equal(pc_libp2p_kad_encode(&kad, samples[1], sizeof(samples[1]), &sizes[1]), 0);
    pc_base_rng_init_u64(&rng, 42);
    for (size_t round = 0; round < 40000; round++) {
        const uint8_t *sample = samples[round % 2];
        /* cut, behind the length as well as with it; at its exact size, so that a read beyond is seen */
        size_t skip = pc_base_rng_below(&rng, 3);
        size_t size = pc_base_rng_below(&rng, sizes[round % 2] - skip + 1);
        uint8_t *data = malloc(size + 1);
        assert_non_null(data);
        memcpy(data, sample + skip, size);
        for (size_t change = pc_base_rng_below(&rng, 6); change > 0 && size > 0; change--)
            data[pc_base_rng_below(&rng, size)] = (uint8_t)pc_base_rng_u64(&rng);
        uint8_t *exact = realloc(data, size > 0 ? size : 1);
        assert_non_null(exact);
        decode_all(pc_bytes_of(exact, size));
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_round_trip),
        cmocka_unit_test(lines_come_byte_by_byte),
        cmocka_unit_test(bad_lines_are_refused),
        cmocka_unit_test(long_lines_are_not_written),
        cmocka_unit_test(frames),
        cmocka_unit_test(fields_of_every_wire_type),
        cmocka_unit_test(bad_fields_are_refused),
        cmocka_unit_test(identify_round_trips),
        cmocka_unit_test(identify_of_another_writer),
        cmocka_unit_test(identify_limits),
        cmocka_unit_test(identify_too_large_to_write),
        cmocka_unit_test(kad_round_trips),
        cmocka_unit_test(kad_too_large_to_write),
        cmocka_unit_test(kad_of_another_writer),
        cmocka_unit_test(kad_keeps_the_first_peers),
        cmocka_unit_test(kad_bounds_the_addresses),
        cmocka_unit_test(kad_refuses_what_is_malformed),
        cmocka_unit_test(any_bytes_are_borne),
    };
    return cmocka_run_group_tests_name("libp2p_message", tests, NULL, NULL);
}
