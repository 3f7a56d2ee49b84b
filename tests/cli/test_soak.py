"""Nodes that live among others who come and go: after a while they hold no more memory and no more descriptors than before.
The second argument is for how many seconds: one minute in CI, an hour by `make soak`. The third, of `make soak`, is the library that
counts the bytes of allocations that live (count_memory.c); a sanitizer has its own allocator, there the resident memory must do."""
import contextlib
import os
import random
import sys
import time

from harness import STRANGER, Node, addr_of, case, environment, expect, main, run, unused_port

SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
STEADY = 3  # nodes that are looked at
PEERS_MAX = 200  # of each cache, so that it is soon full
COUNTER = os.path.abspath(sys.argv[3]) if len(sys.argv) > 3 else None
# A node is warm after some 150 s of this, or 600 guests: the routing table, the cache, rates of the last minute and the pools of
# QUIC have what they need. Measured over 330 s and 1,369 guests: 7.2 MB live after 45 s, 7.9 to 8.5 from 150 s on, and then the
# same to within 0.15; resident 17.6, 18.7, 18.9 MB. What still may come are steps of 256 KiB, a slab for a connection more at
# once than ever before. So an hour, looked at when warm, may grow by eight of those: 0.4 KB a guest. A minute is all warming up:
# 3.6 to 9.7 MB live on a busy machine; resident with sanitizers on a quiet one, where 250 guests come in the minute, 37 MB at first, 47 in
# the middle, 49.2 from the 200th on. So a minute is looked at later than an hour, from its middle on.
WARM = SECONDS >= 1200
COUNTED_GROWTH_KB = 2 * 1024 if WARM else 8 * 1024  # of the allocations, from the earlier time to the later
GROWTH_KB = 2 * 1024 if WARM else 6 * 1024  # of the resident memory, which an allocator scatters besides


def resident_kb(node):
    with open('/proc/%d/status' % node.process.pid, encoding='ascii') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('VmRSS:'))


def counted_kb(place, node):
    """Of the allocations that live; 0 when nobody counts."""
    if not COUNTER:
        return 0
    with open(os.path.join(place, 'counts', str(node.process.pid)), encoding='ascii') as file:
        whole = file.read().rpartition('\n')[0]
    return int(whole.split('\n')[-1]) // 1024


def descriptors(node):
    return len(os.listdir('/proc/%d/fd' % node.process.pid))


class Guests:
    """Who comes and goes."""

    def __init__(self, place, stack, steady):
        self.place, self.steady = place, steady
        self.chance = random.Random(7)
        self.living = []
        stack.callback(lambda: [node.kill() for node in self.living])

    def turn(self):
        """One comes, one goes with or without a word, a client looks in, and somebody who was never there is named."""
        through = self.chance.choice(self.steady).addr
        self.living.append(Node(self.place, '--no-cache', '--peer', through))
        if len(self.living) > 3:
            gone = self.living.pop(self.chance.randrange(len(self.living)))
            if self.chance.random() < 0.5:
                assert gone.stop() == 0, gone.err
            else:
                gone.kill()
        run(self.place, 'join', '--local', '--no-cache', '--target-peers', '2', '--timeout', '2s', '--peer', through, '--peer',
            addr_of(unused_port(), STRANGER))


@case
def memory_and_descriptors_stay(place):
    # the sanitizer keeps what was freed for a while, which is no growth of ours
    options = os.environ.get('ASAN_OPTIONS', '') + ':quarantine_size_mb=1:thread_local_quarantine_size_kb=64'
    env = environment(place, ASAN_OPTIONS=options.lstrip(':'))
    if COUNTER:
        os.mkdir(os.path.join(place, 'counts'))
        env.update(LD_PRELOAD=COUNTER, COUNT_MEMORY_DIR=os.path.join(place, 'counts'))
    with contextlib.ExitStack() as stack:
        steady = []
        for number in range(STEADY):
            through = ['--peer', steady[0].addr] if steady else []
            steady.append(stack.enter_context(Node(place, '--cache', os.path.join(place, 'peers-%d.db' % number), '--max-peers', str(PEERS_MAX),
                                                   '--save-period', '1s', '--refresh-period', '1s', *through, env=env)))
        guests = Guests(place, stack, steady)
        samples = []  # (share of the time, resident memory, descriptors, allocations) of each steady node
        begun = time.monotonic()
        while time.monotonic() - begun < SECONDS:
            guests.turn()
            samples.append(((time.monotonic() - begun) / SECONDS, [resident_kb(node) for node in steady],
                            [descriptors(node) for node in steady], [counted_kb(place, node) for node in steady]))
        begin, end, again = (1 / 6, 1 / 2, 2 / 3) if WARM else (1 / 2, 2 / 3, 5 / 6)
        early = [sample for sample in samples if begin < sample[0] <= end]
        late = [sample for sample in samples if sample[0] > again]
        assert len(early) >= 3 and len(late) >= 3, 'too few turns to tell: %d' % len(samples)
        for i in range(STEADY):
            before, after = min(s[1][i] for s in early), min(s[1][i] for s in late)
            fds_before, fds_after = min(s[2][i] for s in early), min(s[2][i] for s in late)
            counted_before, counted_after = min(s[3][i] for s in early), min(s[3][i] for s in late)
            print('# %d turns: resident %d KB, then %d KB; counted %d KB, then %d KB; descriptors %d, then %d' %
                  (len(samples), before, after, counted_before, counted_after, fds_before, fds_after))
            assert (counted_before > 0) == bool(COUNTER)
            assert counted_after <= counted_before + COUNTED_GROWTH_KB, [s[3][i] for s in samples]
            assert after <= before + GROWTH_KB, [s[1][i] for s in samples]
            assert fds_after <= fds_before, [s[2][i] for s in samples]
        for number, node in enumerate(steady):
            assert node.stop() == 0, node.err
            expect(run(place, 'check', '--local', '--cache', os.path.join(place, 'peers-%d.db' % number)), 0)


main()
