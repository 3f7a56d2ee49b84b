"""What a service manager is told of `peercache run` (the protocol of sd_notify), over real sockets."""
import contextlib
import os
import socket

from harness import WAIT_S, Node, case, environment, expect, main, run
from namespace import Machine


class Manager:
    """The socket of a service manager, and what came over it."""

    def __init__(self, place, abstract=False):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(WAIT_S)
        self.name = '@peercache-test-%d' % os.getpid() if abstract else os.path.join(place, 'notify.sock')
        self.socket.bind('\0' + self.name[1:] if abstract else self.name)
        self.told = []

    def next(self):
        """The next datagram as {variable: value}."""
        lines = self.socket.recv(4096).decode().split('\n')
        assert lines.pop() == '', 'the last line has no end: %s' % lines
        self.told.append(dict(line.split('=', 1) for line in lines))
        return self.told[-1]

    def until(self, variable, value=''):
        """The next one that has a variable, with a value that begins so."""
        while True:
            told = self.next()
            if told.get(variable, '\0').startswith(value):
                return told

    def rest(self):
        """All that came, the process having ended."""
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.next()
        return self.told

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


@case
def ready_when_it_listens_then_joined_then_stopping(place):
    for abstract in False, True:
        with Node(place, '--no-cache') as peer, Manager(place, abstract) as manager, \
                Node(place, '--no-cache', '--peer', peer.addr, env=environment(place, NOTIFY_SOCKET=manager.name)) as node:
            first = manager.next()
            assert first == {'READY': '1', 'STATUS': 'joining'}, first
            assert manager.until('STATUS', 'degraded')['STATUS'].startswith(
                'degraded: 1 of 5 peers verified; 1 connections, 1 in the routing table'), manager.told
            expect(run(place, 'ping', '--local', '--count', '1', node.addr), 0)
            assert node.stop() == 0 and peer.stop() == 0
            told = manager.rest()
            assert [t.get('READY') for t in told].count('1') == 1, told
            assert told[-1] == {'STOPPING': '1', 'STATUS': 'stopping'}, told
            assert not any('WATCHDOG' in t for t in told), told


@case
def alone_it_is_ready_and_says_why_it_is_not_joined(place):
    with Manager(place) as manager, \
            Node(place, '--no-cache', env=environment(place, NOTIFY_SOCKET=manager.name)) as node:
        assert manager.next()['READY'] == '1'
        assert manager.until('STATUS', 'failed')['STATUS'].endswith('; likely cause: no_sources'), manager.told
        assert node.stop() == 0


@case
def offline_is_no_failure_to_start(place):
    with contextlib.ExitStack() as stack:
        machine = Machine(stack)  # not even its loopback is up
        manager = stack.enter_context(Manager(place))
        with machine.inside():
            env = environment(place, NOTIFY_SOCKET=manager.name, STATE_DIRECTORY=os.path.join(place, 'state'))
            node = stack.enter_context(Offline(place, '--json', '--peer', '/ip4/203.0.114.1/udp/4001/quic-v1', env=env))
        assert manager.next()['READY'] == '1'
        manager.until('STATUS', 'failed')
        assert node.stop() == 0
        assert manager.rest()[-1]['STOPPING'] == '1', manager.told
        assert os.path.exists(os.path.join(place, 'state', 'ipfs', 'peers.db'))


class Offline(Node):
    """At public addresses, of which the machine may have none; its first line is any event."""

    COMMAND = ('run',)


@case
def signs_of_life_as_often_as_they_are_asked_for(place):
    with Manager(place) as manager:
        env = environment(place, NOTIFY_SOCKET=manager.name, WATCHDOG_USEC='100000', WATCHDOG_PID='')
        with Node(place, '--no-cache', env=env) as node:
            for _ in range(3):
                manager.until('WATCHDOG', '1')
            assert node.stop() == 0


@case
def signs_of_life_that_are_asked_of_another_process(place):
    with Manager(place) as manager:
        env = environment(place, NOTIFY_SOCKET=manager.name, WATCHDOG_USEC='2000', WATCHDOG_PID=str(os.getpid()))
        with Node(place, '--no-cache', env=env) as node:
            manager.until('STATUS', 'failed')
            expect(run(place, 'ping', '--local', '--count', '2', node.addr), 0)  # a second at least
            assert node.stop() == 0
        assert not any('WATCHDOG' in told for told in manager.rest()), manager.told


@case
def a_manager_that_cannot_be_told(place):
    for wrong, why in ('notify', "'notify' is neither a path nor an abstract name"), ('@', "'@' is neither"), \
            ('/' + 'x' * 108, 'longer than 107'):
        expect(run(place, 'run', '--local', '--no-cache', env=environment(place, NOTIFY_SOCKET=wrong)), 2, 'NOTIFY_SOCKET', why)
    with Manager(place) as manager:
        for wrong in '0', 'x', '-5', '99999999999999999999':
            env = environment(place, NOTIFY_SOCKET=manager.name, WATCHDOG_USEC=wrong)
            expect(run(place, 'run', '--local', '--no-cache', env=env), 2, "WATCHDOG_USEC '%s' is no time" % wrong)
    # one that is gone is a line in the log
    with Node(place, '--no-cache', '--log', 'text', env=environment(place, NOTIFY_SOCKET=os.path.join(place, 'none'))) as node:
        assert node.stop() == 0
        assert "warning driver: the service manager can't be told: No such file" in node.err, node.err


@case
def join_tells_no_manager(place):
    with Manager(place) as manager:
        env = environment(place, NOTIFY_SOCKET=manager.name)
        expect(run(place, 'join', '--local', '--no-cache', env=env), 1)
        assert manager.rest() == [], manager.told


main()
