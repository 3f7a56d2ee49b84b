"""peercache id: makes the key file once, mode 0600, a libp2p protobuf, and tells the same id ever after."""
import os
import stat
import subprocess

from harness import PEERCACHE, case, closed, environment, expect, main, run


def identity(place, *arguments):
    result = run(place, 'id', *arguments)
    assert result.code == 0, str(result)
    return result.out.strip()


@case
def made_once_and_stable(place):
    path = os.path.join(place, 'deep', 'er', 'key')
    first = run(place, 'id', '--key', path)
    assert first.code == 0 and path in first.err, str(first)
    second = run(place, 'id', '--key', path)
    assert second.code == 0 and second.err == '' and second.out == first.out, str(second)
    assert first.out.startswith('12D3KooW'), str(first)
    status = os.stat(path)
    assert stat.S_IMODE(status.st_mode) == 0o600, oct(status.st_mode)
    assert stat.S_IMODE(os.stat(os.path.join(place, 'deep')).st_mode) == 0o700
    assert os.listdir(os.path.dirname(path)) == ['key'], 'left something behind'


@case
def mode_whatever_the_umask(place):
    path = os.path.join(place, 'key')
    for mask in (0, 0o777):
        old = os.umask(mask)
        try:
            identity(place, '--key', path)
        finally:
            os.umask(old)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        os.unlink(path)


@case
def the_file_is_a_libp2p_protobuf(place):
    path = os.path.join(place, 'key')
    identity(place, '--key', path)
    with open(path, 'rb') as file:
        data = file.read()
    assert len(data) == 68 and data[:4] == b'\x08\x01\x12\x40', data[:4].hex()


@case
def two_fresh_keys_differ(place):
    ids = {identity(place, '--key', os.path.join(place, name)) for name in 'ab'}
    assert len(ids) == 2


@case
def default_place_beside_the_cache(place):
    first = identity(place)
    assert identity(place) == first
    assert os.path.isfile(os.path.join(place, 'state', 'peercache', 'ipfs', 'key'))


@case
def many_at_once_agree(place):
    path = os.path.join(place, 'key')
    running = [subprocess.Popen([PEERCACHE, 'id', '--key', path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                env=environment(place)) for _ in range(8)]
    outputs = {process.communicate(timeout=30)[0] for process in running}
    assert len(outputs) == 1 and all(process.returncode == 0 for process in running), outputs
    assert os.listdir(place) == ['key'], os.listdir(place)


@case
def json_form(place):
    path = os.path.join(place, 'key')
    first = run(place, 'id', '--key', path, '--json').json()
    second = run(place, 'id', '--key', path, '--json').json()
    assert first['made'] is True and second['made'] is False
    assert first['id'] == second['id'] and first['key'] == path and first['cid'].startswith('k'), first


@case
def bad_files_are_refused_untouched(place):
    good = os.path.join(place, 'good')
    identity(place, '--key', good)
    with open(good, 'rb') as file:
        key = file.read()
    for name, data in [('empty', b''), ('text', b'not a key\n'), ('cut', key[:-1]), ('long', key + b'\x00'),
                       ('zero', bytes(68)), ('huge', b'\x08\x01' * 10000), ('unknown type', b'\x08\x09' + key[2:])]:
        path = os.path.join(place, name)
        with open(path, 'wb') as file:
            file.write(data)
        os.chmod(path, 0o600)
        result = run(place, 'id', '--key', path)
        expect(result, 2, path)
        assert result.out == '', str(result)
        with open(path, 'rb') as file:
            assert file.read() == data
        result = run(place, 'run', '--local', '--no-cache', '--key', path)
        expect(result, 2, path)


@case
def directory_and_pipe_are_refused(place):
    expect(run(place, 'id', '--key', place), 2, place, 'directory')
    pipe = os.path.join(place, 'pipe')
    os.mkfifo(pipe)
    expect(run(place, 'id', '--key', pipe), 2, pipe)


@case
def no_permission(place):
    with closed(place):
        result = run(place, 'id', '--key', os.path.join(place, 'key'), as_nobody=True)
    expect(result, 2, os.path.join(place, 'key'), 'ermission')
    assert os.listdir(place) == []


@case
def readable_by_others_is_warned_of(place):
    path = os.path.join(place, 'key')
    first = identity(place, '--key', path)
    os.chmod(path, 0o644)
    result = run(place, 'id', '--key', path)
    assert result.code == 0 and result.out.strip() == first and 'chmod 600' in result.err, str(result)


main()
