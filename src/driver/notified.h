/* The service manager of a node (peercache_node_options_set_notify): ready, status, signs of life, stopping. */
#ifndef PC_DRIVER_NOTIFIED_H
#define PC_DRIVER_NOTIFIED_H

#include "driver/loop.h"

/* When the options ask for it and the environment names a manager. EINVAL, EUNSUPPORTED, ELIMIT, EIO with node->error. */
int pc_driver_notified_open(struct peercache_node *node);
/* It listens. From now on there are signs of life, as often as the manager wants them, with the status. */
void pc_driver_notified_ready(struct peercache_node *node);
/* A join ended, or its status changed. */
void pc_driver_notified_status(struct peercache_node *node);
void pc_driver_notified_stopping(struct peercache_node *node);
/* The loop must run once more before the node's memory goes. Any number of times. */
void pc_driver_notified_close(struct peercache_node *node);

#endif
