"""join through endpoints: nginx serves every format and everything that goes wrong on the web, real nodes are found by
what it gives. Arguments: the command, and the program that ages what is remembered of endpoints."""
import contextlib
import gzip
import json
import os
import random
import threading

import joining
from harness import STRANGER, Node, addr_of, case, expect, run, unused_port
from joining import World, asking, body_of, describe, endpoint_rows, make_older
from servers import RawServer, closed_port

LOCATIONS = '''
    location /crawling/ { alias %(files)s/; limit_rate 100; }
    location /slow/ { alias %(files)s/; limit_rate 1000; }
    location /zipped/ { alias %(files)s/; gzip on; gzip_min_length 1; gzip_types *; }
    location /as-gzip/ { alias %(files)s/; add_header Content-Encoding gzip; }
    location /as-html/ { alias %(files)s/; types { } default_type text/html; }
    location /as-image/ { alias %(files)s/; types { } default_type image/png; }
    location /dated/ { alias %(files)s/; etag off; }
    location /500 { return 500; }
    location /403 { return 403; }
    location /204 { return 204; }
    location /one { return 302 /peers.json; }
    location /two { return 301 /one; }
    location /three { return 307 /two; }
    location /four { return 308 /three; }
    location /loop { return 302 /loop; }
    location /to-file { return 302 "file:///etc/passwd"; }
    location /to-tls { return 302 "https://127.0.0.1:%(tls)d/peers.json"; }
'''
TLS_LOCATIONS = 'location /to-plain { return 302 "http://127.0.0.1:%(http)d/peers.json"; }'
WHEN = {'secs_since_epoch': 1735690000, 'nanos_since_epoch': 0}

world = World()  # three nodes


def fetch(place, *urls, code=0, target=1, more=(), cache=None):
    """A join from endpoints alone: the report."""
    report = joining.join(place, *asking(*urls), *more, code=code, target=target, cache=cache)
    assert [row['url'] for row in report['endpoints']] == list(urls), report
    assert all(peer['via'] in ('endpoint', 'dht') for peer in report['peers']), report
    return report


def served(place, url, **more):
    """This endpoint alone is enough: its row of the report."""
    report = fetch(place, url, **more)
    assert report['status'] == 'joined', report
    row, = report['endpoints']
    assert row['result'] == 'ok' and row['asked'] and row['delivered'] > 0 and row['breaker'] == 'closed', row
    return row


def refused_all(place, answers, cause='endpoints_down', said='', **more):
    """Nothing of these endpoints is used, for the reasons that are given: their rows of the report."""
    report = fetch(place, *answers, code=1, **more)
    assert report['dialed'] == 0 and report['cause'] == cause, report
    for row, answer in zip(report['endpoints'], answers.values()):
        assert (row['result'], row['status']) == answer and row['delivered'] == 0, (answer, row)
        assert said in (row['detail'] or ''), row
    return report['endpoints']


def refused(place, url, result, status=None, **more):
    return refused_all(place, {url: (result, status)}, **more)[0]


# -- which of several ---------------------------------------------------------------------------------------------


@case
def the_third_serves_when_the_first_is_down_and_the_second_fails(place):
    with contextlib.ExitStack() as ports:
        down = 'http://127.0.0.1:%d/' % closed_port(ports)
        report = fetch(place, down, world.web.url('500'), world.web.url('peers.json'), target=3)
    assert report['status'] == 'joined', report
    rows = report['endpoints']
    assert rows[2]['result'] == 'ok' and rows[2]['delivered'] == 3, rows
    assert [row['asked'] for row in rows] == [True] * 3, rows
    assert rows[0]['verified'] == rows[1]['verified'] == 0 and rows[0]['delivered'] == rows[1]['delivered'] == 0, rows


@case
def a_fourth_is_asked_once_one_of_three_has_failed(place):
    path = world.web.url('204')
    report = fetch(place, path + '?1', path + '?2', path + '?3', world.web.url('peers.json'))
    assert report['status'] == 'joined' and report['endpoints'][3]['result'] == 'ok', report


@case
def one_that_crawls_holds_up_nobody(place):
    world.web.put('large.txt', '\n'.join(world.addrs + ['#' + ' ' * 8000]))
    report = fetch(place, world.web.url('crawling/large.txt'), world.web.url('peers.json'), target=3)
    assert report['status'] == 'joined', report
    crawls, good = report['endpoints']
    assert crawls['result'] != 'ok' and crawls['delivered'] == 0 and good['result'] == 'ok', report


@case
def one_that_is_slow_serves_in_the_end(place):
    world.web.put('longer.txt', '\n'.join(world.addrs + ['#' + ' ' * 1500]))
    served(place, world.web.url('slow/longer.txt'))


@case
def one_that_says_nothing_is_given_up_at_the_end_of_the_time(place):
    def silent(_path, _request, connection):
        connection.recv(1)
    with raw_server(silent) as port:
        report = fetch(place, 'http://127.0.0.1:%d/' % port, code=1, more=['--timeout', '1s'])
    assert report['endpoints'][0]['result'] != 'ok' and report['status'] == 'failed', report


# -- what comes ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def raw_server(answer):
    server = RawServer(answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.port
    finally:
        server.shutdown()
        server.server_close()


@case
def an_answer_cut_short_is_not_used(place):
    """Whole lines of it name a good peer; but who knows what else was to come."""
    for head in (b'Content-Length: 5000', b'Transfer-Encoding: chunked'):
        text = (world.nodes[0].addr + '\n').encode()

        def cut(_path, _request, connection, head=head, text=text):
            chunk = b'%x\r\n%s\r\n' % (len(text), text) if b'chunked' in head else text
            connection.sendall(b'HTTP/1.1 200 OK\r\n%s\r\n\r\n%s' % (head, chunk))
        with raw_server(cut) as port:
            refused(place, 'http://127.0.0.1:%d/' % port, 'rubbish', 200)


@case
def a_document_cut_short_is_not_used(place):
    whole = body_of(world.addrs)
    for size in (1, len(whole) // 2, len(whole) - 1):
        refused(place, world.web.put('cut.json', whole[:size]), 'rubbish', 200)


@case
def status_codes(place):
    refused_all(place, {world.web.url('403'): ('http_error', 403), world.web.url('500'): ('http_error', 500),
                        world.web.url('not-there'): ('http_error', 404)})


@case
def redirects(place):
    for path in ('one', 'two', 'three', 'to-tls'):
        served(place, world.web.url(path), more=['--ca-file', world.web.ca])
    refused_all(place, {world.web.url(path): ('http_error', 302)
                        for path in ('four', 'loop', 'to-file')})


@case
def tls(place):
    url = world.web.secure_url('peers.json')
    served(place, url, more=['--ca-file', world.web.ca])
    refused_all(place, {url: ('tls_failed', None), 'https://[::1]:%d/peers.json' % world.web.tls: ('tls_failed', None)})
    refused(place, world.web.secure_url('to-plain'), 'http_error', 302, said='https', more=['--ca-file', world.web.ca])


@case
def the_type_does_not_matter_the_content_does(place):
    for path in ('as-html', 'as-image'):
        served(place, world.web.url(path + '/peers.json'))
    refused(place, world.web.put('page.json', '<!DOCTYPE html><html><body>It works!</body></html>'), 'rubbish', 200)


@case
def compressed_answers(place):
    served(place, world.web.url('zipped/peers.json'))
    assert 'gzip' in world.web.log('zipped/peers.json')[0]['accept_encoding']
    world.web.put('packed.json', gzip.compress(body_of([world.nodes[0].addr]).encode()))
    served(place, world.web.url('as-gzip/packed.json'))
    world.web.put('unpacked.json', body_of([world.nodes[0].addr]))
    refused(place, world.web.url('as-gzip/unpacked.json'), 'rubbish', 200)
    world.web.put('bomb.json', gzip.compress(b'[' + bytes(64 * 1024 * 1024), 9))
    refused(place, world.web.url('as-gzip/bomb.json'), 'rubbish', 200)


@case
def five_mebibytes_of_rubbish(place):
    rubbish = random.Random(7).randbytes(5 * 1024 * 1024)
    refused(place, world.web.put('rubbish.bin', rubbish), 'rubbish', 200)
    refused(place, world.web.put('rubbish.bin', rubbish[:4 * 1024 * 1024]), 'rubbish', 200)
    lines = (world.nodes[0].addr + '\n').encode() * (5 * 1024 * 1024 // len(world.nodes[0].addr))
    refused(place, world.web.put('many.txt', lines), 'rubbish', 200)  # well-formed, and too much all the same


@case
def the_cache_version_is_told(place):
    served(place, world.web.url('peers.json?version'))
    assert [row['cache_version'] for row in world.web.log('peers.json?version')] == ['1']


# -- once more ----------------------------------------------------------------------------------------------------


def confirmed(place, prefix, condition):
    """The second of two processes, a while later, is told that the first one's answer still holds."""
    cache = os.path.join(place, 'peers.db')
    name = prefix + 'again-%s.json' % condition
    world.web.put(os.path.basename(name), body_of(world.addrs))
    url = world.web.url(name)
    fetch(place, url, cache=cache)
    expect(run(place, 'remove', '--local', '--cache', cache, *world.ids), 0)
    make_older(cache, url, 61)  # a younger answer would be shared, and nothing asked
    report = fetch(place, url, cache=cache, target=3)
    row, = report['endpoints']
    assert row['result'] == 'not_modified' and row['status'] == 304 and row['delivered'] == 3, row
    assert report['status'] == 'joined', report
    first, second = world.web.log(name)
    assert first[condition] == '' and first['status'] == 200, first
    assert second[condition] != '' and second['status'] == 304, second
    row, = endpoint_rows(place, cache, url)
    assert row['result'] == 'not_modified' and row['delivered'] == row['verified'] == 3, row


@case
def an_etag_is_sent_back(place):
    confirmed(place, '', 'if_none_match')


@case
def a_time_of_modification_is_sent_back(place):
    confirmed(place, 'dated/', 'if_modified_since')


# -- formats ------------------------------------------------------------------------------------------------------


def formats():
    """Each format with the addresses of the nodes, and its name."""
    addrs = world.addrs
    ids = [node.id for node in world.nodes]

    def entry(addr, when):
        return {'addr': addr, 'success_count': 1, 'failure_count': 0, 'last_seen': when}
    yield 'list', json.dumps({'last_updated': '2025-01-01T00:00:00Z',
                              'peers': [entry(addr, '2025-01-01T00:00:00Z') for addr in addrs]})
    yield 'map', json.dumps({'peers': {addr: entry(addr, WHEN) for addr in addrs}})
    yield 'ant-v0', json.dumps({'peers': {i: [entry(addr, WHEN)] for i, addr in zip(ids, addrs)}, 'last_updated': WHEN,
                                'network_version': 'ours_1.0'})
    yield 'ant-v1', json.dumps({'peers': [[i, [addr]] for i, addr in zip(ids, addrs)], 'last_updated': WHEN,
                                'network_version': 'ours_1.0', 'cache_version': '1'})
    yield 'endpoint', json.dumps({'peers': addrs, 'metadata': {'last_updated': '2025-01-01T00:00:00Z', 'description': 'x'}})
    yield 'text', '\n'.join(addrs) + '\n'
    yield 'kubo', json.dumps({'Identity': {'PeerID': STRANGER}, 'Bootstrap': addrs, 'Datastore': {'StorageMax': '10GB'}})


@case
def every_format(place):
    seen = []
    for name, body in formats():
        row = served(place, world.web.put('format', body), target=3)
        assert row['delivered'] == 3 and row['detail'] is None, (name, row)
        seen.append(name)
    assert len(seen) == 7, seen


@case
def another_network_version_gives_nothing_and_says_so(place):
    versions = 0
    for name, body in formats():
        url = world.web.put('versions', body)
        describe(place, 'ours', 'kad_protocol = /ipfs/kad/1.0.0', 'network_version = ours_2.0')
        if 'network_version' in body:
            versions += 1
            refused(place, url, 'wrong_network', 200, cause='wrong_network', said='ours_2.0', more=['--network', 'ours'])
            said = run(place, 'join', '--local', '--no-cache', '--network', 'ours', '--endpoint', url)
            expect(said, 1)
            assert 'wrong_network' in said.out and 'ours_1.0' in said.out and 'ours_2.0' in said.out, (name, str(said))
        describe(place, 'ours', 'kad_protocol = /ipfs/kad/1.0.0', 'network_version = ours_1.0')
        served(place, url, more=['--network', 'ours'])
    assert versions == 2, versions


@case
def a_list_of_our_own_of_another_network(place):
    cache = os.path.join(place, 'other.db')
    with Node(place, '--no-cache', '--network', 'other', '--kad-protocol', '/other/kad/1.0.0') as node:
        flags = ['--local', '--network', 'other', '--kad-protocol', '/other/kad/1.0.0', '--cache', cache]
        expect(run(place, 'join', '--peer', node.addr, *flags), 0)
        exported = run(place, 'export', *flags)
    refused(place, world.web.put('exported', exported.out), 'wrong_network', 200, cause='wrong_network', said='other')


# -- addresses ----------------------------------------------------------------------------------------------------


@case
def untidy_lists(place):
    addrs = world.addrs
    untidy = ['\ufeff' + '\r\n'.join(addrs) + '\r\n',
              '\n\n  \t\n' + '\n\n'.join('  \t%s \t ' % addr for addr in addrs),
              '# peers\n%s\n   # of ours\n%s\n#\n%s' % tuple(addrs),
              '\r\n\r\n#\r\n' + '\r\n'.join(addrs)]
    for body in untidy:
        row = served(place, world.web.put('untidy', body), target=3)
        assert row['delivered'] == 3 and row['detail'] is None, (body, row)
    row = served(place, world.web.put('untidy', 'one\n%s\ntwo\n%s\n/ip4/1.2.3\n%s\n' % tuple(addrs)), target=3)
    assert row['delivered'] == 3 and '3 of 6' in row['detail'], row


@case
def every_form_of_address(place):
    with Node(place, '--no-cache', '--listen', '/ip6/::1/udp/0/quic-v1', '--peer', world.nodes[0].addr) as six:
        assert six.addr.startswith('/ip6/::1/'), six.addr
        row = served(place, world.web.put('single', six.addr))
        assert row['delivered'] == 1, row
        served(place, world.web.put('single', six.addr.split('/p2p/')[0]))  # the handshake tells who it is
        served(place, world.web.put('single', addr_of(world.nodes[0].port)))
        served(place, world.web.put('single', addr_of(world.nodes[0].port).replace('/ip4/127.0.0.1', '/ip6/::ffff:127.0.0.1')))
        of_no_use = ['/ip4/127.0.0.1/tcp/%d/p2p/%s' % (world.nodes[0].port, world.nodes[0].id),
                     '/ip4/127.0.0.1/udp/%d/quic/p2p/%s' % (world.nodes[0].port, world.nodes[0].id),
                     world.nodes[0].addr + '/p2p-circuit/p2p/' + STRANGER,
                     '/ip4/0.0.0.0/udp/4001/quic-v1/p2p/' + STRANGER,
                     '/ip4/224.0.0.1/udp/4001/quic-v1/p2p/' + STRANGER,
                     '/ip6/ff02::1/udp/4001/quic-v1/p2p/' + STRANGER,
                     '/dns4/localhost/udp/%d/quic-v1/p2p/%s' % (world.nodes[0].port, world.nodes[0].id),
                     '/dnsaddr/localhost']
        report = fetch(place, world.web.put('none', '\n'.join(of_no_use)), code=1)
        row, = report['endpoints']
        assert row['result'] == 'ok' and row['delivered'] == 0 and report['dialed'] == 0, report
        assert report['cause'] == 'endpoints_down', report
        row = served(place, world.web.put('mixed', '\n'.join(of_no_use + [six.addr, world.nodes[0].addr])))
        assert row['delivered'] == 2, row


@case
def what_may_not_be_asked(place):
    for url in ('file:///etc/passwd', 'ftp://127.0.0.1/', 'gopher://127.0.0.1/', 'http://user:word@127.0.0.1/', 'x'):
        expect(run(place, 'join', '--local', '--no-cache', '--endpoint', url), 2, '--endpoint')


@case
def peers_that_are_gone(place):
    dead = [addr_of(unused_port(), STRANGER)]
    report = fetch(place, world.web.put('dead', body_of(dead)), code=1)
    assert report['cause'] == 'all_stale' and report['sources']['endpoint']['failed'] == {'refused': 1}, report


world.run(3, LOCATIONS, TLS_LOCATIONS)
