/*
 * The joiner in an application with its own network stack. The "network" of this example is a function that
 * says yes to every third peer after 40 ms, and its clock is a variable, so that it runs the same everywhere:
 * replace dial() and the clock by yours.
 *
 *     cc joiner.c $(pkg-config --cflags --libs libpeercache) && ./a.out
 */
#include <peercache/joiner.h>

#include <inttypes.h>
#include <stdio.h>

#define PEERS     12
#define RTT_US    40000
#define UNDER_WAY 128

struct dial {
    uint64_t number;
    int64_t ends_us;
    bool succeeds;
};

int main(void)
{
    peercache_time now = { .wall_ms = 1700000000000, .mono_us = 0 };
    struct dial dials[UNDER_WAY];
    size_t count = 0;
    unsigned dialled = 0;
    peercache_joiner *joiner;
    peercache_joiner_action action;
    peercache_joiner_options *options = peercache_joiner_options_new();
    if (!options || peercache_joiner_options_set_target(options, 3, 1) ||
        peercache_joiner_new(options, now, &joiner)) {
        fprintf(stderr, "out of memory\n");
        peercache_joiner_options_free(options);
        return 1;
    }
    peercache_joiner_options_free(options);

    /* What we know: here made up, in yours the picks of a cache, by peercache_pick(). Without a peer id in the
     * address, the one that the handshake proved is told when the dial ended. */
    for (int i = 0; i < PEERS; i++) {
        char addr[64];
        snprintf(addr, sizeof(addr), "/ip4/198.51.%d.7/udp/4001/quic-v1", i);
        int result = peercache_joiner_offer(joiner, addr, PEERCACHE_VIA_CACHE, 0, now);
        if (result)
            fprintf(stderr, "%s: %s\n", addr, peercache_strerror(result));
    }

    static const char *const ids[] = { "QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
                                       "QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa",
                                       "QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb" };
    size_t met = 0;
    for (;;) {
        while (peercache_joiner_next(joiner, now, &action)) {
            if (action.kind == PEERCACHE_JOINER_DIAL && count < UNDER_WAY) {
                printf("%4" PRId64 " ms  dial %s\n", now.mono_us / 1000, action.addr);
                dials[count++] = (struct dial){ action.number, now.mono_us + RTT_US, ++dialled % 3 == 0 };
            } else if (action.kind == PEERCACHE_JOINER_CANCEL_DIAL) {
                for (size_t i = 0; i < count; i++)
                    if (dials[i].number == action.number)
                        dials[i--] = dials[--count];
            }
            /* FETCH and RESOLVE come only with endpoints and names. */
        }
        if (peercache_joiner_phase_now(joiner) != PEERCACHE_JOINER_RUNNING)
            break;
        /* Wait: for the first dial that ends, or the joiner's deadline. */
        size_t first = count;
        int64_t at_us = peercache_joiner_deadline_us(joiner);
        for (size_t i = 0; i < count; i++) {
            if (dials[i].ends_us <= at_us) {
                at_us = dials[i].ends_us;
                first = i;
            }
        }
        now.wall_ms += (at_us - now.mono_us) / 1000;
        now.mono_us = at_us;
        if (first == count)
            continue;
        struct dial ended = dials[first];
        dials[first] = dials[--count];
        bool verified = ended.succeeds && met < sizeof(ids) / sizeof(ids[0]);
        peercache_joiner_dial_ended(joiner, ended.number, verified ? PEERCACHE_OK : PEERCACHE_REFUSED,
                                    verified ? ids[met++] : NULL, verified ? RTT_US / 1000 : -1, now);
    }
    const char *next_step;
    const char *cause = peercache_joiner_cause(joiner, &next_step);
    bool joined = peercache_joiner_phase_now(joiner) == PEERCACHE_JOINER_JOINED;
    printf("%4" PRId64 " ms  %s with %" PRIu32 " peers; cause: %s. %s\n", now.mono_us / 1000,
           joined ? "joined" : "not joined", peercache_joiner_verified(joiner), cause, next_step);
    peercache_joiner_free(joiner);
    return joined ? 0 : 1;
}
