/*
 * The TLS certificate of libp2p (libp2p/specs tls/tls.md; X.509 v3, RFC 5280). The host key does not sign the
 * certificate; the certificate's own key does, and an extension carries the host key and its signature over
 * that key:
 *
 *   Certificate ─ tbs ─┬ validity, SubjectPublicKeyInfo ◄──────────────┐ signs, after the prefix
 *                │     └ extension: SignedKey { host public key, signature }
 *                └ signature over tbs by the SubjectPublicKeyInfo's key
 *
 * Checking slices the DER itself: GnuTLS has no getter for the signed bytes, and its own verification reads
 * the clock. Cheap checks come first, the two signatures last.
 */
#include "libp2p/certificate.h"

#include "libp2p/der.h"

#include <assert.h>
#include <gnutls/crypto.h>

#define SIGNED_PREFIX           "libp2p-tls-handshake:"
#define SIGNED_PREFIX_BYTES     (sizeof(SIGNED_PREFIX) - 1)
#define SPKI_MAX_BYTES          PC_PUBLIC_KEY_MAX_BYTES
#define EXTENSION_MAX_BYTES     (PC_PUBLIC_KEY_MAX_BYTES + PC_SIGNATURE_MAX_BYTES + 16)
#define EXTENSION_OID           "1.3.6.1.4.1.53594.1.1"
#define SERIAL_BYTES            16
#define VALID_BEFORE_S          INT64_C(3600)
#define VALID_AFTER_S           (INT64_C(100) * 365 * 86400)
#define WALL_MAX_S              INT64_C(221845392000) /* 9000-01-01: the end must have a year of four digits */
#define CERTIFICATE_ISSUER_NAME "libp2p.io"

static const uint8_t extension_oid[] = { 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xa2, 0x5a, 0x01, 0x01 };

/* ---- making ---- */

/* What the host key signs: the prefix and the certificate's key. ELIMIT. */
static int signed_message(struct pc_bytes spki, struct pc_writer *w)
{
    pc_base_write_bytes(w, SIGNED_PREFIX, SIGNED_PREFIX_BYTES);
    pc_base_write_bytes(w, spki.data, spki.size);
    return w->error;
}

/* The SubjectPublicKeyInfo of a certificate whose key is set; to be freed with gnutls_free. */
static int certificate_spki(gnutls_x509_crt_t certificate, gnutls_datum_t *ret_spki)
{
    gnutls_pubkey_t pubkey;
    int r = gnutls_pubkey_init(&pubkey);
    if (r < 0)
        return pc_libp2p_gnutls_result(r, PEERCACHE_ECRYPTO);
    r = gnutls_pubkey_import_x509(pubkey, certificate, 0);
    if (r >= 0)
        r = gnutls_pubkey_export2(pubkey, GNUTLS_X509_FMT_DER, ret_spki);
    gnutls_pubkey_deinit(pubkey);
    return pc_libp2p_gnutls_result(r, PEERCACHE_ECRYPTO);
}

static int extension_add(gnutls_x509_crt_t certificate, const struct pc_host_key *host_key)
{
    uint8_t message[SIGNED_PREFIX_BYTES + SPKI_MAX_BYTES], signature[PC_SIGNATURE_MAX_BYTES];
    uint8_t extension[EXTENSION_MAX_BYTES];
    struct pc_bytes public_key = pc_libp2p_host_key_public(host_key);
    size_t signature_size;
    gnutls_datum_t spki;
    struct pc_writer w;
    int r = certificate_spki(certificate, &spki);
    if (r < 0)
        return r;
    pc_base_writer_init(&w, message, sizeof(message));
    r = signed_message(pc_bytes_of(spki.data, spki.size), &w);
    gnutls_free(spki.data);
    if (r == 0)
        r = pc_libp2p_host_key_sign(host_key, pc_bytes_of(message, pc_base_writer_size(&w)), signature,
                                    sizeof(signature), &signature_size);
    if (r < 0)
        return r;
    pc_base_writer_init(&w, extension, sizeof(extension));
    pc_libp2p_der_write_header(&w, PC_DER_SEQUENCE,
                               pc_libp2p_der_size(public_key.size) + pc_libp2p_der_size(signature_size));
    pc_libp2p_der_write_header(&w, PC_DER_OCTET_STRING, public_key.size);
    pc_base_write_bytes(&w, public_key.data, public_key.size);
    pc_libp2p_der_write_header(&w, PC_DER_OCTET_STRING, signature_size);
    pc_base_write_bytes(&w, signature, signature_size);
    assert(!w.error); /* EXTENSION_MAX_BYTES has room for the largest key and signature */
    return pc_libp2p_gnutls_result(gnutls_x509_crt_set_extension_by_oid(certificate, EXTENSION_OID, extension,
                                                                        pc_base_writer_size(&w), 0),
                                   PEERCACHE_ECRYPTO);
}

/* The fields of an empty certificate, up to its signature. */
static int certificate_fill(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key,
                            const struct pc_host_key *host_key, int64_t wall_s)
{
    int64_t not_before_s = wall_s > VALID_BEFORE_S ? wall_s - VALID_BEFORE_S : 0;
    uint8_t serial[SERIAL_BYTES];
    int r = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
    serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40); /* positive, and never shortened */
    if (r >= 0)
        r = gnutls_x509_crt_set_version(certificate, 3);
    if (r >= 0)
        r = gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial));
    if (r >= 0)
        r = gnutls_x509_crt_set_activation_time(certificate, (time_t)not_before_s);
    if (r >= 0)
        r = gnutls_x509_crt_set_expiration_time(certificate, (time_t)(wall_s + VALID_AFTER_S));
    if (r >= 0)
        r = gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, 0,
                                          CERTIFICATE_ISSUER_NAME, sizeof(CERTIFICATE_ISSUER_NAME) - 1);
    if (r >= 0)
        r = gnutls_x509_crt_set_key(certificate, key);
    if (r < 0)
        return pc_libp2p_gnutls_result(r, PEERCACHE_ECRYPTO);
    return extension_add(certificate, host_key);
}

int pc_libp2p_certificate_new(const struct pc_host_key *host_key, int64_t wall_ms,
                              gnutls_x509_crt_t *ret_certificate, gnutls_x509_privkey_t *ret_key)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t certificate;
    if (wall_ms < 0 || wall_ms / 1000 > WALL_MAX_S)
        return PEERCACHE_EINVAL;
    int r = pc_libp2p_gnutls_result(gnutls_x509_privkey_init(&key), PEERCACHE_ECRYPTO);
    if (r < 0)
        return r;
    r = pc_libp2p_gnutls_result(gnutls_x509_crt_init(&certificate), PEERCACHE_ECRYPTO);
    if (r < 0)
        goto free_key;
    r = pc_libp2p_gnutls_result(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                                             GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
                                                             0),
                                PEERCACHE_ECRYPTO);
    if (r == 0)
        r = certificate_fill(certificate, key, host_key, wall_ms / 1000);
    if (r == 0)
        r = pc_libp2p_gnutls_result(
            gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0), PEERCACHE_ECRYPTO);
    if (r < 0)
        goto free_certificate;
    *ret_certificate = certificate;
    *ret_key = key;
    return 0;
free_certificate:
    gnutls_x509_crt_deinit(certificate);
free_key:
    gnutls_x509_privkey_deinit(key);
    return r;
}

/* ---- checking ---- */

struct certificate {
    struct pc_bytes tbs;       /* what is signed, whole */
    struct pc_bytes algorithm; /* AlgorithmIdentifier, whole */
    struct pc_bytes signature;
    struct pc_bytes spki; /* whole */
    int64_t not_before_s;
    int64_t not_after_s;
    struct pc_bytes host_key;       /* of the extension */
    struct pc_bytes host_signature; /* of the extension */
};

/* AlgorithmIdentifiers in DER of the signatures that a certificate may bear (RFC 5758, 8410, 4055). */
struct algorithm {
    const char *der;
    size_t size;
    gnutls_sign_algorithm_t sign;
};
#define ALGORITHM(der, sign)                                                                                 \
    {                                                                                                        \
        der, sizeof(der) - 1, sign                                                                           \
    }
static const struct algorithm algorithms[] = {
    ALGORITHM("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", GNUTLS_SIGN_ECDSA_SHA256),
    ALGORITHM("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03", GNUTLS_SIGN_ECDSA_SHA384),
    ALGORITHM("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04", GNUTLS_SIGN_ECDSA_SHA512),
    ALGORITHM("\x30\x05\x06\x03\x2b\x65\x70", GNUTLS_SIGN_EDDSA_ED25519),
    ALGORITHM("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00", GNUTLS_SIGN_RSA_SHA256),
    ALGORITHM("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00", GNUTLS_SIGN_RSA_SHA384),
    ALGORITHM("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00", GNUTLS_SIGN_RSA_SHA512),
};

static int refuse(struct pc_reason *ret_reason, int result, const char *why)
{
    pc_base_reason(ret_reason, "certificate: %s", why);
    return result;
}

static int signed_key_parse(struct pc_bytes value, struct certificate *c, struct pc_reason *ret_reason)
{
    struct pc_reader outer, r;
    pc_base_reader_init(&outer, value.data, value.size);
    struct pc_bytes contents = pc_libp2p_der_read(&outer, PC_DER_SEQUENCE);
    pc_base_reader_init(&r, contents.data, contents.size);
    c->host_key = pc_libp2p_der_read(&r, PC_DER_OCTET_STRING);
    c->host_signature = pc_libp2p_der_read(&r, PC_DER_OCTET_STRING);
    if (!pc_libp2p_der_done(&outer) || !pc_libp2p_der_done(&r))
        return refuse(ret_reason, PEERCACHE_EPARSE, "malformed libp2p extension");
    return 0;
}

static int extensions_parse(struct pc_bytes extensions, struct certificate *c, struct pc_reason *ret_reason)
{
    const struct pc_bytes ours = pc_bytes_of(extension_oid, sizeof(extension_oid));
    bool found = false;
    struct pc_reader list, r;
    pc_base_reader_init(&list, extensions.data, extensions.size);
    while (pc_base_reader_left(&list) > 0) {
        struct pc_bytes contents = pc_libp2p_der_read(&list, PC_DER_SEQUENCE);
        pc_base_reader_init(&r, contents.data, contents.size);
        struct pc_bytes oid = pc_libp2p_der_read(&r, PC_DER_OID);
        bool critical = pc_libp2p_der_next_is(&r, PC_DER_BOOLEAN);
        if (critical) {
            /* FALSE is the default and so never written. */
            struct pc_bytes value = pc_libp2p_der_read(&r, PC_DER_BOOLEAN);
            if (value.size != 1 || value.data[0] != 0xff)
                return refuse(ret_reason, PEERCACHE_EPARSE, "malformed extension");
        }
        struct pc_bytes value = pc_libp2p_der_read(&r, PC_DER_OCTET_STRING);
        if (!pc_libp2p_der_done(&r))
            return refuse(ret_reason, PEERCACHE_EPARSE, "malformed extension");
        if (!pc_bytes_equal(oid, ours)) {
            if (critical)
                return refuse(ret_reason, PEERCACHE_EUNSUPPORTED, "an unknown critical extension");
            continue;
        }
        if (found)
            return refuse(ret_reason, PEERCACHE_EPARSE, "the libp2p extension stands twice");
        found = true;
        int parsed = signed_key_parse(value, c, ret_reason);
        if (parsed < 0)
            return parsed;
    }
    if (list.error)
        return refuse(ret_reason, PEERCACHE_EPARSE, "malformed extensions");
    if (!found)
        return refuse(ret_reason, PEERCACHE_EPARSE, "no libp2p extension");
    return 0;
}

/* [0] EXPLICIT INTEGER 2: version 3, the only one with extensions. */
static bool read_version_3(struct pc_reader *r)
{
    static const uint8_t version_3[] = { PC_DER_INTEGER, 1, 2 };
    struct pc_bytes version = pc_libp2p_der_read(r, PC_DER_CONTEXT_0);
    return pc_bytes_equal(version, pc_bytes_of(version_3, sizeof(version_3)));
}

static int tbs_parse(struct pc_bytes tbs, struct certificate *c, struct pc_reason *ret_reason)
{
    struct pc_reader r, validity;
    pc_base_reader_init(&r, tbs.data, tbs.size);
    if (!read_version_3(&r))
        return refuse(ret_reason, PEERCACHE_EPARSE, "not X.509 version 3");
    (void)pc_libp2p_der_read(&r, PC_DER_INTEGER); /* the serial number */
    struct pc_bytes algorithm = pc_libp2p_der_read_whole(&r, PC_DER_SEQUENCE);
    (void)pc_libp2p_der_read(&r, PC_DER_SEQUENCE); /* the issuer's name */
    struct pc_bytes times = pc_libp2p_der_read(&r, PC_DER_SEQUENCE);
    pc_base_reader_init(&validity, times.data, times.size);
    c->not_before_s = pc_libp2p_der_read_time(&validity);
    c->not_after_s = pc_libp2p_der_read_time(&validity);
    (void)pc_libp2p_der_read(&r, PC_DER_SEQUENCE); /* the subject's name */
    c->spki = pc_libp2p_der_read_whole(&r, PC_DER_SEQUENCE);
    if (r.error)
        return refuse(ret_reason, PEERCACHE_EPARSE, "malformed");
    if (!pc_libp2p_der_done(&validity))
        return refuse(ret_reason, PEERCACHE_EPARSE, "malformed validity time");
    if (!pc_bytes_equal(algorithm, c->algorithm))
        return refuse(ret_reason, PEERCACHE_EPARSE, "two different signature algorithms");
    if (pc_base_reader_left(&r) == 0)
        return refuse(ret_reason, PEERCACHE_EPARSE, "no libp2p extension");
    /* The unique ids, [1] and [2], would stand here; tls.md forbids them. */
    struct pc_bytes wrapped = pc_libp2p_der_read(&r, PC_DER_CONTEXT_3);
    if (!pc_libp2p_der_done(&r))
        return refuse(ret_reason, PEERCACHE_EPARSE, "malformed, or with a unique id");
    pc_base_reader_init(&r, wrapped.data, wrapped.size);
    struct pc_bytes extensions = pc_libp2p_der_read(&r, PC_DER_SEQUENCE);
    if (!pc_libp2p_der_done(&r))
        return refuse(ret_reason, PEERCACHE_EPARSE, "malformed extensions");
    return extensions_parse(extensions, c, ret_reason);
}

static int certificate_parse(struct pc_bytes der, struct certificate *c, struct pc_reason *ret_reason)
{
    struct pc_reader outer, r;
    pc_base_reader_init(&outer, der.data, der.size);
    struct pc_bytes contents = pc_libp2p_der_read(&outer, PC_DER_SEQUENCE);
    if (outer.error)
        return refuse(ret_reason, PEERCACHE_EPARSE, "malformed");
    if (!pc_libp2p_der_done(&outer))
        return refuse(ret_reason, PEERCACHE_EPARSE, "trailing bytes");
    pc_base_reader_init(&r, contents.data, contents.size);
    c->tbs = pc_libp2p_der_read_whole(&r, PC_DER_SEQUENCE);
    c->algorithm = pc_libp2p_der_read_whole(&r, PC_DER_SEQUENCE);
    c->signature = pc_libp2p_der_read_bits(&r);
    if (!pc_libp2p_der_done(&r))
        return refuse(ret_reason, PEERCACHE_EPARSE, "malformed");
    pc_base_reader_init(&r, c->tbs.data, c->tbs.size);
    return tbs_parse(pc_libp2p_der_read(&r, PC_DER_SEQUENCE), c, ret_reason);
}

static int self_signature_verify(const struct certificate *c, struct pc_reason *ret_reason)
{
    const struct algorithm *algorithm = NULL;
    gnutls_datum_t tbs = pc_libp2p_datum(c->tbs);
    gnutls_datum_t signature = pc_libp2p_datum(c->signature);
    gnutls_pubkey_t pubkey;
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
        if (pc_bytes_equal(c->algorithm, pc_bytes_of(algorithms[i].der, algorithms[i].size)))
            algorithm = &algorithms[i];
    if (!algorithm)
        return refuse(ret_reason, PEERCACHE_EUNSUPPORTED, "a signature algorithm that is not supported");
    int r = pc_libp2p_gnutls_result(gnutls_pubkey_init(&pubkey), PEERCACHE_ECRYPTO);
    if (r < 0)
        return refuse(ret_reason, r, "no memory to check it");
    r = pc_libp2p_pubkey_import(pubkey, c->spki);
    if (r < 0) {
        (void)refuse(ret_reason, r, "its key is malformed or not supported");
    } else {
        r = pc_libp2p_gnutls_result(gnutls_pubkey_verify_data2(pubkey, algorithm->sign, 0, &tbs, &signature),
                                    PEERCACHE_ECRYPTO);
        if (r < 0)
            (void)refuse(ret_reason, r, "its own signature does not hold");
    }
    gnutls_pubkey_deinit(pubkey);
    return r;
}

static int host_signature_verify(const struct certificate *c, struct pc_reason *ret_reason)
{
    uint8_t message[SIGNED_PREFIX_BYTES + SPKI_MAX_BYTES];
    struct pc_writer w;
    pc_base_writer_init(&w, message, sizeof(message));
    int r = signed_message(c->spki, &w);
    if (r < 0)
        return refuse(ret_reason, r, "its key is over the size limit");
    r = pc_libp2p_verify(c->host_key, pc_bytes_of(message, pc_base_writer_size(&w)), c->host_signature);
    if (r == PEERCACHE_ECRYPTO)
        return refuse(ret_reason, r, "the host key's signature does not hold");
    if (r < 0)
        return refuse(ret_reason, r, "its host key is malformed or not supported");
    return 0;
}

int pc_libp2p_certificate_verify(struct pc_bytes der, int64_t wall_ms, struct pc_peer_id *ret_id,
                                 struct pc_reason *ret_reason)
{
    struct certificate c = { .not_before_s = 0 };
    if (der.size > PC_CERTIFICATE_MAX_BYTES)
        return refuse(ret_reason, PEERCACHE_ELIMIT, "over the size limit");
    int r = certificate_parse(der, &c, ret_reason);
    if (r < 0)
        return r;
    /* Both ends are included, and the last second is whole. The years have four digits: no overflow. */
    if (wall_ms < c.not_before_s * 1000)
        return refuse(ret_reason, PEERCACHE_ECRYPTO, "not yet valid");
    if (wall_ms >= (c.not_after_s + 1) * 1000)
        return refuse(ret_reason, PEERCACHE_ECRYPTO, "expired");
    r = self_signature_verify(&c, ret_reason);
    if (r < 0)
        return r;
    r = host_signature_verify(&c, ret_reason);
    if (r < 0)
        return r;
    r = pc_addr_peer_id_from_public_key(c.host_key, ret_id);
    if (r < 0)
        return refuse(ret_reason, r, "its host key has no peer id");
    return 0;
}
