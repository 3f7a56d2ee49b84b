/*
 * One cache, several processes: each opens the file for itself, tells what it learnt and commits; nothing is
 * lost and nothing counted twice.
 *
 *     cc share.c $(pkg-config --cflags --libs peercache) -o share
 *     ./share contacts.db
 */
#include <peercache/peercache.h>

#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES 4
#define REPORTS   25
#define ADDR      "/ip4/127.0.0.1/udp/4001/quic-v1"
#define PEER_ID   "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"

static peercache_time now(void)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (peercache_time){ .wall_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000 };
}

static int open_cache(const char *path, peercache **ret_cache)
{
    peercache_options *options = peercache_options_new();
    if (!options)
        return PEERCACHE_ENOMEM;
    peercache_options_set_local(options, true);
    int error = peercache_open(path, "example", options, ret_cache);
    peercache_options_free(options); /* open copied them */
    if (error)
        fprintf(stderr, "share: %s\n", peercache_errmsg(*ret_cache));
    return error;
}

/* What each process does: so many successes, each committed by itself. */
static int work(const char *path)
{
    peercache *cache = NULL;
    peercache_candidate peer;
    int error = open_cache(path, &cache);
    if (!error)
        error = peercache_candidate_parse(cache, ADDR "/p2p/" PEER_ID, &peer);
    for (int i = 0; i < REPORTS && !error; i++) {
        error = peercache_report(cache, &peer, PEERCACHE_OK, 12, now());
        if (!error)
            error = peercache_flush(cache, 5000);
    }
    peercache_close(cache);
    return error != 0;
}

int main(int argc, char **argv)
{
    peercache *cache = NULL;
    peercache_peer peer;
    int failed = 0, status;
    if (argc != 2)
        return 2;
    for (int i = 0; i < PROCESSES; i++) {
        pid_t child = fork(); /* before anything is opened: a handle is used by the process that opened it */
        if (child == 0)
            _exit(work(argv[1]));
        failed |= child < 0;
    }
    while (wait(&status) > 0)
        failed |= status != 0;
    int error = failed ? 0 : open_cache(argv[1], &cache);
    if (!failed && !error)
        error = peercache_find(cache, PEER_ID, &peer);
    if (!failed && !error)
        printf("%d processes, %d successes each: %u counted\n", PROCESSES, REPORTS,
               peer.addrs[0].success_count);
    peercache_close(cache);
    return failed || error;
}
