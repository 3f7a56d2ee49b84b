"""The circuit breaker of endpoints over many runs of the command, what is shared between processes, and what an
interrupted join leaves behind. Arguments: the command, and the program that ages what is remembered of endpoints."""
import contextlib
import json
import os
import signal
import socket
import subprocess

from harness import PEERCACHE, STRANGER, WAIT_S, addr_of, case, environment, silent_port, unused_port
from joining import World, asking, body_of, cached_ids, endpoint_rows, join, make_older
from servers import closed_port, silent_socket

FAILURES = 5  # in a row open it
PROCESSES = 20
LEASE_WAIT_MS = 2000  # PC_ENDPOINT_LEASE_WAIT_MS
world = World()


def paths(place, *names):
    """URLs of files that no other case has, and the cache of this one."""
    folder = os.path.basename(place)
    os.mkdir(os.path.join(world.web.files, folder))
    return os.path.join(place, 'peers.db'), [folder + '/' + name for name in names]


@case
def what_counts_as_failure_opens_it_over_restarts(place):
    """Rubbish, only addresses of no use, only peers of whom none can be verified: all of them with HTTP 200."""
    cache, (rubbish, useless, gone) = paths(place, 'rubbish', 'useless', 'gone')
    world.web.put(rubbish, '<html>It works!</html>')
    world.web.put(useless, body_of(['/ip4/127.0.0.1/tcp/4001', '/ip4/0.0.0.0/udp/4001/quic-v1/p2p/' + STRANGER]))
    world.web.put(gone, body_of([addr_of(unused_port(), STRANGER)]))
    urls = [world.web.url(path) for path in (rubbish, useless, gone)]
    for count in range(1, FAILURES + 1):
        report = join(place, *asking(*urls), code=1, cache=cache)
        rows = report['endpoints']
        good = 'ok' if count == 1 else 'not_modified'  # and no better for that
        assert [row['result'] for row in rows] == ['rubbish', good, good], rows
        assert [row['breaker'] for row in rows] == ['open' if count == FAILURES else 'closed'] * 3, (count, rows)
        assert report['metrics']['breaker_transitions'] == (3 if count == FAILURES else 0), (count, report)
        if count < FAILURES:  # a minute later, so that no answer is shared
            for url in urls:
                make_older(cache, url, 61)
    report = join(place, *asking(*urls), code=1, cache=cache)
    assert report['cause'] == 'endpoints_down' and report['metrics']['fetches'] == {}, report
    for row in report['endpoints'] + endpoint_rows(place, cache, *urls):
        assert row['breaker'] == 'open' and 0 < row['next_try_ms'] <= 67500, row
        assert not row.get('asked'), row
    for path in (rubbish, useless, gone):
        assert len(world.web.log(path)) == FAILURES, world.web.log(path)
    assert join(place, *asking(urls[0], world.web.url('peers.json')), cache=cache)['status'] == 'joined'
    assert len(world.web.log(rubbish)) == FAILURES, 'asked though it is open'


@case
def a_fetch_with_its_retries_is_one_failure(place):
    cache, (path,) = paths(place, 'file')
    url = world.web.url(path)
    report = join(place, '--endpoint', url, code=1, cache=cache)
    assert report['endpoints'][0]['status'] == 404 and report['metrics']['fetches'] == {'http_error': 3}, report
    assert len(world.web.log(path)) == 3, world.web.log(path)
    world.web.put(path, '{')
    for count in range(2, FAILURES + 1):
        assert endpoint_rows(place, cache, url)[0]['breaker'] == 'closed', count
        join(place, '--endpoint', url, code=1, cache=cache)
    assert endpoint_rows(place, cache, url)[0]['breaker'] == 'open'


def opened(place, name='file'):
    """An endpoint with rubbish whose breaker is open."""
    cache, (path,) = paths(place, name)
    url = world.web.put(path, '{')
    for _ in range(FAILURES):
        join(place, '--endpoint', url, code=1, cache=cache)
    row, = endpoint_rows(place, cache, url)
    assert row['breaker'] == 'open', row
    return cache, path, url


@case
def one_probe_a_minute_later_closes_it_or_doubles_the_wait(place):
    cache, path, url = opened(place)
    make_older(cache, url, 68)
    assert endpoint_rows(place, cache, url)[0]['next_try_ms'] == 0
    join(place, '--endpoint', url, code=1, cache=cache)
    row, = endpoint_rows(place, cache, url)
    assert row['breaker'] == 'open' and 67500 < row['next_try_ms'] <= 135000, row
    assert len(world.web.log(path)) == FAILURES + 1, 'more than one probe'
    world.web.put(path, body_of(world.addrs))
    join(place, '--endpoint', url, code=1, cache=cache)  # it is good again, and nobody knows yet
    assert len(world.web.log(path)) == FAILURES + 1, 'asked before its time'
    make_older(cache, url, 136)
    report = join(place, '--endpoint', url, cache=cache)
    assert report['endpoints'][0]['breaker'] == 'closed', report
    row, = endpoint_rows(place, cache, url)
    assert row['breaker'] == 'closed' and row['verified'] > 0, row


@case
def a_success_between_starts_the_count_anew(place):
    cache, (path,) = paths(place, 'file')
    url = world.web.url(path)
    for count in range(2 * (FAILURES - 1)):
        if count == FAILURES - 1:
            world.web.put(path, body_of(world.addrs))
            join(place, '--endpoint', url, '--ignore-cache', cache=cache)
            make_older(cache, url, 61)
        world.web.put(path, '{')
        join(place, '--endpoint', url, '--ignore-cache', code=1, cache=cache)
    assert endpoint_rows(place, cache, url)[0]['breaker'] == 'closed'


@case
def a_refused_connection_counts_and_silence_alone_does_not(place):
    """When nothing else answers, silence is the fault of this machine's network as likely as of theirs."""
    cache, _ = paths(place)
    with contextlib.ExitStack() as stack:
        refusing = 'http://127.0.0.1:%d/' % closed_port(stack)
        lost = 'http://127.0.0.1:%d/' % silent_socket(stack, socket.SOCK_STREAM)
        for _ in range(FAILURES):
            join(place, '--endpoint', lost, '--timeout', '300ms', code=1, cache=cache)
        row, = endpoint_rows(place, cache, lost)
        assert row['breaker'] == 'closed', row
        join(place, '--endpoint', refusing, code=1, cache=cache)
        row, = endpoint_rows(place, cache, refusing)
        assert row['result'] == 'refused' and row['breaker'] == 'closed', row


@case
def many_processes_share_one_fetch(place):
    cache, (path,) = paths(place, 'peers.json')
    url = world.web.put(path, body_of(world.addrs))
    command = [PEERCACHE, 'join', '--local', '--json', '--no-walk', '--ignore-cache', '--target-peers', '1', '--timeout', '30s',
               '--cache', cache, '--endpoint', url]
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                                          env=environment(place))) for _ in range(PROCESSES)]
        stack.callback(lambda: [process.kill() for process in processes])
        reports = []
        for process in processes:
            out, err = process.communicate(timeout=WAIT_S)
            assert process.returncode == 0, (out, err)
            reports.append(json.loads(out))
    rows = [report['endpoints'][0] for report in reports]
    assert all(row['result'] == 'ok' and row['delivered'] == 3 for row in rows), rows
    # One fetch serves all, and nobody makes one of his own before he has waited for it as long as a lease holds others up.
    own = sorted(report['elapsed_ms'] for report in reports if not report['endpoints'][0]['shared'])
    assert own and all(elapsed >= LEASE_WAIT_MS for elapsed in own[1:]), (own, rows)
    assert len(world.web.log(path)) == len(own), world.web.log(path)


@case
def an_interrupted_join_keeps_what_it_learnt(place):
    """The peer that was verified, those that the endpoints named, and the failure that opens a breaker."""
    cache, (bad, good) = paths(place, 'bad', 'good')
    urls = [world.web.put(bad, '{'), world.web.put(good, body_of([world.nodes[0].addr]))]
    sock, port = silent_port()
    for number in range(FAILURES - 1):
        join(place, '--endpoint', urls[0], code=1, cache=cache)
        assert endpoint_rows(place, cache, urls[0])[0]['breaker'] == 'closed', number
    with sock, subprocess.Popen([PEERCACHE, 'join', '--local', '--json', '-v', '--cache', cache, '--timeout', '1h',
                                 '--peer', addr_of(port, STRANGER), *asking(*urls)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=environment(place)) as process:
        try:
            seen = ''
            while seen.count('fetched ') < 2 or ' verified ' not in seen:
                line = process.stderr.readline().decode()
                assert line, 'it ended: ' + seen
                seen += line
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
    report = json.loads(out)
    assert process.returncode == 0 and report['saved'] and report['status'] == 'degraded', (out, err)
    assert set(world.ids) >= {peer['id'] for peer in report['peers']} <= set(cached_ids(place, cache)), report
    bad_row, good_row = endpoint_rows(place, cache, *urls)
    assert bad_row['breaker'] == 'open' and bad_row['result'] == 'rubbish', bad_row
    assert good_row['breaker'] == 'closed' and good_row['delivered'] == good_row['verified'] == 1, good_row


world.run(3)
