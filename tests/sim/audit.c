/* The audit of a disk: see disk.h. Sums alone, and no merge, so that it can't err as the merge does. */
#include "disk.h"

#include <stdlib.h>

static struct pc_bytes line_key(const struct pc_map_node *n)
{
    const struct audit_line *line = PC_CONST_CONTAINER_OF(n, struct audit_line, node);
    return pc_bytes_of(line->key, line->key_size);
}

struct audit *audit_new(void)
{
    static const uint8_t secret[16] = { 3 };
    struct audit *audit = calloc(1, sizeof(*audit));
    if (!audit)
        exit(2);
    pc_base_map_init(&audit->lines, line_key, secret);
    return audit;
}

void audit_clear(struct audit *audit)
{
    for (struct pc_map_node *n = pc_base_map_next(&audit->lines, NULL), *next; n; n = next) {
        next = pc_base_map_next(&audit->lines, n);
        pc_base_map_remove(&audit->lines, n);
        free(PC_CONTAINER_OF(n, struct audit_line, node));
    }
}

void audit_free(struct audit *audit)
{
    if (!audit)
        return;
    audit_clear(audit);
    pc_base_map_deinit(&audit->lines);
    free(audit);
}

struct audit_line *audit_line(struct audit *audit, const struct pc_peer_id *id, const struct pc_ip_port *at)
{
    uint8_t key[64];
    uint8_t size = id->size;
    memcpy(key, id->bytes, size);
    key[size++] = at->family;
    memcpy(key + size, at->ip, at->family == 4 ? 4 : 16);
    size = (uint8_t)(size + (at->family == 4 ? 4 : 16));
    key[size++] = (uint8_t)(at->port >> 8);
    key[size++] = (uint8_t)at->port;
    struct pc_map_node *found = pc_base_map_find(&audit->lines, pc_bytes_of(key, size));
    if (found)
        return PC_CONTAINER_OF(found, struct audit_line, node);
    struct audit_line *line = calloc(1, sizeof(*line));
    if (!line)
        exit(2);
    memcpy(line->key, key, size);
    line->key_size = size;
    line->id = *id;
    line->at = *at;
    if (pc_base_map_insert(&audit->lines, &line->node))
        exit(2);
    return line;
}

static struct audit_line *line_of(struct audit *audit, const struct pc_peer_id *id,
                                  const struct pc_maddr *addr)
{
    struct pc_ip_port at;
    if (pc_addr_classify(pc_addr_maddr_bytes(addr), &at) != PC_ADDR_QUIC_V1)
        return NULL;
    return audit_line(audit, id, &at);
}

void audit_forget(struct audit *audit, const struct pc_record *record)
{
    for (size_t i = 0; i < record->addr_count; i++) {
        struct audit_line *line = line_of(audit, &record->id, &record->addrs[i].addr);
        if (line)
            line->success = line->failure = 0;
    }
}

static void count(struct audit_line *line, const struct pc_delta *delta, bool is_known, int64_t now_ms)
{
    if (line->removed_ms > now_ms + PC_CACHE_CLOCK_WRONG_MS)
        line->removed_ms = now_ms - 1; /* a clock was set back */
    line->ever_success += delta->history.success_count;
    line->ever_failure += delta->history.failure_count;
    if (delta->removed_ms > line->removed_ms)
        line->removed_ms = delta->removed_ms;
    if (delta->removed_ms &&
        (line->seen_ms <= delta->removed_ms || line->seen_ms > now_ms + PC_CACHE_CLOCK_WRONG_MS)) {
        line->success = line->failure = 0;
        line->seen_ms = 0;
    }
    if ((line->removed_ms && delta->history.last_seen_ms <= line->removed_ms) ||
        (delta->only_if_known && !is_known))
        return;
    line->success += delta->history.success_count;
    line->failure += delta->history.failure_count;
    if (delta->history.last_seen_ms > line->seen_ms)
        line->seen_ms = delta->history.last_seen_ms;
}

static const char *compare(struct audit_line *line, struct pc_record *record, struct pc_bytes addr)
{
    const struct pc_record_addr *kept = record ? pc_cache_record_find(record, addr) : NULL;
    if (record &&
        record->addr_count == PEERCACHE_ADDRS_PER_PEER) { /* others may have given way, with their counts */
        if (!kept)
            line->success = line->failure = 0;
        return NULL;
    }
    if (line->success > (kept ? kept->history.success_count : 0))
        return "an acknowledged success is lost";
    if (line->failure > (kept ? kept->history.failure_count : 0))
        return "an acknowledged failure is lost";
    if (kept && (kept->history.success_count > line->success || kept->history.failure_count > line->failure))
        return "something was counted twice";
    return NULL;
}

static const struct pc_peer_id *id_of(const struct pc_delta *delta)
{
    return delta->proven_id.size > 0 ? &delta->proven_id : &delta->id;
}

/* An address that was known without its id takes its sums along. */
static void adopt(struct audit *audit, struct audit_line *line, const struct pc_delta *delta)
{
    struct audit_line *bare = line_of(audit, &delta->id, &delta->addr);
    line->success += bare->success;
    line->failure += bare->failure;
    bare->success = bare->failure = 0;
    bare->seen_ms = 0;
    bare->removed_ms = delta->history.last_seen_ms;
}

void audit_count(struct audit *audit, const struct disk *disk, const struct pc_delta *deltas,
                 size_t delta_count, int64_t now_ms)
{
    for (size_t i = 0; i < delta_count; i++) {
        struct audit_line *line = line_of(audit, id_of(&deltas[i]), &deltas[i].addr);
        if (!line)
            continue;
        if (deltas[i].proven_id.size > 0)
            adopt(audit, line, &deltas[i]);
        count(line, &deltas[i],
              deltas[i].only_if_known && disk_knows(disk, id_of(&deltas[i]), &deltas[i].addr), now_ms);
    }
}

const char *audit_matches(struct audit *audit, const struct disk *disk, const struct pc_delta *deltas,
                          size_t delta_count)
{
    struct pc_record record;
    for (size_t i = 0; i < delta_count; i++) {
        const struct pc_peer_id *id = id_of(&deltas[i]);
        struct audit_line *line = line_of(audit, id, &deltas[i].addr);
        const char *wrong = NULL;
        if (line && id->size > 0)
            wrong = compare(line, disk_find(disk, id, &record) ? &record : NULL,
                            pc_addr_maddr_bytes(&deltas[i].addr));
        if (wrong)
            return wrong;
    }
    return NULL;
}

const char *audit_applied(struct audit *audit, const struct disk *disk, const struct pc_delta *deltas,
                          size_t delta_count)
{
    for (size_t i = 0; i < delta_count; i++) {
        const struct audit_line *line = line_of(audit, id_of(&deltas[i]), &deltas[i].addr);
        if (!line || line->id.size == 0)
            continue;
        if (line->ever_success > line->true_success)
            return "more successes are committed than there were";
        if (line->ever_success + line->ever_failure > line->true_dials)
            return "more dials are committed than were made";
    }
    return audit_matches(audit, disk, deltas, delta_count);
}

struct audit *audit_copy(const struct audit *audit)
{
    struct audit *copy = audit_new();
    for (struct pc_map_node *n = pc_base_map_next(&audit->lines, NULL); n;
         n = pc_base_map_next(&audit->lines, n)) {
        const struct audit_line *line = PC_CONST_CONTAINER_OF(n, struct audit_line, node);
        struct audit_line *same = audit_line(copy, &line->id, &line->at);
        same->success = line->success;
        same->failure = line->failure;
        same->seen_ms = line->seen_ms;
        same->removed_ms = line->removed_ms;
    }
    return copy;
}

void audit_restore(struct audit *audit, struct audit *from)
{
    for (struct pc_map_node *n = pc_base_map_next(&audit->lines, NULL); n;
         n = pc_base_map_next(&audit->lines, n)) {
        struct audit_line *line = PC_CONTAINER_OF(n, struct audit_line, node);
        const struct audit_line *then = audit_line(from, &line->id, &line->at);
        line->success = then->success;
        line->failure = then->failure;
        line->seen_ms = then->seen_ms;
        line->removed_ms = then->removed_ms;
    }
}

/* The sums of all, with what is on the disk. */
const char *audit_compare_all(struct audit *audit, const struct disk *disk)
{
    for (struct pc_map_node *n = pc_base_map_next(&audit->lines, NULL); n;
         n = pc_base_map_next(&audit->lines, n)) {
        struct audit_line *line = PC_CONTAINER_OF(n, struct audit_line, node);
        struct pc_maddr addr;
        struct pc_record record;
        if (line->id.size == 0)
            continue;
        pc_addr_from_ip_port(&line->at, &addr);
        const char *wrong =
            compare(line, disk_find(disk, &line->id, &record) ? &record : NULL, pc_addr_maddr_bytes(&addr));
        if (wrong)
            return wrong;
    }
    return NULL;
}
