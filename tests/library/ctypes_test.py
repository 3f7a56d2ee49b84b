"""The shared library from Python, by nothing but ctypes: the calls, the structs, the callbacks. The library is the
first argument, the program that prints the sizes of its structs the second."""
import ctypes as c
import os
import subprocess
import sys
import tempfile
import traceback

LIBRARY, SIZES = (os.path.abspath(path) for path in sys.argv[1:3])
ID = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'
ADDR = '/ip4/20.1.1.1/udp/4001/quic-v1'
NOW_MS = 1760000000000
OK, TIMEOUT, OUTCOMES = 0, 1, 12
SOURCE_FLAG = 0
ELIMIT, EINVAL, EPARSE, ENOTFOUND = -4, -1, -3, -5


class Time(c.Structure):
    _fields_ = [('wall_ms', c.c_int64), ('mono_us', c.c_int64)]


class Candidate(c.Structure):
    _fields_ = [('addr', c.c_char * 512), ('peer_id', c.c_char * 72), ('state', c.c_int), ('score', c.c_int32),
                ('rtt_ms', c.c_int32)]


class Report(c.Structure):
    _fields_ = [('outcome', c.c_int), ('count', c.c_uint32), ('rtt_ms', c.c_int32), ('unverified', c.c_bool),
                ('proven_id', c.c_char_p)]


class Explanation(c.Structure):
    _fields_ = [('candidate', Candidate), ('chosen', c.c_bool), ('why', c.c_char * 192)]


class Addr(c.Structure):
    _fields_ = [('addr', c.c_char * 512), ('success_count', c.c_uint32), ('failure_count', c.c_uint32),
                ('failures', c.c_uint32 * OUTCOMES), ('first_seen_ms', c.c_int64), ('last_seen_ms', c.c_int64),
                ('last_success_ms', c.c_int64), ('last_attempt_ms', c.c_int64), ('rtt_ms', c.c_int32),
                ('rtt_at_ms', c.c_int64), ('score', c.c_int32), ('learned_from', c.c_int)]


class Peer(c.Structure):
    _fields_ = [('id', c.c_char * 72), ('state', c.c_int), ('reliable', c.c_bool), ('addr_count', c.c_size_t),
                ('addrs', Addr * 8)]


class Stats(c.Structure):
    _fields_ = [(name, c.c_uint64) for name in ('peers', 'addresses', 'new_peers', 'tried_peers', 'groups', 'reliable',
                                                'banned', 'in_memory', 'pending', 'size_bytes')] + [
                    ('last_updated_ms', c.c_int64), ('store', c.c_char_p)]


class Pruned(c.Structure):
    _fields_ = [(name, c.c_uint64) for name in ('looked_at', 'unreliable', 'stale', 'capacity', 'banned')] + [
        ('done', c.c_bool)]


class Reason(c.Structure):
    _fields_ = [('reason', c.c_char_p), ('count', c.c_uint64)]


class Imported(c.Structure):
    _fields_ = [('format', c.c_int)] + [(name, c.c_uint64) for name in ('read', 'accepted', 'merged', 'rejected')] + [
        ('reason_count', c.c_size_t), ('reasons', Reason * 32), ('first_rejected', c.c_char * 192)]


STRUCTS = {'peercache_time': Time, 'peercache_candidate': Candidate, 'peercache_outcome_report': Report,
           'peercache_explanation': Explanation, 'peercache_addr': Addr, 'peercache_peer': Peer,
           'peercache_stats': Stats, 'peercache_pruned': Pruned, 'peercache_imported': Imported}
VISIT_PEER = c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(Peer))
VISIT_WHY = c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(Explanation))
VISIT_BAN = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_char_p, c.c_int64)
VISIT_PRUNED = c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(Peer), c.c_uint32)
READ = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_size_t, c.POINTER(c.c_size_t))
WRITE = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_size_t)

cases = []


def case(function):
    cases.append(function)
    return function


def load():
    """A library with AddressSanitizer in it needs the sanitizer's own library to be there first."""
    needed = subprocess.run(['ldd', LIBRARY], stdout=subprocess.PIPE, check=True).stdout.decode()
    sanitizer = [line.split()[2] for line in needed.splitlines() if 'asan' in line and '=>' in line]
    if sanitizer and sanitizer[0] not in os.environ.get('LD_PRELOAD', ''):
        # Python itself leaks
        os.environ.update(LD_PRELOAD=sanitizer[0], ASAN_OPTIONS='detect_leaks=0')
        os.execv(sys.executable, [sys.executable] + sys.argv)
    try:
        return c.CDLL(LIBRARY)
    except OSError as why:  # clang leaves the sanitizer's symbols to the program, which Python is not
        if '__asan' not in str(why) and '__ubsan' not in str(why):
            raise
        print('1..0 # SKIP %s' % str(why).replace('\n', ' '))
        sys.exit(0)


def declare(lib):
    """What ctypes can't guess: whatever is no int."""
    handle, text = c.c_void_p, c.c_char_p
    for name in ('version', 'strerror', 'outcome_name', 'source_name', 'state_name', 'errmsg', 'warning',
                 'format_name', 'format_loses'):
        getattr(lib, 'peercache_' + name).restype = text
    for name in ('options_new', 'filter_new'):
        getattr(lib, 'peercache_' + name).restype = handle
    lib.peercache_is_read_only.restype = c.c_bool
    for name, arguments in {
            'options_free': [handle], 'options_set_local': [handle, c.c_bool],
            'options_set_read_only': [handle, c.c_bool], 'options_set_create': [handle, c.c_bool],
            'options_set_max_peers': [handle, c.c_uint32], 'options_set_max_addrs': [handle, c.c_uint32],
            'options_set_max_record_bytes': [handle, c.c_uint32], 'options_set_retention_ms': [handle, c.c_int64],
            'options_set_source_limit': [handle, c.c_uint32, c.c_uint32],
            'options_set_total_limit': [handle, c.c_uint32, c.c_uint32],
            'options_set_seed_rule': [handle, c.c_bool], 'options_set_prune_interval_ms': [handle, c.c_int64],
            'options_set_seed': [handle, text], 'open': [text, text, handle, c.POINTER(handle)], 'close': [handle],
            'errmsg': [handle], 'warning': [handle], 'is_read_only': [handle],
            'add': [handle, text, c.c_int, Time], 'add_from': [handle, text, c.c_int, text, Time],
            'candidate_parse': [handle, text, c.POINTER(Candidate)],
            'report': [handle, c.POINTER(Candidate), c.c_int, c.c_int32, Time],
            'report_more': [handle, c.POINTER(Candidate), c.POINTER(Report), Time],
            'filter_free': [handle], 'filter_set_dialable': [handle, c.c_uint32, c.c_uint32],
            'filter_leave_out': [handle, text], 'filter_set_seed': [handle, text],
            'pick': [handle, Time, handle, c.POINTER(Candidate), c.c_size_t, c.POINTER(c.c_size_t)],
            'explain': [handle, Time, handle, c.c_size_t, VISIT_WHY, c.c_void_p],
            'iterate': [handle, VISIT_PEER, c.c_void_p], 'find': [handle, text, c.POINTER(Peer)],
            'get_stats': [handle, c.POINTER(Stats)], 'remove': [handle, text, Time], 'ban': [handle, text, Time],
            'unban': [handle, text], 'bans': [handle, VISIT_BAN, c.c_void_p],
            'prune': [handle, c.c_uint32, c.c_bool, c.c_size_t, Time, VISIT_PRUNED, c.c_void_p, c.POINTER(Pruned)],
            'format_from_name': [text, c.POINTER(c.c_int)],
            'import': [handle, c.c_int, c.c_bool, Time, READ, c.c_void_p, c.POINTER(Imported)],
            'export': [handle, c.c_int, Time, WRITE, c.c_void_p, c.POINTER(c.c_uint64)],
            'flush': [handle, c.c_uint32], 'refresh': [handle], 'check': [handle, c.c_bool, Time]}.items():
        getattr(lib, 'peercache_' + name).argtypes = arguments


LIB = load()
declare(LIB)


def call(name):
    return getattr(LIB, 'peercache_' + name)


class Cache:
    """A handle, and its failures as exceptions."""

    def __init__(self, path, network='example', **options):
        made = LIB.peercache_options_new()
        for name, value in options.items():
            call('options_set_' + name)(made, *(value if isinstance(value, tuple) else (value,)))
        self.handle = c.c_void_p()
        result = LIB.peercache_open(path and path.encode(), network.encode(), made, c.byref(self.handle))
        LIB.peercache_options_free(made)
        self.opened = result
        self.now = Time(NOW_MS, 0)

    def text(self):
        return LIB.peercache_errmsg(self.handle).decode()

    def good(self, result):
        assert result == 0, '%d: %s' % (result, self.text())

    def candidate(self, addr):
        candidate = Candidate()
        self.good(LIB.peercache_candidate_parse(self.handle, addr.encode(), c.byref(candidate)))
        return candidate

    def pick(self, count, filter_=None):
        candidates, picked = (Candidate * count)(), c.c_size_t()
        self.good(LIB.peercache_pick(self.handle, self.now, filter_, candidates, count, c.byref(picked)))
        return list(candidates[:picked.value])

    def peers(self):
        seen = []

        def visit(_, peer):
            seen.append((peer.contents.id.decode(), [a.addr.decode() for a in peer.contents.addrs[:peer.contents.addr_count]]))
            return 0
        self.good(LIB.peercache_iterate(self.handle, VISIT_PEER(visit), None))
        return seen

    def export(self, format_):
        written = []

        def write(_, data, size):
            written.append(c.string_at(data, size))
            return 0
        left_out = c.c_uint64()
        self.good(call('export')(self.handle, format_of(format_), self.now, WRITE(write), None, c.byref(left_out)))
        return b''.join(written)

    def import_(self, document, trust=False):
        rest = [document]

        def read(_, data, capacity, size):
            piece, rest[0] = rest[0][:capacity], rest[0][capacity:]
            c.memmove(data, piece, len(piece))
            size[0] = len(piece)
            return 0
        imported = Imported()
        result = call('import')(self.handle, 0, trust, self.now, READ(read), None, c.byref(imported))
        return result, imported

    def __enter__(self):
        self.good(self.opened)
        return self

    def __exit__(self, *_):
        LIB.peercache_close(self.handle)


def format_of(name):
    format_ = c.c_int()
    assert LIB.peercache_format_from_name(name.encode(), c.byref(format_)) == 0
    return format_.value


@case
def structs_have_the_sizes_of_the_library(_):
    printed = subprocess.run([SIZES], stdout=subprocess.PIPE, check=True, env=dict(os.environ, LD_PRELOAD='')).stdout
    seen = {}
    for line in printed.decode().splitlines():
        name, size, offset = line.split()
        mine = STRUCTS[name]
        last = getattr(mine, mine._fields_[-1][0])
        assert (c.sizeof(mine), last.offset) == (int(size), int(offset)), line
        seen[name] = mine
    assert seen == STRUCTS


@case
def names_and_texts(_):
    assert LIB.peercache_version().decode().count('.') == 2
    assert LIB.peercache_outcome_name(TIMEOUT) == b'timeout'
    assert LIB.peercache_strerror(ENOTFOUND) == b'not found'
    assert LIB.peercache_format_name(format_of('ant-v1')) == b'ant-v1'
    assert LIB.peercache_format_from_name(b'any', c.byref(c.c_int())) == ENOTFOUND


@case
def open_that_fails_tells_why(place):
    cache = Cache(os.path.join(place, 'none.db'), create=False)
    assert cache.opened == ENOTFOUND and 'none.db' in cache.text(), cache.text()
    LIB.peercache_close(cache.handle)
    assert os.listdir(place) == []


@case
def options_out_of_range(_):
    options = LIB.peercache_options_new()
    assert LIB.peercache_options_set_max_peers(options, 0) == EINVAL
    assert LIB.peercache_options_set_max_addrs(options, 9) == EINVAL
    assert LIB.peercache_options_set_retention_ms(options, 1) == EINVAL
    LIB.peercache_options_free(options)


@case
def add_pick_report_and_find(place):
    path = os.path.join(place, 'peers.db')
    with Cache(path, max_peers=1000, seed=b'\1' * 32, source_limit=(0, 0)) as cache:
        cache.good(LIB.peercache_add(cache.handle, (ADDR + '/p2p/' + ID).encode(), SOURCE_FLAG, cache.now))
        assert LIB.peercache_add(cache.handle, b'/ip4/x', SOURCE_FLAG, cache.now) == EPARSE
        picked, = cache.pick(10)
        assert picked.peer_id.decode() == ID and picked.addr.decode() == ADDR and picked.rtt_ms == -1
        cache.good(LIB.peercache_report(cache.handle, c.byref(picked), OK, 12, cache.now))
        report = Report(TIMEOUT, 3, -1, False, None)
        cache.good(LIB.peercache_report_more(cache.handle, c.byref(picked), c.byref(report), cache.now))
        cache.good(LIB.peercache_flush(cache.handle, 5000))
    with Cache(path, read_only=True) as cache:
        assert LIB.peercache_is_read_only(cache.handle)
        peer = Peer()
        cache.good(LIB.peercache_find(cache.handle, ID.encode(), c.byref(peer)))
        addr = peer.addrs[0]
        assert (addr.success_count, addr.failure_count, addr.failures[TIMEOUT], addr.rtt_ms) == (1, 3, 3, 12)
        assert addr.last_success_ms == NOW_MS and addr.first_seen_ms == NOW_MS and not peer.reliable
        assert cache.peers() == [(ID, [ADDR])]


@case
def filters(_):
    with Cache(None) as cache:
        for i in range(1, 9):
            kind = 'udp/4001/quic-v1' if i % 2 else 'tcp/4001'
            cache.good(LIB.peercache_add(cache.handle, b'/ip4/20.%d.1.1/%s' % (i, kind.encode()), SOURCE_FLAG, cache.now))
        filter_ = LIB.peercache_filter_new()
        assert LIB.peercache_filter_set_dialable(filter_, 0, 15) == EINVAL
        cache.good(LIB.peercache_filter_set_dialable(filter_, 4, 1))
        cache.good(LIB.peercache_filter_leave_out(filter_, b'/ip4/20.2.1.1/tcp/4001'))
        LIB.peercache_filter_set_seed(filter_, b'\7' * 32)
        addrs = [p.addr.decode() for p in cache.pick(10, filter_)]
        assert sorted(addrs) == ['/ip4/20.%d.1.1/tcp/4001' % i for i in (4, 6, 8)], addrs
        assert addrs == [p.addr.decode() for p in cache.pick(10, filter_)], 'the seed does not repeat'
        seen = []

        def visit(_, explanation):
            seen.append((explanation.contents.chosen, explanation.contents.why))
            return 0
        cache.good(LIB.peercache_explain(cache.handle, cache.now, filter_, 2, VISIT_WHY(visit), None))
        assert [chosen for chosen, _ in seen] == [True] * 2 + [False] * 6 and all(why for _, why in seen), seen
        LIB.peercache_filter_free(filter_)


@case
def a_visit_that_stops(_):
    with Cache(None) as cache:
        for i in range(1, 4):
            cache.good(LIB.peercache_add(cache.handle, b'/ip4/20.%d.1.1/udp/1/quic-v1' % i, SOURCE_FLAG, cache.now))
        count = []

        def visit(*_):
            count.append(1)
            return 77
        assert LIB.peercache_iterate(cache.handle, VISIT_PEER(visit), None) == 77 and len(count) == 1


@case
def remove_ban_and_prune(place):
    with Cache(os.path.join(place, 'peers.db')) as cache:
        cache.good(LIB.peercache_add(cache.handle, (ADDR + '/p2p/' + ID).encode(), SOURCE_FLAG, cache.now))
        cache.good(LIB.peercache_remove(cache.handle, ID.encode(), cache.now))
        assert cache.peers() == []
        assert LIB.peercache_remove(cache.handle, ID.encode(), cache.now) == ENOTFOUND
        cache.good(LIB.peercache_ban(cache.handle, b'20.9.0.0/16', cache.now))
        assert LIB.peercache_add(cache.handle, b'/ip4/20.9.1.1/udp/1/quic-v1', SOURCE_FLAG, cache.now) != 0
        banned = []

        def visit(_, name, since_ms):
            banned.append((name, since_ms))
            return 0
        cache.good(LIB.peercache_bans(cache.handle, VISIT_BAN(visit), None))
        assert banned == [(b'20.9.0.0/16', NOW_MS)], banned
        cache.good(LIB.peercache_unban(cache.handle, b'20.9.0.0/16'))
        assert LIB.peercache_unban(cache.handle, b'20.9.0.0/16') == ENOTFOUND
        dead = cache.candidate(ADDR)
        cache.good(LIB.peercache_add(cache.handle, ADDR.encode(), SOURCE_FLAG, Time(NOW_MS + 1, 0)))
        cache.good(LIB.peercache_report_more(cache.handle, c.byref(dead), c.byref(Report(TIMEOUT, 5, -1, False, None)),
                                             Time(NOW_MS + 1, 0)))
        pruned = Pruned()
        cache.good(LIB.peercache_prune(cache.handle, 0, False, 1000, Time(NOW_MS + 3600000, 0), VISIT_PRUNED(0), None,
                                       c.byref(pruned)))
        assert (pruned.looked_at, pruned.unreliable, pruned.done) == (1, 1, True), pruned.unreliable
        stats = Stats()
        cache.good(LIB.peercache_get_stats(cache.handle, c.byref(stats)))
        assert stats.peers == 0 and stats.store == b'sqlite', stats.peers


@case
def export_and_import(_):
    with Cache(None) as cache:
        cache.good(LIB.peercache_add(cache.handle, (ADDR + '/p2p/' + ID).encode(), SOURCE_FLAG, cache.now))
        cache.good(LIB.peercache_report(cache.handle, c.byref(cache.candidate(ADDR + '/p2p/' + ID)), OK, 5, cache.now))
        document = cache.export('list')
        assert cache.export('text').decode() == ADDR + '/p2p/' + ID + '\n'
    with Cache(None) as cache:
        result, imported = cache.import_(document, trust=True)
        assert result == 0 and (imported.format, imported.read, imported.accepted) == (1, 1, 1), cache.text()
        peer = Peer()
        cache.good(LIB.peercache_find(cache.handle, ID.encode(), c.byref(peer)))
        assert peer.addrs[0].success_count == 1 and peer.state == 1
        result, imported = cache.import_(b'/dns4/x.example/udp/1/quic-v1\nnonsense\n')
        reasons = {imported.reasons[i].reason: imported.reasons[i].count for i in range(imported.reason_count)}
        assert result == 0 and reasons == {b'dns_name': 1, b'bad_multiaddr': 1}, reasons
        assert imported.rejected == 2 and imported.first_rejected
        assert cache.import_(b'{"peers":')[0] == EPARSE and cache.text()


@case
def refresh_and_check(place):
    path = os.path.join(place, 'peers.db')
    with Cache(path) as mine, Cache(path) as other:
        other.good(LIB.peercache_add(other.handle, ADDR.encode(), SOURCE_FLAG, other.now))
        other.good(LIB.peercache_flush(other.handle, 5000))
        assert mine.pick(10) == []
        mine.good(LIB.peercache_refresh(mine.handle))
        assert len(mine.pick(10)) == 1
        mine.good(LIB.peercache_check(mine.handle, False, mine.now))


def main():
    print('1..%d' % len(cases), flush=True)
    bad = 0
    for number, function in enumerate(cases, 1):
        with tempfile.TemporaryDirectory(prefix='peercache-test-') as place:
            try:
                function(place)
                print('ok %d - %s' % (number, function.__name__.replace('_', ' ')), flush=True)
            except Exception:  # pylint: disable=broad-except
                bad += 1
                print('not ok %d - %s' % (number, function.__name__.replace('_', ' ')))
                for line in traceback.format_exc().splitlines():
                    print('# ' + line)
                sys.stdout.flush()
    sys.exit(1 if bad else 0)


main()
