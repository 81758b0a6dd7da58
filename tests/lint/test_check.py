# SPDX-License-Identifier: MIT
"""scripts/check counts what its suites report, and takes nothing for a success that was none."""
import importlib.machinery
import importlib.util
import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
LOADER = importlib.machinery.SourceFileLoader('check', os.path.join(ROOT, 'scripts', 'check'))
check = importlib.util.module_from_spec(importlib.util.spec_from_loader('check', LOADER))
LOADER.exec_module(check)

REPORT = '''<testsuites><testsuite><testcase name="a"/><testcase name="b"/>{more}</testsuite></testsuites>'''
FAILURE = '<testcase name="c"><failure message="no"/></testcase>'
ERROR = '<testcase name="c"><error message="no"/></testcase>'
SKIP = '<testcase name="c"><skipped message="no KVM"/></testcase>'


def run_suite(tmp_path, monkeypatch, script, limit=10):
    monkeypatch.setattr(check, 'OUT', str(tmp_path))
    return check.run(check.Suite('sample', script, limit))


@pytest.mark.parametrize('more,status,counts', [
    ('', 0, (2, 0, 0)),
    (FAILURE, 1, (2, 1, 0)),
    (ERROR, 1, (2, 1, 0)),
    (SKIP, 0, (2, 0, 1)),
    (SKIP + FAILURE, 1, (2, 1, 1)),
    # A runner that ends with an error for a reason of its own.
    ('', 3, (2, 1, 0)),
])
def test_counts(tmp_path, monkeypatch, more, status, counts):
    report = REPORT.format(more=more).replace('"', '\\"')
    assert run_suite(tmp_path, monkeypatch, f'echo "{report}" > {{junit}}; exit {status}') == counts


@pytest.mark.parametrize('script,counts,said', [
    ('exit 0; : {junit}', (0, 1, 0), 'no report; exit status 0'),
    ('echo "<testsuites" > {junit}', (0, 1, 0), 'no report; exit status 0'),
    ('echo "<testsuites/>" > {junit}', (0, 1, 0), 'there was nothing to run'),
    ('sleep 60; : {junit}', (0, 1, 0), 'not done within 1 s'),
    ('echo what went wrong; false', (0, 1, 0), 'what went wrong'),
    ('echo all is well', (0, 0, 0), 'sample       0 passed'),
])
def test_no_success(tmp_path, monkeypatch, capsys, script, counts, said):
    assert run_suite(tmp_path, monkeypatch, script, limit=1) == counts
    assert said in capsys.readouterr().out


@pytest.mark.parametrize('skip,reason', [
    (SKIP, 'no KVM'),
    # As meson has it.
    ('<testcase name="c"><skipped/><system-out>no KVM</system-out></testcase>', 'no KVM'),
    ('<testcase name="c"><skipped/><system-out> </system-out></testcase>', 'no reason given'),
    ('<testcase name="c"><skipped/></testcase>', 'no reason given'),
])
def test_reasons_are_told(tmp_path, monkeypatch, capsys, skip, reason):
    report = REPORT.format(more=skip).replace('"', '\\"')
    run_suite(tmp_path, monkeypatch, f'echo "{report}" > {{junit}}')
    assert f'skipped: {reason}\n' in capsys.readouterr().out


@pytest.mark.parametrize('wrong', ['', 'not '], ids=['1.1.7', '1.1.5'])
def test_unit_tests_report_their_skips(wrong):
    """As each cmocka prints them; the status is the test's."""
    printed = f'1..3\n# because no KVM\n{wrong}ok 1 # SKIP test_a\n{wrong}ok 2 # SKIP test_b\nnot ok 3 - test_c\n'
    done = subprocess.run([os.path.join(ROOT, 'tests', 'unit', 'tap.sh'), 'sh', '-c', 'printf %s "$1"; exit 1', 'sh', printed],
                          capture_output=True, text=True, check=False)
    assert done.stdout == '1..3\nok 1 # SKIP no KVM\nok 2 # SKIP \nnot ok 3 - test_c\n'
    assert done.returncode == 1


def test_old_reports_do_not_count(tmp_path, monkeypatch):
    (tmp_path / 'sample.xml').write_text(REPORT.format(more=''))
    assert run_suite(tmp_path, monkeypatch, ': {junit}') == (0, 1, 0)


@pytest.mark.parametrize('results,status,line', [
    ([(3, 0, 1), (2, 0, 0)], 0, '5 passed, 0 failed, 1 skipped'),
    ([(3, 0, 0), (0, 1, 0)], 1, '3 passed, 1 failed, 0 skipped'),
    ([(0, 0, 4)], 1, '0 passed, 0 failed, 4 skipped'),
])
def test_total(capsys, results, status, line):
    assert check.conclude([check.Result(*r) for r in results]) == status
    assert capsys.readouterr().out == line + '\n'


@pytest.mark.parametrize('argv,ran', [
    ([], ['short', 'other']), (['--long'], ['endless']), (['endless', 'short'], ['short', 'endless'])])
def test_choice(monkeypatch, argv, ran):
    monkeypatch.setattr(check, 'suites', lambda: [
        check.Suite('short', ':', 1), check.Suite('endless', ':', 1, long=True), check.Suite('other', ':', 1)])
    monkeypatch.setattr(check, 'meson_build', lambda directory: ':')
    monkeypatch.setattr(check, 'run', lambda suite: seen.append(suite.name) or check.Result(1, 0, 0))
    seen = []
    assert check.main(argv) == 0
    assert seen == ran


def test_setup_lists_what_it_wants_elsewhere(tmp_path):
    """On a distribution that is not Debian's kin, the list and an error."""
    with open(os.path.join(ROOT, 'scripts', 'setup'), encoding='utf-8') as file:
        script = file.read().replace('/etc/os-release', str(tmp_path / 'os-release'))
    (tmp_path / 'os-release').write_text('ID=arch\n')
    done = subprocess.run(['bash', '-c', script, 'setup', 'demo'], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r'^  meson$', done.stderr, re.M)
    assert not re.search(r'^  clang-tidy$', done.stderr, re.M)
