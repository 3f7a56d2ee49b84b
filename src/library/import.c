/*
 * Import: a first look at the document tells of which network it is, and only then anything is taken from it.
 * The descendants wrote the network behind the peers, and a document may come through a pipe, so what is read
 * in that first look is kept for the second (spool.h). Our own lists tell it at once.
 */
#include "library/format.h"
#include "library/import_merge.h"
#include "library/spool.h"

#include "addr/leading_ip.h"
#include "format/json_value.h"

#include <stdlib.h>

struct import {
    peercache *cache;
    bool trust;
    enum pc_format format;
    struct pc_library_spool *spool;
    struct pc_format_reader *reader; /* the one at work */
    struct pc_library_merge merge;
    uint64_t merged;
    int own_result; /* ENETWORK: our object names another network; 0: ours, or none was there */
};

/* ---- Of which network is it? ---- */

static int refuse_network(peercache *cache, const char *network, size_t size)
{
    pc_base_reason(
        &cache->error,
        "it is of the network \"%.*s\", not of \"%.48s\": nothing of it was taken (--network names "
        "another)",
        (int)(size < 48 ? size : 48), network, cache->network);
    return PEERCACHE_ENETWORK;
}

/* Our object `peercache`; one without a network says nothing. */
static int look_at_own(void *context, struct pc_bytes json)
{
    struct import *import = context;
    uint8_t *copy = malloc(json.size); /* strings are decoded where they stand */
    if (!copy)
        return PEERCACHE_ENOMEM;
    memcpy(copy, json.data, json.size);
    struct pc_value value = pc_format_value_of(copy, json.size);
    if (pc_format_value_kind(&value) == '{') {
        pc_format_value_enter(&value);
        while (pc_format_value_next(&value)) {
            struct pc_bytes name = pc_format_value_name(&value);
            bool is_network = pc_bytes_equal(name, pc_bytes_of("network", 7));
            if (!is_network || pc_format_value_kind(&value) != '"') {
                pc_format_value_skip(&value);
                continue;
            }
            struct pc_bytes network = pc_format_value_string(&value);
            if (!pc_bytes_equal(network, pc_bytes_of(import->cache->network, strlen(import->cache->network))))
                import->own_result = refuse_network(import->cache, (const char *)network.data, network.size);
        }
    }
    free(copy);
    return import->own_result;
}

/* Read on to the end, or until it is `enough`. */
static int read_document(struct import *import, bool own_is_enough)
{
    const struct pc_format_summary *summary = pc_format_reader_summary(import->reader);
    struct pc_bytes piece;
    int result;
    while ((result = pc_library_spool_next(import->spool, &piece)) == 0 && piece.size) {
        result = pc_format_reader_feed(import->reader, piece);
        if (result || (own_is_enough && summary->has_own))
            return result;
    }
    return result ? result : pc_format_reader_finish(import->reader);
}

static int fail_in_document(struct import *import, int result)
{
    const char *why = pc_format_reader_errmsg(import->reader);
    if (*why)
        pc_base_reason(&import->cache->error, "%s", why);
    return result;
}

static int first_look(struct import *import)
{
    const struct pc_format_options options = { .format = import->format,
                                               .head_only = true,
                                               .visitor = { .own = look_at_own, .context = import } };
    int result = pc_format_reader_new(&options, &import->reader);
    if (result)
        return result;
    result = read_document(import, true);
    const struct pc_format_summary *summary = pc_format_reader_summary(import->reader);
    if (result)
        result = import->own_result ? import->own_result : fail_in_document(import, result);
    else if (summary->has_network_version && strcmp(summary->network_version, import->cache->network) != 0)
        result = refuse_network(import->cache, summary->network_version, strlen(summary->network_version));
    pc_format_reader_free(import->reader);
    import->reader = NULL;
    return result;
}

/* ---- Its entries ---- */

/* Why an address may not be stored, as a word of the closed list. */
static enum pc_format_refusal refusal_of(struct pc_bytes addr, int result)
{
    struct pc_ip_port ignored;
    struct pc_leading_ip leading;
    if (result == PEERCACHE_ELIMIT)
        return PC_FORMAT_TOO_LONG;
    if (result == PEERCACHE_EPARSE)
        return PC_FORMAT_BAD_MULTIADDR;
    enum pc_addr_kind kind = pc_addr_classify(addr, &ignored);
    if (kind == PC_ADDR_RELAY)
        return PC_FORMAT_RELAY;
    if (kind == PC_ADDR_DNS)
        return PC_FORMAT_DNS_NAME;
    return pc_addr_leading_ip(addr, &leading) == 0 && pc_addr_scope_of(&leading.address) == PC_SCOPE_PRIVATE
               ? PC_FORMAT_PRIVATE
               : PC_FORMAT_UNUSABLE;
}

/* ELIMIT and the like end this address only. */
static int take_addr(struct import *import, const struct pc_format_item *item, size_t i)
{
    peercache *cache = import->cache;
    struct pc_record_addr addr = item->record.addrs[i];
    struct pc_reason why = { "" };
    bool known = false;
    struct pc_bytes bytes = pc_addr_maddr_bytes(&item->record.addrs[i].addr);
    int result = pc_addr_storable(bytes, cache->mode, import->trust, &addr.addr, &why);
    if (result)
        return pc_format_reader_refuse(import->reader, item, i, refusal_of(bytes, result), why.text);
    result = pc_library_merge_put(&import->merge, &item->record.id, &addr,
                                  item->has_state ? item->record.state : PEERCACHE_TRIED, &known);
    if (result == PEERCACHE_ELIMIT)
        return pc_format_reader_refuse(import->reader, item, i, PC_FORMAT_OVER_QUOTA,
                                       "no room in its share of the cache");
    if (result == PEERCACHE_EPERM)
        return pc_format_reader_refuse(import->reader, item, i, PC_FORMAT_BANNED, "banned");
    if (result)
        return result;
    import->merged += known;
    return 0;
}

static int take_item(void *context, const struct pc_format_item *item)
{
    struct import *import = context;
    int result = 0;
    for (size_t i = 0; i < item->record.addr_count && result == 0; i++)
        result = take_addr(import, item, i);
    return result;
}

static void summarise(const struct import *import, peercache_imported *ret_imported)
{
    const struct pc_format_summary *summary = pc_format_reader_summary(import->reader);
    *ret_imported = (peercache_imported){
        .format = (peercache_format)summary->format,
        .read = summary->read,
        .accepted = summary->accepted - import->merged,
        .merged = import->merged,
        .rejected = summary->rejected,
    };
    for (unsigned i = 0; i < PC_FORMAT_REFUSAL_COUNT; i++) {
        if (summary->reasons[i] == 0)
            continue;
        ret_imported->reasons[ret_imported->reason_count].reason =
            pc_format_refusal_name((enum pc_format_refusal)i);
        ret_imported->reasons[ret_imported->reason_count++].count = summary->reasons[i];
    }
    if (summary->rejected)
        memcpy(ret_imported->first_rejected, summary->first.text.text, sizeof(ret_imported->first_rejected));
}

static int second_look(struct import *import, peercache_imported *ret_imported)
{
    const struct pc_format_options options = { .format = import->format,
                                               .visitor = { .record = take_item, .context = import } };
    int result = pc_library_spool_again(import->spool);
    if (result == 0)
        result = pc_format_reader_new(&options, &import->reader);
    if (result)
        return result;
    result = read_document(import, false);
    int finished = pc_library_merge_finish(&import->merge);
    if (result)
        result = fail_in_document(import, result);
    summarise(import, ret_imported);
    return result ? result : finished;
}

int peercache_import(peercache *cache, peercache_format format, bool trust, peercache_time now,
                     peercache_read read, void *context, peercache_imported *ret_imported)
{
    _Static_assert(PC_FORMAT_REFUSAL_COUNT <= PEERCACHE_REASONS_MAX, "every reason has its place");
    _Static_assert(sizeof(((struct pc_reason *)0)->text) == PEERCACHE_DETAIL_BYTES, "a reason fits");
    struct import import = { .cache = cache, .trust = trust };
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    if (!read || !ret_imported || pc_library_format_of(format, &import.format))
        return pc_library_fail(cache, PEERCACHE_EINVAL, "import");
    (void)pc_library_advance(cache, now);
    cache->error.text[0] = '\0';
    *ret_imported = (peercache_imported){ .format = format };
    result = pc_library_spool_new(read, context, &import.spool);
    if (result == 0)
        result = pc_library_merge_init(&import.merge, cache, trust);
    if (result == 0)
        result = first_look(&import);
    if (result == 0)
        result = second_look(&import, ret_imported);
    if (result && cache->error.text[0] == '\0')
        (void)pc_library_fail(cache, result, "import");
    pc_format_reader_free(import.reader);
    pc_library_merge_deinit(&import.merge);
    pc_library_spool_free(import.spool);
    return result;
}
