#include "check.h"

#include "libp2p_vectors.h"

#include "libp2p/key.h"

#include "base/cursor.h"

#include <secp256k1.h>
#include <stdio.h>
#include <string.h>

static const char message_text[] = "what is signed";

static struct pc_bytes message(void)
{
    return pc_bytes_of(message_text, sizeof(message_text) - 1);
}

static void private_keys_give_public_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTOR_KIND_COUNT; i++) {
        uint8_t expected[PC_PUBLIC_KEY_MAX_BYTES];
        char name[64];
        struct pc_identity *identity = identity_of_vector(vector_kinds[i]);
        assert_true(snprintf(name, sizeof(name), "%s public key", vector_kinds[i]) < (int)sizeof(name));
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
    for (size_t i = 0; i < VECTOR_KIND_COUNT; i++) {
        uint8_t signature[PC_SIGNATURE_MAX_BYTES], small[8];
        size_t size, untouched = 77;
        struct pc_identity *identity = identity_of_vector(vector_kinds[i]);
        struct pc_identity *other = identity_of_vector(vector_kinds[(i + 1) % VECTOR_KIND_COUNT]);
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
    int r = pc_libp2p_identity_new(pc_bytes_of(private_key, size), VECTOR_NOW_MS, &identity, &reason);
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
static int verify_rsa_numbers(size_t modulus_bytes, size_t exponent_bytes, uint8_t last)
{
    uint8_t modulus[1100], exponent[1100], signature[PC_SIGNATURE_MAX_BYTES], room[PC_PUBLIC_KEY_MAX_BYTES];
    gnutls_datum_t m = { modulus, (unsigned)modulus_bytes }, e = { exponent, (unsigned)exponent_bytes }, spki;
    gnutls_pubkey_t pubkey;
    memset(modulus, 0xff, sizeof(modulus));
    memset(exponent, 0xff, sizeof(exponent));
    exponent[0] = 0x7f;
    modulus[modulus_bytes - 1] = last;
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
    assert_int_equal(verify_rsa_numbers(256, 3, 0xff),
                     PEERCACHE_ECRYPTO); /* well formed, the signature is not */
    assert_int_equal(verify_rsa_numbers(256, 3, 0xfe), PEERCACHE_ECRYPTO); /* an even modulus */
    assert_int_equal(verify_rsa_numbers(256, 4, 0xff), PEERCACHE_ECRYPTO);
    assert_int_equal(verify_rsa_numbers(256, 5, 0xff), PEERCACHE_EUNSUPPORTED);
    assert_int_equal(verify_rsa_numbers(1024, 1000, 0xff), PEERCACHE_EUNSUPPORTED);
    assert_int_equal(verify_rsa_numbers(1024, 3, 0xff), PEERCACHE_ECRYPTO);
    assert_int_equal(verify_rsa_numbers(1025, 3, 0xff), PEERCACHE_EUNSUPPORTED);
    assert_int_equal(verify_rsa_numbers(255, 3, 0xff), PEERCACHE_EUNSUPPORTED);
}

static void bad_public_keys_are_refused(void **state)
{
    (void)state;
    uint8_t key[PC_PUBLIC_KEY_MAX_BYTES + 1] = { 0 }, signature[PC_SIGNATURE_MAX_BYTES + 1] = { 0 };
    const struct pc_bytes nothing_signed = pc_bytes_of(signature, 64);
    for (size_t i = 0; i < VECTOR_KIND_COUNT; i++) {
        char name[64];
        assert_true(snprintf(name, sizeof(name), "%s public key", vector_kinds[i]) < (int)sizeof(name));
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
    };
    return cmocka_run_group_tests_name("libp2p_key", tests, NULL, NULL);
}
