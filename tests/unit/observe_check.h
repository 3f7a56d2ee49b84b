/* An example of all there is to observe, with every number another, so that none can be mistaken for one beside it. */
#ifndef TESTS_OBSERVE_CHECK_H
#define TESTS_OBSERVE_CHECK_H

#include "observe/observation.h"

void example_observation(struct pc_observation *ret_observation);
/* A peer id that is always the same for a number; and an address of it. */
struct pc_peer_id example_id(uint32_t number);
struct pc_maddr example_addr(uint32_t number);
/* The whole of a file below $VECTORS, NUL-terminated; to be freed. */
char *read_vector(const char *name);

#endif
