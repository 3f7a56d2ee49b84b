/*
 * See fetch.h.
 *
 *   start ─► resolve the host ─► transfer ─► the answer ─┬─► finish ─► everything closed ─► done
 *                 ▲                                      │
 *                 └────────────── redirect ◄─────────────┘
 *
 * Each fetch has a multi handle of its own: no cache of names or connections is shared, and a fetch that is cancelled
 * takes all that was its own along. finish() is called once libcurl has returned, never within its callbacks.
 */
#include "driver/fetch.h"

#include "driver/fetch_hop.h"
#include "driver/guest.h"

#include <peercache/types.h>

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct pc_driver_fetcher {
    uv_loop_t *loop;
    struct pc_driver_resolver *resolver;
    char *ca_file;
    struct pc_driver_fetch *fetches;
    size_t fetch_count;
    bool closing;
};

struct pc_driver_fetch {
    struct pc_driver_fetch *next;
    struct pc_driver_fetch **at; /* what points to this one */
    struct pc_driver_fetcher *fetcher;
    struct pc_driver_guest guest;
    bool guest_closed;
    struct pc_driver_query *query; /* NULL: none under way */
    pc_driver_fetch_done done;
    void *context;
    int64_t deadline_ms;
    uint64_t start_ns;
    bool finished; /* `answer` stands */

    CURLM *multi;
    struct curl_slist *headers;
    bool conditional;
    struct pc_driver_fetch_url url;
    struct pc_driver_fetch_hop hop;
    struct pc_driver_fetched answer;
};

static void hop_begin(struct pc_driver_fetch *fetch);

const char *pc_driver_fetch_kind_name(enum pc_driver_fetch_kind kind)
{
    static const char *const names[PC_DRIVER_FETCH_KINDS] = {
        [PC_DRIVER_FETCH_OK] = "ok",
        [PC_DRIVER_FETCH_NOT_MODIFIED] = "not_modified",
        [PC_DRIVER_FETCH_HTTP_ERROR] = "http_error",
        [PC_DRIVER_FETCH_TIMEOUT] = "timeout",
        [PC_DRIVER_FETCH_REFUSED] = "refused",
        [PC_DRIVER_FETCH_NO_ROUTE] = "no_route",
        [PC_DRIVER_FETCH_UNREACHABLE] = "unreachable",
        [PC_DRIVER_FETCH_DNS_FAILED] = "dns_failed",
        [PC_DRIVER_FETCH_TLS_FAILED] = "tls_failed",
        [PC_DRIVER_FETCH_TOO_LARGE] = "too_large",
        [PC_DRIVER_FETCH_REDIRECT_REFUSED] = "redirect_refused",
        [PC_DRIVER_FETCH_BROKEN] = "broken",
        [PC_DRIVER_FETCH_BAD_URL] = "bad_url",
        [PC_DRIVER_FETCH_FAILED] = "failed",
        [PC_DRIVER_FETCH_CANCELLED] = "cancelled",
    };
    return names[kind];
}

/* ----- its end ----- */

static void finish(struct pc_driver_fetch *fetch, enum pc_driver_fetch_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void finish(struct pc_driver_fetch *fetch, enum pc_driver_fetch_kind kind, const char *format, ...)
{
    struct pc_driver_fetched *answer = &fetch->answer;
    uint64_t now_ns = uv_hrtime();
    va_list arguments;
    if (fetch->finished)
        return;
    fetch->finished = true;
    answer->kind = kind;
    va_start(arguments, format);
    (void)vsnprintf(answer->detail.text, sizeof(answer->detail.text), format, arguments);
    va_end(arguments);
    answer->elapsed_us = (int64_t)((now_ns - fetch->start_ns) / 1000);
    answer->status = fetch->hop.status;
    answer->date_ms = fetch->hop.date_ms;
    if (answer->date_ms != PC_DRIVER_FETCH_NO_DATE)
        answer->date_ago_us = (int64_t)((now_ns - fetch->hop.answered_ns) / 1000);
    answer->etag = fetch->hop.etag;
    answer->last_modified = fetch->hop.last_modified;
    answer->content_type = fetch->hop.content_type;
    if (kind == PC_DRIVER_FETCH_OK)
        answer->body = pc_bytes_of(fetch->hop.body, fetch->hop.body_size);
    pc_driver_guest_close(&fetch->guest); /* before libcurl closes its sockets */
    pc_driver_fetch_hop_end(&fetch->hop);
    if (fetch->multi)
        (void)curl_multi_cleanup(fetch->multi);
    fetch->multi = NULL;
    if (fetch->query)
        pc_driver_resolve_cancel(fetch->query);
}

static void free_fetcher_if_over(struct pc_driver_fetcher *fetcher)
{
    if (!fetcher->closing || fetcher->fetch_count > 0)
        return;
    free(fetcher->ca_file);
    free(fetcher);
}

/* What the fetch has under way is over: tell, and free it. */
static void release_if_over(struct pc_driver_fetch *fetch)
{
    struct pc_driver_fetcher *fetcher = fetch->fetcher;
    if (!fetch->guest_closed || fetch->query)
        return;
    *fetch->at = fetch->next;
    if (fetch->next)
        fetch->next->at = fetch->at;
    fetch->done(fetch->context, &fetch->answer);
    pc_driver_fetch_url_deinit(&fetch->url);
    curl_slist_free_all(fetch->headers);
    pc_driver_fetch_hop_deinit(&fetch->hop);
    free(fetch);
    fetcher->fetch_count--;
    free_fetcher_if_over(fetcher);
}

/* ----- what libcurl asks of the loop ----- */

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *of_socket)
{
    struct pc_driver_fetch *fetch = context;
    int events = 0;
    (void)easy;
    (void)of_socket;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        events |= UV_READABLE;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        events |= UV_WRITABLE;
    return pc_driver_guest_watch(&fetch->guest, fd, events) == 0 ? 0 : -1;
}

static int on_curl_timer(CURLM *multi, long wait_ms, void *context)
{
    struct pc_driver_fetch *fetch = context;
    (void)multi;
    pc_driver_guest_timer(&fetch->guest, wait_ms);
    return 0;
}

/* ----- the answer ----- */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void follow(struct pc_driver_fetch *fetch, const char *location)
{
    struct pc_reason why;
    if (fetch->answer.redirects == PC_DRIVER_FETCH_REDIRECTS_MAX) {
        finish(fetch, PC_DRIVER_FETCH_REDIRECT_REFUSED, "more than %d redirects",
               PC_DRIVER_FETCH_REDIRECTS_MAX);
        return;
    }
    int result = pc_driver_fetch_url_redirect(&fetch->url, location, &why);
    if (result != 0) {
        if (result == PEERCACHE_EPARSE)
            finish(fetch, PC_DRIVER_FETCH_REDIRECT_REFUSED, "%s", why.text);
        else
            finish(fetch, PC_DRIVER_FETCH_FAILED, "%s", peercache_strerror(result));
        return;
    }
    fetch->answer.redirects++;
    pc_driver_fetch_hop_end(&fetch->hop);
    hop_begin(fetch);
}

static void too_late(struct pc_driver_fetch *fetch)
{
    pc_driver_fetch_hop_read(&fetch->hop);
    finish(fetch, PC_DRIVER_FETCH_TIMEOUT, "still %s after %lld ms", pc_driver_fetch_hop_doing(&fetch->hop),
           (long long)fetch->deadline_ms);
}

static void hop_done(struct pc_driver_fetch *fetch, CURLcode code)
{
    struct pc_reason why = { "" };
    if (code ==
        CURLE_OPERATION_TIMEDOUT) { /* libcurl was given the same time, and looked at its clock before us */
        too_late(fetch);
        return;
    }
    pc_driver_fetch_hop_read(&fetch->hop);
    enum pc_driver_fetch_kind kind = pc_driver_fetch_hop_verdict(&fetch->hop, code, &fetch->url, &why);
    if (kind != PC_DRIVER_FETCH_OK) {
        finish(fetch, kind, "%s", why.text);
        return;
    }
    int status = fetch->hop.status;
    const char *location = is_redirect(status) ? pc_driver_fetch_hop_location(&fetch->hop) : NULL;
    if (status == 200)
        finish(fetch, PC_DRIVER_FETCH_OK, "%s", "");
    else if (status == 304 && fetch->conditional)
        finish(fetch, PC_DRIVER_FETCH_NOT_MODIFIED, "%s", "");
    else if (location)
        follow(fetch, location);
    else
        finish(fetch, PC_DRIVER_FETCH_HTTP_ERROR, "HTTP status %d", status);
}

/* Let libcurl work, and look whether it has finished. */
static void drive(struct pc_driver_fetch *fetch, curl_socket_t fd, int events)
{
    int running;
    int left;
    CURLMcode code = curl_multi_socket_action(fetch->multi, fd, events, &running);
    if (code != CURLM_OK) {
        finish(fetch, PC_DRIVER_FETCH_FAILED, "%s", curl_multi_strerror(code));
        return;
    }
    const CURLMsg *message =
        curl_multi_info_read(fetch->multi, &left); /* there is one transfer, so one at most */
    if (message && message->msg == CURLMSG_DONE)
        hop_done(fetch, message->data.result);
}

/* ----- one hop ----- */

/* `resolved`: NULL, the host is an address itself. */
static void transfer(struct pc_driver_fetch *fetch, const struct pc_driver_resolved *resolved)
{
    const struct pc_driver_fetch_order order = {
        .multi = fetch->multi,
        .url = &fetch->url,
        .headers = fetch->headers,
        .ca_file = fetch->fetcher->ca_file,
        .resolved = resolved,
        .connect_ms = pc_driver_guest_left_ms(&fetch->guest),
    };
    int result = pc_driver_fetch_hop_begin(&fetch->hop, &order);
    if (result != 0)
        finish(fetch, PC_DRIVER_FETCH_FAILED, "libcurl: %s", peercache_strerror(result));
}

static void on_resolved(void *context, const struct pc_driver_resolved *resolved)
{
    struct pc_driver_fetch *fetch = context;
    fetch->query = NULL;
    if (fetch->finished) {
        release_if_over(fetch);
    } else if (resolved->kind == PC_DRIVER_RESOLVE_OK) {
        transfer(fetch, resolved);
    } else {
        fetch->answer.dns_kind = resolved->kind;
        finish(fetch, PC_DRIVER_FETCH_DNS_FAILED, "%s", resolved->detail.text);
    }
}

static void hop_begin(struct pc_driver_fetch *fetch)
{
    if (fetch->url.literal) {
        transfer(fetch, NULL);
        return;
    }
    int result = pc_driver_resolve(fetch->fetcher->resolver, PC_DRIVER_RESOLVE_IP, fetch->url.host,
                                   pc_driver_guest_left_ms(&fetch->guest), on_resolved, fetch, &fetch->query);
    if (result != 0)
        finish(fetch, PC_DRIVER_FETCH_FAILED, "%s", peercache_strerror(result));
}

/* ----- what the loop brings ----- */

static void on_ready(void *context, int fd, int events)
{
    drive(context, fd,
          (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0));
}

static void on_due(void *context)
{
    drive(context, CURL_SOCKET_TIMEOUT, 0);
}

static void on_deadline(void *context)
{
    struct pc_driver_fetch *fetch = context;
    if (fetch->query) {
        fetch->answer.dns_kind = PC_DRIVER_RESOLVE_TIMEOUT;
        finish(fetch, PC_DRIVER_FETCH_DNS_FAILED, "%.100s: the name servers are silent", fetch->url.host);
        return;
    }
    too_late(fetch);
}

static void on_closed(void *context)
{
    struct pc_driver_fetch *fetch = context;
    fetch->guest_closed = true;
    release_if_over(fetch);
}

/* ----- its start ----- */

static const struct pc_driver_guest_calls guest_calls = {
    .ready = on_ready,
    .due = on_due,
    .deadline = on_deadline,
    .closed = on_closed,
};

static bool add_header(struct pc_driver_fetch *fetch, const char *name, const char *value)
{
    char line[64 + PC_DRIVER_FETCH_FIELD_BYTES];
    int size = snprintf(line, sizeof(line), "%s: %s", name, value);
    assert(size > 0 && (size_t)size < sizeof(line));
    (void)size;
    struct curl_slist *longer = curl_slist_append(fetch->headers, line);
    if (!longer)
        return false;
    fetch->headers = longer;
    return true;
}

/* A condition comes from a store: whatever no header may hold is left out, and the whole is asked for. */
static bool add_condition(struct pc_driver_fetch *fetch, const char *name, const char *value)
{
    if (!value || value[0] == '\0')
        return true;
    for (const char *c = value; *c != '\0'; c++)
        if (*c < ' ' || *c > '~' || c - value >= PC_DRIVER_FETCH_FIELD_BYTES - 1)
            return true;
    fetch->conditional = true;
    return add_header(fetch, name, value);
}

static bool prepare(struct pc_driver_fetch *fetch, const struct pc_driver_fetch_request *request)
{
    fetch->multi = curl_multi_init();
    return fetch->multi &&
           curl_multi_setopt(fetch->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket) == CURLM_OK &&
           curl_multi_setopt(fetch->multi, CURLMOPT_SOCKETDATA, fetch) == CURLM_OK &&
           curl_multi_setopt(fetch->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
           curl_multi_setopt(fetch->multi, CURLMOPT_TIMERDATA, fetch) == CURLM_OK &&
           add_header(fetch, "Cache-Version", "1") && add_condition(fetch, "If-None-Match", request->etag) &&
           add_condition(fetch, "If-Modified-Since", request->last_modified);
}

int pc_driver_fetch_start(struct pc_driver_fetcher *fetcher, const struct pc_driver_fetch_request *request,
                          pc_driver_fetch_done done, void *context, struct pc_driver_fetch **ret_fetch)
{
    struct pc_reason why;
    assert(!fetcher->closing);
    if (fetcher->fetch_count == PC_DRIVER_FETCHES_MAX)
        return PEERCACHE_ELIMIT;
    struct pc_driver_fetch *fetch = calloc(1, sizeof(*fetch));
    if (!fetch)
        return PEERCACHE_ENOMEM;
    fetch->fetcher = fetcher;
    fetch->done = done;
    fetch->context = context;
    fetch->deadline_ms = request->deadline_ms;
    fetch->start_ns = uv_hrtime();
    fetch->hop.date_ms = PC_DRIVER_FETCH_NO_DATE;
    fetch->next = fetcher->fetches;
    fetch->at = &fetcher->fetches;
    if (fetch->next)
        fetch->next->at = &fetch->next;
    fetcher->fetches = fetch;
    fetcher->fetch_count++;
    pc_driver_guest_open(&fetch->guest, fetcher->loop, &guest_calls, fetch, request->deadline_ms);
    *ret_fetch = fetch;
    int result = pc_driver_fetch_url_init(&fetch->url, request->url, &why);
    if (result == PEERCACHE_EPARSE)
        finish(fetch, PC_DRIVER_FETCH_BAD_URL, "%s", why.text);
    else if (result != 0 || !prepare(fetch, request))
        finish(fetch, PC_DRIVER_FETCH_FAILED, "libcurl cannot be set up");
    else
        hop_begin(fetch);
    return 0;
}

void pc_driver_fetch_cancel(struct pc_driver_fetch *fetch)
{
    finish(fetch, PC_DRIVER_FETCH_CANCELLED, "cancelled");
}

/* ----- the fetcher ----- */

static uv_once_t curl_once = UV_ONCE_INIT;
static CURLcode curl_ready;

/* Once a process, and never undone: others in the process may use libcurl too. */
static void set_up_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/*
 * The system's trusted certificates as one file, NULL: wherever libcurl looks. Debian's libcurl looks in the folder beside
 * it, where the same certificates lie twice, and GnuTLS reads all of it for each handshake: 90 ms, against 26 for the file.
 */
static const char *find_system_ca_file(void)
{
    static const char *const files[] = {
        "/etc/ssl/certs/ca-certificates.crt", /* Debian and its kin, Arch, Alpine */
        "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora and its kin */
        "/etc/ssl/ca-bundle.pem",             /* openSUSE */
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (access(files[i], R_OK) == 0)
            return files[i];
    return NULL;
}

int pc_driver_fetcher_new(uv_loop_t *loop, struct pc_driver_resolver *resolver, const char *ca_file,
                          struct pc_driver_fetcher **ret_fetcher)
{
    uv_once(&curl_once, set_up_curl);
    if (curl_ready != CURLE_OK)
        return PEERCACHE_EIO;
    struct pc_driver_fetcher *fetcher = calloc(1, sizeof(*fetcher));
    if (!fetcher)
        return PEERCACHE_ENOMEM;
    fetcher->loop = loop;
    fetcher->resolver = resolver;
    if (!ca_file)
        ca_file = find_system_ca_file();
    if (ca_file) {
        fetcher->ca_file = strdup(ca_file);
        if (!fetcher->ca_file) {
            free(fetcher);
            return PEERCACHE_ENOMEM;
        }
    }
    *ret_fetcher = fetcher;
    return 0;
}

void pc_driver_fetcher_close(struct pc_driver_fetcher *fetcher)
{
    if (!fetcher)
        return;
    fetcher->closing = true;
    for (struct pc_driver_fetch *fetch = fetcher->fetches; fetch; fetch = fetch->next)
        pc_driver_fetch_cancel(fetch);
    free_fetcher_if_over(fetcher);
}
