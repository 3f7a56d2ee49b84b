"""The network-level simulator: each scenario, small, under all checks; that a run repeats from its seed, with another compiler and
other optimisation too; that a planted defect is found, told, and bisected; and the seeds that once failed.
Arguments: peercache-sim, the source directory."""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys

SIM, SOURCE = (os.path.abspath(path) for path in sys.argv[1:3])
HERE = os.path.join(SOURCE, 'tests', 'sim')
DRIVE = os.path.join(SOURCE, 'tests', 'disk')
sys.path.insert(0, os.path.join(SOURCE, 'tests', 'cli'))
from harness import case, main  # pylint: disable=wrong-import-position

LINE = re.compile(r'^\[\d+d \d\d:\d\d:\d\d\.\d{3}\] \S')
ROOMS = ['base', 'addr', 'cache', 'kad', 'join', 'format', 'store', 'node']
DISKS = ['sqlite', 'json']


def sim(*args, program=SIM, expect=0):
    done = subprocess.run([program] + list(args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, check=False)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == expect, 'status %d\n%s\n%s' % (done.returncode, out[-2000:], err[-8000:])
    return out, err


def figure(out, name):
    found = re.search(r'^%s +(\S+)' % re.escape(name), out, re.MULTILINE)
    assert found, out
    return found.group(1)


def scenarios():
    return [line.split()[0] for line in sim('--list')[0].splitlines()]


def add_scenario(name):
    def run(_place):
        out, _ = sim(name, '--small')
        assert float(figure(out, 'joins made of those tried')) > 50, out
    run.__name__ = 'scenario_' + name.replace('-', '_')
    case(run)


for scenario in scenarios():
    add_scenario(scenario)


@case
def many_seeds_of_everything_at_once(_place):
    out, _ = sim('chaos', '--nodes', '6', '--minutes', '40', '--check-all', '--seeds', '6')
    assert out == '6 seeds of chaos hold\n', out


def add_disk(disk):
    def run(_place):
        for args in (['chaos', '--nodes', '6', '--minutes', '40', '--seeds', '2'],
                     ['chaos', '--nodes', '6', '--minutes', '40', '--seeds', '2', '--shared', '3']):
            out, _ = sim(*args, '--check-all', '--disk', disk)
            assert out == '2 seeds of chaos hold\n', out
        for args in (['mass-restart', '--nodes', '12', '--minutes', '20'], ['month', '--nodes', '6', '--minutes', '60'],
                     ['rolling-upgrade', '--nodes', '8', '--minutes', '24', '--shared', '4']):
            out, _ = sim(*args, '--check-all', '--disk', disk)
            assert int(figure(out, 'bytes to disk')) > 10000 and int(figure(out, 'syncs')) > 10, out
            assert '--shared' not in args or int(figure(out, 'taken in of others')) > 0, out
    run.__name__ = 'the_real_store_%s_over_a_simulated_drive' % disk
    case(run)


for name_of_disk in DISKS:
    add_disk(name_of_disk)


@case
def what_the_store_writes_is_not_in_the_hash(_place):
    args = ['cold-start', '--nodes', '8', '--minutes', '10']
    sqlite, json = (sim(*args, '--disk', disk)[0] for disk in DISKS)
    assert figure(sqlite, 'hash') == figure(json, 'hash')
    assert figure(sqlite, 'bytes to disk') != figure(json, 'bytes to disk')


@case
def a_run_repeats_from_its_seed(_place):
    args = ['chaos', '--nodes', '6', '--minutes', '30']
    first, again, other = (figure(sim(*args, '--seed', seed)[0], 'hash') for seed in '556')
    assert first == again and first != other
    # how much is checked and told changes nothing of what happens
    assert figure(sim(*args, '--seed', '5', '--check-all', '--trace', '/dev/null')[0], 'hash') == first
    for disk in DISKS:
        first, again = (figure(sim(*args, '--seed', '5', '--disk', disk)[0], 'hash') for _ in range(2))
        assert first == again


def other_compiler():
    """Not the one of this build when there is another, and other optimisation in any case."""
    return ['clang', '-O3', '-DNDEBUG'] if shutil.which('clang') else ['gcc', '-O3', '-DNDEBUG']


def build_again(place, compiler):
    """The pure rooms and the simulator, without Meson: libp2p is not in it, but for its headers."""
    flags = ['-std=gnu17', '-w', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-I' + os.path.join(SOURCE, 'src'), '-I' + os.path.join(SOURCE, 'include')]
    sources = [path for room in ROOMS for path in sorted(glob.glob(os.path.join(SOURCE, 'src', room, '*.c')))
               if os.path.basename(path) != 'wire.c'] + sorted(
                   path for path in glob.glob(os.path.join(HERE, '*.c')) + glob.glob(os.path.join(DRIVE, '*.c'))
                   if not os.path.basename(path).startswith('test_'))

    def compile_one(item):
        number, path = item
        target = os.path.join(place, '%d.o' % number)
        subprocess.run(compiler + flags + ['-c', path, '-o', target], check=True, timeout=120)
        return target
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compile_one, enumerate(sources)))
    program = os.path.join(place, 'peercache-sim')
    subprocess.run(compiler[:1] + objects + ['-lsodium', '-lsqlite3', '@' + os.path.join(DRIVE, 'wrapped.args'), '-o', program],
                   check=True, timeout=120)
    return program


@case
def another_compiler_gives_the_same_hash(place):
    program = build_again(place, other_compiler())
    for args in (['chaos', '--nodes', '6', '--minutes', '30'], ['month', '--nodes', '8', '--minutes', '90'],
                 ['attacker-50', '--nodes', '6', '--minutes', '20'],
                 ['chaos', '--nodes', '6', '--minutes', '30', '--disk', 'sqlite', '--shared', '2'],
                 ['chaos', '--nodes', '6', '--minutes', '30', '--disk', 'json']):
        ours, theirs = (figure(sim(*args, '--seed', '3', program=which)[0], 'hash') for which in (SIM, program))
        assert ours == theirs, args


@case
def a_defect_is_found_and_told_as_a_story(_place):
    for fault, word in (('lose', 'is lost'), ('double', 'committed than')):
        _, err = sim('chaos', '--nodes', '8', '--minutes', '90', '--check-all', '--fault', fault, expect=1)
        lines = err.splitlines()
        assert lines[0].startswith('BROKEN: ') and word in lines[0], lines[0]
        story = [line for line in lines if LINE.match(line)]
        assert len(story) > 5 and any(re.search(r'n\d+ dial .* → ', line) for line in story), err
        assert any('BROKEN' in line for line in story)
        # the command that it names breaks at the same place
        again = lines[-1].split('peercache-sim ', 1)[1].split()
        assert sim(*again, expect=1)[1] == err


@case
def a_drive_that_lies_about_its_syncs_is_found_out(_place):
    for disk, word in (('sqlite', 'damaged|does not open|the power went'), ('json', 'the power went')):
        _, err = sim('chaos', '--nodes', '8', '--minutes', '60', '--seeds', '60', '--check-all', '--disk', disk, '--fault', 'sync',
                     expect=1)
        assert re.search(r'^BROKEN: .*(%s)' % word, err), err
        again = err.splitlines()[-1].split('peercache-sim ', 1)[1].split()
        assert sim(*again, expect=1)[1] == err
        assert sim(*[word for word in again if word not in ('--fault', 'sync')])


@case
def a_bisection_finds_the_smallest_network_and_the_shortest_run(_place):
    out, err = sim('month', '--nodes', '12', '--minutes', '60', '--fault', 'lose', '--bisect', expect=1)
    found = re.search(r'^smallest network (\d+) nodes, shortest run (\d+) happenings$', out, re.MULTILINE)
    assert found and int(found.group(1)) < 12, out
    held = set(re.findall(r'^(\d+) nodes: holds$', out, re.MULTILINE))
    assert held >= set(str(nodes) for nodes in range(4, int(found.group(1)))), out
    again = err.splitlines()[-1].split('peercache-sim ', 1)[1].split()
    assert again[again.index('--nodes') + 1] == found.group(1)
    assert again[again.index('--events') + 1] == found.group(2)
    sim(*again, expect=1)
    again[again.index('--events') + 1] = str(int(found.group(2)) - 1)  # one less holds
    sim(*again)


@case
def a_whole_run_can_be_read(place):
    path = os.path.join(place, 'story')
    sim('split-heal', '--nodes', '6', '--minutes', '20', '--trace', path)
    with open(path, encoding='utf-8') as file:
        story = file.read().splitlines()
    assert all(LINE.match(line) for line in story)
    text = '\n'.join(story)
    for what in ('n0 starts, life 1', 'the scenario: the network is in two', '→ ok', '→ timeout', 'commit of', 'join → '):
        assert what in text, what


@case
def seeds_that_once_failed_hold(_place):
    paths = sorted(glob.glob(os.path.join(HERE, 'regressions', '*')))
    assert paths
    for path in paths:
        with open(path, encoding='utf-8') as file:
            for line in file:
                if line.strip() and not line.startswith('#'):
                    sim(*line.split())


@case
def wrong_usage_is_told(_place):
    for args in ([], ['no-such'], ['chaos', '--seed', 'x'], ['chaos', '--nodes', '2'], ['chaos', '--wrong'], ['chaos', 'month'],
                 ['chaos', '--disk', 'tape'], ['chaos', '--fault', 'nope'], ['chaos', '--fault', 'sync'], ['chaos', '--shared', '2'], ['chaos', '--disk', 'json', '--shared', '0']):
        sim(*args, expect=2)


main()
