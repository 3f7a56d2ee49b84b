/*
 * The least that an answer takes of a server of QUIC on this machine, in processor time: no server does without. Measured
 * in this process.
 */
#ifndef PC_BENCH_FLOOR_H
#define PC_BENCH_FLOOR_H

#include <stddef.h>

#define FLOOR_BATCH 32 /* datagrams a call */

/* AES-128-GCM of GnuTLS: a packet as large as a request opened, one as large as an answer sealed. */
double floor_crypto_us(size_t request_bytes, size_t answer_bytes);
/* The kernel, over loopback: an answer sent and a request received, in batches, as the driver does. */
double floor_kernel_us(size_t request_bytes, size_t answer_bytes);

#endif
