"""Mode auto between networks: who can be reached becomes a server, who is behind a NAT stays a client in nobody's table."""
import contextlib

from harness import case, expect, main, run
from namespace import Machine
from nat import Nat
from reaching import AUTO, PORT, ROUTER, SERVERS, PublicServing, announced, listen

@contextlib.contextmanager
def internet(place):
    """A machine with all the public addresses, and four servers on it that know each other."""
    with contextlib.ExitStack() as stack:
        machine = Machine(stack)
        machine.ip('link set lo up')
        for ip in SERVERS + [AUTO]:
            machine.ip('addr add %s/32 dev lo' % ip)
        servers = []
        for ip in SERVERS:
            first = ['--peer', servers[0].addr] if servers else ['--new-network']
            servers.append(stack.enter_context(PublicServing(machine, place, '--mode', 'server', *listen(ip), *first)))
        for server in servers:
            server.until(lambda status: status['table']['peers'] == len(SERVERS) - 1)
        yield stack, machine, servers


def crawled(machine, place, servers):
    """The ids that a crawl from outside finds."""
    with machine.inside():
        result = run(place, 'crawl', '--no-cache', '--network', 'reach', '--kad-protocol', '/reach/kad/1.0.0', '--format', 'text',
                     '--peer', servers[0].addr, '--timeout', '20s')
    expect(result, 0)
    return {line.split('/p2p/')[1] for line in result.out.split() if '/p2p/' in line}


@case
def who_can_be_reached_becomes_a_server(place):
    with internet(place) as (stack, machine, servers):
        peers = [word for server in servers for word in ('--peer', server.addr)]
        auto = stack.enter_context(PublicServing(machine, place, *listen(AUTO), *peers))
        status = auto.until(lambda status: status['serves'])
        assert status['mode'] == 'auto' and status['reachability'] == 'public', status
        assert announced(status) == ['/ip4/%s/udp/%d/quic-v1' % (AUTO, PORT)], status
        # They were told, over the connections that were open already.
        for server in servers:
            server.until(lambda status: status['table']['peers'] == len(SERVERS))
        assert auto.id in crawled(machine, place, servers)


@case
def behind_a_nat_it_stays_a_client(place):
    with internet(place) as (stack, machine, servers):
        nat = Nat(stack, machine, ROUTER)
        peers = [word for server in servers for word in ('--peer', server.addr)]
        auto = stack.enter_context(PublicServing(nat.inside, place, *listen('10.77.0.2'), *peers))
        status = auto.until(lambda status: status['reachability'] == 'private')
        assert not status['serves'] and status['announced'] == [] and status['mode'] == 'auto', status
        assert status['status'] in ('joined', 'degraded') and status['table']['peers'] == len(SERVERS), status
        for server in servers:
            assert server.status()['table']['peers'] == len(SERVERS) - 1, server.status()
        assert auto.id not in crawled(machine, place, servers)


@case
def behind_a_nat_that_forwards_its_port_it_serves_where_that_leads(place):
    with internet(place) as (stack, machine, servers):
        nat = Nat(stack, machine, ROUTER)
        nat.forward(PORT)
        peers = [word for server in servers for word in ('--peer', server.addr)]
        outside = '/ip4/%s/udp/%d/quic-v1' % (ROUTER, PORT)
        auto = stack.enter_context(PublicServing(nat.inside, place, *listen('10.77.0.2'), '--announce', outside, *peers))
        status = auto.until(lambda status: status['serves'])
        assert announced(status) == [outside], status
        for server in servers:
            server.until(lambda status: status['table']['peers'] == len(SERVERS))
        assert auto.id in crawled(machine, place, servers)


main()
