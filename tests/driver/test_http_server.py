"""The HTTP server of a node as others meet it: curl, Prometheus' promtool, and those who mean no good. Arguments:
serve_http, the directory of the vectors, and the command."""
import contextlib
import json
import os
import random
import re
import shutil
import socket
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'cli'))
from harness import WAIT_S, Skip, case, environment, main  # pylint: disable=wrong-import-position

PROGRAM = os.path.abspath(sys.argv[1])
VECTORS = sys.argv[2]
PEERCACHE = os.path.abspath(sys.argv[3])
DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'docs', 'observability.md')
EBUSY, EPERM, EPARSE, EIO, ELIMIT = -7, -14, -3, -6, -4


class Server:
    """serve_http in the background, whose last word is its exit status."""

    def __init__(self, place='127.0.0.1:0', connection_ms=0, peers=3):
        self.process = subprocess.Popen([PROGRAM, place, str(connection_ms), str(peers)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=0)
        self.where = self.process.stdout.readline().decode().strip()

    def __enter__(self):
        assert not self.where.startswith('error') and self.where, self.where
        return self

    def __exit__(self, kind, error, trace):
        if self.process.poll() is None:
            self.process.stdin.close()
        try:
            code = self.process.wait(timeout=WAIT_S)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        assert error or code == 0, 'exit status %d' % code

    def refusal(self):
        """The code of why it could not be started."""
        self.process.stdin.close()
        assert self.process.wait(timeout=WAIT_S) == 1
        self.process.stdout.close()
        word, code, text = self.where.split(' ', 2)
        assert word == 'error' and text, self.where
        return int(code)

    def counts(self):
        self.process.stdin.write(b'?')
        connections, descriptors = self.process.stdout.readline().split()
        return int(connections), int(descriptors)

    def connect(self):
        if self.where.startswith('unix:'):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.settimeout(WAIT_S)
            s.connect(self.where[5:])
            return s
        host, port = self.where.rsplit(':', 1)
        return socket.create_connection((host.strip('[]'), int(port)), timeout=WAIT_S)

    def raw(self, data):
        """All that comes back to these bytes; what is still to be sent when the server closes is nobody's."""
        with self.connect() as s:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                s.sendall(data)
            return read_all(s)

    def get(self, path, *options):
        """(status, headers, body), by curl."""
        command = [tool('curl'), '-s', '-S', '-i', '--max-time', str(int(WAIT_S)), '--path-as-is', '--globoff']
        url = 'http://%s%s' % (self.where, path)
        if self.where.startswith('unix:'):
            command += ['--unix-socket', self.where[5:]]
            url = 'http://localhost' + path
        done = subprocess.run(command + list(options) + [url], stdout=subprocess.PIPE, check=True, timeout=2 * WAIT_S,
                              env={'PATH': os.environ.get('PATH', '')})
        head, body = done.stdout.split(b'\r\n\r\n', 1)
        lines = head.decode().split('\r\n')
        return int(lines[0].split()[1]), dict(line.lower().split(': ', 1) for line in lines[1:]), body


def tool(name):
    path = shutil.which(name)
    if not path:
        raise Skip('no %s on this machine (tools/setup --ci)' % name)
    return path


def read_all(s):
    data = b''
    with contextlib.suppress(ConnectionResetError):
        while True:
            more = s.recv(65536)
            if not more:
                break
            data += more
    return data


def has_ip6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
            s.bind(('::1', 0))
        return True
    except OSError:
        return False


def check_all_paths(server):
    status, headers, body = server.get('/healthz')
    assert (status, body) == (200, b'ok\n'), (status, body)
    assert headers['connection'] == 'close' and headers['content-type'] == 'text/plain; charset=utf-8'
    assert headers['cache-control'] == 'no-store' and headers['x-content-type-options'] == 'nosniff'
    status, _, body = server.get('/readyz')
    assert (status, body) == (503, b'idle\n'), (status, body)
    status, headers, body = server.get('/status.json')
    assert status == 200 and headers['content-type'] == 'application/json'
    assert json.loads(body)['cache'] == {'new': 3, 'tried': 0, 'unsaved_changes': 0, 'is_saving': False,
                                         'save_failed': False, 'last_success': None}, body
    status, headers, body = server.get('/metrics')
    assert status == 200 and b'peercache_cache_peers{state="new"} 3\n' in body
    status, headers, body = server.get('/peers?format=text')
    assert status == 200 and len(body.splitlines()) == 4, body
    assert body.startswith(b'/ip4/127.0.0.1/udp/4001/quic-v1/p2p/'), body  # the node itself
    status, headers, body = server.get('/bootstrap_cache.json', '-H', 'Cache-Version: 1')
    assert status == 200 and headers['vary'] == 'cache-version' and len(json.loads(body)['peers']) == 4
    assert isinstance(json.loads(server.get('/bootstrap_cache.json')[2])['peers'], dict)
    status, _, body = server.get('/favicon.ico')
    assert status == 404 and b'/metrics\n' in body


@case
def paths_over_ip4(_place):
    with Server() as server:
        check_all_paths(server)


@case
def paths_over_ip6(_place):
    if not has_ip6():
        raise Skip('no IPv6 on this machine')
    with Server('[::1]:0') as server:
        assert server.where.startswith('[::1]:') and not server.where.endswith(':0')
        check_all_paths(server)


@case
def paths_over_a_socket_file(place):
    path = os.path.join(place, 'http.sock')
    with Server('unix:' + path) as server:
        assert server.where == 'unix:' + path
        mode = os.lstat(path).st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600, oct(mode)
        check_all_paths(server)
    assert not os.path.exists(path)


@case
def promtool_has_no_remark(_place):
    def check(text):
        done = subprocess.run([tool('promtool'), 'check', 'metrics'], input=text, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=WAIT_S, check=False)
        assert done.returncode == 0 and not done.stdout, done.stdout.decode()
    with open(os.path.join(VECTORS, 'observe', 'metrics.txt'), 'rb') as file:
        check(file.read())
    with Server() as server:
        check(server.get('/metrics')[2])


@case
def the_page_describes_all_of_it(place):
    """Every metric and every member of the status, none that there is not, and alerts that Prometheus takes."""
    with open(DOCS, encoding='utf-8') as file:
        page = file.read()
    with open(os.path.join(VECTORS, 'observe', 'metrics.txt'), encoding='utf-8') as file:
        metrics = set(re.findall(r'^# TYPE (\w+) ', file.read(), re.M))
    rows = page[page.index('## Metrics'):page.index('### Alerts')]
    assert set(re.findall(r'`(peercache_\w+[a-z])`', rows)) == metrics
    with open(os.path.join(VECTORS, 'observe', 'status.json'), encoding='utf-8') as file:
        status = json.load(file)
    table = page[page.index('## `/status.json`'):page.index('## Logs')]
    words = set(re.findall(r'`(\w+)`', table))
    assert set(status) <= words, set(status) - words
    for member in ('join', 'connections', 'cache', 'store', 'traffic', 'process'):
        assert set(status[member]) <= words, set(status[member]) - words
    assert set(status['endpoints'][0]) <= words and set(status['table']['buckets'][0]) <= words
    rules = os.path.join(place, 'alerts.yml')
    with open(rules, 'w', encoding='utf-8') as file:
        file.write(re.search(r'```yaml\n(.*?)```', page, re.S).group(1))
    subprocess.run([tool('promtool'), 'check', 'rules', rules], stdout=subprocess.DEVNULL, check=True, timeout=WAIT_S)


@case
def only_get_and_head(place):
    with Server() as server:
        status, headers, body = server.get('/metrics', '-I')
        assert status == 200 and not body and int(headers['content-length']) > 1000
        for method in ('POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'BREW', 'get'):
            status, headers, body = server.get('/metrics', '-X', method)
            assert status == 405 and headers['allow'] == 'get, head', (method, status, headers)
        # a body is neither read nor waited for
        body = os.path.join(place, 'body')
        with open(body, 'wb') as file:
            file.write(bytes(4000000))
        status, _, _ = server.get('/metrics', '--data-binary', '@' + body, '-H', 'Expect:')
        assert status == 405, status
        answer = server.raw(b'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\nabc')
        assert answer.startswith(b'HTTP/1.1 200 '), answer


@case
def one_request_a_connection(_place):
    with Server() as server:
        answer = server.raw(b'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n' * 3)
        assert answer.count(b'HTTP/1.1 200') == 1, answer
        assert server.raw(b'GET /healthz HTTP/1.0\r\n\r\n').endswith(b'\r\n\r\nok\n')


@case
def an_etag_saves_the_body(_place):
    with Server() as server:
        _, headers, body = server.get('/peers')
        assert headers['cache-control'] == 'public, max-age=60' and body
        status, again, body = server.get('/peers', '-H', 'If-None-Match: ' + headers['etag'].replace('w/', 'W/'))
        assert (status, body, again['etag']) == (304, b'', headers['etag'])
        assert server.get('/peers', '-H', 'If-None-Match: "other"')[0] == 200


@case
def a_node_takes_its_peers_from_it(place):
    """One that joins with nothing but this endpoint learns all of its peers, though none of them answers."""
    with Server(peers=5) as server:
        for number, path in enumerate(('/peers', '/peers?format=text', '/peers?format=ant-v0', '/bootstrap_cache.json')):
            done = subprocess.run([PEERCACHE, 'join', '--local', '--no-walk', '--json', '--timeout', '3s',
                                   '--cache', os.path.join(place, '%d.db' % number),
                                   '--endpoint', 'http://%s%s' % (server.where, path)],
                                  stdout=subprocess.PIPE, timeout=WAIT_S, check=False, env=environment(place))
            endpoint, = json.loads(done.stdout)['endpoints']
            assert (endpoint['result'], endpoint['delivered']) == ('ok', 6), (path, done.stdout)


@case
def hosts_are_addresses_on_loopback(place):
    """What a web page can have resolve to 127.0.0.1 must not be let read the answers."""
    with Server() as server:
        for host in ('evil.example', 'evil.example:80', 'localhost.evil.example', '127.0.0.1.evil.example', '', '[::1'):
            status = server.get('/status.json', '-H', 'Host: ' + host if host else 'Host;')[0]
            assert status == 421, (host, status)
        for host in ('localhost', 'localhost:9100', '127.0.0.1', '127.0.0.1:1', '[::1]:9100', '[::1]', '10.0.0.1'):
            assert server.get('/healthz', '-H', 'Host: ' + host)[0] == 200, host
    with Server('unix:' + os.path.join(place, 's')) as server:
        assert server.get('/healthz', '-H', 'Host: any.example')[0] == 200


@case
def places_that_cannot_be(place):
    for text in ('', '9100', ':9100', '127.0.0.1', '127.0.0.1:', '127.0.0.1:65536', 'localhost:9100', '::1:9100:',
                 '[::1]', 'unix:', 'unix:/tmp/', 'UNIX:x', '1.2.3.4:x', '[127.0.0.1]:80'):
        assert Server(text).refusal() == EPARSE, text
    assert Server('unix:' + '/x' * 60).refusal() == ELIMIT
    assert Server('unix:' + os.path.join(place, 'missing', 's')).refusal() == EIO
    assert Server('192.0.2.1:0').refusal() == EIO  # no address of this machine
    with Server() as server:
        assert Server(server.where).refusal() == EBUSY


@case
def a_dead_ones_socket_is_replaced(place):
    path = os.path.join(place, 'http.sock')
    dead = Server('unix:' + path)
    dead.process.kill()
    dead.process.wait()
    dead.process.stdin.close()
    dead.process.stdout.close()
    assert stat.S_ISSOCK(os.lstat(path).st_mode)
    with Server('unix:' + path) as server:
        assert server.get('/healthz')[0] == 200
        assert Server('unix:' + path).refusal() == EBUSY
        assert server.get('/healthz')[0] == 200  # and it is none the worse


@case
def nobody_elses_file_is_touched(place):
    path = os.path.join(place, 'file')
    with open(path, 'w', encoding='utf-8') as file:
        file.write('mine')
    assert Server('unix:' + path).refusal() == EPERM
    link = os.path.join(place, 'link')
    os.symlink('file', link)
    assert Server('unix:' + link).refusal() == EPERM
    with open(path, encoding='utf-8') as file:
        assert file.read() == 'mine'
    if os.geteuid() == 0:  # only root can make what is another's
        other = os.path.join(place, 'other')
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.bind(other)
        os.chown(other, 65534, 65534)
        assert Server('unix:' + other).refusal() == EPERM
        assert os.path.exists(other)
    # one that took its place while it served
    path = os.path.join(place, 'taken')
    with Server('unix:' + path):
        os.unlink(path)
        with open(path, 'w', encoding='utf-8') as file:
            file.write('later')
    assert os.path.isfile(path)


@case
def a_request_has_a_bound(_place):
    with Server() as server:
        status, _, _ = server.get('/peers?format=' + 'x' * 2000)
        assert status == 414, status
        status, _, _ = server.get('/' + 'x' * 20000)
        assert status in (414, 431), status
        status, _, _ = server.get('/healthz', '-H', 'X: ' + 'x' * 20000)
        assert status in (413, 431), status
        many = b''.join(b'X-%d: %s\r\n' % (i, b'y' * 50) for i in range(2000))
        answer = server.raw(b'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n' + many + b'\r\n')
        assert not answer or answer.split()[1] in (b'413', b'431'), answer[:100]
        assert server.get('/healthz')[0] == 200


@case
def slow_ones_are_cut(_place):
    """Whatever a connection does, it ends; meanwhile others are served."""
    with Server(connection_ms=1500, peers=2000) as server:
        before = server.counts()[1]
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(server.connect()) for _ in range(10)]
            dripping = stack.enter_context(server.connect())
            greedy = stack.enter_context(server.connect())  # asks for much and takes nothing
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            greedy.sendall(b'GET /peers?format=list HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
            assert server.get('/healthz')[0] == 200
            dripping.settimeout(0.05)
            dripping.sendall(b'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ')
            ended = False
            while not ended:  # the bound of the whole program is the bound of this
                try:
                    dripping.sendall(b'y')
                    ended = dripping.recv(1) == b''
                except TimeoutError:
                    pass
                except (BrokenPipeError, ConnectionResetError):
                    ended = True
            for s in silent:
                assert read_all(s) == b''
            while server.counts()[0] > 0:
                assert server.get('/healthz')[0] == 200
        assert server.counts() == (0, before)


@case
def the_oldest_gives_way(_place):
    with Server(connection_ms=600000) as server:
        before = server.counts()[1]
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(server.connect()) for _ in range(300)]
            for s in held:
                s.sendall(b'GET /healthz HTTP/1.1\r\n')
            assert server.get('/healthz')[0] == 200
            assert server.counts()[0] <= 64
            assert read_all(held[0]) == b''  # it was cut, though its time was not over
            held[-1].sendall(b'Host: 127.0.0.1\r\n\r\n')  # and the newest was not
            assert read_all(held[-1]).endswith(b'ok\n')
        while server.counts()[0] > 0:
            assert server.get('/healthz')[0] == 200
        assert server.counts() == (0, before)


@case
def it_ends_with_connections_open(_place):
    server = Server()
    with server:
        held = [server.connect() for _ in range(20)]
        held[0].sendall(b'GET /he')
        assert server.get('/healthz')[0] == 200
    for s in held:
        assert read_all(s) == b''
        s.close()


@case
def rubbish_breaks_nothing(_place):
    """Valid requests with bytes changed, cut, doubled and added, and bytes that never were a request."""
    rng = random.Random(11)
    seeds = [b'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
             b'GET /peers?format=list HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: W/"x", *\r\nCache-Version: 1\r\n\r\n',
             b'POST /metrics HTTP/1.1\r\nHost: [::1]:1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
             b'HEAD http://[::1/%00%zz?&&==%%% HTTP/1.0\r\nHost:\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n',
             b'GET /bootstrap_cache.json?format=%s HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\nRange: bytes=0-\r\n\r\n']
    with Server(connection_ms=500) as server:
        for _ in range(600):
            data = bytearray(rng.choice(seeds))
            for _ in range(rng.randrange(6)):
                at = rng.randrange(len(data) + 1)
                kind = rng.randrange(4)
                if kind == 0:
                    data[at:at + 1] = bytes([rng.randrange(256)])
                elif kind == 1:
                    data[at:at + rng.randrange(20)] = b''
                elif kind == 2:
                    data[at:at] = data[:rng.randrange(60)]
                else:
                    data[at:at] = rng.choice([b'\0', b'\r\n', b'\n', b' ', b'%00', b'\xff' * 40, b'9' * 30, b':'])
            with server.connect() as s:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    s.sendall(data)
                    s.shutdown(socket.SHUT_WR)
                answer = read_all(s)
            assert not answer or answer.startswith(b'HTTP/1.'), answer[:60]
        assert server.raw(rng.randbytes(100000))[:5] in (b'', b'HTTP/')
        assert server.get('/healthz')[2] == b'ok\n'


if __name__ == '__main__':
    main()
