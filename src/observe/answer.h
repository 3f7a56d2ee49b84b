/*
 * What a node answers over HTTP: a request in, an answer out; pure. Whoever serves HTTP brings the requests.
 *
 *   /healthz                alive, also when offline: 200 "ok"
 *   /readyz                 200 when joined or degraded, else 503 with the cause in words
 *   /metrics                Prometheus (metrics.h)
 *   /status.json            status_json.h
 *   /peers?format=F         the peers it would give to others, in any format of format.h; "endpoint" when not said
 *   /bootstrap_cache.json   the same as the descendants ask for it: ant-v1 with the header Cache-Version: 1, ant-v0
 *                           without it
 *
 * Anything else is 404, with this list. Texts of errors end with a newline, for people.
 */
#ifndef PC_OBSERVE_ANSWER_H
#define PC_OBSERVE_ANSWER_H

#include "observe/observation.h"
#include "observe/peers.h"
#include "observe/text.h"

#define PC_OBSERVE_PEERS_AGE_S 60 /* for so long others may keep the peers that they were given */

/* What a request has; NULL: it has none. Borrowed. */
struct pc_observe_request {
    const char *target;        /* as in the request line: a path with its query, or a whole URL */
    const char *cache_version; /* Cache-Version */
    const char *if_none_match; /* If-None-Match */
};

/* Where answers come from; asked only for what the request needs. Every slot is filled. */
struct pc_observe_source {
    void (*look)(void *context, struct pc_observation *ret_observation);
    pc_observe_each_peer each_peer;
    void *context;
    const char *network_version; /* NULL: none */
    int64_t now_ms;
};

/* The texts but `body` are constant, NULL where there is no such header. */
struct pc_observe_answer {
    unsigned status;
    const char *content_type;
    const char *cache_control;
    const char *vary;
    char etag[PC_OBSERVE_ETAG_BYTES]; /* "": none */
    struct pc_observe_text body;      /* the caller's to deinit */
};

/* There always is an answer: 500 when memory is out. */
void pc_observe_answer(const struct pc_observe_request *request, const struct pc_observe_source *source,
                       struct pc_observe_answer *ret_answer);
/* An answer in words: a status, and a line of text. */
void pc_observe_answer_text(struct pc_observe_answer *ret_answer, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
