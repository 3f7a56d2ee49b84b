/*
 * peercache: the values that both libraries share.
 *
 * Results: every function that can fail returns 0 or a negative PEERCACHE_E… of the list below.
 * Outcomes: what became of a dial is one of a closed list, PEERCACHE_OK to PEERCACHE_CANCELLED.
 * Time is always given by the caller, never read.
 */
#ifndef PEERCACHE_TYPES_H
#define PEERCACHE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define PEERCACHE_API __attribute__((visibility("default")))
#else
#define PEERCACHE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* name, number, text. Numbers never change once released. */
#define PEERCACHE_ERROR_LIST(X)                                                                              \
    X(PEERCACHE_EINVAL, -1, "invalid argument")                                                              \
    X(PEERCACHE_ENOMEM, -2, "out of memory")                                                                 \
    X(PEERCACHE_EPARSE, -3, "malformed input")                                                               \
    X(PEERCACHE_ELIMIT, -4, "over a limit")                                                                  \
    X(PEERCACHE_ENOTFOUND, -5, "not found")                                                                  \
    X(PEERCACHE_EIO, -6, "input or output failed")                                                           \
    X(PEERCACHE_EBUSY, -7, "a lock was held too long")                                                       \
    X(PEERCACHE_EREADONLY, -8, "read-only")                                                                  \
    X(PEERCACHE_ECORRUPT, -9, "corrupt")                                                                     \
    X(PEERCACHE_EFORMAT, -10, "a file of another kind")                                                      \
    X(PEERCACHE_ENETWORK, -11, "a cache of another network")                                                 \
    X(PEERCACHE_EVERSION, -12, "written by a newer version")                                                 \
    X(PEERCACHE_EFULL, -13, "no space left")                                                                 \
    X(PEERCACHE_EPERM, -14, "permission denied")                                                             \
    X(PEERCACHE_ECRYPTO, -15, "cryptographic check failed")                                                  \
    X(PEERCACHE_EPROTO, -16, "the peer broke the protocol")                                                  \
    X(PEERCACHE_EUNSUPPORTED, -17, "not supported")                                                          \
    X(PEERCACHE_ESTATE, -18, "not possible in this state")

typedef enum peercache_error {
#define PEERCACHE_X(name, number, text) name = (number),
    PEERCACHE_ERROR_LIST(PEERCACHE_X)
#undef PEERCACHE_X
} peercache_error;

/* The text of a result code, 0 included; "unknown error" for any other number. Never NULL, never freed. */
PEERCACHE_API const char *peercache_strerror(int result);

/*
 * What became of a dial: name, word (the `code` of every failure in JSON).
 * TIMEOUT silent until the deadline; REFUSED the host said that nothing listens; UNREACHABLE no way there;
 * TLS_FAILED no ALPN, or no, bad or expired certificate; WRONG_IDENTITY another peer id than the one dialled;
 * PROTOCOL_MISMATCH identify does not show our network's protocol; MISBEHAVED broke a protocol or a limit;
 * DNS_FAILED a name did not resolve; UNSUPPORTED an address we cannot dial; DENIED forbidden by
 * configuration; CANCELLED given up by us, says nothing of the peer.
 */
#define PEERCACHE_OUTCOME_LIST(X)                                                                            \
    X(PEERCACHE_OK, "ok")                                                                                    \
    X(PEERCACHE_TIMEOUT, "timeout")                                                                          \
    X(PEERCACHE_REFUSED, "refused")                                                                          \
    X(PEERCACHE_UNREACHABLE, "unreachable")                                                                  \
    X(PEERCACHE_TLS_FAILED, "tls_failed")                                                                    \
    X(PEERCACHE_WRONG_IDENTITY, "wrong_identity")                                                            \
    X(PEERCACHE_PROTOCOL_MISMATCH, "protocol_mismatch")                                                      \
    X(PEERCACHE_MISBEHAVED, "misbehaved")                                                                    \
    X(PEERCACHE_DNS_FAILED, "dns_failed")                                                                    \
    X(PEERCACHE_UNSUPPORTED, "unsupported")                                                                  \
    X(PEERCACHE_DENIED, "denied")                                                                            \
    X(PEERCACHE_CANCELLED, "cancelled")

typedef enum peercache_outcome {
#define PEERCACHE_X(name, word) name,
    PEERCACHE_OUTCOME_LIST(PEERCACHE_X)
#undef PEERCACHE_X
        PEERCACHE_OUTCOME_COUNT
} peercache_outcome;

PEERCACHE_API const char *peercache_outcome_name(peercache_outcome outcome);

/* How we first learnt of an address. */
#define PEERCACHE_SOURCE_LIST(X)                                                                             \
    X(PEERCACHE_SOURCE_FLAG, "flag")                                                                         \
    X(PEERCACHE_SOURCE_ENV, "env")                                                                           \
    X(PEERCACHE_SOURCE_ENDPOINT, "endpoint")                                                                 \
    X(PEERCACHE_SOURCE_DHT, "dht")                                                                           \
    X(PEERCACHE_SOURCE_IMPORT, "import")                                                                     \
    X(PEERCACHE_SOURCE_INBOUND, "inbound")

typedef enum peercache_source {
#define PEERCACHE_X(name, word) name,
    PEERCACHE_SOURCE_LIST(PEERCACHE_X)
#undef PEERCACHE_X
        PEERCACHE_SOURCE_COUNT
} peercache_source;

PEERCACHE_API const char *peercache_source_name(peercache_source source);

/* Where one dial's candidate came from this time. */
#define PEERCACHE_VIA_LIST(X)                                                                                \
    X(PEERCACHE_VIA_FLAG, "flag")                                                                            \
    X(PEERCACHE_VIA_ENV, "env")                                                                              \
    X(PEERCACHE_VIA_CACHE, "cache")                                                                          \
    X(PEERCACHE_VIA_ENDPOINT, "endpoint")                                                                    \
    X(PEERCACHE_VIA_DHT, "dht")

typedef enum peercache_via {
#define PEERCACHE_X(name, word) name,
    PEERCACHE_VIA_LIST(PEERCACHE_X)
#undef PEERCACHE_X
        PEERCACHE_VIA_COUNT
} peercache_via;

PEERCACHE_API const char *peercache_via_name(peercache_via via);

/*
 * How a fetch of an endpoint ended: name, word. NO_ROUTE and CANCELLED say nothing of the endpoint; TIMEOUT and
 * DNS_FAILED do only while something else answers.
 * OK an answer of a known format, which may have no usable peer; NOT_MODIFIED what it gave before still holds;
 * HTTP_ERROR a status other than success, or a forbidden redirect; RUBBISH no known format, cut short, too
 * large; WRONG_NETWORK peers of another network.
 */
#define PEERCACHE_FETCH_LIST(X)                                                                              \
    X(PEERCACHE_FETCH_OK, "ok")                                                                              \
    X(PEERCACHE_FETCH_NOT_MODIFIED, "not_modified")                                                          \
    X(PEERCACHE_FETCH_HTTP_ERROR, "http_error")                                                              \
    X(PEERCACHE_FETCH_RUBBISH, "rubbish")                                                                    \
    X(PEERCACHE_FETCH_WRONG_NETWORK, "wrong_network")                                                        \
    X(PEERCACHE_FETCH_TLS_FAILED, "tls_failed")                                                              \
    X(PEERCACHE_FETCH_REFUSED, "refused")                                                                    \
    X(PEERCACHE_FETCH_TIMEOUT, "timeout")                                                                    \
    X(PEERCACHE_FETCH_DNS_FAILED, "dns_failed")                                                              \
    X(PEERCACHE_FETCH_NO_ROUTE, "no_route")                                                                  \
    X(PEERCACHE_FETCH_CANCELLED, "cancelled")

typedef enum peercache_fetch {
#define PEERCACHE_X(name, word) name,
    PEERCACHE_FETCH_LIST(PEERCACHE_X)
#undef PEERCACHE_X
        PEERCACHE_FETCH_COUNT
} peercache_fetch;

PEERCACHE_API const char *peercache_fetch_name(peercache_fetch fetch);

/* The table a peer is in: heard of, or verified with a place won. */
#define PEERCACHE_STATE_LIST(X)                                                                              \
    X(PEERCACHE_NEW, "new")                                                                                  \
    X(PEERCACHE_TRIED, "tried")

typedef enum peercache_state {
#define PEERCACHE_X(name, word) name,
    PEERCACHE_STATE_LIST(PEERCACHE_X)
#undef PEERCACHE_X
        PEERCACHE_STATE_COUNT
} peercache_state;

PEERCACHE_API const char *peercache_state_name(peercache_state state);

/* Transports and families of addresses, as bits. */
enum {
    PEERCACHE_TRANSPORT_QUIC_V1 = 1,
    PEERCACHE_TRANSPORT_QUIC = 2, /* the draft before version 1 */
    PEERCACHE_TRANSPORT_TCP = 4,
    PEERCACHE_TRANSPORT_WEBSOCKET = 8, /* ws, wss */
    PEERCACHE_TRANSPORT_WEBTRANSPORT = 16,
    PEERCACHE_TRANSPORT_WEBRTC = 32,
    PEERCACHE_TRANSPORT_OTHER = 64,
    PEERCACHE_TRANSPORT_ANY = 127
};
enum {
    PEERCACHE_FAMILY_IP4 = 1,
    PEERCACHE_FAMILY_IP6 = 2,
    PEERCACHE_FAMILY_DNS = 4,
    PEERCACHE_FAMILY_OTHER = 8,
    PEERCACHE_FAMILY_ANY = 15
};

/* Whom prune removes, as bits. */
enum {
    /* A failure, and not more successes than failures (the seed's rule); one never dialled is not unreliable. */
    PEERCACHE_PRUNE_UNRELIABLE = 1,
    /* Not seen for the retention time. */
    PEERCACHE_PRUNE_STALE = 2,
    /* Over the room of their bucket or of the whole (when the caps were lowered): the least of them. */
    PEERCACHE_PRUNE_CAPACITY = 4,
    PEERCACHE_PRUNE_ALL = 7
};

/*
 * One moment on two clocks. wall_ms: milliseconds since 1970 UTC, may jump. mono_us: microseconds of a clock
 * that does not, from any origin. A value older than one given before is taken as that one; it never aborts.
 */
typedef struct peercache_time {
    int64_t wall_ms;
    int64_t mono_us;
} peercache_time;

/* Bounds of the texts that the libraries hand out, the closing NUL included. */
#define PEERCACHE_ADDR_TEXT_BYTES    512
#define PEERCACHE_PEER_ID_TEXT_BYTES 72
#define PEERCACHE_DETAIL_BYTES       192

/* Addresses of a peer that are remembered; the least useful gives way. */
#define PEERCACHE_ADDRS_PER_PEER 8

#ifdef __cplusplus
}
#endif
#endif
