#include "books.h"

#include <stdlib.h>

/* An address that never answered, whose failures are fewer than they were: it gave way, and may be there again. */
struct gone {
    struct gone *next;
    struct pc_peer_id id;
    struct pc_ip_port at;
    uint32_t failure;
};

struct batch {
    struct batch *next;
    struct gone *gone; /* that gave way to it */
    int64_t now_ms;    /* to who wrote it */
    size_t count;
    struct pc_delta deltas[];
};

static void *need(void *memory)
{
    if (!memory)
        exit(2);
    return memory;
}

void books_init(struct books *books)
{
    *books = (struct books){ .left = audit_new(), .last = &books->first };
}

static void drop_first(struct books *books)
{
    struct batch *batch = books->first;
    books->first = batch->next;
    if (!books->first)
        books->last = &books->first;
    while (batch->gone) {
        struct gone *gone = batch->gone;
        batch->gone = gone->next;
        free(gone);
    }
    books->count--;
    free(batch);
}

void books_clear(struct books *books)
{
    while (books->first)
        drop_first(books);
    if (books->left)
        audit_clear(books->left);
}

void books_deinit(struct books *books)
{
    books_clear(books);
    audit_free(books->left);
}

static void replay(struct audit *audit, const struct batch *batch)
{
    audit_count(audit, NULL, batch->deltas, batch->count, batch->now_ms);
    for (const struct gone *gone = batch->gone; gone; gone = gone->next)
        audit_line(audit, &gone->id, &gone->at)->failure = gone->failure;
}

/* What is told only of who is known has said it by now: it is kept as said, or not at all. */
static struct batch *enter(struct books *books, const struct disk *disk, const struct pc_delta *deltas,
                           size_t count, int64_t now_ms)
{
    struct batch *batch = need(calloc(1, sizeof(*batch) + count * sizeof(*deltas)));
    batch->now_ms = now_ms;
    for (size_t i = 0; i < count; i++) {
        if (deltas[i].only_if_known && !disk_knows(disk, &deltas[i].id, &deltas[i].addr))
            continue;
        batch->deltas[batch->count] = deltas[i];
        batch->deltas[batch->count++].only_if_known = false;
    }
    *books->last = batch;
    books->last = &batch->next;
    books->count++;
    return batch;
}

static uint32_t failures_on(const struct disk *disk, const struct audit_line *line)
{
    struct pc_record record;
    struct pc_maddr addr;
    if (!disk_find(disk, &line->id, &record))
        return 0;
    pc_addr_from_ip_port(&line->at, &addr);
    const struct pc_record_addr *kept = pc_cache_record_find(&record, pc_addr_maddr_bytes(&addr));
    return kept ? kept->history.failure_count : 0;
}

/* A full bucket turns out who never answered: with its failures, which are lost on purpose. Of who did answer nothing may be. */
static void find_gone(const struct disk *disk, struct batch *batch)
{
    for (struct pc_map_node *n = pc_base_map_next(&disk->audit->lines, NULL); n;
         n = pc_base_map_next(&disk->audit->lines, n)) {
        struct audit_line *line = PC_CONTAINER_OF(n, struct audit_line, node);
        if (line->id.size == 0 || line->failure == 0 || line->success > 0)
            continue;
        uint32_t failure = failures_on(disk, line);
        if (failure >= line->failure)
            continue;
        struct gone *gone = need(calloc(1, sizeof(*gone)));
        *gone = (struct gone){ batch->gone, line->id, line->at, failure };
        batch->gone = gone;
        line->failure = failure;
    }
}

const char *books_committed(struct books *books, struct disk *disk, const struct pc_delta *deltas,
                            size_t count, int64_t now_ms, bool is_acknowledged, bool *ret_is_there)
{
    *ret_is_there = is_acknowledged || audit_matches(disk->audit, disk, deltas, count) != NULL;
    if (!*ret_is_there)
        return NULL;
    audit_count(disk->audit, disk, deltas, count, now_ms);
    find_gone(disk, enter(books, disk, deltas, count, now_ms));
    const char *wrong = audit_applied(disk->audit, disk, deltas, count);
    return wrong && !is_acknowledged ? "a batch that failed is on the disk in part" : wrong;
}

void books_settle(struct books *books)
{
    while (books->first) {
        replay(books->left, books->first);
        drop_first(books);
    }
}

const char *books_power_went(struct books *books, struct disk *disk, const struct pc_delta *deltas,
                             size_t count, int64_t now_ms)
{
    struct audit *sums = audit_copy(books->left), *found = NULL;
    if (count > 0)
        (void)enter(books, disk, deltas, count, now_ms);
    const struct batch *batch = books->first;
    const char *wrong = NULL;
    for (;;) {
        wrong = audit_compare_all(sums, disk);
        if (!wrong) { /* the most of them that it can be: those that differ in no sum are told apart by nothing */
            audit_free(found);
            found = audit_copy(sums);
        }
        if (!batch)
            break;
        replay(sums, batch);
        batch = batch->next;
    }
    audit_free(sums);
    if (!found)
        return wrong;
    audit_restore(disk->audit, found);
    while (books->first)
        drop_first(books);
    audit_free(books->left);
    books->left = found;
    return NULL;
}
