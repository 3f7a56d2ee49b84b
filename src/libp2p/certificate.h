/* The TLS certificate of libp2p (libp2p/specs tls/tls.md): making one. Checking one is in identity.h. */
#ifndef PC_LIBP2P_CERTIFICATE_H
#define PC_LIBP2P_CERTIFICATE_H

#include "libp2p/key.h"

#include <gnutls/x509.h>

/*
 * A fresh P-256 key and the self-signed certificate that proves `host_key` with it, valid from an hour before
 * wall_ms for a hundred years. EINVAL wall_ms lies before 1970 or after the year 9000; ECRYPTO; ENOMEM.
 * Both are the caller's to deinit.
 */
int pc_libp2p_certificate_new(const struct pc_host_key *host_key, int64_t wall_ms,
                              gnutls_x509_crt_t *ret_certificate, gnutls_x509_privkey_t *ret_key);

#endif
