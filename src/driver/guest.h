/*
 * A guest on the loop: a library (libcurl, c-ares) that opens sockets of its own and says what to wait for. It
 * has its sockets watched, one timer that it sets as it likes, and one deadline. A guest must not be freed
 * until it was closed and `closed` was called.
 */
#ifndef PC_DRIVER_GUEST_H
#define PC_DRIVER_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

/* Called on the loop's thread, never within a call of guest's own functions. None but `closed` comes after
 * pc_driver_guest_close. */
struct pc_driver_guest_calls {
    /* A watched socket can be read (UV_READABLE) or written (UV_WRITABLE); both, when it has failed: the library
     * learns how by reading. */
    void (*ready)(void *context, int fd, int events);
    void (*due)(void *context);      /* the library's timer */
    void (*deadline)(void *context); /* once */
    void (*closed)(void *context);   /* nothing of it is left on the loop: its memory may go */
};

struct pc_driver_guest_socket;

struct pc_driver_guest {
    uv_loop_t *loop;
    const struct pc_driver_guest_calls *calls;
    void *context;
    uv_timer_t timer;
    uv_timer_t deadline;
    struct pc_driver_guest_socket *sockets; /* watched */
    size_t handles;                         /* open or closing */
    bool closing;
};

/* Loop, calls and context are borrowed. */
void pc_driver_guest_open(struct pc_driver_guest *guest, uv_loop_t *loop,
                          const struct pc_driver_guest_calls *calls, void *context, int64_t deadline_ms);
/* Watch a socket for UV_READABLE, UV_WRITABLE or both, from now on; 0: no longer, which must be said before the
 * library closes it. ENOMEM; EIO: uv takes it not. After close it does nothing. */
int pc_driver_guest_watch(struct pc_driver_guest *guest, int fd, int events);
/* The library's timer, from now; below 0: none. */
void pc_driver_guest_timer(struct pc_driver_guest *guest, int64_t wait_ms);
/* Move the deadline to this much from now. */
void pc_driver_guest_deadline(struct pc_driver_guest *guest, int64_t wait_ms);
/* How much is left to the deadline, at least 0. */
int64_t pc_driver_guest_left_ms(const struct pc_driver_guest *guest);
/* Watch nothing more; `closed` follows once the loop has run. A second time does nothing. The library's sockets
 * are its own to close, at once or later. */
void pc_driver_guest_close(struct pc_driver_guest *guest);

#endif
