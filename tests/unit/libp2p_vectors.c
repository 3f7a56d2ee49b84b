#include "libp2p_vectors.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VECTOR_LINE_BYTES 16384

struct vector_file {
    FILE *file;
    char line[VECTOR_LINE_BYTES];
};

static void vectors_open(struct vector_file *vectors, const char *name)
{
    const char *directory = getenv("VECTORS");
    char path[512];
    assert_non_null(directory);
    assert_true(snprintf(path, sizeof(path), "%s/%s", directory, name) < (int)sizeof(path));
    vectors->file = fopen(path, "r");
    assert_non_null(vectors->file);
}

/* The next "name: value" line; false at the end of the file. */
static bool vectors_next(struct vector_file *vectors, char **ret_name, char **ret_value)
{
    while (fgets(vectors->line, sizeof(vectors->line), vectors->file)) {
        char *colon = strstr(vectors->line, ": ");
        if (vectors->line[0] == '#' || !colon)
            continue;
        *colon = '\0';
        *ret_name = vectors->line;
        *ret_value = colon + 2;
        (*ret_value)[strcspn(*ret_value, "\n")] = '\0';
        return true;
    }
    (void)fclose(vectors->file);
    return false;
}

static size_t hex_decode(const char *text, uint8_t *data, size_t capacity)
{
    size_t size = strlen(text) / 2;
    assert_int_equal(strlen(text) % 2, 0);
    assert_true(size <= capacity);
    for (size_t i = 0; i < size; i++) {
        unsigned byte;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        data[i] = (uint8_t)byte;
    }
    return size;
}

size_t key_vector(const char *wanted, uint8_t *data, size_t capacity)
{
    struct vector_file vectors;
    char *name, *value;
    size_t size = 0;
    vectors_open(&vectors, "libp2p-keys.txt");
    while (vectors_next(&vectors, &name, &value))
        if (strcmp(name, wanted) == 0)
            size = hex_decode(value, data, capacity);
    assert_true(size > 0);
    return size;
}

size_t certificate_vector(unsigned n, uint8_t *data, size_t capacity, char *ret_id, size_t id_capacity)
{
    struct vector_file vectors;
    char *name, *value;
    unsigned at = 0;
    size_t size = 0;
    vectors_open(&vectors, "libp2p-tls.txt");
    while (vectors_next(&vectors, &name, &value)) {
        if (strcmp(name, "peer_id") == 0 && at == n)
            assert_true(snprintf(ret_id, id_capacity, "%s", value) < (int)id_capacity);
        if (strcmp(name, "cert") == 0 && at++ == n)
            size = hex_decode(value, data, capacity);
    }
    assert_true(size > 0);
    return size;
}

struct pc_identity *identity_of_vector(const char *kind)
{
    uint8_t private_key[PC_PRIVATE_KEY_MAX_BYTES];
    char name[64];
    struct pc_identity *identity = NULL;
    struct pc_reason reason = { "" };
    assert_true(snprintf(name, sizeof(name), "%s private key", kind) < (int)sizeof(name));
    size_t size = key_vector(name, private_key, sizeof(private_key));
    int r = pc_libp2p_identity_new(pc_bytes_of(private_key, size), VECTOR_NOW_MS, &identity, &reason);
    if (r < 0)
        fail_msg("%s: %s", kind, reason.text);
    return identity;
}

const char *const vector_kinds[VECTOR_KIND_COUNT] = { "ECDSA", "ED25519", "secp256k1", "rsa" };
