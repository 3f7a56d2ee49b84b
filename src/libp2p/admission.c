/* Who may become an inbound connection: admission.h. */
#include "libp2p/admission.h"

#include "libp2p/connection.h"
#include "libp2p/loose.h"

void pc_libp2p_admission_enter(struct pc_connection *connection)
{
    struct pc_libp2p_host *host = connection->host;
    connection->half_open = true;
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
    connection->host->half_open_count--;
}

bool pc_libp2p_admission_full(const struct pc_libp2p_host *host)
{
    return host->alive_count >= host->options.connections_max;
}

bool pc_libp2p_admission_displace(struct pc_libp2p_host *host)
{
    if (!host->half_open_first)
        return false;
    pc_base_log(host->options.log, PC_LOG_DEBUG, "libp2p", "a half-open inbound connection was displaced");
    pc_libp2p_connection_free(host->half_open_first);
    return true;
}

static bool many_half_open(const struct pc_libp2p_host *host)
{
    size_t limit = host->options.connections_max / PC_LIBP2P_HALF_OPEN_PART;
    return host->half_open_count >= (limit > 0 ? limit : 1);
}

static void receive_unvalidated(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                                const ngtcp2_pkt_hd *header)
{
    bool full = pc_libp2p_admission_full(host);
    if (full && !host->half_open_first) /* a token would not help either */
        pc_libp2p_loose_refusal(host, datagram, header, NGTCP2_CONNECTION_REFUSED);
    else if (full || many_half_open(host))
        pc_libp2p_loose_retry(host, datagram, header);
    else
        pc_libp2p_connection_accept(host, datagram, header, NULL);
}

void pc_libp2p_admission_initial(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                                 const ngtcp2_pkt_hd *header)
{
    ngtcp2_cid original;
    switch (pc_libp2p_loose_check_token(host, datagram, header, &original)) {
    case PC_RETRY_TOKEN_NONE:
        receive_unvalidated(host, datagram, header);
        break;
    case PC_RETRY_TOKEN_VALID:
        if (pc_libp2p_admission_full(host) && !pc_libp2p_admission_displace(host))
            pc_libp2p_loose_refusal(host, datagram, header, NGTCP2_CONNECTION_REFUSED);
        else
            pc_libp2p_connection_accept(host, datagram, header, &original);
        break;
    case PC_RETRY_TOKEN_INVALID:
        pc_libp2p_loose_refusal(host, datagram, header, NGTCP2_INVALID_TOKEN);
        break;
    }
}
