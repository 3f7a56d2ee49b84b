/*
 * The public joiner: texts to values and back over the joining plan (src/join/plan.h). It decides nothing of
 * its own. Events are told to the plan without room for actions; next asks for them one at a time.
 */
#include "base/cursor.h"
#include "join/plan.h"

#include <peercache/joiner.h>

#include <stdio.h>
#include <stdlib.h>

#define TARGET_DEFAULT     5
#define TIMEOUT_DEFAULT_MS 30000
#define IP_TEXT_MAX        64

_Static_assert((int)PEERCACHE_JOINER_LOST == (int)PC_PLAN_LOST, "the lists of actions agree");
_Static_assert((int)PEERCACHE_RECORD_TXT == (int)PC_RECORD_TXT, "the lists of records agree");
_Static_assert((int)PEERCACHE_JOINER_TIMED_OUT == (int)PC_JOIN_TIMED_OUT, "the lists of phases agree");
_Static_assert(PEERCACHE_BREAKER_BYTES == PC_BREAKER_BYTES, "one size of a stored breaker");

struct peercache_joiner_options {
    struct pc_plan_options plan;
    struct pc_join_filter filter;
};

struct peercache_joiner {
    struct pc_join_plan *plan;
    size_t endpoint_count;
};

peercache_joiner_options *peercache_joiner_options_new(void)
{
    peercache_joiner_options *options = calloc(1, sizeof(*options));
    if (!options)
        return NULL;
    options->plan.joiner = (struct pc_joiner_options){
        .target = TARGET_DEFAULT,
        .min = 1,
        .timeout_us = TIMEOUT_DEFAULT_MS * PC_US_PER_MS,
        .unstalled_max = PC_JOIN_UNSTALLED_MAX,
        .dials_max = PC_JOIN_DIALS_MAX,
        .dial_timeout_us = PC_JOIN_DIAL_TIMEOUT_US,
        .race_us = PC_JOIN_RACE_US,
        .race_private_us = PC_JOIN_RACE_PRIVATE_US,
    };
    return options;
}

void peercache_joiner_options_free(peercache_joiner_options *options)
{
    free(options);
}

int peercache_joiner_options_set_target(peercache_joiner_options *options, uint32_t target, uint32_t min)
{
    if (min < 1 || min > target || target > PC_JOIN_TARGET_MAX)
        return PEERCACHE_EINVAL;
    options->plan.joiner.target = target;
    options->plan.joiner.min = min;
    return 0;
}

int peercache_joiner_options_set_timeout_ms(peercache_joiner_options *options, uint32_t timeout_ms)
{
    if (timeout_ms == 0)
        return PEERCACHE_EINVAL;
    options->plan.joiner.timeout_us = timeout_ms * PC_US_PER_MS;
    return 0;
}

int peercache_joiner_options_set_endpoints(peercache_joiner_options *options, size_t count)
{
    if (count > PC_JOIN_ENDPOINTS_MAX)
        return PEERCACHE_EINVAL;
    options->plan.endpoint_count = count;
    return 0;
}

void peercache_joiner_options_set_memory(peercache_joiner_options *options, uint32_t candidates,
                                         int64_t age_ms, uint32_t last_verified)
{
    options->plan.memory = (struct pc_join_memory){ candidates, age_ms, last_verified };
}

void peercache_joiner_options_set_local(peercache_joiner_options *options, bool local)
{
    options->plan.joiner.mode = local ? PC_NETGROUP_LOCAL : PC_NETGROUP_PUBLIC;
}

void peercache_joiner_options_set_exclusive(peercache_joiner_options *options, bool exclusive)
{
    options->plan.exclusive = exclusive;
}

void peercache_joiner_options_set_keep_trying(peercache_joiner_options *options, bool keep_trying)
{
    options->plan.joiner.tries_again = keep_trying;
}

int peercache_joiner_options_deny(peercache_joiner_options *options, const char *cidr)
{
    return pc_join_filter_add(&options->filter, cidr, false, NULL);
}

int peercache_joiner_options_allow(peercache_joiner_options *options, const char *cidr)
{
    return pc_join_filter_add(&options->filter, cidr, true, NULL);
}

void peercache_joiner_options_set_secret(peercache_joiner_options *options, const uint8_t secret[16])
{
    memcpy(options->plan.joiner.secret, secret, sizeof(options->plan.joiner.secret));
}

int peercache_joiner_new(const peercache_joiner_options *options, peercache_time now,
                         peercache_joiner **ret_joiner)
{
    struct pc_plan_options plan_options = options->plan;
    peercache_joiner *joiner = calloc(1, sizeof(*joiner));
    if (!joiner)
        return PEERCACHE_ENOMEM;
    plan_options.filter = &options->filter;
    int result = pc_plan_new(&plan_options, now.mono_us, &joiner->plan);
    if (result) {
        free(joiner);
        return result;
    }
    joiner->endpoint_count = options->plan.exclusive ? 0 : options->plan.endpoint_count;
    *ret_joiner = joiner;
    return 0;
}

void peercache_joiner_free(peercache_joiner *joiner)
{
    if (!joiner)
        return;
    pc_plan_free(joiner->plan);
    free(joiner);
}

static int tell(peercache_joiner *joiner, const struct pc_plan_event *event, peercache_time now)
{
    size_t none;
    return pc_plan_step(joiner->plan, event, now.mono_us, NULL, 0, &none);
}

/* Where an address of any transport leads: for its group and family; the plan needs no more. */
static struct pc_ip_port ip_port_of(const struct pc_maddr *addr)
{
    struct pc_ip_port found = { .family = 0 };
    struct pc_multiaddr_part part;
    struct pc_bytes rest = pc_addr_maddr_bytes(addr);
    if (pc_addr_classify(rest, &found) == PC_ADDR_QUIC_V1 || pc_addr_multiaddr_next(&rest, &part) != 1 ||
        (part.code != PC_MA_IP4 && part.code != PC_MA_IP6))
        return found;
    struct pc_ip_port ip = { .family = part.code == PC_MA_IP4 ? 4 : 6 };
    memcpy(ip.ip, part.value.data, part.value.size);
    if (pc_addr_multiaddr_next(&rest, &part) != 1 || (part.code != PC_MA_TCP && part.code != PC_MA_UDP))
        return found;
    struct pc_reader r;
    pc_base_reader_init(&r, part.value.data, part.value.size);
    ip.port = pc_base_read_u16(&r);
    return ip;
}

int peercache_joiner_offer(peercache_joiner *joiner, const char *addr, peercache_via via, size_t endpoint,
                           peercache_time now)
{
    uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
    size_t size;
    struct pc_joiner_candidate candidate = { .via = via };
    if ((unsigned)via >= PEERCACHE_VIA_COUNT ||
        (via == PEERCACHE_VIA_ENDPOINT && joiner->endpoint_count > 0 && endpoint >= joiner->endpoint_count))
        return PEERCACHE_EINVAL;
    int result = pc_addr_multiaddr_parse(addr, strlen(addr), bytes, sizeof(bytes), &size, NULL);
    if (!result)
        result = pc_addr_multiaddr_split(pc_bytes_of(bytes, size), &candidate.addr, &candidate.id);
    if (!result && candidate.addr.size == 0)
        result = PEERCACHE_EPARSE;
    if (result)
        return result;
    candidate.ip_port = ip_port_of(&candidate.addr);
    candidate.endpoints =
        via == PEERCACHE_VIA_ENDPOINT && endpoint < PC_JOIN_ENDPOINTS_MAX ? UINT32_C(1) << endpoint : 0;
    const struct pc_plan_event event = { .kind = PC_PLAN_OFFERED, .candidate = &candidate };
    return tell(joiner, &event, now);
}

int peercache_joiner_next(peercache_joiner *joiner, peercache_time now, peercache_joiner_action *ret_action)
{
    const struct pc_plan_event time = { .kind = PC_PLAN_TIME };
    struct pc_plan_action action;
    size_t count;
    (void)pc_plan_step(joiner->plan, &time, now.mono_us, &action, 1, &count); /* fails for offers only */
    if (count == 0)
        return 0;
    memset(ret_action, 0, sizeof(*ret_action));
    ret_action->kind = (peercache_joiner_action_kind)action.kind;
    ret_action->number = action.number;
    ret_action->deadline_us = action.deadline_us;
    ret_action->endpoint = action.endpoint;
    ret_action->outcome = action.outcome;
    if (action.kind == PC_PLAN_DIAL || action.kind == PC_PLAN_LOST) {
        static const struct pc_peer_id none = { .size = 0 };
        /* Parsed from a text no longer than what it is written to: it fits. */
        (void)pc_addr_format_with_id(pc_addr_maddr_bytes(&action.candidate.addr), &none, ret_action->addr,
                                     sizeof(ret_action->addr));
        pc_addr_peer_id_format(&action.candidate.id, ret_action->peer_id);
        ret_action->via = action.candidate.via;
    } else if (action.kind == PC_PLAN_RESOLVE) {
        ret_action->record = (peercache_record)action.question.type;
        memcpy(ret_action->name, action.question.name, sizeof(action.question.name));
    }
    return 1;
}

int64_t peercache_joiner_deadline_us(const peercache_joiner *joiner)
{
    return pc_plan_deadline(joiner->plan);
}

int peercache_joiner_dial_ended(peercache_joiner *joiner, uint64_t number, peercache_outcome outcome,
                                const char *peer_id, int32_t rtt_ms, peercache_time now)
{
    struct pc_peer_id id;
    if ((unsigned)outcome >= PEERCACHE_OUTCOME_COUNT)
        return PEERCACHE_EINVAL;
    if (peer_id && pc_addr_peer_id_parse(peer_id, strlen(peer_id), &id, NULL))
        return PEERCACHE_EPARSE;
    const struct pc_plan_event event = { .kind = PC_PLAN_DIAL_ENDED,
                                         .number = number,
                                         .outcome = outcome,
                                         .id = peer_id ? &id : NULL,
                                         .rtt_us = rtt_ms < 0 ? -1 : rtt_ms * PC_US_PER_MS };
    return tell(joiner, &event, now);
}

int peercache_joiner_verified_inbound(peercache_joiner *joiner, const char *peer_id, peercache_time now)
{
    struct pc_peer_id id;
    if (pc_addr_peer_id_parse(peer_id, strlen(peer_id), &id, NULL))
        return PEERCACHE_EPARSE;
    const struct pc_plan_event event = { .kind = PC_PLAN_VERIFIED, .id = &id };
    return tell(joiner, &event, now);
}

int peercache_joiner_fetched(peercache_joiner *joiner, uint64_t number, peercache_fetch result,
                             uint32_t usable, int64_t date_ms, peercache_time now)
{
    if ((unsigned)result >= PEERCACHE_FETCH_COUNT)
        return PEERCACHE_EINVAL;
    const struct pc_plan_event event = { .kind = PC_PLAN_FETCHED,
                                         .number = number,
                                         .fetch = result,
                                         .fetch_usable = usable,
                                         .fetch_has_date = date_ms != 0,
                                         .clock_ahead_ms = pc_base_time_sub(now.wall_ms, date_ms) };
    return tell(joiner, &event, now);
}

/* The multiaddr table reads the IP, as it reads all others. */
static bool read_ip(const char *text, struct pc_ip_port *ret_ip)
{
    char name[IP_TEXT_MAX + 8];
    uint8_t bytes[64];
    size_t size;
    struct pc_multiaddr_part part;
    if (strlen(text) > IP_TEXT_MAX)
        return false;
    int length = snprintf(name, sizeof(name), "/ip%c/%s", strchr(text, ':') ? '6' : '4', text);
    if (pc_addr_multiaddr_parse(name, (size_t)length, bytes, sizeof(bytes), &size, NULL))
        return false;
    struct pc_bytes rest = pc_bytes_of(bytes, size);
    if (pc_addr_multiaddr_next(&rest, &part) != 1 || rest.size != 0)
        return false;
    *ret_ip = (struct pc_ip_port){ .family = part.code == PC_MA_IP4 ? 4 : 6 };
    memcpy(ret_ip->ip, part.value.data, part.value.size);
    return true;
}

int peercache_joiner_resolved(peercache_joiner *joiner, uint64_t number, peercache_outcome outcome,
                              const char *const *answers, size_t count, peercache_time now)
{
    struct pc_ip_port ips[PC_NAMES_FOUND_MAX];
    struct pc_bytes texts[PC_NAMES_FOUND_MAX];
    struct pc_plan_event event = {
        .kind = PC_PLAN_RESOLVED, .number = number, .outcome = outcome, .ips = ips, .texts = texts
    };
    if ((unsigned)outcome >= PEERCACHE_OUTCOME_COUNT)
        return PEERCACHE_EINVAL;
    /* More than are used of any name are not looked at. The kind of question decides which of both counts. */
    for (size_t i = 0; i < count && i < PC_NAMES_FOUND_MAX; i++) {
        texts[event.text_count++] = pc_bytes_of(answers[i], strlen(answers[i]));
        if (read_ip(answers[i], &ips[event.ip_count]))
            event.ip_count++;
    }
    return tell(joiner, &event, now);
}

void peercache_joiner_network_changed(peercache_joiner *joiner, bool has_ip4, bool has_ip6,
                                      peercache_time now)
{
    const struct pc_plan_event event = { .kind = PC_PLAN_NETWORK_CHANGED,
                                         .has_ip4 = has_ip4,
                                         .has_ip6 = has_ip6 };
    (void)tell(joiner, &event, now); /* fails for offers only */
}

void peercache_joiner_again(peercache_joiner *joiner, peercache_time now)
{
    const struct pc_plan_event event = { .kind = PC_PLAN_AGAIN };
    (void)tell(joiner, &event, now); /* fails for offers only */
}

peercache_joiner_phase peercache_joiner_phase_now(const peercache_joiner *joiner)
{
    return (peercache_joiner_phase)pc_plan_phase(joiner->plan);
}

uint32_t peercache_joiner_verified(const peercache_joiner *joiner)
{
    return pc_plan_verified_count(joiner->plan);
}

const char *peercache_joiner_cause(const peercache_joiner *joiner, const char **ret_next_step)
{
    struct pc_join_facts facts;
    pc_plan_facts(joiner->plan, &facts);
    enum pc_cause cause = pc_join_diagnose(&facts);
    if (ret_next_step)
        *ret_next_step = pc_cause_next_step(cause);
    return pc_cause_name(cause);
}

bool peercache_joiner_failure_counts(const peercache_joiner *joiner, int family)
{
    return pc_plan_failure_counts(joiner->plan, family == 6 ? 6 : 4);
}

int peercache_joiner_save_breaker(const peercache_joiner *joiner, size_t endpoint, peercache_time now,
                                  uint8_t ret_bytes[PEERCACHE_BREAKER_BYTES])
{
    if (endpoint >= joiner->endpoint_count)
        return PEERCACHE_EINVAL;
    pc_plan_save_breaker(joiner->plan, endpoint, now.wall_ms, ret_bytes);
    return 0;
}

int peercache_joiner_load_breaker(peercache_joiner *joiner, size_t endpoint,
                                  const uint8_t bytes[PEERCACHE_BREAKER_BYTES], peercache_time now)
{
    if (endpoint >= joiner->endpoint_count)
        return PEERCACHE_EINVAL;
    return pc_plan_load_breaker(joiner->plan, endpoint, pc_bytes_of(bytes, PEERCACHE_BREAKER_BYTES),
                                now.wall_ms);
}
