#include "check.h"

#include "certificate_maker.h"
#include "libp2p_vectors.h"

#include "libp2p/der.h"
#include "libp2p/key.h"

#include "base/rng.h"

#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

#define YEAR_2000_MS INT64_C(946684800000)
#define YEAR_2050_MS INT64_C(2524608000000)

static void certificate_vectors(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VECTOR_CERTIFICATES; i++) {
        uint8_t data[2048];
        char expected[128], text[PC_PEER_ID_TEXT_BYTES];
        struct pc_peer_id id = { .size = 0 };
        struct pc_reason reason = { "" };
        size_t size = certificate_vector(i, data, sizeof(data), expected, sizeof(expected));
        int r = pc_libp2p_certificate_verify(pc_bytes_of(data, size), VECTOR_NOW_MS, &id, &reason);
        if (i == VECTOR_CERTIFICATES - 1) {
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
    for (size_t i = 0; i < VECTOR_KIND_COUNT; i++) {
        struct pc_identity *identity = identity_of_vector(vector_kinds[i]);
        struct pc_bytes der = pc_libp2p_identity_certificate(identity);
        struct pc_peer_id id, of_key;
        assert_non_null(pc_libp2p_identity_credentials(identity));
        assert_int_equal(pc_libp2p_certificate_verify(der, VECTOR_NOW_MS, &id, NULL), 0);
        assert_true(pc_addr_peer_id_equal(&id, pc_libp2p_identity_id(identity)));
        assert_int_equal(pc_addr_peer_id_from_public_key(pc_libp2p_identity_public_key(identity), &of_key),
                         0);
        assert_true(pc_addr_peer_id_equal(&id, &of_key));
        assert_int_equal(pc_libp2p_certificate_verify(der, VECTOR_NOW_MS - hour, &id, NULL), 0);
        assert_int_equal(pc_libp2p_certificate_verify(der, VECTOR_NOW_MS - hour - 1000, &id, NULL),
                         PEERCACHE_ECRYPTO);
        assert_int_equal(pc_libp2p_certificate_verify(der, VECTOR_NOW_MS + hundred_years, &id, NULL), 0);
        assert_int_equal(pc_libp2p_certificate_verify(der, VECTOR_NOW_MS + hundred_years + 1000, &id, NULL),
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
    assert_int_equal(gnutls_x509_crt_get_activation_time(certificate), VECTOR_NOW_MS / 1000 - 3600);
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
        if (verify_made(&recipes[i], VECTOR_NOW_MS, &reason) < 0)
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
        int r = verify_made(&cases[i].recipe, VECTOR_NOW_MS, &reason);
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
    assert_int_equal(pc_libp2p_certificate_verify(pc_bytes_of(data, size + 1), VECTOR_NOW_MS, &id, NULL),
                     PEERCACHE_EPARSE);
    assert_int_equal(pc_libp2p_certificate_verify(pc_bytes_of(data, sizeof(data)), VECTOR_NOW_MS, &id, NULL),
                     PEERCACHE_ELIMIT);
    assert_int_equal(pc_libp2p_certificate_verify(pc_bytes_of(NULL, 0), VECTOR_NOW_MS, &id, NULL),
                     PEERCACHE_EPARSE);
    struct pc_reason reason = { "" };
    assert_int_equal(pc_libp2p_certificate_verify(pc_bytes_of(data, size + 1), VECTOR_NOW_MS, &id, &reason),
                     PEERCACHE_EPARSE);
    assert_non_null(strstr(reason.text, "trailing"));
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VECTOR_CERTIFICATES - 1; i++) {
        uint8_t data[2048];
        char text[128];
        size_t size = certificate_vector(i, data, sizeof(data), text, sizeof(text));
        for (size_t cut = 0; cut < size; cut++) {
            struct pc_peer_id id = { .size = 0 };
            uint8_t *exact = malloc(cut + 1); /* so that the sanitizer sees a read beyond */
            assert_non_null(exact);
            memcpy(exact, data, cut);
            assert_true(pc_libp2p_certificate_verify(pc_bytes_of(exact, cut), VECTOR_NOW_MS, &id, NULL) < 0);
            assert_int_equal(id.size, 0);
            free(exact);
        }
    }
}

/* No flipped bit is accepted: all of a certificate is signed, and DER has one form of each value. */
static void every_flipped_bit_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VECTOR_CERTIFICATES - 1; i++) {
        uint8_t data[2048];
        char text[128];
        size_t size = certificate_vector(i, data, sizeof(data), text, sizeof(text));
        for (size_t at = 0; at < size; at++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                struct pc_peer_id id = { .size = 0 };
                data[at] ^= (uint8_t)(1u << bit);
                int r = pc_libp2p_certificate_verify(pc_bytes_of(data, size), VECTOR_NOW_MS, &id, NULL);
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
        int r = pc_libp2p_certificate_verify(pc_bytes_of(changed, size), VECTOR_NOW_MS, &id, NULL);
        assert_true((r == 0) == (memcmp(changed, data, size) == 0));
    }
}

/* An element is read: its contents' size, or -1. */
static int der_size_read(const void *data, size_t size)
{
    struct pc_reader r;
    pc_base_reader_init(&r, data, size);
    struct pc_bytes contents = pc_libp2p_der_read(&r, PC_DER_OCTET_STRING);
    return r.error ? -1 : (int)contents.size;
}

static void der_lengths_have_one_form(void **state)
{
    (void)state;
    static uint8_t data[70000];
    const size_t sizes[] = { 0, 1, 127, 128, 255, 256, 65535 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct pc_writer w;
        pc_base_writer_init(&w, data, sizeof(data));
        pc_libp2p_der_write_header(&w, PC_DER_OCTET_STRING, sizes[i]);
        size_t whole = pc_base_writer_size(&w) + sizes[i];
        assert_int_equal(pc_libp2p_der_size(sizes[i]), whole);
        assert_int_equal(der_size_read(data, whole), sizes[i]);
        assert_int_equal(der_size_read(data, whole - 1), -1);
    }
    memset(data, 0, sizeof(data));
    memcpy(data, "\x04\x81\x7f", 3); /* 127 in two bytes */
    assert_int_equal(der_size_read(data, sizeof(data)), -1);
    memcpy(data, "\x04\x82\x00\xff", 4); /* 255 in three */
    assert_int_equal(der_size_read(data, sizeof(data)), -1);
    memcpy(data, "\x04\x83\x01\x00\x00", 5); /* 65536: over the bound */
    assert_int_equal(der_size_read(data, sizeof(data)), -1);
    memcpy(data, "\x04\x80\x00\x00", 4); /* indefinite */
    assert_int_equal(der_size_read(data, sizeof(data)), -1);
    memcpy(data, "\x05\x01", 2); /* another tag */
    assert_int_equal(der_size_read(data, sizeof(data)), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(der_lengths_have_one_form),
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
