# SPDX-License-Identifier: MIT
"""boot: Linux to its first user instruction, in the lab, in real time."""
from benchkit import linux, place

NAME = 'boot'
TITLE = 'Linux to its first user instruction, in the lab, by the clock'
# kernel, MiB; with 64 MiB Debian's kernels run out of memory on their way
MACHINES = (('cloud', 256), ('cloud', 96), ('cloud', 4096), ('cloud-newer', 256), ('cloud-newer', 4096),
            (linux.MINIMAL, 64), (linux.MINIMAL, 4096))
CPUS = (1, 2)


def why_not(_given):
    return linux.why_not()


def run(given):
    cases = [(*machine, cpus) for machine in MACHINES for cpus in CPUS]
    cases = cases[:1] if given.quick else cases
    guests = linux.guests(name for name, _, _ in cases)
    with place.Lab(seconds=7200) as where:
        linux.warm(given, where, guests.values())
        return [linux.race(given, where, guests[name], memory, cpus, linux.CMDLINE, given.rounds)
                for name, memory, cpus in cases]
