# SPDX-License-Identifier: MIT
"""scale: the start, and a boot, as functions of the size of memory, the number of CPUs, the size of the initrd."""
import os

from benchkit import linux, place, rounds, setup, stats

NAME = 'scale'
TITLE = 'How start and boot grow with memory, CPUs and initrd'
SLOW = {'qemu-q35': 'goes through a BIOS; see start'}
SLOW_BOOTS = {**SLOW, 'qemu-microvm': 'as qemu-microvm-best, with more devices; see boot'}
BOOT_ROUNDS = 3


def memory(*sizes):
    return ('memory', 'GiB', [(f'{mib >> 10 or mib}{"G" if mib >> 10 else "M"}', mib / 1024, mib, 1, 0) for mib in sizes])


def cpus(mib):
    return ('CPUs', 'CPU', [(f'{n}', n, mib, n, 0) for n in (1, 2, 4, 8)])


def initrd(mib):
    return ('initrd', 'MiB', [(f'{size}M', size, mib, 1, size) for size in (1, 64, 256, 1024)])


# name, what one more is, points (each: label, x, memory in MiB, CPUs, initrd in MiB)
STARTS = (memory(128, 1024, 4096, 16384, 65536), cpus(256), initrd(2048))
BOOTS = (memory(256, 1024, 4096, 16384, 65536), cpus(256), initrd(4096))  # it is unpacked beside itself


def why_not(_given):
    return setup.why_no_kvm()


def filler(given, mib):
    path = os.path.join(given.scratch, f'initrd-{mib}')
    if mib and not os.path.exists(path):
        block = os.urandom(1 << 20)
        with open(path, 'wb') as file:
            for _ in range(mib):
                file.write(block)
    return path if mib else None


def measure(case, monitor, points, start):
    """All points of one contender; the slopes are this round's.  START: the stopwatch's report for a point."""
    def turn():
        wall, cpu, result = [], [], {}
        for label, x, *size in points:
            try:
                up = start(*size)['up']
            except place.Failed as err:
                case.absent[f'{monitor}, {label}'] = str(err)
                continue
            cpu.append((x, up['cpu_ns'] / 1e6))
            wall.append((x, up['wall_ns'] / 1e6))
            result[label] = cpu[-1][1]
        if len(cpu) < 2:
            raise place.Failed('fewer than two sizes work')
        result['cpu_slope'], result['wall_slope'] = stats.slope(cpu)[0] * 1000, stats.slope(wall)[0] * 1000
        return result
    return turn


def new_case(what, growth, until):
    name, unit, points = growth
    metrics = {label: (f'start to {until} with {label}', 'ms of CPU') for label, *_ in points}
    metrics['cpu_slope'] = (f'slope, CPU per {unit}', 'us')
    metrics['wall_slope'] = (f'slope, time per {unit}', 'us')
    return rounds.Case(f'{what}: growth with {name}', metrics)


def start_case(given, growth):
    case, where = new_case('start', growth, 'first byte'), place.Host()
    case.absent.update(SLOW)
    if growth[0] == 'initrd':
        case.absent.update(floor='loads nothing', kvmtool='loads no initrd beside the tiny guest')

    def start_of(monitor):
        return lambda mib, n, initrd_mib: place.watch(
            where, given.build, monitor.argv(given.tiny('halt', monitor), mib, n, filler(given, initrd_mib)), until='!',
            kill=True)[0]

    turns = {m.name: measure(case, m.name, growth[2], start_of(m)) for m in given.able(case, where)}
    return rounds.race(case, turns, given.rounds, given.tell)


def boot_case(given, where, guest, growth):
    case = new_case('boot', growth, 'first user instruction')
    case.absent.update(SLOW_BOOTS)
    initrds = {size: linux.padded(guest.initrd, given.scratch, size) for *_, size in growth[2]}
    where.warm(initrds.values())

    def boot_of(monitor, kernel):
        return lambda mib, n, size: place.watch(
            where, given.build, monitor.argv(kernel, mib, n, initrds[size], linux.CMDLINE), until=linux.USER_SPACE,
            kill=True, seconds=linux.BOOT_SECONDS)[0]

    turns = {name: measure(case, name, growth[2], boot_of(monitor, guest.bzimage if bzimage else guest.elf))
             for name, monitor, bzimage in linux.contenders(given, case, where)}
    return rounds.race(case, turns, min(given.rounds, BOOT_ROUNDS), given.tell)


def run(given):
    starts, boots = STARTS, BOOTS
    if given.quick:
        starts, boots = (memory(128, 1024),), (memory(256, 1024),)
    cases = [start_case(given, growth) for growth in starts]
    if linux.why_not():
        cases[0].absent['boot'] = linux.why_not()
        return cases
    guest = linux.debian('cloud')
    with place.Lab(memory='10G', seconds=7200) as where:
        linux.warm(given, where, [guest])
        return cases + [boot_case(given, where, guest, growth) for growth in boots]
