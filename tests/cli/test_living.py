"""Nodes that live: what they save and when, what they take in of what others saved, what signals do to them, and a network
that was cut in two and heals."""
import json
import os
import time

from harness import STRANGER, WAIT_S, Node, case, expect, main, run
from joining import cached_ids, describe, network
from serving import Serving


def until(what, condition):
    """Ask again and again until it is so; it may cost the machine its time, not the test its worth."""
    deadline = time.monotonic() + WAIT_S
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, 'never: ' + what
        time.sleep(0.05)


def known_to(node):
    """The ids of the peers that a node gives to others, its own too."""
    code, body = node.get('/peers?format=text')
    assert code == 200, body
    return {line.rsplit('/', 1)[1] for line in body.split()}


def cached_ids_of(place, cache):
    """With an id."""
    result = run(place, 'list', '--local', '--json', '--cache', cache)
    return {peer['id'] for peer in result.json()} if result.code == 0 else set()


@case
def saves_on_schedule_without_a_stop(place):
    cache = os.path.join(place, 'peers.db')
    with Node(place, '--no-cache') as other, Node(place, '--cache', cache, '--save-period', '1s') as node:
        # what comes in by itself, long after the join, is there while the node runs
        run(place, 'ping', '--local', '--count', '1', node.addr)
        with Node(place, '--no-cache', '--peer', node.addr) as late:
            until('the late peer is saved', lambda: os.path.exists(cache) and late.id in cached_ids(place, cache))
            assert other.id not in cached_ids(place, cache)
        assert node.stop() == 0


@case
def takes_in_what_another_process_learnt(place):
    cache = os.path.join(place, 'peers.db')
    flags = ['--cache', cache, '--save-period', '1s']
    with Node(place, '--no-cache') as third, Serving(place, *flags, '--new-network') as quiet:
        assert third.id not in known_to(quiet)
        with Node(place, *flags, '--peer', third.addr) as learner:
            until('taken in', lambda: third.id in known_to(quiet))
            assert learner.stop() == 0
        assert quiet.node.stop() == 0


@case
def takes_in_bans_and_removals(place):
    cache = os.path.join(place, 'peers.db')
    with Node(place, '--no-cache') as third:
        with Serving(place, '--cache', cache, '--save-period', '1s', '--new-network', '--ignore-cache') as node:
            expect(run(place, 'add', '--local', '--cache', cache, third.addr), 0)
            until('taken in', lambda: third.id in known_to(node))
            expect(run(place, 'remove', '--local', '--cache', cache, third.id), 0)
            until('its removal too', lambda: third.id not in known_to(node))
            assert node.node.stop() == 0


@case
def neither_ourselves_nor_peers_of_another_network_enter_the_cache(place):
    cache = os.path.join(place, 'peers.db')
    flags = ['--cache', cache, '--save-period', '1s', '--refresh-period', '1s']
    with Node(place, '--no-cache') as friend, Serving(place, *flags, '--peer', friend.addr) as node, \
            Serving(place, '--no-cache', '--kad-protocol', '/other/kad/1.0.0', '--peer', node.addr) as foreign:
        assert foreign.event('join')['status'] == 'failed'  # it has dialled ours
        foreign_id = foreign.addr.split('/p2p/')[1]
        with Node(place, *flags, '--peer', node.addr, '--peer', foreign.addr) as second:  # and has been dialled
            until('the others are saved', lambda: cached_ids_of(place, cache) >= {friend.id, second.id})
            assert foreign_id not in known_to(node)
            assert second.stop() == 0
        assert node.node.stop() == 0
        # Each of the two that share the cache is remembered by the other, and the foreign one by none.
        assert cached_ids_of(place, cache) == {friend.id, second.id, node.addr.split('/p2p/')[1]}
    alone = os.path.join(place, 'alone.db')
    with Node(place, '--no-cache') as friend, Node(place, '--cache', alone, '--peer', friend.addr) as node:
        run(place, 'join', '--local', '--no-cache', '--peer', node.addr, '--target-peers', '2')
        until('the friend is saved', lambda: friend.id in cached_ids_of(place, alone))
        assert node.stop() == 0
        assert cached_ids_of(place, alone) == {friend.id}


@case
def finds_peers_by_their_ids(place):
    with network(6) as nodes:
        ids = [node.id for node in nodes]
        result = run(place, 'find', '--local', '--no-cache', '--json', '--target-peers', '1', '--peer', nodes[3].addr, *ids, STRANGER)
        expect(result, 1)
        found = {row['id']: row for row in result.json()}
        assert {i: found[i]['addr'] for i in ids} == {node.id: node.addr for node in nodes}, found
        assert found[STRANGER]['code'] == 'unreachable' and found[STRANGER]['detail'], found
        nodes[5].kill()
        result = run(place, 'find', '--local', '--no-cache', '--peer', nodes[0].addr, '--target-peers', '1', ids[5], ids[1])
        expect(result, 1, '%s: refused' % ids[5])
        assert result.out == nodes[1].addr + '\n', str(result)
    expect(run(place, 'find', '--local', '--no-cache', 'QmBad'), 2, 'QmBad')
    expect(run(place, 'find', '--local', '--no-cache', STRANGER), 1, 'no_sources')


@case
def endpoints_beyond_the_bound_are_told(place):
    describe(place, 'crowded', 'kad_protocol = /x/kad/1.0.0', *['endpoint = http://127.0.0.1:9/%d' % i for i in range(30)])
    given = [word for i in range(5) for word in ('--endpoint', 'http://127.0.0.1:9/given/%d' % i)]
    with Node(place, '--network', 'crowded', '--no-cache', *given) as node:
        assert node.stop() == 0
    assert 'endpoints of the network' not in node.err, node.err  # in local mode those are not used
    result = run(place, 'join', '--network', 'crowded', '--no-cache', '--timeout', '1s', *given)
    expect(result, 1, '3 endpoints of the network are not asked: 32 are')


@case
def a_cache_that_was_lost_and_begun_anew_is_healthy_again(place):
    cache = os.path.join(place, 'peers.db')
    names = ['/ip4/127.%d.%d.1/udp/4001/quic-v1' % (i // 250 + 1, i % 250) for i in range(2000)]
    expect(run(place, 'add', '--local', '--cache', cache, *names), 0)
    pages = os.path.getsize(cache) // 4096
    with open(cache, 'r+b') as file:  # what is read first is sound, most of the rest is not
        for page in range(pages // 2, pages):
            file.seek(page * 4096)
            file.write(b'\xa5' * 4096)
    with Node(place, '--no-cache') as other, Serving(place, '--cache', cache, '--save-period', '1s', '--peer', other.addr) as node:
        until('healthy', lambda: json.loads(node.get('/status.json')[1])['store']['is_healthy'])
        until('saved', lambda: other.id in cached_ids_of(place, cache))
        assert node.node.stop() == 0, node.node.err


main()
