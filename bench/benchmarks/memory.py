# SPDX-License-Identifier: MIT
"""memory: what a booted guest costs beside its RAM, and what many of the same kernel share."""
import json
import os

from benchkit import elf, frames, linux, place, rounds

NAME = 'memory'
TITLE = 'Memory of booted guests of one kernel, in the lab'
RAM_MIB = 96
COUNTS = (1, 2, 10, 50)
MERGED = 10  # VMs, with pages merged
ROUNDS = 1   # no clock is in it
METRICS = {
    'rss_beside': ('RSS beside guest RAM, mean of the VMs', 'MiB'),
    'pss_beside': ('PSS beside guest RAM, mean of the VMs', 'MiB'),
    'rss_ram': ('RSS of guest RAM, mean of the VMs', 'MiB'),
    'pss_ram': ('PSS of guest RAM, mean of the VMs', 'MiB'),
    'constant_first': ("the kernel's code and constants: memory of the first VM", 'MiB'),
    'constant_more': ("the kernel's code and constants: memory of one VM more", 'MiB'),
    'constant_share': ('of one VM more, in parts of the first', '%'),
    'ram_more': ('guest RAM: memory of one VM more', 'MiB'),
}
MERGING = {'ksmd_ms': ('CPU of the thread that merges, for a VM', 'ms')}
FRAMES = ['/usr/bin/python3', os.path.join(place.TOP, 'bench', 'benchkit', 'frames.py')]
# Merging begins when all are up, so as not to disturb their boots.  A page must have kept its content from
# one scan to the next to be looked at, and is compared in the scan after.  There is none where nobody allows merging.
KSM = '/sys/kernel/mm/ksm'
TICKS = 'cut -d" " -f14,15 /proc/$(pgrep -x ksmd)/stat'
MERGE = (f'cd {KSM}; echo 20000 > pages_to_scan; s=$(cat full_scans); echo 1 > run; i=0; '
         'until [ $(cat full_scans) -gt $((s + 4)) -o $i = 100 ]; do sleep 0.1; i=$((i + 1)); done; echo 0 > run; '
         f'echo ticks $({TICKS}); ')


def why_not(_given):
    return linux.why_not()


def figures(told, ticks=0):
    """From what frames.py printed."""
    sums, mib = told['sums'], frames.PAGE / (1 << 20)
    names = ('rss_beside', 'pss_beside', 'rss_ram', 'pss_ram')
    result = {name: sum(one[i] for one in sums) / len(sums) / 1024 for i, name in enumerate(names)}
    first, more = told['constant']
    result['constant_first'] = first * mib
    if more is not None:
        result.update(constant_more=more * mib, constant_share=more / first * 100, ram_more=told['ram'][1] * mib)
    if ticks:
        result['ksmd_ms'] = ticks * 1000 / os.sysconf('SC_CLK_TCK') / len(sums)
    return result


def measure(given, where, argv, ranges, count, merge=False):
    text = ','.join(f'{first}-{end}' for first, end in ranges)
    command = (MERGE if merge else '') + f'{" ".join(FRAMES)} {RAM_MIB} {text} $PIDS'

    def turn():
        before = sum(map(int, where.run(['sh', '-c', TICKS]).split())) if merge else 0
        told = place.watch(where, given.build, argv, until=linux.USER_SPACE, kill=True, count=count,
                           command=command, seconds=linux.BOOT_SECONDS)
        said = dict(line.split(' ', 1) for line in told[0]['said'] if ' ' in line)
        spent = sum(map(int, said['ticks'].split())) - before if merge else 0
        return figures(json.loads(said['frames']), spent)
    return turn


def contenders(given, case, where, guest, merge):
    """{name: command line}.  Where pages are merged, pronto takes part once for each way to allow it."""
    result = {}
    case.absent.update(dict.fromkeys(('qemu-microvm', 'qemu-q35'), 'as qemu-microvm-best, with more devices'))
    for name, monitor, bzimage in linux.contenders(given, case, where):
        if monitor.bzimage_only:
            case.absent[name] = 'its kernel unpacks itself, who knows where to'
        else:
            result[name] = monitor.argv(guest.bzimage if bzimage else guest.elf, RAM_MIB, 1, guest.initrd,
                                        linux.CMDLINE)
    if merge and 'pronto-cached' in result:
        run, *rest = result['pronto-cached'][1:]
        for what in ('kernel', 'all'):
            result[f'pronto-merge-{what}'] = [result['pronto-cached'][0], run, '--merge', what, *rest]
    return result


def run(given):
    guest = linux.debian('cloud')
    with open(guest.elf, 'rb') as file:
        ranges = elf.constant_ranges(file.read(), frames.PAGE)
    cases = []
    with place.Lab(memory='8G', seconds=7200) as where:
        linux.warm(given, where, [guest])
        plain = [(count, False) for count in COUNTS]
        for count, merge in plain[:1] if given.quick else [*plain, (MERGED, True)]:
            name = f'{count} VM{"s" if count > 1 else ""} of {guest.name}, {RAM_MIB}M each'
            case = rounds.Case(name + (', pages merged by the host' if merge else ''),
                               {**METRICS, **(MERGING if merge else {})},
                               'QEMU allows all its RAM to be merged unless told otherwise' if merge else '')
            turns = {who: measure(given, where, argv, ranges, count, merge)
                     for who, argv in contenders(given, case, where, guest, merge).items()}
            cases.append(rounds.race(case, turns, min(given.rounds, ROUNDS), given.tell, warm_up=False))
    return cases
