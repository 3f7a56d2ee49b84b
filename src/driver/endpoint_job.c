#include "driver/endpoint_job.h"

#include "base/time.h"
#include "driver/clock.h"
#include "driver/endpoint_room.h"

#include <assert.h>
#include <stdlib.h>

/* Looking is in the way of a join: rather ask without a lease than wait for the lock. */
#define LOOK_TIMEOUT_MS 1000

static_assert(PC_ENDPOINT_MEMORY_MAX_BYTES <= PC_STORE_META_VALUE_MAX_BYTES, "one value holds a memory");
static_assert(PC_ENDPOINT_KEY_BYTES <= PC_STORE_META_KEY_MAX_BYTES + 1, "the key of one is a key");

/* ----- the changes ----- */

int pc_driver_endpoint_ended(struct pc_endpoint_memory *memory, const struct pc_endpoint_memory *news)
{
    if (news->peer_count > 0) {
        int result = pc_endpoint_memory_set_peers(memory, news->peers, news->peer_count);
        if (result != 0)
            return result;
        memcpy(memory->etag, news->etag, sizeof(memory->etag));
        memcpy(memory->last_modified, news->last_modified, sizeof(memory->last_modified));
    }
    memory->answered_ms = pc_base_time_max(memory->answered_ms, news->answered_ms);
    memory->asked_ms = news->asked_ms;
    memory->ended_ms = news->ended_ms;
    memory->result = news->result;
    memory->status = news->status;
    memcpy(memory->detail, news->detail, sizeof(memory->detail));
    return 0;
}

void pc_driver_endpoint_keep(struct pc_endpoint_memory *memory, const struct pc_endpoint_memory *news)
{
    memory->has_breaker = news->has_breaker;
    memcpy(memory->breaker, news->breaker, sizeof(memory->breaker));
    memory->verified +=
        news->verified > UINT32_MAX - memory->verified ? UINT32_MAX - memory->verified : news->verified;
}

static bool look(struct pc_driver_endpoint_job *job, struct pc_endpoint_memory *memory)
{
    job->may_share = pc_endpoint_memory_may_share(memory, job->after_ms, job->now_ms);
    job->has_lease =
        !job->may_share && pc_endpoint_memory_take_lease(memory, job->owner, job->lease_ms, job->now_ms);
    if (job->has_lease)
        memory->asked_ms = job->now_ms;
    return job->has_lease;
}

/* Whether it has changed. */
static bool make_change(struct pc_driver_endpoint_job *job, struct pc_endpoint_memory *memory)
{
    switch (job->change) {
    case PC_DRIVER_ENDPOINT_LOOK:
        return look(job, memory);
    case PC_DRIVER_ENDPOINT_ENDED:
        (void)pc_endpoint_memory_drop_lease(memory, job->owner);
        job->result = pc_driver_endpoint_ended(memory, &job->news);
        return true;
    case PC_DRIVER_ENDPOINT_DROP:
        return pc_endpoint_memory_drop_lease(memory, job->owner);
    case PC_DRIVER_ENDPOINT_KEEP:
        pc_driver_endpoint_keep(memory, &job->news);
        return true;
    }
    return false;
}

/* ----- on a thread of the pool ----- */

static int64_t wall_ms(void)
{
    struct pc_driver_clock clock;
    pc_driver_clock_init(&clock);
    return pc_driver_clock_now(&clock).wall_ms;
}

/* What is remembered; nothing, when there is nothing, or nothing that we can read, or of another endpoint (which only
 * somebody's hand can have brought there). */
static int recall(const char *url, struct pc_bytes value, struct pc_endpoint_memory *ret_memory)
{
    int result = pc_endpoint_memory_read(value, ret_memory);
    if (result == PEERCACHE_ENOMEM)
        return result;
    if (result == 0 && strcmp(ret_memory->url, url) == 0)
        return 0;
    if (result == 0)
        pc_endpoint_memory_deinit(ret_memory);
    return pc_endpoint_memory_init(ret_memory, url);
}

static bool change_value(void *context, struct pc_bytes value, struct pc_bytes *ret_value)
{
    struct pc_driver_endpoint_job *job = context;
    struct pc_endpoint_memory memory;
    size_t size = 0;
    /* Not before the lock is held: what others wrote meanwhile would seem to come from the future. */
    job->now_ms = wall_ms();
    job->result = recall(job->news.url, value, &memory);
    if (job->result != 0)
        return false;
    bool changes = make_change(job, &memory);
    if (job->result == 0 && changes)
        job->result = pc_endpoint_memory_write(&memory, job->bytes, PC_ENDPOINT_MEMORY_MAX_BYTES, &size);
    if (job->change == PC_DRIVER_ENDPOINT_LOOK)
        job->news = memory; /* it had nothing but the URL */
    else
        pc_endpoint_memory_deinit(&memory);
    *ret_value = pc_bytes_of(job->bytes, size);
    return job->result == 0 && changes;
}

static void work(void *context, struct pc_store *store)
{
    struct pc_driver_endpoint_job *job = context;
    char key[PC_ENDPOINT_KEY_BYTES];
    if (!store) {
        pc_base_reason(&job->reason, "the cache is not open");
        job->result = PEERCACHE_EBUSY;
        return;
    }
    pc_endpoint_memory_key(job->news.url, key);
    uint32_t timeout_ms = job->change == PC_DRIVER_ENDPOINT_LOOK ? LOOK_TIMEOUT_MS : PC_STORE_LOCK_TIMEOUT_MS;
    int result = pc_driver_endpoint_room(store, key, wall_ms(), timeout_ms);
    if (result == PEERCACHE_ENOMEM) {
        job->result = result;
        pc_base_reason(&job->reason, "%s", peercache_strerror(result));
        return;
    }
    if (result == 0)
        result = pc_store_meta_update(store, key, change_value, job, timeout_ms);
    if (result != 0) {
        job->result = result;
        job->reason = store->error;
    } else if (job->result != 0) {
        pc_base_reason(&job->reason, "%s", peercache_strerror(job->result));
    }
}

/* ----- its life ----- */

int pc_driver_endpoint_job_new(enum pc_driver_endpoint_change change, const char *url,
                               const uint8_t owner[PC_ENDPOINT_OWNER_BYTES],
                               void (*done)(void *job, int result), void *context,
                               struct pc_driver_endpoint_job **ret_job)
{
    struct pc_driver_endpoint_job *job = calloc(1, sizeof(*job));
    if (!job)
        return PEERCACHE_ENOMEM;
    job->bytes = malloc(PC_ENDPOINT_MEMORY_MAX_BYTES);
    if (!job->bytes || pc_endpoint_memory_init(&job->news, url) != 0) {
        pc_driver_endpoint_job_free(job);
        return PEERCACHE_ENOMEM;
    }
    job->job = (struct pc_driver_store_job){ .work = work, .done = done, .context = job };
    job->change = change;
    job->context = context;
    memcpy(job->owner, owner, sizeof(job->owner));
    *ret_job = job;
    return 0;
}

void pc_driver_endpoint_job_free(struct pc_driver_endpoint_job *job)
{
    if (!job)
        return;
    pc_endpoint_memory_deinit(&job->news);
    free(job->bytes);
    free(job);
}
