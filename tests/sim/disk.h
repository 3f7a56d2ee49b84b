/*
 * A store as simple as can be: the acknowledged commits, merged by the rules of cache/record.h, in memory. Beside it, for
 * machines that are watched, an audit: what was acknowledged as plain sums, and what truly happened, both kept apart from the
 * merge so that they can show it wrong.
 *
 * What is merged is packed as the real stores pack it. A commit is whole or not at all; a sequence number counts once.
 */
#ifndef TESTS_SIM_DISK_H
#define TESTS_SIM_DISK_H

#include "base/map.h"
#include "cache/record.h"

#define DISK_PEERS_MAX 4000

struct audit;

struct disk {
    struct pc_map peers; /* struct disk_peer */
    struct pc_map tombs; /* struct disk_tomb */
    struct audit *audit; /* NULL: nobody watches */
    uint64_t writer;     /* of the process that lives; each has a new one */
    uint64_t sequence;   /* the last that was applied, of this writer */
    uint64_t bytes_written;
    uint64_t commits; /* so far, with the one under way */
};

struct disk_peer {
    struct pc_map_node node;
    uint64_t commit; /* that wrote it */
    uint8_t state;
    uint8_t addr_count;
    uint8_t key_size;
    uint16_t size;
    uint8_t bytes[]; /* key, packed addresses */
};

/* Of one address of a peer, or of all of them. */
struct disk_tomb {
    struct pc_map_node node;
    int64_t removed_ms;
    uint16_t key_size;
    uint8_t key[];
};

void disk_init(struct disk *disk);
void disk_deinit(struct disk *disk);
/* Apply a batch whole; one that was applied before does nothing. Returns whether it was new. */
bool disk_commit(struct disk *disk, uint64_t sequence, const struct pc_delta *deltas, size_t count,
                 int64_t now_ms);
/* The records that a process reads when it starts: all, or the best when there are more than `most`. Returns how many;
 * the visitor's record is valid during the call. */
size_t disk_load(const struct disk *disk, size_t most,
                 void (*visit)(void *context, const struct pc_record *record), void *context);
/* A record as it is, of whatever store; and none of them any more. The audit stays. */
void disk_put(struct disk *disk, const struct pc_record *record);
void disk_empty(struct disk *disk);
bool disk_find(const struct disk *disk, const struct pc_peer_id *id, struct pc_record *ret_record);
/* Whether there is such a peer; one without id is its address. */
bool disk_knows(const struct disk *disk, const struct pc_peer_id *id, const struct pc_maddr *addr);
void disk_clear(struct disk *disk);
/* As a real store would write them: the size of the news, packed. */
size_t disk_size_of(const struct pc_delta *deltas, size_t count);

/* ----- the audit ----- */

/* One address of one peer. */
struct audit_line {
    struct pc_map_node node;
    uint8_t key[64]; /* of both */
    uint8_t key_size;
    struct pc_peer_id id;
    struct pc_ip_port at;
    uint32_t success, failure;           /* what the disk should hold; a removal sets them to zero */
    uint32_t ever_success, ever_failure; /* committed in all */
    uint32_t true_success;               /* dials that verified, as the process was told */
    uint32_t
        true_dials; /* dials that were made, and answers that broke the protocol: each fails once at most */
    int64_t seen_ms;
    int64_t removed_ms;
};

struct audit {
    struct pc_map lines;
};

struct audit *audit_new(void);
void audit_free(struct audit *audit);
struct audit_line *audit_line(struct audit *audit, const struct pc_peer_id *id, const struct pc_ip_port *at);
/* A batch was applied, by somebody to whom it was `now_ms`: it is in the sums from now on. `disk` has it already; NULL when nothing
 * is told only of who is known. */
void audit_count(struct audit *audit, const struct disk *disk, const struct pc_delta *deltas, size_t count,
                 int64_t now_ms);
/* Of the addresses of a batch. NULL, or what is wrong about them: more counted than ever happened, or another sum on the
 * disk. */
const char *audit_applied(struct audit *audit, const struct disk *disk, const struct pc_delta *deltas,
                          size_t count);
/* The latter alone. */
const char *audit_matches(struct audit *audit, const struct disk *disk, const struct pc_delta *deltas,
                          size_t count);
/* The sums of all, with what is on the disk. */
const char *audit_compare_all(struct audit *audit, const struct disk *disk);
/* A record was turned out for want of room. */
void audit_forget(struct audit *audit, const struct pc_record *record);
void audit_clear(struct audit *audit);
/* Of what the disk should hold, and that again from a copy; what truly happened stays. */
struct audit *audit_copy(const struct audit *audit);
void audit_restore(struct audit *audit, struct audit *from);

#endif
