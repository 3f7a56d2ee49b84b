/*
 * The JSON file store: its operations. A reader takes no lock, for a save puts a whole file in the place of a
 * whole file; before each operation the file is compared (inode, size, times) with the one that is held, and
 * read anew when it is another. A writer takes the lock, reads what changed, merges, saves.
 */
#include "store/json_file.h"

#include "base/time.h"
#include "format/json_value.h"
#include "store/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SWEEP_SAVES 64 /* temporaries are looked for when a file is opened and after so many saves */

static const char *const no_companions[] = { NULL };

static struct pc_json_store *of(struct pc_store *head)
{
    return (struct pc_json_store *)(void *)head; /* the head is the first member */
}

static int fail_with_path(struct pc_json_store *store, int result, const struct pc_reason *reason)
{
    pc_base_reason(&store->head.error, "%s: %s", store->head.path,
                   reason->text[0] ? reason->text : peercache_strerror(result));
    return result;
}

static int lock_now(struct pc_json_store *store, uint32_t timeout_ms)
{
    struct pc_reason reason = { "" };
    int result = pc_store_lock_take(&store->lock, false, timeout_ms, &reason);
    return result ? fail_with_path(store, result, &reason) : 0;
}

/* --- the file and what is known of it --- */

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* The path still leads to what was read. */
static bool is_current(const struct pc_json_store *store)
{
    struct stat info;
    const struct stat *held = &store->held.info;
    return store->document && store->held.fd >= 0 && stat(store->head.path, &info) == 0 &&
           info.st_dev == held->st_dev && info.st_ino == held->st_ino && info.st_size == held->st_size &&
           same_time(&info.st_mtim, &held->st_mtim);
}

/* What changed since the document that is known before. */
static int take_over(struct pc_json_store *store, struct pc_json_document *fresh)
{
    bool differs = true;
    if (store->document) {
        int result = pc_json_document_compare(fresh, store->document, store->change + 1, &differs);
        if (result)
            return result;
    } else {
        for (struct pc_json_peer *peer = fresh->peers.first; peer; peer = peer->next)
            peer->change = store->change + 1;
    }
    store->change += differs;
    memcpy(store->head.secret, fresh->secret, sizeof(fresh->secret));
    pc_json_document_free(store->document);
    pc_json_forget_order(store);
    store->document = fresh;
    return 0;
}

static int new_document(struct pc_json_store *store, struct pc_json_document **ret_document)
{
    uint8_t hash_secret[16];
    pc_base_rng_bytes(&store->rng, hash_secret, sizeof(hash_secret));
    int result = pc_json_document_new(hash_secret, ret_document);
    return result ? fail_with_path(store, result, &(struct pc_reason){ "" }) : 0;
}

/* The dates of somebody's list are clamped to now, where that is known. */
static struct pc_json_wanted wanted_of(const struct pc_json_store *store)
{
    return (struct pc_json_wanted){
        .network = store->network,
        .mode = store->mode,
        .write = { .change = store->change + 1,
                   .now_ms = store->is_now && store->now_ms ? store->now_ms : INT64_MAX },
    };
}

/* Make a document ours: one that is empty, or a list in the seed's format. */
static void identify(struct pc_json_store *store, struct pc_json_document *document)
{
    memcpy(document->network, store->network, sizeof(document->network));
    document->mode = store->mode;
    if (!document->has_secret)
        pc_base_rng_bytes(&store->rng, document->secret, sizeof(document->secret));
    document->has_secret = true;
    document->version = PC_JSON_VERSION;
    for (struct pc_json_peer *peer = document->peers.first; peer && document->is_plain; peer = peer->next) {
        struct pc_record record;
        pc_json_peer_unpack(peer, &record);
        peer->bucket =
            pc_cache_bucket_of_record(&store->quota, document->secret, document->mode, &record, record.state);
    }
}

/* Read the file at the path; what it turned out to be is in *ret_kind. It is held and taken over when it is
 * of use. */
static int read_file(struct pc_json_store *store, enum pc_json_kind *ret_kind)
{
    struct pc_json_held held;
    struct pc_json_document *fresh = NULL;
    struct pc_reason reason = { "" };
    held.fd = open(store->head.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (held.fd < 0 && errno == ELOOP) {
        pc_base_reason(&reason, "a symbolic link has taken its place");
        return fail_with_path(store, PEERCACHE_EFORMAT, &reason);
    }
    if (held.fd < 0)
        return pc_store_path_fail(errno, store->head.path, "can't open", &store->head.error);
    int result = fstat(held.fd, &held.info) ? PEERCACHE_EIO : 0;
    if (result == 0 && !S_ISREG(held.info.st_mode)) {
        pc_base_reason(&reason, "not a file any more");
        result = PEERCACHE_EFORMAT;
    }
    if (result == 0 && (uint64_t)held.info.st_size > PC_JSON_FILE_MAX_BYTES) {
        pc_base_reason(&reason, "larger than the %zu MB that a JSON cache may have",
                       PC_JSON_FILE_MAX_BYTES / 1024 / 1024);
        result = PEERCACHE_ELIMIT;
    }
    if (result == 0)
        result = new_document(store, &fresh);
    if (result == 0) {
        const struct pc_json_wanted wanted = wanted_of(store);
        result = pc_json_read(held.fd, PC_JSON_FILE_MAX_BYTES, &wanted, fresh, ret_kind, &reason);
    }
    if (result == 0 && (*ret_kind == PC_JSON_OURS || *ret_kind == PC_JSON_NEWER)) {
        if (fresh->is_plain)
            identify(store, fresh);
        result = take_over(store, fresh);
        if (result == 0) {
            pc_json_let_go(store);
            store->held = held;
            return 0;
        }
    }
    pc_json_document_free(fresh);
    (void)close(held.fd); /* it was only read */
    if (result || *ret_kind == PC_JSON_OTHER || *ret_kind == PC_JSON_DAMAGED)
        (void)fail_with_path(store, result, &reason);
    return result;
}

/* Put a new file there, with what was salvaged of another or with nothing; the lock is held. */
static int make_file(struct pc_json_store *store, struct pc_json_document *document)
{
    identify(store, document);
    document->change++;
    int result = pc_json_save(store, document);
    if (result == 0)
        result = take_over(store, document);
    if (result) {
        pc_json_let_go(store);
        pc_json_document_free(document);
    }
    return result;
}

static int make_empty_file(struct pc_json_store *store)
{
    struct pc_json_document *document = NULL;
    int result = new_document(store, &document);
    return result ? result : make_file(store, document);
}

/* What of a file moved aside is of use. Best effort: whatever fails stays in the file aside. */
static int salvage(struct pc_json_store *store, const char *moved, struct pc_json_document **ret_document,
                   size_t *ret_count)
{
    const struct pc_json_wanted wanted = wanted_of(store);
    int result = new_document(store, ret_document);
    if (result)
        return result;
    int fd = open(moved, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    result = pc_json_salvage(fd, PC_JSON_FILE_MAX_BYTES, &wanted, *ret_document, ret_count);
    (void)close(fd); /* it was only read */
    if (result == 0)
        return 0;
    pc_json_document_free(*ret_document);
    *ret_count = 0;
    return new_document(store, ret_document);
}

/* Move the file aside, whatever its name, and make one of what can be read of it; the lock is held. */
static int move_and_salvage(struct pc_json_store *store)
{
    char moved[PC_STORE_PATH_BYTES];
    struct pc_json_document *document = NULL;
    struct stat info;
    size_t count = 0;
    int64_t aside_ms = store->now_ms;
    if (aside_ms == 0 && stat(store->head.path, &info) == 0) /* no time was given yet: then by its own */
        aside_ms = (int64_t)info.st_mtime * 1000;
    int result =
        pc_store_path_move_aside(store->head.path, no_companions, aside_ms, moved, &store->head.error);
    if (result == 0)
        result = salvage(store, moved, &document, &count);
    if (result)
        return result;
    result = make_file(store, document);
    if (result)
        return result;
    pc_base_reason(&store->head.warning, "the cache was corrupt: moved aside as %s, %zu peers salvaged",
                   moved, count);
    store->head.error.text[0] = '\0';
    return 0;
}

/* The file was found damaged, the lock is held: move it aside and salvage. */
static int move_aside(struct pc_json_store *store)
{
    if (!store->may_move_aside) {
        struct pc_reason found = store->head.error;
        pc_base_reason(&store->head.error, "%.120s (left as it is: its name does not end in .json)",
                       found.text);
        return PEERCACHE_ECORRUPT;
    }
    return move_and_salvage(store);
}

/* `why` nobody can write; NULL when it was asked for, which is nothing to warn of. */
static void become_read_only(struct pc_json_store *store, const char *why)
{
    store->head.read_only = true;
    if (why)
        pc_base_reason(&store->head.warning, "%s: read-only (%s): nothing will be saved", store->head.path,
                       why);
}

static void warn_of_plain(struct pc_json_store *store)
{
    const struct pc_json_document *document = store->document;
    if (document->is_plain && document->bad && !store->head.warning.text[0])
        pc_base_reason(&store->head.warning, "%s: %llu entries of the list were left out, the first: %s",
                       store->head.path, (unsigned long long)document->bad, document->first_bad.text);
}

/* Read what is there, and make what is missing; the lock is held. */
static int connect_locked(struct pc_json_store *store)
{
    enum pc_json_kind kind = PC_JSON_EMPTY;
    if (pc_store_path_look(store->head.path) == PC_STORE_FILE_MISSING) {
        if (store->no_create) {
            pc_base_reason(&store->head.error, "%s: there is no such file", store->head.path);
            return PEERCACHE_ENOTFOUND;
        }
        return make_empty_file(store);
    }
    int result = read_file(store, &kind);
    if (result)
        return result;
    switch (kind) {
    case PC_JSON_EMPTY:
        return make_empty_file(store);
    case PC_JSON_OURS:
        warn_of_plain(store);
        return 0;
    case PC_JSON_NEWER:
        store->head.read_only = true;
        pc_base_reason(&store->head.warning, "%s: written by a newer version, opened read-only",
                       store->head.path);
        return 0;
    case PC_JSON_OTHER:
        return PEERCACHE_EFORMAT;
    case PC_JSON_DAMAGED:
        return move_aside(store);
    }
    return PEERCACHE_EFORMAT;
}

static int connect_read_only(struct pc_json_store *store)
{
    enum pc_json_kind kind = PC_JSON_EMPTY;
    int result = read_file(store, &kind);
    if (result)
        return result;
    if (kind == PC_JSON_EMPTY) {
        pc_base_reason(&store->head.error, "%s: nothing is in it yet", store->head.path);
        return PEERCACHE_ENOTFOUND;
    }
    if (kind == PC_JSON_DAMAGED) {
        const struct pc_reason found = store->head.error;
        pc_base_reason(&store->head.error, "%.120s" PC_STORE_LEFT_BY_READER, found.text);
        return PEERCACHE_ECORRUPT;
    }
    return kind == PC_JSON_OURS || kind == PC_JSON_NEWER ? 0 : PEERCACHE_EFORMAT;
}

/* The document is of the file that the path leads to; without the lock. */
static int be_current_unlocked(struct pc_json_store *store)
{
    enum pc_json_kind kind = PC_JSON_EMPTY;
    if (is_current(store))
        return 0;
    if (store->head.read_only)
        return connect_read_only(store);
    int result = read_file(store, &kind);
    if (result == 0 && kind == PC_JSON_OURS)
        return 0;
    if (result && result != PEERCACHE_ENOTFOUND)
        return result;
    result = lock_now(store, PC_STORE_LOCK_TIMEOUT_MS); /* the second look */
    if (result)
        return result;
    result = connect_locked(store);
    pc_store_lock_release(&store->lock);
    return result;
}

/* As above, to write: the lock is held. */
static int be_current_locked(struct pc_json_store *store)
{
    int result = is_current(store) ? 0 : connect_locked(store);
    if (result == 0 && !store->head.read_only &&
        pc_store_path_look(store->head.path) == PC_STORE_FILE_READ_ONLY)
        become_read_only(store, "no permission to write");
    return result;
}

/* --- the slots --- */

/* Save what was changed in memory; whatever fails, the file is read anew, for memory is ahead of it. */
static int save(struct pc_json_store *store, int result)
{
    struct pc_json_document *document = store->document;
    if (result == 0) {
        document->is_plain = false;
        document->bad = 0; /* they are not written again */
        document->change++;
        result = pc_json_save(store, document);
        if (result == 0 && ++store->saves % SWEEP_SAVES == 0)
            pc_json_sweep(store);
    } else {
        (void)fail_with_path(store, result, &(struct pc_reason){ "" });
    }
    if (result)
        pc_json_let_go(store);
    return result;
}

static int write_batch(struct pc_json_store *store, uint64_t sequence, const struct pc_delta *deltas,
                       size_t count)
{
    struct pc_json_document *document = store->document;
    const int64_t before = store->change;
    struct pc_store_tally tally = { 0 };
    const struct pc_json_write write = { .change = before + 1,
                                         .now_ms = store->now_ms,
                                         .quota = &store->quota,
                                         .addrs_max = store->addrs_max,
                                         .record_max_bytes = store->record_max_bytes,
                                         .tally = &tally };
    bool removes = false;
    if (pc_json_document_sequence(document, store->head.writer_id) >= sequence)
        return pc_json_sync(store);
    store->change = write.change;
    int result = pc_json_document_enter(document, store->head.writer_id, sequence);
    for (size_t i = 0; i < count && result == 0; i++) {
        removes |= deltas[i].removed_ms != 0 || deltas[i].proven_id.size != 0;
        result = pc_json_document_apply(document, &deltas[i], &write);
    }
    if (result == 0)
        result = pc_json_document_limit(document, &write);
    if (result == 0 && removes) {
        pc_json_document_expire_tombstones(document, store->now_ms - store->retention_ms);
        result = pc_json_document_trim_tombstones(document);
    }
    result = save(store, result);
    if (result == 0) {
        store->head.tally.added += tally.added;
        store->head.tally.merged += tally.merged;
        store->head.tally.refused += tally.refused;
    }
    if (result == 0 && store->seen_change == before) { /* nobody else came between: nothing to take in */
        store->seen_change = write.change;
        pc_json_document_told(document, write.change);
    }
    return result;
}

static int json_commit(struct pc_store *head, uint64_t sequence, const struct pc_delta *deltas, size_t count,
                       int64_t now_ms, uint32_t timeout_ms)
{
    struct pc_json_store *store = of(head);
    store->now_ms = pc_base_time_max(store->now_ms, now_ms);
    int result = lock_now(store, timeout_ms);
    if (result)
        return result;
    store->is_now = true;
    result = be_current_locked(store);
    store->is_now = false;
    if (result == 0 && !head->read_only)
        result = write_batch(store, sequence, deltas, count);
    pc_store_lock_release(&store->lock);
    return result;
}

static int json_query(struct pc_store *head, const struct pc_store_query *query, pc_store_visit visit,
                      void *context)
{
    struct pc_json_store *store = of(head);
    int result = be_current_unlocked(store);
    if (result)
        return result;
    switch (query->kind) {
    case PC_STORE_ALL:
        return pc_json_visit_sorted(store, SIZE_MAX, pc_json_by_key, visit, context);
    case PC_STORE_BEST:
        head->has_more = store->document->peers.by_key.count > query->count;
        result = pc_json_visit_sorted(store, query->count, pc_json_by_use, visit, context);
        break;
    case PC_STORE_BY_ID:
        return pc_json_visit_one(store, query, visit, context);
    case PC_STORE_AFTER:
        return pc_json_visit_after(store, query, visit, context);
    case PC_STORE_CHANGED:
        result = pc_json_visit_changed(store, visit, context);
        break;
    }
    if (result)
        return result;
    store->seen_change = store->change;
    pc_json_document_told(store->document, store->change);
    return 0;
}

static int json_meta_get(struct pc_store *head, const char *key, uint8_t *ret_value, size_t capacity,
                         size_t *ret_size)
{
    struct pc_json_store *store = of(head);
    int result = be_current_unlocked(store);
    if (result)
        return result;
    struct pc_bytes value = pc_json_document_meta(store->document, pc_bytes_of(key, strlen(key)));
    if (!value.data)
        return PEERCACHE_ENOTFOUND;
    if (value.size > capacity)
        return PEERCACHE_ELIMIT;
    if (value.size)
        memcpy(ret_value, value.data, value.size);
    *ret_size = value.size;
    return 0;
}

static int json_meta_update(struct pc_store *head, const char *key, pc_store_change change, void *context,
                            uint32_t timeout_ms)
{
    const struct pc_bytes key_bytes = pc_bytes_of(key, strlen(key));
    struct pc_bytes value;
    struct pc_json_store *store = of(head);
    int result = lock_now(store, timeout_ms);
    if (result)
        return result;
    result = be_current_locked(store);
    if (result == 0 && change(context, pc_json_document_meta(store->document, key_bytes), &value) &&
        !head->read_only)
        result = save(store, pc_json_document_meta_put(store->document, key_bytes, value));
    pc_store_lock_release(&store->lock);
    return result;
}

static int json_meta_keys(struct pc_store *head, const char *prefix, pc_store_visit_key visit, void *context)
{
    struct pc_json_store *store = of(head);
    int result = be_current_unlocked(store);
    const struct pc_json_meta *meta = result ? NULL : store->document->meta;
    for (; result == 0 && meta; meta = meta->next)
        if (strncmp(meta->key, prefix, strlen(prefix)) == 0)
            result = visit(context, meta->key);
    return result;
}

static int json_check(struct pc_store *head)
{
    struct pc_json_store *store = of(head);
    pc_json_let_go(store); /* the file itself is looked over, not what is known of it */
    int result = be_current_unlocked(store);
    if (result)
        return result;
    const struct pc_json_document *document = store->document;
    if (document->bad == 0)
        return 0;
    pc_base_reason(&head->error, "%s: %llu entries are not valid, the first: %s", head->path,
                   (unsigned long long)document->bad, document->first_bad.text);
    return PEERCACHE_ECORRUPT;
}

static int json_bans(struct pc_store *head, pc_store_visit_ban visit, void *context)
{
    struct pc_json_store *store = of(head);
    int result = be_current_unlocked(store);
    for (size_t i = 0; result == 0 && i < store->document->ban_count; i++)
        result = visit(context, &store->document->bans[i]);
    return result;
}

static int json_removals(struct pc_store *head, pc_store_visit_removal visit, void *context)
{
    struct pc_json_store *store = of(head);
    int result = be_current_unlocked(store);
    return result ? result : pc_json_document_visit_removals(store->document, visit, context);
}

static int put_bans(struct pc_json_store *store, const struct pc_ban *bans, size_t count)
{
    struct pc_reason reason = { "" };
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++)
        result = bans[i].since_ms ? pc_json_document_ban(store->document, &bans[i])
                                  : pc_json_document_unban(store->document, &bans[i]);
    if (result == 0)
        return save(store, 0);
    pc_json_let_go(store); /* some may be in memory, and are not in the file */
    if (result == PEERCACHE_ENOTFOUND)
        pc_base_reason(&reason, "there is no such ban");
    if (result == PEERCACHE_ELIMIT)
        pc_base_reason(&reason, "over %d bans", PC_CACHE_BANS_MAX);
    return fail_with_path(store, result, &reason);
}

static int json_ban_put(struct pc_store *head, const struct pc_ban *bans, size_t count, uint32_t timeout_ms)
{
    struct pc_json_store *store = of(head);
    int result = lock_now(store, timeout_ms);
    if (result)
        return result;
    result = be_current_locked(store);
    if (result == 0 && !head->read_only)
        result = put_bans(store, bans, count);
    pc_store_lock_release(&store->lock);
    return result;
}

static int json_count(struct pc_store *head, uint64_t ret_counts[PEERCACHE_STATE_COUNT])
{
    struct pc_json_store *store = of(head);
    int result = be_current_unlocked(store);
    if (result)
        return result;
    memset(ret_counts, 0, PEERCACHE_STATE_COUNT * sizeof(*ret_counts));
    for (const struct pc_json_peer *peer = store->document->peers.first; peer; peer = peer->next)
        ret_counts[peer->state]++;
    return 0;
}

static int json_repair(struct pc_store *head, uint32_t timeout_ms)
{
    struct pc_json_store *store = of(head);
    int result = lock_now(store, timeout_ms);
    if (result)
        return result;
    result = move_and_salvage(store);
    pc_store_lock_release(&store->lock);
    return result;
}

static void json_close(struct pc_store *head)
{
    struct pc_json_store *store = of(head);
    pc_json_let_go(store);
    pc_json_forget_order(store);
    pc_json_document_free(store->document);
    pc_store_lock_close(&store->lock);
    free(store);
}

static const struct pc_store_ops json_ops = {
    .query = json_query,
    .commit = json_commit,
    .meta_get = json_meta_get,
    .meta_update = json_meta_update,
    .meta_keys = json_meta_keys,
    .bans = json_bans,
    .ban_put = json_ban_put,
    .removals = json_removals,
    .count = json_count,
    .check = json_check,
    .repair = json_repair,
    .close = json_close,
    .name = "json",
};

/* --- open --- */

static int open_for_reading(struct pc_json_store *store, const char *why)
{
    int result;
    become_read_only(store, why);
    result = connect_read_only(store);
    if (result)
        store->head.warning.text[0] = '\0';
    return result;
}

static bool may_make_files_beside(const char *path)
{
    char directory[PC_STORE_PATH_BYTES];
    size_t length = (size_t)(strrchr(path, '/') - path); /* resolved: there is one */
    memcpy(directory, path, length + 1);
    directory[length + (length == 0)] = '\0';
    return access(directory, W_OK | X_OK) == 0;
}

static int open_file(struct pc_json_store *store, const struct pc_store_options *options)
{
    char lock_path[PC_STORE_PATH_BYTES];
    enum pc_store_file look = pc_store_path_look(store->head.path);
    if (options->read_only)
        return open_for_reading(store, NULL);
    if (look == PC_STORE_FILE_READ_ONLY)
        return open_for_reading(store, "no permission to write");
    if (look != PC_STORE_FILE_MISSING && !may_make_files_beside(store->head.path))
        return open_for_reading(store, "no permission to write into its directory");
    int result = pc_store_path_with(store->head.path, ".lock", lock_path);
    if (result == 0)
        result = pc_store_lock_open(&store->lock, lock_path, pc_store_path_mode(store->head.path), false,
                                    &store->head.error);
    if ((result == PEERCACHE_EPERM || result == PEERCACHE_EREADONLY) && look != PC_STORE_FILE_MISSING)
        return open_for_reading(store, "its lock can't be made");
    if (result)
        return result;
    result = lock_now(store, options->timeout_ms);
    if (result)
        return result;
    result = connect_locked(store);
    if (result == 0)
        pc_json_sweep(store);
    pc_store_lock_release(&store->lock);
    return result;
}

int pc_store_json_open(const char *path, const struct pc_store_options *options, struct pc_store **ret_store,
                       struct pc_reason *ret_reason)
{
    bool was_link = false;
    if (strlen(options->network) >= PC_JSON_NETWORK_BYTES) {
        pc_base_reason(ret_reason, "the name of the network is too long");
        return PEERCACHE_ELIMIT;
    }
    if (!pc_format_is_utf8(pc_bytes_of(options->network, strlen(options->network)))) {
        pc_base_reason(ret_reason, "the name of the network is not UTF-8");
        return PEERCACHE_EINVAL;
    }
    struct pc_json_store *store = calloc(1, sizeof(*store));
    if (!store)
        return PEERCACHE_ENOMEM;
    int result = pc_store_path_resolve(path, options->read_only || options->no_create, store->head.path,
                                       &was_link, ret_reason);
    if (result) {
        free(store);
        return result;
    }
    store->head.ops = &json_ops;
    pc_store_lock_init(&store->lock);
    store->held.fd = -1;
    pc_base_rng_init(&store->rng, options->random);
    store->mode = options->mode;
    store->no_create = options->no_create;
    store->now_ms = options->now_ms;
    pc_cache_quota_init(&store->quota, options->peers_max ? options->peers_max : PC_STORE_PEERS_MAX_DEFAULT);
    store->addrs_max = options->addrs_max;
    store->record_max_bytes = options->record_max_bytes;
    store->retention_ms = options->retention_ms ? options->retention_ms : PC_STORE_RETENTION_DEFAULT_MS;
    store->may_move_aside =
        pc_store_path_ends_with(store->head.path, ".json") || (options->is_default_path && !was_link);
    memcpy(store->network, options->network, strlen(options->network) + 1);
    store->head.writer_id = options->writer_id ? options->writer_id : pc_base_rng_u64(&store->rng);
    store->is_now = true;
    result = open_file(store, options);
    store->is_now = false;
    if (result) {
        if (ret_reason)
            *ret_reason = store->head.error;
        json_close(&store->head);
        return result;
    }
    *ret_store = &store->head;
    return 0;
}
