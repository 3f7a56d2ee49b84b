/*
 * An HTTP server for those who look after a node, with libmicrohttpd on the loop: no thread, nothing but GET and HEAD,
 * one request a connection. What is answered is for the caller to say.
 *
 * It bears strangers: a connection ends PC_DRIVER_HTTP_CONNECTION_MS after it began, whatever it does; when
 * PC_DRIVER_HTTP_CONNECTIONS_MAX are open the oldest gives way; a request has PC_DRIVER_HTTP_MEMORY_BYTES for its
 * line and headers. Served on loopback, a request must not name a host (Host: somewhere.example): a web page that has its
 * name lead here would otherwise read what is answered.
 */
#ifndef PC_DRIVER_HTTP_SERVER_H
#define PC_DRIVER_HTTP_SERVER_H

#include "driver/http_listen.h"
#include "observe/answer.h"

#include <uv.h>

#define PC_DRIVER_HTTP_CONNECTIONS_MAX  64
#define PC_DRIVER_HTTP_CONNECTION_MS    10000
#define PC_DRIVER_HTTP_MEMORY_BYTES     16384 /* over it: 431, 414 or 413 */
#define PC_DRIVER_HTTP_TARGET_MAX_BYTES 1024  /* over it: 414 */

struct pc_driver_http_server;

/* On the loop's thread, never within a call of this room. *ret_answer is all zero, its body becomes the server's. */
typedef void (*pc_driver_http_answer)(void *context, const struct pc_observe_request *request,
                                      struct pc_observe_answer *ret_answer);

struct pc_driver_http_options {
    struct pc_driver_http_place place;
    pc_driver_http_answer answer;
    void *context;
    int64_t connection_ms; /* 0: PC_DRIVER_HTTP_CONNECTION_MS */
};

/* The loop is borrowed. Errors of pc_driver_http_listen; ENOMEM; EIO libmicrohttpd cannot be started; EUNSUPPORTED it has
 * no epoll here; with the reason. */
int pc_driver_http_server_new(uv_loop_t *loop, const struct pc_driver_http_options *options,
                              struct pc_driver_http_server **ret_server, struct pc_reason *ret_reason);
/* Where it is served, the port that the system chose included; valid until close. */
const struct pc_driver_http_place *pc_driver_http_server_place(const struct pc_driver_http_server *server);
size_t pc_driver_http_server_connections(const struct pc_driver_http_server *server);
/* Cut all connections, remove the socket file; its memory goes once the loop has run. NULL does nothing. */
void pc_driver_http_server_close(struct pc_driver_http_server *server);

#endif
