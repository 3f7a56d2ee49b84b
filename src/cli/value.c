/* The values of flags, see value.h. */
#include "cli/value.h"

#include "addr/multiaddr.h"
#include "driver/network.h"

#include <string.h>

const char *pc_cli_policy_name(uint32_t policy)
{
    return policy == PEERCACHE_PRUNE_UNRELIABLE ? "unreliable"
           : policy == PEERCACHE_PRUNE_STALE    ? "stale"
           : policy == PEERCACHE_PRUNE_CAPACITY ? "capacity"
                                                : "banned";
}

/* EPARSE, or ELIMIT out of range; the reason says what is wrong with it. */
static int duration_parse(const char *text, uint32_t *ret_ms, struct pc_reason *ret_reason)
{
    static const struct {
        const char *unit;
        uint32_t ms;
    } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };
    size_t digits = strspn(text, "0123456789");
    uint64_t number = 0;

    if (digits == 0) {
        pc_base_reason(ret_reason,
                       "'%.64s' is no duration: expected digits and a unit, such as 10s, 500ms or 2m", text);
        return PEERCACHE_EPARSE;
    }
    for (size_t i = 0; i < digits && number <= PC_CLI_TIMEOUT_MAX_MS; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text + digits, units[i].unit) != 0)
            continue;
        /* number is at most ten times the limit and the unit at most the limit: no overflow in 64 bits */
        number *= units[i].ms;
        if (number < 1 || number > PC_CLI_TIMEOUT_MAX_MS) {
            pc_base_reason(ret_reason, "'%.64s' is out of range: 1ms to 1h", text);
            return PEERCACHE_ELIMIT;
        }
        *ret_ms = (uint32_t)number;
        return 0;
    }
    if (text[digits] == '\0')
        pc_base_reason(ret_reason, "'%.64s' has no unit: write %.32ss, %.32sms or %.32sm", text, text, text,
                       text);
    else
        pc_base_reason(ret_reason, "'%.64s' has an unknown unit '%.32s': use ms, s, m or h", text,
                       text + digits);
    return PEERCACHE_EPARSE;
}

int pc_cli_number_parse(const char *flag, const char *text, uint32_t min, uint32_t max, uint32_t *ret_number,
                        struct pc_reason *ret_reason)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t number = 0;
    for (size_t i = 0; i < digits && number <= max; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    if (digits == 0 || text[digits] != '\0' || number < min || number > max) {
        pc_base_reason(ret_reason, "--%s: '%.64s' is not a whole number from %u to %u", flag, text, min, max);
        return PEERCACHE_EINVAL;
    }
    *ret_number = (uint32_t)number;
    return 0;
}

int pc_cli_truth_parse(const char *flag, const char *text, bool *ret_truth, struct pc_reason *ret_reason)
{
    static const char *const words[][2] = {
        { "no", "yes" }, { "false", "true" }, { "off", "on" }, { "0", "1" }
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        for (size_t truth = 0; truth < 2; truth++)
            if (strcasecmp(text, words[i][truth]) == 0) {
                *ret_truth = truth == 1;
                return 0;
            }
    pc_base_reason(ret_reason, "--%s: '%.64s' is neither yes nor no", flag, text);
    return PEERCACHE_EINVAL;
}

int pc_cli_multiaddr_check(const char *where, const char *text, struct pc_reason *ret_reason)
{
    uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
    size_t size;
    struct pc_reason why = { "" };
    if (pc_addr_multiaddr_parse(text, strlen(text), bytes, sizeof(bytes), &size, &why) == 0)
        return 0;
    pc_base_reason(ret_reason, "%s: '%.80s' is no multiaddr: %.80s", where, text, why.text);
    return PEERCACHE_EINVAL;
}

/* Names become directories, so they may not lead elsewhere. */
int pc_cli_network_check(const char *name, struct pc_reason *ret_reason)
{
    if (pc_driver_network_name_valid(name))
        return 0;
    pc_base_reason(ret_reason,
                   "--network: '%.64s' is no name of a network: 1 to 63 characters without blanks or '/', no "
                   "leading dot",
                   name);
    return PEERCACHE_EINVAL;
}

int pc_cli_kad_protocol_check(const char *name, struct pc_reason *ret_reason)
{
    if (pc_driver_kad_protocol_valid(name))
        return 0;
    pc_base_reason(ret_reason,
                   "--kad-protocol: '%.64s' is no protocol name: expected one like /ipfs/kad/1.0.0", name);
    return PEERCACHE_EINVAL;
}

int pc_cli_code_parse(const char *text, peercache_outcome *ret_outcome, struct pc_reason *ret_reason)
{
    for (int i = PEERCACHE_OK + 1; i < PEERCACHE_OUTCOME_COUNT; i++)
        if (strcmp(text, peercache_outcome_name((peercache_outcome)i)) == 0) {
            *ret_outcome = (peercache_outcome)i;
            return 0;
        }
    pc_base_reason(
        ret_reason,
        "--code: '%.32s' is no failure: timeout, refused, unreachable, tls_failed, wrong_identity, "
        "protocol_mismatch, misbehaved, dns_failed, ...",
        text);
    return PEERCACHE_EINVAL;
}

int pc_cli_mode_parse(const char *text, peercache_mode *ret_mode, struct pc_reason *ret_reason)
{
    static const struct {
        const char *word;
        peercache_mode mode;
    } modes[] = { { "auto", PEERCACHE_MODE_AUTO },
                  { "server", PEERCACHE_MODE_SERVER },
                  { "client", PEERCACHE_MODE_CLIENT } };
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcmp(text, modes[i].word) == 0) {
            *ret_mode = modes[i].mode;
            return 0;
        }
    pc_base_reason(ret_reason, "--mode: '%.32s' is none of auto, server and client", text);
    return PEERCACHE_EINVAL;
}

int pc_cli_log_form_parse(const char *text, enum pc_cli_log_form *ret_form, struct pc_reason *ret_reason)
{
    if (strcmp(text, "text") == 0)
        *ret_form = PC_CLI_LOG_TEXT;
    else if (strcmp(text, "json") == 0)
        *ret_form = PC_CLI_LOG_JSON;
    else {
        pc_base_reason(ret_reason, "--log: '%.64s' is none of text, json", text);
        return PEERCACHE_EINVAL;
    }
    return 0;
}

int pc_cli_policy_parse(const char *text, uint32_t *ret_policies, struct pc_reason *ret_reason)
{
    for (uint32_t bit = 1; bit <= PEERCACHE_PRUNE_ALL; bit <<= 1)
        if (strcmp(text, pc_cli_policy_name(bit)) == 0) {
            *ret_policies |= bit;
            return 0;
        }
    pc_base_reason(ret_reason, "--policy: '%.64s' is none of unreliable, stale, capacity", text);
    return PEERCACHE_EINVAL;
}

int pc_cli_format_parse(const char *text, peercache_format *ret_format, struct pc_reason *ret_reason)
{
    if (peercache_format_from_name(text, ret_format) == 0)
        return 0;
    pc_base_reason(ret_reason, "--format: '%.64s' is none of list, map, ant-v0, ant-v1, endpoint, text, kubo",
                   text);
    return PEERCACHE_EINVAL;
}

int pc_cli_duration_parse(const char *flag, const char *text, uint32_t *ret_ms, struct pc_reason *ret_reason)
{
    struct pc_reason why = { "" };
    if (duration_parse(text, ret_ms, &why) == 0)
        return 0;
    pc_base_reason(ret_reason, "--%s: %.170s", flag, why.text);
    return PEERCACHE_EINVAL;
}
