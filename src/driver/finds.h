/* Peers that the application wants found, from whatever thread, until the node takes them. */
#ifndef PC_DRIVER_FINDS_H
#define PC_DRIVER_FINDS_H

#include "node/node.h"

#include <uv.h>

struct pc_driver_finds {
    bool open;
    uv_mutex_t lock;
    size_t first;
    size_t count;
    struct pc_peer_id ids[PC_NODE_FINDS_MAX]; /* a ring */
    struct pc_peer_id taken;
};

/* EIO. */
int pc_driver_finds_open(struct pc_driver_finds *finds);
void pc_driver_finds_close(struct pc_driver_finds *finds);
/* ELIMIT. */
int pc_driver_finds_put(struct pc_driver_finds *finds, const struct pc_peer_id *id);
/* The next, valid until the next take; NULL: none waits. */
const struct pc_peer_id *pc_driver_finds_take(struct pc_driver_finds *finds);

#endif
