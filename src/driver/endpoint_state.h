/* What endpoints.c and endpoint_ask.c share: an endpoint, and one fetch of it. For them alone. */
#ifndef PC_DRIVER_ENDPOINT_STATE_H
#define PC_DRIVER_ENDPOINT_STATE_H

#include "driver/clock.h"
#include "driver/endpoint_job.h"
#include "driver/endpoints.h"
#include "driver/fetch_thread.h"

#define PC_DRIVER_NETWORK_WORD_BYTES 64 /* of a network's name and version, with the NUL */

/* One fetch. */
struct pc_driver_ask {
    struct pc_driver_ask *next, **at;
    struct pc_driver_endpoints *endpoints;
    size_t index;
    uint64_t number; /* 0: it is over */
    uint64_t end_ms; /* by uv_now of the loop, as the next */
    uint64_t look_until_ms;
    int64_t pause_ms;
    bool looks; /* at what others had, before it asks itself */
    struct pc_driver_endpoint_job *look;
    struct pc_driver_fetch_call *fetch;
    uv_work_t parse;
    bool parses;
    uint8_t *body;
    size_t body_size;
    struct pc_rng rng;
    struct pc_driver_endpoint_answer answer;
    int64_t asked_ms; /* wall time */
    bool has_date;
    int64_t clock_ahead_ms;
    int status;
    char etag[PC_ENDPOINT_FIELD_BYTES];
    char last_modified[PC_ENDPOINT_FIELD_BYTES];
    const char *refused; /* why it could not be begun; the timer tells */
};

struct pc_driver_endpoint {
    struct pc_endpoint_memory memory; /* what we know of it; with a worker, as of the last look */
    int64_t had_ms;                   /* when the newest answer came that `done` was given; 0: none */
    bool was_shared;
    uint32_t verified; /* kept so far */
    uv_timer_t timer;
    struct pc_driver_ask *ask; /* the current one; NULL: none */
};

struct pc_driver_endpoints {
    uv_loop_t *loop;
    struct pc_driver_names *names;
    struct pc_driver_fetch_thread *fetcher; /* NULL until the first GET */
    struct pc_driver_store_worker *worker;
    char *ca_file;
    char network_name[PC_DRIVER_NETWORK_WORD_BYTES], network_version[PC_DRIVER_NETWORK_WORD_BYTES];
    struct pc_driver_endpoint_network network;
    const struct pc_log *log;
    pc_driver_endpoints_done done;
    void *context;
    struct pc_driver_clock clock;
    struct pc_rng rng;
    uint8_t owner[PC_ENDPOINT_OWNER_BYTES]; /* of leases: this process, this node */
    struct pc_driver_ask *asks;
    size_t jobs;       /* with the worker, the looks apart */
    size_t handles;    /* that the loop has of ours: timers, the next too, and the fetcher's */
    uv_timer_t closer; /* never set: it is there so that closing always ends on the loop */
    void (*closed)(void *context);
    void *closed_context;
    bool closing;
    size_t count;
    struct pc_driver_endpoint endpoints[PC_JOIN_ENDPOINTS_MAX];
};

int64_t pc_driver_endpoints_wall_ms(struct pc_driver_endpoints *endpoints);
/* Have the worker change what the cache remembers of an endpoint, if there is a worker. `news` (NULL: none): its fields, peers
 * too, are moved out. What fails is logged. */
void pc_driver_endpoints_remember(struct pc_driver_endpoints *endpoints, const char *url,
                                  enum pc_driver_endpoint_change change, struct pc_endpoint_memory *news);
void pc_driver_endpoints_say_not_kept(const struct pc_driver_endpoints *endpoints, const char *url,
                                      const char *why);
/* Something is over: when all is, and the endpoints are closing, they go. */
void pc_driver_endpoints_close_if_over(struct pc_driver_endpoints *endpoints);

/* ---- endpoint_ask.c ---- */

/* Nobody is told of it any more, and it goes when nothing of it is under way. */
void pc_driver_ask_cancel(struct pc_driver_ask *ask);

#endif
