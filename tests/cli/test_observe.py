"""What a running node shows of itself: HTTP (--http) and the log (--log, --log-level, --redact)."""
import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import socket
import subprocess
import time

from harness import PEERCACHE, STRANGER, WAIT_S, Node, Skip, addr_of, case, environment, expect, main, run
from serving import Serving


@case
def not_ready_when_alone_with_the_cause(place):
    with Serving(place, '--no-cache') as node:
        assert node.event('join')['status'] == 'failed'
        assert node.get('/healthz') == (200, 'ok\n')
        status, text = node.get('/readyz')
        assert status == 503 and text.startswith('failed: no_sources: '), (status, text)
        assert node.node.stop() == 0


@case
def a_node_is_the_endpoint_of_another(place):
    with Serving(place, '--no-cache') as server:
        for path in '/peers', '/peers?format=text', '/bootstrap_cache.json':
            url = 'http://%s%s' % (server.where, path)
            result = run(place, 'join', '--local', '--no-cache', '--json', '--endpoint', url, '--target-peers', '1')
            expect(result, 0)
            report = result.json()
            assert [peer['addr'] for peer in report['peers']] == [server.addr], report
            assert report['peers'][0]['via'] == 'endpoint', report
        assert server.node.stop() == 0


@case
def ready_once_joined(place):
    with Serving(place, '--no-cache') as first, \
            Serving(place, '--cache', 'second.db', '--peer', first.addr) as second:
        while second.event('join')['status'] == 'failed':
            second.events = []
        status, text = second.get('/readyz')
        assert status == 200 and text == 'degraded: 1 of 5 peers verified\n', (status, text)
        shown = json.loads(second.get('/status.json')[1])
        assert shown['status'] == 'degraded' and shown['mode'] == 'server', shown
        assert shown['addresses'] == [second.addr] and shown['addresses'][0].endswith(shown['id']), shown
        assert shown['store']['path'] == 'second.db' and shown['store']['is_writable'], shown
        assert shown['traffic']['datagrams_sent'] > 0 and shown['traffic']['datagrams_received'] > 0, shown
        assert shown['process']['resident_bytes'] > 1 << 20 and shown['process']['descriptors'] > 5, shown
        assert abs(time.time() - time.mktime(time.strptime(shown['started'][:19], '%Y-%m-%dT%H:%M:%S'))
                   + time.timezone) < 3600, shown
        peers = second.get('/peers?format=text')[1]
        assert first.addr in peers and second.addr in peers, peers
        assert second.node.stop() == 0 and first.node.stop() == 0


@case
def promtool_has_no_remark_on_a_living_node(place):
    if not shutil.which('promtool'):
        raise Skip('no promtool on this machine (tools/setup --ci)')
    with Serving(place, '--no-cache') as first, \
            Serving(place, '--cache', 'c.db', '--peer', first.addr, '--endpoint', 'http://127.0.0.1:1/') as second:
        second.event('join')
        status, text = second.get('/metrics')
        assert status == 200
        done = subprocess.run(['promtool', 'check', 'metrics'], input=text.encode(), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=WAIT_S, check=False)
        assert done.returncode == 0 and done.stdout == b'', done.stdout.decode()
        sent = re.search(r'^peercache_datagrams_sent_total (\d+)$', text, re.MULTILINE)
        assert sent and int(sent.group(1)) > 0, text
        assert re.search(r'^peercache_store_writable 1$', text, re.MULTILINE), text
        assert second.node.stop() == 0 and first.node.stop() == 0


@case
def stopped_while_clients_are_connected(place):
    path = os.path.join(place, 'http.sock')
    with Serving(place, '--cache', 'c.db', http='unix:' + path) as node:
        assert os.stat(path).st_mode & 0o777 == 0o600
        with node.connect() as silent, node.connect() as half:
            half.sendall(b'GET /peers HTTP/1.1\r\nHost:')
            assert node.get('/healthz') == (200, 'ok\n')
            assert node.node.stop() == 0
            for s in silent, half:
                with contextlib.suppress(ConnectionResetError):
                    assert s.recv(1) == b''
        assert not os.path.exists(path)


def has_open(process, path):
    folder = '/proc/%d/fd' % process.pid
    with contextlib.suppress(FileNotFoundError):
        return path in [os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder)]
    return False


@case
def nodes_that_begin_at_once_have_their_sockets_in_one_directory(place):
    folder = os.path.realpath(os.path.join(place, 'sockets'))
    os.mkdir(folder)
    holder = os.open(folder, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)  # as another node does while it begins
    where = 'unix:' + os.path.join(folder, 'one')
    process = subprocess.Popen([PEERCACHE, 'run', '--local', '--no-cache', '--json', '--http', where], cwd=place,
                               env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + WAIT_S
        while not has_open(process, folder):
            assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
            time.sleep(0.001)
        os.close(holder)
        assert json.loads(process.stdout.readline()) == {'event': 'http', 'addr': where}
        process.terminate()
        out, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, (out, err)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@case
def a_place_that_cannot_be_served_at(place):
    for wrong in 'localhost:80', '127.0.0.1', '127.0.0.1:99999', 'unix:':
        expect(run(place, 'run', '--local', '--no-cache', '--http', wrong), 2, '--http', wrong)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen(1)
        busy = '127.0.0.1:%d' % taken.getsockname()[1]
        result = run(place, 'run', '--local', '--no-cache', '--json', '--http', busy)
        expect(result, 1, busy)
        assert result.json()['error']['code'] == 'busy', str(result)
        result = run(place, 'run', '--local', '--no-cache', '--log', 'json', '--http', busy)
        assert [(line['level'], line['room']) for line in lines_of(result.err)] == [('error', 'cli')], str(result)


def until(node, word):
    """What the node says on standard error until the word has come."""
    said, deadline = b'', time.monotonic() + WAIT_S
    while word.encode() not in said or not said.endswith(b'\n'):
        assert select.select([node.process.stderr], [], [], max(deadline - time.monotonic(), 0))[0], said
        more = os.read(node.process.stderr.fileno(), 65536)
        assert more, said
        said += more
    return said.decode()


def lines_of(text):
    """The JSON lines of a log, each whole."""
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert sorted(line) == ['level', 'room', 'text', 'time'], line
    return lines


@case
def a_log_in_json_holds_all_that_is_said(place):
    with Node(place, '--cache', 'c.db', '--log', 'json', '--log-level', 'debug', '--http', '127.0.0.1:0') as node:
        # Who expects another breaks the handshake off: a room far below the command says so.
        expect(run(place, 'ping', '--local', '--count', '1', addr_of(node.port, STRANGER)), 1)
        said = until(node, '"libp2p"')
        assert node.stop() == 0
    lines = lines_of(said + node.err)
    said = [line['text'] for line in lines if line['room'] == 'cli']
    assert any(text.startswith('serving HTTP at 127.0.0.1:') for text in said), lines
    assert any(text.startswith('stopped; ') for text in said), lines
    assert any(line['room'] == 'libp2p' and line['level'] == 'debug' for line in lines), lines


@case
def levels_are_of_rooms_and_a_warning_is_said_once(place):
    with open(os.path.join(place, 'c.db'), 'wb') as file:
        file.write(b'this is no database' * 500)
    result = run(place, 'join', '--local', '--cache', 'c.db', '--log', 'text', '--log-level', 'error,driver=warning')
    lines = [line for line in result.err.splitlines() if ' warning driver: ' in line]
    assert len(lines) == 1 and 'c.db' in lines[0], str(result)
    assert re.match(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning driver: ', lines[0]), lines
    result = run(place, 'join', '--local', '--cache', 'c.db', '--no-save', '--log-level', 'driver=loud')
    expect(result, 2, '--log-level', 'loud')
    expect(run(place, 'join', '--log', 'xml'), 2, "'xml' is none of text, json")


@case
def a_redacted_log_has_no_address(place):
    down = 'http://127.0.0.1:1/x'
    plain = run(place, 'join', '--local', '--no-cache', '--log', 'text', '--endpoint', down, '--json')
    with Node(place, '--no-cache', '--redact', '--endpoint', down) as node:
        said = until(node, 'asked ')
        assert node.stop() == 0
    assert '127.0.0.1' in plain.out, str(plain)
    assert 'asked http://x.x.x.x:1/x' in said and '127.0.0.1' not in said + node.err, said + node.err
    expect(run(place, 'run', '--redact', '-v'), 2, '--redact and --verbose exclude each other')


main()
