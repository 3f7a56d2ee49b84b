/* Files and directories of a store, of whatever kind. */
#ifndef PC_STORE_PATHS_H
#define PC_STORE_PATHS_H

#include "store/store.h"

#include <sys/stat.h>

#define PC_STORE_CORRUPT_KEPT 3

enum pc_store_file {
    PC_STORE_FILE_MISSING,
    PC_STORE_FILE_WRITABLE,
    PC_STORE_FILE_READ_ONLY, /* no write bit (also for root), no permission, or a read-only file system */
};

/*
 * Where a path leads: made absolute, links followed; its directories are made (0700) unless `read_only`.
 * EFORMAT a directory, a device, a link to nothing; EPERM not readable, or a directory can't be made or
 * entered; ELIMIT too long; ENOTFOUND a directory is missing (read_only); EIO.
 */
int pc_store_path_resolve(const char *path, bool read_only, char ret_path[PC_STORE_PATH_BYTES],
                          bool *ret_was_link, struct pc_reason *ret_reason);
enum pc_store_file pc_store_path_look(const char *path);
/* On a file system shared by machines, where SQLite's write-ahead log (memory shared by its users) fails. */
bool pc_store_path_is_remote(const char *path);
/* Mode for files beside `path`: 0600, or 0660 in a setgid directory. */
mode_t pc_store_path_mode(const char *path);
bool pc_store_path_ends_with(const char *path, const char *suffix);
/* `path` with a suffix behind it. ELIMIT. */
int pc_store_path_with(const char *path, const char *suffix, char ret_path[PC_STORE_PATH_BYTES]);
/* The result code for an errno, with the reason: path, what was tried, cause. */
int pc_store_path_fail(int error, const char *path, const char *what, struct pc_reason *ret_reason);
/*
 * Rename a corrupt file and its companions (`suffixes`, NULL at the end) to <path>.corrupt-<ms>, and forget
 * all but the newest three. <ms> is `now_ms`, or one more than the newest there when that is not earlier. The
 * caller holds the lock. EIO, EPERM, ELIMIT.
 */
int pc_store_path_move_aside(const char *path, const char *const *suffixes, int64_t now_ms,
                             char ret_moved[PC_STORE_PATH_BYTES], struct pc_reason *ret_reason);

#endif
