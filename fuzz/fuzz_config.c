/*
 * Any bytes as a config file: each value with its key and its line, in their order, or where and why it is wrong; and what was
 * read, written plainly, reads the same.
 */
#include "cli/config.h"

#include <peercache/types.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STOPPED PEERCACHE_EPERM /* none that parse itself returns */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held)
{
    if (!held)
        abort();
}

struct reading {
    size_t count;
    size_t refused; /* this value */
    bool is_over;   /* one was refused: none may follow */
    unsigned line;
    uint64_t sum;
    FILE *copy; /* what was read goes here; NULL: nowhere */
};

static void add(struct reading *reading, const char *text)
{
    do
        reading->sum = (reading->sum ^ (uint8_t)*text) * UINT64_C(0x100000001b3); /* FNV-1a */
    while (*text++);
}

static int take(void *context, unsigned line, const char *key, const char *value,
                struct pc_reason *ret_reason)
{
    struct reading *reading = context;
    require(!reading->is_over && line > reading->line);
    reading->line = line;
    if (reading->count == reading->refused) {
        pc_base_reason(ret_reason, "not this one");
        reading->is_over = true;
        return STOPPED;
    }
    require(!strchr(key, '\n') && !strchr(value, '\n'));
    add(reading, key);
    add(reading, value);
    reading->count++;
    if (reading->copy)
        require(fprintf(reading->copy, "%s=%s\n", key, value) > 0);
    return 0;
}

static int parse(struct pc_bytes text, size_t refused, FILE *copy, struct reading *ret_reading)
{
    struct pc_reason reason = { "" };
    unsigned line = 0;
    *ret_reading = (struct reading){ .refused = refused, .copy = copy };
    int result = pc_cli_config_parse(text, take, ret_reading, &line, &reason);
    require((result != 0) == (reason.text[0] != '\0'));
    require(result != STOPPED || (ret_reading->is_over && line == ret_reading->line));
    require(result == 0 || result == STOPPED || result == PEERCACHE_EPARSE || result == PEERCACHE_ELIMIT);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reading whole, part, again;
    char *text = NULL;
    size_t text_size = 0;
    FILE *copy = open_memstream(&text, &text_size);
    require(copy && fputs("; the mark of UTF-8 is one in the first line alone\n", copy) >= 0);
    int result = parse(pc_bytes_of(data, size), SIZE_MAX, copy, &whole);
    require(fclose(copy) == 0);
    if (whole.count > 0) {
        require(parse(pc_bytes_of(data, size), whole.count / 2, NULL, &part) == STOPPED);
        require(part.count == whole.count / 2);
    }
    if (result == 0 && text_size <= PC_CLI_CONFIG_MAX_BYTES) {
        require(parse(pc_bytes_of(text, text_size), SIZE_MAX, NULL, &again) == 0);
        require(again.count == whole.count && again.sum == whole.sum);
    }
    free(text);
    return 0;
}
