#!/usr/bin/env python3
"""How long a crawl takes, and how many nodes a second, over a local network of real nodes of ours.

Without --swarm each node is a process of `peercache run --local`. With --swarm PROGRAM (bench/swarm.c) they are many in a few
processes: 1,000 by default. The network forms first; then `peercache crawl` is run again and again, from one address alone,
into a fresh cache each time. A crawl that does not find everyone is told of, and is no figure.
"""
import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from network import network, report_of

FORM_S = 300.0  # for a network to form


@contextlib.contextmanager
def swarm(program, count):
    """The flags to enter a network of so many nodes, which is held until the block ends."""
    command = [program, '--nodes', str(count), '--limit', str(int(FORM_S)), '--hold', '3600', '--quiet']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            flags = []
            for line in child.stdout:
                word, _, value = line.strip().partition(' ')
                if word == 'kad-protocol':
                    flags += ['--kad-protocol', value]
                elif word == 'bootstrap':
                    flags = flags if '--peer' in flags else flags + ['--peer', value]
                elif word == 'holding':
                    break
                else:
                    print(line.rstrip())
            else:
                sys.exit('crawl.py: the swarm ended')
            yield flags
        finally:
            child.terminate()


@contextlib.contextmanager
def processes(binary, count):
    with network(binary, count) as nodes:
        yield ['--peer', nodes[0]]


def crawl(binary, flags, concurrency, cache=None):
    where = ['--cache', cache] if cache else ['--no-cache']
    return report_of(subprocess.run([binary, 'crawl', '--local', '--json', '--concurrency', str(concurrency), *where, *flags],
                                    capture_output=True, text=True, timeout=FORM_S, check=False))


def spent_s():
    """Processor time of the crawls alone: the nodes have not ended yet."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def wait_until_formed(binary, flags, count):
    deadline = time.monotonic() + FORM_S
    while True:
        report = crawl(binary, flags, 50)
        if report['alive'] >= count:
            return
        if time.monotonic() > deadline:
            sys.exit('crawl.py: the network did not form: %d of %d are found' % (report['alive'], count))


def measure(binary, flags, count, concurrency, runs):
    """Prints the figures; the median of the seconds a crawl took."""
    seconds, rates, work = [], [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            before = spent_s()
            report = crawl(binary, flags, concurrency, os.path.join(folder, 'peers.db'))
        if not report['complete'] or report['alive'] != count:
            print('crawl.py: no figure: %d of %d are found, %s' % (report['alive'], count, report['end']))
            continue
        seconds.append(report['elapsed_ms'] / 1000)
        rates.append(report['peers_per_s'])
        work.append((spent_s() - before) * 1000 / count)
    if not seconds:
        sys.exit('crawl.py: no crawl was whole')
    print('%d nodes, %3d at once: %7.2f s, %6.0f nodes/s (medians of %d; worst %.2f s), %.2f ms of a core and %.1f questions '
          'a node, round trip median %s ms'
          % (count, concurrency, statistics.median(seconds), statistics.median(rates), len(seconds), max(seconds),
             statistics.median(work), report['questions'] / count, report['rtt_ms']['median']))
    return statistics.median(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('binary')
    parser.add_argument('--swarm', metavar='PROGRAM')
    parser.add_argument('--nodes', type=int)
    parser.add_argument('--runs', type=int, default=3)
    options = parser.parse_args()
    count = options.nodes or (1000 if options.swarm else 40)
    with swarm(options.swarm, count) if options.swarm else processes(options.binary, count) as flags:
        wait_until_formed(options.binary, flags, count)
        for concurrency in 10, 50, 200:
            measure(options.binary, flags, count, concurrency, options.runs)


if __name__ == '__main__':
    main()
