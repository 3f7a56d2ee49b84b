/* Texts without the addresses of peers, for logs that are shown to others. */
#ifndef PC_OBSERVE_REDACT_H
#define PC_OBSERVE_REDACT_H

#include "observe/text.h"

/*
 * Put a text without the addresses in it: IPv4 becomes x.x.x.x and IPv6 x::x wherever they stand, and what follows
 * /dns, /dns4, /dns6, /dnsaddr, /sni, /onion, /onion3, /garlic32 and /garlic64 in a multiaddr becomes x. Ports and peer
 * ids stay. When in doubt it hides: four numbers with dots between are an address, whatever they are.
 */
void pc_observe_redact(struct pc_observe_text *text, const char *from);

#endif
