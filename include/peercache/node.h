/*
 * libpeercache-net: a libp2p node that joins its network, remembers it, and rejoins from memory.
 *
 * A node owns its event loop: peercache_node_run() blocks until the node stops, peercache_node_start() runs it on a
 * thread of its own, peercache_node_start_on() within the application's libuv loop. Events are told on that
 * thread, in order; what an event points to is valid during the callback only. From the callback the calls
 * marked "in callback" may be made; peercache_node_stop() may be called from any thread and from a signal
 * handler. Argument order and results as in peercache.h.
 */
#ifndef PEERCACHE_NODE_H
#define PEERCACHE_NODE_H

#include <peercache/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct peercache_node peercache_node;
typedef struct peercache_node_options peercache_node_options;

typedef enum peercache_mode {
    PEERCACHE_MODE_CLIENT, /* dials only; announces no kad protocol, is put in nobody's routing table */
    PEERCACHE_MODE_SERVER, /* also listens, answers identify, ping and FIND_NODE */
    PEERCACHE_MODE_AUTO, /* listens, and is a client until peers of three networks see it at one address that a fresh
                              connection has come through to: from then on a server, announcing that address, and a
                              client again when it can no longer be reached. In local mode a server */
} peercache_mode;

/* Options with their defaults; NULL when memory is out. peercache_node_new copies; the caller frees. */
PEERCACHE_API peercache_node_options *peercache_node_options_new(void);
PEERCACHE_API void peercache_node_options_free(peercache_node_options *options);
/* Default: client. */
PEERCACHE_API void peercache_node_options_set_mode(peercache_node_options *options, peercache_mode mode);
/* Name of the network, chooses cache and protocol. Default: "ipfs". EINVAL: empty, or with a '/' or a leading
 * dot. */
PEERCACHE_API int peercache_node_options_set_network(peercache_node_options *options, const char *network);
/* The Kademlia protocol. Default: that of the network's description. EINVAL: not of the form /a/b. */
PEERCACHE_API int peercache_node_options_set_kad_protocol(peercache_node_options *options,
                                                          const char *protocol);
/* Loopback and private addresses admitted, each ip:port its own group. Default: false. */
PEERCACHE_API void peercache_node_options_set_local(peercache_node_options *options, bool local);
/* Path of the cache; NULL for none. Default: none. EINVAL: empty, or 4096 bytes and more. */
PEERCACHE_API int peercache_node_options_set_cache(peercache_node_options *options, const char *path);
/* Save what was learnt. Default: true. False reads the cache and writes nothing, nor makes the file. */
PEERCACHE_API void peercache_node_options_set_save(peercache_node_options *options, bool save);
/* Peers that the cache keeps at most, 1 to 10,000,000, else EINVAL. Default: 10,000. */
PEERCACHE_API int peercache_node_options_set_max_peers(peercache_node_options *options, uint32_t max_peers);
/* Add a peer to dial first, a multiaddr in text; names (/dns…, /dnsaddr) are resolved. EPARSE with the reason
 * in peercache_node_options_errmsg(); ELIMIT over 256 peers; ENOMEM. */
PEERCACHE_API int peercache_node_options_add_peer(peercache_node_options *options, const char *multiaddr);
/* The same of a comma-separated list that came from the environment (the command takes PEERCACHE_PEERS): such
 * peers are shown as `env`. Empty parts and white space around them are passed over. */
PEERCACHE_API int peercache_node_options_add_env_peers(peercache_node_options *options, const char *list);
/* Add an endpoint, an http or https URL that answers with peers in any known format; asked only when memory
 * does not serve. EPARSE no such URL, or one with a user or password; ELIMIT over 32; ENOMEM. */
PEERCACHE_API int peercache_node_options_add_endpoint(peercache_node_options *options, const char *url);
/* Use the bootstrap peers and endpoints of the network's description. Default: true, but in local mode false
 * until it is set. */
PEERCACHE_API void peercache_node_options_set_described_sources(peercache_node_options *options, bool use);
/* Dial peers of the cache. Default: true; false: it only learns. */
PEERCACHE_API void peercache_node_options_set_dial_cached(peercache_node_options *options, bool dial);
/* Dial only the peers given by add_peer and add_env_peers: no cache, no endpoint, nobody that others name.
 * Default: false. */
PEERCACHE_API void peercache_node_options_set_exclusive(peercache_node_options *options, bool exclusive);
/* A network in CIDR form that may be dialled though it is private, or may not be dialled at all; the longest
 * prefix decides, of equal ones denial. EPARSE with a reason; ELIMIT over 256. */
PEERCACHE_API int peercache_node_options_allow(peercache_node_options *options, const char *cidr);
PEERCACHE_API int peercache_node_options_deny(peercache_node_options *options, const char *cidr);
/* The name server to ask, "192.0.2.1", "192.0.2.1:5353" or "[2001:db8::1]:53"; NULL: those of the system (the
 * default). EPARSE. */
PEERCACHE_API int peercache_node_options_set_resolver(peercache_node_options *options, const char *server);
/* Certificates (a PEM file) that https endpoints must be signed by; NULL: those the system trusts (the
 * default). EINVAL: empty, or 4096 bytes and more. */
PEERCACHE_API int peercache_node_options_set_ca_file(peercache_node_options *options, const char *path);
/* Add an address to listen on, such as /ip4/0.0.0.0/udp/0/quic-v1. Default of who is no client: all of IPv4 and IPv6,
 * port of the system's choice; in local mode 127.0.0.1 alone. 0.0.0.0 and :: of a family that the machine
 * lacks are passed over with a WARNING. EPARSE; EUNSUPPORTED not ip/udp/quic-v1; ELIMIT over 16. */
PEERCACHE_API int peercache_node_options_add_listen(peercache_node_options *options, const char *multiaddr);
/* Add an address to announce, such as /ip4/203.0.113.5/udp/4001/quic-v1: that of a router or host that leads to this node.
 * Those that are given are announced in place of the ones it listens on. In MODE_AUTO they take the place of what peers see,
 * and still have to be proven. EPARSE; EUNSUPPORTED not ip/udp/quic-v1, or one that nobody can dial; ELIMIT over 16. */
PEERCACHE_API int peercache_node_options_add_announce(peercache_node_options *options, const char *multiaddr);
/* The node's private key as libp2p protobuf. Default: a fresh Ed25519 key. EPARSE, EUNSUPPORTED, ECRYPTO. */
PEERCACHE_API int peercache_node_options_set_key(peercache_node_options *options, const uint8_t *key,
                                                 size_t length);
/* Verified peers to stop joining at, and those below which a join failed. 1 ≤ min ≤ target ≤ 1000, else
 * EINVAL. Defaults: 5 and 1. */
PEERCACHE_API int peercache_node_options_set_target(peercache_node_options *options, uint32_t target,
                                                    uint32_t min);
/* The whole join, 1 to 3,600,000 ms. Default: 10,000. */
PEERCACHE_API int peercache_node_options_set_timeout(peercache_node_options *options, uint32_t timeout_ms);
/* What is learnt is saved, and what other processes saved is taken in, this often, give or take an eighth (the first time
 * after 30 s, if that is sooner), besides what joins, connections and a stop save: news that these bring are saved at most
 * every 5 min, or at this period if that is shorter. 1,000 to 86,400,000 ms, else EINVAL. Default: 3,600,000. */
PEERCACHE_API int peercache_node_options_set_save_period(peercache_node_options *options, uint32_t period_ms);
/* The routing table is refreshed at least this often, give or take an eighth. 1,000 to 86,400,000 ms, else EINVAL; 0: as
 * often as the table needs, every 10 s to 20 min (the default). */
PEERCACHE_API int peercache_node_options_set_refresh_period(peercache_node_options *options,
                                                            uint32_t period_ms);
/* Look our own id up once after joining, so that the cache learns the neighbourhood. Default: true. */
PEERCACHE_API void peercache_node_options_set_walk(peercache_node_options *options, bool walk);
/* Stop by itself once joined (or failed) and walked. Default: false. */
PEERCACHE_API void peercache_node_options_set_once(peercache_node_options *options, bool once);
/* After joining, crawl: dial everyone whom the members of the DHT tell of, `concurrency` (1 to 500) at once, ask each for its
 * whole routing table, tell CRAWLED and at last CRAWL_DONE, and stop. timeout_ms is for join and crawl together, 0: as
 * long as it takes. The node must be a client, so that it enters nobody's table. 100,000 peers are taken in at most,
 * 5,000 of one network group. Default: no crawl. EINVAL. */
PEERCACHE_API int peercache_node_options_set_crawl(peercache_node_options *options, uint32_t concurrency,
                                                   uint32_t timeout_ms);
/* The node stops cleanly on SIGINT and SIGTERM by itself, from when it is made: one that comes before it is run ends the
 * run as it begins. Default: false. */
PEERCACHE_API void peercache_node_options_set_handle_signals(peercache_node_options *options, bool handle);
/* Tell the service manager that the environment names (NOTIFY_SOCKET, as of sd_notify(3)) when the node is ready, which is when it
 * listens, how it is joined, and when it stops; and give signs of life as often as WATCHDOG_USEC asks. Default: false. */
PEERCACHE_API void peercache_node_options_set_notify(peercache_node_options *options, bool notify);
/* Serve metrics, health, status and peers over HTTP (docs/observability.md) at "127.0.0.1:PORT", "[::1]:PORT", another
 * address in full, or "unix:PATH"; port 0 takes a free one, which peercache_node_http tells. NULL: not at all (the default).
 * EPARSE; ELIMIT a path that is too long. */
PEERCACHE_API int peercache_node_options_set_http(peercache_node_options *options, const char *place);
typedef enum peercache_log_level {
    PEERCACHE_LOG_ERROR,
    PEERCACHE_LOG_WARNING,
    PEERCACHE_LOG_INFO,
    PEERCACHE_LOG_DEBUG,
} peercache_log_level;
/* Where the node's log goes: one call a line, without a newline, from within peercache_node_new and on the node's thread;
 * no call on the node may be made from it. `levels` is what is wanted: "info", "node=debug,driver=info" (each room named
 * with its level, those not named at info), or both; NULL: "info". `room` is the part of the node that speaks. write NULL:
 * silence (the default). EPARSE with the reason. */
PEERCACHE_API int peercache_node_options_set_log(peercache_node_options *options, const char *levels,
                                                 void (*write)(void *context, peercache_log_level level,
                                                               const char *room, const char *text),
                                                 void *context);
/* Marks of the pool of open connections: above `high` idle ones are closed, those of the routing table last, until there are
 * `low`. Twice `high` and 64 are never passed, whatever others do. 1 <= low <= high <= 100,000, else EINVAL. Defaults: 256
 * and 384. A connection takes up to 64 KB. */
PEERCACHE_API int peercache_node_options_set_connections(peercache_node_options *options, uint32_t low,
                                                         uint32_t high);
/* Close a connection over which neither side asked anything for so long, but for those of neighbours in the routing table of a server. 1,000
 * to 86,400,000 ms, or 0 for never, else EINVAL. Silence ends it after 30 s all the same. Default: 60,000. */
PEERCACHE_API int peercache_node_options_set_connection_idle(peercache_node_options *options,
                                                             uint32_t idle_ms);
/* Peers of one network group (IPv4 /16, IPv6 /32) that a bucket of the routing table and the table as a whole hold at most; networks
 * whose peers are at few hosting companies need more. 1 <= per_bucket <= per_table <= 5120, else EINVAL. Defaults: 2 and 3. */
PEERCACHE_API int peercache_node_options_set_table_groups(peercache_node_options *options,
                                                          uint32_t per_bucket, uint32_t per_table);
/* Reason of the last failed call on these options; valid until the next. */
PEERCACHE_API const char *peercache_node_options_errmsg(const peercache_node_options *options);

typedef enum peercache_join_status {
    PEERCACHE_JOINED,   /* the target was reached */
    PEERCACHE_DEGRADED, /* at least the minimum */
    PEERCACHE_FAILED,   /* below the minimum */
} peercache_join_status;

/* "joined", "degraded", "failed". */
PEERCACHE_API const char *peercache_join_status_name(peercache_join_status status);

/* One dial's end. All times count from the start of the join. */
typedef struct peercache_dial {
    const char *id;   /* "" when not known */
    const char *addr; /* multiaddr with /p2p/ID when the id is known */
    peercache_via via;
    peercache_outcome code;
    const char *detail; /* in words; "" for OK */
    int64_t rtt_us;     /* -1 when not measured */
    int64_t proven_us;  /* from this dial's start until the certificate proved the id; -1 when it never did */
    int64_t elapsed_us; /* when it ended, from the start of the join */
} peercache_dial;

/* What came of the candidates of one source. */
typedef struct peercache_source_report {
    uint32_t offered;
    uint32_t dialed; /* dials that ended */
    uint32_t verified;
    /* By outcome: of the dials (CANCELLED: no longer needed, or the join was stopped), and of those that were
     * refused without one (DNS_FAILED, UNSUPPORTED, DENIED). */
    uint32_t ended[PEERCACHE_OUTCOME_COUNT];
} peercache_source_report;

typedef struct peercache_endpoint_report {
    const char *url;
    bool was_asked;     /* in this join */
    bool was_shared;    /* the answer was one that another process of this host had just fetched */
    const char *result; /* the word of the last peercache_fetch, "" when it was never asked */
    const char *detail; /* in words */
    int status;         /* of HTTP, 0 when none came */
    uint32_t delivered; /* usable peers of its answer in this join; else those of the last one that had any */
    uint32_t verified;  /* dials to its peers that verified, since the node was made */
    const char *breaker; /* "closed", "open", "half_open" */
    int64_t next_try_ms; /* from now until it may be asked again; 0: at once; -1: asked now */
} peercache_endpoint_report;

typedef struct peercache_local_report {
    bool has_ip4; /* an interface has such an address, or it is not known to be otherwise */
    bool has_ip6;
    bool ip4_is_hole; /* dials of this family vanish while others answer */
    bool ip6_is_hole;
    uint32_t questions; /* to name servers, ended */
    uint32_t questions_failed;
    bool has_clock;           /* an endpoint told its time */
    int64_t clock_ahead_ms;   /* our clock, of the endpoints' */
    uint32_t descriptors;     /* open */
    uint32_t descriptors_max; /* 0: not known */
} peercache_local_report;

typedef struct peercache_cache_report {
    const char *path;    /* "": none */
    const char *problem; /* why it is not healthy or not writable, in words; "" when it is both */
    bool is_healthy;
    bool is_writable;
    uint64_t tried;
    uint64_t fresh;          /* in the table `new` */
    int64_t last_success_ms; /* wall time; 0: never */
} peercache_cache_report;

/* Counted since the node was made. */
typedef struct peercache_join_metrics {
    int64_t first_verified_us; /* from the start of the join; -1: not yet */
    int64_t fifth_verified_us;
    uint64_t dials[PEERCACHE_VIA_COUNT];
    uint64_t ended[PEERCACHE_VIA_COUNT][PEERCACHE_OUTCOME_COUNT];
    uint64_t cache_hits;   /* dials from the cache that verified */
    uint64_t cache_misses; /* that failed */
    uint64_t fetches[PEERCACHE_FETCH_COUNT];
    uint64_t breaker_transitions;
    uint64_t questions;
    uint64_t questions_failed;
    uint64_t rounds; /* joins begun */
} peercache_join_metrics;

typedef struct peercache_join_report {
    peercache_join_status status;
    const char *cause;     /* of the closed list of the manual ("no_sources"), NULL when there is none */
    const char *next_step; /* a sentence on what to do; "" when there is none */
    uint32_t target;
    uint32_t verified;
    uint32_t dialed;
    uint32_t failed;
    int64_t elapsed_us;
    const peercache_dial *peers; /* the verified, in the order of their verification */
    size_t peer_count;
    const peercache_dial *failures; /* the first 1000 */
    size_t failure_count;
    peercache_source_report sources[PEERCACHE_VIA_COUNT];
    const peercache_endpoint_report *endpoints;
    size_t endpoint_count;
    peercache_local_report local;
    peercache_cache_report cache;
    peercache_join_metrics metrics;
} peercache_join_report;

/* How a crawl ended. */
typedef enum peercache_crawl_end {
    PEERCACHE_CRAWL_COMPLETE,  /* nobody was left to dial or to ask */
    PEERCACHE_CRAWL_TIMED_OUT, /* its time was up */
    PEERCACHE_CRAWL_STOPPED,   /* peercache_node_stop, or a signal */
} peercache_crawl_end;

/* "complete", "timed_out", "stopped". */
PEERCACHE_API const char *peercache_crawl_end_name(peercache_crawl_end end);

/* What so many said of themselves. */
typedef struct peercache_counted {
    const char *text; /* of strangers: any bytes, 127 at most */
    uint32_t count;
} peercache_counted;

/* Peers are counted once each, whatever their addresses. */
typedef struct peercache_crawl_report {
    peercache_crawl_end end;
    uint32_t known;
    uint32_t
        left_out; /* times a peer was told of and passed over for a limit: not 0, and the crawl is not whole */
    uint32_t dialed;    /* once at least */
    uint32_t alive;     /* proven, and servers of our protocol */
    uint32_t silent;    /* of them: who left a question unanswered */
    uint32_t waiting;   /* to be dialled */
    uint32_t under_way; /* being dialled or asked */
    /* By how they ended: OK was asked for all that it knows; else how the last dial failed, MISBEHAVED also an answer that
     * breaks the protocol; UNSUPPORTED, DENIED and UNREACHABLE also those told of without an address that could be dialled
     * from here. With `waiting` and `under_way` they add up to `known`. */
    uint32_t ended[PEERCACHE_OUTCOME_COUNT];
    uint64_t questions; /* FIND_NODE */
    uint64_t answers;
    int64_t elapsed_us; /* from the start of the join */
    /* The rest is told with CRAWL_DONE only. Round trips of those alive, measured by QUIC; -1: of nobody. */
    uint32_t rtt_count;
    int64_t rtt_min_us;
    int64_t rtt_median_us;
    int64_t rtt_90th_us;
    int64_t rtt_95th_us;
    int64_t rtt_99th_us;
    int64_t rtt_max_us;
    const peercache_counted *agents; /* of those alive, most frequent first; 1000 at most */
    size_t agent_count;
    uint32_t other_agents;              /* peers whose agent is not listed */
    const peercache_counted *protocols; /* the same of each protocol that identify names */
    size_t protocol_count;
    uint32_t other_protocols;
} peercache_crawl_report;

typedef enum peercache_node_event_kind {
    PEERCACHE_NODE_LISTENING, /* addr: a full multiaddr with /p2p/ID; one event an address */
    PEERCACHE_NODE_DIALING,   /* dial: id, addr, via, elapsed_us */
    PEERCACHE_NODE_VERIFIED,  /* dial */
    PEERCACHE_NODE_UNJOINED,  /* dial that failed: code and detail */
    PEERCACHE_NODE_JOIN_DONE, /* report; joining is over, its figures are settled. A node that lives tells
                                 again when its status changes, and when it had to join again */
    PEERCACHE_NODE_FETCHED,   /* endpoint: it was asked, and how that ended */
    PEERCACHE_NODE_WALKED,    /* count: peers met in the lookup of our own id */
    PEERCACHE_NODE_PONG,      /* dial: a ping's answer or failure; rtt_us */
    PEERCACHE_NODE_WARNING,   /* text: survived, worth knowing (cache moved aside, read-only, …) */
    PEERCACHE_NODE_STOPPED,   /* saved: whether the cache was written; the last event */
    PEERCACHE_NODE_CRAWLED, /* dial: a peer's end in a crawl, code OK: it was asked for all that it knows; crawl: as it
                                 stands. A peer that failed is told of again when it was found at another address */
    PEERCACHE_NODE_CRAWL_DONE, /* crawl: its report; told once, unless the node was stopped before it began */
    PEERCACHE_NODE_FOUND,      /* dial: the end of a search for its id: OK and addr, or why not */
} peercache_node_event_kind;

typedef struct peercache_node_event {
    peercache_node_event_kind kind;
    const char *addr;
    const peercache_dial *dial;
    const peercache_join_report *report;
    const peercache_endpoint_report *endpoint;
    uint32_t count;
    const char *text;
    bool saved;
    const peercache_crawl_report *crawl;
} peercache_node_event;

/*
 * Make a node: opens sockets and cache, reads the cache's best peers; dials nothing yet. Like peercache_open
 * it always sets *ret_node (NULL only when memory is out), to ask for the text. Errors: those of
 * peercache_open for the cache; EIO a socket could not be opened or bound, of HTTP too; EBUSY, EPERM somebody listens where
 * HTTP is to be served, or a file is there that is not ours to replace; EUNSUPPORTED a network without a description
 * and no kad protocol; EPARSE, ELIMIT, EPERM a description of the network that can't be used; EINVAL a client that should
 * listen or announce, a server that should crawl, or a WATCHDOG_USEC that is none; EUNSUPPORTED, ELIMIT a NOTIFY_SOCKET that
 * can't be used.
 */
PEERCACHE_API int peercache_node_new(const peercache_node_options *options, peercache_node **ret_node);
/* Never from the callback, nor while it runs. NULL does nothing. */
PEERCACHE_API void peercache_node_free(peercache_node *node);
/* Text of the last failure, "" when there was none; valid until the next call on the node. */
PEERCACHE_API const char *peercache_node_errmsg(const peercache_node *node);
/* One callback for all events; set before run. */
PEERCACHE_API void peercache_node_on_event(peercache_node *node,
                                           void (*callback)(void *context, const peercache_node_event *event),
                                           void *context);
/* The node's peer id, base58; valid as long as the node. */
PEERCACHE_API const char *peercache_node_id(const peercache_node *node);
/* Where it serves HTTP, as of peercache_node_options_set_http, with the port; "" when it does not. Valid as long as the
 * node. */
PEERCACHE_API const char *peercache_node_http(const peercache_node *node);
/* Join, and live until stopped (or done, with `once`). Flushes the cache before it returns. Errors: EIO,
 * ESTATE. */
PEERCACHE_API int peercache_node_run(peercache_node *node);
/* The same on a thread of its own, and return at once: callbacks come on that thread. EIO no thread; ESTATE. */
PEERCACHE_API int peercache_node_start(peercache_node *node);
/* The same within the application's libuv loop (a uv_loop_t of the libuv that this library is linked with), which the
 * application runs: to be called on its thread, where the callbacks come too. After STOPPED the node takes leave of the loop
 * by itself, and may be freed (not from the callback); its handles are gone after one more turn. EINVAL; ENOMEM; EIO;
 * ESTATE. */
struct uv_loop_s;
PEERCACHE_API int peercache_node_start_on(peercache_node *node, struct uv_loop_s *loop);
/* Wait until the first join is over, from another thread than the node's: 0 and its status (the latest when it has changed
 * since). EBUSY not within the time; ESTATE the node stopped before it had joined. */
PEERCACHE_API int peercache_node_wait_joined(peercache_node *node, uint32_t timeout_ms,
                                             peercache_join_status *ret_status);
/* Wait for the end of a node that was started on a thread of its own; who does not call it leaves that to free, which also
 * stops it. ESTATE: it was not. */
PEERCACHE_API int peercache_node_wait_stopped(peercache_node *node);
/* Find a peer by its id ("12D3KooW…", "Qm…", or as a CID): once the node has joined, the network is asked for it, and it is
 * dialled. Each search ends with a FOUND event: OK with the address at which it proved its id; UNREACHABLE nobody knows
 * it; TIMEOUT after 60 s at most; or why the last dial to it failed. Whom the node stops before is not told of. From any
 * thread, in callback, before the node is run too. EPARSE no peer id; EINVAL the node's own; ELIMIT 64 wait already. The
 * text is that of peercache_strerror. */
PEERCACHE_API int peercache_node_find_peer(peercache_node *node, const char *peer_id);
/*
 * Save to the cache now all that the node has learnt, the members of its routing table among it, and wait until that is done: 0, it
 * survives the death of the process. The node saves by itself too (peercache_node_options_set_save_period); this is for a moment of the
 * application's choice. Without a cache, or with one that may not be written, it is 0 and nothing happens. From any thread but the
 * node's own; with a timeout of 0 from any thread and in callback: it is then only asked for, 0 is returned, and a failure is told
 * as a WARNING. Errors: EBUSY not within the time, or the lock of the cache is held (it goes on, and is tried again on schedule); EFULL,
 * EIO, EPERM, ECORRUPT, ENOTFOUND as of peercache_flush; ESTATE the node does not run, stopped meanwhile, or this is its own thread.
 */
PEERCACHE_API int peercache_node_save_peers_to_cache(peercache_node *node, uint32_t timeout_ms);
/*
 * Take in now what other processes have saved to the cache, and offer all cached peers to the buckets of the routing table that they
 * would fill: they are dialled there as others that the node is told of, in time. A cache that is only read was read when the
 * node was made, and is not read again. Threads, timeout and errors as of save; EIO, ECORRUPT, ENOMEM it could not be read, ELIMIT not
 * all of it was.
 */
PEERCACHE_API int peercache_node_load_peers_from_cache(peercache_node *node, uint32_t timeout_ms);
/* Begin a graceful stop; run returns soon after. From any thread or signal handler. A node that lives for one
 * join (`once`) tells JOIN_DONE first, with what it has: dials under way have failed as CANCELLED. */
PEERCACHE_API void peercache_node_stop(peercache_node *node);
/* Tell that the network has changed, where the system does not: on Linux the node notices by itself. Backoffs
 * and black holes are forgotten, and all is tried at once. From any thread or signal handler. */
PEERCACHE_API void peercache_node_network_changed(peercache_node *node);
/* Instead of joining, dial one address and ping it `count` times, a second apart; each answer is a PONG event
 * and the node stops after the last. Before run. Errors: EPARSE, EINVAL count 0 or over 1,000,000; ESTATE. */
PEERCACHE_API int peercache_node_set_ping(peercache_node *node, const char *multiaddr, uint32_t count);

#ifdef __cplusplus
}
#endif
#endif
