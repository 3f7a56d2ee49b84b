/*
 * Descriptions of networks: which Kademlia protocol a network speaks, and where its public bootstrap peers and
 * its endpoints are. INI, one file a network, named like it:
 *
 *   kad_protocol = /ipfs/kad/1.0.0
 *   bootstrap = /dnsaddr/bootstrap.example/p2p/Qm…      as often as there are peers
 *   endpoint = https://peers.example/v1                 as often as there are endpoints
 *   network_version = 1_1.0                             what answers must say, of formats that say one
 *
 * Users' own come first ($XDG_CONFIG_HOME/peercache/networks or ~/.config/…), then those of the system
 * (<sysconfdir>/peercache/networks), then those built in (data/networks).
 */
#ifndef PC_DRIVER_NETWORK_H
#define PC_DRIVER_NETWORK_H

#include "base/bytes.h"
#include "join/endpoints.h"

#include <peercache/types.h>

#define PC_DRIVER_NETWORK_NAME_BYTES    64 /* the NUL included */
#define PC_DRIVER_KAD_PROTOCOL_BYTES    128
#define PC_DRIVER_NETWORK_BOOTSTRAP_MAX 32
#define PC_DRIVER_NETWORK_FILE_BYTES    65536
#define PC_DRIVER_NETWORK_LINE_BYTES    196 /* what libinih reads of a line */
#define PC_DRIVER_NETWORK_VERSION_BYTES 64
#define PC_DRIVER_NETWORK_KNOWN_MAX     64 /* names that are listed */
#define PC_DRIVER_NETWORK_PATH_BYTES    4096

struct pc_driver_network {
    char name[PC_DRIVER_NETWORK_NAME_BYTES];
    char kad_protocol[PC_DRIVER_KAD_PROTOCOL_BYTES];
    size_t bootstrap_count;
    char bootstrap[PC_DRIVER_NETWORK_BOOTSTRAP_MAX][PEERCACHE_ADDR_TEXT_BYTES];
    size_t endpoint_count;
    char endpoints[PC_JOIN_ENDPOINTS_MAX][PC_DRIVER_NETWORK_LINE_BYTES + 1]; /* URLs that may be asked */
    char network_version[PC_DRIVER_NETWORK_VERSION_BYTES];                   /* "": any will do */
};

/* A name that is a file name and nothing more: not empty, no '/', no leading dot, short. */
bool pc_driver_network_name_valid(const char *name);
/* "/a/b": two parts at least, none empty, printable ASCII without blanks, short. */
bool pc_driver_kad_protocol_valid(const char *protocol);

/* Folders to look in, the first wins; a NULL or missing one is passed over. */
struct pc_driver_network_dirs {
    char user[PC_DRIVER_NETWORK_PATH_BYTES]; /* "" none */
    char system[PC_DRIVER_NETWORK_PATH_BYTES];
};
/* Those of this process's environment. A machine without a home has only the system's. */
void pc_driver_network_dirs_of_environment(struct pc_driver_network_dirs *ret_dirs);

/* Read a description. `where` names it in the reason. EPARSE: not INI, an unknown key, kad_protocol missing,
 * twice or malformed, a bootstrap that is no multiaddr, an endpoint that can't be asked, network_version twice or
 * no word; ELIMIT; ENOMEM. */
int pc_driver_network_parse(const char *name, const char *text, size_t size, const char *where,
                            struct pc_driver_network *ret_network, struct pc_reason *ret_reason);
/*
 * Find a network's description. ENOTFOUND with a reason that lists the known names; EPARSE and ELIMIT as
 * above; EIO or EPERM a file that is there can't be read.
 */
int pc_driver_network_find(const char *name, const struct pc_driver_network_dirs *dirs,
                           struct pc_driver_network *ret_network, struct pc_reason *ret_reason);
/* Names of the known networks, sorted, each once; returns how many. Those beyond the room are left out. */
size_t pc_driver_network_known(const struct pc_driver_network_dirs *dirs,
                               char ret_names[][PC_DRIVER_NETWORK_NAME_BYTES], size_t capacity);

/* The built-in ones, made from data/networks when building; the last has a NULL name. */
struct pc_driver_network_built_in {
    const char *name;
    const char *text;
};
extern const struct pc_driver_network_built_in pc_driver_networks_built_in[];

#endif
