/*
 * Any bytes as a message of AutoNAT v2, and as the message of a dial back: what can be read can be written, and is read the
 * same again.
 */
#include "libp2p/autonat.h"
#include "libp2p/message.h"

#include <peercache/types.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held)
{
    if (!held)
        abort();
}

static struct pc_bytes inner_of(const uint8_t *framed, size_t size)
{
    struct pc_bytes message = { NULL, 0 };
    size_t used = 0;
    require(pc_libp2p_frame_decode(pc_bytes_of(framed, size), PC_AUTONAT_MESSAGE_BYTES, &message, &used) ==
            1);
    require(used == size);
    return message;
}

static void read_and_write(struct pc_bytes bytes)
{
    static uint8_t room[PC_AUTONAT_MESSAGE_BYTES + 16];
    static struct pc_autonat_message message, again;
    size_t size;
    if (pc_libp2p_autonat_decode(bytes, &message))
        return;
    int result = pc_libp2p_autonat_encode(&message, room, sizeof(room), &size);
    if (result == PEERCACHE_ELIMIT) /* what it left out for being 0 is written now */
        return;
    require(result == 0 && pc_libp2p_autonat_decode(inner_of(room, size), &again) == 0);
    require(again.kind == message.kind && again.nonce == message.nonce && again.status == message.status);
    require(again.dial == message.dial && again.addr_index == message.addr_index);
    require(again.data_bytes == message.data_bytes && pc_bytes_equal(again.data, message.data));
    require(again.addr_count == message.addr_count);
    for (size_t i = 0; i < again.addr_count; i++)
        require(pc_bytes_equal(again.addrs[i], message.addrs[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t room[PC_DIAL_BACK_BYTES];
    uint64_t nonce, again;
    size_t written;
    read_and_write(pc_bytes_of(data, size));
    if (pc_libp2p_dial_back_decode(pc_bytes_of(data, size), &nonce) == 0) {
        require(pc_libp2p_dial_back_encode(nonce, room, sizeof(room), &written) == 0);
        require(pc_libp2p_dial_back_decode(inner_of(room, written), &again) == 0 && again == nonce);
    }
    return 0;
}
