/*
 * Which addresses may be dialled: lists of networks in CIDR form, allowed (VPN and cluster addresses) and denied
 * (a provider's forbidden ranges). The longest prefix that holds the address decides; of equal ones denial
 * wins. An address in none is left to the caller's other rules (public or private).
 */
#ifndef PC_JOIN_FILTER_H
#define PC_JOIN_FILTER_H

#include "addr/multiaddr.h"

#include <peercache/types.h>

#define PC_JOIN_FILTER_MAX 256 /* networks of both lists */

enum pc_filter_verdict {
    PC_FILTER_SILENT, /* in none of the networks */
    PC_FILTER_ALLOWED,
    PC_FILTER_DENIED,
};

struct pc_cidr {
    uint8_t family; /* 4 or 6 */
    uint8_t ip[16]; /* bits beyond the prefix are zero */
    uint8_t prefix_bits;
    bool allowed;
};

struct pc_join_filter {
    size_t count;
    struct pc_cidr networks[PC_JOIN_FILTER_MAX];
};

/* Add "192.0.2.0/24", "2001:db8::/32" or a single IP. EPARSE: no IP or no prefix of it, or bits set beyond the prefix
 * (most likely a slip). ELIMIT. */
int pc_join_filter_add(struct pc_join_filter *filter, const char *text, bool allowed,
                       struct pc_reason *ret_reason);
/* IPv4-mapped IPv6 is judged as IPv4. */
enum pc_filter_verdict pc_join_filter_judge(const struct pc_join_filter *filter,
                                            const struct pc_ip_port *address);

#endif
