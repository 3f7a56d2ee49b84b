#include "driver/endpoint_answer.h"

#include "format/format.h"
#include "format/json_value.h"

#include <inttypes.h>
#include <stdlib.h>

struct reading {
    const struct pc_driver_endpoint_network *network;
    struct pc_rng *rng;
    struct pc_endpoint_peer *peers;
    uint64_t seen;          /* peers so far; they, or a sample of them, are kept */
    bool is_of_another;     /* our own list says so: of `other` */
    struct pc_reason other; /* its name */
};

/* Algorithm R (Vitter 1985): each of the peers seen is among those kept with the same chance. */
static void keep(struct reading *reading, const struct pc_peer_id *id, const struct pc_maddr *addr)
{
    uint64_t at = reading->seen++;
    if (at >= PC_ENDPOINT_PEERS_MAX)
        at = pc_base_rng_below(reading->rng, reading->seen);
    if (at < PC_ENDPOINT_PEERS_MAX)
        reading->peers[at] = (struct pc_endpoint_peer){ .id = *id, .addr = *addr };
}

static int take_record(void *context, const struct pc_format_item *item)
{
    for (size_t i = 0; i < item->record.addr_count; i++)
        keep(context, &item->record.id, &item->record.addrs[i].addr);
    return 0;
}

/* The object `peercache` of our own lists, which names the network. It was checked, and is read where it is written to. */
static int take_own(void *context, struct pc_bytes json)
{
    struct reading *reading = context;
    if (!reading->network->name)
        return 0;
    uint8_t *copy = malloc(json.size);
    if (!copy)
        return PEERCACHE_ENOMEM;
    memcpy(copy, json.data, json.size);
    struct pc_value value = pc_format_value_of(copy, json.size);
    pc_format_value_enter(&value);
    while (pc_format_value_next(&value)) {
        struct pc_bytes name = pc_format_value_name(&value);
        if (!pc_bytes_equal(name, pc_bytes_of("network", 7)) || pc_format_value_kind(&value) != '"') {
            pc_format_value_skip(&value);
            continue;
        }
        struct pc_bytes text = pc_format_value_string(&value);
        const char *ours = reading->network->name;
        reading->is_of_another = !pc_bytes_equal(text, pc_bytes_of(ours, strlen(ours)));
        pc_base_reason(&reading->other, "%.*s", (int)(text.size < 64 ? text.size : 64),
                       (const char *)text.data);
    }
    free(copy);
    return 0;
}

static int read_body(struct reading *reading, struct pc_bytes body, struct pc_format_summary *ret_summary,
                     struct pc_reason *ret_reason)
{
    const struct pc_format_options options = {
        .visitor = { .record = take_record, .own = take_own, .context = reading }
    };
    struct pc_format_reader *reader;
    int result = pc_format_reader_new(&options, &reader);
    if (result != 0)
        return result;
    result = pc_format_reader_feed(reader, body);
    if (result == 0)
        result = pc_format_reader_finish(reader);
    *ret_summary = *pc_format_reader_summary(reader);
    pc_base_reason(ret_reason, "%s", pc_format_reader_errmsg(reader));
    pc_format_reader_free(reader);
    return result;
}

static void say_what_is_missing(const struct reading *reading, const struct pc_format_summary *summary,
                                struct pc_reason *ret_detail)
{
    uint64_t left_out = reading->seen > PC_ENDPOINT_PEERS_MAX ? reading->seen - PC_ENDPOINT_PEERS_MAX : 0;
    if (summary->read == 0)
        pc_base_reason(ret_detail, "no peers in it");
    else if (summary->rejected > 0 && left_out > 0)
        pc_base_reason(ret_detail,
                       "%" PRIu64 " of %" PRIu64 " addresses left out for want of room; %" PRIu64
                       " are of no use, first: %s",
                       left_out, reading->seen, summary->rejected, summary->first.text.text);
    else if (summary->rejected > 0)
        pc_base_reason(ret_detail, "%" PRIu64 " of %" PRIu64 " addresses are of no use, first: %s",
                       summary->rejected, summary->read, summary->first.text.text);
    else if (left_out > 0)
        pc_base_reason(ret_detail, "%" PRIu64 " of %" PRIu64 " addresses left out for want of room", left_out,
                       reading->seen);
}

/* Whether it says to be of another network than ours, and which. */
static bool is_of_another(const struct reading *reading, const struct pc_format_summary *summary,
                          struct pc_reason *ret_detail)
{
    const struct pc_driver_endpoint_network *ours = reading->network;
    if (ours->version && summary->has_network_version && strcmp(summary->network_version, ours->version) != 0)
        pc_base_reason(ret_detail,
                       "it is of network version \"%s\", ours is \"%.60s\": nothing of it is used",
                       summary->network_version, ours->version);
    else if (reading->is_of_another)
        pc_base_reason(ret_detail, "it is of the network \"%s\", ours is \"%.60s\": nothing of it is used",
                       reading->other.text, ours->name);
    else
        return false;
    return true;
}

static peercache_fetch judge(int result, const struct reading *reading,
                             const struct pc_format_summary *summary, struct pc_reason *detail)
{
    if (result == PEERCACHE_ENOMEM) {
        pc_base_reason(detail, "out of memory");
        return PEERCACHE_FETCH_CANCELLED;
    }
    if (is_of_another(reading, summary, detail))
        return PEERCACHE_FETCH_WRONG_NETWORK;
    if (result != 0)
        return PEERCACHE_FETCH_RUBBISH; /* the reader has said why */
    say_what_is_missing(reading, summary, detail);
    return PEERCACHE_FETCH_OK;
}

void pc_driver_endpoint_answer_read(struct pc_bytes body, const struct pc_driver_endpoint_network *network,
                                    struct pc_rng *rng, struct pc_driver_endpoint_answer *ret_answer)
{
    struct pc_format_summary summary = { .format = PC_FORMAT_UNKNOWN };
    struct reading reading = { .network = network,
                               .rng = rng,
                               .peers = malloc(PC_ENDPOINT_PEERS_MAX * sizeof(*reading.peers)) };
    *ret_answer = (struct pc_driver_endpoint_answer){ .peers = NULL };
    int result = reading.peers ? read_body(&reading, body, &summary, &ret_answer->detail) : PEERCACHE_ENOMEM;
    ret_answer->result = judge(result, &reading, &summary, &ret_answer->detail);
    if (ret_answer->result != PEERCACHE_FETCH_OK || reading.seen == 0) {
        free(reading.peers);
        return;
    }
    ret_answer->count = reading.seen < PC_ENDPOINT_PEERS_MAX ? (size_t)reading.seen : PC_ENDPOINT_PEERS_MAX;
    ret_answer->peers = reading.peers;
}
