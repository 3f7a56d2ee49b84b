/* The likely cause of a failed join, see diagnose.h. */
#include "join/diagnose.h"

const char *pc_cause_name(enum pc_cause cause)
{
    static const char *const names[] = {
#define PC_X(name, word, step) [name] = (word),
        PC_CAUSE_LIST(PC_X)
#undef PC_X
    };
    return (unsigned)cause < PC_CAUSE_COUNT ? names[cause] : NULL;
}

const char *pc_cause_next_step(enum pc_cause cause)
{
    static const char *const steps[] = {
#define PC_X(name, word, step) [name] = (step),
        PC_CAUSE_LIST(PC_X)
#undef PC_X
    };
    return (unsigned)cause < PC_CAUSE_COUNT ? steps[cause] : NULL;
}

/* Dials that had an answer of some kind from the other side. */
static uint32_t answered(const struct pc_join_facts *facts)
{
    return facts->ended[PEERCACHE_OK] + facts->ended[PEERCACHE_REFUSED] + facts->ended[PEERCACHE_TLS_FAILED] +
           facts->ended[PEERCACHE_WRONG_IDENTITY] + facts->ended[PEERCACHE_PROTOCOL_MISMATCH] +
           facts->ended[PEERCACHE_MISBEHAVED];
}

static bool clock_is_wrong(const struct pc_join_facts *facts)
{
    return facts->clock_ahead_ms > PC_JOIN_CLOCK_WRONG_MS || facts->clock_ahead_ms < -PC_JOIN_CLOCK_WRONG_MS;
}

/* Peers answered, yet none was verified: what most of them showed. */
static enum pc_cause cause_of_answers(const struct pc_join_facts *facts)
{
    uint32_t mismatched = facts->ended[PEERCACHE_PROTOCOL_MISMATCH] + facts->fetches_wrong_network;
    uint32_t impostors = facts->ended[PEERCACHE_WRONG_IDENTITY];
    uint32_t broken = facts->ended[PEERCACHE_TLS_FAILED] + facts->ended[PEERCACHE_MISBEHAVED];
    if (mismatched > 0 && mismatched >= impostors && mismatched >= broken)
        return PC_CAUSE_WRONG_NETWORK;
    if (impostors > 0 && impostors >= broken)
        return PC_CAUSE_POISONED;
    return broken > 0 ? PC_CAUSE_HANDSHAKES_FAIL : PC_CAUSE_NONE;
}

static enum pc_cause cause_of_failure(const struct pc_join_facts *facts)
{
    uint32_t never_dialled = facts->ended[PEERCACHE_UNSUPPORTED] + facts->ended[PEERCACHE_DENIED] +
                             facts->ended[PEERCACHE_DNS_FAILED] + facts->ended[PEERCACHE_CANCELLED];
    uint32_t dialled = facts->dials > never_dialled ? facts->dials - never_dialled : 0;
    bool tcp_answers = facts->fetches_answered > 0;
    bool names_fail =
        facts->fetches_dns_failed + facts->names_failed > 0 && facts->names_failed >= facts->names;
    if (facts->offered == 0 && facts->endpoints == 0 && facts->names == 0)
        return PC_CAUSE_NO_SOURCES;
    if (dialled == 0 && facts->fetches_ok == 0 && facts->endpoints == 0 && facts->names_failed == 0 &&
        facts->waiting == 0) {
        if (facts->refused_offers + facts->ended[PEERCACHE_DENIED] > 0)
            return PC_CAUSE_DENIED;
        if (facts->ended[PEERCACHE_UNSUPPORTED] > 0)
            return PC_CAUSE_UNSUPPORTED;
    }
    if (facts->has_no_route ||
        (dialled > 0 && facts->ended[PEERCACHE_UNREACHABLE] == dialled && !tcp_answers))
        return PC_CAUSE_OFFLINE;
    if (clock_is_wrong(facts))
        return PC_CAUSE_CLOCK_WRONG;
    if (answered(facts) == 0 && !tcp_answers && names_fail)
        return PC_CAUSE_DNS_FAILED;
    enum pc_cause cause = cause_of_answers(facts);
    if (cause != PC_CAUSE_NONE)
        return cause;
    if (facts->udp_is_hole || (tcp_answers && facts->fetches_ok > 0 && dialled > 0 && answered(facts) == 0))
        return PC_CAUSE_UDP_BLOCKED;
    if (answered(facts) == 0 && !tcp_answers && facts->fetches > 0 && dialled > 0)
        return PC_CAUSE_OFFLINE; /* endpoints and peers alike are silent */
    if (facts->waiting > 0)
        return PC_CAUSE_TIMED_OUT;
    if (facts->endpoints > 0 && facts->fetches_ok == 0)
        return PC_CAUSE_ENDPOINTS_DOWN;
    return dialled > 0 ? PC_CAUSE_ALL_STALE : PC_CAUSE_TIMED_OUT;
}

enum pc_cause pc_join_diagnose(const struct pc_join_facts *facts)
{
    if (facts->verified >= facts->target)
        return PC_CAUSE_NONE;
    if (facts->verified >= facts->min)
        return PC_CAUSE_TOO_FEW;
    return cause_of_failure(facts);
}
