"""The commands on the cache, one by one: what they answer, what they change, and what they say to bad input."""
import json
import os
import pty
import random
import select
import shutil
import subprocess
import time

from harness import PEERCACHE, STRANGER, WAIT_S, case, closed, environment, expect, main, run

VECTORS = os.path.join(os.environ.get('VECTORS', os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'vectors')),
                       'formats')
OTHER = '12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu'
ADDR = '/ip4/20.1.2.3/udp/4001/quic-v1'
FULL = ADDR + '/p2p/' + STRANGER
ON_CACHE = ['list', 'show', 'add', 'report', 'remove', 'ban', 'unban', 'pick', 'prune', 'import', 'export', 'stats', 'check']
ARGUMENTS = {'show': [STRANGER], 'add': [FULL], 'report': [FULL, 'success'], 'remove': [STRANGER], 'ban': ['20.1.0.0/16'],
             'unban': ['20.1.0.0/16'], 'import': ['-']}
BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'


def do(place, *arguments, code=0, **more):
    """Run it with --json on the cache of this place; what it answers."""
    result = run(place, *arguments, '--json', **more)
    assert result.code == code, 'expected exit %d: %s' % (code, result)
    return result.json()


def listed(place, *arguments):
    return do(place, 'list', *arguments)


def write(place, name, text):
    path = os.path.join(place, name)
    with open(path, 'wb') as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return path


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def peer_id(number):
    """The id of the Ed25519 key whose bytes are this number; no such peer need exist."""
    value = int.from_bytes(bytes([0, 0x24, 8, 1, 0x12, 0x20]) + number.to_bytes(32, 'big'), 'big')
    text = ''
    while value:
        value, digit = divmod(value, 58)
        text = BASE58[digit] + text
    return '1' + text


def many(count, start=0):
    """Peers in as many networks."""
    return ['/ip4/%d.%d.1.1/udp/4001/quic-v1/p2p/%s' % (20 + i // 200, i % 200, peer_id(i + 1)) for i in range(start, start + count)]


# -- add, show, list, report, remove --


@case
def add_shows_up(place):
    answer = do(place, 'add', FULL, '/ip6/2600:1::1/tcp/4001')
    assert answer == {'added': 2, 'refused': [], 'saved': True}, answer
    known, without_id = listed(place)
    assert known['id'] == STRANGER and known['state'] == 'new' and without_id['id'] is None, (known, without_id)
    addr, = known['addrs']
    assert addr['addr'] == ADDR and addr['learned_from'] == 'flag' and addr['success_count'] == 0, addr
    shown = do(place, 'show', STRANGER)
    assert shown['id'] == STRANGER and shown['reliable'] is False and shown['addrs'][0]['failures'] == {}, shown
    assert set(addr) < set(shown['addrs'][0]) and shown['addrs'][0]['first_seen'] == addr['last_seen'], shown
    assert do(place, 'show', '/ip6/2600:1::1/tcp/4001')['id'] is None
    result = run(place, 'show', STRANGER)
    expect(result, 0)
    assert STRANGER in result.out and ADDR in result.out and 'never' in result.out and result.err == '', str(result)


@case
def add_refuses_what_is_never_stored_and_keeps_the_rest(place):
    bad = ['/ip4/127.0.0.1/udp/1/quic-v1', '/ip4/0.0.0.0/udp/1/quic-v1', '/ip4/224.0.0.1/udp/1/quic-v1',
           '/ip4/20.1.2.3/udp/1/quic-v1/p2p/%s/p2p-circuit' % OTHER]
    answer = do(place, 'add', *bad, FULL, code=1)
    assert answer['added'] == 1 and answer['saved'] is True, answer
    assert [r['addr'] for r in answer['refused']] == bad, answer
    assert {r['code'] for r in answer['refused']} == {'unsupported'} and all(r['detail'] for r in answer['refused']), answer
    assert [p['id'] for p in listed(place)] == [STRANGER]
    assert do(place, 'add', '--local', bad[0])['added'] == 1
    assert do(place, 'add', '/dns4/example.org/udp/4001/quic-v1')['added'] == 1, 'a name on the command line is configuration'


@case
def add_looks_at_every_address_first(place):
    result = run(place, 'add', FULL, '/ip4/20.1.2/udp/1')
    expect(result, 2, "'/ip4/20.1.2/udp/1'")
    assert os.listdir(place) == [], 'something was made'


@case
def report_counts(place):
    do(place, 'add', FULL)
    assert do(place, 'report', FULL, 'success', '--rtt', '12ms') == {'outcome': 'ok', 'count': 1, 'saved': True}
    assert do(place, 'report', FULL, 'failure', '--count', '3', '--code', 'refused')['count'] == 3
    do(place, 'report', FULL, 'failure')
    shown = do(place, 'show', STRANGER)
    addr, = shown['addrs']
    assert shown['state'] == 'tried' and addr['success_count'] == 1 and addr['failure_count'] == 4, shown
    assert addr['failures'] == {'refused': 3, 'timeout': 1} and addr['rtt_ms'] == 12, addr
    assert addr['last_success'] and addr['last_attempt'] and addr['rtt_at'] == addr['last_success'], addr


@case
def reliability_after_two_successes_and_a_failure(place):
    do(place, 'report', FULL, 'success', '--count', '2')
    do(place, 'report', FULL, 'failure')
    shown = do(place, 'show', STRANGER)
    assert shown['reliable'] is True and shown['addrs'][0]['success_count'] == 2, shown


@case
def an_unverified_success_moves_last_seen_and_nothing_else(place):
    do(place, 'add', FULL)
    before = do(place, 'show', STRANGER)
    time.sleep(0.01)
    do(place, 'report', FULL, 'success', '--unverified')
    after = do(place, 'show', STRANGER)
    assert after['addrs'][0].pop('last_seen') > before['addrs'][0].pop('last_seen')
    assert before['state'] == after['state'] == 'new', after
    for known in before, after:
        known['addrs'][0].pop('score')
    assert before == after, (before, after)


@case
def report_of_a_stranger(place):
    expect(run(place, 'report', FULL, 'failure'), 1, 'not in the cache')
    assert do(place, 'report', FULL, 'failure', code=1)['error']['code'] == 'not_found'
    do(place, 'report', FULL, 'success')
    assert listed(place)[0]['state'] == 'tried'
    assert do(place, 'report', '/ip4/10.0.0.1/udp/1/quic-v1', 'success', code=2)['error']['code'] == 'unsupported'


@case
def report_says_what_is_wrong_with_it(place):
    for arguments, text in [(['report'], 'MULTIADDR is missing'), (['report', FULL], 'success|failure is missing'),
                            (['report', FULL, 'well'], "'well'"), (['report', '/ip4/x', 'success'], '/ip4/x'),
                            (['report', FULL, 'success', 'more'], "'more'"),
                            (['report', FULL, 'failure', '--code', 'ok'], "'ok'"),
                            (['report', FULL, 'failure', '--code', 'bad'], "'bad'"),
                            (['report', FULL, 'success', '--code', 'timeout'], '--code'),
                            (['report', FULL, 'failure', '--rtt', '1ms'], '--rtt'),
                            (['report', FULL, 'failure', '--unverified'], '--unverified'),
                            (['report', FULL, 'success', '--rtt', '12'], 'no unit'),
                            (['report', FULL, 'success', '--count', '0'], '--count'),
                            (['report', FULL, 'success', '--count', '4294967296'], '4294967296')]:
        expect(run(place, *arguments), 2, text)
    assert os.listdir(place) == []


@case
def counters_saturate(place):
    do(place, 'report', FULL, 'success', '--count', '4294967295')
    do(place, 'report', FULL, 'success', '--count', '2')
    assert do(place, 'show', STRANGER)['addrs'][0]['success_count'] == 4294967295


@case
def remove_forgets(place):
    do(place, 'add', FULL, '/ip4/20.9.1.1/udp/1/quic-v1/p2p/' + OTHER)
    answer = do(place, 'remove', STRANGER)
    assert answer == {'removed': 1, 'not_found': [], 'saved': True}, answer
    assert [p['id'] for p in listed(place)] == [OTHER]
    answer = do(place, 'remove', STRANGER, OTHER, code=1)
    assert answer == {'removed': 1, 'not_found': [STRANGER], 'saved': True}, answer
    assert listed(place) == []
    assert do(place, 'remove', 'nonsense', code=2)['error']['code'] == 'malformed'


@case
def what_is_not_there(place):
    expect(run(place, 'show', STRANGER), 1, STRANGER)
    assert do(place, 'show', STRANGER, code=1)['error']['code'] == 'not_found'
    assert do(place, 'remove', STRANGER, code=1)['saved'] is False
    assert do(place, 'pick') == [] and do(place, 'list') == []
    stats = do(place, 'stats')
    assert stats['peers'] == 0 and stats['store'] == 'none' and stats['last_updated'] is None, stats
    assert do(place, 'prune')['looked_at'] == 0
    assert do(place, 'check', code=1)['error']['code'] == 'not_found'
    assert json.loads(run(place, 'export').out)['peers'] == []
    assert do(place, 'ban', '--list') == []
    assert os.listdir(place) == [], 'looking made something: %s' % os.listdir(place)


@case
def no_cache_leaves_nothing_to_work_on(place):
    for command in ON_CACHE:
        result = run(place, command, *ARGUMENTS.get(command, []), '--no-cache')
        expect(result, 2, command, '--no-cache')


# -- ban and unban --


@case
def a_banned_peer_is_gone_and_stays_away(place):
    do(place, 'add', FULL)
    assert do(place, 'ban', STRANGER) == {'banned': 1, 'not_found': [], 'saved': True}
    assert listed(place) == []
    answer = do(place, 'add', FULL, code=1)
    assert answer['refused'][0]['code'] == 'permission', answer
    entry, = do(place, 'ban', '--list')
    assert entry['banned'] == STRANGER and entry['since'].endswith('Z'), entry
    assert do(place, 'stats')['banned'] == 1
    assert do(place, 'unban', STRANGER) == {'unbanned': 1, 'not_found': [], 'saved': True}
    assert do(place, 'unban', STRANGER, code=1)['not_found'] == [STRANGER]
    assert do(place, 'add', FULL)['added'] == 1


@case
def a_banned_range(place):
    inside, outside = '/ip4/20.1.200.3/udp/1/quic-v1', '/ip4/20.2.1.1/udp/1/quic-v1'
    do(place, 'add', inside, outside, '/ip6/2600:1:2::1/udp/1/quic-v1')
    do(place, 'ban', '20.1.0.0/16', '2600:1:2::/48')
    assert [p['addrs'][0]['addr'] for p in listed(place)] == [outside]
    assert {p['addr'] for p in do(place, 'pick')} == {outside}
    assert outside in run(place, 'export', '--format', 'text').out and inside not in run(place, 'export', '--format', 'text').out
    document = write(place, 'list.txt', inside + '\n')
    answer = do(place, 'import', document, code=1)
    assert answer['reasons'] == {'banned': 1}, answer
    answer = do(place, 'import', '--trust', document, code=1)
    assert answer['reasons'] == {'banned': 1}, answer
    assert sorted(b['banned'] for b in do(place, 'ban', '--list')) == ['20.1.0.0/16', '2600:1:2::/48']
    assert do(place, 'ban', '20.1.0.0/33', code=2)['error']['code'] == 'malformed'
    expect(run(place, 'ban'), 2, 'PEER_ID|CIDR is missing')
    expect(run(place, 'ban', '--list', STRANGER), 2, STRANGER)


# -- pick --


def timeless(picked):
    """Without the ages in the reasons, which move on between two picks."""
    return [dict(p, why=re.sub(r'\d+ (s|min) ago', 'lately', p['why'])) for p in picked]


@case
def pick_spreads_and_repeats_under_a_seed(place):
    do(place, 'add', *many(40))
    for addr in many(10):
        do(place, 'report', addr, 'success', '--rtt', '10ms')
    picked = do(place, 'pick', '-n', '8', '--seed', '7')
    assert len(picked) == 8 and all(sorted(p) == ['addr', 'id', 'score', 'state', 'why'] for p in picked), picked
    assert all(p['addr'].endswith('/p2p/' + p['id']) and 0 <= p['score'] <= 1000 and p['why'] for p in picked), picked
    assert len({p['id'] for p in picked}) == 8 and sum(p['state'] == 'tried' for p in picked) >= 5, picked
    ids = [p['id'] for p in picked] # `why` tells ages in seconds, which pass
    assert ids == [p['id'] for p in do(place, 'pick', '--number', '8', '--seed', '7')]
    lines = run(place, 'pick', '-n', '8', '--seed', '7').out.splitlines()
    assert [line.split()[0] for line in lines] == [p['addr'] for p in picked], lines
    assert len(do(place, 'pick')) == 10
    others = [do(place, 'pick', '-n', '8', '--seed', str(i)) for i in range(8, 12)]
    assert any([p['id'] for p in other] != ids for other in others), 'the seed changes nothing'


@case
def pick_explains(place):
    do(place, 'add', *many(6))
    do(place, 'report', many(6)[0], 'failure', '--count', '5')
    explained = do(place, 'pick', '-n', '2', '--seed', '1', '--explain')
    assert [p['chosen'] for p in explained] == [True] * 2 + [False] * 4, explained
    assert all(p['why'] for p in explained), explained
    assert [p['id'] for p in explained[:2]] == [p['id'] for p in do(place, 'pick', '-n', '2', '--seed', '1')]
    text = run(place, 'pick', '-n', '2', '--seed', '1', '--explain').out
    assert text.index('passed over') > text.index(explained[1]['id']) and text.count(' score ') >= 6, text
    for arguments in [['-n', '0'], ['-n', '4097'], ['-n'], ['--seed', '-1'], ['--seed', 'x'], ['-x']]:
        expect(run(place, 'pick', *arguments), 2, arguments[0].lstrip('-'))


@case
def what_pick_prints_can_be_reported(place):
    do(place, 'add', *many(3))
    for line in run(place, 'pick').out.splitlines():
        do(place, 'report', line.split()[0], 'success')
    assert {p['state'] for p in listed(place)} == {'tried'}


# -- prune --


def aged(count, days, failures=0):
    """A document of peers last seen so many days ago."""
    seen = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() - days * 86400))
    return json.dumps({'last_updated': seen, 'peers': [
        {'addr': addr, 'last_seen': seen, 'success_count': 0, 'failure_count': failures, 'last_attempt': seen}
        for addr in many(count)]})


@case
def prune_by_policy(place):
    do(place, 'import', '--trust', write(place, 'old.json', aged(5, 100)))
    do(place, 'add', *many(3, 5))
    do(place, 'import', '--trust', write(place, 'dead.json', aged(7, 1, 5)))
    trial = do(place, 'prune', '--dry-run')
    assert trial['saved'] is False and trial['dry_run'] is True and len(listed(place)) == 8, trial
    assert len(trial['removed']) == trial['unreliable'] + trial['stale'] + trial['capacity'] > 0, trial
    answer = do(place, 'prune', '--policy', 'stale')
    assert answer['saved'] is True and answer['unreliable'] == 0, answer
    assert {r['policy'] for r in answer['removed']} <= {'stale'}, answer
    answer = do(place, 'prune', '--policy', 'unreliable', '--policy', 'capacity')
    assert {r['policy'] for r in answer['removed']} == {'unreliable'} and answer['unreliable'] == len(answer['removed']), answer
    assert {a['id'] for a in listed(place)} == {addr.split('/p2p/')[1] for addr in many(1, 7)}, listed(place)
    expect(run(place, 'prune', '--policy', 'old'), 2, "'old'", 'unreliable')
    expect(run(place, 'prune'), 0)


@case
def a_quiet_day_empties_no_cache(place):
    """What went wrong before us, 6: expiry by age."""
    do(place, 'import', '--trust', write(place, 'old.json', aged(5, 2)))
    assert do(place, 'prune')['removed'] == [] and len(listed(place)) == 5


# -- import --


def vector(name):
    return os.path.join(VECTORS, name)


@case
def every_format_is_known_by_its_content(place):
    for name, format_, network in [('list.json', 'list', 'x'), ('list-ours.json', 'list', 'test'), ('map.json', 'map', 'x'),
                                   ('map-version.json', 'map', 'x'), ('ant-v0.json', 'ant-v0', '1_1.0'),
                                   ('ant-v1.json', 'ant-v1', '1_1.0'), ('endpoint.json', 'endpoint', 'x'),
                                   ('endpoint-bare.json', 'endpoint', 'x'), ('text.txt', 'text', 'x'),
                                   ('kubo.json', 'kubo', 'x')]:
        cache = os.path.join(place, name + '.db')
        answer = do(place, 'import', vector(name), '--network', network, '--cache', cache)
        assert sorted(answer) == ['accepted', 'format', 'merged', 'read', 'reasons', 'rejected', 'saved'], answer
        assert answer['format'] == format_ and answer['accepted'] > 0 and answer['saved'] is True, (name, answer)
        assert answer['read'] == answer['accepted'] + answer['merged'] + answer['rejected'], (name, answer)
        assert sum(answer['reasons'].values()) == answer['rejected'], (name, answer)
        peers = listed(place, '--cache', cache, '--network', network)
        assert sum(len(p['addrs']) for p in peers) == answer['accepted'], (name, answer, peers)
        for peer in peers:
            assert peer['state'] == 'new', peer
            for addr in peer['addrs']:
                assert addr['success_count'] == addr['failure_count'] == 0, 'an untrusted count: %s' % addr
                assert addr['learned_from'] == 'import' and '/dns' not in addr['addr'], addr
        copy = os.path.join(place, 'by-name.db')
        assert do(place, 'import', '--format', format_, vector(name), '--network', network, '--cache', copy)['read'] == answer['read']
        os.unlink(copy)
        again = do(place, 'import', vector(name), '--network', network, '--cache', cache)
        assert (again['accepted'], again['merged']) == (0, answer['accepted'] + answer['merged']), (name, again)


@case
def a_trusted_import_restores(place):
    answer = do(place, 'import', '--trust', vector('list-ours.json'), '--network', 'test')
    assert answer['rejected'] == 0 and answer['saved'] is True, answer
    peers = listed(place, '--network', 'test')
    addr = next(a for p in peers for a in p['addrs'] if a['learned_from'] == 'dht')
    assert addr['success_count'] == 5 and addr['failure_count'] == 3 and addr['rtt_ms'] == 23, addr
    assert addr['last_seen'] == addr['last_success'] == '2026-01-02T03:04:05.678Z', addr
    wanted = {e['addr'].split('/p2p/')[1]: e['state'] for e in json.loads(read(vector('list-ours.json')))['peers']}
    assert {p['id']: p['state'] for p in peers} == wanted, peers
    names = do(place, 'import', '--trust', vector('endpoint.json'), '--network', 'names')
    assert names['rejected'] == 0 and any('/dns' in a['addr'] for p in listed(place, '--network', 'names') for a in p['addrs'])


@case
def importing_twice_counts_once(place):
    """What went wrong before us, 3: merging totals, counts doubled."""
    for _ in range(2):
        do(place, 'import', '--trust', vector('list.json'))
    counts = sorted((a['addr'], a['success_count'], a['failure_count']) for p in listed(place) for a in p['addrs'])
    wanted = sorted((e['addr'].split('/p2p/')[0], e['success_count'], e['failure_count'])
                    for e in json.loads(read(vector('list.json')))['peers'])
    assert counts == wanted, (counts, wanted)
    cut = [a for a in counts if a[1] or a[2]]
    assert cut, 'nothing was counted at all'


@case
def dns_names_are_rejected_without_trust(place):
    answer = do(place, 'import', vector('kubo.json'))
    assert answer['reasons'] == {'dns_name': answer['rejected']} and answer['rejected'] > 0, answer


@case
def reasons_of_rejection(place):
    document = '\n'.join([FULL, 'nonsense', '/ip4/10.0.0.1/udp/1/quic-v1', '/ip4/0.0.0.0/udp/1/quic-v1', '/dns4/x.org/udp/1/quic-v1',
                          ADDR + '/p2p/%s/p2p-circuit' % OTHER, '', '# a comment'])
    result = run(place, 'import', write(place, 'a.txt', document), '--json')
    answer = result.json()
    assert answer['reasons'] == {'bad_multiaddr': 1, 'private': 1, 'unusable': 1, 'dns_name': 1, 'relay': 1}, answer
    assert (answer['read'], answer['accepted'], answer['rejected']) == (6, 1, 5), answer
    assert 'line 2' in result.err and 'nonsense' in result.err and result.err.count('\n') == 1, str(result)


@case
def import_of_nothing_of_use_is_no_success(place):
    """What went wrong before us, 9."""
    expect(run(place, 'import', write(place, 'a.txt', '/dns4/x.org/udp/1/quic-v1\n')), 1, 'dns_name')
    assert do(place, 'import', write(place, 'b.txt', '\n'))['read'] == 0


@case
def another_network_is_refused_whole(place):
    """What went wrong before us, 13: peers of another network kept."""
    for name in ['ant-v0.json', 'ant-v1.json', 'list-ours.json']:
        result = run(place, 'import', vector(name), '--json')
        expect(result, 2, 'of the network', 'nothing of it was taken')
        assert result.json()['error']['code'] == 'wrong_network', str(result)
        assert listed(place) == []
    seen = {'success_count': 0, 'failure_count': 0, 'last_seen': {'secs_since_epoch': 1, 'nanos_since_epoch': 0}}
    late = {'peers': {addr.split('/p2p/')[1]: [dict(seen, addr=addr)] for addr in many(3000)}, 'network_version': '9_9.9'}
    expect(run(place, 'import', '-', stdin=json.dumps(late).encode()), 2, '9_9.9')
    assert listed(place) == [], 'the network stands behind the peers'
    late['network_version'] = 'ipfs'
    assert do(place, 'import', '-', stdin=json.dumps(late).encode(), code=0)['read'] == 3000


@case
def import_from_standard_input(place):
    answer = do(place, 'import', '-', stdin=(FULL + '\n').encode())
    assert answer['format'] == 'text' and answer['accepted'] == 1, answer


@case
def bad_files(place):
    for name, text, code, error in [('cut.json', '{"peers": [{"addr": "%s"' % FULL, 2, 'malformed'),
                                    ('html.json', '<!DOCTYPE html><p>404</p>', 2, 'wrong_format'),
                                    ('other.json', '{"a": 1}', 2, 'wrong_format'),
                                    ('deep.json', '{"peers": ' + '[' * 100000, 2, 'over_limit'),
                                    ('binary', os.urandom(1000) + b'\0', 2, 'wrong_format')]:
        answer = do(place, 'import', write(place, name, text), code=code)
        assert answer['error']['code'] == error and name in answer['error']['detail'], answer
        assert listed(place) == []
    expect(run(place, 'import', place), 2, place, 'directory')
    expect(run(place, 'import', os.path.join(place, 'none')), 2, 'none')
    expect(run(place, 'import'), 2, 'FILE|- is missing')
    expect(run(place, 'import', 'a', 'b'), 2, "'b'")
    expect(run(place, 'import', '--format', 'xml', 'a'), 2, "'xml'", 'ant-v1')
    expect(run(place, 'import', '--format', 'kubo', vector('list.json')), 2, 'list.json')


@case
def an_untrusted_flood_fills_only_its_share(place):
    """What went wrong before us, 18: untested peers evicted the proven ones."""
    for addr in many(20):
        do(place, 'report', addr, 'success')
    proven = {p['id'] for p in listed(place)}
    flood = '\n'.join('/ip4/%d.%d.%d.1/udp/1/quic-v1/p2p/%s' % (100 + i // 6400, i // 100 % 64, i % 100, peer_id(10000 + i))
                      for i in range(6000))
    answer = do(place, 'import', '--max-peers', '1000', '-', stdin=flood.encode())
    assert answer['reasons'].get('over_quota', 0) > 4000 and answer['accepted'] < 1000, answer
    peers = listed(place, '--max-peers', '1000')
    assert {p['id'] for p in peers if p['state'] == 'tried'} == proven and len(peers) <= 1000, len(peers)


# -- export --


def same_but_for_nothing(place, network, first, second):
    one, two = (listed(place, '--network', network, '--cache', cache) for cache in (first, second))
    assert one == two and one, (one, two)


@case
def export_and_trusted_import_give_the_same_cache(place):
    first, second, third = (os.path.join(place, name) for name in ('a.db', 'b.db', 'c.json'))
    rng = random.Random(5)
    do(place, 'import', '--trust', vector('list-ours.json'), '--network', 'test', '--cache', first)
    do(place, 'add', *many(30), '/ip4/20.77.1.1/tcp/1', '/dns4/example.org/tcp/443/wss', '--network', 'test', '--cache', first)
    for addr in many(15):
        do(place, 'report', addr, 'success', '--count', str(rng.randrange(1, 9)), '--rtt', '%dms' % rng.randrange(1, 900),
           '--network', 'test', '--cache', first)
        do(place, 'report', addr, 'failure', '--count', str(rng.randrange(1, 9)), '--code',
           rng.choice(['timeout', 'refused', 'tls_failed']), '--network', 'test', '--cache', first)
    document = os.path.join(place, 'backup')
    assert run(place, 'export', '-o', document, '--network', 'test', '--cache', first).out == ''
    assert oct(os.stat(document).st_mode & 0o777) == '0o600'
    for cache in second, third:
        answer = do(place, 'import', '--trust', document, '--network', 'test', '--cache', cache)
        assert answer['rejected'] == answer['merged'] == 0, answer
        same_but_for_nothing(place, 'test', first, cache)
        ids = [p['id'] for p in listed(place, '--network', 'test', '--cache', first) if p['id']]
        for peer in ids[:5]:
            one, two = (do(place, 'show', peer, '--network', 'test', '--cache', at) for at in (first, cache))
            for known in one, two:
                for addr in known['addrs']:
                    addr.pop('score')  # of the moment it is asked
            assert one == two, (one, two)
        do(place, 'import', '--trust', document, '--network', 'test', '--cache', cache)
        same_but_for_nothing(place, 'test', first, cache)


@case
def an_exported_list_is_a_cache_itself(place):
    do(place, 'add', *many(5))
    copy = os.path.join(place, 'copy.json')
    run(place, 'export', '-o', copy)
    assert listed(place) == listed(place, '--cache', copy)
    do(place, 'report', many(1)[0], 'success', '--cache', copy)
    assert len(listed(place, '--cache', copy)) == 5


@case
def every_format_comes_back(place):
    do(place, 'add', *many(8), '/ip4/20.200.1.1/udp/1/quic-v1')
    do(place, 'report', many(1)[0], 'success')
    addrs = sorted(a['addr'] for p in listed(place) for a in p['addrs'])
    for format_ in ['list', 'map', 'ant-v0', 'ant-v1', 'endpoint', 'text', 'kubo']:
        result = run(place, 'export', '--format', format_)
        expect(result, 0)
        loses = format_ in ('ant-v0', 'ant-v1', 'kubo')
        assert ('1 addresses were left out' in result.err) == loses, str(result)
        cache = os.path.join(place, format_ + '.db')
        answer = do(place, 'import', '-', '--cache', cache, stdin=result.out.encode())
        assert answer['format'] == format_ and answer['accepted'] == (8 if loses else 9), (format_, answer)
        got = sorted(a['addr'] for p in listed(place, '--cache', cache) for a in p['addrs'])
        assert got == [a for a in addrs if not loses or '20.200.' not in a], (format_, got)
    expect(run(place, 'export', '--format', 'any'), 2, "'any'")


@case
def export_replaces_a_file_whole_or_not_at_all(place):
    do(place, 'add', FULL)
    os.mkdir(os.path.join(place, 'there'))
    path = write(place, 'there/out', 'what was there')
    answer = do(place, 'export', '-o', path)
    assert answer == {'format': 'list', 'file': path, 'left_out': 0, 'saved': True}, answer
    assert json.loads(read(path))['peers'][0]['addr'] == FULL
    assert os.listdir(os.path.join(place, 'there')) == ['out'], 'a temporary is left'
    expect(run(place, 'export', '-o', place), 2, 'directory')
    expect(run(place, 'export', '-o', os.path.join(place, 'none', 'out')), 2, 'none/out')
    link = os.path.join(place, 'link')
    os.symlink(path, link)
    do(place, 'export', '--format', 'text', '-o', link)
    assert os.path.islink(link) and read(path).decode() == FULL + '\n'
    result = run(place, 'export', '-o', '/dev/full')
    expect(result, 1, '/dev/full')
    assert run(place, 'export', '-o', '/dev/stdout', '--format', 'text').out == FULL + '\n'


@case
def export_to_a_closed_pipe(place):
    do(place, 'import', '--trust', '-', stdin='\n'.join(many(2000)).encode())
    for arguments in [['export'], ['export', '--format', 'text'], ['list'], ['list', '--json'], ['pick', '--explain']]:
        with subprocess.Popen([PEERCACHE] + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(place),
                              cwd=place) as process:
            process.stdout.close()
            err = process.stderr.read().decode()
            assert process.wait(timeout=WAIT_S) == 1, (arguments, process.returncode, err)
            assert err.startswith('peercache: ') and err.count('\n') == 1 and 'written' in err, (arguments, err)


# -- stats, check --


@case
def stats_count(place):
    do(place, 'add', *many(10), many(1)[0].replace('/4001/', '/4002/'))
    do(place, 'report', many(1)[0], 'success')
    do(place, 'ban', '99.0.0.0/8')
    stats = do(place, 'stats')
    path = os.path.join(place, 'state', 'peercache', 'ipfs', 'peers.db')
    wanted = {'peers': 10, 'addresses': 11, 'tried': 1, 'new': 9, 'groups': 10, 'reliable': 1, 'banned': 1, 'store': 'sqlite',
              'path': path, 'network': 'ipfs'}
    assert {k: stats[k] for k in wanted} == wanted, stats
    assert stats['size_bytes'] > 4096 and stats['last_updated'].endswith('Z'), stats
    text = run(place, 'stats').out
    assert '10 (1 tried, 9 new' in text and path in text, text
    cache = os.path.join(place, 'a.json')
    do(place, 'add', FULL, '--cache', cache)
    assert do(place, 'stats', '--cache', cache)['store'] == 'json'


@case
def check_and_repair(place):
    cache = os.path.join(place, 'peers')  # a name that is not moved aside by itself
    do(place, 'add', *many(300), '--cache', cache)
    assert do(place, 'check', '--cache', cache) == {'ok': True, 'repaired': False, 'detail': None, 'saved': False}
    assert run(place, 'check', '--cache', cache).out == cache + ': ok\n'
    with open(cache, 'r+b') as file:
        file.seek(3 * 4096 + 7)
        file.write(b'\xff' * 4000)
    before = read(cache)
    answer = do(place, 'check', '--cache', cache, code=1)
    assert answer['error']['code'] == 'corrupt', answer
    assert read(cache) == before, 'check changed the file'
    answer = do(place, 'check', '--repair', '--cache', cache)
    assert answer['repaired'] is True and answer['detail'], answer
    assert do(place, 'check', '--cache', cache)['ok'] is True
    assert any('.corrupt-' in name for name in os.listdir(place)), os.listdir(place)


# -- files of others, read-only, several processes --


@case
def files_of_others_are_refused_untouched(place):
    for name, copy in [('kubo.json', 'config.json'), ('kubo.json', 'config'), ('ant-v0.json', 'bootstrap_cache.json'),
                       ('ant-v1.json', 'bootstrap_cache_1.json'), ('text.txt', 'contacts')]:
        path = os.path.join(place, copy)
        shutil.copy(vector(name), path)
        before = read(path)
        for command in ['list', 'add', 'import', 'stats']:
            result = run(place, command, *ARGUMENTS.get(command, []), '--cache', path, '--json')
            expect(result, 2, path, 'import')
            assert result.json()['error']['code'] == 'wrong_format', str(result)
        assert read(path) == before and not [n for n in os.listdir(place) if 'corrupt' in n], os.listdir(place)
        os.unlink(path)


@case
def a_read_only_cache_warns_once_and_changes_nothing(place):
    for cache in [os.path.join(place, name) for name in ('peers.db', 'peers.json')]:
        do(place, 'add', FULL, '--cache', cache)
        os.chmod(cache, 0o444)
        before = read(cache)
        for command, arguments in [('add', many(1)), ('report', [FULL, 'success']), ('remove', [STRANGER]), ('ban', [OTHER]),
                                   ('prune', []), ('import', ['-'])]:
            result = run(place, command, *arguments, '--cache', cache, '--json', stdin=many(1)[0].encode())
            expect(result, 0, 'read-only', cache)
            assert result.err.count('\n') == 1, 'one warning: %s' % result
            assert result.json()['saved'] is False, str(result)
        for command in ['list', 'stats', 'pick', 'export', 'show', 'check']:
            result = run(place, command, *ARGUMENTS.get(command, []), '--cache', cache)
            expect(result, 0)
            assert result.err == '', 'looking is not writing: %s' % result
        assert read(cache) == before
        os.chmod(cache, 0o644)


@case
def somebody_elses_cache_can_be_read(place):
    cache = os.path.join(place, 'peers.db')
    do(place, 'add', FULL, '--cache', cache)
    os.chmod(cache, 0o644)
    with closed(place):
        result = run(place, 'list', '--cache', cache, '--json', as_nobody=True)
        expect(result, 0)
        assert result.json()[0]['id'] == STRANGER
        result = run(place, 'add', '--json', '--cache', cache, *many(1), as_nobody=True)
        expect(result, 0, 'read-only', cache)
        assert result.json()['saved'] is False


@case
def two_processes_adding_at_once(place):
    for cache in ['peers.db', 'peers.json']:
        addrs = many(120)
        processes = [subprocess.Popen([PEERCACHE, 'add', '--json', '--cache', cache] + addrs[i::4], stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, env=environment(place), cwd=place) for i in range(4)]
        for process in processes:
            out, err = process.communicate(timeout=WAIT_S)
            assert process.returncode == 0 and json.loads(out)['added'] == 30, (out, err)
        assert {p['id'] for p in listed(place, '--cache', cache)} == {a.split('/p2p/')[1] for a in addrs}
        processes = [subprocess.Popen([PEERCACHE, 'report', '--cache', cache, addrs[0], 'success'], stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, env=environment(place), cwd=place) for _ in range(8)]
        for process in processes:
            assert process.communicate(timeout=WAIT_S) and process.returncode == 0
        shown = do(place, 'show', addrs[0].split('/p2p/')[1], '--cache', cache)
        assert shown['addrs'][0]['success_count'] == 8, 'updates were lost: %s' % shown


@case
def max_peers_is_the_most_that_are_kept(place):
    do(place, 'import', '--trust', '--max-peers', '1000', '-', stdin='\n'.join(many(300)).encode())
    assert len(listed(place)) == 300
    do(place, 'prune', '--max-peers', '100', '--policy', 'capacity')
    assert len(listed(place)) <= 100
    for text in ['0', '10000001', 'x', '']:
        expect(run(place, 'list', '--max-peers', text), 2, '--max-peers')


# -- terminals --


def on_a_terminal(place, *arguments, stdin=None):
    """Run with a terminal as standard error; what it showed there."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen([PEERCACHE] + list(arguments), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=theirs,
                              env=environment(place), cwd=place) as process:
            os.close(theirs)
            theirs = None
            for piece in stdin or []:
                process.stdin.write(piece)
                process.stdin.flush()
                time.sleep(0.25)
            process.stdin.close()
            shown = b''
            while select.select([ours], [], [], WAIT_S)[0]:
                try:
                    data = os.read(ours, 4096)
                except OSError:  # the terminal's other end is closed
                    break
                if not data:
                    break
                shown += data
            return process.wait(timeout=WAIT_S), shown.decode()
    finally:
        os.close(ours)
        if theirs is not None:
            os.close(theirs)


@case
def long_work_shows_progress_on_a_terminal_only(place):
    pieces = [(addr + '\n').encode() for addr in many(4)]
    code, shown = on_a_terminal(place, 'import', '-', stdin=pieces)
    assert code == 0 and 'importing: ' in shown and ' bytes' in shown, shown
    assert shown.endswith('\r\x1b[K'), 'the line is not taken away: %r' % shown
    result = run(place, 'import', '-', stdin=b''.join(pieces))
    assert result.err == '', str(result)
    code, shown = on_a_terminal(place, 'stats')
    assert code == 0 and shown == '', 'what is short shows none: %r' % shown


@case
def every_command_has_help(place):
    for command in ON_CACHE:
        result = run(place, command, '--help')
        expect(result, 0)
        assert result.out.startswith('usage: peercache ' + command), str(result)


main()
