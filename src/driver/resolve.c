/*
 * See resolve.h. Each query has a c-ares channel of its own: c-ares can cancel only all that a channel asks, and
 * reads the files of the system when a channel is made. c-ares calls back in the midst of its work, so a callback
 * only notes; settle() looks at what was noted whenever c-ares has returned.
 */
#include "driver/resolve.h"

#include "addr/ip_text.h"
#include "addr/leading_ip.h"
#include "base/time.h"
#include "driver/guest.h"

#include <peercache/types.h>

#include <ares.h>
#include <arpa/nameser.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <strings.h>

/* One second, then two, then four: within 10 s two tries go lost without harm. */
#define TRY_MS     1000
#define TRIES      4
#define EDNS_BYTES 1232 /* of an answer over UDP: whole on every path; longer ones come over TCP */

struct pc_driver_resolver {
    uv_loop_t *loop;
    char server[PC_IP_PORT_TEXT_BYTES]; /* "": those of the system */
    struct pc_driver_query *queries;
    size_t query_count;
    bool closing;
};

struct question {
    struct pc_driver_query *query;
    bool pending;
    int status; /* c-ares's */
};

struct pc_driver_query {
    struct pc_driver_query *next;
    struct pc_driver_query **at; /* what points to this one */
    struct pc_driver_resolver *resolver;
    struct pc_driver_guest guest;
    ares_channel channel; /* NULL: none, or finished */
    enum pc_driver_resolve_what what;
    char name[PC_DRIVER_RESOLVE_NAME_MAX + 1];
    pc_driver_resolve_done done;
    void *context;
    uint64_t start_ns;
    bool finished;       /* `answer` stands */
    bool looks_closer;   /* see look_closer() */
    int watch_error;     /* a socket of c-ares that could not be watched */
    struct question ip4; /* of TXT too */
    struct question ip6;
    size_t ip4_count;
    size_t ip6_count;
    struct pc_ip_port ip4_addresses[PC_DRIVER_RESOLVE_FAMILY_MAX];
    struct pc_ip_port addresses[2 * PC_DRIVER_RESOLVE_FAMILY_MAX]; /* IPv6, then IPv4 once finished */
    char *texts[PC_DRIVER_RESOLVE_TEXTS_MAX];
    struct pc_driver_resolved answer;
};

/* ----- its end ----- */

static void finish(struct pc_driver_query *query, enum pc_driver_resolve_kind kind, const char *detail)
{
    struct pc_driver_resolved *answer = &query->answer;
    if (query->finished)
        return;
    query->finished = true;
    answer->kind = kind;
    answer->elapsed_us = (int64_t)((uv_hrtime() - query->start_ns) / 1000);
    if (kind == PC_DRIVER_RESOLVE_OK) {
        memcpy(query->addresses + query->ip6_count, query->ip4_addresses,
               query->ip4_count * sizeof(query->ip4_addresses[0]));
        answer->addresses = query->addresses;
        answer->address_count = query->ip6_count + query->ip4_count;
        answer->texts = (const char *const *)query->texts;
    } else {
        answer->text_count = 0;
        pc_base_reason(&answer->detail, "%s: %s", query->name, detail);
    }
    pc_driver_guest_close(&query->guest); /* before c-ares closes its sockets */
    if (query->channel)
        ares_destroy(query->channel);
    query->channel = NULL;
}

static void free_resolver_if_over(struct pc_driver_resolver *resolver)
{
    if (!resolver->closing || resolver->query_count > 0)
        return;
    free(resolver);
}

static void on_closed(void *context)
{
    struct pc_driver_query *query = context;
    struct pc_driver_resolver *resolver = query->resolver;
    *query->at = query->next;
    if (query->next)
        query->next->at = query->at;
    query->done(query->context, &query->answer);
    for (size_t i = 0; i < PC_DRIVER_RESOLVE_TEXTS_MAX; i++)
        free(query->texts[i]);
    free(query);
    resolver->query_count--;
    free_resolver_if_over(resolver);
}

/* ----- what c-ares says ----- */

/* Of an address in place of a name c-ares makes an answer to either question: only one is to count. */
static void keep_address(struct pc_driver_query *query, int family, const struct sockaddr *address)
{
    struct pc_ip_port ip;
    if (address->sa_family != family)
        return;
    if (family == AF_INET)
        pc_addr_ip_port_set(
            4, (const uint8_t *)&((const struct sockaddr_in *)(const void *)address)->sin_addr, 0, &ip);
    else
        pc_addr_ip_port_set(
            6, (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 0, &ip);
    if (family == AF_INET && query->ip4_count < PC_DRIVER_RESOLVE_FAMILY_MAX)
        query->ip4_addresses[query->ip4_count++] = ip;
    else if (family == AF_INET6 && query->ip6_count < PC_DRIVER_RESOLVE_FAMILY_MAX)
        query->addresses[query->ip6_count++] = ip;
    else
        query->answer.left_out++;
}

static void on_addresses(void *context, int status, int timeouts, struct ares_addrinfo *info)
{
    struct question *question = context;
    struct pc_driver_query *query = question->query;
    (void)timeouts;
    question->pending = false;
    question->status = status;
    if (status == ARES_SUCCESS && !query->finished) {
        for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
            keep_address(query, question == &query->ip4 ? AF_INET : AF_INET6, node->ai_addr);
    }
    if (info)
        ares_freeaddrinfo(info);
}

/* The strings of one record, joined; NULL: no memory. Sets *ret_next behind it. */
static char *join_strings(const struct ares_txt_ext *record, size_t size, const struct ares_txt_ext *end)
{
    char *text = malloc(size + 1);
    size_t at = 0;
    if (!text)
        return NULL;
    for (const struct ares_txt_ext *part = record; part != end; part = part->next) {
        memcpy(text + at, part->txt, part->length);
        at += part->length;
    }
    text[size] = '\0';
    return text;
}

static int keep_texts(struct pc_driver_query *query, const struct ares_txt_ext *record)
{
    struct pc_driver_resolved *answer = &query->answer;
    while (record) {
        const struct ares_txt_ext *end = record;
        size_t size = 0;
        bool nul = false;
        do {
            size += end->length;
            nul = nul || memchr(end->txt, '\0', end->length);
            end = end->next;
        } while (end && !end->record_start);
        if (nul || size > PC_DRIVER_RESOLVE_TEXT_MAX_BYTES ||
            answer->text_count == PC_DRIVER_RESOLVE_TEXTS_MAX) {
            answer->left_out++;
        } else {
            char *text = join_strings(record, size, end);
            if (!text)
                return ARES_ENOMEM;
            query->texts[answer->text_count++] = text;
        }
        record = end;
    }
    return ARES_SUCCESS;
}

static void on_texts(void *context, int status, int timeouts, unsigned char *bytes, int size)
{
    struct question *question = context;
    struct pc_driver_query *query = question->query;
    struct ares_txt_ext *records = NULL;
    (void)timeouts;
    question->pending = false;
    if (status == ARES_SUCCESS && !query->finished) {
        status = ares_parse_txt_reply_ext(bytes, size, &records);
        if (status == ARES_SUCCESS)
            status = keep_texts(query, records);
        ares_free_data(records);
    }
    question->status = status;
}

static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable)
{
    struct pc_driver_query *query = context;
    int result =
        pc_driver_guest_watch(&query->guest, fd, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0));
    if (result != 0)
        query->watch_error = result;
}

/* ----- what comes of it ----- */

static enum pc_driver_resolve_kind kind_of(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
        return PC_DRIVER_RESOLVE_NOT_FOUND;
    case ARES_ETIMEOUT:
        return PC_DRIVER_RESOLVE_TIMEOUT;
    case ARES_EREFUSED:
    case ARES_ECONNREFUSED:
        return PC_DRIVER_RESOLVE_REFUSED;
    default:
        return PC_DRIVER_RESOLVE_FAILED;
    }
}

static const char *text_of(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
        return "no such name";
    case ARES_ENODATA:
        return "the name has no record of this kind";
    case ARES_ETIMEOUT:
        return "the name servers are silent";
    case ARES_EREFUSED:
        return "the name server refused the question";
    case ARES_ECONNREFUSED:
        return "no name server could be reached";
    case ARES_ESERVFAIL:
        return "the name server failed (SERVFAIL)";
    default:
        return ares_strerror(status);
    }
}

/* When one family has failed and the other is just not there, the failure is the news. */
static int status_of_both(const struct pc_driver_query *query)
{
    if (query->what == PC_DRIVER_RESOLVE_IP6)
        return query->ip6.status;
    if (query->what == PC_DRIVER_RESOLVE_IP && kind_of(query->ip4.status) == PC_DRIVER_RESOLVE_NOT_FOUND &&
        query->ip6.status != ARES_SUCCESS && kind_of(query->ip6.status) != PC_DRIVER_RESOLVE_NOT_FOUND)
        return query->ip6.status;
    return query->ip4.status;
}

static bool has_any(const struct pc_driver_query *query)
{
    return query->ip4_count + query->ip6_count + query->answer.text_count > 0;
}

/* ----- asking ----- */

/* c-ares's own result. */
static int open_channel(struct pc_driver_query *query)
{
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
        .ednspsz = EDNS_BYTES,
        .timeout = TRY_MS,
        .tries = TRIES,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = query,
    };
    if (query->looks_closer)
        options.flags |= ARES_FLAG_NOCHECKRESP;
    int status = ares_init_options(&query->channel, &options,
                                   ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                       ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) {
        query->channel = NULL;
        return status;
    }
    const char *server = query->resolver->server;
    return server[0] != '\0' ? ares_set_servers_ports_csv(query->channel, server) : ARES_SUCCESS;
}

static void ask_addresses(struct question *question, int family)
{
    /* unsorted: sorting opens a socket for each address, to see which way it would take */
    const struct ares_addrinfo_hints hints = { .ai_family = family, .ai_flags = ARES_AI_NOSORT };
    ares_getaddrinfo(question->query->channel, question->query->name, NULL, &hints, on_addresses, question);
}

/* Ask what is pending. */
static void ask(struct pc_driver_query *query)
{
    int status = open_channel(query);
    if (status != ARES_SUCCESS) {
        finish(query, PC_DRIVER_RESOLVE_FAILED, ares_strerror(status));
        return;
    }
    if (query->what == PC_DRIVER_RESOLVE_TXT) {
        ares_query(query->channel, query->name, ns_c_in, ns_t_txt, on_texts, &query->ip4);
        return;
    }
    if (query->ip6.pending)
        ask_addresses(&query->ip6, AF_INET6);
    if (query->ip4.pending)
        ask_addresses(&query->ip4, AF_INET);
}

/*
 * When every name server has refused or failed, c-ares (1.18) says that none could be reached. So that the reason is
 * not lost, what ended thus is asked once more, and this time the first answer taken as it is. Whether it was done.
 */
static bool look_closer(struct pc_driver_query *query)
{
    query->ip4.pending = query->ip4.status == ARES_ECONNREFUSED;
    query->ip6.pending = query->ip6.status == ARES_ECONNREFUSED;
    if (query->looks_closer || has_any(query) || (!query->ip4.pending && !query->ip6.pending)) {
        query->ip4.pending = false;
        query->ip6.pending = false;
        return false;
    }
    query->looks_closer = true;
    ares_destroy(query->channel);
    query->channel = NULL;
    ask(query);
    return true;
}

static bool is_answered(const struct pc_driver_query *query)
{
    return !query->ip4.pending && !query->ip6.pending;
}

static void conclude(struct pc_driver_query *query)
{
    int status = status_of_both(query);
    if (has_any(query) && status != ARES_ENOMEM)
        finish(query, PC_DRIVER_RESOLVE_OK, "");
    else if (status == ARES_SUCCESS) /* nothing but what was left out */
        finish(query, PC_DRIVER_RESOLVE_FAILED, "nothing usable in the answer");
    else
        finish(query, kind_of(status), text_of(status));
}

/* c-ares has returned: end, or wait for what it waits for. What it cannot send at all has ended by then, closer look or
 * not. */
static void settle(struct pc_driver_query *query)
{
    if (query->finished)
        return;
    if (query->watch_error != 0) {
        finish(query, PC_DRIVER_RESOLVE_FAILED, peercache_strerror(query->watch_error));
        return;
    }
    while (is_answered(query) && !query->finished)
        if (!look_closer(query))
            conclude(query);
    if (query->finished)
        return;
    struct timeval tv;
    bool any = ares_timeout(query->channel, NULL, &tv) != NULL;
    pc_driver_guest_timer(&query->guest, any ? (int64_t)tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000 : -1);
    if (has_any(query))
        pc_driver_guest_deadline(&query->guest, pc_base_time_min(pc_driver_guest_left_ms(&query->guest),
                                                                 PC_DRIVER_RESOLVE_GRACE_MS));
}

static void on_ready(void *context, int fd, int events)
{
    struct pc_driver_query *query = context;
    ares_process_fd(query->channel, events & UV_READABLE ? fd : ARES_SOCKET_BAD,
                    events & UV_WRITABLE ? fd : ARES_SOCKET_BAD);
    settle(query);
}

static void on_due(void *context)
{
    struct pc_driver_query *query = context;
    ares_process_fd(query->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    settle(query);
}

static void on_deadline(void *context)
{
    struct pc_driver_query *query = context;
    if (has_any(query))
        finish(query, PC_DRIVER_RESOLVE_OK, "");
    else
        finish(query, PC_DRIVER_RESOLVE_TIMEOUT, text_of(ARES_ETIMEOUT));
}

/* ----- its start ----- */

static const struct pc_driver_guest_calls guest_calls = {
    .ready = on_ready,
    .due = on_due,
    .deadline = on_deadline,
    .closed = on_closed,
};

/* Printable ASCII without what c-ares takes for an escape. Labels and their lengths are c-ares's to check. */
static bool is_name(const char *name)
{
    size_t size = strnlen(name, PC_DRIVER_RESOLVE_NAME_MAX + 1);
    if (size == 0 || size > PC_DRIVER_RESOLVE_NAME_MAX)
        return false;
    for (size_t i = 0; i < size; i++)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '\\')
            return false;
    return true;
}

/* localhost and what is below it (RFC 6761, 6.3): ourselves and nobody's to ask for. c-ares 1.18 leaks memory over it. */
static bool is_localhost(const char *name)
{
    static const char localhost[] = "localhost";
    size_t size = strlen(name);
    size_t tail = sizeof(localhost) - 1;
    if (size > 0 && name[size - 1] == '.')
        size--;
    return size >= tail && strncasecmp(name + size - tail, localhost, tail) == 0 &&
           (size == tail || name[size - tail - 1] == '.');
}

static void answer_localhost(struct pc_driver_query *query)
{
    static const uint8_t loopback4[PC_IP4_BYTES] = { 127, 0, 0, 1 };
    static const uint8_t loopback6[PC_IP6_BYTES] = { [15] = 1 };
    if (query->what == PC_DRIVER_RESOLVE_TXT) {
        finish(query, PC_DRIVER_RESOLVE_NOT_FOUND, text_of(ARES_ENODATA));
        return;
    }
    if (query->what != PC_DRIVER_RESOLVE_IP4)
        pc_addr_ip_port_set(6, loopback6, 0, &query->addresses[query->ip6_count++]);
    if (query->what != PC_DRIVER_RESOLVE_IP6)
        pc_addr_ip_port_set(4, loopback4, 0, &query->ip4_addresses[query->ip4_count++]);
    finish(query, PC_DRIVER_RESOLVE_OK, "");
}

int pc_driver_resolve(struct pc_driver_resolver *resolver, enum pc_driver_resolve_what what, const char *name,
                      int64_t deadline_ms, pc_driver_resolve_done done, void *context,
                      struct pc_driver_query **ret_query)
{
    assert(!resolver->closing);
    if (resolver->query_count == PC_DRIVER_RESOLVE_QUERIES_MAX)
        return PEERCACHE_ELIMIT;
    struct pc_driver_query *query = calloc(1, sizeof(*query));
    if (!query)
        return PEERCACHE_ENOMEM;
    query->resolver = resolver;
    query->what = what;
    query->done = done;
    query->context = context;
    query->start_ns = uv_hrtime();
    query->ip4.query = query;
    query->ip6.query = query;
    query->next = resolver->queries;
    query->at = &resolver->queries;
    if (query->next)
        query->next->at = &query->next;
    resolver->queries = query;
    resolver->query_count++;
    pc_driver_guest_open(&query->guest, resolver->loop, &guest_calls, query, deadline_ms);
    *ret_query = query;
    bool named = is_name(name);
    if (named)
        memcpy(query->name, name, strlen(name));
    if (named && is_localhost(name)) {
        answer_localhost(query);
    } else if (named) {
        query->ip4.pending = what != PC_DRIVER_RESOLVE_IP6;
        query->ip6.pending = what == PC_DRIVER_RESOLVE_IP || what == PC_DRIVER_RESOLVE_IP6;
        ask(query);
        settle(query);
    } else {
        memcpy(query->name, "name", sizeof("name"));
        finish(query, PC_DRIVER_RESOLVE_FAILED, "what was asked for is no domain name");
    }
    return 0;
}

void pc_driver_resolve_cancel(struct pc_driver_query *query)
{
    finish(query, PC_DRIVER_RESOLVE_CANCELLED, "cancelled");
}

/* ----- the resolver ----- */

int pc_driver_resolver_server_parse(const char *text, struct pc_ip_port *ret_server,
                                    struct pc_reason *ret_reason)
{
    struct pc_ip_port server;
    /* c-ares reads more than that, and skips what it can't read. */
    if (pc_addr_ip_port_parse(text, NAMESERVER_PORT, &server) != 0 || server.port == 0) {
        pc_base_reason(
            ret_reason,
            "\"%.80s\" is no address of a name server (192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53)", text);
        return PEERCACHE_EPARSE;
    }
    *ret_server = server;
    return 0;
}

int pc_driver_resolver_new(uv_loop_t *loop, const char *server, struct pc_driver_resolver **ret_resolver,
                           struct pc_reason *ret_reason)
{
    struct pc_ip_port address;
    int result = server ? pc_driver_resolver_server_parse(server, &address, ret_reason) : 0;
    if (result != 0)
        return result;
    struct pc_driver_resolver *resolver = calloc(1, sizeof(*resolver));
    if (!resolver)
        return PEERCACHE_ENOMEM;
    resolver->loop = loop;
    if (server)
        pc_addr_ip_port_format(&address, resolver->server);
    *ret_resolver = resolver;
    return 0;
}

void pc_driver_resolver_close(struct pc_driver_resolver *resolver)
{
    if (!resolver)
        return;
    resolver->closing = true;
    for (struct pc_driver_query *query = resolver->queries; query; query = query->next)
        pc_driver_resolve_cancel(query);
    free_resolver_if_over(resolver);
}
