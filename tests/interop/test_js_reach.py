"""js-libp2p and reachability, in networks of their own: it sees our identify-push and we see its; its AutoNAT v2 makes a node of
mode auto a server. Arguments: the binary, a directory for npm's packages."""
import contextlib
import time

from swarm import Swarm, harness
from harness import case  # found by the path that the swarm has set
from namespace import Machine
from reaching import AUTO, PATIENCE_S, SERVERS, Public, PublicServing, announced, listen

PUSH = '/ipfs/id/push/1.0.0'


class LocalServing(PublicServing):
    NODE = type('Local', (Public,), {'COMMAND': ('run', '--local', '--no-cache')})


def until(look, holds):
    end = time.monotonic() + PATIENCE_S
    while True:
        seen = look()
        if holds(seen):
            return seen
        assert time.monotonic() < end, seen
        time.sleep(0.1)


@contextlib.contextmanager
def machine_with(*ips):
    with contextlib.ExitStack() as stack:
        machine = Machine(stack)
        machine.ip('link set lo up')
        for ip in ips:
            machine.ip('addr add %s/32 dev lo' % ip)
        yield stack, machine


@case
def changes_are_pushed_both_ways(place):
    with machine_with() as (stack, machine):
        with machine.inside():
            swarm = stack.enter_context(Swarm(2, push=True))
        node = stack.enter_context(LocalServing(machine, place, '--listen', '/ip4/0.0.0.0/udp/0/quic-v1'))
        dialed = swarm.ask(cmd='dial', index=0, addr=node.addr, force=True)
        assert PUSH in dialed['protocols'], dialed
        assert swarm.ask(cmd='known', index=0, id=node.id)['signed'], 'our signed record was not believed'
        node.until(lambda status: status['table']['peers'] >= 1)

        # An address more: nothing but a push tells it over this connection.
        machine.ip('addr add 127.9.9.9/8 dev lo')
        port = node.addr.split('/udp/')[1].split('/')[0]
        wanted = '/ip4/127.9.9.9/udp/%s/quic-v1' % port
        known = until(lambda: swarm.ask(cmd='known', index=0, id=node.id), lambda known: wanted in known['addrs'])
        assert known['signed'] and '/ipfs/kad/1.0.0' in known['protocols'], known

        # The js node ceases to serve: it leaves our table, and its connection stays.
        before = node.status()
        swarm.ask(cmd='client', index=0)
        after = node.until(lambda status: status['table']['peers'] == before['table']['peers'] - 1)
        assert after['connections']['inbound'] >= 1, after


@case
def autonat_of_js_proves_our_address(place):
    with machine_with(*SERVERS, AUTO) as (stack, machine):
        with machine.inside():
            swarm = stack.enter_context(Swarm(len(SERVERS), push=True, listen=SERVERS))
        peers = [word for index in range(len(SERVERS)) for word in ('--peer', swarm.addr(index))]
        node = stack.enter_context(PublicServing(machine, place, *listen(AUTO), '--kad-protocol', '/ipfs/kad/1.0.0', *peers))
        status = node.until(lambda status: status['serves'])
        assert status['reachability'] == 'public' and announced(status) == ['/ip4/%s/udp/4001/quic-v1' % AUTO], status
        # They were told that it serves.
        for index in range(len(SERVERS)):
            until(lambda at=index: swarm.ask(cmd='known', index=at, id=node.id),
                  lambda known: '/ipfs/kad/1.0.0' in known['protocols'])


if __name__ == '__main__':
    harness.main()
