/*
 * Values that are keys and hashes, in texts of bytes: peer ids, certificate hashes, and the addresses of
 * hidden services. Tor: rend-spec v2 and v3. I2P: naming and b32encrypted specifications.
 */
#include "addr/ip_text.h"
#include "addr/multiaddr.h"
#include "addr/multihash.h"
#include "addr/protocol.h"
#include "base/basex.h"

#include <peercache/types.h>

#include <assert.h>

/* A hidden service of Tor: its key or hash, then a port. Both keys fill their base32 without padding. */
#define ONION_KEY_BYTES   10
#define ONION3_KEY_BYTES  35 /* key, checksum, version; not verified, as in go-multiaddr */
#define ONION_KEY_LENGTH  16
#define ONION3_KEY_LENGTH 56
#define PORT_BYTES        2

/* A destination of I2P by its hash: of 32 bytes, or from 35 on when the lease set is encrypted. */
#define GARLIC32_HASH_BYTES      32
#define GARLIC32_ENCRYPTED_BYTES 35
/* A destination of I2P in full. */
#define GARLIC64_BYTES_MIN 386

static int peer_id_read(struct pc_bytes text, struct pc_writer *value)
{
    uint8_t multihash[PC_P2P_VALUE_MAX_BYTES];
    size_t size;
    if (pc_addr_p2p_value_parse(text, multihash, &size) != 0)
        return PEERCACHE_EPARSE;
    pc_base_write_bytes(value, multihash, size);
    return 0;
}

static void peer_id_write(struct pc_bytes value, struct pc_writer *text)
{
    char base58[2 * PC_P2P_VALUE_MAX_BYTES];
    int result = pc_base_base58_encode(value.data, value.size, base58, sizeof(base58));
    assert(result == 0); /* a valid value is within the bound */
    (void)result;
    pc_base_write_bytes(text, base58, strlen(base58));
}

/* One of base/basex.h. */
typedef int text_decoder(const char *text, size_t length, uint8_t *ret_data, size_t capacity,
                         size_t *ret_size);
typedef int text_encoder(const uint8_t *data, size_t size, char *ret_text, size_t capacity);

/* No value is longer than an address. */
static int decode(text_decoder *decoder, struct pc_bytes text, struct pc_writer *value)
{
    uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
    size_t size;
    int result = decoder((const char *)text.data, text.size, bytes, sizeof(bytes), &size);
    if (result != 0)
        return result;
    pc_base_write_bytes(value, bytes, size);
    return 0;
}

static void encode(text_encoder *encoder, struct pc_bytes value, struct pc_writer *text)
{
    char encoded[8 * PC_MULTIADDR_MAX_BYTES / 5 + 8]; /* base32, the longest one */
    int result = encoder(value.data, value.size, encoded, sizeof(encoded));
    assert(result == 0);
    (void)result;
    pc_base_write_bytes(text, encoded, strlen(encoded));
}

static bool certhash_is_valid(struct pc_bytes value)
{
    struct pc_multihash multihash;
    return pc_addr_multihash_read(value, &multihash) == 0;
}

static int certhash_read(struct pc_bytes text, struct pc_writer *value)
{
    return decode(pc_base_multibase_decode, text, value);
}

static void certhash_write(struct pc_bytes value, struct pc_writer *text)
{
    pc_base_write_u8(text, 'u');
    encode(pc_base_base64url_encode, value, text);
}

/*
 * KEY:PORT, the key in base32 of either case and exactly `key_length` characters long, which fill whole
 * bytes. go-multiaddr forgives line ends within the key of the short kind, and so do we. Within a long one it
 * would count them as characters and fill the bytes that are missing with what lies in its buffer: refused
 * here.
 */
static int service_read(struct pc_bytes text, size_t key_length, bool line_ends, struct pc_writer *value)
{
    struct pc_reader r;
    char key[ONION3_KEY_LENGTH];
    uint8_t bytes[ONION3_KEY_BYTES];
    size_t length = 0;
    size_t size;
    uint64_t port;
    uint8_t character;
    pc_base_reader_init(&r, text.data, text.size);
    while ((character = pc_base_read_u8(&r)) != ':') {
        if (line_ends && (character == '\r' || character == '\n'))
            continue;
        if (r.error || length == key_length)
            return PEERCACHE_EPARSE;
        key[length++] = (char)character;
    }
    if (length != key_length || pc_base_base32_decode(key, length, bytes, sizeof(bytes), &size) != 0 ||
        pc_addr_decimal_parse(pc_base_read_bytes(&r, pc_base_reader_left(&r)), UINT16_MAX, &port) != 0)
        return PEERCACHE_EPARSE;
    pc_base_write_bytes(value, bytes, size);
    pc_base_write_u16(value, (uint16_t)port);
    return 0;
}

static int onion_read(struct pc_bytes text, struct pc_writer *value)
{
    return service_read(text, ONION_KEY_LENGTH, true, value);
}

static int onion3_read(struct pc_bytes text, struct pc_writer *value)
{
    return service_read(text, ONION3_KEY_LENGTH, false, value);
}

static uint16_t service_port(struct pc_bytes value)
{
    struct pc_reader r;
    pc_base_reader_init(&r, value.data, value.size);
    (void)pc_base_read_bytes(&r, value.size - PORT_BYTES);
    return pc_base_read_u16(&r);
}

static void service_write(struct pc_bytes value, struct pc_writer *text)
{
    encode(pc_base_base32_encode, pc_bytes_of(value.data, value.size - PORT_BYTES), text);
    pc_base_write_u8(text, ':');
    pc_addr_decimal_write(text, service_port(value));
}

static bool service_is_valid(struct pc_bytes value)
{
    return service_port(value) != 0;
}

static int garlic32_read(struct pc_bytes text, struct pc_writer *value)
{
    return decode(pc_base_base32i2p_decode, text, value);
}

static void garlic32_write(struct pc_bytes value, struct pc_writer *text)
{
    encode(pc_base_base32_encode, value, text);
}

static bool garlic32_is_valid(struct pc_bytes value)
{
    return value.size == GARLIC32_HASH_BYTES || value.size >= GARLIC32_ENCRYPTED_BYTES;
}

static int garlic64_read(struct pc_bytes text, struct pc_writer *value)
{
    return decode(pc_base_base64i2p_decode, text, value);
}

static void garlic64_write(struct pc_bytes value, struct pc_writer *text)
{
    encode(pc_base_base64i2p_encode, value, text);
}

static bool garlic64_is_valid(struct pc_bytes value)
{
    return value.size >= GARLIC64_BYTES_MIN;
}

const struct pc_value_type pc_addr_value_peer_id = {
    .what = "a peer id",
    .read = peer_id_read,
    .write = peer_id_write,
    .is_valid = pc_addr_p2p_value_is_valid,
};

const struct pc_value_type pc_addr_value_certhash = {
    .what = "a multihash in multibase",
    .read = certhash_read,
    .write = certhash_write,
    .is_valid = certhash_is_valid,
};

const struct pc_value_type pc_addr_value_onion = {
    .what = "the key of an onion service, ':' and a port (1 to 65535)",
    .size_bytes = ONION_KEY_BYTES + PORT_BYTES,
    .read = onion_read,
    .write = service_write,
    .is_valid = service_is_valid,
};

const struct pc_value_type pc_addr_value_onion3 = {
    .what = "the key of a v3 onion service, ':' and a port (1 to 65535)",
    .size_bytes = ONION3_KEY_BYTES + PORT_BYTES,
    .read = onion3_read,
    .write = service_write,
    .is_valid = service_is_valid,
};

const struct pc_value_type pc_addr_value_garlic32 = {
    .what = "the hash of an I2P destination in base32",
    .read = garlic32_read,
    .write = garlic32_write,
    .is_valid = garlic32_is_valid,
};

const struct pc_value_type pc_addr_value_garlic64 = {
    .what = "an I2P destination in base64",
    .read = garlic64_read,
    .write = garlic64_write,
    .is_valid = garlic64_is_valid,
};
