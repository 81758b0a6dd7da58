#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Change the program in small ways, one at a time, and see whether the tests notice.

A mutant differs from the program in one token or one statement.  It is built in a scratch copy, and given to its module's own
tests; if it survives those, to all unit tests and the seeds of the fuzzers, and then to the functional tests that need no lab.
Whoever survives is printed: a test is missing, or the change makes no difference.
"""
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lab'))
# pylint: disable=wrong-import-position
from labkit import program  # before all else
import argparse
import collections
import contextlib
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time

from labkit.program import Problem

ROOT = pathlib.Path(__file__).resolve().parents[1]
SECONDS = 900  # for what hangs

Mutant = collections.namedtuple('Mutant', 'path line start end new')

# Not looked at: what the compiler does not see, or only people do.
SKIPPED = re.compile(r'''/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|^[ \t]*\#(?:\\\n|[^\n])*''', re.S | re.M)
SWAPS = {'<': '<=', '<=': '<', '>': '>=', '>=': '>', '==': '!=', '!=': '==', '&&': '||', '||': '&&', '+': '-', '-': '+',
         '&': '|', '|': '&', '<<': '>>', '>>': '<<', '+=': '-=', '-=': '+=', '|=': '&=', '&=': '|=', 'true': 'false',
         'false': 'true', '++': '--', '--': '++'}
TOKENS = [
    # Operators stand between blanks; what does not is a sign or a pointer.
    (re.compile(r'(?<= )(<=|>=|==|!=|&&|\|\||<<|>>|\+=|-=|\|=|&=|[<>+\-&|])(?= )'), lambda m: SWAPS[m[0]]),
    (re.compile(r'\b(true|false)\b|\+\+|--'), lambda m: SWAPS[m[0]]),
    (re.compile(r'(?<=[ (])!(?=[\w(])'), lambda m: ''),
    (re.compile(r'(?<![\w.])(0x[0-9a-fA-F]+|[1-9]\d*|0)(?=[uUlL]*\b)'), lambda m: str(int(m[0], 0) + 1)),
    (re.compile(r'(?<=\breturn )(?!0;|true;|false;|NULL;|")[^;{}]+(?=;)'), lambda m: '0'),
    # A statement that is no declaration: a call or an assignment.
    (re.compile(r'(?<=\n)(\t+)(?!return\b|else\b|for\b|while\b|if\b|switch\b|case\b|do\b|goto\b|BUG_ON|log_)'
                r'(?:[\w.>\-\[\]*+]+(?: [|&+\-]?= |\())[^;{}]*;(?=\n)'), lambda m: m[1] + ';'),
]


def blank(text):
    """The text with all that is not looked at made blank, so that places stay what they are."""
    return SKIPPED.sub(lambda m: re.sub(r'[^\n]', ' ', m[0]), text)


def mutants_of(path):
    text = blank((ROOT / path).read_text(encoding='utf-8'))
    for pattern, new in TOKENS:
        for match in pattern.finditer(text):
            line = text.count('\n', 0, match.start()) + 1
            yield Mutant(path, line, match.start(), match.end(), new(match))


def sources(only):
    tracked = subprocess.run(['git', 'ls-files', '--', *only], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in tracked.splitlines() if path.endswith('.c')]


def run(command, directory, seconds, **env):
    """True: it ended well, and in time."""
    with subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, env={**os.environ, **env}, start_new_session=True) as process:
        try:
            return process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            if process.poll() is None:
                stop(process)


def stop(process):
    """By SIGINT first: pytest then ends what its tests have started."""
    for number in signal.SIGINT, signal.SIGKILL:
        os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
            return


class Scratch:
    """A copy of the tree, built."""

    def __init__(self, directory):
        self.tree = pathlib.Path(directory)
        names = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, check=True).stdout
        for name in names.decode().split('\0'):
            if name and (ROOT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.tree / name)
        subprocess.run(['meson', 'setup', '-Dstatic=false', '-Ddebug=false', 'build'], cwd=self.tree, check=True,
                       stdout=subprocess.DEVNULL)
        subprocess.run(['ninja', '-C', 'build'], cwd=self.tree, check=True, stdout=subprocess.DEVNULL)
        self.clean = self.outputs()
        self.units = [path.name for path in (self.tree / 'build' / 'tests' / 'unit').glob('test_*') if path.is_file()]

    def show(self, mutant):
        text = (self.tree / mutant.path).read_text(encoding='utf-8')
        old = ' '.join(text[mutant.start:mutant.end].split())
        line = ' '.join(text.splitlines()[mutant.line - 1].split())
        return f'{mutant.path}:{mutant.line}: {old!r} becomes {mutant.new.strip()!r} in {line!r}'

    def outputs(self):
        """What the compilers have made of the sources, of the guests' too."""
        return {path: path.read_bytes() for end in ('*.o', '*.elf') for path in (self.tree / 'build').rglob(end)}

    def ninja(self, *targets):
        return run(['ninja', '-C', 'build', *targets], self.tree, SECONDS)

    def meson_test(self, *tests):
        return run(['meson', 'test', '-C', 'build', '--no-rebuild', '--maxfail', '1', *tests], self.tree, SECONDS)

    def near(self, path):
        """In the unit tests that bear the changed file's name, or the first part of it."""
        stem = pathlib.Path(path).stem
        names = [name for name in self.units if not path or f'test_{stem}_'.startswith(f'{name}_') or name.startswith(f'test_{stem}_')]
        if not names:
            return 'survives'
        if not self.ninja(*(f'tests/unit/{name}' for name in names)):
            return 'does not compile'
        passed = self.meson_test(*(name.removeprefix('test_') for name in names))
        return 'survives' if passed else "found by the module's own tests"

    def unit(self, _):
        if not self.ninja():
            return 'does not compile'
        if self.outputs() == self.clean:
            return 'changes nothing'
        return 'survives' if self.meson_test() else 'found by other unit tests'

    def functional(self, _):
        if not self.ninja():
            return 'does not compile'
        command = ['/usr/bin/python3', '-m', 'pytest', '-p', 'no:cacheprovider', '-q', '-x', '--timeout=60',
                   '-m', 'not lab and not long', '--ignore=tests/functional/test_lab.py',
                   '--ignore=tests/functional/test_demo.py', '-n', str(len(os.sched_getaffinity(0))), 'tests/functional']
        well = run(command, self.tree, SECONDS, PRONTO=str(self.tree / 'build' / 'pronto'))
        return 'survives' if well else 'found by functional tests'

    def judge(self, mutant, tests):
        """What comes of the mutant in TESTS: near(), unit() or functional()."""
        file = self.tree / mutant.path
        text = file.read_text(encoding='utf-8')
        file.write_text(text[:mutant.start] + mutant.new + text[mutant.end:], encoding='utf-8')
        try:
            return tests(mutant.path)
        finally:
            file.write_text(text, encoding='utf-8')


def main(argv):
    parser = argparse.ArgumentParser(prog='tests/mutate.py', description=__doc__)
    parser.add_argument('--count', type=int, default=200, help='so many mutants (default: 200)')
    parser.add_argument('--seconds', type=int, default=3600, help='begin no more after so long (default: 3600)')
    parser.add_argument('--seed', type=int, default=1, help='choose others (default: 1)')
    parser.add_argument('--unit', action='store_true', help='leave the functional tests out')
    parser.add_argument('path', nargs='*', default=['vmm', 'guest'], help='what to change (default: vmm guest)')
    args = parser.parse_args(argv)
    if args.count < 1:
        parser.error('--count: give a number from 1 up')

    everyone = [mutant for path in sources(args.path) for mutant in mutants_of(path)]
    if not everyone:
        raise Problem(f'there is nothing to change in {" ".join(args.path)}: name C sources that git knows')
    chosen = random.Random(args.seed).sample(everyone, min(args.count, len(everyone)))
    end = time.monotonic() + args.seconds
    counts = collections.Counter()
    with tempfile.TemporaryDirectory(prefix='pronto-mutate-') as directory:
        scratch = Scratch(directory)
        stages = [scratch.near, scratch.unit] + [scratch.functional] * (not args.unit)
        for tests in stages:
            if tests('') not in ('changes nothing', 'survives'):
                raise Problem('the tests fail without any change')
            alive = []
            counts['survives'] = 0
            for mutant in chosen:
                verdict = scratch.judge(mutant, tests) if time.monotonic() < end else 'not tried'
                counts[verdict] += 1
                if verdict == 'survives':
                    alive.append(mutant)
                elif verdict != 'not tried':
                    print(f'{verdict}: {scratch.show(mutant)}', flush=True)
            print(f'{tests.__name__}: {len(alive)} of {len(chosen)} survive', flush=True)
            chosen = alive
        for mutant in chosen:
            print(f'survives: {scratch.show(mutant)}')
    print(', '.join(f'{n} {verdict}' for verdict, n in counts.most_common()), f'of {len(everyone)} possible')


if __name__ == '__main__':
    program.run(main, 'mutate')
