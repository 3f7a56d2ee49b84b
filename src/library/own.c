#include "library/own.h"

#include "store/json_text.h"

#include <sodium.h>
#include <stdlib.h>

#define BATCH_MAX 1000 /* removals of one commit */

/* A document without peers, to put the object together or apart. */
static int document_new(peercache *cache, struct pc_json_document **ret_document)
{
    uint8_t hash_secret[16];
    pc_base_rng_bytes(&cache->rng, hash_secret, sizeof(hash_secret));
    int result = pc_json_document_new(hash_secret, ret_document);
    return result ? pc_library_fail(cache, result, "memory") : 0;
}

/* ---- Writing ---- */

static void secret_of(peercache *cache, uint8_t ret_secret[PC_LIBRARY_SECRET_BYTES])
{
    static const char purpose[] = "peercache export";
    if (cache->store)
        (void)crypto_generichash(ret_secret, PC_LIBRARY_SECRET_BYTES, (const uint8_t *)purpose,
                                 sizeof(purpose), cache->store->secret,
                                 PC_LIBRARY_SECRET_BYTES); /* sizes in its range */
    else
        pc_base_rng_bytes(&cache->rng, ret_secret, PC_LIBRARY_SECRET_BYTES);
}

static int put_ban(void *context, const struct pc_ban *ban)
{
    return pc_json_document_ban(context, ban);
}

static int put_removal(void *context, const struct pc_delta *removal)
{
    struct pc_cache_key key;
    struct pc_bytes addr = pc_addr_maddr_bytes(&removal->addr);
    pc_cache_key_of(&removal->id, addr, &key);
    return pc_json_document_bury(context, pc_cache_key_bytes(&key),
                                 removal->id.size ? addr : pc_bytes_of(NULL, 0), removal->removed_ms);
}

/* In memory only there are no removals to tell: no other process could bring anything back. */
static int put_all(peercache *cache, struct pc_json_document *document)
{
    const struct pc_bans *bans = pc_cache_set_bans(cache->set);
    int result = 0;
    if (!cache->store) {
        for (size_t i = 0; i < bans->count && result == 0; i++)
            result = put_ban(document, &bans->bans[i]);
        return result;
    }
    cache->store->error.text[0] = '\0';
    result = pc_store_bans(cache->store, put_ban, document);
    return result ? result : pc_store_removals(cache->store, put_removal, document);
}

int pc_library_own_write(peercache *cache, uint8_t ret_secret[PC_LIBRARY_SECRET_BYTES], char **ret_text)
{
    struct pc_json_document *document;
    int result = document_new(cache, &document);
    if (result)
        return result;
    memcpy(document->network, cache->network, strlen(cache->network) + 1);
    document->mode = cache->mode;
    secret_of(cache, ret_secret);
    memcpy(document->secret, ret_secret, PC_LIBRARY_SECRET_BYTES);
    result = put_all(cache, document);
    char *text = result ? NULL : pc_json_own_write(document);
    pc_json_document_free(document);
    if (text) {
        *ret_text = text;
        return 0;
    }
    if (result && cache->store && cache->store->error.text[0])
        return pc_library_fail_in_store(cache, result);
    return pc_library_fail(cache, result ? result : PEERCACHE_ENOMEM, "export");
}

/* ---- Taking in ---- */

static int take_bans(peercache *cache, const struct pc_json_document *document)
{
    int result = cache->store ? pc_store_ban_put(cache->store, document->bans, document->ban_count,
                                                 PC_STORE_LOCK_TIMEOUT_MS)
                              : 0;
    if (result)
        return pc_library_fail_in_store(cache, result);
    result = pc_cache_set_ban(cache->set, document->bans, document->ban_count);
    return result ? pc_library_fail(cache, result, "bans") : 0;
}

struct removals {
    peercache *cache;
    struct pc_delta *deltas; /* BATCH_MAX of them */
    size_t count;
};

static int commit_removals(struct removals *removals)
{
    peercache *cache = removals->cache;
    int result = pc_store_commit(cache->store, ++cache->sequence, removals->deltas, removals->count,
                                 cache->now_ms, PC_STORE_LOCK_TIMEOUT_MS);
    removals->count = 0;
    return result ? pc_library_fail_in_store(cache, result) : 0;
}

static int take_removal(void *context, const struct pc_delta *removal)
{
    struct removals *removals = context;
    peercache *cache = removals->cache;
    bool known;
    int result;
    if (removal->removed_ms <= 0)
        return 0; /* a date that says nothing */
    if (!cache->store) {
        result = pc_cache_set_take_in(cache->set, removal, cache->now_ms, &known);
        return result ? pc_library_fail(cache, result, "removals") : 0;
    }
    result = removals->count == BATCH_MAX ? commit_removals(removals) : 0;
    if (result == 0)
        removals->deltas[removals->count++] = *removal;
    return result;
}

static int take_removals(peercache *cache, const struct pc_json_document *document)
{
    struct removals removals = { .cache = cache, .deltas = malloc(BATCH_MAX * sizeof(struct pc_delta)) };
    if (!removals.deltas)
        return pc_library_fail(cache, PEERCACHE_ENOMEM, "removals");
    int result = pc_json_document_visit_removals(document, take_removal, &removals);
    if (result == 0 && removals.count)
        result = commit_removals(&removals);
    free(removals.deltas);
    return result;
}

int pc_library_own_take(peercache *cache, struct pc_bytes json)
{
    struct pc_json_document *document;
    const struct pc_json_wanted wanted = { .network = cache->network,
                                           .mode = cache->mode,
                                           .is_import = true };
    struct pc_reason reason = { "" };
    int result = document_new(cache, &document);
    if (result)
        return result;
    result = pc_json_own_read(json, &wanted, document, &reason);
    if (result) {
        result = result == PEERCACHE_ECORRUPT ? PEERCACHE_EPARSE : result;
        pc_base_reason(&cache->error, "%s", reason.text[0] ? reason.text : peercache_strerror(result));
    } else {
        result = take_bans(cache, document);
    }
    if (result == 0)
        result = take_removals(cache, document);
    pc_json_document_free(document);
    return result;
}
