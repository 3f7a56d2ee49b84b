/*
 * One GET over HTTP or HTTPS, with libcurl on the loop. It fetches and says what came of it; what that means for the
 * endpoint is for others to decide.
 *
 * - Names are resolved by our own resolver (resolve.h), never by libcurl: libcurl's thread would have to be waited for
 *   when a fetch is cancelled.
 * - Only http and https, HTTP/1.1. A redirect is a new request of ours, so that each hop is checked: at most
 *   PC_DRIVER_FETCH_REDIRECTS_MAX, never from https to http, to another scheme or with a password in it.
 * - Certificates and their names are verified, from TLS 1.2 on. GnuTLS reads the trusted certificates anew for each
 *   handshake, on the loop's thread, which is held up for it: about 26 ms for the 144 of Debian. So the endpoints have it on
 *   a loop of its own (fetch_thread.h).
 * - No proxy, whatever the environment says; no .netrc, no cookies, no cache, no HSTS file, no signals. Of the
 *   environment only SSLKEYLOGFILE is heeded (by libcurl) and what resolve.h names.
 * - An answer is decompressed (what libcurl can, gzip and deflate are offered) and counted as it comes, before and after.
 *   A gzip stream that ends early within a whole HTTP body goes unnoticed: whoever reads the text notices.
 */
#ifndef PC_DRIVER_FETCH_H
#define PC_DRIVER_FETCH_H

#include "base/bytes.h"
#include "driver/resolve.h"

#include <uv.h>

#define PC_DRIVER_FETCHES_MAX            16    /* under way at once, of one fetcher */
#define PC_DRIVER_FETCH_DEADLINE_MS      10000 /* the usual one */
#define PC_DRIVER_FETCH_BODY_MAX_BYTES   (4 * 1024 * 1024)
#define PC_DRIVER_FETCH_HEADER_MAX_BYTES (64 * 1024) /* all headers of one answer */
#define PC_DRIVER_FETCH_REDIRECTS_MAX    3
#define PC_DRIVER_FETCH_URL_MAX_BYTES    2048
#define PC_DRIVER_FETCH_FIELD_BYTES                                                                          \
    256 /* of an ETag, a date, a type, with the NUL; longer: as if it was not there */

enum pc_driver_fetch_kind {
    PC_DRIVER_FETCH_OK,           /* 200, with a body, which may be empty */
    PC_DRIVER_FETCH_NOT_MODIFIED, /* 304, after a condition was sent */
    PC_DRIVER_FETCH_HTTP_ERROR,   /* any other status that is no redirect */
    PC_DRIVER_FETCH_TIMEOUT,      /* the deadline passed */
    PC_DRIVER_FETCH_REFUSED,      /* the connection was refused */
    PC_DRIVER_FETCH_NO_ROUTE, /* it is known here that there is no way: no network, no address, not allowed */
    PC_DRIVER_FETCH_UNREACHABLE, /* somebody on the way says so, or a neighbour is silent */
    PC_DRIVER_FETCH_DNS_FAILED,  /* the name was not resolved */
    PC_DRIVER_FETCH_TLS_FAILED,  /* no TLS, or a certificate that is not good for this name, or not now */
    PC_DRIVER_FETCH_TOO_LARGE,   /* over a limit of bytes, compressed or not, or of headers */
    PC_DRIVER_FETCH_REDIRECT_REFUSED, /* too many, or to where none may lead */
    PC_DRIVER_FETCH_BROKEN,           /* cut off, or not HTTP */
    PC_DRIVER_FETCH_BAD_URL,          /* nothing was sent */
    PC_DRIVER_FETCH_FAILED, /* no means here: memory, descriptors, the file of trusted certificates */
    PC_DRIVER_FETCH_CANCELLED,
};
#define PC_DRIVER_FETCH_KINDS (PC_DRIVER_FETCH_CANCELLED + 1)
/* "ok", "not_modified", … as in reports. */
const char *pc_driver_fetch_kind_name(enum pc_driver_fetch_kind kind);

#define PC_DRIVER_FETCH_NO_DATE INT64_MIN

struct pc_driver_fetch_request {
    const char *url;
    /* What an earlier answer gave as `etag` and `last_modified`; NULL or "": not sent, nor what no header may hold. */
    const char *etag;
    const char *last_modified;
    int64_t deadline_ms; /* of it all: names, redirects, the body */
};

struct pc_driver_fetched {
    enum pc_driver_fetch_kind kind;
    enum pc_driver_resolve_kind dns_kind; /* why DNS_FAILED, else OK */
    int status;                           /* of HTTP, of the last answer; 0: none came */
    unsigned redirects;                   /* followed */
    struct pc_bytes body;                 /* OK; else empty */
    /* Of the last answer, "" when it had none. */
    const char *etag;
    const char *last_modified;
    const char *content_type;
    int64_t date_ms;     /* of its Date header, wall time; PC_DRIVER_FETCH_NO_DATE: none that can be read */
    int64_t date_ago_us; /* how long before `done` that header came */
    int64_t elapsed_us;  /* from the start to the end */
    struct pc_reason detail; /* "" when OK or NOT_MODIFIED */
};

struct pc_driver_fetcher;
struct pc_driver_fetch;

/* On the loop's thread, once a fetch, never within start or cancel. The fetch is gone then, and what `fetched` points to
 * goes after the call. */
typedef void (*pc_driver_fetch_done)(void *context, const struct pc_driver_fetched *fetched);

/* Loop and resolver are borrowed. `ca_file`: trust what the certificates in it (PEM) have signed, and nothing else;
 * NULL: what the system trusts. ENOMEM; EIO: libcurl cannot be set up. */
int pc_driver_fetcher_new(uv_loop_t *loop, struct pc_driver_resolver *resolver, const char *ca_file,
                          struct pc_driver_fetcher **ret_fetcher);
/* What the request points to is copied. A bad URL is an answer too. ENOMEM; ELIMIT: too many under way. After a failure
 * `done` is not called. */
int pc_driver_fetch_start(struct pc_driver_fetcher *fetcher, const struct pc_driver_fetch_request *request,
                          pc_driver_fetch_done done, void *context, struct pc_driver_fetch **ret_fetch);
/* Stop it; `done` follows with CANCELLED, or with the answer if that was there already. */
void pc_driver_fetch_cancel(struct pc_driver_fetch *fetch);
/* Cancel all and free it; before the resolver is closed. The loop must run until each `done` was called; none may start
 * another. NULL does nothing. */
void pc_driver_fetcher_close(struct pc_driver_fetcher *fetcher);

#endif
