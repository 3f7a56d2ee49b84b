#include "driver/endpoint_room.h"

#include "join/endpoint_memory.h"

#include <stdlib.h>

#define FIRST_ROOM 64

struct remembered {
    struct pc_endpoint_used *all;
    size_t count, room;
    const char *key; /* whose room is looked for */
    bool has_it;
};

static int on_key(void *context, const char *key)
{
    struct remembered *remembered = context;
    size_t size = strlen(key);
    remembered->has_it = remembered->has_it || strcmp(key, remembered->key) == 0;
    if (size >= PC_ENDPOINT_KEY_BYTES)
        return 0; /* none of ours */
    if (remembered->count == remembered->room) {
        size_t room = remembered->room > 0 ? 2 * remembered->room : FIRST_ROOM;
        struct pc_endpoint_used *larger = realloc(remembered->all, room * sizeof(*larger));
        if (!larger)
            return PEERCACHE_ENOMEM;
        remembered->all = larger;
        remembered->room = room;
    }
    struct pc_endpoint_used *used = &remembered->all[remembered->count++];
    memcpy(used->key, key, size + 1);
    used->used_ms = 0;
    return 0;
}

/* ENOMEM. What can't be read was of use never. */
static int used_ms_of(struct pc_bytes value, int64_t *ret_used_ms)
{
    struct pc_endpoint_memory memory;
    int result = pc_endpoint_memory_read(value, &memory);
    *ret_used_ms = result == 0 ? pc_endpoint_memory_used_ms(&memory) : 0;
    if (result == 0)
        pc_endpoint_memory_deinit(&memory);
    return result == PEERCACHE_ENOMEM ? result : 0;
}

static int read_times(struct pc_store *store, struct remembered *remembered)
{
    uint8_t *bytes = malloc(PC_STORE_META_VALUE_MAX_BYTES);
    int result = bytes ? 0 : PEERCACHE_ENOMEM;
    for (size_t i = 0; i < remembered->count && result == 0; i++) {
        struct pc_endpoint_used *used = &remembered->all[i];
        size_t size = 0;
        result = pc_store_meta_get(store, used->key, bytes, PC_STORE_META_VALUE_MAX_BYTES, &size);
        if (result == 0)
            result = used_ms_of(pc_bytes_of(bytes, size), &used->used_ms);
        else if (result == PEERCACHE_ENOTFOUND) /* another process forgot it */
            result = 0;
    }
    free(bytes);
    return result;
}

struct forgetting {
    int64_t used_ms, now_ms;
    int result;
};

static bool forget_value(void *context, struct pc_bytes value, struct pc_bytes *ret_value)
{
    struct forgetting *forgetting = context;
    int64_t used_ms = 0;
    if (!value.data)
        return false;
    forgetting->result = used_ms_of(value, &used_ms);
    *ret_value = pc_bytes_of(NULL, 0);
    /* a time yet to come was counted as never */
    return forgetting->result == 0 && (used_ms == forgetting->used_ms || used_ms > forgetting->now_ms);
}

static int forget(struct pc_store *store, const struct pc_endpoint_used *used, int64_t now_ms,
                  uint32_t timeout_ms)
{
    struct forgetting forgetting = { .used_ms = used->used_ms, .now_ms = now_ms };
    int result = pc_store_meta_update(store, used->key, forget_value, &forgetting, timeout_ms);
    return result == 0 ? forgetting.result : result;
}

int pc_driver_endpoint_room(struct pc_store *store, const char *key, int64_t now_ms, uint32_t timeout_ms)
{
    struct remembered remembered = { .key = key };
    int result = pc_store_meta_keys(store, PC_ENDPOINT_KEY_PREFIX, on_key, &remembered);
    if (result == 0 && !remembered.has_it && remembered.count >= PC_ENDPOINT_MEMORIES_MAX &&
        !store->read_only) {
        result = read_times(store, &remembered);
        size_t stay = result == 0 ? pc_endpoint_memory_stay(remembered.all, remembered.count, now_ms) : 0;
        for (size_t i = stay; i < remembered.count && result == 0; i++)
            result = forget(store, &remembered.all[i], now_ms, timeout_ms);
    }
    free(remembered.all);
    return result;
}
