"""Nodes outside of local mode, in networks that a test has made: public addresses, and what a node says of its reachability."""
import json
import time

from harness import WAIT_S, Node
from serving import Serving

# Each in a network group of its own.
SERVERS = ['45.1.0.1', '46.1.0.1', '47.1.0.1', '48.1.0.1']
AUTO, ROUTER = '49.1.0.1', '60.1.0.1'
PORT = 4001
PATIENCE_S = 2 * WAIT_S  # three probes that nobody answers, in their time


class Public(Node):
    """Outside of local mode; the network's description names nobody."""

    COMMAND = ('run', '--no-cache', '--network', 'reach', '--kad-protocol', '/reach/kad/1.0.0')


class PublicServing(Serving):
    """The same, looked into from within its machine."""

    NODE = Public

    def __init__(self, machine, place, *arguments):
        self.machine = machine
        with machine.inside():
            self.node = self.NODE(place, '--json', '--http', '127.0.0.1:0', *arguments)
        self.events = [json.loads(self.node.addr)]
        self.where = self.event('http')['addr']
        self.addr = self.event('listening')['addr']
        self.id = self.addr.split('/p2p/')[1]

    def connect(self):
        with self.machine.inside():
            return super().connect()

    def status(self):
        code, body = self.get('/status.json')
        assert code == 200, body
        return json.loads(body)

    def until(self, holds):
        """The status, once this holds of it."""
        end = time.monotonic() + PATIENCE_S
        while True:
            status = self.status()
            if holds(status):
                return status
            assert time.monotonic() < end, status
            time.sleep(0.1)


def listen(ip):
    return ['--listen', '/ip4/%s/udp/%d/quic-v1' % (ip, PORT)]


def announced(status):
    return [addr.split('/p2p/')[0] for addr in status['announced']]
