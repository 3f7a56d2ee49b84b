/*
 * What a reader gave, as text: a line for each address with all that is known of it, a line for each refusal.
 * Two readings are the same when their traces are.
 */
#ifndef TESTS_FORMAT_TRACE_H
#define TESTS_FORMAT_TRACE_H

#include "base/rng.h"
#include "format/format.h"

#include <stdio.h>

struct format_trace {
    char *text;
    size_t size;
    FILE *stream;
    size_t item_count;
    char own[256];
    struct pc_format_summary summary;
    int result;
    char error[sizeof(((struct pc_reason *)0)->text)];
};

void format_trace_init(struct format_trace *trace);
void format_trace_deinit(struct format_trace *trace);
/* What the trace shows of a record, as when it was read. */
void format_trace_record(struct format_trace *trace, const struct pc_record *record, bool has_state);
/* Read a document in pieces of the given sizes, whole when `piece_bytes` is 0, of random ones with an rng. */
void format_trace_read(struct format_trace *trace, const struct pc_format_options *options,
                       struct pc_bytes document, size_t piece_bytes, struct pc_rng *rng);
/* As above, whole, by content. */
void format_trace_read_text(struct format_trace *trace, const char *document);
/* The text so far; valid until more is written. */
const char *format_trace_text(struct format_trace *trace);

/* A file of tests/vectors/formats; the caller frees its data. */
struct pc_bytes format_vector(const char *name);
void format_free(struct pc_bytes document);

extern const char *const format_vector_names[];
extern const size_t format_vector_count;

/* Records to be written, the document in memory; the caller frees it. *ret_left_out may be NULL. */
struct pc_bytes format_write(const struct pc_format_writer_options *options, const struct pc_record *records,
                             size_t count, uint64_t *ret_left_out);

#endif
