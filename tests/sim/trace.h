/*
 * What happened, as a story: `[12d 03:14:07.120] n17 dial n203 → timeout`. Kept as numbers in a ring and put into words
 * only when somebody reads it, after a failure, or all of it with --trace.
 */
#ifndef TESTS_SIM_TRACE_H
#define TESTS_SIM_TRACE_H

#include "addr/multiaddr.h"

#include <peercache/types.h>

#include <stdio.h>

#define TRACE_RING 32768

/* kind, how a line reads: %A the machine, %B the other one or the address, %N a number, %O an outcome, %T a text. */
#define TRACE_KINDS(X)                                                                                       \
    X(TRACE_START, "%A starts, life %N, with %M peers from its disk")                                        \
    X(TRACE_STOP, "%A is asked to stop")                                                                     \
    X(TRACE_STOPPED, "%A has stopped")                                                                       \
    X(TRACE_KILL, "%A is killed")                                                                            \
    X(TRACE_POWER, "%A loses its power")                                                                     \
    X(TRACE_TAKE_IN, "%A takes in %N peers of others")                                                       \
    X(TRACE_SLEEP, "%A falls asleep")                                                                        \
    X(TRACE_WAKE, "%A wakes up")                                                                             \
    X(TRACE_MOVE, "%A is now at %B")                                                                         \
    X(TRACE_CLOCK, "%A sets its clock by %N ms")                                                             \
    X(TRACE_DIAL, "%A dial %B → %O")                                                                         \
    X(TRACE_INBOUND, "%A is dialled by %B")                                                                  \
    X(TRACE_ANSWER, "%A asked %B → %N peers")                                                                \
    X(TRACE_PONG, "%A pinged %B → answered")                                                                 \
    X(TRACE_CAME_BACK, "%A asked %B to dial it → it came through")                                           \
    X(TRACE_CUT_OFF, "%A asked %B to dial it → it could not")                                                \
    X(TRACE_UNDECIDED, "%A asked %B to dial it → it would not")                                              \
    X(TRACE_SERVES, "%A serves from now on")                                                                 \
    X(TRACE_SERVES_NOT, "%A serves no more")                                                                 \
    X(TRACE_NO_ANSWER, "%A asked %B → %O")                                                                   \
    X(TRACE_CLOSED, "%A loses its connection with %B")                                                       \
    X(TRACE_CLOSE, "%A closes its connection with %B")                                                       \
    X(TRACE_FETCH, "%A fetch of endpoint %N → %T, %M peers")                                                 \
    X(TRACE_NAME, "%A resolve → %O")                                                                         \
    X(TRACE_COMMIT, "%A commit of %N news → %T")                                                             \
    X(TRACE_JOINED, "%A join → %T, %N verified")                                                             \
    X(TRACE_WALKED, "%A walk → met %N peers")                                                                \
    X(TRACE_WARNING, "%A warns")                                                                             \
    X(TRACE_SCRIPT, "the scenario: %T")                                                                      \
    X(TRACE_BROKEN, "%A BROKEN: %T")

enum trace_kind {
#define TRACE_X(name, text) name,
    TRACE_KINDS(TRACE_X)
#undef TRACE_X
        TRACE_KIND_COUNT
};

#define TRACE_NOBODY UINT32_MAX

struct trace_line {
    int64_t at_us;
    enum trace_kind kind;
    uint32_t a;
    uint32_t b; /* TRACE_NOBODY: `at` is told */
    peercache_outcome outcome;
    int64_t n;
    int64_t m;
    const char *text; /* lives as long as the run */
    struct pc_ip_port at;
};

struct trace {
    FILE *file; /* NULL: the ring alone */
    uint64_t count;
    struct trace_line *ring;
};

void trace_init(struct trace *trace, const char *path);
void trace_deinit(struct trace *trace);
void trace_add(struct trace *trace, const struct trace_line *line);
/* The last lines of the machine and of those it dealt with, at most `count`. */
void trace_tell(const struct trace *trace, uint32_t machine, size_t count, FILE *out);

#endif
