"""What stands at the path of a cache, or is imported, and is not what it should be; and commands that are stopped."""
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time

from harness import PEERCACHE, WAIT_S, Skip, case, environment, expect, main, run

ADDR = '/ip4/20.1.2.3/udp/4001/quic-v1'
LOOKING = [['list'], ['stats'], ['pick'], ['export'], ['check'], ['show', ADDR], ['prune', '--dry-run']]


def write(place, name, data):
    path = os.path.join(place, name)
    with open(path, 'wb') as file:
        file.write(data)
    return path


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def noise(size, seed=7):
    return random.Random(seed).randbytes(size)


def listed(place, cache):
    result = run(place, 'list', '--json', '--cache', cache)
    expect(result, 0)
    return result.json()


# -- at the path --


@case
def random_bytes_are_left_by_who_looks_and_set_aside_by_who_writes(place):
    for name in 'peers.db', 'peers.json':
        path = write(place, name, noise(20000))
        for command in LOOKING:
            if command[0] == 'prune':
                continue  # it may write
            result = run(place, *command, '--cache', path, '--json')
            expect(result, 1, path, 'no cache at all', 'nothing was changed', 'check --repair')
            assert result.json()['error']['code'] == 'corrupt', str(result)
            assert result.err.count('\n') == 1, str(result)
        assert os.listdir(place) == [name] and read(path) == noise(20000), os.listdir(place)
        expect(run(place, 'check', '--repair', '--cache', path), 0, 'moved aside')
        aside, = [n for n in os.listdir(place) if '.corrupt-' in n]
        assert read(os.path.join(place, aside)) == noise(20000)
        assert listed(place, path) == []
        for entry in os.listdir(place):
            os.unlink(os.path.join(place, entry))
        write(place, name, noise(20000))
        expect(run(place, 'add', ADDR, '--cache', path), 0, 'moved aside')
        assert len(listed(place, path)) == 1
        for entry in os.listdir(place):
            os.unlink(os.path.join(place, entry))


@case
def random_bytes_under_another_name_are_somebody_elses(place):
    path = write(place, 'peers', noise(20000))
    for command in LOOKING + [['add', ADDR], ['import', '-']]:
        result = run(place, *command, '--cache', path, '--json')
        expect(result, 2, path, 'left as it is')
        assert result.json()['error']['code'] == 'wrong_format', str(result)
    assert read(path) == noise(20000) and not [n for n in os.listdir(place) if 'corrupt' in n]


@case
def an_empty_file_is_a_cache_with_nothing_in_it(place):
    for name in 'peers.db', 'peers.json':
        path = write(place, name, b'')
        result = run(place, 'list', '--json', '--cache', path)
        expect(result, 0, path, 'nothing is in it yet')
        assert result.json() == [] and read(path) == b''
        expect(run(place, 'add', ADDR, '--cache', path), 0)
        assert len(listed(place, path)) == 1


@case
def cut_files(place):
    good = {}
    for name in 'peers.db', 'peers.json':
        path = os.path.join(place, name)
        expect(run(place, 'add', ADDR, '--cache', path), 0)
        good[name] = read(path)
        for size in 1, 15, 100, 4096, len(good[name]) // 2, len(good[name]) - 1:
            if size >= len(good[name]):
                continue
            for companion in '-wal', '-shm':  # of the file before
                if os.path.exists(path + companion):
                    os.unlink(path + companion)
            write(place, name, good[name][:size])
            result = run(place, 'list', '--cache', path)
            assert result.code in (0, 1) and (result.code == 0 or path in result.err), str(result)
            expect(run(place, 'add', ADDR, '--cache', path), 0)
            assert len(listed(place, path)) == 1
            if run(place, 'check', '--cache', path).code != 0:  # a cut that no row of ours lay behind
                expect(run(place, 'check', '--repair', '--cache', path), 0)
                assert len(listed(place, path)) == 1
            expect(run(place, 'check', '--cache', path), 0)
        assert len([n for n in os.listdir(place) if n.startswith(name + '.corrupt-') and n[-1].isdigit()]) <= 3, os.listdir(place)


@case
def directories_devices_and_links(place):
    os.mkdir(os.path.join(place, 'folder'))
    os.mkfifo(os.path.join(place, 'pipe'))
    os.symlink('nowhere', os.path.join(place, 'lost.db'))
    os.symlink('round', os.path.join(place, 'round'))
    before = sorted(os.listdir(place))
    for name, word in [('folder', 'directory'), ('folder/', 'directory'), ('pipe', 'device'), ('/dev/zero', 'device'),
                       ('lost.db', 'symbolic link'), ('round', 'symbolic link')]:
        for command in ['list'], ['add', ADDR]:
            if command == ['list'] and name == 'lost.db':
                continue  # there is no cache there yet
            result = run(place, *command, '--cache', name, '--json')
            expect(result, 2, name, word)
            assert result.json()['error']['code'] == 'wrong_format' and 'import' not in result.err, str(result)
    assert sorted(os.listdir(place)) == before, os.listdir(place)


@case
def a_link_to_a_cache_is_the_cache(place):
    expect(run(place, 'add', ADDR, '--cache', 'real.db'), 0)
    os.symlink('real.db', os.path.join(place, 'link'))
    expect(run(place, 'add', '/ip4/20.9.1.1/udp/1/quic-v1', '--cache', 'link'), 0)
    assert len(listed(place, 'real.db')) == len(listed(place, 'link')) == 2
    assert os.path.islink(os.path.join(place, 'link'))


@case
def huge_files(place):
    for name, code, text in [('peers.json', 2, 'larger than'), ('peers.db', 1, 'no cache at all')]:
        path = write(place, name, b'')
        os.truncate(path, 50 << 30)  # sparse
        expect(run(place, 'list', '--cache', path), code, path, text)
    expect(run(place, 'import', 'peers.json', '--cache', 'x.db'), 2, 'neither a JSON object nor lines')


@case
def a_hundred_megabytes_of_brackets(place):
    deep = write(place, 'deep.json', b'{"peers":' + b'[' * 50000000 + b']' * 50000000 + b'}')
    expect(run(place, 'import', deep, '--cache', 'x.db'), 2, 'nested too deeply')
    expect(run(place, 'add', ADDR, '--cache', deep), 2, deep, 'nested too deeply')


@case
def documents_without_an_end(place):
    for begin, text in [(b'', 'neither a JSON object nor lines'), ((ADDR + '\n').encode(), 'a line without an end')]:
        with subprocess.Popen([PEERCACHE, 'import', '-', '--cache', 'x.db'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=environment(place), cwd=place) as process:
            fed = begin
            try:
                for _ in range(10000):  # it does not read on for ever
                    process.stdin.write(fed)
                    fed = bytes(65536)
                raise AssertionError('read 640 MB of nothing')
            except BrokenPipeError:
                pass
            process.stdin = None
            _, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 2 and text in err.decode(), err


@case
def a_newer_program_on_the_same_file(place):
    """Two versions side by side: the older one reads."""
    expect(run(place, 'add', ADDR, '--cache', 'peers.db'), 0)
    with sqlite3.connect(os.path.join(place, 'peers.db')) as db:
        db.execute('PRAGMA user_version=99')
    db.close()
    expect(run(place, 'add', ADDR, '--cache', 'peers.json'), 0)
    path = os.path.join(place, 'peers.json')
    write(place, 'peers.json', read(path).replace(b'"version":1', b'"version":99,"of_tomorrow":[1]'))
    for name in 'peers.db', 'peers.json':
        before = read(os.path.join(place, name))
        assert len(listed(place, name)) == 1
        result = run(place, 'add', '/ip4/20.9.1.1/udp/1/quic-v1', '--cache', name, '--json')
        expect(result, 0, name, 'newer version', 'read-only')
        assert result.json()['saved'] is False, str(result)
        assert read(os.path.join(place, name)) == before


# -- several users --


@case
def users_share_a_setgid_directory(place):
    if os.getuid() != 0:
        raise Skip('only root can be two users')
    shared = os.path.join(place, 'shared')
    os.mkdir(shared)
    os.chown(shared, 0, 65534)
    os.chmod(shared, 0o2775)
    os.chmod(place, 0o755)
    for name in 'peers.db', 'peers.json':
        cache = os.path.join(shared, name)
        expect(run(place, 'add', ADDR, '--cache', cache), 0)
        result = run(place, 'add', '/ip4/20.9.1.1/udp/1/quic-v1', '--cache', cache, '--json', as_nobody=True)
        expect(result, 0)
        assert result.json() == {'added': 1, 'refused': [], 'saved': True}, str(result)
        result = run(place, 'report', ADDR, 'success', '--cache', cache, '--json')
        assert result.json()['saved'] is True, str(result)
        assert len(listed(place, cache)) == 2


@case
def another_users_cache_is_an_error_with_a_name(place):
    if os.getuid() != 0:
        raise Skip('only root can be two users')
    os.chmod(place, 0o755)
    for name in 'peers.db', 'peers.json':
        cache = os.path.join(place, name)
        expect(run(place, 'add', ADDR, '--cache', cache), 0)
        result = run(place, 'add', ADDR, '--cache', cache, '--json', as_nobody=True)
        expect(result, 2, cache, 'ermission')
        assert result.json()['error']['code'] == 'permission', str(result)


# -- stopped --


def many_peers(place, count):
    """A document of so many peers known by their addresses."""
    entries = [{'addr': '/ip4/%d.%d.%d.7/udp/4001/quic-v1' % (20 + i % 80, i // 80 % 250, i // 20000),
                'last_seen': '2026-01-01T00:00:00Z', 'success_count': 1, 'failure_count': 0} for i in range(count)]
    return write(place, 'many.json', json.dumps({'last_updated': '2026-01-01T00:00:00Z', 'peers': entries}).encode())


def stopped_import(place, document, cache, how, after_s):
    with subprocess.Popen([PEERCACHE, 'import', '--trust', '--max-peers', '100000', document, '--cache', cache],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(place), cwd=place) as process:
        time.sleep(after_s)  # a moment of its work, whichever
        process.send_signal(how)
        process.communicate(timeout=WAIT_S)
        assert process.returncode in (0, -how), process.returncode


@case
def an_import_that_is_stopped_leaves_a_whole_cache(place):
    """Ctrl-C and SIGKILL at moments that are spread over the work."""
    document = many_peers(place, 40000)
    for name in 'peers.db', 'peers.json':
        cache = os.path.join(place, name)
        begin = time.monotonic()
        expect(run(place, 'import', '--trust', '--max-peers', '100000', document, '--cache', os.path.join(place, 'whole-' + name)), 0)
        took_s = time.monotonic() - begin
        for turn in range(6):
            stopped_import(place, document, cache, signal.SIGKILL if turn % 2 else signal.SIGINT, took_s * (turn + 1) / 7)
            if not os.path.exists(cache):
                continue
            expect(run(place, 'check', '--cache', cache, '--max-peers', '100000'), 0)
        result = run(place, 'import', '--trust', '--max-peers', '100000', document, '--cache', cache, '--json')
        answer = result.json()
        assert answer['accepted'] + answer['merged'] == 40000 and answer['rejected'] == 0, answer
        stats = run(place, 'stats', '--json', '--cache', cache).json()
        assert stats['peers'] == 40000 and stats['tried'] == 40000, stats
        known = {name, name + '.lock', name + '.lock-queue', name + '-wal', name + '-shm'}
        left = {n for n in os.listdir(place) if n.startswith(name)}
        assert left <= known, 'left behind: %s' % (left - known)


@case
def a_cache_whose_log_was_left_behind_is_read_in_a_closed_directory(place):
    """A process that exits without closing leaves SQLite's log: what it acknowledged is in it."""
    cache = os.path.join(place, 'peers.db')
    expect(run(place, 'add', ADDR, '--cache', cache), 0)
    with sqlite3.connect(cache) as db:  # keeps the log from being taken in at the end of the command
        db.execute('SELECT count(*) FROM peer').fetchone()
        db.execute('BEGIN')
        db.execute('SELECT count(*) FROM peer').fetchone()
        expect(run(place, 'add', '/ip4/20.9.1.1/udp/1/quic-v1', '--cache', cache), 0)
        for suffix in '', '-wal', '-shm':
            shutil.copy(cache + suffix, os.path.join(place, 'left.db' + suffix))
    db.close()
    assert os.path.getsize(os.path.join(place, 'left.db-wal')) > 0
    assert len(listed(place, os.path.join(place, 'left.db'))) == 2


main()
