#include "store/json_text.h"

#include "base/time.h"
#include "format/entry.h"
#include "format/format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OWN_NAME         "\"peercache\":"
#define ENTRY_HEAD       "{\"addr\":" /* as our writer begins an entry */

#define BLOCK_BYTES      65536
#define JUDGED_MAX_BYTES (16 * 1024 * 1024) /* a larger file that nothing shows to be ours is not touched */

/* --- reading --- */

struct reading {
    const struct pc_json_wanted *wanted;
    struct pc_json_document *document;
    struct pc_reason *reason;
    bool has_own;
    int own_result;
};

static int take_addr(struct reading *reading, const struct pc_peer_id *id, const struct pc_record_addr *addr)
{
    struct pc_record_addr normal = *addr;
    struct pc_reason reason = { "" };
    /* Somebody's list is not yet under our rule of what is stored; names are its owner's own. */
    if (!reading->has_own && pc_addr_storable(pc_addr_maddr_bytes(&addr->addr), reading->wanted->mode, true,
                                              &normal.addr, &reason)) {
        if (reading->document->bad++ == 0)
            reading->document->first_bad = reason;
        return 0;
    }
    struct pc_json_write write = reading->wanted->write;
    if (reading->has_own)
        write.now_ms = INT64_MAX; /* dated by who wrote it, as in every store */
    return pc_json_document_add(reading->document, id, &normal, &write);
}

static void set_state(struct pc_json_document *document, const struct pc_record *record)
{
    struct pc_cache_key key;
    pc_cache_key_of(&record->id, pc_addr_maddr_bytes(&record->addrs[0].addr), &key);
    struct pc_json_peer *peer = pc_json_document_find(document, pc_cache_key_bytes(&key));
    if (!peer)
        return;
    struct pc_record whole;
    pc_json_peer_unpack(peer, &whole);
    whole.state = record->state;
    peer->state = (uint8_t)record->state;
    peer->bucket = record->bucket;
    peer->standing = pc_cache_standing_of(&whole); /* of a record in its state */
}

static int take_item(void *context, const struct pc_format_item *item)
{
    struct reading *reading = context;
    int result = 0;
    for (size_t i = 0; i < item->record.addr_count && result == 0; i++)
        result = take_addr(reading, &item->record.id, &item->record.addrs[i]);
    if (result == 0 && item->has_state)
        set_state(reading->document, &item->record);
    return result;
}

static int take_own(void *context, struct pc_bytes json)
{
    struct reading *reading = context;
    reading->has_own = true;
    reading->own_result = pc_json_own_read(json, reading->wanted, reading->document, reading->reason);
    return reading->own_result;
}

static int take_rejected(void *context, const struct pc_format_rejection *rejection)
{
    struct reading *reading = context;
    if (reading->document->bad++ == 0)
        reading->document->first_bad = rejection->text;
    return 0;
}

/* One block, all of it unless the file ends. -1: an error of reading. */
static ssize_t read_block(int fd, uint8_t *block, size_t capacity)
{
    size_t size = 0;
    while (size < capacity) {
        ssize_t part = read(fd, block + size, capacity - size);
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            return -1;
        if (part == 0)
            break;
        size += (size_t)part;
    }
    return (ssize_t)size;
}

static int fail_reading(struct pc_reason *ret_reason)
{
    pc_base_reason(ret_reason, "can't read: %s", strerror(errno));
    return PEERCACHE_EIO;
}

/* Through the reader. *ret_result is what it says of the text. */
static int feed_all(int fd, size_t size_max, struct pc_format_reader *reader, int *ret_result,
                    uint64_t *ret_size, struct pc_reason *ret_reason)
{
    uint8_t *block = malloc(BLOCK_BYTES);
    uint64_t total = 0;
    int result = block ? 0 : PEERCACHE_ENOMEM;
    int said = 0;
    while (result == 0 && said == 0) {
        ssize_t size = read_block(fd, block, BLOCK_BYTES);
        if (size < 0)
            result = fail_reading(ret_reason);
        if (size <= 0)
            break;
        total += (uint64_t)size;
        if (total > size_max) {
            pc_base_reason(ret_reason, "larger than the %zu MB that a JSON cache may have",
                           size_max / 1024 / 1024);
            result = PEERCACHE_ELIMIT;
        } else {
            said = pc_format_reader_feed(reader, pc_bytes_of(block, (size_t)size));
        }
    }
    free(block);
    if (result)
        return result;
    *ret_result = said ? said : pc_format_reader_finish(reader);
    *ret_size = total;
    return 0;
}

/* The whole file, to be freed. */
static int read_whole(int fd, size_t size_max, uint8_t **ret_data, size_t *ret_size)
{
    off_t end = lseek(fd, 0, SEEK_END);
    if (end < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return PEERCACHE_EIO;
    if ((uint64_t)end > size_max)
        return PEERCACHE_ELIMIT;
    uint8_t *data = malloc((size_t)end + 1);
    if (!data)
        return PEERCACHE_ENOMEM;
    ssize_t size = read_block(fd, data, (size_t)end);
    if (size < 0) {
        free(data);
        return PEERCACHE_EIO;
    }
    *ret_data = data;
    *ret_size = (size_t)size;
    return 0;
}

/* Whether it is JSON of any kind: then it is somebody's, whatever our reader made of it. */
static int is_json(int fd, bool *ret_is_json)
{
    uint8_t *data = NULL;
    size_t size = 0;
    int result = read_whole(fd, JUDGED_MAX_BYTES, &data, &size);
    *ret_is_json = true;
    if (result)
        return result == PEERCACHE_ELIMIT ? 0 : result;
    *ret_is_json = pc_format_value_check(data, size, NULL) == 0;
    free(data);
    return 0;
}

static int judge_other(int fd, const struct pc_format_summary *summary, int result, const char *said,
                       enum pc_json_kind *ret_kind, struct pc_reason *ret_reason)
{
    static const char sqlite[] = "SQLite format 3";
    char head[sizeof(sqlite)];
    bool known = summary->format != PC_FORMAT_UNKNOWN && summary->format != PC_FORMAT_LIST;
    bool json = false;
    ssize_t size = lseek(fd, 0, SEEK_SET) ? -1 : read_block(fd, (uint8_t *)head, sizeof(head));
    if (size < 0)
        return fail_reading(ret_reason);
    *ret_kind = PC_JSON_OTHER;
    if ((size_t)size == sizeof(head) && memcmp(head, sqlite, sizeof(head)) == 0) {
        pc_base_reason(ret_reason, "a SQLite file; only JSON caches have a name ending in .json");
        return 0;
    }
    if (known && (summary->format != PC_FORMAT_TEXT || summary->accepted)) {
        pc_base_reason(ret_reason, "a file of another kind (%s); to take its peers over, import it",
                       pc_format_name(summary->format));
        return 0;
    }
    json = result == PEERCACHE_ELIMIT; /* of the reader: too deep, … */
    result = json ? 0 : is_json(fd, &json);
    if (result)
        return result;
    if (json) {
        pc_base_reason(ret_reason, "JSON of another kind, not a cache; if it holds peers, import it (%.90s)",
                       said);
        return 0;
    }
    pc_base_reason(ret_reason, "%s", said);
    *ret_kind = PC_JSON_DAMAGED;
    return 0;
}

static int judge(int fd, const struct reading *reading, const struct pc_format_reader *reader, int said,
                 enum pc_json_kind *ret_kind)
{
    const struct pc_format_summary *summary = pc_format_reader_summary(reader);
    const char *errmsg = pc_format_reader_errmsg(reader);
    bool is_list = summary->format == PC_FORMAT_LIST && !summary->has_network_version;
    if (reading->own_result) /* not whole, another network's, … */
        said = reading->own_result;
    if (said == PEERCACHE_ENOMEM || said == PEERCACHE_ENETWORK || said == PEERCACHE_EVERSION)
        return said;
    if (said == 0 && summary->format == PC_FORMAT_TEXT && summary->entries == 0) {
        *ret_kind = PC_JSON_EMPTY;
        return 0;
    }
    if (said == 0 && is_list) {
        reading->document->is_plain = !reading->has_own;
        *ret_kind = reading->document->version > PC_JSON_VERSION ? PC_JSON_NEWER : PC_JSON_OURS;
        return 0;
    }
    if (reading->has_own || (is_list && said == PEERCACHE_EPARSE)) {
        if (!reading->own_result)
            pc_base_reason(reading->reason, "%s", errmsg[0] ? errmsg : "its peers are no list");
        *ret_kind = PC_JSON_DAMAGED;
        return 0;
    }
    return judge_other(fd, summary, said, errmsg, ret_kind, reading->reason);
}

static int new_reader(struct reading *reading, struct pc_format_reader **ret_reader)
{
    struct pc_format_options options = {
        .format = PC_FORMAT_UNKNOWN,
        .visitor = { .record = take_item, .own = take_own, .rejected = take_rejected, .context = reading },
    };
    return pc_format_reader_new(&options, ret_reader);
}

int pc_json_read(int fd, size_t size_max, const struct pc_json_wanted *wanted,
                 struct pc_json_document *document, enum pc_json_kind *ret_kind, struct pc_reason *ret_reason)
{
    struct reading reading = { .wanted = wanted, .document = document, .reason = ret_reason };
    struct pc_format_reader *reader = NULL;
    uint64_t size = 0;
    int said = 0;
    int result = new_reader(&reading, &reader);
    if (result)
        return result;
    result = feed_all(fd, size_max, reader, &said, &size, ret_reason);
    if (result == 0)
        result = judge(fd, &reading, reader, said, ret_kind);
    pc_format_reader_free(reader);
    return result;
}

/* --- salvage --- */

static int salvage_found(void *context, const struct pc_format_found *found)
{
    struct reading *reading = context;
    struct pc_record record;
    int result = take_addr(reading, &found->id, &found->addr);
    if (result || !found->has_state)
        return result;
    pc_cache_record_init(&record, &found->id);
    record.addrs[0].addr = found->addr.addr;
    record.state = found->state;
    record.bucket = found->bucket;
    set_state(reading->document, &record);
    return 0;
}

static int salvage_refused(void *context, enum pc_format_refusal refusal, const char *detail)
{
    (void)context, (void)refusal, (void)detail;
    return 0; /* this is what the damage took */
}

/* The first place of a word, or the end. */
static size_t find(struct pc_bytes text, size_t from, const char *word)
{
    const uint8_t *at =
        from < text.size ? memmem(text.data + from, text.size - from, word, strlen(word)) : NULL;
    return at ? (size_t)(at - text.data) : text.size;
}

/* From `from` to the last brace before `end`. */
static struct pc_bytes up_to_brace(struct pc_bytes text, size_t from, size_t end)
{
    while (end > from && text.data[end - 1] != '}')
        end--;
    return pc_bytes_of(text.data + from, end - from);
}

static int salvage_own(struct reading *reading, struct pc_bytes text)
{
    size_t at = find(text, 0, OWN_NAME);
    if (at == text.size)
        return 0;
    at += strlen(OWN_NAME);
    struct pc_bytes own = up_to_brace(text, at, find(text, at, "\n"));
    int result = take_own(reading, own);
    if (result != PEERCACHE_ECORRUPT)
        return result;
    if (reading->document->network[0])
        return 0;
    return pc_json_own_salvage(pc_bytes_of(text.data + at, text.size - at), reading->wanted,
                               reading->document);
}

int pc_json_salvage(int fd, size_t size_max, const struct pc_json_wanted *wanted,
                    struct pc_json_document *document, size_t *ret_peers)
{
    struct pc_reason ignored = { "" };
    struct reading reading = { .wanted = wanted, .document = document, .reason = &ignored };
    const struct pc_format_sink sink = { salvage_found, salvage_refused, &reading };
    uint8_t *data = NULL;
    size_t size = 0;
    int result = read_whole(fd, size_max, &data, &size);
    if (result)
        return result;
    struct pc_bytes text = pc_bytes_of(data, size);
    result = salvage_own(&reading, text);
    for (size_t at = find(text, 0, ENTRY_HEAD); at < size && result == 0;) {
        size_t next = find(text, at + 1, ENTRY_HEAD), line = find(text, at, "\n");
        struct pc_bytes entry = up_to_brace(text, at, next < line ? next : line);
        if (entry.size <= PC_FORMAT_ELEMENT_MAX_BYTES)
            result = pc_format_entry_read(PC_FORMAT_LIST, data + at, entry.size, &sink);
        at = next;
    }
    if (result == 0 && !reading.has_own && document->peers.by_key.count == 0) { /* laid out otherwise */
        struct pc_format_reader *reader = NULL;
        result = new_reader(&reading, &reader);
        if (result == 0 && (pc_format_reader_feed(reader, text) == PEERCACHE_ENOMEM ||
                            pc_format_reader_finish(reader) == PEERCACHE_ENOMEM))
            result = PEERCACHE_ENOMEM;
        pc_format_reader_free(reader);
    }
    free(data);
    *ret_peers = document->peers.by_key.count;
    return result;
}

/* --- writing --- */

int pc_json_write(const struct pc_json_document *document, int64_t now_ms,
                  int (*write)(void *context, struct pc_bytes bytes), void *context)
{
    struct pc_format_writer *writer = NULL;
    char *own = pc_json_own_write(document);
    if (!own)
        return PEERCACHE_ENOMEM;
    const struct pc_format_writer_options options = {
        .format = PC_FORMAT_LIST,
        .write = write,
        .context = context,
        .last_updated_ms = now_ms,
        .own = pc_bytes_of(own, strlen(own)),
    };
    int result = pc_format_writer_new(&options, &writer);
    free(own);
    if (result)
        return result;
    for (const struct pc_json_peer *peer = document->peers.first; peer && result == 0; peer = peer->next) {
        struct pc_record record;
        pc_json_peer_unpack(peer, &record);
        result = pc_format_writer_record(writer, &record);
    }
    if (result == 0)
        result = pc_format_writer_end(writer);
    pc_format_writer_free(writer);
    return result;
}
