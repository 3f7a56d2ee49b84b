/*
 * See breaker.h for the diagram. Stored form: version (1), state, failures (32 bits), wait (µs, 64 bits),
 * wall time of the probe (ms, 64 bits), big-endian.
 */
#include "join/breaker.h"

#include "base/cursor.h"
#include "base/fsm.h"
#include "join/backoff.h"

#define STORED_VERSION 1

static const uint32_t allowed[] = {
    [PC_BREAKER_CLOSED] = PC_FSM_TO(PC_BREAKER_OPEN),
    [PC_BREAKER_OPEN] = PC_FSM_TO(PC_BREAKER_HALF_OPEN),
    [PC_BREAKER_HALF_OPEN] = PC_FSM_TO(PC_BREAKER_CLOSED) | PC_FSM_TO(PC_BREAKER_OPEN),
};

const char *pc_breaker_state_name(enum pc_breaker_state state)
{
    switch (state) {
    case PC_BREAKER_CLOSED:
        return "closed";
    case PC_BREAKER_OPEN:
        return "open";
    case PC_BREAKER_HALF_OPEN:
        return "half_open";
    }
    return "unknown";
}

void pc_breaker_init(struct pc_breaker *breaker)
{
    *breaker = (struct pc_breaker){ .state = PC_BREAKER_CLOSED };
}

static void move(struct pc_breaker *breaker, enum pc_breaker_state state)
{
    pc_base_fsm_move(allowed, &breaker->state, state);
    breaker->transitions++;
}

int64_t pc_breaker_ready_at(const struct pc_breaker *breaker)
{
    switch ((enum pc_breaker_state)breaker->state) {
    case PC_BREAKER_CLOSED:
        return INT64_MIN;
    case PC_BREAKER_OPEN:
        return breaker->probe_at_us;
    case PC_BREAKER_HALF_OPEN:
        break;
    }
    return PC_TIME_NEVER;
}

void pc_breaker_asked(struct pc_breaker *breaker, int64_t now_us)
{
    assert(pc_breaker_ready_at(breaker) <= now_us);
    (void)now_us;
    if (breaker->state == PC_BREAKER_OPEN)
        move(breaker, PC_BREAKER_HALF_OPEN);
}

static void open_for(struct pc_breaker *breaker, int64_t wait_us, struct pc_rng *rng, int64_t now_us)
{
    move(breaker, PC_BREAKER_OPEN);
    breaker->failures = 0;
    breaker->wait_us = wait_us;
    breaker->probe_at_us = pc_base_time_add(now_us, pc_join_backoff_lengthened(rng, wait_us));
}

static void failed(struct pc_breaker *breaker, struct pc_rng *rng, int64_t now_us)
{
    switch ((enum pc_breaker_state)breaker->state) {
    case PC_BREAKER_CLOSED:
        if (++breaker->failures == PC_BREAKER_FAILURES_MAX)
            open_for(breaker, PC_BREAKER_WAIT_US, rng, now_us);
        break;
    case PC_BREAKER_HALF_OPEN:
        open_for(breaker, pc_base_time_min(2 * breaker->wait_us, PC_BREAKER_WAIT_CAP_US), rng, now_us);
        break;
    case PC_BREAKER_OPEN: /* a fetch from before it opened: known already */
        break;
    }
}

void pc_breaker_ended(struct pc_breaker *breaker, enum pc_breaker_verdict verdict, bool anything_answers,
                      struct pc_rng *rng, int64_t now_us)
{
    switch (verdict) {
    case PC_BREAKER_SUCCESS:
        if (breaker->state == PC_BREAKER_OPEN) /* of a fetch from before it opened: good news all the same */
            move(breaker, PC_BREAKER_HALF_OPEN);
        if (breaker->state == PC_BREAKER_HALF_OPEN)
            move(breaker, PC_BREAKER_CLOSED);
        breaker->failures = 0;
        breaker->wait_us = 0;
        return;
    case PC_BREAKER_FAILURE:
        failed(breaker, rng, now_us);
        return;
    case PC_BREAKER_SILENCE:
        if (anything_answers) {
            failed(breaker, rng, now_us);
            return;
        }
        break;
    case PC_BREAKER_NOTHING:
        break;
    }
    if (breaker->state == PC_BREAKER_HALF_OPEN)
        open_for(breaker, breaker->wait_us, rng, now_us);
}

void pc_breaker_network_changed(struct pc_breaker *breaker, int64_t now_us)
{
    if (breaker->state == PC_BREAKER_OPEN)
        breaker->probe_at_us = pc_base_time_min(breaker->probe_at_us, now_us);
}

void pc_breaker_save(const struct pc_breaker *breaker, int64_t now_us, int64_t wall_ms,
                     uint8_t ret_bytes[PC_BREAKER_BYTES])
{
    bool is_closed = breaker->state == PC_BREAKER_CLOSED;
    int64_t left_us = 0;
    if (breaker->state == PC_BREAKER_OPEN)
        left_us = pc_base_time_max(pc_base_time_sub(breaker->probe_at_us, now_us), 0);
    struct pc_writer w;
    pc_base_writer_init(&w, ret_bytes, PC_BREAKER_BYTES);
    pc_base_write_u8(&w, STORED_VERSION);
    pc_base_write_u8(&w, is_closed ? PC_BREAKER_CLOSED : PC_BREAKER_OPEN);
    pc_base_write_u32(&w, breaker->failures);
    pc_base_write_u64(&w, (uint64_t)breaker->wait_us);
    pc_base_write_u64(&w, (uint64_t)(is_closed ? 0 : pc_base_time_add(wall_ms, left_us / PC_US_PER_MS)));
    assert(!w.error && pc_base_writer_size(&w) == PC_BREAKER_BYTES);
}

int pc_breaker_load(struct pc_bytes bytes, int64_t now_us, int64_t wall_ms, struct pc_breaker *ret_breaker)
{
    struct pc_reader r;
    pc_base_reader_init(&r, bytes.data, bytes.size);
    uint8_t version = pc_base_read_u8(&r);
    struct pc_breaker loaded = { .state = pc_base_read_u8(&r) };
    loaded.failures = pc_base_read_u32(&r);
    uint64_t wait_us = pc_base_read_u64(&r);
    int64_t probe_wall_ms = (int64_t)pc_base_read_u64(&r);
    if (r.error || pc_base_reader_left(&r) != 0 || version != STORED_VERSION)
        return PEERCACHE_EPARSE;
    bool is_closed = loaded.state == PC_BREAKER_CLOSED;
    if (!is_closed && loaded.state != PC_BREAKER_OPEN)
        return PEERCACHE_EPARSE;
    if (loaded.failures >= PC_BREAKER_FAILURES_MAX || (is_closed && wait_us != 0) ||
        (!is_closed && (wait_us < PC_BREAKER_WAIT_US || wait_us > PC_BREAKER_WAIT_CAP_US)))
        return PEERCACHE_EPARSE;
    loaded.wait_us = (int64_t)wait_us;
    if (!is_closed) {
        int64_t left_ms = pc_base_time_max(pc_base_time_sub(probe_wall_ms, wall_ms), 0);
        int64_t longest_ms = (loaded.wait_us + loaded.wait_us / 8) / PC_US_PER_MS;
        loaded.probe_at_us = pc_base_time_add(now_us, pc_base_time_min(left_ms, longest_ms) * PC_US_PER_MS);
    }
    *ret_breaker = loaded;
    return 0;
}
