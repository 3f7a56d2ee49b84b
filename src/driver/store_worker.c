#include "driver/store_worker.h"

#include <assert.h>
#include <stdlib.h>

struct commit {
    int64_t now_ms;
    uint64_t sequence;
    size_t count;
    int result;
    struct pc_reason reason;
    struct pc_delta deltas[];
};

struct pc_driver_store_worker {
    uv_loop_t *loop;
    struct pc_store *store;
    pc_driver_committed done;
    void *context;
    uv_work_t work;
    uint64_t sequence; /* of the last commit; with the store's writer id it names a commit in the ledger */
    bool working;      /* queue[first] is with the pool */
    size_t first;
    size_t count; /* the one under way included */
    struct commit *queue[PC_DRIVER_COMMITS_WAITING_MAX + 1];
};

int pc_driver_store_worker_new(uv_loop_t *loop, struct pc_store *store, pc_driver_committed done,
                               void *context, struct pc_driver_store_worker **ret_worker)
{
    struct pc_driver_store_worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return PEERCACHE_ENOMEM;
    worker->loop = loop;
    worker->store = store;
    worker->done = done;
    worker->context = context;
    worker->work.data = worker;
    *ret_worker = worker;
    return 0;
}

/* On a thread of the pool. The loop's thread leaves queue[first] and the store alone meanwhile. */
static void work(uv_work_t *uv)
{
    struct pc_driver_store_worker *worker = uv->data;
    struct commit *commit = worker->queue[worker->first];
    commit->result = pc_store_commit(worker->store, commit->sequence, commit->deltas, commit->count,
                                     commit->now_ms, PC_STORE_LOCK_TIMEOUT_MS);
    if (commit->result != 0)
        commit->reason = worker->store->error;
}

static void worked(uv_work_t *uv, int status);

static int begin(struct pc_driver_store_worker *worker)
{
    if (uv_queue_work(worker->loop, &worker->work, work, worked) != 0)
        return PEERCACHE_EIO;
    worker->working = true;
    return 0;
}

/* Take the first out and tell. */
static void settle(struct pc_driver_store_worker *worker, int result, const char *text)
{
    struct commit *commit = worker->queue[worker->first];
    worker->first = (worker->first + 1) % (PC_DRIVER_COMMITS_WAITING_MAX + 1);
    worker->count--;
    worker->done(worker->context, result, text);
    free(commit);
}

static void worked(uv_work_t *uv, int status)
{
    struct pc_driver_store_worker *worker = uv->data;
    const struct commit *commit = worker->queue[worker->first];
    worker->working = false;
    if (status < 0) /* cancelled: it never ran */
        settle(worker, PEERCACHE_EIO, uv_strerror(status));
    else
        settle(worker, commit->result, commit->reason.text);
    /* `done` may have begun the next one itself. */
    while (worker->count > 0 && !worker->working && begin(worker) != 0)
        settle(worker, PEERCACHE_EIO, "the thread pool takes no work");
}

int pc_driver_store_worker_commit(struct pc_driver_store_worker *worker, const struct pc_delta *deltas,
                                  size_t count, int64_t now_ms)
{
    if (worker->count == PC_DRIVER_COMMITS_WAITING_MAX + 1)
        return PEERCACHE_ELIMIT;
    struct commit *commit = malloc(sizeof(*commit) + count * sizeof(*deltas));
    if (!commit)
        return PEERCACHE_ENOMEM;
    *commit = (struct commit){ .now_ms = now_ms, .sequence = ++worker->sequence, .count = count };
    memcpy(commit->deltas, deltas, count * sizeof(*deltas));
    size_t last = (worker->first + worker->count) % (PC_DRIVER_COMMITS_WAITING_MAX + 1);
    worker->queue[last] = commit;
    worker->count++;
    if (worker->count > 1 || begin(worker) == 0)
        return 0;
    worker->count--;
    free(commit);
    return PEERCACHE_EIO;
}

bool pc_driver_store_worker_idle(const struct pc_driver_store_worker *worker)
{
    return worker->count == 0;
}

void pc_driver_store_worker_free(struct pc_driver_store_worker *worker)
{
    if (!worker)
        return;
    assert(pc_driver_store_worker_idle(worker));
    free(worker);
}
