/* The texts of an observed node, to the letter, and the buffer that they grow in. */
#include "check.h"

#include "observe_check.h"

#include "base/time.h"
#include "observe/metrics.h"
#include "observe/status_json.h"

#include <peercache/types.h>

#include <string.h>

static void assert_vector(const struct pc_observe_text *text, const char *name)
{
    char *expected = read_vector(name);
    assert_int_equal(text->error, 0);
    assert_int_equal(strlen(text->data), text->size);
    if (strcmp(text->data, expected) != 0) {
        size_t at = 0;
        while (text->data[at] == expected[at])
            at++;
        fail_msg("%s differs at byte %zu: %.80s", name, at, text->data + (at > 20 ? at - 20 : 0));
    }
    free(expected);
}

static void test_metrics(void **state)
{
    struct pc_observation observation;
    struct pc_observe_text text = { 0 };
    (void)state;
    example_observation(&observation);
    pc_observe_metrics(&observation, &text);
    assert_vector(&text, "observe/metrics.txt");
    pc_observe_text_deinit(&text);
}

static void test_status(void **state)
{
    struct pc_observation observation;
    struct pc_observe_text text = { 0 };
    (void)state;
    example_observation(&observation);
    pc_observe_status_json(&observation, &text);
    assert_vector(&text, "observe/status.json");
    pc_observe_text_deinit(&text);
}

/* What is not known has no sample, and is null. */
static void test_unknown(void **state)
{
    static struct pc_observation nothing;
    struct pc_observe_text text = { 0 };
    (void)state;
    nothing.version = "0.1.0";
    nothing.network = "ipfs";
    nothing.store_path = "";
    nothing.store_problem = "";
    nothing.node.phase = "idle";
    nothing.node.cause = "";
    nothing.node.next_step = "";
    nothing.node.answered_ago_us = -1;
    nothing.node.join.first_verified_us = -1;
    nothing.node.join.fifth_verified_us = -1;
    pc_observe_metrics(&nothing, &text);
    assert_int_equal(text.error, 0);
    assert_non_null(strstr(text.data, "peercache_join_status{state=\"idle\"} 1\n"));
    assert_null(strstr(text.data, "\npeercache_first_verified_seconds"));
    assert_null(strstr(text.data, "\npeercache_last_answer_age_seconds"));
    assert_null(strstr(text.data, "\npeercache_cache_last_success_timestamp_seconds"));
    assert_null(strstr(text.data, "peercache_store"));
    assert_null(strstr(text.data, "peercache_resident"));
    pc_observe_text_clear(&text);
    pc_observe_status_json(&nothing, &text);
    assert_non_null(strstr(text.data, "\"id\":null,"));
    assert_non_null(strstr(text.data, "\"addresses\":[],"));
    assert_non_null(strstr(text.data, "\"cause\":null,\"next_step\":null"));
    assert_non_null(strstr(text.data, "\"first_verified_ms\":null"));
    assert_non_null(strstr(text.data, "\"store\":null"));
    assert_non_null(strstr(text.data, "\"resident_bytes\":null"));
    pc_observe_text_deinit(&text);
}

static void test_json_strings(void **state)
{
    struct pc_observe_text text = { 0 };
    (void)state;
    pc_observe_put_json(&text, "a\"b\\c\n\x7f é");
    assert_string_equal(text.data, "\"a\\u0022b\\u005cc\\u000a\\u007f é\"");
    pc_observe_text_clear(&text);
    pc_observe_put_json(&text, "caf\xe9 \xc3\xa9");
    assert_string_equal(text.data, "\"caf? ??\"");
    pc_observe_text_clear(&text);
    pc_observe_put_json(&text, "");
    assert_string_equal(text.data, "\"\"");
    pc_observe_text_deinit(&text);
}

static void test_decimals(void **state)
{
    static const struct {
        int64_t us, unit_us;
        const char *text;
    } rows[] = {
        { 0, PC_US_PER_S, "0.000000" },
        { 1, PC_US_PER_S, "0.000001" },
        { 1500000, PC_US_PER_S, "1.500000" },
        { 1500, PC_US_PER_MS, "1.500" },
        { -1500, PC_US_PER_MS, "-1.500" },
        { INT64_MAX, PC_US_PER_S, "9223372036854.775807" },
        { INT64_MIN, PC_US_PER_MS, "-9223372036854775.808" },
    };
    struct pc_observe_text text = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        pc_observe_text_clear(&text);
        pc_observe_put_us(&text, rows[i].us, rows[i].unit_us);
        assert_string_equal(text.data, rows[i].text);
    }
    pc_observe_text_deinit(&text);
}

static void test_bound(void **state)
{
    struct pc_observe_text text = { 0 };
    char piece[4096];
    (void)state;
    memset(piece, 'x', sizeof(piece));
    for (size_t i = 0; i < PC_OBSERVE_TEXT_MAX_BYTES / sizeof(piece); i++)
        pc_observe_put_bytes(&text, pc_bytes_of(piece, sizeof(piece)));
    assert_int_equal(text.error, 0);
    assert_int_equal(text.size, PC_OBSERVE_TEXT_MAX_BYTES);
    pc_observe_put(&text, "%s", "");
    assert_int_equal(text.error, 0);
    pc_observe_put(&text, "x");
    assert_int_equal(text.error, PEERCACHE_ELIMIT);
    pc_observe_put(&text, "%s", ""); /* it sticks */
    assert_int_equal(text.error, PEERCACHE_ELIMIT);
    assert_int_equal(text.size, PC_OBSERVE_TEXT_MAX_BYTES);
    pc_observe_text_clear(&text);
    pc_observe_put(&text, "%d", 7);
    assert_string_equal(text.data, "7");
    pc_observe_text_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics),      cmocka_unit_test(test_status),   cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_json_strings), cmocka_unit_test(test_decimals), cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
