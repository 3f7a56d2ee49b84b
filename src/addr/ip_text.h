/*
 * IP addresses to and from text: IPv4 as four decimal numbers without leading zeroes, IPv6 as RFC 4291 reads
 * and RFC 5952 writes it. What is accepted is what Go's net.ParseIP accepts, on which go-multiaddr stands.
 */
#ifndef PC_ADDR_IP_TEXT_H
#define PC_ADDR_IP_TEXT_H

#include "base/cursor.h"

#define PC_IP4_BYTES 4
#define PC_IP6_BYTES 16

/* Either family; IPv4 comes out as IPv4-mapped IPv6. EPARSE. */
int pc_addr_ip_parse(struct pc_bytes text, uint8_t ret_ip[PC_IP6_BYTES]);
/* ::ffff:0:0/96, that is, an IPv4 address in its last four bytes. */
bool pc_addr_ip_is_mapped(const uint8_t ip[PC_IP6_BYTES]);
void pc_addr_ip4_write(struct pc_writer *w, const uint8_t ip[PC_IP4_BYTES]);
void pc_addr_ip6_write(struct pc_writer *w, const uint8_t ip[PC_IP6_BYTES]);

/* A number without sign: digits only, leading zeroes allowed. EPARSE: no digit, another character, over
 * `maximum`. */
int pc_addr_decimal_parse(struct pc_bytes text, uint64_t maximum, uint64_t *ret_number);
void pc_addr_decimal_write(struct pc_writer *w, uint64_t number);

#endif
