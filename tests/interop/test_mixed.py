"""A network half of js-libp2p nodes and half of ours: each finds every other by its id, whichever asks, also when some of both
kinds have come back elsewhere; and lists of peers that a node of ours gives serve both kinds. Arguments as of test_js.py."""
import contextlib
import os
import time

from swarm import Swarm, harness
from harness import case, run  # found by the path that the swarm has set
from serving import Serving

JS = 10
OURS = 10
FLAGS = ('--no-cache',)


class Mixed:
    """Both kinds, by the ids under which and the addresses at which they are now."""

    def __init__(self, place, stack):
        self.place = place
        self.stack = stack
        self.swarm = stack.enter_context(Swarm(JS))
        self.js = {node['id']: (index, node['addrs'][0]) for index, node in enumerate(self.swarm.nodes)}
        self.ours = [self.run(index, self.swarm.addr(index % JS)) for index in range(OURS)]

    def run(self, index, through):
        return self.stack.enter_context(harness.Node(self.place, *FLAGS, '--peer', through, '--key',
                                                     os.path.join(self.place, 'key-%d' % index)))

    def addrs(self):
        """id -> address, without the id"""
        where = {peer: addr for peer, (_, addr) in self.js.items()}
        where.update({node.id: node.addr for node in self.ours})
        return {peer: addr.split('/p2p/')[0] for peer, addr in where.items()}

    def js_misses(self):
        """Whom a js node does not find where it is: (who asks, whom)."""
        addrs, misses = self.addrs(), []
        for asker, (index, _) in self.js.items():
            for sought in addrs:
                if sought == asker:
                    continue
                try:
                    found = self.swarm.ask(cmd='find', index=index, id=sought)
                except AssertionError:
                    misses.append((index, sought))
                    continue
                if not any(addr.startswith(addrs[sought]) for addr in found['addrs']):
                    misses.append((index, sought, found['addrs']))
        return misses

    def our_misses(self):
        """The same of a client that knows nobody but one of our nodes."""
        addrs, misses = self.addrs(), []
        for node in self.ours:
            sought = [peer for peer in addrs if peer != node.id]
            result = run(self.place, 'find', '--local', '--no-cache', '--json', '--target-peers', '1', '--peer', node.addr, *sought)
            assert result.code in (0, 1), str(result)
            found = {row['id']: row.get('addr', row.get('code')) for row in result.json()}
            assert sorted(found) == sorted(sought), str(result)
            misses += [(node.id, peer, found[peer]) for peer in sought if not found[peer].startswith(addrs[peer])]
        return misses

    def each_finds_every_other(self):
        """At once or soon: who has just come is not yet in all tables."""
        deadline = time.monotonic() + 2 * harness.WAIT_S
        for ask in self.our_misses, self.js_misses:
            misses = ask()
            while misses:
                assert time.monotonic() < deadline, '%d not found: %s' % (len(misses), misses[:5])
                misses = ask()


@case
def each_finds_every_other_by_id_whichever_asks(place):
    with contextlib.ExitStack() as stack:
        mixed = Mixed(place, stack)
        mixed.each_finds_every_other()

        # Three of each go, and come back under their ids at other ports, each through one of the other kind.
        for index in (0, 4, 8):
            mixed.swarm.ask(cmd='stop', index=index)
            assert mixed.ours[index].stop() == 0, mixed.ours[index].err
        for index in (0, 4, 8):
            before = mixed.ours[index].id
            mixed.ours[index] = mixed.run(index, mixed.swarm.addr(index + 1))
            assert mixed.ours[index].id == before
            started = mixed.swarm.ask(cmd='start', index=index, addr=mixed.ours[index + 1].addr)
            assert mixed.js[started['id']][0] == index
            mixed.js[started['id']] = (index, started['addrs'][0])
        mixed.each_finds_every_other()
        for node in mixed.ours:
            assert node.stop() == 0, node.err


def found_soon(stranger, sought):
    """On a busy machine a question of js may come to nothing: it is asked again."""
    deadline = time.monotonic() + 2 * harness.WAIT_S
    while True:
        try:
            found = stranger.ask(cmd='find', index=0, id=sought)
        except AssertionError:
            if time.monotonic() >= deadline:
                raise
            continue
        assert found['id'] == sought, found
        return


@case
def a_list_of_ours_serves_both_kinds(place):
    with Swarm(5) as swarm, Serving(place, *FLAGS, '--peer', swarm.addr(0)) as server:
        ids = {node['id'] for node in swarm.nodes} | {server.addr.split('/p2p/')[1]}
        deadline = time.monotonic() + harness.WAIT_S
        while {line.split('/p2p/')[1] for line in server.get('/peers?format=text')[1].split()} != ids:
            assert time.monotonic() < deadline, server.get('/peers?format=text')
        url = 'http://%s/peers' % server.where
        result = run(place, 'join', '--local', '--no-cache', '--json', '--endpoint', url)
        assert result.code == 0, str(result)
        report = result.json()
        assert report['status'] == 'joined' and {peer['id'] for peer in report['peers']} <= ids, report
        assert {peer['via'] for peer in report['peers']} <= {'endpoint', 'dht'}, report
        assert report['endpoints'][0]['delivered'] == 6, report
        with Swarm(1) as stranger: # js, which has met nobody
            told = stranger.ask(cmd='bootstrap', index=0, url=url + '?format=text')
            assert told['listed'] == 6 and told['connected'] == 6, told
            for sought in ids:
                found_soon(stranger, sought)
        assert server.node.stop() == 0


if __name__ == '__main__':
    harness.main()
