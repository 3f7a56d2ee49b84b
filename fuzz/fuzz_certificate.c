/* Any bytes as a peer's certificate, and as a host key: judged without a crash, the same each time, and never
 * accepted with a byte more or less. */
#include "libp2p/identity.h"

#include <peercache/types.h>

#include <stdlib.h>

#define NOW_MS INT64_C(1790000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held)
{
    if (!held)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t signature[64] = { 1 };
    const struct pc_bytes input = pc_bytes_of(data, size);
    struct pc_peer_id id = { .size = 0 }, again = { .size = 0 };
    struct pc_reason reason = { "" };
    int r = pc_libp2p_certificate_verify(input, NOW_MS, &id, &reason);
    require(pc_libp2p_certificate_verify(input, NOW_MS, &again, NULL) == r);
    require(pc_addr_peer_id_equal(&id, &again));
    require((r == 0) == (id.size > 0));
    require((r == 0) == (reason.text[0] == '\0'));
    if (r == 0)
        require(pc_libp2p_certificate_verify(pc_bytes_of(data, size - 1), NOW_MS, &again, NULL) < 0);
    require(pc_libp2p_verify(input, input, pc_bytes_of(signature, sizeof(signature))) < 0);
    return 0;
}
