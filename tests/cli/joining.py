"""What the tests of joining through real servers share: a network of nodes, reports of join, what a cache remembers of
endpoints. The second argument of such a test program is the one that writes such memories."""
import contextlib
import json
import os
import subprocess
import sys
import tempfile

from harness import WAIT_S, Node, expect, main, run
from servers import Web

REMEMBER = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else None


def _remember(*arguments):
    done = subprocess.run([REMEMBER, *arguments], stderr=subprocess.PIPE, timeout=WAIT_S, check=False)
    assert done.returncode == 0, done.stderr.decode()


def remember(cache, url, result='ok', status=200, detail='', failures=0, ago_ms=1000, peers=()):
    """Write what a node would remember of an endpoint, see remember_endpoint.c."""
    _remember(cache, url, result, str(status), detail, str(failures), str(ago_ms), *peers)


def make_older(cache, url, age_s):
    """What is remembered of an endpoint, as if so much time had passed."""
    _remember(cache, url, 'older', str(age_s * 1000))


def body_of(addrs):
    return json.dumps({'peers': addrs})


def join(place, *arguments, code=0, target=1, cache=None, env=None):
    """A join in local mode, by default without a cache and over at the first peer: its report."""
    flags = ['join', '--local', '--json', '--no-walk', '--target-peers', str(target)]
    flags += ['--cache', cache] if cache else ['--no-cache']
    result = run(place, *flags, *arguments, env=env)
    assert result.code == code, 'expected exit %d: %s' % (code, result)
    return result.json()


def asking(*urls):
    """The flags that give these endpoints."""
    return [word for url in urls for word in ('--endpoint', url)]


def endpoint_rows(place, cache, *urls):
    """What `peercache endpoints` says of these, in their order."""
    result = run(place, 'endpoints', '--json', '--local', '--cache', cache, *asking(*urls))
    expect(result, 0)
    return result.json()[:len(urls)]


def cached_ids(place, cache):
    result = run(place, 'list', '--local', '--json', '--cache', cache)
    expect(result, 0)
    return sorted(peer['id'] for peer in result.json())


def describe(place, name, *lines):
    """A network's description in the configuration of the user at `place`."""
    folder = os.path.join(place, 'config', 'peercache', 'networks')
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), 'w', encoding='utf-8') as file:
        file.write(''.join(line + '\n' for line in lines))


@contextlib.contextmanager
def network(count, *arguments):
    """So many nodes, joined through the first; they end with the block."""
    with tempfile.TemporaryDirectory(prefix='peercache-test-') as place, contextlib.ExitStack() as stack:
        nodes = []
        for _ in range(count):
            through = ['--peer', nodes[0].addr] if nodes else []
            nodes.append(stack.enter_context(Node(place, '--no-cache', *through, *arguments)))
        yield nodes


class World:
    """For a whole test program: `nodes` of one network and a web server, whose peers.json names them. Filled by
    `run`, which then runs the cases."""

    def __init__(self):
        self.nodes = []
        self.web = None
        self.stack = contextlib.ExitStack()

    @property
    def addrs(self):
        return [node.addr for node in self.nodes]

    @property
    def ids(self):
        return sorted(node.id for node in self.nodes)

    def run(self, count, locations='', tls_locations=''):
        with self.stack as stack:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix='peercache-test-'))
            self.web = Web(stack, os.path.realpath(place), locations, tls_locations)
            self.nodes = stack.enter_context(network(count))
            self.web.put('peers.json', body_of(self.addrs))
            main()
