// Every installed header, in C++.
#include <peercache/types.h>
#include <peercache/peercache.h>
#include <peercache/node.h>

int main()
{
    peercache *cache = nullptr;
    int error = peercache_open(nullptr, "example", nullptr, &cache);
    const peercache_time now = { 1760000000000, 0 };
    if (!error)
        error = peercache_add(cache, "/ip4/20.1.1.1/udp/4001/quic-v1", PEERCACHE_SOURCE_FLAG, now);
    peercache_candidate one;
    size_t count = 0;
    if (!error)
        error = peercache_pick(cache, now, nullptr, &one, 1, &count);
    peercache_outcome_report report = PEERCACHE_REPORT_INIT(PEERCACHE_OK);
    if (!error)
        error = peercache_report_more(cache, &one, &report, now);
    peercache_close(cache);
    return error || count != 1;
}
