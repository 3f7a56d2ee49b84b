#include "libp2p/identity.h"

#include "libp2p/certificate.h"

#include <stdlib.h>

struct pc_identity {
    struct pc_host_key key;
    struct pc_peer_id id;
    gnutls_datum_t certificate; /* DER */
    gnutls_certificate_credentials_t credentials;
};

/* Put certificate and key into credentials, and the DER beside them. */
static int credentials_fill(struct pc_identity *identity, gnutls_x509_crt_t certificate,
                            gnutls_x509_privkey_t key)
{
    int r = gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_DER, &identity->certificate);
    if (r >= 0)
        r = gnutls_certificate_allocate_credentials(&identity->credentials);
    if (r >= 0)
        r = gnutls_certificate_set_x509_key(identity->credentials, &certificate, 1, key);
    return pc_libp2p_gnutls_result(r, PEERCACHE_ECRYPTO);
}

static int certificate_make(struct pc_identity *identity, int64_t wall_ms, struct pc_reason *ret_reason)
{
    gnutls_x509_crt_t certificate;
    gnutls_x509_privkey_t key;
    struct pc_peer_id proven;
    int r = pc_libp2p_certificate_new(&identity->key, wall_ms, &certificate, &key);
    if (r < 0) {
        pc_base_reason(ret_reason, "the certificate could not be made: %s",
                       r == PEERCACHE_EINVAL ? "the wall clock is out of range" : peercache_strerror(r));
        return r;
    }
    r = credentials_fill(identity, certificate, key);
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
    if (r < 0) {
        pc_base_reason(ret_reason, "the certificate could not be used: %s", peercache_strerror(r));
        return r;
    }
    /* A host key whose halves do not belong together shows here, and not first at every peer. */
    r = pc_libp2p_certificate_verify(pc_libp2p_identity_certificate(identity), wall_ms, &proven, ret_reason);
    if (r < 0)
        return r;
    if (!pc_addr_peer_id_equal(&proven, &identity->id)) {
        pc_base_reason(ret_reason, "the certificate proves another peer id");
        return PEERCACHE_ECRYPTO;
    }
    return 0;
}

int pc_libp2p_identity_new(struct pc_bytes private_key, int64_t wall_ms, struct pc_identity **ret_identity,
                           struct pc_reason *ret_reason)
{
    struct pc_identity *identity = calloc(1, sizeof(*identity));
    if (!identity) {
        pc_base_reason(ret_reason, "no memory for an identity");
        return PEERCACHE_ENOMEM;
    }
    int r = pc_libp2p_host_key_init(private_key, &identity->key, ret_reason);
    if (r < 0)
        goto free_identity;
    r = pc_addr_peer_id_from_public_key(pc_libp2p_host_key_public(&identity->key), &identity->id);
    if (r < 0) {
        pc_base_reason(ret_reason, "the key has no peer id");
        goto free_identity;
    }
    r = certificate_make(identity, wall_ms, ret_reason);
    if (r < 0)
        goto free_identity;
    *ret_identity = identity;
    return 0;
free_identity:
    pc_libp2p_identity_free(identity);
    return r;
}

void pc_libp2p_identity_free(struct pc_identity *identity)
{
    if (!identity)
        return;
    if (identity->credentials)
        gnutls_certificate_free_credentials(identity->credentials);
    gnutls_free(identity->certificate.data);
    pc_libp2p_host_key_deinit(&identity->key);
    free(identity);
}

const struct pc_peer_id *pc_libp2p_identity_id(const struct pc_identity *identity)
{
    return &identity->id;
}

struct pc_bytes pc_libp2p_identity_public_key(const struct pc_identity *identity)
{
    return pc_libp2p_host_key_public(&identity->key);
}

void *pc_libp2p_identity_credentials(const struct pc_identity *identity)
{
    return identity->credentials;
}

struct pc_bytes pc_libp2p_identity_certificate(const struct pc_identity *identity)
{
    return pc_bytes_of(identity->certificate.data, identity->certificate.size);
}

int pc_libp2p_identity_sign(const struct pc_identity *identity, struct pc_bytes message,
                            uint8_t *ret_signature, size_t capacity, size_t *ret_size)
{
    return pc_libp2p_host_key_sign(&identity->key, message, ret_signature, capacity, ret_size);
}
