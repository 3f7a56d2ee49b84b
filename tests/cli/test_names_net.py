"""join through names: dnsmasq answers for those below `test`, real nodes are where they lead."""
import contextlib
import os
import socket
import tempfile

from harness import STRANGER, Node, case, environment, main, run
from joining import asking, describe, join, network
from servers import IP6, on_free_ports, run_dnsmasq, silent_socket

stack = contextlib.ExitStack()
nodes = []
resolver = []  # the flag


def records(six):
    """One node behind each name."""
    one, two, three = nodes
    lines = ['host-record=four.test,127.0.0.1', 'host-record=six.test,::1', 'host-record=both.test,127.0.0.1,::1',
             'host-record=nothing.test,192.0.2.1']
    texts = {'_dnsaddr.boot.test': ['dnsaddr=' + one.addr, 'dnsaddr=' + two.addr, 'unrelated=1', 'dnsaddr=rubbish'],
             '_dnsaddr.first.test': ['dnsaddr=/dnsaddr/second.test'],
             '_dnsaddr.second.test': ['dnsaddr=/dnsaddr/third.test/p2p/' + three.id],
             '_dnsaddr.third.test': ['dnsaddr=' + one.addr, 'dnsaddr=' + three.addr],  # one is not who was asked for
             '_dnsaddr.named.test': ['dnsaddr=/dns4/four.test/udp/%d/quic-v1/p2p/%s' % (two.port, two.id)],
             '_dnsaddr.loop.test': ['dnsaddr=/dnsaddr/loop.test', 'dnsaddr=/dnsaddr/loop.test'],
             '_dnsaddr.tcp.test': ['dnsaddr=/ip4/127.0.0.1/tcp/%d/p2p/%s' % (one.port, one.id)],
             '_dnsaddr.six.test': ['dnsaddr=' + six]}
    lines += ['txt-record=%s,"%s"' % (name, text) for name, all_of_it in texts.items() for text in all_of_it]
    return '\n'.join(lines)


def named(place, addr, *more, **expected):
    return join(place, *resolver, '--peer', addr, *more, **expected)


def verified_ids(report):
    return sorted(peer['id'] for peer in report['peers'])


@case
def names_of_hosts(place):
    for addr, node in [('/dns4/four.test', nodes[0]), ('/dns/four.test', nodes[1]), ('/dns/both.test', nodes[2])]:
        report = named(place, '%s/udp/%d/quic-v1/p2p/%s' % (addr, node.port, node.id))
        assert verified_ids(report) == [node.id], report
        assert report['peers'][0]['addr'] == node.addr and report['peers'][0]['via'] == 'flag', report
        dns = report['local']['dns']
        assert dns['questions'] - dns['failed'] >= 1, report
        assert dns['failed'] == 0 or addr == '/dns/four.test', report  # which has no address of IPv6


@case
def names_of_hosts_with_ip6(place):
    assert IP6, 'no IPv6 on loopback'
    for addr in ('/dns6/six.test', '/dns/six.test', '/dns/both.test', '/dnsaddr/six.test'):
        full = addr if 'dnsaddr' in addr else '%s/udp/%d/quic-v1' % (addr, six_node.port)
        report = named(place, full + '/p2p/' + six_node.id)
        assert [peer['addr'] for peer in report['peers']] == [six_node.addr], report


@case
def lists_of_addresses(place):
    report = named(place, '/dnsaddr/boot.test', target=2)
    assert verified_ids(report) == sorted([nodes[0].id, nodes[1].id]), report
    report = named(place, '/dnsaddr/boot.test/p2p/' + nodes[1].id)
    assert verified_ids(report) == [nodes[1].id] and report['sources']['flag']['dialed'] == 1, report


@case
def lists_within_lists(place):
    report = named(place, '/dnsaddr/first.test')
    assert verified_ids(report) == [nodes[2].id] and report['sources']['flag']['dialed'] == 1, report
    report = named(place, '/dnsaddr/named.test')
    assert verified_ids(report) == [nodes[1].id], report


@case
def a_list_that_leads_to_itself_ends(place):
    report = named(place, '/dnsaddr/loop.test', code=1)
    failure, = report['failures']
    assert failure['code'] == 'unsupported' and report['local']['dns']['questions'] <= 32, report


@case
def a_list_of_other_transports(place):
    report = named(place, '/dnsaddr/tcp.test', code=1)
    assert [f['code'] for f in report['failures']] == ['unsupported'] and report['cause'] == 'unsupported', report


@case
def a_name_that_is_none(place):
    report = named(place, '/dnsaddr/missing.test/p2p/' + STRANGER, code=1)
    failure, = report['failures']
    assert failure['code'] == 'dns_failed' and failure['addr'] == '/dnsaddr/missing.test/p2p/' + STRANGER, report
    assert report['cause'] == 'dns_failed' and report['local']['dns'] == {'questions': 1, 'failed': 1}, report
    report = named(place, '/dnsaddr/missing.test', '--peer', nodes[0].addr)
    assert verified_ids(report) == [nodes[0].id] and report['status'] == 'joined', report


@case
def a_silent_name_server_holds_up_nobody(place):
    with contextlib.ExitStack() as sockets:
        flags = ['--resolver', '127.0.0.1:%d' % silent_socket(sockets, socket.SOCK_DGRAM)]
        report = join(place, *flags, '--peer', '/dnsaddr/boot.test', '--peer', nodes[0].addr)
        assert verified_ids(report) == [nodes[0].id], report
        report = join(place, *flags, '--peer', '/dnsaddr/boot.test', '--timeout', '1s', code=1)
        assert report['status'] == 'failed' and report['elapsed_ms'] < 5000, report


@case
def an_endpoint_whose_host_has_no_name(place):
    report = join(place, *resolver, *asking('http://missing.test/peers.json'), code=1)
    assert report['endpoints'][0]['result'] == 'dns_failed' and report['cause'] == 'dns_failed', report
    assert report['endpoints'][0]['breaker'] == 'closed', report


@case
def names_are_stored_from_no_answer(place):
    """The cache has what a name led to, under its IP address."""
    cache = os.path.join(place, 'c.db')
    named(place, '/dnsaddr/named.test', cache=cache)
    peers = run(place, 'list', '--local', '--json', '--cache', cache).json()
    addrs = [addr['addr'] for peer in peers for addr in peer['addrs']]
    assert addrs and not [addr for addr in addrs if 'dns' in addr], peers


@case
def the_bootstrap_peers_of_a_description(place):
    """They are dialled outside of local mode, where loopback is to be allowed by name."""
    describe(place, 'ours', 'kad_protocol = /ipfs/kad/1.0.0', 'bootstrap = /dnsaddr/boot.test')
    flags = ['join', '--json', '--no-cache', '--no-walk', '--network', 'ours', '--target-peers', '2', *resolver]
    result = run(place, *flags, '--allow', '127.0.0.0/8', env=environment(place))
    assert result.code == 0 and result.json()['status'] == 'joined', str(result)
    assert [peer['via'] for peer in result.json()['peers']] == ['endpoint'] * 2, str(result)
    result = run(place, *flags, '--no-endpoints', '--allow', '127.0.0.0/8', env=environment(place))
    assert result.code == 1 and result.json()['cause'] == 'no_sources', str(result)


with stack:
    here = stack.enter_context(tempfile.TemporaryDirectory(prefix='peercache-test-'))
    nodes += stack.enter_context(network(3))
    six_node = stack.enter_context(Node(here, '--no-cache', '--listen', '/ip6/::1/udp/0/quic-v1'))
    port = on_free_ports(lambda: run_dnsmasq(stack, here, records(six_node.addr)))
    resolver += ['--resolver', '127.0.0.1:%d' % port]
    main()
