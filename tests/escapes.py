#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Have the threads of confined machines try what they may not, and write what came of it into docs/security.md."""
import os
import sys
ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
sys.path[:0] = [os.path.join(ROOT, 'lab'), os.path.join(ROOT, 'tests', 'functional')]
# pylint: disable=wrong-import-position
from labkit import program  # before all else
import argparse

from labkit.program import Problem


def main(argv):
    parser = argparse.ArgumentParser(prog='tests/escapes.py', description=__doc__)
    parser.add_argument('--build', default=os.path.join(ROOT, 'build'), help='where pronto was built')
    args = parser.parse_args(argv)
    if os.geteuid():
        raise Problem('only root may trace a confined machine: run it as root')
    os.environ['PRONTO'] = os.path.join(args.build, 'pronto')
    import escape  # pylint: disable=import-outside-toplevel
    try:
        escape.write_page()
    except escape.Missing as missing:
        raise Problem(f'{missing}: the table is left as it was') from missing


if __name__ == '__main__':
    program.run(main, 'escapes')
