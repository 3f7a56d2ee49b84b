/* Who may become an inbound connection: admission.h. */
#include "libp2p/admission.h"

#include "libp2p/connection.h"
#include "libp2p/loose.h"
#include "libp2p/shedding.h"

void pc_libp2p_admission_enter(struct pc_connection *connection, bool on_trust)
{
    struct pc_libp2p_host *host = connection->host;
    connection->half_open = true;
    connection->group->half_open++;
    pc_libp2p_rate_spend(&connection->group->handshakes);
    if (!on_trust)
        return;
    connection->on_trust = true;
    connection->half_open_listed = true;
    connection->half_open_previous = host->half_open_last;
    if (host->half_open_last)
        host->half_open_last->half_open_next = connection;
    else
        host->half_open_first = connection;
    host->half_open_last = connection;
    host->half_open_count++;
}

void pc_libp2p_admission_unlist(struct pc_connection *connection)
{
    struct pc_libp2p_host *host = connection->host;
    if (!connection->half_open_listed)
        return;
    connection->half_open_listed = false;
    if (connection->half_open_previous)
        connection->half_open_previous->half_open_next = connection->half_open_next;
    else
        host->half_open_first = connection->half_open_next;
    if (connection->half_open_next)
        connection->half_open_next->half_open_previous = connection->half_open_previous;
    else
        host->half_open_last = connection->half_open_previous;
}

void pc_libp2p_admission_leave(struct pc_connection *connection)
{
    if (!connection->half_open)
        return;
    pc_libp2p_admission_unlist(connection);
    connection->half_open = false;
    connection->group->half_open--;
    if (connection->on_trust)
        connection->host->half_open_count--;
    connection->on_trust = false;
}

bool pc_libp2p_admission_full(const struct pc_libp2p_host *host)
{
    return host->alive_count >= host->options.connections_max;
}

static bool displace(struct pc_libp2p_host *host)
{
    if (!host->half_open_first)
        return false;
    host->counters.shed[PC_SHED_HALF_OPEN]++;
    pc_base_log(host->options.log, PC_LOG_DEBUG, "libp2p", "a half-open inbound connection was displaced");
    pc_libp2p_connection_free(host->half_open_first);
    return true;
}

bool pc_libp2p_admission_make_room(struct pc_libp2p_host *host, const struct pc_account *group)
{
    return displace(host) || pc_libp2p_shedding_make_room(host, group ? group->connections : 0);
}

static bool many_on_trust(const struct pc_libp2p_host *host)
{
    size_t limit = host->options.limits.half_open;
    if (limit == 0)
        limit = host->options.connections_max / PC_LIBP2P_HALF_OPEN_PART;
    return host->half_open_count >= (limit > 0 ? limit : 1);
}

/* What is done with a newcomer. */
enum verdict {
    ACCEPTED,
    RETRIED,
    REFUSED,
    DROPPED,
};

/* Over a limit that passes: a Retry keeps the rest for those who are where they say. */
static enum verdict hold_off(struct pc_libp2p_host *host, bool on_trust, enum pc_libp2p_shed reason)
{
    if (on_trust)
        return RETRIED;
    host->counters.shed[reason]++;
    return DROPPED;
}

static enum verdict refuse(struct pc_libp2p_host *host, enum pc_libp2p_shed reason)
{
    host->counters.shed[reason]++;
    return REFUSED;
}

static enum verdict judge_group(struct pc_libp2p_host *host, struct pc_account *group, bool on_trust)
{
    const struct pc_libp2p_limits *limits = &host->options.limits;
    uint32_t half_open = limits->half_open_per_group;
    if (on_trust)
        half_open = (half_open + 1) / 2;
    if (limits->connections_per_group > 0 && group->connections >= limits->connections_per_group)
        return refuse(host, PC_SHED_CONNECTIONS_GROUP);
    if (half_open > 0 && group->half_open >= half_open)
        return hold_off(host, on_trust, PC_SHED_HALF_OPEN_GROUP);
    if (!pc_libp2p_rate_has(&group->handshakes, limits->handshakes_per_group,
                            on_trust ? limits->handshakes_per_group.burst / 2 : 0, host->now.mono_us))
        return hold_off(host, on_trust, PC_SHED_HANDSHAKES_GROUP);
    return ACCEPTED;
}

static enum verdict judge(struct pc_libp2p_host *host, struct pc_account *group, bool on_trust)
{
    const struct pc_libp2p_limits *limits = &host->options.limits;
    enum verdict verdict = group ? judge_group(host, group, on_trust) : ACCEPTED;
    if (verdict != ACCEPTED)
        return verdict;
    if (!pc_libp2p_rate_has(&host->handshakes, limits->handshakes,
                            on_trust ? limits->handshakes.burst / 2 : 0, host->now.mono_us))
        return hold_off(host, on_trust, PC_SHED_HANDSHAKES);
    if (!pc_libp2p_admission_full(host))
        return on_trust && many_on_trust(host) ? RETRIED : ACCEPTED;
    if (on_trust && host->half_open_first)
        return RETRIED;
    if (on_trust) /* a token helps who is of a smaller group than others; his Retry would cost less than to find out */
        return pc_libp2p_shedding_has_room(host, group ? group->connections : 0)
                   ? RETRIED
                   : refuse(host, PC_SHED_CONNECTIONS);
    return pc_libp2p_admission_make_room(host, group) ? ACCEPTED : refuse(host, PC_SHED_CONNECTIONS);
}

void pc_libp2p_admission_initial(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                                 const ngtcp2_pkt_hd *header)
{
    ngtcp2_cid original;
    enum pc_retry_token token = pc_libp2p_loose_check_token(host, datagram, header, &original);
    if (token == PC_RETRY_TOKEN_INVALID) {
        pc_libp2p_loose_refusal(host, datagram, header, NGTCP2_INVALID_TOKEN);
        return;
    }
    bool on_trust = token == PC_RETRY_TOKEN_NONE;
    switch (judge(host, pc_libp2p_host_group(host, &datagram->remote), on_trust)) {
    case ACCEPTED:
        pc_libp2p_rate_spend(&host->handshakes);
        pc_libp2p_connection_accept(host, datagram, header, on_trust ? NULL : &original);
        break;
    case RETRIED:
        pc_libp2p_loose_retry(host, datagram, header);
        break;
    case REFUSED:
        pc_libp2p_loose_refusal(host, datagram, header, NGTCP2_CONNECTION_REFUSED);
        break;
    case DROPPED:
        break;
    }
}
