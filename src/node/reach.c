#include "node/reach.h"

#include <peercache/types.h>

#include <assert.h>

const char *pc_reachability_name(enum pc_reachability reachability)
{
    switch (reachability) {
#define PC_X(name, word)                                                                                     \
    case name:                                                                                               \
        return word;
        PC_REACHABILITIES(PC_X)
#undef PC_X
    case PC_REACHABILITY_COUNT:
        break;
    }
    return "unknown";
}

#define NOT_PROVEN INT64_MIN

void pc_reach_init(struct pc_reach *reach)
{
    memset(reach, 0, sizeof(*reach));
    reach->blind_until_us = INT64_MIN;
}

/* ---- voices -------------------------------------------------------------------------------------------- */

static struct pc_reach_voice *voices_of(struct pc_reach *reach, uint8_t family)
{
    return reach->voices[family == 6];
}

static size_t count_voices(const struct pc_reach *reach, const struct pc_ip_port *addr)
{
    const struct pc_reach_voice *voices = reach->voices[addr->family == 6];
    size_t count = 0;
    for (size_t i = 0; i < PC_REACH_VOICES_MAX; i++)
        count += voices[i].heard > 0 && pc_addr_ip_port_equal(&voices[i].addr, addr);
    return count;
}

/* Its own, or else that of the group that was heard last longest ago. */
static struct pc_reach_voice *voice_for(struct pc_reach_voice *voices, const struct pc_netgroup *group)
{
    struct pc_reach_voice *oldest = &voices[0];
    for (size_t i = 0; i < PC_REACH_VOICES_MAX; i++) {
        if (voices[i].heard > 0 && pc_addr_netgroup_equal(&voices[i].group, group))
            return &voices[i];
        if (voices[i].heard < oldest->heard)
            oldest = &voices[i];
    }
    return oldest;
}

/* ---- places -------------------------------------------------------------------------------------------- */

static struct pc_reach_place *find(struct pc_reach *reach, const struct pc_ip_port *addr)
{
    for (size_t i = 0; i < reach->place_count; i++)
        if (pc_addr_ip_port_equal(&reach->places[i].addr, addr))
            return &reach->places[i];
    return NULL;
}

bool pc_reach_is_proven(const struct pc_reach_place *place)
{
    return place->proven_until_us != NOT_PROVEN;
}

static bool is_agreed(const struct pc_reach *reach, const struct pc_reach_place *place)
{
    return place->announced || count_voices(reach, &place->addr) >= PC_REACH_GROUPS;
}

static struct pc_reach_place *add(struct pc_reach *reach, const struct pc_ip_port *addr, int64_t now_us)
{
    if (reach->place_count == PC_REACH_ADDRS_MAX)
        return NULL;
    struct pc_reach_place *place = &reach->places[reach->place_count++];
    reach->version++;
    *place = (struct pc_reach_place){ .addr = *addr,
                                      .probe_at_us = pc_base_time_add(now_us, PC_REACH_PROBE_US),
                                      .proven_until_us = NOT_PROVEN };
    return place;
}

static void drop(struct pc_reach *reach, struct pc_reach_place *place)
{
    *place = reach->places[--reach->place_count];
    reach->version++;
}

/* Places that nobody agrees on any more go. One that is proven stays until the voices agree on another one: that they are
 * too few may only mean that we have few peers. */
static void drop_stale(struct pc_reach *reach, bool agreed_on_another, uint8_t family)
{
    for (size_t i = reach->place_count; i > 0; i--) {
        struct pc_reach_place *place = &reach->places[i - 1];
        if (is_agreed(reach, place) || place->addr.family != family)
            continue;
        if (!pc_reach_is_proven(place) || agreed_on_another)
            drop(reach, place);
    }
}

int pc_reach_announced(struct pc_reach *reach, const struct pc_ip_port *addr, int64_t now_us)
{
    struct pc_reach_place *place = find(reach, addr);
    if (!place)
        place = add(reach, addr, now_us);
    if (!place)
        return PEERCACHE_ELIMIT;
    place->announced = true;
    return 0;
}

void pc_reach_seen_at(struct pc_reach *reach, const struct pc_ip_port *addr, const struct pc_netgroup *by,
                      int64_t now_us)
{
    assert(addr->family == 4 || addr->family == 6);
    if (by->size == 0)
        return;
    struct pc_reach_voice *voice = voice_for(voices_of(reach, addr->family), by);
    reach->version +=
        voice->heard == 0 || !pc_addr_ip_port_equal(&voice->addr, addr); /* they may be scattered now */
    *voice = (struct pc_reach_voice){ .group = *by, .addr = *addr, .heard = ++reach->heard };
    bool agreed = count_voices(reach, addr) >= PC_REACH_GROUPS;
    drop_stale(reach, agreed, addr->family);
    if (agreed && !find(reach, addr))
        (void)add(reach, addr, now_us); /* when there is no room it is added once another is dropped */
}

/* ---- strangers ----------------------------------------------------------------------------------------- */

static bool is_same_ip(const struct pc_ip_port *a, const struct pc_ip_port *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, a->family == 6 ? 16 : 4) == 0;
}

void pc_reach_sent(struct pc_reach *reach, const struct pc_ip_port *to, int64_t now_us)
{
    size_t place = reach->sent_next;
    if (reach->sent[place].to.family != 0)
        reach->blind_until_us = pc_base_time_max(
            reach->blind_until_us, pc_base_time_add(reach->sent[place].at_us, PC_REACH_SENT_US));
    reach->sent[place].to = *to;
    reach->sent[place].at_us = now_us;
    reach->sent_next = (place + 1) % PC_REACH_SENT_MAX;
}

static bool is_stranger(const struct pc_reach *reach, const struct pc_ip_port *from, int64_t now_us)
{
    if (now_us < reach->blind_until_us)
        return false;
    for (size_t i = 0; i < PC_REACH_SENT_MAX; i++)
        if (is_same_ip(&reach->sent[i].to, from) &&
            now_us < pc_base_time_add(reach->sent[i].at_us, PC_REACH_SENT_US))
            return false;
    return true;
}

static void prove(struct pc_reach *reach, struct pc_reach_place *place, int64_t now_us)
{
    reach->version++;
    place->lost = false;
    place->failures = 0;
    place->proven_until_us = pc_base_time_add(now_us, PC_REACH_PROOF_US);
    if (!place->probing)
        place->probe_at_us = pc_base_time_add(now_us, PC_REACH_RECHECK_US);
}

bool pc_reach_dialled(struct pc_reach *reach, const struct pc_ip_port *addr, const struct pc_ip_port *from,
                      int64_t now_us)
{
    struct pc_reach_place *place = find(reach, addr);
    if (!place || !is_agreed(reach, place) || !is_stranger(reach, from, now_us))
        return false;
    prove(reach, place, now_us);
    return true;
}

/* ---- probes -------------------------------------------------------------------------------------------- */

const struct pc_reach_place *pc_reach_due(const struct pc_reach *reach, int64_t now_us)
{
    for (size_t i = 0; i < reach->place_count; i++)
        if (!reach->places[i].probing && reach->places[i].probe_at_us <= now_us)
            return &reach->places[i];
    return NULL;
}

void pc_reach_probing(struct pc_reach *reach, const struct pc_ip_port *addr)
{
    struct pc_reach_place *place = find(reach, addr);
    assert(place && !place->probing);
    place->probing = true;
}

void pc_reach_no_server(struct pc_reach *reach, const struct pc_ip_port *addr, int64_t now_us)
{
    struct pc_reach_place *place = find(reach, addr);
    assert(place && !place->probing);
    place->probe_at_us = pc_base_time_add(now_us, PC_REACH_ASK_US);
}

bool pc_reach_failed_by(const struct pc_reach_place *place, const struct pc_netgroup *group)
{
    for (size_t i = 0; i < place->failures && i < PC_REACH_FAILURES; i++)
        if (pc_addr_netgroup_equal(&place->failed_by[i], group))
            return true;
    return false;
}

static void fail(struct pc_reach *reach, struct pc_reach_place *place, const struct pc_netgroup *server,
                 int64_t now_us)
{
    place->failed_by[place->failures++] = *server;
    if (place->failures < PC_REACH_FAILURES) {
        place->probe_at_us = pc_base_time_add(now_us, PC_REACH_RETRY_US);
        return;
    }
    place->failures = 0; /* the next row begins */
    reach->version++;
    place->lost = true;
    place->proven_until_us = NOT_PROVEN;
    place->probe_at_us = pc_base_time_add(now_us, PC_REACH_RECHECK_US);
}

void pc_reach_probed(struct pc_reach *reach, const struct pc_ip_port *addr, const struct pc_netgroup *server,
                     enum pc_reach_verdict verdict, int64_t now_us)
{
    struct pc_reach_place *place = find(reach, addr);
    if (!place || !place->probing)
        return; /* dropped meanwhile */
    place->probing = false;
    switch (verdict) {
    case PC_REACH_CAME_THROUGH:
        prove(reach, place, now_us);
        break;
    case PC_REACH_CUT_OFF:
        fail(reach, place, server, now_us);
        break;
    case PC_REACH_UNDECIDED:
        place->probe_at_us = pc_base_time_add(now_us, PC_REACH_ASK_US);
        break;
    }
}

/* ---- time ---------------------------------------------------------------------------------------------- */

void pc_reach_network_changed(struct pc_reach *reach, int64_t now_us)
{
    memset(reach->voices, 0, sizeof(reach->voices));
    drop_stale(reach, false, 4);
    drop_stale(reach, false, 6);
    for (size_t i = 0; i < reach->place_count; i++) {
        struct pc_reach_place *place = &reach->places[i];
        place->failures = 0;
        place->probe_at_us =
            pc_base_time_min(place->probe_at_us, pc_base_time_add(now_us, PC_REACH_PROBE_US));
    }
}

void pc_reach_expire(struct pc_reach *reach, int64_t now_us)
{
    for (size_t i = 0; i < reach->place_count; i++) {
        if (!pc_reach_is_proven(&reach->places[i]) || reach->places[i].proven_until_us > now_us)
            continue;
        reach->places[i].proven_until_us = NOT_PROVEN;
        reach->version++;
    }
}

int64_t pc_reach_deadline(const struct pc_reach *reach)
{
    int64_t at_us = PC_TIME_NEVER;
    for (size_t i = 0; i < reach->place_count; i++) {
        const struct pc_reach_place *place = &reach->places[i];
        if (!place->probing)
            at_us = pc_base_time_min(at_us, place->probe_at_us);
        if (pc_reach_is_proven(place))
            at_us = pc_base_time_min(at_us, place->proven_until_us);
    }
    return at_us;
}

/* Voices enough, and no three of them for one address. */
static bool is_scattered(const struct pc_reach *reach)
{
    for (size_t family = 0; family < 2; family++) {
        size_t count = 0, most = 0;
        for (size_t i = 0; i < PC_REACH_VOICES_MAX; i++) {
            const struct pc_reach_voice *voice = &reach->voices[family][i];
            if (voice->heard == 0)
                continue;
            size_t same = count_voices(reach, &voice->addr);
            most = same > most ? same : most;
            count++;
        }
        if (count >= PC_REACH_SCATTERED && most < PC_REACH_GROUPS)
            return true;
    }
    return false;
}

enum pc_reachability pc_reach_state(const struct pc_reach *reach)
{
    bool lost = false;
    for (size_t i = 0; i < reach->place_count; i++) {
        if (pc_reach_is_proven(&reach->places[i]))
            return PC_REACH_PUBLIC;
        lost = lost || reach->places[i].lost;
    }
    return lost || is_scattered(reach) ? PC_REACH_PRIVATE : PC_REACH_UNKNOWN;
}
