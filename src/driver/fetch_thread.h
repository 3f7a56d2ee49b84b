/*
 * The HTTP client on a loop and a thread of its own. libcurl's GnuTLS reads the trusted certificates anew for each handshake,
 * which takes 26 ms for those of Debian: the handshakes of peers must not wait for that. The calls are those of fetch.h, and
 * `done` comes on the loop of whoever asks.
 */
#ifndef PC_DRIVER_FETCH_THREAD_H
#define PC_DRIVER_FETCH_THREAD_H

#include "driver/fetch.h"

struct pc_driver_fetch_thread;
struct pc_driver_fetch_call;

/* The loop is borrowed. `server`: the name server, as of pc_driver_resolver_new; `ca_file` as of pc_driver_fetcher_new. EINVAL:
 * no such server; ENOMEM; EIO: no thread, no loop, or libcurl cannot be set up. */
int pc_driver_fetch_thread_new(uv_loop_t *loop, const char *server, const char *ca_file,
                               struct pc_driver_fetch_thread **ret_thread);
/* Fetch, as pc_driver_fetch_start; too many under way are an answer too: FAILED. ENOMEM. */
int pc_driver_fetch_thread_start(struct pc_driver_fetch_thread *thread,
                                 const struct pc_driver_fetch_request *request, pc_driver_fetch_done done,
                                 void *context, struct pc_driver_fetch_call **ret_call);
/* Stop it; `done` follows with CANCELLED, or with the answer if that was there already. */
void pc_driver_fetch_thread_cancel(struct pc_driver_fetch_call *call);
/* Cancel all and end the thread. `closed` is called on the loop's thread once all is gone, each `done` before it. */
void pc_driver_fetch_thread_close(struct pc_driver_fetch_thread *thread, void (*closed)(void *context),
                                  void *context);

#endif
