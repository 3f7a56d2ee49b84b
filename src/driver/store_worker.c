/* See store_worker.h. A commit is a job like any other; one alone may be under way or waiting. */
#include "driver/store_worker.h"

#include <assert.h>
#include <stdlib.h>

struct commit {
    struct pc_driver_store_job job;
    struct pc_driver_store_worker *worker;
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
    void (*idle)(void *context); /* NULL: nobody waits for it */
    void *context;
    uv_work_t work;
    uint64_t sequence; /* of the last commit that succeeded; with the store's writer id it names it in the
                          ledger */
    bool has_commit;   /* among the jobs */
    bool is_working;   /* the first job is with the pool */
    struct pc_driver_store_job *first, *last;
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

void pc_driver_store_worker_on_idle(struct pc_driver_store_worker *worker, void (*idle)(void *context))
{
    worker->idle = idle;
}

/* ----- the queue ----- */

static struct pc_driver_store_job *take_first(struct pc_driver_store_worker *worker)
{
    struct pc_driver_store_job *job = worker->first;
    worker->first = job->next;
    if (!worker->first)
        worker->last = NULL;
    return job;
}

/* On a thread of the pool. The loop's thread leaves the job and the store alone meanwhile. */
static void work(uv_work_t *uv)
{
    const struct pc_driver_store_worker *worker = uv->data;
    worker->first->work(worker->first->context, *worker->store);
}

static void worked(uv_work_t *uv, int status);

static int start_first(struct pc_driver_store_worker *worker)
{
    if (uv_queue_work(worker->loop, &worker->work, work, worked) != 0)
        return PEERCACHE_EIO;
    worker->is_working = true;
    return 0;
}

static void worked(uv_work_t *uv, int status)
{
    struct pc_driver_store_worker *worker = uv->data;
    worker->is_working = false;
    do { /* once, unless the pool takes none; `done` may have started the next one itself */
        struct pc_driver_store_job *job = take_first(worker);
        job->done(job->context, status < 0 ? PEERCACHE_EIO : 0);
        status = !worker->is_working && worker->first ? start_first(worker) : 0;
    } while (status < 0);
    if (!worker->first && worker->idle)
        worker->idle(worker->context);
}

int pc_driver_store_worker_do(struct pc_driver_store_worker *worker, struct pc_driver_store_job *job)
{
    job->next = NULL;
    if (worker->last)
        worker->last->next = job;
    else
        worker->first = job;
    worker->last = job;
    if (worker->first != job || start_first(worker) == 0)
        return 0;
    (void)take_first(worker);
    return PEERCACHE_EIO;
}

/* ----- commits ----- */

static void commit_work(void *context, struct pc_store *store)
{
    struct commit *commit = context;
    struct pc_driver_store_worker *worker = commit->worker;
    if (worker->reopen) {
        commit->result = worker->reopen(worker->context, worker->store, commit->now_ms, &commit->reason);
        if (commit->result != 0)
            return;
        worker->reopen = NULL;
        store = *worker->store;
    }
    commit->result = pc_store_commit(store, commit->sequence, commit->deltas, commit->count, commit->now_ms,
                                     PC_STORE_LOCK_TIMEOUT_MS);
    if (commit->result != 0)
        commit->reason = store->error;
}

static void commit_done(void *context, int result)
{
    struct commit *commit = context;
    struct pc_driver_store_worker *worker = commit->worker;
    worker->has_commit = false; /* `done` may begin the next one itself */
    if (result != 0) {
        worker->done(worker->context, result, "no thread took the commit");
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
    if (worker->has_commit)
        return PEERCACHE_ESTATE;
    struct commit *commit = malloc(sizeof(*commit) + count * sizeof(*deltas));
    if (!commit)
        return PEERCACHE_ENOMEM;
    *commit = (struct commit){
        .job = { .work = commit_work, .done = commit_done, .context = commit },
        .worker = worker,
        .now_ms = now_ms,
        .sequence = worker->sequence + 1,
        .count = count,
    };
    memcpy(commit->deltas, deltas, count * sizeof(*deltas));
    worker->has_commit = true;
    int result = pc_driver_store_worker_do(worker, &commit->job);
    if (result != 0) {
        worker->has_commit = false;
        free(commit);
    }
    return result;
}

/* ----- its end ----- */

bool pc_driver_store_worker_idle(const struct pc_driver_store_worker *worker)
{
    return worker->first == NULL;
}

void pc_driver_store_worker_free(struct pc_driver_store_worker *worker)
{
    if (!worker)
        return;
    assert(pc_driver_store_worker_idle(worker));
    free(worker);
}
