/*
 * The network an address lies in, so that many addresses of one owner count as one: IPv4 /16, IPv6 /32;
 * Teredo (2001::/32), 6to4 (2002::/16), NAT64 (64:ff9b::/96) and IPv4-mapped by the IPv4 inside. In local
 * mode each ip:port is its own group. After Bitcoin Core's netgroup rules.
 *
 * A hidden service of Tor (onion, onion3) or I2P (garlic32, garlic64) lies in one of 16 groups of its
 * network, in either mode, by the first four bits of its key or hash. Keys cost nothing, so a group by the
 * whole key would be no bound at all: the owner of any number of keys holds 16 groups at most. One group for
 * all would let him hold it all the same, and leave a cache of such peers only one group's share.
 */
#ifndef PC_ADDR_NETGROUP_H
#define PC_ADDR_NETGROUP_H

#include "addr/multiaddr.h"

enum pc_netgroup_mode {
    PC_NETGROUP_PUBLIC,
    PC_NETGROUP_LOCAL,
};

struct pc_netgroup {
    uint8_t size; /* 0: no group (a name, a network unknown to us) */
    uint8_t bytes[19];
};

/* Of an address that begins with an IP, its port being that of a udp, tcp, dccp or sctp right behind, or with
 * a hidden service. Relayed addresses have no group. */
struct pc_netgroup pc_addr_netgroup(struct pc_bytes addr, enum pc_netgroup_mode mode);
struct pc_netgroup pc_addr_netgroup_of_ip_port(const struct pc_ip_port *address, enum pc_netgroup_mode mode);
static inline bool pc_addr_netgroup_equal(const struct pc_netgroup *a, const struct pc_netgroup *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* Whether an IP may be stored and dialled. */
enum pc_addr_scope {
    PC_SCOPE_PUBLIC,
    PC_SCOPE_PRIVATE,  /* loopback, link-local, RFC 1918, RFC 4193, RFC 6598, documentation and benchmark
                          ranges */
    PC_SCOPE_UNUSABLE, /* unspecified, multicast, broadcast and reserved, port 0 */
};
/* A transition address has the scope of the IPv4 address inside. */
enum pc_addr_scope pc_addr_scope_of(const struct pc_ip_port *address);

/*
 * The rule of what is stored (also what of others' answers is dialled): 0 and *ret_addr normal (IPv4-mapped
 * as IPv4, closing /p2p/IDs cut off), or EUNSUPPORTED with a reason: relay, unspecified, multicast, private
 * without local mode, a DNS name (unless names_allowed). Transports other than QUIC v1 over an IP address are
 * stored: other stacks dial them. So are hidden services of Tor and I2P, in either mode (a garlic64 is over
 * the limit). Also refused, with EUNSUPPORTED: no udp, tcp, dccp or sctp port behind the IP; names (sni as
 * well) and zones that are not printable ASCII; a zone before an address that is not link-local; anywhere in
 * the address, what nobody else can dial (unix, memory), what is no single address (ipcidr), and plaintextv2,
 * which proves nobody's id. EPARSE: malformed. ELIMIT: over PC_MADDR_MAX_BYTES.
 */
int pc_addr_storable(struct pc_bytes addr, enum pc_netgroup_mode mode, bool names_allowed,
                     struct pc_maddr *ret_addr, struct pc_reason *ret_reason);

#endif
