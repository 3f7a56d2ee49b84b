"""A network that is cut in two, so that each half forgets the other, and heals: the tables are one again within two refreshes."""
import contextlib
import json
import os
import time

from harness import Node, Skip, case, main
from namespace import Machine
from serving import Serving

HALF = 4
FORGET_S = 150.0  # until all that was open to the other half has been given up


class PublicNode(Node):
    """Outside of local mode, at a public address; the network's description names nobody."""

    COMMAND = ('run', '--mode', 'server')


def addr(half, number):
    """Each in a network group of its own."""
    return '31.%d.0.1' % (100 * half + number + 1)


def members(node):
    return json.loads(node.get('/status.json')[1])['table']['peers']


def until_all_have(nodes, count):
    deadline = time.monotonic() + FORGET_S
    while True:
        counts = [members(node) for node in nodes]
        if all(n == count for n in counts):
            return
        assert time.monotonic() < deadline, 'wanted %d: %s' % (count, counts)
        time.sleep(0.1)


def walks_so_far(node):
    """Refreshes of a node's table that have ended and were not counted yet."""
    os.set_blocking(node.node.process.stdout.fileno(), False)
    data = node.node.buffer
    with contextlib.suppress(BlockingIOError):
        while True:
            more = os.read(node.node.process.stdout.fileno(), 65536)
            assert more, 'the node ended'
            data += more
    lines = data.split(b'\n')
    node.node.buffer = lines.pop()
    return sum(json.loads(line)['event'] == 'walked' for line in lines)


class Cut:
    """Two switches with a cable between them that can be cut, and machines at each: silence, without any error that tells of
    it. All are one subnet."""

    def __init__(self, stack):
        if os.getuid() != 0:
            raise Skip('network namespaces are made as root')
        self.stack, self.hub, self.count = stack, Machine(stack), 0
        for half in range(2):
            self.hub.ip('link add switch%d type bridge' % half)
            self.hub.ip('link set switch%d up' % half)
        self.hub.ip('link add cable0 type veth peer name cable1')
        for half in range(2):
            self.hub.ip('link set cable%d master switch%d' % (half, half))
            self.hub.ip('link set cable%d up' % half)

    def machine(self, half, ip):
        machine = Machine(self.stack)
        self.count += 1
        self.hub.ip('link add port%d type veth peer name eth netns %d' % (self.count, machine.holder.pid))
        self.hub.ip('link set port%d master switch%d' % (self.count, half))
        self.hub.ip('link set port%d up' % self.count)
        machine.ip('link set lo up')
        machine.ip('addr add %s/8 dev eth' % ip)
        machine.ip('link set eth up')
        return machine

    def cut(self):
        self.hub.ip('link set cable0 down')

    def heal(self):
        self.hub.ip('link set cable0 up')


@case
def the_halves_of_a_cut_network_merge_again(place):
    with contextlib.ExitStack() as stack:
        network = Cut(stack)
        nodes, through = [], []
        for half in range(2):
            for number in range(HALF):
                with network.machine(half, addr(half, number)).inside():
                    node = Serving(place, '--no-cache', '--refresh-period', '2s', '--listen',
                                   '/ip4/%s/udp/4001/quic-v1' % addr(half, number), *through, kind=PublicNode,
                                   http='unix:' + os.path.join(place, 'http-%d-%d' % (half, number)))
                nodes.append(stack.enter_context(node))
                through = ['--peer', nodes[0].addr]
        until_all_have(nodes, 2 * HALF - 1)

        network.cut()
        until_all_have(nodes, HALF - 1)
        for node in nodes:
            assert walks_so_far(node) > 1, "no refresh was told of"
        network.heal()
        walks = [0] * len(nodes)
        waiting = set(range(len(nodes)))
        deadline = time.monotonic() + FORGET_S
        while waiting:
            for i in list(waiting):
                walks[i] += walks_so_far(nodes[i])
                if members(nodes[i]) == 2 * HALF - 1:
                    waiting.discard(i)
            assert time.monotonic() < deadline, (walks, waiting)
            time.sleep(0.1)
        # the one under way when it healed, and two more
        assert max(walks) <= 3, walks
        print('# refreshes until the tables were one: %s' % walks)


main()
