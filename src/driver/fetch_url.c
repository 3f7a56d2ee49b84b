#include "driver/fetch_url.h"

#include "addr/ip_text.h"
#include "driver/fetch.h"

#include <peercache/types.h>

#include <stdlib.h>

static const char hint[] = "a URL here is http://host/path or https://host/path";

static int refuse(CURLUcode code, struct pc_reason *ret_reason)
{
    if (code == CURLUE_OUT_OF_MEMORY)
        return PEERCACHE_ENOMEM;
    pc_base_reason(ret_reason, "%s: %s", curl_url_strerror(code), hint);
    return PEERCACHE_EPARSE;
}

/* A name as DNS has it. Others (of letters beyond ASCII) libcurl would write in punycode, behind our back. */
static bool is_host_name(const char *host, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = host[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' &&
            c != '.' && c != '_')
            return false;
    }
    return true;
}

static int read_host(struct pc_driver_fetch_url *url, struct pc_reason *ret_reason)
{
    char *host = NULL;
    uint8_t ip[PC_IP6_BYTES];
    CURLUcode code = curl_url_get(url->curl, CURLUPART_HOST, &host, 0);
    if (code != CURLUE_OK)
        return refuse(code, ret_reason);
    size_t size = strlen(host);
    int result = 0;
    url->literal = host[0] == '[' || pc_addr_ip_parse(pc_bytes_of(host, size), ip) == 0;
    if (size == 0 || size >= sizeof(url->host) || (!url->literal && !is_host_name(host, size))) {
        pc_base_reason(ret_reason, "the host of the URL is no domain name in ASCII: %s", hint);
        result = PEERCACHE_EPARSE;
    } else {
        memcpy(url->host, host, size + 1);
    }
    curl_free(host);
    return result;
}

static int read_port(struct pc_driver_fetch_url *url, struct pc_reason *ret_reason)
{
    char *port = NULL;
    CURLUcode code = curl_url_get(url->curl, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    if (code != CURLUE_OK)
        return refuse(code, ret_reason);
    uint64_t number = 0;
    int result = pc_addr_decimal_parse(pc_bytes_of(port, strlen(port)), UINT16_MAX, &number);
    curl_free(port);
    if (result != 0 || number == 0) {
        pc_base_reason(ret_reason, "the port of the URL is none: %s", hint);
        return PEERCACHE_EPARSE;
    }
    url->port = (uint16_t)number;
    return 0;
}

static int read_scheme(struct pc_driver_fetch_url *url, struct pc_reason *ret_reason)
{
    char *scheme = NULL;
    CURLUcode code = curl_url_get(url->curl, CURLUPART_SCHEME, &scheme, 0);
    if (code != CURLUE_OK)
        return refuse(code, ret_reason);
    bool http = strcmp(scheme, "http") == 0; /* libcurl writes it in small letters */
    url->https = strcmp(scheme, "https") == 0;
    if (!http && !url->https)
        pc_base_reason(ret_reason, "the scheme \"%.20s\" is not fetched: %s", scheme, hint);
    curl_free(scheme);
    return http || url->https ? 0 : PEERCACHE_EPARSE;
}

static int read_parts(struct pc_driver_fetch_url *url, struct pc_reason *ret_reason)
{
    int result = read_scheme(url, ret_reason);
    if (result == 0)
        result = read_host(url, ret_reason);
    if (result == 0)
        result = read_port(url, ret_reason);
    return result;
}

static bool is_too_long(const char *text)
{
    return strnlen(text, PC_DRIVER_FETCH_URL_MAX_BYTES + 1) > PC_DRIVER_FETCH_URL_MAX_BYTES;
}

int pc_driver_fetch_url_init(struct pc_driver_fetch_url *url, const char *text, struct pc_reason *ret_reason)
{
    *url = (struct pc_driver_fetch_url){ .curl = curl_url() };
    if (!url->curl)
        return PEERCACHE_ENOMEM;
    if (is_too_long(text)) {
        pc_base_reason(ret_reason, "the URL is over %d bytes", PC_DRIVER_FETCH_URL_MAX_BYTES);
        return PEERCACHE_EPARSE;
    }
    /* Any scheme, so that the refusal is ours, and names it. */
    CURLUcode code = curl_url_set(url->curl, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
    return code == CURLUE_OK ? read_parts(url, ret_reason) : refuse(code, ret_reason);
}

static bool has_part(const struct pc_driver_fetch_url *url, CURLUPart part)
{
    char *value = NULL;
    bool has = curl_url_get(url->curl, part, &value, 0) == CURLUE_OK;
    curl_free(value);
    return has;
}

static bool is_visible_ascii(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

int pc_driver_fetch_url_check_endpoint(const char *text, struct pc_reason *ret_reason)
{
    struct pc_driver_fetch_url url;
    int result = pc_driver_fetch_url_init(&url, text, ret_reason);
    if (result == 0 && !is_visible_ascii(text)) {
        pc_base_reason(ret_reason, "blanks and letters beyond ASCII have to be written as %%XX: %s", hint);
        result = PEERCACHE_EPARSE;
    }
    if (result == 0 && (has_part(&url, CURLUPART_USER) || has_part(&url, CURLUPART_PASSWORD))) {
        pc_base_reason(ret_reason, "an endpoint's URL has no user or password: %s", hint);
        result = PEERCACHE_EPARSE;
    }
    pc_driver_fetch_url_deinit(&url);
    return result;
}

int pc_driver_fetch_url_redirect(struct pc_driver_fetch_url *url, const char *location,
                                 struct pc_reason *ret_reason)
{
    struct pc_reason why = { "" };
    bool was_https = url->https;
    if (is_too_long(location)) {
        pc_base_reason(ret_reason, "redirected to a URL of over %d bytes", PC_DRIVER_FETCH_URL_MAX_BYTES);
        return PEERCACHE_EPARSE;
    }
    /* Who we are is for whom we were sent to, not for where that sends us. */
    int result = 0;
    CURLUcode code = curl_url_set(url->curl, CURLUPART_USER, NULL, 0);
    if (code == CURLUE_OK)
        code = curl_url_set(url->curl, CURLUPART_PASSWORD, NULL, 0);
    if (code == CURLUE_OK)
        code = curl_url_set(url->curl, CURLUPART_URL, location,
                            CURLU_NON_SUPPORT_SCHEME | CURLU_DISALLOW_USER | CURLU_URLENCODE);
    result = code == CURLUE_OK ? read_parts(url, &why) : refuse(code, &why);
    if (result == PEERCACHE_EPARSE)
        pc_base_reason(ret_reason, "redirected to what is not followed: %s", why.text);
    if (result == 0 && was_https && !url->https) {
        pc_base_reason(ret_reason, "redirected from https to http, to %.100s", url->host);
        result = PEERCACHE_EPARSE;
    }
    return result;
}

void pc_driver_fetch_url_deinit(struct pc_driver_fetch_url *url)
{
    curl_url_cleanup(url->curl);
    url->curl = NULL;
}
