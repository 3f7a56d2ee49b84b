/*
 * A simulated network of real nodes (pc_node_step) on virtual time: one queue of happenings, one seed, integers alone.
 *
 *            happening due                      actions
 *   queue ───────────────► machine, pc_node ──────────────► net, disk, endpoints ──► happenings to come
 *                              │    ▲
 *                              ▼    │ the same events
 *                  hash, trace, checks, figures
 *
 * The seam is the one above the wire (node/node.h): a dial opens or fails, a question is answered or fails, a connection
 * goes. What lies below, packets and cryptography, is not simulated here.
 *
 * Everything random is drawn from world->rng in the order of happenings, so that a run repeats from its seed. The hash goes
 * over what each node was told and wanted, as numbers and never as memory, so that it is the same on every machine.
 *
 * A machine is one host with one process on it at a time, or with --shared a process among others there. Its process comes and
 * goes (life.c); its disk stays: a model (disk.h), or a simulated drive with a real store on it (host.h).
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "base/heap.h"
#include "base/map.h"
#include "base/rng.h"
#include "base/time.h"
#include "kad/entry.h"
#include "node/node.h"

#include "disk.h"
#include "figures.h"
#include "host.h"
#include "trace.h"

#define WORLD_EPOCH_MS      INT64_C(1800000000000) /* wall time at the beginning of the world */
#define WORLD_KAD           "/sim/kad/1.0.0"
#define WORLD_ENDPOINTS_MAX 8
#define WORLD_IDLE_US       (30 * PC_US_PER_S) /* a connection without traffic ends, as in libp2p/host.h */
#define WORLD_LOAD_MAX      1000               /* records read at a start, as the driver does */
#define WORLD_STALE_MAX     2048               /* connections of a machine that sleeps */
#define WORLD_SIDES         8

#define SECONDS(n)          ((int64_t)(n)*PC_US_PER_S)
#define MINUTES(n)          SECONDS(60 * (int64_t)(n))
#define HOURS(n)            MINUTES(60 * (int64_t)(n))
#define DAYS(n)             HOURS(24 * (int64_t)(n))

struct world;
struct machine;
struct link;

/* ----- what happens ----- */

enum happening_kind {
    HAPPENS_TIMER,   /* the deadline of a machine's node */
    HAPPENS_LIFE,    /* what a machine's owner does next: life.c */
    HAPPENS_LINK,    /* the next thing of a connection: net.c */
    HAPPENS_REQUEST, /* of a question over one: net.c */
    HAPPENS_ERRAND,  /* a fetch, a name, a commit ends: errand.c */
    HAPPENS_SCRIPT,  /* of the scenario */
};

/* The first member of whatever waits for its time. */
struct happening {
    struct pc_heap_node due;
    enum happening_kind kind;
};

/* ----- machines ----- */

/* Who sits at a machine. All but the first have no pc_node: puppet.c answers in their place. */
enum persona {
    HONEST,
    MODEL,    /* as an honest server seems from outside, for a world that is large or lasts long */
    SILENT,   /* an address that nobody answers at, though others tell of it */
    ATTACKER, /* lives, and tells of other attackers alone */
    FLOODER,  /* lives, and tells of dead addresses without end */
    IMPOSTOR, /* another lives at this address */
    FOREIGN,  /* of another network */
    MUTE,     /* opens, and never answers */
};

enum life_step {
    LIFE_NOTHING,
    LIFE_START,
    LIFE_STOP, /* gracefully */
    LIFE_KILL,
    LIFE_SLEEP,
    LIFE_WAKE,
    LIFE_MEET, /* of a puppet: to dial somebody */
};

struct stale {
    uint64_t number;
    bool was_open;
};

struct errand;

struct machine {
    struct happening timer;
    struct happening life;
    enum life_step next_step;
    uint32_t number;
    enum persona persona;
    struct world *world;

    struct pc_peer_id id;
    struct pc_kad_key key;
    uint32_t id_count; /* ids it has had */
    struct pc_ip_port places[2];
    struct pc_maddr addrs[2];
    size_t place_count; /* 1, or 2 with IPv6 */
    uint8_t region;
    uint8_t side;   /* of a partition */
    bool is_server; /* says that it serves */
    bool is_auto;   /* finds out whether it can: reach.c */
    bool is_hidden; /* behind a NAT: what comes uninvited is dropped */
    bool is_core;   /* stays for days */
    bool churns;
    bool is_asleep;
    bool is_waking; /* not all its dead connections were told yet */
    bool is_laptop;
    bool is_watched; /* checked at every step, not now and then: check.c */
    bool uses_endpoints;
    bool counts; /* in the figures */
    bool keeps_cache;

    struct pc_node *node; /* NULL: no process */
    bool is_up;           /* of a MODEL */
    uint32_t life_count;
    int64_t started_us;
    int64_t mono_behind_us; /* what its clocks are behind the world's, or ahead */
    int64_t wall_ahead_ms;
    peercache_time clock; /* as the process saw it last: its edge lets neither go back */
    int64_t slept_us;     /* since when it sleeps */
    uint64_t inbound_count;
    bool is_stopping;
    bool restarts; /* once stopped, at once */
    int64_t restart_us;

    struct link *links; /* by the end that is here */
    size_t dialling;
    struct stale *stale; /* while asleep */
    size_t stale_count;
    struct errand *errands;

    struct disk *disk;             /* its own, or the host's */
    struct host *host;             /* NULL: the disk is a model */
    struct drive_process *process; /* on the host's drive */
    struct pc_store *store;        /* NULL: it could not be opened so far */
    uint64_t found_sequence;       /* of the last commit that is known to be on the drive */
    uint64_t sequence;             /* of the last commit that this process was told of as acknowledged */
    struct audit *audit;           /* NULL: not watched */
    uint32_t last_verified;
    uint8_t breakers[WORLD_ENDPOINTS_MAX][PC_BREAKER_BYTES];
    bool has_breaker[WORLD_ENDPOINTS_MAX];

    /* of this life, for checks and figures */
    bool joined;
    struct pc_maddr announced[PC_LIBP2P_LISTEN_ADDRS_MAX]; /* of one that finds out by itself */
    size_t announced_count;
    bool served;
    int64_t first_verified_us; /* -1: not yet */
    int64_t fifth_verified_us;
    int64_t alone_since_us; /* PC_TIME_NEVER: it has peers */
    int64_t disturbed_us;   /* when the network around it was last changed by the scenario */
    int64_t walking_since_us;
    size_t tried_before;
    size_t table_before;
    uint64_t steps;
};

/* ----- endpoints ----- */

enum endpoint_habit {
    ENDPOINT_WELL,
    ENDPOINT_SLOW,
    ENDPOINT_FAILS,   /* HTTP errors */
    ENDPOINT_REFUSES, /* nothing listens */
    ENDPOINT_HANGS,
    ENDPOINT_RUBBISH,
    ENDPOINT_LIES, /* names dead addresses alone */
    ENDPOINT_HABITS,
};

struct endpoint {
    enum endpoint_habit habit;
    size_t peer_count; /* as it last looked: endpoint.c */
    struct pc_endpoint_peer peers[64];
    int64_t looked_us; /* -1: never */
};

/* ----- the world ----- */

struct scenario;

struct world_options {
    const struct scenario *scenario;
    uint64_t seed;
    size_t node_count;
    int64_t length_us;
    uint64_t events_max; /* 0: no bound; else the run ends after so many */
    bool checks_all;     /* each step of every machine; else of every sixteenth */
    const char *trace_path;
    enum host_disk disk;
    size_t shared_by;  /* machines, that have one host and one cache together */
    const char *fault; /* a defect planted, so that tests see a check bite; NULL: none */
};

struct world {
    struct world_options options;
    struct pc_rng rng;
    struct pc_heap queue;
    int64_t now_us;
    uint64_t event_count;
    uint64_t step_count;
    uint64_t hash;
    bool over;

    struct machine **machines;
    size_t machine_count;
    size_t machine_max;
    struct host *last_host;
    bool power_went;      /* of some host: what else ran there is killed once the happening is over */
    struct pc_map places; /* struct place: who is where */
    struct pc_map links;  /* struct link_end */

    struct endpoint endpoints[WORLD_ENDPOINTS_MAX];
    size_t endpoint_count;
    bool names_fail;
    unsigned attacker_percent; /* of what endpoints name */
    bool tells_observed; /* whom a connection opens to is told where it is seen, and may ask to be dialled */
    unsigned auto_percent; /* of those who join: they find out by themselves whether they can serve */
    uint32_t kill_one_in;  /* processes are killed after one of so many events; 0: never */
    uint32_t disk_fails_one_in;
    bool cut[WORLD_SIDES][WORLD_SIDES]; /* from one side to another nothing passes */
    uint32_t working_set_max;

    uint64_t silent_made; /* dead addresses given out */

    struct question *asking; /* whose ASKED is being answered */
    int64_t node_us;         /* simulated, of all processes that lived */

    struct figures figures;
    struct trace trace;
    bool failed;
    char failure[256];
};

/* Make, run to the end or the first broken invariant, free. */
struct world *world_new(const struct world_options *options);
void world_run(struct world *world);
void world_free(struct world *world);

void *world_alloc(size_t size); /* zeroed; ends the program when there is none */
void world_schedule(struct world *world, struct happening *happening, int64_t at_us);
void world_forget(struct world *world, struct happening *happening);
/* Call `act` of the scenario at a time. */
void world_at(struct world *world, int64_t at_us, void (*act)(struct world *world, uint64_t argument),
              uint64_t argument);
uint64_t world_below(struct world *world, uint64_t bound);
bool world_one_in(struct world *world, uint64_t count);
/* One number into the hash. */
static inline void world_mix(struct world *world, uint64_t number)
{
    uint64_t h = (world->hash ^ number) * UINT64_C(0x9E3779B97F4A7C15);
    world->hash = h ^ (h >> 29);
}
/* An invariant is broken: the run ends. */
void world_fail(struct world *world, const struct machine *machine, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ----- place.c: who is where ----- */

struct place {
    struct pc_map_node node;
    uint8_t key[24];
    uint8_t key_size;
    struct machine *machine; /* NULL: nobody now, though somebody was */
};

void place_maps_init(struct world *world);
void place_maps_free(struct world *world);
/* Give the machine a new address, or only let it have none. */
void place_move(struct world *world, struct machine *machine);
void place_new_id(struct world *world, struct machine *machine);
struct machine *place_find(const struct world *world, const struct pc_ip_port *at, bool *ret_was_used);
/* An address that nobody has, of a random group; the same one is never given twice. */
void place_dead(struct world *world, struct pc_peer_id *ret_id, struct pc_ip_port *ret_at);
/* Whether an address was ever given out by the world. */
bool place_is_known(const struct world *world, const struct pc_ip_port *at);
/* The peer id of a number. */
void place_id_of(uint64_t number, struct pc_peer_id *ret_id);
/* How long something takes from one machine to another now. */
int64_t place_delay_us(struct world *world, const struct machine *from, const struct machine *to);

/* ----- machine.c: the process and its steps ----- */

struct machine *machine_add(struct world *world, enum persona persona, bool is_server, bool is_hidden);
void machine_free(struct machine *machine);
peercache_time machine_now(struct machine *machine);
/* What the clock of the host shows, also where it was set back. */
int64_t machine_wall_ms(const struct machine *machine);
/* World time of a moment of the process's clock. */
int64_t machine_world_time(const struct machine *machine, int64_t mono_us);
void machine_step(struct machine *machine, const struct pc_node_event *event);
void machine_timer(struct machine *machine);
static inline bool machine_runs(const struct machine *machine)
{
    return machine->node && !machine->is_asleep;
}
/* Whether somebody could reach it now. */
bool machine_answers(const struct machine *machine);

/* ----- hash.c: what a run is known by ----- */

void hash_event(struct machine *machine, const struct pc_node_event *event, peercache_time now);
void hash_action(struct world *world, const struct pc_node_action *action);

/* ----- life.c: starts, ends and sleeps ----- */

void life_start(struct machine *machine);
void life_stop(struct machine *machine); /* gracefully; the process ends some steps later */
void life_stopped(struct machine *machine);
void life_kill(struct machine *machine);
void life_power_went(struct world *world);
void life_sleep(struct machine *machine);
void life_wake(struct machine *machine, bool moved);
void life_forget(struct machine *machine); /* its disk is empty again */
void life_jump(struct machine *machine, int64_t wall_ms);
void life_plan(struct machine *machine, enum life_step step, int64_t at_us);
void life_happen(struct machine *machine);
/* Come and go from now on: the first start after `within_us` at most. */
void life_churn(struct machine *machine, int64_t within_us);

/* ----- net.c: connections and questions between machines ----- */

enum link_state {
    LINK_DIALLING, /* on its way to the callee */
    LINK_ENDING,   /* the dial has failed: to be told */
    LINK_OPENING,  /* the dial succeeds: to be told to the dialler */
    LINK_GREETING, /* and then to the callee */
    LINK_OPEN,
    LINK_CLOSING, /* one end is gone: the other is to be told */
};

struct link_end {
    struct pc_map_node by_number;
    uint8_t key[12]; /* number of the machine, and of the connection */
    struct link *link;
    struct machine *machine; /* NULL: this end is gone */
    uint64_t number;
    bool is_told; /* the process knows it as open */
    bool keeps;   /* the process needs it: its silence is broken, so that it stays open */
    struct link *next;
    struct link *before;
    struct question *requests;
};

struct link {
    struct happening life;
    enum link_state state;
    struct link_end ends[2]; /* who dialled, who was dialled */
    struct machine *callee;  /* of a dial */
    uint32_t callee_life;
    struct pc_ip_port remote;
    struct pc_peer_id expected;
    int64_t began_us;
    int64_t deadline_us;
    int64_t trip_us; /* a round trip */
    int64_t last_us; /* traffic */
    peercache_outcome outcome;
};

enum question_kind {
    QUESTION_PING,
    QUESTION_FIND,
    QUESTION_PROBE, /* to be dialled at an address: reach.c */
    QUESTION_PUSH,  /* none: what the asker is from now on, which is not answered */
};

struct question {
    struct happening life;
    struct link *link;
    int from; /* which end asks */
    uint64_t number;
    enum question_kind kind;
    bool is_back; /* the answer is on its way */
    bool fails;
    peercache_outcome outcome;
    int64_t began_us;
    int64_t deadline_us;
    struct pc_bytes key;
    uint8_t key_bytes[64];
    struct question *next;
    struct question *before;
    uint8_t *answer; /* peers and addresses, encoded */
    size_t answer_size;
    size_t answer_peers;
    struct pc_maddr probed; /* PROBE */
    enum pc_libp2p_probe probe;
    int64_t probe_us; /* how long it takes at the server */
    bool is_judged;
};

bool net_passes(const struct world *world, const struct machine *from, const struct machine *to);
void net_dial(struct machine *machine, const struct pc_node_action *action);
void net_close(struct machine *machine, uint64_t number);
void net_keep(struct machine *machine, uint64_t number, bool keep);
void net_ask(struct machine *machine, const struct pc_node_action *action);
void net_answer(struct machine *machine, const struct pc_node_action *action);
/* To all who are connected: what the machine is now. */
void net_push(struct machine *machine);
/* What one machine says of itself to another, whom it sees at `sees`. Valid until the next call. */
const struct pc_identify *net_identify(const struct machine *machine, const struct pc_ip_port *sees);
struct machine *net_far(const struct question *request);
void net_answer_peers(struct question *request, const struct pc_kad_peer *peers, size_t count);
void net_link_happens(struct link *link);
void net_request_happens(struct question *request);
/* The process is gone, or cut off for so long that all its connections are dead. */
void net_drop_all(struct machine *machine, bool remember);
/* A puppet dials a machine. */
void net_meet(struct machine *puppet, struct machine *whom);

/* ----- reach.c: whether a machine can be reached, found out by itself (AutoNAT v2) ----- */

/* A question to be dialled has come to the server: it judges it, or leaves it unjudged. */
void reach_ask(struct machine *server, struct question *request);
void reach_dial_back(struct machine *server, const struct pc_node_action *action);
void reach_refuse(struct machine *server, const struct pc_node_action *action);
void reach_announce(struct machine *machine, const struct pc_node_action *action);

/* ----- errand.c: what takes its time outside of the network of peers ----- */

enum errand_kind {
    ERRAND_FETCH,
    ERRAND_RESOLVE,
    ERRAND_COMMIT,
    ERRAND_TAKE_IN,
};

struct errand {
    struct happening life;
    enum errand_kind kind;
    struct machine *machine;
    struct errand *next;
    struct errand *before;
    uint64_t number;
    size_t endpoint;
    int64_t deadline_us;
    enum pc_record_type question;
    struct pc_delta *deltas;
    size_t delta_count;
    int64_t now_ms;
    uint64_t sequence;
};

void errand_fetch(struct machine *machine, const struct pc_node_action *action);
void errand_resolve(struct machine *machine, const struct pc_node_action *action);
void errand_cancel(struct machine *machine, enum errand_kind kind, uint64_t number);
void errand_commit(struct machine *machine, const struct pc_node_action *action);
/* Nothing where the disk is a model: nobody else writes to it. */
void errand_take_in(struct machine *machine);
/* The commit that is under way, or NULL. */
const struct errand *errand_find_commit(const struct machine *machine);
void errand_happens(struct errand *errand);
/* The process is gone: what is on its way to the disk may reach it or not. */
void errand_drop_all(struct machine *machine);
/* It slept: all that was waited for has timed out meanwhile. */
void errand_wake_all(struct machine *machine);

/* ----- puppet.c: those without a node ----- */

void puppet_answer(struct machine *puppet, struct question *request);
void puppet_identify(const struct machine *puppet, struct pc_identify *ret_identify);
void puppet_meet(struct machine *puppet);

/* ----- check.c: invariants ----- */

void check_before(struct machine *machine, const struct pc_node_event *event);
void check_after(struct machine *machine, const struct pc_node_event *event,
                 const struct pc_node_action *actions, size_t count);
void check_dial(struct machine *machine, const struct pc_node_action *action);
/* Each of these now and then, for those who run. */
void check_all(struct world *world);
void check_stopped(struct machine *machine);
/* It was asked to save all, and says that it has. */
void check_saved(struct machine *machine, int result);
/* Something was done to the network around it: patience begins anew. */
void check_disturbed(struct world *world);

/* ----- the scenario ----- */

struct scenario {
    const char *name;
    const char *what;
    size_t node_count;
    int64_t length_us;
    size_t small_count; /* in `make test` */
    int64_t small_us;
    void (*begin)(struct world *world);
    uint64_t argument;
};

extern const struct scenario scenarios[];
extern const size_t scenario_count;
const struct scenario *scenario_find(const char *name);

#endif
