/*
 * The TLS session of a connection (libp2p/specs tls): TLS 1.3 only, both sides show one self-signed
 * certificate, ALPN "libp2p". GnuTLS fails open: without a verify function any certificate would do, and
 * without ALPN offered by the client none is asked for. So the verify function is always set and checks all,
 * and pc_libp2p_tls_accepted() looks again whether it ran.
 */
#include "libp2p/connection.h"

#include <string.h>

static ngtcp2_conn *get_quic(ngtcp2_crypto_conn_ref *reference)
{
    struct pc_connection *connection = reference->user_data;
    return connection->quic;
}

static bool alpn_is_libp2p(gnutls_session_t tls)
{
    gnutls_datum_t selected;
    return gnutls_alpn_get_selected_protocol(tls, &selected) == 0 && selected.size == 6 &&
           memcmp(selected.data, "libp2p", 6) == 0;
}

/* Called when the peer's CertificateVerify has been checked: it holds the key of the certificate. */
static int verify(gnutls_session_t tls)
{
    ngtcp2_crypto_conn_ref *reference = gnutls_session_get_ptr(tls);
    struct pc_connection *connection = reference->user_data;
    struct pc_peer_id id;
    struct pc_reason reason = { "" };
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(tls, &count);
    if (!chain || count != 1) {
        pc_libp2p_connection_condemn(connection, PEERCACHE_TLS_FAILED, "%u certificates instead of one",
                                     chain ? count : 0);
        return GNUTLS_E_CERTIFICATE_ERROR;
    }
    if (!alpn_is_libp2p(tls)) {
        pc_libp2p_connection_condemn(connection, PEERCACHE_TLS_FAILED, "the peer does not speak ALPN libp2p");
        return GNUTLS_E_NO_APPLICATION_PROTOCOL;
    }
    if (pc_libp2p_certificate_verify(pc_bytes_of(chain[0].data, chain[0].size), connection->host->now.wall_ms,
                                     &id, &reason)) {
        pc_libp2p_connection_condemn(connection, PEERCACHE_TLS_FAILED, "certificate: %s", reason.text);
        return GNUTLS_E_CERTIFICATE_ERROR;
    }
    connection->id = id;
    if (connection->expected.size > 0 && !pc_addr_peer_id_equal(&connection->expected, &id)) {
        char expected[PC_PEER_ID_TEXT_BYTES];
        char proven[PC_PEER_ID_TEXT_BYTES];
        pc_addr_peer_id_format(&connection->expected, expected);
        pc_addr_peer_id_format(&id, proven);
        pc_libp2p_connection_condemn(connection, PEERCACHE_WRONG_IDENTITY, "dialled %s, reached %s", expected,
                                     proven);
        return GNUTLS_E_CERTIFICATE_ERROR;
    }
    return 0;
}

bool pc_libp2p_tls_accepted(struct pc_connection *connection)
{
    if (!connection->condemned && (connection->id.size == 0 || !alpn_is_libp2p(connection->tls)))
        pc_libp2p_connection_condemn(connection, PEERCACHE_TLS_FAILED, "the peer proved no identity");
    return !connection->condemned;
}

int pc_libp2p_tls_new(struct pc_connection *connection)
{
    static const gnutls_datum_t alpn = { (unsigned char *)(uintptr_t) "libp2p", 6 };
    struct pc_libp2p_host *host = connection->host;
    unsigned role = connection->inbound ? GNUTLS_SERVER : GNUTLS_CLIENT;
    if (gnutls_init(&connection->tls,
                    role | GNUTLS_NO_TICKETS | GNUTLS_NO_END_OF_EARLY_DATA | GNUTLS_NONBLOCK)) {
        connection->tls = NULL;
        return PEERCACHE_ENOMEM;
    }
    gnutls_session_t tls = connection->tls;
    connection->reference = (ngtcp2_crypto_conn_ref){ get_quic, connection };
    if (gnutls_priority_set(tls, host->priority) ||
        (connection->inbound ? ngtcp2_crypto_gnutls_configure_server_session(tls)
                             : ngtcp2_crypto_gnutls_configure_client_session(tls)))
        return PEERCACHE_ENOMEM;
    gnutls_session_set_ptr(tls, &connection->reference);
    if (gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE,
                               pc_libp2p_identity_credentials(host->options.identity)) ||
        gnutls_alpn_set_protocols(tls, &alpn, 1, GNUTLS_ALPN_MANDATORY))
        return PEERCACHE_ENOMEM;
    gnutls_session_set_verify_function(tls, verify);
    if (connection->inbound)
        gnutls_certificate_server_set_request(tls, GNUTLS_CERT_REQUIRE);
    ngtcp2_conn_set_tls_native_handle(connection->quic, tls);
    return 0;
}
