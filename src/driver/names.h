/*
 * Serves what the node wants resolved: each question goes to the resolver, and its end comes back as the node takes it.
 */
#ifndef PC_DRIVER_NAMES_H
#define PC_DRIVER_NAMES_H

#include "driver/resolve.h"
#include "node/node.h"

struct pc_driver_names;

/* On the loop's thread, once a question that was not cancelled, never within resolve. DNS_FAILED: there is no such
 * name, or no usable answer. What it points to is valid during the call. */
typedef void (*pc_driver_names_done)(void *context, const struct pc_node_resolved *resolved);

/* `server` as of pc_driver_resolver_new. The loop is borrowed. EPARSE with the reason: no address of a name server.
 * ENOMEM. */
int pc_driver_names_new(uv_loop_t *loop, const char *server, pc_driver_names_done done, void *context,
                        struct pc_driver_names **ret_names, struct pc_reason *ret_reason);
/* The name server as it was given, as long as names are open; NULL: those of the system. */
const char *pc_driver_names_server(const struct pc_driver_names *names);
/* Ask; `deadline_ms` from now. ENOMEM; ELIMIT: over PC_DRIVER_RESOLVE_QUERIES_MAX (the plan has far fewer). After a failure
 * `done` is not called. */
int pc_driver_names_resolve(struct pc_driver_names *names, const struct pc_name_question *question,
                            int64_t deadline_ms);
/* No answer is wanted any more; `done` is not called. A number that is not under way does nothing. */
void pc_driver_names_cancel(struct pc_driver_names *names, uint64_t number);
/* Cancel all and free it: the loop must run to its end for that. `done` is not called any more. NULL does nothing. */
void pc_driver_names_close(struct pc_driver_names *names);

#endif
