"""Options from a config file (--config) and the environment, and what `run --print-config` shows of them."""
import json
import os
import subprocess

from harness import PEERCACHE, STRANGER, WAIT_S, Node, addr_of, case, environment, expect, main, run


def write(place, text, name='peercache.conf'):
    with open(os.path.join(place, name), 'wb') as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return name


def printed(place, *flags, **variables):
    """{option: [(value, origin, where)]} as `run --print-config --json` tells it."""
    result = run(place, 'run', '--print-config', '--json', *flags, env=environment(place, **variables))
    expect(result, 0)
    assert result.err == '', str(result)
    found = {}
    for entry in result.json()['options']:
        where = entry.get('variable', entry.get('line'))
        assert (where is not None) == (entry['origin'] in ('environment', 'file')), entry
        found.setdefault(entry['name'], []).append((entry['value'], entry['origin'], where))
    assert all(name.endswith('.conf') for name in os.listdir(place)), 'something was started: %s' % os.listdir(place)
    return found


@case
def flags_win_over_environment_over_file_over_default(place):
    write(place, '[peercache]\nmax-peers = 11\n')
    for flags, variables, expected in [
            ([], {}, (10000, 'default', None)),
            (['--config', 'peercache.conf'], {}, (11, 'file', 2)),
            (['--config', 'peercache.conf'], {'PEERCACHE_MAX_PEERS': '12'}, (12, 'environment', 'PEERCACHE_MAX_PEERS')),
            (['--config', 'peercache.conf', '--max-peers', '13'], {'PEERCACHE_MAX_PEERS': '12'}, (13, 'flag', None)),
            ([], {'PEERCACHE_CONFIG': 'peercache.conf'}, (11, 'file', 2)),
            ([], {'PEERCACHE_CONFIG': 'peercache.conf', 'PEERCACHE_MAX_PEERS': ''}, (11, 'file', 2)),
            (['--config', 'other.conf'], {'PEERCACHE_CONFIG': 'peercache.conf'}, (14, 'file', 1))]:
        write(place, 'max-peers = 14', 'other.conf')
        assert printed(place, *flags, **variables)['max-peers'] == [expected], (flags, variables)


@case
def what_is_on_takes_the_usual_words(place):
    for text, truth in [('yes', True), ('no', False), ('True', True), ('FALSE', False), ('on', True), ('off', False),
                        ('1', True), ('0', False)]:
        write(place, 'local = %s\n' % text)
        assert printed(place, '--config', 'peercache.conf')['local'] == [(truth, 'file', 1)], text
        assert printed(place, PEERCACHE_LOCAL=text)['local'] == [(truth, 'environment', 'PEERCACHE_LOCAL')], text
        assert printed(place, '--local=' + text)['local'] == [(truth, 'flag', None)], text
    write(place, 'local = yes')
    assert printed(place, '--config', 'peercache.conf', '--local=no')['local'] == [(False, 'flag', None)]
    write(place, 'local = perhaps')
    expect(run(place, 'run', '--config', 'peercache.conf'), 2, 'peercache.conf: line 1: local:', "'perhaps'")


@case
def lists_of_a_file_add_up_and_are_replaced_as_a_whole(place):
    urls = ['https://a.example/', 'https://b.example/']
    write(place, ''.join('endpoint = %s\n' % url for url in urls))
    assert printed(place, '--config', 'peercache.conf')['endpoint'] == [(urls[0], 'file', 1), (urls[1], 'file', 2)]
    variable = 'PEERCACHE_ENDPOINT'
    assert printed(place, '--config', 'peercache.conf', PEERCACHE_ENDPOINT=' https://c.example/ ,,https://d.example/,') \
        ['endpoint'] == [('https://c.example/', 'environment', variable), ('https://d.example/', 'environment', variable)]
    given = ['--config', 'peercache.conf', '--endpoint', 'https://e.example/', '--endpoint', 'https://f.example/']
    assert [value for value, _, _ in printed(place, *given, PEERCACHE_ENDPOINT=urls[0])['endpoint']] == given[3::2]


@case
def peers_of_the_environment_come_beside_the_others(place):
    one, two, three = addr_of(1, STRANGER), addr_of(2, STRANGER), addr_of(3, STRANGER)
    write(place, 'peer = %s\nlocal = yes' % one)
    given = ['--config', 'peercache.conf']
    assert printed(place, *given, PEERCACHE_PEERS=two)['peer'] == \
        [(one, 'file', 1), (two, 'environment', 'PEERCACHE_PEERS')]
    assert printed(place, *given, '--peer', three, PEERCACHE_PEERS=two)['peer'] == \
        [(three, 'flag', None), (two, 'environment', 'PEERCACHE_PEERS')]
    assert printed(place, *given, '--no-env', PEERCACHE_PEERS=two)['peer'] == [(one, 'file', 1)]
    # --no-env is of these peers alone
    shown = printed(place, *given, '--no-env', PEERCACHE_PEERS=two, PEERCACHE_MAX_PEERS='5')
    assert shown['max-peers'] == [(5, 'environment', 'PEERCACHE_MAX_PEERS')], shown
    expect(run(place, 'join', env=environment(place, PEERCACHE_PEER=one)), 2, 'PEERCACHE_PEER: ', 'PEERCACHE_PEERS')


@case
def what_is_printed_is_a_file_that_gives_the_same(place):
    write(place, '\ufeff; of a test\n[peercache]\nnetwork=mine\nkad-protocol : /mine/kad/1.0.0\nallow = 10.0.0.0/8\nallow=fd00::/8 ; two\n'
                 'cache = a b; c.db\nredact = on\r\n\nlisten = /ip4/127.0.0.1/udp/4001/quic-v1\n')
    first = run(place, 'run', '--config', 'peercache.conf', '--print-config', '--peer', addr_of(9), '--exclusive',
                env=environment(place, PEERCACHE_NO_ENDPOINTS='yes', PEERCACHE_LOG='json'))
    expect(first, 0)
    for line in ['allow = 10.0.0.0/8  ; peercache.conf:5', 'allow = fd00::/8  ; peercache.conf:6',
                 'no-endpoints = yes  ; environment PEERCACHE_NO_ENDPOINTS', 'exclusive = yes  ; flag',
                 'max-peers = 10000  ; default', 'cache = a b; c.db  ; peercache.conf:7', '# key =']:
        assert line in first.out.splitlines(), (line, first.out)
    write(place, first.out, 'saved.conf')
    again = run(place, 'run', '--config', 'saved.conf', '--print-config')
    expect(again, 0)

    def without_origins(text):
        return [line.split('  ; ')[0] for line in text.splitlines()]
    assert without_origins(again.out) == without_origins(first.out), again.out
    assert all('; saved.conf:' in line for line in again.out.splitlines()[2:] if not line.startswith('#')), again.out


@case
def values_that_no_line_holds_are_said_to_be_so(place):
    long = '/' + 'x' * 220 + '.db'
    shown = run(place, 'run', '--print-config', '--cache', long, '--resolver', '192.0.2.1').out
    assert [line for line in shown.splitlines() if line.startswith('# cache, flag: no line of a file can hold')], shown
    shown = run(place, 'run', '--print-config', '--cache', 'a ;b.db').out
    assert '# cache, flag: no line' in shown and '\ncache' not in shown, shown
    near = 'x' * 188
    shown = run(place, 'run', '--print-config', '--cache', near).out
    assert '\n# flag\ncache = %s\n' % near in shown, shown
    write(place, shown)
    assert printed(place, '--config', 'peercache.conf')['cache'][0][0] == near


@case
def what_is_wrong_is_said_with_file_line_and_key(place):
    peer = addr_of(1)
    for text, *parts in [
            ('max-peers = many', 'line 1: max-peers:', "'many' is not a whole number"),
            ('\n\ntimeout = 5', 'line 3: timeout:', 'has no unit'),
            ('peer = x', 'line 1: peer:', "'x' is no multiaddr"),
            ('max_peers = 5', "line 1: unknown option 'max_peers'", "'max-peers'"),
            ('zzzzzz = 5', "line 1: unknown option 'zzzzzz'", 'peercache.conf(5)'),
            ('dry-run = yes', "line 1: 'dry-run' is a flag alone"),
            ('config = x', "line 1: 'config' is a flag alone"),
            ('first = yes', "line 1: 'first' is a flag alone"),
            ('[peercache]\nlocal = yes\n[other]\n', 'line 3: unknown section'),
            ('[peercache', 'line 1: '),
            ('[peercache]\n local = yes', 'line 2: it begins with white space'),
            ('peer = %s\n  %s' % (peer, peer), 'line 2: it begins with white space'),
            ('peer = %s\n\v%s' % (peer, peer), 'line 2: it begins with white space'),
            ('local', 'line 1: not of the form key = value'),
            ('cache =', 'line 1: cache: the PATH is empty'),
            ('local = yes\n# none\nlocal = yes', 'line 3: local: given in line 1 already'),
            ('endpoint = ' + 'x' * 190, 'line 1: longer than 196'),
            (b'local = yes\0\n', 'line 1: no text'),
            ('peer = %s\n' % peer * 257, 'line 257: peer:', 'more than 256'),
            ('#\n' * 140000, 'peercache.conf: over 256 KiB'),
            # what the node's options refuse, after all was read
            ('endpoint = ftp://a.example/', 'line 1: endpoint:', '"ftp"'),
            ('\nallow = 10.0.0.1/8', 'line 2: allow:', 'beyond the prefix'),
            ('resolver = dns', 'line 1: resolver:', 'dns'),
            ('listen = /ip4/127.0.0.1/tcp/1', "line 1: listen '/ip4/127.0.0.1/tcp/1'"),
            ('announce = /ip4/192.0.2.1/tcp/1', "line 1: announce '/ip4/192.0.2.1/tcp/1'"),
            ('http = here', 'line 1: http:', 'here'),
            ('ca-file = none.pem', 'line 1: ca-file:', 'none.pem'),
            ('log-level = loud', 'line 1: log-level:', 'loud')]:
        write(place, text)
        result = run(place, 'run', '--print-config', '--config', 'peercache.conf')
        expect(result, 2, 'peercache: peercache.conf', *parts)
        assert result.out == '', str(result)
    for variable, value, why in [('PEERCACHE_MAX_PEERS', '0', "'0' is not a whole number"), ('PEERCACHE_LOCAL', 'x', "'x'"),
                                 ('PEERCACHE_LISTEN', '/x', "'/x' is no multiaddr"),
                                 ('PEERCACHE_ENDPOINT', 'https://a.example/,ftp://b/', '"ftp"'),
                                 ('PEERCACHE_HTTP', 'here', 'here')]:
        expect(run(place, 'run', '--print-config', env=environment(place, **{variable: value})), 2, variable + ': ', why)


@case
def files_that_cannot_be_read(place):
    expect(run(place, 'run', '--config', 'none.conf'), 2, 'none.conf: No such file')
    expect(run(place, 'run', '--config', '.'), 2, '.: Is a directory')
    expect(run(place, 'run', '--config', ''), 2, '--config: the FILE is empty')
    os.chmod(os.path.join(place, write(place, 'local = yes')), 0)
    result = run(place, 'list', '--config', 'peercache.conf', '--json', as_nobody=True)
    expect(result, 2, 'peercache.conf: Permission denied')
    assert result.json()['error']['code'] == 'usage', str(result)
    # a pipe serves
    done = subprocess.run([PEERCACHE, 'run', '--print-config', '--config', '/dev/stdin'], input=b'max-peers = 9', cwd=place,
                          stdout=subprocess.PIPE, env=environment(place), timeout=WAIT_S, check=True)
    assert b'\nmax-peers = 9  ; /dev/stdin:1\n' in done.stdout, done


@case
def what_a_lower_place_forbids_stays_forbidden(place):
    url = 'https://a.example/'
    for text, flags, *parts in [('exclusive = yes\npeer = ' + addr_of(1), ['--endpoint', url], 'line 1: exclusive', '--endpoint'),
                                ('no-cache = yes', ['--cache', 'c.db'], 'line 1: no-cache', '--cache'),
                                ('no-endpoints = yes', ['--network-contacts-url', url], 'no-endpoints', '--network-contacts-url'),
                                ('redact = yes', ['-v'], 'redact', '--verbose'),
                                ('new-network = yes', ['--exclusive'], 'new-network', '--exclusive'),
                                ('exclusive = yes', ['--new-network'], '--new-network', 'exclusive'),
                                ('exclusive = yes\nendpoint = ' + url, [], 'line 1: exclusive', 'line 2: endpoint')]:
        write(place, text)
        expect(run(place, 'run', '--print-config', '--config', 'peercache.conf', *flags), 2, 'exclude each other', *parts)
    write(place, 'exclusive = yes')
    assert printed(place, '--config', 'peercache.conf', '--exclusive=no', '--endpoint', url)['endpoint'] == [(url, 'flag', None)]


@case
def what_a_higher_place_forbids_silences_the_lower(place):
    write(place, 'endpoint = https://a.example/\ncache = c.db\nverbose = yes\npeer = %s\n' % addr_of(1))
    shown = printed(place, '--config', 'peercache.conf', '--no-cache', '--redact', '--new-network')
    for option in 'endpoint', 'cache', 'peer':
        assert shown[option] == [(None, 'default', None)], shown
    assert shown['verbose'] == [(False, 'default', None)], shown
    shown = printed(place, '--no-cache', PEERCACHE_CACHE='c.db')
    assert shown['cache'] == [(None, 'default', None)], shown


@case
def one_file_serves_all_commands(place):
    with Node(place, '--no-cache') as node:
        write(place, 'local = yes\ncache = mine.db\npeer = %s\ntarget-peers = 1\nno-walk = yes\nlisten = %s\n'
              % (node.addr, addr_of(0)))
        env = environment(place, PEERCACHE_CONFIG='peercache.conf')
        joined = run(place, 'join', '--json', env=env)
        expect(joined, 0)
        assert joined.json()['status'] == 'joined' and joined.json()['target'] == 1, str(joined)
        listed = run(place, 'list', '--json', '--config', 'peercache.conf')
        assert [peer['id'] for peer in listed.json()] == [node.id], str(listed)
        with Node(place, '--config', 'peercache.conf', '--json') as second:
            assert json.loads(second.addr)['addr'].startswith('/ip4/127.0.0.1/'), second.addr
            assert second.stop() == 0
        assert node.stop() == 0


@case
def a_demo_is_bound_by_no_option_of_the_environment(place):
    env = environment(place, PEERCACHE_CACHE='mine.db', PEERCACHE_EXCLUSIVE='yes', PEERCACHE_NETWORK='mine',
                      PEERCACHE_PEERS='x', PEERCACHE_CONFIG='none.conf')
    expect(run(place, 'demo', '--nodes', '3', env=env), 0)
    assert not os.path.exists(os.path.join(place, 'mine.db'))


main()
