/* Any bytes as multistream-select lines: a line is seen as soon as it is whole and not before, however its
 * bytes come, and a line read is written as the same bytes. */
#include "libp2p/message.h"

#include <peercache/types.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held)
{
    if (!held)
        abort();
}

static void check_fragments(const uint8_t *data, size_t used)
{
    for (size_t arrived = 0; arrived < used; arrived++) {
        struct pc_bytes line;
        size_t used_early;
        require(pc_libp2p_multistream_decode(pc_bytes_of(data, arrived), &line, &used_early) == 0);
    }
}

static void check_round_trip(const uint8_t *data, size_t used, struct pc_bytes line)
{
    char text[PC_MULTISTREAM_LINE_MAX_BYTES];
    uint8_t encoded[PC_MULTISTREAM_LINE_MAX_BYTES + 2];
    size_t encoded_size;
    memcpy(text, line.data, line.size);
    text[line.size] = '\0';
    if (strlen(text) != line.size)
        return; /* a NUL within: not a protocol that we would ever write */
    require(pc_libp2p_multistream_encode(text, encoded, sizeof(encoded), &encoded_size) == 0);
    require(encoded_size == used && memcmp(encoded, data, used) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t at = 0;
    for (;;) {
        struct pc_bytes line;
        size_t used = 0;
        int r = pc_libp2p_multistream_decode(pc_bytes_of(data + at, size - at), &line, &used);
        require(r == 0 || r == 1 || r == PEERCACHE_EPARSE || r == PEERCACHE_ELIMIT);
        if (r <= 0)
            return 0;
        require(used > line.size && used <= size - at);
        check_fragments(data + at, used);
        check_round_trip(data + at, used, line);
        at += used;
    }
}
