/* What the pure node cannot know of a join, laid over its report. */
#ifndef PC_DRIVER_REPORT_H
#define PC_DRIVER_REPORT_H

#include "driver/loop.h"

/* URL, and how the last fetch ended. */
void pc_driver_report_endpoint(struct peercache_node *node, size_t index, peercache_endpoint_report *report);
/* What is known of the cache. */
void pc_driver_report_cache(const struct peercache_node *node, peercache_cache_report *report);
/* File descriptors of the process: open, and allowed; 0: not known. */
uint32_t pc_driver_report_descriptors(void);
uint32_t pc_driver_report_descriptors_max(void);
/* The whole report, valid until the next one of this node. */
const peercache_join_report *pc_driver_report_complete(struct peercache_node *node,
                                                       const peercache_join_report *report);

#endif
