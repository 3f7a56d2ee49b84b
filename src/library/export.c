/* Export: every record through a writer of the format room, one at a time. */
#include "library/format.h"
#include "library/handle.h"

#include "base/basex.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define SECRET_BYTES sizeof(((struct pc_store *)0)->secret)

struct export
{
    peercache_write write;
    void *context;
    struct pc_format_writer *writer;
};

static int write_bytes(void *context, struct pc_bytes bytes)
{
    const struct export *export = context;
    return export->write(export->context, bytes.data, bytes.size);
}

static int write_record(void *context, const struct pc_record *record)
{
    const struct export *export = context;
    return pc_format_writer_record(export->writer, record);
}

/* Append a JSON string; `capacity` has room for six bytes a character, and the quotes. */
static size_t quote(const char *text, char *ret_quoted)
{
    size_t size = 0;
    ret_quoted[size++] = '"';
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20)
            size += (size_t)snprintf(ret_quoted + size, 7, "\\u%04x", c);
        else {
            if (c == '"' || c == '\\')
                ret_quoted[size++] = '\\';
            ret_quoted[size++] = *text;
        }
    }
    ret_quoted[size++] = '"';
    ret_quoted[size] = '\0';
    return size;
}

/*
 * The object `peercache` of a list: of which network it is; and with it the list is a JSON file that can be
 * opened as a cache. Its secret is a new one, derived: who is given an export shall not learn the buckets of
 * the cache it came from.
 */
static char *own_text(peercache *cache)
{
    static const char purpose[] = "peercache export";
    uint8_t secret[SECRET_BYTES];
    char hex[2 * sizeof(secret) + 1];
    size_t size = 6 * strlen(cache->network) + 256;
    char *quoted = malloc(size), *text = malloc(size);
    if (quoted && text) {
        if (cache->store)
            (void)crypto_generichash(secret, sizeof(secret), (const uint8_t *)purpose, sizeof(purpose),
                                     cache->store->secret,
                                     SECRET_BYTES); /* fails only on sizes out of range */
        else
            pc_base_rng_bytes(&cache->rng, secret, sizeof(secret));
        (void)pc_base_hex_encode(secret, sizeof(secret), hex, sizeof(hex)); /* it fits */
        (void)quote(cache->network, quoted);
        (void)snprintf(text, size,
                       "{\"version\":1,\"network\":%s,\"mode\":\"%s\",\"secret\":\"%s\",\"change\":0,"
                       "\"ledger\":[],\"tombstones\":[]}",
                       quoted, cache->mode == PC_NETGROUP_LOCAL ? "local" : "public", hex);
        free(quoted);
        return text;
    }
    free(quoted);
    free(text);
    return NULL;
}

int peercache_export(peercache *cache, peercache_format format, peercache_time now, peercache_write write,
                     void *context, uint64_t *ret_left_out)
{
    struct export export = { .write = write, .context = context };
    struct pc_format_writer_options options = { .write = write_bytes, .context = &export };
    char *own = NULL;
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    if (!write || format == PEERCACHE_FORMAT_ANY || pc_library_format_of(format, &options.format))
        return pc_library_fail(cache, PEERCACHE_EINVAL, "export");
    options.last_updated_ms = pc_library_advance(cache, now);
    options.network_version = cache->network;
    if (format == PEERCACHE_FORMAT_LIST) {
        own = own_text(cache);
        if (!own)
            return pc_library_fail(cache, PEERCACHE_ENOMEM, "export");
        options.own = pc_bytes_of(own, strlen(own));
    }
    cache->error.text[0] = '\0';
    result = pc_format_writer_new(&options, &export.writer);
    free(own);
    if (result)
        return pc_library_fail(cache, result, "export");
    result = pc_library_walk(cache, write_record, &export);
    if (result == 0)
        result = pc_format_writer_end(export.writer);
    if (result == 0 && ret_left_out)
        *ret_left_out = pc_format_writer_left_out(export.writer);
    pc_format_writer_free(export.writer);
    if (result && cache->error.text[0] == '\0')
        (void)pc_library_fail(cache, result, "export");
    return result;
}
