#include "driver/names.h"

#include "base/time.h"

#include <stdlib.h>

struct question {
    struct pc_driver_names *names;
    uint64_t number;               /* 0: nobody waits for it */
    struct pc_driver_query *query; /* NULL: the slot is free */
};

struct pc_driver_names {
    struct pc_driver_resolver *resolver;
    pc_driver_names_done done;
    void *context;
    char *server; /* as given; NULL: those of the system */
    bool closing;
    size_t under_way;
    struct question questions[PC_DRIVER_RESOLVE_QUERIES_MAX];
};

int pc_driver_names_new(uv_loop_t *loop, const char *server, pc_driver_names_done done, void *context,
                        struct pc_driver_names **ret_names, struct pc_reason *ret_reason)
{
    struct pc_driver_names *names = calloc(1, sizeof(*names));
    if (!names) {
        pc_base_reason(ret_reason, "out of memory");
        return PEERCACHE_ENOMEM;
    }
    int result = pc_driver_resolver_new(loop, server, &names->resolver, ret_reason);
    if (result != 0) {
        free(names);
        return result;
    }
    names->server = server ? strdup(server) : NULL;
    if (server && !names->server) {
        pc_driver_resolver_close(names->resolver);
        free(names);
        pc_base_reason(ret_reason, "out of memory");
        return PEERCACHE_ENOMEM;
    }
    names->done = done;
    names->context = context;
    for (size_t i = 0; i < PC_DRIVER_RESOLVE_QUERIES_MAX; i++)
        names->questions[i].names = names;
    *ret_names = names;
    return 0;
}

const char *pc_driver_names_server(const struct pc_driver_names *names)
{
    return names->server;
}

static void free_if_over(struct pc_driver_names *names)
{
    if (!names->closing || names->under_way > 0)
        return;
    free(names->server);
    free(names);
}

/* ----- answers ----- */

static peercache_outcome outcome_of(enum pc_driver_resolve_kind kind)
{
    switch (kind) {
    case PC_DRIVER_RESOLVE_OK:
        return PEERCACHE_OK;
    case PC_DRIVER_RESOLVE_NOT_FOUND:
    case PC_DRIVER_RESOLVE_TIMEOUT:
    case PC_DRIVER_RESOLVE_REFUSED:
    case PC_DRIVER_RESOLVE_FAILED:
        return PEERCACHE_DNS_FAILED;
    case PC_DRIVER_RESOLVE_CANCELLED:
        break;
    }
    return PEERCACHE_CANCELLED;
}

static void on_resolved(void *context, const struct pc_driver_resolved *resolved)
{
    struct question *question = context;
    struct pc_driver_names *names = question->names;
    struct pc_bytes texts[PC_DRIVER_RESOLVE_TEXTS_MAX];
    const struct pc_node_resolved answer = {
        .number = question->number,
        .outcome = outcome_of(resolved->kind),
        .ips = resolved->addresses,
        .ip_count = resolved->address_count,
        .texts = texts,
        .text_count = resolved->text_count,
    };
    for (size_t i = 0; i < resolved->text_count; i++)
        texts[i] = pc_bytes_of(resolved->texts[i], strlen(resolved->texts[i]));
    question->number = 0;
    question->query = NULL;
    if (answer.number != 0)
        names->done(names->context, &answer); /* which may close them */
    names->under_way--;
    free_if_over(names);
}

/* ----- questions ----- */

static enum pc_driver_resolve_what what_of(enum pc_record_type type)
{
    switch (type) {
    case PC_RECORD_A:
        return PC_DRIVER_RESOLVE_IP4;
    case PC_RECORD_AAAA:
        return PC_DRIVER_RESOLVE_IP6;
    case PC_RECORD_TXT:
        break;
    }
    return PC_DRIVER_RESOLVE_TXT;
}

int pc_driver_names_resolve(struct pc_driver_names *names, const struct pc_name_question *question,
                            int64_t deadline_ms)
{
    size_t i = 0;
    while (i < PC_DRIVER_RESOLVE_QUERIES_MAX && names->questions[i].query)
        i++;
    if (i == PC_DRIVER_RESOLVE_QUERIES_MAX)
        return PEERCACHE_ELIMIT;
    struct question *slot = &names->questions[i];
    slot->number = question->number;
    int result = pc_driver_resolve(names->resolver, what_of(question->type), question->name,
                                   pc_base_time_max(deadline_ms, 0), on_resolved, slot, &slot->query);
    if (result == 0) {
        names->under_way++;
    } else {
        slot->number = 0;
        slot->query = NULL;
    }
    return result;
}

static void cancel(struct question *question)
{
    question->number = 0;
    if (question->query)
        pc_driver_resolve_cancel(question->query);
}

void pc_driver_names_cancel(struct pc_driver_names *names, uint64_t number)
{
    for (size_t i = 0; i < PC_DRIVER_RESOLVE_QUERIES_MAX; i++)
        if (number != 0 && names->questions[i].number == number)
            cancel(&names->questions[i]);
}

void pc_driver_names_close(struct pc_driver_names *names)
{
    if (!names)
        return;
    names->closing = true;
    for (size_t i = 0; i < PC_DRIVER_RESOLVE_QUERIES_MAX; i++)
        cancel(&names->questions[i]);
    pc_driver_resolver_close(names->resolver);
    free_if_over(names);
}
