/* What connections weigh, and who goes first: shedding.h. */
#include "libp2p/shedding.h"

#include "base/time.h"

/* Over a limit of 0: there is none. */
static bool is_over(uint64_t value, uint64_t limit)
{
    return limit > 0 && value > limit;
}

static void shed(struct pc_connection *connection, enum pc_libp2p_shed reason, uint64_t code)
{
    if (connection->condemned)
        return;
    connection->host->counters.shed[reason]++;
    connection->close_code = code;
    pc_libp2p_connection_condemn(connection, PEERCACHE_MISBEHAVED, "over a limit of ours: %s",
                                 pc_libp2p_shed_name(reason));
}

/* ---- streams ------------------------------------------------------------------------------------------- */

bool pc_libp2p_shedding_stream(struct pc_stream *stream)
{
    struct pc_connection *connection = stream->connection;
    struct pc_libp2p_host *host = connection->host;
    const struct pc_libp2p_limits *limits = &host->options.limits;
    stream->counted = true;
    host->counters.streams++;
    connection->stream_count++;
    connection->group->streams++;
    if (connection->peer)
        connection->peer->streams++;
    if (connection->peer && is_over(connection->peer->streams, limits->streams_per_peer))
        host->counters.shed[PC_SHED_STREAMS_PEER]++;
    else if (is_over(connection->group->streams, limits->streams_per_group))
        host->counters.shed[PC_SHED_STREAMS_GROUP]++;
    else if (is_over(host->counters.streams, limits->streams))
        host->counters.shed[PC_SHED_STREAMS]++;
    else
        return true;
    return false;
}

void pc_libp2p_shedding_stream_gone(struct pc_stream *stream)
{
    struct pc_connection *connection = stream->connection;
    if (!stream->counted)
        return;
    stream->counted = false;
    connection->host->counters.streams--;
    connection->stream_count--;
    connection->group->streams--;
    if (connection->peer)
        connection->peer->streams--;
}

/* ---- requests ------------------------------------------------------------------------------------------ */

static uint32_t over_now(const struct pc_connection *connection)
{
    int64_t halvings =
        pc_base_time_sub(connection->host->now.mono_us, connection->over_at_us) / PC_GREED_HALF_US;
    return halvings < 32 ? connection->over >> halvings : 0;
}

/* It asked over its rate once more. */
static void note_over(struct pc_connection *connection)
{
    int64_t now_us = connection->host->now.mono_us;
    int64_t since_us = pc_base_time_sub(now_us, connection->over_at_us);
    connection->over = over_now(connection) + 1;
    if (since_us >= PC_GREED_HALF_US)
        connection->over_at_us = now_us - since_us % PC_GREED_HALF_US;
    if (connection->over > PC_GREED_MAX)
        shed(connection, PC_SHED_GREEDY, PC_LIBP2P_CODE_RATE_LIMITED);
}

static uint32_t half(struct pc_libp2p_rate rate)
{
    return rate.burst / 2;
}

bool pc_libp2p_shedding_request(struct pc_connection *connection)
{
    struct pc_libp2p_host *host = connection->host;
    const struct pc_libp2p_limits *limits = &host->options.limits;
    struct pc_account *peer = connection->peer;
    struct pc_account *group = connection->group;
    int64_t now_us = host->now.mono_us;
    if (peer && !pc_libp2p_rate_has(&peer->requests, limits->requests_per_peer, 0, now_us)) {
        host->counters.shed[PC_SHED_REQUESTS_PEER]++;
        note_over(connection);
        return false;
    }
    bool busy = peer && !pc_libp2p_rate_has(&peer->requests, limits->requests_per_peer,
                                            half(limits->requests_per_peer), now_us);
    if (!pc_libp2p_rate_has(&group->requests, limits->requests_per_group,
                            busy ? half(limits->requests_per_group) : 0, now_us)) {
        host->counters.shed[PC_SHED_REQUESTS_GROUP]++;
        if (busy)
            note_over(connection);
        return false;
    }
    busy |= !pc_libp2p_rate_has(&group->requests, limits->requests_per_group,
                                half(limits->requests_per_group), now_us);
    if (!pc_libp2p_rate_has(&host->requests, limits->requests, busy ? half(limits->requests) : 0, now_us)) {
        host->counters.shed[PC_SHED_REQUESTS]++;
        return false;
    }
    if (peer && limits->requests_per_peer.per_s > 0)
        pc_libp2p_rate_spend(&peer->requests);
    if (limits->requests_per_group.per_s > 0)
        pc_libp2p_rate_spend(&group->requests);
    if (limits->requests.per_s > 0)
        pc_libp2p_rate_spend(&host->requests);
    return true;
}

/* ---- memory -------------------------------------------------------------------------------------------- */

void pc_libp2p_shedding_buffered(struct pc_connection *connection, size_t size)
{
    struct pc_libp2p_host *host = connection->host;
    const struct pc_libp2p_limits *limits = &host->options.limits;
    struct pc_account *group = connection->group;
    connection->memory_bytes += size;
    host->counters.buffered_bytes += size;
    group->memory_bytes += size;
    if (connection->peer)
        connection->peer->memory_bytes += size;
    uint64_t own = connection->memory_bytes;
    if (connection->peer && is_over(connection->peer->memory_bytes, limits->memory_per_peer_bytes))
        shed(connection, PC_SHED_MEMORY_PEER, PC_LIBP2P_CODE_RESOURCE_LIMIT);
    else if (is_over(group->memory_bytes, limits->memory_per_group_bytes) &&
             own * group->users >= group->memory_bytes)
        shed(connection, PC_SHED_MEMORY_GROUP, PC_LIBP2P_CODE_RESOURCE_LIMIT);
    else if (is_over(host->counters.buffered_bytes, limits->memory_bytes) &&
             own * host->alive_count >= host->counters.buffered_bytes)
        shed(connection, PC_SHED_MEMORY, PC_LIBP2P_CODE_RESOURCE_LIMIT);
}

void pc_libp2p_shedding_unbuffered(struct pc_connection *connection, size_t size)
{
    connection->memory_bytes -= size;
    connection->host->counters.buffered_bytes -= size;
    connection->group->memory_bytes -= size;
    if (connection->peer)
        connection->peer->memory_bytes -= size;
}

/* ---- places -------------------------------------------------------------------------------------------- */

int pc_libp2p_shedding_proven(struct pc_connection *connection)
{
    struct pc_libp2p_host *host = connection->host;
    struct pc_account *peer =
        pc_libp2p_accounts_hold(&host->peers, pc_addr_peer_id_bytes(&connection->id), host->now.mono_us);
    if (!peer)
        return PEERCACHE_ENOMEM;
    connection->peer = peer;
    peer->streams += connection->stream_count;
    peer->memory_bytes += connection->memory_bytes;
    if (!connection->inbound)
        return 0;
    peer->connections++;
    if (is_over(peer->connections, host->options.limits.connections_per_peer))
        shed(connection, PC_SHED_CONNECTIONS_PEER, PC_LIBP2P_CODE_RESOURCE_LIMIT);
    return 0;
}

void pc_libp2p_shedding_departed(struct pc_connection *connection)
{
    struct pc_libp2p_host *host = connection->host;
    if (connection->inbound)
        connection->group->connections--;
    if (connection->inbound && connection->peer)
        connection->peer->connections--;
    pc_libp2p_accounts_let_go(&host->peers, connection->peer, host->now.mono_us);
    connection->peer = NULL;
}

static uint64_t greed_of(const struct pc_connection *connection)
{
    return over_now(connection) + connection->memory_bytes / PC_GREED_UNIT;
}

/* Who would go, and why; NULL: nobody. */
static struct pc_connection *choose(struct pc_libp2p_host *host, uint32_t group_connections,
                                    enum pc_libp2p_shed *ret_reason)
{
    struct pc_connection *greediest = NULL;
    struct pc_connection *crowded = NULL;
    uint64_t most = PC_GREED_LEAST - 1;
    uint32_t crowd = group_connections + 1;
    for (size_t looked = 0; looked < PC_SHEDDING_LOOK && looked < host->alive_count; looked++) {
        struct pc_connection *connection = host->hand ? host->hand : host->connections;
        host->hand = connection->next;
        if (!connection->inbound || connection->kept || connection->state == PC_CONNECTION_LINGERING)
            continue;
        uint64_t greed = greed_of(connection);
        if (greed > most) {
            most = greed;
            greediest = connection;
        }
        if (connection->group->connections > crowd) {
            crowd = connection->group->connections;
            crowded = connection;
        }
    }
    *ret_reason = greediest ? PC_SHED_GREEDY : PC_SHED_CROWDED;
    return greediest ? greediest : crowded;
}

bool pc_libp2p_shedding_has_room(struct pc_libp2p_host *host, uint32_t group_connections)
{
    enum pc_libp2p_shed unused;
    return choose(host, group_connections, &unused) != NULL;
}

bool pc_libp2p_shedding_make_room(struct pc_libp2p_host *host, uint32_t group_connections)
{
    enum pc_libp2p_shed reason;
    struct pc_connection *victim = choose(host, group_connections, &reason);
    if (!victim)
        return false;
    shed(victim, reason, PC_LIBP2P_CODE_RESOURCE_LIMIT);
    pc_libp2p_connection_settle(victim, 0);
    return true;
}
