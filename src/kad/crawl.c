#include "kad/crawl.h"

#include "base/fsm.h"
#include "base/map.h"

#include <stdlib.h>

#define TOLD_SHARE   4  /* the peers of one group tell of peers_max / 4 at most */
#define FRESH_HASHES 16 /* tried before each question: 5 µs */

enum {
    WAITING,
    DIALED,
    ASKED,
    VISITED,
    FAILED,
};

static const uint32_t allowed[] = {
    [WAITING] = PC_FSM_TO(DIALED), [DIALED] = PC_FSM_TO(ASKED) | PC_FSM_TO(WAITING) | PC_FSM_TO(FAILED),
    [ASKED] = PC_FSM_TO(VISITED),  [VISITED] = 0,
    [FAILED] = PC_FSM_TO(WAITING),
};

struct peer;

/* A network group: a queue of those who wait to be dialled in it, and what it counts towards the limits. */
struct group {
    struct pc_map_node by_name;
    struct pc_netgroup name;
    uint32_t known; /* peers at home in it: told of first at an address of it */
    uint32_t told;  /* peers that those at home in it told of first */
    struct peer *first;
    struct peer *last;
    struct group *next; /* of those with somebody waiting */
};

/* What is being asked of a peer. */
struct visit {
    unsigned level; /* of the next question */
    bool over;
    size_t told_count;
    uint64_t told[PC_KAD_K]; /* in the last answer: the beginnings of their keys */
};

struct peer {
    struct pc_map_node by_id;
    struct pc_peer_id id;
    struct pc_kad_key key;
    unsigned state;
    peercache_outcome outcome; /* once it is VISITED or FAILED */
    bool is_final;             /* FAILED: no other address helps */
    bool was_dialed;
    bool was_met;
    uint8_t addr_count;
    uint8_t tried; /* of them */
    struct pc_ip_port addrs[PC_KAD_CRAWL_ADDRS];
    struct group *home;  /* NULL: it has no address */
    struct peer *next;   /* in the queue of the group of the address that is tried next */
    struct visit *visit; /* ASKED */
};

struct pc_kad_crawl {
    struct pc_kad_crawl_options options;
    struct pc_kad_crawl_keys keys;
    struct pc_map peers;
    struct pc_map groups;
    struct group *first; /* with somebody waiting, in the order of their turns */
    struct group *last;
    struct pc_kad_crawl_counts counts;
};

static struct pc_bytes id_of(const struct pc_map_node *node)
{
    return pc_addr_peer_id_bytes(&PC_CONST_CONTAINER_OF(node, struct peer, by_id)->id);
}

static struct pc_bytes name_of(const struct pc_map_node *node)
{
    const struct group *group = PC_CONST_CONTAINER_OF(node, struct group, by_name);
    return pc_bytes_of(group->name.bytes, group->name.size);
}

int pc_kad_crawl_new(const struct pc_kad_crawl_options *options, struct pc_kad_crawl **ret_crawl)
{
    uint8_t secret[16];
    if (options->concurrency == 0 || options->peers_max == 0 || options->group_max == 0)
        return PEERCACHE_EINVAL;
    struct pc_kad_crawl *crawl = calloc(1, sizeof(*crawl));
    if (!crawl)
        return PEERCACHE_ENOMEM;
    if (pc_kad_crawl_keys_init(&crawl->keys, options->rng)) {
        free(crawl);
        return PEERCACHE_ENOMEM;
    }
    crawl->options = *options;
    pc_base_rng_bytes(options->rng, secret, sizeof(secret));
    crawl->options.rng = NULL;
    pc_base_map_init(&crawl->peers, id_of, secret);
    pc_base_map_init(&crawl->groups, name_of, secret);
    *ret_crawl = crawl;
    return 0;
}

void pc_kad_crawl_free(struct pc_kad_crawl *crawl)
{
    if (!crawl)
        return;
    for (struct pc_map_node *n = pc_base_map_next(&crawl->peers, NULL), *next; n; n = next) {
        struct peer *peer = PC_CONTAINER_OF(n, struct peer, by_id);
        next = pc_base_map_next(&crawl->peers, n);
        pc_base_map_remove(&crawl->peers, n);
        free(peer->visit);
        free(peer);
    }
    for (struct pc_map_node *n = pc_base_map_next(&crawl->groups, NULL), *next; n; n = next) {
        next = pc_base_map_next(&crawl->groups, n);
        pc_base_map_remove(&crawl->groups, n);
        free(PC_CONTAINER_OF(n, struct group, by_name));
    }
    pc_base_map_deinit(&crawl->peers);
    pc_base_map_deinit(&crawl->groups);
    pc_kad_crawl_keys_deinit(&crawl->keys);
    free(crawl);
}

static struct peer *find(const struct pc_kad_crawl *crawl, const struct pc_peer_id *id)
{
    struct pc_map_node *found = pc_base_map_find(&crawl->peers, pc_addr_peer_id_bytes(id));
    return found ? PC_CONTAINER_OF(found, struct peer, by_id) : NULL;
}

/* The group of an address, made when missing; NULL: no memory. */
static struct group *group_of(struct pc_kad_crawl *crawl, const struct pc_ip_port *addr)
{
    struct pc_netgroup name = pc_addr_netgroup_of_ip_port(addr, crawl->options.mode);
    struct pc_map_node *found = pc_base_map_find(&crawl->groups, pc_bytes_of(name.bytes, name.size));
    if (found)
        return PC_CONTAINER_OF(found, struct group, by_name);
    struct group *group = calloc(1, sizeof(*group));
    if (!group)
        return NULL;
    group->name = name;
    if (pc_base_map_insert(&crawl->groups, &group->by_name)) {
        free(group);
        return NULL;
    }
    return group;
}

/* ----- the queues ----- */

static void append_group(struct pc_kad_crawl *crawl, struct group *group)
{
    group->next = NULL;
    if (crawl->last)
        crawl->last->next = group;
    else
        crawl->first = group;
    crawl->last = group;
}

/* To the end of the queue of the group whose address is to be tried. */
static void append_peer(struct pc_kad_crawl *crawl, struct group *group, struct peer *peer)
{
    peer->next = NULL;
    crawl->counts.waiting++;
    if (group->first) {
        group->last->next = peer;
        group->last = peer;
        return;
    }
    group->first = group->last = peer;
    append_group(crawl, group);
}

/* The first of the group whose turn it is, which then has its turn after all others. There is one. */
static struct peer *take_first(struct pc_kad_crawl *crawl)
{
    struct group *group = crawl->first;
    struct peer *peer = group->first;
    crawl->first = group->next;
    if (!crawl->first)
        crawl->last = NULL;
    group->first = peer->next;
    if (group->first)
        append_group(crawl, group);
    crawl->counts.waiting--;
    return peer;
}

/* ----- taking in ----- */

static bool has_addr(const struct peer *peer, const struct pc_ip_port *addr)
{
    for (size_t i = 0; i < peer->addr_count; i++)
        if (pc_addr_ip_port_equal(&peer->addrs[i], addr))
            return true;
    return false;
}

static void add_addrs(struct peer *peer, const struct pc_kad_crawl_told *told)
{
    for (size_t i = 0; i < told->addr_count && peer->addr_count < PC_KAD_CRAWL_ADDRS; i++)
        if (!has_addr(peer, &told->addrs[i]))
            peer->addrs[peer->addr_count++] = told->addrs[i];
}

/* A known peer is told of again. */
static int learn_more(struct pc_kad_crawl *crawl, struct peer *peer, const struct pc_kad_crawl_told *told)
{
    add_addrs(peer, told);
    if (peer->state != FAILED || peer->is_final || peer->tried == peer->addr_count)
        return 0;
    struct group *group = group_of(crawl, &peer->addrs[peer->tried]);
    if (!group)
        return PEERCACHE_ENOMEM;
    if (!peer->home) {
        peer->home = group;
        group->known++;
    }
    crawl->counts.ended[peer->outcome]--;
    pc_base_fsm_move(allowed, &peer->state, WAITING);
    append_peer(crawl, group, peer);
    return 0;
}

static bool is_over_limit(const struct pc_kad_crawl *crawl, const struct group *home,
                          const struct group *teller)
{
    const struct pc_kad_crawl_options *options = &crawl->options;
    return crawl->peers.count >= options->peers_max || (home && home->known >= options->group_max) ||
           (teller && teller->told >= (options->peers_max + TOLD_SHARE - 1) / TOLD_SHARE);
}

/* `teller`: the group of who told; NULL: the caller did. */
static int take_in(struct pc_kad_crawl *crawl, struct group *teller, const struct pc_kad_crawl_told *told)
{
    struct group *home = NULL;
    if (told->id.size == 0 || pc_addr_peer_id_equal(&told->id, &crawl->options.own_id))
        return 0;
    struct peer *peer = find(crawl, &told->id);
    if (peer)
        return learn_more(crawl, peer, told);
    if (told->addr_count > 0) {
        home = group_of(crawl, &told->addrs[0]);
        if (!home)
            return PEERCACHE_ENOMEM;
    }
    if (is_over_limit(crawl, home, teller)) {
        crawl->counts.left_out++;
        return 0;
    }
    peer = calloc(1, sizeof(*peer));
    if (!peer)
        return PEERCACHE_ENOMEM;
    peer->id = told->id;
    if (pc_base_map_insert(&crawl->peers, &peer->by_id)) {
        free(peer);
        return PEERCACHE_ENOMEM;
    }
    peer->key = pc_kad_key_of_peer(&told->id);
    add_addrs(peer, told);
    crawl->counts.known++;
    if (teller)
        teller->told++;
    if (!home) { /* nothing that could be dialled: until it is told of elsewhere */
        peer->state = FAILED;
        peer->outcome = told->refusal;
        crawl->counts.ended[peer->outcome]++;
        return 0;
    }
    peer->home = home;
    home->known++;
    peer->state = WAITING;
    append_peer(crawl, home, peer);
    return 0;
}

int pc_kad_crawl_add(struct pc_kad_crawl *crawl, const struct pc_kad_crawl_told *peer)
{
    return take_in(crawl, NULL, peer);
}

/* ----- dialling ----- */

bool pc_kad_crawl_next(struct pc_kad_crawl *crawl, struct pc_kad_crawl_dial *ret_dial)
{
    if (!crawl->first || crawl->counts.under_way >= crawl->options.concurrency)
        return false;
    struct peer *peer = take_first(crawl);
    pc_base_fsm_move(allowed, &peer->state, DIALED);
    crawl->counts.under_way++;
    crawl->counts.dialed += !peer->was_dialed;
    peer->was_dialed = true;
    *ret_dial = (struct pc_kad_crawl_dial){ peer->id, peer->addrs[peer->tried++] };
    return true;
}

static void end(struct pc_kad_crawl *crawl, struct peer *peer, unsigned state, peercache_outcome outcome)
{
    pc_base_fsm_move(allowed, &peer->state, state);
    peer->outcome = outcome;
    crawl->counts.ended[outcome]++;
    crawl->counts.under_way--;
    free(peer->visit);
    peer->visit = NULL;
}

bool pc_kad_crawl_failed(struct pc_kad_crawl *crawl, const struct pc_peer_id *id, peercache_outcome outcome,
                         bool is_final)
{
    struct peer *peer = find(crawl, id);
    if (!peer || peer->state != DIALED)
        return false;
    struct group *group =
        is_final || peer->tried == peer->addr_count ? NULL : group_of(crawl, &peer->addrs[peer->tried]);
    if (!group) { /* without memory it has none to wait in, and is told of as it failed */
        peer->is_final = is_final;
        end(crawl, peer, FAILED, outcome);
        return true;
    }
    pc_base_fsm_move(allowed, &peer->state, WAITING);
    crawl->counts.under_way--;
    append_peer(crawl, group, peer);
    return false;
}

/* ----- asking ----- */

bool pc_kad_crawl_first_met(struct pc_kad_crawl *crawl, const struct pc_peer_id *id)
{
    struct peer *peer = find(crawl, id);
    if (!peer || peer->was_met)
        return false;
    peer->was_met = true;
    crawl->counts.alive++;
    return true;
}

int pc_kad_crawl_opened(struct pc_kad_crawl *crawl, const struct pc_peer_id *id)
{
    struct peer *peer = find(crawl, id);
    if (!peer || peer->state != DIALED)
        return PEERCACHE_ENOTFOUND;
    pc_base_fsm_move(allowed, &peer->state, ASKED);
    peer->visit = calloc(1, sizeof(*peer->visit));
    if (peer->visit)
        return 0;
    crawl->counts.silent++;
    end(crawl, peer, VISITED, PEERCACHE_OK);
    return PEERCACHE_ENOMEM;
}

bool pc_kad_crawl_ask(struct pc_kad_crawl *crawl, const struct pc_peer_id *id, struct pc_peer_id *ret_key)
{
    struct peer *peer = find(crawl, id);
    if (!peer || peer->state != ASKED)
        return false;
    pc_kad_crawl_keys_step(&crawl->keys, FRESH_HASHES);
    if (peer->visit->over || !pc_kad_crawl_keys_get(&crawl->keys, &peer->key, peer->visit->level, ret_key)) {
        end(crawl, peer, VISITED, PEERCACHE_OK);
        return false;
    }
    crawl->counts.questions++;
    return true;
}

static uint64_t beginning_of(const struct pc_kad_key *key)
{
    uint64_t beginning;
    memcpy(&beginning, key->bytes, sizeof(beginning));
    return beginning;
}

static bool was_told(const struct visit *visit, uint64_t beginning)
{
    for (size_t i = 0; i < visit->told_count; i++)
        if (visit->told[i] == beginning)
            return true;
    return false;
}

/* What an answer shows of the table that it comes from. */
static void read_answer(struct peer *peer, const struct pc_kad_crawl_told *peers, size_t count)
{
    struct visit *visit = peer->visit;
    uint64_t told[PC_KAD_K] = { 0 };
    bool any_new = false, any_farther = false;
    for (size_t i = 0; i < count; i++) {
        struct pc_kad_key key = pc_kad_key_of_peer(&peers[i].id);
        told[i] = beginning_of(&key);
        any_new |= !was_told(visit, told[i]);
        any_farther |= pc_kad_key_common_prefix(&peer->key, &key) < visit->level;
    }
    memcpy(visit->told, told, count * sizeof(told[0]));
    visit->told_count = count;
    visit->level++;
    visit->over = any_farther || !any_new;
}

int pc_kad_crawl_answered(struct pc_kad_crawl *crawl, const struct pc_peer_id *id,
                          const struct pc_kad_crawl_told *peers, size_t count)
{
    struct peer *peer = find(crawl, id);
    int result = 0;
    if (!peer || peer->state != ASKED)
        return 0;
    count = count < PC_KAD_K ? count : PC_KAD_K;
    crawl->counts.answers++;
    read_answer(peer, peers, count);
    for (size_t i = 0; i < count && result == 0; i++)
        result = take_in(crawl, peer->home, &peers[i]);
    return result;
}

bool pc_kad_crawl_unanswered(struct pc_kad_crawl *crawl, const struct pc_peer_id *id, peercache_outcome why)
{
    struct peer *peer = find(crawl, id);
    if (!peer || peer->state != ASKED)
        return false;
    crawl->counts.silent++;
    end(crawl, peer, VISITED, why == PEERCACHE_MISBEHAVED ? why : PEERCACHE_OK);
    return true;
}

/* ----- looking ----- */

bool pc_kad_crawl_done(const struct pc_kad_crawl *crawl)
{
    return crawl->counts.waiting == 0 && crawl->counts.under_way == 0;
}

const struct pc_kad_crawl_counts *pc_kad_crawl_counts(const struct pc_kad_crawl *crawl)
{
    return &crawl->counts;
}
