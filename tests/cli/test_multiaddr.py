"""peercache multiaddr: one line out for each in, whatever is in it."""
import json

from harness import case, main, run

ID = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'
GOOD = [
    ('/ip4/127.0.0.1/udp/4001/quic-v1', '/ip4/127.0.0.1/udp/4001/quic-v1', '047f00000191020fa1cd03'),
    ('/ip6/2001:DB8:0:0::1/tcp/80/ws', '/ip6/2001:db8::1/tcp/80/ws', '2920010db8000000000000000000000001060050dd03'),
    ('/dns4/example.com/tcp/443/wss', '/dns4/example.com/tcp/443/wss', '360b6578616d706c652e636f6d0601bbde03'),
    ('/ip4/1.2.3.4/udp/1/quic-v1/', None, None),  # judged only as one line: a closing slash
]
BAD = ['', 'x', '/', '/ip4', '/ip4/256.1.1.1', '/ip4/1.2.3.4/udp/65536', '/nosuch/1', 'ip4/1.2.3.4', '/ip4/1.2.3.4/p2p/x',
       '/ip6/::g', '/p2p/']


@case
def good_ones_as_arguments(place):
    for text, canonical, hexed in GOOD:
        if canonical is None:
            continue
        result = run(place, 'multiaddr', text)
        assert result.code == 0 and result.out == 'ok %s %s\n' % (canonical, hexed), str(result)


@case
def old_name_ipfs_and_ids(place):
    old = run(place, 'multiaddr', '/ipfs/' + ID)
    new = run(place, 'multiaddr', '/p2p/' + ID)
    assert old.code == 0 and old.out == new.out and ('/p2p/' + ID) in new.out, str(old) + str(new)


@case
def bad_ones_as_arguments(place):
    for text in BAD:
        result = run(place, 'multiaddr', '--', text)
        assert result.code == 1, '%r: %s' % (text, result)
        assert result.out.startswith('error ') and len(result.out) > len('error \n'), '%r: %s' % (text, result)
        assert result.out.count('\n') == 1, '%r: %s' % (text, result)


@case
def order_of_arguments_is_kept(place):
    result = run(place, 'multiaddr', '/ip4/1.2.3.4', 'bad', '/ip4/5.6.7.8')
    words = [line.split()[0] for line in result.out.splitlines()]
    assert words == ['ok', 'error', 'ok'] and result.code == 1, str(result)


@case
def standard_input_one_a_line(place):
    lines = [text for text, _, _ in GOOD] + BAD
    result = run(place, 'multiaddr', stdin='\n'.join(lines).encode() + b'\n')
    out = result.out.splitlines()
    assert len(out) == len(lines), str(result)
    for (_, canonical, hexed), line in zip(GOOD, out):
        assert canonical is None or line == 'ok %s %s' % (canonical, hexed), line
    for line in out[len(GOOD):]:
        assert line.startswith('error '), line


@case
def last_line_without_newline_and_crlf(place):
    result = run(place, 'multiaddr', stdin=b'/ip4/1.2.3.4\r\n/ip4/1.2.3.4')
    assert result.code == 0 and result.out == 'ok /ip4/1.2.3.4 0401020304\n' * 2, str(result)


@case
def empty_input_is_no_line(place):
    result = run(place, 'multiaddr', stdin=b'')
    assert result.code == 0 and result.out == '', str(result)


@case
def hostile_lines(place):
    lines = [b'\x00', b'/ip4/1.2.3.4\x00/tcp/1', b'\xff\xfe\x80', b'/dns/\x1b[31mred', b'/' * 100000,
             b'/ip4/1.2.3.4' * 5000, b'/dns/' + b'a' * 100000, b'a' * 1000000]
    result = run(place, 'multiaddr', stdin=b'\n'.join(lines) + b'\n')
    out = result.out.split('\n')[:-1]
    assert len(out) == len(lines), '%d lines for %d' % (len(out), len(lines))
    assert result.code == 1
    for line in [out[0], out[1], out[2]] + out[4:]:
        assert line.startswith('error '), line[:200]
    assert '\x1b' not in result.out
    result = run(place, 'multiaddr', '/dns/two\nlines')
    assert result.out.count('\n') == 1 and b'two\nlines'.hex() in result.out, str(result)


@case
def json_lines(place):
    result = run(place, 'multiaddr', '--json', '/ip4/1.2.3.4', 'bad\udcff'.encode('utf-8', 'surrogateescape').decode('latin-1'))
    good, bad = [json.loads(line) for line in result.out.splitlines()]
    assert good == {'status': 'ok', 'addr': '/ip4/1.2.3.4', 'hex': '0401020304'}, good
    assert bad['status'] == 'error' and bad['code'] == 'malformed' and bad['detail'], bad


main()
