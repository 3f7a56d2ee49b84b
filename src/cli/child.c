#include "cli/child.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_closed(uv_handle_t *handle)
{
    struct pc_cli_child *child = (struct pc_cli_child *)handle->data;
    if (--child->open > 0)
        return;
    for (int i = 0; i < 2; i++) {
        free(child->outputs[i].line);
        child->outputs[i].line = NULL;
    }
    if (child->started_us && child->on_done)
        child->on_done(child);
}

static void close_once(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
    (void)handle;
    ret_buffer->base = (char *)malloc(suggested);
    ret_buffer->len = ret_buffer->base ? suggested : 0;
}

/* Keep the bytes of a line; what is over the limit, or finds no memory, is cut. */
static void line_add(struct pc_cli_child_output *output, const char *data, size_t size)
{
    if (output->length + size >= PC_CLI_CHILD_LINE_BYTES)
        size = PC_CLI_CHILD_LINE_BYTES - 1 - output->length;
    if (output->length + size >= output->capacity) {
        size_t capacity = 2 * (output->length + size) + 256;
        char *line = (char *)realloc(output->line, capacity);
        if (!line)
            return;
        output->line = line;
        output->capacity = capacity;
    }
    memcpy(output->line + output->length, data, size);
    output->length += size;
}

static void line_end(struct pc_cli_child *child, int which)
{
    struct pc_cli_child_output *output = &child->outputs[which];
    if (!output->line)
        return;
    output->line[output->length] = '\0';
    output->length = 0;
    child->on_line(child, which, output->line);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct pc_cli_child *child = (struct pc_cli_child *)stream->data;
    int which = (uv_stream_t *)&child->outputs[0].pipe == stream ? 0 : 1;
    struct pc_cli_child_output *output = &child->outputs[which];
    const char *at = buffer->base;
    size_t left = size > 0 ? (size_t)size : 0;

    while (left > 0) {
        const char *newline = (const char *)memchr(at, '\n', left);
        size_t part = newline ? (size_t)(newline - at) : left;
        line_add(output, at, part);
        if (newline) {
            line_end(child, which);
            part++;
        }
        at += part;
        left -= part;
    }
    free(buffer->base);
    if (size < 0) {
        if (output->length > 0)
            line_end(child, which);
        close_once((uv_handle_t *)stream);
    }
}

static void on_exit_of_child(uv_process_t *process, int64_t exit_status, int term_signal)
{
    struct pc_cli_child *child = (struct pc_cli_child *)process->data;
    child->running = false;
    child->exit_status = term_signal ? 128 + term_signal : exit_status;
    child->exited_us = (int64_t)(uv_hrtime() / 1000);
    close_once((uv_handle_t *)process);
}

static bool is_option(const char *variable)
{
    static const char prefix[] = "PEERCACHE_";
    return strncmp(variable, prefix, sizeof(prefix) - 1) == 0;
}

/* Our environment without the variables that are options: a child is told all it needs by its arguments. To be freed; its texts
 * are borrowed. */
static char **environment_new(void)
{
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **copy = (char **)calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++)
        if (!is_option(environ[i]))
            copy[kept++] = environ[i];
    return copy;
}

int pc_cli_child_start(struct pc_cli_child *child, uv_loop_t *loop, const char *const *arguments)
{
    char path[4096];
    size_t path_size = sizeof(path);
    uv_stdio_container_t stdio[3] = { { .flags = UV_IGNORE } };
    uv_process_options_t options = { 0 };
    int error = uv_exepath(path, &path_size);
    if (error)
        return error;
    options.env = environment_new();
    if (!options.env)
        return UV_ENOMEM;
    for (int i = 0; i < 2; i++) {
        error = uv_pipe_init(loop, &child->outputs[i].pipe, 0);
        if (error)
            goto close_pipes;
        child->outputs[i].pipe.data = child;
        child->open++;
        stdio[i + 1].flags = (uv_stdio_flags)(UV_CREATE_PIPE | UV_WRITABLE_PIPE);
        stdio[i + 1].data.stream = (uv_stream_t *)&child->outputs[i].pipe;
    }
    options.exit_cb = on_exit_of_child;
    options.file = path;
    options.args = (char **)(uintptr_t)arguments; /* libuv only hands them to execvp */
    options.stdio_count = 3;
    options.stdio = stdio;
    child->process.data = child;
    error = uv_spawn(loop, &child->process, &options);
    free(options.env);
    options.env = NULL;
    child->open++; /* also after a failure the handle is the loop's until closed */
    if (error) {
        close_once((uv_handle_t *)&child->process);
        goto close_pipes;
    }
    child->started_us = (int64_t)(uv_hrtime() / 1000);
    child->running = true;
    for (int i = 0; i < 2; i++)
        if (uv_read_start((uv_stream_t *)&child->outputs[i].pipe, on_allocate, on_read) != 0)
            close_once((uv_handle_t *)&child->outputs[i].pipe);
    return 0;
close_pipes:
    free(options.env);
    pc_cli_child_close_outputs(child);
    return error;
}

void pc_cli_child_signal(struct pc_cli_child *child, int signal_number)
{
    if (child->running)
        (void)uv_process_kill(&child->process, signal_number); /* it may have exited in this moment */
}

void pc_cli_child_close_outputs(struct pc_cli_child *child)
{
    for (int i = 0; i < 2; i++)
        if (child->outputs[i].pipe.data)
            close_once((uv_handle_t *)&child->outputs[i].pipe);
}
