/* The ways to run a node beside peercache_node_run: on a thread of its own, or within an application's uv loop. */
#ifndef PC_DRIVER_START_H
#define PC_DRIVER_START_H

#include "driver/asked.h"

#include <peercache/node.h>

#include <uv.h>

/* What of it others may wait for, under a lock. */
struct pc_driver_progress {
    uv_mutex_t lock;
    uv_cond_t changed;
    bool open;   /* lock and cond are made */
    bool joined; /* the first join is over, with `status` */
    peercache_join_status status;
    bool started; /* it runs, or is about to */
    bool ended;   /* it runs no more */
    bool has_loop_thread;
    uv_thread_t loop_thread;
    struct pc_driver_asked asked[PC_DRIVER_ASKED_COUNT];
};

struct peercache_node;

/* EIO. */
int pc_driver_progress_open(struct pc_driver_progress *progress);
void pc_driver_progress_close(struct pc_driver_progress *progress);
/* It is to run, or (false) could not be begun after all. */
void pc_driver_progress_started(struct pc_driver_progress *progress, bool started);
/* This thread runs its loop. */
void pc_driver_progress_begun(struct pc_driver_progress *progress);
void pc_driver_progress_joined(struct pc_driver_progress *progress, peercache_join_status status);
void pc_driver_progress_ended(struct pc_driver_progress *progress);
/* Wait for the thread of peercache_node_start, if there is one, after asking the node to stop. */
void pc_driver_start_join_thread(struct peercache_node *node);

#endif
