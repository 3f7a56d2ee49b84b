/*
 * The cache with a dialler of one's own: whom to dial comes from the memory, what became of it goes back there.
 * This dialler opens a TCP connection and calls that a success; yours would prove the peer id too.
 *
 *     cc embed.c $(pkg-config --cflags --libs peercache) -o embed
 *     ./embed contacts.db /ip4/127.0.0.1/tcp/8080      first start: somebody to begin with
 *     ./embed contacts.db                              later ones: from memory
 */
#include <peercache/peercache.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static peercache_time now(void)
{
    struct timespec wall, mono;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    return (peercache_time){ .wall_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000,
                             .mono_us = (int64_t)mono.tv_sec * 1000000 + mono.tv_nsec / 1000 };
}

/* /ip4/A/tcp/P, in two seconds at most. */
static peercache_outcome dial(const char *addr)
{
    char ip[16];
    unsigned short port;
    struct sockaddr_in to = { .sin_family = AF_INET };
    if (sscanf(addr, "/ip4/%15[0-9.]/tcp/%hu", ip, &port) != 2 || inet_pton(AF_INET, ip, &to.sin_addr) != 1)
        return PEERCACHE_UNSUPPORTED;
    to.sin_port = htons(port);
    int error = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 && (error = errno) == EINPROGRESS) {
        struct pollfd wait = { .fd = fd, .events = POLLOUT };
        socklen_t size = sizeof(error);
        if (poll(&wait, 1, 2000) == 0)
            error = ETIMEDOUT;
        else
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    close(fd);
    return error == 0              ? PEERCACHE_OK
           : error == ECONNREFUSED ? PEERCACHE_REFUSED
           : error == ETIMEDOUT    ? PEERCACHE_TIMEOUT
                                   : PEERCACHE_UNREACHABLE;
}

int main(int argc, char **argv)
{
    peercache *cache = NULL;
    peercache_candidate candidates[5];
    size_t count = 0, reached = 0;
    peercache_options *options = peercache_options_new();
    peercache_filter *filter = peercache_filter_new();
    if (argc < 2 || !options || !filter)
        return 2;
    peercache_options_set_local(options, true); /* loopback may be dialled */
    peercache_filter_set_dialable(filter, PEERCACHE_TRANSPORT_TCP, PEERCACHE_FAMILY_IP4);
    int error = peercache_open(argv[1], "example", options, &cache);
    for (int i = 2; i < argc && !error; i++)
        error = peercache_add(cache, argv[i], PEERCACHE_SOURCE_FLAG, now());
    if (!error)
        error = peercache_pick(cache, now(), filter, candidates, 5, &count);
    for (size_t i = 0; i < count && !error; i++) {
        int64_t began_us = now().mono_us;
        peercache_outcome outcome = dial(candidates[i].addr);
        peercache_time after = now();
        printf("%s %s\n", candidates[i].addr, peercache_outcome_name(outcome));
        reached += outcome == PEERCACHE_OK;
        error = peercache_report(cache, &candidates[i], outcome, (int32_t)((after.mono_us - began_us) / 1000),
                                 after);
    }
    if (!error)
        error = peercache_flush(cache, 1000);
    if (error)
        fprintf(stderr, "embed: %s\n", peercache_errmsg(cache)); /* text also when open failed */
    peercache_close(cache);
    peercache_filter_free(filter);
    peercache_options_free(options);
    return error || reached == 0;
}
