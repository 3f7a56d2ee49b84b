"""peercache demo: the whole story, with few nodes; nothing left behind, whatever ends it."""
import json
import os
import select
import signal
import subprocess
import time

from harness import PEERCACHE, WAIT_S, case, environment, main, run


def children(pid):
    """Process ids whose parent is `pid`."""
    found = []
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open('/proc/%s/stat' % name, encoding='utf-8', errors='replace') as file:
                    fields = file.read().rsplit(')', 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(name))
    return found


def alive(pid):
    try:
        with open('/proc/%d/stat' % pid, encoding='utf-8', errors='replace') as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


@case
def story_in_words(place):
    result = run(place, 'demo', '--nodes', '8', env=environment(place, TMPDIR=place))
    assert result.code == 0, str(result)
    lines = result.out.splitlines()
    assert lines[-2].startswith('cold: ') and lines[-1].startswith('warm: '), str(result)
    for word in ('dial', 'verified', 'killed'):
        assert word in result.out, str(result)
    assert os.listdir(place) == [], 'left behind: %s' % os.listdir(place)


@case
def story_in_json(place):
    result = run(place, 'demo', '--nodes', '9', '--json', env=environment(place, TMPDIR=place))
    assert result.code == 0, str(result)
    story = result.json()
    assert story['status'] == 'rejoined' and story['nodes'] == 9 and story['killed'] == 3, story
    assert story['remembered'] == 9, story
    assert {p['via'] for p in story['warm']['peers']} <= {'cache', 'dht'}, story
    assert os.listdir(place) == []


@case
def interrupted_it_ends_all_its_nodes(place):
    for number in (signal.SIGINT, signal.SIGTERM):
        demo = subprocess.Popen([PEERCACHE, 'demo', '--nodes', '6'], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=environment(place, TMPDIR=place), start_new_session=True)
        try:
            assert select.select([demo.stdout], [], [], WAIT_S)[0]
            deadline = time.monotonic() + WAIT_S
            nodes = []
            while not nodes and demo.poll() is None and time.monotonic() < deadline:
                nodes = children(demo.pid)
            assert nodes, 'no children were seen'
            demo.send_signal(number)
            _, err = demo.communicate(timeout=WAIT_S)
        finally:
            if demo.poll() is None:
                demo.kill()
                demo.communicate()
        assert demo.returncode == 1 and b'interrupted' in err, (demo.returncode, err)
        assert not [pid for pid in nodes if alive(pid)], 'nodes survived'
        assert os.listdir(place) == [], os.listdir(place)


@case
def no_place_for_its_files(place):
    result = run(place, 'demo', '--nodes', '3', '--json', env=environment(place, TMPDIR=os.path.join(place, 'none')))
    assert result.code == 1 and 'temporary directory' in json.loads(result.out)['error']['detail'], str(result)


main()
