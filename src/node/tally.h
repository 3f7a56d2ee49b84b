/* How often strangers said each text (agents, protocols): counted, bounded, the most frequent first. */
#ifndef PC_NODE_TALLY_H
#define PC_NODE_TALLY_H

#include "base/map.h"

#include <peercache/node.h>

#define PC_TALLY_TEXTS_MAX  1000 /* different ones; further ones count as others */
#define PC_TALLY_TEXT_BYTES 128  /* with the NUL; longer ones are cut */

struct pc_tally {
    struct pc_map by_text;
    uint32_t others;         /* times a text was said for which there was no room, or no memory */
    peercache_counted *list; /* as it was asked for last */
};

void pc_node_tally_init(struct pc_tally *tally, const uint8_t secret[16]);
void pc_node_tally_deinit(struct pc_tally *tally);
/* A text of any bytes; a NUL in it becomes '?'. */
void pc_node_tally_add(struct pc_tally *tally, struct pc_bytes text);
/* All, most frequent first, equal ones in the order of their bytes; valid until the next call. ENOMEM: none. */
int pc_node_tally_list(struct pc_tally *tally, const peercache_counted **ret_list, size_t *ret_count);

#endif
