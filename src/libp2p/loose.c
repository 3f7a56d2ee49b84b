/* Datagrams of no connection: loose.h. (RFC 8999, RFC 9000 sections 6, 8.1, 10.3 and 17.2.5.) */
#include "libp2p/loose.h"

#include "libp2p/connection.h"
#include "libp2p/path.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#define RESET_MIN_TRIGGER      43 /* a stateless reset is shorter than what it answers, and at least 21 bytes */
#define RESET_MAX_RANDOM_BYTES 40
/* Flags, version, two connection ids, the token, and the integrity tag. */
#define RETRY_MAX_BYTES (1 + 4 + 2 * (1 + NGTCP2_MAX_CIDLEN) + NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN + 16)
static_assert(RETRY_MAX_BYTES < PC_LIBP2P_INITIAL_MIN_BYTES, "a Retry is shorter than what it answers");

struct pc_libp2p_loose {
    struct pc_libp2p_loose *next;
    uint32_t socket;
    struct pc_ip_port local;
    struct pc_ip_port remote;
    size_t size;
    uint8_t data[];
};

void pc_libp2p_loose_init(struct pc_libp2p_host *host)
{
    static const char purpose[] = "peercache retry token";
    (void)crypto_generichash(host->retry_secret, sizeof(host->retry_secret), (const uint8_t *)purpose,
                             sizeof(purpose), host->secret, sizeof(host->secret));
}

void pc_libp2p_loose_deinit(struct pc_libp2p_host *host)
{
    while (host->loose_first) {
        struct pc_libp2p_loose *loose = host->loose_first;
        host->loose_first = loose->next;
        free(loose);
    }
    sodium_memzero(host->retry_secret, sizeof(host->retry_secret));
}

void pc_libp2p_host_reset_token(const struct pc_libp2p_host *host, const uint8_t *cid, size_t size,
                                uint8_t ret_token[16])
{
    (void)crypto_generichash(ret_token, 16, cid, size, host->secret, sizeof(host->secret));
}

/* Whether one more may be sent, by room and by rate: as many at once as in a second. */
static bool allowed(struct pc_libp2p_host *host, struct pc_libp2p_bucket *bucket, uint32_t per_s)
{
    return host->loose_count < PC_LIBP2P_LOOSE_MAX &&
           pc_libp2p_rate_take(bucket, (struct pc_libp2p_rate){ per_s, per_s }, host->now.mono_us);
}

static bool loose_allowed(struct pc_libp2p_host *host)
{
    return allowed(host, &host->loose_bucket, PC_LIBP2P_LOOSE_RATE);
}

static void send_loose(struct pc_libp2p_host *host, const struct pc_datagram *asked, const uint8_t *data,
                       ngtcp2_ssize size)
{
    if (size <= 0)
        return;
    struct pc_libp2p_loose *loose = malloc(sizeof(*loose) + (size_t)size);
    if (!loose)
        return;
    loose->next = NULL;
    loose->socket = asked->socket;
    loose->local = asked->local;
    loose->remote = asked->remote;
    loose->size = (size_t)size;
    memcpy(loose->data, data, loose->size);
    if (host->loose_last)
        host->loose_last->next = loose;
    else
        host->loose_first = loose;
    host->loose_last = loose;
    host->loose_count++;
}

bool pc_libp2p_loose_take(struct pc_libp2p_host *host, struct pc_datagram *datagram)
{
    struct pc_libp2p_loose *loose = host->loose_first;
    if (!loose)
        return false;
    host->loose_first = loose->next;
    if (!host->loose_first)
        host->loose_last = NULL;
    host->loose_count--;
    datagram->socket = loose->socket;
    datagram->local = loose->local;
    datagram->remote = loose->remote;
    datagram->ecn = 0;
    datagram->size = loose->size;
    memcpy(datagram->data, loose->data, loose->size);
    free(loose);
    return true;
}

void pc_libp2p_loose_version_negotiation(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                                         const ngtcp2_version_cid *ids)
{
    static const uint32_t versions[] = { NGTCP2_PROTO_VER_V1 };
    uint8_t data[2 * 255 + 16];
    uint8_t random;
    if (!loose_allowed(host))
        return;
    pc_base_rng_bytes(&host->options.rng, &random, 1);
    send_loose(host, datagram, data,
               ngtcp2_pkt_write_version_negotiation(data, sizeof(data), random, ids->scid, ids->scidlen,
                                                    ids->dcid, ids->dcidlen, versions, 1));
}

/* RFC 9000 section 10.3: shorter than what it answers, so that two of us can't answer each other for ever. */
void pc_libp2p_loose_stateless_reset(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                                     const ngtcp2_version_cid *ids)
{
    uint8_t data[RESET_MAX_RANDOM_BYTES + NGTCP2_STATELESS_RESET_TOKENLEN];
    uint8_t random[RESET_MAX_RANDOM_BYTES];
    uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN];
    if (datagram->size < RESET_MIN_TRIGGER || !loose_allowed(host))
        return;
    size_t random_size = datagram->size - 1 - sizeof(token);
    if (random_size > sizeof(random))
        random_size = sizeof(random);
    pc_base_rng_bytes(&host->options.rng, random, random_size);
    pc_libp2p_host_reset_token(host, ids->dcid, ids->dcidlen, token);
    send_loose(host, datagram, data,
               ngtcp2_pkt_write_stateless_reset(data, sizeof(data), token, random, random_size));
}

void pc_libp2p_loose_refusal(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                             const ngtcp2_pkt_hd *header, uint64_t code)
{
    uint8_t data[PC_LIBP2P_INITIAL_MIN_BYTES];
    if (!loose_allowed(host))
        return;
    send_loose(host, datagram, data,
               ngtcp2_crypto_write_connection_close(data, sizeof(data), header->version, &header->scid,
                                                    &header->dcid, code, NULL, 0));
}

void pc_libp2p_loose_retry(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                           const ngtcp2_pkt_hd *header)
{
    uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN];
    uint8_t data[RETRY_MAX_BYTES];
    struct pc_path path;
    ngtcp2_cid source;
    if (!allowed(host, &host->retry_bucket, PC_LIBP2P_RETRY_RATE)) {
        host->counters.shed[PC_SHED_RETRY_RATE]++;
        return;
    }
    pc_libp2p_path_init(&path, true, &datagram->local, &datagram->remote, datagram->socket);
    pc_libp2p_host_new_cid(host, &source);
    host->counters.retries++;
    ngtcp2_ssize size = ngtcp2_crypto_generate_retry_token(
        token, host->retry_secret, sizeof(host->retry_secret), header->version, path.quic.remote.addr,
        path.quic.remote.addrlen, &source, &header->dcid, pc_libp2p_host_ts(host));
    if (size > 0)
        send_loose(host, datagram, data,
                   ngtcp2_crypto_write_retry(data, sizeof(data), header->version, &header->scid, &source,
                                             &header->dcid, token, (size_t)size));
}

enum pc_retry_token pc_libp2p_loose_check_token(const struct pc_libp2p_host *host,
                                                const struct pc_datagram *datagram,
                                                const ngtcp2_pkt_hd *header, ngtcp2_cid *ret_original)
{
    struct pc_path path;
    struct pc_bytes token = pc_quic_token(header);
    if (token.size != NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN || token.data[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY)
        return PC_RETRY_TOKEN_NONE;
    pc_libp2p_path_init(&path, true, &datagram->local, &datagram->remote, datagram->socket);
    int result = ngtcp2_crypto_verify_retry_token(
        ret_original, token.data, token.size, host->retry_secret, sizeof(host->retry_secret), header->version,
        path.quic.remote.addr, path.quic.remote.addrlen, &header->dcid,
        PC_LIBP2P_RETRY_VALID_US * NGTCP2_MICROSECONDS, pc_libp2p_host_ts(host));
    return result == 0 ? PC_RETRY_TOKEN_VALID : PC_RETRY_TOKEN_INVALID;
}
