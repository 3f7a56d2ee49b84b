/*
 * Any bytes as a document of any format. Whatever the pieces in which it comes, the same is read; and what is
 * read can be written in our own list and reads the same again.
 */
#include "format/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Unlike assert, always there: the calls inside are the test. */
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                            \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A sum over all that was read, by address, in order. */
struct reading {
    uint64_t sum;
    int result;
    struct pc_format_summary summary;
    struct pc_format_writer *writer; /* what is read is written to it, unless NULL */
};

static void add(struct reading *reading, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        reading->sum = (reading->sum ^ bytes[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
}

static int take_record(void *context, const struct pc_format_item *item)
{
    struct reading *reading = context;
    const struct pc_record *record = &item->record;
    CHECK(record->addr_count >= 1 && record->addr_count <= PEERCACHE_ADDRS_PER_PEER);
    CHECK(record->id.size > 0 || record->addr_count == 1);
    for (size_t i = 0; i < record->addr_count; i++) {
        const struct pc_record_addr *addr = &record->addrs[i];
        const int64_t numbers[] = {
            addr->history.success_count,
            addr->history.failure_count,
            addr->history.last_seen_ms,
            addr->history.last_success_ms,
            addr->history.last_attempt_ms,
            addr->history.rtt_us,
            addr->history.rtt_at_ms,
            addr->first_seen_ms,
            addr->source,
            record->state,
            record->bucket,
        };
        CHECK(addr->addr.size > 0 && addr->history.last_seen_ms >= 0);
        add(reading, record->id.bytes, record->id.size);
        add(reading, addr->addr.bytes, addr->addr.size);
        add(reading, numbers, sizeof(numbers));
        add(reading, addr->history.failures, sizeof(addr->history.failures));
        add(reading, addr->source_group.bytes, addr->source_group.size);
    }
    return reading->writer ? pc_format_writer_record(reading->writer, record) : 0;
}

static void read_document(struct reading *reading, enum pc_format format, bool head_only,
                          struct pc_bytes document, size_t piece_bytes)
{
    struct pc_format_options options = { .format = format,
                                         .head_only = head_only,
                                         .visitor = { .record = take_record, .context = reading } };
    struct pc_format_reader *reader;
    int r = pc_format_reader_new(&options, &reader);
    CHECK(r == 0);
    for (size_t at = 0; at < document.size && r == 0; at += piece_bytes) {
        size_t left = document.size - at;
        r = pc_format_reader_feed(reader,
                                  pc_bytes_of(document.data + at, piece_bytes < left ? piece_bytes : left));
    }
    if (r == 0)
        r = pc_format_reader_finish(reader);
    CHECK(r == 0 || r == PEERCACHE_EPARSE || r == PEERCACHE_EFORMAT || r == PEERCACHE_ELIMIT);
    CHECK((r != 0) == (pc_format_reader_errmsg(reader)[0] != '\0'));
    reading->result = r;
    reading->summary = *pc_format_reader_summary(reader);
    CHECK(reading->summary.read == reading->summary.accepted + reading->summary.rejected);
    pc_format_reader_free(reader);
}

struct memory {
    uint8_t *data;
    size_t size;
};

static int take_bytes(void *context, struct pc_bytes bytes)
{
    struct memory *memory = context;
    uint8_t *data = realloc(memory->data, memory->size + bytes.size);
    CHECK(data);
    memcpy(data + memory->size, bytes.data, bytes.size);
    memory->data = data;
    memory->size += bytes.size;
    return 0;
}

/* Times after the year 9999 do not come back, nor addresses that are no UTF-8, which a text may hold and no
 * store keeps; but what was written once is written the same again. */
static struct memory rewrite(struct reading *reading, struct pc_bytes document, uint64_t *ret_left_out)
{
    struct memory memory = { NULL, 0 };
    struct pc_format_writer_options options = { .format = PC_FORMAT_LIST,
                                                .write = take_bytes,
                                                .context = &memory };
    CHECK(pc_format_writer_new(&options, &reading->writer) == 0);
    read_document(reading, PC_FORMAT_UNKNOWN, false, document, SIZE_MAX / 2);
    CHECK(pc_format_writer_end(reading->writer) == 0);
    *ret_left_out = pc_format_writer_left_out(reading->writer);
    pc_format_writer_free(reading->writer);
    return memory;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pc_bytes document = pc_bytes_of(data, size);
    struct reading whole = { 0 }, pieces = { 0 }, head = { 0 }, first = { 0 }, second = { 0 };
    struct pc_reason reason;
    enum pc_format format;
    read_document(&whole, PC_FORMAT_UNKNOWN, false, document, SIZE_MAX / 2);
    for (size_t piece_bytes = 1; piece_bytes <= 7; piece_bytes += 3) {
        memset(&pieces, 0, sizeof(pieces));
        read_document(&pieces, PC_FORMAT_UNKNOWN, false, document, piece_bytes);
        CHECK(pieces.sum == whole.sum && pieces.result == whole.result);
        CHECK(pieces.summary.format == whole.summary.format && pieces.summary.read == whole.summary.read);
    }
    read_document(&head, PC_FORMAT_UNKNOWN, true, document, SIZE_MAX / 2);
    CHECK(head.result == whole.result && head.summary.format == whole.summary.format);
    CHECK(strcmp(head.summary.network_version, whole.summary.network_version) == 0);
    for (unsigned f = PC_FORMAT_UNKNOWN + 1; f < PC_FORMAT_COUNT; f++) {
        struct reading named = { 0 };
        read_document(&named, (enum pc_format)f, false, document, SIZE_MAX / 2);
        if (whole.result == 0 && whole.summary.format == (enum pc_format)f)
            CHECK(named.result == 0 && named.sum == whole.sum);
    }
    (void)pc_format_detect(document, &format, &reason);
    uint64_t left_out, left_out_again;
    struct memory once = rewrite(&first, document, &left_out);
    struct memory twice = rewrite(&second, pc_bytes_of(once.data, once.size), &left_out_again);
    CHECK(second.result == 0 && second.summary.rejected == 0 && left_out_again == 0);
    CHECK(second.summary.accepted == first.summary.accepted - left_out);
    CHECK(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
    free(twice.data);
    free(once.data);
    return 0;
}
