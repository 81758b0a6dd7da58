# SPDX-License-Identifier: MIT
"""The tree passes every check of scripts/lint, and every check can fail."""
import json
import os
import re
import shutil
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
MIT = '/* SPDX-License-Identifier: MIT */\n'
DUAL = '/* SPDX-License-Identifier: GPL-2.0 OR MIT */\n'


def lint(check, root, *options, env=None):
    done = subprocess.run([os.path.join(ROOT, 'scripts', 'lint'), '--root', root, *options, check],
                          capture_output=True, text=True, check=False, env=env)
    assert done.stderr == ''
    skipped = re.fullmatch(rf'{check}: skipped: (.*)\n', done.stdout)
    if skipped:
        assert done.returncode == 0
        pytest.skip(skipped[1])
    return done.returncode, done.stdout


# The first time, or after a change of a header that all include, clang-tidy has much to read.
@pytest.mark.timeout(3000)
@pytest.mark.parametrize('check', [
    'format', 'tidy', pytest.param('analyze', marks=pytest.mark.long), 'includes', 'calls', 'sizes', 'licences', 'documents', 'shell'])
def test_this_tree(check):
    status, output = lint(check, ROOT)
    assert (status, output) == (0, f'{check}: ok\n'), output


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_this_tree_anew():
    """What was found clean once is found clean again."""
    for check in 'tidy', 'analyze':
        status, output = lint(check, ROOT, '--every')
        assert (status, output) == (0, f'{check}: ok\n'), output


def tree(tmp_path, path, text):
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding='utf-8', errors='surrogateescape')
    for name in ('.clang-format', '.clang-tidy'):
        shutil.copy(os.path.join(ROOT, name), tmp_path)
    return str(tmp_path)


# check, path, text, a piece of what is to be found
BAD = [
    ('format', 'vmm/a.c', MIT + 'int  a;\n', 'vmm/a.c:2: is not formatted'),
    ('includes', 'vmm/util/a.c', '#include "mem/guest_mem.h"\n', 'points right'),
    ('includes', 'vmm/mem/a.h', '#include "loop/loop.h"\n', 'points right'),
    ('includes', 'vmm/dev/a.c', '#include "vm.h"\n', 'points right'),
    ('includes', 'vmm/dev/a.c', '#  include "dev/b.h"\n', 'another device'),
    ('includes', 'vmm/dev/a_part.c', '#include "dev/b.h"\n', 'another device'),
    ('includes', 'vmm/boot/a.c', '#include "bus/bus.h"\n', 'not for boot'),
    ('includes', 'vmm/boot/a.c', '#include "kvm/kvm.h"\n', 'not for boot'),
    ('includes', 'vmm/vm/vm.c', '#include "cmd.h"\n', 'points right'),
    ('includes', 'vmm/dev/a.c', '#include <linux/kvm.h>\n', 'for vmm/kvm only'),
    ('includes', 'vmm/new/a.c', '#include "util/bits.h"\n', 'no known module'),
    ('includes', 'guest/pvh/a.c', '#include "util/bits.h"\n', 'of the host side'),
    ('includes', 'guest/pvh/a.c', '#include "../../vmm/util/bits.h"\n', 'of the host side'),
    ('includes', 'include/pvh/a.h', '#include <stdio.h>\n', 'not for include/pvh'),
    ('calls', 'vmm/a.c', 'log_warn("%s", strerror(errno));\n', 'vmm/a.c:1: strerror() is not for confined threads'),
    ('calls', 'vmm/a.c', 'getrandom(a, 1, 0);\n', 'util/random.h has random_bytes()'),
    ('sizes', 'vmm/a.c', '\n' * 601, '601 lines'),
    ('sizes', 'vmm/a.c', 'int f(void)\n{\n' + '\n' * 79 + '}\n', 'vmm/a.c:2: function of 81 lines'),
    ('sizes', 'scripts/a', '#!/usr/bin/python3\ndef f():\n' + '    f()\n' * 80, 'function of 81 lines'),
    ('sizes', 'scripts/a', '#!/usr/bin/python3\n\ndef f(:\n', 'scripts/a:3: is not Python: invalid syntax'),
    ('sizes', 'scripts/a', '#!/usr/bin/python3\n\0', 'scripts/a:1: is not Python: '),
    ('licences', 'vmm/a.c', 'int a;\n', 'SPDX-License-Identifier: MIT'),
    ('licences', 'vmm/a.c', '/* SPDX-License-Identifier: MITX */\n', 'SPDX-License-Identifier: MIT'),
    ('licences', 'vmm/a.c', '\n\n\n' + MIT, 'SPDX-License-Identifier: MIT'),
    ('licences', 'guest/a.c', MIT, 'GPL-2.0 OR MIT'),
    ('licences', 'scripts/a', '#!/bin/sh\n', 'SPDX-License-Identifier: MIT'),
    ('documents', 'docs/a.md', 'see `gone()`\n', 'docs/a.md:1: there is no function gone()'),
    ('documents', 'docs/a.md', '\nin `vmm/gone.c`\n', 'docs/a.md:2: there is no file vmm/gone.c'),
    ('documents', 'README.md', '[it](docs/gone.md#here)\n', 'README.md:1: there is no file docs/gone.md'),
    ('shell', 'scripts/a', '#!/bin/sh\nrm $1\n', 'SC2086'),
    ('shell', 'scripts/a', '#!/bin/sh\nrm $1 "\udcff"\n', 'SC2086'),
]


@pytest.mark.parametrize('check,path,text,found', BAD)
def test_finds(tmp_path, check, path, text, found):
    status, output = lint(check, tree(tmp_path, path, text))
    assert status == 1
    assert output.startswith(f'{check}: failed\n')
    assert found in output


GOOD = [
    ('format', 'vmm/a.c', MIT + 'int a;\n'),
    ('includes', 'vmm/dev/a_part.c', '#include "dev/a.h"\n#include "bus/bus.h"\n#include <pvh/start_info.h>\n'),
    ('includes', 'vmm/boot/a.c', '#include "bus/platform.h"\n#include "image/elf.h"\n'),
    ('includes', 'vmm/kvm/a.c', '#include <linux/kvm.h>\n'),
    ('includes', 'vmm/filter/generate.c', '#include <linux/kvm.h>\n'),
    ('includes', 'guest/pvh/a.c', '#include "entry.h"\n#include <pvh/start_info.h>\n'),
    ('includes', 'include/pvh/a.h', '#include <stdint.h>\n'),
    ('calls', 'vmm/a.c', 'ops->strerror(ret);\n'),
    ('sizes', 'vmm/a.c', 'int f(void)\n{\n' + '\n' * 78 + '}\n' + '\n' * 500),
    ('licences', 'guest/a.c', DUAL),
    ('licences', 'scripts/a', '#!/bin/sh\n# SPDX-License-Identifier: MIT\n'),
    ('documents', 'docs/a.md', '`NAME_init()`, `vmm/dev/NAME.c`, [this](a.md#there), [that](https://example.org)\n'),
    ('shell', 'scripts/a', '#!/bin/sh\nrm "$1"\n'),
]


@pytest.mark.parametrize('check,path,text', GOOD)
def test_is_content(tmp_path, check, path, text):
    assert lint(check, tree(tmp_path, path, text)) == (0, f'{check}: ok\n')


def compiled_tree(tmp_path, text):
    root = tree(tmp_path, 'vmm/a.c', MIT + text)
    command = {'directory': root, 'file': 'vmm/a.c', 'command': 'cc -o a.o -MF a.d -c vmm/a.c'}
    (tmp_path / 'build').mkdir()
    (tmp_path / 'build' / 'compile_commands.json').write_text(json.dumps([command]))
    return root


@pytest.mark.parametrize('check,body,found', [
    ('tidy', 'return n == 1 || n == 1', 'misc-redundant-expression'),
    ('tidy', 'return -n', None),
    ('analyze', 'return n ? *(int *)0 : n', 'NullDereference'),
    ('analyze', 'return n == 1 || n == 1', 'misc-redundant-expression'),
    ('analyze', 'return -n', None),
])
def test_tidy(tmp_path, check, body, found):
    root = compiled_tree(tmp_path, f'int f(int n)\n{{\n\t{body};\n}}\n')
    status, output = lint(check, root)
    assert status == (1 if found else 0)
    assert (found or f'{check}: ok') in output


def change_header(root):
    root.joinpath('vmm', 'a.h').write_text('#define B 2 /* NOLINT */\n')


def change_arguments(root):
    database = root / 'build' / 'compile_commands.json'
    database.write_text(database.read_text().replace('-c ', '-c -Wall '))


def change_rules(root):
    with open(root / '.clang-tidy', 'a', encoding='ascii') as file:
        file.write('# stricter\n')


@pytest.mark.parametrize('change,options,looks', [
    (lambda root: None, [], 0), (lambda root: None, ['--every'], 1),
    (change_header, [], 1), (change_arguments, [], 1), (change_rules, [], 1)])
def test_tidy_looks_at_what_changed(tmp_path, change, options, looks):
    """Counted by a clang-tidy that finds nothing; what it once found clean is left alone."""
    root = compiled_tree(tmp_path, '#include "a.h"\nint a = B;\n')
    (tmp_path / 'vmm' / 'a.h').write_text('#define B 2\n')
    fake = tmp_path / 'bin' / 'clang-tidy'
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] || echo "$@" >>"$0.log"\n')
    fake.chmod(0o755)
    env = {**os.environ, 'PATH': f'{fake.parent}:{os.environ["PATH"]}'}
    assert lint('tidy', root, env=env) == (0, 'tidy: ok\n')
    change(tmp_path)
    assert lint('tidy', root, *options, env=env) == (0, 'tidy: ok\n')
    assert len((fake.parent / 'clang-tidy.log').read_text().splitlines()) == 1 + looks
    assert not list(tmp_path.glob('a.*'))


def test_tidy_finds_again(tmp_path):
    root = compiled_tree(tmp_path, 'int f(int n)\n{\n\treturn n == 1 || n == 1;\n}\n')
    first = lint('tidy', root)
    assert first[0] == 1 and lint('tidy', root) == first


def test_tidy_without_build(tmp_path):
    status, output = lint('tidy', tree(tmp_path, 'vmm/a.c', MIT))
    assert status == 1
    assert 'build first' in output


def test_tidy_after_a_build_that_was_cut_off(tmp_path):
    root = compiled_tree(tmp_path, 'int a;\n')
    (tmp_path / 'build' / 'compile_commands.json').write_text('[{')
    status, output = lint('tidy', root)
    assert status == 1
    assert re.fullmatch(r'tidy: failed\n  build/compile_commands\.json: .*; build anew\n', output)


def test_looks_at_its_own_tree_from_anywhere(tmp_path):
    """And not at nothing, which would be content."""
    bad = tree(tmp_path / 'bad', 'scripts/a', '#!/bin/sh\n')
    shutil.copytree(os.path.join(ROOT, 'scripts'), tmp_path / 'bad' / 'scripts', dirs_exist_ok=True)
    shutil.copytree(os.path.join(ROOT, 'lab', 'labkit'), tmp_path / 'bad' / 'lab' / 'labkit')
    done = subprocess.run([os.path.join(bad, 'scripts', 'lint'), 'licences'], cwd=tmp_path, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1 and 'scripts/a: ' in done.stdout
    done = subprocess.run([os.path.join(bad, 'scripts', 'lint'), '--root', tmp_path / 'gone', 'licences'],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.endswith('gone is not a directory\n')
