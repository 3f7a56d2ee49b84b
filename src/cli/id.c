/* peercache id: the peer id of a key file. */
#include "cli/commands.h"
#include "cli/key_file.h"
#include "cli/session.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

/* Without --key: the file `key` beside the default cache. */
static int key_path(const struct pc_cli_options *o, char ret_path[PC_CLI_PATH_BYTES],
                    struct pc_reason *ret_reason)
{
    struct pc_cli_options place = *o;
    char cache[PC_CLI_PATH_BYTES];
    place.cache = NULL;
    place.no_cache = false;
    if (o->key) {
        if (strlen(o->key) >= PC_CLI_PATH_BYTES) {
            pc_base_reason(ret_reason, "--key: the path is longer than %d bytes", PC_CLI_PATH_BYTES - 1);
            return PEERCACHE_ELIMIT;
        }
        memcpy(ret_path, o->key, strlen(o->key) + 1);
        return 0;
    }
    int error = pc_cli_cache_path(&place, cache, ret_reason);
    if (error) {
        pc_base_reason(ret_reason, "there is no default place for the key; give --key FILE");
        return error;
    }
    char *slash = strrchr(cache, '/');
    size_t directory = slash ? (size_t)(slash + 1 - cache) : 0;
    if (directory + sizeof("key") > PC_CLI_PATH_BYTES) {
        pc_base_reason(ret_reason, "the default place for the key is too long; give --key FILE");
        return PEERCACHE_ELIMIT;
    }
    memcpy(ret_path, cache, directory);
    memcpy(ret_path + directory, "key", sizeof("key"));
    return 0;
}

enum pc_cli_exit pc_cli_id(const struct pc_cli_options *o)
{
    char path[PC_CLI_PATH_BYTES], text[PC_PEER_ID_TEXT_BYTES], cid[128];
    uint8_t key[PC_PRIVATE_KEY_MAX_BYTES];
    size_t size;
    bool made;
    struct pc_reason reason = { "" };
    struct pc_identity *identity = NULL;
    uv_timeval64_t now;

    int error = key_path(o, path, &reason);
    if (error)
        return pc_cli_fail(o->json, PC_CLI_USAGE, "usage", "%s", reason.text);
    error = pc_cli_key_load_or_make(path, key, &size, &made, &reason);
    if (error)
        return pc_cli_fail(o->json, pc_cli_error_exit(error), pc_cli_error_code(error), "%s", reason.text);
    (void)uv_gettimeofday(&now); /* fails only on a bad pointer */
    error = pc_libp2p_identity_new(pc_bytes_of(key, size), now.tv_sec * 1000 + now.tv_usec / 1000, &identity,
                                   &reason);
    sodium_memzero(key, sizeof(key));
    if (error)
        return pc_cli_fail(o->json, pc_cli_error_exit(error), pc_cli_error_code(error),
                           "key file %s holds no usable libp2p private key: %s", path,
                           *reason.text ? reason.text : peercache_strerror(error));
    pc_addr_peer_id_format(pc_libp2p_identity_id(identity), text);
    error = pc_addr_peer_id_format_cid(pc_libp2p_identity_id(identity), cid, sizeof(cid));
    pc_libp2p_identity_free(identity);
    if (error)
        return pc_cli_fail(o->json, PC_CLI_COULD_NOT, pc_cli_error_code(error),
                           "the peer id can't be written as a CID");
    if (made)
        pc_cli_note("made a new key in %s", path);
    if (o->json)
        return pc_cli_json_print(json_pack("{s:s,s:s,s:o,s:b}", "id", text, "cid", cid, "key",
                                           pc_cli_json_text(path), "made", (int)made))
                   ? PC_CLI_DONE
                   : PC_CLI_COULD_NOT;
    printf("%s\n", text);
    return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}
