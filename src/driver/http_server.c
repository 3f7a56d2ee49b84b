/*
 * libmicrohttpd has all its sockets in one epoll descriptor, which the loop watches; it is run whenever that is
 * readable, or when it asks for it by its timeout. A connection is cut by shutting its socket down: libmicrohttpd then
 * finds it at its end and closes it.
 */
#include "driver/http_server.h"

#include "driver/guest.h"

#include <peercache/types.h>

#include <assert.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define NO_DEADLINE_MS (INT64_C(1) << 53)

struct connection {
    bool is_open;
    bool is_cut;
    int fd;
    uint64_t number; /* they are counted: the lowest is the oldest */
    uint64_t ends_at_ms;
    bool target_is_too_long;
    char target[PC_DRIVER_HTTP_TARGET_MAX_BYTES + 1];
};

struct pc_driver_http_server {
    uv_loop_t *loop;
    struct pc_driver_http_options options;
    struct pc_driver_http_socket socket;
    struct MHD_Daemon *daemon;
    struct pc_driver_guest guest;
    uint64_t last_number;
    size_t open_count;
    struct connection connections[PC_DRIVER_HTTP_CONNECTIONS_MAX];
};

/* ----- connections ----- */

static void cut(struct connection *connection)
{
    connection->is_cut = true;
    (void)shutdown(connection->fd, SHUT_RDWR); /* one that is closed by its peer already needs no more */
}

/* Of those that are not cut; NULL: none. All live equally long, so the oldest is the first to end too. */
static struct connection *oldest(struct pc_driver_http_server *server)
{
    struct connection *found = NULL;
    for (size_t i = 0; i < PC_DRIVER_HTTP_CONNECTIONS_MAX; i++) {
        struct connection *connection = &server->connections[i];
        if (connection->is_open && !connection->is_cut && (!found || connection->number < found->number))
            found = connection;
    }
    return found;
}

static struct connection *vacant(struct pc_driver_http_server *server)
{
    for (size_t i = 0; i < PC_DRIVER_HTTP_CONNECTIONS_MAX; i++)
        if (!server->connections[i].is_open)
            return &server->connections[i];
    return NULL;
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
    struct pc_driver_http_server *server = context;
    struct connection *connection = *slot;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        connection->is_open = false;
        server->open_count--;
        return;
    }
    connection = vacant(server);
    assert(connection); /* libmicrohttpd takes no more than there are places */
    *connection = (struct connection){
        .is_open = true,
        .fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
        .number = ++server->last_number,
        .ends_at_ms = uv_now(server->loop) + (uint64_t)server->options.connection_ms,
    };
    *slot = connection;
    /* With the last place the oldest goes, so that whoever comes next need not wait for it. */
    if (++server->open_count == PC_DRIVER_HTTP_CONNECTIONS_MAX)
        cut(oldest(server));
}

/* ----- requests ----- */

/* The target as it came; libmicrohttpd decodes it in place afterwards. */
static void *on_target(void *context, const char *target, struct MHD_Connection *mhd)
{
    struct connection *connection =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    size_t length = strlen(target);
    (void)context;
    connection->target_is_too_long = length > PC_DRIVER_HTTP_TARGET_MAX_BYTES;
    if (!connection->target_is_too_long)
        memcpy(connection->target, target, length + 1);
    return connection;
}

static const char *header(struct MHD_Connection *mhd, const char *name)
{
    return MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, name);
}

/* No name but localhost. */
static bool is_local_host(const char *host)
{
    static const char local[] = "localhost";
    struct pc_ip_port unused;
    char after = strncmp(host, local, sizeof(local) - 1) == 0 ? host[sizeof(local) - 1] : 'x';
    return after == '\0' || after == ':' || pc_addr_ip_port_parse(host, 0, &unused) == 0;
}

static void answer_request(struct pc_driver_http_server *server, struct MHD_Connection *mhd,
                           const char *method, const struct connection *connection,
                           struct pc_observe_answer *answer)
{
    const char *host = header(mhd, MHD_HTTP_HEADER_HOST);
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        pc_observe_answer_text(answer, MHD_HTTP_METHOD_NOT_ALLOWED, "there is nothing but GET and HEAD");
        return;
    }
    if (connection->target_is_too_long) {
        pc_observe_answer_text(answer, MHD_HTTP_URI_TOO_LONG, "the target is over %d bytes",
                               PC_DRIVER_HTTP_TARGET_MAX_BYTES);
        return;
    }
    if (host && server->socket.place.address.family != 0 &&
        pc_driver_http_place_is_local(&server->socket.place) && !is_local_host(host)) {
        pc_observe_answer_text(answer, MHD_HTTP_MISDIRECTED_REQUEST,
                               "served on loopback, so the host must be an IP address or localhost");
        return;
    }
    const struct pc_observe_request request = { .target = connection->target,
                                                .cache_version = header(mhd, "Cache-Version"),
                                                .if_none_match = header(mhd, MHD_HTTP_HEADER_IF_NONE_MATCH) };
    server->options.answer(server->options.context, &request, answer);
}

static bool add_header(struct MHD_Response *response, const char *name, const char *value)
{
    return !value || value[0] == '\0' || MHD_add_response_header(response, name, value) == MHD_YES;
}

static enum MHD_Result send_answer(struct MHD_Connection *mhd, struct pc_observe_answer *answer)
{
    bool refuses_method = answer->status == MHD_HTTP_METHOD_NOT_ALLOWED;
    struct MHD_Response *response =
        answer->body.size > 0
            ? MHD_create_response_from_buffer(answer->body.size, answer->body.data, MHD_RESPMEM_MUST_FREE)
            : MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    if (answer->body.size > 0)
        answer->body = (struct pc_observe_text){ 0 }; /* the response's now */
    enum MHD_Result result = MHD_NO;
    if (add_header(response, MHD_HTTP_HEADER_CONNECTION, "close") &&
        add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type) &&
        add_header(response, "X-Content-Type-Options", "nosniff") &&
        add_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, answer->cache_control) &&
        add_header(response, MHD_HTTP_HEADER_ETAG, answer->etag) &&
        add_header(response, MHD_HTTP_HEADER_VARY, answer->vary) &&
        add_header(response, MHD_HTTP_HEADER_ALLOW, refuses_method ? "GET, HEAD" : NULL))
        result = MHD_queue_response(mhd, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

/* Answered as soon as the headers are there: what follows them is not read, and the connection ends. MHD_NO: memory is
 * out, and it is cut. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **slot)
{
    struct pc_observe_answer answer = { 0 };
    (void)url;
    (void)version;
    (void)upload;
    (void)upload_size;
    answer_request(context, mhd, method, *slot, &answer);
    enum MHD_Result result = send_answer(mhd, &answer);
    pc_observe_text_deinit(&answer.body);
    return result;
}

/* ----- the loop ----- */

/* Let libmicrohttpd do what there is to do, and see when to look again. */
static void run(struct pc_driver_http_server *server)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    size_t open_before = server->open_count;
    (void)MHD_run(server->daemon); /* it fails only for a daemon that has threads or is stopped */
    bool has_timeout = MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES;
    /* When all places were taken it accepts again only in the run after the one in which one became free. */
    if (server->open_count < open_before)
        pc_driver_guest_timer(&server->guest, 0);
    else
        pc_driver_guest_timer(&server->guest, has_timeout ? (int64_t)wait_ms : -1);
    const struct connection *next = oldest(server);
    uint64_t now_ms = uv_now(server->loop);
    int64_t left_ms = NO_DEADLINE_MS;
    if (next)
        left_ms = next->ends_at_ms > now_ms ? (int64_t)(next->ends_at_ms - now_ms) : 0;
    pc_driver_guest_deadline(&server->guest, left_ms);
}

static void on_ready(void *context, int fd, int events)
{
    (void)fd;
    (void)events;
    run(context);
}

static void on_due(void *context)
{
    run(context);
}

static void on_deadline(void *context)
{
    struct pc_driver_http_server *server = context;
    struct connection *connection;
    while ((connection = oldest(server)) && connection->ends_at_ms <= uv_now(server->loop))
        cut(connection);
    run(server);
}

static void on_closed(void *context)
{
    free(context);
}

/* ----- its life ----- */

static int start(struct pc_driver_http_server *server, struct pc_reason *reason)
{
    static const struct pc_driver_guest_calls calls = {
        .ready = on_ready, .due = on_due, .deadline = on_deadline, .closed = on_closed
    };
    if (MHD_is_feature_supported(MHD_FEATURE_EPOLL) != MHD_YES) {
        pc_base_reason(reason, "HTTP cannot be served: libmicrohttpd has no epoll on this system");
        return PEERCACHE_EUNSUPPORTED;
    }
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET,
        (MHD_socket)server->socket.fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)PC_DRIVER_HTTP_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)PC_DRIVER_HTTP_MEMORY_BYTES, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, server, MHD_OPTION_URI_LOG_CALLBACK, on_target, server, MHD_OPTION_STRICT_FOR_CLIENT,
        1, MHD_OPTION_END);
    if (!server->daemon) {
        pc_base_reason(reason, "HTTP cannot be served: libmicrohttpd does not start");
        return PEERCACHE_EIO;
    }
    server->socket.fd = -1; /* libmicrohttpd's now */
    pc_driver_guest_open(&server->guest, server->loop, &calls, server, NO_DEADLINE_MS);
    int epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    int result = pc_driver_guest_watch(&server->guest, epoll_fd, UV_READABLE);
    if (result != 0)
        pc_base_reason(reason, "HTTP cannot be served: %s", peercache_strerror(result));
    return result;
}

int pc_driver_http_server_new(uv_loop_t *loop, const struct pc_driver_http_options *options,
                              struct pc_driver_http_server **ret_server, struct pc_reason *ret_reason)
{
    struct pc_driver_http_server *server = calloc(1, sizeof(*server));
    if (!server) {
        pc_base_reason(ret_reason, "HTTP cannot be served: out of memory");
        return PEERCACHE_ENOMEM;
    }
    server->loop = loop;
    server->options = *options;
    if (server->options.connection_ms == 0)
        server->options.connection_ms = PC_DRIVER_HTTP_CONNECTION_MS;
    int result = pc_driver_http_listen(&options->place, &server->socket, ret_reason);
    if (result != 0) {
        free(server);
        return result;
    }
    result = start(server, ret_reason);
    if (result != 0) {
        pc_driver_http_server_close(server);
        return result;
    }
    *ret_server = server;
    return 0;
}

const struct pc_driver_http_place *pc_driver_http_server_place(const struct pc_driver_http_server *server)
{
    return &server->socket.place;
}

size_t pc_driver_http_server_connections(const struct pc_driver_http_server *server)
{
    return server->open_count;
}

void pc_driver_http_server_close(struct pc_driver_http_server *server)
{
    if (!server)
        return;
    pc_driver_http_unlink(&server->socket);
    if (!server->daemon) { /* it was never on the loop */
        (void)close(server->socket.fd);
        free(server);
        return;
    }
    pc_driver_guest_close(&server->guest); /* first: the descriptor that it watches goes with the daemon */
    MHD_stop_daemon(server->daemon);
}
