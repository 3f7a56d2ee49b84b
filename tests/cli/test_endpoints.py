"""peercache endpoints: which there are, and what the cache remembers of them. Arguments: the command, and the program
that writes such memories."""
import os
import re

from harness import STRANGER, addr_of, case, environment, expect, main, run
from joining import describe, remember

KEYS = ['breaker', 'delivered', 'detail', 'from', 'last_answer', 'last_asked', 'next_try_ms', 'result', 'status', 'url',
        'verified']
NEVER = {'breaker': 'closed', 'delivered': 0, 'detail': None, 'last_answer': None, 'last_asked': None, 'next_try_ms': 0,
         'result': None, 'status': None, 'verified': 0}
OTHER = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'


def endpoints(place, *arguments, said='', **more):
    result = run(place, 'endpoints', '--json', *arguments, **more)
    expect(result, 0)
    assert (said in result.err) if said else result.err == '', str(result)
    rows = result.json()
    for row in rows:
        assert sorted(row) == KEYS, row
    return rows


@case
def none_at_all(place):
    assert endpoints(place, '--no-cache') == []
    assert endpoints(place, '--cache', 'none.db', said='no cache at none.db yet') == []
    result = run(place, 'endpoints', '--no-cache')
    assert result.out == '0 endpoints\n', str(result)
    assert os.listdir(place) == [], os.listdir(place)


@case
def those_given_and_those_described(place):
    describe(place, 'mychain', 'kad_protocol = /my/kad/1.0.0', 'endpoint = https://a.example/v1', 'endpoint = http://b.example/')
    rows = endpoints(place, '--no-cache', '--network', 'mychain', '--endpoint', 'http://b.example/',
                     '--network-contacts-url', 'http://c.example/,http://d.example/')
    assert [(row['url'], row['from']) for row in rows] == [
        ('http://b.example/', 'flag'), ('http://c.example/', 'flag'), ('http://d.example/', 'flag'),
        ('https://a.example/v1', 'network')], rows
    for row in rows:
        assert {key: row[key] for key in NEVER} == NEVER, row
    for flags, count in [(['--no-endpoints'], 0), (['--kad-protocol', '/my/kad/1.0.0'], 2), (['--kad-protocol', '/a/b'], 0)]:
        assert len(endpoints(place, '--no-cache', '--network', 'mychain', *flags)) == count, flags
    assert endpoints(place, '--no-cache', '--network', 'mychain', '--local') == []


@case
def an_unknown_network(place):
    result = run(place, 'endpoints', '--no-cache', '--network', 'nosuch')
    expect(result, 2, 'nosuch', 'ipfs')
    assert endpoints(place, '--no-cache', '--network', 'nosuch', '--kad-protocol', '/a/b') == []


@case
def what_is_remembered(place):
    for cache in ['c.db', 'c.json']:
        path = os.path.join(place, cache)
        good, stranger = addr_of(4001, STRANGER), addr_of(4002, OTHER)
        expect(run(place, 'report', '--local', '--cache', path, good, 'success'), 0)
        expect(run(place, 'add', '--local', '--cache', path, stranger), 0)
        remember(path, 'https://good.example/', peers=[good, stranger, addr_of(4003)])
        remember(path, 'https://bad.example/', 'http_error', 503, 'down', failures=5)
        remember(path, 'https://slow.example/', 'timeout', 0, 'silent', failures=4)
        remember(path, 'https://probed.example/', 'rubbish', 200, 'no format', failures=5, ago_ms=70000)
        before = os.stat(path).st_mtime_ns
        rows = endpoints(place, '--local', '--cache', path, '--endpoint', 'https://slow.example/')
        assert rows[0]['url'] == 'https://slow.example/' and rows[0]['from'] == 'flag', rows
        by_url = {row['url']: row for row in rows}
        assert len(by_url) == len(rows) == 4, rows
        one = by_url['https://good.example/']
        assert one['from'] == 'cache' and one['result'] == 'ok' and one['status'] == 200 and one['detail'] is None, one
        assert one['delivered'] == 3 and one['verified'] == 1 and one['breaker'] == 'closed', one
        assert one['last_asked'] == one['last_answer'] and one['next_try_ms'] == 0, one
        bad = by_url['https://bad.example/']
        assert bad['result'] == 'http_error' and bad['status'] == 503 and bad['detail'] == 'down', bad
        assert bad['breaker'] == 'open' and 0 < bad['next_try_ms'] <= 68000 and bad['last_answer'] is None, bad
        assert bad['last_asked'] and bad['delivered'] == 0, bad
        slow = by_url['https://slow.example/']
        assert slow['result'] == 'timeout' and slow['status'] is None and slow['breaker'] == 'closed', slow
        probed = by_url['https://probed.example/']
        assert probed['breaker'] == 'open' and probed['next_try_ms'] == 0, probed
        assert os.stat(path).st_mtime_ns == before, 'written to'


@case
def one_that_is_asked_now(place):
    path = os.path.join(place, 'c.db')
    remember(path, 'https://busy.example/', 'asked now')
    row, = endpoints(place, '--local', '--cache', path)
    assert row['next_try_ms'] is None and row['result'] is None and row['last_asked'], row
    assert 'is asked now' in run(place, 'endpoints', '--local', '--cache', path).out


@case
def a_long_url_is_found_by_its_hash(place):
    path = os.path.join(place, 'c.db')
    url = 'https://long.example/' + 'x' * 1000
    remember(path, url, 'refused', 0, 'nobody listens')
    for arguments, origin in [([], 'cache'), (['--endpoint', url], 'flag')]:
        row, = endpoints(place, '--local', '--cache', path, *arguments)
        assert row['url'] == url and row['from'] == origin and row['result'] == 'refused', row


@case
def what_cannot_be_read_is_passed_over(place):
    path = os.path.join(place, 'c.db')
    remember(path, 'https://broken.example/', 'rubbish bytes')
    remember(path, 'https://whole.example/', 'tls_failed', 0, 'expired')
    row, = endpoints(place, '--local', '--cache', path, said='endpoint:https://broken.example/')
    assert row['url'] == 'https://whole.example/', row
    row = endpoints(place, '--local', '--cache', path, '--endpoint', 'https://broken.example/', said="can't be read")[0]
    assert row['from'] == 'flag' and {key: row[key] for key in NEVER} == NEVER, row


@case
def in_words(place):
    path = os.path.join(place, 'c.db')
    good = addr_of(4001, STRANGER)
    expect(run(place, 'report', '--local', '--cache', path, good, 'success'), 0)
    remember(path, 'https://good.example/', peers=[good])
    remember(path, 'https://bad.example/', 'http_error', 503, 'down', failures=5)
    result = run(place, 'endpoints', '--local', '--cache', path, '--endpoint', 'http://new.example/')
    expect(result, 0)
    assert result.out.startswith('http://new.example/  (flag)\n    closed; last asked never\n'), str(result)
    assert re.search(r'https://good.example/  \(cache\)\n    closed; last asked \S+Z: ok 200: 1 peer\n'
                     r'    1 peer of \S+Z, 1 of them ever verified\n', result.out), str(result)
    assert re.search(r'https://bad.example/  \(cache\)\n    open; last asked \S+Z: http_error 503: down\n'
                     r'    may be asked again in \d+ s\n', result.out), str(result)
    assert result.out.endswith('\n3 endpoints\n'), str(result)


@case
def a_cache_that_is_none(place):
    path = os.path.join(place, 'file')
    with open(path, 'w', encoding='utf-8') as file:
        file.write('x' * 5000)
    expect(run(place, 'endpoints', '--local', '--cache', path), 2, path)
    remember(os.path.join(place, 'c.db'), 'https://good.example/')
    expect(run(place, 'endpoints', '--cache', os.path.join(place, 'c.db'), env=environment(place)), 2, 'c.db')


main()
