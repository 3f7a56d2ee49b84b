#!/usr/bin/env python3
"""The same seed gives the same hash on another kind of machine: builds peercache-sim for it, runs it, and compares with ours.

  tests/sim/other_machine.py s390x|i386 [BUILD/tests/sim/peercache-sim]

s390x is big-endian and emulated; i386 has 32 bits. On Debian, as root, beforehand:

  apt-get install gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user       (or gcc-i686-linux-gnu libc6-dev-i386-cross)
  dpkg --add-architecture s390x && apt-get update                           (or i386)

The libraries are fetched as packages of that architecture and unpacked aside; nothing is installed.
"""
import glob
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MACHINES = {'s390x': ('s390x-linux-gnu', 's390x-linux-gnu', ['qemu-s390x', '-L', '/usr/s390x-linux-gnu']),
            'i386': ('i686-linux-gnu', 'i386-linux-gnu',
                     ['/usr/i686-linux-gnu/lib/ld-linux.so.2', '--library-path', '/usr/i686-linux-gnu/lib'])}
LIBRARIES = {'libsodium-dev': 'libsodium.a', 'libsqlite3-dev': 'libsqlite3.a', 'libjansson-dev': 'libjansson.a'}
ROOMS = ['base', 'addr', 'cache', 'kad', 'join', 'format', 'store', 'node']
LEFT_OUT = {'wire.c', 'test_packets.c', 'test_drive.c'}  # libp2p, and tests of their own


def build(machine, place):
    compiler, folder, _ = MACHINES[machine]
    subprocess.run(['apt-get', 'download', '-qq'] + ['%s:%s' % (name, machine) for name in LIBRARIES], cwd=place, check=True)
    for package in glob.glob(os.path.join(place, '*.deb')):
        subprocess.run(['dpkg-deb', '-x', package, place], check=True)
    sources = [file for folder_ in ['src/' + room for room in ROOMS] + ['tests/sim', 'tests/disk']
               for file in sorted(glob.glob(os.path.join(ROOT, folder_, '*.c'))) if os.path.basename(file) not in LEFT_OUT]
    libraries = [os.path.join(place, 'usr/lib', folder, name) for name in LIBRARIES.values()]
    program = os.path.join(place, 'peercache-sim')
    subprocess.run([compiler + '-gcc', '-std=gnu17', '-O1', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-I' + os.path.join(ROOT, 'include'),
                    '-I' + os.path.join(ROOT, 'src'), '-I' + os.path.join(ROOT, 'tests'), '-I' + os.path.join(place, 'usr/include'), *sources,
                    '@' + os.path.join(ROOT, 'tests/disk/wrapped.args'), *libraries, '-lm', '-lpthread', '-ldl', '-o', program], check=True)
    return program


def hash_of(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return [line.split()[1] for line in done.stdout.decode().splitlines() if line.startswith('hash')][0]


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in MACHINES:
        sys.exit(__doc__)
    ours = sys.argv[2] if len(sys.argv) == 3 else os.path.join(ROOT, 'build/tests/sim/peercache-sim')
    different = 0
    with tempfile.TemporaryDirectory(prefix='peercache-other-') as place:
        theirs = MACHINES[sys.argv[1]][2] + [build(sys.argv[1], place)]
        for line in subprocess.run([ours, '--list'], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines():
            arguments = [line.split()[0], '--small', '--seed', '3']
            here, there = hash_of([ours] + arguments), hash_of(theirs + arguments)
            different += here != there
            print('%-20s %s %s' % (line.split()[0], here, 'the same' if here == there else there), flush=True)
    sys.exit(different != 0)


if __name__ == '__main__':
    main()
