/* Prints the size of each public struct and the place of its last member, for the bindings to compare. */
#include <peercache/peercache.h>

#include <stdio.h>

#define SHOW(type, last) printf("%s %zu %zu\n", #type, sizeof(type), offsetof(type, last))

int main(void)
{
    SHOW(peercache_time, mono_us);
    SHOW(peercache_candidate, rtt_ms);
    SHOW(peercache_outcome_report, proven_id);
    SHOW(peercache_explanation, why);
    SHOW(peercache_addr, learned_from);
    SHOW(peercache_peer, addrs);
    SHOW(peercache_stats, store);
    SHOW(peercache_pruned, done);
    SHOW(peercache_imported, first_rejected);
    return 0;
}
