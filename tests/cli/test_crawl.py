"""Crawls of networks of real processes: everyone is found, whoever is dead, foreign or silent is counted as that, and the
crawler leaves nothing behind but what it learnt."""
import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import time

from harness import (PEERCACHE, STRANGER, WAIT_S, Node, addr_of, case, environment, expect, main, run, silent_port,
                     unused_port)

OTHER = '/other/kad/1.0.0'
FORMATS = 'list', 'map', 'ant-v0', 'ant-v1', 'endpoint', 'text', 'kubo'


def crawl(place, *arguments, code=0):
    result = run(place, 'crawl', '--local', '--json', *arguments)
    assert result.code == code, str(result)
    return check(result.json())


def check(report):
    """What holds of every report."""
    assert report['known'] == (report['answered'] + sum(report['failed'].values()) + report['waiting']
                               + report['under_way']), report
    assert report['complete'] == (report['end'] == 'complete' and report['left_out'] == 0), report
    assert report['alive'] == report['rtt_ms']['count'], report
    assert sum(agent['count'] for agent in report['agents']) + report['other_agents'] == report['alive'], report
    if report['end'] == 'complete':
        assert report['waiting'] == report['under_way'] == 0, report
    return report


def ids_of(place, cache, state=None):
    result = run(place, 'list', '--local', '--json', '--cache', cache)
    expect(result, 0)
    return {peer['id'] for peer in result.json() if state in (None, peer['state'])}


@contextlib.contextmanager
def network(place, count):
    """So many nodes, joined through the first, who all know each other: crawled until they do."""
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(Node(place, '--no-cache'))]
        for _ in range(count - 1):
            nodes.append(stack.enter_context(Node(place, '--no-cache', '--peer', nodes[0].addr)))
        deadline = time.monotonic() + WAIT_S
        while crawl(place, '--no-cache', '--peer', nodes[-1].addr)['known'] < count:
            assert time.monotonic() < deadline, 'the network did not form'
        yield nodes


@case
def finds_everyone_and_feeds_the_cache(place):
    cache = os.path.join(place, 'peers.db')
    with network(place, 12) as nodes:
        report = crawl(place, '--cache', cache, '--peer', nodes[3].addr, '--concurrency', '4')
        assert report['end'] == 'complete' and report['complete'] is True and report['saved'] is True, report
        assert report['known'] == report['dialed'] == report['alive'] == report['answered'] == 12, report
        assert report['failed'] == {} and report['silent'] == 0 and report['join']['status'] == 'joined', report
        assert report['questions'] == report['answers'] >= 12, report
        assert report['agents'] == [{'agent': report['agents'][0]['agent'], 'count': 12}], report
        assert report['agents'][0]['agent'].startswith('peercache/'), report
        assert {'protocol': '/ipfs/kad/1.0.0', 'count': 12} in report['protocols'], report
        rtt = report['rtt_ms']
        assert 0 < rtt['min'] <= rtt['median'] <= rtt['p90'] <= rtt['p95'] <= rtt['p99'] <= rtt['max'], report
        assert ids_of(place, cache, 'tried') == {node.id for node in nodes}
        # From the cache alone.
        report = crawl(place, '--cache', cache)
        assert report['alive'] == 12, report


@case
def leaves_no_trace_in_the_tables(place):
    """A second crawl meets nobody but the nodes, though a first one and a join asked all of them."""
    with network(place, 8) as nodes:
        crawl(place, '--no-cache', '--peer', nodes[0].addr)
        expect(run(place, 'join', '--local', '--no-cache', '--peer', nodes[0].addr), 0)
        out = os.path.join(place, 'found')
        expect(run(place, 'crawl', '--local', '--no-cache', '--peer', nodes[0].addr, '--format', 'text', '-o', out), 0)
        with open(out, encoding='utf-8') as file:
            assert {line.split('/p2p/')[1] for line in file.read().split()} == {node.id for node in nodes}


@case
def the_dead_the_foreign_and_the_silent_are_counted_as_that(place):
    cache = os.path.join(place, 'peers.db')
    silent, port = silent_port()
    with contextlib.closing(silent), network(place, 10) as nodes, \
            Node(place, '--no-cache', '--kad-protocol', OTHER) as foreign:
        dead = nodes[7:9]
        for node in dead:
            node.kill()  # in tables, and no longer there
        report = crawl(place, '--cache', cache, '--peer', nodes[0].addr, '--peer', foreign.addr,
                       '--peer', addr_of(port, STRANGER))
        assert report['end'] == 'complete', report
        assert report['known'] == 12 and report['alive'] == report['answered'] == 8, report
        assert report['failed'] == {'refused': 2, 'timeout': 1, 'protocol_mismatch': 1}, report
        assert ids_of(place, cache, 'tried') == {node.id for node in nodes if node not in dead}


@case
def nothing_is_saved_that_should_not_be(place):
    cache = os.path.join(place, 'peers.db')
    with network(place, 3) as nodes:
        report = crawl(place, '--cache', cache, '--no-save', '--peer', nodes[0].addr)
        assert report['alive'] == 3 and report['saved'] is False, report
        assert not os.path.exists(cache)


@case
def writes_the_peers_in_every_format(place):
    with network(place, 4) as nodes:
        ids = {node.id for node in nodes}
        for name in FORMATS:
            out = os.path.join(place, name)
            cache = os.path.join(place, name + '.db')
            result = run(place, 'crawl', '--local', '--no-cache', '--peer', nodes[0].addr, '--format', name, '-o', out)
            expect(result, 0)
            assert result.out.startswith('crawled 4 peers') and 'alive 4' in result.out, str(result)
            assert os.stat(out).st_mode & 0o777 == 0o600
            imported = run(place, 'import', '--local', '--json', '--cache', cache, out)
            expect(imported, 0)
            assert imported.json()['format'] == name and imported.json()['accepted'] == 4, str(imported)
            assert ids_of(place, cache) == ids, name
        # Standard output holds the peers alone; the report is beside it.
        result = run(place, 'crawl', '--local', '--no-cache', '--peer', nodes[0].addr, '--format', 'text')
        assert {line.split('/p2p/')[1] for line in result.out.split()} == ids, str(result)
        expect(result, 0, 'crawled 4 peers', 'agents:')
        # -o alone is `list`, and with --json the report.
        out = os.path.join(place, 'alone')
        expect(run(place, 'crawl', '--local', '--no-cache', '--peer', nodes[0].addr, '-o', out), 0)
        with open(out, encoding='utf-8') as file:
            assert len(json.load(file)['peers']) == 4
        result = run(place, 'crawl', '--local', '--no-cache', '--peer', nodes[0].addr, '--json', '-o', out)
        expect(result, 0)
        with open(out, encoding='utf-8') as file:
            assert check(json.load(file))['alive'] == 4 and result.out == '', str(result)
        assert [name for name in os.listdir(place) if name.startswith('alone.')] == [], 'a temporary is left'


@case
def ends_with_what_there_is_when_the_time_is_up(place):
    with contextlib.ExitStack() as stack:
        nodes = stack.enter_context(network(place, 6))
        flags = ['--peer', nodes[0].addr]
        for _ in range(3):  # one peer at three addresses: 15 s of silence
            silent, port = silent_port()
            stack.enter_context(contextlib.closing(silent))
            flags += ['--peer', addr_of(port, STRANGER)]
        report = crawl(place, '--no-cache', *flags, '--timeout', '8s')
        assert report['end'] == 'timed_out' and report['complete'] is False, report
        assert report['alive'] == 6 and report['under_way'] == 1 and report['failed'] == {}, report


@case
def a_signal_ends_it_with_the_report(place):
    cache = os.path.join(place, 'peers.db')
    silent, port = silent_port()
    with contextlib.closing(silent), network(place, 6) as nodes:
        process = subprocess.Popen([PEERCACHE, 'crawl', '--local', '--json', '-v', '--cache', cache, '--peer', nodes[0].addr,
                                    '--peer', addr_of(port, STRANGER)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=environment(place), cwd=place, text=True)
        with process:
            crawled = 0
            for line in process.stderr:  # the silent one takes seconds: the signal comes before
                crawled += ' crawled ' in line
                if crawled == 6:
                    break
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, (out, err)
        report = check(json.loads(out))
        assert report['end'] == 'stopped' and report['alive'] == 6 and report['saved'] is True, report
        assert ids_of(place, cache, 'tried') == {node.id for node in nodes}


@case
def nobody_is_a_failure_with_a_cause(place):
    port = unused_port()
    report = crawl(place, '--no-cache', '--peer', addr_of(port, STRANGER), code=1)
    assert report['alive'] == 0 and report['failed'] == {'refused': 1}, report
    assert report['rtt_ms'] == {'count': 0, 'min': None, 'median': None, 'p90': None, 'p95': None, 'p99': None,
                                'max': None}, report
    assert report['join']['status'] == 'failed' and report['join']['cause'] and report['join']['next_step'], report
    result = run(place, 'crawl', '--local', '--no-cache')
    expect(result, 1, 'likely cause: no_sources')


@case
def wrong_usage_is_said_before_anything_is_dialled(place):
    silent, port = silent_port()
    with contextlib.closing(silent):
        peer = ['--peer', addr_of(port, STRANGER)]
        for arguments, text in [(['--json', '--format', 'text'], 'one of them'), (['--concurrency', '0'], '--concurrency'),
                                (['--concurrency', '501'], '--concurrency'), (['--timeout', '2'], '--timeout'),
                                (['--format', 'xml'], '--format'), (['--exclusive'], '--exclusive'),
                                (['--new-network'], '--new-network'), (['-o', '/no/such/place'], '/no/such/place')]:
            expect(run(place, 'crawl', '--local', '--no-cache', *peer, *arguments), 2, text)
        assert not select.select([silent], [], [], 0)[0], 'something was dialled'


@case
def progress_is_shown_on_a_terminal_alone(place):
    silent, port = silent_port()
    with contextlib.closing(silent), network(place, 6) as nodes:
        command = ['crawl', '--local', '--no-cache', '--peer', nodes[0].addr, '--peer', addr_of(port, STRANGER)]
        result = run(place, *command)
        expect(result, 0)
        assert result.err == '', str(result)
        ours, theirs = pty.openpty()
        process = subprocess.Popen([PEERCACHE, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs,
                                   env=environment(place), cwd=place)
        os.close(theirs)
        shown = b''
        with process, contextlib.suppress(OSError): # the other end was closed
            while select.select([ours], [], [], WAIT_S)[0]:
                shown += os.read(ours, 65536)
        os.close(ours)
        assert process.returncode == 0, shown
        assert b'crawling: known 7, dialled 7, alive 6, ' in shown and b' a second' in shown, shown
        assert shown.endswith(b'\r\033[K'), shown


main()
