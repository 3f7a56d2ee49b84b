#include "check.h"

#include "base/cursor.h"
#include "base/fsm.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/rng.h"
#include "base/time.h"

#include <peercache/types.h>

#include <string.h>

static void reader_error_sticks(void **state)
{
    (void)state;
    const uint8_t data[] = { 1, 2, 3 };
    struct pc_reader r;
    pc_base_reader_init(&r, data, sizeof(data));
    assert_int_equal(pc_base_read_u16(&r), 0x0102);
    assert_int_equal(pc_base_read_u16(&r), 0);
    assert_int_equal(r.error, PEERCACHE_EPARSE);
    assert_int_equal(pc_base_read_u8(&r), 0); /* though one byte was there */
    assert_int_equal(pc_base_reader_left(&r), 0);
}

static void varint_round_trip_and_shortest_form(void **state)
{
    (void)state;
    const uint64_t values[] = { 0, 1, 127, 128, 300, 16383, 16384, UINT64_C(1) << 62 };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        uint8_t buffer[10];
        struct pc_writer w;
        struct pc_reader r;
        pc_base_writer_init(&w, buffer, sizeof(buffer));
        pc_base_write_varint(&w, values[i]);
        assert_int_equal(pc_base_writer_size(&w), pc_base_varint_size(values[i]));
        pc_base_reader_init(&r, buffer, pc_base_writer_size(&w));
        assert_true(pc_base_read_varint(&r) == values[i]);
        assert_int_equal(r.error, 0);
    }
    const uint8_t padded[] = { 0x81, 0x00 };
    struct pc_reader r;
    pc_base_reader_init(&r, padded, sizeof(padded));
    (void)pc_base_read_varint(&r);
    assert_int_equal(r.error, PEERCACHE_EPARSE);
    pc_base_reader_init(&r, padded, sizeof(padded));
    assert_int_equal(pc_base_read_varint_any(&r), 1);
    assert_int_equal(r.error, 0);
    const uint8_t endless[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 };
    pc_base_reader_init(&r, endless, sizeof(endless));
    (void)pc_base_read_varint(&r);
    assert_int_equal(r.error, PEERCACHE_EPARSE);
}

static void writer_stops_at_capacity(void **state)
{
    (void)state;
    uint8_t buffer[3] = { 9, 9, 9 };
    struct pc_writer w;
    pc_base_writer_init(&w, buffer, 2);
    pc_base_write_u8(&w, 1);
    pc_base_write_u16(&w, 0x0203);
    pc_base_write_u8(&w, 4);
    assert_int_equal(w.error, PEERCACHE_ELIMIT);
    assert_int_equal(pc_base_writer_size(&w), 1);
    assert_int_equal(buffer[2], 9);
}

static void time_saturates(void **state)
{
    (void)state;
    assert_true(pc_base_time_add(PC_TIME_NEVER, -5) == PC_TIME_NEVER);
    assert_true(pc_base_time_add(INT64_MAX - 1, 5) == INT64_MAX);
    assert_true(pc_base_time_add(INT64_MIN + 1, -5) == INT64_MIN);
    assert_true(pc_base_time_sub(INT64_MIN, 5) == INT64_MIN);
    assert_true(pc_base_time_sub(5, INT64_MIN) == INT64_MAX);
}

static void rfc3339_known_moments(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { INT64_C(951782400000), "2000-02-29T00:00:00.000Z" },
        { INT64_C(1709251199999), "2024-02-29T23:59:59.999Z" },
        { INT64_C(4107542400000), "2100-03-01T00:00:00.000Z" },
        { -1, "1969-12-31T23:59:59.999Z" },
        { INT64_MAX, "9999-12-31T23:59:59.999Z" },
        { INT64_MIN, "0000-01-01T00:00:00.000Z" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[PC_RFC3339_BYTES];
        pc_base_rfc3339_format(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

static int parse(const char *text, int64_t *ret_ms)
{
    return pc_base_rfc3339_parse(text, strlen(text), ret_ms);
}

static void rfc3339_texts_to_moments(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-01-01t00:00:00z", 0 },
        { "1970-01-01T00:00:00.001Z", 1 },
        { "1970-01-01T00:00:00.1Z", 100 },
        { "1970-01-01T00:00:00.12Z", 120 },
        { "1970-01-01T00:00:00.999999999999999999999999Z", 999 },
        { "1970-01-01T01:00:00+01:00", 0 },
        { "1969-12-31T23:59:59.500-00:00", -500 },
        { "1969-12-31T12:30:00-11:30", 0 },
        { "2000-02-29T00:00:00.000Z", INT64_C(951782400000) },
        { "2024-02-29T23:59:59.999Z", INT64_C(1709251199999) },
        { "2100-03-01T00:00:00.000Z", INT64_C(4107542400000) },
        { "2016-12-31T23:59:60Z", INT64_C(1483228800000) },        /* a leap second */
        { "2017-01-01T00:59:60.7+01:00", INT64_C(1483228800000) }, /* the same one */
        { "0000-01-01T00:00:00Z", INT64_C(-62167219200000) },
        { "0000-01-01T00:00:00+23:59", INT64_C(-62167305540000) },
        { "9999-12-31T23:59:59.999Z", INT64_C(253402300799999) },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = -1;
        assert_int_equal(parse(cases[i].text, &ms), 0);
        assert_true(ms == cases[i].ms);
    }
}

static void rfc3339_refuses_what_is_no_moment(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "2024-11-25",
        "2024-11-25T10:00:00",
        "2024-11-25T10:00Z",
        "2024-11-25 10:00:00Z",
        "2024-11-25T10:00:00Z ",
        " 2024-11-25T10:00:00Z",
        "2024-11-25T10:00:00ZZ",
        "2024-11-25T10:00:00.Z",
        "2024-11-25T10:00:00,5Z",
        "2024-11-25T10:00:00.5",
        "2024-11-25T10:00:00+1:00",
        "2024-11-25T10:00:00+0100",
        "2024-11-25T10:00:00+01",
        "2024-11-25T10:00:00+24:00",
        "2024-11-25T10:00:00+01:60",
        "2024-11-25T10:00:00*01:00",
        "2024-11-25T24:00:00Z",
        "2024-11-25T10:60:00Z",
        "2024-11-25T10:00:61Z",
        "2024-11-25T10:00:60Z",
        "2024-00-25T10:00:00Z",
        "2024-13-25T10:00:00Z",
        "2024-11-00T10:00:00Z",
        "2024-11-31T10:00:00Z",
        "2023-02-29T10:00:00Z",
        "1900-02-29T10:00:00Z",
        "2024-1-25T10:00:00Z",
        "+024-11-25T10:00:00Z",
        "-024-11-25T10:00:00Z",
        "02024-11-25T10:00:00Z",
        "2024/11/25T10:00:00Z",
        "20x4-11-25T10:00:00Z",
        "2024-W48-1T10:00:00Z",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = 77;
        assert_int_equal(parse(cases[i], &ms), PEERCACHE_EPARSE);
        assert_true(ms == 77);
    }
    int64_t ms = 77;
    static const char with_nul[] = "2024-11-25T10:00:00\0Z";
    assert_int_equal(pc_base_rfc3339_parse(with_nul, sizeof(with_nul) - 1, &ms), PEERCACHE_EPARSE);
    static const char whole[] = "2024-11-25T10:00:00.25+05:30";
    for (size_t length = 0; length < sizeof(whole) - 1; length++)
        assert_int_equal(pc_base_rfc3339_parse(whole, length, &ms), PEERCACHE_EPARSE);
    assert_true(ms == 77);
}

/* Every day of 500 years, and random moments of all years, come back. */
static void rfc3339_round_trips(void **state)
{
    (void)state;
    struct pc_rng rng;
    char text[PC_RFC3339_BYTES];
    int64_t back;
    pc_base_rng_init_u64(&rng, 5);
    for (int64_t day = -135000; day < 50000; day++) {
        pc_base_rfc3339_format(day * 86400000 + 1, text);
        assert_int_equal(parse(text, &back), 0);
        assert_true(back == day * 86400000 + 1);
    }
    for (size_t i = 0; i < 20000; i++) {
        int64_t ms = INT64_C(-62167219200000) + (int64_t)pc_base_rng_below(&rng, UINT64_C(315569520000000));
        pc_base_rfc3339_format(ms, text);
        assert_int_equal(parse(text, &back), 0);
        assert_true(back == ms);
    }
}

static void rng_repeats_from_its_seed(void **state)
{
    (void)state;
    struct pc_rng a, b, c;
    uint8_t one[1000], two[1000];
    pc_base_rng_init_u64(&a, 7);
    pc_base_rng_init_u64(&b, 7);
    pc_base_rng_init_u64(&c, 8);
    pc_base_rng_bytes(&a, one, sizeof(one));
    for (size_t i = 0; i < sizeof(two); i++)
        pc_base_rng_bytes(&b, two + i, 1);
    assert_memory_equal(one, two, sizeof(one));
    assert_true(pc_base_rng_u64(&a) == pc_base_rng_u64(&b));
    assert_true(pc_base_rng_u64(&a) != pc_base_rng_u64(&c));
}

static void rng_below_is_fair(void **state)
{
    (void)state;
    struct pc_rng rng;
    unsigned hits[7] = { 0 };
    pc_base_rng_init_u64(&rng, 1);
    for (unsigned i = 0; i < 70000; i++)
        hits[pc_base_rng_below(&rng, 7)]++;
    for (unsigned i = 0; i < 7; i++)
        assert_in_range(hits[i], 9500, 10500); /* five standard deviations are 463 */
}

struct item {
    struct pc_map_node node;
    uint32_t number;
};

static struct pc_bytes item_key(const struct pc_map_node *node)
{
    const struct item *item = PC_CONST_CONTAINER_OF(node, struct item, node);
    return pc_bytes_of(&item->number, sizeof(item->number));
}

static void map_finds_what_it_holds(void **state)
{
    (void)state;
    static struct item items[1000];
    const uint8_t secret[16] = { 1 };
    struct pc_map map;
    pc_base_map_init(&map, item_key, secret);
    for (uint32_t i = 0; i < 1000; i++) {
        items[i].number = i;
        assert_int_equal(pc_base_map_insert(&map, &items[i].node), 0);
    }
    for (uint32_t i = 0; i < 1000; i += 2)
        pc_base_map_remove(&map, &items[i].node);
    assert_int_equal(map.count, 500);
    for (uint32_t i = 0; i < 1000; i++) {
        struct pc_map_node *found = pc_base_map_find(&map, pc_bytes_of(&i, sizeof(i)));
        assert_ptr_equal(found, i % 2 ? &items[i].node : NULL);
    }
    size_t walked = 0;
    for (struct pc_map_node *n = pc_base_map_next(&map, NULL); n; n = pc_base_map_next(&map, n))
        walked++;
    assert_int_equal(walked, 500);
    pc_base_map_deinit(&map);
}

static void map_takes_a_hash_that_is_known(void **state)
{
    (void)state;
    static struct item items[100], twin;
    const uint8_t secret[16] = { 2 };
    struct pc_map map, other;
    pc_base_map_init(&map, item_key, secret);
    pc_base_map_init(&other, item_key, secret);
    assert_int_equal(pc_base_map_reserve(&map), 0);
    for (uint32_t i = 0; i < 100; i++) {
        items[i].number = i;
        uint64_t hash = pc_base_map_hash(&other, item_key(&items[i].node));
        assert_null(pc_base_map_find_hashed(&map, item_key(&items[i].node), hash));
        assert_int_equal(pc_base_map_insert_hashed(&map, &items[i].node, hash), 0);
    }
    twin.number = 42;
    pc_base_map_replace(&map, &items[42].node, &twin.node);
    assert_int_equal(map.count, 100);
    for (uint32_t i = 0; i < 100; i++) {
        struct pc_map_node *found = pc_base_map_find(&map, pc_bytes_of(&i, sizeof(i)));
        assert_ptr_equal(found, i == 42 ? &twin.node : &items[i].node);
    }
    pc_base_map_remove(&map, &twin.node);
    assert_null(pc_base_map_find(&map, item_key(&twin.node)));
    pc_base_map_deinit(&map);
}

static void heap_gives_the_earliest(void **state)
{
    (void)state;
    struct pc_rng rng;
    struct pc_heap heap;
    struct pc_heap_node nodes[500];
    pc_base_rng_init_u64(&rng, 3);
    pc_base_heap_init(&heap);
    for (size_t i = 0; i < 500; i++)
        pc_base_heap_node_init(&nodes[i]);
    for (size_t round = 0; round < 5000; round++) {
        struct pc_heap_node *node = &nodes[pc_base_rng_below(&rng, 500)];
        int64_t at = (int64_t)pc_base_rng_below(&rng, 1000);
        assert_int_equal(pc_base_heap_set(&heap, node, at < 100 ? PC_TIME_NEVER : at), 0);
        int64_t earliest = PC_TIME_NEVER;
        for (size_t i = 0; i < 500; i++)
            earliest = pc_base_time_min(earliest, nodes[i].at);
        struct pc_heap_node *first = pc_base_heap_first(&heap);
        assert_true((first ? first->at : PC_TIME_NEVER) == earliest);
    }
    pc_base_heap_deinit(&heap);
}

static void names_cover_the_lists(void **state)
{
    (void)state;
    assert_string_equal(peercache_outcome_name(PEERCACHE_OK), "ok");
    assert_string_equal(peercache_outcome_name(PEERCACHE_CANCELLED), "cancelled");
    assert_string_equal(peercache_outcome_name((peercache_outcome)99), "unknown");
    assert_string_equal(peercache_strerror(0), "success");
    assert_string_equal(peercache_strerror(PEERCACHE_EPARSE), "malformed input");
    assert_string_equal(peercache_strerror(-1000), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader_error_sticks),
        cmocka_unit_test(varint_round_trip_and_shortest_form),
        cmocka_unit_test(writer_stops_at_capacity),
        cmocka_unit_test(time_saturates),
        cmocka_unit_test(rfc3339_known_moments),
        cmocka_unit_test(rfc3339_texts_to_moments),
        cmocka_unit_test(rfc3339_refuses_what_is_no_moment),
        cmocka_unit_test(rfc3339_round_trips),
        cmocka_unit_test(rng_repeats_from_its_seed),
        cmocka_unit_test(rng_below_is_fair),
        cmocka_unit_test(map_finds_what_it_holds),
        cmocka_unit_test(map_takes_a_hash_that_is_known),
        cmocka_unit_test(heap_gives_the_earliest),
        cmocka_unit_test(names_cover_the_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
