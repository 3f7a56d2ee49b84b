"""The whole command while memory fails: each allocation of our own in turn, in a copy of the binary that is made for it
(failing_command.c, the second argument). Whatever fails, the command ends as it should or says that it could not: no crash,
no hang, no leak."""
import contextlib
import http.server
import os
import subprocess
import sys
import threading

from harness import Node, case, environment, main, run

FAILING = os.path.abspath(sys.argv[2])
DONE, COULD_NOT = 0, 1
PATIENCE_S = 600
DOCUMENT = ('{"peers":[{"addr":"/ip4/20.1.1.1/udp/4001/quic-v1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",'
            '"last_seen":"2025-01-01T00:00:00Z","success_count":3,"failure_count":1}]}')


def each_fails(place, *arguments, stop=None, may=(DONE, COULD_NOT)):
    """Run the command as often as it has allocations; how many there were, and how many made it fail."""
    template, cache = os.path.join(place, 'template'), os.path.join(place, 'cache')
    env = environment(place, FAILING_EACH='1',
                      FAILING_BEFORE='rm -rf %s && cp -a %s %s' % (cache, template, cache))
    # an exit code that is none of ours: 1 is "could not"
    for name in ('ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS'):
        env[name] = os.environ.get(name, '') + ':exitcode=99'
    if stop:
        env['FAILING_STOP'] = stop
    os.makedirs(template, exist_ok=True)
    done = subprocess.run([FAILING] + list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=env, cwd=place, timeout=PATIENCE_S, check=False)
    lines = done.stdout.decode('utf-8', 'replace').splitlines()
    assert done.returncode == 0 and lines, (done.returncode, lines[-3:], done.stderr.decode('utf-8', 'replace'))
    failures = 0
    for line in lines[:-1]:
        number, status, _, said = line.split(' ', 3)
        code = os.waitstatus_to_exitcode(int(status))
        assert code in may, 'allocation %s of %s: exit %d: %s' % (number, arguments[0], code, said)
        failures += code != DONE
    last = lines[-1].split(' ', 3)
    assert last[1] == '0', 'nothing failed, and still: %s' % lines[-1]
    print('# %s: %s allocations, %d runs, %d that could not' % (' '.join(arguments[:1]), last[0], len(lines), failures))
    return int(last[0]), failures


@contextlib.contextmanager
def endpoint(addr):
    """An HTTP server on loopback that names one peer; its port."""
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # pylint: disable=invalid-name
            body = (addr + '\n').encode()
            self.send_response(200)
            self.send_header('Content-Type', 'text/plain')
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def make_template(place, name):
    """A cache with two peers in it."""
    os.makedirs(os.path.join(place, 'template'))
    at = os.path.join(place, 'template', name)
    source = os.path.join(place, 'peers.json')
    with open(source, 'w', encoding='utf-8') as file:
        file.write(DOCUMENT)
    assert run(place, 'import', source, '--trust', '--cache', at).code == DONE
    assert run(place, 'add', '/ip4/20.2.1.1/udp/4001/quic-v1', '--cache', at).code == DONE
    return os.path.join(place, 'cache', name)


@case
def addresses_and_ids(place):
    each_fails(place, 'multiaddr', '/ip4/20.1.1.1/udp/4001/quic-v1', '--json')
    each_fails(place, 'id', '--key', os.path.join(place, 'key'))


@case
def a_cache_in_json(place):
    cache = make_template(place, 'peers.json')
    for arguments in (['list'], ['stats', '--json'], ['pick', '--number', '2'], ['check'], ['export', '--format', 'map'],
                      ['add', '/ip4/20.3.1.1/udp/4001/quic-v1'], ['prune', '--json'],
                      ['import', os.path.join(place, 'peers.json')],
                      ['remove', '/ip4/20.2.1.1/udp/4001/quic-v1']):
        each_fails(place, *arguments, '--cache', cache)


@case
def a_cache_in_sqlite(place):
    cache = make_template(place, 'peers.db')
    for arguments in (['list', '--json'], ['pick', '--number', '2'], ['report', '/ip4/20.2.1.1/udp/4001/quic-v1', 'success'],
                      ['endpoints']):
        each_fails(place, *arguments, '--cache', cache)


@case
def a_join(place):
    """The driver, the hosts and the worker of the store; a lost connection may be the only one there is."""
    with Node(place, '--no-cache') as node:
        count, _ = each_fails(place, 'join', '--local', '--peer', node.addr, '--target-peers', '1', '--no-walk', '--timeout', '5s',
                              '--cache', os.path.join(place, 'cache', 'peers.db'))
        assert count > 100


@case
def a_join_by_an_endpoint(place):
    """The HTTP client and its thread, the resolver (localhost), what is remembered of an endpoint."""
    with Node(place, '--no-cache', '--listen', '/ip4/127.0.0.1/udp/0/quic-v1') as node, endpoint(node.addr) as port:
        for network in ([], ['--no-cache']):
            each_fails(place, 'join', '--local', '--endpoint', 'http://localhost:%d/' % port, '--target-peers', '1',
                       '--no-walk', '--timeout', '5s',
                       *(network or ['--cache', os.path.join(place, 'cache', 'peers.db')]))


@case
def a_ping(place):
    with Node(place, '--no-cache') as node:
        each_fails(place, 'ping', '--local', '--count', '1', node.addr)


@case
def a_crawl(place):
    with Node(place, '--no-cache') as node:
        each_fails(place, 'crawl', '--local', '--peer', node.addr, '--no-cache', '--json')


@case
def a_node_that_serves(place):
    each_fails(place, 'run', '--local', '--http', '127.0.0.1:0', '--no-cache', stop='/p2p/')


main()
