/*
 * The input as what strangers and operators write: the target of a request, the levels of a log, a text that is
 * logged. A redacted text has nothing left to hide, a line of JSON is JSON, and each request has an answer.
 */
#include "format/json_value.h"
#include "observe/answer.h"
#include "observe/log.h"
#include "observe/redact.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX_BYTES 2048

/* Unlike assert, always there: the calls inside are the test. */
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                            \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(void *context, struct pc_observation *ret_observation)
{
    (void)context;
    *ret_observation = (struct pc_observation){ .version = "0.1.0", .network = "", .store_path = "" };
    ret_observation->store_problem = "";
    ret_observation->node.phase = "idle";
    ret_observation->node.cause = "";
    ret_observation->node.next_step = "";
}

static int each_peer(void *context, size_t count, int (*visit)(void *, const struct pc_record *),
                     void *visit_context)
{
    (void)context;
    (void)count;
    (void)visit;
    (void)visit_context;
    return 0;
}

static void ask(const char *text)
{
    static const struct pc_observe_source source = { .look = look, .each_peer = each_peer };
    const struct pc_observe_request request = { .target = text,
                                                .cache_version = text,
                                                .if_none_match = text };
    struct pc_observe_answer answer;
    pc_observe_answer(&request, &source, &answer);
    CHECK(answer.status >= 200 && answer.status != 500);
    CHECK(answer.body.size > 0 || answer.status == 304);
    pc_observe_text_deinit(&answer.body);
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* No whole word of a text without addresses is one, with or without a port behind it. */
static void redact(const char *text)
{
    static const char of_addresses[] = "0123456789abcdefABCDEF:.";
    struct pc_observe_text redacted = { 0 };
    struct pc_ip_port unused;
    pc_observe_redact(&redacted, text);
    for (char *at = redacted.data; *at;) {
        size_t length = strspn(at, of_addresses);
        char after = at[length];
        if (length > 0 && (at == redacted.data || !is_word(at[-1])) && !is_word(after)) {
            at[length] = '\0';
            CHECK(pc_addr_ip_port_parse(at, 0, &unused) != 0);
            at[length] = after;
        }
        at += length > 0 ? length : 1;
    }
    pc_observe_text_deinit(&redacted);
}

static void log_line(const char *text)
{
    struct pc_observe_log_levels levels;
    struct pc_observe_text line = { 0 };
    struct pc_observe_log_line said = { .is_json = true, .room = text, .text = text };
    pc_observe_log_levels_init(&levels, PC_LOG_INFO);
    (void)pc_observe_log_levels_parse(text, &levels, NULL);
    (void)pc_observe_log_wants(&levels, PC_LOG_INFO, text);
    pc_observe_put_log_line(&line, &said);
    CHECK(pc_format_value_check((const uint8_t *)line.data, line.size, NULL) == 0);
    pc_observe_text_clear(&line);
    said.is_json = false;
    said.redacted = true;
    pc_observe_put_log_line(&line, &said);
    CHECK(strchr(line.data, '\n') == line.data + line.size - 1);
    pc_observe_text_deinit(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX_BYTES + 1];
    size_t length = size < TEXT_MAX_BYTES ? size : TEXT_MAX_BYTES;
    if (length > 0)
        memcpy(text, data, length);
    text[length] = '\0';
    ask(text);
    redact(text);
    log_line(text);
    return 0;
}
