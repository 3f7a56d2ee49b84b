"""Machines with IPv4 only, IPv6 only, and no network at all, as network namespaces: what is dialled, what is held against
the peers, and what a living node does once there is a network."""
import contextlib
import json
import os
import signal
import subprocess

from harness import PEERCACHE, STRANGER, WAIT_S, Node, case, environment, expect, main, run
from joining import asking, body_of
from namespace import Cable, Machine, without_ip6
from servers import Web

IP4, IP6 = ('203.0.114.1', '203.0.114.2'), ('2a00:1234::1', '2a00:1234::2')
DEAD4, DEAD6 = '/ip4/198.51.101.1/udp/4001/quic-v1/p2p/', '/ip6/2a00:4321::1/udp/4001/quic-v1/p2p/'
OTHER = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'


@contextlib.contextmanager
def world(place, ip4=True, ip6=True):
    """A cable, and at the near end a node on both families; the far end has those that are wanted."""
    with contextlib.ExitStack() as stack:
        cable = Cable(stack)
        cable.near.ip('addr add %s/24 dev here' % IP4[0])
        cable.near.ip('addr add %s/64 dev here nodad' % IP6[0])
        if ip4:
            cable.far.ip('addr add %s/24 dev there' % IP4[1])
        if ip6:
            cable.far.ip('addr add %s/64 dev there nodad' % IP6[1])
        with cable.near.inside():
            node = stack.enter_context(PublicNode(place, '--no-cache', '--listen', '/ip4/%s/udp/4001/quic-v1' % IP4[0],
                                                  '--listen', '/ip6/%s/udp/4001/quic-v1' % IP6[0]))
        yield cable, node


class PublicNode(Node):
    """Outside of local mode, at public addresses; the network's description names nobody."""

    COMMAND = ('run', '--mode', 'server')


def far_join(cable, place, *arguments, code=0):
    with cable.far.inside():
        result = run(place, 'join', '--json', '--no-walk', '--target-peers', '1', *arguments)
    assert result.code == code, 'expected exit %d: %s' % (code, result)
    return result.json()


def addrs_of(node):
    return ['/ip4/%s/udp/4001/quic-v1/p2p/%s' % (IP4[0], node.id), '/ip6/%s/udp/4001/quic-v1/p2p/%s' % (IP6[0], node.id)]


def cached(place, cache):
    result = run(place, 'list', '--json', '--cache', cache)
    expect(result, 0)
    return {peer['id']: peer for peer in result.json()}


def failures(peers):
    return sum(addr['failure_count'] for peer in peers.values() for addr in peer['addrs'])


def one_family(place, family):
    """The other one is not dialled, and nothing is held against its addresses."""
    cache = os.path.join(place, 'c.db')
    with world(place, ip4=family == 4, ip6=family == 6) as (cable, node):
        cable.plug_in()
        dead = DEAD6 if family == 4 else DEAD4
        expect(run(place, 'add', '--cache', cache, dead + STRANGER, dead + OTHER, *addrs_of(node)), 0)
        report = far_join(cable, place, '--cache', cache)
    assert report['local']['ip4'] == (family == 4) and report['local']['ip6'] == (family == 6), report
    peer, = report['peers']
    assert peer['addr'].startswith('/ip%d/' % family) and peer['via'] == 'cache', report
    assert report['dialed'] == 1 and report['failures'] == [], report
    assert failures(cached(place, cache)) == 0, cached(place, cache)


@case
def ip4_only(place):
    one_family(place, 4)


@case
def ip6_only(place):
    one_family(place, 6)


@case
def an_endpoint_over_ip6_only(place):
    with world(place, ip4=False) as (cable, node), contextlib.ExitStack() as stack:
        cable.plug_in()
        with cable.near.inside():
            web = Web(stack, place, hosts=['[%s]' % IP6[0]])
        web.put('peers.json', body_of(addrs_of(node)))
        report = far_join(cable, place, '--no-cache', *asking('http://[%s]:%d/peers.json' % (IP6[0], web.http)))
    assert report['peers'][0]['addr'].startswith('/ip6/'), report
    assert report['endpoints'][0]['delivered'] == 2 and report['dialed'] == 1, report


@case
def no_network_is_nobodys_fault(place):
    """Neither dials nor fetches are held against peers or endpoints."""
    cache = os.path.join(place, 'c.db')
    url = 'http://%s/peers.json' % IP4[0]
    with world(place) as (cable, node):
        expect(run(place, 'add', '--cache', cache, DEAD4 + STRANGER, *addrs_of(node)), 0)
        before = cached(place, cache)
        for _ in range(5):
            report = far_join(cable, place, '--cache', cache, '--timeout', '500ms', *asking(url), '--peer', DEAD6 + OTHER, code=1)
            assert report['cause'] == 'offline' and not report['local']['ip4'] and not report['local']['ip6'], report
        after = cached(place, cache)
        assert {i: peer for i, peer in after.items() if i != OTHER} == before, (before, after)
        assert failures(after) == 0, after
        row, = [r for r in run(place, 'endpoints', '--json', '--cache', cache, *asking(url)).json()]
        assert row['breaker'] == 'closed' and row['next_try_ms'] == 0, row


@case
def a_node_that_began_offline_joins_once_there_is_a_network(place):
    with world(place) as (cable, node):
        with cable.far.inside():
            late = PublicNode(place, '--no-cache', '--json', '--peer', addrs_of(node)[0])
        with late:
            wait_for(late, lambda event: event['event'] == 'join' and event['cause'] == 'offline')
            cable.plug_in()
            wait_for(late, lambda event: event['event'] == 'join' and event['verified'] == 1)
            assert late.stop() == 0, late.err


@case
def what_a_router_answers_is_told(place):
    """Between the command and the peers: one network is behind no way, the other is forbidden."""
    with world(place, ip6=False) as (cable, node):
        cable.plug_in()
        cable.near.forward_ip4()
        cable.near.ip('route add unreachable 198.51.101.0/24')
        cable.near.ip('route add prohibit 198.51.102.0/24')
        cable.far.ip('route add default via ' + IP4[0])
        report = far_join(cable, place, '--no-cache', '--timeout', '5s', '--target-peers', '3', '--peer', DEAD4 + STRANGER,
                          '--peer', '/ip4/198.51.102.1/udp/4001/quic-v1/p2p/' + OTHER, '--peer', addrs_of(node)[0])
    told = {f['id']: (f['code'], f['detail']) for f in report['failures']}
    assert told == {STRANGER: ('unreachable', 'host is unreachable (ICMP type 3 code 1)'),
                    OTHER: ('unreachable', 'host is unreachable (ICMP type 3 code 13)')}, report


@case
def a_machine_without_ip6_listens_on_ip4_alone(place):
    with contextlib.ExitStack() as stack:
        machine = Machine(stack)
        machine.ip('link set lo up')
        with machine.inside():
            process = subprocess.Popen([PEERCACHE, 'run', '--mode', 'server', '--no-cache', '--json'], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=place, env=environment(place),
                                       preexec_fn=without_ip6)
        events = []
        for line in process.stdout:
            events.append(json.loads(line))
            if events[-1]['event'] == 'join':
                break
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    texts = [event['detail'] for event in events if event['event'] == 'warning']
    assert 'this machine lacks IPv6 or IPv4: the other is listened on alone' in texts, (events, err)


def wait_for(node, wanted):
    while True:
        event = json.loads(node.line())
        if wanted(event):
            return event


main()
