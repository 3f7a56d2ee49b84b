/* See names.h. A root is a candidate as it was offered; its questions are found by a walk of their bounded array. */
#include "join/names.h"

#include "base/time.h"
#include "join/backoff.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct root {
    struct pc_joiner_candidate candidate;
    int64_t ask_at_us; /* NEVER: not again in this round */
    int64_t wait_us;
    uint32_t open; /* questions that wait or are under way */
    uint32_t asked;
    uint32_t found;
    uint32_t failed;
    bool is_lost; /* and it is yet to be told */
};

struct question {
    uint64_t number; /* 0: this place is free */
    size_t root;
    enum pc_record_type type;
    uint32_t depth;
    bool is_under_way;
    int64_t deadline_us;
    struct pc_peer_id id;
    struct pc_maddr addr;
};

struct pc_names {
    bool asks_again;
    uint64_t last_question;
    size_t open_count; /* questions that wait or are under way: mostly none, and then no place is looked at */
    size_t under_way;
    size_t root_count;
    struct root roots[PC_NAMES_MAX];
    struct question questions[PC_NAMES_QUESTIONS_MAX];
};

int pc_names_new(bool asks_again, struct pc_names **ret_names)
{
    struct pc_names *names = calloc(1, sizeof(*names));
    if (!names)
        return PEERCACHE_ENOMEM;
    names->asks_again = asks_again;
    *ret_names = names;
    return 0;
}

void pc_names_free(struct pc_names *names)
{
    free(names);
}

/* Host names are letters, digits, hyphens, dots and underscores: anything else has no place in a question. */
static bool is_host_name(struct pc_bytes name)
{
    if (name.size == 0 || name.size > 253)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
              c == '.' || c == '_'))
            return false;
    }
    return true;
}

/* The first part of an address that begins with a name. */
static bool first_name(const struct pc_maddr *addr, struct pc_multiaddr_part *ret_part,
                       struct pc_bytes *ret_rest)
{
    struct pc_bytes rest = pc_addr_maddr_bytes(addr);
    if (pc_addr_multiaddr_next(&rest, ret_part) != 1)
        return false;
    bool is_name = ret_part->code == PC_MA_DNS || ret_part->code == PC_MA_DNS4 ||
                   ret_part->code == PC_MA_DNS6 || ret_part->code == PC_MA_DNSADDR;
    *ret_rest = rest;
    return is_name && is_host_name(ret_part->value) && (ret_part->code != PC_MA_DNSADDR || rest.size == 0);
}

int pc_names_add(struct pc_names *names, const struct pc_joiner_candidate *candidate)
{
    struct pc_multiaddr_part part;
    struct pc_bytes rest;
    if (!first_name(&candidate->addr, &part, &rest))
        return PEERCACHE_EUNSUPPORTED;
    for (size_t i = 0; i < names->root_count; i++) {
        const struct pc_joiner_candidate *known = &names->roots[i].candidate;
        if (pc_addr_peer_id_equal(&known->id, &candidate->id) &&
            pc_bytes_equal(pc_addr_maddr_bytes(&known->addr), pc_addr_maddr_bytes(&candidate->addr)))
            return 0;
    }
    if (names->root_count == PC_NAMES_MAX)
        return PEERCACHE_ELIMIT;
    names->roots[names->root_count++] = (struct root){ .candidate = *candidate, .ask_at_us = INT64_MIN };
    return 0;
}

static bool put_question(struct pc_names *names, size_t root, enum pc_record_type type, uint32_t depth,
                         const struct pc_peer_id *id, const struct pc_maddr *addr)
{
    if (names->roots[root].asked == PC_NAMES_ASKED_MAX)
        return false;
    for (size_t i = 0; i < PC_NAMES_QUESTIONS_MAX; i++) {
        struct question *question = &names->questions[i];
        if (question->number)
            continue;
        names->open_count++;
        *question = (struct question){ .number = ++names->last_question,
                                       .root = root,
                                       .type = type,
                                       .depth = depth,
                                       .id = *id,
                                       .addr = *addr };
        names->roots[root].open++;
        names->roots[root].asked++;
        return true;
    }
    return false;
}

/* The questions that an address with a name asks. */
static void ask(struct pc_names *names, size_t root, uint32_t depth, const struct pc_peer_id *id,
                const struct pc_maddr *addr)
{
    struct pc_multiaddr_part part;
    struct pc_bytes rest;
    if (!first_name(addr, &part, &rest))
        return;
    if (part.code == PC_MA_DNSADDR) {
        (void)put_question(names, root, PC_RECORD_TXT, depth, id, addr);
        return;
    }
    if (part.code != PC_MA_DNS4)
        (void)put_question(names, root, PC_RECORD_AAAA, depth, id, addr);
    if (part.code != PC_MA_DNS6)
        (void)put_question(names, root, PC_RECORD_A, depth, id, addr);
}

static void begin_roots(struct pc_names *names, int64_t now_us)
{
    for (size_t i = 0; i < names->root_count; i++) {
        struct root *root = &names->roots[i];
        if (root->open > 0 || root->ask_at_us > now_us)
            continue;
        root->asked = 0;
        root->found = 0;
        root->failed = 0;
        root->ask_at_us = PC_TIME_NEVER;
        ask(names, i, 0, &root->candidate.id, &root->candidate.addr);
        if (root->open == 0) /* no room for its question: another one's end makes it */
            root->ask_at_us = pc_base_time_add(now_us, PC_NAMES_BACKOFF_US);
    }
}

static void write_name(const struct question *question, char ret_name[PC_NAME_TEXT_BYTES])
{
    struct pc_multiaddr_part part;
    struct pc_bytes rest;
    bool is_name = first_name(&question->addr, &part, &rest);
    assert(is_name);
    (void)is_name;
    int length =
        snprintf(ret_name, PC_NAME_TEXT_BYTES, "%s%.*s", question->type == PC_RECORD_TXT ? "_dnsaddr." : "",
                 (int)part.value.size, (const char *)part.value.data);
    assert(length > 0 && length < PC_NAME_TEXT_BYTES);
    (void)length;
}

bool pc_names_next(struct pc_names *names, int64_t now_us, struct pc_name_question *ret_question)
{
    begin_roots(names, now_us);
    if (names->under_way == names->open_count || names->under_way == PC_NAMES_AT_ONCE_MAX)
        return false;
    struct question *best = NULL;
    for (size_t i = 0; i < PC_NAMES_QUESTIONS_MAX; i++) {
        struct question *question = &names->questions[i];
        if (question->number && !question->is_under_way && (!best || question->number < best->number))
            best = question;
    }
    if (!best)
        return false;
    best->is_under_way = true;
    best->deadline_us = pc_base_time_add(now_us, PC_NAMES_TIMEOUT_US);
    names->under_way++;
    *ret_question = (struct pc_name_question){ .number = best->number,
                                               .type = best->type,
                                               .deadline_us = best->deadline_us };
    write_name(best, ret_question->name);
    return true;
}

static struct question *find(struct pc_names *names, uint64_t number)
{
    for (size_t i = 0; i < PC_NAMES_QUESTIONS_MAX; i++)
        if (number && names->questions[i].number == number && names->questions[i].is_under_way)
            return &names->questions[i];
    return NULL;
}

/* The candidate of an address that needs no more names; false when it is not one of QUIC, or one too many. */
static bool make_candidate(struct root *root, const struct pc_peer_id *id, const struct pc_maddr *addr,
                           struct pc_joiner_candidate *ret_candidate)
{
    struct pc_joiner_candidate made = root->candidate;
    if (root->found == PC_NAMES_FOUND_MAX ||
        pc_addr_classify(pc_addr_maddr_bytes(addr), &made.ip_port) != PC_ADDR_QUIC_V1)
        return false;
    made.id = *id;
    made.addr = *addr;
    root->found++;
    *ret_candidate = made;
    return true;
}

bool pc_names_take_ip(struct pc_names *names, uint64_t number, const struct pc_ip_port *ip,
                      struct pc_joiner_candidate *ret_candidate)
{
    struct question *question = find(names, number);
    struct pc_multiaddr_part part;
    struct pc_bytes rest;
    if (!question || question->type == PC_RECORD_TXT || !first_name(&question->addr, &part, &rest) ||
        ip->family != (question->type == PC_RECORD_A ? 4 : 6))
        return false;
    uint8_t bytes[PC_MADDR_MAX_BYTES];
    size_t ip_size = ip->family == 4 ? 4 : 16;
    struct pc_maddr addr;
    if (1 + ip_size + rest.size > sizeof(bytes))
        return false;
    bytes[0] = ip->family == 4 ? PC_MA_IP4 : PC_MA_IP6;
    memcpy(bytes + 1, ip->ip, ip_size);
    memcpy(bytes + 1 + ip_size, rest.data, rest.size);
    if (pc_addr_maddr_from_bytes(pc_bytes_of(bytes, 1 + ip_size + rest.size), &addr))
        return false;
    return make_candidate(&names->roots[question->root], &question->id, &addr, ret_candidate);
}

bool pc_names_take_text(struct pc_names *names, uint64_t number, struct pc_bytes text,
                        struct pc_joiner_candidate *ret_candidate)
{
    static const char prefix[] = "dnsaddr=";
    const size_t prefix_size = sizeof(prefix) - 1;
    struct question *question = find(names, number);
    uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
    size_t size;
    struct pc_maddr addr;
    struct pc_peer_id id;
    struct pc_ip_port unused;
    if (!question || question->type != PC_RECORD_TXT || text.size <= prefix_size ||
        memcmp(text.data, prefix, prefix_size) != 0)
        return false;
    if (pc_addr_multiaddr_parse((const char *)text.data + prefix_size, text.size - prefix_size, bytes,
                                sizeof(bytes), &size, NULL) ||
        pc_addr_multiaddr_split(pc_bytes_of(bytes, size), &addr, &id))
        return false;
    if (question->id.size && !pc_addr_peer_id_equal(&question->id, &id))
        return false;
    if (pc_addr_classify(pc_addr_maddr_bytes(&addr), &unused) != PC_ADDR_DNS)
        return make_candidate(&names->roots[question->root], &id, &addr, ret_candidate);
    if (question->depth + 1 < PC_NAMES_DEPTH_MAX)
        ask(names, question->root, question->depth + 1, &id, &addr);
    return false;
}

bool pc_names_ended(struct pc_names *names, uint64_t number, bool failed, struct pc_rng *rng, int64_t now_us)
{
    struct question *question = find(names, number);
    if (!question)
        return false;
    struct root *root = &names->roots[question->root];
    question->number = 0;
    names->open_count--;
    names->under_way--;
    root->failed += failed;
    if (--root->open > 0)
        return true;
    root->is_lost = root->found == 0;
    if (root->found > 0)
        root->wait_us = 0;
    if (!names->asks_again || root->found > 0)
        return true;
    root->wait_us =
        pc_join_backoff_decorrelated(rng, PC_NAMES_BACKOFF_US, PC_NAMES_BACKOFF_CAP_US, root->wait_us);
    root->ask_at_us = pc_base_time_add(now_us, root->wait_us);
    return true;
}

bool pc_names_next_lost(struct pc_names *names, struct pc_joiner_candidate *ret_candidate, bool *ret_failed)
{
    for (size_t i = 0; i < names->root_count; i++) {
        struct root *root = &names->roots[i];
        if (!root->is_lost)
            continue;
        root->is_lost = false;
        *ret_candidate = root->candidate;
        *ret_failed = root->failed > 0;
        return true;
    }
    return false;
}

bool pc_names_overdue(const struct pc_names *names, int64_t now_us, uint64_t *ret_question)
{
    for (size_t i = 0; names->under_way > 0 && i < PC_NAMES_QUESTIONS_MAX; i++) {
        const struct question *question = &names->questions[i];
        if (question->number && question->is_under_way && question->deadline_us <= now_us) {
            *ret_question = question->number;
            return true;
        }
    }
    return false;
}

bool pc_names_under_way(const struct pc_names *names, uint64_t *ret_question)
{
    return pc_names_overdue(names, PC_TIME_NEVER, ret_question);
}

int64_t pc_names_deadline(const struct pc_names *names, bool may_begin)
{
    int64_t at = PC_TIME_NEVER;
    for (size_t i = 0; names->open_count > 0 && i < PC_NAMES_QUESTIONS_MAX; i++) {
        const struct question *question = &names->questions[i];
        if (question->number && question->is_under_way)
            at = pc_base_time_min(at, question->deadline_us);
        else if (question->number && may_begin && names->under_way < PC_NAMES_AT_ONCE_MAX)
            return INT64_MIN;
    }
    for (size_t i = 0; may_begin && i < names->root_count; i++)
        if (names->roots[i].open == 0)
            at = pc_base_time_min(at, names->roots[i].ask_at_us);
    return at;
}

bool pc_names_may_come(const struct pc_names *names, int64_t until_us)
{
    for (size_t i = 0; i < names->root_count; i++)
        if (names->roots[i].open > 0 || names->roots[i].is_lost || names->roots[i].ask_at_us < until_us)
            return true;
    return false;
}

void pc_names_again(struct pc_names *names, int64_t now_us)
{
    for (size_t i = 0; i < names->root_count; i++) {
        names->roots[i].ask_at_us = pc_base_time_min(names->roots[i].ask_at_us, now_us);
        names->roots[i].wait_us = 0;
    }
}

size_t pc_names_count(const struct pc_names *names)
{
    return names->root_count;
}
