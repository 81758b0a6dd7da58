#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Run pvh-check under every VMM that is at hand, and write what it found as a table."""
import os
import sys
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'lab'))
# pylint: disable=wrong-import-position
from labkit import program  # before all else
import argparse
import collections
import json
import re
import subprocess

from labkit.program import Problem

OUT = os.path.join(ROOT, 'docs', 'conformance.md')
CMDLINE_SIZE = 2047  # what Linux takes

PASS, FAIL, SKIP = 'ok', 'not ok', 'skip'
SIGNS = {PASS: '✓', FAIL: '✗', SKIP: '·'}

# level: MUST or SHOULD; basis: the clause, or who relies on it; why: of a FAIL or SKIP
Row = collections.namedtuple('Row', 'what level basis verdict why')
LINE = re.compile(r'(?P<verdict>not ok|ok) (?P<n>\d+) - (?P<level>MUST|SHOULD) (?P<what>[^#(]*) \((?P<basis>[^)]*)\)'
                  r'(?: # (?P<kind>SKIP|TODO) (?P<text>.+))?')


class Report:
    """What pvh-check printed.  It must be whole: as many lines as planned, and a conclusion that fits."""

    def __init__(self, text):
        lines = text.replace('\r', '').splitlines()
        plan = [line for line in lines if line.startswith('1..')]
        self.rows = []
        for line, after in zip(lines, lines[1:] + ['']):
            if not line.startswith(('ok', 'not ok')):
                continue
            match = LINE.fullmatch(line)
            if not match or int(match['n']) != len(self.rows) + 1:
                raise Problem(f'this line is no line of pvh-check: {line}')
            verdict = SKIP if match['kind'] == 'SKIP' else match['verdict']
            why = {PASS: '', SKIP: match['text'], FAIL: after[2:]}[verdict]
            self.rows.append(Row(match['what'], match['level'], match['basis'], verdict, why))
        if plan != [f'1..{len(self.rows)}'] or not lines or lines[0] != 'TAP version 13':
            raise Problem(f'pvh-check did not come to its end:\n{text}')
        self.well = not any(row.verdict == FAIL and row.level == 'MUST' for row in self.rows)
        if f'# {"" if self.well else "not "}all that must be is so' not in lines:
            raise Problem(f'the conclusion does not fit the lines:\n{text}')
        self.remarks = [line[2:] for line in lines if line.startswith('# ')]

    def named(self, verdict):
        return {row.what: row for row in self.rows if row.verdict == verdict}


def fill(size):
    """A word of a command line, `size` characters long, that pvh-check knows by heart."""
    n = size - len('pvh-check.fill=00000:')
    return f'pvh-check.fill={n:05}:' + ''.join(chr(97 + (i + i // 26) % 26) for i in range(n))


def told(path):
    """The word that tells pvh-check what the first module is: its size, and its FNV-1a sum."""
    with open(path, 'rb') as file:
        data = file.read()
    value = 0x811c9dc5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xffffffff
    return f'pvh-check.module={len(data)}:{value}'


def merge(reports):
    """One report's rows of several: not so in one is not so; looked at in one is looked at."""
    rows = []
    for variants in zip(*(report.rows for report in reports)):
        by_verdict = {row.verdict: row for row in reversed(variants)}
        rows.append(by_verdict.get(FAIL) or by_verdict.get(PASS) or by_verdict[SKIP])
    return rows


# ---- the VMMs ----

def output(command, expected, **options):
    """What a command prints, if its exit status is one of `expected`."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, **options)
    text = done.stdout.decode(errors='replace')
    if done.returncode not in expected:
        raise Problem(f'{command[0]} ended with {done.returncode}: {done.stderr.decode(errors="replace")}{text}')
    return text


class Checker:
    """pvh-check, and the two ways it is run: with a module and a long command line; with much memory."""

    def __init__(self, build):
        self.elf = os.path.join(build, 'guest', 'check', 'pvh-check.elf')
        self.pronto = os.path.join(build, 'pronto')
        word = told(self.elf)
        self.words = f'{word} {fill(CMDLINE_SIZE - len(word) - 1)}'

    def on_pronto(self, prefix=(), extra=''):
        run = [*prefix, self.pronto, 'run']
        variants = [['-m', '64M', '-i', self.elf, self.elf, '--', self.words],
                    ['-m', '5G', self.elf, '--', 'few words' + extra]]
        return [Report(output([*run, *variant], (0, 3), timeout=180)) for variant in variants]

    def on_qemu(self, machine):
        run = ['qemu-system-x86_64', '-M', machine, '-accel', 'tcg', '-nodefaults', '-display', 'none', '-no-reboot',
               '-serial', 'stdio', '-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-kernel', self.elf]
        variants = [['-m', '64M', '-initrd', self.elf, '-append', self.words],
                    ['-m', '5G', '-append', 'few words']]
        return [Report(output([*run, *variant], (33, 35), timeout=120)) for variant in variants]

    def on_dom0(self):
        run = [os.path.join(ROOT, 'lab', 'xen'), 'dom0', '--json', self.elf]
        ended = [json.loads(output([*run, *variant], (0, 4), timeout=180))[0]
                 for variant in ([self.elf, '--cmdline', self.words], ['--cmdline', 'few words'])]
        return [Report(guest['console'] or guest['port']) for guest in ended]

    def on_domu(self):
        run = [os.path.join(ROOT, 'lab', 'xen'), 'domu', '--json', self.elf]
        ended = json.loads(output([*run, '--ramdisk', self.elf, '--cmdline', self.words, '--next', self.elf,
                                   '--cmdline', 'few words'], (0, 4), timeout=400))
        return [Report(guest['port']) for guest in ended]


def version(command):
    return re.search(r'\d+(\.\d+)+', output(command, (0,)))[0]


def columns(build):
    """Heading and reports of each VMM."""
    checker = Checker(build)
    local = checker.on_pronto(extra=' pvh-check.tr=1') if os.access('/dev/kvm', os.R_OK | os.W_OK) else []
    lab = checker.on_pronto([os.path.join(ROOT, 'lab', 'lab'), '-q', '--timeout=120'])
    yield f'Pronto {version([checker.pronto, "--version"])}', local + lab
    for machine in ('microvm', 'pc', 'q35'):
        yield f'QEMU {version(["qemu-system-x86_64", "--version"])} {machine}', checker.on_qemu(machine)
    for kind, reports in (('domU', checker.on_domu()), ('dom0', checker.on_dom0())):
        xen = next(remark for remark in reports[0].remarks if remark.startswith('Xen '))
        yield f'{xen} {kind}', reports


# ---- the page ----

HEAD = '''<!-- SPDX-License-Identifier: MIT -->
<!-- Written by guest/check/conformance.py; `make conformance` writes it anew. -->
# Who hands over what

`pvh-check` is a guest that looks at the machine as a VMM leaves it at the PVH entry point, point by point. This is what it found.

| | |
| --- | --- |
| ✓ | it is so |
| ✗ | it is not; the number is that of a note below the tables |
| · | it could not be looked at; likewise |

Each VMM runs it twice: with 64 MiB (Xen: what it gives), a module and a command line of {size} bytes; and with 5 GiB (Xen: the same), no
module and a short one. A point holds if it held both times, or the one time it could be looked at. Pronto runs it in its lab, whose
KVM is that of an emulated AMD processor, and on the machine's own KVM if there is one. QEMU emulates the processor (TCG), and the hand-over
is its firmware's: {firmware}. Xen runs in a q35 of that QEMU, whose firmware describes its ACPI tables by an RSDT alone; what dom0 sees
is made from them.
'''

MUST = '''
## What must be

By the boot ABI, or by a specification that it leads to. One ✗ here, and pvh-check ends as failed.
'''

SHOULD = '''
## What should be

The ABI does not demand it, but somebody relies on it.
'''

TAIL = '''
## Running it

    make
    build/pronto run build/guest/check/pvh-check.elf
    qemu-system-x86_64 -M q35 -nodefaults -display none -serial stdio -no-reboot -kernel build/guest/check/pvh-check.elf
    lab/xen dom0 build/guest/check/pvh-check.elf

`make install` puts it below `share/pronto/`. It prints TAP on the serial port 0x3f8, on port 0xe9 and, as Xen's first domain, on
Xen's console. What is not as it should be is marked `TODO`, which does not count as a failure.

| the end | all that must be is so | not so |
| --- | --- | --- |
| under Xen | poweroff | crash |
| QEMU with `-device isa-debug-exit,iobase=0xf4,iosize=4` | exit status 33 | 35 |
| ACPI | power-off | reset |
| none of these | the processor shuts down (triple fault); the last lines say which it is | |

The command line can tell it more:

| word | |
| --- | --- |
| `pvh-check.fill=N:TEXT` | the last word; TEXT has N characters, the i-th of which is letter (i + i/26) mod 26 of the alphabet |
| `pvh-check.module=SIZE:SUM` | the first module has so many bytes, and this FNV-1a sum of 32 bits, both decimal |
| `pvh-check.tr=1` | look at the task register's segment too: enter user mode, and see where an exception is delivered |

What a guest cannot see is not here: the VMM's GDT and IDT (which the ABI leaves open), the limit of the task state segment.
'''


def firmware():
    microvm = os.path.basename(os.path.realpath('/usr/share/qemu/bios-microvm.bin'))
    done = subprocess.run(['dpkg-query', '-W', '-f', '${Package} ${Version}\n', 'qemu-system-data', 'seabios'],
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    packages = ', '.join(done.stdout.splitlines()) or 'packages unknown'
    return f'SeaBIOS with the option ROM pvh.bin on pc and q35, {microvm} on microvm ({packages})'


class Notes:
    """Texts numbered in the order of their first use."""

    def __init__(self):
        self.texts = []

    def number(self, text):
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


def table(level, found, notes):
    """found: heading -> rows.  The rows of this level, as a table."""
    basis = 'clause' if level == 'MUST' else 'who'
    lines = [f'| | {" | ".join(found)} | {basis} |', '| --- |' + ' :-: |' * len(found) + ' --- |']
    for rows in zip(*found.values()):
        if rows[0].level != level:
            continue
        cells = [SIGNS[row.verdict] + (f' {notes.number(row.why)}' if row.why else '') for row in rows]
        lines.append(f'| {rows[0].what} | {" | ".join(cells)} | {rows[0].basis} |')
    return '\n'.join(lines) + '\n'


def page(found):
    notes = Notes()
    tables = [MUST, '\n', table('MUST', found, notes), SHOULD, '\n', table('SHOULD', found, notes)]
    listed = ''.join(f'{n}. {text}\n' for n, text in enumerate(notes.texts, 1))
    head = HEAD.format(size=CMDLINE_SIZE, firmware=firmware())
    return ''.join([head, *tables, '\n## Notes\n\npvh-check\'s own words.\n\n', listed, TAIL])


def read_page(text):
    """(what, level) -> {first word of a heading: sign}, in the page's order; what a test compares with."""
    found, level, headings = {}, None, []
    for line in text.splitlines():
        if line.startswith('## '):
            level = {'## What must be': 'MUST', '## What should be': 'SHOULD'}.get(line)
        elif level and line.startswith('| | '):
            headings = [cell.strip() for cell in line.split('|')[2:-2]]
        elif level and line.startswith('| ') and not line.startswith('| ---'):
            what, *cells = [cell.strip() for cell in line.split('|')[1:-2]]
            found[what, level] = dict(zip(headings, (cell.split()[0] for cell in cells)))
    return found


def main(argv):
    parser = argparse.ArgumentParser(prog='guest/check/conformance.py', description=__doc__)
    parser.add_argument('--build', default=os.path.join(ROOT, 'build'), help='where pronto and pvh-check were built')
    parser.add_argument('--out', default=OUT, help='the page to write (default: docs/conformance.md)')
    args = parser.parse_args(argv)
    found = {}
    for heading, reports in columns(os.path.abspath(args.build)):
        found[heading] = merge(reports)
        failed = sum(row.verdict == FAIL for row in found[heading])
        print(f'{heading}: {failed} of {len(found[heading])} points are not so', flush=True)
    with open(args.out, 'w', encoding='utf-8') as file:
        file.write(page(found))


if __name__ == '__main__':
    program.run(main, 'conformance')
