"""A network of its own for a test: two machines (network namespaces) joined by a cable, and nothing else. The first is
where the test's nodes and servers are, the second where the command under test runs."""
import contextlib
import ctypes
import errno
import os
import socket
import struct
import subprocess
import sys
import time

from harness import Skip
from servers import START_S, die_with_parent, tool

NEAR, FAR = 'here', 'there'  # the ends of the cable
_CLONE_NEWNET = 0x40000000
_SET_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2  # of prctl(2)
_SOCKET = {'x86_64': 41, 'aarch64': 198}  # the number of the system call
_libc = ctypes.CDLL(None, use_errno=True)


def _enter(path):
    """This process goes into the network of that file."""
    with open(path, 'rb') as file:
        if _libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), 'setns')


def without_ip6():
    """This process, and what it starts, finds no IPv6: as on a kernel that was built or started without, socket() doesn't know it.
    A filter for seccomp(2), in the words of BPF: of calls of socket() whose first argument is AF_INET6, EAFNOSUPPORT."""
    load, equal, result = 0x20, 0x15, 0x06
    words = [(load, 0, 0, 0), (equal, 0, 3, _SOCKET[os.uname().machine]), (load, 0, 0, 16), (equal, 0, 1, int(socket.AF_INET6)),
             (result, 0, 0, 0x00050000 | errno.EAFNOSUPPORT), (result, 0, 0, 0x7FFF0000)]
    filter_ = ctypes.create_string_buffer(b''.join(struct.pack('=HBBI', *word) for word in words))
    program = ctypes.create_string_buffer(struct.pack('@HP', len(words), ctypes.addressof(filter_)))
    if _libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or _libc.prctl(_SET_SECCOMP, _FILTER, program, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), 'prctl')


class Machine:
    """A network namespace, held by a process that does nothing, for as long as the stack."""

    def __init__(self, stack):
        self.holder = subprocess.Popen([tool('unshare'), '--net', sys.executable, '-c', 'import sys; print(flush=True); sys.stdin.read()'],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       preexec_fn=die_with_parent)
        stack.callback(self._end)
        if not self.holder.stdout.readline():
            raise Skip('this system allows no network namespace: ' + self.holder.stderr.read().decode())
        self.path = '/proc/%d/ns/net' % self.holder.pid

    def _end(self):
        self.holder.communicate(timeout=START_S)

    def ip(self, arguments):
        """`ip` with these words, in there."""
        done = subprocess.run([tool('nsenter'), '--net=' + self.path, tool('ip')] + arguments.split(), check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=START_S)
        assert done.returncode == 0, (arguments, done.stderr.decode())
        return done.stdout.decode()

    def forward_ip4(self):
        """It becomes a router, which answers for what it knows no way to."""
        done = subprocess.run([tool('nsenter'), '--net=' + self.path, 'sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward'], check=False,
                              stderr=subprocess.PIPE, timeout=START_S)
        assert done.returncode == 0, done.stderr.decode()

    @contextlib.contextmanager
    def inside(self):
        """What this process opens and starts meanwhile is in there."""
        with open('/proc/self/ns/net', 'rb') as home:
            _enter(self.path)
            try:
                yield
            finally:
                if _libc.setns(home.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), 'setns')


class Cable:
    """Two machines. Addresses come and go with `address`; a cable that is not plugged in carries nothing."""

    def __init__(self, stack):
        if os.getuid() != 0:
            raise Skip('network namespaces are made as root')
        self.near, self.far = Machine(stack), Machine(stack)
        self.near.ip('link add %s type veth peer name %s netns %d' % (NEAR, FAR, self.far.holder.pid))
        self.near.ip('link set lo up')
        self.near.ip('link set %s up' % NEAR)

    def address(self, near, far):
        """One more address at each end, such as 198.18.0.1/24."""
        for machine, addr, end in ((self.near, near, NEAR), (self.far, far, FAR)):
            machine.ip('addr add %s dev %s%s' % (addr, end, ' nodad' if ':' in addr else ''))

    def plug_in(self):
        self.far.ip('link set %s up' % FAR)
        until = time.monotonic() + START_S
        while 'LOWER_UP' not in self.far.ip('link show ' + FAR):  # the kernel finds out in its own time
            assert time.monotonic() < until, 'no carrier'
            time.sleep(0.01)
