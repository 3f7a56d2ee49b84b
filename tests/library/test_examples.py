"""The programs in examples/, as they are built here, and what the command sees of their caches."""
import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'cli'))
EMBED, SHARE, JOINER, NODE = (os.path.abspath(path) for path in sys.argv[1:5])
sys.argv[1:] = sys.argv[5:]

from harness import WAIT_S, Node, case, main, run  # noqa: E402 pylint: disable=wrong-import-position


def example(place, *arguments):
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=WAIT_S, cwd=place,
                          check=False)
    assert b'Sanitizer' not in done.stderr, done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def listed(place, cache):
    result = run(place, 'list', '--json', '--local', '--network', 'example', '--cache', cache)
    assert result.code == 0, str(result)
    return result.json()


@case
def embed_remembers_whom_it_reached(place):
    with socket.socket() as listening, socket.socket() as dead:
        listening.bind(('127.0.0.1', 0))
        listening.listen()
        dead.bind(('127.0.0.1', 0))
        alive_addr = '/ip4/127.0.0.1/tcp/%d' % listening.getsockname()[1]
        dead_addr = '/ip4/127.0.0.1/tcp/%d' % dead.getsockname()[1]
        code, out, err = example(place, EMBED, 'contacts.db', alive_addr, dead_addr)
        assert code == 0 and sorted(out.splitlines()) == sorted([alive_addr + ' ok', dead_addr + ' refused']), (out, err)
        counts = {p['addrs'][0]['addr']: (p['state'], p['addrs'][0]['success_count'], p['addrs'][0]['failure_count'])
                  for p in listed(place, 'contacts.db')}
        assert counts == {alive_addr: ('tried', 1, 0), dead_addr: ('new', 0, 1)}, counts
        code, out, err = example(place, EMBED, 'contacts.db')
        assert code == 0 and out.splitlines()[0] == alive_addr + ' ok', (out, err)


@case
def embed_with_nobody_to_dial(place):
    code, out, err = example(place, EMBED, 'contacts.db')
    assert code == 1 and out == '', (out, err)
    code, out, err = example(place, EMBED, 'contacts.db', '/ip4/x')
    assert code == 1 and 'embed: ' in err, (out, err)


@case
def share_loses_nothing_and_counts_nothing_twice(place):
    for cache in ['contacts.db', 'contacts.json']:
        code, out, err = example(place, SHARE, cache)
        assert code == 0 and out == '4 processes, 25 successes each: 100 counted\n', (cache, out, err)
        code, out, err = example(place, SHARE, cache)
        assert out.endswith(' 200 counted\n'), (cache, out, err)


@case
def joiner_joins_by_the_plan(place):
    code, out, err = example(place, JOINER)
    assert code == 0 and err == '', (out, err)
    lines = out.splitlines()
    assert sum(line.startswith('   0 ms  dial ') for line in lines) == 10, out  # the unstalled dials of a start
    assert ' joined with ' in lines[-1], out


@case
def node_joins_and_joins_again_from_memory(place):
    with Node(place, '--no-cache') as server:
        for peers in [server.addr], []:
            code, out, err = example(place, NODE, 'peers.db', *peers)
            assert code == 0 and out.splitlines() == ['met ' + server.addr, 'degraded', 'saved'], (out, err)
            assert 'Some peers were found' in err, err
    code, out, err = example(place, NODE, 'peers.db')
    assert code == 1 and out.splitlines()[0] == 'failed', (out, err)
    code, out, err = example(place, NODE, 'peers.db', '/ip4/x')
    assert code == 2 and out == '' and 'node: ' in err, (out, err)


main()
