# SPDX-License-Identifier: MIT
"""start: from the start of the process to the guest's first instruction, and to the process gone."""
from benchkit import place, rounds, setup

NAME = 'start'
TITLE = 'Process start to first guest instruction, and to the end of the process'
SHAPES = ((128, 1), (1024, 2), (8192, 2))
METRICS = {
    'up_ms': ('start to first byte', 'ms'),
    'up_cpu_ms': ('start to first byte', 'ms of CPU'),
    'gone_ms': ('start to end of a guest that powers off', 'ms'),
    'gone_cpu_ms': ('start to end of a guest that powers off', 'ms of CPU'),
    'entry_ms': ('start to entering the guest, by own clock', 'ms'),
    'teardown_ms': ('entering to end, by own clock', 'ms'),
}
SLOW = ('qemu-q35',)  # goes through a BIOS: in the first shape only, it takes seconds where KVM is slow
FIRST_BYTE = '!'


def why_not(_given):
    return setup.why_no_kvm()


def measure(given, where, monitor, memory, cpus):
    """One contender's turn: a guest that stays, and one that powers off."""
    def turn():
        stays, = place.watch(where, given.build, monitor.argv(given.tiny('halt'), memory, cpus),
                             until=FIRST_BYTE, kill=True)
        ends, = place.watch(where, given.build, monitor.argv(given.tiny('off'), memory, cpus),
                            until=FIRST_BYTE)
        if ends['end']['status'] not in (0, 3):
            raise place.Failed(f'ended with status {ends["end"]["status"]}')
        return {'up_ms': stays['up']['wall_ns'] / 1e6, 'up_cpu_ms': stays['up']['cpu_ns'] / 1e6,
                'gone_ms': ends['end']['wall_ns'] / 1e6, 'gone_cpu_ms': ends['end']['cpu_ns'] / 1e6}
    return turn


def compete(given, where, memory, cpus, n_rounds, without=()):
    case = rounds.Case(f'{memory}M, {cpus} CPU{"s" if cpus > 1 else ""}', METRICS)
    able = [m for m in given.able(case) if m.name not in without]
    for name in without:
        case.absent[name] = 'measured with the smallest machine only'
    return rounds.race(case, {m.name: measure(given, where, m, memory, cpus) for m in able}, n_rounds,
                       given.tell)


def run(given):
    where = place.Host()
    shapes = SHAPES[:1] if given.quick else SHAPES
    return [compete(given, where, memory, cpus, given.rounds, SLOW if (memory, cpus) != SHAPES[0] else ())
            for memory, cpus in shapes]
