/* What a node that crawls keeps beside all else. Of this room only. */
#ifndef PC_NODE_CRAWLING_H
#define PC_NODE_CRAWLING_H

#include "kad/crawl.h"
#include "node/tally.h"

struct crawling {
    struct pc_kad_crawl *frontier;
    struct pc_tally agents;
    struct pc_tally protocols;
    uint32_t *rtts_us; /* of those who opened, one each */
    size_t rtt_count;
    size_t rtt_room;
    int64_t ends_us;
    bool stopped; /* asked for from outside */
    bool told;    /* the report is out: what comes later is not counted */
    peercache_crawl_report report;
};

#endif
