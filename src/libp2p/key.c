#include "libp2p/key.h"

#include "base/cursor.h"

#include <assert.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <secp256k1.h>
#include <sodium.h>

#define ED25519_SEED_BYTES   32
#define ED25519_PUBLIC_BYTES 32
#define ED25519_SECRET_BYTES (ED25519_SEED_BYTES + ED25519_PUBLIC_BYTES)
/* Old key files repeat the public key (peer-ids.md, "Ed25519"). */
#define ED25519_SECRET_OLD_BYTES (ED25519_SECRET_BYTES + ED25519_PUBLIC_BYTES)
#define SECP256K1_SECRET_BYTES   32
#define SECP256K1_PUBLIC_BYTES   33 /* compressed, the only form of the spec */

/* The tags of the two fields of both messages, PublicKey and PrivateKey: varint Type = 1, bytes Data = 2. */
#define TAG_TYPE 0x08
#define TAG_DATA 0x12

int pc_libp2p_gnutls_result(int result, int otherwise)
{
    if (result >= 0)
        return 0;
    return result == GNUTLS_E_MEMORY_ERROR ? PEERCACHE_ENOMEM : otherwise;
}

/* Both messages in their deterministic form: exactly these two fields, in this order, shortest varints. */
static int key_decode(struct pc_bytes protobuf, enum pc_key_type *ret_type, struct pc_bytes *ret_data)
{
    struct pc_reader r;
    pc_base_reader_init(&r, protobuf.data, protobuf.size);
    uint8_t type_tag = pc_base_read_u8(&r);
    uint64_t type = pc_base_read_varint(&r);
    uint8_t data_tag = pc_base_read_u8(&r);
    uint64_t size = pc_base_read_varint(&r);
    struct pc_bytes data = pc_base_read_bytes(&r, size);
    if (r.error || type_tag != TAG_TYPE || data_tag != TAG_DATA || pc_base_reader_left(&r) > 0)
        return PEERCACHE_EPARSE;
    if (type > PC_KEY_ECDSA)
        return PEERCACHE_EUNSUPPORTED;
    *ret_type = (enum pc_key_type)type;
    *ret_data = data;
    return 0;
}

static int key_encode(enum pc_key_type type, struct pc_bytes data, uint8_t *ret_protobuf, size_t capacity,
                      size_t *ret_size)
{
    struct pc_writer w;
    pc_base_writer_init(&w, ret_protobuf, capacity);
    pc_base_write_u8(&w, TAG_TYPE);
    pc_base_write_varint(&w, type);
    pc_base_write_u8(&w, TAG_DATA);
    pc_base_write_varint(&w, data.size);
    pc_base_write_bytes(&w, data.data, data.size);
    if (w.error)
        return w.error;
    *ret_size = pc_base_writer_size(&w);
    return 0;
}

int pc_libp2p_key_generate(const uint8_t seed[32], uint8_t *ret_protobuf, size_t capacity, size_t *ret_size)
{
    uint8_t secret[ED25519_SECRET_BYTES], public_key[ED25519_PUBLIC_BYTES];
    const size_t needed = 4 + ED25519_SECRET_BYTES;
    if (capacity < needed)
        return PEERCACHE_ELIMIT;
    crypto_sign_seed_keypair(public_key, secret, seed);
    int r = key_encode(PC_KEY_ED25519, pc_bytes_of(secret, sizeof(secret)), ret_protobuf, capacity, ret_size);
    sodium_memzero(secret, sizeof(secret));
    return r;
}

/* ---- private keys ---- */

static int set_public(struct pc_host_key *key, struct pc_bytes data)
{
    return key_encode(key->type, data, key->public_key, sizeof(key->public_key), &key->public_key_size);
}

static int ed25519_init(struct pc_host_key *key, struct pc_bytes data, struct pc_reason *ret_reason)
{
    uint8_t public_key[ED25519_PUBLIC_BYTES];
    if (data.size != ED25519_SECRET_BYTES && data.size != ED25519_SECRET_OLD_BYTES) {
        pc_base_reason(ret_reason, "an Ed25519 private key is %d bytes, not %zu", ED25519_SECRET_BYTES,
                       data.size);
        return PEERCACHE_EPARSE;
    }
    /* The public half is derived anew: signing with another one would give the secret away. */
    crypto_sign_seed_keypair(public_key, key->secret, data.data);
    for (size_t at = ED25519_SEED_BYTES; at < data.size; at += ED25519_PUBLIC_BYTES) {
        if (memcmp(data.data + at, public_key, sizeof(public_key)) != 0) {
            pc_base_reason(ret_reason, "the two halves of the Ed25519 private key do not belong together");
            return PEERCACHE_EPARSE;
        }
    }
    return set_public(key, pc_bytes_of(public_key, sizeof(public_key)));
}

/* A context of our own with its computations blinded: the library's static one may not touch secrets. */
static int secp256k1_context_of_secrets(secp256k1_context **ret_context)
{
    uint8_t blinding[32];
    int r = gnutls_rnd(GNUTLS_RND_KEY, blinding, sizeof(blinding));
    if (r < 0)
        return PEERCACHE_ECRYPTO;
    secp256k1_context *context = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    if (!context)
        return PEERCACHE_ENOMEM;
    int blinded = secp256k1_context_randomize(context, blinding);
    sodium_memzero(blinding, sizeof(blinding));
    if (!blinded) {
        secp256k1_context_destroy(context);
        return PEERCACHE_ECRYPTO;
    }
    *ret_context = context;
    return 0;
}

static int secp256k1_init(struct pc_host_key *key, struct pc_bytes data, struct pc_reason *ret_reason)
{
    secp256k1_context *context;
    secp256k1_pubkey pubkey;
    uint8_t public_key[SECP256K1_PUBLIC_BYTES];
    size_t size = sizeof(public_key);
    if (data.size != SECP256K1_SECRET_BYTES) {
        pc_base_reason(ret_reason, "a secp256k1 private key is %d bytes, not %zu", SECP256K1_SECRET_BYTES,
                       data.size);
        return PEERCACHE_EPARSE;
    }
    int r = secp256k1_context_of_secrets(&context);
    if (r < 0) {
        pc_base_reason(ret_reason, "no randomness or memory for secp256k1");
        return r;
    }
    int made = secp256k1_ec_pubkey_create(context, &pubkey, data.data);
    secp256k1_context_destroy(context);
    if (!made) {
        pc_base_reason(ret_reason, "the secp256k1 private key is zero or above the order of the curve");
        return PEERCACHE_EPARSE;
    }
    memcpy(key->secret, data.data, SECP256K1_SECRET_BYTES);
    secp256k1_ec_pubkey_serialize(secp256k1_context_static, public_key, &size, &pubkey,
                                  SECP256K1_EC_COMPRESSED);
    return set_public(key, pc_bytes_of(public_key, size));
}

/* Of an imported key: whether it is of the kinds we accept. */
static int pubkey_check(gnutls_pubkey_t pubkey)
{
    gnutls_ecc_curve_t curve;
    gnutls_datum_t modulus, exponent;
    unsigned bits;
    int kind = gnutls_pubkey_get_pk_algorithm(pubkey, &bits);
    if (kind == GNUTLS_PK_EDDSA_ED25519)
        return 0;
    if (kind == GNUTLS_PK_ECDSA) {
        int r = gnutls_pubkey_export_ecc_raw2(pubkey, &curve, NULL, NULL, 0);
        if (r < 0)
            return pc_libp2p_gnutls_result(r, PEERCACHE_EPARSE);
        return curve == GNUTLS_ECC_CURVE_SECP256R1 || curve == GNUTLS_ECC_CURVE_SECP384R1 ||
                       curve == GNUTLS_ECC_CURVE_SECP521R1
                   ? 0
                   : PEERCACHE_EUNSUPPORTED;
    }
    if (kind != GNUTLS_PK_RSA || bits < PC_RSA_BITS_MIN || bits > PC_RSA_BITS_MAX)
        return PEERCACHE_EUNSUPPORTED;
    int r = gnutls_pubkey_export_rsa_raw2(pubkey, &modulus, &exponent, GNUTLS_EXPORT_FLAG_NO_LZ);
    if (r < 0)
        return pc_libp2p_gnutls_result(r, PEERCACHE_EPARSE);
    bool small = exponent.size <= PC_RSA_EXPONENT_MAX_BYTES;
    gnutls_free(modulus.data);
    gnutls_free(exponent.data);
    return small ? 0 : PEERCACHE_EUNSUPPORTED;
}

int pc_libp2p_pubkey_import(gnutls_pubkey_t pubkey, struct pc_bytes spki)
{
    gnutls_datum_t datum = pc_libp2p_datum(spki);
    int r = gnutls_pubkey_import(pubkey, &datum, GNUTLS_X509_FMT_DER);
    if (r == GNUTLS_E_UNKNOWN_PK_ALGORITHM || r == GNUTLS_E_ECC_UNSUPPORTED_CURVE)
        return PEERCACHE_EUNSUPPORTED;
    if (r < 0)
        return pc_libp2p_gnutls_result(r, PEERCACHE_EPARSE);
    return pubkey_check(pubkey);
}

static gnutls_pk_algorithm_t pk_of(enum pc_key_type type)
{
    return type == PC_KEY_RSA ? GNUTLS_PK_RSA : GNUTLS_PK_ECDSA;
}

/* The public half of an imported private key. */
static int pkix_set_public(struct pc_host_key *key)
{
    gnutls_datum_t spki = { NULL, 0 };
    gnutls_pubkey_t pubkey;
    int r = pc_libp2p_gnutls_result(gnutls_pubkey_init(&pubkey), PEERCACHE_ECRYPTO);
    if (r < 0)
        return r;
    r = pc_libp2p_gnutls_result(gnutls_pubkey_import_privkey(pubkey, key->privkey, 0, 0), PEERCACHE_EPARSE);
    if (r == 0)
        r = pubkey_check(pubkey);
    if (r == 0)
        r = pc_libp2p_gnutls_result(gnutls_pubkey_export2(pubkey, GNUTLS_X509_FMT_DER, &spki),
                                    PEERCACHE_ECRYPTO);
    if (r == 0)
        r = set_public(key, pc_bytes_of(spki.data, spki.size));
    gnutls_free(spki.data);
    gnutls_pubkey_deinit(pubkey);
    return r;
}

/* RSA (PKCS#1) and ECDSA (RFC 5915), both DER. */
static int pkix_init(struct pc_host_key *key, struct pc_bytes data, struct pc_reason *ret_reason)
{
    gnutls_datum_t datum = pc_libp2p_datum(data);
    int r = pc_libp2p_gnutls_result(gnutls_privkey_init(&key->privkey), PEERCACHE_ECRYPTO);
    if (r < 0)
        return r;
    r = pc_libp2p_gnutls_result(
        gnutls_privkey_import_x509_raw(key->privkey, &datum, GNUTLS_X509_FMT_DER, NULL, 0), PEERCACHE_EPARSE);
    if (r == 0 && gnutls_privkey_get_pk_algorithm(key->privkey, NULL) != (int)pk_of(key->type))
        r = PEERCACHE_EPARSE;
    if (r == 0)
        r = pkix_set_public(key);
    if (r < 0)
        pc_base_reason(ret_reason, "%s private key: %s", key->type == PC_KEY_RSA ? "RSA" : "ECDSA",
                       r == PEERCACHE_EUNSUPPORTED ? "a size or curve that is not supported"
                                                   : "not a DER private key of its kind");
    return r;
}

int pc_libp2p_host_key_init(struct pc_bytes private_key, struct pc_host_key *ret_key,
                            struct pc_reason *ret_reason)
{
    struct pc_host_key key = { .privkey = NULL };
    struct pc_bytes data;
    if (private_key.size > PC_PRIVATE_KEY_MAX_BYTES) {
        pc_base_reason(ret_reason, "a private key of %zu bytes is over the limit of %d", private_key.size,
                       PC_PRIVATE_KEY_MAX_BYTES);
        return PEERCACHE_ELIMIT;
    }
    int r = key_decode(private_key, &key.type, &data);
    if (r < 0) {
        pc_base_reason(ret_reason, r == PEERCACHE_EUNSUPPORTED ? "a private key of an unknown type"
                                                               : "not the protobuf of a private key");
        return r;
    }
    switch (key.type) {
    case PC_KEY_ED25519:
        r = ed25519_init(&key, data, ret_reason);
        break;
    case PC_KEY_SECP256K1:
        r = secp256k1_init(&key, data, ret_reason);
        break;
    case PC_KEY_RSA:
    case PC_KEY_ECDSA:
        r = pkix_init(&key, data, ret_reason);
        break;
    }
    if (r == 0)
        *ret_key = key;
    else
        pc_libp2p_host_key_deinit(&key);
    sodium_memzero(key.secret, sizeof(key.secret));
    return r;
}

void pc_libp2p_host_key_deinit(struct pc_host_key *key)
{
    if (key->privkey)
        gnutls_privkey_deinit(key->privkey);
    key->privkey = NULL;
    sodium_memzero(key->secret, sizeof(key->secret));
}

struct pc_bytes pc_libp2p_host_key_public(const struct pc_host_key *key)
{
    return pc_bytes_of(key->public_key, key->public_key_size);
}

/* ---- signing ---- */

static int ed25519_sign(const struct pc_host_key *key, struct pc_bytes message, uint8_t *ret_signature,
                        size_t capacity, size_t *ret_size)
{
    if (capacity < crypto_sign_BYTES)
        return PEERCACHE_ELIMIT;
    crypto_sign_detached(ret_signature, NULL, message.data, message.size, key->secret);
    *ret_size = crypto_sign_BYTES;
    return 0;
}

static int secp256k1_sign(const struct pc_host_key *key, struct pc_bytes message, uint8_t *ret_signature,
                          size_t capacity, size_t *ret_size)
{
    secp256k1_context *context;
    secp256k1_ecdsa_signature signature;
    uint8_t hash[crypto_hash_sha256_BYTES];
    size_t size = capacity;
    int r = secp256k1_context_of_secrets(&context);
    if (r < 0)
        return r;
    crypto_hash_sha256(hash, message.data, message.size);
    int made = secp256k1_ecdsa_sign(context, &signature, hash, key->secret, NULL, NULL);
    secp256k1_context_destroy(context);
    if (!made)
        return PEERCACHE_ECRYPTO;
    if (!secp256k1_ecdsa_signature_serialize_der(secp256k1_context_static, ret_signature, &size, &signature))
        return PEERCACHE_ELIMIT;
    *ret_size = size;
    return 0;
}

static gnutls_sign_algorithm_t sign_of(enum pc_key_type type)
{
    return type == PC_KEY_RSA ? GNUTLS_SIGN_RSA_SHA256 : GNUTLS_SIGN_ECDSA_SHA256;
}

static int pkix_sign(const struct pc_host_key *key, struct pc_bytes message, uint8_t *ret_signature,
                     size_t capacity, size_t *ret_size)
{
    gnutls_datum_t datum = pc_libp2p_datum(message);
    gnutls_datum_t signature;
    int r = gnutls_privkey_sign_data2(key->privkey, sign_of(key->type), 0, &datum, &signature);
    if (r < 0)
        return pc_libp2p_gnutls_result(r, PEERCACHE_ECRYPTO);
    bool fits = signature.size <= capacity;
    if (fits) {
        memcpy(ret_signature, signature.data, signature.size);
        *ret_size = signature.size;
    }
    gnutls_free(signature.data);
    return fits ? 0 : PEERCACHE_ELIMIT;
}

int pc_libp2p_host_key_sign(const struct pc_host_key *key, struct pc_bytes message, uint8_t *ret_signature,
                            size_t capacity, size_t *ret_size)
{
    switch (key->type) {
    case PC_KEY_ED25519:
        return ed25519_sign(key, message, ret_signature, capacity, ret_size);
    case PC_KEY_SECP256K1:
        return secp256k1_sign(key, message, ret_signature, capacity, ret_size);
    case PC_KEY_RSA:
    case PC_KEY_ECDSA:
        break;
    }
    return pkix_sign(key, message, ret_signature, capacity, ret_size);
}

/* ---- checking ---- */

static int ed25519_verify(struct pc_bytes public_key, struct pc_bytes message, struct pc_bytes signature)
{
    if (public_key.size != ED25519_PUBLIC_BYTES)
        return PEERCACHE_EPARSE;
    if (signature.size != crypto_sign_BYTES ||
        crypto_sign_verify_detached(signature.data, message.data, message.size, public_key.data) != 0)
        return PEERCACHE_ECRYPTO;
    return 0;
}

static int secp256k1_verify(struct pc_bytes public_key, struct pc_bytes message, struct pc_bytes signature)
{
    const secp256k1_context *context = secp256k1_context_static;
    secp256k1_ecdsa_signature parsed;
    secp256k1_pubkey pubkey;
    uint8_t hash[crypto_hash_sha256_BYTES];
    if (public_key.size != SECP256K1_PUBLIC_BYTES ||
        !secp256k1_ec_pubkey_parse(context, &pubkey, public_key.data, public_key.size))
        return PEERCACHE_EPARSE;
    if (signature.size == 0 ||
        !secp256k1_ecdsa_signature_parse_der(context, &parsed, signature.data, signature.size))
        return PEERCACHE_ECRYPTO;
    /* The library accepts the lower of the two forms of S only; other implementations sign with either. */
    secp256k1_ecdsa_signature_normalize(context, &parsed, &parsed);
    crypto_hash_sha256(hash, message.data, message.size);
    return secp256k1_ecdsa_verify(context, &parsed, hash, &pubkey) ? 0 : PEERCACHE_ECRYPTO;
}

static int pkix_verify(enum pc_key_type type, struct pc_bytes spki, struct pc_bytes message,
                       struct pc_bytes signature)
{
    gnutls_datum_t message_datum = pc_libp2p_datum(message);
    gnutls_datum_t signature_datum = pc_libp2p_datum(signature);
    gnutls_pubkey_t pubkey;
    int r = pc_libp2p_gnutls_result(gnutls_pubkey_init(&pubkey), PEERCACHE_ECRYPTO);
    if (r < 0)
        return r;
    r = pc_libp2p_pubkey_import(pubkey, spki);
    if (r == 0 && gnutls_pubkey_get_pk_algorithm(pubkey, NULL) != (int)pk_of(type))
        r = PEERCACHE_EPARSE;
    if (r == 0)
        r = pc_libp2p_gnutls_result(
            gnutls_pubkey_verify_data2(pubkey, sign_of(type), 0, &message_datum, &signature_datum),
            PEERCACHE_ECRYPTO);
    gnutls_pubkey_deinit(pubkey);
    return r;
}

int pc_libp2p_verify(struct pc_bytes public_key, struct pc_bytes message, struct pc_bytes signature)
{
    enum pc_key_type type;
    struct pc_bytes data;
    if (public_key.size > PC_PUBLIC_KEY_MAX_BYTES || signature.size > PC_SIGNATURE_MAX_BYTES)
        return PEERCACHE_ELIMIT;
    int r = key_decode(public_key, &type, &data);
    if (r < 0)
        return r;
    switch (type) {
    case PC_KEY_ED25519:
        return ed25519_verify(data, message, signature);
    case PC_KEY_SECP256K1:
        return secp256k1_verify(data, message, signature);
    case PC_KEY_RSA:
    case PC_KEY_ECDSA:
        break;
    }
    return pkix_verify(type, data, message, signature);
}
