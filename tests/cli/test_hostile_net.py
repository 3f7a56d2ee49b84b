"""A node among peers that mean no good: floods of connections, handshakes and requests, readers that don't read, answers with
10,000 peers, peers of another network, one host posing as 1,000 ids. It is in a network of its own with public addresses, where
the limits per group bite: it goes on answering honest peers, its memory stays within what its limits add up to, and its table is
diverse. The second argument is the program that misbehaves (hostile_peer.c); it ends by itself."""
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time

from harness import PEERCACHE, WAIT_S, Node, case, environment, expect, main, run
from namespace import NEAR, Cable
from servers import die_with_parent

HOSTILE = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else None
VICTIM = '51.1.0.1'
HONEST = ['51.20.0.1', '51.21.0.1']
EVIL = ['51.66.0.%d' % i for i in range(1, 5)]  # one group
FLOOD_S = 6

# docs/limits.md: a node with the default marks, of one group
GROUP_CONNECTIONS = (2 * 384 + 64) // 4
GROUP_BUFFERED = 16 << 20
CONNECTION = 64 << 10
HANDSHAKE = 192 << 10  # with its TLS session, until it is done
REST = 32 << 20  # the node's own: what a first lookup, a cache in memory and the heap take at any load
with open(PEERCACHE, 'rb') as binary:
    SANITIZED = b'__asan_init' in binary.read()


class Victim(Node):
    """A server with default limits, at the far end; its status is read over a socket in the file system."""

    COMMAND = ('run', '--mode', 'server', '--no-cache')

    def __init__(self, place, *arguments):
        self.path = os.path.join(place, 'http')
        env = environment(place, ASAN_OPTIONS='quarantine_size_mb=1:malloc_context_size=2')
        super().__init__(place, '--listen', '/ip4/%s/udp/4001/quic-v1' % VICTIM, '--http', 'unix:' + self.path,
                         *arguments, env=env)

    def status(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(WAIT_S)
            s.connect(self.path)
            s.sendall(b'GET /status.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
            data = b''
            while True:
                more = s.recv(65536)
                if not more:
                    break
                data += more
        return json.loads(data.split(b'\r\n\r\n', 1)[1])

    def resident(self):
        with open('/proc/%d/status' % self.process.pid, encoding='ascii') as file:
            return int(re.search(r'VmRSS:\s+(\d+) kB', file.read()).group(1)) << 10


class Hostile:
    """The program that misbehaves, in the background for so many seconds."""

    def __init__(self, habit, target, seconds, count, ips):
        self.process = subprocess.Popen([HOSTILE, habit, target, str(seconds), str(count), *ips],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=die_with_parent)
        self.id, self.port = self.process.stdout.readline().decode().split()

    def end(self):
        """What its peers met."""
        out, err = self.process.communicate(timeout=2 * WAIT_S)
        assert self.process.returncode == 0, (self.process.returncode, err.decode())
        return json.loads(out)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=WAIT_S)


class World:
    """The victim at the far end; at the near end all others, where a command that names no address is honest."""

    def __init__(self, stack, place):
        self.stack, self.place = stack, place
        self.cable = Cable(stack)
        for ip in HONEST + EVIL:
            self.cable.near.ip('addr add %s/8 dev %s' % (ip, NEAR))
        self.cable.far.ip('addr add %s/8 dev there' % VICTIM)
        self.cable.plug_in()
        self.cable.near.ip('route replace %s/32 dev %s src %s' % (VICTIM, NEAR, HONEST[0]))

    def victim(self, *arguments):
        with self.cable.far.inside():
            return self.stack.enter_context(Victim(self.place, *arguments))

    def hostile(self, habit, target, seconds, count, ips=None):
        with self.cable.near.inside():
            hostile = Hostile(habit, target, seconds, count, ips or EVIL)
        self.stack.callback(hostile.stop)
        return hostile

    def honest_node(self, index, *arguments):
        with self.cable.near.inside():
            return self.stack.enter_context(HonestNode(self.place, '--no-cache', '--listen',
                                                       '/ip4/%s/udp/4001/quic-v1' % HONEST[index], *arguments))

    def honest(self, *arguments):
        with self.cable.near.inside():
            return run(self.place, *arguments)


class HonestNode(Node):
    COMMAND = ('run', '--mode', 'server')


@contextlib.contextmanager
def world(place):
    with contextlib.ExitStack() as stack:
        yield World(stack, place)


def address(node):
    return '/ip4/%s/udp/4001/quic-v1/p2p/%s' % (VICTIM, node.id)


def target(node):
    return '%s:4001/%s' % (VICTIM, node.id)


def turned_away(status):
    return {reason: count for reason, count in status['turned_away'].items() if count > 0}


def bound(before):
    """What one group may make a node hold, beside what it held before; the sanitizer triples it."""
    more = GROUP_CONNECTIONS * max(CONNECTION, HANDSHAKE) + GROUP_BUFFERED + REST
    return before + more * (3 if SANITIZED else 1)


def survives(place, *floods):
    """An honest peer is answered while all of these go on, and memory keeps its bound; returns what was counted at the end."""
    with world(place) as w:
        node = w.victim()
        before = node.resident()
        hostile = [w.hostile(habit, target(node), FLOOD_S, count) for habit, count in floods]
        answered = most = looks = 0
        while any(one.process.poll() is None for one in hostile) or looks == 0:
            looks += 1
            result = w.honest('ping', '--json', '--count', '1', address(node))
            expect(result, 0)
            answered += 1
            most = max(most, node.resident())
            status = node.status()
            assert status['connections']['inbound'] <= GROUP_CONNECTIONS + 10, status['connections']
            assert status['load']['buffered_bytes'] <= 2 * GROUP_BUFFERED, status['load']
        met = [one.end() for one in hostile]
        print('# %s: an honest peer was answered %d of %d times; %d MB, %d before; met %s; turned away %s'
              % (floods, answered, looks, most >> 20, before >> 20, met, turned_away(status)), flush=True)
        assert most <= bound(before), (most, before, bound(before))
        join = w.honest('join', '--json', '--no-cache', '--no-walk', '--target-peers', '1', '--peer', address(node))
        expect(join, 0)
        assert node.stop() == 0
        return met, status


@case
def a_flood_of_connections(place):
    (churn,), status = survives(place, ('churn', 16))
    assert churn['opened'] > 0, churn
    # as many handshakes as its group may make, and no more: 256 at once and 32 a second
    assert churn['opened'] <= 256 + 32 * (FLOOD_S + 6), (churn, status['turned_away'])


@case
def a_flood_of_half_done_handshakes(place):
    (stall,), status = survives(place, ('stall', 200))
    assert stall['opened'] == 0 and stall['dialled'] >= 200, stall
    assert status['turned_away']['half_open_group'] > 0 and status['turned_away']['retries_sent'] > 0, status['turned_away']


@case
def a_flood_of_requests_and_of_streams(place):
    (ask, mute), status = survives(place, ('ask', 8), ('mute', 8))
    # of a group 8,000 at once and 4,000 a second
    assert 0 < ask['answered'] <= 8000 + 4000 * (FLOOD_S + 6), (ask, status['turned_away'])
    assert mute['opened'] > 0 and mute['answered'] == 0, mute


@case
def all_at_once(place):
    survives(place, ('churn', 8), ('stall', 100), ('ask', 4), ('mute', 4), ('foreign', 50))


def table_of(status):
    return status['table']['peers'], [bucket['peers'] for bucket in status['table']['buckets']]


def wait_for(what, node, wanted):
    until = time.monotonic() + WAIT_S
    while True:
        status = node.status()
        if wanted(status):
            return status
        assert time.monotonic() < until, (what, status)
        time.sleep(0.05)


@case
def one_host_posing_as_a_thousand(place):
    with world(place) as w:
        honest = [w.honest_node(0)]
        honest.append(w.honest_node(1, '--peer', honest[0].addr))
        node = w.victim('--peer', honest[0].addr)
        wait_for('the honest in the table', node, lambda status: status['table']['peers'] == 2)
        before = node.resident()
        hostile = w.hostile('pose', target(node), 12, 1000)
        most = 0
        while hostile.process.poll() is None:
            status = node.status()
            most = max(most, node.resident())
            peers, buckets = table_of(status)
            assert 2 <= peers <= 2 + 3, status['table']  # both honest ones, and three of one group
            assert max(buckets) <= 2 + 2, status['table']
            expect(w.honest('ping', '--json', '--count', '1', address(node)), 0)
        met = hostile.end()
        print('# 1000 ids: %d MB, %d before; met %s; turned away %s'
              % (most >> 20, before >> 20, met, turned_away(status)), flush=True)
        assert met['opened'] >= 100 and met['asked'] > 0, met
        assert most <= bound(before), (most, before)
        # what it tells others of is as diverse: the honest ones are among it
        join = w.honest('join', '--json', '--no-cache', '--target-peers', '1', '--peer', address(node))
        expect(join, 0)
        for one in (node, *honest):
            assert one.stop() == 0


@case
def answers_with_ten_thousand_peers(place):
    with world(place) as w:
        boaster = w.hostile('boast', '-', 20, 1, EVIL[:1])
        node = w.victim('--peer', '/ip4/%s/udp/%s/quic-v1/p2p/%s' % (EVIL[0], boaster.port, boaster.id))
        honest = w.honest_node(0, '--peer', address(node))
        # who answers so much breaks a limit of the protocol: it leaves the table, the honest one stays
        status = wait_for('the honest alone', node, lambda status: status['table']['peers'] == 1
                          and status['join']['verified'] >= 1)
        assert status['cache']['new'] + status['cache']['tried'] < 100, status['cache']
        boaster.process.terminate()
        met = boaster.end()
        assert met['asked'] > 0, met
        peers = w.honest('join', '--json', '--no-cache', '--target-peers', '1', '--peer', honest.addr)
        expect(peers, 0)
        assert node.stop() == 0 and honest.stop() == 0


@case
def peers_of_another_network(place):
    with world(place) as w:
        node = w.victim()
        foreign = w.hostile('foreign', target(node), 5, 100)
        honest = w.honest_node(0, '--peer', address(node))
        wait_for('the honest', node, lambda status: status['table']['peers'] == 1)
        while foreign.process.poll() is None:
            status = node.status()
            assert status['table']['peers'] == 1, status['table']
            expect(w.honest('ping', '--json', '--count', '1', address(node)), 0)
        met = foreign.end()
        assert met['opened'] > 0 and met['asked'] == 0, met  # nobody asks them anything
        assert status['cache']['new'] + status['cache']['tried'] <= 1, status['cache']
        assert node.stop() == 0 and honest.stop() == 0


main()
