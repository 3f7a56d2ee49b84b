/*
 * What other threads ask of a running node and wait for: to save, to load. The asking is counted under the lock of the node's
 * progress; the loop takes up all that was asked for so far at once, and its end answers all of it.
 */
#ifndef PC_DRIVER_ASKED_H
#define PC_DRIVER_ASKED_H

#include <uv.h>

enum pc_driver_asked_for {
    PC_DRIVER_SAVE,
    PC_DRIVER_LOAD,
    PC_DRIVER_ASKED_COUNT,
};

struct pc_driver_asked {
    uint64_t asked; /* times, ever */
    uint64_t begun; /* of them taken up by the loop */
    uint64_t ended;
    int result; /* of those that ended last */
};

struct peercache_node;

/* On the loop's thread. EIO with node->error. */
int pc_driver_asked_open(struct peercache_node *node);
/* All that was taken up so far has ended. */
void pc_driver_asked_ended(struct peercache_node *node, enum pc_driver_asked_for what, int result);
void pc_driver_asked_close(struct peercache_node *node);

#endif
