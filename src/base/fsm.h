/*
 * State-machine helper: a machine is a diagram, an enum, a table of allowed transitions and one move.
 * allowed[s] is the set of states, one bit each, that may follow s. At most 32 states.
 */
#ifndef PC_BASE_FSM_H
#define PC_BASE_FSM_H

#include <assert.h>
#include <stdint.h>

#define PC_FSM_TO(state) (UINT32_C(1) << (state))

/* Move *state to `next`; a move that the table does not allow is a bug of ours and asserts. */
static inline void pc_base_fsm_move(const uint32_t *allowed, unsigned *state, unsigned next)
{
    assert(allowed[*state] & PC_FSM_TO(next));
    (void)allowed;
    *state = next;
}

#endif
