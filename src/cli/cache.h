/*
 * What the commands on the cache share: opening it by the flags, its one warning, the time, saving, errors,
 * and how a peer is shown.
 */
#ifndef PC_CLI_CACHE_H
#define PC_CLI_CACHE_H

#include "cli/options.h"
#include "cli/output.h"
#include "cli/session.h"

#include "base/time.h"
#include "driver/clock.h"

#define PC_CLI_SAVE_TIMEOUT_MS 5000 /* for the lock of the file */

enum pc_cli_access {
    PC_CLI_LOOK,   /* read-only: nothing is made or changed */
    PC_CLI_CHANGE, /* written to, not made */
    PC_CLI_MAKE,   /* written to, and made when missing */
    PC_CLI_REPAIR, /* as CHANGE; one too damaged to be opened is no failure but `is_corrupt` */
};

struct pc_cli_cache {
    const struct pc_cli_options *options;
    char path[PC_CLI_PATH_BYTES];
    bool is_answering; /* part of the answer is out; an error behind it comes in words only, and JSON stays
                          open: half an answer must not parse as a whole one */
    bool missing;      /* there is no file, and none is made: an empty cache in memory stands for it */
    bool is_corrupt;   /* of REPAIR: there is no handle to work with */
    peercache *cache;
    peercache_time now;
};

/* There is no such file; said on standard error. */
bool pc_cli_cache_is_missing(const char *path);
/*
 * Open the cache of the command line. What open noticed and survived is said once on standard error; so is,
 * when there is no file to look at, that it is missing. Not PC_CLI_DONE: it was said why; close in any case.
 */
enum pc_cli_exit pc_cli_cache_open(struct pc_cli_cache *cache, const struct pc_cli_options *options,
                                   enum pc_cli_access access);
/* Commit; *ret_saved is false when nothing could be written (read-only, no file). Else as open. */
enum pc_cli_exit pc_cli_cache_save(struct pc_cli_cache *cache, bool *ret_saved);
/* Say why a call on the cache failed, with the code of the error, and return its exit code. */
enum pc_cli_exit pc_cli_cache_failed(const struct pc_cli_cache *cache, int error);
void pc_cli_cache_close(struct pc_cli_cache *cache);

/* "12D3…" or "(id not known)". */
const char *pc_cli_peer_name(const peercache_peer *peer);
/* A time as RFC 3339; null for never. */
json_t *pc_cli_time_json(int64_t wall_ms);
/* The same in words, "never". Returns ret_text or a constant. */
const char *pc_cli_time_text(int64_t wall_ms, char ret_text[PC_RFC3339_BYTES]);
/* A peer as list shows it; with `all` what show adds. NULL when memory is out. */
json_t *pc_cli_peer_json(const peercache_peer *peer, bool all);
void pc_cli_peer_text(const peercache_peer *peer, bool all);
/* The multiaddr with its /p2p/ID behind it, when that is known. */
#define PC_CLI_FULL_ADDR_BYTES (PEERCACHE_ADDR_TEXT_BYTES + PEERCACHE_PEER_ID_TEXT_BYTES + 8)
const char *pc_cli_full_addr(const peercache_candidate *candidate, char ret_addr[PC_CLI_FULL_ADDR_BYTES]);

/* An element of a JSON array that is written as it comes, never held whole: its value on a line of its own.
 * Drops the reference. 0, or the error: memory, or the output. */
int pc_cli_json_element(json_t *value, bool is_first);

/*
 * Progress of long work: one line on standard error, renewed, if that is a terminal and the work takes longer
 * than a moment; in a pipe nothing at all.
 */
struct pc_cli_progress {
    const char *doing; /* "importing" */
    const char *what;  /* "bytes", "peers" */
    uint64_t total;    /* 0: not known */
    int64_t began_us, shown_us;
    bool is_terminal;
    bool is_shown;
    struct pc_driver_clock clock;
};
void pc_cli_progress_init(struct pc_cli_progress *progress, const char *doing, const char *what,
                          uint64_t total);
void pc_cli_progress_at(struct pc_cli_progress *progress, uint64_t done);
/* The same in the caller's words, of work that is counted in several ways. */
void pc_cli_progress_say(struct pc_cli_progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Take the line away. */
void pc_cli_progress_end(struct pc_cli_progress *progress);

#endif
