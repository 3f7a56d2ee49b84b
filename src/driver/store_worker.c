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
    struct pc_store **store;
    pc_driver_reopen reopen; /* NULL once the store is open for writing */
    pc_driver_committed done;
    void *context;
    uv_work_t work;
    uint64_t sequence;     /* of the last commit that succeeded; with the store's writer id it names it in the
                              ledger */
    struct commit *commit; /* under way, NULL when idle */
};

int pc_driver_store_worker_new(uv_loop_t *loop, struct pc_store **store, pc_driver_reopen reopen,
                               pc_driver_committed done, void *context,
                               struct pc_driver_store_worker **ret_worker)
{
    struct pc_driver_store_worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return PEERCACHE_ENOMEM;
    worker->loop = loop;
    worker->store = store;
    worker->reopen = reopen;
    worker->done = done;
    worker->context = context;
    worker->work.data = worker;
    *ret_worker = worker;
    return 0;
}

/* On a thread of the pool. The loop's thread leaves the commit and the store alone meanwhile. */
static void work(uv_work_t *uv)
{
    struct pc_driver_store_worker *worker = uv->data;
    struct commit *commit = worker->commit;
    if (worker->reopen) {
        commit->result = worker->reopen(worker->context, worker->store, commit->now_ms, &commit->reason);
        if (commit->result != 0)
            return;
        worker->reopen = NULL;
    }
    commit->result = pc_store_commit(*worker->store, commit->sequence, commit->deltas, commit->count,
                                     commit->now_ms, PC_STORE_LOCK_TIMEOUT_MS);
    if (commit->result != 0)
        commit->reason = (*worker->store)->error;
}

static void worked(uv_work_t *uv, int status)
{
    struct pc_driver_store_worker *worker = uv->data;
    struct commit *commit = worker->commit;
    worker->commit = NULL; /* `done` may begin the next one itself */
    if (status < 0) {      /* cancelled: it never ran */
        worker->done(worker->context, PEERCACHE_EIO, uv_strerror(status));
    } else {
        if (commit->result == 0)
            worker->sequence = commit->sequence;
        worker->done(worker->context, commit->result, commit->reason.text);
    }
    free(commit);
}

int pc_driver_store_worker_commit(struct pc_driver_store_worker *worker, const struct pc_delta *deltas,
                                  size_t count, int64_t now_ms)
{
    if (worker->commit)
        return PEERCACHE_ESTATE;
    struct commit *commit = malloc(sizeof(*commit) + count * sizeof(*deltas));
    if (!commit)
        return PEERCACHE_ENOMEM;
    *commit = (struct commit){ .now_ms = now_ms, .sequence = worker->sequence + 1, .count = count };
    memcpy(commit->deltas, deltas, count * sizeof(*deltas));
    worker->commit = commit;
    if (uv_queue_work(worker->loop, &worker->work, work, worked) == 0)
        return 0;
    worker->commit = NULL;
    free(commit);
    return PEERCACHE_EIO;
}

bool pc_driver_store_worker_idle(const struct pc_driver_store_worker *worker)
{
    return worker->commit == NULL;
}

void pc_driver_store_worker_free(struct pc_driver_store_worker *worker)
{
    if (!worker)
        return;
    assert(pc_driver_store_worker_idle(worker));
    free(worker);
}
