/*
 * For the soak, loaded into a node before everything else (LD_PRELOAD; not with sanitizers, which have an allocator of their
 * own): once a second a line with the bytes of all allocations that live, in $COUNT_MEMORY_DIR/PID.
 */
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void tell(FILE *file)
{
    struct mallinfo2 info = mallinfo2();
    (void)fprintf(file, "%zu\n", info.uordblks + info.hblkhd);
    (void)fflush(file);
}

static void *count(void *context)
{
    for (;;) {
        (void)sleep(1);
        tell(context);
    }
    return NULL;
}

__attribute__((constructor)) static void begin(void)
{
    const char *folder = getenv("COUNT_MEMORY_DIR");
    char path[4096];
    pthread_t thread;
    sigset_t all, before;
    if (!folder)
        return;
    (void)snprintf(path, sizeof(path), "%s/%d", folder, (int)getpid());
    FILE *file = fopen(path, "we");
    if (!file) {
        perror(path);
        exit(1);
    }
    tell(file); /* there is a line when the node says that it runs */
    /* what signals ask for is the node's to do */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, count, file) != 0)
        exit(1);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}
