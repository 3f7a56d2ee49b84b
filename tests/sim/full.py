#!/usr/bin/env python3
"""`make sim`: every scenario in full, many seeds of each small one, and many more of everything at once; two runs at a time. Prints the tables of
docs/simulation.md. Exit 1 when an invariant broke; the story is told then.

usage: full.py PEERCACHE-SIM [SHARE]   SHARE: so many times fewer machines, and what lasts long so much shorter, for those who
can't wait
"""
import concurrent.futures
import os
import re
import subprocess
import sys

SIM = os.path.abspath(sys.argv[1])
SHARE = int(sys.argv[2]) if len(sys.argv) > 2 else 1
SEEDS = 2000 // SHARE
LEAST, LEAST_MIN = 20, 180  # machines, minutes
AT_ONCE = min(2, os.cpu_count() or 1)


def run(args):
    done = subprocess.run([SIM] + args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return args, done.returncode, done.stdout.decode(), done.stderr.decode()


def scenarios():
    for line in subprocess.run([SIM, '--list'], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines():
        name, nodes, minutes = re.match(r'(\S+) +(\d+) nodes, +(\d+) min', line).groups()
        yield name, max(int(nodes) // SHARE, min(int(nodes), LEAST)), max(int(minutes) // SHARE, min(int(minutes), LEAST_MIN))


def value(out, name):
    found = re.search(r'^%s +(.*)$' % re.escape(name), out, re.MULTILINE)
    return found.group(1) if found else ''


def share(out, name):
    return value(out, name).split(' (')[0]


def counts(out, name):
    found = re.search(r'\((\d+) of (\d+)\)', value(out, name))
    return '%s of %s' % found.groups() if found else ''


def times(out, name):
    return ' / '.join(re.findall(r'(\d+) ms', value(out, name))) or 'never'


def tables(results):
    rows = [(out.split()[1], out) for args, _, out, _ in results if out.startswith('peercache-sim') and '--disk' not in args]
    real = [out for args, _, out, _ in results if out.startswith('peercache-sim') and '--disk' in args]
    yield '| scenario | joins made of those tried | with five | joined again | to 1 verified, ms: median / 95th / worst | ' \
        'to 5 verified | dials wasted | endpoint requests |'
    yield '|---|---|---|---|---|---|---|---|'
    for name, out in rows:
        yield '| %s | %s | %s | %s | %s | %s | %s | %s |' % (
            name, counts(out, 'joins made of those tried'), counts(out, 'with five verified'), value(out, 'joined again'),
            times(out, 'to 1 verified peer'), times(out, 'to 5 verified peers'), share(out, 'dials wasted'),
            value(out, 'endpoint requests'))
    yield ''
    yield '| scenario | bytes to disk, estimated | true neighbours in tables | picked peers that live | ' \
        "picks of the attacker's | tables the attacker's | node-hours a CPU second |"
    yield '|---|---|---|---|---|---|---|'
    for name, out in rows:
        yield '| %s | %s | %s | %s | %s | %s | %s |' % (
            name, value(out, 'bytes to disk (news, packed)').split(' ')[0], share(out, 'true neighbours in tables'),
            share(out, 'picked peers that live'), share(out, "picks of the attacker's"), share(out, "tables the attacker's"),
            re.sub(r'.*: (\d+) a second', r'\1', value(out, 'speed')))
    yield ''
    yield '| command | hash |'
    yield '|---|---|'
    for _, out in rows:
        yield '| `%s` | `%s` |' % (out.splitlines()[0], value(out, 'hash'))
    yield ''
    yield '| with the real store | bytes to disk | commits | syncs | taken in of others | hash |'
    yield '|---|---|---|---|---|---|'
    for out in real:
        written, commits = re.match(r'(\d+) in (\d+) commits', value(out, 'bytes to disk')).groups()
        yield '| `%s` | %s | %s | %s | %s | `%s` |' % (
            out.splitlines()[0], written, commits, value(out, 'syncs'), value(out, 'taken in of others'), value(out, 'hash'))


def main():
    runs = [[name, '--nodes', str(nodes), '--minutes', str(minutes)] for name, nodes, minutes in scenarios()]
    runs += [[name, '--small', '--seeds', str(max(SEEDS // 20, 1))] for name, _, _ in scenarios() if name != 'chaos']
    per_run = max(SEEDS // 8, 1)
    runs += [['chaos', '--nodes', '6', '--minutes', '40', '--check-all', '--seed', str(1 + i * per_run), '--seeds', str(per_run)]
             for i in range(8)]
    for disk in ('sqlite', 'json'):
        runs += [['chaos', '--nodes', '9', '--minutes', '90', '--check-all', '--seeds', str(max(SEEDS // 8, 1)), '--disk', disk,
                  '--shared', shared] for shared in ('1', '3')]
        runs += [['week', '--nodes', str(max(30 // SHARE, 8)), '--minutes', str(max(2880 // SHARE, LEAST_MIN)), '--disk', disk,
                  '--shared', shared] for shared in ('1', '4')]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(run, runs))
    for line in tables(results):
        print(line)
    broken = [result for result in results if result[1] != 0]
    for args, _, _, err in broken:
        print('\n%s\n%s' % (' '.join(args), err))
    print('\n%d of %d runs hold' % (len(results) - len(broken), len(results)))
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
