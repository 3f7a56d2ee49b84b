/* Any bytes as the description of a network: what is accepted is within the limits of the header, and may be used as it is. */
#include "addr/multiaddr.h"
#include "driver/fetch_url.h"
#include "driver/network.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held)
{
    if (!held)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pc_driver_network network;
    struct pc_reason reason = { "" };
    int result = pc_driver_network_parse("test", (const char *)data, size, "input", &network, &reason);
    require(result == 0 || result == PEERCACHE_EPARSE || result == PEERCACHE_ELIMIT);
    require((result != 0) == (reason.text[0] != '\0'));
    if (result != 0)
        return 0;
    require(strcmp(network.name, "test") == 0 && pc_driver_kad_protocol_valid(network.kad_protocol));
    require(network.bootstrap_count <= PC_DRIVER_NETWORK_BOOTSTRAP_MAX);
    require(network.endpoint_count <= PC_JOIN_ENDPOINTS_MAX);
    require(strlen(network.network_version) < PC_DRIVER_NETWORK_VERSION_BYTES);
    for (size_t i = 0; i < network.bootstrap_count; i++) {
        uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
        size_t length;
        require(pc_addr_multiaddr_parse(network.bootstrap[i], strlen(network.bootstrap[i]), bytes,
                                        sizeof(bytes), &length, NULL) == 0);
    }
    for (size_t i = 0; i < network.endpoint_count; i++)
        require(pc_driver_fetch_url_check_endpoint(network.endpoints[i], &reason) == 0);
    return 0;
}
