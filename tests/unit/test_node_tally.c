/* Counting what strangers say. */
#include "check.h"

#include "node/tally.h"

#include <stdio.h>
#include <string.h>

static void add(struct pc_tally *tally, const char *text)
{
    pc_node_tally_add(tally, pc_bytes_of(text, strlen(text)));
}

static void test_the_most_frequent_comes_first(void **state)
{
    (void)state;
    const uint8_t secret[16] = { 1 };
    struct pc_tally tally;
    const peercache_counted *list;
    size_t count;
    pc_node_tally_init(&tally, secret);
    assert_int_equal(pc_node_tally_list(&tally, &list, &count), 0);
    assert_int_equal(count, 0);
    add(&tally, "b");
    add(&tally, "kubo");
    add(&tally, "a");
    add(&tally, "kubo");
    add(&tally, ""); /* one who says nothing counts too */
    assert_int_equal(pc_node_tally_list(&tally, &list, &count), 0);
    assert_int_equal(count, 4);
    assert_string_equal(list[0].text, "kubo");
    assert_int_equal(list[0].count, 2);
    assert_string_equal(list[1].text, "");
    assert_string_equal(list[2].text, "a");
    assert_string_equal(list[3].text, "b");
    pc_node_tally_deinit(&tally);
}

static void test_it_is_bounded(void **state)
{
    (void)state;
    const uint8_t secret[16] = { 1 };
    struct pc_tally tally;
    const peercache_counted *list;
    size_t count;
    char text[300];
    pc_node_tally_init(&tally, secret);
    for (int i = 0; i < PC_TALLY_TEXTS_MAX + 10; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        add(&tally, text);
    }
    assert_int_equal(tally.others, 10);
    add(&tally, "5"); /* one that is there goes on counting */
    assert_int_equal(pc_node_tally_list(&tally, &list, &count), 0);
    assert_int_equal(count, PC_TALLY_TEXTS_MAX);
    assert_string_equal(list[0].text, "5");
    pc_node_tally_deinit(&tally);

    pc_node_tally_init(&tally, secret);
    memset(text, 'x', sizeof(text));
    text[3] = '\0';
    pc_node_tally_add(&tally, pc_bytes_of(text, sizeof(text)));
    text[200] = 'y'; /* the same, once cut */
    pc_node_tally_add(&tally, pc_bytes_of(text, sizeof(text)));
    assert_int_equal(pc_node_tally_list(&tally, &list, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(list[0].count, 2);
    assert_int_equal(strlen(list[0].text), PC_TALLY_TEXT_BYTES - 1);
    assert_memory_equal(list[0].text, "xxx?x", 5);
    pc_node_tally_deinit(&tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_most_frequent_comes_first),
        cmocka_unit_test(test_it_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
