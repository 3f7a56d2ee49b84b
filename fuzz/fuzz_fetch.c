/*
 * Any bytes as what web servers answer: the real HTTP client asks an endpoint, follows where it is sent, reads what comes as
 * an endpoint's answer, and asks again on the condition that it was given. No byte leaves the process: connect() is our
 * own, and puts the next of the answers of the input into a pair of sockets. An input is answers one behind the other, each
 * with its length before it (two bytes, big-endian); when none is left, connections are refused, as name servers always are.
 */
#include "driver/endpoint_answer.h"
#include "driver/fetch.h"

#include <peercache/types.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWERS_MAX 8 /* of an input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held)
{
    if (!held)
        abort();
}

/* ---- the network ---- */

static struct pc_bytes answers;
static unsigned connections;

static bool next_answer(struct pc_bytes *ret_answer)
{
    if (answers.size < 2 || connections == ANSWERS_MAX)
        return false;
    size_t size = (size_t)answers.data[0] << 8 | answers.data[1];
    size = size < answers.size - 2 ? size : answers.size - 2;
    *ret_answer = pc_bytes_of(answers.data + 2, size);
    answers = pc_bytes_of(answers.data + 2 + size, answers.size - 2 - size);
    connections++;
    return true;
}

/* The argument is of the type that glibc gives it. */
__attribute__((visibility("default"))) int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
    int kind, ends[2];
    socklen_t kind_size = sizeof(kind);
    struct pc_bytes answer = { 0 };
    (void)address;
    (void)size;
    require(getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &kind_size) == 0);
    if (kind == SOCK_STREAM && !next_answer(&answer)) {
        errno = ECONNREFUSED;
        return -1;
    }
    require(socketpair(AF_UNIX, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    require(dup2(ends[0], fd) == fd);
    (void)close(ends[0]);
    if (kind != SOCK_STREAM) { /* a name server: what is sent to it is refused */
        (void)close(ends[1]);
        return 0;
    }
    require(write(ends[1], answer.data, answer.size) == (ssize_t)answer.size);
    require(shutdown(ends[1], SHUT_WR) == 0);
    static int server = -1; /* takes what it is asked, until the next one comes */
    if (server >= 0)
        (void)close(server);
    server = ends[1];
    return 0;
}

/* ---- the client ---- */

struct asked {
    bool is_done;
    enum pc_driver_fetch_kind kind;
    char etag[PC_DRIVER_FETCH_FIELD_BYTES];
    char last_modified[PC_DRIVER_FETCH_FIELD_BYTES];
};

static void read_body(struct pc_bytes body)
{
    static const struct pc_driver_endpoint_network network = { .name = "ipfs", .version = "1" };
    struct pc_driver_endpoint_answer answer;
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, 1);
    pc_driver_endpoint_answer_read(body, &network, &rng, &answer);
    require(answer.count <= PC_ENDPOINT_PEERS_MAX && (answer.count > 0) == (answer.peers != NULL));
    require(answer.result == PEERCACHE_FETCH_OK || answer.count == 0);
    free(answer.peers);
}

static void on_done(void *context, const struct pc_driver_fetched *fetched)
{
    struct asked *asked = context;
    bool is_ok = fetched->kind == PC_DRIVER_FETCH_OK;
    require(!asked->is_done);
    asked->is_done = true;
    asked->kind = fetched->kind;
    require(is_ok || fetched->body.size == 0);
    require(fetched->body.size <= PC_DRIVER_FETCH_BODY_MAX_BYTES);
    require((fetched->detail.text[0] == '\0') == (is_ok || fetched->kind == PC_DRIVER_FETCH_NOT_MODIFIED));
    require(!is_ok || fetched->status == 200);
    require(fetched->redirects <= PC_DRIVER_FETCH_REDIRECTS_MAX);
    require(strlen(fetched->content_type) < PC_DRIVER_FETCH_FIELD_BYTES);
    memcpy(asked->etag, fetched->etag, strlen(fetched->etag) + 1);
    memcpy(asked->last_modified, fetched->last_modified, strlen(fetched->last_modified) + 1);
    if (is_ok)
        read_body(fetched->body);
}

static void ask(const char *etag, const char *last_modified, struct asked *ret_asked)
{
    static uv_loop_t loop; /* for the life of the process, as the two beside it */
    static struct pc_driver_resolver *resolver;
    static struct pc_driver_fetcher *fetcher;
    if (!fetcher) {
        require(uv_loop_init(&loop) == 0);
        require(pc_driver_resolver_new(&loop, "127.0.0.1", &resolver, NULL) == 0);
        /* no certificates, so that https fails at once instead of reading those of the system */
        require(pc_driver_fetcher_new(&loop, resolver, "/dev/null", &fetcher) == 0);
    }
    const struct pc_driver_fetch_request request = {
        .url = "http://192.0.2.1/peers", .etag = etag, .last_modified = last_modified, .deadline_ms = 5000
    };
    struct pc_driver_fetch *fetch;
    memset(ret_asked, 0, sizeof(*ret_asked));
    require(pc_driver_fetch_start(fetcher, &request, on_done, ret_asked, &fetch) == 0);
    while (!ret_asked->is_done)
        require(uv_run(&loop, UV_RUN_ONCE) || ret_asked->is_done);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct asked first, again;
    answers = pc_bytes_of(data, size);
    connections = 0;
    ask(NULL, NULL, &first);
    if (first.kind == PC_DRIVER_FETCH_OK && (first.etag[0] || first.last_modified[0])) {
        ask(first.etag, first.last_modified, &again);
    } else {
        ask(NULL, NULL, &again);
        require(again.kind != PC_DRIVER_FETCH_NOT_MODIFIED);
    }
    return 0;
}
