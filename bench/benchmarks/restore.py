# SPDX-License-Identifier: MIT
"""restore: from the start of the process to a guest that goes on from a snapshot, and to the process gone."""
import itertools
import json
import os

from benchkit import place, rounds, setup, snapshots

NAME = 'restore'
TITLE = 'Process start to a restored guest that runs, and to the end of the process'
BYTE = '!'
SHAPES = ((128, 1, False), (128, 4, False), (128, 1, True), (1024, 1, False), (8192, 1, False), (65536, 1, False),
          (65536, 1, True))
RESTORE = {
    'up_ms': ('start to first byte', 'ms'),
    'up_cpu_ms': ('start to first byte', 'ms of CPU'),
    'entry_ms': ('start to entering the guest, by own clock', 'ms'),
    'killed_ms': ('killed to gone', 'ms'),
    'end_ms': ('powered off to gone, by own clock', 'ms'),
    'faults': ('page faults, of the whole life', 'faults'),
}
END_IT = 'kill -TERM $PIDS'  # by its power button


def why_not(_given):
    return setup.why_no_kvm()


def devices_of(given, where):
    """One of each kind that needs no daemon."""
    image = os.path.join(given.scratch, 'restore.disk')
    with open(image, 'wb') as file:
        file.truncate(64 << 20)
    return {'disk': [{'path': image}], 'net': [{'tap': where.TAP}], 'rng': True,
            'vsock': {'path': os.path.join(given.scratch, 'restore.vsock')}}


# ---- a snapshot is restored ----

def own_clock(given, where, argv, told_by):
    """When it entered the guest, and for how long it was at its end, of those who tell."""
    path = os.path.join(given.scratch, 'entry.json')
    if told_by == 'floor':
        told, = place.watch(where, given.build, argv, until=BYTE, kill=True, env={'FLOOR_ENTRY': path})
        with open(path, encoding='ascii') as file:
            return {'entry_ms': (int(file.read()) - told['up']['start_ns']) / 1e6}
    told, = place.watch(where, given.build, [*argv[:2], f'--timeline={path}', *argv[2:]], until=BYTE, command=END_IT)
    with open(path, encoding='ascii') as file:
        timeline = json.load(file)
    at = {moment['name']: timeline['start_ns'] + moment['ns'] - told['up']['start_ns'] for moment in timeline['moments']}
    return {'entry_ms': at['first guest instruction'] / 1e6, 'end_ms': (told['end']['wall_ns'] - at["guest's end"]) / 1e6}


def figures(told):
    return {'up_ms': told['up']['wall_ns'] / 1e6, 'up_cpu_ms': told['up']['cpu_ns'] / 1e6,
            'killed_ms': (told['end']['wall_ns'] - told['up']['wall_ns']) / 1e6, 'faults': told['end']['minflt']}


def measure(given, where, argv, told_by):
    def turn():
        told, = place.watch(where, given.build, argv, until=BYTE, kill=True)
        return {**figures(told), **own_clock(given, where, argv, told_by)}
    return turn


def floor(given, where, memory, cpus):
    program, directory = os.path.join(given.build, 'bench', 'floor_restore'), os.path.join(given.scratch, 'restore-floor')
    if not os.access(program, os.X_OK):
        raise place.Failed(f'{program} is not built')
    os.makedirs(directory, exist_ok=True)
    where.run([program, 'save', directory, str(memory), str(cpus)])
    return measure(given, where, [program, 'restore', directory], 'floor')


def restored(given, where, memory, cpus, devices):
    """Restored, and, beside it, begun anew."""
    pronto = given.monitor('pronto')
    directory = os.path.join(given.scratch, 'restore-pronto')
    settings = snapshots.config(given, pronto, memory, cpus, 'again', devices)
    machine = snapshots.Machine(where, pronto.program, directory, settings)
    try:
        machine.snapshot(os.path.join(directory, 'snapshot'))
    finally:
        machine.end()
    ways = {'pronto': ['restore', os.path.join(directory, 'snapshot')],
            'pronto-run': ['run', '--config', os.path.join(directory, 'config.json')]}
    return {who: measure(given, where, [pronto.program, *words], 'pronto') for who, words in ways.items()}


def firecracker(given, memory, cpus):
    peer = given.monitor('firecracker')
    directory = os.path.join(given.scratch, 'restore-firecracker')
    saved = snapshots.Firecracker(peer, directory, given.tiny('again', peer), memory, cpus)
    number = itertools.count()

    def turn():
        told, = saved.watch(given.build, next(number))
        return figures(told)
    return turn


def compete(given, memory, cpus, has_devices):
    where = place.Network() if has_devices else place.Host()
    case = rounds.Case(f'{memory}M, {cpus} CPU{"s" if cpus > 1 else ""}{", four devices" if has_devices else ""}', RESTORE)
    makers = {'floor': lambda: {'floor': floor(given, where, memory, cpus)},
              'pronto': lambda: restored(given, where, memory, cpus, devices_of(given, where) if has_devices else None),
              'firecracker': lambda: {'firecracker': firecracker(given, memory, cpus)}}
    contenders = {}
    for name, make in makers.items():
        monitor = given.monitor(name)
        why = monitor.why_not() if monitor else 'not asked for'
        if name == 'firecracker' and has_devices:
            why = 'measured without devices only'
        try:
            contenders.update(make() if not why else {})
        except place.Failed as err:
            why = str(err)
        if why and monitor:
            case.absent[name] = why
    return rounds.race(case, contenders, given.rounds, given.tell)


def run(given):
    return [compete(given, *shape) for shape in (SHAPES[:1] if given.quick else SHAPES)]
