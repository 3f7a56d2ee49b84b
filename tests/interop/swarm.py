"""A swarm of js-libp2p nodes in one process, driven by swarm.mjs. Arguments of the tests: the binary, a directory for npm's
packages."""
import json
import os
import select
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'cli'))
import harness  # pylint: disable=wrong-import-position

PACKAGES = os.path.abspath(sys.argv[2])
FILES = ('package.json', 'package-lock.json', '.npmrc', 'swarm.mjs', 'polyfill.mjs')
COUNT = 20
START_S = 180.0 # only how long a hang is waited for
COMMAND_S = 90.0


def install():
    """npm's packages, once a build directory and lock file."""
    node = shutil.which('node')
    npm = shutil.which('npm')
    if not node or not npm:
        raise harness.Skip('no node or npm on this machine')
    version = subprocess.run([node, '--version'], stdout=subprocess.PIPE, check=True, timeout=30).stdout.decode()
    if int(version.lstrip('v').split('.')[0]) < 20:
        raise harness.Skip('node %s is older than 20' % version.strip())
    os.makedirs(PACKAGES, exist_ok=True)
    for name in FILES:
        shutil.copyfile(os.path.join(HERE, name), os.path.join(PACKAGES, name))
    mark = os.path.join(PACKAGES, 'installed.lock')
    with open(os.path.join(HERE, 'package-lock.json'), 'rb') as lock:
        wanted = lock.read()
    if os.path.exists(mark):
        with open(mark, 'rb') as installed:
            if installed.read() == wanted:
                return node
    done = subprocess.run([npm, 'ci', '--no-audit', '--no-fund'], cwd=PACKAGES, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=200, check=False)
    if done.returncode:
        raise harness.Skip('npm ci failed: %s' % done.stdout.decode()[-1000:])
    with open(mark, 'wb') as installed:
        installed.write(wanted)
    return node


class Swarm:
    """The js nodes, in one process, spoken to by JSON lines."""

    def __init__(self, count=COUNT, push=False, listen=()):
        node = install()
        more = ['--push'] if push else []
        for ip in listen:
            more += ['--listen', ip]
        self.process = subprocess.Popen([node, 'swarm.mjs', '--count', str(count), '--max-seconds', '600', *more],
                                        cwd=PACKAGES, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        self.buffer = b''
        self.nodes = []

        self.tag = 0
        try:
            while True:
                event = self.event(START_S)
                if event['event'] == 'ready':
                    break
                assert event['event'] == 'listening', event
                self.nodes.append(event)
        except BaseException:
            self.close()
            raise

    def event(self, seconds):
        deadline = time.monotonic() + seconds
        while b'\n' not in self.buffer:
            ready = select.select([self.process.stdout], [], [], max(deadline - time.monotonic(), 0))[0]
            assert ready, 'the swarm said nothing for %d s' % seconds
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, 'the swarm ended'
            self.buffer += data
        line, self.buffer = self.buffer.split(b'\n', 1)
        return json.loads(line)

    def ask(self, **command):
        """Send a command and wait for its answer, which must not be an error."""
        self.tag += 1
        command['tag'] = self.tag
        self.process.stdin.write(json.dumps(command).encode() + b'\n')
        self.process.stdin.flush()
        while True:
            event = self.event(COMMAND_S)
            if event.get('tag') == self.tag:
                assert event['event'] != 'error', '%s: %s' % (command, event)
                return event

    def addr(self, index):
        return self.nodes[index]['addrs'][0]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
