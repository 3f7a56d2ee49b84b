/* One suite for every kind of store: what it must do whatever its file looks like. */
#ifndef TESTS_STORE_CONFORMANCE_H
#define TESTS_STORE_CONFORMANCE_H

#include "../unit/check.h"

#include "store/store.h"

/* Run the suite on files ending in `suffix`, which chooses the kind. */
int conformance_run(const char *suffix);

/* For the tests of one kind too. A directory of its own for each test, removed by teardown. */
#define CONFORMANCE_NOW_MS INT64_C(1760000000000)
int conformance_setup(void **state);
int conformance_teardown(void **state);
extern char conformance_path[PC_STORE_PATH_BYTES]; /* the file of this test */
/* For tests of thousands of saves that don't need a disk: in memory, where there is such a place. */
void conformance_use_memory(void);
void conformance_suffix_set(const char *suffix);
struct pc_store_options conformance_options(uint8_t seed);
struct pc_store *conformance_open(uint8_t seed);
struct pc_peer_id conformance_id(uint32_t number);
struct pc_delta conformance_delta(uint32_t number, uint32_t successes, int64_t seen_ms);
void conformance_commit(struct pc_store *store, uint64_t sequence, const struct pc_delta *delta);
/* 1 and the record when it is there, else 0. */
int conformance_find(struct pc_store *store, uint32_t number, struct pc_record *ret_record);
size_t conformance_count(struct pc_store *store, enum pc_store_query_kind kind);

#endif
