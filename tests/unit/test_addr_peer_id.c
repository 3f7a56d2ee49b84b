#include "check.h"

#include "addr/peer_id.h"
#include "base/basex.h"

#include <peercache/types.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pc_peer_id parsed(const char *text)
{
    struct pc_peer_id id = { 0 };
    struct pc_reason reason = { "" };
    if (pc_addr_peer_id_parse(text, strlen(text), &id, &reason) != 0)
        fail_msg("%s: %s", text, reason.text);
    return id;
}

/* The value of a line "key: value" of a file of tests/vectors; the caller frees it. */
static char *vector(const char *file, const char *key, size_t which)
{
    char path[512];
    static char line[16384];
    size_t length = strlen(key);
    char *value = NULL;
    (void)snprintf(path, sizeof(path), "%s/%s", getenv("VECTORS"), file);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (!value && fgets(line, sizeof(line), f)) {
        if (strncmp(line, key, length) != 0 || strncmp(line + length, ": ", 2) != 0 || which-- > 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        value = strdup(line + length + 2);
    }
    (void)fclose(f);
    assert_non_null(value);
    return value;
}

/* The ids that libp2p-tls.txt names, against the public keys inside their certificates. */
static void ids_of_known_keys(void **state)
{
    (void)state;
    /* Where the key's protobuf begins in the certificate, and how long it is. */
    static const struct {
        const char *head;
        size_t size;
    } keys[] = { { "08011220", 36 }, { "0803125b", 95 }, { "08021221", 37 } };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char *text = vector("libp2p-tls.txt", "peer_id", i);
        char *certificate = vector("libp2p-tls.txt", "cert", i);
        uint8_t key[128];
        size_t size;
        char formatted[PC_PEER_ID_TEXT_BYTES];
        struct pc_peer_id id;
        const char *at = strstr(certificate, keys[i].head);
        assert_non_null(at);
        assert_int_equal(pc_base_hex_decode(at, 2 * keys[i].size, key, sizeof(key), &size), 0);
        assert_int_equal(pc_addr_peer_id_from_public_key(pc_bytes_of(key, size), &id), 0);
        pc_addr_peer_id_format(&id, formatted);
        assert_string_equal(formatted, text);
        struct pc_peer_id again = parsed(text);
        assert_true(pc_addr_peer_id_equal(&id, &again));
        free(text);
        free(certificate);
    }
}

/* Keys of libp2p/specs; their ids were calculated apart from this code. */
static void ids_of_vector_keys(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *id;
    } rows[] = {
        { "ECDSA public key", "QmVMT29id3TUASyfZZ6k9hmNyc2nYabCo4uMSpDw4zrgDk" },
        { "ED25519 public key", "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq" },
        { "secp256k1 public key", "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY" },
        { "rsa public key", "QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqxG" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *hex = vector("libp2p-keys.txt", rows[i].name, 0);
        uint8_t key[PC_PUBLIC_KEY_MAX_BYTES];
        size_t size;
        char text[PC_PEER_ID_TEXT_BYTES];
        struct pc_peer_id id;
        assert_int_equal(pc_base_hex_decode(hex, strlen(hex), key, sizeof(key), &size), 0);
        assert_int_equal(pc_addr_peer_id_from_public_key(pc_bytes_of(key, size), &id), 0);
        pc_addr_peer_id_format(&id, text);
        assert_string_equal(text, rows[i].id);
        free(hex);
    }
}

/* One id in all its texts (libp2p/specs peer-ids; made with go-cid). */
static void every_text_of_one_id(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV",
        "k51qzi5uqu5dhb6l8spkdx7yxafegfkee5by8h7lmjh2ehc2sgg34z7c15vzqs",
        "K51QZI5UQU5DHB6L8SPKDX7YXAFEGFKEE5BY8H7LMJH2EHC2SGG34Z7C15VZQS",
        "bafzaajaiaejcalj543iwv2d7pkjt7ykvefrkfu7qjfi6sduakhso4lay6abn2d5u",
        "BAFZAAJAIAEJCALJ543IWV2D7PKJT7YKVEFRKFU7QJFI6SDUAKHSO4LAY6ABN2D5U",
    };
    struct pc_peer_id first = parsed(texts[0]);
    char text[80];
    assert_int_equal(first.size, 38);
    for (size_t i = 1; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct pc_peer_id id = parsed(texts[i]);
        assert_true(pc_addr_peer_id_equal(&first, &id));
    }
    assert_int_equal(pc_addr_peer_id_format_cid(&first, text, sizeof(text)), 0);
    assert_string_equal(text, texts[1]);
    assert_int_equal(pc_addr_peer_id_format_cid(&first, text, strlen(texts[1]) + 1), 0);
    assert_int_equal(pc_addr_peer_id_format_cid(&first, text, strlen(texts[1])), PEERCACHE_ELIMIT);
    assert_int_equal(pc_addr_peer_id_format_cid(&first, text, 0), PEERCACHE_ELIMIT);
}

static void wrong_texts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "1",
        "11", /* an identity multihash of nothing: fit for a multiaddr, no peer id */
        "Qm",
        "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5m",
        "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5m0",
        "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV ",
        "QmxoHT6iViN5xAjoz1VZ553cL31U9F94ht3QvWR1FrEbZY",              /* digest of 33 bytes */
        "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi", /* a CID of codec dag-pb */
        "zQmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",             /* CIDv0 */
        "x51qzi5uqu5dhb6l8spkdx7yxafegfkee5by8h7lmjh2ehc2sgg34z7c15vzqs",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct pc_peer_id id = { .size = 7 };
        struct pc_reason reason = { "" };
        assert_int_equal(pc_addr_peer_id_parse(texts[i], strlen(texts[i]), &id, &reason), PEERCACHE_EPARSE);
        assert_int_equal(id.size, 7);
        assert_non_null(strstr(reason.text, "is not a peer id"));
    }
    struct pc_reason reason;
    char text[200];
    struct pc_peer_id id;
    memset(text, '\n', sizeof(text));
    assert_int_equal(pc_addr_peer_id_parse(text, sizeof(text), &id, &reason), PEERCACHE_EPARSE);
    assert_string_equal(
        reason.text, "\"????????????????????????????????????????????????????????????\"... is not a peer id");
}

static void bytes_and_their_bounds(void **state)
{
    (void)state;
    uint8_t bytes[200] = { 0 };
    struct pc_peer_id id;
    for (size_t size = 0; size <= 60; size++) { /* identity */
        bytes[1] = (uint8_t)size;
        bool fits = size >= 1 && size <= 42;
        assert_int_equal(pc_addr_peer_id_from_bytes(pc_bytes_of(bytes, size + 2), &id),
                         fits ? 0 : PEERCACHE_EPARSE);
        assert_int_equal(pc_addr_peer_id_from_bytes(pc_bytes_of(bytes, size + 1), &id), PEERCACHE_EPARSE);
        assert_int_equal(pc_addr_peer_id_from_bytes(pc_bytes_of(bytes, size + 3), &id), PEERCACHE_EPARSE);
    }
    for (unsigned code = 0x11; code <= 0x14; code++) {
        bytes[0] = (uint8_t)code;
        bytes[1] = 32;
        assert_int_equal(pc_addr_peer_id_from_bytes(pc_bytes_of(bytes, 34), &id),
                         code == 0x12 ? 0 : PEERCACHE_EPARSE);
        bytes[1] = 31;
        assert_int_equal(pc_addr_peer_id_from_bytes(pc_bytes_of(bytes, 33), &id), PEERCACHE_EPARSE);
    }
    assert_int_equal(pc_addr_peer_id_from_bytes(pc_bytes_of("\x80\x00\x01x", 4), &id), PEERCACHE_EPARSE);
    static uint8_t key[PC_PUBLIC_KEY_MAX_BYTES + 1];
    assert_int_equal(pc_addr_peer_id_from_public_key(pc_bytes_of(key, 0), &id), PEERCACHE_EPARSE);
    assert_int_equal(pc_addr_peer_id_from_public_key(pc_bytes_of(key, 42), &id), 0);
    assert_int_equal(id.size, 44);
    assert_int_equal(id.bytes[0], 0);
    assert_int_equal(pc_addr_peer_id_from_public_key(pc_bytes_of(key, 43), &id), 0);
    assert_int_equal(id.size, 34);
    assert_int_equal(id.bytes[0], 0x12);
    assert_int_equal(pc_addr_peer_id_from_public_key(pc_bytes_of(key, PC_PUBLIC_KEY_MAX_BYTES), &id), 0);
    assert_int_equal(pc_addr_peer_id_from_public_key(pc_bytes_of(key, sizeof(key)), &id), PEERCACHE_ELIMIT);
}

static void not_known_has_no_text(void **state)
{
    (void)state;
    struct pc_peer_id id = { 0 };
    char text[PC_PEER_ID_TEXT_BYTES] = "x";
    pc_addr_peer_id_format(&id, text);
    assert_string_equal(text, "");
    text[0] = 'x';
    assert_int_equal(pc_addr_peer_id_format_cid(&id, text, sizeof(text)), 0);
    assert_string_equal(text, "");
    /* The longest id fits its text. */
    id.size = PC_PEER_ID_MAX_BYTES;
    memset(id.bytes, 0xff, sizeof(id.bytes));
    pc_addr_peer_id_format(&id, text);
    assert_in_range(strlen(text), 60, PC_PEER_ID_TEXT_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_of_known_keys),      cmocka_unit_test(ids_of_vector_keys),
        cmocka_unit_test(every_text_of_one_id),   cmocka_unit_test(wrong_texts),
        cmocka_unit_test(bytes_and_their_bounds), cmocka_unit_test(not_known_has_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
