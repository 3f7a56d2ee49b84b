/*
 * See fetch.h.
 *
 *   start ─► resolve the host ─► transfer ─► the answer ─┬─► finish ─► everything closed ─► done
 *                 ▲                                      │
 *                 └────────────── redirect ◄─────────────┘
 *
 * Each fetch has a multi handle of its own: no cache of names or connections is shared, and a fetch that is cancelled
 * takes all that was its own along. libcurl calls back in the midst of its work, so its callbacks only note and stop;
 * finish() is called once libcurl has returned.
 */
#include "driver/fetch.h"

#include "base/time.h"
#include "driver/fetch_url.h"
#include "driver/guest.h"

#include <peercache/types.h>

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BODY_FIRST_BYTES (16 * 1024)
/* "host:port:address,[address],…" for libcurl */
#define RESOLVED_BYTES                                                                                       \
    (PC_DRIVER_FETCH_HOST_BYTES + 8 + 2 * PC_DRIVER_RESOLVE_FAMILY_MAX * (PC_IP_PORT_TEXT_BYTES + 1))

enum stop { /* why we stopped a transfer */
            STOP_NOT,
            STOP_ANSWERED, /* the status says it all, the body doesn't matter */
            STOP_BODY_TOO_LARGE,
            STOP_HEADERS_TOO_LARGE,
            STOP_NO_MEMORY,
};

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
    CURL *easy; /* of this hop */
    struct curl_slist *headers;
    struct curl_slist *resolved;
    bool conditional;
    struct pc_driver_fetch_url url;

    enum stop stop;
    int socket_error;   /* errno of a socket that could not be made */
    size_t header_size; /* of this hop */
    uint64_t answered_ns;
    uint8_t *body;
    size_t body_size;
    size_t body_capacity;
    char etag[PC_DRIVER_FETCH_FIELD_BYTES];
    char last_modified[PC_DRIVER_FETCH_FIELD_BYTES];
    char content_type[PC_DRIVER_FETCH_FIELD_BYTES];
    char curl_error[CURL_ERROR_SIZE];
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

static void hop_end(struct pc_driver_fetch *fetch)
{
    if (fetch->easy) {
        (void)curl_multi_remove_handle(fetch->multi, fetch->easy); /* not within a callback: it can't fail */
        curl_easy_cleanup(fetch->easy);
    }
    fetch->easy = NULL;
    curl_slist_free_all(fetch->resolved);
    fetch->resolved = NULL;
}

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
    if (answer->date_ms != PC_DRIVER_FETCH_NO_DATE)
        answer->date_ago_us = (int64_t)((now_ns - fetch->answered_ns) / 1000);
    if (kind == PC_DRIVER_FETCH_OK)
        answer->body = pc_bytes_of(fetch->body, fetch->body_size);
    pc_driver_guest_close(&fetch->guest); /* before libcurl closes its sockets */
    hop_end(fetch);
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
    fetch->answer.etag = fetch->etag;
    fetch->answer.last_modified = fetch->last_modified;
    fetch->answer.content_type = fetch->content_type;
    fetch->done(fetch->context, &fetch->answer);
    pc_driver_fetch_url_deinit(&fetch->url);
    curl_slist_free_all(fetch->headers);
    free(fetch->body);
    free(fetch);
    fetcher->fetch_count--;
    free_fetcher_if_over(fetcher);
}

/* ----- what libcurl calls in the midst of its work ----- */

static curl_socket_t on_open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct pc_driver_fetch *fetch = context;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    (void)purpose;
    if (fd < 0)
        fetch->socket_error = errno;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* libcurl is about to resolve: only what needs no thread, for all else it was given the addresses. */
static int on_resolver_start(void *resolver_state, void *reserved, void *context)
{
    const struct pc_driver_fetch *fetch = context;
    (void)resolver_state;
    (void)reserved;
    return fetch->url.literal ? 0 : 1;
}

static size_t on_header(char *data, size_t one, size_t size, void *context)
{
    struct pc_driver_fetch *fetch = context;
    long status = 0;
    (void)one;
    fetch->header_size += size;
    if (fetch->header_size > PC_DRIVER_FETCH_HEADER_MAX_BYTES) {
        fetch->stop = STOP_HEADERS_TOO_LARGE;
        return 0;
    }
    bool end = size <= 2 && (data[0] == '\r' || data[0] == '\n');
    if (!end || fetch->answered_ns != 0 ||
        curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status < 200)
        return size;
    fetch->answered_ns = uv_hrtime();
    if (status == 200)
        return size;
    fetch->stop = STOP_ANSWERED;
    return 0;
}

static bool body_reserve(struct pc_driver_fetch *fetch, size_t size)
{
    size_t capacity = fetch->body_capacity > 0 ? fetch->body_capacity : BODY_FIRST_BYTES;
    while (capacity < size)
        capacity *= 2;
    if (capacity == fetch->body_capacity)
        return true;
    uint8_t *body = realloc(fetch->body, capacity);
    if (!body)
        return false;
    fetch->body = body;
    fetch->body_capacity = capacity;
    return true;
}

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
    struct pc_driver_fetch *fetch = context;
    (void)one;
    if (size > PC_DRIVER_FETCH_BODY_MAX_BYTES - fetch->body_size) {
        fetch->stop = STOP_BODY_TOO_LARGE;
        return 0;
    }
    if (!body_reserve(fetch, fetch->body_size + size)) {
        fetch->stop = STOP_NO_MEMORY;
        return 0;
    }
    memcpy(fetch->body + fetch->body_size, data, size);
    fetch->body_size += size;
    return size;
}

/* The body as it comes over the wire, and as it was announced. */
static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t upload_total,
                       curl_off_t upload_now)
{
    struct pc_driver_fetch *fetch = context;
    (void)upload_total;
    (void)upload_now;
    if (total <= PC_DRIVER_FETCH_BODY_MAX_BYTES && now <= PC_DRIVER_FETCH_BODY_MAX_BYTES)
        return 0;
    fetch->stop = STOP_BODY_TOO_LARGE;
    return 1;
}

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

/* A header of the last answer, if it can be kept, and sent again: printable ASCII. */
static void copy_field(struct pc_driver_fetch *fetch, const char *name,
                       char ret_text[PC_DRIVER_FETCH_FIELD_BYTES])
{
    struct curl_header *header;
    ret_text[0] = '\0';
    if (curl_easy_header(fetch->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return;
    size_t size = strlen(header->value);
    if (size >= PC_DRIVER_FETCH_FIELD_BYTES)
        return;
    for (size_t i = 0; i < size; i++)
        if (header->value[i] < ' ' || header->value[i] > '~')
            return;
    memcpy(ret_text, header->value, size + 1);
}

static void copy_fields(struct pc_driver_fetch *fetch)
{
    struct pc_driver_fetched *answer = &fetch->answer;
    char date[PC_DRIVER_FETCH_FIELD_BYTES];
    long status = 0;
    if (curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK)
        answer->status = (int)status;
    copy_field(fetch, "ETag", fetch->etag);
    copy_field(fetch, "Last-Modified", fetch->last_modified);
    copy_field(fetch, "Content-Type", fetch->content_type);
    copy_field(fetch, "Date", date);
    time_t seconds = date[0] != '\0' ? curl_getdate(date, NULL) : -1;
    answer->date_ms =
        seconds >= 0 && fetch->answered_ns != 0 ? (int64_t)seconds * 1000 : PC_DRIVER_FETCH_NO_DATE;
}

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
    hop_end(fetch);
    hop_begin(fetch);
}

static void answered(struct pc_driver_fetch *fetch)
{
    int status = fetch->answer.status;
    struct curl_header *location;
    if (status == 200)
        finish(fetch, PC_DRIVER_FETCH_OK, "%s", "");
    else if (status == 304 && fetch->conditional)
        finish(fetch, PC_DRIVER_FETCH_NOT_MODIFIED, "%s", "");
    else if (is_redirect(status) &&
             curl_easy_header(fetch->easy, "Location", 0, CURLH_HEADER, -1, &location) == CURLHE_OK)
        follow(fetch, location->value);
    else
        finish(fetch, PC_DRIVER_FETCH_HTTP_ERROR, "HTTP status %d", status);
}

static enum pc_driver_fetch_kind kind_of_errno(int number)
{
    switch (number) {
    case ECONNREFUSED:
        return PC_DRIVER_FETCH_REFUSED;
    case ETIMEDOUT:
        return PC_DRIVER_FETCH_TIMEOUT;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return PC_DRIVER_FETCH_BROKEN;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return PC_DRIVER_FETCH_FAILED;
    default: /* ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EAFNOSUPPORT, a firewall's EACCES and EPERM, … */
        return PC_DRIVER_FETCH_UNREACHABLE;
    }
}

static void not_connected(struct pc_driver_fetch *fetch)
{
    long number = 0;
    (void)curl_easy_getinfo(fetch->easy, CURLINFO_OS_ERRNO, &number);
    if (number == 0)
        number = fetch->socket_error;
    if (number == 0)
        number = EHOSTUNREACH;
    finish(fetch, kind_of_errno((int)number), "%.100s port %u: %s", fetch->url.host,
           (unsigned)fetch->url.port, uv_strerror(-(int)number));
}

static enum pc_driver_fetch_kind kind_of_curl(CURLcode code)
{
    static const struct {
        CURLcode code;
        enum pc_driver_fetch_kind kind;
    } kinds[] = {
        { CURLE_OPERATION_TIMEDOUT, PC_DRIVER_FETCH_TIMEOUT },
        { CURLE_COULDNT_RESOLVE_HOST, PC_DRIVER_FETCH_DNS_FAILED },
        { CURLE_SSL_CONNECT_ERROR, PC_DRIVER_FETCH_TLS_FAILED },
        { CURLE_PEER_FAILED_VERIFICATION, PC_DRIVER_FETCH_TLS_FAILED },
        { CURLE_SSL_ISSUER_ERROR, PC_DRIVER_FETCH_TLS_FAILED },
        { CURLE_SSL_INVALIDCERTSTATUS, PC_DRIVER_FETCH_TLS_FAILED },
        { CURLE_SSL_CERTPROBLEM, PC_DRIVER_FETCH_TLS_FAILED },
        { CURLE_SSL_CIPHER, PC_DRIVER_FETCH_TLS_FAILED },
        { CURLE_URL_MALFORMAT, PC_DRIVER_FETCH_BAD_URL },
        { CURLE_UNSUPPORTED_PROTOCOL, PC_DRIVER_FETCH_BAD_URL },
        { CURLE_SSL_CACERT_BADFILE, PC_DRIVER_FETCH_FAILED },
        { CURLE_OUT_OF_MEMORY, PC_DRIVER_FETCH_FAILED },
        { CURLE_FAILED_INIT, PC_DRIVER_FETCH_FAILED },
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].code == code)
            return kinds[i].kind;
    return PC_DRIVER_FETCH_BROKEN;
}

static void hop_done(struct pc_driver_fetch *fetch, CURLcode code)
{
    copy_fields(fetch);
    switch (fetch->stop) {
    case STOP_NOT:
        break;
    case STOP_ANSWERED:
        answered(fetch);
        return;
    case STOP_BODY_TOO_LARGE:
        finish(fetch, PC_DRIVER_FETCH_TOO_LARGE, "the answer is over %d bytes",
               PC_DRIVER_FETCH_BODY_MAX_BYTES);
        return;
    case STOP_HEADERS_TOO_LARGE:
        finish(fetch, PC_DRIVER_FETCH_TOO_LARGE, "the headers are over %d bytes",
               PC_DRIVER_FETCH_HEADER_MAX_BYTES);
        return;
    case STOP_NO_MEMORY:
        finish(fetch, PC_DRIVER_FETCH_FAILED, "%s", peercache_strerror(PEERCACHE_ENOMEM));
        return;
    }
    if (code == CURLE_OK)
        answered(fetch);
    else if (code == CURLE_COULDNT_CONNECT)
        not_connected(fetch);
    else
        finish(fetch, kind_of_curl(code), "%s",
               fetch->curl_error[0] != '\0' ? fetch->curl_error : curl_easy_strerror(code));
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

/* "host:port:address,[address]": libcurl's cache of names, filled by us. */
static bool give_addresses(struct pc_driver_fetch *fetch, const struct pc_driver_resolved *resolved)
{
    char text[RESOLVED_BYTES];
    size_t at = (size_t)snprintf(text, sizeof(text), "%s:%u:", fetch->url.host, (unsigned)fetch->url.port);
    for (size_t i = 0; i < resolved->address_count; i++) {
        char address[PC_IP_PORT_TEXT_BYTES];
        pc_addr_ip_port_format(&resolved->addresses[i], address);
        *strrchr(address, ':') = '\0'; /* its port 0 */
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i > 0 ? "," : "", address);
        assert(at < sizeof(text));
    }
    fetch->resolved = curl_slist_append(NULL, text);
    return fetch->resolved != NULL;
}

static bool set_options(struct pc_driver_fetch *fetch)
{
    CURL *easy = fetch->easy;
    const char *ca_file = fetch->fetcher->ca_file;
    bool ok = true;
#define SET(option, value) ok = ok && curl_easy_setopt(easy, option, value) == CURLE_OK
    SET(CURLOPT_CURLU, fetch->url.curl);
    SET(CURLOPT_PROTOCOLS_STR, fetch->url.https ? "https" : "http");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, fetch->url.https ? "https" : "http"); /* it follows none at all */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTPHEADER, fetch->headers);
    SET(CURLOPT_USERAGENT, "peercache/" PC_VERSION);
    SET(CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
    SET(CURLOPT_PROXY, ""); /* also none of the environment */
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (ca_file) {
        SET(CURLOPT_CAINFO, ca_file);
        SET(CURLOPT_CAPATH, NULL);
    }
    if (fetch->resolved)
        SET(CURLOPT_RESOLVE, fetch->resolved);
    SET(CURLOPT_RESOLVER_START_FUNCTION, on_resolver_start);
    SET(CURLOPT_RESOLVER_START_DATA, fetch);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, fetch);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, fetch);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, fetch);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, fetch);
    SET(CURLOPT_ERRORBUFFER, fetch->curl_error);
    /* The deadline is the guest's. This one makes libcurl share what is left among the addresses, so that a silent one
     * leaves time for the next. */
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)pc_base_time_max(pc_driver_guest_left_ms(&fetch->guest), 1));
#undef SET
    return ok;
}

/* `resolved`: NULL, the host is an address itself. */
static void transfer(struct pc_driver_fetch *fetch, const struct pc_driver_resolved *resolved)
{
    fetch->stop = STOP_NOT;
    fetch->socket_error = 0;
    fetch->header_size = 0;
    fetch->answered_ns = 0;
    fetch->curl_error[0] = '\0';
    fetch->answer.status = 0;
    fetch->easy = curl_easy_init();
    /* libcurl is driven by the timer that this sets */
    if (!fetch->easy || (resolved && !give_addresses(fetch, resolved)) || !set_options(fetch) ||
        curl_multi_add_handle(fetch->multi, fetch->easy) != CURLM_OK)
        finish(fetch, PC_DRIVER_FETCH_FAILED, "libcurl cannot be set up");
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
    curl_off_t connected_us = 0;
    const char *doing = "receiving the answer";
    if (fetch->query) {
        fetch->answer.dns_kind = PC_DRIVER_RESOLVE_TIMEOUT;
        finish(fetch, PC_DRIVER_FETCH_DNS_FAILED, "%.100s: the name servers are silent", fetch->url.host);
        return;
    }
    copy_fields(fetch);
    (void)curl_easy_getinfo(fetch->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
    if (connected_us == 0)
        doing = "connecting";
    else if (fetch->answer.status == 0)
        doing = "waiting for an answer";
    finish(fetch, PC_DRIVER_FETCH_TIMEOUT, "still %s after %lld ms", doing, (long long)fetch->deadline_ms);
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
    fetch->answer.date_ms = PC_DRIVER_FETCH_NO_DATE;
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
