#include "addr/protocol.h"

#include "addr/multiaddr.h"

/* All that go-multiaddr 0.16 knows. The list is searched from its head, where the most frequent stand. */
static const struct pc_protocol protocols[] = {
    { "ip4", PC_MA_IP4, &pc_addr_value_ip4 },
    { "ip6", PC_MA_IP6, &pc_addr_value_ip6 },
    { "udp", PC_MA_UDP, &pc_addr_value_port },
    { "tcp", PC_MA_TCP, &pc_addr_value_port },
    { "quic-v1", PC_MA_QUIC_V1, NULL },
    { "p2p", PC_MA_P2P, &pc_addr_value_peer_id },
    { "p2p-circuit", PC_MA_P2P_CIRCUIT, NULL },
    { "webtransport", PC_MA_WEBTRANSPORT, NULL },
    { "certhash", PC_MA_CERTHASH, &pc_addr_value_certhash },
    { "webrtc-direct", PC_MA_WEBRTC_DIRECT, NULL },
    { "quic", PC_MA_QUIC, NULL },
    { "tls", PC_MA_TLS, NULL },
    { "sni", PC_MA_SNI, &pc_addr_value_domain },
    { "ws", PC_MA_WS, NULL },
    { "wss", PC_MA_WSS, NULL },
    { "dns", PC_MA_DNS, &pc_addr_value_domain },
    { "dns4", PC_MA_DNS4, &pc_addr_value_domain },
    { "dns6", PC_MA_DNS6, &pc_addr_value_domain },
    { "dnsaddr", PC_MA_DNSADDR, &pc_addr_value_domain },
    { "ip6zone", PC_MA_IP6ZONE, &pc_addr_value_zone },
    { "ipcidr", PC_MA_IPCIDR, &pc_addr_value_prefix_size },
    { "dccp", PC_MA_DCCP, &pc_addr_value_port },
    { "sctp", PC_MA_SCTP, &pc_addr_value_port },
    { "udt", PC_MA_UDT, NULL },
    { "utp", PC_MA_UTP, NULL },
    { "webrtc", PC_MA_WEBRTC, NULL },
    { "p2p-webrtc-direct", PC_MA_P2P_WEBRTC_DIRECT, NULL },
    { "noise", PC_MA_NOISE, NULL },
    { "plaintextv2", PC_MA_PLAINTEXTV2, NULL },
    { "http", PC_MA_HTTP, NULL },
    { "https", PC_MA_HTTPS, NULL },
    { "http-path", PC_MA_HTTP_PATH, &pc_addr_value_http_path },
    { "onion", PC_MA_ONION, &pc_addr_value_onion },
    { "onion3", PC_MA_ONION3, &pc_addr_value_onion3 },
    { "garlic32", PC_MA_GARLIC32, &pc_addr_value_garlic32 },
    { "garlic64", PC_MA_GARLIC64, &pc_addr_value_garlic64 },
    { "unix", PC_MA_UNIX, &pc_addr_value_socket_path },
    { "memory", PC_MA_MEMORY, &pc_addr_value_memory },
};

/* Names that were given up, still understood. */
static const struct {
    const char *name;
    const char *today;
} old_names[] = {
    { "ipfs", "p2p" },
};

static bool text_is(struct pc_bytes text, const char *wanted)
{
    return pc_bytes_equal(text, pc_bytes_of(wanted, strlen(wanted)));
}

const struct pc_protocol *pc_addr_protocol_by_name(struct pc_bytes name)
{
    for (size_t i = 0; i < sizeof(old_names) / sizeof(old_names[0]); i++) {
        if (text_is(name, old_names[i].name))
            name = pc_bytes_of(old_names[i].today, strlen(old_names[i].today));
    }
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (text_is(name, protocols[i].name))
            return &protocols[i];
    }
    return NULL;
}

const struct pc_protocol *pc_addr_protocol_by_code(uint64_t code)
{
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (protocols[i].code == code)
            return &protocols[i];
    }
    return NULL;
}
