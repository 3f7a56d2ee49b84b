/*
 * Serves what the node wants fetched. What is remembered of an endpoint (join/endpoint_memory.h) lives in the cache's
 * metadata, which the worker of the store reads and writes: so many processes on one host share one fetch, and the next
 * start has the breaker, the last answer and its peers.
 *
 *   fetch ─► look what others had ─┬─► theirs is fresh ──────────────────────────────────────────────┬─► done
 *              ▲                   ├─► nobody else asks: GET ─► read the answer (on the pool) ─► keep ┤
 *              └─ pause ◄──────────┴─ another asks (not longer than PC_ENDPOINT_LEASE_WAIT_MS)        │
 *                                                       any failure ─────────────────────────────────┘
 *
 * Without a worker nothing is shared or kept, and a fetch begins with the GET.
 */
#ifndef PC_DRIVER_ENDPOINTS_H
#define PC_DRIVER_ENDPOINTS_H

#include "driver/endpoint_answer.h"
#include "driver/names.h"
#include "driver/store_worker.h"
#include "node/node.h"

struct pc_driver_endpoints;

/* On the loop's thread, once a fetch that was not cancelled, never within fetch. What it points to is valid during the
 * call. It may fetch again. */
typedef void (*pc_driver_endpoints_done)(void *context, const struct pc_node_fetched *fetched);

struct pc_driver_endpoints_options {
    uv_loop_t *loop;                           /* borrowed */
    struct pc_driver_names *names;             /* borrowed; says which name server to ask */
    const char *const *urls;                   /* copied; they are told by their index */
    size_t url_count;                          /* ≤ PC_JOIN_ENDPOINTS_MAX */
    const char *ca_file;                       /* copied; as of pc_driver_fetcher_new */
    struct pc_driver_endpoint_network network; /* copied; whose peers are wanted */
    const struct pc_log *log;                  /* borrowed; NULL: silence */
    pc_driver_endpoints_done done;
    void *context;
};

/* ENOMEM; EINVAL: a URL that pc_endpoint_memory_init does not take, or too many. */
int pc_driver_endpoints_new(const struct pc_driver_endpoints_options *options,
                            struct pc_driver_endpoints **ret_endpoints);
/* Read what the cache remembers of them; what it does not, or not well, is as if new. On the caller's thread, which may
 * wait for the disk: before the loop runs. */
void pc_driver_endpoints_load(struct pc_driver_endpoints *endpoints, struct pc_store *store);
/* The breaker as it was kept, PC_BREAKER_BYTES of it; size 0: none. Valid until the next keep. */
struct pc_bytes pc_driver_endpoints_breaker(const struct pc_driver_endpoints *endpoints, size_t index);
/* From now on the worker reads and writes what is remembered; NULL: nobody does. It is borrowed until the endpoints are
 * closed. */
void pc_driver_endpoints_use(struct pc_driver_endpoints *endpoints, struct pc_driver_store_worker *worker);

/* Fetch; all of it takes `wait_ms` at most. One of each endpoint at a time. `number` is the caller's, not 0. ENOMEM: `done` is
 * not called. */
int pc_driver_endpoints_fetch(struct pc_driver_endpoints *endpoints, uint64_t number, size_t index,
                              int64_t wait_ms);
/* It is not wanted any more; `done` is not called. A number that is not under way does nothing. */
void pc_driver_endpoints_cancel(struct pc_driver_endpoints *endpoints, uint64_t number);
/* Keep its breaker, and how many dials to its peers verified since the endpoints were made. */
void pc_driver_endpoints_keep(struct pc_driver_endpoints *endpoints, size_t index,
                              const uint8_t breaker[PC_BREAKER_BYTES], uint32_t verified);
/* Fills url, was_shared, result, detail and status, and delivered unless the node has counted it; the texts are valid until
 * the next call. */
void pc_driver_endpoints_report(const struct pc_driver_endpoints *endpoints, size_t index,
                                peercache_endpoint_report *ret_report);

/* Cancel all, drop the leases, and free it once all of that is done: then `closed` is called, on the loop's thread and not
 * within close. NULL does nothing, and calls nothing. */
void pc_driver_endpoints_close(struct pc_driver_endpoints *endpoints, void (*closed)(void *context),
                               void *context);

#endif
