/* The HTTP client against nginx, and against servers that break off, drip, flood and lead astray. */
#include "net_check.h"

#include "base/time.h"

#include <peercache/types.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

struct reply {
    bool done;
    struct pc_driver_fetched fetched;
    char *body; /* with a NUL behind it */
    char etag[PC_DRIVER_FETCH_FIELD_BYTES];
    char last_modified[PC_DRIVER_FETCH_FIELD_BYTES];
    char content_type[PC_DRIVER_FETCH_FIELD_BYTES];
};

static struct reply reply;

static void on_done(void *context, const struct pc_driver_fetched *fetched)
{
    assert_ptr_equal(context, &reply);
    assert_false(reply.done);
    reply.done = true;
    reply.fetched = *fetched;
    bool ok = fetched->kind == PC_DRIVER_FETCH_OK;
    assert_true(ok || fetched->body.size == 0);
    assert_true((fetched->detail.text[0] == '\0') == (ok || fetched->kind == PC_DRIVER_FETCH_NOT_MODIFIED));
    free(reply.body);
    reply.body = malloc(fetched->body.size + 1);
    assert_non_null(reply.body);
    if (fetched->body.size > 0)
        memcpy(reply.body, fetched->body.data, fetched->body.size);
    reply.body[fetched->body.size] = '\0';
    (void)snprintf(reply.etag, sizeof(reply.etag), "%s", fetched->etag);
    (void)snprintf(reply.last_modified, sizeof(reply.last_modified), "%s", fetched->last_modified);
    (void)snprintf(reply.content_type, sizeof(reply.content_type), "%s", fetched->content_type);
}

static int setup(void **state)
{
    memset(&reply, 0, sizeof(reply));
    return net_setup(state);
}

static int teardown(void **state)
{
    free(reply.body);
    return net_teardown(state);
}

static struct pc_driver_fetch *begin(const struct pc_driver_fetch_request *request)
{
    struct pc_driver_fetch *fetch;
    reply.done = false;
    assert_int_equal(pc_driver_fetch_start(fetcher, request, on_done, &reply, &fetch), 0);
    assert_false(reply.done); /* never within */
    return fetch;
}

static void expect_request(const struct pc_driver_fetch_request *request, enum pc_driver_fetch_kind kind,
                           const char *word)
{
    (void)begin(request);
    run_until(&reply.done);
    if (reply.fetched.kind != kind || !strstr(reply.fetched.detail.text, word))
        fail_msg("%s: %s, \"%s\"", request->url, pc_driver_fetch_kind_name(reply.fetched.kind),
                 reply.fetched.detail.text);
}

static void expect(const char *url, enum pc_driver_fetch_kind kind, const char *word)
{
    const struct pc_driver_fetch_request request = { .url = url, .deadline_ms = PATIENCE_MS };
    expect_request(&request, kind, word);
}

static void expect_body(const char *text)
{
    assert_int_equal(reply.fetched.body.size, strlen(text));
    assert_string_equal(reply.body, text);
}

/* A file that nginx serves, whole. */
static char *read_file(const char *name, size_t *ret_size)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/files/%s", told("PLACE"), name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *ret_size = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*ret_size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *ret_size, file), *ret_size);
    (void)fclose(file);
    return data;
}

static void expect_file(const char *name)
{
    size_t size;
    char *data = read_file(name, &size);
    assert_int_equal(reply.fetched.body.size, size);
    assert_memory_equal(reply.body, data, size);
    free(data);
}

/* ----- what comes whole ----- */

static void each_format_plain_zipped_and_over_tls(void **state)
{
    const char *const names[] = { "ant-v0.json", "ant-v1.json",    "endpoint-bare.json", "endpoint.json",
                                  "kubo.json",   "list-ours.json", "list.json",          "map-version.json",
                                  "map.json",    "text.txt" };
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[128];
        char name[64];
        (void)snprintf(name, sizeof(name), "formats/%s", names[i]);
        (void)snprintf(path, sizeof(path), "/%s", name);
        expect(http(path), PC_DRIVER_FETCH_OK, "");
        expect_file(name);
        assert_int_equal(reply.fetched.status, 200);
        assert_string_equal(reply.content_type, i < 9 ? "application/json" : "text/plain");
        assert_true(reply.etag[0] == '"');
        assert_true(reply.last_modified[0] != '\0');
        (void)snprintf(path, sizeof(path), "/zipped/%s", name);
        expect(http(path), PC_DRIVER_FETCH_OK, "");
        expect_file(name);
        assert_true(strncmp(reply.etag, "W/\"", 3) == 0); /* so it did zip */
        (void)snprintf(path, sizeof(path), "/%s", name);
        expect(https("PORT_TLS", path), PC_DRIVER_FETCH_OK, "");
        expect_file(name);
    }
}

static void by_name_and_over_ipv6(void **state)
{
    (void)state;
    size_t tasks = count_own("task");
    expect(url_of("http", "endpoint.test", "PORT_HTTP", "/formats/text.txt"), PC_DRIVER_FETCH_OK, "");
    expect_file("formats/text.txt");
    expect(url_of("https", "endpoint.test", "PORT_TLS", "/formats/text.txt"), PC_DRIVER_FETCH_OK, "");
    expect(url_of("HTTPS", "Endpoint.TEST", "PORT_TLS", "/formats/text.txt"), PC_DRIVER_FETCH_OK, "");
    expect(url_of("http", "endpoint.test.", "PORT_HTTP", "/formats/text.txt"), PC_DRIVER_FETCH_OK, "");
    expect(url_of("http", "localhost", "PORT_HTTP", "/formats/text.txt"), PC_DRIVER_FETCH_OK, "");
    expect(url_of("http", "127.1", "PORT_HTTP", "/formats/text.txt"), PC_DRIVER_FETCH_OK, "");
    /* the first address refuses, or is silent, as it likes: 127.0.0.77 has no server */
    expect(url_of("http", "dead-first.test", "PORT_HTTP", "/formats/text.txt"), PC_DRIVER_FETCH_OK, "");
    assert_int_equal(count_own("task"), tasks); /* no thread of libcurl's */
    if (!has_ip6())
        return;
    expect(url_of("http", "[::1]", "PORT_HTTP", "/formats/text.txt"), PC_DRIVER_FETCH_OK, "");
    expect_file("formats/text.txt");
    expect(url_of("https", "[::1]", "PORT_TLS", "/formats/text.txt"), PC_DRIVER_FETCH_OK, "");
}

static void what_is_asked_for(void **state)
{
    char url[512];
    (void)state;
    struct pc_driver_fetch_request request = { .url = url,
                                               .etag = "W/\"5-a\"",
                                               .last_modified = "Sun, 06 Nov 1994 08:49:37 GMT",
                                               .deadline_ms = PATIENCE_MS };
    (void)snprintf(url, sizeof(url), "%s", raw("/echo"));
    expect_request(&request, PC_DRIVER_FETCH_OK, "");
    assert_true(strncmp(reply.body, "GET /echo HTTP/1.1\r\n", 20) == 0);
    assert_non_null(strstr(reply.body, "\r\nCache-Version: 1\r\n"));
    assert_non_null(strstr(reply.body, "\r\nUser-Agent: peercache/"));
    assert_non_null(strstr(reply.body, "\r\nAccept-Encoding: gzip, deflate\r\n"));
    assert_non_null(strstr(reply.body, "\r\nIf-None-Match: W/\"5-a\"\r\n"));
    assert_non_null(strstr(reply.body, "\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
    assert_null(strstr(reply.body, "Authorization")); /* there is a .netrc that would give one */
    /* what no header may hold is not sent */
    char longest[PC_DRIVER_FETCH_FIELD_BYTES + 1];
    memset(longest, 'e', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    request.etag = "\"a\"\r\nEvil: 1";
    request.last_modified = longest;
    expect_request(&request, PC_DRIVER_FETCH_OK, "");
    assert_null(strstr(reply.body, "Evil"));
    assert_null(strstr(reply.body, "If-"));
    request.etag = "";
    request.last_modified = longest + 1; /* the longest */
    expect_request(&request, PC_DRIVER_FETCH_OK, "");
    assert_non_null(strstr(reply.body, longest + 1));
    assert_null(strstr(reply.body, "If-None-Match"));
}

static void conditions(void **state)
{
    char url[512];
    char etag[PC_DRIVER_FETCH_FIELD_BYTES];
    char last_modified[PC_DRIVER_FETCH_FIELD_BYTES];
    (void)state;
    (void)snprintf(url, sizeof(url), "%s", http("/formats/text.txt"));
    expect(url, PC_DRIVER_FETCH_OK, "");
    memcpy(etag, reply.etag, sizeof(etag));
    memcpy(last_modified, reply.last_modified, sizeof(last_modified));
    struct pc_driver_fetch_request request = { .url = url, .etag = etag, .deadline_ms = PATIENCE_MS };
    expect_request(&request, PC_DRIVER_FETCH_NOT_MODIFIED, "");
    assert_int_equal(reply.fetched.status, 304);
    assert_string_equal(reply.etag, etag);
    request.etag = "\"another\"";
    expect_request(&request, PC_DRIVER_FETCH_OK, "");
    request.etag = NULL;
    request.last_modified = last_modified;
    expect_request(&request, PC_DRIVER_FETCH_NOT_MODIFIED, "");
    request.last_modified = "Sun, 06 Nov 1994 08:49:37 GMT";
    expect_request(&request, PC_DRIVER_FETCH_OK, "");
    expect(http("/304"), PC_DRIVER_FETCH_HTTP_ERROR, "304"); /* not asked for */
    (void)snprintf(url, sizeof(url), "%s", http("/two"));    /* and through redirects */
    request.last_modified = last_modified;
    expect_request(&request, PC_DRIVER_FETCH_NOT_MODIFIED, "");
    assert_int_equal(reply.fetched.redirects, 2);
}

static void headers_that_are_kept(void **state)
{
    (void)state;
    expect(raw("/date"), PC_DRIVER_FETCH_OK, "");
    assert_int_equal(reply.fetched.date_ms, INT64_C(784111777000));
    assert_in_range(reply.fetched.date_ago_us, 0, PATIENCE_MS * PC_US_PER_MS);
    expect(http("/500"), PC_DRIVER_FETCH_HTTP_ERROR, "500");
    assert_true(reply.fetched.date_ms > INT64_C(784111777000)); /* also of an error */
    expect(raw("/headers-odd"), PC_DRIVER_FETCH_OK, "");
    assert_string_equal(reply.etag, "");
    assert_string_equal(reply.last_modified, "");
    assert_string_equal(reply.content_type, "");
    assert_true(reply.fetched.date_ms == PC_DRIVER_FETCH_NO_DATE);
    expect(raw("/early"), PC_DRIVER_FETCH_OK, "");
    expect_body("ok");
    assert_string_equal(reply.etag, "");
    expect(raw("/trailers"), PC_DRIVER_FETCH_OK, "");
    expect_body("ok");
    assert_string_equal(reply.etag, "\"h\"");
    expect(raw("/to-close"), PC_DRIVER_FETCH_OK, "");
    expect_body("until the end");
    expect(http("/empty.txt"), PC_DRIVER_FETCH_OK, "");
    expect_body("");
}

/* ----- errors of HTTP, and what is none ----- */

static void other_statuses(void **state)
{
    (void)state;
    expect(http("/500"), PC_DRIVER_FETCH_HTTP_ERROR, "HTTP status 500");
    assert_int_equal(reply.fetched.status, 500);
    expect(http("/503"), PC_DRIVER_FETCH_HTTP_ERROR, "503");
    expect(http("/no-such-file"), PC_DRIVER_FETCH_HTTP_ERROR, "404");
    assert_int_equal(reply.fetched.status, 404);
    expect(http("/204"), PC_DRIVER_FETCH_HTTP_ERROR, "204");
    expect(raw("/206"), PC_DRIVER_FETCH_HTTP_ERROR, "206");
    expect(raw("/302"), PC_DRIVER_FETCH_HTTP_ERROR, "302"); /* to nowhere */
    expect(raw("/error-endless"), PC_DRIVER_FETCH_HTTP_ERROR, "500");
    /* plain HTTP on the port of TLS: nginx says so */
    expect(url_of("http", "127.0.0.1", "PORT_TLS", "/"), PC_DRIVER_FETCH_HTTP_ERROR, "400");
}

static void cut_off_or_no_http(void **state)
{
    (void)state;
    const char *const paths[] = { "/cut",     "/cut-chunked", "/cut-headers", "/nothing",
                                  "/garbage", "/reset",       "/http09",      "/encoding" };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        expect(raw(paths[i]), PC_DRIVER_FETCH_BROKEN, "");
    expect(http("/as-gzip/not.gz"), PC_DRIVER_FETCH_BROKEN, "");
}

/* ----- redirects ----- */

static void redirects_that_are_followed(void **state)
{
    (void)state;
    const char *const paths[] = { "/formats/text.txt", "/one", "/two", "/three" };
    for (unsigned i = 0; i < 4; i++) {
        expect(http(paths[i]), PC_DRIVER_FETCH_OK, "");
        expect_file("formats/text.txt");
        assert_int_equal(reply.fetched.redirects, i);
        assert_int_equal(reply.fetched.status, 200);
    }
    expect(http("/relative"), PC_DRIVER_FETCH_OK, "");
    expect_file("formats/text.txt");
    expect(http("/to-name"), PC_DRIVER_FETCH_OK, "");
    expect_file("formats/text.txt");
    expect(http("/to-tls"), PC_DRIVER_FETCH_OK, "");
    expect(raw("/redirect-endless"), PC_DRIVER_FETCH_OK, "");
    expect_body("until the end");
    /* neither a cookie nor a password goes along */
    expect(url_of("http", "user:word@127.0.0.1", "PORT_HTTP", "/to-echo"), PC_DRIVER_FETCH_OK, "");
    assert_null(strstr(reply.body, "Cookie"));
    assert_null(strstr(reply.body, "Authorization"));
    assert_non_null(strstr(reply.body, "\r\nCache-Version: 1\r\n"));
    expect(url_of("http", "user:word@127.0.0.1", "PORT_RAW", "/echo"), PC_DRIVER_FETCH_OK, "");
    assert_non_null(strstr(reply.body, "Authorization: Basic dXNlcjp3b3Jk\r\n"));
}

static void redirects_that_are_not(void **state)
{
    (void)state;
    expect(http("/four"), PC_DRIVER_FETCH_REDIRECT_REFUSED, "more than 3 redirects");
    assert_int_equal(reply.fetched.redirects, 3);
    assert_int_equal(reply.fetched.status, 302);
    expect(http("/loop"), PC_DRIVER_FETCH_REDIRECT_REFUSED, "more than 3 redirects");
    expect(https("PORT_TLS", "/to-plain"), PC_DRIVER_FETCH_REDIRECT_REFUSED, "from https to http");
    assert_int_equal(reply.fetched.redirects, 0);
    expect(http("/to-file"), PC_DRIVER_FETCH_REDIRECT_REFUSED, "\"file\"");
    expect(http("/to-ftp"), PC_DRIVER_FETCH_REDIRECT_REFUSED, "\"ftp\"");
    expect(http("/to-nothing"), PC_DRIVER_FETCH_REDIRECT_REFUSED, "");
    expect(http("/to-password"), PC_DRIVER_FETCH_REDIRECT_REFUSED, "");
    expect(raw("/long-location"), PC_DRIVER_FETCH_REDIRECT_REFUSED, "2048 bytes");
    expect(http("/to-no-name"), PC_DRIVER_FETCH_DNS_FAILED, "missing.test");
    assert_int_equal(reply.fetched.redirects, 1);
}

/* ----- limits ----- */

/* What this process has ever held at once. */
static long peak_kib(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

static void sizes(void **state)
{
    (void)state;
    expect(http("/limit.bin"), PC_DRIVER_FETCH_OK, "");
    expect_file("limit.bin");
    expect(http("/zipped/limit.bin"), PC_DRIVER_FETCH_OK, ""); /* a little longer for being zipped */
    expect_file("limit.bin");
    expect(http("/as-gzip/limit.gz"), PC_DRIVER_FETCH_OK, "");
    assert_int_equal(reply.fetched.body.size, PC_DRIVER_FETCH_BODY_MAX_BYTES);
    long before_kib = peak_kib();
    expect(http("/over.bin"), PC_DRIVER_FETCH_TOO_LARGE, "over 4194304 bytes");
    expect(http("/as-gzip/over.gz"), PC_DRIVER_FETCH_TOO_LARGE, "over 4194304 bytes");
    expect(http("/rubbish.bin"), PC_DRIVER_FETCH_TOO_LARGE, "over 4194304 bytes");
    expect(http("/zipped/rubbish.bin"), PC_DRIVER_FETCH_TOO_LARGE, "over 4194304 bytes");
    expect(http("/as-gzip/bomb.gz"), PC_DRIVER_FETCH_TOO_LARGE, "over 4194304 bytes");
    expect(raw("/announced"), PC_DRIVER_FETCH_TOO_LARGE, "over 4194304 bytes");
    expect(raw("/endless-empty-gzip"), PC_DRIVER_FETCH_TOO_LARGE, "over 4194304 bytes");
    expect(raw("/endless-headers"), PC_DRIVER_FETCH_TOO_LARGE, "headers");
    assert_true(peak_kib() - before_kib < 64 * 1024); /* the bomb has 256 MiB */
}

static void deadlines(void **state)
{
    (void)state;
    const char *const words[] = { "waiting for an answer", "connecting", "receiving", "receiving",
                                  "waiting" };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const char *url = i == 0   ? url_of("http", "127.0.0.1", "PORT_SILENT", "/")
                          : i == 1 ? url_of("https", "127.0.0.1", "PORT_SILENT", "/") /* no TLS */
                          : i == 2 ? http("/slow/slow.txt")
                          : i == 3 ? raw("/drip")
                                   : raw("/silence");
        const struct pc_driver_fetch_request request = { .url = url, .deadline_ms = SHORT_MS };
        expect_request(&request, PC_DRIVER_FETCH_TIMEOUT, "after 300 ms");
        if (!strstr(reply.fetched.detail.text, words[i]))
            fail_msg("%s: \"%s\"", url, reply.fetched.detail.text);
        assert_true(reply.fetched.elapsed_us >= SHORT_MS * PC_US_PER_MS - 1000);
    }
    const struct pc_driver_fetch_request at_once = { .url = http("/one"), .deadline_ms = 0 };
    expect_request(&at_once, PC_DRIVER_FETCH_TIMEOUT, "");
}

/* ----- what isn't reached ----- */

static void not_reached(void **state)
{
    (void)state;
    expect(url_of("http", "127.0.0.1", "PORT_CLOSED", "/"), PC_DRIVER_FETCH_REFUSED, "connection refused");
    expect(url_of("https", "127.0.0.1", "PORT_CLOSED", "/"), PC_DRIVER_FETCH_REFUSED, "");
    expect(url_of("http", "endpoint.test", "PORT_CLOSED", "/"), PC_DRIVER_FETCH_REFUSED, "");
    /* a network that the kernel has no way to, ever */
    expect("http://255.255.255.255/", PC_DRIVER_FETCH_NO_ROUTE, "255.255.255.255 port 80");
    expect("http://missing.test/", PC_DRIVER_FETCH_DNS_FAILED, "missing.test: no such name");
    assert_int_equal(reply.fetched.dns_kind, PC_DRIVER_RESOLVE_NOT_FOUND);
    expect("http://elsewhere.example/", PC_DRIVER_FETCH_DNS_FAILED, "refused");
    assert_int_equal(reply.fetched.dns_kind, PC_DRIVER_RESOLVE_REFUSED);
    const struct pc_driver_fetch_request silent = { .url = "http://silent.odd/", .deadline_ms = SHORT_MS };
    expect_request(&silent, PC_DRIVER_FETCH_DNS_FAILED, "silent");
    assert_int_equal(reply.fetched.dns_kind, PC_DRIVER_RESOLVE_TIMEOUT);
}

static void certificates(void **state)
{
    char server[64];
    char ca_file[512];
    (void)state;
    expect(https("PORT_TLS", "/formats/text.txt"), PC_DRIVER_FETCH_OK, "");
    expect(https("PORT_TLS_SELF", "/"), PC_DRIVER_FETCH_TLS_FAILED, "certificate");
    expect(https("PORT_TLS_EXPIRED", "/"), PC_DRIVER_FETCH_TLS_FAILED, "certificate");
    expect(https("PORT_TLS_OTHER", "/"), PC_DRIVER_FETCH_TLS_FAILED, "does not match");
    expect(https("PORT_TLS_OLD", "/"), PC_DRIVER_FETCH_TLS_FAILED, "");
    expect(https("PORT_HTTP", "/"), PC_DRIVER_FETCH_TLS_FAILED, "");
    (void)local("PORT_DNS", server);
    close_all(); /* what the system trusts doesn't know our authority */
    open_all(server, NULL);
    expect(https("PORT_TLS", "/formats/text.txt"), PC_DRIVER_FETCH_TLS_FAILED, "certificate");
    close_all();
    open_all(server, "/nowhere/ca.pem");
    expect(https("PORT_TLS", "/formats/text.txt"), PC_DRIVER_FETCH_FAILED, "");
    expect(http("/one"), PC_DRIVER_FETCH_OK, "");
    close_all();
    (void)snprintf(ca_file, sizeof(ca_file), "%s/self.pem",
                   told("PLACE")); /* a certificate that trusts itself */
    open_all(server, ca_file);
    expect(https("PORT_TLS_SELF", "/formats/text.txt"), PC_DRIVER_FETCH_OK, "");
}

static void urls_that_are_none(void **state)
{
    (void)state;
    const char *const bad[] = { "",
                                "127.0.0.1",
                                "example.org/peers",
                                "http://",
                                "https://exa mple.org/",
                                "http://a\nb/",
                                "http://127.0.0.1:0/",
                                "http://127.0.0.1:65536/",
                                "http://127.0.0.1:x/",
                                "http://[::1/",
                                "http://\xc3\xbc/",
                                "http://a,b/",
                                "http://%00/",
                                "http://a%2fb/",
                                "javascript:1" };
    const char *const other[] = { "file:///etc/passwd", "ftp://127.0.0.1/",  "gopher://127.0.0.1/",
                                  "ws://127.0.0.1/",    "dict://127.0.0.1/", "smb://127.0.0.1/",
                                  "unix://x/" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect(bad[i], PC_DRIVER_FETCH_BAD_URL, "");
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        expect(other[i], PC_DRIVER_FETCH_BAD_URL, "is not fetched");
    char longest[PC_DRIVER_FETCH_URL_MAX_BYTES + 2];
    memset(longest, 'p', sizeof(longest));
    (void)snprintf(longest, sizeof(longest), "%s", raw("/"));
    longest[strlen(longest)] = 'p';
    longest[sizeof(longest) - 1] = '\0';
    expect(longest, PC_DRIVER_FETCH_BAD_URL, "over 2048 bytes");
    longest[sizeof(longest) - 2] = '\0';
    expect(longest, PC_DRIVER_FETCH_BROKEN, ""); /* asked, and the server knows no such path */
    char name[300];
    memset(name, 'n', sizeof(name));
    memcpy(name, "http://", 7);
    name[sizeof(name) - 1] = '\0';
    expect(name, PC_DRIVER_FETCH_BAD_URL, "domain name");
}

/* ----- many, and the end of them ----- */

struct tally {
    size_t done;
    size_t kinds[PC_DRIVER_FETCH_KINDS];
    bool all;
    size_t wanted;
};

static void on_tally(void *context, const struct pc_driver_fetched *fetched)
{
    struct tally *tally = context;
    tally->kinds[fetched->kind]++;
    tally->all = ++tally->done == tally->wanted;
}

static int start_one(const char *url, int64_t deadline_ms, struct tally *tally)
{
    struct pc_driver_fetch *fetch;
    const struct pc_driver_fetch_request request = { .url = url, .deadline_ms = deadline_ms };
    return pc_driver_fetch_start(fetcher, &request, on_tally, tally, &fetch);
}

static void many_at_once_and_not_more(void **state)
{
    (void)state;
    for (int turn = 0; turn < 3; turn++) {
        struct tally tally = { .wanted = PC_DRIVER_FETCHES_MAX };
        for (size_t i = 0; i < PC_DRIVER_FETCHES_MAX; i++) {
            const char *url = i % 4 == 0   ? http("/limit.bin")
                              : i % 4 == 1 ? url_of("https", "endpoint.test", "PORT_TLS", "/formats/text.txt")
                              : i % 4 == 2 ? http("/three")
                                           : raw("/cut");
            assert_int_equal(start_one(url, PATIENCE_MS, &tally), 0);
        }
        assert_int_equal(start_one(http("/one"), PATIENCE_MS, &tally), PEERCACHE_ELIMIT);
        run_until(&tally.all);
        assert_int_equal(tally.kinds[PC_DRIVER_FETCH_OK], PC_DRIVER_FETCHES_MAX * 3 / 4);
        assert_int_equal(tally.kinds[PC_DRIVER_FETCH_BROKEN], PC_DRIVER_FETCHES_MAX / 4);
    }
}

static const char *moments(size_t index)
{
    switch (index) {
    case 0:
        return http("/limit.bin");
    case 1:
        return url_of("https", "endpoint.test", "PORT_TLS", "/formats/text.txt");
    case 2:
        return http("/to-name");
    case 3:
        return raw("/drip");
    case 4:
        return "http://silent.odd/";
    case 5:
        return url_of("https", "127.0.0.1", "PORT_SILENT", "/");
    case 6:
        return "no url";
    default:
        return NULL;
    }
}

static void cancelled_at_any_moment(void **state)
{
    (void)state;
    size_t cancelled = 0;
    for (size_t n = 0; moments(n); n++) {
        for (int rounds = 0; rounds < 30; rounds++) {
            const struct pc_driver_fetch_request request = { .url = moments(n), .deadline_ms = PATIENCE_MS };
            struct pc_driver_fetch *fetch = begin(&request);
            for (int i = 0; i < rounds && !reply.done; i++)
                (void)uv_run(&loop, n < 3 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
            if (reply.done)
                continue;
            pc_driver_fetch_cancel(fetch);
            pc_driver_fetch_cancel(fetch);
            assert_false(reply.done);
            uint64_t before_ns = uv_hrtime();
            run_until(&reply.done);
            assert_true(uv_hrtime() - before_ns < 1000000000); /* nobody is waited for */
            cancelled += reply.fetched.kind == PC_DRIVER_FETCH_CANCELLED;
        }
    }
    assert_true(cancelled > 60);
}

static void closed_at_any_moment(void **state)
{
    char server[64];
    char ca_file[512];
    (void)state;
    (void)local("PORT_DNS", server);
    (void)snprintf(ca_file, sizeof(ca_file), "%s/ca.pem", told("PLACE"));
    for (int rounds = 0; rounds < 25; rounds++) {
        struct tally tally = { 0 };
        for (; moments(tally.wanted); tally.wanted++)
            assert_int_equal(start_one(moments(tally.wanted), PATIENCE_MS, &tally), 0);
        for (int i = 0; i < rounds; i++)
            (void)uv_run(&loop, UV_RUN_NOWAIT);
        close_all();
        assert_int_equal(tally.done, tally.wanted);
        open_all(server, ca_file);
    }
}

static void again_from_done(void *context, const struct pc_driver_fetched *fetched)
{
    struct pc_driver_fetch *fetch;
    const struct pc_driver_fetch_request request = { .url = http("/two"), .deadline_ms = PATIENCE_MS };
    (void)context;
    assert_int_equal(fetched->kind, PC_DRIVER_FETCH_HTTP_ERROR);
    assert_int_equal(pc_driver_fetch_start(fetcher, &request, on_done, &reply, &fetch), 0);
}

static void done_may_fetch_again(void **state)
{
    struct pc_driver_fetch *fetch;
    const struct pc_driver_fetch_request request = { .url = http("/500"), .deadline_ms = PATIENCE_MS };
    (void)state;
    assert_int_equal(pc_driver_fetch_start(fetcher, &request, again_from_done, NULL, &fetch), 0);
    run_until(&reply.done);
    assert_int_equal(reply.fetched.kind, PC_DRIVER_FETCH_OK);
}

/* Without descriptors it is our fault, not the endpoint's. */
static void no_descriptors_left(void **state)
{
    struct rlimit limit;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit none = { .rlim_cur = 3, .rlim_max = limit.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    const struct pc_driver_fetch_request request = { .url = http("/one"), .deadline_ms = PATIENCE_MS };
    (void)begin(&request);
    run_until(&reply.done);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(reply.fetched.kind, PC_DRIVER_FETCH_FAILED);
}

static void each_kind_has_a_name(void **state)
{
    (void)state;
    for (int kind = 0; kind < PC_DRIVER_FETCH_KINDS; kind++)
        assert_true(strlen(pc_driver_fetch_kind_name((enum pc_driver_fetch_kind)kind)) > 0);
    pc_driver_fetcher_close(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_format_plain_zipped_and_over_tls),
        TEST(by_name_and_over_ipv6),
        TEST(what_is_asked_for),
        TEST(conditions),
        TEST(headers_that_are_kept),
        TEST(other_statuses),
        TEST(cut_off_or_no_http),
        TEST(redirects_that_are_followed),
        TEST(redirects_that_are_not),
        TEST(sizes),
        TEST(deadlines),
        TEST(not_reached),
        TEST(certificates),
        TEST(urls_that_are_none),
        TEST(many_at_once_and_not_more),
        TEST(cancelled_at_any_moment),
        TEST(closed_at_any_moment),
        TEST(done_may_fetch_again),
        TEST(no_descriptors_left),
        TEST(each_kind_has_a_name),
    };
    return cmocka_run_group_tests_name("driver_fetch", tests, NULL, NULL);
}
