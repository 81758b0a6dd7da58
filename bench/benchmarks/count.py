# SPDX-License-Identifier: MIT
"""count: start and boot by the number of instructions, which no load on this machine changes."""
from benchkit import linux, place
from . import start

NAME = 'count'
TITLE = 'Start and boot by counted instructions (1 ms is a million)'
ROUNDS = 3  # more say the same again
CASES = (('cloud', 256, linux.CMDLINE), ('cloud', 256, linux.PLAIN), ('cloud', 256, ''),
         ('cloud-6.12', 256, linux.CMDLINE))


def why_not(_given):
    return linux.why_not()


def run(given):
    cases = CASES[:1] if given.quick else CASES
    n_rounds = min(given.rounds, ROUNDS)
    guests = {name: linux.debian(name) for name in sorted({case[0] for case in cases})}
    with place.Lab(icount=True, seconds=7200) as where:
        linux.warm(given, where, guests.values())
        result = [start.compete(given, where, 128, 1, n_rounds)]
        result += [linux.race(given, where, guests[name], memory, 1, cmdline, n_rounds)
                   for name, memory, cmdline in cases]
    return result
