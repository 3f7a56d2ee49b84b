#include "certificate_maker.h"

#include "check.h"

#include "libp2p/der.h"

#include <string.h>

#define PART_MAX_BYTES 6000

static const char ecdsa_sha256[] = "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
static const uint8_t libp2p_oid[] = { 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xa2, 0x5a, 0x01, 0x01 };
static const uint8_t unknown_oid[] = { 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xa2, 0x5a, 0x09, 0x09 };
static const uint8_t organization[] = { 0x31, 0x0d, 0x30, 0x0b, 0x06, 0x03, 0x55, 0x04,
                                        0x0a, 0x0c, 0x04, 't',  'e',  's',  't' };

static void put(struct pc_writer *w, enum pc_der_tag tag, const void *contents, size_t size)
{
    pc_libp2p_der_write_header(w, tag, size);
    pc_base_write_bytes(w, contents, size);
}

static void put_all(struct pc_writer *w, enum pc_der_tag tag, const struct pc_writer *contents)
{
    assert_int_equal(contents->error, 0);
    put(w, tag, contents->start, pc_base_writer_size(contents));
}

static void put_time(struct pc_writer *w, const char *text)
{
    put(w, strlen(text) == 13 ? PC_DER_UTC_TIME : PC_DER_GENERALIZED_TIME, text, strlen(text));
}

static void put_extension(struct pc_writer *w, struct pc_bytes oid, bool critical, bool explicit_not_critical,
                          struct pc_bytes value)
{
    uint8_t room[PART_MAX_BYTES];
    struct pc_writer extension;
    pc_base_writer_init(&extension, room, sizeof(room));
    put(&extension, PC_DER_OID, oid.data, oid.size);
    if (critical)
        put(&extension, PC_DER_BOOLEAN, "\xff", 1);
    else if (explicit_not_critical)
        put(&extension, PC_DER_BOOLEAN, "\x00", 1);
    put(&extension, PC_DER_OCTET_STRING, value.data, value.size);
    put_all(w, PC_DER_SEQUENCE, &extension);
}

static void put_libp2p_extension(struct pc_writer *w, const struct certificate_recipe *recipe,
                                 struct pc_bytes spki)
{
    uint8_t message_room[PART_MAX_BYTES], key_room[PART_MAX_BYTES], value_room[PART_MAX_BYTES];
    uint8_t signature[PC_SIGNATURE_MAX_BYTES];
    size_t signature_size;
    const char *prefix = recipe->prefix ? recipe->prefix : "libp2p-tls-handshake:";
    struct pc_bytes host_key =
        recipe->host_key.size > 0 ? recipe->host_key : pc_libp2p_identity_public_key(recipe->host);
    struct pc_writer message, key, value;
    pc_base_writer_init(&message, message_room, sizeof(message_room));
    pc_base_write_bytes(&message, prefix, strlen(prefix));
    pc_base_write_bytes(&message, spki.data, spki.size);
    assert_int_equal(pc_libp2p_identity_sign(recipe->host,
                                             pc_bytes_of(message_room, pc_base_writer_size(&message)),
                                             signature, sizeof(signature), &signature_size),
                     0);
    if (recipe->bad_host_signature)
        signature[signature_size - 1] ^= 1;
    pc_base_writer_init(&key, key_room, sizeof(key_room));
    put(&key, PC_DER_OCTET_STRING, host_key.data, host_key.size);
    put(&key, PC_DER_OCTET_STRING, signature, signature_size);
    pc_base_writer_init(&value, value_room, sizeof(value_room));
    put_all(&value, PC_DER_SEQUENCE, &key);
    if (recipe->trailing_in_extension)
        pc_base_write_u8(&value, 0);
    put_extension(w, pc_bytes_of(libp2p_oid, sizeof(libp2p_oid)), recipe->critical_libp2p,
                  recipe->explicit_not_critical, pc_bytes_of(value_room, pc_base_writer_size(&value)));
}

static void put_extensions(struct pc_writer *w, const struct certificate_recipe *recipe, struct pc_bytes spki)
{
    uint8_t list_room[PART_MAX_BYTES], sequence_room[PART_MAX_BYTES];
    const struct pc_bytes unknown = pc_bytes_of(unknown_oid, sizeof(unknown_oid));
    struct pc_writer list, sequence;
    pc_base_writer_init(&list, list_room, sizeof(list_room));
    if (recipe->unknown_plain)
        put_extension(&list, unknown, false, false, pc_bytes_of("x", 1));
    if (!recipe->no_libp2p)
        put_libp2p_extension(&list, recipe, spki);
    if (recipe->two_libp2p)
        put_libp2p_extension(&list, recipe, spki);
    if (recipe->unknown_critical)
        put_extension(&list, unknown, true, false, pc_bytes_of("x", 1));
    pc_base_writer_init(&sequence, sequence_room, sizeof(sequence_room));
    put_all(&sequence, PC_DER_SEQUENCE, &list);
    put_all(w, PC_DER_CONTEXT_3, &sequence);
}

static void put_tbs(struct pc_writer *w, const struct certificate_recipe *recipe, struct pc_bytes algorithm,
                    struct pc_bytes spki)
{
    uint8_t room[PART_MAX_BYTES], validity_room[64];
    const uint8_t version[] = { 2, 1, recipe->version > 0 ? recipe->version : 2 };
    struct pc_bytes inner = recipe->other_algorithm.size > 0 ? recipe->other_algorithm : algorithm;
    struct pc_writer tbs, validity;
    pc_base_writer_init(&tbs, room, sizeof(room));
    if (!recipe->no_version)
        put(&tbs, PC_DER_CONTEXT_0, version, sizeof(version));
    put(&tbs, PC_DER_INTEGER, "\x2a", 1);
    pc_base_write_bytes(&tbs, inner.data, inner.size);
    put(&tbs, PC_DER_SEQUENCE, organization, sizeof(organization));
    pc_base_writer_init(&validity, validity_room, sizeof(validity_room));
    put_time(&validity, recipe->not_before ? recipe->not_before : "000101000000Z");
    put_time(&validity, recipe->not_after ? recipe->not_after : "20500101000000Z");
    put_all(&tbs, PC_DER_SEQUENCE, &validity);
    put(&tbs, PC_DER_SEQUENCE, organization, sizeof(organization));
    pc_base_write_bytes(&tbs, spki.data, spki.size);
    if (recipe->unique_id)
        pc_base_write_bytes(&tbs, "\x81\x02\x00\x07", 4);
    if (!recipe->no_extensions)
        put_extensions(&tbs, recipe, spki);
    put_all(w, PC_DER_SEQUENCE, &tbs);
}

static gnutls_privkey_t key_generate(const struct certificate_recipe *recipe, gnutls_datum_t *ret_spki)
{
    gnutls_privkey_t key;
    gnutls_pubkey_t pubkey;
    gnutls_pk_algorithm_t kind = recipe->kind != 0 ? recipe->kind : GNUTLS_PK_ECDSA;
    unsigned bits = recipe->bits > 0 ? recipe->bits : GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);
    assert_int_equal(gnutls_privkey_init(&key), 0);
    assert_int_equal(gnutls_privkey_generate(key, kind, bits, 0), 0);
    assert_int_equal(gnutls_pubkey_init(&pubkey), 0);
    assert_int_equal(gnutls_pubkey_import_privkey(pubkey, key, 0, 0), 0);
    assert_int_equal(gnutls_pubkey_export2(pubkey, GNUTLS_X509_FMT_DER, ret_spki), 0);
    gnutls_pubkey_deinit(pubkey);
    return key;
}

size_t certificate_make(const struct certificate_recipe *recipe, uint8_t data[MADE_CERTIFICATE_MAX_BYTES])
{
    uint8_t room[MADE_CERTIFICATE_MAX_BYTES], bits_room[PC_SIGNATURE_MAX_BYTES + 1];
    struct pc_bytes algorithm =
        recipe->algorithm.size > 0 ? recipe->algorithm : pc_bytes_of(ecdsa_sha256, sizeof(ecdsa_sha256) - 1);
    gnutls_sign_algorithm_t sign = recipe->sign != 0 ? recipe->sign : GNUTLS_SIGN_ECDSA_SHA256;
    gnutls_datum_t spki, signature;
    gnutls_privkey_t key = key_generate(recipe, &spki);
    struct pc_writer contents, bits, w;
    pc_base_writer_init(&contents, room, sizeof(room));
    put_tbs(&contents, recipe, algorithm, pc_bytes_of(spki.data, spki.size));
    gnutls_datum_t tbs = { room, (unsigned)pc_base_writer_size(&contents) };
    assert_int_equal(gnutls_privkey_sign_data2(key, sign, 0, &tbs, &signature), 0);
    if (recipe->bad_self_signature)
        signature.data[signature.size - 1] ^= 1;
    pc_base_write_bytes(&contents, algorithm.data, algorithm.size);
    pc_base_writer_init(&bits, bits_room, sizeof(bits_room));
    pc_base_write_u8(&bits, recipe->unused_bits ? 1 : 0);
    pc_base_write_bytes(&bits, signature.data, signature.size);
    put_all(&contents, PC_DER_BIT_STRING, &bits);
    if (recipe->trailing_in_certificate)
        put(&contents, PC_DER_INTEGER, "\x01", 1);
    pc_base_writer_init(&w, data, MADE_CERTIFICATE_MAX_BYTES);
    put_all(&w, PC_DER_SEQUENCE, &contents);
    assert_int_equal(w.error, 0);
    gnutls_free(signature.data);
    gnutls_free(spki.data);
    gnutls_privkey_deinit(key);
    return pc_base_writer_size(&w);
}
