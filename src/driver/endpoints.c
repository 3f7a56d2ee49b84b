/* See endpoints.h. What becomes of one fetch is in endpoint_ask.c. */
#include "driver/endpoints.h"

#include "base/time.h"
#include "driver/endpoint_state.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

int64_t pc_driver_endpoints_wall_ms(struct pc_driver_endpoints *endpoints)
{
    return pc_driver_clock_now(&endpoints->clock).wall_ms;
}

/* ----- what is remembered ----- */

void pc_driver_endpoints_say_not_kept(const struct pc_driver_endpoints *endpoints, const char *url,
                                      const char *why)
{
    pc_base_log(endpoints->log, PC_LOG_WARNING, "driver", "%s: what is known of it is not kept: %s", url,
                why);
}

static void on_kept(void *context, int result)
{
    struct pc_driver_endpoint_job *job = context;
    struct pc_driver_endpoints *endpoints = job->context;
    if (result != 0 || job->result != 0)
        pc_driver_endpoints_say_not_kept(endpoints, job->news.url,
                                         job->reason.text[0] != '\0' ? job->reason.text
                                                                     : peercache_strerror(result));
    pc_driver_endpoint_job_free(job);
    endpoints->jobs--;
    pc_driver_endpoints_close_if_over(endpoints);
}

void pc_driver_endpoints_remember(struct pc_driver_endpoints *endpoints, const char *url,
                                  enum pc_driver_endpoint_change change, struct pc_endpoint_memory *news)
{
    struct pc_driver_endpoint_job *job;
    if (!endpoints->worker)
        return;
    int result = pc_driver_endpoint_job_new(change, url, endpoints->owner, on_kept, endpoints, &job);
    if (result == 0) {
        if (news) {
            job->news = *news;
            news->peers = NULL;
            news->peer_count = 0;
        }
        result = pc_driver_store_worker_do(endpoints->worker, &job->job);
        if (result == 0)
            endpoints->jobs++;
        else
            pc_driver_endpoint_job_free(job);
    }
    if (result != 0)
        pc_driver_endpoints_say_not_kept(endpoints, url, peercache_strerror(result));
}

void pc_driver_endpoints_keep(struct pc_driver_endpoints *endpoints, size_t index,
                              const uint8_t breaker[PC_BREAKER_BYTES], uint32_t verified)
{
    struct pc_driver_endpoint *endpoint = &endpoints->endpoints[index];
    struct pc_endpoint_memory news = { .has_breaker = true, .verified = verified - endpoint->verified };
    assert(index < endpoints->count && verified >= endpoint->verified);
    memcpy(news.url, endpoint->memory.url, sizeof(news.url));
    memcpy(news.breaker, breaker, sizeof(news.breaker));
    endpoint->verified = verified;
    pc_driver_endpoint_keep(&endpoint->memory, &news);
    pc_driver_endpoints_remember(endpoints, endpoint->memory.url, PC_DRIVER_ENDPOINT_KEEP, &news);
}

struct pc_bytes pc_driver_endpoints_breaker(const struct pc_driver_endpoints *endpoints, size_t index)
{
    const struct pc_endpoint_memory *memory = &endpoints->endpoints[index].memory;
    assert(index < endpoints->count);
    return pc_bytes_of(memory->breaker, memory->has_breaker ? sizeof(memory->breaker) : 0);
}

void pc_driver_endpoints_report(const struct pc_driver_endpoints *endpoints, size_t index,
                                peercache_endpoint_report *ret_report)
{
    const struct pc_driver_endpoint *endpoint = &endpoints->endpoints[index];
    const struct pc_endpoint_memory *memory = &endpoint->memory;
    assert(index < endpoints->count);
    bool is_counted = ret_report->was_asked && (memory->result == PEERCACHE_FETCH_OK ||
                                                memory->result == PEERCACHE_FETCH_NOT_MODIFIED);
    ret_report->url = memory->url;
    ret_report->was_shared = endpoint->was_shared;
    ret_report->result = memory->ended_ms == 0 ? "" : peercache_fetch_name(memory->result);
    ret_report->detail = memory->detail;
    ret_report->status = memory->status;
    if (!is_counted) /* of an answer before this join's it is not known which are usable here */
        ret_report->delivered = (uint32_t)memory->peer_count;
}

/* ----- life ----- */

static int set_up(struct pc_driver_endpoints *endpoints, const struct pc_driver_endpoints_options *options)
{
    for (; endpoints->count < options->url_count; endpoints->count++) {
        int result = pc_endpoint_memory_init(&endpoints->endpoints[endpoints->count].memory,
                                             options->urls[endpoints->count]);
        if (result != 0)
            return result;
    }
    if (options->ca_file) {
        endpoints->ca_file = strdup(options->ca_file);
        if (!endpoints->ca_file)
            return PEERCACHE_ENOMEM;
    }
    return 0;
}

/* A copy of a word that may be missing. False: it is too long for any. */
static bool copy_word(const char *word, char copy[PC_DRIVER_NETWORK_WORD_BYTES], const char **ret_word)
{
    *ret_word = word ? copy : NULL;
    if (!word)
        return true;
    if (strlen(word) >= PC_DRIVER_NETWORK_WORD_BYTES)
        return false;
    memcpy(copy, word, strlen(word) + 1);
    return true;
}

int pc_driver_endpoints_new(const struct pc_driver_endpoints_options *options,
                            struct pc_driver_endpoints **ret_endpoints)
{
    uint8_t seed[PC_RNG_SEED_BYTES];
    if (options->url_count > PC_JOIN_ENDPOINTS_MAX)
        return PEERCACHE_EINVAL;
    struct pc_driver_endpoints *endpoints = calloc(1, sizeof(*endpoints));
    if (!endpoints)
        return PEERCACHE_ENOMEM;
    endpoints->loop = options->loop;
    endpoints->names = options->names;
    endpoints->log = options->log;
    endpoints->done = options->done;
    endpoints->context = options->context;
    int result = set_up(endpoints, options);
    if (result == 0 &&
        (!copy_word(options->network.name, endpoints->network_name, &endpoints->network.name) ||
         !copy_word(options->network.version, endpoints->network_version, &endpoints->network.version)))
        result = PEERCACHE_EINVAL;
    if (result != 0) {
        free(endpoints->ca_file);
        free(endpoints);
        return result;
    }
    pc_driver_clock_init(&endpoints->clock);
    randombytes_buf(seed, sizeof(seed));
    pc_base_rng_init(&endpoints->rng, seed);
    pc_base_rng_bytes(&endpoints->rng, endpoints->owner, sizeof(endpoints->owner));
    for (size_t i = 0; i < endpoints->count; i++) {
        (void)uv_timer_init(endpoints->loop, &endpoints->endpoints[i].timer); /* cannot fail */
        endpoints->endpoints[i].timer.data = &endpoints->endpoints[i];
    }
    (void)uv_timer_init(endpoints->loop, &endpoints->closer);
    endpoints->handles = endpoints->count + 1;
    *ret_endpoints = endpoints;
    return 0;
}

void pc_driver_endpoints_load(struct pc_driver_endpoints *endpoints, struct pc_store *store)
{
    uint8_t *bytes = malloc(PC_STORE_META_VALUE_MAX_BYTES);
    for (size_t i = 0; bytes && i < endpoints->count; i++) {
        struct pc_endpoint_memory read, *memory = &endpoints->endpoints[i].memory;
        char key[PC_ENDPOINT_KEY_BYTES];
        size_t size = 0;
        pc_endpoint_memory_key(memory->url, key);
        int result = pc_store_meta_get(store, key, bytes, PC_STORE_META_VALUE_MAX_BYTES, &size);
        if (result == PEERCACHE_ENOTFOUND)
            continue;
        if (result == 0)
            result = pc_endpoint_memory_read(pc_bytes_of(bytes, size), &read);
        if (result == 0 && strcmp(read.url, memory->url) == 0) {
            *memory = read;
        } else {
            pc_base_log(endpoints->log, PC_LOG_WARNING, "driver",
                        "%s: what the cache knows of it is not used: %s", memory->url,
                        result == 0 ? "it is of another" : peercache_strerror(result));
            if (result == 0)
                pc_endpoint_memory_deinit(&read);
        }
    }
    free(bytes);
}

void pc_driver_endpoints_use(struct pc_driver_endpoints *endpoints, struct pc_driver_store_worker *worker)
{
    endpoints->worker = worker;
}

static void free_all(struct pc_driver_endpoints *endpoints)
{
    void (*closed)(void *context) = endpoints->closed;
    void *context = endpoints->closed_context;
    for (size_t i = 0; i < endpoints->count; i++)
        pc_endpoint_memory_deinit(&endpoints->endpoints[i].memory);
    free(endpoints->ca_file);
    free(endpoints);
    if (closed)
        closed(context);
}

static void on_one_closed(void *context)
{
    struct pc_driver_endpoints *endpoints = context;
    if (--endpoints->handles == 0)
        free_all(endpoints);
}

static void on_timer_closed(uv_handle_t *timer)
{
    on_one_closed(timer->data);
}

static void close_timer(struct pc_driver_endpoints *endpoints, uv_timer_t *timer)
{
    timer->data = endpoints;
    uv_close((uv_handle_t *)timer, on_timer_closed);
}

/* The timers go last: the loop tells when they have. */
void pc_driver_endpoints_close_if_over(struct pc_driver_endpoints *endpoints)
{
    if (!endpoints->closing || endpoints->asks || endpoints->jobs > 0 ||
        uv_is_closing((uv_handle_t *)&endpoints->closer))
        return;
    for (size_t i = 0; i < endpoints->count; i++)
        close_timer(endpoints, &endpoints->endpoints[i].timer);
    close_timer(endpoints, &endpoints->closer);
}

void pc_driver_endpoints_close(struct pc_driver_endpoints *endpoints, void (*closed)(void *context),
                               void *context)
{
    if (!endpoints)
        return;
    endpoints->closed = closed;
    endpoints->closed_context = context;
    for (size_t i = 0; i < endpoints->count; i++)
        if (endpoints->endpoints[i].ask)
            pc_driver_ask_cancel(endpoints->endpoints[i].ask);
    if (endpoints->fetcher) {
        endpoints->handles++;
        pc_driver_fetch_thread_close(endpoints->fetcher, on_one_closed, endpoints);
    }
    endpoints->closing = true;
    pc_driver_endpoints_close_if_over(endpoints);
}
