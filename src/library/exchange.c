/*
 * Import and export. A document is read piece by piece; its news go to the store in batches, past the working
 * set, sorted by their keys in runs (run.h), so that neither a large document nor a large cache is ever in memory
 * whole. In memory only, they go into the working set.
 *
 * Nothing of another network's document is to be taken: a first look tells (first_look.h), and what it read is
 * kept for the second (spool.h), for a document may come through a pipe.
 */
#include "library/first_look.h"
#include "library/own.h"
#include "library/run.h"

#include "cache/bucket.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static enum pc_format inner(peercache_format format)
{
    switch (format) {
    case PEERCACHE_FORMAT_ANY:
        return PC_FORMAT_UNKNOWN;
    case PEERCACHE_FORMAT_LIST:
        return PC_FORMAT_LIST;
    case PEERCACHE_FORMAT_MAP:
        return PC_FORMAT_MAP;
    case PEERCACHE_FORMAT_ANT_V0:
        return PC_FORMAT_ANT_V0;
    case PEERCACHE_FORMAT_ANT_V1:
        return PC_FORMAT_ANT_V1;
    case PEERCACHE_FORMAT_ENDPOINT:
        return PC_FORMAT_ENDPOINT;
    case PEERCACHE_FORMAT_TEXT:
        return PC_FORMAT_TEXT;
    case PEERCACHE_FORMAT_KUBO:
        return PC_FORMAT_KUBO;
    }
    return PC_FORMAT_UNKNOWN; /* a number outside of the list */
}

static peercache_format outer(enum pc_format format)
{
    static const peercache_format formats[PC_FORMAT_COUNT] = {
        [PC_FORMAT_UNKNOWN] = PEERCACHE_FORMAT_ANY,   [PC_FORMAT_LIST] = PEERCACHE_FORMAT_LIST,
        [PC_FORMAT_MAP] = PEERCACHE_FORMAT_MAP,       [PC_FORMAT_ANT_V0] = PEERCACHE_FORMAT_ANT_V0,
        [PC_FORMAT_ANT_V1] = PEERCACHE_FORMAT_ANT_V1, [PC_FORMAT_ENDPOINT] = PEERCACHE_FORMAT_ENDPOINT,
        [PC_FORMAT_TEXT] = PEERCACHE_FORMAT_TEXT,     [PC_FORMAT_KUBO] = PEERCACHE_FORMAT_KUBO,
    };
    return formats[format];
}

const char *peercache_format_name(peercache_format format)
{
    return inner(format) == PC_FORMAT_UNKNOWN ? "any" : pc_format_name(inner(format));
}

const char *peercache_format_loses(peercache_format format)
{
    return inner(format) == PC_FORMAT_UNKNOWN ? "" : pc_format_loses(inner(format));
}

int peercache_format_from_name(const char *name, peercache_format *ret_format)
{
    enum pc_format format;
    if (!name || !ret_format)
        return PEERCACHE_EINVAL;
    if (pc_format_from_name(name, &format))
        return PEERCACHE_ENOTFOUND;
    *ret_format = outer(format);
    return 0;
}

#define BATCH_MAX 25000 /* of one commit: a quarter of a second under the lock */

/* ---- Import ---- */

struct import {
    peercache *cache;
    bool trust;
    struct pc_format_reader *reader;
    struct pc_library_run *run;
    struct pc_delta *deltas; /* BATCH_MAX of them */
    uint64_t accepted, merged, refused;
};

/* Why an address may not be stored. */
static enum pc_format_refusal refusal_of(const struct import *import, struct pc_bytes addr)
{
    struct pc_multiaddr_part part;
    struct pc_ip_port ip = { .port = 1 };
    bool is_first = true;
    enum pc_format_refusal refusal = PC_FORMAT_UNUSABLE;
    while (pc_addr_multiaddr_next(&addr, &part) == 1) {
        if (part.code == PC_MA_P2P_CIRCUIT)
            return PC_FORMAT_RELAY;
        if (part.code == PC_MA_IP6ZONE || !is_first)
            continue;
        is_first = false;
        if (part.code == PC_MA_DNS || part.code == PC_MA_DNS4 || part.code == PC_MA_DNS6 ||
            part.code == PC_MA_DNSADDR)
            refusal = import->trust ? PC_FORMAT_UNUSABLE : PC_FORMAT_DNS_NAME;
        if (part.code != PC_MA_IP4 && part.code != PC_MA_IP6)
            continue;
        ip.family = part.code == PC_MA_IP4 ? 4 : 6;
        memcpy(ip.ip, part.value.data, part.value.size);
        if (pc_addr_scope_of(&ip) == PC_SCOPE_PRIVATE && import->cache->mode == PC_NETGROUP_PUBLIC)
            refusal = PC_FORMAT_PRIVATE;
    }
    return refusal;
}

static int commit_batch(struct import *import, size_t count)
{
    peercache *cache = import->cache;
    struct pc_store_tally before = cache->store->tally;
    /* the number is used up also when it fails: nobody can tell whether it reached the disk */
    int result = pc_store_commit(cache->store, ++cache->sequence, import->deltas, count, cache->now_ms,
                                 PC_STORE_LOCK_TIMEOUT_MS);
    if (result)
        return pc_library_fail_in_store(cache, result);
    import->accepted += cache->store->tally.added - before.added;
    import->merged += cache->store->tally.merged - before.merged;
    import->refused += cache->store->tally.refused - before.refused;
    return 0;
}

static int commit_run(struct import *import)
{
    size_t count;
    int result = 0;
    pc_library_run_sort(import->run);
    do {
        count = 0;
        while (count < BATCH_MAX && pc_library_run_next(import->run, import->trust, &import->deltas[count]))
            count++;
        if (count)
            result = commit_batch(import, count);
    } while (result == 0 && count == BATCH_MAX);
    if (result)
        pc_library_run_empty(import->run);
    return result;
}

static int put_delta(struct import *import, const struct pc_delta *delta)
{
    int result = pc_library_run_add(import->run, delta);
    if (result == PEERCACHE_ELIMIT) {
        result = commit_run(import);
        if (result == 0)
            result = pc_library_run_add(import->run, delta);
    }
    return result;
}

/* An address into the working set of a cache that is in memory only. */
static int put_in_memory(struct import *import, const struct pc_delta *delta)
{
    peercache *cache = import->cache;
    bool known = false;
    int result = pc_cache_set_take_in(cache->set, delta, cache->now_ms, &known);
    import->merged += result == 0 && known;
    import->accepted += result == 0 && !known;
    import->refused += result == PEERCACHE_ELIMIT;
    return result == PEERCACHE_ELIMIT ? 0 : result ? pc_library_fail(cache, result, "import") : 0;
}

static int take_addr(struct import *import, const struct pc_format_item *item, size_t at)
{
    peercache *cache = import->cache;
    const struct pc_record_addr *addr = &item->record.addrs[at];
    const struct pc_bans *bans = pc_cache_set_bans(cache->set);
    struct pc_maddr normal;
    struct pc_delta delta;
    if (pc_addr_storable(pc_addr_maddr_bytes(&addr->addr), cache->mode, import->trust, &normal, NULL))
        return pc_format_reader_refuse(import->reader, item, at,
                                       refusal_of(import, pc_addr_maddr_bytes(&addr->addr)), "never stored");
    if (pc_cache_bans_cover_id(bans, &item->record.id) ||
        pc_cache_bans_cover_addr(bans, pc_addr_maddr_bytes(&normal)))
        return pc_format_reader_refuse(import->reader, item, at, PC_FORMAT_BANNED, "banned");
    pc_cache_delta_init(&delta, &item->record.id, pc_addr_maddr_bytes(&normal));
    delta.source = PEERCACHE_SOURCE_IMPORT;
    delta.first_seen_ms = cache->now_ms;
    delta.history.last_seen_ms = addr->history.last_seen_ms;
    if (import->trust) {
        delta.history = addr->history;
        delta.source = addr->source;
        delta.source_group = addr->source_group;
        if (addr->first_seen_ms || item->has_state) /* ours says also that it is not known */
            delta.first_seen_ms = addr->first_seen_ms;
        delta.trusted = true;
        bool is_tried = item->has_state ? item->record.state == PEERCACHE_TRIED : addr->history.success_count;
        delta.state = is_tried ? PEERCACHE_TRIED : PEERCACHE_NEW;
    }
    if (delta.history.last_seen_ms == 0 && !import->trust)
        delta.history.last_seen_ms = cache->now_ms;
    return cache->store ? put_delta(import, &delta) : put_in_memory(import, &delta);
}

static int take_item(void *context, const struct pc_format_item *item)
{
    struct import *import = context;
    int result = 0;
    for (size_t i = 0; i < item->record.addr_count && result == 0; i++)
        result = take_addr(import, item, i);
    return result;
}

/* Bans and removals are believed of a trusted document only: another's could make us forget anybody. */
static int take_own(void *context, struct pc_bytes json)
{
    struct import *import = context;
    if (!import->trust || import->cache->read_only)
        return 0;
    int result = commit_run(import); /* what stood before it */
    return result ? result : pc_library_own_take(import->cache, json);
}

static void summarise(const struct import *import, peercache_imported *ret_imported)
{
    const struct pc_format_summary *summary = pc_format_reader_summary(import->reader);
    peercache_imported imported = {
        .format = outer(summary->format),
        .read = summary->read,
        .accepted = import->accepted,
        .merged = import->merged,
        .rejected = summary->rejected + import->refused,
    };
    static_assert(PC_FORMAT_REFUSAL_COUNT <= PEERCACHE_REASONS_MAX, "each reason has a place");
    for (unsigned i = 0; i < PC_FORMAT_REFUSAL_COUNT; i++) {
        uint64_t count = summary->reasons[i] + (i == PC_FORMAT_OVER_QUOTA ? import->refused : 0);
        if (count == 0)
            continue;
        imported.reasons[imported.reason_count].reason = pc_format_refusal_name((enum pc_format_refusal)i);
        imported.reasons[imported.reason_count++].count = count;
    }
    if (summary->rejected)
        (void)snprintf(imported.first_rejected, sizeof(imported.first_rejected), "%s",
                       summary->first.text.text);
    *ret_imported = imported;
}

static int read_all(struct import *import, struct pc_library_spool *spool)
{
    peercache *cache = import->cache;
    struct pc_bytes piece;
    int result;
    while ((result = pc_library_spool_next(spool, &piece)) == 0 && piece.size) {
        result = pc_format_reader_feed(import->reader, piece);
        if (result)
            break;
    }
    if (result == 0)
        result = pc_format_reader_finish(import->reader);
    if (result && cache->error.text[0] == '\0') /* the reader's own */
        pc_base_reason(&cache->error, "%s", pc_format_reader_errmsg(import->reader));
    return result;
}

/* What came whole before a broken end is taken. */
static int take_all(struct import *import, struct pc_library_spool *spool,
                    const struct pc_format_options *options, peercache_imported *ret_imported)
{
    peercache *cache = import->cache;
    int result = pc_library_spool_again(spool);
    if (result == 0)
        result = pc_format_reader_new(options, &import->reader);
    if (result)
        return result;
    result = read_all(import, spool);
    int committed = commit_run(import);
    result = result ? result : committed;
    summarise(import, ret_imported);
    pc_format_reader_free(import->reader);
    if (result == 0 && cache->store && !cache->read_only)
        result = peercache_refresh(cache);
    return result;
}

int peercache_import(peercache *cache, peercache_format format, bool trust, peercache_time now,
                     peercache_read read, void *context, peercache_imported *ret_imported)
{
    struct import import = { .cache = cache, .trust = trust };
    const struct pc_format_options options = {
        .format = inner(format), .visitor = { .record = take_item, .own = take_own, .context = &import }
    };
    struct pc_library_spool *spool = NULL;
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    if (!read || !ret_imported || (format != PEERCACHE_FORMAT_ANY && inner(format) == PC_FORMAT_UNKNOWN))
        return pc_library_fail(cache, PEERCACHE_EINVAL, "import");
    (void)pc_library_advance(cache, now);
    result = pc_library_commit(cache, PC_LIBRARY_NO_DEADLINE);
    if (result)
        return result;
    cache->error.text[0] = '\0';
    *ret_imported = (peercache_imported){ .format = format };
    import.deltas = malloc(BATCH_MAX * sizeof(*import.deltas));
    result = import.deltas ? pc_library_run_new(&import.run) : PEERCACHE_ENOMEM;
    if (result == 0)
        result = pc_library_spool_new(read, context, &spool);
    if (result == 0)
        result = pc_library_first_look(cache, options.format, spool);
    if (result == 0)
        result = take_all(&import, spool, &options, ret_imported);
    if (result && cache->error.text[0] == '\0')
        (void)pc_library_fail(cache, result, "import");
    pc_library_spool_free(spool);
    pc_library_run_free(import.run);
    free(import.deltas);
    return result;
}

/* ---- Export ---- */

struct export
{
    peercache *cache;
    struct pc_format_writer *writer;
    peercache_write write;
    void *context;
    uint8_t secret[PC_LIBRARY_SECRET_BYTES]; /* of the list; its buckets are not those of the cache */
    struct pc_cache_quota quota;
    bool is_list;
};

static int pass_on(void *context, struct pc_bytes bytes)
{
    const struct export *export = context;
    return export->write(export->context, bytes.data, bytes.size);
}

static int export_record(void *context, const struct pc_record *record)
{
    struct export *export = context;
    struct pc_record visible = *record;
    if (!pc_cache_bans_filter(pc_cache_set_bans(export->cache->set), &visible))
        return 0;
    if (export->is_list)
        visible.bucket = pc_cache_bucket_of_record(&export->quota, export->secret, export->cache->mode,
                                                   &visible, visible.state);
    return pc_format_writer_record(export->writer, &visible);
}

int peercache_export(peercache *cache, peercache_format format, peercache_time now, peercache_write write,
                     void *context, uint64_t *ret_left_out)
{
    struct export export = { .cache = cache, .write = write, .context = context };
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    if (!write || inner(format) == PC_FORMAT_UNKNOWN)
        return pc_library_fail(cache, PEERCACHE_EINVAL, "export");
    char *own = NULL;
    export.is_list = format == PEERCACHE_FORMAT_LIST;
    pc_cache_quota_init(&export.quota, cache->options.max_peers);
    if (export.is_list) {
        /* what is pending may be a removal */
        result = pc_library_commit(cache, PC_LIBRARY_NO_DEADLINE);
        if (result == 0)
            result = pc_library_own_write(cache, export.secret, &own);
        if (result)
            return result;
    }
    const struct pc_format_writer_options options = {
        .format = inner(format),
        .own = pc_bytes_of(own, own ? strlen(own) : 0),
        .write = pass_on,
        .context = &export,
        .last_updated_ms = pc_library_advance(cache, now),
        .network_version = cache->network,
    };
    result = pc_format_writer_new(&options, &export.writer);
    free(own);
    if (result)
        return pc_library_fail(cache, result, "export");
    result = pc_library_visit_all(cache, export_record, &export);
    if (result == 0)
        result = pc_format_writer_end(export.writer);
    if (result == 0 && ret_left_out)
        *ret_left_out = pc_format_writer_left_out(export.writer);
    pc_format_writer_free(export.writer);
    return result;
}
