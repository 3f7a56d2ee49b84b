/*
 * Any datagrams into a host that dials: the first byte says how much of the handshake a real server answers
 * before them, steps (quic_host.h) follow.
 */
#include "quic_host.h"

#include <ngtcp2/ngtcp2_crypto.h>

#define DIAL_US 10000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The ids that an answer to the client's Initial has; those after a Retry count. */
static void see(struct quic_run *run, struct pc_bytes datagram)
{
    ngtcp2_pkt_hd header;
    if (datagram.size < 1200 || ngtcp2_accept(&header, datagram.data, datagram.size))
        return;
    run->dcid = header.scid;
    if (run->key_cid.datalen == 0)
        run->key_cid = header.dcid;
}

static void give_initial(struct quic_run *run, struct pc_bytes bytes)
{
    uint8_t packet[QUIC_DATAGRAM_MAX];
    static const uint8_t id[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    ngtcp2_cid_init(&run->scid, id, sizeof(id));
    size_t size = quic_seal_initial(run, false, pc_bytes_of(NULL, 0), bytes, packet);
    quic_give(run, QUIC_PEER, pc_bytes_of(packet, size));
}

/* A Retry that is right but for what its token is. */
static void give_retry(struct quic_run *run, struct pc_bytes token)
{
    uint8_t packet[QUIC_DATAGRAM_MAX];
    static const uint8_t id[8] = { 8, 7, 6, 5, 4, 3, 2, 1 };
    ngtcp2_cid source;
    ngtcp2_cid_init(&source, id, sizeof(id));
    if (token.size == 0 || ngtcp2_cid_eq(&source, &run->key_cid))
        return; /* ngtcp2 writes neither; a second one is dropped by the client anyway */
    ngtcp2_ssize size = ngtcp2_crypto_write_retry(packet, sizeof(packet), NGTCP2_PROTO_VER_V1, &run->dcid,
                                                  &source, &run->key_cid, token.data, token.size);
    if (size <= 0)
        return; /* longer than a datagram */
    run->key_cid = source;
    quic_give(run, QUIC_PEER, pc_bytes_of(packet, (size_t)size));
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
        give_initial(run, step->bytes);
        break;
    case QUIC_STEP_RETRY:
        give_retry(run, step->bytes);
        break;
    case QUIC_STEP_KINDS:
        break;
    }
    quic_require(pc_libp2p_host_connection_count(run->host) <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct quic_run client;
    struct quic_step step;
    struct pc_ip_port to = quic_address(QUIC_PEER);
    if (size == 0)
        return 0;
    struct pc_bytes input = pc_bytes_of(data + 1, size - 1);
    quic_run_init(&client, quic_host_new(false, 1));
    client.seen = see;
    quic_require(pc_libp2p_host_dial(client.host, client.now, 1, &to, NULL, client.now.mono_us + DIAL_US) ==
                 0);
    if (data[0] > 0) {
        struct quic_run server;
        quic_run_init(&server, quic_host_new(true, 1));
        quic_exchange(&client, &server, data[0]);
        pc_libp2p_host_free(server.host);
    }
    quic_drain(&client);
    for (unsigned i = 0; i < QUIC_STEPS_MAX && quic_next_step(&input, &step); i++)
        take_step(&client, &step);
    quic_end(&client);
    return 0;
}
