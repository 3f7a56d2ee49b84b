/*
 * One change of what the cache remembers of an endpoint, made by the store's worker: it reads what is there, which another
 * process may have written, changes its part of it and writes it back, under one lock. The same changes are made to the
 * memory that this process holds.
 */
#ifndef PC_DRIVER_ENDPOINT_JOB_H
#define PC_DRIVER_ENDPOINT_JOB_H

#include "driver/store_worker.h"
#include "join/endpoint_memory.h"

enum pc_driver_endpoint_change {
    PC_DRIVER_ENDPOINT_LOOK,  /* take the lease, unless an answer can be shared or another has it */
    PC_DRIVER_ENDPOINT_ENDED, /* how a fetch ended, by `news`; the lease is dropped */
    PC_DRIVER_ENDPOINT_DROP,  /* the lease is dropped */
    PC_DRIVER_ENDPOINT_KEEP,  /* breaker and verified dials, by `news` */
};

struct pc_driver_endpoint_job {
    struct pc_driver_store_job job;
    enum pc_driver_endpoint_change change;
    uint8_t owner[PC_ENDPOINT_OWNER_BYTES];
    /* LOOK: an answer newer than `after_ms` can be shared; the lease is taken for `lease_ms`. */
    int64_t after_ms, lease_ms;
    /* In, url: of the endpoint. ENDED: all of the last fetch; answered_ms only when there are peers, or when (without any)
     * those from before still hold. KEEP: breaker, and by how many `verified` grows. Out, LOOK: what is remembered. */
    struct pc_endpoint_memory news;
    /* Out: 0, or why nothing was read or kept; LOOK: what follows. */
    int result;
    struct pc_reason reason;
    bool may_share, has_lease;
    int64_t now_ms;
    uint8_t *bytes; /* the new value */
    void *context;  /* the owner's */
};

/* ENOMEM. The URL is one that pc_endpoint_memory_init takes. `done` gets the job, on the loop's thread. */
int pc_driver_endpoint_job_new(enum pc_driver_endpoint_change change, const char *url,
                               const uint8_t owner[PC_ENDPOINT_OWNER_BYTES],
                               void (*done)(void *job, int result), void *context,
                               struct pc_driver_endpoint_job **ret_job);
void pc_driver_endpoint_job_free(struct pc_driver_endpoint_job *job);

/* The changes, of ENDED and KEEP, to a memory. ENOMEM: nothing has changed. */
int pc_driver_endpoint_ended(struct pc_endpoint_memory *memory, const struct pc_endpoint_memory *news);
void pc_driver_endpoint_keep(struct pc_endpoint_memory *memory, const struct pc_endpoint_memory *news);

#endif
