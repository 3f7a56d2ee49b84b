#include "check.h"

#include "certificate_maker.h"

#include "libp2p/der.h"
#include "libp2p/key.h"

#include "base/rng.h"

#include <gnutls/x509.h>
#include <secp256k1.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS            INT64_C(1790000000000) /* 2026-09-21 */
#define VECTOR_LINE_BYTES 16384
#define YEAR_2000_MS      INT64_C(946684800000)
#define YEAR_2050_MS      INT64_C(2524608000000)

static const char message_text[] = "what is signed";

static struct pc_bytes message(void)
{
    return pc_bytes_of(message_text, sizeof(message_text) - 1);
}

/* ---- the vectors ---- */

struct vector_file {
    FILE *file;
    char line[VECTOR_LINE_BYTES];
};

static void vectors_open(struct vector_file *vectors, const char *name)
{
    const char *directory = getenv("VECTORS");
    char path[512];
    assert_non_null(directory);
    assert_true(snprintf(path, sizeof(path), "%s/%s", directory, name) < (int)sizeof(path));
    vectors->file = fopen(path, "r");
    assert_non_null(vectors->file);
}

/* The next "name: value" line; false at the end of the file. */
static bool vectors_next(struct vector_file *vectors, char **ret_name, char **ret_value)
{
    while (fgets(vectors->line, sizeof(vectors->line), vectors->file)) {
        char *colon = strstr(vectors->line, ": ");
        if (vectors->line[0] == '#' || !colon)
            continue;
        *colon = '\0';
        *ret_name = vectors->line;
        *ret_value = colon + 2;
        (*ret_value)[strcspn(*ret_value, "\n")] = '\0';
        return true;
    }
    (void)fclose(vectors->file);
    return false;
}

static size_t hex_decode(const char *text, uint8_t *data, size_t capacity)
{
    size_t size = strlen(text) / 2;
    assert_int_equal(strlen(text) % 2, 0);
    assert_true(size <= capacity);
    for (size_t i = 0; i < size; i++) {
        unsigned byte;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        data[i] = (uint8_t)byte;
    }
    return size;
}

/* The bytes of one key of the key vectors. */
static size_t key_vector(const char *wanted, uint8_t *data, size_t capacity)
{
    struct vector_file vectors;
    char *name, *value;
    size_t size = 0;
    vectors_open(&vectors, "libp2p-keys.txt");
    while (vectors_next(&vectors, &name, &value))
        if (strcmp(name, wanted) == 0)
            size = hex_decode(value, data, capacity);
    assert_true(size > 0);
    return size;
}

/* The n-th certificate, and its peer id's text. */
static size_t certificate_vector(unsigned n, uint8_t *data, size_t capacity, char *ret_id, size_t id_capacity)
{
    struct vector_file vectors;
    char *name, *value;
    unsigned at = 0;
    size_t size = 0;
    vectors_open(&vectors, "libp2p-tls.txt");
    while (vectors_next(&vectors, &name, &value)) {
        if (strcmp(name, "peer_id") == 0 && at == n)
            assert_true(snprintf(ret_id, id_capacity, "%s", value) < (int)id_capacity);
        if (strcmp(name, "cert") == 0 && at++ == n)
            size = hex_decode(value, data, capacity);
    }
    assert_true(size > 0);
    return size;
}

static struct pc_identity *identity_of_vector(const char *kind)
{
    uint8_t private_key[PC_PRIVATE_KEY_MAX_BYTES];
    char name[64];
    struct pc_identity *identity = NULL;
    struct pc_reason reason = { "" };
    assert_true(snprintf(name, sizeof(name), "%s private key", kind) < (int)sizeof(name));
    size_t size = key_vector(name, private_key, sizeof(private_key));
    int r = pc_libp2p_identity_new(pc_bytes_of(private_key, size), NOW_MS, &identity, &reason);
    if (r < 0)
        fail_msg("%s: %s", kind, reason.text);
    return identity;
}

static const char *const kinds[] = { "ECDSA", "ED25519", "secp256k1", "rsa" };
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

/* ---- keys ---- */

static void private_keys_give_public_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        uint8_t expected[PC_PUBLIC_KEY_MAX_BYTES];
        char name[64];
        struct pc_identity *identity = identity_of_vector(kinds[i]);
        assert_true(snprintf(name, sizeof(name), "%s public key", kinds[i]) < (int)sizeof(name));
        size_t size = key_vector(name, expected, sizeof(expected));
        struct pc_bytes public_key = pc_libp2p_identity_public_key(identity);
        assert_int_equal(public_key.size, size);
        assert_memory_equal(public_key.data, expected, size);
        pc_libp2p_identity_free(identity);
    }
}

static void signing_round_trips(void **state)
{
    (void)state;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        uint8_t signature[PC_SIGNATURE_MAX_BYTES], small[8];
        size_t size, untouched = 77;
        struct pc_identity *identity = identity_of_vector(kinds[i]);
        struct pc_identity *other = identity_of_vector(kinds[(i + 1) % KIND_COUNT]);
        struct pc_bytes key = pc_libp2p_identity_public_key(identity);
        assert_int_equal(pc_libp2p_identity_sign(identity, message(), signature, sizeof(signature), &size),
                         0);
        assert_int_equal(pc_libp2p_verify(key, message(), pc_bytes_of(signature, size)), 0);
        assert_int_equal(pc_libp2p_verify(key, pc_bytes_of("another", 7), pc_bytes_of(signature, size)),
                         PEERCACHE_ECRYPTO);
        assert_int_equal(pc_libp2p_verify(key, message(), pc_bytes_of(signature, size - 1)),
                         PEERCACHE_ECRYPTO);
        assert_int_equal(pc_libp2p_verify(key, message(), pc_bytes_of(NULL, 0)), PEERCACHE_ECRYPTO);
        assert_int_equal(
            pc_libp2p_verify(pc_libp2p_identity_public_key(other), message(), pc_bytes_of(signature, size)),
            PEERCACHE_ECRYPTO);
        for (size_t at = 0; at < size; at++) {
            signature[at] ^= 0x10;
            assert_true(pc_libp2p_verify(key, message(), pc_bytes_of(signature, size)) < 0);
            signature[at] ^= 0x10;
        }
        assert_int_equal(pc_libp2p_identity_sign(identity, message(), small, sizeof(small), &untouched),
                         PEERCACHE_ELIMIT);
        assert_int_equal(untouched, 77);
        pc_libp2p_identity_free(identity);
        pc_libp2p_identity_free(other);
    }
}

static void high_s_of_secp256k1_verifies(void **state)
{
    (void)state;
    static const uint8_t order[32] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                       0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48,
                                       0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41 };
    const secp256k1_context *context = secp256k1_context_static;
    uint8_t signature[80], compact[64];
    secp256k1_ecdsa_signature parsed;
    size_t size;
    int borrow = 0;
    struct pc_identity *identity = identity_of_vector("secp256k1");
    assert_int_equal(pc_libp2p_identity_sign(identity, message(), signature, sizeof(signature), &size), 0);
    assert_true(secp256k1_ecdsa_signature_parse_der(context, &parsed, signature, size));
    secp256k1_ecdsa_signature_serialize_compact(context, compact, &parsed);
    for (int i = 31; i >= 0; i--) { /* S becomes the order less S */
        int difference = order[i] - compact[32 + i] - borrow;
        borrow = difference < 0;
        compact[32 + i] = (uint8_t)difference;
    }
    assert_true(secp256k1_ecdsa_signature_parse_compact(context, &parsed, compact));
    size = sizeof(signature);
    assert_true(secp256k1_ecdsa_signature_serialize_der(context, signature, &size, &parsed));
    assert_int_equal(
        pc_libp2p_verify(pc_libp2p_identity_public_key(identity), message(), pc_bytes_of(signature, size)),
        0);
    pc_libp2p_identity_free(identity);
}

static void generated_keys_are_ed25519_of_the_seed(void **state)
{
    (void)state;
    uint8_t vector[128], made[128];
    size_t size = 99;
    size_t vector_size = key_vector("ED25519 private key", vector, sizeof(vector));
    assert_int_equal(vector_size, 68);
    assert_int_equal(pc_libp2p_key_generate(vector + 4, made, 67, &size), PEERCACHE_ELIMIT);
    assert_int_equal(size, 99);
    assert_int_equal(pc_libp2p_key_generate(vector + 4, made, sizeof(made), &size), 0);
    assert_int_equal(size, 68);
    assert_memory_equal(made, vector, 68);
}

static int identity_try(const uint8_t *private_key, size_t size)
{
    struct pc_identity *identity = NULL;
    struct pc_reason reason = { "" };
    int r = pc_libp2p_identity_new(pc_bytes_of(private_key, size), NOW_MS, &identity, &reason);
    if (r < 0) {
        assert_null(identity);
        assert_true(strlen(reason.text) > 0);
    }
    pc_libp2p_identity_free(identity);
    return r;
}

static void old_ed25519_private_keys_are_read(void **state)
{
    (void)state;
    uint8_t key[128];
    (void)key_vector("ED25519 private key", key, sizeof(key));
    memcpy(key + 68, key + 36, 32);
    key[3] = 96;
    assert_int_equal(identity_try(key, 100), 0);
    key[99] ^= 1;
    assert_int_equal(identity_try(key, 100), PEERCACHE_EPARSE);
}

static void bad_private_keys_are_refused(void **state)
{
    (void)state;
    uint8_t key[PC_PRIVATE_KEY_MAX_BYTES + 1];
    const size_t ed_size = key_vector("ED25519 private key", key, sizeof(key));
    assert_int_equal(identity_try(key, 0), PEERCACHE_EPARSE);
    for (size_t size = 1; size < ed_size; size++)
        assert_int_equal(identity_try(key, size), PEERCACHE_EPARSE);
    key[ed_size] = 0;
    assert_int_equal(identity_try(key, ed_size + 1), PEERCACHE_EPARSE); /* a field more */
    key[ed_size - 1] ^= 1;
    assert_int_equal(identity_try(key, ed_size), PEERCACHE_EPARSE); /* the public half of another */
    key[ed_size - 1] ^= 1;
    key[1] = 4;
    assert_int_equal(identity_try(key, ed_size), PEERCACHE_EUNSUPPORTED);
    key[1] = PC_KEY_SECP256K1;
    assert_int_equal(identity_try(key, ed_size), PEERCACHE_EPARSE);
    key[1] = PC_KEY_RSA;
    assert_int_equal(identity_try(key, ed_size), PEERCACHE_EPARSE);
    memset(key, 0, sizeof(key));
    assert_int_equal(identity_try(key, sizeof(key)), PEERCACHE_ELIMIT);

    /* zero is no secret of secp256k1, nor is the order */
    const uint8_t head[] = { 8, PC_KEY_SECP256K1, 0x12, 32 };
    memcpy(key, head, sizeof(head));
    assert_int_equal(identity_try(key, 36), PEERCACHE_EPARSE);
    memset(key + 4, 0xff, 32);
    assert_int_equal(identity_try(key, 36), PEERCACHE_EPARSE);

    /* an ECDSA key that calls itself RSA, and the other way round */
    size_t size = key_vector("ECDSA private key", key, sizeof(key));
    key[1] = PC_KEY_RSA;
    assert_int_equal(identity_try(key, size), PEERCACHE_EPARSE);
    size = key_vector("rsa private key", key, sizeof(key));
    key[1] = PC_KEY_ECDSA;
    assert_int_equal(identity_try(key, size), PEERCACHE_EPARSE);
}

static void wall_time_out_of_range_is_refused(void **state)
{
    (void)state;
    const int64_t times[] = { INT64_MIN, -1, INT64_C(221845393000000), INT64_MAX };
    uint8_t key[128];
    size_t size = key_vector("ED25519 private key", key, sizeof(key));
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct pc_identity *identity = NULL;
        struct pc_reason reason = { "" };
        assert_int_equal(pc_libp2p_identity_new(pc_bytes_of(key, size), times[i], &identity, &reason),
                         PEERCACHE_EINVAL);
        assert_null(identity);
        assert_non_null(strstr(reason.text, "clock"));
    }
}

/* A protobuf of a public key with a SubjectPublicKeyInfo. */
static struct pc_bytes pkix_protobuf(enum pc_key_type type, gnutls_datum_t spki, uint8_t *room,
                                     size_t capacity)
{
    struct pc_writer w;
    pc_base_writer_init(&w, room, capacity);
    pc_base_write_u8(&w, 8);
    pc_base_write_varint(&w, type);
    pc_base_write_u8(&w, 0x12);
    pc_base_write_varint(&w, spki.size);
    pc_base_write_bytes(&w, spki.data, spki.size);
    assert_int_equal(w.error, 0);
    return pc_bytes_of(room, pc_base_writer_size(&w));
}

/* Make a key of a kind and size, sign with it, and verify as `type`. */
static int verify_generated(gnutls_pk_algorithm_t kind, unsigned bits, gnutls_sign_algorithm_t sign,
                            enum pc_key_type type)
{
    uint8_t room[PC_PUBLIC_KEY_MAX_BYTES];
    gnutls_datum_t spki, signature, datum = pc_libp2p_datum(message());
    gnutls_privkey_t key;
    gnutls_pubkey_t pubkey;
    assert_int_equal(gnutls_privkey_init(&key), 0);
    assert_int_equal(gnutls_privkey_generate(key, kind, bits, 0), 0);
    assert_int_equal(gnutls_pubkey_init(&pubkey), 0);
    assert_int_equal(gnutls_pubkey_import_privkey(pubkey, key, 0, 0), 0);
    assert_int_equal(gnutls_pubkey_export2(pubkey, GNUTLS_X509_FMT_DER, &spki), 0);
    assert_int_equal(gnutls_privkey_sign_data2(key, sign, 0, &datum, &signature), 0);
    int r = pc_libp2p_verify(pkix_protobuf(type, spki, room, sizeof(room)), message(),
                             pc_bytes_of(signature.data, signature.size));
    gnutls_free(signature.data);
    gnutls_free(spki.data);
    gnutls_pubkey_deinit(pubkey);
    gnutls_privkey_deinit(key);
    return r;
}

static void sizes_and_curves(void **state)
{
    (void)state;
    const gnutls_sign_algorithm_t ecdsa = GNUTLS_SIGN_ECDSA_SHA256, rsa = GNUTLS_SIGN_RSA_SHA256;
    const unsigned p256 = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);
    const unsigned p384 = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1);
    const unsigned p521 = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP521R1);
    assert_int_equal(verify_generated(GNUTLS_PK_ECDSA, p256, ecdsa, PC_KEY_ECDSA), 0);
    assert_int_equal(verify_generated(GNUTLS_PK_ECDSA, p384, ecdsa, PC_KEY_ECDSA), 0);
    assert_int_equal(verify_generated(GNUTLS_PK_ECDSA, p521, ecdsa, PC_KEY_ECDSA), 0);
    assert_int_equal(verify_generated(GNUTLS_PK_RSA, 2048, rsa, PC_KEY_RSA), 0);
    assert_int_equal(verify_generated(GNUTLS_PK_RSA, 1024, rsa, PC_KEY_RSA), PEERCACHE_EUNSUPPORTED);
    /* a key under another name */
    assert_int_equal(verify_generated(GNUTLS_PK_ECDSA, p256, ecdsa, PC_KEY_RSA), PEERCACHE_EPARSE);
    assert_int_equal(verify_generated(GNUTLS_PK_RSA, 2048, rsa, PC_KEY_ECDSA), PEERCACHE_EPARSE);
    assert_int_equal(verify_generated(GNUTLS_PK_EDDSA_ED25519, 256, GNUTLS_SIGN_EDDSA_ED25519, PC_KEY_ECDSA),
                     PEERCACHE_EPARSE);
    assert_int_equal(
        verify_generated(GNUTLS_PK_EDDSA_ED25519, 256, GNUTLS_SIGN_EDDSA_ED25519, PC_KEY_ED25519),
        PEERCACHE_EPARSE);
}

/* RSA public keys built of numbers: too many bits, an exponent that would take minutes. */
static int verify_rsa_numbers(size_t modulus_bytes, size_t exponent_bytes)
{
    uint8_t modulus[1100], exponent[1100], signature[PC_SIGNATURE_MAX_BYTES], room[PC_PUBLIC_KEY_MAX_BYTES];
    gnutls_datum_t m = { modulus, (unsigned)modulus_bytes }, e = { exponent, (unsigned)exponent_bytes }, spki;
    gnutls_pubkey_t pubkey;
    memset(modulus, 0xff, sizeof(modulus));
    memset(exponent, 0xff, sizeof(exponent));
    exponent[0] = 0x7f;
    memset(signature, 0x11, sizeof(signature));
    assert_int_equal(gnutls_pubkey_init(&pubkey), 0);
    assert_int_equal(gnutls_pubkey_import_rsa_raw(pubkey, &m, &e), 0);
    assert_int_equal(gnutls_pubkey_export2(pubkey, GNUTLS_X509_FMT_DER, &spki), 0);
    int r = pc_libp2p_verify(pkix_protobuf(PC_KEY_RSA, spki, room, sizeof(room)), message(),
                             pc_bytes_of(signature, modulus_bytes < 1024 ? modulus_bytes : 1024));
    gnutls_free(spki.data);
    gnutls_pubkey_deinit(pubkey);
    return r;
}

static void costly_rsa_keys_are_refused(void **state)
{
    (void)state;
    assert_int_equal(verify_rsa_numbers(256, 3), PEERCACHE_ECRYPTO); /* well formed, the signature is not */
    assert_int_equal(verify_rsa_numbers(256, 4), PEERCACHE_ECRYPTO);
    assert_int_equal(verify_rsa_numbers(256, 5), PEERCACHE_EUNSUPPORTED);
    assert_int_equal(verify_rsa_numbers(1024, 1000), PEERCACHE_EUNSUPPORTED);
    assert_int_equal(verify_rsa_numbers(1024, 3), PEERCACHE_ECRYPTO);
    assert_int_equal(verify_rsa_numbers(1025, 3), PEERCACHE_EUNSUPPORTED);
    assert_int_equal(verify_rsa_numbers(255, 3), PEERCACHE_EUNSUPPORTED);
}

static void bad_public_keys_are_refused(void **state)
{
    (void)state;
    uint8_t key[PC_PUBLIC_KEY_MAX_BYTES + 1] = { 0 }, signature[PC_SIGNATURE_MAX_BYTES + 1] = { 0 };
    const struct pc_bytes nothing_signed = pc_bytes_of(signature, 64);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        char name[64];
        assert_true(snprintf(name, sizeof(name), "%s public key", kinds[i]) < (int)sizeof(name));
        size_t size = key_vector(name, key, sizeof(key));
        for (size_t cut = 0; cut < size; cut++)
            assert_int_equal(pc_libp2p_verify(pc_bytes_of(key, cut), message(), nothing_signed),
                             PEERCACHE_EPARSE);
        assert_int_equal(pc_libp2p_verify(pc_bytes_of(key, size), message(),
                                          pc_bytes_of(signature, PC_SIGNATURE_MAX_BYTES + 1)),
                         PEERCACHE_ELIMIT);
        key[size] = 0;
        assert_int_equal(pc_libp2p_verify(pc_bytes_of(key, size + 1), message(), nothing_signed),
                         PEERCACHE_EPARSE);
    }
    assert_int_equal(pc_libp2p_verify(pc_bytes_of(key, sizeof(key)), message(), nothing_signed),
                     PEERCACHE_ELIMIT);
    /* the type as a varint of two bytes: not the deterministic form */
    uint8_t padded[40] = { 8, 0x81, 0, 0x12, 32 };
    assert_int_equal(pc_libp2p_verify(pc_bytes_of(padded, 37), message(), nothing_signed), PEERCACHE_EPARSE);
    /* an uncompressed point of secp256k1, and a compressed one not on the curve */
    uint8_t point[80] = { 8, PC_KEY_SECP256K1, 0x12, 65, 4 };
    assert_int_equal(pc_libp2p_verify(pc_bytes_of(point, 69), message(), nothing_signed), PEERCACHE_EPARSE);
    point[3] = 33;
    memset(point + 4, 0xff, 33);
    assert_int_equal(pc_libp2p_verify(pc_bytes_of(point, 37), message(), nothing_signed), PEERCACHE_EPARSE);
}

/* ---- certificates ---- */

static void certificate_vectors(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        uint8_t data[2048];
        char expected[128], text[PC_PEER_ID_TEXT_BYTES];
        struct pc_peer_id id = { .size = 0 };
        struct pc_reason reason = { "" };
        size_t size = certificate_vector(i, data, sizeof(data), expected, sizeof(expected));
        int r = pc_libp2p_certificate_verify(pc_bytes_of(data, size), NOW_MS, &id, &reason);
        if (i == 3) {
            assert_int_equal(r, PEERCACHE_ECRYPTO);
            assert_non_null(strstr(reason.text, "host key"));
            assert_int_equal(id.size, 0);
            continue;
        }
        assert_int_equal(r, 0);
        pc_addr_peer_id_format(&id, text);
        assert_string_equal(text, expected);
    }
}

static void own_certificates_verify(void **state)
{
    (void)state;
    const int64_t hour = 3600000, hundred_years = INT64_C(100) * 365 * 86400000;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        struct pc_identity *identity = identity_of_vector(kinds[i]);
        struct pc_bytes der = pc_libp2p_identity_certificate(identity);
        struct pc_peer_id id, of_key;
        assert_non_null(pc_libp2p_identity_credentials(identity));
        assert_int_equal(pc_libp2p_certificate_verify(der, NOW_MS, &id, NULL), 0);
        assert_true(pc_addr_peer_id_equal(&id, pc_libp2p_identity_id(identity)));
        assert_int_equal(pc_addr_peer_id_from_public_key(pc_libp2p_identity_public_key(identity), &of_key),
                         0);
        assert_true(pc_addr_peer_id_equal(&id, &of_key));
        assert_int_equal(pc_libp2p_certificate_verify(der, NOW_MS - hour, &id, NULL), 0);
        assert_int_equal(pc_libp2p_certificate_verify(der, NOW_MS - hour - 1000, &id, NULL),
                         PEERCACHE_ECRYPTO);
        assert_int_equal(pc_libp2p_certificate_verify(der, NOW_MS + hundred_years, &id, NULL), 0);
        assert_int_equal(pc_libp2p_certificate_verify(der, NOW_MS + hundred_years + 1000, &id, NULL),
                         PEERCACHE_ECRYPTO);
        pc_libp2p_identity_free(identity);
    }
}

/* The validity is around the time given, whatever the clock says; also where UTCTime changes its century. */
static void certificates_follow_the_time_given(void **state)
{
    (void)state;
    const int64_t times[] = { 0,
                              1,
                              YEAR_2000_MS,
                              YEAR_2050_MS - 1,
                              YEAR_2050_MS + 3600000,
                              2 * YEAR_2050_MS,
                              INT64_C(221845392000000) };
    uint8_t key[128];
    size_t size = key_vector("ED25519 private key", key, sizeof(key));
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct pc_identity *identity;
        struct pc_peer_id id;
        assert_int_equal(pc_libp2p_identity_new(pc_bytes_of(key, size), times[i], &identity, NULL), 0);
        assert_int_equal(
            pc_libp2p_certificate_verify(pc_libp2p_identity_certificate(identity), times[i], &id, NULL), 0);
        pc_libp2p_identity_free(identity);
    }
}

static void certificates_differ(void **state)
{
    (void)state;
    struct pc_identity *a = identity_of_vector("ED25519"), *b = identity_of_vector("ED25519");
    assert_true(pc_addr_peer_id_equal(pc_libp2p_identity_id(a), pc_libp2p_identity_id(b)));
    assert_false(pc_bytes_equal(pc_libp2p_identity_certificate(a), pc_libp2p_identity_certificate(b)));
    pc_libp2p_identity_free(a);
    pc_libp2p_identity_free(b);
}

/* What GnuTLS itself, an independent reader, thinks of our certificate. */
static void gnutls_reads_our_certificate(void **state)
{
    (void)state;
    struct pc_identity *identity = identity_of_vector("ED25519");
    gnutls_datum_t der = pc_libp2p_datum(pc_libp2p_identity_certificate(identity));
    gnutls_x509_crt_t certificate;
    uint8_t serial[64];
    size_t serial_size = sizeof(serial);
    unsigned usage = 0;
    assert_int_equal(gnutls_x509_crt_init(&certificate), 0);
    assert_int_equal(gnutls_x509_crt_import(certificate, &der, GNUTLS_X509_FMT_DER), 0);
    assert_int_equal(gnutls_x509_crt_get_version(certificate), 3);
    assert_int_equal(gnutls_x509_crt_get_pk_algorithm(certificate, NULL), GNUTLS_PK_ECDSA);
    assert_int_equal(gnutls_x509_crt_get_signature_algorithm(certificate), GNUTLS_SIGN_ECDSA_SHA256);
    assert_int_equal(gnutls_x509_crt_get_activation_time(certificate), NOW_MS / 1000 - 3600);
    assert_int_equal(gnutls_x509_crt_get_serial(certificate, serial, &serial_size), 0);
    assert_int_equal(serial_size, 16);
    assert_int_equal(serial[0] & 0xc0, 0x40);
    assert_int_equal(gnutls_x509_crt_get_key_usage(certificate, &usage, NULL),
                     GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE);
    gnutls_x509_crt_deinit(certificate);
    pc_libp2p_identity_free(identity);
}

static int verify_made(const struct certificate_recipe *recipe, int64_t wall_ms, struct pc_reason *ret_reason)
{
    uint8_t data[MADE_CERTIFICATE_MAX_BYTES];
    struct pc_peer_id id = { .size = 0 };
    size_t size = certificate_make(recipe, data);
    int r = pc_libp2p_certificate_verify(pc_bytes_of(data, size), wall_ms, &id, ret_reason);
    if (r == 0)
        assert_true(pc_addr_peer_id_equal(&id, pc_libp2p_identity_id(recipe->host)));
    else
        assert_int_equal(id.size, 0);
    return r;
}

static void right_certificates_are_accepted(void **state)
{
    (void)state;
    struct pc_identity *host = identity_of_vector("ED25519");
    const struct certificate_recipe recipes[] = {
        { .host = host },
        { .host = host, .critical_libp2p = true },
        { .host = host, .unknown_plain = true },
        { .host = host,
          .kind = GNUTLS_PK_ECDSA,
          .bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1),
          .sign = GNUTLS_SIGN_ECDSA_SHA384,
          .algorithm = pc_bytes_of("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03", 12) },
        { .host = host,
          .kind = GNUTLS_PK_EDDSA_ED25519,
          .bits = 256,
          .sign = GNUTLS_SIGN_EDDSA_ED25519,
          .algorithm = pc_bytes_of("\x30\x05\x06\x03\x2b\x65\x70", 7) },
        { .host = host,
          .kind = GNUTLS_PK_RSA,
          .bits = 2048,
          .sign = GNUTLS_SIGN_RSA_SHA256,
          .algorithm = pc_bytes_of("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00", 15) },
    };
    for (size_t i = 0; i < sizeof(recipes) / sizeof(recipes[0]); i++) {
        struct pc_reason reason = { "" };
        if (verify_made(&recipes[i], NOW_MS, &reason) < 0)
            fail_msg("recipe %zu: %s", i, reason.text);
    }
    pc_libp2p_identity_free(host);
}

static void wrong_certificates_are_refused(void **state)
{
    (void)state;
    struct pc_identity *host = identity_of_vector("ED25519");
    struct pc_identity *other = identity_of_vector("secp256k1");
    const struct pc_bytes other_key = pc_libp2p_identity_public_key(other);
    const struct pc_bytes sha384 = pc_bytes_of("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03", 12);
    const struct pc_bytes sha1 = pc_bytes_of("\x30\x09\x06\x07\x2a\x86\x48\xce\x3d\x04\x01", 11);
    const struct {
        struct certificate_recipe recipe;
        int result;
        const char *reason;
    } cases[] = {
        { { .host = host, .bad_self_signature = true }, PEERCACHE_ECRYPTO, "its own signature" },
        { { .host = host, .bad_host_signature = true }, PEERCACHE_ECRYPTO, "host key's signature" },
        { { .host = host, .host_key = other_key }, PEERCACHE_ECRYPTO, "host key's signature" },
        { { .host = host, .host_key = pc_bytes_of("\x08\x01\x12\x01x", 5) },
          PEERCACHE_EPARSE,
          "host key is mal" },
        { { .host = host, .host_key = pc_bytes_of("\x08\x07\x12\x01x", 5) },
          PEERCACHE_EUNSUPPORTED,
          "host key" },
        { { .host = host, .prefix = "libp2p-tls-handshake" }, PEERCACHE_ECRYPTO, "host key's signature" },
        { { .host = host, .prefix = "" }, PEERCACHE_ECRYPTO, "host key's signature" },
        { { .host = host, .no_extensions = true }, PEERCACHE_EPARSE, "no libp2p extension" },
        { { .host = host, .no_libp2p = true }, PEERCACHE_EPARSE, "no libp2p extension" },
        { { .host = host, .no_libp2p = true, .unknown_plain = true },
          PEERCACHE_EPARSE,
          "no libp2p extension" },
        { { .host = host, .two_libp2p = true }, PEERCACHE_EPARSE, "twice" },
        { { .host = host, .unknown_critical = true }, PEERCACHE_EUNSUPPORTED, "critical" },
        { { .host = host, .explicit_not_critical = true }, PEERCACHE_EPARSE, "extension" },
        { { .host = host, .unique_id = true }, PEERCACHE_EPARSE, "unique id" },
        { { .host = host, .version = 1 }, PEERCACHE_EPARSE, "version" },
        { { .host = host, .no_version = true }, PEERCACHE_EPARSE, "version" },
        { { .host = host, .unused_bits = true }, PEERCACHE_EPARSE, "malformed" },
        { { .host = host, .trailing_in_extension = true }, PEERCACHE_EPARSE, "libp2p extension" },
        { { .host = host, .trailing_in_certificate = true }, PEERCACHE_EPARSE, "malformed" },
        { { .host = host, .other_algorithm = sha384 }, PEERCACHE_EPARSE, "two different" },
        { { .host = host, .algorithm = sha384 }, PEERCACHE_ECRYPTO, "its own signature" },
        { { .host = host, .algorithm = sha1, .sign = GNUTLS_SIGN_ECDSA_SHA1 },
          PEERCACHE_EUNSUPPORTED,
          "signature algorithm" },
        { { .host = host,
            .kind = GNUTLS_PK_RSA,
            .bits = 1024,
            .sign = GNUTLS_SIGN_RSA_SHA256,
            .algorithm = pc_bytes_of("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00", 15) },
          PEERCACHE_EUNSUPPORTED,
          "its key" },
        { { .host = host, .not_before = "270101000000Z" }, PEERCACHE_ECRYPTO, "not yet valid" },
        { { .host = host, .not_before = "20270101000000Z" }, PEERCACHE_ECRYPTO, "not yet valid" },
        { { .host = host, .not_after = "260101000000Z" }, PEERCACHE_ECRYPTO, "expired" },
        { { .host = host, .not_after = "20260101000000Z" }, PEERCACHE_ECRYPTO, "expired" },
        { { .host = host, .not_after = "19991231235959Z" }, PEERCACHE_ECRYPTO, "expired" },
        { { .host = host, .not_after = "500101000000Z" }, PEERCACHE_ECRYPTO, "expired" }, /* 1950 */
        { { .host = host, .not_after = "20501301000000Z" }, PEERCACHE_EPARSE, "validity" },
        { { .host = host, .not_after = "20500001000000Z" }, PEERCACHE_EPARSE, "validity" },
        { { .host = host, .not_after = "20500230000000Z" }, PEERCACHE_EPARSE, "validity" },
        { { .host = host, .not_after = "20500101240000Z" }, PEERCACHE_EPARSE, "validity" },
        { { .host = host, .not_after = "20500101000060Z" }, PEERCACHE_EPARSE, "validity" },
        { { .host = host, .not_after = "205001010000Z" }, PEERCACHE_EPARSE, "validity" }, /* no seconds */
        { { .host = host, .not_after = "20500101000000" }, PEERCACHE_EPARSE, "validity" },
        { { .host = host, .not_after = "20500101000000+0000" }, PEERCACHE_EPARSE, "validity" },
        { { .host = host, .not_after = "2050010100000.0Z" }, PEERCACHE_EPARSE, "validity" },
        { { .host = host, .not_after = "" }, PEERCACHE_EPARSE, "validity" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pc_reason reason = { "" };
        int r = verify_made(&cases[i].recipe, NOW_MS, &reason);
        if (r != cases[i].result || !strstr(reason.text, cases[i].reason))
            fail_msg("case %zu: %d \"%s\", not %d with \"%s\"", i, r, reason.text, cases[i].result,
                     cases[i].reason);
    }
    pc_libp2p_identity_free(other);
    pc_libp2p_identity_free(host);
}

static void validity_includes_both_ends(void **state)
{
    (void)state;
    struct pc_identity *host = identity_of_vector("ED25519");
    const struct certificate_recipe recipe = { .host = host };
    assert_int_equal(verify_made(&recipe, YEAR_2000_MS, NULL), 0);
    assert_int_equal(verify_made(&recipe, YEAR_2000_MS - 1, NULL), PEERCACHE_ECRYPTO);
    assert_int_equal(verify_made(&recipe, YEAR_2050_MS + 999, NULL), 0);
    assert_int_equal(verify_made(&recipe, YEAR_2050_MS + 1000, NULL), PEERCACHE_ECRYPTO);
    assert_int_equal(verify_made(&recipe, INT64_MIN, NULL), PEERCACHE_ECRYPTO);
    assert_int_equal(verify_made(&recipe, INT64_MAX, NULL), PEERCACHE_ECRYPTO);
    pc_libp2p_identity_free(host);
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    static uint8_t data[PC_CERTIFICATE_MAX_BYTES + 1];
    char id_text[128];
    struct pc_peer_id id;
    size_t size = certificate_vector(0, data, sizeof(data), id_text, sizeof(id_text));
    assert_int_equal(pc_libp2p_certificate_verify(pc_bytes_of(data, size + 1), NOW_MS, &id, NULL),
                     PEERCACHE_EPARSE);
    assert_int_equal(pc_libp2p_certificate_verify(pc_bytes_of(data, sizeof(data)), NOW_MS, &id, NULL),
                     PEERCACHE_ELIMIT);
    assert_int_equal(pc_libp2p_certificate_verify(pc_bytes_of(NULL, 0), NOW_MS, &id, NULL), PEERCACHE_EPARSE);
    struct pc_reason reason = { "" };
    assert_int_equal(pc_libp2p_certificate_verify(pc_bytes_of(data, size + 1), NOW_MS, &id, &reason),
                     PEERCACHE_EPARSE);
    assert_non_null(strstr(reason.text, "trailing"));
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        uint8_t data[2048];
        char text[128];
        size_t size = certificate_vector(i, data, sizeof(data), text, sizeof(text));
        for (size_t cut = 0; cut < size; cut++) {
            struct pc_peer_id id = { .size = 0 };
            uint8_t *exact = malloc(cut + 1); /* so that the sanitizer sees a read beyond */
            assert_non_null(exact);
            memcpy(exact, data, cut);
            assert_true(pc_libp2p_certificate_verify(pc_bytes_of(exact, cut), NOW_MS, &id, NULL) < 0);
            assert_int_equal(id.size, 0);
            free(exact);
        }
    }
}

/* No flipped bit is accepted: all of a certificate is signed, and DER has one form of each value. */
static void every_flipped_bit_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        uint8_t data[2048];
        char text[128];
        size_t size = certificate_vector(i, data, sizeof(data), text, sizeof(text));
        for (size_t at = 0; at < size; at++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                struct pc_peer_id id = { .size = 0 };
                data[at] ^= (uint8_t)(1u << bit);
                int r = pc_libp2p_certificate_verify(pc_bytes_of(data, size), NOW_MS, &id, NULL);
                if (r == 0)
                    fail_msg("certificate %u, byte %zu, bit %u: accepted", i, at, bit);
                assert_int_equal(id.size, 0);
                data[at] ^= (uint8_t)(1u << bit);
            }
        }
    }
}

static void random_changes_are_refused(void **state)
{
    (void)state;
    struct pc_rng rng;
    uint8_t data[2048], changed[2048];
    char text[128];
    size_t size = certificate_vector(1, data, sizeof(data), text, sizeof(text));
    pc_base_rng_init_u64(&rng, 7);
    for (unsigned i = 0; i < 3000; i++) {
        struct pc_peer_id id = { .size = 0 };
        memcpy(changed, data, size);
        size_t from = pc_base_rng_below(&rng, size), length = 1 + pc_base_rng_below(&rng, 8);
        length = length < size - from ? length : size - from;
        pc_base_rng_bytes(&rng, changed + from, length);
        int r = pc_libp2p_certificate_verify(pc_bytes_of(changed, size), NOW_MS, &id, NULL);
        assert_true((r == 0) == (memcmp(changed, data, size) == 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_keys_give_public_keys),
        cmocka_unit_test(signing_round_trips),
        cmocka_unit_test(high_s_of_secp256k1_verifies),
        cmocka_unit_test(generated_keys_are_ed25519_of_the_seed),
        cmocka_unit_test(old_ed25519_private_keys_are_read),
        cmocka_unit_test(bad_private_keys_are_refused),
        cmocka_unit_test(wall_time_out_of_range_is_refused),
        cmocka_unit_test(sizes_and_curves),
        cmocka_unit_test(costly_rsa_keys_are_refused),
        cmocka_unit_test(bad_public_keys_are_refused),
        cmocka_unit_test(certificate_vectors),
        cmocka_unit_test(own_certificates_verify),
        cmocka_unit_test(certificates_follow_the_time_given),
        cmocka_unit_test(certificates_differ),
        cmocka_unit_test(gnutls_reads_our_certificate),
        cmocka_unit_test(right_certificates_are_accepted),
        cmocka_unit_test(wrong_certificates_are_refused),
        cmocka_unit_test(validity_includes_both_ends),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(random_changes_are_refused),
    };
    return cmocka_run_group_tests_name("libp2p_identity", tests, NULL, NULL);
}
