"""A router that translates addresses, in user space, so that no packet filter of the kernel is needed: UDP over IPv4 alone, the
same port outside as inside where it is free, and from outside only what answers to what was sent (address and port), as
home routers and Linux's masquerade do it. It may be told to forward ports."""
import contextlib
import os
import select
import socket
import struct
import threading

from namespace import Machine
from servers import START_S

_ETH_P_IP = 0x0800


def _checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def _packet(source, target, payload):
    """An IPv4 packet with UDP in it, whose own checksum is left out, as IPv4 allows."""
    udp = struct.pack('!HHHH', source[1], target[1], 8 + len(payload), 0) + payload
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(udp), 0, 0x4000, 64, socket.IPPROTO_UDP, 0,
                       socket.inet_aton(source[0]), socket.inet_aton(target[0]))
    return head[:10] + struct.pack('!H', _checksum(head)) + head[12:] + udp


class _Mapping:
    """One port outside: of whom inside, and whom it has sent to."""

    def __init__(self, outside, inside):
        self.socket = outside
        self.inside = inside
        self.sent_to = set()


class Nat:
    """A machine between two networks. Inside it is `gateway`, and the machine there is `host`; outside it is `public`, and
    whom it can reach there has `beyond` as a machine with an end of a cable of its own."""

    def __init__(self, stack, beyond, public, gateway='10.77.0.1', host='10.77.0.2'):
        self.public, self.gateway = public, gateway
        self.router, self.inside = Machine(stack), Machine(stack)
        self.forwarded = set()
        self._mappings = {}
        beyond.ip('link add uplink type veth peer name outer netns %d' % self.router.holder.pid)
        beyond.ip('link set uplink up')
        beyond.ip('route add %s/32 dev uplink' % public)
        self.router.ip('link add inner type veth peer name lan netns %d' % self.inside.holder.pid)
        for words in ('addr add %s/32 dev outer' % public, 'link set outer up', 'route add default dev outer',
                      'addr add %s/24 dev inner' % gateway, 'link set inner up'):
            self.router.ip(words)
        for words in ('link set lo up', 'addr add %s/24 dev lan' % host, 'link set lan up', 'route add default via %s' % gateway):
            self.inside.ip(words)
        self._peer_mac = bytes.fromhex(self._mac(self.inside, 'lan'))
        with self.router.inside():
            self._inner = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
            self._inner.bind(('inner', _ETH_P_IP))
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        stack.callback(self._end)

    @staticmethod
    def _mac(machine, end):
        words = machine.ip('link show ' + end).split()
        return words[words.index('link/ether') + 1].replace(':', '')

    def forward(self, port):
        """Whoever sends to this port outside is let in."""
        self.forwarded.add(port)

    def _end(self):
        os.write(self._stop_write, b'x')
        self._thread.join(timeout=START_S)
        for mapping in self._mappings.values():
            mapping.socket.close()
        self._inner.close()
        os.close(self._stop_read)
        os.close(self._stop_write)

    def _map(self, inside):
        mapping = self._mappings.get(inside)
        if mapping is None:
            with self.router.inside(), contextlib.ExitStack() as on_failure:
                outside = on_failure.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                outside.bind((self.public, inside[1]))
                on_failure.pop_all()
            mapping = self._mappings[inside] = _Mapping(outside, inside)
        return mapping

    def _out(self, packet):
        size = (packet[0] & 15) * 4
        if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_UDP or len(packet) < size + 8:
            return
        source, target = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
        source_port, target_port, length = struct.unpack('!HHH', packet[size:size + 6])
        if source == self.gateway:
            return  # our own, on their way in
        mapping = self._map((source, source_port))
        mapping.sent_to.add((target, target_port))
        with contextlib.suppress(OSError):  # nobody there is what the network says, and no fault
            mapping.socket.sendto(packet[size + 8:size + length], (target, target_port))

    def _in(self, mapping):
        try:
            data, remote = mapping.socket.recvfrom(65536)
        except OSError:
            return
        if remote in mapping.sent_to or mapping.socket.getsockname()[1] in self.forwarded:
            self._inner.sendto(_packet(remote, mapping.inside, data), ('inner', _ETH_P_IP, 0, 0, self._peer_mac))

    def _run(self):
        while True:
            by_socket = {m.socket: m for m in self._mappings.values()}
            ready = select.select([self._stop_read, self._inner, *by_socket], [], [])[0]
            if self._stop_read in ready:
                return
            for one in ready:
                if one is self._inner:
                    packet, source = self._inner.recvfrom(65536)
                    if source[2] != socket.PACKET_OUTGOING:
                        self._out(packet)
                else:
                    self._in(by_socket[one])
