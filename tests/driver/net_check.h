/* A loop, a resolver and a fetcher for each case, and what the servers beside the program (with_servers.py) told. */
#ifndef TESTS_DRIVER_NET_CHECK_H
#define TESTS_DRIVER_NET_CHECK_H

#include "../unit/check.h"

#include "driver/fetch.h"
#include "driver/resolve.h"

#define PATIENCE_MS 8000 /* for what should be at once */
#define SHORT_MS    300  /* a deadline that passes */

extern uv_loop_t loop;
extern struct pc_driver_resolver *resolver; /* asks dnsmasq */
extern struct pc_driver_fetcher *fetcher;   /* trusts the authority of the tests */

/* A variable of the environment; the case fails without it. */
const char *told(const char *name);
bool has_ip6(void);
/* scheme://host:PORT/path of the port with this name, until the next. */
const char *url_of(const char *scheme, const char *host, const char *port_name, const char *path);
/* Of nginx, and of the server that breaks the rules. */
const char *http(const char *path);
const char *raw(const char *path);
const char *https(const char *port_name, const char *path);
/* "127.0.0.1:PORT" of the port with this name. */
const char *local(const char *port_name, char ret_text[64]);
/* Names that are open under /proc/self, "fd" or "task". */
size_t count_own(const char *what);

/* setup opens all; teardown closes what is open, runs the loop to its end and finds every descriptor closed. */
int net_setup(void **state);
int net_teardown(void **state);
void open_all(const char *server, const char *ca_file);
void close_all(void);
/* Run the loop until the flag. */
void run_until(const bool *flag);

#endif
