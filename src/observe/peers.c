#include "observe/peers.h"

#include "base/basex.h"

#include <peercache/types.h>

#include <assert.h>
#include <sodium.h>
#include <stdio.h>

#define TAG_BYTES 16

struct document {
    const struct pc_observe_peers *peers;
    struct pc_observe_text *text;
    struct pc_format_writer *writer;
    crypto_generichash_state tag;
};

static int write(void *context, struct pc_bytes bytes)
{
    struct pc_observe_text *text = context;
    pc_observe_put_bytes(text, bytes);
    return text->error;
}

static void tag_bytes(struct document *document, const void *data, size_t size)
{
    (void)crypto_generichash_update(&document->tag, data, size); /* cannot fail */
}

/* Whether the format tells more of an address than what it is. */
static bool has_history(enum pc_format format)
{
    switch (format) {
    case PC_FORMAT_LIST:
    case PC_FORMAT_MAP:
    case PC_FORMAT_ANT_V0:
        return true;
    case PC_FORMAT_ANT_V1:
    case PC_FORMAT_ENDPOINT:
    case PC_FORMAT_TEXT:
    case PC_FORMAT_KUBO:
    case PC_FORMAT_UNKNOWN:
    case PC_FORMAT_COUNT:
        break;
    }
    return false;
}

/* Each piece with its size before it, so that no two records give the same bytes. */
static void tag_record(struct document *document, const struct pc_record *record)
{
    tag_bytes(document, &record->id.size, sizeof(record->id.size));
    tag_bytes(document, record->id.bytes, record->id.size);
    tag_bytes(document, &record->addr_count, sizeof(record->addr_count));
    for (size_t i = 0; i < record->addr_count; i++) {
        const struct pc_record_addr *addr = &record->addrs[i];
        const struct pc_history *history = &addr->history;
        tag_bytes(document, &addr->addr.size, sizeof(addr->addr.size));
        tag_bytes(document, addr->addr.bytes, addr->addr.size);
        if (!has_history(document->peers->format))
            continue;
        const uint64_t numbers[] = { history->success_count,
                                     history->failure_count,
                                     (uint64_t)history->last_seen_ms,
                                     (uint64_t)history->last_success_ms,
                                     (uint64_t)history->last_attempt_ms,
                                     history->rtt_us,
                                     (uint64_t)record->state };
        tag_bytes(document, numbers, sizeof(numbers));
    }
}

static int visit(void *context, const struct pc_record *record)
{
    struct document *document = context;
    tag_record(document, record);
    return pc_format_writer_record(document->writer, record);
}

static void end_tag(struct document *document, char ret_etag[PC_OBSERVE_ETAG_BYTES])
{
    uint8_t digest[TAG_BYTES];
    char hex[2 * TAG_BYTES + 1];
    (void)crypto_generichash_final(&document->tag, digest, sizeof(digest));
    int result = pc_base_hex_encode(digest, sizeof(digest), hex, sizeof(hex));
    assert(result == 0);
    (void)result;
    (void)snprintf(ret_etag, PC_OBSERVE_ETAG_BYTES, "W/\"%s\"", hex);
}

int pc_observe_peers(const struct pc_observe_peers *peers, struct pc_observe_text *text,
                     char ret_etag[PC_OBSERVE_ETAG_BYTES])
{
    struct document document = { .peers = peers, .text = text };
    const char *name = pc_format_name(peers->format);
    const struct pc_format_writer_options options = { .format = peers->format,
                                                      .write = write,
                                                      .context = text,
                                                      .last_updated_ms = peers->now_ms,
                                                      .network_version = peers->network_version };
    int result = pc_format_writer_new(&options, &document.writer);
    if (result != 0)
        return result;
    (void)crypto_generichash_init(&document.tag, NULL, 0, TAG_BYTES);
    tag_bytes(&document, name, strlen(name));
    result = peers->each(peers->context, PC_OBSERVE_PEERS_MAX, visit, &document);
    if (result == 0)
        result = pc_format_writer_end(document.writer);
    pc_format_writer_free(document.writer);
    if (result == 0)
        end_tag(&document, ret_etag);
    return result;
}
