#include "cache/dialable.h"

static uint32_t family_of(uint32_t code)
{
    switch (code) { /* codes of a table that is longer than what is told apart here */
    case PC_MA_IP4:
        return PEERCACHE_FAMILY_IP4;
    case PC_MA_IP6:
        return PEERCACHE_FAMILY_IP6;
    case PC_MA_DNS:
    case PC_MA_DNS4:
    case PC_MA_DNS6:
    case PC_MA_DNSADDR:
        return PEERCACHE_FAMILY_DNS;
    default:
        return PEERCACHE_FAMILY_OTHER;
    }
}

/* A part further down says more than the one before it: udp, then quic-v1, then webtransport. */
static uint32_t transport_of(uint32_t code, uint32_t so_far)
{
    switch (code) {
    case PC_MA_TCP:
        return PEERCACHE_TRANSPORT_TCP;
    case PC_MA_QUIC_V1:
        return PEERCACHE_TRANSPORT_QUIC_V1;
    case PC_MA_QUIC:
        return PEERCACHE_TRANSPORT_QUIC;
    case PC_MA_WS:
    case PC_MA_WSS:
        return PEERCACHE_TRANSPORT_WEBSOCKET;
    case PC_MA_WEBTRANSPORT:
        return PEERCACHE_TRANSPORT_WEBTRANSPORT;
    case PC_MA_WEBRTC_DIRECT:
        return PEERCACHE_TRANSPORT_WEBRTC;
    case PC_MA_TLS: /* what is to follow says which */
    case PC_MA_CERTHASH:
    case PC_MA_UDP:
        return so_far;
    default:
        return PEERCACHE_TRANSPORT_OTHER;
    }
}

struct pc_dialable pc_cache_dialable_of(struct pc_bytes addr)
{
    struct pc_dialable dialable = { PEERCACHE_TRANSPORT_OTHER, PEERCACHE_FAMILY_OTHER };
    struct pc_multiaddr_part part;
    bool is_first = true;
    while (pc_addr_multiaddr_next(&addr, &part) == 1) {
        if (part.code == PC_MA_IP6ZONE)
            continue;
        if (is_first)
            dialable.family = family_of(part.code);
        else
            dialable.transport = transport_of(part.code, dialable.transport);
        is_first = false;
    }
    return dialable;
}
