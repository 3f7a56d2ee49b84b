"""What the tests of the command share: cases that speak TAP, the binary run with a bound on every wait, and a
node in the background. The binary is the first argument of each test program."""
import atexit
import contextlib
import functools
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

PEERCACHE = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else 'peercache'
WAIT_S = 30.0  # of every wait; sanitizers on a busy machine are slow
STRANGER = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'  # a valid id that nobody here has

_cases = []


class Skip(Exception):
    """Raised by a case that cannot run here; the text says why."""


def case(function):
    """A test case; its name is that of the function."""
    _cases.append(function)
    return function


def main():
    """Run all cases, each with a directory of its own, and speak TAP."""
    print('1..%d' % len(_cases), flush=True)
    bad = 0
    for number, function in enumerate(_cases, 1):
        name = function.__name__.replace('_', ' ')
        place = tempfile.mkdtemp(prefix='peercache-test-')
        os.chmod(place, 0o755)
        try:
            function(place)
            print('ok %d - %s' % (number, name), flush=True)
        except Skip as why:
            if os.environ.get('CI'):
                bad += 1
                print('not ok %d - %s\n# may not be skipped in CI: %s' % (number, name, why), flush=True)
            else:
                print('ok %d - %s # SKIP %s' % (number, name, why), flush=True)
        except Exception:  # pylint: disable=broad-except
            bad += 1
            print('not ok %d - %s' % (number, name))
            for line in traceback.format_exc().splitlines():
                print('# ' + line)
            sys.stdout.flush()
        finally:
            shutil.rmtree(place, ignore_errors=True)
    sys.exit(1 if bad else 0)


@functools.lru_cache(maxsize=None)
def _config():
    """A folder of configuration in which `ipfs` has a protocol and nobody to ask; of the whole test program."""
    config = tempfile.mkdtemp(prefix='peercache-test-config-')
    atexit.register(shutil.rmtree, config, ignore_errors=True)
    networks = os.path.join(config, 'peercache', 'networks')
    os.makedirs(networks)
    with open(os.path.join(networks, 'ipfs'), 'w', encoding='utf-8') as file:
        file.write('kad_protocol = /ipfs/kad/1.0.0\n')
    for folder in (config, os.path.dirname(networks), networks):
        os.chmod(folder, 0o755)
    return config


def environment(place, **more):
    """Of a user at `place`, whose description of the default network has no bootstrap peers: no test leaves this machine."""
    config = os.path.join(place, 'config')
    env = dict(os.environ, HOME=place, XDG_STATE_HOME=os.path.join(place, 'state'),
               XDG_CONFIG_HOME=config if os.path.exists(config) else _config())
    for name in list(env):
        if name.startswith('PEERCACHE_') or name in ('STATE_DIRECTORY', 'NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'):
            del env[name]
    env.update(more)
    return env


class Result:
    """What a run of the command left behind."""

    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout.decode('utf-8', 'replace')
        self.err = done.stderr.decode('utf-8', 'replace')

    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return 'exit %d\nstdout: %s\nstderr: %s' % (self.code, self.out[-4000:], self.err[-4000:])


def _without_rights():
    """How to run the command as somebody who is bound by file modes: as root that is nobody, who may not reach
    the build directory, so the binary comes along."""
    if os.getuid() != 0:
        return PEERCACHE, None

    def drop():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    copy = os.path.join(tempfile.gettempdir(), 'peercache-test-binary-%d' % os.getpid())
    shutil.copy(PEERCACHE, copy)
    os.chmod(copy, 0o755)
    atexit.register(lambda: os.path.exists(copy) and os.unlink(copy))
    return copy, drop


def run(place, *arguments, stdin=b'', as_nobody=False, env=None):
    """Run to the end. Dying by a signal is always a failure."""
    binary, drop = _without_rights() if as_nobody else (PEERCACHE, None)
    done = subprocess.run([binary] + list(arguments), input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=WAIT_S, env=env or environment(place), check=False, cwd=place, preexec_fn=drop)
    result = Result(done)
    assert result.code >= 0, 'died by a signal: %s' % result
    assert 'Sanitizer' not in result.err and 'runtime error' not in result.err, str(result)
    return result


@contextlib.contextmanager
def closed(place):
    """The directory may be read and not written."""
    os.chmod(place, 0o555)
    try:
        yield
    finally:
        os.chmod(place, 0o755)


def expect(result, code, *texts):
    """The exit code, and each text somewhere on standard error."""
    assert result.code == code, 'expected exit %d: %s' % (code, result)
    for text in texts:
        assert text in result.err, 'no %r in: %s' % (text, result)


class Node:
    """`peercache run` in the background; read from it line by line."""

    COMMAND = ('run', '--local')

    def __init__(self, place, *arguments, env=None):
        self.process = subprocess.Popen([PEERCACHE, *self.COMMAND, *arguments], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=env or environment(place), cwd=place)
        self.buffer = b''
        self.err = ''
        try:
            self.addr = self.line()
        except BaseException:
            self.kill()
            raise

    @property
    def id(self):
        return self.addr.split('/p2p/')[1]

    @property
    def port(self):
        return int(self.addr.split('/udp/')[1].split('/')[0])

    def line(self):
        """The next line of standard output."""
        deadline = time.monotonic() + WAIT_S
        while b'\n' not in self.buffer:
            left = deadline - time.monotonic()
            ready = select.select([self.process.stdout], [], [], max(left, 0))[0]
            assert ready, 'no line from the node within %d s' % WAIT_S
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                self.process.wait(timeout=WAIT_S)
                raise AssertionError('the node ended (%d): %s'
                                     % (self.process.returncode, self.process.stderr.read().decode()))
            self.buffer += data
        line, self.buffer = self.buffer.split(b'\n', 1)
        return line.decode()

    def stop(self, signal_number=signal.SIGTERM):
        """End it by a signal and return its exit code."""
        self.process.send_signal(signal_number)
        try:
            out, err = self.process.communicate(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.buffer += out
        self.err = err.decode('utf-8', 'replace')
        assert 'Sanitizer' not in self.err and 'runtime error' not in self.err, self.err
        return self.process.returncode

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=WAIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()


def causes():
    """The words of the causes of a failed join, as the source lists them."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'src', 'join', 'diagnose.h')
    with open(source, encoding='utf-8') as text:
        words = re.findall(r'X\(PC_CAUSE_\w+,\s*"(\w+)"', text.read())
    assert len(words) > 10 and words[0] == 'none', words
    return words[1:]


def silent_port(host='127.0.0.1'):
    """A UDP socket that never answers, and its port. The caller closes it."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    return sock, sock.getsockname()[1]


def unused_port():
    """A UDP port where nothing listens."""
    sock, port = silent_port()
    sock.close()
    return port


def got_datagram(sock):
    """Whether anything was sent to a silent port."""
    return bool(select.select([sock], [], [], 0)[0])


def addr_of(port, peer_id=None):
    return '/ip4/127.0.0.1/udp/%d/quic-v1%s' % (port, '/p2p/' + peer_id if peer_id else '')
