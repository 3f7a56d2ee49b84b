"""What `make install` puts in place, and that it can be used from there: by pkg-config, in C and in C++."""
import glob
import os
import re
import shlex
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'cli'))
SOURCE, BUILD, MESON, CC, CXX, FLAGS = sys.argv[1:7]
sys.argv[1:] = sys.argv[7:]

from harness import WAIT_S, Skip, case, main  # noqa: E402 pylint: disable=wrong-import-position

PAGES = sorted(glob.glob('*.[135]', root_dir=os.path.join(SOURCE, 'man')))
HEADERS = ['peercache/joiner.h', 'peercache/node.h', 'peercache/peercache.h', 'peercache/types.h']


def do(place, *arguments, env=None):
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=4 * WAIT_S, cwd=place,
                          env=dict(os.environ, **(env or {})), check=False)
    out = done.stdout.decode('utf-8', 'replace')
    assert done.returncode == 0, '%s: exit %d: %s' % (' '.join(arguments), done.returncode, out[-3000:])
    return out


def installed(place):
    """Install below the place; the path of the prefix there."""
    do(place, *shlex.split(MESON), 'install', '-C', BUILD, '--no-rebuild', '--destdir', place)
    found = glob.glob(os.path.join(place, '**', 'include', 'peercache'), recursive=True)
    assert len(found) == 1, found
    return os.path.dirname(os.path.dirname(found[0]))


def libraries(prefix):
    found = glob.glob(os.path.join(prefix, 'lib', '**', 'libpeercache.so'), recursive=True)
    assert len(found) == 1, found
    return os.path.dirname(found[0])


def pkg_config(place, prefix, *arguments):
    env = {'PKG_CONFIG_PATH': os.path.join(libraries(prefix), 'pkgconfig'), 'PKG_CONFIG_SYSROOT_DIR': place}
    return do(place, 'pkg-config', *arguments, env=env).split()


@case
def everything_is_installed(place):
    prefix = installed(place)
    assert sorted(glob.glob('*/*', root_dir=os.path.join(prefix, 'include'))) == HEADERS
    assert os.access(os.path.join(prefix, 'bin', 'peercache'), os.X_OK)
    assert len(PAGES) > 20
    for page in PAGES:
        assert glob.glob(os.path.join(prefix, 'share', 'man', 'man' + page[-1], page + '*')), page
    lib = libraries(prefix)
    for name in ['libpeercache', 'libpeercache-net']:
        assert os.readlink(os.path.join(lib, name + '.so')) == name + '.so.0'
        dynamic = do(place, 'readelf', '-d', os.path.join(lib, name + '.so'))
        assert 'Library soname: [%s.so.0]' % name in dynamic, dynamic


@case
def only_the_public_names_leave_the_libraries(place):
    lib = libraries(installed(place))
    for name in ['libpeercache', 'libpeercache-net']:
        symbols = {line.split()[-1] for line in do(place, 'nm', '-D', '--defined-only', os.path.join(lib, name + '.so')).splitlines()}
        # those of the sanitizers and of coverage are not ours
        ours = {s for s in symbols if not s.startswith(('__', '_init', '_fini', 'mangle_path', 'llvm_'))}
        assert ours and all(s.startswith('peercache_') for s in ours), sorted(ours)


@case
def the_example_is_built_with_pkg_config(place):
    prefix = installed(place)
    flags = pkg_config(place, prefix, '--cflags', '--libs', 'peercache')
    program = os.path.join(place, 'embed')
    do(place, *shlex.split(CC), *shlex.split(FLAGS), '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE',
       os.path.join(SOURCE, 'examples', 'embed.c'), '-o', program, *flags)
    with socket.socket() as listening:
        listening.bind(('127.0.0.1', 0))
        listening.listen()
        addr = '/ip4/127.0.0.1/tcp/%d' % listening.getsockname()[1]
        env = {'LD_LIBRARY_PATH': libraries(prefix)}
        first = do(place, program, 'contacts.db', addr, env=env)
        again = do(place, program, 'contacts.db', env=env)
        assert first == again == addr + ' ok\n', (first, again)


@case
def pkg_config_knows_both_libraries_and_the_version(place):
    prefix = installed(place)
    for name in ['peercache', 'peercache-net']:
        assert pkg_config(place, prefix, '--modversion', name)[0].count('.') == 2
        assert any(flag == '-l' + name for flag in pkg_config(place, prefix, '--libs', name))


@case
def the_headers_compile_as_cpp(place):
    if not CXX:
        raise Skip('there is no C++ compiler')
    prefix = installed(place)
    program = os.path.join(place, 'headers')
    do(place, CXX, *shlex.split(FLAGS), '-std=c++11', '-Wall', '-Wextra', '-Wpedantic', '-Werror',
       os.path.join(SOURCE, 'tests', 'library', 'headers.cpp'), '-o', program,
       *pkg_config(place, prefix, '--cflags', '--libs', 'peercache'))
    do(place, program, env={'LD_LIBRARY_PATH': libraries(prefix)})


@case
def every_header_stands_alone(place):
    prefix = installed(place)
    for header in HEADERS:
        source = os.path.join(place, 'alone.c')
        with open(source, 'w', encoding='utf-8') as file:
            file.write('#include <%s>\n' % header)
        do(place, *shlex.split(CC), '-std=c99', '-Wall', '-Wextra', '-Wpedantic', '-Werror', '-fsyntax-only',
           '-I' + os.path.join(prefix, 'include'), source)


@case
def the_man_pages_have_no_mistakes(place):
    for page in PAGES:
        with open(os.path.join(SOURCE, 'man', page), encoding='utf-8') as file:
            text = file.read()
        assert text.startswith('.TH '), page
        if not any(os.access(os.path.join(d, 'groff'), os.X_OK) for d in os.environ['PATH'].split(':')):
            continue
        out = do(place, 'groff', '-man', '-ww', '-K', 'utf8', '-Tutf8', '-z', os.path.join(SOURCE, 'man', page))
        assert out == '', out


@case
def the_page_of_the_library_names_every_function(_):
    with open(os.path.join(SOURCE, 'man', 'libpeercache.3'), encoding='utf-8') as file:
        page = file.read()
    # setters are listed by their last part
    named = set(re.findall(r'peercache_\w+', page)) | {'peercache_options' + n for n in re.findall(r'(?<=[ "])_set_\w+', page)} \
        | {'peercache_joiner_options' + n for n in re.findall(r'(?<=[ "])_set_\w+', page)}
    for header in ['types.h', 'peercache.h', 'joiner.h']:
        with open(os.path.join(SOURCE, 'include', 'peercache', header), encoding='utf-8') as file:
            functions = re.findall(r'PEERCACHE_API[^;(]*?\b(peercache_\w+)\(', file.read())
        assert functions, header
        assert not set(functions) - named, (header, sorted(set(functions) - named))


main()
