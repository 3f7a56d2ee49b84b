/*
 * Where -o leads: a file is written beside its place under another name and then put there whole, so that nobody ever sees
 * half of it; a pipe or a device is written in place. Without -o it is standard output.
 */
#ifndef PC_CLI_OUTPUT_FILE_H
#define PC_CLI_OUTPUT_FILE_H

#include "cli/output.h"
#include "cli/session.h"

#include <stdio.h>

struct pc_cli_output_file {
    FILE *file;
    const char *name; /* as given, NULL for standard output; borrowed */
    int error_number; /* of writing; 0: none */
    uint64_t written_bytes;
    char path[PC_CLI_PATH_BYTES];      /* "" for standard output */
    char temporary[PC_CLI_PATH_BYTES]; /* "" when it is written in place: standard output, a pipe, a device */
};

/* NULL: standard output. Not PC_CLI_DONE: it was said why; deinit in any case, also of one that is all zero. */
enum pc_cli_exit pc_cli_output_file_open(struct pc_cli_output_file *output, const char *name, bool json);
/* EIO, and error_number says why. */
int pc_cli_output_file_write(struct pc_cli_output_file *output, const void *data, size_t size);
/* Say that writing failed, as error_number has it. */
enum pc_cli_exit pc_cli_output_file_failed(const struct pc_cli_output_file *output, bool json);
/* Everything is on disk and in its place. Not PC_CLI_DONE: it was said why. */
enum pc_cli_exit pc_cli_output_file_finish(struct pc_cli_output_file *output, bool json);
/* What was not finished is taken away. */
void pc_cli_output_file_deinit(struct pc_cli_output_file *output);

#endif
