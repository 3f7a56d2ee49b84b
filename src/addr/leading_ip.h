/* What stands at the head of an address that begins with an IP; of use within this room only. */
#ifndef PC_ADDR_LEADING_IP_H
#define PC_ADDR_LEADING_IP_H

#include "addr/multiaddr.h"

struct pc_leading_ip {
    struct pc_bytes zone;      /* of a leading ip6zone; size 0: none */
    struct pc_ip_port address; /* IPv4-mapped IPv6 as IPv4; port 0 when there is no transport; no scope id */
    struct pc_bytes rest;      /* behind the IP */
    uint32_t transport;        /* the code of UDP, TCP, DCCP or SCTP right behind the IP; 0: none of them */
    struct pc_bytes above;     /* behind the transport */
};

/* ENOTFOUND: the address is malformed up to there or begins with something else. */
int pc_addr_leading_ip(struct pc_bytes addr, struct pc_leading_ip *ret_leading);

/*
 * Whether it is /ip4/IP/udp/PORT/quic-v1 and nothing more, told by its bytes: what nearly all addresses of peers are, so that
 * they are known without taking every part apart.
 */
#define PC_PLAIN_IP4_BYTES 11
static inline bool pc_addr_is_plain_ip4(struct pc_bytes addr)
{
    /* the codes 4, 273 and 461 as varints */
    return addr.size == PC_PLAIN_IP4_BYTES && addr.data[0] == 0x04 && addr.data[5] == 0x91 &&
           addr.data[6] == 0x02 && addr.data[9] == 0xcd && addr.data[10] == 0x03;
}

/* family 4 or 6; IPv4-mapped IPv6 becomes IPv4. */
void pc_addr_ip_port_set(uint8_t family, const uint8_t *ip, uint16_t port, struct pc_ip_port *ret_ip_port);
/* fe80::/10, the only addresses that have a scope. */
bool pc_addr_ip_is_link_local(const struct pc_ip_port *address);

/* The protocols whose value is a port. */
static inline bool pc_addr_has_port(uint32_t code)
{
    return code == PC_MA_UDP || code == PC_MA_TCP || code == PC_MA_DCCP || code == PC_MA_SCTP;
}

static inline bool pc_addr_is_dns(uint32_t code)
{
    return code == PC_MA_DNS || code == PC_MA_DNS4 || code == PC_MA_DNS6 || code == PC_MA_DNSADDR;
}

#endif
