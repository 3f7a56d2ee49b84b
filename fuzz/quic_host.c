/* Hosts, steps and sealed Initials for the QUIC targets: quic_host.h. (RFC 9001 section 5.) */
#include "quic_host.h"

#include "base/time.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>

#define WALL_MS      INT64_C(1780000000000)
#define PADDED_BYTES 1200
#define END_US       (120 * PC_US_PER_S) /* longer than any deadline of a host */
#define TIMERS_MAX   100000              /* of one wait: time has to go on */
#define TAG_BYTES    16
#define NUMBER_BYTES 4
#define SAMPLE_BYTES 16

void quic_require(bool held)
{
    if (!held)
        abort();
}

static struct pc_bytes take_bytes(struct pc_bytes *input, size_t size)
{
    struct pc_bytes taken = pc_bytes_of(input->data, size < input->size ? size : input->size);
    *input = pc_bytes_of(input->data + taken.size, input->size - taken.size);
    return taken;
}

bool quic_next_step(struct pc_bytes *input, struct quic_step *ret_step)
{
    if (input->size < 3)
        return false;
    struct pc_bytes head = take_bytes(input, 3);
    ret_step->kind = head.data[0] % QUIC_STEP_KINDS;
    ret_step->length = (size_t)head.data[1] << 8 | head.data[2];
    ret_step->bytes = take_bytes(input, ret_step->kind == QUIC_STEP_WAIT ? 0 : ret_step->length);
    return true;
}

static const struct pc_identity *identity_of(bool server)
{
    static struct pc_identity *identities[2]; /* for the life of the process: each takes a millisecond */
    if (!identities[server]) {
        uint8_t seed[32];
        uint8_t key[PC_PRIVATE_KEY_MAX_BYTES];
        size_t size;
        memset(seed, 1 + server, sizeof(seed));
        quic_require(pc_libp2p_key_generate(seed, key, sizeof(key), &size) == 0);
        quic_require(pc_libp2p_identity_new(pc_bytes_of(key, size), WALL_MS, &identities[server], NULL) == 0);
    }
    return identities[server];
}

struct pc_libp2p_host *quic_host_new(bool server, uint32_t connections_max)
{
    struct pc_libp2p_options options;
    struct pc_libp2p_host *host;
    pc_libp2p_options_init(&options);
    options.identity = identity_of(server);
    options.kad_protocol = "/test/kad/1.0.0";
    options.server = server;
    options.connections_max = connections_max;
    pc_base_rng_init_u64(&options.rng, 1 + server);
    quic_require(pc_libp2p_host_new(&options, &host) == 0);
    return host;
}

struct pc_ip_port quic_address(uint8_t number)
{
    return (struct pc_ip_port){ .family = 4, .port = 4001, .ip = { 10, 0, 0, number } };
}

void quic_run_init(struct quic_run *run, struct pc_libp2p_host *host)
{
    *run = (struct quic_run){ .host = host, .now = { .wall_ms = WALL_MS, .mono_us = 5000 } };
}

static bool take_datagram(struct quic_run *run, uint8_t *data, size_t *ret_size)
{
    struct pc_datagram datagram = { .data = data, .size = QUIC_DATAGRAM_MAX };
    if (!pc_libp2p_host_send(run->host, run->now, &datagram))
        return false;
    quic_require(datagram.size > 0 && datagram.size <= PC_LIBP2P_DATAGRAM_MAX_BYTES);
    if (run->seen)
        run->seen(run, pc_bytes_of(data, datagram.size));
    *ret_size = datagram.size;
    return true;
}

static void take_events(struct quic_run *run)
{
    struct pc_libp2p_event event;
    while (pc_libp2p_host_next_event(run->host, &event)) {
        if (event.kind == PC_LIBP2P_ASKED)
            (void)pc_libp2p_host_answer(run->host, run->now, event.asked, NULL, 0); /* may be gone */
    }
}

void quic_drain(struct quic_run *run)
{
    uint8_t data[QUIC_DATAGRAM_MAX];
    size_t size;
    take_events(run);
    while (take_datagram(run, data, &size))
        ;
    take_events(run); /* sending may end a connection */
}

static void receive(struct quic_run *run, uint8_t from, struct pc_bytes bytes)
{
    uint8_t *data = malloc(bytes.size > 0 ? bytes.size : 1);
    quic_require(data != NULL);
    if (bytes.size > 0)
        memcpy(data, bytes.data, bytes.size);
    struct pc_datagram datagram = {
        .local = quic_address(QUIC_HOST), .remote = quic_address(from), .data = data, .size = bytes.size
    };
    pc_libp2p_host_receive(run->host, run->now, &datagram);
    free(data);
}

void quic_give(struct quic_run *run, uint8_t from, struct pc_bytes bytes)
{
    receive(run, from, bytes);
    quic_drain(run);
}

void quic_exchange(struct quic_run *client, struct quic_run *server, unsigned count)
{
    uint8_t data[QUIC_DATAGRAM_MAX];
    struct quic_run *from = client;
    for (unsigned silent = 0; count > 0 && silent < 2;) {
        size_t size;
        take_events(from);
        if (!take_datagram(from, data, &size)) {
            from = from == client ? server : client;
            silent++;
            continue;
        }
        receive(from == client ? server : client, QUIC_PEER, pc_bytes_of(data, size));
        silent = 0;
        count--;
    }
    quic_drain(client);
    quic_drain(server);
}

void quic_wait(struct quic_run *run, int64_t for_us)
{
    int64_t until_us = run->now.mono_us + for_us;
    for (unsigned i = 0;; i++) {
        int64_t next_us = pc_libp2p_host_deadline(run->host);
        quic_require(next_us > run->now.mono_us && i < TIMERS_MAX);
        if (next_us > until_us)
            break;
        run->now.mono_us = next_us;
        pc_libp2p_host_expire(run->host, run->now);
        quic_drain(run);
    }
    run->now.mono_us = until_us;
}

void quic_end(struct quic_run *run)
{
    quic_wait(run, END_US);
    quic_require(pc_libp2p_host_connection_count(run->host) == 0);
    quic_require(pc_libp2p_host_deadline(run->host) == PC_TIME_NEVER);
    pc_libp2p_host_free(run->host);
}

/* ---- sealing ------------------------------------------------------------------------------------------- */

static void expand_label(const uint8_t secret[32], const char *label, uint8_t *ret_key, size_t size)
{
    uint8_t info[64] = { 0, (uint8_t)size, (uint8_t)(6 + strlen(label)), 't', 'l', 's', '1', '3', ' ' };
    gnutls_datum_t from = { (uint8_t *)(uintptr_t)secret, 32 };
    memcpy(info + 9, label, strlen(label));
    gnutls_datum_t about = { info, (unsigned)(9 + strlen(label) + 1) }; /* and no context: a zero */
    quic_require(gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &from, &about, ret_key, size) == 0);
}

static void initial_secret(const ngtcp2_cid *cid, bool client, uint8_t ret_secret[32])
{
    static const uint8_t salt[] = { 0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                                    0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a };
    uint8_t common[32];
    gnutls_datum_t key = { (uint8_t *)(uintptr_t)cid->data, (unsigned)cid->datalen };
    gnutls_datum_t with = { (uint8_t *)(uintptr_t)salt, sizeof(salt) };
    quic_require(gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &key, &with, common) == 0);
    expand_label(common, client ? "client in" : "server in", ret_secret, 32);
}

static void encrypt(const uint8_t key[16], const uint8_t nonce[12], struct pc_bytes header, uint8_t *data,
                    size_t size)
{
    gnutls_aead_cipher_hd_t cipher;
    gnutls_datum_t with = { (uint8_t *)(uintptr_t)key, 16 };
    uint8_t sealed[QUIC_DATAGRAM_MAX];
    size_t sealed_size = sizeof(sealed);
    quic_require(gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_128_GCM, &with) == 0);
    quic_require(gnutls_aead_cipher_encrypt(cipher, nonce, 12, header.data, header.size, TAG_BYTES, data,
                                            size, sealed, &sealed_size) == 0);
    gnutls_aead_cipher_deinit(cipher);
    memcpy(data, sealed, sealed_size);
}

/* One block of AES: CBC without a chain. */
static void mask_of(const uint8_t key[16], uint8_t sample[SAMPLE_BYTES])
{
    gnutls_cipher_hd_t cipher;
    uint8_t zero[16] = { 0 };
    gnutls_datum_t with = { (uint8_t *)(uintptr_t)key, 16 };
    gnutls_datum_t iv = { zero, sizeof(zero) };
    quic_require(gnutls_cipher_init(&cipher, GNUTLS_CIPHER_AES_128_CBC, &with, &iv) == 0);
    quic_require(gnutls_cipher_encrypt(cipher, sample, SAMPLE_BYTES) == 0);
    gnutls_cipher_deinit(cipher);
}

static size_t put(uint8_t *data, size_t at, const void *bytes, size_t size)
{
    if (size > 0)
        memcpy(data + at, bytes, size);
    return at + size;
}

static size_t put_length(uint8_t *data, size_t at, size_t length)
{
    data[at] = (uint8_t)(0x40 | length >> 8);
    data[at + 1] = (uint8_t)length;
    return at + 2;
}

size_t quic_seal_initial(struct quic_run *run, bool client, struct pc_bytes token, struct pc_bytes frames,
                         uint8_t data[QUIC_DATAGRAM_MAX])
{
    static const uint8_t first[] = { 0xc0 | (NUMBER_BYTES - 1), 0, 0, 0, 1 };
    uint8_t secret[32], key[16], iv[12], hp[16], mask[SAMPLE_BYTES];
    uint8_t dcid_size = (uint8_t)run->dcid.datalen;
    uint8_t scid_size = (uint8_t)run->scid.datalen;
    uint32_t number = run->number++;
    size_t at = put(data, 0, first, sizeof(first));
    at = put(data, put(data, at, &dcid_size, 1), run->dcid.data, dcid_size);
    at = put(data, put(data, at, &scid_size, 1), run->scid.data, scid_size);
    at = put(data, put_length(data, at, token.size), token.data, token.size);
    size_t number_at = at + 2;
    size_t overhead = number_at + NUMBER_BYTES + TAG_BYTES;
    size_t size = frames.size < PADDED_BYTES - overhead ? PADDED_BYTES - overhead : frames.size;
    if (overhead + size > PC_LIBP2P_DATAGRAM_MAX_BYTES)
        size = PC_LIBP2P_DATAGRAM_MAX_BYTES - overhead;
    (void)put_length(data, at, NUMBER_BYTES + size + TAG_BYTES);
    for (unsigned i = 0; i < NUMBER_BYTES; i++)
        data[number_at + i] = (uint8_t)(number >> (8 * (NUMBER_BYTES - 1 - i)));
    at = number_at + NUMBER_BYTES;
    memset(data + at, 0, size); /* PADDING */
    (void)put(data, at, frames.data, frames.size < size ? frames.size : size);

    initial_secret(&run->key_cid, client, secret);
    expand_label(secret, "quic key", key, sizeof(key));
    expand_label(secret, "quic iv", iv, sizeof(iv));
    expand_label(secret, "quic hp", hp, sizeof(hp));
    for (unsigned i = 0; i < NUMBER_BYTES; i++)
        iv[sizeof(iv) - NUMBER_BYTES + i] ^= data[number_at + i];
    encrypt(key, iv, pc_bytes_of(data, at), data + at, size);
    memcpy(mask, data + number_at + 4, sizeof(mask));
    mask_of(hp, mask);
    data[0] ^= mask[0] & 0x0f;
    for (unsigned i = 0; i < NUMBER_BYTES; i++)
        data[number_at + i] ^= mask[1 + i];
    return at + size + TAG_BYTES;
}
