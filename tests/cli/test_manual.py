"""The manual has all that the command has: every command, flag and cause."""
import glob
import os
import re

from harness import case, causes, main, run

MAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'man')


def manual():
    """The text of all pages of section 1, with plain dashes."""
    text = ''
    for path in sorted(glob.glob(os.path.join(MAN, '*.1'))):
        with open(path, encoding='utf-8') as page:
            text += page.read()
    assert text
    return text.replace('\\-', '-')


def commands(place):
    found = re.findall(r'^  (\w+) ', run(place, '--help').out, re.MULTILINE)
    assert len(found) >= 20 and 'join' in found, found
    return found


@case
def every_cause_has_a_paragraph(place):  # pylint: disable=unused-argument
    section = manual().split('.SH CAUSES\n')[1].split('\n.SH ')[0]
    heads = re.findall(r'^\.TP\n\.B (\w+)$', section, re.MULTILINE)
    assert heads == causes(), (heads, causes())
    for paragraph in section.split('\n.TP\n')[1:]:
        assert len(paragraph.split()) > 15, 'says nothing: %s' % paragraph


@case
def every_command_is_there(place):
    text = manual()
    for command in commands(place):
        assert re.search(r'^\.B peercache %s$' % command, text, re.MULTILINE), command


@case
def every_flag_is_there(place):
    text = manual()
    for command in commands(place):
        flags = re.findall(r'^  --([\w-]+)', run(place, command, '--help').out, re.MULTILINE)
        assert 'json' in flags, (command, flags)
        for flag in flags:
            assert re.search(r'--%s(?![\w-])' % flag, text), '--%s of %s' % (flag, command)


main()
