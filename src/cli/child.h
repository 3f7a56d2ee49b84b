/*
 * A child process of the demo on a libuv loop: this program again with other arguments, its two outputs read
 * line by line. It ends by its pid only, and is done when it has exited and both its outputs are at their
 * end.
 */
#ifndef PC_CLI_CHILD_H
#define PC_CLI_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#define PC_CLI_CHILD_LINE_BYTES (256 * 1024) /* a report of a thousand dials; what is longer is cut */

struct pc_cli_child_output {
    uv_pipe_t pipe;
    char *line;
    size_t length;
    size_t capacity;
};

struct pc_cli_child {
    uv_process_t process;
    struct pc_cli_child_output outputs[2]; /* standard output, standard error */
    int open;                              /* handles that are not closed yet; 0: not started, or done */
    bool running;
    int64_t exit_status; /* once it exited; 128 + the signal that ended it */
    int64_t started_us;  /* on the clock of uv_hrtime */
    int64_t exited_us;
    /* a line without its newline, from standard output (0) or error (1) */
    void (*on_line)(struct pc_cli_child *child, int output, const char *line);
    void (*on_done)(struct pc_cli_child *child);
    void *context;
};

/* Start it; the callbacks and context are set before. 0, or a libuv error; then on_done is not called, but
 * the loop must still run to close what was begun. */
int pc_cli_child_start(struct pc_cli_child *child, uv_loop_t *loop, const char *const *arguments);
/* Send it a signal, by its pid, if it still runs. */
void pc_cli_child_signal(struct pc_cli_child *child, int signal_number);
/* Stop reading: its outputs are closed whatever holds them open. */
void pc_cli_child_close_outputs(struct pc_cli_child *child);

#endif
