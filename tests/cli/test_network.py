"""Real processes against each other: run, join, list, ping, and a rejoin from memory alone."""
import json
import os
import re
import signal
import subprocess
import time

from harness import PEERCACHE, STRANGER, WAIT_S, Node, addr_of, case, environment, expect, main, run, unused_port

TIME = re.compile(r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$')


def join(place, *arguments, code=0):
    result = run(place, 'join', '--local', '--json', *arguments)
    assert result.code == code, str(result)
    return result.json()


def listed(place, cache, *arguments):
    result = run(place, 'list', '--local', '--json', '--cache', cache, *arguments)
    assert result.code == 0, str(result)
    return result.json()


@case
def join_list_and_ping(place):
    cache = os.path.join(place, 'peers.db')
    with Node(place, '--no-cache') as node:
        report = join(place, '--cache', cache, '--target-peers', '1', '--peer', node.addr)
        assert report['status'] == 'joined' and report['saved'] is True and report['dialed'] == 1, report
        peer, = report['peers']
        assert peer['id'] == node.id and peer['addr'] == node.addr and peer['via'] == 'flag', report
        assert 0 < peer['rtt_ms'] <= peer['elapsed_ms'] <= report['elapsed_ms'], report
        listing, = listed(place, cache)
        assert sorted(listing) == ['addrs', 'id', 'state'], listing
        assert listing['id'] == node.id and listing['state'] == 'tried', listing
        addr, = listing['addrs']
        assert sorted(addr) == ['addr', 'failure_count', 'last_seen', 'last_success', 'learned_from', 'rtt_ms',
                                'success_count'], addr
        assert addr['addr'].startswith('/ip4/127.0.0.1/udp/%d/quic-v1' % node.port), addr
        assert addr['success_count'] == 1 and addr['failure_count'] == 0 and addr['learned_from'] == 'flag', addr
        assert TIME.match(addr['last_seen']) and TIME.match(addr['last_success']), addr
        result = run(place, 'ping', '--local', '--count', '2', node.addr)
        expect(result, 0)
        assert result.out.count('pong from ' + node.id) == 2 and '2 sent, 2 answered' in result.out, str(result)
        report = run(place, 'ping', '--local', '--count', '1', '--json', node.addr).json()
        assert report['answered'] == 1 and report['sent'] == 1 and report['id'] == node.id, report
        assert report['rtt_ms']['min'] == report['rtt_ms']['max'] == report['pings'][0]['rtt_ms'] > 0, report
        assert node.stop() == 0


@case
def ping_tells_why_not(place):
    for addr, code in [(addr_of(unused_port(), STRANGER), 'refused'), ('/dnsaddr/x.invalid', 'unsupported'),
                       ('/ip4/127.0.0.1/tcp/1', 'unsupported'), ('/ip4/127.0.0.1/udp/0/quic-v1', 'denied'),
                       ('/ip4/0.0.0.0/udp/1/quic-v1', 'denied')]:
        result = run(place, 'ping', '--local', '--count', '1', '--json', addr)
        expect(result, 1)
        report = result.json()
        assert report['answered'] == 0 and report['pings'][0]['code'] == code and report['pings'][0]['detail'], report
    with Node(place, '--no-cache') as node:
        result = run(place, 'ping', '--local', '--count', '1', addr_of(node.port, STRANGER))
        expect(result, 1)
        assert 'wrong_identity' in result.out, str(result)
        result = run(place, 'ping', '--count', '1', node.addr)  # as join: only local mode dials it
        expect(result, 1)
        assert 'denied' in result.out, str(result)


@case
def ping_remembers_only_when_asked(place):
    with Node(place, '--no-cache') as node:
        expect(run(place, 'ping', '--local', '--count', '1', node.addr), 0)
    assert not os.path.exists(os.path.join(place, 'state'))


@case
def stops_cleanly_on_both_signals_and_saves(place):
    with Node(place, '--no-cache') as first:
        for number in (signal.SIGINT, signal.SIGTERM):
            cache = os.path.join(place, 'node-%d.db' % number)
            with Node(place, '--cache', cache, '--peer', first.addr) as node:
                # it has joined once the client learns of the first node through it
                deadline = time.monotonic() + WAIT_S
                while first.id not in [peer['id'] for peer in join(place, '--no-cache', '--peer', node.addr)['peers']]:
                    assert time.monotonic() < deadline, 'the node never told of the first'
                assert node.stop(number) == 0, node.err
                assert 'saved' in node.err, node.err
            assert first.id in [peer['id'] for peer in listed(place, cache)]


@case
def stops_cleanly_when_signalled_at_once(place):
    for number in (signal.SIGINT, signal.SIGTERM):
        with Node(place, '--no-cache') as node:
            assert node.stop(number) == 0, node.err


@case
def prints_its_multiaddrs_and_nothing_else(place):
    with Node(place, '--no-cache', '--listen', '/ip4/127.0.0.1/udp/0/quic-v1', '--listen',
              '/ip4/127.0.0.1/udp/0/quic-v1') as node:
        second = node.line()
        assert node.stop() == 0
        for addr in (node.addr, second):
            assert re.match(r'^/ip4/127\.0\.0\.1/udp/\d+/quic-v1/p2p/12D3KooW\w+$', addr), addr
        assert node.addr != second and node.buffer == b'', (node.addr, second, node.buffer)


@case
def identity_is_fresh_or_of_the_key_file(place):
    key = os.path.join(place, 'key')
    ids = []
    for arguments in ([], [], ['--key', key], ['--key', key]):
        with Node(place, '--no-cache', *arguments) as node:
            ids.append(node.id)
            assert node.stop() == 0
    assert ids[0] != ids[1] and ids[2] == ids[3] and len(set(ids)) == 3, ids
    assert run(place, 'id', '--key', key).out.strip() == ids[2]


@case
def events_as_json_lines(place):
    with Node(place, '--no-cache') as first:
        with Node(place, '--no-cache', '--json', '--peer', first.addr) as node:
            listening = json.loads(node.addr)
            assert listening['event'] == 'listening' and '/p2p/' in listening['addr'], listening
            joined = json.loads(node.line())
            assert joined['event'] == 'join' and joined['status'] == 'degraded' and joined['verified'] == 1, joined
            assert json.loads(node.line())['event'] == 'walked'
            assert node.stop() == 0
            assert json.loads(node.buffer.splitlines()[-1]) == {'event': 'stopped', 'saved': False}, node.buffer


@case
def port_in_use_is_told(place):
    with Node(place, '--no-cache') as node:
        result = run(place, 'run', '--local', '--no-cache', '--listen', addr_of(node.port))
        expect(result, 1, str(node.port))


@case
def list_of_a_cache_that_is_not_there(place):
    cache = os.path.join(place, 'none.db')
    result = run(place, 'list', '--cache', cache, '--json')
    expect(result, 0, cache)
    assert result.json() == [] and os.listdir(place) == []
    assert run(place, 'list', '--cache', cache).out == '0 peers\n'


@case
def list_in_words(place):
    cache = os.path.join(place, 'peers.db')
    with Node(place, '--no-cache') as node:
        join(place, '--cache', cache, '--peer', node.addr)
        result = run(place, 'list', '--local', '--cache', cache)
        expect(result, 0)
        assert node.id + '  tried' in result.out and '1 ok, 0 failed' in result.out, str(result)
        assert result.out.splitlines()[-1].startswith('1 peer (1 tried, 0 new), 1 address in '), str(result)


def network(place, count):
    """So many nodes that joined through the first."""
    nodes = [Node(place, '--no-cache', '--json')]
    try:
        nodes[0].addr = json.loads(nodes[0].addr)['addr']
        for _ in range(count - 1):
            nodes.append(Node(place, '--no-cache', '--json', '--peer', nodes[0].addr))
            nodes[-1].addr = json.loads(nodes[-1].addr)['addr']
        for node in nodes[1:]:
            while json.loads(node.line())['event'] != 'walked':
                pass
    except BaseException:
        for node in nodes:
            node.kill()
        raise
    return nodes


@case
def rejoin_from_memory_alone(place):
    cache = os.path.join(place, 'peers.db')
    nodes = network(place, 8)
    try:
        cold = join(place, '--cache', cache, '--peer', nodes[0].addr)
        assert cold['status'] == 'joined' and cold['verified'] >= 5, cold
        assert {p['via'] for p in cold['peers']} == {'flag', 'dht'}, cold
        remembered = {peer['id'] for peer in listed(place, cache)}
        assert remembered == {node.id for node in nodes}, 'the walk missed some'
        dead = {node.id for node in nodes[:3]}
        for node in nodes[:3]:
            node.kill()
        warm = join(place, '--cache', cache)
        assert warm['status'] == 'joined' and {p['via'] for p in warm['peers']} <= {'cache', 'dht'}, warm
        assert not dead & {p['id'] for p in warm['peers']}, warm
        assert {f['code'] for f in warm['failures']} <= {'refused', 'cancelled'}, warm
        # what happened is remembered too
        by_id = {peer['id']: peer for peer in listed(place, cache)}
        for failure in warm['failures']:
            if failure['code'] == 'refused':
                assert by_id[failure['id']]['addrs'][0]['failure_count'] >= 1, by_id[failure['id']]
    finally:
        for node in nodes:
            node.kill()


@case
def no_walk_learns_less_than_a_walk(place):
    nodes = network(place, 6)
    try:
        cache = os.path.join(place, 'peers.db')
        report = join(place, '--cache', cache, '--target-peers', '1', '--no-walk', '--peer', nodes[0].addr)
        assert report['verified'] == 1, report
        assert nodes[0].id in {peer['id'] for peer in listed(place, cache)}
        walked = os.path.join(place, 'walked.db')
        report = join(place, '--cache', walked, '--target-peers', '1', '--peer', nodes[0].addr)
        assert report['verified'] == 1 and len(report['peers']) == 1, report
        assert {peer['id'] for peer in listed(place, walked)} == {node.id for node in nodes}
    finally:
        for node in nodes:
            node.kill()


@case
def many_clients_share_one_cache(place):
    cache = os.path.join(place, 'peers.db')
    with Node(place, '--no-cache') as node:
        clients = [subprocess.Popen([PEERCACHE, 'join', '--local', '--json', '--cache', cache, '--peer', node.addr],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(place))
                   for _ in range(6)]
        try:
            for client in clients:
                out, err = client.communicate(timeout=WAIT_S)
                assert client.returncode == 0 and json.loads(out)['saved'] is True, (out, err)
        finally:
            for client in clients:
                if client.poll() is None:
                    client.kill()
        peer, = listed(place, cache)
        assert peer['addrs'][0]['success_count'] == 6, 'successes were lost: %s' % peer


@case
def a_client_is_in_nobodys_table(place):
    with Node(place, '--no-cache') as node:
        join(place, '--no-cache', '--peer', node.addr)
        report = join(place, '--no-cache', '--peer', node.addr)
        assert report['dialed'] == 1, 'dialled a client that left: %s' % report


main()
