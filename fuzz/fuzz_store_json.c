/* Any bytes as the file of a JSON store: what can be read of it, whole or damaged, is written and reads the same. */
#include "store/json_text.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOW_MS INT64_C(1760000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held)
{
    if (!held)
        abort();
}

static int write_to(void *context, struct pc_bytes bytes)
{
    require(write(*(int *)context, bytes.data, bytes.size) == (ssize_t)bytes.size);
    return 0;
}

static int open_bytes(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static struct pc_json_document *new_document(void)
{
    static const uint8_t secret[16];
    struct pc_json_document *document = NULL;
    require(pc_json_document_new(secret, &document) == 0);
    return document;
}

/* What was read goes out and comes in again, the same. */
static void round_trip(struct pc_json_document *document, const struct pc_json_wanted *wanted)
{
    struct pc_json_document *again = new_document();
    enum pc_json_kind kind = PC_JSON_EMPTY;
    struct pc_reason reason = { "" };
    bool differs = true;
    int fd = open_bytes(NULL, 0);
    memcpy(document->network, "test", 5);
    require(pc_json_write(document, NOW_MS, write_to, &fd) == 0);
    require(lseek(fd, 0, SEEK_SET) == 0);
    require(pc_json_read(fd, SIZE_MAX, wanted, again, &kind, &reason) == 0 && kind == PC_JSON_OURS);
    require(again->bad == 0 && again->peers.by_key.count == document->peers.by_key.count);
    require(pc_json_document_compare(again, document, 1, &differs) == 0 && !differs);
    require(again->tombstones.count == document->tombstones.count);
    require(again->ledger.count == document->ledger.count);
    require((again->meta == NULL) == (document->meta == NULL));
    pc_json_document_free(again);
    require(close(fd) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct pc_json_wanted wanted = { .network = "test",
                                           .mode = PC_NETGROUP_PUBLIC,
                                           .write = { .change = 1, .now_ms = NOW_MS } };
    struct pc_json_document *document = new_document();
    enum pc_json_kind kind = PC_JSON_EMPTY;
    struct pc_reason reason = { "" };
    size_t peers = 0;
    int fd = open_bytes(data, size);
    int result = pc_json_read(fd, SIZE_MAX, &wanted, document, &kind, &reason);
    require(result == 0 || result == PEERCACHE_ENETWORK || result == PEERCACHE_EVERSION);
    if (result == 0 && kind == PC_JSON_OURS)
        round_trip(document, &wanted);
    pc_json_document_free(document);
    document = new_document();
    result = pc_json_salvage(fd, SIZE_MAX, &wanted, document, &peers);
    require(result == 0 || result == PEERCACHE_ENETWORK || result == PEERCACHE_ECORRUPT ||
            result == PEERCACHE_EVERSION);
    if (result == 0)
        round_trip(document, &wanted);
    pc_json_document_free(document);
    require(close(fd) == 0);
    return 0;
}
