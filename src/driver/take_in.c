#include "driver/take_in.h"

#include "cache/pack.h"

#include <stdio.h>
#include <stdlib.h>

/* state, id with its size, how many addresses, those */
#define RECORD_MAX_BYTES                                                                                     \
    (3 + PC_PEER_ID_MAX_BYTES + PEERCACHE_ADDRS_PER_PEER * PC_CACHE_PACKED_ADDR_MAX_BYTES)
#define FIRST_BYTES ((size_t)64 * 1024)

struct pc_driver_take_in {
    struct pc_driver_store_worker *worker;
    struct pc_driver_take_in_handler handler;
    struct pc_driver_store_job job;
    bool is_under_way;
    bool is_wanted_again;
    int result;
    struct pc_reason failure; /* "": none */
    struct pc_ban *bans;
    size_t ban_count;
    size_t ban_room;
    uint8_t *packed;
    size_t size;
    size_t room;
};

int pc_driver_take_in_new(struct pc_driver_store_worker *worker,
                          const struct pc_driver_take_in_handler *handler,
                          struct pc_driver_take_in **ret_take_in)
{
    struct pc_driver_take_in *take_in = calloc(1, sizeof(*take_in));
    if (!take_in)
        return PEERCACHE_ENOMEM;
    take_in->worker = worker;
    take_in->handler = *handler;
    *ret_take_in = take_in;
    return 0;
}

static void empty(struct pc_driver_take_in *take_in)
{
    free(take_in->bans);
    free(take_in->packed);
    take_in->bans = NULL;
    take_in->packed = NULL;
    take_in->ban_count = take_in->ban_room = 0;
    take_in->size = take_in->room = 0;
    take_in->failure.text[0] = '\0';
    take_in->result = 0;
}

void pc_driver_take_in_free(struct pc_driver_take_in *take_in)
{
    if (!take_in)
        return;
    empty(take_in);
    free(take_in);
}

/* ----- on a thread of the pool ----- */

static int keep_ban(void *context, const struct pc_ban *ban)
{
    struct pc_driver_take_in *take_in = context;
    if (take_in->ban_count == take_in->ban_room) {
        size_t room = take_in->ban_room ? 2 * take_in->ban_room : 16;
        struct pc_ban *bans = realloc(take_in->bans, room * sizeof(*bans));
        if (!bans)
            return PEERCACHE_ENOMEM;
        take_in->bans = bans;
        take_in->ban_room = room;
    }
    take_in->bans[take_in->ban_count++] = *ban;
    return 0;
}

static int make_room(struct pc_driver_take_in *take_in)
{
    if (take_in->room - take_in->size >= RECORD_MAX_BYTES)
        return 0;
    if (take_in->room >= PC_DRIVER_TAKE_IN_MAX_BYTES)
        return PEERCACHE_ELIMIT;
    size_t room = take_in->room ? 2 * take_in->room : FIRST_BYTES;
    uint8_t *packed = realloc(take_in->packed, room);
    if (!packed)
        return PEERCACHE_ENOMEM;
    take_in->packed = packed;
    take_in->room = room;
    return 0;
}

static int keep_record(void *context, const struct pc_record *record)
{
    struct pc_driver_take_in *take_in = context;
    struct pc_writer w;
    int result = make_room(take_in);
    if (result != 0)
        return result;
    pc_base_writer_init(&w, take_in->packed + take_in->size, take_in->room - take_in->size);
    pc_base_write_u8(&w, (uint8_t)record->state);
    pc_base_write_u32(&w, record->bucket);
    pc_base_write_u8(&w, record->id.size);
    pc_base_write_bytes(&w, record->id.bytes, record->id.size);
    pc_base_write_u8(&w, record->addr_count);
    for (size_t i = 0; i < record->addr_count; i++)
        pc_cache_pack_addr(&w, &record->addrs[i]);
    take_in->size += pc_base_writer_size(&w);
    return w.error;
}

static void work(void *context, struct pc_store *store)
{
    static const struct pc_store_query changed = { .kind = PC_STORE_CHANGED };
    struct pc_driver_take_in *take_in = context;
    if (!store)
        return; /* there is none yet */
    int result = pc_store_bans(store, keep_ban, take_in);
    if (result == 0)
        result = pc_store_query(store, &changed, keep_record, take_in);
    take_in->result = result;
    if (result == PEERCACHE_ELIMIT || result == PEERCACHE_ENOMEM)
        pc_base_reason(&take_in->failure, "%s", peercache_strerror(result));
    else if (result != 0)
        take_in->failure = store->error;
}

/* ----- on the loop's thread ----- */

static bool next_record(struct pc_reader *r, struct pc_record *ret_record)
{
    if (pc_base_reader_left(r) == 0)
        return false;
    memset(ret_record, 0, sizeof(*ret_record));
    ret_record->state = pc_base_read_u8(r) == PEERCACHE_TRIED ? PEERCACHE_TRIED : PEERCACHE_NEW;
    ret_record->bucket = pc_base_read_u32(r);
    ret_record->id.size = pc_base_read_u8(r);
    struct pc_bytes id = pc_base_read_bytes(r, ret_record->id.size);
    if (id.size > 0)
        memcpy(ret_record->id.bytes, id.data, id.size);
    ret_record->addr_count = pc_base_read_u8(r);
    for (size_t i = 0; i < ret_record->addr_count && i < PEERCACHE_ADDRS_PER_PEER; i++)
        if (!pc_cache_unpack_addr(r, &ret_record->addrs[i]))
            return false; /* never: it is what was packed */
    return r->error == 0;
}

static void done(void *context, int result)
{
    struct pc_driver_take_in *take_in = context;
    struct pc_record record;
    struct pc_reader r;
    if (result != 0) {
        take_in->result = result;
        pc_base_reason(&take_in->failure, "no thread read it");
    }
    for (size_t i = 0; i < take_in->ban_count; i++)
        take_in->handler.ban(take_in->handler.context, &take_in->bans[i]);
    pc_base_reader_init(&r, take_in->packed, take_in->size);
    while (next_record(&r, &record))
        take_in->handler.record(take_in->handler.context, &record);
    result = take_in->result;
    struct pc_reason failure = take_in->failure;
    empty(take_in);
    take_in->is_under_way =
        false; /* only now: being told may ask for more, and a thread would fill what is read here */
    if (take_in->is_wanted_again && result == 0) {
        pc_driver_take_in_begin(take_in);
    } else {
        take_in->is_wanted_again = false;
        take_in->handler.done(take_in->handler.context, result, failure.text);
    }
}

void pc_driver_take_in_begin(struct pc_driver_take_in *take_in)
{
    take_in->is_wanted_again = take_in->is_under_way;
    if (take_in->is_under_way)
        return;
    take_in->job = (struct pc_driver_store_job){ .work = work, .done = done, .context = take_in };
    take_in->is_under_way = pc_driver_store_worker_do(take_in->worker, &take_in->job) == 0;
    if (!take_in->is_under_way)
        take_in->handler.done(take_in->handler.context, PEERCACHE_EIO, "no thread read it");
}
