"""What becomes of a cache when its processes are many, are signalled at any moment, or are broken. Every claim is counted: what
the processes told of themselves against what the cache holds afterwards."""
import collections
import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import time

from harness import PEERCACHE, WAIT_S, addr_of, case, environment, expect, run
from joining import World
from namespace import Machine
from servers import die_with_parent

MANY = 60
AT_ONCE = 10  # of those that live on begin so many at a time: each dials the others
JOIN_S = 120.0  # of so many processes at once, on a machine of two cores
SERVERS = 12
world = World()


def spawn(place, *arguments):
    return subprocess.Popen([PEERCACHE, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=environment(place), cwd=place, preexec_fn=die_with_parent)


def ended(process, seconds=WAIT_S):
    """(exit code, standard output, standard error); its end is sound."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    err = err.decode('utf-8', 'replace')
    assert 'Sanitizer' not in err and 'runtime error' not in err, err
    return process.returncode, out.decode('utf-8', 'replace'), err


def peers_of(place, cache):
    result = run(place, 'list', '--local', '--json', '--cache', cache)
    expect(result, 0)
    return {peer['id']: peer for peer in result.json()}


def tried_of(place, cache):
    return {i for i, peer in peers_of(place, cache).items() if peer['state'] == 'tried'}


def successes(peers, peer_id):
    return sum(addr['success_count'] for addr in peers[peer_id]['addrs']) if peer_id in peers else 0


def is_whole(place, cache):
    result = run(place, 'check', '--local', '--cache', cache)
    assert result.code == 0 or 'nothing is in it yet' in result.err, str(result)
    assert not [name for name in os.listdir(place) if '.corrupt' in name], os.listdir(place)


# ----- signals -----

def verified_lines(err):
    """Of the timeline of -v: the ids that were verified."""
    return [line.split('/p2p/')[1].split()[0] for line in err.splitlines() if ' verified  /' in line]


def sigterm_at(place, command, cache, delay_s):
    """Whatever it was at: its end is clean, and all that it had verified is in the cache. How many those were."""
    target = ['--target-peers', '12'] if command == 'join' else []
    process = spawn(place, command, '--local', '-v', '--json', '--cache', cache, '--peer', world.addrs[0], *target)
    time.sleep(delay_s)
    process.send_signal(signal.SIGTERM)
    code, out, err = ended(process)
    # the signal itself, before it begins to take signals or after all is done
    assert code in (0, 1, -signal.SIGTERM), (code, out, err)
    seen = set(verified_lines(err))
    peers = peers_of(place, cache) if os.path.exists(cache) else {}
    assert seen <= {i for i in peers if successes(peers, i) > 0}, (delay_s, seen, peers, err)
    return len(seen)


@case
def sigterm_at_any_moment_saves_what_was_verified(place):
    chance = random.Random(5)
    for command in 'run', 'join':
        verified = []
        for turn in range(10):
            cache = os.path.join(place, '%s-%d.%s' % (command, turn, 'json' if turn % 3 == 2 else 'db'))
            verified.append(sigterm_at(place, command, cache, chance.uniform(0, 0.12 * (turn + 1))))
            if os.path.exists(cache):
                is_whole(place, cache)
        assert max(verified) > 0, 'no signal came late enough: %s' % verified


@case
def sigkill_at_any_time_leaves_the_cache_whole(place):
    """Of each kind of file: nobody who was met is lost, and whoever comes next has no trouble with it. (Who was only heard of may
    be gone for good, and its port another's: a wrong identity goes at once.)"""
    chance = random.Random(6)
    many = os.path.join(place, 'many.txt')
    for name in 'peers.db', 'peers.json':
        cache = os.path.join(place, name)
        expect(run(place, 'join', '--local', '--cache', cache, '--peer', world.addrs[0]), 0)
        before = tried_of(place, cache)
        assert len(before) >= 5, before
        for turn in range(8):
            with open(many, 'w', encoding='utf-8') as file:
                for port in range(1000):
                    file.write('/ip4/127.1.%d.%d/udp/%d/quic-v1\n' % (turn, port % 250 + 1, 1000 + port))
            writers = [spawn(place, 'import', '--local', '--cache', cache, '--format', 'text', many),
                       spawn(place, 'run', '--local', '--cache', cache, '--save-period', '1s'),
                       spawn(place, 'join', '--local', '--cache', cache)]
            time.sleep(chance.uniform(0.1, 1.0))
            for writer in writers:
                writer.kill()
            for writer in writers:
                writer.communicate(timeout=WAIT_S)
            is_whole(place, cache)
            assert before <= tried_of(place, cache), turn
        result = run(place, 'join', '--local', '--cache', cache, '--json')
        expect(result, 0)
        assert result.json()['saved'] and {peer['via'] for peer in result.json()['peers']} <= {'cache', 'dht'}, str(result)
        assert not [n for n in os.listdir(place) if n.startswith(name) and ('tmp' in n or 'corrupt' in n)], os.listdir(place)


# ----- many -----

def all_ended(processes):
    return [ended(process, JOIN_S) for process in processes]


def closed_ports(stack, count):
    """UDP ports where nobody listens: bound, so that nobody takes them, by a socket that is connected elsewhere."""
    ports = []
    for _ in range(count):
        s = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        s.bind(('127.0.0.1', 0))
        s.connect(('127.0.0.1', 9))
        ports.append(s.getsockname()[1])
    return ports


@case
def sixty_processes_count_right_and_a_broken_one_harms_nobody(place):
    cache = os.path.join(place, 'peers.db')
    dead = ['12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA', '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8']
    flags = ['join', '--local', '--json', '--no-walk', '--cache', cache, '--target-peers', str(SERVERS), '--timeout', '60s']
    with contextlib.ExitStack() as stack:
        ports = closed_ports(stack, len(dead))
        expect(run(place, 'add', '--local', '--cache', cache, *world.addrs, *map(addr_of, ports, dead)), 0)
        processes = [spawn(place, *flags) for _ in range(MANY)]
        broken = []
        if os.getuid() == 0:
            nowhere = Machine(stack)  # not even its loopback is up
            with nowhere.inside():
                broken = [spawn(place, *flags, '--timeout', '2s') for _ in range(3)]
        reports = []
        for code, out, err in all_ended(processes):
            reports.append(json.loads(out))
            assert code == 0 and reports[-1]['saved'], (out, err)
        for code, out, err in all_ended(broken):
            assert code == 1 and json.loads(out)['verified'] == 0, (out, err)
    verified = collections.Counter(peer['id'] for report in reports for peer in report['peers'])
    # silence counts as a refusal does, where others answer; a dial that was no longer needed does not
    failed = collections.Counter(f['id'] for report in reports for f in report['failures'] if f['code'] != 'cancelled')
    peers = peers_of(place, cache)
    assert {i: successes(peers, i) for i in world.ids} == {i: verified[i] for i in world.ids}
    failures = {i: sum(addr['failure_count'] for addr in peer['addrs']) for i, peer in peers.items()}
    assert {i: n for i, n in failures.items() if n} == dict(failed), (failures, failed)
    assert sum(verified.values()) >= MANY * 5 and set(failed) >= set(dead), (verified, failed)
    is_whole(place, cache)


@case
def sixty_processes_do_not_pick_the_same_ten(place):
    cache = os.path.join(place, 'peers.db')
    names = ['/ip4/127.1.%d.%d/udp/4001/quic-v1' % (i // 250, i % 250 + 1) for i in range(500)]
    expect(run(place, 'add', '--local', '--cache', cache, *names), 0)
    picked = collections.Counter()
    for _, out, err in all_ended([spawn(place, 'pick', '--local', '--json', '--cache', cache, '-n', '10') for _ in range(MANY)]):
        rows = json.loads(out)
        assert len(rows) == 10, (out, err)
        picked.update(row['addr'] for row in rows)
    # 600 draws of 500: were they even, some 350 would be drawn, and none more than 7 times or so
    assert len(picked) >= 150 and max(picked.values()) <= 20, (len(picked), picked.most_common(3))


def commits_of(cache):
    """How often each process committed, as the cache's own ledger says."""
    with contextlib.closing(sqlite3.connect('file:%s?mode=ro' % cache, uri=True)) as db:
        return [row[0] for row in db.execute('SELECT sequence FROM ledger')]


def written(process):
    """Bytes that a process gave to write() and its kind so far; files and what it said."""
    with open('/proc/%d/io' % process.pid, encoding='ascii') as file:
        return {name: int(value) for name, value in (line.split(': ') for line in file)}['wchar']


@case
def sixty_living_processes_are_quiet_on_the_disk(place):
    cache = os.path.join(place, 'peers.db')
    expect(run(place, 'add', '--local', '--cache', cache, *world.addrs), 0)
    own = len(commits_of(cache))  # of add
    with contextlib.ExitStack() as stack:
        processes = []
        for begun in range(0, MANY, AT_ONCE):
            for _ in range(AT_ONCE):
                processes.append(spawn(place, 'run', '--local', '--json', '--cache', cache))
                stack.callback(processes[-1].kill)
            for process in processes[begun:]:  # has joined and walked, and so saved what the join brought
                for line in process.stdout:
                    event = json.loads(line)
                    assert event['event'] != 'warning', event
                    if event['event'] == 'walked':
                        break
                else:
                    raise AssertionError(process.stderr.read().decode())
        bytes_written = [written(process) for process in processes]
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for code, _, err in all_ended(processes):
            assert code == 0, err
    commits = commits_of(cache)
    print('# %d processes: %d commits, at most %d of one; %d KB written, at most %d by one' %
          (len(processes), sum(commits), max(commits), sum(bytes_written) // 1024, max(bytes_written) // 1024))
    assert len(commits) <= MANY + own, commits
    # the join's, the one on schedule after 30 s, the one at the stop, and on a slow machine those for news since
    assert max(commits) <= 6 and sum(commits) <= 4 * MANY + own, commits
    assert sum(bytes_written) <= sum(commits) * 128 * 1024, (bytes_written, commits)
    is_whole(place, cache)


world.run(SERVERS)
