"""Which peers join and run dial: those of flags, of the environment, of the cache and of endpoints, as the flags that
switch sources off allow."""
import contextlib
import http.server
import json
import os
import socket
import subprocess
import threading

from harness import (PEERCACHE, STRANGER, Node, addr_of, case, environment, expect, got_datagram, main, run,
                     silent_port)

ENDPOINT = ['asked', 'breaker', 'delivered', 'detail', 'next_try_ms', 'result', 'shared', 'status', 'url', 'verified']


@contextlib.contextmanager
def endpoint(*lines, status=200):
    """An HTTP server on loopback that answers with these lines. Its URL, and what it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        """Answers all alike."""

        def do_GET(self):  # pylint: disable=invalid-name
            asked.append(dict(self.headers))
            body = ''.join(line + '\n' for line in lines).encode()
            self.send_response(status)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):  # pylint: disable=arguments-differ
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield 'http://127.0.0.1:%d/peers' % server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def join(place, *arguments, code, peers=None):
    env = environment(place, PEERCACHE_PEERS=peers) if peers is not None else environment(place)
    result = run(place, 'join', '--local', '--json', *arguments, env=env)
    assert result.code == code, 'expected exit %d: %s' % (code, result)
    return result.json()


@case
def peers_of_the_environment_are_dialled(place):
    with Node(place, '--no-cache') as node:
        report = join(place, '--no-cache', '--target-peers', '1', code=0, peers=' , %s ,\t' % node.addr)
        assert [p['via'] for p in report['peers']] == ['env'], report


@case
def flags_switch_the_environment_off(place):
    sock, port = silent_port()
    peers = addr_of(port, STRANGER)
    for flags in [['--no-env'], ['--new-network'], ['--first']]:
        report = join(place, '--no-cache', *flags, code=1, peers=peers)
        assert report['dialed'] == 0 and report['cause'] == 'no_sources', report
    assert not got_datagram(sock)
    sock.close()


@case
def a_malformed_environment_is_not_looked_at_with_no_env(place):
    assert join(place, '--no-cache', '--no-env', code=1, peers='x')['cause'] == 'no_sources'


@case
def only_those_that_join_look_at_the_environment(place):
    env = environment(place, PEERCACHE_PEERS='x')
    for command in [['list'], ['multiaddr', addr_of(1)], ['endpoints']]:
        expect(run(place, *command, env=env), 0)


@case
def an_empty_environment_is_none(place):
    for peers in ['', ' ', ',', ' ,, ']:
        assert join(place, '--no-cache', code=1, peers=peers)['cause'] == 'no_sources'


@case
def exclusive_takes_the_environment_for_given(place):
    with Node(place, '--no-cache') as node:
        report = join(place, '--no-cache', '--exclusive', '--target-peers', '1', code=0, peers=node.addr)
        assert [p['via'] for p in report['peers']] == ['env'], report


@case
def a_node_that_runs_dials_the_environment_too(place):
    with Node(place, '--no-cache') as first:
        env = environment(place, PEERCACHE_PEERS=first.addr)
        with subprocess.Popen([PEERCACHE, 'run', '--local', '--no-cache', '--json'], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, env=env, cwd=place) as second:
            try:
                for line in second.stdout:
                    event = json.loads(line)
                    if event['event'] == 'join':
                        assert event['verified'] == 1, event
                        break
                else:
                    raise AssertionError('it ended without joining')
            finally:
                second.terminate()
                second.stdout.read()


@case
def as_many_peers_as_flags_and_environment_may_give(place):
    peers = ','.join([addr_of(1, STRANGER)] * 256)
    report = join(place, '--no-cache', '--timeout', '1s', code=1, peers=peers)
    assert report['dialed'] >= 1, report
    result = run(place, 'join', '--local', '--peer', addr_of(1), env=environment(place, PEERCACHE_PEERS=peers))
    expect(result, 2, 'PEERCACHE_PEERS', '256')
    assert not os.path.exists(os.path.join(place, 'state'))


@case
def an_endpoint_that_names_a_peer(place):
    cache = os.path.join(place, 'c.db')
    with Node(place, '--no-cache') as node, endpoint('# peers', node.addr) as (url, asked):
        report = join(place, '--cache', cache, '--endpoint', url, '--target-peers', '1', code=0)
        assert [p['via'] for p in report['peers']] == ['endpoint'], report
        one, = report['endpoints']
        assert sorted(one) == ENDPOINT, one
        assert one['url'] == url and one['asked'] and not one['shared'] and one['result'] == 'ok', one
        assert one['status'] == 200 and one['delivered'] == 1 and one['verified'] == 1, one
        assert one['breaker'] == 'closed', one
        assert report['metrics']['fetches'] == {'ok': 1}, report
        assert report['sources']['endpoint']['verified'] == 1, report
        assert len(asked) == 1 and asked[0]['Cache-Version'] == '1', asked
        row, = run(place, 'endpoints', '--local', '--cache', cache, '--json').json()
        assert row['url'] == url and row['from'] == 'cache' and row['result'] == 'ok', row
        assert row['delivered'] == 1 and row['verified'] == 1 and row['last_answer'] and row['breaker'] == 'closed', row
        result = run(place, 'join', '--local', '--no-cache', '-v', '--network-contacts-url', url, '--target-peers', '1')
        expect(result, 0, 'fetched', url + '  ok 200: 1 peer')


@case
def endpoints_that_fail_in_words_and_in_json(place):
    with endpoint(status=503) as (down, _), endpoint('nothing', 'to see') as (rubbish, _):
        lines = ['--endpoint', down, '--endpoint', rubbish, '--timeout', '8s']
        report = join(place, '--no-cache', *lines, code=1)
        assert report['cause'] == 'endpoints_down' and report['next_step'], report
        results = {one['url']: (one['result'], one['status']) for one in report['endpoints']}
        assert results == {down: ('http_error', 503), rubbish: ('rubbish', 200)}, report
        result = run(place, 'join', '--local', '--no-cache', *lines)
        expect(result, 1)
        assert '\nendpoints\n' in '\n' + result.out and '  %s  http_error 503' % down in result.out, str(result)
        assert 'likely cause: endpoints_down' in result.out, str(result)


@case
def flags_that_leave_endpoints_out(place):
    with endpoint(addr_of(1, STRANGER)) as (url, asked):
        folder = os.path.join(place, 'config', 'peercache', 'networks')
        os.makedirs(folder)
        with open(os.path.join(folder, 'mychain'), 'w', encoding='utf-8') as file:
            file.write('kad_protocol = /my/kad\nendpoint = %s\n' % url)
        for flags in [['--no-endpoints'], ['--new-network'], ['--local']]:
            result = run(place, 'join', '--json', '--no-cache', '--network', 'mychain', *flags)
            expect(result, 1)
            assert result.json()['cause'] == 'no_sources' and result.json()['endpoints'] == [], str(result)
        assert asked == []
        result = run(place, 'join', '--json', '--no-cache', '--network', 'mychain', '--timeout', '3s')
        assert [one['url'] for one in result.json()['endpoints']] == [url] and asked, str(result)


@case
def a_node_that_runs_tells_its_fetches(place):
    with Node(place, '--no-cache') as first, endpoint(first.addr) as (url, _):
        with Node(place, '--no-cache', '--json', '--endpoint', url) as node:
            events = {}
            while not {'fetch', 'join'} <= set(events):
                event = json.loads(node.line())
                events[event.pop('event')] = event
            assert sorted(events['fetch']) == ENDPOINT and events['fetch']['result'] == 'ok', events
            assert 'peers' not in events['join'] and events['join']['sources']['endpoint']['verified'] == 1, events
            assert node.stop() == 0


@case
def flags_that_leave_the_cache_out(place):
    cache = os.path.join(place, 'c.db')
    with Node(place, '--no-cache') as node:
        expect(run(place, 'add', '--local', '--cache', cache, node.addr), 0)
        for flags in [['--ignore-cache'], ['--new-network'], ['--first']]:
            report = join(place, '--cache', cache, *flags, code=1)
            assert report['dialed'] == 0 and report['cause'] == 'no_sources', report
            assert report['cache']['path'] == cache, report
        report = join(place, '--cache', cache, '--target-peers', '1', code=0)
        assert [p['via'] for p in report['peers']] == ['cache'], report


@case
def what_is_met_is_kept_though_the_cache_is_ignored(place):
    cache = os.path.join(place, 'c.db')
    with Node(place, '--no-cache') as node:
        report = join(place, '--cache', cache, '--ignore-cache', '--peer', node.addr, '--target-peers', '1', code=0)
        assert report['saved'], report
    assert [peer['id'] for peer in run(place, 'list', '--local', '--json', '--cache', cache).json()] == [node.id]


@case
def exclusive_dials_nobody_of_the_cache(place):
    cache = os.path.join(place, 'c.db')
    sock, port = silent_port()
    with sock, Node(place, '--no-cache') as node:
        expect(run(place, 'add', '--local', '--cache', cache, addr_of(port, STRANGER)), 0)
        report = join(place, '--cache', cache, '--exclusive', '--peer', node.addr, '--timeout', '2s', code=0)
        assert report['status'] == 'degraded' and report['dialed'] == 1, report
        assert not got_datagram(sock)


@case
def ranges_that_are_allowed_and_denied(place):
    with Node(place, '--no-cache') as node:
        report = join(place, '--no-cache', '--deny', '127.0.0.0/8', '--peer', node.addr, code=1)
        assert report['cause'] == 'denied' and report['verified'] == 0, report
        report = join(place, '--no-cache', '--deny', '127.0.0.0/8', '--allow', '127.0.0.1', '--peer', node.addr, code=0)
        assert report['verified'] == 1, report
        result = run(place, 'join', '--json', '--no-cache', '--no-endpoints', '--allow', '127.0.0.0/8', '--peer', node.addr)
        expect(result, 0)
        assert result.json()['verified'] == 1, str(result)


@case
def a_join_whose_endpoint_fails_ends(place):
    """What is kept of the endpoint is written after the node has stopped; the end of that is waited for, and comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.bind(('127.0.0.1', 0))
        url = 'http://127.0.0.1:%d/x' % one.getsockname()[1]
    for name in ('c.db', 'c.json'):
        cache = os.path.join(place, name)
        report = join(place, '--cache', cache, '--timeout', '1500ms', '--endpoint', url, code=1)
        assert report['cause'] == 'endpoints_down', report
        remembered = run(place, 'endpoints', '--local', '--json', '--cache', cache).json()
        assert [e['url'] for e in remembered] == [url], remembered


main()
