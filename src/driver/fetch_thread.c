/*
 * See fetch_thread.h. All calls are in one list under a mutex (there are few), each with its state. Whoever changes
 * something wakes the other side by its async handle, and that looks the list over:
 *
 *   asked ──thread──► under way ──thread──► ended ──owner──► done, freed
 */
#include "driver/fetch_thread.h"

#include <peercache/types.h>

#include <stdlib.h>

enum call_state { ASKED, UNDER_WAY, ENDED };

struct pc_driver_fetch_call {
    struct pc_driver_fetch_call *next;
    struct pc_driver_fetch_thread *thread;
    enum call_state state;
    bool cancelled;
    pc_driver_fetch_done done;
    void *context;
    struct pc_driver_fetch *fetch; /* the thread's; while under way */
    /* The request, and the answer: copies. */
    char *url;
    char request_etag[PC_DRIVER_FETCH_FIELD_BYTES];
    char request_last_modified[PC_DRIVER_FETCH_FIELD_BYTES];
    int64_t deadline_ms;
    struct pc_driver_fetched fetched;
    uint8_t *body;
    char etag[PC_DRIVER_FETCH_FIELD_BYTES];
    char last_modified[PC_DRIVER_FETCH_FIELD_BYTES];
    char content_type[PC_DRIVER_FETCH_FIELD_BYTES];
};

struct pc_driver_fetch_thread {
    uv_thread_t thread;
    uv_mutex_t mutex;
    struct pc_driver_fetch_call *calls; /* under the mutex, as the next two */
    bool closing;                       /* asked for by the owner */
    bool exited;                        /* the thread's last word */
    uv_async_t news;                    /* on the owner's loop */
    /* The thread's. */
    uv_loop_t loop;
    uv_async_t wake;
    struct pc_driver_resolver *resolver;
    struct pc_driver_fetcher *fetcher;
    /* The owner's. */
    void (*closed)(void *context);
    void *closed_context;
};

static void free_call(struct pc_driver_fetch_call *call)
{
    free(call->url);
    free(call->body);
    free(call);
}

/* ----- on the thread ----- */

static void copy_field(char field[PC_DRIVER_FETCH_FIELD_BYTES], const char *text, const char **ret_text)
{
    size_t size = text ? strlen(text) : 0;
    if (size >= PC_DRIVER_FETCH_FIELD_BYTES)
        size = 0; /* of a request: as if it was not there */
    if (size > 0)
        memcpy(field, text, size);
    field[size] = '\0';
    *ret_text = field;
}

static void fail(struct pc_driver_fetch_call *call, enum pc_driver_fetch_kind kind, const char *why)
{
    call->fetched.kind = kind;
    call->fetched.body = pc_bytes_of(NULL, 0);
    pc_base_reason(&call->fetched.detail, "%s", why);
}

static void on_fetched(void *context, const struct pc_driver_fetched *fetched)
{
    struct pc_driver_fetch_call *call = context;
    call->fetched = *fetched;
    copy_field(call->etag, fetched->etag, &call->fetched.etag);
    copy_field(call->last_modified, fetched->last_modified, &call->fetched.last_modified);
    copy_field(call->content_type, fetched->content_type, &call->fetched.content_type);
    if (fetched->body.size > 0) {
        call->body = malloc(fetched->body.size);
        if (call->body) {
            memcpy(call->body, fetched->body.data, fetched->body.size);
            call->fetched.body = pc_bytes_of(call->body, fetched->body.size);
        } else {
            fail(call, PC_DRIVER_FETCH_FAILED, peercache_strerror(PEERCACHE_ENOMEM));
        }
    }
    struct pc_driver_fetch_thread *thread = call->thread;
    uv_mutex_lock(&thread->mutex);
    call->state = ENDED;                /* once the mutex is open the owner may free it */
    (void)uv_async_send(&thread->news); /* fails only once closed */
    uv_mutex_unlock(&thread->mutex);
}

static void begin(struct pc_driver_fetch_call *call)
{
    const struct pc_driver_fetch_request request = {
        .url = call->url,
        .etag = call->request_etag,
        .last_modified = call->request_last_modified,
        .deadline_ms = call->deadline_ms,
    };
    int result = PEERCACHE_ESTATE;
    if (!call->cancelled)
        result = pc_driver_fetch_start(call->thread->fetcher, &request, on_fetched, call, &call->fetch);
    if (result == 0) {
        call->state = UNDER_WAY;
        return;
    }
    fail(call, call->cancelled ? PC_DRIVER_FETCH_CANCELLED : PC_DRIVER_FETCH_FAILED,
         call->cancelled ? "cancelled" : peercache_strerror(result));
    call->state = ENDED;
    (void)uv_async_send(&call->thread->news);
}

static void on_wake(uv_async_t *wake)
{
    struct pc_driver_fetch_thread *thread = wake->data;
    uv_mutex_lock(&thread->mutex); /* what is called below calls nobody back */
    for (struct pc_driver_fetch_call *call = thread->calls; call; call = call->next) {
        if (call->state == ASKED)
            begin(call);
        else if (call->state == UNDER_WAY && call->cancelled)
            pc_driver_fetch_cancel(call->fetch);
    }
    bool closing = thread->closing;
    uv_mutex_unlock(&thread->mutex);
    if (!closing)
        return;
    pc_driver_fetcher_close(thread->fetcher);
    pc_driver_resolver_close(thread->resolver);
    uv_close((uv_handle_t *)wake, NULL);
}

static void run(void *context)
{
    struct pc_driver_fetch_thread *thread = context;
    (void)uv_run(&thread->loop, UV_RUN_DEFAULT); /* until all of it is closed */
    uv_mutex_lock(&thread->mutex);
    thread->exited = true;
    (void)uv_async_send(&thread->news); /* under the mutex: with it the owner may take all down */
    uv_mutex_unlock(&thread->mutex);
}

/* ----- on the owner's loop ----- */

static void on_closed(uv_handle_t *news)
{
    struct pc_driver_fetch_thread *thread = news->data;
    void (*closed)(void *context) = thread->closed;
    void *context = thread->closed_context;
    uv_mutex_destroy(&thread->mutex);
    free(thread);
    closed(context);
}

/* Take those out that have ended, and whether the thread has. */
static struct pc_driver_fetch_call *take_ended(struct pc_driver_fetch_thread *thread, bool *ret_exited)
{
    struct pc_driver_fetch_call *ended = NULL;
    uv_mutex_lock(&thread->mutex);
    for (struct pc_driver_fetch_call **at = &thread->calls; *at;) {
        struct pc_driver_fetch_call *call = *at;
        if (call->state == ENDED) {
            *at = call->next;
            call->next = ended;
            ended = call;
        } else {
            at = &call->next;
        }
    }
    *ret_exited = thread->exited;
    uv_mutex_unlock(&thread->mutex);
    return ended;
}

static void on_news(uv_async_t *news)
{
    struct pc_driver_fetch_thread *thread = news->data;
    bool exited;
    for (struct pc_driver_fetch_call *call = take_ended(thread, &exited), *next; call; call = next) {
        next = call->next;
        call->done(call->context, &call->fetched);
        free_call(call);
    }
    if (!exited)
        return;
    (void)uv_thread_join(&thread->thread);
    (void)uv_loop_close(&thread->loop); /* nothing is left on it: the thread has run it to its end */
    uv_close((uv_handle_t *)news, on_closed);
}

int pc_driver_fetch_thread_start(struct pc_driver_fetch_thread *thread,
                                 const struct pc_driver_fetch_request *request, pc_driver_fetch_done done,
                                 void *context, struct pc_driver_fetch_call **ret_call)
{
    const char *unused;
    struct pc_driver_fetch_call *call = calloc(1, sizeof(*call));
    if (!call)
        return PEERCACHE_ENOMEM;
    call->url = strdup(request->url);
    if (!call->url) {
        free(call);
        return PEERCACHE_ENOMEM;
    }
    copy_field(call->request_etag, request->etag, &unused);
    copy_field(call->request_last_modified, request->last_modified, &unused);
    call->thread = thread;
    call->deadline_ms = request->deadline_ms;
    call->done = done;
    call->context = context;
    call->fetched = (struct pc_driver_fetched){ .date_ms = PC_DRIVER_FETCH_NO_DATE,
                                                .etag = call->etag,
                                                .last_modified = call->last_modified,
                                                .content_type = call->content_type };
    uv_mutex_lock(&thread->mutex);
    call->next = thread->calls;
    thread->calls = call;
    uv_mutex_unlock(&thread->mutex);
    (void)uv_async_send(&thread->wake);
    *ret_call = call;
    return 0;
}

void pc_driver_fetch_thread_cancel(struct pc_driver_fetch_call *call)
{
    struct pc_driver_fetch_thread *thread = call->thread;
    uv_mutex_lock(&thread->mutex);
    call->cancelled = true;
    uv_mutex_unlock(&thread->mutex);
    (void)uv_async_send(&thread->wake);
}

void pc_driver_fetch_thread_close(struct pc_driver_fetch_thread *thread, void (*closed)(void *context),
                                  void *context)
{
    thread->closed = closed;
    thread->closed_context = context;
    uv_mutex_lock(&thread->mutex);
    thread->closing = true;
    uv_mutex_unlock(&thread->mutex);
    (void)uv_async_send(&thread->wake);
}

/* ----- its start ----- */

static void on_stillborn(uv_handle_t *news)
{
    free(news->data);
}

/* There is no thread: its loop is run here until what was made for it is gone. */
static void undo(struct pc_driver_fetch_thread *thread, bool has_wake, bool has_news)
{
    pc_driver_fetcher_close(thread->fetcher);
    pc_driver_resolver_close(thread->resolver);
    if (has_wake)
        uv_close((uv_handle_t *)&thread->wake, NULL);
    (void)uv_run(&thread->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&thread->loop);
    uv_mutex_destroy(&thread->mutex);
    if (has_news)
        uv_close((uv_handle_t *)&thread->news, on_stillborn);
    else
        free(thread);
}

int pc_driver_fetch_thread_new(uv_loop_t *loop, const char *server, const char *ca_file,
                               struct pc_driver_fetch_thread **ret_thread)
{
    struct pc_reason unused;
    struct pc_driver_fetch_thread *thread = calloc(1, sizeof(*thread));
    if (!thread)
        return PEERCACHE_ENOMEM;
    if (uv_mutex_init(&thread->mutex) != 0) {
        free(thread);
        return PEERCACHE_EIO;
    }
    if (uv_loop_init(&thread->loop) != 0) {
        uv_mutex_destroy(&thread->mutex);
        free(thread);
        return PEERCACHE_EIO;
    }
    thread->wake.data = thread;
    thread->news.data = thread;
    bool has_wake = uv_async_init(&thread->loop, &thread->wake, on_wake) == 0;
    bool has_news = has_wake && uv_async_init(loop, &thread->news, on_news) == 0;
    int result =
        has_news ? pc_driver_resolver_new(&thread->loop, server, &thread->resolver, &unused) : PEERCACHE_EIO;
    if (result == 0)
        result = pc_driver_fetcher_new(&thread->loop, thread->resolver, ca_file, &thread->fetcher);
    if (result == 0 && uv_thread_create(&thread->thread, run, thread) != 0)
        result = PEERCACHE_EIO;
    if (result != 0) {
        undo(thread, has_wake, has_news);
        return result;
    }
    *ret_thread = thread;
    return 0;
}
