#include "library/own.h"

#include "base/basex.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define SECRET_BYTES 16

/* A JSON string; ret_quoted has room for six bytes a character, the quotes and the NUL. */
static void quote(const char *text, char *ret_quoted)
{
    char *at = ret_quoted;
    *at++ = '"';
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20) {
            at += snprintf(at, 7, "\\u%04x", c);
            continue;
        }
        if (c == '"' || c == '\\')
            *at++ = '\\';
        *at++ = *text;
    }
    *at++ = '"';
    *at = '\0';
}

char *pc_library_own_text(peercache *cache, uint8_t ret_secret[SECRET_BYTES])
{
    static const char purpose[] = "peercache export";
    char hex[2 * SECRET_BYTES + 1], quoted[6 * sizeof(cache->network) + 3];
    size_t size = sizeof(quoted) + sizeof(hex) + 128;
    char *text = malloc(size);
    if (!text)
        return NULL;
    if (cache->store)
        (void)crypto_generichash(ret_secret, SECRET_BYTES, (const uint8_t *)purpose, sizeof(purpose),
                                 cache->store->secret, SECRET_BYTES); /* fails only on sizes out of range */
    else
        pc_base_rng_bytes(&cache->rng, ret_secret, SECRET_BYTES);
    (void)pc_base_hex_encode(ret_secret, SECRET_BYTES, hex, sizeof(hex)); /* it fits */
    quote(cache->network, quoted);
    (void)snprintf(text, size,
                   "{\"version\":1,\"network\":%s,\"mode\":\"%s\",\"secret\":\"%s\",\"change\":0,"
                   "\"ledger\":[],\"tombstones\":[]}",
                   quoted, cache->mode == PC_NETGROUP_LOCAL ? "local" : "public", hex);
    return text;
}
