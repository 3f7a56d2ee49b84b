/*
 * Multiaddr: text to bytes and back, from one table with one row a protocol (multiformats/multiaddr,
 * multicodec table.csv; go-multiaddr decides what is valid and what is canonical). A multiaddr in bytes is a
 * sequence of (varint code, value); in text of /name/value. The value of a path protocol (unix) takes the
 * rest of the text, '/' and all: it ends the address.
 */
#ifndef PC_ADDR_MULTIADDR_H
#define PC_ADDR_MULTIADDR_H

#include "addr/peer_id.h"
#include "base/bytes.h"

/* The codes of the multicodec table that this room knows. */
enum pc_multiaddr_code {
    PC_MA_IP4 = 4,
    PC_MA_TCP = 6,
    PC_MA_DCCP = 33,
    PC_MA_IP6 = 41,
    PC_MA_IP6ZONE = 42,
    PC_MA_IPCIDR = 43,
    PC_MA_DNS = 53,
    PC_MA_DNS4 = 54,
    PC_MA_DNS6 = 55,
    PC_MA_DNSADDR = 56,
    PC_MA_SCTP = 132,
    PC_MA_UDP = 273,
    PC_MA_P2P_WEBRTC_DIRECT = 276,
    PC_MA_WEBRTC_DIRECT = 280,
    PC_MA_WEBRTC = 281,
    PC_MA_P2P_CIRCUIT = 290,
    PC_MA_UDT = 301,
    PC_MA_UTP = 302,
    PC_MA_UNIX = 400,
    PC_MA_P2P = 421,
    PC_MA_HTTPS = 443,
    PC_MA_ONION = 444,
    PC_MA_ONION3 = 445,
    PC_MA_GARLIC64 = 446,
    PC_MA_GARLIC32 = 447,
    PC_MA_TLS = 448,
    PC_MA_SNI = 449,
    PC_MA_NOISE = 454,
    PC_MA_QUIC = 460,
    PC_MA_QUIC_V1 = 461,
    PC_MA_WEBTRANSPORT = 465,
    PC_MA_CERTHASH = 466,
    PC_MA_WS = 477,
    PC_MA_WSS = 478,
    PC_MA_HTTP = 480,
    PC_MA_HTTP_PATH = 481,
    PC_MA_MEMORY = 777,
    PC_MA_PLAINTEXTV2 = 7367777,
};

/* Limits of the general codec. */
#define PC_MULTIADDR_MAX_BYTES 2048
#define PC_MULTIADDR_TEXT_BYTES                                                                              \
    20480 /* room for 2048 bytes of any protocols: 2 bytes make 18 characters at most (p2p-webrtc-direct) */
/* An address as we store and dial it, by value; longer ones are not kept. */
#define PC_MADDR_MAX_BYTES 246

struct pc_maddr {
    uint16_t size;
    uint8_t bytes[PC_MADDR_MAX_BYTES];
};

/* Text to bytes. EPARSE: not valid, the reason names the part. ELIMIT: over `capacity` or
 * PC_MULTIADDR_MAX_BYTES. On failure ret_bytes may be written to. */
int pc_addr_multiaddr_parse(const char *text, size_t length, uint8_t *ret_bytes, size_t capacity,
                            size_t *ret_size, struct pc_reason *ret_reason);
/* Bytes to canonical text, NUL-terminated. EPARSE: not valid, or empty. ELIMIT: over `capacity` or
 * PC_MULTIADDR_MAX_BYTES. On failure ret_text may be written to. */
int pc_addr_multiaddr_format(struct pc_bytes addr, char *ret_text, size_t capacity,
                             struct pc_reason *ret_reason);

/* One part of a multiaddr. */
struct pc_multiaddr_part {
    uint32_t code;
    struct pc_bytes value; /* without its length prefix; empty for protocols without a value */
    struct pc_bytes whole; /* the part with code and length */
};
/*
 * The next part: *rest is what follows and is moved on. 1 a part, 0 the end, EPARSE malformed (a value that
 * is not valid included) or a protocol unknown.
 */
int pc_addr_multiaddr_next(struct pc_bytes *rest, struct pc_multiaddr_part *ret_part);

/* As above, to and from the value type. */
int pc_addr_maddr_parse(const char *text, size_t length, struct pc_maddr *ret_addr,
                        struct pc_reason *ret_reason);
/* Checks the bytes whole (every part valid). EPARSE, ELIMIT. */
int pc_addr_maddr_from_bytes(struct pc_bytes bytes, struct pc_maddr *ret_addr);
static inline struct pc_bytes pc_addr_maddr_bytes(const struct pc_maddr *addr)
{
    return pc_bytes_of(addr->bytes, addr->size);
}
/*
 * Split a closing /p2p/ID off. ret_addr is what stands before it, ret_id the id (size 0 when there is none).
 * EPARSE: malformed, or an id of a kind we don't know. ELIMIT: what stands before it is over
 * PC_MADDR_MAX_BYTES.
 */
int pc_addr_multiaddr_split(struct pc_bytes addr, struct pc_maddr *ret_addr, struct pc_peer_id *ret_id);
/* Text of an address (it may be empty) with /p2p/ID behind it when the id is known. EPARSE: malformed, or it
 * ends in a path, which would swallow the id. ELIMIT. */
int pc_addr_format_with_id(struct pc_bytes addr, const struct pc_peer_id *id, char *ret_text,
                           size_t capacity);

/* Where datagrams go. */
struct pc_ip_port {
    uint8_t family;    /* 4, 6, or 0: none */
    uint8_t ip[16];    /* network order; IPv4 uses the first four */
    uint16_t port;     /* host order */
    uint32_t scope_id; /* of an IPv6 link-local address, else 0 */
};
bool pc_addr_ip_port_equal(const struct pc_ip_port *a, const struct pc_ip_port *b);
/* "192.0.2.1:4001", "[2001:db8::1]:4001", "[fe80::1%2]:4001"; "none" when there is none. */
#define PC_IP_PORT_TEXT_BYTES 64
void pc_addr_ip_port_format(const struct pc_ip_port *address, char ret_text[PC_IP_PORT_TEXT_BYTES]);
#define PC_IP_PORT_REQUIRED (-1)
/* From the same texts, without a scope. Without a port ("192.0.2.1", "2001:db8::1", "[2001:db8::1]") it is
 * `default_port`, or EPARSE when that is PC_IP_PORT_REQUIRED. IPv4-mapped IPv6 becomes IPv4. EPARSE. */
int pc_addr_ip_port_parse(const char *text, int32_t default_port, struct pc_ip_port *ret_address);
/* /ip4|ip6/…/udp/…/quic-v1 of it, behind an ip6zone when it has a scope id. IPv4-mapped IPv6 becomes IPv4;
 * none becomes the empty address. */
void pc_addr_from_ip_port(const struct pc_ip_port *address, struct pc_maddr *ret_addr);

/* What an address is to us, without its /p2p/ID. */
enum pc_addr_kind {
    PC_ADDR_QUIC_V1, /* ip4 or ip6, udp, quic-v1 and nothing more: dialable */
    PC_ADDR_DNS,     /* dns, dns4, dns6, dnsaddr first: a name to resolve */
    PC_ADDR_RELAY,   /* holds p2p-circuit */
    PC_ADDR_OTHER,   /* valid, another transport or network */
};
/* For QUIC_V1 the ip:port is given (IPv4-mapped IPv6 as IPv4); numeric ip6zone sets scope_id, a named zone is
 * OTHER. For the other kinds *ret_ip_port is none (family 0). */
enum pc_addr_kind pc_addr_classify(struct pc_bytes addr, struct pc_ip_port *ret_ip_port);

#endif
