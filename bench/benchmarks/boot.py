# SPDX-License-Identifier: MIT
"""boot: Debian's kernels to their first user instruction, in the lab, in real time."""
from benchkit import linux, place

NAME = 'boot'
TITLE = 'Debian kernels to their first user instruction, in the lab, by the clock'
# kernel, MiB, CPUs; with 64 MiB Debian's kernel runs out of memory on its way
CASES = (('cloud', 256, 1), ('cloud', 256, 2), ('cloud', 96, 1), ('cloud', 4096, 1), ('cloud-6.12', 256, 1))


def why_not(_given):
    return linux.why_not()


def run(given):
    cases = CASES[:1] if given.quick else CASES
    guests = {name: linux.debian(name) for name in sorted({case[0] for case in cases})}
    with place.Lab(seconds=7200) as where:
        linux.warm(given, where, guests.values())
        return [linux.race(given, where, guests[name], memory, cpus, linux.CMDLINE, given.rounds)
                for name, memory, cpus in cases]
