/* The least that an answer takes: floor.h. */
#include "floor.h"

#include "process.h"

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

double floor_crypto_us(size_t request_bytes, size_t answer_bytes)
{
    enum { ROUNDS = 20000 };
    static uint8_t sealed[2048], plain[2048];
    uint8_t key_bytes[16] = { 1 }, nonce[12] = { 0 }, header[20] = { 0 };
    gnutls_datum_t key = { key_bytes, sizeof(key_bytes) };
    gnutls_aead_cipher_hd_t aead;
    require(gnutls_aead_cipher_init(&aead, GNUTLS_CIPHER_AES_128_GCM, &key) == 0, "a cipher");
    size_t size = sizeof(sealed);
    require(gnutls_aead_cipher_encrypt(aead, nonce, sizeof(nonce), header, sizeof(header), 16, plain,
                                       request_bytes, sealed, &size) == 0,
            "sealing");
    int64_t begun_us = own_cpu_us();
    for (int i = 0; i < ROUNDS; i++) {
        static uint8_t out[2048];
        size_t opened = sizeof(out), written = sizeof(out);
        require(gnutls_aead_cipher_decrypt(aead, nonce, sizeof(nonce), header, sizeof(header), 16, sealed,
                                           size, out, &opened) == 0 &&
                    gnutls_aead_cipher_encrypt(aead, nonce, sizeof(nonce), header, sizeof(header), 16, plain,
                                               answer_bytes, out, &written) == 0,
                "the cipher");
    }
    double spent = (double)(own_cpu_us() - begun_us) / ROUNDS;
    gnutls_aead_cipher_deinit(aead);
    return spent;
}

double floor_kernel_us(size_t request_bytes, size_t answer_bytes)
{
    enum { ROUNDS = 400 };
    static uint8_t bytes[FLOOR_BATCH][2048];
    struct sockaddr_in at[2];
    int fds[2];
    int64_t spent_us = 0;
    const int buffer_bytes = 4 << 20;
    for (int i = 0; i < 2; i++) {
        socklen_t size = sizeof(at[i]);
        at[i] = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        require(fds[i] >= 0 && bind(fds[i], (struct sockaddr *)&at[i], sizeof(at[i])) == 0 &&
                    getsockname(fds[i], (struct sockaddr *)&at[i], &size) == 0,
                "a socket");
        (void)setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int side = 0; side < 2; side++) { /* 0: the asker sends; 1: the server receives, then sends */
            struct mmsghdr messages[FLOOR_BATCH];
            struct iovec parts[FLOOR_BATCH];
            int64_t begun_us = own_cpu_us();
            for (int way = 0; way < 2; way++) { /* receive what the other sent, send */
                for (unsigned i = 0; i < FLOOR_BATCH; i++) {
                    parts[i] = (struct iovec){ bytes[i], way == 0    ? sizeof(bytes[i])
                                                         : side == 0 ? request_bytes
                                                                     : answer_bytes };
                    messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
                    if (way == 1) {
                        messages[i].msg_hdr.msg_name = &at[1 - side];
                        messages[i].msg_hdr.msg_namelen = sizeof(at[0]);
                    }
                }
                if (way == 0)
                    (void)recvmmsg(fds[side], messages, FLOOR_BATCH, 0, NULL);
                else
                    (void)sendmmsg(fds[side], messages, FLOOR_BATCH, 0);
            }
            if (side == 1)
                spent_us += own_cpu_us() - begun_us;
        }
    (void)close(fds[0]);
    (void)close(fds[1]);
    return (double)spent_us / ROUNDS / FLOOR_BATCH;
}
