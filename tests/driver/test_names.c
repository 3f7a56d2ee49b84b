/* What the node wants resolved, against a real name server. */
#include "net_check.h"

#include "driver/names.h"

#define NAMES_MAX 100

struct answer {
    uint64_t number;
    peercache_outcome outcome;
    size_t ip_count, text_count;
    struct pc_ip_port ips[2 * PC_DRIVER_RESOLVE_FAMILY_MAX];
    char text[256]; /* the first */
};

static struct pc_driver_names *names;
static struct answer answers[NAMES_MAX];
static size_t answer_count, wanted;
static bool all;
static uint64_t again; /* asked for in done */

static void on_done(void *context, const struct pc_node_resolved *resolved);

static int setup(void **state)
{
    char server[64];
    struct pc_reason why = { "" };
    (void)state;
    int result = net_setup(state);
    answer_count = 0;
    again = 0;
    assert_int_equal(pc_driver_names_new(&loop, local("PORT_DNS", server), on_done, &names, &names, &why), 0);
    return result;
}

static int teardown(void **state)
{
    size_t before = answer_count;
    pc_driver_names_close(names);
    int result = net_teardown(state);
    assert_int_equal(answer_count, before); /* none any more */
    return result;
}

static void ask(uint64_t number, enum pc_record_type type, const char *name, int64_t deadline_ms)
{
    struct pc_name_question question = { .number = number, .type = type };
    size_t before = answer_count;
    (void)snprintf(question.name, sizeof(question.name), "%s", name);
    assert_int_equal(pc_driver_names_resolve(names, &question, deadline_ms), 0);
    assert_int_equal(answer_count, before); /* never within */
}

static void on_done(void *context, const struct pc_node_resolved *resolved)
{
    struct answer *answer = &answers[answer_count];
    assert_ptr_equal(context, &names);
    assert_true(answer_count < NAMES_MAX);
    *answer = (struct answer){ .number = resolved->number,
                               .outcome = resolved->outcome,
                               .ip_count = resolved->ip_count,
                               .text_count = resolved->text_count };
    for (size_t i = 0; i < resolved->ip_count; i++)
        answer->ips[i] = resolved->ips[i];
    if (resolved->text_count > 0)
        (void)snprintf(answer->text, sizeof(answer->text), "%.*s", (int)resolved->texts[0].size,
                       (const char *)resolved->texts[0].data);
    all = ++answer_count == wanted;
    if (again != 0) {
        ask(again, PC_RECORD_A, "four.test", PATIENCE_MS);
        again = 0;
    }
}

static void await(size_t count)
{
    wanted = count;
    all = answer_count == wanted;
    run_until(&all);
}

static const struct answer *answer_of(uint64_t number)
{
    for (size_t i = 0; i < answer_count; i++)
        if (answers[i].number == number)
            return &answers[i];
    fail_msg("no answer to %llu", (unsigned long long)number);
    return NULL;
}

static void each_record_type(void **state)
{
    (void)state;
    ask(11, PC_RECORD_A, "both.test", PATIENCE_MS);
    ask(12, PC_RECORD_AAAA, "both.test", PATIENCE_MS);
    ask(13, PC_RECORD_TXT, "joined.test", PATIENCE_MS);
    ask(14, PC_RECORD_TXT, "_dnsaddr.boot.test", PATIENCE_MS);
    await(4);
    assert_int_equal(answer_of(11)->outcome, PEERCACHE_OK);
    assert_int_equal(answer_of(11)->ip_count, 1);
    assert_int_equal(answer_of(11)->ips[0].family, 4);
    assert_int_equal(answer_of(12)->ip_count, 1);
    assert_int_equal(answer_of(12)->ips[0].family, 6);
    assert_int_equal(answer_of(13)->text_count, 1);
    assert_string_equal(answer_of(13)->text, "dnsaddr=/ip4/192.0.2.1/udp/4001/quic-v1");
    assert_int_equal(answer_of(13)->ip_count, 0);
    assert_int_equal(answer_of(14)->text_count, 3);
}

static void what_fails_is_dns_failed(void **state)
{
    (void)state;
    ask(1, PC_RECORD_A, "missing.test", PATIENCE_MS);
    ask(2, PC_RECORD_AAAA, "four.test", PATIENCE_MS);
    ask(3, PC_RECORD_A, "elsewhere.example", PATIENCE_MS); /* refused */
    ask(4, PC_RECORD_A, "silent.odd", SHORT_MS);
    ask(5, PC_RECORD_TXT, "servfail.odd", PATIENCE_MS);
    ask(6, PC_RECORD_A, "no name at all", PATIENCE_MS);
    ask(7, PC_RECORD_A, "silent.odd", -5);
    await(7);
    for (uint64_t i = 1; i <= 7; i++) {
        assert_int_equal(answer_of(i)->outcome, PEERCACHE_DNS_FAILED);
        assert_int_equal(answer_of(i)->ip_count + answer_of(i)->text_count, 0);
    }
}

static void what_is_cancelled_is_not_answered(void **state)
{
    (void)state;
    ask(1, PC_RECORD_A, "silent.odd", PATIENCE_MS);
    ask(2, PC_RECORD_A, "four.test", PATIENCE_MS);
    ask(3, PC_RECORD_A, "silent.odd", PATIENCE_MS);
    pc_driver_names_cancel(names, 1);
    pc_driver_names_cancel(names, 1);
    pc_driver_names_cancel(names, 99);
    pc_driver_names_cancel(names, 0);
    await(1);
    assert_int_equal(answers[0].number, 2);
    pc_driver_names_cancel(names, 2);
    ask(4, PC_RECORD_A, "four.test", PATIENCE_MS);
    await(2);
    assert_int_equal(answers[1].number, 4);
    /* 3 is closed with the names */
}

static void done_may_ask_again(void **state)
{
    (void)state;
    again = 2;
    ask(1, PC_RECORD_A, "missing.test", PATIENCE_MS);
    await(2);
    assert_int_equal(answer_of(2)->outcome, PEERCACHE_OK);
}

static void too_many_are_refused(void **state)
{
    struct pc_name_question one_more = { .number = 1000, .type = PC_RECORD_A, .name = "four.test" };
    (void)state;
    for (uint64_t i = 1; i <= PC_DRIVER_RESOLVE_QUERIES_MAX; i++)
        ask(i, PC_RECORD_A, "four.test", PATIENCE_MS);
    assert_int_equal(pc_driver_names_resolve(names, &one_more, PATIENCE_MS), PEERCACHE_ELIMIT);
    await(PC_DRIVER_RESOLVE_QUERIES_MAX);
    for (uint64_t i = 1; i <= PC_DRIVER_RESOLVE_QUERIES_MAX; i++)
        assert_int_equal(answer_of(i)->outcome, PEERCACHE_OK);
    assert_int_equal(pc_driver_names_resolve(names, &one_more, PATIENCE_MS), 0);
    await(PC_DRIVER_RESOLVE_QUERIES_MAX + 1);
}

static void a_server_that_is_none(void **state)
{
    struct pc_driver_names *none = NULL;
    struct pc_reason why = { "" };
    (void)state;
    assert_int_equal(pc_driver_names_new(&loop, "dns.example", on_done, NULL, &none, &why), PEERCACHE_EPARSE);
    assert_non_null(strstr(why.text, "dns.example"));
    assert_null(none);
    pc_driver_names_close(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_record_type),   TEST(what_fails_is_dns_failed), TEST(what_is_cancelled_is_not_answered),
        TEST(done_may_ask_again), TEST(too_many_are_refused),     TEST(a_server_that_is_none),
    };
    return cmocka_run_group_tests_name("driver_names", tests, NULL, NULL);
}
