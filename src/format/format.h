/*
 * Codecs of every known cache and contacts format: bytes in, records out; records in, bytes out. Both ways as
 * a stream in bounded memory, so that a file of millions of peers is never in memory whole.
 *
 *   list      the seed's: {"last_updated", "peers":[{addr, last_seen, success_count, failure_count}, …]}.
 *             Ours adds optional members to the entries and an object `peercache` beside `peers`; older
 *             readers skip both.
 *   map       {"peers":{ADDR:{addr, success_count, failure_count, last_seen}, …}, "last_updated", "version"}
 *   ant-v0    {"peers":{ID:[{addr, success_count, failure_count, last_seen}, …], …}, "last_updated",
 *             "network_version"}
 *   ant-v1    {"peers":[[ID,[ADDR, …]], …], "last_updated", "network_version", "cache_version"}, newest first
 *   endpoint  {"peers":[ADDR, …], "metadata":{"last_updated", "description"}}
 *   text      one multiaddr a line; a line that begins with '#' is a comment
 *   kubo      the configuration of kubo: {"Bootstrap":[ADDR, …], …}
 *
 * What each can't carry, and a record loses when written in it (pc_format_loses gives it in a sentence):
 *   list      nothing; but times after the year 9999 are clamped to its end, and an address that is no UTF-8
 *             (pc_addr_storable admits none) is left out, here as in every JSON
 *   map       failures by kind, last success and attempt, round-trip time, source, first seen, state, bucket
 *   ant-v0    as map, and addresses without a peer id
 *   ant-v1    everything but the addresses of a peer; and addresses without a peer id
 *   endpoint  everything but the addresses
 *   text      everything but the addresses
 *   kubo      everything but the addresses; and addresses without a peer id
 *
 * A time is read as an RFC 3339 text or as {"secs_since_epoch","nanos_since_epoch"} in every format. There is
 * no clock here: a time in the future is left to the caller; one before 1970 is "never" (0). Numbers over
 * their range saturate. Nothing is judged but its form: which addresses may be stored is the caller's
 * (pc_addr_storable), who tells through pc_format_reader_refuse, so that one summary counts all refusals.
 */
#ifndef PC_FORMAT_FORMAT_H
#define PC_FORMAT_FORMAT_H

#include "cache/record.h"

#define PC_FORMATS(X)                                                                                        \
    X(PC_FORMAT_UNKNOWN, "unknown")                                                                          \
    X(PC_FORMAT_LIST, "list")                                                                                \
    X(PC_FORMAT_MAP, "map")                                                                                  \
    X(PC_FORMAT_ANT_V0, "ant-v0")                                                                            \
    X(PC_FORMAT_ANT_V1, "ant-v1")                                                                            \
    X(PC_FORMAT_ENDPOINT, "endpoint")                                                                        \
    X(PC_FORMAT_TEXT, "text")                                                                                \
    X(PC_FORMAT_KUBO, "kubo")

enum pc_format {
#define PC_X(name, word) name,
    PC_FORMATS(PC_X)
#undef PC_X
        PC_FORMAT_COUNT
};

/* Limits. Over a limit of the document: ELIMIT, and reading ends. Over one of an entry: it is refused with
 * its reason, and reading goes on. */
#define PC_FORMAT_DEPTH_MAX           32           /* of nested arrays and objects in a document */
#define PC_FORMAT_ELEMENT_MAX_BYTES   (256 * 1024) /* of one element of peers or Bootstrap: too_long */
#define PC_FORMAT_MEMBER_MAX_BYTES    4096 /* of a top member's name and of what we read of the head */
#define PC_FORMAT_OWN_MAX_BYTES       (32 * 1024 * 1024)      /* of the object `peercache` */
#define PC_FORMAT_LINE_MAX_BYTES      PC_MULTIADDR_TEXT_BYTES /* of text: too_long */
#define PC_FORMAT_LINE_SKIP_MAX_BYTES (1024 * 1024)           /* a line over it is none: ELIMIT */
#define PC_FORMAT_ENTRIES_MAX         10000000                /* elements or lines of one document */
#define PC_FORMAT_ADDRS_MAX           64    /* of one peer's entry: the rest too_many_addresses */
#define PC_FORMAT_WORD_BYTES          64    /* network_version and cache_version, with the NUL */
#define PC_FORMAT_DOUBT_MAX_BYTES     65536 /* lines read while none begins with '/': then no text */

/* Never NULL. */
const char *pc_format_name(enum pc_format format);
/* What a record loses in this format, as a sentence for people; "" when nothing. */
const char *pc_format_loses(enum pc_format format);
/* ENOTFOUND: no such name ("unknown" is none). */
int pc_format_from_name(const char *name, enum pc_format *ret_format);

/* Why an address or entry was refused. The first part is said by the codecs, the second is for callers. */
#define PC_FORMAT_REFUSALS(X)                                                                                \
    X(PC_FORMAT_BAD_JSON, "bad_json")     /* an element that is no JSON by itself */                         \
    X(PC_FORMAT_WRONG_TYPE, "wrong_type") /* a member is not what it should be */                            \
    X(PC_FORMAT_NO_ADDRESS, "no_address") /* none there, or nothing but /p2p/ID */                           \
    X(PC_FORMAT_BAD_MULTIADDR, "bad_multiaddr")                                                              \
    X(PC_FORMAT_BAD_PEER_ID, "bad_peer_id") /* also one of a kind not known */                               \
    X(PC_FORMAT_ID_MISMATCH, "id_mismatch") /* the address ends in another id than its entry's */            \
    X(PC_FORMAT_BAD_TIME, "bad_time")                                                                        \
    X(PC_FORMAT_TOO_LONG, "too_long")           /* an element, a line, an address (PC_MADDR_MAX_BYTES) */    \
    X(PC_FORMAT_TOO_MANY, "too_many_addresses") /* of one peer's entry */                                    \
    X(PC_FORMAT_DNS_NAME, "dns_name")                                                                        \
    X(PC_FORMAT_RELAY, "relay")                                                                              \
    X(PC_FORMAT_PRIVATE, "private")                                                                          \
    X(PC_FORMAT_UNUSABLE, "unusable") /* unspecified, multicast, reserved, no port, … */                   \
    X(PC_FORMAT_OWN, "own")           /* ourselves */                                                        \
    X(PC_FORMAT_BANNED, "banned")                                                                            \
    X(PC_FORMAT_OVER_QUOTA, "over_quota")

enum pc_format_refusal {
#define PC_X(name, word) name,
    PC_FORMAT_REFUSALS(PC_X)
#undef PC_X
        PC_FORMAT_REFUSAL_COUNT
};
const char *pc_format_refusal_name(enum pc_format_refusal refusal);

/* Where in the document; lines and entries are counted from 1, entries within peers, Bootstrap or the lines
 * of a text. */
struct pc_format_place {
    uint64_t offset; /* bytes before it */
    uint64_t line;
    uint64_t entry; /* 0: outside of the entries */
};

struct pc_format_rejection {
    enum pc_format_refusal refusal;
    struct pc_format_place place;
    struct pc_reason text; /* "line 7, entry 3 (byte 412): bad_multiaddr: …" */
};

/* What is known so far; valid at every moment of a reader, complete after finish. */
struct pc_format_summary {
    enum pc_format format; /* UNKNOWN until the content has shown it */
    uint64_t entries;      /* elements of peers or Bootstrap; lines of text that are not blank or comments */
    uint64_t read;         /* addresses, and entries without any: accepted + rejected */
    uint64_t accepted;     /* given to the visitor and not refused by it */
    uint64_t rejected;
    uint64_t reasons[PC_FORMAT_REFUSAL_COUNT];
    struct pc_format_rejection first; /* the first, when rejected > 0 */
    bool has_network_version;
    char network_version[PC_FORMAT_WORD_BYTES];
    char cache_version[PC_FORMAT_WORD_BYTES]; /* "" when there is none */
    bool has_last_updated;                    /* false also for one that is no time */
    int64_t last_updated_ms;
    bool has_own; /* an object `peercache` was there */
};

/* One peer as an entry gives it. */
struct pc_format_item {
    struct pc_record record; /* addresses in the order of the document, not of their bytes; source IMPORT and
                                no group where the entry names none; the state NEW where it names none */
    bool has_state;          /* state and bucket were given */
    struct pc_format_place places[PEERCACHE_ADDRS_PER_PEER]; /* of each address's entry */
};

/*
 * What a reader calls. Each may be NULL. One that returns other than 0 ends the reading: feed or finish
 * returns it. What is given is valid during the call only.
 */
struct pc_format_visitor {
    /* A peer, or an address without id. A peer with more than 8 addresses comes in several; in `list`,
     * entries of one peer that follow each other (as our writer puts them) come as one. The same peer may
     * come again: merging is the caller's. */
    int (*record)(void *context, const struct pc_format_item *item);
    /* The object `peercache` of `list`, as it stands in the document: checked to be a JSON object. Ours
     * stands before the peers. Given with head_only too. */
    int (*own)(void *context, struct pc_bytes json);
    /* Each refusal, so that it can be named in a warning. */
    int (*rejected)(void *context, const struct pc_format_rejection *rejection);
    void *context;
};

struct pc_format_options {
    enum pc_format format; /* UNKNOWN: by content; else any other content is EFORMAT */
    /*
     * Only the head: entries are counted, not read. The descendants wrote network_version *behind* the peers,
     * so whoever must refuse a file of another network before it takes anything makes a first pass with this
     * (it is several times faster than reading), looks at the summary, and then reads. In the files of our
     * own writers the head stands first, and summary.network_version is known at the first record.
     */
    bool head_only;
    struct pc_format_visitor visitor;
};

struct pc_format_reader;

/* ENOMEM. The options are copied. */
int pc_format_reader_new(const struct pc_format_options *options, struct pc_format_reader **ret_reader);
void pc_format_reader_free(struct pc_format_reader *reader);
/*
 * The next piece of the document, of any size. The first error ends the reading and is returned by every
 * later call; what came whole before it was given to the visitor (so a file cut short gives what is before
 * the cut, and EPARSE).
 * EPARSE  not JSON, cut short (finish), `peers` twice, network_version is no short text
 * EFORMAT another kind of content; neither JSON nor lines of multiaddrs; JSON without peers and Bootstrap
 * ELIMIT  over PC_FORMAT_DEPTH_MAX, _ENTRIES_MAX, _LINE_SKIP_MAX_BYTES, _MEMBER_MAX_BYTES (a name) or _OWN_MAX_BYTES
 * ENOMEM; or what the visitor returned.
 * Nothing but white space is a text without lines. What is neither peers nor Bootstrap nor a member we know
 * is skipped: looked at only to find its end.
 */
int pc_format_reader_feed(struct pc_format_reader *reader, struct pc_bytes piece);
/* The document ends here. Errors as feed. */
int pc_format_reader_finish(struct pc_format_reader *reader);
/* What was wrong and where: "line 3, byte 17: …"; "" when nothing was. */
const char *pc_format_reader_errmsg(const struct pc_format_reader *reader);
const struct pc_format_summary *pc_format_reader_summary(const struct pc_format_reader *reader);
/* The visitor refuses an address of the item it is being shown, each one once: it counts as rejected for this
 * reason and no longer as accepted. Returns what `rejected` returned. */
int pc_format_reader_refuse(struct pc_format_reader *reader, const struct pc_format_item *item, size_t addr,
                            enum pc_format_refusal refusal, const char *detail);

/* The format of a document, by its content, given whole or by its beginning (64 KB show most files; kubo's
 * Bootstrap may stand later). Errors as of feed; ENOTFOUND: what is given is too short to tell. */
int pc_format_detect(struct pc_bytes content, enum pc_format *ret_format, struct pc_reason *ret_reason);

struct pc_format_writer_options {
    enum pc_format format; /* not UNKNOWN */
    /* Takes all of the bytes: 0, or a negative error that the writer returns from then on. */
    int (*write)(void *context, struct pc_bytes bytes);
    void *context;
    int64_t last_updated_ms;
    const char *network_version; /* of ant-v0 and ant-v1, whose own readers refuse a file without it; NULL:
                                    not written. Borrowed during _new */
    const char *description;     /* of endpoint; NULL: not written. Borrowed during _new */
    struct pc_bytes own; /* of list: the JSON text of the object `peercache`; size 0: not written. Borrowed
                            during _new, and not checked */
};

struct pc_format_writer;

/* Writes the head. EINVAL: a text that is no UTF-8; ENOMEM; or what `write` returned. */
int pc_format_writer_new(const struct pc_format_writer_options *options,
                         struct pc_format_writer **ret_writer);
void pc_format_writer_free(struct pc_format_writer *writer);
/* A record, each peer once; its addresses stay in their order. The first error sticks: what `write`
 * returned. */
int pc_format_writer_record(struct pc_format_writer *writer, const struct pc_record *record);
/* The tail; everything is written after it. Not to be called twice. */
int pc_format_writer_end(struct pc_format_writer *writer);
/* Addresses left out so far, for the format can't hold them: without id in ant-v0, ant-v1 and kubo; not UTF-8
 * in JSON; with control characters or closing white space in text. */
uint64_t pc_format_writer_left_out(const struct pc_format_writer *writer);

#endif
