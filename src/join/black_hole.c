/* Black holes, see black_hole.h. */
#include "join/black_hole.h"

#include "base/fsm.h"

static const uint32_t allowed[] = {
    [PC_HOLE_FINE] = PC_FSM_TO(PC_HOLE_HOLE),
    [PC_HOLE_HOLE] = PC_FSM_TO(PC_HOLE_FINE),
};

static size_t index_of(uint8_t family)
{
    assert(family == 4 || family == 6);
    return family == 6;
}

void pc_black_holes_init(struct pc_black_holes *holes)
{
    *holes = (struct pc_black_holes){ .endpoint_answered = false };
}

/* Whether the evidence makes a hole of this family; moves it there. */
static bool judge(struct pc_black_holes *holes, size_t family, int64_t now_us)
{
    struct pc_hole *hole = &holes->families[family];
    bool other_answered = holes->families[1 - family].answered;
    if (hole->state == PC_HOLE_HOLE)
        return false;
    if (!(other_answered && hole->silent >= PC_HOLE_DIALS) &&
        !(holes->endpoint_answered && hole->silent_fresh >= PC_HOLE_DIALS))
        return false;
    pc_base_fsm_move(allowed, &hole->state, PC_HOLE_HOLE);
    hole->probe_wait_us = PC_HOLE_PROBE_FIRST_US;
    hole->probe_at_us = pc_base_time_add(now_us, hole->probe_wait_us);
    return true;
}

static bool heard(struct pc_black_holes *holes, size_t family, int64_t now_us)
{
    struct pc_hole *hole = &holes->families[family];
    bool was_hole = hole->state == PC_HOLE_HOLE;
    if (was_hole)
        pc_base_fsm_move(allowed, &hole->state, PC_HOLE_FINE);
    hole->silent = 0;
    hole->silent_fresh = 0;
    hole->answered = true;
    return judge(holes, 1 - family, now_us) || was_hole;
}

bool pc_black_holes_ended(struct pc_black_holes *holes, uint8_t family, peercache_via via,
                          peercache_outcome outcome, int64_t now_us)
{
    size_t index = index_of(family);
    struct pc_hole *hole = &holes->families[index];
    switch (outcome) {
    case PEERCACHE_TIMEOUT:
    case PEERCACHE_UNREACHABLE:
        if (hole->silent < UINT32_MAX)
            hole->silent++;
        if (via != PEERCACHE_VIA_CACHE && hole->silent_fresh < UINT32_MAX)
            hole->silent_fresh++;
        return judge(holes, index, now_us);
    case PEERCACHE_OK:
    case PEERCACHE_REFUSED: /* by ICMP, which a firewall may forge: at least it is no hole */
    case PEERCACHE_TLS_FAILED:
    case PEERCACHE_WRONG_IDENTITY:
    case PEERCACHE_PROTOCOL_MISMATCH:
    case PEERCACHE_MISBEHAVED:
        return heard(holes, index, now_us);
    case PEERCACHE_DNS_FAILED:
    case PEERCACHE_UNSUPPORTED:
    case PEERCACHE_DENIED:
    case PEERCACHE_CANCELLED:
    case PEERCACHE_OUTCOME_COUNT:
        break;
    }
    return false;
}

bool pc_black_holes_endpoint_answered(struct pc_black_holes *holes, int64_t now_us)
{
    if (holes->endpoint_answered)
        return false;
    holes->endpoint_answered = true;
    bool first = judge(holes, 0, now_us);
    return judge(holes, 1, now_us) || first;
}

void pc_black_holes_network_changed(struct pc_black_holes *holes)
{
    pc_black_holes_init(holes);
}

bool pc_black_holes_is_hole(const struct pc_black_holes *holes, uint8_t family)
{
    return holes->families[index_of(family)].state == PC_HOLE_HOLE;
}

bool pc_black_holes_is_udp(const struct pc_black_holes *holes)
{
    bool any = false;
    for (size_t i = 0; i < 2; i++) {
        const struct pc_hole *hole = &holes->families[i];
        if (hole->state == PC_HOLE_HOLE)
            any = true;
        else if (hole->answered || hole->silent > 0)
            return false;
    }
    return any;
}

int64_t pc_black_holes_ready_at(const struct pc_black_holes *holes, uint8_t family)
{
    const struct pc_hole *hole = &holes->families[index_of(family)];
    return hole->state == PC_HOLE_HOLE ? hole->probe_at_us : INT64_MIN;
}

void pc_black_holes_probed(struct pc_black_holes *holes, uint8_t family, int64_t now_us)
{
    struct pc_hole *hole = &holes->families[index_of(family)];
    if (hole->state != PC_HOLE_HOLE)
        return;
    hole->probe_wait_us = pc_base_time_min(2 * hole->probe_wait_us, PC_HOLE_PROBE_CAP_US);
    hole->probe_at_us = pc_base_time_add(now_us, hole->probe_wait_us);
}
