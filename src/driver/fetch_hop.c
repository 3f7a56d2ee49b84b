/* See fetch_hop.h. */
#include "driver/fetch_hop.h"

#include "base/time.h"

#include <peercache/types.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BODY_FIRST_BYTES (16 * 1024)
/* "host:port:address,[address],…" for libcurl */
#define RESOLVED_BYTES                                                                                       \
    (PC_DRIVER_FETCH_HOST_BYTES + 8 + 2 * PC_DRIVER_RESOLVE_FAMILY_MAX * (PC_IP_PORT_TEXT_BYTES + 1))

/* ----- what libcurl calls in the midst of its work ----- */

static curl_socket_t on_open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct pc_driver_fetch_hop *hop = context;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    (void)purpose;
    if (fd >= 0)
        return fd; /* libcurl's, which closes it */
    hop->socket_error = errno;
    return CURL_SOCKET_BAD;
}

/* libcurl is about to resolve: only what needs no thread, for all else it was given the addresses. */
static int on_resolver_start(void *resolver_state, void *reserved, void *context)
{
    const struct pc_driver_fetch_hop *hop = context;
    (void)resolver_state;
    (void)reserved;
    return hop->literal ? 0 : 1;
}

static size_t on_header(char *data, size_t one, size_t size, void *context)
{
    struct pc_driver_fetch_hop *hop = context;
    long status = 0;
    (void)one;
    hop->header_size += size;
    if (hop->header_size > PC_DRIVER_FETCH_HEADER_MAX_BYTES) {
        hop->stop = PC_DRIVER_FETCH_STOP_HEADERS_TOO_LARGE;
        return 0;
    }
    bool end = size <= 2 && (data[0] == '\r' || data[0] == '\n');
    if (!end || hop->answered_ns != 0 ||
        curl_easy_getinfo(hop->easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status < 200)
        return size;
    hop->answered_ns = uv_hrtime();
    if (status == 200)
        return size;
    hop->stop = PC_DRIVER_FETCH_STOP_ANSWERED;
    return 0;
}

static bool body_reserve(struct pc_driver_fetch_hop *hop, size_t size)
{
    size_t capacity = hop->body_capacity > 0 ? hop->body_capacity : BODY_FIRST_BYTES;
    while (capacity < size)
        capacity *= 2;
    if (capacity == hop->body_capacity)
        return true;
    uint8_t *body = realloc(hop->body, capacity);
    if (!body)
        return false;
    hop->body = body;
    hop->body_capacity = capacity;
    return true;
}

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
    struct pc_driver_fetch_hop *hop = context;
    (void)one;
    if (size > PC_DRIVER_FETCH_BODY_MAX_BYTES - hop->body_size) {
        hop->stop = PC_DRIVER_FETCH_STOP_BODY_TOO_LARGE;
        return 0;
    }
    if (!body_reserve(hop, hop->body_size + size)) {
        hop->stop = PC_DRIVER_FETCH_STOP_NO_MEMORY;
        return 0;
    }
    memcpy(hop->body + hop->body_size, data, size);
    hop->body_size += size;
    return size;
}

/* The body as it comes over the wire, and as it was announced. */
static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t upload_total,
                       curl_off_t upload_now)
{
    struct pc_driver_fetch_hop *hop = context;
    (void)upload_total;
    (void)upload_now;
    if (total <= PC_DRIVER_FETCH_WIRE_MAX_BYTES && now <= PC_DRIVER_FETCH_WIRE_MAX_BYTES)
        return 0;
    hop->stop = PC_DRIVER_FETCH_STOP_BODY_TOO_LARGE;
    return 1;
}

/* ----- its beginning ----- */

/* "host:port:address,[address]": libcurl's cache of names, filled by us. */
static bool give_addresses(struct pc_driver_fetch_hop *hop, const struct pc_driver_fetch_url *url,
                           const struct pc_driver_resolved *resolved)
{
    char text[RESOLVED_BYTES];
    size_t at = (size_t)snprintf(text, sizeof(text), "%s:%u:", url->host, (unsigned)url->port);
    for (size_t i = 0; i < resolved->address_count; i++) {
        char address[PC_IP_PORT_TEXT_BYTES];
        pc_addr_ip_port_format(&resolved->addresses[i], address);
        *strrchr(address, ':') = '\0'; /* its port 0 */
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i > 0 ? "," : "", address);
        assert(at < sizeof(text));
    }
    hop->resolved = curl_slist_append(NULL, text);
    return hop->resolved != NULL;
}

static bool set_options(struct pc_driver_fetch_hop *hop, const struct pc_driver_fetch_order *order)
{
    CURL *easy = hop->easy;
    bool ok = true;
#define SET(option, value) ok = ok && curl_easy_setopt(easy, option, value) == CURLE_OK
    SET(CURLOPT_CURLU, order->url->curl);
    SET(CURLOPT_PROTOCOLS_STR, order->url->https ? "https" : "http");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, order->url->https ? "https" : "http"); /* it follows none at all */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTPHEADER, order->headers);
    SET(CURLOPT_USERAGENT, "peercache/" PC_VERSION);
    SET(CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
    SET(CURLOPT_PROXY, ""); /* also none of the environment */
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (order->ca_file) {
        SET(CURLOPT_CAINFO, order->ca_file);
        SET(CURLOPT_CAPATH, NULL);
    }
    if (hop->resolved)
        SET(CURLOPT_RESOLVE, hop->resolved);
    SET(CURLOPT_RESOLVER_START_FUNCTION, on_resolver_start);
    SET(CURLOPT_RESOLVER_START_DATA, hop);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, hop);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, hop);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, hop);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, hop);
    SET(CURLOPT_ERRORBUFFER, hop->curl_error);
    SET(CURLOPT_CONNECTTIMEOUT_MS,
        (long)pc_base_time_max(order->connect_ms, 1)); /* 0 would be five minutes */
#undef SET
    return ok;
}

int pc_driver_fetch_hop_begin(struct pc_driver_fetch_hop *hop, const struct pc_driver_fetch_order *order)
{
    pc_driver_fetch_hop_deinit(hop);
    *hop = (struct pc_driver_fetch_hop){ .literal = order->url->literal, .date_ms = PC_DRIVER_FETCH_NO_DATE };
    hop->easy = curl_easy_init();
    if (!hop->easy || (order->resolved && !give_addresses(hop, order->url, order->resolved)))
        return PEERCACHE_ENOMEM;
    if (!set_options(hop, order) || curl_multi_add_handle(order->multi, hop->easy) != CURLM_OK)
        return PEERCACHE_EIO;
    hop->multi = order->multi;
    return 0;
}

void pc_driver_fetch_hop_end(struct pc_driver_fetch_hop *hop)
{
    if (hop->multi)
        (void)curl_multi_remove_handle(hop->multi, hop->easy); /* not within a callback: it can't fail */
    hop->multi = NULL;
    curl_easy_cleanup(hop->easy);
    hop->easy = NULL;
    curl_slist_free_all(hop->resolved);
    hop->resolved = NULL;
}

void pc_driver_fetch_hop_deinit(struct pc_driver_fetch_hop *hop)
{
    pc_driver_fetch_hop_end(hop);
    free(hop->body);
    hop->body = NULL;
}

/* ----- the answer ----- */

/* A header of the answer, if it can be kept, and sent again: printable ASCII. */
static void copy_field(const struct pc_driver_fetch_hop *hop, const char *name,
                       char ret_text[PC_DRIVER_FETCH_FIELD_BYTES])
{
    struct curl_header *header;
    ret_text[0] = '\0';
    if (curl_easy_header(hop->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return;
    size_t size = strlen(header->value);
    if (size >= PC_DRIVER_FETCH_FIELD_BYTES)
        return;
    for (size_t i = 0; i < size; i++)
        if (header->value[i] < ' ' || header->value[i] > '~')
            return;
    memcpy(ret_text, header->value, size + 1);
}

void pc_driver_fetch_hop_read(struct pc_driver_fetch_hop *hop)
{
    char date[PC_DRIVER_FETCH_FIELD_BYTES];
    long status = 0;
    if (curl_easy_getinfo(hop->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK)
        hop->status = (int)status;
    copy_field(hop, "ETag", hop->etag);
    copy_field(hop, "Last-Modified", hop->last_modified);
    copy_field(hop, "Content-Type", hop->content_type);
    copy_field(hop, "Date", date);
    time_t seconds = date[0] != '\0' ? curl_getdate(date, NULL) : -1;
    if (seconds >= 0 && hop->answered_ns != 0)
        hop->date_ms = (int64_t)seconds * 1000;
}

const char *pc_driver_fetch_hop_location(const struct pc_driver_fetch_hop *hop)
{
    struct curl_header *header;
    return curl_easy_header(hop->easy, "Location", 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value
                                                                                              : NULL;
}

const char *pc_driver_fetch_hop_doing(const struct pc_driver_fetch_hop *hop)
{
    curl_off_t ready_us = 0; /* connected, TLS included */
    if (hop->answered_ns != 0)
        return "receiving the answer";
    if (curl_easy_getinfo(hop->easy, CURLINFO_PRETRANSFER_TIME_T, &ready_us) == CURLE_OK && ready_us > 0)
        return "waiting for an answer";
    return "connecting";
}

/* ----- the verdict ----- */

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
    case EHOSTUNREACH:
        return PC_DRIVER_FETCH_UNREACHABLE;
    default: /* ENETUNREACH, EADDRNOTAVAIL, EAFNOSUPPORT, a firewall's EACCES and EPERM, … */
        return PC_DRIVER_FETCH_NO_ROUTE;
    }
}

static enum pc_driver_fetch_kind not_connected(const struct pc_driver_fetch_hop *hop,
                                               const struct pc_driver_fetch_url *url,
                                               struct pc_reason *ret_reason)
{
    long number = 0;
    (void)curl_easy_getinfo(hop->easy, CURLINFO_OS_ERRNO, &number);
    if (number == 0)
        number = hop->socket_error;
    pc_base_reason(ret_reason, "%.100s port %u: %s", url->host, (unsigned)url->port,
                   number != 0 ? uv_strerror(-(int)number) : "not connected");
    return kind_of_errno((int)number);
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
        { CURLE_SSL_CACERT_BADFILE, PC_DRIVER_FETCH_FAILED },
        { CURLE_OUT_OF_MEMORY, PC_DRIVER_FETCH_FAILED },
        { CURLE_FAILED_INIT, PC_DRIVER_FETCH_FAILED },
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].code == code)
            return kinds[i].kind;
    return PC_DRIVER_FETCH_BROKEN;
}

enum pc_driver_fetch_kind pc_driver_fetch_hop_verdict(const struct pc_driver_fetch_hop *hop, CURLcode code,
                                                      const struct pc_driver_fetch_url *url,
                                                      struct pc_reason *ret_reason)
{
    switch (hop->stop) {
    case PC_DRIVER_FETCH_STOP_NOT:
        break;
    case PC_DRIVER_FETCH_STOP_ANSWERED:
        return PC_DRIVER_FETCH_OK;
    case PC_DRIVER_FETCH_STOP_BODY_TOO_LARGE:
        pc_base_reason(ret_reason, "the answer is over %d bytes", PC_DRIVER_FETCH_BODY_MAX_BYTES);
        return PC_DRIVER_FETCH_TOO_LARGE;
    case PC_DRIVER_FETCH_STOP_HEADERS_TOO_LARGE:
        pc_base_reason(ret_reason, "the headers are over %d bytes", PC_DRIVER_FETCH_HEADER_MAX_BYTES);
        return PC_DRIVER_FETCH_TOO_LARGE;
    case PC_DRIVER_FETCH_STOP_NO_MEMORY:
        pc_base_reason(ret_reason, "%s", peercache_strerror(PEERCACHE_ENOMEM));
        return PC_DRIVER_FETCH_FAILED;
    }
    if (code == CURLE_OK && hop->answered_ns != 0)
        return PC_DRIVER_FETCH_OK;
    if (code == CURLE_OK) { /* libcurl takes a closed connection for the end of the headers */
        pc_base_reason(ret_reason, "cut off within the headers");
        return PC_DRIVER_FETCH_BROKEN;
    }
    if (code == CURLE_COULDNT_CONNECT)
        return not_connected(hop, url, ret_reason);
    pc_base_reason(ret_reason, "%s", hop->curl_error[0] != '\0' ? hop->curl_error : curl_easy_strerror(code));
    return kind_of_curl(code);
}
