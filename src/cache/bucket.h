/*
 * The bucket of a record: SipHash of (state, group of the address, group of the source) under the secret of
 * the store. Capacities and eviction come with the quotas; the column is stored from the first version.
 */
#ifndef PC_CACHE_BUCKET_H
#define PC_CACHE_BUCKET_H

#include "cache/record.h"

#define PC_CACHE_BUCKETS_NEW   1024
#define PC_CACHE_BUCKETS_TRIED 256

uint32_t pc_cache_bucket_of(const uint8_t secret[16], peercache_state state, const struct pc_netgroup *group,
                            const struct pc_netgroup *source_group);
/* The bucket of a record: by the address known longest (the least in bytes of several), so that it stays put
 * while others come and go. 0 for a record without addresses. */
uint32_t pc_cache_bucket_of_record(const uint8_t secret[16], enum pc_netgroup_mode mode,
                                   const struct pc_record *record);

#endif
