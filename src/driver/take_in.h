/*
 * Taking in what other processes committed to the store: it is read on a thread of the pool, kept packed, and told on the
 * loop's thread, peer by peer.
 */
#ifndef PC_DRIVER_TAKE_IN_H
#define PC_DRIVER_TAKE_IN_H

#include "driver/store_worker.h"

#define PC_DRIVER_TAKE_IN_MAX_BYTES ((size_t)4 * 1024 * 1024) /* of one time, packed: some 30,000 peers */

struct pc_driver_take_in;

struct pc_driver_take_in_handler {
    void *context;
    void (*ban)(void *context, const struct pc_ban *ban);
    void (*record)(void *context, const struct pc_record *record);
    /* Last. Not 0: not all could be read, for this reason; what is left comes another time, or never. ELIMIT, ENOMEM, and those
     * of a query. */
    void (*done)(void *context, int result, const char *why);
};

/* The worker is borrowed, and idle when this is freed. ENOMEM. */
int pc_driver_take_in_new(struct pc_driver_store_worker *worker,
                          const struct pc_driver_take_in_handler *handler,
                          struct pc_driver_take_in **ret_take_in);
void pc_driver_take_in_free(struct pc_driver_take_in *take_in);
/* Read what changed since the last time (or since the store was read first). While one is under way
 * another follows it, and `done` is called for the last alone. */
void pc_driver_take_in_begin(struct pc_driver_take_in *take_in);

#endif
