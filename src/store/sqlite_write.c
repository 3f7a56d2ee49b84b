/*
 * One delta onto its row, under the quotas: the rules of the working set (cache/peers.c), with an index seek
 * for each look at a bucket. A row says in `wants` the bucket of the tried in which a verified one would have
 * its place; when the least there fails a dial, the two change places.
 */
#include "store/sqlite.h"

#include "base/time.h"
#include "cache/pack.h"

#include <stdlib.h>

#define WANTS_NOTHING (-1)
#define REBUCKET_ROWS 64

/* A row as it was found, and as it is to be. */
struct row {
    struct pc_sqlite_key key;
    struct pc_record record;
    bool was_there;
    peercache_state was;
    uint32_t was_bucket;
    struct pc_cache_standing was_standing;
};

static uint32_t bucket_in(const struct pc_sqlite_write *write, const struct pc_record *record,
                          peercache_state state)
{
    return pc_cache_quota_bucket(
        write->quota, state,
        pc_cache_bucket_of_record(write->quota, write->secret, write->mode, record, state));
}

static int bucket_count(struct pc_sqlite_write *write, peercache_state state, uint32_t bucket,
                        int64_t *ret_count)
{
    int result = 0;
    sqlite3_stmt *row = pc_sqlite_prepare(write->sqlite, PC_SQLITE_BUCKET_COUNT, &result);
    if (!row)
        return result;
    (void)sqlite3_bind_int(row, 1, (int)state);
    (void)sqlite3_bind_int64(row, 2, bucket);
    (void)sqlite3_bind_int64(row, 3, write->quota->capacity[state]);
    result = pc_sqlite_step(write->sqlite, row);
    if (result < 0)
        return result;
    *ret_count = sqlite3_column_int64(row, 0);
    (void)sqlite3_reset(row);
    return 0;
}

struct least {
    struct pc_sqlite_key key;
    struct pc_cache_standing standing;
};

/* Of the row the statement stands on. */
static void read_least(sqlite3_stmt *row, struct least *ret_least)
{
    struct pc_bytes key = pc_sqlite_column_bytes(row, 0);
    ret_least->key.size = key.size < sizeof(ret_least->key.bytes) ? key.size : sizeof(ret_least->key.bytes);
    memcpy(ret_least->key.bytes, key.data, ret_least->key.size);
    ret_least->standing.class = (uint8_t)sqlite3_column_int(row, 1);
    ret_least->standing.day = (uint16_t)sqlite3_column_int(row, 2);
    (void)sqlite3_reset(row);
}

/* The least of a bucket: 1; 0 it is empty. */
static int bucket_least(struct pc_sqlite_write *write, peercache_state state, uint32_t bucket,
                        struct least *ret_least)
{
    int result = 0;
    sqlite3_stmt *row = pc_sqlite_prepare(write->sqlite, PC_SQLITE_BUCKET_LEAST, &result);
    if (!row)
        return result;
    (void)sqlite3_bind_int(row, 1, (int)state);
    (void)sqlite3_bind_int64(row, 2, bucket);
    result = pc_sqlite_step(write->sqlite, row);
    if (result == 1)
        read_least(row, ret_least);
    return result;
}

/* The least of a bucket of the new drawn by lot: 1; 0 there is none. */
static int draw_least(struct pc_sqlite_write *write, struct least *ret_least)
{
    int result = 0;
    uint64_t from = pc_base_rng_below(write->rng, UINT64_C(1) << write->quota->bits[PEERCACHE_NEW]);
    for (int turn = 0; turn < 2 && result == 0; turn++, from = 0) { /* around the end once */
        sqlite3_stmt *row = pc_sqlite_prepare(write->sqlite, PC_SQLITE_LEAST_FROM, &result);
        if (!row)
            return result;
        (void)sqlite3_bind_int64(row, 1, (int64_t)from);
        result = pc_sqlite_step(write->sqlite, row);
        if (result == 1)
            read_least(row, ret_least);
    }
    return result;
}

static int log_change(struct pc_sqlite_write *write, const struct pc_sqlite_key *key)
{
    int result = 0;
    if (write->is_silent)
        return 0;
    sqlite3_stmt *statement = pc_sqlite_prepare(write->sqlite, PC_SQLITE_LOG_PUT, &result);
    if (!statement)
        return result;
    (void)sqlite3_bind_int64(statement, 1, ++write->state.change);
    pc_sqlite_bind(statement, 2, pc_bytes_of(key->bytes, key->size));
    return pc_sqlite_step(write->sqlite, statement);
}

static int delete_row(struct pc_sqlite_write *write, const struct pc_sqlite_key *key, peercache_state state)
{
    int result = 0;
    sqlite3_stmt *statement = pc_sqlite_prepare(write->sqlite, PC_SQLITE_PEER_DELETE, &result);
    if (!statement)
        return result;
    pc_sqlite_bind(statement, 1, pc_bytes_of(key->bytes, key->size));
    result = pc_sqlite_step(write->sqlite, statement);
    if (result == 0 && sqlite3_changes(write->sqlite->db) > 0)
        write->state.counts[state]--;
    return result ? result : log_change(write, key);
}

/* Room for a row that is not in this bucket of the new yet: 1; 0 there is none. */
static int make_room(struct pc_sqlite_write *write, const struct row *row, struct pc_cache_standing standing,
                     bool trusted)
{
    struct least least;
    int64_t count = 0;
    int result = 0;
    if (!trusted && row->record.state == PEERCACHE_NEW) {
        result = bucket_count(write, PEERCACHE_NEW, row->record.bucket, &count);
        if (result == 0 && count >= write->quota->capacity[PEERCACHE_NEW]) {
            result = bucket_least(write, PEERCACHE_NEW, row->record.bucket, &least);
            if (result == 1 && pc_cache_standing_compare(least.standing, standing) >= 0)
                return 0;
            if (result == 1)
                result = delete_row(write, &least.key, PEERCACHE_NEW);
        }
        if (result < 0)
            return result;
    }
    if (row->was_there ||
        write->state.counts[PEERCACHE_NEW] + write->state.counts[PEERCACHE_TRIED] < write->quota->peers_max)
        return 1;
    result = draw_least(write, &least);
    if (result <= 0)
        return result;
    if (row->record.state == PEERCACHE_NEW && pc_cache_standing_compare(least.standing, standing) > 0)
        return 0;
    result = delete_row(write, &least.key, PEERCACHE_NEW);
    return result ? result : 1;
}

/* Write a row where its record says. */
static int write_row(struct pc_sqlite_write *write, struct row *row, int64_t wants,
                     struct pc_cache_standing standing)
{
    uint8_t packed[PEERCACHE_ADDRS_PER_PEER * PC_CACHE_PACKED_ADDR_MAX_BYTES];
    size_t size =
        pc_cache_pack_record(&row->record, write->addrs_max, write->record_max_bytes, packed, sizeof(packed));
    bool only_addrs = row->was_there && row->was == row->record.state &&
                      row->was_bucket == row->record.bucket && wants == WANTS_NOTHING &&
                      row->was_standing.class == standing.class && row->was_standing.day == standing.day &&
                      (row->was == PEERCACHE_TRIED || !pc_cache_record_is_verified(&row->record));
    enum pc_sqlite_statement which = only_addrs       ? PC_SQLITE_PEER_TOUCH
                                     : row->was_there ? PC_SQLITE_PEER_UPDATE
                                                      : PC_SQLITE_PEER_INSERT;
    int result = 0;
    sqlite3_stmt *statement = pc_sqlite_prepare(write->sqlite, which, &result);
    if (!statement)
        return result;
    pc_sqlite_bind(statement, 1, pc_bytes_of(row->key.bytes, row->key.size));
    pc_sqlite_bind(statement, only_addrs ? 2 : 7, pc_bytes_of(packed, size));
    if (!only_addrs) {
        (void)sqlite3_bind_int(statement, 2, (int)row->record.state);
        (void)sqlite3_bind_int64(statement, 3, row->record.bucket);
        (void)sqlite3_bind_int(statement, 4, standing.class);
        (void)sqlite3_bind_int(statement, 5, standing.day);
        if (wants == WANTS_NOTHING)
            (void)sqlite3_bind_null(statement, 6);
        else
            (void)sqlite3_bind_int64(statement, 6, wants);
    }
    result = pc_sqlite_step(write->sqlite, statement);
    if (result)
        return result;
    if (row->was_there)
        write->state.counts[row->was]--;
    write->state.counts[row->record.state]++;
    return log_change(write, &row->key);
}

/* Where a record belongs, and whether it waits for a place among the tried. */
static int find_place(struct pc_sqlite_write *write, struct row *row, int64_t *ret_wants)
{
    int64_t count = 0;
    *ret_wants = WANTS_NOTHING;
    bool is_verified = pc_cache_record_is_verified(&row->record);
    row->record.state = PEERCACHE_NEW;
    if (is_verified) {
        uint32_t bucket = bucket_in(write, &row->record, PEERCACHE_TRIED);
        bool has_place = row->was_there && row->was == PEERCACHE_TRIED;
        if (!has_place && write->state.counts[PEERCACHE_TRIED] < write->quota->tried_max) {
            int result = bucket_count(write, PEERCACHE_TRIED, bucket, &count);
            if (result)
                return result;
            has_place = count < write->quota->capacity[PEERCACHE_TRIED];
        }
        if (has_place) {
            row->record.state = PEERCACHE_TRIED;
            row->record.bucket = bucket;
            return 0;
        }
        *ret_wants = bucket;
    }
    row->record.bucket = bucket_in(write, &row->record, PEERCACHE_NEW);
    return 0;
}

static int keep(struct pc_sqlite_write *write, struct row *row, bool *ret_has_room)
{
    int64_t wants;
    int result = find_place(write, row, &wants);
    if (result)
        return result;
    struct pc_cache_standing standing = pc_cache_standing_of(&row->record);
    bool stays = row->was_there && row->was == row->record.state && row->was_bucket == row->record.bucket;
    int room = stays ? 1 : make_room(write, row, standing, false);
    if (room < 0)
        return room;
    *ret_has_room = room == 1;
    if (room == 0) /* one that was there and finds no room in its new place goes */
        return row->was_there ? delete_row(write, &row->key, row->was) : 0;
    return write_row(write, row, wants, standing);
}

static void begin_row(struct row *row, bool found)
{
    row->was_there = found;
    row->was = row->record.state;
    row->was_bucket = row->record.bucket;
    if (found)
        row->was_standing = pc_cache_standing_of(&row->record);
}

/* No bucket turns it away. */
static int put_as_it_is(struct pc_sqlite_write *write, struct row *row, bool *ret_has_room)
{
    row->was_bucket = UINT32_MAX; /* all columns are written */
    if (!pc_cache_record_is_verified(&row->record))
        row->record.state = PEERCACHE_NEW;
    row->record.bucket = bucket_in(write, &row->record, row->record.state);
    struct pc_cache_standing standing = pc_cache_standing_of(&row->record);
    int room = make_room(write, row, standing, true);
    *ret_has_room = room == 1;
    return room == 1 ? write_row(write, row, WANTS_NOTHING, standing) : room;
}

int pc_sqlite_put(struct pc_sqlite_write *write, struct pc_record *record)
{
    struct row row = { .record = *record };
    struct pc_record known;
    bool has_room;
    pc_sqlite_key_of(&record->id, &record->addrs[0].addr, &row.key);
    int found = pc_sqlite_find(write->sqlite, &row.key, &record->id, &known);
    if (found < 0)
        return found;
    row.was_there = found == 1;
    row.was = known.state;
    return put_as_it_is(write, &row, &has_room);
}

/* Read the next few rows behind `key`, which moves on; it stays where it is at the end. */
static int read_rows(struct pc_sqlite_write *write, struct pc_sqlite_key *key, struct row *rows,
                     size_t *ret_count)
{
    int result = 0;
    *ret_count = 0;
    sqlite3_stmt *statement = pc_sqlite_prepare(write->sqlite, PC_SQLITE_PEERS_AFTER, &result);
    if (!statement)
        return result;
    pc_sqlite_bind(statement, 1, pc_bytes_of(key->bytes, key->size));
    (void)sqlite3_bind_int64(statement, 2, REBUCKET_ROWS);
    while ((result = pc_sqlite_step(write->sqlite, statement)) == 1) {
        struct row *row = &rows[*ret_count];
        struct pc_bytes found = pc_sqlite_column_bytes(statement, 0);
        if (found.size > sizeof(row->key.bytes))
            continue; /* not of our making: check finds it */
        row->key.size = found.size;
        memcpy(row->key.bytes, found.data, found.size);
        *key = row->key;
        if (pc_sqlite_row_record(statement, &row->record, NULL) == 1)
            ++*ret_count;
    }
    return result;
}

int pc_sqlite_rebucket(struct pc_sqlite_write *write)
{
    struct pc_sqlite_key key = { .size = 0 };
    size_t count = 0;
    int result = 0;
    struct row *rows = calloc(REBUCKET_ROWS, sizeof(*rows));
    if (!rows)
        return PEERCACHE_ENOMEM;
    write->is_silent = true;
    do {
        struct pc_sqlite_key from = key;
        result = read_rows(write, &key, rows, &count);
        for (size_t i = 0; i < count && result == 0; i++) {
            begin_row(&rows[i], true);
            rows[i].was_bucket = UINT32_MAX;
            rows[i].record.bucket = bucket_in(write, &rows[i].record, rows[i].record.state);
            result = write_row(write, &rows[i], WANTS_NOTHING, pc_cache_standing_of(&rows[i].record));
        }
        count = key.size != from.size || memcmp(key.bytes, from.bytes, key.size) ? 1 : 0;
    } while (result == 0 && count);
    write->is_silent = false;
    free(rows);
    return result;
}

/* Those dated by a wrong clock, of this address and its whole peer, are of this moment. */
static int tombstone_date(struct pc_sqlite_write *write, const struct pc_sqlite_key *key,
                          struct pc_bytes addr, int64_t removed_ms)
{
    int result = 0;
    sqlite3_stmt *row = pc_sqlite_prepare(write->sqlite, PC_SQLITE_TOMBSTONE_DATE, &result);
    if (!row)
        return result;
    pc_sqlite_bind(row, 1, pc_bytes_of(key->bytes, key->size));
    pc_sqlite_bind(row, 2, addr);
    (void)sqlite3_bind_int64(row, 3, removed_ms);
    return pc_sqlite_step(write->sqlite, row);
}

/* The latest removal of this address or of its whole peer; 0 when none. */
static int tombstone_get(struct pc_sqlite_write *write, const struct pc_sqlite_key *key, struct pc_bytes addr,
                         int64_t *ret_removed_ms)
{
    int result = 0;
    *ret_removed_ms = 0;
    if (!write->has_tombstones)
        return 0;
    sqlite3_stmt *row = pc_sqlite_prepare(write->sqlite, PC_SQLITE_TOMBSTONE_GET, &result);
    if (!row)
        return result;
    pc_sqlite_bind(row, 1, pc_bytes_of(key->bytes, key->size));
    pc_sqlite_bind(row, 2, addr);
    result = pc_sqlite_step(write->sqlite, row);
    if (result < 0)
        return result;
    int64_t removed_ms = result ? sqlite3_column_int64(row, 0) : 0; /* NULL is 0 */
    (void)sqlite3_reset(row);
    *ret_removed_ms = pc_cache_removal_date(removed_ms, write->now_ms);
    return *ret_removed_ms == removed_ms ? 0 : tombstone_date(write, key, addr, *ret_removed_ms);
}

static int tombstone_put(struct pc_sqlite_write *write, const struct pc_sqlite_key *key, struct pc_bytes addr,
                         int64_t removed_ms)
{
    write->has_tombstones = true;
    return pc_sqlite_tombstone_put(write->sqlite, pc_bytes_of(key->bytes, key->size), addr, removed_ms);
}

/* An address known without id is this peer's: what is known of it moves there. */
static int adopt(struct pc_sqlite_write *write, const struct pc_delta *delta)
{
    static const struct pc_peer_id nobody;
    struct pc_sqlite_key key;
    struct pc_record bare;
    struct pc_delta moved = *delta;
    moved.id = delta->proven_id;
    moved.proven_id.size = 0;
    pc_sqlite_key_of(&nobody, &delta->addr, &key);
    int result = pc_sqlite_find(write->sqlite, &key, &nobody, &bare);
    if (result < 0)
        return result;
    if (result == 1) {
        struct pc_delta known;
        pc_cache_delta_init(&known, &moved.id, pc_addr_maddr_bytes(&delta->addr));
        known.history = bare.addrs[0].history;
        known.source = bare.addrs[0].source;
        known.source_group = bare.addrs[0].source_group;
        known.first_seen_ms = bare.addrs[0].first_seen_ms;
        pc_cache_delta_merge(&moved, &known);
        result = delete_row(write, &key, bare.state);
        if (result)
            return result;
    }
    /* Nor does it come back from the memory of another process. */
    result = tombstone_put(write, &key, pc_bytes_of(NULL, 0), moved.history.last_seen_ms);
    return result ? result : pc_sqlite_apply(write, &moved);
}

/* One that was tried failed a dial: when it is the least of its bucket and a newcomer waits there, they
 * change places. */
static int change_places(struct pc_sqlite_write *write, const struct row *row)
{
    struct least least;
    struct row newcomer, loser = { .key = row->key };
    int result = bucket_least(write, PEERCACHE_TRIED, row->record.bucket, &least);
    if (result != 1)
        return result;
    if (least.key.size != row->key.size || memcmp(least.key.bytes, row->key.bytes, row->key.size))
        return 0;
    sqlite3_stmt *waiting = pc_sqlite_prepare(write->sqlite, PC_SQLITE_WAITING, &result);
    if (!waiting)
        return result;
    (void)sqlite3_bind_int64(waiting, 1, row->record.bucket);
    result = pc_sqlite_step(write->sqlite, waiting);
    if (result != 1)
        return result;
    struct pc_bytes key = pc_sqlite_column_bytes(waiting, 0);
    newcomer.key.size = key.size < sizeof(newcomer.key.bytes) ? key.size : sizeof(newcomer.key.bytes);
    memcpy(newcomer.key.bytes, key.data, newcomer.key.size);
    (void)sqlite3_reset(waiting);

    result = pc_sqlite_find(write->sqlite, &loser.key, &row->record.id, &loser.record);
    if (result == 1)
        result = pc_sqlite_find(write->sqlite, &newcomer.key, &row->record.id, &newcomer.record);
    if (result != 1)
        return result;
    begin_row(&loser, true);
    begin_row(&newcomer, true);
    newcomer.record.state = PEERCACHE_TRIED;
    newcomer.record.bucket = row->record.bucket;
    result = write_row(write, &newcomer, WANTS_NOTHING, pc_cache_standing_of(&newcomer.record));
    if (result)
        return result;
    loser.record.state = PEERCACHE_NEW;
    loser.record.bucket = bucket_in(write, &loser.record, PEERCACHE_NEW);
    struct pc_cache_standing standing = pc_cache_standing_of(&loser.record);
    int room = make_room(write, &loser, standing, false);
    if (room < 0)
        return room;
    return room ? write_row(write, &loser, WANTS_NOTHING, standing)
                : delete_row(write, &loser.key, PEERCACHE_TRIED);
}

static int put_trusted(struct pc_sqlite_write *write, struct row *row, const struct pc_delta *delta,
                       bool *ret_has_room)
{
    bool was_tried = row->was_there && row->was == PEERCACHE_TRIED;
    row->record.state = was_tried ? PEERCACHE_TRIED : delta->state;
    return put_as_it_is(write, row, ret_has_room);
}

int pc_sqlite_apply(struct pc_sqlite_write *write, const struct pc_delta *delta)
{
    struct row row;
    int64_t removed_ms = 0;
    if (delta->proven_id.size)
        return adopt(write, delta);
    pc_sqlite_key_of(&delta->id, &delta->addr, &row.key);
    if (delta->removed_ms) {
        /* One without id is its address: its tombstone is the whole of it. */
        struct pc_bytes addr = delta->id.size ? pc_addr_maddr_bytes(&delta->addr) : pc_bytes_of(NULL, 0);
        int result = tombstone_put(write, &row.key, addr, pc_base_time_min(delta->removed_ms, write->now_ms));
        if (result)
            return result;
    }
    int result = tombstone_get(write, &row.key, pc_addr_maddr_bytes(&delta->addr), &removed_ms);
    if (result)
        return result;
    int found = pc_sqlite_find(write->sqlite, &row.key, &delta->id, &row.record);
    if (found < 0)
        return found;
    begin_row(&row, found == 1);
    bool was_known = delta->addr.size && pc_cache_record_find(&row.record, pc_addr_maddr_bytes(&delta->addr));
    bool changed = pc_cache_record_apply_after(&row.record, delta, removed_ms, write->now_ms);
    bool is_in = delta->addr.size && pc_cache_record_find(&row.record, pc_addr_maddr_bytes(&delta->addr));
    write->tally.merged += was_known && is_in;
    write->tally.refused += delta->addr.size && !delta->removed_ms && !is_in;
    if (!changed && !(delta->trusted && found))
        return 0;
    if (pc_cache_record_empty(&row.record))
        return found ? delete_row(write, &row.key, row.was) : 0;
    bool has_room = true;
    result = delta->trusted ? put_trusted(write, &row, delta, &has_room) : keep(write, &row, &has_room);
    if (!was_known && is_in)
        *(has_room ? &write->tally.added : &write->tally.refused) += 1;
    if (result == 0 && !delta->trusted && delta->history.failure_count && row.was_there &&
        row.was == PEERCACHE_TRIED && row.record.state == PEERCACHE_TRIED)
        result = change_places(write, &row);
    return result;
}
