#include "library/first_look.h"

#include "format/json_value.h"

#include <stdlib.h>

struct look {
    peercache *cache;
    int own_result; /* ENETWORK: our object names another network */
};

static int refuse(peercache *cache, struct pc_bytes network)
{
    pc_base_reason(&cache->error, "it is of the network \"%.*s\", not of \"%.48s\": nothing of it was taken",
                   (int)(network.size < 48 ? network.size : 48), (const char *)network.data, cache->network);
    return PEERCACHE_ENETWORK;
}

static bool is_ours(const peercache *cache, struct pc_bytes network)
{
    return pc_bytes_equal(network, pc_bytes_of(cache->network, strlen(cache->network)));
}

/* Our object `peercache`; one without a network says nothing. */
static int look_at_own(void *context, struct pc_bytes json)
{
    struct look *look = context;
    uint8_t *copy = malloc(json.size); /* strings are decoded where they stand */
    if (!copy)
        return PEERCACHE_ENOMEM;
    memcpy(copy, json.data, json.size);
    struct pc_value value = pc_format_value_of(copy, json.size);
    pc_format_value_enter(&value);
    while (pc_format_value_next(&value)) {
        bool is_network = pc_bytes_equal(pc_format_value_name(&value), pc_bytes_of("network", 7));
        if (!is_network || pc_format_value_kind(&value) != '"') {
            pc_format_value_skip(&value);
            continue;
        }
        struct pc_bytes network = pc_format_value_string(&value);
        if (!is_ours(look->cache, network))
            look->own_result = refuse(look->cache, network);
    }
    free(copy);
    return look->own_result;
}

/* To the end, or until our own object was there. */
static int read_head(struct pc_format_reader *reader, struct pc_library_spool *spool)
{
    const struct pc_format_summary *summary = pc_format_reader_summary(reader);
    struct pc_bytes piece;
    int result;
    while ((result = pc_library_spool_next(spool, &piece)) == 0 && piece.size) {
        result = pc_format_reader_feed(reader, piece);
        if (result || summary->has_own)
            return result;
    }
    return result ? result : pc_format_reader_finish(reader);
}

int pc_library_first_look(peercache *cache, enum pc_format format, struct pc_library_spool *spool)
{
    struct look look = { .cache = cache };
    const struct pc_format_options options = { .format = format,
                                               .head_only = true,
                                               .visitor = { .own = look_at_own, .context = &look } };
    struct pc_format_reader *reader = NULL;
    int result = pc_format_reader_new(&options, &reader);
    if (result)
        return pc_library_fail(cache, result, "import");
    result = read_head(reader, spool);
    const struct pc_format_summary *summary = pc_format_reader_summary(reader);
    struct pc_bytes network = pc_bytes_of(summary->network_version, strlen(summary->network_version));
    if (look.own_result)
        result = look.own_result;
    else if (result && *pc_format_reader_errmsg(reader))
        pc_base_reason(&cache->error, "%s", pc_format_reader_errmsg(reader));
    else if (result)
        (void)pc_library_fail(cache, result, "import");
    else if (summary->has_network_version && !is_ours(cache, network))
        result = refuse(cache, network);
    pc_format_reader_free(reader);
    return result;
}
