/*
 * One request and its answer: what libcurl is told, and what is noted of what it says. A fetch is one such hop, and one
 * more for each redirect. libcurl calls back in the midst of its work, so nothing here ends anything: it stops the
 * transfer, and the verdict is asked for once libcurl has returned.
 */
#ifndef PC_DRIVER_FETCH_HOP_H
#define PC_DRIVER_FETCH_HOP_H

#include "driver/fetch.h"
#include "driver/fetch_url.h"

#include <curl/curl.h>

/* What an incompressible body of the greatest size may grow by when it is compressed all the same. */
#define PC_DRIVER_FETCH_WIRE_MAX_BYTES (PC_DRIVER_FETCH_BODY_MAX_BYTES + 64 * 1024)

enum pc_driver_fetch_stop { /* why we stopped a transfer */
                            PC_DRIVER_FETCH_STOP_NOT,
                            PC_DRIVER_FETCH_STOP_ANSWERED, /* the status says it all, the body doesn't matter */
                            PC_DRIVER_FETCH_STOP_BODY_TOO_LARGE,
                            PC_DRIVER_FETCH_STOP_HEADERS_TOO_LARGE,
                            PC_DRIVER_FETCH_STOP_NO_MEMORY,
};

/* All zero: none yet. */
struct pc_driver_fetch_hop {
    CURLM *multi;
    CURL *easy; /* NULL: not under way */
    struct curl_slist *resolved;
    bool literal;
    enum pc_driver_fetch_stop stop;
    int socket_error; /* errno of a socket that could not be made */
    size_t header_size;
    uint64_t answered_ns; /* when the headers were whole; 0: not yet */
    uint8_t *body;
    size_t body_size;
    size_t body_capacity;
    char curl_error[CURL_ERROR_SIZE];
    /* of the answer */
    int status;
    int64_t date_ms;
    char etag[PC_DRIVER_FETCH_FIELD_BYTES];
    char last_modified[PC_DRIVER_FETCH_FIELD_BYTES];
    char content_type[PC_DRIVER_FETCH_FIELD_BYTES];
};

struct pc_driver_fetch_order {
    CURLM *multi;
    const struct pc_driver_fetch_url *url;
    struct curl_slist *headers;
    const char *ca_file;                       /* NULL: the system's */
    const struct pc_driver_resolved *resolved; /* NULL: the host is an address */
    int64_t connect_ms; /* shared among the addresses, so that a silent one leaves time for the next */
};

/* Begin it; the multi handle then asks for its timer. What was noted of an earlier hop is forgotten, also on failure.
 * EIO: libcurl takes it not, or ENOMEM. */
int pc_driver_fetch_hop_begin(struct pc_driver_fetch_hop *hop, const struct pc_driver_fetch_order *order);
/* Read the answer's status and headers, as far as they came. */
void pc_driver_fetch_hop_read(struct pc_driver_fetch_hop *hop);
/* libcurl has ended it with this code, and it was read. OK: there is an answer, with any status. Else why there is
 * none, with the reason. */
enum pc_driver_fetch_kind pc_driver_fetch_hop_verdict(const struct pc_driver_fetch_hop *hop, CURLcode code,
                                                      const struct pc_driver_fetch_url *url,
                                                      struct pc_reason *ret_reason);
/* Where the answer leads, NULL: nowhere. Until the hop ends. */
const char *pc_driver_fetch_hop_location(const struct pc_driver_fetch_hop *hop);
/* What it is doing, in words, for a deadline that passes. */
const char *pc_driver_fetch_hop_doing(const struct pc_driver_fetch_hop *hop);
/* End it, under way or not; never within libcurl. What was read stays, and the body. */
void pc_driver_fetch_hop_end(struct pc_driver_fetch_hop *hop);
void pc_driver_fetch_hop_deinit(struct pc_driver_fetch_hop *hop);

#endif
