/*
 * Names to addresses and texts, with c-ares on the loop: no thread, and nothing that waits for a name server.
 * Names are complete as they stand: no search domain is put behind them, no alias before; localhost is ourselves. /etc/hosts comes
 * before the name servers, those of /etc/resolv.conf or the one given; both files are read anew, on the loop's
 * thread, for every question, so that a change of network needs no telling. Of the environment c-ares heeds
 * RES_OPTIONS. Other sources of the C library (mDNS, nss modules) are not asked.
 */
#ifndef PC_DRIVER_RESOLVE_H
#define PC_DRIVER_RESOLVE_H

#include "addr/multiaddr.h"
#include "base/bytes.h"

#include <uv.h>

#define PC_DRIVER_RESOLVE_QUERIES_MAX    64   /* under way at once, of one resolver */
#define PC_DRIVER_RESOLVE_NAME_MAX       254  /* with a closing dot */
#define PC_DRIVER_RESOLVE_FAMILY_MAX     8    /* addresses of each family in an answer */
#define PC_DRIVER_RESOLVE_TEXTS_MAX      64   /* texts in an answer */
#define PC_DRIVER_RESOLVE_TEXT_MAX_BYTES 1024 /* of one text; a longer one is no address */
/* Once one family has addresses, the other has this long: name servers that are silent on AAAA are many. */
#define PC_DRIVER_RESOLVE_GRACE_MS 300

enum pc_driver_resolve_what {
    PC_DRIVER_RESOLVE_IP,  /* A and AAAA */
    PC_DRIVER_RESOLVE_IP4, /* A */
    PC_DRIVER_RESOLVE_IP6, /* AAAA */
    PC_DRIVER_RESOLVE_TXT,
};

enum pc_driver_resolve_kind {
    PC_DRIVER_RESOLVE_OK,        /* at least one address or text */
    PC_DRIVER_RESOLVE_NOT_FOUND, /* no such name, or it has nothing of what was asked */
    PC_DRIVER_RESOLVE_TIMEOUT,   /* the name servers were silent */
    PC_DRIVER_RESOLVE_REFUSED,   /* the name servers refused the question, or none could be reached */
    PC_DRIVER_RESOLVE_FAILED,    /* a broken answer, SERVFAIL, no name at all, or no means here */
    PC_DRIVER_RESOLVE_CANCELLED,
};

struct pc_driver_resolved {
    enum pc_driver_resolve_kind kind;
    const struct pc_ip_port *addresses; /* OK, port 0; IPv6 first */
    size_t address_count;
    const char *const *texts; /* OK, of TXT: each record's strings joined */
    size_t text_count;
    size_t left_out; /* addresses and texts beyond the limits, and texts with a NUL byte */
    int64_t elapsed_us;
    struct pc_reason detail; /* "" when OK */
};

struct pc_driver_resolver;
struct pc_driver_query;

/* The address of a name server, "192.0.2.1", "192.0.2.1:5353" or "[2001:db8::1]:5353", no name; the port is 53 when none
 * is given. EPARSE with the reason. */
int pc_driver_resolver_server_parse(const char *text, struct pc_ip_port *ret_server,
                                    struct pc_reason *ret_reason);

/* On the loop's thread, once a query, never within resolve or cancel. The query is gone then, and what `resolved`
 * points to goes after the call. */
typedef void (*pc_driver_resolve_done)(void *context, const struct pc_driver_resolved *resolved);

/* `server`: the one name server to ask, as above; NULL: those of the system. The loop is borrowed. EPARSE, ENOMEM. */
int pc_driver_resolver_new(uv_loop_t *loop, const char *server, struct pc_driver_resolver **ret_resolver,
                           struct pc_reason *ret_reason);
/* Ask. A name that is none is an answer too: FAILED. ENOMEM; ELIMIT: too many under way. After a failure `done` is
 * not called. */
int pc_driver_resolve(struct pc_driver_resolver *resolver, enum pc_driver_resolve_what what, const char *name,
                      int64_t deadline_ms, pc_driver_resolve_done done, void *context,
                      struct pc_driver_query **ret_query);
/* Ask no more; `done` follows with CANCELLED, or with the answer if that was there already. */
void pc_driver_resolve_cancel(struct pc_driver_query *query);
/* Cancel all and free it. The loop must run until each `done` was called; none may ask anew. NULL does nothing. */
void pc_driver_resolver_close(struct pc_driver_resolver *resolver);

#endif
