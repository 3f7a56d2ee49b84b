#include "format_trace.h"

#include "check.h"

#include "base/basex.h"

#include <inttypes.h>
#include <stdlib.h>

void format_trace_init(struct format_trace *trace)
{
    memset(trace, 0, sizeof(*trace));
    trace->stream = open_memstream(&trace->text, &trace->size);
    assert_non_null(trace->stream);
}

void format_trace_deinit(struct format_trace *trace)
{
    (void)fclose(trace->stream);
    free(trace->text);
}

const char *format_trace_text(struct format_trace *trace)
{
    (void)fflush(trace->stream);
    return trace->text;
}

void format_trace_record(struct format_trace *trace, const struct pc_record *record, bool has_state)
{
    for (size_t i = 0; i < record->addr_count; i++) {
        const struct pc_record_addr *addr = &record->addrs[i];
        const struct pc_history *h = &addr->history;
        char text[2048];
        char group[64];
        assert_int_equal(
            pc_addr_format_with_id(pc_addr_maddr_bytes(&addr->addr), &record->id, text, sizeof(text)), 0);
        assert_int_equal(
            pc_base_hex_encode(addr->source_group.bytes, addr->source_group.size, group, sizeof(group)), 0);
        (void)fprintf(trace->stream,
                      "%s id:%u %" PRIu32 "/%" PRIu32 " seen:%" PRId64 " success:%" PRId64 " attempt:%" PRId64
                      " rtt:%" PRIu32 "@%" PRId64 " first:%" PRId64 " %s(%s)",
                      text, record->id.size, h->success_count, h->failure_count, h->last_seen_ms,
                      h->last_success_ms, h->last_attempt_ms, h->rtt_us, h->rtt_at_ms, addr->first_seen_ms,
                      peercache_source_name(addr->source), group);
        for (unsigned k = 0; k < PEERCACHE_OUTCOME_COUNT; k++)
            if (h->failures[k])
                (void)fprintf(trace->stream, " %s:%" PRIu32, peercache_outcome_name((peercache_outcome)k),
                              h->failures[k]);
        if (has_state)
            (void)fprintf(trace->stream, " %s bucket:%" PRIu32, peercache_state_name(record->state),
                          record->bucket);
        (void)fprintf(trace->stream, "\n");
    }
}

static int take_record(void *context, const struct pc_format_item *item)
{
    struct format_trace *trace = context;
    assert_in_range(item->record.addr_count, 1, PEERCACHE_ADDRS_PER_PEER);
    if (item->record.id.size == 0)
        assert_int_equal(item->record.addr_count, 1);
    trace->item_count++;
    format_trace_record(trace, &item->record, item->has_state);
    return 0;
}

static int take_own(void *context, struct pc_bytes json)
{
    struct format_trace *trace = context;
    (void)snprintf(trace->own, sizeof(trace->own), "%.*s", (int)json.size, (const char *)json.data);
    return 0;
}

static int take_rejected(void *context, const struct pc_format_rejection *rejection)
{
    struct format_trace *trace = context;
    (void)fprintf(trace->stream, "- %s\n", rejection->text.text);
    return 0;
}

static void check_sums(const struct pc_format_summary *summary)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < PC_FORMAT_REFUSAL_COUNT; i++)
        sum += summary->reasons[i];
    assert_int_equal(sum, summary->rejected);
    assert_int_equal(summary->read, summary->accepted + summary->rejected);
    assert_true((summary->first.text.text[0] != '\0') == (summary->rejected > 0));
}

void format_trace_read(struct format_trace *trace, const struct pc_format_options *options,
                       struct pc_bytes document, size_t piece_bytes, struct pc_rng *rng)
{
    struct pc_format_options all = *options;
    struct pc_format_reader *reader;
    int r = 0;
    all.visitor = (struct pc_format_visitor){ take_record, take_own, take_rejected, trace };
    assert_int_equal(pc_format_reader_new(&all, &reader), 0);
    for (size_t at = 0; at < document.size && r == 0;) {
        size_t left = document.size - at;
        size_t size = rng ? 1 + (size_t)pc_base_rng_below(rng, 40) : piece_bytes ? piece_bytes : left;
        size = size < left ? size : left;
        /* Memory of its own, so that a read beyond the piece is seen. */
        uint8_t *piece = malloc(size);
        assert_non_null(piece);
        memcpy(piece, document.data + at, size);
        r = pc_format_reader_feed(reader, pc_bytes_of(piece, size));
        free(piece);
        at += size;
    }
    if (r == 0)
        r = pc_format_reader_finish(reader);
    if (r != 0) {
        assert_int_equal(pc_format_reader_feed(reader, pc_bytes_of(" ", 1)), r);
        assert_int_equal(pc_format_reader_finish(reader), r);
        assert_true(pc_format_reader_errmsg(reader)[0] != '\0');
    } else {
        assert_string_equal(pc_format_reader_errmsg(reader), "");
    }
    trace->result = r;
    trace->summary = *pc_format_reader_summary(reader);
    (void)snprintf(trace->error, sizeof(trace->error), "%s", pc_format_reader_errmsg(reader));
    check_sums(&trace->summary);
    pc_format_reader_free(reader);
}

void format_trace_read_text(struct format_trace *trace, const char *document)
{
    const struct pc_format_options options = { .format = PC_FORMAT_UNKNOWN };
    format_trace_read(trace, &options, pc_bytes_of(document, strlen(document)), 0, NULL);
}

const char *const format_vector_names[] = {
    "list.json",   "list-ours.json", "map.json",           "map-version.json", "ant-v0.json",
    "ant-v1.json", "endpoint.json",  "endpoint-bare.json", "text.txt",         "kubo.json",
};
const size_t format_vector_count = sizeof(format_vector_names) / sizeof(format_vector_names[0]);

struct pc_bytes format_vector(const char *name)
{
    char path[4096];
    uint8_t *data = malloc(65536);
    assert_non_null(data);
    assert_non_null(getenv("VECTORS"));
    (void)snprintf(path, sizeof(path), "%s/formats/%s", getenv("VECTORS"), name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(data, 1, 65536, file);
    assert_true(size < 65536);
    (void)fclose(file);
    return pc_bytes_of(data, size);
}

void format_free(struct pc_bytes document)
{
    free((void *)(uintptr_t)document.data);
}

static int take_written(void *context, struct pc_bytes bytes)
{
    return fwrite(bytes.data, 1, bytes.size, context) == bytes.size ? 0 : PEERCACHE_EIO;
}

struct pc_bytes format_write(const struct pc_format_writer_options *options, const struct pc_record *records,
                             size_t count, uint64_t *ret_left_out)
{
    char *text;
    size_t size;
    struct pc_format_writer *writer;
    struct pc_format_writer_options all = *options;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    all.write = take_written;
    all.context = stream;
    assert_int_equal(pc_format_writer_new(&all, &writer), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pc_format_writer_record(writer, &records[i]), 0);
    assert_int_equal(pc_format_writer_end(writer), 0);
    if (ret_left_out)
        *ret_left_out = pc_format_writer_left_out(writer);
    pc_format_writer_free(writer);
    (void)fclose(stream);
    return pc_bytes_of(text, size);
}
