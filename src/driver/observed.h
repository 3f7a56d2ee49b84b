/* What a node shows of itself: HTTP on its own loop, and its log. */
#ifndef PC_DRIVER_OBSERVED_H
#define PC_DRIVER_OBSERVED_H

#include "driver/loop.h"

/* Begin to serve HTTP, when the options say where. EIO, ENOMEM, EUNSUPPORTED with node->error. */
int pc_driver_observed_open(struct peercache_node *node);
/* Serve no more; its memory goes once the loop has run. A second time does nothing. Not within an answer. */
void pc_driver_observed_close(struct peercache_node *node);
/* Let the rooms' log go where the options say. */
void pc_driver_observed_log(struct peercache_node *node, const struct peercache_node_options *options);

#endif
