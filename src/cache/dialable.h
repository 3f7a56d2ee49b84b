/* What an address is dialled by: its transport and family, as the bits of types.h. */
#ifndef PC_CACHE_DIALABLE_H
#define PC_CACHE_DIALABLE_H

#include "addr/multiaddr.h"

#include <peercache/types.h>

struct pc_dialable {
    uint32_t transport; /* one PEERCACHE_TRANSPORT_… */
    uint32_t family;    /* one PEERCACHE_FAMILY_… */
};

/* Of an address without its /p2p/ID. */
struct pc_dialable pc_cache_dialable_of(struct pc_bytes addr);

#endif
