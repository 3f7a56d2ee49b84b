/*
 * All that differs between ngtcp2 0.12 and 1.x, so that the other files of the room build with both. They use
 * only the names that are the same in both, and those given here.
 */
#ifndef PC_LIBP2P_NGTCP2_COMPAT_H
#define PC_LIBP2P_NGTCP2_COMPAT_H

#include "base/bytes.h"

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#if NGTCP2_VERSION_NUM >= 0x010000

typedef ngtcp2_ccerr pc_quic_close;
typedef ngtcp2_encryption_level pc_quic_level;
#define PC_QUIC_LEVEL_APPLICATION NGTCP2_ENCRYPTION_LEVEL_1RTT
typedef ngtcp2_connection_id_status_type pc_quic_cid_status;

static inline void pc_quic_close_application(pc_quic_close *close, uint64_t code)
{
    ngtcp2_ccerr_default(close);
    ngtcp2_ccerr_set_application_error(close, code, NULL, 0);
}

static inline void pc_quic_close_library(pc_quic_close *close, int result)
{
    ngtcp2_ccerr_default(close);
    ngtcp2_ccerr_set_liberr(close, result, NULL, 0);
}

static inline void pc_quic_close_alert(pc_quic_close *close, uint8_t alert)
{
    ngtcp2_ccerr_default(close);
    ngtcp2_ccerr_set_tls_alert(close, alert, NULL, 0);
}

/* Why the peer closed. */
static inline void pc_quic_peer_close(ngtcp2_conn *quic, bool *ret_application, uint64_t *ret_code)
{
    const ngtcp2_ccerr *close = ngtcp2_conn_get_ccerr(quic);
    *ret_application = close->type == NGTCP2_CCERR_TYPE_APPLICATION;
    *ret_code = close->error_code;
}

/* Without this flag the server is refused only at run time. */
static inline void pc_quic_set_original_dcid(ngtcp2_transport_params *params, const ngtcp2_cid *dcid)
{
    params->original_dcid = *dcid;
    params->original_dcid_present = 1;
}

/* The token of a client's Initial; empty when it has none. */
static inline struct pc_bytes pc_quic_token(const ngtcp2_pkt_hd *header)
{
    return pc_bytes_of(header->token, header->tokenlen);
}

/* Server: the client's token is that of our Retry. */
static inline void pc_quic_set_retry_token(ngtcp2_settings *settings, struct pc_bytes token)
{
    settings->token = token.data;
    settings->tokenlen = token.size;
    settings->token_type = NGTCP2_TOKEN_TYPE_RETRY;
}

static inline int pc_quic_stream_shutdown(ngtcp2_conn *quic, int64_t id, uint64_t code)
{
    return ngtcp2_conn_shutdown_stream(quic, 0, id, code);
}

static inline int64_t pc_quic_smoothed_rtt_us(ngtcp2_conn *quic)
{
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info(quic, &info);
    return (int64_t)(info.smoothed_rtt / NGTCP2_MICROSECONDS);
}

/* 0: none. */
static inline void pc_quic_set_keep_alive(ngtcp2_conn *quic, ngtcp2_duration after)
{
    ngtcp2_conn_set_keep_alive_timeout(quic, after > 0 ? after : UINT64_MAX);
}

#else

typedef ngtcp2_connection_close_error pc_quic_close;
typedef ngtcp2_crypto_level pc_quic_level;
#define PC_QUIC_LEVEL_APPLICATION NGTCP2_CRYPTO_LEVEL_APPLICATION
typedef int pc_quic_cid_status;

static inline void pc_quic_close_application(pc_quic_close *close, uint64_t code)
{
    ngtcp2_connection_close_error_default(close);
    ngtcp2_connection_close_error_set_application_error(close, code, NULL, 0);
}

static inline void pc_quic_close_library(pc_quic_close *close, int result)
{
    ngtcp2_connection_close_error_default(close);
    ngtcp2_connection_close_error_set_transport_error_liberr(close, result, NULL, 0);
}

static inline void pc_quic_close_alert(pc_quic_close *close, uint8_t alert)
{
    ngtcp2_connection_close_error_default(close);
    ngtcp2_connection_close_error_set_transport_error_tls_alert(close, alert, NULL, 0);
}

static inline void pc_quic_peer_close(ngtcp2_conn *quic, bool *ret_application, uint64_t *ret_code)
{
    ngtcp2_connection_close_error close;
    ngtcp2_conn_get_connection_close_error(quic, &close);
    *ret_application = close.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION;
    *ret_code = close.error_code;
}

static inline void pc_quic_set_original_dcid(ngtcp2_transport_params *params, const ngtcp2_cid *dcid)
{
    params->original_dcid = *dcid;
}

static inline struct pc_bytes pc_quic_token(const ngtcp2_pkt_hd *header)
{
    return pc_bytes_of(header->token.base, header->token.len);
}

static inline void pc_quic_set_retry_token(ngtcp2_settings *settings, struct pc_bytes token)
{
    settings->token.base = (uint8_t *)(uintptr_t)token.data; /* it is copied, and not written to */
    settings->token.len = token.size;
}

static inline int pc_quic_stream_shutdown(ngtcp2_conn *quic, int64_t id, uint64_t code)
{
    return ngtcp2_conn_shutdown_stream(quic, id, code);
}

static inline int64_t pc_quic_smoothed_rtt_us(ngtcp2_conn *quic)
{
    ngtcp2_conn_stat stat;
    ngtcp2_conn_get_conn_stat(quic, &stat);
    return (int64_t)(stat.smoothed_rtt / NGTCP2_MICROSECONDS);
}

static inline void pc_quic_set_keep_alive(ngtcp2_conn *quic, ngtcp2_duration after)
{
    ngtcp2_conn_set_keep_alive_timeout(quic, after);
}

#endif

#endif
