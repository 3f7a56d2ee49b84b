/*
 * Any bytes as the envelope of a signed peer record: opened only when it can be read, and what is read of one that anybody
 * signed can be signed by us and opens as the same.
 */
#include "libp2p/peer_record.h"

#include <peercache/types.h>

#include <stdlib.h>
#include <string.h>

#define NOW_MS INT64_C(1790000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held)
{
    if (!held)
        abort();
}

static const struct pc_identity *our_identity(void)
{
    static struct pc_identity *identity; /* for the life of the process */
    if (!identity) {
        static const uint8_t seed[32] = { 3 };
        uint8_t key[PC_PRIVATE_KEY_MAX_BYTES];
        size_t size;
        require(pc_libp2p_key_generate(seed, key, sizeof(key), &size) == 0);
        require(pc_libp2p_identity_new(pc_bytes_of(key, size), NOW_MS, &identity, NULL) == 0);
    }
    return identity;
}

static void require_same(const struct pc_peer_record *a, const struct pc_peer_record *b)
{
    require(a->seq == b->seq && a->addr_count == b->addr_count);
    for (size_t i = 0; i < a->addr_count; i++)
        require(pc_bytes_equal(a->addrs[i], b->addrs[i]));
}

static void sign_again(const struct pc_peer_record *record)
{
    uint8_t envelope[PC_PEER_RECORD_MAX_BYTES];
    struct pc_peer_record again;
    size_t size;
    int r = pc_libp2p_peer_record_seal(our_identity(), record, envelope, sizeof(envelope), &size);
    if (r == PEERCACHE_ELIMIT) /* our key and signature may be longer than theirs */
        return;
    require(r == 0 && pc_libp2p_peer_record_open(pc_bytes_of(envelope, size), &again) == 0);
    require(pc_addr_peer_id_equal(&again.id, pc_libp2p_identity_id(our_identity())));
    require_same(record, &again);
    envelope[size - 1] ^= 1; /* of the signature */
    require(pc_libp2p_peer_record_open(pc_bytes_of(envelope, size), &again) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pc_peer_record opened, read;
    int opens = pc_libp2p_peer_record_open(pc_bytes_of(data, size), &opened);
    int reads = pc_libp2p_peer_record_read(pc_bytes_of(data, size), &read);
    require(reads == 0 || reads == PEERCACHE_EPARSE || reads == PEERCACHE_ELIMIT);
    require(opens == 0 || opens == PEERCACHE_EPARSE || opens == PEERCACHE_ELIMIT ||
            opens == PEERCACHE_ECRYPTO || opens == PEERCACHE_EUNSUPPORTED);
    if (reads < 0) {
        require(opens < 0);
        return 0;
    }
    require(read.id.size > 0 && read.addr_count <= PC_IDENTIFY_ADDRS_MAX);
    if (opens == 0) {
        require(pc_addr_peer_id_equal(&opened.id, &read.id));
        require_same(&opened, &read);
    }
    sign_again(&read);
    return 0;
}
