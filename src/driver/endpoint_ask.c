/*
 * One fetch, from its first look at what others had to its end: see endpoints.h for the way. One that was cancelled is left
 * alone by all, and goes once nothing of it is under way any more. The timer of the endpoint serves its current ask: the
 * pauses between looks, the end of looking, and what could not even be begun (so that `done` is never called within fetch).
 */
#include "driver/endpoint_state.h"

#include "base/time.h"

#include <assert.h>
#include <stdlib.h>

#define PAUSE_FIRST_MS  50 /* doubled each time */
#define PAUSE_MAX_MS    400
#define LEASE_LONGER_MS 1000 /* than the fetch: to read the answer and keep it */

static void begin_get(struct pc_driver_ask *ask);

static struct pc_driver_endpoint *endpoint_of(const struct pc_driver_ask *ask)
{
    return &ask->endpoints->endpoints[ask->index];
}

static int64_t left_ms(const struct pc_driver_ask *ask, uint64_t until_ms)
{
    uint64_t now_ms = uv_now(ask->endpoints->loop);
    return until_ms > now_ms ? (int64_t)(until_ms - now_ms) : 0;
}

/* ----- the end of an ask ----- */

/* It is over, for whatever reason: nobody is told of it any more, and it goes when nothing of it is under way. */
static void release_if_over(struct pc_driver_ask *ask)
{
    struct pc_driver_endpoints *endpoints = ask->endpoints;
    if (ask->number != 0 || ask->look || ask->fetch || ask->parses)
        return;
    *ask->at = ask->next;
    if (ask->next)
        ask->next->at = ask->at;
    free(ask->body);
    free(ask->answer.peers);
    free(ask);
    pc_driver_endpoints_close_if_over(endpoints);
}

static void end(struct pc_driver_ask *ask)
{
    ask->number = 0;
    endpoint_of(ask)->ask = NULL;
    (void)uv_timer_stop(&endpoint_of(ask)->timer);
}

/* Tell the node. `peers` may be of the memory: nothing changes it before `done` is called. */
static void tell(struct pc_driver_ask *ask, peercache_fetch result, const struct pc_endpoint_peer *peers,
                 size_t count)
{
    struct pc_driver_endpoints *endpoints = ask->endpoints;
    const struct pc_node_fetched fetched = {
        .number = ask->number,
        .endpoint = ask->index,
        .result = result,
        .peers = peers,
        .peer_count = count,
        .has_date = ask->has_date,
        .clock_ahead_ms = ask->clock_ahead_ms,
    };
    end(ask);
    endpoints->done(endpoints->context, &fetched);
    release_if_over(ask);
}

/* What was asked for, or was not to be had. */
static void finish(struct pc_driver_ask *ask, peercache_fetch result, const char *detail)
{
    struct pc_driver_endpoints *endpoints = ask->endpoints;
    struct pc_driver_endpoint *endpoint = endpoint_of(ask);
    struct pc_endpoint_memory news = { .peers = NULL };
    bool holds = result == PEERCACHE_FETCH_NOT_MODIFIED;
    const struct pc_endpoint_peer *peers = ask->answer.peers;
    size_t count = ask->answer.count;
    (void)pc_endpoint_memory_init(&news, endpoint->memory.url); /* it is one */
    news.asked_ms = ask->asked_ms;
    news.ended_ms = pc_driver_endpoints_wall_ms(endpoints);
    news.result = result;
    news.status = (uint16_t)ask->status;
    pc_endpoint_memory_set_detail(&news, detail);
    if (holds || count > 0)
        endpoint->had_ms = news.answered_ms = news.ended_ms;
    pc_endpoint_memory_set_condition(&news, ask->etag, ask->last_modified);
    int kept = pc_endpoint_memory_set_peers(&news, peers, count);
    if (kept == 0)
        kept = pc_driver_endpoint_ended(&endpoint->memory, &news);
    if (kept != 0)
        pc_driver_endpoints_say_not_kept(endpoints, news.url, peercache_strerror(kept));
    endpoint->was_shared = false;
    pc_driver_endpoints_remember(endpoints, endpoint->memory.url, PC_DRIVER_ENDPOINT_ENDED, &news);
    pc_endpoint_memory_deinit(&news);
    if (holds) {
        peers = endpoint->memory.peers;
        count = endpoint->memory.peer_count;
    }
    tell(ask, result, peers, count);
}

/* What another process had. */
static void share(struct pc_driver_ask *ask)
{
    struct pc_driver_endpoint *endpoint = endpoint_of(ask);
    struct pc_endpoint_memory *memory = &endpoint->memory;
    struct pc_reason detail = { "" };
    int64_t now_ms = pc_driver_endpoints_wall_ms(ask->endpoints);
    pc_base_reason(&detail, "another process was given it %lld s before",
                   (long long)(pc_base_time_sub(now_ms, memory->answered_ms) / 1000));
    memory->result = PEERCACHE_FETCH_OK;
    memory->status = 0;
    memory->ended_ms = now_ms;
    pc_endpoint_memory_set_detail(memory, detail.text);
    endpoint->had_ms = memory->answered_ms;
    endpoint->was_shared = true;
    tell(ask, PEERCACHE_FETCH_OK, memory->peers, memory->peer_count);
}

/* ----- the look at what others had ----- */

static void pause_or_ask(struct pc_driver_ask *ask);
static void on_timer(uv_timer_t *timer);

static void set_timer(struct pc_driver_ask *ask, int64_t wait_ms)
{
    (void)uv_timer_start(&endpoint_of(ask)->timer, on_timer, (uint64_t)wait_ms,
                         0); /* fails only once closed */
}

/* What the cache remembers, unless ours is newer, for it could not be kept there. */
static void take_over(struct pc_driver_endpoint *endpoint, struct pc_driver_endpoint_job *job)
{
    if (!job->may_share && job->news.ended_ms < endpoint->memory.ended_ms)
        return;
    pc_endpoint_memory_deinit(&endpoint->memory);
    endpoint->memory = job->news;
    job->news.peers = NULL;
    job->news.peer_count = 0;
}

static void on_looked(void *context, int result)
{
    struct pc_driver_endpoint_job *job = context;
    struct pc_driver_ask *ask = job->context;
    struct pc_driver_endpoint *endpoint = endpoint_of(ask);
    ask->look = NULL;
    if (ask->number == 0) {
        release_if_over(ask);
    } else if (ask->looks) { /* else it has waited too long, and asks by itself already */
        if (result != 0 || job->result != 0) {
            pc_base_log(ask->endpoints->log, PC_LOG_WARNING, "driver", "%s: it is asked without others: %s",
                        endpoint->memory.url,
                        job->reason.text[0] != '\0' ? job->reason.text : peercache_strerror(result));
            begin_get(ask);
        } else {
            take_over(endpoint, job);
            if (job->may_share)
                share(ask);
            else if (job->has_lease)
                begin_get(ask);
            else
                pause_or_ask(ask);
        }
    }
    pc_driver_endpoint_job_free(job);
}

static void look(struct pc_driver_ask *ask)
{
    struct pc_driver_endpoints *endpoints = ask->endpoints;
    struct pc_driver_endpoint *endpoint = endpoint_of(ask);
    struct pc_driver_endpoint_job *job;
    int result = pc_driver_endpoint_job_new(PC_DRIVER_ENDPOINT_LOOK, endpoint->memory.url, endpoints->owner,
                                            on_looked, ask, &job);
    if (result == 0) {
        job->after_ms = endpoint->had_ms;
        job->lease_ms = left_ms(ask, ask->end_ms) + LEASE_LONGER_MS;
        result = pc_driver_store_worker_do(endpoints->worker, &job->job);
        if (result != 0)
            pc_driver_endpoint_job_free(job);
    }
    if (result != 0) {
        begin_get(ask);
        return;
    }
    ask->look = job;
    set_timer(ask, left_ms(ask, ask->look_until_ms));
}

/* Another process asks: look again a little later, but not for long. */
static void pause_or_ask(struct pc_driver_ask *ask)
{
    int64_t look_ms = left_ms(ask, ask->look_until_ms);
    if (look_ms == 0) {
        begin_get(ask);
        return;
    }
    set_timer(ask, pc_base_time_min(ask->pause_ms, look_ms));
    ask->pause_ms = pc_base_time_min(2 * ask->pause_ms, PAUSE_MAX_MS);
}

static void on_timer(uv_timer_t *timer)
{
    struct pc_driver_endpoint *endpoint = timer->data;
    struct pc_driver_ask *ask = endpoint->ask;
    assert(ask);
    if (ask->refused)
        finish(ask, PEERCACHE_FETCH_CANCELLED, ask->refused);
    else if (!ask->look && left_ms(ask, ask->look_until_ms) > 0)
        look(ask);
    else
        begin_get(ask);
}

/* ----- GET, and what it brings ----- */

static void parse(uv_work_t *work)
{
    struct pc_driver_ask *ask = work->data;
    pc_driver_endpoint_answer_read(pc_bytes_of(ask->body, ask->body_size), &ask->endpoints->network,
                                   &ask->rng, &ask->answer);
}

static void on_parsed(uv_work_t *work, int status)
{
    struct pc_driver_ask *ask = work->data;
    ask->parses = false;
    if (ask->number == 0)
        release_if_over(ask);
    else if (status != 0)
        finish(ask, PEERCACHE_FETCH_CANCELLED, uv_strerror(status));
    else
        finish(ask, ask->answer.result, ask->answer.detail.text);
}

static void begin_parse(struct pc_driver_ask *ask, struct pc_bytes body)
{
    uint8_t seed[PC_RNG_SEED_BYTES];
    ask->body = malloc(body.size + 1);
    if (!ask->body) {
        finish(ask, PEERCACHE_FETCH_CANCELLED, peercache_strerror(PEERCACHE_ENOMEM));
        return;
    }
    if (body.size > 0)
        memcpy(ask->body, body.data, body.size);
    ask->body_size = body.size;
    pc_base_rng_bytes(&ask->endpoints->rng, seed, sizeof(seed));
    pc_base_rng_init(&ask->rng, seed);
    ask->parse.data = ask;
    if (uv_queue_work(ask->endpoints->loop, &ask->parse, parse, on_parsed) == 0)
        ask->parses = true;
    else
        finish(ask, PEERCACHE_FETCH_CANCELLED, "no thread to read the answer");
}

static peercache_fetch result_of(enum pc_driver_fetch_kind kind)
{
    switch (kind) {
    case PC_DRIVER_FETCH_OK:
        return PEERCACHE_FETCH_OK;
    case PC_DRIVER_FETCH_NOT_MODIFIED:
        return PEERCACHE_FETCH_NOT_MODIFIED;
    case PC_DRIVER_FETCH_HTTP_ERROR:
    case PC_DRIVER_FETCH_REDIRECT_REFUSED:
    case PC_DRIVER_FETCH_BAD_URL:
        return PEERCACHE_FETCH_HTTP_ERROR;
    case PC_DRIVER_FETCH_TIMEOUT:
    case PC_DRIVER_FETCH_UNREACHABLE: /* anybody on the way can say so: no more than silence */
        return PEERCACHE_FETCH_TIMEOUT;
    case PC_DRIVER_FETCH_REFUSED:
        return PEERCACHE_FETCH_REFUSED;
    case PC_DRIVER_FETCH_NO_ROUTE:
        return PEERCACHE_FETCH_NO_ROUTE;
    case PC_DRIVER_FETCH_DNS_FAILED:
        return PEERCACHE_FETCH_DNS_FAILED;
    case PC_DRIVER_FETCH_TLS_FAILED:
        return PEERCACHE_FETCH_TLS_FAILED;
    case PC_DRIVER_FETCH_TOO_LARGE:
    case PC_DRIVER_FETCH_BROKEN:
        return PEERCACHE_FETCH_RUBBISH;
    case PC_DRIVER_FETCH_FAILED:
    case PC_DRIVER_FETCH_CANCELLED:
        break;
    }
    return PEERCACHE_FETCH_CANCELLED;
}

static void copy_field(char field[PC_ENDPOINT_FIELD_BYTES], const char *text)
{
    static_assert(PC_ENDPOINT_FIELD_BYTES >= PC_DRIVER_FETCH_FIELD_BYTES, "what a fetch gives fits");
    memcpy(field, text, strlen(text) + 1);
}

static void note_answer(struct pc_driver_ask *ask, const struct pc_driver_fetched *fetched)
{
    ask->status = fetched->status;
    copy_field(ask->etag, fetched->etag);
    copy_field(ask->last_modified, fetched->last_modified);
    ask->has_date = fetched->date_ms != PC_DRIVER_FETCH_NO_DATE;
    if (ask->has_date) {
        int64_t came_ms = pc_base_time_sub(pc_driver_endpoints_wall_ms(ask->endpoints),
                                           fetched->date_ago_us / PC_US_PER_MS);
        ask->clock_ahead_ms = pc_base_time_sub(came_ms, fetched->date_ms);
    }
}

static void on_fetched(void *context, const struct pc_driver_fetched *fetched)
{
    struct pc_driver_ask *ask = context;
    ask->fetch = NULL;
    if (ask->number == 0) {
        release_if_over(ask);
        return;
    }
    note_answer(ask, fetched);
    if (fetched->kind == PC_DRIVER_FETCH_OK)
        begin_parse(ask, fetched->body);
    else
        finish(ask, result_of(fetched->kind), fetched->detail.text);
}

static int start_get(struct pc_driver_ask *ask)
{
    struct pc_driver_endpoints *endpoints = ask->endpoints;
    const struct pc_endpoint_memory *memory = &endpoint_of(ask)->memory;
    bool has_peers = memory->peer_count > 0; /* else "not modified" would be of no use */
    const struct pc_driver_fetch_request request = {
        .url = memory->url,
        .etag = has_peers ? memory->etag : NULL,
        .last_modified = has_peers ? memory->last_modified : NULL,
        .deadline_ms = left_ms(ask, ask->end_ms),
    };
    if (!endpoints->fetcher) {
        int result = pc_driver_fetch_thread_new(endpoints->loop, pc_driver_names_server(endpoints->names),
                                                endpoints->ca_file, &endpoints->fetcher);
        if (result != 0)
            return result;
    }
    return pc_driver_fetch_thread_start(endpoints->fetcher, &request, on_fetched, ask, &ask->fetch);
}

static void begin_get(struct pc_driver_ask *ask)
{
    ask->looks = false;
    (void)uv_timer_stop(&endpoint_of(ask)->timer);
    int result = start_get(ask);
    if (result == 0)
        return;
    ask->fetch = NULL;
    ask->refused = peercache_strerror(result);
    set_timer(ask, 0);
}

/* ----- what the node asks for ----- */

int pc_driver_endpoints_fetch(struct pc_driver_endpoints *endpoints, uint64_t number, size_t index,
                              int64_t wait_ms)
{
    struct pc_driver_endpoint *endpoint = &endpoints->endpoints[index];
    assert(number != 0 && index < endpoints->count && !endpoint->ask && !endpoints->closing);
    struct pc_driver_ask *ask = calloc(1, sizeof(*ask));
    if (!ask)
        return PEERCACHE_ENOMEM;
    uv_update_time(endpoints->loop);
    *ask = (struct pc_driver_ask){
        .next = endpoints->asks,
        .at = &endpoints->asks,
        .endpoints = endpoints,
        .index = index,
        .number = number,
        .end_ms = uv_now(endpoints->loop) + (uint64_t)pc_base_time_max(wait_ms, 0),
        .look_until_ms = uv_now(endpoints->loop) + PC_ENDPOINT_LEASE_WAIT_MS,
        .pause_ms = PAUSE_FIRST_MS,
        .looks = endpoints->worker != NULL,
        .asked_ms = pc_driver_endpoints_wall_ms(endpoints),
    };
    if (ask->next)
        ask->next->at = &ask->next;
    endpoints->asks = ask;
    endpoint->ask = ask;
    if (ask->looks)
        look(ask);
    else
        begin_get(ask);
    return 0;
}

void pc_driver_ask_cancel(struct pc_driver_ask *ask)
{
    struct pc_driver_endpoint *endpoint = endpoint_of(ask);
    end(ask);
    pc_driver_endpoints_remember(ask->endpoints, endpoint->memory.url, PC_DRIVER_ENDPOINT_DROP, NULL);
    if (ask->fetch)
        pc_driver_fetch_thread_cancel(ask->fetch);
    release_if_over(ask);
}

void pc_driver_endpoints_cancel(struct pc_driver_endpoints *endpoints, uint64_t number)
{
    for (size_t i = 0; i < endpoints->count; i++)
        if (endpoints->endpoints[i].ask && endpoints->endpoints[i].ask->number == number)
            pc_driver_ask_cancel(endpoints->endpoints[i].ask);
}
