"""join and run with memories of every worth, beside other sources: poisoned, mostly silent, forbidden; and nodes that wait
until somebody comes back."""
import contextlib
import json
import os
import socket
import threading
import time

from harness import (STRANGER, Node, addr_of, case, environment, expect, got_datagram, main, run,
                     silent_port, unused_port)
from joining import asking, cached_ids, join, network
from servers import RawServer

BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'


def stranger(number):
    """The peer id of nobody: an Ed25519 key that nobody has."""
    value = int.from_bytes(b'\x00\x24\x08\x01\x12\x20' + number.to_bytes(32, 'big'), 'big')
    text = ''
    while value:
        value, digit = divmod(value, 58)
        text = BASE58[digit] + text
    return '1' + text  # for the zero in front


def fill(place, cache, addrs):
    """A cache of tried peers, with a good name all of them."""
    now = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
    peers = [{'addr': addr, 'success_count': 3, 'failure_count': 0, 'last_seen': now} for addr in addrs]
    with open(cache + '.list', 'w', encoding='utf-8') as file:
        json.dump({'last_updated': now, 'peers': peers}, file)
    expect(run(place, 'import', cache + '.list', '--trust', '--local', '--cache', cache), 0)
    os.unlink(cache + '.list')
    assert len(cached_ids(place, cache)) == len(addrs)


def list_server(addrs):
    body = json.dumps({'peers': addrs}).encode()

    def answer(_path, _request, connection):
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s' % (len(body), body))
    return answer


@contextlib.contextmanager
def endpoint(addrs, port=0):
    server = RawServer(list_server(addrs), port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield 'http://127.0.0.1:%d/' % server.port
    finally:
        server.shutdown()
        server.server_close()


# -- what is remembered -------------------------------------------------------------------------------------------


@case
def a_poisoned_cache(place):
    """Every entry leads to somebody else. Who is caught goes; a peer or an endpoint that is honest is enough."""
    with network(8) as nodes:
        honest, impostors = nodes[0], nodes[1:]
        poison = [addr_of(node.port, stranger(i)) for i, node in enumerate(impostors)]
        for name, flags in (('peer', ['--peer', honest.addr]), ('endpoint', None)):
            cache = os.path.join(place, name + '.db')
            fill(place, cache, poison)
            with endpoint([honest.addr]) as url:
                report = join(place, *(flags or asking(url)), cache=cache, target=1)
            assert report['status'] == 'joined' and report['peers'][0]['id'] == honest.id, report
            # whoever was not dialled before is now: what led astray is gone for good
            report = join(place, '--no-env', cache=cache, target=8)
            left = {stranger(i) for i in range(len(impostors))} & set(cached_ids(place, cache))
            assert not left, (left, report)


@case
def a_cache_that_is_nothing_but_poison_says_so(place):
    cache = os.path.join(place, 'c.db')
    with network(4) as nodes:
        fill(place, cache, [addr_of(node.port, stranger(i)) for i, node in enumerate(nodes)])
        report = join(place, cache=cache, code=1)
        assert report['cause'] == 'poisoned', report
        assert report['sources']['cache']['failed'] == {'wrong_identity': 4}, report
        assert not set(cached_ids(place, cache)) & {stranger(i) for i in range(4)}, cached_ids(place, cache)


@case
def a_cache_of_silent_ones(place):
    """280 of 300 are silent."""
    cache = os.path.join(place, 'c.db')
    sock, port = silent_port('0.0.0.0')
    with sock, network(12) as nodes:
        silent = ['/ip4/127.%d.7.%d/udp/%d/quic-v1/p2p/%s' % (2 + i // 250, 1 + i % 250, port, stranger(i))
                  for i in range(280)]
        fill(place, cache, silent + [node.addr for node in nodes])
        report = join(place, cache=cache, target=5)
        assert report['status'] == 'joined', report
        assert got_datagram(sock), 'none of the silent ones was dialled'


# -- what may be dialled ------------------------------------------------------------------------------------------


@case
def exclusive_dials_and_asks_nobody_else(place):
    cache = os.path.join(place, 'c.db')
    sock, port = silent_port()
    with sock, network(2) as nodes, endpoint([addr_of(port, STRANGER)]) as url:
        fill(place, cache, [addr_of(port, stranger(1))])
        report = join(place, '--exclusive', '--peer', nodes[0].addr, cache=cache, code=0, target=2)
        assert report['status'] == 'degraded' and [p['id'] for p in report['peers']] == [nodes[0].id], report
        assert report['sources']['cache']['offered'] == report['sources']['dht']['offered'] == 0, report
        assert not got_datagram(sock)
        expect(run(place, 'join', '--local', '--exclusive', '--peer', nodes[0].addr, '--endpoint', url), 2, '--exclusive')


@case
def what_is_denied_is_not_dialled_from_any_source(place):
    cache = os.path.join(place, 'c.db')
    sock, port = silent_port('0.0.0.0')
    forbidden = ['/ip4/127.9.0.%d/udp/%d/quic-v1/p2p/%s' % (i, port, stranger(i)) for i in range(1, 4)]
    with sock, network(1) as nodes, endpoint([forbidden[2], nodes[0].addr]) as url:
        fill(place, cache, forbidden[:1])
        env = environment(place, PEERCACHE_PEERS=forbidden[1])
        report = join(place, '--deny', '127.9.0.0/16', *asking(url), cache=cache, env=env)
        assert report['peers'][0]['via'] == 'endpoint' and not got_datagram(sock), report
        assert report['sources']['env']['dialed'] == 0 and report['sources']['cache']['offered'] == 0, report
        # the longer prefix decides
        report = join(place, '--deny', '127.9.0.0/16', '--allow', '127.9.0.2', '--timeout', '500ms', '--ignore-cache',
                      cache=cache, env=env, code=1)
        assert got_datagram(sock) and report['sources']['env']['failed'] == {'timeout': 1}, report


@case
def a_private_range_is_allowed_by_name(place):
    with network(1) as nodes:
        flags = ['join', '--json', '--no-cache', '--no-endpoints', '--no-walk', '--target-peers', '1', '--peer', nodes[0].addr]
        result = run(place, *flags)
        assert result.code == 1 and result.json()['cause'] == 'denied', str(result)
        result = run(place, *flags, '--allow', '127.0.0.0/8')
        assert result.code == 0 and result.json()['status'] == 'joined', str(result)


# -- who waits ----------------------------------------------------------------------------------------------------


def joined_events(node):
    """Until it has verified somebody; the reports before that one."""
    reports = []
    while True:
        event = json.loads(node.line())
        if event['event'] == 'join':
            if event['verified'] > 0:
                return reports
            reports.append(event)


@case
def a_node_joins_once_a_peer_comes_back(place):
    port = unused_port()
    key = os.path.join(place, 'key')
    peer_id = run(place, 'id', '--key', key).out.strip()
    with Node(place, '--no-cache', '--json', '--peer', addr_of(port, peer_id)) as waits:
        assert json.loads(waits.addr)['event'] == 'listening', waits.addr
        assert json.loads(waits.line())['event'] == 'join'
        with Node(place, '--no-cache', '--key', key, '--listen', addr_of(port)) as back:
            assert back.id == peer_id
            joined_events(waits)
        assert waits.stop() == 0, waits.err


@case
def a_node_joins_once_an_endpoint_comes_back(place):
    with contextlib.ExitStack() as stack:
        node, = stack.enter_context(network(1))
        held = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(('127.0.0.1', 0))  # not listened on: refused
        port = held.getsockname()[1]
        waits = stack.enter_context(Node(place, '--no-cache', '--json', *asking('http://127.0.0.1:%d/' % port)))
        while json.loads(waits.line())['event'] != 'fetch':
            pass
        held.close()
        stack.enter_context(endpoint([node.addr], port))
        joined_events(waits)
        assert waits.stop() == 0, waits.err


main()
