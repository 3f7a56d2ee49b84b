#!/usr/bin/env python3
"""js-libp2p beside ours, where it can run the same, over loopback and in the same run.

One server of each kind, alone in a process, in a network of 20 others of its kind: FIND_NODE answered for a second of processor
time of its process, all threads counted, and what 200 connections take (bench/serve.c asks both). Then the time of
`peercache crawl` over 20 nodes of each kind: all js nodes share one process, as ours do.

Usage: js.py PEERCACHE PACKAGES BENCH_SERVE BENCH_SWARM; PACKAGES is a directory for npm's packages.
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'tests', 'interop'))
import crawl
from swarm import COUNT, Swarm, harness  # it reads the first two arguments

WARM = '4:16'  # V8 compiles what it has seen run; cold it takes twice as long
LOADS = ('1:1', '4:16')
SECONDS = '15'
IDLE_S = '30'
CONNECTIONS = '200'
KAD_PROTOCOL = '/ipfs/kad/1.0.0'  # of the js nodes
ASK_S = 240.0  # only how long a hang is waited for
FIGURE = re.compile(r'(\d+) answers a core-second')


def ask(program, which, *arguments):
    """What bench_serve prints of one load."""
    done = subprocess.run([program, *which, '--seconds', SECONDS, '--idle', IDLE_S, *arguments],
                          capture_output=True, text=True, timeout=ASK_S, check=False)
    if done.returncode:
        print('js.py: no figure: %s' % (done.stderr.strip() or 'bench_serve ended with %d' % done.returncode))
        return None
    return done.stdout.splitlines()[0].strip()


def answers_a_core_second(line):
    found = FIGURE.search(line or '')
    return float(found[1]) if found else None


def compare_servers(program, ours, js):
    ask(program, js, '--load', WARM)
    for load in LOADS:
        rates = []
        for name, which in ('ours', ours), ('js', js):
            line = ask(program, which, '--load', load)
            rates.append(answers_a_core_second(line))
            print('%-4s %s' % (name, line), flush=True)
        if all(rates):
            print('     %s in flight: ours / js = %.1f' % (load, rates[0] / rates[1]), flush=True)
    for name, which in ('ours', ours), ('js', js):
        print('%-4s %s' % (name, ask(program, which, '--load', '0:1', '--connections', CONNECTIONS)), flush=True)


def servers(program, network):
    with Swarm() as others, Swarm(1) as server:
        for index in range(COUNT):
            server.ask(cmd='dial', index=0, addr=others.addr(index))
        table = server.ask(cmd='peers', index=0)
        print('js: %d of %d in the table of the server that is asked' % (table['size'], COUNT), flush=True)
        compare_servers(program, [network, '--nodes', str(COUNT)],
                        ['--server', str(server.process.pid), server.addr(0), '--kad-protocol', KAD_PROTOCOL])


def crawls(binary, network):
    with crawl.swarm(network, COUNT) as flags:
        crawl.wait_until_formed(binary, flags, COUNT)
        print('ours ', end='')
        ours = crawl.measure(binary, flags, COUNT, 50, 5)
    with Swarm() as others:
        flags = ['--peer', others.addr(0), '--kad-protocol', KAD_PROTOCOL]
        crawl.wait_until_formed(binary, flags, COUNT)
        print('js   ', end='')
        js = crawl.measure(binary, flags, COUNT, 50, 5)
    print('     crawl of %d nodes: js / ours = %.1f in time' % (COUNT, js / ours))


def main():
    if len(sys.argv) != 5:
        sys.exit('usage: js.py PEERCACHE PACKAGES BENCH_SERVE BENCH_SWARM')
    binary, program, network = sys.argv[1], sys.argv[3], sys.argv[4]
    try:
        servers(program, network)
        crawls(binary, network)
    except harness.Skip as why:
        print('js.py: no figure: %s' % why)


if __name__ == '__main__':
    main()
