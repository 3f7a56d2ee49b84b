/*
 * The routing table: 256 buckets by shared prefix with our own key, at most k peers each. (Maymounkov and
 * Mazières, Kademlia, 2002; libp2p/specs kad-dht.) Pure: the caller owns connections and time; `now_us` never
 * goes back.
 *
 *                      place free, group not crowded
 *   verified newcomer ───────────────────────────────► member ──remove──► out
 *        │    │ bucket full                              ▲  │
 *        │    └────────► replacement ──a member leaves───┘  └─ next_test ──answered──► member, seen last
 *        └─ group crowded ► not kept                                    └──remove────► out
 *
 * Only who was verified as a server of our protocol comes in. A full bucket prefers those that live over
 * those that are new: the newcomer becomes a replacement and the member seen least recently is to be tested.
 * Only when a member leaves does the newest replacement take its place. Whoever a caller finds out to be
 * gone, or to speak another protocol, he removes.
 *
 * One thing goes before age: who is among the k closest to us of all that are known. Lookups end at such, and the bucket
 * that they reach into (at the edge: pc_kad_table_edge) often has more than k peers in the network. There the neighbour
 * takes the place of the member farthest from us, who becomes a replacement. (The paper's section 4.2 splits buckets
 * for the same end.)
 *
 * Of one network group at most so many peers are in a bucket (replacements included) and in the table, so
 * that who has many ids in few networks holds few places.
 */
#ifndef PC_KAD_TABLE_H
#define PC_KAD_TABLE_H

#include "base/time.h"
#include "kad/entry.h"
#include "kad/keys.h"

#define PC_KAD_REPLACEMENTS     5 /* of one bucket; the newest stay */
#define PC_KAD_BUCKET_GROUP_MAX 2 /* default */
#define PC_KAD_TABLE_GROUP_MAX  3 /* default */

#define PC_KAD_TEST_FRESH_US    (60 * PC_US_PER_S)   /* who answered so lately is not tested for a newcomer */
#define PC_KAD_TEST_SILENT_US   (1800 * PC_US_PER_S) /* who has not answered for so long is tested */
#define PC_KAD_TEST_AGAIN_US    (60 * PC_US_PER_S)   /* a test of which nothing was told is given out again */
#define PC_KAD_TEST_DOUBT_US    (600 * PC_US_PER_S)  /* who was tested so lately is not tested for a doubt */

struct pc_kad_table_options {
    struct pc_peer_id own_id;
    uint32_t bucket_group_max; /* peers of one group in a bucket; 0: no limit */
    uint32_t table_group_max;  /* members of one group in all; 0: no limit */
    uint8_t secret[16];        /* random: strangers choose what is hashed */
    struct pc_kad_keys *keys;  /* borrowed for as long as the table is; NULL: each is computed */
};

struct pc_kad_table;

/* ENOMEM. */
int pc_kad_table_new(const struct pc_kad_table_options *options, struct pc_kad_table **ret_table);
void pc_kad_table_free(struct pc_kad_table *table);

enum pc_kad_place {
    PC_KAD_MEMBER,
    PC_KAD_REPLACEMENT, /* its bucket is full: next_test may have somebody to test */
    PC_KAD_CROWDED,     /* its group has all the places it may have: not kept */
};
/*
 * A peer was just verified as a server of our protocol. Counts as an answer; one that is in already has its
 * group and addresses replaced, and loses its place when its new group is crowded.
 * EINVAL: our own id, or none. ENOMEM: nothing changed.
 */
int pc_kad_table_verified(struct pc_kad_table *table, const struct pc_kad_contact *peer, int64_t now_us,
                          enum pc_kad_place *ret_place);
/* A sign of life that is no answer, such as a request of theirs. Peers not in are ignored. */
void pc_kad_table_seen(struct pc_kad_table *table, const struct pc_peer_id *id, int64_t now_us);
/* It answered a request of ours. Ends its test. Peers not in are ignored. */
void pc_kad_table_answered(struct pc_kad_table *table, const struct pc_peer_id *id, int64_t now_us);
/* It refused, vanished, failed its test or turned out foreign. Peers not in are ignored. */
void pc_kad_table_remove(struct pc_kad_table *table, const struct pc_peer_id *id);

/*
 * It did what those who leave do, such as to close a connection that we keep alive: a member is to be tested at once, unless
 * that was done lately. Others are ignored.
 */
void pc_kad_table_doubt(struct pc_kad_table *table, const struct pc_peer_id *id, int64_t now_us);
/*
 * The next member to be tested (a ping, or whatever shows that it answers), NULL when none is due. The caller
 * tells answered or remove. Valid until the table changes.
 */
const struct pc_kad_entry *pc_kad_table_next_test(struct pc_kad_table *table, int64_t now_us);
/* When next_test has one, if nothing changes until then; NEVER. */
int64_t pc_kad_table_test_at_us(const struct pc_kad_table *table);

/* The member with this id, NULL when there is none. Valid until the table changes. */
const struct pc_kad_entry *pc_kad_table_find(const struct pc_kad_table *table, const struct pc_peer_id *id);
/* Walk the members, nearest bucket last: start with NULL; the table must not change meanwhile. */
const struct pc_kad_entry *pc_kad_table_next(const struct pc_kad_table *table,
                                             const struct pc_kad_entry *before);
/* Members in all, and of the bucket of peers that share exactly `bucket` bits with us. */
size_t pc_kad_table_count(const struct pc_kad_table *table);
/* Counts on whenever a member comes or leaves: while it is the same, who was a member is one. Never 0. */
uint64_t pc_kad_table_version(const struct pc_kad_table *table);
size_t pc_kad_table_bucket_count(const struct pc_kad_table *table, unsigned bucket);
/* Our neighbours are the k members closest to us (all, when there are fewer). */
bool pc_kad_table_is_neighbour(const struct pc_kad_table *table, const struct pc_peer_id *id);
/* The bucket that the farthest neighbour is in: a lookup of our own id covers all deeper ones. 0: the table
 * has fewer than k members. */
unsigned pc_kad_table_edge(const struct pc_kad_table *table);
/* Useful: it answered us not longer ago than members may be silent. */
static inline bool pc_kad_table_is_useful(const struct pc_kad_entry *member, int64_t now_us)
{
    return pc_base_time_sub(now_us, member->last_answered_us) <= PC_KAD_TEST_SILENT_US;
}

/* Up to `count` members closest to target, nearest first; pointers valid until the table changes. Returns how
 * many. Looks only into buckets that hold one of them. */
size_t pc_kad_table_closest(const struct pc_kad_table *table, const struct pc_kad_key *target,
                            const struct pc_kad_entry **ret_entries, size_t count);

#endif
