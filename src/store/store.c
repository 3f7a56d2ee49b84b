/* What is the same for every kind of store: which kind a name chooses, and the way through its slots. */
#include "store/store.h"

#include "store/json_file.h"
#include "store/paths.h"
#include "store/sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* The name chooses: of a link the name at its end. */
static bool is_json(const char *path)
{
    char *end = realpath(path, NULL); /* NULL: it is not there yet, or memory is out */
    bool is = pc_store_path_ends_with(end ? end : path, ".json");
    free(end);
    return is;
}

int pc_store_open(const char *path, const struct pc_store_options *options, struct pc_store **ret_store,
                  struct pc_reason *ret_reason)
{
    if (path[0] == '\0' || !options->network || options->network[0] == '\0') {
        pc_base_reason(ret_reason, path[0] ? "the network has no name" : "the path of the cache is empty");
        return PEERCACHE_EINVAL;
    }
    if (is_json(path))
        return pc_store_json_open(path, options, ret_store, ret_reason);
    if (!options->read_only && pc_store_path_is_remote(path)) {
        pc_base_reason(ret_reason,
                       "%s: on a network file system SQLite's log is not safe; a name ending in .json (the "
                       "JSON file) works there",
                       path);
        return PEERCACHE_EUNSUPPORTED;
    }
    return pc_store_sqlite_open(path, options, ret_store, ret_reason);
}

void pc_store_close(struct pc_store *store)
{
    if (store)
        store->ops->close(store);
}

int pc_store_query(struct pc_store *store, const struct pc_store_query *query, pc_store_visit visit,
                   void *context)
{
    return store->ops->query(store, query, visit, context);
}

int pc_store_commit(struct pc_store *store, uint64_t sequence, const struct pc_delta *deltas, size_t count,
                    int64_t now_ms, uint32_t timeout_ms)
{
    if (store->read_only || count == 0)
        return 0;
    return store->ops->commit(store, sequence, deltas, count, now_ms, timeout_ms);
}

int pc_store_meta_get(struct pc_store *store, const char *key, uint8_t *ret_value, size_t capacity,
                      size_t *ret_size)
{
    return store->ops->meta_get(store, key, ret_value, capacity, ret_size);
}

static bool replace(void *context, struct pc_bytes value, struct pc_bytes *ret_value)
{
    (void)value;
    *ret_value = *(const struct pc_bytes *)context;
    return true;
}

int pc_store_meta_put(struct pc_store *store, const char *key, struct pc_bytes value, uint32_t timeout_ms)
{
    if (!value.data)
        value = pc_bytes_of("", 0); /* an empty value is one too */
    return store->read_only ? 0 : pc_store_meta_update(store, key, replace, &value, timeout_ms);
}

/* Of a store that can't be written: what it has is shown to `change` all the same. */
static int show_meta(struct pc_store *store, const char *key, pc_store_change change, void *context)
{
    size_t size = 0;
    struct pc_bytes ignored;
    uint8_t *value = malloc(PC_STORE_META_VALUE_MAX_BYTES);
    if (!value)
        return PEERCACHE_ENOMEM;
    int result = pc_store_meta_get(store, key, value, PC_STORE_META_VALUE_MAX_BYTES, &size);
    if (result == 0 || result == PEERCACHE_ENOTFOUND) {
        (void)change(context, pc_bytes_of(result == 0 ? value : NULL, size), &ignored);
        result = 0;
    }
    free(value);
    return result;
}

int pc_store_meta_update(struct pc_store *store, const char *key, pc_store_change change, void *context,
                         uint32_t timeout_ms)
{
    if (strlen(key) > PC_STORE_META_KEY_MAX_BYTES) {
        pc_base_reason(&store->error, "%s: a key of the metadata is over %d bytes", store->path,
                       PC_STORE_META_KEY_MAX_BYTES);
        return PEERCACHE_ELIMIT;
    }
    return store->read_only ? show_meta(store, key, change, context)
                            : store->ops->meta_update(store, key, change, context, timeout_ms);
}

int pc_store_meta_keys(struct pc_store *store, const char *prefix, pc_store_visit_key visit, void *context)
{
    return store->ops->meta_keys(store, prefix, visit, context);
}

int pc_store_bans(struct pc_store *store, pc_store_visit_ban visit, void *context)
{
    return store->ops->bans(store, visit, context);
}

int pc_store_ban_put(struct pc_store *store, const struct pc_ban *bans, size_t count, uint32_t timeout_ms)
{
    if (store->read_only || count == 0)
        return 0;
    return store->ops->ban_put(store, bans, count, timeout_ms);
}

int pc_store_removals(struct pc_store *store, pc_store_visit_removal visit, void *context)
{
    return store->ops->removals(store, visit, context);
}

int pc_store_count(struct pc_store *store, uint64_t ret_counts[PEERCACHE_STATE_COUNT])
{
    return store->ops->count(store, ret_counts);
}

uint64_t pc_store_size_bytes(const struct pc_store *store)
{
    static const char *const companions[] = { "", "-wal", "-shm" };
    uint64_t size_bytes = 0;
    for (size_t i = 0; i < sizeof(companions) / sizeof(companions[0]); i++) {
        char path[PC_STORE_PATH_BYTES];
        struct stat info;
        if (pc_store_path_with(store->path, companions[i], path) == 0 && stat(path, &info) == 0)
            size_bytes += (uint64_t)info.st_size;
    }
    return size_bytes;
}

int pc_store_repair(struct pc_store *store, uint32_t timeout_ms)
{
    if (store->read_only) {
        pc_base_reason(&store->error, "%s: read-only: it can't be repaired", store->path);
        return PEERCACHE_EREADONLY;
    }
    return store->ops->repair(store, timeout_ms);
}

int pc_store_check(struct pc_store *store)
{
    return store->ops->check(store);
}

int pc_store_default_path(const struct pc_store_environment *environment, const char *network, bool local,
                          char *ret_path, size_t capacity)
{
    char base[PC_STORE_PATH_BYTES];
    const char *suffix = local ? "-local" : "";
    int length;
    if (network[0] == '\0' || network[0] == '.' || strchr(network, '/'))
        return PEERCACHE_EINVAL;
    /* Empty is as good as not set; a relative path in XDG_STATE_HOME is to be ignored (XDG Base Directory).
     */
    if (environment->state_directory && environment->state_directory[0] == '/')
        length = snprintf(base, sizeof(base), "%.*s", (int)strcspn(environment->state_directory, ":"),
                          environment->state_directory);
    else if (environment->xdg_state_home && environment->xdg_state_home[0] == '/')
        length = snprintf(base, sizeof(base), "%s/peercache", environment->xdg_state_home);
    else if (environment->home && environment->home[0] == '/')
        length = snprintf(base, sizeof(base), "%s/.local/state/peercache", environment->home);
    else
        return PEERCACHE_ENOTFOUND;
    if (length < 0 || (size_t)length >= sizeof(base))
        return PEERCACHE_ELIMIT;
    char path[2 * PC_STORE_PATH_BYTES];
    length = snprintf(path, sizeof(path), "%s/%s%s/peers.db", base, network, suffix);
    if (length < 0 || (size_t)length >= sizeof(path) || (size_t)length >= capacity)
        return PEERCACHE_ELIMIT;
    memcpy(ret_path, path, (size_t)length + 1);
    return 0;
}
