#include "addr/peer_id.h"

#include "addr/multihash.h"
#include "addr/quote.h"
#include "base/basex.h"
#include "base/cursor.h"

#include <peercache/types.h>

#include <assert.h>
#include <sodium.h>

#define IDENTITY_MAX_BYTES 42 /* longer keys are hashed */
#define SHA256_BYTES       32
#define CID_VERSION        1
#define CID_LIBP2P_KEY     0x72 /* multicodec table.csv */
#define CID_HEAD_MAX_BYTES 2    /* version and codec, a byte each in the CIDs that we accept */

static_assert(PC_P2P_VALUE_MAX_BYTES == PC_BASE_BASEX_MAX_BYTES, "every valid value has a text");

int pc_addr_multihash_read(struct pc_bytes bytes, struct pc_multihash *ret_multihash)
{
    struct pc_reader r;
    struct pc_multihash multihash;
    pc_base_reader_init(&r, bytes.data, bytes.size);
    multihash.code = pc_base_read_varint(&r);
    uint64_t size = pc_base_read_varint(&r);
    if (r.error || size != pc_base_reader_left(&r))
        return PEERCACHE_EPARSE;
    multihash.digest = pc_base_read_bytes(&r, (size_t)size);
    *ret_multihash = multihash;
    return 0;
}

bool pc_addr_p2p_value_is_valid(struct pc_bytes multihash)
{
    struct pc_multihash parts;
    if (multihash.size > PC_P2P_VALUE_MAX_BYTES || pc_addr_multihash_read(multihash, &parts) != 0)
        return false;
    return parts.code == PC_MULTIHASH_IDENTITY ||
           (parts.code == PC_MULTIHASH_SHA2_256 && parts.digest.size == SHA256_BYTES);
}

int pc_addr_p2p_value_parse(struct pc_bytes text, uint8_t ret_multihash[PC_P2P_VALUE_MAX_BYTES],
                            size_t *ret_size)
{
    uint8_t cid[PC_P2P_VALUE_MAX_BYTES + CID_HEAD_MAX_BYTES];
    size_t size;
    struct pc_bytes multihash;
    const char *characters = (const char *)text.data;
    if (text.size < 2)
        return PEERCACHE_EPARSE;
    if (characters[0] == '1' || memcmp(characters, "Qm", 2) == 0) {
        if (pc_base_base58_decode(characters, text.size, cid, sizeof(cid), &size) != 0)
            return PEERCACHE_EPARSE;
        multihash = pc_bytes_of(cid, size);
    } else {
        struct pc_reader r;
        if (pc_base_multibase_decode(characters, text.size, cid, sizeof(cid), &size) != 0)
            return PEERCACHE_EPARSE;
        pc_base_reader_init(&r, cid, size);
        if (pc_base_read_varint(&r) != CID_VERSION || pc_base_read_varint(&r) != CID_LIBP2P_KEY)
            return PEERCACHE_EPARSE;
        multihash = pc_base_read_bytes(&r, pc_base_reader_left(&r));
    }
    if (!pc_addr_p2p_value_is_valid(multihash))
        return PEERCACHE_EPARSE;
    memcpy(ret_multihash, multihash.data, multihash.size);
    *ret_size = multihash.size;
    return 0;
}

int pc_addr_peer_id_from_bytes(struct pc_bytes multihash, struct pc_peer_id *ret_id)
{
    struct pc_multihash parts;
    if (!pc_addr_p2p_value_is_valid(multihash) || pc_addr_multihash_read(multihash, &parts) != 0)
        return PEERCACHE_EPARSE;
    if (parts.digest.size == 0 || parts.digest.size > IDENTITY_MAX_BYTES)
        return PEERCACHE_EPARSE;
    *ret_id = (struct pc_peer_id){ .size = (uint8_t)multihash.size };
    memcpy(ret_id->bytes, multihash.data, multihash.size);
    return 0;
}

int pc_addr_peer_id_from_public_key(struct pc_bytes protobuf, struct pc_peer_id *ret_id)
{
    static_assert(SHA256_BYTES == crypto_hash_sha256_BYTES, "the digest is written in place");
    struct pc_peer_id id = { 0 };
    if (protobuf.size == 0)
        return PEERCACHE_EPARSE;
    if (protobuf.size > PC_PUBLIC_KEY_MAX_BYTES)
        return PEERCACHE_ELIMIT;
    if (protobuf.size <= IDENTITY_MAX_BYTES) {
        id.bytes[0] = PC_MULTIHASH_IDENTITY;
        id.bytes[1] = (uint8_t)protobuf.size;
        memcpy(id.bytes + 2, protobuf.data, protobuf.size);
    } else {
        id.bytes[0] = PC_MULTIHASH_SHA2_256;
        id.bytes[1] = SHA256_BYTES;
        (void)crypto_hash_sha256(id.bytes + 2, protobuf.data, protobuf.size); /* cannot fail */
    }
    id.size = (uint8_t)(2 + id.bytes[1]);
    *ret_id = id;
    return 0;
}

int pc_addr_peer_id_parse(const char *text, size_t length, struct pc_peer_id *ret_id,
                          struct pc_reason *ret_reason)
{
    uint8_t multihash[PC_P2P_VALUE_MAX_BYTES];
    size_t size;
    struct pc_bytes whole = pc_bytes_of(text, length);
    if (pc_addr_p2p_value_parse(whole, multihash, &size) == 0 &&
        pc_addr_peer_id_from_bytes(pc_bytes_of(multihash, size), ret_id) == 0)
        return 0;
    pc_base_reason(ret_reason, "%s is not a peer id", pc_addr_quote(whole).text);
    return PEERCACHE_EPARSE;
}

void pc_addr_peer_id_format(const struct pc_peer_id *id, char ret_text[PC_PEER_ID_TEXT_BYTES])
{
    int result = pc_base_base58_encode(id->bytes, id->size, ret_text, PC_PEER_ID_TEXT_BYTES);
    assert(result == 0); /* 44 bytes always fit */
    (void)result;
}

int pc_addr_peer_id_format_cid(const struct pc_peer_id *id, char *ret_text, size_t capacity)
{
    uint8_t cid[CID_HEAD_MAX_BYTES + PC_PEER_ID_MAX_BYTES] = { CID_VERSION, CID_LIBP2P_KEY };
    if (capacity == 0)
        return PEERCACHE_ELIMIT;
    if (id->size == 0) {
        ret_text[0] = '\0';
        return 0;
    }
    memcpy(cid + CID_HEAD_MAX_BYTES, id->bytes, id->size);
    int result =
        pc_base_base36_encode(cid, CID_HEAD_MAX_BYTES + (size_t)id->size, ret_text + 1, capacity - 1);
    if (result == 0)
        ret_text[0] = 'k';
    return result;
}
