/* Options of open, and filters of pick. */
#include "library/internal.h"

#include <stdlib.h>

peercache_options *peercache_options_new(void)
{
    peercache_options *options = calloc(1, sizeof(*options));
    if (!options)
        return NULL;
    options->max_peers = PEERCACHE_MAX_PEERS_DEFAULT;
    options->max_addrs = PEERCACHE_ADDRS_PER_PEER;
    options->max_record_bytes = PEERCACHE_MAX_RECORD_BYTES;
    options->retention_ms = PEERCACHE_RETENTION_DEFAULT_MS;
    options->prune_interval_ms = PEERCACHE_PRUNE_INTERVAL_DEFAULT_MS;
    options->source_limit =
        (struct pc_rate_limit){ PEERCACHE_SOURCE_BURST_DEFAULT, PEERCACHE_SOURCE_PER_MIN_DEFAULT };
    options->total_limit =
        (struct pc_rate_limit){ PEERCACHE_TOTAL_BURST_DEFAULT, PEERCACHE_TOTAL_PER_MIN_DEFAULT };
    return options;
}

void peercache_options_free(peercache_options *options)
{
    free(options);
}

void peercache_options_set_local(peercache_options *options, bool local)
{
    if (options)
        options->local = local;
}

void peercache_options_set_read_only(peercache_options *options, bool read_only)
{
    if (options)
        options->read_only = read_only;
}

void peercache_options_set_create(peercache_options *options, bool create)
{
    if (options)
        options->no_create = !create;
}

int peercache_options_set_max_peers(peercache_options *options, uint32_t max_peers)
{
    if (!options || max_peers == 0 || max_peers > PEERCACHE_MAX_PEERS_LIMIT)
        return PEERCACHE_EINVAL;
    options->max_peers = max_peers;
    return 0;
}

int peercache_options_set_max_addrs(peercache_options *options, uint32_t max_addrs)
{
    if (!options || max_addrs == 0 || max_addrs > PEERCACHE_ADDRS_PER_PEER)
        return PEERCACHE_EINVAL;
    options->max_addrs = max_addrs;
    return 0;
}

int peercache_options_set_max_record_bytes(peercache_options *options, uint32_t max_bytes)
{
    if (!options || max_bytes < PEERCACHE_MAX_RECORD_BYTES_MIN || max_bytes > PEERCACHE_MAX_RECORD_BYTES)
        return PEERCACHE_EINVAL;
    options->max_record_bytes = max_bytes;
    return 0;
}

int peercache_options_set_retention_ms(peercache_options *options, int64_t retention_ms)
{
    if (!options || retention_ms < PEERCACHE_RETENTION_MIN_MS)
        return PEERCACHE_EINVAL;
    options->retention_ms = retention_ms;
    return 0;
}

static int set_limit(struct pc_rate_limit *limit, uint32_t burst, uint32_t per_min)
{
    if (burst > PEERCACHE_RATE_LIMIT_MAX || per_min > PEERCACHE_RATE_LIMIT_MAX || (burst && !per_min))
        return PEERCACHE_EINVAL;
    *limit = (struct pc_rate_limit){ burst, per_min };
    return 0;
}

int peercache_options_set_source_limit(peercache_options *options, uint32_t burst, uint32_t per_min)
{
    return options ? set_limit(&options->source_limit, burst, per_min) : PEERCACHE_EINVAL;
}

int peercache_options_set_total_limit(peercache_options *options, uint32_t burst, uint32_t per_min)
{
    return options ? set_limit(&options->total_limit, burst, per_min) : PEERCACHE_EINVAL;
}

void peercache_options_set_seed_rule(peercache_options *options, bool seed_rule)
{
    if (options)
        options->seed_rule = seed_rule;
}

int peercache_options_set_prune_interval_ms(peercache_options *options, int64_t interval_ms)
{
    if (!options || interval_ms < 0)
        return PEERCACHE_EINVAL;
    options->prune_interval_ms = interval_ms;
    return 0;
}

void peercache_options_set_seed(peercache_options *options, const uint8_t seed[32])
{
    if (!options || !seed)
        return;
    memcpy(options->seed, seed, sizeof(options->seed));
    options->has_seed = true;
}

peercache_filter *peercache_filter_new(void)
{
    return calloc(1, sizeof(peercache_filter));
}

void peercache_filter_free(peercache_filter *filter)
{
    if (filter)
        free(filter->left_out);
    free(filter);
}

int peercache_filter_set_dialable(peercache_filter *filter, uint32_t transports, uint32_t families)
{
    if (!filter || !transports || !families || transports & ~(uint32_t)PEERCACHE_TRANSPORT_ANY ||
        families & ~(uint32_t)PEERCACHE_FAMILY_ANY)
        return PEERCACHE_EINVAL;
    filter->filter.transports = transports == PEERCACHE_TRANSPORT_ANY ? 0 : transports;
    filter->filter.families = families == PEERCACHE_FAMILY_ANY ? 0 : families;
    return 0;
}

int peercache_filter_leave_out(peercache_filter *filter, const char *peer_id_or_addr)
{
    struct pc_peer_id id;
    struct pc_maddr addr;
    struct pc_cache_key key;
    int result = filter ? pc_library_parse_peer(NULL, peer_id_or_addr, &id, &addr) : PEERCACHE_EINVAL;
    if (result)
        return result;
    pc_cache_key_of(&id, pc_addr_maddr_bytes(&addr), &key);
    size_t count = filter->filter.left_out_count;
    if (count == PEERCACHE_LEFT_OUT_MAX)
        return PEERCACHE_ELIMIT;
    if (count == filter->left_out_capacity) {
        size_t capacity = count ? 2 * count : 16;
        struct pc_cache_key *grown = realloc(filter->left_out, capacity * sizeof(*grown));
        if (!grown)
            return PEERCACHE_ENOMEM;
        filter->left_out = grown;
        filter->left_out_capacity = capacity;
    }
    size_t at = count;
    while (at > 0 && pc_cache_key_compare(&filter->left_out[at - 1], &key) > 0)
        at--;
    memmove(&filter->left_out[at + 1], &filter->left_out[at], (count - at) * sizeof(key));
    filter->left_out[at] = key;
    filter->filter.left_out = filter->left_out;
    filter->filter.left_out_count++;
    return 0;
}

void peercache_filter_set_seed(peercache_filter *filter, const uint8_t seed[32])
{
    if (!filter || !seed)
        return;
    memcpy(filter->seed, seed, sizeof(filter->seed));
    filter->has_seed = true;
}
