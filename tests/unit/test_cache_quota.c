/* Quotas, contests, rates and bans of the working set, as properties over many random floods. */
#include "check.h"

#include "cache/bucket.h"
#include "cache/prune.h"
#include "cache/set.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW_MS INT64_C(1760000000000)
#define DAY_MS INT64_C(86400000)

static struct pc_peer_id id_of(uint32_t number)
{
    struct pc_peer_id id = { .size = 38, .bytes = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 } };
    for (size_t i = 0; i < 4; i++)
        id.bytes[6 + i] = (uint8_t)(number >> (8 * i));
    return id;
}

/* Groups are /16. */
static struct pc_maddr addr_in(uint32_t group, uint32_t number)
{
    struct pc_ip_port ip = { .family = 4, .port = 4001 };
    struct pc_maddr addr;
    ip.ip[0] = (uint8_t)(20 + group % 60);
    ip.ip[1] = (uint8_t)(group / 60);
    ip.ip[2] = (uint8_t)(number >> 8);
    ip.ip[3] = (uint8_t)number;
    pc_addr_from_ip_port(&ip, &addr);
    return addr;
}

static struct pc_netgroup source_of(uint32_t number)
{
    return (struct pc_netgroup){
        .size = 5, .bytes = { 4, (uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16) }
    };
}

static struct pc_cache_set *set_of(uint32_t peers_max)
{
    struct pc_cache_set *set;
    const struct pc_cache_set_options options = { .peers_max = peers_max, .secret = { 7 } };
    assert_int_equal(pc_cache_set_new(&options, &set), 0);
    return set;
}

static int add(struct pc_cache_set *set, uint32_t id, uint32_t group, uint32_t source, int64_t now_ms)
{
    struct pc_peer_id peer = id_of(id);
    struct pc_maddr addr = addr_in(group, id);
    struct pc_netgroup teller = source_of(source);
    return pc_cache_set_add(set, &peer, pc_addr_maddr_bytes(&addr), false, PEERCACHE_SOURCE_DHT, &teller,
                            now_ms, NULL);
}

static int report(struct pc_cache_set *set, uint32_t id, uint32_t group, peercache_outcome outcome,
                  int64_t now_ms)
{
    struct pc_peer_id peer = id_of(id);
    struct pc_maddr addr = addr_in(group, id);
    return pc_cache_set_report(set, &peer, pc_addr_maddr_bytes(&addr), outcome, &peer, 1000,
                               PEERCACHE_SOURCE_DHT, now_ms);
}

static const struct pc_record *find(const struct pc_cache_set *set, uint32_t id)
{
    struct pc_peer_id peer = id_of(id);
    return pc_cache_set_find(set, &peer);
}

static size_t count_state(const struct pc_cache_set *set, peercache_state state)
{
    size_t count = 0;
    struct pc_record walked;
    for (const struct pc_record *r = pc_cache_set_next(set, NULL); r; r = pc_cache_set_next(set, &walked)) {
        walked = *r;
        count += r->state == state;
    }
    return count;
}

static void rooms_fit_every_size(void **state)
{
    (void)state;
    static const uint32_t sizes[] = { 1, 2, 10, 100, 1000, 10000, 81920, 100000, 1000000, 10000000 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct pc_cache_quota q;
        pc_cache_quota_init(&q, sizes[i]);
        assert_int_equal(q.tried_max, (sizes[i] + 1) / 2);
        for (size_t s = 0; s < PEERCACHE_STATE_COUNT; s++) {
            uint64_t room = s == PEERCACHE_TRIED ? q.tried_max : q.peers_max;
            assert_in_range(q.capacity[s], PC_CACHE_BUCKET_CAPACITY_MIN, PC_CACHE_BUCKET_CAPACITY_MAX);
            assert_true((uint64_t)q.capacity[s] << q.bits[s] >= 2 * room);
        }
    }
}

/* One source, whatever it tells, fills its share; one group from it one bucket. */
static void a_source_reaches_its_share_and_no_more(void **state)
{
    (void)state;
    for (uint32_t size = 1000; size <= 100000; size *= 10) {
        struct pc_cache_quota q;
        pc_cache_quota_init(&q, size);
        struct pc_cache_set *set = set_of(size);
        for (uint32_t i = 0; i < 2 * size && i < 60000; i++)
            (void)add(set, i, i % 15000, 1, NOW_MS);
        uint64_t buckets = pc_cache_bucket_slots(&q, PEERCACHE_NEW);
        if (q.bits[PEERCACHE_NEW] > 10)
            buckets <<= q.bits[PEERCACHE_NEW] - 10;
        assert_in_range(pc_cache_set_count(set), 1, buckets * q.capacity[PEERCACHE_NEW]);
        size_t before = pc_cache_set_count(set);
        for (uint32_t i = 0; i < 1000; i++) /* others find room all the same */
            (void)add(set, 100000 + i, i, 1000 + i, NOW_MS);
        assert_in_range(pc_cache_set_count(set), before + 500, before + 1000);
        pc_cache_set_free(set);
    }
}

static void a_group_reaches_its_share_of_the_tried(void **state)
{
    (void)state;
    struct pc_cache_quota q;
    pc_cache_quota_init(&q, 10000);
    struct pc_cache_set *set = set_of(10000);
    for (uint32_t i = 0; i < 5000; i++) { /* one group, verified, told by ever other sources */
        (void)add(set, i, 1, i, NOW_MS);
        (void)report(set, i, 1, PEERCACHE_OK, NOW_MS);
    }
    assert_in_range(count_state(set, PEERCACHE_TRIED), q.capacity[PEERCACHE_TRIED],
                    PC_CACHE_TRIED_BUCKETS_OF_GROUP * q.capacity[PEERCACHE_TRIED]);
    pc_cache_set_free(set);
}

/* Under any mixture of floods: never over the cap, and no tried one is displaced by what is only heard of. */
static void no_flood_pushes_tried_ones_out(void **state)
{
    (void)state;
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, 3);
    for (uint32_t round = 0; round < 20; round++) {
        uint32_t size = 50 + (uint32_t)pc_base_rng_below(&rng, 2000);
        struct pc_cache_set *set = set_of(size);
        bool *was_tried = calloc(size, sizeof(*was_tried));
        assert_non_null(was_tried);
        for (uint32_t i = 0; i < size / 2; i++)
            (void)report(set, i, i, PEERCACHE_OK, NOW_MS);
        for (uint32_t i = 0; i < size / 2; i++)
            was_tried[i] = find(set, i) && find(set, i)->state == PEERCACHE_TRIED;
        size_t tried = count_state(set, PEERCACHE_TRIED);
        for (uint32_t i = 0; i < 10000; i++) {
            (void)add(set, 1000000 + i, (uint32_t)pc_base_rng_below(&rng, 15000),
                      (uint32_t)pc_base_rng_below(&rng, 1 + round * 50), NOW_MS + i * 100000);
            assert_true(pc_cache_set_count(set) <= size);
        }
        for (uint32_t i = 0; i < size / 2; i++)
            if (was_tried[i])
                assert_int_equal(find(set, i)->state, PEERCACHE_TRIED);
        assert_int_equal(count_state(set, PEERCACHE_TRIED), tried);
        free(was_tried);
        pc_cache_set_free(set);
    }
}

/* The whole way of a contest: wait, be offered for a test, keep the place or lose it. */
static void a_newcomer_waits_until_the_incumbent_is_tested(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_of(10000);
    struct pc_cache_quota q;
    struct pc_pick to_test[10], picks[8];
    struct pc_rng rng;
    uint32_t newcomer = 0;
    pc_cache_quota_init(&q, 10000);
    pc_base_rng_init_u64(&rng, 1);
    while (pc_cache_set_to_test(set, NOW_MS, to_test, 10) == 0) { /* one group fills its four buckets */
        newcomer++;
        (void)add(set, newcomer, 1, newcomer, NOW_MS);
        assert_int_equal(report(set, newcomer, 1, PEERCACHE_OK, NOW_MS), 0);
        assert_true(newcomer < 1000);
    }
    const struct pc_record *waiting = find(set, newcomer);
    assert_int_equal(waiting->state, PEERCACHE_NEW);
    assert_true(waiting->addrs[0].history.last_success_ms == NOW_MS);
    struct pc_peer_id incumbent = to_test[0].id;
    bool is_offered = false;
    size_t count = pc_cache_set_pick(set, &rng, NOW_MS, true, picks, 8);
    for (size_t i = 0; i < count; i++)
        is_offered |= pc_addr_peer_id_equal(&picks[i].id, &incumbent);
    assert_true(is_offered);
    /* It answers: it stays, and the newcomer stays new. */
    assert_int_equal(pc_cache_set_report(set, &incumbent, pc_addr_maddr_bytes(&to_test[0].addr), PEERCACHE_OK,
                                         &incumbent, 1, PEERCACHE_SOURCE_DHT, NOW_MS + 1),
                     0);
    assert_int_equal(pc_cache_set_to_test(set, NOW_MS + 1, to_test, 10), 0);
    assert_int_equal(find(set, newcomer)->state, PEERCACHE_NEW);
    /* Again, and this time it does not. */
    assert_int_equal(report(set, newcomer, 1, PEERCACHE_OK, NOW_MS + 2), 0);
    assert_int_equal(pc_cache_set_to_test(set, NOW_MS + 2, to_test, 10), 1);
    incumbent = to_test[0].id;
    assert_int_equal(pc_cache_set_report(set, &incumbent, pc_addr_maddr_bytes(&to_test[0].addr),
                                         PEERCACHE_REFUSED, NULL, PC_RTT_UNKNOWN, PEERCACHE_SOURCE_DHT,
                                         NOW_MS + 3),
                     0);
    assert_int_equal(find(set, newcomer)->state, PEERCACHE_TRIED);
    const struct pc_record *loser = pc_cache_set_find(set, &incumbent);
    assert_true(!loser || loser->state == PEERCACHE_NEW);
    assert_int_equal(pc_cache_set_to_test(set, NOW_MS + 3, to_test, 10), 0);
    pc_cache_set_free(set);
}

static void rates_bound_one_source_and_all(void **state)
{
    (void)state;
    struct pc_cache_set *set;
    const struct pc_cache_set_options options = { .peers_max = 100000,
                                                  .source_limit = { 10, 60 },
                                                  .total_limit = { 50, 600 } };
    assert_int_equal(pc_cache_set_new(&options, &set), 0);
    uint32_t taken = 0;
    for (uint32_t i = 0; i < 100; i++) /* the burst of one source */
        taken += add(set, i, i, 1, NOW_MS) == 0;
    assert_int_equal(taken, 10);
    for (uint32_t i = 0; i < 100; i++) /* one a second later on */
        taken += add(set, 100 + i, 100 + i, 1, NOW_MS + 5000) == 0;
    assert_int_equal(taken, 15);
    taken = 0;
    for (uint32_t i = 0; i < 1000; i++) /* ever other sources: the burst of all together */
        taken += add(set, 1000 + i, 1000 + i, 10 + i, NOW_MS + 3600000) == 0;
    assert_int_equal(taken, 50);
    for (uint32_t i = 0; i < 10; i++) /* what is known and told again draws on none */
        assert_int_equal(add(set, 1000 + i, 1000 + i, 10 + i, NOW_MS + 3600000 + 1), 0);
    struct pc_peer_id id = id_of(9999);
    struct pc_maddr addr = addr_in(9999, 9999); /* what the operator says is free of it */
    assert_int_equal(pc_cache_set_add(set, &id, pc_addr_maddr_bytes(&addr), false, PEERCACHE_SOURCE_FLAG,
                                      NULL, NOW_MS + 3600000, NULL),
                     0);
    pc_cache_set_free(set);
}

static void rates_stand_any_time(void **state)
{
    (void)state;
    struct pc_rate rate = { 0 };
    const struct pc_rate_limit limit = { 10000000, 1 }, none = { 0, 0 };
    assert_true(pc_cache_rate_take(&rate, &limit, INT64_MIN));
    assert_true(pc_cache_rate_take(&rate, &limit, INT64_MAX));
    assert_true(pc_cache_rate_take(&rate, &none, 0));
}

static void bans_read_every_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *text, *canonical;
    } cases[] = {
        { "203.0.113.77/24", "203.0.113.0/24" },
        { "203.0.113.7", "203.0.113.7" },
        { "203.0.113.7/32", "203.0.113.7" },
        { "0.0.0.0/0", "0.0.0.0/0" },
        { "2001:DB8::1/32", "2001:db8::/32" },
        { "::ffff:203.0.113.7", "203.0.113.7" },
        { "12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu",
          "12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu" },
    };
    static const char *const bad[] = { "",        "/",      "1.2.3.4/",   "1.2.3.4/33",
                                       "1.2.3/8", "::/129", "1.2.3.4/-1", "xyz" };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pc_ban ban, again;
        char text[PC_CACHE_BAN_TEXT_BYTES];
        assert_int_equal(pc_cache_ban_parse(cases[i].text, strlen(cases[i].text), &ban, NULL), 0);
        pc_cache_ban_format(&ban, text);
        assert_string_equal(text, cases[i].canonical);
        assert_int_equal(pc_cache_ban_from_bytes(pc_bytes_of(ban.bytes, ban.size), &again), 0);
        assert_int_equal(again.size, ban.size);
        assert_memory_equal(again.bytes, ban.bytes, ban.size);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct pc_ban ban;
        struct pc_reason reason = { "" };
        assert_int_equal(pc_cache_ban_parse(bad[i], strlen(bad[i]), &ban, &reason), PEERCACHE_EPARSE);
        assert_true(reason.text[0] != '\0');
    }
    const uint8_t broken[] = { 4, 40, 1, 2, 3, 4 };
    struct pc_ban ban;
    assert_int_equal(pc_cache_ban_from_bytes(pc_bytes_of(broken, sizeof(broken)), &ban), PEERCACHE_EPARSE);
}

static void bans_take_out_and_keep_out(void **state)
{
    (void)state;
    struct pc_cache_set *set = set_of(10000);
    struct pc_ban ban;
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(add(set, i, i, i, NOW_MS), 0);
    struct pc_record stored = *find(set, 0);
    assert_int_equal(pc_cache_ban_parse("20.0.0.0/8", 10, &ban, NULL), 0);
    assert_int_equal(pc_cache_set_ban(set, &ban, 1), 0);
    assert_int_equal(pc_cache_set_count(set), 98); /* groups 0 and 60 lie there */
    assert_int_equal(add(set, 0, 0, 0, NOW_MS), PEERCACHE_EPERM);
    assert_int_equal(report(set, 0, 0, PEERCACHE_OK, NOW_MS), PEERCACHE_EPERM);
    assert_int_equal(pc_cache_set_load(set, &stored, NOW_MS), 0);
    assert_null(find(set, 0));
    assert_int_equal(pc_cache_set_unban(set, &ban), 0);
    assert_int_equal(pc_cache_set_unban(set, &ban), PEERCACHE_ENOTFOUND);
    assert_int_equal(add(set, 0, 0, 0, NOW_MS + 1), 0);
    pc_cache_set_free(set);
}

static struct pc_record record_of(uint32_t successes, uint32_t failures, int64_t seen_age_ms,
                                  int64_t attempt_age_ms)
{
    struct pc_record record;
    struct pc_delta delta;
    struct pc_peer_id id = id_of(1);
    struct pc_maddr addr = addr_in(1, 1);
    pc_cache_record_init(&record, &id);
    pc_cache_delta_init(&delta, &id, pc_addr_maddr_bytes(&addr));
    delta.history.success_count = successes;
    delta.history.failure_count = failures;
    delta.history.last_seen_ms = NOW_MS - seen_age_ms;
    delta.history.last_success_ms = successes ? NOW_MS - seen_age_ms : 0;
    delta.history.last_attempt_ms = NOW_MS - attempt_age_ms;
    (void)pc_cache_record_apply(&record, &delta, NOW_MS);
    return record;
}

static void prune_names_whom_it_promises(void **state)
{
    (void)state;
    struct pc_prune_rules asked = { .policies = PEERCACHE_PRUNE_ALL, .retention_ms = 90 * DAY_MS },
                          gently = asked;
    gently.gently = true;
    struct pc_record never = record_of(0, 0, 0, NOW_MS), mixed = record_of(1, 1, DAY_MS, 0),
                     good = record_of(3, 1, DAY_MS, 0), dead = record_of(0, 3, DAY_MS, DAY_MS),
                     old = record_of(0, 0, 91 * DAY_MS, NOW_MS),
                     old_in_vain = record_of(2, 1, 91 * DAY_MS, DAY_MS);
    assert_int_equal(pc_cache_prune_judge(&never, &asked, NOW_MS), 0);
    assert_int_equal(pc_cache_prune_judge(&mixed, &asked, NOW_MS), PEERCACHE_PRUNE_UNRELIABLE);
    assert_int_equal(pc_cache_prune_judge(&mixed, &gently, NOW_MS), 0);
    assert_int_equal(pc_cache_prune_judge(&good, &asked, NOW_MS), 0);
    assert_int_equal(pc_cache_prune_judge(&dead, &gently, NOW_MS), PEERCACHE_PRUNE_UNRELIABLE);
    assert_int_equal(pc_cache_prune_judge(&old, &asked, NOW_MS), PEERCACHE_PRUNE_STALE);
    /* 6: a quiet month (or three) empties no cache: by schedule only whom nobody answered since */
    assert_int_equal(pc_cache_prune_judge(&old, &gently, NOW_MS), 0);
    assert_int_equal(pc_cache_prune_judge(&old_in_vain, &gently, NOW_MS), PEERCACHE_PRUNE_STALE);
    gently.seed_rule = true;
    assert_int_equal(pc_cache_prune_judge(&mixed, &gently, NOW_MS), PEERCACHE_PRUNE_UNRELIABLE);
}

static void standing_never_changes_with_the_time(void **state)
{
    (void)state;
    struct pc_record untested = record_of(0, 0, 0, NOW_MS), mixed = record_of(3, 3, 0, 0),
                     dead = record_of(0, 3, 0, 0), steady = record_of(30, 2, 0, 0);
    /* 18: an untested peer stands below one with a mixed history */
    assert_true(pc_cache_standing_compare(pc_cache_standing_of(&untested), pc_cache_standing_of(&mixed)) < 0);
    assert_true(pc_cache_standing_compare(pc_cache_standing_of(&dead), pc_cache_standing_of(&untested)) < 0);
    assert_true(pc_cache_standing_compare(pc_cache_standing_of(&mixed), pc_cache_standing_of(&steady)) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rooms_fit_every_size),
        cmocka_unit_test(a_source_reaches_its_share_and_no_more),
        cmocka_unit_test(a_group_reaches_its_share_of_the_tried),
        cmocka_unit_test(no_flood_pushes_tried_ones_out),
        cmocka_unit_test(a_newcomer_waits_until_the_incumbent_is_tested),
        cmocka_unit_test(rates_bound_one_source_and_all),
        cmocka_unit_test(rates_stand_any_time),
        cmocka_unit_test(bans_read_every_spelling),
        cmocka_unit_test(bans_take_out_and_keep_out),
        cmocka_unit_test(prune_names_whom_it_promises),
        cmocka_unit_test(standing_never_changes_with_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
