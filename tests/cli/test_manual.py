"""The manual has all that the command has: every command, flag and cause."""
import glob
import os
import re

from harness import case, causes, main, run

MAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'man')
# whose options are told on the page of join, and not once more on their own
LIKE_JOIN = ['run', 'endpoints', 'ping', 'crawl', 'find']


def manual(name):
    """The text of a page, with plain dashes."""
    with open(os.path.join(MAN, name), encoding='utf-8') as page:
        return page.read().replace('\\-', '-')


def commands(place):
    found = re.findall(r'^  (\w+) ', run(place, '--help').out, re.MULTILINE)
    assert len(found) >= 20 and 'join' in found, found
    return found


@case
def every_cause_has_a_paragraph(place):  # pylint: disable=unused-argument
    section = manual('peercache-join.1').split('.SH CAUSES\n')[1].split('\n.SH ')[0]
    heads = re.findall(r'^\.TP\n\.B (\w+)$', section, re.MULTILINE)
    assert heads == causes(), (heads, causes())
    for paragraph in section.split('\n.TP\n')[1:]:
        assert len(paragraph.split()) > 15, 'says nothing: %s' % paragraph


@case
def every_command_has_a_page_and_a_place_on_the_map(place):
    overview = manual('peercache.1')
    for command in commands(place):
        page = manual('peercache-%s.1' % command)
        assert re.search(r'^\.B peercache %s$' % command, page, re.MULTILINE), command
        assert '\n.BR peercache-%s (1)\n' % command in overview, command
        for section in 'NAME', 'SYNOPSIS', 'DESCRIPTION', 'OPTIONS', 'SEE ALSO':
            assert '\n.SH %s\n' % section in page, (command, section)
    assert len(glob.glob(os.path.join(MAN, 'peercache-*.1'))) == len(commands(place)), 'a page of no command'


@case
def every_flag_is_there(place):
    shared, join = manual('peercache.1'), manual('peercache-join.1')
    for command in commands(place):
        text = shared + manual('peercache-%s.1' % command) + (join if command in LIKE_JOIN else '')
        flags = re.findall(r'^  --([\w-]+)', run(place, command, '--help').out, re.MULTILINE)
        assert 'json' in flags, (command, flags)
        for flag in flags:
            assert re.search(r'--%s(?![\w-])' % flag, text), '--%s of %s' % (flag, command)


@case
def every_option_of_a_file_is_there(place):
    page = manual('peercache.conf.5').split('\n.SH OPTIONS\n')[1].split('\n.SH ')[0]
    told = set(re.findall(r'[a-z][a-z-]+', page.split('.PP\n')[1].replace('.BR', '')))
    printed = set()
    for line in run(place, 'run', '--print-config').out.splitlines():
        found = re.match(r'(?:# )?([\w-]+) =', line)
        if found:
            printed.add(found.group(1))
    of_join = {'target-peers', 'min-peers', 'timeout', 'no-save', 'no-walk'}  # and no option of run
    assert len(printed) > 20 and told == printed | of_join, (told ^ (printed | of_join))


@case
def every_function_of_a_node_is_there(_):
    with open(os.path.join(MAN, '..', 'include', 'peercache', 'node.h'), encoding='utf-8') as header:
        names = re.findall(r'^PEERCACHE_API [\w *]*?(peercache_\w+)\(', header.read(), re.MULTILINE)
    assert len(names) > 40, names
    page = manual('libpeercache-net.3')
    for name in names:
        short = name.replace('peercache_node_options', '') if name.startswith('peercache_node_options_') else name
        assert re.search(r'(?<!\w)(?:%s|%s)(?!\w)' % (name, short), page), name


@case
def every_format_says_what_it_cannot_carry(_):
    page = manual('peercache-formats.5')
    for name in 'list', 'map', 'ant-v0', 'ant-v1', 'endpoint', 'text', 'kubo':
        paragraph = page.split('.TP\n.B %s\n' % name)[1].split('\n.TP\n')[0]
        assert ("Can't carry" in paragraph) == (name != 'list'), name


@case
def every_page_that_is_referred_to_exists(_):
    for path in glob.glob(os.path.join(MAN, '*.[135]')):
        text = manual(os.path.basename(path))
        for name, section in re.findall(r'^\.BR "?((?:peercache|libpeercache)[\w-]*) \((\d)\)', text, re.MULTILINE):
            assert os.path.exists(os.path.join(MAN, '%s.%s' % (name, section))), (path, name)


main()
