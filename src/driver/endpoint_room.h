/*
 * Room for one more endpoint in what the cache remembers: of endpoints that nobody asks any more not all is kept for ever, those
 * used last stay (join/endpoint_memory.h).
 */
#ifndef PC_DRIVER_ENDPOINT_ROOM_H
#define PC_DRIVER_ENDPOINT_ROOM_H

#include "store/store.h"

/* Forget what there is no room for beside this endpoint, unless it is remembered already. On the worker's thread. One that
 * another process uses meanwhile stays. ENOMEM (with no text); or what the store says: EBUSY no lock in `timeout_ms`, EIO,
 * ECORRUPT and so on, as of pc_store_meta_update. */
int pc_driver_endpoint_room(struct pc_store *store, const char *key, int64_t now_ms, uint32_t timeout_ms);

#endif
