"""join where the world is bad: nobody to ask, silent, refusing, wrong and foreign peers, and every state a cache
file can be in. Each is told with its code, the other peers go on, and the cache stays whole."""
import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import time

from harness import (PEERCACHE, STRANGER, WAIT_S, Node, addr_of, case, causes, closed, environment, expect, got_datagram,
                     main, run, silent_port, unused_port)

REPORT = ['cache', 'cause', 'dialed', 'elapsed_ms', 'endpoints', 'failed', 'failures', 'local', 'metrics', 'next_step',
          'peers', 'saved', 'sources', 'status', 'target', 'verified']
VIAS = ['cache', 'dht', 'endpoint', 'env', 'flag']
LOCAL = ['clock_ahead_ms', 'descriptors', 'descriptors_max', 'dns', 'holes', 'ip4', 'ip6']
CACHE = ['healthy', 'last_success', 'new', 'path', 'problem', 'tried', 'writable']
METRICS = ['breaker_transitions', 'cache_hits', 'cache_misses', 'dials', 'fetches', 'fifth_verified_ms',
           'first_verified_ms', 'questions', 'questions_failed', 'rounds']
PEER = ['addr', 'elapsed_ms', 'id', 'rtt_ms', 'via']
WITHOUT_A_DIAL = ['dns_failed', 'unsupported', 'denied']
FAILURE = ['addr', 'code', 'detail', 'elapsed_ms', 'id', 'via']


def of_dials(counts):
    return sum(count for code, count in counts.items() if code not in WITHOUT_A_DIAL)


def check_parts(report):
    """The parts of a report that are always there, and that they agree."""
    assert sorted(report['sources']) == VIAS and sorted(report['metrics']['dials']) == VIAS, report
    for via, source in report['sources'].items():
        assert sorted(source) == ['dialed', 'failed', 'offered', 'verified'], source
        assert source['dialed'] == source['verified'] + of_dials(source['failed']), source
        dials = report['metrics']['dials'][via]
        assert of_dials(dials['ended']) <= dials['begun'], report
    assert sorted(report['local']) == LOCAL and sorted(report['local']['dns']) == ['failed', 'questions'], report
    assert report['cache'] is None or sorted(report['cache']) == CACHE, report
    assert sorted(report['metrics']) == METRICS, report
    assert (report['cause'] is None) == (report['status'] == 'joined'), report
    assert (report['next_step'] is None) == (report['cause'] is None), report
    assert report['cause'] is None or report['cause'] in causes(), report


def join(place, *arguments, code, **more):
    result = run(place, 'join', '--local', '--json', *arguments, **more)
    assert result.code == code, 'expected exit %d: %s' % (code, result)
    report = result.json()
    assert sorted(report) == REPORT, sorted(report)
    for peer in report['peers']:
        assert sorted(peer) == PEER, peer
    for failure in report['failures']:
        assert sorted(failure) == FAILURE, failure
        assert failure['detail'], failure
    check_parts(report)
    assert report['verified'] == len(report['peers']), report
    assert report['status'] == ('failed' if code else report['status']), report
    assert code or report['status'] in ('joined', 'degraded'), report
    report['stderr'] = result.err
    return report


def only_failure(place, addr, code, *arguments):
    report = join(place, '--no-cache', '--peer', addr, *arguments, code=1)
    assert report['verified'] == 0 and report['failed'] == 1 and report['cause'], report
    assert report['sources']['flag']['failed'] == {code: 1}, report
    failure, = report['failures']
    assert failure['code'] == code and failure['via'] == 'flag' and failure['addr'] == addr, report
    return report


# -- peers -------------------------------------------------------------------------------------------------------


@case
def no_sources(place):
    for arguments in [['--no-cache'], ['--cache', os.path.join(place, 'peers.db')], []]:
        report = join(place, *arguments, code=1)
        assert report['cause'] == 'no_sources' and report['status'] == 'failed', report
        assert report['dialed'] == 0 and report['failures'] == [] and report['peers'] == [], report
        assert report['elapsed_ms'] < 5000, report


@case
def no_sources_in_words(place):
    result = run(place, 'join', '--no-cache', '--no-endpoints')
    expect(result, 1)
    assert 'likely cause: ' in result.out and 'next step: ' in result.out and '--peer' in result.out, str(result)
    assert result.out.splitlines()[-1].startswith('failed: 0 of 5 peers verified'), str(result)


@case
def refused_port(place):
    report = only_failure(place, addr_of(unused_port(), STRANGER), 'refused')
    assert report['elapsed_ms'] < 5000, 'waited though it was refused: %s' % report
    assert report['failures'][0]['id'] == STRANGER, report


@case
def refused_port_on_ip6(place):
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.bind(('::1', 0))
    except OSError as error:
        assert error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT), error
        return  # no IPv6 here: then there is nothing to refuse
    port = sock.getsockname()[1]
    sock.close()
    only_failure(place, '/ip6/::1/udp/%d/quic-v1/p2p/%s' % (port, STRANGER), 'refused')


@case
def silent_port_is_a_timeout(place):
    sock, port = silent_port()
    began = time.monotonic()
    only_failure(place, addr_of(port, STRANGER), 'timeout', '--timeout', '1s')
    assert time.monotonic() - began < 20
    assert got_datagram(sock), 'nothing was dialled'
    sock.close()


@case
def wrong_identity(place):
    with Node(place, '--no-cache') as node:
        report = only_failure(place, addr_of(node.port, STRANGER), 'wrong_identity')
        assert report['elapsed_ms'] < 5000, report


@case
def another_network_is_a_mismatch_and_not_stored(place):
    cache = os.path.join(place, 'peers.db')
    with Node(place, '--no-cache', '--network', 'other', '--kad-protocol', '/other/kad/1.0.0') as node:
        report = join(place, '--cache', cache, '--peer', node.addr, code=1)
        assert [f['code'] for f in report['failures']] == ['protocol_mismatch'], report
    assert run(place, 'list', '--local', '--cache', cache, '--json').json() == []


@case
def a_name_that_no_server_resolves(place):
    report = only_failure(place, '/dnsaddr/bootstrap.invalid/p2p/' + STRANGER, 'dns_failed', '--resolver',
                          '127.0.0.1:%d' % unused_port())
    assert report['cause'] == 'dns_failed', report
    assert report['local']['dns'] == {'questions': 1, 'failed': 1}, report


@case
def other_transports_are_unsupported(place):
    only_failure(place, '/ip4/127.0.0.1/tcp/4001/p2p/' + STRANGER, 'unsupported')


@case
def address_without_a_way(place):
    # where there is no IPv6 route the kernel says so at once; where there is one, nobody answers
    report = join(place, '--no-cache', '--timeout', '1s', '--peer', '/ip6/2001:db8::1/udp/4001/quic-v1/p2p/' + STRANGER,
                  code=1)
    assert report['failures'][0]['code'] in ('unreachable', 'timeout'), report


@case
def private_address_without_local(place):
    sock, port = silent_port()
    result = run(place, 'join', '--json', '--no-cache', '--no-endpoints', '--timeout', '1s', '--peer',
                 addr_of(port, STRANGER))
    expect(result, 1)
    failure, = result.json()['failures']
    assert failure['code'] in ('denied', 'unsupported'), str(result)
    assert not got_datagram(sock), 'dialled a loopback address without --local'
    sock.close()


@case
def interrupted_reports_and_saves_what_it_has(place):
    sock, port = silent_port()
    cache = os.path.join(place, 'c.db')
    with sock, Node(place, '--no-cache') as node:
        for number in (signal.SIGINT, signal.SIGTERM):
            silent = addr_of(port, STRANGER)
            with subprocess.Popen([PEERCACHE, 'join', '--local', '--json', '-v', '--cache', cache, '--timeout', '1h',
                                   '--peer', node.addr, '--peer', silent],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(place)) as process:
                try:
                    while b' verified ' not in process.stderr.readline():
                        assert process.poll() is None, 'it ended before it verified anybody'
                    process.send_signal(number)
                    out, err = process.communicate(timeout=WAIT_S)
                finally:
                    process.kill()
            report = json.loads(out)
            assert process.returncode == 0 and sorted(report) == REPORT, (process.returncode, out, err)
            assert report['status'] == 'degraded' and report['saved'], report
            assert [peer['id'] for peer in report['peers']] == [node.id], report
            assert [(f['addr'], f['code']) for f in report['failures']] == [(silent, 'cancelled')], report


@case
def closed_standard_descriptors_hurt_nothing(place):
    cache = os.path.join(place, 'c.db')
    with Node(place, '--no-cache') as node:
        for closed_ones in ((0,), (1,), (2,), (0, 1, 2)):
            def close_them(those=closed_ones):
                for number in those:
                    os.close(number)
            done = subprocess.run([PEERCACHE, 'join', '--local', '--json', '-v', '--cache', cache, '--peer', node.addr],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(place), check=False,
                                  timeout=WAIT_S, preexec_fn=close_them)
            # a report that can't be written is a failure, and nothing else is
            assert done.returncode == (1 if 1 in closed_ones else 0), (closed_ones, done)
            assert 1 in closed_ones or json.loads(done.stdout)['saved'], done
            assert 2 in closed_ones or b' verified ' in done.stderr, done
        assert [peer['id'] for peer in run(place, 'list', '--local', '--json', '--cache', cache).json()] == [node.id]


@case
def the_other_peers_go_on(place):
    sock, silent = silent_port()
    with Node(place, '--no-cache') as node:
        report = join(place, '--no-cache', '--no-walk', '--timeout', '5s', '--target-peers', '1',
                      '--peer', '/dnsaddr/bootstrap.invalid/p2p/' + STRANGER,
                      '--peer', addr_of(unused_port(), STRANGER),
                      '--peer', addr_of(silent, STRANGER),
                      '--peer', node.addr, code=0)
        assert report['status'] == 'joined' and [p['id'] for p in report['peers']] == [node.id], report
        assert report['elapsed_ms'] < 4000, 'waited for the silent one: %s' % report
    sock.close()


@case
def degraded_below_the_target_and_failed_below_the_minimum(place):
    with Node(place, '--no-cache') as node:
        report = join(place, '--no-cache', '--peer', node.addr, code=0)
        assert report['status'] == 'degraded' and report['target'] == 5 and report['verified'] == 1, report
        report = join(place, '--no-cache', '--peer', node.addr, '--min-peers', '2', code=1)
        assert report['status'] == 'failed' and report['verified'] == 1, report


@case
def the_same_peer_twice_counts_once(place):
    with Node(place, '--no-cache') as node:
        report = join(place, '--no-cache', '--peer', node.addr, '--peer', node.addr, code=0)
        assert report['verified'] == 1, report


@case
def address_without_id_is_proven(place):
    with Node(place, '--no-cache') as node:
        report = join(place, '--no-cache', '--peer', addr_of(node.port), code=0)
        assert report['peers'][0]['id'] == node.id, report


@case
def failure_in_words_says_cause_and_next_step(place):
    result = run(place, 'join', '--local', '--no-cache', '--peer', addr_of(unused_port(), STRANGER))
    expect(result, 1)
    lines = result.out.splitlines()
    for line in ['sources', '  flag      1 offered, 1 dialled, 0 verified; 1 refused', 'this machine', 'cache', '  none']:
        assert line in lines, '%r is missing: %s' % (line, result)
    cause = [line for line in lines if line.startswith('likely cause: ')]
    assert len(cause) == 1 and cause[0].split()[2] in causes(), str(result)
    assert [line for line in lines if line.startswith('next step: ')], str(result)


@case
def a_join_in_words_is_short(place):
    with Node(place, '--no-cache') as node:
        result = run(place, 'join', '--local', '--no-cache', '--target-peers', '1', '--peer', node.addr)
    expect(result, 0)
    lines = result.out.splitlines()
    assert lines[0] == 'verified' and lines[1].endswith('(flag)') and len(lines) == 3, str(result)
    assert lines[2].startswith('joined: 1 of 1 peers verified'), str(result)


@case
def denied_in_words_says_why(place):
    result = run(place, 'join', '--no-cache', '--no-endpoints', '--peer', '/ip4/203.0.113.9/udp/4001/quic-v1')
    expect(result, 1)
    assert 'reserved' in result.out and '--local' in result.out, str(result)
    result = run(place, 'join', '--local', '--no-cache', '--peer', '/ip4/0.0.0.0/udp/4001/quic-v1')
    expect(result, 1)
    assert 'likely cause: ' in result.out and 'unspecified' in result.out, str(result)


@case
def timeline_on_standard_error(place):
    with Node(place, '--no-cache') as node:
        result = run(place, 'join', '--local', '--no-cache', '-v', '--json', '--peer', node.addr,
                     '--peer', addr_of(unused_port(), STRANGER))
        expect(result, 0, 'dial', 'verified', 'failed', 'refused', ' ms ')
        assert result.json()['verified'] == 1


# -- caches ------------------------------------------------------------------------------------------------------


def refused_cache(place, cache, *texts, as_nobody=False, code='', arguments=()):
    """Exit 2 with a sentence that names the cache, nothing dialled."""
    sock, port = silent_port()
    result = run(place, 'join', '--local', '--json', '--timeout', '2s', '--cache', cache, '--peer', addr_of(port, STRANGER),
                 *arguments, as_nobody=as_nobody)
    expect(result, 2, cache, *texts)
    error = result.json()['error']
    assert error['detail'] and (not code or error['code'] == code), str(result)
    assert not got_datagram(sock), 'dialled'
    sock.close()


def made_cache(place, *arguments):
    """A cache with one tried peer in it."""
    cache = os.path.join(place, 'peers.db')
    with Node(place, '--no-cache', *arguments) as node:
        result = run(place, 'join', '--local', '--json', '--cache', cache, '--peer', node.addr, *arguments)
        assert result.code == 0 and result.json()['saved'], str(result)
        return cache, node.id


@case
def cache_that_is_a_directory(place):
    path = os.path.join(place, 'dir.db')
    os.mkdir(path)
    refused_cache(place, path, 'directory', code='wrong_format')
    assert os.listdir(path) == []


@case
def cache_below_a_file(place):
    with open(os.path.join(place, 'file'), 'wb'):
        pass
    path = os.path.join(place, 'file', 'peers.db')
    result = run(place, 'join', '--local', '--json', '--cache', path)
    assert result.code in (1, 2) and path in result.err, str(result)


@case
def cache_of_another_network(place):
    cache, _ = made_cache(place, '--network', 'other', '--kad-protocol', '/other/kad/1.0.0')
    with open(cache, 'rb') as file:
        before = file.read()
    refused_cache(place, cache, 'other', code='wrong_network')
    with open(cache, 'rb') as file:
        assert file.read() == before, 'touched'
    result = run(place, 'list', '--local', '--cache', cache)
    expect(result, 2, cache, 'other')


@case
def cache_of_the_other_mode(place):
    cache, _ = made_cache(place)
    result = run(place, 'join', '--json', '--cache', cache)
    expect(result, 2, cache)


@case
def unreadable_cache(place):
    cache, _ = made_cache(place)
    os.chmod(cache, 0)
    refused_cache(place, cache, as_nobody=True, code='permission')


@case
def cache_that_may_not_be_made(place):
    with closed(place):
        refused_cache(place, os.path.join(place, 'peers.db'), as_nobody=True, code='permission')


@case
def read_only_cache_is_read_and_not_saved(place):
    cache, _ = made_cache(place)
    for name in os.listdir(place):
        os.chmod(os.path.join(place, name), 0o444)
    with Node(place, '--no-cache') as node, closed(place):
        report = join(place, '--cache', cache, '--timeout', '3s', '--peer', node.addr, code=0, as_nobody=True)
        assert report['saved'] is False, report
        assert 'cache' in [f['via'] for f in report['failures']], 'the cache was not read: %s' % report


@case
def corrupt_cache_is_moved_aside_and_the_join_goes_on(place):
    garbage = os.urandom(50000)
    cache = os.path.join(place, 'peers.db')
    with open(cache, 'wb') as file:
        file.write(garbage)
    with Node(place, '--no-cache') as node:
        report = join(place, '--cache', cache, '--peer', node.addr, code=0)
        assert report['saved'] is True and cache in report['stderr'], report
        aside = [name for name in os.listdir(place) if name.startswith('peers.db.corrupt-')]
        assert len(aside) == 1, os.listdir(place)
        with open(os.path.join(place, aside[0]), 'rb') as file:
            assert file.read() == garbage
        peers = run(place, 'list', '--local', '--cache', cache, '--json').json()
        assert [peer['id'] for peer in peers] == [node.id], peers


@case
def truncated_cache_goes_on(place):
    cache, _ = made_cache(place)
    size = os.path.getsize(cache)
    for keep in (0, 1, 50, 100, 1000, size // 2, size - 1):
        with open(cache, 'rb') as file:
            whole = file.read()
        with open(cache, 'wb') as file:
            file.write(whole[:keep])
        for name in ('-wal', '-shm'):
            if os.path.exists(cache + name):
                os.unlink(cache + name)
        with Node(place, '--no-cache') as node:
            report = join(place, '--cache', cache, '--peer', node.addr, code=0)
            assert report['saved'] is True, 'cut at %d: %s' % (keep, report)


@case
def foreign_file_under_another_name_is_refused_untouched(place):
    path = os.path.join(place, 'thesis.txt')
    with open(path, 'wb') as file:
        file.write(b'ten years of work\n' * 100)
    refused_cache(place, path, code='wrong_format')
    with open(path, 'rb') as file:
        assert file.read() == b'ten years of work\n' * 100
    assert os.listdir(place) == ['thesis.txt'] or set(os.listdir(place)) <= {'thesis.txt', 'thesis.txt.lock', 'thesis.txt.lock-queue'}


@case
def no_save_and_no_cache_change_nothing(place):
    cache, _ = made_cache(place)
    before = run(place, 'list', '--local', '--cache', cache, '--json').json()
    with Node(place, '--no-cache') as node:
        report = join(place, '--cache', cache, '--no-save', '--timeout', '3s', '--peer', node.addr, code=0)
        assert report['saved'] is False, report
        report = join(place, '--no-cache', '--peer', node.addr, code=0)
        assert report['saved'] is False, report
    assert run(place, 'list', '--local', '--cache', cache, '--json').json() == before
    assert not os.path.exists(os.path.join(place, 'state'))


@case
def no_save_on_a_cache_that_is_not_there(place):
    cache = os.path.join(place, 'deep', 'peers.db')
    with Node(place, '--no-cache') as node:
        report = join(place, '--cache', cache, '--no-save', '--peer', node.addr, code=0)
    assert report['verified'] == 1 and report['saved'] is False, report
    assert os.listdir(place) == [], 'made something: %s' % os.listdir(place)


@case
def file_modes(place):
    cache = os.path.join(place, 'a', 'b', 'peers.db')
    with Node(place, '--no-cache') as node:
        join(place, '--cache', cache, '--peer', node.addr, code=0)
    assert os.stat(cache).st_mode & 0o777 == 0o600
    assert os.stat(os.path.join(place, 'a')).st_mode & 0o777 == 0o700


@case
def default_paths_are_apart(place):
    with Node(place, '--no-cache') as node:
        join(place, '--peer', node.addr, code=0)
    state = os.path.join(place, 'state', 'peercache')
    assert os.listdir(state) == ['ipfs-local'], os.listdir(state)
    assert os.path.isfile(os.path.join(state, 'ipfs-local', 'peers.db'))


@case
def a_locked_cache_holds_up_no_join(place):
    cache = os.path.join(place, 'peers.db')
    with Node(place, '--no-cache') as node:
        expect(run(place, 'join', '--local', '--cache', cache, '--peer', node.addr), 0)
        with open(cache + '.lock', 'r+b') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            result = run(place, 'join', '--local', '--cache', cache, '--json')
        expect(result, 0, 'only read for now')
        report = result.json()
        assert report['verified'] == 1 and report['peers'][0]['via'] == 'cache', str(result)
        assert report['saved'] is False, str(result)
        assert run(place, 'join', '--local', '--cache', cache, '--json').json()['saved'] is True


main()
