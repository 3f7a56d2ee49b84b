/*
 * What is remembered of one endpoint, in the metadata of the cache, for the next start and for the other processes of
 * this host: its breaker, how it answered last, the peers of its last good answer, and a lease.
 *
 * Many processes on one host share one fetch. Who wants to ask takes the lease; the others look now and then whether
 * an answer has come meanwhile, and take that. A lease is short, and nobody waits long for another's: a holder that
 * was killed delays nobody by more than PC_ENDPOINT_LEASE_WAIT_MS.
 */
#ifndef PC_JOIN_ENDPOINT_MEMORY_H
#define PC_JOIN_ENDPOINT_MEMORY_H

#include "addr/multiaddr.h"
#include "join/breaker.h"

#define PC_ENDPOINT_PEERS_MAX       1024
#define PC_ENDPOINT_PEERS_MAX_BYTES (192 * 1024) /* of them all, as they are stored */
#define PC_ENDPOINT_URL_BYTES       2049         /* with the NUL, as the two below */
#define PC_ENDPOINT_FIELD_BYTES     256          /* of an ETag or a date */
#define PC_ENDPOINT_KEY_BYTES       257
#define PC_ENDPOINT_KEY_PREFIX      "endpoint:"
/* Of the stored form: the peers, the texts, and numbers. */
#define PC_ENDPOINT_MEMORY_MAX_BYTES                                                                         \
    (PC_ENDPOINT_PEERS_MAX_BYTES + PC_ENDPOINT_URL_BYTES + 2 * PC_ENDPOINT_FIELD_BYTES +                     \
     PEERCACHE_DETAIL_BYTES + 128)

/* Endpoints remembered: more than one node asks, and in a JSON file (8 MiB of metadata) the largest memories fit. */
#define PC_ENDPOINT_MEMORIES_MAX  40

#define PC_ENDPOINT_SHARE_MS      60000 /* so long an answer serves others too */
#define PC_ENDPOINT_LEASE_MS      15000 /* a lease at most: a fetch (10 s), and what is written after it */
#define PC_ENDPOINT_LEASE_WAIT_MS 2000  /* a healthy endpoint is never delayed longer by another's lease */
#define PC_ENDPOINT_OWNER_BYTES   8

struct pc_endpoint_peer {
    struct pc_peer_id id; /* size 0: not known */
    struct pc_maddr addr;
};

/* Times are wall time; 0: never. */
struct pc_endpoint_memory {
    char url[PC_ENDPOINT_URL_BYTES];
    bool has_breaker;
    uint8_t breaker[PC_BREAKER_BYTES]; /* as pc_breaker_save gives it */
    int64_t asked_ms;                  /* the last time */
    int64_t ended_ms;                  /* when that ended, as `result`, `status` and `detail` say */
    peercache_fetch result;
    uint16_t status; /* of HTTP; 0: none came */
    char detail[PEERCACHE_DETAIL_BYTES];
    uint32_t verified; /* dials to its peers that ever verified */
    /* The last answer with peers. */
    int64_t answered_ms; /* when it came, or was last said to hold still */
    char etag[PC_ENDPOINT_FIELD_BYTES];
    char last_modified[PC_ENDPOINT_FIELD_BYTES];
    size_t peer_count;
    struct pc_endpoint_peer *peers; /* owned */
    /* Who is asking, until when. */
    int64_t lease_until_ms;
    uint8_t lease_owner[PC_ENDPOINT_OWNER_BYTES];
};

/* Nothing is known of it yet. EINVAL: the URL is empty, too long, or not of visible ASCII alone. */
int pc_endpoint_memory_init(struct pc_endpoint_memory *memory, const char *url);
void pc_endpoint_memory_deinit(struct pc_endpoint_memory *memory);

/* The key of the metadata: the prefix and the URL, or (too long for a key, 256 bytes) "sha256:" and its hash in hex;
 * the memory itself says the URL. */
void pc_endpoint_memory_key(const char *url, char ret_key[PC_ENDPOINT_KEY_BYTES]);
/* To bytes. ELIMIT: over `capacity`; PC_ENDPOINT_MEMORY_MAX_BYTES always suffice. */
int pc_endpoint_memory_write(const struct pc_endpoint_memory *memory, void *ret_bytes, size_t capacity,
                             size_t *ret_size);
/* And back; *ret_memory is to be deinited then. EPARSE: not what write wrote. ENOMEM. */
int pc_endpoint_memory_read(struct pc_bytes bytes, struct pc_endpoint_memory *ret_memory);

/* A copy of the peers, of which as many are kept as the limits allow, the first ones. ENOMEM: nothing has changed. */
int pc_endpoint_memory_set_peers(struct pc_endpoint_memory *memory, const struct pc_endpoint_peer *peers,
                                 size_t count);
/* Words of others into a field: cut to its size, and "?" for each control character. */
void pc_endpoint_memory_set_detail(struct pc_endpoint_memory *memory, const char *text);
/* What names the answer for a conditional request; a text that no header may hold, or is too long: none. */
void pc_endpoint_memory_set_condition(struct pc_endpoint_memory *memory, const char *etag,
                                      const char *last_modified);

/*
 * Whether the peers can be taken without asking: they are those of an answer newer than `after_ms` (the last that this
 * process had; 0: none) and no older than PC_ENDPOINT_SHARE_MS. One from the future, for the clock was set back, is not.
 */
bool pc_endpoint_memory_may_share(const struct pc_endpoint_memory *memory, int64_t after_ms, int64_t now_ms);
/* Take the lease, unless another has one that is not over; one that lies further ahead than any (the clock was set
 * back) counts as over. True: it is ours, for `length_ms` or the longest that there is. */
bool pc_endpoint_memory_take_lease(struct pc_endpoint_memory *memory,
                                   const uint8_t owner[PC_ENDPOINT_OWNER_BYTES], int64_t length_ms,
                                   int64_t now_ms);
/* Give it back; another's stays. True: it was ours. */
bool pc_endpoint_memory_drop_lease(struct pc_endpoint_memory *memory,
                                   const uint8_t owner[PC_ENDPOINT_OWNER_BYTES]);

/* When it was of use last: asked, ended, or answered. */
int64_t pc_endpoint_memory_used_ms(const struct pc_endpoint_memory *memory);

/* One of those remembered, by its key. */
struct pc_endpoint_used {
    char key[PC_ENDPOINT_KEY_BYTES];
    int64_t used_ms; /* wall time; 0: never, or it can't be read */
};
/*
 * Which go, so that there is room for another one: they are ordered, the one used last first, and how many there are from the
 * front on that stay is returned. A time that is yet to come, for the clock was set back, counts as never, or such ones would
 * stay for ever.
 */
size_t pc_endpoint_memory_stay(struct pc_endpoint_used *memories, size_t count, int64_t now_ms);

#endif
