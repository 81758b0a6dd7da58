# SPDX-License-Identifier: MIT
"""scale: the start as a function of the size of memory, the number of CPUs, the size of the initrd."""
import os

from benchkit import place, rounds, setup, stats

NAME = 'scale'
TITLE = 'How the start grows with memory, CPUs and initrd'
SLOW = ('qemu-q35',)
# name, what one more is, points (each: label, x, memory in MiB, CPUs, initrd in MiB)
MEMORY = ('memory', 'GiB', [(f'{mib >> 10 or mib}{"G" if mib >> 10 else "M"}', mib / 1024, mib, 1, 0)
                            for mib in (128, 1024, 4096, 16384, 65536)])
CPUS = ('CPUs', 'CPU', [(f'{n}', n, 256, n, 0) for n in (1, 2, 4, 8)])
INITRD = ('initrd', 'MiB', [(f'{mib}M', mib, 2048, 1, mib) for mib in (1, 64, 256, 1024)])


def why_not(_given):
    return setup.why_no_kvm()


def make_initrd(given, mib):
    path = os.path.join(given.scratch, f'initrd-{mib}')
    if mib and not os.path.exists(path):
        block = os.urandom(1 << 20)
        with open(path, 'wb') as file:
            for _ in range(mib):
                file.write(block)
    return path if mib else None


def measure(given, where, case, monitor, points):
    """All points of one contender; the slopes are this round's."""
    def turn():
        wall, cpu, result = [], [], {}
        for label, x, memory, cpus, initrd in points:
            argv = monitor.argv(given.tiny('halt'), memory, cpus, make_initrd(given, initrd))
            try:
                told, = place.watch(where, given.build, argv, until='!', kill=True)
            except place.Failed as err:
                case.absent[f'{monitor.name}, {label}'] = str(err)
                continue
            cpu.append((x, told['up']['cpu_ns'] / 1e6))
            wall.append((x, told['up']['wall_ns'] / 1e6))
            result[label] = cpu[-1][1]
        if len(cpu) < 2:
            raise place.Failed('fewer than two sizes work')
        result['cpu_slope'], result['wall_slope'] = stats.slope(cpu)[0] * 1000, stats.slope(wall)[0] * 1000
        return result
    return turn


def run(given):
    where, cases = place.Host(), []
    for name, unit, points in (MEMORY,) if given.quick else (MEMORY, CPUS, INITRD):
        points = points[:2] if given.quick else points
        metrics = {label: (f'start to first byte with {label}', 'ms of CPU') for label, *_ in points}
        metrics['cpu_slope'] = (f'slope, CPU per {unit}', 'us')
        metrics['wall_slope'] = (f'slope, time per {unit}', 'us')
        case = rounds.Case(f'growth with {name}', metrics)
        able = [m for m in given.able(case) if m.name not in SLOW and not (name == 'initrd' and m.name == 'floor')]
        case.absent.update(dict.fromkeys(SLOW, 'goes through a BIOS; see start'))
        if name == 'initrd':
            case.absent['floor'] = 'loads nothing'
        turns = {m.name: measure(given, where, case, m, points) for m in able}
        cases.append(rounds.race(case, turns, given.rounds, given.tell))
    return cases
