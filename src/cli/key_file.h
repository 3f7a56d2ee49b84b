/* The file of a node's private key: the libp2p protobuf, mode 0600. */
#ifndef PC_CLI_KEY_FILE_H
#define PC_CLI_KEY_FILE_H

#include "base/bytes.h"
#include "libp2p/identity.h"

/*
 * Read the key, or make a fresh Ed25519 one when there is no file (whole or not at all: it is written aside
 * and linked into place, so that two processes that start at once end up with one key). Directories are made
 * 0700. *ret_made tells. Errors, with path and cause in the reason: EPERM; EFORMAT not a regular file, or
 * empty, or over PC_PRIVATE_KEY_MAX_BYTES; EIO. What the bytes are is not looked at.
 */
int pc_cli_key_load_or_make(const char *path, uint8_t ret_key[PC_PRIVATE_KEY_MAX_BYTES], size_t *ret_size,
                            bool *ret_made, struct pc_reason *ret_reason);

#endif
