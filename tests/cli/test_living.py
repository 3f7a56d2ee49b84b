"""Nodes that live: what they save and when, what they take in of what others saved, what signals do to them, and a network
that was cut in two and heals."""
import os
import time

from harness import WAIT_S, Node, case, expect, main, run
from joining import cached_ids
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


main()
