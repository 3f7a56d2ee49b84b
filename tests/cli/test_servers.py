"""Joins through real servers on loopback: nginx (plain and with TLS) as endpoints, dnsmasq as the name server, and machines
with one family of addresses or none, in network namespaces of their own."""
import contextlib
import json
import os
import shutil
import subprocess
import sys

import servers
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'driver'))
from with_servers import start_nginx  # pylint: disable=wrong-import-position
from harness import (PEERCACHE, STRANGER, Node, Skip, case, environment, expect, main, run,  # pylint: disable=wrong-import-position
                     silent_port)

FORMATS = ['list', 'map', 'ant-v0', 'ant-v1', 'endpoint', 'text', 'kubo']


class World:
    """Nodes, nginx and dnsmasq: what each case needs of them."""

    def __init__(self, place, stack):
        self.place = place
        self.stack = stack
        self.ports = {'raw': 0, 'dns_odd': 0}
        self.www = os.path.join(place, 'www')
        self.files = os.path.join(self.www, 'files')
        os.makedirs(self.files)

    def nginx(self):
        servers.make_certificates(self.www)
        start_nginx(self.stack, self.www, self.ports)
        return self

    def url(self, path, counted=True):
        return 'http://127.0.0.1:%d/%s%s' % (self.ports['http'], 'counted/' if counted else '', path)

    def requests(self):
        log = os.path.join(self.www, 'access.log')
        with open(log, encoding='utf-8') as file:
            return [line.split('"')[1].split()[1] + ' ' + line.split('"')[2].split()[0] for line in file]

    def nodes(self, count):
        nodes = []
        for _ in range(count):
            peer = ['--peer', nodes[0].addr] if nodes else []
            nodes.append(self.stack.enter_context(Node(self.place, '--no-cache', *peer)))
        return nodes

    def serve(self, name, text):
        with open(os.path.join(self.files, name), 'w', encoding='utf-8', newline='') as file:
            file.write(text)


def world(function):
    """A case in such a world."""
    def wrapped(place):
        with contextlib.ExitStack() as stack:
            function(World(place, stack), place)
    wrapped.__name__ = function.__name__
    return case(wrapped)


def join(place, *arguments, code=None):
    result = run(place, 'join', '--local', '--json', *arguments)
    assert code is None or result.code == code, 'expected exit %d: %s' % (code, result)
    return result.json()


def results(report):
    return [e['result'] for e in report['endpoints']]


@world
def the_third_endpoint_serves(w, place):
    node, = w.nginx().nodes(1)
    w.serve('peers.txt', node.addr + '\n')
    nobody = 'http://127.0.0.1:%d/' % servers.free_port()
    report = join(place, '--no-cache', '--target-peers', '1', '--endpoint', nobody, '--endpoint', w.url('500', False),
                  '--endpoint', w.url('peers.txt'), code=0)
    assert results(report) == ['refused', 'http_error', 'ok'], report['endpoints']
    assert [p['via'] for p in report['peers']] == ['endpoint'], report


@world
def an_answer_in_every_format_joins(w, place):
    """Of a real cache, exported; each format that can carry it, gzipped too, and after a redirect."""
    nodes = w.nginx().nodes(2)
    cache = os.path.join(place, 'filled.db')
    join(place, '--cache', cache, '--target-peers', '2', '--peer', nodes[0].addr, '--peer', nodes[1].addr, code=0)
    for name in FORMATS:
        expect(run(place, 'export', '--local', '--cache', cache, '--format', name, '-o', os.path.join(w.files, name)), 0)
        report = join(place, '--no-cache', '--target-peers', '2', '--endpoint', w.url('zipped/' + name, False), code=0)
        assert report['verified'] == 2 and results(report) == ['ok'], (name, report)
    shutil.copytree(w.files, os.path.join(w.www, 'copy'))
    os.makedirs(os.path.join(w.files, 'formats'))
    shutil.copy(os.path.join(w.files, 'text'), os.path.join(w.files, 'formats', 'text.txt'))
    for path, result in (('two', 'ok'), ('four', 'http_error'), ('loop', 'http_error'), ('to-file', 'http_error')):
        report = join(place, '--no-cache', '--target-peers', '2', '--timeout', '3s', '--endpoint', w.url(path, False))
        assert results(report) == [result], (path, report['endpoints'])


@world
def a_list_as_people_write_it(w, place):
    """BOM, CRLF, comments, blank and indented lines, a bad line, IPv6, TCP and relayed addresses: what is usable is used."""
    node, = w.nginx().nodes(1)
    w.serve('list.txt', '\ufeff# our peers\r\n\r\n   \t\r\n  %s  \r\nnot an address\r\n/ip4/127.0.0.1/tcp/4001/p2p/%s\r\n'
            '/ip6/::1/udp/1/quic-v1/p2p/%s\r\n/ip4/127.0.0.1/udp/9/quic-v1/p2p/%s/p2p-circuit\r\n'
            % (node.addr, STRANGER, STRANGER, STRANGER))
    report = join(place, '--no-cache', '--target-peers', '1', '--endpoint', w.url('list.txt'), code=0)
    assert [p['addr'] for p in report['peers']] == [node.addr], report
    assert report['endpoints'][0]['delivered'] == 2 and report['sources']['endpoint']['offered'] == 2, report['endpoints']


@world
def processes_share_an_answer(w, place):
    """Twenty at once on one cache, and one after them: one request in all."""
    nodes = w.nginx().nodes(3)
    w.serve('peers.txt', ''.join(node.addr + '\n' for node in nodes))
    cache = os.path.join(place, 'c.db')
    command = [PEERCACHE, 'join', '--local', '--json', '--no-walk', '--target-peers', '3', '--ignore-cache', '--cache', cache,
               '--timeout', '20s', '--endpoint', w.url('peers.txt')]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(place), cwd=place)
               for _ in range(20)]
    reports = [json.loads(process.communicate(timeout=60)[0]) for process in running]
    assert [r['status'] for r in reports] == ['joined'] * 20, [r['status'] for r in reports]
    assert w.requests() == ['/counted/peers.txt 200'], w.requests()
    late = join(place, *command[4:], code=0)
    assert late['endpoints'][0]['shared'], late['endpoints']
    assert len(w.requests()) == 1, w.requests()


@world
def a_breaker_opens_and_stays_open_over_restarts(w, place):
    """Rubbish with status 200 counts, and so do only unusable addresses, and peers of which none can be verified."""
    w.nginx()
    w.serve('page.html', '<html>It works!</html>')
    w.serve('relayed.txt', '/ip4/127.0.0.1/udp/9/quic-v1/p2p/%s/p2p-circuit\n' % STRANGER)
    sock, port = silent_port()
    sock.close()  # nothing listens there: refused, which is no silence
    w.serve('dead.txt', '/ip4/127.0.0.1/udp/%d/quic-v1/p2p/%s\n' % (port, STRANGER))
    for name, result in (('page.html', 'rubbish'), ('relayed.txt', 'ok'), ('dead.txt', 'ok')):
        cache = os.path.join(place, name + '.db')
        arguments = ['--cache', cache, '--ignore-cache', '--timeout', '5s', '--endpoint', w.url(name)]
        asked = 5 if name != 'dead.txt' else 1  # an answer with peers is shared for a minute, with oneself too
        for _ in range(asked):
            report = join(place, *arguments, code=1)
            assert results(report) == [result], report['endpoints']
        kept = run(place, 'endpoints', '--local', '--json', '--cache', cache).json()
        if name == 'dead.txt':
            assert report['endpoints'][0]['breaker'] == 'closed' and report['metrics']['fetches'] == {'ok': 1}, report
            continue
        assert report['endpoints'][0]['breaker'] == 'open', (name, report['endpoints'])
        assert kept[0]['breaker'] == 'open' and kept[0]['next_try_ms'] > 30000, kept
        before = w.requests()
        report = join(place, *arguments, code=1)
        assert not report['endpoints'][0]['asked'] and report['cause'] == 'endpoints_down', report
        assert w.requests() == before and before.count('/counted/page.html 200') == 5, w.requests()


@world
def peers_of_another_network_are_not_taken(w, place):
    """The network's description names its version; an answer of another one yields nothing and says so."""
    node, = w.nginx().nodes(1)
    networks = os.path.join(place, 'config', 'peercache', 'networks')
    os.makedirs(networks)
    with open(os.path.join(networks, 'mine'), 'w', encoding='utf-8') as file:
        file.write('kad_protocol = /ipfs/kad/1.0.0\nnetwork_version = 1_1.0\nendpoint = %s\n' % w.url('ant.json'))
    for version, code in (('2_9.9', 1), ('1_1.0', 0)):
        w.serve('ant.json', json.dumps({'cache_version': '1', 'network_version': version, 'peers': [[node.id, [node.addr]]],
                                        'last_updated': {'secs_since_epoch': 1760000000, 'nanos_since_epoch': 0}}))
        result = run(place, 'join', '--json', '--allow', '127.0.0.0/8', '--no-cache', '--network', 'mine', '--target-peers', '1')
        expect(result, code)
        report = result.json()
        if code:
            assert report['cause'] == 'wrong_network' and results(report) == ['wrong_network'], report
            assert version in report['endpoints'][0]['detail'], report['endpoints']
            assert report['sources']['endpoint']['offered'] == 0, report['sources']


@world
def tls_is_verified(w, place):
    node, = w.nginx().nodes(1)
    w.serve('peers.txt', node.addr + '\n')
    ca = os.path.join(w.www, 'ca.pem')
    for port, arguments, result in (('tls', ['--ca-file', ca], 'ok'), ('tls', [], 'tls_failed'),
                                    ('tls_expired', ['--ca-file', ca], 'tls_failed'),
                                    ('tls_other', ['--ca-file', ca], 'tls_failed')):
        report = join(place, '--no-cache', '--target-peers', '1', '--timeout', '2s', *arguments,
                      '--endpoint', 'https://127.0.0.1:%d/peers.txt' % w.ports[port])
        assert results(report) == [result], (port, report['endpoints'])
        assert (report['status'] == 'joined') == (result == 'ok'), report


@world
def names_lead_to_peers(w, place):
    """/dns4, /dns and a /dnsaddr that leads on by another name; and a name that there is not."""
    node, = w.nodes(1)
    ports = {'dns': servers.free_port()}
    records = ('host-record=peer.test,127.0.0.1\ntxt-record=_dnsaddr.boot.test,"dnsaddr=/dnsaddr/inner.test/p2p/%s"\n'
               'txt-record=_dnsaddr.inner.test,"dnsaddr=%s"\ntxt-record=_dnsaddr.inner.test,"other text"\n' % (node.id, node.addr))
    with open(os.path.join(w.www, 'dnsmasq.conf'), 'w', encoding='utf-8') as file:
        file.write('port=%d\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nno-daemon\npid-file=\nuser=%s\n'
                   'local=/test/\n%s' % (ports['dns'], 'root' if not os.getuid() else os.environ.get('USER', 'root'), records))
    process = servers.start(w.stack, [servers.tool('dnsmasq'), '-C', os.path.join(w.www, 'dnsmasq.conf')], w.www)
    servers.await_port(process, ports['dns'], w.www)
    resolver = ['--resolver', '127.0.0.1:%d' % ports['dns']]
    for peer in ('/dns4/peer.test/udp/%d/quic-v1/p2p/%s' % (node.port, node.id), '/dns/peer.test/udp/%d/quic-v1' % node.port,
                 '/dnsaddr/boot.test/p2p/' + node.id, '/dnsaddr/boot.test'):
        report = join(place, '--no-cache', '--target-peers', '1', *resolver, '--peer', peer, code=0)
        assert [p['id'] for p in report['peers']] == [node.id] and report['peers'][0]['via'] == 'flag', (peer, report)
    report = join(place, '--no-cache', *resolver, '--peer', '/dns4/missing.test/udp/1/quic-v1', code=1)
    assert report['cause'] == 'dns_failed' and [f['code'] for f in report['failures']] == ['dns_failed'], report


@case
def a_silent_name_server_holds_nobody_up(place):
    sock, port = silent_port()
    with sock, Node(place, '--no-cache') as node:
        resolver = ['--resolver', '127.0.0.1:%d' % port, '--peer', '/dns4/peer.test/udp/1/quic-v1']
        report = join(place, '--no-cache', '--target-peers', '1', *resolver, '--peer', node.addr, code=0)
        assert report['elapsed_ms'] < 5000, report  # the question has that long
        report = join(place, '--no-cache', '--timeout', '1s', *resolver, code=1)
        assert report['cause'] in ('dns_failed', 'timed_out') and report['elapsed_ms'] < 5000, report


# ----- machines with one family, or none -----

def in_namespace(place, script, *arguments, env=None):
    """A shell script in a network namespace of its own; `$0` is the command under test."""
    if os.getuid() or subprocess.run(['unshare', '-n', 'ip', 'link', 'set', 'lo', 'up'], capture_output=True,
                                     check=False).returncode:
        raise Skip('no network namespace may be made here')
    done = subprocess.run(['unshare', '-n', 'sh', '-ec', script, PEERCACHE] + list(arguments), capture_output=True,
                          env=env or environment(place), cwd=place, check=False, timeout=60)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert 'Sanitizer' not in err and 'runtime error' not in err, err
    return done.returncode, out, err


ONE_FAMILY = '''
rm -f node.out
ip link set lo up
ip link add d0 type veth peer name d1
ip addr add %(addr)s dev d0 %(nodad)s
ip link set d1 up
ip link set d0 up
"$0" run --no-cache --no-endpoints --listen /%(family)s/%(ip)s/udp/0/quic-v1 >node.out 2>node.err &
node=$!
for i in $(seq 200); do [ -s node.out ] && break; sleep 0.05; done
code=0
"$0" join --json --no-cache --no-endpoints --target-peers 1 --peer "$(head -n 1 node.out)" || code=$?
kill $node
wait $node
exit $code
'''


@case
def a_machine_with_one_family_of_addresses(place):
    for family, addr, ip in (('ip4', '93.184.1.1/24', '93.184.1.1'), ('ip6', '2a02:db8:1::1/64', '2a02:db8:1::1')):
        script = ONE_FAMILY % {'family': family, 'addr': addr, 'ip': ip, 'nodad': 'nodad' if family == 'ip6' else ''}
        code, out, err = in_namespace(place, script)
        assert code == 0, (family, code, out, err)
        report = json.loads(out)
        assert report['verified'] == 1, report
        assert report['local']['ip4'] == (family == 'ip4') and report['local']['ip6'] == (family == 'ip6'), report['local']


@case
def a_machine_without_a_network_blames_nobody(place):
    cache = os.path.join(place, 'c.db')
    peers = ['/ip4/93.184.%d.1/udp/4001/quic-v1/p2p/%s' % (i, STRANGER) for i in range(1, 6)]
    expect(run(place, 'add', '--cache', cache, *peers), 0)
    before = run(place, 'list', '--json', '--cache', cache).json()
    code, out, err = in_namespace(place, '"$0" join --json --no-endpoints --timeout 2s --cache "$1"', cache)
    assert code == 1, (code, out, err)
    report = json.loads(out)
    assert report['cause'] == 'offline' and not report['local']['ip4'] and not report['local']['ip6'], report
    after = run(place, 'list', '--json', '--cache', cache).json()
    failures = [a['failure_count'] for peer in after for a in peer['addrs']]
    assert failures == [0] * len(failures) and len(after) == len(before), after


LATE = '''
ip link set lo up
"$0" run --json --no-endpoints --cache "$1" >run.out 2>run.err &
run=$!
for i in $(seq 200); do grep -q '"status": *"failed"' run.out && break; sleep 0.05; done
ip link add d0 type veth peer name d1
ip addr add 93.184.1.1/24 dev d0
ip link set d1 up
ip link set d0 up
"$0" run --no-cache --no-endpoints --key "$2" --listen /ip4/93.184.1.1/udp/4001/quic-v1 >node.out 2>node.err &
node=$!
code=1
for i in $(seq 400); do grep -q '"status": *"degraded"' run.out && code=0 && break; sleep 0.05; done
kill $run $node
wait $run $node || true
exit $code
'''


@case
def a_node_that_starts_offline_joins_once_there_is_a_network(place):
    cache, key = os.path.join(place, 'c.db'), os.path.join(place, 'node.key')
    peer_id = run(place, 'id', '--key', key).out.strip()
    expect(run(place, 'add', '--cache', cache, '/ip4/93.184.1.1/udp/4001/quic-v1/p2p/' + peer_id), 0)
    code, out, err = in_namespace(place, LATE, cache, key)
    with open(os.path.join(place, 'run.out'), encoding='utf-8') as file:
        told = file.read()
    with open(os.path.join(place, 'run.err'), encoding='utf-8') as file:
        told += file.read()
    assert code == 0, (out, err, told)


main()
