/*
 * Any datagrams into a host that accepts connections: the first byte says how much of a real client's
 * handshake comes before them, steps (quic_host.h) follow. Four may be connected, and one half-open, so that
 * Retries, tokens and displacement are never far.
 */
#include "quic_host.h"

#include <stdlib.h>

#define CONNECTIONS_MAX 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void see(struct quic_run *run, struct pc_bytes datagram)
{
    ngtcp2_version_cid ids;
    if ((datagram.data[0] & 0xf0) != 0xf0)
        return;
    if (ngtcp2_pkt_decode_version_cid(&ids, datagram.data, datagram.size, 8) || ids.version == 0)
        return;
    size_t token_at = 1 + 4 + 1 + ids.dcidlen + 1 + ids.scidlen;
    quic_require(datagram.size < 1200 && datagram.size > token_at + 16);
    run->token_size = datagram.size - token_at - 16;
    quic_require(run->token_size <= sizeof(run->token));
    memcpy(run->token, datagram.data + token_at, run->token_size);
    ngtcp2_cid_init(&run->key_cid, ids.scid, ids.scidlen);
}

/* The frames are those of a client whose connection id is eight times their first byte. */
static void give_initial(struct quic_run *run, struct pc_bytes bytes, bool with_token)
{
    uint8_t packet[QUIC_DATAGRAM_MAX];
    uint8_t id[8];
    if (bytes.size == 0)
        return;
    ngtcp2_cid retried = run->key_cid;
    memset(id, bytes.data[0], sizeof(id));
    ngtcp2_cid_init(&run->scid, id, 4);
    if (!with_token)
        ngtcp2_cid_init(&run->key_cid, id, sizeof(id));
    run->dcid = run->key_cid;
    struct pc_bytes token = pc_bytes_of(run->token, with_token ? run->token_size : 0);
    size_t size = quic_seal_initial(run, true, token, pc_bytes_of(bytes.data + 1, bytes.size - 1), packet);
    run->key_cid = retried;
    quic_give(run, QUIC_PEER, pc_bytes_of(packet, size));
}

static void take_step(struct quic_run *run, const struct quic_step *step)
{
    switch (step->kind) {
    case QUIC_STEP_DATAGRAM:
        quic_give(run, QUIC_PEER, step->bytes);
        break;
    case QUIC_STEP_STRANGER:
        if (step->bytes.size > 0)
            quic_give(run, step->bytes.data[0], pc_bytes_of(step->bytes.data + 1, step->bytes.size - 1));
        break;
    case QUIC_STEP_WAIT:
        quic_wait(run, (int64_t)step->length * 1000);
        break;
    case QUIC_STEP_INITIAL:
        give_initial(run, step->bytes, false);
        break;
    case QUIC_STEP_RETRY:
        give_initial(run, step->bytes, true);
        break;
    case QUIC_STEP_KINDS:
        break;
    }
    quic_require(pc_libp2p_host_connection_count(run->host) <= CONNECTIONS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct quic_run server;
    struct quic_step step;
    if (size == 0)
        return 0;
    struct pc_bytes input = pc_bytes_of(data + 1, size - 1);
    quic_run_init(&server, quic_host_new(true, CONNECTIONS_MAX));
    server.seen = see;
    if (data[0] > 0) {
        struct quic_run client;
        struct pc_ip_port to = quic_address(QUIC_HOST);
        quic_run_init(&client, quic_host_new(false, 1));
        quic_require(pc_libp2p_host_dial(client.host, client.now, 1, &to, NULL, 1000000) == 0);
        quic_exchange(&client, &server, data[0]);
        pc_libp2p_host_free(client.host);
    }
    for (unsigned i = 0; i < QUIC_STEPS_MAX && quic_next_step(&input, &step); i++)
        take_step(&server, &step);
    quic_end(&server);
    return 0;
}
