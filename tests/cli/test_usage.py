"""Wrong usage: a sentence that names what and where, exit 2, and nothing opened, made or dialled."""
import os

from harness import STRANGER, addr_of, case, environment, expect, got_datagram, main, run, silent_port

COMMANDS = ['join', 'run', 'list', 'show', 'add', 'report', 'remove', 'ban', 'unban', 'pick', 'prune', 'import', 'export', 'stats',
            'check', 'crawl', 'ping', 'find', 'id', 'multiaddr', 'demo', 'endpoints']


def refused(place, arguments, *texts):
    result = run(place, *arguments)
    expect(result, 2, *texts)
    assert result.out == '', str(result)
    assert result.err.startswith('peercache: ') and result.err.count('\n') == 1, 'not one sentence: %s' % result
    assert os.listdir(place) == [], 'made something: %s' % os.listdir(place)


@case
def no_command(place):
    refused(place, [], 'no command', '--help')


@case
def unknown_command_with_a_near_match(place):
    refused(place, ['jion'], "'jion'", "'join'")
    refused(place, ['pingg'], "'pingg'", "'ping'")


@case
def unknown_command_with_none(place):
    refused(place, ['frobnicate'], "'frobnicate'", '--help')


@case
def flag_before_the_command(place):
    refused(place, ['--local', 'join'], "'--local'", 'before the command')


@case
def unknown_flag(place):
    for command in COMMANDS:
        refused(place, [command, '--zzzzzz'], "'--zzzzzz'", command)
    refused(place, ['join', '-x'], "'-x'")


@case
def unknown_flag_with_a_near_match(place):
    refused(place, ['join', '--pear', 'x'], "'--pear'", "'--peer'")
    refused(place, ['join', '--targt-peers=3'], "'--targt-peers'", "'--target-peers'")


@case
def flag_of_another_command(place):
    refused(place, ['list', '--peer', addr_of(1)], 'list takes no', '--peer')
    refused(place, ['join', '--nodes', '3'], 'join takes no', '--nodes')


@case
def missing_value(place):
    refused(place, ['join', '--peer'], '--peer', 'MULTIADDR is missing')
    refused(place, ['join', '--timeout'], '--timeout', 'DURATION is missing')


@case
def value_where_none_is_taken(place):
    refused(place, ['demo', '--help=yes'], '--help', 'takes no value')
    refused(place, ['list', '--json=maybe'], '--json', "'maybe' is neither yes nor no")


@case
def missing_argument(place):
    refused(place, ['ping'], 'MULTIADDR is missing', 'usage: peercache ping MULTIADDR')


@case
def unexpected_argument(place):
    for command in ['join', 'run', 'list', 'id', 'demo']:
        refused(place, [command, 'extra'], "unexpected argument 'extra'")
    refused(place, ['ping', addr_of(1), 'more'], "'more'")


@case
def bad_multiaddr_with_its_reason(place):
    refused(place, ['join', '--peer', '/ip4/1.2.3/udp/1/quic-v1'], '--peer', '/ip4/1.2.3/udp/1/quic-v1')
    refused(place, ['join', '--peer', '/ip4/127.0.0.1/udp/65536/quic-v1'], '--peer', '65536')
    refused(place, ['join', '--peer', 'localhost:4001'], "'localhost:4001'")
    refused(place, ['join', '--peer', ''], '--peer')
    refused(place, ['run', '--listen', '/nothing/1'], '--listen', 'nothing')
    refused(place, ['ping', '/ip4/127.0.0.1/udp/1/quic-v1/p2p/QmBad'], 'ping', 'QmBad')


@case
def bad_multiaddr_second_of_two_dials_nothing(place):
    sock, port = silent_port()
    refused(place, ['join', '--local', '--peer', addr_of(port, STRANGER), '--peer', '/ip4/x'], '/ip4/x')
    assert not got_datagram(sock)
    sock.close()


@case
def listen_on_what_is_no_quic_address(place):
    refused(place, ['run', '--no-cache', '--local', '--listen', '/ip4/127.0.0.1/tcp/0'], '--listen', '/ip4/127.0.0.1/tcp/0')


@case
def bad_duration(place):
    for text, why in [('10', 'no unit'), ('ten', 'no duration'), ('10x', "unit 'x'"), ('0s', 'out of range'),
                      ('2h', 'out of range'), ('99999999999999999999s', 'out of range'), ('-1s', 'no duration'),
                      ('', 'no duration'), ('1.5s', "unit '.5s'"), ('5 s', "unit ' s'")]:
        refused(place, ['join', '--timeout', text], '--timeout', why)


@case
def good_durations(place):
    for text in ['1ms', '500ms', '10s', '2m', '1h']:
        result = run(place, 'join', '--no-cache', '--kad-protocol', '/x/kad/1.0.0', '--network', 'x', '--timeout', text)
        expect(result, 1)


@case
def bad_numbers(place):
    for flag in ['--target-peers', '--min-peers']:
        for text in ['0', '1001', 'x', '3x', '-1', '', '1.5', '99999999999999999999']:
            refused(place, ['join', flag, text], flag, 'whole number')
    refused(place, ['ping', addr_of(1), '--count', '0'], '--count')
    refused(place, ['demo', '--nodes', '2'], '--nodes')


@case
def minimum_over_target(place):
    refused(place, ['join', '--min-peers', '6'], '--min-peers 6', '--target-peers 5')


@case
def bad_network_names(place):
    for name in ['', '../x', 'a/b', '.hidden', 'n' * 64]:
        refused(place, ['join', '--network', name], '--network')


@case
def unknown_network_lists_the_known_ones(place):
    refused(place, ['join', '--network', 'nosuch', '--no-cache'], 'nosuch', 'ipfs')


@case
def bad_kad_protocol(place):
    for name in ['', 'ipfs/kad/1.0.0', '/', '//x']:
        refused(place, ['join', '--kad-protocol', name], '--kad-protocol')


@case
def cache_and_no_cache(place):
    refused(place, ['join', '--cache', 'x.db', '--no-cache'], '--cache', '--no-cache')
    refused(place, ['join', '--cache', ''], '--cache')
    refused(place, ['list', '--no-cache'], '--no-cache')


@case
def contradicting_flags_are_named_both(place):
    peer, url = addr_of(1, STRANGER), 'https://peers.example/'
    for one, other in [(['--endpoint', url], ['--no-endpoints']), (['--network-contacts-url', url], ['--no-endpoints']),
                       (['--new-network'], ['--peer', peer]), (['--new-network'], ['--endpoint', url]),
                       (['--new-network'], ['--network-contacts-url', url]), (['--new-network'], ['--exclusive']),
                       (['--first'], ['--peer', peer]), (['--first'], ['--endpoint', url]),
                       (['--first'], ['--network-contacts-url', url]), (['--first'], ['--exclusive']),
                       (['--exclusive', '--peer', peer], ['--endpoint', url]),
                       (['--exclusive', '--peer', peer], ['--network-contacts-url', url])]:
        for command in ['join', 'run']:
            for line in (one + other, other + one):
                refused(place, [command, *line], one[0], other[0], 'exclude each other')


@case
def exclusive_needs_a_peer(place):
    refused(place, ['join', '--exclusive'], '--exclusive', '--peer', 'PEERCACHE_PEERS')


@case
def endpoints_that_cannot_be_asked(place):
    for url, why in [('peers.example', 'cannot be asked'), ('ftp://peers.example/', '"ftp"'),
                     ('file:///etc/passwd', 'cannot be asked'), ('https://me:word@peers.example/', 'user or password'),
                     ('', 'URL is empty'), ('http://' + 'x' * 2050, 'over 2048')]:
        refused(place, ['join', '--endpoint', url], '--endpoint', why)
        refused(place, ['endpoints', '--no-cache', '--endpoint', url], '--endpoint', why)
    for urls, why in [('https://a.example/,b.example', '"b.example"'), ('https://a.example/,', '""'), ('', 'is empty')]:
        refused(place, ['run', '--network-contacts-url', urls], '--network-contacts-url', why)
    many = ['--endpoint', 'https://peers.example/'] * 33
    refused(place, ['join', *many], '--endpoint', '32')
    refused(place, ['join', '--network-contacts-url', ','.join(many[1::2])], '--network-contacts-url', '32')


@case
def ranges_that_are_none(place):
    for flag in ['--allow', '--deny']:
        for command in [['join'], ['run'], ['ping', addr_of(1)]]:
            for text, why in [('ten', 'not a network'), ('10.0.0.0/33', 'prefix'), ('10.0.0.1/8', 'beyond the prefix'),
                              ('fd00::/129', 'prefix'), ('', 'CIDR is empty')]:
                refused(place, [*command, flag, text], flag, why)


@case
def name_servers_that_are_none(place):
    for text, why in [('dns.example', 'dns.example'), ('192.0.2.1:0', '192.0.2.1:0'), ('192.0.2.1,192.0.2.2', 'no address'),
                      ('', 'is empty')]:
        refused(place, ['join', '--resolver', text], '--resolver', why)


@case
def certificates_that_cannot_be_read(place):
    refused(place, ['join', '--ca-file', os.path.join(place, 'none.pem')], '--ca-file', 'none.pem')
    refused(place, ['run', '--ca-file', ''], '--ca-file', 'is empty')


@case
def peers_of_the_environment_that_are_none(place):
    for peers, part in [('x', '"x"'), (addr_of(1, STRANGER) + ', /ip4/1.2.3/udp/1/quic-v1', '"/ip4/1.2.3/udp/1/quic-v1"'),
                        ('/p2p/' + STRANGER, '"/p2p/' + STRANGER), (','.join([addr_of(1)] * 257), '256')]:
        for command in ['join', 'run']:
            result = run(place, command, '--json', env=environment(place, PEERCACHE_PEERS=peers))
            expect(result, 2, 'PEERCACHE_PEERS: ', part)
            assert result.json()['error']['code'] == 'usage', str(result)
            assert os.listdir(place) == [], os.listdir(place)


@case
def errors_in_json_have_code_and_detail(place):
    for arguments in [['jion', '--json'], ['join', '--json', '--pear'], ['join', '--peer', 'x', '--json'],
                      ['ping', '--json'], ['--json']]:
        result = run(place, *arguments)
        expect(result, 2)
        error = result.json()['error']
        assert error['code'] == 'usage' and error['detail'], str(result)
        assert sorted(error) == ['code', 'detail'], str(result)
        assert error['detail'] in result.err


@case
def help_and_version(place):
    result = run(place, '--help')
    assert result.code == 0 and result.err == '', str(result)
    for command in COMMANDS:
        assert command in result.out
        of_command = run(place, command, '--help')
        assert of_command.code == 0 and of_command.err == '', str(of_command)
        assert of_command.out.startswith('usage: peercache ' + command), str(of_command)
        assert '--json' in of_command.out
    result = run(place, '--version')
    assert result.code == 0 and result.out == 'peercache 0.1.0\n', str(result)


@case
def control_characters_of_an_argument_are_not_printed(place):
    result = run(place, 'join', '--peer', '/ip4/\x1b[31m')
    expect(result, 2)
    assert '\x1b' not in result.err, repr(result.err)


@case
def a_name_that_no_network_can_have(place):
    for name in 'a b', '', '../x', '.x', 'a/b', 64 * 'n':
        expect(run(place, 'join', '--no-cache', '--network', name), 2, '--network', "no name of a network: 1 to 63 characters")
        expect(run(place, 'list', '--network', name), 2, '--network', "no name of a network: 1 to 63 characters")


main()
