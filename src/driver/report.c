/* What the pure node cannot know of a join, laid over its report: URLs, the file of the cache, descriptors. */
#include "driver/report.h"

#include <dirent.h>
#include <sys/resource.h>

uint32_t pc_driver_report_descriptors(void)
{
    uint32_t count = 0;
    DIR *dir = opendir("/dev/fd"); /* of this process, on Linux and macOS */
    if (!dir)
        return 0;
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count > 0 ? count - 1 : 0; /* that of the listing itself */
}

uint32_t pc_driver_report_descriptors_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return 0;
    return limit.rlim_cur < UINT32_MAX ? (uint32_t)limit.rlim_cur : UINT32_MAX;
}

void pc_driver_report_cache(const struct peercache_node *node, peercache_cache_report *report)
{
    bool is_used = node->cache_lost.text[0] == '\0';
    if (!node->options.has_cache)
        return;
    report->path = node->options.cache;
    report->is_healthy = is_used && (node->store_opened || !node->options.save);
    report->is_writable = node->worker && node->cache_busy.text[0] == '\0';
    report->tried = node->counts[PEERCACHE_TRIED];
    report->fresh = node->counts[PEERCACHE_NEW];
    if (!is_used)
        report->problem = node->cache_lost.text;
    else if (node->cache_busy.text[0] != '\0')
        report->problem = node->cache_busy.text;
    else if (node->store && !report->is_writable && node->store->warning.text[0] != '\0')
        report->problem = node->store->warning.text;
    else if (!node->options.save)
        report->problem = "nothing is to be saved";
}

void pc_driver_report_endpoint(struct peercache_node *node, size_t index, peercache_endpoint_report *report)
{
    pc_driver_endpoints_report(node->endpoints, index, report);
}

const peercache_join_report *pc_driver_report_complete(struct peercache_node *node,
                                                       const peercache_join_report *report)
{
    node->report = *report;
    for (size_t i = 0; i < report->endpoint_count; i++) {
        node->endpoint_reports[i] = report->endpoints[i];
        pc_driver_report_endpoint(node, i, &node->endpoint_reports[i]);
    }
    node->report.endpoints = node->endpoint_reports;
    node->report.local.descriptors = pc_driver_report_descriptors();
    node->report.local.descriptors_max = pc_driver_report_descriptors_max();
    pc_driver_report_cache(node, &node->report.cache);
    return &node->report;
}
