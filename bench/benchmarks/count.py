# SPDX-License-Identifier: MIT
"""count: start and boot by the number of instructions, which no load on this machine changes."""
from benchkit import linux, place
from . import start

NAME = 'count'
TITLE = 'Start and boot by counted instructions (1 ms is a million)'
ROUNDS = 3  # more say the same again
CASES = [(name, memory, cmdline) for name, memory in (('cloud', 256), ('cloud-newer', 256), (linux.MINIMAL, 64))
         for cmdline in (linux.CMDLINE, linux.PLAIN, linux.SILENT, '')]


def why_not(_given):
    return linux.why_not()


def run(given):
    cases = CASES[:1] if given.quick else CASES
    n_rounds = min(given.rounds, ROUNDS)
    guests = linux.guests(name for name, _, _ in cases)
    with place.Lab(icount=True, seconds=7200) as where:
        linux.warm(given, where, guests.values())
        result = [start.compete(given, where, 128, 1, n_rounds)]
        result += [linux.race(given, where, guests[name], memory, 1, cmdline, n_rounds)
                   for name, memory, cmdline in cases]
    return result
