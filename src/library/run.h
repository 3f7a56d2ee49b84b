/*
 * A run: news of an import, packed, given back in the order of the keys of their peers. A store that takes them so
 * writes each page of its tree of peers once; in the order of a document it would touch pages all over the file,
 * batch after batch. A document larger than a run makes several.
 */
#ifndef PC_LIBRARY_RUN_H
#define PC_LIBRARY_RUN_H

#include "cache/record.h"

/* A million peers with one address take about 100 MB. */
#define PC_LIBRARY_RUN_MAX_BYTES ((size_t)128 * 1024 * 1024)

struct pc_library_run;

/* ENOMEM. */
int pc_library_run_new(struct pc_library_run **ret_run);
void pc_library_run_free(struct pc_library_run *run);
/* Forget what was added. */
void pc_library_run_empty(struct pc_library_run *run);
/* Of a delta the peer, the address with its history and sources, and the state are kept. ELIMIT: the run is full;
 * ENOMEM; then nothing changed. */
int pc_library_run_add(struct pc_library_run *run, const struct pc_delta *delta);
/* All has been added: from the least key on. Deltas of one peer stay in the order in which they came. */
void pc_library_run_sort(struct pc_library_run *run);
/* The next delta, `trusted` as given; false: that was all, and the run is empty again. */
bool pc_library_run_next(struct pc_library_run *run, bool trusted, struct pc_delta *ret_delta);

#endif
