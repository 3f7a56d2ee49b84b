/*
 * The cache: what each piece of work takes, beside its target and, where it applies, beside the simple way (one
 * JSON file, loaded whole) and beside a floor (bare SQLite on the same rows). Figures are read, not asserted.
 */
#include "base/map.h"
#include "cache/set.h"
#include "format/format.h"
#include "store/store.h"

#include <peercache/peercache.h>

#include <malloc.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NOW_MS     INT64_C(1760000000000)
#define TABLE      100000
#define LARGE      1000000
#define SMALL      1500
#define BATCH      1000
#define AT_HAND    100
#define ROUNDS     10
#define PATH_BYTES 128

static char directory[] = "/tmp/peercache-bench-XXXXXX";

static int64_t read_clock_ns(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t now_ns(void)
{
    return read_clock_ns(CLOCK_MONOTONIC);
}

/* Of this process, which has one thread: what is done in memory is measured so, on one core whoever else runs. */
static int64_t cpu_ns(void)
{
    return read_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static void die(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static void line(const char *work, const char *unit, double figure, const char *target)
{
    printf("  %-58s %12.2f %-10s target %s\n", work, figure, unit, target);
    (void)fflush(stdout);
}

static struct pc_peer_id id_of(uint32_t number)
{
    struct pc_peer_id id = { .size = 38, .bytes = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 } };
    uint32_t mixed = number * 2654435761u; /* ids are as good as random */
    for (size_t i = 0; i < 4; i++)
        id.bytes[6 + i] = (uint8_t)(mixed >> (8 * i));
    return id;
}

/* Each in a group of its own, as far as there are groups. */
static struct pc_maddr addr_of(uint32_t number)
{
    struct pc_ip_port ip = { .family = 4, .port = 4001 };
    struct pc_maddr addr;
    ip.ip[0] = (uint8_t)(20 + number % 60);
    ip.ip[1] = (uint8_t)(number / 60);
    ip.ip[2] = (uint8_t)(number / 15360);
    ip.ip[3] = 7;
    pc_addr_from_ip_port(&ip, &addr);
    return addr;
}

static struct pc_delta delta_of(uint32_t number, bool trusted)
{
    struct pc_delta delta;
    struct pc_peer_id id = id_of(number);
    struct pc_maddr addr = addr_of(number);
    pc_cache_delta_init(&delta, &id, pc_addr_maddr_bytes(&addr));
    delta.history.last_seen_ms = NOW_MS - number % 1000;
    delta.first_seen_ms = NOW_MS - 1000000;
    delta.source = PEERCACHE_SOURCE_DHT;
    delta.source_group =
        (struct pc_netgroup){ .size = 3, .bytes = { 4, (uint8_t)(number >> 8), (uint8_t)number } };
    if (number % 2) {
        delta.history.success_count = 1 + number % 9;
        delta.history.last_success_ms = delta.history.last_seen_ms;
        delta.history.rtt_us = 20000 + number % 100000;
        delta.history.rtt_at_ms = delta.history.last_seen_ms;
    }
    delta.trusted = trusted;
    delta.state = number % 2 ? PEERCACHE_TRIED : PEERCACHE_NEW;
    return delta;
}

/* All that malloc gave, large pieces (which it maps apart) included. */
static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* Who is known in the works in memory, and in which order they are asked for. */
struct names {
    struct pc_peer_id *ids;
    struct pc_maddr *addrs;
    uint32_t *order; /* random, with repetitions */
};

static void names_init(struct names *names)
{
    struct pc_rng rng;
    names->ids = malloc(TABLE * sizeof(*names->ids));
    names->addrs = malloc(TABLE * sizeof(*names->addrs));
    names->order = malloc(TABLE * sizeof(*names->order));
    if (!names->ids || !names->addrs || !names->order)
        die("no memory");
    pc_base_rng_init_u64(&rng, 1);
    for (uint32_t i = 0; i < TABLE; i++) {
        names->ids[i] = id_of(i);
        names->addrs[i] = addr_of(i);
        names->order[i] = (uint32_t)pc_base_rng_below(&rng, TABLE);
    }
}

static void names_deinit(struct names *names)
{
    free(names->ids);
    free(names->addrs);
    free(names->order);
}

/* The floor: a hash table that holds the same keys and nothing more. */
struct bare {
    struct pc_map_node node;
    struct pc_peer_id id;
};

static struct pc_bytes bare_key(const struct pc_map_node *node)
{
    return pc_addr_peer_id_bytes(&PC_CONST_CONTAINER_OF(node, struct bare, node)->id);
}

/* The names at hand as in report_all. */
static int64_t find_all(const struct pc_map *map, const struct names *names, size_t *found)
{
    struct pc_peer_id ids[AT_HAND];
    int64_t spent = 0;
    for (uint32_t first = 0; first < TABLE; first += AT_HAND) {
        for (uint32_t i = 0; i < AT_HAND; i++)
            ids[i] = names->ids[names->order[first + i]];
        int64_t start = cpu_ns();
        for (uint32_t i = 0; i < AT_HAND; i++)
            *found += pc_base_map_find(map, pc_addr_peer_id_bytes(&ids[i])) != NULL;
        spent += cpu_ns() - start;
    }
    return spent;
}

static void floor_in_memory(const struct names *names)
{
    const uint8_t secret[16] = { 1 };
    struct pc_map map;
    size_t found = 0;
    pc_base_map_init(&map, bare_key, secret);
    int64_t start = cpu_ns();
    for (uint32_t i = 0; i < TABLE; i++) {
        struct bare *bare = malloc(sizeof(*bare));
        if (!bare)
            die("no memory");
        bare->id = names->ids[i];
        if (pc_base_map_insert(&map, &bare->node))
            die("no memory");
    }
    line("bare hash table of 100,000 keys: insert", "1000/s", 1e6 * TABLE / (double)(cpu_ns() - start),
         "- (the floor)");
    int64_t best = INT64_MAX;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        int64_t spent = find_all(&map, names, &found);
        best = spent < best ? spent : best;
    }
    line("bare hash table of 100,000 keys: find (best round)", "1000/s", 1e6 * TABLE / (double)best,
         "- (the floor)");
    if (found != (size_t)ROUNDS * TABLE)
        die("a key is lost");
    for (struct pc_map_node *n = pc_base_map_next(&map, NULL), *next; n; n = next) {
        next = pc_base_map_next(&map, n);
        free(PC_CONTAINER_OF(n, struct bare, node));
    }
    pc_base_map_deinit(&map);
}

/* Report each one of the order once, every fourth in vain; what it took. Who reports has just dialled, so the
 * names are at hand: a few at a time are fetched before the clock runs. */
static int64_t report_all(struct pc_cache_set *set, const struct names *names, int64_t at_ms)
{
    struct pc_peer_id ids[AT_HAND];
    struct pc_maddr addrs[AT_HAND];
    int64_t spent = 0;
    for (uint32_t first = 0; first < TABLE; first += AT_HAND) {
        for (uint32_t i = 0; i < AT_HAND; i++) {
            ids[i] = names->ids[names->order[first + i]];
            addrs[i] = names->addrs[names->order[first + i]];
        }
        int64_t start = cpu_ns();
        for (uint32_t i = 0; i < AT_HAND; i++)
            (void)pc_cache_set_report(set, &ids[i], pc_addr_maddr_bytes(&addrs[i]),
                                      i % 4 ? PEERCACHE_OK : PEERCACHE_REFUSED, NULL, 20000 + i,
                                      PEERCACHE_SOURCE_DHT, at_ms + first + i);
        spent += cpu_ns() - start;
    }
    return spent;
}

static void in_memory(void)
{
    struct pc_cache_set *set;
    const struct pc_cache_set_options options = { .peers_max = 4 * TABLE, .mode = PC_NETGROUP_PUBLIC };
    struct pc_rng rng;
    struct pc_pick picks[10];
    const struct pc_delta *deltas;
    struct names names;
    names_init(&names);
    if (pc_cache_set_new(&options, &set))
        die("no memory");
    size_t before = allocated();
    int64_t start = cpu_ns();
    for (uint32_t i = 0; i < TABLE; i++) {
        struct pc_netgroup group = { .size = 3, .bytes = { 4, (uint8_t)(i >> 8), (uint8_t)i } };
        (void)pc_cache_set_add(set, &names.ids[i], pc_addr_maddr_bytes(&names.addrs[i]), false,
                               PEERCACHE_SOURCE_DHT, &group, NOW_MS, NULL);
    }
    line("add in memory, table of 100,000", "1000/s", 1e6 * TABLE / (double)(cpu_ns() - start), "1,000");
    while (pc_cache_set_take(set, &deltas, BATCH))
        (void)pc_cache_set_settle(set, true);
    size_t peers = pc_cache_set_count(set);
    line("memory per peer with one address (of those kept)", "bytes",
         (double)(allocated() - before) / (double)peers, "160");
    line("report in memory, table of 100,000 (first, places change)", "1000/s",
         1e6 * TABLE / (double)report_all(set, &names, NOW_MS), "2,000");
    int64_t best = INT64_MAX;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        int64_t spent = report_all(set, &names, NOW_MS + TABLE);
        best = spent < best ? spent : best;
    }
    line("report in memory, table of 100,000 (steady, best round)", "1000/s", 1e6 * TABLE / (double)best,
         "2,000");
    pc_base_rng_init_u64(&rng, 2);
    start = cpu_ns();
    for (uint32_t i = 0; i < 2000; i++)
        (void)pc_cache_set_pick(set, &rng, NOW_MS + 10 * TABLE, false, picks, 10);
    line("pick 10 from a working set of 100,000", "us", (double)(cpu_ns() - start) / 2000 / 1000, "50");
    floor_in_memory(&names); /* beside the set, so that both want the processor's caches */
    pc_cache_set_free(set);
    names_deinit(&names);
}

/* A store of `count` peers. */
static struct pc_store *store_of(const char *path, uint32_t count)
{
    struct pc_store *store = NULL;
    struct pc_reason reason;
    const struct pc_store_options options = { .network = "bench",
                                              .mode = PC_NETGROUP_PUBLIC,
                                              .timeout_ms = 1000,
                                              .now_ms = NOW_MS,
                                              .peers_max = 2 * LARGE,
                                              .random = { 1 } };
    struct pc_delta *deltas = malloc(10 * BATCH * sizeof(*deltas));
    if (!deltas || pc_store_open(path, &options, &store, &reason))
        die("a store does not open");
    uint64_t sequence = 0;
    for (uint32_t at = 0; at < count; at += 10 * BATCH) {
        uint32_t batch = count - at < 10 * BATCH ? count - at : 10 * BATCH;
        for (uint32_t i = 0; i < batch; i++)
            deltas[i] = delta_of(at + i, true);
        if (pc_store_commit(store, ++sequence, deltas, batch, NOW_MS, 1000))
            die(store->error.text);
    }
    free(deltas);
    return store;
}

static sqlite3 *bare_open(const char *path)
{
    sqlite3 *db = NULL;
    if (sqlite3_open(path, &db) ||
        sqlite3_exec(db, "PRAGMA synchronous=NORMAL;PRAGMA cache_size=-65536;PRAGMA wal_autocheckpoint=16000",
                     NULL, NULL, NULL))
        die("SQLite");
    return db;
}

/* What SQLite takes to write one value of so many rows, in the same batches, without any work of ours; the file is of
 * no use any more. */
static void bare_commits(const char *path, uint32_t count)
{
    char work[80];
    struct pc_rng rng;
    sqlite3_stmt *update = NULL;
    sqlite3 *db = bare_open(path);
    uint32_t batches = count > TABLE ? 60 : 200;
    pc_base_rng_init_u64(&rng, 7);
    if (sqlite3_prepare_v2(db, "UPDATE peer SET addrs=?2 WHERE key=?1", -1, &update, NULL))
        die("SQLite");
    int64_t start = now_ns();
    for (uint32_t batch = 0; batch < batches; batch++) {
        bool well = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
        for (uint32_t i = 0; i < BATCH && well; i++) {
            struct pc_peer_id id = id_of((uint32_t)pc_base_rng_below(&rng, count));
            (void)sqlite3_bind_blob(update, 1, id.bytes, id.size, SQLITE_STATIC);
            (void)sqlite3_bind_zeroblob(update, 2, 60);
            well = sqlite3_step(update) == SQLITE_DONE && sqlite3_reset(update) == SQLITE_OK;
        }
        if (!well || sqlite3_exec(db, "COMMIT", NULL, NULL, NULL))
            die("SQLite");
    }
    (void)snprintf(work, sizeof(work), "  bare SQLite, one column of as many rows");
    line(work, "1000/s", 1e6 * BATCH * batches / (double)(now_ns() - start), "- (the floor)");
    (void)sqlite3_finalize(update);
    (void)sqlite3_close(db);
}

static void commits(const char *path, uint32_t count, const char *target)
{
    char work[80];
    struct pc_rng rng;
    struct pc_delta *deltas = malloc(BATCH * sizeof(*deltas));
    struct pc_store *store = store_of(path, count);
    uint64_t sequence = 1000000;
    uint32_t batches = count > TABLE ? 60 : 200;
    pc_base_rng_init_u64(&rng, 7);
    if (!deltas)
        die("no memory");
    int64_t spent = 0;
    for (uint32_t batch = 0; batch < batches; batch++) {
        for (uint32_t i = 0; i < BATCH; i++) {
            deltas[i] = delta_of((uint32_t)pc_base_rng_below(&rng, count), false);
            deltas[i].history.success_count = 1;
            deltas[i].history.last_success_ms = NOW_MS;
            deltas[i].history.last_seen_ms = NOW_MS;
        }
        int64_t start = now_ns();
        if (pc_store_commit(store, ++sequence, deltas, BATCH, NOW_MS, 1000))
            die(store->error.text);
        spent += now_ns() - start;
    }
    (void)snprintf(work, sizeof(work), "commit deltas, batches of 1,000, cache of %u", count);
    line(work, "1000/s", 1e6 * BATCH * batches / (double)spent, target);
    pc_store_close(store);
    free(deltas);
}

static long peak_kib(void)
{
    char text[256];
    long kib = -1;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(text, sizeof(text), status))
        if (sscanf(text, "VmHWM: %ld", &kib) == 1)
            break;
    if (status)
        (void)fclose(status);
    return kib;
}

/* What the process made for it does. */
static int open_in_this_process(const char *path, const char *max_peers)
{
    const peercache_time now = { .wall_ms = NOW_MS };
    peercache_candidate candidates[10];
    size_t count = 0;
    peercache *cache = NULL;
    peercache_options *options = peercache_options_new();
    if (peercache_options_set_max_peers(options, (uint32_t)strtoul(max_peers, NULL, 10)))
        return 1;
    int64_t start = now_ns();
    if (peercache_open(path, "bench", options, &cache) ||
        peercache_pick(cache, now, NULL, candidates, 10, &count) || count != 10)
        return 1;
    printf("%f %f\n", (double)(now_ns() - start) / 1e6, (double)peak_kib() / 1024);
    peercache_close(cache);
    peercache_options_free(options);
    return 0;
}

/* This program once more, for one piece of work, so that its memory is its own: the time and the memory it tells. */
static void run_self(const char *what, const char *path, const char *argument, double *ret_time,
                     double *ret_mb)
{
    char command[4 * PATH_BYTES], self[PATH_BYTES];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length < 0)
        die("/proc/self/exe");
    self[length] = '\0';
    (void)snprintf(command, sizeof(command), "%s %s %s %s", self, what, path, argument);
    FILE *child = popen(command, "r");
    if (!child || fscanf(child, "%lf %lf", ret_time, ret_mb) != 2 || pclose(child))
        die(what);
}

/* The best of ten, for the disk's cache is warm. */
static void open_and_pick(const char *path, const char *max_peers, const char *work, const char *target,
                          const char *memory_target)
{
    double best = 1e9, most = 0;
    for (int i = 0; i < 10; i++) {
        double ms = 0, mb = 0;
        run_self("open", path, max_peers, &ms, &mb);
        best = ms < best ? ms : best;
        most = mb > most ? mb : most;
    }
    line(work, "ms", best, target);
    line("  its process at most", "MB", most, memory_target);
}

static int write_file(void *context, const void *data, size_t size)
{
    return fwrite(data, 1, size, context) == size ? 0 : PEERCACHE_EIO;
}

static int read_file(void *context, void *ret_data, size_t capacity, size_t *ret_size)
{
    *ret_size = fread(ret_data, 1, capacity, context);
    return 0;
}

/* The simple way: read the JSON file whole, choose. */
static void simple_way(const char *db, const char *json, const char *work)
{
    const peercache_time now = { .wall_ms = NOW_MS };
    peercache *cache = NULL;
    peercache_imported imported;
    peercache_candidate candidates[10];
    size_t count;
    peercache_options *options = peercache_options_new();
    (void)peercache_options_set_max_peers(options, 2 * LARGE);
    FILE *file = fopen(json, "w");
    if (!file || peercache_open(db, "bench", options, &cache) ||
        peercache_export(cache, PEERCACHE_FORMAT_LIST, now, write_file, file, NULL))
        die("export");
    (void)fclose(file);
    peercache_close(cache);
    int64_t start = now_ns();
    file = fopen(json, "r");
    if (!file || peercache_open(NULL, "bench", options, &cache) ||
        peercache_import(cache, PEERCACHE_FORMAT_ANY, true, now, read_file, file, &imported) ||
        peercache_pick(cache, now, NULL, candidates, 10, &count))
        die("import");
    line(work, "ms", (double)(now_ns() - start) / 1e6, "- (the simple way)");
    (void)fclose(file);
    peercache_close(cache);
    peercache_options_free(options);
}

/* What the process made for it does. */
static int import_in_this_process(const char *path, const char *json)
{
    const peercache_time now = { .wall_ms = NOW_MS };
    peercache *cache = NULL;
    peercache_imported imported;
    peercache_options *options = peercache_options_new();
    (void)peercache_options_set_max_peers(options, 2 * LARGE);
    FILE *file = fopen(json, "r");
    int64_t start = now_ns();
    if (!file || peercache_open(path, "bench", options, &cache) ||
        peercache_import(cache, PEERCACHE_FORMAT_ANY, true, now, read_file, file, &imported) ||
        imported.accepted != LARGE)
        return 1;
    printf("%f %f\n", (double)(now_ns() - start) / 1e9, (double)peak_kib() / 1024);
    (void)fclose(file);
    peercache_close(cache);
    peercache_options_free(options);
    return 0;
}

static void import_large(const char *json, const char *path, const char *work)
{
    double s = 0, mb = 0;
    run_self("import", path, json, &s, &mb);
    line(work, "s", s, "15");
    line("  its process at most", "MB", mb, "400");
}

/* The same list with its entries (a line each, between four lines of head and two of tail) far from their order. */
static void scatter(const char *from, const char *to)
{
    const uint32_t step = 2654435761u % LARGE; /* odd, and no multiple of five: it comes past each once */
    char text[1024];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    long *starts = malloc((LARGE + 1) * sizeof(*starts));
    if (!in || !out || !starts)
        die("scatter");
    for (int i = 0; i < 4 && fgets(text, sizeof(text), in); i++)
        (void)fputs(text, out);
    starts[0] = ftell(in);
    for (uint32_t i = 0; i < LARGE && fgets(text, sizeof(text), in); i++)
        starts[i + 1] = ftell(in);
    for (uint32_t i = 0; i < LARGE; i++) {
        (void)fseek(in, starts[(uint64_t)i * step % LARGE], SEEK_SET);
        if (!fgets(text, sizeof(text), in))
            die("scatter");
        text[strcspn(text, "\n")] = '\0';
        size_t length = strlen(text) - (text[strlen(text) - 1] == ',');
        (void)fprintf(out, "%.*s%s\n", (int)length, text, i + 1 < LARGE ? "," : "");
    }
    (void)fputs("]\n}\n", out);
    if (fclose(out))
        die("scatter");
    (void)fclose(in);
    free(starts);
}

/* What SQLite takes to put the same rows, in the order of their keys, into the same table and index. */
static void bare_insert(const char *from)
{
    char path[PATH_BYTES];
    sqlite3_stmt *attach = NULL;
    (void)snprintf(path, sizeof(path), "%s/bare.db", directory);
    sqlite3 *db = bare_open(path);
    if (sqlite3_prepare_v2(db, "ATTACH ?1 AS other", -1, &attach, NULL) ||
        sqlite3_bind_text(attach, 1, from, -1, SQLITE_STATIC) || sqlite3_step(attach) != SQLITE_DONE ||
        sqlite3_exec(db,
                     "PRAGMA journal_mode=WAL;CREATE TABLE peer(key BLOB PRIMARY KEY,state INTEGER NOT NULL,"
                     "bucket INTEGER NOT NULL,class INTEGER NOT NULL,day INTEGER NOT NULL,wants INTEGER,"
                     "addrs BLOB NOT NULL) WITHOUT ROWID;"
                     "CREATE INDEX peer_place ON peer(state,bucket,class DESC,day DESC)",
                     NULL, NULL, NULL))
        die("SQLite");
    (void)sqlite3_finalize(attach);
    int64_t start = now_ns();
    if (sqlite3_exec(db, "INSERT INTO main.peer SELECT * FROM other.peer ORDER BY key", NULL, NULL, NULL))
        die("SQLite");
    line("  bare SQLite, the same rows copied in one transaction", "s", (double)(now_ns() - start) / 1e9,
         "- (the floor)");
    (void)sqlite3_close(db);
}

int main(int argc, char **argv)
{
    if (argc == 4)
        return strcmp(argv[1], "open") ? import_in_this_process(argv[2], argv[3])
                                       : open_in_this_process(argv[2], argv[3]);
    char small[PATH_BYTES], small_json[PATH_BYTES], ten[PATH_BYTES], large[PATH_BYTES], json[PATH_BYTES],
        scattered[PATH_BYTES], copy[PATH_BYTES], copy2[PATH_BYTES], rm[PATH_BYTES];
    if (!mkdtemp(directory))
        die("no directory");
    (void)snprintf(small, sizeof(small), "%s/small.db", directory);
    (void)snprintf(small_json, sizeof(small_json), "%s/small.json", directory);
    (void)snprintf(ten, sizeof(ten), "%s/ten.db", directory);
    (void)snprintf(large, sizeof(large), "%s/large.db", directory);
    (void)snprintf(json, sizeof(json), "%s/list.json", directory);
    (void)snprintf(scattered, sizeof(scattered), "%s/scattered.json", directory);
    (void)snprintf(copy, sizeof(copy), "%s/copy.db", directory);
    (void)snprintf(copy2, sizeof(copy2), "%s/copy2.db", directory);
    (void)snprintf(rm, sizeof(rm), "rm -rf %s", directory);
    printf("cache:\n");
    in_memory();
    commits(ten, 10000, "100");
    bare_commits(ten, 10000);
    pc_store_close(store_of(small, SMALL));
    open_and_pick(small, "10000", "open a SQLite cache of 1,500 peers and pick 10", "1", "-");
    pc_store_close(store_of(small_json, SMALL));
    open_and_pick(small_json, "10000", "open a JSON cache of 1,500 peers and pick 10", "15", "-");
    simple_way(small, json, "  the same from JSON, loaded whole");
    commits(large, LARGE, "20");
    open_and_pick(large, "2000000", "open a SQLite cache of 1,000,000 peers and pick 10", "2", "16");
    simple_way(large, json, "  the same from JSON, loaded whole");
    import_large(json, copy, "import 1,000,000 peers from list JSON into SQLite");
    scatter(json, scattered);
    import_large(scattered, copy2, "the same, in no order of their ids");
    bare_insert(copy);
    bare_commits(large, LARGE);
    return system(rm) ? 1 : 0;
}
