# SPDX-License-Identifier: MIT
"""memory: what a booted guest costs beside its RAM, and what many of the same kernel share."""
from benchkit import linux, place, rounds, smaps

NAME = 'memory'
TITLE = 'Memory of booted guests of one kernel, in the lab'
RAM_MIB = 96
COUNTS = (1, 10, 50)
ROUNDS = 1  # no clock is in it
METRICS = {
    'rss_beside': ('RSS beside guest RAM, mean of the VMs', 'MiB'),
    'pss_beside': ('PSS beside guest RAM, mean of the VMs', 'MiB'),
    'rss_ram': ('RSS of guest RAM, mean of the VMs', 'MiB'),
    'pss_ram': ('PSS of guest RAM, mean of the VMs', 'MiB'),
}
COMMAND = 'for p in $PIDS; do echo "@@ $p"; cat /proc/$p/smaps; done'


def why_not(_given):
    return linux.why_not()


def measure(given, where, monitor, kernel, initrd, count):
    def turn():
        told = place.watch(where, given.build, monitor.argv(kernel, RAM_MIB, 1, initrd, linux.CMDLINE),
                           until=linux.USER_SPACE, kill=True, count=count, command=COMMAND,
                           seconds=linux.BOOT_SECONDS)
        parts = '\n'.join(told[0]['said']).split('@@ ')[1:]
        sums = [smaps.split(smaps.parse(part.splitlines()), RAM_MIB) for part in parts]
        names = ('rss_beside', 'pss_beside', 'rss_ram', 'pss_ram')
        return {name: sum(one[i] for one in sums) / len(sums) / 1024 for i, name in enumerate(names)}
    return turn


def run(given):
    guest = linux.debian('cloud')
    cases = []
    with place.Lab(memory='8G', seconds=7200) as where:
        linux.warm(given, where, [guest])
        for count in COUNTS[:1] if given.quick else COUNTS:
            case = rounds.Case(f'{count} VM{"s" if count > 1 else ""} of {guest.name}, {RAM_MIB}M each', METRICS)
            turns = {name: measure(given, where, monitor, guest.bzimage if bzimage else guest.elf, guest.initrd,
                                   count)
                     for name, monitor, bzimage in linux.contenders(given, case) if name != 'qemu-q35'}
            case.absent['qemu-q35'] = 'as qemu-microvm, with more devices'
            cases.append(rounds.race(case, turns, min(given.rounds, ROUNDS), given.tell, warm_up=False))
    return cases
