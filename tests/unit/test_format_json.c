/* The reading of one JSON value, against known answers and against jansson. */
#include "check.h"

#include "base/rng.h"
#include "format/json_value.h"

#include <peercache/types.h>

#include <jansson.h>
#include <stdlib.h>

/* Memory of its own, so that a read beyond it is seen. */
static uint8_t *copy_of(const char *text, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    return copy;
}

static void strings_are_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *text;
    } cases[] = {
        { "\"\"", "" },
        { " \"plain\" ", "plain" },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
        { "\"\\u0041\\u00e4\\u20AC\\uffff\"", "A\xc3\xa4\xe2\x82\xac\xef\xbf\xbf" },
        { "\"\\ud83d\\ude00\\uDBFF\\uDFFF\"", "\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf" },
        { "\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"",
          "\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size = strlen(cases[i].json);
        uint8_t *json = copy_of(cases[i].json, size);
        struct pc_value value = pc_format_value_of(json, size);
        assert_int_equal(pc_format_value_check(json, size, NULL), 0);
        assert_int_equal(pc_format_value_kind(&value), '"');
        struct pc_bytes text = pc_format_value_string(&value);
        assert_int_equal(text.size, strlen(cases[i].text));
        assert_memory_equal(text.data, cases[i].text, text.size);
        assert_int_equal(pc_format_value_kind(&value), 0);
        free(json);
    }
}

static void what_is_no_json_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "[1}",
        "{\"a\":1]",
        "1 2",
        "[] []",
        "tru",
        "True",
        "nul",
        "NaN",
        "Infinity",
        "-",
        "+1",
        "01",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x10",
        "1a",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"a\nb\"",
        "\"\x01\"",
        "\"\x80\"",
        "\"\xc0\xaf\"",
        "\"\xc1\xbf\"",
        "\"\xe0\x9f\xbf\"",
        "\"\xed\xa0\x80\"",
        "\"\xf0\x8f\xbf\xbf\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xf5\x80\x80\x80\"",
        "\"\xe2\x82\"",
        "\"\xff\"",
        "'a'",
        "[1]//",
        "\xef\xbb\xbf[]",
        "\x0b[]",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pc_reason reason = { "" };
        size_t size = strlen(cases[i]);
        uint8_t *json = copy_of(cases[i], size);
        if (pc_format_value_check(json, size, &reason) == 0)
            print_message("# %s\n", cases[i]);
        assert_int_equal(pc_format_value_check(json, size, &reason), PEERCACHE_EPARSE);
        assert_true(reason.text[0] != '\0');
        free(json);
    }
    assert_int_equal(pc_format_value_check((const uint8_t *)"[\0]", 3, NULL), PEERCACHE_EPARSE);
    assert_int_equal(pc_format_value_check((const uint8_t *)"[]\0", 3, NULL), PEERCACHE_EPARSE);
}

static void integers_saturate(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool is_integer;
        int64_t number;
    } cases[] = {
        { "0", true, 0 },
        { "-0", true, 0 },
        { "9223372036854775807", true, INT64_MAX },
        { "9223372036854775808", true, INT64_MAX },
        { "99999999999999999999999999", true, INT64_MAX },
        { "-9223372036854775808", true, INT64_MIN },
        { "-9223372036854775809", true, INT64_MIN },
        { "-99999999999999999999999999", true, INT64_MIN },
        { "1.0", false, 0 },
        { "1e0", false, 0 },
        { "-0.0E-9999", false, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t number = 0;
        size_t size = strlen(cases[i].json);
        uint8_t *json = copy_of(cases[i].json, size);
        struct pc_value value = pc_format_value_of(json, size);
        assert_int_equal(pc_format_value_check(json, size, NULL), 0);
        assert_int_equal(pc_format_value_kind(&value), '0');
        assert_int_equal(pc_format_value_integer(&value, &number), cases[i].is_integer);
        assert_true(number == cases[i].number);
        assert_int_equal(pc_format_value_kind(&value), 0);
        free(json);
    }
}

/* --- against jansson --- */

static void compare(struct pc_value *value, const json_t *json)
{
    size_t count = 0;
    int64_t number;
    switch (pc_format_value_kind(value)) {
    case '{':
        assert_true(json_is_object(json));
        pc_format_value_enter(value);
        while (pc_format_value_next(value)) {
            char name[256];
            struct pc_bytes bytes = pc_format_value_name(value);
            assert_true(bytes.size < sizeof(name));
            memcpy(name, bytes.data, bytes.size);
            name[bytes.size] = '\0';
            assert_non_null(json_object_get(json, name));
            compare(value, json_object_get(json, name));
            count++;
        }
        assert_int_equal(count, json_object_size(json));
        break;
    case '[':
        assert_true(json_is_array(json));
        pc_format_value_enter(value);
        while (pc_format_value_next(value))
            compare(value, json_array_get(json, count++));
        assert_int_equal(count, json_array_size(json));
        break;
    case '"': {
        struct pc_bytes bytes = pc_format_value_string(value);
        assert_int_equal(bytes.size, json_string_length(json));
        assert_memory_equal(bytes.data, json_string_value(json), bytes.size);
        break;
    }
    case '0':
        if (pc_format_value_integer(value, &number))
            assert_true(number == json_integer_value(json));
        else
            assert_true(json_is_real(json));
        break;
    default:
        assert_true(json_is_true(json) || json_is_false(json) || json_is_null(json));
        pc_format_value_skip(value);
    }
}

/* Pieces of JSON in any order, mostly in the right one. */
static void random_value(struct pc_rng *rng, FILE *to, unsigned depth)
{
    static const char *const scalars[] = {
        "0",
        "-12",
        "3.5e2",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\\u00e4\\n\\\"b\"",
        "\"\\ud83d\\ude00\"",
        "\"\xc3\xa4\"",
        "\"]},\\\\\"",
        "9223372036854775807",
    };
    static const char *const whites[] = { "", "", "", " ", "\n", "\t\r " };
    uint64_t kind = pc_base_rng_below(rng, depth > 4 ? 4 : 8);
    (void)fputs(whites[pc_base_rng_below(rng, 6)], to);
    if (kind < 4) {
        (void)fputs(scalars[pc_base_rng_below(rng, sizeof(scalars) / sizeof(scalars[0]))], to);
    } else {
        bool is_object = kind < 6;
        (void)fputs(is_object ? "{" : "[", to);
        uint64_t count = pc_base_rng_below(rng, 4);
        for (uint64_t i = 0; i < count; i++) {
            (void)fputs(i ? "," : whites[pc_base_rng_below(rng, 6)], to);
            if (is_object)
                (void)fprintf(to, "\"m%u\\t\"%s:", (unsigned)i, whites[pc_base_rng_below(rng, 6)]);
            random_value(rng, to, depth + 1);
        }
        (void)fputs(is_object ? "}" : "]", to);
    }
    (void)fputs(whites[pc_base_rng_below(rng, 6)], to);
}

static void mutate(struct pc_rng *rng, char *text, size_t size)
{
    static const char bytes[] = "{}[]\",:\\u0a1-.eE \n\x80\xc3\xff";
    uint64_t count = pc_base_rng_below(rng, 3);
    for (uint64_t i = 0; i < count && size > 0; i++)
        text[pc_base_rng_below(rng, size)] = bytes[pc_base_rng_below(rng, sizeof(bytes) - 1)];
}

static void agrees_with_jansson(void **state)
{
    (void)state;
    struct pc_rng rng;
    size_t accepted = 0, refused = 0;
    pc_base_rng_init_u64(&rng, 11);
    for (size_t i = 0; i < 30000; i++) {
        char *text;
        size_t size;
        json_error_t error;
        FILE *to = open_memstream(&text, &size);
        assert_non_null(to);
        random_value(&rng, to, 0);
        (void)fclose(to);
        mutate(&rng, text, size);
        uint8_t *bytes = copy_of(text, size);
        json_t *json = json_loadb(text, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
        int r = pc_format_value_check(bytes, size, NULL);
        enum json_error_code code = json ? json_error_unknown : json_error_code(&error);
        /* Those two are not judged by the check. */
        if (json || (code != json_error_numeric_overflow && code != json_error_duplicate_key)) {
            if ((r == 0) != (json != NULL))
                print_message("# %s\n# %s\n", text, json ? "accepted" : error.text);
            assert_int_equal(r == 0, json != NULL);
        }
        if (json) {
            struct pc_value value = pc_format_value_of(bytes, size);
            struct pc_value skipped = value;
            pc_format_value_skip(&skipped);
            assert_int_equal(pc_format_value_kind(&skipped), 0);
            compare(&value, json);
            assert_int_equal(pc_format_value_kind(&value), 0);
            json_decref(json);
        }
        accepted += r == 0;
        refused += r != 0;
        free(bytes);
        free(text);
    }
    assert_true(accepted > 5000 && refused > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_decoded),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(integers_saturate),
        cmocka_unit_test(agrees_with_jansson),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
