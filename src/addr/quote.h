/* A piece of foreign text inside a reason: short and harmless to a terminal, a log line or JSON. */
#ifndef PC_ADDR_QUOTE_H
#define PC_ADDR_QUOTE_H

#include "base/bytes.h"

struct pc_quote {
    char text[72];
};

/* In quotation marks, cut to 60 characters (then "..." follows); what is not printable ASCII is shown as '?'.
 */
struct pc_quote pc_addr_quote(struct pc_bytes text);

#endif
