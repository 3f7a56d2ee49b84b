"""The tools that judge the rest: tools/count-tests counts what a test log holds, tools/lint finds what it should.
Arguments: the source directory."""
import json
import os
import shutil
import subprocess
import sys

SOURCE = os.path.abspath(sys.argv[1])
sys.path.insert(0, os.path.join(SOURCE, 'tests', 'cli'))
from harness import case, main  # pylint: disable=wrong-import-position


def count(place, *tests):
    path = os.path.join(place, 'log.json')
    with open(path, 'w', encoding='utf-8') as log:
        for name, result, stdout in tests:
            log.write(json.dumps({'name': name, 'result': result, 'returncode': 0, 'stdout': stdout}) + '\n')
    done = subprocess.run([os.path.join(SOURCE, 'tools', 'count-tests'), path], stdout=subprocess.PIPE, check=False,
                          timeout=30)
    return done.returncode, done.stdout.decode().splitlines()[-1]


@case
def cases_are_counted(place):
    assert count(place, ('a', 'OK', '1..2\nok 1 - x\nok 2 - y\n')) == (0, '2 passed, 0 failed')
    assert count(place, ('a', 'OK', '1..1\nok 1\n'), ('b', 'FAIL', '1..2\nok 1\nnot ok 2 - z\n')) == \
        (1, '2 passed, 1 failed')


@case
def dead_programs_are_failures(place):
    assert count(place, ('crashed', 'FAIL', '1..3\nok 1\n')) == (1, '1 passed, 1 failed')
    assert count(place, ('timed out', 'TIMEOUT', '')) == (1, '0 passed, 1 failed')
    assert count(place, ('no plan', 'ERROR', 'ok 1\n')) == (1, '1 passed, 1 failed')
    assert count(place, ('after the last', 'FAIL', '1..1\nok 1\n')) == (1, '1 passed, 1 failed')
    assert count(place, ('no case', 'OK', '')) == (1, '0 passed, 1 failed')


@case
def skipped_cases_are_neither(place):
    assert count(place, ('a', 'OK', '1..2\nok 1 - x # SKIP no node\nok 2\n')) == (0, '1 passed, 0 failed')


@case
def nothing_run_is_a_failure(place):
    assert count(place) == (1, '0 passed, 0 failed')


def lint(place, path, text):
    """The findings of the lint over one file, in a tree of its own without clang-format and cppcheck."""
    tree = os.path.join(place, 'tree')
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(os.path.join(tree, 'tools'))
    os.makedirs(os.path.dirname(os.path.join(tree, path)))
    shutil.copy(os.path.join(SOURCE, 'tools', 'lint'), os.path.join(tree, 'tools', 'lint'))
    with open(os.path.join(tree, path), 'w', encoding='utf-8') as file:
        file.write(text)
    env = {'PATH': place, 'LC_ALL': 'C.UTF-8'}
    done = subprocess.run([sys.executable, os.path.join(tree, 'tools', 'lint')], stdout=subprocess.PIPE, check=False,
                          timeout=30, env=env)
    return [line for line in done.stdout.decode().splitlines() if line.startswith(path + ':')]


@case
def lint_finds_what_it_should(place):
    for path, text in [('src/addr/x.c', '#include "kad/table.h"\n'), ('src/kad/x.c', '#include "cache/set.h"\n'),
                       ('src/node/x.c', '#include "driver/udp.h"\n'), ('src/addr/x.c', '#include "peer_id.h"\n'),
                       ('src/base/x.c', '#include <peercache/node.h>\n'), ('src/node/x.c', '#include <unistd.h>\n'),
                       ('src/node/x.c', 'long f(void) { return time(NULL); }\n'),
                       ('src/store/x.c', 'void f(void) { clock_gettime(0, 0); }\n'),
                       ('src/driver/x.c', 'void f(char *a) { strcpy(a, "x"); }\n'),
                       ('src/cache/x.c', 'double f(void);\n'), ('src/nosuch/x.c', '\n'),
                       ('src/cli/x.c', '\n' * 1000)]:
        assert lint(place, path, text), 'missed: %s %r' % (path, text)


@case
def lint_lets_pass_what_is_fine(place):
    for path, text in [('src/node/x.c', '#include "kad/table.h"\n#include "node/node.h"\n#include <stdio.h>\n'),
                       ('src/driver/x.c', 'void f(void) { clock_gettime(0, 0); socket(1, 2, 3); }\n'),
                       ('src/store/lock.c', '#include <fcntl.h>\nvoid f(void) { clock_gettime(0, 0); }\n'),
                       ('src/cache/x.c', '/* time( is a double */ const char *f = "rand(";\nint settime(void);\n')]:
        assert not lint(place, path, text), 'wrongly found: %s' % lint(place, path, text)


main()
