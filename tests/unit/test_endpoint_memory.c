/* What is remembered of an endpoint: to bytes and back, and what follows from it. */
#include "check.h"

#include "join/endpoint_memory.h"

#include <stdio.h>
#include <string.h>

#define NOW_MS INT64_C(1764000000000)
#define URL    "https://endpoint.example/peers?all=1"

static uint8_t bytes[PC_ENDPOINT_MEMORY_MAX_BYTES];

static struct pc_endpoint_peer peer_of(uint32_t number, size_t addr_bytes)
{
    struct pc_endpoint_peer peer = { .id = { .size = 34, .bytes = { 0x12, 0x20 } } };
    const struct pc_ip_port address = { .family = 4, .ip = { 192, 0, 2, 1 }, .port = (uint16_t)number };
    memcpy(peer.id.bytes + 2, &number, sizeof(number));
    pc_addr_from_ip_port(&address, &peer.addr);
    if (addr_bytes > 0) { /* /unix of a long path */
        peer.addr.size = (uint16_t)addr_bytes;
        memset(peer.addr.bytes, 'a', addr_bytes);
        memcpy(peer.addr.bytes, "\x90\x03", 2);
        assert_true(addr_bytes - 4 >= 128);
        peer.addr.bytes[2] = (uint8_t)(0x80 | ((addr_bytes - 4) & 0x7f));
        peer.addr.bytes[3] = (uint8_t)((addr_bytes - 4) >> 7);
        peer.addr.bytes[4] = '/';
    }
    return peer;
}

static struct pc_endpoint_memory memory_of(const char *url, size_t count, size_t addr_bytes)
{
    struct pc_endpoint_memory memory;
    struct pc_breaker breaker;
    assert_int_equal(pc_endpoint_memory_init(&memory, url), 0);
    pc_breaker_init(&breaker);
    pc_breaker_save(&breaker, 5, NOW_MS, memory.breaker);
    memory.has_breaker = true;
    memory.asked_ms = NOW_MS - 500;
    memory.ended_ms = NOW_MS - 400;
    memory.result = PEERCACHE_FETCH_HTTP_ERROR;
    memory.status = 503;
    pc_endpoint_memory_set_detail(&memory, "HTTP status 503");
    memory.verified = 77;
    memory.answered_ms = NOW_MS - 1000;
    pc_endpoint_memory_set_condition(&memory, "\"abc\"", "Sun, 06 Nov 1994 08:49:37 GMT");
    struct pc_endpoint_peer *peers = calloc(count + 1, sizeof(*peers));
    assert_non_null(peers);
    for (uint32_t i = 0; i < count; i++)
        peers[i] = peer_of(i + 1, addr_bytes);
    if (count > 1)
        peers[1].id.size = 0;
    assert_int_equal(pc_endpoint_memory_set_peers(&memory, peers, count), 0);
    free(peers);
    memory.lease_until_ms = NOW_MS + 1000;
    memcpy(memory.lease_owner, "ownerown", 8);
    return memory;
}

static void expect_same(const struct pc_endpoint_memory *a, const struct pc_endpoint_memory *b)
{
    assert_string_equal(a->url, b->url);
    assert_int_equal(a->has_breaker, b->has_breaker);
    assert_memory_equal(a->breaker, b->breaker, sizeof(a->breaker));
    assert_true(a->asked_ms == b->asked_ms && a->ended_ms == b->ended_ms && a->answered_ms == b->answered_ms);
    assert_int_equal(a->result, b->result);
    assert_int_equal(a->status, b->status);
    assert_string_equal(a->detail, b->detail);
    assert_int_equal(a->verified, b->verified);
    assert_string_equal(a->etag, b->etag);
    assert_string_equal(a->last_modified, b->last_modified);
    assert_true(a->lease_until_ms == b->lease_until_ms);
    assert_memory_equal(a->lease_owner, b->lease_owner, sizeof(a->lease_owner));
    assert_int_equal(a->peer_count, b->peer_count);
    for (size_t i = 0; i < a->peer_count; i++) {
        assert_true(pc_addr_peer_id_equal(&a->peers[i].id, &b->peers[i].id));
        assert_true(
            pc_bytes_equal(pc_addr_maddr_bytes(&a->peers[i].addr), pc_addr_maddr_bytes(&b->peers[i].addr)));
    }
}

static size_t stored(const struct pc_endpoint_memory *memory)
{
    size_t size = 0;
    assert_int_equal(pc_endpoint_memory_write(memory, bytes, sizeof(bytes), &size), 0);
    return size;
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    const size_t counts[] = { 0, 1, 2, PC_ENDPOINT_PEERS_MAX };
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct pc_endpoint_memory read, memory = memory_of(URL, counts[i], 0);
        assert_int_equal(memory.peer_count, counts[i]);
        size_t size = stored(&memory);
        assert_int_equal(pc_endpoint_memory_read(pc_bytes_of(bytes, size), &read), 0);
        expect_same(&memory, &read);
        pc_endpoint_memory_deinit(&read);
        pc_endpoint_memory_deinit(&memory);
    }
    struct pc_endpoint_memory read, empty;
    assert_int_equal(pc_endpoint_memory_init(&empty, URL), 0);
    assert_int_equal(pc_endpoint_memory_read(pc_bytes_of(bytes, stored(&empty)), &read), 0);
    expect_same(&empty, &read);
}

static void limits_are_kept_and_the_longest_fits(void **state)
{
    (void)state;
    char url[PC_ENDPOINT_URL_BYTES + 1];
    char text[PC_ENDPOINT_FIELD_BYTES + 1];
    struct pc_endpoint_memory memory, read;
    memset(url, 'u', sizeof(url));
    url[sizeof(url) - 1] = '\0';
    assert_int_equal(pc_endpoint_memory_init(&memory, url), PEERCACHE_EINVAL);
    url[sizeof(url) - 2] = '\0';
    memory = memory_of(url, PC_ENDPOINT_PEERS_MAX, PC_MADDR_MAX_BYTES);
    assert_in_range(memory.peer_count, 690, 702); /* by their bytes: 283 each, one without id */
    struct pc_endpoint_peer *peers = memory.peers;
    size_t count = memory.peer_count;
    memory.peers = NULL;
    assert_int_equal(pc_endpoint_memory_set_peers(&memory, peers, count), 0);
    assert_int_equal(memory.peer_count, count);
    free(peers);
    memset(text, 'e', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    pc_endpoint_memory_set_condition(&memory, text, text);
    assert_string_equal(memory.etag, "");
    assert_string_equal(memory.last_modified, "");
    text[sizeof(text) - 2] = '\0';
    pc_endpoint_memory_set_condition(&memory, text, text);
    assert_string_equal(memory.etag, text);
    pc_endpoint_memory_set_detail(&memory, text);
    assert_int_equal(strlen(memory.detail), PEERCACHE_DETAIL_BYTES - 1);
    size_t size = stored(&memory), ignored;
    assert_int_equal(pc_endpoint_memory_read(pc_bytes_of(bytes, size), &read), 0);
    expect_same(&memory, &read);
    pc_endpoint_memory_deinit(&read);
    for (size_t capacity = 0; capacity < size; capacity += 1 + capacity / 7) /* no room */
        assert_int_equal(pc_endpoint_memory_write(&memory, bytes, capacity, &ignored), PEERCACHE_ELIMIT);
    pc_endpoint_memory_deinit(&memory);
    struct pc_endpoint_peer many[PC_ENDPOINT_PEERS_MAX + 1];
    for (uint32_t i = 0; i < PC_ENDPOINT_PEERS_MAX + 1; i++)
        many[i] = peer_of(i, 0);
    assert_int_equal(pc_endpoint_memory_init(&memory, URL), 0);
    assert_int_equal(pc_endpoint_memory_set_peers(&memory, many, PC_ENDPOINT_PEERS_MAX + 1), 0);
    assert_int_equal(memory.peer_count, PC_ENDPOINT_PEERS_MAX);
    assert_int_equal(pc_endpoint_memory_set_peers(&memory, NULL, 0), 0);
    assert_int_equal(memory.peer_count, 0);
    assert_int_equal(pc_endpoint_memory_init(&memory, ""), PEERCACHE_EINVAL);
    assert_int_equal(pc_endpoint_memory_init(&memory, "http://a b/"), PEERCACHE_EINVAL);
    assert_int_equal(pc_endpoint_memory_init(&memory, "http://\xc3\xbc/"), PEERCACHE_EINVAL);
}

static void words_of_others_are_cleaned(void **state)
{
    (void)state;
    struct pc_endpoint_memory memory;
    assert_int_equal(pc_endpoint_memory_init(&memory, URL), 0);
    pc_endpoint_memory_set_detail(&memory, "a\033[2Jb\r\n\x7f\xc3\xbc");
    assert_string_equal(memory.detail, "a?[2Jb???\xc3\xbc");
    pc_endpoint_memory_set_condition(&memory, "\"a\"\r\nX: y", "\xff");
    assert_string_equal(memory.etag, "");
    assert_string_equal(memory.last_modified, "");
}

static void anything_else_is_malformed(void **state)
{
    (void)state;
    struct pc_endpoint_memory memory = memory_of(URL, 3, 0), read;
    size_t size = stored(&memory);
    pc_endpoint_memory_deinit(&memory);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(pc_endpoint_memory_read(pc_bytes_of(bytes, cut), &read), PEERCACHE_EPARSE);
    bytes[size] = 0;
    assert_int_equal(pc_endpoint_memory_read(pc_bytes_of(bytes, size + 1), &read), PEERCACHE_EPARSE);
    const size_t url = 3, has_breaker = url + strlen(URL), breaker = has_breaker + 1,
                 asked = breaker + PC_BREAKER_BYTES, result = asked + 16, status = result + 1,
                 detail = status + 2, answered = detail + 2 + strlen("HTTP status 503") + 4,
                 etag = answered + 8, count = etag + 2 + 5 + 2 + 29, peer = count + 2;
    const struct {
        size_t at;
        uint8_t byte;
    } rows[] = {
        { 0, 2 },           /* version */
        { 2, 0 },           /* an empty URL, and all that follows is moved */
        { url, ' ' },       /* no URL */
        { url, 0 },         /* a NUL in it */
        { has_breaker, 2 }, /* neither yes nor no */
        { breaker, 9 },     /* not what a breaker writes */
        { asked, 0x80 },    /* before 1970 */
        { asked + 8, 0x80 },
        { result, PEERCACHE_FETCH_COUNT },
        { status, 0xff },
        { detail + 2, 0x1b },
        { answered, 0x80 },
        { etag + 2, 0x80 },
        { etag, 1 },         /* a longer text than any */
        { count, 0x7f },     /* more than there may be */
        { count + 1, 4 },    /* more than there are */
        { peer + 1, 0x13 },  /* no such multihash */
        { peer, 33 },        /* an id cut short */
        { peer + 37, 0x05 }, /* no such protocol */
        { size - 16, 0x80 }, /* the lease */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t before = bytes[rows[i].at];
        assert_int_not_equal(before, rows[i].byte);
        bytes[rows[i].at] = rows[i].byte;
        if (pc_endpoint_memory_read(pc_bytes_of(bytes, size), &read) != PEERCACHE_EPARSE)
            fail_msg("row %zu", i);
        bytes[rows[i].at] = before;
    }
    assert_int_equal(pc_endpoint_memory_read(pc_bytes_of(bytes, size), &read), 0);
    pc_endpoint_memory_deinit(&read);
}

static void keys_are_short_and_apart(void **state)
{
    (void)state;
    char key[PC_ENDPOINT_KEY_BYTES], other[PC_ENDPOINT_KEY_BYTES], url[PC_ENDPOINT_URL_BYTES];
    pc_endpoint_memory_key(URL, key);
    assert_string_equal(key, "endpoint:" URL);
    memset(url, 'u', sizeof(url));
    url[247] = '\0';
    pc_endpoint_memory_key(url, key);
    assert_int_equal(strlen(key), 256);
    assert_string_equal(key + 9, url);
    memset(url, 'u', sizeof(url));
    url[248] = '\0';
    pc_endpoint_memory_key(url, key);
    assert_int_equal(strlen(key), 9 + 7 + 64);
    assert_memory_equal(key, "endpoint:sha256:", 16);
    url[247] = 'v';
    pc_endpoint_memory_key(url, other);
    assert_string_not_equal(key, other);
    memset(url, 'u', sizeof(url));
    url[sizeof(url) - 1] = '\0';
    pc_endpoint_memory_key(url, other);
    assert_int_equal(strlen(other), strlen(key));
}

static void an_answer_is_shared_for_a_minute(void **state)
{
    (void)state;
    const struct {
        int64_t answered_ms, after_ms;
        size_t peers;
        bool shared;
    } rows[] = {
        { NOW_MS, 0, 1, true },
        { NOW_MS - 1, 0, 1, true },
        { NOW_MS - PC_ENDPOINT_SHARE_MS, 0, 1, true },
        { NOW_MS - PC_ENDPOINT_SHARE_MS - 1, 0, 1, false },
        { NOW_MS - 1, 0, 0, false },          /* nothing to share */
        { NOW_MS - 1, NOW_MS - 1, 1, false }, /* the one we had */
        { NOW_MS - 1, NOW_MS - 2, 1, true },  /* newer than that */
        { NOW_MS + 1, 0, 1, false },          /* the clock was set back */
        { INT64_MAX, 0, 1, false },
        { 0, 0, 1, false }, /* never */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pc_endpoint_memory memory = memory_of(URL, rows[i].peers, 0);
        memory.answered_ms = rows[i].answered_ms;
        if (pc_endpoint_memory_may_share(&memory, rows[i].after_ms, NOW_MS) != rows[i].shared)
            fail_msg("row %zu", i);
        pc_endpoint_memory_deinit(&memory);
    }
}

static void a_lease_is_one_s_own_and_short(void **state)
{
    (void)state;
    static const uint8_t us[8] = "we do it", them[8] = "they do.";
    const struct {
        int64_t until_ms; /* of them, when not 0 */
        int64_t length_ms;
        bool taken;
        int64_t ours_until_ms;
    } rows[] = {
        { 0, 5000, true, NOW_MS + 5000 },
        { 0, 60000, true, NOW_MS + PC_ENDPOINT_LEASE_MS },
        { NOW_MS + 1, 5000, false, 0 },
        { NOW_MS + PC_ENDPOINT_LEASE_MS, 5000, false, 0 },
        { NOW_MS + PC_ENDPOINT_LEASE_MS + 1, 5000, true, NOW_MS + 5000 }, /* the clock was set back */
        { INT64_MAX, 5000, true, NOW_MS + 5000 },
        { NOW_MS, 5000, true, NOW_MS + 5000 }, /* over: its holder was killed, or forgot */
        { 1, 5000, true, NOW_MS + 5000 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pc_endpoint_memory memory;
        assert_int_equal(pc_endpoint_memory_init(&memory, URL), 0);
        memory.lease_until_ms = rows[i].until_ms;
        memcpy(memory.lease_owner, them, sizeof(them));
        if (pc_endpoint_memory_take_lease(&memory, us, rows[i].length_ms, NOW_MS) != rows[i].taken)
            fail_msg("row %zu", i);
        assert_memory_equal(memory.lease_owner, rows[i].taken ? us : them, sizeof(us));
        assert_true(memory.lease_until_ms == (rows[i].taken ? rows[i].ours_until_ms : rows[i].until_ms));
        if (rows[i].taken) /* again: ours already */
            assert_true(pc_endpoint_memory_take_lease(&memory, us, 5000, NOW_MS + 1));
        assert_int_equal(pc_endpoint_memory_drop_lease(&memory, us), rows[i].taken);
        assert_true(memory.lease_until_ms == (rows[i].taken ? 0 : rows[i].until_ms));
        assert_false(pc_endpoint_memory_drop_lease(&memory, us));
    }
}

static size_t used_of(struct pc_endpoint_used *memories, size_t count)
{
    for (size_t i = 0; i < count; i++) { /* in no order: 7 and 1000 have no common divisor */
        size_t number = i * 7 % 1000;
        (void)snprintf(memories[i].key, sizeof(memories[i].key), "endpoint:%zu", number);
        memories[i].used_ms = NOW_MS - 1000 * (int64_t)number;
    }
    return count;
}

static void those_used_last_stay(void **state)
{
    static struct pc_endpoint_used memories[1000];
    (void)state;
    assert_int_equal(pc_endpoint_memory_stay(NULL, 0, NOW_MS), 0);
    for (size_t count = 1; count <= 1000; count++) {
        size_t stay = pc_endpoint_memory_stay(memories, used_of(memories, count), NOW_MS);
        /* with the one to come there are not more than that */
        assert_int_equal(stay, count < PC_ENDPOINT_MEMORIES_MAX ? count : PC_ENDPOINT_MEMORIES_MAX - 1);
        for (size_t i = 1; i < count; i++)
            assert_true(memories[i - 1].used_ms > memories[i].used_ms);
    }
    assert_string_equal(memories[0].key, "endpoint:0");
    assert_string_equal(memories[999].key, "endpoint:999");
    /* what is said to have been used at a time yet to come goes first */
    (void)used_of(memories, 100);
    (void)snprintf(memories[5].key, sizeof(memories[5].key), "endpoint:of the future");
    memories[5].used_ms = NOW_MS + 1;
    (void)pc_endpoint_memory_stay(memories, 100, NOW_MS);
    assert_string_equal(memories[99].key, "endpoint:of the future");
    assert_true(memories[99].used_ms == 0);
}

static void it_was_of_use_when_it_was_asked_or_answered(void **state)
{
    struct pc_endpoint_memory memory;
    (void)state;
    assert_int_equal(pc_endpoint_memory_init(&memory, URL), 0);
    assert_true(pc_endpoint_memory_used_ms(&memory) == 0);
    memory.asked_ms = 5;
    assert_true(pc_endpoint_memory_used_ms(&memory) == 5);
    memory.ended_ms = 7;
    assert_true(pc_endpoint_memory_used_ms(&memory) == 7);
    memory.answered_ms = 9;
    assert_true(pc_endpoint_memory_used_ms(&memory) == 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(limits_are_kept_and_the_longest_fits),
        cmocka_unit_test(words_of_others_are_cleaned),
        cmocka_unit_test(anything_else_is_malformed),
        cmocka_unit_test(keys_are_short_and_apart),
        cmocka_unit_test(an_answer_is_shared_for_a_minute),
        cmocka_unit_test(a_lease_is_one_s_own_and_short),
        cmocka_unit_test(those_used_last_stay),
        cmocka_unit_test(it_was_of_use_when_it_was_asked_or_answered),
    };
    return cmocka_run_group_tests_name("join_endpoint_memory", tests, NULL, NULL);
}
